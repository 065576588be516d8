//! Digests of what passes through the host: compared with those that the ends keep.

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use sitesync_provider::{Checksum, Error, ErrorKind, Metadata, Result};

use super::CHUNK;
use crate::sites::OpenRoot;

/// A digest that is being made.
#[derive(Debug)]
pub(super) enum Running {
    Md5(Md5),
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Running {
    /// One by this algorithm, if it is known here.
    fn by(algorithm: &str) -> Option<Self> {
        match algorithm {
            "md5" => Some(Running::Md5(Md5::new())),
            "sha1" => Some(Running::Sha1(Sha1::new())),
            "sha256" => Some(Running::Sha256(Sha256::new())),
            _ => None,
        }
    }

    /// The one that says most of a file on its way from here to there: one that both keep, else one
    /// that either does.
    pub(super) fn of(source: &Metadata, destination: &OpenRoot) -> Option<Self> {
        let here = || source.checksums.iter().map(|sum| &*sum.algorithm);
        let there = || destination.info.can.checksums.iter().map(String::as_str);
        let both = here().filter(|algorithm| there().any(|other| other == *algorithm));
        both.chain(here()).chain(there()).find_map(Running::by)
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Running::Md5(digest) => digest.update(bytes),
            Running::Sha1(digest) => digest.update(bytes),
            Running::Sha256(digest) => digest.update(bytes),
        }
    }

    pub(super) fn finish(self) -> Checksum {
        match self {
            Running::Md5(digest) => Checksum::new("md5", digest.finalize().to_vec()),
            Running::Sha1(digest) => Checksum::new("sha1", digest.finalize().to_vec()),
            Running::Sha256(digest) => Checksum::new("sha256", digest.finalize().to_vec()),
        }
    }
}

/// Whether a file's own digest is this one; `None` where it keeps none by this algorithm.
pub(super) fn agrees(digest: &Checksum, metadata: &Metadata) -> Option<bool> {
    let same = |sum: &&Checksum| sum.algorithm == digest.algorithm;
    metadata.checksums.iter().find(same).map(|sum| sum.digest == digest.digest)
}

/// Reads a file for a digest that the other end keeps. `None` if that keeps none that is known here;
/// `Precondition` if not all of it could be read.
pub(super) async fn read(
    root: &OpenRoot,
    path: &str,
    there: &Metadata,
    other: &Metadata,
) -> Result<Option<Checksum>> {
    let known = other.checksums.iter().find_map(|sum| Running::by(&sum.algorithm));
    let Some(mut digest) = known else { return Ok(None) };
    let how = sitesync_provider::ReadOptions::new().if_version(there.fingerprint());
    let mut reading = root.open_read(path, how).await?;
    let mut bytes = 0;
    loop {
        let chunk = reading.read(CHUNK).await?;
        if chunk.is_empty() {
            break;
        }
        bytes += chunk.len() as u64;
        digest.update(&chunk);
    }
    if bytes != there.size {
        let why = format!("it ended after {bytes} of {} bytes", there.size);
        return Err(root.named(Error::new(ErrorKind::Precondition, why)));
    }
    Ok(Some(digest.finish()))
}
