//! `sitesync config`: what the settings are, and whether they are right; one file a command.

mod check;

use clap::Subcommand;

use super::{Exit, Failure, Global};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Says whether the settings are right, and all that is wrong with them
    Check {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(global: &Global, command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::Check { json } => check::run(global, *json),
    }
}
