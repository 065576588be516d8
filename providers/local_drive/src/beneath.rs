//! Opening beneath a root, whatever the path and the links on it say.
//!
//! A path is resolved by the kernel (`openat2` with `RESOLVE_BENEATH`), or part by part where
//! that call is missing or barred. What lies in an open [`Folder`] is then reached by its single
//! name. A folder's handle serves a run of consecutive files and is never older than
//! [`FRESH`] when something becomes visible in it: what was moved away is not written to.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{self, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::{Errno, Result};

use crate::root::Root;

/// How long an open folder is taken to be still where it was.
pub(crate) const FRESH: Duration = Duration::from_millis(250);
/// A call takes paths shorter than `PATH_MAX`; longer ones go in pieces.
const PIECE: usize = 4000;
/// As many links as the kernel follows on one path.
const MOST_LINKS: u32 = 40;
/// How often a resolution that raced with a rename is tried again.
const RACES: u32 = 32;

const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Set once `openat2` turned out to be missing (an old kernel) or barred (seccomp).
static NO_OPENAT2: AtomicBool = AtomicBool::new(false);

/// An open folder beneath a root.
#[derive(Debug)]
pub(crate) struct Folder {
    fd: OwnedFd,
    path: String,
    opened: Instant,
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Folder {
    /// Opens a folder that is there.
    pub(crate) fn open(root: &Root, path: &str) -> Result<Self> {
        let fd = open(root.as_fd(), path, FOLDER, Mode::empty(), root.follow())?;
        Ok(Folder::of(fd, path))
    }

    /// Opens a folder; makes it and its parents where they are missing. Others may do the same
    /// at the same time.
    pub(crate) fn make(root: &Root, path: &str) -> Result<Self> {
        Folder::make_with(root, path, |_| None)
    }

    /// Likewise; `mode` tells the permissions of those that are made, by their paths beneath the
    /// root, where they are not to have the usual ones. The umask takes away from them.
    pub(crate) fn make_with(
        root: &Root,
        path: &str,
        mode: impl Fn(&str) -> Option<u32>,
    ) -> Result<Self> {
        // Upwards to the deepest folder that is there: mostly only the last one is missing.
        let mut there = path;
        let mut fd = loop {
            match open(root.as_fd(), there, FOLDER, Mode::empty(), root.follow()) {
                Err(Errno::NOENT) if !there.is_empty() => {
                    there = there.rsplit_once('/').map_or("", |(parent, _)| parent);
                }
                answer => break answer?,
            }
        };
        let mut made = there.len();
        for name in path[there.len()..].split('/').filter(|name| !name.is_empty()) {
            made += name.len() + usize::from(made > 0);
            let mode = mode(&path[..made]).unwrap_or(0o777);
            match fs::mkdirat(&fd, name, Mode::from_raw_mode(mode)) {
                Ok(()) => root.barrier().folder_changed(fd.as_fd())?,
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
            fd = open(fd.as_fd(), name, FOLDER, Mode::empty(), false)?;
        }
        Ok(Folder::of(fd, path))
    }

    fn of(fd: OwnedFd, path: &str) -> Self {
        Folder { fd, path: path.to_owned(), opened: Instant::now() }
    }

    /// The path beneath the root.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// True if the handle need not be looked at again.
    pub(crate) fn is_fresh(&self) -> bool {
        self.opened.elapsed() < FRESH
    }

    /// True if the path still leads to this folder.
    pub(crate) fn is_in_place(&self, root: &Root) -> bool {
        if self.is_fresh() {
            return true;
        }
        let now = Folder::open(root, &self.path).and_then(|now| fs::fstat(&now));
        match (now, fs::fstat(&self.fd)) {
            (Ok(now), Ok(held)) => (now.st_dev, now.st_ino) == (held.st_dev, held.st_ino),
            _ => false,
        }
    }

    /// What is under this name; a link is not followed.
    pub(crate) fn stat(&self, name: &str) -> Result<Stat> {
        fs::statat(&self.fd, name, fs::AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Opens what is under this name for reading, without waiting for the other end of a pipe.
    pub(crate) fn open_file(&self, root: &Root, name: &str) -> Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        match fs::openat(&self.fd, name, flags | OFlags::NOFOLLOW, Mode::empty()) {
            Err(Errno::LOOP) if root.follow() => {
                let path = sitesync_provider::join(&self.path, name);
                open(root.as_fd(), &path, flags, Mode::empty(), true)
            }
            answer => answer,
        }
    }
}

/// Opens `path` beneath `base`. Without `follow`, a link anywhere on the path is `LOOP`; with it,
/// one that leads out of `base`, or is absolute, is `XDEV`.
pub(crate) fn open(
    base: BorrowedFd<'_>,
    path: &str,
    flags: OFlags,
    mode: Mode,
    follow: bool,
) -> Result<OwnedFd> {
    let mut rest = path;
    let mut held: Option<OwnedFd> = None;
    while rest.len() > PIECE {
        // A name longer than a piece is longer than any disk takes.
        let cut = rest.as_bytes()[..PIECE].iter().rposition(|&byte| byte == b'/');
        let cut = cut.ok_or(Errno::NAMETOOLONG)?;
        let from = held.as_ref().map_or(base, AsFd::as_fd);
        held = Some(resolve(from, &rest[..cut], FOLDER, Mode::empty(), follow)?);
        rest = &rest[cut + 1..];
    }
    let from = held.as_ref().map_or(base, AsFd::as_fd);
    resolve(from, if rest.is_empty() { "." } else { rest }, flags, mode, follow)
}

fn resolve(
    base: BorrowedFd<'_>,
    path: &str,
    flags: OFlags,
    mode: Mode,
    follow: bool,
) -> Result<OwnedFd> {
    let mut how = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    how.set(ResolveFlags::NO_SYMLINKS, !follow);
    for _ in 0..RACES {
        if NO_OPENAT2.load(Ordering::Relaxed) {
            break;
        }
        match fs::openat2(base, path, flags, mode, how) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(Errno::NOSYS) => NO_OPENAT2.store(true, Ordering::Relaxed),
            // Barred, or a file that may not be opened? The folder itself always may.
            Err(Errno::PERM) => {
                let probe = fs::openat2(base, ".", OFlags::PATH, Mode::empty(), how);
                if probe.err() != Some(Errno::PERM) {
                    return Err(Errno::PERM);
                }
                NO_OPENAT2.store(true, Ordering::Relaxed);
            }
            answer => return answer,
        }
    }
    walk(base, Path::new(path), flags, mode, follow)
}

/// The same without `openat2`: part by part, each opened without following, links read and
/// resolved here.
pub(crate) fn walk(
    base: BorrowedFd<'_>,
    path: &Path,
    flags: OFlags,
    mode: Mode,
    follow: bool,
) -> Result<OwnedFd> {
    let mut todo = parts(path)?;
    let mut folders: Vec<OwnedFd> = Vec::new();
    let mut links = 0;
    while let Some(part) = todo.pop_front() {
        if part == ".." {
            folders.pop().ok_or(Errno::XDEV)?;
            continue;
        }
        let last = todo.is_empty();
        let here = folders.last().map_or(base, AsFd::as_fd);
        let keeps_link = last && flags.contains(OFlags::NOFOLLOW);
        if !keeps_link && let Ok(target) = fs::readlinkat(here, &part, Vec::new()) {
            links += 1;
            if !follow || links > MOST_LINKS {
                return Err(Errno::LOOP);
            }
            let target = OsString::from_vec(target.into_bytes());
            for part in parts(Path::new(&target))?.into_iter().rev() {
                todo.push_front(part);
            }
            continue;
        }
        if last {
            return fs::openat(here, &part, flags | OFlags::NOFOLLOW, mode);
        }
        folders.push(fs::openat(here, &part, FOLDER | OFlags::NOFOLLOW, Mode::empty())?);
    }
    let here = folders.last().map_or(base, AsFd::as_fd);
    fs::openat(here, ".", flags, mode)
}

/// The parts of a relative path.
fn parts(path: &Path) -> Result<VecDeque<OsString>> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.first() == Some(&b'/') {
        return Err(Errno::XDEV);
    }
    let parts = bytes.split(|&byte| byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    Ok(parts.map(|part| OsString::from_vec(part.to_vec())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// The way without `openat2` answers as the one with it does.
    #[test]
    fn both_ways_agree() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("root");
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::write(root.join("a/b/f"), b"x").unwrap();
        std::fs::write(temp.path().join("outside"), b"x").unwrap();
        for (target, link) in [
            ("a/b", "in"),
            ("b/f", "a/file"),
            ("../..", "a/b/top"),
            ("../outside", "out"),
            ("../../../outside", "a/b/out"),
            ("/etc/passwd", "absolute"),
            ("self", "self"),
            ("nowhere", "dangling"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        let base = fs::open(&root, FOLDER, Mode::empty()).unwrap();
        let paths = [
            ".",
            "a",
            "a/b/f",
            "a/b/f/x",
            "missing",
            "missing/x",
            "in/f",
            "in",
            "a/file",
            "a/b/top/a/b/f",
            "out",
            "a/b/out",
            "absolute",
            "self",
            "self/x",
            "dangling",
            "in/top/in/top/a",
            "../outside",
            "a/../../outside",
        ];
        let look = |fd: Result<OwnedFd>| fd.and_then(fs::fstat).map(|stat| stat.st_ino);
        for follow in [false, true] {
            for path in paths {
                for extra in [OFlags::empty(), OFlags::DIRECTORY, OFlags::NOFOLLOW] {
                    let flags = OFlags::PATH | OFlags::CLOEXEC | extra;
                    let by_kernel = open(base.as_fd(), path, flags, Mode::empty(), follow);
                    let by_hand = walk(base.as_fd(), Path::new(path), flags, Mode::empty(), follow);
                    assert_eq!(look(by_hand), look(by_kernel), "{path} {flags:?} {follow}");
                }
            }
        }
    }
}
