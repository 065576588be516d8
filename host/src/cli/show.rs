//! `sitesync show`: what is known of a project, and where it is.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, UNIX_EPOCH};

use clap::Args;
use serde_json::{Value, json};

use super::ground::{self, SiteNames};
use super::order::{What, number};
use super::output::{Table, counted, plain, print, print_json, size};
use super::{Exit, Failure, Global};
use crate::catalog::{
    self, Apart, FileId, FileState, ProjectId, Representation, RepresentationId, RootId, SiteId,
    StateAt, View,
};
use crate::orders::selection::{Only, Place, Selected, Selection, state_at};
use crate::publish::sequences;
use crate::settings::Project;
use crate::state_dir::rfc3339;

/// Representations or files of one read.
const READ: usize = 1000;
/// Sequences of one representation that are told.
const TOLD: usize = 20;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    project: String,
    #[command(flatten)]
    what: What,
    /// Only what has files in this state: `failed`, `paused`, ...
    #[arg(long)]
    state: Option<String>,
    /// Only what is so at this site [default: at any]
    #[arg(long, requires = "state")]
    site: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// Leaves out so many at the front
    #[arg(long, default_value_t = 0)]
    offset: usize,
    /// As JSON, a line each, with the files' names
    #[arg(long)]
    json: bool,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let (_, loaded) = ground::load_settings(global)?;
    let settings = loaded.settings;
    ground::names(&settings, Some(&arguments.project))?;
    let project = &settings.projects[&arguments.project];
    let what = arguments.what.read()?;
    let state = arguments.state.as_deref().map(crate::orders::state).transpose()?;
    if let Some(site) = &arguments.site {
        ground::known_site(&settings, site)?;
    }
    let Some(catalog) = ground::catalog_to_read(global)? else {
        if !arguments.json {
            print("nothing is known yet: nothing was published or synced so far\n");
        }
        return Ok(Exit::Done);
    };
    let names = SiteNames::of(global, &settings);
    let shown = catalog.read(|view| {
        let Some(id) = view.project(&project.name)? else { return Ok(Ok(Vec::new())) };
        let mut show = Show::of(view, &names, project, id)?;
        show.only = state.map(|state| show.at(state, arguments.site.as_deref()));
        if what.is_empty() {
            let known = show.all(id, arguments.offset, arguments.limit)?;
            let tell = |one: &Representation| show.representation(one, arguments.json);
            return Ok(Ok(known.iter().map(tell).collect::<catalog::Result<_>>()?));
        }
        let beneath = crate::orders::beneath_roots(project, &what);
        match Selection::of(view, id, &crate::orders::roots(view, project)?, &beneath) {
            Ok(selection) => Ok(Ok(show.selected(&selection, arguments)?)),
            Err(refused) => Ok(Err(Failure::from(refused))),
        }
    })?;
    let shown = shown?;
    if arguments.json {
        shown.iter().for_each(print_json);
        return Ok(Exit::Done);
    }
    if shown.is_empty() && state.is_some() {
        print("nothing is in that state\n");
    } else if shown.is_empty() {
        print("nothing is known of it yet: nothing was published or found so far\n");
    } else if what.is_empty() {
        print(table(&shown));
    } else {
        for (nth, one) in shown.iter().enumerate() {
            print(if nth > 0 { "\n" } else { "" });
            tell(one);
        }
    }
    if shown.len() == arguments.limit {
        let limit = arguments.limit;
        print(format_args!("the first {limit}; --limit and --offset show others\n"));
    }
    Ok(Exit::Done)
}

/// What is shown stands on.
struct Show<'a> {
    view: &'a dyn View,
    /// Names in the settings.
    sites: HashMap<SiteId, String>,
    /// Sites that are the same storage as others, with those.
    alike: Vec<(String, Vec<String>)>,
    roots: HashMap<RootId, String>,
    apart: Apart,
    only: Option<Only>,
}

impl<'a> Show<'a> {
    fn of(
        view: &'a dyn View,
        names: &SiteNames,
        project: &Project,
        id: ProjectId,
    ) -> catalog::Result<Self> {
        let sites = view.site_names()?.into_iter();
        let sites = sites.map(|(id, name)| (id, names.configured(&name).to_owned())).collect();
        let alike = project.sites.iter().filter(|(_, site)| !site.alternatives.is_empty());
        let alike = alike.map(|(name, site)| {
            (name.clone(), site.alternatives.iter().cloned().collect::<Vec<_>>())
        });
        let roots = crate::orders::roots(view, project)?.into_iter().collect();
        let (apart, alike) = (view.apart(id)?, alike.collect());
        Ok(Show { view, sites, alike, roots, apart, only: None })
    }

    /// What is in a state at a site, or at any.
    fn at(&self, state: FileState, site: Option<&str>) -> Only {
        let meant = |name: &str| site.is_none_or(|site| site == name);
        let sites = self.sites.iter().filter(|(_, name)| meant(name)).map(|(id, _)| *id);
        Only { sites: sites.collect(), state, apart: self.apart.clone() }
    }

    /// Whether a representation has files that are meant.
    fn shows(&self, one: RepresentationId) -> catalog::Result<bool> {
        let Some(only) = &self.only else { return Ok(true) };
        let states = self.view.state_of(one)?;
        Ok(only.sites.iter().any(|site| match states.iter().find(|at| at.site == *site) {
            Some(at) => at.files(only.state) > 0,
            // Where nothing of it is known, none of it is.
            None => only.state == FileState::NotAvailable && only.sites.len() == 1,
        }))
    }

    /// Representations in the order in which they became known.
    fn all(
        &self,
        project: ProjectId,
        offset: usize,
        limit: usize,
    ) -> catalog::Result<Vec<Representation>> {
        let (mut after, mut left, mut all) = (RepresentationId(0), offset, Vec::new());
        while all.len() < limit {
            let page = self.view.representations(project, after, READ)?;
            let Some(last) = page.last() else { break };
            after = last.id;
            let mut shown = Vec::with_capacity(page.len());
            for one in page {
                if self.shows(one.id)? {
                    shown.push(one);
                }
            }
            let skipped = left.min(shown.len());
            left -= skipped;
            all.extend(shown.into_iter().skip(skipped).take(limit - all.len()));
        }
        Ok(all)
    }

    fn selected(&self, selection: &Selection, page: &Arguments) -> catalog::Result<Vec<Value>> {
        let mut shown = Vec::new();
        let mut ids = Vec::with_capacity(selection.representations.len());
        for id in &selection.representations {
            if self.shows(*id)? {
                ids.push(*id);
            }
        }
        let offset = page.offset.saturating_sub(ids.len());
        for id in ids.into_iter().skip(page.offset).take(page.limit) {
            if let Some(one) = self.view.representation(id)? {
                shown.push(self.representation(&one, true)?);
            }
        }
        let mut files = selection.clone();
        files.representations.clear();
        if let Some(only) = &self.only {
            files = files.only(only.clone());
        }
        let (mut place, mut left) = (Place::default(), offset);
        while !files.files.is_empty() && shown.len() < page.limit {
            let read = files.page(self.view, &mut place, READ)?;
            if read.is_empty() {
                break;
            }
            let skipped = left.min(read.len());
            left -= skipped;
            for file in read.iter().skip(skipped).take(page.limit - shown.len()) {
                shown.push(self.file(file)?);
            }
        }
        Ok(shown)
    }

    /// A representation; if it is asked for, with its sequences and files.
    fn representation(&self, one: &Representation, whole: bool) -> catalog::Result<Value> {
        let states = self.view.state_of(one.id)?;
        let of = |state: &StateAt| {
            let total = state.counts.iter().map(|count| count.files).sum::<u64>();
            let bytes = state.counts.iter().map(|count| count.bytes).sum::<u64>();
            let counts = state.counts.iter().filter(|count| count.files > 0);
            let counts: BTreeMap<&str, u64> =
                counts.map(|count| (count.state.name(), count.files)).collect();
            (total, bytes, counts)
        };
        let files = states.iter().map(|state| of(state).0).max().unwrap_or(0);
        let bytes = states.iter().map(|state| of(state).1).max().unwrap_or(0);
        let mut sites: Vec<Value> = Vec::new();
        for state in &states {
            let (_, _, counts) = of(state);
            let site = self.sites.get(&state.site).map_or("?", String::as_str);
            sites.push(json!({
                "site": site, "state": state.state.name(), "synced": state.files(FileState::Synced),
                "counts": counts,
            }));
        }
        sites.sort_by(|a, b| a["site"].as_str().cmp(&b["site"].as_str()));
        self.derive(&mut sites);
        let mut value = json!({
            "id": one.id.0, "representation": one.naming.to_string(), "files": files,
            "bytes": bytes, "priority": one.priority, "published": one.published,
            "made_at": one.made_at, "made_by": one.made_by, "sites": sites,
        });
        if whole {
            let (frames, names) = self.names(one.id)?;
            value["frames"] = json!(frames);
            value["names"] = json!(names);
        }
        Ok(value)
    }

    /// A site that is the same storage as another has what that has.
    fn derive(&self, sites: &mut Vec<Value>) {
        for (site, others) in &self.alike {
            let there = |name: &str| sites.iter().find(|one| one["site"] == name);
            let synced = |one: &&Value| number(one, "synced") > 0;
            if there(site).is_some_and(|own| number(own, "synced") > 0) {
                continue;
            }
            let Some(other) = others.iter().filter_map(|name| there(name)).find(synced) else {
                continue;
            };
            let mut derived = other.clone();
            derived["same_as"] = other["site"].clone();
            derived["site"] = json!(site);
            sites.retain(|one| one["site"] != **site);
            sites.push(derived);
        }
    }

    /// The frames of a representation, and its files as people write them.
    fn names(&self, id: RepresentationId) -> catalog::Result<(Vec<String>, Vec<String>)> {
        let mut folders: BTreeMap<(RootId, String), Vec<String>> = BTreeMap::new();
        let mut after = FileId(0);
        loop {
            let page = self.view.files_of(id, after, READ)?;
            let Some((_, _, last)) = page.last() else { break };
            after = last.id;
            for (root, folder, row) in page {
                folders.entry((root, folder)).or_default().push(row.name);
            }
        }
        let (mut frames, mut names) = (Vec::new(), Vec::new());
        for ((root, folder), mut files) in folders {
            files.sort();
            let sequences = sequences(files.iter().map(String::as_str));
            frames.extend(sequences.iter().map(ToString::to_string));
            names.extend(files.iter().map(|name| self.path(root, &folder, name)));
        }
        Ok((frames, names))
    }

    fn path(&self, root: RootId, folder: &str, name: &str) -> String {
        let root = self.roots.get(&root).map_or("?", String::as_str);
        format!("{{root[{root}]}}/{}", sitesync_provider::join(folder, name))
    }

    fn file(&self, file: &Selected) -> catalog::Result<Value> {
        let row = &file.row;
        let of = self.view.representation(row.representation)?;
        let mut sites = Vec::new();
        for (id, name) in &self.sites {
            let known = row.haves.iter().any(|have| have.site == *id)
                || row.jobs.iter().any(|job| job.to == *id);
            let state = state_at(row, *id, &self.apart);
            let synced = u64::from(state == FileState::Synced);
            if known {
                sites.push(json!({"site": name, "state": state.name(), "synced": synced}));
            }
        }
        sites.sort_by(|a, b| a["site"].as_str().cmp(&b["site"].as_str()));
        self.derive(&mut sites);
        Ok(json!({
            "path": self.path(file.root, &file.folder, &row.name), "files": 1, "bytes": row.size,
            "representation": of.map(|of| of.naming.to_string()), "sites": sites,
        }))
    }
}

/// A line for each, with a column for each site.
fn table(shown: &[Value]) -> Table {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let sites = shown.iter().flat_map(|one| one["sites"].as_array().into_iter().flatten());
    let mut sites: Vec<String> = sites.map(|site| text(&site["site"])).collect();
    sites.sort();
    sites.dedup();
    let head = ["id", "representation", "files", "size"].into_iter();
    let head: Vec<&str> = head.chain(sites.iter().map(String::as_str)).collect();
    let mut table = Table::new(&head);
    for one in shown {
        let mut row = vec![
            format!("#{}", one["id"]),
            text(&one["representation"]),
            number(one, "files").to_string(),
            size(number(one, "bytes")),
        ];
        let of = one["sites"].as_array().cloned().unwrap_or_default();
        row.extend(sites.iter().map(|site| {
            let at = of.iter().find(|at| at["site"] == **site);
            at.map_or_else(|| "-".to_owned(), |at| state(at, number(one, "files")))
        }));
        table.row(row);
    }
    table
}

/// `queued (40 of 99)`: what the worst of its files is, and how many are there.
fn state(at: &Value, files: u64) -> String {
    let state = at["state"].as_str().unwrap_or_default().replace('_', " ");
    match number(at, "synced") {
        0 => state,
        synced if synced == files => state,
        synced => format!("{state} ({synced} of {files} there)"),
    }
}

/// All of one representation, or of one file.
fn tell(one: &Value) {
    let text = |value: &Value| plain(value.as_str().unwrap_or_default());
    let (files, bytes) = (counted(number(one, "files"), "file"), size(number(one, "bytes")));
    if one["path"].is_string() {
        let of = text(&one["representation"]);
        print(format_args!("{}  ({bytes}, of {of})\n", text(&one["path"])));
    } else {
        let representation = text(&one["representation"]);
        print(format_args!("{representation}  (#{}, {files}, {bytes})\n", one["id"]));
        let made = Duration::from_millis(number(one, "made_at"));
        let how = if one["published"] == true { "published" } else { "found" };
        let by = text(&one["made_by"]);
        let by = if by.is_empty() { by } else { format!(" by {by}") };
        let priority = match number(one, "priority") {
            0 => String::new(),
            own => format!(", priority {own}"),
        };
        print(format_args!("  {how} {}{by}{priority}\n", rfc3339(UNIX_EPOCH + made)));
    }
    let frames = one["frames"].as_array().map(Vec::as_slice).unwrap_or_default();
    for frames in frames.iter().take(TOLD) {
        print(format_args!("  {}\n", text(frames)));
    }
    if frames.len() > TOLD {
        print(format_args!("  ... and {} more\n", frames.len() - TOLD));
    }
    for at in one["sites"].as_array().into_iter().flatten() {
        let same = at["same_as"].as_str().map(plain);
        let same = same.map(|site| format!(", as the same storage as '{site}'"));
        let (state, same) = (state(at, number(one, "files")), same.unwrap_or_default());
        print(format_args!("  {}: {state}{same}\n", text(&at["site"])));
    }
}
