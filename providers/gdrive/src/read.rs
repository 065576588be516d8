//! Reading: one stream, or for large files several ranges ahead. What was read whole is compared
//! with Drive's md5; of a part, the file must still be the same at its end.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use md5::{Digest, Md5};
use reqwest::Response;
use sitesync_provider::{Error, ErrorKind, Kind, Metadata, ReadOptions, ReadStream, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use crate::errors::{broken, is_gone, refuse};
use crate::model::File;
use crate::resolve::nothing;
use crate::root::Root;
use crate::{Account, named};

/// What is longer is read in several ranges at once.
const LARGE: u64 = 32 << 20;
/// Such a range.
const PART: u64 = 8 << 20;
/// Ranges of one file that are under way at once.
const AT_ONCE: usize = 4;
/// Ranges of all files of an instance that are read ahead: 128 MiB.
const ALL_AHEAD: usize = 16;

pub(crate) fn allowance() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(ALL_AHEAD))
}

/// A file being read.
#[derive(Debug)]
pub struct Reader {
    account: Arc<Account>,
    path: String,
    file: File,
    /// The next byte that is given, and the first that is not wanted.
    at: u64,
    to: u64,
    /// The digest of all so far, if all is read.
    md5: Option<Md5>,
    source: Source,
    buffer: Bytes,
    ended: bool,
}

#[derive(Debug)]
enum Source {
    /// Nothing was asked for yet, or all has come.
    Idle,
    Stream(Response),
    /// Ranges in order, and the first byte that none of them has.
    Parts(VecDeque<Part>, u64),
}

/// A range that is fetched.
#[derive(Debug)]
struct Part {
    task: JoinHandle<Result<Bytes>>,
    _ahead: Option<OwnedSemaphorePermit>,
}

impl Drop for Part {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Reader {
    pub(crate) async fn open(
        account: Arc<Account>,
        root: &Root,
        path: &str,
        how: ReadOptions,
    ) -> Result<Self> {
        let file = match &how.if_version {
            Some(version) => account.expected(root, "read", path, version).await?,
            None => {
                let found = account.find(root, path).await.map_err(named("read", path))?;
                found.ok_or_else(|| nothing("read", path))?
            }
        };
        match file.kind() {
            Kind::File => {}
            Kind::Folder => {
                return Err(refuse(ErrorKind::InvalidPath, "read", path, "it is a folder"));
            }
            _ => {
                let why = file.skipped().unwrap_or_else(|| "it has no bytes".to_owned());
                return Err(refuse(ErrorKind::InvalidPath, "read", path, &why));
            }
        }
        let size = file.size();
        let from = how.from.min(size);
        let to = how.len.map_or(size, |len| from.saturating_add(len).min(size));
        let whole = from == 0 && to == size && file.md5().is_some();
        Ok(Reader {
            account,
            path: path.to_owned(),
            file,
            at: from,
            to,
            md5: whole.then(Md5::new),
            source: Source::Idle,
            buffer: Bytes::new(),
            ended: from == to,
        })
    }

    async fn fill(&mut self) -> Result<()> {
        loop {
            match &mut self.source {
                Source::Idle if self.to - self.at > LARGE => {
                    self.source = Source::Parts(VecDeque::new(), self.at);
                }
                Source::Idle => {
                    let answer = self.account.client.content(&self.file.id, self.at, self.to);
                    self.source = Source::Stream(answer.await?);
                }
                Source::Stream(answer) => {
                    // An empty chunk is not the end.
                    match answer.chunk().await.map_err(broken)? {
                        Some(bytes) if bytes.is_empty() => continue,
                        Some(bytes) => self.buffer = bytes,
                        None => return Err(early()),
                    }
                    return Ok(());
                }
                Source::Parts(parts, next) => {
                    while *next < self.to && parts.len() < AT_ONCE {
                        // The one that is waited for comes in any case.
                        let ahead = match self.account.read_ahead.clone().try_acquire_owned() {
                            Ok(ahead) => Some(ahead),
                            Err(_) if parts.is_empty() => None,
                            Err(_) => break,
                        };
                        let (from, to) = (*next, self.to.min(*next + PART));
                        let (account, id) = (self.account.clone(), self.file.id.clone());
                        let task = tokio::spawn(async move { part(&account, &id, from, to).await });
                        parts.push_back(Part { task, _ahead: ahead });
                        *next = to;
                    }
                    let Some(first) = parts.front_mut() else { return Err(early()) };
                    let came = (&mut first.task).await;
                    parts.pop_front();
                    self.buffer = came.unwrap_or_else(|error| {
                        Err(Error::new(ErrorKind::Unexpected, error.to_string()))
                    })?;
                    return Ok(());
                }
            }
        }
    }

    /// Whether what was read is one content.
    async fn check(&mut self) -> Result<()> {
        if let Some(md5) = self.md5.take() {
            if self.file.md5().is_some_and(|right| right == md5.finalize()[..]) {
                return Ok(());
            }
            self.unchanged().await?;
            let why = "what came has another md5 than Drive's";
            return Err(refuse(ErrorKind::Corrupt, "read", &self.path, why));
        }
        self.unchanged().await
    }

    async fn unchanged(&self) -> Result<()> {
        let changed = || {
            let why = "it changed while it was read";
            refuse(ErrorKind::Precondition, "read", &self.path, why)
        };
        match self.account.client.get(&self.file.id).await {
            Ok(now) if now.version() == self.file.version() => Ok(()),
            Ok(_) => Err(changed()),
            Err(error) if is_gone(&error) => Err(changed()),
            Err(error) => Err(named("read", &self.path)(error)),
        }
    }
}

impl ReadStream for Reader {
    fn metadata(&self) -> Metadata {
        self.file.metadata()
    }

    async fn read(&mut self, max: usize) -> Result<Bytes> {
        if self.ended {
            return Ok(Bytes::new());
        }
        if self.at == self.to {
            self.source = Source::Idle;
            self.check().await?;
            self.ended = true;
            return Ok(Bytes::new());
        }
        // Drive's pieces are small: the caller gets as much as it asked for, once it is there.
        if self.buffer.is_empty() {
            let filled = self.fill().await;
            filled.map_err(|error| named("read", &self.path)(error))?;
        }
        let mut bytes = self.buffer.split_to(self.buffer.len().min(max));
        let wanted = max.min(usize::try_from(self.to - self.at).unwrap_or(usize::MAX));
        if bytes.len() < wanted && matches!(self.source, Source::Stream(_)) {
            let mut more = BytesMut::with_capacity(wanted);
            more.extend_from_slice(&bytes);
            while more.len() < wanted {
                let filled = self.fill().await;
                filled.map_err(|error| named("read", &self.path)(error))?;
                more.extend_from_slice(
                    &self.buffer.split_to(self.buffer.len().min(wanted - more.len())),
                );
            }
            bytes = more.freeze();
        }
        bytes.truncate(wanted);
        if let Some(md5) = &mut self.md5 {
            md5.update(&bytes);
        }
        self.at += bytes.len() as u64;
        Ok(bytes)
    }
}

async fn part(account: &Account, id: &str, from: u64, to: u64) -> Result<Bytes> {
    let mut answer = account.client.content(id, from, to).await?;
    let length = usize::try_from(to - from).unwrap_or(usize::MAX);
    let mut bytes = BytesMut::with_capacity(length);
    while bytes.len() < length {
        match answer.chunk().await.map_err(broken)? {
            Some(more) => bytes.extend_from_slice(&more),
            None => return Err(early()),
        }
    }
    bytes.truncate(length);
    Ok(bytes.freeze())
}

fn early() -> Error {
    Error::new(ErrorKind::Interrupted, "the content ended early")
}
