//! Publishing: files that people say they have made are recorded and queued at once. Only the site at
//! which they are is asked for them, and each in as few calls as there are folders; nothing is
//! scanned, and nobody waits for a file to settle.

use std::collections::{BTreeMap, HashMap, HashSet, hash_map};
use std::path::Path;

use sitesync_provider::{Entry, ErrorKind, Kind, Metadata, join};

use super::belonging::Belonging;
use super::names;
use super::place::{RootAt, Trouble, for_each};
use super::plan::{self, Moment};
use super::schedule::Engine;
use crate::catalog::{
    FileRow, FolderId, GONE, Generation, Have, Job, JobState, Representation, RepresentationId,
    Result, RootId, STALE, SiteId, UNKNOWN, Unit,
};
use crate::publish::{Naming, Templates, name_matches};
use crate::settings::Project;
use crate::sites::{Fault, OpenRoot, is_site_fault};

/// With so many names of one folder, it is listed instead of asked for each.
const LISTED: usize = 16;
/// With so many files of one folder, all that is known of it is read at once.
const MANY: usize = 64;

/// Records what is published of one project at one site.
#[derive(Debug)]
pub struct Publisher {
    engine: Engine,
    project: Project,
    belonging: Belonging,
    templates: Templates,
    site: SiteId,
    roots: Vec<RootAt>,
}

/// What a path stands for.
#[derive(Debug, Default)]
pub struct Found {
    /// Files: the path of their folder, and what there is.
    pub files: Vec<(String, Entry)>,
    /// What lies there too and could not be read: its path, and why.
    pub left: Vec<(String, String)>,
    /// What lies there too and can't travel: its path, and why.
    pub noted: Vec<(String, String)>,
}

/// A file that is published.
#[derive(Debug, Clone)]
pub struct Made {
    /// Its root.
    pub root: RootId,
    /// Its folder beneath that.
    pub folder: String,
    /// Its name.
    pub name: String,
    /// What its site says of it.
    pub metadata: Metadata,
    /// What it belongs to.
    pub naming: Naming,
    /// Somebody said so. Else what was published together stays together.
    pub named: bool,
    /// 1 to 1001; else what it had, or the project's.
    pub priority: Option<i64>,
}

/// What came of files that were published.
#[derive(Debug, Default)]
pub struct Published {
    /// Files that nobody knew.
    pub new: u64,
    /// Files with other content than was known.
    pub changed: u64,
    /// Files of which all was known.
    pub same: u64,
    /// Files to be compared first with what another site has.
    pub compared: u64,
    /// Pieces of work that are queued now.
    pub queued: u64,
    /// Files that still belong to what they were published as, by their place in what was handed in.
    pub stayed: Vec<(usize, Naming)>,
    /// Files of which nothing was recorded, by their place in what was handed in, and why.
    pub left: Vec<(usize, String)>,
}

impl Engine {
    /// Begins to publish at a site. Opens the project's root of this name there, or all.
    pub async fn publisher(
        &self,
        project: &Project,
        site: &str,
        root: Option<&str>,
    ) -> std::result::Result<Publisher, Trouble> {
        let names: Vec<String> = match root {
            Some(root) => vec![root.to_owned()],
            None => project.roots(site).keys().cloned().collect(),
        };
        let (sites, of, at) =
            (self.sites.clone(), project.clone(), self.sites.catalog_name(site).to_owned());
        let keys =
            move |unit: &mut dyn Unit| Ok((Belonging::of(unit, &sites, &of)?, unit.put_site(&at)?));
        let (belonging, key) = self.catalog.write(keys).await?;
        let mut roots = Vec::new();
        for name in names {
            roots.push(self.root_at(project, site, &name).await?.0);
        }
        Ok(Publisher {
            engine: self.clone(),
            project: project.clone(),
            belonging,
            templates: project.templates(),
            site: key,
            roots,
        })
    }
}

impl Publisher {
    /// Its roots: their keys and names, and the folder of this machine where each is.
    pub fn roots(&self) -> impl Iterator<Item = (RootId, &str, Option<&Path>)> {
        self.roots.iter().map(|root| {
            let local = root.root.info.local_path.as_deref().map(Path::new);
            (root.id, root.name.as_str(), local)
        })
    }

    /// What a file belongs to by the project's templates.
    #[must_use]
    pub fn naming(&self, folder: &str, name: &str) -> Naming {
        self.templates.naming(&join(folder, name))
    }

    /// Looks for files, folders with all that is in them, and patterns (`*`, `?`, `**` for any
    /// folders). Returns what each path stands for, or why that is nothing, in the order of the
    /// paths.
    pub async fn look(
        &self,
        root: RootId,
        paths: &[String],
    ) -> std::result::Result<Vec<std::result::Result<Found, String>>, Trouble> {
        let at = self.roots.iter().find(|at| at.id == root).expect("a root of this publisher");
        let root = &at.root;
        let mut found: Vec<Option<std::result::Result<Found, String>>> = Vec::new();
        found.resize_with(paths.len(), || None);
        let mut folders: BTreeMap<&str, Vec<(usize, &str)>> = BTreeMap::new();
        for (index, path) in paths.iter().enumerate() {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            folders.entry(folder).or_default().push((index, name));
        }
        let mut singles = Vec::new();
        for (folder, names) in folders {
            if names.len() < LISTED {
                singles.extend(names.into_iter().map(|(index, _)| (index, paths[index].clone())));
                continue;
            }
            let listed = self.list(root, folder).await?;
            let mut known: HashMap<&str, &Entry> = HashMap::new();
            known.extend(listed.entries.iter().map(|entry| (entry.name.as_str(), entry)));
            for (index, name) in names {
                // What is not named, or not to be: its own answer tells why.
                match known.get(name).filter(|entry| entry.skipped.is_none()) {
                    Some(entry) => {
                        let entry = (*entry).clone();
                        found[index] = Some(self.stands_for(root, &paths[index], entry).await?);
                    }
                    None => singles.push((index, paths[index].clone())),
                }
            }
        }
        let asked = for_each(singles, |(index, path)| {
            let root = root.clone();
            async move {
                let answer = match path.as_str() {
                    "" => Ok(Metadata::folder()),
                    path => root.stat(path).await,
                };
                (index, answer)
            }
        });
        for (index, answer) in asked.await? {
            let path = &paths[index];
            let name = path.rsplit('/').next().unwrap_or_default();
            found[index] = Some(match answer {
                Ok(metadata) => self.stands_for(root, path, Entry::new(name, metadata)).await?,
                Err(error) if error.kind() == ErrorKind::NotFound && path.contains(['*', '?']) => {
                    let found = self.fitting(root, path).await?;
                    if found.files.is_empty() { Err("fits no file".into()) } else { Ok(found) }
                }
                Err(error) if error.kind() == ErrorKind::NotFound => Err("is not there".into()),
                Err(error) if is_site_fault(error.kind()) => {
                    return Err(Fault::new(&root.site, &error).into());
                }
                Err(error) => Err(error.message().to_owned()),
            });
        }
        Ok(found.into_iter().map(|one| one.expect("each was asked for")).collect())
    }

    /// What something that is there stands for: a file for itself, a folder for all in it.
    async fn stands_for(
        &self,
        root: &OpenRoot,
        path: &str,
        entry: Entry,
    ) -> std::result::Result<std::result::Result<Found, String>, Trouble> {
        if let Some(name) = path.split('/').find(|name| names::is_ours(name)) {
            return Ok(Err(format!("'{name}' begins as names of sitesync's own do")));
        }
        match entry.metadata.kind {
            Kind::File if self.project.excludes(&entry.name) => {
                Ok(Err("is left out by `exclude` in the settings".into()))
            }
            Kind::File => {
                let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                Ok(Ok(Found { files: vec![(folder.to_owned(), entry)], ..Found::default() }))
            }
            Kind::Folder => {
                let mut found = Found::default();
                self.tree(root, path.to_owned(), &mut found).await?;
                let empty = found.files.is_empty();
                Ok(if empty { Err("has no file in it".into()) } else { Ok(found) })
            }
            _ => Ok(Err("is neither a file nor a folder".into())),
        }
    }

    /// Everything beneath a folder.
    async fn tree(
        &self,
        root: &OpenRoot,
        top: String,
        found: &mut Found,
    ) -> std::result::Result<(), Trouble> {
        let mut left = vec![top];
        while let Some(folder) = left.pop() {
            for entry in self.visible(root, &folder, found).await? {
                match entry.metadata.kind {
                    Kind::Folder => left.push(join(&folder, &entry.name)),
                    _ => found.files.push((folder.clone(), entry)),
                }
            }
        }
        Ok(())
    }

    /// What fits a pattern.
    async fn fitting(&self, root: &OpenRoot, pattern: &str) -> std::result::Result<Found, Trouble> {
        let parts: Vec<&str> = pattern.split('/').collect();
        let mut found = Found::default();
        // A folder, and which part what is in it has to fit.
        let mut left = vec![(String::new(), 0)];
        let mut seen = HashSet::new();
        while let Some((folder, part)) = left.pop() {
            if !seen.insert((folder.clone(), part)) {
                continue;
            }
            let Some(&wanted) = parts.get(part) else {
                self.tree(root, folder, &mut found).await?;
                continue;
            };
            let last = part + 1 == parts.len();
            if !last && !wanted.contains(['*', '?']) {
                left.push((join(&folder, wanted), part + 1));
                continue;
            }
            if wanted == "**" && !last {
                left.push((folder.clone(), part + 1));
            }
            for entry in self.visible(root, &folder, &mut found).await? {
                let path = join(&folder, &entry.name);
                let is_folder = entry.metadata.kind == Kind::Folder;
                match (wanted == "**", is_folder) {
                    (true, true) => left.push((path, part)),
                    (false, true) if name_matches(wanted, &entry.name) => {
                        left.push((path, part + 1));
                    }
                    (any, false) if last && (any || name_matches(wanted, &entry.name)) => {
                        found.files.push((folder.clone(), entry));
                    }
                    _ => {}
                }
            }
        }
        let mut seen = HashSet::new();
        found.files.retain(|(folder, entry)| seen.insert(join(folder, &entry.name)));
        Ok(found)
    }

    /// Files and folders right in a folder that may travel; what else is there is told.
    async fn visible(
        &self,
        root: &OpenRoot,
        folder: &str,
        found: &mut Found,
    ) -> std::result::Result<Vec<Entry>, Trouble> {
        let listed = self.list(root, folder).await?;
        let mut visible = Vec::with_capacity(listed.entries.len());
        for why in listed.wrong {
            found.left.push((folder.to_owned(), format!("its listing makes no sense: {why}")));
        }
        for entry in listed.entries {
            let kind = entry.metadata.kind;
            if let Some(why) = &entry.skipped {
                found.noted.push((join(folder, &entry.name), why.clone()));
            } else if !names::is_ours(&entry.name)
                && (kind == Kind::Folder
                    || kind == Kind::File && !self.project.excludes(&entry.name))
            {
                visible.push(entry);
            }
        }
        Ok(visible)
    }

    /// What is right in a folder; nothing where it is not there.
    async fn list(&self, root: &OpenRoot, folder: &str) -> std::result::Result<Contents, Trouble> {
        let mut contents = Contents::default();
        let listed = async {
            let mut listing = root.list(folder, false).await?;
            while let Some(pages) = listing.next().await? {
                for listed in pages {
                    contents.wrong.extend(listed.wrong);
                    contents.entries.extend(listed.page.entries);
                    if let sitesync_provider::End::Failed(error) = listed.page.end {
                        return Err(error);
                    }
                }
            }
            Ok(())
        };
        match listed.await {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(Fault::new(&root.site, &error).into());
            }
            _ => {}
        }
        // Which of two with one name is meant, nobody knows.
        let mut times: HashMap<String, usize> = HashMap::new();
        for entry in &contents.entries {
            *times.entry(entry.name.clone()).or_default() += 1;
        }
        contents.entries.retain(|entry| times[&entry.name] == 1);
        times.retain(|_, times| *times > 1);
        let twins = times.into_keys().map(|name| format!("'{name}' is named more than once"));
        contents.wrong.extend(twins);
        Ok(contents)
    }

    /// Looks once more whether the roots are the ones that are meant.
    ///
    /// # Errors
    /// A disk that is not there any more.
    pub async fn still_there(&self) -> std::result::Result<(), Trouble> {
        for root in &self.roots {
            let there = root.still_there().await;
            there.map_err(|error| Fault::new(&root.root.site, &error))?;
        }
        Ok(())
    }

    /// Records files in one unit of work: each is at its site, and is queued for all others where it
    /// belongs. They are in the order of their folders, none twice.
    pub async fn record(&self, files: Vec<Made>, by: &str) -> Result<Published> {
        let now = self.engine.time.now();
        let moment = Moment { now, wall_ns: self.engine.time.wall_ns() };
        let ground = Ground {
            engine: self.engine.clone(),
            belonging: self.belonging.clone(),
            site: self.site,
            steps: self.roots.iter().map(|at| (at.id, at.root.info.mtime_step_ns)).collect(),
            moment,
            by: by.to_owned(),
        };
        let write = move |unit: &mut dyn Unit| ground.write(unit, &files);
        self.engine.catalog.write(write).await
    }
}

/// What a folder has.
#[derive(Debug, Default)]
struct Contents {
    entries: Vec<Entry>,
    /// What was left out of it, and why.
    wrong: Vec<String>,
}

/// What recording stands on.
struct Ground {
    engine: Engine,
    belonging: Belonging,
    site: SiteId,
    /// How far the roots tell modification times apart.
    steps: Vec<(RootId, u64)>,
    moment: Moment,
    by: String,
}

/// What one file turned out to be.
enum Turn {
    New,
    Changed,
    Same,
    Compared,
    Left(&'static str),
}

/// A representation of this unit of work.
struct Known {
    id: RepresentationId,
    /// A file of it that nobody knew: what is wanted of one goes for all such.
    wants: Option<Vec<(SiteId, bool)>>,
}

impl Ground {
    fn write(&self, unit: &mut dyn Unit, files: &[Made]) -> Result<Published> {
        let mut published = Published::default();
        let mut known: HashMap<&Naming, Known> = HashMap::new();
        let mut before: HashMap<RepresentationId, Representation> = HashMap::new();
        let mut at = 0;
        for files in files.chunk_by(|a, b| a.root == b.root && a.folder == b.folder) {
            let (root, path) = (files[0].root, files[0].folder.as_str());
            let folder = unit.put_folder(root, path)?;
            let mut rows: HashMap<String, FileRow> = HashMap::new();
            if files.len() >= MANY {
                let all = unit.folder(root, path)?.files;
                rows.extend(all.into_iter().map(|row| (row.name.clone(), row)));
            }
            for made in files {
                let row = match files.len() >= MANY {
                    true => rows.remove(&made.name),
                    false => unit.file(root, path, &made.name)?,
                };
                let stays = match row.as_ref() {
                    Some(row) => self.stays(unit, made, row.representation, &mut before)?,
                    None => None,
                };
                if stays.is_none() && !known.contains_key(&made.naming) {
                    let id = self.representation(unit, made)?;
                    known.insert(&made.naming, Known { id, wants: None });
                }
                let of = known.get_mut(&made.naming);
                let queued = &mut published.queued;
                let turn = match (row, stays, of) {
                    (Some(row), Some(naming), _) => {
                        published.stayed.push((at, naming));
                        let of = row.representation;
                        self.look(unit, row, made, of, queued)?
                    }
                    (Some(row), None, Some(of)) => self.look(unit, row, made, of.id, queued)?,
                    (_, _, of) => {
                        let of = of.expect("it was just put there");
                        self.add(unit, folder, made, of, queued)?
                    }
                };
                match turn {
                    Turn::New => published.new += 1,
                    Turn::Changed => published.changed += 1,
                    Turn::Same => published.same += 1,
                    Turn::Compared => published.compared += 1,
                    Turn::Left(why) => published.left.push((at, why.to_owned())),
                }
                at += 1;
            }
        }
        Ok(published)
    }

    /// What a file was published as before, if nobody says otherwise and it is not what the templates
    /// say. Who made it, and when, stays as well.
    fn stays(
        &self,
        unit: &mut dyn Unit,
        made: &Made,
        of: RepresentationId,
        before: &mut HashMap<RepresentationId, Representation>,
    ) -> Result<Option<Naming>> {
        if made.named {
            return Ok(None);
        }
        let known = match before.entry(of) {
            hash_map::Entry::Occupied(known) => known.into_mut(),
            hash_map::Entry::Vacant(place) => match unit.representation(of)? {
                Some(known) => place.insert(known),
                None => return Ok(None),
            },
        };
        if !known.published || known.naming == made.naming {
            return Ok(None);
        }
        if let Some(priority) = made.priority.filter(|priority| *priority != known.priority) {
            unit.set_priority(of, priority)?;
            known.priority = priority;
        }
        Ok(Some(known.naming.clone()))
    }

    fn representation(&self, unit: &mut dyn Unit, made: &Made) -> Result<RepresentationId> {
        let project = self.belonging.project;
        let before = match unit.find_representation(project, &made.naming)? {
            Some(id) => unit.representation(id)?.map_or(0, |before| before.priority),
            None => 0,
        };
        let priority = made.priority.unwrap_or(before);
        let at = self.moment.wall_ns / 1_000_000;
        let id = unit.put_representation(project, &made.naming, priority, at, &self.by, true)?;
        if priority != before {
            unit.set_priority(id, priority)?;
        }
        Ok(id)
    }

    /// A file that nobody knew.
    fn add(
        &self,
        unit: &mut dyn Unit,
        folder: FolderId,
        made: &Made,
        of: &mut Known,
        queued: &mut u64,
    ) -> Result<Turn> {
        let file = unit.add_file(folder, &made.name, made.metadata.size, of.id)?;
        self.engine.recorded.note(file);
        let have = self.have(made, 1);
        unit.put_have(file, &have)?;
        let wants = match &of.wants {
            Some(wants) => wants.clone(),
            None => {
                let wants = unit.file_by_id(file)?.map(|row| row.wants).unwrap_or_default();
                of.wants.insert(wants).clone()
            }
        };
        let row = FileRow {
            id: file,
            root: made.root,
            name: made.name.clone(),
            generation: 1,
            size: made.metadata.size,
            representation: of.id,
            haves: vec![have],
            jobs: Vec::new(),
            wants,
        };
        *queued += self.send(unit, &row, true, None)?;
        Ok(Turn::New)
    }

    /// A file that is known: what is there means the same as if a scan had found it.
    fn look(
        &self,
        unit: &mut dyn Unit,
        mut row: FileRow,
        made: &Made,
        of: RepresentationId,
        queued: &mut u64,
    ) -> Result<Turn> {
        let seen = &made.metadata;
        let job_here = row.job_to(self.site).cloned();
        let step = self.steps.iter().find(|(root, _)| *root == made.root).map_or(1, |(_, ns)| *ns);
        let unrecorded = job_here.as_ref().is_some_and(|job| plan::is_unrecorded(job, seen, step));
        let had = row.at(self.site).cloned();
        let same = had
            .as_ref()
            .is_some_and(|have| have.version == seen.fingerprint() && have.size == seen.size);
        if unrecorded && !same {
            return Ok(Turn::Left("it is being written or deleted there at this moment"));
        }
        self.engine.recorded.note(row.id);
        if row.representation != of {
            unit.set_representation(row.id, of)?;
            row = unit.file_by_id(row.id)?.unwrap_or(row);
        }
        if row.wants.contains(&(self.site, false)) {
            // It was taken away from there, and is there again because somebody put it there.
            unit.put_want(of, Some(row.id), self.site, None)?;
        }
        if job_here.as_ref().is_some_and(Job::removes) {
            unit.drop_job(row.id, self.site)?;
        }
        let newest = |have: &Have| have.generation == row.generation;
        match had {
            Some(have) if same && newest(&have) => {
                *queued += self.send(unit, &row, false, None)?;
                Ok(Turn::Same)
            }
            Some(have) if same && have.generation == UNKNOWN => Ok(Turn::Compared),
            Some(_) if same => {
                Ok(Turn::Left("it has not changed there, and another site has newer content"))
            }
            Some(have) if newest(&have) => {
                *queued += self.news(unit, &row, made, false)?;
                Ok(Turn::Changed)
            }
            None if !self.is_elsewhere(&row) || self.returns(&row) => {
                *queued += self.news(unit, &row, made, true)?;
                Ok(Turn::Changed)
            }
            // Somebody else's content is newer, or was there first: they meet.
            _ => {
                unit.put_have(row.id, &self.have(made, UNKNOWN))?;
                if let Some(from) = self.belonging.source(&row, self.site) {
                    let ways = (from, self.site);
                    let job = self.belonging.job(unit, &row, ways, self.moment.now)?;
                    let sent = job_here.and_then(|job| job.sent);
                    unit.put_job(row.id, &Job { sent, ..job })?;
                    *queued += 1;
                }
                Ok(Turn::Compared)
            }
        }
    }

    fn is_elsewhere(&self, row: &FileRow) -> bool {
        row.haves.iter().any(|have| have.site != self.site && have.generation != GONE)
    }

    /// Whether it was deleted here, and nothing has changed elsewhere since.
    fn returns(&self, row: &FileRow) -> bool {
        let gone = |have: &Have| have.site == self.site && have.is_gone_from(row.generation);
        row.haves.iter().any(gone)
    }

    /// New content. Where it was away in between it may be the same as before: then other sites
    /// are compared before they are written to.
    fn news(&self, unit: &mut dyn Unit, row: &FileRow, made: &Made, was_away: bool) -> Result<u64> {
        let generation = row.generation + 1;
        let have = self.have(made, generation);
        if was_away {
            let alike = self.belonging.alike(self.site);
            for other in &row.haves {
                let ours = other.site == self.site || alike.contains(&other.site);
                if !ours && other.generation != GONE && !is_busy(row, other.site) {
                    unit.put_have(row.id, &Have { generation: STALE, ..other.clone() })?;
                }
            }
        }
        unit.set_generation(row.id, generation, made.metadata.size)?;
        unit.put_have(row.id, &have)?;
        let row = unit.file_by_id(row.id)?.unwrap_or_else(|| row.clone());
        self.send(unit, &row, true, was_away.then_some(&have))
    }

    /// Queues the newest content for every site where it belongs and is not. What waits, was given
    /// up or was stopped by a guard is queued as well: somebody has said that it is to travel. Returns
    /// how many.
    fn send(
        &self,
        unit: &mut dyn Unit,
        row: &FileRow,
        news: bool,
        compare: Option<&Have>,
    ) -> Result<u64> {
        let mut queued = 0;
        for to in self.belonging.sites() {
            let earlier = row.job_to(to);
            let belongs = self.belonging.wanted(row, to) && !self.belonging.is_there(row, to);
            if to == self.site || is_busy(row, to) {
                continue;
            }
            let stuck = |job: &Job| match job.state {
                JobState::Waiting | JobState::Failed | JobState::Held => true,
                JobState::Ready | JobState::InProgress | JobState::Conflict => job.removes(),
            };
            if earlier.is_some_and(|job| !news && !stuck(job)) {
                continue;
            }
            if earlier.is_some() {
                // Also from a guard.
                unit.drop_job(row.id, to)?;
            }
            if !belongs || self.belonging.is_on_its_way(row, to) {
                continue;
            }
            let Some(from) = self.belonging.source(row, to) else { continue };
            let job = self.belonging.job(unit, row, (from, to), self.moment.now)?;
            let sent = compare.filter(|_| row.at(to).is_some()).map(Have::sent);
            let job = Job {
                queued_at: earlier.map_or(job.queued_at, |earlier| earlier.queued_at),
                sent: sent.or_else(|| earlier.and_then(|earlier| earlier.sent)),
                ..job
            };
            unit.put_job(row.id, &job)?;
            queued += 1;
        }
        Ok(queued)
    }

    fn have(&self, made: &Made, generation: Generation) -> Have {
        plan::have(self.site, generation, &made.metadata)
    }
}

/// Whether a transfer brings a file there at this moment.
fn is_busy(row: &FileRow, to: SiteId) -> bool {
    row.jobs.iter().any(|job| job.to == to && job.state == JobState::InProgress)
}
