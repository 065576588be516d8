//! Guards: what would replace or delete more files than is likely to be meant is kept back.
//!
//! Planning puts such work into the catalog as held. Once the look that found it has ended it is
//! counted: little is let go, too much waits for somebody who says that it is meant. What was let go
//! lately counts too, so that a flood that comes in small pieces is one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::run::{End, Run};
use crate::catalog::{self, Hold, HoldKind, Millis, ProjectId, SiteId, View};

/// What is guarded: a way to touch files of a project at a site.
type Guarded = (ProjectId, HoldKind, SiteId);

/// What guards let go lately: when, and how many files.
#[derive(Debug, Default)]
pub struct Guards(Mutex<HashMap<Guarded, VecDeque<(Millis, u64)>>>);

impl Guards {
    /// Somebody said that it is meant: counting begins anew.
    pub fn forget(&self, project: ProjectId) {
        self.lock().retain(|(of, _, _), _| *of != project);
    }

    fn note(&self, of: Guarded, now: Millis, files: u64) {
        self.lock().entry(of).or_default().push_back((now, files));
    }

    /// Files that were let go since a time. What is older is forgotten.
    fn since(&self, of: Guarded, time: Millis) -> u64 {
        let mut all = self.lock();
        let Some(let_go) = all.get_mut(&of) else { return 0 };
        while let_go.front().is_some_and(|(at, _)| *at < time) {
            let_go.pop_front();
        }
        let_go.iter().map(|(_, files)| files).sum()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Guarded, VecDeque<(Millis, u64)>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Run {
    /// A look has ended: lets go what it held back, or says that it is too much.
    pub(super) async fn let_go(&self) -> Result<(), End> {
        let project = self.pair.project;
        let (guarded, holds) =
            self.engine.catalog.read(|view| Ok((view.guarded(project)?, view.holds(project)?)))?;
        if guarded.is_empty() && holds.is_empty() {
            return Ok(());
        }
        let moment = self.moment();
        let window = self.pair.settings.rescan.as_millis();
        let window = Millis::try_from(window).unwrap_or(Millis::MAX / 4);
        let mut freed: Vec<(HoldKind, SiteId)> = Vec::new();
        let mut stopped: Vec<(Hold, u64)> = Vec::new();
        for now in &guarded {
            let guard = match now.kind {
                HoldKind::Delete => self.pair.settings.max_delete,
                HoldKind::Change => self.pair.settings.max_change,
            };
            let what = (project, now.kind, now.site);
            let lately = self.engine.guards.since(what, moment.now - window);
            let of = self.engine.catalog.read(|view| files_at(view, project, now.site))?;
            let known = holds.iter().find(|hold| (hold.kind, hold.site) == (now.kind, now.site));
            if known.is_none() && !guard.stops(now.files + lately, of) {
                self.engine.guards.note(what, moment.now, now.files);
                freed.push((now.kind, now.site));
            } else if known.is_none_or(|hold| hold.files != now.files) {
                let since = known.map_or(moment.wall_ns / 1_000_000, |hold| hold.since);
                stopped.push((Hold { since, ..now.clone() }, of));
            }
        }
        // Where nothing is kept back any more, it was undone.
        let undone = holds.iter().filter(|hold| {
            !guarded.iter().any(|now| (now.kind, now.site) == (hold.kind, hold.site))
        });
        freed.extend(undone.map(|hold| (hold.kind, hold.site)));
        for (hold, of) in &stopped {
            self.tell_stopped(hold, *of)?;
        }
        let frees = !freed.is_empty();
        let settle = move |unit: &mut dyn catalog::Unit| {
            for what in freed {
                unit.release_held(project, Some(what))?;
            }
            stopped.iter().try_for_each(|(hold, _)| unit.put_hold(project, hold))
        };
        self.engine.catalog.write(settle).await?;
        if frees {
            self.engine.nudge();
        }
        Ok(())
    }

    fn tell_stopped(&self, hold: &Hold, of: u64) -> Result<(), End> {
        let sites = self.engine.catalog.read(|view| view.site_names())?;
        let site = sites.into_iter().find(|(id, _)| *id == hold.site).map(|(_, name)| name);
        let done = match hold.kind {
            HoldKind::Delete => "deleted",
            HoldKind::Change => "replaced",
        };
        tracing::warn!(
            project = self.pair.settings.name,
            site = site.unwrap_or_default(),
            "stopped: {} of {of} files would be {done} there; if that is meant, say so with \
             `sitesync resume --held`",
            hold.files
        );
        Ok(())
    }
}

/// Files of a project that a site has, or is to have.
fn files_at(view: &dyn View, project: ProjectId, site: SiteId) -> catalog::Result<u64> {
    let counts = view.counts(project)?;
    Ok(counts.iter().filter(|count| count.site == site).map(|count| count.files).sum())
}
