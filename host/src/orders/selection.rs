//! What selectors stand for in a catalog.

use std::collections::HashSet;

use super::Refused;
use crate::catalog::{
    self, FileId, FileRow, FileState, JobState, ProjectId, RepresentationId, RootId, SiteId, View,
};
use crate::publish::{self, NamingPattern, Selector};

/// Selectors that fit nothing, named.
const NAMED: usize = 10;

/// Representations and files of a project, each once: keys, in the order in which they were named.
#[derive(Debug, Clone)]
pub struct Selection {
    project: ProjectId,
    /// Those that are meant as a whole.
    pub representations: Vec<RepresentationId>,
    /// Files that are meant by themselves.
    pub files: Vec<File>,
    /// Only files that are so at a site: of those above, or of the whole project if there are none.
    only: Option<(SiteId, FileState)>,
}

/// A file that is meant by itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct File {
    /// Its root.
    pub root: RootId,
    /// Its folder beneath that.
    pub folder: String,
    /// Its name.
    pub name: String,
}

/// A file that is selected, with all that is known of it.
#[derive(Debug, Clone)]
pub struct Selected {
    /// Its root.
    pub root: RootId,
    /// Its folder beneath that.
    pub folder: String,
    /// Whether all of its representation is meant.
    pub whole: bool,
    /// The file.
    pub row: FileRow,
}

impl Selected {
    /// Its path beneath the root.
    #[must_use]
    pub fn path(&self) -> String {
        sitesync_provider::join(&self.folder, &self.row.name)
    }
}

/// How far the files of a selection have been read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place {
    representation: usize,
    after: Option<FileId>,
    file: usize,
}

impl Selection {
    /// What these selectors stand for in a project with these roots.
    ///
    /// # Errors
    /// What is no selector, and all that stand for nothing: then nothing is to be done.
    pub fn of(
        view: &dyn View,
        project: ProjectId,
        roots: &[(RootId, String)],
        what: &[String],
    ) -> Result<Self, Refused> {
        let mut selectors = Vec::with_capacity(what.len());
        for text in what {
            let selector: Selector = text
                .parse()
                .map_err(|error: publish::SelectorError| Refused::wrong(error.to_string()))?;
            selectors.push(selector);
        }
        let found = Selection::none(project);
        let (seen, files) = (HashSet::new(), HashSet::new());
        let mut finder = Finder { view, roots, found, seen, files };
        let mut nothing = Vec::new();
        for selector in &selectors {
            if !finder.find(selector)? {
                nothing.push(selector.to_string());
            }
        }
        if nothing.is_empty() { Ok(finder.found) } else { Err(fits_nothing(&nothing)) }
    }

    /// Nothing of a project.
    fn none(project: ProjectId) -> Self {
        Selection { project, representations: Vec::new(), files: Vec::new(), only: None }
    }

    /// All files of a project that are in one state at a site.
    #[must_use]
    pub fn in_state(project: ProjectId, site: SiteId, state: FileState) -> Self {
        Selection::none(project).only(site, state)
    }

    /// Of these, the files that are in one state at a site.
    #[must_use]
    pub fn only(mut self, site: SiteId, state: FileState) -> Self {
        self.only = Some((site, state));
        self
    }

    fn is_empty(&self) -> bool {
        self.representations.is_empty() && self.files.is_empty()
    }

    /// The next files from a place on, which is moved on. Empty at the end, and only there.
    pub fn page(
        &self,
        view: &dyn View,
        place: &mut Place,
        limit: usize,
    ) -> catalog::Result<Vec<Selected>> {
        if let (true, Some((site, state))) = (self.is_empty(), self.only) {
            let after = place.after.unwrap_or(FileId(0));
            let files = view.files_in_state(self.project, site, state, after, limit)?;
            place.after = files.last().map(|(_, _, row)| row.id).or(place.after);
            let whole = false;
            let selected = |(root, folder, row)| Selected { root, folder, whole, row };
            return Ok(files.into_iter().map(selected).collect());
        }
        let mut page = Vec::new();
        while page.len() < limit {
            if let Some(&of) = self.representations.get(place.representation) {
                let after = place.after.unwrap_or(FileId(0));
                let wanted = limit - page.len();
                let files = view.files_of(of, after, wanted)?;
                match files.last() {
                    Some((_, _, last)) if files.len() == wanted => place.after = Some(last.id),
                    _ => (place.representation, place.after) = (place.representation + 1, None),
                }
                let files = files.into_iter().filter(|(_, _, row)| self.shows(row));
                page.extend(files.map(|(root, folder, row)| Selected {
                    root,
                    folder,
                    whole: self.only.is_none(),
                    row,
                }));
                continue;
            }
            let Some(file) = self.files.get(place.file) else { break };
            place.file += 1;
            let Some(row) = view.file(file.root, &file.folder, &file.name)? else { continue };
            if self.shows(&row) {
                let File { root, folder, .. } = file.clone();
                page.push(Selected { root, folder, whole: false, row });
            }
        }
        Ok(page)
    }

    /// Whether its files are looked for among many others: a page of them may take long to find.
    #[must_use]
    pub fn searches(&self) -> bool {
        self.only.is_some()
    }

    /// A file that was found earlier, as it is now; `None` if it is selected no more.
    pub fn again(&self, view: &dyn View, found: Selected) -> catalog::Result<Option<Selected>> {
        let Some(row) = view.file_by_id(found.row.id)? else { return Ok(None) };
        let before = found.row.representation;
        let left = row.representation != before && self.representations.contains(&before);
        let selected = self.shows(&row) && !left;
        Ok(selected.then_some(Selected { row, ..found }))
    }

    fn shows(&self, row: &FileRow) -> bool {
        self.only.is_none_or(|(site, state)| state_at(row, site) == state)
    }
}

/// What a file is at a site.
#[must_use]
pub fn state_at(row: &FileRow, site: SiteId) -> FileState {
    let job = row.job_to(site);
    match job.map(|job| job.state) {
        Some(JobState::Ready | JobState::Waiting) => FileState::Queued,
        Some(JobState::InProgress) => FileState::InProgress,
        Some(JobState::Failed | JobState::Conflict) => FileState::Failed,
        Some(JobState::Held) => FileState::Paused,
        None => {
            if row.newest_at(site).is_some() {
                FileState::Synced
            } else {
                FileState::NotAvailable
            }
        }
    }
}

fn fits_nothing(selectors: &[String]) -> Refused {
    let mut named: Vec<String> = selectors.iter().take(NAMED).map(|s| format!("`{s}`")).collect();
    if selectors.len() > NAMED {
        named.push(format!("{} more", selectors.len() - NAMED));
    }
    Refused::wrong(format!("nothing is known that fits {}", named.join(", ")))
        .hint("`sitesync show PROJECT` lists what is known")
}

struct Finder<'a> {
    view: &'a dyn View,
    roots: &'a [(RootId, String)],
    found: Selection,
    seen: HashSet<RepresentationId>,
    files: HashSet<File>,
}

impl Finder<'_> {
    /// Adds what a selector stands for; false if that is nothing.
    fn find(&mut self, selector: &Selector) -> Result<bool, Refused> {
        match selector {
            Selector::Id(id) => {
                let id = RepresentationId(*id);
                let Some(found) = self.view.representation(id)? else { return Ok(false) };
                let ours = self.view.find_representation(self.found.project, &found.naming)?;
                Ok(ours == Some(id) && self.add(id))
            }
            Selector::Naming(pattern) => {
                if self.named(pattern)? {
                    return Ok(true);
                }
                // As the queue shows files.
                let Some(path) = pattern.path() else { return Ok(false) };
                let mut found = false;
                for (root, _) in self.roots {
                    found |= self.file(*root, path)?;
                }
                Ok(found)
            }
            Selector::File { root, path } => {
                let root = self.roots.iter().find(|(_, name)| name == root);
                root.map_or(Ok(false), |(root, _)| self.file(*root, path))
            }
        }
    }

    fn add(&mut self, id: RepresentationId) -> bool {
        if self.seen.insert(id) {
            self.found.representations.push(id);
        }
        true
    }

    fn named(&mut self, pattern: &NamingPattern) -> Result<bool, Refused> {
        let project = self.found.project;
        let fitting: Vec<RepresentationId> = match pattern.exact() {
            Some(naming) => self.view.find_representation(project, naming)?.into_iter().collect(),
            None => {
                let fitting = self.view.representations_like(project, pattern, usize::MAX)?;
                fitting.into_iter().map(|one| one.id).collect()
            }
        };
        Ok(fitting.into_iter().fold(false, |_, id| self.add(id)))
    }

    fn file(&mut self, root: RootId, path: &str) -> Result<bool, Refused> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        if self.view.file(root, folder, name)?.is_none() {
            return Ok(false);
        }
        let file = File { root, folder: folder.to_owned(), name: name.to_owned() };
        if self.files.insert(file.clone()) {
            self.found.files.push(file);
        }
        Ok(true)
    }
}
