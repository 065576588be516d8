//! Health of a storage: parked after faults that are the site's, tried again at growing intervals.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sitesync_provider::{Error, ErrorKind};

/// The first interval; each further one is twice as long.
const FIRST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(600);
/// Timeouts and broken connections in a row that make a storage suspect.
const IN_A_ROW: u32 = 3;

/// Why a storage is left alone, and for how long.
#[derive(Debug, Clone)]
pub struct Parked {
    /// What kind of trouble it is.
    pub kind: ErrorKind,
    /// The provider's sentence.
    pub reason: String,
    /// When it is tried again.
    pub until: Instant,
    /// How often it was found so in a row.
    pub times: u32,
}

/// What a storage's recent calls tell of it.
#[derive(Debug, Default)]
pub struct Health(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    parked: Option<Parked>,
    in_a_row: u32,
}

/// True for faults that are the site's, not the file's: they cost the file no try.
pub(crate) fn is_site_fault(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Unauthenticated
            | ErrorKind::StorageFull
            | ErrorKind::RateLimited
            | ErrorKind::QuotaExhausted
            | ErrorKind::RootUnavailable
            | ErrorKind::Timeout
            | ErrorKind::Interrupted
    )
}

impl Health {
    /// Why the storage is to be left alone at this moment, if it is.
    #[must_use]
    pub fn parked(&self, now: Instant) -> Option<Parked> {
        self.lock().parked.clone().filter(|parked| parked.until > now)
    }

    /// True until a call has gone well after a fault that parked the storage.
    #[must_use]
    pub fn suspect(&self) -> bool {
        self.lock().parked.is_some()
    }

    /// A call went well that stored nothing: the storage answers. Whether it has room again, that
    /// tells nobody; else the clean-up after a full disk would end the pause that it began.
    pub(crate) fn good(&self) {
        let mut state = self.lock();
        let full = |parked: &Parked| {
            matches!(parked.kind, ErrorKind::StorageFull | ErrorKind::QuotaExhausted)
        };
        if state.parked.as_ref().is_some_and(full) {
            return;
        }
        if state.parked.is_some() || state.in_a_row > 0 {
            *state = State::default();
        }
    }

    /// A file was stored: all is well.
    pub(crate) fn stored(&self) {
        let mut state = self.lock();
        if state.parked.is_some() || state.in_a_row > 0 {
            *state = State::default();
        }
    }

    /// A call failed. Only a site's fault counts.
    pub(crate) fn bad(&self, error: &Error, now: Instant) {
        if !is_site_fault(error.kind()) {
            return;
        }
        let mut state = self.lock();
        state.in_a_row += 1;
        let doubtful = matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Interrupted);
        if doubtful && state.in_a_row < IN_A_ROW {
            return;
        }
        // Several calls that were under way at once are one observation.
        if state.parked.as_ref().is_some_and(|parked| parked.until > now) {
            return;
        }
        let times = state.parked.as_ref().map_or(0, |parked| parked.times) + 1;
        let wait = error
            .retry_after()
            .unwrap_or_else(|| FIRST.saturating_mul(1 << (times - 1).min(10)).min(LONGEST));
        tracing::warn!("a storage is left alone for {} s: {}", wait.as_secs(), error.message());
        state.parked = Some(Parked {
            kind: error.kind(),
            reason: error.message().to_owned(),
            until: now + wait,
            times,
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_grow_and_one_success_ends_them() {
        let health = Health::default();
        let mut now = Instant::now();
        let full = Error::new(ErrorKind::StorageFull, "no room");
        let mut waits = Vec::new();
        for _ in 0..9 {
            health.bad(&full, now);
            let parked = health.parked(now).expect("parked");
            waits.push((parked.until - now).as_secs());
            now = parked.until;
            assert!(health.parked(now).is_none(), "one probe is let through");
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 600, 600]);
        health.good();
        assert!(health.suspect(), "that it answers does not mean that it has room");
        health.stored();
        health.bad(&full, now);
        assert_eq!((health.parked(now).expect("parked").until - now).as_secs(), 5);
    }

    #[test]
    fn one_timeout_is_no_verdict_and_a_file_fault_never_is() {
        let (health, now) = (Health::default(), Instant::now());
        let timeout = Error::new(ErrorKind::Timeout, "no answer");
        health.bad(&timeout, now);
        health.bad(&timeout, now);
        assert!(health.parked(now).is_none());
        health.bad(&timeout, now);
        assert!(health.parked(now).is_some());
        let other = Health::default();
        for _ in 0..100 {
            other.bad(&Error::new(ErrorKind::PermissionDenied, "no"), now);
        }
        assert!(other.parked(now).is_none());
    }
}
