//! Guards: what would replace or delete more files than is likely to be meant is kept back.
//!
//! Planning puts such work into the catalog as held, and so does a conflict that the settings decide.
//! Once the look that found it has ended it is counted, and before a single pass ends: little is let
//! go, too much waits for somebody who says that it is meant. What was let go lately counts too, so that
//! a flood that comes in small pieces is one.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::run::{End, Run};
use crate::catalog::{self, FileId, Hold, HoldKind, Millis, ProjectId, SiteId, Unit, View};

/// What is guarded: a way to touch files of a project at a site.
type Guarded = (ProjectId, HoldKind, SiteId);

/// What guards let go lately: which files, and when. One that changes again and again is one.
#[derive(Debug, Default)]
pub struct Guards(Mutex<HashMap<Guarded, HashMap<FileId, Millis>>>);

impl Guards {
    /// Somebody said that it is meant, of one kind or at one site or of all: counting begins anew.
    pub fn forget(&self, project: ProjectId, kind: Option<HoldKind>, site: Option<SiteId>) {
        self.lock().retain(|(of, did, at), _| {
            *of != project || kind.is_some_and(|k| k != *did) || site.is_some_and(|s| s != *at)
        });
    }

    fn note(&self, of: Guarded, now: Millis, files: &[FileId]) {
        self.lock().entry(of).or_default().extend(files.iter().map(|file| (*file, now)));
    }

    /// Files that were let go since a time, together with these. What is older is forgotten.
    fn with(&self, of: Guarded, since: Millis, files: &[FileId]) -> u64 {
        let mut all = self.lock();
        let Some(let_go) = all.get_mut(&of) else { return files.len() as u64 };
        let_go.retain(|_, at| *at >= since);
        let more = files.iter().filter(|file| !let_go.contains_key(file)).count();
        (let_go.len() + more) as u64
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Guarded, HashMap<FileId, Millis>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Run {
    /// A look has ended: lets go what it held back, or says that it is too much. True if anything was
    /// let go.
    pub(super) async fn let_go(&self) -> Result<bool, End> {
        let project = self.pair.project;
        let read = |view: &dyn View| Ok((view.guarded(project)?, view.holds(project)?));
        let (guarded, holds) = self.engine.catalog.read(read)?;
        if guarded.is_empty() && holds.is_empty() {
            return Ok(false);
        }
        let moment = self.moment();
        let window = self.pair.settings.rescan.as_millis();
        let window = Millis::try_from(window).unwrap_or(Millis::MAX / 4);
        let guards = self.engine.guards.clone();
        let [max_delete, max_change] =
            [self.pair.settings.max_delete, self.pair.settings.max_change];
        // In one unit: what another run of the project plans meanwhile is let go only if it was
        // counted.
        let settle = move |unit: &mut dyn Unit| {
            let (guarded, holds) = (unit.guarded(project)?, unit.holds(project)?);
            let (mut frees, mut stopped) = (false, Vec::new());
            for now in &guarded {
                let guard = match now.kind {
                    HoldKind::Delete => max_delete,
                    HoldKind::Change => max_change,
                };
                let what = (project, now.kind, now.site);
                let of = files_at(unit, project, now.site)?;
                // More than may be touched at all need not be told apart; all that is let go is.
                let most = usize::try_from(guard.most(of)).unwrap_or(usize::MAX).saturating_add(1);
                let held = unit.guarded_files(project, (now.kind, now.site), most)?;
                let touched = guards.with(what, moment.now - window, &held).max(now.files);
                let known =
                    holds.iter().find(|hold| (hold.kind, hold.site) == (now.kind, now.site));
                if known.is_none() && !guard.stops(touched, of) {
                    unit.release_held(project, Some((now.kind, now.site)))?;
                    guards.note(what, moment.now, &held);
                    frees = true;
                    continue;
                }
                let since = known.map_or(moment.wall_ns / 1_000_000, |hold| hold.since);
                let hold = Hold { since, ..now.clone() };
                if known == Some(&hold) {
                    continue;
                }
                unit.put_hold(project, &hold)?;
                // Less than before is no news.
                if known.is_none_or(|hold| hold.files < now.files) {
                    stopped.push((hold, of));
                }
            }
            // Where nothing is kept back any more, it was undone.
            for hold in &holds {
                let here = |now: &Hold| (now.kind, now.site) == (hold.kind, hold.site);
                if !guarded.iter().any(here) {
                    unit.release_held(project, Some((hold.kind, hold.site)))?;
                    frees = true;
                }
            }
            Ok((frees, stopped))
        };
        let (frees, stopped) = self.engine.catalog.write(settle).await?;
        for (hold, of) in &stopped {
            self.tell_stopped(hold, *of)?;
        }
        if frees {
            self.engine.nudge();
        }
        Ok(frees)
    }

    fn tell_stopped(&self, hold: &Hold, of: u64) -> Result<(), End> {
        let sites = self.engine.catalog.read(|view| view.site_names())?;
        let site = sites.into_iter().find(|(id, _)| *id == hold.site).map(|(_, name)| name);
        let done = hold.kind.done();
        tracing::warn!(
            project = self.pair.settings.name,
            site = site.unwrap_or_default(),
            "stopped: {} of {of} files would be {done} there; if that is meant, say so with \
             `sitesync resume {} --held={}`",
            hold.files,
            self.pair.settings.name,
            hold.kind.name()
        );
        Ok(())
    }
}

/// Files of a project that a site has, or is to have.
fn files_at(view: &dyn View, project: ProjectId, site: SiteId) -> catalog::Result<u64> {
    let counts = view.counts(project)?;
    Ok(counts.iter().filter(|count| count.site == site).map(|count| count.files).sum())
}
