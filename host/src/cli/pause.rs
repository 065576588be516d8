//! `sitesync pause` and `sitesync resume`: holding work back.

use clap::Args;
use serde_json::Value;

use super::order::{self, What, number};
use super::output::{counted, plain, print};
use super::{Exit, Failure, Global};
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
    /// What a guard of the project stopped goes on: so many files are meant to change, or to go
    #[arg(long, conflicts_with = "site")]
    held: bool,
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
    let order = Order::Resume {
        project: reach.project.clone(),
        site: reach.site.clone(),
        what: reach.what.read()?,
        held: arguments.held,
    };
    let answer = order::give(global, &order)?;
    order::tell(&answer, reach.json, |answer| {
        if arguments.held {
            let files = counted(number(answer, "files"), "file");
            print(format_args!("{files} that a guard held back: it goes on\n"));
            return;
        }
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
