//! `sitesync doctor`: looks at everything from the bottom up, and changes nothing, unless it is asked to
//! repair the catalog.
//!
//! A file a floor; each makes its checks and goes on, whatever it found. What a floor could not find
//! out is missing for those above it, which then check what can be checked without.
//!
//! Nothing at a site, in the settings or in the catalog is changed, and the lock of the state folder
//! is not taken: it works while the service runs, and while it doesn't.

mod catalog;
mod plugins;
mod projects;
mod repair;
mod report;
mod room;
mod settings;
mod sites;
mod state;

use clap::Args;

use self::report::{Area, Check, Report};
use super::ground::SiteNames;
use super::{Exit, Failure, Global, ground};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// As JSON: one document
    #[arg(long)]
    json: bool,
    /// Of the sites, only this one, and the projects that use it
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
    /// Makes a catalog that is damaged or gone anew, from what the sites have
    #[arg(long, conflicts_with = "site")]
    repair: bool,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    if arguments.repair {
        return repair::run(global, arguments.json);
    }
    let only = arguments.site.as_deref();
    let folder = ground::state_path(global)?;
    let runtime = ground::runtime()?;
    let found = settings::Read::new(global);
    if let (Some(site), Ok((_, loaded))) = (only, &found.result) {
        ground::known_site(&loaded.settings, site)?;
    }
    let mut report = Report::new(arguments.json);
    found.tell(global, &mut report);

    let state = state::check(&folder, &mut report);
    let service = state::service(&state, &mut report);
    let catalog = catalog::check(&state, &mut report);
    let Ok((files, loaded)) = &found.result else {
        report.push(
            Check::note(
                Area::PlugIns,
                "plug-ins and sites",
                "not looked at: which there are, and who may be trusted, stands in the settings",
            )
            .hint("correct the settings, and run `sitesync doctor` again"),
        );
        let names = SiteNames { own: crate::state_dir::kept_site_id(&folder) };
        projects::of_catalog(&catalog, &names, &mut report);
        return Ok(report.end());
    };
    settings::own_name(&loaded.settings, &state, &mut report);
    let plugins = plugins::check(global, loaded, &state, service.as_ref(), &mut report);
    let about = sites::About {
        settings: &loaded.settings,
        ours: ground::ours(global, &loaded.settings.plugins, files, &folder),
        state: &state,
        catalog: &catalog,
        only,
    };
    let opened = sites::check(&about, plugins.as_ref(), &runtime, &mut report);
    let names = SiteNames::of(global, &loaded.settings);
    projects::check(&about, &names, &opened, &mut report);
    // What hangs may go on hanging.
    runtime.shutdown_background();
    Ok(report.end())
}
