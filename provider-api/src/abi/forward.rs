//! Events of the plug-in's `tracing` on their way to the host's log.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Metadata, Subscriber, span};

use super::wire::{FfiRecord, LogBox};

static LOG: OnceLock<LogBox> = OnceLock::new();
static LEVEL: AtomicU8 = AtomicU8::new(0);

/// Sends all events of this library to the host from now on. Only the first call counts.
pub(crate) fn install(log: LogBox, level: u8) {
    if LOG.set(log).is_err() {
        return;
    }
    LEVEL.store(level, Ordering::Relaxed);
    let _ = tracing::subscriber::set_global_default(Forward::default());
    std::panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        let said = panic.payload();
        let said = said
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| said.downcast_ref::<String>().map(String::as_str));
        tracing::error!(at, "panicked: {}", said.unwrap_or("?"));
    }));
}

/// 0 for nothing, 1 for errors, up to 5 for everything.
pub(crate) fn set_level(level: u8) {
    LEVEL.store(level, Ordering::Relaxed);
    tracing::callsite::rebuild_interest_cache();
}

fn number(level: tracing::Level) -> u8 {
    match level {
        tracing::Level::ERROR => 1,
        tracing::Level::WARN => 2,
        tracing::Level::INFO => 3,
        tracing::Level::DEBUG => 4,
        tracing::Level::TRACE => 5,
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    others: serde_json::Map<String, serde_json::Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: serde_json::Value) {
        self.others.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        } else {
            self.put(field, format!("{value:?}").into());
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else {
            self.put(field, value.into());
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

/// A subscriber that keeps the fields of open spans, and hands every event over with them.
#[derive(Default)]
struct Forward {
    last: AtomicU64,
    spans: Mutex<HashMap<u64, Span>>,
}

struct Span {
    fields: serde_json::Map<String, serde_json::Value>,
    handles: usize,
}

thread_local!(static ENTERED: std::cell::RefCell<Vec<u64>> = const { std::cell::RefCell::new(Vec::new()) });

impl Forward {
    fn spans(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Span>> {
        self.spans.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Subscriber for Forward {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        number(*metadata.level()) <= LEVEL.load(Ordering::Relaxed)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match LEVEL.load(Ordering::Relaxed) {
            0 => LevelFilter::OFF,
            1 => LevelFilter::ERROR,
            2 => LevelFilter::WARN,
            3 => LevelFilter::INFO,
            4 => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        })
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        self.spans().insert(id, Span { fields: fields.others, handles: 1 });
        span::Id::from_u64(id)
    }

    fn record(&self, id: &span::Id, record: &span::Record<'_>) {
        let mut fields = Fields::default();
        record.record(&mut fields);
        if let Some(span) = self.spans().get_mut(&id.into_u64()) {
            span.fields.extend(fields.others);
        }
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let Some(log) = LOG.get() else { return };
        let mut fields = Fields::default();
        ENTERED.with_borrow(|entered| {
            let spans = self.spans();
            for span in entered.iter().filter_map(|id| spans.get(id)) {
                fields.others.extend(span.fields.clone());
            }
        });
        event.record(&mut fields);
        let metadata = event.metadata();
        let json = serde_json::to_string(&fields.others).unwrap_or_default();
        log.log(&FfiRecord {
            level: number(*metadata.level()),
            target: metadata.target().into(),
            message: fields.message.as_str().into(),
            fields: json.as_str().into(),
            file: metadata.file().unwrap_or("").into(),
            line: metadata.line().unwrap_or(0),
        });
    }

    fn enter(&self, id: &span::Id) {
        ENTERED.with_borrow_mut(|entered| entered.push(id.into_u64()));
    }

    fn exit(&self, id: &span::Id) {
        ENTERED.with_borrow_mut(|entered| {
            if let Some(at) = entered.iter().rposition(|open| *open == id.into_u64()) {
                entered.remove(at);
            }
        });
    }

    fn clone_span(&self, id: &span::Id) -> span::Id {
        if let Some(span) = self.spans().get_mut(&id.into_u64()) {
            span.handles += 1;
        }
        id.clone()
    }

    fn try_close(&self, id: span::Id) -> bool {
        let mut spans = self.spans();
        let Some(span) = spans.get_mut(&id.into_u64()) else { return false };
        span.handles -= 1;
        let last = span.handles == 0;
        if last {
            spans.remove(&id.into_u64());
        }
        last
    }
}
