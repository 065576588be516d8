//! Real plug-ins, good and bad, through the whole loading sequence: the bad ones are listed with a
//! reason and a remedy, the good ones work beside them.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sitesync::plugins::{Lingers, Options, Plugins, Report, Stage};
use sitesync_provider::abi::client::Module;
use sitesync_provider::{
    At, BoxFuture, Bytes, Copy, DeleteOptions, ErrorKind, Expect, Host, HostServices, Op,
    ReadOptions, SweepOptions, WriteOptions,
};
use tempfile::TempDir;

/// A plug-in folder and a cache of their own.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Place { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir(place.plugins()).unwrap();
        place.chmod("", 0o755);
        place
    }

    fn plugins(&self) -> PathBuf {
        self.folder.path().join("providers")
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    fn chmod(&self, name: &str, mode: u32) {
        let path = self.plugins().join(name);
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }

    /// Writes a file that looks as if it had lain there for a while.
    fn put(&self, name: &str, content: &[u8]) {
        let path = self.plugins().join(name);
        std::fs::write(&path, content).unwrap();
        self.chmod(name, 0o644);
        let file = std::fs::File::open(&path).unwrap();
        file.set_modified(std::time::SystemTime::now() - Duration::from_secs(60)).unwrap();
    }

    fn options(&self) -> Options {
        let probe = env!("CARGO_BIN_EXE_sitesync").into();
        Options::new(vec![self.plugins()], self.cache()).probe(probe, Duration::from_secs(10))
    }

    fn open(&self) -> Plugins {
        Plugins::open(self.options())
    }

    /// What a report says, without what differs from run to run.
    fn told(&self, report: &Report) -> String {
        let name = report.path.as_ref().unwrap().file_name().unwrap().to_string_lossy();
        let text = match (&report.refused, &report.superseded_by) {
            (Some(refusal), _) => format!("{}\n    -> {}", refusal.reason, refusal.remedy),
            (None, Some(by)) => format!("superseded by {}", by.display()),
            (None, None) => "fine".to_owned(),
        };
        format!("{name} [{:?}] {text}", report.stage)
            .replace(&*self.folder.path().to_string_lossy(), "DIR")
            .replace(sitesync_provider::abi::manifest::TARGET, "TARGET")
            .replace(std::env::consts::ARCH, "ARCH")
    }

    fn all_told(&self, plugins: &Plugins) -> String {
        plugins.report().iter().map(|report| self.told(report)).collect::<Vec<_>>().join("\n")
    }
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(sitesync_tests::plugin(name).unwrap()).unwrap()
}

/// The content with one text in the place of another, wherever that stands.
fn patched(mut content: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut count = 0;
    for at in 0..content.len() - from.len() {
        if &content[at..at + from.len()] == from.as_bytes() {
            content[at..at + from.len()].copy_from_slice(to.as_bytes());
            count += 1;
        }
    }
    assert!(count > 0, "{from:?} is not there");
    content
}

#[derive(Default)]
struct Services;

impl HostServices for Services {
    fn cache_dir(&self) -> PathBuf {
        std::env::temp_dir()
    }
    fn site_id(&self) -> String {
        "test-site".into()
    }
    fn permit(&self, _: u32) -> BoxFuture<'static, sitesync_provider::Result<()>> {
        Box::pin(async { Ok(()) })
    }
    fn is_stopped(&self) -> bool {
        false
    }
    fn stopped(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

fn host() -> Host {
    Host::new(Services)
}

async fn works(module: &Module) {
    let connection = module.connect(&serde_json::json!({}), host()).await.unwrap();
    let at = At::new("/root", "a/b.txt");
    let missing = connection.stat(at).await.unwrap_err();
    assert_eq!((missing.kind(), missing.code()), (ErrorKind::NotFound, "404"));
    let mut writing =
        connection.open_write(at, WriteOptions::new(5, Expect::Nothing)).await.unwrap();
    writing.write(Bytes::from_static(b"hello")).await.unwrap();
    assert_eq!(writing.finish().await.unwrap().size, 5);
    let mut reading = connection.open_read(at, ReadOptions::new()).await.unwrap();
    assert_eq!(reading.read(1 << 20).await.unwrap(), "hello");
    assert!(reading.read(1 << 20).await.unwrap().is_empty());
    let mut listing = connection.list(At::new("/root", ""), false).await.unwrap();
    let pages = listing.next().await.unwrap().unwrap();
    assert_eq!(pages[0].entries[0].name, "a");
    assert!(listing.next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_good_one_loads_and_works() {
    let place = Place::new();
    place.put("libwell_behaved.so", &fixture("well_behaved"));
    let plugins = place.open();
    assert_eq!(plugins.report()[0].stage, Stage::Gated, "nothing is loaded before it is asked for");
    let provider = plugins.get("well_behaved").unwrap();
    assert_eq!(provider.description.slots, 8);
    works(&provider.module).await;
    assert_eq!(plugins.report()[0].stage, Stage::Loaded);
    assert_eq!(plugins.report()[0].sha256, provider.sha256);

    // The original may be overwritten or vanish: what is loaded is a copy.
    std::fs::write(place.plugins().join("libwell_behaved.so"), "x").unwrap();
    works(&provider.module).await;
    assert!(plugins.look_again());
    assert!(Arc::ptr_eq(&plugins.get("well_behaved").unwrap(), &provider));
    let lingering = plugins.report().pop().unwrap();
    assert_eq!(lingering.lingers, Some(Lingers::UntilRestart), "{lingering:?}");
    std::fs::remove_file(place.plugins().join("libwell_behaved.so")).unwrap();
    assert!(plugins.look_again());
    assert!(Arc::ptr_eq(&plugins.get("well_behaved").unwrap(), &provider));
    works(&provider.module).await;
}

#[tokio::test]
async fn bad_ones_are_listed_and_the_others_work() {
    let place = Place::new();
    let good = fixture("well_behaved");
    place.put("libwell_behaved.so", &good);
    let other = |from: &str, to: &str| patched(good.clone(), from, to);
    // By name, so that none supersedes another: refused before the names are compared.
    place.put("too_new.so", &other("api=1.", "api=9."));
    place.put("too_old.so", &other("api=1.", "api=0."));
    place.put("aborts.so", &other("panic=unwind\n", "panic=abort\n\n"));
    place.put("renamed.so", &other("name=well_behaved", "name=well_behaxed"));
    place.put("other_system.so", &other("-linux-gnu\n", "-linux-abc\n"));
    place.put("empty.so", b"");
    place.put("text.so", b"#!/bin/sh\necho hello\n");
    place.put("truncated.so", &good[..good.len() / 2]);
    place.put("truncated_late.so", &good[..good.len() - 100]);
    place.put("foreign.so", &fixture("foreign"));
    place.put("wrong_layout.so", &fixture("wrong_layout"));
    place.put("program.so", &std::fs::read(env!("CARGO_BIN_EXE_sitesync")).unwrap());
    let noise: Vec<u8> =
        (0..100_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    place.put("random.so", &noise);
    let mut arm = good.clone();
    arm[18..20].copy_from_slice(if cfg!(target_arch = "x86_64") { &[183, 0] } else { &[62, 0] });
    place.put("other_machine.so", &arm);
    std::fs::create_dir(place.plugins().join("folder.so")).unwrap();
    symlink(place.plugins().join("libwell_behaved.so"), place.plugins().join("link.so")).unwrap();
    place.put("group.so", &good);
    place.chmod("group.so", 0o664);
    place.put("world.so", &good);
    place.chmod("world.so", 0o646);
    // Not looked at.
    for name in ["README.md", ".hidden.so", "x.so.tmp", "x.dll", "x.dylib"] {
        place.put(name, b"x");
    }
    let crasher = fixture("crashes_on_load");
    for how in ["segfault", "panicked", "abort___", "exit____"] {
        let name: String = how.chars().take(5).collect();
        let content = patched(crasher.clone(), "behaviour=segfault", &format!("behaviour={how}"));
        let content = patched(content, "name=crashes_on_load", &format!("name=crashes_o_{name}"));
        place.put(&format!("crashes_{name}.so"), &content);
    }

    let plugins = place.open();
    plugins.load_all();
    insta::assert_snapshot!(place.all_told(&plugins));
    works(&plugins.get("well_behaved").unwrap().module).await;
    assert!(plugins.report().iter().all(|report| {
        report.refused.as_ref().is_none_or(|r| !r.reason.is_empty() && !r.remedy.is_empty())
    }));

    // The host's own answers to who asks for one that isn't there.
    let missing = ["well_behave", "nonsense", "too_new", "truncated"];
    let told: Vec<String> =
        missing.iter().map(|name| plugins.get(name).unwrap_err().to_string()).collect();
    insta::assert_snapshot!(
        "unknown",
        told.join("\n").replace(&*place.folder.path().to_string_lossy(), "DIR")
    );
}

#[test]
fn one_that_never_comes_back_costs_the_time_limit() {
    let place = Place::new();
    let content = patched(fixture("crashes_on_load"), "behaviour=segfault", "behaviour=hang____");
    place.put("hangs.so", &content);
    let probe = env!("CARGO_BIN_EXE_sitesync").into();
    let plugins = Plugins::open(place.options().probe(probe, Duration::from_millis(300)));
    let began = Instant::now();
    let refusal = plugins.get("crashes_on_load").unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(refusal.reason.contains("does not come back"), "{refusal}");
}

#[test]
fn a_folder_that_others_may_write_is_refused_whole() {
    let place = Place::new();
    place.put("libwell_behaved.so", &fixture("well_behaved"));
    for mode in [0o775, 0o1777] {
        place.chmod("", mode);
        let refusal = place.open().get("well_behaved").unwrap_err();
        assert!(refusal.reason.contains("the folder"), "{refusal}");
        assert!(refusal.remedy.contains("chmod go-w"), "{refusal}");
    }
    place.chmod("", 0o755);
    place.open().get("well_behaved").unwrap();
}

#[test]
fn a_cache_that_others_may_write_is_refused() {
    let place = Place::new();
    place.put("libwell_behaved.so", &fixture("well_behaved"));
    std::fs::create_dir(place.cache()).unwrap();
    std::fs::set_permissions(place.cache(), PermissionsExt::from_mode(0o777)).unwrap();
    let refusal = place.open().get("well_behaved").unwrap_err();
    assert!(refusal.remedy.contains("chmod go-w"), "{refusal}");
}

#[test]
fn a_missing_folder_is_fine() {
    let place = Place::new();
    std::fs::remove_dir(place.plugins()).unwrap();
    let plugins = place.open();
    assert!(plugins.report().is_empty());
    assert!(!plugins.folders()[0].exists);
    assert!(plugins.get("gdrive").unwrap_err().reason.contains("installed: none"));
}

#[tokio::test]
async fn the_highest_version_wins_and_a_replaced_file_is_picked_up() {
    let place = Place::new();
    let content = fixture("well_behaved");
    let version = |to: &str| patched(content.clone(), "version=0.1.0", &format!("version={to}"));
    place.put("a.so", &version("0.9.0"));
    place.put("b.so", &version("0.8.0"));
    let plugins = place.open();
    assert_eq!(plugins.get("well_behaved").unwrap().manifest.version.to_string(), "0.9.0");
    let told = place.all_told(&plugins);
    assert_eq!(told, "a.so [Loaded] fine\nb.so [Gated] superseded by DIR/providers/a.so");
    assert!(!plugins.look_again(), "nothing has changed");

    place.put("b.so.tmp", &version("1.0.0"));
    let (from, to) = (place.plugins().join("b.so.tmp"), place.plugins().join("b.so"));
    std::fs::rename(from, to).unwrap();
    assert!(plugins.look_again());
    assert_eq!(plugins.get("well_behaved").unwrap().manifest.version.to_string(), "1.0.0");

    // The same content under another name is the same provider.
    let before = plugins.get("well_behaved").unwrap();
    std::fs::rename(place.plugins().join("b.so"), place.plugins().join("c.so")).unwrap();
    assert!(plugins.look_again());
    assert!(Arc::ptr_eq(&before, &plugins.get("well_behaved").unwrap()));

    // A lower version that was loaded before serves again, though it slept.
    plugins.retire();
    std::fs::remove_file(place.plugins().join("c.so")).unwrap();
    assert!(plugins.look_again());
    let back = plugins.get("well_behaved").unwrap();
    assert_eq!(back.manifest.version.to_string(), "0.9.0");
    works(&back.module).await;

    let copies = std::fs::read_dir(place.cache().join("well_behaved")).unwrap().count();
    assert_eq!(copies, 2, "the cache keeps two");
}

#[test]
fn a_file_that_is_still_being_written_is_waited_for() {
    let place = Place::new();
    let content = fixture("well_behaved");
    let path = place.plugins().join("slow.so");
    let (first, second) = content.split_at(content.len() / 2);
    std::fs::write(&path, first).unwrap();
    place.chmod("slow.so", 0o644);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            use std::io::Write;
            let mut file = std::fs::File::options().append(true).open(&path).unwrap();
            for part in second.chunks(second.len() / 8 + 1) {
                file.write_all(part).unwrap();
                std::thread::sleep(Duration::from_millis(40));
            }
        });
        place.open().get("well_behaved").unwrap();
    });
}

#[test]
fn crash_verdicts_are_kept_until_admitted_anew() {
    let place = Place::new();
    place.put("crashes.so", &fixture("crashes_on_load"));
    let reason = |plugins: &Plugins| plugins.get("crashes_on_load").unwrap_err().reason;
    let first = reason(&place.open());
    assert!(first.contains("SIGSEGV"), "{first}");
    // A program that cannot be started shows that it isn't asked again.
    let no_probe = || {
        let options = place.options().probe("/nowhere".into(), Duration::from_secs(1));
        Plugins::open(options)
    };
    assert_eq!(reason(&no_probe()), first);
    let plugins = no_probe();
    plugins.admit(&place.plugins().join("crashes.so")).unwrap();
    assert!(reason(&plugins).contains("/nowhere"));
}

#[test]
fn three_deaths_of_the_host_while_loading_are_enough() {
    let place = Place::new();
    place.put("libwell_behaved.so", &fixture("well_behaved"));
    let sha256 = place.open().get("well_behaved").unwrap().sha256.clone().unwrap();
    for n in 0..3 {
        std::fs::write(place.cache().join(format!(".in-flight/{sha256}.{n}.0")), "").unwrap();
    }
    let plugins = place.open();
    let refusal = plugins.get("well_behaved").unwrap_err();
    assert!(refusal.reason.contains("died 3 times"), "{refusal}");
    plugins.admit(&place.plugins().join("libwell_behaved.so")).unwrap();
    plugins.get("well_behaved").unwrap();
}

/// Every call of the contract.
const CALLS: [&str; 21] = [
    "connect",
    "open_root",
    "stat",
    "list",
    "next",
    "open_read",
    "read",
    "open_write",
    "write",
    "checkpoint",
    "finish",
    "discard",
    "create_folder",
    "remove_folder",
    "delete",
    "sweep",
    "server_copy",
    "rename",
    "flush",
    "changes",
    "none of them",
];

/// Makes all calls of the contract on a provider with these settings, on a folder of their own;
/// returns those that failed, each with its error.
async fn failures(module: &Module, settings: serde_json::Value) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    for name in ["read", "copied", "moved", "deleted"] {
        std::fs::write(folder.path().join(name), "content").unwrap();
    }
    let mut told = Vec::new();
    let mut tell = |call: &str, error: Option<sitesync_provider::Error>| {
        // In the shape of a line: what is not fit for one is cut elsewhere.
        told.extend(error.map(|e| format!("{call}: {} ({e})", e.kind())));
    };
    let connection = match module.connect(&settings, host()).await {
        Ok(connection) => connection,
        Err(error) => {
            tell("connect", Some(error));
            return told;
        }
    };
    let at = |path| At::new(root, path);
    tell("open_root", connection.open_root(root, &settings).await.err());
    tell("stat", connection.stat(at("read")).await.err());
    match connection.list(at(""), false).await {
        Ok(mut listing) => tell("next", listing.next().await.err()),
        Err(error) => tell("list", Some(error)),
    }
    match connection.open_read(at("read"), ReadOptions::new()).await {
        Ok(mut reading) => tell("read", reading.read(10).await.err()),
        Err(error) => tell("open_read", Some(error)),
    }
    for name in ["written", "discarded"] {
        match connection.open_write(at(name), WriteOptions::new(3, Expect::Nothing)).await {
            Ok(mut writing) => {
                tell("write", writing.write(Bytes::from_static(b"abc")).await.err());
                tell("checkpoint", writing.checkpoint().await.err());
                if name == "written" {
                    tell("finish", writing.finish().await.err());
                } else {
                    tell("discard", writing.discard().await.err());
                }
            }
            Err(error) => tell("open_write", Some(error)),
        }
    }
    tell("create_folder", connection.create_folder(at("new")).await.err());
    tell("remove_folder", connection.remove_folder(at("empty")).await.err());
    tell("delete", connection.delete(at("deleted"), DeleteOptions::default()).await.err());
    tell("sweep", connection.sweep(root, SweepOptions::default()).await.err());
    let copies = vec![Copy::new(at("copied"), at("copy"), Expect::Nothing)];
    match connection.server_copy(copies, Op::unbound()).await {
        Ok(results) => {
            results.into_iter().for_each(|result| tell("server_copy", result.err()));
        }
        Err(error) => tell("server_copy", Some(error)),
    }
    tell("rename", connection.rename(at("moved"), at("moved.again")).await.err());
    tell("flush", connection.flush(&[root]).await.err());
    tell("changes", connection.changes(&[root], None, Duration::ZERO).await.err());
    told.retain(|line| line != "changes: Unsupported (this provider has no change feed)");
    told.dedup();
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_misbehaving_provider_costs_errors_only() {
    let place = Place::new();
    place.put("libmisbehaving.so", &fixture("misbehaving"));
    place.put("libwell_behaved.so", &fixture("well_behaved"));
    let plugins = place.open();
    let module = plugins.get("misbehaving").unwrap().module;
    let mut told = Vec::new();
    for fault in ["panic", "evil_payload", "panic_in_thread", "evil_error"] {
        for call in CALLS {
            let settings = serde_json::json!({"fault": fault, "call": call});
            let failed = failures(&module, settings).await;
            assert_eq!(failed.is_empty(), call == "none of them", "{fault} {call} {failed:?}");
            told.extend(failed.into_iter().map(|line| format!("{fault}, {line}")));
        }
    }
    for fault in ["deep_error", "giant_error", "fewer_copies", "no_pages", "no such fault"] {
        let settings = serde_json::json!({"fault": fault, "only": "cop"});
        let settings = match fault {
            "no_pages" => serde_json::json!({"fault": fault}),
            _ => settings,
        };
        for line in failures(&module, settings).await {
            assert!(line.len() < 2200, "{} bytes", line.len());
            let line: String = line.chars().take(100).collect();
            told.push(format!("{fault}, {line}"));
        }
    }
    insta::assert_snapshot!(told.join("\n"));

    // One that never answers is dropped; one that blocks holds up its own runtime only.
    let never = module.connect(&serde_json::json!({"fault": "never"}), host()).await.unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(50), never.stat(At::new("", ""))).await;
    assert!(waited.is_err());
    let blocks = serde_json::json!({"fault": "block", "seconds": 1, "call": "stat"});
    let blocks = module.connect(&blocks, host()).await.unwrap();
    let began = Instant::now();
    let blocked: Vec<_> = (0..4)
        .map(|_| {
            let blocks = blocks.clone();
            tokio::spawn(async move { blocks.stat(At::new("/", "")).await })
        })
        .collect();
    works(&plugins.get("well_behaved").unwrap().module).await;
    assert!(
        blocked.iter().all(|call| !call.is_finished()) || began.elapsed() > Duration::from_secs(1)
    );
    for call in blocked {
        call.await.unwrap().unwrap();
    }
}

/// A provider whose `Drop` blocks costs no thread of the host's.
#[tokio::test]
async fn what_blocks_while_it_is_dropped_blocks_its_own_thread() {
    let place = Place::new();
    place.put("libmisbehaving.so", &fixture("misbehaving"));
    let plugins = place.open();
    let module = plugins.get("misbehaving").unwrap().module;
    // For ever, and in a test with one thread. Its own copies drop a reader as well, in the middle of
    // a call: that call would never answer.
    for (call, only) in [("connect", ""), ("list", ""), ("open_read", "read")] {
        let settings = serde_json::json!({"fault": "block_in_drop", "call": call, "only": only});
        assert_eq!(failures(&module, settings).await, [""; 0]);
    }
}

/// All threads of a plug-in are blocked for ever: it goes on with new ones.
#[tokio::test]
async fn a_plug_in_whose_threads_are_all_blocked_is_given_new_ones() {
    let place = Place::new();
    place.put("libmisbehaving.so", &fixture("misbehaving"));
    let module = place.open().get("misbehaving").unwrap().module;
    let settings = serde_json::json!({"fault": "block_all", "call": "stat"});
    let blocks = module.connect(&settings, host()).await.unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(50), blocks.stat(At::new("/", "")));
    assert!(waited.await.is_err());
    let began = Instant::now();
    let none = serde_json::json!({});
    loop {
        let call = module.connect(&none, host());
        match tokio::time::timeout(Duration::from_millis(100), call).await {
            Ok(connected) => break drop(connected.unwrap()),
            Err(_) => assert!(began.elapsed() < Duration::from_secs(60), "it never comes back"),
        }
    }
}

/// What a subscriber heard: target, level and provider of each event.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn events_arrive_with_their_own_target_and_level() {
    // In a process of its own, because the subscriber has to be the global one.
    if std::env::var_os("SITESYNC_TEST_LOG").is_none() {
        let test = std::env::current_exe().unwrap();
        let output = std::process::Command::new(test)
            .args(["--exact", "events_arrive_with_their_own_target_and_level"])
            .env("SITESYNC_TEST_LOG", "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let heard = Heard::default();
    let writer = heard.clone();
    let filter = "warn,well_behaved=debug,well_behaved::noise=info";
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone())
        .init();
    let place = Place::new();
    place.put("libwell_behaved.so", &fixture("well_behaved"));
    place.put("libmisbehaving.so", &fixture("misbehaving"));
    let plugins = place.open();
    let module = plugins.get("well_behaved").unwrap().module;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let settings = serde_json::json!({"greeting": "hi", "noise": 5000});
    runtime.block_on(module.connect(&settings, host())).unwrap();
    let bad = plugins.get("misbehaving").unwrap().module;
    let panics = serde_json::json!({"fault": "panic", "call": "connect"});
    assert_eq!(
        runtime.block_on(failures(&bad, panics)),
        ["connect: Panicked (the provider panicked: on purpose)"]
    );
    let text = String::from_utf8(heard.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let noise = lines.iter().filter(|line| line.contains("well_behaved::noise")).count();
    assert!((900..=2000).contains(&noise), "{noise} lines");
    let rest: Vec<_> =
        lines.into_iter().filter(|line| !line.contains("well_behaved::noise")).collect();
    // Without the place of the panic.
    let rest = rest.iter().map(|line| line.split(".rs:").next().unwrap());
    insta::assert_snapshot!(rest.collect::<Vec<_>>().join("\n"));
}

/// Prints how long loading takes: first, and again. Each round is a process of its own, because
/// what is loaded already costs nothing: `cargo test -p sitesync --test plugins figures -- --ignored
/// --nocapture`. `FILE` names another library of `well_behaved`.
#[test]
#[ignore = "a measurement"]
fn figures() {
    if let Some(place) = std::env::var_os("SITESYNC_TEST_PLACE").map(PathBuf::from) {
        let probe = env!("CARGO_BIN_EXE_sitesync").into();
        let options = Options::new(vec![place.join("providers")], place.join("cache"))
            .probe(probe, Duration::from_secs(10));
        let began = Instant::now();
        let plugins = Plugins::open(options);
        let opened = began.elapsed();
        let began = Instant::now();
        plugins.get("well_behaved").unwrap();
        println!("FIGURES open {opened:?}, get {:?}", began.elapsed());
        return;
    }
    let file = std::env::var_os("FILE").map(PathBuf::from);
    let content = file
        .as_deref()
        .map_or_else(|| fixture("well_behaved"), |file: &Path| std::fs::read(file).unwrap());
    let place = Place::new();
    place.put("plugin.so", &content);
    println!("{} MB", content.len() / 1_000_000);
    for round in ["first", "again", "again"] {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "figures", "--ignored", "--nocapture"])
            .env("SITESYNC_TEST_PLACE", place.folder.path())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find_map(|line| line.split_once("FIGURES ")).unwrap().1;
        println!("{round}: {line}");
    }
}
