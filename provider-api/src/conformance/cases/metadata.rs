//! Sizes, times, digests: what is said of files is true.

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::{Case, case, needs};
use crate::conformance::ground::Ground;
use crate::conformance::outcome::{
    Failure, Outcome, demand, fail, not_applicable, refused, refused_somehow, told,
};
use crate::{
    Checksum, DeleteOptions, ErrorKind, Expect, Kind, Metadata, ReadOptions, WriteOptions,
};

pub(super) const CASES: &[Case] = &[
    case!(
        "metadata",
        nothing_is_found_where_nothing_is,
        "`NotFound` is how the host confirms that a file is gone; any other error is a fault."
    ),
    case!("metadata", a_folder_is_a_folder, "What a path is decides how it is treated."),
    case!(
        "metadata",
        a_file_has_the_size_that_was_written,
        "A file whose size differs from its source's counts as corrupt."
    ),
    case!(
        "metadata",
        the_modification_time_is_kept,
        needs::mtime,
        "After a crash the host recognises its own write by size and time, within the declared step."
    ),
    case!(
        "metadata",
        a_replaced_file_gets_the_new_time,
        needs::mtime,
        "The time belongs to the content: an old one makes new content look like the old."
    ),
    case!(
        "metadata",
        times_before_1970_do_not_turn_into_others,
        needs::mtime,
        "Files with broken clocks exist: a storage keeps their time, its nearest one, or refuses."
    ),
    case!(
        "metadata",
        times_far_ahead_do_not_turn_into_others,
        needs::mtime,
        "Where 32 bits of seconds end, a time is kept, held there or refused, and not begun anew in 1901."
    ),
    case!(
        "metadata",
        a_file_without_a_time_arrives,
        "Some sources keep no times: that is no reason to refuse a file."
    ),
    case!(
        "metadata",
        declared_checksums_are_given,
        needs::checksums,
        "What is declared is relied on: files are compared by digest instead of being read again."
    ),
    case!(
        "metadata",
        checksums_agree_with_the_content,
        "A digest of something else makes equal files differ, or different ones equal."
    ),
    case!(
        "metadata",
        checksums_follow_the_content,
        "A digest that is cached under the name is that of the replaced file."
    ),
    case!(
        "metadata",
        verified_means_a_checksum,
        "`verified` says that the service itself checked the content: there is something it checked."
    ),
    case!(
        "metadata",
        no_two_files_share_an_id,
        "The host remembers ids to spare look-ups: one id for two files would lead to the wrong one."
    ),
];

async fn nothing_is_found_where_nothing_is(t: Ground) -> Outcome {
    t.put("folder/file", &t.content(10)).await?;
    for name in ["missing", "folder/missing", "missing/missing", "folder/file2", "folder/fil"] {
        refused(&format!("stat of {name:?}"), t.stat(name).await, &[ErrorKind::NotFound])?;
    }
    Ok(())
}

async fn a_folder_is_a_folder(t: Ground) -> Outcome {
    t.create_folder("made").await?;
    t.put("implied/file", &t.content(10)).await?;
    for name in ["made", "implied", ""] {
        let found = t.stat(name).await?;
        demand!(found.kind == Kind::Folder, "{name:?} is a {:?}", found.kind);
        demand!(found.size == 0, "the folder {name:?} has {} bytes", found.size);
    }
    Ok(())
}

async fn a_file_has_the_size_that_was_written(t: Ground) -> Outcome {
    for size in [0, 1, 511, 512, 513, 65_535, 100_001] {
        let name = format!("{size}");
        t.put(&name, &t.content(size)).await?;
        let listed = t.entries("").await?.remove(&name).map(|entry| entry.size);
        let found = t.stat(&name).await?.size;
        demand!(
            found == size as u64 && listed == Some(found),
            "{size} bytes were written, stat says {found}, the listing {listed:?}"
        );
    }
    Ok(())
}

/// Demands that a time is what was asked for, within the step that the root declares.
pub(super) fn same_time(t: &Ground, got: Option<i64>, want: i64) -> Outcome {
    let step = t.info().mtime_step_ns.max(1);
    let Some(got) = got else { return fail("the file has no modification time") };
    demand!(
        got.abs_diff(want) < step,
        "the time is {got} ns instead of {want}: further off than the declared step of {step} ns"
    );
    Ok(())
}

async fn put_at(t: &Ground, name: &str, mtime_ns: i64) -> crate::Result<Metadata> {
    let how = WriteOptions::new(100, Expect::Nothing).mtime_ns(Some(mtime_ns));
    t.write(name, &t.content(100), how).await
}

const SECOND: i64 = 1_000_000_000;

async fn the_modification_time_is_kept(t: Ground) -> Outcome {
    let times = [
        1_600_000_000 * SECOND,
        1_234_567_890 * SECOND + 123_456_789,
        1_600_000_001 * SECOND + 999_999_999,
        1_000_000_000 * SECOND + 1,
        0,
        SECOND,
    ];
    for (n, mtime) in times.into_iter().enumerate() {
        let name = format!("{n}");
        let finished = put_at(&t, &name, mtime).await?;
        same_time(&t, finished.mtime_ns, mtime)?;
        same_time(&t, t.stat(&name).await?.mtime_ns, mtime)?;
        let listed = t.entries("").await?.remove(&name).and_then(|entry| entry.mtime_ns);
        same_time(&t, listed, mtime)?;
    }
    Ok(())
}

async fn a_replaced_file_gets_the_new_time(t: Ground) -> Outcome {
    let (old, new) = (1_600_000_000 * SECOND, 1_500_000_000 * SECOND);
    let was = put_at(&t, "file", old).await?;
    let how = WriteOptions::new(100, Expect::Version(was.fingerprint())).mtime_ns(Some(new));
    let finished = t.write("file", &t.content(100), how).await?;
    same_time(&t, finished.mtime_ns, new)?;
    same_time(&t, t.stat("file").await?.mtime_ns, new)
}

/// Demands that each of these times is kept, or becomes the storage's nearest one, on the way to
/// `end`; or that it is refused, with nothing visible.
async fn kept_or_nearest(t: &Ground, times: &[i64], end: i64) -> Outcome {
    for (n, mtime) in times.iter().copied().enumerate() {
        let name = format!("{n}");
        if let Err(error) = put_at(t, &name, mtime).await {
            refused_somehow::<()>("that time", Err(error))?;
            t.absent(&name).await?;
            continue;
        }
        let Some(got) = t.stat(&name).await?.mtime_ns else {
            return fail("the file has no modification time");
        };
        if !(mtime.min(end)..=mtime.max(end)).contains(&got) {
            same_time(t, Some(got), mtime)?;
        }
    }
    Ok(())
}

async fn times_before_1970_do_not_turn_into_others(t: Ground) -> Outcome {
    kept_or_nearest(&t, &[-SECOND, -1, -1_000_000_000 * SECOND, -SECOND - 500_000_000], 0).await
}

async fn times_far_ahead_do_not_turn_into_others(t: Ground) -> Outcome {
    // The last second of 31 bits, the next, and the years 2106 and 2200.
    let seconds = [2_147_483_647, 2_147_483_648, 4_294_967_296, 7_258_118_400];
    kept_or_nearest(&t, &seconds.map(|seconds| seconds * SECOND), seconds[0] * SECOND).await
}

async fn a_file_without_a_time_arrives(t: Ground) -> Outcome {
    let bytes = t.content(1000);
    let finished = t.put("file", &bytes).await?;
    let found = t.stat("file").await?;
    demand!(finished.mtime_ns == found.mtime_ns, "finish says {finished:?}, and stat {found:?}");
    t.holds("file", &bytes).await
}

/// What is said of a file on all ways there are.
async fn all_said(t: &Ground, name: &str) -> Outcome<Vec<(&'static str, Metadata)>> {
    let mut said = vec![("stat", t.stat(name).await?)];
    said.extend(t.entries("").await?.remove(name).map(|entry| ("the listing", entry)));
    said.push(("the reader", t.open_read(name, ReadOptions::new()).await?.metadata().clone()));
    Ok(said)
}

async fn declared_checksums_are_given(t: Ground) -> Outcome {
    for size in [0, 1000, 3 << 20] {
        let name = format!("{size}");
        t.put(&name, &t.content(size)).await?;
        // The reader need not have asked for them.
        for (who, said) in all_said(&t, &name).await?.into_iter().take(2) {
            for algorithm in &t.info().can.checksums {
                let given = said.checksums.iter().any(|sum| sum.algorithm == *algorithm);
                demand!(given, "{who} gives no {algorithm} of a file of {size} bytes");
            }
        }
    }
    Ok(())
}

/// The digest by this algorithm, if the suite knows it.
fn digest(algorithm: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    Some(match algorithm {
        "md5" => Md5::digest(bytes).to_vec(),
        "sha1" => Sha1::digest(bytes).to_vec(),
        "sha256" => Sha256::digest(bytes).to_vec(),
        _ => return None,
    })
}

/// Demands that each digest that the suite can make is right. Returns how many it made.
fn agree(who: &str, checksums: &[Checksum], bytes: &[u8]) -> Outcome<usize> {
    let mut made = 0;
    for Checksum { algorithm, digest: given, .. } in checksums {
        let Some(right) = digest(algorithm, bytes) else { continue };
        demand!(*given == right, "{who} gives the {algorithm} {given:02x?}, it is {right:02x?}");
        made += 1;
    }
    Ok(made)
}

async fn checksums_agree_with_the_content(t: Ground) -> Outcome {
    let mut made = 0;
    for size in [0, 1, 1000, (3 << 20) + 1] {
        let name = format!("{size}");
        let bytes = t.content(size);
        let finished = t.put(&name, &bytes).await?;
        made += agree("finish", &finished.checksums, &bytes)?;
        for (who, said) in all_said(&t, &name).await? {
            made += agree(who, &said.checksums, &bytes)?;
        }
    }
    if made == 0 {
        return not_applicable("it gives no md5, sha1 or sha256");
    }
    Ok(())
}

async fn checksums_follow_the_content(t: Ground) -> Outcome {
    let (one, two) = (t.content(1000), t.content(1000));
    let was = t.put("file", &one).await?;
    if t.stat("file").await?.checksums.is_empty() {
        return not_applicable("it gives no checksums");
    }
    t.put("same", &one).await?;
    let sums = |said: &Metadata| {
        let mut sums: Vec<_> = said.checksums.clone();
        sums.sort_by(|one, other| one.algorithm.cmp(&other.algorithm));
        sums
    };
    let old = sums(&t.stat("file").await?);
    let same = sums(&t.stat("same").await?);
    demand!(same == old, "equal files have the digests {old:?} and {same:?}");
    t.replace("file", &two, &was).await?;
    for (who, said) in all_said(&t, "file").await? {
        for sum in sums(&said) {
            demand!(!old.contains(&sum), "{who} still gives the old file's {}", sum.algorithm);
        }
    }
    Ok(())
}

async fn verified_means_a_checksum(t: Ground) -> Outcome {
    let finished = t.put("file", &t.content(1000)).await?;
    let mut said = all_said(&t, "file").await?;
    said.push(("finish", finished));
    for (who, said) in said {
        demand!(
            !said.verified || !said.checksums.is_empty(),
            "{who} says `verified`, and gives no checksum"
        );
    }
    Ok(())
}

async fn no_two_files_share_an_id(t: Ground) -> Outcome {
    let bytes = t.content(1000);
    let mut ids = std::collections::BTreeSet::new();
    for name in ["one", "two", "folder/one", "folder/two"] {
        t.put(name, &bytes).await?;
        let Some(id) = t.stat(name).await?.id else {
            return not_applicable("the provider gives no ids");
        };
        demand!(ids.insert(id.clone()), "{name:?} has the id {id:?} of another file");
        let again = t.stat(name).await.map_err(|error| Failure::Failed(told(&error)))?.id;
        demand!(again.as_ref() == Some(&id), "the id {id:?} has become {again:?}");
    }
    t.delete("one", DeleteOptions::default()).await?;
    Ok(())
}
