//! Search queries of Drive (the `q` of `files.list`).
//!
//! <https://developers.google.com/workspace/drive/api/guides/search-files>

use crate::model::FOLDER;

/// A text literal, quoted: `'it\'s'`.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for c in text.chars() {
        if matches!(c, '\'' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('\'');
    quoted
}

/// What has this name in a folder.
pub(crate) fn named(folder: &str, name: &str) -> String {
    format!("{} in parents and name = {} and trashed = false", quoted(folder), quoted(name))
}

/// Folders of this name in a folder.
pub(crate) fn folder_named(folder: &str, name: &str) -> String {
    format!("{} and mimeType = '{FOLDER}'", named(folder, name))
}

/// Folders of this name that somebody has shared with the account.
pub(crate) fn shared_with_me(name: &str) -> String {
    let name = quoted(name);
    format!("sharedWithMe and name = {name} and mimeType = '{FOLDER}' and trashed = false")
}

/// Everything in these folders.
pub(crate) fn within<'a>(folders: impl IntoIterator<Item = &'a str>) -> String {
    let parents: Vec<String> =
        folders.into_iter().map(|id| format!("{} in parents", quoted(id))).collect();
    match parents.as_slice() {
        [one] => format!("{one} and trashed = false"),
        several => format!("({}) and trashed = false", several.join(" or ")),
    }
}

/// Everything in a folder, also what is in the trash.
pub(crate) fn ever_within(folder: &str) -> String {
    format!("{} in parents", quoted(folder))
}

/// Shared drives of this name.
pub(crate) fn drive_named(name: &str) -> String {
    format!("name = {}", quoted(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_backslashes_do_not_end_a_literal() {
        for (text, literal) in [
            ("a", "'a'"),
            ("", "''"),
            ("it's", r"'it\'s'"),
            (r"back\slash", r"'back\\slash'"),
            (r"\'", r"'\\\''"),
            ("\"", "'\"'"),
            ("x' or name contains 'y", r"'x\' or name contains \'y'"),
        ] {
            assert_eq!(quoted(text), literal);
        }
    }

    #[test]
    fn several_folders_make_one_query() {
        assert_eq!(within(["a"]), "'a' in parents and trashed = false");
        assert_eq!(within(["a", "b"]), "('a' in parents or 'b' in parents) and trashed = false");
    }
}
