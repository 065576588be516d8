//! Going on with a write that was cut off.

use super::{Case, case, needs};
use crate::conformance::ground::{Ground, Writing};
use crate::conformance::outcome::{Outcome, demand, fail, refused, refused_somehow};
use crate::{Bytes, ErrorKind, Expect, Result, WriteOptions};

pub(super) const CASES: &[Case] = &[
    case!(
        "resume",
        an_interrupted_write_goes_on,
        needs::resume,
        "An upload of hours that begins anew after each broken connection never ends."
    ),
    case!(
        "resume",
        it_goes_on_from_every_checkpoint,
        needs::resume,
        "The connection breaks anywhere, and what came after the checkpoint is written again."
    ),
    case!(
        "resume",
        it_goes_on_after_a_restart,
        needs::resume,
        "The token is all that survives the host: what it stands for must not live in the instance."
    ),
    case!(
        "resume",
        it_goes_on_more_than_once,
        needs::resume,
        "A bad line breaks again, before the next checkpoint."
    ),
    case!(
        "resume",
        a_resumed_write_is_not_visible_before_finish,
        needs::resume,
        "What was written before the break is half a file, and stays unseen."
    ),
    case!(
        "resume",
        a_resumed_write_expects_what_it_says,
        needs::resume,
        "Much may have happened at the destination since the write was cut off."
    ),
    case!(
        "resume",
        a_resumed_overwrite_replaces,
        needs::resume,
        "Updates of large files are cut off as well."
    ),
    case!(
        "resume",
        a_nonsense_token_begins_anew,
        "Tokens are stored for weeks, and may be those of another version of the provider."
    ),
    case!(
        "resume",
        a_token_of_another_file_is_not_taken,
        needs::resume,
        "Going on with another file's bytes makes a file of two contents, with the right size."
    ),
    case!(
        "resume",
        a_token_of_a_finished_write_begins_anew,
        needs::resume,
        "The host may die after the finish and before it is recorded: the token is used again."
    ),
    case!(
        "resume",
        a_token_of_a_discarded_write_begins_anew,
        needs::resume,
        "What was thrown away must not come back."
    ),
    case!(
        "resume",
        two_writes_with_one_token_do_not_mix,
        needs::resume,
        "An old writer may not have ended when the host goes on: two that write to one place would \
         mix their bytes."
    ),
];

const MIB: usize = 1 << 20;
/// The host asks for a checkpoint this often: by then there is one where `resume` is declared.
const CHECKPOINT: usize = 64 * MIB;
/// What follows after the checkpoint.
const REST: usize = 2 * MIB + 77;

fn how(bytes: &Bytes, token: Option<Vec<u8>>) -> WriteOptions {
    WriteOptions::new(bytes.len() as u64, Expect::Nothing)
        .mtime_ns(Some(1_600_000_000_000_000_000))
        .resume(token)
}

/// How many bytes a provider takes before it gives a token.
async fn bytes_to_a_token(t: &Ground) -> Outcome<usize> {
    let bytes = t.content(MIB);
    let options = WriteOptions::new((CHECKPOINT + MIB) as u64, Expect::Nothing);
    let mut writing = t.open_write("first", options).await?;
    for written in 1..=CHECKPOINT / MIB {
        writing.write(&bytes).await?;
        if writing.checkpoint().await?.is_some() {
            writing.discard().await?;
            return Ok(written * MIB);
        }
    }
    fail("the root declares `resume`, and no checkpoint within 64 MiB gave a token")
}

/// A write that was cut off after a checkpoint: its content, its token, and how many bytes had
/// been written.
struct Cut {
    bytes: Bytes,
    token: Vec<u8>,
    written: usize,
}

/// Begins a write, asks for a checkpoint after so many bytes, writes `more`, and drops it.
async fn cut(t: &Ground, name: &str, at: usize, more: usize) -> Outcome<Cut> {
    let bytes = t.content(at + more + REST);
    let mut writing = t.open_write(name, how(&bytes, None)).await?;
    writing.write(&bytes.slice(..at)).await?;
    let Some(token) = writing.checkpoint().await? else {
        return fail(format!("after {at} bytes there was a token before, and now there is none"));
    };
    writing.write(&bytes.slice(at..at + more)).await?;
    Ok(Cut { bytes, token, written: at + more })
}

/// Writes what is missing, and finishes.
async fn rest(mut writing: Writing, bytes: &Bytes) -> Result<()> {
    let from = usize::try_from(writing.offset).unwrap_or(usize::MAX).min(bytes.len());
    writing.write(&bytes.slice(from..)).await?;
    writing.finish().await.map(drop)
}

/// Goes on, and demands that it is not from the start.
async fn resumed(t: &Ground, name: &str, cut: &Cut) -> Outcome<Writing> {
    let writing = t.open_write(name, how(&cut.bytes, Some(cut.token.clone()))).await?;
    demand!(
        (1..=cut.written as u64).contains(&writing.offset),
        "of {} bytes that were written, it goes on from byte {}",
        cut.written,
        writing.offset
    );
    Ok(writing)
}

async fn an_interrupted_write_goes_on(t: Ground) -> Outcome {
    let at = bytes_to_a_token(&t).await?;
    let cut = cut(&t, "file", at, 0).await?;
    let writing = resumed(&t, "file", &cut).await?;
    rest(writing, &cut.bytes).await?;
    t.holds("file", &cut.bytes).await
}

async fn it_goes_on_from_every_checkpoint(t: Ground) -> Outcome {
    let step = bytes_to_a_token(&t).await?;
    for (n, more) in [0, 1000, MIB + 1].into_iter().enumerate() {
        let name = format!("file {n}");
        let cut = cut(&t, &name, step * (n + 1), more).await?;
        let writing = resumed(&t, &name, &cut).await?;
        rest(writing, &cut.bytes).await?;
        t.holds(&name, &cut.bytes).await?;
    }
    Ok(())
}

async fn it_goes_on_after_a_restart(t: Ground) -> Outcome {
    let at = bytes_to_a_token(&t).await?;
    let cut = cut(&t, "folder/file", at, 1000).await?;
    let later = t.reconnected().await?;
    drop(t);
    let writing = resumed(&later, "folder/file", &cut).await?;
    rest(writing, &cut.bytes).await?;
    later.holds("folder/file", &cut.bytes).await
}

async fn it_goes_on_more_than_once(t: Ground) -> Outcome {
    let at = bytes_to_a_token(&t).await?;
    let mut cut = cut(&t, "file", at, 0).await?;
    for _ in 0..3 {
        // Broken again, after some more bytes and without a checkpoint. A service that counts what
        // has arrived may go on from there.
        let mut writing = resumed(&t, "file", &cut).await?;
        let from = writing.offset as usize;
        writing.write(&cut.bytes.slice(from..from + 1000)).await?;
        cut.written = cut.written.max(from + 1000);
    }
    let writing = resumed(&t, "file", &cut).await?;
    rest(writing, &cut.bytes).await?;
    t.holds("file", &cut.bytes).await
}

async fn a_resumed_write_is_not_visible_before_finish(t: Ground) -> Outcome {
    let at = bytes_to_a_token(&t).await?;
    let cut = cut(&t, "file", at, 0).await?;
    t.absent("file").await?;
    let mut writing = resumed(&t, "file", &cut).await?;
    t.absent("file").await?;
    writing.write(&cut.bytes.slice(writing.offset as usize..)).await?;
    t.absent("file").await?;
    writing.finish().await?;
    t.holds("file", &cut.bytes).await
}

async fn a_resumed_write_expects_what_it_says(t: Ground) -> Outcome {
    let at = bytes_to_a_token(&t).await?;
    let cut = cut(&t, "file", at, 0).await?;
    let theirs = t.content(1000);
    t.put("file", &theirs).await?;
    let answer = match t.open_write("file", how(&cut.bytes, Some(cut.token.clone()))).await {
        Ok(writing) => rest(writing, &cut.bytes).await,
        Err(error) => Err(error),
    };
    refused("finishing over another file", answer, &[ErrorKind::AlreadyExists])?;
    t.holds("file", &theirs).await
}

async fn a_resumed_overwrite_replaces(t: Ground) -> Outcome {
    let at = bytes_to_a_token(&t).await?;
    let old = t.content(1000);
    let was = t.put("file", &old).await?;
    let bytes = t.content(at + REST);
    let how = |token| {
        let expect = Expect::Version(was.fingerprint());
        WriteOptions::new(bytes.len() as u64, expect).resume(token)
    };
    let mut writing = t.open_write("file", how(None)).await?;
    writing.write(&bytes.slice(..at)).await?;
    let token = writing.checkpoint().await?;
    drop(writing);
    t.holds("file", &old).await?;
    rest(t.open_write("file", how(token)).await?, &bytes).await?;
    t.holds("file", &bytes).await
}

/// Demands that a write with this token begins anew, or is refused; and that what is finished has
/// the right content.
async fn begins_anew(t: &Ground, name: &str, bytes: &Bytes, token: &[u8]) -> Outcome {
    let writing = match t.open_write(name, how(bytes, Some(token.to_vec()))).await {
        Ok(writing) => writing,
        Err(error) => return refused_somehow::<()>("resuming", Err(error)),
    };
    demand!(writing.offset == 0, "it goes on from byte {}", writing.offset);
    rest(writing, bytes).await?;
    t.holds(name, bytes).await
}

async fn a_nonsense_token_begins_anew(t: Ground) -> Outcome {
    let long = vec![b'x'; 10_000];
    let tokens: [&[u8]; 7] =
        [b"", b"nonsense", b"1 2 3 4 5", b"\0\xff\xfe", b"../../x", b"{\"offset\":100}", &long];
    for (n, token) in tokens.into_iter().enumerate() {
        begins_anew(&t, &format!("file {n}"), &t.content(100_000), token).await?;
    }
    Ok(())
}

async fn a_token_of_another_file_is_not_taken(t: Ground) -> Outcome {
    let at = bytes_to_a_token(&t).await?;
    let cut = cut(&t, "file", at, 0).await?;
    let same_size = t.content(cut.bytes.len());
    begins_anew(&t, "shorter", &t.content(1000), &cut.token).await?;
    begins_anew(&t, "as long", &same_size, &cut.token).await?;
    begins_anew(&t, "folder/file", &same_size, &cut.token).await?;
    // And the file itself goes on.
    let writing = t.open_write("file", how(&cut.bytes, Some(cut.token.clone()))).await?;
    rest(writing, &cut.bytes).await?;
    t.holds("file", &cut.bytes).await
}

async fn a_token_of_a_finished_write_begins_anew(t: Ground) -> Outcome {
    let at = bytes_to_a_token(&t).await?;
    let cut = cut(&t, "file", at, 0).await?;
    rest(resumed(&t, "file", &cut).await?, &cut.bytes).await?;
    let was = t.stat("file").await?;
    let other = t.content(cut.bytes.len());
    let options = WriteOptions::new(other.len() as u64, Expect::Version(was.fingerprint()))
        .mtime_ns(Some(1_600_000_000_000_000_000))
        .resume(Some(cut.token));
    match t.open_write("file", options).await {
        Ok(writing) => {
            demand!(writing.offset == 0, "it goes on from byte {}", writing.offset);
            t.holds("file", &cut.bytes).await?;
            rest(writing, &other).await?;
            t.holds("file", &other).await
        }
        Err(error) => refused_somehow::<()>("resuming", Err(error)),
    }
}

async fn a_token_of_a_discarded_write_begins_anew(t: Ground) -> Outcome {
    let at = bytes_to_a_token(&t).await?;
    let cut = cut(&t, "file", at, 0).await?;
    resumed(&t, "file", &cut).await?.discard().await?;
    begins_anew(&t, "file", &t.content(cut.bytes.len()), &cut.token).await
}

async fn two_writes_with_one_token_do_not_mix(t: Ground) -> Outcome {
    let at = bytes_to_a_token(&t).await?;
    let cut = cut(&t, "file", at, 0).await?;
    let mut one = resumed(&t, "file", &cut).await?;
    // The same beginning, and another end.
    let other = t.content(cut.bytes.len());
    let end = |content: &Bytes| [&cut.bytes[..at], &content[at..]].concat();
    let (ours, theirs) = (Bytes::from(end(&cut.bytes)), Bytes::from(end(&other)));
    let two = t.open_write("file", how(&cut.bytes, Some(cut.token.clone()))).await;
    let from = one.offset as usize;
    let one_written = one.write(&ours.slice(from..from + MIB)).await;
    let second = match two {
        Ok(two) => rest(two, &theirs).await,
        Err(error) => Err(error),
    };
    let first = match one_written {
        Ok(()) => {
            let written = one.write(&ours.slice(from + MIB..)).await;
            match written {
                Ok(()) => one.finish().await.map(drop),
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error),
    };
    match (first, second) {
        (Ok(()), Ok(())) => fail("both were finished, though nothing was to be there"),
        (Ok(()), Err(_)) => t.holds("file", &ours).await,
        (Err(_), Ok(())) => t.holds("file", &theirs).await,
        (Err(_), Err(_)) => t.absent("file").await,
    }
}
