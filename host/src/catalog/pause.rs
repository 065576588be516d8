//! What a person or a guard keeps back.
//!
//! A pause of a representation keeps its jobs out of reach of `claim`: they are *held* until it is
//! taken away, and so is every job that becomes ready meanwhile. Wider pauses (host, project, site)
//! change no job: who works looks them up. A guard that stopped a pass *guards* the jobs it stopped,
//! which a pause neither takes over nor frees.

use std::collections::{BTreeMap, HashSet};

use rusqlite::{OptionalExtension, Row};

use super::reader::Snapshot;
use super::rows::{bound, natural, stored};
use super::tally::Bucket;
use super::work::{Work, unknown};
use super::{Error, FileId, Millis, ProjectId, RepresentationId, Result, SiteId, Unit};

/// What a pause reaches: all that agrees with it in what it names. One that names nothing reaches
/// everything that this host does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    /// Only in this project.
    pub project: Option<ProjectId>,
    /// Only to and from this site; for a representation, only to it.
    pub site: Option<SiteId>,
    /// Only of this representation, whose project is named too.
    pub representation: Option<RepresentationId>,
}

/// Work that is kept back until somebody resumes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// What it reaches.
    pub scope: Scope,
    /// When it began, by the calendar: ms since the epoch.
    pub since: i64,
    /// Who asked for it.
    pub by: String,
}

/// Which guard stopped a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HoldKind {
    /// `max_delete`: too much would be deleted.
    Delete,
    /// `max_change`: too much would be overwritten.
    Change,
}

impl HoldKind {
    /// The stable name: `delete`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            HoldKind::Delete => "delete",
            HoldKind::Change => "change",
        }
    }

    /// What would become of the files that it keeps back.
    #[must_use]
    pub fn done(self) -> &'static str {
        match self {
            HoldKind::Delete => "deleted",
            HoldKind::Change => "replaced",
        }
    }

    /// The setting that bounds it.
    #[must_use]
    pub fn guard(self) -> &'static str {
        match self {
            HoldKind::Delete => "max_delete",
            HoldKind::Change => "max_change",
        }
    }

    /// Which guards work from one site to another, given as (to, from).
    fn of((to, from): (SiteId, SiteId)) -> Self {
        if from == to { HoldKind::Delete } else { HoldKind::Change }
    }

    /// The one with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [HoldKind::Delete, HoldKind::Change].into_iter().find(|kind| kind.name() == name)
    }
}

/// A guard that stopped a pass, and what it saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Which guard.
    pub kind: HoldKind,
    /// Where it would have happened.
    pub site: SiteId,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When it stopped, by the calendar: ms since the epoch.
    pub since: i64,
}

/// Keys as they are stored, 0 for any.
type Key = (i64, i64, i64);

impl Scope {
    fn key(&self) -> Key {
        (
            self.project.map_or(0, |id| id.0),
            self.site.map_or(0, |id| id.0),
            self.representation.map_or(0, |id| id.0),
        )
    }

    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        let key = |at| Ok::<_, rusqlite::Error>(Some(row.get::<_, i64>(at)?).filter(|id| *id != 0));
        Ok(Scope {
            project: key(0)?.map(ProjectId),
            site: key(1)?.map(SiteId),
            representation: key(2)?.map(RepresentationId),
        })
    }
}

impl Snapshot<'_> {
    pub(super) fn all_pauses(&self) -> Result<Vec<Pause>> {
        let mut all = self
            .conn
            .prepare_cached("SELECT project, site, representation, since, paused_by FROM pause")?;
        let found = all.query_map((), |row| {
            Ok(Pause { scope: Scope::of(row)?, since: row.get(3)?, by: row.get(4)? })
        })?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }

    pub(super) fn holds_of(&self, project: ProjectId) -> Result<Vec<Hold>> {
        let mut all = self.conn.prepare_cached(
            "SELECT kind, site, files, bytes, since FROM hold WHERE project = ?1",
        )?;
        let mut rows = all.query([project])?;
        let mut holds = Vec::new();
        while let Some(row) = rows.next()? {
            let kind = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
            holds.push(Hold {
                kind: HoldKind::named(kind)
                    .ok_or_else(|| Error::Damaged(format!("it knows no guard {kind:?}")))?,
                site: row.get(1)?,
                files: natural(row.get(2)?),
                bytes: natural(row.get(3)?),
                since: row.get(4)?,
            });
        }
        Ok(holds)
    }
}

impl Snapshot<'_> {
    pub(super) fn guarded_by(
        &self,
        project: ProjectId,
        (kind, site): (HoldKind, SiteId),
        limit: usize,
    ) -> Result<Vec<FileId>> {
        let mut find = self.conn.prepare_cached(
            "SELECT file FROM job INDEXED BY job_order
             WHERE project = ?1 AND to_site = ?2 AND from_site = ?3 AND state = ?4 LIMIT ?5",
        )?;
        let mut files = Vec::new();
        for (to, from) in self.directions(project)? {
            if to != site || HoldKind::of((to, from)) != kind || files.len() >= limit {
                continue;
            }
            let left = bound(limit - files.len());
            let found =
                find.query_map((project, to, from, Bucket::Guarded, left), |row| row.get(0))?;
            files.extend(found.collect::<rusqlite::Result<Vec<FileId>>>()?);
        }
        Ok(files)
    }

    pub(super) fn guarded_of(&self, project: ProjectId) -> Result<Vec<Hold>> {
        let mut sums: BTreeMap<SiteId, (i64, i64)> = BTreeMap::new();
        self.each_counter(project, |site, bucket, files, bytes| {
            if bucket == Bucket::Guarded {
                let sum = sums.entry(site).or_default();
                *sum = (sum.0 + files, sum.1 + bytes);
            }
        })?;
        sums.retain(|_, (files, _)| *files > 0);
        let mut removals = self.conn.prepare_cached(
            "SELECT COUNT(*), COALESCE(SUM(f.size), 0)
             FROM job j INDEXED BY job_order CROSS JOIN file f ON f.id = j.file
             WHERE j.project = ?1 AND j.to_site = ?2 AND j.from_site = ?2 AND j.state = ?3",
        )?;
        let mut holds = Vec::new();
        for (site, (files, bytes)) in sums {
            let deletes: (i64, i64) = removals
                .query_row((project, site, Bucket::Guarded), |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?;
            let changes = (files - deletes.0, bytes - deletes.1);
            for (kind, (files, bytes)) in [(HoldKind::Delete, deletes), (HoldKind::Change, changes)]
            {
                if files > 0 {
                    let (files, bytes) = (natural(files), natural(bytes));
                    holds.push(Hold { kind, site, files, bytes, since: 0 });
                }
            }
        }
        Ok(holds)
    }
}

impl Work<'_> {
    /// What was to be removed has new content: it stays.
    pub(super) fn spare(&mut self, file: FileId) -> Result<()> {
        let removed: Vec<SiteId> = {
            let mut find = self.conn.prepare_cached(
                "SELECT to_site FROM job WHERE file = ?1 AND from_site = to_site AND state <> ?2",
            )?;
            let found = find.query_map((file, Bucket::InProgress), |row| row.get(0))?;
            found.collect::<rusqlite::Result<_>>()?
        };
        removed.into_iter().try_for_each(|site| Unit::drop_job(self, file, site))
    }

    pub(super) fn pause(&mut self, pause: &Pause) -> Result<()> {
        if let Some(representation) = pause.scope.representation {
            let project = self.project_of_representation(representation)?;
            if pause.scope.project != Some(project) {
                return Err(Error::Invalid(format!(
                    "representation {} is of project {}, which its pause has to name",
                    representation.0, project.0
                )));
            }
        }
        let (project, site, representation) = pause.scope.key();
        self.conn
            .prepare_cached(
                "INSERT OR REPLACE INTO pause (project, site, representation, since, paused_by)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute((project, site, representation, pause.since, &pause.by))?;
        self.memory.paused = None;
        pause.scope.representation.map_or(Ok(()), |representation| self.obey_pauses(representation))
    }

    pub(super) fn resume(&mut self, scope: &Scope) -> Result<bool> {
        let sql = "DELETE FROM pause WHERE project = ?1 AND site = ?2 AND representation = ?3";
        let removed = self.conn.prepare_cached(sql)?.execute(scope.key())?;
        self.memory.paused = None;
        if let Some(representation) = scope.representation {
            self.obey_pauses(representation)?;
        }
        Ok(removed > 0)
    }

    /// Whether work on a representation at a site is paused by a pause of its own.
    pub(super) fn is_paused(
        &mut self,
        representation: RepresentationId,
        site: SiteId,
    ) -> Result<bool> {
        let paused = self.paused()?;
        Ok(!paused.is_empty()
            && (paused.contains(&(representation, None))
                || paused.contains(&(representation, Some(site)))))
    }

    /// Which representations are paused, and where; `None` is everywhere.
    pub(super) fn paused(&mut self) -> Result<&HashSet<(RepresentationId, Option<SiteId>)>> {
        if self.memory.paused.is_none() {
            let all = self.view().all_pauses()?;
            let scopes = all.into_iter().map(|pause| pause.scope);
            let paused = scopes.filter_map(|scope| Some((scope.representation?, scope.site)));
            self.memory.paused = Some(paused.collect());
        }
        Ok(self.memory.paused.get_or_insert_default())
    }

    /// As what a job is stored that somebody wants in this state.
    pub(super) fn obeying(
        &mut self,
        state: Bucket,
        representation: RepresentationId,
        to: SiteId,
    ) -> Result<Bucket> {
        Ok(if is_free(state) && self.is_paused(representation, to)? { Bucket::Held } else { state })
    }

    /// Holds and frees the jobs of a representation as its pauses say.
    pub(super) fn obey_pauses(&mut self, representation: RepresentationId) -> Result<()> {
        let jobs: Vec<(FileId, SiteId, Bucket, Millis)> = {
            let mut find = self.conn.prepare_cached(
                "SELECT j.file, j.to_site, j.state, j.not_before
                 FROM file f INDEXED BY file_of_representation CROSS JOIN job j ON j.file = f.id
                 WHERE f.representation = ?1",
            )?;
            let found = find.query_map([representation], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })?;
            found.collect::<rusqlite::Result<_>>()?
        };
        jobs.into_iter().try_for_each(|(file, to, state, not_before)| {
            self.obey_at(representation, file, to, state, not_before)
        })
    }

    /// Likewise for one file's.
    pub(super) fn obey_pauses_of_file(
        &mut self,
        representation: RepresentationId,
        file: FileId,
    ) -> Result<()> {
        let jobs: Vec<(SiteId, Bucket, Millis)> = {
            let mut find = self
                .conn
                .prepare_cached("SELECT to_site, state, not_before FROM job WHERE file = ?1")?;
            let found =
                find.query_map([file], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            found.collect::<rusqlite::Result<_>>()?
        };
        jobs.into_iter().try_for_each(|(to, state, not_before)| {
            self.obey_at(representation, file, to, state, not_before)
        })
    }

    fn obey_at(
        &mut self,
        representation: RepresentationId,
        file: FileId,
        to: SiteId,
        state: Bucket,
        not_before: Millis,
    ) -> Result<()> {
        let wanted = if state == Bucket::Held { freed(not_before) } else { state };
        let obeying = self.obeying(wanted, representation, to)?;
        if obeying != state { self.set_state(file, to, obeying) } else { Ok(()) }
    }

    /// Holds what one statement made ready of paused representations.
    pub(super) fn obey_all_pauses(&mut self) -> Result<()> {
        let mut paused: Vec<_> = self.paused()?.iter().map(|(of, _)| *of).collect();
        paused.sort_unstable();
        paused.dedup();
        paused.into_iter().try_for_each(|representation| self.obey_pauses(representation))
    }

    pub(super) fn stop(&mut self, project: ProjectId, hold: &Hold) -> Result<()> {
        self.conn
            .prepare_cached(
                "INSERT OR REPLACE INTO hold (project, kind, site, files, bytes, since)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute((
                project,
                hold.kind.name(),
                hold.site,
                stored(hold.files),
                stored(hold.bytes),
                hold.since,
            ))?;
        Ok(())
    }

    pub(super) fn guard(&mut self, jobs: &[(FileId, SiteId)]) -> Result<usize> {
        let mut guarded = 0;
        for (file, to) in jobs {
            let (_, slot) = self.look(*file, *to)?;
            if slot.job.is_some_and(|state| is_free(state) || state == Bucket::Held) {
                self.set_state(*file, *to, Bucket::Guarded)?;
                guarded += 1;
            }
        }
        Ok(guarded)
    }

    pub(super) fn unguard(
        &mut self,
        project: ProjectId,
        guard: Option<(HoldKind, SiteId)>,
    ) -> Result<usize> {
        let (kind, site) =
            guard.map_or((None, None), |(kind, site)| (Some(kind.name()), Some(site)));
        self.conn
            .prepare_cached(
                "DELETE FROM hold WHERE project = ?1 AND (?2 IS NULL OR kind = ?2 AND site = ?3)",
            )?
            .execute((project, kind, site))?;
        let mut freed_jobs = 0;
        let mut directions = self.view().directions(project)?;
        directions.retain(|way| guard.is_none_or(|guard| guard == (HoldKind::of(*way), way.0)));
        for (to, from) in directions {
            let jobs: Vec<(FileId, Millis, RepresentationId)> = {
                let mut find = self.conn.prepare_cached(
                    "SELECT j.file, j.not_before, f.representation
                     FROM job j INDEXED BY job_order CROSS JOIN file f ON f.id = j.file
                     WHERE j.project = ?1 AND j.to_site = ?2 AND j.from_site = ?3
                       AND j.state = ?4",
                )?;
                let found = find.query_map((project, to, from, Bucket::Guarded), |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })?;
                found.collect::<rusqlite::Result<_>>()?
            };
            freed_jobs += jobs.len();
            for (file, not_before, representation) in jobs {
                let state = self.obeying(freed(not_before), representation, to)?;
                self.set_state(file, to, state)?;
            }
        }
        Ok(freed_jobs)
    }

    pub(super) fn unguard_file(
        &mut self,
        file: FileId,
        at: SiteId,
        kind: Option<HoldKind>,
    ) -> Result<bool> {
        let (facts, slot) = self.look(file, at)?;
        if slot.job != Some(Bucket::Guarded) {
            return Ok(false);
        }
        let (from, not_before): (SiteId, Millis) = {
            let mut find = self.conn.prepare_cached(
                "SELECT from_site, not_before FROM job WHERE file = ?1 AND to_site = ?2",
            )?;
            find.query_row((file, at), |row| Ok((row.get(0)?, row.get(1)?)))?
        };
        if kind.is_some_and(|kind| kind != HoldKind::of((at, from))) {
            return Ok(false);
        }
        let state = self.obeying(freed(not_before), facts.representation, at)?;
        self.set_state(file, at, state)?;
        Ok(true)
    }

    pub(super) fn project_of_representation(
        &mut self,
        representation: RepresentationId,
    ) -> Result<ProjectId> {
        let known = self.memory.representation.filter(|(known, _)| *known == representation);
        if let Some((_, project)) = known {
            return Ok(project);
        }
        let mut find =
            self.conn.prepare_cached("SELECT project FROM representation WHERE id = ?1")?;
        let found = find.query_row([representation], |row| row.get(0)).optional()?;
        let project = found.ok_or_else(|| unknown("representation", representation.0))?;
        self.memory.representation = Some((representation, project));
        Ok(project)
    }
}

/// Whether a job that is stored so is or will be ready.
fn is_free(state: Bucket) -> bool {
    matches!(state, Bucket::Ready | Bucket::Waiting | Bucket::Parked)
}

/// What a job becomes that is no longer kept back. A time that has come wakes it at once.
fn freed(not_before: Millis) -> Bucket {
    if not_before > 0 { Bucket::Waiting } else { Bucket::Ready }
}
