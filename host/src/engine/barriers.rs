//! Barriers of this host's roots. One that fails is told once, to whoever asked for it: so all runs
//! that write to a root ask here, and each learns of what another was told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Instant;

use sitesync_provider::Error;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::sites::OpenRoot;

/// By site and root.
#[derive(Debug, Default)]
pub struct Barriers(StdMutex<HashMap<(String, String), AtRoot>>);

/// Of each, one at a time is under way.
#[derive(Debug, Clone, Default)]
struct AtRoot {
    /// Barriers: the last one that failed.
    last: Arc<Mutex<Option<Failure>>>,
    /// Writing anew what could not be made durable.
    rewriting: Arc<Mutex<()>>,
}

/// A barrier that failed. What was written before is doubtful, even where a later one does not.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub at: Instant,
    pub error: Error,
}

impl Barriers {
    /// Makes durable what was finished in a root. Returns the last barrier there that failed in the
    /// life of this host, this one or another.
    pub(super) async fn flush(&self, root: &OpenRoot) -> Option<Failure> {
        let mut last = self.at(root).last.lock_owned().await;
        if let Err(error) = root.flush().await {
            *last = Some(Failure { at: Instant::now(), error });
        }
        last.clone()
    }

    /// Waits for a turn to write something anew in a root: two that replace the same file at once would
    /// put it back from one another, and it would not be what either says it made.
    pub(super) async fn rewriting(&self, root: &OpenRoot) -> OwnedMutexGuard<()> {
        self.at(root).rewriting.lock_owned().await
    }

    fn at(&self, root: &OpenRoot) -> AtRoot {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry((root.site.clone(), root.root.clone())).or_default().clone()
    }
}
