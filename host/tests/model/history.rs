//! One history, from its first step until nothing is left to do, and what must hold on the way.
//!
//! The model knows who has which content ([`World`]), and rules that fit a line each. It does not
//! know how the engine comes to its decisions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sitesync::catalog::{FileRow, FileState, GONE, Job, JobState, STALE, SiteId};
use sitesync::settings::{Conflicts, Deletes};
use sitesync_provider::Bytes;
use tokio::runtime::{Builder, Runtime};

use super::host::{Ended, Host, Known};
use super::steps::{Deed, Machine, Script, Site, Step, Trouble, What};
use super::world::{File, Limits, World};

/// How long a call may hang where one does; else as good as for ever.
const SOON: Duration = Duration::from_millis(60);
const NEVER: Duration = Duration::from_secs(60);
/// So many rounds of quiet passes are enough for any history to come to rest.
const ROUNDS: usize = 12;

static NUMBER: AtomicU64 = AtomicU64::new(1);

/// What did not hold, and after which step.
#[derive(Debug, Clone)]
pub(crate) struct Broken {
    pub(crate) what: String,
    pub(crate) trace: String,
}

/// A thread's means to run one history after the other.
#[derive(Default)]
pub(crate) struct Ground(Option<Runtime>);

impl Ground {
    fn runtime(&mut self) -> &Runtime {
        self.0.get_or_insert_with(|| {
            Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
        })
    }

    /// What machines that died still do reaches nobody any more.
    fn forget(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Plays a history.
pub(crate) fn play(ground: &mut Ground, script: &Script, trace: bool) -> Result<(), Broken> {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let world = World::new(number, &script.ground, trace);
    let hosts = Machine::ALL.map(|machine| Host::new(machine, number, script));
    let known = Default::default();
    let mut history =
        History { world: world.clone(), hosts, known, ground, script, doomed: Vec::new() };
    let played = history.play();
    World::end(number);
    played.map_err(|what| {
        let trace = world.lock().trace.take().unwrap_or_default();
        Broken { what, trace }
    })
}

struct History<'a> {
    world: Arc<World>,
    hosts: [Host; 2],
    /// What their catalogs say since the last pass.
    known: [Known; 2],
    ground: &'a mut Ground,
    script: &'a Script,
    /// What people deleted that every machine was to delete everywhere: paths, and how often people
    /// had touched them by then.
    doomed: Vec<(&'static str, u32)>,
}

type Checked = Result<(), String>;

impl History<'_> {
    fn play(&mut self) -> Checked {
        for (at, step) in self.script.steps.iter().enumerate() {
            self.world.lock().tell(format_args!("== step {at}"));
            let done = match step {
                Step::Person(deed) => {
                    let doomed = self.dooms(*deed);
                    let mut state = self.world.lock();
                    state.does(*deed);
                    self.doomed.extend(doomed.map(|path| (path, state.deeds[path])));
                    Ok(())
                }
                Step::Order(machine, order) => {
                    let done = self.hosts[*machine as usize].asked(*order);
                    self.world.lock().asked(*machine, *order, done);
                    self.learn(*machine);
                    self.sound(*machine)
                }
                Step::Pass { machines, troubles } => self.troubled(machines, troubles),
            };
            done.and_then(|()| self.nothing_lost()).map_err(|what| format!("step {at}: {what}"))?;
        }
        let rested = self.rest().and_then(|()| self.deletes_travelled());
        rested.map_err(|what| format!("at rest: {what}"))
    }

    /// Whether a deletion is one that travels: all who know the file know it as it is everywhere, are
    /// to delete it, and nobody asked for it anywhere.
    fn dooms(&self, deed: Deed) -> Option<&'static str> {
        let Deed::Delete { site, path } = deed else { return None };
        let (state, ground) = (self.world.lock(), &self.script.ground);
        // Who learns of the file in the meantime is to delete it as well.
        if ground.deletes != [Deletes::Propagate; 2] {
            return None;
        }
        let mut knows = false;
        for machine in Machine::ALL {
            let known = &self.known[machine as usize];
            let Some((_, row)) = known.files.iter().find(|(p, _)| p == path) else {
                let has = |site: Site| state.stores[site as usize].files.contains_key(path);
                if ground.sites(machine).into_iter().any(|at| at != Site::Cloud && has(at)) {
                    return None;
                }
                continue;
            };
            let mut sites = ground.sites(machine).into_iter();
            let as_it_is = sites.all(|site| {
                let file = state.stores[site as usize].files.get(path);
                let have = synced(row, known.key(site));
                file.is_some() && file.map(|file| &file.version) == have.map(|have| &have.version)
            });
            if !as_it_is || !row.wants.is_empty() {
                return None;
            }
            knows |= ground.sites(machine).contains(&site);
        }
        knows.then_some(path)
    }

    /// What was deleted where it was known is gone everywhere, unless people did more to it.
    fn deletes_travelled(&self) -> Checked {
        let state = self.world.lock();
        if state.lied || state.misled || self.script.wants_anything() {
            return Ok(());
        }
        for (path, deeds) in self.doomed.iter().filter(|(path, n)| state.deeds[*path] == *n) {
            let left = Site::ALL
                .into_iter()
                .find(|site| state.stores[*site as usize].files.contains_key(*path));
            if let Some(site) = left {
                let name = site.name();
                return Err(format!("'{path}' was deleted, and is at {name} ({deeds} deeds)"));
            }
        }
        Ok(())
    }

    /// A pass in which things go wrong.
    fn troubled(&mut self, machines: &[Machine], troubles: &[Trouble]) -> Checked {
        machines.iter().for_each(|machine| self.limit(*machine));
        self.world.lock().arm(troubles);
        let ended = self.pass(machines, troubles);
        self.world.lock().calm();
        for (machine, ended) in machines.iter().zip(ended) {
            match &ended {
                Ended::Died => self.revive(*machine, troubles)?,
                Ended::Refused(error) => return Err(format!("{machine:?}: {error}")),
                Ended::Whole(_) => {}
            }
            let before = self.learn(*machine);
            self.believed_absence(*machine, &before, troubles)?;
            if let Ended::Whole(summary) = ended {
                self.left_over(*machine, &before, !summary.offline.is_empty())?;
            }
            self.sound(*machine)?;
        }
        Ok(())
    }

    /// What a machine is told not to do in its next pass.
    fn limit(&self, machine: Machine) {
        let known = &self.known[machine as usize];
        let (mut limits, ground) = (Limits::default(), &self.script.ground);
        // What is nowhere any more as it is known is forgotten, and all that was asked for it: what has
        // its name then is another file.
        let exists = |path: &String, row: &FileRow| {
            let state = self.world.lock();
            row.haves.iter().any(|have| {
                let site = known.sites.iter().find(|(key, _)| *key == have.site);
                let there = site.and_then(|(_, at)| state.stores[*at as usize].files.get(path));
                there.is_some_and(|file| file.version == have.version)
            })
        };
        for (path, row) in &known.files {
            for site in ground.sites(machine) {
                let key = known.key(site);
                let from: Vec<SiteId> =
                    ground.neighbours(machine, site).map(|site| known.key(site)).collect();
                // What was on its way when somebody asked may arrive, and what is torn is mended.
                let on_its_way =
                    row.jobs.iter().any(|j| j.to == key && j.state == JobState::InProgress)
                        || row.haves.iter().any(|h| h.site == key && h.generation == STALE);
                if known.is_paused(row, &from, key) {
                    limits.paused.insert((site, path.clone()));
                }
                if asked(row, key) == Some(false) && !on_its_way && exists(path, row) {
                    limits.unwanted.insert((site, path.clone()));
                }
                // What somebody or something let go already is not kept back again, and what wins a
                // conflict by rule is not counted.
                let free = |job: &Job| job.to == key && job.state != JobState::Held;
                if let Some(have) = row.haves.iter().find(|h| h.site == key && h.generation > 0)
                    && !row.jobs.iter().any(free)
                    && ground.guarded[machine as usize]
                    && !ground.replaces(machine)
                {
                    limits.guarded.insert((site, format!("{path} {}", have.version)));
                }
            }
        }
        self.world.lock().limits[machine as usize] = limits;
    }

    /// Asks a catalog what it says by now. Returns what it said before.
    fn learn(&mut self, machine: Machine) -> Known {
        let m = machine as usize;
        std::mem::replace(&mut self.known[m], self.hosts[m].known())
    }

    fn pass(&mut self, machines: &[Machine], troubles: &[Trouble]) -> Vec<Ended> {
        let hangs = |trouble: &Trouble| matches!(trouble.what, What::Hangs { .. });
        let limit = if troubles.iter().any(hangs) { SOON } else { NEVER };
        let (world, seed) = (&self.world, self.script.seed);
        let [a, b] = &mut self.hosts;
        self.ground.runtime().block_on(async {
            match machines {
                [Machine::A] => vec![a.pass(world, limit, seed).await],
                [Machine::B] => vec![b.pass(world, limit, seed).await],
                _ => {
                    let both = tokio::join!(a.pass(world, limit, seed), b.pass(world, limit, seed));
                    vec![both.0, both.1]
                }
            }
        })
    }

    fn revive(&mut self, machine: Machine, troubles: &[Trouble]) -> Checked {
        let power_cut = troubles.iter().find_map(|trouble| match trouble.what {
            What::Crash { machine: m, power_cut } if m == machine => power_cut,
            _ => None,
        });
        let host = &mut self.hosts[machine as usize];
        host.revive(power_cut);
        self.ground.forget();
        if power_cut.is_none() {
            return Ok(());
        }
        let lost = self.world.lock().power_cut(machine.own());
        let known = host.known();
        let own = known.key(machine.own());
        for (path, row) in &known.files {
            let undone = |have: &&sitesync::catalog::Have| lost.contains(&have.version);
            if let Some(have) = synced(row, own).filter(undone) {
                return Err(format!(
                    "'{path}' is synced at {}, and a power cut took {} away",
                    machine.own().name(),
                    have.version
                ));
            }
        }
        Ok(())
    }

    /// After a pass that ended by itself nothing is in progress; but what a death had left so, where
    /// an end could not be opened since.
    fn left_over(&self, machine: Machine, before: &Known, offline: bool) -> Checked {
        let before = before.in_progress();
        for path in self.known[machine as usize].in_progress() {
            if !(offline && before.contains(&path)) {
                return Err(format!("{machine:?} left '{path}' in progress"));
            }
        }
        Ok(())
    }

    /// What is there is not taken for absent, least of all where nothing was mounted.
    fn believed_absence(&self, machine: Machine, before: &Known, troubles: &[Trouble]) -> Checked {
        let lied = |trouble: &Trouble| {
            let not_found = sitesync_provider::ErrorKind::NotFound;
            matches!(trouble.what, What::Fails { kind, .. } if kind == not_found)
                || matches!(trouble.what, What::Crash { .. })
        };
        if troubles.iter().any(lied) {
            return Ok(());
        }
        let after = &self.known[machine as usize];
        let state = self.world.lock();
        for (path, old) in &before.files {
            for (key, site) in &before.sites {
                let had = |row: &FileRow| {
                    row.haves.iter().find(|h| h.site == *key && h.generation != GONE).cloned()
                };
                let Some(have) = had(old) else { continue };
                let there = state.stores[*site as usize].files.get(path);
                let still = there.is_some_and(|file| file.version == have.version);
                let new = after.files.iter().find(|(p, _)| p == path);
                if still && new.and_then(|(_, row)| had(row)).is_none() {
                    let name = site.name();
                    return Err(format!(
                        "{machine:?} forgot '{path}' at {name}, where it still is"
                    ));
                }
            }
        }
        Ok(())
    }

    /// What holds after every step.
    fn nothing_lost(&self) -> Checked {
        let mut state = self.world.lock();
        if let Some(wrong) = state.wrong.pop() {
            return Err(wrong);
        }
        for (path, content) in &state.precious {
            if !state.is_kept(path, content) {
                return Err(format!("'{path}' lost '{}'", String::from_utf8_lossy(content)));
            }
        }
        Ok(())
    }

    /// What holds of a catalog after every pass.
    fn sound(&self, machine: Machine) -> Checked {
        let known = &self.known[machine as usize];
        let checked = recount(known).and_then(|()| self.falsely_synced(known));
        checked.map_err(|what| format!("{machine:?}: {what}"))
    }

    /// What is called synced at two sites is of one content, and durable.
    fn falsely_synced(&self, known: &Known) -> Checked {
        let state = self.world.lock();
        for (path, row) in &known.files {
            let mut contents: BTreeMap<&Bytes, Site> = BTreeMap::new();
            for (key, site) in &known.sites {
                let Some(have) = synced(row, *key) else { continue };
                let name = site.name();
                let Some((_, _, content)) = state
                    .versions
                    .get(&have.version)
                    .filter(|(at, there, _)| at == site && there == path)
                else {
                    let version = &have.version;
                    return Err(format!("'{path}' is synced at {name}, which never had {version}"));
                };
                contents.insert(content, *site);
                let store = &state.stores[*site as usize];
                let there = store.files.get(path);
                if there.is_some_and(|file| file.version == have.version) && !store.is_durable(path)
                {
                    return Err(format!("'{path}' is synced at {name}, and is not durable"));
                }
            }
            if contents.len() > 1 {
                return Err(format!("'{path}' is synced with two contents: {contents:?}"));
            }
        }
        Ok(())
    }

    /// Nothing goes wrong any more, and nobody changes anything: it comes to rest.
    fn rest(&mut self) -> Checked {
        let mut before = None;
        for round in 0..ROUNDS {
            self.world.lock().tell(format_args!("== rest {round}"));
            for machine in Machine::ALL {
                self.hosts[machine as usize].let_all_go();
                self.learn(machine);
                self.limit(machine);
                let ended = self.pass(&[machine], &[]);
                let [Ended::Whole(summary)] = &ended[..] else {
                    return Err(format!("{machine:?}: {ended:?}"));
                };
                if !summary.offline.is_empty() {
                    return Err(format!("{machine:?}: {:?}", summary.offline));
                }
                self.learn(machine);
                self.left_over(machine, &Known::default(), false)?;
                self.sound(machine)?;
                self.nothing_lost()?;
            }
            let converged = Machine::ALL.into_iter().try_for_each(|machine| {
                self.converged(machine).map_err(|what| format!("{machine:?}: {what}"))
            });
            // Whether it stays so is asked now and then.
            let ask = self.script.seed.is_multiple_of(4);
            let now = (self.contents(), self.unfinished());
            match converged {
                Ok(()) if !ask || before.as_ref() == Some(&now) => return Ok(()),
                Err(what) if before.as_ref() == Some(&now) => return Err(what),
                _ => before = Some(now),
            }
        }
        Err("it does not come to rest".to_owned())
    }

    fn contents(&self) -> [BTreeMap<String, String>; 4] {
        let state = self.world.lock();
        Site::ALL.map(|site| {
            let files = &state.stores[site as usize].files;
            files.iter().map(|(path, file)| (path.clone(), file.version.clone())).collect()
        })
    }

    /// What is still to be done, and how far it has come: what was compared and is held back is not
    /// where it was before.
    fn unfinished(&self) -> Vec<String> {
        let files = self.known.iter().flat_map(|known| &known.files);
        let open = files.filter(|(_, row)| !row.jobs.is_empty());
        open.map(|(path, row)| {
            let jobs = row.jobs.iter().map(|job| (job.to, job.from, job.state));
            let haves = row.haves.iter().map(|have| (have.site, have.generation));
            format!("{path}: {:?}, {:?}", jobs.collect::<Vec<_>>(), haves.collect::<Vec<_>>())
        })
        .collect()
    }

    /// What belongs at a site is there in its newest content, but for conflicts and for what the
    /// rules keep apart; and the catalog says what there is.
    fn converged(&self, machine: Machine) -> Checked {
        let known = &self.known[machine as usize];
        let state = self.world.lock();
        let ground = &self.script.ground;
        let sites = ground.sites(machine);
        let at = |site: Site, path: &str| state.stores[site as usize].files.get(path);
        let ours = |path: &str| path.starts_with(sitesync_provider::OURS);
        let mut paths: Vec<&String> =
            sites.iter().flat_map(|site| state.stores[*site as usize].files.keys()).collect();
        paths.sort();
        paths.dedup();
        for path in paths.into_iter().filter(|path| !ours(path)) {
            let Some((_, row)) = known.files.iter().find(|(p, _)| p == path) else {
                return Err(format!("'{path}' is not known"));
            };
            let mut there: Vec<&File> = Vec::new();
            let mut newest = None;
            for site in &sites {
                let key = known.key(*site);
                let have = row.haves.iter().find(|h| h.site == key && h.generation != GONE);
                let file = at(*site, path);
                if have.map(|have| &have.version) != file.map(|file| &file.version) {
                    let name = site.name();
                    return Err(format!("'{path}' at {name} is {file:?}, and known as {have:?}"));
                }
                there.extend(file);
                if have.is_some_and(|have| have.generation == row.generation) {
                    newest = file;
                }
            }
            let conflict = row.jobs.iter().any(|job| job.state == JobState::Conflict);
            let right = |site: &Site| {
                let asked = asked(row, known.key(*site));
                // What lies behind a site where it is not wanted can't be brought.
                let far = ground.neighbours(machine, *site).all(|other| {
                    let have = row.haves.iter().find(|h| h.site == known.key(other));
                    have.is_none_or(|have| have.generation != row.generation)
                });
                match at(*site, path) {
                    Some(file) if newest.is_some_and(|new| new.content == file.content) => true,
                    Some(_) => asked == Some(false) || far,
                    None => !asked.unwrap_or(ground.rule(machine, *site)) || far,
                }
            };
            // Where it is not wanted, nothing is set aside.
            let unwanted = sites.iter().any(|site| asked(row, known.key(*site)) == Some(false));
            let aside = ground.conflicts[machine as usize] == Conflicts::KeepBoth && unwanted;
            let right = if conflict {
                there.iter().any(|file| file.content != there[0].content)
                    && (aside || !self.decides(machine, &there))
            } else {
                sites.iter().all(right)
            };
            if !right {
                return Err(format!("'{path}' did not converge: {there:#?}, {row:#?}"));
            }
            // What is to be compared with a side of a conflict waits for its end.
            if let Some(job) = row.jobs.first().filter(|_| !conflict) {
                return Err(format!("'{path}' is at rest, and has work: {job:?}, {row:#?}"));
            }
        }
        for (path, row) in &known.files {
            if sites.iter().all(|site| at(*site, path).is_none()) {
                return Err(format!("'{path}' is nowhere, and known: {row:?}"));
            }
        }
        Ok(())
    }
}

impl History<'_> {
    /// Whether the settings say which of two contents is kept, or that both are.
    fn decides(&self, machine: Machine, there: &[&File]) -> bool {
        let ground = &self.script.ground;
        let told = ground.sites(machine).iter().all(|site| ground.keeps_mtime[*site as usize]);
        let mut times: Vec<i64> = there.iter().map(|file| file.mtime_ns).collect();
        times.sort_unstable();
        times.dedup();
        match ground.conflicts[machine as usize] {
            Conflicts::Ask => false,
            Conflicts::ActiveWins | Conflicts::RemoteWins | Conflicts::KeepBoth => true,
            Conflicts::Newest => told && times.len() == there.len(),
        }
    }
}

/// What people asked for a file at a site.
fn asked(row: &FileRow, site: SiteId) -> Option<bool> {
    row.wants.iter().find(|(at, _)| *at == site).map(|(_, wanted)| *wanted)
}

impl Known {
    /// Whether all work to a site is paused, from wherever it may come.
    fn is_paused(&self, row: &FileRow, from: &[SiteId], to: SiteId) -> bool {
        self.pauses.iter().any(|scope| match (scope.representation, scope.site) {
            (None, None) => true,
            (None, Some(site)) => site == to || from.iter().all(|other| *other == site),
            (Some(of), site) => of == row.representation && site.is_none_or(|site| site == to),
        })
    }

    /// Whether a pause of the host, the project or a site reaches work.
    fn reaches(&self, to: SiteId, from: SiteId) -> bool {
        let wide = self.pauses.iter().filter(|scope| scope.representation.is_none());
        let mut sites = wide.map(|scope| scope.site);
        sites.any(|site| site.is_none_or(|site| site == to || site == from))
    }

    fn in_progress(&self) -> Vec<String> {
        let working = |row: &FileRow| row.jobs.iter().any(|j| j.state == JobState::InProgress);
        let files = self.files.iter().filter(|(_, row)| working(row));
        files.map(|(path, _)| path.clone()).collect()
    }

    fn key(&self, site: Site) -> SiteId {
        self.sites.iter().find(|(_, s)| *s == site).map_or(SiteId(-1), |(key, _)| *key)
    }
}

/// What a site has of a file that is called synced there.
fn synced(row: &FileRow, site: SiteId) -> Option<&sitesync::catalog::Have> {
    let newest = row.haves.iter().find(|h| h.site == site && h.generation == row.generation);
    newest.filter(|_| row.jobs.iter().all(|job| job.to != site))
}

/// The counters that are kept are those that files add up to.
fn recount(known: &Known) -> Checked {
    let mut counted: BTreeMap<(SiteId, FileState), (u64, u64, u64)> = BTreeMap::new();
    for (_, row) in &known.files {
        for (site, _) in &known.sites {
            let work = row.jobs.iter().find(|job| job.to == *site);
            let job = work.map(|job| job.state);
            let reached = work.is_some_and(|job| known.reaches(job.to, job.from));
            let state = match job {
                Some(JobState::Ready | JobState::Waiting) if reached => FileState::Paused,
                Some(JobState::Ready | JobState::Waiting) => FileState::Queued,
                Some(JobState::InProgress) => FileState::InProgress,
                Some(JobState::Held) => FileState::Paused,
                Some(_) => FileState::Failed,
                None if synced(row, *site).is_some() => FileState::Synced,
                None => continue,
            };
            let count = counted.entry((*site, state)).or_default();
            count.0 += 1;
            count.1 += row.size;
            count.2 += u64::from(job == Some(JobState::Conflict));
        }
    }
    let mut kept: BTreeMap<(SiteId, FileState), (u64, u64, u64)> = BTreeMap::new();
    for count in known.counts.iter().filter(|count| count.files > 0) {
        let seen = (count.files, count.bytes, count.conflicts);
        kept.insert((count.site, count.state), seen);
    }
    if kept != counted {
        return Err(format!("counters are {kept:?}, and files add up to {counted:?}"));
    }
    Ok(())
}
