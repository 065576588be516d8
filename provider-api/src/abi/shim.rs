//! The plug-in side: an author's [`Provider`] as wire objects.
//!
//! Every call is spawned on the plug-in's own runtime, so that a blocking author cannot stall the
//! host, a panic comes back as a value, and dropping the host's future aborts the task. Values of
//! the author are dropped where a panic in `Drop` is caught.

use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use abi_stable::prefix_type::PrefixTypeTrait;
use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::std_types::{RErr, ROk, ROption, RString, RVec};
use async_ffi::FutureExt;
use tokio::sync::{Mutex, Notify};
use tokio::task::{JoinError, JoinHandle};

use super::convert::{CopyExt, Place, WriteExt, answer, expect_from_wire, ext_from_wire};
use super::wire::{
    Answer, FfiAt, FfiBytes, FfiCopied, FfiCopy, FfiDeleteOptions, FfiError, FfiMetadata, FfiPage,
    FfiReadOptions, FfiReading, FfiWriteOptions, FfiWriting, HostBox, Later, ListerBox, LogBox,
    OpBox, ProviderBox, ProviderModule, ProviderModule_Ref, RawLister, RawLister_TO, RawProvider,
    RawProvider_TO, RawReader, RawReader_TO, RawWriter, RawWriter_TO,
};
use super::{forward, guarded, panic_message, runtime};
use crate::{
    BoxFuture, Copy, Cursor, DeleteOptions, Description, Error, ErrorKind, Host, HostServices,
    ListStream, Op, OpServices, Provider, ReadOptions, ReadStream, Result, SweepOptions,
    WriteOptions, WriteStream,
};

fn panicked(message: &str) -> Error {
    Error::new(ErrorKind::Panicked, format!("the provider panicked: {message}"))
}

/// A spawned call. Dropping it aborts the call.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

/// Runs a call of the author's on the plug-in's runtime.
fn run<T, W>(
    call: impl Future<Output = Result<T>> + Send + 'static,
    to_wire: impl FnOnce(T) -> W + Send + 'static,
) -> Later<W>
where
    T: Send + 'static,
    W: Send + 'static,
{
    // All of the author's code runs here, down to the `Display` of an error's sources.
    let work = async move { call.await.map(to_wire).map_err(FfiError::from) };
    let task = runtime::spawn(work).map(Task);
    async move {
        let result = match task {
            None => Err(Error::new(ErrorKind::Interrupted, runtime::GONE).into()),
            Some(task) => match task.await {
                Ok(result) => result,
                Err(error) => Err(FfiError::from(if error.is_panic() {
                    panicked(&panic_message(error.into_panic()))
                } else {
                    Error::new(ErrorKind::Cancelled, "the call was ended")
                })),
            },
        };
        match result {
            Ok(value) => ROk(value),
            Err(error) => RErr(error),
        }
    }
    .into_ffi()
}

/// A value of the author's. Its `Drop` may panic, or block for ever: it runs on a thread of the
/// plug-in's runtime, whoever lets go of it.
struct Guarded<T: Send + 'static> {
    value: Option<T>,
    /// Something may go on where this one ends: it waits for the drop.
    awaited: bool,
}

impl<T: Send + 'static> Guarded<T> {
    fn new(value: T) -> Self {
        Guarded { value: Some(value), awaited: false }
    }

    fn awaited(value: T) -> Self {
        Guarded { value: Some(value), awaited: true }
    }

    fn get(&self) -> Result<&T> {
        self.value.as_ref().ok_or_else(finished)
    }

    fn get_mut(&mut self) -> Result<&mut T> {
        self.value.as_mut().ok_or_else(finished)
    }

    fn take(&mut self) -> Result<T> {
        self.value.take().ok_or_else(finished)
    }
}

impl<T: Send + 'static> Drop for Guarded<T> {
    fn drop(&mut self) {
        // What never gets its turn, because the runtime is gone, is leaked: as the library is.
        let Some(value) = self.value.take().map(ManuallyDrop::new) else { return };
        // Not on one of the workers: it may block.
        let Some(handle) = runtime::handle() else { return };
        let dropping = self.awaited.then(Dropping::begin);
        handle.spawn_blocking(move || {
            let _dropping = dropping;
            if let Err(message) = guarded(move || drop(ManuallyDrop::into_inner(value))) {
                tracing::error!(message, "a value of this provider panicked while it was dropped");
            }
        });
    }
}

/// Drops of writers that are under way.
static DROPPING: AtomicUsize = AtomicUsize::new(0);
static DROPPED: Notify = Notify::const_new();
/// What takes longer to be dropped hangs.
const LONGEST_DROP: Duration = Duration::from_secs(10);

/// One of them, until this is dropped.
struct Dropping;

impl Dropping {
    fn begin() -> Self {
        DROPPING.fetch_add(1, Ordering::AcqRel);
        Dropping
    }

    /// Waits until all have ended: whoever resumes a write, or sweeps, must not meet the writer
    /// that the host has let go of.
    async fn all_ended() {
        let ended = async {
            loop {
                let next = DROPPED.notified();
                if DROPPING.load(Ordering::Acquire) == 0 {
                    return;
                }
                next.await;
            }
        };
        let _ = tokio::time::timeout(LONGEST_DROP, ended).await;
    }
}

impl Drop for Dropping {
    fn drop(&mut self) {
        DROPPING.fetch_sub(1, Ordering::AcqRel);
        DROPPED.notify_waiters();
    }
}

fn finished() -> Error {
    Error::new(ErrorKind::Unexpected, "called after its end")
}

/// The host, called across the boundary.
struct RemoteHost(Arc<HostBox>);

impl HostServices for RemoteHost {
    fn cache_dir(&self) -> std::path::PathBuf {
        String::from(self.0.cache_dir()).into()
    }

    fn site_id(&self) -> String {
        self.0.site_id().into()
    }

    fn permit(&self, n: u32) -> BoxFuture<'static, Result<()>> {
        let call = self.0.permit(n);
        Box::pin(async move { answer(call.await) })
    }

    fn is_stopped(&self) -> bool {
        self.0.is_stopped()
    }

    fn stopped(&self) -> BoxFuture<'static, ()> {
        let call = self.0.stopped();
        Box::pin(async move {
            let _ = call.await;
        })
    }
}

/// An operation of the host's. The host learns of its end when this is dropped.
struct RemoteOp(OpBox);

impl OpServices for RemoteOp {
    fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    fn progress(&self, bytes: u64) {
        self.0.progress(bytes);
    }
}

struct Shim<P: Provider>(Arc<Guarded<P>>);

impl<P: Provider> Shim<P> {
    /// A call on the provider at one place.
    fn at<T: Send + 'static, W: Send + 'static, F>(
        &self,
        at: FfiAt,
        call: impl FnOnce(Arc<Guarded<P>>, Place) -> F,
        to_wire: impl FnOnce(T) -> W + Send + 'static,
    ) -> Later<W>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        run(call(self.0.clone(), at.into()), to_wire)
    }

    fn copy(
        &self,
        batch: RVec<FfiCopy>,
        ext: Result<CopyExt>,
        op: OpBox,
    ) -> Later<RVec<Answer<FfiCopied>>> {
        let provider = self.0.clone();
        let op = Op::new(RemoteOp(op));
        let batch: Vec<_> = batch
            .into_iter()
            .map(|copy| {
                (Place::from(copy.from), Place::from(copy.to), expect_from_wire(copy.expect))
            })
            .collect();
        run(
            async move {
                let keep = ext?.keep_replaced;
                let mut copies: Vec<Copy<'_>> = batch
                    .iter()
                    .map(|(from, to, expect)| Copy::new(from.at(), to.at(), expect.clone()))
                    .collect();
                for place in keep {
                    if let Some(copy) = copies.get_mut(place) {
                        copy.keep_replaced = true;
                    }
                }
                Ok(provider.get()?.server_copy(&copies, &op).await)
            },
            |results| {
                results
                    .into_iter()
                    .map(|result| match result {
                        Ok(copied) => ROk(copied.into()),
                        Err(error) => RErr(FfiError::from(error)),
                    })
                    .collect()
            },
        )
    }
}

fn settings<S: serde::de::DeserializeOwned>(json: &str) -> Result<S> {
    serde_json::from_str(json)
        .map_err(|error| Error::new(ErrorKind::InvalidSettings, error.to_string()))
}

impl<P: Provider> RawProvider for Shim<P> {
    fn open_root(&self, root: RString, settings_json: RString) -> Later<RString> {
        let provider = self.0.clone();
        run(
            async move {
                let info = provider.get()?.open_root(&root, settings(&settings_json)?).await?;
                serde_json::to_string(&info)
                    .map_err(|error| Error::new(ErrorKind::Unexpected, error.to_string()))
            },
            RString::from,
        )
    }

    fn stat(&self, at: FfiAt) -> Later<FfiMetadata> {
        self.at(at, |p, at| async move { p.get()?.stat(at.at()).await }, Into::into)
    }

    fn list(&self, dir: FfiAt, recursive: bool) -> Later<ListerBox> {
        self.at(
            dir,
            move |p, at| async move { p.get()?.list(at.at(), recursive).await },
            |lister| RawLister_TO::from_value(shared(lister), TD_Opaque),
        )
    }

    fn open_read(&self, at: FfiAt, how: FfiReadOptions) -> Later<FfiReading> {
        let options = ReadOptions {
            from: how.from,
            len: how.len.into(),
            if_version: how.if_version.into_option().map(Into::into),
        };
        self.at(
            at,
            move |p, at| async move {
                let reader = p.get()?.open_read(at.at(), options).await?;
                Ok((reader.metadata(), reader))
            },
            |(metadata, reader)| FfiReading {
                metadata: metadata.into(),
                reader: RawReader_TO::from_value(shared(reader), TD_Opaque),
            },
        )
    }

    fn open_write(&self, at: FfiAt, how: FfiWriteOptions) -> Later<FfiWriting> {
        let ext: Result<WriteExt> = ext_from_wire(&how.ext_json);
        let mut options = WriteOptions {
            size: how.size,
            mtime_ns: how.mtime_ns.into(),
            mode: how.mode.into(),
            expect: expect_from_wire(how.expect),
            resume: how.resume.into_option().map(Into::into),
            keep_replaced: false,
            op: Op::new(RemoteOp(how.op)),
        };
        self.at(
            at,
            move |p, at| async move {
                options.keep_replaced = ext?.keep_replaced;
                Dropping::all_ended().await;
                let writer = p.get()?.open_write(at.at(), options).await?;
                Ok((writer.offset(), writer))
            },
            |(offset, writer)| FfiWriting {
                offset,
                writer: RawWriter_TO::from_value(
                    Stream(Arc::new(Mutex::new(Guarded::awaited(writer)))),
                    TD_Opaque,
                ),
            },
        )
    }

    fn create_folder(&self, at: FfiAt) -> Later<()> {
        self.at(at, |p, at| async move { p.get()?.create_folder(at.at()).await }, |done| done)
    }

    fn remove_folder(&self, at: FfiAt) -> Later<()> {
        self.at(at, |p, at| async move { p.get()?.remove_folder(at.at()).await }, |done| done)
    }

    fn delete(&self, at: FfiAt, how: FfiDeleteOptions) -> Later<()> {
        let options = DeleteOptions {
            if_version: how.if_version.into_option().map(Into::into),
            to_trash: how.to_trash,
        };
        self.at(
            at,
            move |p, at| async move { p.get()?.delete(at.at(), options).await },
            |done| done,
        )
    }

    fn sweep(&self, root: RString, keep: RVec<RVec<u8>>, foreign_after_s: u64) -> Later<RString> {
        let provider = self.0.clone();
        let keep = keep.into_iter().map(Into::into).collect();
        run(
            async move {
                Dropping::all_ended().await;
                let how = SweepOptions::new(keep, Duration::from_secs(foreign_after_s));
                provider.get()?.sweep(&root, how).await
            },
            |swept| format!(r#"{{"count":{},"bytes":{}}}"#, swept.count, swept.bytes).into(),
        )
    }

    fn server_copy(&self, batch: RVec<FfiCopy>, op: OpBox) -> Later<RVec<Answer<FfiCopied>>> {
        self.copy(batch, Ok(CopyExt::default()), op)
    }

    fn rename(&self, from: FfiAt, to: FfiAt) -> Later<FfiMetadata> {
        let to = Place::from(to);
        self.at(
            from,
            move |p, from| async move { p.get()?.rename(from.at(), to.at()).await },
            Into::into,
        )
    }

    fn flush(&self, roots: RVec<RString>) -> Later<()> {
        let provider = self.0.clone();
        run(
            async move {
                let roots: Vec<&str> = roots.iter().map(RString::as_str).collect();
                provider.get()?.flush(&roots).await
            },
            |done| done,
        )
    }

    fn changes(
        &self,
        roots: RVec<RString>,
        since: ROption<RString>,
        wait_ms: u64,
    ) -> Later<RString> {
        let provider = self.0.clone();
        let since = since.into_option().map(|cursor| Cursor(cursor.into()));
        run(
            async move {
                let roots: Vec<&str> = roots.iter().map(RString::as_str).collect();
                let wait = Duration::from_millis(wait_ms);
                provider.get()?.changes(&roots, since, wait).await
            },
            |page| {
                serde_json::json!({"changed": page.changed, "next": page.next.0, "more": page.more})
                    .to_string()
                    .into()
            },
        )
    }

    fn server_copy_with(
        &self,
        batch: RVec<FfiCopy>,
        ext_json: RString,
        op: OpBox,
    ) -> Later<RVec<Answer<FfiCopied>>> {
        self.copy(batch, ext_from_wire(&ext_json), op)
    }
}

/// A stream of the author's: one call at a time, each on the plug-in's runtime.
type Shared<T> = Arc<Mutex<Guarded<T>>>;

struct Stream<T: Send + 'static>(Shared<T>);

fn shared<T: Send + 'static>(stream: T) -> Stream<T> {
    Stream(Arc::new(Mutex::new(Guarded::new(stream))))
}

impl<R: ReadStream> RawReader for Stream<R> {
    fn read(&mut self, max: u64) -> Later<FfiBytes> {
        let reader = self.0.clone();
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        run(async move { reader.lock().await.get_mut()?.read(max).await }, Into::into)
    }
}

/// Empty pages in a row after which a listing counts as broken.
const EMPTY_PAGES: usize = 1000;

impl<L: ListStream> RawLister for Stream<L> {
    fn next(&mut self) -> Later<RVec<FfiPage>> {
        let lister = self.0.clone();
        run(
            async move {
                let mut lister = lister.lock().await;
                for _ in 0..EMPTY_PAGES {
                    // On the wire no pages mean the end.
                    match lister.get_mut()?.next().await? {
                        Some(pages) if pages.is_empty() => {}
                        pages => return Ok(pages.unwrap_or_default()),
                    }
                }
                Err(Error::new(ErrorKind::Unexpected, "the listing has no end"))
            },
            |pages| pages.into_iter().map(FfiPage::from).collect(),
        )
    }
}

impl<W: WriteStream> RawWriter for Stream<W> {
    fn write(&mut self, chunk: FfiBytes) -> Later<()> {
        let writer = self.0.clone();
        run(async move { writer.lock().await.get_mut()?.write(chunk.into()).await }, |done| done)
    }

    fn checkpoint(&mut self) -> Later<ROption<RVec<u8>>> {
        let writer = self.0.clone();
        run(async move { writer.lock().await.get_mut()?.checkpoint().await }, |token| {
            token.map(RVec::from).into()
        })
    }

    fn finish(&mut self) -> Later<FfiMetadata> {
        let writer = self.0.clone();
        run(
            async move {
                let writer = writer.lock().await.take()?;
                writer.finish().await
            },
            Into::into,
        )
    }

    fn discard(&mut self) -> Later<()> {
        let writer = self.0.clone();
        run(
            async move {
                let writer = writer.lock().await.take()?;
                writer.discard().await
            },
            |done| done,
        )
    }
}

fn or_panicked<T>(result: Result<Result<T>, String>) -> Answer<T> {
    match result {
        Ok(Ok(value)) => ROk(value),
        Ok(Err(error)) => RErr(error.into()),
        Err(message) => RErr(panicked(&message).into()),
    }
}

extern "C" fn init(log: LogBox, level: u8) -> Answer<()> {
    or_panicked(guarded(|| {
        forward::install(log, level);
        runtime::start().map_err(Error::from)
    }))
}

extern "C" fn set_log_level(level: u8) {
    let _ = guarded(|| forward::set_level(level));
}

extern "C" fn describe<P: Provider>() -> Answer<RString> {
    or_panicked(guarded(|| {
        serde_json::to_string(&Description::of::<P>())
            .map(RString::from)
            .map_err(|error| Error::new(ErrorKind::Unexpected, error.to_string()))
    }))
}

extern "C" fn connect<P: Provider>(settings_json: RString, host: HostBox) -> Later<ProviderBox> {
    let host = Host::new(RemoteHost(Arc::new(host)));
    run(async move { P::connect(settings(&settings_json)?, host).await }, |provider| {
        RawProvider_TO::from_value(Shim(Arc::new(Guarded::new(provider))), TD_Opaque)
    })
}

extern "C" fn shut_down() {
    let _ = guarded(runtime::stop);
}

/// The root module that `export_provider!` exports.
#[must_use]
pub fn root_module<P: Provider>() -> ProviderModule_Ref {
    ProviderModule {
        init,
        set_log_level,
        describe: describe::<P>,
        connect: connect::<P>,
        shut_down,
    }
    .leak_into_prefix()
}
