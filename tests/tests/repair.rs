//! What a pass would do is told without doing it; a catalog that is lost is made anew without copying
//! anything.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use sitesync_tests::bench::{Bench, until};

type Stamps = BTreeMap<OsString, (u64, i64, i64)>;

/// Everything beneath a folder: an inode and a time tell whether it was written. In sitesync's own
/// folder only files count.
fn stamps(folder: &Path) -> Stamps {
    let mut found = BTreeMap::new();
    let mut left = vec![folder.to_owned()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let about = path.symlink_metadata().expect("metadata");
            if about.is_dir() {
                left.push(path.clone());
                if path.to_string_lossy().contains("/.sitesync") {
                    continue;
                }
            }
            let stamp = (about.ino(), about.mtime(), about.mtime_nsec());
            found.insert(path.into_os_string(), stamp);
        }
    }
    found
}

/// Asserts that nothing was written since.
#[track_caller]
fn assert_untouched(bench: &Bench, before: &Stamps) {
    let after = both(bench);
    let changed = |path: &&OsString| before.get(*path) != after.get(*path);
    let written: Vec<_> = before.keys().chain(after.keys()).filter(changed).collect();
    assert!(written.is_empty(), "something was written at a site: {written:?}");
}

fn both(bench: &Bench) -> Stamps {
    let mut stamped = stamps(&bench.path("here"));
    stamped.extend(stamps(&bench.path("there")));
    stamped
}

/// Files of a project at both sites, and one that only the remote site has.
fn filled() -> Bench {
    let bench = Bench::new();
    for shot in 0..20 {
        for frame in 0..10 {
            let path = format!("here/shots/sh{shot:03}/plate.{frame:04}.exr");
            bench.write(&path, format!("{shot} {frame} {}", "x".repeat(200)));
        }
    }
    bench.write("there/from/elsewhere.txt", "elsewhere");
    bench.sync().ends(0).sums(200, 0, 0);
    // What is lost of a catalog is not to be in its log still, which a process may leave as it ends.
    until("the log is gone", || {
        let left = bench.path("state/catalog.db-wal").exists();
        if left {
            bench.sync().ends(0).sums(0, 0, 0);
        }
        !left
    });
    bench
}

fn catalog(bench: &Bench) -> std::path::PathBuf {
    bench.path("state/catalog.db")
}

/// Repairs what was done to the catalog: everything is synced then, and nothing was written.
fn repaired(bench: &Bench) -> String {
    let before = both(bench);
    let run = bench.run(&["doctor", "--repair"]).ends(0);
    assert_untouched(bench, &before);
    for site in ["here", "there"] {
        let synced = bench.counts(site).get("synced").copied();
        assert!(synced >= Some(200), "{site}: {:?}", bench.counts(site));
    }
    bench.sync().ends(0).sums(0, 0, 0);
    assert_untouched(bench, &before);
    let sound = bench.run(&["doctor", "--repair"]).ends(0);
    assert!(sound.stderr.contains("nothing to repair"), "{sound:#?}");
    run.stderr
}

fn set_aside(bench: &Bench) -> Vec<String> {
    let entries = fs::read_dir(bench.path("state")).expect("the state folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().unwrap());
    let log = |name: &String| name.ends_with("-wal") || name.ends_with("-shm");
    names.filter(|name| name.starts_with("catalog.db.damaged-") && !log(name)).collect()
}

#[test]
fn a_catalog_with_garbage_in_it_is_made_anew() {
    let bench = filled();
    let mut content = fs::read(catalog(&bench)).expect("the catalog");
    let (from, to) = (content.len() / 4, content.len() * 3 / 4);
    content[from..to].fill(0xa5);
    fs::write(catalog(&bench), &content).expect("garbage");
    let told = repaired(&bench);
    assert!(told.contains("damaged"), "{told}");
    let aside = set_aside(&bench);
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert_eq!(fs::read(bench.path("state").join(&aside[0])).unwrap(), content);
}

#[test]
fn a_catalog_that_was_cut_off_is_made_anew() {
    let bench = filled();
    let whole = fs::metadata(catalog(&bench)).expect("the catalog").len();
    let file = fs::OpenOptions::new().write(true).open(catalog(&bench)).unwrap();
    file.set_len(whole / 2 + 100).expect("cut");
    repaired(&bench);
    assert_eq!(set_aside(&bench).len(), 1);
}

#[test]
fn a_catalog_that_is_gone_is_made_anew() {
    let bench = filled();
    bench.remove("state/catalog.db");
    let told = repaired(&bench);
    assert!(told.contains("there is no catalog"), "{told}");
    assert!(set_aside(&bench).is_empty());
}

#[test]
fn what_differs_is_not_overwritten_when_the_catalog_is_gone() {
    let bench = filled();
    bench.write("here/shots/sh001/plate.0001.exr", "newer, and nobody knows any more");
    bench.remove("state/catalog.db");
    let there = bench.bytes("there/shots/sh001/plate.0001.exr");
    let run = bench.run(&["doctor", "--repair", "--json"]).ends(1);
    assert_eq!(run.sum("conflicts"), 1, "{run:#?}");
    assert_eq!(bench.bytes("there/shots/sh001/plate.0001.exr"), there);
}

#[test]
fn a_catalog_of_a_newer_sitesync_is_left_alone() {
    let bench = filled();
    // `user_version` is the big-endian number at byte 60 of the file.
    let mut content = fs::read(catalog(&bench)).expect("the catalog");
    content[60..64].copy_from_slice(&99_u32.to_be_bytes());
    fs::write(catalog(&bench), &content).expect("a newer one");
    for command in [
        &["doctor", "--repair"][..],
        &["sync"],
        &["sync", "--dry-run"],
        &["serve"],
        &["status"],
        &["request", "demo", "shots/**", "--site", "there"],
        &["remove", "demo", "shots/**", "--site", "there"],
        &["pause"],
    ] {
        let run = bench.run(command).ends(3);
        let told = run.stderr.contains("newer sitesync (schema 99");
        assert!(told && run.stderr.contains("nothing was changed"), "{run:#?}");
    }
    assert!(fs::read(catalog(&bench)).unwrap() == content);
}

#[test]
fn a_repair_waits_for_nobody() {
    let bench = filled();
    let state = bench.path("state/lock");
    let lock = fs::OpenOptions::new().write(true).open(state).expect("the lock");
    lock.lock().expect("it is free");
    let run = bench.run(&["doctor", "--repair"]).ends(3);
    assert!(run.stderr.contains("works on the state folder"), "{run:#?}");
}

#[test]
fn a_rehearsal_changes_nothing() {
    let bench = Bench::streamed(&[("sites.there", "bandwidth = \"1 KiB/s\"")]);
    bench.write("here/sh010/new.exr", "x".repeat(4096));
    bench.write("here/sh010/same.exr", "the same");
    bench.write("there/sh010/same.exr", "the same");
    bench.write("there/sh020/theirs.exr", "theirs");
    let before = both(&bench);
    let rehearsed = |files: u64, compared: u64| {
        let run = bench.run(&["sync", "--dry-run", "--json"]).ends(0);
        assert_eq!((run.sum("files"), run.sum("compared")), (files, compared), "{run:#?}");
        run
    };
    let run = rehearsed(1, 1);
    // Which end is compared with which depends on what is looked at first.
    let ways = run.last()["ways"].as_array().cloned().unwrap_or_default();
    let way = ways.into_iter().find(|way| way["files"] == 1).expect("a way");
    assert_eq!((&way["from"], &way["to"]), (&"here".into(), &"there".into()), "{way:#}");
    assert_eq!((&way["bytes"], &way["seconds"]), (&4096.into(), &4.0.into()), "{way:#}");
    let new = run.lines().into_iter().find(|line| line["path"] == "{root[work]}/sh010/new.exr");
    assert_eq!(new.expect("it is named")["rule"], "upload = \"all\"");
    let table = bench.run(&["sync", "--dry-run"]).ends(0).stdout;
    assert!(table.contains("'here' -> 'there': 1 file (4 KiB)"), "{table}");
    assert!(
        table.contains("0 requests, about 4s") && table.contains("nothing was changed"),
        "{table}"
    );

    // No marker, no catalog: as if nobody had been there.
    assert_untouched(&bench, &before);
    assert!(!catalog(&bench).exists());

    // It tells what is done then.
    let run = bench.sync().ends(0);
    assert_eq!((run.sum("transferred"), run.sum("adopted")), (1, 1), "{run:#?}");
    let _ = rehearsed(0, 0);
    bench.write("here/sh010/new.exr", "other content");
    let known = stamps(&bench.path("state"));
    let run = rehearsed(1, 0);
    assert_eq!(run.last()["ways"][0]["replaced"], 1, "{run:#?}");
    let known_then = stamps(&bench.path("state"));
    let of = |all: &Stamps| all[catalog(&bench).as_os_str()];
    assert_eq!(of(&known_then), of(&known), "the catalog was changed");
    assert_eq!(bench.read("there/sh010/new.exr").map(|text| text.len()), Some(4096));
    bench.sync().ends(0).sums(1, 0, 0);
}

#[test]
fn a_rehearsal_says_which_site_is_offline() {
    let bench = Bench::new();
    bench.write("here/a.txt", "a");
    bench.remove("there");
    let run = bench.run(&["sync", "--dry-run", "--json"]).ends(1);
    assert!(run.offline().is_some(), "{run:#?}");
}

/// Nothing bounds what a storage copies itself; what a pause holds is told.
#[test]
fn a_rehearsal_tells_of_limits_that_count_and_of_pauses() {
    let bench = Bench::with(&[("sites.there", "bandwidth = \"1 KiB/s\"")]);
    bench.write("here/a.txt", "x".repeat(4096));
    let table = bench.run(&["sync", "--dry-run"]).ends(0).stdout;
    assert!(table.contains("(4 KiB), 0 requests\n"), "{table}");
    let _ = bench.run(&["publish", "demo", "here/a.txt"]).ends(0);
    let _ = bench.run(&["pause", "--site", "there"]).ends(0);
    let table = bench.run(&["sync", "--dry-run"]).ends(0).stdout;
    assert!(table.contains("1 of them held back"), "{table}");
    assert!(table.contains("`sitesync resume --site there` lets it go on"), "{table}");
    let json = bench.run(&["sync", "--dry-run", "--json"]).ends(0).last();
    assert_eq!((&json["ways"][0]["requests"], &json["ways"][0]["held"]), (&0.into(), &1.into()));
    assert_eq!(json["pauses"][0]["site"], "there");
}
