//! What sitesync relies on. Run it against your real storage too, with settings of a test account
//! and a root that may be written to.

use my_store::MyStore;
use sitesync_provider::conformance::Suite;

#[test]
fn conforms() {
    let settings = serde_json::json!({ "account": "conformance" });
    let report = Suite::of::<MyStore>(settings, "/").run_blocking().unwrap();
    report.assert_passed();
}
