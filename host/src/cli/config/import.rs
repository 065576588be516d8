//! `sitesync config import`: settings of OpenPype and AYON as a settings file of ours.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::cli::output::{counted, plain, print, say};
use crate::cli::{Exit, Failure, Global};
use crate::settings::import::{From, import};
use crate::settings::{Context, Settings, save};

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// Whose settings
    from: Program,
    /// Exports of one studio, as JSON: its system, project and local settings
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The project whose settings they are, where they do not say so
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
    /// A new file for the result [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Program {
    Openpype,
    Ayon,
}

pub(super) fn run(_: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let Arguments { from, files, project, output } = arguments;
    let from = match from {
        Program::Openpype => From::OpenPype,
        Program::Ayon => From::Ayon,
    };
    let exports = files.iter().map(|file| read(file)).collect::<Result<Vec<_>, _>>()?;
    let context = Context::from_process();
    let imported = import(from, &exports, project.as_deref(), context.platform)
        .map_err(|why| Failure::new(Exit::Usage, why).hint("is it the right file?"))?;

    let name = output.as_deref().unwrap_or(Path::new("the result")).display().to_string();
    match output {
        Some(file) => {
            save::create(file, &imported.text, if imported.secret { 0o600 } else { 0o644 })?;
            print(format_args!("{name} is written\n"));
        }
        None => print(&imported.text),
    }
    for left in &imported.left {
        say(plain_lines(&left.to_string()));
    }
    if !imported.left.is_empty() {
        let count = counted(imported.left.len() as u64, "setting");
        say(format_args!("{count} could not be taken over as they are"));
    }
    if imported.secret {
        say("note: there is a password or token in it: let nobody else read the file");
    }
    // What this machine lacks is no fault of the export.
    if let Err(errors) = Settings::parse(&imported.text, &name, &context) {
        say(format_args!("{errors}\n\nthis must be put right before it can be used"));
        return Ok(Exit::Trouble);
    }
    Ok(Exit::Done)
}

/// Names of an export must not speak to the terminal.
fn plain_lines(text: &str) -> String {
    text.lines().map(plain).collect::<Vec<_>>().join("\n")
}

fn read(file: &Path) -> Result<serde_json::Value, Failure> {
    /// Largest export that is read, in bytes.
    const LARGEST: u64 = 64 << 20;
    let name = file.display();
    let failure = |message: String| Failure::new(Exit::Usage, format!("{name}: {message}"));
    let size = fs::metadata(file).map_err(|error| failure(error.to_string()))?.len();
    if size > LARGEST {
        return Err(failure("it is larger than 64 MiB, which is no export of settings".into()));
    }
    let text = fs::read(file).map_err(|error| failure(error.to_string()))?;
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&text);
    serde_json::from_slice(text)
        .map_err(|error| failure(format!("not JSON: {error}")).hint("export the settings as JSON"))
}
