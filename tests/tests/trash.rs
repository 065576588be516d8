//! The trash: what is replaced can be had again, for a while.
//!
//! `SITESYNC_KILLS` (3) is how often the host is killed while it replaces files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use sitesync_tests::bench::{Bench, Run, Service};
use sitesync_tests::studio::eventually;

const LIMIT: Duration = Duration::from_secs(60);

fn list(bench: &Bench, site: &str) -> Vec<Value> {
    bench.run(&["trash", "list", "demo", "--site", site, "--json"]).ends(0).lines()
}

fn restore(bench: &Bench, more: &[&str]) -> Run {
    let mut arguments = vec!["trash", "restore", "demo"];
    arguments.extend_from_slice(more);
    bench.run(&arguments)
}

/// The files in a site's trash: their paths beneath the root, and contents.
fn in_trash(bench: &Bench, site: &str) -> Vec<(String, String)> {
    let trash = bench.path(site).join(".sitesync/trash");
    let mut found = Vec::new();
    for folder in filled(&trash) {
        files(&folder, &folder, &mut found);
    }
    found.sort();
    found
}

fn filled(trash: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(trash) else { return Vec::new() };
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

fn files(top: &Path, folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(top, &path, found);
        } else {
            let beneath = path.strip_prefix(top).expect("beneath").to_string_lossy().into_owned();
            found.push((beneath, fs::read_to_string(&path).expect("text")));
        }
    }
}

fn pair(path: &str, content: &str) -> (String, String) {
    (path.to_owned(), content.to_owned())
}

/// A hero version that was replaced at the remote site is listed, comes back, and travels.
fn a_hero_comes_back(bench: &Bench) {
    bench.write("here/sh010/hero.exr", "first");
    bench.sync().ends(0).sums(1, 0, 0);
    bench.write("here/sh010/hero.exr", "the second");
    bench.sync().ends(0).sums(1, 0, 0);
    assert_eq!(bench.read("there/sh010/hero.exr").as_deref(), Some("the second"));
    assert_eq!(in_trash(bench, "there"), [pair("sh010/hero.exr", "first")]);

    let listed = list(bench, "there");
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!((&listed[0]["path"], &listed[0]["size"]), (&"sh010/hero.exr".into(), &5.into()));
    let when = listed[0]["when"].as_str().expect("a time");
    let table = bench.run(&["trash", "list", "demo"]).ends(0).stdout;
    assert!(table.contains("sh010/hero.exr") && table.contains(when), "{table}");

    let to = ["sh010/hero.exr", "--site", "there"];
    let taken = restore(bench, &to).ends(1).stderr;
    assert!(taken.contains("a file is in its place") && taken.contains("--replace"), "{taken}");
    assert_eq!(bench.read("there/sh010/hero.exr").as_deref(), Some("the second"));
    let with = |when: &'static str| [to[0], to[1], to[2], "--replace", "--when", when];
    let wrong = restore(bench, &with("1999")).ends(1).stderr;
    assert!(wrong.contains(when), "{wrong}");
    let done = restore(bench, &with("2")).ends(0).stdout;
    assert!(done.contains("restored: sh010/hero.exr"), "{done}");
    assert_eq!(bench.read("there/sh010/hero.exr").as_deref(), Some("first"));
    assert_eq!(in_trash(bench, "there"), [pair("sh010/hero.exr", "the second")]);

    // It is new content there, and travels as such.
    bench.sync().ends(0).sums(1, 0, 0);
    assert_eq!(bench.read("here/sh010/hero.exr").as_deref(), Some("first"));
    assert_eq!(in_trash(bench, "here"), [pair("sh010/hero.exr", "the second")]);
    bench.assert_equal_sites();
    // The trash itself does not, and is nobody's business.
    let last = bench.sync().ends(0);
    last.sums(0, 0, 0);
    assert_eq!(last.sum("skipped"), 0, "{last:#?}");
}

#[test]
fn a_hero_that_was_replaced_by_a_copy_comes_back() {
    a_hero_comes_back(&Bench::new());
}

#[test]
fn a_hero_that_was_replaced_by_a_stream_comes_back() {
    a_hero_comes_back(&Bench::streamed(&[]));
}

#[test]
fn what_is_gone_comes_back_as_it_was() {
    let bench = Bench::new();
    for content in ["one", "two", "three"] {
        bench.write("here/a/b.txt", content);
        bench.sync().ends(0).sums(1, 0, 0);
    }
    bench.remove("there/a");
    assert_eq!(list(&bench, "there").len(), 2);
    let missing = restore(&bench, &["a/c.txt", "--site", "there"]).ends(1).stderr;
    assert!(missing.contains("has nothing of 'a/c.txt'"), "{missing}");
    let ids: Vec<String> = list(&bench, "there")
        .iter()
        .map(|entry| entry["id"].as_str().expect("an id").to_owned())
        .collect();
    let before = in_trash(&bench, "there");
    assert_eq!(before, [pair("a/b.txt", "one"), pair("a/b.txt", "two")]);
    let _ = restore(&bench, &["a/b.txt", "--site", "there", "--when", &ids[1]]).ends(0);
    let back = bench.read("there/a/b.txt");
    assert!(before.iter().any(|(_, content)| Some(content) == back.as_ref()), "{back:?}");
    assert_eq!(in_trash(&bench, "there").len(), 1);
    // What it left empty is gone as well.
    assert_eq!(filled(&bench.path("there/.sitesync/trash")).len(), 1);
    let no_site = restore(&bench, &["a/b.txt", "--site", "elsewhere"]).ends(2).stderr;
    assert!(no_site.contains("sites are"), "{no_site}");
}

#[test]
fn what_is_older_than_a_week_is_gone() {
    let bench = Bench::new();
    bench.write("here/old/file", "one");
    bench.sync().ends(0).sums(1, 0, 0);
    bench.write("here/old/file", "two");
    bench.sync().ends(0).sums(1, 0, 0);
    let trash = bench.path("there/.sitesync/trash");
    let filled_now = filled(&trash).pop().expect("it was filled");
    let old = trash.join("20200102T030405Z-0a1b2c3d");
    fs::rename(&filled_now, &old).expect("rename");
    // Not put there by any provider, and not ours to delete.
    fs::create_dir(trash.join("notes")).expect("a folder");
    fs::write(trash.join("notes/file"), "mine").expect("a file");
    bench.write("here/old/file", "three");
    bench.sync().ends(0).sums(1, 0, 0);
    assert!(!old.exists(), "{:?}", filled(&trash));
    assert!(trash.join("notes/file").exists());
    assert_eq!(list(&bench, "there").len(), 1);
}

#[test]
fn a_service_empties_the_trash_too() {
    let bench = Bench::new();
    bench.write("here/file", "one");
    bench.sync().ends(0).sums(1, 0, 0);
    let old = bench.path("there/.sitesync/trash/20200102T030405Z-0a1b2c3d/a");
    fs::create_dir_all(&old).expect("folders");
    fs::write(old.join("file"), "old").expect("a file");
    let _service = Service::of(bench.start(&["serve"]));
    eventually("the trash is empty", LIMIT, || {
        let empty = filled(&bench.path("there/.sitesync/trash")).is_empty();
        Ok(empty.then_some(()))
    })
    .expect("it is emptied");
}

/// Whenever the host dies: what was replaced is in the trash, what is not in the trash is in place.
#[test]
fn a_kill_while_files_are_replaced_loses_nothing() {
    const FILES: usize = 200;
    let kills: usize =
        std::env::var("SITESYNC_KILLS").map_or(3, |text| text.parse().expect("a number"));
    for streamed in [false, true] {
        let no_guard = [("sync", "max_change = 0")];
        let bench = if streamed { Bench::streamed(&no_guard) } else { Bench::with(&no_guard) };
        let content = |round: usize, n: usize| format!("{round}: {n} {}", "x".repeat(n));
        for n in 0..FILES {
            bench.write(&format!("here/d{}/{n}", n % 7), content(0, n));
        }
        bench.sync().ends(0).sums(FILES as u64, 0, 0);
        for round in 1..=kills {
            for n in 0..FILES {
                bench.write(&format!("here/d{}/{n}", n % 7), content(round, n));
            }
            let _ = fs::remove_dir_all(bench.path("there/.sitesync/trash"));
            let mut host = bench.start(&["sync", "--json"]);
            let begun = Instant::now();
            // Once so many of them are replaced: each round in another place.
            let enough = FILES * round / (kills + 1);
            while in_trash_count(&bench) < enough && begun.elapsed() < LIMIT {
                std::thread::yield_now();
            }
            host.kill().expect("kill");
            host.wait().expect("wait");

            let kept: BTreeMap<String, Vec<String>> = in_trash(&bench, "there").into_iter().fold(
                BTreeMap::new(),
                |mut all, (path, is)| {
                    all.entry(path).or_default().push(is);
                    all
                },
            );
            let mut replaced = 0;
            for n in 0..FILES {
                let path = format!("d{}/{n}", n % 7);
                let there = bench.read(&format!("there/{path}")).expect("never without a file");
                let (old, new) = (content(round - 1, n), content(round, n));
                let kept = kept.get(&path).map_or(&[][..], Vec::as_slice);
                if there == new {
                    replaced += 1;
                    assert!(kept.contains(&old), "round {round}, {path}: {kept:?}");
                } else {
                    assert_eq!(there, old, "round {round}, {path}");
                    // What was about to replace it, whole, if anything.
                    assert!(kept.iter().all(|is| *is == new), "round {round}, {path}: {kept:?}");
                }
            }
            eprintln!("streamed {streamed}, round {round}: {replaced} of {FILES} were replaced");
            let again = bench.sync().ends(0);
            assert_eq!((again.sum("failed"), again.sum("conflicts")), (0, 0), "{again:#?}");
            bench.assert_equal_sites();
        }
    }
}

fn in_trash_count(bench: &Bench) -> usize {
    fn count(folder: &Path) -> usize {
        let Ok(entries) = fs::read_dir(folder) else { return 0 };
        let entries = entries.filter_map(|entry| entry.ok());
        entries.map(|e| if e.path().is_dir() { count(&e.path()) } else { 1 }).sum()
    }
    count(&bench.path("there/.sitesync/trash"))
}

#[test]
fn a_folder_that_was_deleted_comes_back_whole() {
    let bench = Bench::with(&[("sync", "deletes = \"propagate\"")]);
    for path in ["shots/a.exr", "shots/deep/b.exr", "shots.txt", "other/c.exr"] {
        bench.write(&format!("here/{path}"), path);
    }
    bench.sync().ends(0).sums(4, 0, 0);
    fs::remove_dir_all(bench.path("here/shots")).unwrap();
    fs::remove_file(bench.path("here/shots.txt")).unwrap();
    fs::remove_file(bench.path("here/other/c.exr")).unwrap();
    let _ = bench.sync().ends(0);
    assert_eq!(in_trash(&bench, "there").len(), 4);
    let told = restore(&bench, &["shots/", "--site", "there"]).ends(0).stdout;
    assert_eq!(told.lines().count(), 2, "{told}");
    for path in ["shots/a.exr", "shots/deep/b.exr"] {
        assert_eq!(bench.read(&format!("there/{path}")).as_deref(), Some(path));
    }
    // As other commands print files, and as a person sees them.
    let absolute = bench.path("there/other/c.exr");
    let both = ["{root[work]}/shots.txt", absolute.to_str().unwrap(), "--site", "there"];
    let _ = restore(&bench, &both).ends(0);
    assert_eq!(bench.read("there/other/c.exr").as_deref(), Some("other/c.exr"));
    assert!(in_trash(&bench, "there").is_empty());
}

#[test]
fn a_whole_root_comes_back_and_what_does_not_is_summed_up() {
    let bench = Bench::new();
    let all: Vec<String> = (0..30).map(|n| format!("scenes/{n:02}.ma")).collect();
    all.iter().for_each(|path| bench.write(&format!("here/{path}"), "one"));
    bench.sync().ends(0).sums(30, 0, 0);
    let _ = bench.run(&["clear", "demo", "--site", "there", "--yes"]).ends(0);
    let restore = |more: &[&str]| {
        bench.run(&[&["trash", "restore", "demo", "--site", "there"], more].concat())
    };
    let run = restore(&["/etc/passwd"]).ends(2);
    assert!(run.stderr.contains("'/etc/passwd' is not beneath a root of project"), "{run:#?}");
    let run = restore(&["scenes/00.ma", "--when", "1999"]).ends(1);
    assert!(run.stderr.contains("scenes/00.ma"), "{run:#?}");
    let run = restore(&["{root[work]}"]).ends(0);
    assert!(run.stdout.ends_with("... and 10 more\n30 files restored\n"), "{run:#?}");
    assert_eq!(bench.read("there/scenes/29.ma").as_deref(), Some("one"));
    // Once more: other content is in their place.
    let _ = bench.run(&["sync"]);
    let _ = bench.run(&["clear", "demo", "--site", "there", "--yes", "--force"]).ends(0);
    all.iter().for_each(|path| bench.write(&format!("there/{path}"), "other"));
    let run = restore(&["scenes"]).ends(1);
    assert_eq!(run.stderr.matches("not restored: ").count(), 20, "{run:#?}");
    assert!(run.stderr.contains("... and 10 more") && run.stderr.contains("--replace"), "{run:#?}");
    let run = restore(&["scenes", "--replace", "--json"]).ends(0);
    assert_eq!((run.lines().len(), run.sum("restored")), (31, 30));
    let run = restore(&["scenes/03.ma"]).ends(1);
    assert!(run.stderr.contains("scenes/03.ma"), "{run:#?}");
}
