//! `sitesync providers`: the plug-ins that were found, and why some are not used.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;

use super::ground;
use super::output::{Table, plain, print, print_json, say};
use super::{Exit, Failure, Global, provider_verify};
use crate::state_dir::StateDir;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Admits a plug-in anew that the host has died of
    Trust {
        /// The plug-in's file
        file: PathBuf,
    },
    /// Tries a provider on a site's live storage: whether it keeps all that the contract demands
    Verify(provider_verify::Arguments),
}

pub(super) fn work(global: &Global, command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::Trust { file } => trust(global, file),
        Command::Verify(arguments) => provider_verify::run(global, arguments),
    }
}

fn trust(global: &Global, file: &Path) -> Result<Exit, Failure> {
    let state = StateDir::open(&ground::state_path(global)?)?;
    ground::plugins(global, &state)
        .admit(file)
        .map_err(|refusal| Failure::new(Exit::Blocked, &refusal.reason).hint(&refusal.remedy))?;
    print(format_args!("{} is loaded again when it is needed\n", plain(&file.to_string_lossy())));
    Ok(Exit::Done)
}

pub(super) fn run(global: &Global, as_json: bool) -> Result<Exit, Failure> {
    let state = StateDir::open(&ground::state_path(global)?)?;
    let plugins = ground::plugins(global, &state);
    plugins.load_all();
    let reports = plugins.report();
    let mut table = Table::new(&["provider", "version", "api", "state", "file"]);
    for report in &reports {
        let description =
            report.name.as_deref().filter(|_| report.is_usable()).and_then(|name| {
                plugins.get(name).ok().map(|provider| provider.description.clone())
            });
        if as_json {
            let mut value = json!(report);
            value["usable"] = report.is_usable().into();
            value["label"] = description.map(|d| d.label).into();
            print_json(&value);
            continue;
        }
        let state = match (&report.refused, &report.superseded_by) {
            (Some(_), _) => "refused".to_owned(),
            (None, Some(by)) => format!("superseded by {}", by.display()),
            (None, None) => format!("{:?}", report.stage).to_lowercase(),
        };
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
        let file = report.path.as_ref().map_or("built in".to_owned(), |p| p.display().to_string());
        table.row(vec![text(&report.name), text(&report.version), text(&report.api), state, file]);
    }
    if as_json {
        return Ok(Exit::Done);
    }
    if !table.is_empty() {
        print(&table);
    }
    for report in &reports {
        let (Some(refused), Some(path)) = (&report.refused, &report.path) else { continue };
        say(format_args!(
            "\nrefused: {}\n  {}\n  help: {}",
            plain(&path.display().to_string()),
            plain(&refused.reason),
            plain(&refused.remedy)
        ));
    }
    let folders = plugins.folders();
    for folder in &folders {
        if let Some(refused) = &folder.refused {
            let path = folder.path.display();
            say(format_args!(
                "\nrefused: the folder {path}\n  {}\n  help: {}",
                refused.reason, refused.remedy
            ));
        }
    }
    if table.is_empty() {
        let looked: Vec<String> = folders.iter().map(|f| f.path.display().to_string()).collect();
        say(format_args!(
            "no plug-ins found in {}\n  help: copy provider plug-ins (*.so) into one of these folders",
            looked.join(" or ")
        ));
    }
    Ok(Exit::Done)
}
