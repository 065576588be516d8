//! `sitesync request`, `reset`, `priority` and `resolve`: what is to be where, and what comes first.

use clap::Args;

use super::order::{self, What, number};
use super::output::{counted, plain, print, say};
use super::{Exit, Failure, Global};
use crate::orders::Order;

/// Files told by name.
const TOLD: usize = 20;

#[derive(Debug, Args)]
pub(super) struct Request {
    project: String,
    #[command(flatten)]
    what: What,
    /// Where they are to be brought
    #[arg(long)]
    site: String,
    /// Only what is in this state there: `not_available`, `failed`, ...; without selectors, all such
    #[arg(long)]
    state: Option<String>,
    /// Before others: 1 to 1000 [default: the project's]
    #[arg(long)]
    priority: Option<i64>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Reset {
    project: String,
    #[command(flatten)]
    what: What,
    /// Only to this site, and also what is there already
    #[arg(long)]
    site: Option<String>,
    /// Only what is in this state at the site, or at any; without selectors, all such
    #[arg(long)]
    state: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Priority {
    project: String,
    #[command(flatten)]
    what: What,
    /// Only what goes to this site and is queued now
    #[arg(long)]
    site: Option<String>,
    /// Only what is in this state at the site, or at any; without selectors, all such
    #[arg(long)]
    state: Option<String>,
    /// 1 to 1000, the higher the sooner; 0 for the project's
    #[arg(long = "to", value_name = "PRIORITY")]
    priority: i64,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Resolve {
    project: String,
    #[command(flatten)]
    what: What,
    /// The site whose content is kept; it replaces the other, which goes to the trash
    #[arg(long, value_name = "SITE")]
    keep: String,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn request(global: &Global, arguments: &Request) -> Result<Exit, Failure> {
    let order = Order::Request {
        project: arguments.project.clone(),
        what: arguments.what.read()?,
        site: arguments.site.clone(),
        state: arguments.state.clone(),
        priority: arguments.priority,
    };
    let answer = order::give(global, &order)?;
    order::tell(&answer, arguments.json, |answer| {
        let mut line = format!("{} asked for", counted(number(answer, "files"), "file"));
        for (name, what) in [
            ("there", "there already"),
            ("queued", "queued"),
            ("under_way", "under way"),
            ("conflicts", "in conflict"),
            ("nowhere", "at no site from which it could be brought"),
        ] {
            let files = number(answer, name);
            if files > 0 {
                line.push_str(&format!(", {files} {what}"));
            }
        }
        print(format_args!("{line}\n"));
    });
    let stuck = number(&answer, "conflicts") + number(&answer, "nowhere");
    Ok(if stuck > 0 { Exit::Trouble } else { Exit::Done })
}

pub(super) fn reset(global: &Global, arguments: &Reset) -> Result<Exit, Failure> {
    let order = Order::Reset {
        project: arguments.project.clone(),
        what: arguments.what.read()?,
        site: arguments.site.clone(),
        state: arguments.state.clone(),
    };
    let answer = order::give(global, &order)?;
    order::tell(&answer, arguments.json, |answer| {
        print(format_args!("{} will be sent again\n", counted(number(answer, "files"), "file")));
    });
    Ok(Exit::Done)
}

pub(super) fn priority(global: &Global, arguments: &Priority) -> Result<Exit, Failure> {
    let order = Order::Priority {
        project: arguments.project.clone(),
        what: arguments.what.some_or(arguments.state.as_ref())?,
        site: arguments.site.clone(),
        state: arguments.state.clone(),
        priority: arguments.priority,
    };
    let answer = order::give(global, &order)?;
    order::tell(&answer, arguments.json, |answer| {
        let queued = counted(number(answer, "queued"), "file");
        let later = number(answer, "representations") > 0;
        let later = if later { " and what comes later" } else { "" };
        print(format_args!("done, for {queued} in the queue{later}\n"));
    });
    Ok(Exit::Done)
}

pub(super) fn resolve(global: &Global, arguments: &Resolve) -> Result<Exit, Failure> {
    let order = Order::Resolve {
        project: arguments.project.clone(),
        what: arguments.what.some()?,
        keep: arguments.keep.clone(),
    };
    let answer = order::give(global, &order)?;
    order::tell(&answer, arguments.json, |answer| {
        let files = counted(number(answer, "resolved"), "file");
        print(format_args!("{files} resolved: what '{}' has is kept\n", plain(&arguments.keep)));
        for path in answer["changed"].as_array().into_iter().flatten().take(TOLD) {
            let path = plain(path.as_str().unwrap_or_default());
            say(format_args!("not resolved: {path}: it has changed there since, or is gone"));
        }
    });
    let changed = answer["changed"].as_array().is_some_and(|all| !all.is_empty());
    Ok(if changed { Exit::Trouble } else { Exit::Done })
}
