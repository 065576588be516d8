//! Everything that the emulated Drive knows, in memory, behind one lock.
//!
//! What lives here knows files, people, uploads and the feed of changes; it knows nothing of HTTP.
//! Who may do what is asked here ([`State::role`]), and enforced by `api`.

mod changes;
mod items;
mod people;
mod sessions;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::bugs::Bug;
use crate::clock::Clock;
use crate::faults::Script;
use crate::ids;
use crate::rate::Bucket;
use crate::requests::Log;

pub(crate) use changes::{Change, Feed};
pub(crate) use items::{Item, Revision};
pub use people::Role;
pub(crate) use people::{Account, Caller, Scope, SharedDrive, Token};
pub(crate) use sessions::{End, Session, Target};

/// The type of folders.
pub(crate) const FOLDER: &str = "application/vnd.google-apps.folder";
/// The type of shortcuts.
pub(crate) const SHORTCUT: &str = "application/vnd.google-apps.shortcut";

/// Everything.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) clock: Clock,
    pub(crate) accounts: BTreeMap<String, Account>,
    pub(crate) tokens: HashMap<String, Token>,
    pub(crate) drives: BTreeMap<String, SharedDrive>,
    pub(crate) items: HashMap<String, Item>,
    /// What lies in each folder.
    children: HashMap<String, BTreeSet<String>>,
    /// Ids that `files.generateIds` gave out and that nothing has yet.
    pub(crate) generated: HashSet<String>,
    /// Ids that something has or had.
    used: HashSet<String>,
    pub(crate) sessions: HashMap<String, Session>,
    pub(crate) changes: Vec<Change>,
    /// Page tokens of the feed that are older than this are not understood any more, and the
    /// status that tells so.
    pub(crate) oldest_change: (usize, u16),
    /// What is left to show of lists that have further pages.
    pub(crate) pages: HashMap<String, Page>,
    pub(crate) log: Log,
    pub(crate) faults: Script,
    pub(crate) buckets: HashMap<String, Bucket>,
    /// Requests that were refused because a user made too many.
    pub(crate) rate_refusals: u64,
    /// The API is switched off for the project.
    pub(crate) disabled: bool,
    /// Service accounts have no storage of their own.
    pub(crate) service_storage: bool,
    pub(crate) bugs: Vec<Bug>,
    /// Counts everything that is made.
    made: u64,
}

/// The rest of a list.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// What was asked, for that a token only goes on with the same question.
    pub(crate) question: String,
    pub(crate) ids: Arc<[String]>,
    pub(crate) at: usize,
}

impl State {
    pub(crate) fn has(&self, bug: Bug) -> bool {
        self.bugs.contains(&bug)
    }

    /// Returns a new id; it is not taken by that.
    pub(crate) fn new_id(&self) -> String {
        ids::file()
    }

    /// Whether something has or had this id.
    pub(crate) fn is_used(&self, id: &str) -> bool {
        self.used.contains(id)
    }
}
