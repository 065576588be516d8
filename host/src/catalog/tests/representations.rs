//! Representations: made, filled, emptied, wanted, and shown.

use super::*;

fn exr(product: &str) -> Naming {
    format!("shots/010/{product}/v001/exr").parse().unwrap()
}

impl Fixture {
    /// A representation with so many files of 10 bytes, that `a` has and that are queued for `b`.
    fn published(&self, product: &str, files: usize, priority: i64, at: i64) -> RepresentationId {
        let (project, root, a, b) = (self.project, self.root, self.a, self.b);
        let naming = exr(product);
        self.write(move |unit| {
            let folder = unit.put_folder(root, &naming.product)?;
            let of = unit.put_representation(project, &naming, priority, at, "me", true)?;
            for frame in 0..files {
                let file = unit.add_file(folder, &format!("{frame}.exr"), 10, of)?;
                unit.put_have(file, &have(a, 1, 10))?;
                unit.put_job(file, &job(a, b))?;
            }
            Ok(of)
        })
    }

    fn files_of(&self, of: RepresentationId) -> Vec<FileRow> {
        let files = self.db.read(|view| view.files_of(of, FileId(0), 99)).unwrap();
        files.into_iter().map(|(.., row)| row).collect()
    }

    fn rows(&self, filter: &RepresentationFilter) -> Vec<RepresentationRow> {
        let rows = self.db.read(|view| view.representation_queue(self.project, filter)).unwrap();
        // A unit sees the same.
        let (project, filter) = (self.project, filter.clone());
        assert_eq!(rows, self.write(move |unit| unit.representation_queue(project, &filter)));
        rows
    }

    fn products(&self, filter: &RepresentationFilter) -> Vec<String> {
        self.rows(filter).into_iter().map(|row| row.representation.naming.product).collect()
    }
}

fn every() -> RepresentationFilter {
    RepresentationFilter { priority: 50, limit: 99, ..RepresentationFilter::default() }
}

#[test]
fn one_name_is_one_representation() {
    let t = fixture();
    let project = t.project;
    t.write(move |unit| {
        let put = |unit: &mut dyn Unit, priority, at, by: &str, published| -> Result<_> {
            let id = unit.put_representation(project, &exr("v1"), priority, at, by, published)?;
            Ok((id, unit.representation(id)?.unwrap()))
        };
        let (id, found) = put(unit, 0, 5, "", false)?;
        assert_eq!((found.id, &found.naming), (id, &exr("v1")));
        assert_eq!((found.priority, found.made_at, found.published), (0, 5, false));
        // Found again: nothing new. Published: what is said now. Found: nothing new again.
        assert_eq!(put(unit, 9, 6, "scan", false)?, (id, found));
        let (same, published) = put(unit, 70, 7, "me", true)?;
        assert_eq!((same, published.priority, published.made_at), (id, 70, 7));
        assert_eq!((&*published.made_by, published.published), ("me", true));
        assert_eq!(put(unit, 0, 9, "", false)?, (id, published.clone()));
        // Published again by nobody in particular.
        let (_, again) = put(unit, 70, 8, "", true)?;
        assert_eq!((again.made_at, &*again.made_by), (8, "me"));
        let published = again;
        assert_eq!(unit.find_representation(project, &exr("v1"))?, Some(id));
        assert_eq!(unit.find_representation(project, &exr("v2"))?, None);
        assert_eq!(unit.representations(project, RepresentationId(0), 9)?, [published]);
        assert_eq!(unit.representations(project, id, 9)?, []);
        Ok(())
    });
    for wrong in [Naming { name: "a/b".to_owned(), ..exr("v1") }, Naming::by_folder("a//b")] {
        let put = move |unit: &mut dyn Unit| {
            unit.put_representation(ProjectId(1), &wrong, 0, 0, "", false).map(drop)
        };
        assert!(matches!(t.db.write_blocking(put), Err(Error::Invalid(_))));
    }
    let put = |unit: &mut dyn Unit| {
        unit.put_representation(ProjectId(9), &exr("v1"), 0, 0, "", false).map(drop)
    };
    assert!(matches!(t.db.write_blocking(put), Err(Error::Invalid(_))));
}

#[test]
fn what_was_undone_is_not_remembered() {
    let t = fixture();
    let project = t.project;
    let mut undone = None;
    let (told, heard) = mpsc::channel();
    let answer = t.db.write_blocking(move |unit| -> Result<()> {
        told.send(unit.put_representation(project, &exr("v1"), 0, 0, "", false)?).unwrap();
        Err(Error::Closed)
    });
    assert_eq!(answer, Err(Error::Closed));
    undone.replace(heard.recv().unwrap());
    let made = t.published("v1", 1, 0, 0);
    assert_ne!(Some(made), undone, "a key in someone's hands never means another");
    assert!(t.db.read(|view| view.representation(made)).unwrap().is_some());
}

#[test]
fn states_are_the_worst_of_the_files() {
    let t = fixture();
    let of = t.published("v1", 4, 0, 0);
    let states = |t: &Fixture| {
        let states = t.db.read(|view| view.state_of(of)).unwrap();
        assert_eq!(states.len(), 2);
        assert_eq!((states[0].site, states[0].state), (t.a, FileState::Synced));
        assert_eq!(states[1].site, t.b);
        (states[1].state, FileState::ALL.map(|state| states[1].files(state)))
    };
    // Synced, in progress, queued, failed, paused, not available.
    assert_eq!(states(&t), (FileState::Queued, [0, 0, 4, 0, 0, 0]));
    let files = t.files_of(of);
    let (a, b) = (t.a, t.b);
    let ids: Vec<FileId> = files.iter().map(|file| file.id).collect();
    let [one, two, three, four] = ids[..] else { panic!("{ids:?}") };
    t.write(move |unit| {
        for (file, state) in [(two, JobState::InProgress), (three, JobState::Conflict)] {
            unit.put_job(file, &Job { state, ..job(a, b) })?;
        }
        unit.put_have(one, &have(b, 1, 10))?;
        unit.drop_job(one, b)
    });
    assert_eq!(states(&t), (FileState::Failed, [1, 1, 1, 1, 0, 0]));
    t.write(move |unit| {
        unit.drop_job(three, b)?;
        unit.put_job(four, &Job { state: JobState::Held, ..job(a, b) })
    });
    assert_eq!(states(&t), (FileState::Paused, [1, 1, 0, 0, 1, 1]));
    t.write(move |unit| unit.drop_job(four, b));
    assert_eq!(states(&t), (FileState::InProgress, [1, 1, 0, 0, 0, 2]));
    t.write(move |unit| {
        unit.drop_job(two, b)?;
        // A unit sees its own changes.
        assert_eq!(unit.state_of(of)?[1].state, FileState::NotAvailable);
        assert_eq!(unit.state_of(of)?[1].counts.last().unwrap().bytes, 30);
        Ok(())
    });
    assert_eq!(states(&t), (FileState::NotAvailable, [1, 0, 0, 0, 0, 3]));

    let in_state = |site, state, after, limit| {
        let found = |view: &dyn View| view.files_in_state(t.project, site, state, after, limit);
        t.db.read(found).unwrap().into_iter().map(|(.., row)| row.id).collect::<Vec<_>>()
    };
    assert_eq!(in_state(b, FileState::Synced, FileId(0), 9), [one]);
    assert_eq!(in_state(b, FileState::NotAvailable, FileId(0), 9), [two, three, four]);
    assert_eq!(in_state(b, FileState::NotAvailable, two, 1), [three]);
    assert_eq!(in_state(a, FileState::Synced, FileId(0), 9), ids);
    t.write(move |unit| unit.put_job(three, &Job { state: JobState::Failed, ..job(a, b) }));
    assert_eq!(in_state(b, FileState::Failed, FileId(0), 9), [three]);
    assert_eq!(in_state(b, FileState::Failed, three, 9), [] as [FileId; 0]);
    assert_eq!(in_state(b, FileState::NotAvailable, FileId(0), 9), [two, four]);
}

#[test]
fn the_last_file_takes_its_representation_with_it() {
    let t = fixture();
    let of = t.published("v1", 2, 0, 0);
    let (project, a, b) = (t.project, t.a, t.b);
    let files: Vec<FileId> = t.files_of(of).iter().map(|file| file.id).collect();
    let (one, two) = (files[0], files[1]);
    let forget = move |unit: &mut dyn Unit, file| {
        unit.drop_have(file, a)?;
        unit.drop_job(file, b)?;
        unit.forget_file(file)
    };
    t.write(move |unit| {
        unit.put_want(of, None, b, Some(true))?;
        unit.put_want(of, Some(one), b, Some(false))?;
        let scope = Scope { project: Some(project), site: None, representation: Some(of) };
        unit.put_pause(&Pause { scope, since: 0, by: String::new() })?;
        forget(unit, one)
    });
    assert_eq!(t.files_of(of).len(), 1);
    t.write(move |unit| forget(unit, two));
    assert_eq!(t.db.read(|view| view.representation(of)).unwrap(), None);
    assert_eq!(t.db.read(|view| view.pauses()).unwrap(), []);
    let conn = Connection::open(t.dir.path().join("catalog.db")).unwrap();
    let wants: i64 = conn.query_row("SELECT count(*) FROM want", (), |row| row.get(0)).unwrap();
    assert_eq!(wants, 0);
    // What comes in its place is another, which nobody paused.
    let next = t.published("v1", 1, 0, 0);
    assert_ne!(next, of);
    assert_eq!(t.files_of(next)[0].jobs[0].state, JobState::Ready);
}

#[test]
fn a_file_is_wanted_as_was_said_of_it_else_of_its_representation() {
    let t = fixture();
    let of = t.published("v1", 3, 0, 0);
    let (root, a, b) = (t.root, t.a, t.b);
    let files: Vec<FileId> = t.files_of(of).iter().map(|file| file.id).collect();
    let (one, two) = (files[0], files[1]);
    t.write(move |unit| {
        unit.put_want(of, None, b, Some(true))?;
        unit.put_want(of, Some(two), b, Some(false))?;
        unit.put_want(of, Some(two), a, Some(true))
    });
    let wants = |t: &Fixture| -> Vec<_> { t.files_of(of).into_iter().map(|f| f.wants).collect() };
    let both = vec![(a, true), (b, false)];
    assert_eq!(wants(&t), [vec![(b, true)], both.clone(), vec![(b, true)]]);
    // However it is read.
    let folder = t.db.read(|view| view.folder(root, "v1")).unwrap();
    assert!(folder.files.iter().all(|row| t.files_of(of).contains(row)));
    let row = t.db.read(|view| view.file(root, "v1", "1.exr")).unwrap().unwrap();
    assert_eq!(row.wants, both);
    // Its own go with it.
    let other = t.published("v2", 1, 0, 0);
    t.write(move |unit| {
        unit.set_representation(two, other)?;
        unit.put_want(of, None, b, None)
    });
    assert_eq!(wants(&t), [vec![], vec![]]);
    assert_eq!(t.files_of(other).iter().find(|file| file.id == two).unwrap().wants, both);
    // Also among files of another representation, in one folder.
    let folder = t.db.read(|view| view.folder(root, "v1")).unwrap();
    let wants: Vec<_> = folder.files.into_iter().map(|file| file.wants).collect();
    assert_eq!(wants, [vec![], both, vec![]]);
    for (representation, file) in [(RepresentationId(99), None), (other, Some(one))] {
        let put = move |unit: &mut dyn Unit| unit.put_want(representation, file, b, Some(true));
        assert!(matches!(t.db.write_blocking(put), Err(Error::Invalid(_))));
    }
}

#[test]
fn priority_and_reset_reach_its_jobs_only() {
    let t = fixture();
    let (of, other) = (t.published("v1", 2, 0, 0), t.published("v2", 1, 0, 0));
    let (a, b) = (t.a, t.b);
    for one in [of, other] {
        let files = t.files_of(one);
        t.write(move |unit| {
            files.iter().try_for_each(|file| {
                let failed = Job { state: JobState::Failed, tries: 3, not_before: 9, ..job(a, b) };
                unit.put_job(file.id, &failed)
            })
        });
    }
    assert_eq!(t.write(move |unit| unit.set_priority(of, 900)), 2);
    let one = t.files_of(of)[0].id;
    assert_eq!(t.write(move |unit| unit.reset(of, Some(one), Some(a))), 0);
    assert_eq!(t.write(move |unit| unit.reset(of, Some(one), Some(b))), 1);
    let jobs = |of| t.files_of(of).into_iter().flat_map(|file| file.jobs).collect::<Vec<_>>();
    let seen = |job: &Job| (job.state, job.tries, job.priority);
    let seen: Vec<_> = jobs(of).iter().chain(&jobs(other)).map(seen).collect();
    let failed = |priority| (JobState::Failed, 3, priority);
    assert_eq!(seen, [(JobState::Ready, 0, 900), failed(900), failed(50)]);
    assert_eq!(t.write(move |unit| unit.reset(of, None, None)), 1);
    assert_eq!(t.write(move |unit| unit.set_priority(of, 0)), 0);
    assert_eq!(jobs(of)[0].priority, 900);
    assert_eq!(t.db.read(|view| view.representation(of)).unwrap().unwrap().priority, 0);
    let unknown = |unit: &mut dyn Unit| unit.set_priority(RepresentationId(99), 1).map(drop);
    assert!(matches!(t.db.write_blocking(unknown), Err(Error::Invalid(_))));
}

#[test]
fn the_queue_of_representations_goes_by_priority_then_age() {
    let t = fixture();
    for (product, priority, at) in
        [("late", 0, 30), ("urgent", 900, 90), ("low", 7, 1), ("early", 50, 10), ("between", 0, 20)]
    {
        t.published(product, 2, priority, at);
    }
    let all = ["urgent", "early", "between", "late", "low"];
    assert_eq!(t.products(&every()), all);
    assert_eq!(t.products(&RepresentationFilter { limit: 2, offset: 1, ..every() }), all[1..3]);
    assert_eq!(t.products(&RepresentationFilter { limit: 2, offset: 9, ..every() }), [""; 0]);
    assert_eq!(t.products(&RepresentationFilter { limit: usize::MAX, ..every() }), all);
    let first = RepresentationFilter { priority: 1000, ..every() };
    assert_eq!(t.products(&first), ["between", "late", "urgent", "early", "low"]);
}

#[test]
fn the_queue_of_representations_shows_what_was_asked_for() {
    let t = fixture();
    let (done, half, failed) = (
        t.published("done", 1, 0, 1),
        t.published("half", 2, 0, 2),
        t.published("failed", 2, 0, 3),
    );
    let (a, b) = (t.a, t.b);
    let (done, half, failed) = (t.files_of(done), t.files_of(half), t.files_of(failed));
    t.write(move |unit| {
        for file in [done[0].id, half[0].id] {
            unit.put_have(file, &have(b, 1, 10))?;
            unit.drop_job(file, b)?;
        }
        unit.put_job(failed[1].id, &Job { state: JobState::Failed, ..job(a, b) })
    });
    let of = |states: &[FileState], site| {
        t.products(&RepresentationFilter { states: states.to_vec(), site, ..every() })
    };
    assert_eq!(of(&[], None), ["half", "failed"]);
    assert_eq!(of(&[], Some(a)), [""; 0]);
    assert_eq!(of(&[FileState::Queued], Some(b)), ["half", "failed"]);
    assert_eq!(of(&[FileState::Failed], None), ["failed"]);
    assert_eq!(of(&[FileState::InProgress, FileState::Paused], None), [""; 0]);
    assert_eq!(of(&[FileState::Synced], Some(b)), ["done", "half"]);
    assert_eq!(of(&[FileState::NotAvailable], Some(SiteId(3))), ["done", "half", "failed"]);
    let rows = t.rows(&every());
    let seen = |row: &RepresentationRow| (row.state, row.files, row.done, row.bytes, row.at.len());
    assert_eq!(seen(&rows[0]), (FileState::Queued, 2, 1, 20, 1));
    assert_eq!(seen(&rows[1]), (FileState::Failed, 2, 0, 20, 1));
    assert_eq!(rows[0].at[0].site, b);
}

#[test]
fn patterns_find_namings() {
    let t = fixture();
    let project = t.project;
    let all = [
        ".",
        "a/b/main/v1/exr",
        "a/b/main/v10/abc",
        "a/b/main/v10/exr",
        "a/b/main/v9/exr",
        "a/b/mask/hero/exr",
        "a/b/mask/v1/exr",
        "a/b/c/v1/d/",
        "a/b2/main/v1/exr",
        "b/main/v1/exr",
    ];
    t.write(move |unit| {
        all.iter().try_for_each(|text| {
            let naming: Naming = text.parse().unwrap();
            unit.put_representation(project, &naming, 0, 0, "", false).map(drop)
        })
    });
    let like = |pattern: &str, limit| {
        let pattern: NamingPattern = pattern.parse().unwrap();
        let found = t.db.read(|view| view.representations_like(project, &pattern, limit)).unwrap();
        found.into_iter().map(|one| one.naming.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(like("a/b/main/v1/exr", 9), ["a/b/main/v1/exr"]);
    assert_eq!(like("a/b/main/v1/exr", 0), [""; 0]);
    assert_eq!(like("a/b/main/v2/exr", 9), [""; 0]);
    let both = ["a/b/main/v1/exr", "a/b/main/v9/exr", "a/b2/main/v1/exr"];
    assert_eq!(like("a/*/main/v?/exr", 9), both);
    assert_eq!(like("a/*/main/v?/exr", 2), both[..2]);
    assert_eq!(like("a/b/*/latest/exr", 9), ["a/b/main/v10/exr", "a/b/mask/v1/exr"]);
    let latest = [
        "a/b/main/v10/abc",
        "a/b/main/v10/exr",
        "a/b/mask/v1/exr",
        "a/b2/main/v1/exr",
        "b/main/v1/exr",
    ];
    assert_eq!(like("**/latest/*", 9), latest);
    assert_eq!(like("**/latest/*", 1), latest[..1]);
    assert_eq!(like("a/b/c/v1/*/", 9), ["a/b/c/v1/d/"]);
    assert_eq!(like(".", 9), ["."]);
    assert_eq!(like("**", usize::MAX), all);
    assert_eq!(like("**", 0), [""; 0]);
}
