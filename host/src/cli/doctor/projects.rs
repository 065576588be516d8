//! The projects: whether anything is to be done for them, and what became of it.

use super::super::ground::{SiteNames, idle_because};
use super::super::held::{Held, resume};
use super::super::output::{counted, plain};
use super::catalog::Catalog;
use super::report::{Area, Check, Level, Report};
use super::sites::{About, Opened};
use crate::catalog::{Pause, Tallied};
use crate::engine::pair::refuse_one_folder;
use crate::settings::Project;

pub(super) fn check(about: &About<'_>, names: &SiteNames, opened: &[Opened], report: &mut Report) {
    let projects = &about.settings.projects;
    let tallies = about.catalog.tallies();
    if projects.is_empty() {
        let check = Check::warn(Area::Projects, "projects", "there are none in the settings");
        report.push(check.hint("add a [projects.NAME]"));
    }
    for project in projects.values().filter(|project| about.wants_project(project)) {
        let subject = format!("project {}", project.name);
        let tally = tallies.iter().find(|tally| tally.project == project.name);
        match idle_because(about.settings, project) {
            Some(idle) => {
                let check = Check::note(Area::Projects, subject, idle);
                report.push(check.hint("`sitesync config show` says what holds for it"));
            }
            None => {
                let pairs = project.pairs.iter().map(|[one, other]| format!("{one} to {other}"));
                let pairs = pairs.collect::<Vec<_>>().join(", ");
                let facts = format!("{pairs}{}", so_far(tally));
                report.push(Check::ok(Area::Projects, subject, facts));
                for pair in &project.pairs {
                    lone_roots(project, pair, report);
                    one_folder(project, pair, opened, report);
                }
            }
        }
        tally.iter().for_each(|tally| trouble(tally, about.catalog, names, report));
    }
    pauses(about.catalog, names, report);
    alike(about, opened, report);
    let unknown = |tally: &&Tallied| !projects.contains_key(&tally.project);
    for tally in tallies.iter().filter(unknown).filter(|_| about.only.is_none()) {
        let message = "the catalog knows it, and the settings do not: nothing is done for it";
        let check = Check::note(Area::Projects, format!("project {}", tally.project), message);
        report.push(check.hint("if it is meant to be synced, add it to the settings again"));
    }
}

/// What the catalog knows by itself, where the settings can't be read.
pub(super) fn of_catalog(catalog: &Catalog, names: &SiteNames, report: &mut Report) {
    for tally in catalog.tallies() {
        let facts = format!("known to the catalog{}", so_far(Some(tally)));
        report.push(Check::ok(Area::Projects, format!("project {}", tally.project), facts));
        trouble(tally, catalog, names, report);
    }
    pauses(catalog, names, report);
}

fn so_far(tally: Option<&Tallied>) -> String {
    match tally {
        Some(tally) => {
            let (synced, left) = (tally.synced, tally.under_way);
            format!(", {synced} up to date over all sites, {left} to be brought")
        }
        None => ", nothing known yet".to_owned(),
    }
}

/// Files that do not move, with the command to look at them.
fn trouble(tally: &Tallied, catalog: &Catalog, names: &SiteNames, report: &mut Report) {
    let subject = format!("files of {}", tally.project);
    let queue = |state| format!("look at them: `sitesync queue {} --state {state}`", tally.project);
    if tally.failed > 0 {
        let message = format!("{} failed, and the service gave up", counted(tally.failed, "file"));
        let hint = format!(
            "{}; `sitesync sync` tries them again, and beside the service `sitesync reset {} --state \
             failed --site SITE`",
            queue("failed"),
            tally.project
        );
        report.push(Check::fail(Area::Projects, &subject, message).hint(hint));
    }
    if tally.conflicts > 0 {
        let message = format!(
            "{} in conflict: the content at both ends differs, and neither is known to be older",
            counted(tally.conflicts, "file")
        );
        let hint = queue("conflict");
        report.push(Check::fail(Area::Projects, &subject, message).hint(hint));
    }
    if tally.parked > 0 {
        let message = format!(
            "{} held back until there is the newest content where it comes from",
            counted(tally.parked, "file")
        );
        report.push(Check::note(Area::Projects, &subject, message).hint(queue("queued")));
    }
    let Catalog::Read(found) = catalog else { return };
    let held = found.open.read(|view| Held::of(view, &tally.project)).unwrap_or_default();
    for held in held {
        let level = if held.guard.is_some() { Level::Warn } else { Level::Note };
        let message = held.sentence(names.configured(&held.site));
        let hint = format!("{}; {}", held.hint(), queue("paused"));
        report.push(Check::new(level, Area::Projects, &subject, message).hint(hint));
    }
}

/// What is paused as a whole: this host, projects, sites.
fn pauses(catalog: &Catalog, names: &SiteNames, report: &mut Report) {
    let Catalog::Read(found) = catalog else { return };
    let read = found.open.read(|view| {
        let mut projects = Vec::new();
        for tally in &found.tallies {
            projects.extend(view.project(&tally.project)?.map(|id| (id, &tally.project)));
        }
        Ok((view.pauses()?, view.site_names()?, projects))
    });
    let Ok((pauses, sites, projects)) = read else { return };
    for Pause { scope, by, .. } in pauses.iter().filter(|one| one.scope.representation.is_none()) {
        let project = scope.project.and_then(|id| projects.iter().find(|(known, _)| *known == id));
        let site = scope.site.and_then(|id| sites.iter().find(|(known, _)| *known == id));
        let project = project.map(|(_, name)| name.as_str());
        let site = site.map(|(_, name)| names.configured(name));
        let what = match (project, site) {
            (Some(project), Some(site)) => format!("project {project} at {site}"),
            (Some(project), None) => format!("project {project}"),
            (None, Some(site)) => format!("site {site}"),
            (None, None) => "this host".to_owned(),
        };
        let by = if by.is_empty() { String::new() } else { format!(" by {}", plain(by)) };
        let message = format!("paused{by}: nothing of it is brought or taken away");
        let hint = format!("`{}` lets it go on", resume(project, None, site));
        report.push(Check::note(Area::Projects, what, message).hint(hint));
    }
}

/// Roots that only one end of a pair has: nothing of them travels between the two.
fn lone_roots(project: &Project, [one, other]: &[String; 2], report: &mut Report) {
    for (site, other) in [(one, other), (other, one)] {
        for (root, _) in project.roots(site).iter() {
            if project.roots(other).contains_key(root) {
                continue;
            }
            let subject = format!("root {root} of {}", project.name);
            let message = format!(
                "'{site}' has it, and '{other}' does not: nothing of it travels between them"
            );
            let check = Check::warn(Area::Projects, subject, message);
            report.push(check.hint(format!("add `root.{root}` to [sites.{other}]")));
        }
    }
}

/// Both ends of a root in one folder.
fn one_folder(
    project: &Project,
    [active, remote]: &[String; 2],
    opened: &[Opened],
    report: &mut Report,
) {
    let of = |site: &str, root: &str| {
        opened
            .iter()
            .find(|one| one.project == project.name && one.root == root && one.open.site == site)
    };
    for (root, _) in project.roots(active).iter() {
        let ends = [of(active, root), of(remote, root)];
        let [Some(active), Some(remote)] = ends else { continue };
        let identities = [active, remote].map(|end| end.identity.clone());
        let ends = [active, remote].map(|end| end.open.clone());
        if let Err(fault) = refuse_one_folder(&ends, &identities) {
            let subject = format!("root {root} of {}", project.name);
            let message = format!("site '{}': {}", fault.site, fault.message);
            let check = Check::fail(Area::Projects, subject, message);
            report.push(check.hint(fault.hint.unwrap_or_default()));
        }
    }
}

/// One folder under two sites that are no pair of one project, and not declared to be the same storage:
/// what is synced to the one is at the other, and nobody told.
fn alike(about: &About<'_>, opened: &[Opened], report: &mut Report) {
    for (at, one) in opened.iter().enumerate() {
        for other in &opened[at + 1..] {
            let pair = |a: &Opened, b: &Opened| {
                let project = about.settings.projects.get(&a.project);
                a.project == b.project
                    && a.root == b.root
                    && project.is_some_and(|project| {
                        let ends = [&a.open.site, &b.open.site];
                        [&project.active_site, &project.remote_site] == ends
                            || project.pairs.iter().any(|[one, other]| [one, other] == ends)
                            || project.alternatives(ends[0]).contains(ends[1])
                    })
            };
            if one.identity != other.identity
                || one.open.site == other.open.site
                || pair(one, other)
                || pair(other, one)
            {
                continue;
            }
            let place = |one: &Opened| {
                format!("{}/{} at '{}' ({})", one.project, one.root, one.open.site, one.open.root)
            };
            let message = format!("{} and {} are one folder", place(one), place(other));
            let subject = format!("sites {} and {}", one.open.site, other.open.site);
            report.push(Check::warn(Area::Projects, subject, message).hint(
                "use one of the sites for both; if `.sitesync` was copied with the files, remove it \
                 from the copy and run `sitesync sites adopt SITE`",
            ));
        }
    }
}
