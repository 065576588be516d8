//! Large uploads: a session of Drive's, to which chunks are streamed, and which a token resumes.
//!
//! A token names the session, and holds what it is for and the state of the md5 at some bytes
//! (marks): so the digest of the whole is known also where only the rest was sent. The session's
//! address is a secret: in a token it is sealed. The last byte is held back until `finish`: without it,
//! Drive commits nothing.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use md5::digest::common::hazmat::{SerializableState, SerializedState};
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use sitesync_provider::{Error, ErrorKind, Metadata, Result, SweepOptions, Swept};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::api::{Facts, Progress};
use crate::config::CHUNK_STEP;
use crate::errors::is_gone;
use crate::model::{File, from_hex, id_of, to_hex};
use crate::resolve::TRIES;
use crate::write::Plan;
use crate::{Account, named};

/// Marks within a chunk.
const MARKS: u64 = 16;
/// Pieces of a chunk that wait to be sent.
const WAITING: usize = 2;

/// What resumes an upload.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    /// The session's address, sealed.
    session: String,
    root: String,
    path: String,
    size: u64,
    modified_time: Option<String>,
    /// The id of the file that is made or replaced, and the folder of one that is made.
    file: String,
    folder: Option<String>,
    /// State of the md5 at a byte.
    marks: Vec<(u64, String)>,
}

impl Token {
    fn read(token: &[u8]) -> Option<Self> {
        serde_json::from_slice(token).ok()
    }
}

/// The sessions that this machine has begun and not ended, across restarts.
pub(crate) struct Sessions {
    file: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By address: root and bytes.
    begun: BTreeMap<String, (String, u64)>,
    /// Those that are written to right now.
    live: HashSet<String>,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("begun", &self.lock().begun.len()).finish_non_exhaustive()
    }
}

impl Sessions {
    pub(crate) fn open(cache: &Path) -> Self {
        let file = cache.join("sessions");
        let begun = std::fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let state = State { begun: begun.unwrap_or_default(), live: HashSet::new() };
        Sessions { file, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        let text = serde_json::to_vec(&state.begun).unwrap_or_default();
        let fresh = self.file.with_extension("new");
        let written =
            write_private(&fresh, &text).and_then(|()| std::fs::rename(&fresh, &self.file));
        if let Err(error) = written {
            tracing::debug!(%error, "open uploads can't be remembered");
        }
    }

    fn begins(self: &Arc<Self>, session: &str, root: &str, size: u64) -> Live {
        self.change(|state| {
            state.begun.insert(session.to_owned(), (root.to_owned(), size));
            state.live.insert(session.to_owned());
        });
        Live { sessions: self.clone(), session: session.to_owned() }
    }

    /// Takes a session up; `None` while another write goes on with it.
    fn takes(self: &Arc<Self>, session: &str) -> Option<Live> {
        let mut state = self.lock();
        let free = state.live.insert(session.to_owned());
        free.then(|| Live { sessions: self.clone(), session: session.to_owned() })
    }

    fn ended(&self, session: &str) {
        self.change(|state| {
            state.begun.remove(session);
        });
    }
}

/// A file that only this user reads.
fn write_private(path: &Path, text: &[u8]) -> io::Result<()> {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text)
}

/// A session that somebody writes to.
struct Live {
    sessions: Arc<Sessions>,
    session: String,
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}

impl Live {
    fn ended(&self) {
        self.sessions.ended(&self.session);
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.sessions.lock().live.remove(&self.session);
    }
}

/// A large file being written.
#[derive(Debug)]
pub(crate) struct Upload {
    plan: Plan,
    live: Live,
    file: String,
    folder: Option<String>,
    /// The byte from which it goes on.
    offset: u64,
    /// Bytes that the caller has written.
    written: u64,
    /// Bytes that Drive has, and that were given to the chunk under way besides.
    arrived: u64,
    sent: u64,
    chunk: Option<Chunk>,
    /// The last byte.
    held: Bytes,
    md5: Md5,
    marks: VecDeque<(u64, String)>,
    /// The distance of marks.
    step: u64,
}

/// A chunk that is being sent.
#[derive(Debug)]
struct Chunk {
    to: u64,
    pieces: mpsc::Sender<Bytes>,
    answer: Answer,
}

/// The request of a chunk. It ends with whoever waits for it.
#[derive(Debug)]
struct Answer(JoinHandle<Result<Progress>>);

impl Drop for Answer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Chunk {
    /// What Drive says once all pieces are there, or before.
    async fn answer(self) -> Result<Progress> {
        let Chunk { pieces, mut answer, .. } = self;
        drop(pieces);
        let answer = (&mut answer.0).await;
        answer.unwrap_or_else(|error| Err(Error::new(ErrorKind::Unexpected, error.to_string())))
    }
}

impl Upload {
    /// Goes on with what a token stands for, or begins anew.
    pub(crate) async fn open(plan: Plan, resume: Option<Vec<u8>>) -> Result<Self> {
        let token = resume.as_deref().and_then(Token::read);
        if let Some(token) = token.filter(|token| plan.is_for(token)) {
            match Self::resume(&plan, token).await? {
                Some(resumed) => return Ok(resumed.upload(plan)),
                None => tracing::debug!(path = plan.path, "an upload begins anew"),
            }
        }
        Self::begin(plan).await
    }

    async fn resume(plan: &Plan, token: Token) -> Result<Option<Resumed>> {
        let sessions = &plan.account.sessions;
        let session = plan.account.client.seal().open(&token.session);
        let session = session.filter(|session| plan.account.client.is_ours(session));
        let Some(session) = session else { return Ok(None) };
        let Some(live) = sessions.takes(&session) else { return Ok(None) };
        match plan.account.client.query_upload(&session, plan.size).await? {
            Progress::Arrived(arrived) => {
                let mark = token.marks.iter().filter(|(at, _)| *at <= arrived).max();
                let start = match mark {
                    Some((at, state)) => restored(state).map(|md5| (*at, md5)),
                    None => Some((0, Md5::new())),
                };
                let Some((offset, md5)) = start else { return Ok(None) };
                Ok(Some(Resumed { live, token, arrived, offset, md5 }))
            }
            Progress::Done(_) => {
                // It went through, and nobody heard of it: what is there is looked at.
                live.ended();
                if let Some(folder) = &token.folder {
                    plan.account.tree.begins(folder, plan.name(), &token.file);
                    let place = plan.place().await?;
                    plan.free(&place, None).await?;
                }
                Ok(None)
            }
            Progress::Expired => {
                live.ended();
                Ok(None)
            }
        }
    }

    async fn begin(plan: Plan) -> Result<Self> {
        let account = plan.account.clone();
        let (file, folder, session) = match &plan.version {
            Some(version) => {
                let file = {
                    let (_turn, file) = plan.replaced(version).await?;
                    file.id
                };
                let facts = plan.facts();
                let session = account.client.start_upload(Some(&file), &facts, plan.size).await?;
                (file, None, session)
            }
            None => {
                let mut tries = 0;
                loop {
                    tries += 1;
                    let (folder, id) = {
                        let place = plan.place().await?;
                        plan.free(&place, None).await?;
                        let id = plan.new_id(&place).await?;
                        (place.folder, id)
                    };
                    let facts = Facts {
                        id: Some(&id),
                        parent: Some(&folder),
                        name: Some(plan.name()),
                        ..plan.facts()
                    };
                    match account.client.start_upload(None, &facts, plan.size).await {
                        Ok(session) => break (id, Some(folder), session),
                        // An earlier write with this id went through after all.
                        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                            account.tree.doubt(&folder);
                            return Err(error);
                        }
                        Err(error) if is_gone(&error) && tries < TRIES => plan.lost_its_folder(),
                        Err(error) if is_gone(&error) => {
                            return Err(account.vanished(&plan.root, error).await);
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
        };
        let live = account.sessions.begins(&session, &plan.root.text, plan.size);
        let step = step(&plan);
        Ok(Upload {
            plan,
            live,
            file,
            folder,
            offset: 0,
            written: 0,
            arrived: 0,
            sent: 0,
            chunk: None,
            held: Bytes::new(),
            md5: Md5::new(),
            marks: VecDeque::new(),
            step,
        })
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// What resumes this upload. Asks nobody.
    pub(crate) fn token(&self) -> Result<Vec<u8>> {
        let token = Token {
            session: self.plan.account.client.seal().seal(&self.live.session)?,
            root: self.plan.root.text.clone(),
            path: self.plan.path.clone(),
            size: self.plan.size,
            modified_time: self.plan.modified_time.clone(),
            file: self.file.clone(),
            folder: self.folder.clone(),
            marks: self.marks.iter().cloned().collect(),
        };
        Ok(serde_json::to_vec(&token).unwrap_or_default())
    }

    pub(crate) async fn write(&mut self, mut bytes: Bytes) -> Result<()> {
        self.plan.op.check()?;
        self.plan.fits(self.written + bytes.len() as u64)?;
        while !bytes.is_empty() {
            let to_mark = self.step - self.written % self.step;
            let part = bytes.split_to(bytes.len().min(usize::try_from(to_mark).unwrap_or(1)));
            self.md5.update(&part);
            let from = self.written;
            self.written += part.len() as u64;
            if self.written.is_multiple_of(self.step) {
                self.marks.push_back((self.written, saved(&self.md5)));
            }
            let sent = self.send(from, part).await;
            sent.map_err(named("write", &self.plan.path))?;
        }
        Ok(())
    }

    /// Gives a part to the chunk under way; what Drive has already is left out.
    async fn send(&mut self, from: u64, mut part: Bytes) -> Result<()> {
        let known = self.sent.saturating_sub(from).min(part.len() as u64);
        drop(part.split_to(usize::try_from(known).unwrap_or(usize::MAX)));
        if self.written == self.plan.size && !part.is_empty() {
            self.held = part.split_off(part.len() - 1);
        }
        while !part.is_empty() {
            let chunk = self.chunk();
            let room = usize::try_from(chunk.to - self.sent).unwrap_or(usize::MAX);
            let piece = part.split_to(part.len().min(room));
            let length = piece.len() as u64;
            let chunk = self.chunk();
            if chunk.pieces.send(piece).await.is_err() {
                return self.broken().await;
            }
            self.sent += length;
            if self.chunk().to == self.sent {
                self.chunk_ends().await?;
            }
        }
        Ok(())
    }

    /// The chunk under way; a new one where there is none.
    fn chunk(&mut self) -> &mut Chunk {
        let (from, size) = (self.sent, self.plan.size);
        let to = size.min(from + self.plan.root.settings.chunk_size);
        let (account, session) = (&self.plan.account, &self.live.session);
        self.chunk.get_or_insert_with(|| {
            let (pieces, waiting) = mpsc::channel(WAITING);
            let (account, session) = (account.clone(), session.clone());
            let body = reqwest::Body::wrap_stream(Pieces { waiting, left: to - from });
            let answer = tokio::spawn(async move {
                account.client.send_chunk(&session, from, to, size, body).await
            });
            Chunk { to, pieces, answer: Answer(answer) }
        })
    }

    /// All of a chunk was given: waits until Drive has it.
    async fn chunk_ends(&mut self) -> Result<()> {
        let Some(chunk) = self.chunk.take() else { return Ok(()) };
        match chunk.answer().await? {
            Progress::Arrived(arrived) if arrived == self.sent => {
                self.arrived = arrived;
                // The last mark that Drive has reached, and those beyond.
                while self.marks.get(1).is_some_and(|(at, _)| *at <= arrived) {
                    self.marks.pop_front();
                }
                Ok(())
            }
            Progress::Arrived(arrived) => {
                let why =
                    format!("only {arrived} bytes of {} arrived; it has to be resumed", self.sent);
                Err(Error::new(ErrorKind::Interrupted, why))
            }
            Progress::Done(_) => {
                let why = "Drive says that it has the whole file, of which a part was sent";
                Err(Error::new(ErrorKind::Unexpected, why))
            }
            Progress::Expired => Err(self.expired()),
        }
    }

    /// The request of a chunk ended before all was given to it.
    async fn broken(&mut self) -> Result<()> {
        let Some(chunk) = self.chunk.take() else { return Ok(()) };
        match chunk.answer().await? {
            Progress::Expired => Err(self.expired()),
            _ => {
                let why = "Drive answered before it had all; it has to be resumed";
                Err(Error::new(ErrorKind::Interrupted, why))
            }
        }
    }

    fn expired(&self) -> Error {
        self.live.ended();
        Error::new(ErrorKind::Interrupted, "Drive has forgotten this upload, which begins anew")
    }

    pub(crate) async fn finish(mut self) -> Result<Metadata> {
        if let Err(torn) = self.plan.is_whole(self.written) {
            self.cancel().await;
            return Err(torn);
        }
        let path = self.plan.path.clone();
        let finished = match self.plan.version.clone() {
            None => self.create().await,
            Some(version) => self.replace(&version).await,
        };
        let file = match finished {
            Ok(file) => file,
            Err(error) => {
                // To go on with it would be refused again.
                if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::Precondition) {
                    self.cancel().await;
                }
                return Err(named("write", &path)(error));
            }
        };
        Ok(file.metadata())
    }

    async fn create(&mut self) -> Result<File> {
        let place = self.plan.place().await?;
        let digest = self.digest();
        if let Some(file) = self.plan.free(&place, Some(&digest)).await? {
            self.live.ended();
            return Ok(file);
        }
        if self.folder.as_ref() != Some(&place.folder) {
            self.cancel().await;
            let why = "its folder is another one now: the upload begins anew";
            return Err(Error::new(ErrorKind::Interrupted, why));
        }
        self.plan.op.check()?;
        place.begins(&self.plan, &self.file);
        let answer = self.commit().await;
        if answer.is_ok() {
            self.live.ended();
        }
        let made = self.plan.created(&place, &self.file, answer, &digest).await;
        made.map_err(|error| {
            if is_gone(&error) {
                self.plan.lost_its_folder();
                self.live.ended();
                let why = "its folder is gone: the upload begins anew";
                return Error::new(ErrorKind::Interrupted, why);
            }
            error
        })
    }

    async fn replace(&mut self, version: &str) -> Result<File> {
        let (_turn, _) = self.plan.replaced(version).await?;
        self.plan.op.check()?;
        let file = self.commit().await?;
        self.live.ended();
        let digest = self.digest();
        self.plan.replaced_by(file, &digest)
    }

    fn digest(&self) -> Vec<u8> {
        self.md5.clone().finalize().to_vec()
    }

    /// Sends the last byte, and waits for the file.
    async fn commit(&mut self) -> Result<File> {
        let held = std::mem::take(&mut self.held);
        let sent = self.chunk().pieces.send(held).await;
        let Some(chunk) = self.chunk.take() else {
            return Err(Error::new(ErrorKind::Unexpected, "no chunk is under way"));
        };
        match chunk.answer().await? {
            Progress::Done(file) => Ok(*file),
            Progress::Expired => Err(self.expired()),
            Progress::Arrived(arrived) => {
                let whole = if sent.is_ok() { "all" } else { "a part" };
                let why = format!("{whole} was sent, and only {arrived} bytes arrived");
                Err(Error::new(ErrorKind::Interrupted, why))
            }
        }
    }

    /// Throws the session away, as far as Drive answers: a sweep does what is left.
    async fn cancel(&mut self) {
        self.chunk = None;
        match self.plan.account.client.cancel_upload(&self.live.session).await {
            Ok(()) => self.live.ended(),
            Err(error) => tracing::debug!(%error, "an upload is still to be cancelled"),
        }
    }

    pub(crate) async fn discard(mut self) -> Result<()> {
        self.chunk = None;
        let cancelled = self.plan.account.client.cancel_upload(&self.live.session).await;
        cancelled.map_err(named("discard", &self.plan.path))?;
        self.live.ended();
        Ok(())
    }
}

/// What of a token can be gone on with.
struct Resumed {
    live: Live,
    token: Token,
    arrived: u64,
    offset: u64,
    md5: Md5,
}

impl Resumed {
    fn upload(self, plan: Plan) -> Upload {
        let Resumed { live, token, arrived, offset, md5 } = self;
        let step = step(&plan);
        let mut marks = VecDeque::new();
        if offset > 0 {
            marks.push_back((offset, saved(&md5)));
        }
        Upload {
            plan,
            live,
            file: token.file,
            folder: token.folder,
            offset,
            written: offset,
            arrived,
            sent: arrived,
            chunk: None,
            held: Bytes::new(),
            md5,
            marks,
            step,
        }
    }
}

impl Plan {
    /// True for a token of a write like this one.
    fn is_for(&self, token: &Token) -> bool {
        let target = match &self.version {
            None => token.folder.is_some(),
            Some(version) => token.folder.is_none() && id_of(version) == Some(&token.file),
        };
        target
            && token.root == self.root.text
            && token.path == self.path
            && token.size == self.size
            && token.modified_time == self.modified_time
    }
}

impl Account {
    /// Cancels the uploads of a root that no token needs.
    pub(crate) async fn sweep(&self, root: &str, how: &SweepOptions) -> Result<Swept> {
        let address = |token: &Vec<u8>| self.client.seal().open(&Token::read(token)?.session);
        let kept: HashSet<String> = how.keep.iter().filter_map(address).collect();
        let left: Vec<(String, u64)> = {
            let state = self.sessions.lock();
            let ours = state.begun.iter().filter(|(session, (of, _))| {
                of == root && !kept.contains(*session) && !state.live.contains(*session)
            });
            ours.map(|(session, (_, size))| (session.clone(), *size)).collect()
        };
        let (mut count, mut bytes) = (0, 0);
        for (session, size) in left {
            // One that an earlier endpoint gave is nothing that we could cancel.
            if self.client.is_ours(&session) {
                self.client.cancel_upload(&session).await.map_err(named("sweep", root))?;
            }
            self.sessions.ended(&session);
            count += 1;
            bytes += size;
        }
        Ok(Swept::new(count, bytes))
    }
}

/// Marks lie so far apart: some in each chunk, where Drive may have got to.
fn step(plan: &Plan) -> u64 {
    (plan.root.settings.chunk_size / MARKS).next_multiple_of(CHUNK_STEP).max(CHUNK_STEP)
}

fn saved(md5: &Md5) -> String {
    to_hex(&md5.serialize())
}

fn restored(state: &str) -> Option<Md5> {
    let state = from_hex(state)?;
    let state = SerializedState::<Md5>::try_from(state.as_slice()).ok()?;
    Md5::deserialize(&state).ok()
}

/// The body of a chunk, as its pieces come. One that ends early is an error: Drive must not take
/// it for whole.
struct Pieces {
    waiting: mpsc::Receiver<Bytes>,
    left: u64,
}

impl Stream for Pieces {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.waiting.poll_recv(context).map(|piece| match piece {
            Some(piece) => {
                self.left = self.left.saturating_sub(piece.len() as u64);
                Some(Ok(piece))
            }
            None => {
                self.left = 0;
                Some(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the write was given up")))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_goes_on_from_its_mark() {
        let content: Vec<u8> = (0..300_000).map(|n| (n % 251) as u8).collect();
        let (first, rest) = content.split_at(262_144);
        let mut md5 = Md5::new();
        md5.update(first);
        let mut again = restored(&saved(&md5)).unwrap();
        again.update(rest);
        assert_eq!(again.finalize(), Md5::digest(&content));
        for nonsense in ["", "00", "zz", &"ff".repeat(1000)] {
            assert!(restored(nonsense).is_none(), "{nonsense:?}");
        }
    }

    #[test]
    fn nonsense_is_no_token() {
        for nonsense in [&b""[..], b"nonsense", b"{}", b"{\"offset\":100}", b"\0\xff", b"[]"] {
            assert!(Token::read(nonsense).is_none());
        }
    }

    #[test]
    fn open_uploads_are_remembered_and_damage_is_not() {
        let temp = tempfile::tempdir().unwrap();
        let sessions = Arc::new(Sessions::open(temp.path()));
        let live = sessions.begins("http://a/1", "/r", 7);
        assert!(sessions.takes("http://a/1").is_none(), "somebody writes to it");
        drop(live);
        let next = Arc::new(Sessions::open(temp.path()));
        assert_eq!(next.lock().begun.get("http://a/1"), Some(&("/r".to_owned(), 7)));
        next.takes("http://a/1").unwrap().ended();
        assert!(Sessions::open(temp.path()).lock().begun.is_empty());
        std::fs::write(temp.path().join("sessions"), b"{\"half").unwrap();
        assert!(Sessions::open(temp.path()).lock().begun.is_empty());
    }
}
