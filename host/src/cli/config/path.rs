//! `sitesync config path`: where settings are looked for, and what of it counts.

use std::path::PathBuf;

use serde_json::json;

use super::super::ground;
use super::super::output::{Table, print, print_json};
use super::super::{Exit, Failure, Global};
use crate::settings::{Layer, SITE_ID_VARIABLE, VARIABLE};

/// The variables that say where settings are, or what they are.
const VARIABLES: [&str; 5] =
    ["SITESYNC_CONFIG", "SITESYNC_LOCAL", "SITESYNC_STATE_DIR", VARIABLE, SITE_ID_VARIABLE];

/// A file that was looked at.
struct Looked {
    layer: Layer,
    path: PathBuf,
    exists: bool,
    used: bool,
}

pub(super) fn run(global: &Global, as_json: bool) -> Result<Exit, Failure> {
    let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
    let mut files: Vec<Looked> = Vec::new();
    let mut found = false;
    for path in ground::candidates(global) {
        let exists = ground::is_there(&path);
        let used = exists && !found;
        found |= exists;
        files.push(Looked { layer: Layer::System, path: absolute(path), exists, used });
    }
    let local = ground::local_file(global)?;
    let exists = ground::is_there(&local);
    files.push(Looked { layer: Layer::Local, path: absolute(local), exists, used: exists });

    // What they hold may be a secret.
    let variables =
        VARIABLES.map(|name| (name, std::env::var_os(name).is_some_and(|v| !v.is_empty())));
    if as_json {
        let files: Vec<_> = files
            .iter()
            .map(|file| {
                json!({
                    "layer": file.layer.name(), "file": file.path, "exists": file.exists,
                    "used": file.used,
                })
            })
            .collect();
        let variables: serde_json::Map<_, _> =
            variables.into_iter().map(|(name, set)| (name.into(), set.into())).collect();
        print_json(&json!({"files": files, "variables": variables, "flags": global.set.len()}));
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["layer", "where", ""]);
    for file in &files {
        let state = match (file.exists, file.used) {
            (_, true) => "used",
            (true, false) => "not used: one further up is",
            (false, false) => "not there",
        };
        table.row(vec![file.layer.name().into(), file.path.display().to_string(), state.into()]);
    }
    for (name, set) in variables {
        let state = if set { "set" } else { "not set" };
        table.row(vec![Layer::Environment.name().into(), name.into(), state.into()]);
    }
    print(&table);
    Ok(Exit::Done)
}
