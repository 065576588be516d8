//! Files that tell by themselves whether they are whole, and whose content they are.
//!
//! A file is one or more records: `MAGIC`, a stamp, a length, a body that follows from the stamp
//! alone, the stamp once more. A file that was cut off, mixed of two contents or filled with
//! zeroes does not read as records; one that does is named by the list of its stamps.

/// What every record begins with.
const MAGIC: u64 = 0x5353_796e_4b69_6c6c;
/// `MAGIC`, stamp, length of the body.
const HEAD: usize = 24;
/// The stamp once more.
const TAIL: usize = 8;

/// The stamps of a file's records, in their order: its name as a content.
pub type Stamps = Vec<u64>;

/// One record of about `size` bytes; the stamp should be unlike every other.
#[must_use]
pub fn record(stamp: u64, size: usize) -> Vec<u8> {
    let body = size.saturating_sub(HEAD + TAIL) / 8 * 8;
    let mut bytes = Vec::with_capacity(HEAD + body + TAIL);
    bytes.extend(MAGIC.to_le_bytes());
    bytes.extend(stamp.to_le_bytes());
    bytes.extend((body as u64).to_le_bytes());
    let mut state = stamp;
    for _ in 0..body / 8 {
        bytes.extend(next(&mut state).to_le_bytes());
    }
    bytes.extend(stamp.to_le_bytes());
    bytes
}

/// The stamps of a whole file, or where and why it is none.
pub fn read(bytes: &[u8]) -> Result<Stamps, String> {
    if bytes.is_empty() {
        return Err("it is empty".into());
    }
    let mut stamps = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let at = bytes.len() - rest.len();
        let torn = |why: &str| {
            format!("{why} in the record at byte {at} of {} (after {stamps:?})", bytes.len())
        };
        let (head, after) = rest.split_at_checked(HEAD).ok_or_else(|| torn("cut off"))?;
        let mut words = words(head);
        let (magic, stamp) = (words.next(), words.next().unwrap_or_default());
        if magic != Some(MAGIC) {
            return Err(torn("no record"));
        }
        let length = usize::try_from(words.next().unwrap_or_default()).unwrap_or(usize::MAX);
        let (body, after) = after.split_at_checked(length).ok_or_else(|| torn("cut off"))?;
        let (tail, after) = after.split_at_checked(TAIL).ok_or_else(|| torn("cut off"))?;
        let mut state = stamp;
        if !self::words(body).all(|word| word == next(&mut state)) {
            return Err(torn("wrong bytes"));
        }
        if tail != stamp.to_le_bytes() {
            return Err(torn("a wrong end"));
        }
        stamps.push(stamp);
        rest = after;
    }
    Ok(stamps)
}

/// The next number after `state` (SplitMix64): the same for everyone, which is the point.
pub fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u64> {
    let chunks = bytes.chunks_exact(8);
    chunks.map(|chunk| chunk.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)))
}

/// Chance that can be repeated.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// The same for the same seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Chance(seed)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        next(&mut self.0) % end.max(1)
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of these, if there is any.
    pub fn pick<'a, T>(&mut self, among: &'a [T]) -> Option<&'a T> {
        among.get(usize::try_from(self.below(among.len() as u64)).unwrap_or(0))
    }

    /// Another chance, that goes its own way from here.
    pub fn fork(&mut self) -> Self {
        Chance(next(&mut self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_files_name_themselves() {
        let mut file = record(7, 100);
        assert_eq!(read(&file), Ok(vec![7]));
        file.extend(record(8, 0));
        assert_eq!(read(&file), Ok(vec![7, 8]));
    }

    #[test]
    fn what_is_not_whole_is_told() {
        let whole = record(7, 4096);
        for cut in [0, 1, 23, 24, 2000, whole.len() - 1] {
            assert!(read(&whole[..cut]).is_err(), "cut at {cut}");
        }
        let mut mixed = whole.clone();
        mixed[1000..2000].fill(0);
        assert!(read(&mixed).unwrap_err().contains("wrong bytes"));
        let mut mixed = record(8, 4096);
        mixed[2048..].copy_from_slice(&whole[2048..]);
        assert!(read(&mixed).is_err());
    }
}
