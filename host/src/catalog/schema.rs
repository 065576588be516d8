//! The tables, and how an older catalog becomes a current one.
//!
//! Sized for 10 million files: folder paths and file names are stored once, keys are integers,
//! and whatever is found by two keys lives in a `WITHOUT ROWID` table. There are no triggers and
//! no foreign keys: the unit of work keeps the counters and the references, at a fraction of the
//! cost.

use rusqlite::{Connection, TransactionBehavior};

use super::{Error, Result};

/// `PRAGMA application_id`, tells a catalog from other SQLite files: "SSyn".
const APPLICATION: i64 = 0x5353_796e;

/// One step a version; a released step is never edited.
const STEPS: &[&str] = &[V1, V2, V3, V4];

/// The schema that this binary reads and writes.
pub(super) const KNOWN: i64 = STEPS.len() as i64;

const V1: &str = "
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE project (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);
CREATE TABLE site (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);
CREATE TABLE root (
    id INTEGER PRIMARY KEY,
    project INTEGER NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (project, name)
);
CREATE TABLE root_at (
    root INTEGER NOT NULL,
    site INTEGER NOT NULL,
    identity TEXT NOT NULL,
    PRIMARY KEY (root, site)
) WITHOUT ROWID;
CREATE TABLE folder (
    id INTEGER PRIMARY KEY,
    root INTEGER NOT NULL,
    path TEXT NOT NULL,
    UNIQUE (root, path)
);
-- The folders of a root in key order (an index ends with the key).
CREATE INDEX folder_of_root ON folder (root);
CREATE TABLE file (
    id INTEGER PRIMARY KEY,
    folder INTEGER NOT NULL,
    name TEXT NOT NULL,
    generation INTEGER NOT NULL,
    size INTEGER NOT NULL,
    UNIQUE (folder, name)
);
CREATE TABLE have (
    file INTEGER NOT NULL,
    site INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    version TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER,
    PRIMARY KEY (file, site)
) WITHOUT ROWID;
-- state: 0 ready, 1 waiting, 2 in progress, 3 failed, 4 conflict, 5 parked (ready, but its source
-- does not have the newest content: out of the way of `claim` until it does).
CREATE TABLE job (
    file INTEGER NOT NULL,
    to_site INTEGER NOT NULL,
    project INTEGER NOT NULL,
    from_site INTEGER NOT NULL,
    state INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    queued_at INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    sent_size INTEGER,
    sent_mtime INTEGER,
    token BLOB,
    error_kind TEXT,
    error_message TEXT,
    PRIMARY KEY (file, to_site)
) WITHOUT ROWID;
-- Serves `claim` and the Sync Queue alike: one index to keep instead of one each.
CREATE INDEX job_order ON job (project, to_site, state, priority DESC, queued_at, file);
CREATE INDEX job_waiting ON job (project, to_site, not_before) WHERE state = 1;
-- bucket: a state of a job, or 6 synced.
CREATE TABLE counter (
    root INTEGER NOT NULL,
    site INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    files INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (root, site, bucket)
) WITHOUT ROWID;
";

/// Where the change feed of a site's root goes on; gone with the root's identity.
const V2: &str = "
ALTER TABLE root_at ADD COLUMN cursor TEXT;
";

/// Representations: the files of each folder become one.
const V3: &str = "
CREATE TABLE representation (
    id INTEGER PRIMARY KEY,
    project INTEGER NOT NULL,
    folder TEXT NOT NULL,
    product TEXT NOT NULL,
    version TEXT NOT NULL,
    name TEXT NOT NULL,
    priority INTEGER NOT NULL,
    made_at INTEGER NOT NULL,
    made_by TEXT NOT NULL,
    published INTEGER NOT NULL,
    UNIQUE (project, folder, product, version, name)
);
CREATE INDEX representation_order ON representation (project, priority DESC, made_at);
INSERT INTO representation (project, folder, product, version, name,
                            priority, made_at, made_by, published)
    SELECT DISTINCT r.project, iif(d.path = '', '.', d.path), '', '', '', 0, 0, '', 0
    FROM folder d JOIN root r ON r.id = d.root
    WHERE EXISTS (SELECT 1 FROM file f WHERE f.folder = d.id);
ALTER TABLE file ADD COLUMN representation INTEGER NOT NULL DEFAULT 0;
UPDATE file SET representation = (
    SELECT p.id FROM folder d JOIN root r ON r.id = d.root
    JOIN representation p ON p.project = r.project
        AND p.folder = iif(d.path = '', '.', d.path)
        AND p.product = '' AND p.version = '' AND p.name = ''
    WHERE d.id = file.folder);
CREATE INDEX file_of_representation ON file (representation);
-- file: 0 for the whole representation.
CREATE TABLE want (
    representation INTEGER NOT NULL,
    file INTEGER NOT NULL,
    site INTEGER NOT NULL,
    wanted INTEGER NOT NULL,
    PRIMARY KEY (representation, file, site)
) WITHOUT ROWID;
-- 0 for any: (0, 0, 0) is the host.
CREATE TABLE pause (
    project INTEGER NOT NULL,
    site INTEGER NOT NULL,
    representation INTEGER NOT NULL,
    since INTEGER NOT NULL,
    paused_by TEXT NOT NULL,
    PRIMARY KEY (project, site, representation)
) WITHOUT ROWID;
-- kind: 'delete' or 'change', the guard that stopped a pass.
CREATE TABLE hold (
    project INTEGER NOT NULL,
    kind TEXT NOT NULL,
    site INTEGER NOT NULL,
    files INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (project, kind, site)
) WITHOUT ROWID;
-- Like counter, and only rows with files. Of site 0: all files of the representation, as bucket 6.
-- A job's state may also be 7 held (by a pause) and 8 guarded (by a guard), here and there.
CREATE TABLE representation_counter (
    representation INTEGER NOT NULL,
    site INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    files INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (representation, site, bucket)
) WITHOUT ROWID;
INSERT INTO representation_counter (representation, site, bucket, files, bytes)
    SELECT representation, site, bucket, count(*), sum(size) FROM (
        SELECT representation, 0 AS site, 6 AS bucket, size FROM file
        UNION ALL
        SELECT f.representation, j.to_site, j.state, f.size FROM job j JOIN file f ON f.id = j.file
        UNION ALL
        SELECT f.representation, h.site, 6, f.size FROM have h JOIN file f ON f.id = h.file
        WHERE h.generation = f.generation
          AND NOT EXISTS (SELECT 1 FROM job WHERE file = f.id AND to_site = h.site)
    ) GROUP BY representation, site, bucket;
-- By direction: pairs that share a site claim apart.
DROP INDEX job_order;
CREATE INDEX job_order ON job
    (project, to_site, from_site, state, priority DESC, queued_at, file);
DROP INDEX job_waiting;
CREATE INDEX job_waiting ON job (project, to_site, from_site, not_before) WHERE state = 1;
-- Which representations have work.
CREATE INDEX representation_work ON representation_counter (representation) WHERE bucket <> 6;
";

const V4: &str = "
-- All of it was listed and planned, once at least.
ALTER TABLE root_at ADD COLUMN scanned INTEGER NOT NULL DEFAULT 0;
";

/// Returns the schema version of a file; 0 when it is empty.
///
/// A file of another program is [`Error::Damaged`], a newer catalog [`Error::Newer`]: both are
/// told before anything is written.
pub(super) fn version(conn: &Connection) -> Result<i64> {
    let found: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i64 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    let empty = found == 0 && application == 0 && tables == 0;
    if !empty && application != APPLICATION {
        return Err(Error::Damaged("an SQLite file of another program".to_owned()));
    }
    if found > KNOWN {
        return Err(Error::Newer { found, known: KNOWN });
    }
    Ok(found)
}

/// Brings a file to the known schema: all missing steps in one transaction, or none.
pub(super) fn migrate(conn: &mut Connection) -> Result<()> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Looked at again under the write lock: another process may have been faster.
    let found = version(&tx)?;
    let done = usize::try_from(found)
        .map_err(|_| Error::Damaged(format!("its schema version is {found}")))?;
    for step in &STEPS[done..] {
        tx.execute_batch(step)?;
    }
    if done < STEPS.len() {
        tx.pragma_update(None, "application_id", APPLICATION)?;
        tx.pragma_update(None, "user_version", KNOWN)?;
    }
    tx.commit()?;
    Ok(())
}
