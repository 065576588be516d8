//! Drive API v3: what each request does.
//!
//! A [`Call`] is a request whose body is here; [`answer`] does what it says and returns the
//! [`Reply`]. What is refused changes nothing. Chunks of resumable uploads are the exception: their
//! bytes go into the session while they come ([`upload`]).

mod about;
mod changes;
mod files;
mod list;
mod media;
mod metadata;
pub(crate) mod resource;
pub(crate) mod upload;

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{CONTENT_TYPE, HeaderName};
use serde_json::Value;

use crate::fields::{Fields, Shape};
use crate::refusal::Refusal;
use crate::requests::Kind;
use crate::state::{Caller, Item, Role, Scope, State};

/// A request for the API.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) kind: Kind,
    /// What stands in the path behind `/drive/v3/` or `/upload/drive/v3/`, decoded.
    pub(crate) path: Vec<String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) caller: Caller,
    /// `http://127.0.0.1:PORT`: what the client calls this server.
    pub(crate) base: String,
    /// Uploaded content is damaged.
    pub(crate) damaged: bool,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(HeaderName, String)>,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn empty(status: u16) -> Reply {
        Reply { status, headers: Vec::new(), body: Bytes::new() }
    }

    pub(crate) fn json(status: u16, body: Bytes) -> Reply {
        Reply { body, ..Reply::empty(status) }.with(CONTENT_TYPE, "application/json; charset=UTF-8")
    }

    pub(crate) fn with(mut self, name: HeaderName, value: impl Into<String>) -> Reply {
        self.headers.push((name, value.into()));
        self
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Reply {
        Reply::json(refusal.status, refusal.body())
    }
}

/// Parameters of a request.
pub(crate) trait Parameters {
    fn text(&self, name: &str) -> Option<&str>;

    fn flag(&self, name: &'static str) -> Result<bool, Refusal> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => {
                Err(Refusal::invalid(name, format!("Invalid boolean value: '{other}'.")))
            }
        }
    }

    fn number(
        &self,
        name: &'static str,
        default: usize,
        allowed: std::ops::RangeInclusive<usize>,
    ) -> Result<usize, Refusal> {
        let Some(text) = self.text(name) else { return Ok(default) };
        let number = text.parse().ok().filter(|number| allowed.contains(number));
        number.ok_or_else(|| {
            let (least, most) = (allowed.start(), allowed.end());
            let message = format!(
                "Invalid value '{text}'. Values must be within the range: [{least}, {most}]"
            );
            Refusal::invalid(name, message)
        })
    }

    /// Whether the client knows of shared drives.
    fn all_drives(&self) -> Result<bool, Refusal> {
        Ok(self.flag("supportsAllDrives")? || self.flag("supportsTeamDrives")?)
    }

    fn fields(&self, shape: &Shape, default: &str) -> Result<Fields, Refusal> {
        // An empty mask is none: rclone sends one.
        let mask = self.text("fields").filter(|mask| !mask.is_empty());
        Fields::parse(mask.unwrap_or(default), shape)
    }
}

impl Parameters for [(String, String)] {
    fn text(&self, name: &str) -> Option<&str> {
        self.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Does what is asked.
pub(crate) fn answer(state: &mut State, call: &Call) -> Reply {
    let done = allowed(call).and_then(|()| match call.kind {
        Kind::About => about::about(state, call),
        Kind::DriveGet => about::drive(state, call),
        Kind::DriveList => about::drives(state, call),
        Kind::GenerateIds => files::generate_ids(state, call),
        Kind::Get => files::get(state, call),
        Kind::Media => media::media(state, call),
        Kind::List => list::list(state, call),
        Kind::Create => files::create(state, call),
        Kind::Update => files::update(state, call),
        Kind::Copy => files::copy(state, call),
        Kind::Delete => files::delete(state, call),
        Kind::Revisions => files::revisions(state, call),
        Kind::Changes => changes::changes(state, call),
        Kind::StartPageToken => changes::start(state, call),
        Kind::Multipart | Kind::UpdateMultipart => upload::whole(state, call),
        Kind::StartUpload => upload::start(state, call),
        Kind::CancelUpload => upload::cancel(state, call),
        Kind::Token | Kind::Chunk | Kind::QueryUpload | Kind::Unknown => {
            Err(Refusal::new(404, "notFound", "Not Found"))
        }
    });
    done.unwrap_or_else(Reply::from)
}

/// Fails if the token's scope is too narrow.
fn allowed(call: &Call) -> Result<(), Refusal> {
    let writes = matches!(
        call.kind,
        Kind::Create
            | Kind::Multipart
            | Kind::StartUpload
            | Kind::CancelUpload
            | Kind::Update
            | Kind::UpdateMultipart
            | Kind::Copy
            | Kind::Delete
            | Kind::GenerateIds
    );
    if writes && call.caller.scope == Scope::Read {
        let message = "Request had insufficient authentication scopes.";
        return Err(Refusal::new(403, "insufficientPermissions", message));
    }
    Ok(())
}

impl Call {
    /// Reads the body as a JSON object; an empty one has no members.
    fn metadata(&self) -> Result<Value, Refusal> {
        object(&self.body)
    }

    /// The `n`th part of the path.
    fn segment(&self, n: usize) -> &str {
        self.path.get(n).map_or("", String::as_str)
    }
}

/// Reads a JSON object.
fn object(text: &[u8]) -> Result<Value, Refusal> {
    if text.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    let value = serde_json::from_slice::<Value>(text).ok().filter(Value::is_object);
    value.ok_or_else(|| Refusal::new(400, "parseError", "Parse Error"))
}

impl State {
    /// Returns what someone sees under this id: `root` is the topmost folder of their own.
    fn look_up(&self, caller: &Caller, id: &str, all_drives: bool) -> Result<&Item, Refusal> {
        let root = self.accounts.get(&caller.email).map(|account| account.root.as_str());
        let id = if id == "root" { root.unwrap_or(id) } else { id };
        let item = self.items.get(id).ok_or_else(|| Refusal::not_found(id))?;
        let seen = self.role(&caller.email, id).is_some()
            && (item.drive.is_none() || all_drives)
            && self.in_scope(caller, item);
        if seen { Ok(item) } else { Err(Refusal::not_found(id)) }
    }

    /// Whether a token of this scope reaches an item.
    fn in_scope(&self, caller: &Caller, item: &Item) -> bool {
        caller.scope != Scope::File || item.by_app || item.parent.is_none()
    }

    /// Fails if someone may not do what needs `role`.
    fn require(&self, caller: &Caller, id: &str, role: Role) -> Result<(), Refusal> {
        if self.role(&caller.email, id) >= Some(role) {
            return Ok(());
        }
        Err(Refusal::permission(id))
    }
}
