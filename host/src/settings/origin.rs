//! Where each effective value comes from.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::layers::{Layer, Layers};
use super::sections::{PROJECT_SITE, SYNC};
use super::source::{Source, Span, is_secret};
use super::tree::{Node, Table, Value};

/// Where a value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// Its layer.
    pub layer: Layer,
    /// What problems call the document: a file's name, as it was given, or what stands for one.
    /// Empty for what is built in.
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
    /// By site: keys that hold a secret, besides those that sound like it.
    secret: BTreeMap<String, BTreeSet<String>>,
}

// Not derived: values may be passwords.
impl fmt::Debug for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origins").finish_non_exhaustive()
    }
}

impl Origins {
    pub(super) fn new(layers: Layers, sources: Arc<[Source]>) -> Self {
        Origins { layers: Arc::new(layers), sources, secret: BTreeMap::new() }
    }

    /// Does not show the values of these keys of a site.
    pub(super) fn hide(&mut self, site: &str, keys: BTreeSet<String>) {
        self.secret.insert(site.to_owned(), keys);
    }

    fn is_secret(&self, path: &[String]) -> bool {
        let declared = match path {
            [sites, site, ..] if sites == "sites" => self.secret.get(site),
            [projects, _, sites, site, ..] if projects == "projects" && sites == "sites" => {
                self.secret.get(site)
            }
            _ => None,
        };
        path.iter().any(|key| is_secret(key) || declared.is_some_and(|keys| keys.contains(key)))
    }

    /// Returns the layers.
    pub(super) fn layers(&self) -> &Layers {
        &self.layers
    }

    /// Returns all values that hold for everything: those outside of `[projects]`.
    #[must_use]
    pub fn shared(&self) -> Vec<Effective> {
        let mut all = Vec::new();
        for (key, node) in &self.layers.merged().nodes {
            match (key.as_str(), &node.value) {
                ("projects", _) => {}
                ("sites", Value::Table(sites)) => {
                    for name in sites.nodes.keys() {
                        let site = self.site(name);
                        self.flatten_all(&mut vec![key.clone(), name.clone()], &site, &mut all);
                    }
                }
                _ => self.flatten(&mut vec![key.clone()], node, &mut all),
            }
        }
        all
    }

    /// Returns all values that hold for a project, with what it sees of these sites and of those
    /// that it says something of. Empty for an unknown one.
    #[must_use]
    pub fn project(&self, name: &str, sites: &[&str]) -> Vec<Effective> {
        let mut all = Vec::new();
        let Some(node) = self.layers.project(name, &SYNC) else { return all };
        let Some(project) = node.value.table() else { return all };
        let mut path = ["projects", name].map(str::to_owned).to_vec();
        for (key, node) in project.nodes.iter().filter(|(key, _)| *key != "sites") {
            path.push(key.clone());
            self.flatten(&mut path, node, &mut all);
            path.pop();
        }
        let own = project.table("sites");
        let mut sites: BTreeSet<&str> = sites.iter().copied().collect();
        sites.extend(own.iter().flat_map(|own| own.nodes.keys()).map(String::as_str));
        path.push("sites".into());
        for site in sites {
            path.push(site.to_owned());
            let seen = self.seen(&self.site(site), own.and_then(|own| own.table(site)));
            self.flatten_all(&mut path, &seen, &mut all);
            path.pop();
        }
        all
    }

    /// Returns a site as all layers make it.
    fn site(&self, name: &str) -> Table {
        let mut site = self.layers.site();
        let sites = self.layers.merged().table("sites");
        site.merge(sites.and_then(|sites| sites.table(name)).cloned().unwrap_or_default());
        site
    }

    /// Returns a site as a project sees it: its switch, its roots, and what the project has of its
    /// own.
    fn seen(&self, shared: &Table, own: Option<&Table>) -> Table {
        let mut seen = Table::default();
        for (key, node) in own.iter().flat_map(|own| &own.nodes) {
            if !PROJECT_SITE.contains(&key.as_str()) {
                seen.nodes.insert(key.clone(), node.clone());
            }
        }
        for table in [Some(shared), own].into_iter().flatten() {
            if let Some(enabled) = table.nodes.get("enabled") {
                // Off for all is off for each.
                let off = |node: &Node| node.value == Value::Boolean(false);
                if off(enabled) || !seen.nodes.get("enabled").is_some_and(off) {
                    seen.nodes.insert("enabled".into(), enabled.clone());
                }
            }
            if let Some(root) = table.nodes.get("root") {
                let mut root = root.clone();
                if let (Value::Table(roots), Some(under)) = (&mut root.value, seen.table("root")) {
                    let layer = |node: &Node| self.layer(node.span);
                    for (name, node) in &under.nodes {
                        if roots.nodes.get(name).is_none_or(|own| layer(own) < layer(node)) {
                            roots.nodes.insert(name.clone(), node.clone());
                        }
                    }
                }
                seen.nodes.insert("root".into(), root);
            }
        }
        seen
    }

    fn layer(&self, span: Span) -> Layer {
        self.sources[span.document as usize].layer()
    }

    /// Adds all that stand in a table.
    fn flatten_all(&self, path: &mut Vec<String>, table: &Table, into: &mut Vec<Effective>) {
        for (key, node) in &table.nodes {
            path.push(key.clone());
            self.flatten(path, node, into);
            path.pop();
        }
    }

    /// Adds a node, or all that stand in it.
    fn flatten(&self, path: &mut Vec<String>, node: &Node, into: &mut Vec<Effective>) {
        if let Value::Table(table) = &node.value {
            return self.flatten_all(path, table, into);
        }
        let secret = self.is_secret(path);
        let source = &self.sources[node.span.document as usize];
        let place = source.place(node.span);
        let built_in = node.span.is_built_in();
        into.push(Effective {
            key: path.clone(),
            value: if secret { hidden() } else { shown(&node.value) },
            origin: Origin {
                layer: source.layer(),
                file: if built_in { String::new() } else { source.name().to_owned() },
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
