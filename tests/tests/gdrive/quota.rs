//! An allowance that is used up stops those who share it, and nobody else.

use std::fs;

use anyhow::{Result, ensure};
use drive_emulator::{Answer, Emulator, Fault, Kind};
use sitesync_tests::drive::{Cloud, LIMIT, connection};
use sitesync_tests::studio::eventually;

const SECOND: &str = "second@studio.iam.gserviceaccount.com";

/// Three projects: `demo` and `same` with one key, `other` with another.
fn three(drive: Emulator) -> Result<Cloud> {
    let robot = drive.service_account(sitesync_tests::drive::ROBOT);
    let second = drive.service_account(SECOND);
    let film = drive.shared_drive("Film", &[&robot.email, &second.email]);
    let keys = tempfile::tempdir()?;
    let lines = [("same", &robot), ("other", &second)].map(|(name, account)| {
        let key = account.write_to(keys.path());
        let place = keys.path().join(name);
        fs::create_dir(&place).expect("a folder");
        format!(
            "[projects.{name}]\nactive_site = \"{name}-here\"\nremote_site = \"{name}-there\"\n\
             [sites.{name}-here]\nprovider = \"local_drive\"\nroot.work = {place:?}\n\
             [sites.{name}-there]\nprovider = \"gdrive\"\nroot.work = \"/Film/{name}\"\n{}\n",
            connection(&drive, &key)
        )
    });
    let keys = keys.keep();
    let cloud = Cloud::at(drive, robot, film, "/Film/demo", |setup| setup.extra(&lines.concat()))?;
    // Beside the rest, so that it goes when that goes.
    let beside = cloud.studio.path().join("keys");
    fs::rename(&keys, &beside)?;
    let text = fs::read_to_string(cloud.studio.settings())?;
    let (from, to) = (keys.display().to_string(), beside.display().to_string());
    fs::write(cloud.studio.settings(), text.replace(&from, &to))?;
    Ok(cloud)
}

#[test]
fn the_daily_upload_limit_parks_one_credential() -> Result<()> {
    let cloud = three(Emulator::start())?;
    let mut service = cloud.studio.spawn_serve()?;
    cloud.until_idle(&mut service)?;
    let folder = |name: &str| cloud.studio.path().join("keys").join(name);
    cloud.drive.fault(Fault::on(Kind::Multipart).answer(Answer::upload_limit()));
    cloud.write("a.exr", b"a")?;
    let refused = |request: &drive_emulator::Request| request.status == 403;
    eventually("the limit is met", LIMIT, || {
        ensure!(service.is_alive()?, "{}", service.stderr()?);
        Ok(cloud.requests(Kind::Multipart).iter().any(refused).then_some(()))
    })?;
    fs::write(folder("same").join("b.exr"), b"b")?;
    fs::write(folder("other").join("c.exr"), b"c")?;
    let there = || cloud.there().into_keys().collect::<Vec<_>>();
    eventually("the other key's file is there", LIMIT, || {
        ensure!(service.is_alive()?, "{}", service.stderr()?);
        Ok(there().contains(&"other/c.exr".to_owned()).then_some(()))
    })?;
    // What was tried again by then would have arrived: nothing is refused any more.
    fs::write(folder("other").join("d.exr"), b"d")?;
    eventually("the next one as well", LIMIT, || {
        Ok(there().contains(&"other/d.exr".to_owned()).then_some(()))
    })?;
    assert_eq!(there(), ["other/c.exr", "other/d.exr"]);
    assert_eq!(cloud.requests(Kind::Multipart).iter().filter(|r| refused(r)).count(), 1);

    let sites = eventually("other commands know", LIMIT, || {
        let sites = cloud.studio.run(&["sites"])?;
        Ok(sites.stderr.contains("left alone until").then_some(sites))
    })?;
    for site in ["remote", "same-there"] {
        let line = format!("site '{site}': left alone until 20");
        ensure!(sites.stderr.contains(&line), "{site}: {sites:#?}");
    }
    ensure!(!sites.stderr.contains("'other-there'"), "{sites:#?}");
    ensure!(sites.stderr.contains("750 GB"), "{sites:#?}");
    Ok(())
}

/// Requests are refused for a while, of everybody who shares the key.
#[test]
fn the_daily_limit_of_requests_is_told_with_its_end() -> Result<()> {
    let cloud = Cloud::new()?;
    cloud.write("a.exr", b"a")?;
    cloud.drive.fault(Fault::on(Kind::Multipart).always().answer(Answer::daily_limit()));
    let outcome = cloud.studio.sync()?;
    assert_eq!(outcome.code, Some(1), "{outcome:#?}");
    ensure!(outcome.stdout.contains("midnight, Pacific"), "{outcome:#?}");
    assert_eq!(cloud.requests(Kind::Multipart).len(), 1, "it is not tried again");
    Ok(())
}
