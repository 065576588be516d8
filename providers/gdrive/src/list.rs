//! Listings: always what Drive says now. Of several items of one name the oldest is listed, the
//! others are told.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use sitesync_provider::{End, Entry, Error, ErrorKind, ListStream, Page, Result, join};

use crate::errors::{is_gone, refuse};
use crate::model::File;
use crate::resolve::{Folder, nothing};
use crate::root::Root;
use crate::{Account, named, query};

/// So many folders are asked for in one query: more make it too long.
const AT_ONCE: usize = 40;
/// Entries of a page.
const PAGE: usize = 1000;

/// A listing of a folder, or of all beneath it.
#[derive(Debug)]
pub struct Lister {
    account: Arc<Account>,
    root: Arc<Root>,
    recursive: bool,
    /// Folders that are still to be listed: id and path.
    left: VecDeque<(String, String)>,
    ready: VecDeque<Page>,
}

impl Lister {
    pub(crate) async fn open(
        account: Arc<Account>,
        root: Arc<Root>,
        path: &str,
        recursive: bool,
    ) -> Result<Self> {
        let mut lister =
            Lister { account, root, recursive, left: VecDeque::new(), ready: VecDeque::new() };
        lister.begin(path).await.map_err(named("list", path))?;
        Ok(lister)
    }

    /// Lists the first folder: it must be there.
    async fn begin(&mut self, path: &str) -> Result<()> {
        let (account, root) = (self.account.clone(), self.root.clone());
        for last in [false, true] {
            let found = account.folder(&root, path).await?;
            if let Folder::File = found {
                return Err(refuse(ErrorKind::InvalidPath, "list", path, "it is a file"));
            }
            if let Folder::Id(id) = found {
                match self.list(vec![(id, path.to_owned())]).await {
                    // An empty folder may be one that went to the trash.
                    Ok(0) if last || !account.is_stale(&root, path).await? => return Ok(()),
                    Ok(0) => {}
                    Ok(_) => return Ok(()),
                    Err(error) if is_gone(&error) && path.is_empty() => return Err(root.gone()),
                    Err(error) if is_gone(&error) => {}
                    Err(error) => return Err(error),
                }
                self.ready.clear();
            } else if last || !account.is_stale(&root, path).await? {
                break;
            }
            account.tree.forget(&root.id, path);
        }
        Err(nothing("list", path))
    }

    /// Lists these folders; returns how many items they hold.
    async fn list(&mut self, folders: Vec<(String, String)>) -> Result<usize> {
        let tree = &self.account.tree;
        let since: Vec<_> = folders.iter().map(|(id, _)| tree.listing(id)).collect();
        let query = query::within(folders.iter().map(|(id, _)| id.as_str()));
        let files = self.account.client.list_all(&query, self.root.drive.as_deref()).await?;
        let count = files.len();
        let mut within: HashMap<&str, Vec<&File>> = HashMap::new();
        for file in files.iter().filter(|file| !file.trashed) {
            for parent in &file.parents {
                within.entry(parent).or_default().push(file);
            }
        }
        for ((id, path), since) in folders.iter().zip(since) {
            let files = within.remove(id.as_str()).unwrap_or_default();
            let (counting, others) = apart(files);
            tree.listed(id, since, &counting);
            let mut entries = Vec::with_capacity(counting.len() + others.len());
            for file in counting {
                entries.push(entry(file));
                if self.recursive && file.is_folder() && file.skipped().is_none() {
                    self.left.push_back((file.id.clone(), join(path, &file.name)));
                }
            }
            entries.extend(others.into_iter().map(second));
            self.ready.extend(pages(path, entries));
        }
        Ok(count)
    }

    /// Lists folders by themselves, where they could not be listed together: one of them is gone.
    async fn list_each(&mut self, folders: Vec<(String, String)>) -> Result<()> {
        for (id, path) in folders {
            match self.list(vec![(id, path.clone())]).await {
                Ok(_) => {}
                Err(error) if is_gone(&error) => {
                    let error = error.context(format!("list {path:?}"));
                    self.ready.push_back(Page::new(path, Vec::new(), End::Failed(error)));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl ListStream for Lister {
    async fn next(&mut self) -> Result<Option<Vec<Page>>> {
        if self.ready.is_empty() && !self.left.is_empty() {
            let count = self.left.len().min(AT_ONCE);
            let folders: Vec<_> = self.left.drain(..count).collect();
            let listed = match self.list(folders.clone()).await {
                Err(error) if is_gone(&error) => self.list_each(folders).await,
                listed => listed.map(drop),
            };
            listed.map_err(|error: Error| error.context("list"))?;
        }
        let mut pages = Vec::new();
        let mut entries = 0;
        while let Some(page) = self.ready.front() {
            entries += page.entries.len();
            if entries > PAGE && !pages.is_empty() {
                break;
            }
            pages.extend(self.ready.pop_front());
        }
        Ok((!pages.is_empty()).then_some(pages))
    }
}

/// Those that count, the oldest of each name; and the others.
fn apart(mut files: Vec<&File>) -> (Vec<&File>, Vec<&File>) {
    files.sort_by(|one, other| one.name.cmp(&other.name).then(one.age().cmp(&other.age())));
    let (mut counting, mut others): (Vec<&File>, Vec<&File>) = (Vec::new(), Vec::new());
    for file in files {
        match counting.last() {
            Some(last) if last.id == file.id => {}
            Some(last) if last.name == file.name => others.push(file),
            _ => counting.push(file),
        }
    }
    (counting, others)
}

fn entry(file: &File) -> Entry {
    match file.skipped() {
        Some(reason) => Entry::skipped(&file.name, reason),
        None => Entry::new(&file.name, file.metadata()),
    }
}

/// What stands in the shadow of an older one.
fn second(file: &File) -> Entry {
    let kind = if file.is_folder() { "folder" } else { "file" };
    let reason = format!(
        "a second {kind} of this name in Drive ({}, since {}): the oldest counts; rename or remove \
         it there",
        file.id, file.created_time
    );
    Entry::skipped(&file.name, reason)
}

/// A folder's entries in pages; one page for an empty folder.
fn pages(path: &str, mut entries: Vec<Entry>) -> Vec<Page> {
    let mut pages = Vec::with_capacity(entries.len() / PAGE + 1);
    while entries.len() > PAGE {
        let rest = entries.split_off(PAGE);
        pages.push(Page::new(path, std::mem::replace(&mut entries, rest), End::More));
    }
    pages.push(Page::new(path, entries, End::Complete));
    pages
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(id: &str, name: &str, created: &str) -> File {
        File {
            id: id.to_owned(),
            name: name.to_owned(),
            created_time: created.to_owned(),
            ..File::default()
        }
    }

    #[test]
    fn the_oldest_counts_and_then_the_least_id() {
        let files = [
            file("3", "a", "2026-02-01T00:00:00.000Z"),
            file("2", "a", "2026-01-01T00:00:00.000Z"),
            file("1", "a", "2026-01-01T00:00:00.000Z"),
            file("4", "b", "2026-03-01T00:00:00.000Z"),
        ];
        for turned in [false, true] {
            let mut files: Vec<&File> = files.iter().collect();
            if turned {
                files.reverse();
            }
            let ids = |files: Vec<&File>| -> Vec<String> {
                files.into_iter().map(|file| file.id.clone()).collect()
            };
            let (counting, others) = apart(files);
            assert_eq!(
                (ids(counting), ids(others)),
                (vec!["1".to_owned(), "4".to_owned()], vec!["2".to_owned(), "3".to_owned()],)
            );
        }
    }

    #[test]
    fn long_folders_end_once() {
        for (count, expected) in [(0, 1), (1, 1), (PAGE, 1), (PAGE + 1, 2), (3 * PAGE, 3)] {
            let entries = (0..count).map(|n| Entry::skipped(n.to_string(), "")).collect();
            let pages = pages("a", entries);
            assert_eq!(pages.len(), expected);
            let ends = pages.iter().filter(|page| matches!(page.end, End::Complete)).count();
            assert_eq!(ends, 1);
            assert_eq!(pages.iter().map(|page| page.entries.len()).sum::<usize>(), count);
        }
    }
}
