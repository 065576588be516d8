//! `sitesync queue`: the Sync Queue.

use clap::{Args, ValueEnum};
use serde_json::json;

use super::ground;
use super::output::{Table, print, print_json, size};
use super::{Exit, Failure, Global};
use crate::catalog::{JobState, QueueFilter, QueueRow};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only this project
    project: Option<String>,
    /// Only files in this state
    #[arg(long, value_enum)]
    state: Option<State>,
    /// At most so many files a project
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// Leaves out so many files at the front
    #[arg(long, default_value_t = 0)]
    offset: usize,
    /// As JSON, a line each
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum State {
    Queued,
    InProgress,
    Failed,
    Conflict,
    Paused,
}

impl State {
    fn jobs(self) -> Vec<JobState> {
        match self {
            State::Queued => vec![JobState::Ready, JobState::Waiting],
            State::InProgress => vec![JobState::InProgress],
            State::Failed => vec![JobState::Failed, JobState::Conflict],
            State::Conflict => vec![JobState::Conflict],
            State::Paused => vec![JobState::Held],
        }
    }
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let (_, loaded) = ground::load_settings(global)?;
    let names = ground::names(&loaded.settings, arguments.project.as_deref())?;
    let Some(catalog) = ground::catalog_to_read(global)? else {
        if !arguments.json {
            print("the queue is empty: nothing was synced yet\n");
        }
        return Ok(Exit::Done);
    };
    let filter = QueueFilter {
        states: arguments.state.map(State::jobs).unwrap_or_default(),
        limit: arguments.limit,
        offset: arguments.offset,
    };
    let mut table = Table::new(&["project", "to", "state", "tries", "size", "file", "reason"]);
    let known = ground::SiteNames::of(global, &loaded.settings);
    let mut full = false;
    for name in &names {
        let rows = catalog.read(|view| {
            let sites: std::collections::HashMap<_, _> = view.site_names()?.into_iter().collect();
            let Some(project) = view.project(name)? else { return Ok(Vec::new()) };
            let rows = view.queue(project, &filter)?;
            let to = |row: &QueueRow| sites.get(&row.job.to).cloned().unwrap_or_default();
            Ok(rows.into_iter().map(|row| (to(&row), row)).collect::<Vec<_>>())
        })?;
        full |= rows.len() == filter.limit;
        for (to, row) in rows {
            let state = state(row.job.state);
            let error = row.job.error.as_ref();
            if arguments.json {
                print_json(&json!({
                    "project": name, "site": known.configured(&to), "state": state.0, "detail": state.1,
                    "path": format!("{{root[{}]}}/{}", row.root, row.path), "size": row.size,
                    "priority": row.job.priority, "tries": row.job.tries,
                    "kind": error.map(|error| &error.kind),
                    "reason": error.map(|error| &error.message),
                }));
                continue;
            }
            table.row(vec![
                name.clone(),
                known.shown(&to),
                state.1.to_owned(),
                row.job.tries.to_string(),
                size(row.size),
                row.path.clone(),
                error.map(|error| error.message.clone()).unwrap_or_default(),
            ]);
        }
    }
    if arguments.json {
        return Ok(Exit::Done);
    }
    if table.is_empty() {
        print("the queue is empty\n");
    } else {
        print(&table);
    }
    if full {
        print(format_args!("the first {}; --limit and --offset show others\n", filter.limit));
    }
    Ok(Exit::Done)
}

/// The public state, and the finer word for people.
fn state(job: JobState) -> (&'static str, &'static str) {
    match job {
        JobState::Ready => ("queued", "queued"),
        JobState::Waiting => ("queued", "waiting"),
        JobState::InProgress => ("in_progress", "in progress"),
        JobState::Failed => ("failed", "failed"),
        JobState::Conflict => ("failed", "conflict"),
        JobState::Held => ("paused", "paused"),
    }
}
