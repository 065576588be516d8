//! The competitors: how each is called, and how it is timed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::medium::Medium;
use crate::demo::toml_path;
use crate::dist::{self, Dist};
use crate::needs::{self, Program};
use crate::process::{doing, read, run};
use crate::workspace::Workspace;

/// Names in a [`Medium`].
pub(super) const SOURCE: &str = "source";
pub(super) const DESTINATION: &str = "destination";
pub(super) const STATE: &str = "state";
/// What sitesync keeps at the source's root: no peer is to copy it.
pub(super) const OURS_AT_SOURCE: &str = "source/.sitesync";

const RSYNC: Program =
    Program { name: "rsync", package: "rsync", without: "there is no comparison with it" };
/// How often the memory of a running program is looked at. Its peak is kept by the kernel: what
/// can be missed is growth in a process's last moments.
const LOOK: Duration = Duration::from_millis(2);

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    Ours,
    Cp,
    Rsync,
    Rclone,
    Find,
    /// Providers as plug-ins, without the rest of sitesync.
    Plugins,
    /// The same providers, called directly.
    Direct,
}

impl Peer {
    pub(super) fn name(self) -> &'static str {
        match self {
            Peer::Ours => "sitesync",
            Peer::Cp => "cp -a",
            Peer::Rsync => "rsync -a",
            Peer::Rclone => "rclone copy",
            Peer::Find => "find",
            Peer::Plugins => "plug-ins",
            Peer::Direct => "direct calls",
        }
    }
}

/// What there is to compare with.
#[derive(Debug)]
pub(super) struct Peers {
    ours: Dist,
    rclone: Option<PathBuf>,
    rsync: bool,
}

impl Peers {
    /// Installs the peers that are missing; says which can't be had.
    pub(super) fn find(workspace: &Workspace, ours: Dist) -> Self {
        needs::install(&[RSYNC]);
        let rclone = match needs::wheels(&workspace.target, &[needs::RCLONE]) {
            Ok(programs) => Some(programs.join("rclone")),
            Err(error) => {
                eprintln!("note: no comparison with rclone: {error:#}");
                None
            }
        };
        Peers { ours, rclone, rsync: crate::process::find(RSYNC.name).is_some() }
    }

    /// Those of a list that are here.
    pub(super) fn present(&self, wanted: &[Peer]) -> Vec<Peer> {
        let is_here = |peer: &Peer| match peer {
            Peer::Rsync => self.rsync,
            Peer::Rclone => self.rclone.is_some(),
            Peer::Ours | Peer::Cp | Peer::Find | Peer::Plugins | Peer::Direct => true,
        };
        wanted.iter().copied().filter(is_here).collect()
    }

    /// The versions of all, for the report.
    pub(super) fn versions(&self) -> Vec<String> {
        let rclone = self.rclone.as_deref().unwrap_or(Path::new("rclone"));
        [self.ours.binary.as_path(), Path::new("cp"), Path::new("rsync"), rclone, Path::new("find")]
            .into_iter()
            .filter_map(|program| {
                let output = Command::new(program).arg("--version").output().ok()?;
                let text = String::from_utf8_lossy(&output.stdout);
                let words: Vec<&str> = text.lines().next()?.split_whitespace().collect();
                Some(words.join(" "))
            })
            .collect()
    }

    /// Makes what a first run of ours finds: an empty destination, no state, its settings.
    pub(super) fn prepare_ours(&self, medium: &Medium) -> Result<()> {
        dist::private_folder(&medium.path(DESTINATION))?;
        let [source, destination] = [SOURCE, DESTINATION].map(|name| toml_path(&medium.path(name)));
        let text = format!(
            r#"[sync]
settle = "0s"
active_site = "studio"
remote_site = "copy"
upload = "all"
download = "requested"
[sites.studio]
provider = "local_drive"
root.work = "{}"
[sites.copy]
provider = "local_drive"
root.work = "{}"
[projects.bench]
"#,
            source?, destination?
        );
        let path = medium.path("sitesync.toml");
        fs::write(&path, text).with_context(doing("write", &path))?;
        dist::protect(&path)
    }

    /// Copies the source to the destination until all is durable; returns the seconds it took.
    pub(super) fn copy(&self, peer: Peer, medium: &Medium, files: u64) -> Result<f64> {
        let started = Instant::now();
        if peer == Peer::Ours {
            let output = read(&mut self.sync(medium))?;
            let time = started.elapsed().as_secs_f64();
            check(&output, files)?;
            return Ok(time);
        }
        run(&mut self.command(peer, medium))?;
        run(Command::new("sync").arg("-f").arg(medium.path(DESTINATION)))?;
        Ok(started.elapsed().as_secs_f64())
    }

    /// Lets a program find out that there is nothing to do; returns the seconds it took.
    pub(super) fn idle(&self, peer: Peer, medium: &Medium) -> Result<f64> {
        let started = Instant::now();
        if peer == Peer::Ours {
            let output = read(&mut self.sync(medium))?;
            let time = started.elapsed().as_secs_f64();
            check(&output, 0)?;
            return Ok(time);
        }
        run(&mut self.command(peer, medium))?;
        Ok(started.elapsed().as_secs_f64())
    }

    /// Syncs, and returns the most memory that the process had: bytes.
    pub(super) fn memory(&self, medium: &Medium, files: u64) -> Result<u64> {
        let mut child =
            self.sync(medium).stdout(Stdio::piped()).spawn().context("cannot start sitesync")?;
        let mut peak = 0;
        while child.try_wait().context("cannot wait for sitesync")?.is_none() {
            peak = peak.max(peak_memory(&child).unwrap_or_default());
            thread::sleep(LOOK);
        }
        let output = child.wait_with_output().context("cannot wait for sitesync")?;
        ensure!(output.status.success(), "`sitesync sync` failed: {}", output.status);
        check(&String::from_utf8_lossy(&output.stdout), files)?;
        ensure!(peak > 0, "the memory of `sitesync sync` was never seen");
        Ok(peak)
    }

    fn sync(&self, medium: &Medium) -> Command {
        let mut command = Command::new(&self.ours.binary);
        command.arg("--config").arg(medium.path("sitesync.toml"));
        command.arg("--state-dir").arg(medium.path(STATE));
        command.arg("--plugins").arg(&self.ours.providers).args(["sync", "--json"]);
        command.stdin(Stdio::null());
        command
    }

    fn command(&self, peer: Peer, medium: &Medium) -> Command {
        let [source, destination] = [SOURCE, DESTINATION].map(|name| medium.path(name));
        let mut command = match peer {
            Peer::Ours | Peer::Plugins | Peer::Direct => return self.sync(medium),
            Peer::Cp => {
                let mut cp = Command::new("cp");
                cp.arg("-a").arg(source).arg(destination);
                cp
            }
            Peer::Rsync => {
                let mut rsync = Command::new("rsync");
                rsync.args(["-a", "--exclude=/.sitesync*"]);
                // With a slash at its end a folder stands for what is in it.
                rsync.arg(source.join("")).arg(destination.join(""));
                rsync
            }
            Peer::Rclone => {
                let mut rclone =
                    Command::new(self.rclone.as_deref().unwrap_or(Path::new("rclone")));
                // Not the user's settings.
                rclone.env("RCLONE_CONFIG", "").args(["copy", "--exclude", "/.sitesync*/**"]);
                rclone.arg(source).arg(destination);
                rclone
            }
            // As much as any sync must know: names, sizes and times of both sides.
            Peer::Find => {
                let mut find = Command::new("find");
                find.arg(source).arg(destination).args(["-printf", "%s %T@ %p\\n"]);
                find
            }
        };
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }
}

/// Checks the last line of `sitesync sync --json`.
fn check(output: &str, files: u64) -> Result<()> {
    let line = output.lines().last().unwrap_or_default();
    let told: Value = serde_json::from_str(line)
        .with_context(|| format!("`sitesync sync --json` ends without JSON: {line}"))?;
    let is_as_expected = told["transferred"] == files
        && ["skipped", "failed", "conflicts"].iter().all(|key| told[*key] == 0);
    ensure!(is_as_expected, "{files} files were to be transferred, and nothing else: {line}");
    Ok(())
}

/// The most memory that a process has had so far; `None` once it is gone.
fn peak_memory(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kib| kib * 1024)
}
