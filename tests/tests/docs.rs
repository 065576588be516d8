//! What the documentation says holds: its settings are right, and its links lead somewhere.
//!
//! The reference pages are written by these tests, and an editor agrees with the host on what is right.
//!
//! A ```` ```toml ```` block is a whole `sitesync.toml`; a part of one is ```` ```toml,ignore ````.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use sitesync::plugins::{Options, Plugins};
use sitesync::settings::provider::Declared;
use sitesync::settings::reference;
use sitesync_tests::bench::Bench;

/// A page, by its path from the top of the repository.
struct Page {
    path: PathBuf,
    text: String,
}

/// README, changelog, and all pages under `docs/`.
fn pages() -> Vec<Page> {
    let top = top();
    let mut found = vec![top.join("README.md"), top.join("CHANGELOG.md")];
    let mut left = vec![top.join("docs")];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of pages") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    let read = |path: PathBuf| Page { text: fs::read_to_string(&path).expect("a page"), path };
    found.into_iter().map(read).collect()
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// A page's lines: each with what its code block is called, if it stands in one.
fn lines(text: &str) -> Vec<(usize, Option<&str>, &str)> {
    let mut block = None;
    let mut lines = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if let Some(name) = line.trim_start().strip_prefix("```") {
            block = if block.is_some() { None } else { Some(name.trim()) };
        } else {
            lines.push((at + 1, block, line));
        }
    }
    lines
}

/// A page's settings: each block with the line on which it begins.
fn settings(page: &Page) -> Vec<(usize, String)> {
    // Blocks are told apart by the gap that their fences leave.
    let mut blocks: Vec<(usize, String)> = Vec::new();
    let mut last = 0;
    for (at, block, line) in lines(&page.text) {
        if block == Some("toml") {
            if last == 0 || at != last + 1 {
                blocks.push((at, String::new()));
            }
            let (_, text) = blocks.last_mut().expect("a block");
            text.push_str(line);
            text.push('\n');
            last = at;
        }
    }
    blocks
}

#[test]
fn settings_in_the_documentation_are_right() {
    let bench = Bench::new();
    let mut checked = 0;
    for page in pages() {
        for (at, text) in settings(&page) {
            bench.settings_text(&text);
            let run = bench.run(&["config", "check"]);
            assert_eq!(run.code, 0, "{}:{at}\n{}", page.path.display(), run.stderr);
            // Examples may use providers that are not part of this repository.
            let noted = |note: &&str| !note.contains("are kept, and not checked: there is no");
            let notes: Vec<&str> = run.stderr.split_terminator("\n\n").filter(noted).collect();
            assert_eq!(notes, [""; 0], "{}:{at} has notes", page.path.display());
            checked += 1;
        }
    }
    assert!(checked >= 5, "only {checked} examples of settings were found");
}

/// The providers that are part of this repository, as they describe themselves.
fn shipped(bench: &Bench) -> Vec<Declared> {
    let mut names: Vec<String> = fs::read_dir(top().join("providers"))
        .expect("the providers")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect();
    names.sort();
    for name in &names {
        let library = sitesync_tests::plugin(name).expect("it builds");
        bench.plug(name, &fs::read(library).expect("the library"));
    }
    let probe = bench.command(&[]).get_program().into();
    let options = Options::new(vec![bench.path("providers")], bench.path("state/plugins"));
    let plugins = Plugins::open(options.probe(probe, Duration::from_secs(60)));
    let described = |name: &String| Declared::of(&plugins.get(name).expect(name).description);
    names.iter().map(described).collect()
}

/// `SITESYNC_UPDATE_DOCS=1` writes them.
#[test]
fn reference_pages_are_current() {
    let mut pages = vec![("README.md".to_owned(), reference::host_page())];
    for declared in shipped(&Bench::new()) {
        pages.push((format!("{}.md", declared.provider()), reference::provider_page(&declared)));
    }
    let folder = top().join("docs/settings");
    let update = std::env::var_os("SITESYNC_UPDATE_DOCS").is_some();
    for (name, text) in &pages {
        let path = folder.join(name);
        if update {
            fs::create_dir_all(&folder).expect("the folder");
            fs::write(&path, text).expect("the page");
        }
        let current = fs::read_to_string(&path).unwrap_or_default() == *text;
        assert!(current, "{} is old: run this test with SITESYNC_UPDATE_DOCS=1", path.display());
    }
    for entry in fs::read_dir(&folder).expect("the folder") {
        let name = entry.expect("an entry").file_name();
        assert!(pages.iter().any(|(known, _)| **known == *name), "{name:?} is of no provider");
    }
}

/// The Python of the target folder, with what `cargo xtask test` installs there.
fn python() -> Option<PathBuf> {
    let test = std::env::current_exe().expect("this test");
    let target = test.ancestors().nth(3).expect("the target folder");
    let python = target.join("python/bin/python");
    let found = Command::new(&python).args(["-c", "import jsonschema, tomllib"]).output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    assert!(std::env::var_os("CI").is_none(), "`cargo xtask test` installs jsonschema");
    println!("skipped: needs Python 3.11 with jsonschema: `cargo xtask test` installs it");
    None
}

/// What a validator says of each of these settings, with the schema that the binary prints.
fn marked(python: &Path, bench: &Bench, texts: &[&str]) -> Vec<Vec<String>> {
    const SCRIPT: &str = "
import json, sys, tomllib
from jsonschema import Draft202012Validator
given = json.load(sys.stdin)
Draft202012Validator.check_schema(given['schema'])
validator = Draft202012Validator(given['schema'])
print(json.dumps([
    sorted('.'.join(map(str, e.absolute_path)) for e in validator.iter_errors(tomllib.loads(text)))
    for text in given['texts']
]))
";
    let schema = bench.run(&["config", "schema"]).ends(0);
    let schema: Value = serde_json::from_str(&schema.stdout).expect("JSON");
    let mut command = Command::new(python);
    command.args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("Python");
    let given = json!({ "schema": schema, "texts": texts }).to_string();
    child.stdin.take().expect("piped").write_all(given.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "the schema is none");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn editors_take_the_examples() {
    let Some(python) = python() else { return };
    let bench = Bench::new();
    let pages = pages();
    let all: Vec<_> = pages
        .iter()
        .flat_map(|page| settings(page).into_iter().map(move |one| (page, one)))
        .collect();
    let texts: Vec<&str> = all.iter().map(|(_, (_, text))| text.as_str()).collect();
    for (marked, (page, (at, _))) in marked(&python, &bench, &texts).into_iter().zip(&all) {
        assert_eq!(marked, [""; 0], "{}:{at}", page.path.display());
    }
}

#[test]
fn editors_mark_what_is_wrong() {
    let Some(python) = python() else { return };
    let bench = Bench::new();
    let cases = [
        ("enable = true", ""),
        ("enabled = 1", "enabled"),
        ("[host]\nserves = \"*\"", "host.serves"),
        ("[plugins]\ntrust = \"pined\"", "plugins.trust"),
        ("[sync]\nretry_count = 1001", "sync.retry_count"),
        ("[sync]\nretry_cuont = 3", "sync"),
        ("[sync]\nsettle = \"10\"", "sync.settle"),
        ("[sync]\nprojects = \"all\"", "sync.projects"),
        ("[projects.demo]\nprojects = \"listed\"", "projects.demo"),
        ("[projects.demo]\nsites.studio.slots = 3", "projects.demo.sites.studio"),
        ("[sites.nas]\nroot.work = \"/a\"", "sites.nas"),
        ("[sites.nas]\nprovider = \"local_drive\"\nslots = 0", "sites.nas.slots"),
        ("[sites.nas]\nprovider = \"local_drive\"\nbandwidth = 2.5", "sites.nas.bandwidth"),
        (
            "[sites.nas]\nprovider = \"local_drive\"\nroot.work = { lynx = \"/a\" }",
            "sites.nas.root.work",
        ),
        (
            "[sites.nas]\nprovider = \"local_drive\"\npermissions = \"kept\"",
            "sites.nas.permissions",
        ),
        ("[sites.nas]\nprovider = \"local_drive\"\nsymlinks = true", "sites.nas.symlinks"),
        ("[sites.nas]\nprovider = \"local_drive\"\npermisions = \"keep\"", "sites.nas"),
        ("[sites.studio]\npermissions = \"kept\"", "sites.studio.permissions"),
        ("[sites.local]\nsymlink = \"skip\"", "sites.local"),
        // What is not installed is not judged.
        ("[sites.nas]\nprovider = \"other\"\npermissions = 3\nwhat = [1]", "-"),
        ("[sites.studio]\nprovider = \"other\"\nwhat = [1]", "-"),
        ("[sites.studio]\nroot.work = \"/a\"\npermissions = \"keep\"", "-"),
        ("[sync]\nsettle = \"1h 30m\"\nrescan = 600", "-"),
    ];
    let texts = cases.map(|(text, _)| text);
    for (marked, (text, place)) in marked(&python, &bench, &texts).into_iter().zip(cases) {
        let right = place == "-" && marked.is_empty() || marked.first().is_some_and(|m| m == place);
        assert!(right, "{text}\n{marked:?}");
    }
}

#[test]
fn links_lead_somewhere() {
    let mut wrong = Vec::new();
    for page in pages() {
        let folder = page.path.parent().expect("a folder");
        for (at, _, line) in lines(&page.text).into_iter().filter(|line| line.1.is_none()) {
            for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                if link.contains("://") {
                    continue;
                }
                let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
                let target = if path.is_empty() { page.path.clone() } else { folder.join(path) };
                let leads = target.exists()
                    && (anchor.is_empty() || anchors(&target).iter().any(|known| known == anchor));
                if !leads {
                    wrong.push(format!("{}:{at}: {link}", page.path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The anchors that a page's headings become where repositories are shown: lower case, blanks as
/// `-`, without punctuation.
fn anchors(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap_or_default();
    let headings = lines(&text).into_iter().filter(|(_, block, _)| block.is_none());
    headings
        .filter(|(_, _, line)| line.starts_with('#'))
        .map(|(_, _, line)| {
            let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
            let title = line.trim_start_matches('#').trim().to_lowercase();
            title.chars().filter(kept).collect::<String>().replace(' ', "-")
        })
        .collect()
}
