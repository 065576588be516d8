//! Files in the folder that a root names, through `std::fs`: what is right in this provider.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sitesync_provider::{
    At, Checksum, End, Entry, Error, ErrorKind, Expect, Metadata, Page, ReadOptions, Result,
    WriteOptions, join,
};

/// Where this is on the disk.
pub(crate) fn place(at: At<'_>) -> PathBuf {
    if at.path.is_empty() { at.root.into() } else { Path::new(at.root).join(at.path) }
}

/// What is known of a file or folder.
pub(crate) fn metadata(path: &Path, checksums: bool) -> Result<Metadata> {
    let found = fs::symlink_metadata(path)?;
    if found.is_dir() {
        return Ok(Metadata::folder());
    }
    let mtime = Some(found.mtime_nsec() + found.mtime() * 1_000_000_000);
    let version =
        format!("{}-{}.{}-{}", found.ino(), found.ctime(), found.ctime_nsec(), found.len());
    let metadata = Metadata::file(found.len()).with_mtime_ns(mtime).with_version(version);
    if !checksums {
        return Ok(metadata);
    }
    let digest = fs::read(path)?.iter().fold(0xcbf2_9ce4_8422_2325_u64, |digest, byte| {
        (digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Ok(metadata.with_checksum(Checksum::new("fnv1a", digest.to_be_bytes())))
}

/// One folder, whole; and the folders in it.
pub(crate) fn list(root: &str, folder: &str, checksums: bool) -> Result<(Page, Vec<String>)> {
    let (mut entries, mut folders) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(place(At::new(root, folder)))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let metadata = match metadata(&entry.path(), checksums) {
            // Gone in between.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            found => found?,
        };
        if metadata.kind == sitesync_provider::Kind::Folder {
            folders.push(join(folder, &name));
        }
        entries.push(Entry::new(name, metadata));
    }
    Ok((Page::new(folder, entries, End::Complete), folders))
}

/// A file that is being read.
#[derive(Debug)]
pub(crate) struct Reading {
    file: File,
    pub(crate) metadata: Metadata,
}

impl Reading {
    pub(crate) fn open(at: At<'_>, how: &ReadOptions, checksums: bool) -> Result<Self> {
        let path = place(at);
        let mut file = File::open(&path)?;
        let metadata = metadata(&path, checksums)?;
        if how.if_version.as_ref().is_some_and(|wanted| *wanted != metadata.fingerprint()) {
            return Err(Error::new(ErrorKind::Precondition, "it has changed"));
        }
        file.seek(SeekFrom::Start(how.from))?;
        Ok(Reading { file, metadata })
    }

    pub(crate) fn read(&mut self, max: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; max.min(1 << 20)];
        let read = self.file.read(&mut bytes)?;
        bytes.truncate(read);
        Ok(bytes)
    }
}

/// A file that is being written: under another name until it is whole.
#[derive(Debug)]
pub(crate) struct Writing {
    pub(crate) path: PathBuf,
    temporary: PathBuf,
    file: File,
    how: WriteOptions,
}

impl Writing {
    pub(crate) fn begin(at: At<'_>, how: WriteOptions, site_id: &str) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let path = place(at);
        let folder = path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder)?;
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!(".sitesync-{site_id}-{}-{n}.tmp", std::process::id());
        let temporary = folder.join(name);
        let file = File::create_new(&temporary)?;
        Ok(Writing { path, temporary, file, how })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.how.op.progress(bytes.len() as u64);
        Ok(self.file.write_all(bytes)?)
    }

    /// Makes it visible. A host that asked to stop is heard only if `polite`.
    pub(crate) fn finish(self, checksums: bool, polite: bool) -> Result<Metadata> {
        if let Some(ns) = self.how.mtime_ns {
            let ns = u64::try_from(ns)
                .map_err(|_| Error::new(ErrorKind::Unsupported, "a time before 1970"))?;
            self.file.set_modified(UNIX_EPOCH + Duration::from_nanos(ns))?;
        }
        if polite {
            self.how.op.check()?;
        }
        match &self.how.expect {
            Expect::Version(version) => {
                if metadata(&self.path, false)?.fingerprint() != *version {
                    return Err(Error::new(ErrorKind::Precondition, "something else is there"));
                }
                fs::rename(&self.temporary, &self.path)?;
            }
            _ => fs::hard_link(&self.temporary, &self.path)?,
        }
        // A link has another time of change once its twin is gone.
        let _ = fs::remove_file(&self.temporary);
        metadata(&self.path, checksums)
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Removes the temporaries of this host beneath a folder, or old ones of any.
pub(crate) fn sweep(folder: &Path, site_id: &str, foreign_after: Duration) -> Result<u64> {
    let mut count = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            count += sweep(&entry.path(), site_id, foreign_after)?;
            continue;
        }
        let old = || {
            let modified = entry.metadata().and_then(|found| found.modified()).ok()?;
            Some(SystemTime::now().duration_since(modified).ok()? > foreign_after)
        };
        let ours = name.starts_with(&format!(".sitesync-{site_id}-"));
        let temporary = name.starts_with(".sitesync-") && name.ends_with(".tmp");
        if temporary && (ours || old().unwrap_or(false)) {
            fs::remove_file(entry.path())?;
            count += 1;
        }
    }
    Ok(count)
}
