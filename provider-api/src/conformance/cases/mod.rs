//! The demands, by theme. Each file opens with a table: a name, what the root must declare for the
//! case to apply, and why it matters.

use std::future::Future;
use std::pin::Pin;

use super::ground::Ground;
use super::outcome::Outcome;
use crate::RootInfo;

mod cancel;
mod changes;
mod connect;
mod copy;
mod delete;
mod disk;
mod errors;
mod flush;
mod folder;
mod list;
mod metadata;
mod names;
mod needs;
mod others;
mod overwrite;
mod race;
mod read;
mod rename;
mod resume;
mod sweep;
mod trash;
mod write;

/// One demand on a provider.
#[non_exhaustive]
pub struct Case {
    /// Its name, in snake case; no two are the same.
    pub name: &'static str,
    /// Its theme: `write`, `list`.
    pub group: &'static str,
    /// Why it matters, a sentence.
    pub why: &'static str,
    /// Why it does not apply to a root, if it doesn't.
    pub(super) needs: fn(&RootInfo) -> Option<String>,
    /// How many times as long as others it may take.
    pub(super) patience: u32,
    pub(super) run: fn(Ground) -> Pin<Box<dyn Future<Output = Outcome> + Send>>,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Case").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Every case, in the order of a run.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    let groups = [
        connect::CASES,
        write::CASES,
        overwrite::CASES,
        race::CASES,
        names::CASES,
        read::CASES,
        metadata::CASES,
        resume::CASES,
        list::CASES,
        folder::CASES,
        delete::CASES,
        trash::CASES,
        cancel::CASES,
        errors::CASES,
        copy::CASES,
        rename::CASES,
        flush::CASES,
        changes::CASES,
        disk::CASES,
        sweep::CASES,
        others::CASES,
    ];
    groups.into_iter().flatten()
}

/// A line of a table: the theme, the function, what it needs if anything, why it matters.
macro_rules! case {
    ($group:literal, $run:ident, $why:literal) => {
        case!($group, $run, $crate::conformance::cases::needs::nothing, $why)
    };
    ($group:literal, $run:ident, $needs:path, $why:literal) => {
        $crate::conformance::Case {
            name: stringify!($run),
            group: $group,
            why: $why,
            needs: $needs,
            patience: 1,
            run: |ground| Box::pin($run(ground)),
        }
    };
}
use case;
