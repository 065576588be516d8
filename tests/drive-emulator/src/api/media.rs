//! Content: whole, or a range of it.

use std::ops::Range;

use hyper::header::{ACCEPT_RANGES, CONTENT_RANGE, CONTENT_TYPE, RANGE};

use super::{Call, Reply};
use crate::bugs::Bug;
use crate::refusal::Refusal;
use crate::state::State;

pub(super) fn media(state: &State, call: &Call) -> Result<Reply, Refusal> {
    let old = call.path.len() > 3;
    // Content of shared drives is given to clients that do not know of these: rclone relies on it.
    let item = state.look_up(&call.caller, call.segment(1), true)?;
    let revision = if old {
        item.revisions.iter().find(|revision| revision.id == call.segment(3))
    } else {
        item.revisions.last()
    };
    let Some(revision) = revision else {
        let message = "Only files with binary content can be downloaded. Use Export with Docs \
            Editors files.";
        return Err(Refusal::new(403, "fileNotDownloadable", message));
    };
    let bytes = &revision.content.bytes;
    let whole = bytes.len() as u64;
    let header = call.headers.get(RANGE).and_then(|range| range.to_str().ok());
    let (status, range) = match header.and_then(|header| range(header, whole)) {
        None => (200, 0..whole),
        Some(None) => {
            let refusal =
                Refusal::new(416, "requestedRangeNotSatisfiable", "Request range not satisfiable");
            return Ok(Reply::from(refusal).with(CONTENT_RANGE, format!("bytes */{whole}")));
        }
        Some(Some(range)) => (206, range),
    };
    let mut reply =
        Reply::empty(status).with(CONTENT_TYPE, revision.mime.clone()).with(ACCEPT_RANGES, "bytes");
    if status == 206 {
        let shown = format!("bytes {}-{}/{whole}", range.start, range.end - 1);
        reply = reply.with(CONTENT_RANGE, shown);
    }
    let early = u64::from(status == 206 && state.has(Bug::RangeEnd));
    let end = range.end.saturating_sub(early).max(range.start);
    reply.body = bytes.slice(range.start as usize..end as usize);
    Ok(reply)
}

/// Reads `bytes=2-5`, `bytes=2-` and `bytes=-4`. `None` for what is not such a header, which is
/// then ignored; `Some(None)` for a range in which nothing is.
fn range(header: &str, whole: u64) -> Option<Option<Range<u64>>> {
    let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
    if first.is_empty() {
        let most: u64 = last.parse().ok()?;
        return Some((most > 0 && whole > 0).then(|| whole.saturating_sub(most)..whole));
    }
    let first: u64 = first.parse().ok()?;
    let end = if last.is_empty() { whole } else { last.parse::<u64>().ok()?.saturating_add(1) };
    if end <= first && !last.is_empty() {
        return None;
    }
    Some((first < whole).then(|| first..end.min(whole)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_what_is_there() {
        for (header, found) in [
            ("bytes=2-5", Some(Some(2..6))),
            ("bytes=2-", Some(Some(2..10))),
            ("bytes=-4", Some(Some(6..10))),
            ("bytes=-40", Some(Some(0..10))),
            ("bytes=9-99", Some(Some(9..10))),
            ("bytes=10-", Some(None)),
            ("bytes=10-12", Some(None)),
            ("bytes=-0", Some(None)),
            ("bytes=5-2", None),
            ("bytes=0-1,4-5", None),
            ("lines=1-2", None),
        ] {
            assert_eq!(range(header, 10), found, "{header}");
        }
        assert_eq!(range("bytes=0-", 0), Some(None));
    }
}
