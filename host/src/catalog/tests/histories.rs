//! Random histories of units, kept, undone or cut short: counters equal a recount after each, and
//! claims are what the queue shows to be claimable.

use std::fs;

use proptest::prelude::*;

use super::*;

/// One step of a random history; numbers pick among what exists.
#[derive(Debug, Clone)]
enum Step {
    Add {
        folder: u8,
        size: u8,
    },
    Have {
        file: u8,
        site: u8,
        generation: u8,
        size: u8,
    },
    DropHave {
        file: u8,
        site: u8,
    },
    Generation {
        file: u8,
        generation: u8,
        size: u8,
    },
    Job {
        file: u8,
        from: u8,
        to: u8,
        state: u8,
        priority: u8,
        at: u8,
    },
    DropJob {
        file: u8,
        site: u8,
    },
    Forget {
        file: u8,
    },
    Wake {
        now: u8,
        limit: u8,
    },
    Claim {
        to: u8,
        files: u8,
        bytes: u8,
        oldest_first: bool,
        largest: Option<u8>,
    },
    Release,
    Reset,
    /// Ends the unit: kept, undone, or undone by a panic.
    End(u8),
    /// As a killed process would leave it.
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let s = 0..3_u8;
    let f = any::<u8>();
    prop_oneof![
        4 => (0..3_u8, f).prop_map(|(folder, size)| Step::Add { folder, size }),
        4 => (f, s.clone(), 1..4_u8, f)
            .prop_map(|(file, site, generation, size)| Step::Have { file, site, generation, size }),
        1 => (f, s.clone()).prop_map(|(file, site)| Step::DropHave { file, site }),
        2 => (f, 1..4_u8, f)
            .prop_map(|(file, generation, size)| Step::Generation { file, generation, size }),
        5 => (f, s.clone(), s.clone(), 0..5_u8, 0..3_u8, f).prop_map(
            |(file, from, to, state, priority, at)| Step::Job { file, from, to, state, priority, at }
        ),
        2 => (f, s.clone()).prop_map(|(file, site)| Step::DropJob { file, site }),
        1 => f.prop_map(|file| Step::Forget { file }),
        1 => (f, 0..4_u8).prop_map(|(now, limit)| Step::Wake { now, limit }),
        3 => (s, 0..6_u8, f, any::<bool>(), any::<Option<u8>>()).prop_map(
            |(to, files, bytes, oldest_first, largest)| Step::Claim {
                to, files, bytes, oldest_first, largest
            }
        ),
        1 => Just(Step::Release),
        1 => Just(Step::Reset),
        4 => (0..6_u8).prop_map(Step::End),
        1 => Just(Step::Reopen),
    ]
}

const STATES: [JobState; 5] = [
    JobState::Ready,
    JobState::Waiting,
    JobState::InProgress,
    JobState::Failed,
    JobState::Conflict,
];

/// Steps on the first root's files; those of unknown files are refused and ignored.
fn take(unit: &mut dyn Unit, step: &Step, files: &mut Vec<FileId>) -> Result<()> {
    let site = |at: u8| SiteId(i64::from(at) + 1);
    let file = |at: u8| match files.len() {
        0 => FileId(0),
        len => files[usize::from(at) % len],
    };
    let done = match *step {
        Step::Add { folder, size } => {
            let (root, path) = (RootId(i64::from(folder) % 2 + 1), folder.to_string());
            let name = format!("{}", files.len());
            add(unit, root, &path, &name, size.into()).map(|file| files.push(file))
        }
        Step::Have { file: f, site: s, generation, size } => {
            unit.put_have(file(f), &have(site(s), generation.into(), size.into()))
        }
        Step::DropHave { file: f, site: s } => unit.drop_have(file(f), site(s)),
        Step::Generation { file: f, generation, size } => {
            unit.set_generation(file(f), generation.into(), size.into())
        }
        Step::Job { file: f, from, to, state, priority, at } => unit.put_job(
            file(f),
            &Job {
                state: STATES[usize::from(state)],
                priority: priority.into(),
                queued_at: at.into(),
                not_before: at.into(),
                ..job(site(from), site(to))
            },
        ),
        Step::DropJob { file: f, site: s } => unit.drop_job(file(f), site(s)),
        Step::Forget { file: f } => unit.forget_file(file(f)),
        Step::Wake { now, limit } => unit.wake(now.into(), limit.into()).map(drop),
        Step::Claim { to, files, bytes, oldest_first, largest } => {
            let filter = ClaimFilter {
                project: ProjectId(1),
                to: site(to),
                files: files.into(),
                bytes: bytes.into(),
                largest: largest.map(u64::from),
                oldest_first,
            };
            claimed_as_asked(unit, &filter)
        }
        Step::Release => [1, 2, 3]
            .into_iter()
            .try_for_each(|site| unit.release(ProjectId(1), SiteId(site), &[]).map(drop)),
        Step::Reset => unit.reset_failed(ProjectId(1)).map(drop),
        Step::End(_) | Step::Reopen => Ok(()),
    };
    match done {
        Err(Error::Invalid(_)) => Ok(()),
        done => done,
    }
}

/// Compares a claim with what the queue shows to be claimable.
fn claimed_as_asked(unit: &mut dyn Unit, filter: &ClaimFilter) -> Result<()> {
    let shown = QueueFilter { states: vec![JobState::Ready], limit: usize::MAX, offset: 0 };
    let mut expected = Vec::new();
    for row in unit.queue(filter.project, &shown)? {
        let (folder, name) = row.path.split_once('/').unwrap();
        let root = unit.root(filter.project, &row.root)?.unwrap();
        let file = unit.file(root, folder, name)?.unwrap();
        let from = file.haves.iter().find(|have| have.site == row.job.from);
        let newest = from.is_some_and(|have| have.generation == file.generation);
        if row.job.to == filter.to && newest && filter.largest.is_none_or(|most| row.size <= most) {
            expected.push((row.file, row.size, row.job));
        }
    }
    if filter.oldest_first {
        expected.sort_by_key(|(file, _, job)| (job.queued_at, *file));
    }
    expected.truncate(filter.files);
    let mut bytes = 0;
    let last = expected.iter().position(|(_, size, _)| {
        bytes += size;
        bytes >= filter.bytes
    });
    expected.truncate(last.map_or(expected.len(), |last| last + 1));
    let claimed = unit.claim(filter)?;
    let claimed: Vec<_> = claimed.into_iter().map(|c| (c.file, c.job)).collect();
    let expected: Vec<_> = expected.into_iter().map(|(file, _, job)| (file, job)).collect();
    assert_eq!(claimed, expected);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn counters_equal_a_recount(steps in prop::collection::vec(step(), 1..120)) {
        let mut t = fixture();
        let (project, root) = (t.project, t.root);
        t.write(move |unit| {
            unit.put_site("c")?;
            unit.put_root(project, "publish")
        });
        assert_eq!((project.0, root.0), (1, 1));
        let mut files = Vec::new();
        for unit in steps.split_inclusive(|step| matches!(step, Step::End(_) | Step::Reopen)) {
            let (mine, mut known) = (unit.to_vec(), files.clone());
            let answer = t.db.write_blocking(move |unit| {
                for step in &mine {
                    take(unit, step, &mut known)?;
                }
                match mine.last() {
                    Some(Step::End(4)) => Err(Error::Closed),
                    Some(Step::End(5)) => std::panic::resume_unwind(Box::new("given up")),
                    _ => Ok(known),
                }
            });
            match (unit.last(), answer) {
                (Some(Step::End(4)), answer) => assert_eq!(answer, Err(Error::Closed)),
                (Some(Step::End(5)), Err(Error::Panicked(text))) if text == "given up" => {}
                (_, answer) => files = answer.unwrap(),
            }
            if matches!(unit.last(), Some(Step::Reopen)) {
                t = as_if_killed(t);
            }
            t.recount();
        }
    }
}

/// Goes on with a copy of the files, taken while the catalog was open.
fn as_if_killed(t: Fixture) -> Fixture {
    let copy = tempfile::tempdir().unwrap();
    for name in ["catalog.db", "catalog.db-wal"] {
        fs::copy(t.dir.path().join(name), copy.path().join(name)).unwrap();
    }
    let db = Sqlite::open(copy.path()).unwrap();
    Fixture { dir: copy, db, ..t }
}
