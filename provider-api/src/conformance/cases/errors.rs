//! What cannot be, is refused by its right kind; and nothing outside of the root is reached.

use std::path::{Path, PathBuf};

use super::{Case, case, needs};
use crate::conformance::content::random;
use crate::conformance::ground::Ground;
use crate::conformance::outcome::{Outcome, demand, not_applicable, refused, refused_somehow};
use crate::{DeleteOptions, ErrorKind, Expect, ReadOptions, Result, WriteOptions};

pub(super) const CASES: &[Case] = &[
    case!(
        "errors",
        paths_out_of_the_root_are_not_looked_at,
        "The host checks paths, and a provider does not count on it: a root is all that it may see."
    ),
    case!(
        "errors",
        paths_with_parts_that_are_none_are_not_written,
        "`..` leads out, `.` and an empty part make two paths of one file."
    ),
    case!(
        "errors",
        paths_with_a_nul_are_refused,
        "A NUL ends a name early in much that is written in C: another file is meant then."
    ),
    case!(
        "errors",
        absolute_paths_do_not_leave_the_root,
        needs::local_path,
        "Joining a folder and an absolute path gives the absolute path."
    ),
    case!(
        "errors",
        links_do_not_lead_out_of_the_root,
        needs::local_path,
        "Anyone who may write to a site could make the host read or replace any file of its machine."
    ),
    case!(
        "errors",
        the_root_is_no_file,
        "The empty path is the root: it can be neither written, nor read, nor deleted as a file."
    ),
    case!(
        "errors",
        errors_say_what_happened,
        "The message is all that a person sees of a failure."
    ),
];

/// The first error of opening and reading.
async fn read_path(t: &Ground, path: &str) -> Result<Vec<u8>> {
    t.open_read_path(path, ReadOptions::new()).await?.rest(1 << 20).await
}

/// The first error of opening, writing and finishing.
async fn write_path(t: &Ground, path: &str) -> Result<()> {
    let bytes = t.content(10);
    let how = WriteOptions::new(bytes.len() as u64, Expect::Nothing);
    let mut writing = t.open_write_path(path, how).await?;
    writing.write(&bytes).await?;
    writing.finish().await.map(drop)
}

async fn list_path(t: &Ground, path: &str) -> Result<()> {
    t.list_path(path, false).await?.all().await.map(drop)
}

const LOOKING: [ErrorKind; 2] = [ErrorKind::InvalidPath, ErrorKind::NotFound];

/// Demands that nothing is found at a path.
async fn is_not_seen(t: &Ground, path: &str) -> Outcome {
    refused(&format!("stat of {path:?}"), t.stat_path(path).await, &LOOKING)?;
    refused(&format!("reading {path:?}"), read_path(t, path).await, &LOOKING)?;
    refused(&format!("listing {path:?}"), list_path(t, path).await, &LOOKING)?;
    Ok(())
}

async fn paths_out_of_the_root_are_not_looked_at(t: Ground) -> Outcome {
    t.put("folder/file", &t.content(10)).await?;
    let around = format!("{}/../../{}/folder/file", t.path(""), t.path(""));
    for path in
        ["..", "../..", "/", "/etc/passwd", "../../../../../../../etc/passwd", "./", &around]
    {
        is_not_seen(&t, path).await?;
    }
    Ok(())
}

/// Demands that nothing is written, made or deleted at a path.
async fn is_not_touched(t: &Ground, path: &str) -> Outcome {
    let kinds = [ErrorKind::InvalidPath];
    refused(&format!("writing {path:?}"), write_path(t, path).await, &kinds)?;
    refused(&format!("making the folder {path:?}"), t.create_folder_path(path).await, &kinds)?;
    let deleted = t.delete_path(path, DeleteOptions::default()).await;
    refused(&format!("deleting {path:?}"), deleted, &LOOKING)?;
    let removed = t.remove_folder_path(path).await;
    refused(&format!("removing {path:?}"), removed, &LOOKING)?;
    Ok(())
}

async fn paths_with_parts_that_are_none_are_not_written(t: Ground) -> Outcome {
    let bytes = t.content(10);
    t.put("folder/file", &bytes).await?;
    t.create_folder("empty").await?;
    // All of them within the suite's folder, whatever a provider makes of them.
    for name in [
        "folder/../new",
        "folder/../folder/file",
        "folder/./new",
        "folder//new",
        "folder/new/",
        "new/..",
        "folder/../empty",
        "empty/",
        "./empty",
    ] {
        let path = t.path(name);
        is_not_touched(&t, &path).await?;
        is_not_seen(&t, &path).await?;
    }
    t.holds("folder/file", &bytes).await?;
    let names: Vec<_> = t.entries("").await?.into_keys().collect();
    demand!(names == ["empty", "folder"], "afterwards {names:?} are there");
    Ok(())
}

async fn paths_with_a_nul_are_refused(t: Ground) -> Outcome {
    let bytes = t.content(10);
    t.put("file", &bytes).await?;
    for name in ["file\0", "file\0.exr", "\0", "new\0/file"] {
        let path = t.path(name);
        is_not_touched(&t, &path).await?;
        is_not_seen(&t, &path).await?;
    }
    t.holds("file", &bytes).await
}

async fn absolute_paths_do_not_leave_the_root(t: Ground) -> Outcome {
    t.put("file", &t.content(10)).await?;
    for name in ["file", "new"] {
        let path = t.on_disk(name).to_string_lossy().into_owned();
        is_not_touched(&t, &path).await?;
        is_not_seen(&t, &path).await?;
    }
    Ok(())
}

/// A folder outside of the root with a file in it, and links to both; removed in the end.
struct Trap {
    outside: PathBuf,
    links: [PathBuf; 2],
}

impl Trap {
    fn set(t: &Ground, bytes: &[u8]) -> std::io::Result<Self> {
        let outside = std::env::temp_dir().join(format!("sitesync-verify-outside-{:x}", random()));
        let links = [t.on_disk("folder link"), t.on_disk("file link")];
        let trap = Trap { outside, links };
        std::fs::create_dir(&trap.outside)?;
        std::fs::write(trap.outside.join("secret"), bytes)?;
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&trap.outside, &trap.links[0])?;
            std::os::unix::fs::symlink(trap.outside.join("secret"), &trap.links[1])?;
        }
        Ok(trap)
    }
}

impl Drop for Trap {
    fn drop(&mut self) {
        for link in &self.links {
            // What a provider put in its place is removed with the suite's folder.
            if link.is_symlink() {
                let _ = std::fs::remove_file(link);
            }
        }
        let _ = std::fs::remove_dir_all(&self.outside);
    }
}

async fn links_do_not_lead_out_of_the_root(t: Ground) -> Outcome {
    t.create_folder("").await?;
    let root = Path::new(t.info().local_path.as_deref().unwrap_or_default());
    if std::env::temp_dir().starts_with(root) {
        return not_applicable("the folder for temporaries lies in the root");
    }
    let secret = t.content(100);
    let trap = match Trap::set(&t, &secret) {
        Ok(trap) => trap,
        Err(error) => return not_applicable(format!("no link could be planted: {error}")),
    };
    let link = "folder link";
    for (what, answer) in [
        ("reading through a link", t.read("folder link/secret").await.map(drop)),
        ("reading a link", t.read("file link").await.map(drop)),
        ("stat through a link", t.stat("folder link/secret").await.map(drop)),
        ("listing a link", list_path(&t, &t.path(link)).await),
        ("writing through a link", t.put("folder link/new", &secret).await.map(drop)),
        ("writing over a link", t.put("file link", &t.content(10)).await.map(drop)),
        ("making a folder through a link", t.create_folder("folder link/new").await),
        ("deleting through a link", t.delete("folder link/secret", DeleteOptions::default()).await),
    ] {
        refused_somehow(what, answer)?;
    }
    let inside = std::fs::read(trap.outside.join("secret")).unwrap_or_default();
    demand!(inside == secret[..], "the file outside of the root has changed");
    let names = std::fs::read_dir(&trap.outside).map(Iterator::count).unwrap_or_default();
    demand!(names == 1, "the folder outside of the root has {names} entries instead of one");
    Ok(())
}

async fn the_root_is_no_file(t: Ground) -> Outcome {
    refused_somehow("writing the root", write_path(&t, "").await)?;
    refused_somehow("reading the root", read_path(&t, "").await)?;
    refused_somehow("deleting the root", t.delete_path("", DeleteOptions::default()).await)?;
    Ok(())
}

async fn errors_say_what_happened(t: Ground) -> Outcome {
    t.put("file", &t.content(10)).await?;
    let wrong = WriteOptions::new(10, Expect::Version("nonsense".into()));
    for answer in [
        t.stat("missing").await.map(drop),
        t.put("file", &t.content(10)).await.map(drop),
        t.write("file", &t.content(10), wrong).await.map(drop),
        t.delete("missing", DeleteOptions::default()).await,
    ] {
        if let Err(error) = answer {
            // What the suite called stands in front, and ends in a colon.
            let said = error.message().trim_end();
            demand!(!said.ends_with(':'), "{said:?} ({}) says nothing", error.kind());
        }
    }
    Ok(())
}
