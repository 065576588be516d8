//! Sites and what stands behind them.
//!
//! A site is a name in the settings; behind it stands a provider **instance**, shared by all sites
//! whose provider and `connection` settings are equal (one connection, one token, one request
//! limiter). Beneath an instance lie **storages**: slots, breaker and health belong to these, so
//! that a hung mount stops itself and no other disk. An [`OpenRoot`] is one root of a project at a
//! site: every provider call goes through it, and gets its layers there: path checks, timeouts,
//! slots, bandwidth, health.
//!
//! Invariants: connected on first use only. A provider never retries, sleeps or throttles: that
//! happens here and in the engine. Nothing here knows the catalog.

mod breaker;
mod identity;
mod instance;
mod layers;
mod limits;
mod listing;
mod open_root;
mod operation;
mod rate;
mod slots;
mod sound;
pub mod trash;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use sitesync_provider::ErrorKind;

pub(crate) use breaker::is_site_fault;
pub use breaker::{Health, Parked, ParkedReport, StorageHealth};
pub use identity::{Identity, establish, is_another_root, read_identity, recognise};
pub use instance::{Instance, Storage};
pub use limits::Limits;
pub use listing::{Listed, Listing};
pub use open_root::{Capability, OpenRoot, Reading, Writing};
pub use operation::Operation;
pub use slots::Slot;

use crate::plugins::{Plugins, Provider, Refusal};
use crate::settings;

/// Why a site cannot be used right now. `Display` is a sentence for a person.
#[derive(Debug, Clone)]
pub struct Fault {
    /// The site.
    pub site: String,
    /// What kind of trouble it is.
    pub kind: ErrorKind,
    /// What was tried and what came of it.
    pub message: String,
    /// What to do, where there is something.
    pub hint: Option<String>,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "site '{}': {}", self.site, self.message)
    }
}

impl std::error::Error for Fault {}

impl Fault {
    /// A fault of this site, from what its provider answered.
    #[must_use]
    pub fn new(site: &str, error: &sitesync_provider::Error) -> Self {
        let hint = match error.kind() {
            ErrorKind::RootUnavailable if is_another_root(error) => Some(format!(
                "mount the disk that was here; if this one is meant, run `sitesync sites adopt \
                 {site}`"
            )),
            // A service has a code of its own for it, and says what to do.
            ErrorKind::RootUnavailable if is_a_disks(error) => Some(
                "is the disk mounted? A root is never created by sitesync: create the folder \
                 yourself if it is meant to be new"
                    .to_owned(),
            ),
            ErrorKind::Unauthenticated => Some("check the site's credentials".to_owned()),
            ErrorKind::StorageFull => Some("make room on the storage".to_owned()),
            ErrorKind::ReadOnly => Some("mount it so that it can be written".to_owned()),
            ErrorKind::PermissionDenied => {
                Some("give the service's user access to the root".to_owned())
            }
            ErrorKind::InvalidSettings => Some(format!("correct [sites.{site}] in the settings")),
            _ => None,
        };
        // Errors of an open root begin with the site's name, as this does by itself.
        let prefix = layers::prefix(site);
        let message = error.message();
        Fault {
            site: site.to_owned(),
            kind: error.kind(),
            message: message.strip_prefix(&prefix).unwrap_or(message).to_owned(),
            hint,
        }
    }
}

/// True for an error that does not come from a service.
fn is_a_disks(error: &sitesync_provider::Error) -> bool {
    error.code().is_empty() || error.code().starts_with("os error")
}

/// The site that is on this machine's own disks.
pub const LOCAL: &str = "local";

impl Fault {
    /// Says where the setting stands that the provider names in backticks, if it names one.
    fn pointing_into(mut self, site: &settings::Site) -> Self {
        let named = |key: &str| self.message.contains(&format!("`{key}`"));
        if self.kind == ErrorKind::InvalidSettings
            && let Some((key, place)) = site.places.iter().find(|(key, _)| named(key))
        {
            self.hint = Some(format!("correct `{key}` of [sites.{}]: {place}", site.name));
        }
        self
    }
}

/// All sites of this host.
#[derive(Debug)]
pub struct Sites {
    plugins: Arc<Plugins>,
    configured: RwLock<HashMap<String, Arc<settings::Site>>>,
    instances: Mutex<HashMap<String, Arc<Instance>>>,
    /// By name of a provider: what was last found under it.
    served: Mutex<HashMap<String, Build>>,
    replaced: tokio::sync::watch::Sender<u64>,
    /// This machine's site id, or what the settings call it instead.
    own_name: String,
    ground: Arc<Ground>,
}

/// What instances get from this host.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) site_id: String,
    pub(crate) cache: PathBuf,
    pub(crate) stop: tokio::sync::watch::Receiver<bool>,
    pub(crate) limits: Limits,
    pub(crate) accounts: Arc<instance::Accounts>,
}

impl Sites {
    /// The sites of these settings. Connects to none of them.
    ///
    /// `site_id` is the one that the state folder keeps: providers name temporaries after it, which
    /// are found again whatever the settings call this machine. `cache` is a folder in which each instance gets one of its own; `stop` turns true when the
    /// host goes down.
    #[must_use]
    pub fn new(
        plugins: Arc<Plugins>,
        settings: &settings::Settings,
        site_id: String,
        cache: PathBuf,
        stop: tokio::sync::watch::Receiver<bool>,
    ) -> Self {
        Sites {
            plugins,
            configured: RwLock::new(configured(settings)),
            instances: Mutex::default(),
            served: Mutex::default(),
            replaced: tokio::sync::watch::Sender::default(),
            own_name: settings.host.site_id.clone().unwrap_or_else(|| site_id.clone()),
            ground: Arc::new(Ground {
                site_id,
                cache,
                stop,
                limits: Limits::default(),
                accounts: Arc::default(),
            }),
        }
    }

    /// See [`Limits::hurry`].
    #[must_use]
    pub(crate) fn hurry(&self) -> u32 {
        self.ground.limits.hurry.max(1)
    }

    /// Other limits on how long a site may take. For sites that were not used yet.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        if let Some(ground) = Arc::get_mut(&mut self.ground) {
            ground.limits = limits;
        }
        self
    }

    /// The instance behind a site, connected or not; made on the first call.
    pub fn instance(&self, site: &str) -> Result<Arc<Instance>, Fault> {
        self.instance_for(site, &Own::new())
    }

    /// Likewise, with settings of a project's own in the place of the site's.
    pub fn instance_for(&self, site: &str, own: &Own) -> Result<Arc<Instance>, Fault> {
        self.instance_of(&with(self.configured(site)?, own))
    }

    fn instance_of(&self, configured: &settings::Site) -> Result<Arc<Instance>, Fault> {
        let site = &configured.name;
        let found = self.plugins.get(&configured.provider);
        self.lock_served().entry(configured.provider.clone()).or_insert_with(|| build(&found));
        let provider = found.map_err(|refusal| Fault {
            site: site.clone(),
            kind: ErrorKind::InvalidSettings,
            message: refusal.to_string(),
            hint: Some("`sitesync providers` shows what was found and why it was refused".into()),
        })?;
        let key = instance::key(configured, &provider.description);
        let mut instances = self.lock_instances();
        if let Some(instance) = instances.get(&key) {
            instance.renew(&provider);
            return Ok(instance.clone());
        }
        let made = Instance::new(&key, configured, provider, &self.ground);
        instances.insert(key, made.clone());
        Ok(made)
    }

    /// How every storage fares that was opened so far, and why it is left alone if it is.
    #[must_use]
    pub fn health(&self) -> Vec<StorageHealth> {
        let now = std::time::Instant::now();
        let instances = self.lock_instances();
        let mut health: Vec<_> = instances.values().flat_map(|one| one.health(now)).collect();
        health.sort_by(|a, b| (&a.sites, &a.storage).cmp(&(&b.sites, &b.storage)));
        health
    }

    /// Connects a site, with settings of a project's own in the place of the site's, and opens no
    /// root of it.
    pub async fn connect_for(&self, site: &str, own: &Own) -> Result<Arc<Instance>, Fault> {
        let configured = with(self.configured(site)?, own);
        let instance = tokio::task::block_in_place(|| self.instance_of(&configured))?;
        let link = instance.link();
        let connected = instance.connection(&link).await.map(drop);
        connected.map_err(|error| {
            let error = error.context(layers::who(&configured));
            Fault::new(site, &error).pointing_into(&configured)
        })?;
        Ok(instance)
    }

    /// Opens a root of a site: connects on first use, and asks what the root is.
    pub async fn open(&self, site: &str, root: &str) -> Result<Arc<OpenRoot>, Fault> {
        self.open_for(site, &Own::new(), root).await
    }

    /// Likewise, with settings of a project's own in the place of the site's.
    pub async fn open_for(
        &self,
        site: &str,
        own: &Own,
        root: &str,
    ) -> Result<Arc<OpenRoot>, Fault> {
        let configured = with(self.configured(site)?, own);
        // The first use of a provider loads it, which may take as long as a trial.
        let instance = tokio::task::block_in_place(|| self.instance_of(&configured))?;
        let opened = OpenRoot::open(&instance, &configured, root).await;
        opened.map(Arc::new).map_err(|error| Fault::new(site, &error).pointing_into(&configured))
    }

    /// The name under which the catalog keeps a site. It is the site's own, but for `local`: every
    /// machine has one, so it goes by this machine's site id, as other machines know it.
    #[must_use]
    pub fn catalog_name<'a>(&'a self, site: &'a str) -> &'a str {
        if site == LOCAL { &self.own_name } else { site }
    }

    /// True if what begins at this root's site now would be done as through this root: with the
    /// same settings, and through the same generation of the provider.
    #[must_use]
    pub fn is_current(&self, root: &OpenRoot, own: &Own) -> bool {
        let Ok(now) = self.configured(&root.site).map(|now| with(now, own)) else { return false };
        same(&now, root.configured())
            && tokio::task::block_in_place(|| self.instance_of(&now))
                .is_ok_and(|instance| root.goes_through(&instance.link()))
    }

    /// The sites of other settings count from now on; whoever waits for [`Sites::replaced`] is told.
    /// A site whose connection stays as it was keeps it. May block, as `instance` may.
    pub fn reconfigure(&self, settings: &settings::Settings) {
        let now = configured(settings);
        let before = {
            let mut configured = self.configured.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *configured, now.clone())
        };
        for (name, before) in before {
            if now.get(&name).is_some_and(|now| same(now, &before)) {
                continue;
            }
            let Ok(provider) = self.plugins.get(&before.provider) else { continue };
            let key = instance::key(&before, &provider.description);
            let mut instances = self.lock_instances();
            let rate = now.get(&name).and_then(|now| now.requests_per_second);
            if rate != before.requests_per_second {
                // The limiter is the connection's own.
                instances.remove(&key);
            } else if let Some(instance) = instances.get(&key) {
                instance.forget_storages();
            }
        }
        self.replaced.send_modify(|times| *times += 1);
    }

    /// The plug-ins that stand behind the sites.
    #[must_use]
    pub fn plugins(&self) -> &Plugins {
        &self.plugins
    }

    /// Looks at the plug-in folders once more; whoever waits for [`Sites::replaced`] is told if the
    /// name of a provider that was asked for stands for something else by now. Blocks for as long
    /// as it takes to load that.
    pub fn look_again(&self) {
        self.plugins.look_again();
        let before = self.lock_served().clone();
        let now = before.keys().map(|name| (name.clone(), build(&self.plugins.get(name))));
        let now: HashMap<String, Build> = now.collect();
        if now != before {
            self.lock_served().extend(now);
            self.replaced.send_modify(|times| *times += 1);
        }
        self.plugins.retire();
    }

    /// Changes whenever a provider that was asked for came, was replaced or went, and when the
    /// settings of sites changed.
    #[must_use]
    pub fn replaced(&self) -> tokio::sync::watch::Receiver<u64> {
        self.replaced.subscribe()
    }

    fn configured(&self, site: &str) -> Result<Arc<settings::Site>, Fault> {
        let configured = self.configured.read().unwrap_or_else(PoisonError::into_inner);
        configured.get(site).cloned().ok_or_else(|| Fault {
            site: site.to_owned(),
            kind: ErrorKind::InvalidSettings,
            message: "there is no such site in the settings".to_owned(),
            hint: Some(format!("add a [sites.{site}] with a provider and a root")),
        })
    }

    fn lock_instances(&self) -> MutexGuard<'_, HashMap<String, Arc<Instance>>> {
        self.instances.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_served(&self) -> MutexGuard<'_, HashMap<String, Build>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A project's own settings of a provider.
pub type Own = serde_json::Map<String, serde_json::Value>;

/// A site with these settings in the place of its own.
fn with(site: Arc<settings::Site>, own: &Own) -> Arc<settings::Site> {
    if own.is_empty() {
        return site;
    }
    let mut site = settings::Site::clone(&site);
    site.settings.extend(own.clone());
    Arc::new(site)
}

fn configured(settings: &settings::Settings) -> HashMap<String, Arc<settings::Site>> {
    settings.sites.iter().map(|(name, site)| (name.clone(), Arc::new(site.clone()))).collect()
}

/// True if nothing that matters here is different: roots are the projects', and where something
/// stands in a file makes no difference.
fn same(a: &settings::Site, b: &settings::Site) -> bool {
    let bare = |site: &settings::Site| {
        let mut site = site.clone();
        site.roots.clear();
        site.span = None;
        site.key_spans.clear();
        site.places.clear();
        site
    };
    bare(a) == bare(b)
}

/// Which build of a provider its name stands for; `None` if none does.
type Build = Option<String>;

fn build(found: &Result<Arc<Provider>, Refusal>) -> Build {
    found.as_ref().ok().map(|provider| provider.sha256.clone().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_a_provider_refuses_is_pointed_at() {
        let text = "[sites.nas]\nprovider = \"x\"\nport = 0";
        let context = settings::Context::from_process();
        let loaded = settings::Settings::parse(text, "sitesync.toml", &context).expect("right");
        let hint = |kind, message: &str| {
            let error = sitesync_provider::Error::new(kind, message);
            Fault::new("nas", &error).pointing_into(&loaded.settings.sites["nas"]).hint
        };
        let named = hint(ErrorKind::InvalidSettings, "`port` is taken");
        assert_eq!(named.as_deref(), Some("correct `port` of [sites.nas]: sitesync.toml:3:1"));
        let unnamed = hint(ErrorKind::InvalidSettings, "no port");
        assert_eq!(unnamed.as_deref(), Some("correct [sites.nas] in the settings"));
        assert_eq!(hint(ErrorKind::Unexpected, "`port` is taken"), None);
    }
}
