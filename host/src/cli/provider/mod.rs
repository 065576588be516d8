//! `sitesync provider`: what works on one provider plug-in. One file a command.

mod new;
mod trust;
mod verify;

use clap::Subcommand;

use super::{Exit, Failure, Global, ground, output};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Makes a crate for a provider of one's own, which builds and passes the conformance suite
    New(new::Arguments),
    /// Admits the content of a plug-in's file: where `trust = "pinned"`, no other is loaded
    Trust(trust::Arguments),
    /// Tries a provider on a site's live storage: whether it keeps all that the contract demands
    Verify(verify::Arguments),
}

pub(super) fn run(global: &Global, command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::New(arguments) => new::run(global, arguments),
        Command::Trust(arguments) => trust::run(global, arguments),
        Command::Verify(arguments) => verify::run(global, arguments),
    }
}
