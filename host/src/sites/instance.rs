//! Provider instances, and the storages beneath them.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use sitesync_provider::abi::client::Connection;
use sitesync_provider::conformance::Suite;
use sitesync_provider::settings::Part;
use sitesync_provider::{
    BoxFuture, Description, Error, ErrorKind, Host, HostServices, Result, RootInfo,
};
use tokio::sync::OnceCell;

use super::breaker::is_the_accounts;
use super::rate::Rate;
use super::slots::Slots;
use super::{Ground, Health, Limits, Parked, StorageHealth};
use crate::plugins::Provider;
use crate::settings;

/// What an instance is known by: the provider and every setting that belongs to its connection.
/// Settings that the provider declares as the site's ([`Part::Site`]) are left out; the content of a file that
/// holds a secret counts, not its path.
pub(crate) fn key(site: &settings::Site, description: &Description) -> String {
    let mut digest = Sha256::new();
    let fields = description.fields();
    // A map of serde_json is sorted by key.
    for (name, value) in &site.settings {
        let field = fields.get(name);
        if field.is_some_and(|field| field.part == Part::Site) {
            continue;
        }
        digest.update(name.as_bytes());
        digest.update([0]);
        let secret = field.is_some_and(|field| field.secret);
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
    settings: serde_json::Value,
    /// Through the generation of the provider that serves what begins now.
    link: Mutex<Arc<Link>>,
    host: Host,
    /// For a site that asks for nothing else.
    pub(super) limits: Limits,
    connect_within: Duration,
    accounts: Arc<Accounts>,
    storages: Mutex<HashMap<String, Arc<Storage>>>,
}

/// A connection through one generation of a provider. Whoever works through it keeps it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) provider: Arc<Provider>,
    connection: OnceCell<Connection>,
}

impl Link {
    fn new(provider: Arc<Provider>) -> Arc<Self> {
        Arc::new(Link { provider, connection: OnceCell::new() })
    }
}

/// One disk, drive or bucket beneath an instance: what it bears, and how it fares.
#[derive(Debug)]
pub struct Storage {
    /// The provider's name for it.
    pub id: String,
    /// How it fares.
    health: Health,
    /// How the account fares by which it is used, whatever the storage.
    account: Arc<Health>,
    /// How many operations at once it takes.
    pub width: usize,
    /// The sites that were opened on it.
    sites: Mutex<BTreeSet<String>>,
    pub(crate) slots: Slots,
    pub(crate) bandwidth: Rate,
}

impl Storage {
    /// Why it is to be left alone at this moment, if it is.
    #[must_use]
    pub fn parked(&self, now: Instant) -> Option<Parked> {
        self.health.parked(now).or_else(|| self.account.parked(now))
    }

    /// True until a call has gone well after a fault that parked it.
    #[must_use]
    pub fn suspect(&self) -> bool {
        self.health.suspect() || self.account.suspect()
    }

    /// True if it had no room, and nothing was stored there since.
    pub(crate) fn was_full(&self) -> bool {
        self.health.was_full()
    }

    /// A call went well that stored nothing.
    pub(crate) fn good(&self) {
        let now = Instant::now();
        self.health.good(now);
        self.account.good(now);
    }

    /// A file was stored.
    pub(crate) fn stored(&self) {
        let now = Instant::now();
        self.health.stored(now);
        self.account.stored(now);
    }

    /// A call failed. Returns why it is to be left alone from now on, if it was not yet.
    pub(crate) fn bad(&self, error: &Error) -> Option<Parked> {
        let whose = if is_the_accounts(error.kind()) { &self.account } else { &self.health };
        whose.bad(error, Instant::now())
    }
}

/// How accounts fare, by provider and account.
#[derive(Debug, Default)]
pub(crate) struct Accounts(Mutex<HashMap<(String, String), Arc<Health>>>);

impl Accounts {
    /// That of a root; one of its own where the provider names none.
    fn of(&self, provider: &str, info: &RootInfo, hurry: u32) -> Arc<Health> {
        let fresh = || Arc::new(Health::hurried(hurry));
        if info.account.is_empty() {
            return fresh();
        }
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.entry((provider.to_owned(), info.account.clone())).or_insert_with(fresh).clone()
    }
}

/// The host, as the instance sees it.
struct Services {
    cache: PathBuf,
    site_id: String,
    rate: Arc<Rate>,
    stop: tokio::sync::watch::Receiver<bool>,
    /// Where the host waits.
    runtime: tokio::runtime::Handle,
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
        let down = || Error::new(ErrorKind::Cancelled, "the host is going down");
        // A plug-in asks on threads of its own, where nothing keeps time for the host.
        let waiting = self.runtime.spawn(async move {
            tokio::select! {
                () = rate.pass(u64::from(n)) => Ok(()),
                _ = stop.wait_for(|stopped| *stopped) => Err(down()),
            }
        });
        Box::pin(async move { waiting.await.unwrap_or_else(|_| Err(down())) })
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
        provider: Arc<Provider>,
        ground: &Ground,
    ) -> Arc<Self> {
        let hint = provider.description.requests_per_second;
        let requests = site.requests_per_second.or((hint > 0).then_some(f64::from(hint)));
        let services = Services {
            cache: ground.cache.join(key),
            site_id: ground.site_id.clone(),
            rate: Arc::new(Rate::new(requests)),
            stop: ground.stop.clone(),
            runtime: tokio::runtime::Handle::current(),
        };
        Arc::new(Instance {
            key: key.to_owned(),
            settings: serde_json::Value::Object(site.settings.clone()),
            link: Mutex::new(Link::new(provider)),
            host: Host::new(services),
            limits: ground.limits,
            connect_within: ground.limits.of(site).connect,
            accounts: ground.accounts.clone(),
            storages: Mutex::default(),
        })
    }

    /// What this instance is known by: equal for sites that share it.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The link that serves what begins now.
    pub(crate) fn link(&self) -> Arc<Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Serves through this generation of the provider from now on. It begins with a clean record
    /// and with slots of its own: those of the old one may be taken by work that never ends.
    pub(crate) fn renew(&self, provider: &Arc<Provider>) {
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&link.provider, provider) {
            return;
        }
        *link = Link::new(provider.clone());
        self.forget_storages();
    }

    /// What is opened from now on has storages anew, as the settings have them by now.
    pub(crate) fn forget_storages(&self) {
        self.storages.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The conformance suite for a root of this instance: over a connection of its own, with the
    /// same settings and at the same rate.
    #[must_use]
    pub fn conformance(&self, root: &str) -> Suite {
        Suite::new(self.link().provider.module, self.settings.clone(), self.host.clone(), root)
    }

    /// The connection of a link; made on the first call, and again after a failure.
    pub(crate) async fn connection<'a>(&self, link: &'a Link) -> Result<&'a Connection> {
        link.connection
            .get_or_try_init(|| async {
                make_private(&self.host.cache_dir())?;
                let call = link.provider.module.connect(&self.settings, self.host.clone());
                let limit = self.connect_within;
                let connected = tokio::time::timeout(limit, call).await.map_err(|_| {
                    let limit = limit.as_secs();
                    Error::new(ErrorKind::Timeout, format!("no connection within {limit} s"))
                })?;
                if connected.is_ok() {
                    tracing::debug!(instance = self.key, "connected");
                }
                connected
            })
            .await
    }

    /// The storage that a root lies on. The first site that opens it says how wide it is.
    pub(crate) fn storage(&self, info: &RootInfo, site: &settings::Site) -> Arc<Storage> {
        let slots_hint = self.link().provider.description.slots;
        let mut storages = self.storages.lock().unwrap_or_else(PoisonError::into_inner);
        let storage = storages
            .entry(info.storage_id.clone())
            .or_insert_with(|| {
                let width = site.slots.unwrap_or(slots_hint).max(1) as usize;
                Arc::new(Storage {
                    id: info.storage_id.clone(),
                    health: Health::hurried(self.limits.hurry),
                    account: self.accounts.of(&site.provider, info, self.limits.hurry),
                    width,
                    sites: Mutex::default(),
                    slots: Slots::new(width),
                    bandwidth: Rate::new(site.bandwidth.map(|bytes| bytes as f64)),
                })
            })
            .clone();
        let mut sites = storage.sites.lock().unwrap_or_else(PoisonError::into_inner);
        sites.insert(site.name.clone());
        drop(sites);
        storage
    }

    /// How the storages beneath fare.
    pub(super) fn health(&self, now: Instant) -> Vec<StorageHealth> {
        let storages = self.storages.lock().unwrap_or_else(PoisonError::into_inner);
        let report = |storage: &Arc<Storage>| {
            let sites = storage.sites.lock().unwrap_or_else(PoisonError::into_inner);
            StorageHealth {
                sites: sites.iter().cloned().collect(),
                instance: self.key.clone(),
                storage: storage.id.clone(),
                parked: storage.parked(now).map(Into::into),
            }
        };
        storages.values().map(report).collect()
    }
}

/// Makes a folder that only this user can enter.
fn make_private(folder: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| {
        Error::from(error).context(format!("cannot make the cache folder {}", folder.display()))
    })
}
