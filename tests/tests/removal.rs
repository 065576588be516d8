//! Files that are taken away from a site have another copy; what a site has is compared with the catalog;
//! copies that are there already are recorded.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::SystemTime;

use sitesync_tests::bench::{Bench, Lines, Run, until, wait};

/// A bench whose site `there` misbehaves.
fn misbehaving(fault: &str, more: Lines<'_>) -> Bench {
    let bench = Bench::new();
    let library = sitesync_tests::plugin("misbehaving").expect("the fixture builds");
    bench.plug("misbehaving", &fs::read(library).expect("the library"));
    let mut lines = vec![("provider there", "misbehaving"), ("sites.there", fault)];
    lines.extend(more);
    bench.settings(&lines);
    bench
}

/// Two shots of three files, at both sites.
fn filled(more: Lines<'_>) -> Bench {
    let bench = Bench::with(more);
    for shot in ["sh010", "sh020"] {
        for name in ["a.exr", "b.exr", "c.exr"] {
            bench.write(&format!("here/shots/{shot}/{name}"), format!("{shot} {name}"));
        }
    }
    bench.sync().ends(0).sums(6, 0, 0);
    bench
}

fn remove(bench: &Bench, more: &[&str]) -> Run {
    let mut arguments = vec!["remove", "demo", "--json", "--site", "here"];
    arguments.extend_from_slice(more);
    bench.run(&arguments)
}

/// Why a file was kept.
fn kept(run: &Run) -> String {
    run.last()["files"][0]["reason"].as_str().unwrap_or_else(|| panic!("{run:#?}")).to_owned()
}

/// Files at a site but for sitesync's own, while some of them may go.
fn files(bench: &Bench, site: &str) -> usize {
    let (mut count, mut left) = (0, vec![bench.path(site)]);
    while let Some(folder) = left.pop() {
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_name() != ".sitesync") {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => left.push(entry.path()),
                Ok(_) => count += 1,
                Err(_) => {}
            }
        }
    }
    count
}

#[test]
fn what_is_removed_stays_elsewhere_and_does_not_come_back() {
    let bench = filled(&[("sync", "download = \"all\"")]);
    let run = remove(&bench, &["shots/sh010"]).ends(0);
    assert_eq!((run.sum("removed"), run.sum("kept")), (3, 0), "{run:#?}");
    assert_eq!((files(&bench, "here"), files(&bench, "there")), (3, 6));
    bench.sync().ends(0).sums(0, 0, 0);
    assert_eq!(bench.counts("here").get("synced"), Some(&3));
    // New content elsewhere does not bring it back either; a new file of the same folder comes.
    bench.write("there/shots/sh010/a.exr", "another one");
    bench.write("there/shots/sh010/d.exr", "a new one");
    bench.sync().ends(0).sums(1, 0, 0);
    assert_eq!(bench.read("here/shots/sh010/a.exr"), None);
    assert_eq!(bench.read("here/shots/sh010/d.exr").as_deref(), Some("a new one"));
    // It can be had again.
    let trash = bench.run(&["trash", "list", "demo", "--site", "here", "--json"]).ends(0);
    assert_eq!(trash.lines().len(), 3, "{trash:#?}");
    // Once more is no trouble: there is nothing to do.
    let run = remove(&bench, &["shots/sh010/a.exr"]).ends(0);
    assert_eq!((run.sum("removed"), run.sum("absent")), (0, 1), "{run:#?}");
}

#[test]
fn the_last_copy_is_kept_unless_it_is_forced() {
    let bench = filled(&[]);
    bench.remove("there/shots/sh010/a.exr");
    let run = remove(&bench, &["shots/sh010/a.exr"]).ends(1);
    assert!(kept(&run).contains("the copy at 'there' is gone"), "{run:#?}");
    bench.write("there/shots/sh010/b.exr", "changed by somebody");
    let run = remove(&bench, &["shots/sh010/b.exr"]).ends(1);
    assert!(kept(&run).contains("the copy at 'there' has changed"), "{run:#?}");
    bench.write("here/shots/sh010/c.exr", "changed here");
    let run = remove(&bench, &["shots/sh010/c.exr"]).ends(1);
    assert!(kept(&run).contains("it has changed there"), "{run:#?}");
    assert_eq!(files(&bench, "here"), 6);

    // What was kept is wanted as before.
    bench.sync().ends(0).sums(3, 0, 0);
    assert_eq!(bench.read("there/shots/sh010/c.exr").as_deref(), Some("changed here"));
    assert_eq!(bench.read("here/shots/sh010/b.exr").as_deref(), Some("changed by somebody"));

    bench.rename("there", "unmounted");
    let run = remove(&bench, &["shots/sh020/a.exr"]).ends(1);
    assert!(kept(&run).contains("can't be looked at"), "{run:#?}");
    let run = remove(&bench, &["shots/sh020/a.exr", "--force"]).ends(0);
    assert_eq!(run.sum("removed"), 1, "{run:#?}");
    assert_eq!(bench.read("here/shots/sh020/a.exr"), None);
    // The site's own disk is away: nothing is concluded.
    bench.rename("here", "elsewhere");
    let told = remove(&bench, &["shots/sh020/b.exr"]).ends(3).stderr;
    assert!(told.contains("site 'here'"), "{told}");
}

#[test]
fn what_no_site_has_any_more_is_forgotten() {
    let bench = filled(&[]);
    bench.remove("there/shots/sh010");
    bench.rename("there", "unmounted");
    let run = remove(&bench, &["shots/sh010", "--force"]).ends(0);
    assert_eq!(run.sum("removed"), 3, "{run:#?}");
    bench.rename("unmounted", "there");
    bench.sync().ends(0).sums(0, 0, 0);
    assert_eq!((files(&bench, "here"), files(&bench, "there")), (3, 3));
    let told = remove(&bench, &["shots/sh010", "shots/sh099"]).ends(2).stderr;
    assert!(told.contains("shots/sh010") && told.contains("shots/sh099"), "{told}");
}

#[test]
fn what_is_not_understood_is_refused() {
    let bench = filled(&[]);
    let refused = |arguments: &[&str], words: &str| {
        let told = bench.run(arguments).ends(2).stderr;
        assert!(told.contains(words), "{arguments:?}: {told}");
    };
    refused(&["remove", "dem", "shots/sh010"], "no project 'dem'");
    refused(&["remove", "demo", "shots/sh010", "--site", "ther"], "no site 'ther'");
    refused(&["remove", "demo", "shots/sh010"], "--site");
    refused(&["clear", "demo", "--site", "here"], "--yes");
    refused(&["adopt", "demo", "shots", "--site", "here"], "can't be found");
    assert_eq!((files(&bench, "here"), files(&bench, "there")), (6, 6));
    // Where it acts for neither end, at neither.
    for site in ["here", "there"] {
        let words = format!("does not act for site '{site}'");
        let off = ["--set", "host.serves=[]"];
        refused(&[&["remove", "demo", "shots/sh010", "--site", site], &off[..]].concat(), &words);
        refused(&[&["clear", "demo", "--yes", "--site", site], &off[..]].concat(), &words);
    }
    assert_eq!((files(&bench, "here"), files(&bench, "there")), (6, 6));
    // Another machine's site is left alone.
    bench.settings(&[
        ("host", "serves = []"),
        ("sync", "active_site = \"local\""),
        ("sites.local", "root.work = \"DIR/here\""),
    ]);
    refused(&["remove", "demo", "shots/sh010", "--site", "there"], "does not act for site 'there'");
}

#[test]
fn a_site_is_cleared() {
    let bench = filled(&[]);
    bench.write("here/nobody/knows.txt", "this one");
    let run = bench.run(&["clear", "demo", "--site", "here", "--yes", "--json"]).ends(0);
    assert_eq!((run.sum("removed"), run.sum("folders")), (6, 3), "{run:#?}");
    assert_eq!((files(&bench, "here"), files(&bench, "there")), (1, 6));
    assert!(!bench.path("here/shots").exists());
    bench.sync().ends(0).sums(1, 0, 0);
    assert_eq!(files(&bench, "here"), 1);
}

#[test]
fn a_removal_that_is_killed_loses_nothing() {
    // What is found missing is not deleted elsewhere: somebody said that only this site is to lose it.
    let bench = Bench::with(&[("sync", "deletes = \"propagate\"")]);
    for file in 0..400 {
        bench.write(&format!("here/shots/sh{:02}/f{file:04}.exr", file % 20), format!("{file}"));
    }
    bench.sync().ends(0).sums(400, 0, 0);
    let there = bench.tree("there");
    for left in [390, 200] {
        let mut child = bench.start(&["remove", "demo", "shots/**", "--site", "here"]);
        let began = || files(&bench, "here") <= left;
        until("it began", began);
        let _ = child.kill();
        let _ = child.wait();
        assert_eq!(bench.tree("there"), there);
    }
    // What was deleted and not recorded is found, and is not brought back.
    let _ = remove(&bench, &["shots/**"]).ends(0);
    assert_eq!(files(&bench, "here"), 0);
    bench.sync().ends(0).sums(0, 0, 0);
    assert_eq!(files(&bench, "here"), 0);
    assert_eq!(bench.tree("there"), there);
}

#[test]
fn a_running_service_obeys() {
    let bench = filled(&[
        ("sync", "download = \"all\""),
        ("sync", "loop_delay = \"1s\""),
        ("sync", "rescan = \"1s\""),
        ("sites.disk", "provider = \"local_drive\"\nroot.work = \"DIR/disk\""),
    ]);
    bench.write("disk/shots/sh020/a.exr", "sh020 a.exr");
    let _service = bench.serve();
    let run = remove(&bench, &["shots/sh010"]).ends(0);
    assert_eq!(run.sum("removed"), 3, "{run:#?}");
    // Both ends were looked at since: what is new came, what was removed did not.
    bench.write("there/shots/sh010/new.exr", "new");
    until("what is new comes", || bench.read("here/shots/sh010/new.exr").is_some());
    assert_eq!(files(&bench, "here"), 4);

    bench.remove("there/shots/sh020/b.exr");
    let run = validate(&bench, &["--site", "there"]);
    let [found, missing, changed, _] = sums(&run);
    // The service may have noticed, and even mended it, by itself.
    assert!(changed == 0 && found + missing >= 6, "{run:#?}");
    until("it is mended", || bench.read("there/shots/sh020/b.exr").is_some());
    let disk = bench.path("disk").display().to_string();
    let run = bench.run(&["adopt", "demo", &disk, "--site", "disk", "--json"]).ends(0);
    assert_eq!(run.sum("adopted"), 1, "{run:#?}");
    let run = bench.run(&["sync", "--dry-run", "--json"]).ends(0);
    assert_eq!(run.sum("files"), 0, "{run:#?}");
    until("all of it is there", || validate(&bench, &["--site", "there"]).code == 0);
    let run = bench.run(&["clear", "demo", "--site", "here", "--yes", "--json"]).ends(0);
    assert_eq!(run.sum("removed"), 4, "{run:#?}");
    let taken = bench.run(&["doctor", "--repair"]).ends(3).stderr;
    assert!(taken.contains("works on the state folder"), "{taken}");
    assert_eq!((files(&bench, "here"), files(&bench, "there")), (0, 7));
}

#[test]
fn two_removals_side_by_side_leave_one_copy() {
    let bench = Bench::new();
    for file in 0..400 {
        bench.write(&format!("here/shots/f{file:04}.exr"), format!("{file}"));
    }
    bench.sync().ends(0).sums(400, 0, 0);
    let _service = bench.serve();
    let order = |site: &'static str| ["remove", "demo", "shots/**", "--json", "--site", site];
    let both = ["here", "there"].map(|site| bench.start(&order(site)));
    let [one, other] = both.map(wait);
    assert_eq!(one.sum("removed") + other.sum("removed"), 400, "{one:#?} {other:#?}");
    assert_eq!(one.sum("kept") + other.sum("kept"), 400, "{one:#?} {other:#?}");
    for file in 0..400 {
        let at = |site| bench.read(&format!("{site}/shots/f{file:04}.exr")).is_some();
        assert!(at("here") != at("there"), "f{file:04}.exr: {one:#?} {other:#?}");
    }
}

#[test]
fn a_removal_without_an_answer_is_no_deletion_by_people() {
    for (fault, gone) in [("deletes_silently", true), ("never", false)] {
        let lines = [
            ("sites.there", "call = \"delete\"\nonly = \"a.exr\"\ntimeout = \"1s\""),
            ("sync", "deletes = \"propagate\""),
        ];
        let bench = misbehaving(&format!("fault = \"{fault}\""), &lines);
        for name in ["a", "b", "c"] {
            bench.write(&format!("here/shots/{name}.exr"), name);
        }
        bench.sync().ends(0).sums(3, 0, 0);
        let order = ["remove", "demo", "shots/a.exr", "--site", "there", "--json"];
        let run = bench.run(&order).ends(if gone { 0 } else { 3 });
        assert_eq!(bench.read("there/shots/a.exr").is_none(), gone, "{run:#?}");
        if gone {
            assert_eq!(run.sum("removed"), 1, "{run:#?}");
        } else {
            assert!(run.stderr.contains("no answer"), "{run:#?}");
            // What was begun ends after all.
            bench.remove("there/shots/a.exr");
        }
        bench.sync().ends(0).sums(0, 0, 0);
        assert_eq!((files(&bench, "here"), files(&bench, "there")), (3, 2), "{fault}");
    }
}

#[test]
fn what_says_that_it_has_a_trash_deletes_nothing_for_good() {
    let bench = misbehaving("fault = \"boast\"", &[("sync", "deletes = \"propagate\"")]);
    for name in ["a", "b", "c"] {
        bench.write(&format!("here/shots/{name}.exr"), name);
    }
    bench.sync().ends(0).sums(3, 0, 0);
    let order = ["remove", "demo", "shots/**", "--site", "there", "--json"];
    let run = bench.run(&order).ends(1);
    assert_eq!((run.sum("removed"), run.sum("kept")), (0, 3), "{run:#?}");
    assert!(kept(&run).contains("trash"), "{run:#?}");
    bench.remove("here/shots");
    let run = bench.sync().ends(1);
    assert_eq!(run.sum("failed"), 3, "{run:#?}");
    assert_eq!(files(&bench, "there"), 3);
}

#[test]
fn what_is_to_be_removed_as_well_is_no_other_copy() {
    // The guard keeps the deletion from travelling on.
    let bench = Bench::with(&[
        ("sync", "deletes = \"propagate\"\nmax_delete = 1\nmax_delete_percent = 1"),
        ("sync", "always_accessible_on = [\"disk\"]"),
        ("sites.disk", "provider = \"local_drive\"\nroot.work = \"DIR/disk\""),
    ]);
    std::fs::create_dir(bench.path("disk")).unwrap();
    for name in ["a", "b", "c"] {
        bench.write(&format!("here/shots/{name}.exr"), name);
    }
    let _ = bench.sync().ends(0);
    assert_eq!(files(&bench, "disk"), 3);
    bench.remove("disk/shots");
    let _ = bench.sync();
    assert_eq!((files(&bench, "here"), files(&bench, "there")), (3, 3));
    let run = remove(&bench, &["shots"]).ends(1);
    assert!(kept(&run).contains("is to be removed as well"), "{run:#?}");
    assert_eq!(files(&bench, "here"), 3);
}

#[test]
fn the_same_storage_under_another_name_is_no_other_copy() {
    let twin =
        "provider = \"local_drive\"\nroot.work = \"DIR/here\"\nalternative_sites = [\"here\"]";
    let bench = filled(&[("sites.twin", twin)]);
    let path = bench.path("here").display().to_string();
    let _ = bench.run(&["adopt", "demo", &path, "--site", "twin", "--json"]);
    bench.remove("there/shots/sh010/a.exr");
    let run = remove(&bench, &["shots/sh010/a.exr"]).ends(1);
    assert!(kept(&run).contains("the copy at 'there' is gone"), "{run:#?}");
    let run = remove(&bench, &["shots/sh020"]).ends(0);
    assert_eq!(run.sum("removed"), 3, "{run:#?}");
    bench.sync().ends(0).sums(1, 0, 0);
    assert_eq!((files(&bench, "here"), files(&bench, "there")), (3, 6));
}

/// An empty disk is in the place of the one of a site, and is meant.
fn exchanged(bench: &Bench, site: &str) {
    bench.rename(site, &format!("old-{site}"));
    fs::create_dir(bench.path(site)).expect("an empty disk");
    bench.sync().ends(1).sums(0, 0, 0);
    let _ = bench.run(&["sites", "adopt", site]).ends(0);
}

#[test]
fn an_exchanged_disk_is_filled_and_deletes_nothing() {
    let bench = Bench::with(&[
        ("sync", "deletes = \"propagate\"\ndownload = \"all\""),
        ("sync", "always_accessible_on = [\"disk\"]"),
        ("sites.disk", "provider = \"local_drive\"\nroot.work = \"DIR/disk\""),
    ]);
    fs::create_dir(bench.path("disk")).expect("a disk");
    for file in 0..30 {
        bench.write(&format!("here/shots/sh{:02}/f{file:02}.exr", file % 3), format!("{file}"));
    }
    bench.sync().ends(0).sums(60, 0, 0);
    for site in ["there", "disk", "here"] {
        exchanged(&bench, site);
        bench.sync().ends(0).sums(30, 0, 0);
        for site in ["here", "there", "disk"] {
            assert_eq!(files(&bench, site), 30, "{site}");
        }
        bench.assert_equal_sites();
        bench.sync().ends(0).sums(0, 0, 0);
    }
}

#[test]
fn what_was_lost_with_a_disk_deletes_nothing_later() {
    // The guard has stopped what the old disk lost before it was exchanged.
    let guard = "deletes = \"propagate\"\nmax_delete = 1\nmax_delete_percent = 1";
    let bench = filled(&[("sync", guard)]);
    bench.remove("there/shots/sh010");
    let _ = bench.sync();
    assert_eq!(files(&bench, "here"), 6);
    exchanged(&bench, "there");
    let _ = bench.run(&["resume", "demo", "--held"]).ends(0);
    bench.sync().ends(0).sums(6, 0, 0);
    bench.assert_equal_sites();
}

#[test]
fn an_exchanged_disk_with_files_is_compared() {
    let bench = filled(&[("sync", "deletes = \"propagate\"")]);
    bench.rename("there", "old");
    fs::create_dir(bench.path("there")).expect("another disk");
    bench.write("there/shots/sh010/a.exr", "sh010 a.exr");
    bench.write("there/shots/sh010/b.exr", "something else");
    let _ = bench.run(&["sites", "adopt", "there"]).ends(0);
    let run = bench.sync().ends(1);
    assert_eq!((run.sum("transferred"), run.sum("adopted")), (4, 1), "{run:#?}");
    assert_eq!(run.sum("conflicts"), 1, "{run:#?}");
    assert_eq!(bench.read("there/shots/sh010/b.exr").as_deref(), Some("something else"));
    assert_eq!((files(&bench, "here"), files(&bench, "there")), (6, 6));
    // What is deleted there from now on is deleted elsewhere.
    bench.remove("there/shots/sh020");
    let _ = bench.sync();
    assert_eq!((files(&bench, "here"), files(&bench, "there")), (3, 3));
    // The same disk once more is no other one.
    let _ = bench.run(&["sites", "adopt", "here"]).ends(0);
    assert_eq!(bench.counts("here").get("synced"), Some(&3));
}

#[test]
fn copies_that_can_not_be_made_durable_are_not_recorded() {
    let site = |fault: &'static str| {
        [
            ("sites.disk", "provider = \"misbehaving\"\nroot.work = \"DIR/disk\""),
            ("sites.disk", fault),
        ]
    };
    let fault = "call = \"flush\"\nfault = \"error\"\nkind = \"Unexpected\"";
    let bench = misbehaving("fault = \"none\"", &site(fault));
    bench.write("here/shots/a.exr", "a");
    bench.write("disk/shots/a.exr", "a");
    bench.sync().ends(0).sums(1, 0, 0);
    let disk = bench.path("disk").display().to_string();
    let adopt = || bench.run(&["adopt", "demo", &disk, "--site", "disk", "--json"]);
    let told = adopt().ends(3).stderr;
    assert!(told.contains("could not be made durable"), "{told}");
    assert_eq!(bench.counts("disk").get("synced"), None);
    bench.settings(&[&site("fault = \"none\"")[..], &[("provider there", "misbehaving")]].concat());
    assert_eq!(adopt().ends(0).sum("adopted"), 1);
}

fn validate(bench: &Bench, more: &[&str]) -> Run {
    let mut arguments = vec!["validate", "demo", "--json"];
    arguments.extend_from_slice(more);
    bench.run(&arguments)
}

/// Found, missing, changed and unknown files of the first site that is told.
fn sums(run: &Run) -> [u64; 4] {
    let site = run.last()["sites"][0].clone();
    ["found", "missing", "changed", "unknown"].map(|name| site[name].as_u64().expect(name))
}

#[test]
fn a_site_is_compared_with_the_catalog_and_the_catalog_put_right() {
    let bench = filled(&[]);
    assert_eq!(sums(&validate(&bench, &["--site", "there"]).ends(0)), [6, 0, 0, 0]);
    bench.remove("there/shots/sh010/a.exr");
    bench.write("there/shots/sh010/new.exr", "new");
    // As many bytes, and the time that it had: its fingerprint tells.
    let path = bench.path("there/shots/sh020/b.exr");
    let before = fs::metadata(&path).expect("a file");
    fs::write(&path, "sh020 B.exr").expect("write");
    let file = fs::OpenOptions::new().write(true).open(&path).expect("open");
    file.set_modified(before.modified().expect("a time")).expect("touch");
    let after = fs::metadata(&path).expect("a file");
    assert_eq!((before.len(), before.mtime()), (after.len(), after.mtime()));

    assert_eq!(sums(&validate(&bench, &["shots/sh020", "--site", "there"]).ends(1)), [2, 0, 1, 0]);
    let run = validate(&bench, &["--site", "there"]).ends(1);
    assert_eq!(sums(&run), [5, 1, 0, 1], "{run:#?}");
    assert_eq!(run.last()["sites"][0]["files"][0]["path"], "shots/sh010/a.exr");
    // What was found is put right: it is known by now, and goes where it belongs.
    assert_eq!(sums(&validate(&bench, &["--site", "there"]).ends(0)), [6, 0, 0, 0]);
    assert_eq!(bench.counts("there").get("queued"), Some(&1));
    assert_eq!(bench.counts("here").get("queued"), Some(&1));
    bench.sync().ends(0).sums(2, 0, 0);
    assert_eq!(bench.read("here/shots/sh020/b.exr").as_deref(), Some("sh020 B.exr"));
    assert_eq!(bench.read("there/shots/sh010/a.exr").as_deref(), Some("sh010 a.exr"));
    let both = validate(&bench, &[]).ends(0);
    assert_eq!(both.last()["sites"].as_array().map(Vec::len), Some(2), "{both:#?}");
}

#[test]
fn of_equal_files_the_missing_one_is_missed() {
    let bench = Bench::new();
    for name in ["a", "b", "c"] {
        bench.write(&format!("here/same/{name}.txt"), "all alike");
    }
    bench.sync().ends(0).sums(3, 0, 0);
    bench.remove("there/same/b.txt");
    assert_eq!(sums(&validate(&bench, &["--site", "there"]).ends(1)), [2, 1, 0, 0]);
    assert_eq!(bench.counts("there").get("synced"), Some(&2));
    bench.sync().ends(0).sums(1, 0, 0);
    bench.assert_equal_sites();
}

#[test]
fn a_disk_that_is_away_is_not_validated() {
    let bench = filled(&[]);
    bench.rename("there", "unmounted");
    fs::create_dir(bench.path("there")).expect("an empty mount point");
    for (more, sites) in
        [(&["--site", "there"][..], 1), (&["--site", "here"], 1), (&[], 2), (&["shots/sh010"], 2)]
    {
        let told = validate(&bench, more).ends(1).last()["sites"].as_array().cloned();
        let told = told.expect("sites");
        assert_eq!(told.len(), sites);
        assert!(told.iter().all(|site| site["offline_site"] == "there"), "{told:?}");
    }
    let run = bench.run(&["validate", "demo", "--site", "here"]).ends(1);
    assert!(run.stderr.contains("offline: 'there': "), "{run:#?}");
    assert!(run.stderr.contains("; 'here' was not compared"), "{run:#?}");
    assert_eq!(bench.counts("there").get("synced"), Some(&6));
    let other = ["--set", "sites.other={provider=\"local_drive\"}", "--site", "other"];
    let run = validate(&bench, &other).ends(2);
    assert!(run.stderr.contains("to or from 'other'"), "{run:#?}");
    let _ = validate(&bench, &["--site", "ther"]).ends(2);
}

#[test]
fn copies_on_a_disk_are_recorded_without_being_copied() {
    let disk = [("sites.disk", "provider = \"local_drive\"\nroot.work = \"DIR/disk\"")];
    let bench = filled(&disk);
    fs::create_dir_all(bench.path("disk")).expect("a disk");
    for (path, content) in [
        ("shots/sh010/a.exr", "sh010 a.exr"),
        ("shots/sh010/b.exr", "sh010 B.exr"),
        ("shots/sh010/c.exr", "another size"),
        ("shots/sh010/x.exr", "nobody knows"),
        ("shots/sh020/a.exr", "sh020 a.exr"),
    ] {
        bench.write(&format!("disk/{path}"), content);
    }
    let before = bench.tree("disk");
    let written = |path: &str| fs::metadata(bench.path(path)).and_then(|m| m.modified()).unwrap();
    let time: SystemTime = written("disk/shots/sh010/a.exr");
    let disk = bench.path("disk").display().to_string();
    let adopt =
        |code: i32| bench.run(&["adopt", "demo", &disk, "--site", "disk", "--json"]).ends(code);
    let run = adopt(1);
    let told = ["adopted", "known", "differ", "uncompared", "unknown", "missing"];
    assert_eq!(told.map(|name| run.sum(name)), [2, 0, 2, 0, 1, 2], "{run:#?}");
    assert_eq!(bench.counts("disk").get("synced"), Some(&2));
    let run = adopt(1);
    assert_eq!(told.map(|name| run.sum(name)), [0, 2, 2, 0, 1, 2], "{run:#?}");
    assert_eq!((bench.tree("disk"), written("disk/shots/sh010/a.exr")), (before, time));

    let other = bench.path("here").display().to_string();
    let refused = bench.run(&["adopt", "demo", &other, "--site", "disk"]).ends(2).stderr;
    assert!(refused.contains("is not a root") && refused.contains("[sites.disk]"), "{refused}");
    // A copy that was recorded is one: others may go.
    bench.rename("there", "unmounted");
    let run = remove(&bench, &["shots/sh010/a.exr"]).ends(0);
    assert_eq!(run.sum("removed"), 1, "{run:#?}");
}
