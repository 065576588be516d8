//! What is paused now, for all runs of a host.
//!
//! The catalog keeps pauses, and holds the jobs of representations that are paused itself. Wider ones
//! are looked up here before anything is claimed; what is under way when one comes is given up.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use tokio::sync::watch;

use crate::catalog::{self, Claimed, Pause, ProjectId, SiteId, Sqlite};
use crate::state_dir::rfc3339;

/// The pauses of a host.
#[derive(Debug, Default)]
pub struct Pauses {
    now: watch::Sender<Vec<Pause>>,
    /// Held from the read on: what was read before never takes the place of what was read later.
    reading: Mutex<()>,
}

impl Pauses {
    /// Reads them again: to be called after each change of them. Whoever works obeys at once.
    pub fn reload(&self, catalog: &Sqlite) -> catalog::Result<()> {
        let _turn = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let now = catalog.read(|view| view.pauses())?;
        self.now.send_replace(now);
        Ok(())
    }

    /// Told when they were read again.
    pub(super) fn changes(&self) -> watch::Receiver<Vec<Pause>> {
        self.now.subscribe()
    }

    /// The pause that keeps a project from working between these sites, if there is one.
    #[must_use]
    pub fn between(&self, project: ProjectId, sites: [SiteId; 2]) -> Option<Pause> {
        self.now.borrow().iter().find(|pause| pause.keeps_apart(project, sites)).cloned()
    }

    /// Whether work between these sites on what was claimed is paused.
    pub(super) fn reach(&self, project: ProjectId, sites: [SiteId; 2], claimed: &Claimed) -> bool {
        self.now.borrow().iter().any(|pause| reaches(pause, project, sites, claimed))
    }

    /// Waits until work on any of these is paused.
    pub(super) async fn come(&self, project: ProjectId, sites: [SiteId; 2], batch: &[Claimed]) {
        let any = |pauses: &Vec<Pause>| {
            let reached = |pause| batch.iter().any(|one| reaches(pause, project, sites, one));
            pauses.iter().any(reached)
        };
        // The sender lives as long as this.
        let _ = self.now.subscribe().wait_for(any).await;
    }
}

fn reaches(pause: &Pause, project: ProjectId, sites: [SiteId; 2], claimed: &Claimed) -> bool {
    let scope = &pause.scope;
    let of_it = scope.representation == Some(claimed.representation)
        && scope.site.is_none_or(|site| site == claimed.job.to);
    of_it || pause.keeps_apart(project, sites)
}

/// What people are told of a pause: `site 'nas' is paused since 2026-03-31T12:34:56Z by anna`.
#[must_use]
pub fn told(pause: &Pause, site: Option<&str>) -> String {
    let what = match (site, pause.scope.project) {
        (Some(site), _) => format!("site '{site}'"),
        (None, Some(_)) => "the project".to_owned(),
        (None, None) => "the host".to_owned(),
    };
    let since = Duration::from_millis(u64::try_from(pause.since).unwrap_or(0));
    let since = rfc3339(UNIX_EPOCH + since);
    match pause.by.as_str() {
        "" => format!("{what} is paused since {since}"),
        by => format!("{what} is paused since {since} by {by}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{FileId, Have, Job, JobState, RepresentationId, RootId, Scope};

    #[test]
    fn what_a_pause_reaches() {
        let (project, other) = (ProjectId(1), ProjectId(2));
        let (a, b, c) = (SiteId(1), SiteId(2), SiteId(3));
        let of = RepresentationId(7);
        let claimed = Claimed {
            file: FileId(1),
            root: RootId(1),
            representation: of,
            folder: String::new(),
            name: "x".into(),
            generation: 1,
            source: Have { site: a, generation: 1, version: "1".into(), size: 1, mtime_ns: None },
            surveyed: true,
            destination: None,
            job: Job {
                to: b,
                from: a,
                state: JobState::Ready,
                priority: 50,
                queued_at: 0,
                not_before: 0,
                tries: 0,
                sent: None,
                token: None,
                error: None,
            },
        };
        let scope = |project, site, representation| Scope { project, site, representation };
        for (scope, whole, file) in [
            (scope(None, None, None), true, true),
            (scope(Some(project), None, None), true, true),
            (scope(Some(other), None, None), false, false),
            (scope(None, Some(a), None), true, true),
            (scope(None, Some(b), None), true, true),
            (scope(None, Some(c), None), false, false),
            (scope(Some(other), Some(a), None), false, false),
            (scope(Some(project), None, Some(of)), false, true),
            (scope(Some(project), Some(b), Some(of)), false, true),
            (scope(Some(project), Some(a), Some(of)), false, false),
            (scope(Some(project), None, Some(RepresentationId(8))), false, false),
        ] {
            let pauses = Pauses::default();
            pauses.now.send_replace(vec![Pause { scope, since: 0, by: String::new() }]);
            assert_eq!(pauses.between(project, [a, b]).is_some(), whole, "{scope:?}");
            assert_eq!(pauses.reach(project, [a, b], &claimed), file, "{scope:?}");
        }
    }

    #[test]
    fn a_pause_is_not_lost_among_others() {
        let folder = tempfile::tempdir().unwrap();
        let catalog = Sqlite::open(folder.path()).unwrap();
        let pauses = Pauses::default();
        let put = |site| {
            let scope = Scope { site: Some(SiteId(site)), ..Scope::default() };
            let pause = Pause { scope, since: 0, by: String::new() };
            catalog.write_blocking(move |unit| unit.put_pause(&pause)).unwrap();
            pauses.reload(&catalog).unwrap();
        };
        for round in 0..50 {
            std::thread::scope(|threads| {
                (1..=8).for_each(|nth| drop(threads.spawn(move || put(round * 8 + nth))));
            });
            let all = catalog.read(|view| view.pauses()).unwrap();
            assert_eq!(*pauses.now.borrow(), all, "in round {round}");
        }
    }
}
