//! `sitesync config`: what the settings are, and whether they are right; one file a command.

mod check;
mod edit;

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
    /// Sets a key in a settings file: all else in it stays as it is
    Set(edit::Set),
    /// Takes a key out of a settings file
    Unset(edit::Unset),
}

pub(super) fn run(global: &Global, command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::Check { json } => check::run(global, *json),
        Command::Set(arguments) => edit::set(global, arguments),
        Command::Unset(arguments) => edit::unset(global, arguments),
    }
}
