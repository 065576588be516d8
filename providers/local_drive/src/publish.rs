//! The step that makes a written file visible, if what is there is what was expected.
//!
//! - `Expect::Nothing`: one `renameat2(RENAME_NOREPLACE)`, or a hard link where that is missing:
//!   of several writers exactly one wins. Only where there is neither (some FUSE disks) a look
//!   and a rename, with a moment between them.
//! - `Expect::Version`: the fingerprint is looked at, both files change places in one step, and
//!   what came out is looked at again: if someone changed it in that moment, it goes back.
//!   Where files can't change places it is a look and a rename.
//! - A folder, a link or a device is never replaced.
//! - What is to be kept goes to the [trash](crate::trash) in that step.

use std::sync::atomic::Ordering;

use rustix::fs::{self, AtFlags, RenameFlags, Stat};
use rustix::io::Errno;
use sitesync_provider::{Error, ErrorKind, Expect, Kind, Op, Result};

use crate::beneath::Folder;
use crate::facts::{fingerprint, kind, metadata, same_but_name};
use crate::fault::{fault, refuse};
use crate::root::Root;
use crate::temporary::{Mark, Temporary};
use crate::trash::Doomed;

/// Fails early if the destination is not what is expected: it may be another by the end.
pub(crate) fn look(
    folder: &Folder,
    name: &str,
    path: &str,
    expect: &Expect,
) -> Result<Option<Stat>> {
    let there = match folder.stat(name) {
        Ok(stat) => Some(stat),
        Err(Errno::NOENT) => None,
        Err(error) => return Err(fault("look at", path, error)),
    };
    match (expect, there) {
        (_, Some(stat)) if kind(&stat) == Kind::Folder => {
            Err(refuse(ErrorKind::InvalidPath, "write", path, "a folder is there"))
        }
        (Expect::Nothing, None) => Ok(None),
        (Expect::Nothing, Some(_)) => Err(taken(path)),
        (Expect::Version(_), Some(stat)) if kind(&stat) != Kind::File => {
            Err(refuse(ErrorKind::InvalidPath, "write", path, "a link or a device is there"))
        }
        (Expect::Version(_), None) => Err(refuse(
            ErrorKind::NotFound,
            "replace",
            path,
            "the file that was to be replaced is gone",
        )),
        (Expect::Version(version), Some(stat)) if fingerprint(&stat) == *version => Ok(Some(stat)),
        (Expect::Version(_), Some(_)) => Err(changed(path)),
        _ => Err(Error::unsupported("such an expectation")),
    }
}

/// Makes the temporary visible. Returns what is there then. On an error nothing is visible, and
/// the temporary is as it was. With `keep`, what is replaced goes to the trash.
pub(crate) fn publish(
    root: &Root,
    mut temporary: Temporary,
    (name, path): (&str, &str),
    expect: &Expect,
    keep: Option<&Mark>,
    op: &Op,
) -> Result<sitesync_provider::Metadata> {
    let folder = temporary.folder().clone();
    if !folder.is_in_place(root) {
        return Err(refuse(
            ErrorKind::Precondition,
            "write",
            path,
            "its folder was moved or replaced meanwhile",
        ));
    }
    root.check()?;
    match expect {
        Expect::Version(_) => {
            let was = look(&folder, name, path, expect)?;
            op.check()?;
            match (keep, was) {
                (Some(mark), Some(was)) => {
                    let doomed = Doomed { root, folder: &folder, name, path };
                    replace_kept(&mut temporary, doomed, &was, mark, op)?;
                }
                _ => replace(&mut temporary, name, path, was)?,
            }
        }
        _ => {
            op.check()?;
            rename_new(root, &folder, temporary.name(), &folder, name)
                .map_err(|error| taken_or(&folder, name, path, error))?;
        }
    }
    temporary.keep(true);
    // The rename itself changed ctime, and with it the fingerprint.
    let file = temporary.into_file().ok_or_else(|| fault("write", path, Errno::BADF))?;
    let stat = fs::fstat(&file).map_err(|error| fault("stat", path, error))?;
    root.barrier()
        .finished(file, stat.st_dev, std::os::fd::AsFd::as_fd(&*folder))
        .map_err(|error| fault("sync", path, error))?;
    root.check()?;
    Ok(metadata(&stat))
}

/// Puts the temporary in the place of what was looked at just now, and that into the trash.
fn replace_kept(
    temporary: &mut Temporary,
    doomed: Doomed<'_>,
    was: &Stat,
    mark: &Mark,
    op: &Op,
) -> Result<()> {
    if doomed.exchange(temporary, was)? {
        return Ok(());
    }
    let kept = doomed.double(mark, was, op)?;
    replace(temporary, doomed.name, doomed.path, Some(*was)).inspect_err(|_| kept.remove())
}

/// Puts the temporary in the place of what was looked at just now.
fn replace(temporary: &mut Temporary, name: &str, path: &str, was: Option<Stat>) -> Result<()> {
    let folder = temporary.folder().clone();
    let swap = |from: &str, to: &str| {
        fs::renameat_with(&*folder, from, &*folder, to, RenameFlags::EXCHANGE)
    };
    match swap(temporary.name(), name) {
        Ok(()) => {}
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            return fs::renameat(&*folder, temporary.name(), &*folder, name)
                .map_err(|error| fault("write", path, error));
        }
        Err(error) => return Err(fault("write", path, error)),
    }
    // From here on the temporary's name may hold what is not ours.
    temporary.keep(true);
    let displaced = temporary.stat_name().map_err(|error| fault("look at", path, error))?;
    if was.is_some_and(|was| same_but_name(&was, &displaced)) {
        if let Err(error) = temporary.unlink() {
            // Only room is lost; the sweep finds it.
            tracing::warn!(path, %error, "the replaced file is left as a temporary");
        }
        return Ok(());
    }
    swap(temporary.name(), name).map_err(|error| fault("put back", path, error))?;
    temporary.keep(false);
    Err(changed(path))
}

/// Renames to a name that must be free.
pub(crate) fn rename_new(
    root: &Root,
    from: &Folder,
    old: &str,
    to: &Folder,
    new: &str,
) -> rustix::io::Result<()> {
    if !root.plain_rename.load(Ordering::Relaxed) {
        match fs::renameat_with(from, old, to, new, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            answer => return answer,
        }
    }
    let answer = match fs::linkat(from, old, to, new, AtFlags::empty()) {
        Ok(()) => fs::unlinkat(from, old, AtFlags::empty()),
        Err(Errno::PERM | Errno::NOSYS | Errno::NOTSUP | Errno::MLINK | Errno::INVAL) => {
            match to.stat(new) {
                Err(Errno::NOENT) => fs::renameat(from, old, to, new),
                Ok(_) => Err(Errno::EXIST),
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error),
    };
    if answer.is_ok() {
        root.plain_rename.store(true, Ordering::Relaxed);
    }
    answer
}

fn taken_or(folder: &Folder, name: &str, path: &str, error: Errno) -> Error {
    if error != Errno::EXIST {
        return fault("write", path, error);
    }
    match folder.stat(name) {
        Ok(stat) if kind(&stat) == Kind::Folder => {
            refuse(ErrorKind::InvalidPath, "write", path, "a folder is there")
        }
        _ => taken(path),
    }
}

fn taken(path: &str) -> Error {
    refuse(ErrorKind::AlreadyExists, "write", path, "something is there already")
}

/// What is there is not what was expected.
pub(crate) fn changed(path: &str) -> Error {
    refuse(ErrorKind::Precondition, "replace", path, "the file there was changed meanwhile")
}
