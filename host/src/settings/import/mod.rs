//! Settings of OpenPype and AYON -> a settings text of ours, and what did not fit into it.
//!
//! `openpype` and `ayon` know the shape of an export, and pour it into a draft; `write` makes
//! the text. What comes out passes our own check wherever its variables are set. Nothing is lost in
//! silence: what is not in the text is in [`Imported::left`], but for other parts of a pipeline's
//! settings.
//!
//! Both keep a folder for each project beneath a root; here a root is a project's own folder, so
//! `{project}` is added.

mod ayon;
mod draft;
mod json;
mod openpype;
mod write;

use std::fmt;

use serde_json::Value;

use self::draft::Draft;
use super::context::Platform;

/// Where settings come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// The blocks `sync_server` of OpenPype's system, project and local settings.
    OpenPype,
    /// The settings of AYON's addon `sitesync`.
    Ayon,
}

/// What became of an export.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Imported {
    /// A settings file.
    pub text: String,
    /// Whether the text holds a password or token.
    pub secret: bool,
    /// What is not in it, in the order in which it was found.
    pub left: Vec<Left>,
}

/// What could not be taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Left {
    /// Where it stands in the export: `sites.gdrive.alternative_sites`.
    pub at: String,
    /// Why.
    pub why: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Left {
    /// Two lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not taken over: {}: {}\n  help: {}", self.at, self.why, self.remedy)
    }
}

/// Returns what exported blocks come to, those of one studio. `project` is whose settings they are,
/// where they do not say so; `platform` is that of this machine.
///
/// # Errors
/// A sentence: nothing in them looks like such settings.
pub fn import(
    from: From,
    exports: &[Value],
    project: Option<&str>,
    platform: Platform,
) -> Result<Imported, String> {
    let mut draft = Draft::default();
    let (known, name) = match from {
        From::OpenPype => (openpype::read(exports, project, &mut draft), "OpenPype"),
        From::Ayon => (ayon::read(exports, project, &mut draft), "AYON"),
    };
    if !known {
        return Err(format!("nothing in this looks like settings of {name}'s Site Sync"));
    }
    draft.settle(platform);
    let text = write::text(&draft, name);
    Ok(Imported { text, secret: draft.has_secret(), left: draft.left })
}
