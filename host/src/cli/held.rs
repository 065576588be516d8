//! What guards and pauses of representations keep back, for those who tell people of it.

use std::collections::HashMap;

use super::output::counted;
use crate::catalog::{self, Apart, FileState, HoldKind, SiteId, View};
use crate::publish::quoted;

/// Files of a project that are kept back at a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) project: String,
    /// As the catalog names it.
    pub(super) site: String,
    pub(super) files: u64,
    /// The guard that stopped them; `None` where their representations are paused.
    pub(super) guard: Option<HoldKind>,
}

impl Held {
    /// Reads what is kept back of a project. What a guard has yet to count is not, nor what a wider
    /// pause reaches: that is told by itself.
    pub(super) fn of(view: &dyn View, project: &str) -> catalog::Result<Vec<Self>> {
        let Some(id) = view.project(project)? else { return Ok(Vec::new()) };
        let sites: HashMap<SiteId, String> = view.site_names()?.into_iter().collect();
        let site = |id: SiteId| sites.get(&id).cloned().unwrap_or_default();
        let (guarded, holds) = (view.guarded(id)?, view.holds(id)?);
        let held =
            |id, files, guard| Held { project: project.into(), site: site(id), files, guard };
        let stopped = guarded
            .iter()
            .filter(|now| holds.iter().any(|hold| (hold.kind, hold.site) == (now.kind, now.site)));
        let mut all: Vec<Held> =
            stopped.map(|now| held(now.site, now.files, Some(now.kind))).collect();
        let stored = view.counts_apart(id, &Apart::default())?;
        for count in stored.iter().filter(|count| count.state == FileState::Paused) {
            let guards = guarded.iter().filter(|now| now.site == count.site).map(|now| now.files);
            let files = count.files.saturating_sub(guards.sum());
            if files > 0 {
                all.push(held(count.site, files, None));
            }
        }
        all.sort_by(|a, b| (&a.site, a.guard).cmp(&(&b.site, b.guard)));
        Ok(all)
    }

    /// What keeps them back, for programs.
    pub(super) fn by(&self) -> &'static str {
        self.guard.map_or("pause", HoldKind::guard)
    }

    /// For people, who know the site as `site`.
    pub(super) fn sentence(&self, site: &str) -> String {
        let files = counted(self.files, "file");
        let Some(kind) = self.guard else {
            return format!("{files} held back at '{site}' by a pause");
        };
        let (done, guard) = (kind.done(), kind.guard());
        format!(
            "{files} held back at '{site}': so many would be {done} there, which is more than \
             `{guard}` allows"
        )
    }

    /// How they go on.
    pub(super) fn hint(&self) -> String {
        match self.guard {
            Some(kind) => let_go(&self.project, kind),
            None => format!(
                "`sitesync status {}` says who paused them, and how they go on",
                self.project
            ),
        }
    }
}

/// How what a guard stopped goes on.
pub(super) fn let_go(project: &str, kind: HoldKind) -> String {
    format!("if that is meant: `sitesync resume {} --held={}`", quoted(project), kind.name())
}

/// The command that ends a pause of these.
pub(super) fn resume(
    project: Option<&str>,
    representation: Option<&str>,
    site: Option<&str>,
) -> String {
    let words = project.into_iter().chain(representation).map(quoted);
    let words: Vec<String> = ["sitesync resume".to_owned()].into_iter().chain(words).collect();
    let words = words.join(" ");
    site.map_or(words.clone(), |site| format!("{words} --site {}", quoted(site)))
}
