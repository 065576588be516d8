//! The host that the suite gives to a provider: the caller's, under a site id of the suite's own.
//! So a sweep finds the suite's temporaries and nobody else's. Each instance has a cache folder of
//! its own, as it has from the real one.

use std::fs::DirBuilder;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{BoxFuture, Host, HostServices, Result};

/// Another host under a site id of its own; counts the requests that are asked for.
pub(super) struct Guest {
    pub(super) host: Host,
    pub(super) cache_dir: PathBuf,
    pub(super) site_id: String,
    pub(super) permits: Arc<AtomicU64>,
}

impl HostServices for Guest {
    fn cache_dir(&self) -> PathBuf {
        self.cache_dir.clone()
    }

    fn site_id(&self) -> String {
        self.site_id.clone()
    }

    fn permit(&self, n: u32) -> BoxFuture<'static, Result<()>> {
        self.permits.fetch_add(u64::from(n), Ordering::Relaxed);
        let host = self.host.clone();
        Box::pin(async move { host.permit(n).await })
    }

    fn is_stopped(&self) -> bool {
        self.host.is_stopped()
    }

    fn stopped(&self) -> BoxFuture<'static, ()> {
        let host = self.host.clone();
        Box::pin(async move { host.stopped().await })
    }
}

/// A host without a limit of requests, that never stops.
pub(super) struct Plain {
    pub(super) cache_dir: PathBuf,
}

impl HostServices for Plain {
    fn cache_dir(&self) -> PathBuf {
        self.cache_dir.clone()
    }

    fn site_id(&self) -> String {
        "verify".to_owned()
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

/// The cache folders of a run's instances. They go with it.
pub(super) struct Caches {
    folder: PathBuf,
    made: AtomicU64,
}

impl Caches {
    pub(super) fn new(within: &Path, run: u64) -> Self {
        let folder = within.join(format!("sitesync-verify-{run:016x}"));
        Caches { folder, made: AtomicU64::new(0) }
    }

    /// A new one.
    pub(super) fn next(&self) -> Result<PathBuf> {
        let folder = self.folder.join(self.made.fetch_add(1, Ordering::Relaxed).to_string());
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&folder)?;
        Ok(folder)
    }
}

impl Drop for Caches {
    fn drop(&mut self) {
        // What stays is a cache, where caches are.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
