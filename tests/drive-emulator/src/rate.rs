//! How fast things may go.

use std::time::{Duration, Instant};

/// Requests that a user may make: a bucket that fills steadily.
#[derive(Debug)]
pub(crate) struct Bucket {
    left: f64,
    since: Instant,
}

impl Bucket {
    pub(crate) fn full(burst: u32, now: Instant) -> Bucket {
        Bucket { left: f64::from(burst), since: now }
    }

    /// Takes one request out, if there is one.
    pub(crate) fn take(&mut self, per_second: f64, burst: u32, now: Instant) -> bool {
        let new = now.saturating_duration_since(self.since).as_secs_f64() * per_second;
        self.left = (self.left + new).min(f64::from(burst));
        self.since = now;
        let taken = self.left >= 1.0;
        if taken {
            self.left -= 1.0;
        }
        taken
    }
}

/// The bytes that go through one connection, both ways together.
#[derive(Debug)]
pub(crate) struct Pace {
    /// When all that went through will have had its time.
    until: Instant,
}

/// Shorter waits are put off: a timer is not that exact.
const SHORTEST: Duration = Duration::from_millis(2);

impl Pace {
    pub(crate) fn new() -> Pace {
        Pace { until: Instant::now() }
    }

    /// Waits for as long as these bytes take.
    pub(crate) async fn pass(&mut self, bytes: usize, bytes_per_second: Option<u64>) {
        let Some(speed) = bytes_per_second else { return };
        let now = Instant::now();
        let time = Duration::from_secs_f64(bytes as f64 / speed as f64);
        self.until = self.until.max(now) + time;
        if self.until - now > SHORTEST {
            tokio::time::sleep_until(self.until.into()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_fills_steadily_up_to_its_burst() {
        let start = Instant::now();
        let mut bucket = Bucket::full(2, start);
        let mut take = |ms| bucket.take(10.0, 2, start + Duration::from_millis(ms));
        assert_eq!([take(0), take(0), take(0)], [true, true, false]);
        assert_eq!([take(50), take(100), take(100)], [false, true, false]);
        assert_eq!([take(9000), take(9000), take(9000)], [true, true, false]);
    }
}
