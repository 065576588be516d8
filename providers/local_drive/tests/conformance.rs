//! A mounted disk keeps the contract.

use local_drive::LocalDrive;
use sitesync_provider::conformance::Suite;

#[test]
fn local_drive_keeps_the_contract() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().to_str().unwrap();
    let report = Suite::of::<LocalDrive>(serde_json::json!({}), root).run_blocking().unwrap();
    println!("{report}");
    report.assert_passed();
    assert_eq!(report.left_behind, Vec::<String>::new());
    assert_eq!(std::fs::read_dir(root).unwrap().count(), 0);
}
