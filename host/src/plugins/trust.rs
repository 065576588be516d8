//! Who may have written a file that is about to run as a part of this process.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::report::{Refusal, quoted};

/// Which plug-ins may run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Trust {
    /// All that only root or the user of this process can have written.
    #[default]
    Owner,
    /// Of these, only those whose content was admitted.
    Pinned,
}

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

/// Accepts a folder if nobody else can put another one in its place: every folder above it would
/// have to be writable by everybody for that, and not be sticky, as `/tmp` is.
///
/// A group's right to write above is accepted. It is the owner's own group on many systems, and
/// who shares it decides an administrator.
pub(super) fn check_above(folder: &Path) -> Result<(), Refusal> {
    let unreadable = |path: &Path, error: std::io::Error| {
        Refusal::new(
            format!("the folder {} cannot be looked at: {error}", path.display()),
            "see that the service's user may enter it",
        )
    };
    let named = std::path::absolute(folder).map_err(|error| unreadable(folder, error))?;
    let real = folder.canonicalize().map_err(|error| unreadable(folder, error))?;
    // The path as it was named counts too: a link on the way could lead elsewhere tomorrow.
    for above in named.ancestors().skip(1).chain(real.ancestors().skip(1)) {
        let metadata = above.metadata().map_err(|error| unreadable(above, error))?;
        let mode = metadata.mode() & 0o7777;
        if mode & 0o002 != 0 && mode & 0o1000 == 0 {
            return Err(Refusal::new(
                format!(
                    "the folder {} can be exchanged: everybody can write to {} above it (mode \
                     {mode:04o})",
                    folder.display(),
                    above.display()
                ),
                format!("if its content can be trusted, run: chmod o-w {}", quoted(above)),
            ));
        }
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

    #[test]
    fn a_folder_that_can_be_exchanged_is_refused() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("a/b/providers");
        std::fs::create_dir_all(&folder).unwrap();
        std::os::unix::fs::symlink(&folder, top.path().join("link")).unwrap();
        let above = top.path().join("a");
        for (mode, fine) in [(0o755, true), (0o775, true), (0o1777, true), (0o777, false)] {
            std::fs::set_permissions(&above, PermissionsExt::from_mode(mode)).unwrap();
            for folder in [&folder, &top.path().join("link")] {
                let verdict = check_above(folder);
                assert_eq!(verdict.is_ok(), fine, "{mode:o}: {verdict:?}");
                if let Err(refusal) = verdict {
                    assert!(refusal.remedy.ends_with(&format!("chmod o-w {}", above.display())));
                }
            }
        }
    }
}
