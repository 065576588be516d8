//! What others did since this instance last looked: another host, another instance, a person at the
//! service's own page. A provider may remember what it saw, and must notice that it changed.

use super::{Case, case};
use crate::conformance::ground::Ground;
use crate::conformance::outcome::{Outcome, demand, refused};
use crate::{DeleteOptions, ErrorKind, Expect, WriteOptions};

pub(super) const CASES: &[Case] = &[
    case!(
        "others",
        what_another_made_is_seen,
        "What was not there a moment ago may be there now: a file that is overlooked is sent again."
    ),
    case!(
        "others",
        what_another_replaced_is_seen,
        "The host compares fingerprints to notice that a file has changed, and tells none from an \
         old one that is told again."
    ),
    case!(
        "others",
        what_another_replaced_is_not_replaced,
        "Somebody else's new version is lost if it is taken for the one that was seen before."
    ),
    case!(
        "others",
        what_another_deleted_is_gone,
        "A file that is told to be there and is not would count as a copy, perhaps as the last one."
    ),
    case!(
        "others",
        a_folder_that_another_removed_is_made_again,
        "Ids and handles of folders are remembered; once the folder is gone, nothing would arrive \
         in it until the host is restarted."
    ),
];

async fn what_another_made_is_seen(t: Ground) -> Outcome {
    let other = t.reconnected().await?;
    t.absent("file").await?;
    t.absent("folder/file").await?;
    let bytes = t.content(1000);
    for name in ["file", "folder/file"] {
        other.put(name, &bytes).await?;
        t.holds(name, &bytes).await?;
        demand!(t.stat(name).await?.size == 1000, "stat of {name:?} tells another size");
    }
    let names: Vec<String> = t.entries("").await?.into_keys().collect();
    demand!(names == ["file", "folder"], "listed are {names:?}");
    let mine = t.put("file", &bytes).await;
    refused("writing over it", mine, &[ErrorKind::AlreadyExists])?;
    Ok(())
}

async fn what_another_replaced_is_seen(t: Ground) -> Outcome {
    let (old, new) = (t.content(1000), t.content(2000));
    let other = t.reconnected().await?;
    let was = t.put("file", &old).await?;
    t.stat("file").await?;
    t.entries("").await?;
    let is = other.replace("file", &new, &was).await?;
    let seen = t.stat("file").await?;
    demand!(
        (seen.size, seen.fingerprint()) == (2000, is.fingerprint()),
        "it still sees {} bytes, version {:?}",
        seen.size,
        seen.version
    );
    let listed = t.entries("").await?.remove("file").map(|listed| listed.fingerprint());
    demand!(listed == Some(is.fingerprint()), "it still lists version {listed:?}");
    t.holds("file", &new).await
}

async fn what_another_replaced_is_not_replaced(t: Ground) -> Outcome {
    let (old, new) = (t.content(1000), t.content(1000));
    let other = t.reconnected().await?;
    let was = t.put("file", &old).await?;
    t.stat("file").await?;
    other.replace("file", &new, &was).await?;
    let answer = t.replace("file", &old, &was).await;
    refused("replacing what was there before", answer, &[ErrorKind::Precondition])?;
    let answer = t.delete("file", DeleteOptions::if_version(was.fingerprint())).await;
    refused("deleting what was there before", answer, &[ErrorKind::Precondition])?;
    t.holds("file", &new).await
}

async fn what_another_deleted_is_gone(t: Ground) -> Outcome {
    let bytes = t.content(1000);
    let other = t.reconnected().await?;
    let was = t.put("folder/file", &bytes).await?;
    t.stat("folder/file").await?;
    t.entries("folder").await?;
    other.delete("folder/file", DeleteOptions::default()).await?;
    t.absent("folder/file").await?;
    let how = WriteOptions::new(1000, Expect::Version(was.fingerprint()));
    let answer = t.write("folder/file", &bytes, how).await;
    let kinds = [ErrorKind::NotFound, ErrorKind::Precondition];
    refused("replacing what was there before", answer, &kinds)?;
    t.put("folder/file", &bytes).await?;
    t.holds("folder/file", &bytes).await
}

async fn a_folder_that_another_removed_is_made_again(t: Ground) -> Outcome {
    let bytes = t.content(1000);
    let other = t.reconnected().await?;
    t.put("above/folder/one", &bytes).await?;
    t.create_folder("made").await?;
    other.delete("above/folder/one", DeleteOptions::default()).await?;
    for folder in ["above/folder", "above", "made"] {
        other.remove_folder(folder).await?;
    }
    for name in ["above/folder/two", "made/three"] {
        t.put(name, &bytes).await?;
        t.holds(name, &bytes).await?;
        other.holds(name, &bytes).await?;
    }
    let names: Vec<String> = other.entries("").await?.into_keys().collect();
    demand!(names == ["above", "made"], "the other instance lists {names:?}");
    Ok(())
}
