//! What keeps files where they belong.
//!
//! Data flows one way through bounded queues: **discover** (what a site has) -> **plan** (what that
//! means, and what is to be done) -> **transfer** (doing it) -> **record** (a barrier, then the
//! catalog). `schedule` starts a `run` for each pair, once (`sync`) or for as long as the service
//! lives (`serve`); a run surveys both ends (`survey`) while it claims and carries. Where a
//! site names every change itself, that is followed instead (`feed`).
//!
//! Invariants:
//! - Nothing is called synced before its destination is durable: `record` is the only place that
//!   says so, and it flushes first.
//! - What is written over was compared before, or is known to be ours.
//! - The engine never names a provider, and never holds a whole tree: memory is bounded by queues.
//! - Clock and randomness are injected.

pub mod adopt;
pub mod barriers;
pub mod belonging;
pub mod clock;
mod compare;
pub mod conflicts;
mod digest;
mod discover;
mod exchanged;
mod feed;
pub mod guards;
mod meet;
mod names;
pub mod offline;
pub mod pair;
pub mod pauses;
mod place;
mod plan;
pub mod progress;
pub mod publish;
mod record;
mod recorded;
mod recover;
pub mod rehearse;
pub mod remove;
mod rewrite;
mod run;
mod schedule;
mod siblings;
mod stream;
mod survey;
mod token;
mod transfer;
mod trash;
mod twins;
mod under_way;
pub mod validate;
mod watch;

pub use place::Trouble;
pub use schedule::{Engine, Mode, Summary};

/// Bytes per read and write of a file: many, because a hop between threads costs.
const CHUNK: usize = 1 << 20;
