//! What a `stat` says, in the contract's words. The fingerprint of a file is its inode, the time
//! of its last change of any kind (ctime) and its size: a change of permissions, of the number of
//! hard links or of the name changes it as well, and the host then compares contents.

use std::fmt::Write;

use rustix::fs::{FileType, Stat};
use sitesync_provider::{Kind, Metadata};

/// The fingerprint.
pub(crate) fn fingerprint(stat: &Stat) -> String {
    let mut text = String::with_capacity(40);
    let ctime = stat.st_ctime as i128 * 1_000_000_000 + stat.st_ctime_nsec as i128;
    // Writing to a string cannot fail.
    let _ = write!(text, "{:x}.{:x}.{:x}", stat.st_ino, ctime, stat.st_size);
    text
}

/// Last change of the content, ns since the epoch; held at the ends of what 64 bits can say.
pub(crate) fn mtime_ns(stat: &Stat) -> i64 {
    stat.st_mtime
        .saturating_mul(1_000_000_000)
        .saturating_add(i64::try_from(stat.st_mtime_nsec).unwrap_or(0))
}

/// What this file or folder is.
pub(crate) fn metadata(stat: &Stat) -> Metadata {
    let mut metadata = match kind(stat) {
        Kind::File => Metadata::file(size(stat)),
        Kind::Folder => Metadata::folder(),
        other => {
            let mut metadata = Metadata::default();
            metadata.kind = other;
            metadata
        }
    };
    metadata.mtime_ns = Some(mtime_ns(stat));
    metadata.version = Some(fingerprint(stat));
    metadata.mode = Some(stat.st_mode & 0o7777);
    metadata
}

/// Bytes.
pub(crate) fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

/// File, folder or neither.
pub(crate) fn kind(stat: &Stat) -> Kind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Folder,
        _ => Kind::Other,
    }
}

/// True if both are the same content as far as can be told across a rename, which changes ctime.
pub(crate) fn same_but_name(one: &Stat, other: &Stat) -> bool {
    (one.st_ino, one.st_dev, one.st_size) == (other.st_ino, other.st_dev, other.st_size)
        && mtime_ns(one) == mtime_ns(other)
}

/// Why something that is neither file nor folder cannot travel.
pub(crate) fn oddity(kind: FileType) -> &'static str {
    match kind {
        FileType::Symlink => "a symbolic link",
        FileType::Socket => "a socket",
        FileType::Fifo => "a pipe",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "neither a file nor a folder",
    }
}
