//! What wide pauses (of the host, a project, a site) reach. They change no job: that what they reach is
//! paused is derived here, whenever it is read.

use rusqlite::types::Value;

use super::reader::{Snapshot, Sum, pause_queued};
use super::tally::Bucket;
use super::{FileState, Job, JobState, Pause, ProjectId, RepresentationId, Result, SiteId};

impl Pause {
    /// Whether it is of all that a project does between these sites.
    #[must_use]
    pub fn keeps_apart(&self, project: ProjectId, sites: [SiteId; 2]) -> bool {
        self.is_wide_of(project) && self.scope.site.is_none_or(|site| sites.contains(&site))
    }

    /// Whether it is of the host, of this project or of a site.
    fn is_wide_of(&self, project: ProjectId) -> bool {
        self.scope.representation.is_none() && self.scope.project.is_none_or(|of| of == project)
    }
}

/// Between which sites a project's work is paused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Apart {
    /// All of it.
    all: bool,
    /// All that goes to or comes from these.
    sites: Vec<SiteId>,
}

impl Apart {
    /// What these pauses keep a project from doing.
    pub(super) fn by(pauses: &[Pause], project: ProjectId) -> Self {
        let wide = || pauses.iter().filter(|pause| pause.is_wide_of(project));
        Apart {
            all: wide().any(|pause| pause.scope.site.is_none()),
            sites: wide().filter_map(|pause| pause.scope.site).collect(),
        }
    }

    /// Whether nothing is paused so.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        !self.all && self.sites.is_empty()
    }

    /// Whether all that goes to a site is reached, wherever it comes from.
    fn reaches_all_to(&self, to: SiteId) -> bool {
        self.all || self.sites.contains(&to)
    }

    /// Whether work from one site to another, given as (to, from), is reached.
    pub(super) fn reaches_way(&self, (to, from): (SiteId, SiteId)) -> bool {
        self.reaches_all_to(to) || self.sites.contains(&from)
    }

    /// The state of a job as it is shown: what is queued is `Held` if it is reached.
    #[must_use]
    pub fn state(&self, job: &Job) -> JobState {
        self.state_of((job.to, job.from), job.state)
    }

    pub(super) fn state_of(&self, way: (SiteId, SiteId), state: JobState) -> JobState {
        let queued = matches!(state, JobState::Ready | JobState::Waiting);
        if queued && self.reaches_way(way) { JobState::Held } else { state }
    }

    /// Which buckets of work to a site are in a state, one bit each: as they are stored, and where a
    /// pause of the site from which it comes reaches it.
    pub(super) fn buckets(&self, to: SiteId, state: FileState) -> (i64, i64) {
        let work = || Bucket::ALL.into_iter().filter(|bucket| bucket.job_state().is_some());
        let bits = |reached: bool| {
            let is = |bucket: &Bucket| match bucket.file_state() {
                FileState::Queued if reached => state == FileState::Paused,
                other => state == other,
            };
            work().filter(is).fold(0_i64, |bits, bucket| bits | 1 << bucket as u8)
        };
        (bits(self.reaches_all_to(to)), bits(!self.is_nothing()))
    }

    /// The sites as a JSON list.
    pub(super) fn listed(&self) -> Value {
        let sites: Vec<String> = self.sites.iter().map(|site| site.0.to_string()).collect();
        Value::Text(format!("[{}]", sites.join(",")))
    }
}

impl Snapshot<'_> {
    /// Between which sites a project's work is paused now.
    pub(super) fn kept_apart(&self, project: ProjectId) -> Result<Apart> {
        Ok(Apart::by(&self.all_pauses()?, project))
    }

    /// In sums of a project, what is queued and reached by a wide pause becomes paused.
    pub(super) fn pause_reached(
        &self,
        project: ProjectId,
        apart: &Apart,
        sums: &mut Vec<Sum>,
    ) -> Result<()> {
        if apart.is_nothing() {
            return Ok(());
        }
        let mut queued = self.conn.prepare_cached(
            "SELECT COUNT(*), COALESCE(SUM(f.size), 0)
             FROM job j INDEXED BY job_order CROSS JOIN file f ON f.id = j.file
             WHERE j.project = ?1 AND j.to_site = ?2 AND j.from_site = ?3 AND j.state IN (0, 1, 5)",
        )?;
        let ways = if apart.all { Vec::new() } else { self.directions(project)? };
        let mut found = Vec::new();
        for way in ways.into_iter().filter(|way| apart.reaches_way(*way)) {
            let sum = queued.query_row((project, way.0, way.1), |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
            })?;
            found.push((way, sum));
        }
        reached(apart, sums, &found);
        Ok(())
    }

    /// Likewise, in those of a representation.
    pub(super) fn pause_reached_of(
        &self,
        representation: RepresentationId,
        apart: &Apart,
        sums: &mut Vec<Sum>,
    ) -> Result<()> {
        if apart.is_nothing() {
            return Ok(());
        }
        let mut found = Vec::new();
        if !apart.all {
            let mut queued = self.conn.prepare_cached(
                "SELECT j.to_site, j.from_site, COUNT(*), SUM(f.size)
                 FROM file f INDEXED BY file_of_representation CROSS JOIN job j ON j.file = f.id
                 WHERE f.representation = ?1 AND j.state IN (0, 1, 5) GROUP BY 1, 2",
            )?;
            let rows = queued.query_map([representation], |row| {
                Ok(((row.get(0)?, row.get(1)?), (row.get(2)?, row.get(3)?)))
            })?;
            found = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        }
        reached(apart, sums, &found);
        Ok(())
    }
}

/// Files and bytes that are queued to a site from another one.
type Queued = ((SiteId, SiteId), (i64, i64));

/// Counts what is queued and reached as paused. `queued` is what is queued where not all is reached.
fn reached(apart: &Apart, sums: &mut Vec<Sum>, queued: &[Queued]) {
    let mut sites: Vec<SiteId> = sums.iter().map(|sum| sum.site).collect();
    sites.sort_unstable();
    sites.dedup();
    for site in sites {
        if apart.reaches_all_to(site) {
            pause_queued(sums, site, None);
            continue;
        }
        for (way, sum) in queued.iter().filter(|(way, _)| way.0 == site) {
            if apart.reaches_way(*way) {
                pause_queued(sums, site, Some(*sum));
            }
        }
    }
}
