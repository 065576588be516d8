//! Listings: all that is there, once, as it is.

use std::collections::{BTreeMap, BTreeSet};

use super::{Case, case, needs};
use crate::conformance::ground::{Ground, Item, at_once, by_folder};
use crate::conformance::outcome::{Outcome, demand, fail, refused};
use crate::{DeleteOptions, ErrorKind, Expect, Kind, Metadata, OURS, Op, WriteOptions};

/// What one page of no service holds.
const ENTRIES: usize = 10_000;
/// Files that are written at once.
const AT_ONCE: usize = 16;
/// Files that are copied by one call, as the host does.
const BATCH: usize = 64;

pub(super) const CASES: &[Case] = &[
    case!(
        "list",
        a_listing_names_what_is_there,
        "Scanning is how the host learns of files, and nothing else tells it what is gone."
    ),
    case!(
        "list",
        an_empty_folder_is_complete_and_empty,
        "Only a complete listing says that what was not named is not there."
    ),
    case!(
        "list",
        a_missing_folder_is_not_found,
        "A folder that is gone and an empty one are two things: one has lost its files, or the disk."
    ),
    case!(
        "list",
        a_file_is_not_listed_as_a_folder,
        "A file that lists as an empty folder would be taken for one whose files are gone."
    ),
    case!(
        "list",
        listed_metadata_is_what_stat_tells,
        "The host compares what a listing says with what finish said, and never asks `stat` again."
    ),
    case!(
        "list",
        only_the_folder_itself_is_listed,
        "What lies deeper comes with its own folder, else it is planned twice under wrong names."
    ),
    case!(
        "list",
        what_was_deleted_is_not_listed,
        "A listing that lags behind brings deleted files back."
    ),
    case!(
        "list",
        what_was_replaced_is_listed_anew,
        "A listing with an old version hides new content from the scan."
    ),
    case!(
        "list",
        temporaries_are_not_listed_as_files,
        "What is being written must not travel: on a site only names that begin with `.sitesync` \
         are ours."
    ),
    Case {
        patience: 15,
        ..case!(
            "list",
            ten_thousand_files_are_listed_once_each,
            "A page that is lost or repeated at its edge means files that look deleted, or are \
             planned twice."
        )
    },
    case!(
        "list",
        a_recursive_listing_equals_the_walk,
        needs::recursive_list,
        "The host takes whichever is there, and both must mean the same."
    ),
    case!(
        "list",
        a_recursive_listing_completes_empty_folders,
        needs::recursive_list,
        "A folder whose last file was deleted is known to be empty only if its page says so."
    ),
    case!(
        "list",
        a_recursive_listing_is_refused_where_there_is_none,
        needs::no_recursive_list,
        "`Unsupported` makes the host walk; a listing of one level would look like all."
    ),
    case!(
        "list",
        files_that_come_do_not_break_a_listing,
        "Renders write while the host scans, and the scan of the others goes on."
    ),
    case!(
        "list",
        files_that_go_do_not_break_a_listing,
        "A file that is deleted during a scan must neither fail it nor hide others."
    ),
    case!(
        "list",
        listings_are_independent_of_each_other,
        "Two projects scan at once; a shared cursor would give each a half."
    ),
    case!(
        "list",
        a_listing_may_be_dropped_early,
        "A host that stops in the middle of a scan must not leave the provider stuck."
    ),
];

async fn a_listing_names_what_is_there(t: Ground) -> Outcome {
    for n in 0..20 {
        t.put(&format!("file {n:02}"), &t.content(n)).await?;
    }
    t.create_folder("folder").await?;
    let entries = t.entries("").await?;
    demand!(entries.len() == 21, "21 names are there, {} are listed", entries.len());
    for n in 0..20 {
        let found = entries.get(&format!("file {n:02}"));
        let right = found.is_some_and(|found| found.kind == Kind::File && found.size == n as u64);
        demand!(right, "the file of {n} bytes is listed as {found:?}");
    }
    let kind = entries.get("folder").map(|entry| entry.kind);
    demand!(kind == Some(Kind::Folder), "the folder is listed as {kind:?}");
    Ok(())
}

async fn an_empty_folder_is_complete_and_empty(t: Ground) -> Outcome {
    t.create_folder("empty").await?;
    let made = t.entries("empty").await?;
    demand!(made.is_empty(), "a new folder holds {:?}", made.keys().collect::<Vec<_>>());
    t.put("emptied/file", &t.content(10)).await?;
    t.create_folder("emptied").await?;
    t.delete("emptied/file", DeleteOptions::default()).await?;
    // Some stores have no folders but those of files.
    if t.stat("emptied").await.is_ok() {
        let left = t.entries("emptied").await?;
        demand!(left.is_empty(), "an emptied one holds {:?}", left.keys().collect::<Vec<_>>());
    }
    Ok(())
}

async fn a_missing_folder_is_not_found(t: Ground) -> Outcome {
    t.put("folder/file", &t.content(10)).await?;
    for name in ["missing", "folder/missing", "missing/missing", "folde"] {
        let answer = match t.list(name, false).await {
            Ok(listing) => listing.all().await,
            Err(error) => Err(error),
        };
        refused(&format!("listing {name:?}"), answer, &[ErrorKind::NotFound])?;
    }
    Ok(())
}

async fn a_file_is_not_listed_as_a_folder(t: Ground) -> Outcome {
    t.put("file", &t.content(10)).await?;
    let answer = match t.list("file", false).await {
        Ok(listing) => listing.all().await,
        Err(error) => Err(error),
    };
    refused("listing a file", answer, &[ErrorKind::InvalidPath, ErrorKind::NotFound])?;
    Ok(())
}

/// Demands that what is said of a file is the same in both.
fn agree(name: &str, listed: &Metadata, found: &Metadata) -> Outcome {
    let same = listed.kind == found.kind
        && (listed.kind != Kind::File
            || (listed.size == found.size
                && listed.mtime_ns == found.mtime_ns
                && listed.fingerprint() == found.fingerprint()
                && listed.checksums.len() == found.checksums.len()
                && listed.checksums.iter().all(|sum| found.checksums.contains(sum))));
    demand!(same, "of {name:?} the listing says {listed:?}, and stat {found:?}");
    Ok(())
}

async fn listed_metadata_is_what_stat_tells(t: Ground) -> Outcome {
    for n in 0..10 {
        let how = WriteOptions::new(n * 1000, Expect::Nothing)
            .mtime_ns(Some(1_600_000_000_123_456_789 + n as i64));
        t.write(&format!("file {n}"), &t.content(n as usize * 1000), how).await?;
    }
    t.create_folder("folder").await?;
    for (name, listed) in t.entries("").await? {
        agree(&name, &listed, &t.stat(&name).await?)?;
    }
    Ok(())
}

async fn only_the_folder_itself_is_listed(t: Ground) -> Outcome {
    for name in ["a/x", "a/b/y", "a/b/c/z", "d/w"] {
        t.put(name, &t.content(10)).await?;
    }
    for (folder, holds) in
        [("", &["a", "d"][..]), ("a", &["b", "x"]), ("a/b", &["c", "y"]), ("a/b/c", &["z"])]
    {
        let names: Vec<_> = t.entries(folder).await?.into_keys().collect();
        demand!(names == holds, "{folder:?} is listed with {names:?}, and holds {holds:?}");
    }
    Ok(())
}

async fn what_was_deleted_is_not_listed(t: Ground) -> Outcome {
    for n in 0..6 {
        t.put(&format!("{n}"), &t.content(10)).await?;
    }
    for n in (0..6).step_by(2) {
        t.delete(&format!("{n}"), DeleteOptions::default()).await?;
        let names: Vec<_> = t.entries("").await?.into_keys().collect();
        demand!(!names.contains(&format!("{n}")), "after \"{n}\" was deleted: {names:?}");
    }
    let names: Vec<_> = t.entries("").await?.into_keys().collect();
    demand!(names == ["1", "3", "5"], "of 1, 3 and 5 are listed {names:?}");
    Ok(())
}

async fn what_was_replaced_is_listed_anew(t: Ground) -> Outcome {
    let mut was = t.put("file", &t.content(1000)).await?;
    for size in [1000, 2000, 0] {
        was = t.replace("file", &t.content(size), &was).await?;
        let Some(listed) = t.entries("").await?.remove("file") else {
            return fail("after it was replaced it is not listed");
        };
        agree("file", &listed, &was)?;
    }
    Ok(())
}

async fn temporaries_are_not_listed_as_files(t: Ground) -> Outcome {
    t.put("folder/file", &t.content(10)).await?;
    let bytes = t.content(2 << 20);
    let mut open = Vec::new();
    for name in ["folder/one", "folder/two", "folder/new/three"] {
        let how = WriteOptions::new(bytes.len() as u64, Expect::Nothing);
        let mut writing = t.open_write(name, how).await?;
        writing.write(&bytes.slice(..1 << 20)).await?;
        writing.checkpoint().await?;
        open.push(writing);
    }
    let look = async |when: &str| -> Outcome {
        for (folder, names) in tree(&t, "").await? {
            for name in names.keys() {
                let known = matches!(name.as_str(), "folder" | "file" | "new");
                let ours = name.starts_with(OURS);
                demand!(known || ours, "{when} {name:?} is listed in {folder:?}");
            }
        }
        Ok(())
    };
    look("while files are written").await?;
    drop(open);
    look("after writers were dropped").await
}

/// All folders beneath a folder and it, walked one by one.
async fn tree(t: &Ground, top: &str) -> Outcome<BTreeMap<String, BTreeMap<String, Metadata>>> {
    let mut tree = BTreeMap::new();
    let mut todo = vec![top.to_owned()];
    while let Some(folder) = todo.pop() {
        let entries = t.entries(&folder).await?;
        for (name, entry) in &entries {
            if entry.kind == Kind::Folder {
                todo.push(crate::join(&folder, name));
            }
        }
        tree.insert(t.path(&folder), entries);
        demand!(tree.len() <= 10_000, "the walk has no end: it is at {folder:?}");
    }
    Ok(tree)
}

/// Fills `folder` with so many files, as quickly as the root can.
async fn fill(t: &Ground, folder: &str, files: usize) -> Outcome {
    let answers: Vec<Outcome> = if t.info().can.server_copy {
        let source = format!("source of {folder}");
        t.put(&source, &t.content(20)).await?;
        at_once(AT_ONCE, |lane| {
            let (t, folder, source) = (t.clone(), folder.to_owned(), source.clone());
            async move {
                for from in (lane * BATCH..files).step_by(AT_ONCE * BATCH) {
                    let batch: Vec<Item> = (from..files.min(from + BATCH))
                        .map(|n| Item::new(&source, format!("{folder}/file {n:05}")))
                        .collect();
                    for copied in t.server_copy(&batch, Op::unbound()).await? {
                        copied?;
                    }
                }
                Ok(())
            }
        })
        .await?
    } else {
        at_once(AT_ONCE, |lane| {
            let (t, folder) = (t.clone(), folder.to_owned());
            async move {
                for n in (lane..files).step_by(AT_ONCE) {
                    t.put(&format!("{folder}/file {n:05}"), &t.content(20)).await?;
                }
                Ok(())
            }
        })
        .await?
    };
    answers.into_iter().collect()
}

async fn ten_thousand_files_are_listed_once_each(t: Ground) -> Outcome {
    fill(&t, "many", ENTRIES).await?;
    // No name twice, and complete: `entries` demands it.
    let entries = t.entries("many").await?;
    let missing: Vec<_> =
        (0..ENTRIES).filter(|n| !entries.contains_key(&format!("file {n:05}"))).collect();
    demand!(
        missing.is_empty(),
        "{} are missing: the first is {:?}",
        missing.len(),
        missing.first()
    );
    demand!(entries.len() == ENTRIES, "{} are listed of {ENTRIES}", entries.len());
    for n in (0..ENTRIES).step_by(ENTRIES / 50) {
        let name = format!("file {n:05}");
        if let Some(listed) = entries.get(&name) {
            agree(&name, listed, &t.stat(&format!("many/{name}")).await?)?;
        }
    }
    Ok(())
}

async fn a_recursive_listing_equals_the_walk(t: Ground) -> Outcome {
    for a in 0..4 {
        for b in 0..4 {
            for n in 0..=a {
                t.put(&format!("top/{a}/{b}/{n}"), &t.content(10)).await?;
            }
        }
    }
    t.put("top/file", &t.content(10)).await?;
    t.put("topmost", &t.content(10)).await?;
    t.create_folder("top/empty/deeper").await?;
    let walked = tree(&t, "top").await?;
    let listed = by_folder(t.list("top", true).await?.all().await?)?;
    for (folder, names) in &walked {
        let Some(others) = listed.get(folder) else {
            return fail(format!("{folder:?} has no page in the recursive listing"));
        };
        let (one, other): (BTreeSet<_>, BTreeSet<_>) =
            (names.keys().collect(), others.keys().collect());
        demand!(one == other, "{folder:?} holds {one:?}, and recursively {other:?}");
        for (name, found) in names {
            if let Some(listed) = others.get(name) {
                agree(name, listed, found)?;
            }
        }
    }
    let more: Vec<_> = listed.keys().filter(|folder| !walked.contains_key(*folder)).collect();
    demand!(more.is_empty(), "the recursive listing has {more:?} as well");
    Ok(())
}

async fn a_recursive_listing_completes_empty_folders(t: Ground) -> Outcome {
    t.create_folder("empty").await?;
    let listed = by_folder(t.list("empty", true).await?.all().await?)?;
    let pages: Vec<_> =
        listed.iter().map(|(folder, names)| (folder.clone(), names.len())).collect();
    demand!(pages == [(t.path("empty"), 0)], "an empty folder has the pages {pages:?}");
    let missing = match t.list("missing", true).await {
        Ok(listing) => listing.all().await,
        Err(error) => Err(error),
    };
    refused("listing a missing folder", missing, &[ErrorKind::NotFound])?;
    Ok(())
}

async fn a_recursive_listing_is_refused_where_there_is_none(t: Ground) -> Outcome {
    t.put("folder/file", &t.content(10)).await?;
    let answer = match t.list("", true).await {
        Ok(listing) => listing.all().await,
        Err(error) => Err(error),
    };
    refused("listing recursively", answer, &[ErrorKind::Unsupported])?;
    Ok(())
}

/// Demands that files `old 0` to `old {n}` are among these.
fn all_old(names: &BTreeMap<String, Metadata>, n: usize) -> Outcome {
    for n in 0..n {
        demand!(names.contains_key(&format!("old {n}")), "\"old {n}\" is there, and not listed");
    }
    Ok(())
}

async fn files_that_come_do_not_break_a_listing(t: Ground) -> Outcome {
    for n in 0..50 {
        t.put(&format!("folder/old {n}"), &t.content(10)).await?;
    }
    let writer = async {
        for n in 0..50 {
            t.put(&format!("folder/new {n}"), &t.content(10)).await?;
        }
        Outcome::Ok(())
    };
    let lister = async {
        for _ in 0..10 {
            all_old(&t.entries("folder").await?, 50)?;
        }
        Outcome::Ok(())
    };
    tokio::try_join!(writer, lister)?;
    let there = t.entries("folder").await?.len();
    demand!(there == 100, "100 files are there, {there} are listed");
    Ok(())
}

async fn files_that_go_do_not_break_a_listing(t: Ground) -> Outcome {
    for n in 0..50 {
        t.put(&format!("folder/old {n}"), &t.content(10)).await?;
        t.put(&format!("folder/new {n}"), &t.content(10)).await?;
    }
    let deleter = async {
        for n in 0..50 {
            t.delete(&format!("folder/new {n}"), DeleteOptions::default()).await?;
        }
        Outcome::Ok(())
    };
    let lister = async {
        for _ in 0..10 {
            all_old(&t.entries("folder").await?, 50)?;
        }
        Outcome::Ok(())
    };
    tokio::try_join!(deleter, lister)?;
    let there = t.entries("folder").await?.len();
    demand!(there == 50, "50 files are left, {there} are listed");
    Ok(())
}

async fn listings_are_independent_of_each_other(t: Ground) -> Outcome {
    fill(&t, "one", 300).await?;
    fill(&t, "two", 200).await?;
    let answers: Vec<Outcome> = at_once(8, |n| {
        let t = t.clone();
        async move {
            let (folder, holds) = if n % 2 == 0 { ("one", 300) } else { ("two", 200) };
            let names = t.entries(folder).await?.len();
            demand!(names == holds, "{folder:?} holds {holds} files, {names} are listed");
            Ok(())
        }
    })
    .await?;
    answers.into_iter().collect()
}

async fn a_listing_may_be_dropped_early(t: Ground) -> Outcome {
    fill(&t, "many", 300).await?;
    for _ in 0..20 {
        let mut listing = t.list("many", false).await?;
        demand!(listing.next().await?.is_some(), "the listing of 300 files has no page");
        drop(t.list("many", false).await?);
    }
    let names = t.entries("many").await?.len();
    demand!(names == 300, "of 300 files {names} are listed");
    Ok(())
}
