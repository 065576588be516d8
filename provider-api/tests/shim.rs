//! A provider of this very process, called through the wire objects of both sides.
//!
//! `cargo test -p sitesync-provider --features host --test shim`

use std::error::Error as _;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use sitesync_provider::abi::client::{Connection, Module};
use sitesync_provider::{
    About, At, BoxFuture, Bytes, Copied, Copy, DeleteOptions, End, Entry, Error, ErrorKind, Expect,
    Host, HostServices, ListStream, Metadata, Op, OpServices, Page, Provider, ReadOptions,
    ReadStream, Result, RootInfo, SweepOptions, Swept, WriteOptions, WriteStream,
};

static DROPPED_FUTURES: AtomicU32 = AtomicU32::new(0);
static BEGUN: AtomicU32 = AtomicU32::new(0);
static DROPPED_STREAMS: AtomicU32 = AtomicU32::new(0);

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// A number that `open_root` says.
    free: u64,
}

struct Sample;

impl Drop for Sample {
    fn drop(&mut self) {
        panic!("in the provider's Drop");
    }
}

struct Counted;

impl Drop for Counted {
    fn drop(&mut self) {
        DROPPED_FUTURES.fetch_add(1, Ordering::SeqCst);
    }
}

struct Evil;

impl Drop for Evil {
    fn drop(&mut self) {
        panic!("in a payload's Drop");
    }
}

struct Stream {
    held: Option<Bytes>,
    op: Option<Op>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        DROPPED_STREAMS.fetch_add(1, Ordering::SeqCst);
        panic!("in a stream's Drop");
    }
}

/// What readers hand out: its address shows whether it was copied.
fn content() -> Bytes {
    static CONTENT: [u8; 4096] = [7; 4096];
    Bytes::from_static(&CONTENT)
}

impl ReadStream for Stream {
    fn metadata(&self) -> Metadata {
        Metadata::file(4096).with_version("v1")
    }

    async fn read(&mut self, _: usize) -> Result<Bytes> {
        Ok(self.held.take().unwrap_or_default())
    }
}

impl WriteStream for Stream {
    fn offset(&self) -> u64 {
        3
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        if let Some(op) = &self.op {
            op.check()?;
            op.progress(chunk.len() as u64);
        }
        self.held = Some(chunk);
        Ok(())
    }

    async fn checkpoint(&mut self) -> Result<Option<Vec<u8>>> {
        Ok(Some(b"token".to_vec()))
    }

    async fn finish(mut self) -> Result<Metadata> {
        let held = self.held.take().unwrap_or_default();
        // The address of what arrived, for the test to compare.
        Ok(Metadata::file(held.as_ptr().addr() as u64))
    }

    async fn discard(self) -> Result<()> {
        Ok(())
    }
}

impl ListStream for Stream {
    async fn next(&mut self) -> Result<Option<Vec<Page>>> {
        if self.held.take().is_none() {
            return Ok(None);
        }
        let broken = End::Failed(Error::new(ErrorKind::Interrupted, "half-way").with_code("EIO"));
        Ok(Some(vec![
            Page::new("a", vec![Entry::new("b", Metadata::file(1))], End::Complete),
            Page::new("c", vec![Entry::skipped("d", "a socket")], broken),
        ]))
    }
}

impl Provider for Sample {
    type Settings = Settings;
    type Reader = Stream;
    type Writer = Stream;
    type Lister = Stream;

    const ABOUT: About = About::new("sample", "Sample").slots(3).requests_per_second(9);

    async fn connect(_: Settings, host: Host) -> Result<Self> {
        host.permit(1).await?;
        Ok(Sample)
    }

    async fn open_root(&self, root: &str, settings: Settings) -> Result<RootInfo> {
        let mut info = RootInfo::default();
        info.root_id = root.to_owned();
        info.free = Some(settings.free);
        Ok(info)
    }

    async fn stat(&self, at: At<'_>) -> Result<Metadata> {
        match at.path {
            "panic" => panic!("with {}", 42),
            "evil" => std::panic::panic_any(Evil),
            "never" => {
                let _counted = Counted;
                BEGUN.fetch_add(1, Ordering::SeqCst);
                std::future::pending().await
            }
            "known" => {
                let known = at.known.ok_or_else(|| Error::new(ErrorKind::Unexpected, "unknown"))?;
                Ok(Metadata::file(5)
                    .with_id(known.id.clone().unwrap_or_default())
                    .with_mtime_ns(Some(-1))
                    .with_verified(true))
            }
            _ => {
                let beneath = ["outer", "inner"].map(str::to_owned).into_iter();
                Err(Error::new(ErrorKind::Unknown(4711), "odd")
                    .with_code("E1")
                    .with_retry_after(Duration::from_millis(1500))
                    .with_chain(beneath))
            }
        }
    }

    async fn list(&self, _: At<'_>, _: bool) -> Result<Stream> {
        Ok(Stream { held: Some(content()), op: None })
    }

    async fn open_read(&self, _: At<'_>, _: ReadOptions) -> Result<Stream> {
        Ok(Stream { held: Some(content()), op: None })
    }

    async fn open_write(&self, _: At<'_>, how: WriteOptions) -> Result<Stream> {
        Ok(Stream { held: None, op: Some(how.op) })
    }

    async fn create_folder(&self, _: At<'_>) -> Result<()> {
        Ok(())
    }

    async fn remove_folder(&self, _: At<'_>) -> Result<()> {
        Err(Error::new(ErrorKind::Precondition, "not empty"))
    }

    async fn delete(&self, _: At<'_>, _: DeleteOptions) -> Result<()> {
        Ok(())
    }

    async fn sweep(&self, _: &str, how: SweepOptions) -> Result<Swept> {
        Ok(Swept::new(how.keep.len() as u64, how.foreign_after.as_secs()))
    }

    async fn server_copy(&self, batch: &[Copy<'_>], op: &Op) -> Vec<Result<Copied>> {
        op.progress(1);
        let copy = |copy: &Copy<'_>| match &copy.expect {
            Expect::Version(v) => {
                Ok(Copied::new(Metadata::file(1), Metadata::file(1).with_version(v)))
            }
            _ => Err(Error::new(ErrorKind::AlreadyExists, copy.to.path)),
        };
        // As many as asked for, but for a batch of three.
        batch.iter().map(copy).take(if batch.len() == 3 { 2 } else { usize::MAX }).collect()
    }
}

struct Services;

impl HostServices for Services {
    fn cache_dir(&self) -> std::path::PathBuf {
        "/cache".into()
    }

    fn site_id(&self) -> String {
        "site".into()
    }

    fn permit(&self, _: u32) -> BoxFuture<'static, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn is_stopped(&self) -> bool {
        false
    }

    fn stopped(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

/// An operation that knows whether it has ended.
#[derive(Default)]
struct Watched {
    cancelled: AtomicBool,
    bytes: AtomicU32,
}

struct Ends(Arc<Watched>, Arc<AtomicBool>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.1.store(true, Ordering::SeqCst);
    }
}

impl OpServices for Ends {
    fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    fn progress(&self, bytes: u64) {
        self.0.bytes.fetch_add(u32::try_from(bytes).unwrap(), Ordering::SeqCst);
    }
}

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future without a runtime: none of the host's crosses the boundary.
fn block<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        std::thread::park();
    }
}

/// Waits for what happens on the plug-in's own threads.
fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{what} did not happen");
}

fn connected() -> Connection {
    let module = Module::in_process::<Sample>();
    block(module.connect(&serde_json::json!({"free": 1}), Host::new(Services))).unwrap()
}

fn at(path: &str) -> At<'_> {
    At::new("root", path)
}

#[test]
fn description_and_settings() {
    let module = Module::in_process::<Sample>();
    let description = module.describe().unwrap();
    assert_eq!((description.id.as_str(), description.slots), ("sample", 3));
    assert!(description.settings["properties"]["free"].is_object());
    let wrong = serde_json::json!({"free": 1, "fre": 2});
    let error = block(module.connect(&wrong, Host::new(Services))).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidSettings);
    assert!(error.message().contains("fre"), "{error}");
}

#[test]
fn results_and_errors() {
    let connection = connected();
    let info = block(connection.open_root("r", &serde_json::json!({"free": 12}))).unwrap();
    assert_eq!((info.root_id.as_str(), info.free), ("r", Some(12)));

    let known = sitesync_provider::Known::new(Some("id-7".into()), None);
    let metadata = block(connection.stat(at("known").known(Some(&known)))).unwrap();
    assert_eq!((metadata.id.as_deref(), metadata.mtime_ns), (Some("id-7"), Some(-1)));
    assert!(metadata.verified && metadata.version.is_none());

    let error = block(connection.stat(at("odd"))).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Unknown(4711), "E1"));
    assert_eq!(error.retry_after(), Some(Duration::from_millis(1500)));
    assert_eq!(error.chain(), ["outer", "inner"]);
    assert_eq!(error.source().unwrap().to_string(), "outer");

    let error = block(connection.rename(at("a"), at("b"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let swept = block(
        connection.sweep("r", SweepOptions::new(vec![vec![1], vec![]], Duration::from_secs(9))),
    );
    assert_eq!(swept.unwrap(), Swept::new(2, 9));
}

#[test]
fn batches_keep_their_order_and_length() {
    let connection = connected();
    let copy = |version: Option<&str>| {
        let expect = version.map_or(Expect::Nothing, |v| Expect::Version(v.to_owned()));
        Copy::new(at("a"), at("b"), expect)
    };
    let batch = vec![copy(Some("v")), copy(None)];
    let results = block(connection.server_copy(batch, Op::unbound())).unwrap();
    assert_eq!(results[0].as_ref().unwrap().destination.version.as_deref(), Some("v"));
    assert_eq!(results[1].as_ref().unwrap_err().kind(), ErrorKind::AlreadyExists);
    let short = vec![copy(None), copy(None), copy(None)];
    let error = block(connection.server_copy(short, Op::unbound())).unwrap_err();
    assert_eq!(error.message(), "the provider answered 2 of 3 copies");
}

#[test]
fn listings() {
    let mut listing = block(connected().list(at(""), false)).unwrap();
    let pages = block(listing.next()).unwrap().unwrap();
    assert_eq!(pages[0].entries[0].name, "b");
    assert!(matches!(pages[0].end, End::Complete));
    assert_eq!(pages[1].entries[0].skipped.as_deref(), Some("a socket"));
    assert!(matches!(&pages[1].end, End::Failed(error) if error.code() == "EIO"));
    assert!(block(listing.next()).unwrap().is_none());
}

#[test]
fn panics_are_answers() {
    let connection = connected();
    let error = block(connection.stat(at("panic"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Panicked);
    assert!(error.message().ends_with("with 42"), "{error}");
    let error = block(connection.stat(at("evil"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Panicked);
    // It still works afterwards.
    block(connection.create_folder(at("a"))).unwrap();
}

#[test]
fn a_panic_in_drop_stays_inside() {
    let connection = connected();
    let before = DROPPED_STREAMS.load(Ordering::SeqCst);
    drop(block(connection.open_read(at("x"), ReadOptions::new())).unwrap());
    eventually("the drop", || DROPPED_STREAMS.load(Ordering::SeqCst) > before);
    drop(connection);
}

#[test]
fn dropping_a_call_ends_it() {
    let connection = connected();
    let mut call = Box::pin(connection.stat(at("never")));
    assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    eventually("its begin", || BEGUN.load(Ordering::SeqCst) == 1);
    assert_eq!(DROPPED_FUTURES.load(Ordering::SeqCst), 0);
    drop(call);
    eventually("its end", || DROPPED_FUTURES.load(Ordering::SeqCst) == 1);
    block(connection.create_folder(at("a"))).unwrap();
}

#[test]
fn bytes_are_not_copied() {
    let connection = connected();
    let mut reading = block(connection.open_read(at("x"), ReadOptions::new())).unwrap();
    assert_eq!(reading.metadata.version.as_deref(), Some("v1"));
    let read = block(reading.read(1 << 20)).unwrap();
    assert_eq!((read.len(), read.as_ptr()), (4096, content().as_ptr()));
    assert!(block(reading.read(1 << 20)).unwrap().is_empty());

    let chunk = Bytes::from(vec![1; 1000]);
    let address = chunk.as_ptr().addr() as u64;
    let how = WriteOptions::new(1000, Expect::Nothing);
    let mut writing = block(connection.open_write(at("x"), how)).unwrap();
    assert_eq!(writing.offset, 3);
    block(writing.write(chunk)).unwrap();
    assert_eq!(block(writing.checkpoint()).unwrap().as_deref(), Some(&b"token"[..]));
    // The stream panics while it is dropped, right after its answer was made.
    match block(writing.finish()) {
        Ok(metadata) => assert_eq!(metadata.size, address),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Panicked),
    }
}

#[test]
fn operations_are_cancelled_and_their_end_is_seen() {
    let connection = connected();
    let (watched, ended) = (Arc::new(Watched::default()), Arc::new(AtomicBool::new(false)));
    let op = Op::new(Ends(watched.clone(), ended.clone()));
    let how = WriteOptions::new(10, Expect::Nothing).op(op);
    let mut writing = block(connection.open_write(at("x"), how)).unwrap();
    block(writing.write(Bytes::from_static(b"12345"))).unwrap();
    assert_eq!(watched.bytes.load(Ordering::SeqCst), 5);
    watched.cancelled.store(true, Ordering::SeqCst);
    let error = block(writing.write(Bytes::from_static(b"67890"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(!ended.load(Ordering::SeqCst));
    drop(writing);
    eventually("the end of the operation", || ended.load(Ordering::SeqCst));
}
