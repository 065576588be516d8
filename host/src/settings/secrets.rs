//! Secrets in files that anybody can read.

use super::file::quoted;
use super::read::{Field, Report, fields};
use super::source::{Source, is_secret};
use super::tree::{Table, Value};

/// Notes every secret that stands in a file that anybody can read.
pub(super) fn note(document: &Table, source: &Source, report: &mut Report<'_>) {
    if source.is_exposed().is_none() {
        return;
    }
    for field in &fields(document) {
        match field.value {
            Value::Table(table) => note(table, source, report),
            _ if is_secret(field.name) => exposed(field, report),
            _ => {}
        }
    }
}

/// Notes a secret, if anybody can read the file in which it stands.
pub(super) fn exposed(field: &Field<'_>, report: &mut Report<'_>) {
    let source = report.source(field.key);
    let Some(mode) = source.is_exposed() else { return };
    // What a variable holds does not stand here.
    if !matches!(field.value, Value::String(text) if !is_reference(text)) {
        return;
    }
    let remedy = format!(
        "run `chmod o-r {}`, or keep it in a variable: `\"{{NAME}}\"`",
        quoted(source.name())
    );
    report.note(
        field.key,
        format!("`{}` is a secret, and anybody can read it (mode {mode:04o})", field.name),
        remedy,
    );
}

fn is_reference(text: &str) -> bool {
    let name = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    name.is_some_and(|name| !name.contains(['{', '}']))
}
