//! The text of a settings file, and the way from an offset in it to a line that can be shown.

use std::collections::BTreeSet;

use super::error::{Level, Place, Problem};
use super::layers::Layer;

/// Longest part of a line that is shown, in characters.
const SHOWN: usize = 120;
/// How much of a longer line is shown before the place.
const BEFORE: usize = 40;

/// A part of one of the [`Source`]s, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Which source, by its place in [`Loaded::sources`](super::Loaded::sources); 0 is what is
    /// built in.
    pub document: u32,
    /// The first byte.
    pub start: usize,
    /// The first byte after it.
    pub end: usize,
}

impl Span {
    pub(super) fn new(document: u32, range: std::ops::Range<usize>) -> Self {
        Span { document, start: range.start, end: range.end }
    }
}

/// A document's name and text: a settings file, or what stands for one.
#[derive(Clone)]
pub struct Source {
    layer: Layer,
    name: String,
    text: String,
    /// Where each line begins.
    lines: Vec<usize>,
    exposed: Option<u32>,
    /// Keys that hold a secret, besides those that sound like it.
    secret: BTreeSet<String>,
}

// Not derived: the text may hold a password.
impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Source {
    /// Wraps a text.
    #[must_use]
    pub fn new(layer: Layer, name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect();
        Source { layer, name: name.into(), text, lines, exposed: None, secret: BTreeSet::new() }
    }

    /// Returns the same document with another text.
    #[must_use]
    pub fn with_text(&self, text: &str) -> Self {
        Source::new(self.layer, self.name.as_str(), text).exposed(self.exposed)
    }

    /// Notes that anybody can read the file, whose permission bits these are.
    pub(super) fn exposed(mut self, mode: Option<u32>) -> Self {
        self.exposed = mode;
        self
    }

    /// Returns the file's permission bits, if anybody can read it.
    pub(super) fn is_exposed(&self) -> Option<u32> {
        self.exposed
    }

    /// Hides the values of these keys as well, wherever a line is shown.
    pub(super) fn hiding(mut self, keys: &BTreeSet<String>) -> Self {
        self.secret.extend(keys.iter().cloned());
        self
    }

    /// Returns the layer that it belongs to.
    #[must_use]
    pub fn layer(&self) -> Layer {
        self.layer
    }

    /// Returns what problems call the file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns an error that points at a part of the text.
    #[must_use]
    pub fn error(&self, span: Span, message: impl Into<String>) -> Problem {
        Problem::new(Level::Error, &self.name, message).at(self.place(span))
    }

    /// Returns a note that points at a part of the text.
    #[must_use]
    pub fn note(&self, span: Span, message: impl Into<String>) -> Problem {
        Problem::new(Level::Note, &self.name, message).at(self.place(span))
    }

    /// Returns where a part of the text begins, with its line made fit to be shown: no control
    /// characters, no secret, not too long.
    #[must_use]
    pub fn place(&self, span: Span) -> Place {
        let start = self.boundary(span.start);
        let end = self.boundary(span.end).max(start);
        let number = self.lines.partition_point(|begin| *begin <= start);
        let line_start = self.lines[number - 1];
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |at| start + at);
        let line = self.text[line_start..line_end].trim_end_matches('\r');
        let start_in_line = (start - line_start).min(line.len());
        let end_in_line = (end - line_start).min(line.len());

        let open = self.secret_from(line).unwrap_or(line.len());
        let mut shown = Vec::new();
        let (mut from, mut to) = (None, None);
        for (at, character) in line[..open].char_indices() {
            if at >= start_in_line && from.is_none() {
                from = Some(shown.len());
            }
            if at >= end_in_line && to.is_none() {
                to = Some(shown.len());
            }
            render(character, &mut shown);
        }
        if open < line.len() {
            shown.push('…');
        }
        let from = from.unwrap_or(shown.len().saturating_sub(usize::from(open < line.len())));
        let to = to.unwrap_or(shown.len()).max(from);

        let cut = if shown.len() > SHOWN { from.saturating_sub(BEFORE) } else { 0 };
        let mut text: String = shown.iter().skip(cut).take(SHOWN).collect();
        if cut > 0 {
            text.insert(0, '…');
        }
        if shown.len() > cut + SHOWN {
            text.push('…');
        }
        let caret = from - cut + usize::from(cut > 0);
        Place {
            line: number,
            column: line[..start_in_line].chars().count() + 1,
            width: (to - from).min(text.chars().count().saturating_sub(caret)).max(1),
            caret,
            text,
        }
    }

    fn boundary(&self, mut at: usize) -> usize {
        at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }

    /// Returns where the value of a key begins that, by its name, holds a secret.
    fn secret_from(&self, line: &str) -> Option<usize> {
        let mut from = 0;
        while let Some(equals) = line[from..].find('=').map(|at| from + at) {
            let key = line[from..equals].trim_end().trim_end_matches(['"', '\'']);
            let key = key.rsplit(['{', ',', '.', '"', '\'', ' ', '\t']).next().unwrap_or(key);
            if is_secret(key) || self.secret.contains(key) {
                return Some(equals + 1);
            }
            from = equals + 1;
        }
        None
    }
}

fn render(character: char, into: &mut Vec<char>) {
    match character {
        // One width everywhere, so that the caret stands right.
        '\t' => into.extend([' '; 4]),
        '\u{feff}' => {}
        // Marks that are not seen, and turn the order of what is.
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            into.extend(character.escape_unicode());
        }
        character if character.is_control() => into.extend(character.escape_default()),
        character => into.push(character),
    }
}

/// Whether a key, by its name, holds a secret itself (and does not say where it is).
pub(crate) fn is_secret(key: &str) -> bool {
    const SECRET: [&str; 6] = ["password", "passwd", "passphrase", "secret", "token", "api_key"];
    const HARMLESS: [&str; 4] = ["_file", "_path", "_env", "_folder"];
    let key = key.to_ascii_lowercase();
    SECRET.iter().any(|word| key.contains(word))
        && !HARMLESS.iter().any(|ending| key.ends_with(ending))
}
