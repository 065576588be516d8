//! `docs/conformance.md` names every case of the suite.
//!
//! After a change that is meant: `INSTA_UPDATE=always cargo test -p sitesync-provider --features
//! conformance --test conformance_list`, as for snapshots.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use sitesync_provider::conformance::{Suite, cases};

const HEAD: &str = "\
# What is demanded of a provider

Each demand is a case of the conformance suite (`sitesync_provider::conformance`), with the sentence
why it matters; the name is what `Suite::only` takes. Which of them apply to a root is decided by what
the root declares: one without `resume` is not asked to resume. What it declares, it is held to.

This list is generated from the suite.
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    let mut group = "";
    for case in cases() {
        if case.group != group {
            group = case.group;
            write!(page, "\n## {group}\n\n").unwrap();
        }
        writeln!(page, "- `{}`: {}", case.name, case.why).unwrap();
    }
    page
}

#[test]
fn the_list_of_cases_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/conformance.md");
    if std::env::var("INSTA_UPDATE").is_ok_and(|how| how == "always") {
        std::fs::write(&path, page()).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == page(), "docs/conformance.md is out of date: see the top of this test");
}

#[test]
fn names_and_sentences_are_fit_to_be_shown() {
    let mut names = BTreeSet::new();
    let mut groups = Vec::new();
    for case in cases() {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        assert!(case.name.chars().all(plain), "{} is not in snake case", case.name);
        assert!(names.insert(case.name), "{} is there twice", case.name);
        assert!(case.why.ends_with('.') && !case.why.contains('\n'), "{}: {}", case.name, case.why);
        if groups.last() != Some(&case.group) {
            assert!(!groups.contains(&case.group), "{} is not in one piece", case.group);
            groups.push(case.group);
        }
    }
    assert!(names.len() >= 90);
}

/// A server may run the suite beside other work.
#[test]
fn a_run_may_be_spawned() {
    fn is_send(_: impl Send) {}
    let _: fn(Suite) = |suite| is_send(suite.run());
}
