//! Barriers of this host's roots. One that fails is told once, to whoever asked for it: so all runs
//! that write to a root ask here, and each learns of what another was told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use sitesync_provider::Error;

use crate::sites::OpenRoot;

/// By site and root: the last barrier that failed. One at a time is under way.
#[derive(Debug, Default)]
pub struct Barriers(Mutex<HashMap<(String, String), Last>>);

type Last = Arc<tokio::sync::Mutex<Option<Failure>>>;

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
        let last = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.entry((root.site.clone(), root.root.clone())).or_default().clone()
        };
        let mut last = last.lock().await;
        if let Err(error) = root.flush().await {
            *last = Some(Failure { at: Instant::now(), error });
        }
        last.clone()
    }
}
