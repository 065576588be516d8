//! Reads about representations: which there are, where they are, and the queue of them.

use rusqlite::{OptionalExtension, Row};

use super::reader::{Snapshot, Sum, count};
use super::rows::{bound, natural};
use super::tally::{ANYWHERE, Bucket};
use super::{
    Apart, Count, FileId, FileRow, FileState, ProjectId, RepresentationId, Result, RootId, SiteId,
};
use crate::publish::{Naming, NamingPattern, newest_versions};

/// Files that were published together, or found in one folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Representation {
    /// Its key.
    pub id: RepresentationId,
    /// What it is called, once per project.
    pub naming: Naming,
    /// 1 to 1001, higher first; 0 for the project's own.
    pub priority: i64,
    /// When it was published or found, by the calendar: ms since the epoch.
    pub made_at: i64,
    /// Who published it; empty if nobody said.
    pub made_by: String,
    /// Whether it was published, not just found.
    pub published: bool,
}

/// What a representation is at one site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateAt {
    /// The site.
    pub site: SiteId,
    /// The worst of its files: failed, paused, queued, in progress, not available, synced.
    pub state: FileState,
    /// Its files by state, those that are `NotAvailable` too.
    pub counts: Vec<Count>,
}

impl StateAt {
    /// How many of its files are in a state.
    #[must_use]
    pub fn files(&self, state: FileState) -> u64 {
        self.counts.iter().filter(|count| count.state == state).map(|count| count.files).sum()
    }

    fn has_work(&self) -> bool {
        let idle = |state| matches!(state, FileState::Synced | FileState::NotAvailable);
        self.counts.iter().any(|count| !idle(count.state))
    }
}

/// Worst first.
const WORST: [FileState; 6] = [
    FileState::Failed,
    FileState::Paused,
    FileState::Queued,
    FileState::InProgress,
    FileState::NotAvailable,
    FileState::Synced,
];

fn worst(states: impl Iterator<Item = FileState>) -> Option<FileState> {
    states.min_by_key(|state| WORST.iter().position(|known| known == state))
}

/// One line of the Sync Queue by representation. Files count once for each site in `at`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepresentationRow {
    /// What it is about.
    pub representation: Representation,
    /// The worst state in `at`.
    pub state: FileState,
    /// Files that are there, or on their way.
    pub files: u64,
    /// Those of them that are `Synced`.
    pub done: u64,
    /// Bytes of `files`.
    pub bytes: u64,
    /// The site that was asked for; else those with unfinished work, or all if there are none.
    pub at: Vec<StateAt>,
}

/// Which part of the Sync Queue by representation to show.
#[derive(Debug, Clone, Default)]
pub struct RepresentationFilter {
    /// Only those with files in one of these states; empty for all with unfinished work.
    /// `NotAvailable` counts at the site that is named, and where others of its files are.
    pub states: Vec<FileState>,
    /// Only what they are at this site.
    pub site: Option<SiteId>,
    /// The project's priority: what a representation with 0 counts as.
    pub priority: i64,
    /// At most so many rows.
    pub limit: usize,
    /// Rows to leave out at the front.
    pub offset: usize,
}

impl RepresentationFilter {
    fn shows(&self, at: &StateAt) -> bool {
        if self.states.is_empty() {
            return at.has_work();
        }
        self.states.iter().any(|state| at.files(*state) > 0)
    }

    /// The buckets of unfinished work that are looked for, one bit each; `None` if more than work
    /// is, which no index can tell.
    fn work(&self, apart: &Apart) -> Option<i64> {
        let idle = [FileState::Synced, FileState::NotAvailable];
        if self.states.iter().any(|state| idle.contains(state)) {
            return None;
        }
        let paused = !apart.is_nothing() && self.states.contains(&FileState::Paused);
        let wanted = |bucket: &Bucket| {
            let state = bucket.file_state();
            let maybe = paused && state == FileState::Queued;
            self.states.is_empty() || maybe || self.states.contains(&state)
        };
        let work = Bucket::ALL.into_iter().filter(|bucket| bucket.job_state().is_some());
        Some(work.filter(wanted).fold(0, |bits, bucket| bits | 1 << bucket as u8))
    }
}

/// The columns of a representation `p`, in the order of [`read`].
macro_rules! columns {
    () => {
        "p.id, p.folder, p.product, p.version, p.name, p.priority, p.made_at, p.made_by, \
         p.published"
    };
}

fn read(row: &Row<'_>) -> rusqlite::Result<Representation> {
    Ok(Representation {
        id: row.get(0)?,
        naming: Naming {
            folder: row.get(1)?,
            product: row.get(2)?,
            version: row.get(3)?,
            name: row.get(4)?,
        },
        priority: row.get(5)?,
        made_at: row.get(6)?,
        made_by: row.get(7)?,
        published: row.get(8)?,
    })
}

impl Snapshot<'_> {
    pub(super) fn representation_of(&self, id: RepresentationId) -> Result<Option<Representation>> {
        let mut find = self.conn.prepare_cached(concat!(
            "SELECT ",
            columns!(),
            " FROM representation p WHERE p.id = ?1"
        ))?;
        Ok(find.query_row([id], read).optional()?)
    }

    pub(super) fn representation_named(
        &self,
        project: ProjectId,
        naming: &Naming,
    ) -> Result<Option<RepresentationId>> {
        let mut find = self.conn.prepare_cached(
            "SELECT id FROM representation
             WHERE project = ?1 AND folder = ?2 AND product = ?3 AND version = ?4 AND name = ?5",
        )?;
        let Naming { folder, product, version, name } = naming;
        let found = find.query_row((project, folder, product, version, name), |row| row.get(0));
        Ok(found.optional()?)
    }

    pub(super) fn representations_after(
        &self,
        project: ProjectId,
        after: RepresentationId,
        limit: usize,
    ) -> Result<Vec<Representation>> {
        let mut find = self.conn.prepare_cached(concat!(
            "SELECT ",
            columns!(),
            " FROM representation p NOT INDEXED
              WHERE p.id > ?2 AND p.project = ?1 ORDER BY p.id LIMIT ?3"
        ))?;
        let found = find.query_map((project, after, bound(limit)), read)?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }

    /// In the order of names. Reads on from the folder in which all lie that fit.
    pub(super) fn representations_fitting(
        &self,
        project: ProjectId,
        pattern: &NamingPattern,
        limit: usize,
    ) -> Result<Vec<Representation>> {
        if let Some(exact) = pattern.exact() {
            let id = self.representation_named(project, exact)?.filter(|_| limit > 0);
            let found = id.map(|id| self.representation_of(id)).transpose()?.flatten();
            return Ok(found.into_iter().collect());
        }
        let mut find = self.conn.prepare_cached(concat!(
            "SELECT ",
            columns!(),
            " FROM representation p WHERE p.project = ?1 AND p.folder >= ?2
              ORDER BY p.folder, p.product, p.version, p.name"
        ))?;
        let within = pattern.within();
        let mut rows = find.query((project, &within))?;
        let mut fitting: Vec<Representation> = Vec::new();
        // Those of one folder and product, of which `latest` are only some.
        let mut alike: Vec<Representation> = Vec::new();
        while fitting.len() < limit {
            let next = match rows.next()? {
                Some(row) => Some(read(row)?),
                None => None,
            };
            let next = next.filter(|one| one.naming.folder.starts_with(&within));
            let same = |a: &Naming, b: &Naming| a.folder == b.folder && a.product == b.product;
            let goes_on = next.as_ref().zip(alike.first());
            if !goes_on.is_some_and(|(next, first)| same(&next.naming, &first.naming)) {
                if pattern.latest() {
                    newest_versions(&mut alike, |one| &one.naming);
                }
                fitting.append(&mut alike);
            }
            let Some(next) = next else { break };
            if pattern.matches(&next.naming) {
                alike.push(next);
            }
        }
        fitting.truncate(limit);
        Ok(fitting)
    }

    pub(super) fn files_of_representation(
        &self,
        representation: RepresentationId,
        after: FileId,
        limit: usize,
    ) -> Result<Vec<(RootId, String, FileRow)>> {
        let files: Vec<FileId> = {
            let mut find = self.conn.prepare_cached(
                "SELECT id FROM file INDEXED BY file_of_representation
                 WHERE representation = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
            )?;
            let found = find.query_map((representation, after, bound(limit)), |row| row.get(0))?;
            found.collect::<rusqlite::Result<_>>()?
        };
        self.all_located(files)
    }

    /// What it is at each site at which it is anything, and at `of` in any case.
    pub(super) fn states(
        &self,
        representation: RepresentationId,
        of: Option<SiteId>,
        apart: &Apart,
    ) -> Result<Vec<StateAt>> {
        let mut sums: Vec<Sum> = Vec::new();
        let (mut files, mut bytes) = (0, 0);
        let mut add = |site, bucket, of_files, of_bytes| {
            if site == ANYWHERE {
                files += of_files;
                bytes += of_bytes;
            } else {
                count(&mut sums, site, bucket, of_files, of_bytes);
            }
        };
        let mut stored = self.conn.prepare_cached(
            "SELECT site, bucket, files, bytes FROM representation_counter
             WHERE representation = ?1",
        )?;
        let mut rows = stored.query([representation])?;
        while let Some(row) = rows.next()? {
            add(row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        }
        let pending = self.pending.iter().flatten();
        for (site, bucket, change) in pending.flat_map(|tally| tally.changes_of(representation)) {
            add(site, bucket, change.files, change.bytes);
        }
        self.pause_reached_of(representation, apart, &mut sums)?;
        sums.retain(|sum| sum.files > 0);
        let mut sites: Vec<SiteId> = sums.iter().map(|sum| sum.site).chain(of).collect();
        sites.sort_unstable();
        sites.dedup();
        Ok(sites.into_iter().map(|site| state_at(site, &sums, (files, bytes))).collect())
    }

    pub(super) fn queue_of_representations(
        &self,
        project: ProjectId,
        filter: &RepresentationFilter,
    ) -> Result<Vec<RepresentationRow>> {
        let end = filter.offset.saturating_add(filter.limit);
        let ranked = |priority| if priority == 0 { filter.priority } else { priority };
        let mut priorities = self.priorities(project)?;
        priorities.sort_by_key(|priority| std::cmp::Reverse(ranked(*priority)));
        let mut rows = Vec::new();
        for alike in priorities.chunk_by(|a, b| ranked(*a) == ranked(*b)) {
            let left = end - rows.len();
            if left == 0 {
                break;
            }
            let mut next = Vec::new();
            for priority in alike {
                self.queued_of_priority(project, *priority, filter, left, &mut next)?;
            }
            next.sort_by_key(|row| (row.representation.made_at, row.representation.id));
            next.truncate(left);
            rows.append(&mut next);
        }
        rows.drain(..filter.offset.min(rows.len()));
        Ok(rows)
    }

    /// The priorities in use. There are few at a time.
    fn priorities(&self, project: ProjectId) -> Result<Vec<i64>> {
        let mut lower = self.conn.prepare_cached(
            "SELECT priority FROM representation INDEXED BY representation_order
             WHERE project = ?1 AND priority < ?2 ORDER BY priority DESC LIMIT 1",
        )?;
        let mut priorities = Vec::new();
        let mut last = i64::MAX;
        while let Some(next) = lower.query_row((project, last), |row| row.get(0)).optional()? {
            priorities.push(next);
            last = next;
        }
        Ok(priorities)
    }

    /// Adds the oldest of a priority, at most `limit`.
    fn queued_of_priority(
        &self,
        project: ProjectId,
        priority: i64,
        filter: &RepresentationFilter,
        limit: usize,
        rows: &mut Vec<RepresentationRow>,
    ) -> Result<()> {
        // Passes over what has no such work by a small index: where much has, the page is soon
        // full; where little has, the index is tiny. Changes yet to be written are not in it.
        let pending = self.pending.iter().any(Option::is_some);
        let apart = self.kept_apart(project)?;
        let work = filter.work(&apart).filter(|_| !pending);
        let mut find = self.conn.prepare_cached(concat!(
            "SELECT ",
            columns!(),
            " FROM representation p INDEXED BY representation_order
              WHERE p.project = ?1 AND p.priority = ?2 AND (?3 IS NULL OR EXISTS (
                  SELECT 1 FROM representation_counter c INDEXED BY representation_work
                  WHERE c.representation = p.id AND c.bucket <> 6
                    AND (?4 IS NULL OR c.site = ?4) AND (?3 >> c.bucket) & 1))
              ORDER BY p.made_at, p.id"
        ))?;
        let mut found = find.query((project, priority, work, filter.site))?;
        let mut added = 0;
        while added < limit {
            let Some(row) = found.next()? else { break };
            let mut at = self.states(row.get(0)?, filter.site, &apart)?;
            at.retain(|at| filter.site.is_none_or(|site| at.site == site));
            if at.iter().any(|at| filter.shows(at)) {
                rows.push(queue_row(read(row)?, at));
                added += 1;
            }
        }
        Ok(())
    }
}

fn state_at(site: SiteId, sums: &[Sum], (files, bytes): (i64, i64)) -> StateAt {
    let here = || sums.iter().filter(|sum| sum.site == site);
    let mut counts: Vec<Count> = here().map(Sum::counted).collect();
    let missing = files - here().map(|sum| sum.files).sum::<i64>();
    if missing > 0 {
        counts.push(Count {
            site,
            state: FileState::NotAvailable,
            conflicts: 0,
            files: natural(missing),
            bytes: natural(bytes - here().map(|sum| sum.bytes).sum::<i64>()),
        });
    }
    counts.sort_by_key(|count| FileState::ALL.iter().position(|state| *state == count.state));
    let state = worst(counts.iter().map(|count| count.state));
    StateAt { site, state: state.unwrap_or(FileState::NotAvailable), counts }
}

fn queue_row(representation: Representation, mut at: Vec<StateAt>) -> RepresentationRow {
    if at.iter().any(StateAt::has_work) {
        at.retain(StateAt::has_work);
    }
    let there = |count: &&Count| count.state != FileState::NotAvailable;
    let counts = || at.iter().flat_map(|at| &at.counts).filter(there);
    RepresentationRow {
        representation,
        state: worst(at.iter().map(|at| at.state)).unwrap_or(FileState::NotAvailable),
        files: counts().map(|count| count.files).sum(),
        done: at.iter().map(|at| at.files(FileState::Synced)).sum(),
        bytes: counts().map(|count| count.bytes).sum(),
        at,
    }
}
