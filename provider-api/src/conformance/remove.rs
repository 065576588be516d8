//! Removing what the suite made, and telling what could not be removed.

use std::collections::BTreeSet;

use tokio::task::JoinSet;

use super::ground::Ground;
use super::outcome::told;
use crate::{DeleteOptions, End, Error, ErrorKind, Kind, Result, check_name, join};

/// Folders in folders, at most: a listing that leads into itself has no end.
const DEEPEST: usize = 64;
/// Files that are deleted at once.
const AT_ONCE: usize = 8;

/// Removes a folder with all in it. Returns what is left, each with the reason.
pub(super) async fn remove(ground: &Ground, folder: &str) -> Vec<String> {
    // Temporaries are not listed, and a folder that holds one is not empty.
    let swept = ground.sweep(Vec::new()).await.err();
    let mut left = Vec::new();
    remove_tree(ground, folder, &mut left).await;
    remove_from_trash(ground, folder, &mut left).await;
    if let Some(error) = swept.filter(|_| !left.is_empty()) {
        left.push(format!("temporaries: {}", told(&error)));
    }
    left
}

/// What went to the trash goes from there as well, and what that leaves empty.
async fn remove_from_trash(ground: &Ground, folder: &str, left: &mut Vec<String>) {
    let Some(trash) = ground.info().trash_folder.clone() else { return };
    match ground.trash_folders().await {
        Ok(filled) => {
            for filled in filled {
                remove_tree(ground, &join(&filled, folder), left).await;
                // It may hold what is somebody else's.
                let _ = ground.remove_folder_path(&filled).await;
            }
        }
        Err(error) => left.push(format!("{trash}: {}", told(&error))),
    }
    let mut empty = Some(trash.as_str());
    while let Some(folder) = empty {
        if ground.remove_folder_path(folder).await.is_err() {
            return;
        }
        empty = folder.rsplit_once('/').map(|(above, _)| above);
    }
}

async fn remove_tree(ground: &Ground, folder: &str, left: &mut Vec<String>) {
    let mut folders = vec![folder.to_owned()];
    let mut next = 0;
    while next < folders.len() {
        let folder = folders[next].clone();
        next += 1;
        match names(ground, &folder).await {
            Ok((files, beneath)) => {
                delete_all(ground, files, left).await;
                let deep = folder.split('/').count() >= DEEPEST;
                folders.extend(beneath.into_iter().filter(|_| !deep));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => left.push(format!("{folder}: {}", told(&error))),
        }
    }
    for folder in folders.iter().rev() {
        match ground.remove_folder_path(folder).await {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => left.push(format!("{folder}: {}", told(&error))),
        }
    }
}

/// The paths of the files and of the folders in a folder. What a provider says is not trusted:
/// no path leaves the folder.
async fn names(ground: &Ground, folder: &str) -> Result<(BTreeSet<String>, BTreeSet<String>)> {
    let mut listing = ground.list_path(folder, false).await?;
    let (mut files, mut folders) = (BTreeSet::new(), BTreeSet::new());
    while let Some(pages) = listing.next().await? {
        for page in pages.into_iter().filter(|page| page.folder == folder) {
            if let End::Failed(error) = page.end {
                return Err(error);
            }
            for entry in page.entries.into_iter().filter(|e| check_name(&e.name).is_ok()) {
                let path = join(folder, &entry.name);
                let new = if entry.metadata.kind == Kind::Folder {
                    folders.insert(path)
                } else {
                    files.insert(path)
                };
                if !new {
                    return Err(Error::new(ErrorKind::Unexpected, "a name is listed twice"));
                }
            }
        }
    }
    Ok((files, folders))
}

async fn delete_all(ground: &Ground, files: BTreeSet<String>, left: &mut Vec<String>) {
    let mut deletes: JoinSet<Option<String>> = JoinSet::new();
    for path in files {
        if deletes.len() >= AT_ONCE {
            left.extend(deletes.join_next().await.and_then(|done| done.ok().flatten()));
        }
        let ground = ground.clone();
        deletes.spawn(async move {
            match ground.delete_path(&path, DeleteOptions::default()).await {
                Ok(()) => None,
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                Err(error) => Some(format!("{path}: {}", told(&error))),
            }
        });
    }
    left.extend(deletes.join_all().await.into_iter().flatten());
}
