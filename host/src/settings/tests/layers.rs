//! Layers over each other: who wins, what each may say, and where a value comes from.

use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use super::super::layers::{BUILT_IN, Document, Layers};
use super::super::model::{Host, Plugins, Sync};
use super::super::source::Span;
use super::super::tree::{Node, Table, Value};
use super::super::{Errors, Found, Layer, Loaded, Settings, Source, given};
use super::{context, good};

/// What stands in each layer.
#[derive(Default, Clone, Copy)]
struct Given<'a> {
    system: &'a str,
    local: &'a str,
    environment: &'a str,
    site_id: Option<&'a str>,
    flags: &'a [&'a str],
}

impl Given<'_> {
    fn check(self) -> Result<Loaded, Errors> {
        let mut sources = vec![
            Source::new(Layer::System, "sitesync.toml", self.system),
            Source::new(Layer::Local, "local.toml", self.local),
            given::environment(self.environment),
        ];
        sources.extend(self.site_id.map(given::site_id));
        sources.extend(self.flags.iter().map(|flag| given::flag(flag)));
        Settings::check(sources, &context())
    }

    fn good(self) -> Loaded {
        self.check().unwrap_or_else(|errors| panic!("{errors}"))
    }
}

/// Two sites, a pair and a project.
const SYSTEM: &str = r#"[sync]
remote_site = "nas"
priority = 20
[sites.studio]
provider = "local_drive"
root.work = "/mnt/studio/{project}"
[sites.nas]
provider = "local_drive"
root.work = "/mnt/nas/{project}"
slots = 2
[projects.demo]
priority = 30
sites.nas.root.work = "/mnt/nas/old/demo"
"#;

#[test]
fn what_is_built_in_are_the_defaults() {
    let loaded = Settings::check(Vec::new(), &context()).unwrap();
    let settings = loaded.settings;
    assert!(settings.enabled);
    assert_eq!(settings.host, Host::default());
    assert_eq!(settings.plugins, Plugins::default());
    assert_eq!(settings.sync, Sync::default());
    assert_eq!(settings.sites.len(), 2);
    for (name, site) in settings.sites {
        assert_eq!(site, super::super::Site::built_in(&name));
    }
    assert!(!BUILT_IN.contains('\t'));
}

#[test]
fn a_later_layer_wins() {
    let priority = |given: Given<'_>| given.good().settings.projects["demo"].priority;
    let system = Given { system: SYSTEM, ..Given::default() };
    assert_eq!(priority(system), 30);
    // The [sync] of a later layer outdoes what an earlier one says of the project.
    let environment = Given { environment: "sync.priority=40", ..system };
    assert_eq!(priority(environment), 40);
    let environment =
        Given { environment: "projects.demo.priority=41\nsync.priority=40", ..system };
    assert_eq!(priority(environment), 41);
    let flags = Given { flags: &["sync.priority=50"], ..environment };
    assert_eq!(priority(flags), 50);
    // One layer, in whatever order it was given.
    let flags = Given { flags: &["projects.demo.priority=51", "sync.priority=50"], ..environment };
    assert_eq!(priority(flags), 51);
    let flags = Given { flags: &["sync.priority=50", "sync.priority=52"], ..environment };
    assert_eq!(priority(flags), 52);
}

#[test]
fn this_machine_has_its_own_ends_and_folders() {
    let system = Given { system: SYSTEM, ..Given::default() };
    let root = |given: Given<'_>, site: &str| {
        given.good().settings.projects["demo"].roots(site)["work"].clone()
    };
    assert_eq!(root(system, "nas"), "/mnt/nas/old/demo");
    // The root of a later layer outdoes what an earlier one says of the project.
    let local = Given { local: "[sites.nas.root]\nwork = \"/Volumes/nas/{project}\"", ..system };
    assert_eq!(root(local, "nas"), "/Volumes/nas/demo");
    assert_eq!(root(local, "studio"), "/mnt/studio/demo");
    let local = "[sites.nas.root]\nwork = \"/x/{project}\"\n\
        [projects.demo.sites.nas.root]\nwork = \"/y\"";
    assert_eq!(root(Given { local, ..system }, "nas"), "/y");

    let local = "[sync]\nactive_site = \"local\"\n[sites.local.root]\nwork = \"~/{project}\"\n\
        [sites.nas]\nslots = 8\nbandwidth = \"1 MiB\"\nmounted = true\ntimeout = 5";
    let settings = Given { local, ..system }.good().settings;
    let demo = &settings.projects["demo"];
    assert_eq!((demo.active_site.as_str(), demo.remote_site.as_str()), ("local", "nas"));
    assert_eq!(demo.roots("local")["work"], "/home/anna/demo");
    assert_eq!(settings.sites["local"].provider, "local_drive");
    let nas = &settings.sites["nas"];
    assert_eq!((nas.slots, nas.bandwidth, nas.mounted), (Some(8), Some(1 << 20), true));
    assert_eq!(nas.timeout, Some(Duration::from_secs(5)));
}

#[test]
fn arrays_and_path_tables_are_replaced_as_a_whole() {
    let system = "[sync]\nexclude = [\"*.a\", \"*.b\"]\n[sites.nas]\nprovider = \"nas\"\n\
        root.work = { linux = \"/a\", windows = \"P:/\" }\nnested = { a = 1, b = { c = 2 } }";
    let flags: &[&str] = &[
        "sync.exclude=[\"*.c\"]",
        "sites.nas.root.work={ windows = \"Q:/\" }",
        "sites.nas.nested.b.d=3",
    ];
    let loaded = Given { system, flags, ..Given::default() }.good();
    assert_eq!(loaded.settings.sync.exclude, ["*.c"]);
    let nas = &loaded.settings.sites["nas"];
    // Of `linux` nothing is left.
    assert!(nas.roots.is_empty());
    assert_eq!(nas.settings["nested"], serde_json::json!({"a": 1, "b": {"c": 2, "d": 3}}));
}

#[test]
fn a_value_without_quotes_is_a_text_where_it_is_no_toml() {
    let flags: &[&str] = &[
        "sync.active_site=nas",
        "sync.loop_delay = 2m",
        "sync.exclude=[\"a=b\"]",
        "sites.nas.address=http://nas/?a=b c",
        "sites.nas.port=22",
        "sites.nas.fast=true",
        "projects.demo.enabled=false",
    ];
    let settings = Given { system: SYSTEM, flags, ..Given::default() }.good().settings;
    assert_eq!(settings.sync.active_site, "nas");
    assert_eq!(settings.sync.loop_delay, Duration::from_secs(120));
    assert_eq!(settings.sync.exclude, ["a=b"]);
    assert!(!settings.projects["demo"].enabled);
    insta::assert_snapshot!(
        serde_json::to_string(&settings.sites["nas"].settings).unwrap(),
        @r#"{"address":"http://nas/?a=b c","fast":true,"port":22}"#
    );
    let environment = "# this machine\n\nsync.priority=5\n";
    let loaded = Given { system: SYSTEM, environment, ..Given::default() }.good();
    assert_eq!(loaded.settings.sync.priority, 5);
}

#[test]
fn the_variable_for_the_site_id_outdoes_all_but_flags() {
    let given = Given { local: "[host]\nsite_id = \"ws-1\"", ..Given::default() };
    let id = |given: Given<'_>| given.good().settings.host.site_id.unwrap();
    assert_eq!(id(given), "ws-1");
    let given = Given { environment: "host.site_id=ws-2", ..given };
    assert_eq!(id(given), "ws-2");
    let given = Given { site_id: Some("ws-3"), ..given };
    assert_eq!(id(given), "ws-3");
    assert_eq!(id(Given { flags: &["host.site_id=ws-4"], ..given }), "ws-4");
}

/// Everything wrong that each is told; a line says what stands where.
#[test]
fn wrong_layers() {
    let system = Given { system: SYSTEM, ..Given::default() };
    let local = |local| Given { local, ..system };
    let environment = |environment| Given { environment, ..system };
    let flags = |flags| Given { flags, ..system };
    let cases: &[Given<'_>] = &[
        // Not this machine's business.
        local("enabled = false"),
        local("[plugins]\nfolders = [\"/opt/p\"]"),
        local("[sync]\ndownload = \"all\""),
        local("[sync]\nprojects = \"folders\""),
        local("[sync]\nretry_count = 5\nexclude = []\nactive_site = \"nas\""),
        local("[sync]\nretry_cnt = 5"),
        local("[sites.nas]\nprovider = \"sftp\""),
        local("[sites.nas]\nrequests_per_second = 5"),
        local("[projects.demo]\npriority = 1"),
        local("[projects.demo]\nalways_accessible_on = [\"nas\"]"),
        // Known to nobody else.
        local("[projects.dmo]\nactive_site = \"nas\""),
        local("[projects.another]\nenabled = false"),
        local("[sites.nsa.root]\nwork = \"/x\""),
        local("[sites.tape]\nprovider = \"local_drive\"\nroot.work = \"/x\""),
        // As wrong as anywhere else.
        local("[sync]\nactive_sit = \"nas\""),
        local("[sync]\nactive_site = \"nsa\""),
        local("[sync]\nremote_site = \"local\""),
        local("[sites.nas]\nslots = 0\nroot.work = 5"),
        local("[host]\nsite_id = \"../x\""),
        local("[host]\nsite_id = \"nas\""),
        local("[host]\nsite_id = 7"),
        local("[host\n"),
        // All of all at once.
        Given {
            system: "[sync]\nsettle = \"x\"\nfoo = 1\n[projects.demo]",
            local: "[sync]\nactive_site = 5",
            environment: "sync.rescan=never",
            flags: &["sync.priority=0", "sync.settle=1"],
            site_id: Some("-x"),
        },
        // One that is no TOML, beside one that is wrong.
        Given { system: "[sync]\nsettle = \"x\"", local: "enabled = ", ..Given::default() },
        environment("sync.loop_delay=fast"),
        environment("\nsync.loop_delay"),
        environment("sync.loop_delay="),
        environment("sync.priority=1\nsync.priority=2"),
        environment("loop_delay=5"),
        environment("sync.exclude=[\"*.tmp\""),
        Given { site_id: Some("a b"), ..system },
        flags(&["sync.retry_cuont=3"]),
        flags(&["sync.retry_count=many"]),
        flags(&["=3"]),
        flags(&["projects.demo.remote_site=tape"]),
        flags(&["sites.nas.root.work=../x"]),
        flags(&["sites.tape.root.work=/x"]),
    ];
    let mut all = String::new();
    for case in cases {
        for (name, text) in [("local.toml", case.local), ("SITESYNC_SET", case.environment)] {
            if !text.is_empty() {
                all.push_str(&format!("{name}:\n{text}\n"));
            }
        }
        for flag in case.flags {
            all.push_str(&format!("--set {flag}\n"));
        }
        let Err(errors) = case.check() else { panic!("nobody minds:\n{all}") };
        assert!(!errors.errors.is_empty());
        all.push_str(&format!("----\n{errors}\n\n========\n"));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn old_names_are_taken_and_noted() {
    let loaded = good(
        "[sync]\nretry_cnt = 7\nremote_site = \"nas\"\n[sites.studio]\nroot = \"/mnt/studio/{project}\"\n\
         [sites.nas]\nprovider = \"local_drive\"\nroot = \"/mnt/nas/{project}\"\n\
         [projects.demo]\nretry_cnt = 9\nsites.nas.root = \"/old/demo\"\n",
    );
    assert_eq!(loaded.settings.sync.retry_count, 7);
    let demo = &loaded.settings.projects["demo"];
    assert_eq!((demo.retry_count, demo.roots("nas")["work"].as_str()), (9, "/old/demo"));
    let notes: Vec<String> = loaded.notes.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(notes.join("\n\n"));
    insta::assert_snapshot!(super::parse("[sync]\nretry_cnt = 1\nretry_count = 2").unwrap_err());
}

#[test]
fn every_value_says_where_it_comes_from() {
    let loaded = Given {
        system: &format!("{SYSTEM}[sites.drive]\nprovider = \"gdrive\"\ntoken = \"t0p\"\noauth = {{ client_secret = \"s3\", id = 5 }}\nlist = [{{ password = \"p4\" }}]\n"),
        local: "[sync]\nactive_site = \"studio\"\n[sites.studio.root]\nwork = \"/home/work/{project}\"\n",
        environment: "sync.settle=5s",
        flags: &["sync.verify=full"],
        ..Given::default()
    }
    .good();
    let shown = |values: Vec<super::super::Effective>| {
        let line = |value: &super::super::Effective| {
            let origin = &value.origin;
            let (file, layer) = (&origin.file, origin.layer.name());
            let key = value.key.join(".");
            format!("{key} = {} <- {layer} {file}:{}:{}", value.value, origin.line, origin.column)
        };
        values
            .iter()
            .map(line)
            .filter(|line| !line.contains("<- built-in"))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let shared = loaded.origins.shared();
    let project = loaded.origins.project("demo", &["studio", "nas"]);
    let all = format!("{}\n\n{}", shown(shared.clone()), shown(project.clone()));
    for secret in ["t0p", "s3", "p4"] {
        assert!(!all.contains(secret), "{all}");
    }
    insta::assert_snapshot!(all);
    assert!(loaded.origins.project("nobody", &[]).is_empty());
    // Every key of `[sync]` holds for the project, from wherever.
    let keys = |values: &[super::super::Effective], table: &str| {
        let of = values
            .iter()
            .filter(|value| value.key[0] == table && !value.key.contains(&"sites".into()));
        of.map(|value| value.key.last().cloned().unwrap())
            .filter(|key| key != "projects")
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(&shared, "sync"), keys(&project, "projects"));
}

const BY_FOLDER: &str = r#"[sync]
projects = "folders"
remote_site = "nas"
[sites.studio]
root.work = "/mnt/studio/work/{project}"
root.publish = "{STUDIO}/publish/{project}/out"
[sites.nas]
provider = "local_drive"
root.work = "/mnt/nas/{project}"
root.publish = "/mnt/nas-publish/{project}"
[projects.off]
enabled = false
[projects.own]
priority = 99
"#;

#[test]
fn every_folder_is_a_project() {
    let loaded = good(BY_FOLDER);
    assert_eq!(
        loaded.settings.folders,
        ["/mnt/studio/publish", "/mnt/studio/work"].map(PathBuf::from)
    );
    let names = |loaded: &Loaded| loaded.settings.projects.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&loaded), ["off", "own"]);
    let found = |place: &str, names: &[&str]| Found {
        place: Path::new(place).into(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    let found = [
        found("/mnt/studio/work", &["own", "off", "sh.010", ".snapshot", "a b", "new"]),
        found("/mnt/studio/publish", &["new"]),
    ];
    let loaded = loaded.with_folders(&found, &context()).unwrap();
    assert_eq!(names(&loaded), ["new", "off", "own", "sh.010"]);
    let projects = &loaded.settings.projects;
    assert_eq!((projects["new"].priority, projects["own"].priority), (50, 99));
    assert_eq!(projects["sh.010"].roots("nas")["work"], "/mnt/nas/sh.010");
    assert!(!projects["off"].enabled);
    let notes: Vec<String> = loaded.notes.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(notes.join("\n\n"));
    // Looked at again, those that are gone are gone.
    let again = loaded.with_folders(&[], &context()).unwrap();
    assert_eq!(names(&again), ["off", "own"]);
}

#[test]
fn folders_need_a_place_to_look_at() {
    let told: Vec<String> = [
        "[sync]\nprojects = \"folders\"",
        "[sync]\nprojects = \"all\"",
        "[sync]\nprojects = \"folders\"\n[sites.studio]\nroot.work = \"/mnt/p_{project}\"",
        "[sync]\nprojects = \"folders\"\n[sites.studio]\nroot.work = \"{GONE}/{project}\"",
        "[sync]\nprojects = \"folders\"\nactive_site = \"drive\"\n[sites.drive]\nprovider = \"gdrive\"\nroot.work = \"/{project}\"",
        "[projects.demo]\nprojects = \"folders\"",
    ]
    .iter()
    .map(|text| format!("{text}\n----\n{}\n\n========\n", super::parse(text).unwrap_err()))
    .collect();
    insta::assert_snapshot!(told.concat());
}

#[test]
fn a_project_that_only_this_machine_names_may_be_a_folder() {
    let local = "[projects.later]\nenabled = false";
    let given = Given { system: BY_FOLDER, local, ..Given::default() };
    assert!(!given.good().settings.projects["later"].enabled);
}

/// A thousand projects and two hundred sites: prints how long it takes, which is no promise of a
/// debug build.
#[test]
fn a_thousand_projects_and_two_hundred_sites() {
    use std::fmt::Write as _;

    let mut system = "[sync]\nremote_site = \"nas\"\n".to_owned();
    for site in
        ["studio", "nas"].map(str::to_owned).into_iter().chain((0..198).map(|n| format!("s{n}")))
    {
        let _ = writeln!(
            system,
            "[sites.{site}]\nprovider = \"local_drive\"\nroot.work = \"/mnt/{site}/{{project}}\""
        );
    }
    for number in 0..1_000 {
        let _ = writeln!(system, "[projects.p{number}]\nremote_site = \"s{}\"", number % 198);
    }
    let local = "[sync]\nactive_site = \"local\"\n[sites.local.root]\nwork = \"/w/{project}\"\n";
    let started = std::time::Instant::now();
    let settings = Given { system: &system, local, ..Given::default() }.good().settings;
    println!(
        "{} projects, {} sites: {:?}",
        settings.projects.len(),
        settings.sites.len(),
        started.elapsed()
    );
    assert_eq!((settings.projects.len(), settings.sites.len()), (1_000, 201));
    assert_eq!(settings.projects["p7"].roots("s7")["work"], "/mnt/s7/p7");
}

/// A value of any shape, with where it stands.
fn node() -> impl Strategy<Value = Node> {
    let place = || (1..6_u32, 0..9_usize).prop_map(|(d, at)| Span::new(d, at..at + 1));
    let leaf = prop_oneof![
        "[a-c]{0,2}".prop_map(Value::String),
        any::<bool>().prop_map(Value::Boolean),
        Just(Value::Paths(Table::default())),
    ];
    let leaf = (place(), leaf).prop_map(|(at, value)| Node { key: at, span: at, value });
    leaf.prop_recursive(3, 24, 3, move |inner| {
        prop_oneof![
            (place(), prop::collection::vec(inner.clone(), 0..3)).prop_map(|(at, items)| Node {
                key: at,
                span: at,
                value: Value::Array(items)
            }),
            (place(), prop::collection::btree_map("[a-c]", inner, 0..4)).prop_map(|(at, nodes)| {
                Node { key: at, span: at, value: Value::Table(Table::from_nodes(nodes)) }
            }),
        ]
    })
}

fn table() -> impl Strategy<Value = Table> {
    prop::collection::btree_map("[a-c]", node(), 0..4).prop_map(Table::from_nodes)
}

fn merged(mut under: Table, over: Table) -> Table {
    under.merge(over);
    under
}

proptest! {
    /// It does not matter which of three layers are merged first.
    #[test]
    fn merging_is_associative(a in table(), b in table(), c in table()) {
        let left = merged(merged(a.clone(), b.clone()), c.clone());
        let right = merged(a, merged(b, c));
        prop_assert!(left == right);
    }

    /// Nothing under or over a layer changes it.
    #[test]
    fn an_empty_layer_says_nothing(a in table()) {
        prop_assert!(merged(a.clone(), Table::default()) == a);
        prop_assert!(merged(Table::default(), a.clone()) == a);
    }

    /// What the last layer says holds.
    #[test]
    fn the_last_layer_has_its_way(tables in prop::collection::vec(table(), 1..5)) {
        let each = [Layer::System, Layer::Local, Layer::Environment, Layer::Flags];
        let documents = tables.iter().zip(each).map(|(table, layer)| Document { layer, table: table.clone() });
        let layers = Layers::new(documents);
        let last = tables.last().cloned().unwrap_or_default();
        for (key, node) in &last.nodes {
            let held = &layers.merged().nodes[key];
            let is_table = matches!(node.value, Value::Table(_));
            prop_assert!(is_table || held == node);
        }
    }
}
