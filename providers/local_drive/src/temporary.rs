//! Temporaries: what is being written, in the folder where it will be, under a name that tells
//! whose it is: `.sitesync-{site}-{process}-{number}.tmp`. Never derived from the final name, and
//! short enough for any disk.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::{Errno, Result};
use sitesync_provider::OURS;

use crate::beneath::Folder;

/// Longest part of a site id that a name carries.
const LONGEST_SITE: usize = 120;

/// Tells the processes of one site apart.
static PROCESS: LazyLock<u64> = LazyLock::new(chance);
static NUMBER: AtomicU64 = AtomicU64::new(0);
/// Names that this process is writing to.
static IN_USE: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

/// Any number: names that are made of it do not collide.
pub(crate) fn chance() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A site id as names of temporaries carry it.
#[derive(Debug, Clone)]
pub(crate) struct Mark(Arc<str>);

impl Mark {
    /// The mark of this site.
    pub(crate) fn new(site: &str) -> Self {
        let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
        Mark(site.chars().map(plain).take(LONGEST_SITE).collect::<String>().into())
    }

    /// A new name, never given before.
    pub(crate) fn name(&self) -> String {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        format!("{OURS}-{}-{:016x}-{number:x}.tmp", self.0, *PROCESS)
    }

    /// Whether a temporary of this name is this site's own; `None` if it is no temporary.
    pub(crate) fn owns(&self, name: &str) -> Option<bool> {
        Some(site_of(name)? == &*self.0)
    }
}

/// True if a temporary of whatever site could have this name.
pub(crate) fn is_temporary(name: &str) -> bool {
    site_of(name).is_some()
}

/// The site in a temporary's name; `None` if it is no temporary.
fn site_of(name: &str) -> Option<&str> {
    let hex = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    let rest = name.strip_prefix(OURS)?.strip_prefix('-')?.strip_suffix(".tmp")?;
    let (rest, number) = rest.rsplit_once('-')?;
    let (site, process) = rest.rsplit_once('-')?;
    (hex(number) && hex(process) && process.len() == 16).then_some(site)
}

/// True if this process is writing to a temporary of this name.
pub(crate) fn is_in_use(name: &str) -> bool {
    IN_USE.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
}

/// Claims a name; false if it is claimed already.
fn claim(name: &str) -> bool {
    IN_USE.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned())
}

/// A file that is being written. Dropped, it is removed, unless it is visible by then or kept.
#[derive(Debug)]
pub(crate) struct Temporary {
    file: Option<OwnedFd>,
    folder: Arc<Folder>,
    name: String,
    stays: bool,
}

impl Temporary {
    /// A new one in this folder.
    pub(crate) fn new(folder: Arc<Folder>, mark: &Mark, mode: u32) -> Result<Self> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let name = mark.name();
        claim(&name);
        // From here on, dropping gives the claim back.
        let mut new = Temporary { file: None, folder, name, stays: true };
        let file = fs::openat(&new.folder, &*new.name, flags, Mode::from_raw_mode(mode))?;
        new.file = Some(file);
        new.stays = false;
        Ok(new)
    }

    /// An earlier one that holds at least `size` bytes; what it holds beyond is cut off. `None`
    /// if there is no such thing, or someone is writing to it.
    pub(crate) fn again(folder: Arc<Folder>, name: &str, size: u64) -> Result<Option<Self>> {
        if !claim(name) {
            return Ok(None);
        }
        let mut new = Temporary { file: None, folder, name: name.to_owned(), stays: true };
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match fs::openat(&new.folder, name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::LOOP | Errno::ACCESS | Errno::NXIO | Errno::ISDIR) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let stat = fs::fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile
            || crate::facts::size(&stat) < size
            || stat.st_nlink != 1
        {
            return Ok(None);
        }
        fs::ftruncate(&file, size)?;
        new.file = Some(file);
        Ok(Some(new))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn folder(&self) -> &Arc<Folder> {
        &self.folder
    }

    /// The open file.
    pub(crate) fn file(&self) -> Result<BorrowedFd<'_>> {
        self.file.as_ref().map(AsFd::as_fd).ok_or(Errno::BADF)
    }

    /// Leaves it where it is when dropped, or not.
    pub(crate) fn keep(&mut self, stays: bool) {
        self.stays = stays;
    }

    /// Gives the file away: it is visible under another name.
    pub(crate) fn into_file(mut self) -> Option<OwnedFd> {
        self.stays = true;
        self.file.take()
    }

    /// Removes the name.
    pub(crate) fn unlink(&mut self) -> Result<()> {
        self.stays = true;
        fs::unlinkat(&*self.folder, &*self.name, AtFlags::empty())
    }

    /// What is under its name now.
    pub(crate) fn stat_name(&self) -> Result<Stat> {
        self.folder.stat(&self.name)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.stays {
            // What can't be removed is left to the sweep.
            let _ = fs::unlinkat(&*self.folder, &*self.name, AtFlags::empty());
        }
        IN_USE.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_whose_they_are() {
        let (a, b) = (Mark::new("artist"), Mark::new("artist-0123456789abcdef"));
        assert_eq!(a.owns(&a.name()), Some(true));
        assert_eq!(a.owns(&b.name()), Some(false));
        assert_eq!(b.owns(&a.name()), Some(false));
        for name in
            [".sitesync", ".sitesync-a.tmp", ".sitesync-a-b-c.tmp", "x.tmp", ".sitesync-notes"]
        {
            assert_eq!(a.owns(name), None, "{name}");
        }
        let long = Mark::new(&"/é".repeat(400));
        assert!(long.name().len() < 255 && long.owns(&long.name()) == Some(true));
    }
}
