//! What is recorded while somebody looks: a listing may be older than that, and is no news of it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::catalog::{FileId, SiteId};

/// All looks of a host that are under way, of whatever site: each learns of every file of which
/// something is recorded meanwhile.
#[derive(Debug, Default)]
pub struct Recorded(Mutex<Vec<Weak<Overtaken>>>);

/// A look at a site, from before its first listing until what it found is planned. It looks at no
/// folder while it has not planned what it saw there before.
#[derive(Debug, Clone)]
pub(super) struct Look {
    all: Arc<Recorded>,
    own: Arc<Overtaken>,
}

/// The files of which something was recorded while somebody looks at a site.
#[derive(Debug)]
struct Overtaken {
    site: SiteId,
    files: Mutex<Keys>,
}

impl Recorded {
    /// A look at a site begins.
    pub(super) fn look(self: &Arc<Self>, site: SiteId) -> Look {
        let own = Arc::new(Overtaken { site, files: Mutex::default() });
        let mut looks = lock(&self.0);
        looks.retain(|look| look.strong_count() > 0);
        looks.push(Arc::downgrade(&own));
        Look { all: self.clone(), own }
    }

    /// Something is about to be recorded of a file. Called before it is committed.
    pub(crate) fn note(&self, file: FileId) {
        self.tell(file, |_| true);
    }

    fn tell(&self, file: FileId, whom: impl Fn(&Arc<Overtaken>) -> bool) {
        for look in lock(&self.0).iter().filter_map(Weak::upgrade).filter(whom) {
            lock(&look.files).insert(file.0);
        }
    }
}

impl Look {
    /// True if something was recorded of this file since the look began.
    pub(super) fn is_overtaken(&self, file: FileId) -> bool {
        lock(&self.own.files).contains(file.0)
    }

    /// What this look saw of a file is about to be recorded: others at the same site may have seen it
    /// as it was before. Called before it is committed.
    pub(super) fn note(&self, file: FileId) {
        let older =
            |look: &Arc<Overtaken>| look.site == self.own.site && !Arc::ptr_eq(look, &self.own);
        self.all.tell(file, older);
    }
}

fn lock<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A set of keys: one bit each, so that it fits for any tree.
#[derive(Debug, Default)]
pub(super) struct Keys {
    bits: Vec<u64>,
    /// Keys are given in a row; one far off is kept apart.
    far: HashSet<i64>,
}

impl Keys {
    /// Words of bits at the most: a thousand million keys.
    const WORDS: usize = 1 << 24;

    fn place(key: i64) -> Option<(usize, u64)> {
        let key = u64::try_from(key).ok()?;
        let word = usize::try_from(key / 64).ok().filter(|word| *word < Self::WORDS)?;
        Some((word, 1 << (key % 64)))
    }

    pub(super) fn insert(&mut self, key: i64) {
        let Some((word, bit)) = Self::place(key) else {
            self.far.insert(key);
            return;
        };
        if word >= self.bits.len() {
            self.bits.resize(word + 1, 0);
        }
        self.bits[word] |= bit;
    }

    pub(super) fn contains(&self, key: i64) -> bool {
        match Self::place(key) {
            Some((word, bit)) => self.bits.get(word).is_some_and(|bits| bits & bit != 0),
            None => self.far.contains(&key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_overtaken_by_others_at_its_site_and_by_work() {
        let recorded = Arc::new(Recorded::default());
        let [studio, remote] = [SiteId(1), SiteId(2)];
        let [scan, watch, there] = [studio, studio, remote].map(|site| recorded.look(site));
        let overtaken = |file| [&scan, &watch, &there].map(|look| look.is_overtaken(FileId(file)));
        watch.note(FileId(7));
        assert_eq!(overtaken(7), [true, false, false]);
        recorded.note(FileId(8));
        assert_eq!(overtaken(8), [true; 3]);
        assert!(!recorded.look(studio).is_overtaken(FileId(8)), "it began later");
    }

    #[test]
    fn keys_near_and_far() {
        let mut keys = Keys::default();
        for key in [0, 1, 63, 64, 100_000, i64::MAX, -5] {
            assert!(!keys.contains(key));
            keys.insert(key);
            assert!(keys.contains(key));
        }
        assert!(!keys.contains(2));
    }
}
