//! The project's own commands: `cargo xtask demo | build | test | ci | bench`.
//!
//! Each command does its own set-up. What is laid out or downloaded goes to the target folder;
//! only `test` and `bench` may install Debian packages, and only as root.

mod bench;
mod ci;
mod demo;
mod digest;
mod dist;
mod needs;
mod process;
mod random;
mod test;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "The project's own commands")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lays out two sites under target/demo, syncs them, and checks that they are equal
    Demo(demo::Arguments),
    /// Lays out target/dist: the binary and its plug-ins, which run from there as they are
    Build(dist::Arguments),
    /// Installs what the tests need, builds everything and runs every test
    Test(test::Arguments),
    /// Checks format, lints and documentation, then runs every test
    Ci,
    /// Measures sitesync beside cp, rsync, rclone and find
    Bench(bench::Arguments),
}

fn main() -> ExitCode {
    match run(&Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<()> {
    let workspace = Workspace::find()?;
    match command {
        Command::Demo(arguments) => demo::run(&workspace, arguments),
        Command::Build(arguments) => dist::run(&workspace, arguments),
        Command::Test(arguments) => test::run(&workspace, arguments),
        Command::Ci => ci::run(&workspace),
        Command::Bench(arguments) => bench::run(&workspace, arguments),
    }
}
