//! Pauses while something is under way, on a host in this very process: what it is told counts at
//! once.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sitesync::catalog::{
    Have, Job, JobState, Pause, QueueFilter, QueueRow, RepresentationId, Scope, Sqlite,
};
use sitesync::engine::clock::{Dice, HostTime, SystemClock};
use sitesync::engine::{Engine, Summary};
use sitesync::plugins::{Options, Plugins};
use sitesync::settings::{Context, Settings};
use sitesync::sites::Sites;
use sitesync_tests::bench::Bench;
use sitesync_tests::studio::program;

/// Bytes that take a while at the speed of a slow site, and far more than a chunk.
const LARGE: usize = 24 << 20;
const CHUNK: u64 = 1 << 20;
const SLOW: &str = "bandwidth = \"8 MiB\"";
/// However slow the machine is, nothing here takes as long.
const LONG: Duration = Duration::from_secs(120);

/// A host of a bench. Its end is that of a process: the next one goes on with its catalog.
struct Host {
    engine: Engine,
    settings: Settings,
    stop: tokio::sync::watch::Sender<bool>,
}

impl Host {
    fn of(bench: &Bench) -> Self {
        let text = fs::read_to_string(bench.path("sitesync.toml")).unwrap();
        let settings = Settings::parse(&text, "sitesync.toml", &Context::from_process()).unwrap();
        let settings = settings.settings;
        let options = Options::new(vec![bench.path("providers")], bench.path("state/plugins"))
            .probe(program().unwrap().to_owned(), LONG);
        let plugins = Arc::new(Plugins::open(options));
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let cache = bench.path("state/cache");
        let sites = Sites::new(plugins, &settings, "test-site".to_owned(), cache, stopped.clone());
        let catalog = Sqlite::open(&bench.path("state")).unwrap();
        let last = catalog.read(|view| view.last_time()).unwrap();
        let time = Arc::new(HostTime::new(Box::new(SystemClock::default()), last));
        let dice = Arc::new(Dice::seeded(1));
        let engine = Engine::new(catalog, Arc::new(sites), time, dice, Vec::new(), stopped);
        Host { engine, settings, stop }
    }

    async fn sync(&self) -> Summary {
        let projects = self.settings.projects.values().cloned().collect();
        let pass = tokio::time::timeout(LONG, self.engine.sync(projects));
        pass.await.expect("the pass ends").unwrap()
    }

    /// Bytes that were moved so far.
    fn moved(&self) -> u64 {
        self.engine.progress.moved.load(Ordering::Relaxed)
    }

    async fn until_moved(&self, bytes: u64) {
        let moving = async {
            while self.moved() < bytes {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LONG, moving).await.expect("bytes are moved");
    }

    async fn pause(&self, scope: Scope) {
        let pause = Pause { scope, since: 0, by: "anna".to_owned() };
        self.engine.catalog.write(move |unit| unit.put_pause(&pause)).await.unwrap();
        self.engine.pauses.reload(&self.engine.catalog).unwrap();
    }

    async fn resume(&self, scope: Scope) {
        assert!(self.engine.catalog.write(move |unit| unit.drop_pause(&scope)).await.unwrap());
        self.engine.pauses.reload(&self.engine.catalog).unwrap();
    }

    fn queue(&self) -> Vec<QueueRow> {
        let filter = QueueFilter { limit: 99, ..QueueFilter::default() };
        let queue = self.engine.catalog.read(|view| {
            let project = view.project("demo")?.expect("it was synced");
            view.queue(project, &filter)
        });
        queue.unwrap()
    }

    /// Waits until the only file is in this state; until it is where it belongs.
    async fn until_state(&self, state: Option<JobState>) {
        let waiting = async {
            while self.queue().first().map(|row| row.job.state) != state {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LONG, waiting).await.expect("it becomes so");
    }

    /// The project, and the representation of the files beside this one.
    fn representation(&self) -> Scope {
        let scope = self.engine.catalog.read(|view| {
            let project = view.project("demo")?.expect("it was synced");
            let all = view.representations(project, RepresentationId(0), 9)?;
            let representation = all.first().map(|one| one.id);
            Ok(Scope { project: Some(project), site: None, representation })
        });
        scope.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_obeyed_within_a_chunk_and_outlives_the_host() {
    let bench = Bench::streamed(&[("sites.there", SLOW)]);
    let content = vec![7; LARGE];
    bench.write("here/large.exr", &content);
    let host = Host::of(&bench);
    let everything = Scope::default();
    let pausing = async {
        host.until_moved(2 * CHUNK).await;
        let moved = host.moved();
        host.pause(everything).await;
        moved
    };
    let (summary, moved) = tokio::join!(host.sync(), pausing);
    assert_eq!((summary.transferred, summary.failed), (0, 0), "{summary:?}");
    assert!(host.moved() < LARGE as u64, "{} of {LARGE} bytes were moved", host.moved());
    assert!(moved < LARGE as u64);
    let [note] = &summary.notes[..] else { panic!("{summary:?}") };
    assert!(note.reason.starts_with("the host is paused since"), "{note:?}");
    let queue = host.queue();
    let [QueueRow { job: Job { state, tries, token, .. }, .. }] = &queue[..] else {
        panic!("{queue:?}")
    };
    assert_eq!((*state, *tries), (JobState::Ready, 0));
    assert!(token.is_some(), "what was sent is not to be sent again");
    drop(host);

    // Another process.
    let host = Host::of(&bench);
    assert_eq!(host.sync().await.transferred, 0);
    assert_eq!((host.moved(), bench.read("there/large.exr")), (0, None));
    host.resume(everything).await;
    let summary = host.sync().await;
    assert_eq!((summary.transferred, summary.failed), (1, 0), "{summary:?}");
    assert!(host.moved() < LARGE as u64, "it goes on where it was: {}", host.moved());
    assert!(bench.bytes("there/large.exr") == content);
    assert!(bench.temporaries("there").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_representation_makes_way_for_others() {
    let bench = Bench::streamed(&[("sites.there", SLOW)]);
    bench.write("here/held/large.exr", vec![7; LARGE]);
    let host = Host::of(&bench);
    let pausing = async {
        host.until_moved(2 * CHUNK).await;
        bench.write("here/other/small.exr", "small");
        host.pause(host.representation()).await;
    };
    let (summary, ()) = tokio::join!(host.sync(), pausing);
    assert_eq!((summary.transferred, summary.notes.len()), (0, 0), "{summary:?}");
    let queue = host.queue();
    assert_eq!(queue.len(), 1, "{queue:?}");
    assert_eq!(queue[0].job.state, JobState::Held);
    assert!(queue[0].job.token.is_some());
    // The pair itself works.
    assert_eq!(host.sync().await.transferred, 1);
    assert_eq!(bench.read("there/other/small.exr").as_deref(), Some("small"));
    assert_eq!(bench.read("there/held/large.exr"), None);
    host.resume(host.representation()).await;
    assert_eq!(host.sync().await.transferred, 2);
    assert_eq!(bench.bytes("there/held/large.exr").len(), LARGE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_obeys_at_once_and_goes_on_at_once() {
    let bench = Bench::streamed(&[("sites.there", SLOW), ("sync", "loop_delay = \"1h\"")]);
    bench.write("here/large.exr", vec![7; LARGE]);
    let host = Host::of(&bench);
    let projects = host.settings.projects.values().cloned().collect();
    let (_projects, watched) = tokio::sync::watch::channel(projects);
    let engine = host.engine.clone();
    let serving = tokio::spawn(async move { engine.serve(watched).await });
    host.until_moved(2 * CHUNK).await;
    host.pause(Scope::default()).await;
    host.until_state(Some(JobState::Ready)).await;
    assert!(host.moved() < LARGE as u64);
    // Nothing wakes it but the order.
    host.resume(Scope::default()).await;
    host.until_state(None).await;
    assert_eq!(bench.bytes("there/large.exr").len(), LARGE);
    host.stop.send_replace(true);
    tokio::time::timeout(LONG, serving).await.expect("the service ends").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_to_be_removed_goes_to_the_trash_unless_it_has_changed() {
    let bench = Bench::new();
    bench.write("here/a.exr", "one");
    bench.write("here/b.exr", "two");
    let host = Host::of(&bench);
    assert_eq!(host.sync().await.transferred, 2);
    // Of `there`, both.
    let removed = host.engine.catalog.write(|unit| {
        let root = unit.root(unit.project("demo")?.unwrap(), "work")?.unwrap();
        let there = unit.site("there")?.unwrap();
        for name in ["a.exr", "b.exr"] {
            let row = unit.file(root, "", name)?.unwrap();
            let have: &Have = row.haves.iter().find(|have| have.site == there).unwrap();
            assert_eq!(have.generation, row.generation);
            unit.put_want(row.representation, Some(row.id), there, Some(false))?;
            unit.put_job(
                row.id,
                &Job {
                    to: there,
                    from: there,
                    state: JobState::Ready,
                    priority: 50,
                    queued_at: 0,
                    not_before: 0,
                    tries: 0,
                    sent: None,
                    token: None,
                    error: None,
                },
            )?;
        }
        Ok(())
    });
    removed.await.unwrap();
    // Somebody was faster.
    bench.write("there/b.exr", "two, changed");
    let summary = host.sync().await;
    assert_eq!(summary.failed, 0, "{summary:?}");
    assert_eq!(bench.read("there/a.exr"), None);
    assert_eq!(bench.read("there/b.exr").as_deref(), Some("two, changed"));
    assert_eq!(bench.read("here/a.exr").as_deref(), Some("one"));
    let kept = fs::read_dir(bench.path("there/.sitesync/trash")).unwrap().count();
    assert_eq!(kept, 1);
}
