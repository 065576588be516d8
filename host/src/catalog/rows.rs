//! Values as columns: how files, haves and jobs are read from a row.

use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use super::tally::Bucket;
use super::{
    FileId, FolderId, Have, Job, JobError, JobState, ProjectId, RepresentationId, RootId, Sent,
    SiteId,
};

macro_rules! column {
    ($($name:ident),*) => {$(
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::from(self.0))
            }
        }
        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                value.as_i64().map($name)
            }
        }
    )*};
}
column!(SiteId, ProjectId, RootId, FolderId, FileId, RepresentationId);

/// Bytes as stored. SQLite's integers end at 8 EiB, which no file reaches.
pub(super) fn stored(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Bytes or files as read; a negative number can only be damage, and shows as none.
pub(super) fn natural(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// A `LIMIT` or `OFFSET`.
pub(super) fn bound(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// The columns of a have behind its site, in the order of [`have`].
macro_rules! have_columns {
    ($table:literal) => {
        concat!(
            $table,
            ".generation, ",
            $table,
            ".version, ",
            $table,
            ".size, ",
            $table,
            ".mtime_ns"
        )
    };
}
pub(super) use have_columns;

/// Reads a have whose generation stands in column `at`; `None` where the join found none.
pub(super) fn have(row: &Row<'_>, at: usize, site: SiteId) -> rusqlite::Result<Option<Have>> {
    let Some(generation) = row.get(at)? else {
        return Ok(None);
    };
    Ok(Some(Have {
        site,
        generation,
        version: row.get(at + 1)?,
        size: natural(row.get(at + 2)?),
        mtime_ns: row.get(at + 3)?,
    }))
}

/// The columns of a job `j`, in the order of [`job`].
macro_rules! job_columns {
    () => {
        "j.to_site, j.from_site, j.state, j.priority, j.queued_at, j.not_before, j.tries, \
         j.sent_size, j.sent_mtime, j.token, j.error_kind, j.error_message"
    };
}
pub(super) use job_columns;

/// How many columns [`job`] reads.
pub(super) const JOB_COLUMNS: usize = 12;

/// Reads a job whose destination stands in column `at`.
pub(super) fn job(row: &Row<'_>, at: usize) -> rusqlite::Result<Job> {
    let stored: Bucket = row.get(at + 2)?;
    let state: JobState = stored
        .job_state()
        .ok_or_else(|| rusqlite::Error::IntegralValueOutOfRange(at + 2, i64::from(stored as u8)))?;
    let sent_size: Option<i64> = row.get(at + 7)?;
    let sent = match sent_size {
        Some(size) => Some(Sent { size: natural(size), mtime_ns: row.get(at + 8)? }),
        None => None,
    };
    let error_kind: Option<String> = row.get(at + 10)?;
    let error = match error_kind {
        Some(kind) => {
            let message: Option<String> = row.get(at + 11)?;
            Some(JobError { kind, message: message.unwrap_or_default() })
        }
        None => None,
    };
    Ok(Job {
        to: row.get(at)?,
        from: row.get(at + 1)?,
        state,
        priority: row.get(at + 3)?,
        queued_at: row.get(at + 4)?,
        not_before: row.get(at + 5)?,
        tries: row.get(at + 6)?,
        sent,
        token: row.get(at + 9)?,
        error,
    })
}
