//! How long a site may take, and how much it may answer.

use std::time::Duration;

use crate::settings;

/// How much longer a barrier may take than an answer: it writes out what the disk has not written
/// yet, which may be a lot.
const BARRIER: u32 = 30;

/// How long the calls of a site may take, and how much they may answer. None is a limit on a whole
/// transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Connecting may ask a person's browser or a slow token server, but not for ever.
    pub connect: Duration,
    /// A call that answers in one piece.
    pub answer: Duration,
    /// A call that moves bytes may be silent for so long.
    pub silence: Duration,
    /// A barrier, or a sweep of a whole root.
    pub barrier: Duration,
    /// Names in one folder: more is taken for a listing without an end.
    pub entries: usize,
    /// Folders of one scan: likewise.
    pub folders: usize,
    /// A storage that is left alone is tried again so many times sooner: 1, but for tests.
    pub hurry: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits::all(Duration::from_secs(60)).patient(Duration::from_secs(60))
    }
}

impl Limits {
    /// The same limit of time for everything: for tests.
    #[must_use]
    pub fn all(limit: Duration) -> Self {
        Limits {
            connect: limit,
            answer: limit,
            silence: limit,
            barrier: limit,
            entries: 1_000_000,
            folders: 10_000_000,
            hurry: 1,
        }
    }

    /// These limits, with as much patience as the settings of a site ask for.
    #[must_use]
    pub(super) fn of(self, site: &settings::Site) -> Self {
        site.timeout.map_or(self, |timeout| self.patient(timeout))
    }

    fn patient(self, timeout: Duration) -> Self {
        let barrier = timeout.saturating_mul(BARRIER);
        Limits { connect: timeout, answer: timeout, silence: timeout, barrier, ..self }
    }
}
