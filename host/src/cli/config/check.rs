//! `sitesync config check`: whether the settings are right.

use serde_json::json;

use super::super::ground;
use super::super::output::{counted, print, print_json, say};
use super::super::{Exit, Failure, Global};
use crate::settings::{Errors, Loaded, Problem, Site, provider};
use crate::state_dir::StateDir;

pub(super) fn run(global: &Global, as_json: bool) -> Result<Exit, Failure> {
    let files = ground::files(global)?;
    let path = files.system.clone();
    let checked = ground::load(&files).and_then(|loaded| providers(global, loaded));
    let (settings, errors, notes) = match checked {
        Ok(loaded) => (Some(loaded.settings), Vec::new(), loaded.notes),
        Err(wrong) => (None, wrong.errors, wrong.notes),
    };
    if as_json {
        let shown = |problem: &crate::settings::Problem| {
            json!({
                "file": problem.file, "line": problem.place.as_ref().map(|place| place.line),
                "column": problem.place.as_ref().map(|place| place.column),
                "message": problem.message, "hint": problem.hint,
            })
        };
        print_json(&json!({
            "file": path, "local": files.local, "ok": errors.is_empty(),
            "errors": errors.iter().map(shown).collect::<Vec<_>>(),
            "notes": notes.iter().map(shown).collect::<Vec<_>>(),
        }));
    } else {
        for problem in notes.iter().chain(&errors) {
            say(format_args!("{problem}\n"));
        }
    }
    let Some(settings) = settings else {
        if !as_json {
            say(format_args!("{} has {}", path.display(), counted(errors.len() as u64, "error")));
        }
        return Ok(Exit::Usage);
    };
    if !as_json {
        // Those that are always there were not written by anybody.
        let sites = settings.sites.values().filter(|site| site.span.is_some()).count();
        print(format_args!(
            "{} is right: {}, {}\n",
            path.display(),
            counted(sites as u64, "site"),
            counted(settings.projects.len() as u64, "project"),
        ));
    }
    Ok(Exit::Done)
}

/// Checks what is the provider's own of every site in the file.
fn providers(global: &Global, mut loaded: Loaded) -> Result<Loaded, Errors> {
    let written = |site: &&Site| site.span.is_some();
    let state = ground::state_path(global).and_then(|path| Ok(StateDir::open(&path)?));
    let notes = match state {
        Ok(state) => {
            let plugins = ground::plugins(global, &loaded.settings.plugins, &state);
            ground::check_providers(
                &loaded,
                &plugins,
                loaded.settings.sites.values().filter(written),
            )
        }
        // Plug-ins are not loaded without a folder of the host's own.
        Err(failure) => {
            let (why, remedy) = (failure.message(), "name another with `--state-dir`");
            let note = |site| provider::unchecked(&loaded, site, why, remedy);
            Ok(loaded.settings.sites.values().filter(written).map(note).collect())
        }
    };
    let told = std::mem::take(&mut loaded.notes);
    match notes {
        Ok(notes) => loaded.notes = [told, notes].concat(),
        Err(mut wrong) => {
            // What looked like a slip turned out to be one.
            let same = |a: &Problem, b: &Problem| a.file == b.file && a.place == b.place;
            let known = |note: &Problem| wrong.errors.iter().any(|error| same(error, note));
            let told: Vec<Problem> = told.into_iter().filter(|note| !known(note)).collect();
            wrong.notes.splice(..0, told);
            return Err(wrong);
        }
    }
    Ok(loaded)
}
