//! A service that dies and is started again: what was paused is still paused, and what was under way is
//! done, once.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sitesync_tests::bench::{Bench, Run, Service, until};
use sitesync_tests::studio::{Setup, digest, eventually, temporaries};

/// However slow the machine is, nothing here takes as long.
const LIMIT: Duration = Duration::from_secs(120);

/// Starts a service with an eye on the death of the one before: what it held is free at once.
fn again(bench: &Bench, service: Service) -> Service {
    // Killed, and waited for.
    drop(service);
    bench.serve()
}

fn queued(bench: &Bench) -> Vec<serde_json::Value> {
    bench.run(&["queue", "demo", "--json"]).ends(0).lines()
}

/// Pauses by these words, kills the service in the middle of its life, and goes on.
fn a_pause_outlives(words: &[&str]) {
    let bench = Bench::with(&[("sync", "loop_delay = \"1s\""), ("sync", "rescan = \"1s\"")]);
    // A file that is not paused shows that the new service works, where anything may.
    bench.write("here/held/first.exr", "first");
    bench.write("here/held/second.exr", "second");
    let run = |command: &str| -> Run { bench.run(&[&[command], words].concat()).ends(0) };
    bench.sync().ends(0).sums(2, 0, 0);
    let service = bench.serve();
    let _ = run("pause");
    bench.write("here/held/first.exr", "first, changed");
    bench.write("here/held/third.exr", "third");
    let waits = |state: &str| {
        let rows = queued(&bench);
        rows.len() == 2 && rows.iter().all(|row| row["state"] == state)
    };
    let waiting = || waits("queued") || waits("paused");
    until("both wait", waiting);

    let service = again(&bench, service);
    let status = bench.run(&["status"]).ends(0).stdout;
    assert!(status.contains("paused since"), "{words:?}: {status}");
    // What is found since is held back as well: so it has looked, and had the time to do more.
    bench.write("here/held/fourth.exr", "fourth");
    until("it is found", || {
        queued(&bench).len() == 3 || bench.read("there/held/fourth.exr").is_some()
    });
    let service = again(&bench, service);
    assert_eq!(bench.read("there/held/first.exr").as_deref(), Some("first"), "{words:?}");
    for name in ["third", "fourth"] {
        assert_eq!(bench.read(&format!("there/held/{name}.exr")), None, "{words:?}: {name}");
    }
    let _ = run("resume");
    until("it moves", || bench.counts("there").get("synced") == Some(&4));
    bench.assert_equal_sites();
    let _ = service.end().ends(0);
}

#[test]
fn a_pause_of_the_host_outlives_it() {
    a_pause_outlives(&[]);
}

#[test]
fn a_pause_of_a_project_outlives_it() {
    a_pause_outlives(&["demo"]);
}

#[test]
fn a_pause_of_a_site_outlives_it() {
    a_pause_outlives(&["--site", "there"]);
}

#[test]
fn a_pause_of_a_representation_outlives_it() {
    a_pause_outlives(&["demo", "held"]);
}

/// At both ends there is work, and it dies whenever some more has arrived.
#[test]
fn deaths_in_the_middle_of_work_leave_nothing_stuck() -> Result<()> {
    const FILES: usize = 400;
    let studio = Setup::default().loop_delay("1s").text("rescan", "1s").build()?;
    for n in 0..FILES {
        let root = if n % 2 == 0 { studio.studio() } else { studio.remote() };
        studio.write(&root, &format!("shot{}/{n}.exr", n % 7), &vec![7; 40_000 + n])?;
    }
    let both = || -> Result<usize> {
        Ok(digest(&studio.studio())?.len() + digest(&studio.remote())?.len())
    };
    for kill in 1..=5 {
        let so_far = both()?;
        let mut service = studio.spawn_serve()?;
        let more = (so_far + FILES / 10).min(2 * FILES);
        eventually("more has arrived", LIMIT, || {
            ensure!(service.is_alive()?, "it has ended: {}", service.stderr()?);
            Ok((both()? >= more).then_some(()))
        })?;
        ensure!(service.kill()?, "it had ended by itself before kill {kill}");
        // What is called synced is there, whole.
        let (here, there) = (digest(&studio.studio())?, digest(&studio.remote())?);
        let left = studio.catalog_left_behind()?;
        let (studio_id, remote_id) = (left.studio.context("known")?, left.remote.context("known")?);
        for (path, row) in &left.files {
            let has = |site| {
                let mut haves = row.haves.iter();
                haves.any(|have| have.site == site && have.generation == row.generation)
            };
            if has(studio_id) && has(remote_id) {
                ensure!(here.contains_key(path), "{path} is not at the studio");
                ensure!(here.get(path) == there.get(path), "{path} is falsely synced");
            }
        }
    }
    let mut service = studio.spawn_serve()?;
    eventually("all is synced", LIMIT, || {
        ensure!(service.is_alive()?, "it has ended: {}", service.stderr()?);
        let states = studio.catalog_states().unwrap_or_default();
        let synced = |site: &str| states.get(&(site.to_owned(), "synced".to_owned()));
        let all = Some(&(FILES as u64));
        Ok((synced("studio") == all && synced("remote") == all && states.len() == 2).then_some(()))
    })?;
    let queue = studio.run(&["queue", "--json"])?;
    assert!(queue.lines.is_empty(), "something is stuck: {queue:?}");
    assert_eq!(digest(&studio.studio())?, digest(&studio.remote())?);
    service.terminate()?;
    assert_eq!(service.wait()?.code, Some(0));
    for root in [studio.studio(), studio.remote()] {
        assert_eq!(temporaries(&root)?, [""; 0]);
    }
    Ok(())
}
