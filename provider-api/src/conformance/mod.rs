//! The conformance suite: whether a provider keeps what the contract promises.
//!
//! It drives a provider as the host does, across the boundary of plug-ins, and looks at what comes
//! of it. An author calls it in a test:
//!
//! ```no_run
//! # mod my_store {
//! #     use sitesync_provider::*;
//! #     pub struct MyStore;
//! #     pub struct Stream;
//! #     impl ReadStream for Stream {
//! #         fn metadata(&self) -> Metadata { Metadata::file(0) }
//! #         async fn read(&mut self, _: usize) -> Result<Bytes> { Ok(Bytes::new()) }
//! #     }
//! #     impl WriteStream for Stream {
//! #         fn offset(&self) -> u64 { 0 }
//! #         async fn write(&mut self, _: Bytes) -> Result<()> { Ok(()) }
//! #         async fn finish(self) -> Result<Metadata> { Ok(Metadata::file(0)) }
//! #         async fn discard(self) -> Result<()> { Ok(()) }
//! #     }
//! #     impl ListStream for Stream {
//! #         async fn next(&mut self) -> Result<Option<Vec<Page>>> { Ok(None) }
//! #     }
//! #     impl Provider for MyStore {
//! #         type Settings = bool;
//! #         type Reader = Stream;
//! #         type Writer = Stream;
//! #         type Lister = Stream;
//! #         const ABOUT: About = About::new("my_store", "My store");
//! #         async fn connect(_: bool, _: Host) -> Result<Self> { Ok(MyStore) }
//! #         async fn open_root(&self, _: &str, _: bool) -> Result<RootInfo> { Ok(RootInfo::default()) }
//! #         async fn stat(&self, _: At<'_>) -> Result<Metadata> { Ok(Metadata::folder()) }
//! #         async fn list(&self, _: At<'_>, _: bool) -> Result<Stream> { Ok(Stream) }
//! #         async fn open_read(&self, _: At<'_>, _: ReadOptions) -> Result<Stream> { Ok(Stream) }
//! #         async fn open_write(&self, _: At<'_>, _: WriteOptions) -> Result<Stream> { Ok(Stream) }
//! #         async fn create_folder(&self, _: At<'_>) -> Result<()> { Ok(()) }
//! #         async fn remove_folder(&self, _: At<'_>) -> Result<()> { Ok(()) }
//! #         async fn delete(&self, _: At<'_>, _: DeleteOptions) -> Result<()> { Ok(()) }
//! #         async fn sweep(&self, _: &str, _: SweepOptions) -> Result<Swept> { Ok(Swept::new(0, 0)) }
//! #     }
//! # }
//! use my_store::MyStore;
//! use sitesync_provider::conformance::Suite;
//!
//! // #[test]
//! fn my_store_keeps_the_contract() {
//!     let settings = serde_json::json!({ "url": "http://localhost:9000" });
//!     let report = Suite::of::<MyStore>(settings, "bucket").run_blocking().unwrap();
//!     println!("{report}");
//!     report.assert_passed();
//! }
//! # my_store_keeps_the_contract();
//! ```
//!
//! What a root declares ([`crate::RootInfo`]) decides which cases apply to it: one without `resume`
//! is not asked to resume. What it declares, it is held to.
//!
//! The suite works in a folder of its own beneath the root, `.sitesync-verify-` and a number, and
//! removes it in the end. It asks the provider to sweep as a site of its own name, which nobody
//! else's temporaries carry. What else lies under the root is not touched.
//!
//! `suite` runs, `ground` is what a case stands on, `cases` are the demands by theme, `report` is
//! what comes out.

mod cases;
mod content;
mod ground;
mod guest;
mod outcome;
mod remove;
mod report;
mod suite;

pub use cases::{Case, cases};
pub use report::{CaseReport, Report, Verdict};
pub use suite::Suite;
