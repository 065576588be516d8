//! The host side: wire objects as plain async methods.
//!
//! What comes back was written by somebody else: it has the right types, no more. Whether it makes
//! sense is checked by the host's `sites`.

use std::sync::Arc;
use std::time::Duration;

use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::std_types::{RErr, RNone, ROk, RSome, RString, RVec};
use async_ffi::FutureExt;
use serde::Deserialize;

pub use super::convert::fit;
use super::convert::{CopyExt, WriteExt, answer, expect_to_wire, strings};
use super::guarded;
use super::wire::{
    FfiCopy, FfiDeleteOptions, FfiReadOptions, FfiRecord, FfiWriteOptions, HostBox, Later,
    ListerBox, OpBox, ProviderBox, ProviderModule_Ref, RawHost, RawHost_TO, RawLog, RawLog_TO,
    RawOp, RawOp_TO, ReaderBox, WriterBox,
};
use crate::{
    At, Bytes, Change, ChangePage, Copied, Copy, Cursor, DeleteOptions, Description, Error,
    ErrorKind, Host, Metadata, Op, Page, ReadOptions, Result, RootInfo, SweepOptions, Swept,
    WriteOptions,
};

/// An event of a plug-in.
#[derive(Debug)]
pub struct Record<'a> {
    pub level: tracing::Level,
    pub target: &'a str,
    pub message: &'a str,
    /// A JSON object.
    pub fields: &'a str,
    pub file: &'a str,
    pub line: u32,
}

struct LogTo<F>(F);

impl<F: Fn(&Record<'_>) + Send + Sync + 'static> RawLog for LogTo<F> {
    fn log(&self, record: &FfiRecord<'_>) {
        let record = Record {
            level: match record.level {
                0 | 1 => tracing::Level::ERROR,
                2 => tracing::Level::WARN,
                3 => tracing::Level::INFO,
                4 => tracing::Level::DEBUG,
                _ => tracing::Level::TRACE,
            },
            target: record.target.as_str(),
            message: record.message.as_str(),
            fields: record.fields.as_str(),
            file: record.file.as_str(),
            line: record.line,
        };
        let _ = guarded(|| (self.0)(&record));
    }
}

struct LocalHost(Host);

impl RawHost for LocalHost {
    fn cache_dir(&self) -> RString {
        guarded(|| self.0.cache_dir().to_string_lossy().into_owned()).unwrap_or_default().into()
    }

    fn site_id(&self) -> RString {
        guarded(|| self.0.site_id()).unwrap_or_default().into()
    }

    fn permit(&self, n: u32) -> Later<()> {
        let host = self.0.clone();
        async move {
            match host.permit(n).await {
                Ok(()) => ROk(()),
                Err(error) => RErr(error.into()),
            }
        }
        .into_ffi()
    }

    fn is_stopped(&self) -> bool {
        guarded(|| self.0.is_stopped()).unwrap_or(true)
    }

    fn stopped(&self) -> Later<()> {
        let host = self.0.clone();
        async move {
            host.stopped().await;
            ROk(())
        }
        .into_ffi()
    }
}

struct LocalOp(Op);

impl RawOp for LocalOp {
    fn is_cancelled(&self) -> bool {
        guarded(|| self.0.is_cancelled()).unwrap_or(true)
    }

    fn progress(&self, bytes: u64) {
        let _ = guarded(|| self.0.progress(bytes));
    }
}

fn op_box(op: Op) -> OpBox {
    RawOp_TO::from_value(LocalOp(op), TD_Opaque)
}

/// Bytes of what crosses as JSON: nothing of it is data.
const LONGEST_JSON: usize = 16 << 20;

fn parse<T: for<'de> Deserialize<'de>>(json: &str, what: &str) -> Result<T> {
    let wrong = if json.len() > LONGEST_JSON {
        format!("it has {} bytes", json.len())
    } else {
        match serde_json::from_str(json) {
            Ok(value) => return Ok(value),
            // It quotes what it could not read.
            Err(error) => fit(&error.to_string(), 200),
        }
    };
    Err(Error::new(ErrorKind::Unexpected, format!("the provider's {what} makes no sense: {wrong}")))
}

/// A provider type: loaded from a plug-in, or registered in process.
#[derive(Clone, Copy)]
pub struct Module(ProviderModule_Ref);

impl Module {
    #[must_use]
    pub fn new(raw: ProviderModule_Ref) -> Self {
        Module(raw)
    }

    /// A provider of this very binary, by the same road as a plug-in's.
    #[cfg(feature = "plugin")]
    #[must_use]
    pub fn in_process<P: crate::Provider>() -> Self {
        Module(super::shim::root_module::<P>())
    }

    /// Starts the plug-in's runtime; its events go to `log`, which may be called from any thread.
    pub fn init(&self, log: impl Fn(&Record<'_>) + Send + Sync + 'static, level: u8) -> Result<()> {
        answer((self.0.init())(RawLog_TO::from_value(LogTo(log), TD_Opaque), level))
    }

    /// 0 for nothing, 1 for errors, up to 5 for everything.
    pub fn set_log_level(&self, level: u8) {
        (self.0.set_log_level())(level);
    }

    pub fn describe(&self) -> Result<Description> {
        parse(answer((self.0.describe())())?.as_str(), "description")
    }

    pub async fn connect(&self, settings: &serde_json::Value, host: Host) -> Result<Connection> {
        let host: HostBox = RawHost_TO::from_value(LocalHost(host), TD_Opaque);
        let call = (self.0.connect())(settings.to_string().into(), host);
        Ok(Connection(Arc::new(answer(call.await)?)))
    }

    pub fn shut_down(&self) {
        (self.0.shut_down())();
    }
}

/// A connected provider instance: the methods of `Provider`, called across the boundary.
#[derive(Clone)]
pub struct Connection(Arc<ProviderBox>);

impl Connection {
    pub async fn open_root(&self, root: &str, settings: &serde_json::Value) -> Result<RootInfo> {
        let call = self.0.open_root(root.into(), settings.to_string().into());
        parse(answer(call.await)?.as_str(), "description of a root")
    }

    pub async fn stat(&self, at: At<'_>) -> Result<Metadata> {
        let call = self.0.stat(at.into());
        answer(call.await).map(Into::into)
    }

    pub async fn list(&self, dir: At<'_>, recursive: bool) -> Result<Listing> {
        let call = self.0.list(dir.into(), recursive);
        answer(call.await).map(Listing)
    }

    pub async fn open_read(&self, at: At<'_>, how: ReadOptions) -> Result<Reading> {
        let options = FfiReadOptions {
            from: how.from,
            len: how.len.into(),
            if_version: how.if_version.map(RString::from).into(),
            ext_json: RString::new(),
        };
        let call = self.0.open_read(at.into(), options);
        let opened = answer(call.await)?;
        Ok(Reading { metadata: opened.metadata.into(), raw: opened.reader })
    }

    pub async fn open_write(&self, at: At<'_>, how: WriteOptions) -> Result<Writing> {
        let options = FfiWriteOptions {
            size: how.size,
            mtime_ns: how.mtime_ns.into(),
            mode: how.mode.into(),
            expect: expect_to_wire(how.expect),
            resume: how.resume.map(RVec::from).into(),
            op: op_box(how.op),
            ext_json: WriteExt { keep_replaced: how.keep_replaced }.to_wire(),
        };
        let call = self.0.open_write(at.into(), options);
        let opened = answer(call.await)?;
        Ok(Writing { offset: opened.offset, raw: opened.writer })
    }

    pub async fn create_folder(&self, at: At<'_>) -> Result<()> {
        let call = self.0.create_folder(at.into());
        answer(call.await)
    }

    pub async fn remove_folder(&self, at: At<'_>) -> Result<()> {
        let call = self.0.remove_folder(at.into());
        answer(call.await)
    }

    pub async fn delete(&self, at: At<'_>, how: DeleteOptions) -> Result<()> {
        let options = FfiDeleteOptions {
            if_version: how.if_version.map(RString::from).into(),
            to_trash: how.to_trash,
            ext_json: RString::new(),
        };
        let call = self.0.delete(at.into(), options);
        answer(call.await)
    }

    pub async fn sweep(&self, root: &str, how: SweepOptions) -> Result<Swept> {
        #[derive(Deserialize)]
        struct Answered {
            count: u64,
            bytes: u64,
        }
        let keep = how.keep.into_iter().map(RVec::from).collect();
        let call = self.0.sweep(root.into(), keep, how.foreign_after.as_secs());
        let answered: Answered = parse(answer(call.await)?.as_str(), "answer to a sweep")?;
        Ok(Swept::new(answered.count, answered.bytes))
    }

    /// One result an item, in order.
    pub async fn server_copy(&self, batch: Vec<Copy<'_>>, op: Op) -> Result<Vec<Result<Copied>>> {
        let asked = batch.len();
        let keep = |(place, copy): (usize, &Copy<'_>)| copy.keep_replaced.then_some(place);
        let ext = CopyExt { keep_replaced: batch.iter().enumerate().filter_map(keep).collect() };
        let batch = batch
            .into_iter()
            .map(|copy| FfiCopy {
                from: copy.from.into(),
                to: copy.to.into(),
                expect: expect_to_wire(copy.expect),
            })
            .collect();
        let call = if ext.is_empty() {
            self.0.server_copy(batch, op_box(op))
        } else {
            self.0.server_copy_with(batch, ext.to_wire(), op_box(op))
        };
        let results = answer(call.await)?;
        if results.len() != asked {
            return Err(Error::new(
                ErrorKind::Unexpected,
                format!("the provider answered {} of {asked} copies", results.len()),
            ));
        }
        Ok(results.into_iter().map(|result| answer(result).map(Into::into)).collect())
    }

    pub async fn rename(&self, from: At<'_>, to: At<'_>) -> Result<Metadata> {
        let call = self.0.rename(from.into(), to.into());
        answer(call.await).map(Into::into)
    }

    pub async fn flush(&self, roots: &[&str]) -> Result<()> {
        let call = self.0.flush(strings(roots.iter().copied()));
        answer(call.await)
    }

    pub async fn changes(
        &self,
        roots: &[&str],
        since: Option<Cursor>,
        wait: Duration,
    ) -> Result<ChangePage> {
        #[derive(Deserialize)]
        struct Answered {
            changed: Vec<Change>,
            next: String,
            more: bool,
        }
        let since = since.map_or(RNone, |cursor| RSome(cursor.0.into()));
        let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let call = self.0.changes(strings(roots.iter().copied()), since, wait);
        let page: Answered = parse(answer(call.await)?.as_str(), "change feed")?;
        Ok(ChangePage::new(page.changed, Cursor(page.next), page.more))
    }
}

/// A file being read.
pub struct Reading {
    pub metadata: Metadata,
    raw: ReaderBox,
}

impl Reading {
    /// Empty at the end.
    pub async fn read(&mut self, max: usize) -> Result<Bytes> {
        let call = self.raw.read(max as u64);
        answer(call.await).map(Into::into)
    }
}

/// A file being written.
pub struct Writing {
    pub offset: u64,
    raw: WriterBox,
}

impl Writing {
    pub async fn write(&mut self, chunk: Bytes) -> Result<()> {
        let call = self.raw.write(chunk.into());
        answer(call.await)
    }

    pub async fn checkpoint(&mut self) -> Result<Option<Vec<u8>>> {
        let call = self.raw.checkpoint();
        answer(call.await).map(|token| token.into_option().map(Into::into))
    }

    pub async fn finish(mut self) -> Result<Metadata> {
        let call = self.raw.finish();
        answer(call.await).map(Into::into)
    }

    pub async fn discard(mut self) -> Result<()> {
        let call = self.raw.discard();
        answer(call.await)
    }
}

/// A listing in progress.
pub struct Listing(ListerBox);

impl Listing {
    /// The next pages; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<Page>>> {
        let call = self.0.next();
        let pages = answer(call.await)?;
        if pages.is_empty() {
            return Ok(None);
        }
        Ok(Some(pages.into_iter().map(Page::from).collect()))
    }
}

macro_rules! opaque_debug {
    ($($name:ident),*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}
opaque_debug!(Module, Connection, Reading, Writing, Listing);
