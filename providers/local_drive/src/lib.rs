//! `local_drive`: sites on mounted disks. Any path of this machine is a root: a disk, a share, a
//! FUSE mount.
//!
//! Promises: nothing is visible before all of it is; what was not expected is not replaced;
//! nothing leaves the root, whatever links say; a file's fingerprint changes with its content. It
//! never retries and knows nothing of other providers.
//!
//! `beneath` opens, `temporary` and `publish` make files visible, `write`, `copy` and `read` move
//! bytes, `trash` keeps what is deleted or replaced, `list` and `sweep` walk, `flush` makes durable, `root` and `filesystem` know the disk.
#![cfg(target_os = "linux")]

mod beneath;
mod config;
mod copy;
mod facts;
mod fault;
mod filesystem;
mod flush;
mod list;
mod publish;
mod read;
mod root;
mod sweep;
mod temporary;
mod trash;
mod write;

use std::collections::{BTreeSet, HashMap};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::fs::{self, AtFlags, Mode, OFlags};
use rustix::io::Errno;
use sitesync_provider::{
    About, At, Copied, Copy, DeleteOptions, Error, ErrorKind, Expect, Host, Kind, Metadata, Op,
    Provider, ReadOptions, Result, RootInfo, SweepOptions, Swept, WriteOptions, check_path,
};

pub use config::{Permissions, Settings, Symlinks};
pub use list::Lister;
pub use read::Reader;
pub use write::Writer;

use beneath::Folder;
use copy::{Batch, Unshared};
use facts::{fingerprint, kind, metadata, same_but_name};
use fault::{fault, refuse};
use publish::{look, rename_new};
use root::{Root, Roots};
use temporary::Mark;
use trash::Doomed;

/// Mounted disks.
#[derive(Debug)]
pub struct LocalDrive {
    roots: Roots,
    mark: Mark,
    unshared: Unshared,
}

impl Provider for LocalDrive {
    type Settings = Settings;
    type Reader = Reader;
    type Writer = Writer;
    type Lister = Lister;

    const ABOUT: About = About::new("local_drive", "Mounted disk").slots(2);

    async fn connect(settings: Settings, host: Host) -> Result<Self> {
        Ok(LocalDrive {
            roots: Roots::new(settings),
            mark: Mark::new(&host.site_id()),
            unshared: Unshared::default(),
        })
    }

    async fn open_root(&self, root: &str, settings: Settings) -> Result<RootInfo> {
        blocking(|| self.roots.open(root, settings))
    }

    async fn stat(&self, at: At<'_>) -> Result<Metadata> {
        blocking(|| {
            check(&at)?;
            let root = self.roots.get(at.root)?;
            let mut flags = OFlags::PATH | OFlags::CLOEXEC;
            flags.set(OFlags::NOFOLLOW, !root.follow());
            let stat = beneath::open(root.as_fd(), at.path, flags, Mode::empty(), root.follow())
                .and_then(|file| fs::fstat(&file));
            match stat {
                Ok(stat) => Ok(metadata(&stat)),
                // A file where a folder would have to be: nothing is at this path.
                Err(Errno::NOTDIR) => Err(fault("stat", at.path, Errno::NOENT)),
                Err(error) => Err(fault("stat", at.path, error)),
            }
        })
    }

    async fn list(&self, dir: At<'_>, recursive: bool) -> Result<Lister> {
        blocking(|| {
            check(&dir)?;
            Lister::open(self.roots.get(dir.root)?, dir.path, recursive)
        })
    }

    async fn open_read(&self, at: At<'_>, how: ReadOptions) -> Result<Reader> {
        blocking(|| Reader::open(&self.roots.get(at.root)?, split(&at)?, at.path, &how))
    }

    async fn open_write(&self, at: At<'_>, how: WriteOptions) -> Result<Writer> {
        blocking(|| {
            let root = self.roots.get(at.root)?;
            Writer::open(root, &self.mark, split(&at)?, at.path, how)
        })
        .map_err(|error| self.refused(at.root, error))
    }

    async fn create_folder(&self, at: At<'_>) -> Result<()> {
        blocking(|| {
            check(&at)?;
            let made = Folder::make(&self.roots.get(at.root)?, at.path);
            made.map(drop).map_err(|error| fault("make the folder", at.path, error))
        })
    }

    async fn remove_folder(&self, at: At<'_>) -> Result<()> {
        blocking(|| {
            let root = self.roots.get(at.root)?;
            let (folder, name) = split(&at)?;
            let folder = read::parent(&root, folder, at.path)?;
            match fs::unlinkat(&folder, name, AtFlags::REMOVEDIR) {
                Ok(()) => changed(&root, &folder, at.path),
                Err(Errno::NOTEMPTY | Errno::EXIST) => {
                    let why = "the folder is not empty";
                    Err(refuse(ErrorKind::Precondition, "remove", at.path, why))
                }
                Err(error) => Err(fault("remove", at.path, error)),
            }
        })
    }

    async fn delete(&self, at: At<'_>, how: DeleteOptions) -> Result<()> {
        let deleted = if how.to_trash {
            blocking(|| self.trash_file(&at, how.if_version))
        } else {
            blocking(|| self.delete_file(&at, how.if_version))
        };
        deleted.map_err(|error| self.refused(at.root, error))
    }

    async fn sweep(&self, root: &str, how: SweepOptions) -> Result<Swept> {
        blocking(|| sweep::sweep(&self.roots.get(root)?, &self.mark, &how))
    }

    async fn server_copy(&self, batch: &[Copy<'_>], op: &Op) -> Vec<Result<Copied>> {
        let mut run = Batch::new(&self.roots, &self.mark, &self.unshared, op);
        let begun = Instant::now();
        let here = batch.iter().all(|copy| self.is_here(copy.from) && self.is_here(copy.to));
        let copy = |copy| {
            // To hand the thread over takes longer than to copy a small file.
            let copied = if here && begun.elapsed() < BRIEF {
                run.copy(copy)
            } else {
                blocking(|| run.copy(copy))
            };
            copied.map_err(|error| self.refused(copy.to.root, error))
        };
        batch.iter().map(copy).collect()
    }

    async fn rename(&self, from: At<'_>, to: At<'_>) -> Result<Metadata> {
        blocking(|| self.rename_file(&from, &to)).map_err(|error| self.refused(to.root, error))
    }

    async fn flush(&self, roots: &[&str]) -> Result<()> {
        blocking(|| self.flush_roots(roots))
    }
}

impl LocalDrive {
    /// What a root that can be written refuses because another, read-only disk is mounted below it is no
    /// fault of the root.
    fn refused(&self, root: &str, error: Error) -> Error {
        let elsewhere = error.kind() == ErrorKind::ReadOnly
            && self.roots.get(root).is_ok_and(|root| !root.is_read_only());
        if !elsewhere {
            return error;
        }
        Error::new(ErrorKind::PermissionDenied, error.message()).with_code(error.code())
    }

    /// True if no network is behind a root: it answers at once, if it works at all.
    fn is_here(&self, at: At<'_>) -> bool {
        self.roots.get(at.root).is_ok_and(|root| !root.is_network())
    }

    fn delete_file(&self, at: &At<'_>, if_version: Option<String>) -> Result<()> {
        let root = self.roots.get(at.root)?;
        let (folder, name) = split(at)?;
        let folder = read::parent(&root, folder, at.path)?;
        let refused = |error| fault("delete", at.path, error);
        let Some(version) = if_version else {
            let stat = folder.stat(name).map_err(refused)?;
            if kind(&stat) != Kind::File {
                return Err(refuse(ErrorKind::InvalidPath, "delete", at.path, "it is not a file"));
            }
            fs::unlinkat(&folder, name, AtFlags::empty()).map_err(refused)?;
            return changed(&root, &folder, at.path);
        };
        let was = look(&folder, name, at.path, &Expect::Version(version))?;
        // Moved aside first: what someone put there in this very moment goes back.
        let aside = self.mark.name();
        rename_new(&root, &folder, name, &folder, &aside).map_err(refused)?;
        let moved = folder.stat(&aside).map_err(refused)?;
        if was.is_some_and(|was| same_but_name(&was, &moved)) {
            fs::unlinkat(&folder, &*aside, AtFlags::empty()).map_err(refused)?;
            return changed(&root, &folder, at.path);
        }
        rename_new(&root, &folder, &aside, &folder, name).map_err(refused)?;
        Err(publish::changed(at.path))
    }

    fn trash_file(&self, at: &At<'_>, if_version: Option<String>) -> Result<()> {
        let root = self.roots.get(at.root)?;
        let (folder, name) = split(at)?;
        let folder = read::parent(&root, folder, at.path)?;
        let refused = |error| fault("move to the trash", at.path, error);
        let was = match if_version {
            Some(version) => look(&folder, name, at.path, &Expect::Version(version))?,
            None => None,
        };
        let was = match was {
            Some(was) => was,
            None => folder.stat(name).map_err(refused)?,
        };
        if kind(&was) != Kind::File {
            return Err(refuse(ErrorKind::InvalidPath, "delete", at.path, "it is not a file"));
        }
        let doomed = Doomed { root: &root, folder: &folder, name, path: at.path };
        let kept = match doomed.take() {
            Ok(kept) => kept,
            // The trash is on another disk than what was mounted here.
            Err(Errno::XDEV) => {
                let kept = doomed.double(&self.mark, &was, &Op::unbound())?;
                let deleted = self.delete_file(at, Some(fingerprint(&was)));
                return deleted.inspect_err(|_| kept.remove());
            }
            Err(error) => return Err(refused(error)),
        };
        if !doomed.holds(&kept, &was) {
            // Someone put another one there in this very moment.
            doomed.put_back(&kept).map_err(refused)?;
            return Err(publish::changed(at.path));
        }
        changed(&root, &folder, at.path)
    }

    fn rename_file(&self, from: &At<'_>, to: &At<'_>) -> Result<Metadata> {
        let (old_root, new_root) = (self.roots.get(from.root)?, self.roots.get(to.root)?);
        let ((old_folder, old), (new_folder, new)) = (split(from)?, split(to)?);
        let old_folder = read::parent(&old_root, old_folder, from.path)?;
        let stat = old_folder.stat(old).map_err(|error| fault("rename", from.path, error))?;
        if kind(&stat) != Kind::File {
            return Err(refuse(ErrorKind::InvalidPath, "rename", from.path, "it is not a file"));
        }
        let new_folder = Folder::make(&new_root, new_folder)
            .map_err(|error| fault("rename to", to.path, error))?;
        rename_new(&new_root, &old_folder, old, &new_folder, new)
            .map_err(|error| fault("rename to", to.path, error))?;
        changed(&old_root, &old_folder, from.path)?;
        changed(&new_root, &new_folder, to.path)?;
        let stat = new_folder.stat(new).map_err(|error| fault("stat", to.path, error))?;
        Ok(metadata(&stat))
    }

    fn flush_roots(&self, paths: &[&str]) -> Result<()> {
        let mut answer = Ok(());
        // In one order and each once, so that two barriers never wait for each other.
        let paths: BTreeSet<&str> = paths.iter().copied().collect();
        let mut roots = Vec::new();
        for path in paths {
            match self.roots.checked(path) {
                Ok(root) => roots.push(root),
                Err(error) => answer = answer.and(Err(error)),
            }
            if self.roots.was_lost(path) {
                let why = "the root was replaced before all that was written to it was durable";
                answer = answer.and(Err(refuse(ErrorKind::Interrupted, "flush", path, why)));
            }
        }
        let before: Vec<u64> = roots.iter().map(|root| root.barrier().failures()).collect();
        let _turns: Vec<_> = roots.iter().map(|root| root.barrier().turn()).collect();
        let mut devices: HashMap<u64, Vec<(&Root, flush::Debt)>> = HashMap::new();
        for (root, before) in roots.iter().zip(before) {
            let barrier = root.barrier();
            if barrier.failures() != before {
                let why = "another barrier failed meanwhile, and may have told of this one's files";
                answer = answer.and(Err(refuse(ErrorKind::Interrupted, "flush", root.path(), why)));
            }
            let mut debt = barrier.begin();
            if let Err(error) = debt.pay() {
                barrier.fail();
                answer = answer.and(Err(fault("flush", root.path(), error)));
            }
            if debt.needs_syncfs() {
                devices.entry(root.device()).or_default().push((root, debt));
            }
        }
        for debts in devices.into_values() {
            let Some((first, _)) = debts.first() else { continue };
            let begun = Instant::now();
            let synced = fs::syncfs(first.fd());
            for (root, debt) in &debts {
                match synced {
                    Ok(()) => root.barrier().covered(debt, begun.elapsed()),
                    Err(_) => root.barrier().fail(),
                }
            }
            if let Err(error) = synced {
                answer = answer.and(Err(fault("flush", first.path(), error)));
            }
        }
        answer
    }
}

/// Notes that a name came or went in this folder.
fn changed(root: &Root, folder: &Folder, path: &str) -> Result<()> {
    root.barrier().folder_changed(folder.as_fd()).map_err(|error| fault("sync", path, error))
}

/// Refuses a path that the host should not have let through.
fn check(at: &At<'_>) -> Result<()> {
    check_path(at.path).map_err(|why| refuse(ErrorKind::InvalidPath, "use", at.path, why))
}

/// The folder and the name of a file; the root itself is no file.
fn split<'a>(at: &At<'a>) -> Result<(&'a str, &'a str)> {
    check(at)?;
    at.split().ok_or_else(|| refuse(ErrorKind::InvalidPath, "use", at.path, "it is the root"))
}

/// For so long a batch of small files may keep a thread of the runtime.
const BRIEF: Duration = Duration::from_millis(20);

/// Runs what blocks where it may: on a thread that the runtime replaces meanwhile. Nothing is
/// moved or copied for it, and an operation ends when its future does.
pub(crate) fn blocking<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

sitesync_provider::export_provider!(LocalDrive);
