//! Plug-ins that were being loaded when the host died.
//!
//! A marker lies in the cache for as long as a load takes, locked by the process that loads. A
//! marker that nobody holds is a death. Three of one content, and it is not loaded again until it
//! is admitted anew. A load that comes to its end removes them all: a kill -9 that happens to fall
//! into the few milliseconds of a load is forgotten with the next start.
//!
//! Deaths while a provider *works* are not counted: nothing tells whose fault they were.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::report::Refusal;

/// So many deaths are enough.
const DEATHS: usize = 3;

/// A load under way.
#[derive(Debug)]
pub(super) struct Marker {
    path: PathBuf,
    dead: Vec<PathBuf>,
    /// Holds the lock.
    _file: Option<File>,
}

/// Marks the begin of a load, unless too many of this content ended in a death.
pub(super) fn begin(folder: &Path, name: &str, sha256: &str) -> Result<Marker, Refusal> {
    let dead = deaths(folder, sha256);
    if dead.len() >= DEATHS {
        return Err(Refusal::new(
            format!("the host died {} times while it loaded this {name}", dead.len()),
            "install another version of it, or admit it anew with: sitesync provider trust FILE",
        ));
    }
    // Threads of one process load different contents, so that this name is free: or it is what a
    // dead process of the same number left, which counts as one.
    let path = (0..)
        .map(|n| folder.join(format!("{sha256}.{}.{n}", std::process::id())))
        .find(|path| !path.exists())
        .unwrap_or_default();
    let file = File::create_new(&path).and_then(|file| {
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(file)
    });
    if let Err(error) = &file {
        tracing::warn!(path = %path.display(), %error, "cannot mark the load of a plug-in");
    }
    Ok(Marker { path, dead, _file: file.ok() })
}

impl Drop for Marker {
    /// The load has come to its end, whatever that was: the host lives.
    fn drop(&mut self) {
        for path in self.dead.iter().chain([&self.path]) {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Forgets all deaths of this content.
pub(super) fn forgive(folder: &Path, sha256: &str) {
    for path in deaths(folder, sha256) {
        let _ = std::fs::remove_file(path);
    }
}

/// Markers of this content whose process is gone.
fn deaths(folder: &Path, sha256: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(sha256))
        .map(|entry| entry.path())
        .filter(|path| {
            File::open(path)
                .is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockShared).is_ok())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_deaths_and_a_pardon() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        drop(begin(at, "gdrive", "aa").unwrap());
        assert_eq!(std::fs::read_dir(at).unwrap().count(), 0, "a load that ended leaves nothing");

        // A marker that somebody holds is no death.
        let held = begin(at, "gdrive", "aa").unwrap();
        assert_eq!(deaths(at, "aa").len(), 0);
        drop(held);

        for n in 0..2 {
            std::fs::write(at.join(format!("aa.{n}")), "").unwrap();
        }
        drop(begin(at, "gdrive", "aa").unwrap());
        assert_eq!(deaths(at, "aa").len(), 0, "a success forgets earlier deaths");

        for n in 0..3 {
            std::fs::write(at.join(format!("aa.{n}")), "").unwrap();
        }
        let refusal = begin(at, "gdrive", "aa").unwrap_err();
        assert!(refusal.reason.contains("died 3 times"), "{refusal}");
        begin(at, "gdrive", "bb").unwrap();
        forgive(at, "aa");
        begin(at, "gdrive", "aa").unwrap();
    }
}
