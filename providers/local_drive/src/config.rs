//! The settings of a site on a mounted disk. Both belong to the site: they are kept per root, and
//! sites that differ in them still share one instance.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of a site on a mounted disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Settings {
    /// What becomes of a file's permissions.
    #[schemars(title = "Permissions", extend("x-scope" = "project", "x-part" = "site"))]
    pub permissions: Permissions,
    /// What becomes of symbolic links.
    #[schemars(title = "Symbolic links", extend("x-scope" = "project", "x-part" = "site"))]
    pub symlinks: Symlinks,
}

/// What becomes of a file's permissions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Permissions {
    /// As umask, default ACL and setgid folder have it; the execute bits are kept.
    #[default]
    Inherit,
    /// As at the source; never setuid, setgid or sticky.
    Keep,
}

/// What becomes of symbolic links.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Symlinks {
    /// Reported and left alone.
    #[default]
    Skip,
    /// Treated as what they point to, as long as that is within the root and no circle.
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
