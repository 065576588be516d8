//! `cargo xtask ci`: what must hold before a change is taken.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::workspace::Workspace;
use crate::{process, test};

type Stage = (&'static str, fn(&Workspace) -> Result<()>);

const STAGES: [Stage; 4] = [
    ("format", |workspace| cargo(workspace, &["fmt", "--all", "--check"])),
    ("lints", |workspace| {
        cargo(workspace, &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
    }),
    ("documentation", |workspace| {
        let mut command = workspace.cargo();
        command.args(["doc", "--no-deps", "--workspace"]).env("RUSTDOCFLAGS", "-D warnings");
        process::run(&mut command)
    }),
    ("tests", |workspace| test::run(workspace, &test::Arguments::default())),
];

/// Runs every stage up to the first that fails, and says how long each took.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    components(workspace)?;
    let mut times = Vec::new();
    for (name, stage) in STAGES {
        eprintln!("== {name}");
        let started = Instant::now();
        let result = stage(workspace);
        times.push((name, started.elapsed()));
        if result.is_err() {
            report(&times);
        }
        result.with_context(|| format!("stage `{name}`"))?;
    }
    report(&times);
    Ok(())
}

fn report(times: &[(&str, Duration)]) {
    eprintln!("== times");
    for (name, time) in times {
        eprintln!("{name:>14} {:7.1} s", time.as_secs_f64());
    }
}

fn cargo(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    process::run(workspace.cargo().args(arguments))
}

/// Adds rustfmt and clippy where rustup came without them.
fn components(workspace: &Workspace) -> Result<()> {
    let is_missing = |(program, _): &(&str, &str)| {
        let mut ask = workspace.cargo();
        ask.args([program, "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
        !ask.status().is_ok_and(|status| status.success())
    };
    let missing: Vec<&str> = [("fmt", "rustfmt"), ("clippy", "clippy")]
        .into_iter()
        .filter(is_missing)
        .map(|(_, component)| component)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut rustup = Command::new("rustup");
    rustup.current_dir(&workspace.root).args(["component", "add"]);
    process::run(rustup.args(missing)).context("rustfmt and clippy are needed")
}
