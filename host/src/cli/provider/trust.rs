//! `sitesync provider trust`: which contents of plug-ins may be loaded, where the settings ask for it.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::ground;
use super::output::{Table, plain, print, print_json, say};
use super::{Exit, Failure, Global};
use crate::plugins::{Admission, Plugins};
use crate::settings;
use crate::state_dir::StateDir;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    what: What,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// The plug-in's file; if the host has died of it, it is given another chance
    file: Option<PathBuf>,
    /// Shows what was admitted
    #[arg(long)]
    list: bool,
    /// Takes an admission back, named by its file or by the begin of its SHA-256
    #[arg(long, value_name = "WHICH")]
    revoke: Option<String>,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let Arguments { what, json: as_json } = arguments;
    let settings = ground::settings_if_any(global)?.map(|settings| settings.plugins);
    let settings = settings.unwrap_or_default();
    let state = StateDir::open(&ground::state_path(global)?)?;
    let plugins = ground::plugins(global, &settings, &state);
    if let Some(file) = &what.file {
        let admission = plugins.admit(file)?;
        show(&[admission], *as_json, "admitted");
        if settings.trust != settings::Trust::Pinned {
            say("note: others are loaded as well, since [plugins] does not say trust = \"pinned\"");
        }
    } else if let Some(which) = &what.revoke {
        let admission = named(&plugins, which)?;
        plugins.revoke(&admission)?;
        show(&[admission], *as_json, "revoked");
        say("note: a service that has loaded it already keeps it until it is restarted");
    } else {
        list(&plugins.admissions()?, *as_json);
    }
    Ok(Exit::Done)
}

/// The one admission that is meant by a file or by the begin of a digest.
fn named(plugins: &Plugins, which: &str) -> Result<Admission, Failure> {
    const SHORTEST: usize = 8;
    let path = std::path::absolute(which).unwrap_or_else(|_| which.into());
    let is_digest = which.len() >= SHORTEST && which.chars().all(|c| c.is_ascii_hexdigit());
    let digest = which.to_lowercase();
    let mut found = plugins.admissions()?;
    found.retain(|admission| {
        admission.path == path || (is_digest && admission.sha256.starts_with(&digest))
    });
    match <[Admission; 1]>::try_from(found) {
        Ok([admission]) => Ok(admission),
        Err(found) => {
            let which = plain(which);
            let (what, hint) = if found.is_empty() {
                ("nothing was admitted as", "`sitesync provider trust --list` shows what was")
            } else {
                ("several contents were admitted as", "name one by the begin of its SHA-256")
            };
            Err(Failure::new(Exit::Usage, format_args!("{what} '{which}'")).hint(hint))
        }
    }
}

fn show(admissions: &[Admission], as_json: bool, done: &str) {
    for admission in admissions {
        if as_json {
            print_json(&json!(admission));
            continue;
        }
        let Admission { name, version, sha256, path, .. } = admission;
        print(format_args!(
            "{done}: {name} {version}\n  sha256  {sha256}\n  file    {}\n",
            plain(&path.to_string_lossy())
        ));
    }
}

fn list(admissions: &[Admission], as_json: bool) {
    let mut table = Table::new(&["provider", "version", "admitted", "sha256", "file"]);
    for admission in admissions {
        if as_json {
            print_json(&json!(admission));
        }
        table.row(vec![
            admission.name.clone(),
            admission.version.clone(),
            admission.admitted.clone(),
            admission.sha256.clone(),
            admission.path.to_string_lossy().into_owned(),
        ]);
    }
    if !as_json && !table.is_empty() {
        print(&table);
    } else if !as_json {
        say("no plug-in was admitted\n  help: sitesync provider trust FILE");
    }
}
