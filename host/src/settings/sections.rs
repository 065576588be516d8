//! The tables of the documents, one by one: every key read, none compared with another table yet.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::context::Context;
use super::expand::{Trouble, expand};
use super::foreign::foreign;
use super::layers::Layers;
use super::model::{Conflicts, Deletes, Host, Plugins, Site, Sync, Travel, Trust, Verify};
use super::nearest;
use super::read::{Field, Report, fields, set};
use super::roots::read_roots;
use super::sites::read_sites;
use super::source::Span;
use super::tree::Table;
use crate::publish::Templates;

pub(super) const TOP: [&str; 6] = ["enabled", "host", "plugins", "sync", "sites", "projects"];
pub(super) const HOST: [&str; 3] = ["listen", "serves", "site_id"];
pub(super) const PLUGINS: [&str; 2] = ["folders", "trust"];
pub(super) const SYNC: [&str; 22] = [
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
    "representations",
    "conflicts",
    "deletes",
    "max_delete",
    "max_delete_percent",
    "max_change",
    "max_change_percent",
    "keep_replaced",
    "watch",
];
pub(super) const SITE: [&str; 9] = [
    "provider",
    "enabled",
    "root",
    "slots",
    "requests_per_second",
    "bandwidth",
    "mounted",
    "timeout",
    "alternative_sites",
];
pub(super) const PROJECT_SITE: [&str; 2] = ["enabled", "root"];

/// Whether every folder is a project.
const LISTING: [(&str, bool); 2] = [("listed", false), ("folders", true)];
const TRAVEL: [(&str, Travel); 2] = [("all", Travel::All), ("requested", Travel::Requested)];
const TRUST: [(&str, Trust); 2] = [("owner", Trust::Owner), ("pinned", Trust::Pinned)];
const CONFLICTS: [(&str, Conflicts); 5] = [
    ("ask", Conflicts::Ask),
    ("active_wins", Conflicts::ActiveWins),
    ("remote_wins", Conflicts::RemoteWins),
    ("newest", Conflicts::Newest),
    ("keep_both", Conflicts::KeepBoth),
];
const DELETES: [(&str, Deletes); 2] = [("keep", Deletes::Keep), ("propagate", Deletes::Propagate)];
const VERIFY: [(&str, Verify); 2] = [("auto", Verify::Auto), ("full", Verify::Full)];

const DAY: u64 = 86_400;
const SECOND: Duration = Duration::from_secs(1);
const ONE_DAY: Duration = Duration::from_secs(DAY);
/// The most files that a guard may be set to.
const MOST_FILES: u32 = 1_000_000_000;
const TEN_YEARS: Duration = Duration::from_secs(3_650 * DAY);
const THIRTY_DAYS: Duration = Duration::from_secs(30 * DAY);

/// The whole file, read.
pub(super) struct Sections {
    pub(super) enabled: bool,
    pub(super) host: Host,
    /// Where the host's site id was chosen.
    pub(super) site_id: Option<Span>,
    pub(super) plugins: Plugins,
    pub(super) sync: SyncSection,
    /// Where it is said that every folder is a project.
    pub(super) folders: Option<Span>,
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
    /// The provider's own, in the place of the site's.
    pub(super) settings: serde_json::Map<String, serde_json::Value>,
    /// What is wrong with them on this machine only: an error where the site is used.
    pub(super) troubles: Vec<(Span, Trouble)>,
}

/// Of what a reader sees a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// One document: what it lacks may stand in another.
    OneDocument,
    /// All that there is.
    All,
}

/// Reads one document by itself, for what is wrong with it: also where another one overrides it.
pub(super) fn check(document: &Table, report: &mut Report<'_>, context: &Context) {
    let mut sections = read_top(document, Extent::OneDocument, report, context);
    let projects = fields(document).into_iter().find(|field| field.name == "projects");
    let Some(table) = projects.and_then(|field| report.table(&field, "[projects.demo]")) else {
        return;
    };
    for field in &table {
        if is_name("project", field, report) {
            read_project(field, &mut sections, report, context);
        }
    }
}

/// Reads what all layers come to. Their documents were checked one by one.
pub(super) fn read(layers: &Layers, report: &mut Report<'_>, context: &Context) -> Sections {
    let mut sections = read_top(layers.merged(), Extent::All, report, context);
    for name in layers.projects() {
        let Some(node) = layers.project(name, &SYNC) else { continue };
        let field = Field { name, key: node.key, value: &node.value, span: node.span };
        if is_name("project", &field, report) {
            read_project(&field, &mut sections, report, context);
        }
    }
    sections
}

/// Reads everything but the projects.
fn read_top(top: &Table, extent: Extent, report: &mut Report<'_>, context: &Context) -> Sections {
    let mut sections = Sections {
        enabled: true,
        host: Host::default(),
        site_id: None,
        plugins: Plugins::default(),
        sync: SyncSection::default(),
        folders: None,
        sites: BTreeMap::new(),
        projects: BTreeMap::new(),
        mentions: Vec::new(),
    };
    for field in &fields(top) {
        match field.name {
            "enabled" => set(&mut sections.enabled, report.boolean(field)),
            "host" => read_host(field, &mut sections, report),
            "plugins" => read_plugins(field, &mut sections.plugins, report, context),
            "sync" => read_defaults(field, &mut sections, report),
            "sites" => read_sites(field, extent, &mut sections, report, context),
            "projects" => {}
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
    sections
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
            "site_id" => {
                if let Some(id) = report.string(field, "workstation-7") {
                    let field = Field { name: &id, key: field.span, ..*field };
                    if is_name("site", &field, report) {
                        sections.site_id = Some(field.span);
                        sections.host.site_id = Some(id);
                    }
                }
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
        if field.name == "projects" {
            if report.choice(field, &LISTING) == Some(true) {
                sections.folders = Some(field.span);
            }
        } else if !read_sync(field, &mut sections.sync, &mut sections.mentions, report) {
            let mut known = SYNC.to_vec();
            known.push("projects");
            unknown(report, field, "[sync]", &known);
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
                sync.active_site = written(field);
            }
        }
        "remote_site" => {
            if let Some(name) = report.string(field, "studio") {
                mentions.push((name.clone(), field.span));
                values.remote_site = name;
                sync.remote_site = written(field);
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
        "representations" => {
            if let Some(templates) = report.strings(field, "{folder}/{product}/{version}/{file}") {
                let (texts, spans): (Vec<String>, Vec<Span>) = templates.into_iter().unzip();
                match Templates::compile(&texts) {
                    Ok(_) => values.representations = texts,
                    Err((wrong, error)) => {
                        let span = spans.get(wrong).copied().unwrap_or(field.span);
                        let message = format!("`representations`: {}", error.message);
                        report.error(span, message, error.hint);
                    }
                }
            }
        }
        "conflicts" => set(&mut values.conflicts, report.choice(field, &CONFLICTS)),
        "deletes" => set(&mut values.deletes, report.choice(field, &DELETES)),
        "max_delete" => {
            set(&mut values.max_delete.files, report.integer(field, 0..=MOST_FILES, 100));
        }
        "max_delete_percent" => {
            set(&mut values.max_delete.percent, report.integer(field, 0..=100, 10));
        }
        "max_change" => {
            set(&mut values.max_change.files, report.integer(field, 0..=MOST_FILES, 100));
        }
        "max_change_percent" => {
            set(&mut values.max_change.percent, report.integer(field, 0..=100, 10));
        }
        "keep_replaced" => {
            set(&mut values.keep_replaced, report.duration(field, Duration::ZERO..=TEN_YEARS));
        }
        "watch" => set(&mut values.watch, report.boolean(field)),
        _ => return false,
    }
    true
}

/// Returns where a value was chosen, if anybody chose it.
fn written(field: &Field<'_>) -> Option<Span> {
    (!field.span.is_built_in()).then_some(field.span)
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

fn read_project(
    header: &Field<'_>,
    sections: &mut Sections,
    report: &mut Report<'_>,
    context: &Context,
) {
    let example = format!("[projects.{}]", header.name);
    let Some(table) = report.table(header, &example) else {
        return;
    };
    let mut project =
        ProjectSection { span: header.key, sync: SyncSection::default(), sites: BTreeMap::new() };
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
    sections.projects.insert(header.name.to_owned(), project);
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
                other if SITE.contains(&other) => report.error(
                    own.key,
                    format!("a project cannot set `{other}` of a site"),
                    format!("it stands in [sites.{}], for all projects", field.name),
                ),
                other => {
                    if let Some(near) = nearest::nearest(other, PROJECT_SITE) {
                        let message = format!("a project cannot set `{other}` of a site");
                        report.error(own.key, message, format!("did you mean `{near}`?"));
                    } else if let Some(value) = foreign(own, &mut site.troubles, report, context) {
                        site.settings.insert(other.to_owned(), value);
                    }
                }
            }
        }
        project.sites.insert(field.name.to_owned(), site);
    }
}

/// The longest name of a site, a project or a root, in bytes.
const LONGEST: usize = 64;

/// Whether a name is sound, or why not. Names become parts of paths, of file paths
/// (`{root[work]}`) and of addresses.
pub(super) fn is_name(kind: &str, field: &Field<'_>, report: &mut Report<'_>) -> bool {
    let name = field.name;
    let sound = sound_name(name);
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

/// Whether this may be a name.
pub(super) fn sound_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= LONGEST
        && name.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
        && !name.ends_with('.')
        && name.chars().all(|character| {
            character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.')
        })
}
