//! Who may have written a file that is about to run as a part of this process.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::report::{Refusal, quoted};

/// Accepts what belongs to root or to the user of this process, and is writable by nobody else.
///
/// Asked of the file, and of the folder that holds it: who may write there may exchange the file.
/// Access lists need no look of their own: what they grant shows in the group's bits.
pub(super) fn check(path: &Path, metadata: &Metadata) -> Result<(), Refusal> {
    let me = rustix::process::geteuid().as_raw();
    let what = if metadata.is_dir() { "the folder" } else { "the file" };
    let owner = metadata.uid();
    if owner != 0 && owner != me {
        return Err(Refusal::new(
            format!(
                "{what} {} belongs to user {owner}, who is neither root nor the user of this \
                 service (user {me})",
                path.display()
            ),
            format!("if its content can be trusted, run: chown {me} {}", quoted(path)),
        ));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o022 != 0 {
        let who = if mode & 0o002 != 0 { "everybody" } else { "its group" };
        return Err(Refusal::new(
            format!("{what} {} can be written by {who} (mode {mode:04o})", path.display()),
            format!("if its content can be trusted, run: chmod go-w {}", quoted(path)),
        ));
    }
    Ok(())
}

/// Whose a file is, for people.
pub(super) fn describe(metadata: &Metadata) -> String {
    format!("user {}, mode {:04o}", metadata.uid(), metadata.mode() & 0o7777)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn who_may_write_decides() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a b.so");
        std::fs::write(&file, "x").unwrap();
        for (mode, fine) in [
            (0o644, true),
            (0o755, true),
            (0o400, true),
            (0o664, false),
            (0o646, false),
            (0o666, false),
            (0o1777, false),
        ] {
            std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
            let verdict = check(&file, &file.metadata().unwrap());
            assert_eq!(verdict.is_ok(), fine, "{mode:o}: {verdict:?}");
            if let Err(refusal) = verdict {
                assert!(refusal.remedy.contains("chmod go-w '"), "{refusal}");
            }
        }
    }
}
