//! What a run would do, without doing it.
//!
//! The engine that rehearses has a catalog of its own, which is thrown away: a copy of the real one. Both
//! ends are looked at as ever, what that means is planned, and nothing is transferred. Roots that were
//! never used are given no marker.

use std::collections::BTreeMap;
use std::sync::Arc;

use sitesync_provider::join;
use tokio::sync::Semaphore;

use super::belonging::Belonging;
use super::pair::{Pair, Side};
use super::run::{End, Run};
use super::schedule::{Engine, Mode};
use super::siblings::Siblings;
use crate::catalog::{
    self, Apart, FileId, FileRow, FileState, Job, JobState, ProjectId, RootId, SiteId, UNKNOWN,
    View,
};
use crate::settings::{Project, Travel};
use crate::sites::{Fault, read_identity};

/// Files of one read.
const PAGE: usize = 1000;

/// What a run would do.
#[derive(Debug, Default)]
pub struct Rehearsal {
    /// By project, and from where to where.
    pub ways: Vec<Way>,
    /// The first files of all projects.
    pub first: Vec<Planned>,
    /// Files that can't travel as things are: given up, or in conflict.
    pub failed: u64,
    /// Sites that could not be used.
    pub offline: Vec<(String, Fault)>,
    /// Pairs of a project between which the storage copies by itself.
    copied: Vec<(String, [String; 2])>,
}

/// What would go from one site to another, or be deleted at one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Way {
    /// The project.
    pub project: String,
    /// The site's name in the settings.
    pub from: String,
    /// Likewise; the same for what would be deleted there.
    pub to: String,
    /// Files that would be copied, or deleted,
    pub files: u64,
    /// and their bytes.
    pub bytes: u64,
    /// How many of them would replace something.
    pub replaced: u64,
    /// Files that are at both ends: they would be compared, and not copied if they are equal.
    pub compared: u64,
    /// What all of these have in bytes.
    pub compared_bytes: u64,
    /// Of all these, how many are held back by a person or a guard.
    pub held: u64,
    /// The storage copies them itself: `bandwidth` and `requests_per_second` do not count.
    pub copied: bool,
}

/// A file that would travel.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The project.
    pub project: String,
    /// The root's name.
    pub root: String,
    /// Its path beneath the root.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// From which site,
    pub from: String,
    /// and to which.
    pub to: String,
    /// What selected it.
    pub rule: String,
}

impl Engine {
    /// Looks at these projects, and says what a run would do. The engine's catalog must be a copy: it
    /// is changed. At most `named` files are told by name.
    pub async fn rehearse(
        &self,
        projects: &[Project],
        named: usize,
    ) -> Result<Rehearsal, catalog::Error> {
        let mut rehearsal = Rehearsal::default();
        for project in projects {
            for pair in &project.pairs {
                match self.look_at(project, pair).await {
                    Ok(copied) if copied => {
                        rehearsal.copied.push((project.name.clone(), pair.clone()));
                    }
                    Ok(_) => {}
                    Err(End::Offline(fault)) => {
                        rehearsal.offline.push((project.name.clone(), fault));
                    }
                    Err(End::Catalog(error)) => return Err(error),
                }
            }
            self.sum_up(project, named, &mut rehearsal).await?;
        }
        Ok(rehearsal)
    }

    /// Looks at both ends of a pair, and plans. Returns whether the storage copies between them.
    async fn look_at(&self, project: &Project, names: &[String; 2]) -> Result<bool, End> {
        for site in names {
            self.note_identities(project, site).await?;
        }
        let surveys = Arc::new(Semaphore::new(8));
        let Engine { sites, catalog, dice, ours, .. } = self;
        let pair = Pair::open(sites, catalog, dice, project, names, ours).await?;
        // As a run begins.
        let (id, sites) = (pair.project, Side::BOTH.map(|side| pair.site(side)));
        let begin = move |unit: &mut dyn catalog::Unit| {
            for (to, from) in sites.iter().flat_map(|to| sites.map(|from| (*to, from))) {
                unit.release(id, to, from, &[])?;
            }
            unit.reset_failed(id)
        };
        self.catalog.write(begin).await?;
        let sibling = Arc::new(Arc::<Siblings>::default().join());
        let run = Run::new(self.clone(), pair, Mode::Once, surveys, sibling);
        run.watch().await?;
        let roots = run.pair.roots();
        Ok(!roots.is_empty() && roots.iter().all(|root| root.same_instance()))
    }

    /// Has the catalog know roots that were never used by what they are now: they are not marked.
    async fn note_identities(&self, project: &Project, site: &str) -> Result<(), End> {
        for (name, path) in project.roots(site).iter() {
            let root = self.sites.open_for(site, project.site_settings(site), path).await?;
            let found = read_identity(&root, &root.info).await;
            let found = found.map_err(|error| Fault::new(site, &error))?;
            let identity =
                found.map_or_else(|| format!("root:{}", root.info.root_id), |found| found.text());
            let (of, at, name) =
                (project.name.clone(), self.sites.catalog_name(site).to_owned(), name.clone());
            let note = move |unit: &mut dyn catalog::Unit| {
                let (project, site) = (unit.put_project(&of)?, unit.put_site(&at)?);
                let root = unit.put_root(project, &name)?;
                if unit.root_identity(root, site)?.is_none() {
                    unit.put_root_identity(root, site, &identity)?;
                }
                Ok(())
            };
            self.catalog.write(note).await?;
        }
        Ok(())
    }

    /// Counts what is to be done for a project.
    async fn sum_up(
        &self,
        project: &Project,
        named: usize,
        rehearsal: &mut Rehearsal,
    ) -> Result<(), catalog::Error> {
        let (sites, of) = (self.sites.clone(), project.clone());
        let (belonging, names, roots) = self
            .catalog
            .write(move |unit| {
                let belonging = Belonging::of(unit, &sites, &of)?;
                let mut names = BTreeMap::new();
                for name in of.sites.keys() {
                    names.insert(unit.put_site(sites.catalog_name(name))?, name.clone());
                }
                let mut roots = BTreeMap::new();
                for name in of.sites.values().flat_map(|site| site.roots.keys()) {
                    roots.insert(unit.put_root(belonging.project, name)?, name.clone());
                }
                Ok((belonging, names, roots))
            })
            .await?;
        let apart = self.catalog.read(|view| view.apart(belonging.project))?;
        let (names, roots) = (&names, &roots);
        let sum = Sum { project, belonging: &belonging, names, roots, apart };
        tokio::task::block_in_place(|| {
            self.catalog.read(|view| {
                for site in belonging.sites() {
                    for state in [FileState::Queued, FileState::Paused] {
                        sum.all(view, site, state, named, rehearsal)?;
                    }
                }
                let counts = view.counts(belonging.project)?;
                let failed = counts.iter().filter(|count| count.state == FileState::Failed);
                rehearsal.failed += failed.map(|count| count.files).sum::<u64>();
                Ok(())
            })
        })
    }
}

struct Sum<'a> {
    project: &'a Project,
    belonging: &'a Belonging,
    names: &'a BTreeMap<SiteId, String>,
    roots: &'a BTreeMap<RootId, String>,
    apart: Apart,
}

impl Sum<'_> {
    fn all(
        &self,
        view: &dyn View,
        site: SiteId,
        state: FileState,
        named: usize,
        rehearsal: &mut Rehearsal,
    ) -> catalog::Result<()> {
        let of: ProjectId = self.belonging.project;
        let mut after = FileId(0);
        loop {
            let page = view.files_in_state(of, site, state, after, PAGE)?;
            let Some((_, _, last)) = page.last() else { return Ok(()) };
            after = last.id;
            for (root, folder, row) in page {
                let Some(job) = row.job_to(site) else { continue };
                self.one(&row, job, rehearsal);
                if rehearsal.first.len() < named {
                    rehearsal.first.push(Planned {
                        project: self.project.name.clone(),
                        root: self.roots.get(&root).cloned().unwrap_or_default(),
                        path: join(&folder, &row.name),
                        size: row.size,
                        from: self.name(job.from),
                        to: self.name(job.to),
                        rule: self.rule(&row, job),
                    });
                }
            }
        }
    }

    fn name(&self, site: SiteId) -> String {
        self.names.get(&site).cloned().unwrap_or_default()
    }

    fn one(&self, row: &FileRow, job: &Job, rehearsal: &mut Rehearsal) {
        let (from, to) = (self.name(job.from), self.name(job.to));
        let is_it =
            |way: &Way| way.project == self.project.name && way.from == from && way.to == to;
        let known = rehearsal.ways.iter().position(is_it);
        let at = known.unwrap_or_else(|| {
            let project = self.project.name.clone();
            let copied = rehearsal.copied.iter().any(|(of, ends)| {
                *of == project && from != to && ends.contains(&from) && ends.contains(&to)
            });
            rehearsal.ways.push(Way { project, from, to, copied, ..Way::default() });
            rehearsal.ways.len() - 1
        });
        let way = &mut rehearsal.ways[at];
        let there = row.at(job.to);
        way.held += u64::from(self.apart.state(job) == JobState::Held);
        if there.is_some_and(|have| have.generation == UNKNOWN) {
            way.compared += 1;
            way.compared_bytes += row.size;
            return;
        }
        way.files += 1;
        way.bytes += row.size;
        way.replaced += u64::from(there.is_some() && job.from != job.to);
    }

    /// What selected a file.
    fn rule(&self, row: &FileRow, job: &Job) -> String {
        let (project, site) = (self.project, job.to);
        if job.from == job.to {
            return "deletes = \"propagate\"".into();
        }
        if row.at(site).is_some_and(|have| have.generation == UNKNOWN) {
            return "it is at both sites, and nobody has compared them yet".into();
        }
        if row.wants.iter().any(|(at, wanted)| *at == site && *wanted) {
            return "it was asked for".into();
        }
        if row.at(site).is_some() {
            return "it was there before, and has changed".into();
        }
        if site == self.belonging.remote && project.upload == Travel::All {
            return "upload = \"all\"".into();
        }
        if site == self.belonging.active && project.download == Travel::All {
            return "download = \"all\"".into();
        }
        let name = self.name(site);
        if project.always_accessible_on.contains(&name) {
            return format!("always_accessible_on = [\"{name}\"]");
        }
        "it was queued before".into()
    }
}
