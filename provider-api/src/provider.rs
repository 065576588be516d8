//! The trait that an author implements.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::options::all_unsupported;
use crate::{
    At, ChangePage, Copied, Copy, Cursor, DeleteOptions, Error, Host, Metadata, Op, Page,
    ReadOptions, Result, RootInfo, SweepOptions, Swept, WriteOptions,
};

/// What a provider is.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct About {
    /// The name that settings use: `local_drive`. Lower case, digits, `_`.
    pub id: &'static str,
    /// What people call it: `Mounted disk`.
    pub label: &'static str,
    /// How many operations at once do it good, per storage. A hint: settings may say otherwise.
    pub slots: u32,
    /// Requests a second that the service bears, per account; 0 for no limit.
    pub requests_per_second: u32,
}

impl About {
    /// A provider with this id and label, 4 slots and no limit of requests.
    #[must_use]
    pub const fn new(id: &'static str, label: &'static str) -> Self {
        About { id, label, slots: 4, requests_per_second: 0 }
    }

    /// How many operations at once do it good, per storage.
    #[must_use]
    pub const fn slots(mut self, slots: u32) -> Self {
        self.slots = slots;
        self
    }

    /// Requests a second that the service bears, per account.
    #[must_use]
    pub const fn requests_per_second(mut self, requests: u32) -> Self {
        self.requests_per_second = requests;
        self
    }
}

/// [`About`] and the schema of the settings, as they cross the boundary.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Description {
    /// See [`About::id`].
    pub id: String,
    /// See [`About::label`].
    pub label: String,
    /// See [`About::slots`].
    pub slots: u32,
    /// See [`About::requests_per_second`].
    pub requests_per_second: u32,
    /// JSON Schema of the settings, with the extensions of [`crate::settings`];
    /// [`Description::fields`] reads it.
    pub settings: serde_json::Value,
}

impl Description {
    /// The description of a provider type.
    #[must_use]
    pub fn of<P: Provider>() -> Self {
        Description {
            id: P::ABOUT.id.to_owned(),
            label: P::ABOUT.label.to_owned(),
            slots: P::ABOUT.slots,
            requests_per_second: P::ABOUT.requests_per_second,
            settings: schemars::schema_for!(P::Settings).to_value(),
        }
    }
}

/// A file that is being read.
pub trait ReadStream: Send + 'static {
    /// What was opened: size, fingerprint, times.
    fn metadata(&self) -> Metadata;

    /// The next bytes, at most `max` (1 MiB or more: a hop costs as much as a small file); empty
    /// at the end, and only there.
    fn read(&mut self, max: usize) -> impl Future<Output = Result<Bytes>> + Send;
}

/// A file that is being written. Nothing is visible under its final name before
/// [`WriteStream::finish`]. A plain drop keeps what can be resumed.
pub trait WriteStream: Send + 'static {
    /// The byte from which this write goes on: 0, unless it resumed.
    fn offset(&self) -> u64;

    /// Takes the next bytes, all of them.
    fn write(&mut self, chunk: Bytes) -> impl Future<Output = Result<()>> + Send;

    /// A token with which a later `open_write` goes on from here, if there is such a thing.
    fn checkpoint(&mut self) -> impl Future<Output = Result<Option<Vec<u8>>>> + Send {
        async { Ok(None) }
    }

    /// Makes the whole file visible under its name, in one step, if what is there is what was
    /// expected. Returns what is there then.
    fn finish(self) -> impl Future<Output = Result<Metadata>> + Send;

    /// Throws away what was written.
    fn discard(self) -> impl Future<Output = Result<()>> + Send;
}

/// A listing in progress.
pub trait ListStream: Send + 'static {
    /// The next pages; `None` at the end. About a thousand entries a call, of one or more folders;
    /// the pages of one folder come in a row.
    fn next(&mut self) -> impl Future<Output = Result<Option<Vec<Page>>>> + Send;
}

/// A kind of storage. `async fn` in the implementation is fine.
///
/// Promises that every provider makes, and that the conformance suite (feature `conformance`)
/// checks:
/// - Nothing is visible under a final name before `finish` returns; then all of it is.
/// - What is found at a destination is what was expected ([`crate::Expect`]), or nothing happens.
/// - Parents of what is written are made on the way.
/// - It classifies errors, and never sleeps, retries or throttles: that is the host's.
/// - It never leaves the root.
pub trait Provider: Sized + Send + Sync + 'static {
    /// The site's settings, apart from what the host itself knows. Each field has a doc comment,
    /// and may carry, by `#[schemars(extend("x-..." = ...))]`, what [`crate::settings`] lists: who
    /// may set it, what it belongs to, whether it is secret. Sites whose `connection` fields are
    /// equal share an instance.
    type Settings: DeserializeOwned + JsonSchema + Send + Sync;
    /// A file being read.
    type Reader: ReadStream;
    /// A file being written.
    type Writer: WriteStream;
    /// A listing.
    type Lister: ListStream;

    /// What this provider is.
    const ABOUT: About;

    /// Connects. Called once per instance, on first use.
    fn connect(settings: Self::Settings, host: Host) -> impl Future<Output = Result<Self>> + Send;

    /// Opens a root, and tells what it is. Also the health check: called again from time to time.
    /// `settings` are those of the site that the root belongs to: its `site` fields count for
    /// this root. `RootUnavailable` if it isn't there; it is made only where a setting of the
    /// provider's says so.
    fn open_root(
        &self,
        root: &str,
        settings: Self::Settings,
    ) -> impl Future<Output = Result<RootInfo>> + Send;

    /// What is at this path; `NotFound` if nothing is. At the empty path is the root, a folder.
    fn stat(&self, at: At<'_>) -> impl Future<Output = Result<Metadata>> + Send;

    /// Lists a folder, or with `recursive` everything beneath it (`Unsupported` where the root
    /// can't). A folder that is not there is `NotFound`; a file is no folder (`InvalidPath`, or
    /// `NotFound`). An empty folder has a page too.
    fn list(
        &self,
        dir: At<'_>,
        recursive: bool,
    ) -> impl Future<Output = Result<Self::Lister>> + Send;

    /// Opens a file; `NotFound` if nothing is there, that or `InvalidPath` if a folder is. Once
    /// open, one content is read to its end, or an error comes, whatever happens to the name.
    fn open_read(
        &self,
        at: At<'_>,
        how: ReadOptions,
    ) -> impl Future<Output = Result<Self::Reader>> + Send;

    /// Begins to write a file. `InvalidPath` if a file is where one of its folders should be. What
    /// is not as expected may be refused here or by `finish`.
    fn open_write(
        &self,
        at: At<'_>,
        how: WriteOptions,
    ) -> impl Future<Output = Result<Self::Writer>> + Send;

    /// Makes a folder and its parents; one that is there already is fine, a file in the place of
    /// one is `InvalidPath`. Many at once make one.
    fn create_folder(&self, at: At<'_>) -> impl Future<Output = Result<()>> + Send;

    /// Removes a folder if it is empty: else `Precondition`. `NotFound` if it is not there.
    fn remove_folder(&self, at: At<'_>) -> impl Future<Output = Result<()>> + Send;

    /// Deletes a file, never a folder. `NotFound` if it is not there.
    fn delete(&self, at: At<'_>, how: DeleteOptions) -> impl Future<Output = Result<()>> + Send;

    /// Removes abandoned temporaries and upload sessions of this host's own, and very old ones of
    /// others.
    fn sweep(&self, root: &str, how: SweepOptions) -> impl Future<Output = Result<Swept>> + Send;

    /// Copies files within this instance, each with its parents, temporary, data, times and
    /// rename; answers in the order of the batch, for each file by itself.
    fn server_copy(
        &self,
        batch: &[Copy<'_>],
        op: &Op,
    ) -> impl Future<Output = Vec<Result<Copied>>> + Send {
        let _ = op;
        let answer = all_unsupported(batch.len(), "server copy");
        async { answer }
    }

    /// Renames a file within this instance. `AlreadyExists` if the destination exists.
    fn rename(&self, from: At<'_>, to: At<'_>) -> impl Future<Output = Result<Metadata>> + Send {
        let _ = (from, to);
        async { Err(Error::unsupported("rename")) }
    }

    /// Makes everything durable that was finished in these roots before this call.
    fn flush(&self, roots: &[&str]) -> impl Future<Output = Result<()>> + Send {
        let _ = roots;
        async { Err(Error::unsupported("flush")) }
    }

    /// What changed since the cursor; without one, where the feed is now. Waits at most `wait`
    /// for something to happen. `CursorExpired`, or another error, for a cursor that it does not
    /// know.
    fn changes(
        &self,
        roots: &[&str],
        since: Option<Cursor>,
        wait: Duration,
    ) -> impl Future<Output = Result<ChangePage>> + Send {
        let _ = (roots, since, wait);
        async { Err(Error::unsupported("change feed")) }
    }
}
