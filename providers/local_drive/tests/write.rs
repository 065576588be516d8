//! Writing, replacing, deleting: nothing half-written is seen, nothing unexpected is replaced.

mod common;

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::Arc;
use std::time::Duration;

use common::{Mounted, drive, kind, site, site_with};
use local_drive::{Permissions, Settings};
use sitesync_provider::{
    Bytes, DeleteOptions, ErrorKind, Expect, Kind, Op, Provider, ReadOptions, ReadStream,
    SweepOptions, Watch, WriteOptions, WriteStream,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_visible_only_when_finished() {
    let site = site().await;
    let how = WriteOptions::new(6, Expect::Nothing).mtime_ns(Some(1_234_567_890_123_456_789));
    let mut writer = site.begin("a/b/c.txt", how).await.unwrap();
    writer.write(Bytes::from_static(b"abc")).await.unwrap();
    assert!(!site.path("a/b/c.txt").exists());
    writer.write(Bytes::from_static(b"def")).await.unwrap();
    let done = writer.finish().await.unwrap();
    assert_eq!((done.kind, done.size), (Kind::File, 6));
    assert_eq!(done.mtime_ns, Some(1_234_567_890_123_456_789));
    assert_eq!(done.version.as_ref(), Some(&site.version("a/b/c.txt").await));
    assert_eq!(site.names(), ["a", "a/b", "a/b/c.txt"]);
    assert_eq!(site.read("a/b/c.txt", ReadOptions::new()).await.unwrap(), b"abcdef");
    let part = ReadOptions::new().range(2, Some(3)).if_version(done.version.unwrap());
    assert_eq!(site.read("a/b/c.txt", part).await.unwrap(), b"cde");
    let other = ReadOptions::new().if_version("other");
    assert_eq!(kind(site.read("a/b/c.txt", other).await), ErrorKind::Precondition);
    site.drive.flush(&[&site.root]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn expectations() {
    let site = site().await;
    let first = site.write("f", b"one", Expect::Nothing).await.unwrap().version.unwrap();
    assert_eq!(kind(site.write("f", b"two", Expect::Nothing).await), ErrorKind::AlreadyExists);
    let wrong = Expect::Version("wrong".into());
    assert_eq!(kind(site.write("f", b"two", wrong.clone()).await), ErrorKind::Precondition);
    assert_eq!(kind(site.write("gone", b"two", wrong.clone()).await), ErrorKind::NotFound);
    site.write("f", b"two", Expect::Version(first.clone())).await.unwrap();
    assert_eq!(kind(site.write("f", b"3", Expect::Version(first)).await), ErrorKind::Precondition);
    std::fs::create_dir(site.path("folder")).unwrap();
    assert_eq!(kind(site.write("folder", b"x", Expect::Nothing).await), ErrorKind::InvalidPath);
    assert_eq!(kind(site.write("folder", b"x", wrong).await), ErrorKind::InvalidPath);
    assert_eq!(kind(site.write("f/under", b"x", Expect::Nothing).await), ErrorKind::InvalidPath);
    assert_eq!(std::fs::read(site.path("f")).unwrap(), b"two");
    assert_eq!(site.names(), ["f", "folder"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_changes_while_it_is_written_stays() {
    let site = site().await;
    site.put("f", b"one");
    let version = site.version("f").await;
    let mut writer = site.begin("f", WriteOptions::new(3, Expect::Version(version))).await.unwrap();
    let mut fresh = site.begin("new", WriteOptions::new(3, Expect::Nothing)).await.unwrap();
    writer.write(Bytes::from_static(b"two")).await.unwrap();
    fresh.write(Bytes::from_static(b"two")).await.unwrap();
    site.put("f", b"user");
    site.put("new", b"user");
    assert_eq!(kind(writer.finish().await), ErrorKind::Precondition);
    assert_eq!(kind(fresh.finish().await), ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read(site.path("f")).unwrap(), b"user");
    assert_eq!(std::fs::read(site.path("new")).unwrap(), b"user");
    assert_eq!(site.names(), ["f", "new"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_writers_one_wins() {
    let site = Arc::new(site().await);
    for round in 0..20 {
        let name = format!("deep/{round}/file");
        let tasks: Vec<_> = (0..8)
            .map(|n| {
                let (site, name) = (site.clone(), name.clone());
                let bytes = vec![b'0' + n; 1000];
                tokio::spawn(async move { site.write(&name, &bytes, Expect::Nothing).await })
            })
            .collect();
        let mut won = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(_) => won += 1,
                Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists),
            }
        }
        assert_eq!(won, 1);
        let bytes = std::fs::read(site.path(&name)).unwrap();
        assert!(bytes.len() == 1000 && bytes.iter().all(|byte| *byte == bytes[0]));
    }
    assert!(!site.names().iter().any(|name| name.contains(".sitesync")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_count_of_bytes_is_refused() {
    let site = site().await;
    let mut short = site.begin("f", WriteOptions::new(10, Expect::Nothing)).await.unwrap();
    short.write(Bytes::from_static(b"abc")).await.unwrap();
    assert_eq!(kind(short.finish().await), ErrorKind::Corrupt);
    let mut long = site.begin("f", WriteOptions::new(2, Expect::Nothing)).await.unwrap();
    assert_eq!(kind(long.write(Bytes::from_static(b"abc")).await), ErrorKind::Corrupt);
    drop(long);
    assert!(site.names().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cancelled_leaves_nothing() {
    let site = site().await;
    let watch = Arc::new(Watch::default());
    let how = WriteOptions::new(3, Expect::Nothing).op(Op::new(watch.clone()));
    let mut writer = site.begin("f", how).await.unwrap();
    writer.write(Bytes::from_static(b"abc")).await.unwrap();
    watch.cancel();
    assert_eq!(kind(writer.finish().await), ErrorKind::Cancelled);
    let dropped = site.begin("g", WriteOptions::new(3, Expect::Nothing)).await.unwrap();
    drop(dropped);
    let discarded = site.begin("h", WriteOptions::new(3, Expect::Nothing)).await.unwrap();
    discarded.discard().await.unwrap();
    assert!(site.names().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_goes_on_where_it_was_cut_off() {
    let site = site().await;
    let mut writer = site.begin("d/f", WriteOptions::new(9, Expect::Nothing)).await.unwrap();
    assert_eq!(writer.checkpoint().await.unwrap(), None);
    writer.write(Bytes::from_static(b"abc")).await.unwrap();
    let token = writer.checkpoint().await.unwrap().unwrap();
    writer.write(Bytes::from_static(b"lost")).await.unwrap();
    let again = WriteOptions::new(9, Expect::Nothing).resume(Some(token.clone()));
    let busy = site.begin("d/f", again.clone()).await.unwrap();
    assert_eq!(busy.offset(), 0, "someone is writing there still");
    drop((writer, busy));
    let kept = site.drive.sweep(&site.root, SweepOptions::new(vec![token.clone()], Duration::ZERO));
    assert_eq!(kept.await.unwrap().count, 0);
    for bad in [&b"rubbish"[..], b"1 9 9 0 .sitesync-other", b"1 99 9 0 ../../x", b"\xff"] {
        let how = WriteOptions::new(9, Expect::Nothing).resume(Some(bad.to_vec()));
        assert_eq!(site.begin("d/f", how).await.unwrap().offset(), 0);
    }
    let other_size = WriteOptions::new(8, Expect::Nothing).resume(Some(token));
    assert_eq!(site.begin("d/f", other_size).await.unwrap().offset(), 0);
    let mut writer = site.begin("d/f", again.clone()).await.unwrap();
    assert_eq!(writer.offset(), 3);
    writer.write(Bytes::from_static(b"defghi")).await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!(std::fs::read(site.path("d/f")).unwrap(), b"abcdefghi");
    assert_eq!(site.names(), ["d", "d/f"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn permissions() {
    let mode = |path: std::path::PathBuf| std::fs::metadata(path).unwrap().permissions().mode();
    for (settings, source, wanted) in [
        (Settings::default(), 0o640, 0o644),
        (Settings::default(), 0o6755, 0o755),
        (Settings::default().permissions(Permissions::Keep), 0o640, 0o640),
        (Settings::default().permissions(Permissions::Keep), 0o7755, 0o755),
        (Settings::default().permissions(Permissions::Keep), 0o000, 0o000),
    ] {
        let site = site_with(settings).await;
        site.put("src", b"x");
        site.put("umask", b"x");
        if mode(site.path("umask")) & 0o777 != 0o644 {
            println!("skipped: another umask than 022");
            return;
        }
        std::fs::set_permissions(site.path("src"), PermissionsExt::from_mode(source)).unwrap();
        let copied = site.copy("src", "copy").await;
        if copied.is_ok() || source != 0 {
            assert_eq!(copied.unwrap().destination.mode, Some(wanted));
            assert_eq!(mode(site.path("copy")) & 0o7777, wanted);
        }
        let how = WriteOptions::new(0, Expect::Nothing).mode(Some(source));
        site.begin("stream", how).await.unwrap().finish().await.unwrap();
        assert_eq!(mode(site.path("stream")) & 0o7777, wanted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_at_the_limits() {
    let site = site().await;
    let longest = "n".repeat(255);
    site.write(&longest, b"x", Expect::Nothing).await.unwrap();
    let longer = "n".repeat(256);
    assert_eq!(kind(site.write(&longer, b"x", Expect::Nothing).await), ErrorKind::InvalidPath);
    // Longer than the kernel takes in one call, twice over.
    let deep = vec!["folder-with-a-name"; 450].join("/") + "/file";
    assert!(deep.len() > 8000);
    site.write(&deep, b"deep", Expect::Nothing).await.unwrap();
    assert_eq!(site.read(&deep, ReadOptions::new()).await.unwrap(), b"deep");
    let copy = format!("{deep}-copy");
    site.copy(&deep, &copy).await.unwrap();
    assert_eq!(site.drive.stat(site.at(&copy)).await.unwrap().size, 4);
    let found: usize =
        site.list("", true).await.unwrap().iter().map(|page| page.entries.len()).sum();
    assert_eq!(found, 1 + 450 + 2);
    for name in ["new\nline", "quote\"'", "\u{1f}", "ü", "u\u{308}", " ", "-rf"] {
        site.write(name, b"x", Expect::Nothing).await.unwrap();
    }
    for bad in ["../x", "a/../../x", "/etc/passwd", "a//b", "."] {
        assert_eq!(kind(site.write(bad, b"x", Expect::Nothing).await), ErrorKind::InvalidPath);
        assert_eq!(kind(site.drive.stat(site.at(bad)).await), ErrorKind::InvalidPath);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaves_the_root() {
    for settings in
        [Settings::default(), Settings::default().symlinks(local_drive::Symlinks::Follow)]
    {
        let site = site_with(settings).await;
        let outside = site.temp.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("secret"), b"secret").unwrap();
        symlink("../outside", site.path("up")).unwrap();
        symlink(&outside, site.path("absolute")).unwrap();
        symlink("../outside/secret", site.path("file")).unwrap();
        symlink("loop", site.path("loop")).unwrap();
        for path in ["up/secret", "absolute/secret", "file", "loop"] {
            assert_eq!(kind(site.read(path, ReadOptions::new()).await), ErrorKind::InvalidPath);
            assert_eq!(kind(site.copy(path, "stolen").await), ErrorKind::InvalidPath, "{path}");
        }
        for path in ["up/new", "absolute/new", "up/deep/er/new", "loop/new"] {
            assert_eq!(kind(site.write(path, b"x", Expect::Nothing).await), ErrorKind::InvalidPath);
            let made = site.drive.create_folder(site.at(path)).await;
            assert_eq!(kind(made), ErrorKind::InvalidPath, "{path}");
        }
        for path in ["up/secret", "absolute/secret"] {
            let gone = site.drive.delete(site.at(path), DeleteOptions::default()).await;
            assert_eq!(kind(gone), ErrorKind::InvalidPath);
            let moved = site.drive.rename(site.at(path), site.at("mine")).await;
            assert_eq!(kind(moved), ErrorKind::InvalidPath);
        }
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
        assert_eq!(site.names(), ["absolute", "file", "loop", "up"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_followed_within_the_root_only_if_asked() {
    for follow in [false, true] {
        let mut settings = Settings::default();
        if follow {
            settings = settings.symlinks(local_drive::Symlinks::Follow);
        }
        let site = site_with(settings).await;
        site.put("real/f", b"x");
        symlink("real", site.path("link")).unwrap();
        symlink("../real/f", site.path("real/g")).unwrap();
        for path in ["link/f", "real/g"] {
            let read = site.read(path, ReadOptions::new()).await;
            assert_eq!(read.is_ok(), follow, "{path}");
            assert_eq!(site.copy(path, &format!("copy/{path}")).await.is_ok(), follow);
        }
        let written = site.write("link/new", b"x", Expect::Nothing).await;
        assert_eq!((written.is_ok(), site.path("real/new").exists()), (follow, follow));
        // A link itself is never replaced.
        let version = site.version("real/g").await;
        let replaced = site.write("real/g", b"y", Expect::Version(version)).await;
        assert_eq!(kind(replaced), ErrorKind::InvalidPath);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_moved_away_is_not_written_to() {
    let site = site().await;
    site.put("a/there", b"x");
    let mut writer = site.begin("a/f", WriteOptions::new(1, Expect::Nothing)).await.unwrap();
    writer.write(Bytes::from_static(b"x")).await.unwrap();
    std::fs::rename(site.path("a"), site.temp.path().join("away")).unwrap();
    std::fs::write(site.path("a"), b"a file now").unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(kind(writer.finish().await), ErrorKind::Precondition);
    assert_eq!(std::fs::read_dir(site.temp.path().join("away")).unwrap().count(), 1);
    assert_eq!(kind(site.drive.stat(site.at("a/f")).await), ErrorKind::NotFound);
    assert_eq!(kind(site.write("a/f", b"x", Expect::Nothing).await), ErrorKind::InvalidPath);
}

#[tokio::test(flavor = "multi_thread")]
async fn pipes_and_sockets_neither_block_nor_open() {
    let site = site().await;
    let made = std::process::Command::new("mkfifo").arg(site.path("pipe")).status().unwrap();
    assert!(made.success());
    let _socket = std::os::unix::net::UnixListener::bind(site.path("socket")).unwrap();
    symlink("/dev/zero", site.path("device")).unwrap();
    for name in ["pipe", "socket", "device", ""] {
        assert_eq!(kind(site.read(name, ReadOptions::new()).await), ErrorKind::InvalidPath);
        assert_eq!(kind(site.copy(name, "copy").await), ErrorKind::InvalidPath);
    }
    assert_eq!(site.drive.stat(site.at("pipe")).await.unwrap().kind, Kind::Other);
    let taken = site.write("pipe", b"x", Expect::Nothing).await;
    assert_eq!(kind(taken), ErrorKind::AlreadyExists);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_and_renaming() {
    let site = site().await;
    let version = site.write("d/f", b"one", Expect::Nothing).await.unwrap().version.unwrap();
    let wrong = DeleteOptions::if_version("wrong");
    assert_eq!(kind(site.drive.delete(site.at("d/f"), wrong).await), ErrorKind::Precondition);
    assert_eq!(kind(site.drive.remove_folder(site.at("d")).await), ErrorKind::Precondition);
    site.drive.delete(site.at("d/f"), DeleteOptions::if_version(version)).await.unwrap();
    let gone = site.drive.delete(site.at("d/f"), DeleteOptions::default()).await;
    assert_eq!(kind(gone), ErrorKind::NotFound);
    site.drive.remove_folder(site.at("d")).await.unwrap();
    assert!(site.names().is_empty());
    site.put("a", b"a");
    site.put("b", b"b");
    let taken = site.drive.rename(site.at("a"), site.at("b")).await;
    assert_eq!(kind(taken), ErrorKind::AlreadyExists);
    let moved = site.drive.rename(site.at("a"), site.at("new/c")).await.unwrap();
    assert_eq!(moved.version, Some(site.version("new/c").await));
    assert_eq!(site.names(), ["b", "new", "new/c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sweeping() {
    let site = site().await;
    let open = site.begin("a/f", WriteOptions::new(3, Expect::Nothing)).await.unwrap();
    site.put("a/.sitesync-artist-0123456789abcdef-1.tmp", b"12345");
    site.put(".sitesync/.sitesync-artist-0123456789abcdef-2.tmp", b"12345");
    site.put("a/.sitesync-other-0123456789abcdef-1.tmp", b"12345");
    site.put("a/.sitesync-notes.txt", b"mine");
    site.put(".sitesync/root.json", b"{}");
    let young = SweepOptions::new(Vec::new(), Duration::from_secs(3600));
    let swept = site.drive.sweep(&site.root, young).await.unwrap();
    assert_eq!((swept.count, swept.bytes), (2, 10));
    let all = SweepOptions::new(Vec::new(), Duration::ZERO);
    assert_eq!(site.drive.sweep(&site.root, all).await.unwrap().count, 1);
    drop(open);
    let left = [".sitesync", ".sitesync/root.json", "a", "a/.sitesync-notes.txt"];
    assert_eq!(site.names(), left);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_says_so_and_keeps_nothing() {
    let site = site().await;
    std::fs::create_dir(site.path("small")).unwrap();
    let Some(_mount) = Mounted::tmpfs(&site.path("small"), "size=1m") else { return };
    let big = vec![7; 4 << 20];
    assert_eq!(kind(site.write("small/f", &big, Expect::Nothing).await), ErrorKind::StorageFull);
    site.put("big", &big);
    assert_eq!(kind(site.copy("big", "small/g").await), ErrorKind::StorageFull);
    assert_eq!(std::fs::read_dir(site.path("small")).unwrap().count(), 0);
    // A disk mounted deeper is written to, listed and flushed as well.
    site.write("small/ok", b"x", Expect::Nothing).await.unwrap();
    site.drive.flush(&[&site.root]).await.unwrap();
    assert_eq!(site.list("small", false).await.unwrap()[0].entries.len(), 1);
    let moved = site.drive.rename(site.at("small/ok"), site.at("ok")).await;
    assert_eq!(kind(moved), ErrorKind::InvalidPath);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_disk_refuses() {
    let site = site().await;
    site.put("f", b"x");
    let Some(_mount) = Mounted::read_only(std::path::Path::new(&site.root)) else { return };
    // The root that is held is the one beneath the mount: the health check sees no difference.
    let drive = drive("artist", Settings::default()).await;
    let at = site.at("g");
    let answer = drive.open_write(at, WriteOptions::new(1, Expect::Nothing)).await;
    assert_eq!(kind(answer), ErrorKind::ReadOnly);
    let gone = drive.delete(site.at("f"), DeleteOptions::default()).await;
    assert_eq!(kind(gone), ErrorKind::ReadOnly);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_shrinks_is_no_end() {
    let site = site().await;
    site.put("f", &vec![1; 3 << 20]);
    let mut reader = site.drive.open_read(site.at("f"), ReadOptions::new()).await.unwrap();
    assert_eq!(reader.read(1 << 20).await.unwrap().len(), 1 << 20);
    std::fs::write(site.path("f"), b"short").unwrap();
    assert_eq!(kind(reader.read(1 << 20).await), ErrorKind::Precondition);
}

#[tokio::test(flavor = "multi_thread")]
async fn hard_links_are_broken_by_replacing() {
    let site = site().await;
    site.put("one", b"same");
    std::fs::hard_link(site.path("one"), site.path("two")).unwrap();
    let version = site.version("two").await;
    site.write("two", b"other", Expect::Version(version)).await.unwrap();
    assert_eq!(std::fs::read(site.path("one")).unwrap(), b"same");
    assert_eq!(std::fs::metadata(site.path("one")).unwrap().nlink(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn barriers_of_the_same_roots_do_not_wait_for_each_other() {
    let site = Arc::new(site().await);
    std::fs::create_dir(site.path("other")).unwrap();
    let other = site.path("other").to_str().unwrap().to_owned();
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let (site, other) = (site.clone(), other.clone());
            tokio::spawn(async move {
                for round in 0..5 {
                    let name = format!("{n}/{round}");
                    site.write(&name, b"x", Expect::Nothing).await.unwrap();
                    let (a, b) = (site.root.as_str(), other.as_str());
                    let roots = if n % 2 == 0 { [a, b, a] } else { [b, a, b] };
                    site.drive.flush(&roots).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}
