//! What the commands tell of what guards and pauses keep back, and of what was taken away.

use serde_json::Value;
use sitesync_tests::bench::{Bench, Run};

/// A bench with ten files at both sites.
fn filled(guards: &str) -> Bench {
    let bench = Bench::with(&[("sync", guards)]);
    (0..10).for_each(|n| bench.write(&format!("here/scenes/{n}.ma"), "one"));
    bench.sync().ends(0).sums(10, 0, 0);
    bench
}

/// What is told of files that are held back.
fn held(run: &Run) -> Value {
    let line = run.lines().into_iter().find(|line| line["state"] == "held");
    line.unwrap_or_else(|| panic!("nothing is held: {run:#?}"))
}

#[test]
fn what_a_guard_stopped_is_told_each_time() {
    let bench = filled("max_change = 2");
    (0..10).for_each(|n| bench.write(&format!("here/scenes/{n}.ma"), "two!"));
    for _ in 0..2 {
        let run = bench.sync().ends(1);
        let told = held(&run);
        assert_eq!((&told["site"], &told["by"]), (&"there".into(), &"max_change".into()));
        assert_eq!((run.sum("held"), run.sum("transferred")), (10, 0), "{run:#?}");
    }
    let run = bench.run(&["sync"]).ends(1);
    assert!(run.stderr.contains("held: demo: 10 files held back at 'there': so many"), "{run:#?}");
    assert!(run.stderr.contains("`sitesync resume demo --held=change`"), "{run:#?}");
    assert!(run.stdout.contains(", 10 held back"), "{run:#?}");
    let run = bench.run(&["doctor"]);
    assert!(run.stdout.contains("`sitesync resume demo --held=change`"), "{run:#?}");
    assert!(run.stdout.contains("`sitesync queue demo --state paused`"), "{run:#?}");
    assert!(!run.stdout.contains("held back until") && !run.stdout.contains("all is well"));
    let _ = bench.run(&["resume", "demo", "--held"]).ends(0);
    bench.sync().ends(0).sums(10, 0, 0);
}

#[test]
fn what_is_paused_is_told_and_is_no_failure() {
    let bench = filled("max_change = 2");
    let _ = bench.run(&["pause", "demo", "scenes"]).ends(0);
    bench.write("here/scenes/3.ma", "two!");
    let run = bench.sync().ends(0);
    assert_eq!((held(&run)["by"].clone(), run.sum("held")), ("pause".into(), 1), "{run:#?}");
    let run = bench.run(&["doctor"]);
    assert!(run.stdout.contains("1 file held back at 'there' by a pause"), "{run:#?}");
    let _ = bench.run(&["pause", "--site", "there"]).ends(0);
    let _ = bench.run(&["pause"]).ends(0);
    let run = bench.run(&["doctor"]);
    for words in ["`sitesync resume` lets it", "`sitesync resume --site there` lets it"] {
        assert!(run.stdout.contains(words), "{words}: {run:#?}");
    }
}

#[test]
fn what_sync_takes_away_is_counted() {
    let bench = filled("deletes = \"propagate\"");
    bench.remove("here/scenes/3.ma");
    let run = bench.sync().ends(0);
    assert_eq!(run.sum("removed"), 1, "{run:#?}");
}

#[test]
fn an_empty_path_and_another_name_of_a_storage_are_refused() {
    let bench = Bench::with(&[
        ("sites.there", "alternative_sites = [\"door\"]"),
        ("sites.door", "provider = \"local_drive\""),
        ("sites.door", "root.work = \"DIR/door\""),
    ]);
    bench.write("here/a.exr", "a");
    let _ = bench.sync().ends(0);
    let _ = bench.run(&["publish", "demo", ""]).ends(2);
    let run = bench.run(&["remove", "demo", "*", "--site", "door"]).ends(2);
    assert!(run.stderr.contains("use --site there"), "{run:#?}");
}

#[test]
fn an_interruption_ends_waiting() {
    let bench = filled("max_change = 2");
    let _ = bench.run(&["pause"]).ends(0);
    bench.write("here/scenes/3.ma", "two!");
    let _ = bench.sync().ends(0);
    let words = ["ensure", "demo", "scenes", "--site", "there", "--wait"];
    let mut command = bench.command(&words);
    let mut child = command.spawn().expect("it starts");
    let mut said = std::io::BufReader::new(child.stderr.take().expect("stderr"));
    // It tells how far it is once it waits.
    std::io::BufRead::read_line(&mut said, &mut String::new()).expect("a line");
    let id = i32::try_from(child.id()).expect("an id");
    let pid = rustix::process::Pid::from_raw(id).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("a signal");
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
}

#[test]
fn what_guards_stopped_goes_on_by_kind_site_or_file() {
    let bench = filled("max_change = 2\nmax_delete = 2\ndeletes = \"propagate\"");
    (0..5).for_each(|n| bench.write(&format!("here/scenes/{n}.ma"), "two!"));
    (5..10).for_each(|n| bench.remove(&format!("here/scenes/{n}.ma")));
    let run = bench.sync().ends(1);
    assert_eq!(run.sum("held"), 10, "{run:#?}");
    let resume = |words: &[&str]| {
        let run = bench.run(&[&["resume", "demo", "--json"], words].concat()).ends(0);
        run.sum("files")
    };
    assert_eq!(resume(&["--held", "--site", "here"]), 0);
    assert_eq!(resume(&["--held=delete", "{root[work]}/scenes/0.ma"]), 0);
    assert_eq!(resume(&["--held=change", "{root[work]}/scenes/0.ma"]), 1);
    // Who asks for a file means it.
    let _ = bench.run(&["request", "demo", "{root[work]}/scenes/1.ma", "--site", "there"]).ends(0);
    let run = bench.sync().ends(1);
    assert_eq!((run.sum("transferred"), run.sum("held")), (2, 8), "{run:#?}");
    assert_eq!(resume(&["--held=change", "--site", "there"]), 3);
    let run = bench.sync().ends(1);
    assert_eq!((run.sum("transferred"), run.sum("removed")), (3, 0), "{run:#?}");
    assert_eq!(resume(&["--held"]), 5);
    let run = bench.sync().ends(0);
    assert_eq!((run.sum("transferred"), run.sum("removed")), (0, 5), "{run:#?}");
}
