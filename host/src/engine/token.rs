//! What an upload can be resumed by, and when that counts.
//!
//! A token is good for one content, and for the build of the provider that gave it: a file is
//! written by one generation of its provider from the first byte to the last.

use sha2::{Digest, Sha256};

/// What a stored token is for; stands before the provider's own bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'a> {
    /// The generation of the content.
    pub generation: i64,
    /// The digest of the provider's file.
    pub build: &'a str,
}

const GENERATION: usize = 8;
const HEAD: usize = GENERATION + 8;

impl Token<'_> {
    /// A provider's token, to be stored.
    pub(super) fn close(&self, token: &[u8]) -> Vec<u8> {
        let mut stored = self.generation.to_le_bytes().to_vec();
        stored.extend(mark(self.build));
        stored.extend(token);
        stored
    }

    /// The provider's token, if this is what it was stored for.
    pub(super) fn open(&self, stored: &[u8]) -> Option<Vec<u8>> {
        let token = Token::of_build(stored, self.build)?;
        stored.starts_with(&self.generation.to_le_bytes()).then_some(token)
    }

    /// The provider's token, whatever content it is for, if this build gave it.
    pub(super) fn of_build(stored: &[u8], build: &str) -> Option<Vec<u8>> {
        let (head, token) = stored.split_at_checked(HEAD)?;
        (head[GENERATION..] == mark(build)).then(|| token.to_vec())
    }
}

/// Eight bytes for a build.
fn mark(build: &str) -> [u8; HEAD - GENERATION] {
    let digest = Sha256::digest(build);
    std::array::from_fn(|i| digest[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_own_content_and_build_only() {
        let stored = Token { generation: 3, build: "a" }.close(b"session");
        let opened = |generation, build| Token { generation, build }.open(&stored);
        assert_eq!(opened(3, "a").as_deref(), Some(&b"session"[..]));
        assert_eq!(opened(4, "a"), None);
        assert_eq!(opened(3, "b"), None);
        assert_eq!(Token::of_build(&stored, "a").as_deref(), Some(&b"session"[..]));
        assert_eq!(Token { generation: 3, build: "a" }.open(b"short"), None);
    }
}
