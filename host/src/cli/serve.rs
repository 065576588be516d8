//! `sitesync serve`: the service, in the foreground.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::ground::{self, Ground};
use super::output::say;
use super::{Exit, Failure, Global};
use crate::engine::Engine;
use crate::orders::Desk;
use crate::orders::door::Door;
use crate::running::Running;
use crate::settings::{Project, Settings};
use crate::sites::Sites;

/// How often other commands are told what is new.
const TELL: Duration = Duration::from_secs(1);
/// How often the settings' files are looked at.
const FOLLOW: Duration = Duration::from_millis(500);

pub(super) fn run(global: &Global) -> Result<Exit, Failure> {
    let (stop, stopped) = watch::channel(false);
    let ground = Ground::open(global, stopped)?;
    let projects = ground::chosen(&ground.settings, &[])?;
    let follow = Follow::new(global, &ground);
    let names: Vec<&str> = projects.iter().map(|project| project.name.as_str()).collect();
    let names = names.join(", ");
    let runtime = ground::runtime()?;
    runtime.block_on(async {
        stop_on_signals(stop, "what is under way is finished");
        if names.is_empty() {
            say("no project has anything to do; `sitesync projects` says why");
        } else {
            tracing::info!(projects = names, "the service runs; ctrl-c ends it");
        }
        let (wanted, projects) = watch::channel(projects);
        let (in_force, settings) = watch::channel(Arc::new(ground.settings.clone()));
        let attending = attend(&ground, settings);
        let refused = Arc::<Mutex<Option<String>>>::default();
        let telling = tell(ground.engine.clone(), refused.clone(), ground.state.clone());
        let telling = tokio::spawn(telling);
        let following = tokio::spawn(follow.run(wanted, in_force, refused));
        let mut stopped = ground.engine.stop.clone();
        ground.engine.serve(projects).await;
        // With no project it still waits to be told: a service that ends looks like a failure.
        let _ = stopped.wait_for(|stopped| *stopped).await;
        telling.abort();
        following.abort();
        attending.abort();
        let _ = attending.await;
    });
    tracing::info!("the service has ended");
    runtime.shutdown_background();
    Ok(Exit::Done)
}

/// Opens the door, through which other commands give orders.
pub(in crate::cli) fn attend(
    ground: &Ground,
    settings: watch::Receiver<Arc<Settings>>,
) -> tokio::task::JoinHandle<()> {
    let desk = Desk { engine: ground.engine.clone(), settings, works: true };
    let state = ground.state.clone();
    tokio::spawn(async move {
        let door = match Door::open(&state) {
            Ok(door) => door,
            Err(error) => {
                tracing::error!(%error, "no orders can be taken: the door can't be opened");
                return;
            }
        };
        door.serve(move |order, report| {
            let desk = desk.clone();
            async move { desk.carry_out(order, report).await }
        })
        .await;
    })
}

/// Tells other commands how the service fares, as long as it lives.
async fn tell(engine: Engine, refused: Arc<Mutex<Option<String>>>, state: PathBuf) {
    let mut told = None;
    loop {
        tokio::time::sleep(TELL).await;
        let refused = refused.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let running = tokio::task::block_in_place(|| Running::here(&engine, refused));
        if told.as_ref() == Some(&running) {
            continue;
        }
        match running.tell(&state) {
            Ok(()) => told = Some(running),
            Err(error) => tracing::warn!(%error, "other commands can't be told how it fares"),
        }
    }
}

/// Takes up settings that have changed, while the service runs.
struct Follow {
    global: Global,
    settings: Settings,
    sites: Arc<Sites>,
    seen: ground::Stamp,
}

impl Follow {
    fn new(global: &Global, ground: &Ground) -> Self {
        Follow {
            global: global.clone(),
            settings: ground.settings.clone(),
            sites: ground.engine.sites.clone(),
            seen: ground::stamp(global, &ground.settings),
        }
    }

    /// Looks for changes, and takes them up at once when it is asked to by SIGHUP. Settings that are
    /// wrong are refused as a whole: those from before stay in force, and `refused` says why.
    async fn run(
        mut self,
        wanted: watch::Sender<Vec<Project>>,
        in_force: watch::Sender<Arc<Settings>>,
        refused: Arc<Mutex<Option<String>>>,
    ) {
        use tokio::signal::unix::{SignalKind, signal};
        let mut asked = signal(SignalKind::hangup()).ok();
        let mut last = self.seen.clone();
        loop {
            let hangup = async {
                match &mut asked {
                    Some(asked) => asked.recv().await,
                    None => std::future::pending().await,
                }
            };
            let asked = tokio::select! {
                () = tokio::time::sleep(FOLLOW) => false,
                _ = hangup => true,
            };
            let now = ground::stamp(&self.global, &self.settings);
            // Twice the same: nobody is in the middle of writing.
            let changed = now != self.seen && now == last;
            last = now.clone();
            if !changed && !asked {
                continue;
            }
            self.seen = now;
            let taken = tokio::task::block_in_place(|| self.take_up(&wanted, &in_force));
            let why = taken.err().map(|failure| failure.to_string());
            if let Some(why) = &why {
                tracing::error!(
                    "changed settings are refused, those from before stay in force: {why}"
                );
            }
            *refused.lock().unwrap_or_else(PoisonError::into_inner) = why;
        }
    }

    fn take_up(
        &mut self,
        wanted: &watch::Sender<Vec<Project>>,
        in_force: &watch::Sender<Arc<Settings>>,
    ) -> Result<(), Failure> {
        let (_, loaded) = ground::load_settings(&self.global)?;
        ground::check_in_use(&loaded, self.sites.plugins())?;
        let settings = loaded.settings;
        let projects = ground::chosen(&settings, &[])?;
        if settings.host != self.settings.host || settings.plugins != self.settings.plugins {
            tracing::warn!("what changed in [host] or [plugins] counts after a restart");
        }
        self.sites.reconfigure(&settings);
        let names: Vec<&str> = projects.iter().map(|project| project.name.as_str()).collect();
        tracing::info!(projects = names.join(", "), "the settings were read again");
        wanted.send_replace(projects);
        in_force.send_replace(Arc::new(settings.clone()));
        self.settings = settings;
        Ok(())
    }
}

/// Asks the host to go down at ctrl-c or SIGTERM, and says what is done before; the second time the
/// process ends at once, which costs no more than a kill would.
pub(in crate::cli) fn stop_on_signals(
    stop: tokio::sync::watch::Sender<bool>,
    before: &'static str,
) {
    use tokio::signal::unix::{SignalKind, signal};
    // From here on, not from when the task has its first turn.
    let caught = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    tokio::spawn(async move {
        let (Ok(mut term), Ok(mut interrupt)) = caught else {
            tracing::warn!("signals can't be caught: a kill will end it without a goodbye");
            // The sender must live: its end would read as a stop.
            let _stop = stop;
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
