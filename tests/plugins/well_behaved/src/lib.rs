//! A provider that keeps files in memory: small, and right in everything that the contract says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use schemars::JsonSchema;
use serde::Deserialize;
use sitesync_provider::{
    About, At, Bytes, DeleteOptions, End, Entry, Error, ErrorKind, Expect, Host, ListStream,
    Metadata, Page, Provider, ReadOptions, ReadStream, Result, RootInfo, SweepOptions, Swept,
    WriteOptions, WriteStream, check_path, join,
};

sitesync_provider::export_provider!(Memory);

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// A text that greets in the log.
    pub greeting: String,
    /// How many events to log when connecting.
    pub noise: u32,
    /// Instances that name the same store see the same files; without a name each has its own.
    pub store: String,
}

/// The stores that have a name.
static STORES: LazyLock<Mutex<BTreeMap<String, Memory>>> = LazyLock::new(Mutex::default);

#[derive(Debug, Clone)]
struct Stored {
    content: Bytes,
    metadata: Metadata,
}

/// Files and folders by root and path. The roots themselves are always there.
#[derive(Debug, Default)]
struct Tree {
    files: BTreeMap<(String, String), Stored>,
    folders: BTreeSet<(String, String)>,
}

#[derive(Debug, Clone, Default)]
pub struct Memory {
    tree: Arc<Mutex<Tree>>,
    versions: Arc<AtomicU64>,
}

fn key(at: &At<'_>) -> (String, String) {
    (at.root.to_owned(), at.path.to_owned())
}

fn not_found(path: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is nothing at {path:?}")).with_code("404")
}

fn invalid(path: &str, why: &str) -> Error {
    Error::new(ErrorKind::InvalidPath, format!("{path:?}: {why}"))
}

/// Refuses a path that the host should not have let through.
fn check(at: &At<'_>) -> Result<()> {
    check_path(at.path).map_err(|why| invalid(at.path, why))
}

/// The name of what lies directly in `folder`.
fn child<'a>(folder: &str, path: &'a str) -> Option<&'a str> {
    let name =
        if folder.is_empty() { path } else { path.strip_prefix(folder)?.strip_prefix('/')? };
    (!name.is_empty() && !name.contains('/')).then_some(name)
}

impl Tree {
    fn is_folder(&self, at: &(String, String)) -> bool {
        at.1.is_empty() || self.folders.contains(at)
    }

    /// What lies directly in a folder.
    fn children<'a>(&'a self, at: &'a At<'_>) -> impl Iterator<Item = (&'a str, Metadata)> {
        let files = self.files.iter().map(|(key, stored)| (key, stored.metadata.clone()));
        let folders = self.folders.iter().map(|key| (key, Metadata::folder()));
        files
            .chain(folders)
            .filter(|((root, _), _)| root == at.root)
            .filter_map(|((_, path), metadata)| child(at.path, path).map(|name| (name, metadata)))
    }

    /// Makes a folder with its parents.
    fn make_folder(&mut self, root: &str, path: &str) -> Result<()> {
        let mut folder = String::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            folder = join(&folder, part);
            let key = (root.to_owned(), folder.clone());
            if self.files.contains_key(&key) {
                return Err(invalid(&folder, "a file is where a folder should be"));
            }
            self.folders.insert(key);
        }
        Ok(())
    }

    /// Makes the folder that a file is to lie in, and looks whether what is there is expected.
    fn prepare(&mut self, at: &(String, String), expect: &Expect) -> Result<()> {
        self.make_folder(&at.0, at.1.rsplit_once('/').map_or("", |(folder, _)| folder))?;
        self.check(at, expect)
    }

    fn check(&self, at: &(String, String), expect: &Expect) -> Result<()> {
        if self.is_folder(at) {
            return Err(invalid(&at.1, "a folder is there"));
        }
        match (expect, self.files.get(at)) {
            (Expect::Nothing, None) => Ok(()),
            (Expect::Nothing, Some(_)) => {
                Err(Error::new(ErrorKind::AlreadyExists, format!("{:?} exists", at.1)))
            }
            (Expect::Version(_), None) => Err(not_found(&at.1)),
            (Expect::Version(version), Some(found))
                if found.metadata.version.as_ref() != Some(version) =>
            {
                Err(Error::new(ErrorKind::Precondition, format!("{:?} has changed", at.1)))
            }
            _ => Ok(()),
        }
    }
}

impl Memory {
    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub struct Reader {
    metadata: Metadata,
    rest: Bytes,
}

impl ReadStream for Reader {
    fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    async fn read(&mut self, max: usize) -> Result<Bytes> {
        Ok(self.rest.split_to(max.min(self.rest.len())))
    }
}

#[derive(Debug)]
pub struct Writer {
    store: Memory,
    at: (String, String),
    how: WriteOptions,
    content: Vec<u8>,
}

impl WriteStream for Writer {
    fn offset(&self) -> u64 {
        0
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.how.op.check()?;
        self.content.extend_from_slice(&chunk);
        self.how.op.progress(chunk.len() as u64);
        Ok(())
    }

    async fn finish(self) -> Result<Metadata> {
        if self.content.len() as u64 != self.how.size {
            return Err(Error::new(ErrorKind::Corrupt, "not as many bytes as announced"));
        }
        let version = self.store.versions.fetch_add(1, Ordering::Relaxed).to_string();
        let metadata =
            Metadata::file(self.how.size).with_mtime_ns(self.how.mtime_ns).with_version(version);
        let mut tree = self.store.tree();
        tree.prepare(&self.at, &self.how.expect)?;
        self.how.op.check()?;
        let stored = Stored { content: self.content.into(), metadata: metadata.clone() };
        tree.files.insert(self.at, stored);
        Ok(metadata)
    }

    async fn discard(self) -> Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
pub struct Lister(Option<Vec<Page>>);

impl ListStream for Lister {
    async fn next(&mut self) -> Result<Option<Vec<Page>>> {
        Ok(self.0.take())
    }
}

impl Provider for Memory {
    type Settings = Settings;
    type Reader = Reader;
    type Writer = Writer;
    type Lister = Lister;

    const ABOUT: About = About::new("well_behaved", "Memory (test fixture)").slots(8);

    async fn connect(settings: Settings, host: Host) -> Result<Self> {
        host.permit(1).await?;
        tracing::info!(greeting = settings.greeting, site = host.site_id(), "connected");
        tracing::debug!("this is only for those who look closely");
        for n in 0..settings.noise {
            tracing::info!(target: "well_behaved::noise", n, "noise");
        }
        if settings.store.is_empty() {
            return Ok(Memory::default());
        }
        let mut stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(stores.entry(settings.store).or_default().clone())
    }

    /// Roots need not be made, and have one name each: there are none in one another.
    async fn open_root(&self, root: &str, _: Settings) -> Result<RootInfo> {
        if root.trim_start_matches('/').contains('/') {
            let why = format!("{root:?} is no root of this store");
            return Err(Error::new(ErrorKind::RootUnavailable, why));
        }
        let mut info = RootInfo::default();
        info.storage_id = "memory".into();
        info.root_id = root.to_owned();
        info.can.ranges = true;
        info.can.atomic_replace = true;
        info.mtime_step_ns = 1;
        info.label = "memory".into();
        Ok(info)
    }

    async fn stat(&self, at: At<'_>) -> Result<Metadata> {
        let tree = self.tree();
        match tree.files.get(&key(&at)) {
            Some(stored) => Ok(stored.metadata.clone()),
            None if tree.is_folder(&key(&at)) => Ok(Metadata::folder()),
            None => Err(not_found(at.path)),
        }
    }

    async fn list(&self, dir: At<'_>, recursive: bool) -> Result<Lister> {
        if recursive {
            return Err(Error::unsupported("recursive listing"));
        }
        let tree = self.tree();
        if !tree.is_folder(&key(&dir)) {
            return Err(not_found(dir.path));
        }
        let entries = tree.children(&dir).map(|(name, metadata)| Entry::new(name, metadata));
        Ok(Lister(Some(vec![Page::new(dir.path, entries.collect(), End::Complete)])))
    }

    async fn open_read(&self, at: At<'_>, how: ReadOptions) -> Result<Reader> {
        let stored = self.tree().files.get(&key(&at)).cloned().ok_or_else(|| not_found(at.path))?;
        if how.if_version.is_some() && how.if_version != stored.metadata.version {
            return Err(Error::new(ErrorKind::Precondition, "the file has changed"));
        }
        let all = stored.content.len();
        let from = usize::try_from(how.from).unwrap_or(all).min(all);
        let len = how.len.and_then(|len| usize::try_from(len).ok()).unwrap_or(all);
        let rest = stored.content.slice(from..all.min(from.saturating_add(len)));
        Ok(Reader { metadata: stored.metadata, rest })
    }

    async fn open_write(&self, at: At<'_>, how: WriteOptions) -> Result<Writer> {
        check(&at)?;
        how.op.check()?;
        self.tree().prepare(&key(&at), &how.expect)?;
        Ok(Writer { store: self.clone(), at: key(&at), how, content: Vec::new() })
    }

    async fn create_folder(&self, at: At<'_>) -> Result<()> {
        check(&at)?;
        self.tree().make_folder(at.root, at.path)
    }

    async fn remove_folder(&self, at: At<'_>) -> Result<()> {
        let mut tree = self.tree();
        if tree.children(&at).next().is_some() {
            return Err(Error::new(ErrorKind::Precondition, "the folder is not empty"));
        }
        if tree.folders.remove(&key(&at)) { Ok(()) } else { Err(not_found(at.path)) }
    }

    async fn delete(&self, at: At<'_>, how: DeleteOptions) -> Result<()> {
        if how.to_trash {
            return Err(Error::unsupported("trash"));
        }
        let mut tree = self.tree();
        if let Some(version) = how.if_version {
            tree.check(&key(&at), &Expect::Version(version))?;
        }
        tree.files.remove(&key(&at)).map(drop).ok_or_else(|| not_found(at.path))
    }

    async fn sweep(&self, _: &str, _: SweepOptions) -> Result<Swept> {
        Ok(Swept::new(0, 0))
    }
}
