//! Whether what a provider says makes sense. What comes back has the right types, and no more.

use sitesync_provider::{ChangePage, Entry, Metadata, Result, RootInfo, check_name, check_path};

use super::layers::nonsense;

/// No file system has larger files. Beyond it sums of sizes would overflow.
const LARGEST: u64 = 1 << 46;
/// Bytes of a version, an id, a name: they are kept, or shown.
const LONGEST: usize = 4096;
/// Bytes of a path beneath a root: folders in folders without an end are longer one day.
pub(super) const LONGEST_PATH: usize = 32 << 10;
/// Bytes of a cursor of a change feed: the catalog keeps it.
const LONGEST_CURSOR: usize = 64 << 10;
/// Digests of one file, and their bytes.
const DIGESTS: usize = 16;
const LONGEST_DIGEST: usize = 128;
/// The coarsest modification times: in steps of a minute. What was written with the same time as
/// something of ours is taken for ours.
const COARSEST_NS: u64 = 60_000_000_000;
/// Characters of a name in a message.
const SHOWN: usize = 80;

/// A text of a provider's as it is fit for a message: one line of bounded length.
pub(super) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push_str("...");
    }
    shown
}

/// What is known of a file, if it makes sense.
pub(super) fn metadata(metadata: Metadata) -> Result<Metadata> {
    match wrong_metadata(&metadata) {
        None => Ok(metadata),
        Some(wrong) => Err(nonsense(wrong)),
    }
}

fn wrong_metadata(metadata: &Metadata) -> Option<String> {
    let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let longest = length(&metadata.version).max(length(&metadata.id));
    let digests = &metadata.checksums;
    if metadata.size > LARGEST {
        Some(format!("a size of {} bytes", metadata.size))
    } else if longest > LONGEST {
        Some(format!("a version or an id of {longest} bytes"))
    } else if digests.len() > DIGESTS
        || digests.iter().any(|d| d.digest.len().max(d.algorithm.len()) > LONGEST_DIGEST)
    {
        Some("checksums without measure".to_owned())
    } else {
        None
    }
}

/// Why a name that a folder is said to hold makes no sense, if it does not.
pub(super) fn wrong_entry(folder: &str, entry: &Entry) -> Option<String> {
    let name = || shown(&entry.name);
    if entry.name.len() > LONGEST {
        return Some(format!("'{}' is a name of {} bytes", name(), entry.name.len()));
    }
    let path = folder.len() + 1 + entry.name.len();
    if path > LONGEST_PATH {
        return Some(format!("'{}' has a path of {path} bytes", name()));
    }
    if entry.skipped.is_some() {
        // Only shown.
        return None;
    }
    if let Err(wrong) = check_name(&entry.name) {
        return Some(format!("'{}' is no name: it has {wrong}", name()));
    }
    wrong_metadata(&entry.metadata).map(|wrong| format!("'{}' has {wrong}", name()))
}

/// A part of a change feed, if it makes sense: paths beneath roots that were asked for.
pub(super) fn changes(roots: &[&str], page: ChangePage) -> Result<ChangePage> {
    for change in &page.changed {
        if !roots.contains(&&*change.root) {
            return Err(nonsense(format_args!("a change of {:?}, not asked for", change.root)));
        }
        if let Err(wrong) = check_path(&change.path) {
            return Err(nonsense(format_args!("a change of {:?}, which has {wrong}", change.path)));
        }
    }
    if page.next.0.len() > LONGEST_CURSOR {
        return Err(nonsense(format_args!("a cursor of {} bytes", page.next.0.len())));
    }
    Ok(page)
}

/// What a root is, if it makes sense.
pub(super) fn root_info(info: RootInfo) -> Result<RootInfo> {
    let texts = [&info.storage_id, &info.root_id, &info.account, &info.label];
    let longest = texts.map(String::len).into_iter().max().unwrap_or_default();
    if longest > LONGEST {
        return Err(nonsense(format_args!("a root with a label or an id of {longest} bytes")));
    }
    if info.mtime_step_ns > COARSEST_NS {
        let seconds = info.mtime_step_ns / 1_000_000_000;
        return Err(nonsense(format_args!("modification times in steps of {seconds} s")));
    }
    Ok(info)
}
