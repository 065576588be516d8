//! What becomes of changes: conflicts by policy, deletes that travel, and guards that stop a flood.

use std::fs;
use std::time::Duration;

use sitesync_tests::bench::{Bench, Lines, Service, age, until};

/// Both ends have a file of one name and different content; the remote one is an hour older.
fn conflicting(more: Lines<'_>) -> Bench {
    let bench = Bench::with(more);
    bench.write("here/a/plate.exr", "ours");
    bench.write("there/a/plate.exr", "theirs");
    age(&bench.path("there/a/plate.exr"), Duration::from_secs(7200));
    bench
}

fn ends_as(bench: &Bench, content: &str) {
    assert_eq!(bench.read("here/a/plate.exr").as_deref(), Some(content));
    assert_eq!(bench.read("there/a/plate.exr").as_deref(), Some(content));
    bench.sync().ends(0).sums(0, 0, 0);
}

/// What the trash of a site holds, one file a line.
fn trashed(bench: &Bench, site: &str) -> Vec<String> {
    let shown = bench.run(&["trash", "list", "demo", "--site", site, "--json"]).ends(0);
    shown.lines().iter().filter_map(|line| Some(line["path"].as_str()?.to_owned())).collect()
}

#[test]
fn a_conflict_is_left_alone_by_default() {
    let bench = conflicting(&[]);
    bench.sync().ends(1).sums(0, 0, 1);
    assert_eq!(bench.read("here/a/plate.exr").as_deref(), Some("ours"));
    assert_eq!(bench.read("there/a/plate.exr").as_deref(), Some("theirs"));
}

/// As `cp -p` and `rsync -a` do.
fn copy_with_time(bench: &Bench, from: &str, to: &str) {
    fs::copy(bench.path(from), bench.path(to)).unwrap();
    let time = fs::metadata(bench.path(from)).unwrap().modified().unwrap();
    fs::File::options().write(true).open(bench.path(to)).unwrap().set_modified(time).unwrap();
}

#[test]
fn a_conflict_ends_when_one_is_copied_over_the_other() {
    for (from, to, content) in [("here", "there", "ours"), ("there", "here", "theirs")] {
        let bench = conflicting(&[]);
        bench.sync().ends(1).sums(0, 0, 1);
        copy_with_time(&bench, &format!("{from}/a/plate.exr"), &format!("{to}/a/plate.exr"));
        bench.sync().ends(0).sums(0, 0, 0);
        ends_as(&bench, content);
    }
}

/// Equal times say nothing of who wrote a file.
#[test]
fn a_conflict_of_equal_times_stays_one() {
    let bench = conflicting(&[]);
    age(&bench.path("there/a/plate.exr"), Duration::from_secs(3600));
    let here = fs::File::open(bench.path("here/a/plate.exr")).unwrap();
    let time = fs::metadata(bench.path("there/a/plate.exr")).unwrap().modified().unwrap();
    here.set_modified(time).unwrap();
    bench.sync().ends(1).sums(0, 0, 1);
    bench.write("here/a/plate.exr", "ours, again");
    bench.sync().ends(1).sums(0, 0, 1);
    assert_eq!(bench.read("there/a/plate.exr").as_deref(), Some("theirs"));
}

#[test]
fn what_was_given_up_is_over_when_it_is_copied_by_hand() {
    let bench = Bench::with(&[("sync", "loop_delay = \"1s\""), ("sync", "rescan = \"1s\"")]);
    bench.sync().ends(0).sums(0, 0, 0);
    bench.write("here/plate.exr", "ours");
    fs::create_dir(bench.path("there/plate.exr")).unwrap();
    let _service = Service::of(bench.start(&["serve"]));
    let is = |state: &str| bench.counts("there").get(state) == Some(&1);
    until("it is given up", || is("failed"));
    bench.remove("there/plate.exr");
    copy_with_time(&bench, "here/plate.exr", "there/plate.exr");
    until("it is there", || is("synced"));
}

#[test]
fn the_active_site_wins() {
    let bench = conflicting(&[("sync", "conflicts = \"active_wins\"")]);
    bench.sync().ends(0).sums(1, 0, 0);
    ends_as(&bench, "ours");
    assert_eq!(trashed(&bench, "there"), ["a/plate.exr"], "what lost can be had again");
}

#[test]
fn the_remote_site_wins() {
    let bench = conflicting(&[("sync", "conflicts = \"remote_wins\"")]);
    bench.sync().ends(0).sums(1, 0, 0);
    ends_as(&bench, "theirs");
    assert_eq!(trashed(&bench, "here"), ["a/plate.exr"]);
}

#[test]
fn the_newest_wins() {
    let bench = conflicting(&[("sync", "conflicts = \"newest\"")]);
    bench.sync().ends(0).sums(1, 0, 0);
    ends_as(&bench, "ours");
}

/// Whichever was met second gets another name, where it is.
#[test]
fn both_are_kept() {
    let bench =
        conflicting(&[("sync", "conflicts = \"keep_both\""), ("sync", "download = \"all\"")]);
    let _ = bench.sync().ends(0);
    let _ = bench.sync().ends(0);
    let names = ["plate.exr", "plate (from here).exr", "plate (from there).exr"];
    for site in ["here", "there"] {
        let mut contents: Vec<_> =
            names.iter().filter_map(|name| bench.read(&format!("{site}/a/{name}"))).collect();
        contents.sort();
        assert_eq!(contents, ["ours", "theirs"], "{site}");
    }
    bench.assert_equal_sites();
    bench.sync().ends(0).sums(0, 0, 0);
}

#[test]
fn both_changed_after_they_were_equal() {
    let bench = Bench::with(&[("sync", "conflicts = \"active_wins\"")]);
    bench.write("here/hero.abc", "v1");
    bench.sync().ends(0).sums(1, 0, 0);
    bench.write("here/hero.abc", "v2 of ours");
    bench.write("there/hero.abc", "v2 of theirs!");
    bench.sync().ends(0).sums(1, 0, 0);
    assert_eq!(bench.read("there/hero.abc").as_deref(), Some("v2 of ours"));
    bench.sync().ends(0).sums(0, 0, 0);
}

#[test]
fn a_delete_stays_where_it_was_made_by_default() {
    let bench = Bench::new();
    bench.write("here/a.exr", "a");
    bench.sync().ends(0).sums(1, 0, 0);
    bench.remove("here/a.exr");
    bench.sync().ends(0).sums(0, 0, 0);
    assert_eq!(bench.read("there/a.exr").as_deref(), Some("a"));
}

#[test]
fn a_delete_travels_where_it_is_to() {
    let bench = Bench::with(&[("sync", "deletes = \"propagate\""), ("sync", "download = \"all\"")]);
    for name in ["a", "b", "c"] {
        bench.write(&format!("here/{name}.exr"), name);
    }
    bench.sync().ends(0).sums(3, 0, 0);
    bench.remove("here/a.exr");
    bench.remove("there/b.exr");
    let _ = bench.sync().ends(0);
    for (path, there) in [("a", false), ("b", false), ("c", true)] {
        assert_eq!(bench.read(&format!("here/{path}.exr")).is_some(), there, "{path} here");
        assert_eq!(bench.read(&format!("there/{path}.exr")).is_some(), there, "{path} there");
    }
    assert_eq!(trashed(&bench, "there"), ["a.exr"]);
    bench.sync().ends(0).sums(0, 0, 0);
    // It is no stranger when it comes back.
    bench.write("here/a.exr", "again");
    bench.sync().ends(0).sums(1, 0, 0);
    assert_eq!(bench.read("there/a.exr").as_deref(), Some("again"));
}

#[test]
fn what_changed_since_does_not_go_with_a_delete() {
    let bench = Bench::with(&[("sync", "deletes = \"propagate\"")]);
    bench.write("here/a.exr", "a");
    bench.sync().ends(0).sums(1, 0, 0);
    bench.remove("here/a.exr");
    bench.write("there/a.exr", "somebody went on with it");
    let _ = bench.sync();
    assert_eq!(bench.read("there/a.exr").as_deref(), Some("somebody went on with it"));
}

/// 150 synced files of 600, of which as many as are given change or go at once.
fn flood(bench: &Bench, files: usize, deed: impl Fn(&Bench, &str)) {
    for n in 0..150 {
        bench.write(&format!("here/f.{n:04}.exr"), format!("frame {n}"));
    }
    bench.sync().ends(0).sums(150, 0, 0);
    for n in 0..files {
        deed(bench, &format!("here/f.{n:04}.exr"));
    }
}

fn changed_there(bench: &Bench) -> usize {
    let encrypted = |n: &usize| bench.read(&format!("there/f.{n:04}.exr")).unwrap() == "encrypted";
    (0..150).filter(encrypted).count()
}

#[test]
fn an_encrypted_disk_does_not_become_an_encrypted_drive() {
    let bench = Bench::new();
    flood(&bench, 120, |bench, path| bench.write(path, "encrypted"));
    bench.sync().sums(0, 0, 0);
    assert_eq!(changed_there(&bench), 0);
    // Nor with the next pass, nor with the next files.
    for n in 120..130 {
        bench.write(&format!("here/f.{n:04}.exr"), "encrypted");
    }
    bench.sync().sums(0, 0, 0);
    assert_eq!(changed_there(&bench), 0);
    // A new file is none of it.
    bench.write("here/new.exr", "new");
    bench.sync().sums(1, 0, 0);
    // It goes on when it is told to.
    let _ = bench.run(&["resume", "demo", "--held"]).ends(0);
    bench.sync().ends(0).sums(130, 0, 0);
    assert_eq!(changed_there(&bench), 130);
}

#[test]
fn few_changes_are_no_flood() {
    let bench = Bench::new();
    flood(&bench, 100, |bench, path| bench.write(path, "encrypted"));
    bench.sync().ends(0).sums(100, 0, 0);
}

#[test]
fn many_deletes_stop_too() {
    let bench = Bench::with(&[("sync", "deletes = \"propagate\"")]);
    flood(&bench, 120, |bench, path| bench.remove(path));
    let _ = bench.sync();
    assert_eq!(
        (0..150).filter(|n| bench.read(&format!("there/f.{n:04}.exr")).is_none()).count(),
        0
    );
    let _ = bench.run(&["resume", "demo", "--held"]).ends(0);
    let _ = bench.sync().ends(0);
    assert_eq!(
        (0..150).filter(|n| bench.read(&format!("there/f.{n:04}.exr")).is_none()).count(),
        120
    );
}

/// Of two disks that nobody knows, one was encrypted last: that makes nothing of it right.
#[test]
fn conflicts_that_the_settings_decide_are_a_flood_too() {
    for files in [120, 100] {
        let bench = Bench::with(&[("sync", "conflicts = \"newest\"")]);
        for n in 0..150 {
            let encrypted = n < files;
            let content = if encrypted { "encrypted".to_owned() } else { format!("frame {n}") };
            bench.write(&format!("here/f.{n:04}.exr"), content);
            let there = format!("there/f.{n:04}.exr");
            bench.write(&there, format!("frame {n}"));
            age(&bench.path(&there), Duration::from_secs(7200));
        }
        if files == 100 {
            bench.sync().ends(0).sums(100, 0, 0);
            continue;
        }
        bench.sync().sums(0, 0, 0);
        assert_eq!(changed_there(&bench), 0);
        let _ = bench.run(&["resume", "demo", "--held"]).ends(0);
        bench.sync().ends(0).sums(120, 0, 0);
        assert_eq!(changed_there(&bench), 120);
    }
}

/// A service sees what happens on a disk of its machine, long before the next scan.
#[test]
fn a_flood_in_small_pieces_is_one() {
    let bench = Bench::with(&[("sync", "loop_delay = \"1h\""), ("sync", "rescan = \"1h\"")]);
    flood(&bench, 0, |_, _| {});
    let _service = Service::of(bench.start(&["serve"]));
    // It watches from some moment on.
    until("the service watches", || {
        let probe = bench.path("here/probe.exr");
        fs::write(&probe, format!("{:?}", std::time::Instant::now())).unwrap();
        bench.read("there/probe.exr").is_some()
    });
    for n in 0..150 {
        bench.write(&format!("here/f.{n:04}.exr"), "encrypted");
        if n % 10 == 9 && n < 90 {
            until("ten travel", || changed_there(&bench) == n + 1);
        }
    }
    until("it stops", || {
        let held = bench.run(&["queue", "demo", "--state", "paused", "--json"]);
        held.lines().len() == 150 - changed_there(&bench)
    });
    // With the probe, that makes at most as many as may change.
    assert!((90..100).contains(&changed_there(&bench)), "{}", changed_there(&bench));
}

/// Each look alone finds less than what may change; all of what it let go counts with the next one.
#[test]
fn a_flood_in_large_pieces_is_one() {
    let bench = Bench::with(&[
        ("sync", "loop_delay = \"1s\""),
        ("sync", "rescan = \"1h\""),
        ("sync", "max_change = 5"),
        ("sync", "max_change_percent = 50"),
    ]);
    let frames = |folder: &str, content: &str| {
        (0..20).for_each(|n| bench.write(&format!("{folder}/{n}.exr"), content));
    };
    for folder in ["a", "b", "c"] {
        frames(&format!("here/{folder}"), "frame");
    }
    bench.sync().ends(0).sums(60, 0, 0);
    let _service = Service::of(bench.start(&["serve"]));
    let changed = |folder: &str| {
        let is = |n: &usize| bench.read(&format!("there/{folder}/{n}.exr")).unwrap() == "encrypted";
        (0..20).filter(is).count()
    };
    // All of a folder at once, so that one look finds all of it.
    let encrypt = |folder: &str| {
        frames("aside", "encrypted");
        bench.rename(&format!("here/{folder}"), &format!("before_{folder}"));
        bench.rename("aside", &format!("here/{folder}"));
    };
    encrypt("a");
    until("the first folder travels", || changed("a") == 20);
    encrypt("b");
    until("it stops", || {
        bench.run(&["queue", "demo", "--state", "paused", "--json"]).lines().len() == 20
    });
    assert_eq!(changed("b"), 0);
}

#[test]
fn what_was_asked_for_elsewhere_is_deleted_with_the_others() {
    let bench = Bench::with(&[
        ("sync", "deletes = \"propagate\""),
        ("sync", "upload = \"requested\""),
        ("sync", "always_accessible_on = [\"nas\"]"),
        ("sites.nas", "provider = \"local_drive\""),
        ("sites.nas", "root.work = \"DIR/nas\""),
    ]);
    std::fs::create_dir(bench.path("nas")).unwrap();
    bench.write("here/a.exr", "a");
    bench.sync().ends(0).sums(1, 0, 0);
    let _ = bench.run(&["request", "demo", "a.exr", "--site", "there"]).ends(0);
    bench.sync().ends(0).sums(1, 0, 0);
    // Taken away where it was asked for: that is one site's affair, and it comes back.
    bench.remove("there/a.exr");
    bench.sync().ends(0).sums(1, 0, 0);
    // Taken away where it was made: everywhere.
    bench.remove("here/a.exr");
    let _ = bench.sync().ends(0);
    let _ = bench.sync().ends(0);
    assert_eq!((bench.read("there/a.exr"), bench.read("nas/a.exr")), (None, None));
}

#[test]
fn both_are_kept_though_their_name_is_as_long_as_can_be() {
    let bench =
        Bench::with(&[("sync", "conflicts = \"keep_both\""), ("sync", "download = \"all\"")]);
    let name = format!("{}.txt", "n".repeat(250));
    bench.write(&format!("here/{name}"), "mine");
    bench.write(&format!("there/{name}"), "theirs");
    let _ = bench.sync();
    let _ = bench.sync().ends(0);
    assert_eq!(bench.read(&format!("there/{name}")).as_deref(), Some("mine"));
    let end = " (from there).txt";
    let aside = format!("{}{end}", "n".repeat(255 - end.len()));
    assert_eq!(bench.read(&format!("here/{aside}")).as_deref(), Some("theirs"));
    bench.assert_equal_sites();
}
