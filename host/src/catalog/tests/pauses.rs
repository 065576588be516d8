//! Pauses and guards: what becomes held, and what is free again.

use super::*;

impl Fixture {
    fn representation(&self) -> RepresentationId {
        self.find("shots/010")
    }

    fn find(&self, folder: &str) -> RepresentationId {
        let naming = Naming::by_folder(folder);
        self.db.read(|view| view.find_representation(self.project, &naming)).unwrap().unwrap()
    }

    fn scope(&self, site: Option<SiteId>) -> Scope {
        Scope { project: Some(self.project), site, representation: Some(self.representation()) }
    }

    fn pause(&self, scope: Scope) {
        let pause = Pause { scope, since: 77, by: "somebody".to_owned() };
        self.write(move |unit| unit.put_pause(&pause));
    }

    fn resume(&self, scope: Scope) -> bool {
        self.write(move |unit| unit.drop_pause(&scope))
    }

    fn state(&self, name: &str) -> JobState {
        self.file(name).jobs[0].state
    }
}

fn change(site: SiteId, files: u64, bytes: u64) -> Hold {
    Hold { kind: HoldKind::Change, site, files, bytes, since: 0 }
}

#[test]
fn a_paused_representation_is_not_worked_on() {
    let t = fixture();
    t.queued("ready", 1, |_| {});
    t.queued("waiting", 2, |job| (job.state, job.not_before) = (JobState::Waiting, 500));
    t.queued("moving", 4, |job| job.state = JobState::InProgress);
    t.queued("failed", 8, |job| job.state = JobState::Failed);
    let parked = t.queued("parked", 16, |_| {});
    t.write(move |unit| unit.set_generation(parked, 2, 16));
    t.claim(ClaimFilter { largest: Some(0), ..t.filter() });
    assert_eq!(t.names(ClaimFilter { files: 1, largest: Some(0), ..t.filter() }), [""; 0]);

    t.pause(t.scope(None));
    t.pause(t.scope(Some(t.b)));
    for (name, state) in [
        ("ready", JobState::Held),
        ("waiting", JobState::Held),
        ("moving", JobState::InProgress),
        ("failed", JobState::Failed),
        ("parked", JobState::Held),
    ] {
        assert_eq!(t.state(name), state, "{name}");
    }
    assert_eq!(t.count(t.b, FileState::Paused), (3, 19, 0));
    assert_eq!(t.names(t.filter()), [""; 0]);
    assert_eq!(t.wake(9_999, 99), 0);

    // What comes back from a transfer, is reset, is new, or starts with the process, is held too.
    t.queued("new", 32, |_| {});
    assert_eq!(t.state("new"), JobState::Held);
    let (project, a, b) = (t.project, t.a, t.b);
    t.write(move |unit| unit.release(project, b, a, &[]));
    assert_eq!(t.state("moving"), JobState::Held);
    t.write(move |unit| unit.reset_failed(project));
    assert_eq!(t.state("failed"), JobState::Held);
    let t = reopen(t);
    t.queued("later", 64, |_| {});
    assert_eq!(t.state("later"), JobState::Held);

    // The one pause holds what the other lets go.
    assert!(t.resume(t.scope(None)));
    assert!(!t.resume(t.scope(None)));
    assert_eq!(t.count(t.b, FileState::Paused), (7, 127, 0));
    assert!(t.resume(t.scope(Some(t.b))));
    assert_eq!(t.count(t.b, FileState::Paused), (0, 0, 0));
    assert_eq!(t.state("waiting"), JobState::Waiting);
    assert_eq!(t.wake(500, 99), 1);
    assert_eq!(t.names(t.filter()).len(), 6, "all but the one whose source is stale");
}

#[test]
fn wider_pauses_are_stored_and_change_no_job() {
    let t = fixture();
    t.queued("x", 1, |_| {});
    let (project, site) = (Some(t.project), Some(t.b));
    let wider = [
        Scope::default(),
        Scope { site, ..Scope::default() },
        Scope { project, ..Scope::default() },
        Scope { project, site, ..Scope::default() },
    ];
    wider.into_iter().for_each(|scope| t.pause(scope));
    let stored = t.db.read(|view| view.pauses()).unwrap();
    assert_eq!(stored.iter().map(|pause| pause.scope).collect::<Vec<_>>(), wider);
    assert!(stored.iter().all(|pause| (pause.since, &*pause.by) == (77, "somebody")));
    assert_eq!(t.state("x"), JobState::Ready);
    for scope in wider {
        assert!(t.resume(scope));
    }
    assert_eq!(t.db.read(|view| view.pauses()).unwrap(), []);

    let of = t.representation();
    let refused = |scope: Scope| {
        let pause = Pause { scope, since: 0, by: String::new() };
        let refused = t.db.write_blocking(move |unit| unit.put_pause(&pause)).unwrap_err();
        assert!(matches!(refused, Error::Invalid(_)), "{refused:?}");
    };
    refused(Scope { representation: Some(of), ..Scope::default() });
    refused(Scope { project, representation: Some(RepresentationId(99)), site: None });
}

#[test]
fn an_undone_pause_is_forgotten() {
    let t = fixture();
    t.queued("x", 1, |_| {});
    let pause = Pause { scope: t.scope(None), since: 0, by: String::new() };
    let undone = t.db.write_blocking(move |unit| -> Result<()> {
        unit.put_pause(&pause)?;
        Err(Error::Closed)
    });
    assert_eq!(undone, Err(Error::Closed));
    t.queued("y", 1, |_| {});
    assert_eq!((t.state("x"), t.state("y")), (JobState::Ready, JobState::Ready));
}

#[test]
fn a_file_that_moves_obeys_where_it_is() {
    let t = fixture();
    let x = t.queued("x", 3, |_| {});
    t.queued("y", 4, |_| {});
    t.pause(t.scope(None));
    let project = t.project;
    let other = t.write(move |unit| {
        let other =
            unit.put_representation(project, &Naming::by_folder("else"), 0, 0, "", false)?;
        unit.set_representation(x, other)?;
        Ok(other)
    });
    assert_eq!((t.state("x"), t.state("y")), (JobState::Ready, JobState::Held));
    let paused = t.representation();
    t.write(move |unit| unit.set_representation(x, paused));
    assert_eq!(t.state("x"), JobState::Held);
    assert_eq!(t.db.read(|view| view.representation(other)).unwrap(), None);
}

#[test]
fn a_guard_holds_what_it_names() {
    let t = fixture();
    let (project, a, b) = (t.project, t.a, t.b);
    let moving = t.queued("moving", 7, |job| job.state = JobState::InProgress);
    let failed = t.queued("failed", 9, |job| job.state = JobState::Failed);
    let later =
        t.queued("later", 4, |job| (job.state, job.not_before) = (JobState::Waiting, 5_000));
    let ready = t.queued("ready", 5, |_| {});
    t.queued("free", 6, |_| {});
    let hold = Hold { kind: HoldKind::Change, site: b, files: 101, bytes: 5_000, since: 9 };
    let other = Hold { site: a, ..hold.clone() };
    let stored = [hold.clone(), other.clone()];
    let held = t.write(move |unit| {
        unit.put_hold(project, &Hold { files: 1, ..hold.clone() })?;
        unit.put_hold(project, &hold)?;
        unit.put_hold(project, &other)?;
        let jobs = [moving, failed, later, ready].map(|file| (file, b));
        let held = unit.guard_jobs(&jobs)?;
        assert_eq!(unit.guard_jobs(&[(ready, a), (ready, b)])?, 0, "no job, and held already");
        assert_eq!(unit.guarded(project)?, [change(b, 2, 9)]);
        Ok(held)
    });
    assert_eq!(held, 2);
    let mut holds = t.db.read(|view| view.holds(project)).unwrap();
    holds.sort_by_key(|hold| std::cmp::Reverse(hold.site));
    assert_eq!(holds, stored);
    assert_eq!(t.db.read(|view| view.guarded(project)).unwrap(), [change(b, 2, 9)]);
    assert_eq!((t.state("ready"), t.state("later")), (JobState::Held, JobState::Held));
    assert_eq!((t.state("moving"), t.state("failed")), (JobState::InProgress, JobState::Failed));
    assert_eq!(t.names(t.filter()), ["free"]);

    // What is planned anew stays, as does what is resumed.
    t.write(move |unit| unit.put_job(ready, &Job { queued_at: 77, ..job(a, b) }));
    t.pause(t.scope(None));
    t.resume(t.scope(None));
    assert_eq!((t.state("ready"), t.file("ready").jobs[0].queued_at), (JobState::Held, 77));

    // It obeys a pause when it is freed.
    t.pause(t.scope(Some(b)));
    assert_eq!(t.write(move |unit| unit.release_held(project, Some((HoldKind::Change, a)))), 0);
    assert_eq!(t.db.read(|view| view.holds(project)).unwrap().len(), 1);
    assert_eq!(t.write(move |unit| unit.release_held(project, Some((HoldKind::Change, b)))), 2);
    assert_eq!(t.db.read(|view| view.holds(project)).unwrap(), []);
    assert_eq!(t.db.read(|view| view.guarded(project)).unwrap(), []);
    assert_eq!(t.state("ready"), JobState::Held);
    t.resume(t.scope(Some(b)));
    assert_eq!(t.names(t.filter()), ["ready"]);
    assert_eq!(t.state("later"), JobState::Waiting);
}

#[test]
fn what_is_put_as_held_is_a_guards() {
    let t = fixture();
    t.queued("x", 1, |job| job.state = JobState::Held);
    let shown = QueueFilter { states: vec![JobState::Held], limit: 9, offset: 0 };
    assert_eq!(t.db.read(|view| view.queue(t.project, &shown)).unwrap().len(), 1);
    assert_eq!(t.names(t.filter()), [""; 0]);
    let project = t.project;
    assert_eq!(t.write(move |unit| unit.release_held(project, None)), 1);
    assert_eq!(t.names(t.filter()), ["x"]);
}
