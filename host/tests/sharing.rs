//! What sites share, and what they do not: a provider of this very process counts connections and
//! requests, and hangs where a root says so. And what becomes of names where case does not count.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Deserialize;
use sitesync::catalog::Sqlite;
use sitesync::engine::Engine;
use sitesync::engine::clock::{Dice, HostTime, SystemClock};
use sitesync::plugins::{Options, Plugins};
use sitesync::settings::{Context, Settings};
use sitesync::sites::{Limits, Sites};
use sitesync_provider::abi::client::Module;
use sitesync_provider::{
    About, At, Bytes, DeleteOptions, End, Entry, Error, ErrorKind, Expect, Host, ListStream,
    Metadata, Page, Provider, ReadOptions, ReadStream, Result, RootInfo, SweepOptions, Swept,
    WriteOptions, WriteStream,
};
use tempfile::TempDir;

/// What the accounts have seen, by their names: each test has its own.
static CONNECTS: LazyLock<Mutex<HashMap<String, u64>>> = LazyLock::new(Mutex::default);
static VERSIONS: AtomicU64 = AtomicU64::new(1);

fn connects(account: &str) -> u64 {
    CONNECTS.lock().unwrap().get(account).copied().unwrap_or(0)
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Account {
    /// Whose it is.
    account: String,
    /// A note that belongs to the site.
    #[schemars(extend("x-part" = "site"))]
    note: String,
}

type Files = Arc<Mutex<BTreeMap<(String, String), (Bytes, Metadata)>>>;

/// Files in memory. Roots name their storage: `fast/a`. What the storage's name begins with says
/// what hangs there: `dead` everything, `stuck` the end of a write. Case does not count in `folding`.
struct Cloud {
    files: Files,
    host: Host,
}

impl Cloud {
    async fn request(&self, root: &str) -> Result<()> {
        self.host.permit(1).await?;
        if root.starts_with("dead") {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    fn get(&self, at: &At<'_>) -> Result<(Bytes, Metadata)> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (at.root.to_owned(), at.path.to_owned());
        let found = files.get(known_as(&files, &key).unwrap_or(&key)).cloned();
        found.ok_or_else(|| Error::new(ErrorKind::NotFound, "nothing there"))
    }
}

/// Under which name something is there.
fn known_as<'a>(
    files: &'a BTreeMap<(String, String), (Bytes, Metadata)>,
    (root, path): &(String, String),
) -> Option<&'a (String, String)> {
    let folds = root.starts_with("folding");
    files.keys().find(|(at, is)| {
        at == root && (is == path || folds && is.to_lowercase() == path.to_lowercase())
    })
}

struct Reader(Bytes, Metadata);

impl ReadStream for Reader {
    fn metadata(&self) -> Metadata {
        self.1.clone()
    }

    async fn read(&mut self, max: usize) -> Result<Bytes> {
        Ok(self.0.split_to(max.min(self.0.len())))
    }
}

struct Writer {
    files: Files,
    at: (String, String),
    how: WriteOptions,
    content: Vec<u8>,
}

impl WriteStream for Writer {
    fn offset(&self) -> u64 {
        0
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.content.extend_from_slice(&chunk);
        Ok(())
    }

    async fn finish(self) -> Result<Metadata> {
        if self.at.0.starts_with("stuck") && !self.at.1.starts_with(".sitesync") {
            // As a thread in a system call that never returns: it can't be dropped either.
            std::mem::forget(self.how.op.clone());
            std::future::pending::<()>().await;
        }
        let version = VERSIONS.fetch_add(1, Ordering::Relaxed).to_string();
        let metadata = Metadata::file(self.content.len() as u64)
            .with_mtime_ns(self.how.mtime_ns)
            .with_version(version);
        let stored = (self.content.into(), metadata.clone());
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let there = known_as(&files, &self.at).cloned();
        if there.is_some() && self.at.0.starts_with("folding") && self.how.expect == Expect::Nothing
        {
            return Err(Error::new(ErrorKind::AlreadyExists, "something is there"));
        }
        files.insert(there.unwrap_or(self.at), stored);
        Ok(metadata)
    }

    async fn discard(self) -> Result<()> {
        Ok(())
    }
}

struct Lister(Option<Vec<Page>>);

impl ListStream for Lister {
    async fn next(&mut self) -> Result<Option<Vec<Page>>> {
        Ok(self.0.take())
    }
}

impl Provider for Cloud {
    type Settings = Account;
    type Reader = Reader;
    type Writer = Writer;
    type Lister = Lister;

    const ABOUT: About = About::new("cloud", "Cloud (test fixture)").slots(4);

    async fn connect(settings: Account, host: Host) -> Result<Self> {
        *CONNECTS.lock().unwrap().entry(settings.account).or_default() += 1;
        Ok(Cloud { files: Files::default(), host })
    }

    async fn open_root(&self, root: &str, _: Account) -> Result<RootInfo> {
        self.request(root).await?;
        let mut info = RootInfo::default();
        info.storage_id = root.split('/').next().unwrap_or_default().to_owned();
        info.root_id = root.to_owned();
        info.can.ranges = true;
        info.can.recursive_list = true;
        info.mtime_step_ns = 1;
        info.names.case_sensitive = !root.starts_with("folding");
        Ok(info)
    }

    async fn stat(&self, at: At<'_>) -> Result<Metadata> {
        self.request(at.root).await?;
        self.get(&at).map(|(_, metadata)| metadata)
    }

    async fn list(&self, dir: At<'_>, _: bool) -> Result<Lister> {
        self.request(dir.root).await?;
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = files
            .iter()
            .filter(|((root, path), _)| root == dir.root && !path.contains('/'))
            .map(|((_, path), (_, metadata))| Entry::new(path.clone(), metadata.clone()))
            .collect();
        Ok(Lister(Some(vec![Page::new(dir.path, entries, End::Complete)])))
    }

    async fn open_read(&self, at: At<'_>, how: ReadOptions) -> Result<Reader> {
        self.request(at.root).await?;
        let (content, metadata) = self.get(&at)?;
        let from = usize::try_from(how.from).unwrap_or(0).min(content.len());
        Ok(Reader(content.slice(from..), metadata))
    }

    async fn open_write(&self, at: At<'_>, how: WriteOptions) -> Result<Writer> {
        self.request(at.root).await?;
        let at = (at.root.to_owned(), at.path.to_owned());
        Ok(Writer { files: self.files.clone(), at, how, content: Vec::new() })
    }

    async fn create_folder(&self, at: At<'_>) -> Result<()> {
        self.request(at.root).await
    }

    async fn remove_folder(&self, at: At<'_>) -> Result<()> {
        self.request(at.root).await
    }

    async fn delete(&self, at: At<'_>, _: DeleteOptions) -> Result<()> {
        self.request(at.root).await
    }

    async fn sweep(&self, root: &str, _: SweepOptions) -> Result<Swept> {
        self.request(root).await?;
        Ok(Swept::new(0, 0))
    }
}

/// What a host stands on, without its command line.
struct Place {
    _folder: TempDir,
    settings: Settings,
    sites: Arc<Sites>,
    engine: Engine,
    _stop: tokio::sync::watch::Sender<bool>,
}

fn place(text: &str, limits: Limits) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let loaded = Settings::parse(text, "test.toml", &Context::from_process()).unwrap();
    let options = Options::new(Vec::new(), folder.path().join("plugins"));
    let plugins = Plugins::open(options);
    plugins.register_in_process(Module::in_process::<Cloud>()).unwrap();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let cache = folder.path().join("cache");
    let site_id = "test-site".to_owned();
    let sites = Sites::new(Arc::new(plugins), &loaded.settings, site_id, cache, stopped.clone());
    let sites = Arc::new(sites.limits(limits));
    let time = Arc::new(HostTime::new(Box::new(SystemClock::default()), 0));
    let dice = Arc::new(Dice::seeded(1));
    let engine = Engine::new(
        Sqlite::open(folder.path()).unwrap(),
        sites.clone(),
        time,
        dice,
        vec![Path::new("/nowhere").to_owned()],
        stopped,
    );
    Place { _folder: folder, settings: loaded.settings, sites, engine, _stop: stop }
}

/// Puts files into a root of a site, past the engine.
async fn fill(place: &Place, site: &str, root: &str, files: usize) {
    for n in 0..files {
        put(place, (site, root), &format!("file.{n}"), "bytes").await;
    }
}

async fn put(place: &Place, (site, root): (&str, &str), path: &str, content: &'static str) {
    let open = place.sites.open(site, root).await.unwrap();
    let (operation, op) = sitesync::sites::Operation::new(Vec::new(), |_| {});
    let how = WriteOptions::new(content.len() as u64, Expect::Nothing).op(op);
    let mut writing = open.open_write(path, how, operation).await.unwrap();
    writing.write(Bytes::from_static(content.as_bytes())).await.unwrap();
    writing.finish().await.0.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sites_with_equal_connections_connect_once_and_share_one_limiter() {
    let text = r#"
        [sites.a]
        provider = "cloud"
        account = "shared"
        requests_per_second = 10
        root.work = "fast/a"
        [sites.b]
        provider = "cloud"
        account = "shared"
        note = "this belongs to the site, and parts nothing"
        requests_per_second = 10
        root.work = "fast/b"
        [sites.c]
        provider = "cloud"
        account = "shared, not"
        requests_per_second = 10
        root.work = "fast/a"
        "#;
    let place = place(text, Limits::default());
    let key = |site: &str| place.sites.instance(site).unwrap().key().to_owned();
    assert_eq!(key("a"), key("b"));
    assert_ne!(key("a"), key("c"));
    assert_eq!(connects("shared"), 0, "connected on first use only");
    let (a, b, c) = tokio::join!(
        place.sites.open("a", "fast/a"),
        place.sites.open("b", "fast/b"),
        place.sites.open("c", "fast/a"),
    );
    let (a, b, c) = (a.unwrap(), b.unwrap(), c.unwrap());
    assert_eq!((connects("shared"), connects("shared, not")), (1, 1));
    assert!(a.same_instance(&b) && !a.same_instance(&c));

    // 40 requests at 10 a second: one limiter takes 3 s and more, two take half.
    let ask = |root: Arc<sitesync::sites::OpenRoot>, times: usize| async move {
        for _ in 0..times {
            let _ = root.stat("nothing").await;
        }
    };
    let started = Instant::now();
    tokio::join!(ask(a, 20), ask(b, 20));
    assert!(started.elapsed() > Duration::from_millis(2500), "{:?}", started.elapsed());
    let started = Instant::now();
    ask(c, 5).await;
    assert!(started.elapsed() < Duration::from_millis(1000), "an account of its own");
}

/// A project between two roots of storages of these names, all of one account.
fn projects(account: &str, pairs: &[(&str, &str, &str)]) -> String {
    let mut text = "[sync]\nsettle = \"0s\"\nretry_count = 1\n".to_owned();
    for (project, from, to) in pairs {
        for (end, root) in [("from", from), ("to", to)] {
            text += &format!(
                "[sites.{project}_{end}]\nprovider = \"cloud\"\naccount = \"{account}\"\n\
                 root.work = \"{root}\"\n"
            );
        }
        text += &format!(
            "[projects.{project}]\nactive_site = \"{project}_from\"\n\
             remote_site = \"{project}_to\"\n"
        );
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_never_answers_stops_itself_only() {
    let pairs = [("lively", "fast/a", "fast/b"), ("hung", "fast/c", "dead/c")];
    let limit = Duration::from_millis(500);
    let place = place(&projects("never answers", &pairs), Limits::all(limit));
    fill(&place, "lively_from", "fast/a", 50).await;
    fill(&place, "hung_from", "fast/c", 3).await;
    let started = Instant::now();
    let all = place.settings.projects.values().cloned().collect();
    let summary = place.engine.sync(all).await.unwrap();
    assert_eq!(connects("never answers"), 1);
    assert_eq!(summary.transferred, 50, "{summary:#?}");
    let [(project, fault)] = &summary.offline[..] else { panic!("{summary:#?}") };
    assert_eq!((project.as_str(), fault.site.as_str()), ("hung", "hung_to"));
    assert_eq!(fault.kind, ErrorKind::Timeout);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_never_ends_stops_itself_only() {
    let pairs = [("lively", "fast/a", "fast/b"), ("hung", "fast/c", "stuck/c")];
    let limit = Duration::from_millis(500);
    let place = place(&projects("never ends", &pairs), Limits::all(limit));
    fill(&place, "lively_from", "fast/a", 50).await;
    fill(&place, "hung_from", "fast/c", 1).await;
    let all = place.settings.projects.values().cloned().collect();
    let lively = async {
        let started = Instant::now();
        while place.engine.progress.files.load(Ordering::Relaxed) < 50 {
            tokio::task::yield_now().await;
        }
        started.elapsed()
    };
    let run = tokio::time::timeout(Duration::from_secs(60), place.engine.sync(all));
    let (summary, took) = tokio::join!(run, lively);
    assert!(took < Duration::from_secs(10), "the other project waited: {took:?}");
    let summary = summary.expect("the run ends, although the write never does").unwrap();
    assert_eq!(summary.transferred, 50, "{summary:#?}");
    assert!(summary.failed == 1 || summary.offline.len() == 1, "{summary:#?}");
}

/// What answers to a name is not taken for the file of that name, however often it is tried.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_another_files_elsewhere_fails() {
    for policy in ["ask", "active_wins", "keep_both"] {
        let pairs = [("demo", "fast/a", "folding/b")];
        let text = projects(&format!("folds {policy}"), &pairs);
        let text = text.replacen("[sync]", &format!("[sync]\nconflicts = \"{policy}\""), 1);
        let place = place(&text, Limits::default());
        let (from, to) = (("demo_from", "fast/a"), ("demo_to", "folding/b"));
        let there = async |path: &str| {
            let root = place.sites.open(to.0, to.1).await.unwrap();
            let mut reading = root.open_read(path, ReadOptions::new()).await.unwrap();
            reading.read(100).await.unwrap()
        };
        let mut before = 0;
        let mut sync = async || {
            let all = place.settings.projects.values().cloned().collect();
            let summary = place.engine.sync(all).await.unwrap();
            let carried = summary.transferred - std::mem::replace(&mut before, summary.transferred);
            (carried, summary.failed, summary.conflicts)
        };
        put(&place, from, "A.exr", "upper").await;
        assert_eq!(sync().await, (1, 0, 0));
        // Of other content, and of the same.
        for twin in ["lower", "upper"] {
            put(&place, from, "a.exr", twin).await;
            for _ in 0..3 {
                assert_eq!(sync().await, (0, 1, 0), "{policy}, {twin}");
                assert_eq!(there("A.exr").await, "upper", "{policy}, {twin}");
            }
        }
        // The one that is there goes on.
        put(&place, from, "A.exr", "again").await;
        assert_eq!(sync().await, (1, 1, 0), "{policy}");
        assert_eq!(there("A.exr").await, "again");
    }
}
