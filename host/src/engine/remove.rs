//! Taking files away from one site: what is deleted has another copy that was looked at just now,
//! and nothing brings it back by itself.
//!
//! The order of things makes a crash harmless: a copy elsewhere is verified, then the catalog says that
//! the file is not wanted here, then it is deleted, then the catalog says that it is gone. Whatever is
//! left undone is done by the same command once more, or found by the next look at the site.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use sitesync_provider::{DeleteOptions, Error, ErrorKind, Kind, join};
use tokio::sync::OwnedMutexGuard;

use super::belonging::{Belonging, is_to_go};
use super::place::{Place, RootAt, Trouble, for_each, one_storage};
use super::plan;
use super::schedule::Engine;
use super::trash::trashes;
use crate::catalog::{
    self, DOUBTFUL, FileRow, GONE, Have, JobState, Millis, RootId, SiteId, UNKNOWN, Unit,
};
use crate::settings::Project;
use crate::sites::{Fault, is_site_fault};

/// Files that were kept and are told by name; more are counted.
const NAMED: usize = 1000;

/// A file that is to be taken away.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its root.
    pub root: RootId,
    /// Its folder beneath that.
    pub folder: String,
    /// As the catalog knows it.
    pub row: FileRow,
}

impl Target {
    fn path(&self) -> String {
        join(&self.folder, &self.row.name)
    }
}

/// What became of files that were to be taken away.
#[derive(Debug, Default)]
pub struct Removed {
    /// Files that were deleted.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that were not there; they won't come by themselves either.
    pub absent: u64,
    /// How many were kept,
    pub kept_files: u64,
    /// and the first of these.
    pub kept: Vec<Kept>,
}

/// A file that was not taken away.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Its root's key.
    pub root: RootId,
    /// Its path beneath the root.
    pub path: String,
    /// Why: completes 'it is kept: ...'.
    pub why: String,
}

impl Removed {
    fn keep(&mut self, target: &Target, why: String) {
        self.kept_files += 1;
        if self.kept.len() < NAMED {
            self.kept.push(Kept { root: target.root, path: target.path(), why });
        }
    }
}

/// Whose turn it is to take files of a project away. Of two removals side by side each could take
/// what the other one counts on as another copy.
#[derive(Debug, Default)]
pub struct Turns(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    async fn take(&self, project: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.entry(project.to_owned()).or_default().clone()
        };
        turn.lock_owned().await
    }
}

/// Takes files of one project away from one site.
#[derive(Debug)]
pub struct Remover {
    engine: Engine,
    project: Project,
    belonging: Belonging,
    place: Place,
    /// The site, and those that are the same storage.
    gone_from: Vec<SiteId>,
    /// Names in the settings of all sites of the project.
    names: HashMap<SiteId, String>,
    /// Other sites as far as they were needed: opened, or why they can't be.
    others: HashMap<SiteId, Result<Arc<Place>, String>>,
    force: bool,
    /// Folders from which something was taken.
    emptied: BTreeSet<(RootId, String)>,
}

/// What is to be done with a file.
enum Verdict {
    Take(Have),
    Absent,
    Keep(String),
}

impl Engine {
    /// Begins to take files away from a site. With `force`, also those of which no other copy can be
    /// found, or that nobody has compared with others.
    pub async fn remover(
        &self,
        project: &Project,
        site: &str,
        force: bool,
    ) -> Result<Remover, Trouble> {
        let place = self.place(project, site).await?;
        let (sites, of) = (self.sites.clone(), project.clone());
        let (belonging, names) = self
            .catalog
            .write(move |unit| {
                let belonging = Belonging::of(unit, &sites, &of)?;
                let mut names = HashMap::new();
                for name in of.sites.keys() {
                    names.insert(unit.put_site(sites.catalog_name(name))?, name.clone());
                }
                Ok((belonging, names))
            })
            .await?;
        let mut gone_from = vec![place.site];
        gone_from.extend(belonging.alike(place.site));
        Ok(Remover {
            engine: self.clone(),
            project: project.clone(),
            belonging,
            place,
            gone_from,
            names,
            others: HashMap::new(),
            force,
            emptied: BTreeSet::new(),
        })
    }
}

impl Remover {
    /// The key of the site.
    #[must_use]
    pub fn site(&self) -> SiteId {
        self.place.site
    }

    /// Roots that the project has there: their keys and names.
    #[must_use]
    pub fn roots(&self) -> Vec<(RootId, String)> {
        self.place.roots.iter().map(|root| (root.id, root.name.clone())).collect()
    }

    /// Takes these files away. An error is one of the site or the catalog: what was done before it is
    /// counted.
    ///
    /// Other removals of the project wait meanwhile, from the look at other copies to the deleting.
    pub async fn remove(
        &mut self,
        targets: Vec<Target>,
        removed: &mut Removed,
    ) -> Result<(), Trouble> {
        self.place.still_there().await?;
        let _turn = self.engine.removals.take(&self.project.name).await;
        let mut take = Vec::new();
        let mut tombs = Vec::new();
        for (target, verdict) in self.judge(targets).await? {
            match verdict {
                Verdict::Take(have) => take.push((target, have)),
                Verdict::Absent => tombs.push(target),
                Verdict::Keep(why) => removed.keep(&target, why),
            }
        }
        let take = self.no_longer_wanted(take, tombs, removed).await?;
        self.delete(take, removed).await
    }

    /// Removes folders from which something was taken, and those around them, as far as they are empty
    /// now. Returns how many.
    pub async fn remove_empty_folders(&mut self) -> u64 {
        let mut left: BTreeSet<(RootId, String)> = BTreeSet::new();
        for (root, folder) in std::mem::take(&mut self.emptied) {
            let mut folder = folder.as_str();
            while !folder.is_empty() && left.insert((root, folder.to_owned())) {
                folder = folder.rsplit_once('/').map_or("", |(above, _)| above);
            }
        }
        // The deepest first: a folder sorts before those in it.
        let mut removed = 0;
        for (root, folder) in left.into_iter().rev() {
            let Some(at) = self.place.root(root) else { continue };
            match at.root.remove_folder(&folder).await {
                Ok(()) => removed += 1,
                Err(error) => tracing::debug!(%error, folder, "the folder stays"),
            }
        }
        removed
    }

    /// Says of each file whether it may go. Changes nothing.
    async fn judge(&mut self, targets: Vec<Target>) -> Result<Vec<(Target, Verdict)>, Trouble> {
        let mut judged = Vec::with_capacity(targets.len());
        let mut to_ask = Vec::new();
        for target in targets {
            match self.by_the_catalog(&target) {
                Verdict::Take(have) if !self.force => {
                    let witnesses = self.witnesses(&target).await;
                    to_ask.push((target, have, witnesses));
                }
                verdict => judged.push((target, verdict)),
            }
        }
        let asked = for_each(to_ask, |(target, have, witnesses)| async move {
            let verdict = match witness(&target, witnesses).await {
                Ok(()) => Verdict::Take(have),
                Err(why) => Verdict::Keep(why),
            };
            (target, verdict)
        });
        judged.extend(asked.await?);
        Ok(judged)
    }

    /// Whether a file may go, as far as the catalog tells.
    fn by_the_catalog(&self, target: &Target) -> Verdict {
        let row = &target.row;
        if let Some(why) = self.busy(row) {
            return Verdict::Keep(why);
        }
        let Some(have) = row.at(self.place.site) else { return Verdict::Absent };
        if self.place.root(target.root).is_none() {
            return Verdict::Keep("its root is not among those of the site".into());
        }
        if !is_compared(have) && !self.force {
            let why = "it differs from what other sites have, or nobody has compared them yet";
            return Verdict::Keep(why.into());
        }
        Verdict::Take(have.clone())
    }

    /// Why a file is to be left alone at this moment.
    fn busy(&self, row: &FileRow) -> Option<String> {
        let mut working = row.jobs.iter().filter(|job| job.state == JobState::InProgress);
        working.find_map(|job| {
            if self.gone_from.contains(&job.to) {
                return Some("it is being brought there right now; try again then".into());
            }
            self.gone_from.contains(&job.from).then(|| {
                let to = self.names.get(&job.to).map_or("another site", |name| name);
                format!("it is being brought from there to '{to}' right now; try again then")
            })
        })
    }

    /// Sites that are to have the newest content of a file besides this one: each with its root and
    /// what it has, or why it can't be asked.
    async fn witnesses(&mut self, target: &Target) -> Vec<Result<(RootAt, Have), String>> {
        let row = &target.row;
        let mut found = Vec::new();
        for have in &row.haves {
            if self.gone_from.contains(&have.site) || have.generation != row.generation {
                continue;
            }
            if is_to_go(row, have.site) {
                found.push(Err("the other copy is to be removed as well".to_owned()));
                continue;
            }
            let witness = self.other(have.site).await.map(|place| place.root(target.root).cloned());
            match (witness, self.place.root(target.root)) {
                (Err(why), _) => found.push(Err(why)),
                (Ok(Some(there)), Some(own)) if !one_storage(own, &there) => {
                    found.push(Ok((there, have.clone())));
                }
                _ => {}
            }
        }
        found
    }

    async fn other(&mut self, site: SiteId) -> Result<Arc<Place>, String> {
        if let Some(known) = self.others.get(&site) {
            return known.clone();
        }
        let opened = match self.names.get(&site) {
            None => Err("a site that has it is not in the settings".to_owned()),
            Some(name) if !self.project.site_enabled(name) => {
                Err(format!("site '{name}', which has it, is switched off"))
            }
            Some(name) => match self.engine.place(&self.project, name).await {
                Ok(place) => Ok(Arc::new(place)),
                Err(trouble) => Err(format!("the other copy can't be looked at: {trouble}")),
            },
        };
        self.others.insert(site, opened.clone());
        opened
    }

    /// Writes down that files are not wanted at the site, which drops what would bring them there.
    /// Returns those that are as they were when they were judged.
    async fn no_longer_wanted(
        &self,
        take: Vec<(Target, Have)>,
        tombs: Vec<Target>,
        removed: &mut Removed,
    ) -> Result<Vec<(Target, Have)>, Trouble> {
        let sites = self.gone_from.clone();
        let site = self.place.site;
        let noted = self.engine.recorded.clone();
        let write = move |unit: &mut dyn Unit| {
            let (mut sure, mut changed, mut absent) = (Vec::new(), Vec::new(), 0);
            let all = take.into_iter().map(|(target, have)| (target, Some(have)));
            for (target, have) in all.chain(tombs.into_iter().map(|target| (target, None))) {
                let now = unit.file(target.root, &target.folder, &target.row.name)?;
                let Some(now) = now.filter(|now| now.id == target.row.id) else { continue };
                let counted_on = |have: &Have| !is_to_go(&target.row, have.site);
                let leaves = |have: &Have| counted_on(have) && is_to_go(&now, have.site);
                let same = now.at(site) == have.as_ref()
                    && now.generation == target.row.generation
                    && !now.haves.iter().any(leaves)
                    && !now.jobs.iter().any(|job| {
                        let touches = sites.contains(&job.to) || sites.contains(&job.from);
                        job.state == JobState::InProgress && touches
                    });
                if !same {
                    changed.push(target);
                    continue;
                }
                noted.note(now.id);
                for site in &sites {
                    unit.put_want(now.representation, Some(now.id), *site, Some(false))?;
                    unit.drop_job(now.id, *site)?;
                }
                match have {
                    Some(have) => sure.push((target, have)),
                    None => absent += 1,
                }
            }
            Ok((sure, changed, absent))
        };
        let (sure, changed, absent) = self.engine.catalog.write(write).await?;
        removed.absent += absent;
        for target in changed {
            removed.keep(&target, "it changed in this very moment; try again".into());
        }
        Ok(sure)
    }

    async fn delete(
        &mut self,
        take: Vec<(Target, Have)>,
        removed: &mut Removed,
    ) -> Result<(), Trouble> {
        let take: Vec<(Target, Have, RootAt, bool)> = take
            .into_iter()
            .filter_map(|(target, have)| {
                let root = self.place.root(target.root)?.clone();
                let to_trash = trashes(&self.project, &root.root);
                Some((target, have, root, to_trash))
            })
            .collect();
        let deleted = for_each(take, |(target, have, at, to_trash)| async move {
            let how = DeleteOptions::if_version(&have.version).to_trash(to_trash);
            let fate = delete(&at, &target.path(), how).await;
            (target, have, fate)
        });
        let (mut gone, mut kept, mut fault) = (Vec::new(), Vec::new(), None);
        for (target, have, fate) in deleted.await? {
            let (error, open) = match fate {
                Fate::Gone => {
                    removed.files += 1;
                    removed.bytes += have.size;
                    self.emptied.insert((target.root, target.folder.clone()));
                    gone.push(target);
                    continue;
                }
                Fate::Stays(error) => (error, false),
                Fate::Open(error) => (error, true),
            };
            let why = match error.kind() {
                ErrorKind::Precondition => {
                    "it has changed there since it was last looked at".to_owned()
                }
                _ if open => format!("it may be gone all the same: {}", error.message()),
                _ => error.message().to_owned(),
            };
            removed.keep(&target, why);
            if is_site_fault(error.kind()) {
                fault = Some(Fault::new(&self.place.name, &error));
            }
            // What may go yet is not wanted there: its absence is no deletion that somebody made.
            if !open {
                kept.push(target);
            }
        }
        let (belonging, sites) = (self.belonging.clone(), self.gone_from.clone());
        let now = self.engine.time.now();
        let noted = self.engine.recorded.clone();
        let write = move |unit: &mut dyn Unit| {
            for target in gone {
                noted.note(target.row.id);
                forgotten(unit, &belonging, &target, &sites, now)?;
            }
            // What stays there is wanted as much as it was before.
            for Target { row, .. } in kept {
                for site in &sites {
                    let before = row.wants.iter().find(|(at, _)| at == site).map(|(_, want)| *want);
                    unit.put_want(row.representation, Some(row.id), *site, before)?;
                }
            }
            Ok(())
        };
        self.engine.catalog.write(write).await?;
        fault.map_or(Ok(()), |fault| Err(fault.into()))
    }
}

/// Whether it is known which content of its file a site has.
fn is_compared(have: &Have) -> bool {
    !matches!(have.generation, UNKNOWN | DOUBTFUL)
}

/// What became of a file that was to be deleted.
enum Fate {
    Gone,
    Stays(Error),
    /// It may be gone, or go yet.
    Open(Error),
}

/// Deletes a file. Whatever the answer, it is what is there afterwards that counts.
async fn delete(at: &RootAt, path: &str, how: DeleteOptions) -> Fate {
    let error = match at.root.delete(path, how).await {
        Ok(()) => return Fate::Gone,
        Err(error) if error.kind() == ErrorKind::Precondition => return Fate::Stays(error),
        Err(error) => error,
    };
    match at.root.stat(path).await {
        Ok(_) if !may_be_done_yet(error.kind()) => Fate::Stays(error),
        Err(missing) if missing.kind() == ErrorKind::NotFound => match at.still_there().await {
            Ok(()) => Fate::Gone,
            Err(another) => Fate::Open(another),
        },
        _ => Fate::Open(error),
    }
}

/// True for what is no refusal: the provider may still be at it, or the service.
fn may_be_done_yet(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Timeout
            | ErrorKind::Interrupted
            | ErrorKind::Cancelled
            | ErrorKind::Panicked
            | ErrorKind::Unknown(_)
    )
}

/// Whether a site that is to have the newest content of a file has it at this moment; else why not.
async fn witness(
    target: &Target,
    witnesses: Vec<Result<(RootAt, Have), String>>,
) -> Result<(), String> {
    let mut why = None;
    for witness in witnesses {
        let (at, have) = match witness {
            Ok(witness) => witness,
            Err(reason) => {
                why.get_or_insert(reason);
                continue;
            }
        };
        let site = &at.root.site;
        match at.root.stat(&target.path()).await {
            Ok(seen)
                if seen.kind == Kind::File
                    && seen.size == have.size
                    && seen.fingerprint() == have.version =>
            {
                return Ok(());
            }
            Ok(_) => {
                why.get_or_insert(format!("the copy at '{site}' has changed since"));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                why.get_or_insert(format!("the copy at '{site}' is gone"));
            }
            Err(error) => {
                why.get_or_insert(format!("the other copy can't be looked at: {error}"));
            }
        }
    }
    Err(why.unwrap_or_else(|| "no other site has it in its newest content".to_owned()))
}

/// A file was deleted at these sites, which are one storage. What others have is the file now.
fn forgotten(
    unit: &mut dyn Unit,
    belonging: &Belonging,
    target: &Target,
    sites: &[SiteId],
    now: Millis,
) -> catalog::Result<()> {
    let find = |unit: &mut dyn Unit| unit.file(target.root, &target.folder, &target.row.name);
    let Some(row) = find(unit)? else { return Ok(()) };
    let ours = |site: SiteId| sites.contains(&site);
    for job in &row.jobs {
        if (ours(job.to) || ours(job.from)) && job.state != JobState::InProgress {
            unit.drop_job(row.id, job.to)?;
        }
    }
    let others = row.haves.iter().filter(|have| !ours(have.site) && have.generation != GONE);
    let others: Vec<&Have> = others.collect();
    let best = others.iter().map(|have| have.generation).max();
    for have in row.haves.iter().filter(|have| ours(have.site)) {
        if have.generation == row.generation && best == Some(row.generation) {
            unit.put_have(row.id, &Have::gone(have.site, row.generation))?;
        } else {
            unit.drop_have(row.id, have.site)?;
        }
    }
    if best.is_none() {
        row.haves.iter().try_for_each(|have| unit.drop_have(row.id, have.site))?;
        // What is under way ends first, and finds that it is nowhere.
        let left = find(unit)?.filter(plan::is_nowhere);
        return left.map_or(Ok(()), |row| plan::forget(unit, &row));
    }
    plan::promote(unit, row.id)?;
    if let Some(row) = find(unit)? {
        belonging.settle(unit, row, now)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::STALE;

    #[test]
    fn what_nobody_compared_is_told_from_what_is_ours() {
        let is = |generation| {
            let (version, site) = ("1".to_owned(), SiteId(1));
            is_compared(&Have { site, generation, version, size: 1, mtime_ns: None })
        };
        assert!(is(1) && is(STALE));
        assert!(!is(UNKNOWN) && !is(DOUBTFUL));
    }
}
