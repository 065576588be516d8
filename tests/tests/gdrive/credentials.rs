//! What people read when the key, the clock, the network or the project is not as it must be: each
//! its own sentence, with what to do.

use std::fs;
use std::path::Path;

use anyhow::Result;
use drive_emulator::{Answer, Emulator, Fault, Kind, Role};
use serde_json::json;
use sitesync_tests::drive::{Cloud, ROBOT};
use sitesync_tests::studio::{Outcome, Setup};

/// What a person sees of a run, without what differs from run to run.
fn seen(outcome: &Outcome) -> String {
    let code = outcome.code.unwrap_or(-1);
    let mut text = format!("exit code {code}\n");
    for (name, part) in [("stdout", &outcome.stdout), ("stderr", &outcome.stderr)] {
        if !part.is_empty() {
            text += &format!("--- {name}\n{part}");
        }
    }
    text
}

/// Compares what `sites` and `sync` say with the snapshot of this name.
fn says(name: &str, cloud: &Cloud) -> Result<()> {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for folder in [cloud.studio.path(), cloud.key().parent().unwrap_or(Path::new("/"))] {
        settings.add_filter(&folder.display().to_string().replace('.', "\\."), "DIR");
    }
    settings.add_filter(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT");
    settings.add_filter(r"site id: [a-z0-9-]+", "site id: SITE");
    settings.add_filter(r"\b\d{4}-\d\d-\d\dT[\d:.]{8,}Z", "TIME");
    settings.add_filter(r"\d+\.\d s\b", "N.N s");
    settings.add_filter(r"\b[0-9A-Za-z_-]{28,44}\b", "ID");
    settings.add_filter(r"\b(ext4|tmpfs|overlay|xfs|btrfs) +[\d.]+ ?[kKMGT]?i?B", "DISK  FREE");
    settings.add_filter(r"\bgdrive:[0-9A-Za-z_-]+", "gdrive:ID");
    // Columns are as wide as what stands in them.
    settings.add_filter(r" {2,}\b", "  ");
    settings.add_filter(r"(?m) +$", "");
    cloud.write("a.exr", b"a")?;
    let (sites, sync) = (cloud.studio.run(&["sites"])?, cloud.studio.run(&["sync"])?);
    let text = format!("$ sitesync sites\n{}\n$ sitesync sync\n{}", seen(&sites), seen(&sync));
    settings.bind(|| insta::assert_snapshot!(name, text));
    assert!(cloud.there().is_empty(), "it was not to work");
    Ok(())
}

/// A studio whose key file has this content.
fn with_key(content: &str) -> Result<Cloud> {
    let key = tempfile::NamedTempFile::new()?;
    fs::write(key.path(), content)?;
    let (_, path) = key.keep()?;
    let cloud = Cloud::new()?;
    let beside = cloud.studio.path().join("key.json");
    fs::rename(path, &beside)?;
    use_key(&cloud, &beside)?;
    Ok(cloud)
}

fn use_key(cloud: &Cloud, key: &Path) -> Result<()> {
    let text = fs::read_to_string(cloud.studio.settings())?;
    let (from, to) = (cloud.key().display().to_string(), key.display().to_string());
    Ok(fs::write(cloud.studio.settings(), text.replace(&from, &to))?)
}

#[test]
fn no_such_file() -> Result<()> {
    let cloud = Cloud::new()?;
    use_key(&cloud, &cloud.studio.path().join("nowhere.json"))?;
    says("key_missing", &cloud)
}

#[test]
fn a_file_that_is_no_key() -> Result<()> {
    says("key_no_json", &with_key("-----BEGIN PRIVATE KEY-----\nMIIEvQ\n")?)
}

#[test]
fn the_login_of_a_person() -> Result<()> {
    let key = json!({"type": "authorized_user", "client_id": "1", "client_secret": "2", "refresh_token": "3"});
    says("key_of_a_person", &with_key(&key.to_string())?)
}

#[test]
fn an_oauth_client() -> Result<()> {
    let key = json!({"installed": {"client_id": "1", "client_secret": "2"}});
    says("key_of_a_client", &with_key(&key.to_string())?)
}

#[test]
fn a_revoked_key() -> Result<()> {
    let cloud = Cloud::new()?;
    cloud.drive.revoke(ROBOT);
    says("key_revoked", &cloud)
}

#[test]
fn a_missing_scope() -> Result<()> {
    let cloud = Cloud::new()?;
    let refused = json!({"error": "invalid_scope",
        "error_description": "Invalid OAuth scope or ID token audience provided."});
    cloud.drive.fault(Fault::on(Kind::Token).always().answer(Answer::status(400, &refused)));
    says("scope_missing", &cloud)
}

#[test]
fn a_user_who_was_not_delegated() -> Result<()> {
    let drive = Emulator::start();
    drive.user("owner@studio.example");
    let setup = |setup: Setup| setup.remote_line("impersonate = \"owner@studio.example\"");
    says("not_delegated", &Cloud::of(drive, setup)?)
}

#[test]
fn a_clock_that_is_two_hours_behind() -> Result<()> {
    says("clock_behind", &Cloud::of(Emulator::builder().clock_offset(7200).start(), |setup| setup)?)
}

#[test]
fn a_clock_that_is_two_hours_ahead() -> Result<()> {
    says("clock_ahead", &Cloud::of(Emulator::builder().clock_offset(-7200).start(), |setup| setup)?)
}

#[test]
fn no_network() -> Result<()> {
    // A port that nobody listens at: one that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let cloud = Cloud::new()?;
    let nowhere = format!("http://127.0.0.1:{port}");
    let key = cloud.studio.path().join("key.json");
    fs::write(&key, cloud.robot.credentials_json().replace(cloud.drive.url(), &nowhere))?;
    use_key(&cloud, &key)?;
    let text = fs::read_to_string(cloud.studio.settings())?;
    fs::write(cloud.studio.settings(), text.replace(cloud.drive.url(), &nowhere))?;
    says("no_network", &cloud)
}

#[test]
fn the_api_is_disabled() -> Result<()> {
    let cloud = Cloud::new()?;
    cloud.drive.disable_api();
    says("api_disabled", &cloud)
}

/// Its own drive is there, and takes nothing.
#[test]
fn a_service_account_has_no_storage() -> Result<()> {
    let drive = Emulator::start();
    let robot = drive.service_account(ROBOT);
    let own = drive.folder(&drive.my_drive(&robot.email), "Own");
    says("no_storage", &Cloud::at(drive, robot, own, "/My Drive/Own", |setup| setup)?)
}

#[test]
fn a_folder_that_may_only_be_read() -> Result<()> {
    let drive = Emulator::start();
    let robot = drive.service_account(ROBOT);
    let owner = drive.user("owner@studio.example");
    let show = drive.folder(&owner, "Show");
    drive.share(&show, &robot.email, Role::Reader);
    says("read_only", &Cloud::at(drive, robot, show, "/My Drive/Show", |setup| setup)?)
}

#[test]
fn two_folders_of_one_name() -> Result<()> {
    let drive = Emulator::start();
    let robot = drive.service_account(ROBOT);
    let mut last = None;
    for person in ["ada@studio.example", "bob@studio.example"] {
        let folder = drive.folder(&drive.user(person), "Show");
        drive.share(&folder, &robot.email, Role::Writer);
        last = Some(folder);
    }
    let root = last.expect("two folders");
    says("two_roots", &Cloud::at(drive, robot, root, "/My Drive/Show", |setup| setup)?)
}

#[test]
fn nothing_is_shared() -> Result<()> {
    let drive = Emulator::start();
    let robot = drive.service_account(ROBOT);
    let root = drive.user("owner@studio.example");
    says("nothing_shared", &Cloud::at(drive, robot, root, "/My Drive/Show", |setup| setup)?)
}
