//! `sitesync config check`: whether the settings are right.

mod edit;

use clap::Subcommand;
use serde_json::json;

use super::ground;
use super::output::{counted, print, print_json, say};
use super::{Exit, Failure, Global};
use crate::settings::{Context, Settings};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Says whether the settings are right, and all that is wrong with them
    Check {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Sets a key in the settings file: all else in it stays as it is
    Set(edit::Set),
    /// Takes a key out of the settings file
    Unset(edit::Unset),
}

pub(super) fn run(global: &Global, command: &Command) -> Result<Exit, Failure> {
    let as_json = match command {
        Command::Check { json } => json,
        Command::Set(arguments) => return edit::set(global, arguments),
        Command::Unset(arguments) => return edit::unset(global, arguments),
    };
    let path = Settings::find(&ground::candidates(global))?;
    let (settings, errors, notes) = match Settings::load(&path, &Context::from_process()) {
        Ok(loaded) => (Some(loaded.settings), Vec::new(), loaded.notes),
        Err(wrong) => (None, wrong.errors, wrong.notes),
    };
    if *as_json {
        let shown = |problem: &crate::settings::Problem| {
            json!({
                "file": problem.file, "line": problem.place.as_ref().map(|place| place.line),
                "column": problem.place.as_ref().map(|place| place.column),
                "message": problem.message, "hint": problem.hint,
            })
        };
        print_json(&json!({
            "file": path, "ok": errors.is_empty(),
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
