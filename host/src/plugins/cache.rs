//! The host's own folder for plug-ins: the copies that are really loaded, and what is known of them.
//!
//! ```text
//! <name>/<version>-<sha256>/<file name>   the copies, the last two of each name
//! .known/<digest of a path>               which content a file has, as long as its stamp is this
//! .verdicts/<sha256>                      what became of trying it in a child process
//! .in-flight/<sha256>.<process>           loads under way; what is left over are deaths
//! ```
//! All of this may be deleted while no host runs. Nothing of it is worth an fsync: a record counts
//! only if the size and times of the copy are those that it names. `trusted.toml` lies here as well,
//! and is neither: see `admission`.

use std::fs::{DirBuilder, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::find::{Opened, Stamp};
use super::manifest::Manifest;
use super::report::{Refusal, quoted};
use super::{elf, trust};

/// Copies kept of each name: the current one, and the one before it.
const KEPT: usize = 2;
const CHUNK: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
}

/// A verified copy: what is loaded, whatever becomes of the original.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) path: PathBuf,
    pub(super) sha256: String,
}

/// What a file in a plug-in folder holds, as long as both stamps are these.
#[derive(Serialize, Deserialize)]
struct Known {
    original: Stamp,
    copy: Stamp,
    copied_to: PathBuf,
    sha256: String,
}

impl Cache {
    /// Opens or makes the folder: others may neither read nor write it.
    pub(super) fn open(folder: &Path) -> Result<Self, Refusal> {
        let fail = |error: std::io::Error| {
            Refusal::new(
                format!("the cache for plug-ins {} cannot be used: {error}", folder.display()),
                "let the service's user write there, or choose another state folder",
            )
        };
        let make = |folder: &Path| {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(fail)
        };
        make(folder)?;
        for inner in [KNOWN, VERDICTS, IN_FLIGHT] {
            make(&folder.join(inner))?;
        }
        trust::check(folder, &folder.metadata().map_err(fail)?)?;
        // Absolute: the trial runs elsewhere, and dlopen takes a bare name for a system library.
        Ok(Cache { folder: folder.canonicalize().map_err(fail)? })
    }

    pub(super) fn path(&self) -> &Path {
        &self.folder
    }

    pub(super) fn folder(&self, inner: &str) -> PathBuf {
        self.folder.join(inner)
    }

    /// Where the record of what a file holds is kept.
    fn known(&self, path: &Path) -> PathBuf {
        self.folder(KNOWN).join(&hex(&Sha256::digest(path.as_os_str().as_bytes()))[..32])
    }

    /// The digest of an unchanged file that was held before; costs two looks at metadata.
    pub(super) fn recall(&self, path: &Path, stamp: &Stamp) -> Option<Held> {
        let known: Known = read_json(&self.known(path))?;
        let copy = known.copied_to.symlink_metadata().ok()?;
        (known.original == *stamp && known.copy == Stamp::of(&copy))
            .then_some(Held { path: known.copied_to, sha256: known.sha256 })
    }

    /// The verified copy of a file: the one from before if nothing has changed, else a new one.
    ///
    /// What is copied is the opened file, whatever its path leads to by now; what was inspected
    /// before is inspected once more, in the copy.
    pub(super) fn hold(
        &self,
        path: &Path,
        opened: &Opened,
        manifest: &Manifest,
    ) -> Result<Held, Refusal> {
        if let Some(held) = self.recall(path, &opened.stamp) {
            return Ok(held);
        }
        let fail = |error: std::io::Error| {
            Refusal::new(
                format!("{} cannot be copied into the cache: {error}", path.display()),
                format!("see that {} has room and is writable", quoted(&self.folder)),
            )
        };
        let temporary = Temporary::new(&self.folder).map_err(fail)?;
        let sha256 = copy(&opened.file, &temporary.file).map_err(fail)?;
        let after = opened.file.metadata().map_err(fail)?;
        if Stamp::of(&after) != opened.stamp {
            return Err(changed(path));
        }
        if elf::inspect(&object::ReadCache::new(&temporary.file))? != *manifest {
            return Err(changed(path));
        }
        let generations = self.folder(&manifest.name);
        let generation = generations.join(format!("{}-{sha256}", manifest.version));
        DirBuilder::new().recursive(true).mode(0o700).create(&generation).map_err(fail)?;
        let name = path.file_name().unwrap_or(path.as_os_str());
        let kept = generation.join(name);
        if !is_content(&kept, &sha256) {
            temporary.rename_to(&kept).map_err(fail)?;
        }
        let copied = kept.symlink_metadata().map_err(fail)?;
        let known = Known {
            original: opened.stamp,
            copy: Stamp::of(&copied),
            copied_to: kept.clone(),
            sha256: sha256.clone(),
        };
        self.write_json(&self.known(path), &known);
        prune(&generations, &generation);
        Ok(Held { path: kept, sha256 })
    }

    pub(super) fn verdict<T: DeserializeOwned>(&self, sha256: &str) -> Option<T> {
        read_json(&self.folder(VERDICTS).join(sha256))
    }

    pub(super) fn set_verdict(&self, sha256: &str, verdict: &impl Serialize) {
        self.write_json(&self.folder(VERDICTS).join(sha256), verdict);
    }

    pub(super) fn forget_verdict(&self, sha256: &str) {
        let _ = std::fs::remove_file(self.folder(VERDICTS).join(sha256));
    }

    /// A file without a name, for what a trial writes.
    pub(super) fn scratch(&self) -> Result<File, Refusal> {
        let temporary = Temporary::new(&self.folder).and_then(|it| it.file.try_clone());
        temporary.map_err(|error| {
            Refusal::new(
                format!("the cache for plug-ins cannot be written: {error}"),
                format!("see that {} has room and is writable", quoted(&self.folder)),
            )
        })
    }

    /// Writes a record. One that cannot be written costs time at the next start, no more.
    fn write_json(&self, path: &Path, value: &impl Serialize) {
        let written = Temporary::new(&self.folder).and_then(|temporary| {
            (&temporary.file).write_all(&serde_json::to_vec(value)?)?;
            temporary.rename_to(path)
        });
        if let Err(error) = written {
            tracing::warn!(path = %path.display(), %error, "cannot write to the cache");
        }
    }
}

const KNOWN: &str = ".known";
const VERDICTS: &str = ".verdicts";
pub(super) const IN_FLIGHT: &str = ".in-flight";

fn read_json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// A file that vanishes unless it is renamed.
struct Temporary {
    path: PathBuf,
    file: File,
}

impl Temporary {
    fn new(folder: &Path) -> std::io::Result<Self> {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!(".tmp-{}-{number}", std::process::id()));
        // What a killed host left under the same number.
        let _ = std::fs::remove_file(&path);
        let file =
            File::options().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Temporary { path, file })
    }

    fn rename_to(&self, path: &Path) -> std::io::Result<()> {
        std::fs::rename(&self.path, path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Copies the whole file; returns the digest of what was copied.
fn copy(from: &File, mut to: &File) -> std::io::Result<String> {
    read_through(from, |chunk| to.write_all(chunk))
}

/// The digest of an opened file that must not change meanwhile.
pub(super) fn digest(path: &Path, opened: &Opened) -> Result<String, Refusal> {
    let sha256 = read_through(&opened.file, |_| Ok(()));
    match sha256.and_then(|sha256| Ok((sha256, Stamp::of(&opened.file.metadata()?)))) {
        Ok((sha256, stamp)) if stamp == opened.stamp => Ok(sha256),
        Ok(_) => Err(changed(path)),
        Err(error) => Err(Refusal::new(
            format!("{} cannot be read: {error}", path.display()),
            "see the system's log",
        )),
    }
}

fn changed(path: &Path) -> Refusal {
    Refusal::new(
        format!("{} was changed while it was read", path.display()),
        "wait until nothing writes to it any more",
    )
}

/// Hands out the whole file, piece by piece; returns its digest.
fn read_through(
    file: &File,
    mut each: impl FnMut(&[u8]) -> std::io::Result<()>,
) -> std::io::Result<String> {
    let mut digest = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    let mut at = 0;
    loop {
        // By position: the file's own offset belongs to whoever inspects it.
        let n = std::os::unix::fs::FileExt::read_at(file, &mut chunk, at)?;
        if n == 0 {
            return Ok(hex(&digest.finalize()));
        }
        digest.update(&chunk[..n]);
        each(&chunk[..n])?;
        at += n as u64;
    }
}

/// True if this file is there and its digest is this one.
fn is_content(path: &Path, sha256: &str) -> bool {
    let digest = File::open(path).and_then(|file| read_through(&file, |_| Ok(())));
    digest.is_ok_and(|found| found == sha256)
}

/// Removes all but the newest copies of one name. What is loaded stays usable without its name.
fn prune(generations: &Path, current: &Path) {
    let Ok(entries) = std::fs::read_dir(generations) else { return };
    let mut others: Vec<_> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path() != current)
        .map(|entry| (entry.metadata().and_then(|metadata| metadata.modified()).ok(), entry.path()))
        .collect();
    others.sort();
    others.truncate((others.len() + 1).saturating_sub(KEPT));
    for (_, old) in others {
        let _ = std::fs::remove_dir_all(old);
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
