//! What a large catalog costs: publishing, and the pages that people look at.
//!
//! `cargo xtask bench --only catalog` runs it; prints one JSON object, times in milliseconds.
//!
//! ```text
//! catalog FOLDER FILES REPRESENTATIONS
//! ```
//! Every file is at one site and queued for another. Pages are read as a command reads them: each
//! time through a catalog that was just opened.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use sitesync::catalog::{
    FileId, FileState, Have, Job, JobState, ProjectId, QueueFilter, RepresentationFilter, RootId,
    SiteId, Sqlite, Unit, View,
};
use sitesync::publish::{Naming, NamingPattern, SelectorError};

/// Files that are published with one call.
const BATCH: u64 = 1_000;
/// Rows of a page.
const PAGE: usize = 100;
/// Each page is read so many times.
const READS: usize = 5;

#[derive(Clone, Copy)]
struct Place {
    project: ProjectId,
    root: RootId,
    from: SiteId,
    to: SiteId,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, files, representations] = &arguments[..] else {
        anyhow::bail!("catalog FOLDER FILES REPRESENTATIONS");
    };
    let (files, representations): (u64, u64) = (files.parse()?, representations.parse()?);
    ensure!(representations > 0 && files >= representations, "a file in each, at least");
    let folder = Path::new(folder);
    let catalog = Sqlite::open(folder)?;
    let place = catalog.write_blocking(|unit| {
        let project = unit.put_project("demo")?;
        let root = unit.put_root(project, "work")?;
        Ok(Place { project, root, from: unit.put_site("studio")?, to: unit.put_site("drive")? })
    })?;

    let started = Instant::now();
    let each = files.div_ceil(representations);
    for first in (0..files).step_by(BATCH as usize) {
        let batch = first..files.min(first + BATCH);
        catalog.write_blocking(move |unit| {
            batch.clone().try_for_each(|number| publish(unit, place, number, each))
        })?;
    }
    let per_second = files as f64 / started.elapsed().as_secs_f64();

    // What is rare and last is the hardest to find.
    catalog.write_blocking(move |unit| {
        let last = unit.files_of(
            unit.representations_like(place.project, &pattern("**")?, usize::MAX)?
                .last()
                .map(|one| one.id)
                .ok_or_else(|| unknown("representations"))?,
            FileId(0),
            1,
        )?;
        let file = last.first().ok_or_else(|| unknown("files"))?;
        unit.put_job(file.2.id, &job(place, 0, JobState::Failed))
    })?;

    let of = |states: &[FileState]| RepresentationFilter {
        states: states.to_vec(),
        priority: 50,
        limit: PAGE,
        ..RepresentationFilter::default()
    };
    let queued = QueueFilter { states: vec![JobState::Ready], limit: PAGE, offset: 0 };
    let latest = pattern("*/*/sh0010/*/latest/*")?;
    let full = |rows: usize| rows == PAGE.min(usize::try_from(representations).unwrap_or(PAGE));
    let report = json!({
        "files": files,
        "representations": representations,
        "publish_files_per_second": per_second,
        "counts": page(folder, |view| Ok(view.counts(place.project)?.len() >= 2))?,
        "queue": page(folder, |view| Ok(!view.queue(place.project, &queued)?.is_empty()))?,
        "representation_queue": page(folder, |view| {
            Ok(full(view.representation_queue(place.project, &of(&[FileState::Queued]))?.len()))
        })?,
        "representation_queue_rare": page(folder, |view| {
            Ok(view.representation_queue(place.project, &of(&[FileState::Failed]))?.len() == 1)
        })?,
        "idle_round": page(folder, |view| idle_round(view, place))?,
        "latest_of_a_folder": page(folder, |view| {
            view.representations_like(place.project, &latest, PAGE).map(|_| true)
        })?,
        "resident_bytes": resident()?,
        "catalog_bytes": fs::metadata(folder.join("catalog.db"))?.len(),
    });
    println!("{report}");
    Ok(())
}

/// What a pair asks each time it wakes and finds nothing to do: the direction in which nothing is
/// queued, and removals at both ends.
fn idle_round(view: &dyn View, place: Place) -> sitesync::catalog::Result<bool> {
    let Place { project, from, to, .. } = place;
    let mut idle = true;
    for (to, from) in [(from, to), (from, from), (to, to)] {
        idle &= view.next_waiting(project, to, from)?.is_none();
        idle &= !view.ready(project, to, from)?;
    }
    Ok(idle)
}

fn pattern(text: &str) -> sitesync::catalog::Result<NamingPattern> {
    let wrong = |wrong: SelectorError| sitesync::catalog::Error::Invalid(wrong.to_string());
    text.parse().map_err(wrong)
}

fn unknown(what: &str) -> sitesync::catalog::Error {
    sitesync::catalog::Error::Invalid(format!("there are no {what}"))
}

/// One file of a frame sequence, published as a pipeline does it.
fn publish(
    unit: &mut dyn Unit,
    place: Place,
    number: u64,
    each: u64,
) -> sitesync::catalog::Result<()> {
    let (representation, frame) = (number / each, number % each);
    let naming = Naming {
        folder: format!("shots/sq{:02}/sh{:04}", representation / 1_000, representation / 10 % 100),
        product: "renderMain".to_owned(),
        version: format!("v{:03}", representation % 10),
        name: "exr".to_owned(),
    };
    let made_at = i64::try_from(representation).unwrap_or(i64::MAX);
    let id = unit.put_representation(place.project, &naming, 0, made_at, "somebody", true)?;
    let path = format!("{}/publish/{}/{}", naming.folder, naming.product, naming.version);
    let folder = unit.put_folder(place.root, &path)?;
    let size = 1_000 + number;
    let name = format!("renderMain_{}.{:04}.exr", naming.version, 1_001 + frame);
    let file = unit.add_file(folder, &name, size, id)?;
    let version = format!("1763912345678901234-{size}-{number}");
    let have = Have { site: place.from, generation: 1, version, size, mtime_ns: Some(1) };
    unit.put_have(file, &have)?;
    unit.put_job(file, &job(place, made_at, JobState::Ready))
}

fn job(place: Place, queued_at: i64, state: JobState) -> Job {
    Job {
        to: place.to,
        from: place.from,
        state,
        priority: 50,
        queued_at,
        not_before: 0,
        tries: 0,
        sent: None,
        token: None,
        error: None,
    }
}

/// The median time of a read that must find something.
fn page(folder: &Path, read: impl Fn(&dyn View) -> sitesync::catalog::Result<bool>) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..READS {
        let started = Instant::now();
        let catalog = Sqlite::open_read_only(folder)?;
        ensure!(catalog.read(&read)?, "a page is empty");
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[READS / 2])
}

/// Bytes in memory now.
fn resident() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    let kib = line.trim().trim_end_matches("kB").trim();
    Ok(kib.parse::<u64>().context("VmRSS")? * 1024)
}
