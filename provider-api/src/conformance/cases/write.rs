//! Writing new files: nothing before all of it, and all of it as it was.

use super::{Case, case};
use crate::conformance::ground::Ground;
use crate::conformance::outcome::{Outcome, demand, refused, refused_somehow};
use crate::{ErrorKind, Expect, Kind, WriteOptions};

pub(super) const CASES: &[Case] = &[
    case!(
        "write",
        what_was_written_is_read,
        "A file arrives with every byte that was sent, and no other."
    ),
    case!(
        "write",
        nothing_is_visible_before_finish,
        "Half of a file that is seen under its name is taken for the whole by whoever reads it."
    ),
    case!(
        "write",
        a_dropped_writer_leaves_nothing_visible,
        "The host may end at any moment, and what it was writing must not look like a file then."
    ),
    case!(
        "write",
        a_discarded_write_leaves_nothing_visible,
        "The host discards what it read from two contents: no one may ever see it."
    ),
    case!(
        "write",
        an_empty_file_is_a_file,
        "Empty files mark things, and a provider that uploads on the first byte would drop them."
    ),
    case!(
        "write",
        sizes_at_the_edges_of_chunks_are_exact,
        "Services take parts of fixed sizes: a file that ends at the edge of one loses or repeats \
         its last part most easily."
    ),
    case!(
        "write",
        chunks_of_any_size_make_one_file,
        "Chunks come as sources give them, and a provider may buffer but not lose or reorder them."
    ),
    case!(
        "write",
        a_large_file_arrives,
        "What takes many parts goes another way in most services than what fits in one request."
    ),
    case!(
        "write",
        fewer_bytes_than_announced_are_refused,
        "A source that ends early is torn, and must not be published as if it were whole."
    ),
    case!(
        "write",
        more_bytes_than_announced_are_refused,
        "A source that grew while it was read is of two contents."
    ),
    case!(
        "write",
        parents_are_made_on_the_way,
        "The host sends files and not folders: a missing parent is no reason to fail."
    ),
    case!(
        "write",
        finish_tells_what_is_there,
        "What finish returns is recorded as the file's fingerprint: if a later look gives another, \
         the host takes the file for changed by someone else."
    ),
    case!(
        "write",
        a_finished_file_is_listed_at_once,
        "The next scan reads listings: a file that is finished and not listed counts as deleted."
    ),
    case!(
        "write",
        a_write_beneath_a_file_is_refused,
        "A file where a folder is needed is nothing to retry: `InvalidPath` says so."
    ),
    case!(
        "write",
        a_write_in_place_of_a_folder_is_refused,
        "A folder with all in it must not give way to a file of the same name."
    ),
    case!(
        "write",
        two_writes_of_one_name_do_not_mix,
        "A late writer whose temporary is named after the file would write into another's bytes."
    ),
    case!(
        "write",
        checkpoints_do_no_harm,
        "The host asks for one every 64 MiB, whether there is such a thing or not."
    ),
    case!(
        "write",
        writes_are_independent_of_each_other,
        "Several files are under way at once in one instance, in any order of steps."
    ),
];

async fn what_was_written_is_read(t: Ground) -> Outcome {
    let bytes = t.content(100_000);
    t.put("file", &bytes).await?;
    t.holds("file", &bytes).await
}

async fn nothing_is_visible_before_finish(t: Ground) -> Outcome {
    let bytes = t.content(3 << 20);
    let how = WriteOptions::new(bytes.len() as u64, Expect::Nothing);
    let mut writing = t.open_write("folder/file", how).await?;
    t.absent("folder/file").await?;
    for chunk in 0..3 {
        writing.write(&bytes.slice(chunk << 20..(chunk + 1) << 20)).await?;
        t.absent("folder/file").await?;
    }
    writing.checkpoint().await?;
    t.absent("folder/file").await?;
    writing.finish().await?;
    t.holds("folder/file", &bytes).await
}

async fn a_dropped_writer_leaves_nothing_visible(t: Ground) -> Outcome {
    let bytes = t.content(2 << 20);
    let how = WriteOptions::new(bytes.len() as u64, Expect::Nothing);
    let mut writing = t.open_write("file", how).await?;
    writing.write(&bytes).await?;
    drop(writing);
    t.absent("file").await?;
    // Nor is it in the way of the next one.
    t.put("file", &bytes).await?;
    t.holds("file", &bytes).await
}

async fn a_discarded_write_leaves_nothing_visible(t: Ground) -> Outcome {
    let bytes = t.content(2 << 20);
    for written in [0, 1 << 20, bytes.len()] {
        let how = WriteOptions::new(bytes.len() as u64, Expect::Nothing);
        let mut writing = t.open_write("file", how).await?;
        writing.write(&bytes.slice(..written)).await?;
        writing.discard().await?;
        t.absent("file").await?;
    }
    t.put("file", &bytes).await?;
    t.holds("file", &bytes).await
}

async fn an_empty_file_is_a_file(t: Ground) -> Outcome {
    let empty = t.content(0);
    let finished = t.put("file", &empty).await?;
    demand!(finished.size == 0, "finish says that it has {} bytes", finished.size);
    let found = t.stat("file").await?;
    demand!(found.kind == Kind::File && found.size == 0, "stat says {found:?}");
    let listed = t.entries("").await?;
    let kind = listed.get("file").map(|entry| entry.kind);
    demand!(kind == Some(Kind::File), "it is listed as {kind:?}");
    t.holds("file", &empty).await
}

async fn sizes_at_the_edges_of_chunks_are_exact(t: Ground) -> Outcome {
    const KIB: usize = 1 << 10;
    const MIB: usize = 1 << 20;
    for edge in [4 * KIB, 64 * KIB, 128 * KIB, 256 * KIB, 512 * KIB, MIB, 2 * MIB] {
        for size in [edge - 1, edge, edge + 1] {
            let name = format!("{size}");
            let bytes = t.content(size);
            let finished = t.put(&name, &bytes).await?;
            demand!(finished.size == size as u64, "{size} bytes became {}", finished.size);
            let found = t.stat(&name).await?.size;
            demand!(found == size as u64, "{size} bytes were written, stat says {found}");
            t.holds(&name, &bytes).await?;
        }
    }
    Ok(())
}

async fn chunks_of_any_size_make_one_file(t: Ground) -> Outcome {
    let bytes = t.content(700_000);
    let how = WriteOptions::new(bytes.len() as u64, Expect::Nothing);
    let mut writing = t.open_write("file", how).await?;
    let mut at = 0;
    for size in [1, 1, 7, 4095, 4097, 65_537, 262_143, 3].into_iter().cycle() {
        let end = (at + size).min(bytes.len());
        writing.write(&bytes.slice(at..end)).await?;
        at = end;
        if at == bytes.len() {
            break;
        }
    }
    writing.finish().await?;
    t.holds("file", &bytes).await
}

async fn a_large_file_arrives(t: Ground) -> Outcome {
    let bytes = t.content((24 << 20) + 12_345);
    let finished = t.put("file", &bytes).await?;
    demand!(finished.size == bytes.len() as u64, "finish says {} bytes", finished.size);
    t.holds("file", &bytes).await
}

async fn fewer_bytes_than_announced_are_refused(t: Ground) -> Outcome {
    let bytes = t.content(1 << 20);
    for announced in [1, bytes.len() + 1, 2 * bytes.len()] {
        let sent = if announced == 1 { bytes.slice(..0) } else { bytes.clone() };
        let how = WriteOptions::new(announced as u64, Expect::Nothing);
        let what = format!("finishing {} of {announced} bytes", sent.len());
        refused_somehow(&what, t.write("file", &sent, how).await)?;
        t.absent("file").await?;
    }
    t.put("file", &bytes).await?;
    t.holds("file", &bytes).await
}

async fn more_bytes_than_announced_are_refused(t: Ground) -> Outcome {
    let bytes = t.content((1 << 20) + 1);
    for announced in [0, 1, bytes.len() - 1] {
        let how = WriteOptions::new(announced as u64, Expect::Nothing);
        let what = format!("finishing {} bytes where {announced} were announced", bytes.len());
        refused_somehow(&what, t.write("file", &bytes, how).await)?;
        t.absent("file").await?;
    }
    Ok(())
}

async fn parents_are_made_on_the_way(t: Ground) -> Outcome {
    let bytes = t.content(1000);
    t.put("a/b/c/d/file", &bytes).await?;
    t.holds("a/b/c/d/file", &bytes).await?;
    for folder in ["a", "a/b", "a/b/c", "a/b/c/d"] {
        let found = t.stat(folder).await?.kind;
        demand!(found == Kind::Folder, "{folder:?} is a {found:?}");
    }
    let names: Vec<_> = t.entries("a/b").await?.into_keys().collect();
    demand!(names == ["c"], "\"a/b\" holds {names:?}");
    Ok(())
}

async fn finish_tells_what_is_there(t: Ground) -> Outcome {
    for (name, size) in [("empty", 0), ("small", 1000), ("larger", 3 << 20)] {
        let bytes = t.content(size);
        let how = WriteOptions::new(size as u64, Expect::Nothing)
            .mtime_ns(Some(1_600_000_000_000_000_000));
        let finished = t.write(name, &bytes, how).await?;
        let found = t.stat(name).await?;
        demand!(finished.kind == Kind::File, "finish says that {name:?} is a {:?}", finished.kind);
        demand!(
            finished.size == found.size && finished.fingerprint() == found.fingerprint(),
            "of {name:?} finish says {finished:?}, and stat {found:?}"
        );
        demand!(
            finished.mtime_ns == found.mtime_ns,
            "of {name:?} finish says the time {:?}, and stat {:?}",
            finished.mtime_ns,
            found.mtime_ns
        );
    }
    Ok(())
}

async fn a_finished_file_is_listed_at_once(t: Ground) -> Outcome {
    for n in 0..5 {
        let name = format!("file {n}");
        let finished = t.put(&name, &t.content(100 + n)).await?;
        let entries = t.entries("").await?;
        let Some(listed) = entries.get(&name) else {
            return crate::conformance::outcome::fail(format!("{name:?} is not listed"));
        };
        demand!(
            listed.size == finished.size && listed.fingerprint() == finished.fingerprint(),
            "of {name:?} finish says {finished:?}, and the listing {listed:?}"
        );
    }
    Ok(())
}

async fn a_write_beneath_a_file_is_refused(t: Ground) -> Outcome {
    let bytes = t.content(1000);
    t.put("file", &bytes).await?;
    for name in ["file/x", "file/folder/x"] {
        let answer = t.put(name, &bytes).await;
        refused("writing beneath a file", answer, &[ErrorKind::InvalidPath])?;
        let found = t.stat(name).await;
        refused("stat beneath a file", found, &[ErrorKind::NotFound, ErrorKind::InvalidPath])?;
    }
    t.holds("file", &bytes).await
}

async fn a_write_in_place_of_a_folder_is_refused(t: Ground) -> Outcome {
    let bytes = t.content(1000);
    t.put("folder/file", &bytes).await?;
    t.create_folder("empty").await?;
    for name in ["folder", "empty"] {
        let kinds = [ErrorKind::InvalidPath, ErrorKind::AlreadyExists, ErrorKind::Precondition];
        refused("writing over a folder", t.put(name, &bytes).await, &kinds)?;
        let found = t.stat(name).await?.kind;
        demand!(found == Kind::Folder, "the folder {name:?} has become a {found:?}");
    }
    t.holds("folder/file", &bytes).await
}

async fn two_writes_of_one_name_do_not_mix(t: Ground) -> Outcome {
    let (one, two) = (t.content(3 << 20), t.content(3 << 20));
    let how = || WriteOptions::new(3 << 20, Expect::Nothing);
    let mut first = t.open_write("file", how()).await?;
    let mut second = t.open_write("file", how()).await?;
    for chunk in 0..3 {
        let part = chunk << 20..(chunk + 1) << 20;
        first.write(&one.slice(part.clone())).await?;
        second.write(&two.slice(part)).await?;
    }
    second.finish().await?;
    t.holds("file", &two).await?;
    refused("finishing the second one", first.finish().await, &[ErrorKind::AlreadyExists])?;
    t.holds("file", &two).await
}

async fn checkpoints_do_no_harm(t: Ground) -> Outcome {
    let bytes = t.content(2 << 20);
    let how = WriteOptions::new(bytes.len() as u64, Expect::Nothing);
    let mut writing = t.open_write("file", how).await?;
    writing.checkpoint().await?;
    writing.write(&bytes.slice(..1 << 20)).await?;
    writing.checkpoint().await?;
    writing.checkpoint().await?;
    writing.write(&bytes.slice(1 << 20..)).await?;
    writing.checkpoint().await?;
    writing.finish().await?;
    t.holds("file", &bytes).await
}

async fn writes_are_independent_of_each_other(t: Ground) -> Outcome {
    let mut open = Vec::new();
    for n in 0..4 {
        let bytes = t.content(2 << 20);
        let how = WriteOptions::new(bytes.len() as u64, Expect::Nothing);
        open.push((n, bytes, t.open_write(&format!("folder/{n}"), how).await?));
    }
    for (_, bytes, writing) in &mut open {
        writing.write(&bytes.slice(..1 << 20)).await?;
    }
    for (n, bytes, mut writing) in open.into_iter().rev() {
        writing.write(&bytes.slice(1 << 20..)).await?;
        let name = format!("folder/{n}");
        if n == 2 {
            writing.discard().await?;
            t.absent(&name).await?;
        } else {
            writing.finish().await?;
            t.holds(&name, &bytes).await?;
        }
    }
    Ok(())
}
