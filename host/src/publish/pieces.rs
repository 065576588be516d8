//! One part of a template: text, and names that stand for text.

use std::fmt;

use super::file_name::is_extension;
use super::naming::reads_as_version;

/// What a name in braces stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Folder,
    Asset,
    Product,
    Type,
    Version,
    Name,
    Output,
    Ext,
    Frame,
    Task,
    File,
    Any,
}

const FIELDS: [(&str, Field); 12] = [
    ("folder", Field::Folder),
    ("asset", Field::Asset),
    ("product", Field::Product),
    ("type", Field::Type),
    ("version", Field::Version),
    ("name", Field::Name),
    ("output", Field::Output),
    ("ext", Field::Ext),
    ("frame", Field::Frame),
    ("task", Field::Task),
    ("file", Field::File),
    ("_", Field::Any),
];

/// What OpenPype's and AYON's anatomies call them.
const ELSEWHERE: [(&str, &str); 12] = [
    ("hierarchy", "folder"),
    ("folder[path]", "folder"),
    ("folder[name]", "asset"),
    ("subset", "product"),
    ("product[name]", "product"),
    ("family", "type"),
    ("product[type]", "type"),
    ("task[name]", "task"),
    ("@version", "version"),
    ("@frame", "frame"),
    ("representation", "name"),
    ("extension", "ext"),
];

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = FIELDS.iter().find(|(_, field)| field == self).map_or("_", |(name, _)| name);
        write!(f, "{{{name}}}")
    }
}

impl Field {
    /// Whether it may stand for this text.
    fn takes(self, text: &str) -> bool {
        match self {
            Field::Version => reads_as_version(text),
            Field::Ext => is_extension(text),
            Field::Frame => {
                let digits = text.strip_prefix('-').unwrap_or(text);
                !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
            }
            Field::Output => !text.is_empty() && !text.contains('.'),
            _ => !matches!(text, "" | "." | ".."),
        }
    }
}

/// A piece of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Named(Field),
}

impl Piece {
    pub(super) fn field(&self) -> Option<Field> {
        match self {
            Piece::Text(_) => None,
            Piece::Named(field) => Some(*field),
        }
    }
}

/// What is wrong with a part, and where in it, in bytes.
pub(super) struct Wrong {
    pub(super) at: usize,
    pub(super) message: String,
    pub(super) hint: String,
}

/// Reads a part. Between two names there is text, and no name but `{_}` stands twice.
pub(super) fn pieces(part: &str) -> Result<Vec<Piece>, Wrong> {
    let wrong = |at: usize, message: String, hint: &str| Wrong { at, message, hint: hint.into() };
    if matches!(part, "" | "." | "..") {
        let message = format!("a part is `{part}`");
        return Err(wrong(0, message, "write the path below a root, like `{folder}/publish/...`"));
    }
    let mut pieces: Vec<Piece> = Vec::new();
    let mut at = 0;
    while let Some(character) = part[at..].chars().next() {
        match character {
            '{' => {
                let inner = part[at + 1..].split(['{', '}']).next().unwrap_or_default();
                let end = at + 1 + inner.len();
                if !part[end..].starts_with('}') {
                    return Err(wrong(at, "`{` has no `}`".into(), "close it: `{product}`"));
                }
                let field = field(inner).map_err(|hint| {
                    wrong(at, format!("there is no name `{{{}}}`", inner.escape_debug()), &hint)
                })?;
                if let Some(Piece::Named(before)) = pieces.last() {
                    let message = format!("nothing tells where `{before}` ends");
                    return Err(wrong(
                        at,
                        message,
                        "put text between two names: `{asset}_{product}`",
                    ));
                }
                if field != Field::Any && pieces.contains(&Piece::Named(field)) {
                    let message = format!("`{field}` stands twice in one part");
                    return Err(wrong(at, message, "write it once; `{_}` is any text"));
                }
                pieces.push(Piece::Named(field));
                at = end + 1;
            }
            '}' => return Err(wrong(at, "`}` has no `{`".into(), "open it: `{product}`")),
            '<' | '>' => {
                let hint = "write a template with the piece, and one without";
                return Err(wrong(at, "there are no optional pieces".into(), hint));
            }
            _ => {
                let end = part[at..].find(['{', '}', '<', '>']).map_or(part.len(), |end| at + end);
                pieces.push(Piece::Text(part[at..end].to_owned()));
                at = end;
            }
        }
    }
    Ok(pieces)
}

/// Returns what a name stands for, or what to write instead.
fn field(name: &str) -> Result<Field, String> {
    if let Some((_, field)) = FIELDS.iter().find(|(known, _)| *known == name) {
        return Ok(*field);
    }
    if let Some((_, ours)) = ELSEWHERE.iter().find(|(theirs, _)| *theirs == name) {
        return Err(format!("here it is `{{{ours}}}`"));
    }
    let all: Vec<String> = FIELDS.iter().map(|(_, field)| format!("`{field}`")).collect();
    Err(format!("allowed are {}", all.join(", ")))
}

/// What the names of a template stand for in one path.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Values<'t>([Option<&'t str>; FIELDS.len()]);

impl<'t> Values<'t> {
    pub(super) fn get(&self, field: Field) -> Option<&'t str> {
        self.0[field as usize]
    }

    pub(super) fn set(&mut self, field: Field, text: &'t str) {
        self.0[field as usize] = Some(text);
    }
}

/// Whether the pieces fit the whole of a part, and what they then stand for: each name for as little
/// as it can. A name that stands for something already stands for that here as well.
pub(super) fn fit<'t>(pieces: &[Piece], part: &'t str, values: &mut Values<'t>) -> bool {
    match pieces {
        // Most parts are one of these.
        [Piece::Text(text)] => text == part,
        [Piece::Named(field)] => one(*field, part, values),
        _ => {
            let names = pieces.iter().filter(|piece| piece.field().is_some()).count();
            // With one name or two, no place is come to often.
            let places = if names > 2 { pieces.len() * (part.len() + 1) } else { 0 };
            Fit { pieces, part, dead: vec![false; places] }.from(0, 0, values)
        }
    }
}

/// Whether a name may stand for this text, noted if so.
fn one<'t>(field: Field, text: &'t str, values: &mut Values<'t>) -> bool {
    if field == Field::Any {
        return field.takes(text);
    }
    match values.get(field) {
        Some(known) => known == text,
        None => {
            let takes = field.takes(text);
            if takes {
                values.set(field, text);
            }
            takes
        }
    }
}

struct Fit<'p, 't> {
    pieces: &'p [Piece],
    part: &'t str,
    /// By piece and place: whether the rest was found not to fit there. Without it, hostile names
    /// would cost more than polynomial time.
    dead: Vec<bool>,
}

impl<'t> Fit<'_, 't> {
    fn from(&mut self, index: usize, at: usize, values: &mut Values<'t>) -> bool {
        let rest = &self.part[at..];
        let Some(piece) = self.pieces.get(index) else { return rest.is_empty() };
        let field = match piece {
            Piece::Text(text) => {
                return rest.starts_with(text.as_str())
                    && self.from(index + 1, at + text.len(), values);
            }
            Piece::Named(field) => *field,
        };
        let place = index * (self.part.len() + 1) + at;
        if self.dead.get(place) == Some(&true) {
            return false;
        }
        let fits = match self.pieces.get(index + 1) {
            Some(Piece::Text(text)) => self.before(text, field, index, at, values),
            _ => one(field, rest, values),
        };
        if !fits && let Some(dead) = self.dead.get_mut(place) {
            *dead = true;
        }
        fits
    }

    /// Tries a name up to each place where the text behind it stands.
    fn before(
        &mut self,
        text: &str,
        field: Field,
        index: usize,
        at: usize,
        values: &mut Values<'t>,
    ) -> bool {
        let part = self.part;
        let unset = *values;
        let mut end = at;
        while let Some(found) = part[end..].find(text) {
            end += found;
            if one(field, &part[at..end], values) && self.from(index + 1, end, values) {
                return true;
            }
            *values = unset;
            end += part[end..].chars().next().map_or(1, char::len_utf8);
        }
        false
    }
}
