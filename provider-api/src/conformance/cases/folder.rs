//! Folders: made as often as asked, removed only when empty.

use super::{Case, case};
use crate::conformance::ground::Ground;
use crate::conformance::outcome::{Outcome, demand, refused, refused_somehow};
use crate::{DeleteOptions, ErrorKind, Kind};

pub(super) const CASES: &[Case] = &[
    case!(
        "folder",
        a_made_folder_is_there,
        "What was made is found and listed at once; the next write counts on it."
    ),
    case!(
        "folder",
        making_a_folder_again_is_fine,
        "Several hosts make the same folder; the one that comes second has what it wanted."
    ),
    case!("folder", a_folder_is_made_with_its_parents, "The host names the deepest folder only."),
    case!(
        "folder",
        a_folder_in_place_of_a_file_is_refused,
        "A file is not removed to make room for a folder."
    ),
    case!(
        "folder",
        an_empty_folder_is_removed,
        "Folders that lost their last file are removed, and their names are free again."
    ),
    case!(
        "folder",
        a_folder_with_a_file_is_not_removed,
        "A file that arrived at the last moment must not go with its folder."
    ),
    case!(
        "folder",
        a_folder_with_a_folder_is_not_removed,
        "Only empty means empty: what lies deeper may matter to someone."
    ),
    case!(
        "folder",
        a_missing_folder_is_not_removed,
        "`NotFound` tells that there is nothing to do, and any other error that there is."
    ),
    case!(
        "folder",
        a_file_is_not_removed_as_a_folder,
        "A call that removes folders must not delete a file without looking at its version."
    ),
];

async fn a_made_folder_is_there(t: Ground) -> Outcome {
    t.create_folder("folder").await?;
    let found = t.stat("folder").await?.kind;
    demand!(found == Kind::Folder, "it is a {found:?}");
    let listed = t.entries("").await?.remove("folder").map(|entry| entry.kind);
    demand!(listed == Some(Kind::Folder), "it is listed as {listed:?}");
    let within = t.entries("folder").await?;
    demand!(within.is_empty(), "it holds {:?}", within.keys().collect::<Vec<_>>());
    Ok(())
}

async fn making_a_folder_again_is_fine(t: Ground) -> Outcome {
    let bytes = t.content(1000);
    for _ in 0..3 {
        t.create_folder("a/b").await?;
    }
    t.put("a/b/file", &bytes).await?;
    t.create_folder("a/b").await?;
    t.create_folder("a").await?;
    t.holds("a/b/file", &bytes).await?;
    let names: Vec<_> = t.entries("a").await?.into_keys().collect();
    demand!(names == ["b"], "\"a\" holds {names:?}");
    Ok(())
}

async fn a_folder_is_made_with_its_parents(t: Ground) -> Outcome {
    t.create_folder("a/b/c/d").await?;
    for folder in ["a", "a/b", "a/b/c", "a/b/c/d"] {
        let found = t.stat(folder).await?.kind;
        demand!(found == Kind::Folder, "{folder:?} is a {found:?}");
    }
    Ok(())
}

async fn a_folder_in_place_of_a_file_is_refused(t: Ground) -> Outcome {
    let bytes = t.content(1000);
    t.put("file", &bytes).await?;
    for name in ["file", "file/folder"] {
        let kinds = [ErrorKind::InvalidPath, ErrorKind::AlreadyExists];
        refused(&format!("making {name:?}"), t.create_folder(name).await, &kinds)?;
    }
    t.holds("file", &bytes).await
}

async fn an_empty_folder_is_removed(t: Ground) -> Outcome {
    t.create_folder("above/folder").await?;
    t.remove_folder("above/folder").await?;
    refused("stat of it", t.stat("above/folder").await, &[ErrorKind::NotFound])?;
    t.put("above/folder/file", &t.content(10)).await?;
    t.create_folder("above/folder").await?;
    t.delete("above/folder/file", DeleteOptions::default()).await?;
    t.remove_folder("above/folder").await?;
    refused("stat of the emptied one", t.stat("above/folder").await, &[ErrorKind::NotFound])?;
    // Its name is free for a file.
    let bytes = t.content(10);
    t.put("above/folder", &bytes).await?;
    t.holds("above/folder", &bytes).await
}

async fn a_folder_with_a_file_is_not_removed(t: Ground) -> Outcome {
    for (name, size) in [("one/file", 1000), ("two/empty", 0), ("three/.hidden", 10)] {
        let bytes = t.content(size);
        t.put(name, &bytes).await?;
        let folder = name.split('/').next().unwrap_or_default();
        let answer = t.remove_folder(folder).await;
        refused(&format!("removing {folder:?}"), answer, &[ErrorKind::Precondition])?;
        t.holds(name, &bytes).await?;
    }
    Ok(())
}

async fn a_folder_with_a_folder_is_not_removed(t: Ground) -> Outcome {
    let bytes = t.content(1000);
    t.create_folder("a/empty").await?;
    t.put("b/c/file", &bytes).await?;
    for folder in ["a", "b"] {
        let answer = t.remove_folder(folder).await;
        refused(&format!("removing {folder:?}"), answer, &[ErrorKind::Precondition])?;
    }
    t.holds("b/c/file", &bytes).await?;
    let found = t.stat("a/empty").await?.kind;
    demand!(found == Kind::Folder, "the folder in it is a {found:?}");
    Ok(())
}

async fn a_missing_folder_is_not_removed(t: Ground) -> Outcome {
    t.create_folder("folder").await?;
    for name in ["missing", "folder/missing", "missing/missing"] {
        let answer = t.remove_folder(name).await;
        refused(&format!("removing {name:?}"), answer, &[ErrorKind::NotFound])?;
    }
    Ok(())
}

async fn a_file_is_not_removed_as_a_folder(t: Ground) -> Outcome {
    for size in [0, 1000] {
        let name = format!("{size}");
        let bytes = t.content(size);
        t.put(&name, &bytes).await?;
        refused_somehow("removing a file as a folder", t.remove_folder(&name).await)?;
        t.holds(&name, &bytes).await?;
    }
    Ok(())
}
