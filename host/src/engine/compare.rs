//! Whether two files have the same content: by a digest that both storages keep, else by reading: the
//! one that keeps none, if the other does.

use sitesync_provider::{Bytes, Error, ErrorKind, Metadata, ReadOptions, Result};

use super::{CHUNK, digest};
use crate::sites::{OpenRoot, Reading};

/// One of the two files.
#[derive(Debug, Clone, Copy)]
pub(super) struct Side<'a> {
    pub root: &'a OpenRoot,
    pub path: &'a str,
    /// As it was just seen: what is read must still be this.
    pub metadata: &'a Metadata,
}

impl Side<'_> {
    /// What was read is what it was taken for: some storages go on with what replaced it.
    async fn is_as_seen(self) -> Result<()> {
        let now = self.root.stat(self.path).await?;
        if now.fingerprint() == self.metadata.fingerprint() {
            return Ok(());
        }
        let why = "it has changed while it was compared";
        Err(self.root.named(Error::new(ErrorKind::Precondition, why)))
    }
}

/// True if both have the same bytes. `Precondition` if one of them changes while it is read, or ends
/// before its end.
pub(super) async fn same_content(
    a: Side<'_>,
    b: Side<'_>,
    moved: impl Fn(u64) + Send,
) -> Result<bool> {
    if a.metadata.size != b.metadata.size {
        return Ok(false);
    }
    if let Some(equal) = by_checksum(a.metadata, b.metadata) {
        return Ok(equal);
    }
    for (keeps, other) in [(a, b), (b, a)] {
        let digest = digest::read(other.root, other.path, other.metadata, keeps.metadata).await?;
        if let Some(equal) = digest.and_then(|digest| digest::agrees(&digest, keeps.metadata)) {
            other.is_as_seen().await?;
            return Ok(equal);
        }
    }
    let equal = same_bytes(a, b, moved).await?;
    tokio::try_join!(a.is_as_seen(), b.is_as_seen())?;
    Ok(equal)
}

async fn same_bytes(a: Side<'_>, b: Side<'_>, moved: impl Fn(u64) + Send) -> Result<bool> {
    let as_seen = |side: Side<'_>| ReadOptions::new().if_version(side.metadata.fingerprint());
    let (mut a_stream, mut b_stream) = tokio::try_join!(
        a.root.open_read(a.path, as_seen(a)),
        b.root.open_read(b.path, as_seen(b)),
    )?;
    let (mut left, mut right) = (Bytes::new(), Bytes::new());
    let mut compared = 0;
    loop {
        tokio::try_join!(fill(&mut a_stream, &mut left), fill(&mut b_stream, &mut right))?;
        let common = left.len().min(right.len());
        if common == 0 {
            let size = a.metadata.size;
            if compared == size {
                return Ok(true);
            }
            let short = if left.is_empty() { a } else { b };
            let why = format!("it ended after {compared} of {size} bytes");
            return Err(short.root.named(Error::new(ErrorKind::Precondition, why)));
        }
        compared += common as u64;
        if left.split_to(common) != right.split_to(common) {
            return Ok(false);
        }
        moved(common as u64);
    }
}

async fn fill(stream: &mut Reading, buffer: &mut Bytes) -> Result<()> {
    if buffer.is_empty() {
        *buffer = stream.read(CHUNK).await?;
    }
    Ok(())
}

/// The verdict of a digest that both ends keep, if there is one.
pub(super) fn by_checksum(a: &Metadata, b: &Metadata) -> Option<bool> {
    a.checksums.iter().find_map(|left| {
        let right = b.checksums.iter().find(|sum| sum.algorithm == left.algorithm)?;
        Some(left.digest == right.digest)
    })
}

#[cfg(test)]
mod tests {
    use sitesync_provider::Checksum;

    use super::*;

    #[test]
    fn only_a_common_digest_is_a_verdict() {
        let with = |algorithm: &str, byte| {
            Metadata::file(1).with_checksum(Checksum::new(algorithm, vec![byte]))
        };
        assert_eq!(by_checksum(&with("md5", 1), &with("md5", 1)), Some(true));
        assert_eq!(by_checksum(&with("md5", 1), &with("md5", 2)), Some(false));
        assert_eq!(by_checksum(&with("md5", 1), &with("sha1", 1)), None);
    }
}
