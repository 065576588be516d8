//! Trees shaped like a studio's published files.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process::doing;
use crate::random::{Contents, Random};

/// A tree that is not there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Data {
    /// So many files of 1 to 32 KiB: bound by metadata.
    Small(u64),
    /// So many files of up to 64 bytes: for cases that move nothing.
    Tiny(u64),
    /// So many frames of 8 MiB: bound by bandwidth.
    Seq(u64),
    /// One file of so many bytes.
    Big(u64),
}

const FRAME: u64 = 8 << 20;
/// What file systems take for a file besides its content, at most.
const PAGE: u64 = 4096;

impl Data {
    /// How many files there are.
    pub(super) fn files(self) -> u64 {
        match self {
            Data::Small(files) | Data::Tiny(files) | Data::Seq(files) => files,
            Data::Big(_) => 1,
        }
    }

    /// About how many bytes it takes.
    pub(super) fn space(self) -> u64 {
        match self {
            Data::Small(files) => files * (16 * 1024 + 2 * PAGE),
            Data::Tiny(files) => files * 2 * PAGE,
            Data::Seq(files) => files * FRAME,
            Data::Big(bytes) => bytes,
        }
    }

    /// The same with less in it, so that it takes so much space at most.
    pub(super) fn within(self, space: u64) -> Self {
        let fit = (space as f64 / self.space().max(1) as f64).min(1.0);
        let less = |amount: u64| ((amount as f64 * fit) as u64).max(1);
        match self {
            Data::Small(files) => Data::Small(less(files)),
            Data::Tiny(files) => Data::Tiny(less(files)),
            Data::Seq(files) => Data::Seq(less(files)),
            Data::Big(bytes) => Data::Big(less(bytes)),
        }
    }

    /// What it is, for people.
    pub(super) fn describe(self) -> String {
        match self {
            Data::Small(files) => format!("{} files of 1 to 32 KiB", grouped(files)),
            Data::Tiny(files) => format!("{} files of up to 64 bytes", grouped(files)),
            Data::Seq(files) => format!("{} frames of 8 MiB", grouped(files)),
            Data::Big(bytes) => format!("one file of {} MiB", grouped(bytes >> 20)),
        }
    }

    /// Writes it into a folder. Equal data is equal to the byte.
    pub(super) fn write(self, folder: &Path, contents: &Contents) -> Result<()> {
        let mut random = Random::new(7);
        match self {
            Data::Small(files) | Data::Tiny(files) => {
                let (low, high) =
                    if matches!(self, Data::Tiny(_)) { (1, 64) } else { (1024, 32 * 1024) };
                for number in 0..files {
                    let size = random.between(low, high);
                    contents.write(&folder.join(small_path(number)), size, number)?;
                }
            }
            Data::Seq(files) => {
                for number in 0..files {
                    contents.write(&folder.join(frame_path(number)), FRAME, 1 << 20 | number)?;
                }
            }
            Data::Big(bytes) => {
                let path = folder.join("edit/publish/review/v001/cut_v001.mov");
                contents.write(&path, bytes, 1 << 21)?;
            }
        }
        Ok(())
    }
}

fn small_path(number: u64) -> PathBuf {
    let asset = format!("sh{:03}", number / 400);
    let product = ["modelMain", "lookMain", "rigMain", "animMain"][(number / 100 % 4) as usize];
    let (version, part) = (number / 10 % 10, number % 10);
    let name = format!("{asset}_{product}_v{version:03}.{part:04}.dat");
    PathBuf::from(format!("assets/{asset}/publish/{product}/v{version:03}/{name}"))
}

fn frame_path(number: u64) -> PathBuf {
    let (shot, frame) = (number / 100, 1001 + number % 100);
    let name = format!("sq{shot:02}_renderMain_v001.{frame}.exr");
    PathBuf::from(format!("shots/sq{shot:02}/publish/renderMain/v001/{name}"))
}

/// Reads files once, so that they are in the page cache.
pub(super) fn warm(folder: &Path, files: &[PathBuf]) -> Result<()> {
    for file in files {
        let path = folder.join(file);
        let mut file = File::open(&path).with_context(doing("open", &path))?;
        io::copy(&mut file, &mut io::sink()).with_context(doing("read", &path))?;
    }
    Ok(())
}

/// A number with a comma before every three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::digest;

    #[test]
    fn paths_are_different() {
        let paths: BTreeSet<_> = (0..100_000).map(small_path).collect();
        assert_eq!(paths.len(), 100_000);
        let paths: BTreeSet<_> = (0..1_000).map(frame_path).collect();
        assert_eq!(paths.len(), 1_000);
    }

    #[test]
    fn equal_data_is_equal_to_the_byte() {
        let scratch = tempfile::tempdir().unwrap();
        let contents = Contents::new();
        for data in [Data::Small(50), Data::Tiny(50), Data::Seq(2), Data::Big(9 << 20)] {
            let [one, other] = ["one", "other"].map(|name| {
                let folder = scratch.path().join(name).join(format!("{data:?}"));
                data.write(&folder, &contents).unwrap();
                digest::of_folder(&folder).unwrap()
            });
            assert_eq!(one, other);
            assert_eq!(one.files, data.files());
            assert!(one.bytes <= data.space(), "{data:?}");
        }
    }

    #[test]
    fn data_shrinks_to_what_fits() {
        assert_eq!(Data::Big(4 << 30).within(1 << 30), Data::Big(1 << 30));
        assert_eq!(Data::Seq(200).within(u64::MAX), Data::Seq(200));
        assert!(Data::Small(20_000).within(1 << 20).space() <= 1 << 20);
    }

    #[test]
    fn digits_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
