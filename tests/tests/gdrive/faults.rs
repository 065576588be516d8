//! What goes wrong at Drive, one thing a test. Afterwards both ends are equal, no name is there twice,
//! and no upload is left open.

use anyhow::{Context, Result, ensure};
use drive_emulator::{Answer, Emulator, Fault, Kind};
use sitesync_tests::bench::until;
use sitesync_tests::content;
use sitesync_tests::drive::Cloud;

/// How often somebody runs `sitesync sync` before he loses his patience.
const RUNS: usize = 5;

/// Large enough to be sent in several requests.
const LARGE: usize = 3 << 20;

/// A Drive of small chunks, in which each kind of request has been needed once: new files, small and
/// large, are about to go there, to be written over there, and to come from there.
fn busy() -> Result<Cloud> {
    let cloud = Cloud::of(Emulator::start(), |setup| {
        setup.remote_line("chunk_size = 262144").text("settle", "0s")
    })?;
    cloud.write("shot/small.exr", &content::record(1, 30_000))?;
    cloud.write("shot/large.mov", &content::record(2, LARGE + (5 << 20)))?;
    cloud.sync()?;
    cloud.write("shot/small.exr", &content::record(3, 40_000))?;
    cloud.write("shot/large.mov", &content::record(4, LARGE + (5 << 20)))?;
    cloud.write("shot/new/small.exr", &content::record(5, 30_000))?;
    cloud.write("shot/new/large.mov", &content::record(6, LARGE + (5 << 20)))?;
    let shot = cloud.drive.find(&cloud.root, "shot").context("the folder")?;
    cloud.drive.file(&shot, "theirs.exr", content::record(7, 30_000));
    cloud.drive.file(&shot, "theirs.mov", content::record(8, LARGE));
    cloud.drive.forget_requests();
    Ok(cloud)
}

/// The files of a busy Drive in the end.
const FILES: usize = 6;

/// Syncs until all is well; returns how many runs that took.
fn settles(cloud: &Cloud, files: usize) -> Result<usize> {
    let mut last = None;
    for run in 1..=RUNS {
        let outcome = cloud.studio.sync()?;
        ensure!(outcome.sum("conflicts") == Some(0), "{outcome:#?}");
        if outcome.code == Some(0) {
            cloud.ensure_equal(files)?;
            let left = cloud.drive.open_sessions();
            ensure!(left == 0, "{left} uploads were left open: {}", cloud.log());
            return Ok(run);
        }
        last = Some(outcome);
    }
    anyhow::bail!("not well after {RUNS} runs: {last:#?}\n{}", cloud.log())
}

/// A busy Drive with faults of a kind of request: each must happen, and is got over. One run does it,
/// unless that could not even begin.
fn survives(kind: Kind, times: usize, fault: impl FnOnce(Fault) -> Fault) -> Result<Cloud> {
    let cloud = busy()?;
    cloud.drive.fault(fault(Fault::on(kind).times(times)));
    let runs = settles(&cloud, FILES).with_context(|| format!("{kind:?}"))?;
    ensure!(cloud.drive.pending_faults() == 0, "no {kind:?} was asked: {}", cloud.log());
    // A run that can't open a root, or can't look at it, ends and says so.
    let first = matches!(kind, Kind::Token | Kind::DriveList | Kind::List | Kind::Changes);
    let most = if first { 1 + times } else { 1 };
    ensure!(runs <= most, "{kind:?}: it took {runs} runs: {}", cloud.log());
    Ok(cloud)
}

#[test]
fn too_fast_three_times() -> Result<()> {
    for kind in [Kind::Multipart, Kind::Chunk, Kind::List] {
        survives(kind, 3, |fault| fault.answer(Answer::rate_limited()))?;
    }
    Ok(())
}

#[test]
fn too_many_with_a_time_to_wait() -> Result<()> {
    for kind in [Kind::Multipart, Kind::StartUpload] {
        survives(kind, 1, |fault| fault.answer(Answer::too_many(Some(2))))?;
    }
    Ok(())
}

/// Kinds of requests that a busy Drive sees.
fn kinds() -> impl Iterator<Item = Kind> {
    Kind::USUAL.into_iter().chain([Kind::Token, Kind::GenerateIds])
}

fn pages(status: u16) -> Result<()> {
    let page = "<p>The server encountered an error. Please try again in 30 seconds.</p>";
    for kind in kinds() {
        survives(kind, 1, |fault| fault.answer(Answer::server_error(status, page)))?;
    }
    Ok(())
}

#[test]
fn a_page_for_people_500() -> Result<()> {
    pages(500)
}

#[test]
fn a_page_for_people_502() -> Result<()> {
    pages(502)
}

#[test]
fn a_page_for_people_503() -> Result<()> {
    pages(503)
}

/// The question how far an upload came is asked after it broke, and may break itself.
#[test]
fn a_page_where_an_upload_is_asked_for() -> Result<()> {
    let cloud = busy()?;
    cloud.drive.fault(Fault::on(Kind::Chunk).nth(3).answer(Answer::drop_after_bytes(100_000)));
    cloud.drive.fault(Fault::on(Kind::QueryUpload).answer(Answer::server_error(503, "")));
    settles(&cloud, FILES)?;
    assert_eq!(cloud.drive.pending_faults(), 0);
    Ok(())
}

#[test]
fn a_reset_in_the_middle_of_a_chunk() -> Result<()> {
    for (nth, bytes) in [(1, 0), (2, 100_000), (9, 262_143)] {
        let cloud = survives(Kind::Chunk, 1, |fault| {
            fault.nth(nth).answer(Answer::drop_after_bytes(bytes))
        })?;
        let large = 2 * content::record(4, LARGE + (5 << 20)).len() as u64;
        let sent = cloud.received();
        ensure!(sent <= large + 262_144, "{sent} bytes were sent for {large}");
    }
    Ok(())
}

/// The reply is lost, the file is there: it must not come twice.
#[test]
fn a_reply_is_lost_after_the_commit() -> Result<()> {
    for kind in [Kind::Multipart, Kind::UpdateMultipart, Kind::Create] {
        survives(kind, 1, |fault| fault.answer(Answer::drop_after_commit()))?;
    }
    // The last chunk is what commits.
    let chunks = content::record(4, LARGE + (5 << 20)).len().div_ceil(262_144);
    for nth in [chunks, 2 * chunks] {
        survives(Kind::Chunk, 1, |fault| fault.nth(nth).answer(Answer::drop_after_commit()))?;
    }
    Ok(())
}

#[test]
fn a_connection_ends_before_anything_was_read() -> Result<()> {
    for kind in kinds() {
        survives(kind, 1, |fault| fault.answer(Answer::drop_before()))?;
    }
    Ok(())
}

#[test]
fn a_download_breaks_off() -> Result<()> {
    survives(Kind::Media, 2, |fault| fault.answer(Answer::drop_after_bytes(20_000)))?;
    Ok(())
}

/// The address of an upload was in the reply: nobody can end what nobody knows. Drive forgets it.
#[test]
fn the_reply_to_a_start_is_lost() -> Result<()> {
    let cloud = busy()?;
    cloud.drive.fault(Fault::on(Kind::StartUpload).answer(Answer::drop_after_commit()));
    cloud.sync()?;
    cloud.ensure_equal(FILES)?;
    assert_eq!(cloud.drive.open_sessions(), 1);
    Ok(())
}

/// Google forgets uploads after a week.
#[test]
fn a_session_expires_under_way() -> Result<()> {
    let drive = Emulator::builder().bandwidth(4 << 20).start();
    let cloud = Cloud::of(drive, |setup| setup.remote_line("chunk_size = 1048576"))?;
    cloud.write("large.mov", &content::record(9, 12 << 20))?;
    let run = cloud.studio.spawn_sync()?;
    until("some chunks have arrived", || cloud.requests(Kind::Chunk).len() >= 3);
    cloud.drive.expire_sessions();
    let outcome = run.wait()?;
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    cloud.ensure_equal(1)?;
    assert_eq!(cloud.drive.open_sessions(), 0);
    Ok(())
}

/// All uploads that are under way are forgotten while nobody looks.
#[test]
fn all_sessions_expire_between_two_runs() -> Result<()> {
    let drive = Emulator::builder().bandwidth(8 << 20).start();
    let cloud = Cloud::of(drive, |setup| setup.remote_line("chunk_size = 1048576"))?;
    cloud.write("large.mov", &content::record(9, 24 << 20))?;
    let mut run = cloud.studio.spawn_sync()?;
    until("some chunks have arrived", || {
        cloud.requests(Kind::Chunk).iter().filter(|chunk| chunk.status == 308).count() >= 3
    });
    run.kill()?;
    cloud.drive.expire_sessions();
    cloud.drive.set_bandwidth(None);
    cloud.sync()?;
    cloud.ensure_equal(1)?;
    assert_eq!(cloud.drive.open_sessions(), 0);
    Ok(())
}

#[test]
fn tokens_expire_during_an_upload() -> Result<()> {
    let drive = Emulator::builder().bandwidth(4 << 20).start();
    let cloud = Cloud::of(drive, |setup| setup.remote_line("chunk_size = 1048576"))?;
    cloud.write("large.mov", &content::record(9, 12 << 20))?;
    let run = cloud.studio.spawn_sync()?;
    until("some chunks have arrived", || cloud.requests(Kind::Chunk).len() >= 3);
    cloud.drive.expire_tokens();
    let outcome = run.wait()?;
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    cloud.ensure_equal(1)?;
    assert_eq!(cloud.requests(Kind::Token).len(), 2);
    assert_eq!(cloud.drive.open_sessions(), 0);
    Ok(())
}

/// Drive keeps something else than was sent: it is not called synced, and sent again.
#[test]
fn what_arrives_is_damaged() -> Result<()> {
    for kind in [Kind::Multipart, Kind::UpdateMultipart, Kind::Chunk, Kind::Media] {
        let cloud = busy()?;
        cloud.drive.fault(Fault::on(kind).answer(Answer::wrong_md5()));
        settles(&cloud, FILES).with_context(|| format!("{kind:?}"))?;
        assert_eq!(cloud.drive.pending_faults(), 0, "{kind:?}");
    }
    Ok(())
}
