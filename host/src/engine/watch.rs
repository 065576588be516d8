//! Hints of a file system: where a root is a folder of this machine, its changes are looked at as
//! they happen, and need not wait for the next scan. The scan stays the truth: what a watcher misses
//! (another machine's writes to a share, a queue that ran over) it finds.

use std::collections::{BTreeMap, BTreeSet};
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

/// Changes in the roots of one side: by root, the folders and the names in them.
type Touched = BTreeMap<usize, BTreeMap<String, BTreeSet<String>>>;

impl Run {
    /// Looks at what changes in the roots of a side that are folders of this machine, for as long as
    /// the run lives.
    pub(super) async fn follow_hints(&self, side: Side) -> Result<(), End> {
        if !self.pair.settings.watch {
            return Ok(());
        }
        let (hints, mut hinted) = mpsc::channel::<PathBuf>(WAITING);
        let folders: Vec<PathBuf> =
            self.pair.roots().iter().map(|root| folder(root, side)).collect();
        let watched = folders.clone();
        let project = self.pair.settings.name.clone();
        // Walks the trees.
        let watching = tokio::task::spawn_blocking(move || watch(&project, &watched, hints));
        let Ok(Some(_watcher)) = watching.await else { return Ok(()) };
        let mut again = Touched::new();
        loop {
            let first = if again.is_empty() {
                hinted.recv().await
            } else {
                tokio::time::timeout(AGAIN, hinted.recv()).await.unwrap_or(Some(PathBuf::new()))
            };
            let Some(first) = first else { return Ok(()) };
            let mut touched = std::mem::take(&mut again);
            note(&mut touched, &folders, &first);
            tokio::time::sleep(GATHER).await;
            while let Ok(path) = hinted.try_recv() {
                note(&mut touched, &folders, &path);
            }
            if touched.is_empty() {
                continue;
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

/// Watches these folders. `None` if there is nothing to watch, or nothing can be.
fn watch(
    project: &str,
    folders: &[PathBuf],
    hints: mpsc::Sender<PathBuf>,
) -> Option<RecommendedWatcher> {
    let hear = move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
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
                    "changes can't be watched: scans will find them (`fs.inotify.max_user_watches` \
                     says how many folders a user may watch)"
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
