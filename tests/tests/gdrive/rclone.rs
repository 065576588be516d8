//! Another client that shares no code with us: what we wrote it reads, what it wrote we read.

use std::path::Path;

use anyhow::{Result, ensure};
use drive_emulator::Emulator;
use sitesync_tests::content;
use sitesync_tests::drive::Cloud;

const NAMES: &[&str] = &[
    "it's.exr",
    "dir.v001/beauty.1001.exr",
    "dir.v001/.hidden",
    "Plány/Žluťoučký kůň.mov",
    "映像/カット 001.mov",
    "a + b & c = 100% #1?.txt",
    "back\\slash",
];

fn rclone(program: &Path, cloud: &Cloud, arguments: &[&str]) -> Result<()> {
    let output = cloud.rclone(program, arguments)?.output()?;
    ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[test]
fn each_reads_what_the_other_wrote() -> Result<()> {
    let Some(program) = sitesync_tests::wheel("rclone") else { return Ok(()) };
    let cloud = Cloud::of(Emulator::builder().tls_proxy(true).start(), |setup| setup)?;
    for (nth, name) in NAMES.iter().enumerate() {
        cloud.write(&format!("ours/{name}"), &content::record(nth as u64, 3000))?;
    }
    cloud.write("ours/empty", b"")?;
    cloud.write("ours/large.mov", &content::record(50, 20 << 20))?;
    cloud.sync()?;
    let here = cloud.studio.studio().display().to_string();
    rclone(&program, &cloud, &["check", "--download", &here, "gd:"])?;

    let theirs = cloud.studio.path().join("theirs");
    for (nth, name) in NAMES.iter().enumerate() {
        cloud.studio.write(&theirs, name, &content::record(100 + nth as u64, 5000))?;
    }
    cloud.studio.write(&theirs, "empty", b"")?;
    cloud.studio.write(&theirs, "large.mov", &content::record(150, 20 << 20))?;
    let from = theirs.display().to_string();
    rclone(&program, &cloud, &["copy", &from, "gd:theirs"])?;
    let outcome = cloud.sync()?;
    let files = NAMES.len() + 2;
    assert_eq!(outcome.sum("transferred"), Some(files as u64), "{outcome:#?}");
    cloud.ensure_equal(2 * files)?;
    // Times are kept as well: a plain check of sizes and times has nothing to say.
    rclone(&program, &cloud, &["check", "--size-only", &here, "gd:"])?;
    rclone(&program, &cloud, &["copy", "--max-transfer", "1", &here, "gd:"])
}
