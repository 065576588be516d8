//! Google Drive on loopback: Drive API v3 as far as storage needs it, in memory.
//!
//! For tests, in process: an [`Emulator`] is a Drive with its own threads, which a test fills,
//! breaks ([`Fault`]) and looks into. For people without a Google account there is the binary
//! (`cargo run -p drive-emulator`).
//!
//! Nothing here was compared with Google itself: it follows Google's documents, and what is
//! checked is that clients that share no code with it agree with it (`tests/`).
//!
//! | module | what |
//! |---|---|
//! | `emulator` | what tests hold |
//! | `server` | connections; the way of a request through faults, rates and the log |
//! | `api` | what each request does, and how answers look |
//! | `state` | files, people, uploads, changes; knows nothing of HTTP |
//! | `auth` | service accounts' keys and tokens |
//! | `query`, `fields` | the languages of `q` and `fields` |
//! | `faults`, `rate`, `bugs` | what goes wrong: by script, by load, by mistake |

mod api;
mod auth;
mod bugs;
mod clock;
mod emulator;
mod faults;
mod fields;
mod ids;
mod query;
mod rate;
mod refusal;
mod requests;
mod server;
mod state;
mod tls;

pub use bugs::Bug;
pub use emulator::{Builder, Emulator, Id, ServiceAccount};
pub use faults::{Answer, Fault};
pub use requests::{Kind, Request};
pub use state::Role;
