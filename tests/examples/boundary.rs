//! What the boundary of plug-ins costs: the same provider code, called directly or as plug-ins.
//!
//! `cargo xtask bench --only boundary` runs it; prints the seconds it took.
//!
//! ```text
//! boundary direct|loaded  stream|copy|each  SOURCE DESTINATION  PLUGINS CACHE
//! boundary load PLUGINS CACHE                 milliseconds for loading a plug-in
//! ```
//! `PLUGINS` holds two plug-in folders, `source` and `destination`, each with its own `local_drive`.
//! `stream` and `each` go from one provider to another, as between sites of two plug-ins: a chunk is
//! read while the one before is written. `copy` is one provider's own, in batches. Directly there is
//! neither a shim nor a second runtime.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::json;
use sitesync::plugins::{Options, PROBE_ARGUMENT, Plugins, probe_main};
use sitesync_provider::abi::client::{Connection, Module, Reading, Writing};
use sitesync_provider::{
    At, BoxFuture, Bytes, Copied, Copy, Expect, Host, HostServices, Op, Provider, ReadOptions,
    ReadStream, WriteOptions, WriteStream,
};
use tokio::task::JoinSet;

/// As the engine does it.
const CHUNK: usize = 1 << 20;
const BATCH: usize = 64;
const AT_ONCE: usize = 2;

/// A provider, whichever way it is called.
trait Store: Send + Sync + 'static {
    type Reader: ReadStream;
    type Writer: WriteStream;
    fn read(
        &self,
        at: At<'_>,
    ) -> impl Future<Output = sitesync_provider::Result<Self::Reader>> + Send;
    fn write(
        &self,
        at: At<'_>,
        size: u64,
    ) -> impl Future<Output = sitesync_provider::Result<Self::Writer>> + Send;
    fn copy(
        &self,
        batch: Vec<Copy<'_>>,
        op: Op,
    ) -> impl Future<Output = Vec<sitesync_provider::Result<Copied>>> + Send;
}

struct Direct<P>(P);

impl<P: Provider> Store for Direct<P> {
    type Reader = P::Reader;
    type Writer = P::Writer;

    async fn read(&self, at: At<'_>) -> sitesync_provider::Result<P::Reader> {
        self.0.open_read(at, ReadOptions::new()).await
    }

    async fn write(&self, at: At<'_>, size: u64) -> sitesync_provider::Result<P::Writer> {
        self.0.open_write(at, WriteOptions::new(size, Expect::Nothing)).await
    }

    async fn copy(&self, batch: Vec<Copy<'_>>, op: Op) -> Vec<sitesync_provider::Result<Copied>> {
        self.0.server_copy(&batch, &op).await
    }
}

struct Loaded(Connection);
struct LoadedReader(Reading);
struct LoadedWriter(Writing);

impl ReadStream for LoadedReader {
    fn metadata(&self) -> sitesync_provider::Metadata {
        self.0.metadata.clone()
    }

    async fn read(&mut self, max: usize) -> sitesync_provider::Result<Bytes> {
        self.0.read(max).await
    }
}

impl WriteStream for LoadedWriter {
    fn offset(&self) -> u64 {
        self.0.offset
    }

    async fn write(&mut self, chunk: Bytes) -> sitesync_provider::Result<()> {
        self.0.write(chunk).await
    }

    async fn finish(self) -> sitesync_provider::Result<sitesync_provider::Metadata> {
        self.0.finish().await
    }

    async fn discard(self) -> sitesync_provider::Result<()> {
        self.0.discard().await
    }
}

impl Store for Loaded {
    type Reader = LoadedReader;
    type Writer = LoadedWriter;

    async fn read(&self, at: At<'_>) -> sitesync_provider::Result<LoadedReader> {
        self.0.open_read(at, ReadOptions::new()).await.map(LoadedReader)
    }

    async fn write(&self, at: At<'_>, size: u64) -> sitesync_provider::Result<LoadedWriter> {
        self.0.open_write(at, WriteOptions::new(size, Expect::Nothing)).await.map(LoadedWriter)
    }

    async fn copy(&self, batch: Vec<Copy<'_>>, op: Op) -> Vec<sitesync_provider::Result<Copied>> {
        match self.0.server_copy(batch, op).await {
            Ok(results) => results,
            Err(error) => vec![Err(error)],
        }
    }
}

struct NoHost(PathBuf);

impl HostServices for NoHost {
    fn cache_dir(&self) -> PathBuf {
        self.0.clone()
    }

    fn site_id(&self) -> String {
        "bench".to_owned()
    }

    fn permit(&self, _: u32) -> BoxFuture<'static, sitesync_provider::Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn is_stopped(&self) -> bool {
        false
    }

    fn stopped(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

/// What is carried, and where.
#[derive(Clone)]
struct Work {
    from: Arc<str>,
    to: Arc<str>,
    paths: Arc<[String]>,
}

impl Work {
    fn new(from: &str, to: &str) -> Result<Self> {
        let (mut paths, mut left) = (Vec::new(), vec![PathBuf::from(from)]);
        while let Some(folder) = left.pop() {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    left.push(path);
                } else {
                    let path = path.strip_prefix(from)?.to_str().context("a name in UTF-8")?;
                    paths.push(path.to_owned());
                }
            }
        }
        paths.sort();
        Ok(Work { from: from.into(), to: to.into(), paths: paths.into() })
    }
}

/// File by file, several at once.
async fn each(source: Arc<impl Store>, destination: Arc<impl Store>, work: Work) -> Result<()> {
    let mut tasks = JoinSet::new();
    for lane in 0..AT_ONCE {
        let (source, destination, work) = (source.clone(), destination.clone(), work.clone());
        tasks.spawn(async move {
            for path in work.paths.iter().skip(lane).step_by(AT_ONCE) {
                let mut reading = source.read(At::new(&work.from, path)).await?;
                let size = reading.metadata().size;
                let mut writing = destination.write(At::new(&work.to, path), size).await?;
                let mut chunk = reading.read(CHUNK).await?;
                while !chunk.is_empty() {
                    let (written, next) = tokio::join!(writing.write(chunk), reading.read(CHUNK));
                    written?;
                    chunk = next?;
                }
                writing.finish().await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

/// In batches, by the provider itself.
async fn copy(store: Arc<impl Store>, work: Work) -> Result<()> {
    let mut tasks = JoinSet::new();
    for lane in 0..AT_ONCE {
        let (store, work) = (store.clone(), work.clone());
        tasks.spawn(async move {
            for paths in work.paths.chunks(BATCH).skip(lane).step_by(AT_ONCE) {
                let mut batch = Vec::new();
                for path in paths {
                    let (from, to) = (At::new(&work.from, path), At::new(&work.to, path));
                    batch.push(Copy::new(from, to, Expect::Nothing));
                }
                for copied in store.copy(batch, Op::unbound()).await {
                    copied?;
                }
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

async fn carry(what: &str, stores: [Arc<impl Store>; 2], work: Work) -> Result<f64> {
    let [source, destination] = stores;
    let started = Instant::now();
    match what {
        "stream" | "each" => each(source, destination, work).await?,
        "copy" => copy(source, work).await?,
        other => bail!("{other} is no work"),
    }
    Ok(started.elapsed().as_secs_f64())
}

/// The `local_drive` of one end: a library of its own, with a runtime of its own.
fn module(end: &str, folder: &str, cache: &str) -> Result<Module> {
    let [folder, cache] = [folder, cache].map(|path| Path::new(path).join(end));
    fs::create_dir_all(&cache)?;
    Ok(Plugins::open(Options::new(vec![folder], cache)).get("local_drive")?.module)
}

async fn direct(what: &str, work: Work, cache: &Path) -> Result<f64> {
    let connect = async || {
        let settings = serde_json::from_value(json!({}))?;
        let drive = local_drive::LocalDrive::connect(settings, Host::new(NoHost(cache.into())));
        let drive = drive.await?;
        for root in [&work.from, &work.to] {
            drive.open_root(root, serde_json::from_value(json!({}))?).await?;
        }
        anyhow::Ok(Arc::new(Direct(drive)))
    };
    carry(what, [connect().await?, connect().await?], work.clone()).await
}

async fn loaded(what: &str, work: Work, folder: &str, cache: &str) -> Result<f64> {
    let connect = async |end: &str| {
        let module = module(end, folder, cache)?;
        let connection = module.connect(&json!({}), Host::new(NoHost(cache.into()))).await?;
        for root in [&work.from, &work.to] {
            connection.open_root(root, &json!({})).await?;
        }
        anyhow::Ok(Arc::new(Loaded(connection)))
    };
    let stores = [connect("source").await?, connect("destination").await?];
    carry(what, stores, work.clone()).await
}

fn load(folder: &str, cache: &str) -> Result<()> {
    let started = Instant::now();
    module("source", folder, cache)?;
    println!("{}", started.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let [PROBE_ARGUMENT, file] = arguments[..] {
        return probe_main(Path::new(file));
    }
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("boundary: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match *arguments {
        ["load", folder, cache] => load(folder, cache),
        [way, what, from, to, folder, cache] => {
            let work = Work::new(from, to)?;
            let seconds = runtime.block_on(async {
                let work = match way {
                    "direct" => tokio::spawn({
                        let (what, cache) = (what.to_owned(), PathBuf::from(cache));
                        async move { direct(&what, work, &cache).await }
                    }),
                    "loaded" => tokio::spawn({
                        let [what, folder, cache] = [what, folder, cache].map(str::to_owned);
                        async move { loaded(&what, work, &folder, &cache).await }
                    }),
                    other => bail!("{other} is no way"),
                };
                work.await?
            })?;
            println!("{seconds}");
            Ok(())
        }
        _ => bail!("see the head of this file"),
    }
}
