//! Writes: [`Unit`], statement by statement.

use rusqlite::OptionalExtension;

use super::rows::{bound, stored};
use super::tally::Bucket;
use super::work::{Facts, Slot, Work};
use super::{
    Apart, ClaimFilter, Claimed, Count, Error, FileId, FileRow, FileState, FolderId, FolderRows,
    Generation, Have, Hold, HoldKind, Job, JobState, Millis, Pause, ProjectId, QueueFilter,
    QueueRow, Representation, RepresentationFilter, RepresentationId, RepresentationRow, Result,
    RootId, Scope, Sent, SiteId, StateAt, Unit, View, claim,
};
use crate::publish::{Naming, NamingPattern};

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

    fn rename_site(&mut self, from: &str, to: &str) -> Result<bool> {
        if self.site(from)?.is_none() || self.site(to)?.is_some() {
            return Ok(false);
        }
        let sql = "UPDATE site SET name = ?2 WHERE name = ?1";
        Ok(self.conn.prepare_cached(sql)?.execute((from, to))? > 0)
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

    fn put_cursor(&mut self, root: RootId, site: SiteId, cursor: Option<&str>) -> Result<()> {
        let sql = "UPDATE root_at SET cursor = ?3 WHERE root = ?1 AND site = ?2";
        self.conn.prepare_cached(sql)?.execute((root, site, cursor))?;
        Ok(())
    }

    fn put_scanned(&mut self, root: RootId, site: SiteId) -> Result<()> {
        let sql = "UPDATE root_at SET scanned = 1 WHERE root = ?1 AND site = ?2";
        self.conn.prepare_cached(sql)?.execute((root, site))?;
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

    fn put_representation(
        &mut self,
        project: ProjectId,
        naming: &Naming,
        priority: i64,
        made_at: i64,
        made_by: &str,
        published: bool,
    ) -> Result<RepresentationId> {
        self.put_named(project, naming, (priority, made_at, made_by, published))
    }

    fn add_file(
        &mut self,
        folder: FolderId,
        name: &str,
        size: u64,
        representation: RepresentationId,
    ) -> Result<FileId> {
        let size = stored(size);
        let facts = Facts { root: self.root_of(folder)?, representation, generation: 1, size };
        self.same_project(facts, representation)?;
        let file = FileId(self.memory.next_file);
        self.conn
            .prepare_cached(
                "INSERT INTO file (id, folder, name, generation, size, representation)
                 VALUES (?1, ?2, ?3, 1, ?4, ?5)",
            )?
            .execute((file, folder, name, size, representation))
            .map_err(|error| match error.sqlite_error_code() {
                Some(rusqlite::ErrorCode::ConstraintViolation) => Error::Invalid(format!(
                    "there is a file {name:?} in folder {} already",
                    folder.0
                )),
                _ => error.into(),
            })?;
        self.memory.next_file += 1;
        self.memory.unit.know(representation, 1, size);
        self.focus_on(file, facts, true);
        Ok(file)
    }

    fn set_representation(&mut self, file: FileId, representation: RepresentationId) -> Result<()> {
        self.regroup(file, representation)
    }

    fn set_generation(&mut self, file: FileId, generation: Generation, size: u64) -> Result<()> {
        let before = self.facts(file)?;
        let after = Facts { generation, size: stored(size), ..before };
        self.conn
            .prepare_cached("UPDATE file SET generation = ?2, size = ?3 WHERE id = ?1")?
            .execute((file, generation, after.size))?;
        self.memory.unit.know(after.representation, 0, after.size - before.size);
        self.recount_file(file, before, after)?;
        self.spare(file)?;
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
        let newest = have.generation == before.0.generation;
        self.unpark(file, Some((have.site, newest)))
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
        // What is planned anew does not escape its guard.
        let free = matches!(job.state, JobState::Ready | JobState::Waiting);
        let state = match before.1.job {
            Some(Bucket::Guarded) if free => Bucket::Guarded,
            _ => self.obeying(job.state.into(), before.0.representation, job.to)?,
        };
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
        let removed: Option<(RepresentationId, i64)> = {
            let mut remove = self.conn.prepare_cached(
                "DELETE FROM file WHERE id = ?1
                 AND NOT EXISTS (SELECT 1 FROM have WHERE file = ?1)
                 AND NOT EXISTS (SELECT 1 FROM job WHERE file = ?1)
                 RETURNING representation, size",
            )?;
            remove.query_row([file], |row| Ok((row.get(0)?, row.get(1)?))).optional()?
        };
        let Some((representation, size)) = removed else { return Ok(()) };
        self.memory.focus = None;
        self.memory.unit.know(representation, -1, -size);
        self.conn
            .prepare_cached("DELETE FROM want WHERE representation = ?1 AND file = ?2")?
            .execute((representation, file))?;
        self.remove_if_empty(representation)
    }

    fn put_want(
        &mut self,
        representation: RepresentationId,
        file: Option<FileId>,
        site: SiteId,
        wanted: Option<bool>,
    ) -> Result<()> {
        self.want(representation, file, site, wanted)
    }

    fn put_pause(&mut self, pause: &Pause) -> Result<()> {
        self.pause(pause)
    }

    fn drop_pause(&mut self, scope: &Scope) -> Result<bool> {
        self.resume(scope)
    }

    fn put_hold(&mut self, project: ProjectId, hold: &Hold) -> Result<()> {
        self.stop(project, hold)
    }

    fn guard_jobs(&mut self, jobs: &[(FileId, SiteId)]) -> Result<usize> {
        self.guard(jobs)
    }

    fn release_held(
        &mut self,
        project: ProjectId,
        guard: Option<(HoldKind, SiteId)>,
    ) -> Result<usize> {
        self.unguard(project, guard)
    }

    fn release_file(&mut self, file: FileId, at: SiteId, kind: Option<HoldKind>) -> Result<bool> {
        self.unguard_file(file, at, kind)
    }

    fn set_priority(&mut self, representation: RepresentationId, priority: i64) -> Result<usize> {
        self.prioritise(representation, priority)
    }

    fn reset(
        &mut self,
        representation: RepresentationId,
        file: Option<FileId>,
        to: Option<SiteId>,
    ) -> Result<usize> {
        self.reset_of(representation, file, to)
    }

    fn wake(
        &mut self,
        project: ProjectId,
        to: SiteId,
        from: SiteId,
        now: Millis,
        limit: usize,
    ) -> Result<usize> {
        let due: Vec<FileId> = {
            let mut find = self.conn.prepare_cached(
                "SELECT file FROM job INDEXED BY job_waiting
                 WHERE project = ?1 AND to_site = ?2 AND from_site = ?3
                   AND state = 1 AND not_before <= ?4
                 ORDER BY not_before LIMIT ?5",
            )?;
            let found = find.query_map((project, to, from, now, bound(limit)), |row| row.get(0))?;
            found.collect::<rusqlite::Result<_>>()?
        };
        for file in &due {
            self.set_state(*file, to, Bucket::Ready)?;
        }
        Ok(due.len())
    }

    fn claim(&mut self, filter: &ClaimFilter) -> Result<Vec<Claimed>> {
        claim::claim(self, filter)
    }

    fn put_sent(&mut self, file: FileId, to: SiteId, sent: Sent) -> Result<()> {
        let sql = "UPDATE job SET sent_size = ?4, sent_mtime = ?5
             WHERE file = ?1 AND to_site = ?2 AND state = ?3";
        let mut put = self.conn.prepare_cached(sql)?;
        put.execute((file, to, Bucket::InProgress, stored(sent.size), sent.mtime_ns))?;
        Ok(())
    }

    fn release(
        &mut self,
        project: ProjectId,
        to: SiteId,
        from: SiteId,
        held: &[FileId],
    ) -> Result<usize> {
        if !held.is_empty() {
            let mut left = self.files_in_progress(project, to, from)?;
            left.retain(|file| !held.contains(file));
            left.iter().try_for_each(|file| self.set_state(*file, to, Bucket::Ready))?;
            self.obey_all_pauses()?;
            return Ok(left.len());
        }
        self.count_all((Bucket::InProgress, Bucket::Ready), project, (to, from))?;
        let sql = "UPDATE job INDEXED BY job_order SET state = ?1
             WHERE project = ?3 AND to_site = ?4 AND from_site = ?5 AND state = ?2";
        let mut release = self.conn.prepare_cached(sql)?;
        let released = release.execute((Bucket::Ready, Bucket::InProgress, project, to, from))?;
        self.obey_all_pauses()?;
        Ok(released)
    }

    fn reset_failed(&mut self, project: ProjectId) -> Result<usize> {
        let mut reset = self.conn.prepare_cached(
            "UPDATE job INDEXED BY job_order
             SET state = ?1, tries = 0, error_kind = NULL, error_message = NULL
             WHERE project = ?3 AND to_site = ?4 AND from_site = ?5 AND state = ?2",
        )?;
        let mut jobs = 0;
        for (to, from) in self.view().directions(project)? {
            self.count_all((Bucket::Failed, Bucket::Ready), project, (to, from))?;
            jobs += reset.execute((Bucket::Ready, Bucket::Failed, project, to, from))?;
        }
        self.obey_all_pauses()?;
        Ok(jobs)
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
    fn cursor(&self, root: RootId, site: SiteId) -> Option<String>;
    fn is_scanned(&self, root: RootId, site: SiteId) -> bool;
    fn folder(&self, root: RootId, path: &str) -> FolderRows;
    fn file(&self, root: RootId, folder: &str, name: &str) -> Option<FileRow>;
    fn folders(&self, root: RootId, after: FolderId, limit: usize) -> Vec<(FolderId, String)>;
    fn folders_beneath(&self, root: RootId, path: &str) -> Vec<String>;
    fn generation(&self, file: FileId) -> Option<Generation>;
    fn in_progress(&self, project: ProjectId, to: SiteId, from: SiteId) -> u64;
    fn tokens(&self, project: ProjectId, to: SiteId) -> Vec<Vec<u8>>;
    fn ready(&self, project: ProjectId, to: SiteId, from: SiteId) -> bool;
    fn ready_before(&self, project: ProjectId, file: FileId, job: &Job, limit: u64) -> u64;
    fn next_waiting(&self, project: ProjectId, to: SiteId, from: SiteId) -> Option<Millis>;
    fn counts_apart(&self, project: ProjectId, apart: &Apart) -> Vec<Count>;
    fn queue(&self, project: ProjectId, filter: &QueueFilter) -> Vec<QueueRow>;
    fn last_time(&self) -> Millis;
    fn representation(&self, id: RepresentationId) -> Option<Representation>;
    fn find_representation(&self, project: ProjectId, naming: &Naming) -> Option<RepresentationId>;
    fn representations(
        &self,
        project: ProjectId,
        after: RepresentationId,
        limit: usize
    ) -> Vec<Representation>;
    fn representations_like(
        &self,
        project: ProjectId,
        pattern: &NamingPattern,
        limit: usize
    ) -> Vec<Representation>;
    fn files_of(
        &self,
        representation: RepresentationId,
        after: FileId,
        limit: usize
    ) -> Vec<(RootId, String, FileRow)>;
    fn state_of(&self, representation: RepresentationId) -> Vec<StateAt>;
    fn representation_queue(
        &self,
        project: ProjectId,
        filter: &RepresentationFilter
    ) -> Vec<RepresentationRow>;
    fn files_in_state(
        &self,
        project: ProjectId,
        site: SiteId,
        state: FileState,
        after: FileId,
        limit: usize
    ) -> Vec<(RootId, String, FileRow)>;
    fn apart(&self, project: ProjectId) -> Apart;
    fn pauses(&self) -> Vec<Pause>;
    fn holds(&self, project: ProjectId) -> Vec<Hold>;
    fn guarded(&self, project: ProjectId) -> Vec<Hold>;
    fn guarded_files(&self, project: ProjectId, guard: (HoldKind, SiteId), limit: usize) -> Vec<FileId>;
    fn file_by_id(&self, file: FileId) -> Option<FileRow>;
}
