//! Durations and sizes as people write them, both ways.

use std::fmt;
use std::time::Duration;

/// Why a text is no duration or size; a clause that fits behind `` `x` is ... ``.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitError(String);

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UnitError {}

/// Largest first, in nanoseconds.
const TIMES: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Returns the duration that a text such as `500ms`, `10m` or `1h30m` stands for. Units go from
/// large to small, each at most once; blanks may stand between them.
///
/// # Errors
/// Anything else, a number without a unit too.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    const FORM: &str = "write it like \"10s\", \"500ms\" or \"1h30m\"";
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(UnitError(format!("not a duration; {FORM}")));
    }
    let mut units = TIMES.iter();
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let (digits, after) = split(rest, |character| character.is_ascii_digit());
        let after = after.trim_start();
        let (unit, after) = split(after, |character| !character.is_ascii_digit());
        let unit = unit.trim_end();
        if digits.is_empty() {
            return Err(UnitError(format!("not a duration; {FORM}")));
        }
        if unit.starts_with(['.', ',']) {
            return Err(UnitError(format!("not a duration in whole numbers; {FORM}")));
        }
        if unit.is_empty() {
            return Err(UnitError(format!("missing a unit after `{digits}`; {FORM}")));
        }
        let Some((_, scale)) = units.by_ref().find(|(name, _)| *name == unit) else {
            let known = TIMES.iter().any(|(name, _)| *name == unit);
            return Err(UnitError(if known {
                format!("not ordered from large units to small ones, each once; {FORM}")
            } else {
                format!(
                    "not a duration: there is no unit `{unit}`; there are d, h, m, s, ms, us, ns"
                )
            }));
        };
        total = digits
            .parse::<u128>()
            .ok()
            .and_then(|number| number.checked_mul(*scale))
            .and_then(|part| total.checked_add(part))
            .ok_or_else(|| UnitError("too long".into()))?;
        rest = after.trim_start();
    }
    let seconds = u64::try_from(total / 1_000_000_000).map_err(|_| UnitError("too long".into()))?;
    let nanoseconds = u32::try_from(total % 1_000_000_000).unwrap_or_default();
    Ok(Duration::new(seconds, nanoseconds))
}

/// Returns the shortest text that [`parse_duration`] reads back as this very duration: `1h30m`.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let mut rest = duration.as_nanos();
    if rest == 0 {
        return "0s".into();
    }
    let mut text = String::new();
    for (unit, scale) in TIMES {
        let number = rest / scale;
        rest %= scale;
        if number > 0 {
            text.push_str(&format!("{number}{unit}"));
        }
    }
    text
}

const SIZES: [(&str, u128); 12] = [
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
    ("TB", 1_000_000_000_000),
    ("TiB", 1 << 40),
    ("PB", 1_000_000_000_000_000),
    ("PiB", 1 << 50),
];

/// Returns the bytes that a text such as `20 MiB`, `1.5GB` or `4096` stands for: `MB` is a
/// million, `MiB` 1,048,576. Parts of a byte are dropped.
///
/// # Errors
/// Anything else. `20M` and `20 mb` too: a bit is not a byte, and nobody knows which was meant.
pub fn parse_bytes(text: &str) -> Result<u64, UnitError> {
    const FORM: &str = "write it like \"20 MiB\" or \"500 kB\"";
    /// Digits behind the point that are looked at.
    const PLACES: usize = 15;
    let (whole, rest) = split(text.trim(), |character| character.is_ascii_digit());
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => {
            let (fraction, rest) = split(rest, |character| character.is_ascii_digit());
            if fraction.is_empty() {
                return Err(UnitError(format!("not a size; {FORM}")));
            }
            (fraction, rest)
        }
        None => ("", rest),
    };
    if whole.is_empty() {
        return Err(UnitError(format!("not a size; {FORM}")));
    }
    let unit = rest.trim();
    let scale = match SIZES.iter().find(|(name, _)| *name == unit) {
        Some((_, scale)) => *scale,
        None if unit.is_empty() && fraction.is_empty() => 1,
        None if unit.is_empty() => return Err(UnitError(format!("missing a unit; {FORM}"))),
        None => {
            return Err(UnitError(format!(
                "not a size: there is no unit `{unit}`; there are B, kB, KiB, MB, MiB, GB, GiB, TB, TiB"
            )));
        }
    };
    let too_large = || UnitError("too large".into());
    let fraction = &fraction[..fraction.len().min(PLACES)];
    let parts: u128 = if fraction.is_empty() { 0 } else { fraction.parse().unwrap_or(0) };
    let of = 10_u128.pow(u32::try_from(fraction.len()).unwrap_or(0));
    let bytes = whole
        .parse::<u128>()
        .ok()
        .and_then(|number| number.checked_mul(scale))
        .and_then(|bytes| bytes.checked_add(parts * scale / of))
        .ok_or_else(too_large)?;
    u64::try_from(bytes).map_err(|_| too_large())
}

/// Returns a size for people, with one decimal: `512 B`, `1.5 GiB`. What is exact is not said.
#[must_use]
pub fn format_bytes(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // In tenths, rounded, so that 1023.96 KiB becomes 1 MiB and not 1024 KiB.
    let tenths = |unit: usize| {
        let scale = 1_u128 << (10 * unit);
        (u128::from(bytes) * 10 + scale / 2) / scale
    };
    let mut unit = 1;
    while unit + 1 < UNITS.len() && tenths(unit) >= 10_240 {
        unit += 1;
    }
    let tenths = tenths(unit);
    match tenths % 10 {
        0 => format!("{} {}", tenths / 10, UNITS[unit]),
        tenth => format!("{}.{tenth} {}", tenths / 10, UNITS[unit]),
    }
}

fn split(text: &str, keep: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|character| !keep(character)).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_durations() {
        for (text, milliseconds) in [
            ("10s", 10_000),
            ("500ms", 500),
            ("10m", 600_000),
            ("1h30m", 5_400_000),
            (" 1h 30 m ", 5_400_000),
            ("2d", 172_800_000),
            ("0s", 0),
            ("90m", 5_400_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_duration() {
        let refused: Vec<String> = [
            "",
            "10",
            "s",
            "1.5h",
            "-1s",
            "10 min",
            "30m1h",
            "1s1s",
            "99999999999999999999d",
            "1h30",
            "9999999999999999999999999999999999999999999999s",
            "１s",
        ]
        .iter()
        .map(|text| match parse_duration(text) {
            Err(error) => format!("{text:?} is {error}"),
            Ok(duration) => panic!("{text:?} was read as {duration:?}"),
        })
        .collect();
        insta::assert_snapshot!(refused.join("\n"));
    }

    #[test]
    fn reads_sizes() {
        for (text, bytes) in [
            ("4096", 4096),
            ("20 MiB", 20 << 20),
            ("20MiB", 20 << 20),
            ("1.5 GiB", 3 << 29),
            ("1.5 GB", 1_500_000_000),
            ("500 kB", 500_000),
            ("0 B", 0),
            ("0.0009765625 KiB", 1),
            ("16383 PiB", 16383 << 50),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_size() {
        let refused: Vec<String> =
            ["", "MiB", "20M", "20 mb", "20 Mbit", "1.5", "1. MiB", "-1 B", "16384 PiB", "1e3 B"]
                .iter()
                .map(|text| match parse_bytes(text) {
                    Err(error) => format!("{text:?} is {error}"),
                    Ok(bytes) => panic!("{text:?} was read as {bytes}"),
                })
                .collect();
        insta::assert_snapshot!(refused.join("\n"));
    }

    #[test]
    fn shows_sizes() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (1_048_575, "1 MiB"),
            (20 << 20, "20 MiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(format_bytes(bytes), text);
        }
    }

    proptest! {
        #[test]
        fn durations_survive_being_written(seconds: u64, nanoseconds in 0_u32..1_000_000_000) {
            let duration = Duration::new(seconds, nanoseconds);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn round_durations_survive_being_written(milliseconds in 0_u64..100_000_000) {
            let duration = Duration::from_millis(milliseconds);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn shown_sizes_are_near(bits in 0_u32..50, bytes: u64) {
            let bytes = bytes >> (63 - bits); // Shown EiB cannot be written.
            let back = parse_bytes(&format_bytes(bytes)).unwrap();
            prop_assert!(back.abs_diff(bytes) <= bytes / 20 + 1, "{} {}", back, bytes);
        }

        #[test]
        fn no_text_panics(text in ".{0,20}") {
            let _ = parse_duration(&text);
            let _ = parse_bytes(&text);
        }
    }
}
