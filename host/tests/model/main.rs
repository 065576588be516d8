//! Random histories of the real engine: four sites, two machines with a catalog each, people who
//! change files and ask for things at any moment, providers that fail in every way, machines that die.
//!
//! `steps` makes a history from a seed, `world` is where its files are, `provider` is the engine's
//! way to them, `host` a machine, `history` plays it and says what must hold. `docs/testing.md` says how
//! to play more of them, or one again.
//!
//! No time is waited for: the clock leaps, and a storage that is left alone is tried again at once
//! ([`sitesync::sites::Limits::hurry`]).
//!
//! That it can fail was tried with these defects, one at a time, and all were found, most of them
//! within 100 histories and the rarest within 500:
//! - what was read is not looked at once more when it has been read (transfer);
//! - what is there is overwritten, whatever it is (transfer);
//! - a file is recorded though its write was never finished (transfer);
//! - files of equal size are adopted (transfer), and a conflict is taken for ours (transfer);
//! - no barrier (record), or its failure is not heeded (record);
//! - a source that changed on the way is recorded as it was (record);
//! - what was in progress stays so after a death (run);
//! - a root that went away is believed (pair);
//! - where both ends changed, the one that is seen later wins (plan).
//!
//! Likewise, each within 400 histories:
//! - a guard lets go without counting (guards);
//! - a pause of a host, project or site is not obeyed (pauses);
//! - of a conflict the wrong content is kept (conflicts);
//! - a deletion travels to whatever is there, in any version (transfer);
//! - what people ask for, or ask to be not there, is ignored (belonging).
//!
//! And it has found, where one defect takes several accidents: a file that was adopted after a
//! barrier had failed, a comparison that took a read's early end for other content, absences that
//! were believed between two looks at a root, a file that a feed named only once, while a transfer
//! had it or it could not be listed, and what a crash left unrecorded before a barrier that failed.
//! That takes 5,000 histories and more.

mod history;
mod host;
mod provider;
mod steps;
mod world;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant, SystemTime};

use history::{Broken, Ground, play};
use steps::{Script, Step};

/// Histories: the same ones each time, so that a change is to blame for what they find. As many new
/// ones as `SITESYNC_HISTORIES` says are drawn instead.
const HISTORIES: u64 = 10_000;
/// Threads for each core: histories with calls that hang wait a lot.
const THREADS: usize = 3;
/// How often a shorter history is tried before it counts as one that holds: what happens at once
/// happens in another order each time.
const TRIES: usize = 6;
/// How long is spent on making a history shorter.
const PATIENCE: Duration = Duration::from_secs(90);

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// A machine that dies takes its runtime with it, and what still waits there panics. That is no news,
/// and would bury what is.
fn hush() {
    static HUSHED: Once = Once::new();
    HUSHED.call_once(|| {
        let tell = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !panic.to_string().contains("it is being shutdown") {
                tell(panic);
            }
        }));
    });
}

#[test]
fn histories() {
    hush();
    if let Some(seed) = number("SITESYNC_SEED") {
        let script = Script::new(seed);
        for _ in 0..TRIES {
            if let Err(broken) = play(&mut Ground::default(), &script, true) {
                fail(&script, broken);
            }
        }
        return;
    }
    let today = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    let (histories, first) = match number("SITESYNC_HISTORIES") {
        Some(histories) => (histories, today * 1_000_000),
        None => (HISTORIES, 1),
    };
    let (next, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let broken: Mutex<Option<(Script, Broken)>> = Mutex::default();
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..THREADS * cores {
            scope.spawn(|| {
                let mut ground = Ground::default();
                loop {
                    let nth = next.fetch_add(1, Ordering::Relaxed);
                    if nth >= histories || over.load(Ordering::Relaxed) {
                        return;
                    }
                    let script = Script::new(first + nth);
                    if let Err(what) = play(&mut ground, &script, false) {
                        over.store(true, Ordering::Relaxed);
                        broken.lock().unwrap().get_or_insert((script, what));
                    }
                }
            });
        }
    });
    let played = next.into_inner().min(histories);
    eprintln!("{played} histories in {:.1} s", started.elapsed().as_secs_f64());
    if let Some((script, broken)) = broken.into_inner().unwrap() {
        fail(&script, broken);
    }
}

/// Tells of a history that does not hold, as short as it can be made.
fn fail(script: &Script, broken: Broken) -> ! {
    let seed = script.seed;
    eprintln!("SITESYNC_SEED={seed}: {}\n{script}", broken.what);
    let (short, broken) = shorten(script, broken);
    panic!("SITESYNC_SEED={seed}: {}\n\n{short}\nwhat was done:\n{}", broken.what, broken.trace);
}

/// Leaves out steps and troubles for as long as it still does not hold.
fn shorten(script: &Script, broken: Broken) -> (Script, Broken) {
    let (mut short, mut broken) = (script.clone(), broken);
    let started = Instant::now();
    let mut ground = Ground::default();
    let mut again = true;
    while std::mem::take(&mut again) {
        for shorter in shorter(&short) {
            if started.elapsed() > PATIENCE {
                return (short, broken);
            }
            let found = (0..TRIES).find_map(|_| play(&mut ground, &shorter, true).err());
            if let Some(found) = found {
                (short, broken, again) = (shorter, found, true);
                break;
            }
        }
    }
    (short, broken)
}

/// The same without one step, from the last on; and without one trouble.
fn shorter(script: &Script) -> Vec<Script> {
    let mut all = Vec::new();
    for at in (0..script.steps.len()).rev() {
        let mut shorter = script.clone();
        shorter.steps.remove(at);
        all.push(shorter);
    }
    for (at, step) in script.steps.iter().enumerate() {
        let Step::Pass { troubles, .. } = step else { continue };
        for trouble in 0..troubles.len() {
            let mut shorter = script.clone();
            if let Step::Pass { troubles, .. } = &mut shorter.steps[at] {
                troubles.remove(trouble);
            }
            all.push(shorter);
        }
    }
    all
}
