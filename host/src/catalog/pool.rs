//! Reader connections: a few, opened when first needed, lent for one read each.

use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::Result;
use super::sqlite::connect;

/// More readers than this wait for each other.
const READERS: usize = 4;
/// KiB of page cache, each.
const CACHE: i64 = 2_000;

#[derive(Debug)]
pub(super) struct Pool {
    path: PathBuf,
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Connection>,
    open: usize,
}

impl Pool {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), state: Mutex::default(), returned: Condvar::new() }
    }

    /// Lends a connection; waits while all are lent.
    pub(super) fn lend(&self) -> Result<Lent<'_>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(conn) = state.idle.pop() {
                return Ok(Lent { pool: self, conn: Some(conn) });
            }
            if state.open < READERS {
                state.open += 1;
                drop(state);
                // Counts as lent from here on: should opening fail, dropping it gives the place
                // back.
                let mut lent = Lent { pool: self, conn: None };
                lent.conn = Some(reader(&self.path)?);
                return Ok(lent);
            }
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Opens a connection that can't write. Not SQLite's read-only mode: that one can't recover the
/// log of a process that died, this one can.
pub(super) fn reader(path: &Path) -> Result<Connection> {
    // The last one to close moves the log into the file, which is the writer's to do: what a crash
    // left is left. Where there is no log, the one that is made for reading goes again.
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let left = Path::new(&log).exists();
    let conn = connect(path, CACHE)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, left)?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

/// A connection on loan.
#[derive(Debug)]
pub(super) struct Lent<'p> {
    pool: &'p Pool,
    conn: Option<Connection>,
}

impl Lent<'_> {
    /// The connection; `None` never happens while it is lent.
    pub(super) fn conn(&self) -> Option<&Connection> {
        self.conn.as_ref()
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.state.lock().unwrap_or_else(PoisonError::into_inner);
        // One that is still inside a transaction could not end it: not to be trusted again.
        match self.conn.take().filter(Connection::is_autocommit) {
            Some(conn) => state.idle.push(conn),
            None => state.open -= 1,
        }
        drop(state);
        self.pool.returned.notify_one();
    }
}
