//! What a case stands on: a folder of its own, a connection whose every call has a limit, and
//! content. Names are relative to the case's folder, `""` is that folder.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::content::{content, mixed, random, same};
use super::guest::{Caches, Guest};
use super::outcome::{Outcome, demand, fail, refused};
use crate::abi::client::{self, Connection, Module};
use crate::{
    At, ChangePage, Copied, Copy, Cursor, DeleteOptions, Description, End, Entry, Error, ErrorKind,
    Expect, Host, Known, Metadata, Op, Page, ReadOptions, Result, RootInfo, SweepOptions, Swept,
    WriteOptions, join,
};

/// How long something may take that is known to take long: a sweep, a barrier. The host gives both
/// more than other calls.
const LONG: u32 = 3;
/// Names of a listing that has no end, counted with 10 for each answer.
const ENDLESS: usize = 200_000;
/// What was left is foreign, and never this old.
const NEVER: Duration = Duration::from_secs(50 * 365 * 86_400);

/// What all cases of a run share.
pub(super) struct Site {
    pub(super) module: Module,
    pub(super) description: Description,
    pub(super) settings: serde_json::Value,
    pub(super) host: Host,
    pub(super) root: String,
    pub(super) info: RootInfo,
    /// The folder of the run.
    pub(super) work: String,
    /// How long a call may take.
    pub(super) limit: Duration,
    /// Set once a call took longer.
    pub(super) hung: AtomicBool,
    /// Requests that the provider asked for.
    pub(super) permits: Arc<AtomicU64>,
    pub(super) caches: Caches,
}

/// What a case stands on. Cheap to clone, so that tasks of a case have one each.
#[derive(Clone)]
pub(super) struct Ground {
    pub(super) site: Arc<Site>,
    connection: Connection,
    folder: String,
    seed: u64,
    contents: Arc<AtomicU64>,
}

impl Ground {
    pub(super) fn new(site: Arc<Site>, connection: Connection, name: &str, seed: u64) -> Self {
        let folder = join(&site.work, name);
        let seed = name.bytes().fold(seed, |seed, byte| mixed(seed ^ u64::from(byte)));
        Ground { site, connection, folder, seed, contents: Arc::default() }
    }

    /// What the root declares.
    pub(super) fn info(&self) -> &RootInfo {
        &self.site.info
    }

    /// The path beneath the root.
    pub(super) fn path(&self, name: &str) -> String {
        match name {
            "" => self.folder.clone(),
            name => join(&self.folder, name),
        }
    }

    /// The place on this machine, where the root has a path there.
    pub(super) fn on_disk(&self, name: &str) -> PathBuf {
        let root = self.site.info.local_path.as_deref().unwrap_or_default();
        Path::new(root).join(self.path(name))
    }

    /// Waits until the storage's clock has ticked: two changes in one tick can't be told apart by
    /// time, and the host lets files settle for longer than that.
    pub(super) async fn tick(&self) {
        let step = Duration::from_nanos(self.site.info.mtime_step_ns);
        tokio::time::sleep(step + Duration::from_millis(50)).await;
    }

    /// So many bytes, others at each call.
    pub(super) fn content(&self, len: usize) -> Bytes {
        let n = self.contents.fetch_add(1, Ordering::Relaxed);
        content(mixed(self.seed ^ n), len)
    }

    /// The same ground, seen through a connection of its own, as after a restart of the host.
    pub(super) async fn reconnected(&self) -> Result<Self> {
        self.connected(self.host_of(self.site.host.site_id())?).await
    }

    /// The same ground, seen by another site's host.
    pub(super) async fn as_another_site(&self) -> Result<Self> {
        self.connected(self.host_of(format!("verify-other-{:016x}", random()))?).await
    }

    /// A host for one more instance.
    fn host_of(&self, site_id: String) -> Result<Host> {
        let Site { host, caches, permits, .. } = &*self.site;
        let (host, permits) = (host.clone(), permits.clone());
        Ok(Host::new(Guest { host, cache_dir: caches.next()?, site_id, permits }))
    }

    async fn connected(&self, host: Host) -> Result<Self> {
        let call = self.site.module.connect(&self.site.settings, host);
        let connection = self.limited("connect", "", call).await?;
        let ground = Ground { connection, ..self.clone() };
        ground.open_root(&self.site.root).await?;
        Ok(ground)
    }

    pub(super) async fn connect_with(&self, settings: &serde_json::Value) -> Result<()> {
        let host = self.host_of(self.site.host.site_id())?;
        let call = self.site.module.connect(settings, host);
        self.limited("connect", "", call).await.map(drop)
    }

    pub(super) async fn open_root(&self, root: &str) -> Result<RootInfo> {
        self.open_root_with(root, &self.site.settings).await
    }

    pub(super) async fn open_root_with(
        &self,
        root: &str,
        settings: &serde_json::Value,
    ) -> Result<RootInfo> {
        self.limited("open the root", root, self.connection.open_root(root, settings)).await
    }

    /// A call, which may take as long as the run allows. Says in an error what was called.
    async fn limited<T>(
        &self,
        what: &str,
        on: &str,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.limited_by(self.site.limit, what, on, call).await
    }

    async fn limited_by<T>(
        &self,
        limit: Duration,
        what: &str,
        on: &str,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let answer = tokio::time::timeout(limit, call).await.unwrap_or_else(|_| {
            self.site.hung.store(true, Ordering::Relaxed);
            let why = format!("no answer within {} s", limit.as_secs_f32());
            Err(Error::new(ErrorKind::Timeout, why))
        });
        let shown = on.strip_prefix(&self.folder).map_or(on, |rest| rest.trim_start_matches('/'));
        answer.map_err(|error| error.context(format!("{what} {shown:?}")))
    }

    fn at<'a>(&'a self, path: &'a str) -> At<'a> {
        At::new(&self.site.root, path)
    }
}

/// The methods of a provider, on names of this ground.
impl Ground {
    pub(super) async fn stat(&self, name: &str) -> Result<Metadata> {
        self.stat_path(&self.path(name)).await
    }

    pub(super) async fn stat_path(&self, path: &str) -> Result<Metadata> {
        self.limited("stat", path, self.connection.stat(self.at(path))).await
    }

    pub(super) async fn stat_known(&self, name: &str, known: &Known) -> Result<Metadata> {
        let path = self.path(name);
        self.limited("stat", &path, self.connection.stat(self.at(&path).known(Some(known)))).await
    }

    pub(super) async fn list(&self, name: &str, recursive: bool) -> Result<Listing> {
        self.list_path(&self.path(name), recursive).await
    }

    pub(super) async fn list_path(&self, path: &str, recursive: bool) -> Result<Listing> {
        let call = self.connection.list(self.at(path), recursive);
        let raw = self.limited("list", path, call).await?;
        Ok(Listing { raw, ground: self.clone(), path: path.to_owned(), seen: 0 })
    }

    pub(super) async fn open_read(&self, name: &str, how: ReadOptions) -> Result<Reading> {
        self.open_read_path(&self.path(name), how).await
    }

    pub(super) async fn open_read_path(&self, path: &str, how: ReadOptions) -> Result<Reading> {
        let call = self.connection.open_read(self.at(path), how);
        let raw = self.limited("open", path, call).await?;
        Ok(Reading { raw, ground: self.clone(), path: path.to_owned() })
    }

    pub(super) async fn open_write(&self, name: &str, how: WriteOptions) -> Result<Writing> {
        self.open_write_path(&self.path(name), how).await
    }

    pub(super) async fn open_write_path(&self, path: &str, how: WriteOptions) -> Result<Writing> {
        let call = self.connection.open_write(self.at(path), how);
        let raw = self.limited("open for writing", path, call).await?;
        Ok(Writing { offset: raw.offset, raw, ground: self.clone(), path: path.to_owned() })
    }

    pub(super) async fn create_folder(&self, name: &str) -> Result<()> {
        self.create_folder_path(&self.path(name)).await
    }

    pub(super) async fn create_folder_path(&self, path: &str) -> Result<()> {
        self.limited("create folder", path, self.connection.create_folder(self.at(path))).await
    }

    pub(super) async fn remove_folder(&self, name: &str) -> Result<()> {
        self.remove_folder_path(&self.path(name)).await
    }

    pub(super) async fn remove_folder_path(&self, path: &str) -> Result<()> {
        self.limited("remove folder", path, self.connection.remove_folder(self.at(path))).await
    }

    pub(super) async fn delete(&self, name: &str, how: DeleteOptions) -> Result<()> {
        self.delete_path(&self.path(name), how).await
    }

    pub(super) async fn delete_path(&self, path: &str, how: DeleteOptions) -> Result<()> {
        self.limited("delete", path, self.connection.delete(self.at(path), how)).await
    }

    /// Sweeps what this run's host left; `keep` are the tokens that are still needed.
    pub(super) async fn sweep(&self, keep: Vec<Vec<u8>>) -> Result<Swept> {
        let call = self.connection.sweep(&self.site.root, SweepOptions::new(keep, NEVER));
        self.limited_by(self.site.limit * LONG, "sweep", &self.site.root, call).await
    }

    pub(super) async fn rename(&self, from: &str, to: &str) -> Result<Metadata> {
        self.rename_path(&self.path(from), &self.path(to)).await
    }

    pub(super) async fn rename_path(&self, from: &str, to: &str) -> Result<Metadata> {
        self.limited("rename", from, self.connection.rename(self.at(from), self.at(to))).await
    }

    pub(super) async fn flush(&self, roots: &[&str]) -> Result<()> {
        let call = self.connection.flush(roots);
        self.limited_by(self.site.limit * LONG, "flush", &self.site.root, call).await
    }

    pub(super) async fn changes(
        &self,
        since: Option<Cursor>,
        wait: Duration,
    ) -> Result<ChangePage> {
        let root = [self.site.root.as_str()];
        let call = self.connection.changes(&root, since, wait);
        self.limited_by(self.site.limit + wait, "changes since", "the cursor", call).await
    }

    /// Copies within the instance; each item: source, destination, what must be there.
    pub(super) async fn server_copy(&self, batch: &[Item], op: Op) -> Result<Vec<Result<Copied>>> {
        let paths: Vec<_> =
            batch.iter().map(|item| (self.path(&item.from), self.path(&item.to))).collect();
        let copies = batch
            .iter()
            .zip(&paths)
            .map(|(item, (from, to))| {
                let from = self.at(from).known(item.known.as_ref());
                Copy::new(from, self.at(to), item.expect.clone()).keep_replaced(item.keep_replaced)
            })
            .collect();
        let call = self.connection.server_copy(copies, op);
        self.limited_by(self.site.limit * LONG, "copy to", &self.folder, call).await
    }
}

/// One file to copy, by names of the ground.
#[derive(Clone)]
pub(super) struct Item {
    from: String,
    to: String,
    known: Option<Known>,
    expect: Expect,
    keep_replaced: bool,
}

impl Item {
    /// A copy to where nothing is.
    pub(super) fn new(from: impl Into<String>, to: impl Into<String>) -> Self {
        Item {
            from: from.into(),
            to: to.into(),
            known: None,
            expect: Expect::Nothing,
            keep_replaced: false,
        }
    }

    /// Only if the source has this version.
    pub(super) fn version(mut self, version: impl Into<String>) -> Self {
        self.known = Some(Known::new(None, Some(version.into())));
        self
    }

    pub(super) fn expect(mut self, expect: Expect) -> Self {
        self.expect = expect;
        self
    }

    /// What is replaced goes to the trash.
    pub(super) fn keep_replaced(mut self, keep: bool) -> Self {
        self.keep_replaced = keep;
        self
    }
}

/// What cases do most.
impl Ground {
    /// Writes a file where nothing is.
    pub(super) async fn put(&self, name: &str, bytes: &Bytes) -> Result<Metadata> {
        self.write(name, bytes, WriteOptions::new(bytes.len() as u64, Expect::Nothing)).await
    }

    /// Writes a file in the place of the one with this metadata.
    pub(super) async fn replace(
        &self,
        name: &str,
        bytes: &Bytes,
        was: &Metadata,
    ) -> Result<Metadata> {
        let expect = Expect::Version(was.fingerprint());
        self.write(name, bytes, WriteOptions::new(bytes.len() as u64, expect)).await
    }

    /// Writes these bytes, whatever was announced: the first error of opening, writing or
    /// finishing.
    pub(super) async fn write(
        &self,
        name: &str,
        bytes: &Bytes,
        how: WriteOptions,
    ) -> Result<Metadata> {
        let mut writing = self.open_write(name, how).await?;
        writing.write(bytes).await?;
        writing.finish().await
    }

    /// The whole file.
    pub(super) async fn read(&self, name: &str) -> Result<Vec<u8>> {
        self.read_path(&self.path(name)).await
    }

    pub(super) async fn read_path(&self, path: &str) -> Result<Vec<u8>> {
        self.open_read_path(path, ReadOptions::new()).await?.rest(1 << 20).await
    }

    /// The folders of the trash, by the time at which they were filled.
    pub(super) async fn trash_folders(&self) -> Result<Vec<String>> {
        let Some(trash) = self.info().trash_folder.clone() else { return Ok(Vec::new()) };
        let pages = match self.list_path(&trash, false).await {
            Ok(listing) => listing.all().await?,
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let entries = pages.into_iter().flat_map(|page| page.entries);
        let folders = entries.filter(|entry| entry.metadata.kind == crate::Kind::Folder);
        let sound = folders.filter(|entry| crate::check_name(&entry.name).is_ok());
        Ok(sound.map(|entry| join(&trash, &entry.name)).collect())
    }

    /// The paths beneath the root of what the trash has of a file.
    pub(super) async fn trashed(&self, name: &str) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for folder in self.trash_folders().await? {
            let path = join(&folder, &self.path(name));
            match self.stat_path(&path).await {
                Ok(_) => found.push(path),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Demands that the file has this content.
    pub(super) async fn holds(&self, name: &str, bytes: &[u8]) -> Outcome {
        same(&format!("{name:?}"), &self.read(name).await?, bytes)
    }

    /// Demands that nothing is seen under this name: by `stat`, by reading, in its folder's
    /// listing.
    pub(super) async fn absent(&self, name: &str) -> Outcome {
        refused(&format!("stat of {name:?}"), self.stat(name).await, &[ErrorKind::NotFound])?;
        let read = self.open_read(name, ReadOptions::new()).await.map(drop);
        refused(&format!("reading {name:?}"), read, &[ErrorKind::NotFound])?;
        let (folder, last) = name.rsplit_once('/').unwrap_or(("", name));
        match self.entries(folder).await {
            Ok(entries) => demand!(!entries.contains_key(last), "{name:?} is listed"),
            Err(_) if self.is_missing(folder).await => {}
            Err(failure) => return Err(failure),
        }
        Ok(())
    }

    async fn is_missing(&self, folder: &str) -> bool {
        self.stat(folder).await.is_err_and(|error| error.kind() == ErrorKind::NotFound)
    }

    /// What a complete listing of one folder names and does not skip.
    pub(super) async fn entries(&self, folder: &str) -> Outcome<BTreeMap<String, Metadata>> {
        let path = self.path(folder);
        let pages = self.list(folder, false).await?.all().await?;
        let mut folders = by_folder(pages)?;
        let entries = folders.remove(&path);
        if let Some(other) = folders.keys().next() {
            return fail(format!("the listing of {path:?} alone has a page of {other:?}"));
        }
        let Some(entries) = entries else {
            return fail(format!("the listing of {path:?} has no page of it"));
        };
        Ok(entries)
    }
}

/// The entries of every folder: demands that each is complete, its pages in a row, no name twice.
/// What is skipped is left out.
pub(super) fn by_folder(pages: Vec<Page>) -> Outcome<BTreeMap<String, BTreeMap<String, Metadata>>> {
    let mut folders: BTreeMap<String, BTreeMap<String, Metadata>> = BTreeMap::new();
    let mut open: Option<String> = None;
    for page in pages {
        let Page { folder, entries, end, .. } = page;
        if let Some(other) = open.as_ref().filter(|other| **other != folder) {
            return fail(format!("pages of {folder:?} came between those of {other:?}"));
        }
        if open.is_none() && folders.contains_key(&folder) {
            return fail(format!("{folder:?} was complete, and one more page of it came"));
        }
        let names = folders.entry(folder.clone()).or_default();
        for Entry { name, metadata, skipped } in entries {
            if skipped.is_some() {
                continue;
            }
            if let Err(why) = crate::check_name(&name) {
                return fail(format!("the listing of {folder:?} has {why}: {name:?}"));
            }
            if names.insert(name.clone(), metadata).is_some() {
                return fail(format!("{name:?} is listed twice in {folder:?}"));
            }
        }
        open = match end {
            End::More => Some(folder),
            End::Complete => None,
            End::Failed(error) => {
                return fail(format!("{folder:?} could not be listed: {error}"));
            }
        };
    }
    match open {
        Some(folder) => fail(format!("the listing ended before {folder:?} was complete")),
        None => Ok(folders),
    }
}

/// A listing whose every call has a limit.
pub(super) struct Listing {
    raw: client::Listing,
    ground: Ground,
    path: String,
    seen: usize,
}

impl Listing {
    /// The next pages. `Corrupt` if it has no end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Page>>> {
        let pages = self.ground.limited("list on", &self.path, self.raw.next()).await?;
        // No case makes so much; pages without names count as well.
        let names: usize = pages.iter().flatten().map(|page| page.entries.len()).sum();
        self.seen += 10 + names;
        if self.seen > ENDLESS {
            let why = format!("list {:?}: it goes on and on", self.path);
            return Err(Error::new(ErrorKind::Corrupt, why));
        }
        Ok(pages)
    }

    /// All that is left.
    pub(super) async fn all(mut self) -> Result<Vec<Page>> {
        let mut all = Vec::new();
        while let Some(pages) = self.next().await? {
            all.extend(pages);
        }
        Ok(all)
    }
}

/// A file being read, whose every call has a limit.
pub(super) struct Reading {
    raw: client::Reading,
    ground: Ground,
    path: String,
}

impl Reading {
    pub(super) fn metadata(&self) -> &Metadata {
        &self.raw.metadata
    }

    pub(super) async fn read(&mut self, max: usize) -> Result<Bytes> {
        self.ground.limited("read", &self.path, self.raw.read(max)).await
    }

    /// All that is left, by so many bytes at once. `Corrupt` if it has no end.
    pub(super) async fn rest(mut self, max: usize) -> Result<Vec<u8>> {
        let most = self.raw.metadata.size.saturating_add(1 << 20);
        let mut all = Vec::new();
        loop {
            let bytes = self.read(max).await?;
            if bytes.is_empty() {
                return Ok(all);
            }
            all.extend_from_slice(&bytes);
            if all.len() as u64 > most {
                let why = format!("more comes than the {} bytes it has", self.metadata().size);
                return Err(Error::new(ErrorKind::Corrupt, why));
            }
        }
    }
}

/// A file being written, whose every call has a limit.
pub(super) struct Writing {
    pub(super) offset: u64,
    raw: client::Writing,
    ground: Ground,
    path: String,
}

impl Writing {
    /// Writes all of it, in chunks as the host does.
    pub(super) async fn write(&mut self, bytes: &Bytes) -> Result<()> {
        let mut rest = bytes.clone();
        while !rest.is_empty() {
            let chunk = rest.split_to(rest.len().min(1 << 20));
            self.ground.limited("write", &self.path, self.raw.write(chunk)).await?;
        }
        Ok(())
    }

    pub(super) async fn checkpoint(&mut self) -> Result<Option<Vec<u8>>> {
        self.ground.limited("checkpoint", &self.path, self.raw.checkpoint()).await
    }

    pub(super) async fn finish(self) -> Result<Metadata> {
        let Writing { raw, ground, path, .. } = self;
        ground.limited("finish", &path, raw.finish()).await
    }

    pub(super) async fn discard(self) -> Result<()> {
        let Writing { raw, ground, path, .. } = self;
        ground.limited("discard", &path, raw.discard()).await
    }
}

/// Does `n` things at once; their answers, in order.
pub(super) async fn at_once<T, F>(n: usize, work: impl Fn(usize) -> F) -> Outcome<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..n {
        let work = work(index);
        tasks.spawn(async move { (index, work.await) });
    }
    let mut answers = Vec::with_capacity(n);
    while let Some(answer) = tasks.join_next().await {
        match answer {
            Ok(answer) => answers.push(answer),
            Err(error) => return fail(format!("the case itself ended: {error}")),
        }
    }
    answers.sort_by_key(|(index, _)| *index);
    Ok(answers.into_iter().map(|(_, answer)| answer).collect())
}
