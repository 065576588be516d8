//! The trash: what is deleted or replaced can be had again, and is out of the way until then.

use std::collections::BTreeSet;

use super::metadata::same_time;
use super::{Case, case, needs};
use crate::conformance::content::same;
use crate::conformance::ground::{Ground, Item, at_once};
use crate::conformance::outcome::{Outcome, demand, fail, refused};
use crate::{
    Bytes, DeleteOptions, ErrorKind, Expect, Metadata, Op, ReadOptions, Result, WriteOptions,
};

pub(super) const CASES: &[Case] = &[
    case!(
        "trash",
        what_went_to_the_trash_is_found_there,
        needs::trash_in_view,
        "What was deleted by mistake is looked for in the trash, by its path and its time."
    ),
    case!(
        "trash",
        what_is_in_the_trash_comes_back_by_a_rename,
        needs::trash_in_view,
        "The host restores a file by renaming it: nothing is copied, and its time stays."
    ),
    case!(
        "trash",
        the_trash_can_be_emptied,
        needs::trash_in_view,
        "After some days the host deletes what is in the trash, with its folders: else it fills the \
         disk."
    ),
    case!(
        "trash",
        what_is_replaced_is_kept,
        needs::kept_in_view,
        "The only copy of an earlier version may be the one that an update replaces."
    ),
    case!(
        "trash",
        nothing_is_kept_unasked,
        needs::kept_in_view,
        "Who keeps nothing has no room for it: it is kept only where the host asks for it."
    ),
    case!(
        "trash",
        a_refused_replacing_keeps_nothing,
        needs::kept_in_view,
        "What stays in its place is not in the trash, and its version does not change."
    ),
    case!(
        "trash",
        one_of_many_writers_keeps_the_old,
        needs::kept_in_view,
        "What a writer that was refused had written was never there: the trash must not offer it."
    ),
    case!(
        "trash",
        readers_meanwhile_find_a_file,
        needs::keeps_replaced,
        "To move the old file away first leaves a moment in which a published file is missing."
    ),
    case!(
        "trash",
        a_copy_keeps_what_it_replaces,
        needs::copies_kept_in_view,
        "Most updates travel by copies: of a batch, each says for itself whether the old is kept."
    ),
];

fn keeping(bytes: &Bytes, was: &Metadata) -> WriteOptions {
    WriteOptions::new(bytes.len() as u64, Expect::Version(was.fingerprint())).keep_replaced(true)
}

async fn replace(t: &Ground, name: &str, bytes: &Bytes, was: &Metadata) -> Result<Metadata> {
    t.write(name, bytes, keeping(bytes, was)).await
}

/// Demands that the trash holds these contents of a file, in whatever order.
async fn kept(t: &Ground, name: &str, contents: &[&Bytes]) -> Outcome {
    let paths = t.trashed(name).await?;
    let mut found = BTreeSet::new();
    for path in &paths {
        found.insert(t.read_path(path).await?);
    }
    let wanted: BTreeSet<Vec<u8>> = contents.iter().map(|content| content.to_vec()).collect();
    let (have, want) = (paths.len(), contents.len());
    demand!(have == want, "the trash has {have} files of {name:?}, and should have {want}");
    demand!(found == wanted, "what the trash has of {name:?} is not what was there");
    Ok(())
}

async fn what_went_to_the_trash_is_found_there(t: Ground) -> Outcome {
    let mtime = 1_600_000_000_000_000_000;
    let (one, two) = (t.content(1000), t.content(2000));
    for bytes in [&one, &two] {
        let how = WriteOptions::new(bytes.len() as u64, Expect::Nothing).mtime_ns(Some(mtime));
        let was = t.write("folder/file", bytes, how).await?;
        let how = DeleteOptions::if_version(was.fingerprint()).to_trash(true);
        t.delete("folder/file", how).await?;
        t.absent("folder/file").await?;
    }
    kept(&t, "folder/file", &[&one, &two]).await?;
    if needs::mtime(t.info()).is_none() {
        for path in t.trashed("folder/file").await? {
            same_time(&t, t.stat_path(&path).await?.mtime_ns, mtime)?;
        }
    }
    Ok(())
}

async fn what_is_in_the_trash_comes_back_by_a_rename(t: Ground) -> Outcome {
    let (bytes, other) = (t.content(1000), t.content(2000));
    t.put("folder/file", &bytes).await?;
    t.delete("folder/file", DeleteOptions::default().to_trash(true)).await?;
    let Some(path) = t.trashed("folder/file").await?.pop() else {
        return fail("what was deleted to the trash is not there");
    };
    let now = t.put("folder/file", &other).await?;
    let onto = t.rename_path(&path, &t.path("folder/file")).await;
    refused("restoring it over a file", onto, &[ErrorKind::AlreadyExists])?;
    t.holds("folder/file", &other).await?;
    t.delete("folder/file", DeleteOptions::if_version(now.fingerprint())).await?;
    t.rename_path(&path, &t.path("folder/file")).await?;
    t.holds("folder/file", &bytes).await?;
    kept(&t, "folder/file", &[]).await
}

async fn the_trash_can_be_emptied(t: Ground) -> Outcome {
    t.put("folder/file", &t.content(1000)).await?;
    t.delete("folder/file", DeleteOptions::default().to_trash(true)).await?;
    for path in t.trashed("folder/file").await? {
        let was = t.stat_path(&path).await?;
        t.delete_path(&path, DeleteOptions::if_version(was.fingerprint())).await?;
        let Some((folder, _)) = path.rsplit_once('/') else { continue };
        t.remove_folder_path(folder).await?;
    }
    kept(&t, "folder/file", &[]).await?;
    // As before: what is deleted next finds its folders again.
    let bytes = t.content(1000);
    t.put("folder/file", &bytes).await?;
    t.delete("folder/file", DeleteOptions::default().to_trash(true)).await?;
    kept(&t, "folder/file", &[&bytes]).await
}

async fn what_is_replaced_is_kept(t: Ground) -> Outcome {
    let contents = [t.content(5000), t.content(7000), t.content(0), t.content(3 << 20)];
    let mut was = t.put("folder/file", &contents[0]).await?;
    for bytes in &contents[1..] {
        let finished = replace(&t, "folder/file", bytes, &was).await?;
        was = t.stat("folder/file").await?;
        demand!(
            finished.fingerprint() == was.fingerprint(),
            "finish says {finished:?}, and stat {was:?}"
        );
        t.holds("folder/file", bytes).await?;
    }
    kept(&t, "folder/file", &[&contents[0], &contents[1], &contents[2]]).await?;
    let names: Vec<_> = t.entries("folder").await?.into_keys().collect();
    demand!(names == ["file"], "after replacing it, the folder holds {names:?}");
    Ok(())
}

async fn nothing_is_kept_unasked(t: Ground) -> Outcome {
    let was = t.put("file", &t.content(1000)).await?;
    let now = t.replace("file", &t.content(2000), &was).await?;
    kept(&t, "file", &[]).await?;
    t.delete("file", DeleteOptions::if_version(now.fingerprint())).await?;
    kept(&t, "file", &[]).await?;
    // Where nothing is replaced there is nothing to keep.
    let bytes = t.content(1000);
    let how = WriteOptions::new(1000, Expect::Nothing).keep_replaced(true);
    t.write("file", &bytes, how).await?;
    kept(&t, "file", &[]).await?;
    t.holds("file", &bytes).await
}

async fn a_refused_replacing_keeps_nothing(t: Ground) -> Outcome {
    let (one, two, three) = (t.content(1000), t.content(1000), t.content(2000));
    let old = t.put("file", &one).await?;
    let was = t.replace("file", &two, &old).await?;
    let answer = replace(&t, "file", &three, &old).await;
    refused("replacing an older version", answer, &[ErrorKind::Precondition])?;
    for discarded in [false, true] {
        let mut writing = t.open_write("file", keeping(&three, &was)).await?;
        writing.write(&three).await?;
        if discarded {
            writing.discard().await?;
        } else {
            drop(writing);
        }
    }
    t.holds("file", &two).await?;
    let now = t.stat("file").await?;
    demand!(now.fingerprint() == was.fingerprint(), "its version changed without a finish");
    kept(&t, "file", &[]).await
}

async fn one_of_many_writers_keeps_the_old(t: Ground) -> Outcome {
    const MANY: usize = 8;
    for round in 0..4 {
        let name = format!("file {round}");
        let old = t.content(1000);
        let was = t.put(&name, &old).await?;
        let contents: Vec<Bytes> = (0..MANY).map(|n| t.content(10_000 + n)).collect();
        let answers = at_once(MANY, |n| {
            let (t, name) = (t.clone(), name.clone());
            let (bytes, was) = (contents[n].clone(), was.clone());
            async move { replace(&t, &name, &bytes, &was).await }
        })
        .await?;
        let won = answers.iter().filter(|answer| answer.is_ok()).count();
        demand!(won == 1, "{won} of {MANY} writers replaced one and the same version");
        kept(&t, &name, &[&old]).await?;
    }
    Ok(())
}

async fn readers_meanwhile_find_a_file(t: Ground) -> Outcome {
    const TIMES: usize = 30;
    let contents: Vec<Bytes> = (0..TIMES).map(|n| t.content(50_000 + n)).collect();
    let mut was = t.put("file", &contents[0]).await?;
    let reader = |_| {
        let (t, contents) = (t.clone(), contents.clone());
        async move {
            loop {
                let reading = t.open_read("file", ReadOptions::new()).await?;
                match reading.rest(16 << 10).await {
                    Ok(bytes) => demand!(
                        contents.iter().any(|content| bytes == content[..]),
                        "{} bytes were read, and are none of its contents",
                        bytes.len()
                    ),
                    // It noticed that the file is another now.
                    Err(error) if error.kind() == ErrorKind::Precondition => {}
                    Err(error) => return Err(error.into()),
                }
                if t.stat("file").await?.size == contents[TIMES - 1].len() as u64 {
                    return Ok(());
                }
            }
        }
    };
    let writer = async {
        for bytes in &contents[1..] {
            was = replace(&t, "file", bytes, &was).await?;
        }
        Outcome::Ok(())
    };
    let ((), read) = tokio::try_join!(writer, at_once(3, reader))?;
    read.into_iter().collect()
}

async fn a_copy_keeps_what_it_replaces(t: Ground) -> Outcome {
    let mut batch = Vec::new();
    let mut olds = Vec::new();
    let mut news = Vec::new();
    for n in 0..4 {
        let (from, to) = (format!("sources/{n}"), format!("files/{n}"));
        let (old, new) = (t.content(1000 + n), t.content(200_000 + n));
        t.put(&from, &new).await?;
        let was = t.put(&to, &old).await?;
        let expect = Expect::Version(was.fingerprint());
        batch.push(Item::new(&from, &to).expect(expect).keep_replaced(n % 2 == 1));
        olds.push(old);
        news.push(new);
    }
    for answer in t.server_copy(&batch, Op::unbound()).await? {
        answer?;
    }
    for n in 0..4 {
        let name = format!("files/{n}");
        same(&format!("{name:?}"), &t.read(&name).await?, &news[n])?;
        let old = [&olds[n]];
        kept(&t, &name, if n % 2 == 1 { &old } else { &[] }).await?;
    }
    Ok(())
}
