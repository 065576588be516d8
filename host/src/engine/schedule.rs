//! What runs when: every project once, or each for as long as the service lives.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sitesync_provider::ErrorKind;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::barriers::Barriers;
use super::clock::{Dice, HostTime};
use super::guards::Guards;
use super::offline::Offline;
use super::pair::Pair;
use super::pauses::Pauses;
use super::progress::{Note, Progress};
use super::recorded::Recorded;
use super::remove::Turns;
use super::run::{End, Run};
use super::siblings::{Sibling, Siblings};
use super::under_way::UnderWay;
use crate::catalog::{self, FileState, Sqlite};
use crate::settings;
use crate::sites::{Fault, Sites};

/// Surveys at once: more than the sites that can be expected to hang together.
const SURVEYS: usize = 32;
/// Projects at once, in a single run.
const PROJECTS: usize = 16;
/// Pauses between attempts to open a pair, in the service.
pub(super) const REOPEN: Duration = Duration::from_secs(5);
const LONGEST_REOPEN: Duration = Duration::from_secs(600);
/// Pauses of a single run after faults that soon pass.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];
/// How often a service looks for plug-ins that came, changed or went.
const LOOK: Duration = Duration::from_secs(1);

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
    /// Files that were taken away, because they were deleted elsewhere.
    pub removed: u64,
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
    /// Files that transfers hold.
    pub under_way: Arc<UnderWay>,
    /// Of what something is recorded while somebody looks.
    pub recorded: Arc<Recorded>,
    /// What is not to be worked on.
    pub pauses: Arc<Pauses>,
    pub(super) nudges: Arc<watch::Sender<u64>>,
    pub(super) barriers: Arc<Barriers>,
    /// Whose turn it is to take files away.
    pub(super) removals: Arc<Turns>,
    /// What guards let go lately.
    pub guards: Arc<Guards>,
    /// Pairs of the service that can't be worked on.
    pub offline: Arc<Offline>,
}

impl Engine {
    /// An engine that has done nothing yet. No root may hold `ours`, or lie in one of them.
    #[must_use]
    pub fn new(
        catalog: Sqlite,
        sites: Arc<Sites>,
        time: Arc<HostTime>,
        dice: Arc<Dice>,
        ours: Vec<PathBuf>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Engine {
            catalog,
            sites,
            time,
            dice,
            ours,
            stop,
            progress: Arc::default(),
            under_way: Arc::default(),
            recorded: Arc::default(),
            pauses: Arc::default(),
            nudges: Arc::default(),
            barriers: Arc::default(),
            removals: Arc::default(),
            guards: Arc::default(),
            offline: Arc::default(),
        }
    }

    /// Has every run look for work at once: there may be some that it does not know of.
    pub fn nudge(&self) {
        self.nudges.send_modify(|times| *times += 1);
    }

    /// Syncs these projects once.
    pub async fn sync(&self, projects: Vec<settings::Project>) -> Result<Summary, catalog::Error> {
        let turn = Arc::new(Semaphore::new(PROJECTS));
        let surveys = Arc::new(Semaphore::new(SURVEYS));
        let names: Vec<String> = projects.iter().map(|p| p.name.clone()).collect();
        self.pauses.reload(&self.catalog)?;
        let mut runs = JoinSet::new();
        for project in projects {
            let (engine, turn, surveys) = (self.clone(), turn.clone(), surveys.clone());
            runs.spawn(async move {
                let _turn = turn.acquire_owned().await;
                let name = project.name.clone();
                (name, engine.sync_pairs(project, surveys).await)
            });
        }
        let mut summary = Summary::default();
        while let Some(ended) = runs.join_next().await {
            let (project, faults) = ended.map_err(panicked)?;
            summary.offline.extend(faults?.into_iter().map(|fault| (project.clone(), fault)));
        }
        let told = |(project, fault): &(String, Fault)| {
            (project.clone(), fault.site.clone(), fault.message.clone())
        };
        // A site that several pairs have is told of once.
        summary.offline.sort_by_key(told);
        summary.offline.dedup_by_key(|one| told(one));
        let progress = &self.progress;
        summary.transferred = progress.files.load(Ordering::Relaxed);
        summary.bytes = progress.bytes.load(Ordering::Relaxed);
        summary.removed = progress.removed.load(Ordering::Relaxed);
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

    /// All pairs of a project, once and side by side. Returns why some could not be used.
    async fn sync_pairs(
        &self,
        project: settings::Project,
        surveys: Arc<Semaphore>,
    ) -> Result<Vec<Fault>, catalog::Error> {
        if let Some(id) = self.catalog.read(|view| view.project(&project.name))? {
            // Somebody asked for it, now: what was given up is tried again.
            self.catalog.write(move |unit| unit.reset_failed(id)).await?;
        }
        let mut pairs = JoinSet::new();
        for (names, sibling) in with_siblings(&project) {
            let (engine, project, surveys) = (self.clone(), project.clone(), surveys.clone());
            pairs.spawn(
                async move { engine.run_patiently(&project, names, &surveys, sibling).await },
            );
        }
        let mut faults = Vec::new();
        while let Some(ended) = pairs.join_next().await {
            match ended.map_err(panicked)? {
                Ok(()) => {}
                Err(End::Offline(fault)) => faults.push(fault),
                Err(End::Catalog(error)) => return Err(error),
            }
        }
        Ok(faults)
    }

    fn counts(&self, project: &str) -> Result<Vec<catalog::Count>, catalog::Error> {
        self.catalog.read(|view| match view.project(project)? {
            Some(id) => view.counts(id),
            None => Ok(Vec::new()),
        })
    }

    /// Keeps these projects in sync until the host is stopped. A pair whose site is offline is
    /// tried again at growing intervals; no pair waits for another.
    ///
    /// `projects` may change meanwhile: a project that is new begins, one that is gone ends, and one
    /// that changed ends and begins anew. What is under way is finished as it was begun.
    pub async fn serve(&self, mut projects: watch::Receiver<Vec<settings::Project>>) {
        let surveys = Arc::new(Semaphore::new(SURVEYS));
        let sites = self.sites.clone();
        let looking = tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                let sites = sites.clone();
                let _ = tokio::task::spawn_blocking(move || sites.look_again()).await;
            }
        });
        let mut stop = self.stop.clone();
        while let Err(error) = self.pauses.reload(&self.catalog) {
            tracing::error!(%error, "what is paused can't be read: nothing is done before");
            tokio::select! {
                () = tokio::time::sleep(REOPEN) => {}
                _ = stop.wait_for(|stopped| *stopped) => break,
            }
        }
        let mut kept: HashMap<String, Kept> = HashMap::new();
        while !*stop.borrow() {
            let wanted: Vec<_> = projects.borrow_and_update().iter().map(placeless).collect();
            for (name, kept) in &kept {
                if !wanted.iter().any(|project| project.name == *name) {
                    kept.end();
                }
            }
            for project in wanted {
                if kept.get(&project.name).is_some_and(|kept| kept.goes_on_with(&project)) {
                    continue;
                }
                let before = kept.remove(&project.name);
                let name = project.name.clone();
                kept.insert(name, Kept::begin(self, project, surveys.clone(), before));
            }
            let changed = async {
                if projects.changed().await.is_err() {
                    // Nobody will change them any more.
                    std::future::pending().await
                }
            };
            tokio::select! {
                () = changed => {}
                _ = stop.wait_for(|stopped| *stopped) => {}
            }
        }
        for (_, kept) in kept {
            let _ = kept.task.await;
        }
        looking.abort();
    }

    /// One project, until the host or this project is to stop. No pair of it waits for another.
    async fn keep(self, project: settings::Project, surveys: Arc<Semaphore>) {
        let mut pairs = JoinSet::new();
        for (names, sibling) in with_siblings(&project) {
            let (engine, project, surveys) = (self.clone(), project.clone(), surveys.clone());
            pairs.spawn(async move {
                engine.keep_pair(&project, &names, surveys, Arc::new(sibling)).await;
                engine.offline.forget(&project.name, &names);
            });
        }
        while pairs.join_next().await.is_some() {}
    }

    async fn keep_pair(
        &self,
        project: &settings::Project,
        names: &[String; 2],
        surveys: Arc<Semaphore>,
        sibling: Arc<Sibling>,
    ) {
        let mut stop = self.stop.clone();
        let mut replaced = self.sites.replaced();
        let mut pause = REOPEN;
        while !*stop.borrow() {
            replaced.mark_unchanged();
            let started = Instant::now();
            let run = self.run(project, names, Mode::Forever, surveys.clone(), sibling.clone());
            match run.await {
                Ok(()) => return,
                Err(end) => {
                    if started.elapsed() > LONGEST_REOPEN {
                        pause = REOPEN;
                    }
                    if let End::Offline(fault) = &end {
                        if fault.kind == ErrorKind::RootUnavailable {
                            // To look whether it is back costs no more than to look at it.
                            pause = pause.min(project.loop_delay.max(REOPEN));
                        }
                        self.offline.note(&project.name, names, fault, pause);
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
                // A provider came that may be what it waits for.
                _ = replaced.changed() => {
                    pause = REOPEN;
                    continue;
                }
                _ = stop.wait_for(|stopped| *stopped) => return,
            }
            pause = (pause * 2).min(LONGEST_REOPEN);
        }
    }

    /// Runs once; again if a site had a fault that soon passes.
    async fn run_patiently(
        &self,
        project: &settings::Project,
        names: [String; 2],
        surveys: &Arc<Semaphore>,
        sibling: Sibling,
    ) -> Result<(), End> {
        let mut stop = self.stop.clone();
        let sibling = Arc::new(sibling);
        let run = || self.run(project, &names, Mode::Once, surveys.clone(), sibling.clone());
        for pause in PAUSES {
            sibling.busy();
            let ended = run().await;
            let passes = |kind| matches!(kind, ErrorKind::RateLimited | ErrorKind::Interrupted);
            match ended {
                Err(End::Offline(fault)) if passes(fault.kind) && !*stop.borrow() => {
                    tracing::info!(project = project.name, "{fault}; trying again");
                }
                ended => return ended,
            }
            tokio::select! {
                () = tokio::time::sleep(pause / self.sites.hurry()) => {}
                _ = stop.wait_for(|stopped| *stopped) => {}
            }
        }
        sibling.busy();
        run().await
    }

    async fn run(
        &self,
        project: &settings::Project,
        names: &[String; 2],
        mode: Mode,
        surveys: Arc<Semaphore>,
        sibling: Arc<Sibling>,
    ) -> Result<(), End> {
        let Engine { sites, catalog, dice, ours, .. } = self;
        let pair = Pair::open(sites, catalog, dice, project, names, ours).await?;
        let run = Arc::new(Run::new(self.clone(), pair, mode, surveys, sibling));
        run.recover().await?;
        self.offline.forget(&project.name, names);
        run.clone().go().await
    }
}

/// A project that is kept in sync.
struct Kept {
    project: settings::Project,
    end: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Kept {
    /// Begins with a project once `before`, which is the same in other settings, has ended.
    fn begin(
        engine: &Engine,
        project: settings::Project,
        surveys: Arc<Semaphore>,
        before: Option<Kept>,
    ) -> Self {
        let (end, ended) = watch::channel(false);
        let mut host_stops = engine.stop.clone();
        let engine = Engine { stop: ended, ..engine.clone() };
        let (kept, ending) = (project.clone(), end.clone());
        let task = tokio::spawn(async move {
            if let Some(before) = before {
                before.end();
                let _ = before.task.await;
            }
            let with_the_host = async {
                let _ = host_stops.wait_for(|stopped| *stopped).await;
                ending.send_replace(true);
                std::future::pending().await
            };
            tokio::select! {
                () = engine.keep(kept, surveys) => {}
                () = with_the_host => {}
            }
        });
        Kept { project, end, task }
    }

    /// Ends once what is under way is finished.
    fn end(&self) {
        self.end.send_replace(true);
    }

    /// True if nothing has changed for it.
    fn goes_on_with(&self, project: &settings::Project) -> bool {
        self.project == *project && !*self.end.borrow()
    }
}

/// The pairs of a project, which hear of one another.
pub(super) fn with_siblings(project: &settings::Project) -> Vec<([String; 2], Sibling)> {
    let siblings = Arc::<Siblings>::default();
    project.pairs.iter().map(|pair| (pair.clone(), siblings.join())).collect()
}

fn panicked(panic: tokio::task::JoinError) -> catalog::Error {
    catalog::Error::Storage(panic.to_string())
}

/// A project, wherever it stands in a file.
fn placeless(project: &settings::Project) -> settings::Project {
    settings::Project { span: settings::Span::default(), ..project.clone() }
}
