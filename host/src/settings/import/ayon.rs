//! AYON: the settings of its addon `sitesync`, of a studio or of a project.
//!
//! `{ enabled, config: { retry_cnt, loop_delay, active_site, remote_site, always_accessible_on },
//! local_setting: { active_site, remote_site, local_roots: [{ name, path }] }, sites: [{ name,
//! provider, alternative_sites, PROVIDER: { ... } }] }`; a site has a table for every provider, of
//! which one counts.

use serde_json::Value;

use super::draft::{Draft, folder};
use super::json::{Block, paths};
use super::openpype::own;

/// Reads all documents; false if none has anything of Site Sync.
pub(super) fn read(exports: &[Value], project: Option<&str>, draft: &mut Draft) -> bool {
    let found = exports.iter().map(|export| document(export, project, draft, 0));
    found.fold(false, |any, found| any | found)
}

/// Deepest place of the block in a document: `addons.sitesync.1.2.3.settings`.
const DEEPEST: usize = 6;

fn document(value: &Value, project: Option<&str>, draft: &mut Draft, depth: usize) -> bool {
    let Some(block) = Block::of("", value) else { return false };
    let is_sync = block.has("config") || block.has("local_setting") || value["sites"].is_array();
    if is_sync {
        settings(block, project, draft);
        return true;
    }
    let Some(fields) = value.as_object().filter(|_| depth < DEEPEST) else { return false };
    // The addon by its name; else whatever wraps it (a version, `settings`, `addons`).
    let named = ["sitesync", "site_sync", "sync_server"].iter().find_map(|key| fields.get(*key));
    if let Some(inner) = named {
        return document(inner, project, draft, depth + 1);
    }
    fields.iter().fold(false, |found, (key, inner)| {
        let project = if key == "projects" { None } else { project };
        found | document(inner, project, draft, depth + 1)
    })
}

fn settings(mut block: Block<'_>, project: Option<&str>, draft: &mut Draft) {
    let enabled = block.boolean("enabled", draft);
    match project {
        None => draft.enabled = enabled.or(draft.enabled),
        Some(_) => draft.section(project).enabled = enabled,
    }
    if let Some(mut config) = block.block("config") {
        let retry_count = config.number("retry_cnt", 0..=1000, draft);
        let loop_delay = config.number("loop_delay", 1..=86_400, draft);
        ends(&mut config, project, draft);
        let at = config.at("always_accessible_on");
        let always = config.texts("always_accessible_on", draft);
        let always = always.iter().map(|name| draft.mention(name, &at)).collect();
        let section = draft.section(project);
        section.retry_count = retry_count;
        section.loop_delay = loop_delay;
        section.always_accessible_on = always;
        config.rest(draft);
    }
    for key in ["local_setting", "local_settings"] {
        let Some(mut local) = block.block(key) else { continue };
        ends(&mut local, project, draft);
        let at = local.at("local_roots");
        let roots = local.take("local_roots");
        take_roots(&at, roots, project, "local", draft);
        local.rest(draft);
    }
    let at = block.at("sites");
    let sites = block.take("sites").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for (index, value) in sites.iter().enumerate() {
        match Block::of(format!("{at}[{index}]"), value) {
            Some(fields) => site(fields, project, draft),
            None => draft.left(format!("{at}[{index}]"), "it is no table", "add [sites.NAME]"),
        }
    }
    block.rest(draft);
}

fn ends(block: &mut Block<'_>, project: Option<&str>, draft: &mut Draft) {
    if let Some(name) = block.text("active_site", draft) {
        let mention = draft.mention(&name, &block.at("active_site"));
        draft.section(project).active_site = Some(mention);
    }
    if let Some(name) = block.text("remote_site", draft) {
        let mention = draft.mention(&name, &block.at("remote_site"));
        draft.section(project).remote_site = Some(mention);
    }
}

fn site(mut block: Block<'_>, project: Option<&str>, draft: &mut Draft) {
    let Some(raw) = block.text("name", draft) else {
        draft.left(block.at("name"), "the site has no name", "add [sites.NAME] by hand");
        return;
    };
    let name = draft.name(&raw, &block.at("name"));
    let provider = block.text("provider", draft);
    let at = block.at("alternative_sites");
    let alternatives = block.texts("alternative_sites", draft);
    let Some(provider) = provider else {
        draft.left(block.at("provider"), "the site has no provider", "add [sites.NAME] by hand");
        return;
    };
    // A project's list of sites repeats those of the studio.
    draft.sites.entry(name.clone()).or_default().provider = Some(provider.clone());
    for other in alternatives {
        draft.alternative(&name, &other, &at);
    }
    if let Some(mut fields) = block.block(&provider) {
        for key in ["roots", "root"] {
            let at = fields.at(key);
            let roots = fields.take(key);
            take_roots(&at, roots, project, &name, draft);
        }
        for key in fields.keys() {
            let at = fields.at(key);
            let Some(value) = fields.take(key) else { continue };
            if provider == "rclone" && key == "password" {
                draft.left(
                    at,
                    "it is the name of a secret that the server keeps",
                    "`sitesync config set sites.NAME.password -` reads it",
                );
                continue;
            }
            own(&name, key, &at, value, project, draft);
        }
    }
    // The tables of providers that the site does not have say nothing, nor do their defaults.
}

/// A path, or a list of roots: `{ name, path }`, or `{ name, windows, linux, darwin }`.
fn take_roots(
    at: &str,
    value: Option<&Value>,
    project: Option<&str>,
    site: &str,
    draft: &mut Draft,
) {
    match value {
        Some(path @ Value::String(_)) => {
            if let Some(path) = paths(at, path, draft, folder) {
                draft.roots(project, site).insert("work".into(), path);
            }
        }
        Some(Value::Array(roots)) => {
            for (index, root) in roots.iter().enumerate() {
                let at = format!("{at}[{index}]");
                let name = root["name"].as_str().unwrap_or("work");
                let path = root.get("path").unwrap_or(root);
                if let Some(path) = paths(&at, path, draft, folder) {
                    let name = draft.name(name, &at);
                    draft.roots(project, site).insert(name, path);
                }
            }
        }
        _ => {}
    }
}
