//! A machine of a history: its catalog, and passes of the real engine.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use sitesync::catalog::{Count, FileRow, FolderId, Sqlite};
use sitesync::engine::clock::{Clock, Dice, HostTime};
use sitesync::engine::{Engine, Summary};
use sitesync::plugins::{Options, Plugins};
use sitesync::settings::{Context, Settings};
use sitesync::sites::{Limits, Sites};
use sitesync_provider::abi::client::Module;
use tempfile::TempDir;

use super::provider::Link;
use super::steps::{Machine, Script, Site};
use super::world::World;

/// A pass that takes longer does not end.
const ENDLESS: Duration = Duration::from_secs(120);

static PLUGINS: LazyLock<Arc<Plugins>> = LazyLock::new(|| {
    let plugins = Plugins::open(Options::new(Vec::new(), folder().path().join("plugins")));
    plugins.register_in_process(Module::in_process::<Link>()).unwrap();
    Arc::new(plugins)
});

/// A catalog of which nothing is known, to begin with: making one takes longer than a pass.
static EMPTY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = folder();
    drop(Sqlite::open(folder.path()).unwrap());
    std::fs::read(folder.path().join("catalog.db")).unwrap()
});

/// A folder that is gone with the value; in memory where that can be.
pub(crate) fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = tempfile::tempdir_in(memory);
    made.or_else(|_| tempfile::tempdir()).unwrap()
}

/// A clock by which the longest backoff is over whenever it is looked at.
#[derive(Debug, Default)]
struct Leaping(AtomicI64);

impl Clock for Leaping {
    fn wall_ns(&self) -> i64 {
        1_800_000_000_000_000_000
    }

    fn monotonic(&self) -> Duration {
        let looks = self.0.fetch_add(1, Ordering::Relaxed);
        Duration::from_secs(900) * u32::try_from(looks).unwrap()
    }
}

/// How a pass ended.
#[derive(Debug)]
pub(crate) enum Ended {
    Whole(Summary),
    /// The machine died.
    Died,
}

pub(crate) struct Host {
    pub(crate) machine: Machine,
    pub(crate) catalog: Sqlite,
    settings: Settings,
    folder: PathBuf,
    lives: u32,
    passes: u64,
    /// Bytes of the catalog's log when the last pass began.
    log: u64,
    _all: TempDir,
}

/// All that a catalog says.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Known {
    /// By path.
    pub(crate) files: Vec<(String, FileRow)>,
    pub(crate) counts: Vec<Count>,
    /// Keys and names of sites.
    pub(crate) sites: Vec<(sitesync::catalog::SiteId, Site)>,
}

impl Host {
    pub(crate) fn new(machine: Machine, number: u64, script: &Script) -> Self {
        let all = folder();
        let first = all.path().join("1");
        std::fs::create_dir(&first).unwrap();
        std::fs::write(first.join("catalog.db"), &*EMPTY).unwrap();
        let m = machine as usize;
        let travel = |all: bool| if all { "all" } else { "requested" };
        let verify = if script.ground.verify_all { "full" } else { "auto" };
        let mut text = format!(
            "[sync]\nsettle = \"0s\"\nretry_count = 3\nverify = \"{verify}\"\n\
             upload = \"{}\"\ndownload = \"{}\"\n\
             [projects.demo]\nactive_site = \"{}\"\nremote_site = \"cloud\"\n",
            travel(script.ground.upload[m]),
            travel(script.ground.download[m]),
            machine.own().name(),
        );
        for site in machine.sites() {
            let name = site.name();
            text += &format!(
                "[sites.{name}]\nprovider = \"world\"\nworld = {number}\n\
                 machine = \"{machine:?}\"\nroot.work = \"{name}\"\n"
            );
        }
        let loaded = Settings::parse(&text, "model.toml", &Context::from_process()).unwrap();
        let catalog = Sqlite::open(&first).unwrap();
        let settings = loaded.settings;
        Host { machine, catalog, settings, folder: first, lives: 1, passes: 0, log: 0, _all: all }
    }

    /// A pass, as a process of its own would make it. `limit` is how long a call may hang.
    pub(crate) async fn pass(&mut self, world: &World, limit: Duration, seed: u64) -> Ended {
        self.log = self.log_bytes();
        world.lock().begin(self.machine);
        let (_stop, stopped) = tokio::sync::watch::channel(false);
        let mut limits = Limits::all(limit);
        limits.hurry = 10_000;
        let own = self.machine.own().name().to_owned();
        let cache = self.folder.join("cache");
        let plugins = PLUGINS.clone();
        let sites = Sites::new(plugins, &self.settings, own, cache, stopped.clone()).limits(limits);
        let last = self.catalog.read(|view| view.last_time()).unwrap();
        // No two passes draw the same ids.
        self.passes += 1;
        let chance = seed.rotate_left(8 + self.machine as u32) ^ (self.passes << 48);
        let time = Arc::new(HostTime::new(Box::new(Leaping::default()), last));
        let dice = Arc::new(Dice::seeded(chance));
        let engine =
            Engine::new(self.catalog.clone(), Arc::new(sites), time, dice, Vec::new(), stopped);
        let projects = self.settings.projects.values().cloned().collect();
        let died = &world.died[self.machine as usize];
        tokio::select! {
            biased;
            () = died.notified() => Ended::Died,
            summary = tokio::time::timeout(ENDLESS, engine.sync(projects)) => {
                Ended::Whole(summary.expect("the pass ends").unwrap())
            }
        }
    }

    /// Begins anew with what a machine that died left of its catalog. After a power cut only so
    /// much, in percent, of what the last pass committed.
    pub(crate) fn revive(&mut self, power_cut: Option<u8>) {
        let old = self.folder.clone();
        self.lives += 1;
        self.folder.set_file_name(self.lives.to_string());
        std::fs::create_dir(&self.folder).unwrap();
        std::fs::copy(old.join("catalog.db"), self.folder.join("catalog.db")).unwrap();
        let mut log = std::fs::read(old.join("catalog.db-wal")).unwrap();
        if let Some(percent) = power_cut {
            let (first, last) = (self.log.min(log.len() as u64), log.len() as u64);
            let left = first + (last - first) * u64::from(percent) / 100;
            log.truncate(left as usize);
        }
        std::fs::write(self.folder.join("catalog.db-wal"), log).unwrap();
        self.catalog = Sqlite::open(&self.folder).unwrap();
    }

    fn log_bytes(&self) -> u64 {
        std::fs::metadata(self.folder.join("catalog.db-wal")).map_or(0, |log| log.len())
    }

    pub(crate) fn known(&self) -> Known {
        let read = self.catalog.read(|view| {
            let Some(project) = view.project("demo")? else { return Ok(Known::default()) };
            let counts = view.counts(project)?;
            let of = |name: &str| Site::ALL.into_iter().find(|site| site.name() == name);
            let sites = view.site_names()?.into_iter();
            let sites = sites.map(|(id, name)| (id, of(&name).expect("one of ours"))).collect();
            let mut files = Vec::new();
            if let Some(root) = view.root(project, "work")? {
                for (_, folder) in view.folders(root, FolderId(0), usize::MAX)? {
                    for file in view.folder(root, &folder)?.files {
                        files.push((sitesync_provider::join(&folder, &file.name), file));
                    }
                }
            }
            files.sort_by(|a, b| a.0.cmp(&b.0));
            Ok(Known { files, counts, sites })
        });
        read.unwrap()
    }
}
