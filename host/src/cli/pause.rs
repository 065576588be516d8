//! `sitesync pause` and `sitesync resume`: holding work back.

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::order::{self, What, number};
use super::output::{counted, plain, print};
use super::{Exit, Failure, Global};
use crate::catalog::HoldKind;
use crate::orders::Order;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only this project [default: all that this host does]
    project: Option<String>,
    #[command(flatten)]
    what: What,
    /// Only what goes to or comes from this site; of representations, what goes to it
    #[arg(long)]
    site: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ResumeArguments {
    #[command(flatten)]
    reach: Arguments,
    /// What guards of the project stopped goes on: so many files are meant to change, or to go. With
    /// `=delete` or `=change` only that; with --site or selectors only there, or these
    #[arg(
        long,
        value_name = "KIND",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "all"
    )]
    held: Option<HeldKind>,
}

/// What guards keep back.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum HeldKind {
    All,
    Delete,
    Change,
}

impl HeldKind {
    fn name(self) -> Option<&'static str> {
        match self {
            HeldKind::All => None,
            HeldKind::Delete => Some(HoldKind::Delete.name()),
            HeldKind::Change => Some(HoldKind::Change.name()),
        }
    }
}

pub(super) fn pause(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let order = Order::Pause {
        project: arguments.project.clone(),
        site: arguments.site.clone(),
        what: arguments.what.read()?,
        by: order::by(),
    };
    let answer = order::give(global, &order)?;
    order::tell(&answer, arguments.json, |_| {
        print("paused; `sitesync resume` with the same words lets it go on\n");
    });
    Ok(Exit::Done)
}

pub(super) fn resume(global: &Global, arguments: &ResumeArguments) -> Result<Exit, Failure> {
    let reach = &arguments.reach;
    let (project, site, what) = (reach.project.clone(), reach.site.clone(), reach.what.read()?);
    if let Some(kind) = arguments.held {
        let kind = kind.name().map(str::to_owned);
        let answer = order::give(global, &Order::ResumeHeld { project, site, what, kind })?;
        order::tell(&answer, reach.json, |answer| {
            let files = counted(number(answer, "files"), "file");
            print(format_args!("{files} that a guard held back: it goes on\n"));
            let left = number(answer, "still_held");
            if left > 0 {
                print(format_args!("{} still held back\n", counted(left, "file")));
            }
        });
        return Ok(Exit::Done);
    }
    let answer = order::give(global, &Order::Resume { project, site, what })?;
    order::tell(&answer, reach.json, |answer| {
        if number(answer, "resumed") == 0 {
            print("nothing was paused by these words\n");
        } else {
            print("it goes on\n");
        }
        for left in answer["still_paused"].as_array().into_iter().flatten() {
            print(format_args!("still paused: {}\n", reach_of(left)));
        }
    });
    Ok(Exit::Done)
}

/// What a pause reaches, in words.
fn reach_of(pause: &Value) -> String {
    let text = |name: &str| pause[name].as_str().map(plain);
    let mut words: Vec<String> = Vec::new();
    words.extend(text("project").map(|project| format!("project '{project}'")));
    words.extend(text("representation"));
    words.extend(text("site").map(|site| format!("at '{site}'")));
    if words.is_empty() {
        words.push("this host".into());
    }
    words.extend(text("by").filter(|by| !by.is_empty()).map(|by| format!("by {by}")));
    words.join(" ")
}
