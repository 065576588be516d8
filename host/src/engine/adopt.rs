//! Copies that are at a site already (on a disk that was carried there) are recorded without being
//! copied: each is compared with what another site has.

use std::collections::HashMap;
use std::sync::Arc;

use sitesync_provider::{Entry, ErrorKind, Kind, join};

use super::barriers::Failure;
use super::compare::{Side as Compared, same_content};
use super::pair::refuse_ours;
use super::place::{Place, RootAt, Trouble, for_each, one_storage};
use super::plan;
use super::schedule::Engine;
use crate::catalog::{FileRow, FolderId, JobState, SiteId, Unit};
use crate::settings::Project;
use crate::sites::{Fault, OpenRoot, establish, is_site_fault};

/// Files that are told by name, of each kind.
const NAMED: usize = 100;
/// Folders of one read.
const PAGE: usize = 1000;

/// What was found in a folder with copies.
#[derive(Debug, Default)]
pub struct Adopted {
    /// Files that are what another site has, and are recorded as had by the site now,
    pub files: u64,
    /// and their bytes.
    pub bytes: u64,
    /// Files of which that was known before.
    pub known: u64,
    /// Files that are not what another site has: left as they are.
    pub differ: u64,
    /// Files that could not be compared.
    pub uncompared: u64,
    /// Files in the project's folders that the project does not know.
    pub unknown: u64,
    /// Files of the project that are not in the folder.
    pub missing: u64,
    /// The first that differ or could not be compared: their path, and why.
    pub named: Vec<(String, String)>,
}

/// What became of one copy.
enum Verdict {
    Same,
    Differs(String),
    Uncompared(String),
    /// The site's fault.
    Fault(sitesync_provider::Error),
}

/// A copy that is to be compared.
struct Candidate {
    folder: String,
    row: FileRow,
    entry: Entry,
}

impl Engine {
    /// Records the copies in a site's root of a project that are what another site has. The root is
    /// remembered, and marked, as one that is used.
    pub async fn adopt_copies(
        &self,
        project: &Project,
        site: &str,
        root_name: &str,
        hear: impl Fn(u64),
    ) -> Result<Adopted, Trouble> {
        let (own, key) = self.root_at(project, site, root_name).await?;
        let others = self.others(project, site).await?;
        let (mut adopted, mut same) = (Adopted::default(), Vec::new());
        let mut after = FolderId(0);
        loop {
            let folders = self.catalog.read(|view| view.folders(own.id, after, PAGE))?;
            let Some((last, _)) = folders.last() else { break };
            after = *last;
            for (_, folder) in folders {
                let of = (&own, key);
                let done = self.adopt_folder(of, &others, &folder, (&mut adopted, &mut same)).await;
                if same.len() >= PAGE || done.is_err() {
                    self.record_copies(of, std::mem::take(&mut same), &mut adopted).await?;
                }
                done?;
                let waiting = same.len() as u64;
                hear(adopted.files + adopted.known + adopted.differ + adopted.uncompared + waiting);
            }
        }
        self.record_copies((&own, key), same, &mut adopted).await?;
        Ok(adopted)
    }

    /// A root of a project at a site, which is remembered from now on.
    pub(super) async fn root_at(
        &self,
        project: &Project,
        site: &str,
        root_name: &str,
    ) -> Result<(RootAt, SiteId), Trouble> {
        let Some(path) = project.roots(site).get(root_name) else {
            return Err(Fault {
                site: site.to_owned(),
                kind: ErrorKind::InvalidSettings,
                message: format!("it has no root '{root_name}' of project '{}'", project.name),
                hint: Some(format!("add `root.{root_name}` to [sites.{site}]")),
            }
            .into());
        };
        let opened = self.sites.open_for(site, project.site_settings(site), path).await?;
        refuse_ours(&opened, &self.ours)?;
        let (of, at, name) =
            (project.name.clone(), self.sites.catalog_name(site).to_owned(), root_name.to_owned());
        let keys = move |unit: &mut dyn Unit| {
            let project = unit.put_project(&of)?;
            let (root, site) = (unit.put_root(project, &name)?, unit.put_site(&at)?);
            Ok((root, site, unit.root_identity(root, site)?))
        };
        let (root, key, remembered) = self.catalog.write(keys).await?;
        let identity = establish(&opened, remembered.as_deref(), &self.dice.id()).await;
        let identity = identity.map_err(|error| Fault::new(site, &error))?.text();
        if remembered.as_deref() != Some(&identity) {
            let text = identity.clone();
            self.catalog.write(move |unit| unit.put_root_identity(root, key, &text)).await?;
        }
        let own = RootAt { id: root, name: root_name.to_owned(), root: opened, identity };
        Ok((own, key))
    }

    /// The project's other sites, as far as they can be used.
    async fn others(
        &self,
        project: &Project,
        site: &str,
    ) -> Result<HashMap<SiteId, Result<Arc<Place>, String>>, Trouble> {
        let mut others = HashMap::new();
        for name in project.sites.keys().filter(|name| *name != site) {
            let at = self.sites.catalog_name(name).to_owned();
            let Some(key) = self.catalog.read(|view| view.site(&at))? else { continue };
            let place = match self.place(project, name).await {
                Ok(place) => Ok(Arc::new(place)),
                Err(Trouble::Site(fault)) => Err(fault.to_string()),
                Err(trouble) => return Err(trouble),
            };
            others.insert(key, place);
        }
        Ok(others)
    }

    /// Compares the copies in a folder. What is the same is to be recorded.
    async fn adopt_folder(
        &self,
        (own, site): (&RootAt, SiteId),
        others: &HashMap<SiteId, Result<Arc<Place>, String>>,
        folder: &str,
        (adopted, same): (&mut Adopted, &mut Vec<Candidate>),
    ) -> Result<(), Trouble> {
        let rows = self.catalog.read(|view| view.folder(own.id, folder))?;
        let mut known: HashMap<String, FileRow> =
            rows.files.into_iter().map(|row| (row.name.clone(), row)).collect();
        let entries = files_in(&own.root, folder).await;
        let entries = entries.map_err(|error| Fault::new(&own.root.site, &error))?;
        let mut candidates = Vec::new();
        for entry in entries {
            let Some(row) = known.remove(&entry.name) else {
                adopted.unknown += 1;
                continue;
            };
            let had = row.newest_at(site);
            if had.is_some_and(|have| have.version == entry.metadata.fingerprint()) {
                adopted.known += 1;
                continue;
            }
            let witnesses = witnesses(&row, own, site, others);
            candidates.push((Candidate { folder: folder.to_owned(), row, entry }, witnesses));
        }
        adopted.missing += known.len() as u64;
        let root = own.root.clone();
        let compared = for_each(candidates, |(candidate, witnesses)| {
            let root = root.clone();
            async move {
                let verdict = compare(&root, &candidate, witnesses).await;
                (candidate, verdict)
            }
        });
        let mut fault = None;
        for (candidate, verdict) in compared.await? {
            let path = join(&candidate.folder, &candidate.row.name);
            let (count, why) = match verdict {
                Verdict::Same => {
                    same.push(candidate);
                    continue;
                }
                Verdict::Differs(why) => (&mut adopted.differ, why),
                Verdict::Uncompared(why) => (&mut adopted.uncompared, why),
                Verdict::Fault(error) => {
                    fault = Some(Fault::new(&own.root.site, &error));
                    continue;
                }
            };
            *count += 1;
            if adopted.named.len() < NAMED {
                adopted.named.push((path, why));
            }
        }
        fault.map_or(Ok(()), |fault| Err(fault.into()))
    }

    /// Notes that a site has the newest content of files, unless that is another one by now. Whoever
    /// copied them may just have done so: they are made durable first.
    async fn record_copies(
        &self,
        (own, site): (&RootAt, SiteId),
        same: Vec<Candidate>,
        adopted: &mut Adopted,
    ) -> Result<(), Trouble> {
        if same.is_empty() {
            return Ok(());
        }
        let fault = |error| Fault::new(&own.root.site, &error);
        own.still_there().await.map_err(fault)?;
        if let Some(Failure { error, .. }) = self.barriers.flush(&own.root).await {
            return Err(fault(error.context("what is there could not be made durable")).into());
        }
        let root = own.id;
        let noted = self.recorded.clone();
        let write = move |unit: &mut dyn Unit| {
            let (mut files, mut bytes) = (0, 0);
            for Candidate { folder, row, entry } in same {
                let now = unit.file(root, &folder, &row.name)?;
                let busy = |row: &FileRow| {
                    let comes = |job: &crate::catalog::Job| {
                        job.to == site && job.state == JobState::InProgress
                    };
                    row.jobs.iter().any(comes)
                };
                let unchanged =
                    |now: &FileRow| now.id == row.id && now.generation == row.generation;
                let Some(now) = now.filter(|now| unchanged(now) && !busy(now)) else { continue };
                noted.note(now.id);
                unit.put_have(now.id, &plan::have(site, now.generation, &entry.metadata))?;
                unit.drop_job(now.id, site)?;
                files += 1;
                bytes += entry.metadata.size;
            }
            Ok((files, bytes))
        };
        let (files, bytes) = self.catalog.write(write).await?;
        adopted.files += files;
        adopted.bytes += bytes;
        Ok(())
    }
}

/// Files right in a folder; none where it is not there.
async fn files_in(root: &OpenRoot, folder: &str) -> sitesync_provider::Result<Vec<Entry>> {
    let mut listing = match root.list(folder, false).await {
        Ok(listing) => listing,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    loop {
        match listing.next().await {
            Ok(Some(pages)) => {
                let entries = pages.into_iter().flat_map(|listed| listed.page.entries);
                files.extend(entries.filter(|entry| {
                    entry.skipped.is_none()
                        && entry.metadata.kind == Kind::File
                        && !entry.name.starts_with(".sitesync")
                }));
            }
            Ok(None) => return Ok(files),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
    }
}

/// Where the newest content of a file is, besides at this site: or why it can't be read there.
fn witnesses(
    row: &FileRow,
    own: &RootAt,
    site: SiteId,
    others: &HashMap<SiteId, Result<Arc<Place>, String>>,
) -> Vec<Result<(RootAt, String), String>> {
    let newest =
        row.haves.iter().filter(|have| have.site != site && have.generation == row.generation);
    newest
        .filter_map(|have| match others.get(&have.site)? {
            Err(why) => Some(Err(why.clone())),
            Ok(place) => {
                let there = place.root(own.id)?;
                (!one_storage(own, there)).then(|| Ok((there.clone(), have.version.clone())))
            }
        })
        .collect()
}

async fn compare(
    root: &Arc<OpenRoot>,
    candidate: &Candidate,
    witnesses: Vec<Result<(RootAt, String), String>>,
) -> Verdict {
    let Candidate { folder, row, entry } = candidate;
    if entry.metadata.size != row.size {
        return Verdict::Differs("it has another size than the newest content".into());
    }
    let path = join(folder, &row.name);
    let mut why = None;
    for witness in witnesses {
        let (there, version) = match witness {
            Ok(witness) => witness,
            Err(reason) => {
                why.get_or_insert(reason);
                continue;
            }
        };
        let seen = match there.root.stat(&path).await {
            Ok(seen) if seen.fingerprint() == version => seen,
            Ok(_) => {
                why.get_or_insert(format!("the copy at '{}' has changed", there.root.site));
                continue;
            }
            Err(error) => {
                why.get_or_insert(error.message().to_owned());
                continue;
            }
        };
        let own = Compared { root, path: &path, metadata: &entry.metadata };
        let other = Compared { root: &there.root, path: &path, metadata: &seen };
        match same_content(own, other, |_| {}).await {
            Ok(true) => return Verdict::Same,
            Ok(false) => {
                return Verdict::Differs(format!("it differs from what '{}' has", there.root.site));
            }
            // Whose it is stands in it.
            Err(error)
                if is_site_fault(error.kind())
                    && (root.storage.suspect() || root.gone().is_some()) =>
            {
                return Verdict::Fault(error);
            }
            Err(error) => {
                why.get_or_insert(error.message().to_owned());
            }
        }
    }
    Verdict::Uncompared(why.unwrap_or_else(|| "no other site has its newest content".into()))
}
