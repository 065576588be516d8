//! Names that Drive gives: of files, sessions, tokens. Random, so that nothing can be read from
//! them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};

/// Returns random text of `length` characters of `A-Za-z0-9-_`.
pub(crate) fn random(length: usize) -> String {
    let mut bytes = vec![0; length * 3 / 4 + 1];
    SystemRandom::new().fill(&mut bytes).expect("the system's random numbers");
    let mut text = URL_SAFE_NO_PAD.encode(bytes);
    text.truncate(length);
    text
}

/// Returns the id of a file or folder: 33 characters.
pub(crate) fn file() -> String {
    format!("1{}", random(32))
}

/// Returns the id of a drive, which is also that of its topmost folder: 19 characters.
pub(crate) fn drive() -> String {
    format!("0A{}Uk9PVA", random(11))
}

/// Returns text that does not tell what it says: page tokens are no numbers to count with.
pub(crate) fn opaque(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}{text}", random(4)))
}

/// The inverse of [`opaque`]; `None` for what did not come from there.
pub(crate) fn clear(token: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    Some(String::from_utf8(bytes).ok()?.get(4..)?.to_owned())
}
