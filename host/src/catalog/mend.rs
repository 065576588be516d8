//! What is done to the file as a whole: copied, counted anew, set aside.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::pool::reader;
use super::rows::natural;
use super::sqlite::{FILE, connect};
use super::{Error, Result, Sqlite, schema};

/// The counters of roots, from scratch.
const COUNTED: &str = "SELECT root, site, bucket, count(*) AS files, sum(size) AS bytes FROM (
        SELECT d.root, j.to_site AS site, j.state AS bucket, f.size
        FROM job j JOIN file f ON f.id = j.file JOIN folder d ON d.id = f.folder
        UNION ALL
        SELECT d.root, h.site, 6, f.size
        FROM have h JOIN file f ON f.id = h.file JOIN folder d ON d.id = f.folder
        WHERE h.generation = f.generation
          AND NOT EXISTS (SELECT 1 FROM job WHERE file = f.id AND to_site = h.site)
    ) GROUP BY root, site, bucket";
/// The counters of representations, from scratch.
const COUNTED_OF: &str =
    "SELECT representation, site, bucket, count(*) AS files, sum(size) AS bytes FROM (
        SELECT representation, 0 AS site, 6 AS bucket, size FROM file
        UNION ALL
        SELECT f.representation, j.to_site, j.state, f.size FROM job j JOIN file f ON f.id = j.file
        UNION ALL
        SELECT f.representation, h.site, 6, f.size FROM have h JOIN file f ON f.id = h.file
        WHERE h.generation = f.generation
          AND NOT EXISTS (SELECT 1 FROM job WHERE file = f.id AND to_site = h.site)
    ) GROUP BY representation, site, bucket";
/// Those that are kept: one that counts nothing may be there or not.
const KEPT: &str =
    "SELECT root, site, bucket, files, bytes FROM counter WHERE files <> 0 OR bytes <> 0";
const KEPT_OF: &str =
    "SELECT representation, site, bucket, files, bytes FROM representation_counter
    WHERE files <> 0 OR bytes <> 0";

impl Sqlite {
    /// How many kept counters are not what is counted. Takes as long as counting does.
    pub fn miscounted(&self) -> Result<u64> {
        self.look(miscounted)
    }
}

fn miscounted(conn: &Connection) -> Result<u64> {
    let mut wrong = 0;
    for (of, kept, counted) in [("root", KEPT, COUNTED), ("representation", KEPT_OF, COUNTED_OF)] {
        let differ = format!(
            "SELECT count(*) FROM (
                SELECT 1 FROM (SELECT * FROM ({kept}) UNION ALL SELECT * FROM ({counted}))
                GROUP BY {of}, site, bucket
                HAVING count(*) <> 2 OR min(files) <> max(files) OR min(bytes) <> max(bytes))"
        );
        wrong += natural(conn.query_row(&differ, (), |row| row.get(0))?);
    }
    Ok(wrong)
}

/// Counts anew what is kept in counters. Nobody else may work on the catalog. Returns how many
/// counters were wrong.
pub fn recount(folder: &Path) -> Result<u64> {
    let path = folder.join(FILE);
    let count = || -> Result<u64> {
        let mut conn = connect(&path, 8_000)?;
        schema::version(&conn)?;
        let wrong = miscounted(&conn)?;
        if wrong > 0 {
            let all = conn.transaction()?;
            all.execute_batch(&format!(
                "DELETE FROM counter; INSERT INTO counter (root, site, bucket, files, bytes) {COUNTED};
                 DELETE FROM representation_counter;
                 INSERT INTO representation_counter (representation, site, bucket, files, bytes)
                     {COUNTED_OF};"
            ))?;
            all.commit()?;
        }
        Ok(wrong)
    };
    count().map_err(|error| error.located(&path))
}

/// Copies a catalog as it is at this moment, beside whoever works on it, into a folder that has
/// none. False if there is no catalog yet.
pub fn copy(folder: &Path, to: &Path) -> Result<bool> {
    let path = folder.join(FILE);
    if fs::metadata(&path).map_or(0, |found| found.len()) == 0 {
        return Ok(false);
    }
    let copy = || -> Result<bool> {
        let conn = reader(&path)?;
        if schema::version(&conn)? == 0 {
            return Ok(false);
        }
        // What is written is the copy.
        conn.pragma_update(None, "query_only", false)?;
        let Some(to) = to.join(FILE).to_str().map(str::to_owned) else {
            return Err(Error::Storage(format!("{} is no name for SQLite", to.display())));
        };
        conn.execute("VACUUM INTO ?1", [to])?;
        Ok(true)
    };
    copy().map_err(|error| error.located(&path))
}

/// Renames the catalog of a folder, so that a new one can be made. `when` ends the new name, which
/// is returned; `None` if there is no catalog. What is left of a log goes with it. Nobody may work on
/// the catalog.
pub fn set_aside(folder: &Path, when: &str) -> Result<Option<PathBuf>> {
    let (from, aside) = (folder.join(FILE), folder.join(format!("{FILE}.damaged-{when}")));
    let mut moved = None;
    for end in ["", "-wal", "-shm"] {
        let (from, to) = (with_end(&from, end), with_end(&aside, end));
        if to.exists() {
            let taken = format!("{} is there already", to.display());
            return Err(Error::Storage(taken).located(&from));
        }
        match fs::rename(&from, &to) {
            Ok(()) if end.is_empty() => moved = Some(to),
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::Storage(error.to_string()).located(&from)),
        }
    }
    Ok(moved)
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}
