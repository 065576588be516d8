//! Renaming, where the provider can: `Unsupported` is an answer.

use super::{Case, case};
use crate::conformance::ground::Ground;
use crate::conformance::outcome::{Outcome, demand, not_applicable, refused};
use crate::{ErrorKind, Expect, WriteOptions};

pub(super) const CASES: &[Case] = &[
    case!(
        "rename",
        a_renamed_file_is_there_under_its_new_name,
        "A file has one name at any moment, and the same content under it."
    ),
    case!(
        "rename",
        a_rename_tells_what_is_there,
        "What it returns is recorded as the fingerprint of the file under its new name."
    ),
    case!(
        "rename",
        a_rename_keeps_the_modification_time,
        "The content has not changed, so that its time has not either."
    ),
    case!(
        "rename",
        a_rename_over_a_file_is_refused,
        "The destination must not exist: what is there is not replaced in silence."
    ),
    case!("rename", a_missing_file_is_not_renamed, "A file that is gone is told by its kind."),
];

/// Ends the case where the provider has no rename.
async fn supported(t: &Ground) -> Outcome {
    t.put("probe", &t.content(10)).await?;
    match t.rename("probe", "probed").await {
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            not_applicable("the provider has no rename")
        }
        answer => {
            answer?;
            Ok(())
        }
    }
}

async fn a_renamed_file_is_there_under_its_new_name(t: Ground) -> Outcome {
    supported(&t).await?;
    for (from, to) in [("a/one", "a/other"), ("b/one", "a/one"), ("two", "c d/two")] {
        let bytes = t.content(1000);
        t.put(from, &bytes).await?;
        t.create_folder(to.rsplit_once('/').map_or("", |(folder, _)| folder)).await?;
        t.rename(from, to).await?;
        t.absent(from).await?;
        t.holds(to, &bytes).await?;
    }
    Ok(())
}

async fn a_rename_tells_what_is_there(t: Ground) -> Outcome {
    supported(&t).await?;
    t.put("old", &t.content(1000)).await?;
    let told = t.rename("old", "new").await?;
    let found = t.stat("new").await?;
    demand!(
        told.size == found.size
            && told.fingerprint() == found.fingerprint()
            && told.mtime_ns == found.mtime_ns,
        "it tells {told:?}, and stat {found:?}"
    );
    Ok(())
}

async fn a_rename_keeps_the_modification_time(t: Ground) -> Outcome {
    supported(&t).await?;
    let how = WriteOptions::new(10, Expect::Nothing).mtime_ns(Some(1_234_567_890_000_000_000));
    let was = t.write("old", &t.content(10), how).await?;
    let now = t.rename("old", "new").await?;
    demand!(now.mtime_ns == was.mtime_ns, "it was {:?}, and is {:?}", was.mtime_ns, now.mtime_ns);
    Ok(())
}

async fn a_rename_over_a_file_is_refused(t: Ground) -> Outcome {
    supported(&t).await?;
    let (one, two) = (t.content(1000), t.content(2000));
    t.put("one", &one).await?;
    t.put("two", &two).await?;
    let answer = t.rename("one", "two").await;
    refused("renaming over a file", answer, &[ErrorKind::AlreadyExists])?;
    t.holds("one", &one).await?;
    t.holds("two", &two).await
}

async fn a_missing_file_is_not_renamed(t: Ground) -> Outcome {
    supported(&t).await?;
    let answer = t.rename("missing", "new").await;
    refused("renaming what is missing", answer, &[ErrorKind::NotFound])?;
    t.absent("new").await
}
