//! Settings that are given without a file: variables of the environment and `--set`.

use super::layers::Layer;
use super::source::Source;

/// The variable that holds lines `KEY=VALUE`.
pub const VARIABLE: &str = "SITESYNC_SET";
/// The variable that holds this machine's site id.
pub const SITE_ID_VARIABLE: &str = "SITESYNC_SITE_ID";

/// Returns lines `KEY=VALUE` as a document, line by line.
pub(super) fn environment(lines: &str) -> Source {
    let text: Vec<String> = lines.lines().map(as_toml).collect();
    Source::new(Layer::Environment, format!("the variable {VARIABLE}"), text.join("\n"))
}

/// Returns a site id as a document.
pub(super) fn site_id(id: &str) -> Source {
    let text = format!("host.site_id = {}", quoted(id));
    Source::new(Layer::Environment, format!("the variable {SITE_ID_VARIABLE}"), text)
}

/// Returns what stands behind one `--set` as a document.
pub(super) fn flag(text: &str) -> Source {
    Source::new(Layer::Flags, "--set", as_toml(text))
}

/// Returns `KEY=VALUE` as TOML: a value that is none is a text without its quotes.
fn as_toml(line: &str) -> String {
    let Some((key, value)) = line.split_once('=') else { return line.to_owned() };
    let value = value.trim();
    // What begins like a text, an array or a table was meant to be one, and is told if it is not.
    let begun = value.is_empty() || value.starts_with(['"', '\'', '[', '{', '#']);
    let begun = begun && !begins_with_variable(value);
    if key.trim_start().starts_with('#') || begun || is_value(value) {
        return line.to_owned();
    }
    format!("{}={}", key, quoted(value))
}

/// `{STUDIO}/projects` is a text, and no table.
fn begins_with_variable(value: &str) -> bool {
    let name = value.strip_prefix('{').and_then(|rest| rest.split_once('}'));
    name.is_some_and(|(name, _)| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

fn is_value(text: &str) -> bool {
    toml::from_str::<toml::Table>(&format!("x = {text}")).is_ok()
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_value_is_a_text() {
        for (line, toml) in [
            ("sync.retry_count=5", "sync.retry_count=5"),
            ("sync.loop_delay=30s", "sync.loop_delay=\"30s\""),
            ("sites.x.root.work={STUDIO}/{project}", "sites.x.root.work=\"{STUDIO}/{project}\""),
            ("sites.x.root.work={ linux = 1 }", "sites.x.root.work={ linux = 1 }"),
            ("sync.exclude=[\"a\"", "sync.exclude=[\"a\""),
        ] {
            assert_eq!(as_toml(line), toml);
        }
    }
}
