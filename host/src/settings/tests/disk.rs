//! Files that are refused before a line of them counts.

use std::path::Path;

use super::super::{Errors, Files, Loaded, Settings};
use super::context;

fn load(path: &Path) -> Result<Loaded, Errors> {
    Settings::load(&Files { system: path.into(), ..Files::default() }, &context())
}

/// What loading says, with the folder taken out.
fn told(path: &Path, folder: &Path) -> String {
    let errors = load(path).unwrap_err();
    errors.to_string().replace(&folder.display().to_string(), "FOLDER")
}

#[cfg(unix)]
#[test]
fn a_file_that_others_can_write_is_refused() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("site sync.toml");
    std::fs::write(&path, "").unwrap();
    let mut all = String::new();
    for mode in [0o664, 0o646, 0o666] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        all.push_str(&told(&path, folder.path()));
        all.push('\n');
    }
    insta::assert_snapshot!(all);
    for mode in [0o600, 0o644, 0o755] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        assert!(load(&path).is_ok());
    }
}

#[test]
fn a_missing_file_says_where_it_was_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    insta::assert_snapshot!(told(&folder.path().join("sitesync.toml"), folder.path()));
}

#[test]
fn the_first_file_that_is_there_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let candidates = ["a.toml", "b.toml", "c.toml"].map(|name| folder.path().join(name));
    let error = Settings::find(&candidates).unwrap_err().to_string();
    insta::assert_snapshot!(error.replace(&folder.path().display().to_string(), "FOLDER"));
    for name in ["c.toml", "b.toml"] {
        std::fs::write(folder.path().join(name), "").unwrap();
        assert_eq!(Settings::find(&candidates).unwrap(), folder.path().join(name));
    }
}

#[test]
fn a_folder_is_no_file() {
    let folder = tempfile::tempdir().unwrap();
    insta::assert_snapshot!(told(folder.path(), folder.path()));
}

#[cfg(unix)]
#[test]
fn other_encodings_and_huge_files_are_refused() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sitesync.toml");
    let write = |content: &[u8]| {
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        told(&path, folder.path())
    };
    let latin = write(b"# ok\n[sync]\nactive_site = \"caf\xe9\"\n");
    let huge = write(&vec![b'\n'; (4 << 20) + 1]);
    insta::assert_snapshot!(format!("{latin}\n{huge}"));
}

#[cfg(unix)]
#[test]
fn a_secret_that_anybody_can_read_is_noted() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sitesync.toml");
    let text = "[sites.nas]\nprovider = \"nas\"\npassword = \"hunter2\"\ntoken = \"{USER}\"\n\
        key_file = \"/k\"\nnested.client_secret = \"x{USER}\"\n[projects.demo]\nenabled = false\n";
    std::fs::write(&path, text).unwrap();
    let notes = |mode| {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let notes = load(&path).unwrap().notes;
        let notes: Vec<String> = notes.iter().map(ToString::to_string).collect();
        notes.join("\n\n").replace(&folder.path().display().to_string(), "FOLDER")
    };
    assert_eq!(notes(0o640), "");
    insta::assert_snapshot!(notes(0o644));
}

#[cfg(unix)]
#[test]
fn local_settings_are_checked_like_the_others() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, mode| {
        let path = folder.path().join(name);
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    let system = write("sitesync.toml", 0o664);
    let local = Some(write("local.toml", 0o666));
    let told = |files: &Files| {
        let errors = Settings::load(files, &context()).unwrap_err().to_string();
        errors.replace(&folder.path().display().to_string(), "FOLDER")
    };
    let both = told(&Files { system: system.clone(), local, ..Files::default() });
    let local = Some(folder.path().join("gone.toml"));
    write("sitesync.toml", 0o644);
    let missing = told(&Files { system, local, ..Files::default() });
    insta::assert_snapshot!(format!("{both}\n\n{missing}"));
}

#[cfg(unix)]
#[test]
fn a_file_of_somebody_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sitesync.toml");
    std::fs::write(&path, "").unwrap();
    if std::os::unix::fs::chown(&path, Some(65534), None).is_err() {
        println!("skipped: only root can give a file away");
        return;
    }
    insta::assert_snapshot!(told(&path, folder.path()));
}
