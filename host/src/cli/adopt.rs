//! `sitesync adopt`: records copies that are in a folder already, without copying them.

use clap::Args;
use serde_json::Value;

use super::output::{counted, plain, print, print_json, say, size};
use super::{Exit, Failure, Global, order};
use crate::orders::Order;

/// Files told by name.
const TOLD: usize = 20;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The project
    project: String,
    /// The folder with the copies, laid out as a root of the project
    folder: std::path::PathBuf,
    /// The site whose root the folder is
    #[arg(long)]
    site: String,
    /// The root, where several are this folder
    #[arg(long)]
    root: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let folder = arguments.folder.canonicalize().map_err(|error| {
        let folder = arguments.folder.display();
        Failure::new(Exit::Usage, format_args!("the folder {folder} can't be found: {error}"))
    })?;
    let answer = order::give(
        global,
        &Order::Adopt {
            project: arguments.project.clone(),
            site: arguments.site.clone(),
            root: arguments.root.clone(),
            folder: folder.to_string_lossy().into_owned(),
        },
    )?;
    let number = |name: &str| answer[name].as_u64().unwrap_or_default();
    let trouble = number("differ") + number("uncompared") > 0;
    let exit = if trouble { Exit::Trouble } else { Exit::Done };
    if arguments.json {
        print_json(&answer);
        return Ok(exit);
    }
    let text = |value: &Value| plain(value.as_str().unwrap_or_default());
    let files = answer["files"].as_array().map(Vec::as_slice).unwrap_or_default();
    for file in files.iter().take(TOLD) {
        say(format_args!("not taken: {}: {}", text(&file["path"]), text(&file["reason"])));
    }
    let mut line = format!(
        "{} of '{}' recorded ({}), nothing was copied",
        counted(number("adopted"), "file"),
        text(&answer["site"]),
        size(number("bytes"))
    );
    for (name, what) in [
        ("known", "known before"),
        ("differ", "differ: left to be synced"),
        ("uncompared", "could not be compared"),
        ("unknown", "not known to the project"),
        ("missing", "of the project not there"),
    ] {
        if number(name) > 0 {
            line.push_str(&format!(", {} {what}", number(name)));
        }
    }
    print(format_args!("{line}\n"));
    Ok(exit)
}
