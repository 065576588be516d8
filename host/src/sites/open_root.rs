//! One root of a project at a site, with the layers around every provider call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sitesync_provider::abi::client;
use sitesync_provider::{
    At, Bytes, ChangePage, Changes, Copied, Copy, Cursor, DeleteOptions, Error, ErrorKind, Expect,
    Known, Metadata, Op, ReadOptions, Result, RootInfo, SweepOptions, Swept, WriteOptions,
    check_path,
};

use super::instance::Link;
use super::layers::{self, Layers, nonsense};
use super::{Instance, Limits, Listing, Operation, Slot, Storage, sound};
use crate::settings;

/// Bytes of a token that stands for an unfinished write: the catalog keeps it.
const LONGEST_TOKEN: usize = 64 << 10;

/// Something that a root may be able to do, and that is done in another way if it can't.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// Copies within the provider: else they pass through the host.
    ServerCopy,
    /// Listings of trees: else folder by folder.
    RecursiveList,
    /// A barrier: else what is finished is durable.
    Flush,
    /// A feed that names every change: else it is scanned.
    Feed,
    /// Keeps what is replaced, and does not do so by itself: else it is kept by the service, or gone.
    KeepReplaced,
}

/// A root of a project at a site.
#[derive(Debug)]
pub struct OpenRoot {
    /// The site's name.
    pub site: String,
    /// The site's provider.
    pub provider: String,
    /// The root as it stands in the settings, expanded.
    pub root: String,
    /// What the provider said of it.
    pub info: RootInfo,
    /// The storage that it lies on.
    pub storage: Arc<Storage>,
    link: Arc<Link>,
    connection: client::Connection,
    configured: Arc<settings::Site>,
    settings: serde_json::Value,
    layers: Layers,
    /// By [`Capability`]: it was declared, and turned out not to be there.
    cannot: [AtomicBool; 5],
}

impl OpenRoot {
    pub(crate) async fn open(
        instance: &Instance,
        site: &Arc<settings::Site>,
        root: &str,
    ) -> Result<Self> {
        let link = instance.link();
        let who = layers::who(site);
        let limits = instance.limits.of(site);
        let settings = serde_json::Value::Object(site.settings.clone());
        let opening = async {
            let connection = instance.connection(&link).await?.clone();
            let call = connection.open_root(root, &settings);
            let info = layers::within(limits.answer, call).await?;
            Ok((connection, sound::root_info(info)?))
        };
        let (connection, info) = opening.await.map_err(|error: Error| error.context(&who))?;
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
        storage.good();
        Ok(OpenRoot {
            site: site.name.clone(),
            provider: site.provider.clone(),
            root: root.to_owned(),
            info,
            storage: storage.clone(),
            link,
            connection,
            configured: site.clone(),
            settings,
            layers: Layers::new(who, storage, limits),
            cannot: Default::default(),
        })
    }

    /// Asks the provider once more what the root is: the health check. An error parks nothing that
    /// is not the site's fault.
    pub async fn check(&self) -> Result<RootInfo> {
        let call = self.connection.open_root(&self.root, &self.settings);
        self.layers.answer(async { sound::root_info(call.await?) }).await
    }

    /// Why nothing more is to be asked of it, if an answer said that it is not there any more: whoever
    /// works on it is to open it anew.
    #[must_use]
    pub fn gone(&self) -> Option<&Error> {
        self.layers.gone()
    }

    /// Has it count as gone for a reason that no single answer tells.
    pub(crate) fn lose(&self, error: &Error) {
        self.layers.lose(error);
    }

    /// True if both roots belong to one instance, through one generation of its provider: copies
    /// need not pass through the host.
    #[must_use]
    pub fn same_instance(&self, other: &OpenRoot) -> bool {
        self.goes_through(&other.link)
    }

    /// The site's settings as they were when this was opened.
    pub(crate) fn configured(&self) -> &Arc<settings::Site> {
        &self.configured
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

    /// A slot of this storage, if one is free at this moment.
    #[must_use]
    pub fn free_slot(&self, lane: u64, bytes: u64) -> Option<Slot> {
        self.storage.slots.try_take(lane, bytes)
    }

    /// What is at this path.
    pub async fn stat(&self, path: &str) -> Result<Metadata> {
        let call = self.connection.stat(self.at(path)?);
        self.layers.answer(async { sound::metadata(call.await?) }).await
    }

    /// Lists everything beneath a folder, or the folder alone.
    pub async fn list(&self, folder: &str, recursive: bool) -> Result<Listing> {
        let raw = self.layers.answer(self.connection.list(self.at(folder)?, recursive)).await?;
        Ok(Listing::new(raw, self.layers.clone(), folder, recursive))
    }

    /// Opens a file.
    pub async fn open_read(&self, path: &str, how: ReadOptions) -> Result<Reading> {
        let from = how.from;
        let call = self.connection.open_read(self.at(path)?, how);
        let opening = async {
            let mut raw = call.await?;
            raw.metadata = sound::metadata(raw.metadata)?;
            Ok(raw)
        };
        let raw = self.layers.answer(opening).await?;
        let left = raw.metadata.size.saturating_sub(from);
        Ok(Reading { raw, layers: self.layers.clone(), left })
    }

    /// Begins to write a file. `operation` belongs to the op in `how`.
    pub async fn open_write(
        &self,
        path: &str,
        how: WriteOptions,
        operation: Operation,
    ) -> Result<Writing> {
        let call = self.connection.open_write(self.at(path)?, how);
        let raw = self.layers.watched(&operation, call).await?;
        Ok(Writing { raw, layers: self.layers.clone(), operation })
    }

    /// Copies files within the instance, from this root to another. Each item: the source's path
    /// and fingerprint, the destination's path and what must be there. With `keep`, what is
    /// replaced goes to the trash.
    pub async fn server_copy(
        &self,
        to: &OpenRoot,
        batch: &[(&str, &str, Known, Expect)],
        keep: bool,
        operation: &Operation,
        op: Op,
    ) -> Result<Vec<Result<Copied>>> {
        let copies = batch
            .iter()
            .map(|(path, target, known, expect)| {
                let from = self.at(path)?.known(Some(known));
                let keep = keep && matches!(expect, Expect::Version(_));
                Ok(Copy::new(from, to.at(target)?, expect.clone()).keep_replaced(keep))
            })
            .collect::<Result<Vec<_>>>()?;
        let call = self.connection.server_copy(copies, op);
        let results = to.layers.watched(operation, call).await?;
        // One file's fault says nothing of the storage; a site's fault does, and so does success.
        let checked = results.into_iter().map(|result| {
            let copied = to.layers.heard(result.and_then(|copied| {
                let source = sound::metadata(copied.source)?;
                Ok(Copied::new(source, sound::metadata(copied.destination)?))
            }))?;
            to.storage.stored();
            Ok(copied)
        });
        Ok(checked.collect())
    }

    /// Deletes a file.
    pub async fn delete(&self, path: &str, how: DeleteOptions) -> Result<()> {
        self.layers.answer(self.connection.delete(self.at(path)?, how)).await
    }

    /// Renames a file to where nothing is.
    pub async fn rename(&self, from: &str, to: &str) -> Result<Metadata> {
        let call = self.connection.rename(self.at(from)?, self.at(to)?);
        self.layers.answer(async { sound::metadata(call.await?) }).await
    }

    /// Removes a folder if it is empty.
    pub async fn remove_folder(&self, folder: &str) -> Result<()> {
        self.layers.answer(self.connection.remove_folder(self.at(folder)?)).await
    }

    /// Removes abandoned temporaries.
    pub async fn sweep(&self, how: SweepOptions) -> Result<Swept> {
        self.layers.barrier(self.connection.sweep(&self.root, how)).await
    }

    /// Makes durable what was finished here before this call. Nothing to do where the provider
    /// says that what it finished is durable already.
    pub async fn flush(&self) -> Result<()> {
        if !self.can(Capability::Flush) {
            return Ok(());
        }
        match self.layers.barrier(self.connection.flush(&[&self.root])).await {
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                self.cannot(Capability::Flush);
                Ok(())
            }
            flushed => flushed,
        }
    }

    /// What changed in these roots of the site since the cursor; without one, where the feed is now.
    pub async fn changes(&self, roots: &[&str], since: Option<Cursor>) -> Result<ChangePage> {
        let call = self.connection.changes(roots, since, Duration::ZERO);
        self.layers.answer(async { sound::changes(roots, call.await?) }).await
    }

    /// Whether the root can do this, as far as is known.
    #[must_use]
    pub fn can(&self, what: Capability) -> bool {
        let declared = match what {
            Capability::ServerCopy => self.info.can.server_copy,
            Capability::RecursiveList => self.info.can.recursive_list,
            Capability::Flush => self.info.can.flush,
            Capability::Feed => self.info.can.changes == Changes::Complete,
            Capability::KeepReplaced => {
                self.info.can.keeps_replaced && !self.info.can.keeps_versions
            }
        };
        declared && !self.cannot[what as usize].load(Ordering::Relaxed)
    }

    /// It said that it can, and answered `Unsupported`: from now on it is not asked again.
    pub fn cannot(&self, what: Capability) {
        if !self.cannot[what as usize].swap(true, Ordering::Relaxed) {
            let (site, provider) = (&self.site, &self.provider);
            tracing::warn!(site, provider, "it says that it can do {what:?}, and cannot");
        }
    }

    /// An error of this site that was noticed outside: it begins with the site and its provider.
    #[must_use]
    pub fn named(&self, error: Error) -> Error {
        self.layers.named(error)
    }

    /// How much the site may answer.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.layers.limits
    }

    fn at<'a>(&'a self, path: &'a str) -> Result<At<'a>> {
        check_path(path)
            .map_err(|why| Error::new(ErrorKind::InvalidPath, format!("the path has {why}")))?;
        Ok(At::new(&self.root, path))
    }
}

/// A file being read.
#[derive(Debug)]
pub struct Reading {
    raw: client::Reading,
    layers: Layers,
    /// Bytes that may still come.
    left: u64,
}

impl Reading {
    /// What was opened.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.raw.metadata
    }

    /// The next bytes, at most `max`; empty at the end. `Precondition` if more come than the file
    /// had when it was opened: it has changed, or there is no end to it.
    pub async fn read(&mut self, max: usize) -> Result<Bytes> {
        let (raw, left) = (&mut self.raw, self.left);
        let reading = async {
            let bytes = raw.read(max).await?;
            if bytes.len() > max {
                let len = bytes.len();
                return Err(Error::new(
                    ErrorKind::Corrupt,
                    format!("the provider read {len} bytes where {max} were asked for"),
                ));
            }
            if bytes.len() as u64 > left {
                let size = raw.metadata.size;
                return Err(Error::new(
                    ErrorKind::Precondition,
                    format!("there are more bytes than the {size} that it had when it was opened"),
                ));
            }
            Ok(bytes)
        };
        let bytes = self.layers.piece(reading).await?;
        self.left -= bytes.len() as u64;
        self.layers.storage.bandwidth.pass(bytes.len() as u64).await;
        Ok(bytes)
    }
}

/// A file being written.
#[derive(Debug)]
pub struct Writing {
    raw: client::Writing,
    layers: Layers,
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
        self.layers.storage.bandwidth.pass(chunk.len() as u64).await;
        self.layers.watched(&self.operation, self.raw.write(chunk)).await
    }

    /// A token with which a later write goes on from here.
    pub async fn checkpoint(&mut self) -> Result<Option<Vec<u8>>> {
        let call = self.raw.checkpoint();
        let asking = async {
            let token = call.await?;
            match token.as_ref().map(Vec::len) {
                Some(len) if len > LONGEST_TOKEN => {
                    Err(nonsense(format_args!("a token of {len} bytes")))
                }
                _ => Ok(token),
            }
        };
        self.layers.watched(&self.operation, asking).await
    }

    /// Makes the file visible. Also returns the operation, which may not have ended yet if this
    /// failed.
    pub async fn finish(self) -> (Result<Metadata>, Operation) {
        let Writing { raw, layers, operation } = self;
        let finishing = async { sound::metadata(raw.finish().await?) };
        let result = layers.watched(&operation, finishing).await;
        if result.is_ok() {
            layers.storage.stored();
        }
        (result, operation)
    }

    /// Throws away what was written.
    pub async fn discard(self) -> Operation {
        let Writing { raw, layers, operation } = self;
        if let Err(error) = layers.watched(&operation, raw.discard()).await {
            tracing::debug!(%error, "a write could not be discarded; a sweep will");
        }
        operation
    }

    /// Asks the provider to stop.
    pub fn cancel(&self) {
        self.operation.cancel();
    }
}
