//! One key set or taken away: what the text is then.

use super::super::edit::{keys_of, parse_key, parse_value, set, unset};

fn with(text: &str, key: &str, value: &str) -> String {
    set(text, &parse_key(key).unwrap(), parse_value(value)).unwrap()
}

fn without(text: &str, key: &str) -> Option<String> {
    unset(text, &parse_key(key).unwrap()).unwrap()
}

const FILE: &str = r#"# Studio of the north, kept by Anna.

# Where people work.
[sync]
active_site = "studio"   # the big one
remote_site = "nas"
# loop_delay = "60s"

[sites.studio]
provider = "local_drive"
root.work = { linux = "/mnt/studio/{project}", windows = 'P:\{project}' } # per platform
root.publish = "/mnt/publish/{project}"
# slots = 4

# The old one.
[sites.nas]
    provider = "local_drive"
    root = { work = "/mnt/nas/{project}", publish = "/mnt/nas-publish" }

[projects.demo]   # first of all
sites.nas.enabled = true

[projects.robots]
"#;

/// The lines that an edit took away and added, in the manner of a diff.
fn diff(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) =
        (old.split_inclusive('\n').collect(), new.split_inclusive('\n').collect());
    let same =
        |pairs: &mut dyn Iterator<Item = (&&str, &&str)>| pairs.take_while(|(a, b)| a == b).count();
    let head = same(&mut old.iter().zip(&new));
    let (old, new) = (&old[head..], &new[head..]);
    let tail = same(&mut old.iter().rev().zip(new.iter().rev()));
    let lines = |sign: &str, lines: &[&str]| -> String {
        lines.iter().map(|line| format!("{sign} {}\n", line.trim_end())).collect()
    };
    format!(
        "@@ {}\n{}{}",
        head + 1,
        lines("-", &old[..old.len() - tail]),
        lines("+", &new[..new.len() - tail])
    )
}

#[test]
fn a_key_is_set_where_it_belongs_and_nothing_else_changes() {
    let sets = [
        ("sync.active_site", "nas"),
        ("sync.loop_delay", "30s"),
        ("sync.exclude", r#"["*.tmp", "Thumbs.db"]"#),
        ("enabled", "false"),
        ("host.site_id", "amber-heron-4f2c"),
        ("plugins.trust", "pinned"),
        ("sites.studio.root.work", "/mnt/other/{project}"),
        ("sites.studio.root.work.darwin", "/Volumes/studio"),
        ("sites.studio.root.scans", "/mnt/scans"),
        ("sites.studio.slots", "4"),
        ("sites.nas.slots", "4"),
        ("sites.nas.root.work", "/mnt/new"),
        ("sites.nas.root.scans", "/mnt/scans"),
        ("sites.gdrive.provider", "gdrive"),
        ("sites.cloud", r#"{ provider = "sftp", root.work = "/x" }"#),
        ("projects.demo.priority", "80"),
        ("projects.demo.sites.nas.root.work", "/mnt/old"),
        ("projects.demo.sites.studio.enabled", "false"),
        ("projects.robots.retry_count", "5"),
        ("projects.\"new one\"", "{}"),
        ("projects.new.priority", "5"),
    ];
    let told: String = sets
        .iter()
        .map(|(key, value)| format!("## {key} {value}\n{}\n", diff(FILE, &with(FILE, key, value))))
        .collect();
    insta::assert_snapshot!(told);
}

#[test]
fn a_key_is_taken_away_and_nothing_else_changes() {
    let keys = [
        "sync.active_site",
        "sync",
        "sites.studio.root.work",
        "sites.studio.root.work.windows",
        "sites.studio.root",
        "sites.nas",
        "sites.nas.root.publish",
        "projects.demo.sites.nas.enabled",
        "projects.demo",
        "projects.robots",
        "projects",
    ];
    let told: String = keys
        .iter()
        .map(|key| format!("## {key}\n{}\n", diff(FILE, &without(FILE, key).unwrap())))
        .collect();
    insta::assert_snapshot!(told);
    for absent in ["enabled", "sync.loop_delay", "sites.nas.root.scans", "sites.studio.provider.x"]
    {
        assert_eq!(without(FILE, absent), None, "{absent}");
    }
}

#[test]
fn all_ways_to_write_a_table_are_kept() {
    let cases = [
        ("", "sync.retry_count", "sync.retry_count = 5"),
        ("sync.settle = 1\n", "", "sync.settle = 1\nsync.retry_count = 5\n"),
        ("sync = { settle = 1 }\n", "", "sync = { settle = 1, retry_count = 5 }\n"),
        ("sync = {}\n", "", "sync = { retry_count = 5 }\n"),
        ("[sync]", "", "[sync]\nretry_count = 5\n"),
        ("[sync]\nsettle = 1", "", "[sync]\nsettle = 1\nretry_count = 5\n"),
        (
            "[sync]\r\nsettle = 1\r\n\r\n[host]\r\n",
            "",
            "[sync]\r\nsettle = 1\r\nretry_count = 5\r\n\r\n[host]\r\n",
        ),
        ("\u{feff}[sync]\n", "", "\u{feff}[sync]\nretry_count = 5\n"),
        ("\u{feff}# Mine\n", "", "\u{feff}[sync]\nretry_count = 5\n\n# Mine\n"),
        ("sync.retry_count=3#x\n", "", "sync.retry_count=5#x\n"),
        (
            "[sync]\nexclude = [\n  \"a\", # why\n]\n# end\n",
            "",
            "[sync]\nexclude = [\n  \"a\", # why\n]\nretry_count = 5\n# end\n",
        ),
    ];
    for (text, _, expected) in cases {
        let found = with(text, "sync.retry_count", "5");
        let expected = if text.is_empty() { "[sync]\nretry_count = 5\n" } else { expected };
        assert_eq!(found, expected, "{text:?}");
    }
}

#[test]
fn what_cannot_be_is_refused_with_a_sentence() {
    let refused = |key: &str, value: &str| {
        parse_key(key).and_then(|key| set(FILE, &key, parse_value(value))).unwrap_err().to_string()
    };
    insta::assert_snapshot!(
        [
            refused("sites.studio", "/mnt"),
            refused("sync.active_site.name", "x"),
            refused("sites..root", "x"),
            refused("sites.nas.root.work.linux", "/mnt"),
            set("[sync", &["enabled".into()], true.into()).unwrap_err().to_string(),
        ]
        .join("\n")
    );
}

#[test]
fn values_are_toml_or_else_text() {
    let shown = |text: &str| parse_value(text).to_string();
    insta::assert_snapshot!(
        [
            "5",
            "true",
            "60s",
            "nas",
            "/mnt/x",
            "{project}",
            "['a']",
            "\"5\"",
            " 7 ",
            "",
            "C:\\x",
            "a\"b",
            "{ linux = '/a' }",
            "[a"
        ]
        .map(|text| format!("{text:?} -> {}", shown(text)))
        .join("\n")
    );
    assert_eq!(keys_of(FILE, &["sync".into()]), ["active_site", "remote_site"]);
}
