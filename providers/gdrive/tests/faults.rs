//! What goes wrong on the way: each fault has its kind, nothing is there twice, nothing is lost.

mod common;

use std::time::Duration;

use common::{Bench, MIB, at, content, list, put, read, replace, shown, write};
use drive_emulator::{Answer, Emulator, Fault, Kind};
use gdrive::GoogleDrive;
use serde_json::json;
use sitesync_provider::{
    Bytes, DeleteOptions, Error, ErrorKind, Expect, Provider, Result, WriteOptions, WriteStream,
};

const LARGE: usize = 6 * MIB;

/// Makes a file of somebody else's, unless there is one.
fn lay(bench: &Bench, name: &str) {
    if bench.drive.find(&bench.work, name).is_none() {
        bench.drive.file(&bench.work, name, "content");
    }
}

/// Does what sends requests of this kind; the first error.
async fn provoke(bench: &Bench, drive: &GoogleDrive, kind: Kind) -> Result<()> {
    match kind {
        Kind::Get => {
            let was = put(drive, "get", &content(10)).await?;
            replace(drive, "get", &content(20), &was).await.map(drop)
        }
        Kind::Media => {
            lay(bench, "media");
            read(drive, "media").await.map(drop)
        }
        Kind::List => list(drive, "").await.map(drop),
        Kind::Create => drive.create_folder(at("made")).await,
        Kind::Multipart => put(drive, "small", &content(10)).await.map(drop),
        Kind::StartUpload | Kind::Chunk => put(drive, "large", &content(LARGE)).await.map(drop),
        Kind::UpdateMultipart => {
            let was = put(drive, "updated", &content(10)).await?;
            replace(drive, "updated", &content(20), &was).await.map(drop)
        }
        Kind::Update => {
            lay(bench, "trash");
            drive.delete(at("trash"), DeleteOptions::default().to_trash(true)).await
        }
        Kind::Copy => {
            lay(bench, "source");
            let copy = sitesync_provider::Copy::new(at("source"), at("copy"), Expect::Nothing);
            let op = sitesync_provider::Op::unbound();
            drive.server_copy(&[copy], &op).await.remove(0).map(drop)
        }
        Kind::Changes => {
            let now = drive.changes(&[common::ROOT], None, Duration::ZERO).await?.next;
            drive.changes(&[common::ROOT], Some(now), Duration::ZERO).await.map(drop)
        }
        Kind::StartPageToken => {
            drive.changes(&[common::ROOT], None, Duration::ZERO).await.map(drop)
        }
        other => panic!("nothing sends {other:?} here"),
    }
}

/// Demands that a fault of every kind of request has its kind of error, is tried once only, and is
/// over when the same is done again.
async fn each_is(answer: impl Fn() -> Answer, kind: ErrorKind, also: impl Fn(&Error)) {
    let more = [Kind::Update, Kind::Copy, Kind::StartPageToken];
    for request in Kind::USUAL.into_iter().chain(more) {
        let bench = Bench::new();
        let drive = bench.instance().await;
        bench.drive.fault(Fault::on(request).answer(answer()));
        bench.drive.forget_requests();
        let error = provoke(&bench, &drive, request).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{request:?}: {}", shown(&error));
        also(&error);
        let tried = bench.kinds().into_iter().filter(|kind| *kind == request).count();
        assert_eq!(tried, 1, "the provider tries nothing again: {:?}", bench.kinds());
        let again = provoke(&bench, &drive, request).await;
        // What was made before the fault is there.
        assert!(
            again.as_ref().is_ok_and(|()| true)
                || again.as_ref().is_err_and(|error| error.kind() == ErrorKind::AlreadyExists),
            "{request:?}: {again:?}"
        );
        assert!(bench.paths().iter().all(|path| !path.contains('#')), "{:?}", bench.paths());
    }
}

#[tokio::test]
async fn too_many_requests_are_told_as_such() {
    each_is(Answer::rate_limited, ErrorKind::RateLimited, |error| {
        assert_eq!(error.retry_after(), None);
        assert!(error.message().contains(common::ROBOT), "{error}");
    })
    .await;
}

#[tokio::test]
async fn the_service_says_how_long_to_wait() {
    let seven = || Answer::too_many(Some(7));
    each_is(seven, ErrorKind::RateLimited, |error| {
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    })
    .await;
}

#[tokio::test]
async fn pages_of_load_balancers_are_no_answers() {
    let page = || Answer::server_error(503, "<p>Sorry");
    each_is(page, ErrorKind::Interrupted, |error| {
        assert!(!shown(error).contains("Sorry"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn broken_connections_are_interruptions() {
    each_is(Answer::drop_before, ErrorKind::Interrupted, |_| {}).await;
}

#[tokio::test]
async fn allowances_end_at_a_time() {
    let bench = Bench::new();
    let drive = bench.instance().await;
    let day = Duration::from_secs(86_400);
    let hour = Duration::from_secs(3600);
    for (answer, exactly) in [(Answer::daily_limit(), None), (Answer::upload_limit(), Some(hour))] {
        bench.drive.fault(Fault::on(Kind::Multipart).answer(answer));
        let error = put(&drive, "file", &content(10)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::QuotaExhausted, "{error}");
        let after = error.retry_after().unwrap();
        assert!(after <= day && exactly.is_none_or(|exactly| after == exactly), "{after:?}");
    }
}

#[tokio::test]
async fn who_is_refused_learns_with_whom_to_share_what() {
    let bench = Bench::new();
    let drive = bench.instance().await;
    bench.drive.fault(Fault::on(Kind::Multipart).answer(Answer::permission()));
    let error = put(&drive, "folder/file", &content(10)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    for says in ["folder/file", common::ROBOT, "share"] {
        assert!(error.message().contains(says), "{error}");
    }
}

#[tokio::test]
async fn an_account_without_room_is_told_of_shared_drives() {
    let bench = Bench::new();
    let drive = bench.instance().await;
    let at = sitesync_provider::At::new("/My Drive", "file");
    let mut writer = drive.open_write(at, WriteOptions::new(3, Expect::Nothing)).await.unwrap();
    writer.write(Bytes::from_static(b"abc")).await.unwrap();
    let error = writer.finish().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert!(error.message().contains("shared drive"), "{error}");
}

/// What was committed though nobody heard of it is found: never a second file.
#[tokio::test]
async fn an_answer_that_is_lost_makes_no_second_file() {
    for (name, size, kind, nth) in [
        ("small", 1000, Kind::Multipart, 1),
        ("large", LARGE, Kind::Chunk, 1),
        ("larger", 20 * MIB, Kind::Chunk, 2),
    ] {
        let bench = Bench::new();
        let drive = bench.instance().await;
        let bytes = content(size);
        bench.drive.fault(Fault::on(kind).nth(nth).answer(Answer::drop_after_commit()));
        let error = put(&drive, name, &bytes).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Interrupted, "{}", shown(&error));
        assert_eq!(bench.paths(), [name]);
        // Again, as a host would that did not look.
        match put(&drive, name, &bytes).await {
            Ok(written) => assert_eq!(written.size, size as u64),
            Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}"),
        }
        assert_eq!(bench.paths(), [name]);
        // With other content it is somebody else's.
        let error = put(&drive, name, &content(500)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert_eq!(read(&drive, name).await.unwrap(), bytes);
    }
}

#[tokio::test]
async fn a_folder_whose_answer_is_lost_is_made_once() {
    let bench = Bench::new();
    let drive = bench.instance().await;
    bench.drive.fault(Fault::on(Kind::Create).answer(Answer::drop_after_commit()));
    let error = put(&drive, "folder/file", &content(10)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted);
    put(&drive, "folder/file", &content(10)).await.unwrap();
    let entries = list(&drive, "").await.unwrap();
    assert_eq!(entries.len(), 1);
    assert!(entries[0].skipped.is_none());
}

/// Writes until it breaks; the token that was taken last.
async fn broken(drive: &GoogleDrive, name: &str, bytes: &Bytes) -> Vec<u8> {
    let how = WriteOptions::new(bytes.len() as u64, Expect::Nothing);
    let mut writer = drive.open_write(at(name), how).await.unwrap();
    let mut token = writer.checkpoint().await.unwrap().expect("there is a session");
    for from in (0..bytes.len()).step_by(MIB) {
        let chunk = bytes.slice(from..bytes.len().min(from + MIB));
        if writer.write(chunk).await.is_err() {
            return token;
        }
        token = writer.checkpoint().await.unwrap().unwrap();
    }
    writer.finish().await.unwrap_err();
    token
}

fn resumed(bytes: &Bytes, token: Vec<u8>) -> WriteOptions {
    WriteOptions::new(bytes.len() as u64, Expect::Nothing).resume(Some(token))
}

/// Bytes of content that were received.
fn received(bench: &Bench) -> u64 {
    let requests = bench.drive.requests();
    requests.iter().filter(|request| request.kind == Kind::Chunk).map(|one| one.received).sum()
}

#[tokio::test]
async fn what_is_resumed_is_sent_twice_by_a_chunk_at_most() {
    const CHUNK: usize = 4 * MIB;
    for (nth, answer) in [
        (1, Answer::drop_before()),
        (3, Answer::drop_after_bytes(1_500_000)),
        (3, Answer::server_error(502, "")),
        (2, Answer::drop_after_commit()),
        (5, Answer::drop_after_bytes(100)),
    ] {
        let bench = Bench::new();
        let more = json!({"chunk_size": CHUNK});
        let drive = bench.instance_with(more.clone()).await;
        let bytes = content(18 * MIB + 5);
        bench.drive.fault(Fault::on(Kind::Chunk).nth(nth).answer(answer.clone()));
        bench.drive.forget_requests();
        let token = broken(&drive, "file", &bytes).await;
        drop(drive);
        // By another instance, as after a restart.
        let later = bench.instance_with(more).await;
        write(&later, "file", &bytes, resumed(&bytes, token)).await.unwrap();
        assert_eq!(read(&later, "file").await.unwrap(), bytes, "{nth} {answer:?}");
        let twice = received(&bench) - bytes.len() as u64;
        assert!(twice <= CHUNK as u64, "{nth} {answer:?}: {twice} bytes were sent twice");
        assert_eq!(bench.drive.open_sessions(), 0);
        assert_eq!(bench.paths(), ["file"]);
    }
}

#[tokio::test]
async fn an_upload_that_expired_begins_anew() {
    let bench = Bench::new();
    let drive = bench.instance().await;
    let bytes = content(20 * MIB);
    bench.drive.fault(Fault::on(Kind::Chunk).nth(2).answer(Answer::drop_before()));
    let token = broken(&drive, "file", &bytes).await;
    bench.drive.expire_sessions();
    let writer = drive.open_write(at("file"), resumed(&bytes, token.clone())).await.unwrap();
    assert_eq!(writer.offset(), 0);
    writer.discard().await.unwrap();
    write(&drive, "file", &bytes, resumed(&bytes, token)).await.unwrap();
    assert_eq!(read(&drive, "file").await.unwrap(), bytes);
    assert_eq!(bench.drive.open_sessions(), 0);
}

#[tokio::test]
async fn tokens_that_expire_are_fetched_anew() {
    let bench = Bench::new();
    let drive = bench.instance().await;
    put(&drive, "one", &content(10)).await.unwrap();
    bench.drive.expire_tokens();
    put(&drive, "two", &content(10)).await.unwrap();
    read(&drive, "one").await.unwrap();
    // In the middle of an upload, the bytes of a chunk are gone.
    let bytes = content(20 * MIB);
    let how = WriteOptions::new(bytes.len() as u64, Expect::Nothing);
    let mut writer = drive.open_write(at("large"), how).await.unwrap();
    writer.write(bytes.slice(..16 * MIB)).await.unwrap();
    let token = writer.checkpoint().await.unwrap().unwrap();
    bench.drive.expire_tokens();
    let written = match writer.write(bytes.slice(16 * MIB..)).await {
        Ok(()) => writer.finish().await.map(drop),
        Err(error) => {
            drop(writer);
            Err(error)
        }
    };
    if let Err(error) = written {
        assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
        write(&drive, "large", &bytes, resumed(&bytes, token)).await.unwrap();
    }
    assert_eq!(read(&drive, "large").await.unwrap(), bytes);
}

#[tokio::test]
async fn content_that_is_damaged_is_noticed() {
    let bench = Bench::new();
    let drive = bench.instance().await;
    for (name, size, kind) in [("small", 1000, Kind::Multipart), ("large", LARGE, Kind::Chunk)] {
        bench.drive.fault(Fault::on(kind).answer(Answer::wrong_md5()));
        let error = put(&drive, name, &content(size)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert_eq!(bench.paths(), Vec::<String>::new(), "what was made is removed again");
        put(&drive, name, &content(size)).await.unwrap();
        let id = bench.drive.find(&bench.work, name).unwrap();
        bench.drive.fault(Fault::on(Kind::Media).answer(Answer::wrong_md5()));
        assert_eq!(read(&drive, name).await.unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(read(&drive, name).await.unwrap(), content(size));
        bench.drive.delete(&id);
    }
    let was = put(&drive, "file", &content(10)).await.unwrap();
    bench.drive.fault(Fault::on(Kind::UpdateMultipart).answer(Answer::wrong_md5()));
    let error = replace(&drive, "file", &content(20), &was).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.message().contains("versions"), "{error}");
}

#[tokio::test]
async fn large_files_are_read_in_parts_and_noticed_if_they_change() {
    let bench = Bench::new();
    let bytes = content(40 * MIB + 3);
    let id = bench.drive.file(&bench.work, "large", bytes.clone());
    let drive = bench.instance().await;
    bench.drive.forget_requests();
    assert_eq!(read(&drive, "large").await.unwrap(), bytes);
    let parts = bench.kinds().into_iter().filter(|kind| *kind == Kind::Media).count();
    assert_eq!(parts, 6);
    let mut reader = drive.open_read(at("large"), Default::default()).await.unwrap();
    use sitesync_provider::ReadStream;
    reader.read(MIB).await.unwrap();
    bench.drive.write(&id, content(40 * MIB + 3).slice(1..));
    let error = loop {
        match reader.read(MIB).await {
            Ok(bytes) => assert!(!bytes.is_empty(), "two contents were read as one"),
            Err(error) => break error,
        }
    };
    let kinds = [ErrorKind::Precondition, ErrorKind::Interrupted];
    assert!(kinds.contains(&error.kind()), "{error}");
}

#[tokio::test]
async fn a_download_that_breaks_off_is_an_error() {
    let bench = Bench::new();
    bench.drive.file(&bench.work, "file", content(2 * MIB));
    let drive = bench.instance().await;
    bench.drive.fault(Fault::on(Kind::Media).answer(Answer::drop_after_bytes(700_000)));
    assert_eq!(read(&drive, "file").await.unwrap_err().kind(), ErrorKind::Interrupted);
}

#[tokio::test]
async fn a_root_in_the_trash_is_not_an_empty_one() {
    let bench = Bench::new();
    let drive = bench.instance().await;
    put(&drive, "file", &content(10)).await.unwrap();
    let now = drive.changes(&[common::ROOT], None, Duration::ZERO).await.unwrap().next;
    bench.drive.trash(&bench.work);
    let gone = ErrorKind::RootUnavailable;
    assert_eq!(list(&drive, "").await.unwrap_err().kind(), gone);
    assert_eq!(drive.stat(at("")).await.unwrap_err().kind(), gone);
    assert_eq!(drive.stat(at("file")).await.unwrap_err().kind(), gone);
    assert_eq!(put(&drive, "new", &content(10)).await.unwrap_err().kind(), gone);
    let changes = drive.changes(&[common::ROOT], Some(now), Duration::ZERO).await;
    assert_eq!(changes.unwrap_err().kind(), gone);
    bench.drive.untrash(&bench.work);
    assert_eq!(bench.paths(), ["file"]);
}

#[tokio::test]
async fn a_feed_tells_where_things_were_and_are() {
    let bench = Bench::of(Emulator::builder());
    let drive = bench.instance().await;
    put(&drive, "a/file", &content(10)).await.unwrap();
    let now = drive.changes(&[common::ROOT], None, Duration::ZERO).await.unwrap().next;
    let a = bench.drive.find(&bench.work, "a").unwrap();
    bench.drive.rename(&a, "b");
    bench.drive.folder(&bench.film, "outside");
    let page = drive.changes(&[common::ROOT], Some(now), Duration::ZERO).await.unwrap();
    let paths: Vec<&str> = page.changed.iter().map(|change| change.path.as_str()).collect();
    assert_eq!(paths, ["a", "b"]);
    assert_eq!(read(&drive, "b/file").await.unwrap(), content(10));
    assert_eq!(read(&drive, "a/file").await.unwrap_err().kind(), ErrorKind::NotFound);
    let now = page.next;
    bench.drive.expire_changes(410);
    let expired = drive.changes(&[common::ROOT], Some(now), Duration::ZERO).await;
    assert_eq!(expired.unwrap_err().kind(), ErrorKind::CursorExpired);
}
