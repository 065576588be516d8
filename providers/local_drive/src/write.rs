//! Writing a file that comes in chunks. It grows in a temporary beside its destination, and
//! becomes visible whole or not at all.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustix::fs::{self, Advice, Mode, Stat, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::{self, Errno};
use sitesync_provider::{
    Bytes, ErrorKind, Expect, Metadata, Op, Result, WriteOptions, WriteStream,
};

use crate::beneath::Folder;
use crate::blocking;
use crate::config::Permissions;
use crate::facts::mtime_ns;
use crate::fault::{fault, refuse};
use crate::publish::publish;
use crate::root::Root;
use crate::temporary::{Mark, Temporary};

/// The first piece of a file that is handed to the disk while it is still being written (a frame),
const FIRST: u64 = 8 << 20;
/// and each further one of a large file. Measured on ext4, 4 GiB against `cp` and `sync -f`: pieces
/// of 8 MiB 1.2 to 2.8, of 64 MiB 0.6 to 0.9, none 1.3 to 2.0 times its time.
const FURTHER: u64 = 64 << 20;

/// Starts write-back of large files early, so that the barrier finds little left to do.
///
/// `sync_file_range` has no binding without `unsafe`; `POSIX_FADV_DONTNEED` starts the same
/// asynchronous write-back of a range (see `generic_fadvise` in the kernel's `mm/fadvise.c`), and
/// drops pages of it that are clean already.
#[derive(Debug, Default)]
pub(crate) struct Early(u64);

impl Early {
    pub(crate) fn from(offset: u64) -> Self {
        Early(offset)
    }

    /// Takes note that the file reaches to `end` now.
    pub(crate) fn reached(&mut self, file: BorrowedFd<'_>, end: u64) {
        let piece = if self.0 < FIRST { FIRST } else { FURTHER };
        if end.saturating_sub(self.0) >= piece {
            if let Some(len) = std::num::NonZeroU64::new(end - self.0) {
                // Advice: a disk that does not take it loses nothing.
                let _ = fs::fadvise(file, self.0, Some(len), Advice::DontNeed);
            }
            self.0 = end;
        }
    }
}

/// The mode with which a temporary is made.
pub(crate) fn mode_at_first(root: &Root, source: Option<u32>) -> u32 {
    match (root.settings().permissions, source) {
        // Closed to others until it gets its permissions.
        (Permissions::Keep, Some(_)) => 0o600,
        // The umask, or the folder's default ACL, takes away from this.
        (_, mode) => 0o666 | (mode.unwrap_or(0) & 0o111),
    }
}

/// Gives a finished temporary its permissions and time. What the disk refuses is noted once.
pub(crate) fn dress(
    root: &Root,
    file: BorrowedFd<'_>,
    mode: Option<u32>,
    mtime: Option<i64>,
) -> io::Result<()> {
    let refused = |error| {
        matches!(error, Errno::PERM | Errno::NOTSUP | Errno::NOSYS | Errno::INVAL | Errno::ACCESS)
    };
    if let (Permissions::Keep, Some(mode)) = (root.settings().permissions, mode) {
        match fs::fchmod(file, Mode::from_raw_mode(mode & 0o777)) {
            Err(error) if refused(error) => root.note_mode(error),
            answer => answer?,
        }
    }
    if let Some(mtime) = mtime {
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec {
                tv_sec: mtime.div_euclid(1_000_000_000),
                tv_nsec: mtime.rem_euclid(1_000_000_000),
            },
        };
        match fs::futimens(file, &times) {
            Err(error) if refused(error) => root.note_times(error),
            answer => answer?,
        }
    } else if root.barrier().is_per_file() {
        // A share sets times as the bytes arrive: they must be there before it is looked at.
        fs::fsync(file)?;
    }
    Ok(())
}

/// Where a write that was cut off goes on: `1 <bytes> <size> <mtime> <name of the temporary> <name
/// of the file>`. The folder need not be in it: the temporary lies there.
pub(crate) struct Token<'a> {
    offset: u64,
    size: u64,
    mtime: i64,
    pub(crate) name: &'a str,
    of: &'a str,
}

impl<'a> Token<'a> {
    pub(crate) fn parse(token: &'a [u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(token).ok()?.splitn(6, ' ');
        (parts.next()? == "1").then_some(())?;
        let mut number = || parts.next()?.parse::<i64>().ok();
        let (offset, size, mtime) = (number()?, number()?, number()?);
        let (name, of) = (parts.next()?, parts.next()?);
        let (offset, size) = (u64::try_from(offset).ok()?, u64::try_from(size).ok()?);
        Some(Token { offset, size, mtime, name, of })
    }
}

/// A file that is being written.
#[derive(Debug)]
pub struct Writer {
    root: Root,
    temporary: Temporary,
    name: String,
    path: String,
    offset: u64,
    size: u64,
    mtime_ns: Option<i64>,
    mode: Option<u32>,
    expect: Expect,
    /// What is replaced goes to the trash.
    keep: Option<Mark>,
    op: Op,
    early: Early,
    failed: bool,
}

impl Writer {
    /// Begins, or goes on where the token says if that is still there.
    pub(crate) fn open(
        root: Root,
        mark: &Mark,
        (folder, name): (&str, &str),
        path: &str,
        how: WriteOptions,
    ) -> Result<Self> {
        how.op.check()?;
        let folder = Folder::make(&root, folder).map_err(|error| fault("write", path, error))?;
        let folder = Arc::new(folder);
        crate::publish::look(&folder, name, path, &how.expect)?;
        let mut offset = 0;
        let mut temporary = None;
        let token = how.resume.as_deref().and_then(Token::parse);
        let token = token.filter(|token| {
            token.of == name
                && token.size == how.size
                && token.offset <= token.size
                && token.mtime == how.mtime_ns.unwrap_or(0)
                && mark.owns(token.name) == Some(true)
        });
        if let Some(token) = token {
            temporary = Temporary::again(folder.clone(), token.name, token.offset)
                .map_err(|error| fault("resume", path, error))?;
            offset = if temporary.is_some() { token.offset } else { 0 };
        }
        let temporary = match temporary {
            Some(temporary) => temporary,
            None => Temporary::new(folder, mark, mode_at_first(&root, how.mode))
                .map_err(|error| fault("write", path, error))?,
        };
        Ok(Writer {
            root,
            temporary,
            name: name.to_owned(),
            path: path.to_owned(),
            offset,
            size: how.size,
            mtime_ns: how.mtime_ns,
            mode: how.mode,
            expect: how.expect,
            keep: how.keep_replaced.then(|| mark.clone()),
            op: how.op,
            early: Early::from(offset),
            failed: false,
        })
    }

    fn put(&mut self, chunk: &[u8]) -> Result<()> {
        self.op.check()?;
        if self.failed {
            return Err(refuse(ErrorKind::Corrupt, "write", &self.path, "an earlier write failed"));
        }
        if chunk.len() as u64 > self.size - self.offset.min(self.size) {
            self.failed = true;
            return Err(refuse(
                ErrorKind::Corrupt,
                "write",
                &self.path,
                "more came than was announced",
            ));
        }
        let file = self.temporary.file().map_err(|error| fault("write", &self.path, error))?;
        match write_all(file, chunk, self.offset) {
            Ok(()) => {
                self.offset += chunk.len() as u64;
                self.early.reached(file, self.offset);
                Ok(())
            }
            Err(error) => {
                self.failed = true;
                Err(fault("write", &self.path, error))
            }
        }
    }

    fn token(&mut self) -> Result<Option<Vec<u8>>> {
        if self.offset == 0 || self.failed {
            return Ok(None);
        }
        let file = self.temporary.file().map_err(|error| fault("write", &self.path, error))?;
        // The token may outlive a power cut; the bytes it promises must as well.
        fs::fdatasync(file).map_err(|error| fault("sync", &self.path, error))?;
        self.temporary.keep(true);
        let (mtime, temporary) = (self.mtime_ns.unwrap_or(0), self.temporary.name());
        let Writer { offset, size, name, .. } = self;
        Ok(Some(format!("1 {offset} {size} {mtime} {temporary} {name}").into_bytes()))
    }

    fn publish(mut self) -> Result<Metadata> {
        if self.failed || self.offset != self.size {
            let why = format!("{} bytes came, {} were announced", self.offset, self.size);
            self.temporary.keep(false);
            return Err(refuse(ErrorKind::Corrupt, "write", &self.path, &why));
        }
        let file = self.temporary.file().map_err(|error| fault("write", &self.path, error))?;
        dress(&self.root, file, self.mode, self.mtime_ns)
            .map_err(|error| fault("write", &self.path, error))?;
        let Writer { root, temporary, name, path, expect, keep, op, .. } = self;
        publish(&root, temporary, (&name, &path), &expect, keep.as_ref(), &op)
    }
}

impl WriteStream for Writer {
    fn offset(&self) -> u64 {
        self.offset
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        blocking(|| self.put(&chunk))
    }

    async fn checkpoint(&mut self) -> Result<Option<Vec<u8>>> {
        blocking(|| self.token())
    }

    async fn finish(self) -> Result<Metadata> {
        blocking(|| self.publish())
    }

    async fn discard(mut self) -> Result<()> {
        blocking(|| match self.temporary.unlink() {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(fault("discard", &self.path, error)),
        })
    }
}

/// Writes all of it at this offset.
pub(crate) fn write_all(file: BorrowedFd<'_>, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match io::pwrite(file.as_fd(), bytes, at) {
            Ok(0) => return Err(Errno::NOSPC),
            Ok(n) => {
                bytes = &bytes[n..];
                at += n as u64;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The time to give to a copy of this file.
pub(crate) fn time_of(stat: &Stat) -> Option<i64> {
    Some(mtime_ns(stat))
}
