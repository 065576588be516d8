//! `config set` and `config unset` on real files: what is written, and what is left alone.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Stdio;

use sitesync_tests::bench::{Bench, NOBODY, Run, until};

const TEXT: &str = "\
# The studio's settings.

[sync]   # for all
active_site = \"here\"
remote_site = \"there\"     # the share
# retry_count = 3

[sites.here]
provider = \"local_drive\"
root.work = \"DIR/here\"

[sites.there]
provider = \"local_drive\"
root.work = \"DIR/there\"

[projects.demo]
";

fn bench() -> Bench {
    let bench = Bench::new();
    bench.settings_text(TEXT);
    bench
}

fn text(bench: &Bench) -> String {
    bench.read("sitesync.toml").expect("the settings")
}

/// The binary with something on standard input.
fn fed(bench: &Bench, arguments: &[&str], input: &str) -> Run {
    let mut command = bench.command(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("input");
    let output = child.wait_with_output().expect("an end");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// The value that holds, by `config show`.
fn shown(bench: &Bench, key: &str) -> Option<String> {
    let run = bench.run(&["config", "show", "--json"]).ends(0);
    let value = run.lines().into_iter().find(|line| line["key"] == key)?;
    Some(value["value"].to_string())
}

#[test]
fn what_is_set_holds_and_nothing_else_changes() {
    let bench = bench();
    let old = text(&bench);
    let run = bench.run(&["config", "set", "sync.retry_count", "5"]).ends(0);
    assert!(run.stdout.starts_with("sync.retry_count is set in "), "{run:#?}");
    let new = old.replace("# the share\n", "# the share\nretry_count = 5\n");
    assert_eq!(text(&bench), new);
    assert_eq!(shown(&bench, "sync.retry_count").unwrap(), "5");

    let run = bench.run(&["config", "set", "sync.retry_count", "5"]).ends(0);
    assert_eq!((run.stdout.as_str(), run.stderr.trim()), ("", "sync.retry_count is so already"));

    let _ = bench.run(&["config", "set", "--project", "demo", "loop_delay", "30s"]).ends(0);
    assert_eq!(text(&bench), format!("{new}loop_delay = \"30s\"\n"));

    let _ = bench.run(&["config", "unset", "projects.demo.loop_delay"]).ends(0);
    let _ = bench.run(&["config", "unset", "sync.retry_count"]).ends(0);
    assert_eq!(text(&bench), old);
}

#[test]
fn what_would_be_wrong_is_not_written() {
    let bench = bench();
    let old = text(&bench);
    let cases: &[(&[&str], &str)] = &[
        (&["set", "sync.retry_cuont", "5"], "did you mean `retry_count`?"),
        (&["set", "snyc.retry_count", "5"], "did you mean `sync`?"),
        (&["set", "sync.retry_count", "many"], "`retry_count` must be a whole number"),
        (&["set", "sync.remote_site", "bakcup"], "there is no site `bakcup`"),
        (&["set", "sync.loop_delay", "60 parsecs"], "`loop_delay`"),
        (&["set", "--project", "dmeo", "priority", "5"], "did you mean 'demo'?"),
        (&["set", "sites..root", "5"], "`sites..root` is no key"),
        (&["set", "sync", "5"], "`sync` is a table here"),
        (&["set", "sync.remote_site.name", "5"], "`sync.remote_site` is a value here"),
        (&["unset", "sync.remote_stie"], "did you mean `sync.remote_site`?"),
        (&["unset", "sync.settle"], "`sync.settle` is not set in"),
        (&["set", "sync.exclude", "['a']", "--local"], "local.toml"),
        (&["unset", "sites.there"], "there is no site `there`"),
    ];
    for (arguments, words) in cases {
        let run = bench.run(&[&["config"], *arguments].concat()).ends(2);
        assert!(run.stderr.contains(words), "{arguments:?}: {}", run.stderr);
        assert_eq!(text(&bench), old, "{arguments:?}");
    }
    assert!(!bench.path("state/local.toml").exists());
    let run = bench.run(&["config", "set", "sync.retry_count", "many"]).ends(2);
    assert!(run.stderr.contains("sitesync.toml:6:15"), "{}", run.stderr);
    assert!(run.stderr.contains("sitesync.toml was left as it was"), "{}", run.stderr);
}

#[test]
fn the_local_layer_is_a_file_of_its_own() {
    let bench = bench();
    let old = text(&bench);
    let _ = bench.run(&["config", "set", "sites.here.slots", "4", "--local"]).ends(0);
    assert_eq!(bench.read("state/local.toml").unwrap(), "[sites.here]\nslots = 4\n");
    assert_eq!(fs::metadata(bench.path("state/local.toml")).unwrap().mode() & 0o777, 0o600);
    assert_eq!(shown(&bench, "sites.here.slots").unwrap(), "4");

    let _ =
        bench.run(&["config", "set", "--local", "--project", "demo", "enabled", "false"]).ends(0);
    let run = bench.run(&["config", "set", "sites.here.slots", "6"]).ends(0);
    assert!(
        run.stderr.contains("/state/local.toml:2 (local) says otherwise"),
        "the local one wins: {run:#?}"
    );
    let _ = bench.run(&["config", "unset", "sites.here.slots"]).ends(0);
    let _ = bench.run(&["config", "unset", "--local", "sites.here.slots"]).ends(0);
    let local = bench.read("state/local.toml").unwrap();
    assert_eq!(local, "[sites.here]\n\n[projects.demo]\nenabled = false\n");
    assert_eq!(text(&bench), old);
}

#[test]
fn a_secret_is_read_and_never_an_argument() {
    let bench = bench();
    let old = text(&bench);
    let refused = bench.run(&["config", "set", "sites.there.password", "hush"]).ends(2);
    assert!(refused.stderr.contains("can see what stands on a command line"), "{refused:#?}");
    assert!(refused.stderr.contains("config set sites.there.password - < FILE"), "{refused:#?}");
    assert_eq!(text(&bench), old);

    let run = fed(&bench, &["config", "set", "sync.remote_site", "-"], "here\r\n").ends(0);
    assert!(run.stderr.contains("note: "), "equal ends are worth a note: {run:#?}");
    // Digits only, and a text all the same.
    let run = fed(&bench, &["config", "set", "sites.spare", "-"], "{provider = 'other_drive'}");
    let _ = run.ends(0);
    let run = fed(&bench, &["config", "set", "sites.spare.token", "-"], "12345\n").ends(0);
    assert!(!format!("{run:?}").contains("12345"), "{run:#?}");
    assert!(text(&bench).contains("[sites.spare]\nprovider = 'other_drive'\ntoken = \"12345\"\n"));
}

#[test]
fn mode_and_owner_are_kept_and_links_stay_links() {
    let bench = bench();
    bench.rename("sitesync.toml", "real.toml");
    bench.chmod("real.toml", 0o640);
    let root = fs::metadata("/proc/self").is_ok_and(|this| this.uid() == 0);
    if root {
        std::os::unix::fs::chown(bench.path("real.toml"), None, Some(NOBODY)).unwrap();
    }
    symlink("real.toml", bench.path("sitesync.toml")).unwrap();
    let before = fs::metadata(bench.path("real.toml")).unwrap();
    let _ = bench.run(&["config", "set", "sync.retry_count", "5"]).ends(0);
    assert!(fs::symlink_metadata(bench.path("sitesync.toml")).unwrap().is_symlink());
    let after = fs::symlink_metadata(bench.path("real.toml")).unwrap();
    assert!(bench.read("real.toml").unwrap().contains("retry_count = 5"));
    let of = |metadata: &fs::Metadata| (metadata.mode(), metadata.uid(), metadata.gid());
    assert_eq!(of(&before), of(&after));
    let left: Vec<_> = fs::read_dir(bench.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".new"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_file_that_is_not_to_be_written_is_one_clear_error() {
    let bench = bench();
    bench.chmod("sitesync.toml", 0o444);
    let run = bench.run(&["config", "set", "sync.retry_count", "5"]).ends(2);
    assert!(run.stderr.contains("is read-only (mode 0444)"), "{run:#?}");
    assert_eq!(run.stderr.matches("error").count(), 1, "{run:#?}");
}

#[test]
fn a_file_of_somebody_else_is_left_alone() {
    let mut bench = bench();
    let old = text(&bench);
    if !bench.becomes(NOBODY) {
        return;
    }
    let run = bench.run(&["config", "set", "sync.retry_count", "5"]).ends(2);
    assert!(run.stderr.contains("belongs to user 0"), "{run:#?}");

    // Ours, in a folder that is not.
    std::os::unix::fs::chown(bench.path("sitesync.toml"), Some(NOBODY), Some(NOBODY)).unwrap();
    let run = bench.run(&["config", "set", "sync.retry_count", "5"]).ends(2);
    assert!(run.stderr.contains("its folder must be writable too"), "{run:#?}");
    assert_eq!(text(&bench), old);
}

#[test]
fn of_edits_at_once_none_is_lost() {
    let bench = bench();
    let edits = 12;
    let children: Vec<_> = (0..edits)
        .map(|n| {
            let (key, path) = (format!("sites.here.root.r{n}"), format!("/mnt/r{n}"));
            let mut command = bench.command(&["config", "set", &key, &path]);
            command.stdout(Stdio::null()).spawn().expect("the binary")
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let text = text(&bench);
    for n in 0..edits {
        assert!(text.contains(&format!("root.r{n} = \"/mnt/r{n}\"\n")), "{n}: {text}");
    }
}

#[test]
fn a_reader_never_sees_half_a_file() {
    let bench = bench();
    let mut command = bench.command(&["config", "set", "sync.retry_count", "5"]);
    let mut child = command.stdout(Stdio::null()).spawn().expect("the binary");
    until("the edit", || {
        let seen = text(&bench);
        assert!(seen.starts_with("# The studio's") && seen.ends_with("[projects.demo]\n"));
        child.try_wait().unwrap().is_some()
    });
    let mode = fs::metadata(bench.path("sitesync.toml")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
}
