//! Two files of one name: somebody else makes one while ours is on its way.

use anyhow::{Result, ensure};
use drive_emulator::{Emulator, Id, Kind};
use sitesync_tests::bench::until;
use sitesync_tests::content;
use sitesync_tests::drive::Cloud;
use sitesync_tests::studio::Outcome;

/// Slow enough for somebody to come in between.
fn slow() -> Emulator {
    Emulator::builder().bandwidth(2 << 20).start()
}

fn ours() -> Vec<u8> {
    content::record(1, 6 << 20)
}

/// Syncs one large file, and does something as soon as its content is on its way.
fn meanwhile(cloud: &Cloud, act: impl FnOnce(&Id)) -> Result<Outcome> {
    cloud.write("shot/cut.mov", &ours())?;
    cloud.write("shot/other.exr", b"other")?;
    let run = cloud.studio.spawn_sync()?;
    until("its content is on its way", || !cloud.requests(Kind::Chunk).is_empty());
    act(&cloud.drive.find(&cloud.root, "shot").expect("its folder"));
    run.wait()
}

/// The older one counts, for everybody. Ours is taken back, which is a conflict: nothing is lost.
#[test]
fn another_content_is_a_conflict() -> Result<()> {
    let cloud = Cloud::of(slow(), |setup| setup)?;
    let theirs = content::record(2, 50_000);
    let outcome = meanwhile(&cloud, |shot| {
        cloud.drive.file(shot, "cut.mov", theirs.clone());
    })?;
    assert_eq!(outcome.sum("conflicts"), Some(1), "{outcome:#?}");
    assert_eq!(outcome.sum("failed"), Some(0), "{outcome:#?}");
    let there = cloud.drive.tree(&cloud.root);
    assert_eq!(there.keys().collect::<Vec<_>>(), ["shot/cut.mov", "shot/other.exr"]);
    assert_eq!(there["shot/cut.mov"], theirs);
    assert_eq!(cloud.read("shot/cut.mov")?, ours());
    let queue = cloud.studio.run(&["queue", "--json", "--state", "conflict"])?;
    ensure!(queue.stdout.contains("shot/cut.mov"), "{queue:#?}");
    assert_eq!(cloud.drive.open_sessions(), 0);
    Ok(())
}

#[test]
fn the_same_content_is_adopted() -> Result<()> {
    let cloud = Cloud::of(slow(), |setup| setup)?;
    let mut theirs = None;
    let outcome = meanwhile(&cloud, |shot| {
        theirs = Some(cloud.drive.file(shot, "cut.mov", ours()));
    })?;
    assert_eq!((outcome.code, outcome.sum("conflicts")), (Some(0), Some(0)), "{outcome:#?}");
    cloud.ensure_equal(2)?;
    assert_eq!(cloud.drive.find(&cloud.root, "shot/cut.mov"), theirs);
    let outcome = cloud.sync()?;
    assert_eq!(outcome.sum("transferred"), Some(0), "{outcome:#?}");
    Ok(())
}

/// The second of two is told by name, and left to its owner.
#[test]
fn a_later_one_is_somebody_elses_and_told() -> Result<()> {
    let cloud = Cloud::new()?;
    cloud.write("shot/cut.mov", &ours())?;
    cloud.sync()?;
    let shot = cloud.drive.find(&cloud.root, "shot").expect("its folder");
    cloud.drive.file(&shot, "cut.mov", b"a second one".to_vec());
    let outcome = cloud.studio.sync()?;
    ensure!(outcome.stdout.contains("second file of this name"), "{outcome:#?}");
    assert_eq!(outcome.sum("conflicts"), Some(0), "{outcome:#?}");
    assert_eq!(cloud.read("shot/cut.mov")?, ours());
    let there = cloud.drive.tree(&cloud.root);
    assert_eq!(there["shot/cut.mov"], ours());
    assert_eq!(there["shot/cut.mov#2"], b"a second one");
    Ok(())
}

/// Many files of one new folder at once: it is made once.
#[test]
fn a_folder_is_made_once() -> Result<()> {
    let cloud = Cloud::of(
        Emulator::builder().latency(std::time::Duration::from_millis(50)).start(),
        |setup| setup,
    )?;
    for nth in 0..60 {
        cloud.write(&format!("a/b/c{}/f{nth}.exr", nth % 3), &content::record(nth, 400))?;
    }
    cloud.sync()?;
    cloud.ensure_equal(60)?;
    assert_eq!(cloud.requests(Kind::Create).len(), 5, "a, b and three folders in it");
    Ok(())
}
