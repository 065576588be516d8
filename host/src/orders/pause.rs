//! Holding work back, and letting it go on.

use serde_json::json;

use super::selection::Selected;
use super::{Answer, Desk, Refused};
use crate::catalog::{self, HoldKind, Pause, ProjectId, RepresentationId, Scope, SiteId, Unit};

/// What is to be paused or to go on: the host, a project, a site, or representations.
#[derive(Debug, Clone)]
pub(super) struct Reach {
    pub project: Option<String>,
    pub site: Option<String>,
    pub what: Vec<String>,
}

impl Reach {
    /// Its site as the catalog calls it. One that has left the settings can still go on.
    fn known_site(&self, desk: &Desk) -> Result<Option<String>, Refused> {
        let Some(name) = &self.site else { return Ok(None) };
        match desk.site(name) {
            Ok(site) => Ok(Some(site)),
            Err(_) if desk.read(|view| Ok(view.site(name)?))?.is_some() => Ok(Some(name.clone())),
            Err(refused) => Err(refused),
        }
    }

    /// As scopes of the catalog.
    async fn scopes(&self, desk: &Desk, site: Option<String>) -> Result<Vec<Scope>, Refused> {
        let project = self.project.as_deref().map(|name| desk.project(name)).transpose()?;
        let (name, at) = (project.as_ref().map(|project| project.name.clone()), site);
        let keys = move |unit: &mut dyn Unit| {
            let project = name.map(|name| unit.put_project(&name)).transpose()?;
            Ok((project, at.map(|at| unit.put_site(&at)).transpose()?))
        };
        let (id, site): (Option<ProjectId>, Option<SiteId>) =
            desk.engine.catalog.write(keys).await?;
        let scope = |representation| Scope { project: id, site, representation };
        let Some(project) = project.filter(|_| !self.what.is_empty()) else {
            return Ok(vec![scope(None)]);
        };
        let selection = desk.select(&project, &self.what)?;
        if !selection.files.is_empty() {
            return Err(Refused::wrong("single files can't be paused, only whole representations")
                .hint("`sitesync show PROJECT FILE` says to which one a file belongs"));
        }
        Ok(selection.representations.into_iter().map(|id| scope(Some(id))).collect())
    }
}

/// Holds work back, from now on and until somebody resumes it.
pub(super) async fn pause(desk: &Desk, reach: &Reach, by: String) -> Answer {
    let site = reach.site.as_deref().map(|name| desk.site(name)).transpose()?;
    let scopes = reach.scopes(desk, site).await?;
    let since = desk.engine.time.wall_ns() / 1_000_000;
    let paused = scopes.len();
    let put = move |unit: &mut dyn Unit| {
        let pause = |scope| Pause { scope, since, by: by.clone() };
        scopes.into_iter().try_for_each(|scope| unit.put_pause(&pause(scope)))
    };
    desk.engine.catalog.write(put).await?;
    desk.pauses_changed()?;
    Ok(json!({"paused": paused}))
}

/// Takes pauses of exactly this reach away. Tells which wider ones are left.
pub(super) async fn resume(desk: &Desk, reach: &Reach) -> Answer {
    let scopes = reach.scopes(desk, reach.known_site(desk)?).await?;
    let own = scopes.clone();
    let drop = move |unit: &mut dyn Unit| {
        let mut resumed = 0;
        for scope in &scopes {
            resumed += u64::from(unit.drop_pause(scope)?);
        }
        Ok(resumed)
    };
    let resumed: u64 = desk.engine.catalog.write(drop).await?;
    desk.pauses_changed()?;
    let left = desk.read(|view| {
        let reaches = |pause: &Pause| own.iter().any(|scope| overlap(&pause.scope, scope));
        let pauses = view.pauses()?.into_iter().filter(reaches);
        pauses.map(|pause| told(desk, view, &pause)).collect::<Result<Vec<_>, Refused>>()
    })?;
    desk.wake();
    Ok(json!({"resumed": resumed, "still_paused": left}))
}

/// Lets go on what guards of a project stopped: of one kind, at one site, of these files, or all.
pub(super) async fn resume_held(desk: &Desk, reach: &Reach, kind: Option<String>) -> Answer {
    let Some(project) = &reach.project else {
        return Err(Refused::wrong("a guard stops a project's pass: which project's?").hint(
            "`sitesync resume PROJECT --held`; `sitesync status` shows what guards stopped",
        ));
    };
    let kind = match kind {
        None => None,
        Some(name) => Some(HoldKind::named(&name).ok_or_else(|| {
            Refused::wrong(format!("guards stop no '{}'", name.escape_debug()))
                .hint("`--held=delete` and `--held=change` are what there is")
        })?),
    };
    let project = desk.project(project)?;
    let site = reach.known_site(desk)?;
    let (id, site) = desk.keys(&project.name, site.as_deref()).await?;
    let files = if reach.what.is_empty() {
        desk.engine.guards.forget(id, kind, site);
        desk.engine.catalog.write(move |unit| release(unit, id, kind, site)).await?
    } else {
        let selection = desk.select(&project, &reach.what)?;
        let let_go = move |unit: &mut dyn Unit, one: &Selected, files: &mut usize| {
            for job in one.row.jobs.iter().filter(|job| site.is_none_or(|site| site == job.to)) {
                *files += usize::from(unit.release_file(one.row.id, job.to, kind)?);
            }
            Ok(())
        };
        desk.for_each(selection, 0, let_go, |_| {}).await?
    };
    let left = desk.read(|view| Ok(view.guarded(id)?))?;
    desk.wake();
    let left: u64 = left.iter().map(|hold| hold.files).sum();
    Ok(json!({"files": files, "still_held": left}))
}

/// Frees what guards of a project keep back, of one kind or at one site or all.
fn release(
    unit: &mut dyn Unit,
    project: ProjectId,
    kind: Option<HoldKind>,
    site: Option<SiteId>,
) -> catalog::Result<usize> {
    if kind.is_none() && site.is_none() {
        return unit.release_held(project, None);
    }
    let mut guards: Vec<(HoldKind, SiteId)> = Vec::new();
    for hold in unit.guarded(project)?.into_iter().chain(unit.holds(project)?) {
        let guard = (hold.kind, hold.site);
        let meant =
            kind.is_none_or(|kind| kind == hold.kind) && site.is_none_or(|site| site == hold.site);
        if meant && !guards.contains(&guard) {
            guards.push(guard);
        }
    }
    let mut files = 0;
    for guard in guards {
        files += unit.release_held(project, Some(guard))?;
    }
    Ok(files)
}

/// Whether two scopes have work in common.
fn overlap(a: &Scope, b: &Scope) -> bool {
    fn agree<T: PartialEq>(a: Option<T>, b: Option<T>) -> bool {
        a.is_none() || b.is_none() || a == b
    }
    agree(a.project, b.project)
        && agree(a.site, b.site)
        && agree(a.representation, b.representation)
}

/// A pause, as programs read it.
fn told(
    desk: &Desk,
    view: &dyn crate::catalog::View,
    pause: &Pause,
) -> Result<serde_json::Value, Refused> {
    let settings = desk.settings();
    let mut project = None;
    for name in settings.projects.keys() {
        if view.project(name)? == pause.scope.project && pause.scope.project.is_some() {
            project = Some(name.clone());
        }
    }
    let site = match pause.scope.site {
        Some(id) => view.site_names()?.into_iter().find(|(known, _)| *known == id),
        None => None,
    };
    let naming = |id: RepresentationId| view.representation(id);
    let representation = pause.scope.representation.map(naming).transpose()?.flatten();
    Ok(json!({
        "project": project,
        "site": site.map(|(_, name)| desk.configured(&name)),
        "representation": representation.map(|of| of.naming.to_string()),
        "since": pause.since,
        "by": pause.by,
    }))
}
