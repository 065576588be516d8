//! `sitesync serve`: what is added arrives, what goes away is not mourned too early, and it ends
//! when it is told to.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sitesync_tests::studio::{Running, Setup, Studio, digest, eventually, files, temporaries};

/// A minute is more than any machine needs.
const LIMIT: Duration = Duration::from_secs(60);

fn studio() -> Result<Studio> {
    Setup::default().loop_delay("1s").text("rescan", "1s").build()
}

fn until_synced(studio: &Studio, host: &mut Running, files: u64) -> Result<()> {
    eventually(&format!("{files} files are synced"), LIMIT, || {
        ensure!(host.is_alive()?, "it has ended: {}", host.stderr()?);
        let states = studio.catalog_states().unwrap_or_default();
        let synced = ("remote".to_owned(), "synced".to_owned());
        Ok((states.get(&synced) == Some(&files) && states.len() == 2).then_some(()))
    })
}

fn add(studio: &Studio, names: &[&str]) -> Result<()> {
    names.iter().try_for_each(|name| studio.write(&studio.studio(), name, name.as_bytes()))
}

fn end(studio: &Studio, host: Running) -> Result<()> {
    let told = Instant::now();
    host.terminate()?;
    let outcome = host.wait_for(Duration::from_secs(15))?;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(told.elapsed() < Duration::from_secs(5), "it took {:?}", told.elapsed());
    assert!(studio.status()?["running"].is_null());
    for root in [studio.studio(), studio.remote()] {
        assert_eq!(temporaries(&root)?, [""; 0]);
    }
    Ok(())
}

#[test]
fn what_is_added_changed_and_brought_back_arrives() -> Result<()> {
    let studio = studio()?;
    add(&studio, &["shot/a.exr", "shot/b.exr"])?;
    let mut host = studio.spawn_serve()?;
    until_synced(&studio, &mut host, 2)?;

    add(&studio, &["shot/c.exr", "new/d.exr"])?;
    studio.write(&studio.remote(), "shot/e.exr", b"from elsewhere")?;
    studio.write(&studio.studio(), "shot/a.exr", b"a newer, longer frame")?;
    eventually("both sites are equal", LIMIT, || {
        let (here, there) = (digest(&studio.studio())?, digest(&studio.remote())?);
        Ok((here.len() == 5 && here == there).then_some(()))
    })?;
    until_synced(&studio, &mut host, 5)?;
    assert_eq!(fs::read(studio.remote().join("shot/a.exr"))?, b"a newer, longer frame");
    end(&studio, host)
}

#[test]
fn it_ends_when_told_at_any_time() -> Result<()> {
    let studio = studio()?;
    for n in 0..300 {
        studio.write(&studio.studio(), &format!("shot/{n}.exr"), &vec![7; 50_000])?;
    }
    // At once, and then later and later: while it starts, scans, copies, waits.
    for millis in [0, 20, 100, 300, 1000] {
        let host = studio.spawn_serve()?;
        // A signal before its handler stands ends any program: that is no matter of this test.
        eventually("it runs", LIMIT, || {
            Ok(host.stderr()?.contains("the service runs").then_some(()))
        })?;
        std::thread::sleep(Duration::from_millis(millis));
        end(&studio, host)?;
    }
    let outcome = studio.sync()?;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(digest(&studio.studio())?, digest(&studio.remote())?);
    Ok(())
}

/// A file that a provider was given up on, and still works at, is nobody else's: not even after its
/// pair was opened anew.
#[test]
fn what_does_not_end_stays_claimed_when_its_pair_is_opened_anew() -> Result<()> {
    let fault =
        "fault = \"late_rename\"\ncall = \"finish\"\nonly = \"victim\"\ntimes = 2\nseconds = 25";
    let setup = Setup::default().loop_delay("1s").text("rescan", "1s").remote("misbehaving");
    let studio = setup.remote_line(fault).remote_line("timeout = \"1s\"").build()?;
    add(&studio, &["victim.exr"])?;
    let mut host = studio.spawn_serve()?;
    let says = |host: &mut Running, words: &str| {
        eventually(words, LIMIT, || {
            ensure!(host.is_alive()?, "it has ended: {}", host.stderr()?);
            Ok(host.stderr()?.contains(words).then_some(()))
        })
    };
    says(&mut host, "still works on something that was given up")?;
    let away = studio.path().join("away");
    fs::rename(studio.studio(), &away)?;
    says(&mut host, "trying again in")?;
    fs::rename(&away, studio.studio())?;
    says(&mut host, "went on after an interruption")?;
    add(&studio, &["another.exr"])?;
    eventually("the other file is there", LIMIT, || {
        Ok(studio.remote().join("another.exr").exists().then_some(()))
    })?;
    let in_progress = studio.run(&["queue", "--json", "--state", "in_progress"])?;
    let late = studio.remote().join("victim.exr").exists();
    assert!(late || in_progress.stdout.contains("victim.exr"), "{in_progress:?}");
    until_synced(&studio, &mut host, 2)?;
    assert_eq!(fs::read(studio.remote().join("victim.exr"))?, b"victim.exr");
    end(&studio, host)
}

/// What the catalog says of every file's places, apart from unfinished work.
fn haves(studio: &Studio) -> Result<Vec<String>> {
    let catalog = studio.catalog()?;
    Ok(catalog.files.iter().map(|(path, row)| format!("{path}: {:?}", row.haves)).collect())
}

/// Takes a root away while the service runs, `leaving` something at its place, and brings it back.
fn taken_away(
    root: fn(&Studio) -> std::path::PathBuf,
    leaving: fn(&Path) -> Result<()>,
) -> Result<()> {
    let studio = studio()?;
    add(&studio, &["shot/a.exr", "shot/b.exr", "c.exr"])?;
    let mut host = studio.spawn_serve()?;
    until_synced(&studio, &mut host, 3)?;
    let (before, here, there) =
        (haves(&studio)?, digest(&studio.studio())?, digest(&studio.remote())?);

    let (place, away) = (root(&studio), studio.path().join("away"));
    fs::rename(&place, &away)?;
    leaving(&place)?;
    let left = if place.exists() { files(&place)? } else { Vec::new() };
    eventually("it says that the root is gone", LIMIT, || {
        ensure!(host.is_alive()?, "it has ended: {}", host.stderr()?);
        Ok((host.stderr()?.matches("trying again in").count() >= 2).then_some(()))
    })?;
    assert_eq!(haves(&studio)?, before, "nothing was concluded");
    assert_eq!(
        if place.exists() { files(&place)? } else { Vec::new() },
        left,
        "nothing was written"
    );
    for (root, was) in [(studio.studio(), here), (studio.remote(), there)] {
        let root = if root == place { away.clone() } else { root };
        assert_eq!(digest(&root)?, was, "{}", root.display());
    }

    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    fs::rename(&away, &place)?;
    add(&studio, &["shot/later.exr"])?;
    until_synced(&studio, &mut host, 4)?;
    assert_eq!(digest(&studio.studio())?, digest(&studio.remote())?);
    end(&studio, host)
}

#[test]
fn an_active_root_that_is_gone_for_a_while() -> Result<()> {
    taken_away(Studio::studio, |_| Ok(()))
}

#[test]
fn a_remote_root_that_is_gone_for_a_while() -> Result<()> {
    taken_away(Studio::remote, |_| Ok(()))
}

#[test]
fn an_active_root_that_is_an_empty_mount_point_for_a_while() -> Result<()> {
    taken_away(Studio::studio, |place| Ok(fs::create_dir(place)?))
}

#[test]
fn a_remote_root_that_is_an_empty_mount_point_for_a_while() -> Result<()> {
    taken_away(Studio::remote, |place| Ok(fs::create_dir(place)?))
}

#[test]
fn an_active_root_that_is_another_disk_for_a_while() -> Result<()> {
    taken_away(Studio::studio, |place| {
        fs::create_dir_all(place.join("shot"))?;
        Ok(fs::write(place.join("shot/a.exr"), b"of another disk")?)
    })
}
