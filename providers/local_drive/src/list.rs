//! Listing: a folder, or everything beneath it by several threads. One page or more a folder,
//! about a thousand entries a message, a parent always before its children, a bounded number of
//! messages ahead of the reader. Ends when the lister is dropped.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RawDir, Stat};
use rustix::io::Errno;
use sitesync_provider::{End, Entry, Error, Kind, ListStream, Metadata, OURS, Page, Result, join};
use tokio::sync::mpsc;

use crate::beneath::open;
use crate::facts::{kind, metadata, oddity};
use crate::fault::fault;
use crate::root::Root;
use crate::temporary::is_temporary;

/// Entries in a message, more or less.
const PAGE: usize = 1000;
/// Messages ahead of the reader.
const AHEAD: usize = 8;
/// What one `getdents` fills: about a thousand names.
const BUFFER: usize = 64 << 10;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A listing in progress.
#[derive(Debug)]
pub struct Lister {
    pages: mpsc::Receiver<Vec<Page>>,
}

impl ListStream for Lister {
    async fn next(&mut self) -> Result<Option<Vec<Page>>> {
        Ok(self.pages.recv().await)
    }
}

impl Lister {
    /// Begins. A folder that is not there fails here and not in a page.
    pub(crate) fn open(root: Root, path: &str, recursive: bool) -> Result<Self> {
        let folder = open(root.as_fd(), path, FOLDER, Mode::empty(), root.follow())
            .map_err(|error| fault("list", path, error))?;
        let (send, pages) = mpsc::channel(AHEAD);
        let first = Pending { path: path.to_owned(), above: None };
        let walk = Arc::new(Walk {
            root,
            recursive,
            shared: Mutex::new(Shared { pending: vec![first], busy: 0, over: false }),
            wake: Condvar::new(),
            row: Mutex::new(()),
            threads: if recursive { threads() } else { 1 },
        });
        drop(folder);
        for _ in 0..walk.threads {
            let (walk, send) = (walk.clone(), send.clone());
            tokio::task::spawn_blocking(move || walk.run(&send));
        }
        Ok(Lister { pages })
    }
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 4)
}

/// A folder that is still to be listed.
struct Pending {
    path: String,
    above: Option<Arc<Above>>,
}

/// The folders above, where links are followed: a link to one of them is a loop.
struct Above {
    id: (u64, u64),
    above: Option<Arc<Above>>,
}

impl Above {
    fn holds(&self, id: (u64, u64)) -> bool {
        let mut next = Some(self);
        while let Some(this) = next {
            if this.id == id {
                return true;
            }
            next = this.above.as_deref();
        }
        false
    }
}

/// What the threads of one listing share.
struct Walk {
    root: Root,
    recursive: bool,
    shared: Mutex<Shared>,
    wake: Condvar,
    /// Held while the pages of one folder go out, so that they come in a row.
    row: Mutex<()>,
    threads: usize,
}

struct Shared {
    pending: Vec<Pending>,
    busy: usize,
    over: bool,
}

/// The reader is gone.
struct Gone;

/// What one thread has gathered and not sent yet.
struct Outbox<'a> {
    send: &'a mpsc::Sender<Vec<Page>>,
    pages: Vec<Page>,
    entries: usize,
}

impl Walk {
    fn run(&self, send: &mpsc::Sender<Vec<Page>>) {
        let mut buffer: Vec<u8> = Vec::with_capacity(BUFFER);
        let mut outbox = Outbox { send, pages: Vec::new(), entries: 0 };
        while let Some(first) = self.take() {
            let mut own = vec![first];
            while let Some(folder) = own.pop() {
                let sent = self
                    .folder(folder, &mut own, &mut outbox, buffer.spare_capacity_mut())
                    .and_then(|()| self.share(&mut own, &mut outbox));
                if sent.is_err() {
                    return self.end();
                }
            }
            if self.flush(&mut outbox).is_err() {
                return self.end();
            }
            self.rest();
        }
    }

    /// The next folder that others left; `None` once all is done.
    fn take(&self) -> Option<Pending> {
        let mut shared = self.lock();
        loop {
            if shared.over {
                return None;
            }
            if let Some(pending) = shared.pending.pop() {
                shared.busy += 1;
                return Some(pending);
            }
            if shared.busy == 0 {
                shared.over = true;
                self.wake.notify_all();
                return None;
            }
            shared = self.wake.wait(shared).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn rest(&self) {
        self.lock().busy -= 1;
        self.wake.notify_all();
    }

    fn end(&self) {
        self.lock().over = true;
        self.wake.notify_all();
    }

    /// Leaves half of what is to be done to threads that have nothing to do. What was gathered
    /// goes out first, so that no child comes before its parent.
    fn share(
        &self,
        own: &mut Vec<Pending>,
        outbox: &mut Outbox<'_>,
    ) -> std::result::Result<(), Gone> {
        if own.len() < 2 || !self.is_wanted() {
            return Ok(());
        }
        self.flush(outbox)?;
        let half = own.len() / 2;
        self.lock().pending.extend(own.drain(..half));
        self.wake.notify_all();
        Ok(())
    }

    fn is_wanted(&self) -> bool {
        let shared = self.lock();
        shared.pending.is_empty() && shared.busy < self.threads
    }

    fn flush(&self, outbox: &mut Outbox<'_>) -> std::result::Result<(), Gone> {
        let _row = self.row();
        outbox.flush()
    }

    /// Lists one folder.
    fn folder(
        &self,
        pending: Pending,
        own: &mut Vec<Pending>,
        outbox: &mut Outbox<'_>,
        buffer: &mut [MaybeUninit<u8>],
    ) -> std::result::Result<(), Gone> {
        let Pending { path, above } = pending;
        let failed = |error| End::Failed(fault("list", &path, error));
        let root = &self.root;
        let fd = match open(root.as_fd(), &path, FOLDER, Mode::empty(), root.follow()) {
            Ok(fd) => fd,
            Err(error) => {
                outbox.add(Page::new(path.clone(), Vec::new(), failed(error)));
                return Ok(());
            }
        };
        let above = match root.follow().then(|| fs::fstat(&fd)).transpose() {
            Ok(stat) => stat.map(|stat| Arc::new(Above { id: (stat.st_dev, stat.st_ino), above })),
            Err(error) => {
                outbox.add(Page::new(path.clone(), Vec::new(), failed(error)));
                return Ok(());
            }
        };
        let mut entries = Vec::new();
        let mut children = Vec::new();
        let mut row: Option<MutexGuard<'_, ()>> = None;
        let mut names = RawDir::new(&fd, buffer);
        let end = loop {
            let entry = match names.next() {
                None => break End::Complete,
                Some(Err(Errno::INTR)) => continue,
                Some(Err(error)) => break failed(error),
                Some(Ok(entry)) => entry,
            };
            let Some(entry) =
                self.entry(&fd, &path, entry.file_name(), entry.file_type(), above.as_deref())
            else {
                continue;
            };
            if self.recursive && entry.skipped.is_none() && entry.metadata.kind == Kind::Folder {
                children.push(join(&path, &entry.name));
            }
            entries.push(entry);
            if entries.len() >= PAGE {
                if row.is_none() {
                    row = Some(self.row());
                }
                outbox.add(Page::new(path.clone(), std::mem::take(&mut entries), End::More));
                outbox.flush()?;
            }
        };
        outbox.add(Page::new(path.clone(), entries, end));
        // In reverse, because the last one is taken first.
        let pending = |path| Pending { path, above: above.clone() };
        own.extend(children.into_iter().rev().map(pending));
        if row.is_some() {
            outbox.flush()?;
        } else if outbox.entries >= PAGE {
            self.flush(outbox)?;
        }
        Ok(())
    }

    /// One name of a folder; `None` for what is ours, and what is gone already.
    fn entry(
        &self,
        folder: &impl AsFd,
        path: &str,
        raw: &CStr,
        hint: FileType,
        above: Option<&Above>,
    ) -> Option<Entry> {
        if matches!(raw.to_bytes(), b"." | b"..") {
            return None;
        }
        let Ok(name) = raw.to_str() else {
            return Some(Entry::skipped(raw.to_string_lossy(), "a name that is not UTF-8"));
        };
        if let Some(rest) = name.strip_prefix(OURS) {
            if rest.is_empty() || is_temporary(name) {
                return None;
            }
            return Some(Entry::skipped(name, "a name that begins as those of sitesync do"));
        }
        if hint == FileType::Directory {
            // A look at it would tell nothing that a listing needs.
            return Some(Entry::new(name, Metadata::folder()));
        }
        let stat = match fs::statat(folder, raw, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return None,
            Err(error) => return Some(unseen(name, error)),
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Some(Entry::new(name, metadata(&stat))),
            FileType::Directory => Some(Entry::new(name, Metadata::folder())),
            FileType::Symlink if self.root.follow() => Some(self.link(path, name, above)),
            other => Some(Entry::skipped(name, oddity(other))),
        }
    }

    /// What a link stands for, within the root.
    fn link(&self, path: &str, name: &str, above: Option<&Above>) -> Entry {
        let target = open(
            self.root.as_fd(),
            &join(path, name),
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
            true,
        );
        let stat: Stat = match target.and_then(|target| fs::fstat(&target)) {
            Ok(stat) => stat,
            Err(Errno::XDEV) => return Entry::skipped(name, "a symbolic link out of the root"),
            Err(Errno::NOENT) => return Entry::skipped(name, "a symbolic link to nothing"),
            Err(Errno::LOOP) => return Entry::skipped(name, "a symbolic link in a circle"),
            Err(error) => return unseen(name, error),
        };
        match kind(&stat) {
            Kind::File => Entry::new(name, metadata(&stat)),
            Kind::Folder if above.is_some_and(|above| above.holds((stat.st_dev, stat.st_ino))) => {
                Entry::skipped(name, "a symbolic link to a folder that it lies in")
            }
            Kind::Folder => Entry::new(name, Metadata::folder()),
            _ => Entry::skipped(name, oddity(FileType::from_raw_mode(stat.st_mode))),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn row(&self) -> MutexGuard<'_, ()> {
        self.row.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unseen(name: &str, error: Errno) -> Entry {
    let error: Error = fault("stat", name, error);
    Entry::skipped(name, format!("it can't be looked at: {}", error.message()))
}

impl Outbox<'_> {
    fn add(&mut self, page: Page) {
        // A page itself weighs something too.
        self.entries += page.entries.len() + 1;
        self.pages.push(page);
    }

    fn flush(&mut self) -> std::result::Result<(), Gone> {
        self.entries = 0;
        let pages = std::mem::take(&mut self.pages);
        if pages.is_empty() {
            return if self.send.is_closed() { Err(Gone) } else { Ok(()) };
        }
        self.send.blocking_send(pages).map_err(|_| Gone)
    }
}
