//! The runs of one project. What one of them has done may be work for another: a file that came from
//! the remote site goes on to a third. So each tells the others, and a single pass ends for all of
//! them together.

use std::sync::Arc;

use tokio::sync::watch;

/// All runs of a project.
#[derive(Debug, Default)]
pub(super) struct Siblings(watch::Sender<Told>);

/// What they told one another.
#[derive(Debug, Default)]
struct Told {
    /// How often one of them had news.
    news: u64,
    runs: Vec<Standing>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It works, or is about to.
    Busy,
    /// It knew so much of the news, and had nothing left.
    Done(u64),
    /// It does nothing any more.
    Ended,
}

/// One of them, until this is dropped.
#[derive(Debug)]
pub(super) struct Sibling {
    all: Arc<Siblings>,
    at: usize,
}

impl Siblings {
    /// One more. All join before the first of them begins.
    pub(super) fn join(self: &Arc<Self>) -> Sibling {
        let mut at = 0;
        self.0.send_modify(|told| {
            at = told.runs.len();
            told.runs.push(Standing::Busy);
        });
        Sibling { all: self.clone(), at }
    }
}

impl Sibling {
    /// Told of all that any of them tells.
    pub(super) fn told(&self) -> Listening {
        Listening(self.all.0.subscribe())
    }

    /// How much news there was so far.
    pub(super) fn news(&self) -> u64 {
        self.all.0.borrow().news
    }

    /// What this one has just done may be work for others.
    pub(super) fn tell(&self) {
        self.all.0.send_modify(|told| told.news += 1);
    }

    /// This one works.
    pub(super) fn busy(&self) {
        self.stand(Standing::Busy);
    }

    /// This one had nothing left to do when there was so much news. True if nobody has.
    pub(super) fn is_all_done(&self, news: u64) -> bool {
        self.stand(Standing::Done(news));
        let told = self.all.0.borrow();
        let done =
            |run: &Standing| matches!(run, Standing::Ended) || *run == Standing::Done(told.news);
        told.runs.iter().all(done)
    }

    fn stand(&self, now: Standing) {
        self.all.0.send_if_modified(|told| {
            let changed = told.runs[self.at] != now;
            told.runs[self.at] = now;
            changed
        });
    }
}

impl Drop for Sibling {
    fn drop(&mut self) {
        self.stand(Standing::Ended);
    }
}

/// Hears what siblings tell.
#[derive(Debug)]
pub(super) struct Listening(watch::Receiver<Told>);

impl Listening {
    /// Waits for what is new since the last time.
    pub(super) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_done_when_each_knows_all_that_was_told() {
        let all = Arc::<Siblings>::default();
        let (a, b) = (all.join(), all.join());
        assert!(!a.is_all_done(a.news()), "the other may still find something");
        b.tell();
        assert!(!b.is_all_done(b.news()), "the other has not heard of it");
        a.busy();
        a.tell();
        assert!(!a.is_all_done(a.news()));
        assert!(b.is_all_done(b.news()));
        assert!(a.is_all_done(a.news()));
        b.tell();
        assert!(!a.is_all_done(a.news()));
        drop(b);
        assert!(a.is_all_done(a.news()), "who has ended has nothing left");
    }
}
