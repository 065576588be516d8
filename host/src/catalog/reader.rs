//! Reads: [`View`] over one connection, inside a transaction that the caller opened.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::{Connection, OptionalExtension, Row};

use super::rows::{self, bound, have_columns, job_columns, natural, stored};
use super::tally::{Bucket, Tally};
use super::{
    Apart, Count, FileId, FileRow, FileState, FolderId, FolderRows, Generation, Hold, HoldKind,
    Job, JobState, Millis, Pause, ProjectId, QueueFilter, QueueRow, Representation,
    RepresentationFilter, RepresentationId, RepresentationRow, Result, RootId, SiteId, StateAt,
    View,
};
use crate::publish::{Naming, NamingPattern};

/// What one connection sees, with the counter changes that its transaction has yet to write.
#[derive(Debug)]
pub(super) struct Snapshot<'c> {
    pub(super) conn: &'c Connection,
    pub(super) pending: [Option<&'c Tally>; 2],
}

impl<'c> Snapshot<'c> {
    pub(super) fn new(conn: &'c Connection) -> Self {
        Self { conn, pending: [None, None] }
    }

    fn id(&self, sql: &str, params: impl rusqlite::Params) -> Result<Option<i64>> {
        let mut find = self.conn.prepare_cached(sql)?;
        Ok(find.query_row(params, |row| row.get(0)).optional()?)
    }

    /// The directions in which a project has work, to and from, in order: there are few.
    pub(super) fn directions(&self, project: ProjectId) -> Result<Vec<(SiteId, SiteId)>> {
        // Searched, one by one: of a comparison of both at once only the first half would be.
        let mut from_next = self.conn.prepare_cached(
            "SELECT to_site, from_site FROM job INDEXED BY job_order
             WHERE project = ?1 AND to_site = ?2 AND from_site > ?3 ORDER BY from_site LIMIT 1",
        )?;
        let mut to_next = self.conn.prepare_cached(
            "SELECT to_site, from_site FROM job INDEXED BY job_order
             WHERE project = ?1 AND to_site > ?2 ORDER BY to_site, from_site LIMIT 1",
        )?;
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let mut directions: Vec<(SiteId, SiteId)> = Vec::new();
        loop {
            let (to, from) = directions.last().copied().unwrap_or((SiteId(0), SiteId(0)));
            let next = match from_next.query_row((project, to, from), read).optional()? {
                None => to_next.query_row((project, to), read).optional()?,
                next => next,
            };
            let Some(next) = next else { break };
            directions.push(next);
        }
        Ok(directions)
    }

    /// Hands each kept counter of a project to `each`, with changes that are yet to be written.
    pub(super) fn each_counter(
        &self,
        project: ProjectId,
        mut each: impl FnMut(SiteId, Bucket, i64, i64),
    ) -> Result<()> {
        let mut sums = self.conn.prepare_cached(
            "SELECT r.id, c.site, c.bucket, c.files, c.bytes
             FROM root r CROSS JOIN counter c ON c.root = r.id WHERE r.project = ?1",
        )?;
        let mut found = sums.query([project])?;
        while let Some(row) = found.next()? {
            each(row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
        }
        let mut roots = self.conn.prepare_cached("SELECT id FROM root WHERE project = ?1")?;
        let roots: Vec<RootId> =
            roots.query_map([project], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        let pending = self.pending.iter().flatten();
        for (root, site, bucket, change) in pending.flat_map(|tally| tally.changes()) {
            if roots.contains(&root) {
                each(site, bucket, change.files, change.bytes);
            }
        }
        Ok(())
    }

    fn jobs_of(&self, folder: FolderId, files: &mut [FileRow]) -> Result<()> {
        let mut find = self.conn.prepare_cached(concat!(
            "SELECT j.file, ",
            job_columns!(),
            " FROM file f CROSS JOIN job j ON j.file = f.id WHERE f.folder = ?1"
        ))?;
        let mut found = find.query([folder])?;
        // Both queries walk the folder in the same order, so the file is mostly right ahead.
        let mut next = 0;
        while let Some(row) = found.next()? {
            let id = row.get(0)?;
            let ahead = files[next..].iter().position(|file| file.id == id);
            let at = ahead.map(|skip| next + skip);
            let Some(at) = at.or_else(|| files.iter().position(|file| file.id == id)) else {
                continue;
            };
            files[at].jobs.push(rows::job(row, 1)?);
            next = at;
        }
        Ok(())
    }

    /// What is wanted of files that are in hand: their own wants, else their representation's. Reads
    /// no other file's: a representation may have one of each of its files.
    fn wants_of(&self, files: &mut [FileRow]) -> Result<()> {
        if self.id("SELECT 1 FROM want LIMIT 1", ())?.is_none() {
            return Ok(());
        }
        let mut find = self.conn.prepare_cached(
            "SELECT site, wanted FROM want WHERE representation = ?1 AND file = ?2 ORDER BY site",
        )?;
        let mut of = |representation: RepresentationId, file: FileId| -> Result<Vec<_>> {
            let found =
                find.query_map((representation, file), |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(found.collect::<rusqlite::Result<_>>()?)
        };
        // Of each representation: what is wanted of it, and whether files of it have wants.
        let mut known: HashMap<RepresentationId, (Vec<(SiteId, bool)>, bool)> = HashMap::new();
        for file in files {
            let (whole, by_file) = match known.entry(file.representation) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let any = "SELECT 1 FROM want WHERE representation = ?1 AND file > 0 LIMIT 1";
                    let by_file = self.id(any, [file.representation])?.is_some();
                    new.insert((of(file.representation, FileId(0))?, by_file))
                }
            };
            if *by_file {
                file.wants = of(file.representation, file.id)?;
            }
            for (site, wanted) in whole.iter() {
                if !file.wants.iter().any(|(own, _)| own == site) {
                    file.wants.push((*site, *wanted));
                }
            }
        }
        Ok(())
    }

    /// Completes the one file that was read with its haves.
    fn jobs_and_wants(&self, mut files: Vec<FileRow>) -> Result<Option<FileRow>> {
        let Some(file) = files.first_mut() else {
            return Ok(None);
        };
        let mut jobs = self.conn.prepare_cached(concat!(
            "SELECT ",
            job_columns!(),
            " FROM job j WHERE j.file = ?1"
        ))?;
        let found = jobs.query_map([file.id], |row| rows::job(row, 0))?;
        file.jobs = found.collect::<rusqlite::Result<_>>()?;
        self.wants_of(&mut files)?;
        Ok(files.pop())
    }

    /// A file with its root and its folder's path.
    fn located(&self, file: FileId) -> Result<Option<(RootId, String, FileRow)>> {
        let mut place = self.conn.prepare_cached(
            "SELECT d.root, d.path FROM file f CROSS JOIN folder d ON d.id = f.folder
             WHERE f.id = ?1",
        )?;
        let place = place.query_row([file], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let Some((root, folder)) = place else {
            return Ok(None);
        };
        let mut files = Vec::with_capacity(1);
        let mut find = self.conn.prepare_cached(concat!(
            "SELECT f.id, f.name, f.generation, f.size, f.representation, h.site, ",
            have_columns!("h"),
            " FROM file f LEFT JOIN have h ON h.file = f.id WHERE f.id = ?1"
        ))?;
        let mut found = find.query([file])?;
        while let Some(row) = found.next()? {
            collect(row, root, &mut files)?;
        }
        Ok(self.jobs_and_wants(files)?.map(|row| (root, folder, row)))
    }

    pub(super) fn all_located(&self, files: Vec<FileId>) -> Result<Vec<(RootId, String, FileRow)>> {
        files.into_iter().filter_map(|file| self.located(file).transpose()).collect()
    }

    /// Files with unfinished work of a state, by a walk over all unfinished work.
    fn files_with_work(
        &self,
        project: ProjectId,
        to: SiteId,
        state: FileState,
        after: FileId,
        limit: usize,
    ) -> Result<Vec<FileId>> {
        let apart = self.kept_apart(project)?;
        let (states, reached) = apart.buckets(to, state);
        let mut find = self.conn.prepare_cached(
            "SELECT file FROM job NOT INDEXED
             WHERE file > ?4 AND project = ?1 AND to_site = ?2
               AND ((CASE WHEN from_site IN (SELECT value FROM json_each(?7)) THEN ?6 ELSE ?3 END)
                    >> state) & 1
             ORDER BY file LIMIT ?5",
        )?;
        let found = find.query_map(
            (project, to, states, after, bound(limit), reached, apart.listed()),
            |row| row.get(0),
        )?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }

    /// Files without unfinished work whose newest content is at a site, or is not.
    fn idle_files(
        &self,
        project: ProjectId,
        site: SiteId,
        synced: bool,
        after: FileId,
        limit: usize,
    ) -> Result<Vec<FileId>> {
        let mut find = self.conn.prepare_cached(
            "SELECT f.id FROM file f NOT INDEXED
             CROSS JOIN folder d ON d.id = f.folder CROSS JOIN root r ON r.id = d.root
             LEFT JOIN have h ON h.file = f.id AND h.site = ?2
             LEFT JOIN job j ON j.file = f.id AND j.to_site = ?2
             WHERE f.id > ?4 AND r.project = ?1 AND j.file IS NULL
               AND (h.generation IS f.generation) = ?3
             ORDER BY f.id LIMIT ?5",
        )?;
        let found =
            find.query_map((project, site, synced, after, bound(limit)), |row| row.get(0))?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }
}

/// Adds a row of (file, have or nothing) to the files read so far.
fn collect(row: &Row<'_>, root: RootId, files: &mut Vec<FileRow>) -> Result<()> {
    let id = row.get(0)?;
    if files.last().is_none_or(|last| last.id != id) {
        files.push(FileRow {
            id,
            root,
            name: row.get(1)?,
            generation: row.get(2)?,
            size: natural(row.get(3)?),
            representation: row.get(4)?,
            haves: Vec::with_capacity(2),
            jobs: Vec::new(),
            wants: Vec::new(),
        });
    }
    let site: Option<SiteId> = row.get(5)?;
    if let (Some(site), Some(file)) = (site, files.last_mut()) {
        file.haves.extend(rows::have(row, 6, site)?);
    }
    Ok(())
}

impl View for Snapshot<'_> {
    fn project(&self, name: &str) -> Result<Option<ProjectId>> {
        Ok(self.id("SELECT id FROM project WHERE name = ?1", [name])?.map(ProjectId))
    }

    fn site(&self, name: &str) -> Result<Option<SiteId>> {
        Ok(self.id("SELECT id FROM site WHERE name = ?1", [name])?.map(SiteId))
    }

    fn site_names(&self) -> Result<Vec<(SiteId, String)>> {
        let mut all = self.conn.prepare_cached("SELECT id, name FROM site ORDER BY id")?;
        let found = all.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }

    fn root(&self, project: ProjectId, name: &str) -> Result<Option<RootId>> {
        let sql = "SELECT id FROM root WHERE project = ?1 AND name = ?2";
        Ok(self.id(sql, (project, name))?.map(RootId))
    }

    fn root_identity(&self, root: RootId, site: SiteId) -> Result<Option<String>> {
        let mut find = self
            .conn
            .prepare_cached("SELECT identity FROM root_at WHERE root = ?1 AND site = ?2")?;
        Ok(find.query_row((root, site), |row| row.get(0)).optional()?)
    }

    fn cursor(&self, root: RootId, site: SiteId) -> Result<Option<String>> {
        let mut find =
            self.conn.prepare_cached("SELECT cursor FROM root_at WHERE root = ?1 AND site = ?2")?;
        Ok(find.query_row((root, site), |row| row.get(0)).optional()?.flatten())
    }

    fn is_scanned(&self, root: RootId, site: SiteId) -> Result<bool> {
        let mut find = self
            .conn
            .prepare_cached("SELECT scanned FROM root_at WHERE root = ?1 AND site = ?2")?;
        Ok(find.query_row((root, site), |row| row.get(0)).optional()?.unwrap_or(false))
    }

    fn folder(&self, root: RootId, path: &str) -> Result<FolderRows> {
        let sql = "SELECT id FROM folder WHERE root = ?1 AND path = ?2";
        let Some(id) = self.id(sql, (root, path))?.map(FolderId) else {
            return Ok(FolderRows::default());
        };
        let mut files = Vec::new();
        let mut find = self.conn.prepare_cached(concat!(
            "SELECT f.id, f.name, f.generation, f.size, f.representation, h.site, ",
            have_columns!("h"),
            " FROM file f LEFT JOIN have h ON h.file = f.id WHERE f.folder = ?1"
        ))?;
        let mut found = find.query([id])?;
        while let Some(row) = found.next()? {
            collect(row, root, &mut files)?;
        }
        self.jobs_of(id, &mut files)?;
        self.wants_of(&mut files)?;
        Ok(FolderRows { id: Some(id), files })
    }

    fn file(&self, root: RootId, folder: &str, name: &str) -> Result<Option<FileRow>> {
        let mut files = Vec::with_capacity(1);
        let mut find = self.conn.prepare_cached(concat!(
            "SELECT f.id, f.name, f.generation, f.size, f.representation, h.site, ",
            have_columns!("h"),
            " FROM folder d CROSS JOIN file f ON f.folder = d.id AND f.name = ?3
              LEFT JOIN have h ON h.file = f.id WHERE d.root = ?1 AND d.path = ?2"
        ))?;
        let mut found = find.query((root, folder, name))?;
        while let Some(row) = found.next()? {
            collect(row, root, &mut files)?;
        }
        self.jobs_and_wants(files)
    }

    fn folders(
        &self,
        root: RootId,
        after: FolderId,
        limit: usize,
    ) -> Result<Vec<(FolderId, String)>> {
        let mut find = self.conn.prepare_cached(
            "SELECT id, path FROM folder INDEXED BY folder_of_root
             WHERE root = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
        )?;
        let found =
            find.query_map((root, after, bound(limit)), |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }

    fn folders_beneath(&self, root: RootId, path: &str) -> Result<Vec<String>> {
        // '0' follows '/'.
        let mut find = self.conn.prepare_cached(
            "SELECT path FROM folder WHERE root = ?1 AND path = ?2
             UNION ALL
             SELECT path FROM folder WHERE root = ?1 AND path > ?2 || '/' AND path < ?2 || '0'",
        )?;
        let found = find.query_map((root, path), |row| row.get(0))?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }

    fn generation(&self, file: FileId) -> Result<Option<Generation>> {
        self.id("SELECT generation FROM file WHERE id = ?1", [file])
    }

    fn in_progress(&self, project: ProjectId, to: SiteId, from: SiteId) -> Result<u64> {
        let sql = "SELECT count(*) FROM job INDEXED BY job_order
             WHERE project = ?1 AND to_site = ?2 AND from_site = ?3 AND state = ?4";
        let files = self.id(sql, (project, to, from, Bucket::InProgress))?;
        Ok(natural(files.unwrap_or(0)))
    }

    fn tokens(&self, project: ProjectId, to: SiteId) -> Result<Vec<Vec<u8>>> {
        let mut find = self.conn.prepare_cached(
            "SELECT token FROM job WHERE project = ?1 AND to_site = ?2 AND token IS NOT NULL",
        )?;
        let tokens = find.query_map((project, to), |row| row.get(0))?;
        Ok(tokens.collect::<rusqlite::Result<_>>()?)
    }

    fn ready(&self, project: ProjectId, to: SiteId, from: SiteId) -> Result<bool> {
        let sql = "SELECT 1 FROM job INDEXED BY job_order
             WHERE project = ?1 AND to_site = ?2 AND from_site = ?3 AND state = ?4 LIMIT 1";
        Ok(self.id(sql, (project, to, from, Bucket::Ready))?.is_some())
    }

    fn ready_before(&self, project: ProjectId, file: FileId, job: &Job, limit: u64) -> Result<u64> {
        // Ranges of the index, each of which is searched.
        let sql = "SELECT count(*) FROM (
                SELECT 1 FROM job INDEXED BY job_order
                WHERE project = ?1 AND to_site = ?2 AND from_site = ?3 AND state = 0
                  AND priority > ?4
                UNION ALL
                SELECT 1 FROM job INDEXED BY job_order
                WHERE project = ?1 AND to_site = ?2 AND from_site = ?3 AND state = 0
                  AND priority = ?4 AND queued_at < ?5
                UNION ALL
                SELECT 1 FROM job INDEXED BY job_order
                WHERE project = ?1 AND to_site = ?2 AND from_site = ?3 AND state = 0
                  AND priority = ?4 AND queued_at = ?5 AND file < ?6
                LIMIT ?7)";
        let place = (project, job.to, job.from, job.priority, job.queued_at, file, stored(limit));
        let count: i64 = self.conn.prepare_cached(sql)?.query_row(place, |row| row.get(0))?;
        Ok(natural(count))
    }

    fn next_waiting(&self, project: ProjectId, to: SiteId, from: SiteId) -> Result<Option<Millis>> {
        self.id(
            "SELECT not_before FROM job INDEXED BY job_waiting
             WHERE project = ?1 AND to_site = ?2 AND from_site = ?3 AND state = 1
             ORDER BY not_before LIMIT 1",
            (project, to, from),
        )
    }

    fn counts_apart(&self, project: ProjectId, apart: &Apart) -> Result<Vec<Count>> {
        let mut counts = Vec::new();
        self.each_counter(project, |site, bucket, files, bytes| {
            count(&mut counts, site, bucket, files, bytes);
        })?;
        self.pause_reached(project, apart, &mut counts)?;
        let mut counts: Vec<Count> = counts.iter().map(Sum::counted).collect();
        counts.retain(|count| count.files > 0);
        let shown = |state| FileState::ALL.iter().position(|s| *s == state);
        counts.sort_by_key(|count| (count.site, shown(count.state)));
        Ok(counts)
    }

    fn queue(&self, project: ProjectId, filter: &QueueFilter) -> Result<Vec<QueueRow>> {
        let end = filter.offset.saturating_add(filter.limit);
        let apart = self.kept_apart(project)?;
        let wanted = |state| filter.states.is_empty() || filter.states.contains(&state);
        let mut places = Vec::new();
        let mut first = self.conn.prepare_cached(
            "SELECT priority, queued_at, file FROM job INDEXED BY job_order
             WHERE project = ?1 AND to_site = ?2 AND from_site = ?3 AND state = ?4
             ORDER BY priority DESC, queued_at, file LIMIT ?5",
        )?;
        // The index is ordered within a (direction, state): the first of each, merged.
        for (to, from) in self.directions(project)? {
            for bucket in Bucket::ALL {
                let Some(state) = bucket.job_state() else { continue };
                if !wanted(apart.state_of((to, from), state)) {
                    continue;
                }
                let later = state != JobState::InProgress;
                let mut found = first.query((project, to, from, bucket, bound(end)))?;
                while let Some(row) = found.next()? {
                    let priority: i64 = row.get(0)?;
                    let queued_at: Millis = row.get(1)?;
                    let file: i64 = row.get(2)?;
                    places.push((later, -priority, queued_at, file, to));
                }
            }
        }
        places.sort_unstable();
        let mut find = self.conn.prepare_cached(concat!(
            "SELECT ",
            job_columns!(),
            ", f.id, r.name, d.path, f.name, f.size
              FROM job j CROSS JOIN file f ON f.id = j.file
              CROSS JOIN folder d ON d.id = f.folder CROSS JOIN root r ON r.id = d.root
              WHERE j.file = ?1 AND j.to_site = ?2"
        ))?;
        let page = places.into_iter().skip(filter.offset).take(filter.limit);
        page.map(|(.., file, to)| {
            let row = find.query_row((file, to), queue_row)?;
            let shown = apart.state(&row.job);
            Ok(QueueRow { shown, ..row })
        })
        .collect()
    }

    fn last_time(&self) -> Result<Millis> {
        Ok(self.id("SELECT value FROM meta WHERE key = 'last_time'", ())?.unwrap_or(0))
    }

    fn representation(&self, id: RepresentationId) -> Result<Option<Representation>> {
        self.representation_of(id)
    }

    fn find_representation(
        &self,
        project: ProjectId,
        naming: &Naming,
    ) -> Result<Option<RepresentationId>> {
        self.representation_named(project, naming)
    }

    fn representations(
        &self,
        project: ProjectId,
        after: RepresentationId,
        limit: usize,
    ) -> Result<Vec<Representation>> {
        self.representations_after(project, after, limit)
    }

    fn representations_like(
        &self,
        project: ProjectId,
        pattern: &NamingPattern,
        limit: usize,
    ) -> Result<Vec<Representation>> {
        self.representations_fitting(project, pattern, limit)
    }

    fn files_of(
        &self,
        representation: RepresentationId,
        after: FileId,
        limit: usize,
    ) -> Result<Vec<(RootId, String, FileRow)>> {
        self.files_of_representation(representation, after, limit)
    }

    fn state_of(&self, representation: RepresentationId) -> Result<Vec<StateAt>> {
        let project =
            self.id("SELECT project FROM representation WHERE id = ?1", [representation])?;
        let apart = match project {
            Some(project) => self.kept_apart(ProjectId(project))?,
            None => Apart::default(),
        };
        self.states(representation, None, &apart)
    }

    fn representation_queue(
        &self,
        project: ProjectId,
        filter: &RepresentationFilter,
    ) -> Result<Vec<RepresentationRow>> {
        self.queue_of_representations(project, filter)
    }

    fn files_in_state(
        &self,
        project: ProjectId,
        site: SiteId,
        state: FileState,
        after: FileId,
        limit: usize,
    ) -> Result<Vec<(RootId, String, FileRow)>> {
        let files = match state {
            FileState::Synced => self.idle_files(project, site, true, after, limit)?,
            FileState::NotAvailable => self.idle_files(project, site, false, after, limit)?,
            work => self.files_with_work(project, site, work, after, limit)?,
        };
        self.all_located(files)
    }

    fn apart(&self, project: ProjectId) -> Result<Apart> {
        self.kept_apart(project)
    }

    fn pauses(&self) -> Result<Vec<Pause>> {
        self.all_pauses()
    }

    fn holds(&self, project: ProjectId) -> Result<Vec<Hold>> {
        self.holds_of(project)
    }

    fn guarded(&self, project: ProjectId) -> Result<Vec<Hold>> {
        self.guarded_of(project)
    }

    fn guarded_files(
        &self,
        project: ProjectId,
        guard: (HoldKind, SiteId),
        limit: usize,
    ) -> Result<Vec<FileId>> {
        self.guarded_by(project, guard, limit)
    }

    fn file_by_id(&self, file: FileId) -> Result<Option<FileRow>> {
        let located = self.all_located(vec![file])?;
        Ok(located.into_iter().next().map(|(_, _, row)| row))
    }
}

fn queue_row(row: &Row<'_>) -> rusqlite::Result<QueueRow> {
    let at = rows::JOB_COLUMNS;
    let folder = row.get_ref(at + 2)?.as_str()?;
    let name = row.get_ref(at + 3)?.as_str()?;
    Ok(QueueRow {
        file: row.get(at)?,
        root: row.get(at + 1)?,
        path: if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") },
        size: natural(row.get(at + 4)?),
        shown: JobState::Ready,
        job: rows::job(row, 0)?,
    })
}

/// A [`Count`] while it is being summed up: changes still to be written may be negative.
pub(super) struct Sum {
    pub(super) site: SiteId,
    state: FileState,
    conflicts: i64,
    pub(super) files: i64,
    pub(super) bytes: i64,
}

impl Sum {
    pub(super) fn counted(&self) -> Count {
        Count {
            site: self.site,
            state: self.state,
            conflicts: natural(self.conflicts),
            files: natural(self.files),
            bytes: natural(self.bytes),
        }
    }
}

fn sum_of(sums: &mut Vec<Sum>, site: SiteId, state: FileState) -> &mut Sum {
    let known = sums.iter().position(|sum| sum.site == site && sum.state == state);
    let at = known.unwrap_or_else(|| {
        sums.push(Sum { site, state, conflicts: 0, files: 0, bytes: 0 });
        sums.len() - 1
    });
    &mut sums[at]
}

/// So many of the files that are queued to a site, and their bytes, count as paused; `None` for all.
pub(super) fn pause_queued(sums: &mut Vec<Sum>, site: SiteId, some: Option<(i64, i64)>) {
    let queued = sum_of(sums, site, FileState::Queued);
    let (files, bytes) = some.unwrap_or((queued.files, queued.bytes));
    (queued.files, queued.bytes) = (queued.files - files, queued.bytes - bytes);
    let paused = sum_of(sums, site, FileState::Paused);
    (paused.files, paused.bytes) = (paused.files + files, paused.bytes + bytes);
}

pub(super) fn count(sums: &mut Vec<Sum>, site: SiteId, bucket: Bucket, files: i64, bytes: i64) {
    let sum = sum_of(sums, site, bucket.file_state());
    sum.files += files;
    sum.bytes += bytes;
    if bucket == Bucket::Conflict {
        sum.conflicts += files;
    }
}
