//! A provider that keeps files in a folder and does that well, but for what its settings say: any
//! fault that a host can contain, in the call and at the path that they name.
//!
//! [`settings`] says what can go wrong, `act` does what any call can do wrong, [`streams`] what
//! goes wrong in readers, writers and listers; `store` is what is right.

mod act;
pub mod settings;
mod store;
pub mod streams;

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use settings::{Fault, Settings, build};
use sitesync_provider::{
    About, At, ChangePage, Copied, Copy, Cursor, DeleteOptions, Error, ErrorKind, Host, Metadata,
    Op, Provider, ReadOptions, Result, RootInfo, SweepOptions, Swept, WriteOptions,
};
use streams::{Lister, Reader, Writer};

sitesync_provider::export_provider!(Misbehaving);

/// What is behind the roots: the faults of a site count for its own root only.
#[derive(Debug)]
pub struct Misbehaving {
    host: Host,
    connection: Arc<Settings>,
    roots: Mutex<HashMap<String, Arc<Settings>>>,
}

impl Drop for Misbehaving {
    fn drop(&mut self) {
        self.connection.on_drop("connect", "");
    }
}

impl Misbehaving {
    fn of(&self, root: &str) -> Arc<Settings> {
        let roots = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
        roots.get(root).unwrap_or(&self.connection).clone()
    }

    async fn write(&self, call: &str, at: At<'_>, how: WriteOptions) -> Result<Writer> {
        let settings = self.of(at.root);
        settings.act(call, at.path).await?;
        let op = how.op.clone();
        let inner = Some(store::Writing::begin(at, how, &self.host.site_id())?);
        let builds = vec![build()];
        Ok(Writer { settings, path: at.path.to_owned(), op, inner, builds })
    }

    async fn copy(&self, copy: &Copy<'_>, op: &Op) -> Result<Copied> {
        use sitesync_provider::{ReadStream as _, WriteStream as _};
        let mut how = ReadOptions::new();
        if let Some(version) = copy.from.known.and_then(|known| known.version.clone()) {
            how = how.if_version(version);
        }
        let mut reader = self.open_read(copy.from, how).await?;
        let source = reader.inner.metadata.clone();
        let how = WriteOptions::new(source.size, copy.expect.clone())
            .mtime_ns(source.mtime_ns)
            .op(op.clone());
        let mut writer = self.write("server_copy", copy.to, how).await?;
        loop {
            let chunk = reader.read(1 << 20).await?;
            if chunk.is_empty() {
                return Ok(Copied::new(source, writer.finish().await?));
            }
            writer.write(chunk).await?;
        }
    }
}

impl Provider for Misbehaving {
    type Settings = Settings;
    type Reader = Reader;
    type Writer = Writer;
    type Lister = Lister;

    const ABOUT: About = About::new("misbehaving", "Misbehaving (test fixture)");

    async fn connect(settings: Settings, host: Host) -> Result<Self> {
        settings.act("connect", "").await?;
        Ok(Misbehaving { host, connection: Arc::new(settings), roots: Mutex::default() })
    }

    async fn open_root(&self, root: &str, settings: Settings) -> Result<RootInfo> {
        settings.act("open_root", "").await?;
        let hits = |fault| settings.hits(fault, "open_root", "");
        if !Path::new(root).is_dir() {
            return Err(Error::new(ErrorKind::RootUnavailable, format!("there is no {root}")));
        }
        let mut info = RootInfo::default();
        info.storage_id = root.to_owned();
        info.root_id = root.to_owned();
        info.mtime_step_ns = 1;
        info.local_path = Some(root.to_owned());
        info.can.ranges = true;
        info.can.atomic_replace = true;
        info.can.flush = true;
        info.can.recursive_list = settings.capable || hits(Fault::Boast);
        info.can.server_copy = settings.capable || hits(Fault::Boast);
        info.can.trash = hits(Fault::Boast);
        if hits(Fault::GiantRoot) {
            info.label = "giant ".repeat(1 << 20);
        }
        if hits(Fault::CoarseTimes) {
            info.mtime_step_ns = u64::MAX;
        }
        let mut roots = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
        roots.insert(root.to_owned(), Arc::new(settings));
        Ok(info)
    }

    async fn stat(&self, at: At<'_>) -> Result<Metadata> {
        let settings = self.of(at.root);
        settings.act("stat", at.path).await?;
        let found = store::metadata(&store::place(at), settings.checksums)?;
        Ok(settings.lie("stat", at.path, found))
    }

    async fn list(&self, dir: At<'_>, recursive: bool) -> Result<Lister> {
        let settings = self.of(dir.root);
        settings.act("list", dir.path).await?;
        if recursive && settings.fault == Fault::Boast {
            return Err(Error::unsupported("listing of trees"));
        }
        let left = VecDeque::from([dir.path.to_owned()]);
        let root = dir.root.to_owned();
        Ok(Lister { settings, root, recursive, left, pages: VecDeque::new(), calls: 0 })
    }

    async fn open_read(&self, at: At<'_>, how: ReadOptions) -> Result<Reader> {
        let settings = self.of(at.root);
        settings.act("open_read", at.path).await?;
        let inner = store::Reading::open(at, &how, settings.checksums)?;
        Ok(Reader { settings, path: at.path.to_owned(), inner })
    }

    async fn open_write(&self, at: At<'_>, how: WriteOptions) -> Result<Writer> {
        self.write("open_write", at, how).await
    }

    async fn create_folder(&self, at: At<'_>) -> Result<()> {
        self.of(at.root).act("create_folder", at.path).await?;
        Ok(fs::create_dir_all(store::place(at))?)
    }

    async fn remove_folder(&self, at: At<'_>) -> Result<()> {
        self.of(at.root).act("remove_folder", at.path).await?;
        Ok(fs::remove_dir(store::place(at))?)
    }

    async fn delete(&self, at: At<'_>, how: DeleteOptions) -> Result<()> {
        let settings = self.of(at.root);
        settings.act("delete", at.path).await?;
        if how.to_trash {
            return Err(Error::unsupported("trash"));
        }
        fs::remove_file(store::place(at))?;
        if settings.hits(Fault::DeletesSilently, "delete", at.path) {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    async fn sweep(&self, root: &str, how: SweepOptions) -> Result<Swept> {
        self.of(root).act("sweep", "").await?;
        let count = store::sweep(Path::new(root), &self.host.site_id(), how.foreign_after)?;
        Ok(Swept::new(count, 0))
    }

    async fn server_copy(&self, batch: &[Copy<'_>], op: &Op) -> Vec<Result<Copied>> {
        let mut results = Vec::new();
        let hits = |fault| {
            batch.iter().any(|copy| self.of(copy.to.root).hits(fault, "server_copy", copy.to.path))
        };
        if hits(Fault::Boast) {
            return batch.iter().map(|_| Err(Error::unsupported("server copy"))).collect();
        }
        for copy in batch {
            results.push(self.copy(copy, op).await);
        }
        if hits(Fault::FewerCopies) {
            results.pop();
        }
        if hits(Fault::MoreCopies) {
            results.push(Err(Error::unsupported("more")));
        }
        results
    }

    async fn rename(&self, from: At<'_>, to: At<'_>) -> Result<Metadata> {
        let settings = self.of(to.root);
        settings.act("rename", to.path).await?;
        fs::hard_link(store::place(from), store::place(to))?;
        fs::remove_file(store::place(from))?;
        store::metadata(&store::place(to), settings.checksums)
    }

    async fn flush(&self, roots: &[&str]) -> Result<()> {
        for root in roots {
            let settings = self.of(root);
            settings.act("flush", "").await?;
            if settings.fault == Fault::Boast {
                return Err(Error::unsupported("flush"));
            }
            fs::File::open(root)?.sync_all()?;
        }
        Ok(())
    }

    async fn changes(&self, roots: &[&str], _: Option<Cursor>, _: Duration) -> Result<ChangePage> {
        for root in roots {
            self.of(root).act("changes", "").await?;
        }
        Err(Error::unsupported("change feed"))
    }
}
