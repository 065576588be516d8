//! The binary boundary. Authors never come here.
//!
//! - `wire`: the types that cross, `#[repr(C)]` with stable layouts. By-value structs are frozen
//!   within a major; traits and the root module only grow at their end.
//! - `convert`: wire types from and to the contract's own.
//! - `manifest`: the text in a section of its own that says what a plug-in is, without loading it.
//! - `shim` (plug-in side): the author's trait as wire objects; `runtime`, `forward` belong to it.
//! - `client` (host side): wire objects as plain async methods.
//!
//! Invariant: no panic reaches the boundary from either side, and no tokio type crosses it.
#![allow(unsafe_code, missing_docs, missing_debug_implementations, unreachable_pub)]

#[cfg(feature = "host")]
pub mod client;
mod convert;
#[cfg(feature = "plugin")]
mod forward;
pub mod manifest;
#[cfg(feature = "plugin")]
mod runtime;
#[cfg(feature = "plugin")]
pub mod shim;
pub mod wire;

/// What `export_provider!` expands to refers to these.
pub mod expansion {
    pub use super::manifest::{API, MAGIC, PANIC, RUSTC, TARGET, concat, length};
    #[cfg(feature = "plugin")]
    pub use super::shim::root_module;
    pub use super::wire::ProviderModule_Ref;
    pub use crate::provider::Provider;
    pub use abi_stable::library::{
        __call_root_module_loader, CheckTypeLayout, LibHeader, RootModuleResult,
    };
}

/// What a caught panic said. The payload itself is forgotten: its `Drop` may panic too.
pub(crate) fn panic_message(payload: Box<dyn std::any::Any + Send>) -> String {
    let message = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned());
    std::mem::forget(payload);
    message
}

/// Runs a closure whose panic must not cross the boundary.
pub(crate) fn guarded<T>(what: impl FnOnce() -> T) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(what)).map_err(panic_message)
}
