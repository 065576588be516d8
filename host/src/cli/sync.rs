//! `sitesync sync`: one pass now.

use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use serde_json::json;
use tokio::sync::watch;

use super::ground::{self, Ground, SiteNames};
use super::held::Held;
use super::output::{counted, plain, print, print_json, say, size};
use super::progress::Bar;
use super::{Exit, Failure, Global, rehearse};
use crate::catalog::{JobState, QueueFilter, QueueRow};
use crate::engine::Summary;

/// Problems told by name; the queue has the rest.
const TOLD: usize = 20;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only these projects [default: all]
    projects: Vec<String>,
    /// Says what would be done, and changes nothing
    #[arg(long)]
    dry_run: bool,
    /// As JSON: problems a line each, then the sums
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// One pass over all projects.
    pub(super) fn all(json: bool) -> Self {
        Arguments { projects: Vec::new(), dry_run: false, json }
    }
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    if arguments.dry_run {
        return rehearse::run(global, &arguments.projects, arguments.json);
    }
    let started = Instant::now();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let ground = Ground::open(global, stopped)?;
    let projects = ground::chosen(&ground.settings, &arguments.projects)?;
    let names: Vec<String> = projects.iter().map(|project| project.name.clone()).collect();
    let runtime = ground::runtime()?;
    let summary = runtime.block_on(async {
        let bar = if arguments.json { None } else { Bar::follow(ground.engine.progress.clone()) };
        super::serve::stop_on_signals(stop, "what is under way is finished");
        let (_settings, settings) = watch::channel(Arc::new(ground.settings.clone()));
        let attending = super::serve::attend(&ground, settings);
        let summary = ground.engine.sync(projects).await;
        attending.abort();
        // It holds the catalog open.
        let _ = attending.await;
        drop(bar);
        summary
    })?;
    let interrupted = *ground.engine.stop.borrow();
    let problems = problems(&ground, &names)?;
    let held = held(&ground, &SiteNames::of(global, &ground.settings), &names)?;
    // A provider that hangs must not keep the command from ending.
    runtime.shutdown_background();
    let seconds = started.elapsed().as_secs_f64();
    if arguments.json {
        tell_json(&summary, &problems, &held, seconds);
    } else {
        tell(&summary, &problems, &held, seconds);
    }
    if interrupted {
        return Err(Failure::new(Exit::Trouble, "interrupted: what is left goes on next time"));
    }
    // What a guard stopped waits for somebody; what is paused is as somebody wants it.
    let stopped = held.iter().any(|(_, held)| held.guard.is_some());
    let trouble = summary.failed + summary.conflicts > 0 || !summary.offline.is_empty() || stopped;
    Ok(if trouble { Exit::Trouble } else { Exit::Done })
}

/// A file that is not where it belongs, and the site that lacks it.
struct Problem {
    project: String,
    site: String,
    row: QueueRow,
}

impl Problem {
    fn state(&self) -> &'static str {
        if self.row.job.state == JobState::Conflict { "conflict" } else { "failed" }
    }

    fn reason(&self) -> &str {
        self.row.job.error.as_ref().map_or("", |error| error.message.as_str())
    }
}

fn problems(ground: &Ground, projects: &[String]) -> Result<Vec<Problem>, Failure> {
    let filter =
        QueueFilter { states: vec![JobState::Failed, JobState::Conflict], limit: 1000, offset: 0 };
    Ok(ground.engine.catalog.read(|view| {
        let sites: std::collections::HashMap<_, _> = view.site_names()?.into_iter().collect();
        let mut problems = Vec::new();
        for project in projects {
            let Some(id) = view.project(project)? else { continue };
            for row in view.queue(id, &filter)? {
                let site = sites.get(&row.job.to).cloned().unwrap_or_default();
                problems.push(Problem { project: project.clone(), site, row });
            }
        }
        Ok(problems)
    })?)
}

/// What is kept back of these projects, each with the name by which people know its site.
fn held(
    ground: &Ground,
    sites: &SiteNames,
    projects: &[String],
) -> Result<Vec<(String, Held)>, Failure> {
    let mut all = Vec::new();
    for project in projects {
        let held = ground.engine.catalog.read(|view| Held::of(view, project))?;
        all.extend(held.into_iter().map(|held| (sites.configured(&held.site).to_owned(), held)));
    }
    Ok(all)
}

fn tell_json(summary: &Summary, problems: &[Problem], held: &[(String, Held)], seconds: f64) {
    for note in &summary.notes {
        print_json(&json!({
            "state": "noted", "project": note.project, "site": note.site, "path": note.path,
            "reason": note.reason,
        }));
    }
    for problem in problems {
        print_json(&json!({
            "state": problem.state(), "project": problem.project, "site": problem.site,
            "path": problem.row.path, "reason": problem.reason(),
            "kind": problem.row.job.error.as_ref().map(|error| &error.kind),
        }));
    }
    for (site, held) in held {
        print_json(&json!({
            "state": "held", "project": held.project, "site": site, "files": held.files,
            "by": held.by(), "reason": held.sentence(site), "hint": held.hint(),
        }));
    }
    for (project, fault) in &summary.offline {
        print_json(&json!({
            "state": "offline", "project": project, "site": fault.site,
            "reason": fault.message, "hint": fault.hint,
        }));
    }
    print_json(&json!({
        "transferred": summary.transferred,
        "bytes": summary.bytes,
        "adopted": summary.adopted,
        "removed": summary.removed,
        "skipped": summary.skipped,
        "failed": summary.failed,
        "conflicts": summary.conflicts,
        "held": held.iter().map(|(_, held)| held.files).sum::<u64>(),
        "offline": summary.offline.len(),
        "seconds": (seconds * 1000.0).round() / 1000.0,
    }));
}

fn tell(summary: &Summary, problems: &[Problem], held: &[(String, Held)], seconds: f64) {
    for note in summary.notes.iter().take(TOLD) {
        let (project, site, path) = (&note.project, &note.site, plain(&note.path));
        let reason = plain(&note.reason);
        if note.path.is_empty() {
            say(format_args!("note: {project}: {reason}"));
        } else {
            say(format_args!("note: {project}: {path} at '{site}' {reason}"));
        }
    }
    for problem in problems.iter().take(TOLD) {
        let (project, site, path) = (&problem.project, &problem.site, plain(&problem.row.path));
        let reason = plain(problem.reason());
        if problem.row.job.state == JobState::Conflict {
            say(format_args!("conflict: {project}: {path}: {reason}"));
        } else {
            say(format_args!("failed: {project}: {path} to '{site}': {reason}"));
        }
    }
    let left = |all: usize| all.saturating_sub(TOLD);
    if left(problems.len()) > 0 {
        say(format_args!("... and {} more: see `sitesync queue`", left(problems.len())));
    }
    if left(summary.notes.len()) > 0 {
        let left = left(summary.notes.len());
        say(format_args!("... and {left} more notes: see `sitesync sync --json`"));
    }
    if summary.conflicts > 0 {
        say(
            "  help: `sitesync resolve PROJECT FILE --keep SITE` keeps what one site has; the other goes \
             to the trash",
        );
    }
    for (site, held) in held {
        say(format_args!("held: {}: {}", held.project, held.sentence(site)));
        say(format_args!("  help: {}", held.hint()));
    }
    for (project, fault) in &summary.offline {
        say(format_args!("offline: {project}: {}", plain(&fault.to_string())));
        if let Some(hint) = &fault.hint {
            say(format_args!("  help: {}", plain(hint)));
        }
    }
    let mut line = format!(
        "{} transferred ({}) in {seconds:.1} s",
        counted(summary.transferred, "file"),
        size(summary.bytes)
    );
    for (n, what) in [
        (summary.adopted, "already there"),
        (summary.removed, "removed"),
        (summary.skipped, "skipped"),
        (summary.failed, "failed"),
        (summary.conflicts, "in conflict"),
        (held.iter().map(|(_, held)| held.files).sum(), "held back"),
    ] {
        if n > 0 {
            line.push_str(&format!(", {n} {what}"));
        }
    }
    if !summary.offline.is_empty() {
        line.push_str(&format!(
            ", {} not synced",
            counted(summary.offline.chunk_by(|a, b| a.0 == b.0).count() as u64, "project")
        ));
    }
    print(format_args!("{line}\n"));
}
