//! What travels first: by the order in which it arrives at a slow site that takes a file at a time.

use std::fs;
use std::os::unix::fs::MetadataExt;

use sitesync_tests::bench::{Bench, Lines, until};

/// A destination that takes one after the other, and not fast.
const SLOW: Lines<'_> = &[
    ("sync", "loop_delay = \"1h\""),
    ("sync", "rescan = \"1h\""),
    ("sites.there", "slots = 1"),
    ("sites.there", "bandwidth = \"2 MiB\""),
];

/// Finds these files while all is paused, so that nothing has gone before anything was said of the order.
fn found(more: Lines<'_>, files: &[(String, usize)]) -> Bench {
    let bench = Bench::streamed(&[SLOW, more].concat());
    for (path, size) in files {
        bench.write(&format!("here/{path}"), vec![7; *size]);
    }
    let _ = bench.run(&["pause"]).ends(0);
    let _ = bench.sync().ends(0);
    let queue = bench.run(&["queue", "demo", "--limit", "5000", "--json"]).ends(0).lines();
    assert_eq!(queue.len(), files.len());
    bench
}

/// How many files a folder at the destination has.
fn arrived(bench: &Bench, folder: &str) -> usize {
    let entries = fs::read_dir(bench.path("there").join(folder)).into_iter().flatten().flatten();
    entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with(".sitesync")).count()
}

#[test]
fn what_has_a_higher_priority_arrives_first() {
    let folders = ["a_later", "b_as_ever", "c_first"];
    let files: Vec<(String, usize)> =
        (0..30).map(|n| (format!("{}/{n}.exr", folders[n % 3]), 200 << 10)).collect();
    let bench = found(&[], &files);
    let _ = bench.run(&["priority", "demo", "c_first", "--to", "900"]).ends(0);
    let _ = bench.run(&["priority", "demo", "a_later", "--to", "3"]).ends(0);
    let _service = bench.serve();
    let _ = bench.run(&["resume"]).ends(0);
    until("all is there", || folders.iter().all(|folder| arrived(&bench, folder) == 10));
    let mut order: Vec<(i64, i64, &str)> = Vec::new();
    for (path, _) in &files {
        let about = fs::metadata(bench.path("there").join(path)).unwrap();
        // The step that made it visible.
        order.push((about.ctime(), about.ctime_nsec(), path));
    }
    order.sort_unstable();
    let order: Vec<&str> = order.into_iter().map(|(_, _, path)| path).collect();
    // One claim in ten goes to the oldest, and what is taken up together starts as it happens to: it is
    // seen on the whole.
    let places = |folder: &str| -> usize {
        let here = order.iter().enumerate().filter(|(_, path)| path.starts_with(folder));
        here.map(|(place, _)| place).sum()
    };
    let [later, as_ever, first] = folders.map(places);
    assert!(first < as_ever && as_ever < later, "{order:?}");
}

/// Somebody waits for it: that it was the least of all does not count any more, nor that so much is on
/// its way.
#[test]
fn what_somebody_waits_for_goes_before_all_else() {
    const BULK: usize = 1500;
    let mut files: Vec<(String, usize)> =
        (0..BULK).map(|n| (format!("bulk/{n}.exr"), 8 << 10)).collect();
    files.push(("wanted/hero.exr".to_owned(), 8 << 10));
    let bench = found(&[("sync", "priority = 1000")], &files);
    let _ = bench.run(&["priority", "demo", "wanted", "--to", "1"]).ends(0);
    let _service = bench.serve();
    let _ = bench.run(&["resume"]).ends(0);
    until("it is under way", || arrived(&bench, "bulk") >= 10);
    let ensured = ["ensure", "demo", "wanted/hero.exr", "--site", "there", "--wait", "100s"];
    let _ = bench.run(&ensured).ends(0);
    let before = arrived(&bench, "bulk");
    assert_eq!(arrived(&bench, "wanted"), 1);
    assert!(before < BULK, "all else came first");
}
