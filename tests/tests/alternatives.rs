//! One storage that is several sites: what is at one is at all, nothing is copied between them, and
//! nothing goes round.

use std::collections::BTreeMap;

use serde_json::Value;
use sitesync_tests::bench::{Bench, Lines, Service, until};

/// From `there` to `door` to `gate`: each names the next one only.
const CHAIN: Lines<'_> = &[
    ("sites.there", "alternative_sites = [\"door\"]"),
    ("sites.door", "provider = \"local_drive\""),
    ("sites.door", "root.work = \"DIR/there\""),
    ("sites.door", "alternative_sites = [\"gate\"]"),
    ("sites.gate", "provider = \"local_drive\""),
    ("sites.gate", "root.work = \"DIR/there\""),
];

/// And back to `there`.
const CYCLE: Lines<'_> = &[("sites.gate", "alternative_sites = [\"there\"]")];

/// What `show` says of the only representation, by site.
fn shown(bench: &Bench) -> BTreeMap<String, Value> {
    let told = bench.run(&["show", "demo", "--json"]).ends(0).last();
    let sites = told["sites"].as_array().unwrap_or_else(|| panic!("no sites: {told:#}")).iter();
    let name = |site: &Value| site["site"].as_str().unwrap_or_default().to_owned();
    sites.map(|site| (name(site), site["state"].clone())).collect()
}

fn all_are(bench: &Bench, words: &str) {
    let shown = shown(bench);
    for site in ["there", "door", "gate"] {
        let state = shown.get(site).map(Value::to_string).unwrap_or_default();
        assert!(state.contains(words), "{site} is not {words}: {shown:#?}");
    }
}

fn are_one(more: Lines<'_>) {
    let lines = [CHAIN, more, &[("sync", "download = \"all\"")]].concat();
    let bench = Bench::with(&lines);
    bench.write("here/shots/a.exr", "made here");
    bench.sync().ends(0).sums(1, 0, 0);
    all_are(&bench, "synced");
    // From there to here, and new content: once each.
    bench.write("there/shots/a.exr", "changed there");
    bench.sync().ends(0).sums(1, 0, 0);
    assert_eq!(bench.read("here/shots/a.exr").as_deref(), Some("changed there"));
    all_are(&bench, "synced");
    for _ in 0..2 {
        bench.sync().ends(0).sums(0, 0, 0);
    }
    bench.assert_equal_sites();
    let _ = bench.run(&["doctor"]).ends(0);
    // Under a service nothing goes round either.
    let service: Service = bench.serve();
    bench.write("here/shots/b.exr", "made here");
    until("it is there", || bench.read("there/shots/b.exr").is_some());
    until("it is known", || bench.counts("there").get("synced") == Some(&2));
    all_are(&bench, "synced");
    let _ = service.end().ends(0);
    bench.sync().ends(0).sums(0, 0, 0);
    bench.assert_equal_sites();
}

#[test]
fn a_chain_of_three_is_one_storage() {
    are_one(&[]);
}

#[test]
fn a_cycle_is_one_storage() {
    are_one(CYCLE);
}

/// That everything is to be at another name of it asks for no second copy.
#[test]
fn a_copy_for_another_name_is_none() {
    let more: Lines<'_> = &[
        ("projects.demo", "always_accessible_on = [\"gate\"]"),
        ("sites.gate", "root.work = \"DIR/gate\""),
    ];
    let bench = Bench::with(&[CHAIN, CYCLE, more].concat());
    // The same storage, by another way.
    std::os::unix::fs::symlink(bench.path("there"), bench.path("gate")).unwrap();
    for n in 0..5 {
        bench.write(&format!("here/shots/{n}.exr"), format!("frame {n}"));
    }
    bench.sync().ends(0).sums(5, 0, 0);
    all_are(&bench, "synced");
    bench.sync().ends(0).sums(0, 0, 0);
    bench.assert_equal_sites();
}
