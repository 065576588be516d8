//! `sitesync provider new`: what an author gets outside of this repository builds, passes its tests,
//! and syncs. The code in the provider guide is built with it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use sitesync_tests::bench::{Bench, until};

const NAME: &str = "blue_cloud";

/// The top of this repository, and the target folder that this test was built in.
fn places() -> (PathBuf, PathBuf) {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let test = std::env::current_exe().expect("this test");
    (top.to_owned(), test.ancestors().nth(3).expect("a target folder").to_owned())
}

/// Makes a new crate with the real binary, outside of this workspace.
fn scaffold(bench: &Bench, folder: &Path, more: &[&str]) {
    let mut arguments = vec!["provider", "new", NAME, "--path", folder.to_str().expect("UTF-8")];
    arguments.extend(more);
    let run = bench.run(&arguments).ends(0);
    assert!(run.stdout.contains("cargo test") && run.stderr.is_empty(), "{run:#?}");
    // The versions that this workspace was built with: they are there already.
    let (top, _) = places();
    fs::copy(top.join("Cargo.lock"), folder.join("Cargo.lock")).expect("a lock file");
}

/// Runs cargo in the new crate, without the network. Its target folder is kept for the next time.
fn cargo(folder: &Path, arguments: &[&str]) -> String {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(folder).args(arguments).arg("--offline");
    cargo.env("CARGO_TARGET_DIR", places().1.join("scaffold")).env("CARGO_INCREMENTAL", "0");
    // Small and fast: nobody debugs it.
    cargo.env("CARGO_PROFILE_DEV_DEBUG", "0");
    let output = cargo.output().expect("cargo");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "cargo {arguments:?}\n{out}\n{err}");
    assert!(!err.contains("warning:"), "cargo {arguments:?}\n{err}");
    out
}

/// The blocks of Rust in the guide that are no part of the new crate's own code: those are shown as
/// they stand there.
fn further_blocks(guide: &str, folder: &Path) -> Vec<String> {
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut code = String::new();
    for part in ["src", "tests"] {
        for entry in fs::read_dir(folder.join(part)).expect("a folder") {
            code += &fs::read_to_string(entry.expect("an entry").path()).expect("code");
        }
    }
    let code = flat(&code);
    // The guide speaks of `my_store`.
    let names = [("my_store", NAME), ("MyStore", "BlueCloud"), ("MY_STORE", "BLUE_CLOUD")];
    let guide = names.iter().fold(guide.to_owned(), |text, (old, new)| text.replace(old, new));
    let blocks = guide.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.filter(|block| !code.contains(&flat(block))).map(str::to_owned).collect()
}

/// Writes the guide's blocks into a test of the new crate, each into a module.
fn add_guide(folder: &Path) {
    let (top, _) = places();
    let guide = fs::read_to_string(top.join("docs/provider-guide.md")).expect("the guide");
    assert!(guide.matches("```rust\n").count() >= 8, "the guide shows how");
    let blocks = further_blocks(&guide, folder);
    let modules = blocks.iter().enumerate().map(|(n, block)| {
        format!(
            "#[allow(dead_code, unused_imports)]\nmod block_{n} {{\nuse std::time::Duration;\n\
             use sitesync_provider::*;\nuse {NAME}::*;\n{block}\n}}\n"
        )
    });
    fs::write(folder.join("tests/guide.rs"), modules.collect::<String>()).expect("a test");
    let manifest = folder.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).expect("a manifest");
    // As the guide says, for work that blocks.
    let text = text.replace(
        "[dev-dependencies]\n",
        "[dev-dependencies]\ntokio = { version = \"1\", features = [\"rt\"] }\n",
    );
    fs::write(&manifest, text).expect("a manifest");
}

/// Puts the plug-in where it is looked for, whole from the first moment on.
fn drop_in(bench: &Bench, library: &Path) {
    let (part, whole) = (bench.path("providers/part"), bench.path("providers/libblue_cloud.so"));
    fs::copy(library, &part).expect("the plug-in");
    fs::set_permissions(&part, fs::Permissions::from_mode(0o755)).expect("chmod");
    fs::rename(part, whole).expect("rename");
}

/// The service, ended when dropped.
struct Serving(Child);

impl Serving {
    fn start(bench: &Bench) -> Self {
        let log = fs::File::create(bench.path("serve.log")).expect("a log");
        let mut command = bench.command(&["serve"]);
        command.stdout(Stdio::null()).stderr(log);
        Serving(command.spawn().expect("the service"))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `here` goes up to a site of the new provider, and comes down from there to `there`, by another
/// project: what lies in the memory of the service shows in what comes back.
const SETTINGS: &str = r#"
[sync]
settle = "0s"
loop_delay = "1s"
rescan = "1s"
download = "all"

[sites.here]
provider = "local_drive"
root.work = "DIR/here"

[sites.cloud]
provider = "blue_cloud"
account = "studio"
key = "hush"
root.work = "/"

[sites.cloud_again]
provider = "blue_cloud"
account = "studio"
key = "hush"
largest_file = 10_000_000
root.work = "/"

[sites.there]
provider = "local_drive"
root.work = "DIR/there"

[projects.up]
active_site = "here"
remote_site = "cloud"

[projects.down]
active_site = "there"
remote_site = "cloud_again"
"#;

#[test]
fn a_new_provider_passes_its_tests_and_syncs() {
    let bench = Bench::new();
    // At one place each time: what cargo builds for another would pile up.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("provider_new/cloud");
    if folder.exists() {
        fs::remove_dir_all(&folder).expect("the last one's folder");
    }
    scaffold(&bench, &folder, &[]);
    add_guide(&folder);
    let tests = cargo(&folder, &["test"]);
    for name in ["conforms", "nothing_is_required", "each_field_says_what_it_is"] {
        assert!(tests.contains(&format!("test {name} ... ok")), "{name}: {tests}");
    }
    cargo(&folder, &["build"]);
    let library = places().1.join(format!("scaffold/debug/lib{NAME}.so"));

    bench.settings_text(SETTINGS);
    let frame: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).take(3_000_001).collect();
    let files: BTreeMap<&str, &[u8]> = BTreeMap::from([
        ("scene.ma", &b"a scene"[..]),
        ("sh010/beauty.1001.exr", &frame),
        ("sh010/empty", b""),
    ]);
    for (path, content) in &files {
        bench.write(&format!("here/{path}"), content);
    }
    let _service = Serving::start(&bench);
    let log = || fs::read_to_string(bench.path("serve.log")).expect("a log");
    until("it says that there is no such provider", || log().contains(NAME));
    drop_in(&bench, &library);
    until("all is there, by way of the new provider", || {
        files.keys().all(|path| bench.path("there").join(path).exists())
    });
    bench.assert_equal_sites();
    for (path, content) in files {
        assert!(fs::read(bench.path("there").join(path)).expect("a file") == content, "{path}");
    }
    let all = BTreeMap::from([("synced".to_owned(), 3)]);
    for (project, site) in [("up", "cloud"), ("down", "there")] {
        until(&format!("the catalog has it all at {site}"), || {
            bench.counts_of(project, site) == all
        });
    }
    let log = log();
    assert!(log.contains("blue_cloud: connected") && !log.contains("hush"), "{log}");
}

#[test]
fn a_checkout_may_stand_for_the_copy() {
    let bench = Bench::new();
    let api = places().0.join("provider-api");
    let folder = bench.path("author/cloud");
    scaffold(&bench, &folder, &["--api", api.to_str().expect("UTF-8")]);
    assert!(!folder.join("vendor").exists());
    // Of this platform's packages only: others may never have been downloaded.
    let tree = cargo(&folder, &["tree", "--package=sitesync-provider", "--depth=0"]);
    assert!(tree.contains(&format!("({})", api.display())), "{tree}");
}

#[test]
fn nothing_is_overwritten() {
    let bench = Bench::new();
    bench.write("author/cloud/notes.txt", "mine");
    let path = bench.path("author/cloud");
    let path = path.to_str().expect("UTF-8");
    let run = bench.run(&["provider", "new", NAME, "--path", path]).ends(2);
    assert!(run.stderr.contains("is there already") && run.stderr.contains("--path"), "{run:#?}");
    assert_eq!(fs::read_dir(path).expect("a folder").count(), 1);
    let run = bench.run(&["provider", "new", "Blue-Cloud"]).ends(2);
    assert!(run.stderr.contains("`blue_cloud`"), "{run:#?}");
    let run = bench.run(&["provider", "new", NAME, "--api", path]).ends(2);
    assert!(run.stderr.contains("no checkout of provider-api"), "{run:#?}");
}

#[test]
fn an_installed_name_is_taken() {
    let bench = Bench::streamed(&[]);
    for name in ["local_drive", "other_drive"] {
        let run = bench.run(&["provider", "new", name]).ends(2);
        assert!(run.stderr.contains("is a provider that"), "{run:#?}");
        assert!(!bench.path(name).exists());
    }
}
