//! Which sites share a provider instance, as a user sees it.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use sitesync_tests::bench::{Bench, Lines};

/// The instance behind each site.
fn instances(bench: &Bench) -> BTreeMap<String, String> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let run = bench.run(&["sites", "--json"]).ends(0);
    run.lines().iter().map(|line| (text(&line["site"]), text(&line["instance"]))).collect()
}

fn shared(lines: Lines<'_>) -> bool {
    let found = instances(&Bench::with(lines));
    assert!(found.values().all(|key| key.starts_with("local_drive-")), "{found:?}");
    found["here"] == found["there"]
}

/// Syncs a program of each of two projects: from `here` and `second` to `there` and `third`.
fn sync_tools(bench: &Bench) {
    for folder in ["second", "third"] {
        std::fs::create_dir(bench.path(folder)).unwrap();
    }
    for path in ["here/tool", "second/tool"] {
        bench.write(path, "#!/bin/sh");
        bench.chmod(path, 0o700);
    }
    bench.sync().ends(0).sums(2, 0, 0);
}

fn mode_of(bench: &Bench, path: &str) -> u32 {
    std::fs::metadata(bench.path(path)).unwrap().permissions().mode() & 0o777
}

#[test]
fn sites_with_equal_settings_share_an_instance() {
    assert!(shared(&[]));
}

#[test]
fn settings_of_the_site_part_nothing() {
    assert!(shared(&[
        ("sites.here", "permissions = \"keep\""),
        ("sites.there", "symlinks = \"follow\"")
    ]));
}

#[test]
fn throughput_parts_nothing() {
    assert!(shared(&[("sites.here", "slots = 2"), ("sites.there", "bandwidth = \"1 MiB\"")]));
}

#[test]
fn two_providers_are_two_instances() {
    let found = instances(&Bench::streamed(&[]));
    assert_ne!(found["here"], found["there"]);
    assert!(found["there"].starts_with("other_drive-"), "{found:?}");
}

#[test]
fn what_is_the_sites_own_counts_for_its_own_roots_only() {
    let bench = Bench::with(&[
        ("sites.there", "permissions = \"keep\""),
        ("sites.third", "provider = \"local_drive\"\nroot.work = \"DIR/third\""),
        ("projects.second", "remote_site = \"third\""),
        ("projects.second", "sites.here.root.work = \"DIR/second\""),
    ]);
    let mode = |path| mode_of(&bench, path);
    sync_tools(&bench);
    assert_eq!(mode("there/tool"), 0o700, "kept");
    assert_ne!(mode("third/tool"), 0o700, "as the folder and the umask have it");
}

#[test]
fn a_project_may_set_for_itself_what_the_provider_opens_to_projects() {
    let bench = Bench::with(&[
        ("projects.second", "sites.here.root.work = \"DIR/second\""),
        ("projects.second", "sites.there.root.work = \"DIR/third\""),
        ("projects.second", "sites.there.permissions = \"keep\""),
    ]);
    let mode = |path| mode_of(&bench, path);
    sync_tools(&bench);
    assert_ne!(mode("there/tool"), 0o700, "as the folder and the umask have it");
    assert_eq!(mode("third/tool"), 0o700, "kept, for this project");
    let shown = bench.run(&["config", "show", "second", "--origin"]).ends(0);
    assert!(shown.stdout.contains("sites.there.permissions = \"keep\""), "{shown:?}");

    bench.settings(&[("projects.demo", "sites.there.permissions = \"kept\"")]);
    let wrong = bench.run(&["config", "check"]).ends(2);
    assert!(wrong.stderr.contains("not `kept`"), "{wrong:?}");
}
