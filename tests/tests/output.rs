//! What people read: every command's human output, and its errors.
//!
//! Filters stand for what differs from run to run: paths, sizes of disks, times, ids.

use std::os::unix::fs::symlink;

use sitesync_tests::bench::{Bench, Run, until};

/// What a person sees of a run: the code, stdout and stderr, without what differs.
fn seen(run: &Run) -> String {
    let mut text = format!("exit code {}\n", run.code);
    for (name, part) in [("stdout", &run.stdout), ("stderr", &run.stderr)] {
        if !part.is_empty() {
            text += &format!("--- {name}\n{part}");
        }
    }
    text
}

/// Compares with the snapshot of this name.
macro_rules! assert_seen {
    ($bench:expr, $name:literal, $($argument:expr),+) => {{
        let bench: &Bench = &$bench;
        let run = bench.run(&[$($argument),+]);
        let folder = bench.path("");
        let mut settings = insta::Settings::clone_current();
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.set_description(["sitesync", $($argument),+].join(" "));
        settings.add_filter(&regex_of(folder.to_str().unwrap()), "DIR");
        settings.add_filter(r"\d+\.\d s\b", "N.N s");
        settings.add_filter(r"site id: [a-z0-9-]+", "site id: SITE");
        settings.add_filter(r"-[0-9a-f]{16}\b", "-INSTANCE");
        settings.add_filter(r"process \d+", "process PID");
        settings.add_filter(r"\b[0-9a-f]{64}\b", "SHA256");
        settings.add_filter(r"\buser \d+", "user UID");
        settings.add_filter(r"\b\d{4}-\d\d-\d\dT[\d:]{8}Z", "TIME");
        settings.add_filter(r"since \d{4}-[0-9T:.Z +-]*[0-9Z]", "since TIME");
        settings.add_filter(r"\b(ext4|tmpfs|overlay|xfs|btrfs) +[\d.]+ ?[kKMGT]?i?B", "DISK  FREE");
        // What can be done depends on the disk.
        settings.add_filter(r"(?m)^(  can .*=DIR/\w+\)): .*", "$1: CAPABILITIES");
        // Columns are as wide as the bench's folder is long, and the disk's free space.
        settings.add_filter(r"(work=DIR/\w+) +", "$1  ");
        settings.add_filter(r"root {3,}health", "root  health");
        settings.add_filter(r"storage {2,}free", "storage  free");
        settings.add_filter(r"(?m) +$", "");
        settings.bind(|| insta::assert_snapshot!($name, seen(&run)));
        run
    }};
}

/// A text as a pattern that fits it only.
fn regex_of(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_alphanumeric() || c == '/' { c.to_string() } else { format!("\\{c}") })
        .collect()
}

/// Files that arrive, one that fails, one in conflict, one that is skipped.
fn troubled() -> Bench {
    let bench = Bench::with(&[("sync", "upload = \"requested\"")]);
    bench.write("here/scene.ma", "mine");
    // Which end is looked at first is a matter of luck; known before, it is not.
    let _ = bench.sync().ends(0);
    bench.settings(&[]);
    bench.write("here/sh010/beauty.1001.exr", "pixels");
    bench.write("here/sh010/beauty.1002.exr", "pixels");
    bench.write("there/scene.ma", "theirs");
    bench.write("here/cache.abc", "a file");
    bench.write("there/cache.abc/inside", "kept");
    symlink("/etc/passwd", bench.path("here/link")).unwrap();
    bench
}

#[test]
fn sync_that_goes_well() {
    let bench = Bench::new();
    bench.write("here/a.exr", "a");
    bench.write("here/b.exr", "b");
    let _ = assert_seen!(bench, "sync_well", "sync");
    let _ = assert_seen!(bench, "sync_nothing_to_do", "sync");
    let _ = assert_seen!(bench, "status", "status");
    let _ = assert_seen!(bench, "queue_empty", "queue");
}

#[test]
fn sync_with_trouble() {
    let bench = troubled();
    let _ = assert_seen!(bench, "sync_trouble", "sync");
    let _ = assert_seen!(bench, "status_trouble", "status");
    let _ = assert_seen!(bench, "queue_trouble", "queue");
    let _ = assert_seen!(bench, "queue_conflicts", "queue", "--state", "conflict");
}

#[test]
fn sync_offline() {
    let bench = Bench::new();
    bench.write("here/a.exr", "a");
    bench.remove("there");
    let _ = assert_seen!(bench, "sync_offline", "sync");
    let _ = assert_seen!(bench, "sites_offline", "sites");
}

#[test]
fn sync_unmounted() {
    let bench = Bench::new();
    bench.write("here/a.exr", "a");
    let _ = bench.sync().ends(0);
    bench.rename("there", "elsewhere");
    std::fs::create_dir(bench.path("there")).unwrap();
    let _ = assert_seen!(bench, "sync_unmounted", "sync");
}

#[test]
fn sync_without_its_provider() {
    let bench = Bench::new();
    bench.remove("providers/liblocal_drive.so");
    let _ = assert_seen!(bench, "sync_no_provider", "sync");
    let _ = assert_seen!(bench, "providers_none", "providers");
}

#[test]
fn before_the_first_sync() {
    let bench = Bench::new();
    let _ = assert_seen!(bench, "status_first", "status");
    let _ = assert_seen!(bench, "queue_first", "queue");
    let _ = assert_seen!(bench, "sites", "sites");
    let _ = assert_seen!(bench, "projects", "projects");
}

#[test]
fn projects_that_are_idle() {
    let bench = Bench::with(&[
        ("projects.off", "enabled = false"),
        ("projects.same", "remote_site = \"here\""),
        ("projects.off", "sites.here.root.work = \"DIR/off\""),
        ("projects.same", "sites.here.root.work = \"DIR/same\""),
        ("projects.off", "sites.there.root.work = \"DIR/off2\""),
        ("projects.same", "sites.there.root.work = \"DIR/same2\""),
    ]);
    let _ = assert_seen!(bench, "projects_idle", "projects");
    let _ = assert_seen!(bench, "sync_idle", "sync", "off", "same");
}

#[test]
fn an_unknown_project() {
    let bench = Bench::new();
    let _ = assert_seen!(bench, "sync_unknown_project", "sync", "dmeo");
    let _ = assert_seen!(bench, "status_unknown_project", "status", "dmeo");
    let _ = assert_seen!(bench, "queue_unknown_project", "queue", "dmeo");
}

#[test]
fn providers_good_and_refused() {
    let bench = Bench::new();
    bench.plug("broken", b"this is no library");
    bench.plug("open_to_all", b"\x7fELF");
    bench.chmod("providers/libopen_to_all.so", 0o666);
    let _ = assert_seen!(bench, "providers_refused", "providers");
    let _ = assert_seen!(bench, "providers_connect", "providers", "--connect");
}

#[test]
fn plug_ins_that_are_admitted_and_not() {
    let bench = Bench::with(&[("plugins", "trust = \"pinned\"")]);
    let file = "providers/liblocal_drive.so";
    let _ = assert_seen!(bench, "trust_list_empty", "provider", "trust", "--list");
    let _ = assert_seen!(bench, "providers_not_admitted", "providers");
    let _ = assert_seen!(bench, "trust", "provider", "trust", file);
    let _ = assert_seen!(bench, "trust_list", "provider", "trust", "--list");
    let _ = assert_seen!(bench, "providers_admitted", "providers");
    let changed = [bench.bytes(file), b"more".to_vec()].concat();
    bench.plug("local_drive", &changed);
    let _ = assert_seen!(bench, "sync_changed_plug_in", "sync");
    let _ = assert_seen!(bench, "trust_revoke", "provider", "trust", "--revoke", file);
    let _ = assert_seen!(bench, "trust_revoke_none", "provider", "trust", "--revoke", file);
    let _ = assert_seen!(bench, "trust_no_file", "provider", "trust", "nowhere.so");
    bench.settings(&[]);
    let _ = assert_seen!(bench, "trust_owner", "provider", "trust", file);
}

#[test]
fn settings_that_are_right() {
    let _ = assert_seen!(Bench::new(), "config_right", "config", "check");
}

#[test]
fn settings_that_are_wrong() {
    let bench = Bench::new();
    bench.settings_text(
        "[sync]\nsetle = \"10s\"\nretry_count = \"three\"\nremote_site = \"gdrve\"\n\n\
         [sites.gdrive]\nprovider = \"gdrive\"\nroot.work = \"/My Drive\"\n\n[projects.demo]\n",
    );
    let _ = assert_seen!(bench, "config_wrong", "config", "check");
    let _ = assert_seen!(bench, "sync_config_wrong", "sync");
}

#[test]
fn settings_that_are_not_there() {
    let bench = Bench::new();
    bench.remove("sitesync.toml");
    let _ = assert_seen!(bench, "config_missing", "sync");
}

#[test]
fn settings_that_others_can_write() {
    let bench = Bench::new();
    bench.chmod("sitesync.toml", 0o666);
    let _ = assert_seen!(bench, "config_open_to_all", "sync");
}

#[test]
fn a_second_run_beside_the_first() {
    let bench = Bench::streamed(&[("sites.there", "bandwidth = \"1MB\"")]);
    bench.write("here/large.mov", vec![1; 16 << 20]);
    let mut first = bench.start(&["sync", "--json"]);
    until("a temporary", || !bench.temporaries("there").is_empty());
    let _ = assert_seen!(bench, "sync_locked", "sync");
    let _ = assert_seen!(bench, "status_running", "status");
    first.kill().unwrap();
    first.wait().unwrap();
}

#[test]
fn everything_switched_off() {
    let bench = Bench::with(&[("", "enabled = false")]);
    let _ = assert_seen!(bench, "sync_switched_off", "sync");
}

#[test]
fn wrong_usage() {
    let bench = Bench::new();
    let _ = assert_seen!(bench, "usage_unknown_command", "snyc");
    let _ = assert_seen!(bench, "usage_unknown_state", "queue", "--state", "faild");
}

#[test]
fn help() {
    let bench = Bench::new();
    let _ = assert_seen!(bench, "help", "--help");
    let _ = assert_seen!(bench, "help_sync", "sync", "--help");
}

/// What is wrong with a provider's own settings is told like all else, before anything runs.
#[test]
fn provider_settings_that_are_wrong() {
    let wrong = [
        ("sites.here", "permissions = \"kept\""),
        ("sites.here", "symlink = \"skip\""),
        ("sites.there", "symlinks = true"),
        ("sites.there", "slot = 3"),
    ];
    let bench = Bench::with(&wrong);
    let _ = assert_seen!(bench, "provider_settings_check", "config", "check").ends(2);
    let _ = assert_seen!(bench, "provider_settings_sync", "sync").ends(2);
    let _ = bench.run(&["serve"]).ends(2);
    let told = bench.run(&["config", "check", "--json"]).ends(2).last();
    assert_eq!(told["errors"].as_array().map(Vec::len), Some(4), "{told:#}");
    assert!(told["errors"][0]["line"].is_number() && told["errors"][0]["column"].is_number());
}

/// Sites that no project uses don't keep the others from being synced.
#[test]
fn provider_settings_of_a_site_that_is_not_used() {
    let bench = Bench::with(&[
        ("sites.spare", "provider = \"local_drive\""),
        ("sites.spare", "permissions = \"kept\""),
    ]);
    bench.write("here/a.exr", "a");
    let _ = bench.run(&["config", "check"]).ends(2);
    bench.sync().ends(0).sums(1, 0, 0);
}

#[test]
fn provider_settings_without_the_provider() {
    let bench = Bench::with(&[
        ("sites.cloud", "provider = \"cloud\""),
        ("sites.cloud", "anything = { goes = [1, 2] }"),
    ]);
    let _ = assert_seen!(bench, "provider_settings_unchecked", "config", "check").ends(0);
}
