//! What a listing means, and what is to be done about it.
//!
//! [`Planner::decide`] compares one listed folder with the catalog and changes nothing;
//! [`Planner::apply`] writes its decisions down. Both run in one unit of work, so that nothing comes
//! between them; a folder in which nothing is new costs reads only.

use std::collections::HashMap;

use sitesync_provider::{Metadata, join};

use super::conflicts;
use super::discover::Folder;
use super::names;
use super::pair::{Pair, RootPair, Side};
use super::recorded::Look;
use crate::catalog::{
    FileId, FileRow, FolderId, GONE, Generation, Have, Job, JobError, JobState, Millis,
    RepresentationId, Result, STALE, Sent, SiteId, UNKNOWN, Unit, View,
};
use crate::publish::Naming;
use crate::settings::Deletes;

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
    /// Something that is no file has its name now.
    pub replaced: bool,
}

/// Of a job whose representation is to be asked for its priority.
const NO_PRIORITY: i64 = 0;

#[derive(Debug)]
enum Step {
    /// A file that nobody knew, with the job that brings it to the other end if it belongs there.
    Add { name: String, size: u64, have: Have, job: Job },
    /// Work of which nothing is left to do: the newest content is where it was to be brought.
    Over { file: FileId, site: SiteId },
    /// News of a known one.
    Set {
        file: FileId,
        content: Option<(Generation, u64)>,
        have: Option<Have>,
        job: Option<Job>,
        /// What the other end has, if it is outdated by this and to be compared before it is
        /// replaced.
        outdated: Option<Have>,
        of: RepresentationId,
    },
}

impl FolderPlan {
    /// True if there is nothing to write down.
    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

/// One listed folder, at the moment when it is planned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Planner<'a> {
    pub pair: &'a Pair,
    pub root: &'a RootPair,
    pub side: Side,
    pub folder: &'a Folder,
    pub moment: Moment,
    /// The look that it was seen by.
    pub look: &'a Look,
}

impl Planner<'_> {
    /// Compares the folder with what is known of it.
    pub(super) fn decide(&self, view: &dyn View) -> Result<FolderPlan> {
        let rows = view.folder(self.root.id, &self.folder.path)?;
        let mut plan = FolderPlan { id: rows.id, ..FolderPlan::default() };
        let mut known: HashMap<&str, &FileRow> = HashMap::with_capacity(rows.files.len());
        for row in &rows.files {
            known.insert(&row.name, row);
        }
        let mut folded = self.folded(&known);
        for entry in &self.folder.files {
            let row = known.remove(entry.name.as_str());
            let outdated = |row: &FileRow| {
                let known = row.at(self.pair.site(self.side));
                let same = known.is_some_and(|have| is_as_known(have, &entry.metadata));
                !same && self.look.is_overtaken(row.id)
            };
            if row.is_some_and(outdated) {
                plan.again = true;
                continue;
            }
            let step = self.file(row, &entry.name, &entry.metadata, &mut folded, &mut plan.again);
            if let Some(step) = step {
                plan.steps.push(step);
            }
        }
        if self.folder.complete {
            let here = self.pair.site(self.side);
            for row in known.into_values() {
                let working =
                    row.jobs.iter().any(|job| job.to == here && job.state == JobState::InProgress);
                let had = row.at(here);
                plan.again |= had.is_some() && working;
                if let (Some(had), false) = (had, working) {
                    plan.missing.push(Missing {
                        folder: self.folder.path.clone(),
                        name: row.name.clone(),
                        version: had.version.clone(),
                        replaced: false,
                    });
                }
            }
        }
        Ok(plan)
    }

    /// Writes decisions down.
    pub(super) fn apply(
        &self,
        unit: &mut dyn Unit,
        plan: FolderPlan,
        load: &mut Load,
    ) -> Result<FolderId> {
        let id = match plan.id {
            Some(id) => id,
            None => unit.put_folder(self.root.id, &self.folder.path)?,
        };
        let mut newcomers = Newcomers { planner: self, known: None };
        for step in plan.steps {
            match step {
                Step::Add { name, size, have, job } => {
                    let (to, site) = (job.to, have.site);
                    let (representation, priority) = newcomers.representation(unit, &name)?;
                    let file = unit.add_file(id, &name, size, representation)?;
                    self.look.note(file);
                    unit.put_have(file, &have)?;
                    let wanted = newcomers.wanted(unit, &name, representation, site, to)?;
                    let not_before = job.not_before;
                    if wanted {
                        load.add(&job, size);
                        unit.put_job(file, &Job { priority, ..job })?;
                    }
                    if self.pair.belonging.goes_on()
                        && let Some(row) = unit.file_by_id(file)?
                    {
                        let (of, now) = (&self.pair.belonging, self.moment.now);
                        of.bring(unit, &row, false, not_before, now)?;
                    }
                }
                Step::Over { file, site } => unit.drop_job(file, site)?,
                Step::Set { file, content, have, job, outdated, of } => {
                    self.look.note(file);
                    if let Some(outdated) = outdated {
                        unit.put_have(file, &outdated)?;
                    }
                    if let Some((generation, size)) = content {
                        unit.set_generation(file, generation, size)?;
                    }
                    let size =
                        content.map(|(_, size)| size).or(have.as_ref().map(|have| have.size));
                    let mtime_ns = have.as_ref().and_then(|have| have.mtime_ns);
                    if let Some(have) = have {
                        unit.put_have(file, &have)?;
                    }
                    if let Some(mut job) = job {
                        load.add(&job, size.unwrap_or(0));
                        if job.priority == NO_PRIORITY {
                            job.priority = self.pair.belonging.priority_of(unit, of)?;
                        }
                        unit.put_job(file, &job)?;
                    }
                    if content.is_some() && self.pair.belonging.goes_on() {
                        self.renew(unit, file, mtime_ns)?;
                    }
                }
            }
        }
        Ok(id)
    }

    /// A file is new: work for third sites begins where that is, and what is new there already needs
    /// none. Those that were in conflict with what it was may be like it now; their pairs take it for
    /// known. What it replaces there is counted with this look, and not left to whoever brings it to
    /// the other end.
    fn renew(&self, unit: &mut dyn Unit, file: FileId, mtime_ns: Option<i64>) -> Result<()> {
        let (pair, moment) = (self.pair, self.moment);
        let Some(mut row) = unit.file_by_id(file)? else { return Ok(()) };
        conflicts::reopen(unit, &mut row)?;
        pair.belonging.redirect(unit, &mut row)?;
        let settled = settles_at(pair, mtime_ns, moment);
        let open = |job: &&mut Job| {
            !job.removes() && matches!(job.state, JobState::Ready | JobState::Waiting)
        };
        for job in row.jobs.iter_mut().filter(open).filter(|_| settled > 0) {
            *job = Job { state: JobState::Waiting, not_before: settled, ..job.clone() };
            unit.put_job(file, job)?;
        }
        pair.belonging.bring(unit, &row, pair.guards_changes(), settled, moment.now).map(|_| ())
    }

    /// Folded names of this folder, where the destination folds names: to find two that would be
    /// one file there. `None` where every name is its own.
    fn folded(&self, known: &HashMap<&str, &FileRow>) -> Option<HashMap<String, String>> {
        let rules = &self.root.end(self.side.other()).info.names;
        if rules.case_sensitive {
            return None;
        }
        // Whichever is there has the name; else who was known first.
        let there = self.pair.site(self.side.other());
        let mut rows: Vec<&&FileRow> = known.values().collect();
        rows.sort_unstable_by_key(|row| (row.at(there).is_none(), row.id));
        let known = rows.into_iter().map(|row| row.name.as_str());
        let mut folded = HashMap::new();
        for name in known.chain(self.folder.files.iter().map(|entry| entry.name.as_str())) {
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
            let job = self.job_there(name, seen, None, folded);
            let have = self.have(seen, 1);
            return Some(Step::Add { name: name.to_owned(), size: seen.size, have, job });
        };
        let belonging = &self.pair.belonging;
        let job_here = row.job_to(here);
        let job_there = row.job_to(there);
        let elsewhere = row.at(there);
        // What follows news: the file travels on, if it belongs there and is not on its way.
        let follow = |folded: &mut Option<HashMap<String, String>>| {
            let busy = job_there.is_some_and(|job| job.state == JobState::InProgress)
                || belonging.is_on_its_way(row, there);
            let wanted = belonging.wanted(row, there) && !busy;
            wanted.then(|| self.guarded(self.job_there(name, seen, job_there, folded), elsewhere))
        };
        // Deleted here, and nothing has changed elsewhere since: what is here now follows that.
        let returns = row.haves.iter().any(|h| h.site == here && h.is_gone_from(row.generation));
        let file = row.id;
        let of = row.representation;
        let set =
            |content, have, job| Some(Step::Set { file, content, have, job, outdated: None, of });

        let step_ns = self.root.end(self.side).info.mtime_step_ns;
        let unrecorded = |job: &Job| is_unrecorded(job, seen, step_ns);

        match row.at(here) {
            // A size that changes under one version was a lie before, or is one now.
            Some(have) if is_as_known(have, seen) => {
                // Nothing new here. Is there something to do for the other end?
                let newest = have.generation == row.generation;
                let leaves = job_here.is_some_and(Job::removes);
                let done = job_here.is_some_and(|job| {
                    !matches!(job.state, JobState::InProgress | JobState::Conflict)
                });
                if newest && !leaves && done {
                    return Some(Step::Over { file, site: here });
                }
                // Work that waits for a third site, which has something older: it comes from here.
                let strays = job_there.is_some_and(|job| {
                    let open = !matches!(job.state, JobState::InProgress | JobState::Conflict);
                    let old = |from| row.newest_at(from).is_none();
                    open && !job.removes() && job.from != here && old(job.from)
                });
                if newest && !leaves && (belonging.lacks(row, there) || strays) {
                    return set(None, None, follow(folded));
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
                let job = follow(folded);
                set(Some((generation, seen.size)), Some(self.have(seen, generation)), job)
            }
            // Changed here while newer content is on its way to here: both ends changed. What is
            // here must be compared, not overwritten.
            Some(_) => set(None, Some(self.have(seen, UNKNOWN)), self.meet(row, job_here)),
            // Claimed before all that was here was known: it may have been here.
            None if job_here
                .is_some_and(|j| j.state == JobState::InProgress && j.sent.is_none()) =>
            {
                set(None, Some(self.have(seen, UNKNOWN)), None)
            }
            None if job_here.is_some_and(unrecorded) => {
                *again = true;
                None
            }
            None if anywhere_but(row, here) && !returns => {
                // Two files meet for the first time.
                set(None, Some(self.have(seen, UNKNOWN)), self.meet(row, job_here))
            }
            None => {
                // Known, and nowhere any more, or deleted here: it comes back.
                let generation = row.generation + 1;
                let mut job = follow(folded);
                // It may be the same as before (a folder that was moved away and back): as with
                // something that was sent, the other end is compared first.
                let busy = job_there.is_some_and(|job| job.state == JobState::InProgress);
                let outdated = elsewhere
                    .filter(|_| !busy)
                    .map(|other| Have { generation: STALE, ..other.clone() });
                if let (Some(job), Some(_)) = (&mut job, &outdated) {
                    job.sent = Some(self.have(seen, generation).sent());
                }
                let content = Some((generation, seen.size));
                let have = Some(self.have(seen, generation));
                Some(Step::Set { file, content, have, job, outdated, of })
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
        job.not_before = settles_at(self.pair, seen.mtime_ns, self.moment);
        if job.not_before > 0 {
            job.state = JobState::Waiting;
        }
        let info = &self.root.end(self.side.other()).info;
        let too_large = names::check_size(info.largest_file, seen.size).err();
        let refused = names::check(&info.names, &self.folder.path, name).err().or_else(|| {
            let folded = folded.as_mut()?;
            let key = names::fold(&info.names, name);
            let first = folded.entry(key).or_insert_with(|| name.to_owned());
            (first != name).then(|| names::one_with(first))
        });
        let rule = too_large.map(|why| ("TooLarge", why)).or(refused.map(|r| ("InvalidPath", r)));
        if let Some((kind, message)) = rule {
            job.state = JobState::Failed;
            job.error = Some(JobError { kind: kind.into(), message });
        }
        job
    }

    /// Work to compare what is here with what another site has, where one can be asked.
    fn meet(&self, row: &FileRow, earlier: Option<&Job>) -> Option<Job> {
        let (here, there) = (self.pair.site(self.side), self.pair.site(self.side.other()));
        let newest = row.newest_at(there).is_some();
        let from = if newest { Some(there) } else { self.pair.belonging.source(row, here) };
        let comes =
            || row.at(there).is_some() && row.job_to(there).is_some_and(|job| !job.removes());
        let from = from.or_else(|| comes().then_some(there))?;
        Some(Job { from, ..self.job(self.side, earlier) })
    }

    /// A job that replaces something is kept back until the look that found it has ended: it may be
    /// one of too many.
    fn guarded(&self, job: Job, replaced: Option<&Have>) -> Job {
        let replaces = replaced.is_some_and(|have| have.generation > UNKNOWN);
        let begins = matches!(job.state, JobState::Ready | JobState::Waiting);
        if replaces && begins && self.pair.guards_changes() {
            return Job { state: JobState::Held, ..job };
        }
        job
    }

    fn job(&self, to: Side, earlier: Option<&Job>) -> Job {
        Job {
            to: self.pair.site(to),
            from: self.pair.site(to.other()),
            state: JobState::Ready,
            priority: earlier.map_or(NO_PRIORITY, |job| job.priority),
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

/// Whether a site says the same of a file as is known.
fn is_as_known(have: &Have, seen: &Metadata) -> bool {
    have.version == seen.fingerprint() && have.size == seen.size
}

/// When a file with this modification time will have settled; 0 if it has.
fn settles_at(pair: &Pair, mtime_ns: Option<i64>, moment: Moment) -> Millis {
    let settle = i64::try_from(pair.settings.settle.as_millis()).unwrap_or(i64::MAX / 4);
    let quiet_since = moment.wall_ns - settle * 1_000_000;
    let quiet = mtime_ns.is_some_and(|mtime| mtime < quiet_since);
    if settle > 0 && !quiet { moment.now + settle } else { 0 }
}

/// Whether another site than this one has anything of a file.
fn anywhere_but(row: &FileRow, site: SiteId) -> bool {
    row.haves.iter().any(|have| have.site != site && have.generation != GONE)
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

/// True if a transfer is writing what is seen at its destination at this moment, or was when the host
/// died: it will be settled by that job, which knows what it sent. Nobody works on what was given up or
/// is in conflict: what is seen there is news, were it only that somebody copied the file by hand.
pub(super) fn is_unrecorded(job: &Job, seen: &Metadata, step_ns: u64) -> bool {
    match job.state {
        JobState::InProgress => true,
        JobState::Failed | JobState::Conflict => false,
        JobState::Ready | JobState::Waiting | JobState::Held => {
            job.sent.is_some_and(|sent| is_sent(sent, seen, step_ns))
        }
    }
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

/// Transfers that a plan makes necessary.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Load {
    pub files: u64,
    /// Of those.
    pub bytes: u64,
}

impl Load {
    fn add(&mut self, job: &Job, size: u64) {
        if job.state != JobState::Failed {
            self.files += 1;
            self.bytes += size;
        }
    }
}

/// What files that nobody knew belong to. Most of a folder's belong to the same.
struct Newcomers<'a> {
    planner: &'a Planner<'a>,
    /// That of the last one.
    known: Option<Known>,
}

struct Known {
    naming: Naming,
    id: RepresentationId,
    priority: i64,
    /// What is wanted of it, once that was asked.
    wants: Option<Vec<(SiteId, bool)>>,
}

impl Newcomers<'_> {
    fn representation(
        &mut self,
        unit: &mut dyn Unit,
        name: &str,
    ) -> Result<(RepresentationId, i64)> {
        let naming = self.planner.pair.templates.naming(&join(&self.planner.folder.path, name));
        if let Some(known) = self.known.as_ref().filter(|known| known.naming == naming) {
            return Ok((known.id, known.priority));
        }
        let found_at = self.planner.moment.wall_ns / 1_000_000;
        let id =
            unit.put_representation(self.planner.pair.project, &naming, 0, found_at, "", false)?;
        let priority = self.planner.pair.belonging.priority_of(unit, id)?;
        self.known = Some(Known { naming, id, priority, wants: None });
        Ok((id, priority))
    }

    /// Whether the file that was just added belongs at a site.
    fn wanted(
        &mut self,
        unit: &mut dyn Unit,
        name: &str,
        of: RepresentationId,
        here: SiteId,
        to: SiteId,
    ) -> Result<bool> {
        let Some(known) = self.known.as_mut().filter(|known| known.id == of) else {
            return Ok(self.planner.pair.belonging.rule(to));
        };
        if known.wants.is_none() {
            let row = unit.file(self.planner.root.id, &self.planner.folder.path, name)?;
            known.wants = Some(row.map(|row| row.wants).unwrap_or_default());
        }
        let asked = known.wants.iter().flatten().find(|(site, _)| *site == to);
        let wanted =
            asked.map_or_else(|| self.planner.pair.belonging.rule(to), |(_, wanted)| *wanted);
        Ok(wanted && !self.planner.pair.belonging.alike(to).contains(&here))
    }
}

/// Whether no site has a file any more, and nothing is under way that may still bring it somewhere.
pub(super) fn is_nowhere(row: &FileRow) -> bool {
    row.haves.iter().all(|have| have.generation == GONE)
        && row.jobs.iter().all(|job| job.state != JobState::InProgress)
}

/// A file that no site has any more: nothing is left to know of it.
pub(super) fn forget(unit: &mut dyn Unit, row: &FileRow) -> Result<()> {
    row.haves.iter().try_for_each(|have| unit.drop_have(row.id, have.site))?;
    row.jobs.iter().try_for_each(|job| unit.drop_job(row.id, job.to))?;
    unit.forget_file(row.id)
}

/// If no site has the newest content of a file any more, what is left is the file now: a generation of
/// its own, which follows no deletion and no transfer of what is gone. Of contents that nobody compared
/// it is one.
pub(super) fn promote(unit: &mut dyn Unit, file: FileId) -> Result<()> {
    let Some(row) = unit.file_by_id(file)? else { return Ok(()) };
    let left = || row.haves.iter().filter(|have| have.generation != GONE);
    let Some(best) = left().map(|have| have.generation).max() else { return Ok(()) };
    if best == row.generation {
        return Ok(());
    }
    let mut left: Vec<&Have> = left().filter(|have| have.generation == best).collect();
    if best <= UNKNOWN {
        left.truncate(1);
    }
    let generation = row.generation + 1;
    unit.set_generation(row.id, generation, left[0].size)?;
    for have in left {
        unit.put_have(row.id, &Have { generation, ..have.clone() })?;
        unit.drop_job(row.id, have.site)?;
    }
    let row = unit.file_by_id(file)?;
    row.map_or(Ok(()), |mut row| conflicts::reopen(unit, &mut row))
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
    let others: Vec<&Have> =
        row.haves.iter().filter(|have| have.site != here && have.generation != GONE).collect();
    let Some(best) = others.iter().map(|have| have.generation).max() else {
        return forget(unit, &row).map(|()| true);
    };
    let was_newest = row.newest_at(here).is_some();
    if was_newest && best == row.generation {
        unit.put_have(row.id, &Have::gone(here, row.generation))?;
    } else {
        unit.drop_have(row.id, here)?;
    }
    let belonging = &pair.belonging;
    let asked = row.wants.iter().find(|(site, _)| *site == here).map(|(_, wanted)| *wanted);
    // What was asked for at a site, or removed there, is that site's affair only. Nor is a file deleted
    // elsewhere because a link has its name.
    let deletes =
        pair.settings.deletes == Deletes::Propagate && asked.is_none() && !missing.replaced;
    if best == row.generation && was_newest && deletes {
        // What is the same elsewhere goes with it; once the look has ended, if it is not too much.
        for other in others.iter().filter(|other| other.generation == best) {
            let ways = (other.site, other.site);
            let job = belonging.job(unit, &row, ways, moment.now)?;
            let guarded = pair.settings.max_delete.files > 0;
            let state = if guarded { JobState::Held } else { JobState::Ready };
            unit.put_job(row.id, &Job { state, ..job })?;
        }
        return Ok(true);
    }
    promote(unit, row.id)?;
    // What was to come from here comes from elsewhere, or not at all.
    if let Some(mut left) = unit.file_by_id(row.id)? {
        belonging.redirect(unit, &mut left)?;
    }
    let brought = asked.unwrap_or_else(|| belonging.rule(here));
    let alike = others.iter().any(|other| belonging.alike(here).contains(&other.site));
    if brought && !alike {
        let row = unit.file(root.id, &missing.folder, &missing.name)?.unwrap_or(row);
        let from =
            if row.newest_at(there).is_some() { Some(there) } else { belonging.source(&row, here) };
        if let Some(from) = from {
            let job = belonging.job(unit, &row, (from, here), moment.now)?;
            unit.put_job(row.id, &job)?;
        }
    }
    Ok(true)
}
