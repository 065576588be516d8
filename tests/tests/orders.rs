//! Asking for files, waiting for them, and asking why they are not there: with a service and without.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::time::Duration;

use serde_json::{Value, json};
use sitesync_tests::bench::{Bench, Run, Service, until};

/// The remote site has a published sequence; it comes to the active site on request only.
fn published_there() -> Bench {
    let bench = Bench::with(&[("sync", "retry_count = 1")]);
    for frame in 1001..=1004 {
        let path = format!("there/shots/sh010/publish/render/beauty/v001/b.{frame}.exr");
        bench.write(&path, format!("frame {frame}"));
    }
    bench.write("there/notes/todo.txt", "buy milk");
    bench.sync().ends(0).sums(0, 0, 0);
    bench
}

const BEAUTY: &str = "shots/sh010/beauty/v001/exr";

fn frames_here(bench: &Bench) -> usize {
    let path = |frame: &u32| format!("here/shots/sh010/publish/render/beauty/v001/b.{frame}.exr");
    (1001..=1004).filter(|frame| bench.read(&path(frame)).is_some()).count()
}

fn why(bench: &Bench, file: &str, site: &str) -> Value {
    let told = bench.run(&["why", "demo", file, "--site", site, "--json"]).ends(0);
    told.last()["sites"][0].clone()
}

fn says(site: &Value, key: &str, words: &str) {
    let text = site[key].as_str().unwrap_or_default();
    assert!(text.contains(words), "{key}: {text:?} does not say {words:?}");
}

#[test]
fn what_is_asked_for_comes_and_nothing_else() {
    let bench = published_there();
    let _ = bench.run(&["request", "demo", BEAUTY, "--site", "here"]).ends(0);
    bench.sync().ends(0).sums(4, 0, 0);
    assert_eq!(frames_here(&bench), 4);
    assert_eq!(bench.read("here/notes/todo.txt"), None);
    // What comes later belongs to it too.
    bench.write("there/shots/sh010/publish/render/beauty/v001/b.1005.exr", "frame 1005");
    bench.sync().ends(0).sums(1, 0, 0);
}

#[test]
fn a_service_brings_what_is_asked_for_at_once() {
    let bench = published_there();
    let service = bench.serve();
    let asked = bench.run(&["request", "demo", BEAUTY, "--site", "here", "--json"]).ends(0);
    assert_eq!(asked.last()["files"], 4);
    until("the frames come", || frames_here(&bench) == 4);
    drop(service);
}

#[test]
fn ensure_waits_with_a_service_and_works_without_one() {
    let bench = published_there();
    let ensured = ["ensure", "demo", BEAUTY, "--site", "here", "--wait", "60s"];
    let _ = bench.run(&ensured).ends(0);
    assert_eq!(frames_here(&bench), 4);
    let service = bench.serve();
    let todo = ["ensure", "demo", "notes/todo.txt", "--site", "here", "--wait", "60s"];
    let _ = bench.run(&todo).ends(0);
    assert_eq!(bench.read("here/notes/todo.txt").as_deref(), Some("buy milk"));
    drop(service);
}

#[test]
fn ensure_ends_with_4_when_it_takes_too_long() {
    let bench = published_there();
    let _ = bench.run(&["pause", "demo"]).ends(0);
    let service = bench.serve();
    let ensured = ["ensure", "demo", BEAUTY, "--site", "here", "--wait", "1s"];
    let late = bench.run(&ensured);
    assert_eq!(late.code, 4, "{}", late.stderr);
    says(&why(&bench, BEAUTY, "here"), "waits", "the project is paused since");
    let _ = bench.run(&["resume", "demo"]).ends(0);
    until("the frames come", || frames_here(&bench) == 4);
    drop(service);
}

#[test]
fn ensure_ends_with_1_when_a_file_can_not_come() {
    let bench = published_there();
    // A folder stands where the file is to be.
    std::fs::create_dir_all(bench.path("here/notes/todo.txt/in the way")).unwrap();
    let todo = ["ensure", "demo", "notes/todo.txt", "--site", "here", "--wait", "60s"];
    let failed = bench.run(&todo);
    assert_eq!(failed.code, 1, "{}", failed.stderr);
    assert!(failed.stderr.contains("notes/todo.txt"), "{}", failed.stderr);
    says(&why(&bench, "notes/todo.txt", "here"), "standing", "given up");
}

#[test]
fn ensure_looks_at_the_site_before_it_says_that_all_is_there() {
    let bench = published_there();
    let ensured = ["ensure", "demo", BEAUTY, "--site", "here", "--wait", "60s"];
    let _ = bench.run(&ensured).ends(0);
    // Nobody has told the catalog, and nothing works.
    let _ = bench.run(&["pause"]).ends(0);
    bench.remove("here/shots/sh010/publish/render/beauty/v001/b.1002.exr");
    let short = ["ensure", "demo", BEAUTY, "--site", "here", "--wait", "3s"];
    let late = bench.run(&short);
    assert_eq!(late.code, 4, "{}", late.stderr);
    let _ = bench.run(&["resume"]).ends(0);
    let _ = bench.run(&ensured).ends(0);
    assert_eq!(frames_here(&bench), 4);
}

#[test]
fn ensure_ends_with_1_when_a_file_is_forgotten() {
    let bench = published_there();
    let _ = bench.run(&["pause", "demo"]).ends(0);
    let service = bench.serve();
    let ensured = ["ensure", "demo", BEAUTY, "--site", "here", "--wait", "60s"];
    let mut caller = waiting(&bench, BEAUTY);
    heard(&mut caller, |line| line["working"]["of"] == 4);
    let _ = bench.run(&["remove", "demo", BEAUTY, "--site", "there", "--force"]).ends(0);
    let answer = heard(&mut caller, |line| line["working"].is_null());
    assert_eq!(answer["done"]["state"], "failed", "{answer}");
    assert_eq!(bench.run(&ensured).code, 2, "nobody knows them any more");
    drop(service);
}

#[test]
fn many_who_wait_keep_nobody_out() {
    let bench = published_there();
    let _ = bench.run(&["pause", "demo"]).ends(0);
    let service = bench.serve();
    let mut callers: Vec<_> = (0..300).map(|_| waiting(&bench, BEAUTY)).collect();
    for caller in &mut callers {
        heard(caller, |line| !line["working"].is_null());
    }
    let _ = bench.run(&["pause", "--site", "there"]).ends(0);
    let _ = bench.run(&["resume", "--site", "there"]).ends(0);
    let _ = bench.run(&["resume", "demo"]).ends(0);
    for caller in &mut callers {
        let done = heard(caller, |line| line["working"].is_null());
        assert_eq!(done["done"]["there"], 4, "{done}");
    }
    drop(service);
}

/// Somebody who waits at the door of a service for files to come.
fn waiting(bench: &Bench, what: &str) -> BufReader<UnixStream> {
    let mut caller = UnixStream::connect(bench.path("state/door")).unwrap();
    caller.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let order =
        json!({"order": "ensure", "project": "demo", "what": [what], "site": "here", "wait": 600});
    caller.write_all(format!("{order}\n").as_bytes()).unwrap();
    BufReader::new(caller)
}

/// Listens until the service says something.
fn heard(caller: &mut BufReader<UnixStream>, what: impl Fn(&Value) -> bool) -> Value {
    loop {
        let mut line = String::new();
        assert!(caller.read_line(&mut line).unwrap() > 0, "the service left");
        let line = serde_json::from_str(&line).unwrap();
        if what(&line) {
            return line;
        }
    }
}

#[test]
fn why_tells_what_a_file_waits_for() {
    let bench = published_there();
    let here = why(&bench, "notes/todo.txt", "here");
    says(&here, "standing", "nobody asked for it");
    says(&here, "help", "sitesync request demo");
    says(&why(&bench, "notes/todo.txt", "there"), "standing", "there");
    let _ = bench.run(&["request", "demo", "notes/todo.txt", "--site", "here"]).ends(0);
    let here = why(&bench, "notes/todo.txt", "here");
    says(&here, "standing", "queued, from 'there'");
    says(&here, "rule", "somebody asked for it");
    says(&here, "waits", "nothing runs");
    let _ = bench.run(&["remove", "demo", "notes/todo.txt", "--site", "here"]);
    says(&why(&bench, "notes/todo.txt", "here"), "standing", "nothing brings it back by itself");
}

#[test]
fn a_conflict_is_resolved_as_a_person_says() {
    for (keep, content) in [("here", "ours"), ("there", "theirs")] {
        let bench = Bench::new();
        bench.write("here/a/plate.exr", "ours");
        bench.write("there/a/plate.exr", "theirs");
        bench.sync().ends(1).sums(0, 0, 1);
        let conflict = bench.run(&["why", "demo", "a/plate.exr"]).ends(0);
        assert!(conflict.stdout.contains("--keep"), "{}", conflict.stdout);
        let _ = bench.run(&["resolve", "demo", "a/plate.exr", "--keep", keep]).ends(0);
        bench.sync().ends(0).sums(1, 0, 0);
        for site in ["here", "there"] {
            let there = bench.read(&format!("{site}/a/plate.exr"));
            assert_eq!(there.as_deref(), Some(content), "{keep} is kept, at {site}");
        }
        let again: Run = bench.run(&["resolve", "demo", "a/plate.exr", "--keep", keep]);
        assert_eq!(again.code, 1, "it is in no conflict any more");
    }
}

#[test]
fn what_is_to_be_kept_must_still_be_there() {
    let bench = Bench::new();
    bench.write("here/a/plate.exr", "ours");
    bench.write("there/a/plate.exr", "theirs");
    bench.sync().ends(1).sums(0, 0, 1);
    bench.remove("here/a/plate.exr");
    let keep = ["resolve", "demo", "a/plate.exr", "--keep", "here"];
    let run = bench.run(&keep).ends(1);
    assert!(
        run.stderr.contains("'a/plate.exr' has changed at 'here' since, or is gone"),
        "{run:#?}"
    );
    assert_eq!(bench.read("there/a/plate.exr").as_deref(), Some("theirs"));
}

#[test]
fn what_was_damaged_behind_our_back_is_sent_again() {
    let bench = Bench::new();
    bench.write("here/a/b.exr", "whole");
    bench.sync().ends(0).sums(1, 0, 0);
    bench.write("there/a/b.exr", "torn");
    let reset = ["reset", "demo", "a/b.exr", "--site", "there", "--json"];
    assert_eq!(bench.run(&reset).ends(0).last()["files"], 1);
    bench.sync().ends(0).sums(1, 0, 0);
    assert_eq!(bench.read("there/a/b.exr").as_deref(), Some("whole"));
    assert_eq!(bench.read("here/a/b.exr").as_deref(), Some("whole"));
}

#[test]
fn what_was_given_up_is_sent_again() {
    let bench = Bench::new();
    bench.write("here/a/b.exr", "b");
    bench.write("there/a", "a file where a folder is to be");
    bench.sync().ends(1).sums(0, 1, 0);
    bench.remove("there/a");
    let reset = ["reset", "demo", "--site", "there", "--state", "failed", "--json"];
    assert_eq!(bench.run(&reset).ends(0).last()["files"], 1);
    let ensured = ["ensure", "demo", "a/b.exr", "--site", "there", "--wait", "60s"];
    let _ = bench.run(&ensured).ends(0);
    // What is there is sent again where a site is named.
    let again = bench.run(&["reset", "demo", "a/b.exr", "--site", "there", "--json"]).ends(0);
    assert_eq!(again.last()["files"], 1);
    bench.sync().ends(0).sums(1, 0, 0);
}

#[test]
fn what_is_urgent_comes_first() {
    let bench = published_there();
    let _ = bench.run(&["request", "demo", "**", "--site", "here"]).ends(0);
    let _ = bench.run(&["priority", "demo", "notes/todo.txt", "--to", "900"]).ends(0);
    let first = bench.run(&["queue", "demo", "--limit", "1", "--json"]).ends(0).last();
    assert_eq!(first["path"], "{root[work]}/notes/todo.txt");
}

#[test]
fn what_does_not_exist_is_told_by_name() {
    let bench = published_there();
    let wrong = bench.run(&["request", "demo", "shots/**", "no/such/one", "--site", "here"]);
    assert_ne!(wrong.code, 0);
    assert!(wrong.stderr.contains("no/such/one"), "{}", wrong.stderr);
    let queue = bench.run(&["queue", "demo", "--json"]).ends(0);
    assert!(queue.lines().is_empty(), "nothing was done: {}", queue.stdout);
    let site = bench.run(&["request", "demo", "shots/**", "--site", "hare"]);
    assert_eq!(site.code, 2);
    assert!(site.stderr.contains("did you mean 'here'?"), "{}", site.stderr);
}

#[test]
fn orders_at_once_take_turns() {
    let bench = published_there();
    let ask = |frame: u32| {
        let path = format!("shots/sh010/publish/render/beauty/v001/b.{frame}.exr");
        bench.start(&["request", "demo", &path, "--site", "here"])
    };
    // Without a service; then one that holds the state folder, with its door still to be opened.
    let asked: Vec<Child> = [1001, 1002, 1003].map(ask).into();
    asked.into_iter().for_each(|mut one| assert!(one.wait().unwrap().success()));
    let service = Service::of(bench.start(&["serve"]));
    assert!(ask(1004).wait().unwrap().success());
    until("the frames come", || frames_here(&bench) == 4);
    drop(service);
}

#[test]
fn nothing_is_called_there_that_is_in_conflict() {
    let bench = Bench::new();
    bench.write("here/a.exr", "mine");
    bench.write("there/a.exr", "theirs!");
    bench.sync().ends(1).sums(0, 0, 1);
    for site in ["here", "there"] {
        let ensured = ["ensure", "demo", "a.exr", "--site", site, "--wait", "60s", "--json"];
        let run = bench.run(&ensured).ends(1);
        assert_eq!(run.last()["state"], "failed", "{run:#?}");
        assert!(run.stderr.contains("have different content"), "{run:#?}");
        let _ = bench.run(&["request", "demo", "a.exr", "--site", site]).ends(1);
    }
}

#[test]
fn ensure_waits_for_the_next_service_as_well() {
    let bench = published_there();
    let _ = bench.run(&["pause", "demo"]).ends(0);
    let service = bench.serve();
    let mut ensured = bench.start(&["ensure", "demo", BEAUTY, "--site", "here", "--wait", "100s"]);
    let mut said = BufReader::new(ensured.stderr.take().unwrap());
    let mut heard = |words: &str| {
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "it ended without {words:?}");
        }
    };
    heard("is paused since");
    // Killed, and not even able to say so.
    drop(service);
    heard("waiting for the next one");
    let service = bench.serve();
    let _ = bench.run(&["resume", "demo"]).ends(0);
    assert_eq!(ensured.wait().unwrap().code(), Some(0));
    assert_eq!(frames_here(&bench), 4);
    drop(service);
}
