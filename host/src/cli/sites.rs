//! `sitesync sites`: the sites, whether they can be reached, and why not.

use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::json;

use super::ground::{self, Ground, SiteNames};
use super::output::{Table, plain, print, print_json, say, size};
use super::{Exit, Failure, Global};
use crate::catalog::Sqlite;
use crate::engine::Trouble;
use crate::running::Running;
use crate::settings::Settings;
use crate::sites::{Fault, OpenRoot, Sites, recognise};
use crate::state_dir::StateDir;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    /// As JSON, a root a line
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Takes the roots that a site has now for the ones that are meant: after a disk was exchanged
    Adopt {
        /// The site
        site: String,
    },
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    match &arguments.command {
        Some(Command::Adopt { site }) => adopt(global, site),
        None => show(global, arguments.json),
    }
}

fn adopt(global: &Global, site: &str) -> Result<Exit, Failure> {
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let ground = Ground::open(global, stopped)?;
    ground::known_site(&ground.settings, site)?;
    let engine = &ground.engine;
    let runtime = ground::runtime()?;
    for project in ground.settings.projects.values().filter(|project| project.enabled) {
        let adopted = runtime.block_on(engine.adopt_roots(project, site)).map_err(|trouble| {
            let hint = match &trouble {
                Trouble::Site(fault) => fault.hint.as_ref(),
                Trouble::Catalog(_) => None,
            };
            Failure::new(Exit::Trouble, &trouble).hint_if(hint)
        })?;
        for (root, path) in adopted {
            print(format_args!(
                "{}: {root}={path} is root '{root}' of '{site}' now\n",
                project.name
            ));
        }
    }
    runtime.shutdown_background();
    Ok(Exit::Done)
}

/// A root of a project at a site, as it was found just now.
pub(super) struct Found {
    pub(super) site: String,
    pub(super) project: String,
    pub(super) root: String,
    pub(super) path: String,
    instance: Option<String>,
    pub(super) result: Result<Arc<OpenRoot>, Fault>,
}

impl Found {
    /// Looks whether the root is the one that the catalog remembers: an empty mount point is not well.
    async fn recognise(&mut self, catalog: &Sqlite, site: &str) -> Result<(), Failure> {
        let Ok(root) = &self.result else { return Ok(()) };
        let known = catalog.read(|view| {
            let (Some(project), Some(site)) = (view.project(&self.project)?, view.site(site)?)
            else {
                return Ok(None);
            };
            let root = view.root(project, &self.root)?;
            root.map_or(Ok(None), |root| view.root_identity(root, site))
        })?;
        if let Some(known) = known
            && let Err(error) = recognise(root, &known).await
        {
            self.result = Err(Fault::new(&self.site, &error));
        }
        Ok(())
    }
}

fn show(global: &Global, as_json: bool) -> Result<Exit, Failure> {
    let (_, loaded) = ground::load_settings(global)?;
    let settings = loaded.settings;
    let state = StateDir::open(&ground::state_path(global)?)?;
    let plugins = Arc::new(ground::plugins(global, &settings.plugins, &state));
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let site_id = state.site_id()?;
    let cache = state.path().join("cache");
    let names = SiteNames::of(global, &settings);
    let sites = Sites::new(plugins, &settings, site_id.clone(), cache, stopped);
    let runtime = ground::runtime()?;
    let catalog = ground::catalog_to_read(global)?;
    let found = runtime.block_on(async {
        let mut found = look(&settings, &sites).await;
        for (one, catalog) in found.iter_mut().filter_map(|one| Some((one, catalog.as_ref()?))) {
            let site = sites.catalog_name(&one.site).to_owned();
            one.recognise(catalog, &site).await?;
        }
        Ok::<_, Failure>(found)
    })?;
    runtime.shutdown_background();

    let service = Running::ask(state.path());
    let parked = |site: &str| service.as_ref().and_then(|service| service.parked(site));
    let mut offline = false;
    let mut table =
        Table::new(&["site", "provider", "project", "root", "health", "storage", "free"]);
    for one in &found {
        let provider = settings.sites.get(&one.site).map_or("", |site| site.provider.as_str());
        let (health, label, free) = match &one.result {
            Ok(root) => {
                let free = root.info.free.map(size).unwrap_or_default();
                let health = if parked(&one.site).is_some() { "left alone" } else { "ok" };
                (health.to_owned(), root.info.label.clone(), free)
            }
            Err(_) => {
                offline = true;
                ("offline".to_owned(), String::new(), String::new())
            }
        };
        if as_json {
            let info = one.result.as_ref().ok().map(|root| &root.info);
            let fault = one.result.as_ref().err();
            print_json(&json!({
                "site": one.site, "provider": provider, "project": one.project,
                "root": one.root, "path": one.path, "instance": one.instance,
                "online": fault.is_none(), "reason": fault.map(|fault| &fault.message),
                "hint": fault.and_then(|fault| fault.hint.as_ref()), "info": info,
                "parked": parked(&one.site),
            }));
            continue;
        }
        let root = format!("{}={}", one.root, one.path);
        table.row(vec![
            names.shown(&one.site),
            provider.into(),
            one.project.clone(),
            root,
            health,
            label,
            free,
        ]);
    }
    if as_json {
        return Ok(if offline { Exit::Trouble } else { Exit::Done });
    }
    if table.is_empty() {
        print("no site is used by any project\n");
    } else {
        print(&table);
    }
    // In a line of its own: a reason would make the table wider than any terminal.
    for fault in found.iter().filter_map(|one| one.result.as_ref().err()) {
        say(format_args!("offline: {}", plain(&fault.to_string())));
        if let Some(hint) = &fault.hint {
            say(format_args!("  help: {}", plain(hint)));
        }
    }
    let mut used: Vec<&str> = found.iter().map(|one| one.site.as_str()).collect();
    used.dedup();
    for (site, parked) in used.iter().filter_map(|site| Some((site, parked(site)?))) {
        say(format_args!("site '{site}': {}", plain(&parked.to_string())));
    }
    let own = names.own.unwrap_or(site_id);
    print(format_args!("\nthis machine's site id: {own}\n"));
    Ok(if offline { Exit::Trouble } else { Exit::Done })
}

/// Opens every root of every site that a project uses. A site that nothing uses is left alone.
pub(super) async fn look(settings: &Settings, sites: &Sites) -> Vec<Found> {
    let mut found = Vec::new();
    for project in settings.projects.values().filter(|project| project.enabled) {
        for site in project.sites_in_use() {
            if !project.site_enabled(site) {
                continue;
            }
            for (root, path) in project.roots(site).iter() {
                let own = project.site_settings(site);
                let instance = sites.instance_for(site, own).ok().map(|i| i.key().to_owned());
                let result = sites.open_for(site, own, path).await;
                found.push(Found {
                    site: site.to_owned(),
                    project: project.name.clone(),
                    root: root.clone(),
                    path: path.clone(),
                    instance,
                    result,
                });
            }
        }
    }
    found.sort_by(|a, b| (&a.site, &a.project, &a.root).cmp(&(&b.site, &b.project, &b.root)));
    found
}
