//! Where each effective value comes from.

use std::fmt;
use std::sync::Arc;

use super::layers::{Layer, Layers};
use super::sections::SYNC;
use super::source::{Source, Span, is_secret};
use super::tree::{Node, Table, Value};

/// Where a value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// Its layer.
    pub layer: Layer,
    /// What problems call the document: a file's name, as it was given, or what stands for one.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
}

/// A value that holds, as it was written.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Effective {
    /// From the top of the settings: `["sync", "retry_count"]`.
    pub key: Vec<String>,
    /// The value. A secret is `***`.
    pub value: toml::Value,
    /// Where it comes from.
    pub origin: Origin,
}

/// The values that hold, each with where it comes from.
#[derive(Clone)]
pub struct Origins {
    layers: Arc<Layers>,
    sources: Arc<[Source]>,
}

// Not derived: values may be passwords.
impl fmt::Debug for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origins").finish_non_exhaustive()
    }
}

impl Origins {
    pub(super) fn new(layers: Layers, sources: Arc<[Source]>) -> Self {
        Origins { layers: Arc::new(layers), sources }
    }

    /// Returns all values that hold for everything: those outside of `[projects]`.
    #[must_use]
    pub fn shared(&self) -> Vec<Effective> {
        let mut all = Vec::new();
        for (key, node) in &self.layers.merged().nodes {
            if key != "projects" {
                self.flatten(&mut vec![key.clone()], node, &mut all);
            }
        }
        all
    }

    /// Returns all values that hold for a project, with what these sites are for it. Empty for an
    /// unknown one.
    #[must_use]
    pub fn project(&self, name: &str, sites: &[&str]) -> Vec<Effective> {
        let mut all = Vec::new();
        let Some(project) = self.layers.project(name, &SYNC) else { return all };
        let none = Table::default();
        let project = project.value.table().unwrap_or(&none);
        for (key, node) in project.nodes.iter().filter(|(key, _)| *key != "sites") {
            self.flatten(&mut ["projects", name, key].map(str::to_owned).into(), node, &mut all);
        }
        let shared = self.layers.merged().table("sites").unwrap_or(&none);
        for site in sites {
            let own = project.table("sites").and_then(|sites| sites.table(site));
            let shared = shared.table(site);
            let mut found = Table::default();
            for (key, node) in [shared, own].into_iter().flatten().flat_map(|table| &table.nodes) {
                match (key.as_str(), &node.value) {
                    ("enabled", value) => {
                        // Off for all is off for each.
                        let off = found
                            .nodes
                            .get(key)
                            .is_some_and(|under| matches!(under.value, Value::Boolean(false)));
                        if !off || matches!(value, Value::Boolean(false)) {
                            found.nodes.insert(key.clone(), node.clone());
                        }
                    }
                    ("root", Value::Table(roots) | Value::Paths(roots)) => {
                        for (root, node) in &roots.nodes {
                            let key = format!("root.{root}");
                            let over = found.nodes.get(&key).is_none_or(|under| {
                                self.layer(node.span) >= self.layer(under.span)
                            });
                            if over {
                                found.nodes.insert(key, node.clone());
                            }
                        }
                    }
                    _ => {}
                }
            }
            for (key, node) in &found.nodes {
                let mut path = ["projects", name, "sites", site].map(str::to_owned).to_vec();
                match key.split_once('.') {
                    Some((key, root)) => path.extend([key.to_owned(), root.to_owned()]),
                    None => path.push(key.clone()),
                }
                self.flatten(&mut path, node, &mut all);
            }
        }
        all
    }

    fn layer(&self, span: Span) -> Layer {
        self.sources[span.document as usize].layer()
    }

    /// Adds a node, or all that stand in it.
    fn flatten(&self, path: &mut Vec<String>, node: &Node, into: &mut Vec<Effective>) {
        if let Value::Table(table) = &node.value {
            for (key, node) in &table.nodes {
                path.push(key.clone());
                self.flatten(path, node, into);
                path.pop();
            }
            return;
        }
        let secret = path.iter().any(|key| is_secret(key));
        let source = &self.sources[node.span.document as usize];
        let place = source.place(node.span);
        into.push(Effective {
            key: path.clone(),
            value: if secret { hidden() } else { shown(&node.value) },
            origin: Origin {
                layer: source.layer(),
                file: source.name().to_owned(),
                line: place.line,
                column: place.column,
            },
        });
    }
}

fn hidden() -> toml::Value {
    toml::Value::String("***".into())
}

/// Returns a value as it was written, without what is secret in it.
fn shown(value: &Value) -> toml::Value {
    match value {
        Value::String(text) => toml::Value::String(text.clone()),
        Value::Integer(integer) => i64::from_str_radix(&integer.digits, integer.radix)
            .map_or_else(|_| toml::Value::String(integer.text.clone()), toml::Value::Integer),
        Value::Float(text) => {
            text.parse().map_or_else(|_| toml::Value::String(text.clone()), toml::Value::Float)
        }
        Value::Boolean(value) => toml::Value::Boolean(*value),
        Value::Datetime(text) => {
            text.parse().map_or_else(|_| toml::Value::String(text.clone()), toml::Value::Datetime)
        }
        Value::Array(items) => {
            toml::Value::Array(items.iter().map(|item| shown(&item.value)).collect())
        }
        Value::Paths(table) | Value::Table(table) => {
            let entries = table.nodes.iter().map(|(key, node)| {
                let value = if is_secret(key) { hidden() } else { shown(&node.value) };
                (key.clone(), value)
            });
            toml::Value::Table(entries.collect())
        }
    }
}
