//! `sitesync init`: by flags and by answers, what it writes, and what it says of the sites.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use sitesync_tests::bench::{Bench, Run};

/// The binary beside the bench's settings, with something on standard input.
fn init(bench: &Bench, arguments: &[&str], answers: &str) -> Run {
    // The bench names its settings; here they are still to be made.
    let with_settings = bench.command(&[]);
    let mut command = Command::new(with_settings.get_program());
    command.arg("init").args(arguments).arg("--output").arg(bench.path("made/sitesync.toml"));
    command
        .arg("--state-dir")
        .arg(bench.path("state"))
        .arg("--plugins")
        .arg(bench.path("providers"));
    command.env("HOME", bench.path("home")).env_remove("XDG_CONFIG_HOME");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary");
    // It may end without reading.
    let _ = child.stdin.take().expect("a pipe").write_all(answers.as_bytes());
    let output = child.wait_with_output().expect("an end");
    let text = |bytes: Vec<u8>| {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        text.replace(&bench.path("").display().to_string(), "DIR")
    };
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

fn bench() -> Bench {
    let bench = Bench::new();
    bench.remove("sitesync.toml");
    for folder in ["here/demo", "here/robots", "there/demo", "there/robots"] {
        fs::create_dir_all(bench.path(folder)).unwrap();
    }
    bench
}

fn flags(bench: &Bench, more: &[&str]) -> Vec<String> {
    let root = |name: &str| bench.path(name).display().to_string();
    let mut flags =
        vec!["--active-root".into(), root("here"), "--remote-root".into(), root("there")];
    flags.extend(more.iter().map(|&flag| flag.to_owned()));
    flags
}

fn with_flags(bench: &Bench, more: &[&str]) -> Run {
    let flags = flags(bench, more);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    init(bench, &flags, "")
}

fn made(bench: &Bench) -> String {
    let text = bench.read("made/sitesync.toml").expect("the file");
    text.replace(&bench.path("").display().to_string(), "DIR")
}

/// Takes the made file for the bench's own, and syncs with it.
fn works(bench: &Bench) {
    bench.rename("made/sitesync.toml", "sitesync.toml");
    let _ = bench.run(&["config", "check"]).ends(0);
    bench.write("here/demo/a.exr", "a");
    let _ = bench.run(&["sync"]).ends(0);
    assert_eq!(bench.read("there/demo/a.exr").as_deref(), Some("a"));
}

#[test]
fn a_studio_by_flags() {
    let bench = bench();
    let run = with_flags(&bench, &["--project", "demo", "--project", "robots"]).ends(0);
    insta::assert_snapshot!("init_studio", made(&bench));
    let mode = fs::metadata(bench.path("made/sitesync.toml")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    for words in ["DIR/made/sitesync.toml is written", "work=DIR/there/robots", "ok", "sync"] {
        assert!(run.stdout.contains(words), "{words}: {run:#?}");
    }
    works(&bench);
}

#[test]
fn an_artist_by_answers() {
    let bench = bench();
    let dir = bench.path("").display().to_string();
    let answers = format!("\n{dir}/here/\n\n\n{dir}/there\n*\nyes\n");
    let run = init(&bench, &["--artist", "--ask"], &answers).ends(0);
    insta::assert_snapshot!("init_artist", made(&bench));
    for question in ["for the site 'local'", "Providers: local_drive", "[studio]", "Projects"] {
        assert!(run.stderr.contains(question), "{question}: {run:#?}");
    }
    works(&bench);
}

#[test]
fn what_is_missing_is_named_and_nothing_is_written() {
    let bench = bench();
    let run = init(&bench, &["--remote-root", "/x"], "").ends(2);
    assert!(run.stderr.contains("these are needed: --active-root, --project"), "{run:#?}");
    let run = init(&bench, &["--ask"], "/mnt/a\n").ends(2);
    assert!(run.stderr.contains("there is no answer to: Name of the site"), "{run:#?}");
    let run = with_flags(&bench, &["--project", "no/name"]).ends(2);
    assert!(run.stderr.contains("`no/name` is no name for a project"), "{run:#?}");
    let run = with_flags(&bench, &["--project", "demo", "--remote-set", "token=hush"]).ends(2);
    assert!(run.stderr.contains("is a secret"), "{run:#?}");
    assert!(!bench.path("made").exists());
}

#[test]
fn what_is_there_is_never_overwritten() {
    let bench = bench();
    bench.write("made/sitesync.toml", "# mine\n");
    let run = with_flags(&bench, &["--project", "demo"]).ends(2);
    assert!(run.stderr.contains("DIR/made/sitesync.toml is there already"), "{run:#?}");
    assert_eq!(made(&bench), "# mine\n");
}

#[test]
fn a_root_that_is_not_there_is_told_with_what_to_do() {
    let bench = bench();
    bench.remove("there/robots");
    let run = with_flags(&bench, &["--project", "demo", "--project", "robots"]).ends(1);
    assert!(run.stdout.contains("offline"), "{run:#?}");
    assert!(run.stderr.contains("DIR/there/robots"), "{run:#?}");
    assert!(run.stderr.contains("1 root not ready"), "{run:#?}");
    assert!(bench.path("made/sitesync.toml").exists());
}

#[test]
fn the_unit_is_printed_or_installed() {
    let bench = bench();
    let install = format!("--install-systemd={}", bench.path("units").display());
    let run = with_flags(&bench, &["--project", "demo", "--systemd", &install]).ends(0);
    let unit = bench.read("units/sitesync.service").expect("the unit");
    let dir = bench.path("").display().to_string();
    let unit = unit.replace(&dir, "DIR");
    assert!(run.stdout.contains(&unit), "{run:#?}");
    assert!(run.stdout.contains("enable --now sitesync"), "{run:#?}");
    for line in [
        " --config DIR/made/sitesync.toml --state-dir DIR/state serve\n",
        "Restart=on-failure\n",
        "ExecReload=/bin/kill -HUP $MAINPID\n",
        "NoNewPrivileges=yes\n",
    ] {
        assert!(unit.contains(line), "{line}: {unit}");
    }
    // For settings that are there, nothing else is said or done.
    bench.write("sitesync.toml", bench.read("made/sitesync.toml").expect("the settings"));
    let run = bench.run(&["init", "--systemd"]).ends(0);
    let same = unit.replace("made/sitesync.toml", "sitesync.toml");
    assert_eq!(run.stdout.replace(&dir, "DIR"), same);
    bench.remove("sitesync.toml");

    // A unit that is there is not overwritten either, and stops it before anything is written.
    bench.remove("made/sitesync.toml");
    let run = with_flags(&bench, &["--project", "demo", &install]).ends(2);
    assert!(run.stderr.contains("DIR/units/sitesync.service is there already"), "{run:#?}");
    assert!(!bench.path("made/sitesync.toml").exists());
}
