//! A service that keeps files in memory: it lives as long as this process, and stands where the
//! client of your storage will. **Replace this file first.**
//!
//! It knows nothing of sitesync. What a storage must be able to do stands in [`Service::commit`]:
//! make a whole file visible in one step, and only over what was expected.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Why the service refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The account has another key.
    WrongKey,
    /// Nothing is there.
    Missing,
    /// A file is there, and none was expected.
    Exists,
    /// The file is not the expected version.
    Changed,
    /// A folder is where a file should be.
    IsFolder,
    /// A file is where a folder should be.
    IsFile,
    /// The folder is not empty.
    NotEmpty,
    /// There is no such upload any more, or somebody else goes on with it.
    UploadGone,
}

/// A file or a folder.
#[derive(Debug, Clone)]
pub enum Item {
    /// A file.
    File(Object),
    /// A folder.
    Folder,
}

/// A file as the service keeps it.
#[derive(Debug, Clone)]
pub struct Object {
    /// Its bytes. Cheap to clone, as they are shared.
    pub content: Arc<[u8]>,
    /// Last change, ns since the epoch, as whoever wrote it has said.
    pub mtime_ns: Option<i64>,
    /// A number that no other content of this account ever had.
    pub version: u64,
}

/// A file on its way: what has arrived so far, visible to nobody.
pub struct Upload {
    /// Where it is going to be.
    pub path: String,
    /// Its size when it is whole, in bytes.
    pub size: u64,
    /// The host that sends it.
    pub owner: String,
    /// When it began.
    pub begun: Instant,
    /// Whose turn it is to send; `None` for nobody's.
    pub turn: Option<u64>,
    /// What has arrived.
    pub content: Vec<u8>,
}

/// A turn at sending an upload. Who goes on with an upload takes the turn from who had it: an old
/// writer may not have noticed yet that it was given up.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    /// The upload's number.
    pub upload: u64,
    number: u64,
}

#[derive(Default)]
struct Account {
    key: String,
    items: BTreeMap<String, Item>,
    uploads: BTreeMap<u64, Upload>,
    last: u64,
}

/// A session with the service. Cheap to clone.
#[derive(Clone)]
pub struct Service(Arc<Mutex<Account>>);

static ACCOUNTS: LazyLock<Mutex<BTreeMap<String, Service>>> = LazyLock::new(Mutex::default);

impl Service {
    /// Logs in. The first one to use an account decides on its key.
    pub fn log_in(account: &str, key: &str) -> Result<Self, Refusal> {
        let mut accounts = ACCOUNTS.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || {
            let account = Account { key: key.to_owned(), ..Account::default() };
            Service(Arc::new(Mutex::new(account)))
        };
        let service = accounts.entry(account.to_owned()).or_insert_with(fresh).clone();
        if service.account().key == key { Ok(service) } else { Err(Refusal::WrongKey) }
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is at this path. The empty one is a folder that is always there.
    pub fn find(&self, path: &str) -> Result<Item, Refusal> {
        self.account().find(path)
    }

    /// Names and items that lie directly in a folder, in their order.
    pub fn list(&self, folder: &str) -> Result<Vec<(String, Item)>, Refusal> {
        let account = self.account();
        let Item::Folder = account.find(folder)? else { return Err(Refusal::IsFile) };
        let direct = |(path, item): (&String, &Item)| {
            let name = beneath(folder, path)?;
            (!name.contains('/')).then(|| (name.to_owned(), item.clone()))
        };
        Ok(account.items.iter().filter_map(direct).collect())
    }

    /// Begins an upload.
    pub fn begin(&self, path: String, size: u64, owner: String) -> Turn {
        let mut account = self.account();
        let number = account.number();
        let (begun, turn) = (Instant::now(), Some(number));
        let upload = Upload { path, size, owner, begun, turn, content: Vec::new() };
        account.uploads.insert(number, upload);
        Turn { upload: number, number }
    }

    /// Goes on with an upload of the same file. Returns how many bytes have arrived, too.
    pub fn resume(&self, upload: u64, path: &str, size: u64) -> Option<(Turn, u64)> {
        let mut account = self.account();
        let number = account.number();
        let found = account.uploads.get_mut(&upload)?;
        if found.path != path || found.size != size {
            return None;
        }
        found.turn = Some(number);
        Some((Turn { upload, number }, found.content.len() as u64))
    }

    /// Takes the next bytes of an upload.
    pub fn append(&self, turn: Turn, bytes: &[u8]) -> Result<(), Refusal> {
        self.account().held(turn)?.content.extend_from_slice(bytes);
        Ok(())
    }

    /// Leaves an upload for later, if it still is this one's turn.
    pub fn release(&self, turn: Turn) {
        if let Ok(upload) = self.account().held(turn) {
            upload.turn = None;
        }
    }

    /// Makes an upload the file at its path, in one step: nobody sees a part of it, and nobody can
    /// put something else there between the look and the change. `expected` is the version that it
    /// may replace; without one, nothing may be there.
    pub fn commit(
        &self,
        turn: Turn,
        expected: Option<&str>,
        mtime_ns: Option<i64>,
    ) -> Result<Object, Refusal> {
        let mut account = self.account();
        let path = account.held(turn)?.path.clone();
        account.expect(&path, expected)?;
        if let Some((folder, _)) = path.rsplit_once('/') {
            account.make_folder(folder)?;
        }
        let version = account.number();
        let content = account.uploads.remove(&turn.upload).ok_or(Refusal::UploadGone)?.content;
        let object = Object { content: content.into(), mtime_ns, version };
        account.items.insert(path, Item::File(object.clone()));
        Ok(object)
    }

    /// Whether what is at this path is as expected: as [`Service::commit`] has it, for an early look.
    pub fn expect(&self, path: &str, expected: Option<&str>) -> Result<(), Refusal> {
        self.account().expect(path, expected)
    }

    /// Throws an upload away, if it still is this one's turn.
    pub fn discard(&self, turn: Turn) {
        let mut account = self.account();
        if account.held(turn).is_ok() {
            account.uploads.remove(&turn.upload);
        }
    }

    /// Throws uploads away; returns how many there were, and their bytes.
    pub fn abort(&self, mut unwanted: impl FnMut(u64, &Upload) -> bool) -> (u64, u64) {
        let (mut count, mut bytes) = (0, 0);
        self.account().uploads.retain(|number, upload| {
            let goes = unwanted(*number, upload);
            if goes {
                count += 1;
                bytes += upload.content.len() as u64;
            }
            !goes
        });
        (count, bytes)
    }

    /// Makes a folder and those above it.
    pub fn make_folder(&self, path: &str) -> Result<(), Refusal> {
        self.account().make_folder(path)
    }

    /// Removes an empty folder.
    pub fn remove_folder(&self, path: &str) -> Result<(), Refusal> {
        let mut account = self.account();
        let Item::Folder = account.find(path)? else { return Err(Refusal::IsFile) };
        if account.items.keys().any(|other| beneath(path, other).is_some()) {
            return Err(Refusal::NotEmpty);
        }
        account.items.remove(path);
        Ok(())
    }

    /// Removes a file, if it is the expected version; without one, whatever it is.
    pub fn remove_file(&self, path: &str, expected: Option<&str>) -> Result<(), Refusal> {
        let mut account = self.account();
        let Item::File(found) = account.find(path)? else { return Err(Refusal::IsFolder) };
        if expected.is_some_and(|expected| expected != found.version.to_string()) {
            return Err(Refusal::Changed);
        }
        account.items.remove(path);
        Ok(())
    }
}

impl Account {
    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// An upload, if it is this one's turn.
    fn held(&mut self, turn: Turn) -> Result<&mut Upload, Refusal> {
        let upload = self.uploads.get_mut(&turn.upload);
        upload.filter(|upload| upload.turn == Some(turn.number)).ok_or(Refusal::UploadGone)
    }

    fn find(&self, path: &str) -> Result<Item, Refusal> {
        if path.is_empty() {
            return Ok(Item::Folder);
        }
        self.items.get(path).cloned().ok_or(Refusal::Missing)
    }

    fn expect(&self, path: &str, expected: Option<&str>) -> Result<(), Refusal> {
        match (self.find(path), expected) {
            (Ok(Item::Folder), _) => Err(Refusal::IsFolder),
            (Ok(Item::File(_)), None) => Err(Refusal::Exists),
            (Ok(Item::File(found)), Some(version)) if found.version.to_string() != version => {
                Err(Refusal::Changed)
            }
            (Err(Refusal::Missing), None) | (Ok(Item::File(_)), Some(_)) => Ok(()),
            (Err(refusal), _) => Err(refusal),
        }
    }

    fn make_folder(&mut self, path: &str) -> Result<(), Refusal> {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        let folders: Vec<&str> = ends.map(|end| &path[..end]).collect();
        if folders.iter().any(|folder| matches!(self.find(folder), Ok(Item::File(_)))) {
            return Err(Refusal::IsFile);
        }
        let folders = folders.into_iter().filter(|folder| !folder.is_empty());
        self.items.extend(folders.map(|folder| (folder.to_owned(), Item::Folder)));
        Ok(())
    }
}

/// The rest of a path that lies in this folder, directly or deeper.
pub fn beneath<'a>(folder: &str, path: &'a str) -> Option<&'a str> {
    let rest = path.strip_prefix(folder)?;
    if folder.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}
