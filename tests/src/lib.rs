//! What tests of the real binary share.
//!
//! [`plugin`] builds a plug-in of this workspace (a fixture under `tests/plugins`, or a provider)
//! and returns its library. [`mod@bench`] is two sites on disk and the binary; [`studio`] is a
//! studio of two sites with the binary at work; [`content`] are files that tell by themselves
//! whether they are whole; [`drive`] is a studio whose remote site is in Google Drive, which is an
//! emulator; [`next_minor`] is a host and a plug-in of the contract's next minor;
//! [`specimen`] is a plug-in that is damaged.

pub mod bench;
pub mod content;
pub mod drive;
pub mod next_minor;
pub mod specimen;
pub mod studio;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context, Result, ensure};

/// The fixtures under `tests/plugins`.
const FIXTURES: &[&str] =
    &["well_behaved", "misbehaving", "crashes_on_load", "wrong_layout", "foreign"];

/// The library of a plug-in of this workspace, built in the profile of the test that runs.
/// Each is built once a test binary, the fixtures together.
pub fn plugin(name: &str) -> Result<PathBuf> {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    static OTHERS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if FIXTURES.contains(&name) {
        let built = BUILT.get_or_init(|| build(FIXTURES).map_err(|error| format!("{error:#}")));
        built.clone().map_err(anyhow::Error::msg)?;
    } else {
        let mut others = OTHERS.lock().unwrap_or_else(PoisonError::into_inner);
        if !others.contains(name) {
            build(&[name])?;
            others.insert(name.to_owned());
        }
    }
    let library = profile_folder()?.join(format!("lib{name}.so"));
    // Under umask 0002 it would be refused.
    let mut permissions = library.metadata().context("no such library")?.permissions();
    permissions.set_mode(permissions.mode() & !0o022);
    std::fs::set_permissions(&library, permissions)?;
    Ok(library)
}

/// The number in a variable of the environment, or the default.
pub fn number(name: &str, default: u64) -> Result<u64> {
    std::env::var(name).map_or(Ok(default), |text| text.parse().with_context(|| name.to_owned()))
}

/// A program of the Python packages that `cargo xtask test` installs in the target folder. `None`,
/// with the reason printed, where they were not installed; in CI, that is a failure.
pub fn wheel(program: &str) -> Option<PathBuf> {
    let found = profile_folder().ok()?.parent()?.join("python/bin").join(program);
    if found.is_file() {
        return Some(found);
    }
    assert!(std::env::var_os("CI").is_none(), "`cargo xtask test` installs {program}");
    println!("skipped: needs {program}: `cargo xtask test` installs it");
    None
}

fn build(packages: &[&str]) -> Result<()> {
    let profile = profile_folder()?;
    let target = profile.parent().context("the target folder")?;
    let mut cargo = cargo_build(&profile, target);
    for package in packages {
        cargo.args(["--package", package]);
    }
    ensure!(cargo.status()?.success(), "cargo cannot build {packages:?}");
    Ok(())
}

/// `cargo build` in the profile and the target folder of the test that runs.
fn cargo_build(profile: &Path, target: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    // What cargo says of this package to its tests: build scripts that look at it (ring's does) would
    // run anew, and all that depends on them be compiled again, each time somebody else builds.
    for (name, _) in std::env::vars_os() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_"]
            .iter()
            .any(|own| name.to_string_lossy().starts_with(own))
        {
            cargo.env_remove(name);
        }
    }
    cargo.args(["build", "--quiet", "--locked", "--target-dir"]).arg(target);
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    cargo
}

/// `target/debug` or `target/release`: where the running test lies, beneath `deps`.
fn profile_folder() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    test.ancestors().nth(2).map(Path::to_owned).context("a test outside of a target folder")
}
