//! `projects = "folders"`: a project for every folder where the active site keeps its projects.
//!
//! Which folders there are is told from outside; here they become a document like any other.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::context::Context;
use super::error::{Level, Problem};
use super::expand::{Trouble, expand};
use super::layers::Layer;
use super::model::Sync;
use super::sections::{SiteSection, sound_name};
use super::source::Source;

/// What was found in one of [`Settings::folders`](super::Settings::folders).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The folder that was looked into.
    pub place: PathBuf,
    /// The names of the folders right in it, in any order; what is no UTF-8 with marks in its
    /// place.
    pub names: Vec<String>,
}

/// The only provider whose paths are those of this machine.
const ON_DISK: &str = "local_drive";
/// Stands for a project's name, and in no path.
const MARK: &str = "\u{1}";

/// Returns the folders in which projects are looked for: those of the active site's roots up to
/// `{project}`.
pub(super) fn places(
    sync: &Sync,
    sites: &BTreeMap<String, SiteSection>,
    context: &Context,
) -> Result<Vec<PathBuf>, Trouble> {
    let name = &sync.active_site;
    // An unknown name was reported.
    let Some(site) = sites.get(name) else { return Ok(Vec::new()) };
    if site.site.provider != ON_DISK {
        return Err(Trouble::new(
            format!(
                "`projects = \"folders\"` looks at this machine's disks, and the active site \
                 `{name}` is not on one"
            ),
            "write \"listed\", and a [projects.NAME] for each project",
        ));
    }
    let mut places: Vec<PathBuf> = Vec::new();
    for root in site.roots.values() {
        let Ok(path) = &root.path else { continue };
        let path = expand(path, Some(MARK), context)?;
        // As a part of a name it would need taking folder names apart.
        let Some(at) = path.split('/').position(|part| part == MARK) else { continue };
        let place: PathBuf = path.split('/').take(at).collect::<Vec<_>>().join("/").into();
        if place.is_absolute() && !places.contains(&place) {
            places.push(place);
        }
    }
    if places.is_empty() {
        return Err(Trouble::new(
            format!("the active site `{name}` has no root with a folder `{{project}}` in it"),
            format!("for example `root.work = \"/mnt/studio/{{project}}\"` in [sites.{name}]"),
        ));
    }
    Ok(places)
}

/// Returns the folders as a document, and what is not to be a project as notes.
pub(super) fn document(found: &Found) -> (Source, Vec<Problem>) {
    let place = found.place.display().to_string();
    let mut names: Vec<&str> = found.names.iter().map(String::as_str).collect();
    names.sort_unstable();
    let (sound, others): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| sound_name(name));
    let tables: Vec<String> = sound
        .into_iter()
        .map(|name| format!("[projects.{}]", toml::Value::String(name.to_owned())))
        .collect();
    let notes = others.into_iter().map(|name| {
        let why = if name.starts_with('.') {
            "its name begins with `.`"
        } else {
            "a project cannot have its name"
        };
        let message = format!("folder `{}` is no project: {why}", name.escape_debug());
        Problem::new(Level::Note, &place, message)
    });
    let notes = notes.collect();
    (Source::new(Layer::Folders, format!("the folders in {place}"), tables.join("\n")), notes)
}
