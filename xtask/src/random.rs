//! Numbers and file contents that look random and depend on a seed only.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};

use crate::process::doing;

/// A stream of numbers: SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Equal seeds give equal streams.
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from a range, both ends included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            bytes.extend(self.next().to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }
}

/// Writes files that no compression makes smaller, and no two of which begin alike.
#[derive(Debug)]
pub(crate) struct Contents {
    block: Vec<u8>,
}

impl Contents {
    /// The source of all contents: a block of 8 MiB.
    pub(crate) fn new() -> Self {
        Contents { block: Random::new(7).bytes(8 << 20) }
    }

    /// Writes a file and the folders above it. Its content depends on the size and the salt.
    pub(crate) fn write(&self, path: &Path, size: u64, salt: u64) -> Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(doing("make", folder))?;
        }
        let mut file = File::create(path).with_context(doing("make", path))?;
        for part in self.parts(size, salt) {
            file.write_all(part.as_ref()).with_context(doing("write", path))?;
        }
        Ok(())
    }

    /// The salt, then the block over and over, from an offset that the salt gives.
    fn parts(&self, size: u64, salt: u64) -> impl Iterator<Item = Part<'_>> {
        let head = salt.to_le_bytes();
        let head_length = size.min(head.len() as u64);
        let mut left = size - head_length;
        // Below 1 MiB, so that a frame is one write.
        let mut offset = (salt.wrapping_mul(4099) % (1 << 20)) as usize;
        let block = std::iter::from_fn(move || {
            let available = &self.block[offset..];
            let length = left.min(available.len() as u64);
            (left, offset) = (left - length, 0);
            (length > 0).then(|| Part::Block(&available[..length as usize]))
        });
        std::iter::once(Part::Head(head, head_length as usize)).chain(block)
    }
}

/// A piece of a file.
enum Part<'a> {
    Head([u8; 8], usize),
    Block(&'a [u8]),
}

impl AsRef<[u8]> for Part<'_> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Part::Head(bytes, length) => &bytes[..*length],
            Part::Block(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_have_their_size_and_depend_on_the_salt() {
        let scratch = tempfile::tempdir().unwrap();
        let contents = Contents::new();
        for size in [0, 1, 7, 8, 9, 100_000, (8 << 20) - 1, 8 << 20, (8 << 20) + 8, 20 << 20] {
            let [one, again, other] =
                [("one", 3), ("again", 3), ("other", 4)].map(|(name, salt)| {
                    let path = scratch.path().join("folder").join(name);
                    contents.write(&path, size, salt).unwrap();
                    fs::read(&path).unwrap()
                });
            assert_eq!(one.len() as u64, size);
            assert!(one == again);
            assert_eq!(one != other, size > 0);
        }
    }

    #[test]
    fn numbers_stay_in_their_range() {
        let mut random = Random::new(1);
        let numbers: Vec<u64> = (0..1_000).map(|_| random.between(3, 5)).collect();
        assert!((3..=5).all(|number| numbers.contains(&number)));
        assert!(numbers.iter().all(|number| (3..=5).contains(number)));
    }
}
