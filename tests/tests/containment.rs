//! A provider that misbehaves: the file fails, the provider and the site are named, everything else
//! goes on; and once it behaves, all is well.
//!
//! Each case is the real binary with the plug-in `misbehaving`, which keeps files in a folder and
//! does to some of them what its settings say. Beside its project is another one, on good disks.

use std::collections::BTreeMap;
use std::ffi::OsString;

use sitesync_tests::bench::{Bench, Run, Thing};

const FILES: [&str; 6] =
    ["top.exr", "shot/a.exr", "shot/bad.exr", "shot/z.exr", "other/b.exr", "other/deep/c.exr"];
const BAD: &str = "shot/bad.exr";

/// What comes of a fault.
#[derive(Debug, Clone, Copy)]
enum Comes {
    /// Nothing: all files arrive.
    Well,
    /// The one file fails with these words, all others arrive.
    File(&'static str),
    /// The site is offline with these words; what could travel has arrived.
    Offline(&'static str),
    /// The folder `shot` is told with these words, and files of it may be left behind.
    Folder(&'static str),
}

/// The misbehaving site is `there`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Files go to it.
    To,
    /// Files come from it.
    From,
    /// Both ends are of its instance: it copies by itself.
    Within,
}

fn content(path: &str) -> String {
    format!("the content of {path}\n").repeat(1 + path.len())
}

/// A bench with the fault in `there`, the files at their source, and a project of good disks.
fn bench(way: Way, fault: &[&str], more: &[(&str, &str)]) -> Bench {
    let bench = Bench::with(&[]);
    let library = sitesync_tests::plugin("misbehaving").expect("the fixture builds");
    bench.plug("misbehaving", &std::fs::read(library).expect("the library"));
    for folder in ["near", "far"] {
        std::fs::create_dir(bench.path(folder)).expect("a folder");
    }
    settings(&bench, way, fault, more);
    let source = if way == Way::From { "there" } else { "here" };
    for path in FILES {
        bench.write(&format!("{source}/{path}"), content(path));
        bench.write(&format!("near/{path}"), content(path));
    }
    bench
}

fn settings(bench: &Bench, way: Way, fault: &[&str], more: &[(&str, &str)]) {
    let mut lines: Vec<(&str, &str)> = vec![
        ("provider there", "misbehaving"),
        ("sites.there", "timeout = \"1s\""),
        ("sites.near", "provider = \"local_drive\"\nroot.work = \"DIR/near\""),
        ("sites.far", "provider = \"local_drive\"\nroot.work = \"DIR/far\""),
        ("projects.good", "active_site = \"near\"\nremote_site = \"far\""),
    ];
    match way {
        Way::To => {}
        Way::From => lines.push(("projects.demo", "download = \"all\"")),
        Way::Within => {
            lines.push(("sites.here", "provider = \"misbehaving\""));
            lines.push(("sites.here", "capable = true\ntimeout = \"1s\""));
            lines.push(("sites.there", "capable = true"));
        }
    }
    lines.extend(fault.iter().map(|line| ("sites.there", *line)));
    lines.extend(more);
    bench.settings(&lines);
}

fn files(bench: &Bench, site: &str) -> BTreeMap<OsString, Thing> {
    let mut tree = bench.tree(site);
    tree.retain(|_, thing| matches!(thing, Thing::File(..)));
    tree
}

/// What holds after every run, whatever went wrong.
#[track_caller]
fn assert_contained(bench: &Bench, run: &Run, what: &str) {
    assert_ne!(run.code, -1, "{what}: the host died: {run:#?}");
    assert_eq!(bench.tree("near"), bench.tree("far"), "{what}: the other project: {run:#?}");
    assert_eq!(bench.counts_of("good", "far")["synced"], FILES.len() as u64, "{what}");
    // Whatever is visible is whole.
    for site in ["here", "there"] {
        for path in files(bench, site).keys() {
            let path = path.to_string_lossy();
            let found = bench.read(&format!("{site}/{path}"));
            assert_eq!(found.as_deref(), Some(&*content(&path)), "{what}: {site}/{path} {run:#?}");
        }
    }
}

fn arrives(way: Way) -> &'static str {
    if way == Way::From { "here" } else { "there" }
}

#[track_caller]
fn check(way: Way, fault: &[&str], comes: Comes) {
    let bench = bench(way, fault, &[]);
    check_on(&bench, way, fault, comes);
}

#[track_caller]
fn check_on(bench: &Bench, way: Way, fault: &[&str], comes: Comes) {
    let what = format!("{way:?} {}", fault.join(" "));
    let started = std::time::Instant::now();
    let run = bench.sync();
    println!("{what}: {comes:?} in {:?}", started.elapsed());
    assert_contained(bench, &run, &what);
    let destination = arrives(way);
    let arrived = files(bench, destination);
    let all_but_bad = || {
        for path in FILES.iter().filter(|path| **path != BAD) {
            assert!(arrived.contains_key(&OsString::from(path)), "{what}: {path} {run:#?}");
        }
    };
    let synced = bench.counts(destination).get("synced").copied().unwrap_or_default();
    assert!(synced <= arrived.len() as u64, "{what}: {synced} synced of {arrived:?}: {run:#?}");
    let named = |reason: &str, words: &str| {
        let provider = reason.contains("misbehaving");
        assert!(provider && reason.contains(words), "{what}: {reason:?}\n{run:#?}");
        assert!(reason.len() < 3000 && !reason.contains(char::is_control), "{what}: {reason:?}");
    };
    match comes {
        Comes::Well => {
            assert_eq!(run.code, 0, "{what}: {run:#?}");
            assert_eq!(files(bench, "here"), files(bench, "there"), "{what}: {run:#?}");
        }
        Comes::File(words) => {
            assert_eq!(run.code, 1, "{what}: {run:#?}");
            let Some((state, reason)) = run.told(BAD) else { panic!("{what}: {run:#?}") };
            assert_eq!(state, "failed", "{what}: {run:#?}");
            named(&reason, words);
            all_but_bad();
            assert_eq!(run.sum("failed"), 1, "{what}: {run:#?}");
            let queue = bench.run(&["queue", "--json"]);
            let row = queue.lines().into_iter().find(|row| {
                row["path"].as_str().is_some_and(|path| path.ends_with(BAD))
            });
            named(row.expect("it is in the queue")["reason"].as_str().unwrap_or_default(), words);
        }
        Comes::Folder(words) => {
            assert_eq!(run.code, 1, "{what}: {run:#?}");
            let Some((_, reason)) = run.told("shot") else { panic!("{what}: {run:#?}") };
            named(&reason, words);
            let outside = FILES.iter().filter(|path| !path.starts_with("shot"));
            for path in outside {
                assert!(arrived.contains_key(&OsString::from(path)), "{what}: {path} {run:#?}");
            }
        }
        Comes::Offline(words) => {
            assert_eq!(run.code, 1, "{what}: {run:#?}");
            let Some(reason) = run.offline() else { panic!("{what}: {run:#?}") };
            named(&reason, words);
            assert!(run.lines().iter().any(|line| line["site"] == "there"), "{what}: {run:#?}");
        }
    }
    // Once it behaves, everything arrives, and nothing is brought twice.
    settings(bench, way, &[], &[]);
    let healed = bench.sync();
    assert_eq!(healed.code, 0, "{what}, healed: {healed:#?}");
    assert_eq!(files(bench, "here"), files(bench, "there"), "{what}, healed: {healed:#?}");
    assert_eq!(files(bench, "here").len(), FILES.len(), "{what}, healed: {healed:#?}");
    assert_eq!(bench.sync().ends(0).sum("transferred"), 0, "{what}: it does not come to rest");
}

const ONLY: &str = "only = \"bad\"";

#[test]
fn a_panic_in_any_call_of_a_write() {
    for call in ["open_write", "write", "finish"] {
        let call = format!("call = \"{call}\"");
        let fault = ["fault = \"panic\"", &call, ONLY];
        check(Way::To, &fault, Comes::File("the provider panicked: on purpose"));
    }
}

#[test]
fn a_panic_in_any_call_of_a_read() {
    for call in ["stat", "open_read", "read"] {
        let call = format!("call = \"{call}\"");
        let fault = ["fault = \"panic\"", &call, ONLY];
        check(Way::From, &fault, Comes::File("the provider panicked: on purpose"));
    }
}

#[test]
fn a_panic_in_a_call_on_a_site() {
    for call in ["connect", "open_root", "list", "next"] {
        let call = format!("call = \"{call}\"");
        let fault = ["fault = \"panic\"", &call];
        check(Way::To, &fault, Comes::Offline("the provider panicked: on purpose"));
    }
}

#[test]
fn a_panic_where_it_costs_nothing() {
    check(Way::To, &["fault = \"panic\"", "call = \"sweep\""], Comes::Well);
    check(Way::To, &["fault = \"panic\"", "call = \"changes\""], Comes::Well);
    check(Way::To, &["fault = \"panic_in_drop\""], Comes::Well);
}
