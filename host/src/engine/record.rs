//! The barrier, then the catalog: the only place that calls a file synced.
//!
//! Results are gathered in groups. A group's destinations are flushed once, and only then is the
//! group committed. While a barrier runs, the next group gathers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sitesync_provider::{Error, ErrorKind, Metadata};
use tokio::sync::{Notify, mpsc};

use super::barriers::{Barriers, Failure};
use super::clock::{Dice, HostTime};
use super::conflicts;
use super::pair::Pair;
use super::plan::{self, Missing, Moment, have};
use super::progress::Progress;
use super::recorded::Recorded;
use super::rewrite::{self, is_doubtful, rewrite};
use super::transfer::{self, Finished, Outcome, Route};
use super::twins;
use crate::catalog::{
    Claimed, Job, JobError, JobState, Millis, Result, STALE, Sqlite, UNKNOWN, Unit,
};
use crate::sites::OpenRoot;

/// A group is closed at so many files,
const FILES: usize = 1000;
/// so many bytes,
const BYTES: u64 = 256 << 20;
/// or so long after its first file.
const AGE: Duration = Duration::from_secs(1);
/// The first pause after a failed try; each further one is twice as long.
const BACKOFF_MS: Millis = 1000;
const LONGEST_BACKOFF_MS: Millis = 600_000;
/// How long a file steps back that may be what its site hangs on: longer than a first pause of the
/// site.
const BEHIND_OTHERS_MS: Millis = 10_000;
/// Tries that surprises may cost beyond those of the settings, before a file is given up.
const SURPRISES: u32 = 8;
/// Why a file is given up for surprises at its destination.
const RESTLESS: &str = "its destination keeps changing";

/// Files that were handed to transfers and are not recorded yet.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    files: AtomicUsize,
    /// Told whenever a group was recorded, or a new one should not wait any longer.
    pub changed: Notify,
}

impl InFlight {
    pub(super) fn add(&self, files: usize) {
        self.files.fetch_add(files, Ordering::AcqRel);
    }

    pub(super) fn count(&self) -> usize {
        self.files.load(Ordering::Acquire)
    }

    /// One that was handed out is not carried after all.
    pub(super) fn take_back(&self) {
        self.files.fetch_sub(1, Ordering::AcqRel);
    }

    fn recorded(&self, files: usize) {
        self.files.fetch_sub(files, Ordering::AcqRel);
        self.changed.notify_one();
    }
}

/// A batch that came back.
pub(super) type Arrived = (Route, Vec<Finished>);

/// What recording needs.
#[derive(Debug)]
pub(super) struct Recorder {
    pub pair: Arc<Pair>,
    pub catalog: Sqlite,
    pub time: Arc<HostTime>,
    pub dice: Arc<Dice>,
    pub progress: Arc<Progress>,
    pub in_flight: Arc<InFlight>,
    /// Told of every file before it is recorded.
    pub recorded: Arc<Recorded>,
    pub barriers: Arc<Barriers>,
}

impl Recorder {
    /// Records until the channel ends, or is to be closed. An error is the catalog's, and ends the
    /// run.
    pub(super) async fn run(
        mut self,
        mut arrivals: mpsc::Receiver<Arrived>,
        closing: Arc<Notify>,
    ) -> Result<()> {
        loop {
            let first = tokio::select! {
                biased;
                first = arrivals.recv() => first,
                () = closing.notified() => {
                    arrivals.close();
                    continue;
                }
            };
            let Some(first) = first else { return Ok(()) };
            let group = self.gather(first, &mut arrivals).await;
            let files = group.iter().map(|(_, finished)| finished.len()).sum();
            let recorded = self.record(group).await;
            self.in_flight.recorded(files);
            recorded?;
        }
    }

    async fn gather(&self, first: Arrived, arrivals: &mut mpsc::Receiver<Arrived>) -> Vec<Arrived> {
        let deadline = tokio::time::Instant::now() + AGE;
        let weigh = |arrived: &Arrived| {
            let bytes: u64 = arrived.1.iter().map(|f| f.claimed.source.size).sum();
            (arrived.1.len(), bytes)
        };
        let (mut files, mut bytes) = weigh(&first);
        let mut group = vec![first];
        // Once nothing else is under way, nothing is waited for.
        while files < FILES && bytes < BYTES && self.in_flight.count() > files {
            tokio::select! {
                biased;
                arrived = arrivals.recv() => {
                    let Some(arrived) = arrived else { break };
                    let (more, heavier) = weigh(&arrived);
                    files += more;
                    bytes += heavier;
                    group.push(arrived);
                }
                () = tokio::time::sleep_until(deadline) => break,
            }
        }
        group
    }

    pub(super) async fn record(&mut self, mut group: Vec<Arrived>) -> Result<()> {
        self.rewrite_left(&mut group).await;
        self.make_durable(&mut group).await;
        twins::settle(&mut group).await;
        conflicts::set_aside(&mut group, &self.catalog).await?;
        let moment = Moment { now: self.time.now(), wall_ns: self.time.wall_ns() };
        let jitter = self.dice.jitter(BACKOFF_MS);
        for one in group.iter().flat_map(|(_, finished)| finished) {
            self.recorded.note(one.claimed.file);
        }
        let pair = self.pair.clone();
        let (files, bytes, adopted, removed) = self
            .catalog
            .write(move |unit| {
                let (mut files, mut bytes, mut adopted, mut removed) = (0, 0, 0, 0);
                for (route, finished) in group {
                    for one in finished {
                        let size = one.claimed.source.size;
                        let done = match &one.outcome {
                            Outcome::Done { adopted, .. } => Some(*adopted),
                            _ => None,
                        };
                        removed += u64::from(matches!(one.outcome, Outcome::Removed));
                        let writing = Writing { pair: &pair, route: &route, moment, jitter };
                        writing.write(unit, one)?;
                        match done {
                            Some(true) => adopted += 1,
                            Some(false) => {
                                files += 1;
                                bytes += size;
                            }
                            None => {}
                        }
                    }
                }
                unit.put_time(moment.now)?;
                Ok((files, bytes, adopted, removed))
            })
            .await?;
        tracing::debug!(files, bytes, adopted, removed, "recorded");
        Progress::add(&self.progress.files, files);
        Progress::add(&self.progress.bytes, bytes);
        Progress::add(&self.progress.adopted, adopted);
        Progress::add(&self.progress.removed, removed);
        Ok(())
    }

    /// Where a source is gone, what an earlier try left at the destination is all there is.
    async fn rewrite_left(&self, group: &mut [Arrived]) {
        for (route, finished) in group {
            for one in finished.iter_mut().filter(|one| !one.claimed.job.removes()) {
                let left = one.claimed.destination.as_ref().filter(|have| is_doubtful(have));
                let (Outcome::SourceGone(_), Some(left)) = (&one.outcome, left) else { continue };
                let path = transfer::path(&one.claimed);
                one.outcome =
                    match rewrite(&self.barriers, &route.pair, route.destination(), &path, left)
                        .await
                    {
                        Ok(made) => Outcome::SourceGone(made),
                        Err(error) => Outcome::Failed(error),
                    };
            }
        }
    }

    /// One barrier for each root that the group wrote to, or found in conflict.
    ///
    /// A barrier that fails is told once: what was under way at that moment, and comes in a later
    /// group, is as doubtful as the group itself.
    async fn make_durable(&mut self, group: &mut [Arrived]) {
        let mut flushed: Vec<(Arc<OpenRoot>, Option<Failure>)> = Vec::new();
        for (route, finished) in group.iter() {
            // Where a source is gone, what an earlier try left at the destination is all there is.
            let writes = |outcome: &Outcome| {
                matches!(outcome, Outcome::Done { .. } | Outcome::SourceGone(_))
            };
            let wrote = finished.iter().any(|f| writes(&f.outcome));
            // Either may be what an earlier try left, and wins.
            let decides = finished.iter().any(|f| matches!(f.outcome, Outcome::Conflict(_)));
            let ends = [(route.destination(), wrote || decides), (route.source(), decides)];
            for (end, _) in ends.into_iter().filter(|(_, counts)| *counts) {
                if !flushed.iter().any(|(root, _)| Arc::ptr_eq(root, end)) {
                    flushed.push((end.clone(), self.barriers.flush(end).await));
                }
            }
        }
        for (route, finished) in group {
            let failure = |end: &Arc<OpenRoot>| {
                let flushed = flushed.iter().find(|(root, _)| Arc::ptr_eq(root, end));
                let failure = flushed.and_then(|(_, failure)| failure.as_ref());
                failure.filter(|failure| route.begun <= failure.at).map(|failure| &failure.error)
            };
            let [there, here] = [route.destination(), route.source()].map(failure);
            for one in finished {
                one.outcome = match (&one.outcome, there) {
                    (Outcome::Done { destination, .. }, Some(error)) => {
                        let why = "what was written could not be made durable";
                        Outcome::NotDurable(destination.clone(), error.clone().context(why))
                    }
                    (Outcome::SourceGone(_), Some(error)) => Outcome::Failed(error.clone()),
                    (Outcome::Conflict(_), _) => match there.or(here) {
                        Some(error) => Outcome::Failed(error.clone()),
                        None => continue,
                    },
                    _ => continue,
                };
            }
        }
    }
}

struct Writing<'a> {
    pair: &'a Pair,
    route: &'a Route,
    moment: Moment,
    /// About the first pause of a backoff.
    jitter: Millis,
}

impl Writing<'_> {
    fn write(&self, unit: &mut dyn Unit, finished: Finished) -> Result<()> {
        let file = finished.claimed.file;
        let done = matches!(finished.outcome, Outcome::Done { .. });
        let generation = finished.claimed.generation;
        self.record(unit, finished)?;
        if done && unit.generation(file)? == Some(generation) {
            return Ok(());
        }
        // What was the newest meanwhile may be what was overwritten here.
        plan::promote(unit, file)?;
        let Some(mut row) = unit.file_by_id(file)? else { return Ok(()) };
        if plan::is_nowhere(&row) {
            return plan::forget(unit, &row);
        }
        // Whoever found it under way left it as it was: it may not be wanted any more, or be newer
        // elsewhere.
        self.pair.belonging.redirect(unit, &mut row)
    }

    fn record(&self, unit: &mut dyn Unit, finished: Finished) -> Result<()> {
        let Finished { claimed, outcome, token } = finished;
        let to = self.pair.site(self.route.to);
        match outcome {
            Outcome::Done { destination, .. } => {
                let have = have(to, claimed.generation, &destination);
                unit.put_have(claimed.file, &have)?;
                if unit.generation(claimed.file)? == Some(claimed.generation) {
                    unit.drop_job(claimed.file, to)?;
                    if self.pair.belonging.goes_on() {
                        self.pair.belonging.settle_file(unit, claimed.file, self.moment.now)?;
                    }
                    Ok(())
                } else {
                    // It changed again in the meantime.
                    unit.put_job(claimed.file, &self.again(&claimed))
                }
            }
            Outcome::Removed => self.removed(unit, &claimed),
            Outcome::SourceGone(_) if claimed.job.removes() => self.removed(unit, &claimed),
            // It is not what was to be deleted any more: the next look tells what it is.
            Outcome::SourceChanged(_) if claimed.job.removes() => unit.drop_job(claimed.file, to),
            Outcome::SourceGone(left) => {
                if let (Some(left), Some(known)) = (left, &claimed.destination) {
                    rewrite::note(unit, claimed.file, known, &left)?;
                }
                unit.put_job(claimed.file, &self.again(&claimed))?;
                let side = self.route.from;
                let missing = Missing {
                    folder: claimed.folder.clone(),
                    name: claimed.name.clone(),
                    version: claimed.source.version.clone(),
                    replaced: false,
                };
                let root = &self.route.root;
                if plan::gone(unit, self.pair, root, side, &missing, self.moment)? {
                    return Ok(());
                }
                // Other work on it is under way, or was when the host died, to a site that is offline
                // now: this may last, and is not asked for all the time, nor for ever.
                let why = "it is gone, and other work on it has not ended";
                let why = Error::new(ErrorKind::NotFound, why);
                let job = self.tried(&claimed, &why, BACKOFF_MS, None);
                unit.put_job(claimed.file, &job)
            }
            Outcome::SourceChanged(source) => {
                let noticed = self.is_noticed(unit, &claimed, &source)?;
                if noticed && source.fingerprint() != claimed.source.version {
                    // A look has told so in the meantime: as it is now, it was not tried yet.
                    return unit.put_job(claimed.file, &Job { tries: 0, ..self.again(&claimed) });
                }
                let why = Error::new(ErrorKind::Precondition, "it changed while it was read");
                let settle = self.pair.settings.settle.as_millis();
                let settle = Millis::try_from(settle).unwrap_or(Millis::MAX / 4);
                let mut job = self.tried(&claimed, &why, settle, None);
                if claimed.job.tries == 0 && job.state == JobState::Failed {
                    // What was claimed was out of date, which is no fault of the file: as it is
                    // now, it has not been tried yet.
                    job.state = JobState::Waiting;
                    job.not_before = self.moment.now + settle;
                }
                if job.state != JobState::Failed && !noticed {
                    self.note_change(unit, &claimed, &source)?;
                }
                // Given up as it was known: the next look at it is news, and begins anew.
                unit.put_job(claimed.file, &job)
            }
            Outcome::DestinationGone => {
                unit.drop_have(claimed.file, to)?;
                let row = unit.file_by_id(claimed.file)?;
                if row.is_some_and(|row| self.pair.belonging.wanted(&row, to)) {
                    unit.put_job(claimed.file, &self.surprised(&claimed, RESTLESS))
                } else {
                    unit.drop_job(claimed.file, to)
                }
            }
            Outcome::SetAside => {
                unit.drop_have(claimed.file, to)?;
                // Whatever the rule says: who finds nothing under this name brings back what was
                // there, and that would be set aside again.
                unit.put_job(claimed.file, &self.surprised(&claimed, RESTLESS))
            }
            Outcome::Stale(destination) => {
                unit.put_have(claimed.file, &have(to, STALE, &destination))?;
                // It was compared: the next try need not do that again.
                unit.put_job(
                    claimed.file,
                    &Job { sent: None, ..self.surprised(&claimed, RESTLESS) },
                )
            }
            Outcome::Conflict(destination) => {
                unit.put_have(claimed.file, &have(to, UNKNOWN, &destination))?;
                let mut job = self.again(&claimed);
                if unit.generation(claimed.file)? != Some(claimed.generation) {
                    // It was compared with what is not the newest any more, and would win over that.
                    return unit.put_job(claimed.file, &job);
                }
                job.state = JobState::Conflict;
                // What is there is none of ours, whatever its time.
                job.sent = None;
                job.error = Some(JobError {
                    kind: "Conflict".into(),
                    message: format!(
                        "'{}' and '{}' have different content, and neither is known to be older",
                        self.pair.site_name(self.route.from),
                        self.pair.site_name(self.route.to),
                    ),
                });
                unit.put_job(claimed.file, &job)?;
                let winner = conflicts::winner(self.pair, &claimed, self.route.to, &destination);
                if let (Some(side), Some(row)) = (winner, unit.file_by_id(claimed.file)?) {
                    let (keep, now) = (self.pair.site(side), self.moment.now);
                    let (of, guarded) = (&self.pair.belonging, self.pair.guards_changes());
                    conflicts::resolve_between(unit, of, &row, (keep, to), guarded, now)?;
                }
                Ok(())
            }
            Outcome::NotDurable(destination, error) => {
                unit.put_have(claimed.file, &have(to, STALE, &destination))?;
                // Nor is it to be found equal and left as it is.
                let job = Job { sent: None, ..self.failed(&claimed, &error, None) };
                unit.put_job(claimed.file, &job)
            }
            Outcome::Failed(error) => {
                unit.put_job(claimed.file, &self.failed(&claimed, &error, token))
            }
        }
    }

    /// A site no longer has a file, as it was meant to be.
    fn removed(&self, unit: &mut dyn Unit, claimed: &Claimed) -> Result<()> {
        unit.drop_job(claimed.file, claimed.job.to)?;
        unit.drop_have(claimed.file, claimed.job.to)?;
        // Elsewhere may be what is none of this content, and stays.
        plan::promote(unit, claimed.file)?;
        self.pair.belonging.settle_file(unit, claimed.file, self.moment.now).map(|_| ())
    }

    /// Whether the catalog knows what is at the source now.
    fn is_noticed(&self, unit: &dyn Unit, claimed: &Claimed, source: &Metadata) -> Result<bool> {
        let from = self.pair.site(self.route.from);
        let row = unit.file_by_id(claimed.file)?;
        Ok(row.is_none_or(|row| {
            let known = row.at(from);
            known.is_some_and(|h| h.version == source.fingerprint() && h.size == source.size)
        }))
    }

    /// The source has new content that no look has told of.
    fn note_change(&self, unit: &mut dyn Unit, claimed: &Claimed, source: &Metadata) -> Result<()> {
        // One that another site has is newer than what was claimed, and not than this: the next look
        // at the source compares them.
        if unit.generation(claimed.file)? != Some(claimed.generation) {
            return Ok(());
        }
        let generation = claimed.generation + 1;
        unit.set_generation(claimed.file, generation, source.size)?;
        let from = self.pair.site(self.route.from);
        unit.put_have(claimed.file, &have(from, generation, source))?;
        let row = unit.file_by_id(claimed.file)?;
        row.map_or(Ok(()), |mut row| conflicts::reopen(unit, &mut row))
    }

    /// The job after a fault, which costs a try if it was the file's.
    fn failed(&self, claimed: &Claimed, error: &Error, token: Option<Vec<u8>>) -> Job {
        if error.kind() == ErrorKind::Cancelled {
            if transfer::is_given_up(error) {
                return Job { token, ..self.again(claimed) };
            }
            let job = Job { token, ..self.surprised(claimed, "its provider keeps giving it up") };
            return self.later(job, BACKOFF_MS);
        }
        if self.is_the_sites(error.kind()) {
            let job = Job { token, error: Some(told(error)), ..self.again(claimed) };
            return match error.kind() {
                // It may be the file all the same: another one is tried first.
                ErrorKind::Timeout | ErrorKind::Interrupted => self.later(job, BEHIND_OTHERS_MS),
                // There may be room for others.
                ErrorKind::StorageFull => Job { queued_at: self.moment.now, ..job },
                _ => job,
            };
        }
        self.tried(claimed, error, 0, token)
    }

    /// The job, if it is not given up, after a pause.
    fn later(&self, job: Job, pause: Millis) -> Job {
        if job.state == JobState::Failed {
            return job;
        }
        Job { state: JobState::Waiting, not_before: self.moment.now + pause, ..job }
    }

    /// True for faults that cost the file no try. What may be either's fault is the site's once
    /// the site is parked for it.
    fn is_the_sites(&self, kind: ErrorKind) -> bool {
        match kind {
            ErrorKind::Timeout | ErrorKind::Interrupted => {
                let now = std::time::Instant::now();
                [self.route.source(), self.route.destination()]
                    .iter()
                    .any(|root| root.storage.parked(now).is_some())
            }
            ErrorKind::Unauthenticated
            | ErrorKind::StorageFull
            | ErrorKind::ReadOnly
            | ErrorKind::RateLimited
            | ErrorKind::QuotaExhausted
            | ErrorKind::RootUnavailable => true,
            _ => false,
        }
    }

    /// The job as it is to be tried again, at no cost. Remembers what was sent; but not where it
    /// was to replace something that must not be found equal and left.
    fn again(&self, claimed: &Claimed) -> Job {
        let stale = claimed.destination.as_ref().is_some_and(|have| have.generation == STALE);
        let rewritten = stale && claimed.job.sent.is_none();
        let sent = claimed.sent().filter(|_| !rewritten);
        Job { state: JobState::Ready, sent, error: None, token: None, ..claimed.job.clone() }
    }

    /// The job after something that was neither success nor fault, with a limit all the same.
    fn surprised(&self, claimed: &Claimed, by: &str) -> Job {
        let mut job = self.again(claimed);
        job.tries += 1;
        if job.tries >= self.pair.settings.retry_count + SURPRISES {
            job.state = JobState::Failed;
            job.error =
                Some(JobError { kind: ErrorKind::Precondition.name().into(), message: by.into() });
        }
        job
    }

    /// The job after a try that failed.
    fn tried(
        &self,
        claimed: &Claimed,
        error: &Error,
        at_least: Millis,
        token: Option<Vec<u8>>,
    ) -> Job {
        let mut job = Job { token, ..self.again(claimed) };
        job.tries += 1;
        job.error = Some(told(error));
        let hopeless = matches!(
            error.kind(),
            ErrorKind::InvalidPath
                | ErrorKind::TooLarge
                | ErrorKind::Unsupported
                | ErrorKind::InvalidSettings
        );
        if hopeless || job.tries >= self.pair.settings.retry_count {
            job.state = JobState::Failed;
        } else {
            let pause = self.jitter.saturating_mul(1 << (job.tries - 1).min(16));
            job.state = JobState::Waiting;
            job.not_before = self.moment.now + pause.min(LONGEST_BACKOFF_MS).max(at_least);
        }
        job
    }
}

fn told(error: &Error) -> JobError {
    JobError { kind: error.kind().name().into(), message: error.message().to_owned() }
}
