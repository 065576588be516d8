//! A settings file on disk, written as a whole: all of the new text or all of the old is there at
//! every moment, whoever looks and whatever ends.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::error::{Errors, Level, Problem};
use super::file;
use super::layers::Layer;

/// Tries for the lock, and the pause between two: 5 s, longer than any edit takes.
const TRIES: u32 = 500;
const PAUSE: Duration = Duration::from_millis(10);

/// A settings file that is being edited. Until it is dropped, other edits of it wait.
#[derive(Debug)]
pub struct Editing {
    /// As it was named, for messages.
    name: String,
    /// The file itself, where the name is that of a link.
    path: PathBuf,
    before: Metadata,
    _lock: File,
}

impl Editing {
    /// Takes a file for editing.
    ///
    /// # Errors
    /// One problem: it is missing, no regular file, read-only, another user's, or somebody else
    /// edits it for longer than 5 s.
    pub fn open(path: &Path) -> Result<Self, Errors> {
        let name = path.display().to_string();
        let failed = |error: io::Error| Errors::from(refused(&name, &error));
        let path = fs::canonicalize(path).map_err(failed)?;
        if !fs::metadata(&path).map_err(failed)?.is_file() {
            return Err(problem(&name, "the settings file is not a regular file").into());
        }
        for _ in 0..TRIES {
            let file = File::open(&path).map_err(failed)?;
            // Shares that know no locks are edited without.
            let locked = flock(&file, FlockOperation::NonBlockingLockExclusive);
            if locked == Err(rustix::io::Errno::WOULDBLOCK) {
                std::thread::sleep(PAUSE);
                continue;
            }
            let before = file.metadata().map_err(failed)?;
            // An edit ends by replacing the file: the lock must be that of the new one.
            let now = fs::metadata(&path).map_err(failed)?;
            if (now.dev(), now.ino()) != (before.dev(), before.ino()) {
                continue;
            }
            writable(&name, &before)?;
            return Ok(Editing { name, path, before, _lock: file });
        }
        Err(problem(&name, "the settings file is being edited by another process")
            .help("try again when that has ended")
            .into())
    }

    /// Returns what is in the file.
    ///
    /// # Errors
    /// As when settings are loaded: others can write to it, it is not UTF-8, too large.
    pub fn read(&self, layer: Layer) -> Result<String, Errors> {
        Ok(file::read(&self.path, layer)?.text().to_owned())
    }

    /// Writes the file anew, with its mode and its owner.
    ///
    /// # Errors
    /// One problem; then the file is as it was.
    pub fn replace(self, text: &str) -> Result<(), Errors> {
        let set_up = |file: &File| {
            if (self.before.uid(), self.before.gid()) != owner(file)? {
                fchown(file, Some(self.before.uid()), Some(self.before.gid()))?;
            }
            file.set_permissions(Permissions::from_mode(self.before.mode() & 0o7777))
        };
        let written = write(&self.path, text, set_up, |new| fs::rename(new, &self.path));
        written.map_err(|error| refused(&self.name, &error).into())
    }
}

/// Writes a file that is not there yet, with this mode.
///
/// # Errors
/// One problem: there is one already, or its folder cannot be written to.
pub fn create(path: &Path, text: &str, mode: u32) -> Result<(), Errors> {
    let name = path.display().to_string();
    let set_up = |file: &File| file.set_permissions(Permissions::from_mode(mode));
    // A link, and no renaming: that would replace what has come meanwhile.
    let place = |new: &Path| fs::hard_link(new, path).and_then(|()| fs::remove_file(new));
    write(path, text, set_up, place).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => problem(&name, "there is such a file already").into(),
        _ => refused(&name, &error).into(),
    })
}

fn write(
    path: &Path,
    text: &str,
    set_up: impl FnOnce(&File) -> io::Result<()>,
    place: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = folder.join(format!(".{name}.{}.new", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = match options.open(&new) {
        // Of a process that had this number, and was killed.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            fs::remove_file(&new)?;
            options.open(&new)?
        }
        opened => opened?,
    };
    let written = set_up(&file)
        .and_then(|()| file.write_all(text.as_bytes()))
        .and_then(|()| file.sync_all())
        .and_then(|()| place(&new))
        .and_then(|()| File::open(folder)?.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}

fn owner(file: &File) -> io::Result<(u32, u32)> {
    file.metadata().map(|metadata| (metadata.uid(), metadata.gid()))
}

/// Whether the file is ours to write. Its folder alone decides what the system allows.
fn writable(name: &str, metadata: &Metadata) -> Result<(), Errors> {
    let user = rustix::process::geteuid();
    if !user.is_root() && user.as_raw() != metadata.uid() {
        let message = format!("the settings file belongs to user {}", metadata.uid());
        let hint = format!("edit it as that user: `sudo -u '#{}' sitesync ...`", metadata.uid());
        return Err(problem(name, &message).help(hint).into());
    }
    if metadata.mode() & 0o200 == 0 {
        let mode = metadata.mode() & 0o7777;
        return Err(problem(name, &format!("the settings file is read-only (mode {mode:04o})"))
            .help(format!("run `chmod u+w {}` if it is meant to be edited", file::quoted(name)))
            .into());
    }
    Ok(())
}

fn problem(name: &str, message: &str) -> Problem {
    Problem::new(Level::Error, name, message)
}

fn refused(name: &str, error: &io::Error) -> Problem {
    let refused = problem(name, &format!("the settings file cannot be written: {error}"));
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => refused.help(
            "its folder must be writable too: the new file is made there, and takes its place",
        ),
        _ => refused,
    }
}
