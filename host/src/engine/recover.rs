//! After a crash: what was in flight is swept, recognised or begun anew.

use std::time::Duration;

use sitesync_provider::{ErrorKind, Kind, Metadata, SweepOptions};

use super::barriers::Failure;
use super::pair::Side;
use super::plan::{self, have};
use super::run::{End, Run};
use super::token::Token;
use crate::catalog::{
    self, DOUBTFUL, FileId, Job, JobState, QueueFilter, QueueRow, RootId, STALE, SiteId,
};
use crate::sites::{Capability, is_site_fault};

/// A foreign host's temporaries are swept when they are this old.
const FOREIGN: Duration = Duration::from_secs(30 * 24 * 3600);

/// What was found where an interrupted job was to bring a file of this size.
struct Unrecorded {
    root: RootId,
    row: QueueRow,
    seen: Metadata,
    /// It has the time that was sent. Where times are not kept, nobody knows.
    ours: bool,
    /// What is finished there needs no barrier.
    lasting: bool,
}

impl Run {
    /// After a crash: what was in flight left temporaries behind, and is to be done again. The
    /// marks go only after the sweep, so that a crash in between costs nothing.
    pub(super) async fn recover(&self) -> Result<(), End> {
        let project = self.pair.project;
        for (side, from) in self.ways() {
            let (site, source) = (self.pair.site(side), self.pair.site(from));
            let interrupted = self.engine.catalog.read(|v| v.in_progress(project, site, source))?;
            if interrupted == 0 {
                continue;
            }
            if side == from {
                // A removal leaves nothing behind.
                let held = self.engine.under_way.of(site);
                let release =
                    move |unit: &mut dyn catalog::Unit| unit.release(project, site, site, &held);
                self.engine.catalog.write(release).await?;
                continue;
            }
            // Of other pairs too, which may be interrupted as well.
            let tokens = self.engine.catalog.read(|view| view.tokens(project, site))?;
            let roots = self.pair.roots();
            for root in &roots {
                let end = root.end(side);
                // What a token can resume stays.
                let keep = tokens.iter().filter_map(|token| Token::of_build(token, end.build()));
                let swept = end.sweep(SweepOptions::new(keep.collect(), FOREIGN)).await;
                let swept = swept.map_err(|error| self.fault(side, &error))?;
                tracing::info!(
                    project = self.pair.settings.name,
                    site = self.pair.site_name(side),
                    interrupted,
                    temporaries = swept.count,
                    "went on after an interruption"
                );
            }
            // Looked at once: what ends meanwhile puts its own work back.
            let held = self.engine.under_way.of(site);
            let unrecorded = self.unrecorded(side, &held).await?;
            // What arrived and was not recorded may not have reached the disk. A barrier that fails
            // is told once: the next one would say nothing of it.
            let mut durable = true;
            for root in &roots {
                let failure = self.engine.barriers.flush(root.end(side)).await;
                if let Some(Failure { error, .. }) = failure {
                    tracing::warn!(%error, "what arrived before an interruption is written anew");
                    durable = false;
                }
            }
            self.claim_unrecorded((side, source), unrecorded, durable, held).await?;
        }
        Ok(())
    }

    /// What may have been brought to its place, and was not recorded.
    async fn unrecorded(&self, side: Side, held: &[FileId]) -> Result<Vec<Unrecorded>, End> {
        let (project, site) = (self.pair.project, self.pair.site(side));
        let from = self.pair.site(side.other());
        let filter =
            QueueFilter { states: vec![JobState::InProgress], limit: usize::MAX, offset: 0 };
        let mut interrupted = self.engine.catalog.read(|view| view.queue(project, &filter))?;
        interrupted
            .retain(|row| (row.job.to, row.job.from) == (site, from) && !held.contains(&row.file));
        let roots = self.pair.roots();
        let mut unrecorded = Vec::new();
        for row in interrupted {
            let root = roots.iter().find(|root| root.name == row.root);
            let Some(root) = root else { continue };
            let end = root.end(side);
            match end.stat(&row.path).await {
                Ok(seen)
                    if seen.kind == Kind::File
                        && row.job.sent.is_none_or(|s| s.size == seen.size) =>
                {
                    let step = end.info.mtime_step_ns;
                    let ours = row.job.sent.is_some_and(|sent| plan::is_sent(sent, &seen, step));
                    let lasting = !end.can(Capability::Flush);
                    unrecorded.push(Unrecorded { root: root.id, row, seen, ours, lasting });
                }
                Err(error) if is_site_fault(error.kind()) => return Err(self.fault(side, &error)),
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    tracing::debug!(%error, path = row.path, "not known whether it arrived");
                }
                _ => {}
            }
        }
        Ok(unrecorded)
    }

    /// What is ours is noted so before anything else: a later claim forgets what was sent before
    /// it, and it would be taken for somebody else's. What may not be durable is not to be found
    /// equal and left as it is.
    async fn claim_unrecorded(
        &self,
        (side, source): (Side, SiteId),
        unrecorded: Vec<Unrecorded>,
        durable: bool,
        held: Vec<FileId>,
    ) -> Result<(), End> {
        let (project, site) = (self.pair.project, self.pair.site(side));
        let note = move |unit: &mut dyn catalog::Unit| {
            for Unrecorded { root, row, seen, ours, lasting } in unrecorded {
                let (folder, name) = row.path.rsplit_once('/').unwrap_or(("", &row.path));
                let haves = unit.file(root, folder, name)?.map(|file| file.haves);
                let here = haves.unwrap_or_default().into_iter().find(|have| have.site == site);
                let anew = match here.filter(|have| have.version == seen.fingerprint()) {
                    None if !ours => {
                        if !durable {
                            unit.put_have(row.file, &have(site, DOUBTFUL, &seen))?;
                        }
                        false
                    }
                    None => {
                        unit.put_have(row.file, &have(site, STALE, &seen))?;
                        !durable
                    }
                    // It was there before, and may be what was to be written again: which it still is.
                    // Where all that is there lasts, it is compared once more.
                    Some(old) => old.generation == STALE && !lasting,
                };
                if anew {
                    unit.put_job(row.file, &Job { sent: None, ..row.job })?;
                }
            }
            // In one unit: what is noted and still marked would be noted once more after a crash, as
            // something that was there before.
            unit.release(project, site, source, &held).map(|_| ())
        };
        Ok(self.engine.catalog.write(note).await?)
    }
}
