//! One host a state folder: the second one says who was first, and readers are let in.

use std::time::Duration;

use anyhow::Result;
use sitesync_tests::studio::{Running, Setup, Studio, eventually};

/// A minute is more than any machine needs.
const LIMIT: Duration = Duration::from_secs(60);

/// A studio with a file that is not quiet for long enough: a sync waits for it.
fn waiting_studio() -> Result<Studio> {
    let studio = Setup::default().settle("10m").build()?;
    studio.write(&studio.studio(), "shot/a.exr", b"frame")?;
    Ok(studio)
}

/// Until the host holds its state folder, and has planned the file.
fn until_at_work(studio: &Studio, host: &mut Running) -> Result<()> {
    eventually("the host is at work", LIMIT, || {
        anyhow::ensure!(host.is_alive()?, "it has ended: {}", host.stderr()?);
        let states = studio.catalog_states().unwrap_or_default();
        Ok((states.get(&("remote".into(), "queued".into())) == Some(&1)).then_some(()))
    })
}

fn check_beside(studio: &Studio, host: &mut Running) -> Result<()> {
    until_at_work(studio, host)?;
    for command in [&["sync", "--json"][..], &["sync"], &["serve"]] {
        let second = studio.run(command)?;
        assert_eq!(second.code, Some(3), "{command:?}: {second:?}");
        let who = format!("another sitesync (process {}) works on the state folder", host.pid());
        assert!(second.stderr.contains(&who), "{command:?}: {}", second.stderr);
        assert!(second.stderr.contains(" since 20"), "{command:?}: {}", second.stderr);
        assert!(second.stderr.contains("--state-dir"), "it says what to do: {}", second.stderr);
        assert_eq!(second.stdout, "", "{command:?}");
    }
    let status = studio.status()?;
    assert_eq!(status["running"]["pid"], host.pid(), "{status}");
    assert!(status["running"]["since"].as_str().is_some_and(|since| since.ends_with('Z')));
    let queue = studio.run(&["queue", "--json"])?;
    assert_eq!(queue.code, Some(0), "{queue:?}");
    assert_eq!(queue.lines.len(), 1, "{queue:?}");
    assert_eq!(queue.lines[0]["state"], "queued");
    assert!(host.is_alive()?, "it was not disturbed: {}", host.stderr()?);
    Ok(())
}

#[test]
fn a_second_host_beside_a_sync() -> Result<()> {
    let studio = waiting_studio()?;
    let mut host = studio.spawn_sync()?;
    check_beside(&studio, &mut host)
}

#[test]
fn a_second_host_beside_the_service() -> Result<()> {
    let studio = waiting_studio()?;
    let mut host = studio.spawn_serve()?;
    check_beside(&studio, &mut host)
}

#[test]
fn a_dead_host_holds_nothing() -> Result<()> {
    let studio = waiting_studio()?;
    let mut host = studio.spawn_serve()?;
    until_at_work(&studio, &mut host)?;
    host.kill()?;
    let status = studio.status()?;
    assert!(status["running"].is_null(), "{status}");
    // Its file is still planned: only the lock tells when the next one is at work.
    let mut next = studio.spawn_serve()?;
    eventually("the next host holds the folder", LIMIT, || {
        anyhow::ensure!(next.is_alive()?, "it has ended: {}", next.stderr()?);
        Ok((studio.status()?["running"]["pid"] == next.pid()).then_some(()))
    })
}

#[test]
fn two_at_the_same_moment() -> Result<()> {
    for _ in 0..5 {
        let studio = waiting_studio()?;
        let mut hosts = vec![studio.spawn_sync()?, studio.spawn_sync()?];
        let ended = eventually("one of two gives up", LIMIT, || {
            let mut ended = None;
            for (i, host) in hosts.iter_mut().enumerate() {
                if !host.is_alive()? {
                    ended = Some(i);
                }
            }
            Ok(ended)
        })?;
        let second = hosts.remove(ended).wait()?;
        assert_eq!(second.code, Some(3), "{second:?}");
        until_at_work(&studio, &mut hosts[0])?;
    }
    Ok(())
}
