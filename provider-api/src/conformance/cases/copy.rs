//! Copies within the instance: as careful as a write, and each file by itself.

use super::metadata::same_time;
use super::{Case, case, needs};
use crate::conformance::ground::{Ground, Item};
use crate::conformance::outcome::{Outcome, demand, refused, refused_somehow};
use crate::{Copied, DeleteOptions, ErrorKind, Expect, Kind, Op, Result, WriteOptions};

pub(super) const CASES: &[Case] = &[
    case!(
        "copy",
        a_copy_has_the_content_of_its_source,
        needs::server_copy,
        "A copy arrives with every byte of its source, and its source stays."
    ),
    case!(
        "copy",
        files_of_all_sizes_are_copied,
        needs::server_copy,
        "Empty, small and large files go different ways in most storages."
    ),
    case!(
        "copy",
        a_copy_tells_both_ends,
        needs::server_copy,
        "Both fingerprints are recorded: if a later look gives others, both files look changed."
    ),
    case!(
        "copy",
        a_copy_keeps_the_modification_time,
        needs::server_copy,
        "After a crash the host recognises its own copy by size and time."
    ),
    case!(
        "copy",
        results_come_in_the_order_of_the_batch,
        needs::server_copy,
        "The host tells results by their place: one that is swapped is recorded for another file."
    ),
    case!(
        "copy",
        one_bad_item_does_not_spoil_the_others,
        needs::server_copy,
        "Of 64 files 63 should arrive if one is gone."
    ),
    case!(
        "copy",
        a_copy_over_a_file_is_refused,
        needs::server_copy,
        "What we did not write is never overwritten, by a copy no more than by a write."
    ),
    case!(
        "copy",
        a_copy_replaces_the_expected_version_only,
        needs::server_copy,
        "Updates travel by copies as well, and replace exactly what they expect."
    ),
    case!(
        "copy",
        a_changed_source_is_not_copied,
        needs::server_copy,
        "The host copies the version that it planned: another one is another plan."
    ),
    case!(
        "copy",
        a_missing_source_is_not_found,
        needs::server_copy,
        "A source that is gone is told by its kind, and nothing appears at the destination."
    ),
    case!(
        "copy",
        a_copy_makes_parents,
        needs::server_copy,
        "Folders do not travel by themselves; a batch goes to many that are new."
    ),
    case!(
        "copy",
        two_copies_to_one_name_are_one,
        needs::server_copy,
        "Of two items to one free name, one finds it taken."
    ),
    case!(
        "copy",
        a_copy_onto_itself_changes_nothing,
        needs::server_copy,
        "Truncating the destination first would empty the source."
    ),
    case!(
        "copy",
        a_folder_is_not_copied_as_a_file,
        needs::server_copy,
        "A folder that is copied as an empty file is in the way of its files."
    ),
    case!(
        "copy",
        an_empty_batch_is_answered,
        needs::server_copy,
        "No items, no results, and no error."
    ),
];

async fn copy(t: &Ground, item: Item) -> Outcome<Result<Copied>> {
    let mut answers = t.server_copy(&[item], Op::unbound()).await?;
    Ok(answers.remove(0))
}

async fn a_copy_has_the_content_of_its_source(t: Ground) -> Outcome {
    let bytes = t.content(100_000);
    let source = t.put("source", &bytes).await?;
    let item = Item::new("source", "copy").version(source.fingerprint());
    copy(&t, item).await??;
    t.holds("copy", &bytes).await?;
    t.holds("source", &bytes).await?;
    let now = t.stat("source").await?.fingerprint();
    demand!(now == source.fingerprint(), "the copy changed the version of its source");
    // They are two files from here on.
    let copied = t.stat("copy").await?;
    t.replace("copy", &t.content(10), &copied).await?;
    t.holds("source", &bytes).await
}

async fn files_of_all_sizes_are_copied(t: Ground) -> Outcome {
    const KIB: usize = 1 << 10;
    let sizes =
        [0, 1, 128 * KIB - 1, 128 * KIB, 128 * KIB + 1, 1024 * KIB, 1024 * KIB + 1, 9000 * KIB + 7];
    for size in sizes {
        let (from, to) = (format!("source {size}"), format!("copies/{size}"));
        let bytes = t.content(size);
        t.put(&from, &bytes).await?;
        let copied = copy(&t, Item::new(&from, &to)).await??;
        let told = copied.destination.size;
        demand!(told == size as u64, "the copy of {size} bytes is told to have {told}");
        t.holds(&to, &bytes).await?;
    }
    Ok(())
}

async fn a_copy_tells_both_ends(t: Ground) -> Outcome {
    for size in [0, 1000, 2 << 20] {
        let (from, to) = (format!("source {size}"), format!("copy {size}"));
        t.put(&from, &t.content(size)).await?;
        let copied = copy(&t, Item::new(&from, &to)).await??;
        for (name, told) in [(&from, &copied.source), (&to, &copied.destination)] {
            let found = t.stat(name).await?;
            demand!(
                told.kind == Kind::File
                    && told.size == found.size
                    && told.fingerprint() == found.fingerprint()
                    && told.mtime_ns == found.mtime_ns,
                "of {name:?} the copy tells {told:?}, and stat {found:?}"
            );
        }
    }
    Ok(())
}

async fn a_copy_keeps_the_modification_time(t: Ground) -> Outcome {
    if let Some(reason) = needs::mtime(t.info()) {
        return crate::conformance::outcome::not_applicable(reason);
    }
    for (n, mtime) in [1_234_567_890_123_456_789, 1_000_000_000].into_iter().enumerate() {
        let (from, to) = (format!("source {n}"), format!("copy {n}"));
        let how = WriteOptions::new(100, Expect::Nothing).mtime_ns(Some(mtime));
        t.write(&from, &t.content(100), how).await?;
        let copied = copy(&t, Item::new(&from, &to)).await??;
        same_time(&t, copied.destination.mtime_ns, mtime)?;
        same_time(&t, t.stat(&to).await?.mtime_ns, mtime)?;
    }
    Ok(())
}

async fn results_come_in_the_order_of_the_batch(t: Ground) -> Outcome {
    let mut batch = Vec::new();
    let mut contents = Vec::new();
    for n in 0..64 {
        let from = format!("sources/{n}");
        let bytes = t.content(1000 + n);
        t.put(&from, &bytes).await?;
        batch.push(Item::new(&from, format!("copies/{}", 63 - n)));
        contents.push(bytes);
    }
    let answers = t.server_copy(&batch, Op::unbound()).await?;
    for (n, answer) in answers.into_iter().enumerate() {
        let copied = answer?;
        let sizes = (copied.source.size, copied.destination.size);
        let right = 1000 + n as u64;
        demand!(sizes == (right, right), "the result at {n} tells of {sizes:?} bytes, not {right}");
        t.holds(&format!("copies/{}", 63 - n), &contents[n]).await?;
    }
    Ok(())
}

async fn one_bad_item_does_not_spoil_the_others(t: Ground) -> Outcome {
    let bytes = t.content(1000);
    let source = t.put("source", &bytes).await?;
    t.put("taken", &t.content(10)).await?;
    t.put("file", &t.content(10)).await?;
    let batch = [
        Item::new("missing", "copy 0"),
        Item::new("source", "copy 1"),
        Item::new("source", "taken"),
        Item::new("source", "copy 3").version("nonsense"),
        Item::new("source", "copy 4").version(source.fingerprint()),
        Item::new("source", "file/beneath"),
        Item::new("source", "copy 6").expect(Expect::Version("nonsense".to_owned())),
        Item::new("source", "copy 7"),
    ];
    let answers = t.server_copy(&batch, Op::unbound()).await?;
    let kinds: [&[ErrorKind]; 8] = [
        &[ErrorKind::NotFound],
        &[],
        &[ErrorKind::AlreadyExists],
        &[ErrorKind::Precondition],
        &[],
        &[ErrorKind::InvalidPath],
        &[ErrorKind::NotFound, ErrorKind::Precondition],
        &[],
    ];
    for (n, (answer, kinds)) in answers.into_iter().zip(kinds).enumerate() {
        if kinds.is_empty() {
            answer?;
            t.holds(&format!("copy {n}"), &bytes).await?;
        } else {
            refused(&format!("item {n}"), answer, kinds)?;
        }
    }
    for n in [0, 3, 6] {
        t.absent(&format!("copy {n}")).await?;
    }
    Ok(())
}

async fn a_copy_over_a_file_is_refused(t: Ground) -> Outcome {
    for size in [1000, 1 << 20] {
        let (from, to) = (format!("source {size}"), format!("taken {size}"));
        let bytes = t.content(100);
        t.put(&from, &t.content(size)).await?;
        let was = t.put(&to, &bytes).await?;
        let answer = copy(&t, Item::new(&from, &to)).await?;
        refused("copying over a file", answer, &[ErrorKind::AlreadyExists])?;
        let now = t.stat(&to).await?.fingerprint();
        demand!(now == was.fingerprint(), "the refused copy changed the version");
        t.holds(&to, &bytes).await?;
    }
    t.put("folder/file", &t.content(10)).await?;
    let answer = copy(&t, Item::new("source 1000", "folder")).await?;
    refused_somehow("copying over a folder", answer)?;
    let found = t.stat("folder/file").await?.kind;
    demand!(found == Kind::File, "the file in the folder has become a {found:?}");
    Ok(())
}

async fn a_copy_replaces_the_expected_version_only(t: Ground) -> Outcome {
    let (bytes, theirs) = (t.content(1000), t.content(1000));
    t.put("source", &bytes).await?;
    let old = t.put("file", &t.content(10)).await?;
    let now = t.replace("file", &theirs, &old).await?;
    let onto = |version: String| Item::new("source", "file").expect(Expect::Version(version));
    let answer = copy(&t, onto(old.fingerprint())).await?;
    refused("replacing an older version", answer, &[ErrorKind::Precondition])?;
    t.holds("file", &theirs).await?;
    let copied = copy(&t, onto(now.fingerprint())).await??;
    t.holds("file", &bytes).await?;
    let found = t.stat("file").await?.fingerprint();
    demand!(copied.destination.fingerprint() == found, "it tells another version than stat");
    t.delete("file", DeleteOptions::default()).await?;
    let answer = copy(&t, onto(found)).await?;
    let kinds = [ErrorKind::NotFound, ErrorKind::Precondition];
    refused("replacing what is gone", answer, &kinds)?;
    t.absent("file").await
}

async fn a_changed_source_is_not_copied(t: Ground) -> Outcome {
    let old = t.put("source", &t.content(1000)).await?;
    t.replace("source", &t.content(1000), &old).await?;
    let answer = copy(&t, Item::new("source", "copy").version(old.fingerprint())).await?;
    refused("copying an older version", answer, &[ErrorKind::Precondition])?;
    t.absent("copy").await
}

async fn a_missing_source_is_not_found(t: Ground) -> Outcome {
    let old = t.put("gone", &t.content(1000)).await?;
    t.delete("gone", DeleteOptions::default()).await?;
    for item in [
        Item::new("gone", "copy"),
        Item::new("gone", "copy").version(old.fingerprint()),
        Item::new("never/was", "copy"),
    ] {
        refused("copying what is gone", copy(&t, item).await?, &[ErrorKind::NotFound])?;
    }
    t.absent("copy").await
}

async fn a_copy_makes_parents(t: Ground) -> Outcome {
    let bytes = t.content(1000);
    t.put("source", &bytes).await?;
    let names = ["a/1", "a/2", "a/b/c/3", "d/4", "a/b/5", "d/e/6"];
    let batch: Vec<Item> = names.iter().map(|name| Item::new("source", *name)).collect();
    for answer in t.server_copy(&batch, Op::unbound()).await? {
        answer?;
    }
    for name in names {
        t.holds(name, &bytes).await?;
    }
    let names: Vec<_> = t.entries("a").await?.into_keys().collect();
    demand!(names == ["1", "2", "b"], "\"a\" holds {names:?}");
    Ok(())
}

async fn two_copies_to_one_name_are_one(t: Ground) -> Outcome {
    let contents = [t.content(1000), t.content(2000)];
    t.put("one", &contents[0]).await?;
    t.put("two", &contents[1]).await?;
    let batch = [Item::new("one", "copy"), Item::new("two", "copy")];
    let answers = t.server_copy(&batch, Op::unbound()).await?;
    let winners: Vec<usize> = (0..2).filter(|n| answers[*n].is_ok()).collect();
    demand!(winners.len() == 1, "{} of 2 were told that they were done", winners.len());
    for answer in answers.into_iter().filter(Result::is_err) {
        refused("the other copy", answer, &[ErrorKind::AlreadyExists])?;
    }
    t.holds("copy", &contents[winners[0]]).await
}

async fn a_copy_onto_itself_changes_nothing(t: Ground) -> Outcome {
    for size in [1000, 1 << 20] {
        let name = format!("file {size}");
        let bytes = t.content(size);
        t.put(&name, &bytes).await?;
        let answer = copy(&t, Item::new(&name, &name)).await?;
        refused("copying a file onto itself", answer, &[ErrorKind::AlreadyExists])?;
        t.holds(&name, &bytes).await?;
    }
    Ok(())
}

async fn a_folder_is_not_copied_as_a_file(t: Ground) -> Outcome {
    t.put("folder/file", &t.content(10)).await?;
    let answer = copy(&t, Item::new("folder", "copy")).await?;
    refused_somehow("copying a folder", answer)?;
    t.absent("copy").await
}

async fn an_empty_batch_is_answered(t: Ground) -> Outcome {
    let answers = t.server_copy(&[], Op::unbound()).await?.len();
    demand!(answers == 0, "no items have {answers} results");
    Ok(())
}
