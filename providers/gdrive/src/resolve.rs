//! From paths to ids: what is at a path, and folders that are made on the way.

use sitesync_provider::{At, Error, ErrorKind, Result, check_path, join};

use crate::Account;
use crate::errors::{is_gone, is_unknown, refuse};
use crate::model::{File, id_of};
use crate::query;
use crate::root::{Root, check};
use crate::tree::Child;

/// How often a path is resolved where folders on it turn out to be gone.
pub(crate) const TRIES: usize = 2;

/// A folder on a path.
pub(crate) enum Folder {
    Id(String),
    /// A file is where it, or one above it, should be.
    File,
    Nothing,
}

/// What stands under a name: of several the oldest. Those that can't travel count as well.
pub(crate) fn oldest(files: impl IntoIterator<Item = File>) -> Option<File> {
    files.into_iter().min_by(|one, other| one.age().cmp(&other.age()))
}

impl Account {
    /// What has this name in a folder now.
    pub(crate) async fn look(&self, root: &Root, folder: &str, name: &str) -> Result<Option<File>> {
        let query = query::named(folder, name);
        let before = self.tree.id(folder, name);
        let found = self.client.list_all(&query, root.drive.as_deref()).await?;
        // Drive's own comparison is not that of bytes.
        let found = found.into_iter().filter(|file| file.name == name && !file.trashed);
        let found = oldest(found);
        match &found {
            Some(file) => self.tree.put(folder, file),
            None => self.tree.missed(folder, name, before.as_deref()),
        }
        Ok(found)
    }

    /// The same, by the id that is remembered, if it still is what it was.
    async fn see(&self, root: &Root, folder: &str, name: &str) -> Result<Option<File>> {
        if let Some(id) = self.tree.id(folder, name) {
            match self.client.get(&id).await {
                Ok(file) if !file.trashed && file.name == name && file.is_in(folder) => {
                    return Ok(Some(file));
                }
                Err(error) if !is_gone(&error) => return Err(error),
                _ => {}
            }
        }
        self.look(root, folder, name).await
    }

    /// The folder at a path, without making it.
    pub(crate) async fn folder(&self, root: &Root, path: &str) -> Result<Folder> {
        let mut at = root.id.clone();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            if let Child::Folder(id) = self.tree.child(&at, name) {
                at = id;
                continue;
            }
            match self.look(root, &at, name).await {
                Ok(Some(file)) if file.is_folder() => at = file.id,
                Ok(Some(_)) => return Ok(Folder::File),
                Ok(None) => return Ok(Folder::Nothing),
                Err(error) if is_gone(&error) => return Ok(Folder::Nothing),
                Err(error) => return Err(error),
            }
        }
        Ok(Folder::Id(at))
    }

    /// What is at a path now; at the empty one is the root. `None` if nothing is.
    pub(crate) async fn find(&self, root: &Root, path: &str) -> Result<Option<File>> {
        let Some((above, name)) = split(path) else {
            return match self.client.get(&root.id).await {
                Ok(folder) if folder.trashed => Err(root.gone()),
                Ok(folder) => Ok(Some(folder)),
                Err(error) if is_gone(&error) => Err(root.gone()),
                Err(error) => Err(error),
            };
        };
        for last in [false, true] {
            let found = match self.folder(root, above).await? {
                Folder::Id(folder) => match self.see(root, &folder, name).await {
                    Err(error) if is_gone(&error) => None,
                    found => found?,
                },
                Folder::File => return Ok(None),
                Folder::Nothing => None,
            };
            // That nothing is there may only mean that what we remember of the way is old.
            if found.is_some() || last || !self.is_stale(root, above).await? {
                return Ok(found);
            }
            self.tree.forget(&root.id, above);
        }
        Ok(None)
    }

    /// Whether the folders that are remembered on a path are not what they were.
    pub(crate) async fn is_stale(&self, root: &Root, path: &str) -> Result<bool> {
        let mut at = root.id.clone();
        let mut last = None;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            match self.tree.child(&at, name) {
                Child::Folder(id) => {
                    last = Some((at, name));
                    at = id;
                }
                // It was looked up just now.
                _ => break,
            }
        }
        let Some((parent, name)) = last else {
            // Nothing is remembered but the root.
            return check(&self.client, root).await.map(|_| false);
        };
        match self.client.get(&at).await {
            Ok(folder) => Ok(folder.trashed || folder.name != name || !folder.is_in(&parent)),
            Err(error) if is_gone(&error) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// The file of this version at this path. `Precondition` if it is another, `NotFound` if
    /// nothing is there.
    pub(crate) async fn expected(
        &self,
        root: &Root,
        what: &str,
        path: &str,
        version: &str,
    ) -> Result<File> {
        let (above, name) = split(path).ok_or_else(|| is_root(what, path))?;
        let other = || refuse(ErrorKind::Precondition, what, path, "somebody has changed it");
        let Some(id) = id_of(version) else { return Err(other()) };
        let file = match self.client.get(id).await {
            Ok(file) => Some(file),
            Err(error) if is_gone(&error) => None,
            Err(error) => return Err(error.context(format!("{what} {path:?}"))),
        };
        if let Some(file) = file.filter(|file| !file.trashed && file.name == name) {
            let folder = self.folder(root, above).await?;
            let is_there = matches!(&folder, Folder::Id(folder) if file.is_in(folder));
            if is_there && file.version() == version {
                return Ok(file);
            }
        }
        match self.find(root, path).await? {
            // It may have come back under its name meanwhile.
            Some(file) if file.version() == version => Ok(file),
            Some(_) => Err(other()),
            None => Err(nothing(what, path)),
        }
    }

    /// The id of a folder, which is made with those above it where it is missing. `InvalidPath` if
    /// a file is in the way.
    pub(crate) async fn make_folder(&self, root: &Root, path: &str) -> Result<String> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.make_folder_once(root, path).await {
                Err(error) if is_gone(&error) && tries < TRIES => {
                    self.tree.forget(&root.id, path);
                }
                Err(error) if is_gone(&error) => return Err(self.vanished(root, error).await),
                answer => return answer,
            }
        }
    }

    async fn make_folder_once(&self, root: &Root, path: &str) -> Result<String> {
        let mut at = root.id.clone();
        let mut way = String::new();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            way = join(&way, name);
            if let Child::Folder(id) = self.tree.child(&at, name) {
                at = id;
                continue;
            }
            let _turn = self.tree.turn(&at, name).await;
            let there = match self.tree.child(&at, name) {
                Child::Folder(id) => {
                    at = id;
                    continue;
                }
                Child::Nothing => None,
                Child::Other | Child::Unknown => self.look(root, &at, name).await?,
            };
            at = match there {
                Some(folder) if folder.is_folder() => {
                    self.tree.settled(&at, name);
                    folder.id
                }
                Some(_) => {
                    let why = "a file is where a folder should be";
                    return Err(refuse(ErrorKind::InvalidPath, "make the folder", &way, why));
                }
                None => self.create_folder(&at, name).await?,
            };
        }
        Ok(at)
    }

    /// Makes a folder where nothing is. `NotFound` if the one above is gone.
    async fn create_folder(&self, parent: &str, name: &str) -> Result<String> {
        let id = match self.tree.uncertain(parent, name) {
            Some(id) => id,
            None => self.client.new_id().await?,
        };
        self.tree.begins(parent, name, &id);
        let made = match self.client.create_folder(&id, parent, name).await {
            // An earlier request went through after all.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => self.client.get(&id).await,
            made => made,
        };
        match made {
            Ok(folder) if folder.trashed || !folder.is_in(parent) => {
                self.tree.settled(parent, name);
                // It stands in a folder that went to the trash.
                self.erase(&folder).await?;
                Err(Error::new(ErrorKind::NotFound, "the folder above is in the trash"))
            }
            Ok(folder) => {
                self.tree.made(parent, &folder);
                self.tree.settled(parent, name);
                Ok(folder.id)
            }
            Err(error) => {
                if !is_unknown(&error) {
                    self.tree.settled(parent, name);
                }
                Err(error)
            }
        }
    }

    /// What to say if a folder is gone again and again: the root may be.
    pub(crate) async fn vanished(&self, root: &Root, error: Error) -> Error {
        match check(&self.client, root).await {
            Err(gone) => gone,
            Ok(_) => {
                let why = format!("a folder vanished while it was used: {error}");
                Error::new(ErrorKind::Interrupted, why)
            }
        }
    }
}

/// Refuses a path that the host should not have let through.
pub(crate) fn sound(what: &str, at: &At<'_>) -> Result<()> {
    check_path(at.path).map_err(|why| refuse(ErrorKind::InvalidPath, what, at.path, why))
}

/// The folder and the name; `None` for the root.
pub(crate) fn split(path: &str) -> Option<(&str, &str)> {
    (!path.is_empty()).then(|| path.rsplit_once('/').unwrap_or(("", path)))
}

pub(crate) fn is_root(what: &str, path: &str) -> Error {
    refuse(ErrorKind::InvalidPath, what, path, "it is the root")
}

pub(crate) fn nothing(what: &str, path: &str) -> Error {
    refuse(ErrorKind::NotFound, what, path, "nothing is there")
}
