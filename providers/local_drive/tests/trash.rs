//! The trash of a mounted disk.

mod common;

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Mounted, Site, kind, site};
use sitesync_provider::{
    At, Bytes, Copy, DeleteOptions, ErrorKind, Expect, Metadata, Op, Provider, Result,
    WriteOptions, WriteStream,
};

async fn replace(site: &Site, path: &str, bytes: &[u8]) -> Result<Metadata> {
    let expect = Expect::Version(site.version(path).await);
    let how = WriteOptions::new(bytes.len() as u64, expect).keep_replaced(true);
    let mut writer = site.begin(path, how).await?;
    writer.write(Bytes::copy_from_slice(bytes)).await?;
    writer.finish().await
}

/// Where the trash has a file, and what.
fn trashed(site: &Site, path: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(filled) = std::fs::read_dir(site.path(".sitesync/trash")) else { return Vec::new() };
    let places = filled.map(|entry| entry.unwrap().path().join(path));
    places.filter_map(|place| Some((place.clone(), std::fs::read(place).ok()?))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_replaced_is_the_same_file_in_the_trash() {
    let site = site().await;
    site.put("a/b", b"old");
    let before = std::fs::metadata(site.path("a/b")).unwrap();
    replace(&site, "a/b", b"new").await.unwrap();
    assert_eq!(std::fs::read(site.path("a/b")).unwrap(), b"new");
    let (place, content) = trashed(&site, "a/b").pop().unwrap();
    let after = std::fs::metadata(place).unwrap();
    assert_eq!(content, b"old");
    assert_eq!((after.ino(), after.mtime_nsec()), (before.ino(), before.mtime_nsec()));
    assert_eq!(after.nlink(), 1);
    site.drive.flush(&[&site.root]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_closed_to_others_stays_so() {
    let site = site().await;
    site.put("closed/deep/file", b"old");
    std::fs::set_permissions(site.path("closed"), Permissions::from_mode(0o700)).unwrap();
    std::fs::set_permissions(site.path("closed/deep"), Permissions::from_mode(0o750)).unwrap();
    replace(&site, "closed/deep/file", b"new").await.unwrap();
    let (place, _) = trashed(&site, "closed/deep/file").pop().unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().mode() & 0o007;
    let deep = place.parent().unwrap();
    assert_eq!((mode(deep), mode(deep.parent().unwrap())), (0, 0));
}

/// A disk that is mounted beneath the root is another than the trash's: it is copied.
#[tokio::test(flavor = "multi_thread")]
async fn what_lies_on_another_disk_is_copied() {
    let site = site().await;
    std::fs::create_dir(site.path("disk")).unwrap();
    let Some(_mounted) = Mounted::tmpfs(&site.path("disk"), "size=8m") else { return };
    let old: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    site.put("disk/file", &old);
    let mtime = std::fs::metadata(site.path("disk/file")).unwrap().modified().unwrap();
    replace(&site, "disk/file", b"new").await.unwrap();
    assert_eq!(std::fs::read(site.path("disk/file")).unwrap(), b"new");
    let (place, content) = trashed(&site, "disk/file").pop().unwrap();
    assert!(content == old);
    assert_eq!(std::fs::metadata(place).unwrap().modified().unwrap(), mtime);

    let wrong = DeleteOptions::if_version("wrong").to_trash(true);
    assert_eq!(kind(site.drive.delete(site.at("disk/file"), wrong).await), ErrorKind::Precondition);
    let how = DeleteOptions::if_version(site.version("disk/file").await).to_trash(true);
    site.drive.delete(site.at("disk/file"), how).await.unwrap();
    assert!(!site.path("disk/file").exists());
    let kept = trashed(&site, "disk/file");
    assert!(kept.iter().any(|(_, content)| content == b"new"), "{kept:?}");
    assert_eq!(kept.len(), 2);
    assert_eq!(std::fs::read_dir(site.path("disk")).unwrap().count(), 0);
}

/// One folder of the trash takes a whole batch; a name that comes again takes another.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_shares_a_folder() {
    let site = site().await;
    let paths: Vec<(String, String)> =
        (0..50).map(|n| (format!("from/{n}"), format!("to/{n}"))).collect();
    for round in 0..3 {
        let mut versions = Vec::new();
        for (from, to) in &paths {
            site.put(from, format!("{round}").as_bytes());
            if round == 0 {
                site.put(to, b"first");
            }
            versions.push(site.version(to).await);
        }
        let copies: Vec<Copy<'_>> = paths
            .iter()
            .zip(versions)
            .map(|((from, to), version)| {
                let (from, to) = (At::new(&site.root, from), At::new(&site.root, to));
                Copy::new(from, to, Expect::Version(version)).keep_replaced(true)
            })
            .collect();
        for copied in site.drive.server_copy(&copies, &Op::unbound()).await {
            copied.unwrap();
        }
    }
    for (_, to) in &paths {
        assert_eq!(trashed(&site, to).len(), 3, "{to}");
    }
}

/// Stops a thread, also where the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Removes the folders that are empty, as a host does that tidies up.
fn remove_empty(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove_empty(&entry.path());
            let _ = std::fs::remove_dir(entry.path());
        }
    }
}

#[test]
fn empty_folders_are_removed_meanwhile() {
    const TIMES: usize = 200;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let site = runtime.block_on(site());
    let over = AtomicBool::new(false);
    let done = std::thread::scope(|scope| {
        let _over = Over(&over);
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                remove_empty(&site.path(".sitesync/trash"));
            }
        });
        runtime.block_on(async {
            site.put("a/b/c", b"0");
            let mut done = 0;
            for n in 1..TIMES {
                match replace(&site, "a/b/c", n.to_string().as_bytes()).await {
                    Ok(_) => done += 1,
                    // No folder stayed for long enough: nothing was done.
                    Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}"),
                }
            }
            done
        })
    });
    assert!(done > 0);
    assert_eq!(trashed(&site, "a/b/c").len(), done);
    assert_eq!(std::fs::read_dir(site.path("a/b")).unwrap().count(), 1);
}
