//! Roots: from the text in the settings to a folder.
//!
//! `/My Drive/a/b`, `/NAME OF A SHARED DRIVE/a/b`, or the id of a folder or shared drive in the
//! place of the first component.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sitesync_provider::{
    Capabilities, Changes, Error, ErrorKind, NameRules, Result, RootInfo, check_path,
};

use crate::config::Settings;
use crate::model::{About, File, MTIME_STEP_NS, is_id};
use crate::tree::Tree;
use crate::{api::Client, query};

const MY_DRIVE: &str = "My Drive";
/// Ids are longer than this, names of shared drives seldom.
const SHORTEST_ID: usize = 15;
/// How old what the account says of its room may be.
const ROOM: Duration = Duration::from_secs(600);
/// Google's limit.
const LARGEST_FILE: u64 = 5 << 40;

/// An open root.
#[derive(Debug, Clone)]
pub(crate) struct Root {
    /// As it stands in the settings.
    pub(crate) text: String,
    /// The folder.
    pub(crate) id: String,
    /// The shared drive that it lies in.
    pub(crate) drive: Option<String>,
    /// The account's own drive, a shared drive, or a folder that somebody shares.
    home: Home,
    label: String,
    /// Names and parents of the folders from the first component to the root, as they were found.
    folder: (String, Vec<String>),
    pub(crate) settings: Settings,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Home {
    Own,
    SharedDrive,
    SharedWithUs,
}

/// The roots of an instance.
#[derive(Debug)]
pub(crate) struct Roots {
    open: Mutex<HashMap<String, Arc<Root>>>,
    /// Roots that were open in this run or an earlier one: they are not made anew.
    known: Mutex<HashMap<String, String>>,
    file: PathBuf,
    opening: tokio::sync::Mutex<()>,
    own: tokio::sync::OnceCell<String>,
    about: tokio::sync::Mutex<Option<(Instant, About)>>,
}

/// What the first component of a root leads to.
struct Start {
    folder: File,
    home: Home,
    label: String,
}

impl Roots {
    pub(crate) fn open_cache(cache: &std::path::Path) -> Self {
        let file = cache.join("roots");
        let known = std::fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok());
        Roots {
            open: Mutex::default(),
            known: Mutex::new(known.unwrap_or_default()),
            file,
            opening: tokio::sync::Mutex::default(),
            own: tokio::sync::OnceCell::new(),
            about: tokio::sync::Mutex::default(),
        }
    }

    /// A root that was opened. One that was not is opened with these settings.
    pub(crate) async fn get(
        &self,
        client: &Client,
        tree: &Tree,
        text: &str,
        settings: &Settings,
    ) -> Result<Arc<Root>> {
        if let Some(root) = self.opened(text) {
            return Ok(root);
        }
        self.resolve(client, tree, text, settings.clone()).await
    }

    fn opened(&self, text: &str) -> Option<Arc<Root>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).get(text).cloned()
    }

    /// Opens a root, or looks whether it is still there.
    pub(crate) async fn open(
        &self,
        client: &Client,
        tree: &Tree,
        text: &str,
        settings: Settings,
    ) -> Result<RootInfo> {
        let root = match self.opened(text) {
            Some(root) => match check(client, &root).await? {
                true => {
                    let root = Root { settings, ..(*root).clone() };
                    self.keep(root)
                }
                // It was renamed or moved: the name may lead to another one now.
                false => self.resolve(client, tree, text, settings).await?,
            },
            None => self.resolve(client, tree, text, settings).await?,
        };
        // Only one's own drive has room that an account knows of.
        let about = match root.home {
            Home::Own => Some(self.about(client).await?),
            Home::SharedDrive | Home::SharedWithUs => None,
        };
        Ok(self.info(client, &root, about.as_ref()))
    }

    fn keep(&self, root: Root) -> Arc<Root> {
        let root = Arc::new(root);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.insert(root.text.clone(), root.clone());
        drop(open);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.insert(root.text.clone(), root.id.clone()).as_ref() != Some(&root.id) {
            let text = serde_json::to_vec(&*known).unwrap_or_default();
            let fresh = self.file.with_extension("new");
            let written =
                std::fs::write(&fresh, text).and_then(|()| std::fs::rename(&fresh, &self.file));
            if let Err(error) = written {
                tracing::debug!(%error, "the roots that were open can't be remembered");
            }
        }
        root
    }

    async fn about(&self, client: &Client) -> Result<About> {
        let mut about = self.about.lock().await;
        if let Some((_, known)) = about.as_ref().filter(|(asked, _)| asked.elapsed() < ROOM) {
            return Ok(known.clone());
        }
        let fresh = client.about().await?;
        *about = Some((Instant::now(), fresh.clone()));
        Ok(fresh)
    }

    /// The id of the account's own drive.
    async fn own(&self, client: &Client) -> Result<&str> {
        let own = self.own.get_or_try_init(async || client.get("root").await.map(|root| root.id));
        own.await.map(String::as_str)
    }

    fn info(&self, client: &Client, root: &Root, about: Option<&About>) -> RootInfo {
        let mut info = RootInfo::default();
        info.storage_id = match (&root.drive, self.own.get()) {
            (Some(drive), _) => format!("gdrive:{drive}"),
            (None, Some(own)) => format!("gdrive:{own}"),
            (None, None) => format!("gdrive:{}", client.account()),
        };
        info.root_id = root.id.clone();
        info.lasting_id = true;
        info.account = client.account().to_owned();
        let mut can = Capabilities::default();
        can.server_copy = true;
        can.ranges = true;
        can.resume = true;
        can.recursive_list = true;
        can.changes = match root.home {
            Home::Own | Home::SharedDrive => Changes::Complete,
            Home::SharedWithUs => Changes::Hint,
        };
        can.checksums = vec!["md5".to_owned()];
        can.atomic_replace = true;
        can.keeps_versions = true;
        can.trash = true;
        info.can = can;
        info.mtime_step_ns = MTIME_STEP_NS;
        let mut names = NameRules::default();
        names.unique = false;
        info.names = names;
        info.largest_file = Some(LARGEST_FILE);
        if let Some((free, total)) = about.and_then(|about| about.storage_quota.room()) {
            info.free = Some(free);
            info.total = Some(total);
        }
        info.network = true;
        info.label = root.label.clone();
        info
    }

    async fn resolve(
        &self,
        client: &Client,
        tree: &Tree,
        text: &str,
        settings: Settings,
    ) -> Result<Arc<Root>> {
        let _one = self.opening.lock().await;
        let path = text.trim_matches('/');
        check_path(path).map_err(|why| invalid(text, why))?;
        let (first, rest) = path.split_once('/').unwrap_or((path, ""));
        let (mut at, rest) = match first {
            "" => return Err(invalid(text, "name a shared drive, or a folder in /My Drive")),
            MY_DRIVE => self.in_my_drive(client, text, rest).await?,
            _ => (self.elsewhere(client, text, first).await?, rest),
        };
        for name in rest.split('/').filter(|name| !name.is_empty()) {
            let drive = at.folder.drive_id.clone();
            let query = query::folder_named(&at.folder.id, name);
            let found = client.list_all(&query, drive.as_deref()).await?;
            let found = one(text, name, found)?;
            at.folder = match found {
                Some(folder) => folder,
                None if self.was_open(text) => {
                    let why = format!("the folder {name:?} of it is gone, and it was there before");
                    return Err(unavailable(text, why));
                }
                None if !settings.create_root => {
                    let why =
                        format!("there is no folder {name:?} in it: make it, or set `create_root`");
                    return Err(unavailable(text, why));
                }
                None => {
                    let id = client.new_id().await?;
                    let made = client.create_folder(&id, &at.folder.id, name).await?;
                    tree.made(&at.folder.id, &made);
                    tracing::info!(root = text, folder = name, "made a folder of the root");
                    made
                }
            };
        }
        Ok(self.keep(Root {
            text: text.to_owned(),
            drive: at.folder.drive_id.clone(),
            home: at.home,
            label: at.label,
            folder: (at.folder.name, at.folder.parents),
            id: at.folder.id,
            settings,
        }))
    }

    fn was_open(&self, text: &str) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).contains_key(text)
    }

    /// `/My Drive`, or a folder in it: the account's own, else one that is shared with it.
    async fn in_my_drive<'a>(
        &self,
        client: &Client,
        text: &str,
        rest: &'a str,
    ) -> Result<(Start, &'a str)> {
        let account = client.account();
        let own = self.own(client).await?;
        let label = format!("Google Drive (My Drive of {account})");
        let (name, rest) = rest.split_once('/').unwrap_or((rest, ""));
        if name.is_empty() {
            let folder = client.get(own).await?;
            return Ok((Start { folder, home: Home::Own, label }, rest));
        }
        let mine = client.list_all(&query::folder_named(own, name), None).await?;
        if let Some(folder) = one(text, name, mine)? {
            return Ok((Start { folder, home: Home::Own, label }, rest));
        }
        let shared = client.list_all(&query::shared_with_me(name), None).await?;
        match one(text, name, shared)? {
            Some(folder) => {
                let owner = folder.owners.first().map(|owner| &*owner.email_address);
                let by = owner.map_or(String::new(), |owner| format!(" of {owner}"));
                let label = format!("Google Drive (shared folder '{name}'{by})");
                Ok((Start { folder, home: Home::SharedWithUs, label }, rest))
            }
            None => {
                let why = format!(
                    "there is no folder {name:?} in My Drive of {account}, and none of that name \
                     is shared with it: share it with {account} as Editor"
                );
                Err(unavailable(text, why))
            }
        }
    }

    /// A shared drive by its name, or whatever has this id.
    async fn elsewhere(&self, client: &Client, text: &str, first: &str) -> Result<Start> {
        let account = client.account();
        let drives = client.drives(&query::drive_named(first)).await?;
        let drives: Vec<_> = drives.into_iter().filter(|drive| drive.name == first).collect();
        let shared = |id: &str, name: &str| Start {
            folder: File {
                id: id.to_owned(),
                name: name.to_owned(),
                mime_type: crate::model::FOLDER.to_owned(),
                drive_id: Some(id.to_owned()),
                ..File::default()
            },
            home: Home::SharedDrive,
            label: format!("Google Drive (shared drive '{name}')"),
        };
        match drives.as_slice() {
            [one] => return Ok(shared(&one.id, &one.name)),
            [] => {}
            several => {
                let ids: Vec<&str> = several.iter().map(|drive| &*drive.id).collect();
                let why = format!(
                    "{} shared drives have that name ({}): write the id in its place",
                    several.len(),
                    ids.join(", ")
                );
                return Err(invalid(text, &why));
            }
        }
        let missing = || {
            let why = format!(
                "{account} is a member of no shared drive {first:?}: add it as Content manager \
                 (a folder that is shared with it is /My Drive/NAME)"
            );
            unavailable(text, why)
        };
        if !is_id(first) || first.len() < SHORTEST_ID {
            return Err(missing());
        }
        match client.get(first).await {
            Ok(folder) if folder.trashed => Err(unavailable(text, "it is in the trash")),
            Ok(folder) if !folder.is_folder() => Err(unavailable(text, "it is no folder")),
            Ok(folder) => match folder.drive_id.clone() {
                Some(drive) => {
                    let name = client.drive(&drive).await?.name;
                    Ok(Start { folder, ..shared(&drive, &name) })
                }
                None => {
                    let label = format!("Google Drive (folder '{}')", folder.name);
                    Ok(Start { folder, home: Home::SharedWithUs, label })
                }
            },
            Err(error) if error.kind() == ErrorKind::NotFound => Err(missing()),
            Err(error) => Err(error),
        }
    }
}

impl Root {
    /// True for a folder that is not seen in whole by the feed of its drive.
    pub(crate) fn feed(&self) -> Option<&str> {
        self.drive.as_deref()
    }

    /// That the root itself is gone, or in the trash.
    pub(crate) fn gone(&self) -> Error {
        unavailable(&self.text, "it is in the trash, or no longer shared with this account")
    }
}

/// Whether a root is still what its text says: false if it was renamed or moved.
pub(crate) async fn check(client: &Client, root: &Root) -> Result<bool> {
    let folder = match client.get(&root.id).await {
        Ok(folder) if folder.trashed => return Err(root.gone()),
        Ok(folder) => folder,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(root.gone()),
        Err(error) => return Err(error),
    };
    let (name, parents) = &root.folder;
    // A shared drive is its own folder, whose name is the drive's.
    Ok(root.drive.as_ref() == Some(&root.id)
        || (folder.name, folder.parents) == (name.clone(), parents.clone()))
}

/// The only one of this name; `InvalidSettings` if there are several.
fn one(text: &str, name: &str, found: Vec<File>) -> Result<Option<File>> {
    let mut found: Vec<File> = found.into_iter().filter(|file| file.name == name).collect();
    if found.len() > 1 {
        let each = found.iter().map(|file| {
            let owners: Vec<&str> = file.owners.iter().map(|one| &*one.email_address).collect();
            let link = file.web_view_link.as_deref().unwrap_or_default();
            format!("{} of {} {link}", file.id, owners.join(", "))
        });
        let each: Vec<String> = each.collect();
        let why = format!(
            "{} folders are called {name:?}: rename one, or write the id of the right one as the \
             root ({})",
            each.len(),
            each.join("; ")
        );
        return Err(invalid(text, &why));
    }
    Ok(found.pop())
}

fn invalid(text: &str, why: &str) -> Error {
    Error::new(ErrorKind::InvalidSettings, format!("the root {text:?}: {why}"))
}

fn unavailable(text: &str, why: impl std::fmt::Display) -> Error {
    // With a code of its own: what to do is said here, and is nothing about disks.
    Error::new(ErrorKind::RootUnavailable, format!("the root {text:?}: {why}"))
        .with_code("notFound")
}
