//! `sitesync serve`: the service, in the foreground.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::ground::{self, Ground};
use super::output::say;
use super::{Exit, Failure, Global};
use crate::running::Running;
use crate::sites::Sites;

/// How often other commands are told what is new.
const TELL: Duration = Duration::from_secs(1);

pub(super) fn run(global: &Global) -> Result<Exit, Failure> {
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let ground = Ground::open(global, stopped)?;
    let projects = ground::chosen(&ground.settings, &[])?;
    let names: Vec<&str> = projects.iter().map(|project| project.name.as_str()).collect();
    if names.is_empty() {
        say("no project has anything to do; `sitesync projects` says why");
    } else {
        tracing::info!(projects = names.join(", "), "the service runs; ctrl-c ends it");
    }
    let runtime = ground::runtime()?;
    runtime.block_on(async {
        stop_on_signals(stop, "what is under way is finished");
        let telling = tokio::spawn(tell(ground.engine.sites.clone(), ground.state.clone()));
        let mut stopped = ground.engine.stop.clone();
        ground.engine.serve(projects).await;
        // With no project it still waits to be told: a service that ends looks like a failure.
        let _ = stopped.wait_for(|stopped| *stopped).await;
        telling.abort();
    });
    tracing::info!("the service has ended");
    runtime.shutdown_background();
    Ok(Exit::Done)
}

/// Tells other commands how the service fares, as long as it lives.
async fn tell(sites: Arc<Sites>, state: PathBuf) {
    let mut told = None;
    loop {
        tokio::time::sleep(TELL).await;
        let running = tokio::task::block_in_place(|| Running::here(&sites));
        if told.as_ref() == Some(&running) {
            continue;
        }
        match running.tell(&state) {
            Ok(()) => told = Some(running),
            Err(error) => tracing::warn!(%error, "other commands can't be told how it fares"),
        }
    }
}

/// Asks the host to go down at ctrl-c or SIGTERM, and says what is done before; the second time the
/// process ends at once, which costs no more than a kill would.
pub(in crate::cli) fn stop_on_signals(
    stop: tokio::sync::watch::Sender<bool>,
    before: &'static str,
) {
    tokio::spawn(async move {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut term), Ok(mut interrupt)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            tracing::warn!("signals can't be caught: a kill will end it without a goodbye");
            // The sender must live: its end would read as a stop.
            return std::future::pending().await;
        };
        let mut told = false;
        loop {
            tokio::select! {
                _ = term.recv() => {}
                _ = interrupt.recv() => {}
            }
            if told {
                std::process::exit(1);
            }
            told = true;
            say(format_args!("stopping: {before}; once more to stop at once"));
            stop.send_replace(true);
        }
    });
}
