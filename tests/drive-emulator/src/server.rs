//! The web server: connections, and the way of each request through faults, rates and the log.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http_body_util::channel::Channel;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HOST, RETRY_AFTER};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::api::{self, Call, Parameters, Reply, upload};
use crate::auth;
use crate::clock;
use crate::faults::Act;
use crate::rate::{Bucket, Pace};
use crate::refusal::Refusal;
use crate::requests::{self, Kind};
use crate::state::{Caller, State};

/// Bytes that are sent in a piece.
const PIECE: usize = 64 << 10;

type Body = Either<Full<Bytes>, Channel<Bytes, io::Error>>;

/// How good the network and the service are.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Conditions {
    /// Each request waits so long before anything is done.
    pub(crate) latency: Duration,
    /// Requests a second that a user may make, and how many at once.
    pub(crate) rate: Option<(f64, u32)>,
    /// Bytes a second, of each connection.
    pub(crate) bandwidth: Option<u64>,
    /// What is kept of a chunk whose connection breaks is a multiple of this many bytes.
    pub(crate) persisted: usize,
}

/// What all connections share.
pub(crate) struct Server {
    pub(crate) state: Mutex<State>,
    pub(crate) conditions: Mutex<Conditions>,
    /// `http://127.0.0.1:PORT`
    pub(crate) url: String,
    /// There, if this is also a proxy to itself in Google's name.
    pub(crate) tls: Option<TlsAcceptor>,
}

/// The connection ends without an answer.
#[derive(Debug)]
struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is dropped")
    }
}

impl std::error::Error for Dropped {}

/// A connection: through TLS or not, and how much it carries.
struct Connection {
    scheme: &'static str,
    pace: Arc<tokio::sync::Mutex<Pace>>,
}

impl Server {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked while it held the lock has failed already.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn conditions(&self) -> Conditions {
        *self.conditions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers whoever connects.
    pub(crate) async fn listen(self: Arc<Self>, listener: TcpListener) {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            // Answers are short: each must leave at once.
            if stream.set_nodelay(true).is_ok() {
                tokio::spawn(Arc::clone(&self).serve(stream, "http"));
            }
        }
    }

    async fn serve<S>(self: Arc<Self>, stream: S, scheme: &'static str)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let pace = Arc::new(tokio::sync::Mutex::new(Pace::new()));
        let connection = Arc::new(Connection { scheme, pace });
        let service = service_fn(|request| {
            let (server, connection) = (Arc::clone(&self), Arc::clone(&connection));
            async move {
                if request.method() == Method::CONNECT {
                    return Ok(server.connect(request));
                }
                server.answer(request, &connection).await
            }
        });
        let serving = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        // How a connection ends is the client's matter, or was asked for.
        let _ = serving.await;
    }

    /// A client that asks for a way to Google gets one to here.
    fn connect(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let Some(tls) = self.tls.clone() else {
            return respond(Refusal::new(405, "notAllowed", "This is no proxy.").into(), 0);
        };
        tokio::spawn(async move {
            let Ok(upgraded) = hyper::upgrade::on(request).await else { return };
            let Ok(stream) = tls.accept(TokioIo::new(upgraded)).await else { return };
            // A type that holds itself needs a box.
            let serving: std::pin::Pin<Box<dyn Future<Output = ()> + Send>> =
                Box::pin(self.serve(stream, "https"));
            serving.await;
        });
        Response::new(Either::Left(Full::default()))
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        connection: &Connection,
    ) -> Result<Response<Body>, Dropped> {
        let (head, body) = request.into_parts();
        let path = head.uri.path().to_owned();
        let text = head.uri.query().unwrap_or_default();
        let query: Vec<(String, String)> =
            form_urlencoded::parse(text.as_bytes()).into_owned().collect();
        let upload = match query.text("upload_id") {
            Some(_) => Some(requests::Upload::Session { asks: upload::asks(&head.headers) }),
            None if query.text("uploadType") == Some("resumable") => Some(requests::Upload::Start),
            None => Some(requests::Upload::Whole),
        };
        let media = query.text("alt") == Some("media");
        let kind = requests::kind(&head.method, &path, upload, media);
        let conditions = self.conditions();
        let (number, act) = {
            let mut state = self.state();
            let method = head.method.to_string();
            let query = text.to_owned();
            let (path, received, status) = (path.clone(), 0, 0);
            let seen = requests::Request { kind, method, path, query, received, status };
            (state.log.begin(seen), state.faults.next(kind))
        };
        let mut cut = None;
        match &act {
            Some(Act::DropBefore) => return Err(Dropped),
            Some(Act::Late(delay)) => tokio::time::sleep(*delay).await,
            Some(Act::DropAfterBytes(bytes)) if kind != Kind::Media => cut = Some(*bytes),
            _ => {}
        }
        if !conditions.latency.is_zero() {
            tokio::time::sleep(conditions.latency).await;
        }
        let mut body = Arriving {
            server: self,
            body,
            number,
            pace: &connection.pace,
            bandwidth: conditions.bandwidth,
            left: cut,
            first: true,
            damaged: kind == Kind::Chunk && matches!(act, Some(Act::Damage)),
        };
        let authorization = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let admitted = self.admit(kind, &query, authorization, &conditions);
        let mut reply = match (&act, admitted) {
            (Some(Act::Reply { status, kind, retry_after, body: content }), _) => {
                body.all().await?;
                let mut reply = Reply::empty(*status).with(CONTENT_TYPE, *kind);
                reply.body = content.clone();
                if let Some(seconds) = retry_after {
                    reply = reply.with(RETRY_AFTER, seconds.to_string());
                }
                reply
            }
            (_, Err(refusal)) => {
                body.all().await?;
                refusal.into()
            }
            (_, Ok(None)) => {
                let form = body.all().await?;
                self.token(&form)
            }
            (_, Ok(Some(caller))) => {
                let id = query.text("upload_id").unwrap_or_default();
                match kind {
                    Kind::Chunk => self.chunk(id, &head.headers, &mut body, &conditions).await?,
                    Kind::QueryUpload => {
                        body.all().await?;
                        upload::query(&mut self.state(), id, &head.headers, conditions.persisted)
                    }
                    _ => {
                        let damaged = matches!(act, Some(Act::Damage));
                        let body = body.all().await?;
                        let host = head.uri.authority().map(hyper::http::uri::Authority::as_str);
                        let host = host.or_else(|| head.headers.get(HOST)?.to_str().ok());
                        let base = host.map(|host| format!("{}://{host}", connection.scheme));
                        let base = base.unwrap_or_else(|| self.url.clone());
                        let path = ["/resumable", "/upload", "/drive/v3/"]
                            .iter()
                            .fold(path.as_str(), |path, prefix| {
                                path.strip_prefix(prefix).unwrap_or(path)
                            });
                        let path = path.split('/').map(str::to_owned).collect();
                        let headers = head.headers;
                        let call = Call { kind, path, query, headers, body, caller, base, damaged };
                        api::answer(&mut self.state(), &call)
                    }
                }
            }
        };
        if matches!(act, Some(Act::DropAfterCommit)) {
            return Err(Dropped);
        }
        if matches!(act, Some(Act::Damage)) {
            falsify(kind, &mut reply);
        }
        let now = {
            let mut state = self.state();
            if let Some(entry) = state.log.entry(number) {
                entry.status = reply.status;
            }
            state.clock.now()
        };
        let cut = match act {
            Some(Act::DropAfterBytes(bytes)) if kind == Kind::Media => Some(bytes),
            _ => None,
        };
        if conditions.bandwidth.is_none() && cut.is_none() {
            return Ok(respond(reply, now));
        }
        let content = std::mem::take(&mut reply.body);
        let length = content.len();
        let mut response = respond(reply, now);
        // The length is that of all, even if not all will come.
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
        *response.body_mut() =
            Either::Right(leaving(content, cut, Arc::clone(&connection.pace), conditions));
        Ok(response)
    }

    /// Tells who asks, or why that is refused; nobody does who asks for a token.
    fn admit(
        &self,
        kind: Kind,
        query: &[(String, String)],
        authorization: Option<&str>,
        conditions: &Conditions,
    ) -> Result<Option<Caller>, Refusal> {
        if kind == Kind::Token {
            return Ok(None);
        }
        let mut state = self.state();
        if state.disabled {
            let message = "Google Drive API has not been used in project 1 before or it is \
                disabled. Enable it by visiting \
                https://console.developers.google.com/apis/api/drive.googleapis.com/overview?project=1 \
                then retry. If you enabled this API recently, wait a few minutes for the action to \
                propagate to our systems and retry.";
            return Err(Refusal::new(403, "accessNotConfigured", message));
        }
        // The address of an upload is a secret that opens it.
        let session = query.text("upload_id").and_then(|id| state.sessions.get(id));
        let caller = match (session, authorization) {
            (Some(session), None) => session.caller.clone(),
            _ => auth::caller(&state, authorization)?,
        };
        if let Some((per_second, burst)) = conditions.rate {
            let now = Instant::now();
            let bucket = state.buckets.entry(caller.email.clone());
            if !bucket.or_insert_with(|| Bucket::full(burst, now)).take(per_second, burst, now) {
                state.rate_refusals += 1;
                return Err(Refusal::rate());
            }
        }
        Ok(Some(caller))
    }

    fn token(&self, form: &[u8]) -> Reply {
        let own = format!("{}/token", self.url);
        let audiences = [own.as_str(), "https://oauth2.googleapis.com/token"];
        match auth::token(&mut self.state(), form, &audiences) {
            Ok(body) => Reply::json(200, body),
            Err(refused) => Reply::json(refused.status, refused.body()),
        }
    }

    async fn chunk(
        &self,
        id: &str,
        headers: &hyper::HeaderMap,
        body: &mut Arriving<'_>,
        conditions: &Conditions,
    ) -> Result<Reply, Dropped> {
        let begun = upload::begin(&mut self.state(), id, headers);
        let mut chunk = match begun {
            Ok(chunk) => chunk,
            Err(reply) => {
                body.all().await?;
                return Ok(reply);
            }
        };
        loop {
            match body.next().await {
                Some(Ok(bytes)) => {
                    if !chunk.take(&mut self.state(), &bytes) {
                        return Err(Dropped);
                    }
                }
                None => return Ok(chunk.finish(&mut self.state())),
                Some(Err(dropped)) => {
                    chunk.broke(&mut self.state(), conditions.persisted);
                    return Err(dropped);
                }
            }
        }
    }
}

/// The body of a request, as it comes.
struct Arriving<'a> {
    server: &'a Server,
    body: Incoming,
    /// The request's, in the log.
    number: u64,
    pace: &'a tokio::sync::Mutex<Pace>,
    bandwidth: Option<u64>,
    /// Bytes after which the connection ends.
    left: Option<u64>,
    first: bool,
    damaged: bool,
}

impl Arriving<'_> {
    async fn next(&mut self) -> Option<Result<Bytes, Dropped>> {
        loop {
            if self.left == Some(0) {
                return Some(Err(Dropped));
            }
            let frame = match self.body.frame().await? {
                Ok(frame) => frame,
                Err(_) => return Some(Err(Dropped)),
            };
            let Ok(mut bytes) = frame.into_data() else { continue };
            self.pace.lock().await.pass(bytes.len(), self.bandwidth).await;
            if let Some(entry) = self.server.state().log.entry(self.number) {
                entry.received += bytes.len() as u64;
            }
            if let Some(left) = &mut self.left {
                bytes.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= bytes.len() as u64;
            }
            if self.first && self.damaged && !bytes.is_empty() {
                bytes = upload::damage(&bytes);
            }
            self.first &= bytes.is_empty();
            return Some(Ok(bytes));
        }
    }

    async fn all(&mut self) -> Result<Bytes, Dropped> {
        let mut all = BytesMut::new();
        while let Some(bytes) = self.next().await {
            all.extend_from_slice(&bytes?);
        }
        Ok(all.freeze())
    }
}

/// Sends content at the connection's pace; with `cut`, only so many bytes of it.
fn leaving(
    mut content: Bytes,
    cut: Option<u64>,
    pace: Arc<tokio::sync::Mutex<Pace>>,
    conditions: Conditions,
) -> Channel<Bytes, io::Error> {
    let (mut sender, channel) = Channel::new(1);
    let broken = cut.filter(|cut| *cut < content.len() as u64);
    if let Some(cut) = broken {
        content.truncate(usize::try_from(cut).unwrap_or(usize::MAX));
    }
    tokio::spawn(async move {
        while !content.is_empty() {
            let piece = content.split_to(content.len().min(PIECE));
            pace.lock().await.pass(piece.len(), conditions.bandwidth).await;
            if sender.send_data(piece).await.is_err() {
                return;
            }
        }
        if broken.is_some() {
            sender.abort(io::Error::other(Dropped));
        }
    });
    channel
}

/// Damages what is answered: content, or the sums that stand for it. Uploaded content was damaged
/// when it came.
fn falsify(kind: Kind, reply: &mut Reply) {
    fn turn(value: &mut Value) {
        match value {
            Value::Object(members) => members.iter_mut().for_each(|(name, value)| match value {
                Value::String(text) if name.ends_with("Checksum") => {
                    *text = text.chars().rev().collect();
                }
                other => turn(other),
            }),
            Value::Array(values) => values.iter_mut().for_each(turn),
            _ => {}
        }
    }
    match kind {
        Kind::Media => reply.body = upload::damage(&reply.body),
        Kind::Chunk | Kind::Multipart | Kind::UpdateMultipart => {}
        _ => {
            if let Ok(mut value) = serde_json::from_slice(&reply.body) {
                turn(&mut value);
                reply.body = Bytes::from(value.to_string());
            }
        }
    }
}

fn respond(reply: Reply, now: i64) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::new(reply.body)));
    *response.status_mut() = StatusCode::from_u16(reply.status).expect("a status of HTTP");
    let headers = response.headers_mut();
    for (name, value) in reply.headers {
        // A media type comes from the client; what no header can hold is left out.
        if let Ok(value) = value.parse() {
            headers.insert(name, value);
        }
    }
    if now != 0 {
        headers.insert(DATE, clock::http(now).parse().expect("a date"));
    }
    response
}
