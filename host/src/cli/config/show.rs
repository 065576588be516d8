//! `sitesync config show`: the values that hold, and where each comes from.

use std::fmt::Write as _;

use serde_json::json;

use super::super::ground;
use super::super::output::{plain, print, print_json};
use super::super::{Exit, Failure, Global};
use crate::settings::{Effective, Layer, Loaded, Origin, Project};
use crate::state_dir;

pub(super) fn run(
    global: &Global,
    project: Option<&str>,
    with_origin: bool,
    as_json: bool,
) -> Result<Exit, Failure> {
    let (_, loaded) = ground::load_settings(global)?;
    let names = ground::names(&loaded.settings, project)?;
    let mut all = Vec::new();
    if project.is_none() {
        let shared = loaded.origins.shared();
        let at = shared.iter().take_while(|value| value.key[0].as_str() <= "host").count();
        all.extend(shared.into_iter().map(|value| (value, None)));
        if loaded.settings.host.site_id.is_none() {
            all.splice(at..at, kept_site_id(global)?.map(|value| (value, None)));
        }
    }
    for name in &names {
        all.extend(of_project(&loaded, &loaded.settings.projects[name]));
    }
    if as_json {
        for (value, filled) in &all {
            print_json(&as_document(value, filled.as_deref()));
        }
    } else {
        print(as_toml(&all, with_origin));
    }
    Ok(Exit::Done)
}

/// The site id that the state folder keeps, as if it stood in `[host]`.
fn kept_site_id(global: &Global) -> Result<Option<Effective>, Failure> {
    let state = ground::state_path(global)?;
    let Some(id) = state_dir::kept_site_id(&state) else { return Ok(None) };
    let file = state.join(state_dir::SITE_ID).display().to_string();
    let origin = Origin { layer: Layer::BuiltIn, file, line: 1, column: 4 };
    let key = ["host", "site_id"].map(str::to_owned).to_vec();
    Ok(Some(Effective { key, value: toml::Value::String(id), origin }))
}

/// A project's values; roots with what they are filled in to, where that is another text.
fn of_project(loaded: &Loaded, project: &Project) -> Vec<(Effective, Option<String>)> {
    let mut sites = vec![project.active_site.as_str(), &project.remote_site];
    sites.extend(project.always_accessible_on.iter().map(String::as_str));
    let filled = |value: &Effective| match value.key.as_slice() {
        [_, _, _, site, kind, root] if kind == "root" => {
            let path = project.roots(site).get(root)?;
            (value.value.as_str() != Some(path)).then(|| path.clone())
        }
        _ => None,
    };
    let values = loaded.origins.project(&project.name, &sites);
    values
        .into_iter()
        .map(|value| {
            let filled = filled(&value);
            (value, filled)
        })
        .collect()
}

fn as_document(value: &Effective, filled: Option<&str>) -> serde_json::Value {
    let origin = &value.origin;
    let written = !origin.file.is_empty();
    json!({
        "key": dotted(&value.key), "value": value.value, "filled": filled,
        "layer": origin.layer.name(), "file": written.then_some(&origin.file),
        "line": written.then_some(origin.line), "column": written.then_some(origin.column),
    })
}

/// Values as the tables of a settings file, in the order in which they came.
fn as_toml(values: &[(Effective, Option<String>)], with_origin: bool) -> String {
    let mut text = String::new();
    let mut table: &[String] = &[];
    // What stands in no table comes before all tables.
    let (top, rest): (Vec<_>, Vec<_>) = values.iter().partition(|(value, _)| value.key.len() == 1);
    for (value, filled) in top.into_iter().chain(rest) {
        let depth = match value.key[0].as_str() {
            _ if value.key.len() == 1 => 0,
            "sites" | "projects" => 2,
            _ => 1,
        };
        let (head, key) = value.key.split_at(depth);
        if head != table {
            let gap = if text.is_empty() { "" } else { "\n" };
            let _ = writeln!(text, "{gap}[{}]", dotted(head));
            table = head;
        }
        let _ = write!(text, "{} = {}", dotted(key), value.value);
        let mut remarks: Vec<String> = filled.iter().map(|path| plain(path)).collect();
        if with_origin {
            let origin = &value.origin;
            let layer = origin.layer.name();
            remarks.push(match origin.file.as_str() {
                "" => layer.to_owned(),
                file => format!("{}:{} ({layer})", plain(file), origin.line),
            });
        }
        if !remarks.is_empty() {
            let _ = write!(text, "  # {}", remarks.join("; "));
        }
        text.push('\n');
    }
    text
}

/// Keys as TOML has them: with dots between them, and in quotes where they need some.
fn dotted(keys: &[String]) -> String {
    let bare = |key: &String| {
        !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
    };
    let key = |key: &String| match bare(key) {
        true => key.clone(),
        false => toml::Value::String(key.clone()).to_string(),
    };
    keys.iter().map(key).collect::<Vec<_>>().join(".")
}
