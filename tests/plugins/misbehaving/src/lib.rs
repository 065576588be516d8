//! A provider that does everything wrong that a host can contain. Its settings say what.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use sitesync_provider::{
    About, At, Bytes, Copied, Copy, DeleteOptions, End, Entry, Error, ErrorKind, Host, ListStream,
    Metadata, Op, Page, Provider, ReadOptions, ReadStream, Result, RootInfo, SweepOptions, Swept,
    WriteOptions, WriteStream,
};

sitesync_provider::export_provider!(Misbehaving);

/// What goes wrong, in every method unless it says otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Panics.
    Panic,
    /// Panics with a payload whose own `Drop` panics.
    EvilPayload,
    /// Panics in a thread of its own, and answers with what came of it.
    PanicInThread,
    /// Only dropping panics: of the provider, of readers, writers and listers.
    PanicInDrop,
    /// Blocks a worker for `seconds`.
    Block,
    /// Never answers.
    Never,
    /// Answers with one result more than was asked for (`server_copy`), more bytes than were
    /// asked for (`read`), names with a `/` (`list`).
    Lie,
    /// A listing of nothing but empty pages.
    EndlessList,
    /// Fails with a long chain of errors.
    DeepError,
    /// Fails in `connect` already.
    RefuseConnect,
    /// Panics in `connect` already.
    PanicInConnect,
}

#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What goes wrong.
    pub fault: Fault,
    /// How long `block` blocks.
    pub seconds: u64,
}

/// A panic's payload that panics once more when it is dropped.
struct Evil;

impl Drop for Evil {
    fn drop(&mut self) {
        panic!("the payload of a panic panics");
    }
}

impl Settings {
    async fn act(&self) -> Result<()> {
        match self.fault {
            Fault::Panic => panic!("on purpose"),
            Fault::EvilPayload => std::panic::panic_any(Evil),
            Fault::PanicInThread => {
                let died = std::thread::spawn(|| panic!("in a thread")).join().is_err();
                Err(Error::new(ErrorKind::Unexpected, format!("a thread died: {died}")))
            }
            Fault::Block => {
                std::thread::sleep(Duration::from_secs(self.seconds));
                Ok(())
            }
            Fault::Never => std::future::pending().await,
            Fault::DeepError => {
                let chain = (0..50).map(|n| format!("beneath {n}"));
                Err(Error::new(ErrorKind::RateLimited, "deep")
                    .with_retry_after(Duration::from_millis(1500))
                    .with_code("slow_down")
                    .with_chain(chain))
            }
            _ => Ok(()),
        }
    }

    fn on_drop(&self) {
        if self.fault == Fault::PanicInDrop {
            panic!("while dropped");
        }
    }
}

#[derive(Debug)]
pub struct Misbehaving(Settings);

impl Drop for Misbehaving {
    fn drop(&mut self) {
        self.0.on_drop();
    }
}

/// Reader, writer and lister in one.
#[derive(Debug)]
pub struct Stream {
    settings: Settings,
    calls: u64,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.settings.on_drop();
    }
}

impl ReadStream for Stream {
    fn metadata(&self) -> Metadata {
        Metadata::file(3)
    }

    async fn read(&mut self, max: usize) -> Result<Bytes> {
        self.settings.act().await?;
        self.calls += 1;
        if self.settings.fault == Fault::Lie {
            return Ok(vec![7; max.saturating_add(1).min(1 << 20)].into());
        }
        Ok(if self.calls == 1 { Bytes::from_static(b"abc") } else { Bytes::new() })
    }
}

impl WriteStream for Stream {
    fn offset(&self) -> u64 {
        if self.settings.fault == Fault::Lie { u64::MAX } else { 0 }
    }

    async fn write(&mut self, _: Bytes) -> Result<()> {
        self.settings.act().await
    }

    async fn finish(self) -> Result<Metadata> {
        self.settings.act().await?;
        Ok(Metadata::file(0))
    }

    async fn discard(self) -> Result<()> {
        self.settings.act().await
    }
}

impl ListStream for Stream {
    async fn next(&mut self) -> Result<Option<Vec<Page>>> {
        self.settings.act().await?;
        self.calls += 1;
        match self.settings.fault {
            Fault::EndlessList => Ok(Some(Vec::new())),
            Fault::Lie if self.calls == 1 => {
                let entries = vec![
                    Entry::new("../../etc/passwd", Metadata::file(1)),
                    Entry::new("", Metadata::file(u64::MAX)),
                    Entry::new("a\0b", Metadata::folder()),
                ];
                Ok(Some(vec![Page::new("elsewhere", entries, End::Complete)]))
            }
            _ => Ok(None),
        }
    }
}

impl Misbehaving {
    async fn stream(&self) -> Result<Stream> {
        // Opening works, so that the stream's own faults can be seen.
        Ok(Stream { settings: self.0.clone(), calls: 0 })
    }
}

impl Provider for Misbehaving {
    type Settings = Settings;
    type Reader = Stream;
    type Writer = Stream;
    type Lister = Stream;

    const ABOUT: About = About::new("misbehaving", "Misbehaving (test fixture)");

    async fn connect(settings: Settings, _: Host) -> Result<Self> {
        match settings.fault {
            Fault::PanicInConnect => panic!("while connecting"),
            Fault::RefuseConnect => Err(Error::new(ErrorKind::Unauthenticated, "who are you?")),
            _ => Ok(Misbehaving(settings)),
        }
    }

    async fn open_root(&self, _: &str, _: Settings) -> Result<RootInfo> {
        self.0.act().await?;
        Ok(RootInfo::default())
    }

    async fn stat(&self, _: At<'_>) -> Result<Metadata> {
        self.0.act().await?;
        Ok(Metadata::file(3))
    }

    async fn list(&self, _: At<'_>, _: bool) -> Result<Stream> {
        self.stream().await
    }

    async fn open_read(&self, _: At<'_>, _: ReadOptions) -> Result<Stream> {
        self.stream().await
    }

    async fn open_write(&self, _: At<'_>, _: WriteOptions) -> Result<Stream> {
        self.stream().await
    }

    async fn create_folder(&self, _: At<'_>) -> Result<()> {
        self.0.act().await
    }

    async fn remove_folder(&self, _: At<'_>) -> Result<()> {
        self.0.act().await
    }

    async fn delete(&self, _: At<'_>, _: DeleteOptions) -> Result<()> {
        self.0.act().await
    }

    async fn sweep(&self, _: &str, _: SweepOptions) -> Result<Swept> {
        self.0.act().await?;
        Ok(Swept::default())
    }

    async fn server_copy(&self, batch: &[Copy<'_>], _: &Op) -> Vec<Result<Copied>> {
        let answered = match self.0.fault {
            Fault::Lie => batch.len() + 1,
            _ => batch.len(),
        };
        if let Err(error) = self.0.act().await {
            return vec![Err(error)];
        }
        let done = || Ok(Copied::new(Metadata::file(3), Metadata::file(3)));
        (0..answered).map(|_| done()).collect()
    }
}
