//! What a site in Google Drive costs in time and requests, beside rclone: against an emulator with the
//! latency and the bandwidth of a service far away.
//!
//! `cargo xtask bench --only drive` runs it: `drive RUNS SCALE`. Prints a JSON object for each run:
//! `work` (a [`Work`]), `files`, `peer`, `seconds`, `requests`, `refused` (requests that were too many).

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use drive_emulator::Emulator;
use serde_json::json;
use sitesync_tests::drive::Cloud;
use sitesync_tests::{content, wheel};

const LATENCY: Duration = Duration::from_millis(200);
/// Of each connection.
const BYTES_PER_SECOND: u64 = 10_000_000;
/// Google's documented allowance: 12,000 requests in 60 s for each user.
const REQUESTS_PER_SECOND: f64 = 200.0;
/// Of that, at once.
const BURST: u32 = 200;
const SMALL: usize = 50_000;
const LARGE: usize = 64 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    /// Small files go there.
    Small,
    /// Likewise, with the allowance enforced.
    Limited,
    /// Nothing is new, after that.
    Unchanged,
    /// A large file goes there.
    Up,
    /// A large file comes.
    Down,
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number =
        || -> Result<f64> { Ok(arguments.next().context("drive RUNS SCALE")?.parse()?) };
    let (runs, scale) = (number()? as u64, number()?);
    let files = ((1000.0 * scale) as u64).max(1);
    let rclone = wheel("rclone");
    for round in 0..runs {
        let mut peers = vec![Some(None), rclone.as_deref().map(Some)];
        // Each round begins with another one.
        peers.rotate_left(usize::try_from(round)? % 2);
        for rclone in peers.into_iter().flatten() {
            small(files, rclone, None)?;
            // Its own pace is far below the allowance.
            if rclone.is_none() {
                small(files, None, Some((REQUESTS_PER_SECOND, BURST)))?;
            }
            large(round, rclone)?;
        }
    }
    Ok(())
}

/// A Drive far away, and a site that only sends (or only asks).
fn cloud(rate: Option<(f64, u32)>, upload: &str, download: &str) -> Result<Cloud> {
    let drive = Emulator::builder().latency(LATENCY).bandwidth(BYTES_PER_SECOND).tls_proxy(true);
    let drive = drive.start();
    drive.set_rate(rate);
    Cloud::of(drive, |setup| setup.upload(upload).download(download))
}

/// Does the work once, and prints what that took.
fn measure(work: Work, files: u64, cloud: &Cloud, rclone: Option<&Path>) -> Result<()> {
    cloud.drive.forget_requests();
    let refused = cloud.drive.rate_refusals();
    let here = cloud.studio.studio().display().to_string();
    let started = Instant::now();
    match rclone {
        None => {
            let outcome = cloud.studio.start(cloud.studio.command().args(["sync", "--json"]))?;
            let outcome = outcome.wait_for(Duration::from_secs(3600))?;
            let expected = if work == Work::Unchanged { 0 } else { files };
            let done = outcome.code == Some(0) && outcome.sum("transferred") == Some(expected);
            ensure!(done, "{expected} files were to be transferred: {outcome:#?}");
        }
        Some(program) => {
            let ends = if work == Work::Down { ["gd:", &here] } else { [&here, "gd:"] };
            let status = cloud.rclone(program, &["copy", ends[0], ends[1]])?.status()?;
            ensure!(status.success(), "rclone failed: {status}");
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    cloud.ensure_equal(usize::try_from(files)?)?;
    let line = json!({
        "work": format!("{work:?}").to_lowercase(), "files": files,
        "peer": if rclone.is_some() { "rclone copy" } else { "sitesync" },
        "seconds": seconds, "requests": cloud.drive.requests().len(),
        "refused": cloud.drive.rate_refusals() - refused,
    });
    println!("{line}");
    Ok(())
}

fn small(files: u64, rclone: Option<&Path>, rate: Option<(f64, u32)>) -> Result<()> {
    let cloud = cloud(rate, "all", "requested")?;
    for nth in 0..files {
        cloud.write(&format!("shot{}/f.{nth:04}.exr", nth / 100), &content::record(nth, SMALL))?;
    }
    measure(if rate.is_some() { Work::Limited } else { Work::Small }, files, &cloud, rclone)?;
    if rate.is_none() {
        measure(Work::Unchanged, files, &cloud, rclone)?;
    }
    Ok(())
}

fn large(seed: u64, rclone: Option<&Path>) -> Result<()> {
    let up = cloud(None, "all", "requested")?;
    up.write("cut.mov", &content::record(seed, LARGE))?;
    measure(Work::Up, 1, &up, rclone)?;
    let down = cloud(None, "requested", "all")?;
    down.drive.file(&down.root, "cut.mov", content::record(seed, LARGE));
    fs::create_dir_all(down.studio.studio())?;
    measure(Work::Down, 1, &down, rclone)
}
