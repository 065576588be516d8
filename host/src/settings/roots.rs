//! `root.NAME` of a site, and paths that differ by platform.

use std::collections::BTreeMap;

use super::context::Platform;
use super::expand::Trouble;
use super::read::{Field, Fields, Report, fields};
use super::sections::{Root, is_name};
use super::tree::Value;

/// Returns the roots by name.
pub(super) fn read_roots(
    field: &Field<'_>,
    report: &mut Report<'_>,
    platform: Platform,
) -> BTreeMap<String, Root> {
    let table = report.table(field, "root.work = \"/mnt/studio/{project}\"").unwrap_or_default();
    if !table.is_empty() && table.iter().all(|field| Platform::NAMES.contains(&field.name)) {
        report.error(
            field.key,
            "a root has a name, and the platforms stand below it",
            "write `root.work = { linux = \"...\", windows = \"...\" }`",
        );
        return BTreeMap::new();
    }
    let mut roots = BTreeMap::new();
    for field in &table {
        if !is_name("root", field, report) {
            continue;
        }
        let path = match field.value {
            Value::Table(paths) | Value::Paths(paths) => {
                platform_path(field, &fields(paths), report, platform)
            }
            Value::Array(_) => {
                let message = format!("root `{}` must be a path, not an array", field.name);
                report.error(field.span, message, "give every folder a root name of its own");
                None
            }
            _ => report.string(field, "/mnt/studio/{project}").map(Ok),
        };
        // An unreadable path leaves a root that needs no second complaint.
        let path = path.unwrap_or_else(|| Err(Trouble::reported()));
        roots.insert(field.name.to_owned(), Root { name: field.key, value: field.span, path });
    }
    roots
}

/// Returns this platform's path; `None` if what is wrong was reported.
pub(super) fn platform_path(
    field: &Field<'_>,
    paths: &Fields<'_>,
    report: &mut Report<'_>,
    platform: Platform,
) -> Option<Result<String, Trouble>> {
    let mut found = None;
    let mut sound = true;
    for path in paths {
        if !Platform::NAMES.contains(&path.name) {
            let place = format!("the paths of `{}`", field.name);
            if matches!(path.name, "macos" | "mac" | "osx") {
                let message = format!("there is no key `{}` in {place}", path.name);
                report.error(path.key, message, "did you mean `darwin`?");
            } else {
                report.unknown(path, &place, &Platform::NAMES);
            }
            sound = false;
            continue;
        }
        let text = report.string(path, "/mnt/studio/{project}");
        sound &= text.is_some();
        if path.name == platform.name() {
            found = text;
        }
    }
    if !sound {
        return None;
    }
    Some(found.ok_or_else(|| {
        let platform = platform.name();
        Trouble::new(
            format!("`{}` has no path for {platform}, which this machine runs", field.name),
            format!("add `{platform} = \"...\"`"),
        )
    }))
}
