//! Disks that go away and come back under a running service. They are real ones: a root is on a tmpfs
//! that is unmounted beneath the service, and its content lives on elsewhere.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use sitesync_tests::bench::{Bench, Lines, Mount, Service, until};

/// Deletes travel, as many as there are: nothing but the marker keeps an empty mount point from being
/// taken for a disk on which all was deleted.
const LIVELY: Lines<'_> = &[
    ("sync", "loop_delay = \"1s\""),
    ("sync", "rescan = \"1s\""),
    ("sync", "download = \"all\""),
    ("sync", "deletes = \"propagate\""),
    ("sync", "max_delete = 0"),
    ("sync", "max_change = 0"),
    // A barrier that a disk's return has broken costs what was written since a try.
    ("sync", "retry_count = 3"),
];

/// A third site that is to have everything, and a second project whose roots lie at the same sites and on
/// no disk that goes away.
const OTHERS: Lines<'_> = &[
    ("projects.demo", "always_accessible_on = [\"archive\"]"),
    ("sites.archive", "provider = \"local_drive\""),
    ("sites.archive", "root.work = \"DIR/archive\""),
    ("projects.second", "sites.here.root.work = \"DIR/second_here\""),
    ("projects.second", "sites.there.root.work = \"DIR/second_there\""),
];

/// A site's root as a disk of its own. Its content stays at `disk` when it is unmounted.
struct Disk {
    _content: Mount,
    mounted: Option<Mount>,
}

impl Disk {
    fn of(bench: &Bench, site: &str) -> Option<Self> {
        fs::create_dir(bench.path("disk")).unwrap();
        let content = Mount::tmpfs(&bench.path("disk"), "size=64m,mode=0755")?;
        let mounted = Mount::bind(&bench.path("disk"), &bench.path(site))?;
        Some(Disk { _content: content, mounted: Some(mounted) })
    }

    fn unmount(&mut self) {
        self.mounted.take().expect("it is mounted").detach();
    }

    fn mount(&mut self, bench: &Bench, site: &str) {
        self.mounted = Mount::bind(&bench.path("disk"), &bench.path(site));
        assert!(self.mounted.is_some());
    }
}

/// How many files each site has in each state, and what is in the queue.
fn known(bench: &Bench) -> (Value, Vec<Value>) {
    let status = bench.run(&["status", "demo", "--json"]).ends(0).last();
    let queue = bench.run(&["queue", "demo", "--json"]).ends(0).lines();
    (status["projects"][0]["counts"].clone(), queue)
}

fn offline(bench: &Bench) -> Vec<Value> {
    let status = bench.run(&["status", "--json"]).ends(0).last();
    status["offline"].as_array().cloned().unwrap_or_default()
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

fn trashed(bench: &Bench, site: &str) -> bool {
    bench.path(site).join(".sitesync/trash").is_dir()
        && !is_empty(&bench.path(site).join(".sitesync/trash"))
}

fn arrives(bench: &Bench, path: &str) {
    until(path, || bench.read(path).is_some());
}

/// Unmounts the disk of a site, while `source`, another one, goes on being used.
fn goes_and_comes_back(site: &str, source: &str) {
    let bench = Bench::with(&[LIVELY, OTHERS].concat());
    for name in ["archive", "second_here", "second_there"] {
        fs::create_dir(bench.path(name)).unwrap();
    }
    let Some(mut disk) = Disk::of(&bench, site) else { return };
    for n in 0..10 {
        bench.write(&format!("here/shots/{n}.exr"), format!("frame {n}"));
    }
    let _service = bench.serve();
    let synced = |files: u64| {
        let has = |site| bench.counts(site).get("synced") == Some(&files);
        until("all is synced", || ["here", "there", "archive"].into_iter().all(has));
    };
    synced(10);
    let before = (known(&bench), bench.tree("here"));

    disk.unmount();
    assert!(is_empty(&bench.path(site)));
    until("it is noticed", || !offline(&bench).is_empty());
    for one in offline(&bench) {
        assert_eq!((&one["site"], &one["project"]), (&json!(site), &json!("demo")), "{one}");
        let reason = one["reason"].as_str().unwrap_or_default();
        assert!(reason.contains(site) && reason.contains("not mounted?"), "{reason}");
    }
    let status = bench.run(&["status"]).ends(0).stdout;
    assert!(status.contains(&format!("{site}: offline, tried again at 20")), "{status}");
    let doctor = bench.run(&["doctor", "--site", site]).ends(1);
    assert!(doctor.stdout.contains(&format!("FAIL  site {site}: demo/work")), "{doctor:#?}");
    // The other project has been looked at since, and nothing was concluded in this one.
    bench.write("second_here/a.exr", "of another project");
    arrives(&bench, "second_there/a.exr");
    assert_eq!(known(&bench), before.0);
    bench.write(&format!("{source}/shots/meanwhile.exr"), "meanwhile");
    if source == "here" {
        // The other pair goes on. As all comes to the active site, the archive has it from there.
        arrives(&bench, "archive/shots/meanwhile.exr");
    }
    assert!(is_empty(&bench.path(site)), "nothing was written where the disk belongs");
    for other in ["here", "there", "archive"].iter().filter(|other| **other != site) {
        let files = fs::read_dir(bench.path(other).join("shots")).unwrap().count();
        assert!(files >= 10 && !trashed(&bench, other), "{other} has lost something");
    }

    disk.mount(&bench, site);
    arrives(&bench, &format!("{site}/shots/meanwhile.exr"));
    synced(11);
    until("nothing is offline", || offline(&bench).is_empty());
    for other in ["here", "there", "archive"] {
        assert_eq!(bench.tree(other).len(), before.1.len() + 1, "{other}");
        // What came to the disk on its return may have been written twice.
        assert!(
            other == site || !trashed(&bench, other),
            "{other}: nothing was deleted or replaced"
        );
    }
    bench.assert_equal_sites();
    // What is really deleted there still travels.
    bench.remove(&format!("{site}/shots/3.exr"));
    until("a delete travels", || bench.read(&format!("{source}/shots/3.exr")).is_none());
}

#[test]
fn the_active_site_s_disk_goes_and_comes_back() {
    goes_and_comes_back("here", "there");
}

#[test]
fn the_remote_site_s_disk_goes_and_comes_back() {
    goes_and_comes_back("there", "here");
}

#[test]
fn a_disk_that_goes_away_in_a_transfer() {
    const LARGE: usize = 8 << 20;
    let slow = [LIVELY, &[("sites.there", "bandwidth = \"2 MiB\"")]].concat();
    let bench = Bench::streamed(&slow);
    let Some(mut disk) = Disk::of(&bench, "there") else { return };
    bench.write("here/small.exr", "small");
    let _service = bench.serve();
    until("the first file is synced", || bench.counts("there").get("synced") == Some(&1));
    bench.write("here/large.exr", vec![7; LARGE]);
    until("the large one is under way", || !bench.temporaries("disk").is_empty());

    disk.unmount();
    until("it is noticed", || !offline(&bench).is_empty());
    assert!(is_empty(&bench.path("there")), "nothing was written where the disk belongs");
    let counts = bench.counts("there");
    assert_eq!((counts.get("failed"), counts.get("conflict")), (None, None), "{counts:?}");
    // What was under way may end on the disk, which is still there for who has it open.
    let there = fs::metadata(bench.path("disk/large.exr")).is_ok_and(|m| m.len() == LARGE as u64);
    assert!(there || counts.get("synced") == Some(&1), "{counts:?}");
    assert_eq!(bench.read("here/small.exr").as_deref(), Some("small"));

    disk.mount(&bench, "there");
    until("it is all there", || bench.counts("there").get("synced") == Some(&2));
    bench.assert_equal_sites();
    assert!(bench.temporaries("there").is_empty(), "{:?}", bench.temporaries("there"));
    assert!(!trashed(&bench, "here") && !trashed(&bench, "there"));
}

/// Another disk in its place is not filled, and not taken for the one that was there.
#[test]
fn another_disk_in_its_place() {
    let bench = Bench::with(LIVELY);
    let Some(mut disk) = Disk::of(&bench, "there") else { return };
    bench.write("here/a.exr", "a");
    let service: Service = bench.serve();
    until("it is synced", || bench.counts("there").get("synced") == Some(&1));
    disk.unmount();
    let Some(other) = Mount::tmpfs(&bench.path("there"), "size=4m,mode=0755") else { return };
    bench.write("there/b.exr", "of another disk");
    until("it is noticed", || !offline(&bench).is_empty());
    bench.write("here/c.exr", "c");
    let attempt = |one: &Value| one["until"].clone();
    let first = offline(&bench).iter().map(attempt).collect::<Vec<_>>();
    until("it was tried again", || {
        let now = offline(&bench).iter().map(attempt).collect::<Vec<_>>();
        !now.is_empty() && now != first
    });
    assert_eq!(bench.tree("there").len(), 1, "nothing is written there");
    assert_eq!(bench.read("here/b.exr"), None, "nothing comes from there");
    assert_eq!(bench.read("here/a.exr").as_deref(), Some("a"));
    other.detach();
    disk.mount(&bench, "there");
    arrives(&bench, "there/c.exr");
    until("all is synced", || bench.counts("there").get("synced") == Some(&2));
    bench.assert_equal_sites();
    let _ = service.end().ends(0);
}
