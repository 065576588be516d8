//! `sitesync remove`: takes files away from a site.

use clap::Args;
use serde_json::Value;

use super::order::{self, What};
use super::output::{counted, plain, print, print_json, say, size};
use super::{Exit, Failure, Global};
use crate::orders::Order;

/// Kept files told by name.
const TOLD: usize = 20;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The project
    project: String,
    #[command(flatten)]
    what: What,
    /// From which site [default: local, where files of the project come to this machine]
    #[arg(long)]
    site: Option<String>,
    /// Only what is in this state there: `synced`, `queued`, ...; without selectors, all such
    #[arg(long)]
    state: Option<String>,
    /// Also where no other copy can be found: this may be the last one
    #[arg(long)]
    force: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let answer = order::give(
        global,
        &Order::Remove {
            project: arguments.project.clone(),
            what: arguments.what.some_or(arguments.state.as_ref())?,
            site: arguments.site.clone(),
            state: arguments.state.clone(),
            force: arguments.force,
        },
    )?;
    Ok(tell(&answer, arguments.json))
}

/// Tells what was removed, and what was kept and why.
pub(super) fn tell(answer: &Value, json: bool) -> Exit {
    let number = |name: &str| answer[name].as_u64().unwrap_or_default();
    let exit = if number("kept") > 0 { Exit::Trouble } else { Exit::Done };
    if json {
        print_json(answer);
        return exit;
    }
    let text = |value: &Value| plain(value.as_str().unwrap_or_default());
    let kept = answer["files"].as_array().map(Vec::as_slice).unwrap_or_default();
    for file in kept.iter().take(TOLD) {
        say(format_args!("kept: {}: {}", text(&file["path"]), text(&file["reason"])));
    }
    if number("kept") > TOLD as u64 {
        say(format_args!("... and {} more", number("kept") - TOLD as u64));
    }
    let site = text(&answer["site"]);
    let (files, bytes) = (counted(number("removed"), "file"), size(number("bytes")));
    let mut line = format!("{files} removed from '{site}' ({bytes})");
    for (name, what) in
        [("absent", "were not there, and won't come by themselves"), ("kept", "kept")]
    {
        if number(name) > 0 {
            line.push_str(&format!(", {} {what}", number(name)));
        }
    }
    if number("folders") > 0 {
        line.push_str(&format!(", {} removed", counted(number("folders"), "empty folder")));
    }
    print(format_args!("{line}\n"));
    exit
}
