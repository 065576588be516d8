//! What is replaced or deleted is kept for a while, and deleted for good then.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::pair::{Pair, Side};
use super::run::Run;
use super::schedule::Mode;
use crate::settings;
use crate::sites::{Capability, OpenRoot, trash};

/// How often a service looks for what is older.
const EVERY: Duration = Duration::from_secs(3600);
/// How long a single run may take for it: what is left is deleted by the next one.
const LONGEST: Duration = Duration::from_secs(30);

/// Whether what a project replaces in this root goes to its trash.
pub(super) fn keeps(pair: &Pair, root: &OpenRoot) -> bool {
    !pair.settings.keep_replaced.is_zero() && root.can(Capability::KeepReplaced)
}

/// Whether what a project deletes in this root goes to its trash. Where a root says that it has one,
/// nothing is deleted for good, whatever it answers.
pub(super) fn trashes(project: &settings::Project, root: &OpenRoot) -> bool {
    !project.keep_replaced.is_zero() && root.info.can.trash
}

impl Run {
    /// Empties the trash of both ends of what is too old: once, or every hour. No trouble with it is
    /// trouble with the sync.
    pub(super) async fn empty_trash(&self) {
        if self.pair.settings.keep_replaced.is_zero() {
            return;
        }
        if self.mode == Mode::Once {
            let _ = tokio::time::timeout(LONGEST, self.expire()).await;
            return;
        }
        loop {
            self.expire().await;
            tokio::time::sleep(EVERY).await;
        }
    }

    async fn expire(&self) {
        let kept = self.pair.settings.keep_replaced;
        let wall = u64::try_from(self.engine.time.wall_ns()).unwrap_or(0);
        let Some(before) = (UNIX_EPOCH + Duration::from_nanos(wall)).checked_sub(kept) else {
            return;
        };
        for root in self.pair.roots() {
            for side in Side::BOTH.into_iter().filter(|side| self.pair.leads(*side)) {
                self.expire_root(root.end(side), before).await;
            }
        }
    }

    async fn expire_root(&self, root: &OpenRoot, before: SystemTime) {
        if trash::folder(root).is_err() {
            return;
        }
        let (project, site) = (&self.pair.settings.name, &root.site);
        match trash::expire(root, before, || !*self.engine.stop.borrow()).await {
            Ok(expired) if expired.files > 0 => tracing::info!(
                project,
                site,
                files = expired.files,
                bytes = expired.bytes,
                "deleted for good what was in the trash for {} days",
                self.pair.settings.keep_replaced.as_secs() / 86_400
            ),
            Ok(_) => {}
            Err(error) => tracing::warn!(project, %error, "the trash can't be emptied"),
        }
    }
}
