//! What the documentation says holds: its settings are right, and its links lead somewhere.
//!
//! A ```` ```toml ```` block is a whole `sitesync.toml`; a part of one is ```` ```toml,ignore ````.

use std::fs;
use std::path::{Path, PathBuf};

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

#[test]
fn settings_in_the_documentation_are_right() {
    let bench = Bench::new();
    let mut checked = 0;
    for page in pages() {
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
        for (at, text) in blocks {
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
