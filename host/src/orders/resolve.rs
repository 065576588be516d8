//! Ending conflicts as a person says.

use serde_json::json;

use super::desk::PAGE;
use super::selection::Place;
use super::{Answer, Desk, Refused};
use crate::catalog::Unit;
use crate::engine::conflicts::{self, Resolved};

/// Keeps the content that a site has of files in conflict.
pub(super) async fn resolve(desk: &Desk, project: &str, what: &[String], keep: &str) -> Answer {
    let project = desk.project(project)?;
    let site = desk.site(keep)?;
    let (_, site) = desk.keys(&project.name, Some(&site)).await?;
    let Some(site) = site else { return Err(Refused::wrong("which site's content is kept?")) };
    let belonging = desk.belonging(&project).await?;
    let selection = desk.select(&project, what)?;
    let (mut resolved, mut no_conflict, mut absent) = (0_u64, 0_u64, Vec::new());
    let mut place = Place::default();
    loop {
        let page = desk.read(|view| Ok(selection.page(view, &mut place, PAGE)?))?;
        if page.is_empty() {
            break;
        }
        let (belonging, now) = (belonging.clone(), desk.engine.time.now());
        let settle = move |unit: &mut dyn Unit| {
            let mut settled = Vec::with_capacity(page.len());
            for one in page {
                let how = conflicts::resolve(unit, &belonging, &one.row, site, now)?;
                settled.push((one.path(), how));
            }
            Ok(settled)
        };
        for (path, how) in desk.engine.catalog.write(settle).await? {
            match how {
                Resolved::Kept => resolved += 1,
                Resolved::NoConflict => no_conflict += 1,
                Resolved::NotThere => absent.push(path),
            }
        }
    }
    desk.wake();
    if resolved == 0 {
        let why = match absent.first() {
            Some(path) => format!("'{keep}' has no content of '{path}' that could be kept"),
            None => "none of these is in conflict".to_owned(),
        };
        return Err(Refused::new(1, why).hint("`sitesync queue --state conflict` shows what is"));
    }
    Ok(json!({"resolved": resolved, "no_conflict": no_conflict, "not_there": absent}))
}
