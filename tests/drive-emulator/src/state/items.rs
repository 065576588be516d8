//! Files and folders, and the tree that they make.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::OnceLock;

use bytes::Bytes;
use md5::Digest;

use super::{FOLDER, Role, State};
use crate::bugs::Bug;
use crate::ids;

/// A file, a folder, a shortcut, or a document of Google's own.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) mime: String,
    /// The folder it lies in; topmost folders lie in none.
    pub(crate) parent: Option<String>,
    /// The shared drive it belongs to.
    pub(crate) drive: Option<String>,
    /// Whose it is; what is in a shared drive is nobody's.
    pub(crate) owner: Option<String>,
    pub(crate) shared_with: BTreeMap<String, Role>,
    /// When it was shared with someone for the first time.
    pub(crate) shared_at: BTreeMap<String, i64>,
    pub(crate) created: i64,
    pub(crate) modified: i64,
    pub(crate) modified_by: Option<String>,
    /// It was put into the trash itself; what lies in it is trashed with it.
    pub(crate) trashed: bool,
    pub(crate) trashed_at: Option<i64>,
    pub(crate) starred: bool,
    pub(crate) description: Option<String>,
    pub(crate) properties: BTreeMap<String, String>,
    pub(crate) app_properties: BTreeMap<String, String>,
    /// What a shortcut leads to.
    pub(crate) target: Option<String>,
    /// Contents, the newest last; folders and documents have none.
    pub(crate) revisions: Vec<Revision>,
    /// Grows with every change.
    pub(crate) version: u64,
    /// It was made with a token of the scope `drive.file`.
    pub(crate) by_app: bool,
    /// Counts what was made.
    pub(crate) number: u64,
}

/// Content that a file has or had.
#[derive(Debug, Clone)]
pub(crate) struct Revision {
    pub(crate) id: String,
    pub(crate) content: std::sync::Arc<Content>,
    pub(crate) modified: i64,
    pub(crate) mime: String,
    pub(crate) name: String,
}

/// Bytes with their sums, which are made when they are first asked for.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) bytes: Bytes,
    md5: OnceLock<String>,
    sha1: OnceLock<String>,
    sha256: OnceLock<String>,
}

impl Content {
    pub(crate) fn new(bytes: Bytes) -> Content {
        let (md5, sha1, sha256) = Default::default();
        Content { bytes, md5, sha1, sha256 }
    }

    pub(crate) fn md5(&self) -> &str {
        self.md5.get_or_init(|| hex(&md5::Md5::digest(&self.bytes)))
    }

    pub(crate) fn sha1(&self) -> &str {
        self.sha1.get_or_init(|| hex(&sha1::Sha1::digest(&self.bytes)))
    }

    pub(crate) fn sha256(&self) -> &str {
        self.sha256.get_or_init(|| hex(&sha2::Sha256::digest(&self.bytes)))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("text takes all");
        text
    })
}

impl Item {
    pub(crate) fn new(id: String, name: &str, mime: &str, now: i64) -> Item {
        Item {
            id,
            name: name.to_owned(),
            mime: mime.to_owned(),
            parent: None,
            drive: None,
            owner: None,
            shared_with: BTreeMap::new(),
            shared_at: BTreeMap::new(),
            created: now,
            modified: now,
            modified_by: None,
            trashed: false,
            trashed_at: None,
            starred: false,
            description: None,
            properties: BTreeMap::new(),
            app_properties: BTreeMap::new(),
            target: None,
            revisions: Vec::new(),
            version: 1,
            by_app: false,
            number: 0,
        }
    }

    pub(crate) fn is_folder(&self) -> bool {
        self.mime == FOLDER
    }

    pub(crate) fn content(&self) -> Option<&Content> {
        self.revisions.last().map(|revision| &*revision.content)
    }

    /// Bytes of content, of old revisions too.
    pub(crate) fn size(&self) -> u64 {
        self.content().map_or(0, |content| content.bytes.len() as u64)
    }

    /// Gives it new content.
    pub(crate) fn write(&mut self, bytes: Bytes, now: i64) {
        self.revisions.push(Revision {
            id: format!("0B{}", ids::random(49)),
            content: std::sync::Arc::new(Content::new(bytes)),
            modified: now,
            mime: self.mime.clone(),
            name: self.name.clone(),
        });
    }
}

impl State {
    /// Puts something new where its `parent` says. The id must be free.
    pub(crate) fn insert(&mut self, mut item: Item) {
        assert!(self.used.insert(item.id.clone()), "the id {} is taken", item.id);
        self.generated.remove(&item.id);
        self.made += 1;
        item.number = self.made;
        if let Some(parent) = &item.parent {
            item.drive = self.items[parent].drive.clone();
            self.children.entry(parent.clone()).or_default().insert(item.id.clone());
        }
        if item.drive.is_some() {
            item.owner = None;
        }
        let id = item.id.clone();
        self.items.insert(id.clone(), item);
        self.note(&id);
    }

    /// Changes something; that counts as a change of it.
    pub(crate) fn change(&mut self, id: &str, change: impl FnOnce(&mut Item)) {
        let before = self.audience(id);
        if let Some(item) = self.items.get_mut(id) {
            change(item);
            item.version += 1;
            self.note_also(id, before);
        }
    }

    /// Moves something into another folder.
    pub(crate) fn relocate(&mut self, id: &str, parent: &str) {
        let drive = self.items[parent].drive.clone();
        let old = self.items[id].parent.clone();
        if let Some(siblings) = old.and_then(|old| self.children.get_mut(&old))
            && !self.bugs.contains(&Bug::Move)
        {
            siblings.remove(id);
        }
        self.children.entry(parent.to_owned()).or_default().insert(id.to_owned());
        for below in self.subtree(id) {
            self.items.get_mut(&below).expect("it is there").drive.clone_from(&drive);
        }
        self.change(id, |item| item.parent = Some(parent.to_owned()));
    }

    /// Deletes something for good, with all that lies in it.
    pub(crate) fn remove(&mut self, id: &str) {
        for below in self.subtree(id).into_iter().rev() {
            let audience = self.audience(&below);
            let item = self.items.remove(&below).expect("it is there");
            self.children.remove(&below);
            if let Some(siblings) = item.parent.and_then(|old| self.children.get_mut(&old)) {
                siblings.remove(&below);
            }
            self.note_gone(&below, item.drive, audience);
        }
    }

    /// Returns an item and the folders it lies in, up to the topmost.
    pub(crate) fn lineage(&self, id: &str) -> impl Iterator<Item = &Item> {
        std::iter::successors(self.items.get(id), |item| {
            item.parent.as_ref().and_then(|parent| self.items.get(parent))
        })
    }

    /// Returns an item and all that lies in it, folders before what they hold.
    pub(crate) fn subtree(&self, id: &str) -> Vec<String> {
        let mut all = vec![id.to_owned()];
        let mut next = 0;
        while let Some(folder) = all.get(next) {
            let below: Vec<String> =
                self.children.get(folder).into_iter().flatten().cloned().collect();
            all.extend(below);
            next += 1;
        }
        all
    }

    /// Whether it is in the trash, or lies in something that is.
    pub(crate) fn is_trashed(&self, id: &str) -> bool {
        self.lineage(id).any(|item| item.trashed)
    }

    /// Whether it lies in this folder.
    pub(crate) fn is_in(&self, id: &str, folder: &str) -> bool {
        self.children.get(folder).is_some_and(|children| children.contains(id))
    }

    /// What lies in a folder, the oldest first.
    pub(crate) fn children(&self, folder: &str) -> Vec<&Item> {
        let ids = self.children.get(folder).into_iter().flatten();
        let mut children: Vec<&Item> = ids.filter_map(|id| self.items.get(id)).collect();
        children.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        children
    }
}
