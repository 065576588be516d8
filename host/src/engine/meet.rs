//! Two files that may be one: what is at both ends is looked at and compared, and what is found is the
//! outcome. Nothing is written here.

use sitesync_provider::{Error, ErrorKind, Metadata, Result};

use super::compare::{Side as Compared, same_content};
use super::plan::is_sent;
use super::progress::Progress;
use super::transfer::{Finished, Outcome, Route, is_as_claimed, is_surprise, must_meet, path};
use crate::catalog::{Claimed, DOUBTFUL, Have, STALE, Sent, UNKNOWN};

impl Route {
    /// What has the size and the time of what is to replace it is compared first: only the permissions
    /// of the source may have changed, or its disk may number files anew. Returns what is equal, and what
    /// is to be brought.
    pub(super) async fn leave_alike(&self, batch: Vec<Claimed>) -> (Vec<Finished>, Vec<Claimed>) {
        let (mut equal, mut left) = (Vec::new(), Vec::with_capacity(batch.len()));
        let step = self.destination().info.mtime_step_ns;
        for claimed in batch {
            if !looks_alike(&claimed, step) {
                left.push(claimed);
                continue;
            }
            match self.is_alike(&claimed).await {
                Ok(Some(destination)) => {
                    let outcome = Outcome::Done { destination, adopted: true };
                    equal.push(Finished { claimed, outcome, token: None });
                }
                // Whatever it is, who brings it finds out.
                Ok(None) => left.push(claimed),
                Err(error) if is_surprise(&error) => left.push(claimed),
                Err(error) => equal.append(&mut self.all_failed(vec![claimed], &error)),
            }
        }
        (equal, left)
    }

    /// What is at the destination, if it is as it is known and equal to the source.
    async fn is_alike(&self, claimed: &Claimed) -> Result<Option<Metadata>> {
        let path = path(claimed);
        let (source, there) =
            tokio::try_join!(self.source().stat(&path), self.destination().stat(&path))?;
        let known = claimed.destination.as_ref().map(|have| have.version.as_str());
        if !is_as_claimed(&source, claimed) || known != Some(&there.fingerprint()) {
            return Ok(None);
        }
        let equal = self.equal(claimed, &path, &source, &there).await?;
        Ok(equal.then_some(there))
    }

    pub(super) async fn equal(
        &self,
        claimed: &Claimed,
        path: &str,
        source: &Metadata,
        destination: &Metadata,
    ) -> Result<bool> {
        let a = Compared { root: self.source(), path, metadata: source };
        let b = Compared { root: self.destination(), path, metadata: destination };
        let comparing = same_content(a, b, |bytes| Progress::add(&self.progress.moved, bytes));
        self.unless_paused(std::slice::from_ref(claimed), comparing).await
    }

    /// An end was not as expected: looks at both, and says what is there.
    pub(super) async fn meet(&self, claimed: &Claimed, path: &str, surprise: Error) -> Outcome {
        match self.look(claimed, path, surprise).await {
            Ok(outcome) => outcome,
            Err(error) => Outcome::Failed(error),
        }
    }

    async fn look(&self, claimed: &Claimed, path: &str, surprise: Error) -> Result<Outcome> {
        let source = match self.source().stat(path).await {
            Ok(source) => source,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.root.still_there(self.from).await?;
                return Ok(Outcome::SourceGone(None));
            }
            Err(error) => return Err(error),
        };
        if !is_as_claimed(&source, claimed) {
            return Ok(Outcome::SourceChanged(source));
        }
        let there = match self.destination().stat(path).await {
            Ok(there) => there,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.root.still_there(self.to).await?;
                return Ok(match claimed.destination {
                    Some(_) => Outcome::DestinationGone,
                    None => Outcome::Failed(surprise),
                });
            }
            Err(error) => return Err(error),
        };
        if there.kind != sitesync_provider::Kind::File {
            return Ok(Outcome::Failed(Error::new(
                ErrorKind::InvalidPath,
                "at its destination is a folder, or something else that is no file",
            )));
        }
        // A size that changes under one version is a lie, now or before: a second look tells.
        let other_size =
            |have: &Have| have.version == there.fingerprint() && have.size != there.size;
        if claimed.destination.as_ref().is_some_and(other_size)
            && self.destination().stat(path).await?.size != there.size
        {
            let why = "its size is told as two numbers under one version";
            return Err(self.destination().named(Error::new(ErrorKind::Corrupt, why)));
        }
        let expected = claimed.destination.as_ref().filter(|_| !must_meet(claimed));
        if expected.is_some_and(|have| have.version == there.fingerprint()) {
            // Both ends are as expected after all: whatever it was, it is over.
            return Ok(Outcome::Failed(surprise));
        }
        let known_as = |generation| {
            let same =
                |have: &Have| have.generation == generation && have.version == there.fingerprint();
            claimed.destination.as_ref().is_some_and(same)
        };
        if self.equal(claimed, path, &source, &there).await? {
            if known_as(DOUBTFUL) {
                let why = "what arrived before an interruption could not be made durable";
                let error = self.destination().named(Error::new(ErrorKind::Unexpected, why));
                return Ok(Outcome::NotDurable(there, error));
            }
            return Ok(Outcome::Done { destination: there, adopted: true });
        }
        let step = self.destination().info.mtime_step_ns;
        let was_sent = |sent: Sent| is_sent(sent, &there, step);
        if claimed.job.sent.is_some_and(was_sent) || known_as(STALE) {
            return Ok(Outcome::Stale(there));
        }
        Ok(Outcome::Conflict(there))
    }
}

/// Whether the destination has a content that the source may have as well, by size and time.
fn looks_alike(claimed: &Claimed, step_ns: u64) -> bool {
    let Some(have) = claimed.destination.as_ref().filter(|have| have.generation > UNKNOWN) else {
        return false;
    };
    let (Some(here), Some(there)) = (claimed.source.mtime_ns, have.mtime_ns) else { return false };
    have.size == claimed.source.size && here.abs_diff(there) < step_ns.max(1)
}
