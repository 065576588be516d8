//! What commands take to say which representations or files are meant.

use std::fmt;
use std::str::FromStr;

use super::glob::name_matches;
use super::naming::{LATEST, Naming};
use super::shown::echoed;

/// One thing that a command is about. `Display` is what it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// `#123`: a representation by its id in the catalog.
    Id(i64),
    /// `shots/sh010/renderMain/v003/exr`, or with `*`, `?`, `**` and `latest` in it.
    Naming(NamingPattern),
    /// `{root[work]}/shots/sh010/a.exr`: a file by its root and its path below that.
    File {
        /// The root's name.
        root: String,
        /// Its parts are plain, and there is at least one.
        path: String,
    },
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::Id(id) => write!(f, "#{id}"),
            Selector::Naming(pattern) => pattern.fmt(f),
            Selector::File { root, path } => write!(f, "{{root[{root}]}}/{path}"),
        }
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let wrong = |why: &str| SelectorError::new(text, why);
        if text.is_empty() {
            return Err(wrong(
                "is empty; write it like `shots/sh010/renderMain/v003/exr`, or `#12`",
            ));
        }
        let digits = text.strip_prefix('#').unwrap_or_default();
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            let id = digits.parse().ok().filter(|id| *id > 0);
            return id.map(Selector::Id).ok_or_else(|| wrong("is no id; ids begin with `#1`"));
        }
        if let Some(rest) = text.strip_prefix("{root[") {
            let parts = rest.split_once("]}/").filter(|(root, path)| {
                !root.is_empty() && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
            });
            let (root, path) = parts.ok_or_else(|| {
                wrong("is no path below a root; write it like `{root[work]}/shots/sh010/plate.exr`")
            })?;
            return Ok(Selector::File { root: root.to_owned(), path: path.to_owned() });
        }
        text.parse().map(Selector::Naming)
    }
}

impl Selector {
    /// Reads one selector a line; empty lines say nothing.
    ///
    /// # Errors
    /// The first line that is none, with its number.
    pub fn lines(text: &str) -> Result<Vec<Selector>, SelectorError> {
        let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
        lines
            .map(|(number, line)| {
                line.parse().map_err(|error: SelectorError| error.in_line(number))
            })
            .collect()
    }
}

/// Which representations are meant, by their namings as texts.
///
/// In each part, `*` is any text and `?` any one character. A part `**` stands for any number of
/// parts, none included: `shots/**` is what lies in `shots`, at any depth. Where the version stands,
/// `latest` is the newest of each folder and product. What ends in a `/` is a folder by which files
/// are grouped. Case counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamingPattern {
    text: String,
    /// At least one.
    parts: Vec<String>,
    /// The last part but one is [`LATEST`].
    latest: bool,
    /// Only what is grouped by folder.
    by_folder: bool,
    /// The only one that fits.
    exact: Option<Naming>,
}

impl fmt::Display for NamingPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for NamingPattern {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let wrong = |why: &str| Err(SelectorError::new(text, why));
        // So that names which begin with `#` or `{` can be written.
        let plain = text.strip_prefix("./").filter(|rest| !rest.is_empty()).unwrap_or(text);
        let path = plain.strip_suffix('/').unwrap_or(plain);
        let parts: Vec<String> = path.split('/').map(str::to_owned).collect();
        if path != "." && parts.iter().any(|part| matches!(part.as_str(), "" | "." | "..")) {
            return wrong(
                "has an empty part, `.` or `..`; write it like `shots/sh010/renderMain/v003/exr`",
            );
        }
        if parts.iter().any(|part| part.contains("**") && part != "**") {
            return wrong("has `**` within a part; let it stand alone, or write one `*`");
        }
        let by_folder = path.len() < plain.len();
        let any_depth = parts.iter().any(|part| part == "**");
        let latest = !by_folder
            && (parts.len() >= 4 || any_depth)
            && parts.len() >= 2
            && parts[parts.len() - 2] == LATEST;
        let is_exact = !latest && !plain.contains(['*', '?']);
        let exact = if is_exact { plain.parse().ok() } else { None };
        Ok(NamingPattern { text: text.to_owned(), parts, latest, by_folder, exact })
    }
}

impl NamingPattern {
    /// Returns the only naming that fits, where the pattern is no more than one.
    #[must_use]
    pub fn exact(&self) -> Option<&Naming> {
        self.exact.as_ref()
    }

    /// Whether of those that fit, the [newest versions](super::newest_versions) are meant.
    #[must_use]
    pub fn latest(&self) -> bool {
        self.latest
    }

    /// Returns the path of the file that the text may be instead, as the queue shows it.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        let is_path = !self.by_folder && !self.text.starts_with("./") && self.text != ".";
        is_path.then_some(self.text.as_str())
    }

    /// Returns the folder that the [`folder`](Naming::folder) of everything that fits is, or lies
    /// in; empty for any. With it, a catalog need not try all that it has.
    #[must_use]
    pub fn within(&self) -> String {
        if let Some(exact) = &self.exact {
            return exact.folder.clone();
        }
        let fixed = |part: &&String| !part.contains(['*', '?']);
        let fixed = self.parts.iter().take_while(fixed).count();
        let any_depth = self.parts.iter().any(|part| part == "**");
        // The last three parts may be product, version and name.
        let of_folder = match (self.by_folder, any_depth) {
            (true, _) => fixed,
            (false, true) => fixed.saturating_sub(3).max(1),
            (false, false) => self.parts.len().saturating_sub(3).max(1),
        };
        self.parts[..fixed.min(of_folder)].join("/")
    }

    /// Whether a naming fits; with [`NamingPattern::latest`], whatever its version is.
    #[must_use]
    pub fn matches(&self, naming: &Naming) -> bool {
        if let Some(exact) = &self.exact {
            return exact == naming;
        }
        if naming.is_by_folder() {
            let parts: Vec<&str> = naming.folder.split('/').collect();
            return !self.latest && fit(&self.parts, &parts);
        }
        let Naming { folder, product, version, name } = naming;
        let version = if self.latest { LATEST } else { version };
        let parts: Vec<&str> = folder.split('/').chain([product.as_str(), version, name]).collect();
        !self.by_folder && fit(&self.parts, &parts)
    }
}

/// Whether patterns fit all of these parts, `**` for any number of them.
fn fit(patterns: &[String], parts: &[&str]) -> bool {
    let (mut p, mut n) = (0, 0);
    // As in `name_matches`: going back to the last `**` alone is enough.
    let mut deep: Option<(usize, usize)> = None;
    while n < parts.len() {
        match patterns.get(p) {
            Some(pattern) if pattern == "**" => {
                deep = Some((p, n));
                p += 1;
            }
            Some(pattern) if pattern == parts[n] || name_matches(pattern, parts[n]) => {
                p += 1;
                n += 1;
            }
            _ => match deep {
                Some((at, tried)) => {
                    deep = Some((at, tried + 1));
                    p = at + 1;
                    n = tried + 1;
                }
                None => return false,
            },
        }
    }
    patterns[p..].iter().all(|pattern| pattern == "**")
}

/// Why a text is no selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectorError(String);

impl SelectorError {
    fn new(text: &str, why: &str) -> Self {
        SelectorError(format!("selector `{}` {why}", echoed(text)))
    }

    fn in_line(self, number: usize) -> Self {
        SelectorError(format!("line {number}: {}", self.0))
    }
}

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SelectorError {}
