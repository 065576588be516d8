//! What a storage says of a file, and of the folders it lists.

use std::collections::BTreeMap;

use crate::Error;

/// What something is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A file with bytes.
    #[default]
    File,
    /// A folder.
    Folder,
    /// Neither, or not to be expressed here: a device, a Google Doc, a name that is not UTF-8.
    Other,
}

/// A digest that the service keeps: the algorithm's name in lower case (`md5`), and its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checksum {
    /// `md5`, `sha1`, `sha256`, `crc32c` ...
    pub algorithm: String,
    /// The digest itself, not its hex form.
    pub digest: Vec<u8>,
}

impl Checksum {
    /// A digest by this algorithm.
    #[must_use]
    pub fn new(algorithm: impl Into<String>, digest: impl Into<Vec<u8>>) -> Self {
        Checksum { algorithm: algorithm.into(), digest: digest.into() }
    }
}

/// What a storage says of one file or folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// What it is.
    pub kind: Kind,
    /// Bytes; 0 for a folder.
    pub size: u64,
    /// Last change of the content, ns since the epoch, UTC.
    pub mtime_ns: Option<i64>,
    /// The site's **fingerprint** of the content: changes whenever the content does. A provider
    /// that leaves it empty is given one of size and mtime by the host.
    pub version: Option<String>,
    /// The service's own id.
    pub id: Option<String>,
    /// Digests that the service keeps.
    pub checksums: Vec<Checksum>,
    /// True if the service itself checked the content as it arrived, by one of `checksums`.
    pub verified: bool,
    /// Unix permission bits (`0o755`), where there are any.
    pub mode: Option<u32>,
    /// What else there is to say, for people.
    pub extras: BTreeMap<String, String>,
}

impl Metadata {
    /// A file of so many bytes.
    #[must_use]
    pub fn file(size: u64) -> Self {
        Metadata { size, ..Metadata::default() }
    }

    /// A folder.
    #[must_use]
    pub fn folder() -> Self {
        Metadata { kind: Kind::Folder, ..Metadata::default() }
    }

    /// The fingerprint.
    #[must_use]
    pub fn with_version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Last change of the content, ns since the epoch, UTC.
    #[must_use]
    pub fn with_mtime_ns(mut self, mtime_ns: Option<i64>) -> Self {
        self.mtime_ns = mtime_ns;
        self
    }

    /// The service's own id.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// One more digest that the service keeps.
    #[must_use]
    pub fn with_checksum(mut self, checksum: Checksum) -> Self {
        self.checksums.push(checksum);
        self
    }

    /// The service itself checked the content.
    #[must_use]
    pub fn with_verified(mut self, verified: bool) -> Self {
        self.verified = verified;
        self
    }

    /// Unix permission bits.
    #[must_use]
    pub fn with_mode(mut self, mode: Option<u32>) -> Self {
        self.mode = mode;
        self
    }

    /// The fingerprint, or one of size and mtime where the provider gives none.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        match &self.version {
            Some(version) => version.clone(),
            None => format!("{}-{}", self.size, self.mtime_ns.unwrap_or_default()),
        }
    }
}

/// One name of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The name, without its folder. For a skipped entry it is only shown: it may be lossy.
    pub name: String,
    /// What is known of it.
    pub metadata: Metadata,
    /// Why it cannot travel (`a socket`, `a name that is not UTF-8`); `None` for what can.
    pub skipped: Option<String>,
}

impl Entry {
    /// A file or folder.
    #[must_use]
    pub fn new(name: impl Into<String>, metadata: Metadata) -> Self {
        Entry { name: name.into(), metadata, skipped: None }
    }

    /// Something that exists and cannot travel, with the reason.
    #[must_use]
    pub fn skipped(name: impl Into<String>, reason: impl Into<String>) -> Self {
        let metadata = Metadata { kind: Kind::Other, ..Metadata::default() };
        Entry { name: name.into(), metadata, skipped: Some(reason.into()) }
    }
}

/// How a page ends its folder.
#[derive(Debug, Default)]
#[non_exhaustive]
pub enum End {
    /// More of this folder comes in a later page.
    #[default]
    More,
    /// This was all of this folder: what was not named is not there.
    Complete,
    /// The folder could not be listed to its end: nothing is known of what was not named.
    Failed(Error),
}

/// A part of one folder's listing, or all of it.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Page {
    /// The folder's path beneath the root.
    pub folder: String,
    /// Its names, folders included.
    pub entries: Vec<Entry>,
    /// Whether the folder is complete with this.
    pub end: End,
}

impl Page {
    /// A page of this folder.
    #[must_use]
    pub fn new(folder: impl Into<String>, entries: Vec<Entry>, end: End) -> Self {
        Page { folder: folder.into(), entries, end }
    }
}
