//! `sitesync config`: what the settings are, and whether they are right; one file a command.

mod check;
mod edit;
mod import;
mod path;
mod schema;
mod show;

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
    /// Turns settings of OpenPype or AYON into a settings file, and says what did not fit
    Import(import::Arguments),
    /// Shows every value that holds; secrets as `***`
    Show {
        /// Only what holds for this project
        project: Option<String>,
        /// With the file, line and layer that each comes from
        #[arg(long)]
        origin: bool,
        /// As JSON, a value a line, with where it comes from
        #[arg(long)]
        json: bool,
    },
    /// Prints the JSON Schema of sitesync.toml, with the providers that are installed: for editors
    Schema,
    /// Shows where settings are looked for, and what of it counts
    Path {
        /// As JSON: one document
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(global: &Global, command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::Check { json } => check::run(global, *json),
        Command::Set(arguments) => edit::set(global, arguments),
        Command::Unset(arguments) => edit::unset(global, arguments),
        Command::Import(arguments) => import::run(global, arguments),
        Command::Show { project, origin, json } => {
            show::run(global, project.as_deref(), *origin, *json)
        }
        Command::Schema => schema::run(global),
        Command::Path { json } => path::run(global, *json),
    }
}
