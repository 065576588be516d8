//! A folder for what a command needs for a while.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

/// Locked as long as the folder is used.
const LOCK: &str = "lock";
/// What has no lock after so long was left by a process that died while it began.
const BEGINS: Duration = Duration::from_secs(3600);

/// A folder of this process only, which goes when this does, or with a later one.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Makes one; `what` tells folders of one process apart. Those of dead processes are removed.
    pub(super) fn new(what: &str) -> io::Result<Self> {
        let beginning = format!("sitesync-{what}-");
        sweep(&std::env::temp_dir(), &beginning);
        let path = std::env::temp_dir().join(format!("{beginning}{}", std::process::id()));
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        // Nobody finds it before it is locked.
        let (begun, lock) = (path.join("lock.new"), path.join(LOCK));
        let file = File::create(&begun)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        fs::rename(begun, lock)?;
        Ok(Scratch { path, _lock: file })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes folders of this user that nobody uses any more.
fn sweep(temporary: &Path, beginning: &str) {
    let own = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(temporary).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(beginning));
        let ours = number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        let Ok(found) = entry.metadata() else { continue };
        if ours && found.is_dir() && found.uid() == own && is_left(&entry.path(), &found) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether no process has a folder locked.
fn is_left(folder: &Path, found: &fs::Metadata) -> bool {
    match File::open(folder.join(LOCK)) {
        Ok(lock) => flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok(),
        Err(_) => found.modified().is_ok_and(|at| at.elapsed().is_ok_and(|age| age > BEGINS)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dead_processes_left_goes_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            fs::create_dir(folder.path().join(name)).unwrap();
            File::create(folder.path().join(name).join(LOCK)).unwrap()
        };
        let used = make("sitesync-dry-run-1");
        flock(&used, FlockOperation::NonBlockingLockExclusive).unwrap();
        for name in ["sitesync-dry-run-2", "sitesync-dry-run-x", "sitesync-doctor-2"] {
            drop(make(name));
        }
        fs::create_dir(folder.path().join("sitesync-dry-run-3")).unwrap();
        sweep(folder.path(), "sitesync-dry-run-");
        let left = fs::read_dir(folder.path()).unwrap().flatten();
        let mut left: Vec<_> = left.map(|entry| entry.file_name()).collect();
        left.sort();
        assert_eq!(
            left,
            ["sitesync-doctor-2", "sitesync-dry-run-1", "sitesync-dry-run-3", "sitesync-dry-run-x"]
        );
    }
}
