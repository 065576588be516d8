//! A catalog of the first schema goes on as one of this schema.

use super::*;

/// Writes the stored file into a new folder.
fn first_schema() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let conn = Connection::open(dir.path().join("catalog.db")).unwrap();
    conn.execute_batch(include_str!("v1.sql")).unwrap();
    let found: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(found, 1);
    dir
}

#[test]
fn the_first_schema_is_brought_up_to_date() {
    let dir = first_schema();
    let older = Error::Older { found: 1, known: schema::KNOWN };
    assert_eq!(Sqlite::open_read_only(dir.path()).unwrap_err(), older);

    let db = Sqlite::open(dir.path()).unwrap();
    let conn = Connection::open(dir.path().join("catalog.db")).unwrap();
    assert_eq!(kept(&conn), recounted(&conn));
    assert_eq!(kept_of_representations(&conn), recounted_of_representations(&conn));
    let loose: i64 = conn
        .query_row(
            "SELECT count(*) FROM file f LEFT JOIN representation p ON p.id = f.representation
             WHERE p.id IS NULL",
            (),
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(loose, 0, "every file belongs to a representation");

    db.read(|view| {
        assert_eq!(view.last_time()?, 123_456);
        let (demo, other) = (view.project("demo")?.unwrap(), view.project("other")?.unwrap());
        let (studio, drive) = (view.site("studio")?.unwrap(), view.site("drive")?.unwrap());
        let named = |project| -> Result<Vec<String>> {
            let all = view.representations(project, RepresentationId(0), 99)?;
            assert!(all.iter().all(|one| one.naming.is_by_folder() && !one.published));
            let mut named: Vec<_> = all.iter().map(|one| one.naming.to_string()).collect();
            named.sort();
            Ok(named)
        };
        assert_eq!(named(demo)?, [".", "assets/chars/hero/work/maya", "assets/ünï codé", SHOT]);
        assert_eq!(named(other)?, [SHOT]);

        // Of both roots.
        let shot = view.find_representation(demo, &Naming::by_folder(SHOT))?.unwrap();
        assert_eq!(view.files_of(shot, FileId(0), 99)?.len(), 6);
        let states = view.state_of(shot)?;
        assert_eq!(states[0].site, studio);
        assert_eq!(states[0].state, FileState::Synced);
        assert_eq!(states[1].site, drive);
        assert_eq!(states[1].state, FileState::Queued);
        let shown = [FileState::Synced, FileState::Queued, FileState::NotAvailable];
        assert_eq!(shown.map(|state| states[1].files(state)), [4, 1, 1]);

        let work = view.root(demo, "work")?.unwrap();
        assert_eq!(view.root_identity(work, drive)?.as_deref(), Some("two"));
        assert_eq!(view.cursor(work, drive)?, None);
        let known = view.folder(work, "assets/chars/hero/work/maya")?;
        let job = |name: &str| {
            let file = known.files.iter().find(|file| file.name == name).unwrap();
            assert_eq!((file.haves.len(), file.size, file.wants.len()), (1, 60, 0));
            file.jobs[0].clone()
        };
        assert_eq!(job("ready").state, JobState::Ready);
        assert_eq!((job("waiting").state, job("waiting").not_before), (JobState::Waiting, 5_000));
        let moving = job("in progress");
        assert_eq!((moving.state, moving.token), (JobState::InProgress, Some(vec![1, 2, 3])));
        assert_eq!(moving.sent, Some(Sent { size: 60, mtime_ns: Some(-7) }));
        let failed = job("failed");
        assert_eq!((failed.state, failed.tries), (JobState::Failed, 3));
        assert_eq!(failed.error.unwrap().message, "drive: it's silent");
        assert_eq!(job("conflict").state, JobState::Conflict);
        assert!(view.ready(demo, drive, studio)?);
        assert_eq!((view.pauses()?, view.holds(demo)?), (vec![], vec![]));
        Ok(())
    })
    .unwrap();

    // New keys are new, and work goes on.
    db.write_blocking(|unit| {
        let work = unit.root(ProjectId(1), "work")?.unwrap();
        let file = add(unit, work, SHOT, "new", 1)?;
        let known = unit.file(work, SHOT, "beauty.1001.exr")?.unwrap();
        let new = unit.file(work, SHOT, "new")?.unwrap();
        assert_eq!((new.id, new.representation), (file, known.representation));
        let other =
            unit.put_representation(ProjectId(1), &Naming::by_folder("x"), 0, 0, "", false)?;
        assert!(other > unit.representations(ProjectId(2), RepresentationId(0), 1)?[0].id);
        Ok(())
    })
    .unwrap();
    assert_eq!(kept_of_representations(&conn), recounted_of_representations(&conn));
}

const SHOT: &str = "shots/sq01/sh010";
