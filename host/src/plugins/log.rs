//! Events of plug-ins in the host's log, under their own targets and levels.
//!
//! `tracing` wants a static description of each place that logs. Those of a plug-in live in the
//! plug-in; here one is made, and kept for good, for each pair of target and level, so that filters
//! on targets work. Their number, and the rate and size of events, are bounded: a provider that
//! floods the log costs its own lines.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use sitesync_provider::abi::client::{Record, fit};
use tracing::Level;
use tracing::field::Value;
use tracing::level_filters::LevelFilter;
use tracing_core::field::FieldSet;
use tracing_core::{Callsite, Event, Interest, Kind, Metadata, identify_callsite};

/// Pairs of target and level that get a description of their own; later ones share one a level.
const MOST_PLACES: usize = 1024;
/// Longest target with a description of its own, in bytes.
const LONGEST_TARGET: usize = 128;
/// The target of all others.
const COMMON: &str = "provider";
/// Events a second and provider.
const MOST_EVENTS: u32 = 1000;
/// Bytes of one event's message, and of its fields.
const LONGEST_EVENT: usize = 8192;
/// How often at most a flood is spoken of.
const NOTICE: Duration = Duration::from_secs(60);

/// Where the events of one provider go. Neither panics nor blocks for long.
pub(super) fn forward(provider: String) -> impl Fn(&Record<'_>) + Send + Sync + 'static {
    let rate = Mutex::new(Rate::default());
    move |record| {
        let place = place(record.target, record.level);
        if !place.is_enabled() {
            return;
        }
        let verdict =
            rate.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now(), MOST_EVENTS);
        match verdict {
            Pass::Through => place.log(&provider, record),
            Pass::LeftOut => {}
            Pass::LeftOutFirst(count) => tracing::warn!(
                provider,
                "logs more than {MOST_EVENTS} events a second: the others are left out ({count} so far)"
            ),
        }
    }
}

/// The level that plug-ins need to log at, by what the host's log takes: 0 (off) to 5 (trace).
pub(super) fn level() -> u8 {
    match LevelFilter::current().into_level() {
        None => 0,
        Some(Level::ERROR) => 1,
        Some(Level::WARN) => 2,
        Some(Level::INFO) => 3,
        Some(Level::DEBUG) => 4,
        Some(Level::TRACE) => 5,
    }
}

/// The rate of one provider.
#[derive(Debug, Default)]
struct Rate {
    window: Option<Instant>,
    passed: u32,
    left_out: u64,
    noticed: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
enum Pass {
    Through,
    LeftOut,
    /// Left out, and time to say so.
    LeftOutFirst(u64),
}

impl Rate {
    fn take(&mut self, now: Instant, most: u32) -> Pass {
        let open = |since: Option<Instant>, span| {
            since.is_some_and(|since| now.saturating_duration_since(since) < span)
        };
        if !open(self.window, Duration::from_secs(1)) {
            self.window = Some(now);
            self.passed = 0;
        }
        if self.passed < most {
            self.passed += 1;
            return Pass::Through;
        }
        self.left_out += 1;
        if open(self.noticed, NOTICE) {
            return Pass::LeftOut;
        }
        self.noticed = Some(now);
        Pass::LeftOutFirst(self.left_out)
    }
}

/// A place that logs: `tracing` knows it from its first event on.
struct Place {
    metadata: OnceLock<Metadata<'static>>,
    /// False once no subscriber wants to hear of it, until filters change.
    wanted: AtomicBool,
}

impl Callsite for Place {
    fn set_interest(&self, interest: Interest) {
        self.wanted.store(!interest.is_never(), Ordering::Relaxed);
    }

    fn metadata(&self) -> &Metadata<'_> {
        // Set before the place is registered, so that the other arm is never taken.
        self.metadata.get_or_init(|| describe(nowhere(), COMMON, Level::TRACE))
    }
}

/// A place that only stands in for one that is being made.
fn nowhere() -> &'static Place {
    static NOWHERE: Place = Place { metadata: OnceLock::new(), wanted: AtomicBool::new(false) };
    &NOWHERE
}

fn describe(place: &'static Place, target: &'static str, level: Level) -> Metadata<'static> {
    Metadata::new(
        "event of a provider",
        target,
        level,
        None,
        None,
        None,
        FieldSet::new(&["message", "provider", "fields"], identify_callsite!(place)),
        Kind::EVENT,
    )
}

/// The place of this target and level: always the same one.
fn place(target: &str, level: Level) -> &'static Place {
    type Places = HashMap<(&'static str, Level), &'static Place>;
    static PLACES: OnceLock<Mutex<Places>> = OnceLock::new();
    let mut places =
        PLACES.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    // The map asks for a static key only where it keeps one.
    if let Some(place) = find(&places, target, level) {
        return place;
    }
    let own = target.len() <= LONGEST_TARGET && places.len() < MOST_PLACES;
    let target: &'static str = if own { Box::leak(target.into()) } else { COMMON };
    if let Some(place) = find(&places, target, level) {
        return place;
    }
    let place: &'static Place =
        Box::leak(Box::new(Place { metadata: OnceLock::new(), wanted: AtomicBool::new(true) }));
    place.metadata.get_or_init(|| describe(place, target, level));
    places.insert((target, level), place);
    // Registering asks the subscribers, which is nothing to do under a lock.
    drop(places);
    tracing_core::callsite::register(place);
    place
}

fn find(
    places: &HashMap<(&'static str, Level), &'static Place>,
    target: &str,
    level: Level,
) -> Option<&'static Place> {
    places.get(&(target, level) as &(&str, Level)).copied()
}

impl Place {
    fn is_enabled(&'static self) -> bool {
        let Some(metadata) = self.metadata.get() else { return false };
        self.wanted.load(Ordering::Relaxed)
            && *metadata.level() <= LevelFilter::current()
            && tracing::dispatcher::get_default(|dispatch| dispatch.enabled(metadata))
    }

    fn log(&'static self, provider: &str, record: &Record<'_>) {
        let Some(metadata) = self.metadata.get() else { return };
        let message = fit(record.message, LONGEST_EVENT);
        let message = format_args!("{message}");
        let all = fit(record.fields, LONGEST_EVENT);
        let all = all.as_str();
        let fields = (!matches!(all, "" | "{}")).then_some(&all as &dyn Value);
        // In the order of `describe`.
        let values: [Option<&dyn Value>; 3] = [Some(&message), Some(&provider), fields];
        Event::dispatch(metadata, &metadata.fields().value_set_all(&values));
    }
}
