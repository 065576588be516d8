//! Time and chance, injected so that histories can be replayed.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::catalog::Millis;

/// Where time comes from.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The calendar, ns since the epoch. May jump.
    fn wall_ns(&self) -> i64;
    /// Since some fixed moment. Never goes back.
    fn monotonic(&self) -> Duration;
}

/// The machine's own clocks.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock(Instant::now())
    }
}

impl Clock for SystemClock {
    fn wall_ns(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Host time: the calendar as it was at start (or, where that was later, the latest time in the
/// catalog), moved on by the monotonic clock. A calendar that is set back delays nothing.
#[derive(Debug)]
pub struct HostTime {
    clock: Box<dyn Clock>,
    base: Millis,
    started: Duration,
}

impl HostTime {
    /// Host time that goes on from `last`.
    #[must_use]
    pub fn new(clock: Box<dyn Clock>, last: Millis) -> Self {
        let base = (clock.wall_ns() / 1_000_000).max(last);
        let started = clock.monotonic();
        HostTime { clock, base, started }
    }

    /// Now, in milliseconds of host time.
    #[must_use]
    pub fn now(&self) -> Millis {
        let since = self.clock.monotonic().saturating_sub(self.started);
        self.base + i64::try_from(since.as_millis()).unwrap_or(i64::MAX / 2)
    }

    /// The calendar, ns since the epoch: to be compared with modification times only.
    #[must_use]
    pub fn wall_ns(&self) -> i64 {
        self.clock.wall_ns()
    }
}

/// A source of chance (SplitMix64): good for jitter and for ids that must not collide, not for
/// secrets.
#[derive(Debug)]
pub struct Dice(Mutex<u64>);

impl Dice {
    /// The same numbers for the same seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Dice(Mutex::new(seed))
    }

    /// Other numbers every time.
    #[must_use]
    pub fn from_system() -> Self {
        use std::hash::{BuildHasher, Hasher};
        let mut hasher = std::hash::RandomState::new().build_hasher();
        hasher.write_u32(std::process::id());
        hasher.write_u128(
            SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos(),
        );
        Dice::seeded(hasher.finish())
    }

    /// Any number.
    #[must_use]
    pub fn roll(&self) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Between three quarters and five quarters of a duration, in milliseconds.
    #[must_use]
    pub fn jitter(&self, millis: i64) -> i64 {
        let span = (millis / 2).max(1);
        millis - span / 2 + i64::try_from(self.roll() % span.unsigned_abs()).unwrap_or(0)
    }

    /// 32 hex digits.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{:016x}{:016x}", self.roll(), self.roll())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    #[derive(Debug, Clone, Default)]
    struct Hand(Arc<(AtomicI64, AtomicI64)>);

    impl Clock for Hand {
        fn wall_ns(&self) -> i64 {
            self.0.0.load(Ordering::Relaxed)
        }
        fn monotonic(&self) -> Duration {
            Duration::from_millis(self.0.1.load(Ordering::Relaxed).unsigned_abs())
        }
    }

    #[test]
    fn a_calendar_that_is_set_back_delays_nothing() {
        let hand = Hand::default();
        hand.0.0.store(1_000_000_000_000, Ordering::Relaxed);
        let time = HostTime::new(Box::new(hand.clone()), 0);
        assert_eq!(time.now(), 1_000_000);
        hand.0.0.store(0, Ordering::Relaxed);
        hand.0.1.store(10_000, Ordering::Relaxed);
        assert_eq!(time.now(), 1_010_000);
        // Restarted with the calendar a day behind: it goes on from what was stored.
        let again = HostTime::new(Box::new(hand), 1_010_000);
        assert_eq!(again.now(), 1_010_000);
    }

    #[test]
    fn jitter_stays_near() {
        let dice = Dice::seeded(1);
        for _ in 0..1000 {
            assert!((750..=1250).contains(&dice.jitter(1000)));
        }
    }
}
