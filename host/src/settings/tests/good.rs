//! Settings that hold: what comes out, and what is noted.

use std::path::Path;
use std::time::Duration;

use super::super::{
    Conflicts, Context, Deletes, Guard, Paths, Platform, Settings, Sync, Travel, Trust, Verify,
};
use super::{SITES, context, good, notes};

/// The example of the design.
const DESIGN: &str = r#"
enabled = true
[host]
listen = "127.0.0.1:7788"
serves = ["*"]
[sync]
enabled = true
retry_count = 3
loop_delay = "60s"
rescan = "10m"
settle = "10s"
active_site = "studio"
remote_site = "gdrive"
upload = "all"
download = "requested"
always_accessible_on = []
[sites.studio]
provider = "local_drive"
root.work = { linux = "/mnt/studio/projects/{project}", windows = "P:/projects/{project}" }
[sites.gdrive]
provider = "gdrive"
credentials_file = "{STUDIO}/secrets/drive.json"
root.work = "/My Drive/projects/{project}"
[projects.demo]
sites.gdrive.root.work = "/sync_testing/test"
"#;

fn paths(roots: &[(&str, &str)]) -> Paths {
    roots.iter().map(|(name, path)| ((*name).to_owned(), (*path).to_owned())).collect()
}

#[test]
fn the_example_of_the_design() {
    let loaded = good(DESIGN);
    assert_eq!(loaded.notes, []);
    let demo = &loaded.settings.projects["demo"];
    assert_eq!(demo.roots("studio"), &paths(&[("work", "/mnt/studio/projects/demo")]));
    assert_eq!(demo.roots("gdrive"), &paths(&[("work", "/sync_testing/test")]));
    assert_eq!(demo.roots("nowhere"), &Paths::default());
    assert_eq!(demo.download, Travel::Requested);
    let gdrive = &loaded.settings.sites["gdrive"];
    assert_eq!(gdrive.settings["credentials_file"], "/mnt/studio/secrets/drive.json");
    assert_eq!(gdrive.roots["work"], "/My Drive/projects/{project}");
    insta::assert_debug_snapshot!(loaded.settings);
}

#[test]
fn the_same_file_on_windows() {
    let windows = Context { platform: Platform::Windows, ..context() };
    let loaded = Settings::parse(DESIGN, "sitesync.toml", &windows).unwrap();
    let demo = &loaded.settings.projects["demo"];
    assert_eq!(demo.roots("studio"), &paths(&[("work", "P:/projects/demo")]));
}

#[test]
fn an_empty_file_is_nothing_to_do() {
    let loaded = good("");
    let settings = &loaded.settings;
    assert!(settings.enabled);
    assert_eq!(settings.host.listen.to_string(), "127.0.0.1:7788");
    assert!(settings.host.serves_site("anything"));
    assert_eq!(settings.sites.keys().collect::<Vec<_>>(), ["local", "studio"]);
    assert_eq!(settings.sync.loop_delay, Duration::from_secs(60));
    assert_eq!(settings.sync.rescan, Duration::from_secs(600));
    assert_eq!((settings.sync.retry_count, settings.sync.priority), (3, 50));
    assert_eq!(loaded.notes.len(), 1);
}

#[test]
fn plug_ins_and_whom_to_believe() {
    let plugins = good("[plugins]\nfolders = [\"/opt/a\", \"{STUDIO}/b\"]\n").settings.plugins;
    assert_eq!(plugins.folders, [Path::new("/opt/a"), Path::new("/mnt/studio/b")]);
    assert_eq!(plugins.trust, Trust::Owner);
    let plugins = good("[plugins]\ntrust = \"pinned\"\n").settings.plugins;
    assert_eq!((plugins.folders.len(), plugins.trust), (0, Trust::Pinned));
}

#[test]
fn an_empty_project_has_the_built_in_pair() {
    insta::assert_snapshot!(notes("[projects.demo]"), @r"
    note: project `demo` has nothing to do: its active and its remote site are both `studio`
     --> sitesync.toml:1:11
      |
    1 | [projects.demo]
      |           ^^^^
      = help: set `active_site` and `remote_site` to two sites
    ");
}

#[test]
fn projects_override_defaults_wherever_those_stand() {
    let text = format!(
        r#"
[projects.demo]
retry_count = 0
settle = 0
verify = "full"
priority = 1000
exclude = []
[projects.other]
enabled = false
[sync]
remote_site = "gdrive"
retry_count = 7
loop_delay = 5
exclude = ["*.tmp", "Thumbs.db"]
{SITES}"#
    );
    let settings = good(&text).settings;
    let demo = &settings.projects["demo"];
    assert_eq!((demo.retry_count, demo.settle, demo.priority), (0, Duration::ZERO, 1000));
    assert_eq!((demo.verify, demo.loop_delay), (Verify::Full, Duration::from_secs(5)));
    assert!(!demo.excludes("a.tmp"));
    let other = &settings.projects["other"];
    assert!(!other.enabled);
    assert_eq!(other.retry_count, 7);
    assert!(other.excludes("a.tmp") && other.excludes("Thumbs.db") && !other.excludes("a.exr"));
}

#[test]
fn a_site_with_all_its_keys() {
    let loaded = good(
        r#"
[sites.nas]
provider = "sftp"
enabled = false
slots = 4
requests_per_second = 2
bandwidth = "20 MiB/s"
mounted = true
timeout = "5m"
root.work = "~/work"
host = "nas.example"
port = 2222
retries = [1, 2.5, { a = "{USER}" }]
key_file = { linux = "~/.ssh/id", windows = "C:/id" }
nested.deep = true
date = 2024-01-01
password = "a{{b}"
"#,
    );
    let site = &loaded.settings.sites["nas"];
    assert_eq!(site.bandwidth, Some(20 << 20));
    assert_eq!((site.slots, site.requests_per_second), (Some(4), Some(2.0)));
    assert!(site.mounted && !site.enabled);
    assert_eq!(site.timeout, Some(std::time::Duration::from_secs(300)));
    insta::assert_snapshot!(
        serde_json::to_string(&site.settings).unwrap(),
        @r#"{"date":"2024-01-01","host":"nas.example","key_file":"/home/anna/.ssh/id","nested":{"deep":true},"password":"a{b}","port":2222,"retries":[1,2.5,{"a":"anna"}]}"#
    );
    assert!(!format!("{loaded:?}").contains("a{b}"), "a password is not for logs");
    let span = site.key_spans["port"];
    assert_eq!(&loaded.source(span).text()[span.start..span.end], "port");
    insta::assert_snapshot!(loaded.source(span).error(span, "no such port"), @r"
    error: no such port
      --> sitesync.toml:12:1
       |
    12 | port = 2222
       | ^^^^
    ");
}

#[test]
fn tables_may_be_written_any_way() {
    let one = good(
        "sites.studio = { provider = \"local_drive\", root = { work = \"/a\" } }\n\
         projects = { demo = { sites = { studio = { root = { work = \"/b\" }, enabled = false } } } }",
    );
    let other = good(
        "[projects.demo.sites.studio]\nenabled = false\n[projects.demo.sites.studio.root]\n\
         work = \"/b\"\n[sites.studio]\nprovider = \"local_drive\"\n[sites.studio.root]\nwork = \"/a\"",
    );
    for loaded in [&one, &other] {
        let demo = &loaded.settings.projects["demo"];
        assert_eq!(demo.roots("studio"), &paths(&[("work", "/b")]));
        assert!(!demo.site_enabled("studio") && demo.site_enabled("local"));
        assert!(!demo.site_enabled("nowhere"));
    }
}

#[test]
fn serves_names_sites() {
    let host = good(&format!("[host]\nserves = [\"gdrive\"]\n{SITES}")).settings.host;
    assert!(host.serves_site("gdrive") && host.serves_site("local"));
    assert!(!host.serves_site("studio"));
    let host = good("[host]\nserves = []").settings.host;
    assert!(host.serves_site("local") && !host.serves_site("studio"));
}

#[test]
fn what_is_probably_not_meant_is_noted() {
    let told: Vec<String> = [
        // Equal ends.
        "[sync]\nactive_site = \"gdrive\"\nremote_site = \"gdrive\"\n[projects.a]\n[projects.b]",
        // A root at one end only.
        "[projects.demo]\nremote_site = \"gdrive\"\nsites.studio.root.publish = \"/mnt/publish/demo\"",
        // Roots over each other.
        "[projects.demo]\nremote_site = \"gdrive\"\nsites.studio.root.publish = \"/mnt/studio/demo/publish\"\nsites.gdrive.root.publish = \"/publish\"",
        // Switched off.
        "[projects.demo]\nremote_site = \"gdrive\"\nsites.gdrive.enabled = false",
        // What nobody uses may lack what this machine does not have.
        "[projects.demo]\nremote_site = \"gdrive\"\n[sites.nas]\nprovider = \"sftp\"\nroot.work = { windows = \"P:/\" }\nkey = \"{MISSING}\"\nbandwith = 3",
    ]
    .iter()
    .map(|snippet| format!("{snippet}\n----\n{}\n\n========\n", notes(&format!("{snippet}\n{SITES}"))))
    .collect();
    insta::assert_snapshot!(told.concat());
}

#[test]
fn a_project_that_is_off_minds_nothing_of_this_machine() {
    let text = "[projects.demo]\nenabled = false\nremote_site = \"gdrive\"\n\
        [sites.gdrive]\nprovider = \"gdrive\"\nroot.work = \"{MISSING}/{project}\"";
    assert_eq!(notes(text), "");
}

#[test]
fn always_accessible_sites_count_as_work() {
    let text = format!("[projects.demo]\nalways_accessible_on = [\"gdrive\", \"gdrive\"]\n{SITES}");
    let loaded = good(&text);
    assert_eq!(loaded.notes, []);
    assert_eq!(loaded.settings.projects["demo"].always_accessible_on, ["gdrive"]);
}

#[test]
fn what_becomes_of_files_is_each_projects_own() {
    let text = format!(
        "[sync]\nconflicts = \"newest\"\nkeep_replaced = \"0s\"\nrepresentations = []\n\
         max_delete = 0\nremote_site = \"gdrive\"\n\
         [projects.demo]\nconflicts = \"keep_both\"\ndeletes = \"propagate\"\nwatch = false\n\
         max_change_percent = 0\nrepresentations = [\"{{folder}}/{{product}}/{{version}}/{{file}}\"]\n\
         [projects.other]\n{SITES}"
    );
    let projects = good(&text).settings.projects;
    let (demo, other) = (&projects["demo"], &projects["other"]);
    assert_eq!((demo.conflicts, other.conflicts), (Conflicts::KeepBoth, Conflicts::Newest));
    assert_eq!((demo.deletes, other.deletes), (Deletes::Propagate, Deletes::Keep));
    assert_eq!((demo.watch, other.watch), (false, true));
    assert_eq!(demo.keep_replaced, Duration::ZERO);
    assert_eq!(demo.representations, ["{folder}/{product}/{version}/{file}"]);
    assert_eq!(other.representations, [""; 0]);
    assert!(!other.max_delete.stops(1_000, 1_000));
    assert!(demo.max_change.stops(101, 1_000_000));
    let default = good(&format!("[projects.demo]\n{SITES}")).settings.sync;
    assert_eq!(default, Sync::default());
}

#[test]
fn a_guard_stops_what_exceeds_both_bounds() {
    let guard = Guard { files: 100, percent: 10 };
    for (files, of, stops) in [
        (0, 0, false),
        (100, 100, false),
        (101, 101, true),
        (101, 1_010, false),
        (102, 1_010, true),
        (u64::MAX, u64::MAX, true),
    ] {
        assert_eq!(guard.stops(files, of), stops, "{files} of {of}");
    }
}

#[test]
fn alternative_sites_are_one_in_both_directions_and_from_site_to_site() {
    let text = "[sites.a]\nprovider = \"x\"\nalternative_sites = [\"b\"]\n\
        [sites.b]\nprovider = \"x\"\nalternative_sites = [\"a\", \"a\"]\n\
        [sites.c]\nprovider = \"x\"\nalternative_sites = [\"b\", \"studio\"]\n\
        [sites.d]\nprovider = \"x\"\n[projects.demo]";
    let settings = good(text).settings;
    for (site, others) in [
        ("a", &["b", "c", "studio"][..]),
        ("b", &["a", "c", "studio"]),
        ("c", &["a", "b", "studio"]),
        ("studio", &["a", "b", "c"]),
        ("d", &[]),
        ("nowhere", &[]),
    ] {
        assert!(settings.alternatives(site).iter().eq(others), "{site}");
    }
    insta::assert_snapshot!(notes(
        "[sites.a]\nprovider = \"x\"\nalternative_sites = [\"a\"]\n[projects.p]"
    ));
}

#[test]
fn a_thousand_projects_are_read_at_once() {
    let mut text = format!("[sync]\nremote_site = \"gdrive\"\n{SITES}");
    for number in 0..1_000 {
        text.push_str(&format!("[projects.p{number}]\n"));
    }
    let started = std::time::Instant::now();
    assert_eq!(good(&text).settings.projects.len(), 1_000);
    assert!(started.elapsed() < Duration::from_secs(5));
}
