//! Any key of any file: what was set is what is loaded, and no other line changes.

use proptest::prelude::*;

use super::super::Settings;
use super::super::edit::{parse_key, parse_value, set, unset};
use super::context;

/// Ways to write one and the same: each has `studio`, `nas` and the projects `demo` and `robots`.
const FORMS: [&str; 5] = [
    "# head\n\n[sync] # here\nremote_site = \"nas\"\nretry_count = 1 # tries\n\n\
     # sites\n[sites.studio]\nprovider = \"local_drive\"\nroot.work = \"/s/{project}\"\n\
     # more\n\n[sites.nas]\nprovider = \"local_drive\"\nroot.work = '/n/{project}'\n\n\
     [projects.demo]\npriority = 7\n[projects.robots]\n# end",
    "sync = { remote_site = \"nas\" } # one line\n\
     sites.studio = { provider = \"local_drive\", root = { work = \"/s/{project}\" } }\n\
     sites.nas = {provider=\"local_drive\",root.work=\"/n/{project}\"}\n\
     # projects\nprojects = { demo = { }, robots.priority = 9 }\n",
    "sync.remote_site = \"nas\"\nsync.always_accessible_on = [\n  \"studio\", # no\n  \"nas\",\n]\n\
     sites.studio.provider = \"local_drive\"\nsites.studio.root.work = \"/s/{project}\"\n\
     sites.nas.root.work = \"/n/{project}\"\nsites.nas.provider = \"local_drive\"\n\
     projects.demo.enabled = true\nprojects.robots = {}\n",
    "[projects]\ndemo = {}\nrobots.enabled = true\r\n\r\n[sites]\r\n\
     studio.provider = \"local_drive\"\r\nstudio.root.work = \"/s/{project}\"\r\n\
     [sites.nas]\r\nprovider = \"local_drive\"\r\n[sites.nas.root]\r\nwork = \"/n/{project}\"\r\n\
     \r\n[sync]\r\nremote_site = \"nas\"\r\n# end\r\n",
    "\u{feff}# mark\nenabled = true\n[projects.demo.sites.nas.root]\n  work = \"/d\"\n\
     [projects.robots]\n\n\n[sites.nas]\n  provider = \"local_drive\"\n\n  root.work = \"/n/{project}\"\n\
     [sites.studio]\nprovider = \"local_drive\"\nroot.work = \"/s/{project}\"\n\
     [sync]\nremote_site = \"nas\"\n",
];

fn key_and_value() -> impl Strategy<Value = (String, String)> {
    let table = prop_oneof![Just("sync"), Just("projects.demo"), Just("projects.robots")];
    let value = prop_oneof![
        (0u32..=1000).prop_map(|n| ("retry_count", n.to_string())),
        (1u32..=1000).prop_map(|n| ("priority", n.to_string())),
        (1u32..=3600).prop_map(|n| ("loop_delay", format!("{n}s"))),
        any::<bool>().prop_map(|on| ("enabled", on.to_string())),
        proptest::collection::btree_set("[a-z.?]{1,5}", 0..3)
            .prop_map(Vec::from_iter)
            .prop_map(|names| ("exclude", format!("{names:?}"))),
    ];
    let own = (table, value).prop_map(|(table, (key, value))| (format!("{table}.{key}"), value));
    let site = (
        prop_oneof![Just("sites.studio"), Just("sites.nas")],
        prop_oneof![
            (1u32..=1024).prop_map(|n| ("slots", n.to_string())),
            (1u32..=3600).prop_map(|n| ("timeout", format!("{n}s"))),
            "[a-z]{1,9}".prop_map(|path| ("root.extra", format!("/x/{path}/{{project}}"))),
            "[a-z]{1,9}".prop_map(|path| ("root.work", format!("/mnt/{path}/{{project}}"))),
            "[ -~]{1,9}".prop_map(|text| ("note", format!("x{text}").replace('{', "{{"))),
        ],
    );
    // No two sites may lie over one folder.
    let site = site.prop_map(|(table, (key, value))| {
        let value = if key.starts_with("root") { format!("/{table}{value}") } else { value };
        (format!("{table}.{key}"), value)
    });
    let project = "[a-z]{1,9}"
        .prop_map(|path| ("projects.demo.sites.nas.root.work".into(), format!("/d/{path}")));
    prop_oneof![own, site, project, any::<bool>().prop_map(|on| ("enabled".into(), on.to_string()))]
}

/// A loaded value, as it would be written.
fn loaded(text: &str, key: &str) -> String {
    let settings = Settings::parse(text, "sitesync.toml", &context())
        .unwrap_or_else(|errors| panic!("{errors}\n{text}"))
        .settings;
    let parts: Vec<&str> = key.split('.').collect();
    match parts[..] {
        ["enabled"] => settings.enabled.to_string(),
        ["sync", key] => match key {
            "retry_count" => settings.sync.retry_count.to_string(),
            "priority" => settings.sync.priority.to_string(),
            "loop_delay" => format!("{}s", settings.sync.loop_delay.as_secs()),
            "enabled" => settings.sync.enabled.to_string(),
            _ => format!("{:?}", settings.sync.exclude),
        },
        ["projects", project, key] => {
            let project = &settings.projects[project];
            match key {
                "retry_count" => project.retry_count.to_string(),
                "priority" => project.priority.to_string(),
                "loop_delay" => format!("{}s", project.loop_delay.as_secs()),
                "enabled" => project.enabled.to_string(),
                _ => format!("{:?}", project.exclude),
            }
        }
        ["projects", project, "sites", site, "root", root] => {
            settings.projects[project].roots(site)[root].clone()
        }
        ["sites", site, "root", root] => settings.sites[site].roots[root].clone(),
        ["sites", site, key] => {
            let site = &settings.sites[site];
            match key {
                "slots" => site.slots.unwrap().to_string(),
                "timeout" => format!("{}s", site.timeout.unwrap().as_secs()),
                _ => site.settings["note"].as_str().unwrap().replace('{', "{{"),
            }
        }
        _ => unreachable!("{key}"),
    }
}

/// A value as `config show` has it.
fn shown(text: &str, key: &[String]) -> toml::Value {
    let origins = Settings::parse(text, "sitesync.toml", &context()).unwrap().origins;
    let all = match key {
        [projects, name, ..] if projects == "projects" => {
            origins.project(name, &["studio", "nas", "local"])
        }
        _ => origins.shared(),
    };
    all.into_iter().find(|value| value.key == key).expect("it is shown").value
}

/// The lines from the first to the last in which the text differs from the other.
fn changed<'t>(text: &'t str, other: &str) -> Vec<&'t str> {
    let (lines, others): (Vec<_>, Vec<_>) = (text.lines().collect(), other.lines().collect());
    let head = lines.iter().zip(&others).take_while(|(a, b)| a == b).count();
    let (lines, others) = (&lines[head..], &others[head..]);
    let tail = lines.iter().rev().zip(others.iter().rev()).take_while(|(a, b)| a == b).count();
    lines[..lines.len() - tail].to_vec()
}

/// The lines that say something, but for headers that are not in the other text. Of a line with a
/// table in braces, braces may stay.
fn said<'t>(text: &'t str, other: &str) -> Vec<&'t str> {
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .filter(|line| !line.starts_with('[') || other.contains(line))
        .map(|line| line.split('{').next().unwrap_or(line))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_set_is_loaded_and_nothing_else_changes(
        form in 0..FORMS.len(),
        sets in proptest::collection::vec(key_and_value(), 1..6),
    ) {
        let mut text = FORMS[form].to_owned();
        for (key, value) in sets {
            let parts = parse_key(&key).unwrap();
            // A text that looks like a number is one, unless it is quoted.
            let value_set = if key.ends_with("note") {
                toml_edit::Value::from(value.as_str())
            } else {
                parse_value(&value)
            };
            let wanted: toml::Table = format!("x = {value_set}").parse().unwrap();
            let new = set(&text, &parts, value_set).unwrap();
            prop_assert_eq!(shown(&new, &parts), wanted["x"].clone(), "{}\n{}", key, new);
            prop_assert_eq!(loaded(&new, &key), value, "{}\n{}", key, new);
            let gone = changed(&text, &new);
            let own = |line: &&str| line.contains(parts.last().unwrap()) || line.contains('{');
            prop_assert!(gone.len() <= 1 && gone.iter().all(own), "{gone:?}\n{text}\n--\n{new}");
            for comment in FORMS[form].lines().filter_map(|line| line.split_once('#')) {
                prop_assert!(new.contains(comment.1), "{} is gone:\n{new}", comment.1);
            }

            // Taken away again, nothing of it is left, but for a header and braces.
            let back = unset(&new, &parts).unwrap().expect("it was set");
            prop_assert_eq!(unset(&back, &parts).unwrap(), None);
            if unset(&text, &parts).unwrap().is_none() {
                prop_assert_eq!(said(&back, &text), said(&text, &text), "{}\n{}", key, back);
            }
            text = new;
        }
    }
}
