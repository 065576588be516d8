//! The four parts that name a representation.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// What names a representation in its project.
///
/// As a text: `shots/sh010/renderMain/v003/exr`. Files that no template fits are grouped by their
/// folder, which is then the whole text; `.` is the root's own. A folder that would read as the
/// former ends in a `/`, so that each text stands for one naming.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Naming {
    /// What was worked on, as a path: `shots/sh010`.
    pub folder: String,
    /// What of it was published: `renderMain`. Empty, as the others below, where files are grouped
    /// by folder.
    pub product: String,
    /// `v003` or `hero`.
    pub version: String,
    /// In which form: `exr`, `h264_mp4`.
    pub name: String,
}

impl Naming {
    /// Returns the naming of files that are grouped by their folder; the root's own is empty.
    #[must_use]
    pub fn by_folder(folder: &str) -> Self {
        let folder = if folder.is_empty() { "." } else { folder };
        Naming { folder: folder.to_owned(), ..Naming::default() }
    }

    /// Whether files are grouped by their folder.
    #[must_use]
    pub fn is_by_folder(&self) -> bool {
        self.product.is_empty()
    }

    /// Returns the parts of a text that reads as a folder, a product, a version and a name.
    fn parts(text: &str) -> Option<[&str; 4]> {
        let mut parts = text.rsplitn(4, '/');
        let [name, version, product] = [parts.next()?, parts.next()?, parts.next()?];
        let folder = parts.next()?;
        let whole = ![name, product, folder].iter().any(|part| part.is_empty());
        (whole && is_version(version)).then_some([folder, product, version, name])
    }
}

impl fmt::Display for Naming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Naming { folder, product, version, name } = self;
        if !self.is_by_folder() {
            return write!(f, "{folder}/{product}/{version}/{name}");
        }
        f.write_str(folder)?;
        // As a selector, `latest` would be a version.
        let otherwise =
            Naming::parts(folder).is_some() || folder.rsplit('/').nth(1) == Some(LATEST);
        if otherwise { f.write_str("/") } else { Ok(()) }
    }
}

impl FromStr for Naming {
    type Err = NamingError;

    /// Reads what [`Display`](fmt::Display) writes.
    ///
    /// # Errors
    /// A text that is no relative path: empty, or with an empty part, `.` or `..` in it.
    fn from_str(text: &str) -> Result<Self, NamingError> {
        let path = text.strip_suffix('/').unwrap_or(text);
        let odd = |part: &str| matches!(part, "" | "." | "..");
        if path != "." && path.split('/').any(odd) {
            return Err(NamingError(text.to_owned()));
        }
        if path.len() == text.len()
            && let Some(parts) = Naming::parts(text)
        {
            let [folder, product, version, name] = parts.map(str::to_owned);
            return Ok(Naming { folder, product, version, name });
        }
        Ok(Naming::by_folder(path))
    }
}

/// Why a text names no representation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamingError(String);

impl fmt::Display for NamingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.escape_debug();
        write!(
            f,
            "`{text}` names no representation; write it like `shots/sh010/renderMain/v003/exr`"
        )
    }
}

impl std::error::Error for NamingError {}

/// Versions that have no number: they are overwritten in place.
const UNNUMBERED: [&str; 2] = ["hero", "master"];

/// What stands for the newest version, and is none.
pub(super) const LATEST: &str = "latest";

/// The most digits of a version.
const DIGITS: usize = 9;

/// Whether this is a version as a [`Naming`] has it.
pub(super) fn is_version(text: &str) -> bool {
    UNNUMBERED.contains(&text) || number(text).is_some()
}

/// Whether a piece of a path may be a version.
pub(super) fn reads_as_version(text: &str) -> bool {
    UNNUMBERED.contains(&text) || count(text.strip_prefix(['v', 'V']).unwrap_or(text)).is_some()
}

/// Returns the version that such a piece stands for: `v003` for `003`, `V003` and `v003`.
pub(super) fn version(text: &str) -> String {
    if UNNUMBERED.contains(&text) {
        return text.to_owned();
    }
    format!("v{}", text.strip_prefix(['v', 'V']).unwrap_or(text))
}

/// The number of `v003`.
fn number(version: &str) -> Option<u32> {
    version.strip_prefix('v').and_then(count)
}

fn count(digits: &str) -> Option<u32> {
    let sound = digits.len() <= DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    if sound { digits.parse().ok() } else { None }
}

/// By number; those without one are older than all that have one.
pub(super) fn by_age(a: &str, b: &str) -> Ordering {
    number(a).cmp(&number(b)).then_with(|| a.cmp(b))
}

/// Keeps what has the newest version of its folder and product: what `latest` stands for. What is
/// grouped by folder has no version, and goes.
///
/// A version with a number is newer than `hero`.
pub fn newest_versions<T>(found: &mut Vec<T>, naming: impl Fn(&T) -> &Naming) {
    let mut newest: BTreeMap<(String, String), String> = BTreeMap::new();
    for one in found.iter().map(&naming).filter(|one| !one.is_by_folder()) {
        let known = newest.entry((one.folder.clone(), one.product.clone())).or_default();
        if by_age(known, &one.version).is_lt() {
            known.clone_from(&one.version);
        }
    }
    found.retain(|one| {
        let one = naming(one);
        newest.get(&(one.folder.clone(), one.product.clone())) == Some(&one.version)
    });
}
