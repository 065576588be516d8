//! The mutant's streams.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::PathBuf;
use std::time::Duration;

use sitesync_provider::{
    At, Bytes, DeleteOptions, End, Entry, Error, ErrorKind, Expect, ListStream, Metadata, Page,
    Provider, ReadStream, Result, WriteOptions, WriteStream,
};

use crate::defect::Defect;
use crate::disk::{halve, into_trash, on_disk};
use crate::mutant::Mutant;

const MIB: u64 = 1 << 20;
/// Between a look and what is done upon it: long enough for others.
pub const WINDOW: Duration = Duration::from_millis(20);

/// Makes the last byte of each MiB 0; `at` is where the chunk begins in its file.
fn without_boundaries(chunk: &Bytes, at: u64) -> Bytes {
    let mut bytes = chunk.to_vec();
    for (place, byte) in (at..).zip(&mut bytes) {
        if place % MIB == MIB - 1 {
            *byte = 0;
        }
    }
    bytes.into()
}

/// A file being read.
#[derive(Debug)]
pub struct Reader {
    mutant: Mutant,
    inner: local_drive::Reader,
    place: PathBuf,
    at: u64,
    ended: bool,
}

impl Reader {
    pub fn new(mutant: Mutant, inner: local_drive::Reader, at: At<'_>, from: u64) -> Self {
        Reader { mutant, inner, place: on_disk(at.root, at.path), at: from, ended: false }
    }

    /// Reads what has the name now, and not what was opened.
    fn read_anew(&self, chunk: &Bytes, at: u64) -> Result<Bytes> {
        let mut bytes = vec![0; chunk.len()];
        fs::File::open(&self.place)?.read_exact_at(&mut bytes, at)?;
        Ok(bytes.into())
    }
}

impl ReadStream for Reader {
    fn metadata(&self) -> Metadata {
        let mut metadata = self.mutant.told(self.inner.metadata());
        if self.mutant.is(Defect::ReaderTellsWrongSize) {
            metadata.size += 1;
        }
        metadata
    }

    async fn read(&mut self, max: usize) -> Result<Bytes> {
        let max = if self.mutant.is(Defect::ReadsTooMuch) { max.saturating_mul(2) } else { max };
        let mut chunk = self.inner.read(max).await?;
        let at = self.at;
        self.at += chunk.len() as u64;
        if self.mutant.is(Defect::ReaderReopens) {
            chunk = self.read_anew(&chunk, at)?;
        }
        if self.mutant.is(Defect::ReadsBoundary) {
            chunk = without_boundaries(&chunk, at);
        }
        if self.mutant.is(Defect::EndsEarly) && self.at == self.inner.metadata().size {
            chunk.truncate(chunk.len().saturating_sub(1));
        }
        if chunk.is_empty() {
            let more = self.mutant.is(Defect::NeverEnds)
                || self.mutant.is(Defect::OneTooMany) && !self.ended;
            self.ended = true;
            return Ok(if more { Bytes::from_static(&[0]) } else { chunk });
        }
        Ok(chunk)
    }
}

/// A file on the disk that should not be there yet; gone when dropped.
#[derive(Debug)]
struct Early(PathBuf);

impl Drop for Early {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Where a writer writes.
#[derive(Debug)]
struct Target {
    mutant: Mutant,
    root: String,
    path: String,
    place: PathBuf,
    how: WriteOptions,
    /// What was there before.
    old: Vec<u8>,
}

impl Drop for Target {
    fn drop(&mut self) {
        self.mutant.writing().remove(&self.place);
        self.mutant.forget_looks();
    }
}

impl Target {
    fn is(&self, defect: Defect) -> bool {
        self.mutant.is(defect)
    }

    /// What can be seen of a file that is being written.
    fn appear(&self) -> Result<Option<Early>> {
        let seen = if self.is(Defect::VisibleEarly) && !self.place.exists() {
            self.place.clone()
        } else if self.is(Defect::PartVisible) {
            PathBuf::from(format!("{}.part", self.place.display()))
        } else {
            if self.is(Defect::GoneMeanwhile) && self.place.exists() {
                fs::remove_file(&self.place)?;
            }
            return Ok(None);
        };
        fs::File::create(&seen)?;
        Ok(Some(Early(seen)))
    }

    /// True if all that came is written once more in the end, as if nothing had been expected or
    /// announced.
    fn writes_twice(&self) -> bool {
        let twice = [
            Defect::AnyLengthIsWhole,
            Defect::ExpectsOnlyAtFirst,
            Defect::GoneMeanwhile,
            Defect::LooksThenPublishes,
            Defect::ReplacesInTwoSteps,
            Defect::KeepsInTwoSteps,
            Defect::KeepsRefusedNew,
        ];
        self.how.resume.is_none() && twice.iter().any(|defect| self.is(*defect))
    }

    async fn write_again(&self, content: Vec<u8>) -> Result<Metadata> {
        let at = At::new(&self.root, &self.path);
        if self.is(Defect::LooksThenPublishes) || self.is(Defect::ReplacesInTwoSteps) {
            if self.mutant.whatever_is_there(at).await != self.how.expect {
                let kind = match self.how.expect {
                    Expect::Nothing => ErrorKind::AlreadyExists,
                    _ => ErrorKind::Precondition,
                };
                return Err(Error::new(kind, "something else is there"));
            }
            if self.is(Defect::ReplacesInTwoSteps) && self.place.exists() {
                fs::remove_file(&self.place)?;
            }
            tokio::time::sleep(WINDOW).await;
        }
        if self.is(Defect::KeepsInTwoSteps) && self.how.keep_replaced {
            let how = DeleteOptions::default().to_trash(true);
            self.mutant.drive().delete(at, how).await?;
            tokio::time::sleep(WINDOW).await;
        }
        let mut expect = self.mutant.whatever_is_there(at).await;
        if self.is(Defect::KeepsRefusedNew) {
            if self.how.keep_replaced && expect != self.how.expect {
                into_trash(at, &content)?;
            }
            expect = self.how.expect.clone();
        }
        let mut how = self.how.clone();
        how.size = content.len() as u64;
        how.expect = expect;
        let mut writer = self.mutant.drive().open_write(at, how).await?;
        writer.write(content.into()).await?;
        writer.finish().await
    }

    /// What becomes of a file after it was finished.
    fn spoil(&self, finished: &Metadata) -> std::io::Result<()> {
        if self.is(Defect::LeavesDebris) {
            fs::write(self.place.with_file_name(".sitesync-debris"), "")?;
        } else if self.is(Defect::ListsLate) {
            self.mutant.oddly_listed().insert(self.place.clone());
        } else if self.is(Defect::Truncates) {
            halve(&self.place, finished.size)?;
        } else if self.is(Defect::FinishTellsOldVersion) {
            fs::set_permissions(&self.place, PermissionsExt::from_mode(0o604))?;
        } else if self.is(Defect::KeepsTail) && self.old.len() as u64 > finished.size {
            let mut file = fs::File::options().append(true).open(&self.place)?;
            file.write_all(&self.old[finished.size as usize..])?;
        } else if self.is(Defect::MixesWriters) && *self.mutant.last() != self.place {
            fs::rename(&self.place, &*self.mutant.last())?;
        }
        Ok(())
    }
}

/// A file being written.
#[derive(Debug)]
pub struct Writer {
    target: Target,
    inner: local_drive::Writer,
    /// Where the next chunk belongs.
    at: u64,
    /// All that came, for defects that write it twice.
    kept: Vec<u8>,
    spoils_next: bool,
    early: Option<Early>,
}

impl Writer {
    pub async fn open(mutant: Mutant, at: At<'_>, how: WriteOptions) -> Result<Self> {
        let mut inner = mutant.drive().open_write(at, how.clone()).await?;
        let mut offset = inner.offset();
        if mutant.is(Defect::ResumeForgets) && offset > 0 {
            drop(inner);
            inner = mutant.drive().open_write(at, how.clone().resume(None)).await?;
            inner.write(vec![0; offset as usize].into()).await?;
        }
        if mutant.is(Defect::AnyTokenGoesOn)
            && offset == 0
            && how.resume.is_some()
            && how.size > 100
        {
            inner.write(vec![0; 100].into()).await?;
            offset = 100;
        }
        if mutant.is(Defect::ResumeTellsWrongByte) && offset > 0 {
            offset -= 1;
        }
        let place = on_disk(at.root, at.path);
        let old = if mutant.is(Defect::KeepsTail) {
            fs::read(&place).unwrap_or_default()
        } else {
            Vec::new()
        };
        mutant.writing().insert(place.clone());
        mutant.last().clone_from(&place);
        let (root, path) = (at.root.to_owned(), at.path.to_owned());
        let target = Target { mutant, root, path, place, how, old };
        let early = target.appear()?;
        Ok(Writer { target, inner, at: offset, kept: Vec::new(), spoils_next: false, early })
    }
}

impl WriteStream for Writer {
    fn offset(&self) -> u64 {
        self.at
    }

    async fn write(&mut self, mut chunk: Bytes) -> Result<()> {
        let at = self.at;
        self.at += chunk.len() as u64;
        if self.target.writes_twice() {
            self.kept.extend_from_slice(&chunk);
        }
        if self.target.is(Defect::WritesBoundary) {
            chunk = without_boundaries(&chunk, at);
        }
        if std::mem::take(&mut self.spoils_next) {
            let mut bytes = chunk.to_vec();
            bytes.iter_mut().take(1).for_each(|byte| *byte = !*byte);
            chunk = bytes.into();
        }
        match self.inner.write(chunk).await {
            Err(_) if self.target.is(Defect::AnyLengthIsWhole) => Ok(()),
            written => written.map_err(|error| self.target.mutant.error(error)),
        }
    }

    async fn checkpoint(&mut self) -> Result<Option<Vec<u8>>> {
        if self.target.is(Defect::NoToken) {
            return Ok(None);
        }
        self.spoils_next = self.target.is(Defect::CheckpointSpoils);
        self.inner.checkpoint().await
    }

    async fn finish(self) -> Result<Metadata> {
        let Writer { target, inner, kept, early, .. } = self;
        drop(early);
        if target.is(Defect::FewAtOnce) {
            // Others are still to come.
            tokio::time::sleep(WINDOW).await;
        }
        let (size, mtime_ns) = (target.how.size, target.how.mtime_ns);
        if target.is(Defect::LosesFinish) || target.is(Defect::NoEmptyFiles) && size == 0 {
            return Ok(Metadata::file(size).with_mtime_ns(mtime_ns));
        }
        let finished = if target.writes_twice() {
            target.how.op.check()?;
            inner.discard().await?;
            target.write_again(kept).await
        } else {
            inner.finish().await
        };
        let finished = finished.map_err(|error| target.mutant.error(error))?;
        target.spoil(&finished)?;
        Ok(target.mutant.told(finished))
    }

    async fn discard(self) -> Result<()> {
        if self.target.is(Defect::KeepsDiscarded) {
            return Ok(());
        }
        self.inner.discard().await
    }
}

/// A listing.
#[derive(Debug)]
pub struct Lister {
    mutant: Mutant,
    inner: Option<local_drive::Lister>,
    root: PathBuf,
    within: String,
}

impl Lister {
    pub fn new(mutant: Mutant, inner: local_drive::Lister, dir: At<'_>) -> Self {
        Lister {
            mutant,
            inner: Some(inner),
            root: PathBuf::from(dir.root),
            within: dir.path.to_owned(),
        }
    }

    /// Lists nothing.
    pub fn empty(mutant: Mutant, dir: At<'_>) -> Self {
        Lister { mutant, inner: None, root: PathBuf::from(dir.root), within: dir.path.to_owned() }
    }

    fn spoil(&self, page: &mut Page) {
        let entries = &mut page.entries;
        for entry in entries.iter_mut() {
            entry.metadata = self.mutant.told(std::mem::take(&mut entry.metadata));
        }
        let is = |defect| self.mutant.is(defect);
        if is(Defect::ListedVersionDiffers) {
            for entry in entries.iter_mut() {
                entry.metadata.version = entry.metadata.version.take().map(|v| format!("{v}+"));
            }
        } else if is(Defect::ListHasNoSizes) {
            entries.iter_mut().for_each(|entry| entry.metadata.size = 0);
        } else if is(Defect::ListDrops) {
            entries.pop();
        } else if is(Defect::ListRepeatsName) {
            entries.extend(entries.first().cloned());
        } else if is(Defect::ListStopsAtHundred) {
            entries.truncate(100);
        } else if is(Defect::ListHidesDots) {
            entries.retain(|entry| !entry.name.starts_with('.'));
        } else if is(Defect::ListMixesFolders) {
            page.folder.clone_from(&self.within);
        } else if is(Defect::ListNeverComplete) {
            page.end = End::More;
        } else if is(Defect::ListsLate) {
            let folder = self.root.join(&page.folder);
            let mut late = self.mutant.oddly_listed();
            entries.retain(|entry| !late.remove(&folder.join(&entry.name)));
        } else if is(Defect::ListsDeleted) {
            let folder = self.root.join(&page.folder);
            let mut deleted = self.mutant.oddly_listed();
            let here = deleted.iter().filter(|path| path.parent() == Some(&folder));
            let names = here.filter_map(|path| path.file_name()?.to_str());
            entries.extend(names.map(|name| Entry::new(name, Metadata::file(0))));
            deleted.retain(|path| path.parent() != Some(&folder));
        } else if is(Defect::ListedEarly) {
            let folder = self.root.join(&page.folder);
            let writing = self.mutant.writing();
            let here = writing.iter().filter(|path| path.parent() == Some(&folder));
            let names = here.filter_map(|path| path.file_name()?.to_str());
            page.entries.extend(names.map(|name| Entry::new(name, Metadata::file(0))));
        }
    }
}

impl ListStream for Lister {
    async fn next(&mut self) -> Result<Option<Vec<Page>>> {
        let Some(inner) = &mut self.inner else {
            // Said once.
            let whole = Page::new(std::mem::take(&mut self.within), Vec::new(), End::Complete);
            let empty = !self.root.as_os_str().is_empty();
            self.root = PathBuf::new();
            return Ok(empty.then(|| vec![whole]));
        };
        let Some(mut pages) = inner.next().await? else {
            let again = Page::new(&*self.within, Vec::new(), End::Complete);
            return Ok(match () {
                () if self.mutant.is(Defect::ListNeverEnds) => Some(Vec::new()),
                () if self.mutant.is(Defect::ListRepeatsForever) => Some(vec![again]),
                () => None,
            });
        };
        if self.mutant.is(Defect::ListSkipsEmptyFolders) {
            pages.retain(|page| page.folder == self.within || !page.entries.is_empty());
        }
        for page in &mut pages {
            self.spoil(page);
        }
        if self.mutant.is(Defect::ListRepeatsPage) {
            let again: Vec<Page> = pages
                .iter()
                .map(|page| Page::new(page.folder.clone(), page.entries.clone(), End::Complete))
                .collect();
            pages.extend(again);
        }
        Ok(Some(pages))
    }
}
