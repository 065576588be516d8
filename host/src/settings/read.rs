//! Typed reading of TOML values, and the collecting of what is wrong with them.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::error::{Level, Problem};
use super::nearest;
use super::source::{Source, Span};
use super::tree::{Table, Value};
use super::units;

/// How many errors, and how many notes, are told of one file.
const MOST: usize = 500;

/// A key with its value, as it stands in a document.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) name: &'a str,
    pub(super) key: Span,
    pub(super) value: &'a Value,
    pub(super) span: Span,
}

/// A table's fields in the order of the documents.
pub(super) type Fields<'a> = Vec<Field<'a>>;

/// Returns a table's fields in the order of the documents.
pub(super) fn fields(table: &Table) -> Fields<'_> {
    let mut fields: Fields<'_> = table
        .nodes
        .iter()
        .map(|(name, node)| Field { name, key: node.key, value: &node.value, span: node.span })
        .collect();
    fields.sort_by_key(|field| field.key);
    fields
}

/// Sets what was read; what could not be read keeps its default, and was reported.
pub(super) fn set<T>(slot: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *slot = value;
    }
}

/// All that was found in the documents so far.
pub(super) struct Report<'s> {
    sources: &'s [Source],
    found: Vec<(Span, Problem)>,
    known: HashSet<(Span, String)>,
    counts: [usize; 2],
}

impl<'s> Report<'s> {
    /// `sources` are what the numbers in spans stand for; there is at least one.
    pub(super) fn new(sources: &'s [Source]) -> Self {
        Report { sources, found: Vec::new(), known: HashSet::new(), counts: [0; 2] }
    }

    /// Returns the document that a span is of.
    pub(super) fn source(&self, span: Span) -> &'s Source {
        &self.sources[span.document as usize]
    }

    /// Returns where something stands, in words: `sitesync.toml:3:1`.
    pub(super) fn place(&self, span: Span) -> String {
        let source = self.source(span);
        let place = source.place(span);
        format!("{}:{}:{}", source.name(), place.line, place.column)
    }

    pub(super) fn error(
        &mut self,
        span: Span,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(span, self.source(span).error(span, message).help(hint));
    }

    pub(super) fn note(&mut self, span: Span, message: impl Into<String>, hint: impl Into<String>) {
        self.add(span, self.source(span).note(span, message).help(hint));
    }

    pub(super) fn add(&mut self, span: Span, problem: Problem) {
        // One line of `[sync]` may be wrong for every project; it is told once.
        if !self.known.insert((span, problem.message.clone())) {
            return;
        }
        let count = &mut self.counts[problem.level as usize];
        *count += 1;
        if *count <= MOST {
            self.found.push((span, problem));
        }
    }

    /// Returns errors and notes in the order of the documents.
    pub(super) fn finish(mut self) -> (Vec<Problem>, Vec<Problem>) {
        self.found.sort_by_key(|(span, _)| (span.document, span.start));
        let (mut errors, mut notes): (Vec<_>, Vec<_>) = self
            .found
            .into_iter()
            .map(|(_, problem)| problem)
            .partition(|problem| problem.level == Level::Error);
        for (level, told) in [(Level::Error, &mut errors), (Level::Note, &mut notes)] {
            let more = self.counts[level as usize] - told.len();
            if more > 0 {
                let message = format!("{more} more are not shown");
                let file = told.last().map(|last| last.file.clone()).unwrap_or_default();
                told.push(Problem::new(level, file, message));
            }
        }
        (errors, notes)
    }

    /// Reports a key that means nothing here.
    pub(super) fn unknown(&mut self, field: &Field<'_>, place: &str, known: &[&str]) {
        let hint = nearest::advice(field.name, known);
        self.error(field.key, format!("there is no key `{}` in {place}", field.name), hint);
    }

    fn wrong_type(&mut self, field: &Field<'_>, wanted: &str, example: &str) {
        let found = described(field.value);
        self.error(
            field.span,
            format!("`{}` must be {wanted}, not {found}", field.name),
            format!("for example `{} = {example}`", field.name),
        );
    }

    pub(super) fn table<'a>(&mut self, field: &Field<'a>, example: &str) -> Option<Fields<'a>> {
        match field.value.table() {
            Some(table) => Some(fields(table)),
            None => {
                let found = described(field.value);
                self.error(
                    field.span,
                    format!("`{}` must be a table, not {found}", field.name),
                    format!("for example `{example}`"),
                );
                None
            }
        }
    }

    pub(super) fn boolean(&mut self, field: &Field<'_>) -> Option<bool> {
        match field.value {
            Value::Boolean(value) => Some(*value),
            _ => {
                self.wrong_type(field, "`true` or `false`", "true");
                None
            }
        }
    }

    pub(super) fn string(&mut self, field: &Field<'_>, example: &str) -> Option<String> {
        match field.value {
            Value::String(text) if text.is_empty() => {
                self.error(
                    field.span,
                    format!("`{}` is empty", field.name),
                    format!("for example `{} = \"{example}\"`", field.name),
                );
                None
            }
            Value::String(text) => Some(text.to_string()),
            _ => {
                self.wrong_type(field, "a string", &format!("\"{example}\""));
                None
            }
        }
    }

    /// Reads an array of strings, each with its place. Repeated ones are dropped.
    pub(super) fn strings(
        &mut self,
        field: &Field<'_>,
        example: &str,
    ) -> Option<Vec<(String, Span)>> {
        let Value::Array(array) = field.value else {
            self.wrong_type(field, "an array of strings", &format!("[\"{example}\"]"));
            return None;
        };
        let mut strings: Vec<(String, Span)> = Vec::new();
        for value in array.iter() {
            let span = value.span;
            let item = Field { name: field.name, key: field.key, value: &value.value, span };
            match item.value {
                Value::String(text) if !text.is_empty() => {
                    if !strings.iter().any(|(known, _)| known == text) {
                        strings.push((text.to_string(), span));
                    }
                }
                Value::String(_) => {
                    self.error(span, format!("`{}` has an empty entry", field.name), "remove it");
                }
                _ => self.wrong_type(&item, "an array of strings", &format!("[\"{example}\"]")),
            }
        }
        Some(strings)
    }

    pub(super) fn integer(
        &mut self,
        field: &Field<'_>,
        allowed: RangeInclusive<u32>,
        example: u32,
    ) -> Option<u32> {
        let Value::Integer(integer) = field.value else {
            self.wrong_type(field, "a whole number", &example.to_string());
            return None;
        };
        let value = i128::from_str_radix(&integer.digits, integer.radix).ok();
        let value = value.and_then(|value| u32::try_from(value).ok());
        match value.filter(|value| allowed.contains(value)) {
            Some(value) => Some(value),
            None => {
                self.out_of_range(field, &integer.text, allowed.start(), allowed.end());
                None
            }
        }
    }

    pub(super) fn number(
        &mut self,
        field: &Field<'_>,
        allowed: RangeInclusive<f64>,
    ) -> Option<f64> {
        let text = match field.value {
            Value::Integer(integer) if integer.radix == 10 => integer.text.clone(),
            Value::Float(float) => float.clone(),
            _ => {
                self.wrong_type(field, "a number", "2.5");
                return None;
            }
        };
        // A comparison with NaN is false, so NaN is out of every range.
        match text.parse().ok().filter(|value| allowed.contains(value)) {
            Some(value) => Some(value),
            None => {
                self.out_of_range(field, &text, allowed.start(), allowed.end());
                None
            }
        }
    }

    pub(super) fn duration(
        &mut self,
        field: &Field<'_>,
        allowed: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let (text, value) = match field.value {
            Value::Integer(integer) => {
                let seconds = u64::from_str_radix(&integer.digits, integer.radix);
                (integer.text.clone(), seconds.ok().map(Duration::from_secs))
            }
            Value::String(text) => match units::parse_duration(text) {
                Ok(duration) => (text.to_string(), Some(duration)),
                Err(error) => {
                    self.not_a(field, text, &error);
                    return None;
                }
            },
            _ => {
                self.wrong_type(field, "a duration or whole seconds", "\"60s\"");
                return None;
            }
        };
        match value.filter(|value| allowed.contains(value)) {
            Some(value) => Some(value),
            None => {
                let [least, most] =
                    [allowed.start(), allowed.end()].map(|bound| units::format_duration(*bound));
                self.out_of_range(field, &text, &least, &most);
                None
            }
        }
    }

    pub(super) fn bytes_per_second(
        &mut self,
        field: &Field<'_>,
        allowed: RangeInclusive<u64>,
    ) -> Option<u64> {
        let (text, value) = match field.value {
            Value::Integer(integer) => {
                (integer.text.clone(), u64::from_str_radix(&integer.digits, integer.radix).ok())
            }
            Value::String(text) => {
                match units::parse_bytes(text.strip_suffix("/s").unwrap_or(text)) {
                    Ok(bytes) => (text.to_string(), Some(bytes)),
                    Err(error) => {
                        self.not_a(field, text, &error);
                        return None;
                    }
                }
            }
            _ => {
                self.wrong_type(field, "bytes a second", "\"20 MiB\"");
                return None;
            }
        };
        match value.filter(|value| allowed.contains(value)) {
            Some(value) => Some(value),
            None => {
                let [least, most] =
                    [allowed.start(), allowed.end()].map(|bound| units::format_bytes(*bound));
                self.out_of_range(field, &text, &least, &most);
                None
            }
        }
    }

    pub(super) fn choice<T: Copy>(
        &mut self,
        field: &Field<'_>,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let first = names.first().copied().unwrap_or_default();
        let Value::String(text) = field.value else {
            self.wrong_type(field, "a string", &format!("\"{first}\""));
            return None;
        };
        let chosen = choices.iter().find(|(name, _)| name == text).map(|(_, value)| *value);
        if chosen.is_none() {
            let allowed = nearest::listed(&names).replace(", ", " or ");
            let hint = match nearest::nearest(text, names.iter().copied()) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("for example `{} = \"{first}\"`", field.name),
            };
            self.error(
                field.span,
                format!("`{}` must be {allowed}, not `{}`", field.name, text.escape_debug()),
                hint,
            );
        }
        chosen
    }

    fn not_a(&mut self, field: &Field<'_>, text: &str, error: &units::UnitError) {
        let reason = error.to_string();
        let (reason, hint) = reason.split_once("; ").unwrap_or((&reason, "use another value"));
        let text = text.escape_debug();
        self.error(field.span, format!("`{}`: `{text}` is {reason}", field.name), hint);
    }

    fn out_of_range(
        &mut self,
        field: &Field<'_>,
        text: &str,
        least: &dyn std::fmt::Display,
        most: &dyn std::fmt::Display,
    ) {
        self.error(
            field.span,
            format!("`{}` is out of range: {text}", field.name),
            format!("allowed is {least} to {most}"),
        );
    }
}

/// Returns what a value is, with its article.
pub(super) fn described(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a string",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number with a fraction",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "an array",
        Value::Table(_) | Value::Paths(_) => "a table",
    }
}
