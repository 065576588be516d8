//! `fields`: which parts of an answer are wanted.
//!
//! `files(id,name),nextPageToken`, `files/id`, `*`, `file(*)`. Fields that do not exist are
//! refused, as Google does: a misspelt field would else be a field that is silently missing.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::refusal::Refusal;

/// The wanted parts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fields {
    /// This and all beneath.
    All,
    /// Some members of an object, or of each object of a list.
    Some(BTreeMap<String, Fields>),
}

/// What fields there are.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Not looked at further.
    Any,
    /// An object, or a list of such.
    Object(&'static [(&'static str, &'static Shape)]),
}

impl Fields {
    /// Reads a mask of what has this shape.
    pub(crate) fn parse(text: &str, shape: &Shape) -> Result<Fields, Refusal> {
        let wrong =
            |what: &str| Refusal::invalid("fields", format!("Invalid field selection {what}"));
        let mut rest = text;
        let fields = list(&mut rest, 0).ok_or_else(|| wrong(text))?;
        if !rest.is_empty() {
            return Err(wrong(text));
        }
        fields.check(shape).map_err(|name| wrong(&name))?;
        Ok(fields)
    }

    fn check(&self, shape: &Shape) -> Result<(), String> {
        let (Fields::Some(members), Shape::Object(known)) = (self, shape) else { return Ok(()) };
        for (name, inner) in members {
            let member = known.iter().find(|(known, _)| known == name);
            inner.check(member.ok_or_else(|| name.clone())?.1)?;
        }
        Ok(())
    }

    /// Whether a member of this name is wanted, at least in part.
    pub(crate) fn wants(&self, name: &str) -> bool {
        match self {
            Fields::All => true,
            Fields::Some(members) => members.contains_key(name),
        }
    }

    /// The mask of a member.
    pub(crate) fn of(&self, name: &str) -> Fields {
        match self {
            Fields::All => Fields::All,
            Fields::Some(members) => {
                members.get(name).cloned().unwrap_or(Fields::Some(BTreeMap::new()))
            }
        }
    }

    /// Leaves what is wanted.
    pub(crate) fn project(&self, value: Value) -> Value {
        match (self, value) {
            (Fields::All, value) => value,
            (Fields::Some(_), Value::Array(values)) => {
                values.into_iter().map(|value| self.project(value)).collect()
            }
            (Fields::Some(members), Value::Object(object)) => {
                let wanted = object.into_iter().filter_map(|(name, value)| {
                    let inner = members.get(&name)?;
                    Some((name, inner.project(value)))
                });
                Value::Object(wanted.collect::<Map<_, _>>())
            }
            (Fields::Some(_), value) => value,
        }
    }

    fn merge(&mut self, other: Fields) {
        match (self, other) {
            (Fields::All, _) => {}
            (this, Fields::All) => *this = Fields::All,
            (Fields::Some(members), Fields::Some(others)) => {
                for (name, fields) in others {
                    match members.get_mut(&name) {
                        Some(member) => member.merge(fields),
                        None => drop(members.insert(name, fields)),
                    }
                }
            }
        }
    }
}

/// How deep masks may be nested.
const DEEPEST: usize = 16;

fn list(rest: &mut &str, depth: usize) -> Option<Fields> {
    let mut fields = item(rest, depth)?;
    while let Some(after) = rest.strip_prefix(',') {
        *rest = after.trim_start();
        fields.merge(item(rest, depth)?);
    }
    Some(fields)
}

fn item(rest: &mut &str, depth: usize) -> Option<Fields> {
    if depth > DEEPEST {
        return None;
    }
    *rest = rest.trim_start();
    if let Some(after) = rest.strip_prefix('*') {
        *rest = after.trim_start();
        return Some(Fields::All);
    }
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
    let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
    if name.is_empty() {
        return None;
    }
    *rest = after.trim_start();
    let inner = if let Some(after) = rest.strip_prefix('/') {
        *rest = after;
        item(rest, depth + 1)?
    } else if let Some(after) = rest.strip_prefix('(') {
        *rest = after;
        let inner = list(rest, depth + 1)?;
        *rest = rest.strip_prefix(')')?.trim_start();
        inner
    } else {
        Fields::All
    };
    Some(Fields::Some(BTreeMap::from([(name.to_owned(), inner)])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SHAPE: Shape = Shape::Object(&[
        (
            "files",
            &Shape::Object(&[("id", &Shape::Any), ("name", &Shape::Any), ("user", &Shape::Any)]),
        ),
        ("next", &Shape::Any),
    ]);

    #[test]
    fn what_is_wanted_is_left() {
        let whole = json!({
            "next": "x",
            "files": [{"id": "1", "name": "a", "user": {"me": true, "mail": "m"}}, {"id": "2"}],
        });
        for (mask, left) in [
            ("*", whole.clone()),
            ("next", json!({"next": "x"})),
            ("files/id", json!({"files": [{"id": "1"}, {"id": "2"}]})),
            (
                "files(id, name),next",
                json!({"next": "x", "files": [{"id": "1", "name": "a"}, {"id": "2"}]}),
            ),
            ("files(*)", json!({"files": whole["files"]})),
            (
                "files(user/me),files/id",
                json!({"files": [{"id": "1", "user": {"me": true}}, {"id": "2"}]}),
            ),
        ] {
            let fields = Fields::parse(mask, &SHAPE).expect(mask);
            assert_eq!(fields.project(whole.clone()), left, "{mask}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for mask in
            ["", "files(", "files)", "files(id", "files,,next", "file", "files(idd)", "files id"]
        {
            assert!(Fields::parse(mask, &SHAPE).is_err(), "{mask}");
        }
    }
}
