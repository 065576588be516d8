//! The host: everything behind the `sitesync` command.
//!
//! Each floor uses only those below it: `cli` -> `engine` -> `sites`, `catalog` -> `plugins`,
//! `settings` -> `publish`, the `sitesync-provider` crate. `docs/architecture.md` is the map.

pub mod catalog;
pub mod cli;
pub mod engine;
pub mod orders;
pub mod plugins;
pub mod publish;
pub mod running;
pub mod settings;
pub mod sites;
pub mod state_dir;
