//! The fixture is right in everything that the contract says.

use sitesync_provider::conformance::Suite;
use well_behaved::Memory;

#[test]
fn memory_keeps_the_contract() {
    let settings = serde_json::json!({"store": "conformance"});
    let report = Suite::of::<Memory>(settings, "root").run_blocking().unwrap();
    println!("{report}");
    report.assert_passed();
    assert_eq!(report.left_behind, Vec::<String>::new());
}
