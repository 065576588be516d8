//! What schemars makes of settings is understood, field by field.
#![allow(dead_code)]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sitesync_provider::Description;
use sitesync_provider::settings::{Choice, Field, Fields, Kind, Part, Scope};

/// An enum.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Documented {
    /// The first.
    #[default]
    One,
    Two,
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Bare {
    #[default]
    One,
    Two,
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Nested {
    port: u16,
    deeper: Option<Box<Nested>>,
}

#[derive(Deserialize, JsonSchema)]
enum Tagged {
    Password(String),
    Key { file: String },
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Whose files these are.
    #[schemars(title = "The account", extend("x-scope" = "studio"))]
    account: String,
    /// A file.
    #[serde(alias = "credentials_url", default)]
    #[schemars(extend("x-scope" = "local", "x-secret" = true, "x-per-platform" = true,
        "x-aliases" = ["credentials_url"]))]
    credentials_file: Option<String>,
    #[serde(default = "seven")]
    #[schemars(extend("x-part" = "site", "x-scope" = "project"), range(min = 1, max = 9))]
    tries: u32,
    largest: Option<u64>,
    offset: Option<i64>,
    small: Option<i8>,
    share: Option<f64>,
    #[schemars(length(min = 1, max = 8))]
    drive: Option<String>,
    fast: Option<bool>,
    documented: Option<Documented>,
    bare: Option<Bare>,
    #[serde(default)]
    default_choice: Documented,
    nested: Option<Nested>,
    folders: Option<Vec<String>>,
    headers: Option<BTreeMap<String, String>>,
    tagged: Option<Tagged>,
    anything: Option<serde_json::Value>,
}

fn seven() -> u32 {
    7
}

fn fields<T: JsonSchema>() -> Fields {
    let mut description = Description::default();
    description.settings = schemars::schema_for!(T).to_value();
    description.fields()
}

fn field(name: &str) -> Field {
    fields::<Settings>().get(name).unwrap_or_else(|| panic!("no field {name}")).clone()
}

#[test]
fn a_field_says_what_it_is() {
    assert!(fields::<Settings>().closed);
    let account = field("account");
    assert_eq!(account.title, "The account");
    assert_eq!(account.description, "Whose files these are.");
    assert!(account.required && !account.secret && !account.per_platform);
    assert_eq!((account.scope, account.part), (Scope::Studio, Part::Connection));
    assert_eq!(account.default, None);

    let credentials = field("credentials_url");
    assert_eq!(credentials.name, "credentials_file");
    assert_eq!(credentials.title, "Credentials file");
    assert!(!credentials.required && credentials.secret && credentials.per_platform);
    assert_eq!(credentials.scope, Scope::Local);
    assert_eq!(credentials.default, None, "null is none");

    let tries = field("tries");
    assert_eq!((tries.scope, tries.part), (Scope::Project, Part::Site));
    assert_eq!(tries.default, Some(7.into()));
    assert_eq!(field("default_choice").default, Some("one".into()));
}

#[test]
fn every_kind_is_understood() {
    let integer = |least, most| Kind::Integer { least: Some(least), most: Some(most) };
    let text = Kind::Text { least: 0, most: None };
    for (name, kind) in [
        ("account", text.clone()),
        ("credentials_file", text.clone()),
        ("tries", integer(1, 9)),
        ("largest", integer(0, u64::MAX.into())),
        ("offset", integer(i64::MIN.into(), i64::MAX.into())),
        ("small", integer(-128, 127)),
        ("share", Kind::Number { least: None, most: None }),
        ("drive", Kind::Text { least: 1, most: Some(8) }),
        ("fast", Kind::Boolean),
        ("folders", Kind::List(Box::new(text.clone()))),
        ("headers", Kind::Map(Box::new(text))),
        ("tagged", Kind::Any),
        ("anything", Kind::Any),
    ] {
        assert_eq!(field(name).kind, kind, "{name}");
    }
    for name in ["documented", "bare", "default_choice"] {
        let Kind::Choice(mut choices) = field(name).kind else { panic!("{name} is no choice") };
        choices.sort_by(|a, b| a.value.cmp(&b.value));
        let values: Vec<&str> = choices.iter().map(|Choice { value, .. }| value.as_str()).collect();
        assert_eq!(values, ["one", "two"], "{name}");
        assert_eq!(choices[0].description.is_empty(), name == "bare");
    }
}

#[test]
fn a_table_in_itself_has_an_end() {
    let mut kind = field("nested").kind;
    let mut depth = 0;
    while let Kind::Table(fields) = kind {
        assert!(fields.closed);
        kind = fields.get("deeper").expect("deeper").kind.clone();
        depth += 1;
    }
    assert!((2..16).contains(&depth), "{depth}");
    assert_eq!(kind, Kind::Any);
}

#[test]
fn what_is_no_schema_has_no_fields() {
    for schema in ["null", "true", "[]", r#"{"properties": 3}"#, r##"{"$ref": "#/nowhere"}"##] {
        let mut description = Description::default();
        description.settings = serde_json::from_str(schema).expect(schema);
        assert_eq!(description.fields(), Fields::default(), "{schema}");
    }
}
