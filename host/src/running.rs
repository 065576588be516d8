//! What the running service tells other commands of itself: a file in the state folder.
//!
//! In it is what no other process can find out: the generations of plug-ins that are at work, and
//! how the storages fare. Whoever wants it to do something gives an order (see `orders`).

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::plugins::Report;
use crate::sites::{ParkedReport, Sites, StorageHealth};
use crate::state_dir;

const FILE: &str = "service.json";

/// The running service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Running {
    /// Its process.
    pub pid: u32,
    /// Every plug-in that it knows of.
    pub plugins: Vec<Report>,
    /// Every storage that it works with.
    pub storages: Vec<StorageHealth>,
    /// Why changed settings are not in force.
    pub settings_refused: Option<String>,
}

impl Running {
    /// This very process, with these sites.
    #[must_use]
    pub fn here(sites: &Sites, settings_refused: Option<String>) -> Self {
        let (plugins, storages) = (sites.plugins().report(), sites.health());
        Running { pid: std::process::id(), plugins, storages, settings_refused }
    }

    /// Why the storage of a site is left alone, if it is.
    #[must_use]
    pub fn parked(&self, site: &str) -> Option<&ParkedReport> {
        let mut of_site = self.storages.iter().filter(|one| one.sites.iter().any(|s| s == site));
        of_site.find_map(|one| one.parked.as_ref())
    }

    /// Puts it into the state folder, in one step.
    pub fn tell(&self, state: &Path) -> io::Result<()> {
        let temporary = state.join(format!(".{FILE}"));
        let mut options = OpenOptions::new();
        let mut file =
            options.write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        fs::rename(temporary, state.join(FILE))
    }

    /// What the service that works on this state folder last told; `None` if none does.
    #[must_use]
    pub fn ask(state: &Path) -> Option<Self> {
        let (pid, _) = state_dir::holder(state)?;
        let running: Running = serde_json::from_slice(&fs::read(state.join(FILE)).ok()?).ok()?;
        // What another left behind says nothing.
        (running.pid == pid).then_some(running)
    }
}
