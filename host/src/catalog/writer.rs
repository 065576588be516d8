//! The one writer: a thread that runs units of work in groups, one commit a group.
//!
//! A unit has a savepoint of its own, so that its failure undoes only itself; nobody is answered
//! before the commit that holds their unit.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::work::{Memory, Work};
use super::{Error, Result, Unit};

/// Units that wait for the writer; more wait with their senders.
const QUEUED: usize = 256;
/// A group ends after so many units ...
const GROUP_UNITS: usize = 128;
/// ... or so long, so that nobody waits long for an answer.
const GROUP_TIME: Duration = Duration::from_millis(50);
/// Pages after which a commit moves the log into the file: 16 MiB.
const CHECKPOINT_PAGES: i64 = 4_000;
/// The log file is cut back to this when it was larger.
const LOG_BYTES: i64 = 64 << 20;

#[derive(Debug)]
pub(super) struct Writer {
    /// `None` once closing.
    units: Option<mpsc::Sender<Box<dyn Task>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(super) fn start(conn: Connection, path: &Path) -> Result<Self> {
        conn.pragma_update_and_check(None, "wal_autocheckpoint", CHECKPOINT_PAGES, |_| Ok(()))?;
        conn.pragma_update_and_check(None, "journal_size_limit", LOG_BYTES, |_| Ok(()))?;
        let memory = Memory::load(&conn)?;
        let (units, queue) = mpsc::channel(QUEUED);
        let thread = thread::Builder::new()
            .name("catalog".to_owned())
            .spawn(move || Group { conn: &conn, memory }.serve(queue))
            .map_err(|error| Error::Storage(format!("{}: {error}", path.display())))?;
        Ok(Self { units: Some(units), thread: Mutex::new(Some(thread)) })
    }

    pub(super) async fn write<R: Send + 'static>(
        &self,
        f: impl FnOnce(&mut dyn Unit) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let (task, answer) = pack(f);
        self.queue()?.send(task).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }

    pub(super) fn write_blocking<R: Send + 'static>(
        &self,
        f: impl FnOnce(&mut dyn Unit) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let (task, answer) = pack(f);
        self.queue()?.blocking_send(task).map_err(|_| Error::Closed)?;
        answer.blocking_recv().map_err(|_| Error::Closed)?
    }

    fn queue(&self) -> Result<&mpsc::Sender<Box<dyn Task>>> {
        self.units.as_ref().ok_or(Error::Closed)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.units = None;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A unit that held the last handle drops it on the writer thread itself.
        if let Some(thread) = thread.filter(|t| t.thread().id() != thread::current().id()) {
            // What it could tell by panicking, those who waited were told as `Closed`.
            let _ = thread.join();
        }
    }
}

/// A unit of work and the one who waits for it.
trait Task: Send {
    /// Runs it; keeps what it returned. Errs if it must be undone.
    fn run(&mut self, unit: &mut dyn Unit) -> Result<(), Undone>;
    /// Answers with what it returned, or with why the commit failed.
    fn answer(self: Box<Self>, committed: Result<()>);
}

/// A unit failed, for its own reasons, which only its sender needs to know.
struct Undone;

struct Packed<F, R> {
    f: Option<F>,
    /// `None` until it ran.
    result: Option<Result<R>>,
    reply: oneshot::Sender<Result<R>>,
}

fn pack<F, R>(f: F) -> (Box<dyn Task>, oneshot::Receiver<Result<R>>)
where
    F: FnOnce(&mut dyn Unit) -> Result<R> + Send + 'static,
    R: Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    (Box::new(Packed { f: Some(f), result: None, reply }), answer)
}

impl<F, R> Task for Packed<F, R>
where
    F: FnOnce(&mut dyn Unit) -> Result<R> + Send,
    R: Send,
{
    fn run(&mut self, unit: &mut dyn Unit) -> Result<(), Undone> {
        let Some(f) = self.f.take() else {
            return Err(Undone);
        };
        // Whatever a panic leaves half-done lies in the database, and is rolled back.
        let result = catch_unwind(AssertUnwindSafe(|| f(unit)))
            .unwrap_or_else(|panic| Err(Error::Panicked(said(&*panic))));
        let outcome = result.as_ref().map(|_| ()).map_err(|_| Undone);
        self.result = Some(result);
        outcome
    }

    fn answer(self: Box<Self>, committed: Result<()>) {
        // Who no longer waits does not need to be told.
        let _ = self.reply.send(match (self.result, committed) {
            (None | Some(Ok(_)), Err(error)) => Err(error),
            (Some(result), _) => result,
            (None, Ok(())) => Err(Error::Closed),
        });
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

struct Group<'c> {
    conn: &'c Connection,
    memory: Memory,
}

impl Group<'_> {
    fn serve(mut self, mut queue: mpsc::Receiver<Box<dyn Task>>) {
        while let Some(first) = queue.blocking_recv() {
            self.group(first, &mut queue);
        }
    }

    /// Runs one unit and those that are queued behind it, commits, and answers them all.
    fn group(&mut self, first: Box<dyn Task>, queue: &mut mpsc::Receiver<Box<dyn Task>>) {
        if let Err(error) = self.execute("BEGIN IMMEDIATE") {
            return first.answer(Err(error));
        }
        let started = Instant::now();
        let mut done: Vec<Box<dyn Task>> = Vec::new();
        let mut next = Some(first);
        let mut broken = None;
        while let Some(mut task) = next.take() {
            let outcome = self.unit(&mut *task);
            done.push(task);
            if let Err(error) = outcome {
                broken = Some(error);
                break;
            }
            if done.len() < GROUP_UNITS && started.elapsed() < GROUP_TIME {
                next = queue.try_recv().ok();
            }
        }
        let committed = match broken {
            Some(error) => Err(error),
            None => self.commit(),
        };
        if committed.is_err() {
            self.abandon();
        }
        for task in done {
            task.answer(committed.clone());
        }
    }

    /// Runs one unit in its savepoint. Errs when the whole transaction is lost with it.
    fn unit(&mut self, task: &mut dyn Task) -> Result<()> {
        self.execute("SAVEPOINT unit")?;
        let parked = self.memory.parked;
        let outcome = task.run(&mut Work { conn: self.conn, memory: &mut self.memory });
        if self.conn.is_autocommit() {
            // A full disk or a failing one can make SQLite roll back everything at once.
            return Err(Error::Storage("the transaction was rolled back".to_owned()));
        }
        match outcome {
            Ok(()) => {
                self.execute("RELEASE unit")?;
                self.memory.group.absorb(&mut self.memory.unit);
            }
            Err(Undone) => {
                self.memory.forget();
                self.memory.parked = parked;
                self.execute("ROLLBACK TO unit")?;
                self.execute("RELEASE unit")?;
            }
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        self.memory.group.write(self.conn)?;
        self.execute("COMMIT")?;
        self.memory.group.clear();
        Ok(())
    }

    /// Undoes the whole group.
    fn abandon(&mut self) {
        if !self.conn.is_autocommit() {
            // Should even this fail, the next BEGIN does too, and says why.
            let _ = self.execute("ROLLBACK");
        }
        self.memory.forget();
        self.memory.group.clear();
        match Memory::load(self.conn) {
            // Keys stay used up: someone may hold those of the undone group.
            Ok(fresh) => self.memory.parked = fresh.parked,
            // Only costs look-ups that find nothing.
            Err(_) => self.memory.parked = self.memory.parked.max(1),
        }
    }

    fn execute(&self, sql: &str) -> Result<()> {
        self.conn.prepare_cached(sql)?.execute(())?;
        Ok(())
    }
}
