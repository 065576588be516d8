//! The settings of a site on a mounted disk. Both belong to the site: they are kept per root, and
//! sites that differ in them still share one instance.

use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of a site on a mounted disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Settings {
    /// What becomes of a file's permissions: `inherit` follows the folder and the umask and keeps
    /// the execute bit, `keep` gives the file the permissions it has at its source.
    #[schemars(extend("x-part" = "site"))]
    pub permissions: Permissions,
    /// What becomes of symbolic links: `skip` reports them and leaves them alone, `follow` treats
    /// them as what they point to, within the root.
    #[schemars(extend("x-part" = "site"))]
    pub symlinks: Symlinks,
}

/// What becomes of a file's permissions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Permissions {
    /// As the folder, its ACL and the umask have it; the execute bit is kept.
    #[default]
    Inherit,
    /// As at the source; never setuid, setgid or sticky.
    Keep,
}

/// What becomes of symbolic links.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Symlinks {
    /// Reported and left alone.
    #[default]
    Skip,
    /// Treated as what they point to, within the root.
    Follow,
}

impl Settings {
    /// These permissions instead.
    #[must_use]
    pub fn permissions(mut self, permissions: Permissions) -> Self {
        self.permissions = permissions;
        self
    }

    /// This treatment of symbolic links instead.
    #[must_use]
    pub fn symlinks(mut self, symlinks: Symlinks) -> Self {
        self.symlinks = symlinks;
        self
    }

    /// True if links within the root are followed.
    pub(crate) fn follow(self) -> bool {
        self.symlinks == Symlinks::Follow
    }
}
