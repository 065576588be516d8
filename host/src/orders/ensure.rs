//! Waiting until files are where somebody needs them.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::mpsc;

use super::request::{self, Meant, URGENT};
use super::selection::{Place, Selection};
use super::{Answer, Desk, Refused, Report};
use crate::catalog::{JobState, SiteId};
use crate::engine::belonging::Belonging;
use crate::settings::Project;

/// Between two looks; longer where a look takes long.
const LOOK: Duration = Duration::from_millis(200);
const LOOK_SHARE: u32 = 10;
/// Between two passes of a host that is no service.
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

/// Asks for files before all others and, for at most `wait`, waits until each is there. `works` if a
/// service brings them; else that is done here.
pub(super) async fn ensure(
    desk: &Desk,
    (project, what, site): (&str, &[String], &str),
    wait: Option<Duration>,
    report: &mpsc::Sender<Report>,
) -> Answer {
    let meant = Meant { project, what, site: Some(site), state: None };
    let asked = request::request(desk, &meant, Some(URGENT), report).await?;
    let Some(wait) = wait else { return Ok(asked) };
    let project = desk.project(project)?;
    let end = desk.site(&request::reached(&project, site)?)?;
    let (_, key) = desk.keys(&project.name, Some(&end)).await?;
    let Some(key) = key else { return Err(Refused::wrong("to which site?")) };
    let belonging = desk.belonging(&project).await?;
    let selection = desk.select(&project, what)?;
    let waiting = Waiting { desk, belonging: &belonging, selection: &selection, site: key };
    let ended = tokio::select! {
        ended = waiting.until_there(report) => ended?,
        broken = work(desk, &project) => return Err(broken),
        () = tokio::time::sleep(wait) => None,
        () = report.closed() => None,
    };
    let (late, standing) = match ended {
        Some(standing) => (false, standing),
        None => (true, waiting.look()?),
    };
    if let Some((path, why)) = standing.failed.first() {
        let failed = standing.failed.len();
        let others = if failed > 1 { format!(", and {} more", failed - 1) } else { String::new() };
        return Err(Refused::new(1, format!("'{path}' does not come to '{site}': {why}{others}"))
            .hint(format!("`sitesync why {} {path}` says more", project.name)));
    }
    if late {
        let left = standing.files - standing.there;
        let why = format!("{left} of {} files are not at '{site}' yet", standing.files);
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
        tokio::time::sleep(PASSES).await;
    }
}

struct Waiting<'a> {
    desk: &'a Desk,
    belonging: &'a Belonging,
    selection: &'a Selection,
    site: SiteId,
}

impl Waiting<'_> {
    /// Waits until all are there, or one has failed.
    async fn until_there(
        &self,
        report: &mpsc::Sender<Report>,
    ) -> Result<Option<Standing>, Refused> {
        loop {
            let began = Instant::now();
            let standing = self.look()?;
            if standing.there == standing.files || !standing.failed.is_empty() {
                return Ok(Some(standing));
            }
            let _ = report.try_send(Report {
                done: standing.there,
                of: Some(standing.files),
                bytes: standing.bytes_there,
                of_bytes: standing.bytes,
                ..Report::default()
            });
            tokio::time::sleep(LOOK.max(began.elapsed() * LOOK_SHARE)).await;
        }
    }

    fn look(&self) -> Result<Standing, Refused> {
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
                let job = row.jobs.iter().find(|job| job.to == self.site);
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
