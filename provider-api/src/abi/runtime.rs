//! The plug-in's own tokio runtime, and the watch over it.
//!
//! A provider that blocks every worker for ever would take all later calls with it. A heartbeat
//! notices that and puts a new runtime in the old one's place, at most [`REPLACEMENTS`] times;
//! after that, calls fail with [`GONE`], and the host parks the provider's storages.

use std::future::Future;
use std::sync::Mutex;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

const WORKERS: usize = 2;
/// How often a wedged runtime is replaced.
pub(crate) const REPLACEMENTS: u32 = 4;
/// What calls are told when there is no runtime any more.
pub(crate) const GONE: &str =
    "the provider was given up: it blocked its threads again and again (restart the service)";
const BEAT: Duration = Duration::from_secs(5);
/// Silence after which a runtime counts as wedged.
const SILENCE: Duration = Duration::from_secs(15);

struct Current {
    runtime: Option<Runtime>,
    replaced: u32,
    /// The host has shut it down; `start` begins anew.
    stopped: bool,
    /// The heartbeat's thread is there.
    watched: bool,
}

static CURRENT: Mutex<Current> =
    Mutex::new(Current { runtime: None, replaced: 0, stopped: false, watched: false });

fn build() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(WORKERS).thread_name("plugin").enable_all().build()
}

fn lock() -> std::sync::MutexGuard<'static, Current> {
    CURRENT.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Starts the runtime and its heartbeat, if they don't run; also after a stop.
pub(crate) fn start() -> std::io::Result<()> {
    let mut current = lock();
    current.stopped = false;
    if current.runtime.is_none() && current.replaced == 0 {
        current.runtime = Some(build()?);
        if !current.watched {
            std::thread::Builder::new().name("plugin-heartbeat".into()).spawn(watch)?;
            current.watched = true;
        }
    }
    Ok(())
}

/// The runtime that runs new work, if there is one.
pub(crate) fn handle() -> Option<Handle> {
    let mut current = lock();
    if current.runtime.is_none() && current.replaced == 0 && !current.stopped {
        // In process there is no `init`.
        current.runtime = build().ok();
    }
    current.runtime.as_ref().map(|runtime| runtime.handle().clone())
}

/// Spawns work on the current runtime; `None` if there is none any more.
pub(crate) fn spawn<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Option<JoinHandle<T>> {
    handle().map(|handle| handle.spawn(work))
}

/// Ends the runtime without waiting for what still runs.
pub(crate) fn stop() {
    let mut current = lock();
    current.stopped = true;
    let runtime = current.runtime.take();
    drop(current);
    if let Some(runtime) = runtime {
        runtime.shutdown_background();
    }
}

/// Beats until the runtime is stopped or out of replacements.
fn watch() {
    loop {
        let handle = {
            let mut current = lock();
            let handle = current.runtime.as_ref().map(|runtime| runtime.handle().clone());
            current.watched = handle.is_some();
            handle
        };
        let Some(handle) = handle else { return };
        let (beat, heard) = std::sync::mpsc::channel();
        handle.spawn(async move {
            let _ = beat.send(());
        });
        // A runtime that was stopped meanwhile drops the beat, which is no silence.
        if heard.recv_timeout(SILENCE) == Err(RecvTimeoutError::Timeout) {
            replace();
        }
        std::thread::sleep(BEAT);
    }
}

fn replace() {
    let mut current = lock();
    if current.stopped {
        return;
    }
    current.replaced += 1;
    let fresh = if current.replaced <= REPLACEMENTS { build().ok() } else { None };
    let left = current.replaced <= REPLACEMENTS;
    let wedged = std::mem::replace(&mut current.runtime, fresh);
    drop(current);
    if left {
        tracing::error!("all workers of this provider are blocked: it goes on with new ones");
    } else {
        tracing::error!("all workers of this provider are blocked again: it is given up");
    }
    if let Some(runtime) = wedged {
        runtime.shutdown_background();
    }
}
