//! The barrier behind which files count as synced.

use super::{Case, case, needs};
use crate::conformance::ground::{Ground, at_once};
use crate::conformance::outcome::Outcome;
use crate::{Expect, WriteOptions};

pub(super) const CASES: &[Case] = &[
    case!(
        "flush",
        what_was_finished_is_flushed,
        needs::flush,
        "Nothing is called synced before its barrier is done: one that fails stops all."
    ),
    case!(
        "flush",
        a_flush_with_nothing_to_do_is_fine,
        needs::flush,
        "The host asks for a barrier after each group, whether anything is left to do or not."
    ),
    case!(
        "flush",
        a_flush_does_not_disturb_what_is_under_way,
        needs::flush,
        "Transfers go on while a group is made durable."
    ),
    case!(
        "flush",
        flushes_at_once_are_all_answered,
        needs::flush,
        "Projects that share a disk end their groups at the same time, and must not wait for ever."
    ),
];

async fn what_was_finished_is_flushed(t: Ground) -> Outcome {
    let bytes = t.content(100_000);
    for n in 0..5 {
        t.put(&format!("folder {n}/file"), &bytes).await?;
    }
    t.flush(&[&t.site.root]).await?;
    for n in 0..5 {
        t.holds(&format!("folder {n}/file"), &bytes).await?;
    }
    Ok(())
}

async fn a_flush_with_nothing_to_do_is_fine(t: Ground) -> Outcome {
    t.put("file", &t.content(10)).await?;
    t.flush(&[&t.site.root]).await?;
    t.flush(&[&t.site.root]).await?;
    t.flush(&[&t.site.root, &t.site.root]).await?;
    t.flush(&[]).await?;
    t.reconnected().await?.flush(&[&t.site.root]).await?;
    Ok(())
}

async fn a_flush_does_not_disturb_what_is_under_way(t: Ground) -> Outcome {
    let bytes = t.content(2 << 20);
    let how = WriteOptions::new(bytes.len() as u64, Expect::Nothing);
    let mut writing = t.open_write("file", how).await?;
    writing.write(&bytes.slice(..1 << 20)).await?;
    t.flush(&[&t.site.root]).await?;
    t.absent("file").await?;
    writing.write(&bytes.slice(1 << 20..)).await?;
    writing.finish().await?;
    t.holds("file", &bytes).await
}

async fn flushes_at_once_are_all_answered(t: Ground) -> Outcome {
    let answers = at_once(8, |n| {
        let t = t.clone();
        async move {
            t.put(&format!("file {n}"), &t.content(1000)).await?;
            t.flush(&[&t.site.root]).await
        }
    })
    .await?;
    for answer in answers {
        answer?;
    }
    Ok(())
}
