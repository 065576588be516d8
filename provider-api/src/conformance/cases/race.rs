//! Several at once: exactly one wins, and nobody sees two contents in one.

use super::{Case, case, needs};
use crate::conformance::ground::{Ground, at_once};
use crate::conformance::outcome::{Outcome, demand, fail, told};
use crate::{Bytes, DeleteOptions, ErrorKind, Kind, Metadata, ReadOptions, Result};

/// As many as a host has under way at once at a quick storage.
const MANY: usize = 16;

pub(super) const CASES: &[Case] = &[
    case!(
        "race",
        one_of_many_writers_wins,
        "Of two that write to a free name one is told that it is taken; else one file is lost."
    ),
    case!(
        "race",
        one_of_many_replacers_wins,
        "Two that replace one version would each believe that theirs is what is there."
    ),
    case!(
        "race",
        either_it_is_deleted_or_replaced,
        "A delete and an update of one version must not both be told that they were done."
    ),
    case!(
        "race",
        a_folder_made_by_many_is_one,
        "Services with ids make two folders of one name, and half of the files is in each."
    ),
    case!(
        "race",
        parents_made_by_many_writers_are_one,
        "The first frames of a sequence arrive together, and all of them make the folder."
    ),
    case!(
        "race",
        many_files_of_one_folder_arrive,
        "Frames of a sequence are written at once; none may be lost or get another's bytes."
    ),
    case!(
        "race",
        an_open_reader_sees_one_content,
        "A file that is replaced while it is read is read as it was, or the reader fails: a mix of \
         both is corrupt, and looks sound."
    ),
    case!(
        "race",
        readers_meanwhile_see_the_old_or_the_new,
        needs::atomic_replace,
        "Whoever opens a published file while it is updated must find one, and a whole one."
    ),
    case!(
        "race",
        many_calls_at_once_are_answered,
        "A provider that locks itself, or mixes up answers, does so under load only."
    ),
];

/// The index of the only one that was done, where all others were refused with one of the kinds.
fn winner(answers: &[Result<Metadata>], kinds: &[ErrorKind]) -> Outcome<usize> {
    let mut winners = Vec::new();
    for (n, answer) in answers.iter().enumerate() {
        match answer {
            Ok(_) => winners.push(n),
            Err(error) if kinds.contains(&error.kind()) => {}
            Err(error) => return fail(format!("one of them failed: {}", told(error))),
        }
    }
    match winners[..] {
        [winner] => Ok(winner),
        _ => fail(format!("{} of {} were told that it was done", winners.len(), answers.len())),
    }
}

async fn one_of_many_writers_wins(t: Ground) -> Outcome {
    for round in 0..4 {
        let name = format!("file {round}");
        let contents: Vec<Bytes> = (0..MANY).map(|n| t.content(10_000 + n)).collect();
        let answers = at_once(MANY, |n| {
            let (t, name, bytes) = (t.clone(), name.clone(), contents[n].clone());
            async move { t.put(&name, &bytes).await }
        })
        .await?;
        let winner = winner(&answers, &[ErrorKind::AlreadyExists])?;
        t.holds(&name, &contents[winner]).await?;
    }
    let names = t.entries("").await?.len();
    demand!(names == 4, "4 files were written, and {names} are there");
    Ok(())
}

async fn one_of_many_replacers_wins(t: Ground) -> Outcome {
    let mut was = t.put("file", &t.content(10_000)).await?;
    for _ in 0..4 {
        let contents: Vec<Bytes> = (0..MANY).map(|n| t.content(10_000 + n)).collect();
        let answers = at_once(MANY, |n| {
            let (t, was, bytes) = (t.clone(), was.clone(), contents[n].clone());
            async move { t.replace("file", &bytes, &was).await }
        })
        .await?;
        let winner = winner(&answers, &[ErrorKind::Precondition])?;
        t.holds("file", &contents[winner]).await?;
        was = t.stat("file").await?;
    }
    Ok(())
}

async fn either_it_is_deleted_or_replaced(t: Ground) -> Outcome {
    for round in 0..8 {
        let name = format!("file {round}");
        let was = t.put(&name, &t.content(1000)).await?;
        let bytes = t.content(2000);
        let done = at_once(2, |n| {
            let (t, name, was, bytes) = (t.clone(), name.clone(), was.clone(), bytes.clone());
            async move {
                if n == 0 {
                    t.replace(&name, &bytes, &was).await.map(drop)
                } else {
                    t.delete(&name, DeleteOptions::if_version(was.fingerprint())).await
                }
            }
        })
        .await?;
        match (&done[0], &done[1]) {
            (Ok(()), Ok(())) => return fail("it was replaced, and deleted as what it was before"),
            (Ok(()), Err(_)) => t.holds(&name, &bytes).await?,
            (Err(_), Ok(())) => t.absent(&name).await?,
            (Err(one), Err(two)) => {
                return fail(format!("neither was done: {}; {}", told(one), told(two)));
            }
        }
    }
    Ok(())
}

/// Demands that a folder holds exactly this one folder.
async fn holds_one_folder(t: &Ground, folder: &str, name: &str) -> Outcome {
    let entries = t.entries(folder).await?;
    let kind = entries.get(name).map(|entry| entry.kind);
    demand!(
        entries.len() == 1 && kind == Some(Kind::Folder),
        "{folder:?} holds {:?} instead of one folder",
        entries.keys().collect::<Vec<_>>()
    );
    Ok(())
}

async fn a_folder_made_by_many_is_one(t: Ground) -> Outcome {
    let made = at_once(MANY, |_| {
        let t = t.clone();
        async move { t.create_folder("a/b").await }
    })
    .await?;
    for answer in made {
        answer?;
    }
    holds_one_folder(&t, "", "a").await?;
    holds_one_folder(&t, "a", "b").await
}

async fn parents_made_by_many_writers_are_one(t: Ground) -> Outcome {
    let bytes = t.content(1000);
    let written = at_once(MANY, |n| {
        let (t, bytes) = (t.clone(), bytes.clone());
        async move { t.put(&format!("a/b/{n}"), &bytes).await }
    })
    .await?;
    for answer in written {
        answer?;
    }
    holds_one_folder(&t, "", "a").await?;
    holds_one_folder(&t, "a", "b").await?;
    let there = t.entries("a/b").await?.len();
    demand!(there == MANY, "{MANY} files were written, and {there} are there");
    Ok(())
}

async fn many_files_of_one_folder_arrive(t: Ground) -> Outcome {
    let contents: Vec<Bytes> = (0..64).map(|n| t.content(5000 + n)).collect();
    let written = at_once(contents.len(), |n| {
        let (t, bytes) = (t.clone(), contents[n].clone());
        async move { t.put(&format!("frame.{n:04}.exr"), &bytes).await }
    })
    .await?;
    for answer in written {
        answer?;
    }
    let there = t.entries("").await?.len();
    demand!(there == contents.len(), "{} files were written, {there} are there", contents.len());
    for (n, bytes) in contents.iter().enumerate() {
        t.holds(&format!("frame.{n:04}.exr"), bytes).await?;
    }
    Ok(())
}

async fn an_open_reader_sees_one_content(t: Ground) -> Outcome {
    let (one, two) = (t.content(4 << 20), t.content(4 << 20));
    let was = t.put("file", &one).await?;
    let mut reading = t.open_read("file", ReadOptions::new()).await?;
    let mut seen = reading.read(1 << 20).await?.to_vec();
    t.replace("file", &two, &was).await?;
    match reading.rest(1 << 20).await {
        Ok(rest) => seen.extend(rest),
        Err(error) if error.kind() == ErrorKind::Panicked => return Err(error.into()),
        Err(_) => return Ok(()),
    }
    demand!(seen == one[..], "what was read is not what the file was when it was opened");
    Ok(())
}

async fn readers_meanwhile_see_the_old_or_the_new(t: Ground) -> Outcome {
    const TIMES: usize = 30;
    let contents: Vec<Bytes> = (0..TIMES).map(|n| t.content(50_000 + n)).collect();
    let mut was = t.put("file", &contents[0]).await?;
    let reader = |_| {
        let (t, contents) = (t.clone(), contents.clone());
        async move {
            loop {
                let reading = t.open_read("file", ReadOptions::new()).await?;
                let size = reading.metadata().size;
                match reading.rest(16 << 10).await {
                    Ok(bytes) => demand!(
                        contents.iter().any(|content| bytes == content[..]),
                        "{} bytes were read of a file of {size}, and are none of its contents",
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
            was = t.replace("file", bytes, &was).await?;
        }
        Outcome::Ok(())
    };
    let ((), read) = tokio::try_join!(writer, at_once(3, reader))?;
    read.into_iter().collect()
}

async fn many_calls_at_once_are_answered(t: Ground) -> Outcome {
    for n in 0..8 {
        t.put(&format!("folder {n}/file"), &t.content(1000 + n)).await?;
    }
    let answers: Vec<Outcome> = at_once(128, |n| {
        let t = t.clone();
        async move {
            let (folder, size) = (format!("folder {}", n % 8), 1000 + n as u64 % 8);
            let name = format!("{folder}/file");
            match n / 8 % 3 {
                0 => {
                    let found = t.stat(&name).await?.size;
                    demand!(found == size, "stat of {name:?} says {found} bytes, not {size}");
                }
                1 => {
                    let read = t.read(&name).await?.len() as u64;
                    demand!(read == size, "{read} bytes of {name:?} were read, not {size}");
                }
                _ => {
                    let names: Vec<_> = t.entries(&folder).await?.into_keys().collect();
                    demand!(names == ["file"], "{folder:?} is listed with {names:?}");
                }
            }
            Ok(())
        }
    })
    .await?;
    answers.into_iter().collect()
}
