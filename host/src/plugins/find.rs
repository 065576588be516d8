//! The files of a plug-in folder, opened so that nobody can exchange them under way.

use std::fs::{File, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{Dir, Mode, OFlags, openat};
use serde::{Deserialize, Serialize};

use super::report::Refusal;
use super::trust;

/// Files looked at per folder: a folder with more is not one of plug-ins.
const MOST_FILES: usize = 256;
/// A file that nobody touched for this long counts as complete.
const QUIET: Duration = Duration::from_secs(2);
/// The pause between two looks at a younger one, and how many there are.
const LOOK: Duration = Duration::from_millis(100);
const LOOKS: u32 = 20;

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    pub(super) size: u64,
    changed: (i64, i64),
    modified: (i64, i64),
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// A file that lies in a plug-in folder.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    /// The opened file, or why it can't be used.
    pub(super) opened: Result<Opened, Refusal>,
    pub(super) trust: Option<String>,
}

#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) stamp: Stamp,
}

/// The `*.so` files of a folder, by name. `None` if there is no such folder.
pub(super) fn files(folder: &Path) -> Result<Option<Vec<Found>>, Refusal> {
    let unreadable = |error: std::io::Error| {
        Refusal::new(
            format!("the plug-in folder {} cannot be read: {error}", folder.display()),
            "make it a folder that the service's user may read",
        )
    };
    let opened = match File::open(folder) {
        Ok(opened) => opened,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let metadata = opened.metadata().map_err(unreadable)?;
    if !metadata.is_dir() {
        return Err(unreadable(std::io::ErrorKind::NotADirectory.into()));
    }
    let trusted = trust::check(folder, &metadata).and_then(|()| trust::check_above(folder));
    let mut names = Vec::new();
    for entry in Dir::read_from(&opened).map_err(|error| unreadable(error.into()))? {
        let entry = entry.map_err(|error| unreadable(error.into()))?;
        let name = entry.file_name().to_bytes();
        if name.ends_with(b".so") && !name.starts_with(b".") {
            names.push(std::ffi::OsStr::from_bytes(name).to_owned());
        }
        if names.len() > MOST_FILES {
            return Err(Refusal::new(
                format!("{} holds more than {MOST_FILES} libraries", folder.display()),
                "give the plug-ins a folder of their own",
            ));
        }
    }
    names.sort();
    Ok(Some(names.iter().map(|name| find(&opened, &trusted, folder.join(name), name)).collect()))
}

/// One file, wherever it lies. What its folder is like does not count: it is not loaded from there.
pub(super) fn file(path: &Path) -> Found {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let opened = File::open(folder).map_err(|error| {
        Refusal::new(
            format!("the folder {} cannot be opened: {error}", folder.display()),
            "name a file that the service's user may read",
        )
    });
    let name = path.file_name().unwrap_or_default();
    match opened {
        Ok(opened) => find(&opened, &Ok(()), path.to_owned(), name),
        Err(refusal) => Found { path: path.to_owned(), opened: Err(refusal), trust: None },
    }
}

/// A file of an opened folder, of which it is known whether it can be trusted.
fn find(
    folder: &File,
    trusted: &Result<(), Refusal>,
    path: PathBuf,
    name: &std::ffi::OsStr,
) -> Found {
    let (opened, metadata) = match open(folder, &path, name) {
        Ok((opened, metadata)) => (Ok(opened), Some(metadata)),
        Err(refusal) => (Err(refusal), None),
    };
    let opened = trusted.clone().and(opened).and_then(|opened| match &metadata {
        Some(metadata) => trust::check(&path, metadata).map(|()| opened),
        None => Ok(opened),
    });
    Found { opened, trust: metadata.as_ref().map(trust::describe), path }
}

/// Opens a file of a folder: neither a link to elsewhere, nor a pipe that would block.
fn open(folder: &File, path: &Path, name: &std::ffi::OsStr) -> Result<(Opened, Metadata), Refusal> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match openat(folder, name, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::LOOP) => {
            return Err(Refusal::new(
                format!("{} is a symbolic link", path.display()),
                "put the file itself there",
            ));
        }
        Err(rustix::io::Errno::NOENT) => {
            return Err(Refusal::new(
                format!("there is no file {}", path.display()),
                "look at what its folder holds",
            ));
        }
        Err(error) => {
            return Err(Refusal::new(
                format!("{} cannot be opened: {error}", path.display()),
                "let the service's user read it",
            ));
        }
    };
    let metadata = file.metadata().map_err(|error| {
        Refusal::new(format!("{} cannot be read: {error}", path.display()), "see the system's log")
    })?;
    if !metadata.is_file() {
        return Err(Refusal::new(
            format!("{} is not a regular file", path.display()),
            "remove it from the plug-in folder",
        ));
    }
    let stamp = Stamp::of(&metadata);
    Ok((Opened { file, stamp }, metadata))
}

/// Waits until nobody writes to these files any more, at most 2 s for all of them together; refuses
/// those that still change. Old ones cost nothing.
pub(super) fn settle(found: &mut [Found]) {
    let young = |opened: &Opened| {
        let modified = opened.file.metadata().and_then(|metadata| metadata.modified());
        let age = modified.map(|at| SystemTime::now().duration_since(at).unwrap_or_default());
        age.is_ok_and(|age| age < QUIET)
    };
    let mut open: Vec<&mut Found> =
        found.iter_mut().filter(|found| found.opened.as_ref().is_ok_and(young)).collect();
    for _ in 0..LOOKS {
        if open.is_empty() {
            return;
        }
        std::thread::sleep(LOOK);
        open.retain_mut(|found| {
            let Ok(opened) = &mut found.opened else { return false };
            let Ok(metadata) = opened.file.metadata() else { return true };
            let before = std::mem::replace(&mut opened.stamp, Stamp::of(&metadata));
            before != opened.stamp
        });
    }
    for found in open {
        found.opened = Err(Refusal::new(
            format!("{} is still being written", found.path.display()),
            "copy it under another name, and rename it then",
        ));
    }
}
