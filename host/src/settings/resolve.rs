//! Projects against sites: names exist, roots are filled in, both ends fit each other.

use std::collections::BTreeMap;

use super::context::Context;
use super::expand::{Trouble, expand};
use super::folders;
use super::model::{Project, ProjectSite, Settings};
use super::nearest::{listed, nearest};
use super::overlap::{self, Folder};
use super::paths::Paths;
use super::read::Report;
use super::sections::{ProjectSection, ProjectSiteSection, Root, Sections, SiteSection};
use super::source::Span;

/// A project's roots at one site, by name: all that are declared, sound or not.
type Declared<'a> = BTreeMap<&'a str, &'a Root>;

/// Puts the sections together. What is wrong is in the report; then the value is not to be used.
///
/// `file` is where a project would be added.
pub(super) fn resolve(
    sections: Sections,
    file: &str,
    report: &mut Report<'_>,
    context: &Context,
) -> Settings {
    let Sections {
        enabled,
        host,
        site_id,
        plugins,
        sync,
        folders: by_folder,
        mut sites,
        projects,
        mentions,
    } = sections;
    for section in sites.values_mut() {
        let sound = section.roots.iter().filter_map(|(name, root)| {
            root.path.as_ref().ok().map(|path| (name.clone(), path.clone()))
        });
        section.site.roots = sound.collect();
    }
    check_mentions(&mentions, &sites, report);
    if let (Some(span), Some(id)) = (site_id, &host.site_id) {
        check_site_id(id, span, &sites, report);
    }
    let places = by_folder.map(|span| {
        folders::places(&sync.values, &sites, context).unwrap_or_else(|trouble| {
            report.error(span, trouble.message, trouble.hint);
            Vec::new()
        })
    });
    if projects.is_empty() && by_folder.is_none() {
        let problem = super::Problem::new(
            super::Level::Note,
            file,
            "no project is configured: nothing to do",
        );
        report.add(Span::default(), problem.help("add a table [projects.NAME]"));
    }

    let mut in_use: BTreeMap<&str, bool> =
        sites.keys().map(|name| (name.as_str(), false)).collect();
    let mut folders = Vec::new();
    let mut done = BTreeMap::new();
    for (name, section) in projects {
        let (project, involved) = one_project(name, section, &sites, report, context, &mut folders);
        for site in involved {
            if let Some(used) = in_use.get_mut(site.as_str()) {
                *used = true;
            }
        }
        done.insert(project.name.clone(), project);
    }
    overlap::check(folders, &sites, report, context);

    for (name, section) in &sites {
        for (span, trouble) in &section.troubles {
            if in_use.get(name.as_str()) == Some(&true) {
                report.error(*span, &trouble.message, &trouble.hint);
            } else {
                report.note(*span, &trouble.message, &trouble.hint);
            }
        }
    }
    let sites = sites.into_iter().map(|(name, section)| (name, section.site)).collect();
    let mut settings = Settings {
        enabled,
        host,
        plugins,
        sync: sync.values,
        folders: places.unwrap_or_default(),
        sites,
        projects: done,
    };
    settings.link();
    settings
}

fn check_mentions(
    mentions: &[(String, Span)],
    sites: &BTreeMap<String, SiteSection>,
    report: &mut Report<'_>,
) {
    for (name, span) in mentions.iter().filter(|(name, _)| !sites.contains_key(name)) {
        let known: Vec<&str> = sites.keys().map(String::as_str).collect();
        let hint = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}; [sites.NAME] adds one", listed(&known)),
        };
        report.error(*span, format!("there is no site `{}`", name.escape_debug()), hint);
    }
}

/// The id is how the catalog knows this machine's site, so no other may have that name.
fn check_site_id(
    id: &str,
    span: Span,
    sites: &BTreeMap<String, SiteSection>,
    report: &mut Report<'_>,
) {
    if sites.contains_key(id) {
        report.error(
            span,
            format!("`site_id`: `{id}` is a site of its own"),
            "choose a name that no [sites.NAME] has",
        );
    }
}

/// Returns a project, and the sites that its sync involves.
fn one_project(
    name: String,
    section: ProjectSection,
    sites: &BTreeMap<String, SiteSection>,
    report: &mut Report<'_>,
    context: &Context,
    folders: &mut Vec<Folder>,
) -> (Project, Vec<String>) {
    let ends = Ends::of(&section);
    let mut project = Project::new(name, section.span, section.sync.values.clone());
    for (site_name, site) in sites {
        let own = section.sites.get(site_name);
        let enabled = site.site.enabled && own.and_then(|own| own.enabled).unwrap_or(true);
        let settings = own.map(|own| own.settings.clone()).unwrap_or_default();
        let roots = Paths::default();
        project.sites.insert(
            site_name.clone(),
            ProjectSite { enabled, roots, settings, ..ProjectSite::default() },
        );
    }
    let involved =
        if project.enabled { ends.involved(&project, sites, report) } else { Vec::new() };
    let mut declared: BTreeMap<&str, Declared<'_>> = BTreeMap::new();
    for (site_name, site) in sites {
        let used = involved.iter().any(|(name, _)| name == site_name);
        for (span, trouble) in section.sites.get(site_name).iter().flat_map(|own| &own.troubles) {
            if used {
                report.error(*span, &trouble.message, &trouble.hint);
            } else {
                report.note(*span, &trouble.message, &trouble.hint);
            }
        }
        let roots = roots(site, section.sites.get(site_name), report);
        let mut paths = Vec::new();
        for (root_name, root) in &roots {
            let path = root.path.as_ref().map_err(Clone::clone);
            let path = path.and_then(|path| expand(path, Some(&project.name), context));
            match path.and_then(plain_path) {
                Err(trouble) if trouble.was_reported() => {}
                Err(trouble) if used => report.error(root.value, &trouble.message, &trouble.hint),
                Err(trouble) if project.enabled => {
                    report.note(root.value, &trouble.message, &trouble.hint);
                }
                Err(_) => {}
                Ok(path) => {
                    if used {
                        folders.push(Folder {
                            project: project.name.clone(),
                            site: site_name.clone(),
                            root: (*root_name).to_owned(),
                            path: path.clone(),
                            span: root.value,
                        });
                    }
                    paths.push(((*root_name).to_owned(), path));
                }
            }
        }
        if let Some(seen) = project.sites.get_mut(site_name) {
            seen.roots = paths.into_iter().collect();
        }
        if used {
            declared.insert(site_name, roots);
        }
    }
    check_roots(&project, &involved, &declared, report);
    (project, involved.into_iter().map(|(name, _)| name).collect())
}

/// Returns a project's roots at a site: its own, and those that all projects have.
fn roots<'a>(
    site: &'a SiteSection,
    own: Option<&'a ProjectSiteSection>,
    report: &Report<'_>,
) -> Declared<'a> {
    let mut roots: Declared<'a> =
        site.roots.iter().map(|(name, root)| (name.as_str(), root)).collect();
    for (name, root) in own.iter().flat_map(|own| &own.roots) {
        // What a later layer says of the site outdoes what an earlier one says of the project.
        let layer = report.source(root.value).layer();
        let under = roots.get(name.as_str());
        if under.is_none_or(|under| layer >= report.source(under.value).layer()) {
            roots.insert(name, root);
        }
    }
    roots
}

/// The sites that a project names, with where it does.
struct Ends {
    active: (String, Span),
    remote: (String, Span),
    always: Vec<(String, Span)>,
    /// Where to point when the pair as a whole is meant.
    pair: Span,
}

impl Ends {
    fn of(section: &ProjectSection) -> Self {
        let sync = &section.sync;
        let always = sync.values.always_accessible_on.iter().cloned();
        Ends {
            active: (sync.values.active_site.clone(), sync.active_site.unwrap_or(section.span)),
            remote: (sync.values.remote_site.clone(), sync.remote_site.unwrap_or(section.span)),
            always: always.zip(sync.always_accessible_on.iter().copied()).collect(),
            pair: sync.remote_site.or(sync.active_site).unwrap_or(section.span),
        }
    }

    /// Returns the sites between which files travel: the active one first, none if nothing does.
    fn involved(
        &self,
        project: &Project,
        sites: &BTreeMap<String, SiteSection>,
        report: &mut Report<'_>,
    ) -> Vec<(String, Span)> {
        let mut all: Vec<(String, Span)> = Vec::new();
        for end in [&self.active, &self.remote].into_iter().chain(&self.always) {
            if !all.iter().any(|(name, _)| *name == end.0) {
                all.push(end.clone());
            }
        }
        if all.len() < 2 {
            let (active, _) = &self.active;
            report.note(
                self.pair,
                format!(
                    "project `{}` has nothing to do: its active and its remote site are both \
                     `{active}`",
                    project.name
                ),
                "set `active_site` and `remote_site` to two sites",
            );
            return Vec::new();
        }
        all.retain(|(name, span)| {
            // Names that are unknown were reported.
            let enabled = sites.contains_key(name) && project.site_enabled(name);
            if !enabled && sites.contains_key(name) {
                report.note(
                    *span,
                    format!(
                        "site `{name}` is switched off: project `{}` leaves it out",
                        project.name
                    ),
                    "`enabled = true` switches it on",
                );
            }
            enabled
        });
        let active_is_left = all.first().is_some_and(|(name, _)| *name == self.active.0);
        if all.len() < 2 || !active_is_left { Vec::new() } else { all }
    }
}

/// Each involved site has roots, and they fit those of the active one.
fn check_roots(
    project: &Project,
    involved: &[(String, Span)],
    declared: &BTreeMap<&str, Declared<'_>>,
    report: &mut Report<'_>,
) {
    let none = Declared::new();
    let roots_of = |site: &str| declared.get(site).unwrap_or(&none);
    let mut lacking = false;
    for (site, span) in involved {
        if roots_of(site).is_empty() {
            lacking = true;
            let here = match site.as_str() {
                "local" => "run `sitesync config set sites.local.root.work PATH --local`, or ",
                _ => "",
            };
            report.error(
                *span,
                format!("site `{site}` has no root for project `{}`", project.name),
                format!(
                    "{here}set `root.work = \"...\"` in [sites.{site}], or \
                     `sites.{site}.root.work = \"...\"` in [projects.{}]",
                    project.name
                ),
            );
        }
    }
    let Some(((first, _), others)) = involved.split_first() else {
        return;
    };
    if lacking {
        return;
    }
    let here = roots_of(first);
    for (other, span) in others {
        let there = roots_of(other);
        if !here.keys().any(|name| there.contains_key(name)) {
            let [here, there] =
                [here, there].map(|roots| listed(&roots.keys().copied().collect::<Vec<_>>()));
            report.error(
                *span,
                format!(
                    "project `{}`: sites `{first}` and `{other}` have no root name in common",
                    project.name
                ),
                format!("`{first}` has {here}, `{other}` has {there}: give one root one name"),
            );
            continue;
        }
        for (roots, has, lacks) in [(here, first, (other, there)), (there, other, (first, here))] {
            for (name, root) in roots.iter().filter(|(name, _)| !lacks.1.contains_key(*name)) {
                let lacks = lacks.0;
                report.note(
                    root.name,
                    format!(
                        "root `{name}` is at site `{has}` only: `{lacks}` has none, so project \
                         `{}` does not sync it between them",
                        project.name
                    ),
                    format!("set `root.{name}` of site `{lacks}` if it should travel"),
                );
            }
        }
    }
}

/// Refuses what cannot be told apart from another path, or cannot be shown.
fn plain_path(path: String) -> Result<String, Trouble> {
    if path.chars().any(char::is_control) {
        return Err(Trouble::new("a root holds a control character", "remove it"));
    }
    if path.trim().is_empty() {
        return Err(Trouble::new("a root is empty", "write the folder's path"));
    }
    if path.split(['/', '\\']).any(|part| part == "..") {
        return Err(Trouble::new("a root may not go up with `..`", "write the path out"));
    }
    Ok(path)
}
