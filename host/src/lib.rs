//! The host: everything behind the `sitesync` command.
//!
//! Each floor uses only those below it: `cli` -> `engine` -> `sites`, `catalog` -> `plugins`,
//! `settings` -> the `sitesync-provider` crate. `docs/architecture.md` is the map.

pub mod catalog;
pub mod settings;
pub mod state_dir;
