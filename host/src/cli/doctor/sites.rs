//! The sites: each is asked by itself, so that one that hangs does not hold the others.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sitesync_provider::ErrorKind;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::super::output::{counted, say};
use super::catalog::Catalog;
use super::report::{Area, Check, Report};
use super::state::State;
use super::{plugins, room};
use crate::engine::pair::refuse_ours;
use crate::settings::{Project, Settings};
use crate::sites::{Fault, LOCAL, OpenRoot, Own, Sites, read_identity, recognise};

/// Roots of a site that are asked at once.
const AT_ONCE: usize = 4;

/// What the checks of sites and projects go by.
pub(super) struct About<'a> {
    pub(super) settings: &'a Settings,
    /// Folders that no root may hold or lie in.
    pub(super) ours: Vec<PathBuf>,
    pub(super) state: &'a State,
    pub(super) catalog: &'a Catalog,
    /// The site that was asked for, if it is only one.
    pub(super) only: Option<&'a str>,
}

impl About<'_> {
    /// Whether a site is to be looked at.
    fn wants(&self, site: &str) -> bool {
        self.only.is_none_or(|only| only == site)
    }

    /// Whether a project is to be looked at.
    pub(super) fn wants_project(&self, project: &Project) -> bool {
        project.sites_in_use().into_iter().any(|site| self.wants(site))
    }
}

/// A root that is asked, and what the catalog knows of it.
#[derive(Debug, Clone)]
struct Root {
    project: String,
    name: String,
    path: String,
    known: Known,
}

/// The identity that a root last had.
#[derive(Debug, Clone)]
enum Known {
    Is(String),
    NotYet,
    /// The catalog can't be asked.
    Unread,
}

/// A root that is there.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) project: String,
    pub(super) root: String,
    pub(super) open: Arc<OpenRoot>,
    /// What it is known by: a marker, else what stands in for one.
    pub(super) identity: String,
}

/// What became of asking a root.
#[derive(Debug)]
struct Answer {
    root: Root,
    result: Result<(Arc<OpenRoot>, Result<String, Fault>), Fault>,
}

/// What a site answered, for the projects that see it with the same settings.
#[derive(Debug)]
struct Asked {
    site: String,
    connected: Result<(), Fault>,
    roots: Vec<Answer>,
}

pub(super) fn check(
    about: &About<'_>,
    plugins: Option<&plugins::Found>,
    runtime: &tokio::runtime::Runtime,
    report: &mut Report,
) -> Vec<Opened> {
    let (Some(found), Some(scratch)) = (plugins, about.state.scratch()) else {
        return Vec::new();
    };
    let mut asks = asks(about);
    asks.retain(|(site, ..)| !found.wrong.contains(site));
    unasked(about, found, &asks, report);
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    // Nothing is written: without an id yet, none is needed.
    let site_id = about.state.site_id.clone().unwrap_or_else(|| LOCAL.to_owned());
    let cache = scratch.join("cache");
    let sites = Sites::new(found.plugins.clone(), about.settings, site_id, cache, stopped);
    if std::io::stderr().is_terminal() && !asks.is_empty() {
        say(format_args!("asking {} ...", counted(asks.len() as u64, "site")));
    }
    let mut asked = runtime.block_on(ask_all(Arc::new(sites), asks, report));
    asked.sort_by(|a, b| a.site.cmp(&b.site));
    let mut opened = Vec::new();
    for one in asked {
        tell(about, one, report, &mut opened);
    }
    rooms(&opened, report);
    opened
}

/// The roots to ask, by site; projects that see a site with settings of their own come apart.
fn asks(about: &About<'_>) -> Vec<(String, Own, Vec<Root>)> {
    let mut asks: Vec<(String, Own, Vec<Root>)> = Vec::new();
    for project in about.settings.projects.values().filter(|project| project.enabled) {
        let mut ends = project.sites_in_use();
        // One that is asked for by name is asked, whether it is used or not.
        ends.extend(about.only);
        ends.sort_unstable();
        ends.dedup();
        for site in ends.into_iter().filter(|site| about.wants(site) && project.site_enabled(site))
        {
            let own = project.site_settings(site);
            let roots = project.roots(site).iter().map(|(name, path)| Root {
                project: project.name.clone(),
                name: name.clone(),
                path: path.clone(),
                known: known(about, &project.name, name, site),
            });
            match asks.iter_mut().find(|(name, theirs, _)| name == site && theirs == own) {
                Some((_, _, all)) => all.extend(roots),
                None => asks.push((site.to_owned(), own.clone(), roots.collect())),
            }
        }
    }
    asks
}

/// What the catalog remembers of a root.
fn known(about: &About<'_>, project: &str, root: &str, site: &str) -> Known {
    let catalog = match about.catalog {
        Catalog::Read(found) => &found.open,
        Catalog::NotYet => return Known::NotYet,
        Catalog::Unread => return Known::Unread,
    };
    let site = about.state.catalog_name(site);
    let found = catalog.read(|view| {
        let Some(project) = view.project(project)? else { return Ok(None) };
        let (Some(root), Some(site)) = (view.root(project, root)?, view.site(site)?) else {
            return Ok(None);
        };
        view.root_identity(root, site)
    });
    found.map_or(Known::Unread, |found| found.map_or(Known::NotYet, Known::Is))
}

/// Sites of the settings that there is no reason to ask.
fn unasked(
    about: &About<'_>,
    found: &plugins::Found,
    asks: &[(String, Own, Vec<Root>)],
    report: &mut Report,
) {
    for site in about.settings.sites.values().filter(|site| about.wants(&site.name)) {
        // Those that are always there were not written by anybody.
        if asks.iter().any(|(name, ..)| *name == site.name)
            || (site.span.is_none() && about.only.is_none())
        {
            continue;
        }
        let subject = format!("site {}", site.name);
        report.push(if !site.enabled {
            let message = "not asked: it is switched off (`enabled = false`)";
            let hint = format!("remove that line from [sites.{}] to use it", site.name);
            Check::note(Area::Sites, subject, message).hint(hint)
        } else if found.wrong.contains(&site.name) {
            let message = "not asked: its settings are wrong";
            Check::note(Area::Sites, subject, message).hint("correct what was told of them")
        } else if let Err(refusal) = found.plugins.get(&site.provider) {
            let message = format!("no project uses it, and none could: {}", refusal.reason);
            Check::warn(Area::Sites, subject, message).hint(refusal.remedy)
        } else {
            let message = "not asked: no project that is enabled uses it";
            let hint = "`sitesync projects` shows which sites are used";
            Check::note(Area::Sites, subject, message).hint(hint)
        });
    }
}

async fn ask_all(
    sites: Arc<Sites>,
    asks: Vec<(String, Own, Vec<Root>)>,
    report: &mut Report,
) -> Vec<Asked> {
    let mut asking = JoinSet::new();
    let mut names = BTreeMap::new();
    for (site, own, roots) in asks {
        let task = asking.spawn(ask(sites.clone(), site.clone(), own, roots));
        names.insert(task.id(), site);
    }
    let mut asked = Vec::new();
    while let Some(ended) = asking.join_next().await {
        match ended {
            Ok(one) => asked.push(one),
            Err(error) => {
                let site = names.get(&error.id()).map_or("", String::as_str);
                let check = Check::fail(Area::Sites, format!("site {site}"), error.to_string());
                report.push(check.hint("this is a fault of sitesync: please report it"));
            }
        }
    }
    asked
}

/// Connects a site, and opens its roots. Each call has the site's `timeout`.
async fn ask(sites: Arc<Sites>, site: String, own: Own, roots: Vec<Root>) -> Asked {
    let connected = sites.connect_for(&site, &own).await.map(drop);
    if connected.is_err() {
        return Asked { site, connected, roots: Vec::new() };
    }
    // After one that does not answer, those that were not asked yet would cost as long each.
    let silent = Arc::new(AtomicBool::new(false));
    let at_once = Arc::new(Semaphore::new(AT_ONCE));
    let mut asking = JoinSet::new();
    for root in roots {
        let (sites, site, own) = (sites.clone(), site.clone(), own.clone());
        let (silent, at_once) = (silent.clone(), at_once.clone());
        asking.spawn(async move {
            let _turn = at_once.acquire_owned().await;
            if silent.load(Ordering::Acquire) {
                let message = "not asked: another root of the site does not answer".to_owned();
                let fault = Fault { site, kind: ErrorKind::Timeout, message, hint: None };
                return Answer { root, result: Err(fault) };
            }
            let result = look(&sites, &site, &own, &root).await;
            let fault = result.as_ref().map_or_else(Some, |(_, identity)| identity.as_ref().err());
            if fault.is_some_and(|fault| fault.kind == ErrorKind::Timeout) {
                silent.store(true, Ordering::Release);
            }
            Answer { root, result }
        });
    }
    let mut roots = asking.join_all().await;
    roots.sort_by(|a, b| (&a.root.project, &a.root.name).cmp(&(&b.root.project, &b.root.name)));
    Asked { site, connected, roots }
}

async fn look(
    sites: &Sites,
    site: &str,
    own: &Own,
    root: &Root,
) -> Result<(Arc<OpenRoot>, Result<String, Fault>), Fault> {
    let open = sites.open_for(site, own, &root.path).await?;
    let identity = match &root.known {
        Known::Is(known) => recognise(&open, known).await.map(|identity| identity.text()),
        Known::NotYet | Known::Unread => {
            read_identity(&open, &open.info).await.map(|found| match found {
                Some(marker) => marker.text(),
                None => format!("root:{}", open.info.root_id),
            })
        }
    };
    Ok((open, identity.map_err(|error| Fault::new(site, &error))))
}

fn tell(about: &About<'_>, asked: Asked, report: &mut Report, opened: &mut Vec<Opened>) {
    let site = &asked.site;
    let provider = about.settings.sites.get(site).map_or("", |site| site.provider.as_str());
    match &asked.connected {
        Ok(()) => {
            let facts = format!("{provider} connects");
            report.push(Check::ok(Area::Sites, format!("site {site}"), facts));
        }
        Err(fault) => report.push(faulty(format!("site {site}"), fault)),
    }
    for Answer { root, result } in asked.roots {
        let subject = format!("site {site}: {}/{} at {}", root.project, root.name, root.path);
        let (open, identity) = match result {
            Ok(found) => found,
            Err(fault) => {
                report.push(faulty(subject, &fault));
                continue;
            }
        };
        let identity = match identity {
            Ok(identity) => identity,
            Err(fault) => {
                report.push(faulty(subject, &fault));
                continue;
            }
        };
        match refuse_ours(&open, &about.ours) {
            Ok(()) => report.push(Check::ok(Area::Sites, subject, facts(&open, &root))),
            Err(fault) => report.push(faulty(subject, &fault)),
        }
        opened.push(Opened { project: root.project, root: root.name, open, identity });
    }
}

/// What a root that is there is.
fn facts(open: &OpenRoot, root: &Root) -> String {
    let mut facts = Vec::new();
    if !open.info.label.is_empty() {
        facts.push(open.info.label.clone());
    }
    if open.info.network {
        facts.push("behind a network".to_owned());
    }
    if open.info.mount_point {
        facts.push("something is mounted there".to_owned());
    }
    facts.push(
        match root.known {
            Known::Is(_) => "the root that the catalog knows",
            Known::NotYet => "not used yet",
            Known::Unread => "not compared with the catalog",
        }
        .to_owned(),
    );
    facts.join(", ")
}

/// A fault, with what to do: a provider does not always know.
fn faulty(subject: String, fault: &Fault) -> Check {
    let hint = fault.hint.clone().unwrap_or_else(|| match fault.kind {
        ErrorKind::Timeout => format!(
            "see whether the storage answers anybody; `timeout` in [sites.{}] gives it longer",
            fault.site
        ),
        _ => "see whether the storage can be used from this machine, and what its log says".into(),
    });
    Check::fail(Area::Sites, subject, &fault.message).hint(hint)
}

/// Free room, once for each storage.
fn rooms(opened: &[Opened], report: &mut Report) {
    let mut storages: Vec<&Opened> = Vec::new();
    for one in opened {
        if storages.iter().all(|known| !Arc::ptr_eq(&known.open.storage, &one.open.storage)) {
            storages.push(one);
        }
    }
    for one in storages {
        let Some(free) = one.open.info.free else { continue };
        let mut sites: Vec<&str> = opened
            .iter()
            .filter(|other| Arc::ptr_eq(&other.open.storage, &one.open.storage))
            .map(|other| other.open.site.as_str())
            .collect();
        sites.dedup();
        let subject = format!("room at {}", sites.join(", "));
        report.push(room::check(Area::Sites, &subject, free, one.open.info.total));
    }
}
