//! One bad file costs that file only: it is shown with the reason, the run ends with 1, and
//! everything else arrives. Trouble of a whole site changes nothing and costs no file a try.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use sitesync_tests::bench::{Bench, Mount, NOBODY, os, until, wait};

/// Both directions by themselves.
const BOTH_WAYS: (&str, &str) = ("sync", "download = \"all\"");

fn states(of: &[(&str, u64)]) -> BTreeMap<String, u64> {
    of.iter().map(|(state, files)| ((*state).to_owned(), *files)).collect()
}

// What can't be read, or does not hold still.

#[test]
fn an_unreadable_file_costs_itself_only() {
    let mut bench = Bench::new();
    bench.write("here/good.exr", "pixels");
    bench.write("here/secret.exr", "pixels");
    if !bench.becomes(NOBODY) {
        return;
    }
    std::os::unix::fs::chown(bench.path("here/secret.exr"), Some(0), Some(0)).unwrap();
    bench.chmod("here/secret.exr", 0o600);
    let run = bench.sync().ends(1);
    run.sums(1, 1, 0);
    run.tells("secret.exr", "failed", "ermission denied");
    run.tells("secret.exr", "failed", "site 'here'");
    assert_eq!(bench.read("there/good.exr").as_deref(), Some("pixels"));
    assert_eq!(bench.read("there/secret.exr"), None);
    // Made readable, it follows.
    bench.chmod("here/secret.exr", 0o644);
    bench.sync().ends(0).sums(1, 0, 0);
    bench.assert_equal_sites();
}

#[test]
fn an_unreadable_folder_costs_what_is_in_it_only() {
    let mut bench = Bench::new();
    bench.write("here/good/a.exr", "a");
    bench.write("here/closed/b.exr", "b");
    if !bench.becomes(NOBODY) {
        return;
    }
    bench.sync().ends(0).sums(2, 0, 0);
    bench.write("here/good/c.exr", "c");
    std::os::unix::fs::chown(bench.path("here/closed"), Some(0), Some(0)).unwrap();
    bench.chmod("here/closed", 0o700);
    let run = bench.sync().ends(1);
    run.sums(1, 1, 0);
    run.tells("closed", "noted", "can't be listed");
    // What can't be seen is not gone.
    assert_eq!(bench.counts("here"), states(&[("synced", 3)]));
    bench.chmod("here/closed", 0o755);
    bench.sync().ends(0).sums(0, 0, 0);
    bench.assert_equal_sites();
}

#[test]
fn a_file_that_grows_while_it_is_copied_is_never_called_synced() {
    let bench = Bench::new();
    bench.write("here/growing.mov", vec![7; 32 << 20]);
    bench.write("here/still.mov", "still");
    let over = AtomicBool::new(false);
    let run = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file =
                File::options().append(true).open(bench.path("here/growing.mov")).unwrap();
            while !over.load(Ordering::Acquire) {
                file.write_all(b"more").unwrap();
                std::thread::sleep(Duration::from_micros(200));
            }
        });
        let run = bench.sync();
        over.store(true, Ordering::Release);
        run
    });
    let run = run.ends(1);
    run.sums(1, 1, 0);
    run.tells("growing.mov", "failed", "changed");
    assert_eq!(bench.read("there/growing.mov"), None, "nothing half-written is seen");
    assert_eq!(bench.temporaries("there"), Vec::<std::path::PathBuf>::new());
    bench.sync().ends(0).sums(1, 0, 0);
    bench.assert_equal_sites();
}

#[test]
fn a_file_that_grew_while_it_was_streamed_is_read_anew() {
    let bench = Bench::streamed(&[("sites.there", "bandwidth = \"4MB\"")]);
    bench.write("here/growing.mov", vec![7; 8 << 20]);
    let child = bench.start(&["sync", "--json"]);
    until("a temporary", || !bench.temporaries("there").is_empty());
    File::options()
        .append(true)
        .open(bench.path("here/growing.mov"))
        .unwrap()
        .write_all(b"more")
        .unwrap();
    // The torn one is thrown away, and the file read anew.
    wait(child).ends(0).sums(1, 0, 0);
    assert!(bench.temporaries("there").is_empty());
    bench.assert_equal_sites();
}

#[test]
fn a_file_that_vanishes_while_it_is_streamed_leaves_nothing_behind() {
    let bench = Bench::streamed(&[("sites.there", "bandwidth = \"4MB\"")]);
    bench.write("here/short-lived.mov", vec![7; 8 << 20]);
    let child = bench.start(&["sync", "--json"]);
    until("a temporary", || !bench.temporaries("there").is_empty());
    bench.remove("here/short-lived.mov");
    wait(child).ends(0).sums(0, 0, 0);
    assert!(bench.tree("there").is_empty());
    assert!(bench.temporaries("there").is_empty());
    assert!(bench.counts("here").is_empty() && bench.counts("there").is_empty());
}

#[test]
fn a_file_that_is_rewritten_in_place_keeps_its_copy_whole() {
    let bench = Bench::new();
    bench.write("here/a.ma", "one");
    bench.sync().ends(0).sums(1, 0, 0);
    // Same size, and the modification time set back to what it was.
    let path = bench.path("here/a.ma");
    let was = fs::metadata(&path).unwrap().modified().unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(b"two", 0).unwrap();
    file.set_modified(was).unwrap();
    bench.sync().ends(0).sums(1, 0, 0);
    assert_eq!(bench.read("there/a.ma").as_deref(), Some("two"));
}

// Destinations that take nothing.

#[test]
fn a_full_disk_marks_no_file_failed_and_goes_on_when_there_is_room() {
    let bench = Bench::new();
    let Some(disk) = Mount::tmpfs(&bench.path("there"), "size=4m") else { return };
    bench.write("here/small.exr", "small");
    bench.write("here/large.exr", vec![1; 16 << 20]);
    bench.write("here/other.exr", "other");
    let run = bench.sync().ends(1);
    assert_eq!((run.sum("failed"), run.sum("conflicts")), (0, 0), "{run:#?}");
    assert!(run.offline().is_some_and(|why| why.contains("space")), "{run:#?}");
    assert_eq!(bench.counts("there").get("failed"), None);
    assert_eq!(bench.read("there/large.exr"), None);
    assert!(bench.temporaries("there").is_empty());
    disk.again("size=64m");
    let _ = bench.sync().ends(0);
    bench.assert_equal_sites();
    assert_eq!(bench.counts("there"), states(&[("synced", 3)]));
}

#[test]
fn a_full_disk_still_gets_what_fits() {
    let bench = Bench::new();
    let Some(_disk) = Mount::tmpfs(&bench.path("there"), "size=4m") else { return };
    bench.write("here/a_large.exr", vec![1; 16 << 20]);
    for n in 0..20 {
        bench.write(&format!("here/small.{n}.exr"), "small");
    }
    // As the service would make several attempts: while the large file is being tried the disk is
    // full, and small ones that come just then wait for the next, where they come first.
    for _ in 0..3 {
        let _ = bench.sync().ends(1);
        if bench.counts("there").get("synced") == Some(&20) {
            return;
        }
    }
    panic!("what fits did not arrive: {:?}", bench.counts("there"));
}

#[test]
fn a_full_disk_stops_a_stream_and_not_its_retry() {
    let bench = Bench::streamed(&[]);
    let Some(disk) = Mount::tmpfs(&bench.path("there"), "size=4m") else { return };
    bench.write("here/large.exr", vec![1; 16 << 20]);
    let run = bench.sync().ends(1);
    assert_eq!((run.sum("failed"), run.sum("conflicts")), (0, 0), "{run:#?}");
    assert!(bench.temporaries("there").is_empty());
    disk.again("size=64m");
    bench.sync().ends(0).sums(1, 0, 0);
    bench.assert_equal_sites();
}

#[test]
fn a_read_only_destination_says_so_and_goes_on_when_it_is_writable() {
    let bench = Bench::new();
    let Some(disk) = Mount::tmpfs(&bench.path("there"), "size=4m") else { return };
    bench.write("here/a.exr", "a");
    bench.sync().ends(0).sums(1, 0, 0);
    disk.again("ro");
    bench.write("here/a.exr", "a2");
    bench.write("here/b.exr", "b");
    let run = bench.sync().ends(1);
    assert_eq!(run.sum("transferred"), 0, "{run:#?}");
    assert!(run.stdout.to_lowercase().contains("read-only"), "{run:#?}");
    disk.again("rw");
    bench.sync().ends(0).sums(2, 0, 0);
    bench.assert_equal_sites();
}

#[test]
fn a_destination_that_was_always_read_only_says_so() {
    let bench = Bench::new();
    let Some(disk) = Mount::tmpfs(&bench.path("there"), "ro,size=4m") else { return };
    bench.write("here/a.exr", "a");
    let run = bench.sync().ends(1);
    assert!(run.stdout.to_lowercase().contains("read-only"), "{run:#?}");
    disk.again("rw");
    bench.sync().ends(0).sums(1, 0, 0);
    bench.assert_equal_sites();
}

#[test]
fn a_read_only_source_is_read() {
    let bench = Bench::new();
    let Some(disk) = Mount::tmpfs(&bench.path("here"), "size=4m") else { return };
    bench.write("here/a.exr", "a");
    disk.again("ro");
    bench.sync().ends(0).sums(1, 0, 0);
    bench.sync().ends(0).sums(0, 0, 0);
    bench.assert_equal_sites();
}

#[test]
fn a_share_that_refuses_permissions_gets_a_note_and_the_files() {
    let bench = Bench::new();
    let image = bench.path("vfat.img");
    let mount = Mount::image(&bench.path("there"), &image, &["mkfs.vfat"], "uid=1,gid=1,quiet");
    let Some(_disk) = mount else { return };
    bench.write("here/run.sh", "#!/bin/sh");
    bench.chmod("here/run.sh", 0o755);
    bench.sync().ends(0).sums(1, 0, 0);
    bench.sync().ends(0).sums(0, 0, 0);
    assert_eq!(bench.read("there/run.sh").as_deref(), Some("#!/bin/sh"));
}

// Roots.

#[test]
fn a_missing_root_is_offline_and_never_made() {
    let bench = Bench::new();
    bench.write("here/a.exr", "a");
    bench.remove("there");
    let run = bench.run(&["sync"]).ends(1);
    assert!(run.stderr.contains("offline") && run.stderr.contains("mounted"), "{run:#?}");
    assert!(!bench.path("there").exists());
    fs::create_dir(bench.path("there")).unwrap();
    bench.sync().ends(0).sums(1, 0, 0);
}

#[test]
fn a_root_that_is_a_file_is_offline() {
    let bench = Bench::new();
    bench.write("here/a.exr", "a");
    bench.remove("there");
    bench.write("there", "a file");
    let run = bench.sync().ends(1);
    assert!(run.offline().is_some_and(|why| why.contains("a file")), "{run:#?}");
    assert_eq!(bench.read("there").as_deref(), Some("a file"));
}

#[test]
fn an_unmounted_root_is_offline_and_not_empty() {
    let bench = Bench::with(&[BOTH_WAYS]);
    bench.write("here/a.exr", "a");
    bench.write("here/sub/b.exr", "b");
    bench.sync().ends(0).sums(2, 0, 0);
    let before = (bench.counts("here"), bench.counts("there"));
    bench.rename("there", "elsewhere");
    fs::create_dir(bench.path("there")).unwrap();
    bench.write("here/c.exr", "c");
    let run = bench.sync().ends(1);
    assert!(run.offline().is_some_and(|why| why.contains("not mounted?")), "{run:#?}");
    assert_eq!((bench.counts("here"), bench.counts("there")), before);
    assert!(bench.tree("there").is_empty(), "nothing is written into the hole");
    assert_eq!(bench.tree("here").len(), 4);
    bench.remove("there");
    bench.rename("elsewhere", "there");
    bench.sync().ends(0).sums(1, 0, 0);
    bench.assert_equal_sites();
}

#[test]
fn an_unmounted_active_root_is_offline_and_not_empty() {
    let bench = Bench::with(&[BOTH_WAYS]);
    bench.write("here/a.exr", "a");
    bench.sync().ends(0).sums(1, 0, 0);
    bench.rename("here", "elsewhere");
    fs::create_dir(bench.path("here")).unwrap();
    let run = bench.sync().ends(1);
    assert!(run.offline().is_some_and(|why| why.contains("not mounted?")), "{run:#?}");
    assert!(bench.tree("here").is_empty());
    assert_eq!(bench.read("there/a.exr").as_deref(), Some("a"));
}

#[test]
fn a_mount_that_must_be_there_is_demanded() {
    let bench = Bench::with(&[("sites.there", "mounted = true")]);
    bench.write("here/a.exr", "a");
    let run = bench.sync().ends(1);
    assert!(run.offline().is_some_and(|why| why.contains("mounted")), "{run:#?}");
    assert!(bench.tree("there").is_empty());
    let Some(_disk) = Mount::tmpfs(&bench.path("there"), "size=4m") else { return };
    bench.sync().ends(0).sums(1, 0, 0);
}

#[test]
fn another_root_in_the_same_place_is_noticed() {
    let bench = Bench::new();
    bench.write("here/a.exr", "a");
    bench.sync().ends(0).sums(1, 0, 0);
    fs::write(bench.path("there/.sitesync/root.json"), r#"{"id":"another"}"#).unwrap();
    let run = bench.sync().ends(1);
    assert!(run.offline().is_some_and(|why| why.contains("another root")), "{run:#?}");
}

#[test]
fn a_damaged_marker_is_told_and_nothing_is_concluded() {
    let bench = Bench::new();
    bench.write("here/a.exr", "a");
    bench.sync().ends(0).sums(1, 0, 0);
    fs::write(bench.path("there/.sitesync/root.json"), "{").unwrap();
    let run = bench.sync().ends(1);
    assert!(run.offline().is_some_and(|why| why.contains("damaged")), "{run:#?}");
    assert_eq!(bench.counts("there"), states(&[("synced", 1)]));
}

#[test]
fn a_root_inside_the_state_folder_is_refused() {
    let bench = Bench::with(&[("sites.there", "root.work = \"DIR/state/files\"")]);
    fs::create_dir(bench.path("state/files")).unwrap();
    bench.write("here/a.exr", "a");
    let run = bench.sync().ends(1);
    assert!(run.offline().is_some_and(|why| why.contains("lie in one another")), "{run:#?}");
    assert!(fs::read_dir(bench.path("state/files")).unwrap().next().is_none());
}

#[test]
fn a_state_folder_inside_a_root_is_refused() {
    let bench = Bench::with(&[
        ("sites.there", "root.work = \"DIR/state/..\""),
        ("sites.here", "root.work = \"DIR/here\""),
    ]);
    bench.write("here/a.exr", "a");
    // Refused before anything is written, whatever is found first.
    let run = bench.sync();
    assert!(run.code == 1 || run.code == 2, "{run:#?}");
    assert!(!bench.path(".sitesync").exists() && !bench.path("a.exr").exists());
}

#[test]
fn a_root_with_the_plug_ins_in_it_is_refused() {
    let bench = Bench::with(&[("sites.there", "root.work = \"DIR/providers\"")]);
    bench.write("here/a.exr", "a");
    let run = bench.sync().ends(1);
    assert!(run.offline().is_some_and(|why| why.contains("lie in one another")), "{run:#?}");
    assert!(!bench.path("providers/a.exr").exists());
}

#[test]
fn equal_roots_are_refused() {
    let bench = Bench::new();
    bench.settings(&[("sites.there", "root.work = \"DIR/here\"")]);
    bench.write("here/a.exr", "a");
    let run = bench.sync().ends(2);
    assert!(run.stderr.contains("sync a folder with itself"), "{run:#?}");
}

#[test]
fn equal_roots_by_a_link_are_refused() {
    let bench = Bench::new();
    bench.remove("there");
    symlink(bench.path("here"), bench.path("there")).unwrap();
    bench.write("here/a.exr", "a");
    let run = bench.sync().ends(1);
    assert!(run.offline().is_some_and(|why| why.contains("same folder")), "{run:#?}");
    assert_eq!(bench.tree("here").len(), 1);
}

#[test]
fn nested_roots_are_refused() {
    let bench = Bench::new();
    bench.settings(&[("sites.there", "root.work = \"DIR/here/backup\"")]);
    fs::create_dir(bench.path("here/backup")).unwrap();
    bench.write("here/a.exr", "a");
    let run = bench.sync().ends(2);
    assert!(run.stderr.contains("sync a folder with itself"), "{run:#?}");
}

#[test]
fn nested_roots_by_a_link_are_refused() {
    let bench = Bench::new();
    bench.remove("there");
    fs::create_dir(bench.path("here/backup")).unwrap();
    symlink(bench.path("here/backup"), bench.path("there")).unwrap();
    bench.write("here/a.exr", "a");
    let run = bench.sync().ends(1);
    assert!(run.offline().is_some_and(|why| why.contains("lie in one another")), "{run:#?}");
    assert!(bench.tree("here/backup").is_empty());
}

#[test]
fn nested_roots_of_two_providers_are_refused() {
    let bench = Bench::streamed(&[("sites.there", "root.work = \"DIR/here/backup\"")]);
    fs::create_dir(bench.path("here/backup")).unwrap();
    bench.write("here/a.exr", "a");
    let run = bench.sync().ends(1);
    assert!(run.offline().is_some_and(|why| why.contains("lie in one another")), "{run:#?}");
}

// Names.

#[test]
fn a_name_of_255_bytes_travels() {
    let bench = Bench::new();
    bench.write(&format!("here/{}", "n".repeat(255)), "long");
    bench.sync().ends(0).sums(1, 0, 0);
    bench.assert_equal_sites();
}

#[test]
fn a_name_of_255_bytes_is_streamed() {
    let bench = Bench::streamed(&[]);
    bench.write(&format!("here/{}", "n".repeat(255)), "long");
    bench.sync().ends(0).sums(1, 0, 0);
    bench.assert_equal_sites();
}

/// Makes a file whose path beneath the root is about this long. Paths this long can be made part
/// by part only.
fn deep(bench: &Bench, length: usize) -> String {
    let part = "d".repeat(200);
    let mut path = String::new();
    while path.len() + part.len() + 10 < length {
        path = format!("{path}{part}/");
    }
    path.push_str("file.exr");
    bench.write("here/seed", "deep");
    // A shell keeps its folder as one path, which may not be this long.
    let script = format!(
        "import os\nos.chdir('here')\nfor _ in range({}):\n os.mkdir('{part}'); os.chdir('{part}')\n\
         open('file.exr', 'w').write('deep'); os.utime('file.exr', (1, 1))",
        path.matches('/').count()
    );
    let made = Command::new("python3").args(["-c", &script]).current_dir(bench.path("")).status();
    assert!(made.is_ok_and(|made| made.success()));
    path
}

#[test]
fn a_path_of_4000_bytes_travels() {
    let bench = Bench::new();
    let path = deep(&bench, 4000);
    let run = bench.sync();
    assert!(run.code == 0 && run.sum("transferred") == 2, "{} bytes: {run:#?}", path.len());
    let found = Command::new("find").arg(bench.path("there")).args(["-name", "file.exr"]).output();
    assert!(!found.unwrap().stdout.is_empty());
    bench.sync().ends(0).sums(0, 0, 0);
}

#[test]
fn a_path_of_6000_bytes_costs_no_other_file() {
    let bench = Bench::new();
    let _ = deep(&bench, 6000);
    let run = bench.sync();
    // Beyond what one system call takes: either it travels, or it is shown.
    assert!(run.sum("transferred") == 2 || run.code == 1, "{run:#?}");
    assert_eq!(bench.read("there/seed").as_deref(), Some("deep"));
}

/// Names that would speak to a terminal, or to a script that reads lines.
const LOUD: [&str; 5] =
    ["new\nline.exr", "tab\t.exr", "\u{1b}[2Jclear.exr", "bell\u{7}.exr", "emoji 🎬 é.exr"];

#[test]
fn loud_names_travel() {
    let bench = Bench::new();
    for name in LOUD {
        bench.write(&format!("here/{name}"), name);
    }
    bench.sync().ends(0).sums(5, 0, 0);
    bench.assert_equal_sites();
}

#[test]
fn loud_names_do_not_speak_to_the_terminal() {
    let bench = Bench::with(&[BOTH_WAYS]);
    for name in LOUD {
        // In conflict, so that every command shows them.
        bench.write(&format!("here/{name}"), "this");
        bench.write(&format!("there/{name}"), "that");
        symlink("nowhere", bench.path(&format!("here/link {name}"))).unwrap();
    }
    for arguments in
        [&["sync"][..], &["sync", "-v"], &["queue"], &["sync", "--json"], &["queue", "--json"]]
    {
        let run = bench.run(arguments);
        let text = run.stdout + &run.stderr;
        let raw = text.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(raw, None, "{arguments:?}: {text}");
        assert!(text.contains("🎬"), "{arguments:?}: {text}");
        assert!(!text.lines().any(|line| line.starts_with("line.exr")), "{arguments:?}: {text}");
    }
}

#[test]
fn names_that_differ_in_case_only_are_two_files() {
    let bench = Bench::new();
    bench.write("here/Shot.exr", "upper");
    bench.write("here/shot.exr", "lower");
    bench.sync().ends(0).sums(2, 0, 0);
    bench.assert_equal_sites();
}

#[test]
fn where_case_does_not_count_the_second_name_fails_and_the_rule_is_named() {
    let bench = Bench::new();
    let image = bench.path("vfat.img");
    let mount = Mount::image(&bench.path("there"), &image, &["mkfs.vfat"], "utf8");
    let Some(_disk) = mount else { return };
    bench.write("here/Shot.exr", "upper");
    bench.write("here/shot.exr", "lower");
    bench.write("here/other.exr", "other");
    let run = bench.sync().ends(1);
    run.sums(2, 1, 0);
    assert!(run.stdout.contains("differs only in case"), "{run:#?}");
}

#[test]
fn a_name_that_is_not_utf8_is_reported() {
    let bench = Bench::new();
    bench.write("here/good.exr", "good");
    fs::write(bench.path("here").join(os(b"bad\xff.exr")), "bad").unwrap();
    let run = bench.sync().ends(0);
    run.sums(1, 0, 0);
    assert_eq!(run.sum("skipped"), 1);
    run.tells("bad\u{fffd}.exr", "noted", "not UTF-8");
}

#[test]
fn a_folder_whose_name_is_not_utf8_is_reported() {
    let bench = Bench::new();
    bench.write("here/good.exr", "good");
    let folder = bench.path("here").join(os(b"bad\xff"));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("inside.exr"), "bad").unwrap();
    let run = bench.sync().ends(0);
    run.sums(1, 0, 0);
    run.tells("bad\u{fffd}", "noted", "not UTF-8");
}

#[test]
fn a_users_file_with_our_name_is_reported() {
    let bench = Bench::new();
    bench.write("here/.sitesync-mine", "mine");
    bench.write("here/.sitesyncx", "mine too");
    bench.write("here/good.exr", "good");
    let run = bench.sync().ends(0);
    run.sums(1, 0, 0);
    run.tells(".sitesyncx", "noted", "sitesync");
    // Not told from an abandoned temporary of some host, unless its name is none.
    run.tells(".sitesync-mine", "noted", "sitesync");
    assert_eq!(bench.read("here/.sitesync-mine").as_deref(), Some("mine"), "left alone");
    assert_eq!(bench.read("there/.sitesync-mine"), None);
}

// Kinds of files.

#[test]
fn an_empty_file_travels() {
    let bench = Bench::new();
    bench.write("here/empty", "");
    bench.sync().ends(0).sums(1, 0, 0);
    bench.assert_equal_sites();
    bench.sync().ends(0).sums(0, 0, 0);
}

#[test]
fn an_empty_file_is_streamed() {
    let bench = Bench::streamed(&[]);
    bench.write("here/empty", "");
    bench.sync().ends(0).sums(1, 0, 0);
    bench.assert_equal_sites();
}

#[test]
fn a_sparse_file_stays_sparse() {
    let bench = Bench::new();
    bench.write("here/sparse.vdb", "head");
    let path = bench.path("here/sparse.vdb");
    let mut file = File::options().write(true).open(&path).unwrap();
    file.set_len(10 << 30).unwrap();
    file.seek(SeekFrom::Start(5 << 30)).unwrap();
    file.write_all(b"middle").unwrap();
    drop(file);
    sitesync_tests::bench::age(&path, Duration::from_secs(3600));
    let started = Instant::now();
    bench.sync().ends(0).sums(1, 0, 0);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    let copy = fs::metadata(bench.path("there/sparse.vdb")).unwrap();
    assert_eq!(copy.size(), 10 << 30);
    assert!(copy.blocks() * 512 < 64 << 20, "{} blocks", copy.blocks());
    let file = File::open(bench.path("there/sparse.vdb")).unwrap();
    let mut middle = [0; 6];
    file.read_exact_at(&mut middle, 5 << 30).unwrap();
    assert_eq!(&middle, b"middle");
}

#[test]
fn hard_links_arrive_as_files_of_their_own() {
    let bench = Bench::new();
    bench.write("here/v001.exr", "pixels");
    fs::hard_link(bench.path("here/v001.exr"), bench.path("here/hero.exr")).unwrap();
    bench.sync().ends(0).sums(2, 0, 0);
    bench.assert_equal_sites();
    bench.sync().ends(0).sums(0, 0, 0);
    // A further name changes the fingerprint of all of them, and nothing else.
    fs::hard_link(bench.path("here/v001.exr"), bench.path("here/third.exr")).unwrap();
    let _ = bench.sync().ends(0);
    bench.assert_equal_sites();
    bench.sync().ends(0).sums(0, 0, 0);
}

#[test]
fn a_link_out_of_the_root_is_skipped_and_reported() {
    let bench = Bench::new();
    bench.write("outside/secret", "secret");
    bench.write("here/a.exr", "a");
    symlink(bench.path("outside"), bench.path("here/folder")).unwrap();
    symlink(bench.path("outside/secret"), bench.path("here/file")).unwrap();
    let run = bench.sync().ends(0);
    run.sums(1, 0, 0);
    run.tells("folder", "noted", "symbolic link");
    run.tells("file", "noted", "symbolic link");
    assert_eq!(bench.tree("there").len(), 1);
}

#[test]
fn a_link_out_of_the_root_is_not_followed_where_links_are() {
    let bench = Bench::with(&[("sites.here", "symlinks = \"follow\"")]);
    bench.write("outside/secret", "secret");
    bench.write("here/a.exr", "a");
    symlink(bench.path("outside/secret"), bench.path("here/file")).unwrap();
    symlink("a.exr", bench.path("here/b.exr")).unwrap();
    let run = bench.sync().ends(0);
    run.sums(2, 0, 0);
    run.tells("file", "noted", "out of the root");
    assert_eq!(bench.read("there/b.exr").as_deref(), Some("a"));
}

#[test]
fn a_link_out_of_the_root_at_the_destination_is_not_written_through() {
    let bench = Bench::new();
    fs::create_dir(bench.path("outside")).unwrap();
    symlink(bench.path("outside"), bench.path("there/sub")).unwrap();
    bench.write("here/sub/a.exr", "a");
    bench.write("here/b.exr", "b");
    let run = bench.sync().ends(1);
    run.sums(1, 1, 0);
    run.tells("sub/a.exr", "failed", "link");
    assert!(bench.tree("outside").is_empty());
}

#[test]
fn a_dangling_link_is_skipped_and_reported() {
    let bench = Bench::new();
    bench.write("here/a.exr", "a");
    symlink("nowhere", bench.path("here/dangling")).unwrap();
    let run = bench.sync().ends(0);
    run.sums(1, 0, 0);
    run.tells("dangling", "noted", "symbolic link");
}

#[test]
fn a_pipe_is_skipped_and_reported() {
    let bench = Bench::new();
    bench.write("here/a.exr", "a");
    let made = Command::new("mkfifo").arg(bench.path("here/pipe")).status();
    assert!(made.is_ok_and(|made| made.success()));
    let run = bench.sync().ends(0);
    run.sums(1, 0, 0);
    run.tells("pipe", "noted", "a pipe");
}

#[test]
fn a_socket_is_skipped_and_reported() {
    let bench = Bench::new();
    bench.write("here/a.exr", "a");
    let _socket = UnixListener::bind(bench.path("here/socket")).unwrap();
    let run = bench.sync().ends(0);
    run.sums(1, 0, 0);
    run.tells("socket", "noted", "a socket");
}

#[test]
fn a_pipe_at_the_destination_does_not_hang_the_run() {
    let bench = Bench::new();
    bench.write("here/a.exr", "a");
    bench.write("here/b.exr", "b");
    let made = Command::new("mkfifo").arg(bench.path("there/a.exr")).status();
    assert!(made.is_ok_and(|made| made.success()));
    let run = bench.sync().ends(1);
    assert_eq!(run.sum("transferred"), 1, "{run:#?}");
    assert!(run.told("a.exr").is_some(), "{run:#?}");
    assert_eq!(bench.read("there/b.exr").as_deref(), Some("b"));
}

#[test]
fn a_setuid_file_arrives_without_its_power() {
    let bench = Bench::with(&[("sites.there", "permissions = \"keep\"")]);
    bench.write("here/tool", "#!/bin/sh");
    bench.chmod("here/tool", 0o6755);
    bench.sync().ends(0).sums(1, 0, 0);
    let mode = fs::metadata(bench.path("there/tool")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755);
}

// Time.

#[test]
fn a_file_from_the_future_waits_no_longer_than_it_must_be_quiet() {
    let bench = Bench::with(&[("sync", "settle = \"2s\"")]);
    bench.write("here/a.exr", "a");
    let file = File::open(bench.path("here/a.exr")).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(86_400 * 365)).unwrap();
    let started = Instant::now();
    bench.sync().ends(0).sums(1, 0, 0);
    assert!(started.elapsed() >= Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    bench.sync().ends(0).sums(0, 0, 0);
}

#[test]
fn a_file_from_before_the_epoch_travels() {
    let bench = Bench::new();
    bench.write("here/a.exr", "a");
    let made =
        Command::new("touch").args(["-d", "1950-01-01"]).arg(bench.path("here/a.exr")).status();
    assert!(made.is_ok_and(|made| made.success()));
    bench.sync().ends(0).sums(1, 0, 0);
    bench.sync().ends(0).sums(0, 0, 0);
    let of = |site: &str| fs::metadata(bench.path(site).join("a.exr")).unwrap().mtime();
    assert_eq!(of("here"), of("there"));
}

// Two ends that disagree.

#[test]
fn a_change_at_the_destination_travels_back_to_what_has_the_file() {
    // Unchanged elsewhere: it travels again to every site that has it, requested or not.
    let bench = Bench::new();
    bench.write("here/a.ma", "ours");
    bench.sync().ends(0).sums(1, 0, 0);
    bench.write("there/a.ma", "somebody else's");
    let run = bench.sync().ends(0);
    assert_eq!(run.sum("transferred"), 1, "{run:#?}");
    assert_eq!(bench.read("here/a.ma").as_deref(), Some("somebody else's"));
}

#[test]
fn a_file_that_changed_at_both_ends_is_a_conflict_until_a_person_decides() {
    let bench = Bench::new();
    bench.write("here/a.ma", "first");
    bench.write("here/b.ma", "b");
    bench.sync().ends(0).sums(2, 0, 0);
    bench.write("here/a.ma", "mine");
    bench.write("there/a.ma", "theirs");
    bench.write("here/b.ma", "b again");
    let run = bench.sync().ends(1);
    run.sums(1, 0, 1);
    run.tells("a.ma", "conflict", "different content");
    let why = bench.run(&["why", "demo", "a.ma"]).ends(0).stdout;
    assert!(why.contains("found: at 'here' 4 B of 20") && why.contains("at 'there' 6 B"), "{why}");
    assert_eq!(bench.read("here/a.ma").as_deref(), Some("mine"));
    assert_eq!(bench.read("there/a.ma").as_deref(), Some("theirs"));
    assert_eq!(bench.read("there/b.ma").as_deref(), Some("b again"));
    // Nobody decided: it stays one, and nothing moves.
    bench.sync().ends(1).sums(0, 0, 1);
    assert_eq!(bench.read("there/a.ma").as_deref(), Some("theirs"));
    // A person takes this one.
    fs::copy(bench.path("here/a.ma"), bench.path("there/a.ma")).unwrap();
    bench.sync().ends(0).sums(0, 0, 0);
    assert_eq!(bench.read("there/a.ma").as_deref(), Some("mine"));
    bench.write("here/a.ma", "later");
    bench.sync().ends(0).sums(1, 0, 0);
    bench.assert_equal_sites();
}

#[test]
fn a_conflict_ends_when_a_person_takes_the_other_one() {
    let bench = Bench::new();
    bench.write("here/a.ma", "first");
    bench.sync().ends(0).sums(1, 0, 0);
    bench.write("here/a.ma", "mine");
    bench.write("there/a.ma", "theirs");
    bench.sync().ends(1).sums(0, 0, 1);
    fs::copy(bench.path("there/a.ma"), bench.path("here/a.ma")).unwrap();
    bench.sync().ends(0).sums(0, 0, 0);
    assert_eq!(bench.read("here/a.ma").as_deref(), Some("theirs"));
    assert_eq!(bench.counts("there"), states(&[("synced", 1)]));
}

#[test]
fn a_conflict_ends_when_a_person_removes_one_of_them() {
    let bench = Bench::new();
    bench.write("here/a.ma", "first");
    bench.sync().ends(0).sums(1, 0, 0);
    bench.write("here/a.ma", "mine");
    bench.write("there/a.ma", "theirs");
    bench.sync().ends(1).sums(0, 0, 1);
    bench.remove("there/a.ma");
    let _ = bench.sync().ends(0);
    assert_eq!(bench.read("here/a.ma").as_deref(), Some("mine"));
    assert_eq!(bench.read("there/a.ma").as_deref(), Some("mine"));
}

fn meet_for_the_first_time(bench: &Bench) {
    for site in ["here", "there"] {
        bench.write(&format!("{site}/equal.exr"), "the same");
        bench.write(&format!("{site}/differs.exr"), site);
        bench.write(&format!("{site}/only {site}.exr"), site);
    }
    let before = fs::metadata(bench.path("there/equal.exr")).unwrap();
    let run = bench.sync().ends(1);
    run.sums(1, 0, 1);
    assert_eq!(run.sum("adopted"), 1, "{run:#?}");
    run.tells("differs.exr", "conflict", "different content");
    let after = fs::metadata(bench.path("there/equal.exr")).unwrap();
    assert_eq!((before.ino(), before.ctime_nsec()), (after.ino(), after.ctime_nsec()));
    for site in ["here", "there"] {
        assert_eq!(bench.read(&format!("{site}/differs.exr")).as_deref(), Some(site));
    }
    assert_eq!(bench.read("there/only here.exr").as_deref(), Some("here"));
    assert_eq!(bench.read("here/only there.exr"), None);
    bench.sync().ends(1).sums(0, 0, 1);
}

#[test]
fn two_filled_sites_meet_for_the_first_time() {
    meet_for_the_first_time(&Bench::new());
}

#[test]
fn two_filled_sites_of_two_providers_meet_for_the_first_time() {
    meet_for_the_first_time(&Bench::streamed(&[]));
}

#[test]
fn files_of_one_size_and_time_that_differ_are_a_conflict_all_the_same() {
    let bench = Bench::new();
    bench.write("here/a.exr", "aaaa");
    bench.write("there/a.exr", "bbbb");
    let when = SystemTime::now() - Duration::from_secs(7200);
    for site in ["here", "there"] {
        File::open(bench.path(site).join("a.exr")).unwrap().set_modified(when).unwrap();
    }
    bench.sync().ends(1).sums(0, 0, 1);
    assert_eq!(bench.read("there/a.exr").as_deref(), Some("bbbb"));
}

#[test]
fn a_folder_where_the_file_should_be_costs_that_file_only() {
    let bench = Bench::new();
    bench.write("here/a", "a file");
    bench.write("here/b", "b");
    bench.write("there/a/inside", "kept");
    let run = bench.sync().ends(1);
    run.sums(1, 1, 0);
    run.tells("a", "failed", "folder");
    assert_eq!(bench.read("there/a/inside").as_deref(), Some("kept"));
}

#[test]
fn a_file_where_the_folder_should_be_costs_what_is_in_it_only() {
    let bench = Bench::new();
    bench.write("here/sub/a", "a");
    bench.write("here/b", "b");
    bench.write("there/sub", "a file");
    let run = bench.sync().ends(1);
    run.sums(1, 1, 0);
    run.tells("sub/a", "failed", "");
    let (_, reason) = run.told("sub/a").unwrap();
    assert!(reason.contains("folder") || reason.contains("directory"), "{reason}");
    assert_eq!(bench.read("there/sub").as_deref(), Some("a file"));
}

// What becomes less.

#[test]
fn a_file_deleted_at_its_source_stays_at_its_destination() {
    let bench = Bench::new();
    bench.write("here/a.exr", "a");
    bench.write("here/b.exr", "b");
    bench.sync().ends(0).sums(2, 0, 0);
    bench.remove("here/a.exr");
    bench.sync().ends(0).sums(0, 0, 0);
    assert_eq!(bench.read("there/a.exr").as_deref(), Some("a"), "deletes do not travel");
    assert_eq!(bench.read("here/a.exr"), None, "downloads are on request");
    assert_eq!(bench.counts("there"), states(&[("synced", 2)]));
    assert_eq!(bench.counts("here").get("synced"), Some(&1));
}

#[test]
fn a_file_deleted_at_both_ends_is_forgotten() {
    let bench = Bench::new();
    bench.write("here/a.exr", "a");
    bench.sync().ends(0).sums(1, 0, 0);
    bench.remove("here/a.exr");
    bench.remove("there/a.exr");
    bench.sync().ends(0).sums(0, 0, 0);
    assert!(bench.counts("here").is_empty() && bench.counts("there").is_empty());
}

#[test]
fn a_file_deleted_at_its_destination_comes_back() {
    let bench = Bench::new();
    bench.write("here/a.exr", "a");
    bench.sync().ends(0).sums(1, 0, 0);
    bench.remove("there/a.exr");
    bench.sync().ends(0).sums(1, 0, 0);
    bench.assert_equal_sites();
}

#[test]
fn a_folder_deleted_at_its_destination_comes_back() {
    let bench = Bench::new();
    bench.write("here/deep/er/a.exr", "a");
    bench.write("here/deep/b.exr", "b");
    bench.sync().ends(0).sums(2, 0, 0);
    bench.remove("there/deep");
    bench.sync().ends(0).sums(2, 0, 0);
    bench.assert_equal_sites();
}

#[test]
fn a_deleted_file_that_comes_back_the_same_is_adopted() {
    let bench = Bench::new();
    bench.write("here/a.exr", "a");
    bench.sync().ends(0).sums(1, 0, 0);
    bench.remove("here/a.exr");
    bench.sync().ends(0).sums(0, 0, 0);
    bench.write("here/a.exr", "a");
    let run = bench.sync().ends(0);
    run.sums(0, 0, 0);
    assert_eq!(run.sum("adopted"), 1);
}

#[test]
fn a_renamed_folder_is_new_and_the_old_one_stays() {
    let bench = Bench::new();
    bench.write("here/old/a.exr", "a");
    bench.write("here/old/b.exr", "b");
    bench.sync().ends(0).sums(2, 0, 0);
    bench.rename("here/old", "here/new");
    let run = bench.sync().ends(0);
    assert_eq!(run.sum("transferred"), 2, "{run:#?}");
    assert_eq!(bench.read("there/new/a.exr").as_deref(), Some("a"));
    assert_eq!(bench.read("there/old/a.exr").as_deref(), Some("a"), "deletes do not travel");
    bench.sync().ends(0).sums(0, 0, 0);
}

#[test]
fn a_file_that_became_a_folder_costs_what_is_in_it_only() {
    let bench = Bench::new();
    bench.write("here/a", "a file");
    bench.sync().ends(0).sums(1, 0, 0);
    bench.remove("here/a");
    bench.write("here/a/inside", "inside");
    bench.write("here/b", "b");
    let run = bench.sync().ends(1);
    run.sums(1, 1, 0);
    assert!(run.told("a/inside").is_some(), "{run:#?}");
    assert_eq!(bench.read("there/a").as_deref(), Some("a file"), "deletes do not travel");
    // A person removes what is in the way.
    bench.remove("there/a");
    bench.sync().ends(0).sums(1, 0, 0);
    bench.assert_equal_sites();
}

#[test]
fn a_folder_that_became_a_file_costs_that_file_only() {
    let bench = Bench::new();
    bench.write("here/a/inside", "inside");
    bench.sync().ends(0).sums(1, 0, 0);
    bench.remove("here/a");
    bench.write("here/a", "a file");
    bench.write("here/b", "b");
    let run = bench.sync().ends(1);
    run.sums(1, 1, 0);
    run.tells("a", "failed", "folder");
    assert_eq!(bench.read("there/a/inside").as_deref(), Some("inside"));
    bench.remove("there/a");
    bench.sync().ends(0).sums(1, 0, 0);
    bench.assert_equal_sites();
}
