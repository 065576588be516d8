//! Names that Drive allows, and several of one name.

mod common;

use common::{Bench, at, content, delete, list, put, read, replace};
use drive_emulator::{Emulator, Role};
use serde_json::json;
use sitesync_provider::{At, ErrorKind, Provider};

#[tokio::test]
async fn odd_names_are_kept() {
    let bench = Bench::new();
    let drive = bench.instance().await;
    let names =
        ["it's", "back\\slash", "\\'", "' or name contains '", "dir.v001", "a\"b", "場面", "..a"];
    for name in names {
        let path = format!("{name}/{name}");
        put(&drive, &path, &content(100)).await.unwrap();
        assert_eq!(read(&drive, &path).await.unwrap(), content(100), "{name}");
    }
    // Asked as after a restart, when nothing is known.
    let later = bench.connect_with("later", json!({})).await.unwrap();
    for name in names {
        let path = format!("{name}/{name}");
        assert_eq!(later.stat(at(&path)).await.unwrap().size, 100, "{name}");
    }
    assert_eq!(bench.paths().len(), names.len());
    for name in names {
        delete(&later, &format!("{name}/{name}")).await.unwrap();
    }
    assert_eq!(bench.paths(), Vec::<String>::new());
}

#[tokio::test]
async fn what_can_not_travel_is_listed_with_the_reason() {
    let bench = Bench::new();
    let file = bench.drive.file(&bench.work, "file", "content");
    bench.drive.file(&bench.work, "a/b", "content");
    bench.drive.file(&bench.work, "..", "content");
    bench.drive.docs(&bench.work, "notes");
    bench.drive.shortcut(&bench.work, "link", &file);
    let drive = bench.instance().await;
    let mut skipped: Vec<(String, String)> = list(&drive, "")
        .await
        .unwrap()
        .into_iter()
        .filter_map(|entry| Some((entry.name, entry.skipped?)))
        .collect();
    skipped.sort();
    let names: Vec<&str> = skipped.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["..", "a/b", "link", "notes"]);
    for ((_, reason), says) in skipped.iter().zip(["'..'", "'/'", "shortcut", "document"]) {
        assert!(reason.contains(says), "{reason}");
    }
    let error = drive.open_read(at("notes"), Default::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidPath);
    assert!(error.message().contains("Google file"), "{error}");
    // It is in the way, and no file of ours comes beside it.
    let error = put(&drive, "notes", &content(10)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
}

#[tokio::test]
async fn of_twins_the_oldest_counts_and_the_others_are_told() {
    let bench = Bench::new();
    bench.drive.file(&bench.work, "twin", "the first");
    let second = bench.drive.file(&bench.work, "twin", "the second one");
    let drive = bench.instance().await;
    for _ in 0..3 {
        assert_eq!(read(&drive, "twin").await.unwrap(), b"the first");
        let entries = list(&drive, "").await.unwrap();
        assert_eq!(entries.len(), 2);
        let counting: Vec<_> = entries.iter().filter(|entry| entry.skipped.is_none()).collect();
        assert_eq!(counting.len(), 1);
        assert_eq!(counting[0].metadata.size, 9);
        let reason = entries.iter().find_map(|entry| entry.skipped.as_deref()).unwrap();
        assert!(reason.contains(&*second) && reason.contains("second file"), "{reason}");
    }
    let was = drive.stat(at("twin")).await.unwrap();
    replace(&drive, "twin", &content(100), &was).await.unwrap();
    assert_eq!(drive.stat(at("twin")).await.unwrap().size, 100);
    delete(&drive, "twin").await.unwrap();
    assert_eq!(read(&drive, "twin").await.unwrap(), b"the second one");
}

#[tokio::test]
async fn of_twin_folders_the_oldest_is_written_to() {
    let bench = Bench::new();
    let first = bench.drive.folder(&bench.work, "folder");
    let second = bench.drive.folder(&bench.work, "folder");
    bench.drive.file(&second, "hidden", "content");
    let drive = bench.instance().await;
    put(&drive, "folder/file", &content(10)).await.unwrap();
    assert_eq!(bench.drive.tree(&first).into_keys().collect::<Vec<_>>(), ["file"]);
    let reasons: Vec<String> =
        list(&drive, "").await.unwrap().into_iter().filter_map(|entry| entry.skipped).collect();
    assert_eq!(reasons.len(), 1);
    assert!(reasons[0].contains("second folder"), "{reasons:?}");
}

#[tokio::test]
async fn folders_that_others_move_are_found_anew() {
    let bench = Bench::new();
    let drive = bench.instance().await;
    put(&drive, "a/b/one", &content(10)).await.unwrap();
    let b = bench.drive.find(&bench.work, "a/b").unwrap();
    bench.drive.trash(&b);
    assert_eq!(drive.stat(at("a/b/one")).await.unwrap_err().kind(), ErrorKind::NotFound);
    put(&drive, "a/b/two", &content(10)).await.unwrap();
    assert_eq!(bench.paths(), ["a/b/two"]);
    // Also where nobody looks before writing.
    let b = bench.drive.find(&bench.work, "a/b").unwrap();
    bench.drive.trash(&b);
    put(&drive, "a/b/three", &content(10)).await.unwrap();
    assert_eq!(bench.paths(), ["a/b/three"]);
    let b = bench.drive.find(&bench.work, "a/b").unwrap();
    bench.drive.delete(&b);
    put(&drive, "a/b/four", &content(6 << 20)).await.unwrap();
    assert_eq!(bench.paths(), ["a/b/four"]);
}

#[tokio::test]
async fn a_root_is_found_by_any_of_its_spellings() {
    let bench = Bench::of(Emulator::builder().service_storage(true));
    let own = bench.drive.my_drive(common::ROBOT);
    let mine = bench.drive.folder(&own, "Mine");
    let home = bench.drive.user(common::OWNER);
    let shared = bench.drive.folder(&home, "Shared");
    bench.drive.share(&shared, common::ROBOT, Role::Writer);
    let drive = bench.connect_with("cache", json!({})).await.unwrap();
    let ids = [
        ("/Film".to_owned(), &bench.film),
        ("/Film/".to_owned(), &bench.film),
        (ROOT.to_owned(), &bench.work),
        (format!("/{}", bench.film), &bench.film),
        (bench.film.clone(), &bench.film),
        (format!("{}/work", bench.film), &bench.work),
        (format!("/{}", bench.work), &bench.work),
        ("/My Drive/Mine".to_owned(), &mine),
        ("/My Drive/Shared".to_owned(), &shared),
        (shared.clone(), &shared),
        ("/My Drive".to_owned(), &own),
    ];
    for (text, id) in ids {
        let info = drive.open_root(&text, bench.site(json!({}))).await.unwrap();
        assert_eq!(info.root_id, **id, "{text}");
        assert!(info.account == common::ROBOT && info.network, "{info:?}");
    }
}

const ROOT: &str = common::ROOT;

#[tokio::test]
async fn roots_that_are_none_are_told() {
    let bench = Bench::new();
    let home = bench.drive.user(common::OWNER);
    let other = bench.drive.user("other@studio.example");
    let twins = [bench.drive.folder(&home, "Twin"), bench.drive.folder(&other, "Twin")];
    for twin in &twins {
        bench.drive.share(twin, common::ROBOT, Role::Writer);
    }
    let drive = bench.connect_with("cache", json!({})).await.unwrap();
    let open = async |text: &str| drive.open_root(text, bench.site(json!({}))).await;
    let error = open("/My Drive/Twin").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidSettings, "{error}");
    for twin in &twins {
        assert!(error.message().contains(&**twin), "{error}");
    }
    assert!(error.message().contains(common::OWNER), "{error}");
    for (text, says) in [
        ("/My Drive/Nowhere", "share it with robot@"),
        ("/Nowhere", "member of no shared drive"),
        ("/Nowhere/deep", "member of no shared drive"),
    ] {
        let error = open(text).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RootUnavailable, "{text}: {error}");
        assert!(error.message().contains(says), "{error}");
    }
    for text in ["", "/", "/Film/../Film", "/Film//a"] {
        assert_eq!(open(text).await.unwrap_err().kind(), ErrorKind::InvalidSettings, "{text}");
    }
}

#[tokio::test]
async fn folders_of_a_root_are_made_once() {
    let bench = Bench::new();
    let drive = bench.connect_with("cache", json!({})).await.unwrap();
    let open = async |drive: &gdrive::GoogleDrive, more| {
        drive.open_root("/Film/made/deep", bench.site(more)).await
    };
    let error = open(&drive, json!({"create_root": false})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RootUnavailable);
    open(&drive, json!({})).await.unwrap();
    let made = bench.drive.find(&bench.film, "made/deep").unwrap();
    drive.create_folder(At::new("/Film/made/deep", "x")).await.unwrap();
    // Whoever removed it meant it: it is not made anew, also after a restart.
    bench.drive.trash(&made);
    assert_eq!(open(&drive, json!({})).await.unwrap_err().kind(), ErrorKind::RootUnavailable);
    let later = bench.connect_with("cache", json!({})).await.unwrap();
    assert_eq!(open(&later, json!({})).await.unwrap_err().kind(), ErrorKind::RootUnavailable);
    assert_eq!(bench.drive.find(&bench.film, "made/deep"), None);
}
