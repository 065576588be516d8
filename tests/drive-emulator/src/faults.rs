//! The fault script: what goes wrong, and when.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use crate::refusal::Refusal;
use crate::requests::Kind;

/// Something that goes wrong with requests of a kind.
///
/// ```
/// use drive_emulator::{Answer, Fault, Kind};
/// // The second and the third chunk from now on are refused.
/// let fault = Fault::on(Kind::Chunk).nth(2).times(2).answer(Answer::rate_limited());
/// # let _ = fault;
/// ```
#[derive(Debug, Clone)]
pub struct Fault {
    kind: Option<Kind>,
    /// Matching requests that pass before.
    pass: usize,
    times: usize,
    answer: Answer,
}

impl Fault {
    /// Begins a fault of requests of this kind: the next one is answered with 503.
    pub fn on(kind: Kind) -> Fault {
        Fault { kind: Some(kind), ..Fault::any() }
    }

    /// Begins a fault of whatever request comes.
    pub fn any() -> Fault {
        Fault { kind: None, pass: 0, times: 1, answer: Answer::server_error(503, "") }
    }

    /// Lets it begin at the `n`th matching request from now on; 1 is the next one.
    #[must_use]
    pub fn nth(mut self, n: usize) -> Fault {
        assert!(n > 0, "requests are counted from 1");
        self.pass = n - 1;
        self
    }

    /// Lets it happen to this many matching requests in a row.
    #[must_use]
    pub fn times(mut self, times: usize) -> Fault {
        self.times = times;
        self
    }

    /// Lets it go on until [`Emulator::clear_faults`](crate::Emulator::clear_faults).
    #[must_use]
    pub fn always(self) -> Fault {
        self.times(usize::MAX)
    }

    /// Says what happens.
    #[must_use]
    pub fn answer(mut self, answer: Answer) -> Fault {
        self.answer = answer;
        self
    }
}

/// What happens to a request that a [`Fault`] hits.
#[derive(Debug, Clone)]
pub struct Answer(pub(crate) Act);

#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// This is the answer; nothing is done.
    Reply { status: u16, kind: &'static str, retry_after: Option<u64>, body: Bytes },
    /// The connection ends; nothing was read or done.
    DropBefore,
    /// All is done, then the connection ends.
    DropAfterCommit,
    /// The connection ends after so many bytes of content.
    DropAfterBytes(u64),
    /// Content is damaged on its way.
    Damage,
    /// All is done, but late.
    Late(Duration),
}

impl Answer {
    fn refusal(refusal: &Refusal) -> Answer {
        let (status, body) = (refusal.status, refusal.body());
        Answer(Act::Reply {
            status,
            kind: "application/json; charset=UTF-8",
            retry_after: None,
            body,
        })
    }

    /// 403 `userRateLimitExceeded`: too many requests in a short time.
    pub fn rate_limited() -> Answer {
        Answer::refusal(&Refusal::rate())
    }

    /// 429 `rateLimitExceeded`; with `Retry-After` (seconds) if given.
    pub fn too_many(after: Option<u64>) -> Answer {
        let mut answer =
            Answer::refusal(&Refusal::new(429, "rateLimitExceeded", "Rate Limit Exceeded"));
        if let Act::Reply { retry_after, .. } = &mut answer.0 {
            *retry_after = after;
        }
        answer
    }

    /// 403 `dailyLimitExceeded`: no more requests today.
    pub fn daily_limit() -> Answer {
        Answer::refusal(&Refusal::new(
            403,
            "dailyLimitExceeded",
            "Daily Limit Exceeded. The quota will be reset at midnight Pacific Time (PT). You may \
             monitor your quota usage and adjust limits in the API Console: \
             https://console.developers.google.com/apis/api/drive.googleapis.com/quotas?project=1",
        ))
    }

    /// 403 `userRateLimitExceeded` in the words that Google uses past 750 GB in a day.
    pub fn upload_limit() -> Answer {
        Answer::refusal(&Refusal::new(403, "userRateLimitExceeded", "User rate limit exceeded."))
    }

    /// 403 `insufficientFilePermissions`.
    pub fn permission() -> Answer {
        Answer::refusal(&Refusal::permission("of this request"))
    }

    /// A status of the 500s with a page for people, as load balancers send it.
    pub fn server_error(status: u16, html: &str) -> Answer {
        let page = format!("<!DOCTYPE html><html><title>Error {status}</title>{html}</html>");
        let kind = "text/html; charset=UTF-8";
        Answer(Act::Reply { status, kind, retry_after: None, body: Bytes::from(page) })
    }

    /// This status with this body.
    pub fn status(status: u16, json: &Value) -> Answer {
        let body = Bytes::from(json.to_string());
        Answer(Act::Reply {
            status,
            kind: "application/json; charset=UTF-8",
            retry_after: None,
            body,
        })
    }

    /// The connection ends before anything was read or done.
    pub fn drop_before() -> Answer {
        Answer(Act::DropBefore)
    }

    /// What was asked is done, then the connection ends without an answer.
    pub fn drop_after_commit() -> Answer {
        Answer(Act::DropAfterCommit)
    }

    /// The connection ends after `n` bytes: of what is uploaded (a resumable upload keeps what
    /// arrived, down to a multiple of 256 KiB), or of what is downloaded.
    pub fn drop_after_bytes(n: u64) -> Answer {
        Answer(Act::DropAfterBytes(n))
    }

    /// Content is damaged: uploaded content when it arrives, so that what Drive keeps and its md5
    /// are not what was sent; downloaded content on its way. With requests for metadata the md5
    /// sums in the answer are wrong. Empty content stays as it is.
    pub fn wrong_md5() -> Answer {
        Answer(Act::Damage)
    }

    /// What was asked is done, this much later.
    pub fn late(delay: Duration) -> Answer {
        Answer(Act::Late(delay))
    }
}

/// The faults that are still to come, in the order in which they were given.
#[derive(Debug, Default)]
pub(crate) struct Script(Vec<Fault>);

impl Script {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Counts a request; returns what happens to it. Of several faults the first one counts, and
    /// the others do not count this request.
    pub(crate) fn next(&mut self, kind: Kind) -> Option<Act> {
        let mut hit = None;
        for fault in &mut self.0 {
            if fault.kind.is_some_and(|of| of != kind) || hit.is_some() {
                continue;
            }
            if fault.pass > 0 {
                fault.pass -= 1;
            } else {
                fault.times = fault.times.saturating_sub(1);
                hit = Some(fault.answer.0.clone());
            }
        }
        self.0.retain(|fault| fault.times > 0);
        hit
    }

    /// How many faults have not happened, or not as often as they should.
    pub(crate) fn pending(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_happen_when_their_time_has_come() {
        let mut script = Script::default();
        script.add(Fault::on(Kind::Chunk).nth(2).times(2).answer(Answer::drop_before()));
        let hits: Vec<bool> = [Kind::Chunk, Kind::Get, Kind::Chunk, Kind::Chunk, Kind::Chunk]
            .into_iter()
            .map(|kind| script.next(kind).is_some())
            .collect();
        assert_eq!(hits, [false, false, true, true, false]);
        assert_eq!(script.pending(), 0);
    }
}
