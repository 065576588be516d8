//! Documents in layers, and what they come to when they lie over each other.

use super::source::Span;
use super::tree::{Node, Table, Value};

/// Where a value comes from. The later of two wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Layer {
    /// What nobody wrote.
    BuiltIn,
    /// Projects that are there because there is a folder of that name.
    Folders,
    /// `sitesync.toml`.
    System,
    /// `local.toml`: of this machine only.
    Local,
    /// Variables of the environment.
    Environment,
    /// `--set` on the command line.
    Flags,
}

impl Layer {
    /// Returns its name in one word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Layer::BuiltIn => "built-in",
            Layer::Folders => "folders",
            Layer::System => "system",
            Layer::Local => "local",
            Layer::Environment => "environment",
            Layer::Flags => "flags",
        }
    }
}

/// What holds where nobody says anything else. The values are those of the `Default`s in `model`.
pub(super) const BUILT_IN: &str = r#"enabled = true
[host]
listen = "127.0.0.1:7788"
serves = ["*"]
[plugins]
folders = []
trust = "owner"
[sync]
enabled = true
projects = "listed"
active_site = "studio"
remote_site = "studio"
upload = "all"
download = "requested"
loop_delay = "60s"
rescan = "10m"
settle = "10s"
retry_count = 3
verify = "auto"
priority = 50
exclude = []
always_accessible_on = []
representations = [
  "{folder}/publish/{type}/{product}/{version}/{file}",
  "{folder}/publish/{type}/{version}/{file}",
  "{folder}/publish/{type}/{product}_v{version}.{ext}",
  "{folder}/work/{task}/{product}_v{version}.{ext}",
  "{folder}/work/{task}/{product}_v{version}_{output}.{ext}",
]
conflicts = "ask"
deletes = "keep"
max_delete = 100
max_delete_percent = 10
max_change = 100
max_change_percent = 10
keep_replaced = "7d"
watch = true
[sites.studio]
provider = "local_drive"
enabled = true
mounted = false
alternative_sites = []
[sites.local]
provider = "local_drive"
enabled = true
mounted = false
alternative_sites = []
"#;

/// A document, parsed.
#[derive(Clone)]
pub(super) struct Document {
    pub(super) layer: Layer,
    pub(super) table: Table,
}

/// The documents of all layers, and what they come to.
#[derive(Clone)]
pub(super) struct Layers {
    /// In the order of their layers; one a layer.
    each: Vec<Document>,
    /// All of them, `[projects]` without what their `[sync]` says.
    merged: Table,
}

impl Layers {
    /// Puts documents together. Of one layer, a later document lies over an earlier one.
    pub(super) fn new(documents: impl IntoIterator<Item = Document>) -> Self {
        let mut documents: Vec<Document> = documents.into_iter().collect();
        documents.sort_by_key(|document| document.layer);
        let mut each: Vec<Document> = Vec::new();
        let mut merged = Table::default();
        for document in documents {
            merged.merge(document.table.clone());
            match each.last_mut().filter(|last| last.layer == document.layer) {
                Some(last) => last.table.merge(document.table),
                None => each.push(document),
            }
        }
        Layers { each, merged }
    }

    /// Returns the documents, one a layer, in the order of their layers.
    pub(super) fn each(&self) -> &[Document] {
        &self.each
    }

    /// Returns all layers merged. What holds for a project is [`Layers::project`].
    pub(super) fn merged(&self) -> &Table {
        &self.merged
    }

    /// Returns the names of all projects.
    pub(super) fn projects(&self) -> impl Iterator<Item = &str> {
        let projects = self.merged.table("projects");
        projects.into_iter().flat_map(|table| table.nodes.keys().map(String::as_str))
    }

    /// Returns what every site has of which nobody says anything.
    pub(super) fn site(&self) -> Table {
        let built_in = self.each.first().and_then(|layer| layer.table.table("sites"));
        let mut site = built_in.and_then(|sites| sites.table("local")).cloned().unwrap_or_default();
        site.nodes.remove("provider");
        site
    }

    /// Returns what holds for a project: of each layer `[sync]`, then its `[projects.NAME]`, layer
    /// by layer. So a machine's own `[sync]` outdoes what the studio says of one project.
    pub(super) fn project(&self, name: &str, shared: &[&str]) -> Option<Node> {
        let listed = self.merged.table("projects")?.nodes.get(name)?;
        let mut merged = Table::default();
        for layer in &self.each {
            if let Some(sync) = layer.table.table("sync") {
                let nodes = shared
                    .iter()
                    .filter_map(|key| Some(((*key).to_owned(), sync.nodes.get(*key)?.clone())));
                merged.merge(Table::from_nodes(nodes));
            }
            let own = layer.table.table("projects").and_then(|projects| projects.table(name));
            if let Some(own) = own {
                merged.merge(own.clone());
            }
        }
        Some(Node { key: listed.key, span: listed.span, value: Value::Table(merged) })
    }
}

impl Span {
    /// Whether nobody wrote it.
    #[must_use]
    pub fn is_built_in(self) -> bool {
        self.document == 0
    }
}
