//! `sitesync publish`: what was made is recorded and travels at once, beside a running service and
//! without one.

use std::io::Write;
use std::process::Stdio;

use sitesync_tests::bench::{Bench, Lines, Run, until, wait};

/// What the documentation shows is what is printed.
const PAGE: &str = include_str!("../../docs/publishing.md");
const RENDER: &str = "shots/sh010/publish/render/renderMain/v003";

/// Nothing travels by itself for hours: neither by a scan nor because it has settled.
const SLOW: Lines<'_> = &[
    ("sync", "settle = \"2h\""),
    ("sync", "rescan = \"2h\""),
    ("sync", "loop_delay = \"1h\""),
    ("sync", "watch = false"),
];

fn publish(bench: &Bench, arguments: &[&str]) -> Run {
    let all: Vec<&str> = ["publish", "demo"].iter().chain(arguments).copied().collect();
    bench.run(&all)
}

fn fed(bench: &Bench, arguments: &[&str], input: &str) -> Run {
    let mut command = bench.command(arguments);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("the binary");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("input");
    wait(child)
}

fn frame(n: u32) -> String {
    format!("{RENDER}/demo_sh010_renderMain_v003.{n}.exr")
}

#[test]
fn a_sequence_with_a_hole_is_told_and_queued() {
    let bench = Bench::with(SLOW);
    for n in (1001..=1100).filter(|n| *n != 1057) {
        bench.write(&format!("here/{}", frame(n)), format!("frame {n}"));
    }
    let run = publish(&bench, &[&format!("here/{RENDER}"), "--priority", "80"]).ends(0);
    assert_eq!(
        run.stdout,
        "shots/sh010/renderMain/v003/exr: 99 files, 990 B\n  \
         demo_sh010_renderMain_v003.####.exr 1001-1100, 1057 missing\n\
         99 files published at 'here' (99 new); 99 transfers queued\n"
    );
    assert!(PAGE.contains(&run.stdout));
    assert_eq!((bench.counts("here")["synced"], bench.counts("there")["queued"]), (99, 99));
    let queue = bench.run(&["queue", "demo", "--json"]).ends(0).lines();
    assert!(queue.iter().all(|line| line["detail"] == "queued" && line["priority"] == 80));

    // Once more there is nothing new; then what was missing comes.
    let again = publish(&bench, &[&format!("here/{RENDER}"), "--json"]).ends(0).last();
    assert_eq!((&again["same"], &again["new"]), (&99.into(), &0.into()));
    bench.write(&format!("here/{}", frame(1057)), "frame 1057");
    let missing = format!("{{root[work]}}/{}", frame(1057));
    let run = publish(&bench, &[&missing, "--json"]).ends(0).last();
    assert_eq!((&run["new"], &run["queued"]), (&1.into(), &1.into()));
    bench.sync().ends(0).sums(100, 0, 0);
    bench.assert_equal_sites();
}

#[test]
fn a_service_brings_it_at_once() {
    let bench = Bench::with(SLOW);
    bench.write("here/found.ma", "one");
    let service = bench.serve();
    until("its first look has ended", || bench.counts("there").get("queued") == Some(&1));
    bench.write("here/scenes/a.ma", "one");
    std::fs::write(bench.path("here/scenes/b.ma"), "still warm").unwrap();
    let run = publish(&bench, &["here/scenes/*.ma"]).ends(0);
    assert!(run.stdout.contains("2 files published at 'here' (2 new)"), "{run:#?}");
    until("both are there", || {
        bench.read("there/scenes/b.ma").is_some() && bench.read("there/scenes/a.ma").is_some()
    });

    // A hero version: the same path, new content.
    until("it is known to be there", || bench.counts("there").get("synced") == Some(&2));
    std::fs::write(bench.path("here/scenes/a.ma"), "two").unwrap();
    let run = publish(&bench, &["{root[work]}/scenes/a.ma", "--json"]).ends(0).last();
    assert_eq!((&run["changed"], &run["queued"]), (&1.into(), &1.into()));
    until("it travels again", || bench.read("there/scenes/a.ma").as_deref() == Some("two"));
    until("it is known to be there", || bench.counts("there").get("synced") == Some(&2));
    let _ = service.end().ends(0);
}

#[test]
fn the_remote_site_need_not_be_there() {
    let bench = Bench::with(SLOW);
    bench.rename("there", "away");
    bench.write("here/a.ma", "one");
    let run = publish(&bench, &["here/a.ma"]).ends(0);
    assert!(run.stdout.ends_with("(1 new); 1 transfer queued\n"), "{run:#?}");
    let service = bench.serve();
    bench.write("here/b.ma", "two");
    let run = publish(&bench, &["here/b.ma"]).ends(0);
    assert!(run.stdout.ends_with("(1 new); 1 transfer queued\n"), "{run:#?}");
    let _ = service.end();
    bench.rename("away", "there");
    bench.sync().ends(0).sums(2, 0, 0);
    bench.assert_equal_sites();
}

#[test]
fn a_thousand_files_are_one_call() {
    let bench = Bench::with(SLOW);
    let paths: Vec<String> = (0..1000).map(|n| format!("here/f{:02}/{n}.ma", n / 50)).collect();
    for path in &paths {
        bench.write(path, path);
    }
    let all: Vec<&str> = paths.iter().map(String::as_str).collect();
    let run = publish(&bench, &[&all[..], &["--json"]].concat()).ends(0).last();
    assert_eq!(
        (&run["new"], &run["queued"], &run["left"]),
        (&1000.into(), &1000.into(), &0.into())
    );
    assert_eq!(run["representations"].as_array().unwrap().len(), 20);
    assert_eq!(bench.counts("there")["queued"], 1000);
}

#[test]
fn a_list_says_what_belongs_together() {
    let bench = Bench::with(SLOW);
    for name in ["a.ma", "b.jpg", "c.jpg", "d.txt"] {
        bench.write(&format!("here/in/{name}"), name);
    }
    let list = serde_json::json!([
        {"path": bench.path("here/in/a.ma"), "folder": "assets/tree", "product": "modelMain",
         "version": "v001", "name": "ma", "priority": 90},
        {"files": ["{root[work]}/in/b.jpg", "{root[work]}/in/c.jpg"], "folder": "assets/tree",
         "product": "textureMain", "version": "v001", "name": "jpg"},
        "here/in/d.txt",
    ]);
    let arguments = ["publish", "demo", "-", "--json", "--by", "anna"];
    let run = fed(&bench, &arguments, &list.to_string()).ends(0).last();
    let named = |one: &serde_json::Value| one["representation"].as_str().unwrap().to_owned();
    let mut names: Vec<String> =
        run["representations"].as_array().unwrap().iter().map(named).collect();
    names.sort();
    assert_eq!(names, ["assets/tree/modelMain/v001/ma", "assets/tree/textureMain/v001/jpg", "in"]);
    // As some editors write it, and by whoever it is.
    let mut command = bench.command(&["publish", "demo", "-"]);
    command.env_remove("USER").env_remove("LOGNAME").env("SITESYNC_USER", "");
    let mut child = command.stdin(Stdio::piped()).spawn().expect("the binary");
    let input = "\u{feff}[\"here/in/d.txt\"]";
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("input");
    let _ = wait(child).ends(0);
    assert!(bench.run(&["show", "demo", "in"]).ends(0).stdout.contains(" by "));
    // Paths, one a line.
    let run = fed(&bench, &["publish", "demo", "--json", "-"], "here/in/d.txt\n\nhere/in/b.jpg\n");
    assert_eq!(run.ends(0).last()["same"], 2);
    for (input, words) in [
        ("", "there is nothing in the list"),
        ("[{}]", "neither `path` nor `files`"),
        ("[{\"path\": \"a\", \"colour\": 1}]", "unknown field `colour`"),
        ("[{\"path\": \"a\", \"files\": []}]", "no file in its `files`"),
        ("[{\"path\": \"here/in/a.ma\", \"priority\": 0}]", "0 is no priority"),
        ("[1", "the list on stdin can't be read"),
    ] {
        let run = fed(&bench, &["publish", "demo", "-"], input).ends(2);
        assert!(run.stderr.contains(words), "{input}: {run:#?}");
    }
}

#[test]
fn what_is_wrong_is_named_and_nothing_is_done() {
    let bench = Bench::with(&[("sync", "exclude = [\"*.bak\"]")]);
    bench.write("here/a.ma", "one");
    bench.write("here/a.bak", "one");
    bench.write("elsewhere/a.ma", "one");
    for (arguments, words) in [
        (&["here/a.ma", "here/b.ma"][..], "here/b.ma is not there"),
        (&["here/*.mb"], "here/*.mb fits no file"),
        (&["here/a.bak"], "is left out by `exclude`"),
        (&["elsewhere/a.ma"], "is in no root of the project at this site"),
        (&["{root[plates]}/a.ma"], "has no root 'plates'"),
        (&["{root[work]}/../a.ma"], "leads out of its root"),
        (&["here/a.ma", "--version", "v1"], "can't be published as folder"),
        (&["here/a.ma", "--site", "nowhere"], "there is no site 'nowhere'"),
        (&["here/.sitesync"], "of sitesync's own"),
    ] {
        let run = publish(&bench, arguments).ends(2);
        assert!(run.stderr.contains(words), "{arguments:?}: {run:#?}");
        assert!(bench.counts("here").is_empty(), "{arguments:?}");
    }
}

#[test]
fn what_is_elsewhere_too_is_compared_first() {
    let bench = Bench::new();
    bench.write("there/a.ma", "theirs");
    bench.sync().ends(0).sums(0, 0, 0);
    bench.write("here/a.ma", "ours");
    let run = publish(&bench, &["here/a.ma", "--json"]).ends(0).last();
    assert_eq!((&run["compared"], &run["queued"]), (&1.into(), &1.into()));
    bench.sync().ends(1).sums(0, 0, 1);
    assert_eq!(bench.read("there/a.ma").as_deref(), Some("theirs"));
    assert_eq!(bench.read("here/a.ma").as_deref(), Some("ours"));
}

#[test]
fn what_failed_or_was_held_back_goes() {
    let bench = Bench::with(&[("sync", "max_change = 2")]);
    let all: Vec<String> = (0..10).map(|n| format!("scenes/{n}.ma")).collect();
    all.iter().for_each(|path| bench.write(&format!("here/{path}"), "one"));
    bench.sync().ends(0).sums(10, 0, 0);
    all.iter().for_each(|path| bench.write(&format!("here/{path}"), "two!"));
    let _ = bench.sync();
    assert_eq!(bench.read("there/scenes/3.ma").as_deref(), Some("one"), "a guard holds it");
    let run = publish(&bench, &["here/scenes/3.ma", "--json"]).ends(0).last();
    assert_eq!((&run["same"], &run["queued"]), (&1.into(), &1.into()));
    let _ = bench.sync();
    assert_eq!(bench.read("there/scenes/3.ma").as_deref(), Some("two!"));
    assert_eq!(bench.read("there/scenes/4.ma").as_deref(), Some("one"));
}

#[test]
fn what_is_known_is_shown() {
    let bench = Bench::with(&[
        ("sites.there", "alternative_sites = [\"door\"]"),
        ("sites.door", "provider = \"local_drive\""),
        ("sites.door", "root.work = \"DIR/door\""),
    ]);
    assert!(bench.run(&["show", "demo"]).ends(0).stdout.starts_with("nothing is known yet"));
    bench.write(&format!("here/{}", frame(1001)), "frame 1001");
    bench.write(&format!("here/{}", frame(1003)), "frame 1003");
    bench.write("here/notes.txt", "found");
    let _ =
        publish(&bench, &[&format!("here/{RENDER}"), "--by", "anna", "--priority", "70"]).ends(0);
    let queue = ["queue", "demo", "--by", "representation"];
    let run = bench.run(&queue).ends(0);
    assert_eq!(
        run.stdout,
        "project  representation                    state   priority  done  files  size  at\n\
         demo     shots/sh010/renderMain/v003/exr  queued        70     0      2  20 B  there\n"
            .replace("representation                    ", "representation                   ")
    );
    bench.sync().ends(0).sums(3, 0, 0);
    assert!(bench.run(&queue).ends(0).stdout.contains("the queue is empty"));

    let run = bench.run(&["show", "demo"]).ends(0);
    assert_eq!(
        run.stdout,
        "id  representation                   files  size  door    here    there\n\
         #1  shots/sh010/renderMain/v003/exr      2  20 B  synced  synced  synced\n\
         #2  .                                    1   5 B  synced  synced  synced\n"
    );
    let run = bench.run(&["show", "demo", "shots/**/latest/exr"]).ends(0);
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(lines[0], "shots/sh010/renderMain/v003/exr  (#1, 2 files, 20 B)");
    assert!(lines[1].starts_with("  published 20") && lines[1].ends_with("Z by anna, priority 70"));
    assert_eq!(
        lines[2..],
        [
            "  demo_sh010_renderMain_v003.####.exr 1001-1003, 1002 missing",
            "  here: synced",
            "  there: synced",
            "  door: synced, as the same storage as 'there'"
        ]
    );
    let run = bench.run(&["show", "demo", "{root[work]}/notes.txt", "--json"]).ends(0).last();
    assert_eq!((&run["representation"], &run["bytes"]), (&".".into(), &5.into()));
    let run = bench.run(&["show", "demo", "shots/none/**"]).ends(2);
    assert!(run.stderr.contains("nothing is known that fits `shots/none/**`"), "{run:#?}");

    let status = bench.run(&["status", "--json"]).ends(0).last();
    let counts = status["projects"][0]["counts"].as_array().unwrap().clone();
    let door = counts.iter().find(|count| count["site"] == "door").expect("a derived state");
    assert_eq!((&door["same_as"], &door["files"]), (&"there".into(), &3.into()));
}

#[test]
fn status_tells_what_is_kept_back_and_how_it_goes_on() {
    let bench = Bench::with(&[("sync", "max_change = 2")]);
    let all: Vec<String> = (0..10).map(|n| format!("here/scenes/{n}.ma")).collect();
    all.iter().for_each(|path| bench.write(path, "one"));
    bench.sync().ends(0).sums(10, 0, 0);
    all.iter().for_each(|path| bench.write(path, "two!"));
    let _ = bench.sync();
    for pause in [&["pause", "demo", "scenes"][..], &["pause", "--site", "there"], &["pause"]] {
        let _ = bench.run(pause).ends(0);
    }
    let run = bench.run(&["status"]).ends(0);
    for words in [
        "scenes\n  `sitesync resume demo scenes` lets it go on",
        "site 'there'\n  `sitesync resume --site there` lets it go on",
        "this host\n  `sitesync resume` lets it go on",
        "10 files (40 B) of project 'demo' would be replaced at site 'there', which is more than \
         `max_change` allows\n  if that is meant: `sitesync resume demo --held=change`",
    ] {
        assert!(run.stdout.contains(words), "{words}: {run:#?}");
        let shown = words.starts_with("site") || words.starts_with("10 files");
        assert!(!shown || PAGE.contains(words), "{words}");
    }
    let json = bench.run(&["status", "--json"]).ends(0).last();
    assert_eq!(json["pauses"].as_array().unwrap().len(), 3);
    assert_eq!(
        (&json["stopped"][0]["kind"], &json["stopped"][0]["files"]),
        (&"change".into(), &10.into())
    );
    for resume in [
        &["resume", "demo", "scenes"][..],
        &["resume", "--site", "there"],
        &["resume"],
        &["resume", "demo", "--held"],
    ] {
        let _ = bench.run(resume).ends(0);
    }
    bench.sync().ends(0).sums(10, 0, 0);
    bench.assert_equal_sites();
}

/// Nothing goes to a site that has no such root, and nobody waits for it there.
#[test]
fn a_root_that_one_end_lacks() {
    let bench = Bench::new();
    let with = |there: Lines<'_>| {
        let both: Lines<'_> = &[("sites.here", "root.publish = \"DIR/published\"")];
        bench.settings(&[both, there].concat());
    };
    with(&[]);
    bench.write("published/a.exr", "a");
    let path = "{root[publish]}/a.exr";
    let run = publish(&bench, &[path, "--json"]).ends(0).last();
    assert_eq!((&run["new"], &run["queued"]), (&1.into(), &0.into()));
    bench.sync().ends(0).sums(0, 0, 0);
    let why = ["why", "demo", path, "--site", "there"];
    let run = bench.run(&why).ends(0);
    assert!(run.stdout.contains("site 'there' has no root 'publish'"), "{run:#?}");
    let _ = bench.run(&["ensure", "demo", path, "--site", "there", "--wait", "60s"]).ends(1);

    // Once it has one.
    std::fs::create_dir(bench.path("published_there")).expect("a folder");
    with(&[("sites.there", "root.publish = \"DIR/published_there\"")]);
    let run = publish(&bench, &[path, "--json"]).ends(0).last();
    assert_eq!(run["queued"], 1);
    // And has it no more: what was queued is told, and not under way for ever.
    with(&[]);
    let run = bench.sync().ends(1);
    run.sums(0, 1, 0);
    let run = bench.run(&why).ends(0);
    assert!(run.stdout.contains("its root is none that both 'here' and 'there' have"), "{run:#?}");
    with(&[("sites.there", "root.publish = \"DIR/published_there\"")]);
    bench.sync().ends(0).sums(1, 0, 0);
    assert_eq!(bench.read("published_there/a.exr").as_deref(), Some("a"));
}

/// Only another name regroups a file: what it was published as keeps its pause, and who made it.
#[test]
fn a_plain_path_keeps_what_it_was_published_as() {
    let bench = Bench::with(SLOW);
    bench.write("here/in/a.jpg", "one");
    let named = "--folder assets/tree --product textureMain --version v001 --name jpg --by anna";
    let named: Vec<&str> = named.split(' ').chain(["--priority", "90"]).collect();
    let _ = publish(&bench, &[&["here/in/a.jpg"], &named[..]].concat()).ends(0);
    let of = "assets/tree/textureMain/v001/jpg";
    let _ = bench.run(&["pause", "demo", of]).ends(0);
    bench.write("here/in/a.jpg", "two!");
    bench.write("here/in/b.jpg", "new");
    let run = publish(&bench, &["here/in/*.jpg"]).ends(0);
    assert!(run.stdout.contains(of) && run.stdout.contains("in: 1 file"), "{run:#?}");
    bench.sync().ends(0).sums(1, 0, 0);
    assert_eq!(bench.read("there/in/a.jpg"), None, "its representation is paused");
    let shown = bench.run(&["show", "demo", of]).ends(0).stdout;
    assert!(shown.contains("by anna, priority 90"), "{shown}");
    let _ = publish(&bench, &["here/in/a.jpg", "--version", "v002", "--product", "x"]).ends(2);
    let named: Vec<&str> = named.iter().map(|w| if *w == "v001" { "v002" } else { w }).collect();
    let _ = publish(&bench, &[&["here/in/a.jpg"], &named[..]].concat()).ends(0);
    bench.sync().ends(0).sums(1, 0, 0);
}

#[test]
fn what_can_not_travel_is_noted_in_a_folder_and_refused_by_name() {
    let bench = Bench::with(SLOW);
    bench.write("here/in/a.jpg", "one");
    std::os::unix::fs::symlink("a.jpg", bench.path("here/in/link.jpg")).expect("a link");
    for path in ["here/in", "here/in/*.jpg"] {
        let run = publish(&bench, &[path]).ends(0);
        assert!(run.stderr.contains("note: {root[work]}/in/link.jpg: "), "{run:#?}");
        assert!(run.stdout.contains("1 skipped"), "{run:#?}");
    }
    let _ = publish(&bench, &["here/in/link.jpg"]).ends(2);
}
