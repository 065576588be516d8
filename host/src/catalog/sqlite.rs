//! The embedded catalog: one SQLite file, one writer thread, a few readers beside it.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::pool::{Pool, reader};
use super::reader::Snapshot;
use super::writer::Writer;
use super::{Error, Result, Unit, View, schema};

/// The file in the state folder.
pub(super) const FILE: &str = "catalog.db";
/// Waits at most this long for a lock of another process.
const BUSY: Duration = Duration::from_secs(5);
/// KiB of page cache of the writer.
const WRITER_CACHE: i64 = 8_000;
/// Distinct statements that a connection keeps prepared; above the number there are.
const STATEMENTS: usize = 128;

/// The embedded catalog. Clones share it; the last one closes it.
#[derive(Debug, Clone)]
pub struct Sqlite {
    // Fields drop in this order: the writer ends and closes its file after the readers.
    readers: Arc<Pool>,
    writer: Option<Arc<Writer>>,
    path: Arc<Path>,
}

impl Sqlite {
    /// Opens the catalog in a folder; makes it, or brings it up to date.
    ///
    /// Refuses folders on network file systems ([`Error::Unsafe`]) and catalogs of a newer
    /// sitesync ([`Error::Newer`]).
    pub fn open(folder: &Path) -> Result<Self> {
        refuse_unsafe(folder)?;
        let path = folder.join(FILE);
        let located = |error: Error| error.located(&path);
        private(&path).map_err(|error| Error::Storage(error.to_string()).located(&path))?;
        let open = || -> Result<Writer> {
            let mut conn = connect(&path, WRITER_CACHE)?;
            schema::version(&conn)?;
            conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| {
                row.get::<_, String>(0)
            })?;
            schema::migrate(&mut conn)?;
            Writer::start(conn, &path)
        };
        let writer = open().map_err(located)?;
        Ok(Self {
            readers: Arc::new(Pool::new(&path)),
            writer: Some(Arc::new(writer)),
            path: path.into(),
        })
    }

    /// Opens the catalog in a folder for reading, beside a process that writes or none.
    ///
    /// [`Error::Missing`] when there is none yet, [`Error::Older`] when this sitesync would have
    /// to change it first.
    pub fn open_read_only(folder: &Path) -> Result<Self> {
        refuse_unsafe(folder)?;
        let path = folder.join(FILE);
        let missing = || Error::Missing { folder: folder.to_owned() };
        match fs::metadata(&path) {
            Ok(found) if found.len() > 0 => {}
            Ok(_) => return Err(missing()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing()),
            Err(error) => return Err(Error::Storage(error.to_string()).located(&path)),
        }
        let found = reader(&path).and_then(|conn| schema::version(&conn));
        match found.map_err(|error| error.located(&path))? {
            0 => return Err(missing()),
            found if found < schema::KNOWN => {
                return Err(Error::Older { found, known: schema::KNOWN });
            }
            _ => {}
        }
        Ok(Self { readers: Arc::new(Pool::new(&path)), writer: None, path: path.into() })
    }

    /// Reads at one consistent moment. Blocks; a few reads run side by side, more wait.
    ///
    /// A read within a read takes a second connection: with enough of those, all would wait.
    pub fn read<R>(&self, f: impl FnOnce(&dyn View) -> Result<R>) -> Result<R> {
        let read = || {
            let lent = self.readers.lend()?;
            let conn = lent.conn().ok_or(Error::Closed)?;
            let snapshot = conn.unchecked_transaction()?;
            let result = f(&Snapshot::new(&snapshot));
            snapshot.finish()?;
            result
        };
        read().map_err(|error| error.located(&self.path))
    }

    /// Looks at the file itself rather than at what is in it.
    pub(super) fn look<R>(&self, f: impl FnOnce(&Connection) -> Result<R>) -> Result<R> {
        let look = || f(self.readers.lend()?.conn().ok_or(Error::Closed)?);
        look().map_err(|error| error.located(&self.path))
    }

    /// Runs a unit of work and returns when it is committed, together with what else is queued.
    ///
    /// An error or a panic in `f` undoes this unit only. A unit whose future is dropped may have
    /// been committed.
    pub async fn write<R: Send + 'static>(
        &self,
        f: impl FnOnce(&mut dyn Unit) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        self.writer()?.write(f).await.map_err(|error| error.located(&self.path))
    }

    /// Like [`write`](Self::write), for threads outside the async runtime.
    pub fn write_blocking<R: Send + 'static>(
        &self,
        f: impl FnOnce(&mut dyn Unit) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        self.writer()?.write_blocking(f).map_err(|error| error.located(&self.path))
    }

    fn writer(&self) -> Result<&Writer> {
        let writer = self.writer.as_deref();
        writer.ok_or_else(|| Error::Invalid("it was opened for reading only".to_owned()))
    }
}

/// Opens a connection with what all of them need; changes nothing in the file.
pub(super) fn connect(path: &Path, cache: i64) -> Result<Connection> {
    // One thread at a time uses a connection, which spares SQLite's own locks.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    // The bundled SQLite has STAT4, which plans a statement anew for each set of values bound to
    // it: that costs five times what running it does. Plans here don't depend on values.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.pragma_update(None, "cache_size", -cache)?;
    conn.pragma_update(None, "mmap_size", 0)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "foreign_keys", false)?;
    // In WAL mode a power cut may undo the last commits, never break the file; what was undone is
    // found again by scanning.
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    Ok(conn)
}

/// Makes the file if there is none; only its owner may read it, now or before.
fn private(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).mode(0o600).open(path)?;
    if file.metadata()?.permissions().mode() & 0o777 != 0o600 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(())
}

/// Network and FUSE file systems by `statfs` magic (linux/magic.h, statfs(2)): locks and shared
/// memory, which WAL needs, are not safe there.
const UNSAFE: &[(u32, &str)] = &[
    (0x6969, "nfs"),
    (0x517b, "smb"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x6573_5546, "fuse"),
    (0x0102_1997, "9p"),
    (0x5346_414f, "afs"),
    (0x00c3_6400, "ceph"),
    (0x0bd0_0bd0, "lustre"),
    (0x4750_4653, "gpfs"),
    (0x1983_0326, "beegfs"),
];

fn refuse_unsafe(folder: &Path) -> Result<()> {
    let found = rustix::fs::statfs(folder).map_err(|error| {
        if error == rustix::io::Errno::NOENT {
            return Error::Missing { folder: folder.to_owned() };
        }
        Error::Storage(error.to_string()).located(folder)
    })?;
    match unsafe_kind(found.f_type as u32) {
        Some(kind) => Err(Error::Unsafe { folder: PathBuf::from(folder), kind: kind.to_owned() }),
        None => Ok(()),
    }
}

/// The name of a file system that a catalog must not lie on.
pub(super) fn unsafe_kind(magic: u32) -> Option<&'static str> {
    UNSAFE.iter().find(|(known, _)| *known == magic).map(|(_, kind)| *kind)
}
