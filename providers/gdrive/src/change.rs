//! The change feed: one of the account, and one of each shared drive. A cursor holds the place in
//! each of those that the roots need.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sitesync_provider::{ChangePage, Cursor, Error, ErrorKind, Result, join};

use crate::Account;
use crate::errors::is_gone;
use crate::model::{Change, File};
use crate::root::Root;

/// The deepest folder that is followed up to a root.
const DEEPEST: usize = 200;

/// Places in feeds, by the shared drive's id; that of the account itself under the empty one.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Places {
    feeds: BTreeMap<String, String>,
}

impl Places {
    fn read(cursor: &Cursor) -> Option<Self> {
        let places: Places = serde_json::from_str(&cursor.0).ok()?;
        (!places.feeds.is_empty()).then_some(places)
    }

    fn cursor(&self) -> Cursor {
        Cursor(serde_json::to_string(self).unwrap_or_default())
    }
}

/// What changed, by root and path, with the version that is there now where that is certain.
#[derive(Default)]
struct Told(BTreeMap<(String, String), Option<String>>);

impl Told {
    /// Told twice with different versions, the host has to look.
    fn add(&mut self, root: &Root, path: String, version: Option<String>) {
        let told = self.0.entry((root.text.clone(), path)).or_insert_with(|| version.clone());
        if *told != version {
            *told = None;
        }
    }

    fn changes(self) -> Vec<sitesync_provider::Change> {
        let told = self.0.into_iter();
        told.map(|((root, path), version)| {
            let change = sitesync_provider::Change::new(root, path);
            match version {
                Some(version) => change.with_version(version),
                None => change,
            }
        })
        .collect()
    }
}

impl Account {
    /// What changed since a cursor; without one, where the feeds are now.
    pub(crate) async fn changes(
        &self,
        roots: &[&str],
        since: Option<Cursor>,
    ) -> Result<ChangePage> {
        let mut open = Vec::with_capacity(roots.len());
        for root in roots {
            open.push(self.root(root).await?);
        }
        let feeds: BTreeSet<String> =
            open.iter().map(|root| root.feed().unwrap_or_default().to_owned()).collect();
        let mut places = match &since {
            None => Places { feeds: BTreeMap::new() },
            Some(cursor) => Places::read(cursor).ok_or_else(expired)?,
        };
        let mut told = Told::default();
        let mut more = false;
        for feed in feeds {
            let drive = (!feed.is_empty()).then_some(feed.as_str());
            let Some(place) = places.feeds.get(&feed) else {
                if since.is_some() {
                    // A root was added: nobody knows what happened in it since the cursor.
                    return Err(expired());
                }
                let place = self.client.start_page_token(drive).await?;
                places.feeds.insert(feed, place);
                continue;
            };
            let page = self.client.changes(drive, place).await.map_err(|error| {
                match error.kind() {
                    // Drive has no word of its own for a place that it does not know.
                    ErrorKind::Unexpected | ErrorKind::NotFound => expired().with_source(error),
                    _ => error.context("the change feed"),
                }
            })?;
            let within: Vec<&Arc<Root>> = open.iter().filter(|root| root.feed() == drive).collect();
            for change in &page.changes {
                self.tell(&within, change, &mut told).await?;
            }
            more |= page.next_page_token.is_some();
            let next = page.next_page_token.or(page.new_start_page_token);
            places.feeds.insert(feed, next.ok_or_else(expired)?);
        }
        Ok(ChangePage::new(told.changes(), places.cursor(), more))
    }

    /// Tells of one change: where it was, and where it is now.
    async fn tell(&self, roots: &[&Arc<Root>], change: &Change, told: &mut Told) -> Result<()> {
        let Some(id) = change.file_id.as_deref() else { return Ok(()) };
        let file = change.file.as_ref().filter(|file| !change.removed && !file.trashed);
        if let Some(root) = roots.iter().find(|root| root.id == id) {
            return match file {
                Some(_) => Ok(()),
                None => Err(root.gone()),
            };
        }
        let was = self.tree.place(id);
        if let (Some(file), Some((parent, name))) = (file, &was)
            && file.is_folder()
            && file.parents == [parent.as_str()]
            && file.name == *name
        {
            // It is where it was; what is in it has changes of its own.
            return Ok(());
        }
        let before: Vec<Option<String>> =
            roots.iter().map(|root| self.tree.path(&root.id, id)).collect();
        let now = change.file.as_ref().map(|file| (file, file.parents.as_slice()));
        // In the trash it still has its folder.
        let (now, parents) = now.unzip();
        let certain = file.filter(|file| !file.is_folder() && self.is_only(file));
        let mut is_known = was.is_some();
        for (root, before) in roots.iter().zip(before) {
            let mut stays = false;
            for parent in parents.unwrap_or_default() {
                is_known = true;
                if let Some(above) = self.path_of(root, parent).await? {
                    let path = place_of(&above, now.map_or("", |file| &file.name));
                    stays |= before.as_ref() == Some(&path);
                    told.add(root, path, certain.map(File::version));
                }
            }
            if let Some(before) = before.filter(|_| !stays) {
                told.add(root, before, None);
            }
        }
        match file.and_then(|file| Some((file, file.parents.first()?))) {
            // Of several of one name, a look tells which one counts.
            Some((file, parent)) => self.tree.heard(parent, file),
            None => self.tree.removed(id),
        }
        if !is_known && file.is_none() {
            // Deleted for good, and never heard of: it may have been anywhere.
            for root in roots {
                told.add(root, String::new(), None);
            }
        }
        Ok(())
    }

    /// True unless another of its name is known: then a look has to tell which one counts.
    fn is_only(&self, file: &File) -> bool {
        let is_other = |parent: &String| self.tree.has_other(parent, file);
        !file.parents.iter().any(is_other)
    }

    /// The path of a folder beneath a root; folders that are not known are looked up, once.
    async fn path_of(&self, root: &Root, id: &str) -> Result<Option<String>> {
        let mut path = String::new();
        let mut id = id.to_owned();
        for _ in 0..DEEPEST {
            if id == root.id {
                return Ok(Some(path));
            }
            let (parent, name) = match self.tree.place(&id) {
                Some(place) => place,
                None => match self.client.get(&id).await {
                    Ok(folder) => {
                        let parent = folder.parents.first().cloned().unwrap_or_default();
                        self.tree.heard(&parent, &folder);
                        (parent, folder.name)
                    }
                    // Not ours to see: outside of all roots.
                    Err(error) if is_gone(&error) => return Ok(None),
                    Err(error) => return Err(error),
                },
            };
            if parent.is_empty() {
                return Ok(None);
            }
            path = if path.is_empty() { name } else { join(&name, &path) };
            id = parent;
        }
        Ok(None)
    }
}

/// The path of what has this name; of the folder itself, where the name can be no part of a path.
fn place_of(above: &str, name: &str) -> String {
    match sitesync_provider::check_name(name) {
        Ok(()) => join(above, name),
        Err(_) => above.to_owned(),
    }
}

fn expired() -> Error {
    Error::new(ErrorKind::CursorExpired, "Drive's change feed does not know this place any more")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_no_cursor() {
        for text in ["", "nonsense", "-1", "{}", "{\"feeds\":{}}", "{\"feeds\":[1]}"] {
            assert!(Places::read(&Cursor(text.to_owned())).is_none(), "{text}");
        }
        let places = Places { feeds: [(String::new(), "7".to_owned())].into() };
        assert_eq!(Places::read(&places.cursor()).unwrap().feeds, places.feeds);
    }
}
