//! Frame sequences among the files of a representation, and what they lack.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::file_name;

/// The most digits of a frame: longer numbers are dates and the like.
const DIGITS: usize = 7;

/// As many stretches of missing frames are written out.
const SHOWN: usize = 8;

/// Files that differ in a number only, or a single file.
///
/// `Display` is a line for people: `beauty.####.exr 1001-1100, 1057 missing`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Sequence {
    /// The file's name. In a sequence a `#` stands for each digit, one alone for numbers of any
    /// length (`beauty.####.exr`), and `<UDIM>` for the number of a tile.
    pub name: String,
    /// How many there are.
    pub files: usize,
    /// What the numbers say; `None` for a single file.
    #[serde(flatten)]
    pub numbers: Option<Numbers>,
}

/// What the numbers in a sequence's files say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Numbers {
    /// Frames in time.
    Frames {
        /// From the first to the last. Every second frame is a step of 2.
        #[serde(flatten)]
        range: Range,
        /// What is not there, in order.
        missing: Vec<Range>,
    },
    /// UDIM tiles: no frames, so that none is missing.
    Tiles(Vec<Range>),
}

/// Whole numbers from the first to the last, both included. `Display` is `1001-1099x2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Range {
    /// At most `last`.
    pub first: i64,
    /// `first`, or some steps from it.
    pub last: i64,
    /// At least 1.
    pub step: i64,
}

impl Range {
    /// Returns how many numbers these are.
    #[must_use]
    pub fn count(&self) -> u64 {
        (self.last - self.first).unsigned_abs() / self.step.unsigned_abs() + 1
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { first, last, step } = self;
        match (self.count(), step) {
            (1, _) => write!(f, "{first}"),
            (_, 1) => write!(f, "{first}-{last}"),
            _ => write!(f, "{first}-{last}x{step}"),
        }
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.numbers {
            None => Ok(()),
            Some(Numbers::Tiles(tiles)) => {
                f.write_str(" ")?;
                list(f, tiles)
            }
            Some(Numbers::Frames { range, missing }) if missing.is_empty() => write!(f, " {range}"),
            Some(Numbers::Frames { range, missing }) => {
                write!(f, " {range}, ")?;
                list(f, missing)?;
                f.write_str(" missing")
            }
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, ranges: &[Range]) -> fmt::Result {
    for (index, range) in ranges.iter().take(SHOWN).enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        write!(f, "{comma}{range}")?;
    }
    match ranges.get(SHOWN..).unwrap_or_default().iter().map(Range::count).sum::<u64>() {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
}

/// Returns the sequences and the single files among the names of one folder, sorted by name. A name
/// that is given twice counts once.
///
/// The number is the last thing before the extension: after a `.` or `_` (`beauty.1001.exr`,
/// `beauty_-5.exr`), as the whole name (`1001.exr`), or with at least four digits (`render0001.png`),
/// but not as a version (`scene_v001.ma`). Numbers with leading zeros are as wide as their narrowest,
/// a minus included, as `printf` writes them.
///
/// Numbers from 1001 to 1999 are tiles in textures (`tx`, `tex`, `rat`), and after a `_`, where
/// OpenPype and AYON write them; they write frames after a `.`.
#[must_use]
pub fn sequences<'n>(names: impl IntoIterator<Item = &'n str>) -> Vec<Sequence> {
    let names: BTreeSet<&str> = names.into_iter().collect();
    let mut found = Vec::new();
    let mut alike: BTreeMap<(&str, &str), Vec<Numbered<'_>>> = BTreeMap::new();
    for name in names {
        match Numbered::of(name) {
            Some(numbered) => alike.entry(numbered.around()).or_default().push(numbered),
            None => found.push(Sequence { name: name.to_owned(), files: 1, numbers: None }),
        }
    }
    for ((before, behind), all) in alike {
        let padded = all.iter().filter(|one| one.is_padded()).map(|one| one.digits.len());
        let padded: BTreeSet<usize> = padded.collect();
        let mut by_width: BTreeMap<usize, Vec<Numbered<'_>>> = BTreeMap::new();
        for one in all {
            // More digits than the width mean that a number outgrew it.
            let width = padded.range(..=one.digits.len()).next_back().copied().unwrap_or(0);
            by_width.entry(width).or_default().push(one);
        }
        for (width, mut one) in by_width {
            one.sort_by_key(|one| one.number);
            found.push(sequence(before, behind, width, &one));
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// A file name with a number in it.
struct Numbered<'n> {
    name: &'n str,
    /// Its digits, and the minus before them.
    digits: &'n str,
    /// Where they begin.
    at: usize,
    number: i64,
}

impl<'n> Numbered<'n> {
    fn of(name: &'n str) -> Option<Self> {
        let (stem, _) = file_name::split(name)?;
        let text = stem.trim_end_matches(|character: char| character.is_ascii_digit());
        let count = stem.len() - text.len();
        if !(1..=DIGITS).contains(&count) {
            return None;
        }
        let set_off = |text: &str| text.is_empty() || text.ends_with(['.', '_']);
        let number: i64 = stem[text.len()..].parse().ok()?;
        let negative = text.strip_suffix('-').filter(|text| set_off(text) && number > 0);
        let at = match negative {
            Some(text) => text.len(),
            None if set_off(text) => text.len(),
            None if count >= 4 && !text.ends_with(['v', 'V']) => text.len(),
            None => return None,
        };
        let number = if negative.is_some() { -number } else { number };
        Some(Numbered { name, digits: &stem[at..], at, number })
    }

    /// What stands before and behind the number.
    fn around(&self) -> (&'n str, &'n str) {
        (&self.name[..self.at], &self.name[self.at + self.digits.len()..])
    }

    fn is_padded(&self) -> bool {
        let digits = self.digits.strip_prefix('-').unwrap_or(self.digits);
        digits.len() > 1 && digits.starts_with('0')
    }
}

/// Puts those together that differ in their numbers only, in the order of these; there is at least
/// one, and no number twice.
fn sequence(before: &str, behind: &str, width: usize, files: &[Numbered<'_>]) -> Sequence {
    if let [only] = files {
        return Sequence { name: only.name.to_owned(), files: 1, numbers: None };
    }
    let numbers: Vec<i64> = files.iter().map(|one| one.number).collect();
    let extension = file_name::split(behind).map_or(behind, |(_, extension)| extension);
    let texture = ["tx", "tex", "rat"]
        .iter()
        .any(|known| extension.trim_start_matches('.').eq_ignore_ascii_case(known));
    let tiles = (texture || before.ends_with('_'))
        && numbers.iter().all(|number| (1001..=1999).contains(number));
    if tiles {
        let name = format!("{before}<UDIM>{behind}");
        return Sequence {
            name,
            files: files.len(),
            numbers: Some(Numbers::Tiles(runs(&numbers))),
        };
    }
    let (first, last) = (numbers[0], numbers[numbers.len() - 1]);
    let step = step(&numbers);
    let gaps = numbers.windows(2).filter(|pair| pair[1] - pair[0] > step);
    let missing = gaps.map(|pair| Range { first: pair[0] + step, last: pair[1] - step, step });
    let missing = missing.collect();
    let same = files.iter().all(|one| one.digits.len() == files[0].digits.len());
    let width = if width == 0 && same { files[0].digits.len() } else { width.max(1) };
    Sequence {
        name: format!("{before}{}{behind}", "#".repeat(width)),
        files: files.len(),
        numbers: Some(Numbers::Frames { range: Range { first, last, step }, missing }),
    }
}

/// The step that all of these are apart: 1 unless there are three of them or more.
fn step(numbers: &[i64]) -> i64 {
    fn common(a: i64, b: i64) -> i64 {
        if b == 0 { a } else { common(b, a % b) }
    }
    if numbers.len() < 3 {
        return 1;
    }
    numbers.windows(2).map(|pair| pair[1] - pair[0]).fold(0, common).max(1)
}

/// Stretches without a gap.
fn runs(numbers: &[i64]) -> Vec<Range> {
    let mut runs: Vec<Range> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some(run) if run.last + 1 == number => run.last = number,
            _ => runs.push(Range { first: number, last: number, step: 1 }),
        }
    }
    runs
}
