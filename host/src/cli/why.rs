//! `sitesync why`: where a file is, why it is not elsewhere, and what it waits for.

use std::collections::HashMap;
use std::time::{Duration, UNIX_EPOCH};

use clap::Args;
use serde_json::{Value, json};

use super::ground::{self, SiteNames};
use super::held::{let_go, resume};
use super::order::What;
use super::output::{counted, plain, print, print_json, say, size};
use super::{Exit, Failure, Global};
use crate::catalog::{
    self, Apart, FileRow, Have, Hold, HoldKind, Job, JobState, Millis, Pause, Representation,
    SiteId, View,
};
use crate::engine::belonging::Belonging;
use crate::engine::clock::{HostTime, SystemClock};
use crate::orders::selection::{Place, Selected, Selection};
use crate::publish::quoted;
use crate::running::Running;
use crate::settings::units::format_duration;
use crate::settings::{Project, Travel};
use crate::state_dir::{self, rfc3339};

/// Files that are told of one by one.
const TOLD: usize = 20;
/// Files that are counted before one whose turn has not come.
const COUNTED: u64 = 1000;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    project: String,
    #[command(flatten)]
    what: What,
    /// Only about this site
    #[arg(long)]
    site: Option<String>,
    /// As JSON, a line for each file
    #[arg(long)]
    json: bool,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let (_, loaded) = ground::load_settings(global)?;
    let settings = loaded.settings;
    ground::names(&settings, Some(&arguments.project))?;
    if let Some(site) = &arguments.site {
        ground::known_site(&settings, site)?;
    }
    let what = arguments.what.some()?;
    let Some(catalog) = ground::catalog_to_read(global)? else {
        return Err(Failure::new(Exit::Trouble, "nothing is known yet: nothing was synced so far")
            .hint("`sitesync sync` looks at both ends"));
    };
    let state = ground::state_path(global)?;
    let names = SiteNames::of(global, &settings);
    let project = &settings.projects[&arguments.project];
    let what = crate::orders::beneath_roots(project, &what);
    let catalog_name = |site: &str| match (site, &names.own) {
        (crate::sites::LOCAL, Some(own)) => own.clone(),
        (site, _) => site.to_owned(),
    };
    let asked = Asked {
        project,
        idle: ground::idle_because(&settings, project),
        works: state_dir::holder(&state).is_some(),
        running: Running::ask(&state),
        names: &names,
        only: arguments.site.as_deref(),
    };
    let told = catalog.read(|view| {
        let Some(belonging) = Belonging::known(view, &catalog_name, project)? else {
            return Ok(Err(Failure::new(
                Exit::Trouble,
                format_args!("nothing is known of project '{}' yet", project.name),
            )));
        };
        let roots = crate::orders::roots(view, project)?;
        let selection = match Selection::of(view, belonging.project, &roots, &what) {
            Ok(selection) => selection,
            Err(refused) => return Ok(Err(refused.into())),
        };
        let sites: HashMap<SiteId, String> = view.site_names()?.into_iter().collect();
        let mut known = Known {
            view,
            pauses: view.pauses()?,
            holds: view.holds(belonging.project)?,
            now: HostTime::new(Box::<SystemClock>::default(), view.last_time()?).now(),
            roots: roots.into_iter().collect(),
            sites,
            apart: view.apart(belonging.project)?,
            belonging,
        };
        known.pauses.retain(|pause| {
            pause.scope.project.is_none_or(|project| project == known.belonging.project)
        });
        let (mut told, mut more) = (Vec::new(), 0_u64);
        let mut place = Place::default();
        loop {
            let page = selection.page(view, &mut place, 1000)?;
            if page.is_empty() {
                return Ok(Ok((told, more)));
            }
            for file in page {
                if told.len() < TOLD || arguments.json {
                    told.push(asked.tell(&known, &file)?);
                } else {
                    more += 1;
                }
            }
        }
    })?;
    let (told, more) = told?;
    if arguments.json {
        told.iter().for_each(print_json);
        return Ok(Exit::Done);
    }
    for (nth, file) in told.iter().enumerate() {
        if nth > 0 {
            print("\n");
        }
        show(file);
    }
    if more > 0 {
        say(format_args!("... and {more} more files: see --json"));
    }
    Ok(Exit::Done)
}

/// Prints what is told of a file.
fn show(file: &Value) {
    let text = |value: &Value| plain(value.as_str().unwrap_or_default());
    print(format_args!(
        "{}  ({}, of {})\n",
        text(&file["path"]),
        size(file["size"].as_u64().unwrap_or(0)),
        text(&file["representation"])
    ));
    for site in file["sites"].as_array().into_iter().flatten() {
        print(format_args!("  {}: {}\n", text(&site["shown"]), text(&site["standing"])));
        let heads = [
            ("found", "found"),
            ("rule", "it belongs there"),
            ("waits", "it waits"),
            ("help", "help"),
        ];
        for (name, head) in heads {
            let words = text(&site[name]);
            if !words.is_empty() {
                print(format_args!("    {head}: {words}\n"));
            }
        }
    }
}

/// What tells a person two copies of a file apart.
fn copy(have: &Have) -> String {
    let since = |mtime: i64| UNIX_EPOCH + Duration::from_nanos(u64::try_from(mtime).unwrap_or(0));
    let of =
        have.mtime_ns.map(|mtime| format!(" of {}", rfc3339(since(mtime)))).unwrap_or_default();
    format!("{}{of}", size(have.size))
}

/// Whether a wide pause of this project reaches a job.
fn reaches(pause: &Pause, job: &Job) -> bool {
    pause.scope.representation.is_none()
        && pause.scope.site.is_none_or(|site| site == job.to || site == job.from)
}

/// What is asked, beside the catalog.
struct Asked<'a> {
    project: &'a Project,
    idle: Option<String>,
    /// A process of this host works.
    works: bool,
    running: Option<Running>,
    names: &'a SiteNames,
    only: Option<&'a str>,
}

/// What the catalog says; but for the view, nothing of a single file.
struct Known<'a> {
    view: &'a dyn View,
    belonging: Belonging,
    pauses: Vec<Pause>,
    apart: Apart,
    holds: Vec<Hold>,
    now: Millis,
    roots: HashMap<crate::catalog::RootId, String>,
    sites: HashMap<SiteId, String>,
}

/// How a file stands at a site, in words.
#[derive(Default)]
struct Words {
    /// The file, as a word of a command.
    file: String,
    standing: String,
    /// What is to be decided between.
    found: String,
    rule: String,
    waits: String,
    help: String,
}

impl Asked<'_> {
    fn tell(&self, known: &Known<'_>, file: &Selected) -> catalog::Result<Value> {
        let row = &file.row;
        let of = known.view.representation(row.representation)?;
        let mut sites = Vec::new();
        for site in known.belonging.sites() {
            let name = known.sites.get(&site).map_or("?", String::as_str);
            let configured = self.names.configured(name);
            if self.only.is_some_and(|only| only != configured) {
                continue;
            }
            let at = (site, configured);
            let words = self.words(known, row, of.as_ref(), at, &file.path())?;
            let job = row.job_to(site);
            let state = crate::orders::selection::state_at(row, site, &known.apart);
            sites.push(json!({
                "site": configured, "shown": self.names.shown(name), "state": state.name(),
                "has_size": row.at(site).map(|have| have.size),
                "has_modified_ms": row.at(site)
                    .and_then(|have| have.mtime_ns).map(|mtime| mtime / 1_000_000),
                "standing": words.standing, "found": words.found, "rule": words.rule,
                "waits": words.waits, "help": words.help, "tries": job.map(|job| job.tries),
                "error": job.and_then(|job| job.error.as_ref()).map(|error| &error.message),
                "kind": job.and_then(|job| job.error.as_ref()).map(|error| &error.kind),
                "priority": job.map(|job| job.priority),
                "next_try_ms": job.filter(|job| job.state == JobState::Waiting)
                    .map(|job| (job.not_before - known.now).max(0)),
            }));
        }
        let root = known.roots.get(&file.root).map_or("?", String::as_str);
        Ok(json!({
            "path": format!("{{root[{root}]}}/{}", file.path()), "size": row.size,
            "representation": of.map(|of| of.naming.to_string()), "sites": sites,
        }))
    }

    fn words(
        &self,
        known: &Known<'_>,
        row: &FileRow,
        of: Option<&Representation>,
        (site, name): (SiteId, &str),
        file: &str,
    ) -> catalog::Result<Words> {
        let mut words = Words { file: quoted(file), ..Words::default() };
        let job = row.job_to(site);
        let newest = row.newest_at(site).is_some();
        let same =
            known.belonging.alike(site).iter().find(|other| row.newest_at(**other).is_some());
        let site_name =
            |id: &SiteId| self.names.configured(known.sites.get(id).map_or("?", |n| n)).to_owned();
        if let Some(job) = job {
            self.of_job(known, row, of, job, &mut words)?;
            // What is to be deleted there does not belong there, and of a conflict neither is older.
            words.rule = match job.state {
                _ if job.removes() => String::new(),
                JobState::Conflict => {
                    self.asked_or_ruled(known, row, site, name).unwrap_or_default()
                }
                _ => self.rule(known, row, site, name),
            };
            return Ok(words);
        }
        if newest {
            let disputed =
                |job: &&Job| job.state == JobState::Conflict && !job.removes() && job.from == site;
            words.standing = match row.jobs.iter().find(disputed) {
                Some(job) => format!("there: in conflict with what is at '{}'", site_name(&job.to)),
                None => "there".into(),
            };
            if row.wants.contains(&(site, false)) {
                words.waits = "it was removed here, and came back by somebody's hand".into();
            }
            return Ok(words);
        }
        if let Some(same) = same {
            words.standing = format!("there: '{}' is the same storage", site_name(same));
            return Ok(words);
        }
        words.standing = match row.at(site) {
            Some(_) => "an older content is there".into(),
            None => "not there".into(),
        };
        let asked = row.wants.iter().find(|(at, _)| *at == site).map(|(_, wanted)| *wanted);
        if asked == Some(false) {
            words.standing.push_str(": it was removed there, and nothing brings it back by itself");
            words.help = self.request(&words.file, name);
        } else if !known.belonging.wanted(row, site) {
            let way = if site == known.belonging.active { "download" } else { "upload" };
            words.standing.push_str(&format!(": nobody asked for it (`{way} = \"requested\"`)"));
            words.help = self.request(&words.file, name);
        } else if !known.belonging.has_root(row, site) {
            words.rule = self.rule(known, row, site, name);
            let root = known.roots.get(&row.root).map_or("?", String::as_str);
            words.waits = format!("for a root: site '{name}' has no root '{root}'");
            words.help =
                format!("set `root.{root} = \"...\"` in [sites.{name}], if it is to go there");
        } else if known.belonging.source(row, site).is_none() {
            words.rule = self.rule(known, row, site, name);
            words.waits =
                "for a site that has its newest content, and from which this host brings \
                           files there"
                    .into();
        } else {
            words.rule = self.rule(known, row, site, name);
            words.waits = match &self.idle {
                Some(idle) => idle.clone(),
                None if self.works => "for the next look at the sites".into(),
                None => "for `sitesync serve` or `sitesync sync`: nothing runs".into(),
            };
        }
        Ok(words)
    }

    fn request(&self, file: &str, site: &str) -> String {
        let (project, site) = (quoted(&self.project.name), quoted(site));
        format!("`sitesync request {project} {file} --site {site}` brings it there")
    }

    /// Why a file belongs at a site.
    fn rule(&self, known: &Known<'_>, row: &FileRow, site: SiteId, name: &str) -> String {
        self.asked_or_ruled(known, row, site, name).unwrap_or_else(|| match row.at(site) {
            Some(_) => "an older content of it is there".into(),
            None => String::new(),
        })
    }

    /// What somebody asked for, else what the settings say; `None` if they say nothing.
    fn asked_or_ruled(
        &self,
        known: &Known<'_>,
        row: &FileRow,
        site: SiteId,
        name: &str,
    ) -> Option<String> {
        let asked = row.wants.iter().find(|(at, _)| *at == site).map(|(_, wanted)| *wanted);
        match asked {
            Some(true) => return Some("somebody asked for it".into()),
            Some(false) => return Some(String::new()),
            None => {}
        }
        if self.project.always_accessible_on.iter().any(|always| always == name) {
            return Some(format!("`always_accessible_on` names '{name}'"));
        }
        if site == known.belonging.remote && self.project.upload == Travel::All {
            return Some("`upload = \"all\"`".into());
        }
        if site == known.belonging.active && self.project.download == Travel::All {
            return Some("`download = \"all\"`".into());
        }
        None
    }

    /// What becomes of a job, and what it waits for.
    fn of_job(
        &self,
        known: &Known<'_>,
        row: &FileRow,
        of: Option<&Representation>,
        job: &Job,
        words: &mut Words,
    ) -> catalog::Result<()> {
        let project = quoted(&self.project.name);
        let site_name =
            |id: SiteId| self.names.configured(known.sites.get(&id).map_or("?", |n| n)).to_owned();
        let (to, from) = (site_name(job.to), site_name(job.from));
        let error = job.error.as_ref();
        let failed =
            error.map_or(String::new(), |error| format!("{} ({})", error.message, error.kind));
        words.standing = match job.state {
            JobState::InProgress if job.removes() => "is being deleted there".into(),
            JobState::InProgress => format!("on its way from '{from}' right now"),
            JobState::Failed if job.tries == 1 => format!("given up after 1 try: {failed}"),
            JobState::Failed => format!("given up after {} tries: {failed}", job.tries),
            JobState::Conflict => format!("in conflict: {failed}"),
            _ if job.removes() => {
                "it is to be deleted there, for it was deleted elsewhere (`deletes = \"propagate\"`)"
                    .into()
            }
            _ => format!("queued, from '{from}', priority {}", job.priority),
        };
        if job.tries > 0 && !matches!(job.state, JobState::Failed | JobState::Conflict) {
            words.standing.push_str(&format!("; tried {} times, last: {failed}", job.tries));
        }
        match job.state {
            JobState::Failed => {
                words.help = format!(
                    "`sitesync reset {project} {}` tries it again, when it is mended",
                    words.file
                );
            }
            JobState::Conflict => {
                let sites = known.belonging.sites().into_iter();
                let found =
                    sites.filter(|site| [job.to, job.from].contains(site)).filter_map(|site| {
                        let there = row.at(site).map(copy)?;
                        Some(format!("at '{}' {there}", site_name(site)))
                    });
                words.found = found.collect::<Vec<_>>().join(", ");
                words.help = format!(
                    "`sitesync resolve {project} {} --keep {}`, or --keep {}: the other goes to the \
                     trash",
                    words.file,
                    quoted(&to),
                    quoted(&from)
                );
            }
            JobState::Held => self.of_held(known, row, of, job, words),
            JobState::Waiting => {
                let left = u64::try_from((job.not_before - known.now).max(0)).unwrap_or(0);
                let left = format_duration(Duration::from_secs(left.div_ceil(1000).max(1)));
                words.waits = if error.is_some() {
                    format!("until it is tried again, within {left}")
                } else {
                    format!("until it has been quiet for `settle`, within {left}")
                };
            }
            JobState::Ready | JobState::InProgress => {}
        }
        if matches!(job.state, JobState::Ready | JobState::Waiting)
            && let Some(waits) = self.of_sites(known, job, [&to, &from])
        {
            words.waits = waits;
            let reaches = |pause: &&Pause| reaches(pause, job);
            if let Some(pause) = known.pauses.iter().find(reaches) {
                words.help = format!("`{}`", self.resumes(known, pause, None));
            }
        } else if job.state == JobState::Ready {
            words.waits = self.turn(known, row, job, &from)?;
        }
        Ok(())
    }

    /// What a job waits for that nothing keeps from being done.
    fn turn(
        &self,
        known: &Known<'_>,
        row: &FileRow,
        job: &Job,
        from: &str,
    ) -> catalog::Result<String> {
        let newest = row.newest_at(job.from).is_some();
        if !newest && !job.removes() {
            return Ok(format!("for its newest content, which is not at '{from}' yet"));
        }
        let project = known.belonging.project;
        Ok(match known.view.ready_before(project, row.id, job, COUNTED + 1)? {
            0 => "for its turn: it is the next".into(),
            before if before <= COUNTED => {
                format!("for its turn, after {}", counted(before, "other file"))
            }
            _ => format!("for its turn, after more than {COUNTED} other files"),
        })
    }

    /// What keeps work between two sites from going on at all.
    fn of_sites(&self, known: &Known<'_>, job: &Job, names: [&String; 2]) -> Option<String> {
        if let Some(pause) = known.pauses.iter().find(|pause| reaches(pause, job)) {
            return Some(self.paused(known, pause));
        }
        if let Some(idle) = &self.idle {
            return Some(idle.clone());
        }
        if !self.works {
            return Some("for `sitesync serve` or `sitesync sync`: nothing runs".into());
        }
        let running = self.running.as_ref()?;
        // What is to be done at a site alone is the first pair's that has it.
        let pairs = &self.project.pairs;
        let pair = pairs.iter().find(|pair| names.iter().all(|name| pair.contains(name)));
        let offline = pair.and_then(|pair| running.offline(&self.project.name, pair));
        if let Some(offline) = offline {
            return Some(format!("for {offline}"));
        }
        names.into_iter().find_map(|name| {
            running.parked(name).map(|parked| format!("for site '{name}': {parked}"))
        })
    }

    fn of_held(
        &self,
        known: &Known<'_>,
        row: &FileRow,
        of: Option<&Representation>,
        job: &Job,
        words: &mut Words,
    ) {
        let own = |pause: &&Pause| {
            pause.scope.representation == Some(row.representation)
                && pause.scope.site.is_none_or(|site| site == job.to)
        };
        if let Some(pause) = known.pauses.iter().find(own) {
            words.waits = self.paused(known, pause);
            let naming = of.map(|of| of.naming.to_string());
            words.help = format!("`{}`", self.resumes(known, pause, naming.as_deref()));
            return;
        }
        let kind = if job.removes() { HoldKind::Delete } else { HoldKind::Change };
        let hold = known.holds.iter().find(|hold| hold.kind == kind && hold.site == job.to);
        let Some(hold) = hold else {
            words.waits = "until the look that found it has ended: it is counted then".into();
            return;
        };
        let (done, guard) = (kind.done(), kind.guard());
        let files = counted(hold.files, "file");
        words.waits = format!("for somebody: {files} would be {done} there at once (`{guard}`)");
        words.help = let_go(&self.project.name, kind);
    }

    /// The command that ends a pause.
    fn resumes(&self, known: &Known<'_>, pause: &Pause, representation: Option<&str>) -> String {
        let site = pause.scope.site.and_then(|site| known.sites.get(&site));
        let site = site.map(|name| self.names.configured(name));
        let project = pause.scope.project.map(|_| self.project.name.as_str());
        resume(project, representation, site)
    }

    fn paused(&self, known: &Known<'_>, pause: &Pause) -> String {
        let what = match (pause.scope.representation, pause.scope.site, pause.scope.project) {
            (Some(_), _, _) => "its representation".to_owned(),
            (_, Some(site), _) => {
                let name = known.sites.get(&site).map_or("?", String::as_str);
                format!("site '{}'", self.names.configured(name))
            }
            (_, _, Some(_)) => "the project".to_owned(),
            _ => "this host".to_owned(),
        };
        let since = Duration::from_millis(u64::try_from(pause.since).unwrap_or(0));
        let since = rfc3339(UNIX_EPOCH + since);
        let by = if pause.by.is_empty() { String::new() } else { format!(" by {}", pause.by) };
        format!("{what} is paused since {since}{by}")
    }
}
