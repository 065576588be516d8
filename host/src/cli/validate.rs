//! `sitesync validate`: compares the catalog with what sites have, and puts it right.

use clap::Args;
use serde_json::Value;

use super::order::{self, What};
use super::output::{Table, counted, plain, print, print_json, say, size};
use super::{Exit, Failure, Global};
use crate::orders::Order;

/// Files told by name, of each site.
const TOLD: usize = 20;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The project
    project: String,
    #[command(flatten)]
    what: What,
    /// Only this site [default: all between which this host brings files]
    #[arg(long)]
    site: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let answer = order::give(
        global,
        &Order::Validate {
            project: arguments.project.clone(),
            what: arguments.what.read()?,
            site: arguments.site.clone(),
        },
    )?;
    let sites = answer["sites"].as_array().map(Vec::as_slice).unwrap_or_default();
    let number = |site: &Value, name: &str| site[name].as_u64().unwrap_or_default();
    let wrong = |site: &Value| {
        let differ = ["missing", "changed", "unlisted"].iter().any(|name| number(site, name) > 0);
        differ || !site["offline"].is_null()
    };
    let exit = if sites.iter().any(wrong) { Exit::Trouble } else { Exit::Done };
    if arguments.json {
        print_json(&answer);
        return Ok(exit);
    }
    let text = |value: &Value| plain(value.as_str().unwrap_or_default());
    let mut table = Table::new(&["site", "found", "size", "missing", "changed", "unknown"]);
    for site in sites {
        let name = text(&site["site"]);
        if !site["offline"].is_null() {
            let end = text(&site["offline_site"]);
            let why = text(&site["offline"]);
            let left =
                if end == name { String::new() } else { format!("; '{name}' was not compared") };
            say(format_args!("offline: '{end}': {why}{left}"));
            if let Some(hint) = site["hint"].as_str() {
                say(format_args!("  help: {}", plain(hint)));
            }
            continue;
        }
        let files = site["files"].as_array().map(Vec::as_slice).unwrap_or_default();
        for file in files.iter().take(TOLD) {
            say(format_args!("{} at '{name}': {}", text(&file["state"]), text(&file["path"])));
        }
        let left = (number(site, "missing") + number(site, "changed")).saturating_sub(TOLD as u64);
        if left > 0 {
            say(format_args!("... and {left} more"));
        }
        if number(site, "unlisted") > 0 {
            let folders = counted(number(site, "unlisted"), "folder");
            say(format_args!("'{name}': {folders} could not be listed: nothing is known of these"));
        }
        let mut row = vec![name, number(site, "found").to_string(), size(number(site, "bytes"))];
        row.extend(["missing", "changed", "unknown"].map(|name| number(site, name).to_string()));
        table.row(row);
    }
    if !table.is_empty() {
        print(&table);
    }
    Ok(exit)
}
