//! The tables of the file, one by one: every key read, none compared with another table yet.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use toml::de::DeTable;

use super::context::Context;
use super::expand::{Trouble, expand};
use super::model::{Host, Plugins, Site, Sync, Travel, Trust, Verify};
use super::nearest;
use super::read::{Field, Report, fields, set};
use super::roots::read_roots;
use super::sites::read_sites;
use super::source::Span;

const TOP: [&str; 6] = ["enabled", "host", "plugins", "sync", "sites", "projects"];
const HOST: [&str; 2] = ["listen", "serves"];
const PLUGINS: [&str; 2] = ["folders", "trust"];
const SYNC: [&str; 13] = [
    "enabled",
    "retry_count",
    "loop_delay",
    "rescan",
    "settle",
    "active_site",
    "remote_site",
    "upload",
    "download",
    "verify",
    "priority",
    "exclude",
    "always_accessible_on",
];
pub(super) const SITE: [&str; 8] = [
    "provider",
    "enabled",
    "root",
    "slots",
    "requests_per_second",
    "bandwidth",
    "mounted",
    "timeout",
];
const PROJECT_SITE: [&str; 2] = ["enabled", "root"];

const TRAVEL: [(&str, Travel); 2] = [("all", Travel::All), ("requested", Travel::Requested)];
const TRUST: [(&str, Trust); 2] = [("owner", Trust::Owner), ("pinned", Trust::Pinned)];
const VERIFY: [(&str, Verify); 2] = [("auto", Verify::Auto), ("full", Verify::Full)];

const DAY: u64 = 86_400;
const SECOND: Duration = Duration::from_secs(1);
const ONE_DAY: Duration = Duration::from_secs(DAY);
const THIRTY_DAYS: Duration = Duration::from_secs(30 * DAY);

/// The whole file, read.
pub(super) struct Sections {
    pub(super) enabled: bool,
    pub(super) host: Host,
    pub(super) plugins: Plugins,
    pub(super) sync: SyncSection,
    pub(super) sites: BTreeMap<String, SiteSection>,
    pub(super) projects: BTreeMap<String, ProjectSection>,
    /// Every mention of a site's name.
    pub(super) mentions: Vec<(String, Span)>,
}

/// `[sync]`, or a project's own values on top of it.
#[derive(Clone, Default)]
pub(super) struct SyncSection {
    pub(super) values: Sync,
    /// Where the ends were chosen; `None` for the built-in choice.
    pub(super) active_site: Option<Span>,
    pub(super) remote_site: Option<Span>,
    pub(super) always_accessible_on: Vec<Span>,
}

/// `[sites.NAME]`.
pub(super) struct SiteSection {
    pub(super) site: Site,
    pub(super) roots: BTreeMap<String, Root>,
    /// What is wrong with the provider's settings on this machine only: an error where the site
    /// is used.
    pub(super) troubles: Vec<(Span, Trouble)>,
}

/// A root as the file has it.
#[derive(Clone)]
pub(super) struct Root {
    pub(super) name: Span,
    pub(super) value: Span,
    /// This platform's path, not filled in.
    pub(super) path: Result<String, Trouble>,
}

/// `[projects.NAME]`.
pub(super) struct ProjectSection {
    pub(super) span: Span,
    pub(super) sync: SyncSection,
    pub(super) sites: BTreeMap<String, ProjectSiteSection>,
}

/// `sites.NAME` of a project.
#[derive(Default)]
pub(super) struct ProjectSiteSection {
    pub(super) enabled: Option<bool>,
    pub(super) roots: BTreeMap<String, Root>,
}

/// Reads the whole file, or `None` if it is no TOML.
pub(super) fn read(report: &mut Report<'_>, context: &Context) -> Option<Sections> {
    let source = report.source;
    let (document, errors) = DeTable::parse_recoverable(source.text());
    if !errors.is_empty() {
        syntax(report, &errors);
        return None;
    }
    let top = fields(document.get_ref());
    let mut sections = Sections {
        enabled: true,
        host: Host::default(),
        plugins: Plugins::default(),
        sync: SyncSection::default(),
        sites: BTreeMap::new(),
        projects: BTreeMap::new(),
        mentions: Vec::new(),
    };
    let mut projects = None;
    for field in &top {
        match field.name {
            "enabled" => set(&mut sections.enabled, report.boolean(field)),
            "host" => read_host(field, &mut sections, report),
            "plugins" => read_plugins(field, &mut sections.plugins, report, context),
            "sync" => read_defaults(field, &mut sections, report),
            "sites" => read_sites(field, &mut sections, report, context),
            "projects" => projects = Some(field),
            other => {
                if let Some(section) = home_of(other) {
                    let message = format!("`{other}` does not belong at the top of the file");
                    report.error(field.key, message, format!("move it to {section}"));
                } else {
                    report.unknown(field, "the settings", &TOP);
                }
            }
        }
    }
    // Last, since `[sync]` may stand below the projects that build on it.
    if let Some(field) = projects {
        read_projects(field, &mut sections, report, context);
    }
    Some(sections)
}

/// Returns the section that a key belongs to.
fn home_of(key: &str) -> Option<&'static str> {
    if HOST.contains(&key) {
        Some("[host]")
    } else if PLUGINS.contains(&key) {
        Some("[plugins]")
    } else if SYNC.contains(&key) {
        Some("[sync]")
    } else if SITE.contains(&key) {
        Some("[sites.NAME]")
    } else {
        None
    }
}

fn unknown(report: &mut Report<'_>, field: &Field<'_>, place: &str, known: &[&str]) {
    match home_of(field.name) {
        Some(section) => {
            let message = format!("there is no key `{}` in {place}", field.name);
            report.error(field.key, message, format!("it belongs in {section}"));
        }
        None => report.unknown(field, place, known),
    }
}

fn syntax(report: &mut Report<'_>, errors: &[toml::de::Error]) {
    let mut lines = BTreeSet::new();
    for error in errors {
        let span = Span::from(error.span().unwrap_or_default());
        // What else is wrong with a line follows from the first that was found.
        if !lines.insert(report.source.place(span).line) {
            continue;
        }
        let found = report.source.text().get(span.start..span.end).unwrap_or_default();
        let message = error.message();
        let (message, hint) = if message.contains("quoted") && found.trim().is_empty() {
            ("a value is missing", "write `key = value`")
        } else if message.contains("quoted") {
            let hint = match found.trim().to_lowercase().as_str() {
                "true" | "yes" | "on" => "write `true`",
                "false" | "no" | "off" => "write `false`",
                _ => "put text into quotes",
            };
            ("this is no value", hint)
        } else if message.contains("escape") {
            (message, "in \"...\" a `\\` begins an escape: write paths with `/`, or in '...'")
        } else if message.contains("duplicate key") {
            (message, "it stands further up already: write every key and every [table] once")
        } else if message.contains("extend") {
            (message, "it was closed further up: keep its keys in one place")
        } else {
            (message, "the file is TOML: https://toml.io")
        };
        report.error(span, format!("not TOML: {message}"), hint);
    }
}

fn read_host(field: &Field<'_>, sections: &mut Sections, report: &mut Report<'_>) {
    let Some(table) = report.table(field, "[host]") else {
        return;
    };
    for field in &table {
        match field.name {
            "listen" => {
                let Some(text) = report.string(field, "127.0.0.1:7788") else {
                    continue;
                };
                match text.parse() {
                    Ok(address) => sections.host.listen = address,
                    Err(_) => report.error(
                        field.span,
                        format!("`listen`: `{}` is no address with a port", text.escape_debug()),
                        "write it like \"127.0.0.1:7788\", or \"[::1]:7788\"",
                    ),
                }
            }
            "serves" => {
                let Some(names) = report.strings(field, "*") else {
                    continue;
                };
                sections.host.serves = names.iter().map(|(name, _)| name.clone()).collect();
                sections.mentions.extend(names.into_iter().filter(|(name, _)| name != "*"));
            }
            _ => unknown(report, field, "[host]", &HOST),
        }
    }
}

fn read_plugins(
    field: &Field<'_>,
    plugins: &mut Plugins,
    report: &mut Report<'_>,
    context: &Context,
) {
    let Some(table) = report.table(field, "[plugins]") else {
        return;
    };
    for field in &table {
        match field.name {
            "trust" => set(&mut plugins.trust, report.choice(field, &TRUST)),
            "folders" => {
                for (text, span) in
                    report.strings(field, "/opt/sitesync/providers").unwrap_or_default()
                {
                    match expand(&text, None, context) {
                        Ok(path) if Path::new(&path).is_absolute() => {
                            plugins.folders.push(path.into());
                        }
                        Ok(path) => report.error(
                            span,
                            format!("`folders`: `{}` is no full path", path.escape_debug()),
                            "write it from the top: \"/opt/sitesync/providers\"",
                        ),
                        Err(trouble) => report.error(span, trouble.message, trouble.hint),
                    }
                }
            }
            _ => unknown(report, field, "[plugins]", &PLUGINS),
        }
    }
}

fn read_defaults(field: &Field<'_>, sections: &mut Sections, report: &mut Report<'_>) {
    let Some(table) = report.table(field, "[sync]") else {
        return;
    };
    for field in &table {
        if !read_sync(field, &mut sections.sync, &mut sections.mentions, report) {
            unknown(report, field, "[sync]", &SYNC);
        }
    }
}

/// Reads a key that `[sync]` and a project share; false if it is none.
fn read_sync(
    field: &Field<'_>,
    sync: &mut SyncSection,
    mentions: &mut Vec<(String, Span)>,
    report: &mut Report<'_>,
) -> bool {
    let values = &mut sync.values;
    match field.name {
        "enabled" => set(&mut values.enabled, report.boolean(field)),
        "retry_count" => set(&mut values.retry_count, report.integer(field, 0..=1000, 3)),
        "loop_delay" => set(&mut values.loop_delay, report.duration(field, SECOND..=ONE_DAY)),
        "rescan" => set(&mut values.rescan, report.duration(field, SECOND..=THIRTY_DAYS)),
        "settle" => set(&mut values.settle, report.duration(field, Duration::ZERO..=ONE_DAY)),
        "upload" => set(&mut values.upload, report.choice(field, &TRAVEL)),
        "download" => set(&mut values.download, report.choice(field, &TRAVEL)),
        "verify" => set(&mut values.verify, report.choice(field, &VERIFY)),
        "priority" => {
            let priority = report.integer(field, 1..=1000, 50);
            set(&mut values.priority, priority.and_then(|priority| u16::try_from(priority).ok()));
        }
        "active_site" => {
            if let Some(name) = report.string(field, "studio") {
                mentions.push((name.clone(), field.span));
                values.active_site = name;
                sync.active_site = Some(field.span);
            }
        }
        "remote_site" => {
            if let Some(name) = report.string(field, "studio") {
                mentions.push((name.clone(), field.span));
                values.remote_site = name;
                sync.remote_site = Some(field.span);
            }
        }
        "exclude" => {
            if let Some(patterns) = report.strings(field, "*.tmp") {
                values.exclude = patterns
                    .into_iter()
                    .filter(|(pattern, span)| is_name_pattern(pattern, *span, report))
                    .map(|(pattern, _)| pattern)
                    .collect();
            }
        }
        "always_accessible_on" => {
            if let Some(names) = report.strings(field, "studio") {
                mentions.extend(names.iter().cloned());
                (values.always_accessible_on, sync.always_accessible_on) =
                    names.into_iter().unzip();
            }
        }
        _ => return false,
    }
    true
}

fn is_name_pattern(pattern: &str, span: Span, report: &mut Report<'_>) -> bool {
    let shown = pattern.escape_debug();
    if pattern.contains('/') {
        report.error(
            span,
            format!("`exclude` fits file names, and `{shown}` is a path"),
            "write the name only: \"*.tmp\"",
        );
        return false;
    }
    if pattern.chars().all(|character| character == '*') {
        report.error(
            span,
            format!("`exclude`: `{shown}` leaves out every file"),
            "write `enabled = false` if that is meant",
        );
        return false;
    }
    true
}

fn read_projects(
    field: &Field<'_>,
    sections: &mut Sections,
    report: &mut Report<'_>,
    context: &Context,
) {
    let Some(table) = report.table(field, "[projects.demo]") else {
        return;
    };
    for field in &table {
        if !is_name("project", field, report) {
            continue;
        }
        let example = format!("[projects.{}]", field.name);
        let Some(table) = report.table(field, &example) else {
            continue;
        };
        let mut project =
            ProjectSection { span: field.key, sync: sections.sync.clone(), sites: BTreeMap::new() };
        for field in &table {
            if field.name == "sites" {
                read_project_sites(field, &mut project, &mut sections.mentions, report, context);
            } else if !read_sync(field, &mut project.sync, &mut sections.mentions, report) {
                let mut known = SYNC.to_vec();
                known.push("sites");
                if SITE.contains(&field.name) {
                    let message = format!("there is no key `{}` in {example}", field.name);
                    let hint = format!("it belongs to a site: `sites.studio.{}`", field.name);
                    report.error(field.key, message, hint);
                } else {
                    unknown(report, field, &example, &known);
                }
            }
        }
        sections.projects.insert(field.name.to_owned(), project);
    }
}

fn read_project_sites(
    field: &Field<'_>,
    project: &mut ProjectSection,
    mentions: &mut Vec<(String, Span)>,
    report: &mut Report<'_>,
    context: &Context,
) {
    let Some(table) = report.table(field, "sites.gdrive.root.work = \"/test\"") else {
        return;
    };
    for field in &table {
        mentions.push((field.name.to_owned(), field.key));
        let example = format!("sites.{}.root.work = \"/test\"", field.name);
        let Some(table) = report.table(field, &example) else {
            continue;
        };
        let mut site = ProjectSiteSection::default();
        for own in &table {
            match own.name {
                "enabled" => site.enabled = report.boolean(own),
                "root" => site.roots = read_roots(own, report, context.platform),
                other => {
                    let message = format!("a project cannot set `{other}` of a site");
                    let hint = match nearest::nearest(other, PROJECT_SITE) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!(
                            "a project has its own `root` and `enabled`; all else is in [sites.{}]",
                            field.name
                        ),
                    };
                    report.error(own.key, message, hint);
                }
            }
        }
        project.sites.insert(field.name.to_owned(), site);
    }
}

/// Names become parts of paths, of file paths (`{root[work]}`) and of addresses.
pub(super) fn is_name(kind: &str, field: &Field<'_>, report: &mut Report<'_>) -> bool {
    const LONGEST: usize = 64;
    let name = field.name;
    let sound = !name.is_empty()
        && name.len() <= LONGEST
        && name.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
        && !name.ends_with('.')
        && name.chars().all(|character| {
            character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.')
        });
    if !sound {
        report.error(
            field.key,
            format!("`{}` is no name for a {kind}", name.escape_debug()),
            format!(
                "up to {LONGEST} of a-z, A-Z, 0-9, `_`, `-` and `.`, and neither `-` nor `.` first \
                 nor `.` last"
            ),
        );
    }
    sound
}
