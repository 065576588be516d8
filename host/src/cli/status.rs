//! `sitesync status`: counts and bytes per site and state.

use clap::Args;
use serde_json::json;

use super::ground::{self, SiteNames, idle_because};
use super::output::{Table, plain, print, print_json, size};
use super::{Exit, Failure, Global};
use crate::catalog::Count;
use crate::running::Running;
use crate::state_dir;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only this project
    project: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let (_, loaded) = ground::load_settings(global)?;
    let settings = loaded.settings;
    let names = ground::names(&settings, arguments.project.as_deref())?;
    let catalog = ground::catalog_to_read(global)?;
    let state = ground::state_path(global)?;
    let running = state_dir::holder(&state);
    let storages = Running::ask(&state).map(|service| service.storages).unwrap_or_default();
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
        for (site, count) in &counts {
            let mut state = count.state.to_string();
            if count.conflicts > 0 {
                state.push_str(&format!(" ({} in conflict)", count.conflicts));
            }
            let files = count.files.to_string();
            table.row(vec![name.clone(), sites.shown(site), state, files, size(count.bytes)]);
        }
        let counts: Vec<_> = counts
            .iter()
            .map(|(site, count)| {
                json!({
                    "site": sites.configured(site), "state": count.state.name(), "files": count.files,
                    "bytes": count.bytes, "conflicts": count.conflicts,
                })
            })
            .collect();
        projects.push(json!({"project": name, "idle": idle, "counts": counts}));
    }
    if arguments.json {
        let running = running.map(|(pid, since)| json!({"pid": pid, "since": since}));
        let parked: Vec<_> = storages.iter().filter(|one| one.parked.is_some()).collect();
        print_json(&json!({
            "running": running, "projects": projects, "parked": parked, "site_id": sites.own,
        }));
        return Ok(Exit::Done);
    }
    if names.is_empty() {
        print("no projects in the settings: add a [projects.NAME]\n");
    } else {
        print(&table);
    }
    for (storage, parked) in storages.iter().filter_map(|one| Some((one, one.parked.as_ref()?))) {
        let (sites, why) = (
            storage.sites.iter().map(|site| sites.shown(site)).collect::<Vec<_>>().join(", "),
            plain(&parked.to_string()),
        );
        print(format_args!("\n{sites}: {why}\n"));
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

fn counts(catalog: &crate::catalog::Sqlite, name: &str) -> Result<Vec<(String, Count)>, Failure> {
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
