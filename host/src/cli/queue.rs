//! `sitesync queue`: the Sync Queue.

use clap::{Args, ValueEnum};
use serde_json::json;

use super::ground;
use super::output::{Table, print, print_json, size};
use super::{Exit, Failure, Global};
use crate::catalog::{
    FileState, JobState, QueueFilter, QueueRow, RepresentationFilter, RepresentationRow, Sqlite,
};
use crate::settings::Settings;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only this project
    project: Option<String>,
    /// Only what is in this state
    #[arg(long, value_enum)]
    state: Option<State>,
    /// What a line is about
    #[arg(long, value_enum, default_value = "file")]
    by: By,
    /// At most so many lines a project
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// Leaves out so many lines at the front
    #[arg(long, default_value_t = 0)]
    offset: usize,
    /// As JSON, a line each
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    File,
    Representation,
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

    /// Of representations, conflicts are not told from what failed.
    fn files(self) -> FileState {
        match self {
            State::Queued => FileState::Queued,
            State::InProgress => FileState::InProgress,
            State::Failed | State::Conflict => FileState::Failed,
            State::Paused => FileState::Paused,
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
    if arguments.by == By::Representation {
        return by_representation(global, arguments, &loaded.settings, &catalog);
    }
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
            let state = state(row.shown);
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
    end(arguments, &table, full);
    Ok(Exit::Done)
}

fn by_representation(
    global: &Global,
    arguments: &Arguments,
    settings: &Settings,
    catalog: &Sqlite,
) -> Result<Exit, Failure> {
    let known = ground::SiteNames::of(global, settings);
    let head = ["project", "representation", "state", "priority", "done", "files", "size", "at"];
    let mut table = Table::new(&head);
    let mut full = false;
    for name in ground::names(settings, arguments.project.as_deref())? {
        let priority = i64::from(settings.projects[&name].priority);
        let filter = RepresentationFilter {
            states: arguments.state.map(State::files).into_iter().collect(),
            site: None,
            priority,
            limit: arguments.limit,
            offset: arguments.offset,
        };
        let (sites, rows) = catalog.read(|view| {
            let sites: std::collections::HashMap<_, _> = view.site_names()?.into_iter().collect();
            let Some(project) = view.project(&name)? else { return Ok((sites, Vec::new())) };
            Ok((sites, view.representation_queue(project, &filter)?))
        })?;
        full |= rows.len() == filter.limit;
        let site = |row: &RepresentationRow, name: &dyn Fn(&str) -> String| -> Vec<String> {
            row.at.iter().filter_map(|at| sites.get(&at.site)).map(|site| name(site)).collect()
        };
        for row in rows {
            let own = row.representation.priority;
            let own = if own == 0 { priority } else { own };
            let naming = row.representation.naming.to_string();
            if arguments.json {
                print_json(&json!({
                    "project": name, "id": row.representation.id.0, "representation": naming,
                    "state": row.state.name(), "priority": own, "files": row.files,
                    "done": row.done, "bytes": row.bytes,
                    "sites": site(&row, &|site| known.configured(site).to_owned()),
                }));
                continue;
            }
            table.row(vec![
                name.clone(),
                naming,
                row.state.name().replace('_', " "),
                own.to_string(),
                row.done.to_string(),
                row.files.to_string(),
                size(row.bytes),
                site(&row, &|site| known.shown(site)).join(", "),
            ]);
        }
    }
    end(arguments, &table, full);
    Ok(Exit::Done)
}

/// Shows the lines, and that there may be more.
fn end(arguments: &Arguments, table: &Table, full: bool) {
    if arguments.json {
        return;
    }
    if !table.is_empty() {
        print(table);
    } else if arguments.offset > 0 || arguments.limit == 0 {
        print("nothing is shown here; --limit and --offset say what is\n");
    } else if arguments.state.is_some() {
        print("the queue has none in that state\n");
    } else {
        print("the queue is empty\n");
    }
    if full && arguments.limit > 0 {
        let first = if arguments.offset > 0 { "next" } else { "first" };
        let limit = arguments.limit;
        print(format_args!("the {first} {limit}; --limit and --offset show others\n"));
    }
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
