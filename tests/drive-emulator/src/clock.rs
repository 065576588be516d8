//! The emulator's time, in milliseconds since 1970 (UTC), and its text form (RFC 3339).

use std::time::{SystemTime, UNIX_EPOCH};

const DAY: i64 = 86_400_000;

/// A clock that may be off, and that never shows the same instant twice: the oldest of several
/// files of one name is always one of them.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// Seconds that are added to the machine's time.
    pub(crate) offset: i64,
    last: i64,
}

impl Clock {
    /// Returns the time for something that happens now.
    pub(crate) fn tick(&mut self) -> i64 {
        self.last = self.now().max(self.last + 1);
        self.last
    }

    /// Returns the time.
    pub(crate) fn now(&self) -> i64 {
        now(self.offset)
    }
}

/// Returns the machine's time plus `offset` seconds.
pub(crate) fn now(offset: i64) -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    i64::try_from(since.as_millis()).expect("a clock before the year 292 million") + offset * 1000
}

/// Writes an instant as Drive does: `2026-01-31T08:30:00.000Z`.
pub(crate) fn text(ms: i64) -> String {
    let (year, month, day) = date(ms.div_euclid(DAY));
    let (hour, minute, second, milli) = time(ms);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// Writes an instant as HTTP does: `Sat, 31 Jan 2026 08:30:00 GMT`.
pub(crate) fn http(ms: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let days = ms.div_euclid(DAY);
    let (year, month, day) = date(days);
    let (hour, minute, second, _) = time(ms);
    let (weekday, month) = (DAYS[days.rem_euclid(7) as usize], MONTHS[month as usize - 1]);
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

/// Reads an RFC 3339 instant with any offset; a bare date or a missing offset mean UTC, as in
/// queries. What is finer than milliseconds is cut off.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = text.get(range)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let mark = |at: usize, marks: &[u8]| text.as_bytes().get(at).is_some_and(|b| marks.contains(b));
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    if !(mark(4, b"-") && mark(7, b"-") && (1..=12).contains(&month) && (1..=31).contains(&day)) {
        return None;
    }
    let midnight = days(year, month, day) * DAY;
    if text.len() == 10 {
        return Some(midnight);
    }
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let separated = mark(10, b"Tt ") && mark(13, b":") && mark(16, b":");
    if !separated || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut rest = &text[19..];
    let mut milli = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let end = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
        let digits = format!("{:0<3}", &fraction[..end]);
        milli = if end == 0 { return None } else { digits[..3].parse().ok()? };
        rest = &fraction[end..];
    }
    let away = match rest.as_bytes() {
        b"" | b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), hours @ .., b':', m1, m2] if hours.len() == 2 => {
            let hours: i64 = std::str::from_utf8(hours).ok()?.parse().ok()?;
            let minutes: i64 = std::str::from_utf8(&[*m1, *m2]).ok()?.parse().ok()?;
            (hours * 60 + minutes) * if *sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    Some(midnight + ((hour * 60 + minute - away) * 60 + second) * 1000 + milli)
}

fn time(ms: i64) -> (i64, i64, i64, i64) {
    let ms = ms.rem_euclid(DAY);
    (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
}

/// Days since 1970 of a date of the Gregorian calendar; the years begin in March here, so that
/// the leap day is their last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The inverse of [`days`].
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_and_written() {
        for (read, written) in [
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"),
            ("2024-02-29T23:59:59.123456789Z", "2024-02-29T23:59:59.123Z"),
            ("2026-01-31T08:30:00.5+05:30", "2026-01-31T03:00:00.500Z"),
            ("2026-01-01T00:00:00-01:00", "2026-01-01T01:00:00.000Z"),
            ("1999-12-31", "1999-12-31T00:00:00.000Z"),
            ("2000-03-01T12:00:00", "2000-03-01T12:00:00.000Z"),
        ] {
            assert_eq!(parse(read).map(text).as_deref(), Some(written), "{read}");
        }
        for wrong in ["", "yesterday", "2026-13-01", "2026-01-01T25:00:00Z", "2026-01-01T00:00:00X"]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn dates_of_http_have_their_weekday() {
        let instant = parse("2026-01-31T08:30:00Z").unwrap();
        assert_eq!(http(instant), "Sat, 31 Jan 2026 08:30:00 GMT");
    }

    #[test]
    fn no_instant_comes_twice() {
        let mut clock = Clock::default();
        let first = clock.tick();
        assert!(clock.tick() > first);
    }
}
