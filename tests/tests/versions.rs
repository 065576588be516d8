//! Versions of the contract: hosts and plug-ins of one major work with each other, whichever is
//! older. The next minor is made up from today's sources (`sitesync_tests::next_minor`).

use std::fs;

use serde_json::Value;
use sitesync_tests::bench::{Bench, patched};
use sitesync_tests::next_minor::{NextMinor, next_minor};

fn next() -> NextMinor {
    next_minor().expect("the next minor")
}

/// What `sitesync providers` tells of `local_drive`.
fn provider(bench: &Bench) -> Value {
    let run = bench.run(&["providers", "--json"]).ends(0);
    let found = run.lines().into_iter().find(|line| line["name"] == "local_drive");
    found.unwrap_or_else(|| panic!("no local_drive: {run:#?}"))
}

/// Syncs a few files there and back, and returns what the next minor's method answers.
fn works(bench: &Bench) -> Value {
    bench.write("here/sh010/beauty.1001.exr", "pixels");
    bench.write("here/scene.ma", "a scene");
    bench.write("here/large.mov", vec![7; 3 << 20]);
    bench.sync().ends(0).sums(3, 0, 0);
    bench.assert_equal_sites();
    bench.write("there/scene.ma", "another scene");
    bench.sync().ends(0).sums(1, 0, 0);
    bench.assert_equal_sites();
    let run = bench.run(&["sites", "--json"]).ends(0);
    run.last()["info"]["motto"].clone()
}

#[test]
fn a_plug_in_of_the_next_minor_works_in_this_host() {
    let next = next();
    let bench = Bench::new();
    bench.plug("local_drive", &fs::read(next.local_drive).unwrap());
    let told = provider(&bench);
    assert_eq!((&told["stage"], &told["api"]), (&"loaded".into(), &next.api.into()), "{told}");
    assert_eq!(works(&bench), Value::Null, "this host knows nothing of the method");
}

#[test]
fn a_plug_in_of_this_minor_works_in_the_next_host() {
    let bench = Bench::new().host(next().host);
    let told = provider(&bench);
    assert_eq!((&told["stage"], &told["label"]), (&"loaded".into(), &"default".into()), "{told}");
    assert_eq!(works(&bench), "default");
}

#[test]
fn both_of_the_next_minor_know_what_was_appended() {
    let next = next();
    let bench = Bench::new().host(next.host);
    bench.plug("local_drive", &fs::read(next.local_drive).unwrap());
    let told = provider(&bench);
    assert_eq!((&told["stage"], &told["label"]), (&"loaded".into(), &"appended".into()), "{told}");
    assert_eq!(works(&bench), "appended");
}

/// One host, one folder: a plug-in of each minor, and one after the other in one process.
#[test]
fn both_minors_at_once_in_one_host() {
    let next = next();
    let newer = patched(fs::read(&next.local_drive).unwrap(), "local_drive", "other_drive");
    for host in [None, Some(next.host)] {
        let bench = Bench::with(&[("provider there", "other_drive")]);
        let bench = match host {
            Some(host) => bench.host(host),
            None => bench,
        };
        bench.plug("other_drive", &newer);
        bench.write("here/large.mov", vec![7; 3 << 20]);
        bench.write("here/scene.ma", "a scene");
        bench.sync().ends(0).sums(2, 0, 0);
        bench.assert_equal_sites();
    }
}

#[test]
fn another_major_is_refused_with_a_sentence() {
    let bench = Bench::new();
    let library = fs::read(bench.path("providers/liblocal_drive.so")).unwrap();
    for (api, words, remedy) in [
        ("api=2", "local_drive 0.1.0 needs provider-api ^2, this host has 1.", "update sitesync"),
        ("api=0", "local_drive 0.1.0 needs provider-api ^0, this host has 1.", "install a newer"),
    ] {
        bench.plug("local_drive", &patched(library.clone(), "api=1", api));
        let told = provider(&bench);
        let text = |name: &str| told["refused"][name].as_str().unwrap_or_default().to_owned();
        assert!(text("reason").contains(words), "{told}");
        assert!(text("remedy").contains(remedy), "{told}");
        assert_eq!(told["stage"], "inspected");
    }
}
