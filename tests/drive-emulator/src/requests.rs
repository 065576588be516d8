//! The log of requests.

use std::collections::VecDeque;

use hyper::Method;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Kind {
    /// An access token for a signed assertion.
    Token,
    /// `about.get`.
    About,
    /// `files.generateIds`.
    GenerateIds,
    /// `files.get`: a file's metadata.
    Get,
    /// `files.get` or `revisions.get` with `alt=media`: content.
    Media,
    /// `files.list`.
    List,
    /// `files.create` without content.
    Create,
    /// `files.create` with content in the same request.
    Multipart,
    /// The start of a resumable upload, of a new file or of new content.
    StartUpload,
    /// Bytes for a resumable upload.
    Chunk,
    /// How far is this resumable upload?
    QueryUpload,
    /// The end of a resumable upload that is not wanted any more.
    CancelUpload,
    /// `files.update` without content.
    Update,
    /// `files.update` with content in the same request.
    UpdateMultipart,
    /// `files.copy`.
    Copy,
    /// `files.delete`, `files.emptyTrash`.
    Delete,
    /// `changes.list`.
    Changes,
    /// `changes.getStartPageToken`.
    StartPageToken,
    /// `drives.get`.
    DriveGet,
    /// `drives.list`.
    DriveList,
    /// `revisions.list`, `revisions.get`.
    Revisions,
    /// What the emulator does not know: answered with 404.
    Unknown,
}

impl Kind {
    /// What a Drive is asked whose files are made, read, changed and followed.
    pub const USUAL: [Kind; 9] = [
        Kind::Get,
        Kind::Media,
        Kind::List,
        Kind::Create,
        Kind::Multipart,
        Kind::StartUpload,
        Kind::Chunk,
        Kind::UpdateMultipart,
        Kind::Changes,
    ];
}

/// One request that was seen.
#[derive(Debug, Clone)]
pub struct Request {
    /// What it asks for.
    pub kind: Kind,
    /// `GET`, `POST`, ...
    pub method: String,
    /// `/drive/v3/files`.
    pub path: String,
    /// What stands after `?`, as it came.
    pub query: String,
    /// Bytes of body that arrived, also of requests that broke.
    pub received: u64,
    /// The status of the answer; 0 when there was none (yet).
    pub status: u16,
}

/// The requests since the log was emptied.
#[derive(Debug, Default)]
pub(crate) struct Log {
    entries: VecDeque<Request>,
    /// The number of the first entry: numbers stay valid when the log is emptied.
    first: u64,
}

impl Log {
    /// Notes that a request came; returns its number.
    pub(crate) fn begin(&mut self, request: Request) -> u64 {
        self.entries.push_back(request);
        self.first + self.entries.len() as u64 - 1
    }

    /// Returns the request of this number, unless the log was emptied since.
    pub(crate) fn entry(&mut self, number: u64) -> Option<&mut Request> {
        let index = number.checked_sub(self.first)?;
        self.entries.get_mut(usize::try_from(index).ok()?)
    }

    pub(crate) fn all(&self) -> Vec<Request> {
        self.entries.iter().cloned().collect()
    }

    pub(crate) fn forget(&mut self) {
        self.first += self.entries.len() as u64;
        self.entries.clear();
    }
}

/// Tells what a request asks for. `media`: `alt=media`; `query`: its body is a question about an
/// upload (`Content-Range: bytes */...`, without bytes).
pub(crate) fn kind(method: &Method, path: &str, upload: Option<Upload>, media: bool) -> Kind {
    if path == "/token" {
        return Kind::Token;
    }
    if let Some(rest) = path.strip_prefix("/upload/drive/v3/files").or_else(|| {
        // Google accepts this spelling too.
        path.strip_prefix("/resumable/upload/drive/v3/files")
    }) {
        let new = rest.is_empty();
        return match (upload, method) {
            (Some(Upload::Session { .. }), &Method::DELETE) => Kind::CancelUpload,
            (Some(Upload::Session { asks: true }), _) => Kind::QueryUpload,
            (Some(Upload::Session { asks: false }), &Method::PUT | &Method::POST) => Kind::Chunk,
            (Some(Upload::Start), &Method::POST) if new => Kind::StartUpload,
            (Some(Upload::Start), &Method::PATCH | &Method::PUT) if !new => Kind::StartUpload,
            (Some(Upload::Whole), &Method::POST) if new => Kind::Multipart,
            (Some(Upload::Whole), &Method::PATCH) if !new => Kind::UpdateMultipart,
            _ => Kind::Unknown,
        };
    }
    let Some(rest) = path.strip_prefix("/drive/v3/") else { return Kind::Unknown };
    let segments: Vec<&str> = rest.split('/').collect();
    match (method, segments.as_slice()) {
        (&Method::GET, ["about"]) => Kind::About,
        (&Method::GET, ["files"]) => Kind::List,
        (&Method::POST, ["files"]) => Kind::Create,
        (&Method::GET, ["files", "generateIds"]) => Kind::GenerateIds,
        (&Method::DELETE, ["files", _]) => Kind::Delete,
        (&Method::GET, ["files", _]) if media => Kind::Media,
        (&Method::GET, ["files", _]) => Kind::Get,
        (&Method::PATCH, ["files", _]) => Kind::Update,
        (&Method::POST, ["files", _, "copy"]) => Kind::Copy,
        (&Method::GET, ["files", _, "revisions", _]) if media => Kind::Media,
        (&Method::GET, ["files", _, "revisions"] | ["files", _, "revisions", _]) => Kind::Revisions,
        (&Method::GET, ["changes"]) => Kind::Changes,
        (&Method::GET, ["changes", "startPageToken"]) => Kind::StartPageToken,
        (&Method::GET, ["drives"]) => Kind::DriveList,
        (&Method::GET, ["drives", _]) => Kind::DriveGet,
        _ => Kind::Unknown,
    }
}

/// What a request below `/upload` says of itself.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Upload {
    /// `upload_id=...`; `asks` how far it is.
    Session { asks: bool },
    /// `uploadType=resumable`.
    Start,
    /// `uploadType=multipart` or `media`.
    Whole,
}
