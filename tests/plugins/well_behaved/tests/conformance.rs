//! The conformance suite on storages in memory: the fixture is right in all that the contract
//! says, and the suite is fair to one that is unlike a disk.

mod particular;

use std::time::Duration;

use particular::Particular;
use sitesync_provider::conformance::{Suite, Verdict};
use well_behaved::Memory;

#[test]
fn memory_keeps_the_contract() {
    let settings = serde_json::json!({"store": "conformance"});
    let report = Suite::of::<Memory>(settings, "root").run_blocking().unwrap();
    println!("{report}");
    report.assert_passed();
    assert_eq!(report.left_behind, Vec::<String>::new());
}

#[test]
fn a_particular_storage_keeps_the_contract() {
    let settings = serde_json::json!({"store": "particular"});
    let report = Suite::of::<Particular>(settings, "root").run_blocking().unwrap();
    println!("{report}");
    report.assert_passed();
    assert_eq!(report.left_behind, Vec::<String>::new());
}

#[test]
fn what_never_answers_fails_its_cases_and_no_others() {
    let settings = serde_json::json!({"store": "silent", "silent": "list"});
    let suite =
        Suite::of::<Particular>(settings, "root").limit(Duration::from_secs(2)).only("an_empty_f");
    let report = suite.run_blocking().unwrap();
    let verdicts: Vec<_> = report.cases.iter().map(|case| (case.name, &case.verdict)).collect();
    let [(_, listed), (_, folder), (_, removed)] = verdicts[..] else {
        panic!("three cases were meant: {verdicts:?}")
    };
    println!("{report}");
    for verdict in [listed, folder] {
        let Verdict::Fail(reason) = verdict else { panic!("{verdict:?}") };
        assert!(reason.contains("no answer within 2 s"), "{reason}");
    }
    assert_eq!(*removed, Verdict::Pass);
    assert!(!report.passed() && report.failed().count() == 2);
    assert_eq!(report.left_behind.len(), 2, "{:?}", report.left_behind);
}
