//! `sitesync publish`: what was made is recorded, and travels at once.

use std::path::Path;

use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use super::order::{self, number};
use super::output::{counted, plain, print, say, size};
use super::{Exit, Failure, Global};
use crate::orders::{Item, Order, Parts};
use crate::publish::echoed;

/// What is told by name; more is counted.
const TOLD: usize = 20;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The project
    project: String,
    /// Files, folders with all in them, or patterns (`'*.exr'`, `**`): absolute, relative, or like
    /// `{root[work]}/shots/a.exr`; `-` for a list on stdin: JSON, or a path a line
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<String>,
    /// Relative paths are beneath this root of the project
    #[arg(long)]
    root: Option<String>,
    /// At which site the files are [default: the project's active site]
    #[arg(long)]
    site: Option<String>,
    /// What was worked on: `shots/sh010` [default for this and the next three: as the project's
    /// templates find it in each path]
    #[arg(long)]
    folder: Option<String>,
    /// What of it: `renderMain`
    #[arg(long)]
    product: Option<String>,
    /// `v003`, or `hero`
    #[arg(long)]
    version: Option<String>,
    /// In which form: `exr`
    #[arg(long)]
    name: Option<String>,
    /// 1 to 1000, higher first [default: the project's]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1000))]
    priority: Option<u16>,
    /// Who made it [default: you]
    #[arg(long)]
    by: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// One of a list on stdin.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Value")]
enum Entry {
    Path(String),
    Published(Listed),
}

impl TryFrom<Value> for Entry {
    type Error = serde_json::Error;

    fn try_from(value: Value) -> serde_json::Result<Self> {
        match value {
            Value::String(path) => Ok(Entry::Path(path)),
            published => serde_json::from_value(published).map(Entry::Published),
        }
    }
}

/// Files that were published together.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    path: Option<String>,
    files: Option<Vec<String>>,
    root: Option<String>,
    folder: Option<String>,
    product: Option<String>,
    version: Option<String>,
    name: Option<String>,
    priority: Option<u16>,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let (listed, mut paths) = arguments.paths.iter().partition::<Vec<_>, _>(|path| *path == "-");
    let mut items = Vec::new();
    let own = arguments.item();
    if !listed.is_empty() {
        items = read(&own)?;
    }
    if !paths.is_empty() {
        let paths = paths.drain(..).cloned().collect();
        items.push(Item { paths, ..own });
    }
    for item in &mut items {
        for path in &mut item.paths {
            *path = from_here(path, item.root.is_some())?;
        }
    }
    let order = Order::Publish {
        project: arguments.project.clone(),
        site: arguments.site.clone(),
        items,
        by: arguments.by.clone().unwrap_or_else(order::by),
    };
    let answer = order::give(global, &order)?;
    order::tell(&answer, arguments.json, tell);
    Ok(if number(&answer, "left") > 0 { Exit::Trouble } else { Exit::Done })
}

impl Arguments {
    /// What goes for all files, unless a list says otherwise.
    fn item(&self) -> Item {
        Item {
            paths: Vec::new(),
            root: self.root.clone(),
            parts: Parts {
                folder: self.folder.clone(),
                product: self.product.clone(),
                version: self.version.clone(),
                name: self.name.clone(),
            },
            priority: self.priority,
        }
    }
}

/// The list on stdin.
fn read(own: &Item) -> Result<Vec<Item>, Failure> {
    let wrong = |what: std::fmt::Arguments<'_>| {
        Failure::new(Exit::Usage, what).hint(
            "a list is `[{\"path\": \"/studio/a.exr\", \"version\": \"v003\"}, ...]`, with \
             `folder`, `product`, `version`, `name`, `priority`, `root`, and `files` for more \
             than one path; or it has a path in each line",
        )
    };
    let text = std::io::read_to_string(std::io::stdin())
        .map_err(|error| wrong(format_args!("stdin can't be read: {error}")))?;
    // Some editors begin a text so.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let entries: Vec<Entry> = match text.trim_start().as_bytes().first() {
        Some(b'[') => serde_json::from_str(text)
            .map_err(|error| wrong(format_args!("the list on stdin can't be read: {error}")))?,
        // One object a line; `{root[work]}/...` begins alike, and is a path.
        _ => {
            text.lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .map(|line| match line.strip_prefix('{').map(str::trim_start) {
                    Some(rest) if rest.starts_with(['"', '}']) => serde_json::from_str(line)
                        .map_err(|error| {
                            wrong(format_args!("{} can't be read: {error}", echoed(line)))
                        }),
                    _ => Ok(Entry::Path(line.to_owned())),
                })
                .collect::<Result<_, _>>()?
        }
    };
    let mut items = Vec::new();
    let mut alike = Vec::new();
    for entry in entries {
        let listed = match entry {
            Entry::Path(path) => {
                alike.push(path);
                continue;
            }
            Entry::Published(listed) => listed,
        };
        if listed.files.as_ref().is_some_and(Vec::is_empty) {
            return Err(wrong(format_args!("something in the list has no file in its `files`")));
        }
        let files = listed.files.into_iter().flatten();
        let paths: Vec<String> = listed.path.into_iter().chain(files).collect();
        if paths.is_empty() {
            return Err(wrong(format_args!(
                "something in the list has neither `path` nor `files`"
            )));
        }
        let own = own.clone();
        items.push(Item {
            paths,
            root: listed.root.or(own.root),
            parts: Parts {
                folder: listed.folder.or(own.parts.folder),
                product: listed.product.or(own.parts.product),
                version: listed.version.or(own.parts.version),
                name: listed.name.or(own.parts.name),
            },
            priority: listed.priority.or(own.priority),
        });
    }
    if !alike.is_empty() {
        items.push(Item { paths: alike, ..own.clone() });
    }
    if items.is_empty() {
        return Err(wrong(format_args!("there is nothing in the list on stdin")));
    }
    Ok(items)
}

/// A path as it is to be read elsewhere: the service works in another folder.
fn from_here(path: &str, beneath_root: bool) -> Result<String, Failure> {
    // A script's variable that is not set; it would stand for the whole folder.
    if path.is_empty() {
        return Err(Failure::new(Exit::Usage, "a path is empty")
            .hint("`.` is the folder in which the command runs"));
    }
    if beneath_root || path.starts_with("{root[") || Path::new(path).is_absolute() {
        return Ok(path.to_owned());
    }
    let here = std::env::current_dir().map_err(|error| {
        Failure::new(Exit::Usage, format_args!("{path}: there is no current folder: {error}"))
    })?;
    here.join(path).to_str().map(str::to_owned).ok_or_else(|| {
        let here = here.display();
        Failure::new(
            Exit::Usage,
            format_args!("{path}: the folder {here} has a name that is no text"),
        )
    })
}

fn tell(answer: &Value) {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| plain(value.as_str().unwrap_or_default());
    let representations = list(&answer["representations"]);
    for one in representations.iter().take(TOLD) {
        let (files, bytes) = (counted(number(one, "files"), "file"), size(number(one, "bytes")));
        print(format_args!("{}: {files}, {bytes}\n", text(&one["representation"])));
        let frames = list(&one["frames"]);
        for frames in frames.iter().take(TOLD) {
            print(format_args!("  {}\n", text(frames)));
        }
        if frames.len() > TOLD {
            print(format_args!("  ... and {} more\n", frames.len() - TOLD));
        }
    }
    if representations.len() > TOLD {
        print(format_args!("... and {} more\n", representations.len() - TOLD));
    }
    let left = list(&answer["left_out"]);
    for file in left.iter().take(TOLD) {
        say(format_args!("not published: {}: {}", text(&file["path"]), text(&file["reason"])));
    }
    let more = number(answer, "left").saturating_sub(TOLD as u64);
    if more > 0 {
        say(format_args!("... and {more} more"));
    }
    let notes = list(&answer["notes"]);
    for note in notes.iter().take(TOLD) {
        say(format_args!("note: {}: {}", text(&note["path"]), text(&note["reason"])));
    }
    let more = number(answer, "skipped").saturating_sub(TOLD as u64);
    if more > 0 {
        say(format_args!("... and {more} more"));
    }
    let mut parts = Vec::new();
    for (name, what) in [
        ("new", "new"),
        ("changed", "changed"),
        ("same", "known already"),
        ("compared", "to be compared with other sites first"),
        ("left", "not published"),
        ("skipped", "skipped"),
    ] {
        if number(answer, name) > 0 {
            parts.push(format!("{} {what}", number(answer, name)));
        }
    }
    let (files, site) = (counted(number(answer, "files"), "file"), text(&answer["site"]));
    let queued = counted(number(answer, "queued"), "transfer");
    let parts = parts.join(", ");
    print(format_args!("{files} published at '{site}' ({parts}); {queued} queued\n"));
}
