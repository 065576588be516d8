//! What the host says of each plug-in file: how far it came, and why no further.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// How far a file came on the way to being a provider. In this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// It lies in a plug-in folder.
    Found,
    /// Only those who may run code here can have written it; where that is asked for, it was admitted.
    Trusted,
    /// It is a library of this machine's kind, and has a manifest.
    Inspected,
    /// It fits this host, as its manifest has it.
    Gated,
    /// A child process loaded it and came back.
    Probed,
    /// It is in use.
    Loaded,
}

impl Stage {
    /// All of them, first to last.
    pub const ALL: [Stage; 6] = [
        Stage::Found,
        Stage::Trusted,
        Stage::Inspected,
        Stage::Gated,
        Stage::Probed,
        Stage::Loaded,
    ];
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Found => "found",
            Stage::Trusted => "trusted",
            Stage::Inspected => "inspected",
            Stage::Gated => "gated",
            Stage::Probed => "probed",
            Stage::Loaded => "loaded",
        })
    }
}

/// Why something is not done, and what to do about it. Both are for people; each is one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What is wrong, without a full stop.
    pub reason: String,
    /// What to do, without a full stop.
    pub remedy: String,
}

impl Refusal {
    pub(super) fn new(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Refusal { reason: one_line(&reason.into()), remedy: one_line(&remedy.into()) }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.reason, self.remedy)
    }
}

impl std::error::Error for Refusal {}

/// One plug-in file, or one provider of this very binary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The file; `None` for a provider of this very binary.
    pub path: Option<PathBuf>,
    /// The provider's name, once its manifest was read.
    pub name: Option<String>,
    /// The plug-in's version.
    pub version: Option<String>,
    /// The version of provider-api that it was built with.
    pub api: Option<String>,
    /// The target that it was built for.
    pub target: Option<String>,
    /// The digest of its content, in hex, where it is known: a file that was never loaded is not
    /// read as a whole.
    pub sha256: Option<String>,
    /// Whose it is: `user 0, mode 0644`.
    pub trust: Option<String>,
    /// When its content was admitted, if it was: RFC 3339, UTC.
    pub admitted: Option<String>,
    /// How far it came.
    pub stage: Stage,
    /// Why it came no further, if it was refused.
    pub refused: Option<Refusal>,
    /// The file that is used in its place: a higher version, or one of an earlier folder.
    pub superseded_by: Option<PathBuf>,
    /// It is at work, though its content lies in no plug-in folder any more.
    pub lingers: Option<Lingers>,
}

/// For how long a provider works whose file was replaced or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lingers {
    /// Another one serves; this one ends what it began.
    UntilItsWorkEnds,
    /// Nothing else serves: it goes on until the service is restarted.
    UntilRestart,
}

impl Report {
    /// True if this is what its provider's name stands for.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.stage >= Stage::Gated && self.refused.is_none() && self.superseded_by.is_none()
    }
}

/// A plug-in folder.
#[derive(Debug, Clone, Serialize)]
pub struct FolderReport {
    /// The folder as it was given.
    pub path: PathBuf,
    /// False if it isn't there, which is fine.
    pub exists: bool,
    /// Why nothing in it is used.
    pub refused: Option<Refusal>,
}

/// A text whose control characters can't do anything to a terminal or a log.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A path as an argument for a shell.
pub(super) fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:@,%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
