//! Accounts, shared drives, and who may do what.

use std::collections::{BTreeMap, BTreeSet};

use super::{FOLDER, Item, State};
use crate::ids;
use crate::refusal::Refusal;

/// What someone may do with a file or a shared drive; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// See and download.
    Reader,
    /// See, download and comment.
    Commenter,
    /// Change content, and add to folders.
    Writer,
    /// In shared drives: move, and put into the trash ("content manager").
    FileOrganizer,
    /// In shared drives: delete for good ("manager").
    Organizer,
    /// Everything.
    Owner,
}

/// Someone.
#[derive(Debug)]
pub(crate) struct Account {
    /// The topmost folder of what it owns.
    pub(crate) root: String,
    pub(crate) permission_id: String,
    /// Bytes that it may keep; `None` for any number.
    pub(crate) limit: Option<u64>,
    /// The id of a service account's key; people have none.
    pub(crate) key: Option<String>,
    pub(crate) revoked: bool,
    /// Service accounts that may act as this person.
    pub(crate) delegates: BTreeSet<String>,
}

/// A shared drive.
#[derive(Debug)]
pub(crate) struct SharedDrive {
    pub(crate) name: String,
    pub(crate) created: i64,
    pub(crate) members: BTreeMap<String, Role>,
    pub(crate) limit: Option<u64>,
}

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    /// Looking.
    Read,
    /// Everything, with what was made with a token of this scope.
    File,
    /// Everything.
    Full,
}

/// An access token.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) email: String,
    pub(crate) scope: Scope,
    pub(crate) expires: i64,
}

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) email: String,
    pub(crate) scope: Scope,
}

impl State {
    /// Makes an account, unless there is one of this address; returns the id of its root.
    pub(crate) fn account(&mut self, email: &str, service: bool) -> String {
        if let Some(account) = self.accounts.get(email) {
            return account.root.clone();
        }
        let (root, now) = (ids::drive(), self.clock.tick());
        let mut folder = Item::new(root.clone(), "My Drive", FOLDER, now);
        folder.owner = Some(email.to_owned());
        self.insert(folder);
        let random = ids::random(20);
        let account = Account {
            root: root.clone(),
            permission_id: random.bytes().map(|byte| char::from(b'0' + byte % 10)).collect(),
            limit: (!service).then_some(15 << 30),
            key: service.then(|| ids::random(40)),
            revoked: false,
            delegates: BTreeSet::new(),
        };
        self.accounts.insert(email.to_owned(), account);
        root
    }

    /// Makes a shared drive; returns its id.
    pub(crate) fn shared_drive(&mut self, name: &str) -> String {
        let (id, now) = (ids::drive(), self.clock.tick());
        let mut folder = Item::new(id.clone(), "Drive", FOLDER, now);
        folder.drive = Some(id.clone());
        self.insert(folder);
        let members = BTreeMap::new();
        let drive = SharedDrive { name: name.to_owned(), created: now, members, limit: None };
        self.drives.insert(id.clone(), drive);
        id
    }

    /// What someone may do with an item: what they have been given for it or for a folder above
    /// it; `None` if they can't even see it.
    pub(crate) fn role(&self, email: &str, id: &str) -> Option<Role> {
        let mut role = None;
        for item in self.lineage(id) {
            if item.owner.as_deref() == Some(email) && item.id == id {
                role = role.max(Some(Role::Owner));
            }
            role = role.max(item.shared_with.get(email).copied());
            // Who owns a folder sees what others put into it, and may change it.
            if item.owner.as_deref() == Some(email) {
                role = role.max(Some(Role::Writer));
            }
            if let Some(drive) = item.drive.as_ref().and_then(|drive| self.drives.get(drive)) {
                role = role.max(drive.members.get(email).copied());
            }
        }
        role
    }

    /// Who can see an item.
    pub(crate) fn audience(&self, id: &str) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        for item in self.lineage(id) {
            all.extend(item.owner.iter().cloned());
            all.extend(item.shared_with.keys().cloned());
            let drive = item.drive.as_ref().and_then(|drive| self.drives.get(drive));
            all.extend(drive.into_iter().flat_map(|drive| drive.members.keys().cloned()));
        }
        all
    }

    /// Bytes that someone owns: of files in nobody's shared drive.
    pub(crate) fn usage(&self, email: &str) -> (u64, u64) {
        let mut usage = (0, 0);
        for item in
            self.items.values().filter(|item| self.payer(&item.id).as_deref() == Some(email))
        {
            usage.0 += item.size();
            if self.is_trashed(&item.id) {
                usage.1 += item.size();
            }
        }
        usage
    }

    /// Whose storage an item takes: its owner's; a service account has none, so it is that of the
    /// owner of the topmost folder. A shared drive's id, for what lies there.
    fn payer(&self, id: &str) -> Option<String> {
        let item = self.items.get(id)?;
        if let Some(drive) = &item.drive {
            return Some(drive.clone());
        }
        let owner = item.owner.clone()?;
        if self.is_service(&owner) {
            return self.lineage(id).last()?.owner.clone();
        }
        Some(owner)
    }

    fn is_service(&self, email: &str) -> bool {
        self.accounts.get(email).is_some_and(|account| account.key.is_some())
    }

    /// Fails if there is no room for `size` more bytes that `email` puts into this folder, of
    /// which `freed` take the place of others.
    pub(crate) fn check_storage(
        &self,
        email: &str,
        parent: &str,
        size: u64,
        freed: u64,
    ) -> Result<(), Refusal> {
        let Some(top) = self.lineage(parent).last() else { return Ok(()) };
        if let Some((id, drive)) =
            top.drive.as_ref().and_then(|id| Some((id, self.drives.get(id)?)))
        {
            let Some(limit) = drive.limit else { return Ok(()) };
            let used: u64 = self
                .items
                .values()
                .filter(|item| item.drive.as_ref() == Some(id))
                .map(Item::size)
                .sum();
            return if used - freed + size > limit {
                let message = "The shared drive's storage quota has been exceeded.";
                Err(Refusal::new(403, "storageQuotaExceeded", message))
            } else {
                Ok(())
            };
        }
        let owner = top.owner.clone().unwrap_or_default();
        let payer = if self.is_service(email) { owner.as_str() } else { email };
        if self.is_service(payer) && !self.service_storage {
            let message = "Service Accounts do not have storage quota. Leverage shared drives \
                (https://developers.google.com/workspace/drive/api/guides/about-shareddrives), or \
                use OAuth delegation (http://support.google.com/a/answer/7281227) instead.";
            return Err(Refusal::new(403, "storageQuotaExceeded", message));
        }
        let Some(limit) = self.accounts.get(payer).and_then(|account| account.limit) else {
            return Ok(());
        };
        let used = self.usage(payer).0;
        if used.saturating_sub(freed) + size > limit {
            let message = "The user's Drive storage quota has been exceeded.";
            return Err(Refusal::new(403, "storageQuotaExceeded", message));
        }
        Ok(())
    }
}
