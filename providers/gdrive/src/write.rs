//! Writing: small files here, whole in one request; large ones in `session`.

use std::sync::Arc;

use bytes::Bytes;
use md5::{Digest, Md5};
use sitesync_provider::{
    Error, ErrorKind, Expect, Metadata, Op, Result, WriteOptions, WriteStream,
};

use crate::api::Facts;
use crate::errors::{is_gone, is_unknown, refuse};
use crate::model::{File, rfc3339};
use crate::resolve::{TRIES, is_root, split};
use crate::root::Root;
use crate::session::Upload;
use crate::tree::Child;
use crate::{Account, named, to_its_end};

/// Google's limit for uploads in one request.
const SMALL: u64 = 5 << 20;

/// A file being written.
#[derive(Debug)]
pub struct Writer(Way);

#[derive(Debug)]
enum Way {
    Small(Small),
    Large(Box<Upload>),
}

/// What is to be written, and where.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) account: Arc<Account>,
    pub(crate) root: Arc<Root>,
    pub(crate) path: String,
    pub(crate) size: u64,
    pub(crate) modified_time: Option<String>,
    /// What it replaces; without it, nothing may be there.
    pub(crate) version: Option<String>,
    pub(crate) op: Op,
}

#[derive(Debug)]
struct Small {
    plan: Plan,
    content: Vec<Bytes>,
    written: u64,
}

impl Writer {
    pub(crate) async fn open(
        account: Arc<Account>,
        root: Arc<Root>,
        path: &str,
        how: WriteOptions,
    ) -> Result<Self> {
        split(path).ok_or_else(|| is_root("write", path))?;
        how.op.check()?;
        let version = match how.expect {
            Expect::Nothing => None,
            Expect::Version(version) => Some(version),
            _ => return Err(Error::unsupported("expectation of this kind")),
        };
        let small = how.size <= root.settings.chunk_size.min(SMALL);
        let plan = Plan {
            account,
            root,
            path: path.to_owned(),
            size: how.size,
            modified_time: how.mtime_ns.and_then(rfc3339),
            version,
            op: how.op,
        };
        if small {
            return Ok(Writer(Way::Small(Small { plan, content: Vec::new(), written: 0 })));
        }
        let upload = Upload::open(plan, how.resume).await.map_err(named("write", path))?;
        Ok(Writer(Way::Large(Box::new(upload))))
    }
}

impl WriteStream for Writer {
    fn offset(&self) -> u64 {
        match &self.0 {
            Way::Small(_) => 0,
            Way::Large(upload) => upload.offset(),
        }
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        match &mut self.0 {
            Way::Small(small) => {
                small.plan.op.check()?;
                small.written += chunk.len() as u64;
                small.plan.fits(small.written)?;
                small.content.push(chunk);
                Ok(())
            }
            Way::Large(upload) => upload.write(chunk).await,
        }
    }

    async fn checkpoint(&mut self) -> Result<Option<Vec<u8>>> {
        Ok(match &self.0 {
            Way::Small(_) => None,
            Way::Large(upload) => Some(upload.token()?),
        })
    }

    async fn finish(self) -> Result<Metadata> {
        match self.0 {
            Way::Small(small) => to_its_end(small.finish()).await,
            Way::Large(upload) => to_its_end(upload.finish()).await,
        }
    }

    async fn discard(self) -> Result<()> {
        match self.0 {
            Way::Small(_) => Ok(()),
            Way::Large(upload) => upload.discard().await,
        }
    }
}

impl Small {
    async fn finish(self) -> Result<Metadata> {
        let Small { plan, content, written } = self;
        plan.is_whole(written)?;
        let mut md5 = Md5::new();
        content.iter().for_each(|part| md5.update(part));
        let md5 = md5.finalize().to_vec();
        let written = match &plan.version {
            None => create(&plan, &content, &md5).await,
            Some(version) => {
                let (turn, file) = plan.replaced(version).await?;
                plan.op.check()?;
                let facts = plan.facts();
                let answer = plan.account.client.upload(Some(&file.id), &facts, &content).await;
                drop(turn);
                answer.and_then(|file| plan.replaced_by(file, &md5))
            }
        };
        Ok(written.map_err(named("write", &plan.path))?.metadata())
    }
}

/// Makes a file where nothing is.
async fn create(plan: &Plan, content: &[Bytes], md5: &[u8]) -> Result<File> {
    let client = &plan.account.client;
    let mut tries = 0;
    loop {
        tries += 1;
        let place = plan.place().await?;
        if let Some(file) = plan.free(&place, Some(md5)).await? {
            return Ok(file);
        }
        let id = plan.new_id(&place).await?;
        plan.op.check()?;
        let facts = Facts {
            id: Some(&id),
            parent: Some(&place.folder),
            name: Some(plan.name()),
            ..plan.facts()
        };
        place.begins(plan, &id);
        let answer = client.upload(None, &facts, content).await;
        match plan.created(&place, &id, answer, md5).await {
            Err(error) if is_gone(&error) && tries < TRIES => plan.lost_its_folder(),
            Err(error) if is_gone(&error) => {
                return Err(plan.account.vanished(&plan.root, error).await);
            }
            answer => return answer,
        }
    }
}

/// Where a new file goes, while it is our turn there.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) folder: String,
    _turn: tokio::sync::OwnedMutexGuard<()>,
}

impl Place {
    pub(crate) fn begins(&self, plan: &Plan, id: &str) {
        plan.account.tree.begins(&self.folder, plan.name(), id);
    }
}

impl Plan {
    pub(crate) fn name(&self) -> &str {
        split(&self.path).map_or("", |(_, name)| name)
    }

    fn above(&self) -> &str {
        split(&self.path).map_or("", |(above, _)| above)
    }

    /// What a file is to be given with its content.
    pub(crate) fn facts(&self) -> Facts<'_> {
        Facts { modified_time: self.modified_time.as_deref(), ..Facts::default() }
    }

    /// Refuses more than was announced.
    pub(crate) fn fits(&self, written: u64) -> Result<()> {
        if written > self.size {
            let why = format!("more than the {} bytes came that were announced", self.size);
            return Err(refuse(ErrorKind::Corrupt, "write", &self.path, &why));
        }
        Ok(())
    }

    /// Refuses less than was announced.
    pub(crate) fn is_whole(&self, written: u64) -> Result<()> {
        if written != self.size {
            let why = format!("only {written} of {} bytes came", self.size);
            return Err(refuse(ErrorKind::Corrupt, "write", &self.path, &why));
        }
        Ok(())
    }

    /// The folder, which is made where it is missing.
    pub(crate) async fn make_folder(&self) -> Result<String> {
        self.account.make_folder(&self.root, self.above()).await
    }

    /// Waits for our turn to make the file.
    pub(crate) async fn place(&self) -> Result<Place> {
        let folder = self.make_folder().await?;
        let _turn = self.account.tree.turn(&folder, self.name()).await;
        Ok(Place { folder, _turn })
    }

    /// Demands that nothing is there; costs nothing in a folder that is known. Returns the file if
    /// it is our own, of which nobody knew whether it went through: with this content.
    pub(crate) async fn free(&self, place: &Place, md5: Option<&[u8]>) -> Result<Option<File>> {
        let tree = &self.account.tree;
        if tree.child(&place.folder, self.name()) == Child::Nothing {
            return Ok(None);
        }
        let Some(there) = self.account.look(&self.root, &place.folder, self.name()).await? else {
            return Ok(None);
        };
        let ours = tree.uncertain(&place.folder, self.name());
        tree.settled(&place.folder, self.name());
        if ours.as_ref() == Some(&there.id) && md5.is_some() && there.md5().as_deref() == md5 {
            return Ok(Some(there));
        }
        let why = match there.is_folder() {
            true => "a folder is there",
            false => "something is there already",
        };
        Err(refuse(ErrorKind::AlreadyExists, "write", &self.path, why))
    }

    /// An id for the new file: that of an earlier try of which nobody knows what came of it, so
    /// that there is never a second one.
    pub(crate) async fn new_id(&self, place: &Place) -> Result<String> {
        match self.account.tree.uncertain(&place.folder, self.name()) {
            Some(id) => Ok(id),
            None => self.account.client.new_id().await,
        }
    }

    /// What came of making the file of this id. `NotFound` if its folder is gone.
    pub(crate) async fn created(
        &self,
        place: &Place,
        id: &str,
        answer: Result<File>,
        md5: &[u8],
    ) -> Result<File> {
        let Account { client, tree, .. } = &*self.account;
        let (folder, name) = (&place.folder, self.name());
        let file = match answer {
            // An earlier request with this id went through after all.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let file = client.get(id).await?;
                if file.md5().as_deref() != Some(md5) {
                    tree.settled(folder, name);
                    tree.doubt(folder);
                    let why = "what an earlier write sent is there";
                    return Err(refuse(ErrorKind::AlreadyExists, "write", &self.path, why));
                }
                file
            }
            Ok(file) => file,
            Err(error) => {
                if !is_unknown(&error) {
                    tree.settled(folder, name);
                }
                return Err(error);
            }
        };
        if file.trashed || !file.is_in(folder) {
            self.account.erase(&file).await?;
            tree.settled(folder, name);
            return Err(Error::new(ErrorKind::NotFound, "its folder is in the trash"));
        }
        if file.md5().as_deref() != Some(md5) {
            self.account.erase(&file).await?;
            tree.settled(folder, name);
            let why = "what arrived has another md5 than what was sent; it was removed again";
            return Err(refuse(ErrorKind::Corrupt, "write", &self.path, why));
        }
        tree.put(folder, &file);
        tree.settled(folder, name);
        Ok(file)
    }

    /// What is to be replaced, while it is our turn with it.
    pub(crate) async fn replaced(
        &self,
        version: &str,
    ) -> Result<(tokio::sync::OwnedMutexGuard<()>, File)> {
        let id = crate::model::id_of(version).unwrap_or_default();
        let turn = self.account.tree.turn(id, "").await;
        let file = self.account.expected(&self.root, "write", &self.path, version).await?;
        match file.kind() {
            sitesync_provider::Kind::File => Ok((turn, file)),
            _ => Err(refuse(ErrorKind::InvalidPath, "write", &self.path, "it is not a file")),
        }
    }

    /// Compares what replaced a file with what was sent.
    pub(crate) fn replaced_by(&self, file: File, md5: &[u8]) -> Result<File> {
        if file.md5().as_deref() != Some(md5) {
            let why = "what arrived in its place has another md5 than what was sent; the earlier \
                       content is among the file's versions in Drive";
            return Err(refuse(ErrorKind::Corrupt, "write", &self.path, why));
        }
        Ok(file)
    }

    /// Its folder is not where it was: it is looked up anew.
    pub(crate) fn lost_its_folder(&self) {
        self.account.tree.forget(&self.root.id, self.above());
    }
}
