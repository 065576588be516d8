//! Kept counters: what a unit of work changed, until it is written with the commit.

use std::collections::BTreeMap;

use rusqlite::Connection;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use super::{JobState, Result, RootId, SiteId};

/// What a (file, site) counts as. The first six are also how a job's state is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Bucket {
    Ready = 0,
    Waiting = 1,
    InProgress = 2,
    Failed = 3,
    Conflict = 4,
    /// Ready, but its source lacks the newest content: `claim` passes over it.
    Parked = 5,
    Synced = 6,
}

impl Bucket {
    const ALL: [Bucket; 7] = [
        Bucket::Ready,
        Bucket::Waiting,
        Bucket::InProgress,
        Bucket::Failed,
        Bucket::Conflict,
        Bucket::Parked,
        Bucket::Synced,
    ];

    /// The public state of a job that is stored so; `None` for what no job is stored as.
    pub(super) fn job_state(self) -> Option<JobState> {
        match self {
            Bucket::Ready | Bucket::Parked => Some(JobState::Ready),
            Bucket::Waiting => Some(JobState::Waiting),
            Bucket::InProgress => Some(JobState::InProgress),
            Bucket::Failed => Some(JobState::Failed),
            Bucket::Conflict => Some(JobState::Conflict),
            Bucket::Synced => None,
        }
    }
}

impl From<JobState> for Bucket {
    fn from(state: JobState) -> Self {
        match state {
            JobState::Ready => Bucket::Ready,
            JobState::Waiting => Bucket::Waiting,
            JobState::InProgress => Bucket::InProgress,
            JobState::Failed => Bucket::Failed,
            JobState::Conflict => Bucket::Conflict,
        }
    }
}

impl ToSql for Bucket {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(*self as u8))
    }
}

impl FromSql for Bucket {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let code = value.as_i64()?;
        let known = usize::try_from(code).ok().and_then(|code| Bucket::ALL.get(code));
        known.copied().ok_or(FromSqlError::OutOfRange(code))
    }
}

/// Changes of counters, summed up.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<(RootId, SiteId, Bucket), Change>);

/// By how much one counter changed.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Change {
    pub(super) files: i64,
    pub(super) bytes: i64,
}

impl Tally {
    pub(super) fn add(
        &mut self,
        root: RootId,
        site: SiteId,
        bucket: Bucket,
        files: i64,
        bytes: i64,
    ) {
        let change = self.0.entry((root, site, bucket)).or_default();
        change.files += files;
        change.bytes += bytes;
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes over all of `other`, which is empty afterwards.
    pub(super) fn absorb(&mut self, other: &mut Tally) {
        for ((root, site, bucket), change) in std::mem::take(&mut other.0) {
            self.add(root, site, bucket, change.files, change.bytes);
        }
    }

    pub(super) fn changes(&self) -> impl Iterator<Item = (RootId, SiteId, Bucket, Change)> + '_ {
        self.0.iter().map(|(&(root, site, bucket), &change)| (root, site, bucket, change))
    }

    /// Adds the changes to the stored counters, within the caller's transaction.
    pub(super) fn write(&self, conn: &Connection) -> Result<()> {
        let mut add = conn.prepare_cached(
            "INSERT INTO counter (root, site, bucket, files, bytes) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET files = files + excluded.files,
                                       bytes = bytes + excluded.bytes",
        )?;
        for (root, site, bucket, change) in self.changes() {
            if change.files != 0 || change.bytes != 0 {
                add.execute((root.0, site.0, bucket, change.files, change.bytes))?;
            }
        }
        Ok(())
    }
}
