//! Random histories of units, kept, undone or cut short: counters equal a recount after each,
//! claims are what the queue shows to be claimable, and representations, wants and pauses are what
//! a model has.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use proptest::prelude::*;

use super::*;

/// One step of a random history; numbers pick among what exists.
#[derive(Debug, Clone)]
enum Step {
    Add {
        folder: u8,
        size: u8,
        of: u8,
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
        from: u8,
        files: u8,
        bytes: u8,
        oldest_first: bool,
        largest: Option<u8>,
    },
    Release,
    Reset,
    ResetOf {
        of: u8,
        to: Option<u8>,
    },
    Regroup {
        file: u8,
        of: u8,
    },
    Want {
        of: u8,
        file: Option<u8>,
        site: u8,
        wanted: Option<bool>,
    },
    Pause {
        of: u8,
        site: Option<u8>,
        on: bool,
    },
    Guard {
        file: u8,
        to: u8,
    },
    ReleaseHeld,
    /// Ends the unit: kept, undone, or undone by a panic.
    End(u8),
    /// As a killed process would leave it.
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let s = 0..3_u8;
    let f = any::<u8>();
    let of = 0..4_u8;
    let maybe = prop::option::of(s.clone());
    prop_oneof![
        4 => (0..3_u8, f, of.clone())
            .prop_map(|(folder, size, of)| Step::Add { folder, size, of }),
        4 => (f, s.clone(), 1..4_u8, f)
            .prop_map(|(file, site, generation, size)| Step::Have { file, site, generation, size }),
        1 => (f, s.clone()).prop_map(|(file, site)| Step::DropHave { file, site }),
        2 => (f, 1..4_u8, f)
            .prop_map(|(file, generation, size)| Step::Generation { file, generation, size }),
        5 => (f, s.clone(), s.clone(), 0..6_u8, 0..3_u8, f).prop_map(
            |(file, from, to, state, priority, at)| Step::Job { file, from, to, state, priority, at }
        ),
        2 => (f, s.clone()).prop_map(|(file, site)| Step::DropJob { file, site }),
        1 => f.prop_map(|file| Step::Forget { file }),
        1 => (f, 0..4_u8).prop_map(|(now, limit)| Step::Wake { now, limit }),
        3 => (s.clone(), s, 0..6_u8, f, any::<bool>(), any::<Option<u8>>()).prop_map(
            |(to, from, files, bytes, oldest_first, largest)| Step::Claim {
                to, from, files, bytes, oldest_first, largest
            }
        ),
        1 => Just(Step::Release),
        1 => Just(Step::Reset),
        1 => (of.clone(), maybe.clone()).prop_map(|(of, to)| Step::ResetOf { of, to }),
        2 => (f, of.clone()).prop_map(|(file, of)| Step::Regroup { file, of }),
        3 => (of.clone(), any::<Option<u8>>(), 0..3_u8, any::<Option<bool>>())
            .prop_map(|(of, file, site, wanted)| Step::Want { of, file, site, wanted }),
        3 => (of, maybe, any::<bool>()).prop_map(|(of, site, on)| Step::Pause { of, site, on }),
        1 => (f, 0..3_u8).prop_map(|(file, to)| Step::Guard { file, to }),
        1 => Just(Step::ReleaseHeld),
        4 => (0..6_u8).prop_map(Step::End),
        1 => Just(Step::Reopen),
    ]
}

const STATES: [JobState; 6] = [
    JobState::Ready,
    JobState::Waiting,
    JobState::InProgress,
    JobState::Failed,
    JobState::Conflict,
    JobState::Held,
];

fn naming(of: u8) -> Naming {
    if of == 0 { Naming::by_folder("") } else { format!("f/p/v{of}/exr").parse().unwrap() }
}

/// What is to be stored, as far as it is not counted. Representations go by number.
#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    /// All that were ever added.
    files: Vec<FileId>,
    /// Those that are there.
    of: BTreeMap<FileId, u8>,
    wants: BTreeMap<(u8, Option<FileId>, SiteId), bool>,
    pauses: BTreeSet<(u8, Option<SiteId>)>,
}

impl Model {
    /// A representation lost a file, and goes with its last one.
    fn lost(&mut self, of: u8) {
        if self.of.values().all(|other| *other != of) {
            self.wants.retain(|(other, ..), _| *other != of);
            self.pauses.retain(|(other, _)| *other != of);
        }
    }

    fn forgot(&mut self, file: FileId) {
        if let Some(of) = self.of.remove(&file) {
            self.wants.retain(|(_, other, _), _| *other != Some(file));
            self.lost(of);
        }
    }

    fn moved(&mut self, file: FileId, to: u8) {
        let Some(from) = self.of.insert(file, to).filter(|from| *from != to) else { return };
        let own = |(_, of, _): &(u8, Option<FileId>, SiteId)| *of == Some(file);
        let own: Vec<_> = self.wants.keys().filter(|key| own(key)).copied().collect();
        for (of, file, site) in own {
            let wanted = self.wants.remove(&(of, file, site)).unwrap();
            self.wants.insert((to, file, site), wanted);
        }
        self.lost(from);
    }

    fn wants_of(&self, file: FileId, of: u8) -> Vec<(SiteId, bool)> {
        let sites = (1..=3).map(SiteId);
        let own = |site| self.wants.get(&(of, Some(file), site));
        let wanted = |site| own(site).or_else(|| self.wants.get(&(of, None, site)));
        sites.filter_map(|site| Some((site, *wanted(site)?))).collect()
    }

    fn is_paused(&self, of: u8, site: SiteId) -> bool {
        self.pauses.contains(&(of, None)) || self.pauses.contains(&(of, Some(site)))
    }

    /// Compares what is stored with it.
    fn check(&self, t: &Fixture) {
        let read = |view: &dyn View| {
            let mut seen = BTreeMap::new();
            let mut pauses = BTreeSet::new();
            for of in 0..4 {
                let Some(id) = view.find_representation(t.project, &naming(of))? else { continue };
                for (root, folder, mut row) in view.files_of(id, FileId(0), usize::MAX)? {
                    assert_eq!(Some(&row), view.file(root, &folder, &row.name)?.as_ref());
                    row.wants.sort();
                    assert_eq!(row.wants, self.wants_of(row.id, of), "{:?}", row.id);
                    seen.insert(row.id, of);
                }
                for pause in view.pauses()? {
                    if pause.scope.representation == Some(id) {
                        pauses.insert((of, pause.scope.site));
                    }
                }
            }
            assert_eq!((&seen, &pauses), (&self.of, &self.pauses));
            assert_eq!(view.pauses()?.len(), pauses.len());
            shown(view, t.project)
        };
        t.db.read(read).unwrap();
        let conn = Connection::open(t.dir.path().join("catalog.db")).unwrap();
        let mut jobs = conn.prepare("SELECT file, to_site, state FROM job").unwrap();
        let mut jobs = jobs.query(()).unwrap();
        while let Some(row) = jobs.next().unwrap() {
            let (file, to, state): (FileId, SiteId, i64) =
                (row.get(0).unwrap(), row.get(1).unwrap(), row.get(2).unwrap());
            let paused = self.is_paused(self.of[&file], to);
            assert!(if paused { ![0, 1, 5].contains(&state) } else { state != 7 }, "{state}");
        }
    }
}

/// Compares the queue by representation with the states that it is to show.
fn shown(view: &dyn View, project: ProjectId) -> Result<()> {
    let all = view.representations(project, RepresentationId(0), usize::MAX)?;
    for state in FileState::ALL {
        for site in [None, Some(SiteId(2))] {
            let mut expected = Vec::new();
            for one in &all {
                let states = view.state_of(one.id)?;
                let at = states.iter().filter(|at| site.is_none_or(|site| at.site == site));
                let mut files = at.map(|at| at.files(state)).sum::<u64>();
                if state == FileState::NotAvailable && states.iter().all(|at| site != Some(at.site))
                {
                    let there = site.is_some();
                    files +=
                        if there { view.files_of(one.id, FileId(0), 1)?.len() as u64 } else { 0 };
                }
                expected.extend((files > 0).then_some((one.made_at, one.id)));
            }
            expected.sort_unstable();
            let filter = RepresentationFilter {
                states: vec![state],
                site,
                limit: usize::MAX,
                ..RepresentationFilter::default()
            };
            let rows = view.representation_queue(project, &filter)?;
            let rows: Vec<_> = rows
                .iter()
                .map(|row| (row.representation.made_at, row.representation.id))
                .collect();
            assert_eq!(rows, expected, "{state} at {site:?}");
        }
    }
    Ok(())
}

/// Steps on the first root's files; those of unknown files are refused and ignored.
fn take(unit: &mut dyn Unit, step: &Step, model: &mut Model) -> Result<()> {
    let files = &model.files;
    let site = |at: u8| SiteId(i64::from(at) + 1);
    let file = |at: u8| match files.len() {
        0 => FileId(0),
        len => files[usize::from(at) % len],
    };
    let done = match *step {
        Step::Add { folder, size, of } => {
            let (root, path) = (RootId(i64::from(folder) % 2 + 1), folder.to_string());
            let name = format!("{}", files.len());
            let folder = unit.put_folder(root, &path)?;
            let made_at = i64::from(size % 3);
            let id =
                unit.put_representation(ProjectId(1), &naming(of), 0, made_at, "", size < 9)?;
            unit.add_file(folder, &name, size.into(), id).map(|file| {
                model.files.push(file);
                model.of.insert(file, of);
            })
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
        Step::Forget { file: f } => {
            let file = file(f);
            unit.forget_file(file)?;
            if unit.generation(file)?.is_none() {
                model.forgot(file);
            }
            Ok(())
        }
        Step::Regroup { file: f, of } => {
            let file = file(f);
            if unit.generation(file)?.is_none() {
                return Ok(());
            }
            let id = unit.put_representation(ProjectId(1), &naming(of), 0, 0, "", false)?;
            model.moved(file, of);
            unit.set_representation(file, id)
        }
        Step::Want { of, file: f, site: s, wanted } => {
            let Some(id) = unit.find_representation(ProjectId(1), &naming(of))? else {
                return Ok(());
            };
            let file = f.map(file);
            unit.put_want(id, file, site(s), wanted).map(|()| {
                match wanted {
                    Some(wanted) => model.wants.insert((of, file, site(s)), wanted),
                    None => model.wants.remove(&(of, file, site(s))),
                };
            })
        }
        Step::Pause { of, site: s, on } => {
            let (project, s) = (ProjectId(1), s.map(site));
            let Some(id) = unit.find_representation(project, &naming(of))? else {
                return Ok(());
            };
            let scope = Scope { project: Some(project), site: s, representation: Some(id) };
            if on {
                model.pauses.insert((of, s));
                return unit.put_pause(&Pause { scope, since: 0, by: String::new() });
            }
            assert_eq!(unit.drop_pause(&scope)?, model.pauses.remove(&(of, s)));
            Ok(())
        }
        Step::ResetOf { of, to } => match unit.find_representation(ProjectId(1), &naming(of))? {
            Some(id) => unit.reset(id, None, to.map(site)).map(drop),
            None => Ok(()),
        },
        Step::Guard { file: f, to } => unit.guard_jobs(&[(file(f), site(to))]).map(drop),
        Step::ReleaseHeld => unit.release_held(ProjectId(1), None).map(drop),
        Step::Wake { now, limit } => (0..9).try_for_each(|way| {
            let (to, from) = (SiteId(way / 3 + 1), SiteId(way % 3 + 1));
            unit.wake(ProjectId(1), to, from, now.into(), limit.into()).map(drop)
        }),
        Step::Claim { to, from, files, bytes, oldest_first, largest } => {
            let filter = ClaimFilter {
                project: ProjectId(1),
                to: site(to),
                from: site(from),
                files: files.into(),
                bytes: bytes.into(),
                largest: largest.map(u64::from),
                oldest_first,
            };
            claimed_as_asked(unit, &filter)
        }
        Step::Release => (0..9).try_for_each(|way| {
            let (to, from) = (SiteId(way / 3 + 1), SiteId(way % 3 + 1));
            unit.release(ProjectId(1), to, from, &[]).map(drop)
        }),
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
        let removal = row.job.to == row.job.from;
        let newest = from.is_some_and(|have| removal || have.generation == file.generation);
        let way = (row.job.to, row.job.from) == (filter.to, filter.from);
        if way && newest && filter.largest.is_none_or(|most| row.size <= most) {
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
        let mut model = Model::default();
        for unit in steps.split_inclusive(|step| matches!(step, Step::End(_) | Step::Reopen)) {
            let (mine, mut known) = (unit.to_vec(), model.clone());
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
                (_, answer) => model = answer.unwrap(),
            }
            if matches!(unit.last(), Some(Step::Reopen)) {
                t = as_if_killed(t);
            }
            t.recount();
            model.check(&t);
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
