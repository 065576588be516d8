//! Listing, and what a root says of itself.

mod common;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use common::{Mounted, drive, error, kind, site, site_with};
use local_drive::{Settings, Symlinks};
use sitesync_provider::{
    End, ErrorKind, Expect, Kind, ListStream, Provider, WriteOptions, WriteStream,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_large_folder_comes_in_pages_in_a_row() {
    let site = site().await;
    for n in 0..10_000 {
        std::fs::write(site.path(&format!("{n:05}")), b"x").unwrap();
        if n % 500 == 0 {
            site.put(&format!("sub{n}/deeper/f"), b"x");
        }
    }
    let pages = site.list("", true).await.unwrap();
    let (mut closed, mut open) = (BTreeSet::new(), None::<String>);
    let mut names = BTreeSet::new();
    let mut announced = BTreeSet::from([String::new()]);
    for page in &pages {
        assert!(page.entries.len() <= 1000);
        assert!(announced.contains(&page.folder), "a parent comes before {:?}", page.folder);
        assert!(!closed.contains(&page.folder));
        assert!(open.as_ref().is_none_or(|open| *open == page.folder), "pages in a row");
        match &page.end {
            End::More => open = Some(page.folder.clone()),
            End::Complete => {
                open = None;
                closed.insert(page.folder.clone());
            }
            other => panic!("{other:?}"),
        }
        for entry in &page.entries {
            let path = sitesync_provider::join(&page.folder, &entry.name);
            if entry.metadata.kind == Kind::Folder {
                announced.insert(path.clone());
            }
            assert!(names.insert(path));
        }
    }
    assert_eq!(names.len(), 10_000 + 20 * 3);
    assert_eq!(closed, announced);
    let flat = site.list("", false).await.unwrap();
    assert_eq!(flat.iter().map(|page| page.entries.len()).sum::<usize>(), 10_020);
    assert!(flat.iter().all(|page| page.folder.is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn listing_and_stat_agree() {
    let site = site().await;
    site.put("a/f", b"abc");
    let pages = site.list("a", false).await.unwrap();
    let listed = &pages[0].entries[0].metadata;
    assert_eq!(*listed, site.drive.stat(site.at("a/f")).await.unwrap());
    assert_eq!(kind(site.list("missing", true).await.map(|_| ())), ErrorKind::NotFound);
    assert_eq!(kind(site.list("a/f", true).await.map(|_| ())), ErrorKind::InvalidPath);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_travel_is_named_with_the_reason() {
    let site = site().await;
    std::fs::write(site.path("").join(OsStr::from_bytes(b"bad\xff")), b"x").unwrap();
    let status = std::process::Command::new("mkfifo").arg(site.path("pipe")).status().unwrap();
    assert!(status.success());
    let _socket = std::os::unix::net::UnixListener::bind(site.path("socket")).unwrap();
    symlink("pipe", site.path("link")).unwrap();
    site.put(".sitesync/root.json", b"{}");
    site.put(".sitesync-artist-0123456789abcdef-1.tmp", b"x");
    site.put(".sitesync_notes", b"x");
    site.put("deep/.sitesync.bak", b"x");
    let pages = site.list("", true).await.unwrap();
    let mut found: Vec<_> = pages
        .iter()
        .flat_map(|page| &page.entries)
        .map(|entry| (entry.name.clone(), entry.skipped.clone().unwrap_or_default()))
        .collect();
    found.sort();
    let reserved = "a name that begins as those of sitesync do";
    let wanted = [
        (".sitesync.bak", reserved),
        (".sitesync_notes", reserved),
        ("bad\u{fffd}", "a name that is not UTF-8"),
        ("deep", ""),
        ("link", "a symbolic link"),
        ("pipe", "a pipe"),
        ("socket", "a socket"),
    ];
    assert_eq!(found, wanted.map(|(name, why)| (name.to_owned(), why.to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn followed_links_end() {
    let site = site_with(Settings::default().symlinks(Symlinks::Follow)).await;
    site.put("a/f", b"x");
    site.put("b/g", b"x");
    symlink("../b", site.path("a/to-b")).unwrap();
    symlink("../a", site.path("b/to-a")).unwrap();
    symlink(".", site.path("self")).unwrap();
    symlink("/etc", site.path("out")).unwrap();
    symlink("nowhere", site.path("dangling")).unwrap();
    symlink("a/f", site.path("file")).unwrap();
    let pages = site.list("", true).await.unwrap();
    let mut found: Vec<_> = pages
        .iter()
        .flat_map(|page| {
            page.entries.iter().map(|e| (sitesync_provider::join(&page.folder, &e.name), e))
        })
        .map(|(path, entry)| (path, entry.skipped.is_some()))
        .collect();
    found.sort();
    let wanted = [
        ("a", false),
        ("a/f", false),
        ("a/to-b", false),
        ("a/to-b/g", false),
        ("a/to-b/to-a", true),
        ("b", false),
        ("b/g", false),
        ("b/to-a", false),
        ("b/to-a/f", false),
        ("b/to-a/to-b", true),
        ("dangling", true),
        ("file", false),
        ("out", true),
        ("self", true),
    ];
    assert_eq!(found, wanted.map(|(path, skipped)| (path.to_owned(), skipped)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lister_that_is_dropped_ends() {
    let site = site().await;
    for n in 0..20_000 {
        site.put(&format!("{}/{n}", n % 200), b"");
    }
    let mut lister = site.drive.list(site.at(""), true).await.unwrap();
    assert!(lister.next().await.unwrap().is_some());
    drop(lister);
    // The runtime waits for its blocking threads when the test ends: it would hang there.
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_root_says_why() {
    let site = site().await;
    site.put("file", b"x");
    for (root, why) in [
        (format!("{}/missing", site.root), "no such folder"),
        (format!("{}/file", site.root), "it is a file"),
        ("relative/path".to_owned(), "not an absolute path"),
    ] {
        let error = error(site.drive.open_root(&root, Settings::default()).await);
        assert_eq!(error.kind(), ErrorKind::RootUnavailable);
        assert!(error.message().contains(why), "{error}");
        let error = self::error(site.drive.stat(sitesync_provider::At::new(&root, "x")).await);
        assert_eq!(error.kind(), ErrorKind::RootUnavailable);
    }
    assert!(!site.path("missing").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_tells_what_it_is() {
    let site = site().await;
    let info = site.open_root().await.unwrap();
    assert!(info.can.server_copy && info.can.flush && info.can.recursive_list && info.can.trash);
    assert_eq!(info.names.longest_name, Some(255));
    assert_eq!(info.local_path.as_deref(), Some(site.root.as_str()));
    assert!(info.free.is_some() && !info.storage_id.is_empty() && !info.network);
    std::fs::create_dir(site.path("other")).unwrap();
    let other = site.path("other");
    let there = other.to_str().unwrap();
    let second = site.drive.open_root(there, Settings::default()).await.unwrap();
    assert_eq!(second.storage_id, info.storage_id);
    assert_ne!(second.root_id, info.root_id);
    let again = drive("else", Settings::default()).await;
    let again = again.open_root(&site.root, Settings::default()).await.unwrap();
    assert_eq!((again.storage_id, again.root_id), (info.storage_id.clone(), info.root_id));
    let Some(_mount) = Mounted::tmpfs(&other, "size=1m") else { return };
    let mounted = site.drive.open_root(there, Settings::default()).await.unwrap();
    assert!(mounted.mount_point && mounted.label == "tmpfs", "{mounted:?}");
    assert_ne!(mounted.storage_id, info.storage_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_root_is_noticed() {
    let site = site().await;
    let first = site.open_root().await.unwrap();
    site.write("f", b"x", Expect::Nothing).await.unwrap();
    let writer = site.begin("g", WriteOptions::new(0, Expect::Nothing)).await.unwrap();
    std::fs::rename(&site.root, site.temp.path().join("away")).unwrap();
    assert_eq!(kind(site.open_root().await), ErrorKind::RootUnavailable);
    std::fs::create_dir(&site.root).unwrap();
    let second = site.open_root().await.unwrap();
    assert_ne!(first.root_id, second.root_id);
    let late = writer.finish().await;
    assert!(matches!(kind(late), ErrorKind::RootUnavailable | ErrorKind::Precondition));
    assert!(site.names().is_empty());
    // `f` was never made durable, and is not in this root: once, the barrier says so.
    assert_eq!(kind(site.drive.flush(&[&site.root]).await), ErrorKind::Interrupted);
    site.drive.flush(&[&site.root]).await.unwrap();
}

#[test]
fn settings_refuse_what_they_do_not_know() {
    let parse = serde_json::from_str::<Settings>;
    assert_eq!(parse("{}").unwrap(), Settings::default());
    assert!(parse(r#"{"permissions":"keep","symlinks":"follow"}"#).is_ok());
    assert!(parse(r#"{"permission":"keep"}"#).is_err());
    assert!(parse(r#"{"symlinks":"copy"}"#).is_err());
    let schema = sitesync_provider::Description::of::<local_drive::LocalDrive>().settings;
    assert_eq!(schema["properties"]["symlinks"]["x-part"], "site");
    assert_eq!(schema["properties"]["permissions"]["x-part"], "site");
}
