//! Two contents of one file, of which neither follows the other: which one is kept.

use sitesync_provider::{ErrorKind, Metadata, NameRules};

use super::belonging::Belonging;
use super::names;
use super::pair::{Pair, Side};
use super::record::Arrived;
use super::transfer::{Outcome, path};
use crate::catalog::{
    Claimed, FileRow, Have, Job, JobState, Millis, Result, STALE, SiteId, Sqlite, UNKNOWN, Unit,
};
use crate::settings::Conflicts;
use crate::sites::OpenRoot;

/// Names that are tried for a file that is set aside.
const NAMES: u32 = 100;

/// What became of a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolved {
    /// That site's content is the file's now, and goes everywhere else where the file belongs.
    Kept,
    /// The file is in no conflict.
    NoConflict,
    /// That site has no content of it.
    NotThere,
}

/// Keeps the content that one site has of a file in conflict. What others have is replaced as it was
/// when it was compared: what changed since is a conflict anew.
pub fn resolve(
    unit: &mut dyn Unit,
    belonging: &Belonging,
    row: &FileRow,
    keep: SiteId,
    now: Millis,
) -> Result<Resolved> {
    let conflicts = row.jobs.iter().filter(|job| job.state == JobState::Conflict);
    let conflicts: Vec<&Job> = conflicts.collect();
    if conflicts.is_empty() {
        return Ok(Resolved::NoConflict);
    }
    let Some(kept) = row.at(keep) else { return Ok(Resolved::NotThere) };
    for job in &conflicts {
        outdate(unit, row, job.to, keep)?;
    }
    follow(unit, belonging, row, kept, now)?;
    Ok(Resolved::Kept)
}

/// A file is new: what was in conflict with what it was may be like it now, and is compared anew.
pub(super) fn reopen(unit: &mut dyn Unit, row: &mut FileRow) -> Result<()> {
    for job in row.jobs.iter_mut().filter(|job| job.state == JobState::Conflict) {
        *job = Job { state: JobState::Ready, error: None, ..job.clone() };
        unit.put_job(row.id, job)?;
    }
    Ok(())
}

/// Keeps one content of the two between which a job found a conflict, as the project's settings say.
/// A third site that is in conflict is compared with that one then. Nobody was asked: what is to be
/// replaced is kept back, where `guarded`, until it is counted.
pub(super) fn resolve_between(
    unit: &mut dyn Unit,
    belonging: &Belonging,
    row: &FileRow,
    (keep, to): (SiteId, SiteId),
    guarded: bool,
    now: Millis,
) -> Result<()> {
    let Some(kept) = row.at(keep) else { return Ok(()) };
    outdate(unit, row, to, keep)?;
    if kept.generation != row.generation {
        for job in row.jobs.iter().filter(|job| job.state == JobState::Conflict) {
            unit.drop_job(row.id, job.to)?;
        }
    }
    follow(unit, belonging, row, kept, now)?;
    let (true, Some(row)) = (guarded, unit.file_by_id(row.id)?) else { return Ok(()) };
    let is_replaced = |site| {
        row.at(site).is_some_and(|have| have.generation > UNKNOWN || have.generation == STALE)
    };
    let replacing = row.jobs.iter().filter(|job| !job.removes() && is_replaced(job.to));
    let replacing: Vec<_> = replacing.map(|job| (row.id, job.to)).collect();
    unit.guard_jobs(&replacing).map(|_| ())
}

/// What one site has is no conflict any more, and may be replaced unless it is what is kept.
fn outdate(unit: &mut dyn Unit, row: &FileRow, site: SiteId, keep: SiteId) -> Result<()> {
    unit.drop_job(row.id, site)?;
    match row.at(site).filter(|_| site != keep) {
        Some(other) => unit.put_have(row.id, &Have { generation: STALE, ..other.clone() }),
        None => Ok(()),
    }
}

/// What a site has is the file now.
fn follow(
    unit: &mut dyn Unit,
    belonging: &Belonging,
    row: &FileRow,
    kept: &Have,
    now: Millis,
) -> Result<()> {
    if kept.generation != row.generation {
        let generation = row.generation + 1;
        unit.set_generation(row.id, generation, kept.size)?;
        unit.put_have(row.id, &Have { generation, ..kept.clone() })?;
    }
    belonging.settle_file(unit, row.id, now).map(|_| ())
}

/// The end whose content is kept by the project's settings; `None` if a person is to say.
pub(super) fn winner(
    pair: &Pair,
    claimed: &Claimed,
    to: Side,
    destination: &Metadata,
) -> Option<Side> {
    match pair.settings.conflicts {
        Conflicts::Ask | Conflicts::KeepBoth => None,
        Conflicts::ActiveWins => Some(Side::Active),
        // A third site is neither: it follows the end from which it has everything.
        Conflicts::RemoteWins if pair.site(Side::Remote) != pair.belonging.remote => {
            Some(Side::Active)
        }
        Conflicts::RemoteWins => Some(Side::Remote),
        Conflicts::Newest => {
            let (source, there) = (claimed.source.mtime_ns?, destination.mtime_ns?);
            match source.cmp(&there) {
                std::cmp::Ordering::Less => Some(to),
                std::cmp::Ordering::Equal => None,
                std::cmp::Ordering::Greater => Some(to.other()),
            }
        }
    }
}

/// Where both are to be kept: gives the one at the destination another name, so that the other can
/// have this one. What can never be renamed stays a conflict.
pub(super) async fn set_aside(group: &mut [Arrived], catalog: &Sqlite) -> Result<()> {
    for (route, finished) in group {
        if route.pair.settings.conflicts != Conflicts::KeepBoth {
            continue;
        }
        for one in finished {
            if !matches!(one.outcome, Outcome::Conflict(_)) {
                continue;
            }
            // Where it is not wanted nothing may take the name: whoever misses the file there would
            // bring it back, and that would be set aside again, for ever.
            let row = catalog.read(|view| view.file_by_id(one.claimed.file))?;
            let unwanted = (one.claimed.job.to, false);
            if row.is_some_and(|row| row.wants.contains(&unwanted)) {
                continue;
            }
            let path = path(&one.claimed);
            let site = route.pair.site_name(route.to);
            match rename(route.destination(), &path, site).await {
                Ok(aside) => {
                    tracing::info!(path, aside, site, "both were kept of a conflict");
                    one.outcome = Outcome::SetAside;
                }
                Err(error) if lasts(error.kind()) => {
                    tracing::warn!(%error, path, "only one of a conflict can have its name");
                }
                // Nobody asks again about a conflict: it is tried again instead.
                Err(error) => one.outcome = Outcome::Failed(error),
            }
        }
    }
    Ok(())
}

/// Whether another try to rename would fail likewise.
fn lasts(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unsupported | ErrorKind::AlreadyExists | ErrorKind::InvalidPath)
}

/// A stem with an end; as much of the stem as there is room for.
fn aside(rules: &NameRules, folder: &str, stem: &str, end: &str) -> String {
    let mut stem = stem;
    loop {
        let name = format!("{stem}{end}");
        match stem.char_indices().next_back() {
            Some((last, _)) if last > 0 && names::check(rules, folder, &name).is_err() => {
                stem = &stem[..last];
            }
            _ => return name,
        }
    }
}

/// Renames `a/plate.exr` to `a/plate (from SITE).exr`, or a name with a number if that is taken.
async fn rename(
    root: &OpenRoot,
    path: &str,
    site: &str,
) -> std::result::Result<String, sitesync_provider::Error> {
    let (folder, name) = path.rsplit_once('/').map_or(("", path), |(folder, name)| (folder, name));
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => (stem, format!(".{extension}")),
        _ => (name, String::new()),
    };
    let mut taken = sitesync_provider::Error::new(ErrorKind::AlreadyExists, "no name is free");
    for nth in 1..=NAMES {
        let again = if nth == 1 { String::new() } else { format!(" {nth}") };
        let aside =
            aside(&root.info.names, folder, stem, &format!(" (from {site}{again}){extension}"));
        let aside = sitesync_provider::join(folder, &aside);
        match root.rename(path, &aside).await {
            Ok(_) => return Ok(aside),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => taken = error,
            Err(error) => return Err(error),
        }
    }
    Err(taken)
}
