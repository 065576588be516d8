//! What becomes of names in storages that can't have any.

use std::borrow::Cow;

use crate::defect::Defect;

/// What this provider makes of a path.
pub fn named(defect: Option<Defect>, path: &str) -> Cow<'_, str> {
    let each = |name: &dyn Fn(&str) -> String| -> Cow<'_, str> {
        path.split('/').map(name).collect::<Vec<_>>().join("/").into()
    };
    let replaced = |wrong: &dyn Fn(char) -> bool| -> Cow<'_, str> {
        path.chars().map(|c| if wrong(c) { '_' } else { c }).collect::<String>().into()
    };
    match defect {
        Some(Defect::FoldsCase) => path.to_lowercase().into(),
        Some(Defect::Composes) => composed(path).into(),
        Some(Defect::CutsTrailing) => {
            each(&|name| something(name.trim_end_matches(['.', ' ']), name))
        }
        Some(Defect::CutsLeading) => each(&|name| something(name.trim_start(), name)),
        Some(Defect::Decodes) => path.replace("%20", " ").into(),
        Some(Defect::PlusIsSpace) => path.replace('+', " ").into(),
        Some(Defect::ReplacesControls) => replaced(&char::is_control),
        Some(Defect::CutsLong) => each(&|name| name.chars().take(100).collect()),
        Some(Defect::Replaces) => replaced(&|c| r#":*?"<>|\"#.contains(c)),
        Some(Defect::ReplacesAstral) => replaced(&|c| c > '\u{ffff}'),
        _ => path.into(),
    }
}

/// What is left of a name, unless that is nothing.
fn something(left: &str, name: &str) -> String {
    if left.is_empty() { name.to_owned() } else { left.to_owned() }
}

/// The commonest letters, composed as some storages do it.
fn composed(path: &str) -> String {
    let pairs = [
        ("a\u{301}", "á"),
        ("e\u{301}", "é"),
        ("a\u{308}", "ä"),
        ("o\u{308}", "ö"),
        ("u\u{308}", "ü"),
        ("A\u{30a}", "Å"),
        ("a\u{30a}", "å"),
        ("n\u{303}", "ñ"),
    ];
    pairs.iter().fold(path.to_owned(), |path, (from, to)| path.replace(from, to))
}
