//! The one place that runs foreign code: a copy in the cache becomes a module.
//!
//! Nothing that was opened is ever closed again: code and statics of a plug-in stay where they are,
//! whoever still points at them.
#![allow(unsafe_code)]

use std::path::Path;

use abi_stable::StableAbi;
use abi_stable::abi_stability::abi_checking::{
    CheckingGlobals, check_layout_compatibility_with_globals,
};
use abi_stable::library::{RawLibrary, lib_header_from_raw_library};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use semver::Version;
use sitesync_provider::API_VERSION;
use sitesync_provider::Description;
use sitesync_provider::abi::client::Module;
use sitesync_provider::abi::wire::ProviderModule_Ref;

use super::manifest::Manifest;
use super::report::Refusal;

/// Opens a library, checks that it speaks this contract, and asks it who it is.
pub(super) fn load(path: &Path, manifest: &Manifest) -> Result<(Module, Description), Refusal> {
    let Manifest { name, version, api, .. } = manifest;
    let rebuild = || format!("rebuild {name} with an unmodified sitesync-provider {}", api.major);
    let broken = |what: &dyn std::fmt::Display| {
        Refusal::new(format!("{name} {version} is no working plug-in: {what}"), rebuild())
    };

    // With every symbol resolved now: a missing one is an error here, not a crash later.
    // SAFETY: runs the library's constructors. The file was trusted, is a copy that nobody else
    // writes to, and a child process lived through the same (`probe`).
    let now = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) };
    let now = now.map_err(|error| {
        Refusal::new(
            format!("{name} {version} cannot be loaded: {error}"),
            "install what it needs, or a build of it for this system",
        )
    })?;
    std::mem::forget(now);

    let raw = RawLibrary::load_at(path).map_err(|error| broken(&error))?;
    let raw: &'static RawLibrary = Box::leak(Box::new(raw));
    // SAFETY: the header lives in the library, which was leaked: it is never unloaded.
    let header = unsafe { lib_header_from_raw_library(raw) }
        .map_err(|_| broken(&"it does not export a provider of this contract"))?;

    let layout = header.layout().ok_or_else(|| broken(&"it does not tell its layout"))?;
    check_layout(manifest, layout)
        .map_err(|what| Refusal::new(format!("{name} {version} {what}"), rebuild()))?;
    // SAFETY: the layout was checked right above, with the older side as the interface: abi_stable's
    // own check, which this replaces, refuses older plug-ins.
    let module = unsafe { header.init_root_module_with_unchecked_layout::<ProviderModule_Ref>() }
        .map_err(|error| broken(&error))?;

    let module = Module::new(module);
    let description = module.describe().map_err(|error| broken(&error))?;
    if description.id != *name {
        return Err(broken(&format!("it calls itself {:?}", description.id)));
    }
    Ok((module, description))
}

/// Compares the types of both sides; the dump of a difference (20 KB) is for those who debug.
fn check_layout(
    manifest: &Manifest,
    theirs: &'static abi_stable::type_layout::TypeLayout,
) -> Result<(), String> {
    let ours = <ProviderModule_Ref as StableAbi>::LAYOUT;
    let host = Version::parse(API_VERSION).map_err(|error| error.to_string())?;
    let (interface, implementation) =
        if manifest.api < host { (theirs, ours) } else { (ours, theirs) };
    // Fresh globals: the process's own remember the last plug-in, and refuse its successors.
    let checked =
        check_layout_compatibility_with_globals(interface, implementation, &CheckingGlobals::new());
    checked.map_err(|errors| {
        tracing::debug!(provider = manifest.name, "{errors}");
        format!(
            "claims provider-api {}, but its types differ from it in {} places",
            manifest.api,
            errors.errors.len()
        )
    })
}
