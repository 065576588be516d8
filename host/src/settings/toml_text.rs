//! JSON values as TOML writes them, on one line.

use serde_json::Value;

/// Returns a value as it stands behind `=`. There is no `null` in TOML: keys without a value are
/// left out.
pub(super) fn of(value: &Value) -> String {
    match value {
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(of).collect();
            format!("[{}]", values.join(", "))
        }
        Value::Object(map) => {
            let some = map.iter().filter(|(_, value)| !value.is_null());
            let pairs: Vec<String> =
                some.map(|(key, value)| format!("{} = {}", key_of(key), of(value))).collect();
            if pairs.is_empty() { "{}".into() } else { format!("{{ {} }}", pairs.join(", ")) }
        }
        // JSON's numbers, texts and truth values are TOML's too, but for one character.
        plain => plain.to_string().replace('\u{7f}', "\\u007f"),
    }
}

fn key_of(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let is_bare = !key.is_empty() && key.chars().all(bare);
    if is_bare { key.to_owned() } else { of(&Value::from(key)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let value = serde_json::json!({
            "a": [1, -2.5, true], "b c": "x\"\\\n\u{7f}é", "n": { "m": {}, "gone": null },
        });
        let text = of(&value);
        let read: Value = toml::from_str(&format!("v = {text}")).expect(&text);
        let mut kept = value;
        kept["n"].as_object_mut().expect("a table").remove("gone");
        assert_eq!(read["v"], kept, "{text}");
    }
}
