//! How many requests things cost. The instance is warm: its root is open and was listed, its token
//! and its ids are there.

mod common;

use common::{Bench, MIB, at, content, list, pages, put, replace};
use drive_emulator::Kind;
use gdrive::GoogleDrive;
use sitesync_provider::{Cursor, Provider};
use std::time::Duration;

/// An instance that has written something before.
async fn warm(bench: &Bench) -> GoogleDrive {
    let drive = bench.instance().await;
    list(&drive, "").await.unwrap();
    put(&drive, "known/first", &content(10)).await.unwrap();
    bench.drive.forget_requests();
    drive
}

fn counted(bench: &Bench, of: Kind) -> usize {
    bench.kinds().into_iter().filter(|kind| *kind == of).count()
}

#[tokio::test]
async fn a_new_folder_of_seven_files_costs_nine_with_the_hosts_listing() {
    let bench = Bench::new();
    let drive = warm(&bench).await;
    for n in 0..7 {
        put(&drive, &format!("new/{n}"), &content(100_000)).await.unwrap();
    }
    list(&drive, "new").await.unwrap();
    assert_eq!(bench.kinds().len(), 9, "{:?}", bench.kinds());
    assert_eq!(counted(&bench, Kind::Create), 1);
    assert_eq!(counted(&bench, Kind::Multipart), 7);
    assert_eq!(counted(&bench, Kind::Token), 0);
}

#[tokio::test]
async fn a_new_file_in_a_known_folder_costs_one() {
    let bench = Bench::new();
    let drive = warm(&bench).await;
    put(&drive, "known/second", &content(1000)).await.unwrap();
    assert_eq!(bench.kinds(), [Kind::Multipart]);
}

#[tokio::test]
async fn replacing_a_small_file_costs_two() {
    let bench = Bench::new();
    let drive = warm(&bench).await;
    let was = put(&drive, "known/file", &content(1000)).await.unwrap();
    bench.drive.forget_requests();
    let id = bench.drive.find(&bench.work, "known/file").unwrap();
    replace(&drive, "known/file", &content(2000), &was).await.unwrap();
    assert_eq!(bench.kinds(), [Kind::Get, Kind::UpdateMultipart]);
    assert_eq!(bench.drive.find(&bench.work, "known/file"), Some(id.clone()), "it keeps its id");
    assert_eq!(bench.drive.revisions(&id), 2, "and its versions");
}

#[tokio::test]
async fn sixty_four_mebibytes_cost_five() {
    let bench = Bench::new();
    let drive = warm(&bench).await;
    put(&drive, "known/large", &content(64 * MIB)).await.unwrap();
    let chunk = Kind::Chunk;
    assert_eq!(bench.kinds(), [Kind::StartUpload, chunk, chunk, chunk, chunk]);
    assert_eq!(bench.drive.open_sessions(), 0);
}

#[tokio::test]
async fn a_feed_with_nothing_new_costs_one() {
    let bench = Bench::new();
    let drive = warm(&bench).await;
    let now: Cursor = drive.changes(&[common::ROOT], None, Duration::ZERO).await.unwrap().next;
    bench.drive.forget_requests();
    let page = drive.changes(&[common::ROOT], Some(now), Duration::ZERO).await.unwrap();
    assert!(page.changed.is_empty() && !page.more);
    assert_eq!(bench.kinds(), [Kind::Changes]);
}

#[tokio::test]
async fn a_cold_start_costs_little() {
    let bench = Bench::new();
    bench.drive.forget_requests();
    let drive = bench.instance().await;
    put(&drive, "file", &content(10)).await.unwrap();
    // Two components, about, ids, and the look whether the name is free; then the file itself.
    let kinds: Vec<Kind> = bench.kinds().into_iter().filter(|kind| *kind != Kind::Token).collect();
    assert!(kinds.len() <= 2 + 3 + 1, "{kinds:?}");
    assert_eq!(counted(&bench, Kind::Token), 1);
}

#[tokio::test]
async fn a_tree_is_listed_by_many_folders_at_once() {
    let bench = Bench::new();
    for n in 0..100 {
        let folder = bench.drive.folder(&bench.work, &format!("folder {n}"));
        bench.drive.file(&folder, "file", "content");
    }
    let drive = bench.instance().await;
    bench.drive.forget_requests();
    let pages = pages(&drive, "", true).await.unwrap();
    assert_eq!(pages.len(), 101);
    assert_eq!(bench.kinds(), [Kind::List; 4], "the root, and 100 folders by 40");
}

#[tokio::test]
async fn many_at_once_fetch_one_token_and_ask_the_host_each_time() {
    let bench = Bench::new();
    let drive =
        std::sync::Arc::new(bench.connect_with("cache", serde_json::json!({})).await.unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..16 {
        let drive = drive.clone();
        tasks.spawn(async move { put(&drive, &format!("new/{n}"), &content(1000)).await });
    }
    while let Some(written) = tasks.join_next().await {
        written.unwrap().unwrap();
    }
    assert_eq!(counted(&bench, Kind::Token), 1);
    let sent = bench.kinds().len() - 1;
    let asked = bench.permits.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(asked, sent as u64, "a token is asked for by the library, all else by us");
    assert_eq!(bench.paths().len(), 16);
    drive.stat(at("new")).await.unwrap();
}
