//! Whose plug-ins the real binary loads, and which: nothing that others could have written, and
//! where that is asked for, nothing that was not admitted.

use std::os::unix::fs::{MetadataExt, chown};

use serde_json::Value;
use sitesync_tests::bench::{Bench, NOBODY, Run, patched, wait};

const PINNED: (&str, &str) = ("plugins", "trust = \"pinned\"");
const FILE: &str = "providers/liblocal_drive.so";

/// What `sitesync providers` tells of the file of this name.
fn told(bench: &Bench, file: &str) -> Value {
    let run = bench.run(&["providers", "--json"]).ends(0);
    let is_it = |line: &Value| line["path"].as_str().is_some_and(|path| path.ends_with(file));
    run.lines().into_iter().find(is_it).unwrap_or_else(|| panic!("no {file}: {run:#?}"))
}

#[track_caller]
fn refused(bench: &Bench, file: &str, reason: &str, remedy: &str) {
    let told = told(bench, file);
    let text = |name: &str| told["refused"][name].as_str().unwrap_or_default().to_owned();
    assert!(text("reason").contains(reason), "{told:#}");
    assert!(text("remedy").contains(remedy), "{told:#}");
}

#[track_caller]
fn admit(bench: &Bench, file: &str) -> Run {
    bench.run(&["provider", "trust", file]).ends(0)
}

#[test]
fn only_what_was_admitted_is_loaded() {
    let bench = Bench::with(&[PINNED]);
    bench.write("here/a.exr", "a");
    refused(&bench, FILE, "was never admitted (SHA-256 ", "run: sitesync provider trust /");
    let run = bench.sync().ends(1);
    assert!(run.offline().is_some_and(|why| why.contains("was never admitted")), "{run:#?}");

    let run = admit(&bench, FILE);
    let sha256 = told(&bench, FILE)["sha256"].as_str().unwrap().to_owned();
    assert!(run.stdout.contains(&sha256) && run.stdout.contains("local_drive 0.1.0"), "{run:#?}");
    bench.sync().ends(0).sums(1, 0, 0);

    // One more byte at its end, which changes nothing of what it does.
    let original = bench.bytes(FILE);
    bench.plug("local_drive", &[original.as_slice(), b"."].concat());
    refused(&bench, FILE, "liblocal_drive.so was changed since it was admitted on 2", "trust /");
    bench.write("here/b.exr", "b");
    assert!(bench.sync().ends(1).offline().is_some_and(|why| why.contains("was changed since")));
    admit(&bench, FILE);
    bench.sync().ends(0).sums(1, 0, 0);

    // What was admitted once stays so, wherever it lies and whatever it is called.
    bench.remove(FILE);
    bench.plug("renamed", &original);
    assert_eq!(told(&bench, "librenamed.so")["stage"], "loaded");
    let run = bench.run(&["provider", "trust", "--revoke", &sha256[..8]]).ends(0);
    assert!(run.stdout.starts_with("revoked: local_drive"), "{run:#?}");
    refused(&bench, "librenamed.so", "was never admitted", "sitesync provider trust /");
}

#[test]
fn nothing_runs_that_was_not_admitted() {
    let bench = Bench::with(&[PINNED]);
    let crashes = std::fs::read(sitesync_tests::plugin("crashes_on_load").unwrap()).unwrap();
    bench.plug("crashes", &crashes);
    refused(&bench, "libcrashes.so", "was never admitted", "trust /");
    assert_eq!(told(&bench, "libcrashes.so")["stage"], "found");
    admit(&bench, "providers/libcrashes.so");
    refused(&bench, "libcrashes.so", "crashes when loaded", "install another version");
}

#[test]
fn the_admitted_one_serves_where_a_higher_version_is_not() {
    let bench = Bench::with(&[PINNED]);
    admit(&bench, FILE);
    let newer = patched(bench.bytes(FILE), "version=0.1.0\n", "version=0.2.0\n");
    bench.plug("newer", &newer);
    bench.write("here/a.exr", "a");
    bench.sync().ends(0).sums(1, 0, 0);
    refused(&bench, "libnewer.so", "was never admitted", "trust /");
    assert_eq!(told(&bench, FILE)["stage"], "loaded");
}

#[test]
fn admitting_asks_whose_file_it_is() {
    let bench = Bench::with(&[PINNED]);
    bench.chmod(FILE, 0o664);
    let run = bench.run(&["provider", "trust", FILE]).ends(3);
    assert!(run.stderr.contains("can be written by its group"), "{run:#?}");
    assert!(run.stderr.contains("chmod go-w"), "{run:#?}");
    bench.write("text.so", "no library");
    let run = bench.run(&["provider", "trust", "text.so"]).ends(3);
    assert!(run.stderr.contains("is not a shared library"), "{run:#?}");
    assert!(bench.run(&["provider", "trust", "--list", "--json"]).ends(0).lines().is_empty());

    // From elsewhere, before it is installed.
    std::fs::rename(bench.path(FILE), bench.path("download.so")).unwrap();
    bench.chmod("download.so", 0o600);
    admit(&bench, "download.so");
    std::fs::rename(bench.path("download.so"), bench.path(FILE)).unwrap();
    assert_eq!(told(&bench, FILE)["stage"], "loaded");
}

#[test]
fn a_list_that_cannot_be_believed_admits_nothing() {
    let bench = Bench::with(&[PINNED]);
    admit(&bench, FILE);
    bench.chmod("state/plugins/trusted.toml", 0o666);
    refused(&bench, FILE, "trusted.toml can be written by everybody", "chmod go-w");
    bench.chmod("state/plugins/trusted.toml", 0o600);
    std::fs::write(bench.path("state/plugins/trusted.toml"), "?").unwrap();
    refused(&bench, FILE, "trusted.toml cannot be used: line 1", "admit the plug-ins again");
    let run = bench.run(&["provider", "trust", FILE]).ends(3);
    assert!(run.stderr.contains("trusted.toml cannot be used"), "{run:#?}");
}

#[test]
fn settings_that_are_wrong_load_nothing() {
    let bench = Bench::with(&[("plugins", "trust = \"pined\"")]);
    let run = bench.run(&["providers"]).ends(2);
    assert!(run.stderr.contains("did you mean `pinned`?"), "{run:#?}");
    assert!(!bench.path("state/plugins").exists());
}

#[test]
fn a_folder_that_can_be_exchanged_is_refused() {
    let bench = Bench::new();
    for (mode, fine) in [(0o775, true), (0o1777, true), (0o777, false)] {
        bench.chmod("", mode);
        if fine {
            assert_eq!(told(&bench, FILE)["stage"], "loaded", "{mode:o}");
        } else {
            refused(&bench, FILE, "can be exchanged: everybody can write to", "run: chmod o-w /");
        }
    }
    bench.chmod("", 0o755);
}

#[test]
fn what_belongs_to_somebody_else_is_refused() {
    let bench = Bench::new();
    if chown(bench.path(FILE), Some(NOBODY), None).is_err() {
        println!("skipped: needs root to give a file away");
        return;
    }
    let owner = "belongs to user 65534, who is neither root nor the user of this service";
    refused(&bench, FILE, &format!("liblocal_drive.so {owner}"), "run: chown 0 /");
    chown(bench.path(FILE), Some(0), None).unwrap();
    chown(bench.path("providers"), Some(NOBODY), None).unwrap();
    refused(&bench, FILE, &format!("the folder {}", bench.path("providers").display()), "chown 0");
}

/// The plug-ins are root's, the service is somebody else.
#[test]
fn a_service_user_without_rights_admits_too() {
    let mut bench = Bench::with(&[PINNED]);
    if !bench.becomes(NOBODY) {
        return;
    }
    refused(&bench, FILE, "was never admitted", "trust /");
    admit(&bench, FILE);
    assert_eq!(told(&bench, FILE)["stage"], "loaded");
    let list = std::fs::metadata(bench.path("state/plugins/trusted.toml")).unwrap();
    assert_eq!((list.uid(), list.mode() & 0o777), (NOBODY, 0o600));
    chown(bench.path(FILE), Some(1), None).unwrap();
    refused(&bench, FILE, "belongs to user 1, who is neither", "run: chown 65534 /");
}

/// `[plugins] folders` counts where no `--plugins` is given.
#[test]
fn folders_of_the_settings() {
    let bench = Bench::with(&[("plugins", "folders = [\"DIR/nowhere\", \"DIR/elsewhere\"]")]);
    let given = bench.command(&["providers", "--json"]);
    let folder = bench.path("providers");
    let arguments: Vec<_> =
        given.get_args().filter(|one| *one != "--plugins" && *one != folder).collect();
    let mut command = std::process::Command::new(given.get_program());
    command.args(arguments).stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    bench.rename("providers", "elsewhere");
    let run = wait(command.spawn().unwrap()).ends(0);
    let path = bench.path("elsewhere/liblocal_drive.so");
    assert_eq!(run.last()["path"], path.to_str().unwrap());
    assert_eq!(run.last()["sites"], serde_json::json!(["here", "there"]));
}
