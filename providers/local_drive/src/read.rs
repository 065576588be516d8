//! Reading a file. What was opened is what is read, whatever happens to its name meanwhile.

use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::fs::{self, Advice, Stat};
use rustix::io::{self, Errno};
use sitesync_provider::{Bytes, ErrorKind, Kind, Metadata, ReadOptions, ReadStream, Result};

use crate::beneath::Folder;
use crate::blocking;
use crate::facts::{fingerprint, kind, metadata, size};
use crate::fault::{fault, refuse};
use crate::root::Root;

/// The most that one read takes.
const MOST: u64 = 4 << 20;
/// From here on the kernel is told to read ahead further.
const LARGE: u64 = 1 << 20;

/// Opens a file: `NotFound` if nothing is there, `InvalidPath` if it is no file.
pub(crate) fn open_file(
    root: &Root,
    folder: &Folder,
    name: &str,
    path: &str,
) -> Result<(OwnedFd, Stat)> {
    let file = folder.open_file(root, name).map_err(|error| match error {
        // A socket, or a device without a driver.
        Errno::NXIO | Errno::NODEV => no_file(path),
        error => fault("open", path, error),
    })?;
    let stat = fs::fstat(&file).map_err(|error| fault("stat", path, error))?;
    if kind(&stat) != Kind::File {
        return Err(no_file(path));
    }
    Ok((file, stat))
}

fn no_file(path: &str) -> sitesync_provider::Error {
    refuse(ErrorKind::InvalidPath, "open", path, "it is not a file")
}

/// Opens the folder of something that is to be read; a file in its place means that nothing is
/// there.
pub(crate) fn parent(root: &Root, folder: &str, path: &str) -> Result<Folder> {
    Folder::open(root, folder).map_err(|error| match error {
        Errno::NOTDIR => fault("open", path, Errno::NOENT),
        error => fault("open", path, error),
    })
}

/// A file that is being read.
#[derive(Debug)]
pub struct Reader {
    file: OwnedFd,
    stat: Stat,
    path: String,
    at: u64,
    end: u64,
}

impl Reader {
    pub(crate) fn open(
        root: &Root,
        (folder, name): (&str, &str),
        path: &str,
        how: &ReadOptions,
    ) -> Result<Self> {
        let folder = parent(root, folder, path)?;
        let (file, stat) = open_file(root, &folder, name, path)?;
        if how.if_version.as_ref().is_some_and(|version| *version != fingerprint(&stat)) {
            return Err(refuse(ErrorKind::Precondition, "read", path, "the file was changed"));
        }
        let end = how.len.map_or(u64::MAX, |len| how.from.saturating_add(len)).min(size(&stat));
        if end.saturating_sub(how.from) > LARGE {
            // Advice: a disk that does not take it loses nothing.
            let _ = fs::fadvise(&file, 0, None, Advice::Sequential);
        }
        Ok(Reader { file, stat, path: path.to_owned(), at: how.from, end })
    }

    fn chunk(&mut self, max: usize) -> Result<Bytes> {
        let want = self.end.saturating_sub(self.at).min(max as u64).min(MOST) as usize;
        let mut bytes: Vec<u8> = Vec::with_capacity(want);
        while bytes.len() < want {
            let at = self.at + bytes.len() as u64;
            match io::pread(&self.file, spare_capacity(&mut bytes), at) {
                Ok(0) => {
                    let why = "the file became shorter while it was read";
                    return Err(refuse(ErrorKind::Precondition, "read", &self.path, why));
                }
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(fault("read", &self.path, error)),
            }
        }
        self.at += bytes.len() as u64;
        Ok(bytes.into())
    }
}

impl ReadStream for Reader {
    fn metadata(&self) -> Metadata {
        metadata(&self.stat)
    }

    async fn read(&mut self, max: usize) -> Result<Bytes> {
        blocking(|| self.chunk(max))
    }
}
