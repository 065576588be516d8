//! What goes wrong in any call, whatever it is about.

use std::time::Duration;

use sitesync_provider::{Checksum, Error, ErrorKind, Metadata, Result};

use crate::settings::{Fault, Settings};

/// A panic's payload that panics once more when it is dropped.
struct Evil;

impl Drop for Evil {
    fn drop(&mut self) {
        panic!("the payload of a panic panics");
    }
}

/// An error that panics when it is shown.
#[derive(Debug)]
struct EvilSource;

impl std::fmt::Display for EvilSource {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("an error panics while it is shown");
    }
}

impl std::error::Error for EvilSource {}

impl Settings {
    /// Blocks this thread.
    pub(crate) fn block(&self) {
        let started = std::time::Instant::now();
        while self.seconds == 0 || started.elapsed() < Duration::from_secs(self.seconds) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Goes wrong, if it is to.
    pub(crate) async fn act(&self, call: &str, path: &str) -> Result<()> {
        if !self.hits(self.fault, call, path) {
            return Ok(());
        }
        match self.fault {
            Fault::Panic => panic!("on purpose"),
            Fault::EvilPayload => std::panic::panic_any(Evil),
            Fault::PanicInThread => {
                let died = std::thread::spawn(|| panic!("in a thread")).join().is_err();
                Err(Error::new(ErrorKind::Unexpected, format!("a thread died: {died}")))
            }
            Fault::EvilError => {
                Err(Error::new(ErrorKind::Unexpected, "evil").with_source(EvilSource))
            }
            Fault::Block => {
                self.block();
                Ok(())
            }
            Fault::BlockAll => {
                for _ in 0..16 {
                    let settings = self.clone();
                    tokio::spawn(async move { settings.block() });
                }
                self.block();
                Ok(())
            }
            Fault::Never => std::future::pending().await,
            Fault::Error => {
                let kind = ErrorKind::ALL.iter().find(|kind| kind.name() == self.kind);
                Err(Error::new(kind.copied().unwrap_or(ErrorKind::Unexpected), "on purpose"))
            }
            Fault::Centuries => Err(Error::new(ErrorKind::RateLimited, "come back later")
                .with_retry_after(Duration::from_millis(u64::MAX))),
            Fault::DeepError => {
                let chain = (0..50).map(|n| format!("beneath {n}"));
                Err(Error::new(ErrorKind::Unexpected, "deep")
                    .with_code("slow_down")
                    .with_chain(chain))
            }
            Fault::GiantError => {
                let text = "\x1b[31mred\r\n\0 and so on ".repeat(200_000);
                let chain = vec![text.clone(); 4];
                Err(Error::new(ErrorKind::Unexpected, text.clone())
                    .with_code(text)
                    .with_chain(chain.into_iter()))
            }
            Fault::Flood => {
                for n in 0..100_000 {
                    tracing::warn!(n, "flood");
                }
                tracing::error!("{}", "\x1b[31m giant\n".repeat(500_000));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What is told of a file, which may be a lie.
    pub(crate) fn lie(&self, call: &str, path: &str, mut metadata: Metadata) -> Metadata {
        if !self.hits(self.fault, call, path) {
            return metadata;
        }
        match self.fault {
            Fault::Size => metadata.size += 1,
            Fault::HugeSize => metadata.size = u64::MAX,
            Fault::Oldest => metadata.mtime_ns = Some(i64::MIN),
            Fault::Newest => metadata.mtime_ns = Some(i64::MAX),
            Fault::NoVersion => metadata.version = None,
            Fault::GiantVersion => metadata.version = Some("v".repeat(5 << 20)),
            Fault::Checksum => metadata.checksums = vec![Checksum::new("fnv1a", vec![0; 8])],
            _ => {}
        }
        metadata
    }

    /// Goes wrong while something is dropped, if it is to.
    pub(crate) fn on_drop(&self, call: &str, path: &str) {
        if self.hits(Fault::PanicInDrop, call, path) {
            panic!("while dropped");
        }
        if self.hits(Fault::BlockInDrop, call, path) {
            self.block();
        }
    }
}
