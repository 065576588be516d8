//! `sitesync sync --dry-run`: what a pass would do. Works beside the service; nothing is changed, but
//! for copies of plug-ins in the state folder.

use std::sync::Arc;

use serde_json::json;

use super::ground::{self, SiteNames};
use super::output::{counted, plain, print, print_json, say, size};
use super::scratch::Scratch;
use super::status::Held;
use super::{Exit, Failure, Global};
use crate::catalog::{self, Sqlite};
use crate::engine::Engine;
use crate::engine::clock::{Dice, HostTime, SystemClock};
use crate::engine::rehearse::{Rehearsal, Way};
use crate::settings::Settings;
use crate::settings::units::format_duration;
use crate::sites::Sites;
use crate::state_dir::StateDir;

/// Files that are told by name.
const NAMED: usize = 20;

pub(super) fn run(global: &Global, projects: &[String], as_json: bool) -> Result<Exit, Failure> {
    let (files, loaded) = ground::load_settings(global)?;
    let state = StateDir::open(&ground::state_path(global)?)?;
    let plugins = Arc::new(ground::plugins(global, &loaded.settings.plugins, &state));
    ground::check_in_use(&loaded, &plugins)?;
    let settings = loaded.settings;
    let projects = ground::chosen(&settings, projects)?;
    let scratch = Scratch::new("dry-run").map_err(|error| {
        Failure::new(Exit::Blocked, format_args!("there is no room for a copy: {error}"))
            .hint("name another folder for temporary files with TMPDIR")
    })?;
    catalog::copy(state.path(), scratch.path())?;
    let catalog = Sqlite::open(scratch.path())?;
    let site_id = state.site_id()?;
    ground::own_name(&settings, &site_id)?;
    let last = catalog.read(|view| view.last_time())?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let cache = state.path().join("cache");
    let sites = Arc::new(Sites::new(plugins, &settings, site_id, cache, stopped.clone()));
    let time = Arc::new(HostTime::new(Box::new(SystemClock::default()), last));
    let ours = ground::ours(global, &settings.plugins, &files, state.path());
    let dice = Arc::new(Dice::from_system());
    let engine = Engine::new(catalog, sites.clone(), time, dice, ours, stopped);
    let runtime = ground::runtime()?;
    let rehearsal = runtime.block_on(engine.rehearse(&projects, NAMED));
    drop(stop);
    runtime.shutdown_background();
    let rehearsal = rehearsal?;
    let skipped = engine.progress.skipped.load(std::sync::atomic::Ordering::Relaxed);
    let names: Vec<String> = projects.iter().map(|project| project.name.clone()).collect();
    let held = Held::of(&engine.catalog, &names, &SiteNames::of(global, &settings))?;
    let limits = Limits { settings: &settings, sites: &sites };
    if as_json {
        tell_json(&rehearsal, &limits, skipped, &held);
    } else {
        tell(&rehearsal, &limits, skipped, &held);
    }
    Ok(if rehearsal.offline.is_empty() { Exit::Done } else { Exit::Trouble })
}

/// What a way takes at least.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Cost {
    /// Requests to services that count them.
    requests: u64,
    /// Seconds; `None` where no end has a limit that counts.
    seconds: Option<f64>,
}

struct Limits<'a> {
    settings: &'a Settings,
    sites: &'a Sites,
}

impl Limits<'_> {
    /// At least one request for a file, at each end that limits them, and no faster than each end
    /// allows.
    fn cost(&self, way: &Way) -> Cost {
        let mut cost = Cost::default();
        let mut ends = vec![&way.from, &way.to];
        ends.dedup();
        for site in ends.into_iter().filter_map(|name| self.settings.sites.get(name)) {
            let mut at_least = |seconds: f64| {
                cost.seconds = Some(cost.seconds.map_or(seconds, |other: f64| other.max(seconds)));
            };
            let hint = self.sites.plugins().get(&site.provider).ok();
            let hint = hint.map(|provider| provider.description.requests_per_second);
            let hint = hint.filter(|hint| *hint > 0).map(f64::from);
            if let Some(rate) = site.requests_per_second.or(hint) {
                let files = way.files + way.compared;
                // What the storage copies itself is asked for at one end, without a limit.
                cost.requests = if way.copied { files } else { cost.requests + files };
                if !way.copied {
                    at_least(files as f64 / rate);
                }
            }
            if let Some(bandwidth) = site.bandwidth.filter(|_| !way.copied) {
                at_least(way.bytes as f64 / bandwidth as f64);
            }
        }
        cost
    }
}

fn tell_json(rehearsal: &Rehearsal, limits: &Limits<'_>, skipped: u64, held: &Held) {
    for file in &rehearsal.first {
        print_json(&json!({
            "project": file.project, "path": format!("{{root[{}]}}/{}", file.root, file.path),
            "size": file.size, "from": file.from, "to": file.to, "rule": file.rule,
        }));
    }
    for (project, fault) in &rehearsal.offline {
        print_json(&json!({
            "state": "offline", "project": project, "site": fault.site, "reason": fault.message,
            "hint": fault.hint,
        }));
    }
    let ways: Vec<_> = rehearsal
        .ways
        .iter()
        .map(|way| {
            let cost = limits.cost(way);
            json!({
                "project": way.project, "from": way.from, "to": way.to, "files": way.files,
                "bytes": way.bytes, "replaced": way.replaced, "compared": way.compared,
                "compared_bytes": way.compared_bytes, "held": way.held,
                "requests": cost.requests, "seconds": cost.seconds,
            })
        })
        .collect();
    let sum = |of: fn(&Way) -> u64| rehearsal.ways.iter().map(of).sum::<u64>();
    print_json(&json!({
        "dry_run": true, "ways": ways, "files": sum(|way| way.files), "bytes": sum(|way| way.bytes),
        "compared": sum(|way| way.compared), "failed": rehearsal.failed, "skipped": skipped,
        "offline": rehearsal.offline.len(), "pauses": held.pauses,
    }));
}

fn tell(rehearsal: &Rehearsal, limits: &Limits<'_>, skipped: u64, held: &Held) {
    let mut text = String::new();
    for way in &rehearsal.ways {
        let (project, from, to) = (&way.project, &way.from, &way.to);
        let mut parts = Vec::new();
        if way.files > 0 || way.compared == 0 {
            let files = format!("{} ({})", counted(way.files, "file"), size(way.bytes));
            parts.push(files);
        }
        for (n, what) in [(way.replaced, "replace others"), (way.held, "held back")] {
            if n > 0 {
                parts.push(format!("{n} of them {what}"));
            }
        }
        if way.compared > 0 {
            let bytes = size(way.compared_bytes);
            parts
                .push(format!("{} at both ends compared ({bytes})", counted(way.compared, "file")));
        }
        let cost = limits.cost(way);
        parts.push(match cost.requests {
            0 => "0 requests".to_owned(),
            some => format!("{} or more", counted(some, "request")),
        });
        parts.extend(cost.seconds.map(|seconds| {
            let whole = std::time::Duration::from_secs(seconds.ceil() as u64);
            format!("about {}", format_duration(whole))
        }));
        let ways =
            if from == to { format!("deleted at '{to}'") } else { format!("'{from}' -> '{to}'") };
        text.push_str(&format!("{project}: {ways}: {}\n", parts.join(", ")));
    }
    for file in &rehearsal.first {
        let (path, bytes) = (plain(&file.path), size(file.size));
        text.push_str(&format!("  {path}  {bytes}  to '{}', by: {}\n", file.to, file.rule));
    }
    let all: u64 = rehearsal.ways.iter().map(|way| way.files + way.compared).sum();
    let left = all.saturating_sub(rehearsal.first.len() as u64);
    if left > 0 {
        text.push_str(&format!("  ... and {left} more\n"));
    }
    if rehearsal.ways.is_empty() && rehearsal.offline.is_empty() {
        text.push_str("nothing to do\n");
    }
    for (n, what) in
        [(rehearsal.failed, "failed or in conflict: see `sitesync queue`"), (skipped, "skipped")]
    {
        if n > 0 {
            text.push_str(&format!("{} {what}\n", counted(n, "file")));
        }
    }
    for (project, fault) in &rehearsal.offline {
        say(format_args!("offline: {project}: {}", plain(&fault.to_string())));
        if let Some(hint) = &fault.hint {
            say(format_args!("  help: {}", plain(hint)));
        }
    }
    print(text);
    if rehearsal.ways.iter().any(|way| way.held > 0) {
        held.tell();
        print("\n");
    }
    print("nothing was changed\n");
}
