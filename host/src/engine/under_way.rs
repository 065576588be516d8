//! Files that a transfer holds, whatever became of the run that it belongs to.
//!
//! A provider may go on with something that the host gave up: its file stays claimed until that has
//! really ended, else a late rename could undo a later success. A run may end before.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::catalog::{FileId, SiteId};

/// All of this host's, by destination.
#[derive(Debug, Default)]
pub struct UnderWay {
    files: Mutex<HashSet<(SiteId, FileId)>>,
    /// Told when something was recorded that had outlived its run.
    pub(super) late: Notify,
}

/// Files of one batch, until this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    all: Arc<UnderWay>,
    files: Vec<(SiteId, FileId)>,
}

impl UnderWay {
    /// A transfer of these files to a site begins.
    pub(super) fn hold(self: &Arc<Self>, to: SiteId, files: impl Iterator<Item = FileId>) -> Held {
        let files: Vec<_> = files.map(|file| (to, file)).collect();
        self.lock().extend(files.iter().copied());
        Held { all: self.clone(), files }
    }

    /// Files whose transfers to a site have not really ended.
    pub(super) fn of(&self, to: SiteId) -> Vec<FileId> {
        self.lock().iter().filter(|(site, _)| *site == to).map(|(_, file)| *file).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<(SiteId, FileId)>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        for file in &self.files {
            all.remove(file);
        }
    }
}
