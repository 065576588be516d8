//! Reading: whole, in parts, and only what was asked for.

use super::{Case, case, needs};
use crate::conformance::content::same;
use crate::conformance::ground::Ground;
use crate::conformance::outcome::{Outcome, demand, refused, refused_somehow};
use crate::{Bytes, DeleteOptions, ErrorKind, Kind, Known, ReadOptions};

pub(super) const CASES: &[Case] = &[
    case!(
        "read",
        a_read_gives_at_most_what_is_asked_for,
        "The host takes a longer answer for a broken one, and sizes its buffers by what it asked."
    ),
    case!(
        "read",
        the_end_is_the_only_empty_answer,
        "Empty means the end: an empty answer before it cuts the file off."
    ),
    case!(
        "read",
        a_range_from_the_start_is_read,
        needs::ranges,
        "Several connections read parts of one large file; each must get its own."
    ),
    case!(
        "read",
        a_range_in_the_middle_is_read,
        needs::ranges,
        "An error of one in the first or the last byte is the usual one."
    ),
    case!(
        "read",
        the_rest_of_a_file_is_read,
        needs::ranges,
        "A resumed transfer reads the source from the byte that the destination lacks."
    ),
    case!(
        "read",
        a_range_at_the_end_is_empty,
        needs::ranges,
        "An upload that was cut off right before finish resumes at the end, and reads nothing more."
    ),
    case!(
        "read",
        a_range_without_length_is_empty,
        needs::ranges,
        "A request for no bytes cannot be said to most services, and must not become one for all."
    ),
    case!(
        "read",
        a_range_beyond_the_end_stops_there,
        needs::ranges,
        "The last part of a file is shorter than the others."
    ),
    case!(
        "read",
        the_expected_version_is_read,
        "The host reads exactly the version that it has planned to send."
    ),
    case!(
        "read",
        another_version_is_not_read,
        "A file that changed since it was looked at is another file: `Precondition` says so."
    ),
    case!(
        "read",
        a_vanished_version_is_not_read,
        "A source that is gone is no failure of the transfer, and told apart by its kind."
    ),
    case!(
        "read",
        the_reader_tells_what_stat_tells,
        "What is read is recorded under what the reader says that it opened."
    ),
    case!(
        "read",
        readers_are_independent_of_each_other,
        "One file is sent to several sites at once."
    ),
    case!(
        "read",
        a_reader_may_be_dropped_early,
        "Comparing two files ends at the first difference; connections must not be left half read."
    ),
    case!(
        "read",
        a_folder_is_not_read,
        "A folder that reads as an empty file would be sent as one."
    ),
    case!(
        "read",
        what_is_remembered_is_only_a_hint,
        "The host remembers ids and versions across restarts; what is out of date must not mislead."
    ),
];

async fn a_read_gives_at_most_what_is_asked_for(t: Ground) -> Outcome {
    let bytes = t.content(100_000);
    t.put("file", &bytes).await?;
    for max in [1000, 4096, 65_537, 1 << 20] {
        let mut reading = t.open_read("file", ReadOptions::new()).await?;
        let mut seen = Vec::new();
        loop {
            let chunk = reading.read(max).await?;
            demand!(chunk.len() <= max, "{} bytes came where {max} were asked for", chunk.len());
            if chunk.is_empty() {
                break;
            }
            seen.extend_from_slice(&chunk);
        }
        same(&format!("the file by {max} bytes"), &seen, &bytes)?;
    }
    let mut reading = t.open_read("file", ReadOptions::new()).await?;
    let byte = reading.read(1).await?;
    same("its first byte", &byte, &bytes[..1])
}

async fn the_end_is_the_only_empty_answer(t: Ground) -> Outcome {
    for size in [0, 1, 1 << 20] {
        let name = format!("{size}");
        let bytes = t.content(size);
        t.put(&name, &bytes).await?;
        let mut reading = t.open_read(&name, ReadOptions::new()).await?;
        let mut seen = 0;
        while seen < size {
            let chunk = reading.read(300_000).await?;
            demand!(!chunk.is_empty(), "after {seen} of {size} bytes an empty answer came");
            seen += chunk.len();
        }
        for _ in 0..3 {
            let more = reading.read(300_000).await?.len();
            demand!(more == 0, "after all {size} bytes {more} more came");
        }
    }
    Ok(())
}

const SIZE: usize = 300_000;

/// Demands that this part of the file is what comes.
async fn part(t: &Ground, bytes: &Bytes, from: usize, len: Option<usize>) -> Outcome {
    let how = ReadOptions::new().range(from as u64, len.map(|len| len as u64));
    let seen = t.open_read("file", how).await?.rest(64 << 10).await?;
    let from = from.min(bytes.len());
    let end = len.map_or(bytes.len(), |len| (from + len).min(bytes.len()));
    same(&format!("the range from {from}, of {len:?} bytes"), &seen, &bytes[from..end])
}

async fn ranged(t: &Ground) -> Outcome<Bytes> {
    let bytes = t.content(SIZE);
    t.put("file", &bytes).await?;
    Ok(bytes)
}

async fn a_range_from_the_start_is_read(t: Ground) -> Outcome {
    let bytes = ranged(&t).await?;
    for len in [1, 2, 4096, SIZE - 1, SIZE] {
        part(&t, &bytes, 0, Some(len)).await?;
    }
    Ok(())
}

async fn a_range_in_the_middle_is_read(t: Ground) -> Outcome {
    let bytes = ranged(&t).await?;
    for (from, len) in [(1, 1), (1, SIZE - 2), (4095, 4098), (65_536, 65_536), (SIZE - 2, 1)] {
        part(&t, &bytes, from, Some(len)).await?;
    }
    Ok(())
}

async fn the_rest_of_a_file_is_read(t: Ground) -> Outcome {
    let bytes = ranged(&t).await?;
    for from in [0, 1, 4096, SIZE / 2, SIZE - 1] {
        part(&t, &bytes, from, None).await?;
        part(&t, &bytes, from, Some(SIZE - from)).await?;
    }
    let version = t.stat("file").await?.fingerprint();
    let how = ReadOptions::new().range(1000, None).if_version(version);
    let reading = t.open_read("file", how).await?;
    let size = reading.metadata().size;
    demand!(size == SIZE as u64, "the reader of a part says that the file has {size} bytes");
    same("the rest of the expected version", &reading.rest(1 << 20).await?, &bytes[1000..])
}

async fn a_range_at_the_end_is_empty(t: Ground) -> Outcome {
    let bytes = ranged(&t).await?;
    part(&t, &bytes, SIZE, None).await?;
    part(&t, &bytes, SIZE, Some(10)).await?;
    t.put("empty", &t.content(0)).await?;
    let how = ReadOptions::new().range(0, None);
    let seen = t.open_read("empty", how).await?.rest(10).await?;
    same("an empty file from its end", &seen, &[])
}

async fn a_range_without_length_is_empty(t: Ground) -> Outcome {
    let bytes = ranged(&t).await?;
    for from in [0, 1000, SIZE] {
        part(&t, &bytes, from, Some(0)).await?;
    }
    Ok(())
}

async fn a_range_beyond_the_end_stops_there(t: Ground) -> Outcome {
    let bytes = ranged(&t).await?;
    part(&t, &bytes, SIZE - 10, Some(11)).await?;
    part(&t, &bytes, 0, Some(2 * SIZE)).await?;
    part(&t, &bytes, 10, Some(usize::MAX / 4)).await?;
    let how = ReadOptions::new().range(SIZE as u64 + 1, None);
    // Some services refuse what begins beyond the end.
    match t.open_read("file", how).await {
        Ok(reading) => match reading.rest(10).await {
            Ok(seen) => same("what is beyond the end", &seen, &[]),
            Err(error) => refused_somehow::<()>("reading beyond the end", Err(error)),
        },
        Err(error) => refused_somehow::<()>("opening beyond the end", Err(error)),
    }
}

async fn the_expected_version_is_read(t: Ground) -> Outcome {
    let bytes = t.content(1000);
    t.put("file", &bytes).await?;
    let how = ReadOptions::new().if_version(t.stat("file").await?.fingerprint());
    same("the expected version", &t.open_read("file", how).await?.rest(1 << 20).await?, &bytes)
}

async fn another_version_is_not_read(t: Ground) -> Outcome {
    let old = t.put("file", &t.content(1000)).await?;
    t.replace("file", &t.content(2000), &old).await?;
    for version in [old.fingerprint(), "nonsense".to_owned()] {
        let how = ReadOptions::new().if_version(&version);
        let answer = match t.open_read("file", how).await {
            Ok(reading) => reading.rest(1 << 20).await,
            Err(error) => Err(error),
        };
        refused(&format!("reading version {version:?}"), answer, &[ErrorKind::Precondition])?;
    }
    Ok(())
}

async fn a_vanished_version_is_not_read(t: Ground) -> Outcome {
    let old = t.put("file", &t.content(1000)).await?;
    t.delete("file", DeleteOptions::default()).await?;
    let kinds = [ErrorKind::NotFound];
    for how in [ReadOptions::new(), ReadOptions::new().if_version(old.fingerprint())] {
        refused("reading what was deleted", t.open_read("file", how).await, &kinds)?;
    }
    let never = t.open_read("folder/never", ReadOptions::new()).await;
    refused("reading what never was", never, &kinds)?;
    Ok(())
}

async fn the_reader_tells_what_stat_tells(t: Ground) -> Outcome {
    for size in [0, 1000, 2 << 20] {
        let name = format!("{size}");
        t.put(&name, &t.content(size)).await?;
        let found = t.stat(&name).await?;
        let reading = t.open_read(&name, ReadOptions::new()).await?;
        let opened = reading.metadata();
        demand!(
            opened.kind == Kind::File
                && opened.size == found.size
                && opened.fingerprint() == found.fingerprint()
                && opened.mtime_ns == found.mtime_ns,
            "the reader says {opened:?}, and stat {found:?}"
        );
    }
    Ok(())
}

async fn readers_are_independent_of_each_other(t: Ground) -> Outcome {
    let bytes = t.content(200_000);
    t.put("file", &bytes).await?;
    let mut one = t.open_read("file", ReadOptions::new()).await?;
    let mut seen = one.read(1000).await?.to_vec();
    let other = t.open_read("file", ReadOptions::new()).await?;
    seen.extend(one.read(1000).await?);
    same("the second reader's", &other.rest(50_000).await?, &bytes)?;
    seen.extend(one.rest(70_000).await?);
    same("the first reader's", &seen, &bytes)
}

async fn a_reader_may_be_dropped_early(t: Ground) -> Outcome {
    let bytes = t.content(4 << 20);
    t.put("file", &bytes).await?;
    for _ in 0..16 {
        let mut reading = t.open_read("file", ReadOptions::new()).await?;
        reading.read(1000).await?;
    }
    t.holds("file", &bytes).await?;
    t.delete("file", DeleteOptions::default()).await?;
    t.absent("file").await
}

async fn a_folder_is_not_read(t: Ground) -> Outcome {
    t.put("folder/file", &t.content(1000)).await?;
    let answer = match t.open_read("folder", ReadOptions::new()).await {
        Ok(reading) => reading.rest(1 << 20).await,
        Err(error) => Err(error),
    };
    refused("reading a folder", answer, &[ErrorKind::InvalidPath, ErrorKind::NotFound])?;
    Ok(())
}

async fn what_is_remembered_is_only_a_hint(t: Ground) -> Outcome {
    t.put("file", &t.content(1000)).await?;
    let other = t.put("other", &t.content(2000)).await?;
    t.delete("other", DeleteOptions::default()).await?;
    let version = Some(other.fingerprint());
    for known in [
        Known::new(other.id.clone(), version),
        Known::new(Some("nonsense".to_owned()), Some("nonsense".to_owned())),
        Known::new(Some(String::new()), None),
    ] {
        let found = t.stat_known("file", &known).await?;
        demand!(found.size == 1000, "with {known:?} remembered, stat finds {found:?}");
        let gone = t.stat_known("other", &known).await;
        refused("stat of what was deleted", gone, &[ErrorKind::NotFound])?;
    }
    Ok(())
}
