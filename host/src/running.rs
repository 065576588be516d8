//! What the running service tells other commands of itself: a file in the state folder.
//!
//! In it is what no other process can find out: the generations of plug-ins that are at work, how
//! the storages fare, and which pairs are offline. Whoever wants it to do something gives an order (see `orders`).

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::engine::offline::OfflinePair;
use crate::plugins::Report;
use crate::sites::{ParkedReport, StorageHealth};
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
    /// Every pair that can't be worked on.
    pub offline: Vec<OfflinePair>,
    /// Why changed settings are not in force.
    pub settings_refused: Option<String>,
}

impl Running {
    /// This very process, with this engine.
    #[must_use]
    pub fn here(engine: &Engine, settings_refused: Option<String>) -> Self {
        Running {
            pid: std::process::id(),
            plugins: engine.sites.plugins().report(),
            storages: engine.sites.health(),
            offline: engine.offline.pairs(),
            settings_refused,
        }
    }

    /// How it stands with one of a project's pairs, if that is offline.
    #[must_use]
    pub fn offline(&self, project: &str, pair: &[String; 2]) -> Option<&OfflinePair> {
        self.offline.iter().find(|one| one.project == project && one.pair == *pair)
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
