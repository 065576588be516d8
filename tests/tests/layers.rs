//! Settings of several layers, through the real binary.

use std::fs;
use std::process::Command;

use serde_json::Value;
use sitesync_tests::bench::{Bench, Run};

/// Files go from this machine's own site to `there`.
const FROM_HERE: &str = "[sync]\nactive_site = \"local\"\nremote_site = \"there\"\nsettle = 0\n\
    [sites.there]\nprovider = \"local_drive\"\nroot.work = \"DIR/there\"\n[projects.demo]\n";

fn local(bench: &Bench, text: &str) {
    let text = text.replace("DIR", &bench.path("").display().to_string());
    fs::write(bench.path("state/local.toml"), text).expect("local.toml");
    bench.chmod("state/local.toml", 0o600);
}

fn run(command: &mut Command) -> Run {
    let output = command.output().expect("a run");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// The value of a key with where it comes from, as `config show --json` has it.
fn shown(run: &Run, key: &str) -> Value {
    let found = run.lines().into_iter().find(|line| line["key"] == key);
    found.unwrap_or_else(|| panic!("no {key}: {run:#?}"))
}

#[test]
fn every_layer_has_its_say() {
    let bench = Bench::with(&[("sync", "priority = 20"), ("sites.there", "token = \"t0ps3cret\"")]);
    local(&bench, "[sync]\nremote_site = \"here\"\n[sites.there]\nslots = 7\n");
    let mut command = bench.command(&["config", "show", "--json", "--set", "sync.verify=full"]);
    command.env("SITESYNC_SET", "sync.priority=40\nsync.loop_delay=5s");
    let run = run(&mut command).ends(0);
    for (key, value, layer, line) in [
        ("sync.settle", Value::from("0s"), "system", Some(4)),
        ("sync.remote_site", Value::from("here"), "local", Some(2)),
        ("sites.there.slots", Value::from(7), "local", Some(4)),
        ("sync.priority", Value::from(40), "environment", Some(1)),
        ("projects.demo.loop_delay", Value::from("5s"), "environment", Some(2)),
        ("projects.demo.verify", Value::from("full"), "flags", Some(1)),
        ("sync.upload", Value::from("all"), "built-in", None),
    ] {
        let found = shown(&run, key);
        assert_eq!((&found["value"], &found["layer"]), (&value, &Value::from(layer)), "{found}");
        assert_eq!(found["line"], line.map_or(Value::Null, Value::from), "{found}");
    }
    assert_eq!(shown(&run, "sites.there.token")["value"], "***");
    let file = shown(&run, "sync.settle")["file"].clone();
    assert!(file.as_str().is_some_and(|file| file.ends_with("sitesync.toml")), "{file}");

    let text = bench.run(&["config", "show", "demo", "--origin"]).ends(0);
    assert!(!text.stdout.contains("t0ps3cret") && !run.stdout.contains("t0ps3cret"));
    assert!(text.stdout.starts_with("[projects.demo]\n"), "{text:#?}");
    let line = text.stdout.lines().find(|line| line.starts_with("remote_site")).expect("a line");
    assert!(
        line.starts_with("remote_site = \"here\"  # /") && line.ends_with("local.toml:2 (local)")
    );
}

#[test]
fn a_wrong_local_file_stops_everything() {
    let bench = Bench::new();
    local(&bench, "[sync]\ndownload = \"all\"\n");
    for arguments in [&["sync"][..], &["status"], &["config", "check"], &["config", "show"]] {
        let run = bench.run(arguments).ends(2);
        assert!(run.stderr.contains("local.toml:2:1"), "{run:#?}");
    }
    // Another one, or none that is there.
    fs::write(bench.path("mine.toml"), "").expect("a file");
    let mine = bench.path("mine.toml").display().to_string();
    let _ = bench.run(&["config", "check", "--local-file", &mine]).ends(0);
    let run = bench.run(&["config", "check", "--local-file", "/nowhere.toml"]).ends(2);
    assert!(run.stderr.contains("/nowhere.toml"), "{run:#?}");
}

#[test]
fn the_files_that_are_looked_at_are_listed() {
    let bench = Bench::new();
    let used = |run: &Run, layer: &str| {
        let files = run.last()["files"].as_array().cloned().unwrap_or_default();
        files.iter().any(|file| file["layer"] == layer && file["used"] == true)
    };
    let run = bench.run(&["config", "path", "--json"]).ends(0);
    assert!(used(&run, "system") && !used(&run, "local"), "{run:#?}");
    local(&bench, "not even TOML");
    let run = bench.run(&["config", "path", "--json"]).ends(0);
    assert!(used(&run, "local"), "{run:#?}");
    let run = bench.run(&["config", "path"]).ends(0);
    assert!(run.stdout.contains("SITESYNC_SET"), "{run:#?}");
}

#[test]
fn this_machine_is_known_by_its_site_id() {
    let bench = Bench::new();
    bench.settings_text(FROM_HERE);
    local(&bench, "[sites.local]\nroot.work = \"DIR/here\"\n");
    bench.write("here/a.exr", "a");
    bench.sync().ends(0).sums(1, 0, 0);
    let status = bench.run(&["status", "--json"]).ends(0).last();
    let id = status["site_id"].as_str().expect("an id").to_owned();
    assert_eq!(id.split('-').count(), 3, "{id}");
    let counts = status["projects"][0]["counts"].as_array().cloned().unwrap_or_default();
    assert!(counts.iter().any(|count| count["site"] == "local"), "{status}");
    for command in ["status", "sites", "projects"] {
        let run = bench.run(&[command]).ends(0);
        assert!(run.stdout.contains(&format!("local ({id})")), "{run:#?}");
    }
    let run = bench.run(&["config", "show", "--json"]).ends(0);
    assert_eq!(shown(&run, "host.site_id")["value"], Value::from(id.as_str()));

    // Another name for it is no other site: what is there needs no second look.
    local(&bench, "[host]\nsite_id = \"ws-7\"\n[sites.local]\nroot.work = \"DIR/here\"\n");
    bench.sync().ends(0).sums(0, 0, 0);
    let run = bench.run(&["status"]).ends(0);
    assert!(run.stdout.contains("local (ws-7)") && !run.stdout.contains(&id), "{run:#?}");
    let status = self::run(bench.command(&["status"]).env("SITESYNC_SITE_ID", "a b")).ends(2);
    assert!(status.stderr.contains("SITESYNC_SITE_ID:1:16"), "{status:#?}");
}

#[test]
fn folders_become_projects() {
    let bench = Bench::new();
    bench.settings_text(
        "[sync]\nprojects = \"folders\"\nactive_site = \"here\"\nremote_site = \"there\"\nsettle = 0\n\
         [sites.here]\nprovider = \"local_drive\"\nroot.work = \"DIR/here/{project}\"\n\
         [sites.there]\nprovider = \"local_drive\"\nroot.work = \"DIR/there/{project}\"\n\
         [projects.off]\nenabled = false\n",
    );
    for (project, other) in [("one", true), ("two", true), ("off", false), (".snapshot", false)] {
        bench.write(&format!("here/{project}/a.exr"), project);
        if other {
            fs::create_dir(bench.path("there").join(project)).expect("a folder");
        }
    }
    bench.write("here/file", "no folder");
    bench.sync().ends(0).sums(2, 0, 0);
    assert_eq!(bench.read("there/two/a.exr").as_deref(), Some("two"));
    assert_eq!(bench.read("there/off/a.exr"), None);
    let run = bench.run(&["config", "check"]).ends(0);
    assert!(run.stderr.contains("folder `.snapshot` is no project"), "{run:#?}");
    assert!(run.stdout.contains("3 projects"), "{run:#?}");
    // A disk that is not there leaves the listed ones.
    bench.rename("here", "elsewhere");
    let run = bench.run(&["config", "check"]).ends(0);
    assert!(run.stderr.contains("cannot be read"), "{run:#?}");
    assert!(run.stdout.contains("1 project"), "{run:#?}");
}

#[test]
fn a_site_that_nothing_uses_never_complains() {
    let bench = Bench::with(&[(
        "sites.cloud",
        "provider = \"not_installed\"\nroot.work = \"/x/{project}\"\nmounted = true",
    )]);
    bench.write("here/a.exr", "a");
    bench.sync().ends(0).sums(1, 0, 0);
    for arguments in [&["config", "check"][..], &["sites"], &["status"], &["sync"]] {
        let run = bench.run(arguments).ends(0);
        let said = format!("{}{}", run.stdout, run.stderr);
        assert!(!said.contains("cloud") && !said.contains("not_installed"), "{run:#?}");
    }
    // A project that is off uses nothing either, nor does one that leaves the site alone.
    bench.settings(&[
        ("sites.cloud", "provider = \"not_installed\"\nroot.work = \"/x/{project}\""),
        ("projects.off", "enabled = false\nremote_site = \"cloud\""),
        ("projects.other", "remote_site = \"cloud\"\nsites.cloud.enabled = false"),
    ]);
    let _ = bench.run(&["sites"]).ends(0);
    let _ = bench.sync().ends(0);
}
