//! OpenPype 3: the blocks `sync_server` of its system and project settings, the roots of its
//! anatomy, and its local settings; each by itself, or all in one document.
//!
//! | screen | where | shape |
//! |---|---|---|
//! | System | `modules.sync_server` | `{ enabled, sites: { NAME: { provider, alternative_sites } } }` |
//! | Project | `project_settings.global.sync_server` | `{ enabled, config: { retry_cnt, loop_delay, active_site, remote_site, always_accessible_on }, sites: { NAME: { enabled, root: { NAME: PATH }, ... } } }` |
//! | Anatomy | `project_anatomy.roots` | `{ NAME: { windows, darwin, linux } }` |
//! | Local | `projects` | `{ NAME: { active_site, remote_site, SITE: { ROOT: PATH } } }` |

use serde_json::Value;

use super::draft::{Draft, Site, folder};
use super::json::{Block, is_blank, paths};
use crate::settings::source::is_secret;

/// In local settings: what holds for every project.
const EVERY_PROJECT: &str = "__default_project__";

/// What only wraps what we are looking for.
const WRAPPERS: [&str; 8] = [
    "__value__",
    "system_settings",
    "modules",
    "project_settings",
    "global",
    "local_settings",
    "settings",
    "value",
];

/// Reads all documents; false if none has anything of Site Sync.
pub(super) fn read(exports: &[Value], project: Option<&str>, draft: &mut Draft) -> bool {
    // First, since sites go by it.
    draft.local_id = exports.iter().find_map(local_id);
    let found = exports.iter().map(|export| document(export, project, draft));
    found.fold(false, |any, found| any | found)
}

/// What the machine is called.
fn local_id(value: &Value) -> Option<String> {
    let fields = value.as_object()?;
    let own = ["local_id", "site_id"].iter().find_map(|key| fields.get(*key)?.as_str());
    own.map(str::to_owned)
        .or_else(|| WRAPPERS.iter().find_map(|wrapper| local_id(fields.get(*wrapper)?)))
}

fn document(value: &Value, project: Option<&str>, draft: &mut Draft) -> bool {
    let Some(mut block) = Block::of("", value) else { return false };
    let named = value.get("__project_name__").and_then(Value::as_str);
    let project = named.or(project);
    let is_sync = block.has("config")
        || (block.has("sites") && !WRAPPERS.iter().any(|wrapper| block.has(wrapper)));
    if is_sync {
        sync_server(block, project, draft);
        return true;
    }
    let mut found = false;
    for wrapper in WRAPPERS {
        if let Some(inner) = block.take(wrapper) {
            found |= document(inner, project, draft);
        }
    }
    for anatomy in ["project_anatomy", "anatomy"] {
        if let Some(mut anatomy) = block.block(anatomy) {
            found |= roots_of_studio(&mut anatomy, project, draft);
        }
    }
    found |= roots_of_studio(&mut block, project, draft);
    if let Some(inner) = block.block("sync_server") {
        sync_server(inner, project, draft);
        found = true;
    }
    if let Some(projects) = block.block("projects") {
        for name in projects.keys() {
            found |= one_project(name, &value["projects"][name], draft);
        }
        if let Some(every) = value["projects"].get(EVERY_PROJECT) {
            found |= one_project(EVERY_PROJECT, every, draft);
        }
    }
    found
}

/// An entry of `projects`: project settings, or what local settings have for it.
fn one_project(name: &str, value: &Value, draft: &mut Draft) -> bool {
    let Some(block) = Block::of(format!("projects.{name}"), value) else { return false };
    let every = name == EVERY_PROJECT;
    let project = (!every).then(|| draft.name(name, &block.at("")));
    let project = project.as_deref();
    let wrapped = WRAPPERS.iter().any(|wrapper| block.has(wrapper));
    if wrapped || ["sync_server", "config", "project_anatomy"].iter().any(|key| block.has(key)) {
        return document(value, project, draft);
    }
    local(block, project, draft);
    true
}

/// The roots of the anatomy are those of the studio.
fn roots_of_studio(block: &mut Block<'_>, project: Option<&str>, draft: &mut Draft) -> bool {
    let Some(roots) = block.block("roots") else { return false };
    take_roots(roots, project, "studio", draft);
    true
}

fn take_roots(mut roots: Block<'_>, project: Option<&str>, site: &str, draft: &mut Draft) {
    for name in roots.keys() {
        let at = roots.at(name);
        let Some(value) = roots.take(name) else { continue };
        if let Some(path) = paths(&at, value, draft, folder) {
            let name = draft.name(name, &at);
            draft.roots(project, site).insert(name, path);
        }
    }
}

fn sync_server(mut block: Block<'_>, project: Option<&str>, draft: &mut Draft) {
    let is_project = project.is_some() || block.has("config");
    let enabled = block.boolean("enabled", draft);
    if is_project {
        let section = draft.section(project);
        section.enabled = enabled.or(section.enabled);
    } else {
        draft.enabled = enabled.or(draft.enabled);
    }
    if let Some(mut config) = block.block("config") {
        let retry_count = config.number("retry_cnt", 0..=1000, draft);
        let loop_delay = config.number("loop_delay", 1..=86_400, draft);
        ends(&mut config, project, draft);
        let at = config.at("always_accessible_on");
        let always = config.texts("always_accessible_on", draft);
        let always = always.iter().map(|name| draft.mention(name, &at)).collect();
        let section = draft.section(project);
        section.retry_count = retry_count.or(section.retry_count);
        section.loop_delay = loop_delay.or(section.loop_delay);
        section.always_accessible_on = always;
        config.rest(draft);
    }
    if let Some(mut sites) = block.block("sites") {
        for raw in sites.keys() {
            let name = draft.name(raw, &sites.at(raw));
            match sites.block(raw) {
                Some(fields) => site(&name, fields, project, draft),
                None => draft.left(sites.at(raw), "it is no table", "add [sites.NAME] by hand"),
            }
        }
    }
    block.rest(draft);
}

fn ends(block: &mut Block<'_>, project: Option<&str>, draft: &mut Draft) {
    for key in ["active_site", "remote_site"] {
        let Some(name) = block.text(key, draft) else { continue };
        let mention = draft.mention(&name, &block.at(key));
        let section = draft.section(project);
        let end =
            if key == "active_site" { &mut section.active_site } else { &mut section.remote_site };
        *end = Some(mention);
    }
}

fn site(name: &str, mut block: Block<'_>, project: Option<&str>, draft: &mut Draft) {
    let provider = block.text("provider", draft);
    let known = draft.sites.entry(name.to_owned()).or_default();
    // In old versions, sites are made in a project's settings.
    let project = project.filter(|_| provider.is_none() || known.provider.is_some());
    known.provider = provider.or(known.provider.take());
    let enabled = block.boolean("enabled", draft);
    match project {
        Some(project) if enabled.is_some() => {
            let project = draft.projects.entry(project.to_owned()).or_default();
            project.sites.entry(name.to_owned()).or_default().enabled = enabled;
        }
        _ => {
            let site = draft.sites.entry(name.to_owned()).or_default();
            site.enabled = enabled.or(site.enabled);
        }
    }
    let at = block.at("alternative_sites");
    for other in block.texts("alternative_sites", draft) {
        draft.alternative(name, &other, &at);
    }
    for key in ["root", "roots"] {
        let at = block.at(key);
        match block.take(key) {
            Some(one @ Value::String(_)) => {
                if let Some(path) = paths(&at, one, draft, folder) {
                    draft.roots(project, name).insert("work".into(), path);
                }
            }
            Some(value) => {
                if let Some(roots) = Block::of(at, value) {
                    take_roots(roots, project, name, draft);
                }
            }
            None => {}
        }
    }
    // In some versions, the provider's own stand in a table of its name.
    for key in block.keys() {
        let at = block.at(key);
        match block.take(key) {
            Some(Value::Object(_)) if PROVIDERS.contains(&key) => {
                let Some(inner) = block.block(key) else { continue };
                site(name, inner, project, draft);
            }
            Some(value) => own(name, key, &at, value, project, draft),
            None => {}
        }
    }
}

/// The providers that OpenPype and AYON have.
const PROVIDERS: [&str; 5] = ["gdrive", "dropbox", "sftp", "local_drive", "rclone"];

/// A provider's own setting: by its new name, if it has one.
pub(super) fn own(
    site: &str,
    key: &str,
    at: &str,
    value: &Value,
    project: Option<&str>,
    draft: &mut Draft,
) {
    if is_blank(value) {
        return;
    }
    let name = match key {
        "credentials_url" => "credentials_file",
        "sftp_host" => "host",
        "sftp_port" => "port",
        "sftp_user" => "user",
        "sftp_pass" => "password",
        "sftp_key" => "key_file",
        "sftp_key_pass" => "key_password",
        other => other,
    };
    if let Some(project) = project {
        let why = format!("a project (`{project}`) has no provider settings of its own");
        draft.left(at, why, "make a site of its own for the project");
        return;
    }
    let taken: Option<toml_edit::Value> = match value {
        Value::Bool(value) => Some((*value).into()),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Some(number.into()),
            (None, Some(number)) => Some(number.into()),
            (None, None) => None,
        },
        // In a password, a brace is a brace.
        Value::String(text) if is_secret(name) => Some(text.replace('{', "{{").into()),
        Value::String(text) => Some(text.trim().into()),
        table @ Value::Object(_) => paths(at, table, draft, |path| Ok(path.to_owned())),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            Some(items.iter().filter_map(Value::as_str).collect())
        }
        Value::Array(_) | Value::Null => None,
    };
    match taken {
        Some(value) => {
            let site: &mut Site = draft.sites.entry(site.to_owned()).or_default();
            site.fields.insert(name.to_owned(), value);
        }
        None => draft.left(at, "there is nothing like it here", "see the provider's page"),
    }
}

/// What a machine has for itself.
fn local(mut block: Block<'_>, project: Option<&str>, draft: &mut Draft) {
    ends(&mut block, project, draft);
    for raw in block.keys() {
        let site = draft.name(raw, &block.at(raw));
        let Some(mut fields) = block.block(raw) else {
            draft.left(block.at(raw), "there is nothing like it here", "see docs/settings.md");
            continue;
        };
        let at = fields.at("credentials_url");
        if let Some(value) = fields.take("credentials_url") {
            own(&site, "credentials_url", &at, value, project, draft);
        }
        take_roots(fields, project, &site, draft);
    }
}
