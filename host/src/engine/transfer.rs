//! Doing it: what was claimed is brought to its destination, or it is found out why not.
//!
//! Within an instance files are copied in batches by the provider itself; else they are streamed.
//! When the destination is not what was expected, nothing is overwritten: both ends are looked at,
//! and what is found is the outcome.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sitesync_provider::{
    Checksum, Copied, DeleteOptions, Error, ErrorKind, Expect, Known, Metadata, ReadOptions,
    Result, join,
};

use super::compare::by_checksum;
use super::digest::{self, agrees};
use super::names;
use super::pair::{Pair, RootPair, Side};
use super::pauses::Pauses;
use super::progress::Progress;
use super::trash::{keeps, trashes};
use crate::catalog::{Claimed, DOUBTFUL, GONE, STALE, Sqlite, UNKNOWN, Unit};
use crate::settings::Verify;
use crate::sites::{Capability, OpenRoot, Operation, Slot, is_site_fault};

/// How long a call may take to notice that it was given up.
const GRACE: Duration = Duration::from_secs(10);
/// How long an operation that was given up may still run before its file is let go of.
const LINGER: Duration = Duration::from_secs(3600);

/// What became of one claimed file.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is there. `adopted` if it was there already.
    Done { destination: Metadata, adopted: bool },
    /// What was to be removed is not there any more.
    Removed,
    /// The source is gone. What was left at the destination may have been written anew.
    SourceGone(Option<Metadata>),
    /// The source is no longer what was claimed.
    SourceChanged(Metadata),
    /// What was expected at the destination is gone.
    DestinationGone,
    /// What was at the destination has another name now, so that the source's can have this one.
    SetAside,
    /// At the destination is something of ours, outdated or torn.
    Stale(Metadata),
    /// At the destination is something else, that is not ours.
    Conflict(Metadata),
    /// It arrived, and could not be made durable. The storage may have lost any of it, though it
    /// still reads well from memory: it is to be written anew, not adopted.
    NotDurable(Metadata, Error),
    /// It failed: the kind says whose fault it is.
    Failed(Error),
}

/// A claimed file, and what became of it.
#[derive(Debug)]
pub(super) struct Finished {
    pub claimed: Claimed,
    pub outcome: Outcome,
    /// Resumes the upload of this very content.
    pub token: Option<Vec<u8>>,
}

/// A file that went from one end to the other, as both say.
pub(super) struct Passed {
    pub source: Metadata,
    pub destination: Metadata,
    /// Of all of it, if it passed through the host at once and an end keeps such a digest.
    pub digest: Option<Checksum>,
    /// Only its last part passed.
    pub resumed: bool,
}

/// A slot at each end, or one where both are on one storage.
pub(super) struct Slots {
    pub source: Option<Slot>,
    pub destination: Slot,
}

/// Where a batch goes, and through what.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub pair: Arc<Pair>,
    /// The root as it was opened when the batch was made: all of a file goes through one
    /// generation of its provider.
    pub root: Arc<RootPair>,
    pub to: Side,
    /// Where it comes from; where it goes, if it is to be removed there.
    pub from: Side,
    pub progress: Arc<Progress>,
    pub pauses: Arc<Pauses>,
    /// Keeps the tokens of uploads that are under way.
    pub catalog: Sqlite,
    /// Before the first byte was moved.
    pub begun: Instant,
}

impl Route {
    pub(super) fn source(&self) -> &Arc<OpenRoot> {
        self.root.end(self.from)
    }

    pub(super) fn destination(&self) -> &Arc<OpenRoot> {
        self.root.end(self.to)
    }

    /// Slots at both ends. Whoever waits for one holds none: else two transfers could wait for one
    /// another, and an end that hangs would take the slots of the other with it.
    pub(super) async fn slots(&self, bytes: u64) -> Slots {
        let lane = self.pair.project.0.unsigned_abs();
        let (source, destination) = (self.source(), self.destination());
        if Arc::ptr_eq(&source.storage, &destination.storage) {
            return Slots { source: None, destination: destination.slot(lane, bytes).await };
        }
        loop {
            let there = destination.slot(lane, bytes).await;
            if let Some(here) = source.free_slot(lane, bytes) {
                return Slots { source: Some(here), destination: there };
            }
            there.unused();
            let here = source.slot(lane, bytes).await;
            if let Some(there) = destination.free_slot(lane, bytes) {
                return Slots { source: Some(here), destination: there };
            }
            here.unused();
        }
    }

    /// Brings a batch of files to the destination, or removes them. What is paused meanwhile is given
    /// up.
    pub(super) async fn carry(self, batch: Vec<Claimed>) -> Vec<Finished> {
        let (paused, batch): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|claimed| self.is_paused(claimed));
        let mut finished = self.all_failed(paused, &given_up());
        let mut allowed = Vec::with_capacity(batch.len());
        for claimed in batch {
            match self.allows(&claimed) {
                Ok(()) => allowed.push(claimed),
                Err(error) => finished.append(&mut self.all_failed(vec![claimed], &error)),
            }
        }
        let batch = allowed;
        if !batch.is_empty() {
            finished.extend(self.carry_all(batch).await);
        }
        self.ask_whose_fault(&finished).await;
        finished
    }

    async fn carry_all(&self, mut batch: Vec<Claimed>) -> Vec<Finished> {
        let bytes = batch.iter().map(|claimed| claimed.source.size).sum();
        let slots = async { Ok(self.slots(bytes).await) };
        let slots = match self.unless_paused(&batch, slots).await {
            Ok(slots) => slots,
            Err(error) => return self.all_failed(batch, &error),
        };
        if self.removes() {
            return self.remove_all(batch, slots).await;
        }
        if let Err(error) = self.look_before(&mut batch).await {
            return self.all_failed(batch, &error);
        }
        let (mut finished, batch) = self.leave_alike(batch).await;
        if batch.is_empty() {
            drop(slots);
        } else if self.root.same_instance() {
            finished.extend(self.copy(batch, slots).await);
        } else {
            finished.extend(self.stream_all(batch, slots).await);
        }
        finished
    }

    /// Where the destination was never listed as a whole, each place is looked at before something is
    /// sent there. What is found later where nothing was is ours, if it has the time that was sent.
    async fn look_before(&self, batch: &mut [Claimed]) -> Result<()> {
        let mut free = Vec::new();
        for (at, claimed) in batch.iter().enumerate() {
            if claimed.surveyed || claimed.destination.is_some() || self.is_paused(claimed) {
                continue;
            }
            match self.destination().stat(&path(claimed)).await {
                Err(error) if error.kind() == ErrorKind::NotFound => free.push(at),
                Err(error) if is_site_fault(error.kind()) => return Err(error),
                _ => {}
            }
        }
        if free.is_empty() {
            return Ok(());
        }
        self.root.still_there(self.to).await?;
        let mut sent = Vec::with_capacity(free.len());
        for at in free {
            batch[at].surveyed = true;
            sent.push((batch[at].file, batch[at].job.to, batch[at].source.sent()));
        }
        let note = move |unit: &mut dyn Unit| {
            sent.iter().try_for_each(|(file, to, sent)| unit.put_sent(*file, *to, *sent))
        };
        if let Err(error) = self.catalog.write(note).await {
            tracing::warn!(%error, "what is sent can't be recognised after an interruption");
        }
        Ok(())
    }

    /// What has no place at the destination fails before anything is written there. Planning says so of
    /// what it finds; not all work comes from there.
    fn allows(&self, claimed: &Claimed) -> Result<()> {
        if self.removes() || must_meet(claimed) {
            return Ok(());
        }
        let info = &self.destination().info;
        names::check_size(info.largest_file, claimed.source.size)
            .map_err(|why| Error::new(ErrorKind::TooLarge, why))?;
        if replaces(claimed) {
            return Ok(());
        }
        names::check(&info.names, &claimed.folder, &claimed.name)
            .map_err(|why| Error::new(ErrorKind::InvalidPath, why))
    }

    /// True if what it is about is to be removed.
    pub(super) fn removes(&self) -> bool {
        self.from == self.to
    }

    pub(super) fn is_paused(&self, claimed: &Claimed) -> bool {
        self.pauses.reach(self.pair.project, self.pair.sites(), claimed)
    }

    /// Does something, and gives it up if work on any of these files is paused.
    pub(super) async fn unless_paused<T>(
        &self,
        batch: &[Claimed],
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        tokio::select! {
            biased;
            () = self.pauses.come(self.pair.project, self.pair.sites(), batch) => Err(given_up()),
            done = work => done,
        }
    }

    /// One after the other, as they are known. What has changed since stays.
    async fn remove_all(&self, batch: Vec<Claimed>, slots: Slots) -> Vec<Finished> {
        let mut finished = Vec::with_capacity(batch.len());
        for claimed in batch {
            let outcome = if self.is_paused(&claimed) {
                Outcome::Failed(given_up())
            } else {
                self.remove(&claimed, &path(&claimed)).await.unwrap_or_else(Outcome::Failed)
            };
            finished.push(Finished { claimed, outcome, token: None });
        }
        drop(slots);
        finished
    }

    async fn remove(&self, claimed: &Claimed, path: &str) -> Result<Outcome> {
        let root = self.destination();
        let to_trash = trashes(&self.pair.settings, root);
        let how = DeleteOptions::if_version(&claimed.source.version).to_trash(to_trash);
        let surprise = match root.delete(path, how).await {
            Ok(()) => return Ok(Outcome::Removed),
            Err(error) => error,
        };
        match surprise.kind() {
            ErrorKind::NotFound | ErrorKind::Precondition => {}
            _ => return Err(surprise),
        }
        match root.stat(path).await {
            Ok(there) if there.fingerprint() != claimed.source.version => {
                Ok(Outcome::SourceChanged(there))
            }
            Ok(_) => Err(surprise),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.root.still_there(self.to).await?;
                Ok(Outcome::Removed)
            }
            Err(error) => Err(error),
        }
    }

    /// A file that times out again and again says little of the site: that is asked itself. Where
    /// it answers, the fault is the file's.
    async fn ask_whose_fault(&self, finished: &[Finished]) {
        let again = finished.iter().any(|one| {
            let doubtful = |kind| matches!(kind, ErrorKind::Timeout | ErrorKind::Interrupted);
            one.claimed.job.tries > 0
                && matches!(&one.outcome, Outcome::Failed(error) if doubtful(error.kind()))
        });
        if again {
            for end in [self.source(), self.destination()] {
                if let Err(error) = end.check().await {
                    tracing::debug!(%error, "it is not the file alone");
                }
            }
        }
    }

    /// One call for the whole batch. What the destination was not expected to be is looked at.
    async fn copy(&self, batch: Vec<Claimed>, slots: Slots) -> Vec<Finished> {
        let paths: Vec<String> = batch.iter().map(path).collect();
        // Files that are to be compared have nothing to copy yet.
        let copies: Vec<(&str, &str, Known, Expect)> = paths
            .iter()
            .zip(&batch)
            .filter(|(_, claimed)| !must_meet(claimed))
            .map(|(path, claimed)| {
                let known = Known::new(None, Some(claimed.source.version.clone()));
                (path.as_str(), path.as_str(), known, expectation(claimed))
            })
            .collect();
        let moved = self.progress.clone();
        let slots = slots.source.into_iter().chain([slots.destination]).collect();
        let (mut operation, op) =
            Operation::new(slots, move |bytes| Progress::add(&moved.moved, bytes));
        let (to, keep) = (self.destination(), keeps(&self.pair, self.destination()));
        let copied = {
            let call = self.source().server_copy(to, &copies, keep, &operation, op);
            tokio::pin!(call);
            tokio::select! {
                biased;
                copied = &mut call => copied,
                () = self.pauses.come(self.pair.project, self.pair.sites(), &batch) => {
                    operation.cancel();
                    let noticed = tokio::time::timeout(GRACE, &mut call).await;
                    given_up_for(noticed.unwrap_or_else(|_| Err(given_up())))
                }
            }
        };
        let mut results = match copied {
            Ok(results) => results.into_iter(),
            Err(error) => {
                self.linger(&mut operation).await;
                let one_of_them = copies.len() > 1 && !is_site_fault(error.kind());
                if one_of_them && error.kind() != ErrorKind::Cancelled {
                    return self.copy_each(batch).await;
                }
                return self.all_failed(batch, &error);
            }
        };
        let mut finished = Vec::with_capacity(batch.len());
        let mut refused = Vec::new();
        for (claimed, path) in batch.into_iter().zip(&paths) {
            let result = if must_meet(&claimed) { None } else { results.next() };
            let outcome = match result {
                Some(Err(error)) if error.kind() == ErrorKind::Unsupported => {
                    refused.push(claimed);
                    continue;
                }
                Some(Ok(copied)) => self.copied(&claimed, path, copied).await,
                Some(Err(error)) if is_surprise(&error) => self.meet(&claimed, path, error).await,
                Some(Err(error)) => Outcome::Failed(self.whose(path, error).await),
                None => {
                    let why = Error::new(ErrorKind::Precondition, "not compared yet");
                    self.meet(&claimed, path, why).await
                }
            };
            finished.push(Finished { claimed, outcome, token: None });
        }
        if !refused.is_empty() {
            // What was to be kept may be all that it can't do: streaming tells.
            if !keep || refused.iter().any(|claimed| !replaces(claimed)) {
                self.source().cannot(Capability::ServerCopy);
            }
            drop(operation);
            let slots = self.slots(refused.iter().map(|c| c.source.size).sum()).await;
            finished.extend(self.stream_all(refused, slots).await);
        }
        finished
    }

    /// Each alone, because the provider failed on one of them and took the others with it.
    async fn copy_each(&self, batch: Vec<Claimed>) -> Vec<Finished> {
        let mut finished = Vec::with_capacity(batch.len());
        for claimed in batch {
            let slots = self.slots(claimed.source.size).await;
            finished.extend(Box::pin(self.copy(vec![claimed], slots)).await);
        }
        finished
    }

    /// Which end a file's own fault lies at: a copy within a provider tells it of its destination.
    async fn whose(&self, path: &str, error: Error) -> Error {
        if is_site_fault(error.kind()) || error.kind() == ErrorKind::Cancelled {
            return error;
        }
        match self.source().open_read(path, ReadOptions::new()).await {
            Err(at_source) if at_source.kind() == error.kind() => at_source,
            _ => error,
        }
    }

    pub(super) fn all_failed(&self, batch: Vec<Claimed>, error: &Error) -> Vec<Finished> {
        let failed = |claimed| {
            let outcome = Outcome::Failed(error.clone());
            Finished { claimed, outcome, token: None }
        };
        batch.into_iter().map(failed).collect()
    }

    /// Checks what the provider says it copied.
    async fn copied(&self, claimed: &Claimed, path: &str, copied: Copied) -> Outcome {
        if !is_as_claimed(&copied.source, claimed) {
            return Outcome::SourceChanged(copied.source);
        }
        let Copied { source, destination, .. } = copied;
        self.arrived(claimed, path, Passed { source, destination, digest: None, resumed: false })
            .await
    }

    /// Size and, where there is one, checksum agree; with `verify = "full"` every byte does.
    pub(super) async fn arrived(&self, claimed: &Claimed, path: &str, passed: Passed) -> Outcome {
        let Passed { source, destination, mut digest, resumed } = passed;
        let source = &source;
        if resumed && by_checksum(source, &destination).is_none() {
            // Its first part passed at another time.
            let reading = digest::read(self.destination(), path, &destination, source);
            digest = match self.unless_paused(std::slice::from_ref(claimed), reading).await {
                Ok(digest) => digest,
                Err(error) => return Outcome::Failed(error),
            };
        }
        let differs = |digest: &Checksum| {
            [source, &destination].iter().any(|end| agrees(digest, end) == Some(false))
        };
        if destination.size != claimed.source.size
            || by_checksum(source, &destination) == Some(false)
            || digest.as_ref().is_some_and(differs)
        {
            return Outcome::Failed(self.destination().named(Error::new(
                ErrorKind::Corrupt,
                format!(
                    "what arrived differs from what was sent ({} of {} bytes)",
                    destination.size, claimed.source.size
                ),
            )));
        }
        if self.pair.settings.verify == Verify::Full {
            match self.equal(claimed, path, source, &destination).await {
                Ok(true) => {}
                Ok(false) => {
                    return Outcome::Failed(self.destination().named(Error::new(
                        ErrorKind::Corrupt,
                        "what was read back differs from what was sent",
                    )));
                }
                Err(error) => return Outcome::Failed(error),
            }
        }
        Outcome::Done { destination, adopted: false }
    }

    /// Until an operation has really ended its file stays claimed: a late rename must not undo a
    /// later success.
    pub(super) async fn linger(&self, operation: &mut Operation) {
        operation.cancel();
        if operation.ended(Duration::from_secs(10)).await {
            return;
        }
        tracing::warn!(
            site = self.destination().site,
            provider = self.destination().provider,
            "a provider still works on something that was given up; the files stay claimed"
        );
        let _stuck = self.pair.stuck(self.to);
        operation.ended(LINGER).await;
    }
}

/// The code of what was not brought to its end because it is paused.
const PAUSED: &str = "paused";

/// Why something was not brought to its end that was paused.
pub(super) fn given_up() -> Error {
    Error::new(ErrorKind::Cancelled, "it is paused").with_code(PAUSED)
}

/// Whether something was given up for a pause, which may be over by now.
pub(super) fn is_given_up(error: &Error) -> bool {
    error.kind() == ErrorKind::Cancelled && error.code() == PAUSED
}

/// What came of a call that was cancelled for a pause.
fn given_up_for(copied: Result<Vec<Result<Copied>>>) -> Result<Vec<Result<Copied>>> {
    let paused = |error: Error| match error.kind() {
        ErrorKind::Cancelled => given_up(),
        _ => error,
    };
    let copied = copied.map_err(paused)?;
    Ok(copied.into_iter().map(|one| one.map_err(paused)).collect())
}

pub(super) fn path(claimed: &Claimed) -> String {
    join(&claimed.folder, &claimed.name)
}

/// What must be at the destination: what it is known to have, or nothing.
pub(super) fn expectation(claimed: &Claimed) -> Expect {
    match &claimed.destination {
        Some(have) if ![UNKNOWN, DOUBTFUL, GONE].contains(&have.generation) => {
            Expect::Version(have.version.clone())
        }
        _ => Expect::Nothing,
    }
}

/// True if something is to be replaced.
pub(super) fn replaces(claimed: &Claimed) -> bool {
    matches!(expectation(claimed), Expect::Version(_))
}

/// At the destination is something that nobody has compared yet: or what an earlier try of this
/// very content finished, and could not tell of.
pub(super) fn must_meet(claimed: &Claimed) -> bool {
    let sent = claimed.source.sent();
    claimed.destination.as_ref().is_some_and(|have| match have.generation {
        UNKNOWN | DOUBTFUL => true,
        STALE => claimed.job.sent == Some(sent),
        _ => false,
    })
}

/// Errors that say: an end is not what it was taken for.
pub(super) fn is_surprise(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::AlreadyExists | ErrorKind::Precondition)
}

/// A version alone would do, if none of them lied: a size that was wrong once is found out here.
pub(super) fn is_as_claimed(source: &Metadata, claimed: &Claimed) -> bool {
    source.fingerprint() == claimed.source.version && source.size == claimed.source.size
}
