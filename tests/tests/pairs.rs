//! More sites than two: everything goes to those of `always_accessible_on`, whatever becomes of the
//! others; and what is paused stays where it is.

use std::fs;

use serde_json::json;
use sitesync::catalog::{FileState, Pause, Scope, Sqlite};
use sitesync_tests::bench::{Bench, Lines, Service, until};

/// A bench with a third site, `archive`, that is to have everything.
fn three(more: Lines<'_>) -> Bench {
    let bench = Bench::new();
    fs::create_dir(bench.path("archive")).unwrap();
    let mut lines = vec![
        ("sync", "always_accessible_on = [\"archive\"]"),
        ("sites.archive", "provider = \"local_drive\""),
        ("sites.archive", "root.work = \"DIR/archive\""),
    ];
    lines.extend_from_slice(more);
    bench.settings(&lines);
    bench
}

fn state(bench: &Bench, site: &str, state: FileState) -> u64 {
    bench.counts(site).get(state.name()).copied().unwrap_or(0)
}

#[test]
fn what_is_made_goes_to_every_site_that_is_to_have_it() {
    let bench = three(&[]);
    bench.write("here/shots/a.exr", "made here");
    bench.write("there/plates/b.exr", "made there");
    bench.sync().ends(0).sums(3, 0, 0);
    for (path, content) in [
        ("there/shots/a.exr", Some("made here")),
        ("archive/shots/a.exr", Some("made here")),
        ("archive/plates/b.exr", Some("made there")),
        // Nobody asked for it.
        ("here/plates/b.exr", None),
    ] {
        assert_eq!(bench.read(path).as_deref(), content, "{path}");
    }
    assert_eq!(state(&bench, "archive", FileState::Synced), 2);
    bench.sync().ends(0).sums(0, 0, 0);
    // New content goes everywhere again.
    bench.write("here/shots/a.exr", "made here, again");
    bench.sync().ends(0).sums(2, 0, 0);
    assert_eq!(bench.read("archive/shots/a.exr").as_deref(), Some("made here, again"));
}

#[test]
fn what_comes_goes_on_in_the_same_pass() {
    let bench = three(&[("sync", "download = \"all\"")]);
    for n in 0..20 {
        bench.write(&format!("there/plates/{n}.exr"), format!("plate {n}"));
    }
    bench.sync().ends(0).sums(40, 0, 0);
    assert_eq!(bench.tree("archive"), bench.tree("there"));
    assert_eq!(bench.tree("here"), bench.tree("there"));
}

/// Nothing goes to the other site by itself, so that nothing comes from there either: the look that finds
/// a file queues it for the third site, whose own pair looks there an hour later.
#[test]
fn what_is_found_goes_to_a_third_site_at_once() {
    let bench = three(&[
        ("sync", "upload = \"requested\""),
        ("sync", "loop_delay = \"1s\""),
        ("sync", "rescan = \"1h\""),
    ]);
    bench.sync().ends(0).sums(0, 0, 0);
    let _service = Service::of(bench.start(&["serve"]));
    // The first look at all sites is over when what comes after it is found.
    for name in ["first.exr", "new.exr", "newer.exr"] {
        bench.write(&format!("here/{name}"), "new");
        until("it is there", || bench.read(&format!("archive/{name}")).is_some());
        assert_eq!(bench.read(&format!("there/{name}")), None);
    }
}

/// A site that has nothing yet is brought what is new; where older content is, that is counted, although
/// its own pair looks at where people work an hour later.
#[test]
fn a_flood_stops_before_a_third_site() {
    let bench = three(&[
        ("sync", "max_change = 2"),
        ("sync", "loop_delay = \"1s\""),
        ("sync", "rescan = \"1h\""),
    ]);
    let _ = bench.run(&["pause", "--site", "there"]).ends(0);
    for n in 0..10 {
        bench.write(&format!("here/{n}.exr"), "frame");
    }
    let _ = bench.sync();
    assert_eq!(state(&bench, "archive", FileState::Synced), 10);
    let _service = Service::of(bench.start(&["serve"]));
    // Its first look at all sites is over when what comes after it is found.
    bench.write("here/new.exr", "new");
    until("the service looks", || bench.read("archive/new.exr").is_some());
    for n in 0..5 {
        bench.write(&format!("here/{n}.exr"), "encrypted");
    }
    until("it stops", || state(&bench, "archive", FileState::Paused) == 5);
    let _ = bench.run(&["resume", "--site", "there"]).ends(0);
    until("it comes to the other", || state(&bench, "there", FileState::Synced) == 11);
    assert_eq!(state(&bench, "archive", FileState::Paused), 5);
    assert_eq!(bench.read("archive/0.exr").as_deref(), Some("frame"));
    let _ = bench.run(&["resume", "demo", "--held"]).ends(0);
    until("it is meant", || state(&bench, "archive", FileState::Synced) == 11);
    assert_eq!(bench.read("archive/0.exr").as_deref(), Some("encrypted"));
}

#[test]
fn a_site_that_is_away_stops_no_other() {
    let bench = three(&[]);
    bench.write("here/first.exr", "one");
    bench.sync().ends(0).sums(2, 0, 0);
    for (away, reached) in [("archive", "there"), ("there", "archive")] {
        bench.rename(away, "away");
        let name = format!("without_{away}.exr");
        bench.write(&format!("here/{name}"), "two");
        let run = bench.sync().ends(1);
        let told = run.lines().into_iter().filter(|line| line["state"] == "offline");
        assert!(told.into_iter().all(|line| line["site"] == away), "{run:?}");
        assert_eq!(run.sum("offline"), 1, "it is told of once: {run:?}");
        assert_eq!(bench.read(&format!("{reached}/{name}")).as_deref(), Some("two"));
        bench.rename("away", away);
        bench.sync().ends(0).sums(1, 0, 0);
        assert_eq!(bench.read(&format!("{away}/{name}")).as_deref(), Some("two"));
    }
    assert_eq!(state(&bench, "archive", FileState::Synced), 3);
}

/// Waits until the two other sites have the first file. Before it arrives, there may be no catalog to ask.
fn until_both_have_it(bench: &Bench) {
    for site in ["there", "archive"] {
        until(site, || bench.read(&format!("{site}/first.exr")).is_some());
        until(site, || state(bench, site, FileState::Synced) == 1);
    }
}

/// All three lie on one storage, of which a root that is gone says nothing.
#[test]
fn a_root_that_is_gone_stops_no_other_of_its_storage() {
    let bench = three(&[("sync", "loop_delay = \"1s\""), ("sync", "rescan = \"1s\"")]);
    let log = bench.path("log");
    let told = |words: &str| fs::read_to_string(&log).unwrap().contains(words);
    let mut serve = bench.command(&["serve"]);
    let service = serve.stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
    let _service = Service::of(service);
    bench.write("here/first.exr", "one");
    until_both_have_it(&bench);
    bench.rename("there", "away");
    bench.write("here/second.exr", "two");
    until("the other site has it", || bench.read("archive/second.exr").is_some());
    until("its pair ends", || told("trying again in"));
    assert!(told("site 'there': "), "it is named");
    bench.rename("away", "there");
    until("it goes on", || bench.read("there/second.exr").is_some());
    assert!(!told("left alone until"), "{}", fs::read_to_string(&log).unwrap());
}

/// Where people work is looked at all the same, by the next pair.
#[test]
fn a_site_that_is_offline_is_told_of_until_it_is_back() {
    let bench = three(&[("sync", "loop_delay = \"1s\""), ("sync", "rescan = \"1h\"")]);
    let _service = Service::of(bench.start(&["serve"]));
    let offline = || {
        let status = bench.run(&["status", "--json"]).ends(0).last();
        status["offline"].as_array().cloned().unwrap_or_default()
    };
    bench.write("here/first.exr", "one");
    until_both_have_it(&bench);
    assert!(offline().is_empty());
    bench.rename("there", "away");
    until("it is noticed", || !offline().is_empty());
    for one in offline() {
        assert_eq!((&one["site"], &one["project"]), (&json!("there"), &json!("demo")), "{one}");
        assert!(one["reason"].as_str().is_some_and(|why| why.contains("no such folder")), "{one}");
    }
    bench.write("here/second.exr", "two");
    until("the other site has it", || bench.read("archive/second.exr").is_some());
    // Each pair of the site notices by itself.
    let tells = |arguments: &[&str], code: i32, words: &str| {
        until(words, || {
            let run = bench.run(arguments).ends(code);
            run.stdout.contains(words) || run.stderr.contains(words)
        });
    };
    tells(&["status"], 0, "there: offline, tried again at 20");
    tells(&["why", "demo", "second.exr", "--site", "there"], 0, "it waits: for site 'there': ");
    let ensure = ["ensure", "demo", "second.exr", "--site", "there", "--wait", "1s"];
    tells(&ensure, 4, "are not at 'there' yet: 'second.exr': site 'there': ");
    bench.rename("away", "there");
    until("it goes on", || bench.read("there/second.exr").is_some());
    until("it is over", || offline().is_empty());
}

/// It is used by a pair, whether or not it is the remote site.
#[test]
fn a_third_site_is_shown_and_asked_like_the_others() {
    let bench = three(&[]);
    let projects = bench.run(&["projects", "--json"]).ends(0).last();
    assert_eq!(projects["always_accessible_on"], json!(["archive"]), "{projects}");
    assert_eq!(projects["pairs"][1], json!(["here", "archive"]), "{projects}");
    assert!(projects["roots"]["archive"]["work"].is_string(), "{projects}");
    assert!(bench.run(&["projects"]).ends(0).stdout.contains("always on: archive"));
    let sites = bench.run(&["sites"]).ends(0);
    assert!(sites.stdout.contains("archive"), "{sites:?}");
    let doctor = bench.run(&["doctor"]).ends(0);
    let pairs = "here to there, here to archive, there to archive";
    assert!(doctor.stdout.contains(pairs), "{doctor:?}");
    assert!(!doctor.stdout.contains("no project that is enabled uses it"), "{doctor:?}");

    bench.remove("archive");
    let sites = bench.run(&["sites"]).ends(1);
    assert!(sites.stderr.contains("offline: site 'archive': "), "{sites:?}");
    let doctor = bench.run(&["doctor"]).ends(1);
    assert!(doctor.stdout.contains("site archive: demo/work"), "{doctor:?}");
}

#[test]
fn a_project_whose_main_pair_is_idle_works_for_its_other_sites() {
    let bench = three(&[("sites.there", "enabled = false")]);
    bench.write("here/a.exr", "one");
    bench.sync().ends(0).sums(1, 0, 0);
    assert_eq!(bench.read("archive/a.exr").as_deref(), Some("one"));
    assert_eq!(bench.read("there/a.exr"), None);
}

#[test]
fn what_is_paused_waits_through_restarts() {
    let bench = three(&[]);
    bench.sync().ends(0).sums(0, 0, 0);
    let scope = |site: &str| {
        let catalog = Sqlite::open(&bench.path("state")).unwrap();
        let site = catalog.read(|view| view.site(site)).unwrap();
        assert!(site.is_some());
        Scope { site, ..Scope::default() }
    };
    let paused = scope("archive");
    let pause = Pause { scope: paused, since: 1_774_960_496_000, by: "anna".to_owned() };
    let catalog = Sqlite::open(&bench.path("state")).unwrap();
    catalog.write_blocking(move |unit| unit.put_pause(&pause)).unwrap();
    drop(catalog);

    // What is found is queued; what goes elsewhere goes.
    bench.write("here/a.exr", "one");
    for transferred in [1, 0] {
        let run = bench.sync().ends(0);
        run.sums(transferred, 0, 0);
        let why = "site 'archive' is paused since 2026-03-31T12:34:56Z by anna";
        run.tells("", "noted", why);
    }
    assert_eq!(bench.read("there/a.exr").as_deref(), Some("one"));
    assert_eq!(bench.read("archive/a.exr"), None);
    assert_eq!(state(&bench, "archive", FileState::Paused), 1);

    let catalog = Sqlite::open(&bench.path("state")).unwrap();
    assert!(catalog.write_blocking(move |unit| unit.drop_pause(&paused)).unwrap());
    drop(catalog);
    bench.sync().ends(0).sums(1, 0, 0);
    assert_eq!(bench.read("archive/a.exr").as_deref(), Some("one"));
}

/// A copy that is to be removed itself is brought nowhere.
#[test]
fn what_is_deleted_stays_deleted_at_three_sites() {
    let bench = three(&[("sync", "deletes = \"propagate\""), ("sync", "download = \"all\"")]);
    for n in 0..60 {
        bench.write(&format!("here/plates/{n}.exr"), format!("plate {n}"));
    }
    bench.sync().ends(0).sums(120, 0, 0);
    for n in 0..60 {
        let site = ["here", "there", "archive"][n % 3];
        fs::remove_file(bench.path(&format!("{site}/plates/{n}.exr"))).unwrap();
    }
    for _ in 0..2 {
        bench.sync().ends(0).sums(0, 0, 0);
    }
    for site in ["here", "there", "archive"] {
        let left = (0..60).find(|n| bench.read(&format!("{site}/plates/{n}.exr")).is_some());
        assert_eq!(left, None, "at {site}");
    }
}
