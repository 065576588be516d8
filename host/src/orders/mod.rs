//! What people can ask of a host while it works.
//!
//! An order is carried out by the service, if one runs: it comes through the [`door`]. Else the command
//! that has it takes the lock of the state folder and carries it out itself. Either way it is done by a
//! [`Desk`], each order in a file of its own.
//!
//! Orders name projects and sites as the settings do. What they change is in the catalog when they are
//! answered, so that it outlives the host.

mod adopt;
mod desk;
pub mod door;
mod ensure;
mod pause;
mod publish;
mod remove;
mod request;
mod resolve;
pub mod selection;
mod validate;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use desk::Desk;
pub(crate) use desk::{beneath_roots, roots};
pub use publish::{Item, Parts};
pub(crate) use request::state;

/// What is asked for. `what` are selectors, as `publish::selector` reads them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Order {
    /// Holds the host, a project, a site or representations.
    Pause { project: Option<String>, site: Option<String>, what: Vec<String>, by: String },
    /// Lets them go on.
    Resume { project: Option<String>, site: Option<String>, what: Vec<String> },
    /// Lets go on what guards of a project stopped: all of it, or what is to be done at one site, to
    /// these files, of one kind (`delete` or `change`).
    ResumeHeld {
        project: Option<String>,
        site: Option<String>,
        what: Vec<String>,
        kind: Option<String>,
    },
    /// Records files as made at a site [the active one], and queues them at once.
    Publish { project: String, site: Option<String>, items: Vec<Item>, by: String },
    /// Brings files to a site. Those that are in a state there, if one is named.
    Request {
        project: String,
        what: Vec<String>,
        site: String,
        state: Option<String>,
        priority: Option<i64>,
    },
    /// Brings files to a site before all others and, for so many seconds, waits until they are there.
    Ensure { project: String, what: Vec<String>, site: String, wait: Option<u64> },
    /// Sends files again that were given up; at a site, also what is there.
    Reset { project: String, what: Vec<String>, site: Option<String>, state: Option<String> },
    /// Sets what comes first: 1 to 1000, or 0 for the project's. Of files in a state at a site, or at
    /// any, for what is queued.
    Priority {
        project: String,
        what: Vec<String>,
        site: Option<String>,
        state: Option<String>,
        priority: i64,
    },
    /// Keeps the content that a site has of files in conflict.
    Resolve { project: String, what: Vec<String>, keep: String },
    /// Deletes files of a site, and has nothing bring them back by itself.
    Remove {
        project: String,
        what: Vec<String>,
        site: Option<String>,
        state: Option<String>,
        force: bool,
    },
    /// Deletes everything of a project at a site.
    Clear { project: String, site: String, force: bool },
    /// Compares the catalog with what sites have, and puts it right.
    Validate { project: String, what: Vec<String>, site: Option<String> },
    /// Records copies that are at a site already.
    Adopt { project: String, site: String, root: Option<String>, folder: String },
}

impl Order {
    /// Whether it does little but wait for what others do, maybe for hours.
    fn waits(&self) -> bool {
        matches!(self, Order::Ensure { wait: Some(_), .. })
    }

    /// An order that only waits, with what is left of its time after so long; `None` for others, which
    /// may have been carried out, and when there is no time left.
    #[must_use]
    pub fn left(&self, after: Duration) -> Option<Order> {
        let mut left = self.clone();
        match &mut left {
            Order::Ensure { wait: Some(wait), .. } => {
                *wait = wait.checked_sub(after.as_secs()).filter(|wait| *wait > 0)?;
                Some(left)
            }
            _ => None,
        }
    }

    /// Whether it is carried out at the sites' storages, so that their plug-ins are needed.
    #[must_use]
    pub fn needs_sites(&self) -> bool {
        match self {
            // What is published is looked at where it is, and nowhere else: one plug-in is loaded.
            Order::Publish { .. }
            | Order::Pause { .. }
            | Order::Resume { .. }
            | Order::ResumeHeld { .. }
            | Order::Request { .. }
            | Order::Reset { .. }
            | Order::Priority { .. }
            | Order::Resolve { .. } => false,
            Order::Ensure { wait, .. } => wait.is_some(),
            Order::Remove { .. }
            | Order::Clear { .. }
            | Order::Validate { .. }
            | Order::Adopt { .. } => true,
        }
    }
}

/// What comes of an order.
pub type Answer = Result<Value, Refused>;

/// Why an order is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Refused {
    /// The exit code of the command.
    pub exit: u8,
    /// A sentence for a person.
    pub message: String,
    /// What to do, where there is something.
    pub hint: Option<String>,
}

impl Refused {
    /// A refusal with this exit code.
    #[must_use]
    pub fn new(exit: u8, message: impl Into<String>) -> Self {
        Refused { exit, message: message.into(), hint: None }
    }

    /// What was asked for is wrong: exit code 2.
    #[must_use]
    pub fn wrong(message: impl Into<String>) -> Self {
        Refused::new(2, message)
    }

    /// It can't be done now: exit code 3.
    #[must_use]
    pub fn blocked(message: impl Into<String>) -> Self {
        Refused::new(3, message)
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<crate::catalog::Error> for Refused {
    fn from(error: crate::catalog::Error) -> Self {
        Refused::blocked(error.to_string())
    }
}

impl From<crate::sites::Fault> for Refused {
    fn from(fault: crate::sites::Fault) -> Self {
        Refused { exit: 3, message: fault.to_string(), hint: fault.hint }
    }
}

/// How far an order is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// Files that are done.
    pub done: u64,
    /// Files in all, as far as is known.
    pub of: Option<u64>,
    /// Their bytes,
    #[serde(default)]
    pub bytes: u64,
    /// and those of all.
    #[serde(default)]
    pub of_bytes: u64,
    /// What it waits for, as a sentence.
    pub waits: Option<String>,
}
