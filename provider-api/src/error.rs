//! The one error of the contract. A provider classifies; the kind alone decides what the host does.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// What a provider answers.
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// What went wrong. The number of a kind is part of the ABI and never changes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind {
            $($(#[$doc])* $name,)*
            /// A kind that a newer version of the contract knows.
            Unknown(u32),
        }

        impl ErrorKind {
            /// Every kind that this version knows.
            pub const ALL: &[ErrorKind] = &[$(ErrorKind::$name,)*];

            /// The kind's number on the wire.
            #[must_use]
            pub const fn code(self) -> u32 {
                match self {
                    $(ErrorKind::$name => $code,)*
                    ErrorKind::Unknown(code) => code,
                }
            }

            /// The kind with this number; an unknown number survives as `Unknown`.
            #[must_use]
            pub const fn from_code(code: u32) -> Self {
                match code {
                    $($code => ErrorKind::$name,)*
                    other => ErrorKind::Unknown(other),
                }
            }

            /// The kind's stable name: `StorageFull`.
            #[must_use]
            pub fn name(self) -> Cow<'static, str> {
                match self {
                    $(ErrorKind::$name => Cow::Borrowed(stringify!($name)),)*
                    ErrorKind::Unknown(code) => Cow::Owned(format!("Unknown({code})")),
                }
            }
        }
    };
}

kinds! {
    /// There is nothing at this path.
    NotFound = 1,
    /// Something is there already, and `Expect::Nothing` was asked for.
    AlreadyExists = 2,
    /// The service knows who we are and refuses.
    PermissionDenied = 3,
    /// The service does not know who we are: missing, wrong or expired credentials.
    Unauthenticated = 4,
    /// Too many requests; `retry_after` says for how long.
    RateLimited = 5,
    /// An allowance of the account is used up; `retry_after` says until when.
    QuotaExhausted = 6,
    /// The storage has no room.
    StorageFull = 7,
    /// The file is larger than this storage takes.
    TooLarge = 8,
    /// The path cannot be expressed there (a character, a length, a file where a folder is needed).
    InvalidPath = 9,
    /// The settings are wrong; the message names the field.
    InvalidSettings = 10,
    /// What was found is not what was expected (`if_version`, `Expect::Version`).
    Precondition = 11,
    /// The change feed no longer knows this cursor.
    CursorExpired = 12,
    /// The connection broke, or the service failed; trying again may help.
    Interrupted = 13,
    /// The service did not answer in time.
    Timeout = 14,
    /// What arrived is not what was sent.
    Corrupt = 15,
    /// This provider, or this root, cannot do that.
    Unsupported = 16,
    /// The host asked to stop, and nothing was done.
    Cancelled = 17,
    /// The provider panicked. Made by the shim, never by an author.
    Panicked = 18,
    /// None of the others.
    Unexpected = 19,
    /// The root itself is not there or not usable (not mounted, not a folder).
    RootUnavailable = 20,
    /// The storage can be read, and takes no change at all (it is mounted read-only). A single file or
    /// folder that may not be changed is `PermissionDenied`.
    ReadOnly = 21,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// An error of a provider. `Display` is one line; `Debug` shows all of it.
///
/// ```
/// use sitesync_provider::{Error, ErrorKind};
/// let error = Error::new(ErrorKind::NotFound, "no such file").with_code("404");
/// assert_eq!(error.to_string(), "no such file");
/// assert_eq!(error.kind(), ErrorKind::NotFound);
/// ```
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    retry_after: Option<Duration>,
    code: String,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error with a sentence for a person: what was tried, and what came of it.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error {
            kind,
            message: message.into(),
            retry_after: None,
            code: String::new(),
            source: None,
        }
    }

    /// The answer of everything that a provider does not do.
    #[must_use]
    pub fn unsupported(what: &str) -> Self {
        Error::new(ErrorKind::Unsupported, format!("this provider has no {what}"))
    }

    /// How long to leave the service alone.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Until when to leave the service alone.
    #[must_use]
    pub fn with_retry_at(self, until: SystemTime) -> Self {
        let after = until.duration_since(SystemTime::now()).unwrap_or_default();
        self.with_retry_after(after)
    }

    /// The service's own code (`userRateLimitExceeded`, `EACCES`).
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = code.into();
        self
    }

    /// The error beneath.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// Puts what was being done in front of the message: `write "a/b": no room`.
    #[must_use]
    pub fn context(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The sentence for a person.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// How long to leave the service alone, where it said so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The service's own code; empty if it has none.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Messages of the errors beneath, outermost first.
    #[must_use]
    pub fn chain(&self) -> Vec<String> {
        let mut chain = Vec::new();
        let mut next = std::error::Error::source(self);
        // A limit, because a foreign `source()` may be cyclic.
        while let Some(error) = next.filter(|_| chain.len() < 16) {
            chain.push(error.to_string());
            next = error.source();
        }
        chain
    }

    /// Rebuilds the errors beneath from their messages, outermost first.
    #[must_use]
    pub fn with_chain(mut self, messages: impl DoubleEndedIterator<Item = String>) -> Self {
        let mut source: Option<Box<Beneath>> = None;
        for message in messages.rev() {
            source = Some(Box::new(Beneath { message, source }));
        }
        self.source = source.map(|beneath| Arc::from(beneath as Box<_>));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

/// An error that came across the boundary: only its message is left.
#[derive(Debug)]
struct Beneath {
    message: String,
    source: Option<Box<Beneath>>,
}

impl fmt::Display for Beneath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Beneath {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

impl From<std::io::Error> for Error {
    /// Classifies by the error's kind; the code is the number of the operating system.
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match error.kind() {
            Io::NotFound => ErrorKind::NotFound,
            Io::AlreadyExists => ErrorKind::AlreadyExists,
            Io::PermissionDenied => ErrorKind::PermissionDenied,
            Io::ReadOnlyFilesystem => ErrorKind::ReadOnly,
            Io::StorageFull | Io::QuotaExceeded => ErrorKind::StorageFull,
            Io::FileTooLarge => ErrorKind::TooLarge,
            Io::InvalidFilename | Io::NotADirectory | Io::IsADirectory => ErrorKind::InvalidPath,
            Io::TimedOut => ErrorKind::Timeout,
            Io::Interrupted
            | Io::ConnectionReset
            | Io::ConnectionAborted
            | Io::ConnectionRefused
            | Io::BrokenPipe
            | Io::UnexpectedEof
            | Io::HostUnreachable
            | Io::NetworkUnreachable
            | Io::NetworkDown
            | Io::NotConnected
            | Io::StaleNetworkFileHandle => ErrorKind::Interrupted,
            Io::Unsupported => ErrorKind::Unsupported,
            _ => ErrorKind::Unexpected,
        };
        let code = error.raw_os_error().map(|n| format!("os error {n}")).unwrap_or_default();
        Error::new(kind, error.to_string()).with_code(code).with_source(error)
    }
}
