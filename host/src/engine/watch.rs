//! Hints of a file system: where a root is a folder of this machine, its changes are looked at as
//! they happen, and need not wait for the next scan. The scan stays the truth: what a watcher misses
//! (another machine's writes to a share, a queue that ran over) it finds.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use super::feed::FOLDERS;
use super::names;
use super::pair::{RootPair, Side};
use super::run::{End, Run};

/// Hints are gathered for so long: a file that is written in pieces is looked at once.
const GATHER: Duration = Duration::from_millis(300);
/// Hints that wait: with more, the next scan will tell.
const WAITING: usize = 16_384;
/// What was hinted and could not be settled is looked at again after this.
const AGAIN: Duration = Duration::from_secs(1);

/// How long a file system may take to say which folder is at a path.
const ANSWER: Duration = Duration::from_secs(30);
/// What most often keeps changes from being watched.
const LIMIT: &str = "`fs.inotify.max_user_watches` says how many folders a user may watch";

/// Tells folders of this machine apart: file system and number.
type Inode = (u64, u64);

/// Changes in the roots of one side: by root, the folders and the names in them.
type Touched = BTreeMap<usize, BTreeMap<String, BTreeSet<String>>>;

impl Run {
    /// Looks at what changes in the roots of a side that are folders of this machine, for as long as
    /// the run lives.
    pub(super) async fn follow_hints(&self, side: Side) -> Result<(), End> {
        if !self.pair.settings.watch {
            return Ok(());
        }
        let folders: Vec<PathBuf> =
            self.pair.roots().iter().map(|root| folder(root, side)).collect();
        if folders.iter().all(|folder| folder.as_os_str().is_empty()) {
            return Ok(());
        }
        loop {
            let (hints, hinted) = mpsc::channel(WAITING);
            let (project, watched) = (self.pair.settings.name.clone(), folders.clone());
            // Walks the trees.
            let watching = tokio::task::spawn_blocking(move || {
                let known = identities(&watched);
                (watch(&project, &watched, hints), known)
            });
            let Ok((watcher, known)) = watching.await else { return Ok(()) };
            self.hear(side, &folders, &known, hinted).await?;
            tracing::info!(
                project = self.pair.settings.name,
                site = self.pair.site_name(side),
                "a root's folder is another one now: it is watched anew"
            );
            drop(watcher);
        }
    }

    /// Looks at what is hinted, until one of the folders is another than the one that is watched.
    async fn hear(
        &self,
        side: Side,
        folders: &[PathBuf],
        known: &[Option<Inode>],
        mut hinted: mpsc::Receiver<PathBuf>,
    ) -> Result<(), End> {
        let (mut again, mut hears) = (Touched::new(), true);
        let mut checks = tokio::time::interval(self.pair.settings.loop_delay.max(AGAIN));
        loop {
            let mut touched = std::mem::take(&mut again);
            let left = !touched.is_empty();
            tokio::select! {
                hint = hinted.recv(), if hears => match hint {
                    Some(path) => note(&mut touched, folders, &path),
                    None => hears = false,
                },
                () = tokio::time::sleep(AGAIN), if left => {}
                _ = checks.tick() => {
                    if are_others(folders, known).await {
                        return Ok(());
                    }
                }
            }
            if touched.is_empty() {
                continue;
            }
            tokio::time::sleep(GATHER).await;
            while let Ok(path) = hinted.try_recv() {
                note(&mut touched, folders, &path);
            }
            let look = self.engine.recorded.look(self.pair.site(side));
            // As they are open now: a generation of a provider that was replaced is to be let go.
            let roots = self.pair.roots();
            for (at, changed) in touched {
                let Some(root) = roots.get(at) else { continue };
                if changed.len() > FOLDERS {
                    tracing::debug!(root = root.name, "too much changes: left to the next scan");
                    continue;
                }
                let left = self.look(root, side, changed, &look).await?.again();
                if !left.is_empty() {
                    again.insert(at, left);
                }
            }
            self.let_go().await?;
        }
    }
}

/// The folder of this machine that a root is at a side; an empty path if it is none.
fn folder(root: &Arc<RootPair>, side: Side) -> PathBuf {
    let path = root.end(side).info.local_path.as_deref().map(Path::new);
    path.and_then(|path| path.canonicalize().ok()).unwrap_or_default()
}

/// Which folders these are; `None` for what is not there, or is no folder of this machine.
fn identities(folders: &[PathBuf]) -> Vec<Option<Inode>> {
    let identity = |folder: &PathBuf| {
        let facts = std::fs::metadata(folder).ok()?;
        Some((facts.dev(), facts.ino()))
    };
    folders.iter().map(identity).collect()
}

/// Whether one of these folders is another than it was: what is watched is an inode, not a path, and
/// tells nothing of a disk that was mounted in its place. A file system that does not answer tells
/// nothing either.
async fn are_others(folders: &[PathBuf], known: &[Option<Inode>]) -> bool {
    let asked = folders.to_vec();
    let now = tokio::task::spawn_blocking(move || identities(&asked));
    matches!(tokio::time::timeout(ANSWER, now).await, Ok(Ok(now)) if now != known)
}

/// Watches these folders. `None` if there is nothing to watch, or nothing can be.
fn watch(
    project: &str,
    folders: &[PathBuf],
    hints: mpsc::Sender<PathBuf>,
) -> Option<RecommendedWatcher> {
    let (of, mut told) = (project.to_owned(), false);
    let hear = move |event: notify::Result<notify::Event>| {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(
                        project = of, %error,
                        "not all changes can be watched: scans will find the others \
                         ({LIMIT})"
                    );
                }
                return;
            }
        };
        if matches!(event.kind, EventKind::Access(_)) {
            return;
        }
        for path in event.paths {
            // One that finds no room is left to the next scan.
            let _ = hints.try_send(path);
        }
    };
    let mut watcher = match notify::recommended_watcher(hear) {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::warn!(project, %error, "changes can't be watched: scans will find them");
            return None;
        }
    };
    let mut any = false;
    for folder in folders.iter().filter(|folder| !folder.as_os_str().is_empty()) {
        match watcher.watch(folder, RecursiveMode::Recursive) {
            Ok(()) => any = true,
            Err(error) => {
                let folder = folder.display();
                tracing::warn!(
                    project, %error, %folder,
                    "changes can't be watched: scans will find them ({LIMIT})"
                );
            }
        }
    }
    any.then_some(watcher)
}

/// Notes a changed path beneath one of the roots; nothing of our own.
fn note(touched: &mut Touched, roots: &[PathBuf], path: &Path) {
    for (at, root) in roots.iter().enumerate() {
        if root.as_os_str().is_empty() {
            continue;
        }
        let Ok(beneath) = path.strip_prefix(root) else { continue };
        let Some(beneath) = beneath.to_str().filter(|path| !path.is_empty()) else { continue };
        if beneath.split('/').any(names::is_ours) {
            continue;
        }
        let (folder, name) = beneath.rsplit_once('/').unwrap_or(("", beneath));
        let folders = touched.entry(at).or_default();
        folders.entry(folder.to_owned()).or_default().insert(name.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_beneath_a_root_are_noted_by_folder() {
        let roots = [PathBuf::from("/studio/work"), PathBuf::new(), "/studio/publish".into()];
        let mut touched = Touched::new();
        for path in [
            "/studio/work/a/b.exr",
            "/studio/work/top.exr",
            "/studio/work/a/c.exr",
            "/studio/publish/x",
            "/studio/work/a/.sitesync-tmp-1",
            "/studio/work/.sitesync/root.json",
            "/studio/work",
            "/elsewhere/x",
        ] {
            note(&mut touched, &roots, Path::new(path));
        }
        let shown = serde_json::to_string(&touched).unwrap();
        assert_eq!(shown, r#"{"0":{"":["top.exr"],"a":["b.exr","c.exr"]},"2":{"":["x"]}}"#);
    }
}
