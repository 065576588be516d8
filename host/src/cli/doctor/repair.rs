//! `sitesync doctor --repair`: a catalog that is damaged is set aside, and made anew from what the sites
//! have. Nothing is deleted, and nothing is copied that is where it belongs already.

use std::path::Path;
use std::time::SystemTime;

use super::super::output::{counted, say};
use super::super::{Exit, Failure, Global, ground, sync};
use crate::catalog::{self, Error, Sqlite};
use crate::state_dir::{StateDir, rfc3339};

/// What is the matter with a catalog.
enum Found {
    Sound,
    /// Some counters are not what is counted.
    Miscounted(u64),
    /// With a sentence for a person.
    Damaged(String),
    /// There is none.
    Gone,
}

pub(super) fn run(global: &Global, json: bool) -> Result<Exit, Failure> {
    // Settings that are wrong are told before anything is moved.
    ground::load_settings(global)?;
    let state = StateDir::open(&ground::state_path(global)?)?;
    let lock = state.lock()?;
    let folder = state.path();
    match look(folder)? {
        Found::Sound => {
            say("the catalog is sound: nothing to repair");
            return Ok(Exit::Done);
        }
        Found::Miscounted(counters) => {
            let mended = catalog::recount(folder)?;
            let mended = counted(mended.max(counters), "counter");
            say(format_args!("{mended} of the catalog were wrong, and were counted anew"));
            return Ok(Exit::Done);
        }
        Found::Gone => say("there is no catalog: it is made anew from what the sites have"),
        Found::Damaged(why) => say(format_args!(
            "the catalog is damaged ({why}): it is made anew from what the sites have"
        )),
    }
    let when = rfc3339(SystemTime::now()).replace(':', "");
    if let Some(aside) = catalog::set_aside(folder, &when)? {
        say(format_args!(
            "the damaged one is {} now; what was asked for by hand (requests, removals, pauses, priorities) \
             is only there",
            aside.display()
        ));
    }
    drop(lock);
    sync::run(global, &sync::Arguments::all(json))
}

fn look(folder: &Path) -> Result<Found, Failure> {
    let found = Sqlite::open_read_only(folder).and_then(|open| {
        open.check()?;
        open.miscounted()
    });
    match found {
        Ok(0) => Ok(Found::Sound),
        Ok(counters) => Ok(Found::Miscounted(counters)),
        Err(Error::Missing { .. }) => Ok(Found::Gone),
        Err(Error::Damaged(why)) => Ok(Found::Damaged(why)),
        // Brought up to date by whoever opens it to write.
        Err(Error::Older { .. }) => {
            let open = Sqlite::open(folder).and_then(|open| open.check());
            match open {
                Ok(()) => Ok(Found::Sound),
                Err(Error::Damaged(why)) => Ok(Found::Damaged(why)),
                Err(error) => Err(error.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}
