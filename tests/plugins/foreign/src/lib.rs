//! A shared library like any other: it has no manifest.
#![allow(unsafe_code)]

/// Something to export.
// SAFETY: no other symbol of the process has this name.
#[unsafe(no_mangle)]
pub extern "C" fn sitesync_test_fixture_foreign() -> i32 {
    42
}
