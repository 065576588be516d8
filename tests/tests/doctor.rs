//! `sitesync doctor`: what it finds, on a host that is well and on many that are not.
//!
//! Each test breaks one thing and asserts that it is told with what to do, that the checks after it
//! are made all the same, and how the command ends.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::process::Command;

use rustix::process::{Signal, kill_process};
use serde_json::Value;
use sitesync_tests::bench::{Bench, Service, until};

/// What a person sees of a run: the code and stdout, without what differs from run to run.
macro_rules! assert_seen {
    ($bench:expr, $name:literal $(, $argument:expr)*) => {{
        let bench: &Bench = &$bench;
        let run = bench.run(&["doctor", $($argument),*]);
        let folder = bench.path("");
        let mut settings = insta::Settings::clone_current();
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.set_description(["sitesync", "doctor", $($argument),*].join(" "));
        settings.add_filter(&folder.to_str().unwrap().replace('.', r"\."), "DIR");
        settings.add_filter(r"\b\d{4}-\d\d-\d\dT[\d:]{8}Z", "TIME");
        settings.add_filter(r"process \d+", "process PID");
        settings.add_filter(r"\buser \d+", "user UID");
        settings.add_filter(r"local_drive \d+\.\d+\.\d+", "local_drive VERSION");
        settings.add_filter(r": (ext4|tmpfs|overlay|xfs|btrfs|zfs),", ": DISK,");
        // How full the disk is depends on the machine.
        settings.add_filter(r"(?m)^(ok|warn) +(room [^:\n]*)(: .*|\n.*\n.*)", "room  $2");
        settings.add_filter(r"(?m)^all is well: |^(\d+ failed)?(, )?(\d+ warnings?)?: ", "$1 SUM: ");
        settings.bind(|| insta::assert_snapshot!($name, format!("exit code {}\n{}", run.code, run.stdout)));
        run
    }};
}

/// The one document of `--json`, and the exit code.
fn document(bench: &Bench, arguments: &[&str]) -> (Value, i32) {
    let run = bench.run(&[&["doctor", "--json"], arguments].concat());
    let lines = run.lines();
    assert_eq!(lines.len(), 1, "{run:#?}");
    (lines[0].clone(), run.code)
}

/// Checks of an area, with the words of one: its level, subject, message and hint.
#[track_caller]
fn find(document: &Value, area: &str, words: &str) -> Value {
    let checks = document["checks"].as_array().expect("checks");
    let of_area = checks.iter().filter(|check| check["area"] == area);
    let mut found = of_area.filter(|check| check.to_string().contains(words));
    let found = found.next().unwrap_or_else(|| panic!("no {area} with {words:?}: {document:#}"));
    found.clone()
}

/// Asserts the level of a check, and that what is not well says what to do.
#[track_caller]
fn level(document: &Value, area: &str, words: &str, level: &str) -> Value {
    let check = find(document, area, words);
    assert_eq!(check["level"], level, "{check:#}");
    assert!(level == "ok" || check["hint"].is_string(), "no hint: {check:#}");
    check
}

/// A bench on which three files were synced.
fn synced() -> Bench {
    let bench = Bench::new();
    for name in ["a.exr", "b.exr", "shot/c.exr"] {
        bench.write(&format!("here/{name}"), name);
    }
    bench.sync().ends(0).sums(3, 0, 0);
    bench
}

/// All that a doctor must not change: the sites with what is sitesync's own, settings and catalog. What
/// is no file (the door that a service left) has no content.
fn everything(bench: &Bench) -> BTreeMap<OsString, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut left: Vec<_> =
        ["here", "there", "state", "sitesync.toml"].map(|p| bench.path(p)).into();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            found.insert(path.into_os_string(), Vec::new());
        } else if path.is_file() {
            found.insert(path.clone().into_os_string(), fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn a_host_that_is_well() {
    let bench = synced();
    let before = everything(&bench);
    let _ = assert_seen!(bench, "doctor_well").ends(0);
    assert_eq!(everything(&bench), before, "a doctor changes nothing");
    let (found, code) = document(&bench, &[]);
    assert_eq!((code, &found["failed"]), (0, &Value::from(0)), "{found:#}");
    level(&found, "catalog", "schema 4, sound, 1 project", "ok");
    level(&found, "projects", "6 up to date over all sites, 0 to be brought", "ok");
    level(&found, "service", "no sitesync works", "note");
    for site in ["here", "there"] {
        level(&found, "sites", &format!("site {site}: demo/work"), "ok");
    }
}

/// What a crash left is evidence, and the next start's to recover from.
#[test]
fn after_a_crash() {
    let bench = Bench::with(&[("sync", "loop_delay = \"1s\"")]);
    bench.write("here/a.exr", "a");
    let service = serve(&bench);
    until("the file is synced", || bench.counts("there").get("synced") == Some(&1));
    drop(service);
    // Shared memory between processes: made anew by each that comes first.
    let lasting = || {
        let mut found = everything(&bench);
        found.remove(bench.path("state/catalog.db-shm").as_os_str());
        found
    };
    let before = lasting();
    assert!(bench.path("state/catalog.db-wal").exists(), "it was killed");
    let (found, code) = document(&bench, &[]);
    assert_eq!(code, 0, "{found:#}");
    level(&found, "projects", "2 up to date over all sites", "ok");
    assert_eq!(lasting(), before, "a doctor changes nothing");
    bench.sync().ends(0).sums(0, 0, 0);
}

#[test]
fn before_the_first_sync() {
    let bench = Bench::new();
    bench.remove("state");
    let _ = assert_seen!(bench, "doctor_first").ends(0);
    assert!(!bench.path("state").exists(), "it makes none");
    assert!(bench.tree("here").is_empty() && !bench.path("here/.sitesync").exists());
}

#[test]
fn settings_that_are_wrong() {
    let bench = synced();
    bench.settings(&[("sync", "retry_count = \"three\""), ("sync", "setle = \"10s\"")]);
    let _ = assert_seen!(bench, "doctor_settings_wrong").ends(2);
    let (found, code) = document(&bench, &[]);
    assert_eq!(code, 2);
    let wrong = level(&found, "settings", "did you mean `settle`?", "fail");
    assert!(wrong["at"]["line"].is_number() && wrong["at"]["column"].is_number(), "{wrong:#}");
    level(&found, "catalog", "sound", "ok");
    level(&found, "projects", "6 up to date", "ok");
    level(&found, "plug_ins", "not looked at", "note");

    bench.settings(&[("sites.here", "permissions = \"kept\"")]);
    let (found, code) = document(&bench, &[]);
    assert_eq!(code, 2);
    level(&found, "settings", "permissions", "fail");
    level(&found, "sites", "its settings are wrong", "note");
    level(&found, "sites", "site there: demo/work", "ok");

    bench.remove("sitesync.toml");
    let (found, code) = document(&bench, &[]);
    assert_eq!(code, 2);
    level(&found, "settings", "there is no settings file", "fail");
    level(&found, "catalog", "sound", "ok");
}

#[test]
fn settings_that_others_can_write() {
    let bench = synced();
    bench.chmod("sitesync.toml", 0o666);
    let (found, code) = document(&bench, &[]);
    assert_eq!(code, 2);
    level(&found, "settings", "can be written by its group and anybody else", "fail");
    bench.chmod("sitesync.toml", 0o644);
    bench.chmod("", 0o777);
    let (found, _) = document(&bench, &[]);
    level(&found, "settings", "anybody can exchange the files in it", "warn");
}

#[test]
fn a_plug_in_that_is_broken() {
    let bench = synced();
    bench.plug("broken", b"this is no library");
    let (found, code) = document(&bench, &[]);
    assert_eq!(code, 0, "nobody misses it");
    level(&found, "plug_ins", "libbroken.so", "warn");
    bench.settings(&[("sites.cloud", "provider = \"cloud\"")]);
    let (found, code) = document(&bench, &[]);
    assert_eq!(code, 0, "nor this");
    level(&found, "sites", "no project uses it, and none could", "warn");
    bench.settings(&[]);
    bench.plug("local_drive", b"neither is this");
    let _ = assert_seen!(bench, "doctor_plug_in_broken").ends(1);
    let (found, _) = document(&bench, &[]);
    level(&found, "plug_ins", "liblocal_drive.so", "fail");
    level(&found, "sites", "site here", "fail");
    level(&found, "projects", "6 up to date", "ok");
}

#[test]
fn a_site_that_is_missing() {
    let bench = synced();
    bench.remove("there");
    let _ = assert_seen!(bench, "doctor_site_missing").ends(1);
    let (found, code) = document(&bench, &["--site", "here"]);
    assert_eq!(code, 0, "{found:#}");
    level(&found, "sites", "site here: demo/work", "ok");
    assert!(!found.to_string().contains("site there: demo"), "only the one: {found:#}");
    let run = bench.run(&["doctor", "--site", "nowhere"]).ends(2);
    assert!(run.stderr.contains("there is no site 'nowhere'") && run.stdout.is_empty(), "{run:#?}");
}

#[test]
fn roots_that_are_not_the_ones_that_were() {
    let bench = synced();
    bench.rename("there", "elsewhere");
    fs::create_dir(bench.path("there")).unwrap();
    let (found, code) = document(&bench, &[]);
    assert_eq!(code, 1);
    let lacks = level(&found, "sites", "lacks the marker", "fail");
    assert!(lacks["hint"].as_str().unwrap().contains("sites adopt there"), "{lacks:#}");
    assert!(bench.tree("there").is_empty(), "nothing is marked");
    assert!(!bench.path("there/.sitesync").exists(), "nothing is marked");

    bench.write("there/.sitesync/root.json", r#"{"id": "another"}"#);
    let (found, code) = document(&bench, &[]);
    assert_eq!(code, 1);
    level(&found, "sites", "is another root", "fail");

    bench.settings(&[("sites.there", "mounted = true")]);
    let (found, code) = document(&bench, &[]);
    assert_eq!(code, 1);
    level(&found, "sites", "nothing is mounted at", "fail");
    level(&found, "sites", "site here: demo/work", "ok");
}

#[test]
fn one_folder_under_two_names() {
    let bench = Bench::with(&[
        ("sites.alias", "provider = \"local_drive\""),
        ("sites.alias", "root.work = \"DIR/alias\""),
        ("sites.spare", "provider = \"local_drive\""),
        ("sites.spare", "root.work = \"DIR/spare\""),
        ("projects.twin", "active_site = \"spare\""),
        ("projects.twin", "remote_site = \"alias\""),
    ]);
    fs::create_dir(bench.path("spare")).unwrap();
    std::os::unix::fs::symlink(bench.path("here"), bench.path("alias")).unwrap();
    let (found, code) = document(&bench, &[]);
    assert_eq!(code, 0, "{found:#}");
    let alike = level(&found, "projects", "are one folder", "warn");
    assert!(alike["message"].as_str().unwrap().contains("'alias'"), "{alike:#}");

    bench.remove("spare");
    std::os::unix::fs::symlink(bench.path("here"), bench.path("spare")).unwrap();
    let (found, code) = document(&bench, &[]);
    assert_eq!(code, 1, "{found:#}");
    level(&found, "projects", "the same folder, or lie in one another", "fail");
}

#[test]
fn files_that_do_not_move() {
    let bench = Bench::new();
    bench.write("here/cache.abc", "a file");
    bench.write("there/cache.abc/inside", "kept");
    bench.write("here/scene.ma", "mine");
    bench.write("there/scene.ma", "theirs");
    let _ = bench.sync().ends(1);
    let _ = assert_seen!(bench, "doctor_trouble").ends(1);
    let (found, _) = document(&bench, &[]);
    let failed = level(&found, "projects", "gave up", "fail");
    assert!(failed["hint"].as_str().unwrap().contains("sitesync queue demo --state failed"));
    level(&found, "projects", "in conflict", "fail");
}

#[test]
fn projects_that_are_idle() {
    let bench = Bench::with(&[
        ("projects.off", "enabled = false"),
        ("projects.off", "sites.here.root.work = \"DIR/off\""),
        ("projects.off", "sites.there.root.work = \"DIR/off2\""),
        ("sites.spare", "provider = \"local_drive\""),
    ]);
    let (found, code) = document(&bench, &[]);
    assert_eq!(code, 0, "{found:#}");
    level(&found, "projects", "switched off", "note");
    level(&found, "sites", "no project that is enabled uses it", "note");
    bench.settings(&[("", "enabled = false")]);
    let (found, code) = document(&bench, &[]);
    assert_eq!(code, 0, "{found:#}");
    level(&found, "settings", "everything is switched off", "warn");
}

#[test]
fn a_catalog_that_is_damaged() {
    let bench = synced();
    let whole = bench.bytes("state/catalog.db");
    let torn: Vec<u8> =
        whole.iter().enumerate().map(|(at, byte)| if at < 8192 { *byte } else { 0x5a }).collect();
    fs::write(bench.path("state/catalog.db"), &torn).unwrap();
    let (found, code) = document(&bench, &[]);
    assert_eq!(code, 1);
    let damaged = level(&found, "catalog", "the catalog is damaged", "fail");
    assert!(damaged["hint"].as_str().unwrap().contains("doctor --repair"), "{damaged:#}");
    level(&found, "sites", "site there: demo/work", "ok");
    assert_eq!(bench.bytes("state/catalog.db"), torn, "it repairs nothing");

    fs::write(bench.path("state/catalog.db"), "this is no catalog, and never was one").unwrap();
    let _ = assert_seen!(bench, "doctor_catalog_damaged").ends(1);
}

#[test]
fn a_catalog_of_a_newer_sitesync() {
    let bench = synced();
    // `user_version`, in the header (sqlite.org/fileformat2.html).
    let mut newer = bench.bytes("state/catalog.db");
    newer[60..64].copy_from_slice(&99_u32.to_be_bytes());
    fs::write(bench.path("state/catalog.db"), &newer).unwrap();
    let (found, code) = document(&bench, &[]);
    assert_eq!(code, 1);
    level(&found, "catalog", "written by a newer sitesync (schema 99", "fail");
    level(&found, "sites", "site here: demo/work", "ok");
    assert_eq!(bench.bytes("state/catalog.db"), newer);
}

#[test]
fn a_state_folder_that_others_can_write() {
    let bench = synced();
    bench.chmod("state", 0o777);
    let (found, code) = document(&bench, &[]);
    assert_eq!(code, 1);
    level(&found, "state", "others can write to the state folder", "fail");
    level(&found, "sites", "site here: demo/work", "ok");
    bench.chmod("state", 0o755);
    let (found, code) = document(&bench, &[]);
    assert_eq!(code, 0);
    level(&found, "state", "can be entered by others", "note");
}

#[test]
fn a_calendar_that_was_set_back() {
    let bench = synced();
    let catalog = sitesync::catalog::Sqlite::open(&bench.path("state")).unwrap();
    catalog.write_blocking(|unit| unit.put_time(32_503_680_000_000)).unwrap();
    drop(catalog);
    let (found, code) = document(&bench, &[]);
    assert_eq!(code, 0);
    level(&found, "clock", "3000-01-01T00:00:00Z", "warn");
}

/// A bench whose site `there` misbehaves so.
fn misbehaving(fault: &[&str]) -> Bench {
    let bench = Bench::new();
    let library = sitesync_tests::plugin("misbehaving").expect("the fixture builds");
    bench.plug("misbehaving", &fs::read(library).expect("the library"));
    let mut lines = vec![
        ("provider there", "misbehaving"),
        ("sites.there", "timeout = \"1s\""),
        ("sync", "loop_delay = \"1s\""),
    ];
    lines.extend(fault.iter().map(|line| ("sites.there", *line)));
    bench.settings(&lines);
    bench
}

/// Whatever a provider does, its site is told, the others are, and the doctor comes to an end.
#[test]
fn a_site_that_hangs_or_panics() {
    for (fault, call, words) in [
        ("never", "connect", "no connection within 1 s"),
        ("never", "open_root", "no answer within 1 s"),
        ("block", "connect", "no connection within 1 s"),
        ("block_all", "open_root", "no answer within 1 s"),
        ("panic", "open_root", "panicked"),
        ("giant_error", "open_root", "and so on"),
    ] {
        println!("{fault} in {call}");
        let (fault, call) = (format!("fault = \"{fault}\""), format!("call = \"{call}\""));
        let bench = misbehaving(&[&fault, &call]);
        let (found, code) = document(&bench, &[]);
        assert_eq!(code, 1);
        let told = level(&found, "sites", words, "fail");
        let hangs = words.starts_with("no ");
        assert_eq!(told.to_string().contains("`timeout` in [sites.there]"), hangs, "{told:#}");
        level(&found, "sites", "site here: demo/work", "ok");
        level(&found, "projects", "here to there", "ok");
    }
}

#[test]
fn a_site_that_the_service_leaves_alone() {
    let bench = misbehaving(&["fault = \"error\"", "kind = \"StorageFull\"", "call = \"finish\""]);
    bench.write("here/a.exr", "a");
    let _service = serve(&bench);
    let mut found = Value::Null;
    // It is tried again now and then, and left alone for longer each time.
    until("it is told", || {
        let code;
        (found, code) = document(&bench, &[]);
        assert_eq!(code, 0, "it recovers by itself: {found:#}");
        found.to_string().contains("left alone")
    });
    level(&found, "service", "left alone until", "warn");
}

/// The catalog knows this machine's site by its site id.
#[test]
fn the_site_of_this_machine() {
    let bench = Bench::with(&[
        ("sync", "active_site = \"local\""),
        ("sites.local", "provider = \"local_drive\""),
        ("sites.local", "root.work = \"DIR/mine\""),
    ]);
    bench.write("mine/a.exr", "a");
    let _ = bench.sync().ends(0);
    let (found, code) = document(&bench, &["--site", "local"]);
    assert_eq!(code, 0);
    level(&found, "sites", "the root that the catalog knows", "ok");
    bench.rename("mine", "gone");
    fs::create_dir(bench.path("mine")).unwrap();
    let (found, code) = document(&bench, &["--site", "local"]);
    assert_eq!(code, 1);
    level(&found, "sites", "lacks the marker", "fail");
}

/// A service that has told of itself.
fn serve(bench: &Bench) -> Service {
    let service = bench.serve();
    until("the service tells of itself", || {
        let told = bench.read("state/service.json").unwrap_or_default();
        told.contains(&format!("\"pid\":{}", service.pid())) && told.contains("\"storage\"")
    });
    service
}

#[test]
fn beside_the_running_service() {
    let bench = Bench::with(&[("sync", "loop_delay = \"1s\"")]);
    bench.write("here/a.exr", "a");
    let service = serve(&bench);
    until("the file is synced", || bench.counts("there").get("synced") == Some(&1));
    let _ = assert_seen!(bench, "doctor_running").ends(0);
    let (found, _) = document(&bench, &[]);
    level(&found, "service", &format!("process {}", service.pid()), "ok");

    bench.settings(&[("sync", "loop_delay = \"soon\"")]);
    until("the settings are refused", || {
        bench.read("state/service.json").is_some_and(|told| told.contains("loop_delay"))
    });
    let (found, code) = document(&bench, &[]);
    assert_eq!(code, 2);
    level(&found, "service", "goes on with its former settings", "fail");
    bench.settings(&[("sync", "loop_delay = \"1s\"")]);
    until("the settings are taken up", || {
        bench.read("state/service.json").is_some_and(|told| !told.contains("loop_delay"))
    });

    bench.remove("providers/liblocal_drive.so");
    until("the plug-in lingers", || {
        bench.read("state/service.json").is_some_and(|told| told.contains("until_restart"))
    });
    let (found, code) = document(&bench, &[]);
    assert_eq!(code, 1);
    level(&found, "plug_ins", "until it is restarted", "warn");

    kill_process(service.pid(), Signal::STOP).unwrap();
    until("it is stopped", || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", service.pid())).unwrap();
        stat.contains(") T ")
    });
    let (found, code) = document(&bench, &[]);
    assert_eq!(code, 1);
    level(&found, "service", "is stopped", "fail");
}

/// Files of somebody else are left alone: the service could not use what this one makes there.
#[test]
fn as_somebody_else() {
    let mut bench = synced();
    bench.settings(&[("plugins", "trust = \"pinned\"")]);
    if !bench.becomes(sitesync_tests::bench::NOBODY) {
        return;
    }
    let _ = bench.run(&["provider", "trust", "providers/liblocal_drive.so"]).ends(0);
    let run = bench.run(&["doctor", "--json"]).ends(0);
    level(&run.last(), "state", "private to user 65534", "ok");
    let root = bench.command(&[]);
    let program = root.get_args().nth(3).expect("the binary").to_owned();
    let before = everything(&bench);
    let arguments = root.get_args().skip(4).map(OsString::from);
    let output = Command::new(program)
        .args(arguments)
        .args(["doctor", "--json"])
        .env_remove("SITESYNC_LOG")
        .output()
        .expect("the binary starts");
    let found: Value = serde_json::from_slice(&output.stdout).expect("a document");
    level(&found, "state", "belongs to user 65534, and this is user 0", "warn");
    level(&found, "sites", "site here: demo/work", "ok");
    assert_eq!(everything(&bench), before);
}
