//! How an operation is to be done, and what it answers.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{At, Error, Metadata, Op};

/// What a write, copy or delete must find at its destination. What we did not write is never
/// overwritten.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expect {
    /// Nothing: else `AlreadyExists`. (A folder is never replaced: there `InvalidPath` will do.)
    Nothing,
    /// This fingerprint: else `Precondition` (or `NotFound`).
    Version(String),
}

/// How to read.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ReadOptions {
    /// The first byte. At the end of the file nothing is read; beyond it, that or an error.
    pub from: u64,
    /// How many bytes, or as many as there are; `None` for all that follow.
    pub len: Option<u64>,
    /// Read only if the fingerprint is still this one: else `Precondition`.
    pub if_version: Option<String>,
}

impl ReadOptions {
    /// The whole file, whatever its version.
    #[must_use]
    pub fn new() -> Self {
        ReadOptions::default()
    }

    /// Only `len` bytes from `from`.
    #[must_use]
    pub fn range(mut self, from: u64, len: Option<u64>) -> Self {
        self.from = from;
        self.len = len;
        self
    }

    /// Only this version.
    #[must_use]
    pub fn if_version(mut self, version: impl Into<String>) -> Self {
        self.if_version = Some(version.into());
        self
    }
}

/// How to write a file.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WriteOptions {
    /// How many bytes will come. If it were others, nothing becomes visible: an error, `Corrupt`.
    pub size: u64,
    /// The modification time to set, ns since the epoch. Kept within the root's `mtime_step_ns`; one
    /// that is out of the storage's range becomes its nearest, or is refused.
    pub mtime_ns: Option<i64>,
    /// The source's Unix permission bits; what becomes of them is the site's setting.
    pub mode: Option<u32>,
    /// What must be there.
    pub expect: Expect,
    /// Goes on with an earlier write. A provider that can't begins anew: the writer says from
    /// which byte it goes on. So does one that does not know the token, or knows it for that of
    /// another path, of a write that was finished or discarded, or of one that goes on elsewhere
    /// right now; it may also refuse.
    pub resume: Option<Vec<u8>>,
    /// What is replaced goes to the root's trash, in the step that makes the new content visible:
    /// there is no moment in which the name has neither, and none in which the old content is
    /// nowhere. The host asks only where [`crate::Capabilities::keeps_replaced`] is declared.
    pub keep_replaced: bool,
    /// The operation: cancellation and progress.
    pub op: Op,
}

impl WriteOptions {
    /// A new write of so many bytes.
    #[must_use]
    pub fn new(size: u64, expect: Expect) -> Self {
        WriteOptions {
            size,
            mtime_ns: None,
            mode: None,
            expect,
            resume: None,
            keep_replaced: false,
            op: Op::unbound(),
        }
    }

    /// The modification time to set.
    #[must_use]
    pub fn mtime_ns(mut self, mtime_ns: Option<i64>) -> Self {
        self.mtime_ns = mtime_ns;
        self
    }

    /// The source's Unix permission bits.
    #[must_use]
    pub fn mode(mut self, mode: Option<u32>) -> Self {
        self.mode = mode;
        self
    }

    /// Goes on with an earlier write.
    #[must_use]
    pub fn resume(mut self, token: Option<Vec<u8>>) -> Self {
        self.resume = token;
        self
    }

    /// What is replaced goes to the trash, or is gone.
    #[must_use]
    pub fn keep_replaced(mut self, keep: bool) -> Self {
        self.keep_replaced = keep;
        self
    }

    /// The operation that this is a part of.
    #[must_use]
    pub fn op(mut self, op: Op) -> Self {
        self.op = op;
        self
    }
}

/// How to delete a file.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct DeleteOptions {
    /// Delete only this fingerprint: else `Precondition`.
    pub if_version: Option<String>,
    /// Into the trash; `Unsupported` where there is none, and nothing is deleted. Else for good.
    pub to_trash: bool,
}

impl DeleteOptions {
    /// For good, and only this version.
    #[must_use]
    pub fn if_version(version: impl Into<String>) -> Self {
        DeleteOptions { if_version: Some(version.into()), to_trash: false }
    }

    /// Into the trash or for good.
    #[must_use]
    pub fn to_trash(mut self, to_trash: bool) -> Self {
        self.to_trash = to_trash;
        self
    }
}

/// Which abandoned temporaries and sessions to remove. What this instance is writing right now is
/// not abandoned.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct SweepOptions {
    /// Tokens that are still needed: what they stand for stays.
    pub keep: Vec<Vec<u8>>,
    /// Those of other hosts, once they are as old as this.
    pub foreign_after: Duration,
}

impl SweepOptions {
    /// Keeps what these tokens stand for, and what others left more recently than that.
    #[must_use]
    pub fn new(keep: Vec<Vec<u8>>, foreign_after: Duration) -> Self {
        SweepOptions { keep, foreign_after }
    }
}

/// What a sweep removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Swept {
    /// Temporaries and sessions.
    pub count: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Swept {
    /// So many, with so many bytes.
    #[must_use]
    pub fn new(count: u64, bytes: u64) -> Self {
        Swept { count, bytes }
    }
}

/// One file to copy within an instance.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Copy<'a> {
    /// The source; `known.version` is the fingerprint it must have before and after, else
    /// `Precondition` (or `NotFound`).
    pub from: At<'a>,
    /// The destination.
    pub to: At<'a>,
    /// What must be at the destination.
    pub expect: Expect,
    /// What is replaced goes to the trash, as with [`WriteOptions::keep_replaced`].
    pub keep_replaced: bool,
}

impl<'a> Copy<'a> {
    /// A copy.
    #[must_use]
    pub fn new(from: At<'a>, to: At<'a>, expect: Expect) -> Self {
        Copy { from, to, expect, keep_replaced: false }
    }

    /// What is replaced goes to the trash, or is gone.
    #[must_use]
    pub fn keep_replaced(mut self, keep: bool) -> Self {
        self.keep_replaced = keep;
        self
    }
}

/// A copy that was made: both ends, as they are after it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Copied {
    /// The source; the same before and after the copy.
    pub source: Metadata,
    /// The destination.
    pub destination: Metadata,
}

impl Copied {
    /// Both ends of a copy.
    #[must_use]
    pub fn new(source: Metadata, destination: Metadata) -> Self {
        Copied { source, destination }
    }
}

/// A place in a change feed, as the provider wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(pub String);

/// Something that changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Change {
    /// The root, as it was asked for.
    pub root: String,
    /// The path beneath it. That of a folder stands for all beneath it: one that is as it was (its
    /// content has changes of its own) is better left out.
    pub path: String,
    /// The fingerprint that the file has now, where the feed tells: so the host knows its own
    /// writes again, and need not look. `None` for what is gone, for folders, and where there is
    /// any doubt: the host looks.
    pub version: Option<String>,
}

impl Change {
    /// A change of which no more is known.
    #[must_use]
    pub fn new(root: impl Into<String>, path: impl Into<String>) -> Self {
        Change { root: root.into(), path: path.into(), version: None }
    }

    /// The fingerprint that the file has now.
    #[must_use]
    pub fn with_version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }
}

/// A part of a change feed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChangePage {
    /// What changed. Empty in the answer to no cursor.
    pub changed: Vec<Change>,
    /// Where to go on.
    pub next: Cursor,
    /// More is there already.
    pub more: bool,
}

impl ChangePage {
    /// A part of a change feed.
    #[must_use]
    pub fn new(changed: Vec<Change>, next: Cursor, more: bool) -> Self {
        ChangePage { changed, next, more }
    }
}

/// The answer of a batch in which every item fails alike.
pub(crate) fn all_unsupported(len: usize, what: &str) -> Vec<crate::Result<Copied>> {
    (0..len).map(|_| Err(Error::unsupported(what))).collect()
}
