//! Where something is: a root, a path beneath it, and what the host remembers of it.

/// What the host remembers of a file or folder. Advisory: it spares look-ups after a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Known {
    /// The service's own id.
    pub id: Option<String>,
    /// The fingerprint that the provider last gave.
    pub version: Option<String>,
}

impl Known {
    /// Something known by its fingerprint, its id, or both.
    #[must_use]
    pub fn new(id: Option<String>, version: Option<String>) -> Self {
        Known { id, version }
    }
}

/// Where something is. The host has checked the path: UTF-8, `/`-separated, relative, without an
/// empty, `.` or `..` part and without NUL; the empty path is the root itself. A provider does not
/// count on it: whatever the path says, it never leaves the root, and a path that is none of these
/// is `InvalidPath` (or `NotFound`, where nothing is written).
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct At<'a> {
    /// The root as it stands in the site's settings: a path, `/My Drive/projects`, a bucket.
    pub root: &'a str,
    /// The path beneath the root.
    pub path: &'a str,
    /// What the host remembers.
    pub known: Option<&'a Known>,
}

impl<'a> At<'a> {
    /// A place of which nothing is remembered.
    #[must_use]
    pub fn new(root: &'a str, path: &'a str) -> Self {
        At { root, path, known: None }
    }

    /// The same place, with what is remembered of it.
    #[must_use]
    pub fn known(mut self, known: Option<&'a Known>) -> Self {
        self.known = known;
        self
    }

    /// The folder and the name; `None` for the root itself.
    #[must_use]
    pub fn split(&self) -> Option<(&'a str, &'a str)> {
        if self.path.is_empty() {
            return None;
        }
        Some(self.path.rsplit_once('/').unwrap_or(("", self.path)))
    }
}

/// Why a path is not one that crosses the boundary, or `Ok`. The host calls it before every
/// operation and on everything that a listing says; a provider where a path could lead it astray.
///
/// ```
/// use sitesync_provider::check_path;
/// assert!(check_path("shots/sq01/v001/a b.exr").is_ok());
/// assert!(check_path("").is_ok(), "the root itself");
/// assert!(check_path("../secret").is_err());
/// ```
pub fn check_path(path: &str) -> Result<(), &'static str> {
    if path.is_empty() {
        return Ok(());
    }
    path.split('/').try_for_each(check_name)
}

/// Why a name is not one part of a path, or `Ok`.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    match name {
        "" => Err("an empty name"),
        "." | ".." => Err("a '.' or '..' part"),
        _ if name.contains('/') => Err("a '/' in a name"),
        _ if name.contains('\0') => Err("a NUL character"),
        _ => Ok(()),
    }
}

/// The path of `name` in `folder`.
#[must_use]
pub fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}
