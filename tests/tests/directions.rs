//! What travels where: the directions, what selects and what leaves out.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;
use sitesync_tests::bench::{Bench, Lines, Mount, Run};

fn states(of: &[(&str, u64)]) -> BTreeMap<String, u64> {
    of.iter().map(|(state, files)| ((*state).to_owned(), *files)).collect()
}

/// Each end has one file of its own. `upload` and `download`, then what arrives at each end.
fn directions(upload: &str, download: &str, up: bool, down: bool) {
    let (up_line, down_line) =
        (format!("upload = \"{upload}\""), format!("download = \"{download}\""));
    let bench = Bench::with(&[("sync", &up_line), ("sync", &down_line)]);
    bench.write("here/mine.exr", "mine");
    bench.write("there/theirs.exr", "theirs");
    bench.sync().ends(0).sums(u64::from(up) + u64::from(down), 0, 0);
    assert_eq!(bench.read("there/mine.exr").is_some(), up);
    assert_eq!(bench.read("here/theirs.exr").is_some(), down);
    // What did not travel is counted where it is only.
    let site = |arrived: bool| states(&[("synced", 1 + u64::from(arrived))]);
    assert_eq!(bench.counts("here"), site(down), "at the active site");
    assert_eq!(bench.counts("there"), site(up), "at the remote site");
    bench.sync().ends(0).sums(0, 0, 0);
}

#[test]
fn all_up_and_all_down() {
    directions("all", "all", true, true);
}

#[test]
fn all_up_and_down_on_request() {
    directions("all", "requested", true, false);
}

#[test]
fn up_on_request_and_all_down() {
    directions("requested", "all", false, true);
}

#[test]
fn nothing_by_itself() {
    directions("requested", "requested", false, false);
}

/// New content under the same name travels to every end that has the file.
fn hero(bench: &Bench) {
    for content in ["v1", "v2", "v3 is longer", "v4"] {
        bench.write("here/hero/char.abc", content);
        bench.sync().ends(0).sums(1, 0, 0);
        assert_eq!(bench.read("there/hero/char.abc").as_deref(), Some(content));
    }
    assert_eq!(bench.counts("there"), states(&[("synced", 1)]));
    assert!(bench.temporaries("there").is_empty());
}

#[test]
fn a_hero_version_travels_again() {
    hero(&Bench::new());
}

#[test]
fn a_hero_version_is_streamed_again() {
    hero(&Bench::streamed(&[]));
}

/// Frames are deleted and rendered anew: what comes back follows what was there.
fn rendered_anew(bench: &Bench) {
    bench.write("here/f.1001.exr", "first");
    bench.sync().ends(0).sums(1, 0, 0);
    fs::remove_file(bench.path("here/f.1001.exr")).unwrap();
    bench.sync().ends(0).sums(0, 0, 0);
    bench.write("here/f.1001.exr", "rendered anew");
    bench.sync().ends(0).sums(1, 0, 0);
    assert_eq!(bench.read("there/f.1001.exr").as_deref(), Some("rendered anew"));
}

#[test]
fn a_frame_that_is_rendered_anew_travels() {
    rendered_anew(&Bench::new());
}

#[test]
fn a_frame_that_is_rendered_anew_is_streamed() {
    rendered_anew(&Bench::streamed(&[]));
}

#[test]
fn a_frame_that_is_rendered_anew_does_not_overwrite_a_change_elsewhere() {
    let bench = Bench::new();
    bench.write("here/f.1001.exr", "first");
    bench.sync().ends(0).sums(1, 0, 0);
    fs::remove_file(bench.path("here/f.1001.exr")).unwrap();
    bench.sync().ends(0).sums(0, 0, 0);
    bench.write("there/f.1001.exr", "repaired over there");
    let _ = bench.sync().ends(0);
    bench.write("here/f.1001.exr", "rendered anew");
    bench.sync().ends(1).sums(0, 0, 1);
    assert_eq!(bench.read("there/f.1001.exr").as_deref(), Some("repaired over there"));
    assert_eq!(bench.read("here/f.1001.exr").as_deref(), Some("rendered anew"));
}

#[test]
fn a_hero_version_that_replaces_its_file_travels_again() {
    let bench = Bench::new();
    bench.write("here/hero.abc", "v1");
    bench.sync().ends(0).sums(1, 0, 0);
    // Written beside it and renamed, with the same size and time.
    bench.write("here/new.abc", "v2");
    let was = fs::metadata(bench.path("here/hero.abc")).unwrap().modified().unwrap();
    fs::File::open(bench.path("here/new.abc")).unwrap().set_modified(was).unwrap();
    bench.rename("here/new.abc", "here/hero.abc");
    bench.sync().ends(0).sums(1, 0, 0);
    assert_eq!(bench.read("there/hero.abc").as_deref(), Some("v2"));
}

#[test]
fn only_what_there_is_travels_again_when_uploads_are_on_request() {
    let bench = Bench::new();
    bench.write("here/both.abc", "v1");
    bench.sync().ends(0).sums(1, 0, 0);
    bench.settings(&[("sync", "upload = \"requested\"")]);
    bench.write("here/both.abc", "v2");
    bench.write("here/new.abc", "new");
    bench.sync().ends(0).sums(1, 0, 0);
    assert_eq!(bench.read("there/both.abc").as_deref(), Some("v2"));
    assert_eq!(bench.read("there/new.abc"), None);
}

fn queue(bench: &Bench, more: &[&str]) -> Vec<Value> {
    let arguments: Vec<&str> = ["queue", "--json"].iter().chain(more).copied().collect();
    bench.run(&arguments).ends(0).lines()
}

/// A file that can never arrive, because a folder is where it belongs.
fn blocked(retry_count: &str) -> Bench {
    let bench = Bench::with(&[("sync", retry_count)]);
    bench.write("here/sub/blocked", "file");
    bench.write("there/sub", "in the way");
    bench
}

#[test]
fn a_file_is_tried_as_often_as_the_settings_say_and_then_left_alone() {
    let bench = Bench::with(&[("sync", "retry_count = 2")]);
    bench.write("here/sub/a.exr", "file");
    fs::create_dir(bench.path("there/sub")).unwrap();
    let Some(disk) = Mount::tmpfs(&bench.path("there/sub"), "size=1m") else { return };
    disk.again("ro");
    bench.sync().ends(1).sums(0, 1, 0);
    let row = queue(&bench, &["--state", "failed"]).pop().unwrap();
    assert_eq!((row["state"].as_str(), row["tries"].as_u64()), (Some("failed"), Some(2)), "{row}");
    assert!(row["reason"].as_str().is_some_and(|why| !why.is_empty()), "{row}");
}

#[test]
fn a_failed_file_is_tried_again_when_somebody_asks() {
    let bench = blocked("retry_count = 1");
    bench.sync().ends(1).sums(0, 1, 0);
    bench.remove("there/sub");
    bench.sync().ends(0).sums(1, 0, 0);
    assert!(queue(&bench, &[]).is_empty());
}

#[test]
fn a_hopeless_file_is_not_tried_twice() {
    let bench = Bench::with(&[("sync", "retry_count = 3")]);
    bench.write("here/a", "file");
    bench.write("there/a/inside", "kept");
    let started = std::time::Instant::now();
    bench.sync().ends(1).sums(0, 1, 0);
    assert!(started.elapsed().as_secs() < 3, "{:?}", started.elapsed());
}

#[test]
fn patterns_leave_files_out() {
    let bench = Bench::with(&[("sync", "exclude = [\"*.tmp\", \"Thumbs.db\", \"~*\"]")]);
    for name in ["a.exr", "a.tmp", "sub/b.tmp", "sub/Thumbs.db", "sub/~lock", "sub/c.exr", "tmp"] {
        bench.write(&format!("here/{name}"), name);
    }
    bench.write("there/d.tmp", "theirs");
    bench.sync().ends(0).sums(3, 0, 0);
    for name in ["a.tmp", "sub/b.tmp", "sub/Thumbs.db", "sub/~lock"] {
        assert_eq!(bench.read(&format!("there/{name}")), None, "{name}");
    }
    assert_eq!(bench.counts("there"), states(&[("synced", 3)]));
}

#[test]
fn a_pattern_that_is_added_later_deletes_nothing() {
    let bench = Bench::new();
    bench.write("here/a.tmp", "a");
    bench.write("here/b.exr", "b");
    bench.sync().ends(0).sums(2, 0, 0);
    bench.settings(&[("sync", "exclude = [\"*.tmp\"]")]);
    bench.write("here/a.tmp", "changed");
    bench.sync().ends(0).sums(0, 0, 0);
    assert_eq!(bench.read("there/a.tmp").as_deref(), Some("a"));
    // Taken away again, it goes on.
    bench.settings(&[]);
    bench.sync().ends(0).sums(1, 0, 0);
    assert_eq!(bench.read("there/a.tmp").as_deref(), Some("changed"));
}

const TWO_ROOTS: Lines<'_> = &[
    ("sites.here", "root.work = \"DIR/here/work\""),
    ("sites.here", "root.publish = \"DIR/here/publish\""),
    ("sites.there", "root.work = \"DIR/there/work\""),
    ("sites.there", "root.publish = \"DIR/there/publish\""),
];

fn make(bench: &Bench, folders: &[&str]) {
    for folder in folders {
        fs::create_dir_all(bench.path(folder)).unwrap();
    }
}

#[test]
fn both_roots_of_a_project_travel() {
    let bench = Bench::with(TWO_ROOTS);
    make(&bench, &["there/work", "there/publish"]);
    bench.write("here/work/same.ma", "work");
    bench.write("here/publish/same.ma", "publish");
    bench.sync().ends(0).sums(2, 0, 0);
    assert_eq!(bench.read("there/work/same.ma").as_deref(), Some("work"));
    assert_eq!(bench.read("there/publish/same.ma").as_deref(), Some("publish"));
    bench.assert_equal_sites();
}

#[test]
fn a_root_that_one_end_lacks_stays_where_it_is() {
    let bench = Bench::with(&[("sites.here", "root.publish = \"DIR/publish\"")]);
    make(&bench, &["publish"]);
    bench.write("publish/a.exr", "a");
    bench.write("here/b.exr", "b");
    bench.sync().ends(0).sums(1, 0, 0);
    assert_eq!(bench.tree("there").len(), 1);
}

const TWO_PROJECTS: Lines<'_> = &[
    ("sites.here", "root.work = \"DIR/here/{project}\""),
    ("sites.there", "root.work = \"DIR/there/{project}\""),
    ("projects.other", ""),
];

fn two_projects(more: Lines<'_>) -> Bench {
    let lines: Vec<(&str, &str)> = TWO_PROJECTS.iter().chain(more).copied().collect();
    let bench = Bench::with(&lines);
    make(&bench, &["there/demo", "there/other"]);
    bench.write("here/demo/a.exr", "demo");
    bench.write("here/other/a.exr", "other");
    bench
}

#[test]
fn projects_are_apart() {
    let bench = two_projects(&[]);
    bench.sync().ends(0).sums(2, 0, 0);
    bench.assert_equal_sites();
    assert_eq!(bench.counts_of("other", "there"), states(&[("synced", 1)]));
}

#[test]
fn only_the_projects_that_are_named() {
    let bench = two_projects(&[]);
    bench.run(&["sync", "other", "--json"]).ends(0).sums(1, 0, 0);
    assert_eq!(bench.read("there/demo/a.exr"), None);
    assert_eq!(bench.read("there/other/a.exr").as_deref(), Some("other"));
}

#[test]
fn one_projects_missing_root_stops_no_other() {
    let bench = two_projects(&[]);
    bench.remove("there/demo");
    let run = bench.sync().ends(1);
    assert_eq!((run.sum("transferred"), run.sum("offline")), (1, 1), "{run:#?}");
    assert_eq!(bench.read("there/other/a.exr").as_deref(), Some("other"));
}

#[test]
fn one_projects_trouble_stops_no_other() {
    let bench = two_projects(&[]);
    bench.write("here/demo/x", "file");
    bench.write("there/demo/x/inside", "kept");
    let run = bench.sync().ends(1);
    run.sums(2, 1, 0);
    bench.run(&["sync", "other", "--json"]).ends(0).sums(0, 0, 0);
}

fn nothing_happens(bench: &Bench) -> Run {
    bench.write("here/a.exr", "a");
    let run = bench.sync().ends(0);
    run.sums(0, 0, 0);
    assert!(bench.tree("there").is_empty());
    run
}

#[test]
fn a_project_that_is_switched_off_stays_as_it_is() {
    nothing_happens(&Bench::with(&[("projects.demo", "enabled = false")]));
}

#[test]
fn a_site_that_is_switched_off_stays_as_it_is() {
    nothing_happens(&Bench::with(&[("sites.there", "enabled = false")]));
}

#[test]
fn a_site_that_a_project_switches_off_stays_as_it_is() {
    nothing_happens(&Bench::with(&[("projects.demo", "sites.there.enabled = false")]));
}

#[test]
fn everything_switched_off_is_told() {
    let bench = Bench::with(&[("", "enabled = false")]);
    let run = nothing_happens(&bench);
    assert!(run.stderr.contains("switched off"), "{run:#?}");
}

#[test]
fn switched_off_by_default_and_on_for_one() {
    let bench = two_projects(&[("sync", "enabled = false"), ("projects.other", "enabled = true")]);
    bench.sync().ends(0).sums(1, 0, 0);
    assert_eq!(bench.read("there/other/a.exr").as_deref(), Some("other"));
}

#[test]
fn equal_ends_are_nothing_to_do() {
    nothing_happens(&Bench::with(&[("sync", "remote_site = \"here\"")]));
}

#[test]
fn a_host_that_serves_neither_end_does_nothing() {
    nothing_happens(&Bench::with(&[("host", "serves = []")]));
}

#[test]
fn the_priority_of_a_project_is_that_of_its_files() {
    let bench = blocked("priority = 77");
    let _ = bench.sync().ends(1);
    assert_eq!(queue(&bench, &[])[0]["priority"], 77);
}

#[test]
fn settings_that_change_count_from_the_next_run_on() {
    let bench = Bench::with(&[("sync", "upload = \"requested\"")]);
    bench.write("here/a.exr", "a");
    bench.sync().ends(0).sums(0, 0, 0);
    bench.settings(&[]);
    bench.sync().ends(0).sums(1, 0, 0);
    bench.assert_equal_sites();
}

#[test]
fn a_second_run_finds_nothing_to_do() {
    let bench = Bench::new();
    for n in 0..300 {
        bench.write(&format!("here/f{}/a.{n}.exr", n % 7), n.to_string());
    }
    bench.sync().ends(0).sums(300, 0, 0);
    let run = bench.sync().ends(0);
    run.sums(0, 0, 0);
    assert_eq!(run.sum("bytes") + run.sum("adopted"), 0);
    bench.assert_equal_sites();
}

#[test]
fn a_lost_catalog_costs_a_comparison_and_no_copy() {
    let bench = Bench::new();
    bench.write("here/a.exr", "a");
    bench.write("here/b.exr", "b");
    bench.sync().ends(0).sums(2, 0, 0);
    for name in ["catalog.db", "catalog.db-wal", "catalog.db-shm"] {
        let _ = fs::remove_file(bench.path("state").join(name));
    }
    let run = bench.sync().ends(0);
    run.sums(0, 0, 0);
    assert_eq!(run.sum("adopted"), 2, "{run:#?}");
}

#[test]
fn everything_read_back_is_everything_that_was_sent() {
    let bench = Bench::streamed(&[("sync", "verify = \"full\"")]);
    bench.write("here/large.mov", vec![9; 5 << 20]);
    bench.write("here/small.ma", "small");
    bench.sync().ends(0).sums(2, 0, 0);
    bench.assert_equal_sites();
}

#[test]
fn the_execute_bit_travels_and_times_do() {
    let bench = Bench::new();
    bench.write("here/tool", "#!/bin/sh");
    bench.chmod("here/tool", 0o755);
    bench.sync().ends(0).sums(1, 0, 0);
    let of = |path: &str| fs::metadata(bench.path(path)).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&of("there/tool").permissions());
    assert_eq!(mode & 0o100, 0o100);
    assert_eq!(of("here/tool").modified().unwrap(), of("there/tool").modified().unwrap());
}
