//! Two files of one name: where a storage bears them, two hosts that write at once may both succeed.
//! So each folder in which files were made is listed once more before they are recorded. Whoever
//! finds that another's file is the one that counts takes his own back, and meets that one.
//!
//! Two names of one file: where case does not count, what answers to a name may be another file. So each
//! folder in which files met something that no listing has named yet is listed too.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sitesync_provider::{DeleteOptions, Error, ErrorKind, Expect, Result};
use tokio::task::JoinSet;

use super::names;
use super::record::Arrived;
use super::transfer::{Finished, Outcome, expectation, path};
use crate::sites::OpenRoot;

/// Folders that are listed at once.
const AT_ONCE: usize = 16;

/// Looks whether what a group made is what counts under its name.
pub(super) async fn settle(group: &mut [Arrived]) {
    let counts = what_counts(group).await;
    for (route, finished) in group {
        let destination = route.destination();
        let rules = &destination.info.names;
        for one in finished {
            let place = (key(destination), one.claimed.folder.clone());
            let names = counts.get(&place);
            if has_met(destination, one) {
                let (own, names) = (&one.claimed.name, names.into_iter().flatten());
                let mut names = names.map(|(name, _)| name);
                let key = names::fold(rules, own);
                let other = match names.clone().any(|name| name == own) {
                    true => None,
                    false => names.find(|name| names::fold(rules, name) == key),
                };
                if let Some(other) = other {
                    let why = Error::new(ErrorKind::InvalidPath, names::one_with(other));
                    one.outcome = Outcome::Failed(why);
                }
                continue;
            }
            let Outcome::Done { destination: ours, adopted: false } = &one.outcome else {
                continue;
            };
            let winner = names.and_then(|names| names.get(&one.claimed.name));
            // What is not listed at all says nothing: a listing may lag behind.
            if winner.is_none_or(|version| *version == ours.fingerprint()) {
                continue;
            }
            let path = path(&one.claimed);
            let how = DeleteOptions::if_version(ours.fingerprint()).to_trash(true);
            if let Err(error) = destination.delete(&path, how).await {
                tracing::warn!(%error, path, "a second file of this name could not be taken back");
            }
            let why =
                Error::new(ErrorKind::AlreadyExists, "somebody else made it at the same time");
            one.outcome = route.meet(&one.claimed, &path, why).await;
        }
    }
}

/// Whether something answered to a file's name that the catalog does not know under it, where another
/// name may be the same.
fn has_met(destination: &OpenRoot, one: &Finished) -> bool {
    let (Outcome::Done { destination: there, adopted: true }
    | Outcome::Stale(there)
    | Outcome::Conflict(there)) = &one.outcome
    else {
        return false;
    };
    let known = one.claimed.destination.as_ref();
    !destination.info.names.case_sensitive
        && known.is_none_or(|have| have.version != there.fingerprint())
}

type Place = (usize, String);

/// The version of every file in the folders in which files were made, or met something.
async fn what_counts(group: &[Arrived]) -> HashMap<Place, HashMap<String, String>> {
    let mut folders: BTreeMap<Place, Arc<OpenRoot>> = BTreeMap::new();
    for (route, finished) in group {
        let destination = route.destination();
        for one in finished {
            let made = !destination.info.names.unique
                && matches!(one.outcome, Outcome::Done { adopted: false, .. })
                && expectation(&one.claimed) == Expect::Nothing;
            if made || has_met(destination, one) {
                let place = (key(destination), one.claimed.folder.clone());
                folders.entry(place).or_insert_with(|| destination.clone());
            }
        }
    }
    let mut counts = HashMap::new();
    let mut waiting = folders.into_iter();
    let mut listing = JoinSet::new();
    loop {
        while listing.len() < AT_ONCE
            && let Some((place, root)) = waiting.next()
        {
            listing.spawn(async move { (list(&root, &place.1).await, place) });
        }
        let Some(listed) = listing.join_next().await else { return counts };
        match listed {
            Ok((Ok(versions), place)) => {
                counts.insert(place, versions);
            }
            Ok((Err(error), (_, folder))) => {
                tracing::warn!(%error, folder, "not known whether two files there have one name");
            }
            Err(panic) => {
                tracing::warn!(%panic, "not known whether two files somewhere have one name")
            }
        }
    }
}

async fn list(root: &OpenRoot, folder: &str) -> Result<HashMap<String, String>> {
    let mut listing = root.list(folder, false).await?;
    let mut versions = HashMap::new();
    while let Some(pages) = listing.next().await? {
        for entry in pages.into_iter().flat_map(|listed| listed.page.entries) {
            if entry.skipped.is_none() {
                versions.insert(entry.name, entry.metadata.fingerprint());
            }
        }
    }
    Ok(versions)
}

fn key(root: &Arc<OpenRoot>) -> usize {
    Arc::as_ptr(root) as usize
}
