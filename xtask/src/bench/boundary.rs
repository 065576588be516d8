//! What the boundary of plug-ins costs: the example `boundary` of the tests, both ways.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};

use super::medium::Medium;
use super::peer::{DESTINATION, Peer, SOURCE};
use crate::dist::{self, Dist};
use crate::process::{doing, read, remove_folder};
use crate::workspace::Workspace;

const PLUGINS: &str = "plugins";
const CACHE: &str = "plugin-cache";

/// What is carried through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// Through two plug-ins, chunk by chunk.
    Stream,
    /// By one plug-in, in batches.
    Copy,
}

impl Work {
    pub(super) fn name(self) -> &'static str {
        match self {
            Work::Stream => "streamed through two plug-ins",
            Work::Copy => "copied by a plug-in in batches",
        }
    }
}

/// The program, built.
#[derive(Debug)]
pub(super) struct Boundary {
    program: PathBuf,
    local_drive: PathBuf,
}

impl Boundary {
    pub(super) fn build(workspace: &Workspace, ours: &Dist) -> Result<Self> {
        let mut cargo = workspace.cargo();
        cargo.args(["build", "--release", "--package", "sitesync-tests", "--example", "boundary"]);
        let program = dist::example(&mut cargo, "boundary")?;
        let plugins = dist::plugins(&ours.providers)?;
        let local_drive = plugins.into_iter().find(|file| file.ends_with("liblocal_drive.so"));
        Ok(Boundary { program, local_drive: local_drive.context("liblocal_drive.so")? })
    }

    /// Two plug-in folders with one `local_drive` each: two libraries to the loader.
    pub(super) fn prepare(&self, medium: &Medium) -> Result<()> {
        for one in ["source", "destination"] {
            let folder = medium.path(PLUGINS).join(one);
            dist::private_folder(&folder)?;
            let file = folder.join("liblocal_drive.so");
            fs::copy(&self.local_drive, &file).with_context(doing("write", &file))?;
            dist::protect(&file)?;
            // As an installed one is: a file that was just written is watched for a while.
            fs::File::options()
                .write(true)
                .open(&file)
                .and_then(|file| file.set_modified(SystemTime::now() - Duration::from_secs(3600)))
                .with_context(doing("set the time of", &file))?;
        }
        Ok(())
    }

    /// Carries the source to the destination; returns the seconds it took, without loading.
    pub(super) fn carry(&self, peer: Peer, work: Work, medium: &Medium) -> Result<f64> {
        let way = if peer == Peer::Direct { "direct" } else { "loaded" };
        let what = match work {
            Work::Stream => "each",
            Work::Copy => "copy",
        };
        dist::private_folder(&medium.path(DESTINATION))?;
        let mut command = Command::new(&self.program);
        command.args([way, what]);
        command.args([SOURCE, DESTINATION, PLUGINS, CACHE].map(|name| medium.path(name)));
        number(&read(&mut command)?)
    }

    /// How long the first plug-in takes to be loaded: by a host that never saw it, and by one that
    /// did. Milliseconds.
    pub(super) fn load(&self, medium: &Medium) -> Result<[f64; 2]> {
        let cache = medium.path(CACHE);
        remove_folder(&cache)?;
        let once = |cache: &Path| {
            let mut command = Command::new(&self.program);
            number(&read(command.arg("load").arg(medium.path(PLUGINS)).arg(cache))?)
        };
        Ok([once(&cache)?, once(&cache)?])
    }
}

fn number(output: &str) -> Result<f64> {
    let line = output.lines().next().unwrap_or_default();
    let number: f64 = line.trim().parse().with_context(|| format!("{line:?} is no number"))?;
    ensure!(number.is_finite(), "{number}");
    Ok(number)
}
