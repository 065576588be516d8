//! What Drive answers, as far as it is asked for, and what it becomes in the contract.
//!
//! <https://developers.google.com/workspace/drive/api/reference/rest/v3>

use serde::Deserialize;
use sitesync_provider::{Checksum, Kind, Metadata, check_name};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The type of folders.
pub(crate) const FOLDER: &str = "application/vnd.google-apps.folder";
const SHORTCUT: &str = "application/vnd.google-apps.shortcut";
const GOOGLE_TYPES: &str = "application/vnd.google-apps.";
/// The fields of [`File`].
pub(crate) const FIELDS: &str = "id,name,mimeType,parents,driveId,size,md5Checksum,sha1Checksum,\
                                 sha256Checksum,headRevisionId,modifiedTime,createdTime,trashed,\
                                 explicitlyTrashed";
/// The step of modification times.
pub(crate) const MTIME_STEP_NS: u64 = 1_000_000;

/// A file or folder.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct File {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) mime_type: String,
    pub(crate) parents: Vec<String>,
    pub(crate) drive_id: Option<String>,
    pub(crate) size: Option<String>,
    pub(crate) md5_checksum: Option<String>,
    pub(crate) sha1_checksum: Option<String>,
    pub(crate) sha256_checksum: Option<String>,
    pub(crate) head_revision_id: Option<String>,
    pub(crate) modified_time: Option<String>,
    /// RFC 3339 in UTC, always of one form: compares as text.
    pub(crate) created_time: String,
    /// It, or a folder above it, is in the trash.
    pub(crate) trashed: bool,
    /// It was put there itself.
    pub(crate) explicitly_trashed: bool,
    /// Those of folders that people share, where they are asked for.
    pub(crate) owners: Vec<User>,
    pub(crate) web_view_link: Option<String>,
}

/// Somebody.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct User {
    pub(crate) email_address: String,
}

/// A page of `files.list`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct FileList {
    pub(crate) files: Vec<File>,
    pub(crate) next_page_token: Option<String>,
    pub(crate) incomplete_search: bool,
}

/// A shared drive.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Drive {
    pub(crate) id: String,
    pub(crate) name: String,
}

/// A page of `drives.list`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct DriveList {
    pub(crate) drives: Vec<Drive>,
}

/// `files.generateIds`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Ids {
    pub(crate) ids: Vec<String>,
}

/// `about.get`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct About {
    pub(crate) storage_quota: StorageQuota,
}

/// How much room the account has; no limit where it is not said.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct StorageQuota {
    limit: Option<String>,
    usage: Option<String>,
}

impl StorageQuota {
    /// Free and all bytes, where there is a limit.
    pub(crate) fn room(&self) -> Option<(u64, u64)> {
        let total: u64 = self.limit.as_ref()?.parse().ok()?;
        let used = self.usage.as_ref().and_then(|usage| usage.parse().ok()).unwrap_or(0);
        Some((total.saturating_sub(used), total))
    }
}

/// `changes.getStartPageToken`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct StartPageToken {
    pub(crate) start_page_token: String,
}

/// A page of `changes.list`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ChangeList {
    pub(crate) changes: Vec<Change>,
    pub(crate) next_page_token: Option<String>,
    pub(crate) new_start_page_token: Option<String>,
}

/// A change of a file, or of a shared drive (then without a file id).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Change {
    pub(crate) file_id: Option<String>,
    pub(crate) removed: bool,
    pub(crate) file: Option<File>,
}

impl File {
    pub(crate) fn is_folder(&self) -> bool {
        self.mime_type == FOLDER
    }

    /// What it is for the contract: a Google Doc or a shortcut is neither file nor folder.
    pub(crate) fn kind(&self) -> Kind {
        match self.mime_type.as_str() {
            FOLDER => Kind::Folder,
            other if other.starts_with(GOOGLE_TYPES) => Kind::Other,
            _ => Kind::File,
        }
    }

    /// True for a child of this folder.
    pub(crate) fn is_in(&self, folder: &str) -> bool {
        self.parents.iter().any(|parent| parent == folder)
    }

    pub(crate) fn size(&self) -> u64 {
        self.size.as_ref().and_then(|size| size.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn md5(&self) -> Option<Vec<u8>> {
        self.md5_checksum.as_deref().and_then(from_hex)
    }

    /// The fingerprint: the id, and which content it has. So the id travels with every expectation.
    pub(crate) fn version(&self) -> String {
        let content = self.head_revision_id.as_ref().or(self.md5_checksum.as_ref());
        format!("{}@{}", self.id, content.map_or("", String::as_str))
    }

    /// Of several of one name the one that counts: the oldest, then that with the least id.
    pub(crate) fn age(&self) -> (&str, &str) {
        (&self.created_time, &self.id)
    }

    pub(crate) fn metadata(&self) -> Metadata {
        if self.is_folder() {
            return Metadata::folder().with_id(&self.id);
        }
        let mtime = self.modified_time.as_deref().and_then(from_rfc3339);
        let metadata = Metadata::file(self.size())
            .with_id(&self.id)
            .with_version(self.version())
            .with_mtime_ns(mtime);
        let checksums = [
            ("md5", &self.md5_checksum),
            ("sha1", &self.sha1_checksum),
            ("sha256", &self.sha256_checksum),
        ];
        checksums.into_iter().fold(metadata, |metadata, (algorithm, hex)| {
            match hex.as_deref().and_then(from_hex) {
                Some(digest) => metadata.with_checksum(Checksum::new(algorithm, digest)),
                None => metadata,
            }
        })
    }

    /// Why it can't travel; `None` for what can.
    pub(crate) fn skipped(&self) -> Option<String> {
        if let Err(why) = check_name(&self.name) {
            return Some(format!("a name that can't be a part of a path: {why}"));
        }
        if self.mime_type == SHORTCUT {
            return Some("a shortcut, which is not followed".to_owned());
        }
        let google = self.mime_type.strip_prefix(GOOGLE_TYPES).filter(|_| !self.is_folder());
        google.map(|what| format!("a Google file without bytes of its own ({what})"))
    }
}

/// The id in a fingerprint of ours.
pub(crate) fn id_of(version: &str) -> Option<&str> {
    let (id, content) = version.split_once('@')?;
    (is_id(id) && !content.is_empty()).then_some(id)
}

/// True for what may be an id: it goes into URLs.
pub(crate) fn is_id(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    !text.is_empty() && text.len() <= 200 && text.chars().all(plain)
}

/// `2026-01-31T12:00:00.123Z` of ns since the epoch, rounded down to ms.
pub(crate) fn rfc3339(mtime_ns: i64) -> Option<String> {
    let ns = i128::from(mtime_ns).div_euclid(1_000_000) * 1_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(ns).ok()?;
    time.format(&Rfc3339).ok()
}

fn from_rfc3339(text: &str) -> Option<i64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos()).ok()
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn from_hex(hex: &str) -> Option<Vec<u8>> {
    if !hex.len().is_multiple_of(2) || !hex.is_ascii() {
        return None;
    }
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_kept_to_the_millisecond() {
        for (ns, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_234_567_890_123_456_789, "2009-02-13T23:31:30.123Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(rfc3339(ns).as_deref(), Some(text));
            let read = from_rfc3339(text).unwrap();
            assert!(read.abs_diff(ns) < MTIME_STEP_NS, "{ns} became {read}");
        }
        assert!(rfc3339(i64::MIN).is_some() && rfc3339(i64::MAX).is_some());
    }

    #[test]
    fn only_fingerprints_of_ours_hold_an_id() {
        assert_eq!(id_of("1a-_Z@0Bxyz"), Some("1a-_Z"));
        for nonsense in ["", "@", "id", "id@", "@rev", "a/b@rev", "a b@rev", "*@1", "..@1"] {
            assert_eq!(id_of(nonsense), None, "{nonsense:?}");
        }
    }

    #[test]
    fn what_has_no_bytes_or_no_sound_name_is_skipped() {
        let file = |name: &str, mime: &str| File {
            name: name.to_owned(),
            mime_type: mime.to_owned(),
            ..File::default()
        };
        for (file, travels) in [
            (file("a.exr", "image/x-exr"), true),
            (file("folder", FOLDER), true),
            (file("notes", "application/vnd.google-apps.document"), false),
            (file("link", SHORTCUT), false),
            (file("a/b", "image/png"), false),
            (file("..", "image/png"), false),
            (file("", FOLDER), false),
        ] {
            assert_eq!(file.skipped().is_none(), travels, "{file:?}");
        }
    }

    #[test]
    fn hex_is_read_or_refused() {
        assert_eq!(from_hex("00ff10"), Some(vec![0, 255, 16]));
        assert_eq!(to_hex(&[0, 255, 16]), "00ff10");
        for wrong in ["0", "zz", "é"] {
            assert_eq!(from_hex(wrong), None);
        }
    }
}
