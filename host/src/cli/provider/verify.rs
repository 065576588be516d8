//! `sitesync provider verify`: the conformance suite of the contract, against the live storage of
//! a site. It works in a folder of its own and needs neither the lock of the state folder nor the
//! catalog: it may run beside a service.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use sitesync_provider::conformance::{CaseReport, Report, Verdict};

use super::output::{Table, counted, plain, print, print_json, say};
use super::{Exit, Failure, Global, ground};
use crate::cli::serve::stop_on_signals;
use crate::settings::{Settings, Site};
use crate::sites::{Fault, Own, Sites};
use crate::state_dir::StateDir;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// The provider, which must be the site's own
    name: String,
    /// The site on whose storage it is tried
    #[arg(long)]
    site: String,
    /// The name of the root in which it is tried [default: the first that the project has there]
    #[arg(long)]
    root: Option<String>,
    /// The project whose root it is [default: the first that has one there]
    #[arg(long)]
    project: Option<String>,
    /// Only cases of this theme, or whose name contains this
    #[arg(long, value_name = "PART")]
    only: Option<String>,
    /// Makes random content from this number, as an earlier run did that named it
    #[arg(long)]
    seed: Option<u64>,
    /// As JSON: one document
    #[arg(long)]
    json: bool,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let (_, loaded) = ground::load_settings(global)?;
    let settings = loaded.settings;
    let site = site(&settings, arguments)?;
    let place = Place::of(&settings, arguments)?;
    let state = StateDir::open(&ground::state_path(global)?)?;
    let plugins = Arc::new(ground::plugins(global, &settings.plugins, &state));
    // A cache of its own: a service may be at work with the other.
    let cache = state.path().join("cache").join("verify");
    // Never told to stop: what was made is removed by requests as well.
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let sites = Sites::new(plugins, &settings, state.site_id()?, cache, stopped);
    let runtime = ground::runtime()?;
    let verified = runtime.block_on(verify(&sites, site, &place, arguments));
    // A provider that hangs must not keep the command from ending.
    runtime.shutdown_background();
    let report = verified?;
    if report.cases.is_empty() && !report.stopped {
        let part = plain(arguments.only.as_deref().unwrap_or_default());
        return Err(Failure::new(Exit::Usage, format_args!("no case is called '{part}'"))
            .hint("without --only, all cases are tried, and named"));
    }
    if arguments.json {
        print_json(&as_json(&report, site, &place));
    } else {
        tell(&report, site, &place);
    }
    for left in &report.left_behind {
        say(format_args!("left behind in {}: {}", plain(&place.path), plain(left)));
    }
    if !report.left_behind.is_empty() {
        say("  help: remove it by hand");
    }
    if report.stopped {
        return Err(Failure::new(Exit::Trouble, "interrupted: not all cases were tried"));
    }
    let good = report.failed().next().is_none() && report.left_behind.is_empty();
    Ok(if good { Exit::Done } else { Exit::Trouble })
}

async fn verify(
    sites: &Sites,
    site: &Site,
    place: &Place,
    arguments: &Arguments,
) -> Result<Report, Failure> {
    let blocked = |fault: Fault| Failure::new(Exit::Blocked, &fault).hint_if(fault.hint);
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    stop_on_signals(stop, "what was made beneath the root (.sitesync-verify-*) is removed");
    // What keeps a site from being used keeps it from being tried.
    sites.open_for(&site.name, &place.own, &place.path).await.map_err(blocked)?;
    let instance = sites.instance_for(&site.name, &place.own).map_err(blocked)?;
    let mut suite = instance.conformance(&place.path).stop(async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    });
    if let Some(part) = &arguments.only {
        suite = suite.only(part);
    }
    if let Some(seed) = arguments.seed {
        suite = suite.seed(seed);
    }
    let line = Line::new();
    let shown = line.clone();
    let report = suite.on_case(move |case| shown.follow(case)).run().await;
    line.end();
    report.map_err(|error| blocked(Fault::new(&site.name, &error)))
}

/// A line that says which case was tried last, and how many; failures stay. On stderr, when that
/// is a terminal.
#[derive(Clone)]
struct Line(Option<ProgressBar>);

impl Line {
    fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Line(None);
        }
        let style = ProgressStyle::with_template("{spinner} {pos} tried  {msg}").ok();
        Line(style.map(|style| {
            let bar = ProgressBar::no_length().with_style(style);
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        }))
    }

    fn follow(&self, case: &CaseReport) {
        let Some(bar) = &self.0 else { return };
        if matches!(case.verdict, Verdict::Fail(_)) {
            bar.println(format!("failed: {}: {}", case.group, case.name));
        }
        bar.inc(1);
        bar.set_message(format!("{}: {}", case.group, case.name));
    }

    fn end(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// How many passed, failed, and did not apply.
fn sums(report: &Report) -> (usize, usize, usize) {
    report.cases.iter().fold((0, 0, 0), |(passed, failed, other), case| match case.verdict {
        Verdict::Pass => (passed + 1, failed, other),
        Verdict::Fail(_) => (passed, failed + 1, other),
        _ => (passed, failed, other + 1),
    })
}

fn seconds(report: &Report) -> f64 {
    report.cases.iter().map(|case| case.seconds).sum()
}

fn as_json(report: &Report, site: &Site, place: &Place) -> Value {
    let mut value = json!(report);
    let (passed, failed, not_applicable) = sums(report);
    value["site"] = site.name.as_str().into();
    value["project"] = place.project.as_str().into();
    value["root"] = place.root.as_str().into();
    value["path"] = place.path.as_str().into();
    value["passed"] = passed.into();
    value["failed"] = failed.into();
    value["not_applicable"] = not_applicable.into();
    value["seconds"] = ((seconds(report) * 1000.0).round() / 1000.0).into();
    value
}

/// Failures with all that is known of them, then what did not apply, then the sums.
fn tell(report: &Report, site: &Site, place: &Place) {
    for case in report.failed() {
        let Verdict::Fail(reason) = &case.verdict else { continue };
        print(format_args!("failed: {}: {}\n", case.group, case.name));
        print(format_args!("  why it matters: {}\n", case.why));
        for (n, line) in reason.lines().enumerate() {
            let head = if n == 0 { "what was seen:" } else { "              " };
            print(format_args!("  {head}  {}\n", plain(line)));
        }
        print("\n");
    }
    let mut table = Table::new(&["not applicable", "because"]);
    for case in &report.cases {
        if let Verdict::NotApplicable(reason) = &case.verdict {
            table.row(vec![format!("{}: {}", case.group, case.name), reason.clone()]);
        }
    }
    if !table.is_empty() {
        print(format_args!("{table}\n"));
    }
    let (passed, failed, not_applicable) = sums(report);
    let mut line = format!(
        "{} at '{}' ({}): {} passed",
        report.provider,
        site.name,
        plain(&place.path),
        counted(passed as u64, "case")
    );
    for (n, what) in [(failed, "failed"), (not_applicable, "not applicable")] {
        if n > 0 {
            line.push_str(&format!(", {n} {what}"));
        }
    }
    print(format_args!("{line}, in {:.1} s (seed {})\n", seconds(report), report.seed));
}

/// The site, whose provider is the one that was named.
fn site<'a>(settings: &'a Settings, arguments: &Arguments) -> Result<&'a Site, Failure> {
    let (name, asked) = (plain(&arguments.name), plain(&arguments.site));
    let Some(site) = settings.sites.get(&arguments.site) else {
        let known: Vec<&str> = settings.sites.keys().map(String::as_str).collect();
        return Err(Failure::new(Exit::Usage, format_args!("there is no site '{asked}'"))
            .hint(format_args!("sites are: {}", known.join(", "))));
    };
    if site.provider == arguments.name {
        return Ok(site);
    }
    let provider = &site.provider;
    let failure = format_args!("the provider of site '{asked}' is '{provider}', not '{name}'");
    let others: Vec<&str> = settings
        .sites
        .values()
        .filter(|site| site.provider == arguments.name)
        .map(|site| site.name.as_str())
        .collect();
    Err(Failure::new(Exit::Usage, failure).hint(if others.is_empty() {
        format!("no site has it: give a [sites.NAME] `provider = \"{name}\"` and a root for trials")
    } else {
        format!("sites with '{name}': {}", others.join(", "))
    }))
}

/// The root in which a provider is tried.
#[derive(Debug)]
struct Place {
    project: String,
    root: String,
    path: String,
    /// What the project sets of the site for itself.
    own: Own,
}

impl Place {
    fn of(settings: &Settings, arguments: &Arguments) -> Result<Self, Failure> {
        let projects = ground::names(settings, arguments.project.as_deref())?;
        let places: Vec<Place> = projects
            .iter()
            .flat_map(|project| {
                let roots = settings.projects[project].roots(&arguments.site);
                roots.iter().map(|(root, path)| Place {
                    project: project.clone(),
                    root: root.clone(),
                    path: path.clone(),
                    own: settings.projects[project].site_settings(&arguments.site).clone(),
                })
            })
            .collect();
        let known: Vec<String> =
            places.iter().map(|place| format!("{} of {}", place.root, place.project)).collect();
        let wanted = |place: &Place| arguments.root.as_ref().is_none_or(|root| *root == place.root);
        places.into_iter().find(wanted).ok_or_else(|| {
            let whose = match &arguments.project {
                Some(project) => format!("project '{project}' has no"),
                None => "no project has a".to_owned(),
            };
            let root = match &arguments.root {
                Some(root) => format!("root '{}'", plain(root)),
                None => "root".to_owned(),
            };
            let site = &arguments.site;
            let failure =
                Failure::new(Exit::Usage, format_args!("{whose} {root} at site '{site}'"));
            if known.is_empty() {
                let table = "add a [projects.NAME], and a root to";
                return failure.hint(format_args!("{table} [sites.{site}]"));
            }
            failure.hint(format_args!("roots there are: {}", known.join(", ")))
        })
    }
}
