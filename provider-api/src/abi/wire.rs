//! The types that cross. Layouts are checked at load time; see `docs/adr/0002`.
//!
//! # How to append, within a major
//!
//! A host loads plug-ins of older and of newer minors. So nothing that is here is ever changed,
//! moved or removed, not even a parameter's type; what is new goes here:
//!
//! - **A method of a trait** comes after all others, and has a body: what an older plug-in answers
//!   (or an older host, for `RawHost`, `RawLog` and `RawOp`). `#[sabi(last_prefix_field)]` stays
//!   where it is: it marks the end of 1.0.
//! - **A function of [`ProviderModule`]** comes after all others, with
//!   `#[sabi(missing_field(option))]`; `#[sabi(last_prefix_field)]` stays as well. The accessor then
//!   returns an `Option`, `None` for an older plug-in.
//! - **A value in a struct that crosses by value** goes into its `ext_json`: the struct is frozen.
//!   `RootInfo` and `Description` are JSON as a whole; each new field of theirs has a default.
//! - **A kind of error** is a new number. An older side keeps the number, and has no name for it.
//!
//! Raise the minor in `provider-api/Cargo.toml` with it. `tests/tests/versions.rs` makes up a next
//! minor that does all of this, and runs both ways.
#![allow(non_local_definitions, non_camel_case_types)]

use abi_stable::library::RootModule;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{RBox, ROption, RResult, RStr, RString, RVec};
use abi_stable::{StableAbi, declare_root_module_statics, package_version_strings, sabi_trait};
use async_ffi::FfiFuture;
use bytes::Bytes;

/// A kind of error, as a number: unknown ones survive.
#[repr(transparent)]
#[derive(StableAbi, Debug, Clone, Copy, PartialEq)]
pub struct FfiKind(pub u32);

#[repr(C)]
#[derive(StableAbi, Debug, Clone)]
pub struct FfiError {
    pub kind: FfiKind,
    pub retry_after_ms: ROption<u64>,
    pub message: RString,
    pub code: RString,
    pub chain: RVec<RString>,
    pub ext_json: RString,
}

/// What every fallible call answers.
pub type Answer<T> = RResult<T, FfiError>;
/// An answer that comes later.
pub type Later<T> = FfiFuture<Answer<T>>;

#[repr(C)]
#[derive(StableAbi, Debug, Clone)]
pub struct FfiChecksum {
    pub algorithm: RString,
    pub digest: RVec<u8>,
}

/// Empty strings stand for absent ones; numbers count only where their flag is set.
#[repr(C)]
#[derive(StableAbi, Debug, Clone)]
pub struct FfiMetadata {
    pub kind: u32,
    pub flags: u32,
    pub size: u64,
    pub mtime_ns: i64,
    pub mode: u32,
    pub version: RString,
    pub id: RString,
    pub checksums: RVec<FfiChecksum>,
    pub ext_json: RString,
}

impl FfiMetadata {
    pub const HAS_MTIME: u32 = 1;
    pub const HAS_MODE: u32 = 2;
    pub const VERIFIED: u32 = 4;
}

#[repr(C)]
#[derive(StableAbi, Debug, Clone)]
pub struct FfiEntry {
    pub name: RString,
    pub metadata: FfiMetadata,
    pub skipped: RString,
}

#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct FfiPage {
    pub folder: RString,
    pub entries: RVec<FfiEntry>,
    /// 0: more to come; 1: complete; 2: failed, with the error.
    pub end: u32,
    pub error: ROption<FfiError>,
}

#[repr(C)]
#[derive(StableAbi, Debug, Clone)]
pub struct FfiAt {
    pub root: RString,
    pub path: RString,
    pub id: RString,
    pub version: RString,
}

#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct FfiReadOptions {
    pub from: u64,
    pub len: ROption<u64>,
    pub if_version: ROption<RString>,
    pub ext_json: RString,
}

#[repr(C)]
#[derive(StableAbi)]
pub struct FfiWriteOptions {
    pub size: u64,
    pub mtime_ns: ROption<i64>,
    pub mode: ROption<u32>,
    /// None: nothing may be there.
    pub expect: ROption<RString>,
    pub resume: ROption<RVec<u8>>,
    pub op: OpBox,
    pub ext_json: RString,
}

#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct FfiDeleteOptions {
    pub if_version: ROption<RString>,
    pub to_trash: bool,
    pub ext_json: RString,
}

#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct FfiCopy {
    pub from: FfiAt,
    pub to: FfiAt,
    /// None: nothing may be there.
    pub expect: ROption<RString>,
}

#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct FfiCopied {
    pub source: FfiMetadata,
    pub destination: FfiMetadata,
}

#[repr(C)]
#[derive(StableAbi)]
pub struct FfiReading {
    pub metadata: FfiMetadata,
    pub reader: ReaderBox,
}

#[repr(C)]
#[derive(StableAbi)]
pub struct FfiWriting {
    pub offset: u64,
    pub writer: WriterBox,
}

/// Owned bytes with their own destructor: no copy either way.
#[repr(C)]
#[derive(StableAbi)]
pub struct FfiBytes {
    start: *const u8,
    len: u64,
    owner: *mut (),
    release: unsafe extern "C" fn(*mut ()),
}

// SAFETY: made from `Bytes` only, which is Send and Sync, and immutable.
unsafe impl Send for FfiBytes {}
// SAFETY: as above.
unsafe impl Sync for FfiBytes {}

impl Drop for FfiBytes {
    fn drop(&mut self) {
        // SAFETY: `owner` was made for `release` and is released once, here.
        unsafe { (self.release)(self.owner) }
    }
}

impl AsRef<[u8]> for FfiBytes {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `owner` keeps `len` bytes at `start` alive; an empty `Bytes` has a dangling,
        // well aligned start.
        unsafe { std::slice::from_raw_parts(self.start, self.len as usize) }
    }
}

impl From<Bytes> for FfiBytes {
    fn from(bytes: Bytes) -> Self {
        unsafe extern "C" fn release(owner: *mut ()) {
            // SAFETY: `owner` came from `Box::into_raw` below.
            drop(unsafe { Box::from_raw(owner.cast::<Bytes>()) });
        }
        let bytes = Box::new(bytes);
        FfiBytes {
            start: bytes.as_ptr(),
            len: bytes.len() as u64,
            owner: Box::into_raw(bytes).cast(),
            release,
        }
    }
}

impl From<FfiBytes> for Bytes {
    fn from(bytes: FfiBytes) -> Self {
        Bytes::from_owner(bytes)
    }
}

#[sabi_trait]
pub trait RawReader: Send {
    #[sabi(last_prefix_field)]
    fn read(&mut self, max: u64) -> Later<FfiBytes>;
}
pub type ReaderBox = RawReader_TO<'static, RBox<()>>;

#[sabi_trait]
pub trait RawWriter: Send {
    fn write(&mut self, chunk: FfiBytes) -> Later<()>;
    fn checkpoint(&mut self) -> Later<ROption<RVec<u8>>>;
    fn finish(&mut self) -> Later<FfiMetadata>;
    #[sabi(last_prefix_field)]
    fn discard(&mut self) -> Later<()>;
}
pub type WriterBox = RawWriter_TO<'static, RBox<()>>;

#[sabi_trait]
pub trait RawLister: Send {
    /// Empty at the end.
    #[sabi(last_prefix_field)]
    fn next(&mut self) -> Later<RVec<FfiPage>>;
}
pub type ListerBox = RawLister_TO<'static, RBox<()>>;

/// One operation, seen from the plug-in. Dropping the box tells the host that it has ended.
#[sabi_trait]
pub trait RawOp: Send + Sync {
    fn is_cancelled(&self) -> bool;
    #[sabi(last_prefix_field)]
    fn progress(&self, bytes: u64);
}
pub type OpBox = RawOp_TO<'static, RBox<()>>;

#[sabi_trait]
pub trait RawProvider: Send + Sync {
    fn open_root(&self, root: RString, settings_json: RString) -> Later<RString>;
    fn stat(&self, at: FfiAt) -> Later<FfiMetadata>;
    fn list(&self, dir: FfiAt, recursive: bool) -> Later<ListerBox>;
    fn open_read(&self, at: FfiAt, how: FfiReadOptions) -> Later<FfiReading>;
    fn open_write(&self, at: FfiAt, how: FfiWriteOptions) -> Later<FfiWriting>;
    fn create_folder(&self, at: FfiAt) -> Later<()>;
    fn remove_folder(&self, at: FfiAt) -> Later<()>;
    fn delete(&self, at: FfiAt, how: FfiDeleteOptions) -> Later<()>;
    /// Answers `{"count":N,"bytes":N}`.
    fn sweep(&self, root: RString, keep: RVec<RVec<u8>>, foreign_after_s: u64) -> Later<RString>;
    fn server_copy(&self, batch: RVec<FfiCopy>, op: OpBox) -> Later<RVec<Answer<FfiCopied>>>;
    fn rename(&self, from: FfiAt, to: FfiAt) -> Later<FfiMetadata>;
    fn flush(&self, roots: RVec<RString>) -> Later<()>;
    /// Answers `{"changed":[{"root":"..","path":"..","version":null}],"next":"..","more":false}`.
    #[sabi(last_prefix_field)]
    fn changes(
        &self,
        roots: RVec<RString>,
        since: ROption<RString>,
        wait_ms: u64,
    ) -> Later<RString>;
    /// Since 1.1: `server_copy` of a batch of which more is asked for: `{"keep_replaced":[0,2]}`, by
    /// places in the batch. The host calls it only where a capability says that it is understood.
    fn server_copy_with(
        &self,
        batch: RVec<FfiCopy>,
        ext_json: RString,
        op: OpBox,
    ) -> Later<RVec<Answer<FfiCopied>>> {
        let _ = (batch, ext_json, op);
        let unsupported = crate::Error::unsupported("to keep what a copy replaces");
        async_ffi::FutureExt::into_ffi(async move { RResult::RErr(unsupported.into()) })
    }
}
pub type ProviderBox = RawProvider_TO<'static, RBox<()>>;

/// The host as one provider instance sees it.
#[sabi_trait]
pub trait RawHost: Send + Sync {
    fn cache_dir(&self) -> RString;
    fn site_id(&self) -> RString;
    fn permit(&self, n: u32) -> Later<()>;
    fn is_stopped(&self) -> bool;
    #[sabi(last_prefix_field)]
    fn stopped(&self) -> Later<()>;
}
pub type HostBox = RawHost_TO<'static, RBox<()>>;

#[repr(C)]
#[derive(StableAbi)]
pub struct FfiRecord<'a> {
    /// 1 error to 5 trace.
    pub level: u8,
    pub target: RStr<'a>,
    pub message: RStr<'a>,
    /// A JSON object.
    pub fields: RStr<'a>,
    pub file: RStr<'a>,
    pub line: u32,
}

/// Where events of a plug-in go. Must neither panic nor block.
#[sabi_trait]
pub trait RawLog: Send + Sync {
    #[sabi(last_prefix_field)]
    fn log(&self, record: &FfiRecord<'_>);
}
pub type LogBox = RawLog_TO<'static, RBox<()>>;

/// What a plug-in exports.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = ProviderModule_Ref)))]
#[sabi(missing_field(panic))]
pub struct ProviderModule {
    pub init: extern "C" fn(LogBox, u8) -> Answer<()>,
    pub set_log_level: extern "C" fn(u8),
    /// A `Description` as JSON.
    pub describe: extern "C" fn() -> Answer<RString>,
    pub connect: extern "C" fn(RString, HostBox) -> Later<ProviderBox>,
    /// Ends the plug-in's threads, once nothing of it is in use.
    #[sabi(last_prefix_field)]
    pub shut_down: extern "C" fn(),
}

impl RootModule for ProviderModule_Ref {
    declare_root_module_statics! {ProviderModule_Ref}
    const BASE_NAME: &'static str = "sitesync_provider";
    const NAME: &'static str = "sitesync_provider";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}
