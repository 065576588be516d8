//! `sitesync ensure`: files are brought to a site, and waited for.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clap::Args;

use super::order::{self, What, number};
use super::output::{counted, print, say, size};
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
    /// Waits until every file is there: ends with 0 then, with 1 when one has failed for good, with 4
    /// when it took too long
    #[arg(long)]
    wait: bool,
    /// How long to wait at most
    #[arg(long, default_value = "1h", requires = "wait", value_parser = parse_duration)]
    timeout: Duration,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let order = Order::Ensure {
        project: arguments.project.clone(),
        what: arguments.what.some()?,
        site: arguments.site.clone(),
        wait: arguments.wait.then_some(arguments.timeout.as_secs()),
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
    order::tell(&answer, arguments.json, |answer| {
        let (files, there) = (number(answer, "files"), number(answer, "there"));
        if there == files {
            print(format_args!("all there: {} at '{}'\n", counted(files, "file"), arguments.site));
        } else {
            print(format_args!(
                "{there} of {files} files there, the others come before all else\n"
            ));
        }
    });
    Ok(Exit::Done)
}

fn line(report: &Report, of: u64) -> String {
    format!(
        "{} of {of} files there, {} of {}",
        report.done,
        size(report.bytes),
        size(report.of_bytes)
    )
}
