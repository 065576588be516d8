//! A file with a perfect manifest, whose constructor ends the process as soon as it is loaded.
//!
//! How it does so stands in [`BEHAVIOUR`]: tests overwrite that text in the built file, so that one
//! build serves all cases.
#![allow(unsafe_code)]

use sitesync_provider::abi::expansion::{API, MAGIC, RUSTC, TARGET, concat, length};

const PARTS: &[&str] = &[
    MAGIC,
    "name=crashes_on_load\nversion=1.0.0\napi=",
    API,
    "\nrustc=",
    RUSTC,
    "\ntarget=",
    TARGET,
    "\npanic=unwind\n",
];

#[used]
// SAFETY: the section is read as text, never executed; no other symbol has this name.
#[unsafe(link_section = ".sitesync")]
#[unsafe(export_name = "SITESYNC_PLUGIN_MANIFEST")]
pub static MANIFEST: [u8; length(PARTS)] = concat(PARTS);

/// One of `segfault`, `panicked`, `abort___`, `exit____`, `hang____`.
#[used]
// SAFETY: no other symbol of the process has this name.
#[unsafe(no_mangle)]
pub static BEHAVIOUR: [u8; 18] = *b"behaviour=segfault";

#[used]
// SAFETY: the dynamic linker calls what stands in this section, with this signature.
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = construct;

extern "C" fn construct() {
    // SAFETY: a plain read of a static; volatile, because the file is changed after its build.
    let behaviour = unsafe { std::ptr::read_volatile(&raw const BEHAVIOUR) };
    match &behaviour[10..] {
        b"panicked" => panic!("on purpose"),
        b"abort___" => std::process::abort(),
        b"exit____" => std::process::exit(0),
        b"hang____" => loop {
            std::thread::park();
        },
        _ => {
            // SAFETY: none. The fault is the purpose of this fixture.
            unsafe { std::ptr::write_volatile(std::ptr::without_provenance_mut::<u8>(8), 1) }
        }
    }
}
