//! What an action costs in requests. The service is warm, unless said otherwise.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use drive_emulator::{Emulator, Kind, Request};
use sitesync_tests::content;
use sitesync_tests::drive::Cloud;
use sitesync_tests::studio::{Running, Setup};

/// The requests by their kinds.
fn by_kind(requests: &[Request]) -> BTreeMap<Kind, usize> {
    let mut kinds = BTreeMap::new();
    for request in requests {
        *kinds.entry(request.kind).or_default() += 1;
    }
    kinds
}

/// Fails if more was asked since the log was emptied, but for the change feed: every pass reads it,
/// whatever there is to do.
#[track_caller]
fn at_most(cloud: &Cloud, limit: usize) {
    let kinds = by_kind(&cloud.drive.requests());
    let feed = kinds.get(&Kind::Changes).copied().unwrap_or(0);
    let count = kinds.values().sum::<usize>() - feed;
    println!("{count} requests, at most {limit}: {kinds:?}");
    assert!(count <= limit, "{count} requests, not {limit}: {}", cloud.log());
}

/// A service that has nothing to do, and a folder with one file.
fn warm(more: impl FnOnce(Setup) -> Setup) -> Result<(Cloud, Running)> {
    let cloud = Cloud::of(Emulator::start(), more)?;
    cloud.write("shot/first.exr", b"first")?;
    let mut command = cloud.studio.command();
    command.env("SITESYNC_LOG", "info,sitesync::engine=debug").arg("serve");
    let mut service = cloud.studio.start(&mut command)?;
    cloud.until_synced(&mut service, 1)?;
    cloud.until_idle(&mut service)?;
    Ok((cloud, service))
}

/// Does something in a warm service, and waits until so many files are recorded and it is idle.
fn after(
    cloud: &Cloud,
    service: &mut Running,
    files: u64,
    act: impl FnOnce() -> Result<()>,
) -> Result<()> {
    cloud.drive.forget_requests();
    act()?;
    cloud.until_synced(service, files)?;
    cloud.until_idle(service)
}

fn frame(nth: u64) -> Vec<u8> {
    content::record(nth, 100_000)
}

#[test]
fn seven_files_into_a_new_folder() -> Result<()> {
    let (cloud, mut service) = warm(|setup| setup)?;
    let tokens = cloud.requests(Kind::Token).len();
    assert_eq!(tokens, 1, "one token for all");
    let names: Vec<String> = (0..7).map(|n| format!("beauty.{n:04}.exr")).collect();
    let frames: Vec<Vec<u8>> = (0..7).map(frame).collect();
    let files: Vec<(&str, &[u8])> =
        names.iter().map(String::as_str).zip(frames.iter().map(Vec::as_slice)).collect();
    let groups =
        |service: &Running| Ok::<_, anyhow::Error>(service.stderr()?.matches("recorded").count());
    let before = groups(&service)?;
    after(&cloud, &mut service, 8, || cloud.write_folder("seven", &files))?;
    let groups = groups(&service)? - before;
    cloud.ensure_equal(8)?;
    assert_eq!(cloud.requests(Kind::Token).len(), 0);
    // With the feed that is read before, ten. On a machine that has much else to do, what takes more
    // than a second is recorded in more than one group, each with a listing of its own.
    ensure!(groups > 0, "no group is in the log: {}", service.stderr()?);
    at_most(&cloud, 8 + groups);
    Ok(())
}

#[test]
fn a_new_small_file_in_a_known_folder() -> Result<()> {
    let (cloud, mut service) = warm(|setup| setup)?;
    after(&cloud, &mut service, 2, || cloud.write_file("shot/second.exr", &frame(2)))?;
    cloud.ensure_equal(2)?;
    at_most(&cloud, 2);
    Ok(())
}

#[test]
fn a_small_file_is_written_over() -> Result<()> {
    let (cloud, mut service) = warm(|setup| setup)?;
    let before = cloud.drive.find(&cloud.root, "shot/first.exr");
    cloud.drive.forget_requests();
    cloud.write_file("shot/first.exr", &frame(3))?;
    sitesync_tests::studio::eventually("it arrives", sitesync_tests::drive::LIMIT, || {
        ensure!(service.is_alive()?, "{}", service.stderr()?);
        Ok((cloud.here()? == cloud.there()).then_some(()))
    })?;
    cloud.until_synced(&mut service, 1)?;
    cloud.until_idle(&mut service)?;
    assert_eq!(cloud.drive.find(&cloud.root, "shot/first.exr"), before, "it keeps its id");
    at_most(&cloud, 2);
    Ok(())
}

#[test]
fn sixty_four_mebibytes() -> Result<()> {
    let (cloud, mut service) = warm(|setup| setup)?;
    let large = content::record(64, 64 << 20);
    after(&cloud, &mut service, 2, || cloud.write_file("shot/large.mov", &large))?;
    cloud.ensure_equal(2)?;
    at_most(&cloud, 6);
    assert_eq!(cloud.received(), large.len() as u64, "each byte once");
    Ok(())
}

/// A file of somebody else's: found, read, and nothing more.
#[test]
fn a_file_that_comes() -> Result<()> {
    let (cloud, mut service) = warm(|setup| setup)?;
    let shot = cloud.drive.find(&cloud.root, "shot").context("the folder")?;
    after(&cloud, &mut service, 2, || {
        cloud.drive.file(&shot, "theirs.exr", frame(4));
        Ok(())
    })?;
    cloud.ensure_equal(2)?;
    // Its folder is listed, it is looked at, read, and looked at again.
    at_most(&cloud, 5);
    Ok(())
}

/// A restarted service knows folders from before: the root's path, a stock of ids and a little more.
#[test]
fn cold_costs_little_more() -> Result<()> {
    let (cloud, service) = warm(|setup| setup)?;
    service.terminate()?;
    service.wait()?;
    cloud.drive.forget_requests();
    cloud.write_file("shot/second.exr", &frame(2))?;
    let mut service = cloud.studio.spawn_serve()?;
    cloud.until_synced(&mut service, 2)?;
    cloud.until_idle(&mut service)?;
    let components = 2;
    let tokens = cloud.requests(Kind::Token).len();
    assert_eq!(tokens, 1);
    at_most(&cloud, 2 + components + 3 + tokens);
    Ok(())
}

#[test]
fn an_unchanged_pass_over_ten_thousand_files() -> Result<()> {
    let cloud = Cloud::of(Emulator::start(), |setup| {
        setup.remote_line("requests_per_second = 100000").remote_line("slots = 16")
    })?;
    for file in 0..10_000 {
        cloud
            .write(&format!("shot{:03}/f.{file:04}.exr", file / 100), &content::record(file, 60))?;
    }
    let outcome = cloud.studio.spawn_sync()?.wait_for(std::time::Duration::from_secs(600))?;
    assert_eq!(outcome.sum("transferred"), Some(10_000), "{outcome:#?}");
    println!("all go there: {:?}", by_kind(&cloud.drive.requests()));
    let mut service = cloud.studio.spawn_serve()?;
    cloud.until_synced(&mut service, 10_000)?;
    cloud.until_idle(&mut service)?;
    cloud.drive.forget_requests();
    cloud.until_idle(&mut service)?;
    cloud.until_idle(&mut service)?;
    let kinds = by_kind(&cloud.drive.requests());
    let passes = kinds.get(&Kind::Changes).copied().unwrap_or(0);
    let all: usize = kinds.values().sum();
    assert!(passes >= 2 && all <= 2 * passes, "{passes} passes: {kinds:?}");

    // A run of its own has nothing to list either.
    service.terminate()?;
    service.wait()?;
    cloud.drive.forget_requests();
    let outcome = cloud.sync()?;
    assert_eq!(outcome.sum("transferred"), Some(0));
    let kinds = by_kind(&cloud.drive.requests());
    println!("a run of its own: {kinds:?}");
    assert!(!kinds.contains_key(&Kind::List) || kinds[&Kind::List] <= 2, "{kinds:?}");
    Ok(())
}
