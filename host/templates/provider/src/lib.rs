//! A sitesync provider. `service.rs` is the storage (in memory, until you replace it), `settings.rs`
//! what a site may set, `errors.rs` what the storage's errors mean, `streams.rs` what is under way.

mod errors;
mod service;
mod settings;
mod streams;

use sitesync_provider::{
    About, At, DeleteOptions, Error, ErrorKind, Host, Metadata, Provider, ReadOptions, Result,
    RootInfo, SweepOptions, Swept, WriteOptions, check_path, join,
};

use service::{Item, Refusal, Service};
pub use settings::Settings;
pub use streams::{Lister, Reader, Writer};

// Makes the library a plug-in. One a crate; the plug-in's version is the crate's.
sitesync_provider::export_provider!(MyStore);

/// A connection, shared by all sites whose connection settings are equal.
pub struct MyStore {
    service: Service,
    host: Host,
}

impl MyStore {
    /// The service, once a request may be sent: the host owns rate and fairness. Each request to
    /// a remote service asks first.
    async fn service(&self) -> Result<&Service> {
        self.host.permit(1).await?;
        Ok(&self.service)
    }
}

/// The whole path at the service. Nothing may lead out of the root: the host checks paths, and a
/// provider does not count on it.
fn path(at: &At<'_>) -> Result<String> {
    check_path(at.path).map_err(|why| Error::new(ErrorKind::InvalidPath, why))?;
    let root = root_path(at.root);
    Ok(if at.path.is_empty() { root.to_owned() } else { join(root, at.path) })
}

/// A root as the service has it: `/` is the empty path.
fn root_path(root: &str) -> &str {
    root.trim_matches('/')
}

// No method retries, sleeps or throttles: the host does, and knows more.
impl Provider for MyStore {
    type Settings = Settings;
    type Reader = Reader;
    type Writer = Writer;
    type Lister = Lister;

    const ABOUT: About = About::new("my_store", "My store").slots(8);

    async fn connect(settings: Settings, host: Host) -> Result<Self> {
        host.permit(1).await?;
        let service = Service::log_in(&settings.account, &settings.key)?;
        // Events reach the host's log under this crate's name.
        tracing::info!(account = settings.account, "connected");
        Ok(MyStore { service, host })
    }

    /// Also the health check: it is called again from time to time, and should ask the service.
    async fn open_root(&self, root: &str, settings: Settings) -> Result<RootInfo> {
        match self.service().await?.find(root_path(root)) {
            Ok(Item::Folder) => {}
            // Never made: it may be a share that was renamed, and an empty root in its place would
            // look as if all files were gone.
            Ok(Item::File(_)) | Err(Refusal::Missing) => {
                let what = format!("there is no folder {root:?}");
                return Err(Error::new(ErrorKind::RootUnavailable, what));
            }
            Err(refusal) => return Err(refusal.into()),
        }
        let mut info = RootInfo::default();
        // All that shares a limit: slots, pauses and health are kept per storage.
        info.storage_id = format!("my_store/{}", settings.account);
        info.root_id = root_path(root).to_owned();
        info.label = "memory".into();
        info.largest_file = settings.largest_file;
        info.mtime_step_ns = 1;
        // Say only what holds: the host relies on it.
        info.can.ranges = true;
        info.can.resume = true;
        info.can.atomic_replace = true;
        Ok(info)
    }

    async fn stat(&self, at: At<'_>) -> Result<Metadata> {
        let item = self.service().await?.find(&path(&at)?)?;
        Ok(streams::metadata(&item))
    }

    async fn list(&self, dir: At<'_>, recursive: bool) -> Result<Lister> {
        if recursive {
            return Err(Error::unsupported("recursive listing"));
        }
        let items = self.service().await?.list(&path(&dir)?)?;
        Ok(Lister::new(dir.path, items))
    }

    async fn open_read(&self, at: At<'_>, how: ReadOptions) -> Result<Reader> {
        match self.service().await?.find(&path(&at)?)? {
            Item::File(object) => Reader::new(object, &how),
            Item::Folder => Err(Refusal::IsFolder.into()),
        }
    }

    async fn open_write(&self, at: At<'_>, how: WriteOptions) -> Result<Writer> {
        let path = path(&at)?;
        // Spares sending what will be refused. What counts is the look in `finish`.
        self.service().await?.expect(&path, streams::expected(&how.expect)?)?;
        Ok(Writer::begin(self.service.clone(), self.host.clone(), path, how))
    }

    async fn create_folder(&self, at: At<'_>) -> Result<()> {
        Ok(self.service().await?.make_folder(&path(&at)?)?)
    }

    async fn remove_folder(&self, at: At<'_>) -> Result<()> {
        Ok(self.service().await?.remove_folder(&path(&at)?)?)
    }

    async fn delete(&self, at: At<'_>, how: DeleteOptions) -> Result<()> {
        if how.to_trash {
            return Err(Error::unsupported("trash"));
        }
        Ok(self.service().await?.remove_file(&path(&at)?, how.if_version.as_deref())?)
    }

    async fn sweep(&self, root: &str, how: SweepOptions) -> Result<Swept> {
        let (count, bytes) = self.service().await?.abort(|number, upload| {
            streams::is_abandoned(number, upload, &self.host, root_path(root), &how)
        });
        Ok(Swept::new(count, bytes))
    }
}
