//! rclone, unmodified, agrees with the emulator through its proxy, and notices when it errs.

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use drive_emulator::{Bug, Emulator, Role};

/// rclone with a remote `gd:`, and a Drive that it takes for Google's.
struct Bench {
    drive: Emulator,
    /// The shared drive that `gd:` is.
    film: String,
    folder: tempfile::TempDir,
    rclone: PathBuf,
    key: PathBuf,
}

impl Bench {
    fn new(rclone: PathBuf, bug: Option<Bug>) -> Bench {
        let builder = Emulator::builder().tls_proxy(true);
        let drive = bug.into_iter().fold(builder, |builder, bug| builder.bug(bug)).start();
        let account = drive.service_account("robot@studio.iam.gserviceaccount.com");
        let film = drive.shared_drive("Film", &[]);
        drive.share(&film, &account.email, Role::Organizer);
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("ca.pem"), drive.ca_pem()).expect("a certificate");
        let key = account.write_to(folder.path());
        Bench { drive, film, folder, rclone, key }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, content).expect("a file");
    }

    fn rclone(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(&self.rclone);
        command
            .current_dir(&self.folder)
            .env("RCLONE_CONFIG", self.path("none.conf"))
            .env("RCLONE_CONFIG_GD_TYPE", "drive")
            .env("RCLONE_CONFIG_GD_SCOPE", "drive")
            .env("RCLONE_CONFIG_GD_SERVICE_ACCOUNT_FILE", &self.key)
            .env("RCLONE_CONFIG_GD_TEAM_DRIVE", &self.film)
            // A mistake shows at once, and is not tried again for minutes.
            .args(["--retries=1", "--low-level-retries=2", "--drive-pacer-min-sleep=1ms"])
            .args(["--drive-chunk-size=256Ki", "--drive-upload-cutoff=300Ki", "--ca-cert=ca.pem"])
            .args(["--http-proxy", self.drive.url()])
            .args(arguments);
        command.output().expect("rclone runs")
    }

    /// Runs rclone; the error is what it says.
    fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let output = self.rclone(arguments);
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// Everything that is tried. The error says what was not as it should be.
    fn try_all(&self) -> Result<(), String> {
        let ensure = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
        self.write("from/plain.txt", b"plain\n");
        self.write("from/empty", b"");
        self.write("from/it's here/back\\slash", b"names\r\n");
        self.write("from/it's here/\u{fc}n\u{ef}code \u{2603}", b"more names");
        self.write("from/dir.v001/deep/er/file.exr", &noise(70_000));
        self.write("from/large.bin", &noise(3 * (256 << 10) + 11));
        self.write("from/exact.bin", &noise(2 * (256 << 10)));
        for number in 0..30 {
            self.write(&format!("from/many/file {number}"), number.to_string().as_bytes());
        }
        let moment = std::time::UNIX_EPOCH + std::time::Duration::from_millis(1_582_979_696_789);
        let plain = fs::File::options().write(true).open(self.path("from/plain.txt"));
        plain.and_then(|file| file.set_modified(moment)).expect("a time");
        self.run(&["copy", "from", "gd:to"])?;
        let listed = self.run(&["lsjson", "gd:to/plain.txt"])?;
        ensure(listed.contains("2020-02-29T12:34:56.789Z"), &format!("a time in {listed}"))?;
        self.run(&["check", "--download", "from", "gd:to"])?;
        self.run(&["check", "from", "gd:to"])?;
        let listed = self.run(&["lsjson", "--recursive", "--files-only", "--hash", "gd:to"])?;
        let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
        ensure(listed.as_array().is_some_and(|all| all.len() == 37), "37 files are listed")?;
        let again = self.rclone(&["copy", "--verbose", "from", "gd:to"]);
        let said = String::from_utf8_lossy(&again.stderr).into_owned();
        ensure(!said.contains("Copied"), "nothing is copied twice")?;

        self.run(&["copy", "gd:to", "back"])?;
        self.run(&["check", "--download", "from", "back"])?;
        self.write("from/plain.txt", b"changed");
        self.run(&["copyto", "--ignore-times", "from/plain.txt", "gd:to/plain.txt"])?;
        ensure(self.run(&["cat", "gd:to/plain.txt"])? == "changed", "new content")?;
        let part = self.run(&["cat", "--offset=2", "--count=3", "gd:to/plain.txt"])?;
        ensure(part == "ang", "a part of a file")?;

        self.run(&["moveto", "gd:to/it's here", "gd:to/elsewhere/it's there"])?;
        self.run(&["copyto", "gd:to/plain.txt", "gd:to/copied.txt"])?;
        self.run(&["deletefile", "gd:to/empty"])?;
        self.run(&["delete", "gd:to/many"])?;
        let left = self.run(&["lsf", "--recursive", "--files-only", "gd:to"])?;
        let mut left: Vec<&str> = left.lines().collect();
        left.sort_unstable();
        let wanted = [
            "copied.txt",
            "dir.v001/deep/er/file.exr",
            "elsewhere/it's there/back\\slash",
            "elsewhere/it's there/\u{fc}n\u{ef}code \u{2603}",
            "exact.bin",
            "large.bin",
            "plain.txt",
        ];
        ensure(left == wanted, &format!("{left:?} are left"))?;
        let to = self.drive.find(&self.film, "to").ok_or("the folder is there")?;
        let tree = self.drive.tree(&to);
        ensure(tree.keys().eq(wanted), &format!("{:?} are in the emulator", tree.keys()))?;
        let same = fs::read(self.path("from/large.bin")).is_ok_and(|it| it == tree["large.bin"]);
        ensure(same, "content as it was sent")?;
        ensure(self.drive.open_sessions() == 0, "no upload is left open")
    }
}

/// Bytes that repeat nowhere near.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(size).collect()
}

fn bench(bug: Option<Bug>) -> Option<Bench> {
    Some(Bench::new(common::program("rclone", &["version"])?, bug))
}

#[test]
fn rclone_agrees() {
    let Some(bench) = bench(None) else { return };
    bench.try_all().unwrap_or_else(|wrong| panic!("{wrong}"));
}

#[test]
fn rclone_notices_mistakes() {
    // The others do not show in what rclone does.
    for bug in
        [Bug::Md5, Bug::LastChunk, Bug::Twice, Bug::Escape, Bug::TrashListed, Bug::ModifiedTime]
    {
        let Some(bench) = bench(Some(bug)) else { return };
        let wrong = bench.try_all().expect_err(&format!("{bug:?} goes unnoticed"));
        println!("{bug:?}: {}", wrong.lines().last().unwrap_or_default());
    }
}

#[test]
fn rclone_reads_what_others_wrote() {
    let Some(bench) = bench(None) else { return };
    let folder = bench.drive.folder(&bench.film, "given");
    bench.drive.file(&folder, "one", "1\n");
    bench.drive.docs(&folder, "a document");
    bench.drive.file(&bench.drive.folder(&folder, "deep"), "two", "2\n");
    let listed = bench.run(&["cat", "gd:given", "--drive-skip-gdocs"]).expect("rclone reads");
    assert_eq!(listed.lines().count(), 2, "{listed}");
}
