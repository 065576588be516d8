//! What the tests share: an emulated Drive with a service account that is a member of a shared
//! drive, and its provider, called as the host calls it.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use drive_emulator::{Builder, Emulator, Kind, ServiceAccount};
use gdrive::{GoogleDrive, Settings};
use serde_json::{Value, json};
use sitesync_provider::{
    At, BoxFuture, Bytes, DeleteOptions, End, Entry, Error, Expect, Host, HostServices, ListStream,
    Metadata, Page, Provider, ReadOptions, ReadStream, Result, WriteOptions, WriteStream,
};

/// The address of the service account.
pub(crate) const ROBOT: &str = "robot@studio.iam.gserviceaccount.com";
/// A person who owns and shares folders.
pub(crate) const OWNER: &str = "owner@studio.example";
/// A root in a shared drive.
pub(crate) const ROOT: &str = "/Film/work";
/// Mebibyte.
pub(crate) const MIB: usize = 1 << 20;

/// An emulated Drive, with a shared drive `Film` that the service account is a member of.
pub(crate) struct Bench {
    pub(crate) drive: Emulator,
    pub(crate) robot: ServiceAccount,
    /// The shared drive.
    pub(crate) film: String,
    /// The root's folder.
    pub(crate) work: String,
    pub(crate) temp: tempfile::TempDir,
    pub(crate) permits: Arc<AtomicU64>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Bench::of(Emulator::builder())
    }

    pub(crate) fn of(builder: Builder) -> Self {
        // It can't be started on a thread of a runtime.
        let drive = std::thread::spawn(|| builder.start()).join().unwrap();
        let robot = drive.service_account(ROBOT);
        let film = drive.shared_drive("Film", &[ROBOT]);
        let work = drive.folder(&film, "work");
        let temp = tempfile::tempdir().unwrap();
        Bench { drive, robot, film, work, temp, permits: Arc::default() }
    }

    /// The site's settings.
    pub(crate) fn settings(&self) -> Value {
        json!({
            "credentials_file": self.robot.write_to(self.temp.path()),
            "endpoint": self.drive.url(),
        })
    }

    /// An instance whose cache folder has this name, with these settings besides.
    pub(crate) async fn connect_with(&self, cache: &str, more: Value) -> Result<GoogleDrive> {
        let settings = self.site(more);
        GoogleDrive::connect(settings, self.host(cache)).await
    }

    pub(crate) fn site(&self, more: Value) -> Settings {
        let mut settings = self.settings();
        for (key, value) in more.as_object().unwrap() {
            settings[key] = value.clone();
        }
        serde_json::from_value(settings).unwrap()
    }

    pub(crate) fn host(&self, cache: &str) -> Host {
        let cache_dir = self.temp.path().join(cache);
        std::fs::create_dir_all(&cache_dir).unwrap();
        Host::new(Counting { cache_dir, permits: self.permits.clone() })
    }

    /// An instance with the root open.
    pub(crate) async fn instance(&self) -> GoogleDrive {
        self.instance_with(json!({})).await
    }

    pub(crate) async fn instance_with(&self, more: Value) -> GoogleDrive {
        let instance = self.connect_with("cache", more.clone()).await.unwrap();
        instance.open_root(ROOT, self.site(more)).await.unwrap();
        instance
    }

    /// The kinds of the requests since they were last forgotten.
    pub(crate) fn kinds(&self) -> Vec<Kind> {
        self.drive.requests().into_iter().map(|request| request.kind).collect()
    }

    /// Everything beneath the root: paths, and contents.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.drive.tree(&self.work).into_keys().collect()
    }
}

/// A host that counts the requests that are asked for.
struct Counting {
    cache_dir: PathBuf,
    permits: Arc<AtomicU64>,
}

impl HostServices for Counting {
    fn cache_dir(&self) -> PathBuf {
        self.cache_dir.clone()
    }

    fn site_id(&self) -> String {
        "studio".to_owned()
    }

    fn permit(&self, n: u32) -> BoxFuture<'static, Result<()>> {
        self.permits.fetch_add(u64::from(n), Ordering::Relaxed);
        Box::pin(async { Ok(()) })
    }

    fn is_stopped(&self) -> bool {
        false
    }

    fn stopped(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

/// Bytes that differ from place to place.
pub(crate) fn content(len: usize) -> Bytes {
    (0..len).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect::<Vec<u8>>().into()
}

pub(crate) fn at(path: &str) -> At<'_> {
    At::new(ROOT, path)
}

/// Writes a file as the host does; the first error.
pub(crate) async fn write(
    drive: &GoogleDrive,
    path: &str,
    bytes: &Bytes,
    how: WriteOptions,
) -> Result<Metadata> {
    let mut writer = drive.open_write(at(path), how).await?;
    let mut rest = bytes.slice(usize::try_from(writer.offset()).unwrap()..);
    while !rest.is_empty() {
        writer.write(rest.split_to(rest.len().min(MIB))).await?;
    }
    writer.finish().await
}

/// Writes a file where nothing is.
pub(crate) async fn put(drive: &GoogleDrive, path: &str, bytes: &Bytes) -> Result<Metadata> {
    write(drive, path, bytes, WriteOptions::new(bytes.len() as u64, Expect::Nothing)).await
}

/// Writes a file in the place of this one.
pub(crate) async fn replace(
    drive: &GoogleDrive,
    path: &str,
    bytes: &Bytes,
    was: &Metadata,
) -> Result<Metadata> {
    let expect = Expect::Version(was.fingerprint());
    write(drive, path, bytes, WriteOptions::new(bytes.len() as u64, expect)).await
}

pub(crate) async fn read(drive: &GoogleDrive, path: &str) -> Result<Vec<u8>> {
    let mut reader = drive.open_read(at(path), ReadOptions::new()).await?;
    let mut all = Vec::new();
    loop {
        let bytes = reader.read(MIB).await?;
        if bytes.is_empty() {
            return Ok(all);
        }
        all.extend_from_slice(&bytes);
    }
}

pub(crate) async fn pages(drive: &GoogleDrive, path: &str, recursive: bool) -> Result<Vec<Page>> {
    let mut lister = drive.list(at(path), recursive).await?;
    let mut pages = Vec::new();
    while let Some(more) = lister.next().await? {
        pages.extend(more);
    }
    Ok(pages)
}

/// The entries of one folder.
pub(crate) async fn list(drive: &GoogleDrive, path: &str) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for page in pages(drive, path, false).await? {
        if let End::Failed(error) = page.end {
            return Err(error);
        }
        entries.extend(page.entries);
    }
    Ok(entries)
}

pub(crate) async fn delete(drive: &GoogleDrive, path: &str) -> Result<()> {
    drive.delete(at(path), DeleteOptions::default()).await
}

/// All that an error shows anywhere.
pub(crate) fn shown(error: &Error) -> String {
    format!("{error} {error:?} {}", error.chain().join(" "))
}
