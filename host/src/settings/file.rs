//! A settings file on disk: found, trusted, and read.

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::error::{Errors, Level, Problem};
use super::layers::Layer;
use super::source::{Source, Span};

/// Largest file that is read, in bytes. Thousands of projects fit.
const LARGEST: u64 = 4 << 20;

/// Returns the first of these paths at which there is anything.
pub(super) fn find(candidates: &[PathBuf]) -> Result<PathBuf, Errors> {
    let missing = |path: &PathBuf| {
        std::fs::metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound)
    };
    match candidates.iter().find(|path| !missing(path)) {
        Some(path) => Ok(path.clone()),
        None => Err(not_found(candidates).into()),
    }
}

fn not_found(candidates: &[PathBuf]) -> Problem {
    let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
    let looked: Vec<String> =
        candidates.iter().map(|path| format!("`{}`", absolute(path).display())).collect();
    let file = candidates.last().map(|path| path.display().to_string());
    Problem::new(
        Level::Error,
        file.unwrap_or_default(),
        format!("there is no settings file; looked for {}", looked.join(", ")),
    )
    .help("`sitesync init` makes one; or name yours with `--config FILE`")
}

/// Reads a settings file that only its owner can write.
pub(super) fn read(path: &Path, layer: Layer) -> Result<Source, Errors> {
    let name = path.display().to_string();
    let refuse = |message: String| Problem::new(Level::Error, name.clone(), message);
    let unreadable = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => not_found(&[path.to_path_buf()]),
        _ => refuse(format!("the settings file cannot be read: {error}")),
    };

    // Before opening: opening a named pipe waits for somebody to write to it.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(refuse("the settings file is not a regular file".into()).into());
    }
    let file = File::open(path).map_err(unreadable)?;
    // Of what was opened, not of what the name may stand for by now.
    let metadata = file.metadata().map_err(unreadable)?;
    if let Some(owner) = other_owner(&metadata) {
        let problem = refuse(format!("the settings file belongs to user {owner}"));
        let quoted = quoted(&name);
        // Who owns it can write to it whenever they like.
        return Err(problem
            .help(format!("run `chown root {quoted}`, or sitesync as that user"))
            .into());
    }
    if let Some(who) = other_writers(&metadata) {
        let problem = refuse(format!("the settings file can be written by {who}"));
        return Err(problem.help(format!("run `chmod go-w {}`", quoted(&name))).into());
    }

    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST {
        let largest = super::units::format_bytes(LARGEST);
        return Err(refuse(format!("the settings file is larger than {largest}")).into());
    }
    let exposed = exposed(&metadata);
    String::from_utf8(bytes)
        .map(|text| Source::new(layer, name.clone(), text).exposed(exposed))
        .map_err(|error| {
            let start = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            Source::new(layer, name, text)
                .error(Span::new(0, start..start + 1), "this is not UTF-8")
                .help("save the file as UTF-8")
                .into()
        })
}

/// Returns the owner of a file, if that is neither root nor who runs this process.
#[cfg(unix)]
fn other_owner(metadata: &Metadata) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;

    let owner = metadata.uid();
    (owner != 0 && owner != rustix::process::geteuid().as_raw()).then_some(owner)
}

#[cfg(not(unix))]
fn other_owner(_: &Metadata) -> Option<u32> {
    None
}

/// Returns who else can write a file. Whoever can write the settings decides which folders this
/// process acts on.
#[cfg(unix)]
fn other_writers(metadata: &Metadata) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;

    let mode = metadata.permissions().mode() & 0o7777;
    let who = match (mode & 0o020 != 0, mode & 0o002 != 0) {
        (false, false) => return None,
        (true, false) => "its group",
        (false, true) => "anybody",
        (true, true) => "its group and anybody else",
    };
    Some(format!("{who} (mode {mode:04o})"))
}

#[cfg(not(unix))]
fn other_writers(_: &Metadata) -> Option<String> {
    None
}

/// Returns the permission bits of a file that anybody can read.
#[cfg(unix)]
fn exposed(metadata: &Metadata) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;

    let mode = metadata.permissions().mode() & 0o7777;
    (mode & 0o004 != 0).then_some(mode)
}

#[cfg(not(unix))]
fn exposed(_: &Metadata) -> Option<u32> {
    None
}

/// Returns a path as a shell takes it.
pub(super) fn quoted(path: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "/._-+@".contains(character);
    // What begins with `-` would be an option.
    let path = if path.starts_with('-') { format!("./{path}") } else { path.to_owned() };
    if path.chars().all(plain) { path } else { format!("'{}'", path.replace('\'', r"'\''")) }
}
