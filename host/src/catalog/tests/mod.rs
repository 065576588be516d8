//! Tests against real files: each unit, groups, counters against a recount, other processes.

mod histories;
mod migration;
mod pauses;
mod representations;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc;

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

/// A catalog with a project, its root `work`, and two sites.
struct Fixture {
    dir: TempDir,
    db: Sqlite,
    project: ProjectId,
    root: RootId,
    a: SiteId,
    b: SiteId,
}

fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let db = Sqlite::open(dir.path()).unwrap();
    let (project, root, a, b) = db
        .write_blocking(|unit| {
            let project = unit.put_project("demo")?;
            let root = unit.put_root(project, "work")?;
            Ok((project, root, unit.put_site("a")?, unit.put_site("b")?))
        })
        .unwrap();
    Fixture { dir, db, project, root, a, b }
}

fn have(site: SiteId, generation: Generation, size: u64) -> Have {
    Have { site, generation, version: format!("v{generation}"), size, mtime_ns: Some(-7) }
}

fn job(from: SiteId, to: SiteId) -> Job {
    Job {
        to,
        from,
        state: JobState::Ready,
        priority: 50,
        queued_at: 1_000,
        not_before: 0,
        tries: 0,
        sent: None,
        token: None,
        error: None,
    }
}

/// Adds a file, grouped by its folder, to a root of the first project.
fn add(unit: &mut dyn Unit, root: RootId, path: &str, name: &str, size: u64) -> Result<FileId> {
    let folder = unit.put_folder(root, path)?;
    let naming = Naming::by_folder(path);
    let representation = unit.put_representation(ProjectId(1), &naming, 0, 0, "", false)?;
    unit.add_file(folder, name, size, representation)
}

impl Fixture {
    /// Runs a unit, then compares the counters with a recount.
    fn write<R: Send + 'static>(
        &self,
        f: impl FnOnce(&mut dyn Unit) -> Result<R> + Send + 'static,
    ) -> R {
        let result = self.db.write_blocking(f).unwrap();
        self.recount();
        result
    }

    /// All that `b` had is known.
    fn scanned(&self) {
        let (root, b) = (self.root, self.b);
        self.write(move |unit| {
            unit.put_root_identity(root, b, "marker:b")?;
            unit.put_scanned(root, b)
        });
    }

    /// A file that `a` has and that is queued for `b`.
    fn queued(&self, name: &str, size: u64, change: impl FnOnce(&mut Job)) -> FileId {
        let (root, a, name) = (self.root, self.a, name.to_owned());
        let mut job = job(self.a, self.b);
        change(&mut job);
        self.write(move |unit| {
            let file = add(unit, root, "shots/010", &name, size)?;
            unit.put_have(file, &have(a, 1, size))?;
            unit.put_job(file, &job)?;
            Ok(file)
        })
    }

    fn filter(&self) -> ClaimFilter {
        ClaimFilter {
            project: self.project,
            to: self.b,
            from: self.a,
            files: 100,
            bytes: u64::MAX,
            largest: None,
            oldest_first: false,
        }
    }

    fn claim(&self, filter: ClaimFilter) -> Vec<Claimed> {
        self.write(move |unit| unit.claim(&filter))
    }

    /// Wakes what waits on its way from `a` to `b`.
    fn wake(&self, now: Millis, limit: usize) -> usize {
        let (project, a, b) = (self.project, self.a, self.b);
        self.write(move |unit| unit.wake(project, b, a, now, limit))
    }

    fn names(&self, filter: ClaimFilter) -> Vec<String> {
        self.claim(filter).into_iter().map(|claimed| claimed.name).collect()
    }

    fn file(&self, name: &str) -> FileRow {
        self.db.read(|view| view.file(self.root, "shots/010", name)).unwrap().unwrap()
    }

    fn count(&self, site: SiteId, state: FileState) -> (u64, u64, u64) {
        let counts = self.db.read(|view| view.counts(self.project)).unwrap();
        let count = counts.iter().find(|count| count.site == site && count.state == state);
        count.map_or((0, 0, 0), |count| (count.files, count.bytes, count.conflicts))
    }

    fn recount(&self) {
        let conn = Connection::open(self.dir.path().join("catalog.db")).unwrap();
        assert_eq!(kept(&conn), recounted(&conn));
        assert_eq!(kept_of_representations(&conn), recounted_of_representations(&conn));
    }
}

type Counters = Vec<(i64, i64, i64, i64, i64)>;

fn counters(conn: &Connection, sql: &str) -> Counters {
    let mut all = conn.prepare(sql).unwrap();
    let rows = all
        .query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)));
    rows.unwrap().collect::<rusqlite::Result<_>>().unwrap()
}

fn kept(conn: &Connection) -> Counters {
    counters(conn, "SELECT * FROM counter WHERE files <> 0 OR bytes <> 0 ORDER BY 1, 2, 3")
}

/// The counters from scratch, straight from their definition.
fn recounted(conn: &Connection) -> Counters {
    counters(
        conn,
        "SELECT root, site, bucket, count(*), sum(size) FROM (
             SELECT d.root, j.to_site AS site, j.state AS bucket, f.size
             FROM job j JOIN file f ON f.id = j.file JOIN folder d ON d.id = f.folder
             UNION ALL
             SELECT d.root, h.site, 6, f.size
             FROM have h JOIN file f ON f.id = h.file JOIN folder d ON d.id = f.folder
             WHERE h.generation = f.generation
               AND NOT EXISTS (SELECT 1 FROM job WHERE file = f.id AND to_site = h.site)
         ) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
    )
}

/// As stored: a row that counts nothing would be seen.
fn kept_of_representations(conn: &Connection) -> Counters {
    counters(conn, "SELECT * FROM representation_counter ORDER BY 1, 2, 3")
}

fn recounted_of_representations(conn: &Connection) -> Counters {
    counters(
        conn,
        "SELECT representation, site, bucket, count(*), sum(size) FROM (
             SELECT representation, 0 AS site, 6 AS bucket, size FROM file
             UNION ALL
             SELECT f.representation, j.to_site, j.state, f.size
             FROM job j JOIN file f ON f.id = j.file
             UNION ALL
             SELECT f.representation, h.site, 6, f.size FROM have h JOIN file f ON f.id = h.file
             WHERE h.generation = f.generation
               AND NOT EXISTS (SELECT 1 FROM job WHERE file = f.id AND to_site = h.site)
         ) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
    )
}

#[test]
fn counters_that_are_wrong_are_counted_anew() {
    let t = fixture();
    t.queued("a", 10, |_| {});
    t.queued("b", 20, |job| job.state = JobState::Failed);
    assert_eq!(t.db.miscounted().unwrap(), 0);
    let Fixture { dir, db, .. } = t;
    drop(db);
    let path = dir.path().join("catalog.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(
        "UPDATE counter SET files = files + 7 WHERE bucket = 3;
         DELETE FROM counter WHERE bucket = 0;
         INSERT INTO representation_counter (representation, site, bucket, files, bytes)
         VALUES (99, 1, 6, 5, 5);",
    )
    .unwrap();
    drop(conn);
    assert_eq!(Sqlite::open_read_only(dir.path()).unwrap().miscounted().unwrap(), 3);
    assert_eq!(recount(dir.path()).unwrap(), 3);
    assert_eq!(recount(dir.path()).unwrap(), 0);
    let conn = Connection::open(&path).unwrap();
    assert_eq!(kept(&conn), recounted(&conn));
    assert_eq!(kept_of_representations(&conn), recounted_of_representations(&conn));
}

#[test]
fn a_copy_is_the_catalog_as_it_was() {
    let t = fixture();
    let apart = tempfile::tempdir().unwrap();
    assert!(!copy(apart.path(), t.dir.path()).unwrap(), "there is none to copy");
    t.queued("a", 10, |_| {});
    assert!(copy(t.dir.path(), apart.path()).unwrap());
    t.queued("b", 20, |_| {});
    let copied = Sqlite::open(apart.path()).unwrap();
    let names = copied.read(|view| view.folder(t.root, "shots/010")).unwrap();
    assert_eq!(names.files.iter().map(|file| &*file.name).collect::<Vec<_>>(), ["a"]);
    assert_eq!(copied.schema_version(), t.db.schema_version());
}

#[test]
fn a_site_gets_another_name_that_is_free() {
    let t = fixture();
    t.write(|unit| {
        assert!(!unit.rename_site("a", "b")?, "it is taken");
        assert!(!unit.rename_site("nobody", "c")?);
        assert!(unit.rename_site("a", "c")?);
        Ok(())
    });
    t.db.read(|view| {
        assert_eq!(view.site_names()?, [(t.a, "c".to_owned()), (t.b, "b".to_owned())]);
        Ok(())
    })
    .unwrap();
}

#[test]
fn names_get_one_key_each() {
    let t = fixture();
    let (project, root, a) = (t.project, t.root, t.a);
    t.write(move |unit| {
        assert_eq!(unit.put_project("demo")?, project);
        assert_eq!(unit.put_root(project, "work")?, root);
        assert_eq!(unit.put_site("a")?, a);
        assert_eq!(unit.put_folder(root, "x")?, unit.put_folder(root, "x")?);
        unit.put_root_identity(root, a, "one")?;
        unit.put_cursor(root, a, Some("not yet"))?;
        unit.put_root_identity(root, a, "two")?;
        assert_eq!(unit.cursor(root, a)?, None, "of another root no cursor is known");
        unit.put_cursor(root, a, Some("here"))
    });
    t.db.read(|view| {
        assert_eq!(view.project("demo")?, Some(t.project));
        assert_eq!(view.project("other")?, None);
        assert_eq!(view.site("b")?, Some(t.b));
        assert_eq!(view.site_names()?, [(t.a, "a".to_owned()), (t.b, "b".to_owned())]);
        assert_eq!(view.root(t.project, "work")?, Some(t.root));
        assert_eq!(view.root(t.project, "publish")?, None);
        assert_eq!(view.root_identity(t.root, t.a)?.as_deref(), Some("two"));
        assert_eq!(view.root_identity(t.root, t.b)?, None);
        assert_eq!(view.cursor(t.root, t.a)?.as_deref(), Some("here"));
        assert_eq!(view.cursor(t.root, t.b)?, None);
        Ok(())
    })
    .unwrap();
}

/// What nobody compared yet, or nobody has looked for, may have been there before: that it has the time of
/// the source does not say that it was sent.
#[test]
fn what_was_sent_is_remembered_only_where_it_can_be_recognised() {
    let sent = |destination: Option<Generation>, scanned: bool| {
        let t = fixture();
        let file = t.queued("x.exr", 10, |_| {});
        if scanned {
            t.scanned();
        }
        if let Some(generation) = destination {
            let there = have(t.b, generation, 10);
            t.write(move |unit| unit.put_have(file, &there));
        }
        let claimed = t.claim(t.filter()).remove(0);
        let stored = t.file("x.exr").jobs.remove(0).sent;
        assert_eq!(claimed.sent(), stored);
        stored.is_some()
    };
    assert_eq!([false, true].map(|scanned| sent(None, scanned)), [false, true]);
    for unknown in [UNKNOWN, DOUBTFUL] {
        assert_eq!([false, true].map(|scanned| sent(Some(unknown), scanned)), [false; 2]);
    }
    for known in [STALE, GONE] {
        assert_eq!([false, true].map(|scanned| sent(Some(known), scanned)), [true; 2]);
    }
}

#[test]
fn a_file_travels() {
    let t = fixture();
    let file = t.queued("x.exr", 10, |job| job.token = Some(vec![1, 2]));
    t.scanned();
    assert_eq!(t.count(t.a, FileState::Synced), (1, 10, 0));
    assert_eq!(t.count(t.b, FileState::Queued), (1, 10, 0));
    assert!(t.db.read(|view| view.ready(t.project, t.b, t.a)).unwrap());
    assert!(!t.db.read(|view| view.ready(t.project, t.b, t.b)).unwrap());

    let claimed = t.claim(t.filter());
    assert_eq!(claimed.len(), 1);
    let claimed = &claimed[0];
    assert_eq!((claimed.file, claimed.root, claimed.generation), (file, t.root, 1));
    assert_eq!((claimed.folder.as_str(), claimed.name.as_str()), ("shots/010", "x.exr"));
    assert_eq!(claimed.source, have(t.a, 1, 10));
    assert_eq!(claimed.destination, None);
    assert_eq!(claimed.job.state, JobState::Ready);
    assert_eq!((claimed.job.sent, claimed.job.token.as_deref()), (None, Some(&[1, 2][..])));

    let stored = t.file("x.exr").jobs.remove(0);
    assert_eq!(stored.state, JobState::InProgress);
    assert_eq!(stored.sent, Some(Sent { size: 10, mtime_ns: Some(-7) }));
    assert_eq!(t.count(t.b, FileState::InProgress), (1, 10, 0));
    assert!(!t.db.read(|view| view.ready(t.project, t.b, t.a)).unwrap());
    assert!(t.claim(t.filter()).is_empty());

    let (a, b) = (t.a, t.b);
    t.write(move |unit| {
        unit.put_have(file, &have(b, 1, 10))?;
        unit.drop_job(file, b)
    });
    assert_eq!(t.count(t.b, FileState::Synced), (1, 10, 0));

    // New content: what `b` has is old now.
    t.write(move |unit| {
        unit.set_generation(file, 2, 30)?;
        unit.put_have(file, &have(a, 2, 30))
    });
    assert_eq!(t.count(t.a, FileState::Synced), (1, 30, 0));
    assert_eq!(t.count(t.b, FileState::Synced), (0, 0, 0));
    let row = t.file("x.exr");
    assert_eq!((row.generation, row.size), (2, 30));
    assert_eq!(row.haves, [have(a, 2, 30), have(b, 1, 10)]);

    let whole = t.db.read(|view| view.folder(t.root, "shots/010")).unwrap();
    assert_eq!(whole.files, [row]);
    let unknown = t.db.read(|view| view.folder(t.root, "shots")).unwrap();
    assert_eq!(unknown, FolderRows::default());

    // Forgotten only when nobody has it and nothing is to be done.
    t.write(move |unit| {
        unit.forget_file(file)?;
        unit.drop_have(file, a)?;
        unit.drop_have(file, a)?;
        unit.put_job(file, &job(a, b))?;
        unit.drop_have(file, b)?;
        unit.forget_file(file)?;
        assert!(unit.file(RootId(1), "shots/010", "x.exr")?.is_some());
        unit.drop_job(file, b)?;
        unit.forget_file(file)?;
        assert!(unit.file(RootId(1), "shots/010", "x.exr")?.is_none());
        Ok(())
    });
    assert_eq!(t.db.read(|view| view.counts(t.project)).unwrap(), []);
    // A key is not given out twice.
    assert_ne!(t.queued("y.exr", 1, |_| {}), file);
}

#[test]
fn a_folder_has_its_own_files_with_haves_and_jobs() {
    let t = fixture();
    for name in ["c", "a", "b"] {
        t.queued(name, 1, |_| {});
    }
    let (root, b) = (t.root, t.b);
    t.write(move |unit| {
        let file = add(unit, root, "", "top", 5)?;
        unit.put_have(file, &have(b, 1, 5))
    });
    let rows = t.db.read(|view| view.folder(root, "shots/010")).unwrap();
    assert_eq!(rows.files.len(), 3);
    for file in &rows.files {
        assert_eq!((file.haves.len(), file.jobs.len()), (1, 1), "{file:?}");
        assert_eq!(*file, t.file(&file.name));
    }
    let top = t.db.read(|view| view.folder(root, "")).unwrap();
    assert_eq!((top.files.len(), top.files[0].name.as_str()), (1, "top"));
    let all = t.db.read(|view| view.folders(root, FolderId(0), 9)).unwrap();
    assert_eq!(all.iter().map(|(_, path)| path.as_str()).collect::<Vec<_>>(), ["shots/010", ""]);
    assert_eq!(t.db.read(|view| view.folders(root, all[0].0, 9)).unwrap(), all[1..]);
    assert_eq!(t.db.read(|view| view.folders(root, FolderId(0), 1)).unwrap(), all[..1]);
}

#[test]
fn claims_by_priority_then_age() {
    let t = fixture();
    let (project, to, from) = (t.project, t.b, t.a);
    for (name, priority, queued_at) in
        [("late", 50, 30), ("early", 50, 10), ("urgent", 1001, 40), ("tie", 50, 10), ("low", 1, 1)]
    {
        t.queued(name, 1, |job| {
            job.priority = priority;
            job.queued_at = queued_at;
        });
    }
    let before = |name, limit| {
        let row = t.file(name);
        t.db.read(|view| view.ready_before(project, row.id, &row.jobs[0], limit)).unwrap()
    };
    assert_eq!(
        ["urgent", "early", "tie", "late", "low"].map(|name| before(name, 9)),
        [0, 1, 2, 3, 4]
    );
    assert_eq!(before("low", 2), 2);
    assert_eq!(t.names(t.filter()), ["urgent", "early", "tie", "late", "low"]);
    assert_eq!(t.write(move |unit| unit.release(project, to, from, &[])), 5);
    assert_eq!(t.names(ClaimFilter { files: 0, ..t.filter() }), [""; 0]);
    let oldest = ClaimFilter { oldest_first: true, files: 3, ..t.filter() };
    assert_eq!(t.names(oldest.clone()), ["low", "early", "tie"]);
    assert_eq!(t.names(oldest), ["late", "urgent"]);
}

#[test]
fn claims_within_bounds() {
    let t = fixture();
    let (project, to, from) = (t.project, t.b, t.a);
    for (at, size) in [70, 50, 1, 0, 20].into_iter().enumerate() {
        t.queued(&format!("{at}"), size, |job| job.queued_at = at as i64);
    }
    // The first is given whatever its size; the one that reaches the bound is the last.
    assert_eq!(t.names(ClaimFilter { bytes: 0, ..t.filter() }), ["0"]);
    assert_eq!(t.names(ClaimFilter { bytes: 51, ..t.filter() }), ["1", "2"]);
    // What a transfer still holds is left to it.
    let held = t.file("0").id;
    assert_eq!(t.write(move |unit| unit.release(project, to, from, &[held])), 2);
    t.recount();
    assert_eq!(t.names(ClaimFilter { bytes: 0, ..t.filter() }), ["1"]);
    assert_eq!(t.write(move |unit| unit.release(project, to, from, &[])), 2);
    assert_eq!(t.names(ClaimFilter { largest: Some(20), ..t.filter() }), ["2", "3", "4"]);
    assert_eq!(t.names(ClaimFilter { files: 1, ..t.filter() }), ["0"]);
    assert_eq!(t.names(ClaimFilter { to: t.a, ..t.filter() }), [""; 0]);
    assert_eq!(t.names(ClaimFilter { from: t.b, ..t.filter() }), [""; 0]);
}

#[test]
fn what_comes_from_where_it_goes_is_removed_there() {
    let t = fixture();
    let (project, a, b) = (t.project, t.a, t.b);
    let removal = ClaimFilter { from: b, ..t.filter() };
    let (old, gone) = (t.queued("old", 3, |_| {}), t.queued("gone", 4, |_| {}));
    t.write(move |unit| {
        for (file, have) in [(old, have(b, STALE, 2)), (gone, Have::gone(b, 1))] {
            unit.put_have(file, &have)?;
            unit.put_job(file, &job(b, b))?;
        }
        assert_eq!((unit.ready(project, b, a)?, unit.ready(project, b, b)?), (false, true));
        Ok(())
    });
    assert_eq!(t.names(t.filter()), [""; 0]);
    let claimed = t.claim(removal.clone());
    assert_eq!(claimed.len(), 1);
    assert_eq!((claimed[0].file, &claimed[0].source), (old, &have(b, STALE, 2)));
    let waits = |way: (SiteId, SiteId)| {
        t.db.read(move |view| view.in_progress(project, way.0, way.1)).unwrap()
    };
    assert_eq!((waits((b, a)), waits((b, b))), (0, 1));
    // What is not there waits until it is.
    t.write(move |unit| unit.put_have(gone, &have(b, UNKNOWN, 4)));
    assert_eq!(t.names(removal), ["gone"]);
    assert_eq!(t.write(move |unit| unit.release(project, b, a, &[])), 0);
    assert_eq!(t.write(move |unit| unit.release(project, b, b, &[])), 2);
}

#[test]
fn a_source_without_the_newest_content_is_passed_over_until_it_has_it() {
    for oldest_first in [false, true] {
        let t = fixture();
        let filter = ClaimFilter { files: 1, oldest_first, ..t.filter() };
        let stale = t.queued("stale", 3, |job| job.queued_at = 1);
        t.queued("good", 4, |job| job.queued_at = 2);
        t.write(move |unit| unit.set_generation(stale, 2, 5));
        assert_eq!(t.names(filter.clone()), ["good"]);
        assert_eq!(t.names(filter.clone()), [""; 0]);
        // To everyone else it is ready, but not claimable.
        assert_eq!(t.file("stale").jobs[0].state, JobState::Ready);
        assert_eq!(t.count(t.b, FileState::Queued), (1, 5, 0));
        assert!(!t.db.read(|view| view.ready(t.project, t.b, t.a)).unwrap());
        let shown = QueueFilter { states: vec![JobState::Ready], limit: 9, offset: 0 };
        assert_eq!(t.db.read(|view| view.queue(t.project, &shown)).unwrap().len(), 1);
        // It stays so when the process starts anew, until the source has the content.
        let t = reopen(t);
        let (a, b) = (t.a, t.b);
        t.write(move |unit| unit.put_have(stale, &have(b, 1, 3)));
        assert_eq!(t.names(filter.clone()), [""; 0]);
        t.write(move |unit| unit.put_have(stale, &have(a, 2, 5)));
        let claimed = t.claim(filter);
        assert_eq!(claimed[0].name, "stale");
        assert_eq!(claimed[0].destination, Some(have(b, 1, 3)));
    }
}

fn reopen(t: Fixture) -> Fixture {
    let Fixture { dir, db, project, root, a, b } = t;
    drop(db);
    let db = Sqlite::open(dir.path()).unwrap();
    Fixture { dir, db, project, root, a, b }
}

#[test]
fn waiting_jobs_wake_in_time() {
    let t = fixture();
    for at in [10, 20, 30] {
        t.queued(&format!("{at}"), 1, |job| {
            job.state = JobState::Waiting;
            job.not_before = at;
        });
    }
    let next = || t.db.read(|view| view.next_waiting(t.project, t.b, t.a)).unwrap();
    assert_eq!(next(), Some(10));
    assert_eq!(t.count(t.b, FileState::Queued), (3, 3, 0));
    // Not what goes the other way, nor another project's.
    let (project, a, b) = (t.project, t.a, t.b);
    assert_eq!(t.write(move |unit| unit.wake(project, a, b, 99, 100)), 0);
    assert_eq!(t.write(move |unit| unit.wake(ProjectId(99), b, a, 99, 100)), 0);
    assert_eq!(t.wake(9, 100), 0);
    assert_eq!(t.wake(20, 1), 1);
    assert_eq!(t.wake(20, 100), 1);
    assert_eq!(next(), Some(30));
    assert_eq!(t.names(t.filter()).len(), 2);
    assert_eq!(t.wake(30, 100), 1);
    assert_eq!(next(), None);
}

#[test]
fn failed_jobs_are_reset_and_conflicts_stay() {
    let t = fixture();
    let error = JobError { kind: "Timeout".to_owned(), message: "no answer".to_owned() };
    for (name, state) in [("f", JobState::Failed), ("c", JobState::Conflict)] {
        t.queued(name, 8, |job| {
            job.state = state;
            job.tries = 3;
            job.error = Some(error.clone());
            job.sent = Some(Sent { size: 8, mtime_ns: None });
        });
    }
    assert_eq!(t.file("f").jobs[0].error, Some(error));
    assert_eq!(t.count(t.b, FileState::Failed), (2, 16, 1));
    assert_eq!(t.write(|unit| unit.reset_failed(ProjectId(99))), 0);
    let project = t.project;
    assert_eq!(t.write(move |unit| unit.reset_failed(project)), 1);
    assert_eq!(t.count(t.b, FileState::Failed), (1, 8, 1));
    let reset = t.file("f").jobs.remove(0);
    assert_eq!((reset.state, reset.tries, reset.error), (JobState::Ready, 0, None));
    assert_eq!(reset.sent, Some(Sent { size: 8, mtime_ns: None }));
    assert_eq!(t.file("c").jobs[0].state, JobState::Conflict);
}

#[test]
fn the_queue_shows_work_in_progress_first() {
    let t = fixture();
    let states = [
        JobState::Ready,
        JobState::Failed,
        JobState::InProgress,
        JobState::Waiting,
        JobState::Conflict,
    ];
    for (at, state) in states.into_iter().enumerate() {
        t.queued(&format!("{state:?}"), 1, |job| {
            job.state = state;
            job.priority = 50 + i64::from(state == JobState::Waiting);
            job.queued_at = 100 - at as i64;
        });
    }
    let queue = |states: &[JobState], limit, offset| {
        let filter = QueueFilter { states: states.to_vec(), limit, offset };
        let rows = t.db.read(|view| view.queue(t.project, &filter)).unwrap();
        assert!(rows.iter().all(|row| row.root == "work" && row.size == 1));
        rows.into_iter().map(|row| row.path.replace("shots/010/", "")).collect::<Vec<_>>()
    };
    let all = ["InProgress", "Waiting", "Conflict", "Failed", "Ready"];
    assert_eq!(queue(&[], usize::MAX, 0), all);
    assert_eq!(queue(&[], 2, 1), all[1..3]);
    assert_eq!(queue(&[], 2, 9), [""; 0]);
    assert_eq!(queue(&[JobState::Failed, JobState::Conflict], 9, 0), all[2..4]);
}

#[test]
fn time_never_goes_back() {
    let t = fixture();
    assert_eq!(t.db.read(|view| view.last_time()).unwrap(), 0);
    t.write(|unit| unit.put_time(5));
    t.write(|unit| unit.put_time(3));
    assert_eq!(t.db.read(|view| view.last_time()).unwrap(), 5);
}

#[test]
fn what_cannot_be_is_refused() {
    let t = fixture();
    let file = t.queued("x", 1, |_| {});
    let (root, a, b) = (t.root, t.a, t.b);
    let refused = |f: fn(&mut dyn Unit, FileId, RootId, SiteId, SiteId) -> Result<()>| {
        let error = t.db.write_blocking(move |unit| f(unit, file, root, a, b)).unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{error:?}");
        t.recount();
    };
    refused(|unit, _, root, _, _| add(unit, root, "shots/010", "x", 1).map(|_| ()));
    refused(|unit, _, _, _, _| {
        unit.add_file(FolderId(99), "x", 1, RepresentationId(1)).map(|_| ())
    });
    refused(|unit, _, _, _, _| {
        unit.add_file(FolderId(1), "y", 1, RepresentationId(99)).map(|_| ())
    });
    refused(|unit, _, _, _, _| {
        let other = unit.put_project("other")?;
        let theirs = unit.put_representation(other, &Naming::by_folder("x"), 0, 0, "", false)?;
        unit.add_file(FolderId(1), "y", 1, theirs).map(|_| ())
    });
    refused(|unit, _, _, _, _| unit.put_folder(RootId(99), "x").map(|_| ()));
    refused(|unit, _, _, a, _| unit.put_have(FileId(99), &have(a, 1, 1)));
    refused(|unit, _, _, a, b| unit.put_job(FileId(99), &job(a, b)));
    refused(|unit, _, _, _, _| unit.set_generation(FileId(99), 1, 1));
}

#[test]
fn one_unit_of_a_group_fails_alone() {
    let t = fixture();
    let (root, a, project) = (t.root, t.a, t.project);
    let add = move |unit: &mut dyn Unit, name: &str| {
        let file = add(unit, root, "f", name, 1)?;
        unit.put_have(file, &have(a, 1, 1))?;
        Ok(file)
    };
    let (entered, wait) = mpsc::channel();
    let (go, gate) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        // Keeps the writer busy until the others are queued: they become one group.
        let db = &t.db;
        let first = scope.spawn(move || {
            db.write_blocking(move |unit| {
                entered.send(()).unwrap();
                gate.recv().unwrap();
                add(unit, "first")
            })
        });
        wait.recv().unwrap();
        let more: Vec<_> = (0..9)
            .map(|at| {
                scope.spawn(move || {
                    db.write_blocking(move |unit| {
                        // What others of the group did is seen, what was undone is not.
                        let counted = unit.counts(project)?.first().map_or(0, |c| c.files);
                        assert_eq!(counted, unit.folder(root, "f")?.files.len() as u64);
                        add(unit, &at.to_string())?;
                        match at {
                            3 => Err(Error::Invalid("no".to_owned())),
                            6 => panic!("{at}"),
                            _ => Ok(at),
                        }
                    })
                })
            })
            .collect();
        std::thread::sleep(std::time::Duration::from_millis(30));
        go.send(()).unwrap();
        first.join().unwrap().unwrap();
        for (at, answer) in more.into_iter().enumerate() {
            match (at, answer.join().unwrap()) {
                (3, answer) => assert_eq!(answer, Err(Error::Invalid("no".to_owned()))),
                (6, answer) => assert_eq!(answer, Err(Error::Panicked("6".to_owned()))),
                (at, answer) => assert_eq!(answer, Ok(at)),
            }
        }
    });
    assert_eq!(t.count(a, FileState::Synced), (8, 8, 0));
    t.recount();
}

#[test]
fn async_writes_are_answered_after_their_commit() {
    let t = fixture();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let project = t.db.write(|unit| unit.put_project("other")).await.unwrap();
        assert_eq!(t.db.read(|view| view.project("other")).unwrap(), Some(project));
    });
}

#[test]
fn a_unit_may_hold_the_last_handle() {
    let t = fixture();
    let (mine, theirs) = (t.db.clone(), t.db);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async move {
        let mut write = Box::pin(theirs.write(move |unit| {
            std::thread::sleep(std::time::Duration::from_millis(30));
            drop(mine);
            unit.put_time(8)
        }));
        // Polled once, so that the unit is under way, then given up.
        let waited = std::future::poll_fn(|cx| std::task::Poll::Ready(write.as_mut().poll(cx)));
        assert!(waited.await.is_pending());
        drop(write);
        drop(theirs);
    });
    // Nobody could wait for the writer's end: the last handle was dropped on its own thread.
    let db = Sqlite::open(t.dir.path()).unwrap();
    let limit = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while db.read(|view| view.last_time()).unwrap() != 8 {
        assert!(std::time::Instant::now() < limit, "the given-up unit was never committed");
        std::thread::yield_now();
    }
}

#[test]
fn a_read_sees_one_moment() {
    let t = fixture();
    t.db.read(|view| {
        assert_eq!(view.last_time()?, 0);
        t.db.write_blocking(|unit| unit.put_time(9))?;
        assert_eq!(view.last_time()?, 0);
        Ok(())
    })
    .unwrap();
    assert_eq!(t.db.read(|view| view.last_time()).unwrap(), 9);
}

#[test]
fn many_threads_read_through_a_few_connections() {
    let t = fixture();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..50 {
                    assert!(t.db.read(|view| view.site("a")).unwrap().is_some());
                }
            });
        }
        // A panicking reader takes no connection with it.
        for _ in 0..8 {
            let panicked = scope.spawn(|| t.db.read(|_| -> Result<()> { panic!("reader") }));
            assert!(panicked.join().is_err());
        }
    });
    assert!(t.db.read(|view| view.site("a")).unwrap().is_some());
}

#[test]
fn reads_beside_a_writer_and_after_it() {
    let t = fixture();
    let beside = Sqlite::open_read_only(t.dir.path()).unwrap();
    t.queued("x", 1, |_| {});
    assert!(beside.read(|view| view.ready(t.project, t.b, t.a)).unwrap());
    let refused = beside.write_blocking(|unit| unit.put_time(1)).unwrap_err();
    assert!(matches!(refused, Error::Invalid(_)));
    let Fixture { dir, db, project, a, b, .. } = t;
    drop((db, beside));
    let after = Sqlite::open_read_only(dir.path()).unwrap();
    assert!(after.read(|view| view.ready(project, b, a)).unwrap());
}

#[test]
fn reading_needs_a_catalog() {
    let dir = tempfile::tempdir().unwrap();
    let missing = |folder: &std::path::Path| {
        let error = Sqlite::open_read_only(folder).unwrap_err();
        assert_eq!(error, Error::Missing { folder: folder.to_owned() });
    };
    missing(dir.path());
    missing(&dir.path().join("none"));
    fs::write(dir.path().join("catalog.db"), "").unwrap();
    missing(dir.path());
}

#[test]
fn the_file_is_private() {
    let t = fixture();
    let path = t.dir.path().join("catalog.db");
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    Sqlite::open(t.dir.path()).unwrap();
    assert_eq!(mode(), 0o600);
}

#[test]
fn a_newer_catalog_is_left_alone() {
    let t = fixture();
    let Fixture { dir, db, .. } = t;
    drop(db);
    let path = dir.path().join("catalog.db");
    let conn = Connection::open(&path).unwrap();
    conn.pragma_update(None, "user_version", schema::KNOWN + 1).unwrap();
    drop(conn);
    let before = fs::read(&path).unwrap();
    let newer = Error::Newer { found: schema::KNOWN + 1, known: schema::KNOWN };
    assert_eq!(Sqlite::open(dir.path()).unwrap_err(), newer);
    assert_eq!(Sqlite::open_read_only(dir.path()).unwrap_err(), newer);
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_damaged_or_foreign_file_is_told_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.db");
    let damaged = || {
        for opened in [Sqlite::open(dir.path()), Sqlite::open_read_only(dir.path())] {
            let error = opened.unwrap_err();
            assert!(matches!(error, Error::Damaged(_)), "{error:?}");
            let text = error.to_string();
            assert!(text.contains("catalog.db") && text.contains("doctor --repair"), "{text}");
        }
    };
    fs::write(&path, "not a database at all, but long enough to be looked at".repeat(99)).unwrap();
    damaged();
    fs::remove_file(&path).unwrap();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE other (x)").unwrap();
    damaged();
}

#[test]
fn damage_met_later_is_told_too() {
    let t = fixture();
    for at in 0..400 {
        t.db.write_blocking({
            let root = t.root;
            move |unit| unit.put_folder(root, &format!("{at}/{}", "long/".repeat(40)))
        })
        .unwrap();
    }
    let Fixture { dir, db, root, .. } = t;
    drop(db);
    let path = dir.path().join("catalog.db");
    let mut bytes = fs::read(&path).unwrap();
    let (from, end) = (bytes.len() / 2, bytes.len());
    bytes[from..end].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    let read = Sqlite::open(dir.path())
        .and_then(|db| db.read(|view| view.folders(root, FolderId(0), usize::MAX)));
    assert!(matches!(read, Err(Error::Damaged(_))), "{read:?}");
}

#[test]
fn a_look_at_the_whole_finds_what_there_is_and_what_is_damaged() {
    let t = fixture();
    let in_state = |state| move |job: &mut Job| job.state = state;
    t.queued("ready", 1, |_| {});
    t.queued("waiting", 1, in_state(JobState::Waiting));
    t.queued("failed", 1, in_state(JobState::Failed));
    t.queued("conflict", 1, in_state(JobState::Conflict));
    let stale = t.queued("stale", 1, |job| job.priority = 900);
    t.write(move |unit| unit.set_generation(stale, 2, 1));
    // Passes over the one whose source lacks the newest content.
    assert_eq!(t.names(t.filter()), ["ready"]);
    t.write(|unit| unit.put_project("empty"));
    let read = Sqlite::open_read_only(t.dir.path()).unwrap();
    assert_eq!((read.schema_version(), read.check()), (Ok(schema::KNOWN), Ok(())));
    let demo = Tallied {
        project: "demo".to_owned(),
        synced: 4,
        under_way: 2,
        parked: 1,
        held: 0,
        failed: 1,
        conflicts: 1,
    };
    let empty = Tallied { project: "empty".to_owned(), ..Tallied::default() };
    assert_eq!(read.tallies().unwrap(), [demo, empty]);
    drop(read);

    let path = t.dir.path().join("catalog.db");
    drop(t.db);
    let of_haves = |conn: Connection| {
        let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'have'";
        conn.query_row(sql, (), |row| row.get::<_, u32>(0)).unwrap() as usize
    };
    let page = of_haves(Connection::open(&path).unwrap());
    let mut bytes = fs::read(&path).unwrap();
    bytes[(page - 1) * 4096..page * 4096].fill(0x5a);
    fs::write(&path, bytes).unwrap();
    let found = Sqlite::open_read_only(t.dir.path()).unwrap().check();
    assert!(matches!(found, Err(Error::Damaged(_))), "{found:?}");
}

#[test]
fn network_file_systems_are_known() {
    for (magic, kind) in [
        (0x6969, Some("nfs")),
        (0xff53_4d42, Some("cifs")),
        (0x6573_5546, Some("fuse")),
        (0xef53, None),
        (0x0102_1994, None),
    ] {
        assert_eq!(sqlite::unsafe_kind(magic), kind);
    }
}
