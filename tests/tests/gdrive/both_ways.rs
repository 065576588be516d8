//! Files travel both ways, whatever they are called, wherever the root lies.

use std::fs;

use anyhow::{Result, ensure};
use drive_emulator::{Emulator, Id, Kind, Role};
use sitesync_tests::content;
use sitesync_tests::drive::{Cloud, ROBOT};

/// Names that have cost others their files.
const NAMES: &[&str] = &[
    "it's.exr",
    "it\\'s.exr",
    "\"quoted\" and 'quoted'.exr",
    "back\\slash",
    "dir.v001/beauty.1001.exr",
    "dir.v001/.hidden",
    "dir.v001/...",
    "Plány/Žluťoučký kůň.mov",
    "映像/カット 001.mov",
    "e\u{301} beside \u{e9}/e\u{301}",
    "e\u{301} beside \u{e9}/\u{e9}",
    "a + b & c = 100% #1?.txt",
    "' or name contains '",
    " leading and trailing ",
    "Case",
    "case",
];

fn large() -> Vec<u8> {
    content::record(12, 12 << 20)
}

/// Everything there is, at both ends; returns how many files that are.
fn fill(cloud: &Cloud) -> Result<usize> {
    for (nth, name) in NAMES.iter().enumerate() {
        cloud.write(&format!("here/{name}"), &content::record(nth as u64, 500))?;
    }
    cloud.write("here/empty", b"")?;
    cloud.write("here/large.mov", &large())?;
    let theirs = folder(cloud, &cloud.root, "there");
    for (nth, name) in NAMES.iter().enumerate() {
        let (parent, name) = match name.rsplit_once('/') {
            Some((above, name)) => (folder(cloud, &theirs, above), name),
            None => (theirs.clone(), *name),
        };
        cloud.drive.file(&parent, name, content::record(100 + nth as u64, 700));
    }
    cloud.drive.file(&theirs, "empty", Vec::new());
    cloud.drive.file(&theirs, "large.mov", large());
    Ok(2 * NAMES.len() + 4)
}

/// The folder of this name, made if there is none.
fn folder(cloud: &Cloud, parent: &Id, name: &str) -> Id {
    cloud.drive.find(parent, name).unwrap_or_else(|| cloud.drive.folder(parent, name))
}

/// The whole of what a project does with a site.
fn travels(cloud: &Cloud) -> Result<()> {
    let files = fill(cloud)?;
    let outcome = cloud.sync()?;
    assert_eq!(outcome.sum("transferred"), Some(files as u64), "{outcome:#?}");
    cloud.ensure_equal(files)?;
    let mtimes = |path: &str| -> Result<u128> {
        let modified = fs::metadata(cloud.studio.studio().join(path))?.modified()?;
        Ok(modified.duration_since(std::time::UNIX_EPOCH)?.as_millis())
    };
    let before = mtimes("there/empty")?;

    // Nothing new, then something at each end.
    let outcome = cloud.sync()?;
    assert_eq!(outcome.sum("transferred"), Some(0), "{outcome:#?}");
    assert_eq!(mtimes("there/empty")?, before);
    let theirs = folder(cloud, &cloud.root, "there");
    cloud.drive.file(&theirs, "new.exr", content::record(500, 900));
    cloud.write("here/new.exr", &content::record(501, 900))?;
    cloud.write("there/it's.exr", &content::record(502, 800))?;
    let mine = cloud.drive.find(&cloud.root, "here/it's.exr").expect("it is there");
    cloud.drive.write(&mine, content::record(503, 900));
    let outcome = cloud.sync()?;
    assert_eq!(outcome.sum("transferred"), Some(4), "{outcome:#?}");
    cloud.ensure_equal(files + 2)?;
    assert_eq!(cloud.read("here/it's.exr")?, content::record(503, 900));
    // Drive keeps versions of what keeps its id.
    assert_eq!(cloud.drive.find(&cloud.root, "here/it's.exr"), Some(mine));
    assert_eq!(cloud.drive.open_sessions(), 0);
    Ok(())
}

#[test]
fn on_a_shared_drive() -> Result<()> {
    travels(&Cloud::new()?)
}

#[test]
fn in_a_folder_that_somebody_shares() -> Result<()> {
    let drive = Emulator::start();
    let robot = drive.service_account(ROBOT);
    let owner = drive.user("owner@studio.example");
    let shared = drive.folder(&owner, "Show");
    drive.share(&shared, &robot.email, Role::Writer);
    let root = drive.folder(&shared, "demo");
    travels(&Cloud::at(drive, robot, root, "/My Drive/Show/demo", |setup| setup)?)
}

#[test]
fn a_root_by_its_id() -> Result<()> {
    let drive = Emulator::start();
    let robot = drive.service_account(ROBOT);
    let film = drive.shared_drive("Film", &[&robot.email]);
    let root = drive.folder(&film, "demo");
    let path = format!("/{root}");
    let cloud = Cloud::at(drive, robot, root, &path, |setup| setup)?;
    cloud.write("a.exr", b"a")?;
    cloud.sync()?;
    cloud.ensure_equal(1)
}

/// Folders beneath the first component are made; that one never is.
#[test]
fn a_root_is_made_beneath_what_is_there() -> Result<()> {
    let drive = Emulator::start();
    let robot = drive.service_account(ROBOT);
    let film = drive.shared_drive("Film", &[&robot.email]);
    let cloud = Cloud::at(drive, robot, film, "/Film/shows/demo", |setup| setup)?;
    cloud.write("a.exr", b"a")?;
    cloud.sync()?;
    assert_eq!(cloud.there().into_keys().collect::<Vec<_>>(), ["shows/demo/a.exr"]);

    let drive = Emulator::start();
    let robot = drive.service_account(ROBOT);
    let film = drive.shared_drive("Film", &[&robot.email]);
    let cloud = Cloud::at(drive, robot, film, "/Movie/demo", |setup| setup)?;
    cloud.write("a.exr", b"a")?;
    let outcome = cloud.studio.sync()?;
    assert_eq!(outcome.code, Some(1), "{outcome:#?}");
    assert!(outcome.stdout.contains("Movie"), "{outcome:#?}");
    assert_eq!(cloud.requests(Kind::Create).len(), 0);
    Ok(())
}

/// What has no content to download is told, and is no trouble.
#[test]
fn documents_and_shortcuts_are_skipped_with_the_reason() -> Result<()> {
    let cloud = Cloud::new()?;
    let file = cloud.drive.file(&cloud.root, "a.exr", b"a".to_vec());
    cloud.drive.docs(&cloud.root, "Shot list");
    cloud.drive.shortcut(&cloud.root, "a link", &file);
    let outcome = cloud.sync()?;
    assert_eq!(outcome.sum("transferred"), Some(1), "{outcome:#?}");
    for name in ["Shot list", "a link"] {
        let told = |line: &serde_json::Value| line["path"] == name && line["reason"].is_string();
        ensure!(outcome.lines.iter().any(told), "no word of {name}: {outcome:#?}");
    }
    assert_eq!(cloud.here()?.into_keys().collect::<Vec<_>>(), ["a.exr"]);
    Ok(())
}

/// The service notices by itself what others do.
#[test]
fn the_service_follows_what_others_do() -> Result<()> {
    let cloud = Cloud::new()?;
    cloud.write("shot/a.exr", b"a")?;
    let mut service = cloud.studio.spawn_serve()?;
    cloud.until_synced(&mut service, 1)?;
    cloud.until_idle(&mut service)?;
    let shot = cloud.drive.find(&cloud.root, "shot").expect("it was made");
    cloud.drive.file(&shot, "b.exr", b"b".to_vec());
    let deep = cloud.drive.folder(&shot, "deep");
    cloud.drive.file(&deep, "c.exr", b"c".to_vec());
    cloud.until_synced(&mut service, 3)?;
    cloud.ensure_equal(3)?;
    // A folder that goes away behind our back is made anew for what is new.
    cloud.until_idle(&mut service)?;
    cloud.drive.trash(&deep);
    cloud.until_idle(&mut service)?;
    cloud.write_file("shot/deep/d.exr", b"d")?;
    sitesync_tests::studio::eventually("d.exr is there", sitesync_tests::drive::LIMIT, || {
        ensure!(service.is_alive()?, "{}", service.stderr()?);
        Ok(cloud.there().contains_key("shot/deep/d.exr").then_some(()))
    })
}
