//! TOML on disk -> one effective, validated value.
//!
//! What lives here: reading `sitesync.toml`, checking it as a whole, and telling *all* that is
//! wrong with it at once, each with its place and what to write instead. A value that comes out
//! of [`Settings::load`] needs no further checking: every site that a project names exists, every
//! root that is worked on has its variables filled in, no two projects share a folder.
//!
//! What it never knows: what a provider's own settings mean (they are handed on as JSON), whether
//! a folder exists, the terminal. The environment is read in [`Context::from_process`] only.
//!
//! One way through: `source` (text) -> `read` (typed values) -> `sections` (tables, with `sites`,
//! `roots` and `foreign`) -> `resolve` and `overlap` (projects against sites) -> `model`. Further
//! layers merge between `sections` and `resolve`.

mod context;
pub mod edit;
mod error;
mod expand;
mod file;
mod foreign;
mod model;
mod nearest;
mod overlap;
mod pattern;
mod read;
mod resolve;
mod roots;
pub mod save;
mod sections;
mod sites;
mod source;
#[cfg(test)]
mod tests;
pub mod units;

pub use context::{Context, Platform};
pub use error::{Errors, Level, Place, Problem};
pub use model::{Host, Plugins, Project, ProjectSite, Settings, Site, Sync, Travel, Trust, Verify};
pub(crate) use nearest::nearest;
pub use pattern::name_matches;
pub(crate) use source::is_secret;
pub use source::{Source, Span};

use std::path::{Path, PathBuf};

/// Settings that hold, and what their owner should know about them.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Loaded {
    /// The effective value.
    pub settings: Settings,
    /// What is allowed and probably not meant, in the order of the file.
    pub notes: Vec<Problem>,
    /// The text that the spans in `settings` point into: for problems that show later, as when a
    /// provider refuses its settings.
    pub source: Source,
}

impl Settings {
    /// Returns the first of these paths at which there is a file, for [`Settings::load`].
    ///
    /// # Errors
    /// One problem that says where was looked.
    pub fn find(candidates: &[PathBuf]) -> Result<PathBuf, Errors> {
        file::find(candidates)
    }

    /// Reads and checks a settings file.
    ///
    /// # Errors
    /// Everything that is wrong with it. A file that is missing, that is not a regular one, or
    /// that group or others can write to is one problem without a place.
    pub fn load(path: &Path, context: &Context) -> Result<Loaded, Errors> {
        let source = file::read(path)?;
        check(source, context)
    }

    /// Checks a text; `file_name` is what problems call it.
    ///
    /// # Errors
    /// Everything that is wrong with it. If it is no TOML, all of its syntax errors and nothing
    /// else, since the rest would be guesses.
    pub fn parse(text: &str, file_name: &str, context: &Context) -> Result<Loaded, Errors> {
        check(Source::new(file_name, text), context)
    }
}

fn check(source: Source, context: &Context) -> Result<Loaded, Errors> {
    let mut report = read::Report::new(&source);
    let settings = sections::read(&mut report, context)
        .map(|sections| resolve::resolve(sections, &mut report, context));
    let (errors, notes) = report.finish();
    match settings {
        Some(settings) if errors.is_empty() => Ok(Loaded { settings, notes, source }),
        _ => Err(Errors::new(errors, notes)),
    }
}
