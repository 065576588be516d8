//! What is done to the disk behind the provider's back.

use std::fs;
use std::path::{Path, PathBuf};

use sitesync_provider::Result;

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
