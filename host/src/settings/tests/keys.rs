//! What is told of the host's own keys is what its reader does.

use std::collections::BTreeSet;

use super::parse;
use crate::settings::keys::{self, Absent, Key, Kind, Table};
use crate::settings::units::{format_bytes, format_duration, parse_duration};
use crate::settings::{layers, sections};

/// A document with a line in a table.
fn with(table: &Table, line: &str) -> String {
    match table.header {
        "" => line.to_owned(),
        "sites.NAME" if line.starts_with("provider") => format!("[sites.nas]\n{line}"),
        "sites.NAME" => format!("[sites.nas]\nprovider = \"local_drive\"\n{line}"),
        "projects.NAME.sites.SITE" => format!("[projects.demo.sites.studio]\n{line}"),
        header => format!("[{header}]\n{line}"),
    }
}

/// What is said against a value of a key.
fn refusal(table: &Table, key: &Key, value: &str) -> Option<String> {
    let wrong = parse(&with(table, &format!("{} = {value}", key.name))).err()?;
    let about =
        wrong.errors.iter().find(|error| error.message.contains(&format!("`{}`", key.name)));
    about.map(|error| error.message.clone())
}

/// Values at the bounds, and beyond them.
fn bounds(kind: Kind) -> (Vec<String>, Vec<String>) {
    let quoted = |text: String| format!("\"{text}\"");
    match kind {
        Kind::Boolean => (vec!["true".into(), "false".into()], vec!["1".into()]),
        Kind::Choice(choices) => {
            let choices = choices.iter().map(|choice| quoted((*choice).to_owned()));
            (choices.collect(), vec![quoted("nothing".into()), "true".into()])
        }
        Kind::Integer(least, most) => {
            let (least, most) = (i64::from(least), i64::from(most));
            let text = |number: i64| number.to_string();
            (vec![text(least), text(most)], vec![text(least - 1), text(most + 1)])
        }
        Kind::Number(least, most) => (
            vec![least.to_string(), most.to_string()],
            vec![(least / 2.0).to_string(), (most * 2.0).to_string()],
        ),
        Kind::Duration(least, most) => {
            let [least, most] = [least, most].map(|text| parse_duration(text).expect(text));
            let step = std::time::Duration::from_nanos(1);
            let mut beyond = vec![quoted(format_duration(most + step))];
            beyond.extend(least.checked_sub(step).map(|less| quoted(format_duration(less))));
            (vec![quoted(format_duration(least)), quoted(format_duration(most))], beyond)
        }
        Kind::Bytes((least_said, least), (most_said, most)) => {
            assert_eq!([format_bytes(least), format_bytes(most)], [least_said, most_said]);
            let (text, said) = (|bytes: u64| bytes.to_string(), [least_said, most_said]);
            let mut within = said.map(|said| quoted(said.to_owned())).to_vec();
            within.extend([text(least), text(most)]);
            (within, vec![text(least - 1), text(most + 1)])
        }
        _ => (vec![], vec!["true".into()]),
    }
}

#[test]
fn bounds_and_choices_are_those_of_the_reader() {
    let tables = [
        keys::TOP,
        keys::HOST,
        keys::PLUGINS,
        keys::SYNC,
        Table { keys: keys::LISTING, ..keys::SYNC },
        keys::SITE,
        keys::PROJECT_SITE,
    ];
    for table in tables {
        for key in table.keys {
            let (right, wrong) = bounds(key.kind);
            for value in right {
                assert_eq!(refusal(&table, key, &value), None, "{} = {value}", key.name);
            }
            for value in wrong {
                assert!(refusal(&table, key, &value).is_some(), "{} = {value}", key.name);
            }
            if let Absent::Toml(default) = key.default {
                assert_eq!(refusal(&table, key, default), None, "{} = {default}", key.name);
            }
        }
    }
}

#[test]
fn names_are_those_of_the_reader() {
    let sorted = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let of =
        |keys: &[Key]| -> BTreeSet<String> { keys.iter().map(|key| key.name.into()).collect() };
    let sections: BTreeSet<String> = sorted(&["host", "plugins", "sync", "sites", "projects"]);
    assert_eq!(&of(keys::TOP.keys) | &sections, sorted(&sections::TOP));
    assert_eq!(of(keys::HOST.keys), sorted(&sections::HOST));
    assert_eq!(of(keys::PLUGINS.keys), sorted(&sections::PLUGINS));
    assert_eq!(of(keys::SYNC.keys), sorted(&sections::SYNC));
    assert_eq!(of(keys::SITE.keys), sorted(&sections::SITE));
    assert_eq!(of(keys::PROJECT_SITE.keys), sorted(&sections::PROJECT_SITE));
}

#[test]
fn defaults_are_what_is_built_in() {
    let built_in: toml::Table = layers::BUILT_IN.parse().expect("TOML");
    let told = |keys: &[Key], table: &toml::Table| {
        for key in keys {
            let Absent::Toml(text) = key.default else { continue };
            let told: toml::Table = format!("v = {text}").parse().expect(text);
            if let Some(built_in) = table.get(key.name) {
                assert_eq!(told["v"], *built_in, "{}", key.name);
            }
        }
    };
    told(keys::TOP.keys, &built_in);
    for table in [keys::HOST, keys::PLUGINS, keys::SYNC] {
        told(table.keys, built_in[table.header].as_table().expect("a table"));
    }
    let sync = built_in["sync"].as_table().expect("a table");
    told(keys::LISTING, sync);
    told(keys::SITE.keys, built_in["sites"]["studio"].as_table().expect("a table"));
    // All that is built in is told.
    let known = keys::SYNC.keys.iter().chain(keys::LISTING).map(|key| key.name);
    let known: BTreeSet<&str> = known.collect();
    assert_eq!(sync.keys().map(String::as_str).collect::<BTreeSet<_>>(), known);
}
