//! A provider over a folder of its own, and shorthands for what every test does.
#![allow(dead_code, unreachable_pub)]

use std::path::{Path, PathBuf};
use std::process::Command;

use local_drive::{LocalDrive, Settings, Writer};
use sitesync_provider::{
    At, BoxFuture, Bytes, Copied, Copy, Error, ErrorKind, Expect, Host, HostServices, ListStream,
    Metadata, Op, Page, Provider, ReadOptions, ReadStream, Result, RootInfo, WriteOptions,
    WriteStream,
};
use tempfile::TempDir;

struct Services(String);

impl HostServices for Services {
    fn cache_dir(&self) -> PathBuf {
        std::env::temp_dir()
    }
    fn site_id(&self) -> String {
        self.0.clone()
    }
    fn permit(&self, _: u32) -> BoxFuture<'static, Result<()>> {
        Box::pin(async { Ok(()) })
    }
    fn is_stopped(&self) -> bool {
        false
    }
    fn stopped(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

/// A provider, and the folder that is its root.
pub struct Site {
    pub drive: LocalDrive,
    pub temp: TempDir,
    pub root: String,
}

pub async fn site() -> Site {
    site_with(Settings::default()).await
}

pub async fn site_with(settings: Settings) -> Site {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("root");
    std::fs::create_dir(&root).unwrap();
    let root = root.to_str().unwrap().to_owned();
    let drive = drive("artist", settings).await;
    drive.open_root(&root, settings).await.unwrap();
    Site { drive, temp, root }
}

pub async fn drive(site: &str, settings: Settings) -> LocalDrive {
    LocalDrive::connect(settings, Host::new(Services(site.into()))).await.unwrap()
}

impl Site {
    pub fn path(&self, path: &str) -> PathBuf {
        Path::new(&self.root).join(path)
    }

    pub fn at<'a>(&'a self, path: &'a str) -> At<'a> {
        At::new(&self.root, path)
    }

    /// Puts a file there behind the provider's back.
    pub fn put(&self, path: &str, bytes: &[u8]) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub async fn open_root(&self) -> Result<RootInfo> {
        self.drive.open_root(&self.root, Settings::default()).await
    }

    pub async fn version(&self, path: &str) -> String {
        self.drive.stat(self.at(path)).await.unwrap().version.unwrap()
    }

    pub async fn begin(&self, path: &str, how: WriteOptions) -> Result<Writer> {
        self.drive.open_write(self.at(path), how).await
    }

    pub async fn write(&self, path: &str, bytes: &[u8], expect: Expect) -> Result<Metadata> {
        let mut writer = self.begin(path, WriteOptions::new(bytes.len() as u64, expect)).await?;
        writer.write(Bytes::copy_from_slice(bytes)).await?;
        writer.finish().await
    }

    pub async fn read(&self, path: &str, how: ReadOptions) -> Result<Vec<u8>> {
        let mut reader = self.drive.open_read(self.at(path), how).await?;
        let mut all = Vec::new();
        loop {
            let bytes = reader.read(1 << 20).await?;
            if bytes.is_empty() {
                return Ok(all);
            }
            all.extend_from_slice(&bytes);
        }
    }

    pub async fn copy(&self, from: &str, to: &str) -> Result<Copied> {
        let copy = Copy::new(self.at(from), self.at(to), Expect::Nothing);
        self.drive.server_copy(&[copy], &Op::unbound()).await.remove(0)
    }

    pub async fn list(&self, path: &str, recursive: bool) -> Result<Vec<Page>> {
        let mut lister = self.drive.list(self.at(path), recursive).await?;
        let mut all = Vec::new();
        while let Some(pages) = lister.next().await? {
            all.extend(pages);
        }
        Ok(all)
    }

    /// Everything that lies under the root, ours included; sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut todo = vec![PathBuf::from(&self.root)];
        while let Some(folder) = todo.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                names.push(path.strip_prefix(&self.root).unwrap().to_string_lossy().into_owned());
                if path.is_dir() && !path.is_symlink() {
                    todo.push(path);
                }
            }
        }
        names.sort();
        names
    }
}

#[track_caller]
pub fn kind<T: std::fmt::Debug>(answer: Result<T>) -> ErrorKind {
    match answer {
        Ok(value) => panic!("an error was expected, not {value:?}"),
        Err(error) => error.kind(),
    }
}

#[track_caller]
pub fn error<T: std::fmt::Debug>(answer: Result<T>) -> Error {
    answer.expect_err("an error was expected")
}

/// A small disk of its own; unmounted in the end. `None`, with a printed reason, where the test
/// may not mount.
pub struct Mounted(pub PathBuf);

impl Mounted {
    pub fn tmpfs(at: &Path, options: &str) -> Option<Self> {
        Mounted::run(at, &["-t", "tmpfs", "-o", options, "tmpfs"])
    }

    pub fn read_only(at: &Path) -> Option<Self> {
        let bound = Mounted::run(at, &["--bind", at.to_str().unwrap()])?;
        let again = ["-o", "remount,bind,ro"];
        let done = Command::new("mount").args(again).arg(at).status().unwrap().success();
        done.then_some(bound)
    }

    fn run(at: &Path, args: &[&str]) -> Option<Self> {
        let output = Command::new("mount").args(args).arg(at).output();
        match output {
            Ok(output) if output.status.success() => Some(Mounted(at.to_owned())),
            other => {
                println!("skipped: this test may not mount ({other:?})");
                None
            }
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
