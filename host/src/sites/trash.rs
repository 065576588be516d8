//! The trash of a root: what was deleted or replaced there and can be had again.
//!
//! Works on any provider that shows its trash as a folder ([`RootInfo::trash_folder`]), by ordinary
//! calls: a listing, a rename, a delete. Where a service keeps the trash itself, it says so.
//!
//! [`RootInfo::trash_folder`]: sitesync_provider::RootInfo::trash_folder

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sitesync_provider::{
    DeleteOptions, End, Error, ErrorKind, Expect, Kind, Known, Metadata, Result, join,
};

use super::{Capability, OpenRoot, Operation};
use crate::state_dir::rfc3339;

/// Entries of a list.
const MOST_LISTED: usize = 100_000;
/// Files that are deleted for good at once.
const MOST_EXPIRED: u64 = 10_000;

/// A file in the trash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When it was deleted or replaced, to the second.
    pub when: SystemTime,
    /// Where it was, beneath the root.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// The name of the folder in the trash that holds it. Begins with the time.
    pub id: String,
}

/// What the trash of a root holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Trash {
    /// The newest first; of one time, by path.
    pub entries: Vec<Entry>,
    /// There are more than were looked at.
    pub more: bool,
}

/// Which file is to be restored, and how.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Where it was, beneath the root.
    pub path: &'a str,
    /// The begin of its time or id; `None` for the newest.
    pub when: Option<&'a str>,
    /// What is in its place goes to the trash.
    pub replace: bool,
}

/// What was deleted for good.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Expired {
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
}

/// The folder of a root's trash; else why there is none to look into, a sentence for people.
pub fn folder(root: &OpenRoot) -> std::result::Result<&str, String> {
    if let Some(folder) = root.info.trash_folder.as_deref() {
        return Ok(folder);
    }
    let (site, can) = (&root.site, &root.info.can);
    let service = match root.info.label.as_str() {
        "" => root.provider.as_str(),
        label => label,
    };
    Err(match (can.keeps_versions, can.trash) {
        (true, true) => format!(
            "site '{site}': {service} keeps deleted files and earlier versions itself: look for them \
             in its own trash, and in the versions of the file there"
        ),
        (true, false) => format!(
            "site '{site}': {service} keeps earlier versions of replaced files itself: look for them \
             at the file there"
        ),
        (false, true) => format!(
            "site '{site}': {service} keeps deleted files itself: look for them in its own trash"
        ),
        (false, false) => {
            format!("site '{site}': {service} has no trash: what is replaced there is gone")
        }
    })
}

/// Lists the trash. `Unsupported`, with where to look, if there is none that can be.
pub async fn list(root: &OpenRoot) -> Result<Trash> {
    let trash = in_view(root)?;
    let mut found = Trash::default();
    for (id, when) in filled(root, trash).await? {
        let folder = join(trash, &id);
        let walked = walk(root, &folder, &mut |path, metadata| {
            if found.entries.len() >= MOST_LISTED {
                return false;
            }
            if let Some(path) = path.strip_prefix(&folder).and_then(|path| path.strip_prefix('/')) {
                let (path, size) = (path.to_owned(), metadata.size);
                found.entries.push(Entry { when, path, size, id: id.clone() });
            }
            true
        })
        .await?;
        if !walked.whole {
            found.more = true;
            break;
        }
    }
    found.entries.sort_by(|a, b| b.when.cmp(&a.when).then_with(|| a.path.cmp(&b.path)));
    Ok(found)
}

/// What the trash has of one file, the newest first.
pub async fn of(root: &OpenRoot, path: &str) -> Result<Vec<Entry>> {
    let trash = in_view(root)?;
    let mut entries = Vec::new();
    for (id, when) in filled(root, trash).await? {
        match root.stat(&join(&join(trash, &id), path)).await {
            Ok(found) if found.kind == Kind::File => {
                entries.push(Entry { when, path: path.to_owned(), size: found.size, id });
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(entries)
}

/// The paths of files beneath a folder, or the whole root, that the trash has, of a time if one is given. Each once.
pub async fn beneath(root: &OpenRoot, folder: &str, when: Option<&str>) -> Result<Vec<String>> {
    let entries = list(root).await?.entries.into_iter().filter(|entry| entry.is_of(when));
    let within = |path: &str| {
        folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    };
    let paths: BTreeSet<String> =
        entries.map(|entry| entry.path).filter(|path| within(path)).collect();
    Ok(paths.into_iter().collect())
}

/// Puts a file back to where it was. `NotFound` if the trash does not have it. `AlreadyExists` if
/// something is there, unless that is to be replaced: then both change places in one step, so that
/// what was there is in the trash.
pub async fn restore(root: &OpenRoot, wanted: Wanted<'_>) -> Result<Entry> {
    let trash = in_view(root)?;
    let entries = of(root, wanted.path).await?;
    let Some(entry) = entries.iter().find(|entry| entry.is_of(wanted.when)) else {
        let times: Vec<String> = entries.iter().map(|entry| rfc3339(entry.when)).collect();
        let why = match times.as_slice() {
            [] => "the trash has no such file".to_owned(),
            times => format!("the trash has it from {} only", times.join(", ")),
        };
        return Err(root.named(Error::new(ErrorKind::NotFound, why)));
    };
    let top = join(trash, &entry.id);
    let from = join(&top, wanted.path);
    match root.stat(wanted.path).await {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            root.rename(&from, wanted.path).await?;
        }
        Err(error) => return Err(error),
        Ok(_) if !wanted.replace => {
            let why = "a file is in its place";
            return Err(root.named(Error::new(ErrorKind::AlreadyExists, why)));
        }
        Ok(there) => exchange(root, &from, wanted.path, &there).await?,
    }
    root.flush().await?;
    tidy(root, &from, trash).await;
    Ok(entry.clone())
}

/// Deletes for good what came into the trash before a time, and the folders that it leaves empty: a
/// part of it where there is much. `goes_on` is asked before each file.
pub async fn expire(
    root: &OpenRoot,
    before: SystemTime,
    goes_on: impl Fn() -> bool,
) -> Result<Expired> {
    let trash = in_view(root)?;
    let mut expired = Expired::default();
    for (id, when) in filled(root, trash).await?.into_iter().rev() {
        if when >= before {
            break;
        }
        let top = join(trash, &id);
        let mut files = Vec::new();
        let left = MOST_EXPIRED - expired.files;
        let walked = walk(root, &top, &mut |path, metadata| {
            files.push((path.to_owned(), metadata.size));
            (files.len() as u64) < left
        })
        .await?;
        for (path, size) in files {
            if !goes_on() {
                return Ok(expired);
            }
            match root.delete(&path, DeleteOptions::default()).await {
                Ok(()) => {
                    expired.files += 1;
                    expired.bytes += size;
                }
                // Restored meanwhile, or deleted by another host.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        for folder in walked.folders.iter().rev() {
            remove_if_empty(root, folder).await;
        }
        if !walked.whole {
            break;
        }
    }
    Ok(expired)
}

impl Entry {
    /// True if its time, or its id, begins so; each with or without signs between the digits.
    fn is_of(&self, when: Option<&str>) -> bool {
        let plain = |text: &str| text.replace(['-', ':'], "").to_ascii_lowercase();
        when.is_none_or(|when| plain(&self.id).starts_with(&plain(when)))
    }
}

fn in_view(root: &OpenRoot) -> Result<&str> {
    folder(root).map_err(|why| Error::new(ErrorKind::Unsupported, why))
}

/// The folders of a trash, by name, with the times at which they were filled; the newest first.
/// What has another name was not put there by a provider.
async fn filled(root: &OpenRoot, trash: &str) -> Result<Vec<(String, SystemTime)>> {
    let mut filled = Vec::new();
    each(root, trash, false, &mut |path, metadata| {
        let name = path.rsplit('/').next().unwrap_or_default();
        if let (Kind::Folder, Some(when)) = (metadata.kind, time_of(name)) {
            filled.push((name.to_owned(), when));
        }
        true
    })
    .await?;
    filled.sort_by(|a, b| b.cmp(a));
    Ok(filled)
}

/// The time with which a name in the trash begins: `20260102T030405Z`.
fn time_of(name: &str) -> Option<SystemTime> {
    let text = name.get(..16)?;
    let number = |from: usize, to: usize| {
        let digits = &text[from..to];
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<u64>().ok())?
    };
    if &text[8..9] != "T" || &text[15..] != "Z" {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
    let sound = year >= 1970
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !sound {
        return None;
    }
    // Years begin in March, so that the leap day comes last: Howard Hinnant's `days_from_civil`.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let of_year = (153 * month + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + of_year - 719_468;
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(UNIX_EPOCH + Duration::from_secs(seconds))
}

/// What was met on a walk.
struct Walked {
    /// Its folders, each before those beneath it.
    folders: Vec<String>,
    /// All of it was met.
    whole: bool,
}

/// Tells of every file beneath a folder, with its path beneath the root, until `file` answers false.
async fn walk(
    root: &OpenRoot,
    top: &str,
    file: &mut (dyn FnMut(&str, &Metadata) -> bool + Send),
) -> Result<Walked> {
    let mut folders = vec![top.to_owned()];
    let recursive = root.can(Capability::RecursiveList);
    let mut whole = true;
    let mut next = 0;
    while whole && next < folders.len() {
        let folder = folders[next].clone();
        next += 1;
        whole = each(root, &folder, recursive, &mut |path, metadata| match metadata.kind {
            Kind::File => file(path, metadata),
            Kind::Folder => {
                folders.push(path.to_owned());
                true
            }
            _ => true,
        })
        .await?;
        if recursive {
            break;
        }
    }
    // A recursive listing may name folders in any order.
    folders.sort();
    Ok(Walked { folders, whole })
}

/// Tells of everything in a folder, until `met` answers false; then the answer is false as well. A
/// folder that is not there (any more) is empty.
async fn each(
    root: &OpenRoot,
    folder: &str,
    recursive: bool,
    met: &mut (dyn FnMut(&str, &Metadata) -> bool + Send),
) -> Result<bool> {
    let missing = |error: &Error| error.kind() == ErrorKind::NotFound;
    let mut listing = match root.list(folder, recursive).await {
        Ok(listing) => listing,
        Err(error) if missing(&error) => return Ok(true),
        Err(error) => return Err(error),
    };
    while let Some(pages) = listing.next().await? {
        for listed in pages {
            let page = listed.page;
            for entry in page.entries.iter().filter(|entry| entry.skipped.is_none()) {
                if !met(&join(&page.folder, &entry.name), &entry.metadata) {
                    return Ok(false);
                }
            }
            match page.end {
                End::Failed(error) if !missing(&error) => return Err(root.named(error)),
                _ => {}
            }
        }
    }
    Ok(true)
}

/// Puts a copy of what is in the trash in the place of what is there, which goes to the trash. To
/// move that away first would leave a moment in which neither is there, which a scan could see.
async fn exchange(root: &OpenRoot, from: &str, to: &str, there: &Metadata) -> Result<()> {
    if !root.can(Capability::KeepReplaced) || !root.can(Capability::ServerCopy) {
        let why = "this site can't replace a file and keep it: rename the one that is there, and \
                   restore then";
        return Err(root.named(Error::new(ErrorKind::Unsupported, why)));
    }
    let source = root.stat(from).await?;
    let known = Known::new(None, source.version.clone());
    let (operation, op) = Operation::new(vec![root.slot(0, source.size).await], |_| {});
    let expect = Expect::Version(there.fingerprint());
    let batch = [(from, to, known, expect)];
    let mut answers = root.server_copy(root, &batch, true, &operation, op).await?;
    let Some(answer) = answers.pop() else { return Ok(()) };
    answer?;
    root.flush().await?;
    root.delete(from, DeleteOptions::if_version(source.fingerprint())).await
}

/// Removes the folders above a path in the trash that hold nothing any more.
async fn tidy(root: &OpenRoot, path: &str, trash: &str) {
    let mut above = path.rsplit_once('/').map(|(folder, _)| folder);
    while let Some(folder) = above.filter(|folder| folder.len() > trash.len()) {
        if !remove_if_empty(root, folder).await {
            return;
        }
        above = folder.rsplit_once('/').map(|(folder, _)| folder);
    }
}

/// False if it is still there.
async fn remove_if_empty(root: &OpenRoot, folder: &str) -> bool {
    match root.remove_folder(folder).await {
        Ok(()) => true,
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_from_names() {
        for text in ["1970-01-01T00:00:00Z", "2000-02-29T12:34:56Z", "2025-12-31T23:59:59Z"] {
            let name = format!("{}-0a1b2c3d", text.replace(['-', ':'], ""));
            assert_eq!(time_of(&name).map(rfc3339).as_deref(), Some(text));
        }
        for name in ["", "root.json", "20260102T030405", "20261302T030405Z", "2026é102T030405Z-1"]
        {
            assert_eq!(time_of(name), None, "{name}");
        }
    }

    #[test]
    fn a_time_is_named_by_its_begin() {
        let entry = |id: &str| Entry {
            when: time_of(id).unwrap(),
            path: "a".into(),
            size: 0,
            id: id.to_owned(),
        };
        let entry = entry("20260102T030405Z-0a1b2c3d");
        for when in ["2026-01-02", "2026-01-02T03:04:05Z", "20260102t03", "20260102T030405Z-0a1b"] {
            assert!(entry.is_of(Some(when)), "{when}");
        }
        assert!(entry.is_of(None) && !entry.is_of(Some("2026-01-03")));
    }
}
