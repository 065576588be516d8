//! The public states of files: what pauses make of them, and commands that are about one.

use sitesync_tests::bench::Bench;

/// A bench with two files that are queued to `there`, which is away.
fn queued() -> Bench {
    let bench = Bench::new();
    bench.write("here/old/z.exr", "z");
    bench.sync().ends(0).sums(1, 0, 0);
    bench.rename("there", "away");
    bench.write("here/shots/a.exr", "a");
    bench.write("here/shots/b.exr", "bb");
    let _ = bench.run(&["publish", "demo", "here/shots"]).ends(0);
    bench
}

#[test]
fn what_a_wide_pause_reaches_is_shown_as_paused() {
    let bench = queued();
    let shown = |words: &[&str]| {
        let run = bench.run(words).ends(0);
        (run.stdout.matches("paused").count(), run.stdout.matches("queued").count())
    };
    for pause in [&[][..], &["demo"], &["--site", "there"], &["--site", "here"]] {
        assert_eq!(shown(&["queue", "demo"]), (0, 2));
        assert_eq!(shown(&["queue", "demo", "--by", "representation"]), (0, 1));
        let _ = bench.run(&[&["pause"], pause].concat()).ends(0);
        assert_eq!(shown(&["queue", "demo"]), (2, 0), "{pause:?}");
        assert_eq!(shown(&["queue", "demo", "--state", "paused"]), (2, 0), "{pause:?}");
        let none = bench.run(&["queue", "demo", "--state", "queued"]).ends(0).stdout;
        assert!(none.contains("none in that state"), "{none}");
        let by = ["queue", "demo", "--by", "representation", "--state"];
        assert_eq!(shown(&[&by[..], &["paused"]].concat()), (1, 0), "{pause:?}");
        assert_eq!(shown(&[&by[..], &["queued"]].concat()), (0, 0), "{pause:?}");
        assert_eq!(shown(&["show", "demo", "shots"]), (1, 0), "{pause:?}");
        assert_eq!(shown(&["show", "demo", "{root[work]}/shots/a.exr"]), (1, 0), "{pause:?}");
        assert_eq!(shown(&["show", "demo", "--state", "paused"]), (1, 0), "{pause:?}");
        let counts = bench.counts("there");
        assert_eq!((counts.get("paused"), counts.get("queued")), (Some(&2), None), "{pause:?}");
        assert_eq!(bench.counts("here")["synced"], 3);
        let why = bench.run(&["why", "demo", "{root[work]}/shots/a.exr", "--json"]).ends(0).last();
        assert_eq!(why["sites"][1]["state"], "paused", "{why:#}");
        let _ = bench.run(&[&["resume"], pause].concat()).ends(0);
    }
    // Of a site that does not take part, nothing.
    bench.settings(&[("sites.other", "provider = \"local_drive\"")]);
    let _ = bench.run(&["pause", "--site", "other"]).ends(0);
    assert_eq!(shown(&["queue", "demo"]), (0, 2));
    // It has left the settings since.
    bench.settings(&[]);
    let _ = bench.run(&["pause", "--site", "other"]).ends(2);
    let run = bench.run(&["resume", "--site", "other"]).ends(0);
    assert_eq!(run.stdout, "it goes on\n");
    let _ = bench.run(&["resume", "--site", "none"]).ends(2);
}

#[test]
fn a_state_selects_files() {
    let bench = queued();
    let run = |words: &[&str]| bench.run(words).ends(0).last();
    assert_eq!(
        run(&["priority", "demo", "--state", "queued", "--to", "80", "--json"])["queued"],
        2
    );
    let rows = bench.run(&["queue", "demo", "--json"]).ends(0).lines();
    assert!(rows.iter().all(|row| row["priority"] == 80), "{rows:?}");
    assert!(bench.run(&["show", "demo", "--state", "queued"]).ends(0).stdout.contains("shots"));
    assert!(!bench.run(&["show", "demo", "--state", "queued"]).ends(0).stdout.contains("old"));
    let none = ["show", "demo", "--state", "failed"];
    assert_eq!(bench.run(&none).ends(0).stdout, "nothing is in that state\n");
    assert!(bench.run(&["show", "demo", "--state", "odd"]).ends(2).stderr.contains("states are"));

    bench.rename("away", "there");
    std::fs::create_dir_all(bench.path("there/shots/a.exr")).expect("a folder in the way");
    let _ = bench.sync().ends(1);
    assert_eq!(run(&["reset", "demo", "--state", "failed", "--json"])["files"], 1);
    assert_eq!(run(&["reset", "demo", "--state", "failed", "--json"])["files"], 0);
    let synced = ["remove", "demo", "--state", "synced", "--site", "there", "--json"];
    assert_eq!(run(&synced)["removed"], 2);
    assert_eq!(bench.read("there/shots/b.exr"), None);
    let again = ["request", "demo", "--state", "not_available", "--site", "there", "--json"];
    assert_eq!(run(&again)["queued"], 2);
}

#[test]
fn what_fits_nothing_says_what_would() {
    let bench = queued();
    bench.write("here/more/sh 1/a.exr", "a");
    let _ = bench.run(&["publish", "demo", "here/more"]).ends(0);
    let long = "x".repeat(100_000);
    for (selector, words) in [
        ("/etc/passwd", "/etc/passwd is beneath no root of the project"),
        ("{root[plates]}/a.exr", "has no root 'plates'"),
        ("{root[plates]}/a.exr", "roots are: work"),
        ("more", "what is beneath it: 'more/**'"),
        ("a\u{1b}[31mb", "`a\\u{1b}[31mb`"),
        (long.as_str(), "xxx..."),
    ] {
        for command in ["show", "why", "request"] {
            let to = ["--site", "there"];
            let to = if command == "request" { &to[..] } else { &[] };
            let run = bench.run(&[&[command, "demo", selector], to].concat()).ends(2);
            assert!(run.stderr.contains(words), "{command} {words}: {run:#?}");
            assert!(!run.stderr.contains('\u{1b}') && run.stderr.len() < 1000);
        }
    }
}

#[test]
fn what_is_to_be_done_is_told_with_real_names() {
    let bench = Bench::new();
    bench.write("here/my shots/a.exr", "ours");
    bench.write("there/my shots/a.exr", "theirs");
    bench.sync().ends(1).sums(0, 0, 1);
    let file = "{root[work]}/my shots/a.exr";
    let why = bench.run(&["why", "demo", file]).ends(0).stdout;
    assert!(why.contains("resolve demo 'my shots/a.exr' --keep "), "{why}");
    assert!(!why.contains("an older content of it is there"), "{why}");
    bench.write("here/b.exr", "b");
    let _ = bench.run(&["publish", "demo", "here/b.exr"]).ends(0);
    let _ = bench.run(&["pause", "demo", "--site", "there"]).ends(0);
    let why = bench.run(&["why", "demo", "{root[work]}/b.exr"]).ends(0).stdout;
    assert!(why.contains("`sitesync resume demo --site there`"), "{why}");
}
