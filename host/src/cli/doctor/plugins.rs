//! The plug-ins: each file, and what the service says of those that it works through.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::{Global, ground};
use super::report::{Area, Check, Level, Report};
use super::state::State;
use crate::plugins::{Lingers, Plugins, Refusal, Report as File};
use crate::running::Running;
use crate::settings::{Loaded, provider};

/// The plug-ins that were found.
pub(super) struct Found {
    pub(super) plugins: Arc<Plugins>,
    /// Sites whose settings their provider would not take.
    pub(super) wrong: BTreeSet<String>,
}

/// `None` where there is no folder to keep copies of plug-ins in.
pub(super) fn check(
    global: &Global,
    loaded: &Loaded,
    state: &State,
    service: Option<&Running>,
    report: &mut Report,
) -> Option<Found> {
    let Some(scratch) = state.scratch() else {
        let message = "not looked at: there is no folder for the copies that are loaded";
        let check = Check::fail(Area::PlugIns, "plug-ins", message);
        report.push(check.hint("see that the folder for temporary files can be written to"));
        return None;
    };
    let settings = &loaded.settings;
    let copies = scratch.join("plugins");
    let plugins = ground::plugins_kept_in(global, &settings.plugins, &state.path, &copies);
    plugins.load_all();
    let in_use = ground::in_use(settings);
    let sites = settings.sites.values().filter(|site| in_use.contains(site.name.as_str()));
    let wanted = Wanted { names: sites.map(|site| site.provider.as_str()).collect(), plugins };
    for folder in wanted.plugins.folders() {
        if let Some(refusal) = &folder.refused {
            let subject = format!("plug-in folder {}", folder.path.display());
            report.push(refused(wanted.level(None), subject, refusal));
        }
    }
    let files = wanted.plugins.report();
    for file in &files {
        report.push(wanted.file(file));
    }
    if files.is_empty() {
        let folders = wanted.plugins.folders();
        let looked: Vec<_> = folders.iter().map(|f| f.path.display().to_string()).collect();
        let message = format!("there are none in {}", looked.join(" or "));
        let check = Check::new(wanted.level(None), Area::PlugIns, "plug-ins", message);
        report.push(check.hint("copy provider plug-ins (*.so) into one of these folders"));
    }
    for theirs in service.into_iter().flat_map(|service| &service.plugins) {
        if let Some(check) = of_service(theirs, &files) {
            report.push(check);
        }
    }
    let wrong = of_sites(loaded, &wanted.plugins, report);
    Some(Found { plugins: Arc::new(wanted.plugins), wrong })
}

/// The providers that are needed, and where they come from.
struct Wanted<'a> {
    names: BTreeSet<&'a str>,
    plugins: Plugins,
}

impl Wanted<'_> {
    /// How bad it is that something is refused: nothing fails as long as nobody misses it.
    fn level(&self, name: Option<&str>) -> Level {
        let missing = |name: &str| self.plugins.get(name).is_err();
        let missed = match name {
            Some(name) => self.names.contains(name) && missing(name),
            None => self.names.iter().any(|name| missing(name)),
        };
        if missed { Level::Fail } else { Level::Warn }
    }

    fn file(&self, file: &File) -> Check {
        let subject = format!("plug-in {}", named(file));
        if let Some(refusal) = &file.refused {
            return refused(self.level(file.name.as_deref()), subject, refusal);
        }
        let version = [file.name.as_deref(), file.version.as_deref()];
        let version: Vec<&str> = version.into_iter().flatten().collect();
        let facts = match &file.superseded_by {
            Some(other) => format!("{}, not used: {} is", version.join(" "), other.display()),
            None => format!("{}, {}", version.join(" "), file.stage),
        };
        Check::ok(Area::PlugIns, subject, facts)
    }
}

fn named(file: &File) -> String {
    match &file.path {
        Some(path) => path.display().to_string(),
        None => file.name.clone().unwrap_or_default(),
    }
}

fn refused(level: Level, subject: String, refusal: &Refusal) -> Check {
    Check::new(level, Area::PlugIns, subject, format!("refused: {}", refusal.reason))
        .hint(&refusal.remedy)
}

/// What the service says of a file and this process does not see.
fn of_service(theirs: &File, ours: &[File]) -> Option<Check> {
    let subject = format!("service's plug-in {}", named(theirs));
    if theirs.lingers == Some(Lingers::UntilRestart) {
        let message = "its file is gone: the service goes on with it until it is restarted";
        let check = Check::warn(Area::PlugIns, subject, message);
        return Some(check.hint("restart the service, or put the file back"));
    }
    let refusal = theirs.refused.as_ref()?;
    let same = |file: &&File| file.path == theirs.path;
    let known = ours.iter().find(same).is_some_and(|file| file.refused.is_some());
    // Told already.
    (!known).then(|| refused(Level::Warn, subject, refusal))
}

/// What is the providers' own in the settings of sites. Returns the sites of which something is
/// wrong.
fn of_sites(loaded: &Loaded, plugins: &Plugins, report: &mut Report) -> BTreeSet<String> {
    let mut wrong = BTreeSet::new();
    for site in loaded.settings.sites.values().filter(|site| site.span.is_some()) {
        // Where nothing is known of the provider, the site itself says why.
        let (declared, _) = ground::declared(plugins, std::iter::once(site));
        let (errors, notes) = match provider::check(loaded, &declared) {
            Ok(notes) => (Vec::new(), notes),
            Err(found) => (found.errors, found.notes),
        };
        if !errors.is_empty() {
            wrong.insert(site.name.clone());
        }
        for problem in errors.iter().chain(&notes) {
            report.push(Check::problem(&problem.file, problem));
        }
    }
    if wrong.is_empty() {
        let facts = "all that could be checked is right";
        report.push(Check::ok(Area::Settings, "providers' own settings", facts));
    }
    wrong
}
