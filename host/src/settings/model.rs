//! The effective settings: what the rest of the program works with.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use super::paths::Paths;
use super::source::Span;
use crate::publish::{DEFAULTS, Templates, name_matches};

/// The settings of one host, checked as a whole.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// The switch for everything.
    pub enabled: bool,
    /// This host.
    pub host: Host,
    /// Where providers come from.
    pub plugins: Plugins,
    /// Every project's defaults.
    pub sync: Sync,
    /// Full paths of folders in which every folder is a project, whose names are to be given to
    /// [`Loaded::with_folders`](super::Loaded::with_folders). None where projects are listed only.
    pub folders: Vec<PathBuf>,
    /// By name; `studio` and `local` are always there.
    pub sites: BTreeMap<String, Site>,
    /// By name.
    pub projects: BTreeMap<String, Project>,
}

impl Settings {
    /// Works out what follows for its projects from all sites together.
    pub(super) fn link(&mut self) {
        let alternatives: BTreeMap<String, BTreeSet<String>> =
            self.sites.keys().map(|name| (name.clone(), self.alternatives(name))).collect();
        for project in self.projects.values_mut() {
            for (name, site) in &mut project.sites {
                site.alternatives = alternatives.get(name).cloned().unwrap_or_default();
            }
            project.pairs = project.possible_pairs();
            project.pairs.retain(|pair| pair.iter().any(|site| self.host.serves_site(site)));
        }
    }

    /// Returns the sites that are the same storage as this one, seen another way, without the site
    /// itself: those that it names, those that name it, and theirs.
    #[must_use]
    pub fn alternatives(&self, site: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut left = vec![site];
        while let Some(one) = left.pop() {
            for (name, other) in &self.sites {
                let named = |by: &Site, name: &str| by.alternative_sites.iter().any(|n| n == name);
                let linked =
                    named(other, one) || self.sites.get(one).is_some_and(|by| named(by, name));
                if linked && name != site && found.insert(name.clone()) {
                    left.push(name);
                }
            }
        }
        found
    }
}

/// The running program on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Host {
    /// Where the HTTP API listens.
    pub listen: SocketAddr,
    /// Sites that it acts for besides `local`; `*` for all. [`Host::serves_site`] asks.
    pub serves: Vec<String>,
    /// The name under which other machines see this machine's site; `None` for the one that the
    /// state folder keeps.
    pub site_id: Option<String>,
}

impl Default for Host {
    fn default() -> Self {
        Host {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7788)),
            serves: vec!["*".into()],
            site_id: None,
        }
    }
}

impl Host {
    /// Whether this host acts for a site.
    #[must_use]
    pub fn serves_site(&self, site: &str) -> bool {
        site == "local" || self.serves.iter().any(|name| name == "*" || name == site)
    }
}

/// Where providers come from, and which may run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plugins {
    /// Plug-in folders, full paths, in the order of their precedence; none for the built-in choice.
    pub folders: Vec<PathBuf>,
    /// Whom to believe.
    pub trust: Trust,
}

/// Which plug-ins may run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Trust {
    /// All that only root or the service's user can have written.
    #[default]
    Owner,
    /// Of these, only those whose content was admitted.
    Pinned,
}

/// Which files travel in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Travel {
    /// All.
    All,
    /// Those that somebody asked for.
    Requested,
}

/// How thoroughly a finished transfer is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// By size, and by checksum where the destination has one.
    Auto,
    /// By reading back.
    Full,
}

/// What becomes of a file of which both ends have new content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Conflicts {
    /// It stays a conflict until somebody says which is to be kept.
    #[default]
    Ask,
    /// The active site's is kept.
    ActiveWins,
    /// The remote site's is kept.
    RemoteWins,
    /// The one with the later modification time is kept.
    Newest,
    /// Both are kept, one of them under another name.
    KeepBoth,
}

/// Whether a file that was deleted at one site is deleted at the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Deletes {
    /// It stays where it is.
    #[default]
    Keep,
    /// It goes to the trash there.
    Propagate,
}

/// How much one pass may delete or overwrite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// Files; 0 for no guard.
    pub files: u32,
    /// Of the project's files: 0 to 100.
    pub percent: u32,
}

impl Default for Guard {
    fn default() -> Self {
        Guard { files: 100, percent: 10 }
    }
}

impl Guard {
    /// Whether a pass that would touch this many of a project's files has to stop: it is more than
    /// both bounds allow.
    #[must_use]
    pub fn stops(&self, files: u64, of: u64) -> bool {
        self.files > 0 && files > self.most(of)
    }

    /// How many of a project's files may be touched: as many as either bound allows.
    #[must_use]
    pub fn most(&self, of: u64) -> u64 {
        u64::from(self.files).max(of.saturating_mul(u64::from(self.percent)) / 100)
    }
}

/// Every project's defaults; the words are those of [`Project`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs)]
pub struct Sync {
    pub enabled: bool,
    pub retry_count: u32,
    pub loop_delay: Duration,
    pub rescan: Duration,
    pub settle: Duration,
    pub active_site: String,
    pub remote_site: String,
    pub upload: Travel,
    pub download: Travel,
    pub verify: Verify,
    pub priority: u16,
    pub exclude: Vec<String>,
    pub always_accessible_on: Vec<String>,
    pub representations: Vec<String>,
    pub conflicts: Conflicts,
    pub deletes: Deletes,
    pub max_delete: Guard,
    pub max_change: Guard,
    pub keep_replaced: Duration,
    pub watch: bool,
}

impl Default for Sync {
    fn default() -> Self {
        Sync {
            enabled: true,
            retry_count: 3,
            loop_delay: Duration::from_secs(60),
            rescan: Duration::from_secs(600),
            settle: Duration::from_secs(10),
            active_site: "studio".into(),
            remote_site: "studio".into(),
            upload: Travel::All,
            download: Travel::Requested,
            verify: Verify::Auto,
            priority: 50,
            exclude: Vec::new(),
            always_accessible_on: Vec::new(),
            representations: DEFAULTS.map(str::to_owned).to_vec(),
            conflicts: Conflicts::default(),
            deletes: Deletes::default(),
            max_delete: Guard::default(),
            max_change: Guard::default(),
            keep_replaced: Duration::from_secs(7 * 86_400),
            watch: true,
        }
    }
}

/// A named location.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Site {
    /// As in `[sites.NAME]`.
    pub name: String,
    /// The provider's id: `local_drive`.
    pub provider: String,
    /// False: nothing goes to it or comes from it, in any project.
    pub enabled: bool,
    /// By root name: this platform's path, with its variables still in it. What a project uses
    /// is [`Project::roots`].
    pub roots: BTreeMap<String, String>,
    /// How many transfers may run at once; `None` for what the provider suggests.
    pub slots: Option<u32>,
    /// `None` for what the provider suggests.
    pub requests_per_second: Option<f64>,
    /// Bytes a second; `None` for no limit.
    pub bandwidth: Option<u64>,
    /// Every root must be on another device than the folder above it.
    pub mounted: bool,
    /// How long a call may be silent: 1 s to 1 h; `None` for the host's own limit.
    pub timeout: Option<Duration>,
    /// Sites that are the same storage, seen another way, as written; [`Settings::alternatives`]
    /// asks. They exist.
    pub alternative_sites: Vec<String>,
    /// All other keys, variables filled in and path tables resolved: the provider's business.
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// The name in `[sites.NAME]`; `None` for a site that was not configured.
    pub span: Option<Span>,
    /// Where each key of `settings` stands.
    pub key_spans: BTreeMap<String, Span>,
    /// The same in words: `sitesync.toml:3:1`.
    pub places: BTreeMap<String, String>,
}

// Not derived: `settings` may hold a password.
impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site")
            .field("name", &self.name)
            .field("provider", &self.provider)
            .field("enabled", &self.enabled)
            .field("roots", &self.roots)
            .field("slots", &self.slots)
            .field("requests_per_second", &self.requests_per_second)
            .field("bandwidth", &self.bandwidth)
            .field("mounted", &self.mounted)
            .field("timeout", &self.timeout)
            .field("alternative_sites", &self.alternative_sites)
            .field("settings", &self.settings.keys())
            .finish_non_exhaustive()
    }
}

impl Site {
    /// Returns a site of which nothing was read yet: on this machine's disks, without roots.
    pub(super) fn built_in(name: &str) -> Self {
        Site {
            name: name.into(),
            provider: "local_drive".into(),
            enabled: true,
            roots: BTreeMap::new(),
            slots: None,
            requests_per_second: None,
            bandwidth: None,
            mounted: false,
            timeout: None,
            alternative_sites: Vec::new(),
            settings: serde_json::Map::new(),
            span: None,
            key_spans: BTreeMap::new(),
            places: BTreeMap::new(),
        }
    }
}

/// The unit of configuration and of orchestration.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Project {
    /// As in `[projects.NAME]`; what `{project}` stands for.
    pub name: String,
    /// False: nothing is done for it.
    pub enabled: bool,
    /// How often a file is tried, all tries counted, before it is given up: 0 to 1000.
    pub retry_count: u32,
    /// How often the active site is scanned; at least 1 s.
    pub loop_delay: Duration,
    /// How often the remote site is scanned, where its feed does not do it; at least 1 s.
    pub rescan: Duration,
    /// How long a scanned file must have been quiet; may be 0.
    pub settle: Duration,
    /// One end of the sync pair. Exists.
    pub active_site: String,
    /// The other end. Exists. Equal ends: nothing to do.
    pub remote_site: String,
    /// What goes from the active to the remote site.
    pub upload: Travel,
    /// What comes from the remote to the active site.
    pub download: Travel,
    /// How a transfer is checked.
    pub verify: Verify,
    /// Of its files, unless they have their own: 1 to 1000, higher first.
    pub priority: u16,
    /// Patterns of file names that are left out; [`Project::excludes`] asks.
    pub exclude: Vec<String>,
    /// Sites where everything published must arrive eventually. They exist.
    pub always_accessible_on: Vec<String>,
    /// Templates of paths, which [`Templates`](crate::publish::Templates) takes: what belongs
    /// together. None: files are grouped by folder.
    pub representations: Vec<String>,
    /// What becomes of files of which both ends have new content.
    pub conflicts: Conflicts,
    /// Whether deletes travel.
    pub deletes: Deletes,
    /// How many files one pass may delete.
    pub max_delete: Guard,
    /// How many files one pass may overwrite.
    pub max_change: Guard,
    /// How long the trash keeps what was replaced or deleted; 0 for no trash.
    pub keep_replaced: Duration,
    /// Whether changes on sites with a local path are watched for, and not only scanned for.
    pub watch: bool,
    /// How this project sees each of the sites, all of them.
    pub sites: BTreeMap<String, ProjectSite>,
    /// Sites between which this host brings its files: the active and the remote one first, then
    /// those of `always_accessible_on`. Both ends of each are switched on, this host acts for one of
    /// them, and they are not the same storage.
    pub pairs: Vec<[String; 2]>,
    /// The name in `[projects.NAME]`.
    pub span: Span,
}

/// A site as one project sees it.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProjectSite {
    /// The site is enabled, and this project did not switch it off for itself.
    pub enabled: bool,
    /// By root name: the path, all variables filled in. For a site that the project's sync does
    /// not involve, a root may be missing because its variables are not set on this machine.
    pub roots: Paths,
    /// The provider's own settings that the project has in the place of the site's.
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// Other sites that are the same storage.
    pub alternatives: BTreeSet<String>,
}

// Not derived: `settings` may hold a password.
impl fmt::Debug for ProjectSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("ProjectSite");
        shown.field("enabled", &self.enabled).field("roots", &self.roots);
        if !self.settings.is_empty() {
            shown.field("settings", &self.settings.keys());
        }
        shown.finish()
    }
}

static NO_ROOTS: LazyLock<Paths> = LazyLock::new(Paths::default);
static NO_SITES: BTreeSet<String> = BTreeSet::new();
static NO_SETTINGS: LazyLock<serde_json::Map<String, serde_json::Value>> =
    LazyLock::new(serde_json::Map::new);

impl Project {
    /// Returns a project with these values and no sites yet.
    pub(super) fn new(name: String, span: Span, sync: Sync) -> Self {
        // Taken apart, so that a setting that is added to one and not to the other is noticed.
        let Sync {
            enabled,
            retry_count,
            loop_delay,
            rescan,
            settle,
            active_site,
            remote_site,
            upload,
            download,
            verify,
            priority,
            exclude,
            always_accessible_on,
            representations,
            conflicts,
            deletes,
            max_delete,
            max_change,
            keep_replaced,
            watch,
        } = sync;
        Project {
            name,
            enabled,
            retry_count,
            loop_delay,
            rescan,
            settle,
            active_site,
            remote_site,
            upload,
            download,
            verify,
            priority,
            exclude,
            always_accessible_on,
            representations,
            conflicts,
            deletes,
            max_delete,
            max_change,
            keep_replaced,
            watch,
            sites: BTreeMap::new(),
            pairs: Vec::new(),
            span,
        }
    }

    /// Pairs of its sites between which files travel, whoever acts for them.
    fn possible_pairs(&self) -> Vec<[String; 2]> {
        let mut pairs: Vec<[String; 2]> = Vec::new();
        let mut add = |a: &String, b: &String| {
            let alike = a == b || self.alternatives(a).contains(b);
            let known = pairs.iter().any(|pair| pair.contains(a) && pair.contains(b));
            if !alike && !known && self.site_enabled(a) && self.site_enabled(b) {
                pairs.push([a.clone(), b.clone()]);
            }
        };
        if !self.enabled {
            return Vec::new();
        }
        add(&self.active_site, &self.remote_site);
        for site in &self.always_accessible_on {
            add(&self.active_site, site);
            if self.download == Travel::Requested {
                // What never comes to the active site gets there all the same.
                add(&self.remote_site, site);
            }
        }
        pairs
    }

    /// Returns the sites that it is about: the active and the remote one, and whatever else its pairs
    /// name.
    #[must_use]
    pub fn sites_in_use(&self) -> Vec<&str> {
        let mut sites: Vec<&str> = vec![&self.active_site];
        for site in std::iter::once(&self.remote_site).chain(self.pairs.iter().flatten()) {
            if !sites.contains(&site.as_str()) {
                sites.push(site);
            }
        }
        sites
    }

    /// Returns the other sites that are the same storage as this one.
    #[must_use]
    pub fn alternatives(&self, site: &str) -> &BTreeSet<String> {
        self.sites.get(site).map_or(&NO_SITES, |site| &site.alternatives)
    }

    /// Returns what belongs together in it, by its `representations`, which were checked when they
    /// were read.
    #[must_use]
    pub fn templates(&self) -> Templates {
        Templates::compile(&self.representations).unwrap_or_default()
    }

    /// Returns the project's folders at a site, by root name: paths with all variables filled in.
    #[must_use]
    pub fn roots(&self, site: &str) -> &Paths {
        self.sites.get(site).map_or(&NO_ROOTS, |site| &site.roots)
    }

    /// Returns the provider's own settings that the project has at a site in the place of the site's.
    #[must_use]
    pub fn site_settings(&self, site: &str) -> &serde_json::Map<String, serde_json::Value> {
        self.sites.get(site).map_or(&NO_SETTINGS, |site| &site.settings)
    }

    /// Whether the project may use a site.
    #[must_use]
    pub fn site_enabled(&self, site: &str) -> bool {
        self.sites.get(site).is_some_and(|site| site.enabled)
    }

    /// Whether files of this name are left out.
    #[must_use]
    pub fn excludes(&self, file_name: &str) -> bool {
        self.exclude.iter().any(|pattern| name_matches(pattern, file_name))
    }
}
