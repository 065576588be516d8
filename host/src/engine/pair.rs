//! A sync pair: two ends between which this host brings a project's files, opened and checked.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use sitesync_provider::ErrorKind;

use super::belonging::Belonging;
use super::clock::Dice;
use crate::catalog::{ProjectId, RootId, SiteId, Sqlite};
use crate::publish::Templates;
use crate::settings;
use crate::sites::{Capability, Fault, OpenRoot, Sites, establish, read_identity};

/// One of the two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Where people work; the remote site, where that and one of `always_accessible_on` are the pair.
    Active,
    /// Where it goes to, or comes from.
    Remote,
}

impl Side {
    /// Both.
    pub const BOTH: [Side; 2] = [Side::Active, Side::Remote];

    /// The other end.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Side::Active => Side::Remote,
            Side::Remote => Side::Active,
        }
    }

    fn index(self) -> usize {
        match self {
            Side::Active => 0,
            Side::Remote => 1,
        }
    }
}

/// A project's two ends.
#[derive(Debug)]
pub struct Pair {
    /// The project's key.
    pub project: ProjectId,
    /// Its settings, and its name.
    pub settings: settings::Project,
    sites: [SiteId; 2],
    names: [String; 2],
    roots: RwLock<Vec<Arc<RootPair>>>,
    /// By side: no pair of the project before this one has that site.
    leads: [bool; 2],
    /// Where its project's files belong.
    pub belonging: Belonging,
    /// What belongs together in its project.
    pub templates: Templates,
    stuck: [AtomicUsize; 2],
}

/// Something at one end that was given up and does not end; until this is dropped.
pub(super) struct Stuck<'a>(&'a AtomicUsize);

impl Drop for Stuck<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One root of a project, at both ends.
#[derive(Debug)]
pub struct RootPair {
    /// Its key.
    pub id: RootId,
    /// Its name: `work`.
    pub name: String,
    ends: [Arc<OpenRoot>; 2],
    identities: [String; 2],
}

impl RootPair {
    /// The root at one end.
    #[must_use]
    pub fn end(&self, side: Side) -> &Arc<OpenRoot> {
        &self.ends[side.index()]
    }

    /// True if copies between the ends need not pass through the host.
    #[must_use]
    pub fn same_instance(&self) -> bool {
        self.ends[0].same_instance(&self.ends[1]) && self.ends[0].can(Capability::ServerCopy)
    }

    /// Looks again whether the root at this end is the one that was opened. A disk that was
    /// unmounted must not be taken for an empty one.
    pub(super) async fn still_there(&self, side: Side) -> Result<(), sitesync_provider::Error> {
        still_there(self.end(side), &self.identities[side.index()]).await
    }
}

/// Looks again whether a root is the one that has this identity.
pub(super) async fn still_there(
    root: &OpenRoot,
    identity: &str,
) -> Result<(), sitesync_provider::Error> {
    let info = root.check().await?;
    let found = match read_identity(root, &info).await? {
        Some(marker) => marker.text(),
        None => format!("root:{}", info.root_id),
    };
    if found == identity {
        return Ok(());
    }
    let error = sitesync_provider::Error::new(
        ErrorKind::RootUnavailable,
        format!("{} is not the root that was opened before: not mounted?", root.root),
    );
    root.lose(&error);
    Err(error)
}

impl Pair {
    /// The key of the site at one end.
    #[must_use]
    pub fn site(&self, side: Side) -> SiteId {
        self.sites[side.index()]
    }

    /// The keys of the sites at both ends.
    #[must_use]
    pub fn sites(&self) -> [SiteId; 2] {
        self.sites
    }

    /// True if what is to be done at a site alone is this pair's to do at this end, and no other's of
    /// the project: to follow its change feed, to remove files, to empty its trash.
    #[must_use]
    pub fn leads(&self, side: Side) -> bool {
        self.leads[side.index()]
    }

    /// True if this end is the project's active site.
    #[must_use]
    pub fn is_active(&self, side: Side) -> bool {
        self.site_name(side) == self.settings.active_site
    }

    /// The name of the site at one end.
    #[must_use]
    pub fn site_name(&self, side: Side) -> &str {
        &self.names[side.index()]
    }

    /// Whether what replaces something is kept back until it is counted.
    pub(super) fn guards_changes(&self) -> bool {
        self.settings.max_change.files > 0
    }

    /// The end at which this site is.
    #[must_use]
    pub fn side_of(&self, site: SiteId) -> Side {
        if self.sites[0] == site { Side::Active } else { Side::Remote }
    }

    /// Notes that something at this end was given up and does not end.
    pub(super) fn stuck(&self, side: Side) -> Stuck<'_> {
        let count = &self.stuck[side.index()];
        count.fetch_add(1, Ordering::AcqRel);
        Stuck(count)
    }

    /// How many batches to this end were given up and do not end.
    pub(super) fn stuck_at(&self, side: Side) -> usize {
        self.stuck[side.index()].load(Ordering::Acquire)
    }

    /// How many batches at once the storages at this end take.
    pub(super) fn width(&self, side: Side) -> usize {
        let roots = self.roots();
        let mut storages: Vec<_> = roots.iter().map(|root| &root.end(side).storage).collect();
        storages.dedup_by_key(|storage| Arc::as_ptr(storage));
        storages.iter().map(|storage| storage.width).sum()
    }

    /// Its roots that both ends have, as they are open now. What works on one keeps it, so that it
    /// ends through the generation of the provider with which it began.
    #[must_use]
    pub fn roots(&self) -> Vec<Arc<RootPair>> {
        self.roots.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Opens both ends of one of a project's pairs: connects, checks that each root is the one that
    /// was meant, and that none of them is where it must not be.
    ///
    /// `names` is one of the project's [`pairs`](settings::Project::pairs).
    /// `ours` are folders of this host (state, plug-ins, settings, binary) that no root may hold
    /// or lie in.
    pub async fn open(
        sites: &Arc<Sites>,
        catalog: &Sqlite,
        dice: &Dice,
        settings: &settings::Project,
        names: &[String; 2],
        ours: &[PathBuf],
    ) -> Result<Pair, Fault> {
        let names = names.clone();
        let paths = [settings.roots(&names[0]), settings.roots(&names[1])];
        let project_name = settings.name.clone();
        let site_names = names.each_ref().map(|name| sites.catalog_name(name).to_owned());
        let root_names: Vec<String> =
            paths[0].keys().filter(|name| paths[1].contains_key(name)).cloned().collect();
        let wanted = root_names.clone();
        let (here, of) = (sites.clone(), settings.clone());
        let (project, site_ids, belonging, roots) = catalog
            .write(move |unit| {
                let belonging = Belonging::of(unit, &here, &of)?;
                let project = unit.put_project(&project_name)?;
                let sites = [unit.put_site(&site_names[0])?, unit.put_site(&site_names[1])?];
                let roots = wanted
                    .iter()
                    .map(|name| {
                        let id = unit.put_root(project, name)?;
                        let known =
                            [unit.root_identity(id, sites[0])?, unit.root_identity(id, sites[1])?];
                        Ok((id, known))
                    })
                    .collect::<crate::catalog::Result<Vec<_>>>()?;
                Ok((project, sites, belonging, roots))
            })
            .await
            .map_err(|error| catalog_fault(&names[0], &error))?;

        let mut opened = Vec::new();
        for (name, (id, known)) in root_names.into_iter().zip(roots) {
            let ends = [&paths[0][&name], &paths[1][&name]];
            let ends = open_ends(sites, settings, &names, ends).await?;
            let mut identities = <[String; 2]>::default();
            for side in Side::BOTH {
                let i = side.index();
                let end = &ends[i];
                refuse_ours(end, ours)?;
                let identity = establish(end, known[i].as_deref(), &dice.id())
                    .await
                    .map_err(|error| Fault::new(&names[i], &error))?
                    .text();
                if known[i].as_deref() != Some(&identity) {
                    let (site, text) = (site_ids[i], identity.clone());
                    catalog
                        .write(move |unit| unit.put_root_identity(id, site, &text))
                        .await
                        .map_err(|error| catalog_fault(&names[i], &error))?;
                }
                identities[i] = identity;
            }
            refuse_one_folder(&ends, &identities)?;
            opened.push(Arc::new(RootPair { id, name, ends, identities }));
        }
        Ok(Pair {
            project,
            settings: settings.clone(),
            sites: site_ids,
            leads: names.each_ref().map(|site| leading(settings, site) == Some(&names)),
            names,
            roots: RwLock::new(opened),
            belonging,
            templates: settings.templates(),
            stuck: Default::default(),
        })
    }

    /// Opens both ends anew where a provider was replaced since: what begins from now on goes
    /// through the new generation. True if anything was. After an error the old ends stay.
    pub(super) async fn renew(&self, sites: &Sites) -> Result<bool, Fault> {
        let before = self.roots();
        if before
            .iter()
            .flat_map(|root| &root.ends)
            .all(|end| sites.is_current(end, self.settings.site_settings(&end.site)))
        {
            return Ok(false);
        }
        let mut renewed = Vec::new();
        for old in &before {
            let ends = old.ends.each_ref().map(|end| &end.root);
            let ends = open_ends(sites, &self.settings, &self.names, ends).await?;
            let (id, name, identities) = (old.id, old.name.clone(), old.identities.clone());
            let root = RootPair { id, name, ends, identities };
            for side in Side::BOTH {
                let same = root.still_there(side).await;
                same.map_err(|error| Fault::new(self.site_name(side), &error))?;
            }
            renewed.push(Arc::new(root));
        }
        *self.roots.write().unwrap_or_else(PoisonError::into_inner) = renewed;
        Ok(true)
    }
}

/// The first pair of a project that has this site.
fn leading<'a>(settings: &'a settings::Project, site: &String) -> Option<&'a [String; 2]> {
    settings.pairs.iter().find(|pair| pair.contains(site))
}

/// One root at both ends.
async fn open_ends(
    sites: &Sites,
    settings: &settings::Project,
    [active, remote]: &[String; 2],
    paths: [&String; 2],
) -> Result<[Arc<OpenRoot>; 2], Fault> {
    Ok([
        sites.open_for(active, settings.site_settings(active), paths[0]).await?,
        sites.open_for(remote, settings.site_settings(remote), paths[1]).await?,
    ])
}

fn catalog_fault(site: &str, error: &crate::catalog::Error) -> Fault {
    Fault {
        site: site.to_owned(),
        kind: ErrorKind::Unexpected,
        message: format!("the catalog can't be written: {error}"),
        hint: None,
    }
}

/// True if one folder is the other, or lies in it.
fn nested(a: &Path, b: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let (a, b) = (real(a), real(b));
    a.starts_with(&b) || b.starts_with(&a)
}

/// A root that holds our own files, or lies among them, would sync the catalog while it is written.
pub(crate) fn refuse_ours(root: &OpenRoot, ours: &[PathBuf]) -> Result<(), Fault> {
    let Some(path) = root.info.local_path.as_deref() else { return Ok(()) };
    let Some(own) = ours.iter().find(|own| nested(own, Path::new(path))) else { return Ok(()) };
    Err(Fault {
        site: root.site.clone(),
        kind: ErrorKind::InvalidSettings,
        message: format!(
            "its root {path} and sitesync's own folder {} lie in one another",
            own.display()
        ),
        hint: Some("choose another root, or move sitesync's folder with --state-dir".into()),
    })
}

/// Both ends in one folder would copy files onto themselves; one in the other, for ever.
pub(crate) fn refuse_one_folder(
    [active, remote]: &[Arc<OpenRoot>; 2],
    identities: &[String; 2],
) -> Result<(), Fault> {
    let local = |root: &OpenRoot| root.info.local_path.clone();
    let one = identities[0] == identities[1]
        || match (local(active), local(remote)) {
            (Some(a), Some(b)) => nested(Path::new(&a), Path::new(&b)),
            _ => false,
        };
    if !one {
        return Ok(());
    }
    Err(Fault {
        site: remote.site.clone(),
        kind: ErrorKind::InvalidSettings,
        message: format!(
            "its root {} and the root {} of site '{}' are the same folder, or lie in one another",
            remote.root, active.root, active.site
        ),
        hint: Some(
            "two sites that show the same storage are alternatives, not a pair to sync".into(),
        ),
    })
}
