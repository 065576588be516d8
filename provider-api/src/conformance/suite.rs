//! Running the cases, one after another.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::content::random;
use super::ground::{Ground, Site};
use super::guest::{Guest, Plain};
use super::outcome::Failure;
use super::remove::remove;
use super::{Case, CaseReport, Report, Verdict, cases};
use crate::abi::client::{Connection, Module};
use crate::{Error, ErrorKind, Host, OURS, Provider, Result, RootInfo};

/// How long a call may take, unless [`Suite::limit`] says otherwise.
const LIMIT: Duration = Duration::from_secs(30);
/// A case may take this many times as long as a call.
const CASE: u32 = 4;
/// Removing what was made may take this many times as long as a call.
const REMOVAL: u32 = 20;

/// A run of the conformance suite, being set up.
pub struct Suite {
    module: Module,
    settings: serde_json::Value,
    host: Host,
    root: String,
    only: Vec<String>,
    seed: u64,
    limit: Duration,
    told: Box<dyn FnMut(&CaseReport) + Send>,
    cache: Option<Cache>,
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
        Suite {
            module,
            settings,
            host,
            root: root.into(),
            only: Vec::new(),
            seed: random(),
            limit: LIMIT,
            told: Box::new(|_| {}),
            cache: None,
        }
    }

    /// A provider type of this very binary: what an author's own test calls. Its host has a cache
    /// folder beneath the folder for temporaries, and no limit of requests.
    #[must_use]
    pub fn of<P: Provider>(settings: serde_json::Value, root: impl Into<String>) -> Self {
        let cache = Cache(std::env::temp_dir().join(format!("sitesync-verify-{:016x}", random())));
        let host = Host::new(Plain { cache_dir: cache.0.clone() });
        let suite = Suite::new(Module::in_process::<P>(), settings, host, root);
        Suite { cache: Some(cache), ..suite }
    }

    /// Only cases whose name contains this. Called again, those as well.
    #[must_use]
    pub fn only(mut self, part: impl Into<String>) -> Self {
        self.only.push(part.into());
        self
    }

    /// Makes random content from this, as an earlier run did whose report names it.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How long one call of the provider may take: 30 s, unless this says otherwise. A case may
    /// take four times as long.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Is called after each case.
    #[must_use]
    pub fn on_case(mut self, told: impl FnMut(&CaseReport) + Send + 'static) -> Self {
        self.told = Box::new(told);
        self
    }

    /// Runs the cases. An error only if the provider can't be connected, the root can't be opened,
    /// or no folder can be made in it.
    pub async fn run(mut self) -> Result<Report> {
        if let Some(cache) = &self.cache {
            cache.make()?;
        }
        let (site, connection) = self.open().await?;
        let site = Arc::new(site);
        let mut report = Report {
            provider: site.description.id.clone(),
            root: self.root.clone(),
            seed: self.seed,
            cases: Vec::new(),
            left_behind: Vec::new(),
        };
        let mut silent_since = None;
        let chosen: Vec<_> = cases().filter(|case| self.is_chosen(case)).collect();
        for case in chosen {
            let begun = Instant::now();
            let verdict = match silent_since {
                Some(name) => Verdict::Fail(format!(
                    "it was not tried: the provider has not answered since `{name}`"
                )),
                None => {
                    let ground =
                        Ground::new(site.clone(), connection.clone(), case.name, self.seed);
                    let verdict = tried(case, ground, self.limit).await;
                    if site.hung.swap(false, Ordering::Relaxed) && !self.answers(&connection).await
                    {
                        silent_since = Some(case.name);
                    }
                    verdict
                }
            };
            let case = CaseReport::new(case, verdict, begun.elapsed().as_secs_f64());
            (self.told)(&case);
            report.cases.push(case);
        }
        report.left_behind = self.clean(site, connection).await;
        Ok(report)
    }

    /// Runs the cases on a runtime of their own.
    pub fn run_blocking(self) -> Result<Report> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(self.run())
    }

    fn is_chosen(&self, case: &Case) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| case.name.contains(part))
    }

    /// Connects, opens the root, and makes the folder of the run.
    async fn open(&self) -> Result<(Site, Connection)> {
        let description = self.module.describe()?;
        let run = random();
        let permits = Arc::default();
        let host = Host::new(Guest {
            host: self.host.clone(),
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

    async fn clean(&self, site: Arc<Site>, connection: Connection) -> Vec<String> {
        let work = site.work.clone();
        let ground = Ground::new(site, connection, "", self.seed);
        match tokio::time::timeout(self.limit * REMOVAL, remove(&ground, &work)).await {
            Ok(left) => left,
            Err(_) => vec![format!("{work}: it took too long to remove")],
        }
    }
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suite").field("root", &self.root).finish_non_exhaustive()
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

/// A cache folder that goes with the run.
struct Cache(PathBuf);

impl Cache {
    fn make(&self) -> Result<()> {
        let mut folder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
        Ok(folder.create(&self.0)?)
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        // What stays is in the folder for temporaries.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
