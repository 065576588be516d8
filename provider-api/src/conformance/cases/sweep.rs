//! Sweeping: what was abandoned goes, what someone needs stays.

use super::{Case, case, needs};
use crate::conformance::ground::Ground;
use crate::conformance::outcome::{Outcome, demand, fail};
use crate::{Bytes, Expect, Kind, OURS, Result, WriteOptions};

pub(super) const CASES: &[Case] = &[
    case!(
        "sweep",
        files_survive_a_sweep,
        "A sweep removes temporaries: a file of a user's that looks like one is none."
    ),
    case!("sweep", a_sweep_with_nothing_to_do_is_fine, "The host sweeps at each start."),
    case!(
        "sweep",
        a_write_under_way_survives_a_sweep,
        "One project starts and sweeps while another one is writing through the same instance."
    ),
    case!(
        "sweep",
        what_a_token_needs_survives_a_sweep,
        needs::resume,
        "A host that restarts sweeps first, and resumes then."
    ),
    case!(
        "sweep",
        what_nobody_needs_is_swept,
        needs::resume,
        "What is left of uploads that nobody resumes takes room for ever, or is resumed wrongly."
    ),
    case!(
        "sweep",
        what_another_site_left_survives_a_sweep,
        needs::resume,
        "Another host may be writing right now: only its age tells that it is not."
    ),
    case!(
        "sweep",
        nothing_of_ours_is_left_on_the_disk,
        needs::local_path,
        "Temporaries of writes that failed, were dropped or discarded would fill the disk."
    ),
];

const MIB: usize = 1 << 20;
/// By then there is a checkpoint where `resume` is declared.
const CHECKPOINT: usize = 64 * MIB;

/// A write that was cut off once there was a token.
async fn cut(t: &Ground, name: &str) -> Outcome<(u64, Vec<u8>)> {
    let size = (CHECKPOINT + MIB) as u64;
    let bytes = t.content(MIB);
    let mut writing = t.open_write(name, WriteOptions::new(size, Expect::Nothing)).await?;
    for _ in 0..CHECKPOINT / MIB {
        writing.write(&bytes).await?;
        if let Some(token) = writing.checkpoint().await? {
            return Ok((size, token));
        }
    }
    fail("the root declares `resume`, and no checkpoint within 64 MiB gave a token")
}

/// The byte from which a write with this token goes on; it is discarded.
async fn goes_on_from(t: &Ground, name: &str, (size, token): (u64, Vec<u8>)) -> Result<u64> {
    let how = WriteOptions::new(size, Expect::Nothing).resume(Some(token));
    let writing = t.open_write(name, how).await?;
    let offset = writing.offset;
    writing.discard().await?;
    Ok(offset)
}

async fn files_survive_a_sweep(t: Ground) -> Outcome {
    let names =
        ["file", "a.tmp", "a.part", ".~lock", "~a", "folder/.a.swp", "sitesync.tmp", ".tmp"];
    let names = names
        .into_iter()
        .filter(|name| !name.chars().any(|c| t.info().names.forbidden_characters.contains(c)));
    let mut files: Vec<(&str, Bytes)> = Vec::new();
    for name in names {
        let bytes = t.content(1000);
        t.put(name, &bytes).await?;
        files.push((name, bytes));
    }
    t.create_folder("empty").await?;
    t.sweep(Vec::new()).await?;
    for (name, bytes) in &files {
        t.holds(name, bytes).await?;
    }
    let found = t.stat("empty").await?.kind;
    demand!(found == Kind::Folder, "the empty folder is a {found:?}");
    Ok(())
}

async fn a_sweep_with_nothing_to_do_is_fine(t: Ground) -> Outcome {
    t.sweep(Vec::new()).await?;
    let again = t.sweep(vec![b"nonsense".to_vec(), Vec::new()]).await?;
    demand!(again.count == 0, "right after a sweep {} were left to remove", again.count);
    Ok(())
}

async fn a_write_under_way_survives_a_sweep(t: Ground) -> Outcome {
    let bytes = t.content(3 * MIB);
    let how = WriteOptions::new(bytes.len() as u64, Expect::Nothing);
    let mut writing = t.open_write("folder/file", how).await?;
    writing.write(&bytes.slice(..MIB)).await?;
    t.sweep(Vec::new()).await?;
    writing.write(&bytes.slice(MIB..)).await?;
    writing.checkpoint().await?;
    t.sweep(Vec::new()).await?;
    writing.finish().await?;
    t.holds("folder/file", &bytes).await
}

async fn what_a_token_needs_survives_a_sweep(t: Ground) -> Outcome {
    let one = cut(&t, "one").await?;
    let two = cut(&t, "folder/two").await?;
    t.sweep(vec![one.1.clone(), two.1.clone()]).await?;
    for (name, cut) in [("one", one), ("folder/two", two)] {
        let offset = goes_on_from(&t, name, cut).await?;
        demand!(
            offset > 0,
            "after the sweep {name:?} begins anew, though its token was to be kept"
        );
    }
    Ok(())
}

async fn what_nobody_needs_is_swept(t: Ground) -> Outcome {
    let needed = cut(&t, "needed").await?;
    let abandoned = cut(&t, "abandoned").await?;
    t.sweep(vec![needed.1.clone()]).await?;
    // A service that can't tell what was abandoned may refuse the token, or begin anew.
    if let Ok(offset) = goes_on_from(&t, "abandoned", abandoned).await {
        demand!(offset == 0, "what nobody needed goes on from byte {offset}");
    }
    let offset = goes_on_from(&t, "needed", needed).await?;
    demand!(offset > 0, "what was needed begins anew");
    Ok(())
}

async fn what_another_site_left_survives_a_sweep(t: Ground) -> Outcome {
    let other = t.as_another_site().await?;
    let left = cut(&other, "file").await?;
    t.sweep(Vec::new()).await?;
    let offset = goes_on_from(&other, "file", left).await?;
    demand!(offset > 0, "what another site had left is gone");
    Ok(())
}

async fn nothing_of_ours_is_left_on_the_disk(t: Ground) -> Outcome {
    let bytes = t.content(2 * MIB);
    let was = t.put("file", &bytes).await?;
    t.replace("file", &bytes, &was).await?;
    for (name, end) in [("dropped", 0), ("discarded", 1), ("torn", 2), ("kept", 3)] {
        let how = WriteOptions::new(bytes.len() as u64, Expect::Nothing);
        let mut writing = t.open_write(name, how).await?;
        writing.write(&bytes.slice(..MIB)).await?;
        match end {
            0 => drop(writing),
            1 => writing.discard().await?,
            2 => drop(writing.finish().await),
            _ => drop(writing.checkpoint().await?),
        }
    }
    t.sweep(Vec::new()).await?;
    let folder = t.on_disk("");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        return fail(format!("the folder can't be listed at {folder:?}, its path on this machine"));
    };
    for name in entries.flatten().map(|entry| entry.file_name()) {
        let ours = name.to_string_lossy().starts_with(OURS);
        demand!(!ours, "{name:?} is left on the disk");
        demand!(name == "file", "{name:?} is on the disk, and was never finished");
    }
    Ok(())
}
