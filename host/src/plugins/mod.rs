//! A file on disk becomes a loaded provider. The only place that dlopens.
//!
//! ```text
//! find -> trust -> elf, manifest (the gate)         Plugins::open: all files, nothing is executed
//!      -> cache (a verified copy) -> probe -> load   Plugins::get: on demand
//! log: events of plug-ins in the host's log          in_flight: what the host died of
//! admission: contents that somebody admitted
//! ```
//! What fails a step is listed with the reason and the remedy; everything else goes on. Nothing is
//! ever unloaded, and identical content is never loaded twice.
//!
//! Invariants: nothing that others could have written is parsed; nothing is executed that was not
//! inspected, copied and tried out in a child process before; `unsafe` stands in `load` only. This
//! folder knows nothing of sites, settings or the catalog.

mod admission;
mod cache;
mod elf;
mod find;
#[cfg(test)]
mod fuzz;
mod in_flight;
mod load;
mod log;
mod manifest;
mod probe;
mod report;
mod trust;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use sitesync_provider::abi::client::Module;
use sitesync_provider::abi::manifest::{RUSTC, TARGET};
use sitesync_provider::{API_VERSION, Description};

use admission::Admissions;
use cache::{Cache, Held};
use find::Found;
use probe::{Kept, Verdict};
use report::quoted;

use crate::state_dir::rfc3339;

pub use admission::Admission;
pub use manifest::Manifest;
pub use probe::{PROBE_ARGUMENT, probe_main};
pub use report::{FolderReport, Lingers, Refusal, Report, Stage};
pub use trust::Trust;

/// Loaded contents of one name: each costs 1.4 MB and threads, and none is ever unloaded.
const MOST_GENERATIONS: usize = 16;
/// What could not be loaded is tried again after this long: its reason may be gone by then.
const RETRY: Duration = Duration::from_secs(10);

/// Where plug-ins come from, and what loading them needs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// Plug-in folders; of two equal versions, the one in the earlier folder counts.
    pub folders: Vec<PathBuf>,
    /// A folder of the host's own for verified copies and verdicts.
    pub cache: PathBuf,
    /// The program that loads on trial: this very binary.
    pub probe: PathBuf,
    /// How long a trial may take.
    pub probe_timeout: Duration,
    /// Which plug-ins may run.
    pub trust: Trust,
}

impl Options {
    /// Plug-ins of these folders, tried out by this binary within 10 s.
    #[must_use]
    pub fn new(folders: Vec<PathBuf>, cache: PathBuf) -> Self {
        Options {
            folders,
            cache,
            // What runs, even after an update has replaced its file.
            probe: "/proc/self/exe".into(),
            probe_timeout: Duration::from_secs(10),
            trust: Trust::default(),
        }
    }

    /// Which plug-ins may run.
    #[must_use]
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// Another program that calls [`probe_main`].
    #[must_use]
    pub fn probe(mut self, program: PathBuf, timeout: Duration) -> Self {
        self.probe = program;
        self.probe_timeout = timeout;
        self
    }
}

/// A provider that is ready to connect.
#[derive(Clone)]
#[non_exhaustive]
pub struct Provider {
    /// What its file says.
    pub manifest: Manifest,
    /// What it says itself.
    pub description: Description,
    /// Its code.
    pub module: Module,
    /// The digest of its content; `None` for one of this very binary.
    pub sha256: Option<String>,
    /// The file that it was loaded from; what that path leads to by now may be another.
    pub path: Option<PathBuf>,
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider")
            .field("manifest", &self.manifest)
            .field("sha256", &self.sha256)
            .finish_non_exhaustive()
    }
}

/// All providers that there are. To be shared; every method may be called from any thread, and all
/// but `report` and `names` may take as long as a trial: call them where blocking is fine.
#[derive(Debug)]
pub struct Plugins {
    options: Options,
    shelf: RwLock<Shelf>,
    /// Everything that was ever loaded from a file. Of one name, the last one serves.
    loaded: Mutex<Vec<Generation>>,
}

/// A loaded content. Who works through it holds its provider.
#[derive(Debug)]
struct Generation {
    provider: Arc<Provider>,
    /// Superseded and without work: its runtime is shut down.
    asleep: bool,
}

/// What the last look at the folders found.
#[derive(Debug, Default)]
struct Shelf {
    in_process: Vec<Arc<Provider>>,
    folders: Vec<FolderReport>,
    /// In the order of folders, then of names.
    candidates: Vec<Arc<Candidate>>,
}

/// A file of a plug-in folder.
#[derive(Debug)]
struct Candidate {
    found: Found,
    /// The manifest that passed the gate, or how far the file came and why no further.
    inspected: Result<Manifest, (Stage, Refusal)>,
    /// What is known of the name and versions, even of one that was refused.
    manifest: Option<Manifest>,
    /// Set by the first load, and by later ones after a failure.
    attempt: Mutex<Option<Attempt>>,
    /// Held while it is loaded: others wait for the outcome.
    loading: Mutex<()>,
    /// The digest, as soon as it is known.
    sha256: OnceLock<String>,
}

/// What came of loading a file: if it failed, how far it came and why no further.
#[derive(Debug, Clone)]
struct Attempt {
    outcome: Result<Arc<Provider>, (Stage, Refusal)>,
    at: Instant,
}

impl Plugins {
    /// Looks at all files and judges them by what they say of themselves; loads none.
    #[must_use]
    pub fn open(options: Options) -> Self {
        let plugins = Plugins { options, shelf: RwLock::default(), loaded: Mutex::default() };
        plugins.look_again();
        plugins
    }

    /// Looks at the folders once more: new, replaced and vanished files count from now on. Providers
    /// that are in use stay so. True if anything changed.
    pub fn look_again(&self) -> bool {
        let mut folders = Vec::new();
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        for path in &self.options.folders {
            let real = path.canonicalize().unwrap_or_else(|_| path.clone());
            if !seen.insert(real) {
                continue;
            }
            let (exists, refused) = match find::files(path) {
                Ok(None) => (false, None),
                Ok(Some(files)) => {
                    found.extend(files);
                    (true, None)
                }
                Err(refusal) => (true, Some(refusal)),
            };
            folders.push(FolderReport { path: path.clone(), exists, refused });
        }
        find::settle(&mut found);
        let before = self.shelf().candidates.clone();
        let candidates: Vec<_> = found.into_iter().map(|found| reuse(&before, found)).collect();
        let same = |(a, b): (&Arc<Candidate>, &Arc<Candidate>)| Arc::ptr_eq(a, b);
        let changed = candidates.len() != before.len() || !candidates.iter().zip(&before).all(same);
        tracing::debug!(files = candidates.len(), changed, "looked at the plug-in folders");
        if changed {
            tell(&before, &candidates);
        }
        let mut shelf = self.shelf.write().unwrap_or_else(PoisonError::into_inner);
        shelf.folders = folders;
        shelf.candidates = candidates;
        changed
    }

    /// Adds a provider of this very binary; it goes before files of the same name.
    pub fn register_in_process(&self, module: Module) -> Result<(), Refusal> {
        let wrong = |what: &dyn std::fmt::Display| {
            Refusal::new(format!("a built-in provider: {what}"), "repair this build of sitesync")
        };
        let description = module.describe().map_err(|error| wrong(&error))?;
        let version = |text: &str| semver::Version::parse(text).map_err(|error| wrong(&error));
        let manifest = Manifest {
            name: description.id.clone(),
            version: version(env!("CARGO_PKG_VERSION"))?,
            api: version(API_VERSION)?,
            rustc: RUSTC.to_owned(),
            target: TARGET.to_owned(),
            panic: "unwind".to_owned(),
        };
        let provider = Provider { manifest, description, module, sha256: None, path: None };
        let mut shelf = self.shelf.write().unwrap_or_else(PoisonError::into_inner);
        shelf.in_process.push(Arc::new(provider));
        Ok(())
    }

    /// The names of all providers that passed the gate, sorted. Loading may still refuse one.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let shelf = self.shelf();
        let built_in = shelf.in_process.iter().map(|provider| provider.manifest.name.clone());
        let files = shelf.candidates.iter().filter_map(|candidate| candidate.name());
        let names: BTreeSet<String> = built_in.chain(files.map(str::to_owned)).collect();
        names.into_iter().collect()
    }

    /// The provider of this name; the first call loads it. Where the highest version is refused,
    /// the next one serves; where all are, or none is left, what was loaded before.
    pub fn get(&self, name: &str) -> Result<Arc<Provider>, Refusal> {
        let (built_in, candidates) = {
            let shelf = self.shelf();
            let built_in =
                shelf.in_process.iter().find(|provider| provider.manifest.name == name).cloned();
            (built_in, shelf.best_first(name))
        };
        if let Some(provider) = built_in {
            return Ok(provider);
        }
        let mut first = None;
        for candidate in candidates {
            let loaded = self.load(&candidate).map_err(|(_, refusal)| refusal);
            match loaded.and_then(|provider| self.serve(provider)) {
                Ok(provider) => return Ok(provider),
                Err(refusal) => first.get_or_insert(refusal),
            };
        }
        // What works is not given up for what doesn't, or because its file is gone.
        if let Some(generation) = self.loaded().iter().rfind(|g| g.provider.manifest.name == name) {
            return Ok(generation.provider.clone());
        }
        Err(first.unwrap_or_else(|| self.unknown(name)))
    }

    /// Loads everything that is not superseded, so that `report` tells all.
    pub fn load_all(&self) {
        for name in self.names() {
            // The refusal stands in the report.
            let _ = self.get(&name);
        }
    }

    /// Every file and every built-in provider, and what became of it so far.
    #[must_use]
    pub fn report(&self) -> Vec<Report> {
        let shelf = self.shelf();
        let built_in = shelf.in_process.iter().map(|provider| Report {
            path: None,
            name: Some(provider.manifest.name.clone()),
            version: Some(provider.manifest.version.to_string()),
            api: Some(provider.manifest.api.to_string()),
            target: Some(provider.manifest.target.clone()),
            sha256: None,
            trust: None,
            admitted: None,
            stage: Stage::Loaded,
            refused: None,
            superseded_by: None,
            lingers: None,
        });
        let cache = Cache::open(&self.options.cache).ok();
        let admissions = self.admissions().unwrap_or_default();
        let files = shelf.candidates.iter().map(|candidate| {
            let mut report = candidate.report();
            if let (None, Some(cache), Ok(opened)) =
                (&report.sha256, &cache, &candidate.found.opened)
            {
                let held = cache.recall(&candidate.found.path, &opened.stamp);
                report.sha256 = held.map(|held| held.sha256);
            }
            report.admitted = admissions
                .iter()
                .find(|admission| Some(&admission.sha256) == report.sha256.as_ref())
                .map(|admission| admission.admitted.clone());
            report.superseded_by = shelf.superseded_by(candidate);
            report
        });
        let mut reports: Vec<Report> = built_in.chain(files).collect();
        drop(shelf);
        self.report_lingering(&mut reports);
        reports
    }

    /// Adds what was loaded, is at work, and lies in no plug-in folder any more.
    fn report_lingering(&self, reports: &mut Vec<Report>) {
        let loaded = self.loaded();
        for (i, Generation { provider, .. }) in loaded.iter().enumerate() {
            let manifest = &provider.manifest;
            let later = loaded[i + 1..].iter().rfind(|g| g.provider.manifest.name == manifest.name);
            let held =
                |report: &Report| report.sha256 == provider.sha256 && report.stage == Stage::Loaded;
            if reports.iter().any(held) || (later.is_some() && Arc::strong_count(provider) == 1) {
                continue;
            }
            reports.push(Report {
                path: provider.path.clone(),
                name: Some(manifest.name.clone()),
                version: Some(manifest.version.to_string()),
                api: Some(manifest.api.to_string()),
                target: Some(manifest.target.clone()),
                sha256: provider.sha256.clone(),
                trust: None,
                admitted: None,
                stage: Stage::Loaded,
                refused: None,
                superseded_by: later.and_then(|later| later.provider.path.clone()),
                lingers: Some(match later {
                    Some(_) => Lingers::UntilItsWorkEnds,
                    None => Lingers::UntilRestart,
                }),
            });
        }
    }

    /// Shuts down the runtimes of what was superseded and has no work left.
    pub fn retire(&self) {
        let mut loaded = self.loaded();
        for i in 0..loaded.len() {
            let (before, later) = loaded.split_at_mut(i + 1);
            let Some(Generation { provider, asleep }) = before.last_mut() else { continue };
            let name = &provider.manifest.name;
            let superseded = later.iter().any(|later| later.provider.manifest.name == *name);
            if superseded && !*asleep && Arc::strong_count(provider) == 1 {
                provider.module.shut_down();
                *asleep = true;
                tracing::debug!(provider = name, version = %provider.manifest.version, "retired");
            }
        }
    }

    /// The plug-in folders.
    #[must_use]
    pub fn folders(&self) -> Vec<FolderReport> {
        self.shelf().folders.clone()
    }

    /// Tells loaded providers which events the host's log takes by now.
    pub fn update_log_level(&self) {
        for Generation { provider, .. } in self.loaded().iter() {
            provider.module.set_log_level(log::level());
        }
    }

    /// Admits the content of a file, wherever it lies: it may be loaded where only admitted ones
    /// are, and what spoke against it is forgotten (deaths of the host, a failed trial). Whose file
    /// it is still counts.
    pub fn admit(&self, file: &Path) -> Result<Admission, Refusal> {
        let path = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let mut found = [find::file(&path)];
        find::settle(&mut found);
        let [found] = found;
        let candidate = Candidate::new(found);
        let manifest = candidate.inspected.map_err(|(_, refusal)| refusal)?;
        let sha256 = cache::digest(&path, &candidate.found.opened?)?;
        let cache = Cache::open(&self.options.cache)?;
        let admission = Admission {
            sha256,
            name: manifest.name,
            version: manifest.version.to_string(),
            admitted: rfc3339(SystemTime::now()),
            path,
        };
        Admissions::add(cache.path(), admission.clone())?;
        cache.forget_verdict(&admission.sha256);
        in_flight::forgive(&cache.folder(cache::IN_FLIGHT), &admission.sha256);
        for candidate in &self.shelf().candidates {
            candidate.lock_attempt().take_if(|attempt| attempt.outcome.is_err());
        }
        Ok(admission)
    }

    /// The contents that were admitted, oldest first.
    pub fn admissions(&self) -> Result<Vec<Admission>, Refusal> {
        Admissions::read(&self.options.cache).map(Admissions::all)
    }

    /// Takes an admission back. What is loaded stays so until its host ends.
    pub fn revoke(&self, admission: &Admission) -> Result<(), Refusal> {
        let cache = Cache::open(&self.options.cache)?;
        Admissions::remove(cache.path(), &admission.sha256).map(drop)
    }

    fn shelf(&self) -> std::sync::RwLockReadGuard<'_, Shelf> {
        self.shelf.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn loaded(&self) -> MutexGuard<'_, Vec<Generation>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Loads a candidate, once; after a failure again, but not at once.
    fn load(&self, candidate: &Candidate) -> Result<Arc<Provider>, (Stage, Refusal)> {
        let _turn = candidate.loading.lock().unwrap_or_else(PoisonError::into_inner);
        let before = candidate.attempt();
        if let Some(Attempt { outcome, at }) = &before
            && (outcome.is_ok() || at.elapsed() < RETRY)
        {
            return outcome.clone();
        }
        let outcome = self.load_now(candidate);
        if let Err((_, refusal)) = &outcome
            && before.is_none()
        {
            tracing::info!(file = %candidate.found.path.display(), "not used: {refusal}");
        }
        *candidate.lock_attempt() = Some(Attempt { outcome: outcome.clone(), at: Instant::now() });
        outcome
    }

    fn load_now(&self, candidate: &Candidate) -> Result<Arc<Provider>, (Stage, Refusal)> {
        let manifest = candidate.inspected.as_ref().map_err(Clone::clone)?;
        let at = |stage| move |refusal| (stage, refusal);
        let opened =
            candidate.found.opened.as_ref().map_err(|refusal| (Stage::Found, refusal.clone()))?;
        let cache = Cache::open(&self.options.cache).map_err(at(Stage::Gated))?;
        let began = Instant::now();
        let held = cache.hold(&candidate.found.path, opened, manifest).map_err(at(Stage::Gated))?;
        let _ = candidate.sha256.set(held.sha256.clone());
        if self.options.trust == Trust::Pinned {
            Admissions::read(cache.path())
                .and_then(|admitted| admitted.check(&candidate.found.path, &held.sha256))
                .map_err(at(Stage::Found))?;
        }
        let held_after = began.elapsed();
        if let Some(provider) = self.already(&held.sha256, manifest).map_err(at(Stage::Gated))? {
            return Ok(provider);
        }
        self.try_out(&cache, &held, manifest).map_err(at(Stage::Gated))?;
        let tried_after = began.elapsed();
        let path = candidate.found.path.clone();
        let provider = start(&cache, &held, manifest, path).map_err(at(Stage::Probed))?;
        self.loaded().push(Generation { provider: provider.clone(), asleep: false });
        tracing::info!(
            provider = manifest.name,
            version = %manifest.version,
            file = %candidate.found.path.display(),
            held = ?held_after,
            tried = ?(tried_after - held_after),
            started = ?(began.elapsed() - tried_after),
            "loaded"
        );
        Ok(provider)
    }

    /// From now on this one serves under its name; woken, if it was superseded before.
    fn serve(&self, provider: Arc<Provider>) -> Result<Arc<Provider>, Refusal> {
        let mut loaded = self.loaded();
        let this = |other: &Generation| Arc::ptr_eq(&other.provider, &provider);
        if let Some(at) = loaded.iter().position(this) {
            let Generation { asleep, .. } = loaded[at];
            if asleep {
                init(&provider.module, &provider.manifest)?;
            }
            loaded.remove(at);
            loaded.push(Generation { provider: provider.clone(), asleep: false });
        }
        Ok(provider)
    }

    /// The same content, if it was loaded before from elsewhere.
    fn already(&self, sha256: &str, manifest: &Manifest) -> Result<Option<Arc<Provider>>, Refusal> {
        let loaded = self.loaded();
        let same = |other: &&Generation| other.provider.sha256.as_deref() == Some(sha256);
        if let Some(generation) = loaded.iter().find(same) {
            return Ok(Some(generation.provider.clone()));
        }
        let name = &manifest.name;
        let generations = loaded.iter().filter(|other| other.provider.manifest.name == *name);
        if generations.count() >= MOST_GENERATIONS {
            return Err(Refusal::new(
                format!("{name} was replaced {MOST_GENERATIONS} times since the start"),
                "restart sitesync to load the newest",
            ));
        }
        Ok(None)
    }

    /// The trial in a child process, unless the cache knows its outcome.
    fn try_out(&self, cache: &Cache, held: &Held, manifest: &Manifest) -> Result<(), Refusal> {
        let host = probe::host_version();
        let kept: Option<Kept> = cache.verdict(&held.sha256);
        let verdict = match kept.filter(|kept| kept.host == host) {
            Some(kept) => kept.verdict,
            None => {
                let verdict = probe::run(
                    &self.options.probe,
                    &held.path,
                    manifest,
                    cache.scratch()?,
                    self.options.probe_timeout,
                )?;
                cache.set_verdict(&held.sha256, &Kept { host, verdict: verdict.clone() });
                verdict
            }
        };
        match verdict {
            Verdict::Fine => Ok(()),
            Verdict::Crashed(signal) => Err(probe::crashes(manifest, &signal)),
        }
    }

    /// Why there is no such provider.
    fn unknown(&self, name: &str) -> Refusal {
        let names = self.names();
        let shelf = self.shelf();
        // A file that ought to be it, and was refused.
        let refused = shelf.candidates.iter().find_map(|candidate| {
            let stem = candidate.found.path.file_stem()?.to_string_lossy().into_owned();
            let called = candidate.manifest.as_ref().map(|manifest| manifest.name.as_str());
            let meant = called.unwrap_or_else(|| stem.strip_prefix("lib").unwrap_or(&stem));
            let (_, refusal) = candidate.inspected.as_ref().err()?;
            (meant == name).then(|| refusal.clone())
        });
        if let Some(refusal) = refused {
            return refusal;
        }
        let installed = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let near = names
            .iter()
            .map(|known| (strsim::damerau_levenshtein(known, name), known))
            .min()
            .filter(|(distance, _)| *distance <= 2)
            .map(|(_, known)| format!("did you mean {known:?}? Else "))
            .unwrap_or_default();
        drop(shelf);
        Refusal::new(
            format!("there is no provider {name:?} (installed: {installed})"),
            format!("{near}put its file into {}", self.where_to()),
        )
    }

    fn where_to(&self) -> String {
        self.options.folders.first().map_or_else(
            || "a folder, and name that with --plugins".to_owned(),
            |folder| quoted(folder),
        )
    }
}

impl Shelf {
    /// The candidates of a name that passed the gate: highest version first, then by folder.
    fn best_first(&self, name: &str) -> Vec<Arc<Candidate>> {
        let mut best: Vec<_> = self
            .candidates
            .iter()
            .filter(|candidate| candidate.name() == Some(name))
            .cloned()
            .collect();
        // Stable: equal versions stay in the order of folders.
        best.sort_by(|a, b| b.version().cmp(&a.version()));
        best
    }

    /// The file that serves in the place of this one.
    fn superseded_by(&self, candidate: &Arc<Candidate>) -> Option<PathBuf> {
        let name = candidate.name()?;
        let refused = |candidate: &Candidate| candidate.failed().is_some();
        let serving = self.best_first(name).into_iter().find(|candidate| !refused(candidate))?;
        (!Arc::ptr_eq(&serving, candidate) && !refused(candidate))
            .then(|| serving.found.path.clone())
    }
}

impl Candidate {
    fn new(found: Found) -> Self {
        let inspected = match &found.opened {
            Err(refusal) => Err((Stage::Found, refusal.clone())),
            Ok(opened) => elf::inspect(&object::ReadCache::new(&opened.file))
                .map_err(|refusal| (Stage::Trusted, refusal)),
        };
        let manifest = inspected.as_ref().ok().cloned();
        let inspected = inspected.and_then(|manifest| match manifest.gate() {
            Ok(()) => Ok(manifest),
            Err(refusal) => Err((Stage::Inspected, refusal)),
        });
        let (attempt, loading) = (Mutex::default(), Mutex::default());
        Candidate { found, inspected, manifest, attempt, loading, sha256: OnceLock::new() }
    }

    fn attempt(&self) -> Option<Attempt> {
        self.lock_attempt().clone()
    }

    fn lock_attempt(&self) -> MutexGuard<'_, Option<Attempt>> {
        self.attempt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far it came when it was last loaded, and why no further, if that failed.
    fn failed(&self) -> Option<(Stage, Refusal)> {
        self.attempt().and_then(|attempt| attempt.outcome.err())
    }

    /// The name, if it passed the gate.
    fn name(&self) -> Option<&str> {
        self.inspected.as_ref().ok().map(|manifest| manifest.name.as_str())
    }

    fn version(&self) -> Option<&semver::Version> {
        self.manifest.as_ref().map(|manifest| &manifest.version)
    }

    fn report(&self) -> Report {
        let refused = self.inspected.as_ref().err().cloned().or_else(|| self.failed());
        let (stage, refused) = match (refused, self.attempt()) {
            (Some((stage, refusal)), _) => (stage, Some(refusal)),
            (None, None) => (Stage::Gated, None),
            (None, Some(_)) => (Stage::Loaded, None),
        };
        let manifest = self.manifest.as_ref();
        Report {
            path: Some(self.found.path.clone()),
            name: manifest.map(|manifest| manifest.name.clone()),
            version: manifest.map(|manifest| manifest.version.to_string()),
            api: manifest.map(|manifest| manifest.api.to_string()),
            target: manifest.map(|manifest| manifest.target.clone()),
            sha256: self.sha256.get().cloned(),
            trust: self.found.trust.clone(),
            admitted: None,
            stage,
            refused,
            superseded_by: None,
            lingers: None,
        }
    }
}

/// The candidate of an unchanged file.
fn reuse(before: &[Arc<Candidate>], found: Found) -> Arc<Candidate> {
    let is_same = |before: &Found| match (&before.opened, &found.opened) {
        (Ok(before), Ok(now)) => before.stamp == now.stamp,
        (Err(before), Err(now)) => before == now,
        _ => false,
    };
    let same = before
        .iter()
        .find(|candidate| candidate.found.path == found.path && is_same(&candidate.found));
    same.cloned().unwrap_or_else(|| Arc::new(Candidate::new(found)))
}

/// Tells of files that came, changed or went since the last look.
fn tell(before: &[Arc<Candidate>], now: &[Arc<Candidate>]) {
    let at = |candidates: &[Arc<Candidate>], path: &Path| {
        candidates.iter().find(|candidate| candidate.found.path == path).cloned()
    };
    for candidate in now {
        let file = candidate.found.path.display();
        match at(before, &candidate.found.path) {
            Some(same) if Arc::ptr_eq(&same, candidate) => continue,
            Some(_) => tracing::info!(%file, "a plug-in was replaced"),
            None => tracing::debug!(%file, "a plug-in is there"),
        }
        let refused = |candidate: &Candidate| Some(candidate.inspected.as_ref().err()?.1.clone());
        let before = at(before, &candidate.found.path).and_then(|before| refused(&before));
        if let Some(refusal) = refused(candidate).filter(|now| before.as_ref() != Some(now)) {
            tracing::info!("not used: {refusal}");
        }
    }
    for candidate in before.iter().filter(|c| at(now, &c.found.path).is_none()) {
        let file = candidate.found.path.display();
        match candidate.attempt() {
            Some(Attempt { outcome: Ok(_), .. }) => tracing::warn!(
                %file,
                "a plug-in was removed: what it serves goes on until restart, unless another takes \
                 its place"
            ),
            _ => tracing::info!(%file, "a plug-in was removed"),
        }
    }
}

/// Starts the runtime of a module.
fn init(module: &Module, manifest: &Manifest) -> Result<(), Refusal> {
    module.init(log::forward(manifest.name.clone()), log::level()).map_err(|error| {
        Refusal::new(
            format!("{} {} cannot start: {error}", manifest.name, manifest.version),
            "see that the service may start more threads",
        )
    })
}

/// Loads a copy into this process and starts it.
fn start(
    cache: &Cache,
    held: &Held,
    manifest: &Manifest,
    path: PathBuf,
) -> Result<Arc<Provider>, Refusal> {
    let folder = cache.folder(cache::IN_FLIGHT);
    let marker = in_flight::begin(&folder, &manifest.name, &held.sha256)?;
    let (module, description) = load::load(&held.path, manifest)?;
    init(&module, manifest)?;
    drop(marker);
    let (manifest, sha256) = (manifest.clone(), Some(held.sha256.clone()));
    Ok(Arc::new(Provider { manifest, description, module, sha256, path: Some(path) }))
}
