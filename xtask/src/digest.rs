//! One digest of a whole folder.

use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::process::doing;

/// A folder's files in one value. Two folders with equal digests hold the same.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    /// How many files there are.
    pub(crate) files: u64,
    /// Their sizes together.
    pub(crate) bytes: u64,
    /// SHA-256 over paths, sizes and contents, in the order of the paths; in hex.
    pub(crate) digest: String,
}

/// Reads a folder as a whole. What is sitesync's own (`.sitesync*`) does not count, and neither do
/// empty folders, which do not travel.
pub(crate) fn of_folder(folder: &Path) -> Result<Summary> {
    let mut summary = Summary { files: 0, bytes: 0, digest: String::new() };
    let mut hash = Sha256::new();
    for relative in files(folder)? {
        let path = folder.join(&relative);
        let mut content = Hashing(Sha256::new());
        let mut file = File::open(&path).with_context(doing("open", &path))?;
        let size = io::copy(&mut file, &mut content).with_context(doing("read", &path))?;
        // Names hold no NUL, and the rest has a fixed length: no two folders read alike.
        hash.update(relative.as_os_str().as_bytes());
        hash.update([0]);
        hash.update(size.to_le_bytes());
        hash.update(content.0.finalize());
        summary.files += 1;
        summary.bytes += size;
    }
    summary.digest = hex(&hash.finalize());
    Ok(summary)
}

/// SHA-256 of a file, in hex.
pub(crate) fn of_file(path: &Path) -> Result<String> {
    let mut content = Hashing(Sha256::new());
    let mut file = File::open(path).with_context(doing("open", path))?;
    io::copy(&mut file, &mut content).with_context(doing("read", path))?;
    Ok(hex(&content.0.finalize()))
}

/// The files beneath a folder, without sitesync's own, in the order of their paths. An error if
/// there is anything but files and folders.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(relative) = folders.pop() {
        let here = folder.join(&relative);
        for entry in fs::read_dir(&here).with_context(doing("list", &here))? {
            let entry = entry.with_context(doing("list", &here))?;
            if entry.file_name().as_bytes().starts_with(b".sitesync") {
                continue;
            }
            let path = relative.join(entry.file_name());
            let kind = entry.file_type().with_context(doing("look at", &entry.path()))?;
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                found.push(path);
            } else {
                bail!("{} is neither a file nor a folder", entry.path().display());
            }
        }
    }
    found.sort();
    Ok(found)
}

struct Hashing(Sha256);

impl io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_difference_counts_and_what_is_ours_does_not() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = |name: &str, files: &[(&str, &str)]| {
            for (path, content) in files {
                let path = scratch.path().join(name).join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, content).unwrap();
            }
            of_folder(&scratch.path().join(name)).unwrap()
        };
        let first = folder("first", &[("a/b", "1"), ("c", "")]);
        assert_eq!((first.files, first.bytes), (2, 1));
        let same = folder("same", &[("c", ""), ("a/b", "1"), (".sitesync/root.json", "x")]);
        assert_eq!(first, same);
        for (name, files) in [
            ("content", [("a/b", "2"), ("c", "")]),
            ("name", [("a/c", "1"), ("c", "")]),
            ("moved", [("a/b", ""), ("c", "1")]),
        ] {
            assert_ne!(first.digest, folder(name, &files).digest, "{name}");
        }
    }
}
