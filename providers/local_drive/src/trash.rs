//! The trash of a root: what is deleted or replaced stays for a while, at
//! `.sitesync/trash/<when>-<chance>/<path beneath the root>`, with its content and time.
//!
//! - A delete is a rename into it.
//! - A replacement happens in one step as well: the new file is moved into the trash, under the name
//!   that the old one is to have there, and both change places. So the old content always has a
//!   name, and the file in place stays untouched until it is replaced. (To link the old one into the
//!   trash first would change its ctime, which is its fingerprint.) A crash between the two leaves
//!   the new file in the trash, whole, beside the old one in its place.
//! - Where files can't change places, the old one is linked into the trash, or copied where that
//!   can't be done either, or where the trash is on another disk; then it is replaced as ever.
//!
//! Its folders have the permissions of those that they stand for: what was closed to others stays so.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::{self, AtFlags, RenameFlags, Stat};
use rustix::io::{self, Errno};
use sitesync_provider::{OURS, Op, Result, join};

use crate::beneath::Folder;
use crate::facts::{same_but_name, size};
use crate::fault::fault;
use crate::publish::{changed, rename_new};
use crate::root::Root;
use crate::temporary::{Mark, Temporary, chance};
use crate::write::{dress, time_of, write_all};

/// What is put there within this time shares a folder, so that a batch does not make one each.
const SHARED: Duration = Duration::from_secs(1);
/// How often a free name is looked for: each time in a new folder.
const TRIES: u32 = 8;
/// Bytes that are copied between two looks at whether to stop.
const CHUNK: usize = 1 << 20;

/// The trash's path beneath its root.
pub(crate) fn path() -> String {
    join(OURS, "trash")
}

/// The folder of a root's trash that is being filled.
#[derive(Debug, Default)]
pub(crate) struct Filling(Mutex<Option<(Instant, String)>>);

impl Filling {
    /// Its name. `full`: one in which a name was not free.
    fn name(&self, full: Option<&str>) -> String {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*held {
            Some((since, name)) if since.elapsed() < SHARED && full != Some(name) => name.clone(),
            _ => {
                let name = format!("{}-{:08x}", stamp(SystemTime::now()), chance() >> 32);
                *held = Some((Instant::now(), name.clone()));
                name
            }
        }
    }
}

/// A time as the names in the trash begin: `20260102T030405Z`.
fn stamp(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (day, second) = (seconds / 86_400, seconds % 86_400);
    // Days since 1 March of year 0, in eras of 400 years: Howard Hinnant's `civil_from_days`.
    let days = day + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let (date, month) = (of_year - (153 * shifted + 2) / 5 + 1, (shifted + 2) % 12 + 1);
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{date:02}T{hour:02}{minute:02}{second:02}Z")
}

/// A file to be put into the trash.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Doomed<'a> {
    pub(crate) root: &'a Root,
    pub(crate) folder: &'a Folder,
    pub(crate) name: &'a str,
    /// Beneath the root.
    pub(crate) path: &'a str,
}

/// A name in the trash that holds something.
#[derive(Debug)]
pub(crate) struct Kept {
    folder: Arc<Folder>,
    name: String,
}

impl Kept {
    /// Takes it out again; what can't be is left to expire.
    pub(crate) fn remove(&self) {
        if let Err(error) = fs::unlinkat(&*self.folder, &*self.name, AtFlags::empty()) {
            tracing::debug!(path = self.folder.path(), %error, "something is left in the trash");
        }
    }
}

impl Doomed<'_> {
    /// Finds it a place in the trash and has `put` put it there, which must not replace anything.
    fn place<T>(&self, mut put: impl FnMut(&Arc<Folder>) -> io::Result<T>) -> io::Result<T> {
        let mut full = None;
        for _ in 0..TRIES {
            let stamp = self.root.trash().name(full.as_deref());
            let answer = self.shelf(&stamp).map(Arc::new).and_then(|folder| put(&folder));
            match answer {
                // Taken; or emptied by somebody, folder and all, in this very moment.
                Err(Errno::EXIST | Errno::NOENT | Errno::STALE) => full = Some(stamp),
                answer => return answer,
            }
        }
        Err(Errno::EXIST)
    }

    /// The folder in the trash that stands for the one that it lies in.
    fn shelf(&self, stamp: &str) -> io::Result<Folder> {
        let top = join(&path(), stamp);
        let shelf = join(&top, self.folder.path());
        Folder::make_with(self.root, &shelf, |made| {
            let counterpart = made.strip_prefix(&top)?.strip_prefix('/')?;
            let stat = Folder::open(self.root, counterpart).and_then(fs::fstat).ok()?;
            // Its owner must be able to put things there.
            Some((stat.st_mode & 0o777) | 0o700)
        })
    }

    /// Moves it into the trash. `XDEV` if that is on another disk.
    pub(crate) fn take(&self) -> io::Result<Kept> {
        self.place(|shelf| {
            if matches!(self.folder.stat(self.name), Err(Errno::NOENT)) {
                return Err(Errno::SRCH);
            }
            rename_new(self.root, self.folder, self.name, shelf, self.name)?;
            self.root.barrier().folder_changed(shelf.as_fd())?;
            Ok(Kept { folder: shelf.clone(), name: self.name.to_owned() })
        })
        .map_err(|error| if error == Errno::SRCH { Errno::NOENT } else { error })
    }

    /// True if what was taken is what was looked at.
    pub(crate) fn holds(&self, kept: &Kept, was: &Stat) -> bool {
        kept.folder.stat(&kept.name).is_ok_and(|stat| same_but_name(was, &stat))
    }

    /// Moves back what was taken.
    pub(crate) fn put_back(&self, kept: &Kept) -> io::Result<()> {
        rename_new(self.root, &kept.folder, &kept.name, self.folder, self.name)
    }

    /// Puts the temporary in its place, and it into the trash, in one step. False, with nothing
    /// done, where files can't change places.
    pub(crate) fn exchange(&self, temporary: &mut Temporary, was: &Stat) -> Result<bool> {
        if self.root.plain_rename.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let moved = self.place(|shelf| {
            rename_new(self.root, temporary.folder(), temporary.name(), shelf, self.name)?;
            Ok(Kept { folder: shelf.clone(), name: self.name.to_owned() })
        });
        let kept = match moved {
            Ok(kept) => kept,
            Err(Errno::XDEV) => return Ok(false),
            Err(error) => return Err(fault("put into the trash", self.path, error)),
        };
        let swap = || {
            let (from, to) = (&*kept.folder, self.folder);
            fs::renameat_with(from, &*kept.name, to, self.name, RenameFlags::EXCHANGE)
        };
        let put_back = |temporary: &Temporary| {
            let to = temporary.folder();
            rename_new(self.root, &kept.folder, &kept.name, to, temporary.name())
                .map_err(|error| fault("put back what was to replace", self.path, error))
        };
        match swap() {
            Ok(()) => {}
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                put_back(temporary)?;
                return Ok(false);
            }
            Err(error) => {
                put_back(temporary)?;
                return Err(fault("replace", self.path, error));
            }
        }
        let emptied = matches!(kept.folder.stat(&kept.name), Err(Errno::NOENT));
        if !emptied && !self.holds(&kept, was) {
            // Somebody put it there in this very moment.
            swap().map_err(|error| fault("put back", self.path, error))?;
            put_back(temporary)?;
            return Err(changed(self.path));
        }
        self.note(&kept)?;
        Ok(true)
    }

    /// Puts a second one of it into the trash: a link, or a copy. It itself stays where it is.
    pub(crate) fn double(&self, mark: &Mark, was: &Stat, op: &Op) -> Result<Kept> {
        let linked = self.place(|shelf| {
            fs::linkat(self.folder, self.name, &**shelf, self.name, AtFlags::empty())?;
            Ok(Kept { folder: shelf.clone(), name: self.name.to_owned() })
        });
        let kept = match linked {
            Ok(kept) => kept,
            Err(
                Errno::PERM
                | Errno::ACCESS
                | Errno::NOSYS
                | Errno::NOTSUP
                | Errno::MLINK
                | Errno::INVAL
                | Errno::XDEV,
            ) => return self.copy(mark, was, op),
            Err(error) => return Err(fault("put into the trash", self.path, error)),
        };
        if !self.holds(&kept, was) {
            kept.remove();
            return Err(changed(self.path));
        }
        self.note(&kept)?;
        Ok(kept)
    }

    fn copy(&self, mark: &Mark, was: &Stat, op: &Op) -> Result<Kept> {
        let failed = |error| fault("copy into the trash", self.path, error);
        let source = self.folder.open_file(self.root, self.name).map_err(failed)?;
        let kept = self.place(|shelf| {
            let mode = was.st_mode & 0o777;
            let mut temporary = Temporary::new(shelf.clone(), mark, 0o600 | mode)?;
            let file = temporary.file()?;
            if fs::ioctl_ficlone(file, &source).is_err()
                && !copy_all(source.as_fd(), file, was, op)?
            {
                return Err(Errno::CANCELED);
            }
            dress(self.root, file, Some(mode), time_of(was))?;
            rename_new(self.root, shelf, temporary.name(), shelf, self.name)?;
            temporary.keep(true);
            let device = fs::fstat(&**shelf)?.st_dev;
            let file = temporary.into_file().ok_or(Errno::BADF)?;
            self.root.barrier().finished(file, device, shelf.as_fd())?;
            Ok(Kept { folder: shelf.clone(), name: self.name.to_owned() })
        });
        op.check()?;
        let kept = kept.map_err(failed)?;
        match fs::fstat(&source) {
            Ok(now) if same_but_name(was, &now) => Ok(kept),
            _ => {
                kept.remove();
                Err(changed(self.path))
            }
        }
    }

    fn note(&self, kept: &Kept) -> Result<()> {
        let noted = self.root.barrier().folder_changed(kept.folder.as_fd());
        noted.map_err(|error| fault("sync", self.path, error))
    }
}

/// Copies all bytes; false if it was told to stop.
fn copy_all(source: BorrowedFd<'_>, file: BorrowedFd<'_>, was: &Stat, op: &Op) -> io::Result<bool> {
    let (mut buffer, mut at) = (vec![0; CHUNK], 0);
    while at < size(was) {
        if op.check().is_err() {
            return Ok(false);
        }
        match io::pread(source, &mut buffer[..], at) {
            Ok(0) => break,
            Ok(read) => {
                write_all(file, &buffer[..read], at)?;
                at += read as u64;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use sitesync_provider::Expect;

    use super::*;
    use crate::config::Settings;
    use crate::facts::fingerprint;
    use crate::publish::publish;
    use crate::root::Roots;

    #[test]
    fn times_are_told_in_utc() {
        for (seconds, text) in [
            (0, "19700101T000000Z"),
            (951_827_696, "20000229T123456Z"),
            (1_767_225_599, "20251231T235959Z"),
            (1_774_960_496, "20260331T123456Z"),
        ] {
            assert_eq!(stamp(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }

    /// As on a share that knows no `renameat2`.
    #[test]
    fn where_files_cannot_change_places_the_old_one_is_linked() {
        let temp = tempfile::tempdir().unwrap();
        let path = |name: &str| temp.path().join(name);
        std::fs::create_dir(path("a")).unwrap();
        std::fs::write(path("a/b"), b"old").unwrap();
        let root = Roots::new(Settings::default()).get(temp.path().to_str().unwrap()).unwrap();
        root.plain_rename.store(true, Ordering::Relaxed);
        let folder = Arc::new(Folder::open(&root, "a").unwrap());
        let mark = Mark::new("artist");
        let write = |expect: &Expect| {
            let temporary = Temporary::new(folder.clone(), &mark, 0o644).unwrap();
            write_all(temporary.file().unwrap(), b"new", 0).unwrap();
            publish(&root, temporary, ("b", "a/b"), expect, Some(&mark), &Op::unbound())
        };
        let kept = || {
            let filled = std::fs::read_dir(path(".sitesync/trash")).into_iter().flatten();
            let files = filled.map(|entry| entry.unwrap().path().join("a/b"));
            files.map(|file| std::fs::read(file).unwrap()).collect::<Vec<_>>()
        };
        assert!(write(&Expect::Version("wrong".into())).is_err());
        assert!(kept().is_empty());
        write(&Expect::Version(fingerprint(&folder.stat("b").unwrap()))).unwrap();
        assert_eq!(std::fs::read(path("a/b")).unwrap(), b"new");
        assert_eq!(kept(), [b"old"]);
        assert_eq!(std::fs::read_dir(path("a")).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_is_shared_until_a_name_is_taken_in_it() {
        let filling = Filling::default();
        let one = filling.name(None);
        assert_eq!(filling.name(Some("another")), one);
        assert_ne!(filling.name(Some(&one)), one);
    }
}
