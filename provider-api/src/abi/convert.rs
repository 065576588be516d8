//! Wire types from and to the contract's own.

use std::time::Duration;

use abi_stable::std_types::{RErr, RNone, ROk, ROption, RResult, RSome, RString, RVec};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::wire::{
    FfiAt, FfiChecksum, FfiCopied, FfiEntry, FfiError, FfiKind, FfiMetadata, FfiPage,
};
use crate::{
    At, Checksum, Copied, End, Entry, Error, ErrorKind, Expect, Kind, Known, Metadata, Page,
};

/// Bytes of an error's sentence, and of each error beneath it.
const LONGEST_MESSAGE: usize = 2048;
/// Bytes of a service's own code.
const LONGEST_CODE: usize = 128;
/// Errors beneath an error.
const DEEPEST: usize = 16;

/// A provider's text as it is fit for logs, tables and the catalog: without control characters, and
/// of bounded length.
#[must_use]
pub fn fit(text: &str, longest: usize) -> String {
    let mut fit = String::with_capacity(text.len().min(longest));
    for c in text.chars() {
        if fit.len() + c.len_utf8() > longest {
            fit.push_str("...");
            break;
        }
        if c.is_control() { fit.extend(c.escape_default()) } else { fit.push(c) }
    }
    fit
}

/// A string that may be absent: the empty one stands for that.
fn or_empty(text: Option<String>) -> RString {
    text.map(RString::from).unwrap_or_default()
}

fn non_empty(text: RString) -> Option<String> {
    (!text.is_empty()).then(|| text.into())
}

impl From<Error> for FfiError {
    fn from(error: Error) -> Self {
        FfiError {
            kind: FfiKind(error.kind().code()),
            retry_after_ms: error
                .retry_after()
                .map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX))
                .into(),
            message: error.message().into(),
            code: error.code().into(),
            chain: error.chain().into_iter().map(RString::from).collect(),
            ext_json: RString::new(),
        }
    }
}

impl From<FfiError> for Error {
    fn from(error: FfiError) -> Self {
        let beneath = error.chain.iter().take(DEEPEST);
        let chain: Vec<String> = beneath.map(|text| fit(text, LONGEST_MESSAGE)).collect();
        let message = fit(&error.message, LONGEST_MESSAGE);
        let mut made = Error::new(ErrorKind::from_code(error.kind.0), message)
            .with_code(fit(&error.code, LONGEST_CODE))
            .with_chain(chain.into_iter());
        if let RSome(ms) = error.retry_after_ms {
            made = made.with_retry_after(Duration::from_millis(ms));
        }
        made
    }
}

/// An answer as the contract's own result.
pub(crate) fn answer<T>(answer: RResult<T, FfiError>) -> crate::Result<T> {
    match answer {
        ROk(value) => Ok(value),
        RErr(error) => Err(error.into()),
    }
}

impl From<Metadata> for FfiMetadata {
    fn from(metadata: Metadata) -> Self {
        let mut flags = 0;
        if metadata.mtime_ns.is_some() {
            flags |= FfiMetadata::HAS_MTIME;
        }
        if metadata.mode.is_some() {
            flags |= FfiMetadata::HAS_MODE;
        }
        if metadata.verified {
            flags |= FfiMetadata::VERIFIED;
        }
        FfiMetadata {
            kind: match metadata.kind {
                Kind::File => 0,
                Kind::Folder => 1,
                Kind::Other => 2,
            },
            flags,
            size: metadata.size,
            mtime_ns: metadata.mtime_ns.unwrap_or_default(),
            mode: metadata.mode.unwrap_or_default(),
            version: or_empty(metadata.version),
            id: or_empty(metadata.id),
            checksums: metadata
                .checksums
                .into_iter()
                .map(|sum| FfiChecksum {
                    algorithm: sum.algorithm.into(),
                    digest: sum.digest.into(),
                })
                .collect(),
            ext_json: if metadata.extras.is_empty() {
                RString::new()
            } else {
                serde_json::to_string(&metadata.extras).unwrap_or_default().into()
            },
        }
    }
}

impl From<FfiMetadata> for Metadata {
    fn from(wire: FfiMetadata) -> Self {
        Metadata {
            kind: match wire.kind {
                0 => Kind::File,
                1 => Kind::Folder,
                _ => Kind::Other,
            },
            size: wire.size,
            mtime_ns: (wire.flags & FfiMetadata::HAS_MTIME != 0).then_some(wire.mtime_ns),
            version: non_empty(wire.version),
            id: non_empty(wire.id),
            checksums: wire
                .checksums
                .into_iter()
                .map(|sum| Checksum { algorithm: sum.algorithm.into(), digest: sum.digest.into() })
                .collect(),
            verified: wire.flags & FfiMetadata::VERIFIED != 0,
            mode: (wire.flags & FfiMetadata::HAS_MODE != 0).then_some(wire.mode),
            extras: if wire.ext_json.is_empty() {
                Default::default()
            } else {
                serde_json::from_str(&wire.ext_json).unwrap_or_default()
            },
        }
    }
}

impl From<Entry> for FfiEntry {
    fn from(entry: Entry) -> Self {
        FfiEntry {
            name: entry.name.into(),
            metadata: entry.metadata.into(),
            skipped: or_empty(entry.skipped),
        }
    }
}

impl From<FfiEntry> for Entry {
    fn from(wire: FfiEntry) -> Self {
        Entry {
            name: wire.name.into(),
            metadata: wire.metadata.into(),
            skipped: non_empty(wire.skipped),
        }
    }
}

impl From<Page> for FfiPage {
    fn from(page: Page) -> Self {
        let (end, error) = match page.end {
            End::More => (0, RNone),
            End::Complete => (1, RNone),
            End::Failed(error) => (2, RSome(error.into())),
        };
        FfiPage {
            folder: page.folder.into(),
            entries: page.entries.into_iter().map(FfiEntry::from).collect(),
            end,
            error,
        }
    }
}

impl From<FfiPage> for Page {
    fn from(wire: FfiPage) -> Self {
        let end = match (wire.end, wire.error) {
            (0, _) => End::More,
            (1, _) => End::Complete,
            (_, RSome(error)) => End::Failed(error.into()),
            (_, RNone) => End::Failed(Error::new(
                ErrorKind::Unexpected,
                "the provider ended a listing without saying why",
            )),
        };
        Page {
            folder: wire.folder.into(),
            entries: wire.entries.into_iter().map(Entry::from).collect(),
            end,
        }
    }
}

impl From<At<'_>> for FfiAt {
    fn from(at: At<'_>) -> Self {
        let (id, version) = at.known.map(|k| (k.id.clone(), k.version.clone())).unwrap_or_default();
        FfiAt {
            root: at.root.into(),
            path: at.path.into(),
            id: or_empty(id),
            version: or_empty(version),
        }
    }
}

/// A place that arrived: owns what an [`At`] borrows.
#[derive(Debug)]
pub(crate) struct Place {
    root: String,
    path: String,
    known: Known,
}

impl From<FfiAt> for Place {
    fn from(wire: FfiAt) -> Self {
        Place {
            root: wire.root.into(),
            path: wire.path.into(),
            known: Known::new(non_empty(wire.id), non_empty(wire.version)),
        }
    }
}

impl Place {
    pub(crate) fn at(&self) -> At<'_> {
        let known = self.known.id.is_some() || self.known.version.is_some();
        At::new(&self.root, &self.path).known(known.then_some(&self.known))
    }
}

#[cfg_attr(not(feature = "host"), allow(dead_code))]
pub(crate) fn expect_to_wire(expect: Expect) -> ROption<RString> {
    match expect {
        Expect::Nothing => RNone,
        Expect::Version(version) => RSome(version.into()),
    }
}

pub(crate) fn expect_from_wire(expect: ROption<RString>) -> Expect {
    match expect {
        RNone => Expect::Nothing,
        RSome(version) => Expect::Version(version.into()),
    }
}

/// What grew on [`crate::WriteOptions`] since 1.0, as JSON: empty where none of it is asked for.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct WriteExt {
    pub(crate) keep_replaced: bool,
}

/// What grew on a batch of [`crate::Copy`] since 1.0, likewise.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct CopyExt {
    /// Places in the batch.
    pub(crate) keep_replaced: Vec<usize>,
}

#[cfg_attr(not(feature = "host"), allow(dead_code))]
impl WriteExt {
    pub(crate) fn to_wire(&self) -> RString {
        if *self == WriteExt::default() { RString::new() } else { ext_to_wire(self) }
    }
}

#[cfg_attr(not(feature = "host"), allow(dead_code))]
impl CopyExt {
    pub(crate) fn is_empty(&self) -> bool {
        *self == CopyExt::default()
    }

    pub(crate) fn to_wire(&self) -> RString {
        ext_to_wire(self)
    }
}

#[cfg_attr(not(feature = "host"), allow(dead_code))]
fn ext_to_wire(ext: &impl Serialize) -> RString {
    serde_json::to_string(ext).unwrap_or_default().into()
}

/// What came from a host. Of a newer one's, what is not known here is left out: it asks only for
/// what a capability declares.
#[cfg_attr(not(feature = "plugin"), allow(dead_code))]
pub(crate) fn ext_from_wire<T: Default + DeserializeOwned>(json: &str) -> crate::Result<T> {
    if json.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_str(json).map_err(|error| {
        Error::new(ErrorKind::Unexpected, format!("what the host asks for makes no sense: {error}"))
    })
}

impl From<Copied> for FfiCopied {
    fn from(copied: Copied) -> Self {
        FfiCopied { source: copied.source.into(), destination: copied.destination.into() }
    }
}

impl From<FfiCopied> for Copied {
    fn from(wire: FfiCopied) -> Self {
        Copied { source: wire.source.into(), destination: wire.destination.into() }
    }
}

#[cfg_attr(not(feature = "host"), allow(dead_code))]
pub(crate) fn strings(texts: impl IntoIterator<Item = impl Into<RString>>) -> RVec<RString> {
    texts.into_iter().map(Into::into).collect()
}
