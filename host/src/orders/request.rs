//! Bringing files to a site, sending them again, and what comes first.

use std::collections::BTreeSet;

use serde_json::json;
use tokio::sync::mpsc;

use super::desk::PAGE;
use super::selection::{Place, Selected, Selection};
use super::{Answer, Desk, Refused, Report};
use crate::catalog::{self, FileState, Have, Job, JobState, Millis, STALE, SiteId, Unit};
use crate::engine::belonging::{Belonging, here};
use crate::settings::Project;

/// The highest priority: of what somebody waits for.
pub(super) const URGENT: i64 = 1001;

/// Files that are meant, and where.
#[derive(Debug, Clone)]
pub(super) struct Meant<'a> {
    pub project: &'a str,
    pub what: &'a [String],
    pub site: Option<&'a str>,
    /// Only those that are so at the site.
    pub state: Option<&'a str>,
}

/// The same, found.
struct Found {
    project: Project,
    belonging: Belonging,
    selection: Selection,
    site: Option<SiteId>,
}

impl Meant<'_> {
    async fn find(&self, desk: &Desk) -> Result<Found, Refused> {
        let project = desk.project(self.project)?;
        let site = self.site.map(|site| desk.site(site)).transpose()?;
        let (_, site) = desk.keys(&project.name, site.as_deref()).await?;
        let belonging = desk.belonging(&project).await?;
        let state = self.state.map(state).transpose()?;
        let selection = match (state, site) {
            (Some(_), None) => {
                return Err(Refused::wrong("a file has a state at each site: at which one?")
                    .hint("name it with --site"));
            }
            (Some(state), Some(site)) if self.what.is_empty() => {
                Selection::in_state(belonging.project, site, state)
            }
            (Some(state), Some(site)) => desk.select(&project, self.what)?.only(site, state),
            (None, _) if self.what.is_empty() => {
                return Err(Refused::wrong("nothing is selected")
                    .hint("name representations or files; `sitesync show PROJECT` lists them"));
            }
            (None, _) => desk.select(&project, self.what)?,
        };
        Ok(Found { project, belonging, selection, site })
    }
}

/// A state by its name.
fn state(name: &str) -> Result<FileState, Refused> {
    FileState::ALL.into_iter().find(|state| state.name() == name).ok_or_else(|| {
        let all: Vec<&str> = FileState::ALL.iter().map(|state| state.name()).collect();
        Refused::wrong(format!("there is no state '{}'", name.escape_debug()))
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
    let found = meant.find(desk).await?;
    let Some(to) = found.site else {
        return Err(Refused::wrong("to which site?").hint("name it with --site"));
    };
    let mine = |end: &String| meant.site == Some(end.as_str());
    if !found.project.pairs.iter().flatten().any(mine) {
        let site = meant.site.unwrap_or_default();
        let why = format!("this host brings no files of '{}' to '{site}'", found.project.name);
        return Err(
            Refused::wrong(why).hint("`sitesync projects` shows between which sites it works")
        );
    }
    let (mut sums, mut place) = (Sums::default(), Place::default());
    loop {
        let page = desk.read(|view| Ok(found.selection.page(view, &mut place, PAGE)?))?;
        if page.is_empty() {
            break;
        }
        let (belonging, now) = (found.belonging.clone(), desk.engine.time.now());
        let bring = move |unit: &mut dyn Unit| {
            let bringing = Bringing { belonging: &belonging, to, priority, now };
            page.iter().try_fold(sums, |sums, one| bringing.bring(unit, one, sums))
        };
        sums = desk.engine.catalog.write(bring).await?;
        let _ = report.try_send(Report { done: sums.files, ..Report::default() });
    }
    desk.wake();
    Ok(json!({
        "files": sums.files, "there": sums.there, "queued": sums.queued,
        "under_way": sums.under_way, "conflicts": sums.conflicts, "nowhere": sums.nowhere,
    }))
}

struct Bringing<'a> {
    belonging: &'a Belonging,
    to: SiteId,
    priority: Option<i64>,
    now: Millis,
}

impl Bringing<'_> {
    fn bring(&self, unit: &mut dyn Unit, one: &Selected, mut sums: Sums) -> catalog::Result<Sums> {
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
        self.belonging.settle_file(unit, row.id, self.now)?;
        sums.files += 1;
        let Some(row) = unit.file_by_id(row.id)? else { return Ok(sums) };
        let job = row.jobs.iter().find(|job| job.to == to && !job.removes());
        match job {
            _ if self.belonging.is_there(&row, to) => sums.there += 1,
            Some(job) if job.state == JobState::InProgress => sums.under_way += 1,
            Some(job) if job.state == JobState::Conflict => sums.conflicts += 1,
            Some(job) => {
                sums.queued += 1;
                if let Some(priority) = self.priority.filter(|_| job.state != JobState::Failed) {
                    unit.put_job(row.id, &Job { priority, ..job.clone() })?;
                }
            }
            None => sums.nowhere += 1,
        }
        Ok(sums)
    }
}

/// Sends files again: what was given up, and at a site that is named also what is there.
pub(super) async fn reset(desk: &Desk, meant: &Meant<'_>) -> Answer {
    let found = meant.find(desk).await?;
    let (mut files, mut place) = (0, Place::default());
    loop {
        let page = desk.read(|view| Ok(found.selection.page(view, &mut place, PAGE)?))?;
        if page.is_empty() {
            break;
        }
        let (belonging, now, site) = (found.belonging.clone(), desk.engine.time.now(), found.site);
        let again = move |unit: &mut dyn Unit| {
            let mut reset = 0_u64;
            for one in &page {
                let row = &one.row;
                let mut done = unit.reset(row.representation, Some(row.id), site)? > 0;
                let there = site.and_then(|site| here(row, site));
                let newest = there.filter(|have| have.generation == row.generation);
                if let Some(have) = newest
                    && belonging.source(row, have.site).is_some()
                {
                    unit.put_have(row.id, &Have { generation: STALE, ..have.clone() })?;
                    done |= belonging.settle_file(unit, row.id, now)? > 0;
                }
                reset += u64::from(done);
            }
            Ok(reset)
        };
        files += desk.engine.catalog.write(again).await?;
    }
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
    let (mut jobs, mut done, mut place) = (0, BTreeSet::new(), Place::default());
    loop {
        let page = desk.read(|view| Ok(found.selection.page(view, &mut place, PAGE)?))?;
        if page.is_empty() {
            break;
        }
        let set = move |unit: &mut dyn Unit| {
            let mut jobs = 0;
            for one in &page {
                if one.whole {
                    if done.insert(one.row.representation) {
                        jobs += unit.set_priority(one.row.representation, priority)?;
                    }
                    continue;
                }
                for job in one.row.jobs.iter().filter(|job| job.state != JobState::InProgress) {
                    unit.put_job(one.row.id, &Job { priority: priority.max(1), ..job.clone() })?;
                    jobs += 1;
                }
            }
            Ok((jobs, done))
        };
        let (more, seen) = desk.engine.catalog.write(set).await?;
        (jobs, done) = (jobs + more, seen);
    }
    desk.wake();
    Ok(json!({"representations": done.len(), "queued": jobs}))
}
