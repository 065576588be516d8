//! Tolerant reading of JSON: numbers as texts, texts as numbers, and nothing overlooked.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use toml_edit::InlineTable;

use super::Left;
use super::draft::Draft;
use crate::settings::context::Platform;

/// An object of an export while it is read.
pub(super) struct Block<'j> {
    at: String,
    fields: &'j Map<String, Value>,
    seen: BTreeSet<&'j str>,
}

impl<'j> Block<'j> {
    /// Returns a block, if the value is an object.
    pub(super) fn of(at: impl Into<String>, value: &'j Value) -> Option<Self> {
        let fields = value.as_object()?;
        Some(Block { at: at.into(), fields, seen: BTreeSet::new() })
    }

    pub(super) fn at(&self, key: &str) -> String {
        if self.at.is_empty() { key.to_owned() } else { format!("{}.{key}", self.at) }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.fields.contains_key(key)
    }

    /// The keys that were not taken yet. What begins with `__` is about the settings themselves.
    pub(super) fn keys(&self) -> Vec<&'j str> {
        let keys = self.fields.keys().map(String::as_str);
        keys.filter(|key| !self.seen.contains(key) && !key.starts_with("__")).collect()
    }

    /// Takes a value; `null` is none.
    pub(super) fn take(&mut self, key: &str) -> Option<&'j Value> {
        let (key, value) = self.fields.get_key_value(key)?;
        self.seen.insert(key);
        Some(value).filter(|value| !value.is_null())
    }

    pub(super) fn block(&mut self, key: &str) -> Option<Block<'j>> {
        let at = self.at(key);
        Block::of(at, self.take(key)?)
    }

    pub(super) fn boolean(&mut self, key: &str, draft: &mut Draft) -> Option<bool> {
        match self.take(key)? {
            Value::Bool(value) => Some(*value),
            Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
            other => {
                draft.left(self.at(key), format!("`{other}` is neither true nor false"), BY_HAND);
                None
            }
        }
    }

    /// Takes a text; one that is empty is none.
    pub(super) fn text(&mut self, key: &str, draft: &mut Draft) -> Option<String> {
        match self.take(key)? {
            Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Value::Number(number) => Some(number.to_string()),
            other => {
                draft.left(self.at(key), format!("`{other}` is no text"), BY_HAND);
                None
            }
        }
    }

    /// Takes a whole number of this range.
    pub(super) fn number(
        &mut self,
        key: &str,
        range: std::ops::RangeInclusive<u64>,
        draft: &mut Draft,
    ) -> Option<u64> {
        let text = self.text(key, draft)?;
        let number = text.parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let (least, most) = range.into_inner();
            let why = format!("`{text}` is no whole number from {least} to {most}");
            draft.left(self.at(key), why, BY_HAND);
        }
        number
    }

    pub(super) fn texts(&mut self, key: &str, draft: &mut Draft) -> Vec<String> {
        match self.take(key) {
            Some(Value::Array(items)) => {
                let texts = items.iter().filter_map(Value::as_str).map(str::trim);
                texts.filter(|text| !text.is_empty()).map(str::to_owned).collect()
            }
            Some(Value::String(text)) => {
                let texts = text.split(',').map(str::trim).filter(|text| !text.is_empty());
                texts.map(str::to_owned).collect()
            }
            Some(other) => {
                draft.left(self.at(key), format!("`{other}` is no list"), BY_HAND);
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// Reports all that was not taken.
    pub(super) fn rest(self, draft: &mut Draft) {
        for key in self.keys() {
            if !is_blank(&self.fields[key]) {
                draft.left.push(Left {
                    at: self.at(key),
                    why: "there is nothing like it here".into(),
                    remedy: "see docs/settings.md for what there is".into(),
                });
            }
        }
    }
}

/// What to do about a value that makes no sense.
pub(super) const BY_HAND: &str = "write what was meant into the new file";

/// Whether a value says nothing.
pub(super) fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.iter().all(is_blank),
        Value::Object(fields) => fields.values().all(is_blank),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Returns a path, or a table of paths by platform, each passed through `each`. `None` if none is
/// given.
pub(super) fn paths(
    at: &str,
    value: &Value,
    draft: &mut Draft,
    each: impl Fn(&str) -> Result<String, String>,
) -> Option<toml_edit::Value> {
    let mut table = InlineTable::new();
    let one = |at: &str, value: &Value, draft: &mut Draft| -> Option<String> {
        let text = match value {
            Value::Array(items) => {
                if items.len() > 1 {
                    draft.left(at, "only the first of several paths is taken", BY_HAND);
                }
                items.first()?.as_str()?
            }
            other => other.as_str()?,
        };
        match each(text.trim()) {
            Ok(path) => Some(path).filter(|path| !path.is_empty()),
            Err(why) => {
                draft.left(at, why, BY_HAND);
                None
            }
        }
    };
    match value {
        Value::Object(fields) => {
            for platform in Platform::NAMES {
                let Some(value) = fields.get(platform) else { continue };
                if let Some(path) = one(&format!("{at}.{platform}"), value, draft) {
                    table.insert(platform, path.into());
                }
            }
        }
        value => {
            let path = one(at, value, draft)?;
            let drive = path.as_bytes().get(1) == Some(&b':') || path.starts_with("\\\\");
            if !drive {
                return Some(path.into());
            }
            table.insert("windows", path.into());
        }
    }
    (!table.is_empty()).then(|| table.into())
}
