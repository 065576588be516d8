//! Copying within the instance: a batch of files in one go, each with its parents, temporary,
//! data, times and rename.
//!
//! Data goes the cheapest way there is: shared blocks (reflink) where the disk can, one read and
//! one write for small files, `copy_file_range` over the parts that hold data for large ones, so
//! that sparse files stay sparse. A source that changes meanwhile fails, with nothing visible.

use std::collections::HashSet;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{self, SeekFrom, Stat};
use rustix::io::{self, Errno};
use sitesync_provider::{Copied, Copy, ErrorKind, Op, Result};

use crate::beneath::Folder;
use crate::facts::{fingerprint, metadata, size};
use crate::fault::{fault, refuse};
use crate::publish::{look, publish};
use crate::read::{open_file, parent};
use crate::root::{Root, Roots};
use crate::temporary::{Mark, Temporary};
use crate::write::{Early, dress, mode_at_first, time_of, write_all};
use crate::{blocking, split};

/// Up to here a file is copied by one read and one write.
const SMALL: u64 = 128 << 10;
/// What is copied between two looks at whether to stop.
const CHUNK: u64 = 8 << 20;

/// Pairs of devices between which blocks cannot be shared, learned on the way.
#[derive(Debug, Default)]
pub(crate) struct Unshared(Mutex<HashSet<(u64, u64)>>);

impl Unshared {
    fn has(&self, pair: (u64, u64)) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&pair)
    }

    fn add(&self, pair: (u64, u64)) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(pair);
    }
}

/// A batch under way: the folders of the last file serve the next one where they are the same.
pub(crate) struct Batch<'a> {
    roots: &'a Roots,
    mark: &'a Mark,
    unshared: &'a Unshared,
    op: &'a Op,
    from: Option<(Root, Arc<Folder>)>,
    to: Option<(Root, Arc<Folder>)>,
    buffer: Vec<u8>,
    /// The last pair of devices that was found to share nothing.
    apart: Option<(u64, u64)>,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(
        roots: &'a Roots,
        mark: &'a Mark,
        unshared: &'a Unshared,
        op: &'a Op,
    ) -> Self {
        Batch { roots, mark, unshared, op, from: None, to: None, buffer: Vec::new(), apart: None }
    }

    /// Copies one file.
    pub(crate) fn copy(&mut self, copy: &Copy<'_>) -> Result<Copied> {
        self.op.check()?;
        let (from_folder, from_name) = split(&copy.from)?;
        let (to_folder, to_name) = split(&copy.to)?;
        let (from_path, to_path) = (copy.from.path, copy.to.path);

        let root = self.root_of(&self.from, copy.from.root)?;
        let (from_root, folder) =
            fresh(&mut self.from, root, from_folder, |root| parent(root, from_folder, from_path))?;
        let (source, before) = open_file(&from_root, &folder, from_name, from_path)?;
        let version = copy.from.known.and_then(|known| known.version.as_deref());
        let found = fingerprint(&before);
        if version.is_some_and(|version| version != found) {
            return Err(changed(from_path, "the file was changed"));
        }

        let root = self.root_of(&self.to, copy.to.root)?;
        let (to_root, folder) = fresh(&mut self.to, root, to_folder, |root| {
            Folder::make(root, to_folder).map_err(|error| fault("write", to_path, error))
        })?;
        if size(&before) > SMALL {
            look(&folder, to_name, to_path, &copy.expect)?;
        }
        let mode = Some(before.st_mode & 0o777);
        let temporary =
            Temporary::new(folder, self.mark, mode_at_first(&to_root, mode)).map_err(|error| {
                match error {
                    // The folder was removed since it was opened.
                    Errno::NOENT => fault("write in the folder of", to_path, Errno::STALE),
                    error => fault("write", to_path, error),
                }
            })?;
        let file = temporary.file().map_err(|error| fault("write", to_path, error))?;
        self.data(source.as_fd(), &before, file, &to_root, from_path, to_path)?;
        dress(&to_root, file, mode, time_of(&before))
            .map_err(|error| fault("write", to_path, error))?;

        let after = fs::fstat(&source).map_err(|error| fault("stat", from_path, error))?;
        if fingerprint(&after) != found {
            return Err(changed(from_path, "the file changed while it was read"));
        }
        let keep = copy.keep_replaced.then_some(self.mark);
        let to = (to_name, to_path);
        let destination = publish(&to_root, temporary, to, &copy.expect, keep, self.op)?;
        Ok(Copied::new(metadata(&after), destination))
    }

    /// The root, spared the look-up where the last file was in it as well.
    fn root_of(&self, last: &Option<(Root, Arc<Folder>)>, path: &str) -> Result<Root> {
        match last {
            Some((root, folder)) if root.path() == path && folder.is_fresh() => Ok(root.clone()),
            _ => self.roots.get(path),
        }
    }

    fn data(
        &mut self,
        source: BorrowedFd<'_>,
        stat: &Stat,
        file: BorrowedFd<'_>,
        to_root: &Root,
        from_path: &str,
        to_path: &str,
    ) -> Result<()> {
        let size = size(stat);
        if size == 0 {
            return Ok(());
        }
        let pair = (stat.st_dev, to_root.device());
        if self.apart != Some(pair) && self.share(source, file, pair) {
            self.op.progress(size);
            return Ok(());
        }
        if size <= SMALL {
            let read =
                self.read_at(source, 0, size).map_err(|error| fault("read", from_path, error))?;
            if read < size {
                return Err(changed(from_path, "the file became shorter while it was read"));
            }
            write_all(file, &self.buffer[..read as usize], 0)
                .map_err(|error| fault("write", to_path, error))?;
            self.op.progress(size);
            return Ok(());
        }
        blocking(|| self.large(source, stat, file, from_path, to_path))
    }

    /// Lets both files share their blocks, if the disk can.
    fn share(&mut self, source: BorrowedFd<'_>, file: BorrowedFd<'_>, pair: (u64, u64)) -> bool {
        if self.unshared.has(pair) {
            self.apart = Some(pair);
            return false;
        }
        match fs::ioctl_ficlone(file, source) {
            Ok(()) => true,
            Err(Errno::NOTSUP | Errno::XDEV | Errno::NOSYS | Errno::NOTTY) => {
                // The destination may lie on a disk that is mounted deeper: that one is meant.
                if let Ok(stat) = fs::fstat(file) {
                    self.unshared.add((pair.0, stat.st_dev));
                }
                false
            }
            // This file only: one that is in use for swap, another setting of its data.
            Err(_) => false,
        }
    }

    /// Copies the parts that hold data.
    fn large(
        &mut self,
        source: BorrowedFd<'_>,
        stat: &Stat,
        file: BorrowedFd<'_>,
        from_path: &str,
        to_path: &str,
    ) -> Result<()> {
        let size = size(stat);
        let sparse = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512) < size;
        let mut early = Early::from(0);
        let mut kernel = true;
        let mut at = 0;
        while at < size {
            let end = if sparse {
                let Some((from, to)) = extent(source, at, size) else { break };
                // What is left out is a hole; it moved all the same.
                self.op.progress(from - at);
                at = from;
                to
            } else {
                size
            };
            while at < end {
                self.op.check()?;
                let most = (end - at).min(CHUNK);
                let moved =
                    self.chunk(source, file, at, most, &mut kernel).map_err(
                        |error| match error {
                            Chunk::Read(error) => fault("read", from_path, error),
                            Chunk::Write(error) => fault("write", to_path, error),
                        },
                    )?;
                if moved == 0 {
                    return Err(changed(from_path, "the file became shorter while it was read"));
                }
                at += moved;
                self.op.progress(moved);
                early.reached(file, at);
            }
        }
        if sparse {
            fs::ftruncate(file, size).map_err(|error| fault("write", to_path, error))?;
        }
        Ok(())
    }

    /// Copies at most `most` bytes; 0 at the end of the source.
    fn chunk(
        &mut self,
        source: BorrowedFd<'_>,
        file: BorrowedFd<'_>,
        at: u64,
        most: u64,
        kernel: &mut bool,
    ) -> std::result::Result<u64, Chunk> {
        if *kernel {
            let (mut from, mut to) = (at, at);
            let len = most as usize;
            match fs::copy_file_range(source, Some(&mut from), file, Some(&mut to), len) {
                Ok(0) => {}
                Ok(moved) => return Ok(moved as u64),
                Err(Errno::INTR) => return self.chunk(source, file, at, most, kernel),
                Err(
                    Errno::XDEV
                    | Errno::NOSYS
                    | Errno::INVAL
                    | Errno::NOTSUP
                    | Errno::PERM
                    | Errno::BADF
                    | Errno::TXTBSY
                    | Errno::IO,
                ) => {}
                Err(error) => return Err(Chunk::Write(error)),
            }
            // Some kernels answer 0 where they can't; reading tells.
            *kernel = false;
        }
        let read = self.read_at(source, at, most.min(1 << 20)).map_err(Chunk::Read)?;
        write_all(file, &self.buffer[..read as usize], at).map_err(Chunk::Write)?;
        Ok(read)
    }

    /// Fills the buffer with at most `len` bytes.
    fn read_at(&mut self, source: BorrowedFd<'_>, at: u64, len: u64) -> io::Result<u64> {
        let len = len as usize;
        // Grows only: a file does not pay for zeroes that the last one paid for.
        if self.buffer.len() < len {
            self.buffer.resize(len, 0);
        }
        let mut read = 0;
        while read < len {
            match io::pread(source, &mut self.buffer[read..len], at + read as u64) {
                Ok(0) => break,
                Ok(n) => read += n,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read as u64)
    }
}

/// Which end failed.
enum Chunk {
    Read(Errno),
    Write(Errno),
}

/// The next part with data at or after `at`; `None` if only a hole follows.
fn extent(source: BorrowedFd<'_>, at: u64, size: u64) -> Option<(u64, u64)> {
    let from = match fs::seek(source, SeekFrom::Data(at)) {
        Ok(from) => from,
        Err(Errno::NXIO) => return None,
        // No such thing here: all of it is data.
        Err(_) => return Some((at, size)),
    };
    let to = fs::seek(source, SeekFrom::Hole(from)).unwrap_or(size);
    (from < size).then_some((from, to.min(size)))
}

/// The folder of the last file if it is the same, else a new one.
fn fresh(
    last: &mut Option<(Root, Arc<Folder>)>,
    root: Root,
    path: &str,
    open: impl FnOnce(&Root) -> Result<Folder>,
) -> Result<(Root, Arc<Folder>)> {
    if let Some((held, folder)) = last
        && held.is(&root)
        && folder.path() == path
        && folder.is_fresh()
    {
        return Ok((root, folder.clone()));
    }
    *last = None;
    let folder = Arc::new(open(&root)?);
    *last = Some((root.clone(), folder.clone()));
    Ok((root, folder))
}

fn changed(path: &str, why: &str) -> sitesync_provider::Error {
    refuse(ErrorKind::Precondition, "copy", path, why)
}
