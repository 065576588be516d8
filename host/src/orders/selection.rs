//! What selectors stand for in a catalog.

use std::collections::HashSet;

use super::Refused;
use crate::catalog::{
    self, Apart, FileId, FileRow, FileState, JobState, ProjectId, RepresentationId, RootId, SiteId,
    View,
};
use crate::publish::{self, NamingPattern, Selector, echoed, quoted};

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
    /// Only files that are so: of those above, or of the whole project if there are none.
    only: Option<Only>,
}

/// Which files of a selection are meant: those in a state at one of these sites.
#[derive(Debug, Clone)]
pub struct Only {
    /// The sites.
    pub sites: Vec<SiteId>,
    /// The state.
    pub state: FileState,
    /// What is paused, and is no more queued.
    pub apart: Apart,
}

impl Only {
    /// Whether a file is so at one of the first sites.
    fn shows(&self, row: &FileRow, sites: usize) -> bool {
        let so = |site: &SiteId| state_at(row, *site, &self.apart) == self.state;
        self.sites.iter().take(sites).any(so)
    }
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
    /// Of the sites in whose state files are.
    site: usize,
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
            if text.starts_with('/') {
                let why = format!("{} is beneath no root of the project", echoed(text));
                return Err(Refused::wrong(why).hint(roots_are(roots)));
            }
            let selector: Selector = text
                .parse()
                .map_err(|error: publish::SelectorError| Refused::wrong(error.to_string()))?;
            selectors.push(selector);
        }
        let found = Selection::none(project);
        let (seen, files) = (HashSet::new(), HashSet::new());
        let mut finder = Finder { view, roots, found, seen, files };
        let mut nothing = Vec::new();
        let mut beneath = None;
        for selector in &selectors {
            if !finder.find(selector)? {
                beneath = beneath.or(finder.beneath(selector)?);
                nothing.push(selector.to_string());
            }
        }
        if nothing.is_empty() { Ok(finder.found) } else { Err(fits_nothing(&nothing, beneath)) }
    }

    /// Nothing of a project.
    fn none(project: ProjectId) -> Self {
        Selection { project, representations: Vec::new(), files: Vec::new(), only: None }
    }

    /// All files of a project that are so.
    #[must_use]
    pub fn in_state(project: ProjectId, only: Only) -> Self {
        Selection::none(project).only(only)
    }

    /// Of these, the files that are so.
    #[must_use]
    pub fn only(mut self, only: Only) -> Self {
        self.only = Some(only);
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
        if let (true, Some(only)) = (self.is_empty(), &self.only) {
            return self.in_states(view, only, place, limit);
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

    /// The next files of the project that are so, each where it is so first.
    fn in_states(
        &self,
        view: &dyn View,
        only: &Only,
        place: &mut Place,
        limit: usize,
    ) -> catalog::Result<Vec<Selected>> {
        while let Some(site) = only.sites.get(place.site) {
            let after = place.after.unwrap_or(FileId(0));
            let mut files = view.files_in_state(self.project, *site, only.state, after, limit)?;
            match files.last() {
                Some((_, _, row)) => place.after = Some(row.id),
                None => (place.site, place.after) = (place.site + 1, None),
            }
            files.retain(|(_, _, row)| !only.shows(row, place.site));
            if !files.is_empty() {
                let whole = false;
                let selected = |(root, folder, row)| Selected { root, folder, whole, row };
                return Ok(files.into_iter().map(selected).collect());
            }
        }
        Ok(Vec::new())
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
        self.only.as_ref().is_none_or(|only| only.shows(row, only.sites.len()))
    }
}

/// What a file is at a site, where this is paused.
#[must_use]
pub fn state_at(row: &FileRow, site: SiteId, apart: &Apart) -> FileState {
    let job = row.job_to(site);
    match job.map(|job| apart.state(job)) {
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

/// Refuses selectors that fit nothing; `beneath` is one that would.
fn fits_nothing(selectors: &[String], beneath: Option<String>) -> Refused {
    let shown = |selector: &String| format!("`{}`", echoed(selector));
    let mut named: Vec<String> = selectors.iter().take(NAMED).map(shown).collect();
    if selectors.len() > NAMED {
        named.push(format!("{} more", selectors.len() - NAMED));
    }
    let refused = Refused::wrong(format!("nothing is known that fits {}", named.join(", ")));
    refused.hint(match beneath {
        Some(beneath) => format!("what is beneath it: {}", quoted(&beneath)),
        None => "`sitesync show PROJECT` lists what is known".to_owned(),
    })
}

/// Names of roots, for a hint.
fn roots_are(roots: &[(RootId, String)]) -> String {
    let names: Vec<&str> = roots.iter().map(|(_, name)| name.as_str()).collect();
    if names.is_empty() {
        "no root is known yet".into()
    } else {
        format!("roots are: {}", names.join(", "))
    }
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
                let Some((id, _)) = self.roots.iter().find(|(_, name)| name == root) else {
                    let why = format!("the project has no root '{}'", echoed(root));
                    return Err(Refused::wrong(why).hint(roots_are(self.roots)));
                };
                self.file(*id, path)
            }
        }
    }

    /// The selector of all that lies beneath one that stands for nothing, if anything does.
    fn beneath(&self, selector: &Selector) -> Result<Option<String>, Refused> {
        let Selector::Naming(pattern) = selector else { return Ok(None) };
        let Some(folder) = pattern.path().filter(|path| !path.contains(['*', '?'])) else {
            return Ok(None);
        };
        let all = format!("{folder}/**");
        let Ok(pattern) = all.parse::<NamingPattern>() else { return Ok(None) };
        let any = self.view.representations_like(self.found.project, &pattern, 1)?;
        Ok((!any.is_empty()).then_some(all))
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
