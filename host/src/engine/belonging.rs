//! Where files of a project belong: by its settings, and by what people asked for.

use std::collections::BTreeSet;

use crate::catalog::{
    FileId, FileRow, Job, JobState, Millis, ProjectId, RepresentationId, Result, RootId, SiteId,
    UNKNOWN, Unit, View,
};
use crate::settings::{Project, Travel};
use crate::sites::Sites;

/// A site that the catalog does not know.
const NOWHERE: SiteId = SiteId(-1);

/// Where files of one project belong, and along which ways they get there.
#[derive(Debug, Clone)]
pub struct Belonging {
    /// The project.
    pub project: ProjectId,
    /// Where people work.
    pub active: SiteId,
    /// Where it goes to, or comes from.
    pub remote: SiteId,
    /// What a new job gets: 1 to 1001.
    pub priority: i64,
    /// Sites of which everything goes everywhere that its rule says: those of
    /// `always_accessible_on`.
    always: Vec<SiteId>,
    upload: bool,
    download: bool,
    /// Between these sites this host brings files.
    pairs: Vec<[SiteId; 2]>,
    /// The roots that these sites have.
    roots: Vec<(SiteId, RootId)>,
    /// Sites with the others that are the same storage.
    alike: Vec<(SiteId, Vec<SiteId>)>,
}

impl Belonging {
    /// Of a project, by its settings; makes the keys of the project and its sites.
    pub fn of(unit: &mut dyn Unit, sites: &Sites, project: &Project) -> Result<Self> {
        let id = unit.put_project(&project.name)?;
        let key = &mut |site: &str| unit.put_site(sites.catalog_name(site));
        let mut belonging = Belonging::with(id, project, key)?;
        for (site, root) in roots(project) {
            let site = unit.put_site(sites.catalog_name(site))?;
            belonging.roots.push((site, unit.put_root(id, root)?));
        }
        Ok(belonging)
    }

    /// Likewise, from a catalog that is only read; `None` where the project is not known. Where a site
    /// is not, nothing is there. `catalog_name` says what the catalog calls a site of the settings.
    pub fn known(
        view: &dyn View,
        catalog_name: &dyn Fn(&str) -> String,
        project: &Project,
    ) -> Result<Option<Self>> {
        let Some(id) = view.project(&project.name)? else { return Ok(None) };
        let mut key = |site: &str| Ok(view.site(&catalog_name(site))?.unwrap_or(NOWHERE));
        let mut belonging = Belonging::with(id, project, &mut key)?;
        for (site, root) in roots(project) {
            let site = key(site)?;
            belonging.roots.extend(view.root(id, root)?.map(|root| (site, root)));
        }
        Ok(Some(belonging))
    }

    fn with(
        id: ProjectId,
        project: &Project,
        key: &mut dyn FnMut(&str) -> Result<SiteId>,
    ) -> Result<Self> {
        let mut alike = Vec::new();
        for (name, site) in &project.sites {
            if !site.alternatives.is_empty() {
                let others: Result<Vec<SiteId>> =
                    site.alternatives.iter().map(|site| key(site)).collect();
                alike.push((key(name)?, others?));
            }
        }
        let mut pairs = Vec::with_capacity(project.pairs.len());
        for [one, other] in &project.pairs {
            pairs.push([key(one)?, key(other)?]);
        }
        let always: Result<Vec<SiteId>> =
            project.always_accessible_on.iter().map(|site| key(site)).collect();
        Ok(Belonging {
            project: id,
            active: key(&project.active_site)?,
            remote: key(&project.remote_site)?,
            priority: i64::from(project.priority),
            always: always?,
            upload: project.upload == Travel::All,
            download: project.download == Travel::All,
            pairs,
            roots: Vec::new(),
            alike,
        })
    }

    /// The sites between which its files travel, each once.
    #[must_use]
    pub fn sites(&self) -> Vec<SiteId> {
        let mut sites = vec![self.active, self.remote];
        sites.extend(&self.always);
        let mut seen = Vec::with_capacity(sites.len());
        sites.retain(|site| {
            !seen.contains(site) && {
                seen.push(*site);
                true
            }
        });
        sites
    }

    /// Whether everything comes to a site by itself.
    #[must_use]
    pub fn rule(&self, site: SiteId) -> bool {
        (site == self.remote && self.upload)
            || (site == self.active && self.download)
            || self.always.contains(&site)
    }

    /// Whether a file belongs at a site: as was asked for it, else by the rule, else because it has
    /// been there before.
    #[must_use]
    pub fn wanted(&self, row: &FileRow, site: SiteId) -> bool {
        let asked = row.wants.iter().find(|(at, _)| *at == site);
        asked.map_or_else(|| self.rule(site) || row.at(site).is_some(), |(_, wanted)| *wanted)
    }

    /// Whether something brings a file to the same storage, seen another way.
    #[must_use]
    pub fn is_on_its_way(&self, row: &FileRow, site: SiteId) -> bool {
        let alike = self.alike(site);
        row.jobs.iter().any(|job| !job.removes() && alike.contains(&job.to))
    }

    /// Whether a file belongs at a site, is not there, and nothing brings it there or to the same
    /// storage seen another way.
    #[must_use]
    pub fn lacks(&self, row: &FileRow, site: SiteId) -> bool {
        let busy = row.jobs.iter().any(|job| job.to == site);
        let settled = busy || self.is_there(row, site) || self.is_on_its_way(row, site);
        self.wanted(row, site) && !settled
    }

    /// Whether a site has the newest content of a file, itself or as the same storage seen another
    /// way.
    #[must_use]
    pub fn is_there(&self, row: &FileRow, site: SiteId) -> bool {
        let newest = |site| row.newest_at(site).is_some();
        newest(site) || self.alike(site).iter().any(|site| newest(*site))
    }

    /// The other sites that are the same storage.
    #[must_use]
    pub fn alike(&self, site: SiteId) -> &[SiteId] {
        self.alike.iter().find(|(one, _)| *one == site).map_or(&[], |(_, others)| others)
    }

    /// Whether a site has the root of a file.
    #[must_use]
    pub fn has_root(&self, row: &FileRow, site: SiteId) -> bool {
        self.roots.contains(&(site, row.root))
    }

    /// From where a file can be brought to a site: a site that has its newest content, which is not to
    /// be removed there. Both have its root.
    #[must_use]
    pub fn source(&self, row: &FileRow, to: SiteId) -> Option<SiteId> {
        if !self.has_root(row, to) {
            return None;
        }
        self.pairs.iter().find_map(|pair| {
            let from = match *pair {
                [from, other] | [other, from] if other == to => from,
                _ => return None,
            };
            let have = row.newest_at(from);
            have.filter(|_| self.has_root(row, from) && !is_to_go(row, from)).map(|_| from)
        })
    }

    /// Whether what arrives at a site may have to travel on to a third one.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.pairs.len() > 1
    }

    /// Somebody asks for a file, or says that it may be where it is: what is still to be deleted because
    /// it was deleted elsewhere is not. Then it is settled.
    pub fn asked(&self, unit: &mut dyn Unit, file: FileId, now: Millis) -> Result<u64> {
        let Some(row) = unit.file_by_id(file)? else { return Ok(0) };
        let waits = |job: &&Job| job.removes() && job.state != JobState::InProgress;
        if row.wants.iter().any(|(_, wanted)| *wanted) {
            row.jobs.iter().filter(waits).try_for_each(|job| unit.drop_job(file, job.to))?;
        }
        self.settle_file(unit, file, now)
    }

    /// Does [`settle`](Self::settle) for a file by its key.
    pub fn settle_file(&self, unit: &mut dyn Unit, file: FileId, now: Millis) -> Result<u64> {
        unit.file_by_id(file)?.map_or(Ok(0), |row| self.settle(unit, row, now))
    }

    /// Makes the jobs that a file lacks: to each site where it belongs, is not, and can be brought.
    /// What is to be compared first, was given up or waits is left as it is, and nothing is brought to
    /// where somebody asked that it be not. Returns how many.
    pub fn settle(&self, unit: &mut dyn Unit, mut row: FileRow, now: Millis) -> Result<u64> {
        self.redirect(unit, &mut row)?;
        self.bring(unit, &row, false, 0, now)
    }

    /// Makes the jobs that a file lacks. `not_before` is when the new content has settled; 0 if it has.
    /// Where older content is, a guard keeps them back if `guarded`. Returns how many.
    pub(super) fn bring(
        &self,
        unit: &mut dyn Unit,
        row: &FileRow,
        guarded: bool,
        not_before: Millis,
        now: Millis,
    ) -> Result<u64> {
        let mut made = 0;
        for to in self.sites() {
            if !self.lacks(row, to) {
                continue;
            }
            let Some(from) = self.source(row, to) else { continue };
            let older = row.at(to).is_some_and(|have| have.generation > UNKNOWN);
            let state = match not_before {
                _ if guarded && older => JobState::Held,
                0 => JobState::Ready,
                _ => JobState::Waiting,
            };
            let job = self.job(unit, row, (from, to), now)?;
            unit.put_job(row.id, &Job { state, not_before, ..job })?;
            made += 1;
        }
        Ok(made)
    }

    /// Puts what is still to be done in order, after anything about a file changed: has it come from
    /// where the newest content is, and drops what nobody is to do, or can. The row follows.
    pub(super) fn redirect(&self, unit: &mut dyn Unit, row: &mut FileRow) -> Result<()> {
        // Each turn drops a job, or has one come from where it can, for good.
        while let Some((at, course)) = self.misdirected(row) {
            match course {
                Some(from) => {
                    row.jobs[at] = row.jobs[at].coming_from(from);
                    unit.put_job(row.id, &row.jobs[at])?;
                }
                None => unit.drop_job(row.id, row.jobs.swap_remove(at).to)?,
            }
        }
        Ok(())
    }

    /// A job that is not to be done as it is: its place, and from where it is to come, if from anywhere.
    fn misdirected(&self, row: &FileRow) -> Option<(usize, Option<SiteId>)> {
        let newest = |site| row.newest_at(site).is_some();
        // It will have it, one day.
        let comes = |site| row.job_to(site).is_some_and(|job| !job.removes());
        row.jobs.iter().enumerate().find_map(|(at, job)| {
            if job.removes() || matches!(job.state, JobState::InProgress | JobState::Conflict) {
                return None;
            }
            // What is there and was never compared, or is torn, is still seen to.
            let known = row.at(job.to).is_none_or(|have| have.generation > UNKNOWN);
            if newest(job.to) || (known && row.wants.contains(&(job.to, false))) {
                return Some((at, None));
            }
            if newest(job.from) {
                return None;
            }
            match self.source(row, job.to) {
                None if comes(job.from) => None,
                from => Some((at, from)),
            }
        })
    }

    /// The priority of work on a representation: its own, or the project's.
    pub fn priority_of(&self, view: &dyn View, of: RepresentationId) -> Result<i64> {
        let own = view.representation(of)?.map_or(0, |of| of.priority);
        Ok(if own == 0 { self.priority } else { own })
    }

    /// A job that is ready, with the priority of the file's representation.
    pub fn job(
        &self,
        view: &dyn View,
        row: &FileRow,
        (from, to): (SiteId, SiteId),
        now: Millis,
    ) -> Result<Job> {
        Ok(Job {
            to,
            from,
            state: JobState::Ready,
            priority: self.priority_of(view, row.representation)?,
            queued_at: now,
            not_before: 0,
            tries: 0,
            sent: None,
            token: None,
            error: None,
        })
    }
}

/// The sites between which a project's files travel, with the names of their roots.
fn roots(project: &Project) -> impl Iterator<Item = (&String, &String)> {
    let sites: BTreeSet<&String> = project.pairs.iter().flatten().collect();
    sites.into_iter().flat_map(|site| project.roots(site).keys().map(move |root| (site, root)))
}

/// Whether a file is to be removed at a site, because somebody deleted it elsewhere.
pub(super) fn is_to_go(row: &FileRow, site: SiteId) -> bool {
    row.job_to(site).is_some_and(Job::removes)
}
