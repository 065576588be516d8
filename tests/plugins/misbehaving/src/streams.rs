//! Readers, writers and listers, and what goes wrong in them.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::Write;
use std::sync::Arc;

use sitesync_provider::{
    Bytes, End, Entry, Kind, ListStream, Metadata, Op, Page, ReadStream, Result, WriteStream,
};

use crate::settings::{Fault, Settings, build};
use crate::store;

#[derive(Debug)]
pub struct Reader {
    pub(crate) settings: Arc<Settings>,
    pub(crate) path: String,
    pub(crate) inner: store::Reading,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.settings.on_drop("open_read", &self.path);
    }
}

impl ReadStream for Reader {
    fn metadata(&self) -> Metadata {
        self.settings.lie("open_read", &self.path, self.inner.metadata.clone())
    }

    async fn read(&mut self, max: usize) -> Result<Bytes> {
        self.settings.act("read", &self.path).await?;
        let hits = |fault| self.settings.hits(fault, "read", &self.path);
        if hits(Fault::MoreBytes) {
            return Ok(vec![7; max + 1].into());
        }
        if hits(Fault::EndlessRead) {
            return Ok(vec![7; 1000].into());
        }
        if hits(Fault::ShortRead) {
            return Ok(Bytes::new());
        }
        Ok(self.inner.read(max)?.into())
    }
}

#[derive(Debug)]
pub struct Writer {
    pub(crate) settings: Arc<Settings>,
    pub(crate) path: String,
    pub(crate) op: Op,
    pub(crate) inner: Option<store::Writing>,
    /// The build that did each call.
    pub(crate) builds: Vec<&'static str>,
}

impl Writer {
    /// Notes which builds wrote this file, if a journal is kept.
    fn note(&mut self) -> Result<()> {
        if self.settings.journal.is_empty() {
            return Ok(());
        }
        self.builds.dedup();
        let line = format!("{}\t{}\n", self.path, self.builds.join(" "));
        let mut journal =
            OpenOptions::new().append(true).create(true).open(&self.settings.journal)?;
        // In one call: others write to it, too.
        Ok(journal.write_all(line.as_bytes())?)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.settings.on_drop("open_write", &self.path);
    }
}

fn ended() -> sitesync_provider::Error {
    sitesync_provider::Error::new(sitesync_provider::ErrorKind::Unexpected, "it has ended")
}

impl WriteStream for Writer {
    fn offset(&self) -> u64 {
        if self.settings.hits(Fault::Beyond, "open_write", &self.path) { u64::MAX } else { 0 }
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.settings.act("write", &self.path).await?;
        self.builds.push(build());
        let inner = self.inner.as_mut().ok_or_else(ended)?;
        if self.settings.hits(Fault::WritesOn, "write", &self.path) {
            let (settings, op, path) = (self.settings.clone(), self.op.clone(), inner.path.clone());
            // A thread of its own, which holds the operation, and does not look at it.
            std::thread::spawn(move || {
                settings.block();
                drop((op, path));
            });
            return std::future::pending().await;
        }
        if self.settings.hits(Fault::OtherBytes, "write", &self.path) {
            let others: Vec<u8> = chunk.iter().map(|byte| byte ^ 1).collect();
            return inner.write(&others);
        }
        inner.write(&chunk)
    }

    async fn checkpoint(&mut self) -> Result<Option<Vec<u8>>> {
        self.settings.act("checkpoint", &self.path).await?;
        Ok(None)
    }

    async fn finish(mut self) -> Result<Metadata> {
        self.settings.act("finish", &self.path).await?;
        self.builds.push(build());
        self.note()?;
        let inner = self.inner.take().ok_or_else(ended)?;
        let checksums = self.settings.checksums;
        let final_path = inner.path.clone();
        let late = self.settings.hits(Fault::LateRename, "finish", &self.path);
        let found = if late {
            let (settings, op) = (self.settings.clone(), self.op.clone());
            let finishing = tokio::task::spawn_blocking(move || {
                settings.block();
                let finished = inner.finish(checksums, false);
                drop(op);
                finished
            });
            finishing.await.map_err(|_| ended())??
        } else {
            inner.finish(checksums, true)?
        };
        if self.settings.hits(Fault::Lost, "finish", &self.path) {
            std::fs::remove_file(final_path)?;
        }
        Ok(self.settings.lie("finish", &self.path, found))
    }

    async fn discard(mut self) -> Result<()> {
        self.settings.act("discard", &self.path).await?;
        self.inner.take().map(drop).ok_or_else(ended)
    }
}

#[derive(Debug)]
pub struct Lister {
    pub(crate) settings: Arc<Settings>,
    pub(crate) root: String,
    pub(crate) recursive: bool,
    pub(crate) left: VecDeque<String>,
    /// Pages that are still to be told.
    pub(crate) pages: VecDeque<Page>,
    pub(crate) calls: u64,
}

impl Drop for Lister {
    fn drop(&mut self) {
        self.settings.on_drop("list", self.left.front().map_or("", String::as_str));
    }
}

impl ListStream for Lister {
    async fn next(&mut self) -> Result<Option<Vec<Page>>> {
        self.calls += 1;
        if let Some(page) = self.pages.pop_front() {
            return Ok(Some(vec![page]));
        }
        let Some(folder) = self.left.pop_front() else { return Ok(None) };
        self.settings.act("next", &folder).await?;
        if folder.ends_with("deeper") && self.settings.hits(Fault::EndlessDepth, "list", &folder) {
            self.told(folder.clone(), Page::new(folder, Vec::new(), End::Complete));
            return Ok(Some(self.pages.pop_front().into_iter().collect()));
        }
        let (page, folders) = store::list(&self.root, &folder, self.settings.checksums)?;
        if self.recursive {
            self.left.extend(folders);
        }
        self.told(folder, page);
        Ok(Some(self.pages.pop_front().into_iter().collect()))
    }
}

impl Lister {
    /// Puts into `pages` what is told of a folder.
    fn told(&mut self, folder: String, mut page: Page) {
        let settings = self.settings.clone();
        for entry in page.entries.iter_mut().filter(|entry| entry.metadata.kind == Kind::File) {
            let path = sitesync_provider::join(&folder, &entry.name);
            let metadata = std::mem::take(&mut entry.metadata);
            entry.metadata = settings.lie("list", &path, metadata);
        }
        if folder.starts_with(".sitesync") {
            self.pages.push_back(page);
            return;
        }
        let hits = |fault| settings.hits(fault, "list", &folder);
        let more = |entries| Page::new(folder.clone(), entries, End::More);
        let n = self.calls;
        if hits(Fault::BadNames) {
            for name in ["../../etc/passwd", "", "a\0b", "..", "a/b"] {
                page.entries.push(Entry::new(name, Metadata::file(1)));
            }
            page.entries.push(Entry::new("n".repeat(5 << 20), Metadata::file(1)));
        } else if hits(Fault::StrangeFolder) {
            let entries = vec![Entry::new("passwd", Metadata::file(1))];
            self.pages.push_back(Page::new("../../etc", entries, End::Complete));
        } else if hits(Fault::Twice) {
            page.entries.extend(page.entries.clone());
        } else if hits(Fault::TwiceApart) {
            self.pages.push_back(more(page.entries.clone()));
        } else if hits(Fault::FolderTwice) {
            let again = Page::new(folder.clone(), page.entries.clone(), End::Complete);
            self.pages.push_back(again);
        } else if hits(Fault::NoPages) {
            // On the wire that is no answer at all.
            self.left.push_front(folder);
            return;
        } else if hits(Fault::EmptyPages) {
            self.pages.push_back(more(Vec::new()));
            self.left.push_front(folder);
            return;
        } else if hits(Fault::EndlessFolders) {
            let entries = vec![Entry::new("f", Metadata::file(1).with_version("1"))];
            let made = sitesync_provider::join(&folder, &format!("endless.{n}"));
            self.pages.push_back(Page::new(made, entries, End::Complete));
            self.left.push_front(folder);
            return;
        } else if hits(Fault::EndlessDepth) {
            page.entries.push(Entry::new("deeper", Metadata::folder()));
        } else if hits(Fault::EndlessNames) {
            let name = |i| Entry::new(format!("{n}.{i}"), Metadata::file(1).with_version("1"));
            self.pages.push_back(more((0..1000).map(name).collect()));
            self.left.push_front(folder);
            return;
        }
        self.pages.push_back(page);
    }
}
