//! Secrets in files that anybody can read.

use super::file::quoted;
use super::read::{Report, fields};
use super::source::{Source, is_secret};
use super::tree::{Table, Value};

/// Notes every secret that stands in a file that anybody can read.
pub(super) fn note(document: &Table, source: &Source, report: &mut Report<'_>) {
    let Some(mode) = source.is_exposed() else { return };
    for field in &fields(document) {
        match field.value {
            Value::Table(table) => note(table, source, report),
            // What a variable holds does not stand here.
            Value::String(text) if is_secret(field.name) && !is_reference(text) => report.note(
                field.key,
                format!("`{}` is a secret, and anybody can read it (mode {mode:04o})", field.name),
                format!(
                    "run `chmod o-r {}`, or keep it in a variable: `\"{{NAME}}\"`",
                    quoted(source.name())
                ),
            ),
            _ => {}
        }
    }
}

fn is_reference(text: &str) -> bool {
    let name = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    name.is_some_and(|name| !name.contains(['{', '}']))
}
