//! The catalog against what a site has: told in numbers, and put right.
//!
//! It is a look at the site like any other, by the same code: what it finds changed is news, and what is
//! missing is confirmed before anything is concluded. It only counts besides.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use sitesync_provider::{Error, ErrorKind, Kind, join};
use tokio::sync::{Semaphore, mpsc};

use super::discover::{self, Discovered};
use super::pair::{Pair, RootPair, Side};
use super::place::{Place, RootAt, Trouble, for_each};
use super::plan;
use super::recorded::{Keys, Look};
use super::run::{End, Run};
use super::schedule::{Engine, Mode};
use super::siblings::Siblings;
use crate::catalog::{FileId, FileRow, Have, RootId, STALE, SiteId};
use crate::settings::Project;
use crate::sites::{Fault, is_site_fault};

/// Files that are told by name, of each kind.
const NAMED: usize = 100;

/// What a site has, compared with what the catalog says of it.
#[derive(Debug, Default)]
pub struct Validated {
    /// Files that are there as they are known,
    pub found: u64,
    /// and their bytes.
    pub bytes: u64,
    /// Files that are there and are not what was known: news from now on.
    pub changed: u64,
    /// Files that are not there any more.
    pub missing: u64,
    /// Files there that were not known to be there.
    pub unknown: u64,
    /// Files of which nothing is concluded now: work on them is under way.
    pub busy: u64,
    /// Folders that could not be listed.
    pub unlisted: u64,
    /// The first that changed, and the first that are missing: paths beneath their roots.
    pub named: Vec<(Verdict, String)>,
}

/// What is the matter with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is not what was known.
    Changed,
    /// It is not there.
    Missing,
}

/// Files to look at, where not all are meant.
#[derive(Debug, Default)]
pub struct Only {
    files: HashSet<FileId>,
    folders: HashMap<RootId, BTreeSet<String>>,
}

impl Only {
    /// Adds a file.
    pub fn add(&mut self, root: RootId, folder: &str, file: FileId) {
        self.files.insert(file);
        let folders = self.folders.entry(root).or_default();
        if !folders.contains(folder) {
            folders.insert(folder.to_owned());
        }
    }
}

impl Engine {
    /// Looks at what a project has at a site: all of it, or only some files. What differs from the
    /// catalog is put right there.
    pub async fn validate(
        &self,
        project: &Project,
        site: &str,
        only: Option<&Only>,
    ) -> Result<Validated, Trouble> {
        let paired = project.pairs.iter().find(|pair| pair.iter().any(|end| end == site));
        let Some(names) = paired else {
            let why = format!("no files of project '{}' travel to or from it", project.name);
            let kind = sitesync_provider::ErrorKind::InvalidSettings;
            let hint = Some("`sitesync projects` shows between which sites files travel".into());
            return Err(Fault { site: site.to_owned(), kind, message: why, hint }.into());
        };
        let Engine { sites, catalog, dice, ours, .. } = self;
        let pair = Pair::open(sites, catalog, dice, project, names, ours).await?;
        let side = if pair.site_name(Side::Active) == site { Side::Active } else { Side::Remote };
        let sibling = Arc::new(Arc::<Siblings>::default().join());
        let surveys = Arc::new(Semaphore::new(1));
        let run = Run::new(self.clone(), pair, Mode::Once, surveys, sibling);
        let here = run.pair.site(side);
        let mut count = Count { here, only, validated: Validated::default(), missing: Vec::new() };
        let before = unlisted(self);
        let look = self.recorded.look(here);
        for root in run.pair.roots() {
            match only {
                None => {
                    let mut see = |found: &Discovered| count.see(&run, found);
                    run.survey_with(&root, side, &look, &mut see).await?;
                }
                Some(only) => run.look_into(&root, side, &look, only, &mut count).await?,
            }
        }
        run.let_go().await?;
        count.conclude(&run)?;
        let mut validated = count.validated;
        validated.unlisted = unlisted(self) - before;
        Ok(validated)
    }
}

/// Looks for single files at one site, beside all that goes on there.
#[derive(Debug)]
pub struct Verifier {
    place: Place,
}

impl Engine {
    /// Begins to look for files of a project at a site.
    pub async fn verifier(&self, project: &Project, site: &str) -> Result<Verifier, Trouble> {
        Ok(Verifier { place: self.place(project, site).await? })
    }
}

impl Verifier {
    /// Of these files, which the catalog says are at the site, those that are not there as it says.
    /// Changes nothing. An error is one of the site or the catalog.
    pub async fn not_there(
        &self,
        files: Vec<(RootId, String, FileRow)>,
    ) -> Result<Vec<(RootId, String, FileId)>, Trouble> {
        let looks = files.into_iter().map(|(root, folder, row)| {
            (self.place.root(root).cloned(), self.place.site, (root, folder, row))
        });
        let looked = for_each(looks.collect(), |(at, site, (root, folder, row))| async move {
            let path = join(&folder, &row.name);
            let there = match at {
                Some(at) => is_there(&at, site, &path, &row).await,
                None => Ok(false),
            };
            there.map(|there| (!there).then_some((root, folder, row.id)))
        });
        let mut missing = Vec::new();
        for found in looked.await? {
            missing.extend(found.map_err(|error| Fault::new(&self.place.name, &error))?);
        }
        Ok(missing)
    }
}

/// What is at a site now of a file that the catalog says is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Now {
    /// The same.
    Same,
    /// Another content; as a have that is outdated.
    Other(Have),
    /// No file.
    Gone,
}

impl Verifier {
    /// What is there now of these files, of those that the catalog says have been there. Changes
    /// nothing. An error is one of the site or the catalog.
    pub async fn now(
        &self,
        files: Vec<(RootId, String, FileRow)>,
    ) -> Result<Vec<(FileId, Now)>, Trouble> {
        let site = self.place.site;
        let looks = files.into_iter().filter_map(|(root, folder, row)| {
            let at = self.place.root(root).cloned()?;
            let had = row.at(site)?.clone();
            Some((at, join(&folder, &row.name), had, row.id))
        });
        let looked = for_each(looks.collect(), |(at, path, had, file)| async move {
            let now = match at.root.stat(&path).await {
                Ok(seen) if seen.kind != Kind::File => Now::Gone,
                Ok(seen) if seen.fingerprint() == had.version && seen.size == had.size => Now::Same,
                Ok(seen) => Now::Other(plan::have(had.site, STALE, &seen)),
                Err(error) if error.kind() == ErrorKind::NotFound => Now::Gone,
                Err(error) => return Err(error),
            };
            Ok((file, now))
        });
        let looked = looked.await?.into_iter();
        let named = |error| Trouble::from(Fault::new(&self.place.name, &error));
        let looked = looked.map(|found| found.map_err(named)).collect::<Result<_, _>>()?;
        // An empty mount point has none of them.
        self.place.still_there().await?;
        Ok(looked)
    }
}

/// Whether a file is at a root as the catalog says. What another site has that is the same storage seen
/// another way has another fingerprint here.
async fn is_there(at: &RootAt, site: SiteId, path: &str, row: &FileRow) -> Result<bool, Error> {
    let had = row.newest_at(site);
    match at.root.stat(path).await {
        Ok(seen) => Ok(seen.kind == Kind::File
            && seen.size == had.map_or(row.size, |had| had.size)
            && had.is_none_or(|had| had.version == seen.fingerprint())),
        Err(error) if is_site_fault(error.kind()) => Err(error),
        Err(_) => Ok(false),
    }
}

fn unlisted(engine: &Engine) -> u64 {
    engine.progress.unlisted.load(std::sync::atomic::Ordering::Relaxed)
}

impl Run {
    /// Looks at the folders of some files.
    async fn look_into(
        &self,
        root: &Arc<RootPair>,
        side: Side,
        look: &Look,
        only: &Only,
        count: &mut Count<'_>,
    ) -> Result<(), End> {
        let Some(folders) = only.folders.get(&root.id) else { return Ok(()) };
        let touched: BTreeMap<_, _> =
            folders.iter().map(|folder| (folder.clone(), BTreeSet::new())).collect();
        root.still_there(side).await.map_err(|error| self.fault(side, &error))?;
        let (to_plan, mut found) = mpsc::channel::<Discovered>(8);
        let progress = &self.engine.progress;
        let looking = async {
            let to_plan = to_plan;
            discover::look(&self.pair, root, side, progress, &to_plan, touched).await
        };
        let planning = async {
            while let Some(discovered) = found.recv().await {
                count.see(self, &discovered)?;
                self.plan(discovered, look, &mut Keys::default()).await?;
            }
            Ok::<_, End>(())
        };
        let (looked, planned) = tokio::join!(looking, planning);
        planned?;
        let (_, gone) = looked.map_err(|error| self.fault(side, &error))?;
        let folders: Vec<_> = gone.into_iter().map(discover::Folder::gone).collect();
        if !folders.is_empty() {
            let gone = Discovered { root: root.clone(), side, folders };
            count.see(self, &gone)?;
            self.plan(gone, look, &mut Keys::default()).await?;
        }
        Ok(())
    }
}

/// Counts what a look finds, before it is planned.
struct Count<'a> {
    here: SiteId,
    only: Option<&'a Only>,
    validated: Validated,
    /// Files that were not listed, with where they are: whether they are gone is not known before the
    /// look has ended.
    missing: Vec<(RootId, String, String)>,
}

impl Count<'_> {
    fn meant(&self, row: &FileRow) -> bool {
        self.only.is_none_or(|only| only.files.contains(&row.id))
    }

    fn name(&mut self, verdict: Verdict, path: String) {
        if self.validated.named.iter().filter(|(of, _)| *of == verdict).count() < NAMED {
            self.validated.named.push((verdict, path));
        }
    }

    fn see(&mut self, run: &Run, found: &Discovered) -> Result<(), End> {
        let root = found.root.id;
        for folder in &found.folders {
            let rows = tokio::task::block_in_place(|| {
                run.engine.catalog.read(|view| view.folder(root, &folder.path))
            })?;
            let mut known: HashMap<&str, &FileRow> =
                rows.files.iter().map(|row| (row.name.as_str(), row)).collect();
            for entry in &folder.files {
                let row = known.remove(entry.name.as_str());
                let had = row.and_then(|row| row.at(self.here));
                match (row, had) {
                    (Some(row), _) if !self.meant(row) => {}
                    (Some(row), Some(had)) => {
                        let seen = &entry.metadata;
                        if had.version == seen.fingerprint() && had.size == seen.size {
                            self.validated.found += 1;
                            self.validated.bytes += had.size;
                        } else if self.comes(row) {
                            self.validated.busy += 1;
                        } else {
                            self.validated.changed += 1;
                            self.name(Verdict::Changed, join(&folder.path, &row.name));
                        }
                    }
                    (Some(row), None) if self.comes(row) => self.validated.busy += 1,
                    (Some(_), None) => self.validated.unknown += 1,
                    (None, _) => self.validated.unknown += u64::from(self.only.is_none()),
                }
            }
            if !folder.complete {
                continue;
            }
            for row in known.into_values() {
                if self.meant(row) && row.at(self.here).is_some() {
                    self.missing.push((root, folder.path.clone(), row.name.clone()));
                }
            }
        }
        Ok(())
    }

    /// Whether a transfer to here is writing it, or was when the host ended.
    fn comes(&self, row: &FileRow) -> bool {
        row.jobs.iter().any(|job| job.to == self.here && job.sent.is_some())
    }

    /// Of what was not listed, what is gone by the catalog now.
    fn conclude(&mut self, run: &Run) -> Result<(), End> {
        for (root, folder, name) in std::mem::take(&mut self.missing) {
            let now = run.engine.catalog.read(|view| view.file(root, &folder, &name))?;
            if now.is_some_and(|row| row.at(self.here).is_some()) {
                self.validated.busy += 1;
            } else {
                self.validated.missing += 1;
                self.name(Verdict::Missing, join(&folder, &name));
            }
        }
        Ok(())
    }
}
