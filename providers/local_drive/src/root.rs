//! The open roots: one descriptor each, held from the first use, so that no path leads out and
//! errors of write-back are seen. A root that was replaced (another disk, another folder) is
//! noticed by the health check and by `flush`, and what was under way in the old one fails.

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{self, Mode, OFlags, Stat};
use sitesync_provider::{Capabilities, Error, ErrorKind, Result, RootInfo};

use crate::config::Settings;
use crate::fault::fault;
use crate::filesystem::Filesystem;
use crate::flush::Barrier;
use crate::trash::{self, Filling};

/// An open root with the settings of its site. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Root {
    held: Arc<Held>,
    settings: Settings,
}

/// What all uses of a root share.
#[derive(Debug)]
pub(crate) struct Held {
    path: String,
    fd: OwnedFd,
    device: u64,
    inode: u64,
    filesystem: Filesystem,
    barrier: Barrier,
    replaced: AtomicBool,
    /// Notes that are given once.
    noted_mode: AtomicBool,
    noted_times: AtomicBool,
    trash: Filling,
    /// The filesystem has no `renameat2` flags.
    pub(crate) plain_rename: AtomicBool,
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.held.fd.as_fd()
    }
}

impl std::ops::Deref for Root {
    type Target = Held;

    fn deref(&self) -> &Held {
        &self.held
    }
}

impl Root {
    pub(crate) fn settings(&self) -> Settings {
        self.settings
    }

    pub(crate) fn follow(&self) -> bool {
        self.settings.follow()
    }

    /// True if both are the same open root.
    pub(crate) fn is(&self, other: &Root) -> bool {
        Arc::ptr_eq(&self.held, &other.held) && self.settings == other.settings
    }
}

impl Held {
    fn open(path: &str) -> Result<Self> {
        if !Path::new(path).is_absolute() {
            return Err(unavailable(path, "it is not an absolute path"));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = fs::open(path, flags, Mode::empty()).map_err(|error| {
            use rustix::io::Errno;
            let why = match error {
                Errno::NOENT => "there is no such folder; is it mounted?",
                Errno::NOTDIR => "it is a file, or lies under one",
                _ => "it can't be opened",
            };
            let code = format!("os error {}", error.raw_os_error());
            unavailable(path, why).with_code(code).with_source(std::io::Error::from(error))
        })?;
        let stat = fs::fstat(&fd).map_err(|error| gone(path, error))?;
        let filesystem = Filesystem::of(fd.as_fd(), &stat).map_err(|error| gone(path, error))?;
        Ok(Held {
            path: path.to_owned(),
            device: stat.st_dev,
            inode: stat.st_ino,
            barrier: Barrier::new(stat.st_dev, filesystem.syncs_per_file()),
            fd,
            filesystem,
            replaced: AtomicBool::new(false),
            trash: Filling::default(),
            noted_mode: AtomicBool::new(false),
            noted_times: AtomicBool::new(false),
            plain_rename: AtomicBool::new(false),
        })
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(crate) fn device(&self) -> u64 {
        self.device
    }

    /// True if a network is, or may be, behind it.
    pub(crate) fn is_network(&self) -> bool {
        self.filesystem.is_network()
    }

    /// True if the disk that it is on takes no change now.
    pub(crate) fn is_read_only(&self) -> bool {
        let facts = rustix::fs::fstatvfs(&self.fd);
        facts.is_ok_and(|facts| facts.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
    }

    pub(crate) fn barrier(&self) -> &Barrier {
        &self.barrier
    }

    /// The folder of its trash that is being filled.
    pub(crate) fn trash(&self) -> &Filling {
        &self.trash
    }

    /// `RootUnavailable` once another folder stands at the root's path.
    pub(crate) fn check(&self) -> Result<()> {
        if self.replaced.load(Ordering::Acquire) {
            return Err(unavailable(&self.path, "it was replaced by another folder"));
        }
        Ok(())
    }

    /// Notes once that this disk refuses permissions.
    pub(crate) fn note_mode(&self, error: rustix::io::Errno) {
        if !self.noted_mode.swap(true, Ordering::Relaxed) {
            tracing::warn!(root = %self.path, %error, "this disk refuses permissions; files get its own");
        }
    }

    /// Notes once that this disk refuses modification times.
    pub(crate) fn note_times(&self, error: rustix::io::Errno) {
        if !self.noted_times.swap(true, Ordering::Relaxed) {
            tracing::warn!(root = %self.path, %error, "this disk refuses modification times; files get the time of writing");
        }
    }

    fn info(&self) -> Result<RootInfo> {
        let room = fs::fstatvfs(&self.fd).map_err(|error| gone(&self.path, error))?;
        let parent = fs::statat(&self.fd, "..", fs::AtFlags::empty());
        let mut can = Capabilities::default();
        can.server_copy = true;
        can.ranges = true;
        can.resume = true;
        can.recursive_list = true;
        can.flush = true;
        can.atomic_replace = true;
        can.trash = true;
        can.keeps_replaced = true;
        let mut info = RootInfo::default();
        info.storage_id.clone_from(&self.filesystem.id);
        info.root_id = format!("{}/{:x}", self.filesystem.id, self.inode);
        info.can = can;
        info.mtime_step_ns = self.filesystem.mtime_step_ns();
        info.names = self.filesystem.names();
        info.largest_file = self.filesystem.largest_file();
        info.free = Some(room.f_bavail.saturating_mul(room.f_frsize));
        info.total = Some(room.f_blocks.saturating_mul(room.f_frsize));
        info.network = self.filesystem.is_network();
        info.mount_point = parent.is_ok_and(|parent| parent.st_dev != self.device);
        info.local_path = Some(self.path.clone());
        info.trash_folder = Some(trash::path());
        info.label.clone_from(&self.filesystem.name);
        Ok(info)
    }

    fn is_at(&self, stat: &Stat) -> bool {
        (stat.st_dev, stat.st_ino) == (self.device, self.inode)
    }
}

fn unavailable(path: &str, why: &str) -> Error {
    Error::new(ErrorKind::RootUnavailable, why).context(format_args!("root {path:?}"))
}

fn gone(path: &str, error: rustix::io::Errno) -> Error {
    unavailable(path, "it can't be looked at").with_source(fault("stat", path, error))
}

/// All roots of an instance, by the path that settings give.
#[derive(Debug, Default)]
pub(crate) struct Roots {
    table: Mutex<Table>,
    default: Settings,
}

#[derive(Debug, Default)]
struct Table {
    open: HashMap<String, Root>,
    /// Roots that went away with files that no barrier had made durable.
    lost: HashSet<String>,
}

impl Roots {
    /// No root open yet; those that are used without having been opened get these settings.
    pub(crate) fn new(default: Settings) -> Self {
        Roots { table: Mutex::default(), default }
    }

    /// The root, opened if it isn't yet.
    pub(crate) fn get(&self, path: &str) -> Result<Root> {
        if let Some(root) = self.lock().open.get(path) {
            return Ok(root.clone());
        }
        // Opened outside the lock: a hung mount must not stop the other roots.
        let fresh = Root { held: Arc::new(Held::open(path)?), settings: self.default };
        Ok(self.lock().open.entry(path.to_owned()).or_insert(fresh).clone())
    }

    /// Opens the root, or looks whether the open one still is what its path leads to.
    pub(crate) fn open(&self, path: &str, settings: Settings) -> Result<RootInfo> {
        let root = self.renew(path, Some(settings))?;
        root.info()
    }

    /// The root as it is now. What is not there any more leaves the table as well.
    pub(crate) fn renew(&self, path: &str, settings: Option<Settings>) -> Result<Root> {
        let fresh = Held::open(path);
        let mut table = self.lock();
        let old = table.open.get(path).cloned();
        let settings = settings.or(old.as_ref().map(|old| old.settings)).unwrap_or(self.default);
        let held = match (old, fresh) {
            (Some(old), Ok(fresh)) if (old.device, old.inode) == (fresh.device, fresh.inode) => {
                old.held
            }
            (old, fresh) => {
                if let Some(old) = old {
                    old.replaced.store(true, Ordering::Release);
                    if old.barrier.has_pending() {
                        table.lost.insert(path.to_owned());
                    }
                    table.open.remove(path);
                }
                Arc::new(fresh?)
            }
        };
        let root = Root { held, settings };
        table.open.insert(path.to_owned(), root.clone());
        Ok(root)
    }

    /// True, once, if this root went away with files in it that were not durable yet.
    pub(crate) fn was_lost(&self, path: &str) -> bool {
        self.lock().lost.remove(path)
    }

    /// The root as it is now, cheaply where it is what it was.
    pub(crate) fn checked(&self, path: &str) -> Result<Root> {
        let root = self.get(path)?;
        match fs::stat(path) {
            Ok(stat) if root.is_at(&stat) => Ok(root),
            _ => self.renew(path, None),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
