//! What a service hears of at once: with an hour between two looks at a site, whatever arrives does so by
//! the watcher.

use std::fs;
use std::path::Path;

use sitesync_tests::bench::{Bench, Lines, Service, until};

/// Nothing is looked at again within the time of a test. What is found still has to be quiet for a while.
const WATCHED: Lines<'_> = &[
    ("sync", "loop_delay = \"1h\""),
    ("sync", "rescan = \"1h\""),
    ("sync", "settle = \"1s\""),
    ("sync", "download = \"all\""),
];

/// A file as a program leaves it: its time is now.
fn made(bench: &Bench, path: &str, content: &str) {
    let path = bench.path(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

#[track_caller]
fn arrives(bench: &Bench, path: &str, content: &str) {
    until(path, || bench.read(path).as_deref() == Some(content));
}

/// A service whose first look at both sites is over, so that a later one finds nothing new. The files of
/// `before` are there already.
fn watching(more: Lines<'_>, before: &[&str]) -> (Bench, Service) {
    let bench = Bench::with(&[WATCHED, more].concat());
    before.iter().for_each(|path| bench.write(&format!("here/{path}"), path));
    let service = bench.serve();
    // A first look reads each folder once, and ends with what it found in place; what comes after that is
    // heard of.
    for name in ["first", "second", "third"] {
        for (from, to) in [("here", "there"), ("there", "here")] {
            made(&bench, &format!("{from}/{name}_{from}.txt"), name);
            arrives(&bench, &format!("{to}/{name}_{from}.txt"), name);
        }
    }
    before.iter().for_each(|path| arrives(&bench, &format!("there/{path}"), path));
    (bench, service)
}

#[test]
fn a_new_file_at_either_site() {
    let (bench, service) = watching(&[], &[]);
    made(&bench, "here/new.exr", "made here");
    made(&bench, "there/other.exr", "made there");
    arrives(&bench, "there/new.exr", "made here");
    arrives(&bench, "here/other.exr", "made there");
    let _ = service.end().ends(0);
    bench.assert_equal_sites();
}

/// Folders that are made one in the other before anybody can watch the outer one.
#[test]
fn files_in_folders_made_since() {
    let (bench, _service) = watching(&[], &[]);
    for n in 0..4 {
        made(&bench, &format!("here/a{n}/b/c/d/deep.exr"), "deep");
        made(&bench, &format!("here/a{n}/b/middle.exr"), "middle");
    }
    for n in 0..4 {
        arrives(&bench, &format!("there/a{n}/b/c/d/deep.exr"), "deep");
        arrives(&bench, &format!("there/a{n}/b/middle.exr"), "middle");
    }
    // What comes there later is heard of as well.
    made(&bench, "here/a0/b/c/d/later.exr", "later");
    made(&bench, "here/a0/b/c/d/e/f/latest.exr", "latest");
    arrives(&bench, "there/a0/b/c/d/later.exr", "later");
    arrives(&bench, "there/a0/b/c/d/e/f/latest.exr", "latest");
}

/// As programs save: all of it beside the file, then one step.
#[test]
fn a_file_that_is_renamed_into_place() {
    let (bench, _service) =
        watching(&[("sync", "exclude = [\"*.part\"]")], &["shot/scene.ma", "shot/b.ma"]);
    made(&bench, "here/shot/new.ma.part", "a scene");
    bench.rename("here/shot/new.ma.part", "here/shot/new.ma");
    arrives(&bench, "there/shot/new.ma", "a scene");
    made(&bench, "here/shot/scene.ma.part", "the scene, saved again");
    bench.rename("here/shot/scene.ma.part", "here/shot/scene.ma");
    arrives(&bench, "there/shot/scene.ma", "the scene, saved again");
    // From outside of all that is watched.
    made(&bench, "elsewhere/b.ma", "rendered on a local disk");
    bench.rename("elsewhere/b.ma", "here/shot/b.ma");
    arrives(&bench, "there/shot/b.ma", "rendered on a local disk");
    let left = fs::read_dir(bench.path("there/shot")).unwrap().count();
    assert_eq!(left, 3, "what was renamed did not travel under its first name");
}

#[test]
fn a_folder_that_is_renamed() {
    let before = ["shot/v001/a.exr", "shot/v001/deeper/b.exr"];
    let (bench, _service) = watching(&[("sync", "deletes = \"propagate\"")], &before);
    bench.rename("here/shot/v001", "here/shot/v002");
    arrives(&bench, "there/shot/v002/a.exr", "shot/v001/a.exr");
    arrives(&bench, "there/shot/v002/deeper/b.exr", "shot/v001/deeper/b.exr");
    // To a watcher, a rename is what vanished and what appeared.
    until("what is gone is gone", || {
        before.iter().all(|path| bench.read(&format!("there/{path}")).is_none())
    });
    // The folder is watched under its new name, and one that was moved here too.
    made(&bench, "here/shot/v002/deeper/c.exr", "later");
    arrives(&bench, "there/shot/v002/deeper/c.exr", "later");
    made(&bench, "elsewhere/v003/deeper/d.exr", "moved here");
    bench.rename("elsewhere/v003", "here/shot/v003");
    arrives(&bench, "there/shot/v003/deeper/d.exr", "moved here");
    made(&bench, "here/shot/v003/deeper/e.exr", "later still");
    arrives(&bench, "there/shot/v003/deeper/e.exr", "later still");
}

/// Neither name nor size tell that it is another content.
#[test]
fn other_content_of_the_same_size() {
    let (bench, _service) = watching(&[], &["shot/a.exr"]);
    let size = "shot/a.exr".len();
    for (at, to, letter) in [("here", "there", "1"), ("here", "there", "2"), ("there", "here", "3")]
    {
        let content = letter.repeat(size);
        made(&bench, &format!("{at}/shot/a.exr"), &content);
        arrives(&bench, &format!("{to}/shot/a.exr"), &content);
        // What is replaced while it is on its way would be a conflict.
        until("it is recorded", || bench.run(&["queue", "--json"]).lines().is_empty());
    }
    bench.assert_equal_sites();
}

/// A frame that is written for a while travels once, whole, when it is quiet.
#[test]
fn a_file_that_grows() {
    let (bench, _service) = watching(&[("sync", "retry_count = 1")], &[]);
    let path = bench.path("here/render.exr");
    let mut content = String::new();
    for n in 0..50 {
        content.push_str(&format!("tile {n}\n"));
        append(&path, &format!("tile {n}\n"));
    }
    arrives(&bench, "there/render.exr", &content);
    append(&path, "the last tile\n");
    content.push_str("the last tile\n");
    arrives(&bench, "there/render.exr", &content);
}

fn append(path: &Path, text: &str) {
    use std::io::Write as _;
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// The sites' own files wake nobody: with nothing new, nothing is done.
#[test]
fn what_sitesync_writes_itself_is_no_news() {
    let (bench, service) = watching(&[], &["shot/a.exr"]);
    made(&bench, "here/shot/a.exr", "changed here");
    arrives(&bench, "there/shot/a.exr", "changed here");
    made(&bench, "here/last.exr", "last");
    arrives(&bench, "there/last.exr", "last");
    until("all is recorded", || bench.counts("there").get("synced") == Some(&8));
    let run = service.end().ends(0);
    assert!(!run.stderr.contains("WARN") && !run.stderr.contains("ERROR"), "{run:#?}");
    // What was replaced went to the trash once, and nothing came back.
    bench.assert_equal_sites();
    bench.sync().ends(0).sums(0, 0, 0);
}
