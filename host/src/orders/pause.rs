//! Holding work back, and letting it go on.

use serde_json::json;

use super::{Answer, Desk, Refused};
use crate::catalog::{Pause, ProjectId, RepresentationId, Scope, SiteId, Unit};

/// What is to be paused or to go on: the host, a project, a site, or representations.
#[derive(Debug, Clone)]
pub(super) struct Reach {
    pub project: Option<String>,
    pub site: Option<String>,
    pub what: Vec<String>,
}

impl Reach {
    /// As scopes of the catalog.
    async fn scopes(&self, desk: &Desk) -> Result<Vec<Scope>, Refused> {
        let project = self.project.as_deref().map(|name| desk.project(name)).transpose()?;
        let site = self.site.as_deref().map(|name| desk.site(name)).transpose()?;
        let (name, at) = (project.as_ref().map(|project| project.name.clone()), site.clone());
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
    let scopes = reach.scopes(desk).await?;
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
    let scopes = reach.scopes(desk).await?;
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

/// Lets go on what guards of a project stopped.
pub(super) async fn resume_held(desk: &Desk, project: Option<&str>) -> Answer {
    let Some(project) = project else {
        return Err(Refused::wrong("a guard stops a project's pass: which project's?").hint(
            "`sitesync resume PROJECT --held`; `sitesync status` shows what guards stopped",
        ));
    };
    let project = desk.project(project)?;
    let (id, _) = desk.keys(&project.name, None).await?;
    let holds = desk.read(|view| Ok(view.holds(id)?.len()))?;
    desk.engine.guards.forget(id);
    let files = desk.engine.catalog.write(move |unit| unit.release_held(id, None)).await?;
    desk.wake();
    Ok(json!({"released": holds, "files": files}))
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
