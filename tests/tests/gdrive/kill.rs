//! kill -9 at random moments of a large upload: what was sent is not sent again, but for a chunk.
//!
//! `SITESYNC_KILLS` (200) is four times the number of kills; `SITESYNC_SEED` repeats the moments.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, ensure};
use drive_emulator::Emulator;
use sitesync_tests::content::{self, Chance};
use sitesync_tests::drive::Cloud;
use sitesync_tests::number;

const SIZE: usize = 200_000_000;
/// The provider's default.
const CHUNK: u64 = 16 << 20;
/// So that an upload takes its time.
const BYTES_PER_SECOND: u64 = 40 << 20;
/// After three deaths while it was being loaded, a plug-in is not loaded again, which is not what
/// this test is about.
const LOADING: usize = 2;

#[test]
fn a_large_upload_goes_on_after_every_kill() -> Result<()> {
    let kills = number("SITESYNC_KILLS", 200)?.div_ceil(4);
    let today = SystemTime::UNIX_EPOCH.elapsed()?.as_millis() as u64;
    let seed = number("SITESYNC_SEED", today)?;
    eprintln!("{kills} kills, SITESYNC_SEED={seed}");
    let mut chance = Chance::seeded(seed);
    let (mut killed, begun) = (0, Instant::now());
    while killed < kills {
        let (of_this, twice) = history(kills - killed, &mut chance).map_err(|error| {
            error.context(format!("SITESYNC_SEED={seed}, after {killed} kills"))
        })?;
        eprintln!("{of_this} kills of one upload: {twice} bytes were sent twice");
        killed += of_this;
    }
    eprintln!("{killed} kills in {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}

/// One upload, killed until it is there; returns how often, and how many bytes were sent in vain.
fn history(most: u64, chance: &mut Chance) -> Result<(u64, u64)> {
    let cloud = Cloud::of(Emulator::builder().bandwidth(BYTES_PER_SECOND).start(), |setup| setup)?;
    let content = content::record(chance.below(u64::MAX), SIZE);
    cloud.write("shot/large.mov", &content)?;
    let mut kills = 0;
    while kills < most {
        if sitesync_tests::studio::files(&cloud.studio.state().join("plugins/.in-flight"))?.len()
            >= LOADING
        {
            ensure!(cloud.studio.run(&["sites", "--json"])?.code == Some(0));
        }
        let mut run = cloud.studio.spawn_sync()?;
        let moment = Instant::now() + Duration::from_millis(chance.below(1800));
        // The only sleep that is meant: it chooses the moment.
        while Instant::now() < moment && run.is_alive()? {
            std::thread::sleep(Duration::from_millis(2));
        }
        if !run.kill()? {
            break;
        }
        kills += 1;
        // Nothing but whole files is ever to be seen.
        let there = cloud.there();
        ensure!(there.is_empty() || there == cloud.here()?, "after kill {kills}: {there:?}");
    }
    cloud.sync()?;
    cloud.ensure_equal(1)?;
    let (sent, size) = (cloud.received(), content.len() as u64);
    ensure!(
        sent <= size + kills * CHUNK,
        "{sent} bytes were sent for {size} with {kills} kills: {}",
        cloud.log()
    );
    ensure!(cloud.drive.open_sessions() == 0, "{} uploads are open", cloud.drive.open_sessions());
    Ok((kills, sent.saturating_sub(size)))
}
