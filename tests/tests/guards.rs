//! What stops a running service, and lets it go on again: too many deletes, and a disk without room.

use std::fs;

use sitesync_tests::bench::{Bench, Lines, Mount, until};

const LIVELY: Lines<'_> = &[("sync", "loop_delay = \"1s\""), ("sync", "rescan = \"1s\"")];

#[test]
fn a_flood_of_deletes_stops_and_goes_on_when_it_is_meant() {
    const FILES: usize = 12;
    let deletes: Lines<'_> = &[
        ("sync", "deletes = \"propagate\""),
        ("sync", "max_delete = 3"),
        ("sync", "max_delete_percent = 10"),
    ];
    let bench = Bench::with(&[LIVELY, deletes].concat());
    for n in 0..FILES {
        bench.write(&format!("here/shots/{n}.exr"), format!("frame {n}"));
    }
    bench.write("here/other/kept.exr", "kept");
    let service = bench.serve();
    until("all is synced", || bench.counts("there").get("synced") == Some(&13));
    // All at once, so that one look finds all of it.
    bench.rename("here/shots", "gone");
    let held = || bench.run(&["queue", "demo", "--state", "paused", "--json"]).ends(0).lines();
    until("it stops", || held().len() == FILES);
    let status = bench.run(&["status"]).ends(0).stdout;
    assert!(status.contains("`max_delete`"), "{status}");
    assert!(status.contains("`sitesync resume demo --held=delete`"), "{status}");
    // Other work goes on, and a service that is started anew does not begin to delete.
    bench.write("here/other/new.exr", "new");
    until("what is new travels", || bench.read("there/other/new.exr").is_some());
    let _ = service.end().ends(0);
    let service = bench.serve();
    bench.write("here/other/newer.exr", "newer");
    until("what is new travels", || bench.read("there/other/newer.exr").is_some());
    assert_eq!(fs::read_dir(bench.path("there/shots")).unwrap().count(), FILES);
    assert_eq!(held().len(), FILES);

    let _ = bench.run(&["resume", "demo", "--held"]).ends(0);
    let left = || (0..FILES).filter(|n| bench.read(&format!("there/shots/{n}.exr")).is_some());
    until("they go", || left().count() == 0);
    until("nothing is held", || held().is_empty());
    assert_eq!(bench.read("there/other/kept.exr").as_deref(), Some("kept"));
    let trash = bench.run(&["trash", "list", "demo", "--site", "there", "--json"]).ends(0);
    assert_eq!(trash.lines().len(), FILES, "they can be had again: {trash:#?}");
    let _ = service.end().ends(0);
}

#[test]
fn a_full_disk_is_told_stops_nobody_else_and_is_filled_when_there_is_room() {
    let archive: Lines<'_> = &[
        ("projects.demo", "always_accessible_on = [\"archive\"]"),
        ("sites.archive", "provider = \"local_drive\""),
        ("sites.archive", "root.work = \"DIR/archive\""),
    ];
    let bench = Bench::with(&[LIVELY, archive].concat());
    fs::create_dir(bench.path("archive")).unwrap();
    let Some(disk) = Mount::tmpfs(&bench.path("there"), "size=4m,mode=0755") else { return };
    bench.write("here/first.exr", "first");
    let service = bench.serve();
    until("the first is there", || bench.counts("there").get("synced") == Some(&1));
    bench.write("here/large.exr", vec![1; 16 << 20]);
    until("the other site has it", || bench.counts("archive").get("synced") == Some(&2));
    let status = || bench.run(&["status"]).ends(0).stdout;
    until("it is told", || status().contains("space"));
    let why = bench.run(&["why", "demo", "large.exr", "--site", "there"]).ends(0).stdout;
    assert!(why.contains("it waits") && why.contains("space"), "{why}");
    bench.write("here/later.exr", "later");
    until("the other site goes on", || bench.read("archive/later.exr").is_some());
    assert_eq!(bench.read("there/large.exr"), None);
    assert_eq!(bench.counts("there").get("failed"), None, "no file pays for it");
    disk.again("size=64m");
    until("all is there", || bench.counts("there").get("synced") == Some(&3));
    bench.assert_equal_sites();
    assert!(bench.temporaries("there").is_empty());
    until("nothing is wrong any more", || !status().contains("space"));
    let _ = service.end().ends(0);
}
