//! The door of a running service: a socket in its state folder, through which other commands hand in
//! orders. One JSON line goes in; lines come back while it is worked on, the last with the answer.
//!
//! Only the folder's owner can enter. Everything has a limit: the size of an order, the time in which
//! it must have come, how many callers there are at once. Orders that only wait have a limit of their
//! own, so that they keep nobody out; one too many is refused at once. It is the only way into a running
//! service; an HTTP API will take its place.

use std::fs;
use std::future::Future;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};

use super::{Answer, Order, Refused, Report};

const SOCKET: &str = "door";
/// Bytes of an order: a million keys, and more than anyone types.
const LONGEST: u64 = 256 << 20;
/// How long an order may take to come in.
const PATIENCE: Duration = Duration::from_secs(30);
/// Callers that are let in: each takes a descriptor,
const CALLERS: usize = 5_000;
/// of which so many in a hundred may be there only to wait.
const WAITING: usize = 80;
/// Orders that are read or carried out at once, but for those that wait.
const TURNS: usize = 256;
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
    room: Arc<Room>,
}

/// How many more callers there may be.
#[derive(Debug)]
struct Room {
    callers: Semaphore,
    waiting: Semaphore,
    turns: Semaphore,
}

impl Room {
    fn new(callers: usize, turns: usize) -> Self {
        let waiting = callers * WAITING / 100;
        let [callers, waiting, turns] = [callers, waiting, turns].map(Semaphore::new);
        Room { callers, waiting, turns }
    }
}

/// How many callers can be let in: transfers need descriptors too, so that they get no more than half of
/// what the process may have. That is raised as far as need be.
fn callers() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let wanted = 2 * CALLERS as u64;
    let most = limit.maximum.map_or(wanted, |most| most.min(wanted));
    let mut may_have = limit.current.unwrap_or(wanted);
    if may_have < most
        && setrlimit(Resource::Nofile, Rlimit { current: Some(most), ..limit }).is_ok()
    {
        may_have = most;
    }
    usize::try_from(may_have / 2).unwrap_or(CALLERS).min(CALLERS)
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
        let room = Arc::new(Room::new(callers(), TURNS));
        Ok(Door { listener: UnixListener::from_std(listener)?, path, room })
    }

    /// Has every order carried out, until the future is dropped. What was begun then ends with the
    /// runtime.
    pub async fn serve<F, Work>(self, carry_out: F)
    where
        F: Fn(Order, mpsc::Sender<Report>) -> Work + Clone + Send + 'static,
        Work: Future<Output = Answer> + Send,
    {
        loop {
            let caller = match self.listener.accept().await {
                Ok((caller, _)) => caller,
                Err(error) => {
                    tracing::warn!(%error, "the door does not open");
                    tokio::time::sleep(PULSE).await;
                    continue;
                }
            };
            let (room, carry_out) = (self.room.clone(), carry_out.clone());
            tokio::spawn(async move {
                if let Err(error) = attend(caller, &room, carry_out).await {
                    tracing::debug!(%error, "somebody left the door");
                }
            });
        }
    }
}

/// One order of one caller. Once begun, it is carried out even if the caller goes away; whoever went
/// before was told nothing of it, and may have given it again.
async fn attend<F, Work>(caller: UnixStream, room: &Room, carry_out: F) -> io::Result<()>
where
    F: Fn(Order, mpsc::Sender<Report>) -> Work,
    Work: Future<Output = Answer>,
{
    let (reading, mut writing) = caller.into_split();
    let Ok(_inside) = room.callers.try_acquire() else {
        return refuse(&mut writing, "too many orders are given to the service at once").await;
    };
    let mut turn = Some(turn(&room.turns, &mut writing).await?);
    let mut text = Vec::new();
    let mut reading = tokio::io::BufReader::new(reading.take(LONGEST));
    let reading = reading.read_until(b'\n', &mut text);
    tokio::time::timeout(PATIENCE, reading).await.map_err(|_| io::ErrorKind::TimedOut)??;
    let order: Order = match serde_json::from_slice(&text) {
        Ok(order) => order,
        Err(error) => {
            let why =
                format!("the service does not understand the order ({error}): another version?");
            return say(&mut writing, &Line::Refused(Refused::blocked(why))).await;
        }
    };
    drop(text);
    let mut waiting = None;
    if order.waits() {
        turn = None;
        let Ok(place) = room.waiting.try_acquire() else {
            let why = "too many commands wait for files of the service at once";
            return refuse(&mut writing, why).await;
        };
        waiting = Some(place);
    }
    // Fails if the caller has gone.
    say(&mut writing, &Line::Working(Report::default())).await?;
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
    drop((turn, waiting));
    say(&mut writing, &line).await
}

/// Waits until it is a caller's turn, which hears of it.
async fn turn<'a>(
    turns: &'a Semaphore,
    writing: &mut (impl AsyncWriteExt + Unpin),
) -> io::Result<SemaphorePermit<'a>> {
    let turn = turns.acquire();
    tokio::pin!(turn);
    let mut pulse = tokio::time::interval(PULSE);
    let waits = Some("other orders are carried out first".to_owned());
    let line = Line::Working(Report { waits, ..Report::default() });
    loop {
        tokio::select! {
            biased;
            turn = &mut turn => return turn.map_err(io::Error::other),
            _ = pulse.tick() => say(writing, &line).await?,
        }
    }
}

/// Sends a caller away.
async fn refuse(writing: &mut (impl AsyncWriteExt + Unpin), why: &str) -> io::Result<()> {
    let refused = Refused::blocked(why).hint("give the order again later; nothing was done");
    say(writing, &Line::Refused(refused)).await
}

async fn say(to: &mut (impl AsyncWriteExt + Unpin), line: &Line) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    let writing = to.write_all(&text);
    tokio::time::timeout(PATIENCE, writing).await.map_err(|_| io::ErrorKind::TimedOut)?
}

/// Whether somebody who works on this state folder takes orders.
#[must_use]
pub fn is_open(state: &Path) -> bool {
    named(state, |path| net::UnixStream::connect(path)).is_ok()
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
    // Whoever is sent away may not have been listened to: the reason lies there all the same.
    let sent_away = |error: &io::Error| {
        matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
    };
    let mut unheard = match (&caller).write_all(&text) {
        Err(error) if !sent_away(&error) => return Err(error),
        written => written.err(),
    };
    let mut lines = BufReader::new(caller.take(u64::MAX));
    let mut text = String::new();
    loop {
        text.clear();
        let read = lines.read_line(&mut text);
        if let Some(error) = unheard.take_if(|_| !matches!(read, Ok(1..))) {
            return Err(error);
        }
        if read? == 0 {
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
        let order = Order::Resume { project: None, site: None, what: Vec::new() };
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

    fn order(name: &str) -> Order {
        let (project, what) = (Some(name.to_owned()), Vec::new());
        Order::Resume { project, site: None, what }
    }

    fn waiting() -> Order {
        let (project, site) = ("demo".to_owned(), "here".to_owned());
        Order::Ensure { project, what: Vec::new(), site, wait: Some(600) }
    }

    /// Somebody who gives an order, and may go away.
    fn gives(state: &Path, order: &Order) -> net::UnixStream {
        let mut caller = named(state, |path| net::UnixStream::connect(path)).unwrap();
        caller.write_all(&serde_json::to_vec(order).unwrap()).unwrap();
        caller.write_all(b"\n").unwrap();
        caller
    }

    fn hears(caller: &net::UnixStream) -> String {
        caller.set_read_timeout(Some(SILENCE)).unwrap();
        let mut line = String::new();
        BufReader::new(caller).read_line(&mut line).unwrap();
        line
    }

    async fn asks(state: &Path, order: Order) -> Answer {
        let state = state.to_owned();
        let asking = tokio::task::spawn_blocking(move || ask(&state, &order, |_| {}));
        asking.await.unwrap().unwrap().unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_waits_keeps_nobody_out() {
        let state = tempfile::tempdir().unwrap();
        let mut door = Door::open(state.path()).unwrap();
        // Of ten, eight may wait.
        door.room = Arc::new(Room::new(10, 1));
        let service = tokio::spawn(door.serve(|order, _| async move {
            if order.waits() { std::future::pending().await } else { Ok(Value::Null) }
        }));
        let mut callers = Vec::new();
        for _ in 0..8 {
            let caller = gives(state.path(), &waiting());
            assert!(hears(&caller).contains("working"));
            callers.push(caller);
        }
        assert_eq!(asks(state.path(), order("pause")).await, Ok(Value::Null));
        let refused = asks(state.path(), waiting()).await.unwrap_err();
        assert!(refused.message.contains("too many commands wait"), "{refused:?}");
        service.abort();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_caller_too_many_is_sent_away() {
        let state = tempfile::tempdir().unwrap();
        let mut door = Door::open(state.path()).unwrap();
        door.room = Arc::new(Room::new(1, 1));
        let service = tokio::spawn(door.serve(|_, _| std::future::pending::<Answer>()));
        let first = gives(state.path(), &order("first"));
        assert!(hears(&first).contains("working"));
        // However long the order is that nobody reads.
        for name in ["second".to_owned(), "long".repeat(1 << 20)] {
            let refused = asks(state.path(), order(&name)).await.unwrap_err();
            assert!(refused.message.contains("too many orders"), "{refused:?}");
        }
        service.abort();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_order_is_not_begun_once_its_caller_has_gone() {
        let state = tempfile::tempdir().unwrap();
        let mut door = Door::open(state.path()).unwrap();
        door.room = Arc::new(Room::new(9, 1));
        let (begun, mut orders) = mpsc::unbounded_channel();
        let go_on = Arc::new(Semaphore::new(0));
        let gate = go_on.clone();
        let service = tokio::spawn(door.serve(move |order, _| {
            let (begun, gate) = (begun.clone(), gate.clone());
            async move {
                let Order::Resume { project, .. } = order else { unreachable!() };
                begun.send(project.unwrap()).unwrap();
                gate.acquire().await.unwrap().forget();
                Ok(Value::Null)
            }
        }));
        let first = gives(state.path(), &order("first"));
        assert_eq!(orders.recv().await.unwrap(), "first");
        let gone = gives(state.path(), &order("gone"));
        assert!(hears(&gone).contains("other orders"));
        drop(gone);
        go_on.add_permits(2);
        assert_eq!(asks(state.path(), order("last")).await, Ok(Value::Null));
        assert_eq!(orders.recv().await.unwrap(), "last");
        drop(first);
        service.abort();
    }
}
