//! What a root must declare for a case to apply; else the reason why it does not.

use crate::RootInfo;

fn unless(declared: bool, what: &str) -> Option<String> {
    (!declared).then(|| format!("the root declares no {what}"))
}

pub(super) fn nothing(_: &RootInfo) -> Option<String> {
    None
}

pub(super) fn resume(root: &RootInfo) -> Option<String> {
    unless(root.can.resume, "resume")
}
