//! Paths by the names of their roots.

use std::fmt;
use std::ops::Index;

use serde::{Serialize, Serializer};

/// Paths by root name, in the order of names. There are one or two to a site, and as many of these as
/// there are projects times sites: a map would take ten times as much memory.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Paths(Box<[(String, String)]>);

impl Paths {
    /// Returns the path of a root.
    #[must_use]
    pub fn get(&self, root: &str) -> Option<&String> {
        self.0.iter().find(|(name, _)| name == root).map(|(_, path)| path)
    }

    /// Whether there is a root of this name.
    #[must_use]
    pub fn contains_key(&self, root: &str) -> bool {
        self.get(root).is_some()
    }

    /// Returns the names.
    pub fn keys(&self) -> impl Iterator<Item = &String> {
        self.iter().map(|(name, _)| name)
    }

    /// Returns names with their paths.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &String)> {
        self.0.iter().map(|(name, path)| (name, path))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(String, String)> for Paths {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(paths: T) -> Self {
        let mut paths: Vec<_> = paths.into_iter().collect();
        paths.sort();
        Paths(paths.into_boxed_slice())
    }
}

impl Index<&str> for Paths {
    type Output = String;

    /// # Panics
    /// If there is no root of this name.
    fn index(&self, root: &str) -> &String {
        self.get(root).expect("a root of this name")
    }
}

impl fmt::Debug for Paths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Serialize for Paths {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}
