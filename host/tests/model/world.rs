//! The sites as they are: three stores, what people and hosts did to them, and what goes wrong.
//!
//! Beside the files stands what a host must never do: each effect is checked when it happens. What
//! is wrong is kept, and told at the end of the step.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use md5::{Digest, Md5};
use sitesync::settings::{Conflicts, Deletes};
use sitesync_provider::{
    Bytes, Checksum, DeleteOptions, Error, ErrorKind, Expect, Metadata, Result,
};
use tokio::sync::Notify;

use super::steps::{Call, Deed, Ground, Machine, Order, PATHS, Site, Trouble, What};

/// All worlds, by the number that settings name.
static WORLDS: LazyLock<Mutex<HashMap<u64, Arc<World>>>> = LazyLock::new(Mutex::default);

/// Where people ask something of a machine while it works.
pub(crate) type Desk = Box<dyn Fn(Order) -> bool + Send + Sync>;

/// The sites of one history.
pub(crate) struct World {
    pub(crate) ground: Ground,
    /// By machine: told when it dies.
    pub(crate) died: [Notify; 2],
    /// By machine: whom to ask.
    pub(crate) desks: [Mutex<Option<Desk>>; 2],
    state: Mutex<State>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("ground", &self.ground).finish_non_exhaustive()
    }
}

/// A file at a site.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) content: Bytes,
    pub(crate) version: String,
    pub(crate) mtime_ns: i64,
    /// What a power cut leaves in its place, while it is not durable.
    before: Option<Before>,
}

#[derive(Debug, Clone)]
struct Before {
    file: Option<Box<File>>,
    /// A barrier failed: no later one makes it durable.
    doomed: bool,
    /// The host was not told that it is there, or something failed since: it can't know that the
    /// barrier was this file's as well.
    doubtful: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) files: BTreeMap<String, File>,
    /// What hosts replaced or deleted, by path: and whether that was theirs to do. What was not is
    /// as good as lost.
    trash: Vec<(String, Bytes, bool)>,
    /// Paths in the order in which they changed.
    pub(crate) changes: Vec<String>,
    pub(crate) mounted: bool,
    pub(crate) flush: bool,
    offline: Option<ErrorKind>,
    full: bool,
}

/// What a host puts at a site, and what it says of what is there.
#[derive(Debug)]
pub(crate) struct Sent<'a> {
    pub(crate) content: Bytes,
    pub(crate) mtime_ns: Option<i64>,
    pub(crate) expect: &'a Expect,
    pub(crate) keep: bool,
}

/// What one call is to do besides, or instead of, what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Twist {
    None,
    Truncate,
    Lie { larger: bool },
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) stores: [Store; 4],
    /// Every version that there ever was: where, and of what content.
    pub(crate) versions: HashMap<String, (Site, String, Bytes)>,
    /// Everything that was ever whole.
    whole: BTreeSet<Bytes>,
    /// What people made, and nobody replaced or deleted where they saw it, by path.
    pub(crate) precious: BTreeSet<(String, Bytes)>,
    pub(crate) wrong: Vec<String>,
    /// By machine: what it may not do in this pass.
    pub(crate) limits: [Limits; 2],
    /// Conflicts in which a person said which site's content is kept, by machine.
    resolved: BTreeSet<(Machine, String, Site)>,
    /// Whether something was said not to be there that is,
    pub(crate) lied: bool,
    /// or to be other than it is, or whether a catalog was set back.
    pub(crate) misled: bool,
    /// How often people did something to a path.
    pub(crate) deeds: BTreeMap<String, u32>,
    ground: Ground,
    /// By machine: which life of it may act. Calls of an earlier one never answer.
    lives: [u64; 2],
    troubles: Vec<Trouble>,
    pub(crate) trace: Option<String>,
    contents: u64,
    made: i64,
}

/// What a machine may not do in a pass, as its catalog said before it.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    /// It is paused there.
    pub(crate) paused: BTreeSet<(Site, String)>,
    /// Somebody asked that it be not there.
    pub(crate) unwanted: BTreeSet<(Site, String)>,
    /// What its guards watch: versions that are known, and that nobody has let go yet.
    pub(crate) guarded: BTreeSet<(Site, String)>,
    /// Of those: how many it has replaced, and how many deleted, by site.
    touched: BTreeMap<(Site, Call), u32>,
}

/// What comes of a call.
pub(crate) enum Answer<T> {
    Now(Result<T>),
    Never,
}

impl World {
    pub(crate) fn new(number: u64, ground: &Ground, trace: bool) -> Arc<Self> {
        let stores = Site::ALL.map(|site| Store {
            mounted: true,
            flush: ground.flush[site as usize],
            ..Store::default()
        });
        let state = State {
            stores,
            versions: HashMap::new(),
            whole: BTreeSet::new(),
            precious: BTreeSet::new(),
            wrong: Vec::new(),
            limits: Default::default(),
            resolved: BTreeSet::new(),
            lied: false,
            misled: false,
            deeds: BTreeMap::new(),
            ground: ground.clone(),
            lives: [0; 2],
            troubles: Vec::new(),
            trace: trace.then(String::new),
            contents: 0,
            made: 0,
        };
        let world = Arc::new(World {
            ground: ground.clone(),
            died: Default::default(),
            desks: Default::default(),
            state: Mutex::new(state),
        });
        WORLDS.lock().unwrap().insert(number, world.clone());
        world
    }

    pub(crate) fn of(number: u64) -> Option<Arc<Self>> {
        WORLDS.lock().unwrap().get(&number).cloned()
    }

    pub(crate) fn end(number: u64) {
        WORLDS.lock().unwrap().remove(&number);
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One call of a machine to a site, with its effect.
    pub(crate) fn call<T>(
        &self,
        (machine, life): (Machine, u64),
        (site, call): (Site, Call),
        path: &str,
        effect: impl FnOnce(&mut State, Twist) -> Result<T>,
    ) -> Answer<T> {
        let mut state = self.lock();
        if state.lives[machine as usize] != life {
            return Answer::Never;
        }
        let (mut twist, mut before, mut after) = (Twist::None, None, None);
        let mut hangs = false;
        for what in state.due(machine, site, call) {
            state.tell(format_args!("!! {what:?}"));
            match what {
                What::Fails { kind, after: false, .. } => {
                    state.lied |= kind == ErrorKind::NotFound;
                    before = Some(kind);
                }
                What::Fails { kind, .. } => after = Some(Some(kind)),
                What::Hangs { after: false, .. } => hangs = true,
                What::Hangs { .. } => after = Some(None),
                What::Truncates { .. } => twist = Twist::Truncate,
                What::Lies { larger, .. } => {
                    state.misled = true;
                    twist = Twist::Lie { larger };
                }
                What::Person { deed, .. } => state.does(deed),
                What::Asked { machine, order } => {
                    // What it does in the rest of this pass may be as before, or as it was told.
                    state.limits[machine as usize] = Limits::default();
                    let desk = self.desks[machine as usize].lock().unwrap();
                    let Some(desk) = &*desk else { continue };
                    // Nothing that it needs waits for this world. A thread of its own may block.
                    let done = std::thread::scope(|scope| {
                        scope.spawn(|| desk(order)).join().expect("it is carried out")
                    });
                    state.asked(machine, order, done);
                }
                What::Replaces { .. } => {
                    let path = PATHS.into_iter().find(|known| *known == path);
                    let edit = |path| Deed::Edit { site, path, same_size: true };
                    path.into_iter().for_each(|path| state.does(edit(path)));
                }
                What::Offline { kind, .. } => state.stores[site as usize].offline = Some(kind),
                What::Unmounted { .. } => state.stores[site as usize].mounted = false,
                What::Full { .. } => state.stores[site as usize].full = true,
                What::Crash { .. } => {
                    state.lives[machine as usize] += 1;
                    for disk in machine.disks() {
                        state.stores[disk as usize].forgive();
                    }
                    self.died[machine as usize].notify_one();
                    return Answer::Never;
                }
            }
        }
        if hangs {
            return Answer::Never;
        }
        if matches!(before, Some(ErrorKind::Unsupported)) && call == Call::Flush {
            // It turned out to be durable as it is.
            state.stores[site as usize].flush = false;
            state.stores[site as usize].settle();
        }
        // Where nothing is mounted there is nothing to be full: one that nobody met before would be taken
        // for a root that no marker has room in.
        let told = before
            .filter(|kind| *kind != ErrorKind::StorageFull || state.stores[site as usize].mounted);
        let result = match told.or(state.stores[site as usize].offline) {
            Some(kind) => {
                if call == Call::Flush {
                    state.stores[site as usize].doom();
                }
                Err(error(kind))
            }
            None => effect(&mut state, twist),
        };
        if result.is_err() || after.is_some() {
            state.stores.iter_mut().for_each(|store| store.doubt(path));
        }
        state.look(site, path);
        let ours = path.starts_with(sitesync_provider::OURS);
        if state.trace.is_some() && !(ours && result.is_ok()) {
            let outcome = result.as_ref().err().map(|error| format!(" -> {error}"));
            let outcome = outcome.unwrap_or_default();
            state.tell(format_args!("{machine:?} {} {call:?} '{path}'{outcome}", site.name()));
        }
        match after {
            Some(Some(kind)) => Answer::Now(Err(error(kind))),
            Some(None) => Answer::Never,
            None => Answer::Now(result),
        }
    }
}

fn error(kind: ErrorKind) -> Error {
    Error::new(kind, format!("{kind} on purpose"))
}

impl Store {
    fn settle(&mut self) {
        self.files.values_mut().for_each(|file| file.before = None);
    }

    /// A barrier went well.
    pub(crate) fn flushed(&mut self) {
        let sound = |before: &Before| !before.doomed;
        for file in self.files.values_mut().filter(|file| file.before.as_ref().is_some_and(sound)) {
            file.before = None;
        }
    }

    /// A barrier failed: the storage forgot what it had still to write, and will not say so again.
    fn doom(&mut self) {
        for before in self.files.values_mut().filter_map(|file| file.before.as_mut()) {
            before.doomed = !before.doubtful;
        }
    }

    fn doubt(&mut self, path: &str) {
        if let Some(before) = self.files.get_mut(path).and_then(|file| file.before.as_mut()) {
            before.doubtful = true;
        }
    }

    /// The host that waited for a barrier is gone: its next life can't know.
    fn forgive(&mut self) {
        for before in self.files.values_mut().filter_map(|file| file.before.as_mut()) {
            before.doomed = false;
        }
    }

    pub(crate) fn room(&self) -> Result<()> {
        if !self.mounted {
            return Err(Error::new(ErrorKind::RootUnavailable, "nothing is mounted there"));
        }
        if self.full { Err(Error::new(ErrorKind::StorageFull, "no room")) } else { Ok(()) }
    }

    pub(crate) fn find(&self, path: &str) -> Result<&File> {
        let found = self.files.get(path).filter(|_| self.mounted);
        found.ok_or_else(|| Error::new(ErrorKind::NotFound, "nothing there"))
    }

    pub(crate) fn is_durable(&self, path: &str) -> bool {
        self.files.get(path).is_none_or(|file| file.before.is_none())
    }
}

impl State {
    /// A machine that begins: earlier lives of it are over.
    pub(crate) fn begin(&mut self, machine: Machine) -> u64 {
        self.lives[machine as usize] += 1;
        self.lives[machine as usize]
    }

    pub(crate) fn life(&self, machine: Machine) -> u64 {
        self.lives[machine as usize]
    }

    /// A person asked something of a machine.
    pub(crate) fn asked(&mut self, machine: Machine, order: Order, done: bool) {
        self.tell(format_args!("-- {machine:?} is asked: {order:?}: {done}"));
        if let (Order::Resolve { path, keep }, true) = (order, done) {
            self.resolved.insert((machine, path.to_owned(), keep));
        }
    }

    pub(crate) fn arm(&mut self, troubles: &[Trouble]) {
        self.troubles = troubles.to_vec();
    }

    /// All is well again.
    pub(crate) fn calm(&mut self) {
        self.troubles.clear();
        self.limits = Default::default();
        for store in &mut self.stores {
            (store.mounted, store.full, store.offline) = (true, false, None);
        }
    }

    pub(crate) fn tell(&mut self, what: std::fmt::Arguments<'_>) {
        if let Some(trace) = &mut self.trace {
            let _ = writeln!(trace, "  {what}");
        }
    }

    fn due(&mut self, machine: Machine, site: Site, call: Call) -> Vec<What> {
        let mut due = Vec::new();
        self.troubles.retain_mut(|trouble| {
            let waits_for_it = match trouble.what {
                What::Fails { site: s, call: c, .. }
                | What::Hangs { site: s, call: c, .. }
                | What::Lies { site: s, call: c, .. }
                | What::Person { site: s, call: c, .. } => (s, c) == (site, call),
                What::Truncates { site: s } | What::Replaces { site: s } => {
                    (s, Call::Read) == (site, call)
                }
                What::Offline { site: s, .. }
                | What::Unmounted { site: s }
                | What::Full { site: s } => s == site,
                What::Crash { machine: m, .. } | What::Asked { machine: m, .. } => m == machine,
            };
            trouble.nth -= u32::from(waits_for_it);
            if trouble.nth == 0 {
                due.push(trouble.what);
            }
            trouble.nth > 0
        });
        due
    }

    fn new_content(&mut self, bytes: usize) -> Bytes {
        self.contents += 1;
        // Both halves tell whose they are.
        let number = format!("{:03x}", self.contents);
        let between = ".".repeat(bytes.max(8) - 1 - 2 * number.len());
        let content = format!("c{number}{between}{number}").into_bytes();
        self.whole.insert(content.clone().into());
        content.into()
    }

    /// Puts a file at a site: its version.
    fn put(&mut self, site: Site, path: &str, content: Bytes, mtime_ns: Option<i64>) -> &mut File {
        self.made += 1;
        let version = format!("v{}", self.made);
        let mtime_ns = mtime_ns.unwrap_or(self.made * 10_000_000_000);
        self.versions.insert(version.clone(), (site, path.to_owned(), content.clone()));
        let file = File { content, version, mtime_ns, before: None };
        let store = &mut self.stores[site as usize];
        store.changes.push(path.to_owned());
        store.files.insert(path.to_owned(), file);
        store.files.get_mut(path).unwrap()
    }

    fn take(&mut self, site: Site, path: &str) -> Option<File> {
        let store = &mut self.stores[site as usize];
        let file = store.files.remove(path)?;
        store.changes.push(path.to_owned());
        Some(file)
    }

    /// A host makes a file visible. Returns what is there then.
    pub(crate) fn publish(
        &mut self,
        machine: Machine,
        site: Site,
        path: &str,
        Sent { content, mtime_ns, expect, keep }: Sent<'_>,
    ) -> Result<()> {
        self.stores[site as usize].room()?;
        let there = self.stores[site as usize].files.get(path);
        match (expect, there) {
            (Expect::Nothing, None) => {}
            (Expect::Version(version), Some(file)) if file.version == *version => {}
            (Expect::Nothing, Some(_)) => {
                return Err(Error::new(ErrorKind::AlreadyExists, "something is there"));
            }
            (_, None) => return Err(Error::new(ErrorKind::NotFound, "it is gone")),
            _ => return Err(Error::new(ErrorKind::Precondition, "something else is there")),
        }
        let ours = path.starts_with(sitesync_provider::OURS);
        if !ours && !self.whole.contains(&content) {
            let text = String::from_utf8_lossy(&content).into_owned();
            self.wrong.push(format!("torn content at {}: '{path}' is '{text}'", site.name()));
        }
        let (limits, key) = (&self.limits[machine as usize], (site, path.to_owned()));
        let why = match (limits.paused.contains(&key), limits.unwanted.contains(&key)) {
            (true, _) => Some("paused"),
            (_, true) => Some("not wanted"),
            _ => None,
        };
        if let Some(why) = why {
            let name = site.name();
            self.wrong.push(format!("{machine:?} brought '{path}' to {name}, where it is {why}"));
        }
        if let Some(there) = there.filter(|_| !ours).cloned() {
            self.touches((machine, Call::Finish), site, path, &there);
            let allowed = self.may_replace(machine, site, path, &there, mtime_ns);
            self.trash(site, path, there.content, (keep, allowed));
        }
        let before = self.take(site, path);
        let lasting = ours || !self.stores[site as usize].flush;
        // What was not durable before is what a power cut leaves of it.
        let before = match before {
            Some(File { before: Some(earlier), .. }) => earlier.file,
            before => before.map(Box::new),
        };
        let file = self.put(site, path, content, mtime_ns);
        file.before = (!lasting).then_some(Before { file: before, doomed: false, doubtful: false });
        Ok(())
    }

    /// Whether it is for a host to replace this, which no content follows.
    fn may_replace(
        &self,
        machine: Machine,
        site: Site,
        path: &str,
        old: &File,
        mtime_ns: Option<i64>,
    ) -> bool {
        let told = self.ground.keeps_mtime[site as usize];
        let newer = told && mtime_ns.is_some_and(|mtime| mtime > old.mtime_ns);
        let by_rule = match self.ground.conflicts[machine as usize] {
            Conflicts::Ask | Conflicts::KeepBoth => false,
            Conflicts::ActiveWins => site != machine.own(),
            Conflicts::RemoteWins => site != Site::Cloud,
            Conflicts::Newest => newer,
        };
        let said = |(by, of, keep): &(Machine, String, Site)| {
            *by == machine && of == path && *keep != site
        };
        by_rule || self.resolved.iter().any(said)
    }

    /// A host replaces or deletes a file, and must have said that it is to be kept.
    fn trash(&mut self, site: Site, path: &str, content: Bytes, (keep, allowed): (bool, bool)) {
        if keep != self.ground.keeps {
            let name = site.name();
            self.wrong.push(format!("'{path}' at {name} was to be kept: {}, not {keep}", !keep));
        }
        if keep {
            self.stores[site as usize].trash.push((path.to_owned(), content, allowed));
        }
    }

    /// A host replaces or deletes a file: too many of those that are known are not for it to decide.
    fn touches(&mut self, by: (Machine, Call), site: Site, path: &str, old: &File) {
        let limits = &mut self.limits[by.0 as usize];
        let key = (site, format!("{path} {}", old.version));
        // What was let go on its way to where people work goes on from there.
        let goes_on = self.ground.third && by.1 == Call::Finish && site != by.0.own();
        if !limits.guarded.remove(&key) || goes_on {
            return;
        }
        let touched = limits.touched.entry((site, by.1)).or_default();
        *touched += 1;
        if *touched > 1 {
            self.wrong.push(format!("{:?} let go of too many files at {}", by.0, site.name()));
        }
    }

    /// A host deletes a file.
    pub(crate) fn delete(
        &mut self,
        machine: Machine,
        site: Site,
        path: &str,
        how: &DeleteOptions,
    ) -> Result<()> {
        let file = self.stores[site as usize].find(path)?.clone();
        if how.if_version.as_ref().is_some_and(|version| *version != file.version) {
            return Err(Error::new(ErrorKind::Precondition, "it is another version"));
        }
        if self.ground.deletes[machine as usize] != Deletes::Propagate || how.if_version.is_none() {
            self.wrong.push(format!("{machine:?} deleted '{path}' at {}: {how:?}", site.name()));
        }
        if self.limits[machine as usize].paused.contains(&(site, path.to_owned())) {
            self.wrong.push(format!("{machine:?} deleted '{path}' at {}, paused", site.name()));
        }
        self.touches((machine, Call::Delete), site, path, &file);
        // Who was told twice that it is nowhere could not know better.
        self.trash(site, path, file.content, (how.to_trash, self.lied));
        self.take(site, path);
        Ok(())
    }

    /// A host gives a file another name.
    pub(crate) fn rename(
        &mut self,
        machine: Machine,
        site: Site,
        from: &str,
        to: &str,
    ) -> Result<()> {
        let file = self.stores[site as usize].find(from)?.clone();
        if self.stores[site as usize].files.contains_key(to) {
            return Err(Error::new(ErrorKind::AlreadyExists, "something is there"));
        }
        if self.ground.conflicts[machine as usize] != Conflicts::KeepBoth {
            self.wrong.push(format!("{machine:?} renamed '{from}' at {}", site.name()));
        }
        self.take(site, from);
        let content = file.content.clone();
        if self.precious.remove(&(from.to_owned(), content.clone())) {
            self.precious.insert((to.to_owned(), content.clone()));
        }
        self.put(site, to, content, Some(file.mtime_ns)).before = file.before;
        Ok(())
    }

    pub(crate) fn metadata(
        &self,
        ground: &Ground,
        site: Site,
        path: &str,
        twist: Twist,
    ) -> Result<Metadata> {
        Ok(described(ground, site, self.stores[site as usize].find(path)?, twist))
    }

    /// A person does something, past the engine.
    pub(crate) fn does(&mut self, deed: Deed) {
        self.tell(format_args!("-- {deed:?}"));
        match deed {
            Deed::Publish { site, path, bytes } => {
                let content = self.new_content(bytes);
                self.place(site, path, content);
            }
            Deed::PublishTwice { sites, path, bytes } => {
                let content = self.new_content(bytes);
                sites.into_iter().for_each(|site| self.place(site, path, content.clone()));
            }
            Deed::Edit { site, path, same_size } => {
                let Some(old) = self.stores[site as usize].files.get(path) else { return };
                let bytes = old.content.len() + usize::from(!same_size);
                let content = self.new_content(bytes);
                self.place(site, path, content);
            }
            Deed::Delete { site, path } => self.release(site, path),
            Deed::Rename { site, from, to } => {
                if from == to {
                    return;
                }
                let Some(file) = self.stores[site as usize].files.get(from) else { return };
                let content = file.content.clone();
                self.release(site, from);
                self.place(site, to, content);
            }
        }
    }

    fn place(&mut self, site: Site, path: &str, content: Bytes) {
        *self.deeds.entry(path.to_owned()).or_default() += 1;
        self.release(site, path);
        self.precious.insert((path.to_owned(), content.clone()));
        self.put(site, path, content, None);
    }

    /// A person deletes or replaces what is there, which is precious no more.
    fn release(&mut self, site: Site, path: &str) {
        *self.deeds.entry(path.to_owned()).or_default() += 1;
        if let Some(file) = self.take(site, path) {
            self.precious.remove(&(path.to_owned(), file.content));
        }
    }

    /// Whether a content is still at a site, or in a trash to which it was for a host to put it.
    pub(crate) fn is_kept(&self, path: &str, content: &Bytes) -> bool {
        self.stores.iter().any(|store| {
            store.files.get(path).is_some_and(|file| file.content == *content)
                || store.trash.iter().any(|(p, c, allowed)| *allowed && p == path && c == content)
        })
    }

    /// Everything precious of this path is still somewhere.
    fn look(&mut self, site: Site, path: &str) {
        let lost = self
            .precious
            .iter()
            .filter(|(p, _)| p == path)
            .find(|(path, content)| !self.is_kept(path, content));
        if let Some((path, content)) = lost.cloned() {
            let content = String::from_utf8_lossy(&content).into_owned();
            self.wrong.push(format!("'{path}' lost '{content}', at {}", site.name()));
            self.precious.retain(|(p, _)| *p != path);
        }
    }

    /// The site's machine loses power: what is not durable is as before, or torn. Returns the
    /// versions that are no more.
    pub(crate) fn power_cut(&mut self, site: Site) -> Vec<String> {
        self.misled = true;
        let doubtful: Vec<String> = self.stores[site as usize]
            .files
            .iter()
            .filter(|(_, file)| file.before.is_some())
            .map(|(path, _)| path.clone())
            .collect();
        let mut lost = Vec::new();
        for path in doubtful {
            let Some(file) = self.take(site, &path) else { continue };
            let before = file.before.and_then(|before| before.file);
            if self.made % 2 == 0 {
                let mut torn = file.content.to_vec();
                let half = torn.len() / 2;
                torn[half..].fill(0);
                if self.made % 4 == 0 {
                    torn.truncate(half);
                }
                let torn = Bytes::from(torn);
                // Whoever meets it takes it for a file like any other.
                self.whole.insert(torn.clone());
                self.put(site, &path, torn, Some(file.mtime_ns));
            } else if let Some(before) = before {
                self.stores[site as usize].files.insert(path.clone(), *before);
                self.made += 1;
            } else {
                self.made += 1;
            }
            self.tell(format_args!("-- power cut at {}: '{path}'", site.name()));
            lost.push(file.version);
            self.look(site, &path);
        }
        lost
    }
}

/// What a site says of a file.
pub(crate) fn described(ground: &Ground, site: Site, file: &File, twist: Twist) -> Metadata {
    let mut size = file.content.len() as u64;
    if let Twist::Lie { larger } = twist {
        size = if larger { size + 1 } else { size.saturating_sub(1) };
    }
    let mtime = ground.keeps_mtime[site as usize].then_some(file.mtime_ns);
    let metadata = Metadata::file(size).with_version(&file.version).with_mtime_ns(mtime);
    if ground.md5[site as usize] {
        metadata.with_checksum(Checksum::new("md5", Md5::digest(&file.content).to_vec()))
    } else {
        metadata
    }
}
