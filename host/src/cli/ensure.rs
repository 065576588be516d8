//! `sitesync ensure`: files are brought to a site, and waited for.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::Value;

use super::order::{self, What, number};
use super::output::{counted, plain, print, print_json, say, size};
use super::{Exit, Failure, Global};
use crate::orders::{Order, Report};
use crate::settings::units::parse_duration;

/// Between two lines about how far it is, where there is no terminal to show it on.
const TOLD_EVERY: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(super) struct Arguments {
    project: String,
    #[command(flatten)]
    what: What,
    /// Where they are needed
    #[arg(long)]
    site: String,
    /// Waits until every file is there, at most so long (`90`, in seconds, or `10m`; 1h if not said).
    /// Ends with 0 then, with 1 when one has failed for good, with 4 when it took too long
    #[arg(
        long,
        value_name = "TIME",
        num_args = 0..=1,
        default_missing_value = "1h",
        value_parser = seconds
    )]
    wait: Option<Duration>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let order = Order::Ensure {
        project: arguments.project.clone(),
        what: arguments.what.some()?,
        site: arguments.site.clone(),
        wait: arguments.wait.map(|wait| wait.as_secs()),
    };
    let terminal = std::io::stderr().is_terminal();
    let last: Mutex<Option<Instant>> = Mutex::default();
    let quiet = arguments.json;
    let answer = order::give_and_hear(global, &order, move |report| {
        let Some(of) = report.of.filter(|_| !quiet) else { return };
        let line = line(report, of);
        let mut last = last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if terminal {
            eprint!("\r{line}\x1b[K");
        } else if last.is_none_or(|at| at.elapsed() >= TOLD_EVERY) {
            *last = Some(Instant::now());
            say(line);
        }
    });
    if terminal && !quiet {
        eprint!("\r\x1b[K");
    }
    let answer = answer?;
    if arguments.json {
        print_json(&answer);
    }
    match answer["state"].as_str() {
        Some("failed") => Err(failed(arguments, &answer)),
        Some("late") => Err(late(arguments, &answer)),
        _ => {
            if !arguments.json {
                tell(arguments, &answer);
            }
            Ok(Exit::Done)
        }
    }
}

fn tell(arguments: &Arguments, answer: &Value) {
    let (files, there) = (number(answer, "files"), number(answer, "there"));
    if there == files {
        print(format_args!("all there: {} at '{}'\n", counted(files, "file"), arguments.site));
    } else {
        print(format_args!("{there} of {files} files there, the others come before all else\n"));
    }
}

/// A file does not come.
fn failed(arguments: &Arguments, answer: &Value) -> Failure {
    let failed = answer["failed"].as_array().map_or(&[][..], Vec::as_slice);
    let first = failed.first().unwrap_or(&Value::Null);
    let reason = plain(first["reason"].as_str().unwrap_or_default());
    let path = first["path"].as_str().map(plain);
    let more = failed.len().saturating_sub(1);
    let others = if more > 0 { format!(", and {more} more") } else { String::new() };
    let (project, site) = (&arguments.project, &arguments.site);
    match path {
        Some(path) => Failure::new(
            Exit::Trouble,
            format_args!("'{path}' does not come to '{site}': {reason}{others}"),
        )
        .hint(format_args!("`sitesync why {project} '{path}'` says more")),
        None => Failure::new(Exit::Trouble, reason)
            .hint(format_args!("`sitesync show {project}` lists what is known")),
    }
}

/// It took too long.
fn late(arguments: &Arguments, answer: &Value) -> Failure {
    let (files, there) = (number(answer, "files"), number(answer, "there"));
    let site = &arguments.site;
    let mut text = if there < files {
        format!("{} of {files} files are not at '{site}' yet", files - there)
    } else {
        format!("{} should be at '{site}'", counted(files, "file"))
    };
    let waits = &answer["waits"];
    let path = waits["path"].as_str().map(plain);
    if let Some(reason) = waits["reason"].as_str().map(plain) {
        match &path {
            Some(path) => text.push_str(&format!(": '{path}': {reason}")),
            None => text.push_str(&format!(": {reason}")),
        }
    }
    let project = &arguments.project;
    let late = Failure::new(Exit::Late, text);
    match path {
        Some(path) => late.hint(format_args!(
            "it stays asked for; `sitesync why {project} '{path}'` says what it waits for"
        )),
        None => late.hint("`sitesync sites` shows how the site fares"),
    }
}

fn line(report: &Report, of: u64) -> String {
    let mut line = format!(
        "{} of {of} files there, {} of {}",
        report.done,
        size(report.bytes),
        size(report.of_bytes)
    );
    if let Some(waits) = &report.waits {
        line.push_str(&format!("; {}", plain(waits)));
    }
    line
}

/// A number of seconds, or a duration.
fn seconds(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    parse_duration(text).map_err(|error| error.to_string())
}
