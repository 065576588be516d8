//! Copying within the instance.

mod common;

use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{kind, site};
use sitesync_provider::{
    At, Copy, ErrorKind, Expect, Known, Op, OpServices, Provider, ReadOptions, Watch,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_answers_each_file() {
    let site = site().await;
    for (n, size) in [0, 1, 131_072, 131_073, 1 << 20, (9 << 20) + 7].into_iter().enumerate() {
        let bytes: Vec<u8> = (0..size).map(|i| (i * 31 + n) as u8).collect();
        site.put(&format!("from/{n}"), &bytes);
    }
    let paths: Vec<_> =
        (0..7).map(|n| (format!("from/{n}"), format!("to/{}/{n}", n / 2))).collect();
    let copies: Vec<_> = paths
        .iter()
        .map(|(from, to)| Copy::new(site.at(from), site.at(to), Expect::Nothing))
        .collect();
    let watch = Arc::new(Watch::default());
    let answers = site.drive.server_copy(&copies, &Op::new(watch.clone())).await;
    for (n, answer) in answers.into_iter().enumerate() {
        if n == 6 {
            assert_eq!(kind(answer), ErrorKind::NotFound);
            continue;
        }
        let (copied, (from, to)) = (answer.unwrap(), &paths[n]);
        assert_eq!(std::fs::read(site.path(from)).unwrap(), std::fs::read(site.path(to)).unwrap());
        assert_eq!(copied.source.version, Some(site.version(from).await));
        assert_eq!(copied.destination.version, Some(site.version(to).await));
        assert_eq!(copied.source.mtime_ns, copied.destination.mtime_ns);
    }
    assert_eq!(watch.bytes(), 1 + 131_072 + 131_073 + (1 << 20) + (9 << 20) + 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_source_must_be_what_is_known() {
    let site = site().await;
    site.put("f", b"x");
    for (version, wanted) in [("wrong".to_owned(), false), (site.version("f").await, true)] {
        let known = Known::new(None, Some(version));
        let from = site.at("f").known(Some(&known));
        let copy = Copy::new(from, At::new(&site.root, "g"), Expect::Nothing);
        let answer = site.drive.server_copy(&[copy], &Op::unbound()).await.remove(0);
        assert_eq!(answer.is_ok(), wanted);
        if let Err(error) = answer {
            assert_eq!(error.kind(), ErrorKind::Precondition);
        }
    }
    assert_eq!(kind(site.copy("f", "g").await), ErrorKind::AlreadyExists);
    let gone = site.read("g/h", ReadOptions::new()).await;
    assert_eq!(kind(gone), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn sparse_files_stay_sparse() {
    let site = site().await;
    let mut file = std::fs::File::create(site.path("sparse")).unwrap();
    let size = 10_u64 << 30;
    file.set_len(size).unwrap();
    for at in [0, 5 << 30, size - 3] {
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(b"xyz").unwrap();
    }
    drop(file);
    site.put("hole", b"");
    std::fs::File::create(site.path("hole")).unwrap().set_len(size).unwrap();
    let begun = Instant::now();
    for name in ["sparse", "hole"] {
        let to = format!("{name}-copy");
        let copied = site.copy(name, &to).await.unwrap();
        assert_eq!(copied.destination.size, size);
        let blocks = std::fs::metadata(site.path(&to)).unwrap().blocks();
        assert!(blocks < 1000, "{name}: {blocks} blocks");
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    for at in [0, 5 << 30, size - 3] {
        let part = ReadOptions::new().range(at, Some(3));
        assert_eq!(site.read("sparse-copy", part).await.unwrap(), b"xyz");
    }
}

/// Does something at the first sign of progress.
struct Meddler<F>(F, AtomicBool);

impl<F: Fn() -> bool + Send + Sync + 'static> OpServices for Meddler<F> {
    fn is_cancelled(&self) -> bool {
        self.1.load(Ordering::Relaxed)
    }
    fn progress(&self, _: u64) {
        let cancel = (self.0)();
        self.1.store(cancel, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_changes_meanwhile_is_not_copied() {
    for (size, what) in
        [(1 << 10, "grow"), (20 << 20, "grow"), (20 << 20, "shrink"), (20 << 20, "replace")]
    {
        let site = site().await;
        site.put("f", &vec![1; size]);
        let path = site.path("f");
        let meddle = move || {
            match what {
                "grow" => {
                    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
                    file.write_all(b"more").unwrap();
                }
                "shrink" => {
                    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
                    file.set_len(5).unwrap();
                }
                _ => {
                    let new = path.with_extension("new");
                    std::fs::write(&new, b"new").unwrap();
                    std::fs::rename(new, &path).unwrap();
                }
            }
            false
        };
        let op = Op::new(Meddler(meddle, AtomicBool::new(false)));
        let copy = Copy::new(site.at("f"), site.at("g"), Expect::Nothing);
        let answer = site.drive.server_copy(&[copy], &op).await.remove(0);
        assert_eq!(kind(answer), ErrorKind::Precondition, "{what}");
        assert_eq!(site.names(), ["f"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_a_copy_leaves_nothing() {
    for size in [1 << 10, 20 << 20] {
        let site = site().await;
        site.put("f", &vec![1; size]);
        let op = Op::new(Meddler(|| true, AtomicBool::new(false)));
        let copy = |to| Copy::new(site.at("f"), site.at(to), Expect::Nothing);
        let answers = site.drive.server_copy(&[copy("g"), copy("h")], &op).await;
        for answer in answers {
            assert_eq!(kind(answer), ErrorKind::Cancelled);
        }
        assert_eq!(site.names(), ["f"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_goes_away_in_a_batch_is_made_again() {
    let site = site().await;
    for n in 0..3 {
        site.put(&format!("from/{n}"), b"x");
    }
    let to = site.path("to");
    let meddle = move || {
        // Between two files of one folder: its handle is the same for both.
        let _ = std::fs::remove_dir_all(&to);
        false
    };
    let op = Op::new(Meddler(meddle, AtomicBool::new(false)));
    let names: Vec<_> = (0..3).map(|n| (format!("from/{n}"), format!("to/{n}"))).collect();
    let copies: Vec<_> = names
        .iter()
        .map(|(from, to)| Copy::new(site.at(from), site.at(to), Expect::Nothing))
        .collect();
    for answer in site.drive.server_copy(&copies, &op).await {
        let error = answer.expect_err("its folder was removed under it");
        assert!(matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Interrupted), "{error:?}");
    }
}
