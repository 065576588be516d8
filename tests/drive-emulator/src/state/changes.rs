//! The feed of changes: what happened, to what, and who could see it.

use std::collections::{BTreeMap, BTreeSet};

use super::State;
use crate::bugs::Bug;

/// Something happened to an item.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) item: String,
    pub(crate) time: i64,
    /// The shared drives that it was in before and after.
    drives: BTreeSet<String>,
    /// Who could see it before or after.
    audience: BTreeSet<String>,
}

/// Whose changes: there is a feed for each user, and one for each shared drive.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Feed {
    User(String),
    Drive(String),
}

impl State {
    /// Notes that something happened to an item that is there.
    pub(super) fn note(&mut self, id: &str) {
        self.note_also(id, BTreeSet::new());
    }

    /// Like [`State::note`]; `before` could see it before.
    pub(super) fn note_also(&mut self, id: &str, before: BTreeSet<String>) {
        let mut audience = self.audience(id);
        audience.extend(before);
        let drive = self.items[id].drive.clone();
        // What left a shared drive has changed for both.
        let earlier = self.changes.iter().rev().find(|change| change.item == id);
        let mut drives: BTreeSet<String> = drive.into_iter().collect();
        drives.extend(earlier.into_iter().flat_map(|change| change.drives.iter().cloned()));
        let time = self.clock.now();
        self.changes.push(Change { item: id.to_owned(), time, drives, audience });
    }

    /// Notes that an item is gone.
    pub(super) fn note_gone(
        &mut self,
        id: &str,
        drive: Option<String>,
        audience: BTreeSet<String>,
    ) {
        let (time, drives) = (self.clock.now(), drive.into_iter().collect());
        self.changes.push(Change { item: id.to_owned(), time, drives, audience });
    }

    /// Lets a number pass with which nothing happened.
    pub(crate) fn skip_change(&mut self) {
        let (time, item) = (self.clock.now(), String::new());
        let (drives, audience) = Default::default();
        self.changes.push(Change { item, time, drives, audience });
    }

    /// Returns up to `most` changes of a feed from number `from` on, and the number of the next
    /// one. Of several changes of an item in a page the last one stands for all.
    pub(crate) fn changes(&self, feed: &Feed, from: usize, most: usize) -> (Vec<&Change>, usize) {
        let mut last: BTreeMap<&str, (usize, &Change)> = BTreeMap::new();
        let mut next = from;
        for (number, change) in self.changes.iter().enumerate().skip(from) {
            let told = match feed {
                Feed::User(email) => change.drives.is_empty() && change.audience.contains(email),
                Feed::Drive(drive) => change.drives.contains(drive),
            };
            let forgotten = self.has(Bug::Removed) && !self.items.contains_key(&change.item);
            if told && !forgotten {
                if last.len() == most && !last.contains_key(change.item.as_str()) {
                    break;
                }
                last.insert(&change.item, (number, change));
            }
            next = number + 1;
        }
        let mut page: Vec<_> = last.into_values().collect();
        page.sort_by_key(|(number, _)| *number);
        (page.into_iter().map(|(_, change)| change).collect(), next)
    }
}
