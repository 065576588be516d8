//! Files that pass through the host, chunk by chunk.

use sitesync_provider::{Checksum, Error, ErrorKind, Metadata, ReadOptions, Result, WriteOptions};

use super::CHUNK;
use super::digest::{Running, agrees};
use super::progress::Progress;
use super::token::Token;
use super::transfer::{
    Finished, Outcome, Passed, Route, Slots, expectation, given_up, is_as_claimed, is_surprise,
    must_meet, path, replaces,
};
use super::trash::keeps;
use crate::catalog::{Claimed, Job, JobState};
use crate::sites::{Capability, Operation, is_site_fault};

/// Bytes between two checkpoints of a streamed file.
const CHECKPOINT: u64 = 64 << 20;
/// Files from this size on are marked as soon as they are begun.
const RESUMED: u64 = 8 << 20;

impl Route {
    /// File by file through the host.
    pub(super) async fn stream_all(&self, batch: Vec<Claimed>, slots: Slots) -> Vec<Finished> {
        let mut finished = Vec::with_capacity(batch.len());
        let mut taken = Some(slots);
        for claimed in batch {
            if self.is_paused(&claimed) {
                finished.append(&mut self.all_failed(vec![claimed], &given_up()));
                continue;
            }
            let slots = match taken.take() {
                Some(slots) => slots,
                None => self.slots(claimed.source.size).await,
            };
            let path = path(&claimed);
            let mut token = None;
            let result = if must_meet(&claimed) {
                Err(Error::new(ErrorKind::Precondition, "not compared yet"))
            } else {
                self.stream(&claimed, &path, slots, &mut token).await
            };
            let outcome = match result {
                Ok(sent) => self.arrived(&claimed, &path, sent).await,
                Err(error) if is_surprise(&error) => self.meet(&claimed, &path, error).await,
                Err(error) => {
                    let to = self.destination();
                    let kept = keeps(&self.pair, to) && replaces(&claimed);
                    if error.kind() == ErrorKind::Unsupported && kept {
                        to.cannot(Capability::KeepReplaced);
                    }
                    Outcome::Failed(error)
                }
            };
            finished.push(Finished { claimed, outcome, token });
        }
        finished
    }

    /// One file, from the first byte that the destination lacks to the last.
    async fn stream(
        &self,
        claimed: &Claimed,
        path: &str,
        slots: Slots,
        token: &mut Option<Vec<u8>>,
    ) -> Result<Passed> {
        let (source, destination) = (self.source(), self.destination());
        let size = claimed.source.size;
        let version = claimed.source.version.as_str();
        let tag = Token { generation: claimed.generation, build: destination.build() };
        let resume = claimed.job.token.as_deref().and_then(|token| tag.open(token));
        let from = |offset| ReadOptions::new().range(offset, None).if_version(version);
        // From which byte a resumed write goes on is not known yet.
        let mut opened = None;
        let meta = match resume {
            Some(_) => source.stat(path).await?,
            None => opened.insert(source.open_read(path, from(0)).await?).metadata().clone(),
        };
        unchanged(&meta, claimed).map_err(|error| source.named(error))?;
        // The source's slot ends with the reading, whatever the destination still does.
        let Slots { source: reading_slot, destination: writing_slot } = slots;
        let (operation, op) = Operation::new(vec![writing_slot], |_| {});
        let how = WriteOptions::new(size, expectation(claimed))
            .mtime_ns(meta.mtime_ns)
            .mode(meta.mode)
            .resume(resume)
            .keep_replaced(keeps(&self.pair, destination))
            .op(op);
        let mut writing = match destination.open_write(path, how, operation).await {
            Ok(writing) => writing,
            Err(error) => {
                // What was sent before is still there: the next try goes on with it.
                if is_site_fault(error.kind()) {
                    token.clone_from(&claimed.job.token);
                }
                return Err(error);
            }
        };
        let offset = writing.offset();
        if offset > size {
            let why = format!("the provider would go on from byte {offset} of {size}");
            return Err(destination.named(Error::new(ErrorKind::Corrupt, why)));
        }
        let mut sent = offset;
        let mut digest = if offset == 0 { Running::of(&meta, destination) } else { None };
        let mut marked = offset;
        if size >= RESUMED {
            // Before the first byte: what is sent from now on is not to be sent again.
            *token = writing.checkpoint().await?.map(|token| tag.close(&token));
            if token.is_some() {
                self.keep_token(claimed, token.clone()).await;
            }
        }
        let moved: Result<Option<Checksum>> = async {
            let mut reading = match opened {
                Some(reading) if offset == 0 => reading,
                _ => source.open_read(path, from(offset)).await?,
            };
            let mut chunk = reading.read(CHUNK).await?;
            while !chunk.is_empty() {
                let len = chunk.len() as u64;
                if let Some(digest) = &mut digest {
                    digest.update(&chunk);
                }
                // The next chunk is read while this one is written.
                let (written, next) = tokio::join!(writing.write(chunk), reading.read(CHUNK));
                written?;
                sent += len;
                if sent > size {
                    let why = format!(
                        "the source has more than the {size} bytes that it was listed with"
                    );
                    return Err(source.named(Error::new(ErrorKind::Precondition, why)));
                }
                Progress::add(&self.progress.moved, len);
                chunk = next?;
                let paused = self.is_paused(claimed);
                if sent - marked >= CHECKPOINT || (paused && size >= RESUMED) {
                    *token = writing.checkpoint().await?.map(|token| tag.close(&token));
                    self.keep_token(claimed, token.clone()).await;
                    marked = sent;
                }
                if paused {
                    return Err(given_up());
                }
            }
            if sent != size {
                let why = format!("the source ended after {sent} of {size} bytes");
                return Err(source.named(Error::new(ErrorKind::Precondition, why)));
            }
            let digest = digest.map(Running::finish);
            match digest.as_ref().and_then(|digest| agrees(digest, &meta)) {
                Some(true) => {}
                Some(false) => {
                    let why = "what was read is not what it says it has: its checksum differs";
                    return Err(source.named(Error::new(ErrorKind::Corrupt, why)));
                }
                // As it was before: else what was read is of two contents.
                None => unchanged(&source.stat(path).await?, claimed)
                    .map_err(|error| source.named(error))?,
            }
            Ok(digest)
        }
        .await;
        drop(reading_slot);
        let digest = match moved {
            Ok(digest) => digest,
            Err(error) => {
                let torn = is_surprise(&error) || error.kind() == ErrorKind::Corrupt;
                if torn || token.is_none() {
                    *token = None;
                    let mut operation = writing.discard().await;
                    self.linger(&mut operation).await;
                }
                return Err(error);
            }
        };
        let (finished, mut operation) = writing.finish().await;
        if let Err(error) = &finished {
            if error.kind() == ErrorKind::Corrupt {
                *token = None;
            }
            self.linger(&mut operation).await;
        }
        Ok(Passed { source: meta, destination: finished?, digest, resumed: offset > 0 })
    }

    /// Stores what an upload can be resumed by, so that it survives the host. Without it the
    /// upload begins anew: no reason to end it.
    async fn keep_token(&self, claimed: &Claimed, token: Option<Vec<u8>>) {
        let (state, sent) = (JobState::InProgress, claimed.sent());
        let job = Job { state, sent, token, ..claimed.job.clone() };
        let file = claimed.file;
        if let Err(error) = self.catalog.write(move |unit| unit.put_job(file, &job)).await {
            tracing::warn!(%error, "an upload's place can't be kept");
        }
    }
}

fn unchanged(now: &Metadata, claimed: &Claimed) -> Result<()> {
    if is_as_claimed(now, claimed) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Precondition, "the source has changed since it was looked at"))
}
