//! A plug-in that claims this version of the contract, while its root module is another.
#![allow(
    unsafe_code,
    non_camel_case_types,
    non_local_definitions,
    missing_debug_implementations,
    unreachable_pub
)]

use abi_stable::StableAbi;
use abi_stable::library::{LibHeader, RootModule, RootModuleResult};
use abi_stable::prefix_type::PrefixTypeTrait;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::{declare_root_module_statics, package_version_strings};
use sitesync_provider::abi::expansion::{
    __call_root_module_loader, API, CheckTypeLayout, MAGIC, RUSTC, TARGET, concat, length,
};

const PARTS: &[&str] = &[
    MAGIC,
    "name=wrong_layout\nversion=1.0.0\napi=",
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

/// Not what the contract says.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = OtherModule_Ref)))]
pub struct OtherModule {
    pub init: extern "C" fn(u64) -> u64,
    #[sabi(last_prefix_field)]
    pub describe: extern "C" fn() -> u8,
}

impl RootModule for OtherModule_Ref {
    declare_root_module_statics! {OtherModule_Ref}
    const BASE_NAME: &'static str = "sitesync_provider";
    const NAME: &'static str = "sitesync_provider";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}

extern "C" fn init(number: u64) -> u64 {
    number
}

extern "C" fn describe() -> u8 {
    0
}

fn module() -> OtherModule_Ref {
    OtherModule { init, describe }.leak_into_prefix()
}

// SAFETY: no other symbol of the process has this name.
#[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
pub static HEADER: LibHeader = {
    extern "C" fn erased() -> RootModuleResult {
        __call_root_module_loader(module)
    }
    // SAFETY: `erased` constructs the module that the type parameter names.
    unsafe { LibHeader::from_constructor::<OtherModule_Ref>(erased, CheckTypeLayout::Yes) }
};
