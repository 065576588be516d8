//! Health of a storage: parked after faults that are the site's, tried again at growing intervals.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};
use sitesync_provider::{Error, ErrorKind};

use crate::state_dir::rfc3339;

/// The first interval; each further one is twice as long.
const FIRST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(600);
/// The same where a service was only asked too fast, and did not say for how long to stop. Up to half
/// as long again, by chance: hosts that were refused together do not come back together.
const FIRST_WHEN_FAST: Duration = Duration::from_secs(1);
const LONGEST_WHEN_FAST: Duration = Duration::from_secs(64);
/// What a service may ask for: no less, so that one that asks for nothing is not stormed, and no
/// more, so that one that asks for years is looked at again.
const ASKED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(24 * 3600));
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
    /// The same by the calendar, for people.
    pub until_wall: SystemTime,
    /// How often it was found so in a row.
    pub times: u32,
}

impl fmt::Display for Parked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ParkedReport::from(self.clone()).fmt(f)
    }
}

/// How a storage fares, for those who look from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageHealth {
    /// The sites that were opened on it.
    pub sites: Vec<String>,
    /// The provider instance.
    pub instance: String,
    /// The provider's name for the storage.
    pub storage: String,
    /// Why it is left alone at this moment, if it is.
    pub parked: Option<ParkedReport>,
}

/// Why a storage is left alone, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedReport {
    /// The name of the error's kind: `StorageFull`.
    pub kind: String,
    /// The provider's sentence.
    pub reason: String,
    /// When it is tried again: `2026-03-31T12:34:56Z`.
    pub until: String,
    /// How often it was found so in a row.
    pub times: u32,
}

impl fmt::Display for ParkedReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let again = match self.times {
            0 | 1 => String::new(),
            times => format!(" ({times} times in a row)"),
        };
        write!(f, "left alone until {}{again}: {}", self.until, self.reason)
    }
}

impl From<Parked> for ParkedReport {
    fn from(parked: Parked) -> Self {
        ParkedReport {
            kind: parked.kind.name().into_owned(),
            reason: parked.reason,
            until: rfc3339(parked.until_wall),
            times: parked.times,
        }
    }
}

/// What a storage's recent calls tell of it.
#[derive(Debug)]
pub struct Health {
    state: Mutex<State>,
    /// Pauses are so many times shorter.
    hurry: u32,
}

impl Default for Health {
    fn default() -> Self {
        Health::hurried(1)
    }
}

#[derive(Debug, Default)]
struct State {
    parked: Option<Parked>,
    in_a_row: u32,
}

/// True for faults that are the site's, not the file's: they cost the file no try. All but a root that
/// is not there are the storage's too.
pub(crate) fn is_site_fault(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Unauthenticated
            | ErrorKind::StorageFull
            | ErrorKind::ReadOnly
            | ErrorKind::RateLimited
            | ErrorKind::QuotaExhausted
            | ErrorKind::RootUnavailable
            | ErrorKind::Timeout
            | ErrorKind::Interrupted
    )
}

/// True for faults that concern all that is done for an account, whatever the storage.
pub(super) fn is_the_accounts(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unauthenticated | ErrorKind::RateLimited | ErrorKind::QuotaExhausted)
}

impl Health {
    /// One whose pauses are so many times shorter.
    pub(super) fn hurried(hurry: u32) -> Self {
        Health { state: Mutex::default(), hurry: hurry.max(1) }
    }

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

    /// True if it had no room, and nothing was stored there since.
    pub(crate) fn was_full(&self) -> bool {
        self.lock().parked.as_ref().is_some_and(|parked| parked.kind == ErrorKind::StorageFull)
    }

    /// A call went well that stored nothing: the storage answers. Whether it has room again, that
    /// tells nobody; else the clean-up after a full disk would end the pause that it began. Nor
    /// does what was asked before a pause for asking too fast.
    pub(crate) fn good(&self, now: Instant) {
        let full = [ErrorKind::StorageFull, ErrorKind::ReadOnly, ErrorKind::QuotaExhausted];
        self.well(now, |kind| full.contains(&kind));
    }

    /// A file was stored: all is well.
    pub(crate) fn stored(&self, now: Instant) {
        self.well(now, |_| false);
    }

    /// Ends what a call that went well ends: neither the kinds that last, nor a pause that a
    /// service asked for.
    fn well(&self, now: Instant, lasts: impl Fn(ErrorKind) -> bool) {
        let mut state = self.lock();
        let lasting = |parked: &Parked| {
            lasts(parked.kind) || (parked.kind == ErrorKind::RateLimited && parked.until > now)
        };
        if !state.parked.as_ref().is_some_and(lasting) {
            *state = State::default();
        }
    }

    /// A call failed. Only a storage's fault counts. Returns why the storage is to be left alone from
    /// now on, if it was not yet.
    pub(crate) fn bad(&self, error: &Error, now: Instant) -> Option<Parked> {
        if !is_site_fault(error.kind()) || error.kind() == ErrorKind::RootUnavailable {
            return None;
        }
        let mut state = self.lock();
        state.in_a_row = state.in_a_row.saturating_add(1);
        let doubtful = matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Interrupted);
        if doubtful && state.in_a_row < IN_A_ROW {
            return None;
        }
        // Several calls that were under way at once are one observation.
        if state.parked.as_ref().is_some_and(|parked| parked.until > now) {
            return None;
        }
        let times = state.parked.as_ref().map_or(0, |parked| parked.times).saturating_add(1);
        let wait = match error.retry_after() {
            Some(asked) => asked.clamp(ASKED.0, ASKED.1),
            None => {
                let fast = error.kind() == ErrorKind::RateLimited;
                let (first, longest) =
                    if fast { (FIRST_WHEN_FAST, LONGEST_WHEN_FAST) } else { (FIRST, LONGEST) };
                let wait = first.saturating_mul(1 << (times - 1).min(10)).min(longest);
                if fast { wait.mul_f64(1.0 + chance() / 2.0) } else { wait }
            }
        };
        let wait = wait / self.hurry;
        state.parked = Some(Parked {
            kind: error.kind(),
            reason: error.message().to_owned(),
            until: now + wait,
            until_wall: SystemTime::now() + wait,
            times,
        });
        state.parked.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// From 0 to 1.
fn chance() -> f64 {
    let bits = RandomState::new().hash_one(0);
    bits as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asked_too_fast_stops_for_the_whole_pause() {
        let (health, now) = (Health::default(), Instant::now());
        let fast = Error::new(ErrorKind::RateLimited, "too fast");
        let parked = health.bad(&fast, now).expect("parked");
        let pause = (parked.until - now).as_secs_f64();
        assert!((1.0..=1.5).contains(&pause), "{pause}");
        health.good(now);
        health.stored(now);
        assert!(health.parked(now).is_some(), "what was asked before says nothing of it");
        let later = parked.until;
        let parked = health.bad(&fast, later).expect("parked again");
        assert!((2.0..=3.0).contains(&(parked.until - later).as_secs_f64()));
        health.good(parked.until);
        assert!(!health.suspect());
    }

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
        health.good(now);
        assert!(health.suspect(), "that it answers does not mean that it has room");
        health.stored(now);
        health.bad(&full, now);
        assert_eq!((health.parked(now).expect("parked").until - now).as_secs(), 5);
    }

    #[test]
    fn what_a_service_asks_for_has_bounds() {
        for (asked, granted) in [
            (Duration::ZERO, 1),
            (Duration::from_secs(30), 30),
            (Duration::from_millis(u64::MAX), 24 * 3600),
            (Duration::MAX, 24 * 3600),
        ] {
            let (health, now) = (Health::default(), Instant::now());
            let error = Error::new(ErrorKind::RateLimited, "slower").with_retry_after(asked);
            let parked = health.bad(&error, now).expect("parked");
            assert_eq!((parked.until - now).as_secs(), granted, "{asked:?}");
        }
    }

    #[test]
    fn it_is_said_until_when_and_how_often() {
        let parked = Parked {
            kind: ErrorKind::StorageFull,
            reason: "no room".into(),
            until: Instant::now(),
            until_wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_774_960_496),
            times: 3,
        };
        assert_eq!(
            parked.to_string(),
            "left alone until 2026-03-31T12:34:56Z (3 times in a row): no room"
        );
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
        // Nor is a root that is gone: others lie beside it.
        for kind in [ErrorKind::PermissionDenied, ErrorKind::RootUnavailable] {
            for _ in 0..100 {
                other.bad(&Error::new(kind, "no"), now);
            }
        }
        assert!(!other.suspect());
    }
}
