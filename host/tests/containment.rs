//! What the real binary would take too long to show of a provider that misbehaves: listings without
//! an end, within limits that a test can reach, and pauses that grow. The plug-in is the real one.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sitesync::catalog::Sqlite;
use sitesync::engine::clock::{Dice, HostTime, SystemClock};
use sitesync::engine::{Engine, Summary};
use sitesync::plugins::{Options, Plugins};
use sitesync::settings::{Context, Settings};
use sitesync::sites::{Limits, Sites};
use sitesync_provider::ErrorKind;
use sitesync_tests::bench::until;
use tempfile::TempDir;

/// Two sites of the plug-in, `good` and `bad`, and what a host stands on.
struct Place {
    folder: TempDir,
    settings: Settings,
    sites: Arc<Sites>,
    engine: Engine,
    _stop: tokio::sync::watch::Sender<bool>,
}

impl Place {
    /// `active` is the site that the files come from; the fault is that of `bad`.
    fn new(active: &str, fault: &str, limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["good", "bad", "providers", "state"] {
            std::fs::create_dir(path(name)).unwrap();
        }
        chmod(&path("providers"), 0o755);
        chmod(&path("state"), 0o700);
        let library = path("providers").join("libmisbehaving.so");
        std::fs::copy(sitesync_tests::plugin("misbehaving").unwrap(), &library).unwrap();
        chmod(&library, 0o644);
        for name in ["a.exr", "shot/b.exr", "shot/c.exr", "other/d.exr"] {
            let path = path(active).join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        }
        let other = if active == "good" { "bad" } else { "good" };
        let text = format!(
            "[sync]\nsettle = \"0s\"\nretry_count = 1\n\
             [sites.good]\nprovider = \"misbehaving\"\naccount = \"good\"\nroot.work = {:?}\n\
             [sites.bad]\nprovider = \"misbehaving\"\naccount = \"bad\"\nroot.work = {:?}\n{fault}\n\
             [projects.demo]\nactive_site = \"{active}\"\nremote_site = \"{other}\"\n",
            path("good"),
            path("bad"),
        );
        let loaded = Settings::parse(&text, "test.toml", &Context::from_process()).unwrap();
        let probe: PathBuf = env!("CARGO_BIN_EXE_sitesync").into();
        let options = Options::new(vec![path("providers")], path("state").join("plugins"))
            .probe(probe, Duration::from_secs(10));
        let plugins = Arc::new(Plugins::open(options));
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let cache = path("state").join("cache");
        let site_id = "test-site".to_owned();
        let sites = Sites::new(plugins, &loaded.settings, site_id, cache, stopped.clone());
        let sites = Arc::new(sites.limits(limits));
        let time = Arc::new(HostTime::new(Box::new(SystemClock::default()), 0));
        let dice = Arc::new(Dice::seeded(1));
        let engine = Engine::new(
            Sqlite::open(&path("state")).unwrap(),
            sites.clone(),
            time,
            dice,
            vec![path("state")],
            stopped,
        );
        Place { folder, settings: loaded.settings, sites, engine, _stop: stop }
    }

    async fn sync(&self) -> Summary {
        let all = self.settings.projects.values().cloned().collect();
        self.engine.sync(all).await.unwrap()
    }

    fn has(&self, path: &str) -> bool {
        self.folder.path().join(path).exists()
    }
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

fn narrow() -> Limits {
    let mut limits = Limits::all(Duration::from_secs(20));
    limits.entries = 5000;
    limits.folders = 500;
    limits
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_without_an_end() {
    for (fault, only, words) in [
        ("endless_names", "shot", "'shot' has more than 5000 names"),
        ("endless_names", "", "'' has more than 5000 names"),
        ("endless_folders", "", "there are more than 500 folders"),
        ("endless_depth", "", "there are more than 500 folders"),
        ("empty_pages", "", "1000 pages in a row are empty"),
        ("no_pages", "", "has no end"),
    ] {
        for capable in [false, true] {
            let what = format!("{fault} {only} {capable}");
            let text = format!("fault = \"{fault}\"\nonly = \"{only}\"\ncapable = {capable}");
            if capable && fault == "endless_depth" || !capable && fault == "endless_folders" {
                // A tree is listed by the provider, and folders by the host.
                continue;
            }
            let place = Place::new("bad", &text, narrow());
            let summary = place.sync().await;
            let told = format!("{:?} {:?}", summary.offline, summary.notes);
            assert!(told.contains(words) && told.contains("misbehaving"), "{what}: {summary:#?}");
            if only == "shot" && !capable {
                assert!(summary.offline.is_empty(), "{what}: {summary:#?}");
                assert!(place.has("good/a.exr") && place.has("good/other/d.exr"), "{what}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_keeps_failing_is_left_alone_for_longer_and_longer() {
    let fault = "fault = \"error\"\nkind = \"StorageFull\"\ncall = \"write\"\nonly = \".exr\"";
    let place = Place::new("good", fault, Limits::default());
    let root = place.folder.path().join("bad");
    let open = place.sites.open("bad", root.to_str().unwrap()).await.unwrap();
    let storage = open.storage.clone();
    assert!(place.sites.health().iter().all(|one| one.parked.is_none()));
    let mut pauses = Vec::new();
    for times in 1..=2 {
        let summary = place.sync().await;
        let [(project, fault)] = &summary.offline[..] else { panic!("{summary:#?}") };
        assert_eq!((project.as_str(), fault.kind), ("demo", ErrorKind::StorageFull));
        assert!(fault.message.starts_with("left alone until 20"), "{fault:?}");
        assert!(fault.message.ends_with(": on purpose"), "{fault:?}");
        let now = Instant::now();
        let parked = storage.parked(now).expect("it is parked");
        pauses.push(parked.until - now);
        let health = place.sites.health();
        let bad = health.iter().find(|one| one.sites == ["bad"]).expect("its health");
        let report = bad.parked.as_ref().expect("parked");
        assert_eq!((report.kind.as_str(), report.times), ("StorageFull", times));
        assert!(serde_json::to_string(&health).unwrap().contains("\"until\":\"20"));
        if times == 1 {
            until("the first pause ends", || storage.parked(Instant::now()).is_none());
        }
    }
    // 5 s and 10 s, less what it took to look.
    assert!(pauses[1] > pauses[0], "{pauses:?}");
}
