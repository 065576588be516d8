//! What a command stands on: settings, state folder, plug-ins, catalog, sites.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::output::say;
use super::{Exit, Failure, Global};
use crate::catalog::Sqlite;
use crate::engine::Engine;
use crate::engine::clock::{Dice, HostTime, SystemClock};
use crate::orders::door;
use crate::plugins::{self, Plugins, Refusal};
use crate::publish::echoed;
use crate::settings::provider::{self, BySite, Declared};
use crate::settings::{
    self, Context, Errors, Files, Found, Level, Loaded, Problem, Project, Settings, Site,
};
use crate::sites::{LOCAL, Sites};
use crate::state_dir::{self, StateDir, StateLock};

/// How long whoever has the state folder and no door is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where settings are looked for, in this order.
pub(super) fn candidates(global: &Global) -> Vec<PathBuf> {
    if let Some(file) = &global.config {
        return vec![file.clone()];
    }
    let mut candidates = vec![PathBuf::from("sitesync.toml")];
    let user = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".config")));
    candidates.extend(user.map(|folder| folder.join("sitesync/sitesync.toml")));
    candidates.push("/etc/sitesync/sitesync.toml".into());
    candidates
}

/// Whether a settings file is found without being named, wherever a command runs.
pub(super) fn is_usual(file: &Path) -> bool {
    let user = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".config")));
    let user = user.map(|folder| folder.join("sitesync/sitesync.toml"));
    user.as_deref() == Some(file) || file == Path::new("/etc/sitesync/sitesync.toml")
}

/// Where this machine's own settings are, whether they are there or not.
pub(super) fn local_file(global: &Global) -> Result<PathBuf, Failure> {
    match &global.local {
        Some(file) => Ok(file.clone()),
        None => Ok(state_path(global)?.join("local.toml")),
    }
}

/// Whether there is anything: also where it may not be looked at, which is told when it is read.
pub(super) fn is_there(path: &Path) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};

    !std::fs::symlink_metadata(path)
        .is_err_and(|error| matches!(error.kind(), NotFound | NotADirectory))
}

/// Where the settings of this command come from.
pub(super) fn files(global: &Global) -> Result<Files, Errors> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    // One that was named must be there. The usual one need not, nor a home folder to hold it.
    let local = match &global.local {
        Some(file) => Some(file.clone()),
        None => local_file(global).ok().filter(|file| is_there(file)),
    };
    Ok(Files {
        system: Settings::find(&candidates(global))?,
        local,
        environment: variable(settings::VARIABLE).unwrap_or_default(),
        site_id: variable(settings::SITE_ID_VARIABLE),
        flags: global.set.clone(),
    })
}

/// The settings of these files, checked, with the projects that are there by their folders.
pub(super) fn load(files: &Files) -> Result<Loaded, settings::Errors> {
    let context = Context::from_process();
    let loaded = Settings::load(files, &context)?;
    if loaded.settings.folders.is_empty() {
        return Ok(loaded);
    }
    let mut found = Vec::new();
    let mut notes = Vec::new();
    for place in &loaded.settings.folders {
        // Other projects go on: to them, this is a disk that is not there.
        match folder_names(place) {
            Ok(names) => found.push(Found { place: place.clone(), names }),
            Err(error) => notes.push(
                Problem::new(
                    Level::Note,
                    place.display().to_string(),
                    format!("this folder cannot be read, so no project is found in it: {error}"),
                )
                .help("mount it, or write `projects = \"listed\"` in [sync]"),
            ),
        }
    }
    let mut loaded = loaded.with_folders(&found, &context)?;
    loaded.notes.extend(notes);
    Ok(loaded)
}

/// The names of the folders right in a folder.
fn folder_names(place: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(place)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

/// The settings, checked. Notes are told.
pub(super) fn load_settings(global: &Global) -> Result<(Files, Loaded), Failure> {
    let files = files(global)?;
    let loaded = load(&files)?;
    for note in &loaded.notes {
        tracing::info!("{note}");
    }
    Ok((files, loaded))
}

/// What tells one state of the settings' files from another.
pub(super) type Stamp = Vec<(PathBuf, Option<(u64, u64, i64, i64)>)>;

/// The files from which settings are read, as they are now, and the folders of which projects are
/// made.
pub(super) fn stamp(global: &Global, settings: &Settings) -> Stamp {
    let look = |path: PathBuf| {
        let found = std::fs::metadata(&path).ok();
        let found = found.map(|m| (m.ino(), m.size(), m.mtime(), m.mtime_nsec()));
        (path, found)
    };
    let files = candidates(global).into_iter().chain(local_file(global));
    files.chain(settings.folders.iter().cloned()).map(look).collect()
}

/// The state folder's path, whether it is there or not.
pub(super) fn state_path(global: &Global) -> Result<PathBuf, Failure> {
    if let Some(folder) = &global.state_dir {
        return std::path::absolute(folder).map_err(|error| Failure::new(Exit::Usage, error));
    }
    if rustix::process::geteuid().is_root() {
        return Ok("/var/lib/sitesync".into());
    }
    std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".local/state")))
        .map(|folder| folder.join("sitesync"))
        .ok_or_else(|| {
            Failure::new(Exit::Usage, "there is no home folder to keep the state in")
                .hint("name a folder with --state-dir")
        })
}

/// What the settings say, for commands that work without any as well: nothing if there is no file
/// and none was named. One that is wrong is still an error: it may forbid what would be loaded.
pub(super) fn settings_if_any(global: &Global) -> Result<Option<Settings>, Failure> {
    if global.config.is_none() && Settings::find(&candidates(global)).is_err() {
        return Ok(None);
    }
    load_settings(global).map(|(_, loaded)| Some(loaded.settings))
}

/// The plug-in folders, in the order of their precedence.
pub(super) fn plugin_folders(
    global: &Global,
    settings: &settings::Plugins,
    state: &Path,
) -> Vec<PathBuf> {
    if !global.plugins.is_empty() {
        return global.plugins.clone();
    }
    if !settings.folders.is_empty() {
        return settings.folders.clone();
    }
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join("providers")));
    beside.into_iter().chain([state.join("providers")]).collect()
}

/// The plug-ins of these folders, found and inspected; loaded when they are asked for.
pub(super) fn plugins(global: &Global, settings: &settings::Plugins, state: &StateDir) -> Plugins {
    plugins_kept_in(global, settings, state.path(), &state.path().join("plugins"))
}

/// Likewise, with the copies that are loaded in a folder that need not be the state folder's.
pub(super) fn plugins_kept_in(
    global: &Global,
    settings: &settings::Plugins,
    state: &Path,
    copies: &Path,
) -> Plugins {
    let folders = plugin_folders(global, settings, state);
    let trust = match settings.trust {
        settings::Trust::Owner => plugins::Trust::Owner,
        settings::Trust::Pinned => plugins::Trust::Pinned,
    };
    Plugins::open(plugins::Options::new(folders, copies.to_owned()).trust(trust))
}

/// The projects that are named, or all: those that are enabled, and that this host works on.
pub(super) fn chosen(settings: &Settings, names: &[String]) -> Result<Vec<Project>, Failure> {
    for name in names {
        if !settings.projects.contains_key(name) {
            return Err(unknown_project(settings, name));
        }
    }
    if !settings.enabled {
        say("sitesync is switched off: `enabled = false` stands at the top of the settings");
        return Ok(Vec::new());
    }
    let chosen = |project: &&Project| names.is_empty() || names.contains(&project.name);
    Ok(settings
        .projects
        .values()
        .filter(chosen)
        .filter(|project| match idle_because(settings, project) {
            Some(why) => {
                if !names.is_empty() {
                    say(format_args!("project '{}': {why}", project.name));
                }
                false
            }
            None => true,
        })
        .cloned()
        .collect())
}

fn unknown_project(settings: &Settings, name: &str) -> Failure {
    let failure = Failure::new(
        Exit::Usage,
        format_args!("there is no project '{}' in the settings", echoed(name)),
    );
    let known: Vec<&str> = settings.projects.keys().map(String::as_str).collect();
    if known.is_empty() {
        return failure.hint("there are none yet: add a [projects.NAME]");
    }
    failure.hint(format_args!("projects are: {}", known.join(", ")))
}

/// That there is a site of this name.
pub(super) fn known_site(settings: &Settings, site: &str) -> Result<(), Failure> {
    if settings.sites.contains_key(site) {
        return Ok(());
    }
    let known: Vec<&str> = settings.sites.keys().map(String::as_str).collect();
    Err(Failure::new(Exit::Usage, format_args!("there is no site '{}'", echoed(site)))
        .hint(format_args!("sites are: {}", known.join(", "))))
}

/// Why this host has nothing to do for a project, if so.
pub(super) fn idle_because(settings: &Settings, project: &Project) -> Option<String> {
    let (active, remote) = (&project.active_site, &project.remote_site);
    if !project.enabled {
        return Some("switched off (`enabled = false`)".into());
    }
    if !project.pairs.is_empty() {
        return None;
    }
    if active == remote {
        return Some(format!("active and remote site are both '{active}': nothing to do"));
    }
    for site in [active, remote] {
        let off = settings.sites.get(site).is_some_and(|site| !site.enabled);
        if off || !project.site_enabled(site) {
            return Some(format!("site '{site}' is switched off"));
        }
    }
    if project.alternatives(active).contains(remote) {
        return Some(format!(
            "'{active}' and '{remote}' are the same storage (`alternative_sites`): nothing to do"
        ));
    }
    Some(format!("this host acts for neither '{active}' nor '{remote}' (see `serves` in [host])"))
}

/// The sites between which an enabled project's files travel.
pub(super) fn in_use(settings: &Settings) -> BTreeSet<&str> {
    let busy = |project: &&Project| settings.enabled && idle_because(settings, project).is_none();
    let busy = settings.projects.values().filter(busy);
    busy.flat_map(|project| project.pairs.iter().flatten().map(String::as_str)).collect()
}

/// Checks what is the providers' own in the settings of the sites that are used. Notes are told.
pub(super) fn check_in_use(loaded: &Loaded, plugins: &Plugins) -> Result<(), Errors> {
    let used = in_use(&loaded.settings);
    let sites = loaded.settings.sites.values();
    let sites = sites.filter(|site| used.contains(site.name.as_str()));
    for note in check_providers(loaded, plugins, sites)? {
        tracing::info!("{note}");
    }
    Ok(())
}

/// What the providers of these sites declare, by site; they are loaded for that. With it, why
/// there are sites of which nothing is known.
pub(super) fn declared<'a>(
    plugins: &Plugins,
    sites: impl Iterator<Item = &'a Site>,
) -> (BySite, Vec<(&'a Site, Refusal)>) {
    let mut providers = BTreeMap::new();
    let mut declared = BySite::new();
    let mut unknown = Vec::new();
    for site in sites {
        let found = providers.entry(site.provider.as_str()).or_insert_with(|| {
            let provider = plugins.get(&site.provider)?;
            Ok::<_, Refusal>(Arc::new(Declared::of(&provider.description)))
        });
        match found {
            Ok(known) => {
                declared.insert(site.name.clone(), known.clone());
            }
            Err(refusal) => unknown.push((site, refusal.clone())),
        }
    }
    (declared, unknown)
}

/// Checks what is the provider's own in the settings of these sites. Returns what is worth knowing.
pub(super) fn check_providers<'a>(
    loaded: &Loaded,
    plugins: &Plugins,
    sites: impl Iterator<Item = &'a Site>,
) -> Result<Vec<Problem>, Errors> {
    let (declared, unknown) = declared(plugins, sites);
    // A site that nothing uses, and of which nothing is kept, does not complain.
    let used = in_use(&loaded.settings);
    let told = |site: &Site| !site.settings.is_empty() || used.contains(site.name.as_str());
    let unchecked = unknown
        .into_iter()
        .filter(|(site, _)| told(site))
        .map(|(site, refusal)| provider::unchecked(loaded, site, &refusal.reason, &refusal.remedy));
    let mut notes: Vec<Problem> = unchecked.collect();
    match provider::check(loaded, &declared) {
        Ok(more) => {
            notes.extend(more);
            Ok(notes)
        }
        Err(mut wrong) => {
            wrong.notes.splice(..0, notes);
            Err(wrong)
        }
    }
}

/// Everything that a command which moves files needs. Holds the lock of the state folder.
#[derive(Debug)]
pub(super) struct Ground {
    pub settings: Settings,
    pub engine: Engine,
    /// The state folder.
    pub state: PathBuf,
    _lock: StateLock,
}

impl Ground {
    /// Opens all of it. `stop` turns true when the host goes down.
    pub(super) fn open(
        global: &Global,
        stop: tokio::sync::watch::Receiver<bool>,
    ) -> Result<Self, Failure> {
        Ground::open_for(global, stop, true, lock_soon)
    }

    /// Likewise, with the lock that `lock` gives; without `sites`, no plug-in is loaded.
    pub(super) fn open_for(
        global: &Global,
        stop: tokio::sync::watch::Receiver<bool>,
        sites: bool,
        lock: impl FnOnce(&StateDir) -> state_dir::Result<StateLock>,
    ) -> Result<Self, Failure> {
        let (files, loaded) = load_settings(global)?;
        let state = StateDir::open(&state_path(global)?)?;
        let plugins = Arc::new(plugins(global, &loaded.settings.plugins, &state));
        if sites {
            check_in_use(&loaded, &plugins)?;
        }
        let settings = loaded.settings;
        let lock = lock(&state)?;
        let site_id = state.site_id()?;
        let catalog = Sqlite::open(state.path())?;
        name_own_site(&settings, &state, &site_id, &catalog)?;
        let dice = Arc::new(Dice::from_system());
        let last = catalog.read(|view| view.last_time())?;
        let sites =
            Sites::new(plugins, &settings, site_id, state.path().join("cache"), stop.clone());
        let time = Arc::new(HostTime::new(Box::new(SystemClock::default()), last));
        let ours = ours(global, &settings.plugins, &files, state.path());
        let engine = Engine::new(catalog, Arc::new(sites), time, dice, ours, stop);
        Ok(Ground { settings, engine, state: state.path().to_owned(), _lock: lock })
    }
}

/// Takes the state folder's lock. Whoever has it and no door carries out an order, or begins or ends:
/// that is waited for.
pub(super) fn lock_soon(state: &StateDir) -> state_dir::Result<StateLock> {
    let began = Instant::now();
    loop {
        match state.lock() {
            Err(state_dir::Error::Held { .. })
                if began.elapsed() < PATIENCE && !door::is_open(state.path()) => {}
            done => return done,
        }
    }
}

/// Has the catalog keep this machine's site under the name that it has now: earlier, that was
/// `local`, or another id.
fn name_own_site(
    settings: &Settings,
    state: &StateDir,
    site_id: &str,
    catalog: &Sqlite,
) -> Result<(), Failure> {
    let name = own_name(settings, site_id)?;
    let before = state.name()?;
    if before.as_deref() == Some(name) {
        return Ok(());
    }
    let (to, from) = (name.to_owned(), before.unwrap_or_else(|| LOCAL.to_owned()));
    let renamed = catalog.write_blocking(move |unit| unit.rename_site(&from, &to))?;
    if renamed {
        tracing::info!(name, "the catalog keeps this machine's site under its site id now");
    }
    Ok(state.keep_name(name)?)
}

/// The name under which the catalog is to keep this machine's site: no site of the settings may
/// have it.
pub(super) fn own_name<'a>(settings: &'a Settings, site_id: &'a str) -> Result<&'a str, Failure> {
    let name = settings.host.site_id.as_deref().unwrap_or(site_id);
    if settings.sites.contains_key(name) {
        return Err(Failure::new(
            Exit::Usage,
            format_args!(
                "this machine's site id is '{name}', and the settings have a site '{name}'"
            ),
        )
        .hint(
            "use `local` for this machine's own site, or set `site_id` in [host] to another name",
        ));
    }
    Ok(name)
}

/// How people are told of sites, some of which the catalog knows by another name.
#[derive(Debug)]
pub(super) struct SiteNames {
    /// This machine's site id, or what the settings call it instead; `None` before there is one.
    pub(super) own: Option<String>,
}

impl SiteNames {
    pub(super) fn of(global: &Global, settings: &Settings) -> Self {
        let kept = || state_dir::kept_site_id(&state_path(global).ok()?);
        SiteNames { own: settings.host.site_id.clone().or_else(kept) }
    }

    /// The name in the settings, for programs.
    pub(super) fn configured<'a>(&self, site: &'a str) -> &'a str {
        if self.own.as_deref() == Some(site) { LOCAL } else { site }
    }

    /// For people: `local (amber-heron-4f2c)`.
    pub(super) fn shown(&self, site: &str) -> String {
        match (self.configured(site), &self.own) {
            (LOCAL, Some(own)) => format!("{LOCAL} ({own})"),
            (site, _) => site.to_owned(),
        }
    }
}

/// Folders that no root may hold or lie in.
pub(super) fn ours(
    global: &Global,
    plugins: &settings::Plugins,
    files: &Files,
    state: &Path,
) -> Vec<PathBuf> {
    let mut ours = plugin_folders(global, plugins, state);
    ours.push(state.to_owned());
    ours.push(files.system.clone());
    ours.extend(files.local.clone());
    ours.extend(std::env::current_exe().ok());
    ours.retain(|path| path.exists());
    ours
}

/// The catalog, for reading beside whoever writes it; `None` before the first sync.
pub(super) fn catalog_to_read(global: &Global) -> Result<Option<Sqlite>, Failure> {
    let state = state_path(global)?;
    if !state.join("catalog.db").exists() {
        return Ok(None);
    }
    Ok(Some(Sqlite::open_read_only(&state)?))
}

/// A runtime for commands that talk to sites.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Blocked, format_args!("no threads: {error}")))
}

/// Names of all projects in the settings, or of the one that is asked for.
pub(super) fn names(
    settings: &settings::Settings,
    one: Option<&str>,
) -> Result<Vec<String>, Failure> {
    match one {
        Some(name) => {
            if !settings.projects.contains_key(name) {
                return Err(unknown_project(settings, name));
            }
            Ok(vec![name.to_owned()])
        }
        None => Ok(settings.projects.keys().cloned().collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalog_that_knows_this_machine_as_local_goes_on_working() {
        let temp = tempfile::tempdir().unwrap();
        let state = StateDir::open(&temp.path().join("state")).unwrap();
        let id = state.site_id().unwrap();
        let catalog = Sqlite::open(state.path()).unwrap();
        let (local, nas) = catalog
            .write_blocking(|unit| Ok((unit.put_site(LOCAL)?, unit.put_site("nas")?)))
            .unwrap();
        let known = || catalog.read(|view| view.site_names()).unwrap();
        let named = |settings: &str| {
            let context = Context::from_process();
            let settings = Settings::parse(settings, "sitesync.toml", &context).unwrap().settings;
            name_own_site(&settings, &state, &id, &catalog)
        };
        named("").unwrap();
        named("").unwrap();
        assert_eq!(known(), [(local, id.clone()), (nas, "nas".to_owned())]);
        // It follows the settings, and leaves what others have.
        named("[host]\nsite_id = \"ws-7\"").unwrap();
        assert_eq!(known(), [(local, "ws-7".to_owned()), (nas, "nas".to_owned())]);
        named("").unwrap();
        assert_eq!(known(), [(local, id.clone()), (nas, "nas".to_owned())]);
        let taken = format!("[sites.{id}]\nprovider = \"local_drive\"");
        assert_eq!(named(&taken).unwrap_err().exit, Exit::Usage);
    }
}
