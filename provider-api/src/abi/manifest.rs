//! The manifest: a pointer-free text in a section of its own, readable without executing anything.
//! Its form never changes; lines may be added.

/// The first line.
pub const MAGIC: &str = "SITESYNC-PLUGIN/1\n";
/// The section's name in an ELF file.
pub const SECTION: &str = ".sitesync";
/// The compiler that built this crate.
pub const RUSTC: &str = env!("SITESYNC_RUSTC");
/// The target that this crate was built for.
pub const TARGET: &str = env!("SITESYNC_TARGET");
/// The version of the contract.
pub const API: &str = crate::API_VERSION;
/// What a panic does. An aborting plug-in would end the host, so that it is refused.
pub const PANIC: &str = if cfg!(panic = "unwind") { "unwind" } else { "abort" };

/// The length of all parts together.
#[must_use]
pub const fn length(parts: &[&str]) -> usize {
    let mut total = 0;
    let mut i = 0;
    while i < parts.len() {
        total += parts[i].len();
        i += 1;
    }
    total
}

/// All parts in a row.
#[must_use]
pub const fn concat<const N: usize>(parts: &[&str]) -> [u8; N] {
    let mut out = [0; N];
    let (mut at, mut i) = (0, 0);
    while i < parts.len() {
        let part = parts[i].as_bytes();
        let mut j = 0;
        while j < part.len() {
            out[at] = part[j];
            at += 1;
            j += 1;
        }
        i += 1;
    }
    out
}

/// Makes a `cdylib` a plug-in: exports the provider type, and the manifest that says what it is.
///
/// One a crate. The plug-in's version is the crate's.
#[cfg(feature = "plugin")]
#[macro_export]
macro_rules! export_provider {
    ($provider:ty) => {
        #[allow(unsafe_code)]
        const _: () = {
            use $crate::abi::expansion as __e;
            const PARTS: &[&str] = &[
                __e::MAGIC,
                "name=",
                <$provider as __e::Provider>::ABOUT.id,
                "\nversion=",
                env!("CARGO_PKG_VERSION"),
                "\napi=",
                __e::API,
                "\nrustc=",
                __e::RUSTC,
                "\ntarget=",
                __e::TARGET,
                "\npanic=",
                if cfg!(panic = "unwind") { "unwind" } else { "abort" },
                "\n",
            ];
            #[used]
            #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__sitesync"))]
            #[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".sitesync"))]
            #[unsafe(export_name = "SITESYNC_PLUGIN_MANIFEST")]
            pub static MANIFEST: [u8; __e::length(PARTS)] = __e::concat(PARTS);

            // The name under which abi_stable looks for a library's header.
            #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
            pub static HEADER: __e::LibHeader = {
                extern "C" fn erased() -> __e::RootModuleResult {
                    __e::__call_root_module_loader(__e::root_module::<$provider>)
                }
                // SAFETY: `erased` constructs the module that the type parameter names.
                unsafe {
                    __e::LibHeader::from_constructor::<__e::ProviderModule_Ref>(
                        erased,
                        __e::CheckTypeLayout::Yes,
                    )
                }
            };
        };
    };
}
