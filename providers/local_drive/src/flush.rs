//! The durability barrier.
//!
//! On a disk of this machine one `syncfs` makes everything durable, and a descriptor that was
//! open before the writes tells of their failures. Where `syncfs` means nothing (a share, FUSE),
//! where it took over [`SLOW`], and for disks mounted deeper beneath the root, every finished
//! file and changed folder is kept open and synced by itself.
//!
//! Promise: after `flush` is `Ok`, everything that was finished before its call is durable.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{self, Mode, OFlags};
use rustix::io::Result;

/// A barrier that takes longer is not tried again for [`SPARED`].
const SLOW: Duration = Duration::from_secs(5);
const SPARED: Duration = Duration::from_secs(600);
/// How many files, and how many folders, are kept open for the next barrier; what comes beyond is
/// synced at once.
const MOST_OPEN: usize = 128;

/// What one root still owes to the disk.
#[derive(Debug)]
pub(crate) struct Barrier {
    device: u64,
    always_per_file: bool,
    owed: Mutex<Owed>,
    /// One barrier at a time: a second one must not find the debts taken and not yet paid.
    turn: Mutex<()>,
    failures: AtomicU64,
}

#[derive(Debug, Default)]
struct Owed {
    files: Vec<OwnedFd>,
    folders: HashMap<(u64, u64), OwnedFd>,
    /// Changes that only a `syncfs` covers, and how many of them the last one covered.
    unlisted: u64,
    covered: Option<u64>,
    slow_until: Option<Instant>,
}

/// A part of a barrier: what is to be synced by itself, and whether the filesystem is as well.
#[derive(Debug)]
pub(crate) struct Debt {
    files: Vec<OwnedFd>,
    folders: HashMap<(u64, u64), OwnedFd>,
    unlisted: Option<u64>,
}

impl Barrier {
    pub(crate) fn new(device: u64, per_file: bool) -> Self {
        // What an earlier process left is unknown: the first barrier of a disk always syncs it.
        let covered = per_file.then_some(0);
        let owed = Owed { covered, ..Owed::default() };
        Barrier {
            device,
            always_per_file: per_file,
            owed: Mutex::new(owed),
            turn: Mutex::new(()),
            failures: AtomicU64::new(0),
        }
    }

    /// True if files are to be synced one by one before they are renamed.
    pub(crate) fn is_per_file(&self) -> bool {
        self.always_per_file
    }

    /// Takes a file that became visible in this folder.
    pub(crate) fn finished(
        &self,
        file: OwnedFd,
        device: u64,
        folder: BorrowedFd<'_>,
    ) -> Result<()> {
        {
            let mut owed = self.lock();
            if self.is_covered(&owed, device) {
                owed.unlisted += 1;
                return Ok(());
            }
            if owed.files.len() < MOST_OPEN {
                owed.files.push(file);
            } else {
                drop(owed);
                fs::fsync(&file)?;
            }
        }
        self.folder_changed(folder)
    }

    /// Takes a folder in which a name came or went.
    pub(crate) fn folder_changed(&self, folder: BorrowedFd<'_>) -> Result<()> {
        let stat = fs::fstat(folder)?;
        let mut owed = self.lock();
        if self.is_covered(&owed, stat.st_dev) {
            owed.unlisted += 1;
            return Ok(());
        }
        let key = (stat.st_dev, stat.st_ino);
        if owed.folders.contains_key(&key) {
            return Ok(());
        }
        // The handle at hand is a mere path; only an open folder can be synced.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = fs::openat(folder, ".", flags, Mode::empty())?;
        if owed.folders.len() < MOST_OPEN {
            owed.folders.insert(key, open);
            return Ok(());
        }
        drop(owed);
        sync_folder(open.as_fd())
    }

    /// True if something was finished that no barrier has covered.
    pub(crate) fn has_pending(&self) -> bool {
        let owed = self.lock();
        !owed.files.is_empty()
            || !owed.folders.is_empty()
            || owed.unlisted > owed.covered.unwrap_or(0)
    }

    /// Waits until no other barrier of this root is under way.
    pub(crate) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many barriers have failed. The kernel tells of a failed write once: a barrier that
    /// waited while another failed cannot know whose files were hit.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Acquire)
    }

    /// Notes that a barrier failed.
    pub(crate) fn fail(&self) {
        self.failures.fetch_add(1, Ordering::AcqRel);
    }

    /// What the barrier that begins now has to do. A `syncfs` is made though nothing was finished here
    /// since the last one: others may have written what is to be durable.
    pub(crate) fn begin(&self) -> Debt {
        let mut owed = self.lock();
        let spared = !self.is_covered(&owed, self.device);
        let nothing_new = spared && owed.covered == Some(owed.unlisted);
        Debt {
            files: std::mem::take(&mut owed.files),
            folders: std::mem::take(&mut owed.folders),
            unlisted: (!nothing_new).then_some(owed.unlisted),
        }
    }

    /// Notes that a `syncfs` covered this debt, and how long it took.
    pub(crate) fn covered(&self, debt: &Debt, took: Duration) {
        let mut owed = self.lock();
        if let Some(unlisted) = debt.unlisted {
            owed.covered = owed.covered.max(Some(unlisted));
        }
        owed.slow_until = (took > SLOW).then(|| Instant::now() + SPARED);
    }

    /// True if `syncfs` is what makes a change on this device durable.
    fn is_covered(&self, owed: &Owed, device: u64) -> bool {
        let slow = owed.slow_until.is_some_and(|until| Instant::now() < until);
        device == self.device && !self.always_per_file && !slow
    }

    fn lock(&self) -> MutexGuard<'_, Owed> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Debt {
    /// True if the filesystem as a whole is to be synced.
    pub(crate) fn needs_syncfs(&self) -> bool {
        self.unlisted.is_some()
    }

    /// Syncs what is to be synced by itself: all of it, and then tells of the first failure.
    pub(crate) fn pay(&mut self) -> Result<()> {
        let mut answer = Ok(());
        for file in self.files.drain(..) {
            answer = answer.and(fs::fsync(&file));
        }
        for (_, folder) in self.folders.drain() {
            answer = answer.and(sync_folder(folder.as_fd()));
        }
        answer
    }
}

/// Some shares cannot sync a folder, and say so; there is nothing more to be had from them.
fn sync_folder(folder: BorrowedFd<'_>) -> Result<()> {
    use rustix::io::Errno;
    match fs::fsync(folder) {
        Err(Errno::INVAL | Errno::NOTSUP | Errno::NOSYS | Errno::BADF) => Ok(()),
        answer => answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &std::path::Path, name: &str) -> (OwnedFd, OwnedFd, u64) {
        let file = std::fs::File::create(folder.join(name)).unwrap();
        let device = fs::fstat(&file).unwrap().st_dev;
        (file.into(), std::fs::File::open(folder).unwrap().into(), device)
    }

    #[test]
    fn a_disk_is_synced_also_for_what_others_wrote() {
        let temp = tempfile::tempdir().unwrap();
        let (one, folder, device) = file(temp.path(), "a");
        let barrier = Barrier::new(device, false);
        let first = barrier.begin();
        assert!(first.needs_syncfs());
        barrier.covered(&first, Duration::ZERO);
        assert!(!barrier.has_pending() && barrier.begin().needs_syncfs());
        barrier.finished(one, device, folder.as_fd()).unwrap();
        assert!(barrier.has_pending() && barrier.begin().needs_syncfs());
    }

    #[test]
    fn a_slow_barrier_turns_to_files_and_misses_none() {
        let temp = tempfile::tempdir().unwrap();
        let (one, folder, device) = file(temp.path(), "a");
        let (two, _, _) = file(temp.path(), "b");
        let barrier = Barrier::new(device, false);
        let slow = barrier.begin();
        // Finished while the slow barrier ran: only another `syncfs` covers it.
        barrier.finished(one, device, folder.as_fd()).unwrap();
        barrier.covered(&slow, SLOW * 2);
        barrier.finished(two, device, folder.as_fd()).unwrap();
        let mut next = barrier.begin();
        assert!(next.needs_syncfs());
        assert_eq!((next.files.len(), next.folders.len()), (1, 1));
        next.pay().unwrap();
        barrier.covered(&next, SLOW * 2);
        assert!(!barrier.begin().needs_syncfs());
    }

    #[test]
    fn a_share_keeps_a_bounded_list() {
        let temp = tempfile::tempdir().unwrap();
        let (_, folder, device) = file(temp.path(), "a");
        let barrier = Barrier::new(device, true);
        for n in 0..MOST_OPEN + 10 {
            let (fd, _, _) = file(temp.path(), &n.to_string());
            barrier.finished(fd, device, folder.as_fd()).unwrap();
        }
        let mut debt = barrier.begin();
        assert!(!debt.needs_syncfs());
        assert_eq!((debt.files.len(), debt.folders.len()), (MOST_OPEN, 1));
        debt.pay().unwrap();
        assert!(!barrier.has_pending());
    }
}
