//! What a representation is called, as text, and patterns for such names.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::settings::name_matches;

/// The four parts of a representation's name.
///
/// What matched no template is grouped by its folder and has no other part. As text it is
/// `folder/product/version/name`, or the folder alone: `.` for a root's own, and with a `/` at its
/// end where it could be taken for four parts.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Naming {
    /// The path of the folder in the production (`shots/sq01/sh010`), or of the files' own folder
    /// beneath their root; `/`-separated, empty for the root's own.
    pub folder: String,
    /// `renderMain`; empty where files are grouped by folder.
    pub product: String,
    /// `v003`; likewise.
    pub version: String,
    /// `exr`; likewise.
    pub name: String,
}

/// Why a text or four parts name no representation. `Display` is a sentence for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongNaming(String);

impl fmt::Display for WrongNaming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WrongNaming {}

impl Naming {
    /// What groups the files of one folder.
    #[must_use]
    pub fn of_folder(path: &str) -> Self {
        Naming { folder: path.to_owned(), ..Naming::default() }
    }

    /// Whether it groups the files of one folder.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.product.is_empty() && self.version.is_empty() && self.name.is_empty()
    }

    /// Whether it can be stored and told from every other one by its text.
    pub fn check(&self) -> Result<(), WrongNaming> {
        let wrong =
            |why: &str| Err(WrongNaming(format!("'{self}' names no representation: {why}")));
        for (part, what) in
            [(&self.product, "product"), (&self.version, "version"), (&self.name, "name")]
        {
            if part.contains('/') {
                return wrong(&format!("its {what} {part:?} has a '/'"));
            }
        }
        if !self.is_folder() && self.name.is_empty() {
            return wrong(
                "it has a product or a version, and no name; write folder/product/version/name",
            );
        }
        let whole = self.folder.is_empty() || self.folder.split('/').all(|part| !part.is_empty());
        if !whole || self.folder == "." {
            return wrong(&format!("{:?} is no path of a folder; write it like a/b", self.folder));
        }
        Ok(())
    }
}

impl fmt::Display for Naming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = if self.folder.is_empty() { "." } else { &self.folder };
        if !self.is_folder() {
            return write!(f, "{folder}/{}/{}/{}", self.product, self.version, self.name);
        }
        f.write_str(folder)?;
        if folder.matches('/').count() >= 3 { f.write_str("/") } else { Ok(()) }
    }
}

/// The four parts of a text, unchecked.
fn parts(text: &str) -> [String; 4] {
    let folder = |path: &str| if path == "." { String::new() } else { path.to_owned() };
    let alone = |path: &str| [folder(path), String::new(), String::new(), String::new()];
    if let Some(path) = text.strip_suffix('/') {
        return alone(path);
    }
    let mut from_behind = text.rsplitn(4, '/');
    let mut next = || from_behind.next();
    match (next(), next(), next(), next()) {
        (Some(name), Some(version), Some(product), Some(path)) => {
            [folder(path), product.to_owned(), version.to_owned(), name.to_owned()]
        }
        _ => alone(text),
    }
}

impl FromStr for Naming {
    type Err = WrongNaming;

    fn from_str(text: &str) -> Result<Self, WrongNaming> {
        if text.is_empty() {
            return Err(WrongNaming("an empty text names no representation".to_owned()));
        }
        let [folder, product, version, name] = parts(text);
        let naming = Naming { folder, product, version, name };
        naming.check()?;
        Ok(naming)
    }
}

/// Which representations are meant: a pattern for each part, in which `*` is any text, also with
/// `/` in it, and `?` any one character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamingPattern {
    /// For the folder.
    pub folder: String,
    /// For the product.
    pub product: String,
    /// For the version; [`LATEST`](Self::LATEST) is the highest of each folder and product.
    pub version: String,
    /// For the name.
    pub name: String,
}

impl NamingPattern {
    /// The version that stands for the highest there is.
    pub const LATEST: &str = "latest";

    /// The pattern in a text, split like that of a [`Naming`].
    #[must_use]
    pub fn of(text: &str) -> Self {
        let [folder, product, version, name] = parts(text);
        NamingPattern { folder, product, version, name }
    }

    /// What every folder that fits begins with.
    pub(super) fn folder_prefix(&self) -> &str {
        let end = self.folder.find(['*', '?']).unwrap_or(self.folder.len());
        &self.folder[..end]
    }

    /// Whether folder and product fit.
    pub(super) fn fits_product(&self, folder: &str, product: &str) -> bool {
        name_matches(&self.folder, folder) && name_matches(&self.product, product)
    }

    /// Whether a version fits; of `latest`, any can.
    pub(super) fn fits_version(&self, version: &str) -> bool {
        if self.is_latest() { !version.is_empty() } else { name_matches(&self.version, version) }
    }

    pub(super) fn is_latest(&self) -> bool {
        self.version == Self::LATEST
    }
}

/// The order of versions: by their numbers, so that `v10` follows `v9`. What has no number, like
/// `hero`, is no step of the order and comes before all that have one.
pub(super) fn by_version(a: &str, b: &str) -> Ordering {
    let numbered = |text: &str| text.bytes().any(|byte| byte.is_ascii_digit());
    numbered(a).cmp(&numbered(b)).then_with(|| by_number(a, b)).then_with(|| a.cmp(b))
}

fn by_number(mut a: &str, mut b: &str) -> Ordering {
    loop {
        let (x, y) = (digits(a), digits(b));
        if x > 0 && y > 0 {
            let (left, right) = (a[..x].trim_start_matches('0'), b[..y].trim_start_matches('0'));
            let order = left.len().cmp(&right.len()).then_with(|| left.cmp(right));
            if order != Ordering::Equal {
                return order;
            }
            (a, b) = (&a[x..], &b[y..]);
            continue;
        }
        let (mut left, mut right) = (a.chars(), b.chars());
        match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (x, y) if x == y => (a, b) = (left.as_str(), right.as_str()),
            (x, y) => return x.cmp(&y),
        }
    }
}

/// How many digits a text begins with.
fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}
