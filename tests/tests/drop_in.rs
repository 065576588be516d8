//! Plug-ins that come, change and go while the service runs.
//!
//! The remote site's provider is `other_drive`: `local_drive` under another name. A number in it
//! makes builds that differ in nothing else.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sitesync_tests::bench::patched;
use sitesync_tests::studio::{Running, Setup, Studio, digest, eventually};

/// A minute is more than any machine needs.
const LIMIT: Duration = Duration::from_secs(60);

fn studio() -> Result<Studio> {
    Setup::default().loop_delay("1s").text("rescan", "1s").remote("other_drive").build()
}

fn plug(studio: &Studio) -> PathBuf {
    studio.plugins().join("libother_drive.so")
}

/// A build of `other_drive`: its label tells it from others.
fn build(n: u32) -> Result<Vec<u8>> {
    let library = fs::read(sitesync_tests::plugin("local_drive")?)?;
    let library = patched(library, "local_drive", "other_drive");
    Ok(patched(library, "Mounted disk", &format!("Drive no. {n:02}")))
}

/// Puts a file there in one step, as an admin should.
fn drop_in(studio: &Studio, content: &[u8]) -> Result<()> {
    let temporary = studio.plugins().join(".incoming");
    fs::write(&temporary, content)?;
    fs::set_permissions(&temporary, fs::Permissions::from_mode(0o644))?;
    Ok(fs::rename(temporary, plug(studio))?)
}

fn arrives(studio: &Studio, host: &mut Running, name: &str) -> Result<()> {
    studio.write(&studio.studio(), name, name.as_bytes())?;
    eventually(&format!("{name} is there, and all others"), LIMIT, || {
        ensure!(host.is_alive()?, "it has ended: {}", host.stderr()?);
        let (here, there) = (digest(&studio.studio())?, digest(&studio.remote())?);
        Ok((here == there).then_some(()))
    })
}

fn says(host: &Running, words: &str) -> Result<()> {
    eventually(&format!("it says {words:?}"), LIMIT, || {
        Ok(host.stderr()?.contains(words).then_some(()))
    })
}

/// What `providers --json` tells of `other_drive`, as the service has it.
fn told(studio: &Studio) -> Result<Vec<Value>> {
    let outcome = studio.run(&["providers", "--json"])?;
    ensure!(outcome.code == Some(0), "{outcome:?}");
    Ok(outcome.lines.into_iter().filter(|line| line["name"] == "other_drive").collect())
}

fn end(host: Running) -> Result<()> {
    host.terminate()?;
    let outcome = host.wait_for(Duration::from_secs(15))?;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    Ok(())
}

#[test]
fn a_new_one_serves_the_site_that_waits_for_it() -> Result<()> {
    let studio = studio()?;
    studio.write(&studio.studio(), "a.exr", b"pixels")?;
    let mut host = studio.spawn_serve()?;
    says(&host, "there is no provider \"other_drive\"")?;
    drop_in(&studio, &build(1)?)?;
    arrives(&studio, &mut host, "b.exr")?;
    end(host)
}

#[test]
fn a_replaced_one_takes_over() -> Result<()> {
    let studio = studio()?;
    drop_in(&studio, &build(1)?)?;
    let mut host = studio.spawn_serve()?;
    arrives(&studio, &mut host, "a.exr")?;

    // By rename,
    drop_in(&studio, &build(2)?)?;
    says(&host, "goes on with other settings, or another generation")?;
    arrives(&studio, &mut host, "b.exr")?;
    eventually("the new one is told of", LIMIT, || {
        let told = told(&studio)?;
        Ok((told.len() == 1 && told[0]["service"] == host.pid()).then_some(()))
    })?;

    // and in place, while the old content is loaded.
    fs::OpenOptions::new().write(true).truncate(true).open(plug(&studio))?.write_all(&build(3)?)?;
    eventually("the third one serves", LIMIT, || {
        let log = host.stderr()?;
        Ok((log.matches("goes on with other settings, or another generation").count() == 2)
            .then_some(()))
    })?;
    arrives(&studio, &mut host, "c.exr")?;
    end(host)
}

#[test]
fn a_removed_one_goes_on_until_restart_and_says_so() -> Result<()> {
    let studio = studio()?;
    drop_in(&studio, &build(1)?)?;
    let mut host = studio.spawn_serve()?;
    arrives(&studio, &mut host, "a.exr")?;
    fs::remove_file(plug(&studio))?;
    says(&host, "a plug-in was removed: what it serves goes on until restart")?;
    arrives(&studio, &mut host, "b.exr")?;
    let told = eventually("the command tells it, too", LIMIT, || {
        let told = told(&studio)?;
        Ok(told.into_iter().find(|line| line["lingers"] == "until_restart"))
    })?;
    assert_eq!(told["sites"], serde_json::json!(["remote"]), "{told}");
    let text = studio.run(&["providers"])?;
    assert!(text.stdout.contains("until restart"), "{text:?}");
    end(host)?;

    // After the restart it is gone, and nobody tells of it any more.
    let outcome = studio.sync()?;
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stdout.contains("there is no provider"), "{outcome:?}");
    Ok(())
}

#[test]
fn a_broken_one_does_not_take_over() -> Result<()> {
    let studio = studio()?;
    drop_in(&studio, &build(1)?)?;
    let mut host = studio.spawn_serve()?;
    arrives(&studio, &mut host, "a.exr")?;
    drop_in(&studio, b"\x7fELF, or so it seems")?;
    says(&host, "a plug-in was replaced")?;
    arrives(&studio, &mut host, "b.exr")?;
    let refused = eventually("why it is not used is told", LIMIT, || {
        let reports = studio.run(&["providers", "--json"])?.lines;
        Ok(reports.into_iter().find(|line| !line["refused"].is_null()))
    })?;
    let path = refused["path"].as_str().context("a path")?;
    assert!(path.ends_with("libother_drive.so"), "{refused}");
    end(host)
}

#[test]
fn a_half_copied_one_is_waited_for() -> Result<()> {
    let studio = studio()?;
    // Each look is told of.
    let mut command = studio.command();
    command.arg("serve").env("SITESYNC_LOG", "sitesync::plugins=debug,info");
    let mut host = studio.start(&mut command)?;
    says(&host, "there is no provider \"other_drive\"")?;
    let content = build(1)?;
    let mut file = fs::File::create(plug(&studio))?;
    fs::set_permissions(plug(&studio), fs::Permissions::from_mode(0o644))?;
    // Whatever length it happens to have when it is looked at: never a whole one, until the end.
    let mut left = content.as_slice();
    for part in [5_000, content.len() / 2] {
        file.write_all(&left[..part])?;
        left = &left[part..];
        let looks = |host: &Running| anyhow::Ok(host.stderr()?.matches("looked at the").count());
        let before = looks(&host)?;
        eventually("it was looked at twice", LIMIT, || {
            ensure!(host.is_alive()?, "it has ended: {}", host.stderr()?);
            Ok((looks(&host)? > before + 1).then_some(()))
        })?;
    }
    file.write_all(left)?;
    drop(file);
    arrives(&studio, &mut host, "a.exr")?;
    end(host)
}
