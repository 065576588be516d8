//! A real plug-in that is damaged in every way that its headers and its manifest can be, and is
//! whole again afterwards: a few bytes are changed in place, since there are a hundred thousand to
//! try.

use std::ops::Range;

use anyhow::{Context, Result, ensure};

use crate::content::Chance;

/// An ELF library of 64 bits, little endian, without symbols and debug information.
#[derive(Debug, Clone)]
pub struct Specimen {
    bytes: Vec<u8>,
    /// How much of it is there: less than all after a cut.
    len: usize,
    /// Its length when it is whole.
    whole: usize,
    /// The tables, each with the size of an entry: of segments, and of sections.
    tables: [(Range<usize>, usize); 2],
    manifest: Range<usize>,
    undo: Vec<(usize, Vec<u8>)>,
}

const HEADER: usize = 64;
const SEGMENT: usize = 56;
const SECTION: usize = 64;

/// Where the fields of the header, of a segment and of a section begin, and how long they are.
const FIELDS: [&[(usize, usize)]; 3] = [
    &[
        (4, 1),
        (5, 1),
        (6, 1),
        (7, 1),
        (16, 2),
        (18, 2),
        (20, 4),
        (24, 8),
        (32, 8),
        (40, 8),
        (48, 4),
        (52, 2),
        (54, 2),
        (56, 2),
        (58, 2),
        (60, 2),
        (62, 2),
    ],
    &[(0, 4), (4, 4), (8, 8), (16, 8), (24, 8), (32, 8), (40, 8), (48, 8)],
    &[(0, 4), (4, 4), (8, 8), (16, 8), (24, 8), (32, 8), (40, 4), (44, 4), (48, 8), (56, 8)],
];

/// What was done to a specimen.
#[derive(Debug, Default)]
pub struct Damage {
    /// Each change, for people.
    pub what: Vec<String>,
    /// Whether it reached the text of the manifest.
    pub manifest: bool,
}

impl Specimen {
    /// Keeps of a library what is loaded, its manifest and a table of two sections.
    pub fn of(library: &[u8]) -> Result<Self> {
        ensure!(
            library.starts_with(b"\x7fELF\x02\x01"),
            "no ELF library of 64 bits, little endian"
        );
        let number = |at: usize, len: usize| -> Result<usize> {
            let bytes = library.get(at..at + len).context("the library is cut short")?;
            Ok(bytes.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
        };
        let segments = number(32, 8)?..number(32, 8)? + number(56, 2)? * SEGMENT;
        let mut end = segments.end;
        for at in segments.clone().step_by(SEGMENT) {
            end = end.max(number(at + 8, 8)? + number(at + 32, 8)?);
        }
        let sections = (0..number(60, 2)?).map(|n| Ok(number(40, 8)? + n * SECTION));
        let sections = sections.collect::<Result<Vec<usize>>>()?;
        let names = number(sections[number(62, 2)?] + 24, 8)?;
        let named = |at: usize| -> Result<bool> {
            Ok(library[names + number(at, 4)?..].starts_with(b".sitesync\0"))
        };
        let mut found = None;
        for at in sections {
            if named(at)? {
                found = Some(number(at + 24, 8)?..number(at + 24, 8)? + number(at + 32, 8)?);
            }
        }
        let manifest = found.context("the library has no manifest")?;
        ensure!(manifest.end <= end, "the manifest is not loaded");

        let mut bytes = library[..end].to_vec();
        let names = bytes.len();
        bytes.extend(b"\0.sitesync\0.shstrtab\0");
        let names = names..bytes.len();
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        let table = bytes.len();
        bytes.resize(table + SECTION, 0);
        for (name, kind, at) in [(1u32, 1u32, &manifest), (11, 3, &names)] {
            let mut entry = [name.to_le_bytes(), kind.to_le_bytes()].concat();
            for number in [0, 0, at.start, at.len(), 0, 1, 0] {
                entry.extend((number as u64).to_le_bytes());
            }
            bytes.extend(entry);
        }
        bytes[40..48].copy_from_slice(&(table as u64).to_le_bytes());
        bytes[60..64].copy_from_slice(&[3, 0, 2, 0]);
        let (whole, tables) = (bytes.len(), [(segments, SEGMENT), (table..bytes.len(), SECTION)]);
        Ok(Specimen { bytes, len: whole, whole, tables, manifest, undo: Vec::new() })
    }

    /// The file as it is now.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The text of its manifest, when it is whole.
    #[must_use]
    pub fn manifest(&self) -> String {
        String::from_utf8_lossy(&self.bytes[self.manifest.clone()]).into_owned()
    }

    /// All that its manifest can say now: the text of the whole one, and what was written behind it.
    #[must_use]
    pub fn said(&self) -> String {
        let behind = self.bytes.get(self.whole..).unwrap_or_default();
        String::from_utf8_lossy(&[&self.bytes[self.manifest.clone()], behind].concat()).into_owned()
    }

    /// Gives it another name of the same length, for good.
    pub fn rename(&mut self, name: &str) {
        let at = self.manifest.start + self.manifest().find("\nname=").expect("a name") + 6;
        let old = self.bytes[at..].iter().position(|byte| *byte == b'\n');
        assert_eq!(old, Some(name.len()), "the layout must stay");
        self.bytes[at..at + name.len()].copy_from_slice(name.as_bytes());
    }

    /// Changes one to four things about it.
    pub fn damage(&mut self, chance: &mut Chance) -> Damage {
        let mut damage = Damage::default();
        for _ in 0..=chance.below(4) {
            let what = match chance.below(10) {
                0 => self.flip(chance, &mut damage),
                1..=3 => self.set_field(chance, &mut damage),
                4 => self.swap_or_copy(chance, &mut damage),
                5 => self.cut_or_extend(chance),
                6 => self.scribble(chance, &mut damage),
                7 => self.move_manifest(chance, &mut damage),
                _ => self.rewrite_manifest(chance, &mut damage),
            };
            damage.what.push(what);
        }
        damage
    }

    /// Makes it whole again.
    pub fn heal(&mut self) {
        for (at, old) in std::mem::take(&mut self.undo).into_iter().rev() {
            self.bytes[at..at + old.len()].copy_from_slice(&old);
        }
        self.bytes.truncate(self.whole);
        self.len = self.whole;
    }

    fn put(&mut self, at: usize, new: &[u8], damage: &mut Damage) {
        let end = (at + new.len()).min(self.bytes.len());
        let Some(place) = self.bytes.get_mut(at..end) else { return };
        let changes = place.iter().zip(new).any(|(old, new)| old != new);
        damage.manifest |= changes && at < self.manifest.end && end > self.manifest.start;
        self.undo.push((at, place.to_vec()));
        place.copy_from_slice(&new[..end - at]);
    }

    /// A byte of the headers, the tables or the manifest; now and then of anything.
    fn anywhere(&self, chance: &mut Chance) -> usize {
        let parts = [
            0..HEADER,
            self.tables[0].0.clone(),
            self.tables[1].0.clone(),
            self.manifest.clone(),
            0..self.bytes.len(),
        ];
        let part = chance.pick(&parts).cloned().unwrap_or_default();
        part.start + index(chance, part.len())
    }

    /// The header, or an entry of a table: where it begins, and its fields.
    fn entry(&self, chance: &mut Chance) -> (usize, &'static [(usize, usize)]) {
        let which = index(chance, 3);
        match which.checked_sub(1) {
            None => (0, FIELDS[0]),
            Some(table) => {
                let (range, size) = &self.tables[table];
                (range.start + index(chance, range.len() / size) * size, FIELDS[which])
            }
        }
    }

    fn flip(&mut self, chance: &mut Chance, damage: &mut Damage) -> String {
        let (at, bit) = (self.anywhere(chance), chance.below(8));
        self.put(at, &[self.bytes[at] ^ (1 << bit)], damage);
        format!("flip bit {bit} of byte {at}")
    }

    fn set_field(&mut self, chance: &mut Chance, damage: &mut Damage) -> String {
        let (at, fields) = self.entry(chance);
        let (field, len) = *chance.pick(fields).unwrap_or(&(0, 1));
        let file = self.bytes.len() as u64;
        let some = chance.below(file);
        let values = [
            0,
            1,
            2,
            0xffff,
            u64::from(u32::MAX),
            u64::MAX,
            1 << 63,
            i64::MAX as u64,
            u64::MAX - 4095,
            file - 1,
            file,
            file + 1,
            some,
        ];
        let value = *chance.pick(&values).unwrap_or(&0);
        self.put(at + field, &value.to_le_bytes()[..len], damage);
        format!("set {len} bytes at {} to {value}", at + field)
    }

    /// Two words of eight bytes change places, or one entry of a table takes the place of another.
    fn swap_or_copy(&mut self, chance: &mut Chance, damage: &mut Damage) -> String {
        let ((from, _), (to, _)) = (self.entry(chance), self.entry(chance));
        if chance.percent(50) {
            let (from, to) = (from + 8 * index(chance, 7), to + 8 * index(chance, 7));
            let (a, b) = (self.bytes[from..from + 8].to_vec(), self.bytes[to..to + 8].to_vec());
            self.put(to, &a, damage);
            self.put(from, &b, damage);
            return format!("swap 8 bytes at {from} and {to}");
        }
        let entry = self.bytes[from..from + SEGMENT].to_vec();
        self.put(to, &entry, damage);
        format!("copy {SEGMENT} bytes at {from} to {to}")
    }

    fn cut_or_extend(&mut self, chance: &mut Chance) -> String {
        if chance.percent(30) {
            let more = index(chance, 5000);
            self.bytes.extend((0..more).map(|n| n as u8));
            self.len = self.bytes.len();
            return format!("extend by {more} bytes");
        }
        let marks = [0, HEADER, self.tables[0].0.end, self.tables[1].0.start, self.bytes.len()];
        let near = chance.pick(&marks).copied().unwrap_or(0) + index(chance, 3);
        let at = if chance.percent(50) { near.saturating_sub(1) } else { self.anywhere(chance) };
        self.len = at.min(self.len);
        format!("cut at {}", self.len)
    }

    fn scribble(&mut self, chance: &mut Chance, damage: &mut Damage) -> String {
        let (at, len) = (self.anywhere(chance), 1 + index(chance, 200));
        let fill = *chance.pick(&[0, 0xff, b'\n', b'=']).unwrap_or(&0);
        self.put(at, &vec![fill; len], damage);
        format!("fill {len} bytes at {at} with {fill}")
    }

    /// Its section's header: first after the empty one.
    fn manifest_header(&self) -> usize {
        self.tables[1].0.start + SECTION
    }

    fn move_manifest(&mut self, chance: &mut Chance, damage: &mut Damage) -> String {
        let at = if chance.percent(50) {
            self.manifest.start - 2 + index(chance, 5)
        } else {
            self.anywhere(chance)
        };
        let len = index(chance, 2 * self.manifest.len());
        let header = self.manifest_header();
        self.put(header + 24, &(at as u64).to_le_bytes(), damage);
        self.put(header + 32, &(len as u64).to_le_bytes(), damage);
        format!("look for the manifest at {at}, {len} bytes")
    }

    fn rewrite_manifest(&mut self, chance: &mut Chance, damage: &mut Damage) -> String {
        let text = rewritten(&self.manifest(), chance);
        let at = self.bytes.len();
        self.bytes.extend(&text);
        self.len = self.bytes.len();
        let header = self.manifest_header();
        self.put(header + 24, &(at as u64).to_le_bytes(), damage);
        self.put(header + 32, &(text.len() as u64).to_le_bytes(), damage);
        damage.manifest = true;
        let shown = String::from_utf8_lossy(&text[..text.len().min(400)]).into_owned();
        format!("say {shown:?}")
    }
}

/// Another text of a manifest.
fn rewritten(text: &str, chance: &mut Chance) -> Vec<u8> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let line = index(chance, lines.len());
    let key = lines[line].split_once('=').map(|(key, _)| format!("{key}=")).unwrap_or_default();
    let values = [
        "",
        "1",
        "1.2",
        "1.2.3.4",
        "2.0.0",
        "0.0.0",
        "1.99999999999999999999.0",
        "1.0.0-\u{e9}",
        "1.0.0-rc.1+build",
        "../../etc",
        "A",
        "\u{202e}",
        "a\u{0}b",
        "a\rb",
        "\u{1b}[2J",
        "=",
        "abort",
        "a b",
    ];
    match chance.below(8) {
        0 => lines[line] = key + chance.pick(&values).unwrap_or(&""),
        1 => lines[line] = key + &"a".repeat(index(chance, 80)),
        2 => lines.insert(index(chance, lines.len()), lines[line].clone()),
        3 => drop(lines.remove(line)),
        4 => lines.push(format!("later={}", "y".repeat(index(chance, 300)))),
        5 => {
            let huge = *chance.pick(&[3000, 4096, 5000, 1 << 16]).unwrap_or(&0);
            lines.insert(line, format!("x={}", "y".repeat(huge)));
        }
        6 => lines.insert(line, String::new()),
        _ => {}
    }
    let mut text = lines.join("\n").into_bytes();
    text.push(b'\n');
    if chance.percent(30) {
        let at = index(chance, text.len());
        text[at] = chance.below(256) as u8;
    }
    if chance.percent(20) {
        text.truncate(index(chance, text.len()));
    }
    text
}

/// An index below `end`.
fn index(chance: &mut Chance, end: usize) -> usize {
    chance.below(end as u64) as usize
}
