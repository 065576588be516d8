//! What a root can do and what it demands. Crosses the boundary as JSON, so that it can grow.

use serde::{Deserialize, Serialize};

/// What a provider says of one root when it is opened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RootInfo {
    /// Names the storage beneath: two roots on one disk, or in one drive, answer the same. Slots,
    /// breaker and health belong to it.
    pub storage_id: String,
    /// Who the service takes us for (an e-mail address): its allowances (requests, bytes a day)
    /// belong to that account, whatever the storage. Empty where there is no such thing.
    pub account: String,
    /// Identifies this very root where no marker file can be kept (device and inode, a folder id).
    pub root_id: String,
    /// `root_id` is this root's for good, and never another's (a service's folder id; not an inode):
    /// the host knows the root by it, and leaves no marker in it.
    pub lasting_id: bool,
    /// What can be done here.
    pub can: Capabilities,
    /// The step of modification times, in ns; 0 where they are not kept.
    pub mtime_step_ns: u64,
    /// What names may look like.
    pub names: NameRules,
    /// The largest file that fits, in bytes.
    pub largest_file: Option<u64>,
    /// Free room, in bytes.
    pub free: Option<u64>,
    /// All room, in bytes.
    pub total: Option<u64>,
    /// True for storage behind a network: a share, a service.
    pub network: bool,
    /// True if the root lies on another device than its parent folder: something is mounted there.
    pub mount_point: bool,
    /// The root as a path of this machine, if it is one.
    pub local_path: Option<String>,
    /// The folder beneath the root that is its trash, if the host is to list it, to restore from it
    /// and to empty it: `.sitesync/trash`. In it are folders whose names begin with the time at which
    /// what they hold was deleted or replaced, in UTC (`20260102T030405Z`); what was at `a/b` is at
    /// `a/b` in one of them. `None` where a service keeps the trash itself.
    pub trash_folder: Option<String>,
    /// What people call the storage: `ext4`, `nfs4`, `Google Drive (shared)`.
    pub label: String,
}

/// What can be done in a root.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Capabilities {
    /// Copies within the instance without their bytes passing through the host.
    pub server_copy: bool,
    /// Reads from any byte.
    pub ranges: bool,
    /// Goes on with an interrupted write from a token.
    pub resume: bool,
    /// Lists a whole tree in one call.
    pub recursive_list: bool,
    /// What the change feed promises.
    pub changes: Changes,
    /// What was written is durable only after `flush`.
    pub flush: bool,
    /// Algorithms whose digests listings and `stat` give.
    pub checksums: Vec<String>,
    /// A file is replaced in one step: a reader sees the old or the new, never neither.
    pub atomic_replace: bool,
    /// Keeps earlier versions of what is replaced.
    pub keeps_versions: bool,
    /// Can delete to a trash.
    pub trash: bool,
    /// Can replace a file so that the old content goes to the trash
    /// ([`crate::WriteOptions::keep_replaced`], [`crate::Copy::keep_replaced`]). One that keeps
    /// versions by itself is not asked to.
    pub keeps_replaced: bool,
}

/// What a change feed promises.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Changes {
    /// It may miss some: the host still scans.
    Hint,
    /// It names every change since the cursor: the host need not scan.
    Complete,
    /// There is none; or it promises what this version of the contract does not know.
    #[default]
    #[serde(other)]
    None,
}

/// What names may look like in a root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct NameRules {
    /// `A` and `a` are two names.
    pub case_sensitive: bool,
    /// Names that differ only in Unicode form (NFC, NFD) are two names.
    pub unicode_exact: bool,
    /// Two files of one name can't stand in one folder. Where they can (a service that knows files
    /// by id), two hosts that write at once may both succeed with [`crate::Expect::Nothing`]: the
    /// provider takes the same one of them always, lists the others as skipped, and the host looks
    /// after a write whether its own is the one that counts.
    pub unique: bool,
    /// Longest name, in bytes of UTF-8.
    pub longest_name: Option<u32>,
    /// Longest path beneath the root, in bytes of UTF-8.
    pub longest_path: Option<u32>,
    /// Characters that no name may hold.
    pub forbidden_characters: String,
    /// Names that are taken, whatever their case and ending (`CON`).
    pub forbidden_names: Vec<String>,
    /// A name may end in a dot or a space.
    pub trailing_dot_or_space: bool,
}

impl Default for NameRules {
    /// The rules of a Unix disk, without a limit on lengths.
    fn default() -> Self {
        NameRules {
            case_sensitive: true,
            unicode_exact: true,
            unique: true,
            longest_name: None,
            longest_path: None,
            forbidden_characters: String::new(),
            forbidden_names: Vec::new(),
            trailing_dot_or_space: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Description;

    /// What crosses as JSON bears the other side's being older or newer.
    #[test]
    fn older_and_newer_sides_are_understood() {
        let older: RootInfo = serde_json::from_value(json!({"can": {"ranges": true}})).unwrap();
        let expected = Capabilities { ranges: true, ..Capabilities::default() };
        assert_eq!(older, RootInfo { can: expected, ..RootInfo::default() });

        let newer: RootInfo = serde_json::from_value(json!({
            "storage_id": "disk", "colour": "blue",
            "can": {"flush": true, "changes": "prophecy", "teleport": {"range": 3}},
            "names": {"case_sensitive": false, "runes": []},
        }))
        .unwrap();
        assert_eq!((newer.storage_id.as_str(), newer.can.flush), ("disk", true));
        assert_eq!(newer.can.changes, Changes::None, "what is not known is not relied upon");
        assert!(!newer.names.case_sensitive && newer.names.unicode_exact);

        let description: Description =
            serde_json::from_value(json!({"id": "gdrive", "colour": "blue"})).unwrap();
        assert_eq!((description.id.as_str(), description.slots), ("gdrive", 0));
        let empty: Description = serde_json::from_value(json!({})).unwrap();
        assert_eq!(empty.label, "");
    }

    #[test]
    fn what_a_feed_promises_keeps_its_words() {
        for (changes, word) in
            [(Changes::None, "none"), (Changes::Hint, "hint"), (Changes::Complete, "complete")]
        {
            assert_eq!(serde_json::to_value(changes).unwrap(), word);
            assert_eq!(serde_json::from_value::<Changes>(word.into()).unwrap(), changes);
        }
    }
}
