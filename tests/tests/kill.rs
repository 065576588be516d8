//! kill -9 at random moments, over files that change all the while.
//!
//! After every kill: no final name holds anything but a whole content that its file once had, no
//! source was touched, and what the catalog calls synced is there. At the end one quiet sync makes
//! the sites equal, without a conflict and with nothing left behind.
//!
//! `SITESYNC_KILLS` (200) is shared by the three tests; `SITESYNC_SEED` repeats the changes and
//! the moments of a run, as far as the machine's own timing lets it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use sitesync::catalog::{FileRow, JobState, SiteId};
use sitesync_tests::content::{self, Chance, Stamps};
use sitesync_tests::number;
use sitesync_tests::studio::{self, Outcome, Setup, Studio, fingerprint, is_ours, temporaries};

/// Files at the begin of a history.
const FILES: u64 = 150;
/// Kills of one history, before it is brought to its end and another begins.
const KILLS_A_HISTORY: u64 = 23;
/// Runs that may end before they are killed, for each that is killed.
const MISSES: u64 = 5;

#[test]
fn uploads_survive() -> Result<()> {
    histories("uploads", &[Owner::Studio])
}

#[test]
fn downloads_survive() -> Result<()> {
    histories("downloads", &[Owner::Remote])
}

#[test]
fn both_ways_at_once_survive() -> Result<()> {
    histories("both ways", &[Owner::Studio, Owner::Remote])
}

/// Calls of the kernel at which the host is made to die, the nth of a thread each: writes, steps of
/// becoming visible, barriers, records.
const DEATHS: &[(&str, &[u32])] = &[
    ("copy_file_range", &[1, 2, 4]),
    ("utimensat", &[1, 2, 9]),
    ("renameat2", &[1, 2, 3, 17, 40]),
    ("unlinkat", &[1, 2, 5]),
    ("mkdirat", &[1, 3]),
    ("syncfs", &[1, 2]),
    ("pwrite64", &[1, 2, 5, 20, 50, 90, 150]),
    ("statx", &[50, 200]),
    ("ftruncate", &[1]),
];

#[test]
fn death_at_any_step_is_survived() -> Result<()> {
    if !studio::can_trace() {
        return Ok(());
    }
    let seed = number("SITESYNC_SEED", SystemTime::UNIX_EPOCH.elapsed()?.as_millis() as u64)?;
    let mut world = World::new(&[Owner::Studio, Owner::Remote], Chance::seeded(seed))?;
    let mut deaths = 0;
    for (call, times) in DEATHS {
        for nth in *times {
            // Twice in a row, as the second life has the first one's remains to deal with.
            for life in 1..=2 {
                for _ in 0..30 {
                    world.change()?;
                }
                let context = || format!("SITESYNC_SEED={seed}, {call} {nth}, life {life}");
                deaths += u64::from(world.run_and_die(call, *nth).with_context(context)?);
                world.check(&mut Moments::default()).with_context(context)?;
            }
        }
    }
    world.rest().with_context(|| format!("SITESYNC_SEED={seed}"))?;
    eprintln!("died at {deaths} chosen calls, SITESYNC_SEED={seed}");
    ensure!(deaths > 30, "it died {deaths} times only: the calls it makes have changed");
    Ok(())
}

/// The site at which a file is changed by people. It is the source; the other one never is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Owner {
    Studio,
    Remote,
}

impl Owner {
    fn root(self, studio: &Studio) -> PathBuf {
        match self {
            Owner::Studio => studio.studio(),
            Owner::Remote => studio.remote(),
        }
    }

    fn other(self) -> Self {
        match self {
            Owner::Studio => Owner::Remote,
            Owner::Remote => Owner::Studio,
        }
    }

    /// The owner of a file, which its name tells.
    fn of(path: &str) -> Self {
        let name = path.rsplit('/').next().unwrap_or(path);
        if name.starts_with('r') { Owner::Remote } else { Owner::Studio }
    }
}

fn histories(name: &str, owners: &[Owner]) -> Result<()> {
    let kills = number("SITESYNC_KILLS", 200)?.div_ceil(3);
    let today = SystemTime::UNIX_EPOCH.elapsed()?.as_millis() as u64;
    let seed = number("SITESYNC_SEED", today)?;
    eprintln!("{name}: {kills} kills, SITESYNC_SEED={seed}");
    let mut chance = Chance::seeded(seed ^ name.len() as u64);
    let mut moments = Moments::default();
    let begun = Instant::now();
    while moments.kills < kills {
        let most = KILLS_A_HISTORY.min(kills - moments.kills);
        let mut world = World::new(owners, chance.fork())?;
        let lived = world.live(most, &mut moments);
        if let Err(error) = lived {
            let folder = world.studio.keep();
            bail!(
                "{name}, SITESYNC_SEED={seed}, kill {}: {error:#}\nleft in {}",
                moments.kills,
                folder.display()
            );
        }
    }
    eprintln!("{name}: {moments:?} in {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}

/// What the kills met: shows that they are spread.
#[derive(Debug, Default)]
struct Moments {
    kills: u64,
    /// Runs that had ended by themselves.
    missed: u64,
    /// Pairs of kills in a row while the plug-in was being loaded.
    loading_twice: u64,
    /// Kills before there was a catalog.
    before_catalog: u64,
    /// While files were claimed.
    claimed: u64,
    /// While files were being written.
    writing: u64,
    /// While files were at their place and not recorded.
    unrecorded: u64,
    /// Checks of single files while the host ran.
    looks: u64,
}

/// A studio whose files change, and what is known of them.
struct World {
    studio: Studio,
    owners: Vec<Owner>,
    chance: Chance,
    staging: PathBuf,
    /// Every content that ever was at a path.
    history: HashMap<String, HashSet<Stamps>>,
    /// What is at its owner now. A path that was deleted or renamed is never used again.
    current: BTreeMap<String, Stamps>,
    last: u64,
}

impl World {
    fn new(owners: &[Owner], mut chance: Chance) -> Result<Self> {
        let travels = |to: Owner| if owners.contains(&to.other()) { "all" } else { "requested" };
        // So much changes here while it runs that a guard would rightly stop it.
        let studio = Setup::default()
            .upload(travels(Owner::Remote))
            .download(travels(Owner::Studio))
            .max_change(0)
            .build()?;
        let staging = studio.path().join("staging");
        fs::create_dir(&staging)?;
        let last = chance.below(1 << 40) << 20;
        let mut world = World {
            studio,
            owners: owners.to_vec(),
            chance,
            staging,
            history: HashMap::new(),
            current: BTreeMap::new(),
            last,
        };
        for _ in 0..FILES {
            world.add()?;
        }
        Ok(world)
    }

    /// Runs and is killed so many times, and then comes to rest.
    fn live(&mut self, kills: u64, moments: &mut Moments) -> Result<()> {
        let mut span = Duration::from_millis(1500);
        let (mut killed, mut missed) = (0, 0);
        while killed < kills {
            ensure!(missed <= MISSES * kills, "runs end before they can be killed");
            for _ in 0..self.chance.below(40) {
                self.change()?;
            }
            let moment = self.moment(span);
            let begun = Instant::now();
            let was_killed = self.run_and_kill(moment, moments)?;
            if was_killed {
                killed += 1;
                moments.kills += 1;
                span = span.mul_f64(1.03);
            } else {
                missed += 1;
                moments.missed += 1;
                span = begun.elapsed().mul_f64(0.9);
            }
            self.check(moments).with_context(|| format!("after a kill at {moment:?}"))?;
        }
        self.rest()
    }

    /// When to kill: mostly anywhere in a run, often right at its start, sometimes late.
    fn moment(&mut self, span: Duration) -> Duration {
        let share = match self.chance.below(10) {
            0 | 1 => self.chance.below(250),
            2..=7 => self.chance.below(1100),
            _ => 500 + self.chance.below(1000),
        };
        span.mul_f64(share as f64 / 1000.0)
    }

    /// True if it was killed, false if it had ended before.
    fn run_and_kill(&mut self, moment: Duration, moments: &mut Moments) -> Result<bool> {
        moments.loading_twice += u64::from(self.load_in_peace()?);
        let mut run = self.studio.spawn_sync()?;
        let deadline = Instant::now() + moment;
        let over = AtomicBool::new(false);
        let lively = self.chance.percent(70);
        std::thread::scope(|scope| {
            let changes = scope.spawn(|| {
                let mut looks = 0;
                while !over.load(Ordering::Acquire) {
                    let pause = Duration::from_micros(self.chance.below(15_000));
                    std::thread::sleep(pause);
                    if lively {
                        self.change()?;
                    }
                    looks += u64::from(self.look_at_any()?);
                }
                Ok::<_, anyhow::Error>(looks)
            });
            // The only sleep that is meant: it chooses the moment.
            while Instant::now() < deadline && run.is_alive()? {
                let left = deadline.saturating_duration_since(Instant::now());
                std::thread::sleep(left.min(Duration::from_millis(2)));
            }
            let killed = run.kill();
            over.store(true, Ordering::Release);
            let looks = changes.join().map_err(|_| anyhow::anyhow!("the changes panicked"))?;
            moments.looks += looks?;
            killed
        })
    }

    /// After three deaths in a row while it was being loaded, a plug-in is not loaded again, which
    /// is a promise of its own and not what these tests are about: after two, it is loaded in
    /// peace once. True if it had to be.
    fn load_in_peace(&self) -> Result<bool> {
        let deaths = studio::files(&self.studio.state().join("plugins/.in-flight"))?.len();
        if deaths >= 2 {
            let outcome = self.studio.run(&["sites", "--json"])?;
            ensure!(outcome.code == Some(0), "{}", told(&outcome));
        }
        Ok(deaths >= 2)
    }

    /// True if it died at this call, false if it made fewer of them.
    fn run_and_die(&mut self, call: &str, nth: u32) -> Result<bool> {
        self.load_in_peace()?;
        let inject = format!("inject={call}:signal=KILL:when={nth}");
        let trace = format!("trace={call}");
        let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject, "--"];
        let mut command = self.studio.through(&strace.map(str::to_owned));
        let outcome = self.studio.start(command.args(["sync", "--json"]))?.wait()?;
        Ok(outcome.code.is_none())
    }

    /// Changes something, as people and programs do.
    fn change(&mut self) -> Result<()> {
        match self.chance.below(100) {
            0..15 => self.add(),
            15..30 => self.replace(false),
            30..40 => self.replace(true),
            40..55 => self.overwrite(),
            55..70 => self.append(),
            70..80 => self.rewrite(),
            80..85 => self.touch(),
            85..92 => self.delete(),
            _ => self.rename(),
        }
    }

    fn add(&mut self) -> Result<()> {
        let owner = *self.chance.pick(&self.owners).context("an owner")?;
        let path = self.fresh_path(owner);
        let size = self.size();
        self.stage(&path, size)
    }

    fn fresh_path(&mut self, owner: Owner) -> String {
        self.last += 1;
        let (folder, letter) =
            (self.chance.below(8), if owner == Owner::Remote { 'r' } else { 's' });
        let deep = if self.chance.percent(20) { "/cache" } else { "" };
        format!("shot{folder}{deep}/{letter}{:x}.exr", self.last)
    }

    fn size(&mut self) -> usize {
        let size = match self.chance.below(100) {
            0..3 => (1 << 20) + self.chance.below(3 << 20),
            3..10 => self.chance.below(300 << 10),
            _ => self.chance.below(16 << 10),
        };
        usize::try_from(size).unwrap_or(0)
    }

    /// A new content for a path, known before anybody can see it.
    fn content(&mut self, path: &str, size: usize) -> Vec<u8> {
        self.last += 1;
        self.announce(path, vec![self.last]);
        content::record(self.last, size)
    }

    fn announce(&mut self, path: &str, stamps: Stamps) {
        self.history.entry(path.to_owned()).or_default().insert(stamps.clone());
        if !stamps.is_empty() {
            self.current.insert(path.to_owned(), stamps);
        }
    }

    fn any(&mut self) -> Option<String> {
        let nth = self.chance.below(self.current.len() as u64);
        self.current.keys().nth(usize::try_from(nth).unwrap_or(0)).cloned()
    }

    fn at_owner(&self, path: &str) -> PathBuf {
        Owner::of(path).root(&self.studio).join(path)
    }

    /// Written elsewhere, and moved to its place in one step.
    fn stage(&mut self, path: &str, size: usize) -> Result<()> {
        let staged = self.staging.join("file");
        fs::write(&staged, self.content(path, size))?;
        let file = self.at_owner(path);
        fs::create_dir_all(file.parent().context("a folder")?)?;
        Ok(fs::rename(staged, file)?)
    }

    fn replace(&mut self, same_size: bool) -> Result<()> {
        let Some(path) = self.any() else { return Ok(()) };
        let was = fs::metadata(self.at_owner(&path))?.len();
        let size = if same_size { usize::try_from(was)? } else { self.size() };
        self.stage(&path, size)
    }

    /// In its place, with the same size, by one write.
    fn overwrite(&mut self) -> Result<()> {
        let Some(path) = self.any() else { return Ok(()) };
        let file = self.at_owner(&path);
        let size = usize::try_from(fs::metadata(&file)?.len())?;
        let bytes = self.content(&path, size);
        ensure!(bytes.len() == size, "records of {path} do not add up");
        let file = OpenOptions::new().write(true).open(file)?;
        Ok(file.write_all_at(&bytes, 0)?)
    }

    /// By one write that is smaller than a page, so that nobody sees half of it.
    fn append(&mut self) -> Result<()> {
        let Some(path) = self.any() else { return Ok(()) };
        self.last += 1;
        let mut stamps = self.current[&path].clone();
        stamps.push(self.last);
        self.announce(&path, stamps);
        let bytes = content::record(self.last, 2000);
        Ok(OpenOptions::new().append(true).open(self.at_owner(&path))?.write_all(&bytes)?)
    }

    /// Emptied and written again: for a moment it is an empty file.
    fn rewrite(&mut self) -> Result<()> {
        let Some(path) = self.any() else { return Ok(()) };
        self.announce(&path, Vec::new());
        let bytes = self.content(&path, 3000);
        Ok(fs::write(self.at_owner(&path), bytes)?)
    }

    fn touch(&mut self) -> Result<()> {
        let Some(path) = self.any() else { return Ok(()) };
        let file = OpenOptions::new().append(true).open(self.at_owner(&path))?;
        Ok(file.set_modified(SystemTime::now())?)
    }

    fn delete(&mut self) -> Result<()> {
        let Some(path) = self.any() else { return Ok(()) };
        self.current.remove(&path);
        Ok(fs::remove_file(self.at_owner(&path))?)
    }

    fn rename(&mut self) -> Result<()> {
        let Some(path) = self.any() else { return Ok(()) };
        let to = self.fresh_path(Owner::of(&path));
        let stamps = self.current.remove(&path).context("its content")?;
        self.announce(&to, stamps);
        let file = self.at_owner(&to);
        fs::create_dir_all(file.parent().context("a folder")?)?;
        Ok(fs::rename(self.at_owner(&path), file)?)
    }

    /// Looks at some file's copy while the host may be about to replace it. True if there was one.
    fn look_at_any(&mut self) -> Result<bool> {
        let Some(path) = self.any() else { return Ok(false) };
        let copy = Owner::of(&path).other().root(&self.studio).join(&path);
        Ok(self.stamps(&path, &copy)?.is_some())
    }

    /// The content of a file, which must be one that it once had; `None` if there is no file.
    fn stamps(&self, path: &str, file: &Path) -> Result<Option<Stamps>> {
        let bytes = match fs::read(file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes?,
        };
        let stamps = if bytes.is_empty() { Ok(Vec::new()) } else { content::read(&bytes) };
        let stamps = stamps.map_err(|why| anyhow::anyhow!("{} is torn: {why}", file.display()))?;
        let known = self.history.get(path).is_some_and(|known| known.contains(&stamps));
        ensure!(known, "{} has a content that {path} never had: {stamps:?}", file.display());
        Ok(Some(stamps))
    }

    /// All that must hold at any moment, while nothing runs.
    fn check(&self, moments: &mut Moments) -> Result<()> {
        let mut found: HashMap<(Owner, String), Stamps> = HashMap::new();
        for side in [Owner::Studio, Owner::Remote] {
            let root = side.root(&self.studio);
            for path in studio::files(&root)?.into_iter().filter(|path| !is_ours(path)) {
                let stamps = self.stamps(&path, &root.join(&path))?.context("it was listed")?;
                found.insert((side, path), stamps);
            }
        }
        for (path, stamps) in &self.current {
            let there = found.get(&(Owner::of(path), path.clone()));
            ensure!(there == Some(stamps), "the source {path} is {there:?}, not {stamps:?}");
        }
        let catalog = self.studio.catalog_left_behind()?;
        let (Some(studio), Some(remote)) = (catalog.studio, catalog.remote) else {
            moments.before_catalog += 1;
            return Ok(());
        };
        let mut unrecorded = false;
        for (path, row) in &catalog.files {
            let owner = Owner::of(path);
            let (from, to) =
                if owner == Owner::Studio { (studio, remote) } else { (remote, studio) };
            let copy = owner.other().root(&self.studio).join(path);
            let there = fingerprint(&copy)?;
            let Some(version) = synced(row, to) else {
                let known = row.haves.iter().find(|have| have.site == to).map(|h| &h.version);
                unrecorded |= there.as_ref() != known;
                continue;
            };
            ensure!(
                there.as_deref() == Some(version),
                "{path} is called synced as {version}, and there is {there:?}"
            );
            // Where the source is still what was recorded, both have the same bytes.
            let source = fingerprint(&self.at_owner(path))?;
            if source.is_some() && source.as_deref() == synced(row, from) {
                let bytes = |side: Owner| found.get(&(side, path.clone()));
                let (source, copy) = (bytes(owner), bytes(owner.other()));
                ensure!(source == copy, "{path} is called synced: {source:?} is not {copy:?}");
            }
        }
        let in_progress = |row: &FileRow| row.jobs.iter().any(|j| j.state == JobState::InProgress);
        let writing = !temporaries(&self.studio.studio())?.is_empty()
            || !temporaries(&self.studio.remote())?.is_empty();
        moments.claimed += u64::from(catalog.files.values().any(in_progress));
        moments.writing += u64::from(writing);
        moments.unrecorded += u64::from(unrecorded);
        Ok(())
    }

    /// One quiet sync, and everything is where it belongs.
    fn rest(&mut self) -> Result<()> {
        let outcome = self.studio.sync()?;
        ensure!(outcome.code == Some(0), "the last sync: {}", told(&outcome));
        ensure!(outcome.sum("conflicts") == Some(0), "the last sync: {}", told(&outcome));
        self.check(&mut Moments::default())?;
        let [studio, remote] = [self.studio.studio(), self.studio.remote()];
        for root in [&studio, &remote] {
            let mut left = temporaries(root)?;
            // Known and accepted: a host that dies while it gives a new root its marker leaves
            // that one behind until the next sweep, as nothing was in progress yet.
            left.retain(|path| !path.starts_with(".sitesync/"));
            ensure!(left.is_empty(), "left behind in {}: {left:?}", root.display());
        }
        let (here, there) = (studio::digest(&studio)?, studio::digest(&remote)?);
        if self.owners.len() == 2 {
            let paths: BTreeSet<_> = here.keys().chain(there.keys()).collect();
            let differ: Vec<_> = paths.iter().filter(|p| here.get(**p) != there.get(**p)).collect();
            ensure!(differ.is_empty(), "the sites differ: {differ:?}");
        } else {
            // What was deleted at its source stays at the other site.
            for path in self.current.keys() {
                ensure!(here.get(path) == there.get(path), "the sites differ: {path}");
            }
        }
        let outcome = self.studio.sync()?;
        let quiet = outcome.code == Some(0) && outcome.sum("transferred") == Some(0);
        ensure!(quiet, "a sync with nothing to do: {}", told(&outcome));
        Ok(())
    }
}

/// The first of what a sync complained of, and its sums.
fn told(outcome: &Outcome) -> String {
    let problems = outcome.lines.iter().take(5).map(ToString::to_string).collect::<Vec<_>>();
    format!("{}\n{}\n{}", problems.join("\n"), outcome.sums(), outcome.stderr)
}

/// What the catalog says this site has of the newest content.
fn synced(row: &FileRow, site: SiteId) -> Option<&str> {
    let have = row.haves.iter().find(|have| have.site == site)?;
    (have.generation == row.generation).then_some(have.version.as_str())
}
