//! The door of a running service: a socket in its state folder, through which other commands hand in
//! orders. One JSON line goes in; lines come back while it is worked on, the last with the answer.
//!
//! Only the folder's owner can enter. Everything has a limit: the size of an order, the time in which
//! it must have come, how many callers there are at once. It is the only way into a running service;
//! an HTTP API will take its place.

use std::fs;
use std::future::Future;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};

use super::{Answer, Order, Refused, Report};

const SOCKET: &str = "door";
/// Bytes of an order: a million keys, and more than anyone types.
const LONGEST: u64 = 256 << 20;
/// How long an order may take to come in.
const PATIENCE: Duration = Duration::from_secs(30);
/// Callers that are served at once.
const CALLERS: usize = 256;
/// How often a caller hears that its order is still worked on,
const PULSE: Duration = Duration::from_secs(1);
/// and how long it waits for that.
const SILENCE: Duration = Duration::from_secs(30);

/// A line from the service.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Working(Report),
    Done(Value),
    Refused(Refused),
}

/// The service's side.
#[derive(Debug)]
pub struct Door {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for Door {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Runs `with` a short name of the socket: a socket's name ends after 108 bytes, and a state folder
/// may lie deeper.
fn named<T>(state: &Path, with: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let folder = fs::File::open(state)?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
    if short.exists() { with(&short.join(SOCKET)) } else { with(&state.join(SOCKET)) }
}

impl Door {
    /// Opens the door of a state folder. The caller holds the folder's lock: what an earlier service
    /// left there is nobody's.
    pub fn open(state: &Path) -> io::Result<Self> {
        let path = state.join(SOCKET);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = named(state, |path| net::UnixListener::bind(path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(Door { listener: UnixListener::from_std(listener)?, path })
    }

    /// Has every order carried out, until the future is dropped. What was begun then ends with the
    /// runtime.
    pub async fn serve<F, Work>(self, carry_out: F)
    where
        F: Fn(Order, mpsc::Sender<Report>) -> Work + Clone + Send + 'static,
        Work: Future<Output = Answer> + Send,
    {
        let callers = Arc::new(Semaphore::new(CALLERS));
        loop {
            let Ok(turn) = callers.clone().acquire_owned().await else { return };
            let caller = match self.listener.accept().await {
                Ok((caller, _)) => caller,
                Err(error) => {
                    tracing::warn!(%error, "the door does not open");
                    tokio::time::sleep(PULSE).await;
                    continue;
                }
            };
            let carry_out = carry_out.clone();
            tokio::spawn(async move {
                if let Err(error) = attend(caller, carry_out).await {
                    tracing::debug!(%error, "somebody left the door");
                }
                drop(turn);
            });
        }
    }
}

/// One order of one caller. It is carried out even if the caller goes away.
async fn attend<F, Work>(caller: UnixStream, carry_out: F) -> io::Result<()>
where
    F: Fn(Order, mpsc::Sender<Report>) -> Work,
    Work: Future<Output = Answer>,
{
    let (reading, mut writing) = caller.into_split();
    let mut text = Vec::new();
    let mut reading = tokio::io::BufReader::new(reading.take(LONGEST));
    let reading = reading.read_until(b'\n', &mut text);
    tokio::time::timeout(PATIENCE, reading).await.map_err(|_| io::ErrorKind::TimedOut)??;
    let order: Order = match serde_json::from_slice(&text) {
        Ok(order) => order,
        Err(error) => {
            let why =
                format!("the service does not understand the order ({error}): another version?");
            return say(&mut writing, &Line::Refused(Refused::new(3, why))).await;
        }
    };
    drop(text);
    let (report, mut reports) = mpsc::channel(16);
    let work = carry_out(order, report);
    tokio::pin!(work);
    let mut last = Report::default();
    // Goes on beside reports, however often these come.
    let mut pulse = tokio::time::interval(PULSE);
    let answer = loop {
        tokio::select! {
            answer = &mut work => break answer,
            Some(report) = reports.recv() => last = report,
            _ = pulse.tick() => {
                let line = Line::Working(last.clone());
                if !reports.is_closed() && say(&mut writing, &line).await.is_err() {
                    // Whoever only waits for somebody gives up.
                    reports.close();
                }
            }
        }
    };
    let line = match answer {
        Ok(value) => Line::Done(value),
        Err(refused) => Line::Refused(refused),
    };
    say(&mut writing, &line).await
}

async fn say(to: &mut (impl AsyncWriteExt + Unpin), line: &Line) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    let writing = to.write_all(&text);
    tokio::time::timeout(PATIENCE, writing).await.map_err(|_| io::ErrorKind::TimedOut)?
}

/// Hands an order to the service that works on this state folder, and waits for the answer. `None`
/// if no service runs. `hear` is told how far it is.
pub fn ask(
    state: &Path,
    order: &Order,
    mut hear: impl FnMut(&Report),
) -> io::Result<Option<Answer>> {
    let caller = match named(state, |path| net::UnixStream::connect(path)) {
        Ok(caller) => caller,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    caller.set_read_timeout(Some(SILENCE))?;
    caller.set_write_timeout(Some(PATIENCE))?;
    let mut text = serde_json::to_vec(order)?;
    text.push(b'\n');
    (&caller).write_all(&text)?;
    let mut lines = BufReader::new(caller.take(u64::MAX));
    let mut text = String::new();
    loop {
        text.clear();
        if lines.read_line(&mut text)? == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the service ended before it had answered",
            ));
        }
        match serde_json::from_str(&text)? {
            Line::Working(report) => hear(&report),
            Line::Done(value) => return Ok(Some(Ok(value))),
            Line::Refused(refused) => return Ok(Some(Err(refused))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_caller_hears_of_an_order_that_reports_all_the_time() {
        let state = tempfile::tempdir().unwrap();
        let door = Door::open(state.path()).unwrap();
        let heard = Arc::new(Semaphore::new(0));
        let hears = heard.clone();
        let service = tokio::spawn(door.serve(move |_, report: mpsc::Sender<Report>| {
            let heard = heard.clone();
            async move {
                // It ends once its caller has heard of it.
                while heard.try_acquire().is_err() {
                    let far = Report { done: 7, ..Report::default() };
                    let _ = report.send(far).await;
                    tokio::time::sleep(PULSE / 100).await;
                }
                Ok(Value::Null)
            }
        }));
        let order = Order::Resume { project: None, site: None, what: Vec::new(), held: false };
        let asking = tokio::task::spawn_blocking(move || {
            ask(state.path(), &order, |report| {
                if report.done == 7 {
                    hears.add_permits(1);
                }
            })
        });
        assert_eq!(asking.await.unwrap().unwrap(), Some(Ok(Value::Null)));
        service.abort();
    }
}
