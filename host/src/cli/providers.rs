//! `sitesync providers`: the plug-ins that were found, what they can do, who uses them, and why some
//! are not used.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use sitesync_provider::{API_VERSION, Capabilities, Changes, Description};

use super::ground;
use super::output::{counted, plain, print, print_json, say};
use super::sites::{self, Found};
use super::{Exit, Failure, Global};
use crate::plugins::{Lingers, Plugins, Report, Stage};
use crate::running::Running;
use crate::settings::{Settings, Trust};
use crate::sites::Sites;
use crate::state_dir::StateDir;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// As JSON, a plug-in a line
    #[arg(long)]
    json: bool,
    /// Opens the roots of the sites as well, and says what can be done there
    #[arg(long)]
    connect: bool,
}

/// What is shown of one file.
struct Shown {
    report: Report,
    description: Option<Description>,
    /// Sites of the settings that use it, or would if it were not refused.
    sites: Vec<String>,
    /// The process of the running service, if it works through this.
    service: Option<u32>,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let settings = ground::settings_if_any(global)?;
    let plugin_settings = settings.as_ref().map(|settings| settings.plugins.clone());
    let plugin_settings = plugin_settings.unwrap_or_default();
    let state = StateDir::open(&ground::state_path(global)?)?;
    let plugins = Arc::new(ground::plugins(global, &plugin_settings, &state));
    plugins.load_all();
    let roots = match &settings {
        Some(settings) if arguments.connect => connect(settings, &plugins, &state)?,
        _ => Vec::new(),
    };
    let service = Running::ask(state.path());
    let lingering = service.iter().flat_map(|service| &service.plugins);
    let lingering = lingering.filter(|report| report.lingers.is_some()).cloned();
    let shown: Vec<Shown> = plugins
        .report()
        .into_iter()
        .chain(lingering)
        .map(|report| shown(&plugins, settings.as_ref(), service.as_ref(), report))
        .collect();
    for (at, one) in shown.iter().enumerate() {
        let roots: Vec<&Found> =
            roots.iter().filter(|root| one.sites.contains(&root.site)).collect();
        if arguments.json {
            print_json(&as_json(one, &roots));
        } else {
            let gap = if at == 0 { "" } else { "\n" };
            print(format_args!("{gap}{}", block(one, &roots, plugin_settings.trust)));
        }
    }
    if arguments.json {
        return Ok(Exit::Done);
    }
    let folders = plugins.folders();
    for folder in &folders {
        if let Some(refused) = &folder.refused {
            say(format_args!(
                "\nrefused: the folder {}\n  {}\n  help: {}",
                plain(&folder.path.to_string_lossy()),
                plain(&refused.reason),
                plain(&refused.remedy)
            ));
        }
    }
    if shown.is_empty() {
        let looked: Vec<String> = folders.iter().map(|f| f.path.display().to_string()).collect();
        say(format_args!(
            "no plug-ins found in {}\n  help: copy provider plug-ins (*.so) into one of these folders",
            looked.join(" or ")
        ));
    }
    Ok(Exit::Done)
}

/// Opens the roots of all sites that a project uses.
fn connect(
    settings: &Settings,
    plugins: &Arc<Plugins>,
    state: &StateDir,
) -> Result<Vec<Found>, Failure> {
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let cache = state.path().join("cache");
    let sites = Sites::new(plugins.clone(), settings, state.site_id()?, cache, stopped);
    let runtime = ground::runtime()?;
    let found = runtime.block_on(sites::look(settings, &sites));
    runtime.shutdown_background();
    Ok(found)
}

fn shown(
    plugins: &Plugins,
    settings: Option<&Settings>,
    service: Option<&Running>,
    report: Report,
) -> Shown {
    let works =
        |service: &&Running| service.plugins.iter().any(|theirs| works_through(theirs, &report));
    let service = service.filter(works).map(|service| service.pid);
    let name = report.name.as_deref();
    let description = name
        .filter(|_| report.is_usable())
        .and_then(|name| plugins.get(name).ok().map(|provider| provider.description.clone()));
    let sites = settings.into_iter().flat_map(|settings| settings.sites.values());
    let sites = sites
        .filter(|_| report.superseded_by.is_none() || report.lingers.is_some())
        .filter(|site| Some(site.provider.as_str()) == name)
        // Those that are always there, and that nobody gave a root, are used by nothing.
        .filter(|site| site.span.is_some() || !site.roots.is_empty())
        .map(|site| site.name.clone())
        .collect();
    Shown { report, description, sites, service }
}

/// True if what the service says of one of its plug-ins is of this content, and it is at work.
fn works_through(theirs: &Report, report: &Report) -> bool {
    let at_work = theirs.stage == Stage::Loaded
        && (theirs.superseded_by.is_none() || theirs.lingers.is_some());
    at_work && theirs.sha256.is_some() && theirs.sha256 == report.sha256
}

fn as_json(one: &Shown, roots: &[&Found]) -> serde_json::Value {
    let mut value = json!(one.report);
    let described = one.description.as_ref();
    value["usable"] = one.report.is_usable().into();
    value["label"] = json!(described.map(|d| &d.label));
    value["slots"] = json!(described.map(|d| d.slots));
    value["requests_per_second"] = json!(described.map(|d| d.requests_per_second));
    value["settings"] = json!(described.map(|d| &d.settings));
    value["sites"] = json!(one.sites);
    value["service"] = json!(one.service);
    let root = |found: &&Found| {
        json!({
            "site": found.site, "project": found.project, "root": found.root, "path": found.path,
            "can": found.result.as_ref().ok().map(|root| &root.info.can),
            "reason": found.result.as_ref().err().map(|fault| &fault.message),
        })
    };
    value["roots"] = roots.iter().map(root).collect();
    value
}

/// All of one file, as a person reads it.
fn block(one: &Shown, roots: &[&Found], trust: Trust) -> String {
    let Report { path, name, version, .. } = &one.report;
    let file_name = path.as_deref().and_then(Path::file_name).unwrap_or_default();
    let head = match (name, version) {
        (Some(name), Some(version)) => format!("{name} {version}"),
        _ => file_name.to_string_lossy().into_owned(),
    };
    let state = match (&one.report.refused, one.report.lingers, &one.report.superseded_by) {
        (Some(_), _, _) => "refused".to_owned(),
        (None, Some(_), _) => "its file is gone".to_owned(),
        (None, None, Some(_)) => "superseded".to_owned(),
        (None, None, None) => one.report.stage.to_string(),
    };
    let mut text = format!("{}: {state}\n", plain(&head));
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<8}  {}", plain(value));
    };
    if let Some(refused) = &one.report.refused {
        line("reason", &refused.reason);
        line("help", &refused.remedy);
    }
    if let Some(by) = &one.report.superseded_by {
        line("by", &by.to_string_lossy());
    }
    if let Some(service) = one.service {
        let how_long = match one.report.lingers {
            Some(Lingers::UntilRestart) => "works through it until restart",
            Some(Lingers::UntilItsWorkEnds) => "ends what it began through it",
            None => "works through it",
        };
        line("service", &format!("process {service} {how_long}"));
    }
    line("file", &path.as_ref().map_or("built in".into(), |path| path.to_string_lossy()));
    if let Some(sha256) = &one.report.sha256 {
        line("sha256", sha256);
    }
    if let Some(owner) = &one.report.trust {
        let admitted = match (&one.report.admitted, trust) {
            (Some(when), _) => format!("; admitted {when}"),
            (None, Trust::Pinned) => "; not admitted".into(),
            (None, Trust::Owner) => String::new(),
        };
        line("trust", &format!("{owner}{admitted}"));
    }
    if let Some(api) = &one.report.api {
        line("api", &format!("{api} (this host: {API_VERSION})"));
    }
    line("stages", &stages(&one.report));
    if let Some(description) = &one.description {
        line("what", &description.label);
        line("hints", &hints(description));
        line("settings", &listed(&fields(description)));
    }
    if name.is_some() {
        line("sites", &listed(&one.sites));
    }
    for root in roots {
        let can = match &root.result {
            Ok(root) => listed(&can(&root.info.can)),
            Err(fault) => format!("offline: {}", fault.message),
        };
        line(
            "can",
            &format!("{} ({}, {}={}): {can}", root.site, root.project, root.root, root.path),
        );
    }
    text
}

/// The stages that a file came through, and the one that refused it.
fn stages(report: &Report) -> String {
    let passed = Stage::ALL.into_iter().filter(|stage| *stage <= report.stage);
    let mut stages: Vec<String> = passed.map(|stage| stage.to_string()).collect();
    let next = Stage::ALL.into_iter().find(|stage| *stage > report.stage);
    if let (Some(next), Some(_)) = (next, &report.refused) {
        stages.push(format!("not {next}"));
    }
    stages.join(", ")
}

fn hints(description: &Description) -> String {
    let slots = counted(description.slots.into(), "transfer");
    match description.requests_per_second {
        0 => format!("{slots} at once"),
        requests => format!("{slots} at once, {} a second", counted(requests.into(), "request")),
    }
}

/// The names of a provider's own settings.
fn fields(description: &Description) -> Vec<String> {
    let properties = description.settings["properties"].as_object();
    properties.into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

fn can(can: &Capabilities) -> Vec<String> {
    let flags = [
        (can.server_copy, "server copy"),
        (can.ranges, "ranges"),
        (can.resume, "resume"),
        (can.recursive_list, "recursive list"),
        (can.changes == Changes::Hint, "changes (hints)"),
        (can.changes == Changes::Complete, "changes"),
        (can.flush, "flush"),
        (can.atomic_replace, "atomic replace"),
        (can.keeps_versions, "versions"),
        (can.trash, "trash"),
        (can.keeps_replaced, "keeps replaced"),
    ];
    let named = flags.iter().filter(|(is, _)| *is).map(|(_, name)| (*name).to_owned());
    named.chain(can.checksums.iter().cloned()).collect()
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}
