//! What is all that is left of a file, and may not be durable, is written anew where it is: after a
//! barrier that failed no later one makes it so, though it reads well from memory.

use sitesync_provider::{Error, ErrorKind, Expect, Metadata, ReadOptions, Result, WriteOptions};

use super::CHUNK;
use super::barriers::Barriers;
use super::pair::Pair;
use super::plan::have;
use super::trash::keeps;
use crate::catalog::{self, DOUBTFUL, FileId, Have, STALE, Unit};
use crate::sites::{OpenRoot, Operation};

/// Whether a copy may be one that could not be made durable.
pub(super) fn is_doubtful(have: &Have) -> bool {
    matches!(have.generation, STALE | DOUBTFUL)
}

/// Writes a file anew, if it is still what is known of it. Returns what is there then, which may be
/// something else: an earlier life may have been stopped before it had told what it wrote. `None` if
/// nothing is.
pub(super) async fn rewrite(
    barriers: &Barriers,
    pair: &Pair,
    root: &OpenRoot,
    path: &str,
    known: &Have,
) -> Result<Option<Metadata>> {
    let _turn = barriers.rewriting(root).await;
    match write_anew(pair, root, path, known).await {
        Err(error) if passed(error.kind()) => match root.stat(path).await {
            Ok(seen) => Ok(Some(seen)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        },
        made => made.map(Some),
    }
}

/// Notes what is where a doubtful copy was, unless somebody else has noted something of it meanwhile.
pub(super) fn note(
    unit: &mut dyn Unit,
    file: FileId,
    known: &Have,
    made: &Metadata,
) -> catalog::Result<()> {
    let row = unit.file_by_id(file)?;
    if row.is_some_and(|row| row.at(known.site) == Some(known)) {
        unit.put_have(file, &have(known.site, STALE, made))?;
    }
    Ok(())
}

async fn write_anew(pair: &Pair, root: &OpenRoot, path: &str, known: &Have) -> Result<Metadata> {
    let how = ReadOptions::new().range(0, None).if_version(&known.version);
    let mut reading = root.open_read(path, how).await?;
    let seen = reading.metadata().clone();
    if seen.fingerprint() != known.version {
        return Err(Error::new(ErrorKind::Precondition, "it is another one"));
    }
    let (operation, op) = Operation::new(Vec::new(), |_| {});
    let how = WriteOptions::new(seen.size, Expect::Version(known.version.clone()))
        .mtime_ns(seen.mtime_ns)
        .mode(seen.mode)
        .keep_replaced(keeps(pair, root))
        .op(op);
    let mut writing = root.open_write(path, how, operation).await?;
    let mut sent = 0;
    let copied: Result<()> = async {
        loop {
            let chunk = reading.read(CHUNK).await?;
            if chunk.is_empty() {
                break;
            }
            sent += chunk.len() as u64;
            writing.write(chunk).await?;
        }
        if sent == seen.size {
            return Ok(());
        }
        let why = format!("it ended after {sent} of {} bytes", seen.size);
        Err(Error::new(ErrorKind::Precondition, why))
    }
    .await;
    if let Err(error) = copied {
        let _ = writing.discard().await;
        return Err(error);
    }
    writing.finish().await.0
}

/// Whether it is not what was known any more.
fn passed(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::Precondition)
}
