//! A provider's own settings against its declaration: what a person is shown.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sitesync_provider::Description;

use super::{context, good};
use crate::settings::provider::{self, Declared};
use crate::settings::{Layer, Loaded, Problem, Source};

/// A provider that has a bit of everything.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Settings {
    /// Whose files these are.
    account: String,
    /// The file that holds the key.
    #[serde(default, alias = "credentials_url")]
    #[schemars(extend("x-scope" = "local", "x-per-platform" = true,
        "x-aliases" = ["credentials_url"]))]
    credentials_file: Option<String>,
    /// The key itself.
    #[serde(default)]
    #[schemars(extend("x-scope" = "local", "x-secret" = true), length(min = 4))]
    key: Option<String>,
    #[serde(default)]
    #[schemars(extend("x-secret" = true))]
    pin: Option<u16>,
    #[serde(default)]
    #[schemars(extend("x-secret" = true))]
    pins: Vec<u16>,
    #[serde(default)]
    mode: Mode,
    /// Of the drive.
    #[schemars(extend("x-scope" = "project"), length(min = 1, max = 8))]
    drive: Option<String>,
    #[schemars(range(min = 1, max = 100))]
    chunks: Option<u32>,
    largest: Option<u64>,
    #[schemars(range(min = 0.5))]
    patience: Option<f64>,
    trash: Option<bool>,
    folders: Option<Vec<String>>,
    modes: Option<Vec<Mode>>,
    proxy: Option<Proxy>,
    headers: Option<BTreeMap<String, String>>,
    any: Option<serde_json::Value>,
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Shared,
    Mine,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Proxy {
    /// Where it listens.
    host: String,
    port: Option<u16>,
    #[schemars(extend("x-secret" = true))]
    card: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[allow(dead_code)]
struct Lenient {
    name: Option<String>,
}

fn described<T: JsonSchema>(id: &str) -> Declared {
    let description = serde_json::json!({
        "id": id, "settings": schemars::schema_for!(T).to_value(),
    });
    Declared::of(&serde_json::from_value::<Description>(description).expect("a description"))
}

/// Returns errors and notes about these lines of a site.
fn checked(lines: &str, declared: &Declared) -> (String, String) {
    let loaded = good(&format!("[sites.cloud]\nprovider = \"cloud\"\n{lines}\n"));
    let declared = BTreeMap::from([("cloud".to_owned(), Arc::new(declared.clone()))]);
    let shown = |problems: Vec<Problem>| {
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n")
    };
    match provider::check(&loaded, &declared) {
        Ok(notes) => (String::new(), shown(notes)),
        Err(wrong) => (shown(wrong.errors), shown(wrong.notes)),
    }
}

/// Shows what is said about each; `account` is there, unless it is what is missing.
fn told(snippets: &[&str]) -> String {
    let declared = described::<Settings>("cloud");
    let mut all = String::new();
    for snippet in snippets {
        let lines = match snippet.strip_prefix("!") {
            Some(alone) => alone.to_owned(),
            None => format!("account = \"anna\"\n{snippet}"),
        };
        let (errors, notes) = checked(&lines, &declared);
        assert!(!errors.is_empty() && notes.is_empty(), "{snippet}\n{errors}\n{notes}");
        assert!(!errors.contains("hunter2"), "{errors}");
        all.push_str(&format!("{snippet}\n----\n{errors}\n\n========\n"));
    }
    all
}

#[test]
fn keys() {
    insta::assert_snapshot!(told(&[
        "trahs = true",
        "slot = 3",
        "wholly_else = 1",
        "\"a\\nb\" = 1",
        "proxy = { host = \"proxy\", prot = 3128 }",
        "proxy.host = \"proxy\"\nproxy.user = \"anna\"",
        "!",
        "!trash = true\nchunks = 5",
        "proxy = { port = 3128 }",
        "proxy = {}",
    ]));
}

#[test]
fn values() {
    insta::assert_snapshot!(told(&[
        "!account = 1",
        "!account = [\"anna\"]",
        "drive = true",
        "drive = \"\"",
        "drive = \"much too long\"",
        "chunks = \"5\"",
        "chunks = 2.5",
        "chunks = 0",
        "chunks = -1",
        "chunks = 101",
        "largest = -1",
        "largest = 0x10\npatience = 0.25",
        "patience = \"long\"",
        "trash = \"yes\"",
        "trash = 1",
        "mode = \"mien\"",
        "mode = \"SHARED\"",
        "mode = \"other\"",
        "mode = 1",
        "folders = \"/a\"",
        "folders = [\"/a\", 2, [\"/b\"]]",
        "modes = [\"mine\", \"yours\"]",
        "proxy = \"proxy:3128\"",
        "proxy = { host = 1, port = 70000 }",
        "headers = [\"a\"]",
        "headers = { a = \"b\", c = 2 }",
        // All of a file at once, in its order.
        "trash = 1\nchunks = 0\nmoed = \"mine\"\ndrive = 1979-05-27\nmode = \"x\"",
    ]));
}

#[test]
fn platforms() {
    insta::assert_snapshot!(told(&[
        "drive = { linux = \"/a\", windows = \"C:/a\" }",
        "mode = { linux = \"mine\" }",
        "credentials_file = { linux = \"/a\", macos = \"/b\" }",
        "credentials_file = { linux = \"/a\", amiga = \"/b\" }",
        "credentials_file = { linux = 1 }",
        "credentials_file = { file = \"/a\" }",
        "chunks = { linux = 1 }",
    ]));
}

#[test]
fn what_a_project_sets_of_a_site() {
    let of_project = |line: &str| format!("[projects.demo]\nsites.cloud.{line}");
    let wrong = ["drive = 7", "drvie = \"a\"", "credentials_file = \"/x\"", "trash = true"];
    let wrong = wrong.map(of_project);
    insta::assert_snapshot!(told(&wrong.each_ref().map(String::as_str)));

    let declared = described::<Settings>("cloud");
    let right = format!("account = \"anna\"\ndrive = \"all\"\n{}", of_project("drive = \"own\""));
    assert_eq!(checked(&right, &declared), (String::new(), String::new()));
    let settings = good(&format!("[sites.cloud]\nprovider = \"cloud\"\n{right}\n")).settings;
    assert_eq!(settings.projects["demo"].site_settings("cloud")["drive"], "own");
    assert!(settings.projects["demo"].site_settings("studio").is_empty());
}

#[test]
fn secrets_are_not_shown() {
    insta::assert_snapshot!(told(&[
        "key = { hunter2 = 1 }",
        "key = [\n  \"hunter2\",\n]",
        "key = \"a\" # hunter2",
        "pin = 70000",
        "pin = \"hunter2\"",
        "pins = [\n  1, \"hunter2\", 70000,\n]",
        "proxy = { card = [\n \"hunter2\"], host = \"proxy\" }",
        "proxy.port = 70000\nproxy.host = \"proxy\"\nheaders = { key = \"hunter2\", a = 1 }",
    ]));
}

#[test]
fn what_is_right_is_not_mentioned() {
    let right = r#"
account = "anna"
credentials_file = { linux = "/etc/{USER}.json", windows = "C:/key.json" }
key = "{USER}"
pins = [1, 2]
mode = "mine"
drive = "{USER}{USER}{USER}"
chunks = 0x10
largest = 18446744073709551615
patience = 1
trash = false
folders = []
modes = ["mine", "shared"]
headers = { a = "b", "c d" = "e" }
any = { really = [1, { x = 1.5 }] }
slots = 3

[sites.cloud.proxy]
host = "proxy"
port = 3128
"#;
    let told = checked(right, &described::<Settings>("cloud"));
    assert_eq!(told, (String::new(), String::new()));
    // A choice may come from a variable.
    let told = checked("account = \"a\"\nmode = \"{USER}\"", &described::<Settings>("cloud"));
    assert_eq!(told, (String::new(), String::new()));
}

#[test]
fn what_may_not_be_meant_is_noted() {
    let (errors, old) = checked(
        "account = \"anna\"\ncredentials_url = \"/a.json\"",
        &described::<Settings>("cloud"),
    );
    assert_eq!(errors, "");
    let (errors, ignored) = checked("nmae = 1\nwholly_else = 2", &described::<Lenient>("cloud"));
    assert_eq!(errors, "");
    insta::assert_snapshot!(format!("{old}\n\n{ignored}"));
}

#[test]
fn a_provider_without_settings_says_so() {
    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}
    insta::assert_snapshot!(checked("level = 1", &described::<Nothing>("cloud")).0);
}

#[test]
fn a_machine_sets_what_the_provider_opens_for_it() {
    const STUDIO: &str = "[sites.cloud]\nprovider = \"cloud\"\naccount = \"anna\"\n";
    let declared = Arc::new(described::<Settings>("cloud"));
    let declared = BTreeMap::from(["cloud", "local"].map(|site| (site.into(), declared.clone())));
    let told = |layer: Layer, lines: &str| {
        let documents = vec![
            Source::new(Layer::System, "sitesync.toml", STUDIO),
            Source::new(layer, "local.toml", format!("[sites.cloud]\n{lines}\n")),
        ];
        let loaded = crate::settings::Settings::check(documents, &context()).expect(lines);
        match provider::check(&loaded, &declared) {
            Ok(_) => "fine".to_owned(),
            Err(wrong) => wrong.to_string(),
        }
    };
    let own = "credentials_file = \"/home/anna/key.json\"\nkey = \"{USER}\"";
    assert_eq!(told(Layer::Local, own), "fine");
    let local = "[sites.local]\nprovider = \"cloud\"\naccount = \"me\"\ntrash = true";
    assert_eq!(told(Layer::Local, local), "fine");
    assert_eq!(told(Layer::Environment, "account = \"me\""), "fine");
    assert_eq!(told(Layer::Flags, "trash = true"), "fine");
    let lenient = Arc::new(described::<Lenient>("cloud"));
    let lenient = BTreeMap::from([("cloud".to_owned(), lenient)]);
    let documents = vec![
        Source::new(Layer::System, "sitesync.toml", STUDIO),
        Source::new(Layer::Local, "local.toml", "[sites.cloud]\nundeclared = 1"),
    ];
    let loaded = crate::settings::Settings::check(documents, &context()).expect("right so far");
    assert!(provider::check(&loaded, &lenient).is_err(), "what nobody declared, nobody opened");
    // A wrong value is told where it stands, also where another one counts.
    insta::assert_snapshot!(
        [told(Layer::Local, "account = \"me\"\ntrash = 3"), told(Layer::Local, "key = 3"),]
            .join("\n\n")
    );
}

#[test]
fn what_is_declared_as_a_secret_is_not_listed() {
    let lines =
        "account = \"anna\"\nkey = \"hunter2\"\nproxy = { host = \"h\", card = \"hunter2\" }";
    let mut loaded = good(&format!("[sites.cloud]\nprovider = \"cloud\"\n{lines}\n"));
    let values = |loaded: &Loaded| {
        let values = loaded.origins.shared().into_iter();
        values.map(|one| format!("{} = {}\n", one.key.join("."), one.value)).collect::<String>()
    };
    assert!(values(&loaded).contains("hunter2"), "the names tell nothing");
    let declared = Arc::new(described::<Settings>("cloud"));
    provider::hide(&mut loaded, &BTreeMap::from([("cloud".to_owned(), declared)]));
    let values = values(&loaded);
    assert!(!values.contains("hunter2") && values.contains("anna"), "{values}");
}
