//! How people name what they ask for: by paths and keys, many at once, at a site under another name;
//! and what pauses make of it.

use std::io::Write;
use std::process::Stdio;

use serde_json::Value;
use sitesync_tests::bench::{Bench, Lines, Run, until, wait};

/// A bench on whose remote site is what nobody at the other has asked for yet.
fn filled(more: Lines<'_>) -> Bench {
    let mut lines = vec![("sync", "loop_delay = \"1s\""), ("sync", "rescan = \"1s\"")];
    lines.extend_from_slice(more);
    let bench = Bench::with(&lines);
    for shot in ["sh010", "sh020"] {
        for frame in 1001..1004 {
            bench.write(&format!("there/shots/{shot}/a.{frame}.exr"), format!("{shot} {frame}"));
        }
    }
    bench.sync().ends(0).sums(0, 0, 0);
    assert_eq!(here(&bench), 0);
    bench
}

/// How many files are here.
fn here(bench: &Bench) -> usize {
    let tree = bench.tree("here");
    tree.values().filter(|thing| matches!(thing, sitesync_tests::bench::Thing::File(..))).count()
}

fn run(bench: &Bench, words: &[&str]) -> Run {
    bench.run(&[words, &["--json"]].concat())
}

/// Runs a command with a text on its stdin.
fn run_with(bench: &Bench, words: &[&str], stdin: &str) -> Run {
    let mut child = bench.command(words).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    wait(child)
}

/// What `why` says of the only file that is asked about, at a site.
fn why(bench: &Bench, file: &str, site: &str) -> Value {
    let told = run(bench, &["why", "demo", file, "--site", site]).ends(0).last();
    told["sites"][0].clone()
}

fn says(told: &Value, name: &str, words: &str) {
    let text = told[name].as_str().unwrap_or_default();
    assert!(text.contains(words), "{name} does not say {words:?}: {told:#}");
}

#[test]
fn what_is_asked_for_comes_and_nothing_else() {
    let bench = filled(&[]);
    let file = "shots/sh020/a.1002.exr";
    says(&why(&bench, file, "here"), "standing", "nobody asked for it");
    says(&why(&bench, file, "there"), "standing", "there");

    let asked = run(&bench, &["request", "demo", "shots/sh010", "--site", "here"]).ends(0);
    assert_eq!((asked.sum("files"), asked.sum("queued")), (3, 3), "{asked:#?}");
    says(&why(&bench, "shots/sh010/a.1001.exr", "here"), "rule", "somebody asked for it");
    bench.sync().ends(0).sums(3, 0, 0);
    assert_eq!(here(&bench), 3);
    // One file by the path that a person sees, and what comes later to what was asked for.
    let path = bench.path("there").join(file).display().to_string();
    let _ = run(&bench, &["request", "demo", &path, "--site", "here"]).ends(0);
    bench.write("there/shots/sh010/a.1004.exr", "a later one");
    bench.sync().ends(0).sums(2, 0, 0);
    assert_eq!(here(&bench), 5);
    let again = run(&bench, &["request", "demo", "shots/**", "--site", "here"]).ends(0);
    assert_eq!((again.sum("there"), again.sum("queued")), (5, 2), "{again:#?}");
}

#[test]
fn what_fits_nothing_is_named_and_nothing_is_done() {
    let bench = filled(&[]);
    let words = ["request", "demo", "shots/sh010", "no/such", "#4711", "--site", "here"];
    let refused = bench.run(&words).ends(2);
    assert!(refused.stderr.contains("`no/such`, `#4711`"), "{refused:#?}");
    let queue = bench.run(&["queue", "--json"]).ends(0);
    assert_eq!(queue.lines().len(), 0, "{queue:#?}");
    for (words, says) in [
        (&["request", "demo", "shots/sh010", "--site", "hree"][..], "did you mean 'here'?"),
        (&["request", "dmeo", "shots/sh010", "--site", "here"], "demo"),
        (&["request", "demo", "--site", "here"], "nothing is selected"),
        (&["request", "demo", "--state", "lost", "--site", "here"], "states are"),
        (&["priority", "demo", "shots/sh010", "--to", "5000"], "1 to 1000"),
    ] {
        let refused = bench.run(words).ends(2);
        assert!(refused.stderr.contains(says), "{refused:#?}");
    }
}

#[test]
fn a_running_service_takes_keys_on_stdin() {
    // No look finds anything while the test lasts: the order itself wakes the service.
    let bench = filled(&[("sync", "loop_delay = \"1h\""), ("sync", "rescan = \"1h\"")]);
    let _service = bench.serve();
    let keys = "shots/sh010\n\nshots/sh020\n";
    let _ = run_with(&bench, &["request", "demo", "-", "--site", "here"], keys).ends(0);
    until("they are here", || here(&bench) == 6);
}

#[test]
fn a_priority_takes_nothing_out_of_a_pause_and_keeps_nothing_in_it() {
    let bench = filled(&[]);
    let _ = bench.run(&["pause", "demo", "shots/sh010"]).ends(0);
    let _ = run(&bench, &["request", "demo", "shots/*", "--site", "here"]).ends(0);
    let file = "shots/sh010/a.1002.exr";
    for words in [
        &["priority", "demo", file, "--to", "900"][..],
        &["request", "demo", file, "--site", "here", "--priority", "950"],
    ] {
        let _ = run(&bench, words).ends(0);
        let _ = bench.sync().ends(0);
        assert_eq!(here(&bench), 3);
        assert_eq!(why(&bench, file, "here")["state"], "paused");
    }
    assert_eq!(why(&bench, file, "here")["priority"], 950);
    let _ = bench.run(&["resume", "demo", "shots/sh010"]).ends(0);
    assert_eq!(why(&bench, file, "here")["state"], "queued");
    bench.sync().ends(0).sums(3, 0, 0);
}

#[test]
fn a_site_is_reached_by_another_that_is_the_same_storage() {
    let bench = filled(&[
        ("sites.vpn", "provider = \"local_drive\""),
        ("sites.vpn", "root.work = \"DIR/here\""),
        ("sites.vpn", "alternative_sites = [\"here\"]"),
    ]);
    let words = ["ensure", "demo", "shots/sh010", "--site", "vpn", "--wait"];
    let _ = run(&bench, &words).ends(0);
    assert_eq!(here(&bench), 3);
    says(&why(&bench, "shots/sh010/a.1001.exr", "here"), "standing", "there");
}
