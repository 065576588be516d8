//! What a unit of work stands on: the writer's memory, and the counters kept on the way.
//!
//! Every change of a have, a job or a generation needs to know what the file counted as before.
//! Most changes come in runs about one file, so what is known of the last file is remembered
//! ([`Focus`]) and a run reads the old rows once, or never when the file is new.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension};

use super::grouping::Remembered;
use super::reader::Snapshot;
use super::tally::{Bucket, Tally};
use super::{
    Error, FileId, FolderId, Generation, ProjectId, RepresentationId, Result, RootId, SiteId,
};

/// What the writer remembers between units. All of it can be read again, except the tallies.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Counter changes of earlier units of this transaction.
    pub(super) group: Tally,
    /// Counter changes of this unit.
    pub(super) unit: Tally,
    /// Parked jobs in the whole catalog: while there are none, nobody looks for them.
    pub(super) parked: i64,
    /// The next file's key. Never given out again while this process lives, so that a key in
    /// someone's hands can't come to mean another file.
    pub(super) next_file: i64,
    /// The next representation's, likewise.
    pub(super) next_representation: i64,
    pub(super) focus: Option<Focus>,
    pub(super) folder: Option<(FolderId, RootId)>,
    pub(super) representation: Option<(RepresentationId, ProjectId)>,
    pub(super) remembered: Remembered,
    /// Representations that are paused, and where (`None`: everywhere); `None` until it was read.
    pub(super) paused: Option<HashSet<(RepresentationId, Option<SiteId>)>>,
    projects: HashMap<RootId, ProjectId>,
}

impl Memory {
    pub(super) fn load(conn: &Connection) -> Result<Self> {
        let parked = conn.query_row(
            "SELECT coalesce(sum(files), 0) FROM counter WHERE bucket = ?1",
            [Bucket::Parked],
            |row| row.get(0),
        )?;
        let last: i64 =
            conn.query_row("SELECT coalesce(max(id), 0) FROM file", (), |row| row.get(0))?;
        let next_file = last + 1;
        let sql = "SELECT coalesce(max(id), 0) FROM representation";
        let last: i64 = conn.query_row(sql, (), |row| row.get(0))?;
        Ok(Self { parked, next_file, next_representation: last + 1, ..Self::default() })
    }

    /// Forgets what may have been rolled back.
    pub(super) fn forget(&mut self) {
        self.unit.clear();
        self.focus = None;
        self.folder = None;
        self.representation = None;
        self.remembered.clear();
        self.paused = None;
        self.projects.clear();
    }
}

/// The file that was changed last.
#[derive(Debug)]
pub(super) struct Focus {
    pub(super) file: FileId,
    pub(super) facts: Facts,
    /// What is known per site.
    pub(super) slots: Vec<(SiteId, Slot)>,
    /// Sites that are not in `slots` are known to have nothing.
    pub(super) whole: bool,
}

/// What a file's counters depend on, whatever the site.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    pub(super) root: RootId,
    pub(super) representation: RepresentationId,
    pub(super) generation: Generation,
    pub(super) size: i64,
}

/// What they depend on at one site.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) have: Option<Generation>,
    pub(super) job: Option<Bucket>,
}

impl Slot {
    fn bucket(self, newest: Generation) -> Option<Bucket> {
        self.job.or_else(|| (self.have == Some(newest)).then_some(Bucket::Synced))
    }
}

/// One unit of work.
#[derive(Debug)]
pub(super) struct Work<'c> {
    pub(super) conn: &'c Connection,
    pub(super) memory: &'c mut Memory,
}

impl Work<'_> {
    pub(super) fn view(&self) -> Snapshot<'_> {
        Snapshot { conn: self.conn, pending: [Some(&self.memory.group), Some(&self.memory.unit)] }
    }

    /// What a file counts as at a site.
    pub(super) fn look(&mut self, file: FileId, site: SiteId) -> Result<(Facts, Slot)> {
        if let Some(focus) = self.memory.focus.as_ref().filter(|focus| focus.file == file) {
            let known = focus.slots.iter().find(|(of, _)| *of == site);
            match known {
                Some((_, slot)) => return Ok((focus.facts, *slot)),
                None if focus.whole => return Ok((focus.facts, Slot::default())),
                None => {}
            }
        }
        let mut find = self.conn.prepare_cached(
            "SELECT d.root, f.representation, f.generation, f.size, h.generation, j.state
             FROM file f CROSS JOIN folder d ON d.id = f.folder
             LEFT JOIN have h ON h.file = f.id AND h.site = ?2
             LEFT JOIN job j ON j.file = f.id AND j.to_site = ?2
             WHERE f.id = ?1",
        )?;
        let found = find.query_row((file, site), |row| {
            let facts = Facts {
                root: row.get(0)?,
                representation: row.get(1)?,
                generation: row.get(2)?,
                size: row.get(3)?,
            };
            Ok((facts, Slot { have: row.get(4)?, job: row.get(5)? }))
        });
        let (facts, slot) = found.optional()?.ok_or_else(|| unknown("file", file.0))?;
        self.focus_on(file, facts, false).slots.push((site, slot));
        Ok((facts, slot))
    }

    /// The focus, moved to this file if it was elsewhere.
    pub(super) fn focus_on(&mut self, file: FileId, facts: Facts, whole: bool) -> &mut Focus {
        let focus = self.memory.focus.get_or_insert_with(|| Focus {
            file,
            facts,
            slots: Vec::with_capacity(4),
            whole,
        });
        if focus.file != file {
            focus.file = file;
            focus.slots.clear();
            focus.whole = whole;
        }
        focus.facts = facts;
        focus
    }

    /// Counts a change of what a file is at a site.
    pub(super) fn count(&mut self, site: SiteId, before: (Facts, Slot), after: (Facts, Slot)) {
        let tally = &mut self.memory.unit;
        for ((facts, slot), sign) in [(before, -1), (after, 1)] {
            if let Some(bucket) = slot.bucket(facts.generation) {
                let of = (facts.root, facts.representation);
                tally.add(of, site, bucket, sign, sign * facts.size);
                if bucket == Bucket::Parked {
                    self.memory.parked += sign;
                }
            }
        }
    }

    /// Counts and remembers that a file now is `after` at a site.
    pub(super) fn settle(
        &mut self,
        file: FileId,
        site: SiteId,
        before: (Facts, Slot),
        after: Slot,
    ) {
        let (facts, _) = before;
        self.count(site, before, (facts, after));
        let focus = self.focus_on(file, facts, false);
        match focus.slots.iter_mut().find(|(of, _)| *of == site) {
            Some((_, slot)) => *slot = after,
            None => focus.slots.push((site, after)),
        }
    }

    /// All sites at which a file is anything.
    pub(super) fn slots(&self, file: FileId) -> Result<Vec<(SiteId, Slot)>> {
        let mut slots: Vec<(SiteId, Slot)> = Vec::new();
        let mut haves =
            self.conn.prepare_cached("SELECT site, generation FROM have WHERE file = ?1")?;
        let mut found = haves.query([file])?;
        while let Some(row) = found.next()? {
            slots.push((row.get(0)?, Slot { have: row.get(1)?, job: None }));
        }
        let mut jobs =
            self.conn.prepare_cached("SELECT to_site, state FROM job WHERE file = ?1")?;
        let mut found = jobs.query([file])?;
        while let Some(row) = found.next()? {
            let (site, job) = (row.get(0)?, row.get(1)?);
            match slots.iter_mut().find(|(of, _)| *of == site) {
                Some((_, slot)) => slot.job = job,
                None => slots.push((site, Slot { have: None, job })),
            }
        }
        Ok(slots)
    }

    /// Stores another state of a job.
    pub(super) fn set_state(&mut self, file: FileId, to: SiteId, state: Bucket) -> Result<()> {
        let before = self.look(file, to)?;
        self.conn
            .prepare_cached("UPDATE job SET state = ?3 WHERE file = ?1 AND to_site = ?2")?
            .execute((file, to, state))?;
        self.settle(file, to, before, Slot { job: Some(state), ..before.1 });
        Ok(())
    }

    /// Parked jobs of a file may be claimed again. `from` narrows it to one source, and to removals
    /// there if that does not have the newest content.
    pub(super) fn unpark(&mut self, file: FileId, from: Option<(SiteId, bool)>) -> Result<()> {
        if self.memory.parked == 0 {
            return Ok(());
        }
        let parked: Vec<SiteId> = {
            let mut find = self.conn.prepare_cached(
                "SELECT to_site FROM job
                 WHERE file = ?1 AND state = ?2
                   AND (?3 IS NULL OR from_site = ?3 AND (?4 OR to_site = ?3))",
            )?;
            let (from, newest) = from.unzip();
            let params = (file, Bucket::Parked, from, newest.unwrap_or(true));
            let found = find.query_map(params, |row| row.get(0))?;
            found.collect::<rusqlite::Result<_>>()?
        };
        for to in parked {
            self.set_state(file, to, Bucket::Ready)?;
        }
        Ok(())
    }

    pub(super) fn files_in_progress(
        &self,
        project: ProjectId,
        to: SiteId,
        from: SiteId,
    ) -> Result<Vec<FileId>> {
        let mut find = self.conn.prepare_cached(
            "SELECT file FROM job INDEXED BY job_order
             WHERE project = ?1 AND to_site = ?2 AND from_site = ?3 AND state = ?4",
        )?;
        let found = find.query_map((project, to, from, Bucket::InProgress), |row| row.get(0))?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }

    /// Counts jobs of one direction and state as another state: for a change of many that one
    /// statement makes.
    pub(super) fn count_all(
        &mut self,
        (before, after): (Bucket, Bucket),
        project: ProjectId,
        (to, from): (SiteId, SiteId),
    ) -> Result<()> {
        let mut sums = self.conn.prepare_cached(
            "SELECT d.root, f.representation, count(*), sum(f.size)
             FROM job j INDEXED BY job_order
             CROSS JOIN file f ON f.id = j.file CROSS JOIN folder d ON d.id = f.folder
             WHERE j.project = ?1 AND j.to_site = ?2 AND j.from_site = ?3 AND j.state = ?4
             GROUP BY d.root, f.representation",
        )?;
        let mut found = sums.query((project, to, from, before))?;
        while let Some(row) = found.next()? {
            let of = (row.get(0)?, row.get(1)?);
            let (files, bytes): (i64, i64) = (row.get(2)?, row.get(3)?);
            self.memory.unit.add(of, to, before, -files, -bytes);
            self.memory.unit.add(of, to, after, files, bytes);
        }
        self.memory.focus = None;
        Ok(())
    }

    pub(super) fn root_of(&mut self, folder: FolderId) -> Result<RootId> {
        if let Some((_, root)) = self.memory.folder.filter(|(known, _)| *known == folder) {
            return Ok(root);
        }
        let mut find = self.conn.prepare_cached("SELECT root FROM folder WHERE id = ?1")?;
        let found = find.query_row([folder], |row| row.get(0)).optional()?;
        let root = found.ok_or_else(|| unknown("folder", folder.0))?;
        self.memory.folder = Some((folder, root));
        Ok(root)
    }

    pub(super) fn project_of(&mut self, root: RootId) -> Result<ProjectId> {
        if let Some(project) = self.memory.projects.get(&root) {
            return Ok(*project);
        }
        let mut find = self.conn.prepare_cached("SELECT project FROM root WHERE id = ?1")?;
        let found = find.query_row([root], |row| row.get(0)).optional()?;
        let project = found.ok_or_else(|| unknown("root", root.0))?;
        self.memory.projects.insert(root, project);
        Ok(project)
    }

    pub(super) fn insert(&self, sql: &str, params: impl rusqlite::Params) -> Result<i64> {
        Ok(self.conn.prepare_cached(sql)?.insert(params)?)
    }

    /// Counts a claimed job; its row was updated by the caller.
    pub(super) fn count_claimed(&mut self, of: (RootId, RepresentationId), to: SiteId, size: i64) {
        self.memory.unit.add(of, to, Bucket::Ready, -1, -size);
        self.memory.unit.add(of, to, Bucket::InProgress, 1, size);
        self.memory.focus = None;
    }
}

/// A key that nothing has.
pub(super) fn unknown(what: &str, key: i64) -> Error {
    Error::Invalid(format!("there is no {what} {key}"))
}
