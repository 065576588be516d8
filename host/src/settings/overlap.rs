//! Folders that lie over each other.

use std::collections::BTreeMap;

use super::context::Context;
use super::read::Report;
use super::sections::SiteSection;
use super::source::Span;

/// A folder that is worked on.
pub(super) struct Folder {
    pub(super) project: String,
    pub(super) site: String,
    pub(super) root: String,
    pub(super) path: String,
    pub(super) span: Span,
}

/// Reports every folder that lies in, or is, another one of the same storage. Sites whose provider
/// and settings are equal are one storage.
pub(super) fn check(
    folders: Vec<Folder>,
    sites: &BTreeMap<String, SiteSection>,
    report: &mut Report<'_>,
    context: &Context,
) {
    let storages = storages(sites);
    let mut sorted: Vec<(usize, Vec<String>, Folder)> = folders
        .into_iter()
        .filter_map(|folder| {
            let storage = *storages.get(folder.site.as_str())?;
            Some((storage, parts(&folder.path, context), folder))
        })
        .collect();
    // A folder comes right before all that lies in it; of equals, the earlier in the file first.
    sorted.sort_by(|a, b| {
        (a.0, &a.1, a.2.span, &a.2.project).cmp(&(b.0, &b.1, b.2.span, &b.2.project))
    });
    let mut above: Vec<&(usize, Vec<String>, Folder)> = Vec::new();
    for entry in &sorted {
        while above.last().is_some_and(|last| last.0 != entry.0 || !entry.1.starts_with(&last.1)) {
            above.pop();
        }
        // The nearest is enough: what it lies in was reported with it.
        if let Some((_, _, outer)) = above.last() {
            tell(outer, &entry.2, report);
        }
        above.push(entry);
    }
}

fn tell(outer: &Folder, inner: &Folder, report: &mut Report<'_>) {
    // Of two, the later in the file is the one to change.
    let span = outer.span.max(inner.span);
    let place = if outer.site == inner.site {
        format!("at site `{}`", inner.site)
    } else {
        format!("at the sites `{}` and `{}`, which are one storage", outer.site, inner.site)
    };
    let [outer_path, inner_path] = [outer, inner].map(|folder| folder.path.as_str());
    let how = if outer_path == inner_path {
        format!("`{inner_path}`")
    } else {
        format!("`{inner_path}` and `{outer_path}`")
    };
    if outer.project != inner.project {
        let (one, other) = if outer.project < inner.project {
            (&outer.project, &inner.project)
        } else {
            (&inner.project, &outer.project)
        };
        report.error(
            span,
            format!("projects `{one}` and `{other}` lie over one folder {place}: {how}"),
            "give each project its own folder, most simply with `{project}` in the path",
        );
    } else if outer.site != inner.site {
        report.error(
            span,
            format!("project `{}` would sync a folder with itself {place}: {how}", inner.project),
            "give each site a folder of its own",
        );
    } else {
        report.note(
            span,
            format!(
                "roots `{}` and `{}` of project `{}` lie over each other {place}: {how}",
                outer.root, inner.root, inner.project
            ),
            "files in the inner one belong to both roots, and travel twice",
        );
    }
}

/// Returns each site's storage: equal numbers are one.
fn storages(sites: &BTreeMap<String, SiteSection>) -> BTreeMap<&str, usize> {
    let mut known: Vec<&SiteSection> = Vec::new();
    let number_of = |section: &SiteSection, known: &[&SiteSection]| {
        known.iter().position(|other| {
            other.site.provider == section.site.provider
                && other.site.settings == section.site.settings
                // What could not be filled in is missing from the settings, and may differ.
                && section.troubles.is_empty()
                && other.troubles.is_empty()
        })
    };
    let mut storages = BTreeMap::new();
    for (name, section) in sites {
        let number = number_of(section, &known).unwrap_or_else(|| {
            known.push(section);
            known.len() - 1
        });
        storages.insert(name.as_str(), number);
    }
    storages
}

fn parts(path: &str, context: &Context) -> Vec<String> {
    let folds = context.platform.folds_case();
    path.split(|character| character == '/' || (character == '\\' && folds))
        .filter(|part| !part.is_empty() && *part != ".")
        .map(|part| if folds { part.to_lowercase() } else { part.to_owned() })
        .collect()
}
