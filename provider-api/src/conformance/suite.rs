//! Running the cases, one after another.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::content::random;
use super::ground::{Ground, Site};
use super::guest::{Caches, Guest, Plain};
use super::outcome::Failure;
use super::remove::remove;
use super::{Case, CaseReport, Report, Verdict, cases};
use crate::abi::client::{Connection, Module};
use crate::{BoxFuture, Error, ErrorKind, Host, OURS, Provider, Result, RootInfo};

/// How long a call may take, unless [`Suite::limit`] says otherwise.
const LIMIT: Duration = Duration::from_secs(30);
/// How long a case may go on that is under way when the run is to end.
const GRACE: Duration = Duration::from_secs(2);
/// A case may take this many times as long as a call.
const CASE: u32 = 4;
/// Removing what was made may take this many times as long as a call, or twice as long as making it:
/// each file is a request, and the host may allow few.
const REMOVAL: u32 = 20;

/// A run of the conformance suite, being set up.
pub struct Suite {
    plan: Plan,
    told: Box<dyn FnMut(&CaseReport) + Send>,
    stop: BoxFuture<'static, ()>,
}

/// What is to be run, on what.
struct Plan {
    module: Module,
    settings: serde_json::Value,
    host: Host,
    root: String,
    only: Vec<String>,
    seed: u64,
    limit: Duration,
}

impl Suite {
    /// A module (loaded from a plug-in, or in process), the site's settings, what the host gives
    /// to it, and a root to work in.
    pub fn new(
        module: Module,
        settings: serde_json::Value,
        host: Host,
        root: impl Into<String>,
    ) -> Self {
        let plan = Plan {
            module,
            settings,
            host,
            root: root.into(),
            only: Vec::new(),
            seed: random(),
            limit: LIMIT,
        };
        Suite { plan, told: Box::new(|_| {}), stop: Box::pin(std::future::pending()) }
    }

    /// A provider type of this very binary: what an author's own test calls. Its host has a cache
    /// folder beneath the folder for temporaries, and no limit of requests.
    #[must_use]
    pub fn of<P: Provider>(settings: serde_json::Value, root: impl Into<String>) -> Self {
        let host = Host::new(Plain { cache_dir: std::env::temp_dir() });
        Suite::new(Module::in_process::<P>(), settings, host, root)
    }

    /// Only cases of this theme, or whose name contains this. Called again, those as well.
    #[must_use]
    pub fn only(mut self, part: impl Into<String>) -> Self {
        self.plan.only.push(part.into());
        self
    }

    /// Makes random content from this, as an earlier run did whose report names it.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.plan.seed = seed;
        self
    }

    /// How long one call of the provider may take: 30 s, unless this says otherwise. A case may
    /// take four times as long.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.plan.limit = limit;
        self
    }

    /// Is called after each case.
    #[must_use]
    pub fn on_case(mut self, told: impl FnMut(&CaseReport) + Send + 'static) -> Self {
        self.told = Box::new(told);
        self
    }

    /// Ends the run early, once this future does: the case under way is dropped, if it does not end
    /// soon by itself, and the folder of the run is removed as ever.
    #[must_use]
    pub fn stop(mut self, when: impl Future<Output = ()> + Send + 'static) -> Self {
        self.stop = Box::pin(when);
        self
    }

    /// Runs the cases. An error only if the provider can't be connected, the root can't be opened,
    /// or no folder can be made in it.
    pub async fn run(self) -> Result<Report> {
        let Suite { plan, mut told, mut stop } = self;
        let begun = Instant::now();
        let (site, connection) = plan.open().await?;
        let site = Arc::new(site);
        let mut report = Report {
            provider: site.description.id.clone(),
            root: plan.root.clone(),
            seed: plan.seed,
            cases: Vec::new(),
            stopped: false,
            left_behind: Vec::new(),
        };
        let mut silent_since = None;
        for case in cases().filter(|case| plan.is_chosen(case)) {
            let begun = Instant::now();
            let verdict = match silent_since {
                Some(name) => Verdict::Fail(format!(
                    "it was not tried: the provider has not answered since `{name}`"
                )),
                None => {
                    let ground =
                        Ground::new(site.clone(), connection.clone(), case.name, plan.seed);
                    let mut trying = pin!(tried(case, ground, plan.limit));
                    let verdict = tokio::select! {
                        verdict = &mut trying => verdict,
                        () = &mut stop => {
                            // A call that is left alone may make something once all was removed.
                            let _ = tokio::time::timeout(GRACE, trying).await;
                            report.stopped = true;
                            break;
                        }
                    };
                    if site.hung.swap(false, Ordering::Relaxed) && !plan.answers(&connection).await
                    {
                        silent_since = Some(case.name);
                    }
                    verdict
                }
            };
            let case = CaseReport::new(case, verdict, begun.elapsed().as_secs_f64());
            told(&case);
            report.cases.push(case);
        }
        let most = (plan.limit * REMOVAL).max(begun.elapsed() * 2);
        report.left_behind = plan.clean(site, connection, most).await;
        Ok(report)
    }

    /// Runs the cases on a runtime of their own.
    pub fn run_blocking(self) -> Result<Report> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(self.run())
    }
}

impl Plan {
    fn is_chosen(&self, case: &Case) -> bool {
        let fits = |part: &String| case.group == part || case.name.contains(part);
        self.only.is_empty() || self.only.iter().any(fits)
    }

    /// Connects, opens the root, and makes the folder of the run.
    async fn open(&self) -> Result<(Site, Connection)> {
        let description = self.module.describe()?;
        let run = random();
        let caches = Caches::new(&self.host.cache_dir(), run);
        let permits = Arc::default();
        let host = Host::new(Guest {
            host: self.host.clone(),
            cache_dir: caches.next()?,
            site_id: format!("verify-{run:016x}"),
            permits: Arc::clone(&permits),
        });
        let connect = self.module.connect(&self.settings, host.clone());
        let connection = limited(self.limit, "connect", connect).await?;
        let info: RootInfo = self.open_root(&connection).await?;
        let site = Site {
            module: self.module,
            description,
            settings: self.settings.clone(),
            host,
            root: self.root.clone(),
            info,
            work: format!("{OURS}-verify-{run:016x}"),
            limit: self.limit,
            hung: AtomicBool::new(false),
            permits,
            caches,
        };
        let folder = crate::At::new(&site.root, &site.work);
        limited(self.limit, "make a folder to work in", connection.create_folder(folder)).await?;
        Ok((site, connection))
    }

    async fn open_root(&self, connection: &Connection) -> Result<RootInfo> {
        let call = connection.open_root(&self.root, &self.settings);
        limited(self.limit, "open the root", call).await
    }

    /// After a call without an answer: whether the provider as a whole still answers.
    async fn answers(&self, connection: &Connection) -> bool {
        let answer = self.open_root(connection).await;
        !answer.is_err_and(|error| error.kind() == ErrorKind::Timeout)
    }

    async fn clean(&self, site: Arc<Site>, connection: Connection, most: Duration) -> Vec<String> {
        let work = site.work.clone();
        let ground = Ground::new(site, connection, "", self.seed);
        match tokio::time::timeout(most, remove(&ground, &work)).await {
            Ok(left) => left,
            Err(_) => vec![format!("{work}: it took too long to remove")],
        }
    }
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suite").field("root", &self.plan.root).finish_non_exhaustive()
    }
}

/// Tries one case. A panic of the case itself fails it as well.
async fn tried(case: &Case, ground: Ground, limit: Duration) -> Verdict {
    if let Some(reason) = (case.needs)(ground.info()) {
        return Verdict::NotApplicable(reason);
    }
    let limit = limit * CASE * case.patience;
    let mut task = JoinSet::new();
    task.spawn(tokio::time::timeout(limit, (case.run)(ground)));
    match task.join_next().await {
        Some(Ok(Ok(Ok(())))) => Verdict::Pass,
        Some(Ok(Ok(Err(Failure::Failed(reason))))) => Verdict::Fail(reason),
        Some(Ok(Ok(Err(Failure::NotApplicable(reason))))) => Verdict::NotApplicable(reason),
        Some(Ok(Err(_))) => Verdict::Fail(format!("it took longer than {} s", limit.as_secs_f32())),
        Some(Err(error)) => Verdict::Fail(format!("the case itself ended: {error}")),
        None => Verdict::Fail("the case was not run".to_owned()),
    }
}

async fn limited<T>(
    limit: Duration,
    what: &str,
    call: impl Future<Output = Result<T>>,
) -> Result<T> {
    let answer = tokio::time::timeout(limit, call).await.unwrap_or_else(|_| {
        let why = format!("no answer within {} s", limit.as_secs_f32());
        Err(Error::new(ErrorKind::Timeout, why))
    });
    answer.map_err(|error| error.context(what))
}
