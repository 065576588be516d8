//! Waiting until files are where somebody needs them.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;
use tokio::sync::{Semaphore, mpsc};

use super::request::{self, Meant, URGENT};
use super::selection::{File, Place, Selected, Selection};
use super::{Answer, Desk, Refused, Report};
use crate::catalog::{self, FileRow, Job, JobState, SiteId};
use crate::engine::belonging::Belonging;
use crate::engine::validate::Only;
use crate::engine::{Trouble, pauses};
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

/// A file, and why it is not there; several, or all, without a path.
#[derive(Debug, Serialize)]
struct Missing {
    path: Option<String>,
    reason: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "'{path}': {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

/// How files stand at a site.
#[derive(Debug, Default)]
struct Standing {
    files: u64,
    there: u64,
    bytes: u64,
    bytes_there: u64,
    /// Given up, in conflict, or gone.
    failed: Vec<Missing>,
    /// One that is to come, and what it waits for.
    waits: Option<Missing>,
}

/// Asks for files before all others and, for at most `wait`, waits until each is there: by the catalog,
/// and when looked for at the site. Where no service brings them, that is done here.
///
/// The answer's `state` is `there`, `failed` (one has failed for good) or `late`.
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
        faults: &Mutex::default(),
    };
    let faults = waiting.faults;
    let ended = tokio::select! {
        ended = waiting.until_there(report) => Some(ended?),
        broken = work(desk, &project, faults) => return Err(broken),
        () = tokio::time::sleep(wait) => None,
        () = report.closed() => None,
    };
    let (standing, state) = match ended {
        Some(standing) if standing.failed.is_empty() => (standing, "there"),
        Some(standing) => (standing, "failed"),
        None => match waiting.look().await? {
            standing if standing.failed.is_empty() => (standing, "late"),
            standing => (standing, "failed"),
        },
    };
    Ok(json!({
        "state": state, "files": standing.files, "there": standing.there,
        "bytes": standing.bytes, "failed": standing.failed, "waits": standing.waits,
    }))
}

/// Brings what is asked for, where no service does. Ends only with what makes that impossible; tells of
/// sites that could not be used.
async fn work(desk: &Desk, project: &Project, faults: &Mutex<Vec<Fault>>) -> Refused {
    if desk.works {
        return std::future::pending().await;
    }
    loop {
        let offline = match desk.engine.sync(vec![project.clone()]).await {
            Ok(summary) => summary.offline.into_iter().map(|(_, fault)| fault).collect(),
            Err(error) => return error.into(),
        };
        *faults.lock().unwrap_or_else(PoisonError::into_inner) = offline;
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
    /// Sites that could not be used in the last pass that was made here.
    faults: &'a Mutex<Vec<Fault>>,
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
            let waits = standing.waits.as_ref().map(Missing::to_string);
            let _ = report.try_send(Report {
                done: standing.there,
                of: Some(standing.files),
                bytes: standing.bytes_there,
                of_bytes: standing.bytes,
                waits,
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

    /// How they stand by the catalog. What is not selected any more is gone: nothing is there that nobody
    /// knows of.
    async fn look(&self) -> Result<Standing, Refused> {
        let turn = LOOKS.acquire().await;
        let mut standing = self.read()?;
        drop(turn);
        if standing.files < self.asked {
            let gone = self.asked - standing.files;
            standing.files = self.asked;
            let reason = "it is gone, or belongs to something else now".to_owned();
            let named = self.desk.read(|view| {
                let files = self.selection.files.iter();
                let known = |file: &File| view.file(file.root, &file.folder, &file.name);
                let mut gone = Vec::new();
                for file in files {
                    if gone.len() < NAMED && known(file)?.is_none() {
                        gone.push(sitesync_provider::join(&file.folder, &file.name));
                    }
                }
                Ok(gone)
            })?;
            if named.is_empty() {
                let of = self.asked;
                let reason =
                    format!("{gone} of {of} files are gone, or belong to something else now");
                standing.failed.push(Missing { path: None, reason });
            }
            let missing = |path| Missing { path: Some(path), reason: reason.clone() };
            standing.failed.extend(named.into_iter().map(missing));
        }
        if standing.there == standing.files && standing.waits.is_none() {
            let reason = match &self.silent {
                Some(fault) => format!("all that is missing is a look at the site: {fault}"),
                None => "all that is missing is a look at the site".to_owned(),
            };
            standing.waits = Some(Missing { path: None, reason });
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
                // Nobody has decided yet which content it is to have.
                let disputed = row.jobs.iter().find(|job| {
                    job.state == JobState::Conflict && [job.to, job.from].contains(&self.site)
                });
                if disputed.is_none() && self.belonging.is_there(row, self.site) {
                    standing.there += 1;
                    standing.bytes_there += row.size;
                    continue;
                }
                let job = disputed.or_else(|| row.job_to(self.site));
                let why = match job {
                    Some(job) if matches!(job.state, JobState::Failed | JobState::Conflict) => {
                        let error = job.error.as_ref().map(|error| error.message.clone());
                        error.unwrap_or_else(|| "it was given up".into())
                    }
                    None if self.belonging.source(row, self.site).is_none() => {
                        "no site has it from which it could be brought".into()
                    }
                    _ => {
                        if standing.waits.is_none() {
                            let reason = self.waits(row, job)?;
                            standing.waits = Some(Missing { path: Some(one.path()), reason });
                        }
                        continue;
                    }
                };
                if standing.failed.len() < NAMED {
                    standing.failed.push(Missing { path: Some(one.path()), reason: why });
                }
            }
        }
    }

    /// What a file waits for that is to come.
    fn waits(&self, row: &FileRow, job: Option<&Job>) -> Result<String, Refused> {
        let project = self.belonging.project;
        let Some(job) = job else { return Ok("its newest content is not known yet".to_owned()) };
        let sites = [job.to, job.from];
        if let Some(pause) = self.desk.engine.pauses.between(project, sites) {
            let name = |site| {
                let names = self.desk.read(|view| Ok(view.site_names()?))?;
                let found = names.into_iter().find(|(id, _)| *id == site);
                Ok::<_, Refused>(found.map(|(_, name)| self.desk.configured(&name)))
            };
            let site = pause.scope.site.map(name).transpose()?.flatten();
            return Ok(pauses::told(&pause, site.as_deref()));
        }
        if job.state == JobState::Held {
            let guards = self.desk.read(|view| Ok(view.holds(project)?))?;
            let guard = guards.iter().find(|hold| hold.site == job.to);
            let paused = self.desk.read(|view| Ok(view.pauses()?))?;
            let of_it = |pause: &catalog::Pause| {
                pause.scope.representation == Some(row.representation)
                    && pause.scope.site.is_none_or(|site| site == job.to)
            };
            return Ok(match (paused.iter().find(|pause| of_it(pause)), guard) {
                (None, Some(hold)) => format!("`{}` stopped it", hold.kind.guard()),
                _ => "its representation is paused".to_owned(),
            });
        }
        if let Some(offline) = self.desk.engine.offline.at(&self.project.name, &self.at.to_owned())
        {
            return Ok(offline.to_string());
        }
        let faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fault) = faults.first() {
            return Ok(format!("site '{}': {}", fault.site, fault.message));
        }
        Ok(match &job.error {
            Some(error) => format!("tried {} times, last: {}", job.tries, error.message),
            None => "it is on its way".to_owned(),
        })
    }
}
