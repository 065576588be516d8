//! A settings text with one key set or taken away, and every other line as it was.
//!
//! The text is parsed for the places of its keys and values, and cut there: what is not touched is
//! not written anew, so that comments, order, blanks and line endings stay by construction.
//!
//! A key goes where it is written already; else beside its relatives (`root.publish` behind
//! `root.work`); else to the end of its `[table]`; else into a new `[table]` behind its kind.

use std::fmt;
use std::ops::Range;

use toml_edit::{Document, DocumentMut, InlineTable, Item, Key, RawString, Table, Value};

/// The tables of a file in the order in which people look for them.
const ORDER: [&str; 5] = ["host", "plugins", "sync", "sites", "projects"];

/// Why a text cannot be edited so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The text is no TOML.
    Syntax,
    /// The key is no dotted key of TOML.
    Key(String),
    /// The key stands for a table with keys of its own.
    Table(String),
    /// A part of the key stands for a value, which has no keys.
    NoTable(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Syntax => f.write_str("the text is no TOML"),
            Refusal::Key(key) => {
                write!(f, "`{}` is no key: write names with dots between them", key.escape_debug())
            }
            Refusal::Table(key) => write!(f, "`{key}` is a table here: set its keys, or unset it"),
            Refusal::NoTable(key) => write!(f, "`{key}` is a value here, and has no keys"),
        }
    }
}

impl std::error::Error for Refusal {}

/// Returns the parts of a dotted key: `sites."my site".root.work` has four.
///
/// # Errors
/// [`Refusal::Key`].
pub fn parse_key(text: &str) -> Result<Vec<String>, Refusal> {
    let refused = |_| Refusal::Key(text.to_owned());
    let keys = Key::parse(text).map_err(refused)?;
    Ok(keys.into_iter().map(|key| key.get().to_owned()).collect())
}

/// Returns the dotted key of these parts, quoted where TOML asks for it.
#[must_use]
pub fn dotted(parts: &[String]) -> String {
    let quoted = parts.iter().map(|part| Key::new(part).display_repr().into_owned());
    quoted.collect::<Vec<_>>().join(".")
}

/// Returns a text as a value of TOML if it is one, else as a string: `5`, `true`, `["a"]`, but
/// `60s` and `/mnt/x`.
#[must_use]
pub fn parse_value(text: &str) -> Value {
    let mut value = text.parse().unwrap_or_else(|_| Value::from(text));
    value.decor_mut().clear();
    value
}

/// Returns the text with a key set.
///
/// # Errors
/// The text is no TOML, or has a table or a value where the key asks for the other.
pub fn set(text: &str, key: &[String], mut value: Value) -> Result<String, Refusal> {
    let layout = Layout::of(text)?;
    value.decor_mut().clear();
    if let Some(entry) = layout.entry(key) {
        return Ok(spliced(text, entry.span.clone(), &value.to_string()));
    }
    if let Some(outer) = layout.outer(key) {
        let (table, rest) = (inline(text, &outer.path)?, &key[outer.path.len()..]);
        let changed = within(table, &outer.path, rest, &value)?;
        return Ok(spliced(text, outer.span.clone(), &changed.to_string()));
    }
    if layout.is_table(key) {
        let nothing = value.as_inline_table().is_some_and(InlineTable::is_empty);
        return if nothing { Ok(text.to_owned()) } else { Err(Refusal::Table(dotted(key))) };
    }
    let added = layout.add(key, &value);
    if Document::parse(added.as_str()).is_ok() {
        return Ok(added);
    }
    // Here TOML does not let the table be written with dots: it gets a header.
    Ok(layout.add_table(key.len() - 1, key, &value))
}

/// Returns the text without a key or table; `None` if it has no such key.
///
/// # Errors
/// The text is no TOML.
pub fn unset(text: &str, key: &[String]) -> Result<Option<String>, Refusal> {
    let layout = Layout::of(text)?;
    if let Some(entry) = layout.entry(key) {
        return Ok(Some(without(text, vec![lines_of(text, &entry.span)])));
    }
    if let Some(outer) = layout.outer(key) {
        let Ok(mut table) = inline(text, &outer.path) else { return Ok(None) };
        if !take(&mut table, &key[outer.path.len()..]) {
            return Ok(None);
        }
        table.decor_mut().clear();
        return Ok(Some(spliced(text, outer.span.clone(), &table.to_string())));
    }
    let mut cuts = Vec::new();
    for block in &layout.blocks {
        if let (Some(header), true) = (&block.header, block.path.starts_with(key)) {
            let end = block.entries.last().map_or(header.end, |entry| entry.span.end);
            cuts.push(lines_of(text, &(header.start..end)));
        } else {
            let beneath = block.entries.iter().filter(|entry| entry.path.starts_with(key));
            cuts.extend(beneath.map(|entry| lines_of(text, &entry.span)));
        }
    }
    Ok((!cuts.is_empty()).then(|| without(text, cuts)))
}

/// Returns the keys that are written directly beneath a table, as often as they are.
#[must_use]
pub fn keys_of(text: &str, table: &[String]) -> Vec<String> {
    let Ok(layout) = Layout::of(text) else { return Vec::new() };
    let paths = layout
        .blocks
        .iter()
        .flat_map(|block| block.entries.iter().map(|entry| &entry.path).chain([&block.path]));
    let beneath = paths.filter(|path| path.len() > table.len() && path.starts_with(table));
    beneath.map(|path| path[table.len()].clone()).collect()
}

/// A value with its whole key.
struct Entry {
    path: Vec<String>,
    span: Range<usize>,
}

/// What stands between two headers.
struct Block {
    path: Vec<String>,
    /// `None` for the top of the file.
    header: Option<Range<usize>>,
    entries: Vec<Entry>,
}

impl Block {
    /// Where its last line begins that is no comment.
    fn last(&self) -> Option<usize> {
        let last = self.entries.last().map(|entry| entry.span.end);
        last.or(self.header.as_ref().map(|header| header.end))
    }
}

/// A text with the places of all that is in it.
struct Layout<'t> {
    text: &'t str,
    newline: &'static str,
    /// In the order of the file; the first is its top.
    blocks: Vec<Block>,
}

impl<'t> Layout<'t> {
    fn of(text: &'t str) -> Result<Self, Refusal> {
        let document = Document::parse(text).map_err(|_| Refusal::Syntax)?;
        let top = Block { path: Vec::new(), header: None, entries: Vec::new() };
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let mut layout = Layout { text, newline, blocks: vec![top] };
        layout.visit(document.as_table(), &[], 0);
        layout.blocks.sort_by_key(|block| block.header.as_ref().map(|header| header.start));
        for block in &mut layout.blocks {
            block.entries.sort_by_key(|entry| entry.span.start);
        }
        Ok(layout)
    }

    fn visit(&mut self, table: &Table, path: &[String], home: usize) {
        for (key, item) in table.iter() {
            let path: Vec<String> = path.iter().cloned().chain([key.to_owned()]).collect();
            match item {
                Item::Value(value) => {
                    let span = value.span().unwrap_or_default();
                    self.blocks[home].entries.push(Entry { path, span });
                }
                Item::Table(table) if table.is_dotted() => self.visit(table, &path, home),
                Item::Table(table) => self.visit_block(table, &path, home),
                Item::ArrayOfTables(tables) => {
                    for table in tables.iter() {
                        self.visit_block(table, &path, home);
                    }
                }
                Item::None => {}
            }
        }
    }

    fn visit_block(&mut self, table: &Table, path: &[String], mut home: usize) {
        if let (Some(header), false) = (table.span(), table.is_implicit()) {
            home = self.blocks.len();
            let (path, entries) = (path.to_vec(), Vec::new());
            self.blocks.push(Block { path, header: Some(header), entries });
        }
        self.visit(table, path, home);
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.blocks.iter().flat_map(|block| &block.entries)
    }

    fn entry(&self, key: &[String]) -> Option<&Entry> {
        self.entries().find(|entry| entry.path == key)
    }

    /// The value that a key would lie in.
    fn outer(&self, key: &[String]) -> Option<&Entry> {
        self.entries().find(|entry| key.len() > entry.path.len() && key.starts_with(&entry.path))
    }

    fn is_table(&self, key: &[String]) -> bool {
        self.entries().any(|entry| entry.path.starts_with(key))
            || self.blocks.iter().any(|block| block.path.starts_with(key))
    }

    /// Adds a key that is not there yet, in no value.
    fn add(&self, key: &[String], value: &Value) -> String {
        // Among its relatives, where their common table is written with dots.
        let relative = |block: &Block, entry: &Entry| {
            let shared = entry.path.iter().zip(key).take_while(|(a, b)| a == b).count();
            (shared > block.path.len()).then_some(shared)
        };
        let relatives = self.blocks.iter().flat_map(|block| {
            let entries = block.entries.iter();
            entries.filter_map(move |entry| Some((relative(block, entry)?, block, entry)))
        });
        let home = self.home(key);
        if let Some((shared, block, entry)) = relatives.max_by_key(|(shared, ..)| *shared)
            && shared >= home.map_or(0, |home| home.path.len())
        {
            return self.add_line(block, entry.span.end, key, value);
        }
        let depth = match key.first().map(String::as_str) {
            Some("sites" | "projects") => 2,
            Some(name) if ORDER.contains(&name) => 1,
            _ => 0,
        };
        let depth = if value.is_inline_table() { depth } else { depth.min(key.len() - 1) };
        match home {
            Some(block) if block.path.len() >= depth.min(key.len()) => match block.last() {
                Some(at) => self.add_line(block, at, key, value),
                None => self.add_at_top(&line(key, value, "", self.newline)),
            },
            _ => self.add_table(depth, key, value),
        }
    }

    /// The innermost [table] that a key lies in.
    fn home(&self, key: &[String]) -> Option<&Block> {
        let around = |block: &&Block| block.path.len() < key.len() && key.starts_with(&block.path);
        self.blocks.iter().filter(around).max_by_key(|block| block.path.len())
    }

    /// Adds a line to a block, behind the one in which `at` lies.
    fn add_line(&self, block: &Block, at: usize, key: &[String], value: &Value) -> String {
        let blank = |character: &char| matches!(character, ' ' | '\t');
        // As its neighbour is; a header is not indented with what is below it.
        let neighbour = block.entries.iter().find(|entry| entry.span.end >= at);
        let indent: String = neighbour.map_or_else(String::new, |entry| {
            let line = &self.text[line_start(self.text, entry.span.start)..];
            line.trim_start_matches('\u{feff}').chars().take_while(blank).collect()
        });
        let line = line(&key[block.path.len()..], value, &indent, self.newline);
        self.insert(line_end(self.text, at), &line)
    }

    /// Adds a [table] of the first `depth` parts of the key, with the rest in it.
    fn add_table(&self, depth: usize, key: &[String], value: &Value) -> String {
        let newline = self.newline;
        let (head, rest) = key.split_at(depth.min(key.len()));
        let mut table = format!("[{}]{newline}", dotted(head));
        match value.as_inline_table() {
            Some(fields) if rest.is_empty() => {
                for (keys, value) in fields.get_values() {
                    let keys: Vec<String> = keys.iter().map(|key| key.get().to_owned()).collect();
                    let mut value = value.clone();
                    value.decor_mut().clear();
                    table.push_str(&line(&keys, &value, "", newline));
                }
            }
            _ => table.push_str(&line(rest, value, "", newline)),
        }
        let rank = |path: &[String]| {
            let name = path.first().map(String::as_str);
            ORDER.iter().position(|section| Some(*section) == name).unwrap_or(ORDER.len())
        };
        let tables = self.blocks.iter().filter(|block| block.header.is_some());
        let before = tables.filter(|block| rank(&block.path) <= rank(key));
        // Of the nearest kind, the last in the file.
        match before.max_by_key(|block| (rank(&block.path), block.last())).and_then(Block::last) {
            Some(at) => {
                let at = self.end_of_comments(line_end(self.text, at));
                let gap = if self.blank_at(at) { "" } else { newline };
                self.insert(at, &format!("{newline}{table}{gap}"))
            }
            None => self.add_at_top(&table),
        }
    }

    /// Adds lines above the first [table]: below the top's keys, or below the first comment.
    fn add_at_top(&self, lines: &str) -> String {
        let newline = self.newline;
        if let Some(at) = self.blocks[0].last() {
            let at = self.end_of_comments(line_end(self.text, at));
            let gap = if self.blank_at(at) { "" } else { newline };
            return self.insert(at, &format!("{newline}{lines}{gap}"));
        }
        let start = self.text.len() - self.text.trim_start_matches('\u{feff}').len();
        let comment = self.end_of_comments(start);
        let rest = &self.text[comment..];
        let blank = rest.len() - rest.trim_start_matches(['\r', '\n', ' ', '\t']).len();
        // A comment without an empty line below it belongs to what follows.
        let at = match rest[..blank].rfind('\n') {
            Some(newline) if comment > start => comment + newline + 1,
            _ => start,
        };
        let gap = if self.blank_at(at) { "" } else { newline };
        self.insert(at, &format!("{lines}{gap}"))
    }

    /// The end of the comments that begin here, unless they stand on a header.
    fn end_of_comments(&self, at: usize) -> usize {
        let mut end = at;
        while self.text[end..].trim_start_matches([' ', '\t']).starts_with('#') {
            end = line_end(self.text, end);
        }
        let on_header = self.text[end..].trim_start_matches([' ', '\t']).starts_with('[');
        if on_header { at } else { end }
    }

    /// Whether the text ends here, or an empty line begins.
    fn blank_at(&self, at: usize) -> bool {
        let line = self.text[at..].split('\n').next().unwrap_or_default();
        line.trim().is_empty()
    }

    fn insert(&self, at: usize, lines: &str) -> String {
        let open = at > 0 && !self.text[..at].ends_with(['\n', '\u{feff}']);
        let break_before = if open { self.newline } else { "" };
        spliced(self.text, at..at, &format!("{break_before}{lines}"))
    }
}

fn line(key: &[String], value: &Value, indent: &str, newline: &str) -> String {
    format!("{indent}{} = {value}{newline}", dotted(key))
}

/// Returns an inline table by its key, free of the text that it was read from.
fn inline(text: &str, path: &[String]) -> Result<InlineTable, Refusal> {
    let document: DocumentMut = text.parse().map_err(|_| Refusal::Syntax)?;
    let mut item = Some(document.as_item());
    for part in path {
        item = item.and_then(|item| item.as_table_like()?.get(part));
    }
    let table = item.and_then(Item::as_inline_table).cloned();
    table.ok_or_else(|| Refusal::NoTable(dotted(path)))
}

/// Returns an inline table with a key of it set.
fn within(
    mut table: InlineTable,
    path: &[String],
    key: &[String],
    value: &Value,
) -> Result<InlineTable, Refusal> {
    table.decor_mut().clear();
    let mut here = &mut table;
    let (last, parents) = key.split_last().ok_or_else(|| Refusal::Table(dotted(path)))?;
    for (depth, part) in parents.iter().enumerate() {
        let inner = here.get_or_insert(part, InlineTable::new());
        here = inner.as_inline_table_mut().ok_or_else(|| {
            let parts: Vec<String> = path.iter().chain(&key[..=depth]).cloned().collect();
            Refusal::NoTable(dotted(&parts))
        })?;
    }
    match here.get_mut(last) {
        Some(old) => {
            let decor = old.decor().clone();
            *old = value.clone();
            *old.decor_mut() = decor;
        }
        None => {
            // What stood before the closing brace still does.
            let end = last_value(here).map_or_else(|| " ".into(), |value| suffix(value, ""));
            here.insert(last, value.clone().decorated(" ", end));
        }
    }
    Ok(table)
}

fn last_value(table: &mut InlineTable) -> Option<&mut Value> {
    table.iter_mut().last().map(|(_, value)| value)
}

/// Exchanges what stands behind a value.
fn suffix(value: &mut Value, new: &str) -> String {
    let old = value.decor().suffix().and_then(RawString::as_str).unwrap_or_default().to_owned();
    value.decor_mut().set_suffix(new);
    old
}

/// Takes a key out of an inline table; false if it is not there.
fn take(table: &mut InlineTable, key: &[String]) -> bool {
    match key {
        [] => false,
        [last] => {
            let end = last_value(table).map(|value| suffix(value, ""));
            let taken = table.remove(last).is_some();
            if let (Some(value), Some(end)) = (last_value(table), end) {
                suffix(value, &end);
            }
            taken
        }
        [first, rest @ ..] => table
            .get_mut(first)
            .and_then(Value::as_inline_table_mut)
            .is_some_and(|inner| take(inner, rest)),
    }
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

/// Where the next line begins.
fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |newline| at + newline + 1)
}

fn lines_of(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = line_start(text, span.start);
    let mark = if text[start..].starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    start + mark..line_end(text, span.end)
}

fn spliced(text: &str, span: Range<usize>, new: &str) -> String {
    [&text[..span.start], new, &text[span.end..]].concat()
}

/// Returns the text without these lines, and without an empty line that would be doubled.
fn without(text: &str, mut cuts: Vec<Range<usize>>) -> String {
    cuts.sort_by_key(|cut| cut.start);
    let blank = |line: &str| line.trim_matches('\u{feff}').trim().is_empty();
    let mut left = text.to_owned();
    for cut in cuts.into_iter().rev() {
        left.replace_range(cut.clone(), "");
        let (above, below) = left.split_at(cut.start);
        if !above.lines().last().is_none_or(blank) || !below.lines().next().is_none_or(blank) {
            continue;
        }
        let doubled = if below.is_empty() && !above.is_empty() {
            line_start(above, above.len() - 1)..above.len()
        } else {
            cut.start..cut.start + line_end(below, 0)
        };
        left.replace_range(doubled, "");
    }
    left
}
