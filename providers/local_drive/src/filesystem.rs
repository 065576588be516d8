//! What kind of filesystem a folder is on, and what follows from that: its name, its identity,
//! the step of its times, the names it takes, whether a network is behind it.

use std::os::fd::BorrowedFd;

use rustix::fs::{self, AtFlags, Stat, StatxFlags};
use rustix::io::Result;
use sitesync_provider::NameRules;

/// A filesystem.
#[derive(Debug, Clone)]
pub(crate) struct Filesystem {
    /// Its type as the kernel names it: `ext4`, `nfs4`, `fuse.sshfs`.
    pub(crate) name: String,
    /// Names this very filesystem; the same after a restart wherever the kernel has such an id.
    pub(crate) id: String,
    longest_name: u32,
    /// Its inodes have no room for parts of a second.
    whole_seconds: bool,
}

impl Filesystem {
    /// The filesystem that this folder is on.
    pub(crate) fn of(folder: BorrowedFd<'_>, stat: &Stat) -> Result<Self> {
        let statfs = fs::fstatfs(folder)?;
        let mount = Mount::of(folder);
        let name = mount
            .as_ref()
            .map(|mount| mount.kind.clone())
            .unwrap_or_else(|| by_magic(statfs.f_type as u64).to_owned());
        let id = match fs::fstatvfs(folder)?.f_fsid {
            // NFS and many FUSE filesystems have none: what was mounted stands for it.
            0 => match mount {
                Some(mount) if !mount.source.is_empty() => format!("{name}:{}", mount.source),
                _ => format!("{name}:device-{:x}", stat.st_dev),
            },
            id => format!("{name}:{id:016x}"),
        };
        let longest_name = u32::try_from(statfs.f_namelen).ok().filter(|&n| n > 0).unwrap_or(255);
        let whole_seconds = name == "ext4" && has_small_inodes(folder);
        Ok(Filesystem { name, id, longest_name: longest_name.min(255), whole_seconds })
    }

    /// The type without `fuse.` and version: `nfs4` is `nfs`.
    fn family(&self) -> &str {
        match self.name.as_str() {
            "nfs" | "nfs4" => "nfs",
            "cifs" | "smb3" | "smb2" | "smbfs" => "smb",
            "vfat" | "msdos" => "vfat",
            "ntfs" | "ntfs3" | "fuseblk" => "ntfs",
            "hfs" | "hfsplus" => "hfs",
            name if name == "fuse" || name.starts_with("fuse.") => "fuse",
            name => name,
        }
    }

    /// True if a network is, or may be, behind it.
    pub(crate) fn is_network(&self) -> bool {
        let family = self.family();
        matches!(
            family,
            "nfs"
                | "smb"
                | "fuse"
                | "9p"
                | "ceph"
                | "afs"
                | "virtiofs"
                | "lustre"
                | "beegfs"
                | "ocfs2"
                | "gfs2"
                | "gpfs"
        )
    }

    /// True if `syncfs` is not known to reach what stores the bytes.
    pub(crate) fn syncs_per_file(&self) -> bool {
        // FUSE hands `syncfs` on to no ordinary server, block devices included.
        self.is_network() || self.name == "fuseblk"
    }

    /// The step of modification times, in ns.
    pub(crate) fn mtime_step_ns(&self) -> u64 {
        match self.family() {
            _ if self.whole_seconds => 1_000_000_000,
            "vfat" => 2_000_000_000,
            "hfs" | "fuse" => 1_000_000_000,
            "exfat" => 10_000_000,
            "ext4" | "xfs" | "tmpfs" | "btrfs" | "zfs" | "f2fs" | "overlay" => 1,
            // ext2 and ext3, which the same driver serves, keep whole seconds.
            "ext2" | "ext3" => 1_000_000_000,
            // Shares and NTFS count in 100 ns.
            _ => 100,
        }
    }

    /// The names it takes.
    pub(crate) fn names(&self) -> NameRules {
        let mut rules = NameRules::default();
        rules.longest_name = Some(self.longest_name);
        match self.family() {
            "vfat" | "exfat" | "ntfs" | "smb" => {
                rules.case_sensitive = false;
                rules.forbidden_characters = "\\:*?\"<>|".to_owned();
                rules.forbidden_characters.extend('\u{1}'..='\u{1f}');
                rules.forbidden_names = device_names();
                rules.trailing_dot_or_space = false;
            }
            "hfs" => {
                rules.case_sensitive = false;
                rules.unicode_exact = false;
                rules.forbidden_characters = ":".to_owned();
            }
            _ => {}
        }
        rules
    }

    /// The largest file that fits, in bytes.
    pub(crate) fn largest_file(&self) -> Option<u64> {
        (self.family() == "vfat").then_some(u64::from(u32::MAX))
    }
}

/// Names that Windows keeps for devices.
fn device_names() -> Vec<String> {
    let mut names: Vec<String> = ["CON", "PRN", "AUX", "NUL"].map(str::to_owned).into();
    for n in 1..=9 {
        names.push(format!("COM{n}"));
        names.push(format!("LPT{n}"));
    }
    names
}

/// A line of `/proc/self/mountinfo`.
struct Mount {
    kind: String,
    source: String,
}

impl Mount {
    fn of(folder: BorrowedFd<'_>) -> Option<Self> {
        let flags = AtFlags::EMPTY_PATH;
        let statx = fs::statx(folder, "", flags, StatxFlags::MNT_ID).ok()?;
        let known = StatxFlags::from_bits_retain(statx.stx_mask).contains(StatxFlags::MNT_ID);
        let table = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
        known.then(|| Mount::find(&table, statx.stx_mnt_id)).flatten()
    }

    /// See proc_pid_mountinfo(5): the id is first; type and source follow a lone `-`.
    fn find(table: &str, id: u64) -> Option<Self> {
        table.lines().find_map(|line| {
            let (head, tail) = line.split_once(" - ")?;
            let first: u64 = head.split(' ').next()?.parse().ok()?;
            let mut tail = tail.split(' ');
            let kind = tail.next()?.to_owned();
            let source = tail.next().filter(|source| *source != "none").unwrap_or("").to_owned();
            (first == id).then_some(Mount { kind, source })
        })
    }
}

/// True for an ext4 with inodes of 128 bytes. Such a one has no time of birth either, which lies in
/// the same extra room as the parts of a second.
fn has_small_inodes(folder: BorrowedFd<'_>) -> bool {
    fs::statx(folder, "", AtFlags::EMPTY_PATH, StatxFlags::BTIME)
        .is_ok_and(|found| found.stx_mask & StatxFlags::BTIME.bits() == 0)
}

/// The type by the number that statfs(2) lists.
fn by_magic(magic: u64) -> &'static str {
    match magic & 0xffff_ffff {
        0xef53 => "ext4",
        0x5846_5342 => "xfs",
        0x9123_683e => "btrfs",
        0x0102_1994 => "tmpfs",
        0x794c_7630 => "overlay",
        0x2fc1_2fc1 => "zfs",
        0x6969 => "nfs",
        0xff53_4d42 => "cifs",
        0xfe53_4d42 => "smb2",
        0x6573_5546 => "fuse",
        0x4d44 => "vfat",
        0x2011_bab0 => "exfat",
        0x5346_544e | 0x7366_746e => "ntfs3",
        0x4244 | 0x482b => "hfsplus",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_found_by_its_id() {
        let table = "22 1 254:0 / / rw - ext4 /dev/vda rw\n\
                     40 22 0:35 / /mnt rw,noatime shared:1 - nfs4 server:/export rw,vers=4.2\n";
        let mount = Mount::find(table, 40).map(|mount| (mount.kind, mount.source));
        assert_eq!(mount, Some(("nfs4".into(), "server:/export".into())));
        assert!(Mount::find(table, 41).is_none());
    }

    #[test]
    fn kinds_say_what_follows() {
        let of = |name: &str| Filesystem {
            name: name.into(),
            id: String::new(),
            longest_name: 255,
            whole_seconds: false,
        };
        for name in ["nfs4", "cifs", "smb3", "fuse.sshfs", "fuse"] {
            assert!(of(name).is_network() && of(name).syncs_per_file(), "{name}");
        }
        for name in ["ext4", "xfs", "vfat", "tmpfs"] {
            assert!(!of(name).is_network() && !of(name).syncs_per_file(), "{name}");
        }
        assert!(of("fuseblk").syncs_per_file());
        assert_eq!(of("vfat").mtime_step_ns(), 2_000_000_000);
        assert!(!of("cifs").names().case_sensitive);
        assert!(of("nfs4").names().case_sensitive);
    }
}
