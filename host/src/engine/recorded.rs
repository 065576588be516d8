//! What is recorded while somebody looks: a listing may be older than that, and is no news of it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::catalog::FileId;

/// All looks of a host that are under way, of whatever site: each learns of every file of which
/// something is recorded meanwhile.
#[derive(Debug, Default)]
pub struct Recorded(Mutex<Vec<Weak<Mutex<Keys>>>>);

/// A look at a site, from before its first listing until what it found is planned.
#[derive(Debug, Clone, Default)]
pub(super) struct Look(Arc<Mutex<Keys>>);

impl Recorded {
    /// A look begins.
    pub(super) fn look(&self) -> Look {
        let look = Look::default();
        let mut looks = lock(&self.0);
        looks.retain(|look| look.strong_count() > 0);
        looks.push(Arc::downgrade(&look.0));
        look
    }

    /// Something is about to be recorded of a file. Called before it is committed.
    pub(crate) fn note(&self, file: FileId) {
        for look in lock(&self.0).iter().filter_map(Weak::upgrade) {
            lock(&look).insert(file.0);
        }
    }
}

impl Look {
    /// True if something was recorded of this file since the look began.
    pub(super) fn is_overtaken(&self, file: FileId) -> bool {
        lock(&self.0).contains(file.0)
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
