//! Bringing files to a site, sending them again, and what comes first.

use std::collections::{BTreeSet, HashMap};

use serde_json::json;
use tokio::sync::mpsc;

use super::selection::{Only, Selected, Selection};
use super::{Answer, Desk, Refused, Report};
use crate::catalog::{
    self, FileRow, FileState, Have, HoldKind, Job, JobState, Millis, STALE, SiteId, Unit,
};
use crate::engine::belonging::Belonging;
use crate::engine::validate::Now;
use crate::publish::echoed;
use crate::settings::Project;

/// The highest priority: of what somebody waits for.
pub(super) const URGENT: i64 = 1001;

/// Files that are meant, and where.
#[derive(Debug, Clone)]
pub(super) struct Meant<'a> {
    pub project: &'a str,
    pub what: &'a [String],
    pub site: Option<&'a str>,
    /// Only those that are so at the site, or at any.
    pub state: Option<&'a str>,
}

/// The same, found.
struct Found {
    belonging: Belonging,
    selection: Selection,
    site: Option<SiteId>,
}

impl<'a> Meant<'a> {
    /// The same at a site.
    pub(super) fn at(&self, site: &'a str) -> Self {
        Meant { site: Some(site), ..self.clone() }
    }

    /// The files that are meant.
    pub(super) async fn selection(&self, desk: &Desk) -> Result<Selection, Refused> {
        Ok(self.find(desk).await?.selection)
    }

    async fn find(&self, desk: &Desk) -> Result<Found, Refused> {
        let project = desk.project(self.project)?;
        let site = self.site.map(|site| desk.site(site)).transpose()?;
        let (_, site) = desk.keys(&project.name, site.as_deref()).await?;
        let belonging = desk.belonging(&project).await?;
        let only = self.only(desk, &belonging, site)?;
        let selection = match only {
            Some(only) if self.what.is_empty() => Selection::in_state(belonging.project, only),
            Some(only) => desk.select(&project, self.what)?.only(only),
            None if self.what.is_empty() => {
                return Err(Refused::wrong("nothing is selected")
                    .hint("name representations or files; `sitesync show PROJECT` lists them"));
            }
            None => desk.select(&project, self.what)?,
        };
        Ok(Found { belonging, selection, site })
    }

    /// Which files are meant, where a state is named: at the site, or at any.
    fn only(
        &self,
        desk: &Desk,
        belonging: &Belonging,
        site: Option<SiteId>,
    ) -> Result<Option<Only>, Refused> {
        let Some(state) = self.state.map(state).transpose()? else { return Ok(None) };
        let sites = site.map_or_else(|| belonging.sites(), |site| vec![site]);
        let apart = desk.read(|view| Ok(view.apart(belonging.project)?))?;
        Ok(Some(Only { sites, state, apart }))
    }
}

/// A state by its name.
pub(crate) fn state(name: &str) -> Result<FileState, Refused> {
    FileState::ALL.into_iter().find(|state| state.name() == name).ok_or_else(|| {
        let all: Vec<&str> = FileState::ALL.iter().map(|state| state.name()).collect();
        Refused::wrong(format!("there is no state '{}'", echoed(name)))
            .hint(format!("states are: {}", all.join(", ")))
    })
}

/// What became of files that were asked for.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    files: u64,
    there: u64,
    queued: u64,
    under_way: u64,
    conflicts: u64,
    nowhere: u64,
}

/// Brings files to a site, those of a representation that come later too.
pub(super) async fn request(
    desk: &Desk,
    meant: &Meant<'_>,
    priority: Option<i64>,
    report: &mpsc::Sender<Report>,
) -> Answer {
    if priority.is_some_and(|priority| !(1..=URGENT).contains(&priority)) {
        return Err(Refused::wrong("priorities go from 1 to 1000, the higher the sooner"));
    }
    let project = desk.project(meant.project)?;
    let reached = |site| {
        desk.site(site)?;
        reached(&project, site)
    };
    let site = meant.site.map(reached).transpose()?;
    let found = Meant { site: site.as_deref(), ..meant.clone() }.find(desk).await?;
    let Some(to) = found.site else {
        return Err(Refused::wrong("to which site?").hint("name it with --site"));
    };
    let bringing = Bringing { belonging: found.belonging, to, priority };
    let time = desk.engine.time.clone();
    let bring = move |unit: &mut dyn Unit, one: &Selected, sums: &mut Sums| {
        bringing.bring(unit, one, time.now(), sums)
    };
    let hear = |sums: &Sums| {
        let _ = report.try_send(Report { done: sums.files, ..Report::default() });
    };
    let sums = desk.for_each(found.selection, Sums::default(), bring, hear).await?;
    desk.wake();
    Ok(json!({
        "files": sums.files, "there": sums.there, "queued": sums.queued,
        "under_way": sums.under_way, "conflicts": sums.conflicts, "nowhere": sums.nowhere,
    }))
}

/// The site by which this host brings files to a site: itself, or the same storage seen another way.
pub(super) fn reached(project: &Project, site: &str) -> Result<String, Refused> {
    let ends: BTreeSet<&String> = project.pairs.iter().flatten().collect();
    let own = ends.iter().find(|end| end.as_str() == site);
    let alike = || ends.iter().find(|end| project.alternatives(site).contains(**end));
    own.or_else(alike).map(|end| (*end).clone()).ok_or_else(|| {
        let why =
            format!("this host brings no files of '{}' to '{}'", project.name, site.escape_debug());
        Refused::wrong(why).hint("`sitesync projects` shows between which sites it works")
    })
}

struct Bringing {
    belonging: Belonging,
    to: SiteId,
    priority: Option<i64>,
}

impl Bringing {
    fn bring(
        &self,
        unit: &mut dyn Unit,
        one: &Selected,
        now: Millis,
        sums: &mut Sums,
    ) -> catalog::Result<()> {
        let (row, to) = (&one.row, self.to);
        let of = row.representation;
        if one.whole {
            // What was said of the file alone counts no more.
            unit.put_want(of, Some(row.id), to, None)?;
            unit.put_want(of, None, to, Some(true))?;
        } else {
            unit.put_want(of, Some(row.id), to, Some(true))?;
        }
        unit.reset(of, Some(row.id), Some(to))?;
        self.belonging.asked(unit, row.id, now)?;
        // Who asks for a file means it, whatever else is stopped.
        unit.release_file(row.id, to, Some(HoldKind::Change))?;
        sums.files += 1;
        let Some(row) = unit.file_by_id(row.id)? else { return Ok(()) };
        let job = row.jobs.iter().find(|job| job.to == to && !job.removes());
        let disputed =
            |job: &Job| job.state == JobState::Conflict && [job.to, job.from].contains(&to);
        match job {
            _ if row.jobs.iter().any(disputed) => sums.conflicts += 1,
            _ if self.belonging.is_there(&row, to) => sums.there += 1,
            Some(job) if job.state == JobState::InProgress => sums.under_way += 1,
            Some(job) => {
                sums.queued += 1;
                if let Some(priority) = self.priority.filter(|now| *now != job.priority) {
                    unit.put_job(row.id, &job.with_priority(priority))?;
                }
            }
            None if self.belonging.is_on_its_way(&row, to) => sums.under_way += 1,
            None => sums.nowhere += 1,
        }
        Ok(())
    }
}

/// Sends files again: what was given up, and at a site that is named also what is there.
pub(super) async fn reset(desk: &Desk, meant: &Meant<'_>) -> Answer {
    let Found { belonging, selection, site, .. } = meant.find(desk).await?;
    // What was damaged there behind our back is what is to be replaced.
    let now = match (meant.site, site) {
        (Some(name), Some(key)) => {
            let project = desk.project(meant.project)?;
            let there = |row: &FileRow| row.newest_at(key).is_some();
            desk.look(&project, name, &selection, there).await?
        }
        _ => HashMap::new(),
    };
    let time = desk.engine.time.clone();
    let again = move |unit: &mut dyn Unit, one: &Selected, files: &mut u64| {
        let row = &one.row;
        let mut done = unit.reset(row.representation, Some(row.id), site)? > 0;
        for job in row.jobs.iter().filter(|job| site.is_none_or(|site| site == job.to)) {
            done |= unit.release_file(row.id, job.to, Some(HoldKind::Change))?;
        }
        if let Some(have) = site.and_then(|site| row.newest_at(site))
            && belonging.source(row, have.site).is_some()
        {
            let outdated = match now.get(&row.id) {
                Some(Now::Other(now)) => now.clone(),
                _ => Have { generation: STALE, ..have.clone() },
            };
            unit.put_have(row.id, &outdated)?;
            done |= belonging.settle_file(unit, row.id, time.now())? > 0;
        }
        *files += u64::from(done);
        Ok(())
    };
    let files = desk.for_each(selection, 0, again, |_| {}).await?;
    desk.wake();
    Ok(json!({"files": files}))
}

/// Sets what comes first.
pub(super) async fn prioritise(desk: &Desk, meant: &Meant<'_>, priority: i64) -> Answer {
    if !(0..URGENT).contains(&priority) {
        return Err(Refused::wrong("priorities go from 1 to 1000, the higher the sooner")
            .hint("0 gives representations their project's priority again"));
    }
    let found = meant.find(desk).await?;
    let site = found.site;
    let set = move |unit: &mut dyn Unit, one: &Selected, sums: &mut (usize, BTreeSet<_>)| {
        let (jobs, done) = sums;
        if one.whole && site.is_none() {
            if done.insert(one.row.representation) {
                *jobs += unit.set_priority(one.row.representation, priority)?;
            }
            return Ok(());
        }
        let meant = |job: &&Job| site.is_none_or(|site| site == job.to);
        let waits = |job: &&Job| job.state != JobState::InProgress;
        for job in one.row.jobs.iter().filter(waits).filter(meant) {
            unit.put_job(one.row.id, &job.with_priority(priority.max(1)))?;
            *jobs += 1;
        }
        Ok(())
    };
    let sums = (0, BTreeSet::new());
    let (jobs, done) = desk.for_each(found.selection, sums, set, |_| {}).await?;
    desk.wake();
    Ok(json!({"representations": done.len(), "queued": jobs}))
}
