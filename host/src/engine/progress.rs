//! What a run has done so far: counters that any thread may read, and what people should hear of.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Notes kept word for word; further ones are only counted.
const NOTES: usize = 1000;

/// Live counters of a run.
#[derive(Debug, Default)]
pub struct Progress {
    /// Files seen by scans.
    pub seen: AtomicU64,
    /// Files planned for transfer.
    pub planned_files: AtomicU64,
    /// Their bytes.
    pub planned_bytes: AtomicU64,
    /// Files transferred and recorded.
    pub files: AtomicU64,
    /// Files found equal and recorded without a transfer.
    pub adopted: AtomicU64,
    /// Files taken away and recorded.
    pub removed: AtomicU64,
    /// Bytes transferred and recorded.
    pub bytes: AtomicU64,
    /// Bytes moved so far, recorded or not: for rates.
    pub moved: AtomicU64,
    /// What exists and cannot travel.
    pub skipped: AtomicU64,
    /// Folders that could not be listed.
    pub unlisted: AtomicU64,
    notes: Mutex<Vec<Note>>,
}

/// Something that people should hear of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// The project.
    pub project: String,
    /// The site.
    pub site: String,
    /// The path beneath the root.
    pub path: String,
    /// What is the matter.
    pub reason: String,
}

impl Progress {
    /// Adds to a counter.
    pub(super) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    /// Keeps a note, up to a limit.
    pub(super) fn note(&self, note: Note) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() < NOTES {
            notes.push(note);
        }
    }

    /// The notes so far, sorted, without repetitions.
    #[must_use]
    pub fn notes(&self) -> Vec<Note> {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        notes.sort();
        notes.dedup();
        notes
    }
}
