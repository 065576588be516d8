//! The command line: one file a command, and the only floor that prints.
//!
//! Results go to stdout, everything else to stderr. Exit codes are stable: see [`Exit`].

mod adopt;
mod clear;
mod config;
mod doctor;
mod ensure;
mod ground;
mod held;
mod init;
mod log;
mod order;
mod output;
mod pause;
mod progress;
mod projects;
mod provider;
mod providers;
mod publish;
mod queue;
mod rehearse;
mod remove;
mod request;
mod scratch;
mod serve;
mod show;
mod sites;
mod status;
mod sync;
mod trash;
mod validate;
mod why;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use output::{Exit, Failure};

/// Keeps published files where a studio needs them.
#[derive(Debug, Parser)]
#[command(name = "sitesync", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Args)]
struct Global {
    /// The settings file [default: ./sitesync.toml, the user's, or /etc/sitesync/sitesync.toml]
    #[arg(long, global = true, value_name = "FILE", env = "SITESYNC_CONFIG")]
    config: Option<PathBuf>,
    /// This machine's own settings [default: local.toml in the state folder]
    // Not `--local`, which is where `config set` writes to.
    #[arg(long = "local-file", global = true, value_name = "FILE", env = "SITESYNC_LOCAL")]
    local: Option<PathBuf>,
    /// Sets one value, for this command only: `--set sync.retry_count=5`; may be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Where catalog, site id and caches are kept
    #[arg(long, global = true, value_name = "DIR", env = "SITESYNC_STATE_DIR")]
    state_dir: Option<PathBuf>,
    /// A plug-in folder; may be repeated [default: those of the settings, or providers/ beside the
    /// binary and in the state folder]
    #[arg(long, global = true, value_name = "DIR")]
    plugins: Vec<PathBuf>,
    /// Says more: -v what is done, -vv every call, -vvv everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// How log lines look
    #[arg(long, global = true, value_enum, default_value = "text")]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the service, in the foreground
    Serve,
    /// Syncs once: scans both ends, brings everything where it belongs, and ends
    Sync(sync::Arguments),
    /// Records files that were made, and has them travel at once
    Publish(publish::Arguments),
    /// Shows what is known of a project: representations, their frames, and where they are
    Show(show::Arguments),
    /// Shows counts and bytes per site and state
    Status(status::Arguments),
    /// Shows the Sync Queue: what waits, what is under way, what failed and why
    Queue(queue::Arguments),
    /// Says of a file where it is, why it is not elsewhere, and what it waits for
    Why(why::Arguments),
    /// Shows the sites, whether they can be reached, and why not
    Sites(sites::Arguments),
    /// Brings files to a site
    Request(request::Request),
    /// Brings files to a site before all others, and waits until they are there
    Ensure(ensure::Arguments),
    /// Sends files again
    Reset(request::Reset),
    /// Sets what comes first
    Priority(request::Priority),
    /// Ends a conflict: keeps what one site has
    Resolve(request::Resolve),
    /// Holds work back: of the host, a project, a site or representations, until it is resumed
    Pause(pause::Arguments),
    /// Lets go on what was paused, or what a guard stopped
    Resume(pause::ResumeArguments),
    /// Shows what was deleted or replaced at sites, and puts it back
    #[command(subcommand)]
    Trash(trash::Command),
    /// Takes files away from a site: none of which no other copy is found
    Remove(remove::Arguments),
    /// Takes everything of a project away from a site
    Clear(clear::Arguments),
    /// Compares the catalog with what sites have, and puts it right
    Validate(validate::Arguments),
    /// Records copies that are at a site already (on a disk that was carried there)
    Adopt(adopt::Arguments),
    /// Shows the projects and their sync pairs
    Projects(Json),
    /// Shows the provider plug-ins: what they can do, which sites use them, why some are refused
    Providers(providers::Arguments),
    /// Works on one provider plug-in
    #[command(subcommand)]
    Provider(provider::Command),
    /// Checks the settings
    #[command(subcommand)]
    Config(config::Command),
    /// Looks at everything, says what is wrong and what to do; changes nothing but with --repair
    Doctor(doctor::Arguments),
    /// Makes a settings file: asks for what is needed, or takes flags; then tries it
    Init(init::Arguments),
    /// Loads a plug-in and ends: run by the host itself, in a process that may die
    #[command(name = "__probe", hide = true)]
    Probe { file: PathBuf },
}

#[derive(Debug, Args)]
struct Json {
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            let wrong = error.use_stderr();
            return if wrong { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    if let Command::Probe { file } = &cli.command {
        return crate::plugins::probe_main(file);
    }
    log::start(&cli.global, matches!(cli.command, Command::Serve));
    let result = match cli.command {
        Command::Serve => serve::run(&cli.global),
        Command::Sync(arguments) => sync::run(&cli.global, &arguments),
        Command::Publish(arguments) => publish::run(&cli.global, &arguments),
        Command::Show(arguments) => show::run(&cli.global, &arguments),
        Command::Status(arguments) => status::run(&cli.global, &arguments),
        Command::Queue(arguments) => queue::run(&cli.global, &arguments),
        Command::Why(arguments) => why::run(&cli.global, &arguments),
        Command::Sites(arguments) => sites::run(&cli.global, &arguments),
        Command::Request(arguments) => request::request(&cli.global, &arguments),
        Command::Ensure(arguments) => ensure::run(&cli.global, &arguments),
        Command::Reset(arguments) => request::reset(&cli.global, &arguments),
        Command::Priority(arguments) => request::priority(&cli.global, &arguments),
        Command::Resolve(arguments) => request::resolve(&cli.global, &arguments),
        Command::Pause(arguments) => pause::pause(&cli.global, &arguments),
        Command::Resume(arguments) => pause::resume(&cli.global, &arguments),
        Command::Trash(command) => trash::run(&cli.global, &command),
        Command::Remove(arguments) => remove::run(&cli.global, &arguments),
        Command::Clear(arguments) => clear::run(&cli.global, &arguments),
        Command::Validate(arguments) => validate::run(&cli.global, &arguments),
        Command::Adopt(arguments) => adopt::run(&cli.global, &arguments),
        Command::Projects(json) => projects::run(&cli.global, json.json),
        Command::Providers(arguments) => providers::run(&cli.global, &arguments),
        Command::Provider(command) => provider::run(&cli.global, &command),
        Command::Config(command) => config::run(&cli.global, &command),
        Command::Doctor(arguments) => doctor::run(&cli.global, &arguments),
        Command::Init(arguments) => init::run(&cli.global, &arguments),
        Command::Probe { .. } => Ok(Exit::Done),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            failure.print();
            failure.exit.into()
        }
    }
}
