//! What is done to the disk behind the provider's back.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sitesync_provider::{At, Result};

/// A place on the disk, behind the provider's back.
pub fn on_disk(root: &str, path: &str) -> PathBuf {
    Path::new(root).join(path)
}

/// Cuts a file in half.
pub fn halve(path: &Path, size: u64) -> std::io::Result<()> {
    fs::File::options().write(true).open(path)?.set_len(size / 2)
}

/// Removes all files of such names, as a careless sweep does.
pub fn remove_all(folder: &Path, wrong: &dyn Fn(&str) -> bool) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_all(&entry.path(), wrong)?;
        } else if entry.file_name().to_str().is_some_and(wrong) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Removes the other files whose names begin with this one's.
pub fn remove_by_prefix(file: &Path) -> Result<()> {
    let (Some(folder), Some(name)) = (file.parent(), file.file_name().and_then(|n| n.to_str()))
    else {
        return Ok(());
    };
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let other = path.file_name().and_then(|other| other.to_str());
        if path != file && path.is_file() && other.is_some_and(|other| other.starts_with(name)) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Where `local_drive` keeps its trash.
const TRASH: &str = ".sitesync/trash";

/// True for what is in the trash.
pub fn in_trash(path: &str) -> bool {
    path.starts_with(TRASH)
}

/// Puts something into the trash that does not belong there, as what was at this place.
pub fn into_trash(at: At<'_>, content: &[u8]) -> std::io::Result<()> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let place = on_disk(at.root, &format!("{TRASH}/20260102T030405Z-{number}/{}", at.path));
    fs::create_dir_all(place.parent().unwrap_or(&place))?;
    fs::write(place, content)
}
