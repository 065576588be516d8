//! A storage that is particular in everything in which disks are not: it folds names and forbids
//! some, keeps digests and times of whole two seconds, has a trash, a change feed and a rate of
//! requests. Its files are in [`Memory`].

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use sitesync_provider::{
    About, At, Bytes, Change, ChangePage, Changes, Checksum, Copied, Copy, Cursor, DeleteOptions,
    End, Error, ErrorKind, Expect, Host, Kind, ListStream, Metadata, Op, Page, Provider,
    ReadOptions, ReadStream, Result, RootInfo, SweepOptions, Swept, WriteOptions, WriteStream,
    check_path, join,
};
use well_behaved::Memory;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The store that instances share.
    store: String,
    /// What never answers: `list`, or nothing.
    #[serde(default)]
    silent: String,
}

/// The step of times: two seconds.
const STEP: i64 = 2_000_000_000;
const LONGEST_NAME: usize = 80;
const LONGEST_PATH: usize = 400;
const FORBIDDEN: &str = "\\:*?\"<>|";

/// All instances of this process see these.
static CHANGES: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());
/// Paths as they were first written, by their folded form.
static SHOWN: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn changed(at: &At<'_>) {
    lock(&CHANGES).push((at.root.to_owned(), at.path.to_owned()));
}

fn folded(path: &str) -> String {
    path.to_lowercase().replace("e\u{301}", "\u{e9}")
}

/// The path in the form in which each of its parts was first written.
fn shown(path: &str, new: bool) -> String {
    if check_path(path).is_err() {
        return path.to_owned();
    }
    let mut table = lock(&SHOWN);
    let mut shown = String::new();
    for part in path.split('/').filter(|_| !path.is_empty()) {
        let path = join(&shown, part);
        shown = match table.get(&folded(&path)) {
            Some(there) => there.clone(),
            None => {
                if new {
                    table.insert(folded(&path), path.clone());
                }
                path
            }
        };
    }
    shown
}

/// Refuses what cannot be expressed.
fn check(path: &str) -> Result<()> {
    let wrong = |name: &str| {
        name.len() > LONGEST_NAME
            || name.ends_with(['.', ' '])
            || name.contains(|c| FORBIDDEN.contains(c))
            || name.split('.').next().is_some_and(|stem| stem.eq_ignore_ascii_case("CON"))
    };
    check_path(path).map_err(|why| Error::new(ErrorKind::InvalidPath, why))?;
    if path.len() > LONGEST_PATH || path.split('/').any(wrong) {
        return Err(Error::new(ErrorKind::InvalidPath, format!("{path:?} can't be stored")));
    }
    Ok(())
}

pub(crate) struct Particular {
    memory: Memory,
    host: Host,
    silent: String,
}

pub(crate) struct Reader {
    metadata: Metadata,
    inner: well_behaved::Reader,
}

impl ReadStream for Reader {
    fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    async fn read(&mut self, max: usize) -> Result<Bytes> {
        self.inner.read(max).await
    }
}

pub(crate) struct Writer {
    memory: Memory,
    root: String,
    path: String,
    inner: well_behaved::Writer,
}

impl WriteStream for Writer {
    fn offset(&self) -> u64 {
        self.inner.offset()
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.inner.write(chunk).await
    }

    async fn finish(self) -> Result<Metadata> {
        let Writer { memory, root, path, inner } = self;
        let finished = inner.finish().await?;
        let at = At::new(&root, &path);
        changed(&at);
        dressed(&memory, at, finished).await
    }

    async fn discard(self) -> Result<()> {
        self.inner.discard().await
    }
}

/// What is known of a file, with its id and its digest.
async fn dressed(memory: &Memory, at: At<'_>, metadata: Metadata) -> Result<Metadata> {
    if metadata.kind != Kind::File {
        return Ok(metadata);
    }
    let content = memory.open_read(at, ReadOptions::new()).await?.read(usize::MAX).await?;
    let id = format!("id of {}", metadata.fingerprint());
    let digest = Sha256::digest(&content).to_vec();
    Ok(metadata.with_id(id).with_checksum(Checksum::new("sha256", digest)).with_verified(true))
}

pub(crate) struct Lister {
    pages: Option<Vec<Page>>,
    silent: bool,
}

impl ListStream for Lister {
    async fn next(&mut self) -> Result<Option<Vec<Page>>> {
        if self.silent {
            std::future::pending::<()>().await;
        }
        Ok(self.pages.take())
    }
}

impl Particular {
    /// The entries of one folder, a few to a page.
    async fn pages(&self, root: &str, folder: &str) -> Result<Vec<Page>> {
        let mut lister = self.memory.list(At::new(root, folder), false).await?;
        let mut entries = Vec::new();
        while let Some(pages) = lister.next().await? {
            entries.extend(pages.into_iter().flat_map(|page| page.entries));
        }
        for entry in &mut entries {
            let path = join(folder, &entry.name);
            let metadata = std::mem::take(&mut entry.metadata);
            // A file that is gone by now is one that the listing saw.
            let at = At::new(root, &path);
            entry.metadata = dressed(&self.memory, at, metadata.clone()).await.unwrap_or(metadata);
        }
        let mut pages = Vec::new();
        while entries.len() > 7 {
            let rest = entries.split_off(7);
            pages.push(Page::new(folder, std::mem::replace(&mut entries, rest), End::More));
        }
        pages.push(Page::new(folder, entries, End::Complete));
        Ok(pages)
    }

    async fn copy(&self, copy: &Copy<'_>, op: &Op) -> Result<Copied> {
        op.check()?;
        let source = self.stat(copy.from).await?;
        let known = copy.from.known.and_then(|known| known.version.clone());
        if known.is_some_and(|version| version != source.fingerprint()) {
            return Err(Error::new(ErrorKind::Precondition, "the source has changed"));
        }
        let mut reader = self.open_read(copy.from, ReadOptions::new()).await?;
        let content = reader.read(usize::MAX).await?;
        let how = WriteOptions::new(content.len() as u64, copy.expect.clone())
            .mtime_ns(source.mtime_ns)
            .op(op.clone());
        let mut writer = self.open_write(copy.to, how).await?;
        writer.write(content).await?;
        Ok(Copied::new(source, writer.finish().await?))
    }
}

impl Provider for Particular {
    type Settings = Settings;
    type Reader = Reader;
    type Writer = Writer;
    type Lister = Lister;

    const ABOUT: About = About::new("particular", "Particular").requests_per_second(1000);

    async fn connect(settings: Settings, host: Host) -> Result<Self> {
        let silent = settings.silent;
        let settings = well_behaved::Settings { store: settings.store, ..Default::default() };
        let memory = Memory::connect(settings, host.clone()).await?;
        Ok(Particular { memory, host, silent })
    }

    async fn open_root(&self, root: &str, _: Settings) -> Result<RootInfo> {
        let mut info = self.memory.open_root(root, Default::default()).await?;
        info.can.server_copy = true;
        info.can.recursive_list = true;
        info.can.flush = true;
        info.can.trash = true;
        info.can.changes = Changes::Complete;
        info.can.checksums = vec!["sha256".to_owned()];
        info.mtime_step_ns = STEP.unsigned_abs();
        info.names.case_sensitive = false;
        info.names.unicode_exact = false;
        info.names.longest_name = Some(LONGEST_NAME as u32);
        info.names.longest_path = Some(LONGEST_PATH as u32);
        info.names.forbidden_characters = FORBIDDEN.to_owned();
        info.names.forbidden_names = vec!["CON".to_owned()];
        info.names.trailing_dot_or_space = false;
        Ok(info)
    }

    async fn stat(&self, at: At<'_>) -> Result<Metadata> {
        self.host.permit(1).await?;
        let path = shown(at.path, false);
        let at = At::new(at.root, &path);
        dressed(&self.memory, at, self.memory.stat(at).await?).await
    }

    async fn list(&self, dir: At<'_>, recursive: bool) -> Result<Lister> {
        self.host.permit(1).await?;
        let mut todo = vec![shown(dir.path, false)];
        let mut all = Vec::new();
        while let Some(folder) = todo.pop() {
            let pages = self.pages(dir.root, &folder).await?;
            let folders = pages.iter().flat_map(|page| &page.entries).filter(|_| recursive);
            let folders = folders.filter(|entry| entry.metadata.kind == Kind::Folder);
            todo.extend(folders.map(|entry| join(&folder, &entry.name)));
            all.extend(pages);
        }
        Ok(Lister { pages: Some(all), silent: self.silent == "list" })
    }

    async fn open_read(&self, at: At<'_>, how: ReadOptions) -> Result<Reader> {
        self.host.permit(1).await?;
        let path = shown(at.path, false);
        let at = At::new(at.root, &path);
        let inner = self.memory.open_read(at, how).await?;
        Ok(Reader { metadata: dressed(&self.memory, at, inner.metadata()).await?, inner })
    }

    async fn open_write(&self, at: At<'_>, mut how: WriteOptions) -> Result<Writer> {
        self.host.permit(1).await?;
        check(at.path)?;
        if how.mtime_ns.is_some_and(|mtime| mtime < 0) {
            return Err(Error::new(ErrorKind::Unexpected, "there was no time before 1970"));
        }
        how.mtime_ns = how.mtime_ns.map(|mtime| mtime / STEP * STEP);
        let path = shown(at.path, true);
        let inner = self.memory.open_write(At::new(at.root, &path), how).await?;
        Ok(Writer { memory: self.memory.clone(), root: at.root.to_owned(), path, inner })
    }

    async fn create_folder(&self, at: At<'_>) -> Result<()> {
        self.host.permit(1).await?;
        check(at.path)?;
        self.memory.create_folder(At::new(at.root, &shown(at.path, true))).await
    }

    async fn remove_folder(&self, at: At<'_>) -> Result<()> {
        self.memory.remove_folder(At::new(at.root, &shown(at.path, false))).await
    }

    async fn delete(&self, at: At<'_>, how: DeleteOptions) -> Result<()> {
        let path = shown(at.path, false);
        let at = At::new(at.root, &path);
        // Nobody looks into this trash.
        self.memory.delete(at, how.to_trash(false)).await?;
        changed(&at);
        Ok(())
    }

    async fn sweep(&self, root: &str, how: SweepOptions) -> Result<Swept> {
        self.memory.sweep(root, how).await
    }

    async fn server_copy(&self, batch: &[Copy<'_>], op: &Op) -> Vec<Result<Copied>> {
        let mut results = Vec::new();
        for copy in batch {
            results.push(self.copy(copy, op).await);
        }
        results
    }

    async fn rename(&self, from: At<'_>, to: At<'_>) -> Result<Metadata> {
        let copied = self.copy(&Copy::new(from, to, Expect::Nothing), &Op::unbound()).await?;
        self.delete(from, DeleteOptions::default()).await?;
        Ok(copied.destination)
    }

    async fn flush(&self, _: &[&str]) -> Result<()> {
        Ok(())
    }

    async fn changes(
        &self,
        roots: &[&str],
        since: Option<Cursor>,
        _: Duration,
    ) -> Result<ChangePage> {
        let log = lock(&CHANGES);
        let from = match since {
            None => log.len(),
            Some(cursor) => {
                cursor.0.parse().ok().filter(|from| *from <= log.len()).ok_or_else(|| {
                    Error::new(ErrorKind::CursorExpired, "this cursor is none of ours")
                })?
            }
        };
        let to = log.len().min(from + 3);
        let changed = log[from..to].iter().filter(|(root, _)| roots.contains(&root.as_str()));
        let changed = changed.map(|(root, path)| Change::new(root, path)).collect();
        Ok(ChangePage::new(changed, Cursor(to.to_string()), to < log.len()))
    }
}
