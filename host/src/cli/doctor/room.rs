//! Free room.

use super::super::output::size;
use super::report::{Area, Check};

/// Less than this is little, wherever it is: bytes.
const LITTLE: u64 = 1 << 30;
/// So is less than this part of all there is.
const PART: u64 = 20;

/// Whether there is room enough: `free` of `total` bytes.
pub(super) fn check(area: Area, subject: &str, free: u64, total: Option<u64>) -> Check {
    let facts = match total {
        Some(total) => format!("{} of {} free", size(free), size(total)),
        None => format!("{} free", size(free)),
    };
    if free < LITTLE || total.is_some_and(|total| free < total / PART) {
        let check = Check::warn(area, subject, format!("only {facts}"));
        return check.hint("make room: what no longer fits waits until there is some");
    }
    Check::ok(area, subject, facts)
}

#[cfg(test)]
mod tests {
    use super::super::report::Level;
    use super::*;

    #[test]
    fn little_room_is_told() {
        const GIB: u64 = 1 << 30;
        for (free, total, enough) in [
            (GIB, None, true),
            (GIB - 1, None, false),
            (5 * GIB, Some(100 * GIB), true),
            (5 * GIB - 1, Some(100 * GIB), false),
            // Small ones too: little is little.
            (GIB / 2, Some(GIB), false),
            (0, Some(0), false),
        ] {
            let found = check(Area::Sites, "room", free, total);
            assert_eq!(found.level() == Level::Ok, enough, "{free} of {total:?}: {found:?}");
        }
    }
}
