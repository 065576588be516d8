//! A site in Google Drive, beside rclone: the example `drive` of the tests, which has the emulator in
//! itself.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::peer::Peer;
use super::report::{Report, Samples};
use crate::dist;
use crate::process::read;
use crate::workspace::Workspace;

/// Google's documented allowance: requests of a user in a second.
const ALLOWED: f64 = 200.0;

/// What is done, and what it is called.
const WORKS: [(&str, &str); 5] = [
    ("small", "files of 50 kB go to Drive"),
    ("limited", "files of 50 kB go to Drive, at most 200 requests a second"),
    ("unchanged", "files in Drive, nothing to do"),
    ("up", "file of 64 MiB goes to Drive"),
    ("down", "file of 64 MiB comes from Drive"),
];

/// The runs of one peer in one work.
#[derive(Debug)]
pub(super) struct Runs {
    pub(super) times: Samples,
    /// Of the last run.
    pub(super) requests: u64,
    /// Requests of all runs that were refused because there were too many.
    pub(super) refused: u64,
}

/// Measures, and adds what was found to the report.
pub(super) fn run(
    workspace: &Workspace,
    runs: usize,
    scale: f64,
    report: &mut Report,
) -> Result<()> {
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--release", "--package", "sitesync-tests", "--example", "drive"]);
    let program = dist::example(&mut cargo, "drive")?;
    let mut command = std::process::Command::new(program);
    let output = read(command.arg(runs.to_string()).arg(scale.to_string()))?;

    let mut found: BTreeMap<&str, (u64, Vec<Runs>)> = BTreeMap::new();
    for line in output.lines().filter(|line| line.starts_with('{')) {
        let told: Value = serde_json::from_str(line).context("a run is told as JSON")?;
        let number = |name: &str| told[name].as_u64().with_context(|| format!("no {name}: {line}"));
        let (work, _) = WORKS.iter().find(|(work, _)| told["work"] == *work).context("no work")?;
        let peer = if told["peer"] == "sitesync" { Peer::Ours } else { Peer::Rclone };
        let (files, peers) = found.entry(work).or_default();
        *files = number("files")?;
        if !peers.iter().any(|runs| runs.times.peer == peer) {
            peers.push(Runs { times: Samples::new(peer), requests: 0, refused: 0 });
            peers.sort_by_key(|runs| runs.times.peer != Peer::Ours);
        }
        let Some(runs) = peers.iter_mut().find(|runs| runs.times.peer == peer) else { continue };
        runs.times.seconds.push(told["seconds"].as_f64().context("no seconds")?);
        runs.requests = number("requests")?;
        runs.refused += number("refused")?;
    }
    ensure!(!found.is_empty(), "the example measured nothing: {output}");
    for (work, what) in WORKS {
        if let Some((files, peers)) = found.get(work) {
            let allowed = (work == "limited").then_some(ALLOWED);
            let goal = (work == "small").then_some(1.0 / 3.0);
            report.drive(&format!("{files} {what}"), peers, goal, allowed);
        }
    }
    Ok(())
}
