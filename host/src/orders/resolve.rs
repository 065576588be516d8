//! Ending conflicts as a person says.

use serde_json::json;

use super::selection::Selected;
use super::{Answer, Desk, Refused};
use crate::catalog::{FileRow, JobState, Unit};
use crate::engine::conflicts::{self, Resolved};

/// What became of files.
#[derive(Debug, Default)]
struct Sums {
    resolved: u64,
    no_conflict: u64,
    /// Paths of those of which the site has no content.
    absent: Vec<String>,
    /// Paths of those that the site has no more as they are known.
    changed: Vec<String>,
}

/// Keeps the content that a site has of files in conflict.
pub(super) async fn resolve(desk: &Desk, project: &str, what: &[String], keep: &str) -> Answer {
    let project = desk.project(project)?;
    let site = desk.site(keep)?;
    let (_, site) = desk.keys(&project.name, Some(&site)).await?;
    let Some(site) = site else { return Err(Refused::wrong("which site's content is kept?")) };
    let belonging = desk.belonging(&project).await?;
    let selection = desk.select(&project, what)?;
    let engine = desk.engine.clone();
    let in_conflict = |row: &FileRow| row.jobs.iter().any(|job| job.state == JobState::Conflict);
    let other = desk.look(&project, keep, &selection, in_conflict).await?;
    let keep_one = move |unit: &mut dyn Unit, one: &Selected, sums: &mut Sums| {
        if other.contains_key(&one.row.id) && in_conflict(&one.row) {
            sums.changed.push(one.path());
            return Ok(());
        }
        match conflicts::resolve(unit, &belonging, &one.row, site, engine.time.now())? {
            Resolved::Kept => sums.resolved += 1,
            Resolved::NoConflict => sums.no_conflict += 1,
            Resolved::NotThere => sums.absent.push(one.path()),
        }
        Ok(())
    };
    let sums = desk.for_each(selection, Sums::default(), keep_one, |_| {}).await?;
    let Sums { resolved, no_conflict, absent, changed } = sums;
    desk.wake();
    if resolved == 0 {
        let why = match (changed.first(), absent.first()) {
            (Some(path), _) => {
                let why = format!("'{path}' has changed at '{keep}' since, or is gone");
                let hint = "`sitesync validate` looks at it again; nothing was resolved";
                return Err(Refused::new(1, why).hint(hint));
            }
            (None, Some(path)) => format!("'{keep}' has no content of '{path}' that could be kept"),
            (None, None) => "none of these is in conflict".to_owned(),
        };
        return Err(Refused::new(1, why).hint("`sitesync queue --state conflict` shows what is"));
    }
    Ok(json!({
        "resolved": resolved, "no_conflict": no_conflict, "not_there": absent, "changed": changed,
    }))
}
