//! Where a measurement happens: a scratch folder in memory or on disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use anyhow::{Context, Result};

use super::On;
use crate::dist;
use crate::process::{doing, read, remove_folder, run};
use crate::workspace::Workspace;

/// Before the process id of the run that a scratch folder belongs to.
const PREFIX: &str = "sitesync-bench-";

/// A scratch folder; gone with all that is in it when this is dropped.
#[derive(Debug)]
pub(super) struct Medium {
    /// `tmpfs`, or `disk (ext4)`.
    pub(super) label: String,
    /// In memory.
    pub(super) on: On,
    folder: PathBuf,
}

impl Medium {
    /// Makes the folder; `None` if memory is asked for and `/dev/shm` is something else.
    pub(super) fn open(on: On, workspace: &Workspace) -> Result<Option<Self>> {
        let above = match on {
            On::Tmpfs => PathBuf::from("/dev/shm"),
            On::Disk => workspace.target.clone(),
        };
        let filesystem = filesystem(&above);
        let label = match on {
            On::Tmpfs if filesystem != "tmpfs" => return Ok(None),
            On::Tmpfs => filesystem,
            On::Disk => format!("disk ({filesystem})"),
        };
        remove_left_over(&above)?;
        let folder = above.join(format!("{PREFIX}{}", process::id()));
        dist::private_folder(&folder)?;
        Ok(Some(Medium { label, on, folder }))
    }

    /// A place in the scratch folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// How many bytes there may be, so that the source stays in the page cache and nothing is
    /// pushed out of memory.
    pub(super) fn room(&self) -> Result<u64> {
        let mut df = Command::new("df");
        let text = read(df.args(["--output=avail", "--block-size=1"]).arg(&self.folder))?;
        let free: u64 = text
            .lines()
            .last()
            .and_then(|line| line.trim().parse().ok())
            .with_context(|| format!("`df` says `{text}`"))?;
        // What is written to disk stays in the page cache as well, for a while.
        Ok(free.min(available_memory()?) / 10 * 8)
    }

    /// Waits until all that was written to this medium is durable, as a run's end or before one.
    pub(super) fn settle(&self) -> Result<()> {
        run(Command::new("sync").arg("-f").arg(&self.folder))
    }

    /// Removes a folder or file of the scratch folder, if it is there.
    pub(super) fn clear(&self, names: &[&str]) -> Result<()> {
        names.iter().try_for_each(|name| remove_folder(&self.path(name)))
    }
}

impl Drop for Medium {
    fn drop(&mut self) {
        if let Err(error) = remove_folder(&self.folder) {
            eprintln!("note: {error:#}");
        }
    }
}

/// Removes the folders of runs that were killed: they may hold gigabytes of memory.
fn remove_left_over(above: &Path) -> Result<()> {
    for entry in fs::read_dir(above).with_context(doing("list", above))? {
        let entry = entry.with_context(doing("list", above))?;
        let name = entry.file_name();
        let run = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse::<u32>().ok());
        if run.is_some_and(|run| !Path::new(&format!("/proc/{run}")).exists()) {
            remove_folder(&entry.path())?;
        }
    }
    Ok(())
}

/// The type of the file system that a folder lies on.
fn filesystem(folder: &Path) -> String {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    // Of those at one place, the last one mounted is seen.
    fields
        .filter(|fields| fields.len() > 2 && folder.starts_with(fields[1].replace("\\040", " ")))
        .max_by_key(|fields| fields[1].len())
        .map_or_else(|| "unknown".to_owned(), |fields| fields[2].to_owned())
}

fn available_memory() -> Result<u64> {
    let path = Path::new("/proc/meminfo");
    let text = fs::read_to_string(path).with_context(doing("read", path))?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    Ok(kib.context("/proc/meminfo has no MemAvailable")? * 1024)
}
