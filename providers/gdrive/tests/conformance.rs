//! Google Drive keeps the contract: in a shared drive, in a folder that a person shares, and with
//! chunks of any size.

mod common;

use common::{Bench, OWNER, ROBOT};
use drive_emulator::{Emulator, Role};
use gdrive::GoogleDrive;
use serde_json::{Value, json};
use sitesync_provider::conformance::Suite;

fn keeps_the_contract(bench: &Bench, root: &str, more: Value) {
    let mut settings = bench.settings();
    // A missing root is to be told, and not made.
    settings["create_root"] = json!(false);
    for (key, value) in more.as_object().unwrap() {
        settings[key] = value.clone();
    }
    let mut suite = Suite::of::<GoogleDrive>(settings, root)
        .on_case(|case| println!("{:6.2} s {}", case.seconds, case.name));
    for part in std::env::var("CASES").iter().flat_map(|cases| cases.split(',')) {
        suite = suite.only(part);
    }
    let report = suite.run_blocking().unwrap();
    println!("{report}");
    report.assert_passed();
    assert_eq!(report.left_behind, Vec::<String>::new());
    assert_eq!(bench.drive.open_sessions(), 0);
}

/// With chunks so small that what the suite resumes takes several.
#[test]
fn a_shared_drive_keeps_the_contract() {
    let bench = Bench::new();
    keeps_the_contract(&bench, "/Film/work", json!({"chunk_size": 256 << 10}));
    assert_eq!(bench.paths(), Vec::<String>::new());
}

#[test]
fn a_folder_that_a_person_shares_keeps_the_contract() {
    let bench = Bench::of(Emulator::builder().service_storage(true));
    let own = bench.drive.user(OWNER);
    let shared = bench.drive.folder(&own, "X");
    bench.drive.share(&shared, ROBOT, Role::Writer);
    keeps_the_contract(&bench, "/My Drive/X", json!({"chunk_size": 1 << 20}));
    assert!(bench.drive.tree(&shared).is_empty());
}
