//! Settings that change while the service runs.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use sitesync_tests::studio::{Running, Setup, Studio, digest, eventually};

/// A minute is more than any machine needs.
const LIMIT: Duration = Duration::from_secs(60);

fn studio() -> Result<Studio> {
    Setup::default().loop_delay("1s").text("rescan", "1s").build()
}

fn arrives(studio: &Studio, host: &mut Running, name: &str) -> Result<()> {
    studio.write(&studio.studio(), name, name.as_bytes())?;
    eventually(&format!("{name} is there"), LIMIT, || {
        ensure!(host.is_alive()?, "it has ended: {}", host.stderr()?);
        let (here, there) = (digest(&studio.studio())?, digest(&studio.remote())?);
        Ok((here == there).then_some(()))
    })
}

fn says(host: &Running, words: &str, times: usize) -> Result<()> {
    eventually(&format!("it says {words:?}"), LIMIT, || {
        Ok((host.stderr()?.matches(words).count() >= times).then_some(()))
    })
}

/// Writes other settings, in one step.
fn change(studio: &Studio, change: impl Fn(&str) -> String) -> Result<()> {
    let settings = fs::read_to_string(studio.settings())?;
    let new = studio.path().join("new.toml");
    fs::copy(studio.settings(), &new)?;
    fs::write(&new, change(&settings))?;
    Ok(fs::rename(new, studio.settings())?)
}

#[test]
fn a_project_that_is_added_begins_and_one_that_is_switched_off_ends() -> Result<()> {
    let studio = studio()?;
    let mut host = studio.spawn_serve()?;
    arrives(&studio, &mut host, "a.exr")?;
    for folder in ["studio2", "remote2"] {
        fs::create_dir(studio.path().join(folder))?;
    }
    fs::write(studio.path().join("studio2/b.exr"), "b")?;
    let root = |name: &str| studio.path().join(name);
    change(&studio, |settings| {
        format!(
            "{settings}\n[projects.second]\nactive_site = \"studio\"\nremote_site = \"remote\"\n\
             sites.studio.root.work = {:?}\nsites.remote.root.work = {:?}\n",
            root("studio2"),
            root("remote2")
        )
    })?;
    eventually("the new project's file is there", LIMIT, || {
        ensure!(host.is_alive()?, "it has ended: {}", host.stderr()?);
        Ok(root("remote2").join("b.exr").exists().then_some(()))
    })?;
    arrives(&studio, &mut host, "c.exr")?;

    change(&studio, |settings| {
        settings.replace("[projects.demo]", "[projects.demo]\nenabled = false")
    })?;
    says(&host, "the settings were read again", 2)?;
    studio.write(&studio.studio(), "late.exr", b"late")?;
    fs::write(root("studio2").join("d.exr"), "d")?;
    eventually("the other project goes on", LIMIT, || {
        Ok(root("remote2").join("d.exr").exists().then_some(()))
    })?;
    assert!(!studio.remote().join("late.exr").exists(), "nobody works on it any more");

    change(&studio, |settings| settings.replace("enabled = false", "enabled = true"))?;
    eventually("it goes on", LIMIT, || {
        Ok(studio.remote().join("late.exr").exists().then_some(()))
    })?;
    host.terminate()?;
    assert_eq!(host.wait_for(LIMIT)?.code, Some(0));
    Ok(())
}

#[test]
fn wrong_settings_are_refused_as_a_whole_and_told() -> Result<()> {
    let studio = studio()?;
    let mut host = studio.spawn_serve()?;
    arrives(&studio, &mut host, "a.exr")?;
    change(&studio, |settings| {
        settings.replace("loop_delay = \"1s\"", "loop_delai = \"2s\"\nretry_count = -1")
    })?;
    says(&host, "changed settings are refused", 1)?;
    assert!(host.stderr()?.contains("did you mean `loop_delay`?"), "{}", host.stderr()?);
    arrives(&studio, &mut host, "b.exr")?;
    assert!(host.stderr()?.contains("retry_count"), "all errors at once: {}", host.stderr()?);
    let status = studio.run(&["status"])?;
    assert_eq!(status.code, Some(2), "{status:?}");
    assert!(status.stderr.contains("did you mean `loop_delay`?"), "{status:?}");
    assert!(status.stderr.contains("goes on with its former settings"), "{status:?}");

    change(&studio, |settings| {
        settings.replace("loop_delai = \"2s\"\nretry_count = -1", "loop_delay = \"1s\"")
    })?;
    says(&host, "the settings were read again", 1)?;
    arrives(&studio, &mut host, "c.exr")?;
    host.terminate()?;
    assert_eq!(host.wait_for(LIMIT)?.code, Some(0));
    Ok(())
}

#[test]
fn a_root_that_moves_reopens_its_site_only() -> Result<()> {
    let studio = studio()?;
    let mut host = studio.spawn_serve()?;
    arrives(&studio, &mut host, "a.exr")?;
    let moved = studio.path().join("moved");
    fs::rename(studio.remote(), &moved)?;
    says(&host, "trying again in", 1)?;
    let (from, to) = (format!("{:?}", studio.remote()), format!("{moved:?}"));
    change(&studio, |settings| settings.replace(&from, &to))?;
    studio.write(&studio.studio(), "b.exr", b"b")?;
    eventually("it goes on at the new place", LIMIT, || {
        ensure!(host.is_alive()?, "it has ended: {}", host.stderr()?);
        Ok(moved.join("b.exr").exists().then_some(()))
    })?;
    host.terminate()?;
    assert_eq!(host.wait_for(LIMIT)?.code, Some(0));
    Ok(())
}

#[test]
fn a_site_whose_account_changes_is_connected_anew_and_no_other() -> Result<()> {
    let setup = Setup::default().loop_delay("1s").text("rescan", "1s").remote("misbehaving");
    let studio = setup.remote_line("account = \"first\"").build()?;
    let mut command = studio.command();
    command.arg("serve").env("SITESYNC_LOG", "sitesync::sites=debug,info");
    let mut host = studio.start(&mut command)?;
    arrives(&studio, &mut host, "a.exr")?;
    // Where a setting stands makes no difference.
    change(&studio, |settings| format!("# A remark.\n\n{settings}"))?;
    says(&host, "the settings were read again", 1)?;
    arrives(&studio, &mut host, "b.exr")?;
    assert_eq!(host.stderr()?.matches("connected").count(), 2, "{}", host.stderr()?);

    change(&studio, |settings| settings.replace("\"first\"", "\"second\""))?;
    says(&host, "goes on with other settings, or another generation", 1)?;
    arrives(&studio, &mut host, "c.exr")?;
    let log = host.stderr()?;
    let of = |provider: &str| {
        log.lines().filter(|line| line.contains("connected") && line.contains(provider)).count()
    };
    assert_eq!((of("local_drive"), of("misbehaving")), (1, 2), "{log}");
    host.terminate()?;
    assert_eq!(host.wait_for(LIMIT)?.code, Some(0));
    Ok(())
}
