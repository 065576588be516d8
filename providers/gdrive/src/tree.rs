//! What is known of folders and ids: learned from listings, look-ups and our own writes, corrected
//! by the change feed. It spares look-ups; it never answers a question about a file.
//!
//! Of earlier runs only the paths of folders are remembered (`folders` in the cache folder), so
//! that the feed can tell where a folder was. They are not relied upon otherwise: much may have
//! been moved meanwhile.

use std::collections::{HashMap, HashSet};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use sitesync_provider::join;

use crate::model::File;

type Text = Arc<str>;

/// What the tree says of a name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Child {
    /// A folder of this id was there.
    Folder(String),
    /// Something else was there.
    Other,
    /// Nothing: all of the folder is known.
    Nothing,
    /// Nobody has looked, or nobody knows what came of a write.
    Unknown,
}

#[derive(Debug)]
struct Node {
    parent: Text,
    name: Text,
    folder: bool,
}

#[derive(Debug, Default)]
struct Folder {
    children: HashMap<Text, Text>,
    /// All children are known.
    known: bool,
    since: Since,
}

/// A moment in what is known of a folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Since {
    /// Counts what we learned: a listing that began earlier does not undo it.
    learned: u64,
    /// Counts when nobody knew what it holds: a listing that began earlier does not end that.
    doubted: u64,
}

impl Folder {
    fn doubt(&mut self) {
        self.known = false;
        self.since.learned += 1;
        self.since.doubted += 1;
    }
}

#[derive(Debug, Default)]
struct State {
    nodes: HashMap<Text, Node>,
    folders: HashMap<Text, Folder>,
    /// Ids under which something may have been made, or may still be, by folder and name.
    uncertain: HashMap<(String, String), String>,
    /// Parent and name of folders, as earlier runs knew them.
    remembered: HashMap<String, (String, String)>,
    turns: HashMap<(String, String), Weak<tokio::sync::Mutex<()>>>,
}

/// The cache of ids.
#[derive(Debug)]
pub(crate) struct Tree {
    state: Mutex<State>,
    file: PathBuf,
}

/// The deepest path that is followed: Drive takes 100 folders.
const DEEPEST: usize = 200;

impl Tree {
    /// What earlier runs remembered in this folder; nothing if that is damaged.
    pub(crate) fn open(cache: &Path) -> Self {
        let file = cache.join("folders");
        let text = fs::read_to_string(&file).unwrap_or_default();
        let mut remembered = HashMap::new();
        let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        for (id, parent, name) in lines {
            let (id, parent, name): (String, String, String) = (id, parent, name);
            remembered.insert(id, (parent, name));
        }
        // Of folders that were renamed often, only the last name counts.
        if text.lines().count() > 2 * remembered.len() + 1000 {
            let whole: String =
                remembered.iter().map(|(id, (parent, name))| line(id, parent, name)).collect();
            let fresh = file.with_extension("new");
            let written = fs::write(&fresh, whole).and_then(|()| fs::rename(&fresh, &file));
            if let Err(error) = written {
                tracing::debug!(%error, "the remembered folders can't be written");
            }
        }
        Tree { state: Mutex::new(State { remembered, ..State::default() }), file }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a name.
    pub(crate) fn child(&self, folder: &str, name: &str) -> Child {
        let state = self.lock();
        if state.uncertain.contains_key(&key(folder, name)) {
            return Child::Unknown;
        }
        let Some(within) = state.folders.get(folder) else { return Child::Unknown };
        match within.children.get(name) {
            Some(id) if state.nodes.get(id).is_some_and(|node| node.folder) => {
                Child::Folder(id.to_string())
            }
            Some(_) => Child::Other,
            None if within.known => Child::Nothing,
            None => Child::Unknown,
        }
    }

    /// The id of what was last seen under a name.
    pub(crate) fn id(&self, folder: &str, name: &str) -> Option<String> {
        let state = self.lock();
        state.folders.get(folder)?.children.get(name).map(|id| id.to_string())
    }

    /// Notes what is under its name in a folder.
    pub(crate) fn put(&self, folder: &str, file: &File) {
        let mut state = self.lock();
        state.learned(folder);
        if state.insert(folder, file) {
            drop(state);
            self.remember(&[(file, folder)]);
        }
    }

    /// True if another of its name is known.
    pub(crate) fn has_other(&self, folder: &str, file: &File) -> bool {
        let state = self.lock();
        let within = state.folders.get(folder);
        let known = within.and_then(|within| within.children.get(&*file.name));
        known.is_some_and(|id| **id != *file.id)
    }

    /// Notes what the feed says of a file. If another of its name is known, nobody knows which one
    /// counts: a look will tell.
    pub(crate) fn heard(&self, folder: &str, file: &File) {
        if self.has_other(folder, file) {
            self.absent(folder, &file.name);
            self.doubt(folder);
        } else {
            self.put(folder, file);
        }
    }

    /// Notes a folder that we have made: all of it is known.
    pub(crate) fn made(&self, folder: &str, file: &File) {
        self.put(folder, file);
        self.lock().folders.entry(Text::from(&*file.id)).or_default().known = true;
    }

    /// Notes that nothing is under this name.
    pub(crate) fn absent(&self, folder: &str, name: &str) {
        let mut state = self.lock();
        state.learned(folder);
        let id = state.folders.get_mut(folder).and_then(|within| within.children.remove(name));
        if let Some(id) = id {
            state.nodes.remove(&id);
        }
    }

    /// Notes that a look-up found nothing under this name, where `before` was known when it began. What
    /// was made there since is not undone: else its folder would be made twice.
    pub(crate) fn missed(&self, folder: &str, name: &str, before: Option<&str>) {
        if self.id(folder, name).as_deref() == before {
            self.absent(folder, name);
        }
    }

    /// Notes that this is nowhere any more.
    pub(crate) fn removed(&self, id: &str) {
        self.lock().remove(id);
    }

    /// Where a listing of this folder begins, for [`Tree::listed`].
    pub(crate) fn listing(&self, folder: &str) -> Since {
        let state = self.lock();
        let within = state.folders.get(folder);
        within.map_or_else(Since::default, |within| within.since)
    }

    /// Notes all that a folder holds, as a listing said that began at `since`.
    pub(crate) fn listed(&self, folder: &str, since: Since, files: &[&File]) {
        let named: HashSet<&str> = files.iter().map(|file| &*file.id).collect();
        let mut state = self.lock();
        let within = state.folders.entry(Text::from(folder)).or_default();
        let current = within.since == since;
        // What was learned meanwhile is known besides.
        within.known |= within.since.doubted == since.doubted;
        if current {
            // Those that are named again come back right below.
            let old = std::mem::take(&mut within.children);
            for id in old.into_values() {
                if !named.contains(&*id) {
                    state.remove(&id);
                }
            }
        }
        let mut fresh = Vec::new();
        for file in files {
            let taken = state
                .folders
                .get(folder)
                .is_some_and(|within| !current && within.children.contains_key(&*file.name));
            // What we learned meanwhile is newer than the listing.
            if !taken && state.insert(folder, file) {
                fresh.push((*file, folder));
            }
        }
        drop(state);
        self.remember(&fresh);
    }

    /// Forgets what is known of a folder on the way of a path: it is looked up anew.
    pub(crate) fn forget(&self, root: &str, path: &str) {
        let mut state = self.lock();
        let mut folder = Text::from(root);
        for name in path.split('/') {
            let Some(within) = state.folders.get_mut(&folder) else { return };
            within.doubt();
            let Some(child) = within.children.remove(name) else { return };
            folder = child;
        }
        if let Some(within) = state.folders.get_mut(&folder) {
            within.doubt();
        }
    }

    /// Nobody knows what a folder holds now.
    pub(crate) fn doubt(&self, folder: &str) {
        if let Some(within) = self.lock().folders.get_mut(folder) {
            within.doubt();
        }
    }

    // Ids of what is being made.

    /// The id under which something of this name may have been made.
    pub(crate) fn uncertain(&self, folder: &str, name: &str) -> Option<String> {
        self.lock().uncertain.get(&key(folder, name)).cloned()
    }

    /// From here on nobody knows whether it is there, until [`Tree::settled`].
    pub(crate) fn begins(&self, folder: &str, name: &str, id: &str) {
        self.lock().uncertain.insert(key(folder, name), id.to_owned());
    }

    /// What came of it is known.
    pub(crate) fn settled(&self, folder: &str, name: &str) {
        self.lock().uncertain.remove(&key(folder, name));
    }

    /// One at a time changes what is under a name of a folder.
    pub(crate) async fn turn(&self, folder: &str, name: &str) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = {
            let mut state = self.lock();
            if state.turns.len() > 1000 {
                state.turns.retain(|_, turn| turn.strong_count() > 0);
            }
            let turn = state.turns.entry(key(folder, name)).or_default();
            turn.upgrade().unwrap_or_else(|| {
                let fresh = Arc::default();
                *turn = Arc::downgrade(&fresh);
                fresh
            })
        };
        turn.lock_owned().await
    }

    // Paths.

    /// The parent and the name, as they were when this was last heard of.
    pub(crate) fn place(&self, id: &str) -> Option<(String, String)> {
        let state = self.lock();
        let node = state.nodes.get(id).map(|node| (node.parent.to_string(), node.name.to_string()));
        node.or_else(|| state.remembered.get(id).cloned())
    }

    /// The path beneath a folder, as far as it is known to lie there.
    pub(crate) fn path(&self, root: &str, id: &str) -> Option<String> {
        let mut path = String::new();
        let mut id = id.to_owned();
        for _ in 0..DEEPEST {
            if id == root {
                return Some(path);
            }
            let (parent, name) = self.place(&id)?;
            path = if path.is_empty() { name } else { join(&name, &path) };
            id = parent;
        }
        None
    }

    /// Adds folders to those that are remembered. Others may write at once: a line is one write.
    fn remember(&self, folders: &[(&File, &str)]) {
        if folders.is_empty() {
            return;
        }
        let text: String =
            folders.iter().map(|(file, parent)| line(&file.id, parent, &file.name)).collect();
        let file = OpenOptions::new().append(true).create(true).open(&self.file);
        if let Err(error) = file.and_then(|mut file| file.write_all(text.as_bytes())) {
            tracing::debug!(%error, "folders can't be remembered");
        }
    }
}

impl State {
    fn learned(&mut self, folder: &str) {
        self.folders.entry(Text::from(folder)).or_default().since.learned += 1;
    }

    /// Returns true for a folder that is new there.
    fn insert(&mut self, folder: &str, file: &File) -> bool {
        let (id, name) = (Text::from(&*file.id), Text::from(&*file.name));
        let is_there = |node: &Node| *node.parent == *folder && node.name == name;
        if self.nodes.get(&id).is_some_and(is_there) {
            let within = self.folders.entry(Text::from(folder)).or_default();
            within.children.insert(name, id);
            return false;
        }
        self.unlink(&id);
        let parent = match self.folders.get_key_value(folder) {
            Some((parent, _)) => parent.clone(),
            None => Text::from(folder),
        };
        let within = self.folders.entry(parent.clone()).or_default();
        within.children.insert(name.clone(), id.clone());
        let folder = file.is_folder();
        self.nodes.insert(id, Node { parent, name, folder });
        folder
    }

    /// Takes it out of the folder where it was.
    fn unlink(&mut self, id: &str) {
        let Some(node) = self.nodes.remove(id) else { return };
        let Some(within) = self.folders.get_mut(&node.parent) else { return };
        within.since.learned += 1;
        if within.children.get(&node.name).is_some_and(|there| **there == *id) {
            within.children.remove(&node.name);
        }
    }

    fn remove(&mut self, id: &str) {
        self.unlink(id);
        self.folders.remove(id);
        self.remembered.remove(id);
    }
}

fn key(folder: &str, name: &str) -> (String, String) {
    (folder.to_owned(), name.to_owned())
}

fn line(id: &str, parent: &str, name: &str) -> String {
    format!("{}\n", serde_json::json!([id, parent, name]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FOLDER;

    fn file(id: &str, name: &str) -> File {
        File { id: id.to_owned(), name: name.to_owned(), ..File::default() }
    }

    fn folder(id: &str, name: &str) -> File {
        File { mime_type: FOLDER.to_owned(), ..file(id, name) }
    }

    fn tree() -> (tempfile::TempDir, Tree) {
        let temp = tempfile::tempdir().unwrap();
        let tree = Tree::open(temp.path());
        (temp, tree)
    }

    #[test]
    fn only_a_known_folder_says_nothing() {
        let (_temp, tree) = tree();
        assert_eq!(tree.child("root", "a"), Child::Unknown);
        tree.put("root", &file("1", "a"));
        assert_eq!(tree.child("root", "a"), Child::Other);
        assert_eq!(tree.child("root", "b"), Child::Unknown);
        tree.listed("root", tree.listing("root"), &[&file("2", "b")]);
        assert_eq!(tree.child("root", "a"), Child::Nothing);
        assert_eq!(tree.child("root", "b"), Child::Other);
        tree.made("root", &folder("3", "new"));
        assert_eq!(tree.child("root", "new"), Child::Folder("3".to_owned()));
        assert_eq!(tree.child("3", "a"), Child::Nothing);
    }

    #[test]
    fn a_listing_does_not_undo_what_was_learned_since_it_began() {
        let (_temp, tree) = tree();
        let since = tree.listing("root");
        tree.put("root", &file("1", "ours"));
        tree.listed("root", since, &[&file("2", "other")]);
        assert_eq!(tree.child("root", "ours"), Child::Other);
        assert_eq!(tree.child("root", "other"), Child::Other);
        assert_eq!(tree.child("root", "third"), Child::Nothing);
        let since = tree.listing("root");
        tree.doubt("root");
        tree.listed("root", since, &[&file("2", "other")]);
        assert_eq!(tree.child("root", "third"), Child::Unknown, "not all of it is known");
    }

    #[test]
    fn a_look_up_does_not_undo_what_was_made_since_it_began() {
        let (_temp, tree) = tree();
        tree.made("root", &folder("1", "a"));
        let before = tree.id("1", "new");
        tree.made("1", &folder("2", "new"));
        tree.missed("1", "new", before.as_deref());
        assert_eq!(tree.child("1", "new"), Child::Folder("2".to_owned()));
        tree.missed("1", "new", Some("2"));
        assert_eq!(tree.child("1", "new"), Child::Nothing);
    }

    #[test]
    fn what_may_have_been_made_is_unknown() {
        let (_temp, tree) = tree();
        tree.listed("root", Since::default(), &[]);
        tree.begins("root", "a", "7");
        assert_eq!(tree.child("root", "a"), Child::Unknown);
        assert_eq!(tree.uncertain("root", "a").as_deref(), Some("7"));
        tree.settled("root", "a");
        assert_eq!(tree.child("root", "a"), Child::Nothing);
    }

    #[test]
    fn paths_follow_moves_and_end_at_the_root() {
        let (temp, tree) = tree();
        tree.put("root", &folder("1", "a"));
        tree.put("1", &folder("2", "b"));
        tree.put("2", &file("3", "c"));
        assert_eq!(tree.path("root", "3").as_deref(), Some("a/b/c"));
        assert_eq!(tree.path("1", "3").as_deref(), Some("b/c"));
        assert_eq!(tree.path("root", "root").as_deref(), Some(""));
        assert_eq!(tree.path("other", "3"), None);
        tree.put("root", &folder("2", "moved"));
        assert_eq!(tree.path("root", "3").as_deref(), Some("moved/c"));
        assert_eq!(tree.child("1", "b"), Child::Unknown);
        // The next run remembers folders only, and relies on nothing.
        let next = Tree::open(temp.path());
        assert_eq!(next.path("root", "2").as_deref(), Some("moved"));
        assert_eq!(next.path("root", "3"), None);
        assert_eq!(next.child("root", "a"), Child::Unknown);
    }

    #[test]
    fn damage_is_ignored() {
        let temp = tempfile::tempdir().unwrap();
        let text = "[\"1\",\"root\",\"a\"]\nnonsense\n[1]\n[\"2\",\"1\",\"b\"]\n[\"3\",\"2";
        fs::write(temp.path().join("folders"), text).unwrap();
        let tree = Tree::open(temp.path());
        assert_eq!(tree.path("root", "2").as_deref(), Some("a/b"));
        assert_eq!(tree.path("root", "3"), None);
    }

    #[test]
    fn forgetting_a_path_forgets_what_was_on_it() {
        let (_temp, tree) = tree();
        tree.made("root", &folder("1", "a"));
        tree.made("1", &folder("2", "b"));
        tree.forget("root", "a/b");
        assert_eq!(tree.child("root", "a"), Child::Unknown);
        assert_eq!(tree.child("2", "c"), Child::Unknown);
    }
}
