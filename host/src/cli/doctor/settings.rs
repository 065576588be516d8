//! The settings: which files were read, who can write them, and what is wrong in them.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::super::{Global, ground};
use super::report::{Area, Check, Report};
use super::state::State;
use crate::settings::{Errors, Files, Loaded, SITE_ID_VARIABLE, Settings, VARIABLE};

/// The settings as they were found.
pub(super) struct Read {
    pub(super) result: Result<(Files, Loaded), Errors>,
}

impl Read {
    pub(super) fn new(global: &Global) -> Self {
        let result = ground::files(global).and_then(|files| {
            let loaded = ground::load(&files)?;
            Ok((files, loaded))
        });
        Read { result }
    }

    pub(super) fn tell(&self, global: &Global, report: &mut Report) {
        let (errors, notes) = match &self.result {
            Ok((_, loaded)) => (&[][..], &loaded.notes),
            Err(wrong) => (&wrong.errors[..], &wrong.notes),
        };
        let system = ground::candidates(global).into_iter().find(|file| ground::is_there(file));
        let local = ground::local_file(global).ok().filter(|file| ground::is_there(file));
        for (what, file) in [("settings", system), ("this machine's settings", local)] {
            let Some(file) = file else { continue };
            let name = file.display().to_string();
            if errors.iter().all(|error| error.file != name)
                && let Ok(found) = std::fs::metadata(&file)
            {
                let (user, mode) = (found.uid(), found.permissions().mode() & 0o7777);
                let facts = format!("{name}, which user {user} can write (mode {mode:04o})");
                report.push(Check::ok(Area::Settings, what, facts));
            }
            folder_of(&file, report);
        }
        given(global, report);
        for problem in errors.iter().chain(notes) {
            report.push(Check::problem(&problem.file, problem));
        }
        if let Ok((_, loaded)) = &self.result
            && !loaded.settings.enabled
        {
            let message = "everything is switched off: `enabled = false` stands at the top";
            let check = Check::warn(Area::Settings, "settings", message);
            report.push(check.hint("remove that line when sitesync is to work again"));
        }
    }
}

/// Who can rename in a folder can exchange a file in it, whosever that is.
fn folder_of(file: &Path, report: &mut Report) {
    let Ok(file) = file.canonicalize() else { return };
    let Some(folder) = file.parent() else { return };
    let Ok(mode) = std::fs::metadata(folder).map(|found| found.permissions().mode()) else {
        return;
    };
    let sticky = mode & 0o1000 != 0;
    if mode & 0o002 != 0 && !sticky {
        let folder = folder.display();
        let message = format!("anybody can exchange the files in it (mode {:04o})", mode & 0o7777);
        let check = Check::warn(Area::Settings, format!("settings folder {folder}"), message);
        report.push(check.hint(format!("run `chmod o-w '{folder}'`")));
    }
}

/// Settings that stand in no file. What they hold may be a secret.
fn given(global: &Global, report: &mut Report) {
    let set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let mut given: Vec<String> = [VARIABLE, SITE_ID_VARIABLE]
        .iter()
        .filter(|name| set(name))
        .map(|n| n.to_string())
        .collect();
    if !global.set.is_empty() {
        given.push("--set".into());
    }
    if !given.is_empty() {
        let message = format!("{} counts before what stands in the files", given.join(", "));
        let check = Check::note(Area::Settings, "settings of this run", message);
        report.push(check.hint("`sitesync config show --origin` says where each value comes from"));
    }
}

/// Whether this machine's site id is nobody else's name.
pub(super) fn own_name(settings: &Settings, state: &State, report: &mut Report) {
    let kept = state.site_id.as_deref();
    let Some(id) = settings.host.site_id.as_deref().or(kept) else { return };
    if let Err(failure) = ground::own_name(settings, id) {
        report.push(Check::failure(Area::Settings, "this machine's site id", &failure));
    }
}
