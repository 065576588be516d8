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
    assert!(run.stderr.contains("`sitesync resume demo --held`"), "{run:#?}");
    assert!(run.stdout.contains(", 10 held back"), "{run:#?}");
    let run = bench.run(&["doctor"]);
    assert!(run.stdout.contains("`sitesync resume demo --held`"), "{run:#?}");
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
