//! Replacing files: only what was expected, and in one step.

use super::{Case, case};
use crate::conformance::ground::Ground;
use crate::conformance::outcome::{Outcome, demand, not_applicable, refused, refused_somehow};
use crate::{DeleteOptions, ErrorKind, Expect, WriteOptions};

pub(super) const CASES: &[Case] = &[
    case!(
        "overwrite",
        a_taken_name_is_refused,
        "What we did not write is never overwritten: `Expect::Nothing` means nothing."
    ),
    case!(
        "overwrite",
        a_name_taken_meanwhile_is_refused,
        "An upload takes long: what someone else put there since it began is theirs."
    ),
    case!(
        "overwrite",
        the_expected_version_is_replaced,
        "New content of a known file travels by replacing exactly that version."
    ),
    case!(
        "overwrite",
        another_version_is_not_replaced,
        "What someone changed at the destination is a conflict, and not ours to overwrite."
    ),
    case!(
        "overwrite",
        a_version_changed_meanwhile_is_not_replaced,
        "The expectation counts in the step that makes the file visible, not only at the start."
    ),
    case!(
        "overwrite",
        a_vanished_version_is_not_replaced,
        "A file that someone deleted does not come back by an update of it."
    ),
    case!(
        "overwrite",
        a_nonsense_version_is_not_replaced,
        "A fingerprint of other software, or of another provider, matches nothing."
    ),
    case!(
        "overwrite",
        the_old_content_stays_until_finish,
        "A reader of a published file must not meet a half-written new version of it."
    ),
    case!(
        "overwrite",
        an_unfinished_overwrite_leaves_the_old,
        "A host that ends in the middle of an update must leave the file as it was."
    ),
    case!(
        "overwrite",
        a_torn_overwrite_leaves_the_old,
        "An update with a wrong number of bytes is refused, and the old file is still good."
    ),
    case!(
        "overwrite",
        nothing_of_the_old_content_remains,
        "A shorter file that keeps the tail of the longer one is neither."
    ),
    case!(
        "overwrite",
        the_version_changes_with_the_content,
        "A cache rendered anew has the same size, often the same time: the fingerprint alone tells."
    ),
    case!(
        "overwrite",
        every_replacing_gives_a_new_version,
        "A version that comes back makes an old expectation true again."
    ),
    case!(
        "overwrite",
        the_version_stays_with_the_content,
        "A fingerprint that changes by itself makes every file look changed at every scan."
    ),
    case!(
        "overwrite",
        a_file_written_anew_is_not_the_deleted_one,
        "The version of a file that was deleted must not let a stranger of its name be replaced."
    ),
];

async fn a_taken_name_is_refused(t: Ground) -> Outcome {
    let (one, two) = (t.content(1000), t.content(2000));
    let was = t.put("file", &one).await?;
    for bytes in [&two, &one] {
        refused("writing", t.put("file", bytes).await, &[ErrorKind::AlreadyExists])?;
    }
    let now = t.stat("file").await?;
    demand!(now.fingerprint() == was.fingerprint(), "the refused write changed the version");
    t.holds("file", &one).await
}

async fn a_name_taken_meanwhile_is_refused(t: Ground) -> Outcome {
    let (ours, theirs) = (t.content(2 << 20), t.content(1000));
    let how = WriteOptions::new(ours.len() as u64, Expect::Nothing);
    let mut writing = t.open_write("file", how).await?;
    writing.write(&ours).await?;
    t.put("file", &theirs).await?;
    refused("finishing", writing.finish().await, &[ErrorKind::AlreadyExists])?;
    t.holds("file", &theirs).await
}

async fn the_expected_version_is_replaced(t: Ground) -> Outcome {
    let (one, two) = (t.content(5000), t.content(7000));
    let was = t.put("file", &one).await?;
    let finished = t.replace("file", &two, &was).await?;
    t.holds("file", &two).await?;
    let now = t.stat("file").await?;
    demand!(
        finished.fingerprint() == now.fingerprint() && now.size == 7000,
        "finish says {finished:?}, and stat {now:?}"
    );
    let names: Vec<_> = t.entries("").await?.into_keys().collect();
    demand!(names == ["file"], "after replacing it, the folder holds {names:?}");
    Ok(())
}

async fn another_version_is_not_replaced(t: Ground) -> Outcome {
    let (one, two, three) = (t.content(1000), t.content(1000), t.content(1000));
    let old = t.put("file", &one).await?;
    t.replace("file", &two, &old).await?;
    let answer = t.replace("file", &three, &old).await;
    refused("replacing an older version", answer, &[ErrorKind::Precondition])?;
    t.holds("file", &two).await
}

async fn a_version_changed_meanwhile_is_not_replaced(t: Ground) -> Outcome {
    let (one, ours, theirs) = (t.content(1000), t.content(2 << 20), t.content(3000));
    let was = t.put("file", &one).await?;
    let how = WriteOptions::new(ours.len() as u64, Expect::Version(was.fingerprint()));
    let mut writing = t.open_write("file", how).await?;
    writing.write(&ours).await?;
    t.replace("file", &theirs, &was).await?;
    refused("finishing", writing.finish().await, &[ErrorKind::Precondition])?;
    t.holds("file", &theirs).await
}

async fn a_vanished_version_is_not_replaced(t: Ground) -> Outcome {
    let (one, two) = (t.content(1000), t.content(2000));
    let kinds = [ErrorKind::NotFound, ErrorKind::Precondition];
    let was = t.put("file", &one).await?;
    let how = WriteOptions::new(two.len() as u64, Expect::Version(was.fingerprint()));
    let mut writing = t.open_write("file", how).await?;
    writing.write(&two).await?;
    t.delete("file", DeleteOptions::default()).await?;
    refused("finishing after it was deleted", writing.finish().await, &kinds)?;
    t.absent("file").await?;
    refused("replacing what was deleted", t.replace("file", &two, &was).await, &kinds)?;
    t.absent("file").await
}

async fn a_nonsense_version_is_not_replaced(t: Ground) -> Outcome {
    let (one, two) = (t.content(1000), t.content(2000));
    t.put("file", &one).await?;
    for version in ["", "nonsense", "0", "*", "\"'/\\\u{1f4a5}"] {
        let how = WriteOptions::new(two.len() as u64, Expect::Version(version.to_owned()));
        let what = format!("replacing the version {version:?}");
        refused(&what, t.write("file", &two, how).await, &[ErrorKind::Precondition])?;
        t.holds("file", &one).await?;
    }
    Ok(())
}

async fn the_old_content_stays_until_finish(t: Ground) -> Outcome {
    let (one, two) = (t.content(1000), t.content(3 << 20));
    let was = t.put("file", &one).await?;
    let how = WriteOptions::new(two.len() as u64, Expect::Version(was.fingerprint()));
    let mut writing = t.open_write("file", how).await?;
    t.holds("file", &one).await?;
    for chunk in 0..3 {
        writing.write(&two.slice(chunk << 20..(chunk + 1) << 20)).await?;
        t.holds("file", &one).await?;
        let now = t.stat("file").await?;
        demand!(now.fingerprint() == was.fingerprint(), "its version changed before finish");
    }
    writing.finish().await?;
    t.holds("file", &two).await
}

async fn an_unfinished_overwrite_leaves_the_old(t: Ground) -> Outcome {
    let (one, two) = (t.content(1000), t.content(2 << 20));
    let was = t.put("file", &one).await?;
    for discarded in [false, true] {
        let how = WriteOptions::new(two.len() as u64, Expect::Version(was.fingerprint()));
        let mut writing = t.open_write("file", how).await?;
        writing.write(&two).await?;
        if discarded {
            writing.discard().await?;
        } else {
            drop(writing);
        }
        t.holds("file", &one).await?;
        let now = t.stat("file").await?;
        demand!(now.fingerprint() == was.fingerprint(), "its version changed without a finish");
    }
    t.replace("file", &two, &was).await?;
    t.holds("file", &two).await
}

async fn a_torn_overwrite_leaves_the_old(t: Ground) -> Outcome {
    let (one, two) = (t.content(1000), t.content(2000));
    let was = t.put("file", &one).await?;
    for announced in [1999, 2001] {
        let how = WriteOptions::new(announced, Expect::Version(was.fingerprint()));
        let what = format!("finishing 2000 bytes where {announced} were announced");
        refused_somehow(&what, t.write("file", &two, how).await)?;
        t.holds("file", &one).await?;
    }
    Ok(())
}

async fn nothing_of_the_old_content_remains(t: Ground) -> Outcome {
    let mut was = t.put("file", &t.content(2 << 20)).await?;
    for size in [1 << 20, 3 << 20, 1, 0, 1000] {
        let bytes = t.content(size);
        was = t.replace("file", &bytes, &was).await?;
        let found = t.stat("file").await?.size;
        demand!(found == size as u64, "{size} bytes were written, stat says {found}");
        t.holds("file", &bytes).await?;
    }
    Ok(())
}

async fn the_version_changes_with_the_content(t: Ground) -> Outcome {
    let (one, two) = (t.content(4096), t.content(4096));
    let mtime = Some(1_600_000_000_000_000_000);
    let how = |expect| WriteOptions::new(4096, expect).mtime_ns(mtime);
    let was = t.write("file", &one, how(Expect::Nothing)).await?;
    if was.version.is_none() {
        return not_applicable(
            "the provider gives no version; the host makes one of size and time",
        );
    }
    t.write("file", &two, how(Expect::Version(was.fingerprint()))).await?;
    let now = t.stat("file").await?;
    demand!(
        now.fingerprint() != was.fingerprint(),
        "other bytes of the same size and time have the same version {:?}",
        now.fingerprint()
    );
    let listed = t.entries("").await?.remove("file").map(|entry| entry.fingerprint());
    demand!(listed == Some(now.fingerprint()), "the listing still has the version {listed:?}");
    Ok(())
}

async fn every_replacing_gives_a_new_version(t: Ground) -> Outcome {
    let contents = [t.content(100), t.content(100)];
    let mut was = t.put("file", &contents[0]).await?;
    if was.version.is_none() {
        return not_applicable(
            "the provider gives no version; the host makes one of size and time",
        );
    }
    // A digest may come back with the content; between two contents it must not stay.
    for n in 1..10 {
        let now = t.replace("file", &contents[n % 2], &was).await?;
        demand!(
            now.fingerprint() != was.fingerprint(),
            "replacing it the {n}. time left the version {:?}",
            now.fingerprint()
        );
        was = now;
    }
    Ok(())
}

async fn the_version_stays_with_the_content(t: Ground) -> Outcome {
    let bytes = t.content(10_000);
    let was = t.put("folder/file", &bytes).await?.fingerprint();
    let look = async |after: &str| -> Outcome {
        let now = t.stat("folder/file").await?.fingerprint();
        demand!(now == was, "after {after} its version was {now:?} instead of {was:?}");
        Ok(())
    };
    look("nothing").await?;
    t.holds("folder/file", &bytes).await?;
    look("it was read").await?;
    t.entries("folder").await?;
    look("its folder was listed").await?;
    let other = t.put("folder/other", &bytes).await?;
    t.replace("folder/other", &t.content(10), &other).await?;
    t.delete("folder/other", DeleteOptions::default()).await?;
    look("another file came, changed and went").await?;
    t.open_root(&t.site.root).await?;
    look("the root was opened again").await
}

async fn a_file_written_anew_is_not_the_deleted_one(t: Ground) -> Outcome {
    let (one, two, three) = (t.content(1000), t.content(1000), t.content(1000));
    let old = t.put("file", &one).await?;
    if old.version.is_none() {
        return not_applicable(
            "the provider gives no version; the host makes one of size and time",
        );
    }
    t.tick().await;
    t.delete("file", DeleteOptions::default()).await?;
    t.put("file", &two).await?;
    let answer = t.replace("file", &three, &old).await;
    refused("replacing the deleted version", answer, &[ErrorKind::Precondition])?;
    t.holds("file", &two).await
}
