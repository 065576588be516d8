//! A mounted disk keeps the contract, whatever its settings.

use local_drive::LocalDrive;
use serde_json::{Value, json};
use sitesync_provider::conformance::Suite;

fn keeps_the_contract(settings: Value) {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().to_str().unwrap();
    let report = Suite::of::<LocalDrive>(settings, root).run_blocking().unwrap();
    println!("{report}");
    report.assert_passed();
    assert_eq!(report.left_behind, Vec::<String>::new());
    assert_eq!(std::fs::read_dir(root).unwrap().count(), 0);
}

#[test]
fn local_drive_keeps_the_contract() {
    keeps_the_contract(json!({}));
}

#[test]
fn local_drive_keeps_the_contract_where_links_are_followed_and_permissions_kept() {
    keeps_the_contract(json!({"symlinks": "follow", "permissions": "keep"}));
}
