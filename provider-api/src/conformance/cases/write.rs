//! Writing new files: nothing before all of it, and all of it as it was.

use super::{Case, case, needs};
use crate::conformance::ground::Ground;
use crate::conformance::outcome::Outcome;
use crate::{Expect, WriteOptions};

pub(super) const CASES: &[Case] = &[
    case!(
        "write",
        what_was_written_is_read,
        needs::nothing,
        "A file arrives with every byte that was sent, and no other."
    ),
    case!(
        "write",
        nothing_is_visible_before_finish,
        needs::nothing,
        "Half of a file that is seen under its name is taken for the whole by whoever reads it."
    ),
    case!(
        "write",
        a_dropped_writer_leaves_nothing_visible,
        needs::nothing,
        "The host may end at any moment, and what it was writing must not look like a file then."
    ),
];

async fn what_was_written_is_read(t: Ground) -> Outcome {
    let bytes = t.content(100_000);
    t.put("file", &bytes).await?;
    t.holds("file", &bytes).await
}

async fn nothing_is_visible_before_finish(t: Ground) -> Outcome {
    let bytes = t.content(3 << 20);
    let how = WriteOptions::new(bytes.len() as u64, Expect::Nothing);
    let mut writing = t.open_write("folder/file", how).await?;
    t.absent("folder/file").await?;
    for chunk in 0..3 {
        writing.write(&bytes.slice(chunk << 20..(chunk + 1) << 20)).await?;
        t.absent("folder/file").await?;
    }
    writing.checkpoint().await?;
    t.absent("folder/file").await?;
    writing.finish().await?;
    t.holds("folder/file", &bytes).await
}

async fn a_dropped_writer_leaves_nothing_visible(t: Ground) -> Outcome {
    let bytes = t.content(2 << 20);
    let how = WriteOptions::new(bytes.len() as u64, Expect::Nothing);
    let mut writing = t.open_write("file", how).await?;
    writing.write(&bytes).await?;
    drop(writing);
    t.absent("file").await?;
    // Nor is it in the way of the next one.
    t.put("file", &bytes).await?;
    t.holds("file", &bytes).await
}
