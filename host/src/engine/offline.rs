//! Which pairs of a service can't be worked on, why, and when each is tried again.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::sites::Fault;
use crate::state_dir::rfc3339;

/// A pair that ended with a fault of one of its sites, until it works again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfflinePair {
    /// The project.
    pub project: String,
    /// Its two ends.
    pub pair: [String; 2],
    /// The one of them that can't be used.
    pub site: String,
    /// Why.
    pub reason: String,
    /// When it is tried again: `2026-03-31T12:34:56Z`.
    pub until: String,
}

impl fmt::Display for OfflinePair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OfflinePair { site, reason, until, .. } = self;
        write!(f, "site '{site}': {reason}; tried again at {until}")
    }
}

type Key = (String, [String; 2]);

/// The pairs of this host that are offline.
#[derive(Debug, Default)]
pub struct Offline(Mutex<BTreeMap<Key, OfflinePair>>);

impl Offline {
    /// All of them.
    #[must_use]
    pub fn pairs(&self) -> Vec<OfflinePair> {
        self.lock().values().cloned().collect()
    }

    /// True for a pair that can't be worked on.
    #[must_use]
    pub fn is(&self, project: &str, pair: &[String; 2]) -> bool {
        self.lock().contains_key(&(project.to_owned(), pair.clone()))
    }

    /// The first of a project that has this site at one end.
    #[must_use]
    pub fn at(&self, project: &str, site: &String) -> Option<OfflinePair> {
        let all = self.lock();
        all.values().find(|one| one.project == project && one.pair.contains(site)).cloned()
    }

    /// Notes a pair that is tried again after this pause.
    pub(super) fn note(&self, project: &str, pair: &[String; 2], fault: &Fault, pause: Duration) {
        let offline = OfflinePair {
            project: project.to_owned(),
            pair: pair.clone(),
            site: fault.site.clone(),
            reason: fault.message.clone(),
            until: rfc3339(SystemTime::now() + pause),
        };
        self.lock().insert((project.to_owned(), pair.clone()), offline);
    }

    /// A pair works again, or is nobody's any more.
    pub(super) fn forget(&self, project: &str, pair: &[String; 2]) {
        self.lock().remove(&(project.to_owned(), pair.clone()));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, OfflinePair>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
