//! The real `local_drive` with one defect.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use local_drive::LocalDrive;
use schemars::JsonSchema;
use serde::Deserialize;
use sitesync_provider::{
    About, At, Checksum, Copied, Copy, DeleteOptions, Error, ErrorKind, Expect, Host, Kind,
    Metadata, OURS, Op, Provider, ReadOptions, Result, RootInfo, SweepOptions, Swept, WriteOptions,
};

use crate::defect::Defect;
use crate::disk::{halve, in_trash, into_trash, on_disk, remove_all, remove_by_prefix};
use crate::names::named;
use crate::streams::{Lister, Reader, WINDOW, Writer};

/// Which defect it has.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// None: it is `local_drive` under another name.
    pub defect: Option<Defect>,
}

/// `local_drive` with a defect. Streams share it.
#[derive(Debug, Clone)]
pub struct Mutant(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    drive: LocalDrive,
    defect: Option<Defect>,
    looks: AtomicU64,
    /// Files that are being written, and the one that was opened last.
    writing: Mutex<BTreeSet<PathBuf>>,
    last: Mutex<PathBuf>,
    /// Files that the next listing leaves out, or names though they are gone.
    oddly_listed: Mutex<BTreeSet<PathBuf>>,
    folders: Mutex<BTreeSet<PathBuf>>,
    /// What `stat` told, for a provider that does not look twice.
    seen: Mutex<BTreeMap<PathBuf, Option<Metadata>>>,
    /// Operations that are never let go of.
    held: Mutex<Vec<Op>>,
}

impl Mutant {
    pub fn drive(&self) -> &LocalDrive {
        &self.0.drive
    }

    pub fn is(&self, defect: Defect) -> bool {
        self.0.defect == Some(defect)
    }

    pub fn writing(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.0.writing.lock().expect("no panic")
    }

    /// The file that was opened for writing last.
    pub fn last(&self) -> MutexGuard<'_, PathBuf> {
        self.0.last.lock().expect("no panic")
    }

    pub fn oddly_listed(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.0.oddly_listed.lock().expect("no panic")
    }

    /// Folders that were written to.
    fn folders(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.0.folders.lock().expect("no panic")
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Option<Metadata>>> {
        self.0.seen.lock().expect("no panic")
    }

    /// This instance changed something.
    pub fn forget_looks(&self) {
        self.seen().clear();
    }

    fn named<'a>(&self, path: &'a str) -> Cow<'a, str> {
        named(self.0.defect, path)
    }

    /// What this provider tells of something.
    pub fn told(&self, mut found: Metadata) -> Metadata {
        let version = match self.0.defect {
            Some(Defect::ConstantVersion) => Some("1".to_owned()),
            Some(Defect::VersionIsSize) => Some(found.size.to_string()),
            Some(Defect::VersionIsSizeAndTime) => {
                Some(format!("{}-{}", found.size, found.mtime_ns.unwrap_or_default()))
            }
            Some(Defect::UnstableVersion) => {
                Some(self.0.looks.fetch_add(1, Ordering::Relaxed).to_string())
            }
            _ => None,
        };
        found.version = version.or(found.version);
        match self.0.defect {
            Some(Defect::WrongSize) if found.kind == Kind::File => found.size += 1,
            Some(Defect::FolderIsFile) => found.kind = Kind::File,
            Some(Defect::WrongChecksum) if found.kind == Kind::File => {
                found.checksums = vec![Checksum::new("md5", [7; 16])];
            }
            _ => {}
        }
        found
    }

    /// The version that `local_drive` knows what was told by.
    async fn version(&self, at: At<'_>, told: String) -> String {
        match self.drive().stat(at).await {
            Ok(found) => {
                let real = found.version.clone().unwrap_or_default();
                if self.told(found).version.as_ref() == Some(&told) { real } else { told }
            }
            Err(_) => told,
        }
    }

    /// What is to be expected so that what is there is no hindrance.
    pub async fn whatever_is_there(&self, at: At<'_>) -> Expect {
        match self.drive().stat(at).await.map(|found| found.version) {
            Ok(Some(version)) => Expect::Version(version),
            _ => Expect::Nothing,
        }
    }

    async fn expectation(&self, at: At<'_>, expect: Expect) -> Expect {
        match expect {
            Expect::Version(version) => Expect::Version(self.version(at, version).await),
            expect => expect,
        }
    }

    /// What this provider makes of an error.
    pub fn error(&self, error: Error) -> Error {
        let kind = match self.0.defect {
            Some(Defect::MissingIsUnexpected) => ErrorKind::NotFound,
            Some(Defect::CancelledIsUnexpected) => ErrorKind::Cancelled,
            Some(Defect::ExistingIsUnexpected) => ErrorKind::AlreadyExists,
            Some(Defect::OtherVersionIsUnexpected) => ErrorKind::Precondition,
            Some(Defect::SpeechlessErrors) => return Error::new(error.kind(), ""),
            _ => return error,
        };
        if error.kind() == kind { Error::new(ErrorKind::Unexpected, "it failed") } else { error }
    }

    /// A second folder beside one that is there.
    fn double(&self, at: At<'_>) -> Result<()> {
        Ok(fs::create_dir_all(on_disk(at.root, &format!("{} (1)", at.path)))?)
    }

    /// What is changed of copies after they were made.
    async fn spoil(&self, batch: &[Copy<'_>], results: &mut Vec<Result<Copied>>) {
        for (copy, result) in batch.iter().zip(results.iter_mut()) {
            let Ok(copied) = result else { continue };
            let (from, to) =
                (on_disk(copy.from.root, copy.from.path), on_disk(copy.to.root, copy.to.path));
            let spoilt = match self.0.defect {
                Some(Defect::CopyDropsMtime) => fs::File::options()
                    .write(true)
                    .open(&to)
                    .and_then(|file| file.set_modified(SystemTime::now())),
                Some(Defect::CopyTellsOldVersion) => {
                    fs::set_permissions(&to, PermissionsExt::from_mode(0o604))
                }
                Some(Defect::CopyLoses) => fs::remove_file(&to),
                Some(Defect::CopyTruncates) => halve(&to, copied.destination.size),
                Some(Defect::CopyMoves) => fs::remove_file(&from),
                _ => Ok(()),
            };
            if let Err(error) = spoilt {
                *result = Err(error.into());
            } else if let (true, Ok(found)) =
                (self.is(Defect::CopyDropsMtime), self.drive().stat(copy.to).await)
            {
                copied.destination = found;
            }
        }
        let failed = results.iter().filter_map(|result| result.as_ref().err()).next();
        let failed = failed.map(|error| (error.kind(), error.message().to_owned()));
        match (self.0.defect, failed) {
            (Some(Defect::CopyReverses), _) => results.reverse(),
            (Some(Defect::CopyForgetsLast), _) => drop(results.pop()),
            (Some(Defect::CopyFailsAll), Some((kind, message))) => {
                *results = batch.iter().map(|_| Err(Error::new(kind, &*message))).collect();
            }
            _ => {}
        }
    }
}

impl Provider for Mutant {
    type Settings = Settings;
    type Reader = Reader;
    type Writer = Writer;
    type Lister = Lister;

    const ABOUT: About = About::new("mutant", "Mounted disk with a defect");

    async fn connect(settings: Settings, host: Host) -> Result<Self> {
        let drive = LocalDrive::connect(local_drive::Settings::default(), host).await?;
        Ok(Mutant(Arc::new(Inner {
            drive,
            defect: settings.defect,
            looks: AtomicU64::new(0),
            writing: Mutex::default(),
            last: Mutex::default(),
            oddly_listed: Mutex::default(),
            folders: Mutex::default(),
            seen: Mutex::default(),
            held: Mutex::default(),
        })))
    }

    async fn open_root(&self, root: &str, _: Settings) -> Result<RootInfo> {
        if self.is(Defect::MakesRoot) {
            fs::create_dir_all(root)?;
        }
        let mut info = self.drive().open_root(root, local_drive::Settings::default()).await?;
        match self.0.defect {
            Some(Defect::StorageIdChanges) => {
                info.storage_id = self.0.looks.fetch_add(1, Ordering::Relaxed).to_string();
            }
            Some(Defect::DeletesForGood) => info.can.trash = false,
            Some(Defect::WrongChecksum | Defect::NoChecksum) => {
                info.can.checksums = vec!["md5".to_owned()];
            }
            _ => {}
        }
        Ok(info)
    }

    async fn stat(&self, at: At<'_>) -> Result<Metadata> {
        if self.is(Defect::LeavesRoot) && at.path.contains("..") {
            return Ok(Metadata::file(fs::metadata(on_disk(at.root, at.path))?.len()));
        }
        let path = self.named(at.path);
        let place = on_disk(at.root, &path);
        if let (true, Some(known)) = (self.is(Defect::BelievesKnown), at.known) {
            let mut found = Metadata::file(0);
            found.version.clone_from(&known.version);
            return Ok(found);
        }
        if let (true, Ok(found)) = (self.is(Defect::FollowsLinks), fs::metadata(&place)) {
            let outside = place.canonicalize().is_ok_and(|real| !real.starts_with(at.root));
            if outside {
                return Ok(Metadata::file(found.len()));
            }
        }
        match (self.0.defect, self.seen().get(&place)) {
            (Some(Defect::CachesStat), Some(Some(found))) => return Ok(found.clone()),
            (Some(Defect::CachesMissing), Some(None)) => {
                return Err(Error::new(ErrorKind::NotFound, "it was not there before"));
            }
            _ => {}
        }
        let found = self.drive().stat(At::new(at.root, &path)).await;
        self.seen().insert(place, found.as_ref().ok().cloned());
        match found.map_err(|error| self.error(error)) {
            Err(_)
                if self.is(Defect::BeneathFileIsUnexpected)
                    && on_disk(at.root, &path).parent().is_some_and(Path::is_file) =>
            {
                Err(Error::new(ErrorKind::Unexpected, "not a folder"))
            }
            Err(error)
                if self.is(Defect::MissingIsThere) && error.kind() == ErrorKind::NotFound =>
            {
                Ok(Metadata::file(0))
            }
            found => Ok(self.told(found?)),
        }
    }

    async fn list(&self, dir: At<'_>, recursive: bool) -> Result<Lister> {
        let path = self.named(dir.path);
        let dir = At::new(dir.root, &path);
        let recursive = match self.0.defect {
            Some(Defect::ListIsFlat) => false,
            Some(Defect::ListIsDeep) => true,
            _ => recursive,
        };
        match self.drive().list(dir, recursive).await {
            Ok(inner) => Ok(Lister::new(self.clone(), inner, dir)),
            Err(error)
                if self.is(Defect::MissingFolderIsEmpty) && error.kind() == ErrorKind::NotFound =>
            {
                Ok(Lister::empty(self.clone(), dir))
            }
            Err(error) => Err(self.error(error)),
        }
    }

    async fn open_read(&self, at: At<'_>, mut how: ReadOptions) -> Result<Reader> {
        let path = self.named(at.path);
        let at = At::new(at.root, &path);
        if let Some(version) = how.if_version.take() {
            how.if_version = Some(self.version(at, version).await);
        }
        match self.0.defect {
            Some(Defect::ReadIgnoresVersion) => how.if_version = None,
            Some(Defect::IgnoresFrom) => how.from = 0,
            Some(Defect::RangeAtEndFails)
                if fs::metadata(on_disk(at.root, at.path))
                    .is_ok_and(|file| how.from > 0 && how.from >= file.len()) =>
            {
                return Err(Error::new(ErrorKind::Unexpected, "416 Range Not Satisfiable"));
            }
            Some(Defect::IgnoresLen) => how.len = None,
            _ => {}
        }
        let from = how.from;
        let inner = self.drive().open_read(at, how).await.map_err(|error| self.error(error))?;
        Ok(Reader::new(self.clone(), inner, at, from))
    }

    async fn open_write(&self, at: At<'_>, mut how: WriteOptions) -> Result<Writer> {
        let path = self.named(at.path);
        let at = At::new(at.root, &path);
        how.expect = self.expectation(at, how.expect).await;
        match (self.0.defect, &how.expect) {
            (Some(Defect::Overwrites), Expect::Nothing)
            | (Some(Defect::WriteIgnoresVersion), Expect::Version(_)) => {
                how.expect = self.whatever_is_there(at).await;
            }
            (Some(Defect::WriteReplacesVanished), Expect::Version(_))
                if !on_disk(at.root, &path).exists() =>
            {
                how.expect = Expect::Nothing;
            }
            (Some(Defect::ResumeIgnoresExpectation), _) if how.resume.is_some() => {
                how.expect = self.whatever_is_there(at).await;
            }
            (Some(Defect::HoldsOperation), _) => {
                self.0.held.lock().expect("no panic").push(how.op.clone());
            }
            (Some(Defect::RemembersFolders), _) => {
                let place = on_disk(at.root, &path);
                let folder = place.parent().unwrap_or(&place);
                if !self.folders().insert(folder.to_owned()) && !folder.exists() {
                    return Err(Error::new(ErrorKind::NotFound, "the folder is gone"));
                }
            }
            (Some(Defect::FewAtOnce), _) if self.writing().len() >= 4 => {
                return Err(Error::new(ErrorKind::Unexpected, "too many open files"));
            }
            (Some(Defect::RefusesDeep), _) if path.split('/').count() > 12 => {
                return Err(Error::new(ErrorKind::InvalidPath, "too deep"));
            }
            (Some(Defect::WrapsFarTimes), _) => {
                let wrap = 1_000_000_000 << 32;
                how.mtime_ns = how.mtime_ns.map(|ns| ns.rem_euclid(wrap));
            }
            (Some(Defect::DropsMtime), _) => how.mtime_ns = None,
            (Some(Defect::CoarseMtime), _) => {
                let step = 2_000_000_000;
                how.mtime_ns = how.mtime_ns.map(|ns| ns.div_euclid(step) * step);
            }
            (Some(Defect::KeepsNothing), _) => how.keep_replaced = false,
            (Some(Defect::KeepsUnasked), _) => how.keep_replaced = true,
            (Some(Defect::KeepsRefused), Expect::Version(_)) if how.keep_replaced => {
                into_trash(at, &fs::read(on_disk(at.root, &path))?)?;
            }
            (Some(Defect::IgnoresCancel), _) => how.op = Op::unbound(),
            (Some(Defect::NoParents), _)
                if !on_disk(at.root, &path).parent().is_some_and(Path::exists) =>
            {
                return Err(Error::new(ErrorKind::NotFound, "there is no such folder"));
            }
            (Some(Defect::FolderRaceDoubles), _) => {
                if let Some((folder, _)) = at.split() {
                    self.create_folder(At::new(at.root, folder)).await?;
                }
            }
            _ => {}
        }
        Writer::open(self.clone(), at, how).await.map_err(|error| self.error(error))
    }

    async fn create_folder(&self, at: At<'_>) -> Result<()> {
        let path = self.named(at.path);
        let at = At::new(at.root, &path);
        let there = || on_disk(at.root, at.path).exists();
        match self.0.defect {
            Some(Defect::FolderNotMade) => return Ok(()),
            Some(Defect::FolderTwiceFails) if there() => {
                return Err(Error::new(ErrorKind::AlreadyExists, "the folder is there"));
            }
            Some(Defect::FileWillDo) if there() => return Ok(()),
            Some(Defect::FolderTwiceDoubles) if there() => return self.double(at),
            Some(Defect::FolderRaceDoubles) if !there() => {
                tokio::time::sleep(WINDOW).await;
                if there() {
                    return self.double(at);
                }
            }
            Some(Defect::LeavesRoot) if at.path.contains("..") => {
                return Ok(fs::create_dir_all(on_disk(at.root, at.path))?);
            }
            _ => {}
        }
        self.drive().create_folder(at).await
    }

    async fn remove_folder(&self, at: At<'_>) -> Result<()> {
        let path = self.named(at.path);
        if self.is(Defect::RemovesFullFolder) {
            return Ok(fs::remove_dir_all(on_disk(at.root, &path))?);
        }
        if self.is(Defect::RemovesMissingFolder) && !on_disk(at.root, &path).exists() {
            return Ok(());
        }
        self.drive().remove_folder(At::new(at.root, &path)).await.map_err(|error| self.error(error))
    }

    async fn delete(&self, at: At<'_>, mut how: DeleteOptions) -> Result<()> {
        let path = self.named(at.path);
        let at = At::new(at.root, &path);
        if let Some(version) = how.if_version.take() {
            how.if_version = Some(self.version(at, version).await);
        }
        let there = on_disk(at.root, &path);
        match self.0.defect {
            Some(Defect::DeleteIgnoresVersion) => how.if_version = None,
            Some(Defect::DeletesNothing) if there.is_file() => return Ok(()),
            Some(Defect::LooksThenDeletes) if how.if_version.is_some() => {
                let expect = how.if_version.take().map(Expect::Version);
                if Some(self.whatever_is_there(at).await) != expect {
                    return Err(Error::new(ErrorKind::Precondition, "another version is there"));
                }
                tokio::time::sleep(WINDOW).await;
            }
            Some(Defect::DeletesForGood | Defect::TrashesNothing) => how.to_trash = false,
            Some(Defect::TrashStays) if in_trash(&path) => return Ok(()),
            Some(Defect::TrashDropsMtime) if how.to_trash && there.is_file() => {
                let file = fs::File::options().write(true).open(&there)?;
                file.set_modified(SystemTime::now())?;
                how.if_version = None;
            }
            Some(Defect::ListsDeleted) if there.is_file() => {
                self.oddly_listed().insert(there);
            }
            Some(Defect::DeletesByPrefix) => remove_by_prefix(&there)?,
            Some(Defect::DeletesMissing) if !there.exists() => return Ok(()),
            Some(Defect::DeletesFolders) if there.is_dir() => {
                return Ok(fs::remove_dir_all(there)?);
            }
            _ => {}
        }
        self.forget_looks();
        self.drive().delete(at, how).await.map_err(|error| self.error(error))
    }

    async fn sweep(&self, root: &str, mut how: SweepOptions) -> Result<Swept> {
        match self.0.defect {
            Some(Defect::SweepsNeeded) => how.keep.clear(),
            Some(Defect::SweepsNothing) => return Ok(Swept::default()),
            Some(Defect::SweepsUsers) => remove_all(Path::new(root), &|name| {
                name.ends_with(".tmp") && !name.starts_with(OURS)
            })?,
            Some(Defect::SweepsUnderWay) => remove_all(Path::new(root), &|name| {
                name.ends_with(".tmp") && name.starts_with(OURS)
            })?,
            Some(Defect::SweepsForeign) => how.foreign_after = Duration::ZERO,
            _ => {}
        }
        self.drive().sweep(root, how).await
    }

    async fn server_copy(&self, batch: &[Copy<'_>], op: &Op) -> Vec<Result<Copied>> {
        if self.is(Defect::CopyUnsupported) {
            return batch.iter().map(|_| Err(Error::unsupported("server copy"))).collect();
        }
        let mut results = Vec::new();
        let unbound = Op::unbound();
        let op = if self.is(Defect::CopyIgnoresCancel) { &unbound } else { op };
        for copy in batch {
            let (from, to) = (self.named(copy.from.path), self.named(copy.to.path));
            let (from, to) = (At::new(copy.from.root, &from), At::new(copy.to.root, &to));
            let folder = on_disk(to.root, to.path);
            if self.is(Defect::CopyNoParents) && !folder.parent().is_some_and(Path::exists) {
                results.push(Err(Error::new(ErrorKind::NotFound, "there is no such folder")));
                continue;
            }
            let mut known = copy.from.known.cloned();
            if let Some(version) = known.as_mut().and_then(|known| known.version.as_mut()) {
                *version = self.version(from, version.clone()).await;
            }
            if self.is(Defect::CopyIgnoresSource) {
                known = None;
            }
            let expect = match (self.0.defect, &copy.expect) {
                (Some(Defect::CopyOverwrites), Expect::Nothing)
                | (Some(Defect::CopyIgnoresVersion), Expect::Version(_)) => {
                    self.whatever_is_there(to).await
                }
                (_, expect) => self.expectation(to, expect.clone()).await,
            };
            let keep = match self.0.defect {
                Some(Defect::CopyKeepsNothing) => false,
                Some(Defect::CopyKeepsAll) => batch.iter().any(|copy| copy.keep_replaced),
                _ => copy.keep_replaced,
            };
            let copy = Copy::new(from.known(known.as_ref()), to, expect).keep_replaced(keep);
            results.extend(self.drive().server_copy(&[copy], op).await);
        }
        self.spoil(batch, &mut results).await;
        self.forget_looks();
        results
            .into_iter()
            .map(|result| match result {
                Ok(copied) => {
                    Ok(Copied::new(self.told(copied.source), self.told(copied.destination)))
                }
                Err(error) => Err(self.error(error)),
            })
            .collect()
    }

    async fn rename(&self, from: At<'_>, to: At<'_>) -> Result<Metadata> {
        let (old, new) = (self.named(from.path), self.named(to.path));
        let (from, to) = (At::new(from.root, &old), At::new(to.root, &new));
        let (source, target) = (on_disk(from.root, &old), on_disk(to.root, &new));
        match self.0.defect {
            Some(Defect::TrashIsStuck) if in_trash(&old) => {
                return Err(Error::unsupported("to rename what is in the trash"));
            }
            Some(Defect::RenameOverwrites) if target.is_file() => fs::remove_file(&target)?,
            Some(Defect::RenameLeaves) if source.is_file() && !target.exists() => {
                let renamed = self.drive().rename(from, to).await?;
                fs::copy(&target, &source)?;
                return Ok(renamed);
            }
            _ => {}
        }
        let mut renamed = self.drive().rename(from, to).await.map_err(|error| self.error(error))?;
        self.forget_looks();
        if self.is(Defect::RenameDropsMtime) {
            fs::File::options().write(true).open(&target)?.set_modified(SystemTime::now())?;
            renamed = self.drive().stat(to).await?;
        }
        Ok(self.told(renamed))
    }

    async fn flush(&self, roots: &[&str]) -> Result<()> {
        if self.is(Defect::FlushUnsupported) {
            return Err(Error::unsupported("flush"));
        }
        self.drive().flush(roots).await
    }
}
