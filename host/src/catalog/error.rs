//! Why the catalog could not do something, as sentences that say what to do.

use std::fmt;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Why the catalog could not do it. `Display` is a sentence for a person, with what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The state folder lies on a file system on which SQLite is not safe.
    Unsafe {
        /// The folder.
        folder: PathBuf,
        /// `nfs`, `cifs`, `fuse` ...
        kind: String,
    },
    /// There is no catalog yet (only when opened for reading).
    Missing {
        /// The folder that should hold it.
        folder: PathBuf,
    },
    /// Written by a newer sitesync.
    Newer {
        /// The schema found.
        found: i64,
        /// The newest that this binary knows.
        known: i64,
    },
    /// Written by an older sitesync and not brought up to date yet (only when opened for reading).
    Older {
        /// The schema found.
        found: i64,
        /// The one that this binary reads.
        known: i64,
    },
    /// The file is damaged or not a catalog.
    Damaged(String),
    /// The disk is full or fails.
    Storage(String),
    /// Another process kept the catalog locked for too long.
    Busy(String),
    /// The caller asked for what cannot be: an unknown key, a file that exists already, a write
    /// to a catalog opened for reading.
    Invalid(String),
    /// The unit of work panicked; nothing of it was stored.
    Panicked(String),
    /// The catalog was closed while something waited for it.
    Closed,
}

/// What a catalog answers.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Says which file an error of SQLite is about.
    pub(super) fn located(self, path: &Path) -> Self {
        let place = |message: String| {
            let path = path.display().to_string();
            if message.contains(&path) { message } else { format!("{path}: {message}") }
        };
        match self {
            Error::Damaged(message) => Error::Damaged(place(message)),
            Error::Storage(message) => Error::Storage(place(message)),
            Error::Busy(message) => Error::Busy(place(message)),
            other => other,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Unsafe { folder, kind } => write!(
                f,
                "the state folder {} lies on {kind}, where the catalog would not survive a crash \
                 or a second host; name a folder on a local disk with --state-dir",
                folder.display()
            ),
            Error::Missing { folder } => write!(
                f,
                "there is no catalog in {} yet; `sitesync sync` or `sitesync serve` makes it",
                folder.display()
            ),
            Error::Newer { found, known } => write!(
                f,
                "the catalog was written by a newer sitesync (schema {found}, this one knows up \
                 to {known}); update this sitesync, nothing was changed"
            ),
            Error::Older { found, known } => write!(
                f,
                "the catalog was written by an older sitesync (schema {found}, this one reads \
                 {known}); `sitesync sync` or `sitesync serve` brings it up to date"
            ),
            Error::Damaged(message) => write!(
                f,
                "the catalog is damaged or not a catalog ({message}); stop the service and run \
                 `sitesync doctor --repair`: everything is found again by scanning, nothing is \
                 copied twice"
            ),
            Error::Storage(message) => write!(
                f,
                "the catalog could not be stored ({message}); see that the disk of the state \
                 folder has free space, can be written to and is healthy"
            ),
            Error::Busy(message) => write!(
                f,
                "another process keeps the catalog locked ({message}); close programs that have \
                 it open, then try again"
            ),
            Error::Invalid(message) => write!(f, "the catalog refused it: {message}"),
            Error::Panicked(message) => write!(
                f,
                "a unit of work of the catalog panicked ({message}); nothing of it was stored, \
                 please report this"
            ),
            Error::Closed => f.write_str("the catalog was closed; sitesync is stopping"),
        }
    }
}

impl std::error::Error for Error {}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let message = error.to_string();
        match &error {
            rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Error::Damaged(message),
                ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::FileLockingProtocolFailed => Error::Busy(message),
                ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::ReadOnly
                | ErrorCode::NoLargeFileSupport
                | ErrorCode::OutOfMemory
                | ErrorCode::TooBig => Error::Storage(message),
                _ => Error::Invalid(message),
            },
            // A value that the schema rules out: someone else wrote to the file, or it rotted.
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::Utf8Error(..)
            | rusqlite::Error::InvalidColumnType(..) => Error::Damaged(message),
            _ => Error::Invalid(message),
        }
    }
}
