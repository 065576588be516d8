//! A TOML document as values that know where they stand, so that documents can be merged.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::context::Platform;
use super::source::Span;

/// A value with its place. `Debug` in tests only: it may be a password.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(super) struct Node {
    /// Its key; for an entry of an array, the key of the array.
    pub(super) key: Span,
    pub(super) span: Span,
    pub(super) value: Value,
}

#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(super) enum Value {
    String(String),
    Integer(Integer),
    Float(String),
    Boolean(bool),
    Datetime(String),
    Array(Vec<Node>),
    /// A path that differs by platform: one value, though it is written as a table.
    Paths(Table),
    Table(Table),
}

/// A whole number of any size.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(super) struct Integer {
    /// As it was written, with its prefix.
    pub(super) text: String,
    pub(super) digits: String,
    pub(super) radix: u32,
}

/// Nodes by key.
#[derive(Clone, Default, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(super) struct Table {
    pub(super) nodes: BTreeMap<String, Node>,
    /// It took the place of something that was no table, and does so wherever it is merged.
    whole: bool,
}

impl Table {
    /// Returns a parsed document, whose number is that of its source.
    pub(super) fn of(table: &DeTable<'_>, document: u32) -> Self {
        let nodes = table.iter().map(|(key, value)| {
            let key_span = Span::new(document, key.span());
            (key.get_ref().to_string(), Node::of(key_span, value, document))
        });
        Table { nodes: nodes.collect(), whole: false }
    }

    /// Returns a table of these nodes.
    pub(super) fn from_nodes(nodes: impl IntoIterator<Item = (String, Node)>) -> Self {
        Table { nodes: nodes.into_iter().collect(), whole: false }
    }

    /// Lays another table over this one: the only merge rule there is. Tables merge key by key;
    /// everything else, arrays and path tables too, is replaced as a whole.
    pub(super) fn merge(&mut self, over: Table) {
        for (key, node) in over.nodes {
            match self.nodes.get_mut(&key) {
                Some(under) => under.merge(node),
                None => {
                    self.nodes.insert(key, node);
                }
            }
        }
    }

    /// Returns the table at a key, if there is one.
    pub(super) fn table(&self, key: &str) -> Option<&Table> {
        self.nodes.get(key).and_then(|node| node.value.table())
    }

    /// Returns the table at a key, if there is one, to change it.
    pub(super) fn table_mut(&mut self, key: &str) -> Option<&mut Table> {
        match &mut self.nodes.get_mut(key)?.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// Returns the tables in it, to change them.
    pub(super) fn tables_mut(&mut self) -> impl Iterator<Item = &mut Table> {
        self.nodes.values_mut().filter_map(|node| match &mut node.value {
            Value::Table(table) => Some(table),
            _ => None,
        })
    }

    /// Whether it is a path by platform.
    fn is_paths(&self) -> bool {
        !self.nodes.is_empty()
            && self.nodes.iter().all(|(key, node)| {
                Platform::NAMES.contains(&key.as_str()) && matches!(node.value, Value::String(_))
            })
    }
}

impl Node {
    fn of(key: Span, value: &toml::Spanned<DeValue<'_>>, document: u32) -> Self {
        let span = Span::new(document, value.span());
        let value = match value.get_ref() {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Integer(integer) => Value::Integer(Integer {
                text: integer.to_string(),
                digits: integer.as_str().to_owned(),
                radix: integer.radix(),
            }),
            DeValue::Float(float) => Value::Float(float.as_str().to_owned()),
            DeValue::Boolean(value) => Value::Boolean(*value),
            DeValue::Datetime(value) => Value::Datetime(value.to_string()),
            DeValue::Array(array) => {
                Value::Array(array.iter().map(|item| Node::of(key, item, document)).collect())
            }
            DeValue::Table(table) => {
                let table = Table::of(table, document);
                if table.is_paths() { Value::Paths(table) } else { Value::Table(table) }
            }
        };
        Node { key, span, value }
    }

    fn merge(&mut self, over: Node) {
        match (&mut self.value, over.value) {
            (Value::Table(under), Value::Table(table)) if !table.whole => {
                under.merge(table);
                // A table is where it was first written by somebody.
                if self.key.is_built_in() {
                    (self.key, self.span) = (over.key, over.span);
                }
            }
            // Whatever comes first is replaced, so that merging does not depend on the order in
            // which documents are put together.
            (_, Value::Table(table)) => {
                let value = Value::Table(Table { whole: true, ..table });
                *self = Node { key: over.key, span: over.span, value };
            }
            (_, value) => *self = Node { key: over.key, span: over.span, value },
        }
    }
}

impl Value {
    /// Returns the table that was written, be it one of paths or not.
    pub(super) fn table(&self) -> Option<&Table> {
        match self {
            Value::Table(table) | Value::Paths(table) => Some(table),
            _ => None,
        }
    }
}
