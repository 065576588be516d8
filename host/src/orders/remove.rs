//! Taking files away from a site.

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::request::{self, Meant};
use super::{Answer, Desk, Refused, Report, selection};
use crate::catalog::{FolderId, RootId};
use crate::engine::Trouble;
use crate::engine::remove::{Removed, Remover, Target};
use crate::settings::Project;
use crate::sites::LOCAL;

/// Files that are asked about and deleted together.
const PAGE: usize = 1000;

/// Deletes what selectors stand for at a site, and has nothing bring it back by itself.
pub(super) async fn remove(
    desk: &Desk,
    meant: &Meant<'_>,
    force: bool,
    report: &mpsc::Sender<Report>,
) -> Answer {
    let project = desk.project(meant.project)?;
    let site = match meant.site {
        Some(site) => site.to_owned(),
        None if project.pairs.iter().flatten().any(|end| end == LOCAL) => LOCAL.to_owned(),
        None => {
            let why = format!("files of project '{}' do not come to this machine", project.name);
            return Err(Refused::wrong(why).hint("say from which site with --site"));
        }
    };
    may_touch(desk, &project, &site)?;
    if meant.what.is_empty() && meant.state.is_none() {
        return Err(Refused::wrong("nothing is named that is to be removed")
            .hint("`sitesync clear PROJECT --site SITE` removes everything that is there"));
    }
    let selection = meant.at(&site).selection(desk).await?;
    let mut remover = desk.engine.remover(&project, &site, force).await?;
    let mut removed = Removed::default();
    let mut place = selection::Place::default();
    let mut done = 0;
    loop {
        let page = desk.read(|view| Ok(selection.page(view, &mut place, PAGE)?))?;
        if page.is_empty() {
            break;
        }
        done += page.len() as u64;
        let targets = page.into_iter().map(|file| Target {
            root: file.root,
            folder: file.folder,
            row: file.row,
        });
        take(&mut remover, targets.collect(), &mut removed).await?;
        let _ = report.try_send(Report { done, ..Report::default() });
    }
    desk.wake();
    Ok(told(desk, &project, &site, &removed, 0))
}

/// Deletes all that the catalog knows to be at a site, and folders that are empty then.
pub(super) async fn clear(
    desk: &Desk,
    project: &str,
    (site, force): (&str, bool),
    report: &mpsc::Sender<Report>,
) -> Answer {
    let project = desk.project(project)?;
    may_touch(desk, &project, site)?;
    let mut remover = desk.engine.remover(&project, site, force).await?;
    let (key, mut removed, mut done) = (remover.site(), Removed::default(), 0);
    for (root, _) in remover.roots() {
        let mut after = FolderId(0);
        loop {
            let (targets, last) = desk.read(|view| {
                let folders = view.folders(root, after, PAGE)?;
                let (mut targets, mut last) = (Vec::new(), None);
                for (id, folder) in folders {
                    let files = view.folder(root, &folder)?.files;
                    let there = files.into_iter().filter(|row| {
                        let comes = row.jobs.iter().any(|job| job.to == key);
                        comes || row.at(key).is_some()
                    });
                    targets.extend(there.map(|row| Target { root, folder: folder.clone(), row }));
                    last = Some(id);
                    if targets.len() >= PAGE {
                        break;
                    }
                }
                Ok((targets, last))
            })?;
            let Some(last) = last else { break };
            after = last;
            done += targets.len() as u64;
            take(&mut remover, targets, &mut removed).await?;
            let _ = report.try_send(Report { done, ..Report::default() });
        }
    }
    let folders = remover.remove_empty_folders().await;
    desk.wake();
    Ok(told(desk, &project, site, &removed, folders))
}

/// Only at sites for which this host acts are files deleted.
fn may_touch(desk: &Desk, project: &Project, site: &str) -> Result<(), Refused> {
    desk.site(site)?;
    if let Some(end) = request::reached(project, site).ok().filter(|end| end != site) {
        let why = format!(
            "files of '{}' are kept at '{end}', which is the same storage as '{site}'",
            project.name
        );
        return Err(Refused::wrong(why).hint(format!("use --site {end}")));
    }
    if !project.site_enabled(site) {
        return Err(Refused::wrong(format!("site '{site}' is switched off")));
    }
    let settings = desk.settings();
    // Where people work it acts as long as it acts for the other end.
    let works = || project.pairs.iter().flatten().any(|end| end == site);
    let own = site == LOCAL || site == project.active_site && works();
    if own || settings.host.serves_site(site) {
        return Ok(());
    }
    Err(Refused::wrong(format!("this host does not act for site '{site}': its files stay"))
        .hint("run it on the host that does, or add the site to `serves` in [host]"))
}

async fn take(
    remover: &mut Remover,
    targets: Vec<Target>,
    removed: &mut Removed,
) -> Result<(), Refused> {
    let taken = remover.remove(targets, removed).await;
    taken.map_err(|trouble| {
        let mut refused = Refused::from(trouble);
        if removed.files > 0 {
            refused.message += &format!("; {} files were removed before that", removed.files);
        }
        refused
    })
}

fn told(desk: &Desk, project: &Project, site: &str, removed: &Removed, folders: u64) -> Value {
    let roots = desk.read(|view| Ok(super::desk::roots(view, project)?)).unwrap_or_default();
    let kept = removed
        .kept
        .iter()
        .map(|kept| json!({"path": path(&roots, kept.root, &kept.path), "reason": kept.why}));
    json!({
        "site": site, "removed": removed.files, "bytes": removed.bytes, "absent": removed.absent,
        "kept": removed.kept_files, "folders": folders, "files": kept.collect::<Vec<_>>(),
    })
}

/// A file as people write it: `{root[work]}/shots/sh010/a.exr`.
pub(super) fn path(roots: &[(RootId, String)], root: RootId, path: &str) -> String {
    let name = roots.iter().find(|(id, _)| *id == root).map_or("?", |(_, name)| name);
    format!("{{root[{name}]}}/{path}")
}

impl From<Trouble> for Refused {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Site(fault) => fault.into(),
            Trouble::Catalog(error) => error.into(),
        }
    }
}
