//! One root of a project at a site, with the layers around every provider call.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sitesync_provider::abi::client;
use sitesync_provider::{
    At, Bytes, Copied, Copy, DeleteOptions, End, Error, ErrorKind, Expect, Known, Metadata, Op,
    Page, ReadOptions, Result, RootInfo, SweepOptions, Swept, WriteOptions, check_name, check_path,
};

use super::instance::Link;
use super::{Instance, Operation, Slot, Storage};
use crate::settings;

/// Entries of one page: more is not a page but an attack on memory.
const PAGE_ENTRIES: usize = 1_000_000;

/// A root of a project at a site.
#[derive(Debug)]
pub struct OpenRoot {
    /// The site's name.
    pub site: String,
    /// The root as it stands in the settings, expanded.
    pub root: String,
    /// What the provider said of it.
    pub info: RootInfo,
    /// The storage that it lies on.
    pub storage: Arc<Storage>,
    link: Arc<Link>,
    connection: client::Connection,
    settings: serde_json::Value,
}

impl OpenRoot {
    pub(crate) async fn open(
        instance: &Instance,
        site: &settings::Site,
        root: &str,
    ) -> Result<Self> {
        let link = instance.link();
        let connection = instance.connection(&link).await?.clone();
        let settings = serde_json::Value::Object(site.settings.clone());
        let info = limit(instance.limits.answer, connection.open_root(root, &settings)).await?;
        if site.mounted && !info.mount_point {
            return Err(Error::new(
                ErrorKind::RootUnavailable,
                format!(
                    "nothing is mounted at {root}, and the settings say `mounted = true`: the \
                     folder beneath an absent disk is not used"
                ),
            ));
        }
        let storage = instance.storage(&info, site);
        storage.health.good();
        Ok(OpenRoot {
            site: site.name.clone(),
            root: root.to_owned(),
            info,
            storage,
            link,
            connection,
            settings,
        })
    }

    /// Asks the provider once more what the root is: the health check. An error parks nothing that
    /// is not the site's fault.
    pub async fn check(&self) -> Result<RootInfo> {
        self.watch_health(limit(
            self.storage.limits.answer,
            self.connection.open_root(&self.root, &self.settings),
        ))
        .await
    }

    /// True if both roots belong to one instance, through one generation of its provider: copies
    /// need not pass through the host.
    #[must_use]
    pub fn same_instance(&self, other: &OpenRoot) -> bool {
        self.goes_through(&other.link)
    }

    /// True if its calls go through this link.
    pub(crate) fn goes_through(&self, link: &Arc<Link>) -> bool {
        Arc::ptr_eq(&self.link, link)
    }

    /// Names the build of the provider that it goes through: the digest of its file, or nothing
    /// for one of this very binary.
    #[must_use]
    pub fn build(&self) -> &str {
        self.link.provider.sha256.as_deref().unwrap_or_default()
    }

    /// Waits for a slot of this storage, for work of so many bytes of a lane.
    pub async fn slot(&self, lane: u64, bytes: u64) -> Slot {
        self.storage.slots.take(lane, bytes).await
    }

    /// What is at this path.
    pub async fn stat(&self, path: &str) -> Result<Metadata> {
        let at = self.at(path)?;
        self.watch_health(limit(self.storage.limits.answer, self.connection.stat(at))).await
    }

    /// Lists everything beneath a folder, or the folder alone.
    pub async fn list(&self, folder: &str, recursive: bool) -> Result<Listing> {
        let at = self.at(folder)?;
        let raw = self
            .watch_health(limit(self.storage.limits.answer, self.connection.list(at, recursive)))
            .await?;
        Ok(Listing { raw, storage: self.storage.clone(), within: folder.to_owned() })
    }

    /// Opens a file.
    pub async fn open_read(&self, path: &str, how: ReadOptions) -> Result<Reading> {
        let at = self.at(path)?;
        let raw = self
            .watch_health(limit(self.storage.limits.answer, self.connection.open_read(at, how)))
            .await?;
        Ok(Reading { raw, storage: self.storage.clone() })
    }

    /// Begins to write a file. `operation` belongs to the op in `how`.
    pub async fn open_write(
        &self,
        path: &str,
        how: WriteOptions,
        operation: Operation,
    ) -> Result<Writing> {
        let at = self.at(path)?;
        let call = self.connection.open_write(at, how);
        let raw = self.watch_health(operation.watch(self.storage.limits.silence, call)).await?;
        Ok(Writing { raw, storage: self.storage.clone(), operation })
    }

    /// Copies files within the instance, from this root to another. Each item: the source's path
    /// and fingerprint, the destination's path and what must be there.
    pub async fn server_copy(
        &self,
        to: &OpenRoot,
        batch: &[(&str, Known, Expect)],
        operation: &Operation,
        op: Op,
    ) -> Result<Vec<Result<Copied>>> {
        let copies = batch
            .iter()
            .map(|(path, known, expect)| {
                let from = self.at(path)?.known(Some(known));
                Ok(Copy::new(from, to.at(path)?, expect.clone()))
            })
            .collect::<Result<Vec<_>>>()?;
        let call = self.connection.server_copy(copies, op);
        let results = operation.watch(self.storage.limits.silence, call).await;
        // One file's fault says nothing of the storage; a site's fault does, and so does success.
        match &results {
            Err(error) => to.storage.health.bad(error, Instant::now()),
            Ok(results) => {
                for result in results {
                    match result {
                        Ok(_) => to.storage.health.stored(),
                        Err(error) => to.storage.health.bad(error, Instant::now()),
                    }
                }
            }
        }
        results
    }

    /// Deletes a file.
    pub async fn delete(&self, path: &str, how: DeleteOptions) -> Result<()> {
        let at = self.at(path)?;
        self.watch_health(limit(self.storage.limits.answer, self.connection.delete(at, how))).await
    }

    /// Removes abandoned temporaries.
    pub async fn sweep(&self, how: SweepOptions) -> Result<Swept> {
        self.watch_health(limit(
            self.storage.limits.barrier,
            self.connection.sweep(&self.root, how),
        ))
        .await
    }

    /// Makes durable what was finished here before this call. Nothing to do where the provider
    /// says that what it finished is durable already.
    pub async fn flush(&self) -> Result<()> {
        if !self.info.can.flush {
            return Ok(());
        }
        self.watch_health(limit(self.storage.limits.barrier, self.connection.flush(&[&self.root])))
            .await
    }

    fn at<'a>(&'a self, path: &'a str) -> Result<At<'a>> {
        check_path(path)
            .map_err(|why| Error::new(ErrorKind::InvalidPath, format!("the path has {why}")))?;
        Ok(At::new(&self.root, path))
    }

    async fn watch_health<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        watch_health(&self.storage, call).await
    }
}

async fn watch_health<T>(storage: &Storage, call: impl Future<Output = Result<T>>) -> Result<T> {
    let result = call.await;
    match &result {
        Ok(_) => storage.health.good(),
        Err(error) => storage.health.bad(error, Instant::now()),
    }
    result
}

async fn limit<T>(limit: Duration, call: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(limit, call).await.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::Timeout, format!("no answer within {} s", limit.as_secs())))
    })
}

/// A listing in progress.
#[derive(Debug)]
pub struct Listing {
    raw: client::Listing,
    storage: Arc<Storage>,
    within: String,
}

impl Listing {
    /// The next pages; `None` at the end. What makes no sense is turned into failed folders: an
    /// absence is concluded from complete ones only.
    pub async fn next(&mut self) -> Result<Option<Vec<Page>>> {
        let pages =
            watch_health(&self.storage, limit(self.storage.limits.silence, self.raw.next()))
                .await?;
        Ok(pages.map(|pages| pages.into_iter().map(|page| sound(page, &self.within)).collect()))
    }
}

/// The page, if it makes sense; else a failed one of the same folder.
fn sound(mut page: Page, within: &str) -> Page {
    let beneath = within.is_empty()
        || page.folder == within
        || page.folder.strip_prefix(within).is_some_and(|rest| rest.starts_with('/'));
    let wrong = if check_path(&page.folder).is_err() || !beneath {
        Some("a folder that was not asked for")
    } else if page.entries.len() > PAGE_ENTRIES {
        Some("a page without measure")
    } else if page.entries.iter().any(|e| e.skipped.is_none() && check_name(&e.name).is_err()) {
        Some("a name that is none")
    } else {
        None
    };
    if let Some(wrong) = wrong {
        page.entries.clear();
        page.end = End::Failed(Error::new(
            ErrorKind::Unexpected,
            format!("the provider's listing holds {wrong}"),
        ));
    }
    page
}

/// A file being read.
#[derive(Debug)]
pub struct Reading {
    raw: client::Reading,
    storage: Arc<Storage>,
}

impl Reading {
    /// What was opened.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.raw.metadata
    }

    /// The next bytes, at most `max`; empty at the end.
    pub async fn read(&mut self, max: usize) -> Result<Bytes> {
        let bytes =
            watch_health(&self.storage, limit(self.storage.limits.silence, self.raw.read(max)))
                .await?;
        if bytes.len() > max {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!("the provider read {} bytes where {max} were asked for", bytes.len()),
            ));
        }
        self.storage.bandwidth.pass(bytes.len() as u64).await;
        Ok(bytes)
    }
}

/// A file being written.
#[derive(Debug)]
pub struct Writing {
    raw: client::Writing,
    storage: Arc<Storage>,
    operation: Operation,
}

impl Writing {
    /// The byte from which it goes on.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.raw.offset
    }

    /// Writes all of these bytes.
    pub async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.storage.bandwidth.pass(chunk.len() as u64).await;
        let call = self.operation.watch(self.storage.limits.silence, self.raw.write(chunk));
        watch_health(&self.storage, call).await
    }

    /// A token with which a later write goes on from here.
    pub async fn checkpoint(&mut self) -> Result<Option<Vec<u8>>> {
        let call = self.operation.watch(self.storage.limits.silence, self.raw.checkpoint());
        watch_health(&self.storage, call).await
    }

    /// Makes the file visible. Also returns the operation, which may not have ended yet if this
    /// failed.
    pub async fn finish(self) -> (Result<Metadata>, Operation) {
        let Writing { raw, storage, operation } = self;
        let result =
            watch_health(&storage, operation.watch(storage.limits.silence, raw.finish())).await;
        if result.is_ok() {
            storage.health.stored();
        }
        (result, operation)
    }

    /// Throws away what was written.
    pub async fn discard(self) -> Operation {
        let Writing { raw, storage, operation } = self;
        if let Err(error) =
            watch_health(&storage, operation.watch(storage.limits.silence, raw.discard())).await
        {
            tracing::debug!(%error, "a write could not be discarded; a sweep will");
        }
        operation
    }

    /// Asks the provider to stop.
    pub fn cancel(&self) {
        self.operation.cancel();
    }
}
