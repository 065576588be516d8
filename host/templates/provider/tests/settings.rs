//! What stands in `[sites.NAME]`, as sitesync hands it over: JSON.

use my_store::{MyStore, Settings};
use serde_json::{Value, from_value, json};
use sitesync_provider::Description;
use sitesync_provider::settings::{Kind, Part};

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

/// An editor shows each field's title and help; a secret is hidden; sites share a connection
/// or don't.
#[test]
fn each_field_says_what_it_is() {
    let fields = Description::of::<MyStore>().fields();
    for field in &fields.fields {
        assert!(!field.description.is_empty(), "{field:?}");
        // What is not understood is not checked by the host, nor completed by editors.
        assert_ne!(field.kind, Kind::Any, "{field:?}");
    }
    assert!(fields.closed, "a slip in a key is found");
    assert!(fields.get("key").unwrap().secret);
    assert_eq!(fields.get("largest_file").unwrap().part, Part::Site);
}
