//! What is under way: a file being read, a file being written, a listing.

use sitesync_provider::{
    Bytes, End, Entry, Error, ErrorKind, Expect, Host, ListStream, Metadata, Page, ReadOptions,
    ReadStream, Result, SweepOptions, WriteOptions, WriteStream,
};

use crate::service::{Item, Object, Service, Turn, Upload, beneath};

/// What sitesync gets to know of an item.
pub(crate) fn metadata(item: &Item) -> Metadata {
    match item {
        Item::Folder => Metadata::folder(),
        // The version is the fingerprint: it must change whenever the content does. A service that
        // keeps digests would add them (`with_checksum`), which spares reading to compare.
        Item::File(object) => Metadata::file(object.content.len() as u64)
            .with_mtime_ns(object.mtime_ns)
            .with_version(object.version.to_string()),
    }
}

/// A file being read.
pub struct Reader {
    metadata: Metadata,
    rest: Bytes,
}

impl Reader {
    pub(crate) fn new(object: Object, how: &ReadOptions) -> Result<Self> {
        let metadata = metadata(&Item::File(object.clone()));
        if how.if_version.is_some() && how.if_version != metadata.version {
            return Err(Error::new(ErrorKind::Precondition, "somebody else has changed it"));
        }
        let all = object.content.len();
        let from = usize::try_from(how.from).unwrap_or(all).min(all);
        let len = how.len.and_then(|len| usize::try_from(len).ok()).unwrap_or(all);
        let rest = Bytes::from_owner(object.content).slice(from..all.min(from.saturating_add(len)));
        Ok(Reader { metadata, rest })
    }
}

impl ReadStream for Reader {
    /// Of what was *opened*: if the file changes meanwhile, this still tells which one is read.
    fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    /// An empty answer means the end. A connection that breaks early must not look like it: that is
    /// `Interrupted`.
    async fn read(&mut self, max: usize) -> Result<Bytes> {
        Ok(self.rest.split_to(max.min(self.rest.len())))
    }
}

/// A file being written: an upload that nobody sees before `finish`.
pub struct Writer {
    service: Service,
    host: Host,
    how: WriteOptions,
    turn: Turn,
    offset: u64,
    written: u64,
}

impl Writer {
    pub(crate) fn begin(service: Service, host: Host, path: String, how: WriteOptions) -> Self {
        let token = how.resume.as_deref().and_then(number);
        let known = token.and_then(|upload| service.resume(upload, &path, how.size));
        // A token that means nothing any more is no error: the write begins anew, and `offset` says
        // so.
        let (turn, offset) =
            known.unwrap_or_else(|| (service.begin(path, how.size, host.site_id()), 0));
        Writer { service, host, how, turn, offset, written: offset }
    }
}

impl WriteStream for Writer {
    fn offset(&self) -> u64 {
        self.offset
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.how.op.check()?;
        self.host.permit(1).await?;
        self.service.append(self.turn, &chunk)?;
        self.written += chunk.len() as u64;
        // Shows that work goes on: the host's timeout means 'no progress for so long'.
        self.how.op.progress(chunk.len() as u64);
        Ok(())
    }

    /// The host stores the token, so that the upload survives the host.
    async fn checkpoint(&mut self) -> Result<Option<Vec<u8>>> {
        Ok(Some(self.turn.upload.to_string().into_bytes()))
    }

    async fn finish(self) -> Result<Metadata> {
        if self.written != self.how.size {
            let what = format!("{} bytes came of {}", self.written, self.how.size);
            return Err(Error::new(ErrorKind::Corrupt, what));
        }
        self.host.permit(1).await?;
        // Right before the file becomes visible, and not earlier: the host may have given up on
        // this write long ago and sent the file again.
        self.how.op.check()?;
        let expected = expected(&self.how.expect)?;
        match self.service.commit(self.turn, expected, self.how.mtime_ns) {
            Ok(object) => Ok(metadata(&Item::File(object))),
            Err(refusal) => {
                // To go on with it would be refused again.
                self.discard().await?;
                Err(refusal.into())
            }
        }
    }

    async fn discard(self) -> Result<()> {
        self.service.discard(self.turn);
        Ok(())
    }
}

impl Drop for Writer {
    /// A plain drop keeps what can be resumed.
    fn drop(&mut self) {
        self.service.release(self.turn);
    }
}

/// The version that may be replaced; `None` if nothing may be there.
pub(crate) fn expected(expect: &Expect) -> Result<Option<&str>> {
    match expect {
        Expect::Nothing => Ok(None),
        Expect::Version(version) => Ok(Some(version)),
        // A later host may expect in ways that this provider does not know: never guess.
        _ => Err(Error::unsupported("such an expectation")),
    }
}

/// Whether an upload is abandoned: an own one that no token needs, or an old one of another host.
pub(crate) fn is_abandoned(
    number: u64,
    upload: &Upload,
    host: &Host,
    root: &str,
    how: &SweepOptions,
) -> bool {
    let kept = how.keep.iter().any(|token| self::number(token) == Some(number));
    let old = upload.owner == host.site_id() || upload.begun.elapsed() >= how.foreign_after;
    beneath(root, &upload.path).is_some() && upload.turn.is_none() && !kept && old
}

fn number(token: &[u8]) -> Option<u64> {
    std::str::from_utf8(token).ok()?.parse().ok()
}

/// Entries of one page.
const PAGE: usize = 1000;

/// A listing of one folder, page by page.
pub struct Lister {
    folder: String,
    items: Option<std::vec::IntoIter<(String, Item)>>,
}

impl Lister {
    pub(crate) fn new(folder: &str, items: Vec<(String, Item)>) -> Self {
        Lister { folder: folder.to_owned(), items: Some(items.into_iter()) }
    }
}

impl ListStream for Lister {
    async fn next(&mut self) -> Result<Option<Vec<Page>>> {
        let Some(items) = &mut self.items else { return Ok(None) };
        let entry = |(name, item)| Entry::new(name, metadata(&item));
        let entries = items.take(PAGE).map(entry).collect();
        // `Complete` is a promise: what was not named is not there. It comes with the last page,
        // also with that of an empty folder, and never after an error.
        let end = if items.len() == 0 { End::Complete } else { End::More };
        if matches!(end, End::Complete) {
            self.items = None;
        }
        Ok(Some(vec![Page::new(&self.folder, entries, end)]))
    }
}
