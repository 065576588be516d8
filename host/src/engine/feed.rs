//! Following a change feed: where one names every change, it replaces scans.
//!
//! The cursor is taken before the scan that it continues, and stored only once everything before
//! it has been planned: whatever happens in between is named once more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sitesync_provider::{Change, Cursor, Entry, Error, ErrorKind, Metadata};
use tokio::sync::mpsc;

use super::discover::{self, Discovered, Folder};
use super::names;
use super::pair::{RootPair, Side};
use super::plan::Keys;
use super::run::{End, Run};
use crate::catalog::{FolderId, GONE, Have, JobState};
use crate::sites::{Capability, is_site_fault};

/// With changes in more folders than this, a root is scanned: that costs less.
const FOLDERS: usize = 1000;
/// Pages of a feed at once: what has more has no end.
const PAGES: usize = 100_000;

impl Run {
    /// Plans what changed in the roots of a side since the last time. A root that was never scanned
    /// to its end is scanned first, if `scan` says so.
    pub(super) async fn follow(
        &self,
        roots: &[Arc<RootPair>],
        side: Side,
        scan: bool,
    ) -> Result<(), End> {
        let site = self.pair.site(side);
        // Roots that were followed to the same place share the request.
        let mut feeds: BTreeMap<String, Vec<Arc<RootPair>>> = BTreeMap::new();
        for root in roots {
            match self.engine.catalog.read(|view| view.cursor(root.id, site))? {
                Some(cursor) => feeds.entry(cursor).or_default().push(root.clone()),
                None if scan => self.begin_feed(root, side).await?,
                None => {}
            }
        }
        for (cursor, roots) in feeds {
            match self.catch_up(&roots, side, cursor).await {
                Ok(()) => {}
                Err(Lost::End(end)) => return Err(end),
                Err(Lost::Place(error)) => {
                    tracing::info!(%error, "a change feed lost its place: scanning");
                    for root in &roots {
                        self.put_cursor(root, side, None).await?;
                        self.begin_feed(root, side).await?;
                    }
                    continue;
                }
            }
            if scan {
                for root in &roots {
                    self.replan(root, side).await?;
                }
            }
        }
        Ok(())
    }

    /// Scans a root, and stores where its feed stood before.
    async fn begin_feed(&self, root: &Arc<RootPair>, side: Side) -> Result<(), End> {
        let end = root.end(side);
        let cursor = match end.changes(&[&end.root], None).await {
            Ok(page) => Some(page.next.0),
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                end.cannot(Capability::Feed);
                None
            }
            Err(error) => return Err(self.fault(side, &error)),
        };
        if self.survey(root, side).await? {
            self.believe(root, side).await?;
            self.put_cursor(root, side, cursor).await?;
        }
        Ok(())
    }

    /// Reads a feed to its end.
    async fn catch_up(
        &self,
        roots: &[Arc<RootPair>],
        side: Side,
        cursor: String,
    ) -> Result<(), Lost> {
        let Some(end) = roots.first().map(|root| root.end(side)) else { return Ok(()) };
        let names: Vec<&str> = roots.iter().map(|root| &*root.end(side).root).collect();
        let mut since = cursor;
        let mut settled = true;
        for _ in 0..PAGES {
            let page = end.changes(&names, Some(Cursor(since.clone()))).await;
            let page = page.map_err(|error| match error.kind() {
                kind if is_site_fault(kind) => Lost::End(self.fault(side, &error)),
                _ => Lost::Place(error),
            })?;
            for root in roots {
                let here = |change: &&Change| change.root == root.end(side).root;
                let changed = page.changed.iter().filter(here);
                settled &= self.look_at(root, side, changed).await?;
            }
            let moved = page.next.0 != since;
            since = page.next.0;
            // What is to be looked at again is named again.
            if settled && moved {
                for root in roots {
                    self.put_cursor(root, side, Some(since.clone())).await?;
                }
            }
            if !page.more {
                return Ok(());
            }
        }
        let endless = Error::new(ErrorKind::Unexpected, "the change feed has no end");
        Err(Lost::End(self.fault(side, &end.named(endless))))
    }

    /// Looks at what a feed named in one root, but for what is known already. False if any of it is
    /// to be looked at again.
    async fn look_at<'c>(
        &self,
        root: &Arc<RootPair>,
        side: Side,
        changed: impl Iterator<Item = &'c Change>,
    ) -> Result<bool, End> {
        let site = self.pair.site(side);
        let mut touched: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut settled = true;
        let mut everything = false;
        let view = &self.engine.catalog;
        for change in changed {
            if change.path.split('/').any(names::is_ours) {
                continue;
            }
            let (folder, name) = change.path.rsplit_once('/').unwrap_or(("", &change.path));
            everything |= name.is_empty();
            let row = view.read(|view| view.file(root.id, folder, name))?;
            if let Some(row) = &row {
                let same = |have: &Have| {
                    have.site == site && Some(&have.version) == change.version.as_ref()
                };
                if row.haves.iter().any(same) {
                    continue;
                }
                if row.jobs.iter().any(|j| j.to == site && j.state == JobState::InProgress) {
                    // Most likely our own write, which is not recorded yet.
                    settled = false;
                    continue;
                }
            }
            touched.entry(folder.to_owned()).or_default().insert(name.to_owned());
        }
        if everything || touched.len() > FOLDERS {
            return Ok(self.survey(root, side).await? && settled);
        }
        if touched.is_empty() {
            return Ok(settled);
        }
        let (to_plan, mut found) = mpsc::channel::<Discovered>(8);
        let progress = &self.engine.progress;
        let looking = async {
            let to_plan = to_plan;
            discover::look(&self.pair, root, side, progress, &to_plan, touched).await
        };
        let planning = async {
            let mut settled = true;
            while let Some(discovered) = found.recv().await {
                settled &= self.plan(discovered, &mut Keys::default()).await?;
            }
            Ok::<_, End>(settled)
        };
        let (looked, planned) = tokio::join!(looking, planning);
        settled &= planned?;
        let (scanned, no_folders) = looked.map_err(|error| self.fault(side, &error))?;
        settled &= scanned.is_whole();
        for path in no_folders {
            let known = self.engine.catalog.read(|view| view.folders_beneath(root.id, &path))?;
            if !known.is_empty() {
                let folders = known.into_iter().map(Folder::gone).collect();
                let gone = Discovered { root: root.clone(), side, folders };
                settled &= self.plan(gone, &mut Keys::default()).await?;
            }
        }
        self.believe(root, side).await?;
        Ok(settled)
    }

    /// What a look at a root did not find is not named again: it must have been the root.
    async fn believe(&self, root: &Arc<RootPair>, side: Side) -> Result<(), End> {
        root.still_there(side).await.map_err(|error| self.fault(side, &error))
    }

    /// What the feed did not name is as it was: whether there is anything to do for it may have
    /// changed all the same, with the settings or at the other end.
    async fn replan(&self, root: &Arc<RootPair>, side: Side) -> Result<(), End> {
        let site = self.pair.site(side);
        let mut after = FolderId(0);
        loop {
            let folders = self.engine.catalog.read(|view| {
                let page = view.folders(root.id, after, 1000)?;
                let mut folders = Vec::with_capacity(page.len());
                for (id, path) in page {
                    after = id;
                    let rows = view.folder(root.id, &path)?;
                    let entry = |file: crate::catalog::FileRow| {
                        let here = |have: &&Have| have.site == site && have.generation != GONE;
                        let have = file.haves.iter().find(here)?;
                        let seen = Metadata::file(have.size).with_version(&have.version);
                        Some(Entry::new(file.name, seen.with_mtime_ns(have.mtime_ns)))
                    };
                    let files = rows.files.into_iter().filter_map(entry).collect();
                    folders.push(Folder::known(path, files));
                }
                Ok(folders)
            })?;
            if folders.is_empty() {
                return Ok(());
            }
            let known = Discovered { root: root.clone(), side, folders };
            self.plan(known, &mut Keys::default()).await?;
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
