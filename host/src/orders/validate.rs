//! Comparing the catalog with what sites have.

use serde_json::json;
use tokio::sync::mpsc;

use super::{Answer, Desk, Refused, Report, selection};
use crate::engine::Trouble;
use crate::engine::validate::{Only, Validated, Verdict};
use crate::settings::Project;
use crate::sites::LOCAL;

/// Looks at a site, or at all sites of a project that this host can look at.
pub(super) async fn validate(
    desk: &Desk,
    project: &str,
    site: Option<&str>,
    what: &[String],
    report: &mpsc::Sender<Report>,
) -> Answer {
    let project = desk.project(project)?;
    let sites = match site {
        Some(site) => {
            desk.site(site)?;
            may_look(&project, site)?;
            vec![site.to_owned()]
        }
        None => {
            let mut sites: Vec<String> = project.pairs.iter().flatten().cloned().collect();
            sites.sort_unstable();
            sites.dedup();
            // What is this machine's own is of most interest.
            sites.sort_by_key(|site| site != LOCAL);
            sites
        }
    };
    if sites.is_empty() {
        let why = format!("this host brings no files of project '{}' anywhere", project.name);
        return Err(Refused::wrong(why).hint("`sitesync projects` says why"));
    }
    let only = if what.is_empty() {
        None
    } else {
        let selection = desk.select(&project, what)?;
        let (mut only, mut place) = (Only::default(), selection::Place::default());
        loop {
            let page =
                desk.read(|view| Ok(selection.page(view, &mut place, super::desk::PAGE)?))?;
            if page.is_empty() {
                break;
            }
            page.iter().for_each(|file| only.add(file.root, &file.folder, file.row.id));
        }
        Some(only)
    };
    let mut told = Vec::new();
    let mut done = 0;
    for name in &sites {
        match desk.engine.validate(&project, name, only.as_ref()).await {
            Ok(found) => {
                done += found.found + found.changed + found.missing;
                told.push(as_json(name, &found));
            }
            // It may be the other end that is not there.
            Err(Trouble::Site(fault)) => told.push(json!({
                "site": name, "offline": fault.message, "offline_site": fault.site,
                "hint": fault.hint,
            })),
            Err(trouble) => return Err(trouble.into()),
        }
        let _ = report.try_send(Report { done, ..Report::default() });
    }
    desk.wake();
    Ok(json!({"sites": told}))
}

/// Only a site that is an end of something can be looked at.
fn may_look(project: &Project, site: &str) -> Result<(), Refused> {
    if project.pairs.iter().flatten().any(|end| end == site) {
        return Ok(());
    }
    let why =
        format!("this host brings no files of project '{}' to or from '{site}'", project.name);
    Err(Refused::wrong(why).hint("`sitesync projects` shows between which sites it works, and why"))
}

fn as_json(site: &str, found: &Validated) -> serde_json::Value {
    let named = found.named.iter().map(|(verdict, path)| {
        let state = match verdict {
            Verdict::Changed => "changed",
            Verdict::Missing => "missing",
        };
        json!({"state": state, "path": path})
    });
    json!({
        "site": site, "found": found.found, "bytes": found.bytes, "missing": found.missing,
        "changed": found.changed, "unknown": found.unknown, "busy": found.busy,
        "unlisted": found.unlisted, "files": named.collect::<Vec<_>>(),
    })
}
