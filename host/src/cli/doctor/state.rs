//! The state folder, and the service that works on it.

use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::super::scratch::Scratch;
use super::report::{Area, Check, Level, Report};
use super::room;
use crate::running::Running;
use crate::sites::LOCAL;
use crate::state_dir::{self, StateDir};

const SUBJECT: &str = "state folder";

/// What there is of the state folder.
#[derive(Debug)]
pub(super) struct State {
    pub(super) path: PathBuf,
    /// It can be read, and what is in it believed.
    pub(super) usable: bool,
    /// This machine's site id, if it has one yet.
    pub(super) site_id: Option<String>,
    /// The name under which the catalog keeps this machine's site.
    pub(super) own_name: String,
    kept: Kept,
}

/// Where copies of plug-ins and caches are kept meanwhile.
#[derive(Debug)]
enum Kept {
    /// In the state folder, where they belong.
    There,
    /// In a folder that goes when this does: what this user made there, the service's could not use.
    Apart(Scratch),
    /// Nowhere.
    Not,
}

impl State {
    /// A folder for what may be thrown away; `None` where there is none.
    pub(super) fn scratch(&self) -> Option<&Path> {
        match &self.kept {
            Kept::There => Some(&self.path),
            Kept::Apart(scratch) => Some(scratch.path()),
            Kept::Not => None,
        }
    }

    /// The name under which the catalog keeps a site.
    pub(super) fn catalog_name<'a>(&'a self, site: &'a str) -> &'a str {
        if site == LOCAL { &self.own_name } else { site }
    }
}

pub(super) fn check(path: &Path, report: &mut Report) -> State {
    let owned = look(path, report);
    let usable = owned.is_some();
    let kept = match owned {
        Some(true) => Kept::There,
        _ => apart(path, usable).map_or(Kept::Not, Kept::Apart),
    };
    let opened = usable.then(|| StateDir::open(path).ok()).flatten();
    let own_name = opened.and_then(|state| state.name().ok().flatten());
    State {
        path: path.to_owned(),
        usable,
        site_id: state_dir::kept_site_id(path),
        own_name: own_name.unwrap_or_else(|| LOCAL.to_owned()),
        kept,
    }
}

/// Whether the state folder can be used, and if so, whether it is this user's.
fn look(path: &Path, report: &mut Report) -> Option<bool> {
    let shown = path.display();
    let found = match std::fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let message = format!("{shown} is not there yet: nothing was synced with it");
            report.push(Check::note(Area::State, SUBJECT, message).hint(
                "`sitesync serve` or `sitesync sync` makes it; if there should be one, name it with \
                 --state-dir",
            ));
            return None;
        }
        Err(error) => {
            let message = format!("{shown} cannot be looked at: {error}");
            let check = Check::fail(Area::State, SUBJECT, message);
            report
                .push(check.hint("run it as the service's user, or name another with --state-dir"));
            return None;
        }
    };
    if let Err(error) = StateDir::open(path) {
        report.push(Check::said(Level::Fail, Area::State, SUBJECT, error));
        return None;
    }
    let user = rustix::process::geteuid().as_raw();
    let (owner, mode) = (found.uid(), found.permissions().mode() & 0o7777);
    if let Err(error) = std::fs::read_dir(path) {
        let message = format!("{shown} belongs to user {owner}, and cannot be read: {error}");
        let check = Check::fail(Area::State, SUBJECT, message);
        report.push(check.hint("run it as that user, or name another folder with --state-dir"));
        return None;
    }
    if owner != user {
        let message = format!(
            "{shown} belongs to user {owner}, and this is user {user}: what the service can open may \
             be more or less than what is opened here"
        );
        let check = Check::warn(Area::State, SUBJECT, message);
        report.push(check.hint(format!("run it as user {owner}: `sudo -u '#{owner}' ...`")));
    } else if mode & 0o077 != 0 {
        let message = format!("{shown} can be entered by others (mode {mode:04o})");
        let check = Check::note(Area::State, SUBJECT, message);
        report.push(check.hint(format!("run `chmod 700 '{shown}'`")));
    } else {
        let facts = format!("{shown}, private to user {owner} (mode {mode:04o})");
        report.push(Check::ok(Area::State, SUBJECT, facts));
    }
    if let Ok(disk) = rustix::fs::statvfs(path) {
        let (free, total) = (disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize);
        report.push(room::check(Area::State, "room for the state folder", free, Some(total)));
    }
    Some(owner == user)
}

/// A folder apart, with what was admitted in it.
fn apart(state: &Path, usable: bool) -> Option<Scratch> {
    let scratch = Scratch::new("doctor").ok()?;
    let list = "plugins/trusted.toml";
    if usable && state.join(list).exists() {
        let mut folder = std::fs::DirBuilder::new();
        folder.mode(0o700).create(scratch.path().join("plugins")).ok()?;
        std::fs::copy(state.join(list), scratch.path().join(list)).ok()?;
    }
    Some(scratch)
}

/// The running service, as far as it tells of itself.
pub(super) fn service(state: &State, report: &mut Report) -> Option<Running> {
    const SUBJECT: &str = "service";
    if !state.usable {
        return None;
    }
    let Some((pid, since)) = state_dir::holder(&state.path) else {
        let message = "no sitesync works on the state folder at this moment";
        let check = Check::note(Area::Service, SUBJECT, message);
        report.push(check.hint("start the service (`sitesync serve`), or run `sitesync sync`"));
        return None;
    };
    if is_stopped(pid) {
        let message = format!("process {pid} works on the state folder, and is stopped");
        let check = Check::fail(Area::Service, SUBJECT, message);
        report.push(check.hint(format!("run `kill -CONT {pid}`, or restart it")));
    } else {
        report.push(Check::ok(Area::Service, SUBJECT, format!("process {pid} since {since}")));
    }
    let running = Running::ask(&state.path)?;
    if let Some(refused) = &running.settings_refused {
        let message = format!(
            "it goes on with its former settings, because the changed ones are wrong:\n{}",
            refused.trim_end()
        );
        let hint = "correct the settings: the service takes them up by itself";
        let check = Check::fail(Area::Service, "settings of the service", &message);
        report.push(check.shown(format!("{message}\nhelp: {hint}")).hint(hint));
    }
    for (storage, parked) in
        running.storages.iter().filter_map(|one| Some((one, one.parked.as_ref()?)))
    {
        let subject = format!("service at {}", storage.sites.join(", "));
        let check = Check::warn(Area::Service, subject, parked.to_string());
        report.push(check.hint("it is tried again then by itself, once what is said here is over"));
    }
    Some(running)
}

/// Stopped by a signal or a debugger: its lock is held, and nothing moves.
fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name may hold anything: the state stands after its last parenthesis.
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    matches!(state, Some('T' | 't'))
}
