//! Handing out jobs.
//!
//! A ready job whose source lost the newest content is *parked* when it is met: out of the way of
//! later claims, still `Ready` to everyone else, and back as soon as its source has that content.
//! What is to be removed where it is needs to be there, whatever its content.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::{CachedStatement, Row};

use super::rows::{self, have_columns, job_columns, natural, stored};
use super::tally::Bucket;
use super::work::Work;
use super::{
    ClaimFilter, Claimed, DOUBTFUL, FileId, GONE, Generation, Have, Millis, Result, RootId, SiteId,
    UNKNOWN, View,
};

/// So many jobs are parked in one call; a claim that met only such comes back empty, and the next
/// one goes on behind them.
const PARKED_AT_ONCE: usize = 10_000;

macro_rules! candidates {
    ($narrowed:literal) => {
        concat!(
            "SELECT j.file, d.root, d.path, f.name, f.generation, f.size, f.representation, ",
            have_columns!("s"),
            ", ",
            have_columns!("t"),
            ", ",
            job_columns!(),
            " FROM job j INDEXED BY job_order
              CROSS JOIN file f ON f.id = j.file
              CROSS JOIN folder d ON d.id = f.folder
              LEFT JOIN have s ON s.file = j.file AND s.site = j.from_site
              LEFT JOIN have t ON t.file = j.file AND t.site = j.to_site
              WHERE j.project = ?1 AND j.to_site = ?2 AND j.from_site = ?3 AND j.state = 0
                AND f.size <= ?4",
            $narrowed,
            " ORDER BY j.priority DESC, j.queued_at, j.file"
        )
    };
}

/// Index of the columns of [`candidates`].
const SOURCE: usize = 7;
const DESTINATION: usize = 11;
const JOB: usize = 15;

/// What was found, before anything is changed: a statement can't see its own index move.
#[derive(Default)]
struct Found {
    jobs: Vec<(Claimed, i64)>,
    stale: Vec<(FileId, SiteId)>,
}

pub(super) fn claim(work: &mut Work<'_>, filter: &ClaimFilter) -> Result<Vec<Claimed>> {
    if filter.files == 0 {
        return Ok(Vec::new());
    }
    let found =
        if filter.oldest_first { oldest(work, filter)? } else { by_priority(work, filter)? };
    for (file, to) in found.stale {
        work.set_state(file, to, Bucket::Parked)?;
    }
    let mut mark = work.conn.prepare_cached(
        "UPDATE job SET state = ?3, sent_size = ?4, sent_mtime = ?5
         WHERE file = ?1 AND to_site = ?2",
    )?;
    let mut claimed = Vec::with_capacity(found.jobs.len());
    let mut taken = 0_u64;
    let mut scanned: HashMap<RootId, bool> = HashMap::new();
    for (mut job, size) in found.jobs.into_iter().take(filter.files) {
        job.surveyed = match (&job.destination, scanned.entry(job.root)) {
            (Some(there), _) => ![UNKNOWN, DOUBTFUL].contains(&there.generation),
            (None, Entry::Occupied(known)) => *known.get(),
            (None, Entry::Vacant(new)) => *new.insert(work.is_scanned(job.root, filter.to)?),
        };
        let sent = job.sent();
        mark.execute((
            job.file,
            job.job.to,
            Bucket::InProgress,
            sent.map(|sent| stored(sent.size)),
            sent.and_then(|sent| sent.mtime_ns),
        ))?;
        work.count_claimed((job.root, job.representation), job.job.to, size);
        claimed.push(job);
        taken = taken.saturating_add(natural(size));
        if taken >= filter.bytes {
            break;
        }
    }
    Ok(claimed)
}

fn by_priority(work: &Work<'_>, filter: &ClaimFilter) -> Result<Found> {
    let mut all = work.conn.prepare_cached(candidates!(""))?;
    let mut found = Found::default();
    let params = (filter.project, filter.to, filter.from, largest(filter));
    gather(&mut all, params, filter, &mut found, None)?;
    Ok(found)
}

/// The oldest of every priority, merged: spares an index that every job would pay for. There are
/// few priorities in use at a time, and never more than 1001.
fn oldest(work: &Work<'_>, filter: &ClaimFilter) -> Result<Found> {
    let mut next = work.conn.prepare_cached(
        "SELECT priority FROM job INDEXED BY job_order
         WHERE project = ?1 AND to_site = ?2 AND from_site = ?3 AND state = 0 AND priority < ?4
         ORDER BY priority DESC LIMIT 1",
    )?;
    let mut of = work.conn.prepare_cached(candidates!(" AND j.priority = ?5"))?;
    let mut found = Found::default();
    let mut priority = i64::MAX;
    loop {
        let mut rows = next.query((filter.project, filter.to, filter.from, priority))?;
        let Some(row) = rows.next()? else {
            return Ok(found);
        };
        priority = row.get(0)?;
        drop(rows);
        // Once enough are in hand, only what is older than the youngest of them is of interest.
        let youngest = found.jobs.get(filter.files - 1).map(|(claimed, _)| claimed.job.queued_at);
        let params = (filter.project, filter.to, filter.from, largest(filter), priority);
        gather(&mut of, params, filter, &mut found, youngest)?;
        found.jobs.sort_by_key(|(claimed, _)| (claimed.job.queued_at, claimed.file));
        found.jobs.truncate(filter.files);
    }
}

fn largest(filter: &ClaimFilter) -> i64 {
    filter.largest.map_or(i64::MAX, stored)
}

/// Adds candidates until the filter's bounds are reached by them alone.
fn gather(
    statement: &mut CachedStatement<'_>,
    params: impl rusqlite::Params,
    filter: &ClaimFilter,
    found: &mut Found,
    youngest: Option<Millis>,
) -> Result<()> {
    let mut rows = statement.query(params)?;
    let (mut files, mut bytes) = (0, 0_u64);
    while files < filter.files && bytes < filter.bytes.max(1) {
        let Some(row) = rows.next()? else { break };
        let newest: Generation = row.get(4)?;
        let to: SiteId = row.get(JOB)?;
        let from: SiteId = row.get(JOB + 1)?;
        let source = rows::have(row, SOURCE, from)?;
        let fit = |have: &Have| have.generation == newest || from == to && have.generation != GONE;
        let Some(source) = source.filter(fit) else {
            found.stale.push((row.get(0)?, to));
            if found.stale.len() >= PARKED_AT_ONCE {
                break;
            }
            continue;
        };
        let (claimed, size) = candidate(row, source, to)?;
        if youngest.is_some_and(|youngest| claimed.job.queued_at > youngest) {
            break;
        }
        files += 1;
        bytes = bytes.saturating_add(natural(size));
        found.jobs.push((claimed, size));
    }
    Ok(())
}

fn candidate(row: &Row<'_>, source: Have, to: SiteId) -> Result<(Claimed, i64)> {
    let root: RootId = row.get(1)?;
    let claimed = Claimed {
        file: row.get(0)?,
        root,
        representation: row.get(6)?,
        folder: row.get(2)?,
        name: row.get(3)?,
        generation: row.get(4)?,
        source,
        destination: rows::have(row, DESTINATION, to)?,
        surveyed: false,
        job: rows::job(row, JOB)?,
    };
    Ok((claimed, row.get(5)?))
}
