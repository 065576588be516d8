//! What runs when: the surveys of both ends, the claims, and their end.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sitesync_provider::{Error, ErrorKind, Kind, SweepOptions, join};
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::clock::{Dice, HostTime};
use super::discover::{self, Discovered, Folder};
use super::pair::{Pair, Side};
use super::plan::{self, Missing, Moment, SeenFolders};
use super::progress::{Note, Progress};
use super::record::{Arrived, InFlight, Recorder, have};
use super::transfer::Route;
use crate::catalog::{
    self, ClaimFilter, Claimed, FileState, FolderId, JobState, QueueFilter, STALE, Sqlite,
};
use crate::settings;
use crate::sites::{Fault, Parked, Sites};

/// Files and bytes of one claim,
const CLAIM_FILES: usize = 512;
const CLAIM_BYTES: u64 = 128 << 20;
/// and of one batch, which holds a slot.
const BATCH_FILES: usize = 64;
const BATCH_BYTES: u64 = 16 << 20;
/// Files from this size on take at most half the slots.
const LARGE: u64 = 1 << 30;
/// One claim in so many goes to the oldest, whatever its priority.
const OLDEST_EVERY: u64 = 10;
/// Surveys and projects at once.
const SURVEYS: usize = 4;
const PROJECTS: usize = 16;
/// How long a single run waits for a parked site before it gives up.
const PATIENCE: Duration = Duration::from_secs(30);
const PATIENT_TIMES: u32 = 3;
/// A foreign host's temporaries are swept when they are this old.
const FOREIGN: Duration = Duration::from_secs(30 * 24 * 3600);
/// Pauses between attempts to open a pair, in the service.
const REOPEN: Duration = Duration::from_secs(5);
const LONGEST_REOPEN: Duration = Duration::from_secs(600);

/// One pass, or for as long as the service lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Until there is nothing left to do.
    Once,
    /// Until it is stopped.
    Forever,
}

/// What a run came to.
#[derive(Debug, Default)]
pub struct Summary {
    /// Files that were transferred.
    pub transferred: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that were there already.
    pub adopted: u64,
    /// What exists and cannot travel.
    pub skipped: u64,
    /// Files that could not be brought where they belong, and folders that could not be listed.
    pub failed: u64,
    /// Files that differ at both ends.
    pub conflicts: u64,
    /// Sites that could not be used.
    pub offline: Vec<(String, Fault)>,
    /// What people should hear of.
    pub notes: Vec<Note>,
}

/// The engine of one host.
#[derive(Debug, Clone)]
pub struct Engine {
    /// The durable truth.
    pub catalog: Sqlite,
    /// The sites.
    pub sites: Arc<Sites>,
    /// Time.
    pub time: Arc<HostTime>,
    /// Chance.
    pub dice: Arc<Dice>,
    /// Folders of this host that no root may hold or lie in.
    pub ours: Vec<PathBuf>,
    /// Turns true when the host goes down.
    pub stop: watch::Receiver<bool>,
    /// What it has done so far.
    pub progress: Arc<Progress>,
}

impl Engine {
    /// Syncs these projects once.
    pub async fn sync(&self, projects: Vec<settings::Project>) -> Result<Summary, catalog::Error> {
        let turn = Arc::new(Semaphore::new(PROJECTS));
        let surveys = Arc::new(Semaphore::new(SURVEYS));
        let names: Vec<String> = projects.iter().map(|p| p.name.clone()).collect();
        let mut runs = JoinSet::new();
        for project in projects {
            let (engine, turn, surveys) = (self.clone(), turn.clone(), surveys.clone());
            runs.spawn(async move {
                let _turn = turn.acquire_owned().await;
                let name = project.name.clone();
                (name, engine.run(project, Mode::Once, surveys).await)
            });
        }
        let mut summary = Summary::default();
        while let Some(ended) = runs.join_next().await {
            match ended {
                Ok((_, Ok(()))) => {}
                Ok((project, Err(End::Offline(fault)))) => summary.offline.push((project, fault)),
                Ok((_, Err(End::Catalog(error)))) => return Err(error),
                Err(panic) => return Err(catalog::Error::Storage(panic.to_string())),
            }
        }
        summary.offline.sort_by(|a, b| a.0.cmp(&b.0));
        let progress = &self.progress;
        summary.transferred = progress.files.load(Ordering::Relaxed);
        summary.bytes = progress.bytes.load(Ordering::Relaxed);
        summary.adopted = progress.adopted.load(Ordering::Relaxed);
        summary.skipped = progress.skipped.load(Ordering::Relaxed);
        summary.failed = progress.unlisted.load(Ordering::Relaxed);
        summary.notes = progress.notes();
        for name in names {
            for count in self.counts(&name)? {
                if count.state == FileState::Failed {
                    summary.conflicts += count.conflicts;
                    summary.failed += count.files - count.conflicts;
                }
            }
        }
        Ok(summary)
    }

    fn counts(&self, project: &str) -> Result<Vec<catalog::Count>, catalog::Error> {
        self.catalog.read(|view| match view.project(project)? {
            Some(id) => view.counts(id),
            None => Ok(Vec::new()),
        })
    }

    /// Keeps these projects in sync until the host is stopped. A pair whose site is offline is
    /// tried again at growing intervals; no pair waits for another.
    pub async fn serve(&self, projects: Vec<settings::Project>) {
        let surveys = Arc::new(Semaphore::new(SURVEYS));
        let mut pairs = JoinSet::new();
        for project in projects {
            let (engine, surveys) = (self.clone(), surveys.clone());
            pairs.spawn(async move { engine.keep(project, surveys).await });
        }
        while pairs.join_next().await.is_some() {}
    }

    async fn keep(self, project: settings::Project, surveys: Arc<Semaphore>) {
        let mut stop = self.stop.clone();
        let mut pause = REOPEN;
        while !*stop.borrow() {
            let started = Instant::now();
            match self.run(project.clone(), Mode::Forever, surveys.clone()).await {
                Ok(()) => return,
                Err(end) => {
                    if started.elapsed() > LONGEST_REOPEN {
                        pause = REOPEN;
                    }
                    tracing::warn!(
                        project = project.name,
                        "{end}; trying again in {} s",
                        pause.as_secs()
                    );
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stop.wait_for(|stopped| *stopped) => return,
            }
            pause = (pause * 2).min(LONGEST_REOPEN);
        }
    }

    async fn run(
        &self,
        project: settings::Project,
        mode: Mode,
        surveys: Arc<Semaphore>,
    ) -> Result<(), End> {
        let pair = Pair::open(&self.sites, &self.catalog, &self.dice, &project, &self.ours).await?;
        let run = Arc::new(Run {
            engine: self.clone(),
            pair: Arc::new(pair),
            mode,
            surveys,
            in_flight: Arc::default(),
            planned: Notify::new(),
            surveyed: AtomicBool::new(false),
            claims: AtomicU64::new(0),
        });
        run.recover().await?;
        run.clone().go().await
    }
}

/// Why a run ended early.
#[derive(Debug)]
enum End {
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
struct Run {
    engine: Engine,
    pair: Arc<Pair>,
    mode: Mode,
    surveys: Arc<Semaphore>,
    in_flight: Arc<InFlight>,
    /// Told when planning has put something into the catalog.
    planned: Notify,
    /// Both ends have been looked at: what is not planned now will not be in this run.
    surveyed: AtomicBool,
    claims: AtomicU64,
}

impl Run {
    fn moment(&self) -> Moment {
        Moment { now: self.engine.time.now(), wall_ns: self.engine.time.wall_ns() }
    }

    fn fault(&self, side: Side, error: &Error) -> End {
        End::Offline(Fault::new(self.pair.site_name(side), error))
    }

    /// After a crash: what was in flight left temporaries behind, and is to be done again. The
    /// marks go only after the sweep, so that a crash in between costs nothing.
    async fn recover(&self) -> Result<(), End> {
        let project = self.pair.project;
        for side in Side::BOTH {
            let site = self.pair.site(side);
            let interrupted = self.engine.catalog.read(|v| v.in_progress(project, site))?;
            if interrupted == 0 {
                continue;
            }
            for root in &self.pair.roots {
                let how = SweepOptions::new(Vec::new(), FOREIGN);
                let swept = root.end(side).sweep(how).await;
                let swept = swept.map_err(|error| self.fault(side, &error))?;
                tracing::info!(
                    project = self.pair.settings.name,
                    site = self.pair.site_name(side),
                    interrupted,
                    temporaries = swept.count,
                    "went on after an interruption"
                );
            }
            self.claim_unrecorded(side).await?;
            self.engine.catalog.write(move |unit| unit.release(project, site)).await?;
        }
        if self.mode == Mode::Once {
            // Somebody asked for it, now: what was given up is tried again.
            self.engine.catalog.write(move |unit| unit.reset_failed(project)).await?;
        }
        Ok(())
    }

    /// What was brought to its place and not recorded is noted as ours before anything else: a
    /// later claim forgets what was sent before it, and it would be taken for somebody else's.
    async fn claim_unrecorded(&self, side: Side) -> Result<(), End> {
        let (project, site) = (self.pair.project, self.pair.site(side));
        let filter =
            QueueFilter { states: vec![JobState::InProgress], limit: usize::MAX, offset: 0 };
        let interrupted = self.engine.catalog.read(|view| view.queue(project, &filter))?;
        let mut ours = Vec::new();
        for row in interrupted.into_iter().filter(|row| row.job.to == site) {
            let root = self.pair.roots.iter().find(|root| root.name == row.root);
            let (Some(root), Some(sent)) = (root, row.job.sent) else { continue };
            let end = root.end(side);
            match end.stat(&row.path).await {
                Ok(seen)
                    if seen.kind == Kind::File
                        && seen.size == sent.size
                        && plan::is_sent(sent, &seen, end.info.mtime_step_ns) =>
                {
                    ours.push((root.id, row, seen));
                }
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    tracing::debug!(%error, path = row.path, "not known whether it arrived");
                }
                _ => {}
            }
        }
        let note = move |unit: &mut dyn catalog::Unit| {
            for (root, row, seen) in ours {
                let (folder, name) = row.path.rsplit_once('/').unwrap_or(("", &row.path));
                let known = unit.file(root, folder, name)?.is_some_and(|file| {
                    let here = file.haves.iter().find(|have| have.site == site);
                    here.is_some_and(|have| have.version == seen.fingerprint())
                });
                if !known {
                    unit.put_have(row.file, &have(site, STALE, &seen))?;
                }
            }
            Ok(())
        };
        Ok(self.engine.catalog.write(note).await?)
    }

    async fn go(self: Arc<Self>) -> Result<(), End> {
        let (to_record, arrivals) = mpsc::channel(64);
        let drained = Arc::new(Notify::new());
        let recorder = Recorder {
            pair: self.pair.clone(),
            catalog: self.engine.catalog.clone(),
            time: self.engine.time.clone(),
            dice: self.engine.dice.clone(),
            progress: self.engine.progress.clone(),
            in_flight: self.in_flight.clone(),
            drained: drained.clone(),
        };
        let recording = tokio::spawn(recorder.run(arrivals));
        let watching = self.clone();
        let surveying = tokio::spawn(async move { watching.watch().await });
        let transferred = self.transfer(to_record, &drained).await;
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
        recorded?;
        surveyed.and(transferred)
    }

    /// Looks at the ends: once, or again and again.
    async fn watch(&self) -> Result<(), End> {
        let result = self.watch_on().await;
        self.surveyed.store(true, Ordering::Release);
        self.planned.notify_one();
        result
    }

    async fn watch_on(&self) -> Result<(), End> {
        let mut stop = self.engine.stop.clone();
        let mut remote_due = Instant::now();
        loop {
            let remote = Instant::now() >= remote_due;
            if remote {
                remote_due = Instant::now() + self.pair.settings.rescan;
            }
            let of_remote =
                async { if remote { self.survey_side(Side::Remote).await } else { Ok(()) } };
            tokio::try_join!(self.survey_side(Side::Active), of_remote)?;
            if self.mode == Mode::Once {
                return Ok(());
            }
            tokio::select! {
                () = tokio::time::sleep(self.pair.settings.loop_delay) => {}
                _ = stop.wait_for(|stopped| *stopped) => return Ok(()),
            }
        }
    }

    async fn survey_side(&self, side: Side) -> Result<(), End> {
        for root in 0..self.pair.roots.len() {
            let _turn = self.surveys.acquire().await;
            self.survey(root, side).await?;
        }
        Ok(())
    }

    /// One scan of one root, planned as it goes.
    async fn survey(&self, root: usize, side: Side) -> Result<(), End> {
        let root_pair = &self.pair.roots[root];
        root_pair.still_there(side).await.map_err(|error| self.fault(side, &error))?;
        let (to_plan, mut found) = mpsc::channel::<Discovered>(8);
        let progress = &self.engine.progress;
        let scanning = async {
            let to_plan = to_plan;
            discover::scan(&self.pair, root, side, progress, &to_plan).await
        };
        let mut seen = SeenFolders::default();
        let planning = async {
            while let Some(discovered) = found.recv().await {
                self.plan(discovered, &mut seen).await?;
            }
            Ok::<_, End>(())
        };
        let (scanned, planned) = tokio::join!(scanning, planning);
        planned?;
        let scanned = scanned.map_err(|error| self.fault(side, &error))?;

        // Folders that the catalog knows and the scan did not meet.
        let mut after = FolderId(0);
        loop {
            let page = self.engine.catalog.read(|view| view.folders(root_pair.id, after, 1000))?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = *last;
            let folders: Vec<Folder> = page
                .into_iter()
                .filter(|(id, path)| !seen.contains(*id) && scanned.covers(path))
                .map(|(_, path)| Folder { path, files: Vec::new(), complete: true })
                .collect();
            if !folders.is_empty() {
                self.plan(Discovered { root, side, folders }, &mut SeenFolders::default()).await?;
            }
        }
    }

    async fn plan(&self, found: Discovered, seen: &mut SeenFolders) -> Result<(), End> {
        let Discovered { root, side, folders } = found;
        let moment = self.moment();
        let pair = &self.pair;
        // Most folders hold nothing new: that costs reads only, beside the writer.
        let mut missing = Vec::new();
        let mut news = Vec::new();
        tokio::task::block_in_place(|| {
            self.engine.catalog.read(|view| {
                for folder in folders {
                    let plan = plan::decide(view, pair, &pair.roots[root], side, &folder, moment)?;
                    if let Some(id) = plan.id {
                        seen.insert(id);
                    }
                    if plan.is_empty() {
                        missing.extend(plan.missing);
                    } else {
                        news.push(folder);
                    }
                }
                Ok(())
            })
        })?;
        if !news.is_empty() {
            let pair = self.pair.clone();
            let (ids, more_missing, files, bytes) = self
                .engine
                .catalog
                .write(move |unit| {
                    let root = &pair.roots[root];
                    let (mut ids, mut missing, mut files, mut bytes) = (vec![], vec![], 0, 0);
                    for folder in news {
                        let mut plan = plan::decide(unit, &pair, root, side, &folder, moment)?;
                        missing.append(&mut plan.missing);
                        files += plan.files;
                        bytes += plan.bytes;
                        ids.push(plan::apply(unit, root, &folder.path, plan)?);
                    }
                    Ok((ids, missing, files, bytes))
                })
                .await?;
            ids.into_iter().for_each(|id| seen.insert(id));
            missing.extend(more_missing);
            Progress::add(&self.engine.progress.planned_files, files);
            Progress::add(&self.engine.progress.planned_bytes, bytes);
            self.planned.notify_one();
        }
        self.confirm(root, side, missing).await
    }

    /// A file that a listing does not name is gone only if the root is still the one that was
    /// opened, and `stat` says so too.
    async fn confirm(&self, root: usize, side: Side, missing: Vec<Missing>) -> Result<(), End> {
        if missing.is_empty() {
            return Ok(());
        }
        let root_pair = &self.pair.roots[root];
        root_pair.still_there(side).await.map_err(|error| self.fault(side, &error))?;
        let mut gone = Vec::new();
        for file in missing {
            match root_pair.end(side).stat(&join(&file.folder, &file.name)).await {
                Err(error) if error.kind() == ErrorKind::NotFound => gone.push(file),
                Err(error) => tracing::debug!(%error, name = file.name, "absence not confirmed"),
                Ok(_) => {}
            }
        }
        let (pair, moment) = (self.pair.clone(), self.moment());
        self.engine
            .catalog
            .write(move |unit| {
                let root = &pair.roots[root];
                gone.iter().try_for_each(|file| plan::gone(unit, &pair, root, side, file, moment))
            })
            .await?;
        self.planned.notify_one();
        Ok(())
    }

    /// Claims and carries until nothing is left (`Once`), or until stopped.
    async fn transfer(
        &self,
        to_record: mpsc::Sender<Arrived>,
        drained: &Notify,
    ) -> Result<(), End> {
        let mut stop = self.engine.stop.clone();
        let mut carrying: JoinSet<()> = JoinSet::new();
        let mut queued: VecDeque<(Route, Vec<Claimed>)> = VecDeque::new();
        let mut large = 0_usize;
        let width: usize = self
            .pair
            .roots
            .iter()
            .flat_map(|root| Side::BOTH.map(|side| root.end(side).storage.width))
            .max()
            .unwrap_or(1);
        let mut waited = 0;
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
            let mut idle = false;
            match self.parked() {
                Some((side, parked)) => match self.wait_out(side, &parked, &mut waited) {
                    Err(end) => break Err(end),
                    Ok(()) => idle = true,
                },
                None => {
                    while carrying.len() < 2 * width {
                        if queued.is_empty() {
                            self.claim(large * 2 >= width, &mut queued).await?;
                        }
                        let Some((route, batch)) = queued.pop_front() else {
                            idle = true;
                            break;
                        };
                        large += batch.iter().filter(|c| c.source.size >= LARGE).count();
                        let to_record = to_record.clone();
                        carrying.spawn(async move {
                            let finished = route.clone().carry(batch).await;
                            let _ = to_record.send((route, finished)).await;
                        });
                    }
                }
            }
            if carrying.is_empty() {
                large = 0;
                drained.notify_one();
            }
            let mut nap = Duration::from_secs(60);
            if idle && carrying.is_empty() && queued.is_empty() && self.in_flight.count() == 0 {
                let waiting = self.next_waiting()?;
                let nothing = waiting.is_none() && self.parked().is_none() && self.ready()? == 0;
                if self.mode == Mode::Once && surveyed && nothing {
                    break Ok(());
                }
                if let Some(at) = waiting {
                    let left = u64::try_from(at - self.engine.time.now()).unwrap_or(0);
                    nap = nap.min(Duration::from_millis(left.max(1)));
                }
            }
            if let Some((_, parked)) = self.parked() {
                nap = nap.min(parked.until.saturating_duration_since(Instant::now()));
            }
            tokio::select! {
                Some(_) = carrying.join_next() => {}
                () = self.planned.notified() => {}
                () = self.in_flight.changed.notified() => {}
                () = tokio::time::sleep(nap) => {}
                _ = stop.wait_for(|stopped| *stopped) => {}
            }
        };
        // What is under way is finished and recorded, within a limit.
        let ending = async { while carrying.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(Duration::from_secs(20), ending).await;
        carrying.abort_all();
        self.release_unclaimed(queued).await?;
        result
    }

    /// Work that was claimed and not begun goes back.
    async fn release_unclaimed(&self, queued: VecDeque<(Route, Vec<Claimed>)>) -> Result<(), End> {
        let back: Vec<Claimed> = queued.into_iter().flat_map(|(_, batch)| batch).collect();
        if back.is_empty() {
            return Ok(());
        }
        let put_back = move |unit: &mut dyn catalog::Unit| {
            back.iter().try_for_each(|claimed| unit.put_job(claimed.file, &claimed.job))
        };
        Ok(self.engine.catalog.write(put_back).await?)
    }

    /// The end that is to be left alone right now, if one is.
    fn parked(&self) -> Option<(Side, Parked)> {
        let now = Instant::now();
        self.pair.roots.iter().find_map(|root| {
            Side::BOTH.into_iter().find_map(|side| {
                root.end(side).storage.health.parked(now).map(|parked| (side, parked))
            })
        })
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
        Err(self.fault(side, &Error::new(parked.kind, parked.reason.clone())))
    }

    fn next_waiting(&self) -> Result<Option<i64>, End> {
        let times = self.engine.catalog.read(|view| {
            Side::BOTH
                .map(|side| view.next_waiting(self.pair.project, self.pair.site(side)))
                .into_iter()
                .collect::<catalog::Result<Vec<_>>>()
        })?;
        Ok(times.into_iter().flatten().min())
    }

    fn ready(&self) -> Result<u64, End> {
        Ok(self.engine.catalog.read(|view| {
            let to = |side| view.ready(self.pair.project, self.pair.site(side));
            Ok(to(Side::Active)? + to(Side::Remote)?)
        })?)
    }

    /// Claims work in both directions, and cuts it into batches.
    async fn claim(
        &self,
        no_large: bool,
        queued: &mut VecDeque<(Route, Vec<Claimed>)>,
    ) -> Result<(), End> {
        let due = self.next_waiting()?.is_some_and(|at| at <= self.engine.time.now());
        if !due && self.ready()? == 0 {
            return Ok(());
        }
        let nth = self.claims.fetch_add(1, Ordering::Relaxed);
        // While a site is on probation, one file is enough to find out.
        let files = if self.suspect() { 1 } else { CLAIM_FILES };
        let (project, now) = (self.pair.project, self.engine.time.now());
        let sites = Side::BOTH.map(|side| (side, self.pair.site(side)));
        let claimed = self
            .engine
            .catalog
            .write(move |unit| {
                if due {
                    unit.wake(now, 10_000)?;
                }
                let mut claimed = Vec::new();
                for (side, to) in sites {
                    let filter = ClaimFilter {
                        project,
                        to,
                        files,
                        bytes: CLAIM_BYTES,
                        largest: no_large.then_some(LARGE),
                        oldest_first: nth % OLDEST_EVERY == OLDEST_EVERY - 1,
                    };
                    claimed.push((side, unit.claim(&filter)?));
                }
                Ok(claimed)
            })
            .await?;
        for (side, files) in claimed {
            self.in_flight.add(files.len());
            self.cut(side, files, queued);
        }
        Ok(())
    }

    fn suspect(&self) -> bool {
        let roots = self.pair.roots.iter();
        roots.flat_map(|r| Side::BOTH.map(|s| r.end(s))).any(|end| end.storage.health.suspect())
    }

    fn cut(&self, to: Side, files: Vec<Claimed>, queued: &mut VecDeque<(Route, Vec<Claimed>)>) {
        let mut bytes = 0;
        for claimed in files {
            let Some(root) = self.pair.roots.iter().position(|r| r.id == claimed.root) else {
                // A root that is no longer configured: it stays as it is.
                self.in_flight.take_back();
                continue;
            };
            let size = claimed.source.size;
            let batched = self.pair.roots[root].same_instance();
            if let Some((route, batch)) = queued.back_mut()
                && batched
                && route.root == root
                && route.to == to
                && batch.len() < BATCH_FILES
                && bytes + size <= BATCH_BYTES
            {
                bytes += size;
                batch.push(claimed);
                continue;
            }
            bytes = size;
            let route =
                Route { pair: self.pair.clone(), root, to, progress: self.engine.progress.clone() };
            queued.push_back((route, vec![claimed]));
        }
    }
}
