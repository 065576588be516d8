//! Following a change feed: where one names every change, it replaces scans.
//!
//! The cursor is taken before the scan that it continues, and stored only once everything before
//! it has been planned: whatever happens in between is named once more.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, MutexGuard, PoisonError};

use sitesync_provider::{Change, Cursor, Entry, Error, ErrorKind, Metadata};
use tokio::sync::mpsc;

use super::discover::{self, Discovered, Folder};
use super::names;
use super::pair::{RootPair, Side};
use super::recorded::{Keys, Look};
use super::run::{End, Run};
use super::survey::Seen;
use crate::catalog::{FolderId, Have, Job, JobState, RootId};
use crate::sites::{Capability, is_site_fault};

/// With changes in more folders than this, a root is scanned: that costs less.
pub(super) const FOLDERS: usize = 1000;
/// Known files that are planned anew at once: a folder may have thousands.
const PLANNED: usize = 10_000;
/// Pages of a feed at once: what has more has no end.
const PAGES: usize = 100_000;

/// Folders in which something changed, each with the names that did.
pub(super) type Touched = BTreeMap<String, BTreeSet<String>>;

/// How far the feed of one root was followed in a run. The catalog is told once nothing is left.
#[derive(Debug, Default)]
pub(super) struct Following {
    cursor: String,
    /// Folders that are to be looked at again, with the names in them of which nothing is known.
    again: Touched,
    /// Changes of files that are being written: most likely by us.
    waiting: Vec<Change>,
    /// Not all that was named could be looked at, nor noted: the next scan begins the feed anew.
    lost: bool,
}

impl Following {
    fn is_settled(&self) -> bool {
        self.again.is_empty() && self.waiting.is_empty() && !self.lost
    }

    /// Folders that are to be looked at again, with the names in them of which nothing is known.
    pub(super) fn again(self) -> Touched {
        self.again
    }

    /// Adds what is left of another look.
    fn add(&mut self, left: Following) {
        for (folder, names) in left.again {
            self.again.entry(folder).or_default().extend(names);
        }
        self.waiting.extend(left.waiting);
        self.lost |= left.lost;
    }

    fn add_again(&mut self, folders: BTreeSet<String>) {
        for folder in folders {
            self.again.entry(folder).or_default();
        }
    }

    /// Adds a folder that could not be listed: nothing is known of what lies beneath.
    fn add_failed(&mut self, folder: &str) {
        if folder.is_empty() {
            self.lost = true;
            return;
        }
        let (parent, name) = folder.rsplit_once('/').unwrap_or(("", folder));
        self.again.entry(parent.to_owned()).or_default().insert(name.to_owned());
    }
}

impl From<Seen> for Following {
    fn from(seen: Seen) -> Self {
        let mut left = Following { lost: !seen.whole, ..Following::default() };
        left.add_again(seen.again);
        left
    }
}

impl Run {
    /// Plans what changed in the roots of a side since the last time. A root that was never scanned
    /// to its end is scanned first, if `scan` says so.
    pub(super) async fn follow(
        &self,
        roots: &[Arc<RootPair>],
        side: Side,
        scan: bool,
        look: &Look,
    ) -> Result<(), End> {
        // Roots that were followed to the same place share the request.
        let mut feeds: BTreeMap<String, Vec<Arc<RootPair>>> = BTreeMap::new();
        for root in roots {
            match self.place(root, side)? {
                Some(cursor) => feeds.entry(cursor).or_default().push(root.clone()),
                None if scan => self.begin_feed(root, side, look).await?,
                None => {}
            }
        }
        for (cursor, roots) in feeds {
            match self.catch_up(&roots, side, cursor, look).await {
                Ok(()) => {}
                Err(Lost::End(end)) => return Err(end),
                Err(Lost::Place(error)) => {
                    tracing::info!(%error, "a change feed lost its place: scanning");
                    for root in &roots {
                        self.following().remove(&(root.id, side));
                        self.put_cursor(root, side, None).await?;
                        self.begin_feed(root, side, look).await?;
                    }
                    continue;
                }
            }
            if scan {
                for root in &roots {
                    self.replan(root, side, look).await?;
                }
            }
        }
        Ok(())
    }

    /// Looks once more at what was left for later: at the end of a single run.
    pub(super) async fn follow_up(&self) -> Result<(), End> {
        for side in Side::BOTH {
            for root in self.pair.roots() {
                if self.following().contains_key(&(root.id, side)) {
                    let look = self.engine.recorded.look(self.pair.site(side));
                    self.look_again(&root, side, &look).await?;
                    self.let_go().await?;
                }
            }
        }
        Ok(())
    }

    fn following(&self) -> MutexGuard<'_, HashMap<(RootId, Side), Following>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the feed of a root goes on; `None` if it is to begin anew.
    fn place(&self, root: &RootPair, side: Side) -> Result<Option<String>, End> {
        if let Some(following) = self.following().get(&(root.id, side)) {
            return Ok((!following.lost).then(|| following.cursor.clone()));
        }
        let site = self.pair.site(side);
        Ok(self.engine.catalog.read(|view| view.cursor(root.id, site))?)
    }

    /// Scans a root, and goes on from where its feed stood before.
    async fn begin_feed(&self, root: &Arc<RootPair>, side: Side, look: &Look) -> Result<(), End> {
        let end = root.end(side);
        let cursor = match end.changes(&[&end.root], None).await {
            Ok(page) => page.next.0,
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                end.cannot(Capability::Feed);
                self.survey(root, side, look).await?;
                return Ok(());
            }
            Err(error) => return Err(self.fault(side, &error)),
        };
        let seen = self.survey(root, side, look).await?;
        if seen.whole {
            self.believe(root, side).await?;
            let following = Following { cursor, ..seen.into() };
            self.following().insert((root.id, side), following);
            self.keep_place(root, side).await?;
        }
        Ok(())
    }

    /// Reads a feed to its end.
    async fn catch_up(
        &self,
        roots: &[Arc<RootPair>],
        side: Side,
        cursor: String,
        look: &Look,
    ) -> Result<(), Lost> {
        let Some(end) = roots.first().map(|root| root.end(side)) else { return Ok(()) };
        let names: Vec<&str> = roots.iter().map(|root| &*root.end(side).root).collect();
        for root in roots {
            self.look_again(root, side, look).await?;
        }
        let mut since = cursor;
        for _ in 0..PAGES {
            let page = end.changes(&names, Some(Cursor(since.clone()))).await;
            let page = page.map_err(|error| match error.kind() {
                kind if is_site_fault(kind) => Lost::End(self.fault(side, &error)),
                _ => Lost::Place(error),
            })?;
            let moved = page.next.0 != since;
            since = page.next.0;
            for root in roots {
                let here = |change: &&Change| change.root == root.end(side).root;
                let changed: Vec<Change> = page.changed.iter().filter(here).cloned().collect();
                let left = self.look_at(root, side, changed, look).await?;
                if moved || !left.is_settled() {
                    self.note(root, side, left, Some(&since));
                    self.keep_place(root, side).await?;
                }
            }
            if !page.more {
                return Ok(());
            }
        }
        let endless = Error::new(ErrorKind::Unexpected, "the change feed has no end");
        Err(Lost::End(self.fault(side, &end.named(endless))))
    }

    /// Looks again at what was left, which may be settled by now.
    async fn look_again(&self, root: &Arc<RootPair>, side: Side, look: &Look) -> Result<(), End> {
        let (again, waiting) = match self.following().get_mut(&(root.id, side)) {
            Some(left) => (std::mem::take(&mut left.again), std::mem::take(&mut left.waiting)),
            None => return Ok(()),
        };
        let mut left = self.look_at(root, side, waiting, look).await?;
        left.add(self.look(root, side, again, look).await?);
        self.note(root, side, left, None);
        self.keep_place(root, side).await
    }

    /// Notes what is left of a root, and where its feed goes on.
    fn note(&self, root: &RootPair, side: Side, left: Following, cursor: Option<&str>) {
        let mut following = self.following();
        let of_root = following.entry((root.id, side)).or_default();
        of_root.add(left);
        if let Some(cursor) = cursor {
            cursor.clone_into(&mut of_root.cursor);
        }
    }

    /// Tells the catalog how far a root was followed, if nothing is left of what came before.
    async fn keep_place(&self, root: &RootPair, side: Side) -> Result<(), End> {
        let cursor = {
            let following = self.following();
            let of_root = following.get(&(root.id, side));
            let settled = of_root.filter(|left| left.is_settled());
            settled.map(|left| left.cursor.clone())
        };
        match cursor {
            Some(cursor) => self.put_cursor(root, side, Some(cursor)).await,
            None => Ok(()),
        }
    }

    /// Looks at what a feed named in one root, but for what is known already. Returns what is to be
    /// looked at again.
    async fn look_at(
        &self,
        root: &Arc<RootPair>,
        side: Side,
        changed: Vec<Change>,
        look: &Look,
    ) -> Result<Following, End> {
        let site = self.pair.site(side);
        let (touched, waiting) = tokio::task::block_in_place(|| {
            self.engine.catalog.read(|view| {
                let mut touched = Touched::new();
                let mut waiting = Vec::new();
                for change in changed {
                    if change.path.split('/').any(names::is_ours) {
                        continue;
                    }
                    let (folder, name) = change.path.rsplit_once('/').unwrap_or(("", &change.path));
                    if let Some(row) = view.file(root.id, folder, name)? {
                        let same = |have: &Have| {
                            have.site == site && Some(&have.version) == change.version.as_ref()
                        };
                        if row.haves.iter().any(same) {
                            continue;
                        }
                        let working = |j: &Job| j.to == site && j.state == JobState::InProgress;
                        if row.jobs.iter().any(working) {
                            waiting.push(change);
                            continue;
                        }
                    }
                    touched.entry(folder.to_owned()).or_default().insert(name.to_owned());
                }
                Ok((touched, waiting))
            })
        })?;
        let mut left = Following { waiting, ..Following::default() };
        // A change without a name is one of the root itself.
        let everything = touched.values().any(|names| names.contains(""));
        left.add(if everything || touched.len() > FOLDERS {
            let seen = self.survey(root, side, look).await?;
            self.believe(root, side).await?;
            seen.into()
        } else {
            self.look(root, side, touched, look).await?
        });
        Ok(left)
    }

    /// Lists the folders in which something changed, and plans what is found. Returns what is to
    /// be looked at again.
    pub(super) async fn look(
        &self,
        root: &Arc<RootPair>,
        side: Side,
        touched: Touched,
        at: &Look,
    ) -> Result<Following, End> {
        let mut left = Following::default();
        if touched.is_empty() {
            return Ok(left);
        }
        let (to_plan, mut found) = mpsc::channel::<Discovered>(8);
        let progress = &self.engine.progress;
        let looking = async {
            let to_plan = to_plan;
            discover::look(&self.pair, root, side, progress, &to_plan, touched).await
        };
        let planning = async {
            let mut again = BTreeSet::new();
            while let Some(discovered) = found.recv().await {
                again.append(&mut self.plan(discovered, at, &mut Keys::default()).await?);
            }
            Ok::<_, End>(again)
        };
        let (looked, planned) = tokio::join!(looking, planning);
        left.add_again(planned?);
        let (scanned, no_folders) = looked.map_err(|error| self.fault(side, &error))?;
        scanned.failed.iter().for_each(|folder| left.add_failed(folder));
        left.lost |= scanned.blind;
        for path in no_folders {
            let known = self.engine.catalog.read(|view| view.folders_beneath(root.id, &path))?;
            if !known.is_empty() {
                let folders = known.into_iter().map(Folder::gone).collect();
                let gone = Discovered { root: root.clone(), side, folders };
                left.add_again(self.plan(gone, at, &mut Keys::default()).await?);
            }
        }
        self.believe(root, side).await?;
        Ok(left)
    }

    /// What a look at a root did not find is not named again: it must have been the root.
    pub(super) async fn believe(&self, root: &Arc<RootPair>, side: Side) -> Result<(), End> {
        root.still_there(side).await.map_err(|error| self.fault(side, &error))
    }

    /// What the feed did not name is as it was: whether there is anything to do for it may have
    /// changed all the same, with the settings or at the other end.
    async fn replan(&self, root: &Arc<RootPair>, side: Side, look: &Look) -> Result<(), End> {
        let site = self.pair.site(side);
        let mut after = FolderId(0);
        loop {
            let folders = self.engine.catalog.read(|view| {
                let page = view.folders(root.id, after, 1000)?;
                let mut folders = Vec::new();
                let mut planned = 0;
                for (id, path) in page {
                    after = id;
                    let rows = view.folder(root.id, &path)?;
                    let entry = |file: crate::catalog::FileRow| {
                        let have = file.at(site)?;
                        let seen = Metadata::file(have.size).with_version(&have.version);
                        let seen = seen.with_mtime_ns(have.mtime_ns);
                        Some(Entry::new(file.name, seen))
                    };
                    planned += rows.files.len();
                    let files = rows.files.into_iter().filter_map(entry).collect();
                    folders.push(Folder::known(path, files));
                    if planned >= PLANNED {
                        break;
                    }
                }
                Ok(folders)
            })?;
            if folders.is_empty() {
                return Ok(());
            }
            let known = Discovered { root: root.clone(), side, folders };
            self.plan(known, look, &mut Keys::default()).await?;
        }
    }

    async fn put_cursor(
        &self,
        root: &RootPair,
        side: Side,
        cursor: Option<String>,
    ) -> Result<(), End> {
        let (root, site) = (root.id, self.pair.site(side));
        let put =
            self.engine.catalog.write(move |unit| unit.put_cursor(root, site, cursor.as_deref()));
        Ok(put.await?)
    }
}

/// Why a feed could not be read on.
enum Lost {
    /// The site, or the catalog: the run ends.
    End(End),
    /// It no longer knows the cursor, or answers nonsense.
    Place(Error),
}

impl From<End> for Lost {
    fn from(end: End) -> Self {
        Lost::End(end)
    }
}
