//! Publishing: what was made is recorded where it is, and queued for where it belongs.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sitesync_provider::{check_path, join};
use tokio::sync::mpsc;

use super::desk::PAGE;
use super::{Answer, Desk, Refused, Report};
use crate::catalog::RootId;
use crate::engine::publish::{Made, Published, Publisher};
use crate::publish::{Naming, echoed, sequences};
use crate::settings::Project;

/// More is for what somebody waits for.
const MOST_URGENT: u16 = 1000;
/// Paths that are wrong, or were left, told by name.
const NAMED: usize = 10;
/// Likewise in an answer that programs read.
const LISTED: usize = 1000;

/// Files that belong together, or of which each belongs where the project's templates say.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Item {
    /// Files, folders or patterns: absolute, as `{root[work]}/shots/a.exr`, or beneath `root`.
    pub paths: Vec<String>,
    /// The root beneath which relative paths are.
    pub root: Option<String>,
    /// What they belong to; what is not said comes from the templates.
    #[serde(flatten)]
    pub parts: Parts,
    /// 1 to 1000, higher first; else what it had, or the project's.
    pub priority: Option<u16>,
}

/// What a representation is called, as far as somebody says so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Parts {
    pub folder: Option<String>,
    pub product: Option<String>,
    pub version: Option<String>,
    pub name: Option<String>,
}

impl Parts {
    /// Puts what is said in the place of what was found.
    fn named(&self, found: Naming, path: &str) -> Result<Naming, Refused> {
        if *self == Parts::default() {
            return Ok(found);
        }
        let said = |part: &Option<String>, found: String| part.clone().unwrap_or(found);
        let naming = Naming {
            folder: said(&self.folder, found.folder),
            product: said(&self.product, found.product),
            version: said(&self.version, found.version),
            name: said(&self.name, found.name),
        };
        let text = naming.to_string();
        if !naming.is_by_folder() && text.parse().as_ref() == Ok(&naming) {
            return Ok(naming);
        }
        let [folder, product, version, name] =
            [&naming.folder, &naming.product, &naming.version, &naming.name]
                .map(|part| echoed(part));
        let path = echoed(path);
        let why = format!(
            "{path} can't be published as folder '{folder}', product '{product}', version \
             '{version}', name '{name}'"
        );
        Err(Refused::wrong(why).hint(
            "a representation has all four, without `/` but in the folder, and a version like \
             v003 or hero",
        ))
    }
}

/// Where a path leads.
struct Target {
    root: RootId,
    /// Beneath it; empty for the root itself.
    path: String,
    /// Which item it stands in, as it was written there.
    item: usize,
    written: String,
}

/// What lies beside files that are published: paths as people write them, and why.
#[derive(Default)]
struct Besides {
    /// Could not be read.
    left: Vec<(String, String)>,
    /// Can't travel.
    noted: Vec<(String, String)>,
}

/// Records what was made at a site of a project, the active one unless another is named.
pub(super) async fn publish(
    desk: &Desk,
    (project, site): (&str, Option<&str>),
    items: Vec<Item>,
    by: &str,
    report: &mpsc::Sender<Report>,
) -> Answer {
    let project = desk.project(project)?;
    let site = site.unwrap_or(&project.active_site).to_owned();
    may_publish(desk, &project, &site)?;
    if let Some(wrong) =
        items.iter().filter_map(|item| item.priority).find(|n| !(1..=MOST_URGENT).contains(n))
    {
        return Err(Refused::wrong(format!(
            "{wrong} is no priority: 1 to {MOST_URGENT}, higher first"
        )));
    }
    let publisher = open(desk, &project, &site, &items).await?;
    let (made, mut besides) = find(&publisher, &items).await?;
    publisher.still_there().await?;
    let mut sums = Published::default();
    let mut told: BTreeMap<Naming, Told> = BTreeMap::new();
    let of = made.len() as u64;
    let mut done = 0;
    let mut made = made.into_iter().peekable();
    while made.peek().is_some() {
        let page: Vec<Made> = made.by_ref().take(PAGE).collect();
        let count = page.len() as u64;
        let published = publisher.record(page.clone(), by).await?;
        let behind: HashSet<usize> = published.left.iter().map(|(index, _)| *index).collect();
        let mut stayed: HashMap<usize, Naming> = published.stayed.into_iter().collect();
        for (index, why) in published.left {
            let Made { root, folder, name, .. } = &page[index];
            besides.left.push((written(&publisher, *root, &join(folder, name)), why));
        }
        for (index, made) in page.into_iter().enumerate() {
            if !behind.contains(&index) {
                let naming = stayed.remove(&index).unwrap_or(made.naming);
                told.entry(naming).or_default().add(made.folder, made.name, made.metadata.size);
            }
        }
        sums.new += published.new;
        sums.changed += published.changed;
        sums.same += published.same;
        sums.compared += published.compared;
        sums.queued += published.queued;
        // At once, also of a first page of many.
        desk.wake();
        done += count;
        let _ = report.try_send(Report { done, of: Some(of), ..Report::default() });
    }
    Ok(answer(&site, &told, &sums, &besides))
}

/// What is recorded as made at a site that another host works at, nobody would bring anywhere.
fn may_publish(desk: &Desk, project: &Project, site: &str) -> Result<(), Refused> {
    desk.site(site)?;
    if project.pairs.iter().flatten().any(|end| end == site) {
        return Ok(());
    }
    let why = format!("this host does nothing for project '{}' at site '{site}'", project.name);
    Err(Refused::wrong(why).hint("`sitesync projects` says between which sites it works, and why"))
}

/// Opens the roots that are needed.
async fn open(
    desk: &Desk,
    project: &Project,
    site: &str,
    items: &[Item],
) -> Result<Publisher, Refused> {
    let mut roots: HashSet<Option<&str>> = HashSet::new();
    for item in items {
        for path in &item.paths {
            roots.insert(match in_root(path) {
                Some((root, _)) => Some(root),
                None if Path::new(path).is_absolute() => None,
                None => item.root.as_deref(),
            });
        }
    }
    let known = project.roots(site);
    for name in roots.iter().flatten() {
        if !known.contains_key(name) {
            let names: Vec<&str> = known.keys().map(String::as_str).collect();
            let name = echoed(name);
            let why = format!("site '{site}' has no root '{name}' of project '{}'", project.name);
            return Err(Refused::wrong(why).hint(format!("roots are: {}", names.join(", "))));
        }
    }
    let mut roots = roots.into_iter();
    let one = match (roots.next(), roots.next()) {
        (Some(one), None) => one,
        (None, _) => return Err(Refused::wrong("nothing is named that is to be published")),
        _ => None,
    };
    Ok(desk.engine.publisher(project, site, one).await?)
}

/// The files that items stand for, in the order of their folders, and what was left out.
async fn find(publisher: &Publisher, items: &[Item]) -> Result<(Vec<Made>, Besides), Refused> {
    let mut wrong = Vec::new();
    let mut targets: BTreeMap<RootId, Vec<Target>> = BTreeMap::new();
    for (index, item) in items.iter().enumerate() {
        for path in &item.paths {
            match target(publisher, item, path) {
                Ok((root, beneath)) => targets.entry(root).or_default().push(Target {
                    root,
                    path: beneath,
                    item: index,
                    written: path.clone(),
                }),
                Err(why) => wrong.push(format!("{} {why}", echoed(path))),
            }
        }
    }
    let (mut made, mut besides) = (Vec::new(), Besides::default());
    for (root, targets) in targets {
        let paths: Vec<String> = targets.iter().map(|target| target.path.clone()).collect();
        let found = publisher.look(root, &paths).await?;
        for (target, found) in targets.into_iter().zip(found) {
            let found = match found {
                Ok(found) => found,
                Err(why) => {
                    wrong.push(format!("{} {why}", echoed(&target.written)));
                    continue;
                }
            };
            let item = &items[target.item];
            let named = |(path, why): (String, String)| (written(publisher, root, &path), why);
            besides.left.extend(found.left.into_iter().map(named));
            besides.noted.extend(found.noted.into_iter().map(named));
            for (folder, entry) in found.files {
                let naming = publisher.naming(&folder, &entry.name);
                made.push(Made {
                    root: target.root,
                    named: item.parts != Parts::default(),
                    naming: item.parts.named(naming, &join(&folder, &entry.name))?,
                    folder,
                    name: entry.name,
                    metadata: entry.metadata,
                    priority: item.priority.map(i64::from),
                });
            }
        }
    }
    if !wrong.is_empty() {
        let more = wrong.len().saturating_sub(NAMED);
        wrong.truncate(NAMED);
        if more > 0 {
            wrong.push(format!("and {more} more"));
        }
        return Err(Refused::wrong(wrong.join("; ")).hint("nothing was published"));
    }
    // A file that is named twice is what it was called first.
    made.sort_by(|a, b| (a.root, &a.folder, &a.name).cmp(&(b.root, &b.folder, &b.name)));
    made.dedup_by(|b, a| (a.root, &a.folder, &a.name) == (b.root, &b.folder, &b.name));
    Ok((made, besides))
}

/// The root and the path beneath it of `{root[work]}/shots/a.exr`.
fn in_root(path: &str) -> Option<(&str, &str)> {
    let (root, rest) = path.strip_prefix("{root[")?.split_once("]}")?;
    Some((root, rest.strip_prefix('/').unwrap_or(rest)))
}

/// The root in which a path lies, and the path beneath it; else why it lies in none.
fn target(publisher: &Publisher, item: &Item, path: &str) -> Result<(RootId, String), String> {
    let named = |name: &str| {
        let root = publisher.roots().find(|(_, known, _)| *known == name);
        root.map_or(Err(format!("is in no root: there is no '{name}'")), |(id, _, _)| Ok(id))
    };
    let relative = |root, beneath: &Path| {
        let text = beneath.to_str().ok_or("has a name that is no text")?;
        match check_path(text) {
            Ok(()) => Ok((root, text.to_owned())),
            Err(error) => Err(format!("is no path beneath a root: {}", error)),
        }
    };
    if let Some((root, rest)) = in_root(path) {
        return relative(named(root)?, &plainly(Path::new(rest)).ok_or("leads out of its root")?);
    }
    let absolute = Path::new(path);
    if !absolute.is_absolute() {
        let Some(root) = &item.root else { return Err("is in no root: it is relative".into()) };
        return relative(named(root)?, &plainly(absolute).ok_or("leads out of its root")?);
    }
    let roots = || publisher.roots().filter_map(|(id, _, local)| Some((id, local?)));
    let deepest = |path: &Path, real: bool| {
        let beneath = roots().filter_map(|(id, local)| {
            let local = if real { local.canonicalize().ok()? } else { local.to_owned() };
            Some((id, path.strip_prefix(&local).ok()?.to_owned()))
        });
        beneath.min_by_key(|(_, beneath)| beneath.components().count())
    };
    let found = plainly(absolute).and_then(|path| deepest(&path, false)).or_else(|| {
        // It may lead there by another way.
        let (folder, name) = (absolute.parent()?, absolute.file_name()?);
        deepest(&folder.canonicalize().ok()?.join(name), true)
    });
    match found {
        Some((root, beneath)) => relative(root, &beneath),
        None => {
            let local: Vec<String> =
                roots().map(|(_, local)| local.display().to_string()).collect();
            let are =
                if local.is_empty() { "none is a folder here".into() } else { local.join(", ") };
            Err(format!("is in no root of the project at this site ({are})"))
        }
    }
}

/// A path without `.` and `//`; `None` if there is a `..` in it.
fn plainly(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => return None,
            other => plain.push(other),
        }
    }
    Some(plain)
}

/// A file as people write it.
fn written(publisher: &Publisher, root: RootId, path: &str) -> String {
    let name = publisher.roots().find(|(id, _, _)| *id == root).map_or("?", |(_, name, _)| name);
    format!("{{root[{name}]}}/{path}")
}

/// What is told of a representation.
#[derive(Default)]
struct Told {
    files: u64,
    bytes: u64,
    names: BTreeMap<String, Vec<String>>,
}

impl Told {
    fn add(&mut self, folder: String, name: String, size: u64) {
        self.files += 1;
        self.bytes += size;
        self.names.entry(folder).or_default().push(name);
    }

    fn frames(&self) -> Vec<String> {
        let names = self.names.values().map(|names| names.iter().map(String::as_str));
        names.flat_map(sequences).map(|sequence| sequence.to_string()).collect()
    }
}

fn answer(site: &str, told: &BTreeMap<Naming, Told>, sums: &Published, besides: &Besides) -> Value {
    let representations = told.iter().map(|(naming, told)| {
        json!({
            "representation": naming.to_string(), "files": told.files, "bytes": told.bytes,
            "frames": told.frames(),
        })
    });
    let named = |all: &[(String, String)]| {
        let named = all.iter().take(LISTED);
        named.map(|(path, why)| json!({"path": path, "reason": why})).collect::<Vec<_>>()
    };
    json!({
        "site": site, "files": sums.new + sums.changed + sums.same + sums.compared,
        "bytes": told.values().map(|told| told.bytes).sum::<u64>(), "new": sums.new,
        "changed": sums.changed, "same": sums.same, "compared": sums.compared,
        "queued": sums.queued, "representations": representations.collect::<Vec<_>>(),
        "left": besides.left.len(), "left_out": named(&besides.left), "skipped": besides.noted.len(),
        "notes": named(&besides.noted),
    })
}
