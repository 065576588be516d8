//! Keys, tokens and the addresses of uploads are nobody's business: neither in what is printed or
//! logged, however much of it, nor in what is kept.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use drive_emulator::{Answer, Emulator, Fault, Kind};
use sitesync_tests::bench::until;
use sitesync_tests::content;
use sitesync_tests::drive::Cloud;
use sitesync_tests::studio::{files, program};

/// What must not be found: each line of the private key, what tokens and keys begin with.
fn of_the_key(cloud: &Cloud) -> Result<BTreeSet<String>> {
    let key: serde_json::Value = serde_json::from_str(&cloud.robot.credentials_json())?;
    let pem = key["private_key"].as_str().context("a private key")?;
    let lines = pem.lines().filter(|line| !line.starts_with("-----") && line.len() > 16);
    let mut secrets: BTreeSet<String> = lines.map(str::to_owned).collect();
    ensure!(secrets.len() > 10, "a private key has many lines");
    secrets.insert("ya29.".to_owned());
    secrets.insert("PRIVATE KEY".to_owned());
    Ok(secrets)
}

/// The names of the uploads that there were: who knows one can go on with it.
fn of_uploads(cloud: &Cloud) -> BTreeSet<String> {
    let requests = cloud.drive.requests().into_iter();
    let queries: Vec<String> = requests.map(|request| request.query).collect();
    let parts = queries.iter().flat_map(|query| query.split('&'));
    parts.filter_map(|part| part.strip_prefix("upload_id=")).map(str::to_owned).collect()
}

fn found(secrets: &BTreeSet<String>, bytes: &[u8]) -> Option<String> {
    let holds =
        |secret: &&String| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
    secrets.iter().find(holds).map(|secret| format!("{}...", &secret[..secret.len().min(12)]))
}

/// A run in which much happens: small and large files, refusals, broken connections, a kill.
fn eventful(cloud: &Cloud) -> Result<Vec<(String, String)>> {
    let mut said = Vec::new();
    let mut run = |arguments: &[&str]| -> Result<()> {
        let mut command = cloud.studio.command();
        command.env("SITESYNC_LOG", "trace").args(arguments);
        let outcome = cloud.studio.start(&mut command)?.wait()?;
        said.push((format!("{arguments:?}: stdout"), outcome.stdout));
        said.push((format!("{arguments:?}: stderr"), outcome.stderr));
        Ok(())
    };
    cloud.write("shot/small.exr", &content::record(1, 9000))?;
    cloud.write("shot/large.mov", &content::record(2, 12 << 20))?;
    for fault in [
        Fault::on(Kind::Token).answer(Answer::server_error(503, "")),
        Fault::on(Kind::Multipart).answer(Answer::permission()),
        Fault::on(Kind::Chunk).nth(2).answer(Answer::rate_limited()),
        Fault::on(Kind::Chunk).nth(4).answer(Answer::drop_after_bytes(300_000)),
        Fault::on(Kind::QueryUpload).answer(Answer::server_error(500, "")),
    ] {
        cloud.drive.fault(fault);
    }
    run(&["sync"])?;
    cloud.drive.clear_faults();
    // Its place is kept, and the process gone.
    cloud.write("shot/larger.mov", &content::record(3, 90 << 20))?;
    cloud.drive.set_bandwidth(Some(20 << 20));
    let chunks = cloud.requests(Kind::Chunk).len();
    let mut killed =
        cloud.studio.start(cloud.studio.command().env("SITESYNC_LOG", "trace").arg("sync"))?;
    until("some of it is there", || cloud.requests(Kind::Chunk).len() > chunks + 60);
    killed.kill()?;
    said.push(("the killed one: stderr".into(), killed.stderr()?));
    for arguments in [
        &["config", "show"][..],
        &["config", "show", "--json"],
        &["config", "check"],
        &["config", "schema"],
        &["sites", "--json"],
        &["providers", "--connect", "--json"],
        &["status", "--json"],
        &["queue", "--json"],
    ] {
        let mut command = cloud.studio.command();
        command.env("SITESYNC_LOG", "trace").args(arguments);
        let outcome = cloud.studio.start(&mut command)?.wait()?;
        said.push((format!("{arguments:?}: stdout"), outcome.stdout));
        said.push((format!("{arguments:?}: stderr"), outcome.stderr));
    }
    Ok(said)
}

#[test]
fn nothing_tells_them() -> Result<()> {
    let cloud = Cloud::of(Emulator::start(), |setup| setup.remote_line("chunk_size = 1048576"))?;
    program()?;
    let said = eventful(&cloud)?;
    let (key, uploads) = (of_the_key(&cloud)?, of_uploads(&cloud));
    ensure!(!uploads.is_empty(), "there were no large uploads");
    let all: BTreeSet<String> = key.union(&uploads).cloned().collect();
    let log: usize = said.iter().map(|(_, text)| text.len()).sum();
    ensure!(log > 10_000, "{log} bytes are not all that `trace` logs");
    for (what, text) in &said {
        if let Some(secret) = found(&all, text.as_bytes()) {
            let line = text.lines().find(|line| found(&all, line.as_bytes()).is_some());
            anyhow::bail!("{secret} is in {what}: {line:?}");
        }
    }
    // What is kept, as the killed one left it, and while a service runs.
    kept(&cloud, &key, &uploads)?;
    cloud.drive.set_bandwidth(Some(30 << 20));
    let chunks = cloud.requests(Kind::Chunk).len();
    let mut service = cloud.studio.spawn_serve()?;
    until("it goes on", || cloud.requests(Kind::Chunk).len() > chunks + 5);
    kept(&cloud, &key, &of_uploads(&cloud))?;
    cloud.drive.set_bandwidth(None);
    cloud.until_synced(&mut service, 3)?;
    kept(&cloud, &key, &of_uploads(&cloud))
}

/// Looks into every file of the state folder. The addresses of open uploads may be in the cache
/// folder, where only the service's user can read.
fn kept(cloud: &Cloud, key: &BTreeSet<String>, uploads: &BTreeSet<String>) -> Result<()> {
    let state = cloud.studio.state();
    for path in files(&state)? {
        // What comes and goes is looked at when it is there.
        let Ok(bytes) = fs::read(state.join(&path)) else { continue };
        if path.ends_with(".so") {
            continue;
        }
        if let Some(secret) = found(key, &bytes) {
            anyhow::bail!("{secret} is kept in {path}");
        }
        if let Some(secret) = found(uploads, &bytes) {
            ensure!(path.starts_with("cache/"), "{secret} is kept in {path}");
            is_private(&state.join(&path))?;
        }
    }
    Ok(())
}

fn is_private(file: &Path) -> Result<()> {
    let mode = |path: &Path| Ok::<_, std::io::Error>(path.metadata()?.mode() & 0o777);
    ensure!(mode(file)? == 0o600, "{} has mode {:o}", file.display(), mode(file)?);
    let folder: PathBuf = file.parent().context("a folder")?.to_owned();
    ensure!(mode(&folder)? == 0o700, "{} has mode {:o}", folder.display(), mode(&folder)?);
    Ok(())
}
