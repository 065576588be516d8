//! What `local.toml` may set: what is this machine's own business.
//!
//! A provider's own settings are not looked at here; the provider says which of them it opened.

use super::layers::Document;
use super::nearest::nearest;
use super::read::{Field, Report, fields};
use super::sections::{SITE, SYNC};
use super::tree::{Table, Value};

const TOP: [&str; 4] = ["host", "sync", "sites", "projects"];
const SHARED: [&str; 3] = ["enabled", "active_site", "remote_site"];
const OF_SITE: [&str; 6] = ["root", "enabled", "slots", "bandwidth", "mounted", "timeout"];

/// Reports what a local document sets, and may not; and sites and projects that it alone knows.
pub(super) fn check(local: &Table, others: &[Document], report: &mut Report<'_>) {
    let has = |table: &str, name: &str| {
        let tables = others.iter().filter_map(|document| document.table.table(table));
        tables.into_iter().any(|table| table.nodes.contains_key(name))
    };
    // Which folders there are is not known yet, or one may be gone.
    let by_folder = others.iter().filter_map(|document| document.table.table("sync")).any(|sync| {
        let listing = sync.nodes.get("projects").map(|node| &node.value);
        matches!(listing, Some(Value::String(text)) if text == "folders")
    });
    for field in &fields(local) {
        let inner = || field.value.table().map(fields).unwrap_or_default();
        match field.name {
            "sync" => {
                for field in &inner() {
                    if SYNC.contains(&field.name) || field.name == "projects" {
                        allow(field, &SHARED, "[sync]", report);
                    }
                }
            }
            "sites" => {
                for site in &inner() {
                    if !has("sites", site.name) {
                        unknown("site", "sites", site, others, report);
                    } else if site.name != "local" {
                        let table = site.value.table().map(fields).unwrap_or_default();
                        for field in table.iter().filter(|field| SITE.contains(&field.name)) {
                            allow(field, &OF_SITE, &format!("[sites.{}]", site.name), report);
                        }
                    }
                }
            }
            "projects" => {
                for project in &inner() {
                    if !by_folder && !has("projects", project.name) {
                        unknown("project", "projects", project, others, report);
                    }
                    let table = project.value.table().map(fields).unwrap_or_default();
                    for field in table.iter().filter(|field| SYNC.contains(&field.name)) {
                        allow(field, &SHARED, &format!("[projects.{}]", project.name), report);
                    }
                }
            }
            "enabled" | "plugins" => allow(field, &TOP, "", report),
            _ => {}
        }
    }
}

fn allow(field: &Field<'_>, allowed: &[&str], place: &str, report: &mut Report<'_>) {
    if allowed.contains(&field.name) {
        return;
    }
    let place = match place {
        "" if field.name == "plugins" => String::new(),
        "" => ", at its top".to_owned(),
        place => format!(", in {place}"),
    };
    report.error(
        field.key,
        format!("`{}` cannot be set for one machine alone", field.name),
        format!("it belongs in sitesync.toml{place}"),
    );
}

fn unknown(
    what: &str,
    table: &str,
    field: &Field<'_>,
    others: &[Document],
    report: &mut Report<'_>,
) {
    let tables = others.iter().filter_map(|document| document.table.table(table));
    let known = tables.flat_map(|table| table.nodes.keys()).map(String::as_str);
    let hint = match nearest(field.name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("add [{table}.{}] to sitesync.toml first", field.name.escape_debug()),
    };
    let name = field.name.escape_debug();
    report.error(field.key, format!("sitesync.toml has no {what} `{name}`"), hint);
}
