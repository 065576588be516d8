//! `sitesync config check`: whether the settings are right.

use serde_json::json;

use super::super::ground;
use super::super::output::{counted, print, print_json, say};
use super::super::{Exit, Failure, Global};

pub(super) fn run(global: &Global, as_json: bool) -> Result<Exit, Failure> {
    let files = ground::files(global)?;
    let path = files.system.clone();
    let (settings, errors, notes) = match ground::load(&files) {
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
