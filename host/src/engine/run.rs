//! One pair at work: claims, batches, and their end.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sitesync_provider::{Error, ErrorKind};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinSet;

use super::feed::Following;
use super::pair::{Pair, RootPair, Side};
use super::pauses;
use super::plan::Moment;
use super::progress::Note;
use super::record::{Arrived, InFlight, Recorder};
use super::schedule::{Engine, Mode, REOPEN};
use super::siblings::Sibling;
use super::transfer::Route;
use crate::catalog::{self, ClaimFilter, Claimed, Job, JobError, JobState, Pause, RootId};
use crate::sites::{Fault, Parked};

/// Files and bytes of one claim,
const CLAIM_FILES: usize = 512;
const CLAIM_BYTES: u64 = 128 << 20;
/// and of one batch, which holds a slot.
const BATCH_FILES: usize = 64;
const BATCH_BYTES: u64 = 16 << 20;
/// Batches under way for each slot, most of them waiting for one: so that slots stay busy while
/// the next claim is made.
const AHEAD: usize = 8;
/// Files from this size on take at most half the slots.
const LARGE: u64 = 1 << 30;
/// One claim in so many goes to the oldest, whatever its priority.
const OLDEST_EVERY: u64 = 10;
/// How long a single run waits for a parked site before it gives up.
const PATIENCE: Duration = Duration::from_secs(30);
const PATIENT_TIMES: u32 = 3;

/// Why a run ended early.
#[derive(Debug)]
pub(super) enum End {
    Offline(Fault),
    Catalog(catalog::Error),
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            End::Offline(fault) => fault.fmt(f),
            End::Catalog(error) => error.fmt(f),
        }
    }
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        End::Offline(fault)
    }
}

impl From<catalog::Error> for End {
    fn from(error: catalog::Error) -> Self {
        End::Catalog(error)
    }
}

/// One pair at work.
pub(super) struct Run {
    pub(super) engine: Engine,
    pub(super) pair: Arc<Pair>,
    pub(super) mode: Mode,
    /// Taken by every survey of the host: only so many at once.
    pub(super) surveys: Arc<Semaphore>,
    in_flight: Arc<InFlight>,
    /// By root: how far its feed was followed.
    pub(super) followed: Mutex<HashMap<(RootId, Side), Following>>,
    /// Told when planning has put something into the catalog.
    pub(super) planned: Notify,
    /// Both ends have been looked at: what is not planned now will not be in this run.
    pub(super) surveyed: AtomicBool,
    /// The other runs of the project hear through it.
    sibling: Arc<Sibling>,
    claims: AtomicU64,
}

impl Run {
    pub(super) fn new(
        engine: Engine,
        pair: Pair,
        mode: Mode,
        surveys: Arc<Semaphore>,
        sibling: Arc<Sibling>,
    ) -> Self {
        Run {
            engine,
            pair: Arc::new(pair),
            mode,
            surveys,
            in_flight: Arc::default(),
            followed: Mutex::default(),
            planned: Notify::new(),
            surveyed: AtomicBool::new(false),
            sibling,
            claims: AtomicU64::new(0),
        }
    }

    pub(super) fn moment(&self) -> Moment {
        Moment { now: self.engine.time.now(), wall_ns: self.engine.time.wall_ns() }
    }

    pub(super) fn fault(&self, side: Side, error: &Error) -> End {
        End::Offline(Fault::new(self.pair.site_name(side), error))
    }

    pub(super) async fn go(self: Arc<Self>) -> Result<(), End> {
        let (to_record, arrivals) = mpsc::channel(64);
        let closing = Arc::new(Notify::new());
        let recorder = self.recorder();
        let recording = tokio::spawn(recorder.run(arrivals, closing.clone()));
        let watching = self.clone();
        let surveying = tokio::spawn(async move { watching.watch().await });
        let renewing = self.clone();
        let renewing = tokio::spawn(async move { renewing.renew().await });
        let emptying = self.clone();
        let emptying = tokio::spawn(async move { emptying.empty_trash().await });
        let transferred = self.transfer(to_record).await;
        renewing.abort();
        if transferred.is_err() || self.mode == Mode::Forever {
            emptying.abort();
        }
        closing.notify_one();
        // Transfers end by themselves only when there is nothing left, or with a fault; either way
        // the survey has nobody to work for any more.
        let surveyed = if transferred.is_ok() && self.mode == Mode::Once {
            surveying.await.unwrap_or(Ok(()))
        } else {
            surveying.abort();
            match surveying.await {
                Ok(Err(end)) => Err(end),
                _ => Ok(()),
            }
        };
        let recorded = recording.await.unwrap_or(Err(catalog::Error::Closed));
        let _ = emptying.await;
        recorded?;
        if self.mode == Mode::Once && transferred.is_ok() && surveyed.is_ok() {
            self.follow_up().await?;
        }
        surveyed.and(transferred)
    }

    fn recorder(&self) -> Recorder {
        Recorder {
            pair: self.pair.clone(),
            catalog: self.engine.catalog.clone(),
            time: self.engine.time.clone(),
            dice: self.engine.dice.clone(),
            progress: self.engine.progress.clone(),
            in_flight: self.in_flight.clone(),
            recorded: self.engine.recorded.clone(),
            barriers: self.engine.barriers.clone(),
        }
    }

    /// Records what ended when the run was over already.
    async fn record_late(&self, arrived: Arrived) {
        if let Err(error) = self.recorder().record(vec![arrived]).await {
            tracing::warn!(%error, "work that ended late stays as it was until the next start");
        }
        self.engine.under_way.late.notify_waiters();
    }

    /// In a service, goes on through new generations of providers as they come. One through which
    /// the ends can't be opened is left for later: what works is not given up for it.
    async fn renew(&self) {
        if self.mode == Mode::Once {
            return;
        }
        let project = &self.pair.settings.name;
        let mut replaced = self.engine.sites.replaced();
        // One may have come while the pair was being opened.
        replaced.mark_changed();
        while replaced.changed().await.is_ok() {
            match self.pair.renew(&self.engine.sites).await {
                Ok(false) => {}
                Ok(true) => {
                    tracing::info!(
                        project,
                        "goes on with other settings, or another generation of a provider"
                    );
                    self.planned.notify_one();
                }
                Err(fault) => {
                    tracing::warn!(project, "stays with the old generation of a provider: {fault}");
                    tokio::time::sleep(REOPEN).await;
                    replaced.mark_changed();
                }
            }
        }
    }

    /// Claims and carries until nothing is left (`Once`), or until stopped.
    async fn transfer(self: &Arc<Self>, to_record: mpsc::Sender<Arrived>) -> Result<(), End> {
        let mut stop = self.engine.stop.clone();
        // Each ends with the number of large files that it carried.
        let mut carrying: JoinSet<usize> = JoinSet::new();
        let mut queued: VecDeque<(Route, Vec<Claimed>)> = VecDeque::new();
        let mut large = 0_usize;
        let width: usize = self
            .pair
            .roots()
            .iter()
            .flat_map(|root| Side::BOTH.map(|side| root.end(side).storage.width))
            .max()
            .unwrap_or(1);
        let mut waited = 0;
        let mut pauses = self.engine.pauses.changes();
        let mut nudged = self.engine.nudges.subscribe();
        let mut told = self.sibling.told();
        let mut paused_by = None;
        // Whether something was done since the others were told.
        let mut worked = true;
        let result = loop {
            if *stop.borrow() || to_record.is_closed() {
                break Ok(());
            }
            // Looked at before claiming: what is planned later tells us so.
            let surveyed = self.surveyed.load(Ordering::Acquire);
            if surveyed && self.mode == Mode::Forever {
                // A service's survey ends only with a fault: the pair is to be opened anew.
                break Ok(());
            }
            if let Some(end) = self.lost_root().await {
                break Err(end);
            }
            let news = self.sibling.news();
            let paused = self.engine.pauses.between(self.pair.project, self.pair.sites());
            if paused != paused_by {
                self.tell_of_pause(paused.as_ref());
                paused_by.clone_from(&paused);
            }
            let mut idle = false;
            match self.parked() {
                _ if paused.is_some() => {
                    self.put_back(&mut queued).await?;
                    let given_up = carrying.is_empty() && self.in_flight.count() == 0;
                    if self.mode == Mode::Once && given_up {
                        break Ok(());
                    }
                }
                Some((side, parked)) => match self.wait_out(side, &parked, &mut waited) {
                    Err(end) => break Err(end),
                    Ok(()) => idle = true,
                },
                None => {
                    while carrying.len() < AHEAD * width {
                        if queued.is_empty() {
                            // What never ends is no news of it.
                            if self.suspect() && carrying.len() > self.stuck_batches() {
                                break;
                            }
                            self.claim(large * 2 >= width, &mut queued).await?;
                        }
                        let Some((route, batch)) = queued.pop_front() else {
                            idle = true;
                            break;
                        };
                        let larges = batch.iter().filter(|c| c.source.size >= LARGE).count();
                        large += larges;
                        let to_record = to_record.clone();
                        let files = batch.iter().map(|claimed| claimed.file);
                        let run = self.clone();
                        let held = self.engine.under_way.hold(self.pair.site(route.to), files);
                        carrying.spawn(async move {
                            let finished = route.clone().carry(batch).await;
                            if let Err(late) = to_record.send((route, finished)).await {
                                run.record_late(late.0).await;
                            }
                            drop(held);
                            larges
                        });
                        worked = true;
                        self.sibling.busy();
                    }
                }
            }
            let mut nap = Duration::from_secs(60);
            if self.mode == Mode::Once && idle && queued.is_empty() && !carrying.is_empty() {
                // What never ends must not keep a single run from ending: the next one finds the
                // file claimed, sweeps, and begins again.
                if surveyed && let Some(end) = self.all_stuck(carrying.len())? {
                    break Err(end);
                }
                nap = Duration::from_secs(1);
            }
            if self.mode == Mode::Once && !carrying.is_empty() {
                if let Some(end) = self.all_slots_stuck() {
                    break Err(end);
                }
                // Nothing tells of what gets stuck.
                nap = Duration::from_secs(1);
            }
            let waiting = if idle { self.next_waiting()? } else { None };
            let parked = self.parked().is_some();
            if idle && carrying.is_empty() && queued.is_empty() && self.in_flight.count() == 0 {
                let nothing = waiting.is_none() && !parked && !self.ready()?;
                if self.mode == Mode::Once && surveyed && nothing {
                    if std::mem::take(&mut worked) {
                        self.sibling.tell();
                        continue;
                    }
                    if self.sibling.is_all_done(news) {
                        // What was held back since the looks have ended; another run may be the one
                        // that lets it go.
                        if self.let_go().await? || self.next_waiting()?.is_some() || self.ready()? {
                            self.sibling.tell();
                            continue;
                        }
                        break Ok(());
                    }
                }
            }
            if let Some(at) = waiting.filter(|_| !parked) {
                let left = u64::try_from(at - self.engine.time.now()).unwrap_or(0);
                nap = nap.min(Duration::from_millis(left.max(1)));
            }
            if let Some((_, parked)) = self.parked() {
                nap = nap.min(parked.until.saturating_duration_since(Instant::now()));
            }
            tokio::select! {
                Some(carried) = carrying.join_next() => large -= carried.unwrap_or_default(),
                () = self.planned.notified() => self.sibling.tell(),
                () = self.engine.under_way.late.notified() => {}
                () = self.in_flight.changed.notified() => self.sibling.tell(),
                () = told.changed() => {}
                _ = pauses.changed() => {}
                _ = nudged.changed() => {}
                () = tokio::time::sleep(nap) => {}
                _ = stop.wait_for(|stopped| *stopped) => {}
            }
        };
        // What is under way is finished and recorded, within a limit.
        let ending = async { while carrying.join_next().await.is_some() {} };
        let limit = if self.stuck_batches() == 0 {
            Duration::from_secs(20)
        } else {
            Duration::from_secs(1)
        };
        let _ = tokio::time::timeout(limit, ending).await;
        // What has not ended by then keeps its files; nobody waits for it any more.
        carrying.detach_all();
        self.put_back(&mut queued).await?;
        result
    }

    /// Work that was claimed and not begun goes back.
    async fn put_back(&self, queued: &mut VecDeque<(Route, Vec<Claimed>)>) -> Result<(), End> {
        let back: Vec<Claimed> = queued.drain(..).flat_map(|(_, batch)| batch).collect();
        if back.is_empty() {
            return Ok(());
        }
        back.iter().for_each(|_| self.in_flight.take_back());
        let put_back = move |unit: &mut dyn catalog::Unit| {
            back.iter().try_for_each(|claimed| unit.put_job(claimed.file, &claimed.job))
        };
        Ok(self.engine.catalog.write(put_back).await?)
    }

    /// People hear of a pause that stops this pair: in a single pass by a note, else in the log.
    fn tell_of_pause(&self, pause: Option<&Pause>) {
        let project = &self.pair.settings.name;
        let Some(pause) = pause else {
            tracing::info!(project, "goes on: nothing is paused any more");
            return;
        };
        let site =
            Side::BOTH.into_iter().find(|side| pause.scope.site == Some(self.pair.site(*side)));
        let site = site.map(|side| self.pair.site_name(side));
        let reason = pauses::told(pause, site);
        if self.mode == Mode::Forever {
            tracing::info!(project, "{reason}");
            return;
        }
        self.engine.progress.note(Note {
            project: project.clone(),
            site: site.unwrap_or_default().to_owned(),
            path: String::new(),
            reason,
        });
    }

    /// The end that is to be left alone right now, if one is.
    fn parked(&self) -> Option<(Side, Parked)> {
        let now = Instant::now();
        self.pair.roots().iter().find_map(|root| {
            Side::BOTH
                .into_iter()
                .find_map(|side| root.end(side).storage.parked(now).map(|parked| (side, parked)))
        })
    }

    /// The fault of the end that has lost a root, if one has: the pair is to be opened anew.
    async fn lost_root(&self) -> Option<End> {
        let roots = self.pair.roots();
        let gone = |root: &Arc<RootPair>, side| root.end(side).gone().cloned();
        let lost =
            |root| Side::BOTH.into_iter().find_map(|side| Some((root, side, gone(root, side)?)));
        let (root, side, error) = roots.iter().find_map(lost)?;
        // A copy within a provider does not say which of its two roots it is.
        for side in Side::BOTH {
            if let Err(error) = root.still_there(side).await
                && error.kind() == ErrorKind::RootUnavailable
            {
                return Some(self.fault(side, &error));
            }
        }
        Some(self.fault(side, &error))
    }

    /// In a single run, waits for a site only where that may soon help.
    fn wait_out(&self, side: Side, parked: &Parked, waited: &mut u32) -> Result<(), End> {
        if self.mode == Mode::Forever {
            return Ok(());
        }
        let soon = parked.until.saturating_duration_since(Instant::now()) <= PATIENCE;
        let passing = matches!(
            parked.kind,
            ErrorKind::RateLimited | ErrorKind::Timeout | ErrorKind::Interrupted
        );
        *waited = (*waited).max(parked.times);
        if soon && passing && *waited <= PATIENT_TIMES {
            return Ok(());
        }
        Err(self.fault(side, &Error::new(parked.kind, parked.to_string())))
    }

    /// The fault of the end at which nothing ends any more, if that is all that is under way.
    fn all_stuck(&self, carrying: usize) -> Result<Option<End>, End> {
        let stuck = Side::BOTH.map(|side| self.pair.stuck_at(side));
        let side = if stuck[0] > 0 { Side::Active } else { Side::Remote };
        if stuck[0] + stuck[1] < carrying || self.next_waiting()?.is_some() || self.ready()? {
            return Ok(None);
        }
        Ok(Some(self.stuck(side)))
    }

    /// The fault of an end that takes no more work, because nothing ends there any more.
    fn all_slots_stuck(&self) -> Option<End> {
        let full = |side: &Side| self.pair.stuck_at(*side) >= self.pair.width(*side).max(1);
        Side::BOTH.into_iter().find(full).map(|side| self.stuck(side))
    }

    /// Batches under way that were given up on, and do not end.
    fn stuck_batches(&self) -> usize {
        Side::BOTH.map(|side| self.pair.stuck_at(side)).iter().sum()
    }

    fn stuck(&self, side: Side) -> End {
        let roots = self.pair.roots();
        let provider = roots.first().map_or("?", |root| root.end(side).provider.as_str());
        let why = format!(
            "provider '{provider}' was given up on, and still works on what it was last asked for"
        );
        self.fault(side, &Error::new(ErrorKind::Timeout, why))
    }

    fn next_waiting(&self) -> Result<Option<i64>, End> {
        let times = self.engine.catalog.read(|view| {
            let next = self.ways().map(|(to, from)| {
                view.next_waiting(self.pair.project, self.pair.site(to), self.pair.site(from))
            });
            next.collect::<catalog::Result<Vec<_>>>()
        })?;
        Ok(times.into_iter().flatten().min())
    }

    /// Whether anything could be claimed now.
    fn ready(&self) -> Result<bool, End> {
        Ok(self.engine.catalog.read(|view| {
            for (to, from) in self.ways() {
                if view.ready(self.pair.project, self.pair.site(to), self.pair.site(from))? {
                    return Ok(true);
                }
            }
            Ok(false)
        })?)
    }

    /// Which work is this run's, to and from: between its ends, and what is to be removed at those
    /// that are no other pair's.
    pub(super) fn ways(&self) -> impl Iterator<Item = (Side, Side)> + '_ {
        let removals = Side::BOTH.into_iter().filter(|side| self.pair.leads(*side));
        let carried = Side::BOTH.into_iter().map(|to| (to, to.other()));
        carried.chain(removals.map(|side| (side, side)))
    }

    /// Claims work in both directions, and cuts it into batches.
    async fn claim(
        &self,
        no_large: bool,
        queued: &mut VecDeque<(Route, Vec<Claimed>)>,
    ) -> Result<(), End> {
        let due = self.next_waiting()?.is_some_and(|at| at <= self.engine.time.now());
        if !due && !self.ready()? {
            return Ok(());
        }
        let nth = self.claims.fetch_add(1, Ordering::Relaxed);
        let mut room = [None; 2];
        for (side, room) in Side::BOTH.into_iter().zip(&mut room) {
            *room = self.room(side).await;
        }
        // While a site is on probation, one file is enough to find out.
        let files = if self.suspect() { 1 } else { CLAIM_FILES };
        let (project, now) = (self.pair.project, self.engine.time.now());
        let sites = |(to, from)| (to, from, self.pair.site(to), self.pair.site(from));
        let ways: Vec<_> = self.ways().map(sites).collect();
        let claimed = self
            .engine
            .catalog
            .write(move |unit| {
                let mut claimed = Vec::new();
                for (to_side, from_side, to, from) in ways {
                    let room = Side::BOTH.into_iter().zip(room).find(|(side, _)| *side == to_side);
                    let limits = [no_large.then_some(LARGE), room.and_then(|(_, room)| room)];
                    if due {
                        unit.wake(project, to, from, now, 10_000)?;
                    }
                    let filter = ClaimFilter {
                        project,
                        to,
                        from,
                        files,
                        bytes: CLAIM_BYTES,
                        largest: limits.into_iter().flatten().min(),
                        oldest_first: nth % OLDEST_EVERY == OLDEST_EVERY - 1,
                    };
                    claimed.push((to_side, from_side, unit.claim(&filter)?));
                }
                Ok(claimed)
            })
            .await?;
        let mut rootless = Vec::new();
        for (to, from, files) in claimed {
            self.in_flight.add(files.len());
            rootless.append(&mut self.cut((to, from), files, queued));
        }
        self.give_up(rootless).await
    }

    /// Work on files of a root that is not configured any more, at both ends.
    async fn give_up(&self, rootless: Vec<Claimed>) -> Result<(), End> {
        if rootless.is_empty() {
            return Ok(());
        }
        let [one, other] = Side::BOTH.map(|side| self.pair.site_name(side));
        let error = JobError {
            kind: ErrorKind::InvalidSettings.name().into(),
            message: format!("its root is none that both '{one}' and '{other}' have"),
        };
        rootless.iter().for_each(|_| self.in_flight.take_back());
        let give_up = move |unit: &mut dyn catalog::Unit| {
            rootless.into_iter().try_for_each(|Claimed { file, job, .. }| {
                let (state, tries) = (JobState::Failed, job.tries + 1);
                unit.put_job(file, &Job { state, tries, error: Some(error.clone()), ..job })
            })
        };
        self.engine.catalog.write(give_up).await?;
        self.planned.notify_one();
        Ok(())
    }

    /// In a service, while a site that was full is on probation: the largest file for which there is room
    /// by what it says itself. What does not fit keeps nothing else from being tried.
    async fn room(&self, side: Side) -> Option<u64> {
        if self.mode == Mode::Once {
            return None;
        }
        let roots = self.pair.roots();
        let full = roots.iter().map(|root| root.end(side)).find(|end| end.storage.was_full())?;
        full.check().await.ok()?.free
    }

    fn suspect(&self) -> bool {
        let suspect =
            |root: &Arc<RootPair>| Side::BOTH.iter().any(|side| root.end(*side).storage.suspect());
        self.pair.roots().iter().any(suspect)
    }

    /// Returns files of which no root of this pair is the one.
    fn cut(
        &self,
        (to, from): (Side, Side),
        files: Vec<Claimed>,
        queued: &mut VecDeque<(Route, Vec<Claimed>)>,
    ) -> Vec<Claimed> {
        let roots = self.pair.roots();
        let mut rootless = Vec::new();
        let mut bytes = 0;
        for claimed in files {
            let Some(root) = roots.iter().find(|root| root.id == claimed.root) else {
                rootless.push(claimed);
                continue;
            };
            let size = claimed.source.size;
            // What failed before, and is tried again, takes no others with it.
            let batched = (root.same_instance() || to == from) && claimed.job.tries == 0;
            if let Some((route, batch)) = queued.back_mut()
                && batched
                && Arc::ptr_eq(&route.root, root)
                && (route.to, route.from) == (to, from)
                && batch.len() < BATCH_FILES
                && bytes + size <= BATCH_BYTES
            {
                bytes += size;
                batch.push(claimed);
                continue;
            }
            bytes = size;
            let route = Route {
                pair: self.pair.clone(),
                root: root.clone(),
                to,
                from,
                progress: self.engine.progress.clone(),
                pauses: self.engine.pauses.clone(),
                catalog: self.engine.catalog.clone(),
                begun: Instant::now(),
            };
            queued.push_back((route, vec![claimed]));
        }
        rootless
    }
}
