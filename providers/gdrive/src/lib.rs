//! `gdrive`: sites in Google Drive, by a service account. My Drive, shared drives, and folders that
//! people share with the account.
//!
//! Promises: a file is visible once all of it is there, with the md5 that was sent; what was not
//! expected is not replaced, as far as Drive lets one tell (it has no compare-and-swap: a look
//! comes right before each step); of several files of one name the oldest counts, always. It never
//! retries, sleeps or throttles, and shows nobody a token, a key or a session's address.
//!
//! `api` sends requests (`auth` the tokens, `errors` the refusals, `model` the answers, `query` the
//! searches); `tree` knows ids, `resolve` finds and makes what a path names, `root` where paths
//! begin; `list`, `read`, `write` (small files), `session` (large ones) and `alter` (copies,
//! renames, deletes) do the work, `change` is the feed.

mod alter;
mod api;
mod auth;
mod change;
mod config;
mod errors;
mod list;
mod model;
mod query;
mod read;
mod resolve;
mod root;
mod seal;
mod session;
mod tree;
mod write;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sitesync_provider::{
    About, At, ChangePage, Copied, Copy, Cursor, DeleteOptions, Error, ErrorKind, Host, Metadata,
    Op, Provider, ReadOptions, Result, RootInfo, SweepOptions, Swept, WriteOptions,
};

pub use config::Settings;
pub use list::Lister;
pub use read::Reader;
pub use write::Writer;

use api::Client;
use resolve::{nothing, sound};
use root::{Root, Roots};
use session::Sessions;
use tree::Tree;

/// Google Drive.
#[derive(Debug)]
pub struct GoogleDrive(Arc<Account>);

/// What all operations of an instance share.
#[derive(Debug)]
pub(crate) struct Account {
    client: Client,
    tree: Tree,
    roots: Roots,
    sessions: Arc<Sessions>,
    read_ahead: Arc<tokio::sync::Semaphore>,
    /// Shared drives in which the account may not delete for good.
    trash_only: Mutex<HashSet<String>>,
    settings: Settings,
}

impl Provider for GoogleDrive {
    type Settings = Settings;
    type Reader = Reader;
    type Writer = Writer;
    type Lister = Lister;

    // Google allows an account 12,000 requests a minute.
    const ABOUT: About = About::new("gdrive", "Google Drive").slots(48).requests_per_second(195);

    async fn connect(settings: Settings, host: Host) -> Result<Self> {
        settings.check()?;
        let cache = host.cache_dir();
        Ok(GoogleDrive(Arc::new(Account {
            client: Client::new(&settings, host).await?,
            tree: Tree::open(&cache),
            roots: Roots::open_cache(&cache),
            sessions: Arc::new(Sessions::open(&cache)),
            read_ahead: read::allowance(),
            trash_only: Mutex::default(),
            settings,
        })))
    }

    async fn open_root(&self, root: &str, settings: Settings) -> Result<RootInfo> {
        settings.check()?;
        self.0.roots.open(&self.0.client, &self.0.tree, root, settings).await
    }

    async fn stat(&self, at: At<'_>) -> Result<Metadata> {
        sound("stat", &at)?;
        let root = self.0.root(at.root).await?;
        let found = self.0.find(&root, at.path).await.map_err(named("stat", at.path))?;
        Ok(found.ok_or_else(|| nothing("stat", at.path))?.metadata())
    }

    async fn list(&self, dir: At<'_>, recursive: bool) -> Result<Lister> {
        sound("list", &dir)?;
        let root = self.0.root(dir.root).await?;
        Lister::open(self.0.clone(), root, dir.path, recursive).await
    }

    async fn open_read(&self, at: At<'_>, how: ReadOptions) -> Result<Reader> {
        sound("read", &at)?;
        let root = self.0.root(at.root).await?;
        Reader::open(self.0.clone(), &root, at.path, how).await
    }

    async fn open_write(&self, at: At<'_>, how: WriteOptions) -> Result<Writer> {
        sound("write", &at)?;
        let root = self.0.root(at.root).await?;
        Writer::open(self.0.clone(), root, at.path, how).await
    }

    async fn create_folder(&self, at: At<'_>) -> Result<()> {
        sound("make the folder", &at)?;
        let root = self.0.root(at.root).await?;
        let (account, path) = (self.0.clone(), at.path.to_owned());
        to_its_end(async move {
            let made = account.make_folder(&root, &path).await;
            made.map(drop).map_err(named("make the folder", &path))
        })
        .await
    }

    async fn remove_folder(&self, at: At<'_>) -> Result<()> {
        sound("remove", &at)?;
        let root = self.0.root(at.root).await?;
        let (account, path) = (self.0.clone(), at.path.to_owned());
        to_its_end(async move { account.remove_folder(&root, &path).await }).await
    }

    async fn delete(&self, at: At<'_>, how: DeleteOptions) -> Result<()> {
        sound("delete", &at)?;
        let root = self.0.root(at.root).await?;
        let (account, path) = (self.0.clone(), at.path.to_owned());
        to_its_end(async move { account.delete_file(&root, &path, how).await }).await
    }

    async fn sweep(&self, root: &str, how: SweepOptions) -> Result<Swept> {
        self.0.sweep(root, &how).await
    }

    async fn server_copy(&self, batch: &[Copy<'_>], op: &Op) -> Vec<Result<Copied>> {
        alter::copy_all(&self.0, batch, op).await
    }

    async fn rename(&self, from: At<'_>, to: At<'_>) -> Result<Metadata> {
        sound("rename", &from)?;
        sound("rename to", &to)?;
        let (old_root, new_root) = (self.0.root(from.root).await?, self.0.root(to.root).await?);
        let (account, old, new) = (self.0.clone(), from.path.to_owned(), to.path.to_owned());
        to_its_end(async move { account.rename_file(&old_root, &old, &new_root, &new).await }).await
    }

    async fn changes(
        &self,
        roots: &[&str],
        since: Option<Cursor>,
        _wait: Duration,
    ) -> Result<ChangePage> {
        // Drive can't be asked to wait: what it knows it says at once.
        self.0.changes(roots, since).await
    }
}

impl Account {
    /// A root; one that nobody has opened is opened as the site of the connection has it.
    async fn root(&self, text: &str) -> Result<Arc<Root>> {
        self.roots.get(&self.client, &self.tree, text, &self.settings).await
    }
}

/// Lets a step that changes something come to its end, also if nobody waits for it any more: cut
/// off, it could take effect later, when nobody counts on it.
pub(crate) async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let ended = tokio::spawn(work).await;
    ended.unwrap_or_else(|error| match error.try_into_panic() {
        // The shim makes of it what it makes of every panic.
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => Err(Error::new(ErrorKind::Cancelled, "the host is going down")),
    })
}

/// Puts what was done to what in front of an error that does not say so yet.
pub(crate) fn named<'a>(what: &'a str, path: &'a str) -> impl Fn(Error) -> Error + 'a {
    move |error| match error.message().contains(&format!("{path:?}")) && !path.is_empty() {
        true => error,
        false => error.context(format!("{what} {path:?}")),
    }
}

sitesync_provider::export_provider!(GoogleDrive);
