//! A listing takes time, and what it says of a file may be older than what was recorded meanwhile.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use sitesync_tests::content::Chance;
use sitesync_tests::studio::{Setup, can_trace, eventually};

/// A folder is listed, one of its files is replaced and recorded, and only then the listing is
/// planned: the old fingerprint in it is no news. Slow listings are made by strace.
#[test]
fn a_listing_that_is_outdated_when_it_arrives_is_no_news() -> Result<()> {
    if !can_trace() {
        return Ok(());
    }
    let studio = Setup::default().loop_delay("1s").text("rescan", "1s").build()?;
    for n in 0..4000 {
        let path = format!("shot{}/f{}", n % 40, n / 40);
        studio.write(&studio.studio(), &path, b"the first content")?;
    }
    ensure!(studio.sync()?.code == Some(0));

    let slow = "inject=getdents64:delay_exit=40000";
    let strace =
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=getdents64", "-e", slow, "--"];
    let mut host = studio.start(studio.through(&strace.map(str::to_owned)).arg("serve"))?;
    let mut chance = Chance::seeded(1);
    let mut contents: HashMap<String, i64> = HashMap::new();
    let staged = studio.path().join("staged");
    for n in 0..400 {
        let path = format!("shot{}/f{}", chance.below(40), chance.below(100));
        fs::write(&staged, format!("content {n}"))?;
        fs::rename(&staged, studio.studio().join(&path))?;
        *contents.entry(path).or_insert(1) += 1;
        // Spread over several scans.
        std::thread::sleep(Duration::from_millis(50));
    }
    eventually("nothing is left to do", Duration::from_secs(60), || {
        ensure!(host.is_alive()?, "it has ended: {}", host.stderr()?);
        let states = studio.catalog_states()?;
        Ok(states.keys().all(|(_, state)| state == "synced").then_some(()))
    })?;
    // A file that changed so many times has had no more contents than that.
    let catalog = studio.catalog()?;
    let more: Vec<_> = catalog
        .files
        .iter()
        .filter(|(path, row)| row.generation > contents.get(*path).copied().unwrap_or(1))
        .map(|(path, row)| format!("{path}: generation {}", row.generation))
        .collect();
    ensure!(more.is_empty(), "changes that nobody made: {more:?}");
    Ok(())
}
