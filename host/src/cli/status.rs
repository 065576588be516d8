//! `sitesync status`: counts and bytes per site and state.

use std::collections::HashMap;
use std::time::{Duration, UNIX_EPOCH};

use clap::Args;
use serde_json::{Value, json};

use super::ground::{self, SiteNames, idle_because};
use super::held::{let_go, resume};
use super::order::number;
use super::output::{Table, counted, plain, print, print_json, size};
use super::{Exit, Failure, Global};
use crate::catalog::{Count, FileState, HoldKind, ProjectId, SiteId, Sqlite};
use crate::engine::offline::OfflinePair;
use crate::running::Running;
use crate::settings::Project;
use crate::state_dir::{self, rfc3339};

/// Pauses that are told one by one.
const TOLD: usize = 20;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only this project
    project: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let state = ground::state_path(global)?;
    let running = state_dir::holder(&state);
    let (_, loaded) = ground::load_settings(global).map_err(|failure| match &running {
        Some((pid, _)) => failure.hint(format_args!(
            "process {pid} is running, and goes on with its former settings until these are right"
        )),
        None => failure,
    })?;
    let settings = loaded.settings;
    let names = ground::names(&settings, arguments.project.as_deref())?;
    let catalog = ground::catalog_to_read(global)?;
    let service = Running::ask(&state);
    let refused = service.as_ref().and_then(|service| service.settings_refused.clone());
    let (storages, offline) =
        service.map(|service| (service.storages, service.offline)).unwrap_or_default();
    let mut offline: Vec<_> =
        offline.into_iter().filter(|one| names.contains(&one.project)).collect();
    let sites = SiteNames::of(global, &settings);
    let mut table = Table::new(&["project", "site", "state", "files", "size"]);
    let mut projects = Vec::new();
    for name in &names {
        let project = &settings.projects[name];
        let counts = match &catalog {
            Some(catalog) => counts(catalog, name)?,
            None => Vec::new(),
        };
        let idle = idle_because(&settings, project);
        if counts.is_empty() {
            let state = idle.clone().unwrap_or_else(|| "nothing known yet".into());
            table.row(vec![name.clone(), String::new(), state]);
        }
        for (site, other, count) in derived(&counts, project, &sites) {
            let state = format!("{} (the same storage as '{other}')", count.state);
            let files = count.files.to_string();
            table.row(vec![name.clone(), site, state, files, size(count.bytes)]);
        }
        for (site, count) in &counts {
            let mut state = count.state.to_string();
            if count.conflicts > 0 {
                state.push_str(&format!(" ({} in conflict)", count.conflicts));
            }
            let files = count.files.to_string();
            table.row(vec![name.clone(), sites.shown(site), state, files, size(count.bytes)]);
        }
        let told = |site: &str, count: &Count| {
            json!({
                "site": sites.configured(site), "state": count.state.name(), "files": count.files,
                "bytes": count.bytes, "conflicts": count.conflicts,
            })
        };
        let same = derived(&counts, project, &sites).into_iter().map(|(site, other, count)| {
            let mut told = told(&site, count);
            told["same_as"] = json!(other);
            told
        });
        let same: Vec<Value> = same.collect();
        let counts = counts.iter().map(|(site, count)| told(site, count));
        let counts: Vec<Value> = counts.chain(same).collect();
        projects.push(json!({"project": name, "idle": idle, "counts": counts}));
    }
    let held = match &catalog {
        Some(catalog) => Held::of(catalog, &names, &sites)?,
        None => Held::default(),
    };
    if arguments.json {
        let running = running.map(|(pid, since)| json!({"pid": pid, "since": since}));
        let parked: Vec<_> = storages.iter().filter(|one| one.parked.is_some()).collect();
        print_json(&json!({
            "running": running, "projects": projects, "parked": parked, "offline": offline,
            "site_id": sites.own,
            "settings_refused": refused, "pauses": held.pauses, "stopped": held.stopped,
        }));
        return Ok(Exit::Done);
    }
    if names.is_empty() {
        print("no projects in the settings: add a [projects.NAME]\n");
    } else {
        print(&table);
    }
    held.tell();
    for (storage, parked) in storages.iter().filter_map(|one| Some((one, one.parked.as_ref()?))) {
        let (sites, why) = (
            storage.sites.iter().map(|site| sites.shown(site)).collect::<Vec<_>>().join(", "),
            plain(&parked.to_string()),
        );
        print(format_args!("\n{sites}: {why}\n"));
    }
    // A site of several pairs is told of once for each reason, with the pair that is tried first.
    let told = |one: &OfflinePair| (one.site.clone(), one.reason.clone());
    offline.sort_by_key(|one| (told(one), one.until.clone()));
    offline.dedup_by_key(|one| told(one));
    for OfflinePair { site, reason, until, .. } in &offline {
        let (site, reason) = (sites.shown(site), plain(reason));
        print(format_args!("\n{site}: offline, tried again at {until}: {reason}\n"));
    }
    if let Some(refused) = refused {
        print(format_args!(
            "\nthe service goes on with its former settings, because the changed ones are wrong:\n\
             {refused}\n"
        ));
    }
    match running {
        Some((pid, since)) => print(format_args!("\nrunning: process {pid}, since {since}\n")),
        None => print("\nnot running\n"),
    }
    if let Some(own) = &sites.own {
        print(format_args!("this machine's site id: {own}\n"));
    }
    Ok(Exit::Done)
}

/// What sites have that are the same storage as others, and have nothing of their own: with the
/// other's name.
fn derived<'a>(
    counts: &'a [(String, Count)],
    project: &Project,
    names: &SiteNames,
) -> Vec<(String, String, &'a Count)> {
    let synced = |site: &str| {
        counts.iter().find_map(|(name, count)| {
            let there = count.state == FileState::Synced && names.configured(name) == site;
            there.then_some(count)
        })
    };
    let mut derived = Vec::new();
    for (name, site) in &project.sites {
        let mut others = site.alternatives.iter();
        let other = others.find_map(|other| Some((other, synced(other)?)));
        if let (None, Some((other, count))) = (synced(name), other) {
            derived.push((name.clone(), other.clone(), count));
        }
    }
    derived
}

/// What somebody, or a guard, keeps back.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) pauses: Vec<Value>,
    stopped: Vec<Value>,
}

impl Held {
    /// Reads it, for these projects.
    pub(super) fn of(
        catalog: &Sqlite,
        projects: &[String],
        names: &SiteNames,
    ) -> Result<Self, Failure> {
        Ok(catalog.read(|view| {
            let sites: HashMap<SiteId, String> = view.site_names()?.into_iter().collect();
            let site =
                |id: SiteId| names.configured(sites.get(&id).map_or("?", |name| name)).to_owned();
            let mut ids: HashMap<ProjectId, &String> = HashMap::new();
            for name in projects {
                ids.extend(view.project(name)?.map(|id| (id, name)));
            }
            let mut held = Held::default();
            for pause in view.pauses()? {
                let scope = pause.scope;
                if scope.project.is_some_and(|project| !ids.contains_key(&project)) {
                    continue;
                }
                let of =
                    scope.representation.map(|id| view.representation(id)).transpose()?.flatten();
                held.pauses.push(json!({
                    "project": scope.project.map(|project| ids[&project]),
                    "site": scope.site.map(site),
                    "representation": of.map(|of| of.naming.to_string()),
                    "since": pause.since, "by": pause.by,
                }));
            }
            for (id, project) in &ids {
                for hold in view.holds(*id)? {
                    held.stopped.push(json!({
                        "project": project, "site": site(hold.site), "kind": hold.kind.name(),
                        "files": hold.files, "bytes": hold.bytes, "since": hold.since,
                    }));
                }
            }
            let key = |one: &Value| (one["project"].to_string(), one["site"].to_string());
            held.stopped.sort_by_key(key);
            Ok(held)
        })?)
    }

    /// Each with the command that lets it go on.
    pub(super) fn tell(&self) {
        let text = |value: &Value| value.as_str().map(plain);
        let since = |one: &Value| rfc3339(UNIX_EPOCH + Duration::from_millis(number(one, "since")));
        for one in self.pauses.iter().take(TOLD) {
            let (project, site) = (text(&one["project"]), text(&one["site"]));
            let representation = text(&one["representation"]);
            let what = match (&representation, &project, &site) {
                (Some(representation), ..) => representation.clone(),
                (None, Some(project), _) => format!("project '{project}'"),
                (None, None, Some(site)) => format!("site '{site}'"),
                (None, None, None) => "this host".to_owned(),
            };
            let at = site.as_ref().filter(|_| project.is_some());
            let at = at.map(|site| format!(" at site '{site}'")).unwrap_or_default();
            let by = text(&one["by"]).filter(|by| !by.is_empty());
            let by = by.map(|by| format!(" by {by}")).unwrap_or_default();
            let resume = resume(project.as_deref(), representation.as_deref(), site.as_deref());
            let since = since(one);
            print(format_args!(
                "\npaused since {since}{by}: {what}{at}\n  `{resume}` lets it go on\n"
            ));
        }
        if self.pauses.len() > TOLD {
            print(format_args!("\n... and {} more pauses: see --json\n", self.pauses.len() - TOLD));
        }
        for one in &self.stopped {
            let delete = one["kind"] == HoldKind::Delete.name();
            let kind = if delete { HoldKind::Delete } else { HoldKind::Change };
            let (done, guard) = (kind.done(), kind.guard());
            let files = counted(number(one, "files"), "file");
            let go_on = let_go(one["project"].as_str().unwrap_or_default(), kind);
            let project = text(&one["project"]).unwrap_or_default();
            let site = text(&one["site"]).unwrap_or_default();
            print(format_args!(
                "\nstopped since {}: {files} ({}) of project '{project}' would be {done} at site \
                 '{site}', which is more than `{guard}` allows\n  {go_on}; `sitesync queue {project} --state paused` shows them\n",
                since(one),
                size(number(one, "bytes")),
            ));
        }
    }
}

fn counts(catalog: &Sqlite, name: &str) -> Result<Vec<(String, Count)>, Failure> {
    Ok(catalog.read(|view| {
        let sites: std::collections::HashMap<_, _> = view.site_names()?.into_iter().collect();
        let Some(project) = view.project(name)? else { return Ok(Vec::new()) };
        let mut counts: Vec<_> = view
            .counts(project)?
            .into_iter()
            .filter(|count| count.files > 0)
            .map(|count| (sites.get(&count.site).cloned().unwrap_or_default(), count))
            .collect();
        counts.sort_by(|a, b| (&a.0, a.1.state).cmp(&(&b.0, b.1.state)));
        Ok(counts)
    })?)
}
