//! Seals what a token must hold and nobody else may read: a session's address, with which anybody
//! could send bytes in our name. The key is made of the account's own, so that a token is good
//! wherever that key is, and after a restart.

use std::fmt;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};
use sitesync_provider::{Error, ErrorKind, Result};

use crate::model::{from_hex, to_hex};

/// Keeps this key from being that of anything else.
const PURPOSE: &[u8] = b"sitesync gdrive: addresses of uploads";

/// Seals and opens texts.
pub(crate) struct Seal(LessSafeKey);

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seal").finish_non_exhaustive()
    }
}

fn broken(_: ring::error::Unspecified) -> Error {
    Error::new(ErrorKind::Unexpected, "the system's cryptography does not work")
}

impl Seal {
    /// That of an account with this private key.
    pub(crate) fn of(private_key: &str) -> Result<Self> {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(PURPOSE);
        context.update(private_key.as_bytes());
        let key = UnboundKey::new(&CHACHA20_POLY1305, context.finish().as_ref()).map_err(broken)?;
        Ok(Seal(LessSafeKey::new(key)))
    }

    /// Hex digits that only this account can read.
    pub(crate) fn seal(&self, text: &str) -> Result<String> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(broken)?;
        let mut sealed = text.as_bytes().to_vec();
        let with = Nonce::assume_unique_for_key(nonce);
        self.0.seal_in_place_append_tag(with, Aad::empty(), &mut sealed).map_err(broken)?;
        Ok(to_hex(&nonce) + &to_hex(&sealed))
    }

    /// The text; `None` for what this account has not sealed.
    pub(crate) fn open(&self, sealed: &str) -> Option<String> {
        let mut sealed = from_hex(sealed)?;
        let (nonce, sealed) = sealed.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let text = self.0.open_in_place(nonce, Aad::empty(), sealed).ok()?;
        String::from_utf8(text.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_opens_it() {
        let address = "http://127.0.0.1/upload?id=secret";
        let sealed = Seal::of("one").unwrap().seal(address).unwrap();
        assert!(!sealed.contains("secret"));
        assert_eq!(Seal::of("one").unwrap().open(&sealed).as_deref(), Some(address));
        assert_eq!(Seal::of("another").unwrap().open(&sealed), None);
        for nonsense in ["", "00", "no hex", &sealed[..40], &sealed[2..]] {
            assert_eq!(Seal::of("one").unwrap().open(nonsense), None, "{nonsense}");
        }
        assert_ne!(
            sealed,
            Seal::of("one").unwrap().seal(address).unwrap(),
            "nothing is to be told"
        );
    }
}
