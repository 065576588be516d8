//! The contract between the sitesync host and its providers.
//!
//! A provider is a kind of storage. An author implements [`Provider`] and writes one line:
//!
//! ```ignore
//! sitesync_provider::export_provider!(MyStore);
//! ```
//!
//! which turns a `cdylib` into a plug-in that any host with the same major version of this crate
//! loads. Everything that has to do with the binary boundary lives in the hidden `abi` modules;
//! authors see plain Rust.
//!
//! Features: `plugin` (default) for providers, `host` for the host, `conformance` for tests of
//! providers.
#![deny(missing_docs)]

#[doc(hidden)]
pub mod abi;
mod at;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod host;
mod metadata;
mod options;
mod provider;
mod root;
pub mod settings;

pub use at::{At, Known, check_name, check_path, join};
pub use bytes::Bytes;
pub use error::{Error, ErrorKind, Result};
pub use host::{BoxFuture, Host, HostServices, Op, OpServices, Watch};
pub use metadata::{Checksum, End, Entry, Kind, Metadata, Page};
pub use options::{
    Change, ChangePage, Copied, Copy, Cursor, DeleteOptions, Expect, ReadOptions, SweepOptions,
    Swept, WriteOptions,
};
pub use provider::{About, Description, ListStream, Provider, ReadStream, WriteStream};
pub use root::{Capabilities, Changes, NameRules, RootInfo};
#[doc(no_inline)]
pub use {schemars, serde};

/// The version of this contract: a host loads plug-ins of the same major.
pub const API_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The prefix of everything on a site that is ours and not the user's.
pub const OURS: &str = ".sitesync";
