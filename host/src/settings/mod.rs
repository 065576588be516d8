//! TOML in layers -> one effective, validated value.
//!
//! What lives here: reading `sitesync.toml`, `local.toml` and what environment and command line add
//! to them, checking all of it as a whole, and telling *all* that is wrong with it at once, each
//! with its place and what to write instead. A value that comes out of [`Settings::load`] needs no
//! further checking: every site that a project names exists, every root that is worked on has its
//! variables filled in, no two projects share a folder.
//!
//! What it never knows: what a provider's own settings mean (they are handed on as JSON, and what
//! a provider declares of them is handed in: see [`provider`]), whether
//! a folder exists, the terminal. The environment is read in [`Context::from_process`] only.
//!
//! One way through: `source` (text; `file` and `given` make it) -> `syntax` and `tree` (values with
//! their places) -> `sections` (every document by itself, with `read`, `sites`, `roots` and
//! `foreign`) -> `layers` (merged) -> `sections` once more -> `resolve` and `overlap` (projects
//! against sites) -> `model`.

mod context;
pub mod edit;
pub mod editor;
mod error;
mod expand;
mod file;
mod folders;
mod foreign;
mod given;
pub mod import;
mod keys;
mod layers;
mod model;
mod nearest;
mod old;
mod origin;
mod overlap;
mod paths;
pub mod provider;
mod read;
pub mod reference;
mod resolve;
mod roots;
pub mod save;
mod scope;
mod secrets;
mod sections;
mod sites;
mod source;
mod syntax;
#[cfg(test)]
mod tests;
mod toml_text;
mod tree;
pub mod units;

pub use crate::publish::name_matches;
pub use context::{Context, Platform};
pub use error::{Errors, Level, Place, Problem};
pub use folders::Found;
pub use given::{SITE_ID_VARIABLE, VARIABLE};
pub use layers::Layer;
pub use model::{
    Conflicts, Deletes, Guard, Host, Plugins, Project, ProjectSite, Settings, Site, Sync, Travel,
    Trust, Verify,
};
pub(crate) use nearest::nearest;
pub use origin::{Effective, Origin, Origins};
pub use paths::Paths;
pub(crate) use source::is_secret;
pub use source::{Source, Span};

use std::path::PathBuf;
use std::sync::Arc;

/// Where settings come from.
#[derive(Clone, Default)]
pub struct Files {
    /// `sitesync.toml`.
    pub system: PathBuf,
    /// `local.toml`, if it is there: what it names must exist.
    pub local: Option<PathBuf>,
    /// Lines `KEY=VALUE`, as [`VARIABLE`] holds them.
    pub environment: String,
    /// This machine's site id, as [`SITE_ID_VARIABLE`] holds it.
    pub site_id: Option<String>,
    /// Each `KEY=VALUE`, as `--set` gives it.
    pub flags: Vec<String>,
}

// Not derived: values may be passwords.
impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files")
            .field("system", &self.system)
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

/// Settings that hold, and what their owner should know about them.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Loaded {
    /// The effective value.
    pub settings: Settings,
    /// What is allowed and probably not meant, in the order of the documents.
    pub notes: Vec<Problem>,
    /// The documents that the spans in `settings` point into, by number: for problems that show
    /// later, as when a provider refuses its settings.
    pub sources: Arc<[Source]>,
    /// Where each value comes from.
    pub origins: Origins,
}

impl Loaded {
    /// Returns the document that a span is of.
    #[must_use]
    pub fn source(&self, span: Span) -> &Source {
        &self.sources[span.document as usize]
    }

    /// Returns the settings with a project for every folder that was found in
    /// [`Settings::folders`], beneath all other layers. Folders that cannot be projects are noted.
    ///
    /// # Errors
    /// Everything that is wrong once these projects are there.
    pub fn with_folders(&self, found: &[Found], context: &Context) -> Result<Loaded, Errors> {
        let is_kept = |source: &&Source| !matches!(source.layer(), Layer::BuiltIn | Layer::Folders);
        let mut documents: Vec<Source> = self.sources.iter().filter(is_kept).cloned().collect();
        let mut notes = Vec::new();
        for found in found {
            let (document, others) = folders::document(found);
            documents.push(document);
            notes.extend(others);
        }
        let mut loaded = Settings::check(documents, context)?;
        loaded.notes.extend(notes);
        Ok(loaded)
    }
}

impl Settings {
    /// Returns the first of these paths at which there is a file, for [`Settings::load`].
    ///
    /// # Errors
    /// One problem that says where was looked.
    pub fn find(candidates: &[PathBuf]) -> Result<PathBuf, Errors> {
        file::find(candidates)
    }

    /// Reads and checks the settings of all layers.
    ///
    /// # Errors
    /// Everything that is wrong with any of them. A file that is missing, that is not a regular
    /// one, or that others can write to is one problem without a place.
    pub fn load(files: &Files, context: &Context) -> Result<Loaded, Errors> {
        Settings::check(Settings::documents(files)?, context)
    }

    /// Reads the settings of all layers, for [`Settings::check`].
    ///
    /// # Errors
    /// A file that is missing, that is not a regular one, or that others can write to.
    pub fn documents(files: &Files) -> Result<Vec<Source>, Errors> {
        let system = file::read(&files.system, Layer::System);
        let local = files.local.as_ref().map(|path| file::read(path, Layer::Local)).transpose();
        let (system, local) = match (system, local) {
            (Ok(system), Ok(local)) => (system, local),
            (Err(mut errors), Err(more)) => {
                errors.errors.extend(more.errors);
                return Err(errors);
            }
            (Err(errors), Ok(_)) | (Ok(_), Err(errors)) => return Err(errors),
        };
        let mut sources = vec![system];
        sources.extend(local);
        sources.push(given::environment(&files.environment));
        sources.extend(files.site_id.as_deref().map(given::site_id));
        sources.extend(files.flags.iter().map(|flag| given::flag(flag)));
        Ok(sources)
    }

    /// Checks a text as if it were the only file; `file_name` is what problems call it.
    ///
    /// # Errors
    /// Everything that is wrong with it. If it is no TOML, all of its syntax errors and nothing
    /// else, since the rest would be guesses.
    pub fn parse(text: &str, file_name: &str, context: &Context) -> Result<Loaded, Errors> {
        Settings::check(vec![Source::new(Layer::System, file_name, text)], context)
    }

    /// Checks documents, of whatever layers. Of one layer, a later one lies over an earlier one.
    ///
    /// # Errors
    /// Everything that is wrong with any of them. Where one is no TOML, what they come to together
    /// is left for when it is.
    pub fn check(documents: Vec<Source>, context: &Context) -> Result<Loaded, Errors> {
        let built_in = Source::new(Layer::BuiltIn, "what is built in", layers::BUILT_IN);
        let sources: Arc<[Source]> = std::iter::once(built_in).chain(documents).collect();
        let mut report = read::Report::new(&sources);
        let mut parsed = Vec::new();
        for (number, source) in (0..).zip(sources.iter()) {
            if let Some(mut table) = syntax::parse(source, number, &mut report) {
                old::replace(&mut table, &mut report);
                sections::check(&table, &mut report, context);
                secrets::note(&table, source, &mut report);
                parsed.push(layers::Document { layer: source.layer(), table });
            }
        }
        let (local, others): (Vec<_>, Vec<_>) =
            parsed.into_iter().partition(|document| document.layer == Layer::Local);
        for document in &local {
            scope::check(&document.table, &others, &mut report);
        }
        if local.len() + others.len() < sources.len() {
            let (errors, notes) = report.finish();
            return Err(Errors::new(errors, notes));
        }
        let layers = layers::Layers::new(local.into_iter().chain(others));
        let sections = sections::read(&layers, &mut report, context);
        let file = sources.iter().find(|source| source.layer() == Layer::System);
        let file = file.map_or("", Source::name);
        let settings = resolve::resolve(sections, file, &mut report, context);
        let (errors, notes) = report.finish();
        if !errors.is_empty() {
            return Err(Errors::new(errors, notes));
        }
        let origins = Origins::new(layers, sources.clone());
        Ok(Loaded { settings, notes, sources, origins })
    }
}
