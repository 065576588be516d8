//! What others do on the disk, past the provider: artists, renders, other software.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Case, case, needs};
use crate::conformance::ground::{Ground, Item, by_folder};
use crate::conformance::outcome::{
    Failure, Outcome, demand, fail, not_applicable, refused, refused_somehow,
};
use crate::{DeleteOptions, End, ErrorKind, Expect, Metadata, Op, OpServices, WriteOptions};

pub(super) const CASES: &[Case] = &[
    case!(
        "disk",
        a_file_that_was_put_there_is_found,
        needs::local_path,
        "Publishing is done by other software: what it puts there is what is to travel."
    ),
    case!(
        "disk",
        a_file_that_was_put_there_is_not_overwritten,
        needs::local_path,
        "A file that appears at the destination during an upload belongs to who put it there."
    ),
    case!(
        "disk",
        a_change_past_the_provider_changes_the_version,
        needs::local_path,
        "Tools write in place and put the time back: size and time alone would hide it."
    ),
    case!(
        "disk",
        a_change_past_the_provider_is_not_undone,
        needs::local_path,
        "What an artist saved a moment ago is neither replaced nor deleted as the version before."
    ),
    case!(
        "disk",
        a_file_that_was_removed_is_gone,
        needs::local_path,
        "Nothing that the provider remembers makes a file be there that is not."
    ),
    case!(
        "disk",
        a_folder_that_was_removed_is_made_anew,
        needs::local_path,
        "A folder that the provider has just used may be gone, and the next file needs it."
    ),
    case!(
        "disk",
        a_source_that_changes_during_a_copy_is_not_mixed,
        needs::local_path,
        "A copy of a file that is written to meanwhile is of two contents, and looks whole."
    ),
    case!(
        "disk",
        what_cannot_travel_does_not_break_a_listing,
        needs::local_path,
        "A name that is not UTF-8 or a link in a circle is skipped; the others travel."
    ),
];

fn did<T>(what: &str, answer: io::Result<T>) -> Outcome<T> {
    answer.map_err(|error| Failure::Failed(format!("the suite could not {what}: {error}")))
}

/// Puts a file there as other software does.
fn put(t: &Ground, name: &str, bytes: &[u8]) -> Outcome {
    let path = t.on_disk(name);
    let folder = path.parent().unwrap_or(Path::new(""));
    did("make a folder", fs::create_dir_all(folder))?;
    did("write a file", fs::write(path, bytes))
}

/// Writes other bytes in place, and puts the time back.
fn rewrite(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::options().write(true).open(path)?;
    let was = file.metadata()?.modified()?;
    file.write_all(bytes)?;
    file.set_modified(was)
}

async fn a_file_that_was_put_there_is_found(t: Ground) -> Outcome {
    t.create_folder("").await?;
    t.entries("").await?;
    let bytes = t.content(1000);
    put(&t, "folder/file", &bytes)?;
    t.holds("folder/file", &bytes).await?;
    let listed = t.entries("folder").await?.remove("file").map(|entry| entry.fingerprint());
    let found = t.stat("folder/file").await?.fingerprint();
    demand!(listed.as_ref() == Some(&found), "it is listed as {listed:?}, stat says {found:?}");
    Ok(())
}

async fn a_file_that_was_put_there_is_not_overwritten(t: Ground) -> Outcome {
    let (ours, theirs) = (t.content(2 << 20), t.content(1000));
    let how = WriteOptions::new(ours.len() as u64, Expect::Nothing);
    let mut writing = t.open_write("file", how).await?;
    writing.write(&ours).await?;
    put(&t, "file", &theirs)?;
    refused("finishing", writing.finish().await, &[ErrorKind::AlreadyExists])?;
    t.holds("file", &theirs).await
}

/// A file that was changed in place since it was written: its version before, and what it holds.
async fn changed(t: &Ground, name: &str) -> Outcome<(Metadata, Vec<u8>)> {
    let was = t.put(name, &t.content(4096)).await?;
    t.tick().await;
    let theirs = t.content(4096).to_vec();
    did("change a file", rewrite(&t.on_disk(name), &theirs))?;
    Ok((was, theirs))
}

async fn a_change_past_the_provider_changes_the_version(t: Ground) -> Outcome {
    let (was, theirs) = changed(&t, "file").await?;
    if was.version.is_none() {
        return not_applicable(
            "the provider gives no version; the host makes one of size and time",
        );
    }
    let now = t.stat("file").await?;
    demand!(
        now.fingerprint() != was.fingerprint(),
        "with other bytes, and the same size and time, its version is still {:?}",
        was.fingerprint()
    );
    let listed = t.entries("").await?.remove("file").map(|entry| entry.fingerprint());
    demand!(listed == Some(now.fingerprint()), "the listing says {listed:?}");
    t.holds("file", &theirs).await
}

async fn a_change_past_the_provider_is_not_undone(t: Ground) -> Outcome {
    let (was, theirs) = changed(&t, "file").await?;
    if was.version.is_none() {
        return not_applicable(
            "the provider gives no version; the host makes one of size and time",
        );
    }
    let answer = t.replace("file", &t.content(10), &was).await;
    refused("replacing the version before", answer, &[ErrorKind::Precondition])?;
    let answer = t.delete("file", DeleteOptions::if_version(was.fingerprint())).await;
    refused("deleting the version before", answer, &[ErrorKind::Precondition])?;
    t.holds("file", &theirs).await
}

async fn a_file_that_was_removed_is_gone(t: Ground) -> Outcome {
    let was = t.put("folder/file", &t.content(1000)).await?;
    t.holds("folder/file", &t.read("folder/file").await?).await?;
    did("remove a file", fs::remove_file(t.on_disk("folder/file")))?;
    t.absent("folder/file").await?;
    let kinds = [ErrorKind::NotFound, ErrorKind::Precondition];
    let answer = t.replace("folder/file", &t.content(10), &was).await;
    refused("replacing what was removed", answer, &kinds)?;
    t.absent("folder/file").await
}

async fn a_folder_that_was_removed_is_made_anew(t: Ground) -> Outcome {
    for n in 0..3 {
        let (one, other) = (format!("a/b/{n}"), format!("a/b/copy {n}"));
        let bytes = t.content(1000);
        t.put(&one, &bytes).await?;
        if t.info().can.server_copy {
            t.put("source", &bytes).await.or_else(|error| match error.kind() {
                ErrorKind::AlreadyExists => Ok(Metadata::default()),
                _ => Err(error),
            })?;
            t.server_copy(&[Item::new("source", &other)], Op::unbound()).await?.remove(0)?;
        }
        did("remove a folder", fs::remove_dir_all(t.on_disk("a")))?;
        t.absent(&one).await?;
        t.absent(&other).await?;
    }
    Ok(())
}

/// Changes the last byte of a file at the first progress.
struct ChangeAtProgress {
    path: PathBuf,
    at: u64,
    done: AtomicBool,
}

impl OpServices for ChangeAtProgress {
    fn is_cancelled(&self) -> bool {
        false
    }

    fn progress(&self, _: u64) {
        if self.done.swap(true, Ordering::AcqRel) {
            return;
        }
        // If it can't be changed, the copy is that of a file that was not.
        let _ = File::options().write(true).open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.at))?;
            file.write_all(b"changed!")
        });
    }
}

async fn a_source_that_changes_during_a_copy_is_not_mixed(t: Ground) -> Outcome {
    if let Some(reason) = needs::server_copy(t.info()) {
        return not_applicable(reason);
    }
    let bytes = t.content(24 << 20);
    let source = t.put("source", &bytes).await?;
    t.tick().await;
    let op = Op::new(ChangeAtProgress {
        path: t.on_disk("source"),
        at: bytes.len() as u64 - 8,
        done: AtomicBool::new(false),
    });
    let item = Item::new("source", "copy").version(source.fingerprint());
    match t.server_copy(&[item], op).await?.remove(0) {
        // It was done before anything changed.
        Ok(_) => t.holds("copy", &bytes).await,
        Err(error) => {
            refused::<()>("the copy", Err(error), &[ErrorKind::Precondition])?;
            t.absent("copy").await
        }
    }
}

#[cfg(unix)]
fn plant(t: &Ground) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let folder = t.on_disk("folder");
    fs::write(folder.join(std::ffi::OsStr::from_bytes(b"not \xff UTF-8")), b"x")?;
    std::os::unix::fs::symlink("circle", folder.join("circle"))?;
    std::os::unix::fs::symlink("nowhere", folder.join("dangling"))
}

#[cfg(not(unix))]
fn plant(_: &Ground) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

async fn what_cannot_travel_does_not_break_a_listing(t: Ground) -> Outcome {
    t.put("folder/file", &t.content(10)).await?;
    if let Err(error) = plant(&t) {
        return not_applicable(format!("nothing of that kind could be made: {error}"));
    }
    let pages = t.list("folder", false).await;
    let pages = match pages {
        Ok(listing) => listing.all().await,
        Err(error) => Err(error),
    };
    let names = look_at(&t, pages).await;
    // The provider can't remove what it can't name.
    did("remove what it made", fs::remove_dir_all(t.on_disk("folder")))?;
    let names = names?;
    demand!(names == ["file"], "{names:?} are listed as files, instead of one");
    Ok(())
}

/// The names that travel. Demands that what does not says why.
async fn look_at(t: &Ground, pages: crate::Result<Vec<crate::Page>>) -> Outcome<Vec<String>> {
    let pages = pages?;
    for entry in pages.iter().flat_map(|page| &page.entries) {
        let reason = entry.skipped.as_deref().unwrap_or("none is needed");
        demand!(!reason.trim().is_empty(), "{:?} is skipped without a reason", entry.name);
    }
    if let Some(End::Failed(error)) = pages.iter().map(|page| &page.end).next_back() {
        return fail(format!("the folder could not be listed: {error}"));
    }
    let names = by_folder(pages)?.into_values().flat_map(|names| names.into_keys()).collect();
    for name in ["folder/circle", "folder/dangling"] {
        refused_somehow(&format!("reading {name:?}"), t.read(name).await)?;
    }
    Ok(names)
}
