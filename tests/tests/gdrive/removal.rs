//! What is removed is in Drive's trash, and can be had again there.

use anyhow::Result;
use drive_emulator::{Emulator, Id, Kind};
use sitesync_tests::drive::Cloud;
use sitesync_tests::studio::PROJECT;

#[test]
fn what_is_removed_goes_to_drives_trash() -> Result<()> {
    // The account is a manager: it could delete for good.
    let cloud = Cloud::of(Emulator::start(), |setup| setup.text("deletes", "propagate"))?;
    let names = ["asked.exr", "propagated.exr", "cleared.exr"];
    for name in names {
        cloud.write(&format!("shot/{name}"), name.as_bytes())?;
    }
    cloud.sync()?;
    let ids: Vec<Id> = names
        .iter()
        .map(|name| cloud.drive.find(&cloud.root, &format!("shot/{name}")).expect("it is there"))
        .collect();

    let asked = cloud.studio.run(&["remove", PROJECT, "shot/asked.exr", "--site", "remote"])?;
    assert_eq!(asked.code, Some(0), "{asked:#?}");
    std::fs::remove_file(cloud.studio.studio().join("shot/propagated.exr"))?;
    cloud.sync()?;
    let cleared = cloud.studio.run(&["clear", PROJECT, "--site", "remote", "--yes"])?;
    assert_eq!(cleared.code, Some(0), "{cleared:#?}");
    assert!(cloud.there().is_empty(), "{:#?}", cloud.there());
    assert!(cloud.requests(Kind::Delete).is_empty(), "{}", cloud.log());

    for (id, name) in ids.iter().zip(names) {
        cloud.drive.untrash(id);
        assert_eq!(cloud.drive.read(id), name.as_bytes());
    }
    Ok(())
}
