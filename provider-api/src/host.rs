//! What the host gives to a provider.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::Result;

/// A future in a box.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What stands behind a [`Host`]: implemented by the host, or by a test.
pub trait HostServices: Send + Sync + 'static {
    /// A folder of this instance's own, mode 0700, kept between runs. It may be emptied.
    fn cache_dir(&self) -> PathBuf;
    /// This machine's site id: names of temporaries carry it.
    fn site_id(&self) -> String;
    /// Waits until `n` requests may be sent.
    fn permit(&self, n: u32) -> BoxFuture<'static, Result<()>>;
    /// True once the host is going down.
    fn is_stopped(&self) -> bool;
    /// Waits until the host is going down.
    fn stopped(&self) -> BoxFuture<'static, ()>;
}

/// The host, as a provider instance sees it. Cheap to clone.
#[derive(Clone)]
pub struct Host(Arc<dyn HostServices>);

impl Host {
    /// A host with these services.
    pub fn new(services: impl HostServices) -> Self {
        Host(Arc::new(services))
    }

    /// A folder of this instance's own, mode 0700, kept between runs. It may be emptied.
    #[must_use]
    pub fn cache_dir(&self) -> PathBuf {
        self.0.cache_dir()
    }

    /// This machine's site id. Names of temporaries carry it, so that a host finds its own.
    #[must_use]
    pub fn site_id(&self) -> String {
        self.0.site_id()
    }

    /// Waits until `n` requests may be sent to the service. Call it before each: the host owns
    /// rate and fairness. `Cancelled` once the host is going down.
    pub async fn permit(&self, n: u32) -> Result<()> {
        self.0.permit(n).await
    }

    /// True once the host is going down.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.is_stopped()
    }

    /// Waits until the host is going down.
    pub async fn stopped(&self) {
        self.0.stopped().await;
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("site_id", &self.site_id()).finish_non_exhaustive()
    }
}

/// What stands behind an [`Op`].
pub trait OpServices: Send + Sync + 'static {
    /// True once the host asked to stop.
    fn is_cancelled(&self) -> bool;
    /// Tells of bytes that were moved since the last call.
    fn progress(&self, bytes: u64);
}

/// One operation that may take long. Cheap to clone.
///
/// Blocking code holds a clone and looks at [`Op::is_cancelled`] between chunks and **right before
/// what makes a file visible**. The host takes the operation for ended when the last clone is gone:
/// move one into whatever still works on it.
#[derive(Clone)]
pub struct Op(Arc<dyn OpServices>);

impl Op {
    /// An operation with these services.
    pub fn new(services: impl OpServices) -> Self {
        Op(Arc::new(services))
    }

    /// An operation that nobody watches or cancels.
    #[must_use]
    pub fn unbound() -> Self {
        Op::new(Watch::default())
    }

    /// True once the host asked to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// `Cancelled` once the host asked to stop.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() {
            return Err(crate::Error::new(crate::ErrorKind::Cancelled, "the host asked to stop"));
        }
        Ok(())
    }

    /// Tells of bytes that were moved since the last call. It also shows that work goes on:
    /// timeouts mean 'no progress for so long'.
    pub fn progress(&self, bytes: u64) {
        self.0.progress(bytes);
    }
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Op").field("cancelled", &self.is_cancelled()).finish()
    }
}

/// A plain flag and counter behind an [`Op`].
#[derive(Debug, Default)]
pub struct Watch {
    cancelled: AtomicBool,
    bytes: AtomicU64,
}

impl Watch {
    /// Asks to stop.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
    }

    /// Bytes moved so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl OpServices for Watch {
    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    fn progress(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl<T: OpServices> OpServices for Arc<T> {
    fn is_cancelled(&self) -> bool {
        (**self).is_cancelled()
    }

    fn progress(&self, bytes: u64) {
        (**self).progress(bytes);
    }
}
