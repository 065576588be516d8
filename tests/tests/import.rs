//! `config import`: exports of OpenPype and AYON, the files that they become, and what is told of
//! the rest.

use std::os::unix::fs::PermissionsExt;

use sitesync_tests::bench::Bench;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/import/");

/// Imports exports, compares all that is said with the snapshot, and checks the file.
fn imports(name: &str, from: &str, exports: &[&str], more: &[&str]) {
    let bench = Bench::new();
    let files: Vec<String> = exports.iter().map(|file| format!("{FIXTURES}{file}.json")).collect();
    let mut arguments = vec!["config", "import", from];
    arguments.extend(files.iter().map(String::as_str));
    arguments.extend(more);

    let shown = bench.run(&arguments).ends(0);
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_description(format!(
        "config import {from} {} {}",
        exports.join(" "),
        more.join(" ")
    ));
    settings.bind(|| {
        insta::assert_snapshot!(name, format!("{}\n--- stderr\n{}", shown.stdout, shown.stderr));
    });

    let output = bench.path("new.toml").display().to_string();
    arguments.extend(["--output", &output]);
    let written = bench.run(&arguments).ends(0);
    assert_eq!(bench.read("new.toml").unwrap(), shown.stdout);
    assert!(written.stderr.starts_with(&shown.stderr), "{written:#?}");
    let secret = shown.stdout.contains("password = ");
    let mode = bench.path("new.toml").metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, if secret { 0o600 } else { 0o644 });
    // Never over what is there.
    let again = bench.run(&arguments).ends(2);
    assert!(again.stderr.contains("there is such a file already"), "{again:#?}");

    bench.rename("new.toml", "sitesync.toml");
    let _ = bench.run(&["config", "check"]).ends(0);
}

#[test]
fn openpype_s_system_and_project_settings() {
    imports("import_openpype", "openpype", &["openpype_studio"], &[]);
}

#[test]
fn openpype_s_three_screens() {
    let files = ["openpype_studio", "openpype_project", "openpype_local"];
    imports("import_openpype_all", "openpype", &files, &[]);
}

#[test]
fn openpype_s_project_alone() {
    imports("import_openpype_project", "openpype", &["openpype_project"], &[]);
}

#[test]
fn an_old_openpype_block_of_a_project() {
    imports("import_openpype_old", "openpype", &["openpype_old"], &["--project", "demo"]);
}

#[test]
fn ayon_s_studio_settings() {
    imports("import_ayon", "ayon", &["ayon_studio"], &[]);
}

#[test]
fn ayon_s_project_settings() {
    imports("import_ayon_project", "ayon", &["ayon_project"], &["--project", "demo"]);
}

#[test]
fn what_is_no_export_is_said_to_be_none() {
    let bench = Bench::new();
    bench.write("a.json", "{\"enabled\": tru}");
    bench.write("b.json", "{\"modules\": {\"ftrack\": {}}}");
    bench.write("c.json", "[1]");
    for (file, words) in [
        ("a.json", "not JSON: expected ident at line 1 column 16"),
        ("b.json", "nothing in this looks like settings of OpenPype's Site Sync"),
        ("c.json", "nothing in this looks like settings"),
        ("d.json", "No such file"),
    ] {
        let file = bench.path(file).display().to_string();
        let run = bench.run(&["config", "import", "openpype", &file]).ends(2);
        assert!(run.stderr.contains(words), "{run:#?}");
        assert_eq!(run.stdout, "");
    }
}
