//! `cargo xtask bench`: sitesync beside cp, rsync, rclone and find, on the same files.
//!
//! Every number is the median of several runs. Competitors take turns, each round in another order,
//! each run with a fresh destination; the source is in the page cache. Ours ends when everything is
//! durable and recorded, so the peers' time includes `sync -f` on the destination.
//!
//! `medium` is where it happens, `data` what is copied, `peer` who copies, `case` what is measured,
//! `boundary` the plug-ins by themselves, `catalog` the catalog by itself, `drive` a site in Google
//! Drive, `report` what is said of it.

mod boundary;
mod case;
mod catalog;
mod data;
mod drive;
mod medium;
mod peer;
mod report;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use crate::dist;
use crate::process::doing;
use crate::random::Contents;
use crate::workspace::Workspace;

use medium::Medium;
use peer::Peers;
use report::Report;

/// `cargo xtask bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only these cases [default: all]
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Case>,
    /// How much data, compared with the goals' own: 1 is 20,000 files, 1.6 GB of frames, 4 GiB
    #[arg(long, default_value_t = 1.0, value_name = "F")]
    scale: f64,
    /// Rounds; fewer than five prove little
    #[arg(long, default_value_t = 5, value_name = "N")]
    runs: usize,
    /// Only in memory or only on disk [default: both]
    #[arg(long, value_enum)]
    on: Option<On>,
    /// How many files case `idle` has [default: 20,000 x scale]
    #[arg(long, value_name = "N")]
    files: Option<u64>,
    /// Where the report goes, besides standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Case {
    /// 20,000 files of 1 to 32 KiB
    Small,
    /// 200 frames of 8 MiB
    Seq,
    /// One file of 4 GiB
    Big,
    /// Nothing to do
    Idle,
    /// The same provider code as plug-ins and called directly; loading plug-ins
    Boundary,
    /// How much memory `sitesync sync` takes
    Memory,
    /// 1,000 files of 50 kB and one of 64 MiB, to and from an emulated Google Drive
    Drive,
    /// Publishing 1,000,000 files into the catalog, and the pages that people look at
    Catalog,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum On {
    /// /dev/shm
    Tmpfs,
    /// The target folder
    Disk,
}

/// Builds what is measured, measures, and prints the report.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    ensure!(arguments.runs > 0, "--runs must be at least 1");
    ensure!(arguments.scale > 0.0 && arguments.scale.is_finite(), "--scale must be positive");
    let ours = dist::build(workspace, true)?;
    let through = boundary::Boundary::build(workspace, &ours)?;
    let catalog = catalog::Catalog::build(workspace)?;
    let peers = Peers::find(workspace, ours);
    let contents = Contents::new();
    let mut report = Report::new(&peers, arguments.runs);

    let places = [On::Tmpfs, On::Disk].into_iter();
    for on in places.filter(|on| arguments.on.is_none_or(|only| only == *on)) {
        let Some(medium) = Medium::open(on, workspace)? else {
            report.note("/dev/shm is no tmpfs here: nothing was measured in memory");
            continue;
        };
        let bench = case::Bench {
            medium,
            peers: &peers,
            contents: &contents,
            through: &through,
            catalog: &catalog,
            runs: arguments.runs,
            workspace,
        };
        for case in Case::value_variants() {
            if !arguments.only.is_empty() && !arguments.only.contains(case) {
                continue;
            }
            // None of these depends on the medium: once is enough.
            if matches!(case, Case::Memory | Case::Boundary | Case::Drive)
                && on == On::Disk
                && arguments.on.is_none()
            {
                continue;
            }
            bench.run(*case, arguments.scale, arguments.files, &mut report)?;
        }
    }
    let text = report.markdown();
    print!("{text}");
    if let Some(out) = &arguments.out {
        std::fs::write(out, &text).with_context(doing("write", out))?;
    }
    Ok(())
}
