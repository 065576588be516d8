//! Kept counters: what a unit of work changed, until it is written with the commit.

use std::collections::BTreeMap;

use rusqlite::Connection;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use super::{FileState, JobState, RepresentationId, Result, RootId, SiteId};

/// What a (file, site) counts as. All but `Synced` are also how a job's state is stored.
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
    /// Would be ready, and a pause of its representation keeps it back.
    Held = 7,
    /// Would be ready, and a guard keeps it back.
    Guarded = 8,
}

/// No site: where a representation's files are counted, wherever they are, as `Synced`.
pub(super) const ANYWHERE: SiteId = SiteId(0);

impl Bucket {
    /// In the order of their codes.
    pub(super) const ALL: [Bucket; 9] = [
        Bucket::Ready,
        Bucket::Waiting,
        Bucket::InProgress,
        Bucket::Failed,
        Bucket::Conflict,
        Bucket::Parked,
        Bucket::Synced,
        Bucket::Held,
        Bucket::Guarded,
    ];

    /// The public state of a job that is stored so; `None` for what no job is stored as.
    pub(super) fn job_state(self) -> Option<JobState> {
        match self {
            Bucket::Ready | Bucket::Parked => Some(JobState::Ready),
            Bucket::Waiting => Some(JobState::Waiting),
            Bucket::InProgress => Some(JobState::InProgress),
            Bucket::Failed => Some(JobState::Failed),
            Bucket::Conflict => Some(JobState::Conflict),
            Bucket::Held | Bucket::Guarded => Some(JobState::Held),
            Bucket::Synced => None,
        }
    }

    /// The public state of a file that counts so.
    pub(super) fn file_state(self) -> FileState {
        match self {
            Bucket::Ready | Bucket::Waiting | Bucket::Parked => FileState::Queued,
            Bucket::InProgress => FileState::InProgress,
            Bucket::Failed | Bucket::Conflict => FileState::Failed,
            Bucket::Synced => FileState::Synced,
            Bucket::Held | Bucket::Guarded => FileState::Paused,
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
            JobState::Held => Bucket::Guarded,
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

/// Changes of counters, summed up: those of roots, and those of representations.
#[derive(Debug, Default)]
pub(super) struct Tally {
    roots: Changes<RootId>,
    representations: Changes<RepresentationId>,
}

type Changes<K> = BTreeMap<(K, SiteId, Bucket), Change>;

/// By how much one counter changed.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Change {
    pub(super) files: i64,
    pub(super) bytes: i64,
}

impl Change {
    fn add(&mut self, files: i64, bytes: i64) {
        self.files += files;
        self.bytes += bytes;
    }
}

impl Tally {
    pub(super) fn add(
        &mut self,
        (root, representation): (RootId, RepresentationId),
        site: SiteId,
        bucket: Bucket,
        files: i64,
        bytes: i64,
    ) {
        self.roots.entry((root, site, bucket)).or_default().add(files, bytes);
        self.representations.entry((representation, site, bucket)).or_default().add(files, bytes);
    }

    /// Counts files that a representation got or lost.
    pub(super) fn know(&mut self, representation: RepresentationId, files: i64, bytes: i64) {
        let key = (representation, ANYWHERE, Bucket::Synced);
        self.representations.entry(key).or_default().add(files, bytes);
    }

    pub(super) fn clear(&mut self) {
        self.roots.clear();
        self.representations.clear();
    }

    /// Takes over all of `other`, which is empty afterwards.
    pub(super) fn absorb(&mut self, other: &mut Tally) {
        absorb(&mut self.roots, &mut other.roots);
        absorb(&mut self.representations, &mut other.representations);
    }

    pub(super) fn changes(&self) -> impl Iterator<Item = (RootId, SiteId, Bucket, Change)> + '_ {
        self.roots.iter().map(|(&(root, site, bucket), &change)| (root, site, bucket, change))
    }

    pub(super) fn changes_of(
        &self,
        representation: RepresentationId,
    ) -> impl Iterator<Item = (SiteId, Bucket, Change)> + '_ {
        let first = (representation, SiteId(i64::MIN), Bucket::Ready);
        let last = (representation, SiteId(i64::MAX), Bucket::Guarded);
        let of = self.representations.range(first..=last);
        of.map(|(&(_, site, bucket), &change)| (site, bucket, change))
    }

    /// Adds the changes to the stored counters, within the caller's transaction.
    pub(super) fn write(&self, conn: &Connection) -> Result<()> {
        let mut add = conn.prepare_cached(
            "INSERT INTO counter (root, site, bucket, files, bytes) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET files = files + excluded.files,
                                       bytes = bytes + excluded.bytes",
        )?;
        for ((root, site, bucket), change) in &self.roots {
            if change.files != 0 || change.bytes != 0 {
                add.execute((root, site, bucket, change.files, change.bytes))?;
            }
        }
        let mut add = conn.prepare_cached(
            "INSERT INTO representation_counter (representation, site, bucket, files, bytes)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET files = files + excluded.files,
                                       bytes = bytes + excluded.bytes",
        )?;
        // There is a row where there are files, and no other: what has none is not to be met.
        let mut remove = conn.prepare_cached(
            "DELETE FROM representation_counter
             WHERE representation = ?1 AND site = ?2 AND bucket = ?3 AND files = 0",
        )?;
        for ((representation, site, bucket), change) in &self.representations {
            if change.files != 0 || change.bytes != 0 {
                add.execute((representation, site, bucket, change.files, change.bytes))?;
            }
            if change.files < 0 {
                remove.execute((representation, site, bucket))?;
            }
        }
        Ok(())
    }
}

fn absorb<K: Ord>(into: &mut Changes<K>, from: &mut Changes<K>) {
    for (key, change) in std::mem::take(from) {
        into.entry(key).or_default().add(change.files, change.bytes);
    }
}
