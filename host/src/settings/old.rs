//! Names that settings had in OpenPype: taken for what they are called here, with a note.

use super::read::Report;
use super::tree::{Table, Value};

/// Replaces old names in a document.
pub(super) fn replace(document: &mut Table, report: &mut Report<'_>) {
    if let Some(sync) = document.table_mut("sync") {
        retries(sync, report);
    }
    if let Some(sites) = document.table_mut("sites") {
        roots(sites, report);
    }
    for project in document.table_mut("projects").into_iter().flat_map(Table::tables_mut) {
        retries(project, report);
        if let Some(sites) = project.table_mut("sites") {
            roots(sites, report);
        }
    }
}

/// `retry_cnt`.
fn retries(table: &mut Table, report: &mut Report<'_>) {
    let Some(node) = table.nodes.remove("retry_cnt") else { return };
    if table.nodes.contains_key("retry_count") {
        report.error(
            node.key,
            "`retry_cnt` is the old name of `retry_count`, which stands here too",
            "remove one of them",
        );
        return;
    }
    report.note(
        node.key,
        "`retry_cnt` is called `retry_count` here",
        "it is taken for that; write `retry_count`",
    );
    table.nodes.insert("retry_count".into(), node);
}

/// `root = "PATH"`: a site had one root, without a name.
fn roots(sites: &mut Table, report: &mut Report<'_>) {
    for site in sites.tables_mut() {
        let Some(root) = site.nodes.get_mut("root") else { continue };
        if !matches!(&root.value, Value::String(path) if !path.is_empty()) {
            continue;
        }
        report.note(
            root.key,
            "a root has a name: this one is taken for `work`",
            "write `root.work = \"...\"`",
        );
        let work = root.clone();
        root.value = Value::Table(Table::from_nodes([("work".to_owned(), work)]));
    }
}
