//! `sitesync provider verify`: the real binary tries real plug-ins on real sites.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use sitesync_tests::bench::{Bench, until, wait};

const VERIFY: &[&str] = &["provider", "verify", "local_drive", "--site", "there"];

/// Everything beneath a folder, sitesync's own included: path, size, modification time.
fn everything(folder: &Path) -> BTreeMap<PathBuf, (u64, i64, i64)> {
    let (mut found, mut left) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").flatten() {
            let about = entry.metadata().expect("its metadata");
            if about.is_dir() {
                left.push(entry.path());
            }
            found.insert(entry.path(), (about.size(), about.mtime(), about.mtime_nsec()));
        }
    }
    found
}

/// A site with what a studio has, and what a service at work would have left there.
fn site_in_use() -> (Bench, BTreeMap<PathBuf, (u64, i64, i64)>) {
    let bench = Bench::new();
    // Makes the site id.
    let _ = bench.run(&["sites"]).ends(0);
    let site = fs::read_to_string(bench.path("state/site-id")).expect("the site id");
    let site = site.split_whitespace().next().expect("an id");
    bench.write("there/shots/sq01/v001.exr", "frames");
    bench.write("there/notes.tmp", "a user's");
    bench.write(&format!("there/shots/.sitesync-{site}-0123456789abcdef-1.tmp"), "under way");
    let before = everything(&bench.path("there"));
    (bench, before)
}

/// Arguments after the common ones.
fn verify<'a>(more: &[&'a str]) -> Vec<&'a str> {
    VERIFY.iter().chain(more).copied().collect()
}

#[test]
fn local_drive_passes_and_the_storage_is_as_before() {
    let (bench, before) = site_in_use();
    let run = bench.run(VERIFY).ends(0);
    assert!(run.stdout.contains("local_drive at 'there'"), "{run:#?}");
    assert!(run.stdout.contains(" passed"), "{run:#?}");
    assert!(!run.stdout.contains("failed"), "{run:#?}");
    assert_eq!(everything(&bench.path("there")), before);
    assert!(!bench.path("state/catalog.db").exists(), "the catalog is none of its business");
}

#[test]
fn it_runs_beside_a_service() {
    let (bench, _) = site_in_use();
    let serve = bench.start(&["serve"]);
    until("the service runs", || {
        bench.run(&["status", "--json"]).last()["running"]["pid"] == serve.id()
    });
    let run = bench.run(&verify(&["--only", "what_was_written_is_read"]));
    kill_process(pid(serve.id()), Signal::TERM).expect("a signal");
    let _ = wait(serve).ends(0);
    let _ = run.ends(0);
}

#[test]
fn json_is_one_document() {
    let bench = Bench::new();
    let run = bench.run(&verify(&["--json", "--seed", "7", "--only", "finish"])).ends(0);
    assert_eq!(run.stdout.lines().count(), 1, "{run:#?}");
    let told = run.last();
    for (key, value) in [
        ("provider", "local_drive"),
        ("site", "there"),
        ("project", "demo"),
        ("root", "work"),
        ("path", bench.path("there").to_str().expect("a path")),
    ] {
        assert_eq!(told[key], value, "{key}: {told:#}");
    }
    assert_eq!((told["seed"].as_u64(), told["failed"].as_u64()), (Some(7), Some(0)));
    assert_eq!(told["stopped"], false);
    assert_eq!(told["left_behind"].as_array().map(Vec::len), Some(0));
    let cases = told["cases"].as_array().expect("cases");
    assert_eq!(told["passed"].as_u64(), Some(cases.len() as u64), "{told:#}");
    for case in cases {
        assert!(case["name"].as_str().is_some_and(|name| name.contains("finish")), "{case}");
        assert!(case["why"].is_string() && case["seconds"].is_number(), "{case}");
        assert_eq!(case["outcome"], "pass", "{case}");
    }
}

/// A bench whose site `odd` has the plug-in that misbehaves.
fn misbehaving(fault: &str) -> Bench {
    let bench = Bench::new();
    let library = sitesync_tests::plugin("misbehaving").expect("the fixture");
    bench.plug("misbehaving", &fs::read(library).expect("the library"));
    bench.settings(&[
        ("sites.odd", "provider = \"misbehaving\""),
        ("sites.odd", "root.work = \"DIR/there\""),
        ("sites.odd", fault),
    ]);
    bench
}

#[test]
fn a_plug_in_that_misbehaves_fails_by_name() {
    let bench = misbehaving("fault = \"other_bytes\"");
    let arguments = ["provider", "verify", "misbehaving", "--site", "odd"];
    let run = bench.run(&arguments).ends(1);
    let told = bench.run(&[&arguments[..], &["--json"]].concat()).ends(1).last();
    let failed: Vec<&str> = told["cases"]
        .as_array()
        .expect("cases")
        .iter()
        .filter(|case| case["outcome"] == "fail")
        .filter_map(|case| case["name"].as_str())
        .collect();
    assert!(failed.contains(&"what_was_written_is_read"), "{told:#}");
    assert_eq!(told["failed"].as_u64(), Some(failed.len() as u64));
    // Who of two at once is first is another one in each run.
    let either = "either_it_is_deleted_or_replaced";
    for name in failed.into_iter().filter(|name| *name != either) {
        assert!(run.stdout.contains(&format!(": {name}\n  why it matters: ")), "{name}: {run:#?}");
    }
    assert!(run.stdout.contains("  what was seen:  "), "{run:#?}");
    assert_eq!(everything(&bench.path("there")), BTreeMap::new());
}

#[test]
fn a_plug_in_that_panics_or_refuses_is_told() {
    let arguments = ["provider", "verify", "misbehaving", "--site", "odd"];
    let run = misbehaving("fault = \"panic\"").run(&arguments).ends(3);
    assert!(run.stderr.contains("on purpose"), "{run:#?}");
    let refuses = "fault = \"error\"\ncall = \"connect\"\nkind = \"Unauthenticated\"";
    let run = misbehaving(refuses).run(&arguments).ends(3);
    assert!(run.stderr.contains("on purpose") && run.stderr.contains("credentials"), "{run:#?}");
}

#[test]
fn what_is_asked_wrongly_is_said_to_be_so() {
    let bench = Bench::new();
    bench.settings(&[("projects.other", "enabled = false")]);
    let wrong = |arguments: &[&str], error: &str, help: &str| {
        let run = bench.run(&[&["provider", "verify"], arguments].concat()).ends(2);
        let told = format!("error: {error}\n  help: {help}\n");
        assert!(run.stderr.ends_with(&told), "not {told:?}: {run:#?}");
        assert_eq!(run.stdout, "");
    };
    wrong(
        &["gdrive", "--site", "there"],
        "the provider of site 'there' is 'local_drive', not 'gdrive'",
        "no site has it: give a [sites.NAME] `provider = \"gdrive\"` and a root for trials",
    );
    wrong(
        &["local_drive", "--site", "ther"],
        "there is no site 'ther'",
        "sites are: here, local, studio, there",
    );
    wrong(
        &["local_drive", "--site", "there", "--root", "publish"],
        "no project has a root 'publish' at site 'there'",
        "roots there are: work of demo, work of other",
    );
    wrong(
        &["local_drive", "--site", "there", "--project", "demmo"],
        "there is no project 'demmo' in the settings",
        "projects are: demo, other",
    );
    wrong(
        &["local_drive", "--site", "local"],
        "no project has a root at site 'local'",
        "add a [projects.NAME], and a root to [sites.local]",
    );
    wrong(
        &["local_drive", "--site", "there", "--only", "what_was_red"],
        "no case is called 'what_was_red'",
        "without --only, all cases are tried, and named",
    );
}

#[test]
fn a_site_that_is_offline_can_not_be_tried() {
    let bench = Bench::new();
    bench.remove("there");
    let run = bench.run(VERIFY).ends(3);
    assert!(run.stderr.contains("error: site 'there': "), "{run:#?}");
    assert!(run.stderr.contains("help: is the disk mounted?"), "{run:#?}");
    assert!(!bench.path("there").exists(), "it is never made");

    let bench = Bench::with(&[("sites.there", "mounted = true")]);
    let run = bench.run(VERIFY).ends(3);
    assert!(run.stderr.contains("nothing is mounted at"), "{run:#?}");
    assert_eq!(everything(&bench.path("there")), BTreeMap::new());
}

#[test]
fn ctrl_c_removes_what_was_made() {
    let (bench, before) = site_in_use();
    let child = bench.start(VERIFY);
    until("it has begun", || everything(&bench.path("there")).len() > before.len());
    kill_process(pid(child.id()), Signal::INT).expect("a signal");
    let run = wait(child).ends(1);
    assert!(run.stderr.contains("interrupted: not all cases were tried"), "{run:#?}");
    let after = everything(&bench.path("there"));
    for path in after.keys().filter(|path| !before.contains_key(*path)) {
        let name = path.strip_prefix(bench.path("there")).expect("beneath").display().to_string();
        assert!(run.stderr.contains(&name), "{name} was left, and nobody told: {run:#?}");
    }
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(i32::try_from(id).expect("a process id")).expect("not 0")
}
