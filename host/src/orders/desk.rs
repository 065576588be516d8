//! Where orders are carried out.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::request::Meant;
use super::selection::{Place, Selected, Selection};
use super::{
    Answer, Order, Refused, Report, adopt, ensure, pause, publish, remove, request, resolve,
    validate,
};
use crate::catalog::{self, FileId, FileRow, ProjectId, RootId, SiteId, Unit, View};
use crate::engine::belonging::Belonging;
use crate::engine::validate::Now;
use crate::engine::{Engine, Trouble};
use crate::publish::echoed;
use crate::settings::{Project, Settings, nearest};

/// Files of one unit of work: others of the catalog's writer wait no longer than these take.
pub(super) const PAGE: usize = 10_000;

/// Carries out orders with an engine, which may be at work.
#[derive(Debug, Clone)]
pub struct Desk {
    /// The engine.
    pub engine: Engine,
    /// The settings that are in force.
    pub settings: watch::Receiver<Arc<Settings>>,
    /// Somebody else has the engine work.
    pub works: bool,
}

impl Desk {
    /// Carries out an order. `report` is told how far it is; once nobody listens to it any more, an
    /// order that only waits is given up.
    pub async fn carry_out(&self, order: Order, report: mpsc::Sender<Report>) -> Answer {
        match order {
            Order::Request { project, what, site, state, priority } => {
                let site = Some(site.as_str());
                let (project, what, state) = (&project, &what, state.as_deref());
                request::request(self, &Meant { project, what, site, state }, priority, &report)
                    .await
            }
            Order::Ensure { project, what, site, wait } => {
                let wait = wait.map(Duration::from_secs);
                ensure::ensure(self, (&project, &what, &site), wait, &report).await
            }
            Order::Reset { project, what, site, state } => {
                let (site, state) = (site.as_deref(), state.as_deref());
                request::reset(self, &Meant { project: &project, what: &what, site, state }).await
            }
            Order::Priority { project, what, site, state, priority } => {
                let (project, what) = (&project, &what);
                let (site, state) = (site.as_deref(), state.as_deref());
                let meant = Meant { project, what, site, state };
                request::prioritise(self, &meant, priority).await
            }
            Order::Resolve { project, what, keep } => {
                resolve::resolve(self, &project, &what, &keep).await
            }
            Order::Pause { project, site, what, by } => {
                pause::pause(self, &pause::Reach { project, site, what }, by).await
            }
            Order::ResumeHeld { project, site, what, kind } => {
                pause::resume_held(self, &pause::Reach { project, site, what }, kind).await
            }
            Order::Resume { project, site, what } => {
                pause::resume(self, &pause::Reach { project, site, what }).await
            }
            Order::Publish { project, site, items, by } => {
                publish::publish(self, (&project, site.as_deref()), items, &by, &report).await
            }
            Order::Remove { project, what, site, state, force } => {
                let (site, state) = (site.as_deref(), state.as_deref());
                let meant = Meant { project: &project, what: &what, site, state };
                remove::remove(self, &meant, force, &report).await
            }
            Order::Clear { project, site, force } => {
                remove::clear(self, &project, (&site, force), &report).await
            }
            Order::Validate { project, what, site } => {
                validate::validate(self, &project, site.as_deref(), &what, &report).await
            }
            Order::Adopt { project, site, root, folder } => {
                adopt::adopt(self, &project, (&site, root.as_deref()), &folder, &report).await
            }
        }
    }

    /// The settings as they are now.
    pub(super) fn settings(&self) -> Arc<Settings> {
        self.settings.borrow().clone()
    }

    /// A project by its name in the settings.
    pub(super) fn project(&self, name: &str) -> Result<Project, Refused> {
        let settings = self.settings();
        settings.projects.get(name).cloned().ok_or_else(|| {
            let message = format!("there is no project '{}' in the settings", echoed(name));
            Refused::wrong(message).hint(there_are("projects", name, settings.projects.keys()))
        })
    }

    /// The name in the catalog of a site of the settings.
    pub(super) fn site(&self, name: &str) -> Result<String, Refused> {
        let settings = self.settings();
        if settings.sites.contains_key(name) {
            return Ok(self.engine.sites.catalog_name(name).to_owned());
        }
        let message = format!("there is no site '{}' in the settings", echoed(name));
        Err(Refused::wrong(message).hint(there_are("sites", name, settings.sites.keys())))
    }

    /// The name in the settings of a site that the catalog knows.
    pub(super) fn configured(&self, catalog_name: &str) -> String {
        let settings = self.settings();
        let mut names = settings.sites.keys();
        let name = names.find(|name| self.engine.sites.catalog_name(name) == catalog_name);
        name.map_or_else(|| catalog_name.to_owned(), Clone::clone)
    }

    /// Reads the catalog, for as long as it takes.
    pub(super) fn read<R>(
        &self,
        read: impl FnOnce(&dyn View) -> Result<R, Refused>,
    ) -> Result<R, Refused> {
        tokio::task::block_in_place(|| self.engine.catalog.read(|view| Ok(read(view))))?
    }

    /// The keys of a project and of a site, made if need be.
    pub(super) async fn keys(
        &self,
        project: &str,
        site: Option<&str>,
    ) -> Result<(ProjectId, Option<SiteId>), Refused> {
        let (project, site) = (project.to_owned(), site.map(str::to_owned));
        let put = move |unit: &mut dyn Unit| {
            let site = site.map(|site| unit.put_site(&site)).transpose()?;
            Ok((unit.put_project(&project)?, site))
        };
        Ok(self.engine.catalog.write(put).await?)
    }

    /// Where files of a project belong.
    pub(super) async fn belonging(&self, project: &Project) -> Result<Belonging, Refused> {
        let (sites, project) = (self.engine.sites.clone(), project.clone());
        let of = move |unit: &mut dyn Unit| Belonging::of(unit, &sites, &project);
        Ok(self.engine.catalog.write(of).await?)
    }

    /// What selectors of a project stand for. Refused if one of them stands for nothing.
    pub(super) fn select(&self, project: &Project, what: &[String]) -> Result<Selection, Refused> {
        let what = beneath_roots(project, what);
        self.read(|view| {
            let id = view.project(&project.name)?.unwrap_or(ProjectId(0));
            Selection::of(view, id, &roots(view, project)?, &what)
        })
    }

    /// Does something with each file of a selection, and sums up what comes of it. Files are read in
    /// the unit of work that changes them: transfers may be at work on them. Where they are looked for
    /// among others, that is done before, beside the writer.
    pub(super) async fn for_each<S: Send + 'static>(
        &self,
        selection: Selection,
        sums: S,
        act: impl Fn(&mut dyn Unit, &Selected, &mut S) -> catalog::Result<()> + Send + Sync + 'static,
        hear: impl Fn(&S),
    ) -> Result<S, Refused> {
        let (selection, act) = (Arc::new(selection), Arc::new(act));
        let (mut place, mut sums) = (Place::default(), sums);
        loop {
            let found = if selection.searches() {
                Some(self.read(|view| Ok(selection.page(view, &mut place, PAGE)?))?)
            } else {
                None
            };
            let (selection, act) = (selection.clone(), act.clone());
            let page = move |unit: &mut dyn Unit| {
                let Some(found) = found else {
                    let page = selection.page(unit, &mut place, PAGE)?;
                    page.iter().try_for_each(|one| act(unit, one, &mut sums))?;
                    return Ok((place, sums, page.is_empty()));
                };
                let ended = found.is_empty();
                for one in found {
                    if let Some(one) = selection.again(unit, one)? {
                        act(unit, &one, &mut sums)?;
                    }
                }
                Ok((place, sums, ended))
            };
            let ended;
            (place, sums, ended) = self.engine.catalog.write(page).await?;
            if ended {
                return Ok(sums);
            }
            hear(&sums);
        }
    }

    /// What a site has now of the files of a selection that are meant, where that is not what is known.
    /// Nothing if it can't be looked at.
    pub(super) async fn look(
        &self,
        project: &Project,
        site: &str,
        selection: &Selection,
        meant: impl Fn(&FileRow) -> bool,
    ) -> Result<HashMap<FileId, Now>, Refused> {
        let (mut found, mut place) = (HashMap::new(), Place::default());
        let verifier = match self.engine.verifier(project, site).await {
            Ok(verifier) => verifier,
            Err(Trouble::Site(_)) => return Ok(found),
            Err(trouble) => return Err(trouble.into()),
        };
        loop {
            let page = self.read(|view| Ok(selection.page(view, &mut place, PAGE)?))?;
            if page.is_empty() {
                return Ok(found);
            }
            let files = page.into_iter().filter(|one| meant(&one.row));
            let files = files.map(|one| (one.root, one.folder, one.row)).collect();
            match verifier.now(files).await {
                Ok(now) => found.extend(now.into_iter().filter(|(_, now)| *now != Now::Same)),
                Err(Trouble::Site(_)) => return Ok(HashMap::new()),
                Err(trouble) => return Err(trouble.into()),
            }
        }
    }

    /// Has the engine see pauses that are new or gone.
    pub(super) fn pauses_changed(&self) -> Result<(), Refused> {
        Ok(tokio::task::block_in_place(|| self.engine.pauses.reload(&self.engine.catalog))?)
    }

    /// Has the engine see at once what is new in the catalog.
    pub(super) fn wake(&self) {
        self.engine.nudge();
    }
}

/// A project's roots that the catalog knows.
pub(crate) fn roots(view: &dyn View, project: &Project) -> catalog::Result<Vec<(RootId, String)>> {
    let Some(id) = view.project(&project.name)? else { return Ok(Vec::new()) };
    let names = project.sites.values().flat_map(|site| site.roots.keys());
    let names: BTreeSet<&String> = names.collect();
    let mut roots = Vec::new();
    for name in names {
        roots.extend(view.root(id, name)?.map(|root| (root, name.clone())));
    }
    Ok(roots)
}

/// Selectors; in the place of the full path of a file on this machine, its path beneath its root.
pub(crate) fn beneath_roots(project: &Project, what: &[String]) -> Vec<String> {
    let paths = || project.sites.values().flat_map(|site| site.roots.iter());
    let beneath = |text: &String| {
        let found = paths().filter(|_| text.starts_with('/')).find_map(|(root, path)| {
            let rest = Path::new(text).strip_prefix(path).ok()?.to_str()?;
            (!rest.is_empty()).then(|| format!("{{root[{root}]}}/{rest}"))
        });
        found.unwrap_or_else(|| text.clone())
    };
    what.iter().map(beneath).collect()
}

/// Which names there are where one was given that is not.
fn there_are<'a>(what: &str, name: &str, names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.map(String::as_str).collect();
    if let Some(meant) = nearest(name, names.iter().copied()) {
        return format!("did you mean '{meant}'?");
    }
    if names.is_empty() {
        return format!("there are no {what} yet");
    }
    format!("{what} are: {}", names.join(", "))
}
