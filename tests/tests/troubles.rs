//! Troubles of a site under a service: what waits, what goes on, and that they end by themselves. The
//! sites are looked at once an hour here, but for whether they are there.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::process::Command;

use sitesync_tests::bench::{Bench, Mount, Service, until};

/// Only what a service hears of by itself comes within the test.
const BY_ITSELF: [(&str, &str); 2] = [("sync", "loop_delay = \"1s\""), ("sync", "rescan = \"1h\"")];

fn served(more: &[(&str, &str)]) -> (Bench, Service) {
    let bench = Bench::with(&[&BY_ITSELF[..], more].concat());
    bench.write("here/a.exr", "a");
    let service = bench.serve();
    until("the first file is recorded", || bench.counts("there").get("synced") == Some(&1));
    (bench, service)
}

/// What is said of a site that is offline or left alone.
fn trouble(bench: &Bench) -> String {
    bench.run(&["status"]).ends(0).stdout
}

#[test]
fn a_disk_that_can_not_be_written_waits_and_goes_on_by_itself() {
    let bench = Bench::with(&BY_ITSELF);
    let Some(disk) = Mount::tmpfs(&bench.path("there"), "size=4m") else { return };
    bench.write("here/a.exr", "a");
    let service = bench.serve();
    until("the first file arrives", || bench.read("there/a.exr").is_some());
    disk.again("ro");
    (0..5).for_each(|n| bench.write(&format!("here/{n}.exr"), "new"));
    until("it is told", || trouble(&bench).to_lowercase().contains("read-only"));
    let counts = bench.counts("there");
    assert!(!counts.contains_key("failed"), "it costs no file a try: {counts:?}");
    disk.again("rw");
    until("it goes on", || (0..5).all(|n| bench.read(&format!("there/{n}.exr")).is_some()));
    drop(service);
}

#[test]
fn a_read_only_site_is_read_from() {
    let bench = Bench::with(&[("sync", "download = \"all\""), ("sync", "retry_count = 3")]);
    let Some(disk) = Mount::tmpfs(&bench.path("there"), "size=4m") else { return };
    (0..5).for_each(|n| bench.write(&format!("there/{n}.exr"), "old"));
    disk.again("ro");
    bench.sync().ends(0).sums(5, 0, 0);
    assert_eq!(bench.read("here/4.exr").as_deref(), Some("old"));
}

#[test]
fn what_does_not_fit_keeps_nothing_else_back() {
    let bench = Bench::with(&BY_ITSELF);
    let Some(_disk) = Mount::tmpfs(&bench.path("there"), "size=2m") else { return };
    let service = bench.serve();
    bench.write("here/huge.exr", vec![1; 4 << 20]);
    until("it is told that there is no room", || trouble(&bench).contains("left alone until"));
    bench.write("here/small.exr", "small");
    until("what fits arrives", || bench.read("there/small.exr").is_some());
    assert_eq!(bench.counts("there").get("failed"), None);
    drop(service);
}

#[test]
fn a_site_that_goes_away_is_told_though_nobody_asks_anything_of_it() {
    let (bench, service) = served(&[]);
    bench.rename("there", "gone");
    fs::create_dir(bench.path("there")).unwrap();
    until("it is told", || trouble(&bench).contains("not mounted?"));
    let sites = bench.run(&["sites"]).ends(1);
    assert!(sites.stderr.contains("not mounted?"), "{sites:#?}");
    assert_eq!(bench.counts("there").get("synced"), Some(&1), "nothing is concluded");
    fs::remove_dir(bench.path("there")).unwrap();
    bench.rename("gone", "there");
    until("it is back", || !trouble(&bench).contains("not mounted?"));
    bench.write("here/b.exr", "b");
    until("it goes on", || bench.read("there/b.exr").is_some());
    drop(service);
}

#[test]
fn changes_are_seen_after_a_root_was_exchanged_for_a_copy() {
    let (bench, service) = served(&[("sync", "download = \"all\"")]);
    bench.rename("there", "old");
    let (old, new) = (bench.path("old"), bench.path("there"));
    let copied = Command::new("cp").arg("-a").args([&old, &new]).status();
    assert!(copied.unwrap().success());
    // Until it is watched anew, what is written there waits for the next scan.
    let mut nth = 0;
    until("a change there is seen", || {
        nth += 1;
        bench.write(&format!("there/{nth}.exr"), "new");
        (1..=nth).any(|n| bench.read(&format!("here/{n}.exr")).is_some())
    });
    drop(service);
}

#[test]
fn what_only_looks_changed_is_not_sent_again() {
    let bench = Bench::new();
    (0..5).for_each(|n| bench.write(&format!("here/{n}.exr"), "as it was"));
    bench.sync().ends(0).sums(5, 0, 0);
    let inode = |n| fs::metadata(bench.path(&format!("there/{n}.exr"))).unwrap().ino();
    let before: Vec<u64> = (0..5).map(inode).collect();
    (0..5).for_each(|n| bench.chmod(&format!("here/{n}.exr"), 0o600));
    // One has other content, though the size and the time are the same.
    let changed = fs::metadata(bench.path("here/4.exr")).unwrap().modified().unwrap();
    fs::write(bench.path("here/4.exr"), "as it is.").unwrap();
    fs::File::open(bench.path("here/4.exr")).unwrap().set_modified(changed).unwrap();
    let run = bench.sync().ends(0);
    assert_eq!((run.sum("transferred"), run.sum("adopted")), (1, 4), "{run:#?}");
    assert_eq!(bench.read("there/4.exr").as_deref(), Some("as it is."));
    assert_eq!((0..4).map(inode).collect::<Vec<_>>(), before[..4], "they are the same files");
    bench.sync().ends(0).sums(0, 0, 0);
}

#[test]
fn a_link_in_the_place_of_a_file_is_no_file() {
    for deletes in ["keep", "propagate"] {
        let deletes = format!("deletes = \"{deletes}\"");
        let bench = Bench::with(&[("sync", &deletes)]);
        bench.write("here/a.exr", "a");
        bench.sync().ends(0).sums(1, 0, 0);
        bench.remove("here/a.exr");
        symlink("/etc/passwd", bench.path("here/a.exr")).unwrap();
        let _ = bench.sync();
        assert_eq!(bench.counts("here").get("synced"), None, "nothing of it is there");
        assert_eq!(
            bench.read("there/a.exr").as_deref(),
            Some("a"),
            "and nothing is deleted for it"
        );
    }
}
