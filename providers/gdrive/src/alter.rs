//! Copies, renames and deletes.

use std::sync::{Arc, PoisonError};

use serde_json::json;
use sitesync_provider::{
    Copied, Copy, DeleteOptions, Error, ErrorKind, Expect, Kind, Metadata, Op, ReadOptions,
    ReadStream, Result, WriteOptions, WriteStream,
};
use tokio::task::JoinSet;

use crate::api::Facts;
use crate::errors::{is_gone, refuse};
use crate::model::File;
use crate::read::Reader;
use crate::resolve::{TRIES, is_root, nothing, sound, split};
use crate::root::Root;
use crate::write::{Plan, Writer};
use crate::{Account, named, query, to_its_end};

/// Copies of a batch that are under way at once: each is a request or two.
const AT_ONCE: usize = 4;
/// A piece of a copy that goes through here.
const PIECE: usize = 1 << 20;

/// One file to copy.
struct Item {
    from: (Arc<Root>, String),
    version: Option<String>,
    to: (Arc<Root>, String),
    expect: Expect,
}

pub(crate) async fn copy_all(
    account: &Arc<Account>,
    batch: &[Copy<'_>],
    op: &Op,
) -> Vec<Result<Copied>> {
    let mut answers: Vec<Option<Result<Copied>>> = batch.iter().map(|_| None).collect();
    let mut copies: JoinSet<(usize, Result<Copied>)> = JoinSet::new();
    for (n, copy) in batch.iter().enumerate() {
        if copies.len() >= AT_ONCE {
            collect(copies.join_next().await, &mut answers);
        }
        if let Err(stopped) = op.check() {
            answers[n] = Some(Err(stopped));
            continue;
        }
        match item(account, copy).await {
            Ok(item) => {
                let (account, op) = (account.clone(), op.clone());
                copies.spawn(async move {
                    (n, to_its_end(async move { account.copy_file(item, &op).await }).await)
                });
            }
            Err(error) => answers[n] = Some(Err(error)),
        }
    }
    while let Some(answer) = copies.join_next().await {
        collect(Some(answer), &mut answers);
    }
    let lost = || Err(Error::new(ErrorKind::Unexpected, "the copy ended without an answer"));
    answers.into_iter().map(|answer| answer.unwrap_or_else(lost)).collect()
}

type Ended = std::result::Result<(usize, Result<Copied>), tokio::task::JoinError>;

fn collect(ended: Option<Ended>, answers: &mut [Option<Result<Copied>>]) {
    if let Some(Ok((n, answer))) = ended {
        answers[n] = Some(answer);
    }
}

async fn item(account: &Account, copy: &Copy<'_>) -> Result<Item> {
    sound("copy", &copy.from)?;
    sound("copy to", &copy.to)?;
    Ok(Item {
        from: (account.root(copy.from.root).await?, copy.from.path.to_owned()),
        version: copy.from.known.and_then(|known| known.version.clone()),
        to: (account.root(copy.to.root).await?, copy.to.path.to_owned()),
        expect: copy.expect.clone(),
    })
}

impl Account {
    async fn copy_file(self: Arc<Self>, item: Item, op: &Op) -> Result<Copied> {
        let (from_root, from) = &item.from;
        let source = match &item.version {
            Some(version) => self.expected(from_root, "copy", from, version).await?,
            None => {
                let found = self.find(from_root, from).await.map_err(named("copy", from))?;
                found.ok_or_else(|| nothing("copy", from))?
            }
        };
        if source.kind() != Kind::File {
            return Err(refuse(ErrorKind::InvalidPath, "copy", from, "it is not a file"));
        }
        let (to_root, to) = &item.to;
        split(to).ok_or_else(|| is_root("copy to", to))?;
        op.check()?;
        let destination = match item.expect.clone() {
            Expect::Nothing => {
                let plan = Plan {
                    account: self.clone(),
                    root: to_root.clone(),
                    path: to.clone(),
                    size: source.size(),
                    modified_time: source.metadata().mtime_ns.and_then(crate::model::rfc3339),
                    version: None,
                    op: op.clone(),
                };
                let copied = plan.copy_of(&source).await.map_err(named("copy to", to))?;
                copied.metadata()
            }
            expect => self.copy_over(&item, &source, expect, op).await?,
        };
        op.progress(source.size());
        Ok(Copied::new(source.metadata(), destination))
    }

    /// Replaces the content of a file by that of another. Drive has no such copy: the bytes pass
    /// through here, and the file keeps its id and its versions.
    async fn copy_over(
        self: &Arc<Self>,
        item: &Item,
        source: &File,
        expect: Expect,
        op: &Op,
    ) -> Result<Metadata> {
        let ((from_root, from), (to_root, to)) = (&item.from, &item.to);
        let how = ReadOptions::new().if_version(source.version());
        let mut reader = Reader::open(self.clone(), from_root, from, how).await?;
        let how = WriteOptions::new(source.size(), expect)
            .mtime_ns(source.metadata().mtime_ns)
            .op(op.clone());
        let mut writer = Writer::open(self.clone(), to_root.clone(), to, how).await?;
        loop {
            let bytes = reader.read(PIECE).await?;
            if bytes.is_empty() {
                return writer.finish().await;
            }
            writer.write(bytes).await?;
        }
    }

    /// Deletes for good; where only managers of the shared drive may, into its trash.
    pub(crate) async fn erase(&self, file: &File) -> Result<()> {
        let known = || self.trash_only.lock().unwrap_or_else(PoisonError::into_inner);
        let drive = file.drive_id.as_ref();
        if drive.is_none_or(|drive| !known().contains(drive)) {
            match (self.client.delete(&file.id).await, drive) {
                (Err(error), Some(drive)) if error.kind() == ErrorKind::PermissionDenied => {
                    known().insert(drive.clone());
                }
                (deleted, _) => return deleted,
            }
        }
        self.client.set_trashed(&file.id, true).await.map(drop)
    }

    pub(crate) async fn delete_file(
        self: Arc<Self>,
        root: &Root,
        path: &str,
        how: DeleteOptions,
    ) -> Result<()> {
        split(path).ok_or_else(|| is_root("delete", path))?;
        let found = match &how.if_version {
            Some(version) => self.expected(root, "delete", path, version).await?,
            None => {
                let found = self.find(root, path).await.map_err(named("delete", path))?;
                found.ok_or_else(|| nothing("delete", path))?
            }
        };
        if found.is_folder() {
            return Err(refuse(ErrorKind::InvalidPath, "delete", path, "it is a folder"));
        }
        let _turn = self.tree.turn(&found.id, "").await;
        if let Some(version) = &how.if_version {
            // Somebody may have been quicker, while it was not our turn.
            self.expected(root, "delete", path, version).await?;
        }
        let deleted = match how.to_trash {
            true => self.client.set_trashed(&found.id, true).await.map(drop),
            false => self.erase(&found).await,
        };
        match deleted {
            Ok(()) => {
                self.tree.removed(&found.id);
                Ok(())
            }
            Err(error) if is_gone(&error) => {
                self.tree.removed(&found.id);
                Err(nothing("delete", path))
            }
            Err(error) => Err(named("delete", path)(error)),
        }
    }

    /// Removes an empty folder. Drive's own delete takes all that is in it: so the folder goes to
    /// the trash, and comes back if something has come into it meanwhile.
    pub(crate) async fn remove_folder(self: Arc<Self>, root: &Root, path: &str) -> Result<()> {
        let what = "remove";
        split(path).ok_or_else(|| is_root(what, path))?;
        let found = self.find(root, path).await.map_err(named(what, path))?;
        let folder = found.ok_or_else(|| nothing(what, path))?;
        if !folder.is_folder() {
            return Err(refuse(ErrorKind::InvalidPath, what, path, "it is not a folder"));
        }
        let full = || refuse(ErrorKind::Precondition, what, path, "the folder is not empty");
        let within = query::within([folder.id.as_str()]);
        let is_full = async || {
            let page = self.client.list(&within, root.drive.as_deref(), None).await?;
            Ok(!page.files.is_empty())
        };
        if is_full().await.map_err(named(what, path))? {
            return Err(full());
        }
        match self.client.set_trashed(&folder.id, true).await {
            Ok(_) => self.tree.removed(&folder.id),
            Err(error) if is_gone(&error) => {
                self.tree.removed(&folder.id);
                return Err(nothing(what, path));
            }
            Err(error) => return Err(named(what, path)(error)),
        }
        let query = query::ever_within(&folder.id);
        let all = self.client.list_all(&query, root.drive.as_deref()).await;
        let all = all.map_err(named(what, path))?;
        if all.iter().all(|file| file.explicitly_trashed) {
            return Ok(());
        }
        let back = self.client.set_trashed(&folder.id, false).await;
        back.map_err(named(what, path))?;
        Err(full())
    }

    pub(crate) async fn rename_file(
        self: Arc<Self>,
        old_root: &Root,
        old: &str,
        new_root: &Arc<Root>,
        new: &str,
    ) -> Result<Metadata> {
        let what = "rename";
        split(old).ok_or_else(|| is_root(what, old))?;
        split(new).ok_or_else(|| is_root("rename to", new))?;
        let found = self.find(old_root, old).await.map_err(named(what, old))?;
        let file = found.ok_or_else(|| nothing(what, old))?;
        if file.kind() != Kind::File {
            return Err(refuse(ErrorKind::InvalidPath, what, old, "it is not a file"));
        }
        let plan = Plan {
            account: self.clone(),
            root: new_root.clone(),
            path: new.to_owned(),
            size: file.size(),
            modified_time: None,
            version: None,
            op: Op::unbound(),
        };
        let place = plan.place().await.map_err(named("rename to", new))?;
        plan.free(&place, None).await.map_err(named("rename to", new))?;
        // Without its time Drive would take this moment's.
        let mut facts = json!({ "name": plan.name() });
        if let Some(time) = file.metadata().mtime_ns.and_then(crate::model::rfc3339) {
            facts["modifiedTime"] = time.into();
        }
        let from = file.parents.first().filter(|from| **from != place.folder);
        let moved = from.map(|from| (from.as_str(), place.folder.as_str()));
        let renamed = self.client.update(&file.id, &facts, moved).await;
        let renamed = renamed.map_err(named(what, old))?;
        self.tree.put(&place.folder, &renamed);
        Ok(renamed.metadata())
    }
}

impl Plan {
    /// Makes a copy of a file, in Drive, where nothing is.
    async fn copy_of(&self, source: &File) -> Result<File> {
        let client = &self.account.client;
        let md5 = source.md5().unwrap_or_default();
        let mut tries = 0;
        loop {
            tries += 1;
            let place = self.place().await?;
            if let Some(file) = self.free(&place, Some(&md5)).await? {
                return Ok(file);
            }
            let id = self.new_id(&place).await?;
            self.op.check()?;
            let facts = Facts {
                id: Some(&id),
                parent: Some(&place.folder),
                name: Some(self.name()),
                ..self.facts()
            };
            place.begins(self, &id);
            let answer = client.copy(&source.id, &facts).await;
            let answer = match self.created(&place, &id, answer, &md5).await {
                // What was copied is what is there now, not what was looked at.
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    let why = "its source changed while it was copied";
                    return Err(refuse(ErrorKind::Precondition, "copy to", &self.path, why));
                }
                answer => answer,
            };
            match answer {
                Err(error) if is_gone(&error) && tries < TRIES => self.lost_its_folder(),
                // Either end may be what is gone.
                Err(error) if is_gone(&error) => return Err(error),
                answer => return answer,
            }
        }
    }
}
