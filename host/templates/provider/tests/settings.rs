//! What stands in `[sites.NAME]`, as sitesync hands it over: JSON.

use my_store::{MyStore, Settings};
use serde_json::{Value, from_value, json};
use sitesync_provider::Description;

fn refusal(settings: Value) -> String {
    from_value::<Settings>(settings).err().expect("refused").to_string()
}

#[test]
fn nothing_is_required() {
    let settings: Settings = from_value(json!({})).unwrap();
    assert_eq!((settings.account.as_str(), settings.largest_file), ("", None));
}

#[test]
fn what_is_wrong_is_named() {
    assert!(refusal(json!({ "acount": "a" })).contains("acount"));
    assert!(refusal(json!({ "largest_file": "big" })).contains("big"));
}

/// A form shows each field's title and help; a secret is hidden; sites share a connection
/// or don't.
#[test]
fn each_field_says_what_it_is() {
    let schema = Description::of::<MyStore>().settings;
    let fields = schema["properties"].as_object().unwrap();
    for (name, field) in fields {
        assert!(field["title"].is_string() && field["description"].is_string(), "{name}: {field}");
        assert!(field["x-scope"].is_string(), "{name}: {field}");
    }
    assert_eq!(fields["key"]["x-secret"], true);
    assert_eq!(fields["largest_file"]["x-part"], "site");
}
