//! Content that comes in: with the metadata in one request, or in chunks that can be resumed.

use bytes::{Bytes, BytesMut};
use hyper::HeaderMap;
use hyper::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName, LOCATION, RANGE};

use super::metadata::Metadata;
use super::resource::{FILE, FILE_DEFAULT};
use super::{Call, Parameters, Reply, files, object};
use crate::bugs::Bug;
use crate::ids;
use crate::refusal::Refusal;
use crate::state::{End, Role, Session, State, Target};

/// Chunks but the last one must be multiples of this many bytes.
pub(crate) const UNIT: u64 = 256 << 10;

/// An upload in one request.
pub(super) fn whole(state: &mut State, call: &Call) -> Result<Reply, Refusal> {
    call.query.fields(&FILE, FILE_DEFAULT)?;
    let kind = call.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let (metadata, mime, content) = if call.query.text("uploadType") == Some("media") {
        (object(b"")?, kind.map(str::to_owned), call.body.clone())
    } else {
        let boundary = kind.and_then(boundary).ok_or_else(|| {
            Refusal::bad_request("Bad content type. Please use multipart/related with a boundary.")
        })?;
        let parts = parts(&call.body, &boundary, state.has(Bug::LineEnd));
        let parts = parts.ok_or_else(|| Refusal::bad_request("Malformed multipart body."))?;
        (object(&parts.metadata)?, parts.mime, parts.content)
    };
    let content = if call.damaged { damage(&content) } else { content };
    let id = if call.path.len() > 1 {
        let id = call.segment(1);
        files::alter(state, &call.query, &call.caller, id, &metadata, Some(content))?
    } else {
        let mime = mime.as_deref();
        files::make(state, &call.query, &call.caller, &metadata, Some(content), mime)?
    };
    files::show(state, &call.query, &call.caller, &id)
}

/// Changes the first byte, if there is one.
pub(crate) fn damage(content: &[u8]) -> Bytes {
    let mut content = content.to_vec();
    if let Some(first) = content.first_mut() {
        *first ^= 1;
    }
    Bytes::from(content)
}

/// The start of a resumable upload: answers with the address to send the content to.
pub(super) fn start(state: &mut State, call: &Call) -> Result<Reply, Refusal> {
    call.query.fields(&FILE, FILE_DEFAULT)?;
    let header = |name: &str| call.headers.get(name).and_then(|value| value.to_str().ok());
    let total = match header("x-upload-content-length") {
        Some(text) => Some(
            text.parse()
                .map_err(|_| Refusal::bad_request("Invalid X-Upload-Content-Length header."))?,
        ),
        None => None,
    };
    let object = call.metadata()?;
    let (target, place, freed) = if call.path.len() > 1 {
        Metadata::read(&object, false)?;
        let all_drives = call.query.all_drives()?;
        let item = state.look_up(&call.caller, call.segment(1), all_drives)?;
        state.require(&call.caller, &item.id, Role::Writer)?;
        let place = item.parent.clone().unwrap_or_else(|| item.id.clone());
        (Target::Update(item.id.clone(), object), place, item.size())
    } else {
        let metadata = Metadata::read(&object, true)?;
        let place = files::check_new(state, &call.query, &call.caller, &metadata)?;
        (Target::Create(object), place, 0)
    };
    state.check_storage(&call.caller.email, &place, total.unwrap_or(0), freed)?;
    let id = ids::random(100);
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(&call.query)
        .append_pair("upload_id", &id)
        .finish();
    let location = format!("{}/upload/drive/v3/{}?{query}", call.base, call.path.join("/"));
    let session = Session {
        caller: call.caller.clone(),
        target,
        query: call.query.clone(),
        mime: header("x-upload-content-type").map(str::to_owned),
        total,
        received: BytesMut::new(),
        acknowledged: 0,
        writer: 0,
        end: None,
    };
    state.sessions.insert(id.clone(), session);
    let uploader = HeaderName::from_static("x-guploader-uploadid");
    Ok(Reply::empty(200).with(LOCATION, location).with(uploader, id))
}

pub(super) fn cancel(state: &mut State, call: &Call) -> Result<Reply, Refusal> {
    let id = call.query.text("upload_id").unwrap_or_default();
    let session = state.sessions.get_mut(id).filter(|session| session.end.is_none());
    let session = session.ok_or_else(missing)?;
    session.end = Some(End::Cancelled);
    session.received = BytesMut::new();
    Ok(Reply::empty(499))
}

fn missing() -> Refusal {
    Refusal::new(404, "notFound", "Not Found")
}

/// Bytes that are about to come for a session.
#[derive(Debug)]
pub(crate) struct Chunk {
    session: String,
    writer: u64,
    /// Bytes at its begin that are there already.
    skip: u64,
    /// Where it ends in the file, if that was told.
    end: Option<u64>,
    /// The file ends with it.
    last: bool,
}

/// Whether a request asks how far an upload is: `Content-Range: bytes */N`.
pub(crate) fn asks(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_RANGE).is_some_and(|range| range.as_bytes().starts_with(b"bytes */"))
}

/// Begins to take a chunk. Fails with what to answer, at once.
pub(crate) fn begin(state: &mut State, id: &str, headers: &HeaderMap) -> Result<Chunk, Reply> {
    let any_size = state.has(Bug::AnyChunk);
    let session = state.sessions.get_mut(id).ok_or_else(missing)?;
    match &session.end {
        None => {}
        Some(End::Done(body)) => return Err(Reply::json(200, body.clone())),
        Some(End::Cancelled | End::Expired) => return Err(missing().into()),
    }
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let length: Option<u64> = text(CONTENT_LENGTH).and_then(|length| length.parse().ok());
    let wrong = |message: String| Reply::from(Refusal::bad_request(message));
    let (first, end, total) = match text(CONTENT_RANGE) {
        None => (0, length, length),
        Some(range) => {
            let parsed = content_range(range);
            let (first, last, total) =
                parsed.ok_or_else(|| wrong(format!("Failed to parse Content-Range: {range}")))?;
            (first, Some(last + 1), total)
        }
    };
    if total.is_some() && session.total.is_some() && total != session.total {
        return Err(wrong("The size of the upload is not what was announced.".to_owned()));
    }
    session.total = session.total.or(total);
    // No range: all that there is. With a range, the last chunk is the one that ends at the end.
    let last = end.is_none() || session.total == end;
    if let (Some(length), Some(end)) = (length, end)
        && end.checked_sub(first) != Some(length)
    {
        return Err(wrong(format!(
            "Invalid request. There were {length} byte(s) in the request body. There should have \
             been {} byte(s) (starting at offset {first} and ending at offset {}) according to \
             the Content-Range header.",
            end.saturating_sub(first),
            end.saturating_sub(1),
        )));
    }
    if !last && !any_size && !(end.unwrap_or(0) - first).is_multiple_of(UNIT) {
        return Err(wrong(
            "Invalid request. The number of bytes uploaded is required to be equal or greater \
             than 262144, except for the final request (it's recommended to be the exact multiple \
             of 262144)."
                .to_owned(),
        ));
    }
    let have = session.received.len() as u64;
    let Some(skip) = have.checked_sub(first) else {
        let message = format!("The chunk begins at byte {first}, but only {have} bytes are here.");
        return Err(wrong(message));
    };
    session.writer += 1;
    Ok(Chunk { session: id.to_owned(), writer: session.writer, skip, end, last })
}

impl Chunk {
    fn session<'a>(&self, state: &'a mut State) -> Option<&'a mut Session> {
        let session = state.sessions.get_mut(&self.session);
        session.filter(|session| session.writer == self.writer && session.end.is_none())
    }

    /// Takes bytes of the chunk. `false`: another request goes on with this upload, or it ended.
    pub(crate) fn take(&mut self, state: &mut State, bytes: &[u8]) -> bool {
        let skipped = self.skip.min(bytes.len() as u64);
        self.skip -= skipped;
        let Some(session) = self.session(state) else { return false };
        session.received.extend_from_slice(&bytes[skipped as usize..]);
        true
    }

    /// The connection broke: keeps what Drive would keep, a multiple of `unit` bytes.
    pub(crate) fn broke(&self, state: &mut State, unit: usize) {
        if let Some(session) = self.session(state) {
            session.truncate(unit);
        }
    }

    /// All bytes came: makes the file if it is complete.
    pub(crate) fn finish(self, state: &mut State) -> Reply {
        let forgets = state.has(Bug::LastChunk);
        let Some(session) = self.session(state) else { return missing().into() };
        let have = session.received.len() as u64;
        if self.end.is_some_and(|end| end > have) {
            session.truncate(UNIT as usize);
            return Refusal::bad_request("The body is shorter than Content-Range says.").into();
        }
        if !self.last {
            session.acknowledged = session.received.len();
            return incomplete(session);
        }
        if forgets && session.acknowledged > 0 {
            session.received.truncate(session.acknowledged);
        }
        commit(state, &self.session)
    }
}

/// Tells how far an upload is, and completes it if nothing is missing but that it was said.
/// `unit`: what Drive keeps of a chunk whose connection broke.
pub(crate) fn query(state: &mut State, id: &str, headers: &HeaderMap, unit: usize) -> Reply {
    let Some(session) = state.sessions.get_mut(id) else { return missing().into() };
    match &session.end {
        None => {}
        Some(End::Done(body)) => return Reply::json(200, body.clone()),
        Some(End::Cancelled | End::Expired) => return missing().into(),
    }
    // Who asks has given up on a request that may still be under way.
    session.writer += 1;
    session.truncate(unit);
    let range = headers.get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    let total = range.and_then(|range| range.strip_prefix("bytes */")).unwrap_or_default();
    if total != "*" {
        let Ok(total) = total.parse() else {
            return Refusal::bad_request("Failed to parse Content-Range.").into();
        };
        if session.total.is_some_and(|known| known != total) {
            let message = "The size of the upload is not what was announced.";
            return Refusal::bad_request(message).into();
        }
        session.total = Some(total);
    }
    if session.total == Some(session.received.len() as u64) {
        return commit(state, id);
    }
    incomplete(session)
}

fn incomplete(session: &Session) -> Reply {
    let reply = Reply::empty(308);
    match session.received.len() {
        0 => reply,
        have => reply.with(RANGE, format!("bytes=0-{}", have - 1)),
    }
}

/// Makes of an upload what it was for.
fn commit(state: &mut State, id: &str) -> Reply {
    let session = state.sessions.get_mut(id).expect("the session is there");
    let content = Some(std::mem::take(&mut session.received).freeze());
    let (query, caller) = (session.query.clone(), session.caller.clone());
    let (target, mime) = (session.target.clone(), session.mime.clone());
    let made = match &target {
        Target::Create(metadata) => {
            files::make(state, &query, &caller, metadata, content, mime.as_deref())
        }
        Target::Update(file, metadata) => {
            files::alter(state, &query, &caller, file, metadata, content)
        }
    };
    let reply = made.and_then(|file| files::show(state, &query, &caller, &file));
    let session = state.sessions.get_mut(id).expect("the session is there");
    match reply {
        Ok(reply) => {
            session.end = Some(End::Done(reply.body.clone()));
            reply
        }
        Err(refusal) => {
            session.end = Some(End::Cancelled);
            refusal.into()
        }
    }
}

/// Reads `bytes 0-9/20` and `bytes 0-9/*`.
fn content_range(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    (first <= last && total.is_none_or(|total| last < total)).then_some((first, last, total))
}

/// The parts of a multipart upload.
#[derive(Debug)]
struct Parts {
    metadata: Bytes,
    mime: Option<String>,
    content: Bytes,
}

/// Reads the boundary of `multipart/related; boundary="..."`.
fn boundary(kind: &str) -> Option<String> {
    let mut parts = kind.split(';').map(str::trim);
    if !parts.next()?.to_ascii_lowercase().starts_with("multipart/") {
        return None;
    }
    let value = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then_some(value)
    })?;
    Some(value.trim().trim_matches('"').to_owned())
}

/// Splits a body into metadata and content. Lines end as the first one does, with CRLF (as it
/// should be) or LF; the last line end belongs to the boundary. `keep`: to the content.
fn parts(body: &Bytes, boundary: &str, keep: bool) -> Option<Parts> {
    let open = format!("--{boundary}");
    let begin = find(body, open.as_bytes())?;
    let newline = if body.get(begin + open.len()..)?.starts_with(b"\r\n") { "\r\n" } else { "\n" };
    let after = |at: usize, mark: &str| {
        find(&body[at..], mark.as_bytes()).map(|found| (at + found, at + found + mark.len()))
    };
    let blank = format!("{newline}{newline}");
    let between = format!("{newline}{open}{newline}");
    let (_, metadata) = after(begin, &blank)?;
    let (metadata_end, head) = after(metadata, &between)?;
    let (head_end, content) = if body[head..].starts_with(newline.as_bytes()) {
        (head, head + newline.len())
    } else {
        after(head, &blank)?
    };
    // The content may be large, and its end is near that of the body.
    let close = format!("{newline}{open}--");
    let mut content_end = body.windows(close.len()).rposition(|at| at == close.as_bytes())?;
    if keep {
        content_end += newline.len();
    }
    let headers = std::str::from_utf8(&body[head..head_end]).ok()?;
    let header = |wanted: &str| {
        headers.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim().to_owned())
        })
    };
    let encoding = header("content-transfer-encoding").unwrap_or_default();
    if content_end < content || encoding.eq_ignore_ascii_case("base64") {
        return None;
    }
    Some(Parts {
        metadata: body.slice(metadata..metadata_end),
        mime: header("content-type"),
        content: body.slice(content..content_end),
    })
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|at| at == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_of_a_multipart_body_is_exact() {
        for newline in ["\r\n", "\n"] {
            for content in ["", "\n", "\r\n", "a\r", "--b", "x--b--y", "a\n\nb\r\n\r\n"] {
                let body = [
                    "--b",
                    "Content-Type: application/json",
                    "",
                    "{\"a\":1}",
                    "--b",
                    "Content-Type: text/plain",
                    "",
                    content,
                    "--b--",
                    "",
                ]
                .join(newline);
                let parts = parts(&Bytes::from(body), "b", false).expect(content);
                assert_eq!(parts.metadata, "{\"a\":1}");
                assert_eq!(parts.content, content);
                assert_eq!(parts.mime.as_deref(), Some("text/plain"));
            }
        }
    }

    #[test]
    fn a_part_may_have_no_headers() {
        let body = Bytes::from("--b\r\nX: y\r\n\r\n{}\r\n--b\r\n\r\ncontent\r\n--b--");
        assert_eq!(parts(&body, "b", false).unwrap().content, "content");
    }

    #[test]
    fn boundaries_may_be_quoted() {
        let kind = r#"multipart/related; charset=utf-8; boundary="=b=""#;
        assert_eq!(boundary(kind).as_deref(), Some("=b="));
        assert_eq!(boundary("Multipart/Related;boundary=b").as_deref(), Some("b"));
        assert_eq!(boundary("text/plain; boundary=b"), None);
    }

    #[test]
    fn ranges_of_chunks_are_read() {
        assert_eq!(content_range("bytes 0-9/20"), Some((0, 9, Some(20))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, 9, None)));
        for wrong in ["bytes 9-5/20", "bytes 0-20/20", "bytes */20", "0-9/20", "bytes 0-9"] {
            assert_eq!(content_range(wrong), None, "{wrong}");
        }
    }
}
