//! `sitesync clear`: removes everything of a project from a site.

use std::io::{IsTerminal, Write};

use clap::Args;

use super::output::plain;
use super::{Exit, Failure, Global, ground, order, remove};
use crate::orders::Order;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The project
    project: String,
    /// The site
    #[arg(long)]
    site: String,
    /// Does not ask
    #[arg(long, short)]
    yes: bool,
    /// Also what no other site is known to have: this may be the last copy
    #[arg(long)]
    force: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let (project, site) = (&arguments.project, &arguments.site);
    let (_, loaded) = ground::load_settings(global)?;
    ground::names(&loaded.settings, Some(project))?;
    ground::known_site(&loaded.settings, site)?;
    if !arguments.yes {
        let question = format!("Remove all files of project '{project}' from site '{site}'?");
        confirm(&question)?;
    }
    let (project, site) = (project.clone(), site.clone());
    let answer = order::give(global, &Order::Clear { project, site, force: arguments.force })?;
    Ok(remove::tell(&answer, arguments.json))
}

/// Asks on the terminal. Where nobody can be asked, somebody has to have said yes before.
fn confirm(question: &str) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(Exit::Usage, plain(question)).hint("say so with --yes"));
    }
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "{} [y/N] ", plain(question)).and_then(|()| stderr.flush());
    drop(stderr);
    let mut line = String::new();
    let _ = std::io::stdin().read_line(&mut line);
    if matches!(line.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Failure::new(Exit::Usage, "nothing was removed"))
}
