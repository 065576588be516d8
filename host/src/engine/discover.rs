//! What a site has: one scan, folder by folder, as the provider lists them.

use std::sync::Arc;

use sitesync_provider::{End, Entry, Error, ErrorKind, Kind};
use tokio::sync::mpsc;

use super::names;
use super::pair::{Pair, RootPair, Side};
use super::progress::{Note, Progress};

/// Files of one message to the planner: small folders travel together.
const BATCH: usize = 1000;
/// Folders that could not be listed, kept by name; with more, nothing is concluded from absence.
const FAILED: usize = 1000;

/// One folder as a site listed it.
#[derive(Debug, Default)]
pub(super) struct Folder {
    /// Its path beneath the root.
    pub path: String,
    /// Its files.
    pub files: Vec<Entry>,
    /// True if all of it was listed: what is not named is not there.
    pub complete: bool,
}

/// Folders of one root at one side, on their way to the planner.
#[derive(Debug)]
pub(super) struct Discovered {
    /// The root.
    pub root: Arc<RootPair>,
    /// At which end.
    pub side: Side,
    /// The folders.
    pub folders: Vec<Folder>,
}

/// How a scan ended.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    /// Paths of folders that could not be listed: nothing is known of what lies beneath.
    pub failed: Vec<String>,
    /// True if there were too many of these to keep.
    pub blind: bool,
}

impl Scanned {
    /// True if a folder that was not seen is really not there.
    pub(super) fn covers(&self, folder: &str) -> bool {
        !self.blind
            && !self.failed.iter().any(|failed| {
                failed.is_empty()
                    || folder == failed
                    || folder.strip_prefix(failed.as_str()).is_some_and(|r| r.starts_with('/'))
            })
    }

    fn fail(&mut self, folder: String) {
        if self.failed.len() < FAILED {
            self.failed.push(folder);
        } else {
            self.blind = true;
        }
    }
}

/// Scans one root at one side, and hands over what it finds.
///
/// An error means that the root itself could not be listed. Folders that could not are in the
/// answer, and noted.
pub(super) async fn scan(
    pair: &Pair,
    root: &Arc<RootPair>,
    side: Side,
    progress: &Progress,
    to_plan: &mpsc::Sender<Discovered>,
) -> Result<Scanned, Error> {
    let mut scan = Scan {
        pair,
        root,
        side,
        progress,
        to_plan,
        scanned: Scanned::default(),
        open: None,
        batch: Vec::new(),
        files: 0,
    };
    if scan.root.end(side).info.can.recursive_list {
        scan.folder("", true, &mut Vec::new()).await?;
    } else {
        // Depth first: what is still to be listed is bounded by depth times breadth.
        let mut left = vec![String::new()];
        while let Some(folder) = left.pop() {
            let top = folder.is_empty();
            if let Err(error) = scan.folder(&folder, false, &mut left).await {
                if top {
                    return Err(error);
                }
                scan.failed(folder, &error);
            }
        }
    }
    scan.send().await;
    Ok(scan.scanned)
}

struct Scan<'a> {
    pair: &'a Pair,
    root: &'a Arc<RootPair>,
    side: Side,
    progress: &'a Progress,
    to_plan: &'a mpsc::Sender<Discovered>,
    scanned: Scanned,
    /// A folder of which more pages are to come.
    open: Option<Folder>,
    batch: Vec<Folder>,
    files: usize,
}

impl Scan<'_> {
    /// Lists one folder, or all beneath it; folders in it are added to `left` unless recursive.
    async fn folder(
        &mut self,
        folder: &str,
        recursive: bool,
        left: &mut Vec<String>,
    ) -> Result<(), Error> {
        let mut listing = self.root.end(self.side).list(folder, recursive).await?;
        while let Some(pages) = listing.next().await? {
            for page in pages {
                self.page(page.folder, page.entries, page.end, recursive, left)?;
            }
            if self.files >= BATCH || self.batch.len() >= BATCH {
                self.send().await;
            }
        }
        if let Some(unfinished) = self.open.take() {
            self.failed(
                unfinished.path,
                &Error::new(ErrorKind::Unexpected, "the listing ended in the middle of it"),
            );
        }
        Ok(())
    }

    fn page(
        &mut self,
        path: String,
        entries: Vec<Entry>,
        end: End,
        recursive: bool,
        left: &mut Vec<String>,
    ) -> Result<(), Error> {
        let mut folder = match self.open.take() {
            Some(open) if open.path == path => open,
            Some(other) => {
                self.failed(
                    other.path,
                    &Error::new(ErrorKind::Unexpected, "the listing left it and did not return"),
                );
                Folder { path, ..Folder::default() }
            }
            None => Folder { path, ..Folder::default() },
        };
        // A provider that lists trees may go into our own folders.
        let ours = folder.path.split('/').any(names::is_ours);
        for entry in entries {
            if ours {
                continue;
            }
            if names::is_ours(&entry.name) && entry.skipped.is_none() {
                if !names::is_kept_here(&entry.name) {
                    self.skip(&folder.path, &entry.name, "its name begins as those of sitesync do");
                }
                continue;
            }
            if let Some(reason) = &entry.skipped {
                self.skip(&folder.path, &entry.name, reason);
                continue;
            }
            match entry.metadata.kind {
                Kind::Folder if !recursive => {
                    left.push(sitesync_provider::join(&folder.path, &entry.name));
                }
                Kind::File if !self.pair.settings.excludes(&entry.name) => folder.files.push(entry),
                _ => {}
            }
        }
        match end {
            End::More => self.open = Some(folder),
            End::Failed(error) => {
                // The root itself: nothing is known, which is the site's trouble.
                if folder.path.is_empty() {
                    return Err(error);
                }
                self.failed(folder.path.clone(), &error);
                self.push(folder);
            }
            _ => {
                folder.complete = true;
                self.push(folder);
            }
        }
        Ok(())
    }

    fn push(&mut self, folder: Folder) {
        self.files += folder.files.len();
        Progress::add(&self.progress.seen, folder.files.len() as u64);
        self.batch.push(folder);
    }

    async fn send(&mut self) {
        self.files = 0;
        let folders = std::mem::take(&mut self.batch);
        if !folders.is_empty() {
            let (root, side) = (self.root.clone(), self.side);
            // A planner that is gone means that the run is over: the scan ends by itself.
            let _ = self.to_plan.send(Discovered { root, side, folders }).await;
        }
    }

    fn failed(&mut self, folder: String, error: &Error) {
        Progress::add(&self.progress.unlisted, 1);
        self.note(folder.clone(), format!("can't be listed: {}", error.message()));
        self.scanned.fail(folder);
    }

    fn skip(&mut self, folder: &str, name: &str, reason: &str) {
        Progress::add(&self.progress.skipped, 1);
        self.note(sitesync_provider::join(folder, name), format!("skipped: {reason}"));
    }

    fn note(&self, path: String, reason: String) {
        self.progress.note(Note {
            project: self.pair.settings.name.clone(),
            site: self.pair.site_name(self.side).to_owned(),
            path,
            reason,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_concluded_beneath_a_folder_that_failed() {
        let scanned = Scanned { failed: vec!["a/b".into()], blind: false };
        assert!(scanned.covers("a"));
        assert!(scanned.covers("a/bc"));
        assert!(!scanned.covers("a/b"));
        assert!(!scanned.covers("a/b/c"));
        assert!(!Scanned { failed: Vec::new(), blind: true }.covers("x"));
    }
}
