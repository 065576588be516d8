//! The catalog, and the time that it keeps.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::output::counted;
use super::report::{Area, Check, Level, Report};
use super::state::State;
use crate::catalog::{Error, Millis, Sqlite, Tallied};
use crate::settings::units::format_duration;
use crate::state_dir::rfc3339;

const SUBJECT: &str = "catalog";
const CLOCK: &str = "clock";
/// Clocks are corrected by so much all the time.
const DRIFT: Duration = Duration::from_secs(60);

/// A catalog that can be read.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) open: Sqlite,
    pub(super) tallies: Vec<Tallied>,
}

/// What there is of the catalog.
#[derive(Debug)]
pub(super) enum Catalog {
    Read(Found),
    /// Nothing was synced yet.
    NotYet,
    /// It is there, or may be, and can't be read.
    Unread,
}

impl Catalog {
    pub(super) fn tallies(&self) -> &[Tallied] {
        if let Catalog::Read(found) = self { &found.tallies } else { &[] }
    }
}

pub(super) fn check(state: &State, report: &mut Report) -> Catalog {
    let catalog = match (state.usable, state.path.exists()) {
        (true, _) => look(state, report),
        (false, true) => Catalog::Unread,
        (false, false) => Catalog::NotYet,
    };
    let last = match &catalog {
        Catalog::Read(found) => found.open.read(|view| view.last_time()).ok(),
        Catalog::NotYet | Catalog::Unread => None,
    };
    report.push(clock(last, SystemTime::now()));
    catalog
}

fn look(state: &State, report: &mut Report) -> Catalog {
    let said = |level, error: Error| Check::said(level, Area::Catalog, SUBJECT, error);
    let open = match Sqlite::open_read_only(&state.path) {
        Ok(open) => open,
        Err(error) => {
            let (level, catalog) = match error {
                Error::Missing { .. } => (Level::Note, Catalog::NotYet),
                Error::Older { .. } => (Level::Warn, Catalog::Unread),
                _ => (Level::Fail, Catalog::Unread),
            };
            report.push(said(level, error));
            return catalog;
        }
    };
    // What is in a damaged one is still worth seeing, as far as it can be read.
    let (sound, version, tallies) = (open.check(), open.schema_version(), open.tallies());
    let tallies = match (sound, version, tallies) {
        (Ok(()), Ok(version), Ok(tallies)) => {
            let projects = counted(tallies.len() as u64, "project");
            let facts = format!("schema {version}, sound, {projects}");
            report.push(Check::ok(Area::Catalog, SUBJECT, facts));
            if let Ok(wrong @ 1..) = open.miscounted() {
                let message = format!(
                    "{} are not what is counted: what `sitesync status` shows is wrong",
                    counted(wrong, "kept counter")
                );
                let check = Check::warn(Area::Catalog, "counters", message);
                report.push(check.hint("stop the service and run `sitesync doctor --repair`"));
            }
            tallies
        }
        (Err(error), _, tallies) => {
            report.push(said(Level::Fail, error));
            tallies.unwrap_or_default()
        }
        (_, Err(error), tallies) => {
            report.push(said(Level::Fail, error));
            tallies.unwrap_or_default()
        }
        (_, _, Err(error)) => {
            report.push(said(Level::Fail, error));
            Vec::new()
        }
    };
    Catalog::Read(Found { open, tallies })
}

/// The calendar against the latest host time that was stored.
fn clock(last: Option<Millis>, now: SystemTime) -> Check {
    let shown = rfc3339(now);
    let last = last.and_then(|last| u64::try_from(last).ok()).filter(|last| *last > 0);
    let Some(last) = last else {
        return Check::ok(Area::Clock, CLOCK, format!("{shown}, with nothing to compare it with"));
    };
    let last = UNIX_EPOCH + Duration::from_millis(last);
    match last.duration_since(now) {
        Ok(behind) if behind > DRIFT => {
            let behind = format_duration(Duration::from_secs(behind.as_secs()));
            let message = format!(
                "the calendar says {shown}, {behind} before the latest time that the catalog knows \
                 ({}): it was set back, or had been ahead",
                rfc3339(last)
            );
            Check::warn(Area::Clock, CLOCK, message).hint(
                "see that this machine's clock is right (`timedatectl`); files whose times lie in \
                 the future wait before they travel",
            )
        }
        _ => Check::ok(Area::Clock, CLOCK, format!("{shown}, not behind the catalog's time")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calendar_that_was_set_back_is_told() {
        let now = UNIX_EPOCH + Duration::from_secs(1_774_960_496);
        let at = |seconds: i64| Some((1_774_960_496 + seconds) * 1000);
        for (last, level) in [
            (None, Level::Ok),
            (Some(0), Level::Ok),
            (at(-86_400), Level::Ok),
            (at(60), Level::Ok),
            (at(61), Level::Warn),
        ] {
            assert_eq!(clock(last, now).level(), level, "{last:?}");
        }
        insta::assert_snapshot!(clock(at(7200), now).text());
    }
}
