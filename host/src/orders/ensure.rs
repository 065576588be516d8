//! Waiting until files are where somebody needs them.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::{Semaphore, mpsc};

use super::request::{self, Meant, URGENT};
use super::selection::{Place, Selected, Selection};
use super::{Answer, Desk, Refused, Report};
use crate::catalog::{JobState, SiteId};
use crate::engine::Trouble;
use crate::engine::belonging::Belonging;
use crate::engine::validate::Only;
use crate::settings::Project;
use crate::sites::Fault;

/// Between two looks; longer where a look takes long.
const LOOK: Duration = Duration::from_millis(200);
const LOOK_SHARE: u32 = 10;
/// Thousands may wait at once: so many of them look into the catalog, each with a thread of its own,
static LOOKS: Semaphore = Semaphore::const_new(8);
/// and so many at a site.
static VERIFIES: Semaphore = Semaphore::const_new(32);
/// Between two passes of a host that is no service, and between two looks at a site.
const PASSES: Duration = Duration::from_secs(5);
/// Files that failed, told by name.
const NAMED: usize = 20;
/// Files of one read.
const READ: usize = 1000;

/// How files stand at a site.
#[derive(Debug, Default)]
struct Standing {
    files: u64,
    there: u64,
    bytes: u64,
    bytes_there: u64,
    /// Given up, or in conflict: with the reason.
    failed: Vec<(String, String)>,
}

/// Asks for files before all others and, for at most `wait`, waits until each is there: by the catalog,
/// and when looked for at the site. Where no service brings them, that is done here.
pub(super) async fn ensure(
    desk: &Desk,
    (project, what, site): (&str, &[String], &str),
    wait: Option<Duration>,
    report: &mpsc::Sender<Report>,
) -> Answer {
    let meant = Meant { project, what, site: Some(site), state: None };
    let turn = LOOKS.acquire().await;
    let asked = request::request(desk, &meant, Some(URGENT), report).await?;
    drop(turn);
    let Some(wait) = wait else { return Ok(asked) };
    let project = desk.project(project)?;
    let reached = request::reached(&project, site)?;
    let (_, key) = desk.keys(&project.name, Some(&desk.site(&reached)?)).await?;
    let Some(key) = key else { return Err(Refused::wrong("to which site?")) };
    let mut waiting = Waiting {
        desk,
        belonging: &desk.belonging(&project).await?,
        selection: &desk.select(&project, what)?,
        project: &project,
        at: &reached,
        site: key,
        asked: asked["files"].as_u64().unwrap_or(0),
        silent: None,
    };
    let ended = tokio::select! {
        ended = waiting.until_there(report) => Some(ended?),
        broken = work(desk, &project) => return Err(broken),
        () = tokio::time::sleep(wait) => None,
        () = report.closed() => None,
    };
    let late = ended.is_none();
    let standing = match ended {
        Some(standing) => standing,
        None => waiting.look().await?,
    };
    if let Some((path, why)) = standing.failed.first() {
        let failed = standing.failed.len();
        let others = if failed > 1 { format!(", and {} more", failed - 1) } else { String::new() };
        return Err(Refused::new(1, format!("'{path}' does not come to '{site}': {why}{others}"))
            .hint(format!("`sitesync why {} {path}` says more", project.name)));
    }
    if late {
        let left = standing.files - standing.there;
        if left == 0 {
            let why = "they should all be there, and could not be looked at there yet";
            let why = waiting.silent.map_or(why.to_owned(), |fault| format!("{why}: {fault}"));
            return Err(Refused::new(4, why).hint("`sitesync sites` shows how the site fares"));
        }
        let why = format!("{left} of {} files are not at '{site}' yet", standing.files);
        let offline = desk.engine.offline.at(&project.name, &reached);
        let why = offline.map_or(why.clone(), |offline| format!("{why}: {offline}"));
        return Err(Refused::new(4, why)
            .hint(format!("`sitesync why {} FILE` says what one waits for", project.name)));
    }
    Ok(json!({"files": standing.files, "there": standing.there, "bytes": standing.bytes}))
}

/// Brings what is asked for, where no service does. Ends only with what makes that impossible.
async fn work(desk: &Desk, project: &Project) -> Refused {
    if desk.works {
        return std::future::pending().await;
    }
    loop {
        if let Err(error) = desk.engine.sync(vec![project.clone()]).await {
            return error.into();
        }
        let mut stop = desk.engine.stop.clone();
        tokio::select! {
            () = tokio::time::sleep(PASSES) => {}
            _ = stop.wait_for(|stopped| *stopped) => {}
        }
        if *desk.engine.stop.borrow() {
            return Refused::new(1, "interrupted: what is left goes on next time");
        }
    }
}

struct Waiting<'a> {
    desk: &'a Desk,
    belonging: &'a Belonging,
    selection: &'a Selection,
    project: &'a Project,
    /// The site by which files are brought, by its name in the settings,
    at: &'a str,
    /// and in the catalog.
    site: SiteId,
    /// Files that were asked for.
    asked: u64,
    /// Why the site could not be looked at, the last time.
    silent: Option<Fault>,
}

impl Waiting<'_> {
    /// Waits until all are there, or one has failed.
    async fn until_there(&mut self, report: &mpsc::Sender<Report>) -> Result<Standing, Refused> {
        loop {
            let began = Instant::now();
            let standing = self.look().await?;
            if !standing.failed.is_empty() {
                return Ok(standing);
            }
            let _ = report.try_send(Report {
                done: standing.there,
                of: Some(standing.files),
                bytes: standing.bytes_there,
                of_bytes: standing.bytes,
                ..Report::default()
            });
            let mut pause = LOOK.max(began.elapsed() * LOOK_SHARE);
            if standing.there == standing.files {
                if self.verify().await? {
                    return Ok(standing);
                }
                pause = pause.max(PASSES);
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Whether all are at the site as the catalog says, which may not have heard of what people did
    /// there. Where they are not, their folders are looked at, so that it hears of that.
    async fn verify(&mut self) -> Result<bool, Refused> {
        let _turn = VERIFIES.acquire().await;
        self.silent = None;
        match self.look_there().await {
            Ok(there) => Ok(there),
            Err(Trouble::Site(fault)) => {
                self.silent = Some(fault);
                Ok(false)
            }
            Err(trouble) => Err(trouble.into()),
        }
    }

    async fn look_there(&self) -> Result<bool, Trouble> {
        let engine = &self.desk.engine;
        let verifier = engine.verifier(self.project, self.at).await?;
        let (mut only, mut differ, mut place) = (Only::default(), false, Place::default());
        loop {
            let page = tokio::task::block_in_place(|| {
                engine.catalog.read(|view| self.selection.page(view, &mut place, READ))
            })?;
            if page.is_empty() {
                break;
            }
            if !page.iter().all(|one| self.belonging.is_there(&one.row, self.site)) {
                return Ok(false);
            }
            let files =
                page.into_iter().map(|Selected { root, folder, row, .. }| (root, folder, row));
            for (root, folder, file) in verifier.not_there(files.collect()).await? {
                only.add(root, &folder, file);
                differ = true;
            }
        }
        if differ {
            engine.validate(self.project, self.at, Some(&only)).await?;
            self.desk.wake();
        }
        Ok(!differ)
    }

    /// How they stand by the catalog. Refused once some are not selected any more: nothing is there that
    /// nobody knows of.
    async fn look(&self) -> Result<Standing, Refused> {
        let turn = LOOKS.acquire().await;
        let standing = self.read()?;
        drop(turn);
        if standing.files < self.asked {
            let why = format!(
                "{} of {} files that were asked for are gone, or belong to something else now",
                self.asked - standing.files,
                self.asked
            );
            let hint = format!("`sitesync show {}` lists what is known", self.project.name);
            return Err(Refused::new(1, why).hint(hint));
        }
        Ok(standing)
    }

    fn read(&self) -> Result<Standing, Refused> {
        let (mut standing, mut place) = (Standing::default(), Place::default());
        loop {
            let page = self.desk.read(|view| Ok(self.selection.page(view, &mut place, READ)?))?;
            if page.is_empty() {
                return Ok(standing);
            }
            for one in page {
                let row = &one.row;
                standing.files += 1;
                standing.bytes += row.size;
                if self.belonging.is_there(row, self.site) {
                    standing.there += 1;
                    standing.bytes_there += row.size;
                    continue;
                }
                let job = row.job_to(self.site);
                let why = match job {
                    Some(job) if matches!(job.state, JobState::Failed | JobState::Conflict) => {
                        let error = job.error.as_ref().map(|error| error.message.clone());
                        error.unwrap_or_else(|| "it was given up".into())
                    }
                    None if self.belonging.source(row, self.site).is_none() => {
                        "no site has it from which it could be brought".into()
                    }
                    _ => continue,
                };
                if standing.failed.len() < NAMED {
                    standing.failed.push((one.path(), why));
                }
            }
        }
    }
}
