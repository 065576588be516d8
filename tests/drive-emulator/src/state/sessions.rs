//! Resumable uploads.

use bytes::{Bytes, BytesMut};
use serde_json::Value;

use super::{Caller, State};

/// What an upload will be.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// A new file with this metadata.
    Create(Value),
    /// New content, and this metadata, of the file of this id.
    Update(String, Value),
}

/// An upload that comes in pieces.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) caller: Caller,
    pub(crate) target: Target,
    /// The parameters of the request that began it: the answer's `fields` are there.
    pub(crate) query: Vec<(String, String)>,
    pub(crate) mime: Option<String>,
    /// Bytes in all, as soon as that is known.
    pub(crate) total: Option<u64>,
    pub(crate) received: BytesMut,
    /// Bytes that a client was told to be safe.
    pub(crate) acknowledged: usize,
    /// Counts requests that write: only the last one may.
    pub(crate) writer: u64,
    pub(crate) end: Option<End>,
}

/// How an upload ended.
#[derive(Debug, Clone)]
pub(crate) enum End {
    /// The file is there: this was the answer.
    Done(Bytes),
    Cancelled,
    Expired,
}

impl Session {
    /// Forgets what Drive would not have kept when a connection breaks: all that comes after a
    /// multiple of `unit` bytes.
    pub(crate) fn truncate(&mut self, unit: usize) {
        let kept = self.received.len() / unit * unit;
        self.received.truncate(kept.max(self.acknowledged));
    }
}

impl State {
    pub(crate) fn open_sessions(&self) -> usize {
        self.sessions.values().filter(|session| session.end.is_none()).count()
    }

    pub(crate) fn expire_sessions(&mut self) {
        for session in self.sessions.values_mut().filter(|session| session.end.is_none()) {
            session.end = Some(End::Expired);
            session.received = BytesMut::new();
        }
    }
}
