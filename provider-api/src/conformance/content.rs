//! Content that follows from a seed, and what is wrong with content that should be another.

use bytes::Bytes;

use super::outcome::{Outcome, fail};

/// A number that no other run has, without a source of randomness of its own.
pub(super) fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

/// `len` bytes that follow from the seed and no other: the generator is SplitMix64.
pub(super) fn content(seed: u64, len: usize) -> Bytes {
    let mut state = seed;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        bytes.extend_from_slice(&mixed(state).to_le_bytes());
    }
    bytes.truncate(len);
    bytes.into()
}

/// The finaliser of SplitMix64.
pub(super) fn mixed(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// Demands that both are the same, and says where they part.
pub(super) fn same(what: &str, got: &[u8], want: &[u8]) -> Outcome {
    if got == want {
        return Ok(());
    }
    if got.len() != want.len() {
        return fail(format!("{what} has {} bytes instead of {}", got.len(), want.len()));
    }
    let at = got.iter().zip(want).take_while(|(got, want)| got == want).count();
    fail(format!("{what} differs from what was written from byte {at} of {} on", want.len()))
}
