//! The conformance suite must be able to fail: `local_drive` with one defect after another, each of
//! which a case is there to notice.
//!
//! `defect` is the table; `mutant` and its `streams` have the defects, on `names` and on the `disk`.
#![allow(unreachable_pub)]

mod defect;
mod disk;
mod mutant;
mod names;
mod streams;

use std::sync::Mutex;
use std::time::Duration;

use serde_json::json;
use sitesync_provider::conformance::{Report, Suite};

use defect::Defect;
use mutant::Mutant;

/// Runs the suite, or the case of this name, on a fresh folder.
fn verify(defect: Option<Defect>, only: &str) -> Result<Report, String> {
    let temp = tempfile::tempdir().expect("a folder");
    let root = temp.path().join("root");
    std::fs::create_dir(&root).expect("a root");
    let settings = json!({ "defect": defect.map(|defect| format!("{defect:?}")) });
    Suite::of::<Mutant>(settings, root.to_str().expect("a path"))
        .only(only)
        // What never ends is to be noticed soon.
        .limit(Duration::from_secs(4))
        .run_blocking()
        .map_err(|error| error.to_string())
}

fn failed(report: Result<Report, String>) -> Vec<String> {
    match report {
        Ok(report) => report.failed().map(|case| case.name.to_owned()).collect(),
        Err(error) => vec![format!("(it did not run: {error})")],
    }
}

/// Why a defect is not caught as it should be.
fn slips_through(defect: Defect) -> Option<String> {
    let case = defect.caught_by();
    if failed(verify(Some(defect), case)).iter().any(|name| name == case) {
        return None;
    }
    let others = failed(verify(Some(defect), ""));
    Some(format!("{defect:?} is not caught by {case:?}, but by {others:?}"))
}

#[test]
fn without_a_defect_it_keeps_the_contract() {
    let report = verify(None, "").expect("it runs");
    report.assert_passed();
    assert_eq!(report.left_behind, Vec::<String>::new());
}

#[test]
fn each_defect_is_caught_by_its_case() {
    let (left, missed) = (Mutex::new(Defect::ALL.iter()), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let next = left.lock().expect("no panic").next();
                    let Some(defect) = next else { return };
                    missed.lock().expect("no panic").extend(slips_through(*defect));
                }
            });
        }
    });
    let missed = missed.into_inner().expect("no panic");
    assert!(missed.is_empty(), "of {}:\n{}", Defect::ALL.len(), missed.join("\n"));
}
