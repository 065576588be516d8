//! Google's own client for Python agrees with the emulator, and notices when it errs.

mod common;

use std::path::Path;
use std::process::{Command, Output};

use drive_emulator::{Bug, Emulator, Role};

/// Runs `google_client.py`.
fn run(python: &Path, bug: Option<Bug>) -> Output {
    let drive = bug.into_iter().fold(Emulator::builder(), |it, bug| it.bug(bug)).start();
    let account = drive.service_account("robot@studio.iam.gserviceaccount.com");
    let film = drive.shared_drive("Film", &[]);
    drive.share(&film, &account.email, Role::Organizer);
    let shared = drive.folder(&drive.user("owner@studio.example"), "Shared");
    drive.share(&shared, &account.email, Role::Writer);
    let folder = tempfile::tempdir().expect("a folder");
    let key = account.write_to(folder.path());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/google_client.py");
    let mut command = Command::new(python);
    // The emulator is on this machine, whatever leads elsewhere.
    command.env("NO_PROXY", "127.0.0.1").arg(script).arg(drive.url()).arg(key).args([film, shared]);
    command.output().expect("Python runs")
}

#[test]
fn google_client_agrees() {
    let Some(python) = common::program("python", &["-c", "import googleapiclient"]) else { return };
    let output = run(&python, None);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
fn google_client_notices_mistakes() {
    let Some(python) = common::program("python", &["-c", "import googleapiclient"]) else { return };
    for bug in Bug::ALL {
        let output = run(&python, Some(bug));
        let said = String::from_utf8_lossy(&output.stderr);
        println!("{bug:?}: {}", said.lines().last().unwrap_or_default());
        assert!(!output.status.success(), "{bug:?} goes unnoticed");
    }
}
