//! Deleting: what was named, in the version that was named, and nothing else.

use super::{Case, case, needs};
use crate::conformance::ground::Ground;
use crate::conformance::outcome::{Outcome, demand, refused, refused_somehow};
use crate::{DeleteOptions, ErrorKind, Kind, ReadOptions};

pub(super) const CASES: &[Case] = &[
    case!(
        "delete",
        a_deleted_file_is_gone,
        "What was deleted and is still found travels back to where it was deleted."
    ),
    case!(
        "delete",
        a_missing_file_is_not_found,
        "`NotFound` tells the host that the work is done; any other error is tried again."
    ),
    case!(
        "delete",
        the_expected_version_is_deleted,
        "Each delete of the host names the version that it means."
    ),
    case!(
        "delete",
        another_version_is_not_deleted,
        "What someone changed since is not what was to be deleted."
    ),
    case!(
        "delete",
        a_vanished_version_is_not_found,
        "Somebody else was quicker: that is known by the kind."
    ),
    case!(
        "delete",
        a_folder_is_not_deleted_as_a_file,
        "A delete of one file must never take a tree with it."
    ),
    case!(
        "delete",
        neighbours_of_a_deleted_file_stay,
        "A delete that matches by prefix, pattern or name alone takes others with it."
    ),
    case!(
        "delete",
        the_name_of_a_deleted_file_is_free,
        "Renders delete and write anew; what was deleted must not be in the way."
    ),
    case!(
        "delete",
        an_open_reader_survives_a_delete_or_fails,
        "A file that is deleted while it is read is read whole, or not: never as a shorter one."
    ),
    case!(
        "delete",
        what_went_to_the_trash_is_gone,
        needs::trash,
        "A file in the trash is deleted for everyone who looks at its folder."
    ),
    case!(
        "delete",
        another_version_does_not_go_to_the_trash,
        needs::trash,
        "The version counts for the trash as it does for a delete for good."
    ),
    case!(
        "delete",
        without_a_trash_nothing_is_deleted,
        needs::no_trash,
        "Who asks for the trash wants it back some day: deleting for good instead loses it."
    ),
];

async fn a_deleted_file_is_gone(t: Ground) -> Outcome {
    for name in ["file", "folder/file"] {
        t.put(name, &t.content(1000)).await?;
        t.delete(name, DeleteOptions::default()).await?;
        t.absent(name).await?;
    }
    Ok(())
}

async fn a_missing_file_is_not_found(t: Ground) -> Outcome {
    t.put("folder/file", &t.content(10)).await?;
    for name in ["missing", "folder/missing", "missing/missing"] {
        let answer = t.delete(name, DeleteOptions::default()).await;
        refused(&format!("deleting {name:?}"), answer, &[ErrorKind::NotFound])?;
    }
    t.delete("folder/file", DeleteOptions::default()).await?;
    let again = t.delete("folder/file", DeleteOptions::default()).await;
    refused("deleting it again", again, &[ErrorKind::NotFound])?;
    Ok(())
}

async fn the_expected_version_is_deleted(t: Ground) -> Outcome {
    t.put("file", &t.content(1000)).await?;
    let version = t.stat("file").await?.fingerprint();
    t.delete("file", DeleteOptions::if_version(version)).await?;
    t.absent("file").await
}

async fn another_version_is_not_deleted(t: Ground) -> Outcome {
    let bytes = t.content(1000);
    let old = t.put("file", &t.content(1000)).await?;
    let now = t.replace("file", &bytes, &old).await?;
    for version in [old.fingerprint(), "nonsense".to_owned()] {
        let answer = t.delete("file", DeleteOptions::if_version(&version)).await;
        refused(&format!("deleting version {version:?}"), answer, &[ErrorKind::Precondition])?;
        t.holds("file", &bytes).await?;
        let found = t.stat("file").await?.fingerprint();
        demand!(found == now.fingerprint(), "the refused delete changed the version");
    }
    Ok(())
}

async fn a_vanished_version_is_not_found(t: Ground) -> Outcome {
    let was = t.put("file", &t.content(1000)).await?;
    t.delete("file", DeleteOptions::default()).await?;
    let answer = t.delete("file", DeleteOptions::if_version(was.fingerprint())).await;
    let kinds = [ErrorKind::NotFound, ErrorKind::Precondition];
    refused("deleting what is gone", answer, &kinds)?;
    Ok(())
}

async fn a_folder_is_not_deleted_as_a_file(t: Ground) -> Outcome {
    let bytes = t.content(1000);
    t.put("folder/file", &bytes).await?;
    t.create_folder("empty").await?;
    for name in ["folder", "empty"] {
        let answer = t.delete(name, DeleteOptions::default()).await;
        refused_somehow(&format!("deleting the folder {name:?}"), answer)?;
        let found = t.stat(name).await?.kind;
        demand!(found == Kind::Folder, "the folder {name:?} has become a {found:?}");
    }
    t.holds("folder/file", &bytes).await
}

async fn neighbours_of_a_deleted_file_stay(t: Ground) -> Outcome {
    let bytes = t.content(100);
    let others = ["a b", "ab", "a.", "A", "a1", "b", "folder/a", "a%"];
    let rules = &t.info().names;
    let others: Vec<_> = others
        .into_iter()
        .filter(|name| rules.trailing_dot_or_space || !name.ends_with('.'))
        .filter(|name| rules.case_sensitive || *name != "A")
        .filter(|name| !name.chars().any(|c| rules.forbidden_characters.contains(c)))
        .collect();
    t.put("a", &bytes).await?;
    for name in &others {
        t.put(name, &bytes).await?;
    }
    t.delete("a", DeleteOptions::default()).await?;
    t.absent("a").await?;
    for name in &others {
        t.holds(name, &bytes).await?;
    }
    Ok(())
}

async fn the_name_of_a_deleted_file_is_free(t: Ground) -> Outcome {
    for n in 0..3 {
        let bytes = t.content(1000 + n);
        t.put("file", &bytes).await?;
        t.holds("file", &bytes).await?;
        t.delete("file", DeleteOptions::default()).await?;
    }
    t.put("file/now a folder", &t.content(10)).await?;
    let found = t.stat("file").await?.kind;
    demand!(found == Kind::Folder, "the folder of that name is a {found:?}");
    Ok(())
}

async fn an_open_reader_survives_a_delete_or_fails(t: Ground) -> Outcome {
    let bytes = t.content(4 << 20);
    t.put("file", &bytes).await?;
    let mut reading = t.open_read("file", ReadOptions::new()).await?;
    let mut seen = reading.read(1 << 20).await?.to_vec();
    t.delete("file", DeleteOptions::default()).await?;
    match reading.rest(1 << 20).await {
        Ok(rest) => {
            seen.extend(rest);
            crate::conformance::content::same("what was read", &seen, &bytes)
        }
        Err(error) => refused_somehow::<()>("reading on", Err(error)),
    }
}

async fn what_went_to_the_trash_is_gone(t: Ground) -> Outcome {
    let bytes = t.content(1000);
    for _ in 0..2 {
        t.put("file", &bytes).await?;
        let version = t.stat("file").await?.fingerprint();
        t.delete("file", DeleteOptions::if_version(version).to_trash(true)).await?;
        t.absent("file").await?;
    }
    t.put("file", &bytes).await?;
    t.holds("file", &bytes).await
}

async fn another_version_does_not_go_to_the_trash(t: Ground) -> Outcome {
    let bytes = t.content(1000);
    let old = t.put("file", &t.content(1000)).await?;
    t.replace("file", &bytes, &old).await?;
    let answer =
        t.delete("file", DeleteOptions::if_version(old.fingerprint()).to_trash(true)).await;
    refused("trashing another version", answer, &[ErrorKind::Precondition])?;
    t.holds("file", &bytes).await
}

async fn without_a_trash_nothing_is_deleted(t: Ground) -> Outcome {
    let bytes = t.content(1000);
    t.put("file", &bytes).await?;
    let answer = t.delete("file", DeleteOptions::default().to_trash(true)).await;
    refused("deleting to the trash", answer, &[ErrorKind::Unsupported])?;
    t.holds("file", &bytes).await
}
