//! Removing temporaries that no one needs any more: those of this site that no token stands for
//! and this process is not writing to, and those of other sites once they are old.

use std::collections::HashSet;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RawDir};
use rustix::io::Errno;
use sitesync_provider::{Kind, Result, SweepOptions, Swept, join};

use crate::beneath::open;
use crate::facts::{kind, mtime_ns, size};
use crate::fault::fault;
use crate::root::Root;
use crate::temporary::{Mark, is_in_use};
use crate::write::Token;

const BUFFER: usize = 64 << 10;

/// Sweeps everything beneath the root. A folder that can't be read is passed over.
pub(crate) fn sweep(root: &Root, mark: &Mark, how: &SweepOptions) -> Result<Swept> {
    let keep: HashSet<&str> =
        how.keep.iter().filter_map(|token| Token::parse(token)).map(|token| token.name).collect();
    let mut swept = Swept::default();
    let mut buffer: Vec<u8> = Vec::with_capacity(BUFFER);
    let mut todo = vec![String::new()];
    while let Some(path) = todo.pop() {
        root.check()?;
        if let Err(error) = folder(
            root,
            mark,
            how,
            &keep,
            &path,
            &mut todo,
            &mut swept,
            buffer.spare_capacity_mut(),
        ) {
            if path.is_empty() {
                return Err(fault("sweep", &path, error));
            }
            tracing::debug!(path, %error, "this folder could not be swept");
        }
    }
    Ok(swept)
}

#[allow(clippy::too_many_arguments)]
fn folder(
    root: &Root,
    mark: &Mark,
    how: &SweepOptions,
    keep: &HashSet<&str>,
    path: &str,
    todo: &mut Vec<String>,
    swept: &mut Swept,
    buffer: &mut [MaybeUninit<u8>],
) -> rustix::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // Links are never followed here: what they lead to is swept in its own place, or not ours.
    let fd = open(root.as_fd(), path, flags, Mode::empty(), false)?;
    let mut names = RawDir::new(&fd, buffer);
    let mut changed = false;
    while let Some(entry) = names.next() {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        if matches!(name, "." | "..") {
            continue;
        }
        let Some(own) = mark.owns(name) else {
            let is_folder = match entry.file_type() {
                FileType::Directory => true,
                FileType::Unknown => fs::statat(&fd, name, AtFlags::SYMLINK_NOFOLLOW)
                    .is_ok_and(|stat| kind(&stat) == Kind::Folder),
                _ => false,
            };
            if is_folder {
                todo.push(join(path, name));
            }
            continue;
        };
        if keep.contains(name) || is_in_use(name) {
            continue;
        }
        let Ok(stat) = fs::statat(&fd, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        if kind(&stat) != Kind::File
            || !(own || age(mtime_ns(&stat).max(ctime_ns(&stat))) >= how.foreign_after)
        {
            continue;
        }
        match fs::unlinkat(&fd, name, AtFlags::empty()) {
            Ok(()) => {
                changed = true;
                swept.count += 1;
                swept.bytes += size(&stat);
            }
            Err(Errno::NOENT) => {}
            Err(error) => tracing::warn!(path, name, %error, "a temporary could not be removed"),
        }
    }
    if changed {
        root.barrier().folder_changed(fd.as_fd())?;
    }
    Ok(())
}

/// A temporary is given its source's time shortly before it becomes visible: ctime tells when it
/// was last touched.
fn ctime_ns(stat: &fs::Stat) -> i64 {
    stat.st_ctime.saturating_mul(1_000_000_000)
}

fn age(ns: i64) -> Duration {
    let time = UNIX_EPOCH + Duration::from_nanos(u64::try_from(ns).unwrap_or(0));
    SystemTime::now().duration_since(time).unwrap_or_default()
}
