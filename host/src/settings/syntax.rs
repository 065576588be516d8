//! A text as TOML, or all that keeps it from being that.

use std::collections::BTreeSet;

use toml::de::DeTable;

use super::read::Report;
use super::source::{Source, Span};
use super::tree::Table;

/// Returns what the text says, or `None` if it is no TOML: then the report says why.
pub(super) fn parse(source: &Source, document: u32, report: &mut Report<'_>) -> Option<Table> {
    let (table, errors) = DeTable::parse_recoverable(source.text());
    if errors.is_empty() {
        return Some(Table::of(table.get_ref(), document));
    }
    syntax(source, document, report, &errors);
    None
}

fn syntax(source: &Source, document: u32, report: &mut Report<'_>, errors: &[toml::de::Error]) {
    let mut lines = BTreeSet::new();
    for error in errors {
        let span = Span::new(document, error.span().unwrap_or_default());
        // What else is wrong with a line follows from the first that was found.
        if !lines.insert(source.place(span).line) {
            continue;
        }
        let found = source.text().get(span.start..span.end).unwrap_or_default();
        let message = error.message();
        let (message, hint) = if message.contains("quoted") && found.trim().is_empty() {
            ("a value is missing", "write `key = value`")
        } else if message.contains("quoted") {
            let hint = match found.trim().to_lowercase().as_str() {
                "true" | "yes" | "on" => "write `true`",
                "false" | "no" | "off" => "write `false`",
                _ => "put text into quotes",
            };
            ("this is no value", hint)
        } else if message.contains("escape") {
            (message, "in \"...\" a `\\` begins an escape: write paths with `/`, or in '...'")
        } else if message.contains("duplicate key") {
            (message, "it stands further up already: write every key and every [table] once")
        } else if message.contains("extend") {
            (message, "it was closed further up: keep its keys in one place")
        } else {
            (message, "the file is TOML: https://toml.io")
        };
        report.error(span, format!("not TOML: {message}"), hint);
    }
}
