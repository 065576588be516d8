//! How long a site may take.

use std::time::Duration;

/// How long the calls of a site may take. None is a limit on a whole transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Connecting may ask a person's browser or a slow token server, but not for ever.
    pub connect: Duration,
    /// A call that answers in one piece.
    pub answer: Duration,
    /// A call that moves bytes may be silent for so long.
    pub silence: Duration,
    /// A barrier writes out what the disk has not written yet, which may be a lot.
    pub barrier: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Limits {
            connect: minute,
            answer: minute,
            silence: minute,
            barrier: Duration::from_secs(1800),
        }
    }
}

impl Limits {
    /// The same limit for everything: for tests.
    #[must_use]
    pub fn all(limit: Duration) -> Self {
        Limits { connect: limit, answer: limit, silence: limit, barrier: limit }
    }
}
