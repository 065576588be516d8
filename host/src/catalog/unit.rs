//! Writes: [`Unit`] over the writer's connection, with the counters kept on the way.
//!
//! Every change of a have, a job or a generation needs to know what the file counted as before.
//! Most changes come in runs about one file, so what is known of the last file is remembered
//! ([`Focus`]) and a run reads the old rows once, or never when the file is new.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};

use super::reader::Snapshot;
use super::rows::{bound, stored};
use super::tally::{Bucket, Tally};
use super::{
    ClaimFilter, Claimed, Count, Error, FileId, FileRow, FolderId, FolderRows, Generation, Have,
    Job, Millis, ProjectId, QueueFilter, QueueRow, Result, RootId, SiteId, Unit, View, claim,
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
    focus: Option<Focus>,
    folder: Option<(FolderId, RootId)>,
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
        Ok(Self { parked, next_file: last + 1, ..Self::default() })
    }

    /// Forgets what may have been rolled back.
    pub(super) fn forget(&mut self) {
        self.unit.clear();
        self.focus = None;
        self.folder = None;
        self.projects.clear();
    }
}

/// The file that was changed last.
#[derive(Debug)]
struct Focus {
    file: FileId,
    facts: Facts,
    /// What is known per site.
    slots: Vec<(SiteId, Slot)>,
    /// Sites that are not in `slots` are known to have nothing.
    whole: bool,
}

/// What a file's counters depend on, whatever the site.
#[derive(Debug, Clone, Copy)]
struct Facts {
    root: RootId,
    generation: Generation,
    size: i64,
}

/// What they depend on at one site.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Slot {
    have: Option<Generation>,
    job: Option<Bucket>,
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
    fn view(&self) -> Snapshot<'_> {
        Snapshot { conn: self.conn, pending: [Some(&self.memory.group), Some(&self.memory.unit)] }
    }

    /// What a file counts as at a site.
    fn look(&mut self, file: FileId, site: SiteId) -> Result<(Facts, Slot)> {
        if let Some(focus) = self.memory.focus.as_ref().filter(|focus| focus.file == file) {
            let known = focus.slots.iter().find(|(of, _)| *of == site);
            match known {
                Some((_, slot)) => return Ok((focus.facts, *slot)),
                None if focus.whole => return Ok((focus.facts, Slot::default())),
                None => {}
            }
        }
        let mut find = self.conn.prepare_cached(
            "SELECT d.root, f.generation, f.size, h.generation, j.state
             FROM file f CROSS JOIN folder d ON d.id = f.folder
             LEFT JOIN have h ON h.file = f.id AND h.site = ?2
             LEFT JOIN job j ON j.file = f.id AND j.to_site = ?2
             WHERE f.id = ?1",
        )?;
        let found = find.query_row((file, site), |row| {
            let facts = Facts { root: row.get(0)?, generation: row.get(1)?, size: row.get(2)? };
            Ok((facts, Slot { have: row.get(3)?, job: row.get(4)? }))
        });
        let (facts, slot) = found.optional()?.ok_or_else(|| unknown("file", file.0))?;
        self.focus_on(file, facts, false).slots.push((site, slot));
        Ok((facts, slot))
    }

    /// The focus, moved to this file if it was elsewhere.
    fn focus_on(&mut self, file: FileId, facts: Facts, whole: bool) -> &mut Focus {
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
    fn count(&mut self, site: SiteId, before: (Facts, Slot), after: (Facts, Slot)) {
        let tally = &mut self.memory.unit;
        for ((facts, slot), sign) in [(before, -1), (after, 1)] {
            if let Some(bucket) = slot.bucket(facts.generation) {
                tally.add(facts.root, site, bucket, sign, sign * facts.size);
                if bucket == Bucket::Parked {
                    self.memory.parked += sign;
                }
            }
            if slot.have.is_some() {
                tally.add(facts.root, site, Bucket::Held, sign, sign * facts.size);
            }
        }
    }

    /// Counts and remembers that a file now is `after` at a site.
    fn settle(&mut self, file: FileId, site: SiteId, before: (Facts, Slot), after: Slot) {
        let (facts, _) = before;
        self.count(site, before, (facts, after));
        let focus = self.focus_on(file, facts, false);
        match focus.slots.iter_mut().find(|(of, _)| *of == site) {
            Some((_, slot)) => *slot = after,
            None => focus.slots.push((site, after)),
        }
    }

    /// All sites at which a file is anything.
    fn slots(&self, file: FileId) -> Result<Vec<(SiteId, Slot)>> {
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

    /// Parked jobs of a file may be claimed again; `from` narrows it to one source.
    fn unpark(&mut self, file: FileId, from: Option<SiteId>) -> Result<()> {
        if self.memory.parked == 0 {
            return Ok(());
        }
        let parked: Vec<SiteId> = {
            let mut find = self.conn.prepare_cached(
                "SELECT to_site FROM job
                 WHERE file = ?1 AND state = ?2 AND (?3 IS NULL OR from_site = ?3)",
            )?;
            let found = find.query_map((file, Bucket::Parked, from), |row| row.get(0))?;
            found.collect::<rusqlite::Result<_>>()?
        };
        for to in parked {
            self.set_state(file, to, Bucket::Ready)?;
        }
        Ok(())
    }

    /// Counts jobs of one state as another: for a change of many that one statement makes.
    fn count_all(
        &mut self,
        (from, to): (Bucket, Bucket),
        project: ProjectId,
        site: Option<SiteId>,
    ) -> Result<()> {
        let mut sums = self.conn.prepare_cached(
            "SELECT d.root, j.to_site, count(*), sum(f.size)
             FROM project p CROSS JOIN site s CROSS JOIN job j INDEXED BY job_order
             CROSS JOIN file f ON f.id = j.file CROSS JOIN folder d ON d.id = f.folder
             WHERE p.id = ?1 AND (?3 IS NULL OR s.id = ?3)
               AND j.project = p.id AND j.to_site = s.id AND j.state = ?2
             GROUP BY d.root, j.to_site",
        )?;
        let mut found = sums.query((project, from, site))?;
        while let Some(row) = found.next()? {
            let (root, site): (RootId, SiteId) = (row.get(0)?, row.get(1)?);
            let (files, bytes): (i64, i64) = (row.get(2)?, row.get(3)?);
            self.memory.unit.add(root, site, from, -files, -bytes);
            self.memory.unit.add(root, site, to, files, bytes);
        }
        self.memory.focus = None;
        Ok(())
    }

    fn root_of(&mut self, folder: FolderId) -> Result<RootId> {
        if let Some((_, root)) = self.memory.folder.filter(|(known, _)| *known == folder) {
            return Ok(root);
        }
        let mut find = self.conn.prepare_cached("SELECT root FROM folder WHERE id = ?1")?;
        let found = find.query_row([folder], |row| row.get(0)).optional()?;
        let root = found.ok_or_else(|| unknown("folder", folder.0))?;
        self.memory.folder = Some((folder, root));
        Ok(root)
    }

    fn project_of(&mut self, root: RootId) -> Result<ProjectId> {
        if let Some(project) = self.memory.projects.get(&root) {
            return Ok(*project);
        }
        let mut find = self.conn.prepare_cached("SELECT project FROM root WHERE id = ?1")?;
        let found = find.query_row([root], |row| row.get(0)).optional()?;
        let project = found.ok_or_else(|| unknown("root", root.0))?;
        self.memory.projects.insert(root, project);
        Ok(project)
    }

    fn insert(&self, sql: &str, params: impl rusqlite::Params) -> Result<i64> {
        Ok(self.conn.prepare_cached(sql)?.insert(params)?)
    }

    /// Counts a claimed job; its row was updated by the caller.
    pub(super) fn count_claimed(&mut self, root: RootId, to: SiteId, size: i64) {
        self.memory.unit.add(root, to, Bucket::Ready, -1, -size);
        self.memory.unit.add(root, to, Bucket::InProgress, 1, size);
        self.memory.focus = None;
    }
}

fn unknown(what: &str, key: i64) -> Error {
    Error::Invalid(format!("there is no {what} {key}"))
}

impl Unit for Work<'_> {
    fn put_project(&mut self, name: &str) -> Result<ProjectId> {
        if let Some(known) = self.project(name)? {
            return Ok(known);
        }
        self.insert("INSERT INTO project (name) VALUES (?1)", [name]).map(ProjectId)
    }

    fn put_site(&mut self, name: &str) -> Result<SiteId> {
        if let Some(known) = self.site(name)? {
            return Ok(known);
        }
        self.insert("INSERT INTO site (name) VALUES (?1)", [name]).map(SiteId)
    }

    fn put_root(&mut self, project: ProjectId, name: &str) -> Result<RootId> {
        if let Some(known) = self.root(project, name)? {
            return Ok(known);
        }
        let sql = "INSERT INTO root (project, name) VALUES (?1, ?2)";
        self.insert(sql, (project, name)).map(RootId)
    }

    fn put_root_identity(&mut self, root: RootId, site: SiteId, identity: &str) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO root_at (root, site, identity) VALUES (?1, ?2, ?3)";
        self.conn.prepare_cached(sql)?.execute((root, site, identity))?;
        Ok(())
    }

    fn put_folder(&mut self, root: RootId, path: &str) -> Result<FolderId> {
        let known = {
            let mut find =
                self.conn.prepare_cached("SELECT id FROM folder WHERE root = ?1 AND path = ?2")?;
            find.query_row((root, path), |row| row.get(0)).optional()?
        };
        let folder = match known {
            Some(folder) => folder,
            None => {
                // Fails for an unknown root, which nothing else would notice.
                self.project_of(root)?;
                FolderId(
                    self.insert("INSERT INTO folder (root, path) VALUES (?1, ?2)", (root, path))?,
                )
            }
        };
        self.memory.folder = Some((folder, root));
        Ok(folder)
    }

    fn add_file(&mut self, folder: FolderId, name: &str, size: u64) -> Result<FileId> {
        let root = self.root_of(folder)?;
        let file = FileId(self.memory.next_file);
        let size = stored(size);
        self.conn
            .prepare_cached(
                "INSERT INTO file (id, folder, name, generation, size) VALUES (?1, ?2, ?3, 1, ?4)",
            )?
            .execute((file, folder, name, size))
            .map_err(|error| match error.sqlite_error_code() {
                Some(rusqlite::ErrorCode::ConstraintViolation) => Error::Invalid(format!(
                    "there is a file {name:?} in folder {} already",
                    folder.0
                )),
                _ => error.into(),
            })?;
        self.memory.next_file += 1;
        self.focus_on(file, Facts { root, generation: 1, size }, true);
        Ok(file)
    }

    fn set_generation(&mut self, file: FileId, generation: Generation, size: u64) -> Result<()> {
        let before = {
            let mut find = self.conn.prepare_cached(
                "SELECT d.root, f.generation, f.size
                 FROM file f CROSS JOIN folder d ON d.id = f.folder WHERE f.id = ?1",
            )?;
            let found = find.query_row([file], |row| {
                Ok(Facts { root: row.get(0)?, generation: row.get(1)?, size: row.get(2)? })
            });
            found.optional()?.ok_or_else(|| unknown("file", file.0))?
        };
        let after = Facts { generation, size: stored(size), ..before };
        self.conn
            .prepare_cached("UPDATE file SET generation = ?2, size = ?3 WHERE id = ?1")?
            .execute((file, generation, after.size))?;
        let slots = self.slots(file)?;
        for (site, slot) in &slots {
            self.count(*site, (before, *slot), (after, *slot));
        }
        let focus = self.focus_on(file, after, true);
        focus.slots = slots;
        focus.whole = true;
        self.unpark(file, None)
    }

    fn put_have(&mut self, file: FileId, have: &Have) -> Result<()> {
        let before = self.look(file, have.site)?;
        self.conn
            .prepare_cached(
                "INSERT OR REPLACE INTO have (file, site, generation, version, size, mtime_ns)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute((
                file,
                have.site,
                have.generation,
                &have.version,
                stored(have.size),
                have.mtime_ns,
            ))?;
        let after = Slot { have: Some(have.generation), ..before.1 };
        self.settle(file, have.site, before, after);
        if have.generation == before.0.generation {
            self.unpark(file, Some(have.site))?;
        }
        Ok(())
    }

    fn drop_have(&mut self, file: FileId, site: SiteId) -> Result<()> {
        let before = self.look(file, site)?;
        if before.1.have.is_some() {
            self.conn
                .prepare_cached("DELETE FROM have WHERE file = ?1 AND site = ?2")?
                .execute((file, site))?;
            self.settle(file, site, before, Slot { have: None, ..before.1 });
        }
        Ok(())
    }

    fn put_job(&mut self, file: FileId, job: &Job) -> Result<()> {
        let before = self.look(file, job.to)?;
        let project = self.project_of(before.0.root)?;
        let state = Bucket::from(job.state);
        let sent_size = job.sent.map(|sent| stored(sent.size));
        let error = job.error.as_ref();
        self.conn
            .prepare_cached(
                "INSERT OR REPLACE INTO job
                 (file, to_site, project, from_site, state, priority, queued_at, not_before,
                  tries, sent_size, sent_mtime, token, error_kind, error_message)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
            )?
            .execute((
                file,
                job.to,
                project,
                job.from,
                state,
                job.priority,
                job.queued_at,
                job.not_before,
                job.tries,
                sent_size,
                job.sent.and_then(|sent| sent.mtime_ns),
                &job.token,
                error.map(|error| &error.kind),
                error.map(|error| &error.message),
            ))?;
        self.settle(file, job.to, before, Slot { job: Some(state), ..before.1 });
        Ok(())
    }

    fn drop_job(&mut self, file: FileId, to: SiteId) -> Result<()> {
        let before = self.look(file, to)?;
        if before.1.job.is_some() {
            self.conn
                .prepare_cached("DELETE FROM job WHERE file = ?1 AND to_site = ?2")?
                .execute((file, to))?;
            self.settle(file, to, before, Slot { job: None, ..before.1 });
        }
        Ok(())
    }

    fn forget_file(&mut self, file: FileId) -> Result<()> {
        let removed = self
            .conn
            .prepare_cached(
                "DELETE FROM file WHERE id = ?1
                 AND NOT EXISTS (SELECT 1 FROM have WHERE file = ?1)
                 AND NOT EXISTS (SELECT 1 FROM job WHERE file = ?1)",
            )?
            .execute([file])?;
        if removed > 0 {
            self.memory.focus = None;
        }
        Ok(())
    }

    fn wake(&mut self, now: Millis, limit: usize) -> Result<usize> {
        let due: Vec<(FileId, SiteId)> = {
            let mut find = self.conn.prepare_cached(
                "SELECT j.file, j.to_site
                 FROM project p CROSS JOIN site s CROSS JOIN job j INDEXED BY job_waiting
                 WHERE j.project = p.id AND j.to_site = s.id AND j.state = 1
                   AND j.not_before <= ?1
                 LIMIT ?2",
            )?;
            let found =
                find.query_map((now, bound(limit)), |row| Ok((row.get(0)?, row.get(1)?)))?;
            found.collect::<rusqlite::Result<_>>()?
        };
        for (file, to) in &due {
            self.set_state(*file, *to, Bucket::Ready)?;
        }
        Ok(due.len())
    }

    fn claim(&mut self, filter: &ClaimFilter) -> Result<Vec<Claimed>> {
        claim::claim(self, filter)
    }

    fn release(&mut self, project: ProjectId, to: SiteId) -> Result<usize> {
        self.count_all((Bucket::InProgress, Bucket::Ready), project, Some(to))?;
        let sql = "UPDATE job INDEXED BY job_order SET state = ?1
             WHERE project = ?3 AND to_site = ?4 AND state = ?2";
        let mut release = self.conn.prepare_cached(sql)?;
        Ok(release.execute((Bucket::Ready, Bucket::InProgress, project, to))?)
    }

    fn reset_failed(&mut self, project: ProjectId) -> Result<usize> {
        self.count_all((Bucket::Failed, Bucket::Ready), project, None)?;
        let sql = "UPDATE job INDEXED BY job_order
             SET state = ?1, tries = 0, error_kind = NULL, error_message = NULL
             WHERE project = ?3 AND to_site IN (SELECT id FROM site) AND state = ?2";
        Ok(self.conn.prepare_cached(sql)?.execute((Bucket::Ready, Bucket::Failed, project))?)
    }

    fn put_time(&mut self, now: Millis) -> Result<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO meta (key, value) VALUES ('last_time', ?1)
                 ON CONFLICT DO UPDATE SET value = max(value, excluded.value)",
            )?
            .execute([now])?;
        Ok(())
    }
}

macro_rules! as_view {
    ($(fn $name:ident(&self $(, $arg:ident: $kind:ty)*) -> $out:ty;)*) => {
        /// A unit sees its own changes.
        impl View for Work<'_> {
            $(fn $name(&self $(, $arg: $kind)*) -> Result<$out> {
                self.view().$name($($arg),*)
            })*
        }
    };
}
as_view! {
    fn project(&self, name: &str) -> Option<ProjectId>;
    fn site(&self, name: &str) -> Option<SiteId>;
    fn site_names(&self) -> Vec<(SiteId, String)>;
    fn root(&self, project: ProjectId, name: &str) -> Option<RootId>;
    fn root_identity(&self, root: RootId, site: SiteId) -> Option<String>;
    fn any_have(&self, root: RootId, site: SiteId) -> bool;
    fn folder(&self, root: RootId, path: &str) -> FolderRows;
    fn file(&self, root: RootId, folder: &str, name: &str) -> Option<FileRow>;
    fn folders(&self, root: RootId, after: FolderId, limit: usize) -> Vec<(FolderId, String)>;
    fn generation(&self, file: FileId) -> Option<Generation>;
    fn in_progress(&self, project: ProjectId, to: SiteId) -> u64;
    fn ready(&self, project: ProjectId, to: SiteId) -> u64;
    fn next_waiting(&self, project: ProjectId, to: SiteId) -> Option<Millis>;
    fn counts(&self, project: ProjectId) -> Vec<Count>;
    fn queue(&self, project: ProjectId, filter: &QueueFilter) -> Vec<QueueRow>;
    fn last_time(&self) -> Millis;
}
