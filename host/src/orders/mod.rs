//! What people can ask of a host while it works.
//!
//! An order is carried out by the service, if one runs: it comes through the [`door`]. Else the command
//! that has it takes the lock of the state folder and carries it out itself, by the same code.
//!
//! WORK IN PROGRESS (issue 6): the orders are named here, and none is carried out yet.

pub mod door;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is asked for. `what` are selectors, as `publish::selector` reads them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Order {
    /// Brings files to a site, before others if a priority is given.
    Request { project: String, what: Vec<String>, site: String, priority: Option<i64> },
    /// Takes them from a site, and keeps them from coming back by themselves.
    Remove { project: String, what: Vec<String>, site: String, force: bool },
    /// Sends them again.
    Reset { project: String, what: Vec<String>, site: Option<String> },
    /// Sets their priority: 1 to 1000.
    Priority { project: String, what: Vec<String>, priority: i64 },
    /// Holds the host, a project, a site or representations.
    Pause { project: Option<String>, site: Option<String>, what: Vec<String>, by: String },
    /// Lets them go on.
    Resume { project: Option<String>, site: Option<String>, what: Vec<String> },
    /// Compares the catalog with a storage.
    Validate { project: String, site: String },
    /// Keeps one site's file of a conflict.
    Resolve { project: String, file: String, keep: String },
}

/// What comes of an order.
pub type Answer = Result<Value, Refused>;

/// Why an order is not carried out.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
}

/// How far an order is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// Files that are done.
    pub done: u64,
    /// Files in all, as far as is known.
    pub of: Option<u64>,
}
