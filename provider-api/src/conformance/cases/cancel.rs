//! Stopping: the host asks, and from then on nothing becomes visible.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Case, case, needs};
use crate::conformance::ground::{Ground, Item};
use crate::conformance::outcome::{Outcome, demand, fail, refused, refused_somehow};
use crate::{ErrorKind, Expect, Op, OpServices, Watch, WriteOptions};

pub(super) const CASES: &[Case] = &[
    case!(
        "cancel",
        a_write_cancelled_before_it_begins_is_not_done,
        "Work that was paused before it began must not begin."
    ),
    case!(
        "cancel",
        a_write_cancelled_between_chunks_is_not_done,
        "A pause takes effect in the middle of a large file, not at its end."
    ),
    case!(
        "cancel",
        a_write_cancelled_before_finish_is_not_done,
        "The host has given the file up: a late finish would undo what came after it."
    ),
    case!(
        "cancel",
        a_cancelled_overwrite_leaves_the_old,
        "What is cancelled has not happened, and the old file is what is there."
    ),
    case!(
        "cancel",
        a_cancelled_write_is_not_in_the_way,
        "The file is tried again, soon, under the same name."
    ),
    case!(
        "cancel",
        a_finish_that_is_given_up_is_all_or_nothing,
        "The host stops waiting for what hangs: whatever becomes of it, it is whole or not there."
    ),
    case!(
        "cancel",
        an_operation_is_let_go_of,
        "The host takes an operation for ended when nobody holds it: one that is kept claims its \
         file for ever."
    ),
    case!(
        "cancel",
        a_copy_cancelled_before_it_begins_is_not_done,
        needs::server_copy,
        "A batch that was paused before it began must not begin."
    ),
    case!(
        "cancel",
        a_copy_cancelled_on_the_way_is_told_item_by_item,
        needs::server_copy,
        "Of a batch that is stopped, each file is either copied and told, or not there."
    ),
];

fn watched() -> (Arc<Watch>, Op) {
    let watch = Arc::new(Watch::default());
    (watch.clone(), Op::new(watch))
}

async fn a_write_cancelled_before_it_begins_is_not_done(t: Ground) -> Outcome {
    let (watch, op) = watched();
    watch.cancel();
    let bytes = t.content(2 << 20);
    let how = WriteOptions::new(bytes.len() as u64, Expect::Nothing).op(op);
    refused("the write", t.write("file", &bytes, how).await, &[ErrorKind::Cancelled])?;
    t.absent("file").await
}

async fn a_write_cancelled_between_chunks_is_not_done(t: Ground) -> Outcome {
    let (watch, op) = watched();
    let bytes = t.content(3 << 20);
    let how = WriteOptions::new(bytes.len() as u64, Expect::Nothing).op(op);
    let mut writing = t.open_write("file", how).await?;
    writing.write(&bytes.slice(..1 << 20)).await?;
    watch.cancel();
    let answer = match writing.write(&bytes.slice(1 << 20..)).await {
        Ok(()) => writing.finish().await.map(drop),
        Err(error) => Err(error),
    };
    refused("the rest of the write", answer, &[ErrorKind::Cancelled])?;
    t.absent("file").await
}

async fn a_write_cancelled_before_finish_is_not_done(t: Ground) -> Outcome {
    for size in [0, 1000, 2 << 20] {
        let (watch, op) = watched();
        let name = format!("{size}");
        let bytes = t.content(size);
        let how = WriteOptions::new(size as u64, Expect::Nothing).op(op);
        let mut writing = t.open_write(&name, how).await?;
        writing.write(&bytes).await?;
        watch.cancel();
        refused("finish", writing.finish().await, &[ErrorKind::Cancelled])?;
        t.absent(&name).await?;
    }
    Ok(())
}

async fn a_cancelled_overwrite_leaves_the_old(t: Ground) -> Outcome {
    let (old, new) = (t.content(1000), t.content(2 << 20));
    let was = t.put("file", &old).await?;
    let (watch, op) = watched();
    let how = WriteOptions::new(new.len() as u64, Expect::Version(was.fingerprint())).op(op);
    let mut writing = t.open_write("file", how).await?;
    writing.write(&new).await?;
    watch.cancel();
    refused("finish", writing.finish().await, &[ErrorKind::Cancelled])?;
    let now = t.stat("file").await?.fingerprint();
    demand!(now == was.fingerprint(), "the cancelled write changed the version");
    t.holds("file", &old).await
}

async fn a_cancelled_write_is_not_in_the_way(t: Ground) -> Outcome {
    for n in 0..3 {
        let (watch, op) = watched();
        let bytes = t.content(100_000 + n);
        let how = WriteOptions::new(bytes.len() as u64, Expect::Nothing).op(op);
        let mut writing = t.open_write("folder/file", how).await?;
        writing.write(&bytes).await?;
        watch.cancel();
        refused("finish", writing.finish().await, &[ErrorKind::Cancelled])?;
    }
    let bytes = t.content(1000);
    t.put("folder/file", &bytes).await?;
    t.holds("folder/file", &bytes).await?;
    let names: Vec<_> = t.entries("folder").await?.into_keys().collect();
    demand!(names == ["file"], "the folder holds {names:?}");
    Ok(())
}

/// Waits until the provider holds the operation no more.
async fn let_go(t: &Ground, watch: &Arc<Watch>, after: &str) -> Outcome {
    const STEP: Duration = Duration::from_millis(5);
    let mut waited = Duration::ZERO;
    while Arc::strong_count(watch) > 1 {
        if waited > t.site.limit {
            return fail(format!("after {after} the provider still holds the operation"));
        }
        tokio::time::sleep(STEP).await;
        waited += STEP;
    }
    Ok(())
}

async fn a_finish_that_is_given_up_is_all_or_nothing(t: Ground) -> Outcome {
    for n in 0..10 {
        let (watch, op) = watched();
        let name = format!("folder/{n}");
        let bytes = t.content(200_000);
        let how = WriteOptions::new(bytes.len() as u64, Expect::Nothing).op(op);
        let mut writing = t.open_write(&name, how).await?;
        writing.write(&bytes).await?;
        // As the host does: it asks to stop, and drops the call.
        let given_up = tokio::time::timeout(Duration::from_micros(n * 50), writing.finish()).await;
        watch.cancel();
        let_go(&t, &watch, "a finish that was given up").await?;
        match given_up {
            Ok(finished) => {
                finished?;
                t.holds(&name, &bytes).await?;
            }
            Err(_) if t.stat(&name).await.is_ok() => t.holds(&name, &bytes).await?,
            Err(_) => t.absent(&name).await?,
        }
    }
    Ok(())
}

async fn an_operation_is_let_go_of(t: Ground) -> Outcome {
    let bytes = t.content(100_000);
    let begun = async |name: &str, announced: usize| -> Outcome<_> {
        let (watch, op) = watched();
        let how = WriteOptions::new(announced as u64, Expect::Nothing).op(op);
        let mut writing = t.open_write(name, how).await?;
        writing.write(&bytes).await?;
        Ok((watch, writing))
    };
    let (watch, writing) = begun("finished", bytes.len()).await?;
    writing.finish().await?;
    let_go(&t, &watch, "finish").await?;
    let (watch, writing) = begun("discarded", bytes.len()).await?;
    writing.discard().await?;
    let_go(&t, &watch, "discard").await?;
    let (watch, writing) = begun("dropped", bytes.len()).await?;
    drop(writing);
    let_go(&t, &watch, "a drop").await?;
    let (watch, writing) = begun("torn", bytes.len() + 1).await?;
    refused_somehow("finishing too few bytes", writing.finish().await)?;
    let_go(&t, &watch, "a failed finish").await?;
    if t.info().can.server_copy {
        let (watch, op) = watched();
        let batch = [Item::new("finished", "copied"), Item::new("missing", "never")];
        t.server_copy(&batch, op).await?;
        let_go(&t, &watch, "a copy").await?;
    }
    Ok(())
}

async fn a_copy_cancelled_before_it_begins_is_not_done(t: Ground) -> Outcome {
    t.put("source", &t.content(1000)).await?;
    let (watch, op) = watched();
    watch.cancel();
    let batch: Vec<Item> = (0..5).map(|n| Item::new("source", format!("copy {n}"))).collect();
    for answer in t.server_copy(&batch, op).await? {
        refused("the copy", answer, &[ErrorKind::Cancelled])?;
    }
    for n in 0..5 {
        t.absent(&format!("copy {n}")).await?;
    }
    Ok(())
}

/// Asks to stop as soon as anything moved.
#[derive(Default)]
struct AtProgress(AtomicBool);

impl OpServices for AtProgress {
    fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn progress(&self, _: u64) {
        self.0.store(true, Ordering::Release);
    }
}

async fn a_copy_cancelled_on_the_way_is_told_item_by_item(t: Ground) -> Outcome {
    let bytes = t.content(3 << 20);
    t.put("source", &bytes).await?;
    let batch: Vec<Item> = (0..16).map(|n| Item::new("source", format!("copy {n}"))).collect();
    let answers = t.server_copy(&batch, Op::new(AtProgress::default())).await?;
    for (n, answer) in answers.into_iter().enumerate() {
        let name = format!("copy {n}");
        if answer.is_ok() {
            t.holds(&name, &bytes).await?;
        } else {
            refused("the copy", answer, &[ErrorKind::Cancelled])?;
            t.absent(&name).await?;
        }
    }
    Ok(())
}
