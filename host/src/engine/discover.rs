//! What a site has: one scan, folder by folder, as the provider lists them.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use sitesync_provider::{End, Entry, Error, ErrorKind, Kind};
use tokio::sync::mpsc;

use super::names;
use super::pair::{Pair, RootPair, Side};
use super::progress::{Note, Progress};
use crate::sites::{Capability, Listed, is_site_fault};

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
    /// Names of folders in it.
    folders: Vec<String>,
    /// What makes its listing unsound: nothing is concluded from what it does not name.
    wrong: Option<String>,
}

impl Folder {
    /// A folder of which the catalog tells what it has: nothing is concluded from what it does not.
    pub(super) fn known(path: String, files: Vec<Entry>) -> Self {
        Folder { path, files, ..Folder::default() }
    }

    /// A folder that is not there any more.
    pub(super) fn gone(path: String) -> Self {
        Folder { path, complete: true, ..Folder::default() }
    }
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
    /// True if all of it could be listed.
    pub(super) fn is_whole(&self) -> bool {
        !self.blind && self.failed.is_empty()
    }

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
    let mut scan = Scan::new(pair, root, side, progress, to_plan);
    scan.tree("").await?;
    scan.send().await;
    Ok(scan.scanned)
}

/// Looks at what a change feed named: the folders in which something changed, each with the names
/// that did. Of these names, what is a folder is scanned. Returns besides the paths at which no
/// folder is (any more): what the catalog knows beneath them is gone.
pub(super) async fn look(
    pair: &Pair,
    root: &Arc<RootPair>,
    side: Side,
    progress: &Progress,
    to_plan: &mpsc::Sender<Discovered>,
    touched: BTreeMap<String, BTreeSet<String>>,
) -> Result<(Scanned, Vec<String>), Error> {
    let mut scan = Scan::new(pair, root, side, progress, to_plan);
    let mut no_folders = Vec::new();
    for (folder, names) in touched {
        let paths = names.iter().map(|name| sitesync_provider::join(&folder, name));
        if scan.closed.contains(&folder) {
            // It lies in a tree that was scanned just now, with the folders that are there.
            for path in paths {
                if !scan.scanned.covers(&path) {
                    scan.scanned.fail(path);
                } else if !scan.closed.contains(&path) {
                    no_folders.push(path);
                }
            }
            continue;
        }
        let mut beneath = Vec::new();
        match scan.folder(&folder, false, &mut beneath).await {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {
                no_folders.push(folder);
                continue;
            }
            Err(error) => {
                scan.leave(&folder, error)?;
                paths.for_each(|path| scan.scanned.fail(path));
                continue;
            }
        }
        for path in paths {
            if !beneath.contains(&path) {
                no_folders.push(path);
            } else if let Err(error) = scan.tree(&path).await {
                scan.leave(&path, error)?;
            }
        }
    }
    scan.send().await;
    Ok((scan.scanned, no_folders))
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
    closed: Closed,
    /// There are more folders than there can be.
    endless: bool,
    batch: Vec<Folder>,
    files: usize,
}

/// Folders of which no more is to come, by a hash: two that share one cost a look at the second.
#[derive(Default)]
struct Closed {
    hashes: HashSet<u64>,
    state: RandomState,
}

impl Closed {
    fn contains(&self, folder: &str) -> bool {
        self.hashes.contains(&self.state.hash_one(folder))
    }

    /// False if it was closed already.
    fn close(&mut self, folder: &str) -> bool {
        self.hashes.insert(self.state.hash_one(folder))
    }
}

impl<'a> Scan<'a> {
    fn new(
        pair: &'a Pair,
        root: &'a Arc<RootPair>,
        side: Side,
        progress: &'a Progress,
        to_plan: &'a mpsc::Sender<Discovered>,
    ) -> Self {
        Scan {
            pair,
            root,
            side,
            progress,
            to_plan,
            scanned: Scanned::default(),
            open: None,
            closed: Closed::default(),
            endless: false,
            batch: Vec::new(),
            files: 0,
        }
    }

    /// Lists a folder and everything beneath it. An error means that the folder itself could not
    /// be listed.
    async fn tree(&mut self, top: &str) -> Result<(), Error> {
        let end = self.root.end(self.side);
        if end.can(Capability::RecursiveList) {
            match self.folder(top, true, &mut Vec::new()).await {
                Err(error) if error.kind() == ErrorKind::Unsupported => {
                    end.cannot(Capability::RecursiveList);
                }
                listed => return listed,
            }
        }
        // Depth first: what is still to be listed is bounded by depth times breadth.
        let mut left = vec![top.to_owned()];
        while let Some(folder) = left.pop() {
            if let Err(error) = self.folder(&folder, false, &mut left).await {
                if folder == top || self.endless {
                    return Err(error);
                }
                self.open = None;
                self.failed(folder, &error);
            }
        }
        Ok(())
    }

    /// Lists one folder, or all beneath it; folders in it are added to `left` unless recursive.
    async fn folder(
        &mut self,
        folder: &str,
        recursive: bool,
        left: &mut Vec<String>,
    ) -> Result<(), Error> {
        let mut listing = self.root.end(self.side).list(folder, recursive).await?;
        while let Some(pages) = listing.next().await? {
            for listed in pages {
                self.page(listed, recursive, left)?;
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
        listed: Listed,
        recursive: bool,
        left: &mut Vec<String>,
    ) -> Result<(), Error> {
        let Listed { page, wrong } = listed;
        let path = page.folder;
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
        if wrong.is_some() {
            folder.wrong = wrong;
        }
        // A provider that lists trees may go into our own folders.
        let ours = folder.path.split('/').any(names::is_ours);
        for entry in page.entries {
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
                Kind::Folder => folder.folders.push(entry.name),
                Kind::File if !self.pair.settings.excludes(&entry.name) => folder.files.push(entry),
                _ => {}
            }
        }
        match page.end {
            End::More => self.open = Some(folder),
            End::Failed(error) => {
                // The root itself: nothing is known, which is the site's trouble.
                if folder.path.is_empty() {
                    return Err(error);
                }
                self.failed(folder.path.clone(), &error);
                self.close(folder, recursive, left)?;
            }
            _ => {
                folder.complete = true;
                self.close(folder, recursive, left)?;
            }
        }
        Ok(())
    }

    /// Nothing more of this folder is to come.
    fn close(
        &mut self,
        mut folder: Folder,
        recursive: bool,
        left: &mut Vec<String>,
    ) -> Result<(), Error> {
        if !self.closed.close(&folder.path) {
            self.unsound(&folder.path, "it is listed twice");
            return Ok(());
        }
        let end = self.root.end(self.side);
        let folders = end.limits().folders;
        if self.closed.hashes.len() + left.len() > folders {
            self.endless = true;
            let why = format!("the listing has no end: there are more than {folders} folders");
            return Err(end.named(Error::new(ErrorKind::Unexpected, why)));
        }
        if let Some(name) = leave_out_twins(&mut folder) {
            let more = folder.wrong.take().map(|why| format!("; {why}")).unwrap_or_default();
            folder.wrong = Some(format!("'{name}' is named more than once{more}"));
        }
        if let Some(why) = folder.wrong.take() {
            folder.complete = false;
            self.unsound(&folder.path, &why);
        }
        // People expect what is of equal priority to come in the order of its names.
        folder.files.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        let mut beneath = std::mem::take(&mut folder.folders);
        if !recursive {
            // The last is listed next.
            beneath.sort_unstable_by(|one, other| other.cmp(one));
            left.extend(beneath.iter().map(|name| sitesync_provider::join(&folder.path, name)));
        }
        self.files += folder.files.len();
        Progress::add(&self.progress.seen, folder.files.len() as u64);
        self.batch.push(folder);
        Ok(())
    }

    /// Goes on without a folder that could not be listed, unless that is the site's fault.
    fn leave(&mut self, folder: &str, error: Error) -> Result<(), Error> {
        if self.endless || is_site_fault(error.kind()) {
            return Err(error);
        }
        self.open = None;
        self.failed(folder.to_owned(), &error);
        Ok(())
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

    /// What the provider says of a folder makes no sense in part.
    fn unsound(&mut self, folder: &str, why: &str) {
        let why = format!("its listing makes no sense: {why}");
        let error = Error::new(ErrorKind::Unexpected, why);
        self.failed(folder.to_owned(), &self.root.end(self.side).named(error));
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

/// Takes out what has a name that something else in the folder has as well: which of them is meant,
/// nobody knows. Returns one of these names.
fn leave_out_twins(folder: &mut Folder) -> Option<String> {
    let mut names = HashSet::with_capacity(folder.files.len() + folder.folders.len());
    let all = folder.files.iter().map(|file| &file.name).chain(&folder.folders);
    let twins: HashSet<String> = all.filter(|name| !names.insert(*name)).cloned().collect();
    folder.files.retain(|file| !twins.contains(&file.name));
    folder.folders.retain(|name| !twins.contains(name));
    twins.into_iter().min()
}

#[cfg(test)]
mod tests {
    use sitesync_provider::Metadata;

    use super::*;

    #[test]
    fn of_two_with_one_name_none_is_taken() {
        let file = |name: &str| Entry::new(name, Metadata::file(1));
        let mut folder = Folder {
            files: ["a", "b", "c", "b", "d"].map(file).into(),
            folders: ["e", "d", "f"].map(str::to_owned).into(),
            ..Folder::default()
        };
        assert_eq!(leave_out_twins(&mut folder).as_deref(), Some("b"));
        let names: Vec<&str> = folder.files.iter().map(|file| &*file.name).collect();
        assert_eq!((names, folder.folders.join(" ")), (vec!["a", "c"], "e f".to_owned()));
        assert_eq!(leave_out_twins(&mut folder), None);
    }

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
