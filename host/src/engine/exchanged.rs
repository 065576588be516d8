//! Another root where one was before: a disk was exchanged. What the old one had is forgotten before the
//! new one is known, so that nothing that is not on it counts as deleted.

use super::belonging::Belonging;
use super::pair::refuse_ours;
use super::place::Trouble;
use super::plan;
use super::schedule::Engine;
use crate::catalog::{self, FileId, FolderId, GONE, Millis, RootId, SiteId, Unit};
use crate::settings::Project;
use crate::sites::{Fault, establish, is_another_root, recognise};

/// Files of one unit of work, and folders of one read.
const PAGE: usize = 1000;

impl Engine {
    /// Takes the roots that a site has now for the ones that are meant, whatever was there before.
    /// Returns their names and paths. Nothing else may work on the project meanwhile.
    pub async fn adopt_roots(
        &self,
        project: &Project,
        site: &str,
    ) -> Result<Vec<(String, String)>, Trouble> {
        let ends = [&project.active_site, &project.remote_site];
        let travels = ends.into_iter().chain(&project.always_accessible_on).any(|end| end == site);
        let mut adopted = Vec::new();
        for (name, path) in project.roots(site).iter() {
            let (of, sites, root_name) = (project.clone(), self.sites.clone(), name.clone());
            let at = self.sites.catalog_name(site).to_owned();
            let keys = move |unit: &mut dyn Unit| {
                let belonging = Belonging::of(unit, &sites, &of)?;
                let root = unit.put_root(belonging.project, &root_name)?;
                let site = unit.put_site(&at)?;
                Ok((belonging, root, site, unit.root_identity(root, site)?))
            };
            let (belonging, root, key, remembered) = self.catalog.write(keys).await?;
            if remembered.is_none() && !travels {
                continue;
            }
            let opened = self.sites.open_for(site, project.site_settings(site), path).await?;
            refuse_ours(&opened, &self.ours)?;
            let fault = |error| Fault::new(site, &error);
            let known = match &remembered {
                None => None,
                Some(remembered) => match recognise(&opened, remembered).await {
                    Err(error) if is_another_root(&error) => None,
                    known => Some(known.map_err(fault)?),
                },
            };
            let identity = match known {
                Some(known) => known,
                None => {
                    let found = establish(&opened, None, &self.dice.id()).await.map_err(fault)?;
                    if remembered.is_some() {
                        self.forget_root(&belonging, root, key).await?;
                    }
                    found
                }
            };
            let text = identity.text();
            self.catalog.write(move |unit| unit.put_root_identity(root, key, &text)).await?;
            adopted.push((name.clone(), path.clone()));
        }
        Ok(adopted)
    }

    /// Forgets what a site has in a root. Whoever dies here leaves the old identity, and begins anew.
    async fn forget_root(
        &self,
        belonging: &Belonging,
        root: RootId,
        site: SiteId,
    ) -> Result<(), Trouble> {
        let (mut after, mut files) = (FolderId(0), Vec::new());
        loop {
            let folders = self.catalog.read(|view| view.folders(root, after, PAGE))?;
            let Some((last, _)) = folders.last() else { break };
            after = *last;
            for (_, folder) in folders {
                let rows = self.catalog.read(|view| view.folder(root, &folder))?.files;
                let about = rows.into_iter().filter(|row| {
                    row.haves.iter().any(|have| have.site == site)
                        || row.jobs.iter().any(|job| job.to == site || job.from == site)
                });
                files.extend(about.map(|row| row.id));
                while files.len() >= PAGE {
                    let rest = files.split_off(PAGE);
                    self.forget_files(belonging, site, std::mem::replace(&mut files, rest)).await?;
                }
            }
        }
        self.forget_files(belonging, site, files).await
    }

    async fn forget_files(
        &self,
        belonging: &Belonging,
        site: SiteId,
        files: Vec<FileId>,
    ) -> Result<(), Trouble> {
        let (belonging, now) = (belonging.clone(), self.time.now());
        let forget = move |unit: &mut dyn Unit| {
            files.iter().try_for_each(|file| forget(unit, &belonging, *file, site, now))
        };
        Ok(self.catalog.write(forget).await?)
    }
}

/// Forgets what a site has of a file, and what was to be done there. What others have is the file now,
/// and is brought there anew if it belongs there.
fn forget(
    unit: &mut dyn Unit,
    belonging: &Belonging,
    file: FileId,
    site: SiteId,
    now: Millis,
) -> catalog::Result<()> {
    unit.drop_have(file, site)?;
    unit.drop_job(file, site)?;
    let Some(row) = unit.file_by_id(file)? else { return Ok(()) };
    // Nothing is under way: what a run that died has left so is found by the next look.
    if row.haves.iter().all(|have| have.generation == GONE) {
        return plan::forget(unit, &row);
    }
    // What was not there any more may have been lost with the disk: it is no reason to delete the rest.
    let deleted = row.haves.iter().any(|have| have.is_gone_from(row.generation));
    for job in row.jobs.iter().filter(|job| job.removes() && !deleted) {
        unit.drop_job(file, job.to)?;
    }
    plan::promote(unit, file)?;
    let Some(row) = unit.file_by_id(file)? else { return Ok(()) };
    for job in row.jobs.iter().filter(|job| job.from == site) {
        // Also what a run that died was bringing: it is recognised where it arrived.
        if let Some(from) = belonging.source(&row, job.to) {
            unit.put_job(file, &job.coming_from(from))?;
        }
    }
    belonging.settle_file(unit, file, now).map(|_| ())
}
