//! What a listing means, and what is to be done about it.
//!
//! [`decide`] compares one listed folder with the catalog and changes nothing; [`apply`] writes its
//! decisions down. Both run in one unit of work, so that nothing comes between them; a folder in
//! which nothing is new costs reads only.

use std::collections::HashMap;

use sitesync_provider::Metadata;

use super::discover::Folder;
use super::names;
use super::pair::{Pair, RootPair, Side};
use super::recorded::Look;
use crate::catalog::{
    FileId, FileRow, FolderId, GONE, Generation, Have, Job, JobError, JobState, Millis, Result,
    STALE, Sent, SiteId, UNKNOWN, Unit, View,
};
use crate::publish::Naming;

/// What planning needs to know besides the catalog.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// Host time.
    pub now: Millis,
    /// The calendar: to be compared with modification times, and to say when something was found.
    pub wall_ns: i64,
}

/// What is to be written down of one folder.
#[derive(Debug, Default)]
pub(super) struct FolderPlan {
    /// The folder's key, if it is known.
    pub id: Option<FolderId>,
    steps: Vec<Step>,
    /// Files that were there and were not listed: to be confirmed before anything is concluded.
    pub missing: Vec<Missing>,
    /// Something was recorded of a file after the look at it began, or it was left to a job that is
    /// not done: it is to be looked at again.
    pub again: bool,
    /// Transfers that this makes necessary.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A file that a complete listing does not name any more.
#[derive(Debug, Clone)]
pub(super) struct Missing {
    /// Its folder.
    pub folder: String,
    /// Its name.
    pub name: String,
    /// What was there.
    pub version: String,
}

#[derive(Debug)]
enum Step {
    /// A file that nobody knew.
    Add { name: String, size: u64, have: Have, job: Option<Job> },
    /// News of a known one.
    Set {
        file: FileId,
        content: Option<(Generation, u64)>,
        have: Option<Have>,
        job: Option<Job>,
        /// What the other end has, if it is outdated by this and to be compared before it is
        /// replaced.
        outdated: Option<Have>,
    },
}

impl FolderPlan {
    /// True if there is nothing to write down.
    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

/// Compares a listed folder with what is known of it.
pub(super) fn decide(
    view: &dyn View,
    pair: &Pair,
    root: &RootPair,
    side: Side,
    folder: &Folder,
    moment: Moment,
    look: &Look,
) -> Result<FolderPlan> {
    let rows = view.folder(root.id, &folder.path)?;
    let mut plan = FolderPlan { id: rows.id, ..FolderPlan::default() };
    let planner = Planner { pair, root, side, folder: &folder.path, moment };
    let mut known: HashMap<&str, &FileRow> = HashMap::with_capacity(rows.files.len());
    for row in &rows.files {
        known.insert(&row.name, row);
    }
    let mut folded = planner.folded(&known, folder);
    for entry in &folder.files {
        let row = known.remove(entry.name.as_str());
        if row.is_some_and(|row| look.is_overtaken(row.id)) {
            plan.again = true;
            continue;
        }
        let step = planner.file(row, &entry.name, &entry.metadata, &mut folded, &mut plan.again);
        if let Some(step) = step {
            plan.push(step);
        }
    }
    if folder.complete {
        let here = pair.site(side);
        for row in known.into_values() {
            let working =
                row.jobs.iter().any(|job| job.to == here && job.state == JobState::InProgress);
            let had = row.haves.iter().find(|have| have.site == here && have.generation != GONE);
            plan.again |= had.is_some() && working;
            if let (Some(had), false) = (had, working) {
                plan.missing.push(Missing {
                    folder: folder.path.clone(),
                    name: row.name.clone(),
                    version: had.version.clone(),
                });
            }
        }
    }
    Ok(plan)
}

impl FolderPlan {
    fn push(&mut self, step: Step) {
        let (job, size) = match &step {
            Step::Add { job, have, .. } => (job, have.size),
            Step::Set { job, content, have, .. } => {
                let size = content.map(|(_, size)| size);
                (job, size.or(have.as_ref().map(|have| have.size)).unwrap_or(0))
            }
        };
        if job.as_ref().is_some_and(|job| job.state != JobState::Failed) {
            self.files += 1;
            self.bytes += size;
        }
        self.steps.push(step);
    }
}

struct Planner<'a> {
    pair: &'a Pair,
    root: &'a RootPair,
    side: Side,
    folder: &'a str,
    moment: Moment,
}

impl Planner<'_> {
    /// Folded names of this folder, where the destination folds names: to find two that would be
    /// one file there. `None` where every name is its own.
    fn folded(
        &self,
        known: &HashMap<&str, &FileRow>,
        folder: &Folder,
    ) -> Option<HashMap<String, String>> {
        let rules = &self.root.end(self.side.other()).info.names;
        if rules.case_sensitive {
            return None;
        }
        let mut folded = HashMap::new();
        for name in known.keys().copied().chain(folder.files.iter().map(|e| e.name.as_str())) {
            folded.entry(names::fold(rules, name)).or_insert_with(|| name.to_owned());
        }
        Some(folded)
    }

    fn file(
        &self,
        row: Option<&FileRow>,
        name: &str,
        seen: &Metadata,
        folded: &mut Option<HashMap<String, String>>,
        again: &mut bool,
    ) -> Option<Step> {
        let here = self.pair.site(self.side);
        let there = self.pair.site(self.side.other());
        let Some(row) = row else {
            let job = self
                .pair
                .brings_to(self.side.other())
                .then(|| self.job_there(name, seen, None, folded));
            let have = self.have(seen, 1);
            return Some(Step::Add { name: name.to_owned(), size: seen.size, have, job });
        };
        let job_here = row.jobs.iter().find(|job| job.to == here);
        let job_there = row.jobs.iter().find(|job| job.to == there);
        let at =
            |site| row.haves.iter().find(move |have| have.site == site && have.generation != GONE);
        let elsewhere = at(there);
        // Deleted here, and nothing has changed elsewhere since: what is here now follows that.
        let returns = row.haves.iter().any(|h| h.site == here && h.is_gone_from(row.generation));
        let file = row.id;
        let set = |content, have, job| Some(Step::Set { file, content, have, job, outdated: None });

        // A transfer is writing it at this moment, or was when the host died: it will be settled
        // by that job, which knows what it sent.
        let unrecorded = |job: &Job| {
            job.state == JobState::InProgress
                || job.sent.is_some_and(|sent| {
                    is_sent(sent, seen, self.root.end(self.side).info.mtime_step_ns)
                })
        };

        match at(here) {
            // A size that changes under one version was a lie before, or is one now.
            Some(have) if have.version == seen.fingerprint() && have.size == seen.size => {
                // Nothing new here. Is there something to do for the other end?
                let newest = have.generation == row.generation;
                let behind = elsewhere.is_none_or(|other| other.generation < row.generation);
                let wanted = self.pair.brings_to(self.side.other()) || elsewhere.is_some();
                if newest && behind && wanted && job_there.is_none() {
                    return set(None, None, Some(self.job_there(name, seen, None, folded)));
                }
                None
            }
            Some(_) if job_here.is_some_and(unrecorded) => {
                *again = true;
                None
            }
            Some(have) if have.generation == row.generation => {
                // New content here; the other end has an older one, or none.
                let generation = row.generation + 1;
                let wanted = self.pair.brings_to(self.side.other()) || elsewhere.is_some();
                let busy = job_there.is_some_and(|job| job.state == JobState::InProgress);
                let job = (wanted && !busy).then(|| self.job_there(name, seen, job_there, folded));
                set(Some((generation, seen.size)), Some(self.have(seen, generation)), job)
            }
            // Changed here while newer content is on its way to here: both ends changed. What is
            // here must be compared, not overwritten.
            Some(_) => set(None, Some(self.have(seen, UNKNOWN)), Some(self.meet(job_here))),
            None if job_here.is_some_and(unrecorded) => {
                *again = true;
                None
            }
            None if elsewhere.is_some() && !returns => {
                // Two files meet for the first time.
                set(None, Some(self.have(seen, UNKNOWN)), Some(self.meet(job_here)))
            }
            None => {
                // Known, and nowhere any more, or deleted here: it comes back.
                let generation = row.generation + 1;
                let wanted = self.pair.brings_to(self.side.other()) || elsewhere.is_some();
                let busy = job_there.is_some_and(|job| job.state == JobState::InProgress);
                let mut job =
                    (wanted && !busy).then(|| self.job_there(name, seen, job_there, folded));
                // It may be the same as before (a folder that was moved away and back): as with
                // something that was sent, the other end is compared first.
                let outdated = elsewhere
                    .filter(|_| !busy)
                    .map(|other| Have { generation: STALE, ..other.clone() });
                if let (Some(job), Some(_)) = (&mut job, &outdated) {
                    job.sent = Some(self.have(seen, generation).sent());
                }
                let content = Some((generation, seen.size));
                let have = Some(self.have(seen, generation));
                Some(Step::Set { file, content, have, job, outdated })
            }
        }
    }

    fn have(&self, seen: &Metadata, generation: Generation) -> Have {
        have(self.pair.site(self.side), generation, seen)
    }

    /// Work to bring what is here to the other end, once it has settled.
    fn job_there(
        &self,
        name: &str,
        seen: &Metadata,
        earlier: Option<&Job>,
        folded: &mut Option<HashMap<String, String>>,
    ) -> Job {
        let mut job = self.job(self.side.other(), earlier);
        let settle = self.pair.settings.settle.as_millis();
        let settle = i64::try_from(settle).unwrap_or(i64::MAX / 4);
        let quiet_since = self.moment.wall_ns - settle * 1_000_000;
        let quiet = seen.mtime_ns.is_some_and(|mtime| mtime < quiet_since);
        if settle > 0 && !quiet {
            job.state = JobState::Waiting;
            job.not_before = self.moment.now + settle;
        }
        let info = &self.root.end(self.side.other()).info;
        let too_large = names::check_size(info.largest_file, seen.size).err();
        let refused = names::check(&info.names, self.folder, name).err().or_else(|| {
            let folded = folded.as_mut()?;
            let key = names::fold(&info.names, name);
            let first = folded.entry(key).or_insert_with(|| name.to_owned());
            (first != name)
                .then(|| format!("differs only in case from '{first}', and is one with it there"))
        });
        let rule = too_large.map(|why| ("TooLarge", why)).or(refused.map(|r| ("InvalidPath", r)));
        if let Some((kind, message)) = rule {
            job.state = JobState::Failed;
            job.error = Some(JobError { kind: kind.into(), message });
        }
        job
    }

    /// Work to compare what is here with what the other end has.
    fn meet(&self, earlier: Option<&Job>) -> Job {
        self.job(self.side, earlier)
    }

    fn job(&self, to: Side, earlier: Option<&Job>) -> Job {
        Job {
            to: self.pair.site(to),
            from: self.pair.site(to.other()),
            state: JobState::Ready,
            priority: earlier.map_or(i64::from(self.pair.settings.priority), |job| job.priority),
            queued_at: earlier.map_or(self.moment.now, |job| job.queued_at),
            not_before: 0,
            tries: 0,
            // What an earlier try may have left there is recognised by it.
            sent: earlier.and_then(|job| job.sent),
            token: None,
            error: None,
        }
    }
}

/// True if what is seen at a destination is what was sent there, whole or torn: it has the
/// modification time that we gave it, as far as the storage can tell times apart.
///
/// No change is ever concluded from equal times. This recognises our own write where a crash kept
/// it from being recorded; nobody else gives a file this time, but by copying the same source.
pub(super) fn is_sent(sent: Sent, seen: &Metadata, step_ns: u64) -> bool {
    let (Some(sent_mtime), Some(mtime)) = (sent.mtime_ns, seen.mtime_ns) else { return false };
    let step = i64::try_from(step_ns.max(1)).unwrap_or(i64::MAX);
    sent_mtime.abs_diff(mtime) < step.unsigned_abs()
}

/// What a site has of a file, as it reported it.
pub(super) fn have(site: SiteId, generation: Generation, metadata: &Metadata) -> Have {
    Have {
        site,
        generation,
        version: metadata.fingerprint(),
        size: metadata.size,
        mtime_ns: metadata.mtime_ns,
    }
}

/// Writes a folder's decisions down.
pub(super) fn apply(
    unit: &mut dyn Unit,
    pair: &Pair,
    root: &RootPair,
    folder: &str,
    plan: FolderPlan,
    moment: Moment,
) -> Result<FolderId> {
    let id = match plan.id {
        Some(id) => id,
        None => unit.put_folder(root.id, folder)?,
    };
    for step in plan.steps {
        match step {
            Step::Add { name, size, have, job } => {
                let (naming, found_at) = (Naming::by_folder(folder), moment.wall_ns / 1_000_000);
                let representation =
                    unit.put_representation(pair.project, &naming, 0, found_at, "", false)?;
                let file = unit.add_file(id, &name, size, representation)?;
                unit.put_have(file, &have)?;
                if let Some(job) = job {
                    unit.put_job(file, &job)?;
                }
            }
            Step::Set { file, content, have, job, outdated } => {
                if let Some(outdated) = outdated {
                    unit.put_have(file, &outdated)?;
                }
                if let Some((generation, size)) = content {
                    unit.set_generation(file, generation, size)?;
                }
                if let Some(have) = have {
                    unit.put_have(file, &have)?;
                }
                if let Some(job) = job {
                    unit.put_job(file, &job)?;
                }
            }
        }
    }
    Ok(id)
}

/// A file is confirmed to be gone from one end. What the other has is the file now. False if it is
/// to be looked at again, because work on it is under way.
pub(super) fn gone(
    unit: &mut dyn Unit,
    pair: &Pair,
    root: &RootPair,
    side: Side,
    missing: &Missing,
    moment: Moment,
) -> Result<bool> {
    let (here, there) = (pair.site(side), pair.site(side.other()));
    let Some(row) = unit.file(root.id, &missing.folder, &missing.name)? else { return Ok(true) };
    // A transfer may have recorded something newer in the meantime.
    let same = row.haves.iter().any(|h| h.site == here && h.version == missing.version);
    let working = row.jobs.iter().any(|job| job.state == JobState::InProgress);
    if !same || working {
        return Ok(false);
    }
    unit.drop_job(row.id, here)?;
    let elsewhere = row.haves.iter().find(|h| h.site == there && h.generation != GONE);
    let Some(other) = elsewhere else {
        unit.drop_have(row.id, here)?;
        unit.drop_have(row.id, there)?;
        unit.drop_job(row.id, there)?;
        unit.forget_file(row.id)?;
        return Ok(true);
    };
    let was_newest = row.haves.iter().any(|h| h.site == here && h.generation == row.generation);
    if was_newest && other.generation == row.generation {
        unit.put_have(row.id, &Have::gone(here, row.generation))?;
    } else {
        unit.drop_have(row.id, here)?;
    }
    if other.generation != row.generation {
        unit.set_generation(row.id, row.generation, other.size)?;
        unit.put_have(row.id, &Have { generation: row.generation, ..other.clone() })?;
        unit.drop_job(row.id, there)?;
    }
    if pair.brings_to(side) {
        let planner = Planner { pair, root, side: side.other(), folder: &missing.folder, moment };
        unit.put_job(row.id, &planner.job(side, None))?;
    }
    Ok(true)
}
