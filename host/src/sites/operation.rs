//! One operation that may take long: its cancellation, its progress, and its real end.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sitesync_provider::{Error, ErrorKind, Op, OpServices, Result};
use tokio::sync::watch;

use super::Slot;

/// How long a cancelled call may take to notice, where it may not be silent for less.
const GRACE: Duration = Duration::from_secs(10);

/// The host's side of an [`Op`].
#[derive(Debug)]
pub struct Operation {
    state: Arc<State>,
    ended: watch::Receiver<bool>,
}

#[derive(Debug)]
struct State {
    cancelled: AtomicBool,
    /// Bytes; also counts calls without bytes, so that it moves whenever the provider reports.
    moved: AtomicU64,
    reports: AtomicU64,
}

impl Drop for Operation {
    /// Nobody waits for it any more: blocking code, which can't be dropped, is told so.
    fn drop(&mut self) {
        self.cancel();
    }
}

/// What the provider holds. Its last clone's end is the operation's.
struct Handed {
    state: Arc<State>,
    /// Taken until the operation has really ended, not until the host stopped waiting for it.
    _slots: Vec<Slot>,
    ended: watch::Sender<bool>,
    progress: Box<dyn Fn(u64) + Send + Sync>,
}

impl Drop for Handed {
    fn drop(&mut self) {
        self.ended.send_replace(true);
    }
}

impl OpServices for Handed {
    fn is_cancelled(&self) -> bool {
        self.state.cancelled.load(Ordering::Acquire)
    }

    fn progress(&self, bytes: u64) {
        self.state.moved.fetch_add(bytes, Ordering::Relaxed);
        self.state.reports.fetch_add(1, Ordering::Relaxed);
        (self.progress)(bytes);
    }
}

impl Operation {
    /// An operation that holds these slots until it has really ended, and what its provider gets.
    pub fn new(slots: Vec<Slot>, progress: impl Fn(u64) + Send + Sync + 'static) -> (Self, Op) {
        let (sender, ended) = watch::channel(false);
        let state = Arc::new(State {
            cancelled: AtomicBool::new(false),
            moved: AtomicU64::new(0),
            reports: AtomicU64::new(0),
        });
        let handed = Handed {
            state: state.clone(),
            _slots: slots,
            ended: sender,
            progress: Box::new(progress),
        };
        (Operation { state, ended }, Op::new(handed))
    }

    /// Asks the provider to stop.
    pub fn cancel(&self) {
        self.state.cancelled.store(true, Ordering::Release);
    }

    /// Waits until nothing works on it any more, at most `limit`; true if it has ended.
    pub async fn ended(&mut self, limit: Duration) -> bool {
        tokio::time::timeout(limit, self.ended.wait_for(|ended| *ended)).await.is_ok()
    }

    /// Waits for a call of this operation as long as it makes progress. After `silence` without
    /// any it is cancelled, gets a moment to notice, and is dropped.
    pub async fn watch<T>(
        &self,
        silence: Duration,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        tokio::pin!(call);
        loop {
            let reports = self.state.reports.load(Ordering::Relaxed);
            if let Ok(result) = tokio::time::timeout(silence, &mut call).await {
                return result;
            }
            if self.state.reports.load(Ordering::Relaxed) != reports {
                continue;
            }
            self.cancel();
            let moved = self.state.moved.load(Ordering::Relaxed);
            return match tokio::time::timeout(GRACE.min(silence), &mut call).await {
                Ok(Ok(done)) => Ok(done),
                _ => Err(Error::new(
                    ErrorKind::Timeout,
                    format!("no progress for {} s, after {moved} bytes", silence.as_secs_f64()),
                )),
            };
        }
    }
}
