//! What a root must declare for a case to apply; else the reason why it does not.

use crate::{Changes, RootInfo};

fn unless(declared: bool, what: &str) -> Option<String> {
    (!declared).then(|| format!("the root declares {what}"))
}

pub(super) fn nothing(_: &RootInfo) -> Option<String> {
    None
}

pub(super) fn ranges(root: &RootInfo) -> Option<String> {
    unless(root.can.ranges, "no ranges")
}

pub(super) fn resume(root: &RootInfo) -> Option<String> {
    unless(root.can.resume, "no resume")
}

pub(super) fn server_copy(root: &RootInfo) -> Option<String> {
    unless(root.can.server_copy, "no server copy")
}

pub(super) fn recursive_list(root: &RootInfo) -> Option<String> {
    unless(root.can.recursive_list, "no recursive listing")
}

pub(super) fn no_recursive_list(root: &RootInfo) -> Option<String> {
    unless(!root.can.recursive_list, "a recursive listing")
}

pub(super) fn flush(root: &RootInfo) -> Option<String> {
    unless(root.can.flush, "that what is finished is durable without a flush")
}

pub(super) fn changes(root: &RootInfo) -> Option<String> {
    unless(root.can.changes != Changes::None, "no change feed")
}

pub(super) fn complete_changes(root: &RootInfo) -> Option<String> {
    changes(root).or_else(|| {
        unless(root.can.changes == Changes::Complete, "a change feed that may miss some")
    })
}

pub(super) fn checksums(root: &RootInfo) -> Option<String> {
    unless(!root.can.checksums.is_empty(), "no checksums")
}

pub(super) fn atomic_replace(root: &RootInfo) -> Option<String> {
    unless(root.can.atomic_replace, "no atomic replacing")
}

pub(super) fn trash(root: &RootInfo) -> Option<String> {
    unless(root.can.trash, "no trash")
}

pub(super) fn no_trash(root: &RootInfo) -> Option<String> {
    unless(!root.can.trash, "a trash")
}

/// A trash that the host can look into.
pub(super) fn trash_in_view(root: &RootInfo) -> Option<String> {
    trash(root).or_else(|| unless(root.trash_folder.is_some(), "no folder of its trash"))
}

pub(super) fn keeps_replaced(root: &RootInfo) -> Option<String> {
    unless(root.can.keeps_replaced, "that it does not keep what is replaced")
}

/// What is replaced goes to where the host can look.
pub(super) fn kept_in_view(root: &RootInfo) -> Option<String> {
    keeps_replaced(root).or_else(|| unless(root.trash_folder.is_some(), "no folder of its trash"))
}

pub(super) fn copies_kept_in_view(root: &RootInfo) -> Option<String> {
    kept_in_view(root).or_else(|| server_copy(root))
}

pub(super) fn mtime(root: &RootInfo) -> Option<String> {
    unless(root.mtime_step_ns > 0, "no modification times")
}

pub(super) fn local_path(root: &RootInfo) -> Option<String> {
    if cfg!(unix) {
        unless(root.local_path.is_some(), "no path on this machine")
    } else {
        Some("links are planted on Unix only".to_owned())
    }
}

pub(super) fn case_sensitive(root: &RootInfo) -> Option<String> {
    unless(root.names.case_sensitive, "that `A` and `a` are one name")
}

pub(super) fn case_insensitive(root: &RootInfo) -> Option<String> {
    unless(!root.names.case_sensitive, "that `A` and `a` are two names")
}

pub(super) fn unicode_exact(root: &RootInfo) -> Option<String> {
    unless(root.names.unicode_exact, "that Unicode forms of a name are one name")
}

pub(super) fn unicode_folded(root: &RootInfo) -> Option<String> {
    unless(!root.names.unicode_exact, "that Unicode forms of a name are two names")
}

pub(super) fn longest_name(root: &RootInfo) -> Option<String> {
    unless(root.names.longest_name.is_some(), "no limit on the length of a name")
}

pub(super) fn longest_path(root: &RootInfo) -> Option<String> {
    unless(root.names.longest_path.is_some(), "no limit on the length of a path")
}

pub(super) fn forbidden_characters(root: &RootInfo) -> Option<String> {
    unless(!root.names.forbidden_characters.is_empty(), "no forbidden characters")
}

pub(super) fn forbidden_names(root: &RootInfo) -> Option<String> {
    unless(!root.names.forbidden_names.is_empty(), "no forbidden names")
}

pub(super) fn no_trailing_dot_or_space(root: &RootInfo) -> Option<String> {
    unless(!root.names.trailing_dot_or_space, "that a name may end in a dot or a space")
}
