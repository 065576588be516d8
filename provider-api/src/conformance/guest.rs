//! The host that the suite gives to a provider: the caller's, under a site id of the suite's own.
//! So a sweep finds the suite's temporaries and nobody else's.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{BoxFuture, Host, HostServices, Result};

/// Another host under a site id of its own; counts the requests that are asked for.
pub(super) struct Guest {
    pub(super) host: Host,
    pub(super) site_id: String,
    pub(super) permits: Arc<AtomicU64>,
}

impl HostServices for Guest {
    fn cache_dir(&self) -> PathBuf {
        self.host.cache_dir()
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
