//! Provider instances, and the storages beneath them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};
use sitesync_provider::abi::client::{Connection, Module};
use sitesync_provider::conformance::Suite;
use sitesync_provider::{
    BoxFuture, Description, Error, ErrorKind, Host, HostServices, Result, RootInfo,
};
use tokio::sync::OnceCell;

use super::rate::Rate;
use super::slots::Slots;
use super::{Ground, Health, Limits};
use crate::plugins::Provider;
use crate::settings;

/// What an instance is known by: the provider and every setting that belongs to its connection.
/// Settings that the provider declares as `x-part: site` are left out; the content of a file that
/// holds a secret counts, not its path.
pub(crate) fn key(site: &settings::Site, description: &Description) -> String {
    let mut digest = Sha256::new();
    let fields = description.settings.get("properties");
    // A map of serde_json is sorted by key.
    for (name, value) in &site.settings {
        let schema = fields.and_then(|fields| fields.get(name));
        let said = |extension: &str| schema.and_then(|s| s.get(extension)).cloned();
        if said("x-part").is_some_and(|part| part == "site") {
            continue;
        }
        digest.update(name.as_bytes());
        digest.update([0]);
        let secret = said("x-secret").is_some_and(|secret| secret == true);
        match value.as_str().map(std::fs::read) {
            Some(Ok(content)) if secret => digest.update(Sha256::digest(&content)),
            _ => digest.update(value.to_string().as_bytes()),
        }
        digest.update([0]);
    }
    let digest = digest.finalize();
    let hex: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{hex}", site.provider)
}

/// A provider, connected once for all sites that share it.
#[derive(Debug)]
pub struct Instance {
    key: String,
    module: Module,
    settings: serde_json::Value,
    connection: OnceCell<Connection>,
    host: Host,
    slots_hint: u32,
    pub(super) limits: Limits,
    storages: Mutex<HashMap<String, Arc<Storage>>>,
}

/// One disk, drive or bucket beneath an instance: what it bears, and how it fares.
#[derive(Debug)]
pub struct Storage {
    /// The provider's name for it.
    pub id: String,
    /// How it fares.
    pub health: Health,
    /// How many operations at once it takes.
    pub width: usize,
    pub(crate) slots: Slots,
    pub(crate) bandwidth: Rate,
    pub(super) limits: Limits,
}

/// The host, as the instance sees it.
struct Services {
    cache: PathBuf,
    site_id: String,
    rate: Arc<Rate>,
    stop: tokio::sync::watch::Receiver<bool>,
}

impl HostServices for Services {
    fn cache_dir(&self) -> PathBuf {
        self.cache.clone()
    }

    fn site_id(&self) -> String {
        self.site_id.clone()
    }

    fn permit(&self, n: u32) -> BoxFuture<'static, Result<()>> {
        let rate = self.rate.clone();
        let mut stop = self.stop.clone();
        Box::pin(async move {
            tokio::select! {
                () = rate.pass(u64::from(n)) => Ok(()),
                _ = stop.wait_for(|stopped| *stopped) => {
                    Err(Error::new(ErrorKind::Cancelled, "the host is going down"))
                }
            }
        })
    }

    fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    fn stopped(&self) -> BoxFuture<'static, ()> {
        let mut stop = self.stop.clone();
        Box::pin(async move {
            let _ = stop.wait_for(|stopped| *stopped).await;
        })
    }
}

impl Instance {
    pub(crate) fn new(
        key: &str,
        site: &settings::Site,
        provider: &Provider,
        ground: &Ground,
    ) -> Arc<Self> {
        let hint = provider.description.requests_per_second;
        let requests = site.requests_per_second.or((hint > 0).then_some(f64::from(hint)));
        let services = Services {
            cache: ground.cache.join(key),
            site_id: ground.site_id.clone(),
            rate: Arc::new(Rate::new(requests)),
            stop: ground.stop.clone(),
        };
        Arc::new(Instance {
            key: key.to_owned(),
            module: provider.module,
            settings: serde_json::Value::Object(site.settings.clone()),
            connection: OnceCell::new(),
            host: Host::new(services),
            slots_hint: provider.description.slots,
            limits: ground.limits,
            storages: Mutex::default(),
        })
    }

    /// What this instance is known by: equal for sites that share it.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The conformance suite for a root of this instance: over a connection of its own, with the
    /// same settings and at the same rate.
    #[must_use]
    pub fn conformance(&self, root: &str) -> Suite {
        Suite::new(self.module, self.settings.clone(), self.host.clone(), root)
    }

    /// The connection; made on the first call, and again after a failure.
    pub(crate) async fn connection(&self) -> Result<&Connection> {
        self.connection
            .get_or_try_init(|| async {
                make_private(&self.host.cache_dir())?;
                let call = self.module.connect(&self.settings, self.host.clone());
                let limit = self.limits.connect;
                tokio::time::timeout(limit, call).await.map_err(|_| {
                    let limit = limit.as_secs();
                    Error::new(ErrorKind::Timeout, format!("no connection within {limit} s"))
                })?
            })
            .await
    }

    /// The storage that a root lies on. The first site that opens it says how wide it is.
    pub(crate) fn storage(&self, info: &RootInfo, site: &settings::Site) -> Arc<Storage> {
        let mut storages = self.storages.lock().unwrap_or_else(PoisonError::into_inner);
        storages
            .entry(info.storage_id.clone())
            .or_insert_with(|| {
                let width = site.slots.unwrap_or(self.slots_hint).max(1) as usize;
                Arc::new(Storage {
                    id: info.storage_id.clone(),
                    health: Health::default(),
                    limits: self.limits,
                    width,
                    slots: Slots::new(width),
                    bandwidth: Rate::new(site.bandwidth.map(|bytes| bytes as f64)),
                })
            })
            .clone()
    }
}

/// Makes a folder that only this user can enter.
fn make_private(folder: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| {
        Error::from(error).context(format!("cannot make the cache folder {}", folder.display()))
    })
}
