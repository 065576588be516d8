//! A machine of a history: its catalog, and passes of the real engine.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use sitesync::catalog::{
    self, Count, FileRow, FolderId, ProjectId, RepresentationId, Scope, Sqlite, Unit,
};
use sitesync::engine::belonging::Belonging;
use sitesync::engine::clock::{Clock, Dice, HostTime};
use sitesync::engine::conflicts::{Resolved, resolve};
use sitesync::engine::{Engine, Summary};
use sitesync::plugins::{Options, Plugins};
use sitesync::settings::{Conflicts, Context, Deletes, Project, Settings};
use sitesync::sites::{Limits, Sites};
use sitesync_provider::abi::client::Module;
use tempfile::TempDir;

use super::provider::Link;
use super::steps::{Machine, Order, Reach, Script, Site};
use super::world::World;

/// A pass that takes longer does not end.
const ENDLESS: Duration = Duration::from_secs(120);

/// Guards that stop a pass at its second file.
const LOW_GUARDS: &str = "max_delete = 1\nmax_delete_percent = 0\n\
                          max_change = 1\nmax_change_percent = 0\n";

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
    /// Its catalog refused something.
    Refused(catalog::Error),
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
    /// What its pauses reach.
    pub(crate) pauses: Vec<Scope>,
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
        // What a guard let go counts for as long as a pass may take by a clock that leaps.
        let mut text = format!(
            "[sync]\nsettle = \"0s\"\nretry_count = 3\nrescan = \"30d\"\nverify = \"{verify}\"\n\
             upload = \"{}\"\ndownload = \"{}\"\nconflicts = \"{}\"\ndeletes = \"{}\"\n{}\
             [projects.demo]\nactive_site = \"{}\"\nremote_site = \"cloud\"\n",
            travel(script.ground.upload[m]),
            travel(script.ground.download[m]),
            match script.ground.conflicts[m] {
                Conflicts::Ask => "ask",
                Conflicts::ActiveWins => "active_wins",
                Conflicts::RemoteWins => "remote_wins",
                Conflicts::Newest => "newest",
                Conflicts::KeepBoth => "keep_both",
            },
            match script.ground.deletes[m] {
                Deletes::Keep => "keep",
                Deletes::Propagate => "propagate",
            },
            if script.ground.guarded[m] { LOW_GUARDS } else { "" },
            machine.own().name(),
        );
        if script.ground.sites(machine).contains(&Site::Nas) {
            text += "always_accessible_on = [\"nas\"]\n";
        }
        for site in script.ground.sites(machine) {
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
        let sites = self.sites(limit, stopped.clone());
        let last = self.catalog.read(|view| view.last_time()).unwrap();
        // No two passes draw the same ids.
        self.passes += 1;
        let chance = seed.rotate_left(8 + self.machine as u32) ^ (self.passes << 48);
        let time = Arc::new(HostTime::new(Box::new(Leaping::default()), last));
        let dice = Arc::new(Dice::seeded(chance));
        let engine =
            Engine::new(self.catalog.clone(), Arc::new(sites), time, dice, Vec::new(), stopped);
        let projects: Vec<Project> = self.settings.projects.values().cloned().collect();
        let (asked, project) = (engine.clone(), projects[0].clone());
        let desk = move |order| {
            let done = carry_out(&asked.catalog, &asked.sites, &project, order);
            if order == Order::GoOn
                && let Some(project) = asked.catalog.read(|view| view.project("demo")).unwrap()
            {
                asked.guards.forget(project, None, None);
            }
            asked.pauses.reload(&asked.catalog).unwrap();
            asked.nudge();
            done
        };
        *world.desks[self.machine as usize].lock().unwrap() = Some(Box::new(desk));
        let died = &world.died[self.machine as usize];
        let ended = tokio::select! {
            biased;
            () = died.notified() => Ended::Died,
            summary = tokio::time::timeout(ENDLESS, engine.sync(projects)) => {
                let whose = self.machine;
                let ended = summary.unwrap_or_else(|_| {
                    panic!("SITESYNC_SEED={seed}: pass {} of {whose:?} does not end", self.passes)
                });
                ended.map_or_else(Ended::Refused, Ended::Whole)
            }
        };
        // The engine holds the world, by its connections.
        *world.desks[self.machine as usize].lock().unwrap() = None;
        ended
    }

    fn sites(&self, limit: Duration, stop: tokio::sync::watch::Receiver<bool>) -> Sites {
        let mut limits = Limits::all(limit);
        limits.hurry = 10_000;
        let own = self.machine.own().name().to_owned();
        let cache = self.folder.join("cache");
        Sites::new(PLUGINS.clone(), &self.settings, own, cache, stop).limits(limits)
    }

    /// Does what a person asks for while no pass is under way. False if there is nothing to do.
    pub(crate) fn asked(&self, order: Order) -> bool {
        let (_stop, stopped) = tokio::sync::watch::channel(false);
        let sites = Arc::new(self.sites(ENDLESS, stopped));
        carry_out(&self.catalog, &sites, &self.settings.projects["demo"], order)
    }

    /// Nothing is paused any more, and all that guards stopped is meant.
    pub(crate) fn let_all_go(&self) {
        let resume = |unit: &mut dyn Unit| {
            for pause in unit.pauses()? {
                unit.drop_pause(&pause.scope)?;
            }
            Ok(())
        };
        self.catalog.write_blocking(resume).unwrap();
        self.asked(Order::GoOn);
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
            let pauses = view.pauses()?.into_iter().map(|pause| pause.scope).collect();
            Ok(Known { files, counts, sites, pauses })
        });
        read.unwrap()
    }
}

/// Does what a person asks for, by the calls that every order makes. False if there is nothing of
/// that kind.
fn carry_out(catalog: &Sqlite, sites: &Arc<Sites>, project: &Project, order: Order) -> bool {
    let (sites, project) = (sites.clone(), project.clone());
    let done = catalog.write_blocking(move |unit| {
        let belonging = Belonging::of(unit, &sites, &project)?;
        let now = unit.last_time()?;
        match order {
            Order::Want { path, all, site, wanted } => {
                let Some(row) = file(unit, belonging.project, path)? else { return Ok(false) };
                let (of, site) = (row.representation, unit.put_site(site.name())?);
                unit.put_want(of, (!all).then_some(row.id), site, wanted)?;
                for (_, _, file) in unit.files_of(of, catalog::FileId(0), usize::MAX)? {
                    belonging.asked(unit, file.id, now)?;
                }
            }
            Order::Reset { path, all } => {
                let Some(row) = file(unit, belonging.project, path)? else { return Ok(false) };
                unit.reset(row.representation, (!all).then_some(row.id), None)?;
            }
            Order::Priority { path, priority } => {
                let Some(row) = file(unit, belonging.project, path)? else { return Ok(false) };
                unit.set_priority(row.representation, priority)?;
            }
            Order::Pause(reach) => {
                let Some(scope) = scope(unit, belonging.project, reach)? else { return Ok(false) };
                let pause = catalog::Pause { scope, since: 0, by: "somebody".to_owned() };
                unit.put_pause(&pause)?;
            }
            Order::Resume(reach) => {
                let Some(scope) = scope(unit, belonging.project, reach)? else { return Ok(false) };
                return unit.drop_pause(&scope);
            }
            Order::Resolve { path, keep } => {
                let Some(row) = file(unit, belonging.project, path)? else { return Ok(false) };
                let keep = unit.put_site(keep.name())?;
                return Ok(resolve(unit, &belonging, &row, keep, now)? == Resolved::Kept);
            }
            Order::GoOn => return Ok(unit.release_held(belonging.project, None)? > 0),
        }
        Ok(true)
    });
    done.unwrap()
}

fn file(unit: &dyn Unit, project: ProjectId, path: &str) -> catalog::Result<Option<FileRow>> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let root = unit.root(project, "work")?;
    root.map_or(Ok(None), |root| unit.file(root, folder, name))
}

fn scope(unit: &mut dyn Unit, project: ProjectId, reach: Reach) -> catalog::Result<Option<Scope>> {
    let (project, site, representation) = match reach {
        Reach::Host => (None, None, None),
        Reach::Project => (Some(project), None, None),
        Reach::Site(site) => (None, Some(site), None),
        Reach::Published(path, site) => {
            let Some(row) = file(unit, project, path)? else { return Ok(None) };
            (Some(project), site, Some::<RepresentationId>(row.representation))
        }
    };
    let site = site.map(|site| unit.put_site(site.name())).transpose()?;
    Ok(Some(Scope { project, site, representation }))
}
