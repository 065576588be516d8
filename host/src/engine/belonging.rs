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

    /// Does [`settle`](Self::settle) for a file by its key.
    pub fn settle_file(&self, unit: &mut dyn Unit, file: FileId, now: Millis) -> Result<u64> {
        unit.file_by_id(file)?.map_or(Ok(0), |row| self.settle(unit, &row, now))
    }

    /// Makes the jobs that a file lacks: to each site where it belongs, is not, and can be brought.
    /// What is to be compared first, was given up or waits is left as it is; what somebody asked for
    /// is not deleted elsewhere, and nothing is brought to where somebody asked that it be not.
    /// Returns how many.
    pub fn settle(&self, unit: &mut dyn Unit, row: &FileRow, now: Millis) -> Result<u64> {
        let mut made = 0;
        let removals = row.jobs.iter().filter(|job| job.removes());
        let kept: Vec<_> = removals.filter(|job| job.state != JobState::InProgress).collect();
        let stays;
        let row = if !kept.is_empty() && row.wants.iter().any(|(_, wanted)| *wanted) {
            kept.into_iter().try_for_each(|job| unit.drop_job(row.id, job.to))?;
            let Some(now) = unit.file_by_id(row.id)? else { return Ok(0) };
            stays = now;
            &stays
        } else {
            row
        };
        drop_unwanted(unit, row)?;
        for to in self.sites() {
            if !self.lacks(row, to) {
                continue;
            }
            let Some(from) = self.source(row, to) else { continue };
            unit.put_job(row.id, &self.job(unit, row, (from, to), now)?)?;
            made += 1;
        }
        Ok(made)
    }

    /// Makes the jobs that a file lacks where older content is, and has a guard keep them back. `not_before`
    /// is when the new content has settled; 0 if it has.
    pub(super) fn replace(
        &self,
        unit: &mut dyn Unit,
        row: &FileRow,
        not_before: Millis,
        now: Millis,
    ) -> Result<()> {
        for to in self.sites() {
            let older = row.at(to).is_some_and(|have| have.generation > UNKNOWN);
            let Some(from) = self.source(row, to).filter(|_| older && self.lacks(row, to)) else {
                continue;
            };
            let job = self.job(unit, row, (from, to), now)?;
            unit.put_job(row.id, &Job { state: JobState::Held, not_before, ..job })?;
        }
        Ok(())
    }

    /// Has work come from where the newest content is, if that appeared elsewhere than at its source
    /// while it was under way. Where it appeared, nothing is to be brought any more.
    pub(super) fn reroute(&self, unit: &mut dyn Unit, row: &FileRow) -> Result<()> {
        let settled = |job: &Job| matches!(job.state, JobState::InProgress | JobState::Conflict);
        for job in row.jobs.iter().filter(|job| !job.removes() && !settled(job)) {
            let newest = |site| row.newest_at(site).is_some();
            if newest(job.to) {
                unit.drop_job(row.id, job.to)?;
                continue;
            }
            let newest = newest(job.from);
            if let Some(from) = self.source(row, job.to).filter(|_| !newest) {
                unit.put_job(row.id, &job.coming_from(from))?;
            }
        }
        Ok(())
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

/// Drops work that would bring a file to where somebody asked that it be not. What is there and was
/// never compared, or is torn, is still seen to; what is under way ends by itself.
pub(super) fn drop_unwanted(unit: &mut dyn Unit, row: &FileRow) -> Result<()> {
    for (site, _) in row.wants.iter().filter(|(_, wanted)| !wanted) {
        let open = |job: &&Job| {
            job.to == *site
                && !job.removes()
                && !matches!(job.state, JobState::InProgress | JobState::Conflict)
        };
        let known = row.at(*site).is_none_or(|have| have.generation > UNKNOWN);
        if known && row.jobs.iter().any(|job| open(&job)) {
            unit.drop_job(row.id, *site)?;
        }
    }
    Ok(())
}
