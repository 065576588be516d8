//! `sitesync trash`: what was deleted or replaced at the sites, and having it again.

use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::json;
use sitesync_provider::ErrorKind;

use super::ground::{self, SiteNames};
use super::output::{Table, counted, plain, print, print_json, say, size};
use super::{Exit, Failure, Global};
use crate::orders::beneath_roots;
use crate::publish::{Selector, echoed};
use crate::settings::{Project, Settings};
use crate::sites::trash::{self, Wanted};
use crate::sites::{Fault, OpenRoot, Sites};
use crate::state_dir::{StateDir, rfc3339};

/// Files told by name.
const NAMED: usize = 20;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Shows what can be had again, the newest first
    List(List),
    /// Puts files back to where they were; from there they travel as any new content does
    Restore(Restore),
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// The project
    project: String,
    /// Only at this site [default: all sites that its files travel to]
    #[arg(long)]
    site: Option<String>,
    /// As JSON, a file a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The project
    project: String,
    /// Where files were: beneath the root, like `{root[work]}/shots/a.exr`, or absolute. Of a folder,
    /// or of a whole root (`{root[work]}`), all that the trash has
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<String>,
    /// The site in whose trash they are
    #[arg(long)]
    site: String,
    /// The root, where several have had such a file
    #[arg(long)]
    root: Option<String>,
    /// The begin of its time as `trash list` shows it, or of the id that it has in `--json`
    /// [default: the newest]
    #[arg(long, value_name = "TIME")]
    when: Option<String>,
    /// Puts what is in its place into the trash, in the same step
    #[arg(long)]
    replace: bool,
    /// As JSON, a file a line, and the sums
    #[arg(long)]
    json: bool,
}

pub(super) fn run(global: &Global, command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::List(arguments) => list(global, arguments),
        Command::Restore(arguments) => restore(global, arguments),
    }
}

/// What the commands stand on. They leave the catalog alone, so that they run beside the service:
/// what they do is seen by its next scan.
struct Stand {
    settings: Settings,
    sites: Sites,
    names: SiteNames,
    _stop: tokio::sync::watch::Sender<bool>,
}

impl Stand {
    fn open(global: &Global) -> Result<Self, Failure> {
        let (_, loaded) = ground::load_settings(global)?;
        let settings = loaded.settings;
        let state = StateDir::open(&ground::state_path(global)?)?;
        let plugins = Arc::new(ground::plugins(global, &settings.plugins, &state));
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let cache = state.path().join("cache");
        let names = SiteNames::of(global, &settings);
        let sites = Sites::new(plugins, &settings, state.site_id()?, cache, stopped);
        Ok(Stand { settings, sites, names, _stop: stop })
    }

    fn project(&self, name: &str) -> Result<&Project, Failure> {
        ground::names(&self.settings, Some(name))?;
        Ok(&self.settings.projects[name])
    }

    /// A project's roots at a site, by name; each opened, or why it can't be.
    async fn roots(
        &self,
        project: &Project,
        site: &str,
    ) -> Vec<(String, Result<Arc<OpenRoot>, Fault>)> {
        let mut roots = Vec::new();
        for (name, path) in project.roots(site).iter() {
            let own = project.site_settings(site);
            roots.push((name.clone(), self.sites.open_for(site, own, path).await));
        }
        roots
    }
}

fn list(global: &Global, arguments: &List) -> Result<Exit, Failure> {
    let stand = Stand::open(global)?;
    let project = stand.project(&arguments.project)?;
    let sites: Vec<&str> = match &arguments.site {
        Some(site) => {
            ground::known_site(&stand.settings, site)?;
            vec![site]
        }
        None => {
            let pair = [&project.active_site, &project.remote_site];
            let mut sites: Vec<&str> =
                pair.into_iter().chain(&project.always_accessible_on).map(String::as_str).collect();
            sites.retain(|site| project.site_enabled(site));
            sites.sort_unstable();
            sites.dedup();
            sites
        }
    };
    let runtime = ground::runtime()?;
    let mut table = Table::new(&["site", "root", "when", "size", "path"]);
    let mut trouble = false;
    for site in sites {
        for (name, root) in runtime.block_on(stand.roots(project, site)) {
            let shown = stand.names.shown(site);
            let told = |reason: &str| {
                if arguments.json {
                    print_json(&json!({"site": site, "root": name, "reason": reason}));
                } else {
                    say(plain(reason));
                }
            };
            let root = match root {
                Ok(root) => root,
                Err(fault) => {
                    trouble = true;
                    told(&format!("offline: {fault}"));
                    continue;
                }
            };
            if let Err(elsewhere) = trash::folder(&root) {
                told(&elsewhere);
                continue;
            }
            let found = match runtime.block_on(trash::list(&root)) {
                Ok(found) => found,
                Err(error) => {
                    trouble = true;
                    told(error.message());
                    continue;
                }
            };
            for entry in &found.entries {
                let when = rfc3339(entry.when);
                if arguments.json {
                    print_json(&json!({
                        "site": site, "root": name, "when": when, "path": entry.path,
                        "size": entry.size, "id": entry.id,
                    }));
                } else {
                    let bytes = size(entry.size);
                    table.row(vec![shown.clone(), name.clone(), when, bytes, entry.path.clone()]);
                }
            }
            if found.more {
                say(format_args!(
                    "site '{site}': only the first {} files of its trash are shown",
                    found.entries.len()
                ));
            }
        }
    }
    runtime.shutdown_background();
    if !arguments.json {
        if table.is_empty() && !trouble {
            print("the trash is empty\n");
        } else {
            print(&table);
        }
    }
    Ok(if trouble { Exit::Trouble } else { Exit::Done })
}

fn restore(global: &Global, arguments: &Restore) -> Result<Exit, Failure> {
    let stand = Stand::open(global)?;
    let project = stand.project(&arguments.project)?;
    let site = arguments.site.as_str();
    ground::known_site(&stand.settings, site)?;
    let runtime = ground::runtime()?;
    let mut told = Told { json: arguments.json, ..Told::default() };
    let done = runtime.block_on(async {
        for given in beneath_roots(project, &arguments.paths) {
            put_back(&stand, project, site, &given, arguments, &mut told).await?;
        }
        Ok::<_, Failure>(())
    });
    runtime.shutdown_background();
    told.end(arguments);
    done?;
    Ok(if told.failed == 0 { Exit::Done } else { Exit::Trouble })
}

/// What is told of files that are put back.
#[derive(Debug, Default)]
struct Told {
    json: bool,
    restored: usize,
    failed: usize,
    /// Something is in the place of some.
    taken: bool,
}

impl Told {
    fn restored(&mut self, site: &str, shown: &str, root: &str, entry: &trash::Entry) {
        self.restored += 1;
        let (path, when) = (&entry.path, rfc3339(entry.when));
        if self.json {
            print_json(&json!({
                "state": "restored", "site": site, "root": root, "path": path, "when": when,
                "size": entry.size, "id": entry.id,
            }));
        } else if self.restored <= NAMED {
            let path = plain(path);
            print(format_args!("restored: {path} in root '{root}' of '{shown}', from {when}\n"));
        }
    }

    fn failed(&mut self, site: &str, root: &str, path: &str, error: &sitesync_provider::Error) {
        self.failed += 1;
        self.taken |= error.kind() == ErrorKind::AlreadyExists;
        let reason = error.message();
        if self.json {
            print_json(&json!({
                "state": "not_restored", "site": site, "root": root, "path": path,
                "reason": reason,
            }));
        } else if self.failed <= NAMED {
            say(format_args!("not restored: {}: {}", plain(path), plain(reason)));
        }
    }

    /// The sums.
    fn end(&self, arguments: &Restore) {
        if self.json {
            print_json(&json!({"restored": self.restored, "not_restored": self.failed}));
            return;
        }
        if self.failed > NAMED {
            say(format_args!("... and {} more", self.failed - NAMED));
        }
        if self.taken && !arguments.replace {
            say("  help: with --replace, what is in their place goes to the trash");
        }
        if self.restored > NAMED {
            print(format_args!("... and {} more\n", self.restored - NAMED));
        }
        if self.restored > NAMED || self.failed > 0 {
            let restored = counted(self.restored as u64, "file");
            let left =
                if self.failed > 0 { format!(", {} not", self.failed) } else { String::new() };
            print(format_args!("{restored} restored{left}\n"));
        }
    }
}

/// The root that is meant and the path beneath it, empty for all of it. Wrong is what lies in no root.
fn meant(
    project: &Project,
    site: &str,
    given: &str,
    arguments: &Restore,
) -> Result<(Option<String>, String), Failure> {
    let given = given.trim_start_matches("./").trim_end_matches('/');
    if let Ok(Selector::File { root, path }) = given.parse() {
        return Ok((Some(root), path));
    }
    let whole = given.strip_prefix("{root[").and_then(|rest| rest.strip_suffix("]}"));
    if let Some(root) = whole {
        return Ok((Some(root.to_owned()), String::new()));
    }
    if !given.starts_with('/') {
        return Ok((arguments.root.clone(), given.to_owned()));
    }
    let roots = project.roots(site);
    if let Some((name, _)) = roots.iter().find(|(_, path)| path.trim_end_matches('/') == given) {
        return Ok((Some(name.clone()), String::new()));
    }
    let why = format!(
        "'{}' is not beneath a root of project '{}' at site '{site}'",
        echoed(given),
        project.name
    );
    let roots: Vec<String> = roots.iter().map(|(name, path)| format!("{name} = {path}")).collect();
    Err(Failure::new(Exit::Usage, why).hint(format_args!("roots are: {}", roots.join(", "))))
}

/// Puts a file back, or all of a folder. Of a folder, what can't be is told.
async fn put_back(
    stand: &Stand,
    project: &Project,
    site: &str,
    given: &str,
    arguments: &Restore,
    told: &mut Told,
) -> Result<(), Failure> {
    let (named, path) = meant(project, site, given, arguments)?;
    let path = path.as_str();
    let mut roots = stand.roots(project, site).await;
    if let Some(name) = &named {
        let known: Vec<String> = roots.iter().map(|(name, _)| name.clone()).collect();
        roots.retain(|(root, _)| root == name);
        if roots.is_empty() {
            let why = format!("site '{site}' has no root '{}'", echoed(name));
            let hint = format!("roots are: {}", known.join(", "));
            return Err(Failure::new(Exit::Usage, why).hint(hint));
        }
    }
    let when = arguments.when.as_deref();
    let mut found = Vec::new();
    for (name, root) in roots {
        let root =
            root.map_err(|fault| Failure::new(Exit::Trouble, &fault).hint_if(fault.hint.as_ref()))?;
        let refused = |error| refused(&error, path, arguments);
        let is_file =
            !path.is_empty() && !trash::of(&root, path).await.map_err(refused)?.is_empty();
        let paths = match is_file {
            false => trash::beneath(&root, path, when).await.map_err(refused)?,
            true => vec![path.to_owned()],
        };
        if !paths.is_empty() {
            found.push((name, root, paths));
        }
    }
    if found.len() > 1 {
        let names: Vec<&str> = found.iter().map(|(name, ..)| name.as_str()).collect();
        let why = format!("several roots have had such files: {}", names.join(", "));
        return Err(Failure::new(Exit::Usage, why).hint("name one with --root"));
    }
    let Some((name, root, paths)) = found.pop() else {
        let of = if path.is_empty() { String::new() } else { format!(" of '{}'", echoed(path)) };
        let from = when.map(|when| format!(" from '{}'", echoed(when))).unwrap_or_default();
        let why = format!("the trash of site '{site}' has nothing{of}{from}");
        return Err(Failure::new(Exit::Trouble, why).hint(format_args!(
            "`sitesync trash list {} --site {site}` shows what it has",
            project.name
        )));
    };
    for path in &paths {
        match trash::restore(&root, Wanted { path, when, replace: arguments.replace }).await {
            Ok(entry) => told.restored(site, &stand.names.shown(site), &name, &entry),
            Err(error) if paths.len() == 1 && arguments.paths.len() == 1 && !arguments.json => {
                return Err(refused(&error, path, arguments));
            }
            Err(error) => told.failed(site, &name, path, &error),
        }
    }
    Ok(())
}

fn refused(error: &sitesync_provider::Error, path: &str, arguments: &Restore) -> Failure {
    let why = format!("{}: {}", plain(path), plain(error.message()));
    let failure = Failure::new(Exit::Trouble, why.trim_start_matches(": "));
    match error.kind() {
        ErrorKind::AlreadyExists if !arguments.replace => {
            failure.hint("with --replace, what is there goes to the trash")
        }
        ErrorKind::Precondition => failure.hint("it changed in this very moment: look again"),
        _ => failure,
    }
}
