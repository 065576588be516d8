//! A listing in progress, checked page by page.

use sitesync_provider::abi::client;
use sitesync_provider::{End, Page, Result, check_path};

use super::layers::{Layers, nonsense};
use super::sound::{LONGEST_PATH, shown, wrong_entry};

/// Pages in a row that bring nothing before the listing counts as endless.
const BARREN: usize = 1000;
/// Characters of the reason why something is skipped.
const REASON: usize = 1000;

/// A listing in progress.
#[derive(Debug)]
pub struct Listing {
    raw: client::Listing,
    layers: Layers,
    within: String,
    recursive: bool,
    /// The folder of the last page, and how many names of it have come.
    folder: Option<(String, usize)>,
    folders: usize,
    barren: usize,
}

/// A part of one folder's listing, or all of it, that makes sense.
#[derive(Debug)]
pub struct Listed {
    /// The page, without the names that make none.
    pub page: Page,
    /// What was left out of it, for a person. Of what it does not name, nothing is known.
    pub wrong: Option<String>,
}

impl Listing {
    pub(super) fn new(raw: client::Listing, layers: Layers, within: &str, recursive: bool) -> Self {
        let within = within.to_owned();
        Listing { raw, layers, within, recursive, folder: None, folders: 0, barren: 0 }
    }

    /// The next pages; `None` at the end. An error if they are not of what was asked for, or if
    /// there is no end to them.
    pub async fn next(&mut self) -> Result<Option<Vec<Listed>>> {
        let Some(pages) = self.layers.piece(self.raw.next()).await? else { return Ok(None) };
        let listed: Result<Vec<Listed>> = pages.into_iter().map(|page| self.check(page)).collect();
        self.layers.heard(listed).map(Some)
    }

    fn check(&mut self, mut page: Page) -> Result<Listed> {
        let sound = check_path(&page.folder).is_ok() && page.folder.len() <= LONGEST_PATH;
        if !sound || !self.asked_for(&page.folder) {
            let folder = shown(&page.folder);
            return Err(nonsense(format_args!("it lists '{folder}', which was not asked for")));
        }
        self.count(&page)?;
        let mut wrong = None;
        let mut left_out = 0;
        page.entries.retain_mut(|entry| {
            if let Some(reason) = &mut entry.skipped {
                *reason = reason.chars().take(REASON).collect();
            }
            let Some(why) = wrong_entry(&page.folder, entry) else { return true };
            left_out += 1;
            wrong.get_or_insert(why);
            false
        });
        let wrong = wrong.map(|first| match left_out - 1 {
            0 => first,
            more => format!("{first}; {more} more make no sense either"),
        });
        Ok(Listed { page, wrong })
    }

    fn asked_for(&self, folder: &str) -> bool {
        folder == self.within
            || self.recursive
                && (self.within.is_empty()
                    || folder
                        .strip_prefix(self.within.as_str())
                        .is_some_and(|rest| rest.starts_with('/')))
    }

    /// Keeps a listing from going on for ever.
    fn count(&mut self, page: &Page) -> Result<()> {
        let limits = &self.layers.limits;
        let names = match &mut self.folder {
            Some((folder, names)) if *folder == page.folder => names,
            other => {
                self.folders += 1;
                self.barren = 0;
                &mut other.insert((page.folder.clone(), 0)).1
            }
        };
        *names += page.entries.len();
        self.barren = if page.entries.is_empty() { self.barren + 1 } else { 0 };
        let endless = if *names > limits.entries {
            format!("'{}' has more than {} names", shown(&page.folder), limits.entries)
        } else if self.folders > limits.folders {
            format!("there are more than {} folders", limits.folders)
        } else if self.barren > BARREN && matches!(page.end, End::More) {
            format!("{BARREN} pages in a row are empty")
        } else {
            return Ok(());
        };
        Err(nonsense(format_args!("the listing has no end: {endless}")))
    }
}
