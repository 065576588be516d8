//! Orders: given to the service where one runs, else carried out here.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use super::ground::{self, Ground};
use super::output::{print_json, say};
use super::{Exit, Failure, Global};
use crate::orders::{Answer, Desk, Order, Refused, Report, door};
use crate::publish::Selector;
use crate::state_dir::{StateDir, StateLock};

/// Bytes of selectors on stdin.
const LONGEST: u64 = 128 << 20;
/// How long a service that went away may take to come back,
const COMES_BACK: Duration = Duration::from_secs(30);
/// and how often that is looked for.
const KNOCK: Duration = Duration::from_millis(200);

/// Things that a command is about.
#[derive(Debug, Clone, Args)]
pub(super) struct What {
    /// Which representations or files: `shots/sh010/renderMain/v003/exr`, with `*`, `**` and
    /// `latest` for a version; `#12`; `{root[work]}/path/of/a/file`; `-` for one a line on stdin
    #[arg(value_name = "SELECTOR")]
    what: Vec<String>,
}

impl What {
    /// As they were given, with those on stdin in the place of `-`.
    pub(super) fn read(&self) -> Result<Vec<String>, Failure> {
        selectors(&self.what)
    }

    /// Likewise; nothing stands for all that is in a state.
    pub(super) fn some_or(&self, state: Option<&String>) -> Result<Vec<String>, Failure> {
        if state.is_some() { self.read() } else { self.some() }
    }

    /// Likewise, where nothing would be no sense.
    pub(super) fn some(&self) -> Result<Vec<String>, Failure> {
        let all = self.read()?;
        if all.is_empty() {
            return Err(Failure::new(Exit::Usage, "nothing is selected")
                .hint("name representations or files; `sitesync show PROJECT` lists them"));
        }
        Ok(all)
    }
}

/// The selectors of a command; `-` stands for those on stdin, one a line.
pub(super) fn selectors(given: &[String]) -> Result<Vec<String>, Failure> {
    let mut selectors = Vec::with_capacity(given.len());
    for one in given {
        if one != "-" {
            selectors.push(one.clone());
            continue;
        }
        let mut text = String::new();
        let read = std::io::stdin().lock().take(LONGEST).read_to_string(&mut text);
        read.map_err(|error| Failure::new(Exit::Usage, format_args!("stdin: {error}")))?;
        let lines = Selector::lines(&text).map_err(|error| Failure::new(Exit::Usage, error))?;
        selectors.extend(lines.iter().map(ToString::to_string));
    }
    Ok(selectors)
}

/// Who gives an order, for those who will see it.
pub(super) fn by() -> String {
    let name = |variable| std::env::var(variable).ok().filter(|name| !name.is_empty());
    let said = name("SITESYNC_USER").or_else(|| name("USER")).or_else(|| name("LOGNAME"));
    said.unwrap_or_else(|| user(rustix::process::getuid().as_raw()))
}

/// The name of a user of this machine, else the number.
fn user(uid: u32) -> String {
    let known = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = known.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let id: u32 = fields.nth(1)?.parse().ok()?;
        (id == uid).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| uid.to_string())
}

/// Has an order carried out, and waits for the answer.
pub(super) fn give(global: &Global, order: &Order) -> Result<Value, Failure> {
    give_and_hear(global, order, |_| {})
}

/// Likewise; `hear` is told how far it is.
pub(super) fn give_and_hear(
    global: &Global,
    order: &Order,
    hear: impl Fn(&Report) + Send + 'static,
) -> Result<Value, Failure> {
    // What is wrong with the settings is told here, not by a service that has others.
    ground::load_settings(global)?;
    let state = StateDir::open(&ground::state_path(global)?)?;
    if !global.set.is_empty() && door::is_open(state.path()) {
        say("note: the running service has settings of its own: --set counts only for what this \
             command checks itself");
    }
    let began = Instant::now();
    let mut now = order.clone();
    loop {
        let ended = match door::ask(state.path(), &now, &hear) {
            Ok(Some(answer)) => return Ok(answer?),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if let Some(error) = ended {
            // Whoever waits for files waits for the next service as well.
            match order.left(began.elapsed()) {
                Some(left) if is_gone(&error) => now = left,
                _ => return Err(unanswered(&error)),
            }
            if let Some(lock) = free_for_long(&state, &now)? {
                return Ok(alone(global, &now, lock, hear)??);
            }
            continue;
        }
        let held = match ground::lock_soon(&state) {
            Ok(lock) => return Ok(alone(global, &now, lock, hear)??),
            Err(error) => error,
        };
        // Whoever has it may have opened a door meanwhile.
        if !door::is_open(state.path()) {
            return Err(held.into());
        }
    }
}

fn unanswered(error: &std::io::Error) -> Failure {
    Failure::new(Exit::Blocked, format_args!("the service does not answer: {error}"))
        .hint("`sitesync status` says whether it runs")
}

/// Whether a service went away, and not just silent.
fn is_gone(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | BrokenPipe | ConnectionReset)
}

/// Waits until there is a service again: `None` then. If none comes for a while, or for as long as the
/// order may take, the lock that it would have.
fn free_for_long(state: &StateDir, order: &Order) -> Result<Option<StateLock>, Failure> {
    say("the service ended; waiting for the next one");
    let began = Instant::now();
    while began.elapsed() < COMES_BACK && order.left(began.elapsed()).is_some() {
        std::thread::sleep(KNOCK);
        if door::is_open(state.path()) {
            return Ok(None);
        }
    }
    match ground::lock_soon(state) {
        Ok(lock) => Ok(Some(lock)),
        Err(_) if door::is_open(state.path()) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Carries an order out without a service.
fn alone(
    global: &Global,
    order: &Order,
    lock: StateLock,
    hear: impl Fn(&Report) + Send + 'static,
) -> Result<Answer, Failure> {
    let (stop, stopped) = watch::channel(false);
    let ground = Ground::open_for(global, stopped, order.needs_sites(), |_| Ok(lock))?;
    let (_settings, settings) = watch::channel(Arc::new(ground.settings.clone()));
    let desk = Desk { engine: ground.engine.clone(), settings, works: false };
    let (runtime, order) = (ground::runtime()?, order.clone());
    let answer = runtime.block_on(async {
        super::serve::stop_on_signals(stop, "what is under way is finished");
        let (report, mut reports) = mpsc::channel(16);
        let hearing = tokio::spawn(async move {
            while let Some(report) = reports.recv().await {
                hear(&report);
            }
        });
        let answer = desk.carry_out(order, report).await;
        hearing.abort();
        answer
    });
    runtime.shutdown_background();
    Ok(answer)
}

/// Shows an answer as JSON, or as sentences.
pub(super) fn tell(answer: &Value, as_json: bool, sentences: impl FnOnce(&Value)) {
    if as_json { print_json(answer) } else { sentences(answer) }
}

/// A number of an answer.
pub(super) fn number(answer: &Value, name: &str) -> u64 {
    answer[name].as_u64().unwrap_or(0)
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let exit = match refused.exit {
            1 => Exit::Trouble,
            2 => Exit::Usage,
            4 => Exit::Late,
            _ => Exit::Blocked,
        };
        Failure::new(exit, refused.message).hint_if(refused.hint)
    }
}
