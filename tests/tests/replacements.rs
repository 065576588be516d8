//! A provider that is replaced again and again while files go through it.
//!
//! `SITESYNC_SWAPS` (12) is how many builds come one after the other, `SITESYNC_FILES` (6,000) how many
//! files there are; `SITESYNC_SEED` repeats the choices. The long form stands in `docs/testing.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use sitesync_tests::bench::patched;
use sitesync_tests::content::Chance;
use sitesync_tests::number;
use sitesync_tests::studio::{Running, Setup, Studio, digest, eventually};

/// Generations that a host loads of one provider.
const MOST: u64 = 16;
const LIMIT: Duration = Duration::from_secs(60);
/// For all files: many go through a debug build.
const LONG: Duration = Duration::from_secs(600);
/// The same content comes so many times as often as another.
const SAME: u64 = 30;

fn place(studio: &Studio) -> PathBuf {
    studio.plugins().join("libmisbehaving.so")
}

/// Puts a build there: in one step, or over what is there and loaded.
fn put(studio: &Studio, content: &[u8], in_place: bool) -> Result<()> {
    let place = place(studio);
    if in_place && place.exists() {
        let mut file = fs::OpenOptions::new().write(true).truncate(true).open(&place)?;
        return Ok(file.write_all(content)?);
    }
    let temporary = studio.plugins().join(".incoming");
    fs::write(&temporary, content)?;
    fs::set_permissions(&temporary, fs::Permissions::from_mode(0o644))?;
    Ok(fs::rename(temporary, place)?)
}

/// Which builds wrote each file that was finished, newest last.
fn journal(file: &Path) -> Result<BTreeMap<String, Vec<String>>> {
    let text = fs::read_to_string(file)?;
    let line = |line: &str| {
        let (path, builds) = line.split_once('\t')?;
        // A name that has the fixed length of the builds' own.
        let builds = builds.split("build ").filter(|n| !n.is_empty()).map(|n| n.trim().to_owned());
        Some((path.to_owned(), builds.collect()))
    };
    // The mark of the root is the host's own.
    Ok(text.lines().filter_map(line).filter(|(path, _)| !path.starts_with(".sitesync")).collect())
}

fn resident(host: &Running) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", host.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

#[test]
fn many_replacements_under_load() -> Result<()> {
    let builds = number("SITESYNC_SWAPS", 12)?;
    let files = number("SITESYNC_FILES", 6_000)?;
    let today = SystemTime::UNIX_EPOCH.elapsed()?.as_millis() as u64;
    let seed = number("SITESYNC_SEED", today)?;
    eprintln!("{builds} builds, {files} files, SITESYNC_SEED={seed}");
    let mut chance = Chance::seeded(seed);

    let under = tempfile::tempdir()?;
    let written = under.path().join("journal");
    let studio = Setup::default()
        .loop_delay("1s")
        .text("rescan", "1h")
        .download("requested")
        .remote("misbehaving")
        .remote_line(&format!("journal = {written:?}"))
        .build()?;
    for n in 0..files {
        studio.write(
            &studio.studio(),
            &format!("f{}/{n}.exr", n / 500),
            &n.to_le_bytes().repeat(40),
        )?;
    }
    let library = fs::read(sitesync_tests::plugin("misbehaving")?)?;
    let build = |n: u64| patched(library.clone(), "build 00000000", &format!("build {n:08}"));
    put(&studio, &build(0), false)?;
    let mut host = studio.spawn_serve()?;
    eventually("the first file is there", LIMIT, || Ok(written.exists().then_some(())))?;
    let before = resident(&host)?;

    let mut same = 0;
    for n in 1..=builds {
        // The same once more, and other things that change nothing.
        for _ in 0..chance.below(2 * SAME) {
            put(&studio, &build(n - 1), chance.percent(30))?;
            same += 1;
        }
        put(&studio, &build(n), chance.percent(30))?;
        eventually(&format!("build {n} is taken or refused"), LIMIT, || {
            ensure!(host.is_alive()?, "SITESYNC_SEED={seed}: it has ended: {}", host.stderr()?);
            let log = host.stderr()?;
            let taken =
                log.matches("goes on with other settings, or another generation").count() as u64;
            let refused = log.contains("restart sitesync to load the newest");
            Ok((taken >= n.min(MOST - 1) && (n < MOST || refused)).then_some(()))
        })?;
        // Something is left to do for each of them.
        studio.write(&studio.studio(), &format!("late/{n}.exr"), &n.to_le_bytes())?;
    }
    eventually("every file is there", LONG, || {
        ensure!(host.is_alive()?, "SITESYNC_SEED={seed}: it has ended: {}", host.stderr()?);
        let (here, there) = (digest(&studio.studio())?, digest(&studio.remote())?);
        Ok((here == there).then_some(()))
    })?;
    let grown = resident(&host)?.saturating_sub(before);
    host.terminate()?;
    let outcome = host.wait_for(LIMIT)?;
    assert_eq!(outcome.code, Some(0), "SITESYNC_SEED={seed}: {outcome:?}");

    let journal = journal(&written)?;
    assert_eq!(journal.len() as u64, files + builds);
    let mixed: Vec<_> = journal.iter().filter(|(_, builds)| builds.len() != 1).collect();
    assert!(mixed.is_empty(), "SITESYNC_SEED={seed}: {mixed:?}");
    let used: BTreeSet<&String> = journal.values().flatten().collect();
    eprintln!(
        "{} builds wrote, the same came {same} times; {} kB more for {} generations",
        used.len(),
        grown,
        builds.min(MOST - 1)
    );
    assert!(used.len() as u64 <= MOST, "{used:?}");
    assert!(used.len() > 1, "{used:?}");
    assert_eq!(outcome.stderr.matches("panicked").count(), 0, "{}", outcome.stderr);
    Ok(())
}
