//! Requests and bytes a second.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A token bucket: lets `rate` units a second through, at most one second's worth at once.
#[derive(Debug)]
pub(crate) struct Rate {
    per_second: Option<f64>,
    next: Mutex<Instant>,
}

impl Rate {
    /// `None` for no limit.
    pub(crate) fn new(per_second: Option<f64>) -> Self {
        let per_second = per_second.filter(|rate| rate.is_finite() && *rate > 0.0);
        Rate { per_second, next: Mutex::new(Instant::now()) }
    }

    /// Waits until so many units may pass.
    pub(crate) async fn pass(&self, units: u64) {
        let wait = self.reserve(units, Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes the units, and says how long to wait for them.
    fn reserve(&self, units: u64, now: Instant) -> Duration {
        let Some(rate) = self.per_second else { return Duration::ZERO };
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        // Up to a second that was not used may be made up for.
        let earliest = now.checked_sub(Duration::from_secs(1)).unwrap_or(now);
        let start = (*next).max(earliest);
        *next = start + Duration::from_secs_f64(units as f64 / rate);
        next.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_a_second_after_the_first_second() {
        let rate = Rate::new(Some(10.0));
        let start = *rate.next.lock().unwrap();
        let later = start + Duration::from_secs(5);
        assert_eq!(rate.reserve(10, later), Duration::ZERO, "the unused second");
        assert_eq!(rate.reserve(10, later), Duration::from_secs(1));
        assert_eq!(rate.reserve(5, later), Duration::from_millis(1500));
    }

    #[test]
    fn no_limit_never_waits() {
        assert_eq!(Rate::new(None).reserve(u64::MAX, Instant::now()), Duration::ZERO);
    }
}
