//! The change feed.

use std::time::{Duration, Instant};

use super::{Case, case, needs};
use crate::conformance::ground::Ground;
use crate::conformance::outcome::{Outcome, demand, fail, refused_somehow};
use crate::{Change, Cursor, DeleteOptions, check_path};

/// How long a feed may lag behind, times the limit of a call.
const LAG: u32 = 2;
/// How long one call waits for something to happen.
const WAIT: Duration = Duration::from_millis(500);

pub(super) const CASES: &[Case] = &[
    case!(
        "changes",
        a_feed_begins_where_it_is_now,
        needs::changes,
        "The host asks for a cursor before its first scan: what happens meanwhile must follow it."
    ),
    case!(
        "changes",
        a_feed_names_sound_paths,
        needs::changes,
        "What a feed names is scanned: a path out of the root, or of another root, is not."
    ),
    case!(
        "changes",
        a_feed_names_a_new_file,
        needs::complete_changes,
        "A complete feed replaces scans: what it does not name is never seen."
    ),
    case!(
        "changes",
        a_feed_names_a_replaced_file,
        needs::complete_changes,
        "New content of an old file is the change that matters most."
    ),
    case!(
        "changes",
        a_feed_names_a_deleted_file,
        needs::complete_changes,
        "A file that is gone is learned of in no other way."
    ),
    case!(
        "changes",
        a_cursor_may_be_used_again,
        needs::complete_changes,
        "The host stores a cursor after it has acted: after a crash it asks with the old one again."
    ),
    case!(
        "changes",
        a_nonsense_cursor_is_refused,
        needs::changes,
        "A feed that begins anew in silence has lost what happened; an error makes the host scan."
    ),
];

async fn now(t: &Ground) -> Outcome<Cursor> {
    Ok(t.changes(None, Duration::ZERO).await?.next)
}

/// All that a feed names at once, and where to go on.
async fn drained(t: &Ground, mut since: Cursor, wait: Duration) -> Outcome<(Vec<String>, Cursor)> {
    let mut paths = Vec::new();
    for _ in 0..10_000 {
        let page = t.changes(Some(since), wait).await?;
        for Change { root, path, .. } in page.changed {
            demand!(
                root == t.site.root,
                "the feed names a change of {root:?}, which nobody asked for"
            );
            if let Err(why) = check_path(&path) {
                return fail(format!("the feed names {path:?}, which has {why}"));
            }
            paths.push(path);
        }
        since = page.next;
        if !page.more {
            return Ok((paths, since));
        }
    }
    fail("the feed always has more")
}

/// True if one of the changes is that of this path: its own, or that of a folder above.
fn covers(changed: &[String], path: &str) -> bool {
    changed.iter().any(|changed| {
        changed.is_empty() || path == changed || path.starts_with(&format!("{changed}/"))
    })
}

/// Demands that the feed names the path, at last.
async fn names(t: &Ground, since: Cursor, name: &str) -> Outcome<Cursor> {
    let path = t.path(name);
    let begun = Instant::now();
    let mut since = since;
    loop {
        let (changed, next) = drained(t, since, WAIT).await?;
        if covers(&changed, &path) {
            return Ok(next);
        }
        if begun.elapsed() > t.site.limit * LAG {
            return fail(format!("the feed did not name {name:?}"));
        }
        since = next;
        // A feed may answer at once though nothing happened.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn a_feed_begins_where_it_is_now(t: Ground) -> Outcome {
    t.put("before", &t.content(10)).await?;
    let first = t.changes(None, Duration::ZERO).await?;
    demand!(first.changed.is_empty(), "without a cursor it names {:?}", first.changed);
    Ok(())
}

async fn a_feed_names_sound_paths(t: Ground) -> Outcome {
    let since = now(&t).await?;
    t.put("folder/a b", &t.content(10)).await?;
    t.put("it's 100%", &t.content(10)).await?;
    drained(&t, since, WAIT).await?;
    Ok(())
}

async fn a_feed_names_a_new_file(t: Ground) -> Outcome {
    let since = now(&t).await?;
    t.put("new", &t.content(10)).await?;
    let since = names(&t, since, "new").await?;
    t.put("folder/deep/new", &t.content(10)).await?;
    names(&t, since, "folder/deep/new").await?;
    Ok(())
}

async fn a_feed_names_a_replaced_file(t: Ground) -> Outcome {
    let was = t.put("file", &t.content(10)).await?;
    let since = now(&t).await?;
    t.replace("file", &t.content(10), &was).await?;
    names(&t, since, "file").await?;
    Ok(())
}

async fn a_feed_names_a_deleted_file(t: Ground) -> Outcome {
    t.put("folder/file", &t.content(10)).await?;
    let since = now(&t).await?;
    t.delete("folder/file", DeleteOptions::default()).await?;
    names(&t, since, "folder/file").await?;
    Ok(())
}

async fn a_cursor_may_be_used_again(t: Ground) -> Outcome {
    let since = now(&t).await?;
    t.put("file", &t.content(10)).await?;
    names(&t, since.clone(), "file").await?;
    names(&t, since.clone(), "file").await?;
    names(&t.reconnected().await?, since, "file").await?;
    Ok(())
}

async fn a_nonsense_cursor_is_refused(t: Ground) -> Outcome {
    for cursor in ["", "nonsense", "-1", "{}"] {
        let answer = t.changes(Some(Cursor(cursor.to_owned())), Duration::ZERO).await;
        refused_somehow(&format!("the cursor {cursor:?}"), answer)?;
    }
    Ok(())
}
