//! `sitesync projects`: the projects and their sync pairs.

use std::collections::BTreeMap;

use serde_json::json;

use super::ground::{self, SiteNames, idle_because};
use super::output::{Table, print, print_json};
use super::{Exit, Failure, Global};
use crate::settings::Travel;

pub(super) fn run(global: &Global, as_json: bool) -> Result<Exit, Failure> {
    let (_, loaded) = ground::load_settings(global)?;
    let settings = loaded.settings;
    let sites = SiteNames::of(global, &settings);
    let mut table =
        Table::new(&["project", "active site", "remote site", "upload", "download", ""]);
    let word = |travel: Travel| match travel {
        Travel::All => "all",
        Travel::Requested => "requested",
    };
    for project in settings.projects.values() {
        let idle = idle_because(&settings, project);
        if as_json {
            let roots: BTreeMap<_, _> = project
                .sites_in_use()
                .into_iter()
                .map(|site| (site, project.roots(site)))
                .collect();
            print_json(&json!({
                "project": project.name, "enabled": project.enabled,
                "active_site": project.active_site, "remote_site": project.remote_site,
                "always_accessible_on": project.always_accessible_on, "pairs": project.pairs,
                "upload": word(project.upload), "download": word(project.download),
                "idle": idle, "roots": roots,
            }));
            continue;
        }
        let always = project.always_accessible_on.iter().map(|site| sites.shown(site));
        let always = always.collect::<Vec<_>>().join(", ");
        let always = if always.is_empty() { always } else { format!("always on: {always}") };
        table.row(vec![
            project.name.clone(),
            sites.shown(&project.active_site),
            sites.shown(&project.remote_site),
            word(project.upload).into(),
            word(project.download).into(),
            idle.unwrap_or(always),
        ]);
    }
    if !as_json {
        if table.is_empty() {
            print("no projects in the settings: add a [projects.NAME]\n");
        } else {
            print(&table);
        }
    }
    Ok(Exit::Done)
}
