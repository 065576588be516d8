//! A provider that keeps files in memory: small, and right in everything that the contract says.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use schemars::JsonSchema;
use serde::Deserialize;
use sitesync_provider::{
    About, At, Bytes, DeleteOptions, End, Entry, Error, ErrorKind, Expect, Host, Kind, ListStream,
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
}

#[derive(Debug, Clone)]
struct Stored {
    content: Bytes,
    metadata: Metadata,
}

/// Files by root and path; a folder is what has something beneath it, or was made.
#[derive(Debug, Default)]
struct Tree {
    files: BTreeMap<(String, String), Stored>,
    folders: BTreeMap<(String, String), ()>,
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

/// The name of what lies directly in `folder`, and whether more follows beneath it.
fn child<'a>(folder: &str, path: &'a str) -> Option<(&'a str, bool)> {
    let rest =
        if folder.is_empty() { path } else { path.strip_prefix(folder)?.strip_prefix('/')? };
    Some(rest.split_once('/').map_or((rest, false), |(name, _)| (name, true)))
}

impl Tree {
    fn is_folder(&self, root: &str, path: &str) -> bool {
        path.is_empty()
            || self.folders.contains_key(&(root.to_owned(), path.to_owned()))
            || self.files.keys().chain(self.folders.keys()).any(|(other, beneath)| {
                other == root && child(path, beneath).is_some_and(|(name, _)| !name.is_empty())
            })
    }

    fn check(&self, at: &(String, String), expect: &Expect) -> Result<()> {
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
        self.tree.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
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
        self.content.extend_from_slice(&chunk);
        self.how.op.progress(chunk.len() as u64);
        Ok(())
    }

    async fn finish(self) -> Result<Metadata> {
        if self.content.len() as u64 != self.how.size {
            return Err(Error::new(ErrorKind::Corrupt, "not as many bytes as announced"));
        }
        self.how.op.check()?;
        let version = self.store.versions.fetch_add(1, Ordering::Relaxed).to_string();
        let metadata = Metadata::file(self.how.size)
            .with_mtime_ns(self.how.mtime_ns)
            .with_version(version)
            .with_verified(true);
        let mut tree = self.store.tree();
        tree.check(&self.at, &self.how.expect)?;
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
        Ok(Memory::default())
    }

    async fn open_root(&self, root: &str, _: Settings) -> Result<RootInfo> {
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
            None if tree.is_folder(at.root, at.path) => Ok(Metadata::folder()),
            None => Err(not_found(at.path)),
        }
    }

    async fn list(&self, dir: At<'_>, recursive: bool) -> Result<Lister> {
        if recursive {
            return Err(Error::unsupported("recursive listing"));
        }
        let tree = self.tree();
        if !tree.is_folder(dir.root, dir.path) {
            return Err(not_found(dir.path));
        }
        let mut entries = BTreeMap::new();
        for (root, path) in tree.folders.keys() {
            if let Some((name, _)) = child(dir.path, path).filter(|_| root == dir.root) {
                entries.insert(name.to_owned(), Metadata::folder());
            }
        }
        for ((root, path), stored) in &tree.files {
            if let Some((name, deeper)) = child(dir.path, path).filter(|_| root == dir.root) {
                let metadata = if deeper { Metadata::folder() } else { stored.metadata.clone() };
                entries.insert(name.to_owned(), metadata);
            }
        }
        let entries = entries.into_iter().map(|(name, metadata)| Entry::new(name, metadata));
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
        check_path(at.path).map_err(|why| Error::new(ErrorKind::InvalidPath, why))?;
        self.tree().check(&key(&at), &how.expect)?;
        Ok(Writer { store: self.clone(), at: key(&at), how, content: Vec::new() })
    }

    async fn create_folder(&self, at: At<'_>) -> Result<()> {
        let mut path = String::new();
        let mut tree = self.tree();
        for part in at.path.split('/') {
            path = join(&path, part);
            if tree.files.contains_key(&(at.root.to_owned(), path.clone())) {
                return Err(Error::new(ErrorKind::AlreadyExists, format!("{path:?} is a file")));
            }
            tree.folders.insert((at.root.to_owned(), path.clone()), ());
        }
        Ok(())
    }

    async fn remove_folder(&self, at: At<'_>) -> Result<()> {
        let mut tree = self.tree();
        let beneath = |(root, path): &(String, String)| {
            root == at.root && child(at.path, path).is_some_and(|(name, _)| !name.is_empty())
        };
        if tree.files.keys().chain(tree.folders.keys()).any(beneath) {
            return Err(Error::new(ErrorKind::Precondition, "the folder is not empty"));
        }
        tree.folders.remove(&key(&at)).ok_or_else(|| not_found(at.path))
    }

    async fn delete(&self, at: At<'_>, how: DeleteOptions) -> Result<()> {
        let mut tree = self.tree();
        if let Some(version) = how.if_version {
            tree.check(&key(&at), &Expect::Version(version))?;
        }
        match tree.files.remove(&key(&at)) {
            Some(stored) if stored.metadata.kind == Kind::File => Ok(()),
            _ => Err(not_found(at.path)),
        }
    }

    async fn sweep(&self, _: &str, _: SweepOptions) -> Result<Swept> {
        Ok(Swept::new(0, 0))
    }
}
