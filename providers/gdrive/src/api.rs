//! The requests of Drive's API, one method each. Every request asks the host first, carries a
//! token, and has its refusal classified; nothing is tried again, but for a token that has expired.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE, RETRY_AFTER};
use reqwest::{Body, Client as Http, Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sitesync_provider::{Error, ErrorKind, Host, Result};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::sync::Mutex;

use crate::auth::Auth;
use crate::config::Settings;
use crate::errors::{Refusal, broken, garbled, refusal};
use crate::model::{
    About, ChangeList, Drive, DriveList, FIELDS, FOLDER, File, FileList, Ids, StartPageToken,
};
use crate::seal::Seal;

/// The most that Drive gives at once, of a listing and of ids.
const PAGE: u32 = 1000;
/// How long to wait for a connection. How long an answer may take is the host's to say.
const CONNECT: Duration = Duration::from_secs(20);
/// The most that is read of an error's body.
const BODY: usize = 64 << 10;

/// What a file is to be called, where, and since when.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts<'a> {
    /// The id of a new file.
    pub(crate) id: Option<&'a str>,
    /// The folder of a new file.
    pub(crate) parent: Option<&'a str>,
    /// Its name; what is there keeps its own.
    pub(crate) name: Option<&'a str>,
    /// RFC 3339.
    pub(crate) modified_time: Option<&'a str>,
}

impl Facts<'_> {
    fn json(&self) -> Value {
        let mut facts = json!({});
        let mut put = |key: &str, value: Option<&str>| {
            if let Some(value) = value {
                facts[key] = value.into();
            }
        };
        put("id", self.id);
        put("name", self.name);
        put("modifiedTime", self.modified_time);
        if let Some(parent) = self.parent {
            facts["parents"] = json!([parent]);
        }
        facts
    }
}

/// Where an upload stands.
#[derive(Debug)]
pub(crate) enum Progress {
    /// So many bytes have arrived for good.
    Arrived(u64),
    /// All of it: the file is there.
    Done(Box<File>),
    /// Drive knows nothing of this session any more.
    Expired,
}

/// The way to Drive: one pool of connections, one account.
pub(crate) struct Client {
    http: Http,
    auth: Auth,
    host: Host,
    endpoint: String,
    ids: Mutex<VecDeque<String>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Client {
    /// Reads the credentials. Sends nothing yet.
    pub(crate) async fn new(settings: &Settings, host: Host) -> Result<Self> {
        // Whoever shares this process may have installed one: both are ring.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Http::builder()
            .connect_timeout(CONNECT)
            .http2_adaptive_window(true)
            .tcp_nodelay(true)
            .user_agent(concat!("sitesync/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(broken)?;
        let auth = Auth::new(settings, http.clone(), host.clone()).await?;
        let endpoint = settings.endpoint().to_owned();
        Ok(Client { http, auth, host, endpoint, ids: Mutex::default() })
    }

    /// Who the service takes us for.
    pub(crate) fn account(&self) -> &str {
        self.auth.account()
    }

    /// Seals what only this account may read.
    pub(crate) fn seal(&self) -> &Seal {
        self.auth.seal()
    }

    /// Whether a session's address leads to where our tokens may go.
    pub(crate) fn is_ours(&self, session: &str) -> bool {
        let rest = session.strip_prefix(&self.endpoint);
        rest.is_some_and(|rest| rest.starts_with('/'))
    }

    // What is there.

    pub(crate) async fn get(&self, id: &str) -> Result<File> {
        self.json(Method::GET, &self.file(id), &[("fields", FIELDS)], None).await
    }

    /// A page of what a query finds, in one shared drive or in what the account itself has.
    pub(crate) async fn list(
        &self,
        query: &str,
        drive: Option<&str>,
        page: Option<&str>,
    ) -> Result<FileList> {
        let fields = format!(
            "nextPageToken,incompleteSearch,files({FIELDS},owners(emailAddress),webViewLink)"
        );
        let size = PAGE.to_string();
        let mut parameters = vec![
            ("q", query),
            ("fields", &fields),
            ("pageSize", &size),
            ("includeItemsFromAllDrives", "true"),
        ];
        match drive {
            Some(id) => parameters.extend([("corpora", "drive"), ("driveId", id)]),
            None => parameters.push(("corpora", "user")),
        }
        parameters.extend(page.map(|page| ("pageToken", page)));
        let found: FileList = self.json(Method::GET, "/drive/v3/files", &parameters, None).await?;
        if found.incomplete_search {
            let why = "Drive searched only a part of what there is";
            return Err(Error::new(ErrorKind::Interrupted, why));
        }
        Ok(found)
    }

    /// All that a query finds.
    pub(crate) async fn list_all(&self, query: &str, drive: Option<&str>) -> Result<Vec<File>> {
        let mut files = Vec::new();
        let mut page = None;
        loop {
            let found = self.list(query, drive, page.as_deref()).await?;
            files.extend(found.files);
            match found.next_page_token {
                Some(next) if page.as_ref() == Some(&next) => {
                    return Err(garbled("a listing that leads to itself"));
                }
                Some(next) => page = Some(next),
                None => return Ok(files),
            }
        }
    }

    pub(crate) async fn about(&self) -> Result<About> {
        let fields = [("fields", "storageQuota(limit,usage)")];
        self.json(Method::GET, "/drive/v3/about", &fields, None).await
    }

    /// Shared drives that a query finds.
    pub(crate) async fn drives(&self, query: &str) -> Result<Vec<Drive>> {
        let parameters = [("q", query), ("pageSize", "100"), ("fields", "drives(id,name)")];
        let found: DriveList =
            self.json(Method::GET, "/drive/v3/drives", &parameters, None).await?;
        Ok(found.drives)
    }

    /// The shared drive of this id.
    pub(crate) async fn drive(&self, id: &str) -> Result<Drive> {
        let path = format!("/drive/v3/drives/{id}");
        self.json(Method::GET, &path, &[("fields", "id,name")], None).await
    }

    // What is made.

    /// An id for something new. One request gives a thousand.
    pub(crate) async fn new_id(&self) -> Result<String> {
        let mut ids = self.ids.lock().await;
        if let Some(id) = ids.pop_front() {
            return Ok(id);
        }
        let count = PAGE.to_string();
        let parameters = [("count", count.as_str()), ("space", "drive"), ("fields", "ids")];
        let fresh: Ids =
            self.json(Method::GET, "/drive/v3/files/generateIds", &parameters, None).await?;
        ids.extend(fresh.ids);
        ids.pop_front().ok_or_else(|| garbled("no ids came"))
    }

    pub(crate) async fn create_folder(&self, id: &str, parent: &str, name: &str) -> Result<File> {
        let mut facts =
            Facts { id: Some(id), parent: Some(parent), name: Some(name), ..Facts::default() }
                .json();
        facts["mimeType"] = FOLDER.into();
        self.json(Method::POST, "/drive/v3/files", &[("fields", FIELDS)], Some(&facts)).await
    }

    /// Writes a small file whole: a new one, or that of this id.
    pub(crate) async fn upload(
        &self,
        update: Option<&str>,
        facts: &Facts<'_>,
        content: &[Bytes],
    ) -> Result<File> {
        let boundary = boundary(content);
        let head = format!(
            "--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{}\r\n\
             --{boundary}\r\nContent-Type: application/octet-stream\r\n\r\n",
            facts.json()
        );
        let tail = format!("\r\n--{boundary}--\r\n");
        let length = head.len() + content.iter().map(Bytes::len).sum::<usize>() + tail.len();
        let mut body = Vec::with_capacity(length);
        body.extend_from_slice(head.as_bytes());
        content.iter().for_each(|part| body.extend_from_slice(part));
        body.extend_from_slice(tail.as_bytes());
        let body = Bytes::from(body);
        let (method, path) = self.target(update);
        let answer = self
            .send(|http| {
                self.request(http, method.clone(), &path)
                    .query(&[("uploadType", "multipart"), ("fields", FIELDS)])
                    .header(CONTENT_TYPE, format!("multipart/related; boundary={boundary}"))
                    .body(body.clone())
            })
            .await?;
        read(answer).await
    }

    /// Begins to write a large file; returns the session's address, which is a secret.
    pub(crate) async fn start_upload(
        &self,
        update: Option<&str>,
        facts: &Facts<'_>,
        size: u64,
    ) -> Result<String> {
        let (method, path) = self.target(update);
        let facts = facts.json();
        let answer = self
            .send(|http| {
                self.request(http, method.clone(), &path)
                    .query(&[("uploadType", "resumable"), ("fields", FIELDS)])
                    .header("X-Upload-Content-Type", "application/octet-stream")
                    .header("X-Upload-Content-Length", size)
                    .json(&facts)
            })
            .await?;
        let session = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let session = session.ok_or_else(|| garbled("an upload without an address"))?;
        if !self.is_ours(session) {
            return Err(garbled("an upload at another service"));
        }
        Ok(session.to_owned())
    }

    /// Sends bytes `from..to` of `size`.
    pub(crate) async fn send_chunk(
        &self,
        session: &str,
        from: u64,
        to: u64,
        size: u64,
        body: Body,
    ) -> Result<Progress> {
        self.host.permit(1).await?;
        let token = self.auth.token().await?;
        let answer = self
            .http
            .put(session)
            .bearer_auth(&token)
            .header(CONTENT_LENGTH, to - from)
            .header(CONTENT_RANGE, format!("bytes {from}-{}/{size}", to - 1))
            .body(body)
            .send()
            .await
            .map_err(broken)?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            // The bytes are gone: whoever sends them again does so with another token.
            self.auth.fresh_token(&token).await?;
            let why = "the token expired in the middle of an upload, which has to be resumed";
            return Err(Error::new(ErrorKind::Interrupted, why).with_code("401"));
        }
        self.progress(answer).await
    }

    /// What Drive has of an upload.
    pub(crate) async fn query_upload(&self, session: &str, size: u64) -> Result<Progress> {
        let answer = self
            .send_raw(|http| {
                http.put(session)
                    .header(CONTENT_LENGTH, 0)
                    .header(CONTENT_RANGE, format!("bytes */{size}"))
            })
            .await?;
        self.progress(answer).await
    }

    async fn progress(&self, answer: Response) -> Result<Progress> {
        match answer.status().as_u16() {
            200 | 201 => Ok(Progress::Done(Box::new(read(answer).await?))),
            308 => {
                let range = answer.headers().get(RANGE).map(|range| range.to_str().ok());
                let Some(range) = range else { return Ok(Progress::Arrived(0)) };
                let last = range.and_then(|range| range.strip_prefix("bytes=0-")?.parse().ok());
                let last: u64 = last.ok_or_else(|| garbled("what has arrived of an upload"))?;
                Ok(Progress::Arrived(last + 1))
            }
            404 | 410 | 499 => Ok(Progress::Expired),
            _ => Err(self.refused(answer).await),
        }
    }

    /// Throws a session away; one that is gone is fine.
    pub(crate) async fn cancel_upload(&self, session: &str) -> Result<()> {
        let answer = self.send_raw(|http| http.delete(session).header(CONTENT_LENGTH, 0)).await?;
        match answer.status().as_u16() {
            200..300 | 404 | 410 | 499 => Ok(()),
            _ => Err(self.refused(answer).await),
        }
    }

    // What is changed.

    /// Changes facts of a file; moves it from one folder to another.
    pub(crate) async fn update(
        &self,
        id: &str,
        facts: &Value,
        moved: Option<(&str, &str)>,
    ) -> Result<File> {
        let mut parameters = vec![("fields", FIELDS)];
        if let Some((from, to)) = moved {
            parameters.extend([("removeParents", from), ("addParents", to)]);
        }
        self.json(Method::PATCH, &self.file(id), &parameters, Some(facts)).await
    }

    pub(crate) async fn set_trashed(&self, id: &str, trashed: bool) -> Result<File> {
        self.update(id, &json!({ "trashed": trashed }), None).await
    }

    /// Deletes for good.
    pub(crate) async fn delete(&self, id: &str) -> Result<()> {
        let path = self.file(id);
        self.send(|http| self.request(http, Method::DELETE, &path)).await.map(drop)
    }

    pub(crate) async fn copy(&self, id: &str, facts: &Facts<'_>) -> Result<File> {
        let path = format!("{}/copy", self.file(id));
        self.json(Method::POST, &path, &[("fields", FIELDS)], Some(&facts.json())).await
    }

    // What is read.

    /// Bytes `from..to` of a file.
    pub(crate) async fn content(&self, id: &str, from: u64, to: u64) -> Result<Response> {
        let path = self.file(id);
        let answer = self
            .send(|http| {
                self.request(http, Method::GET, &path)
                    .query(&[("alt", "media")])
                    .header(RANGE, format!("bytes={from}-{}", to - 1))
            })
            .await?;
        if answer.status() != StatusCode::PARTIAL_CONTENT && from > 0 {
            return Err(garbled("the whole file came where a part was asked for"));
        }
        Ok(answer)
    }

    // What has changed.

    pub(crate) async fn start_page_token(&self, drive: Option<&str>) -> Result<String> {
        let mut parameters = vec![("fields", "startPageToken")];
        parameters.extend(drive.map(|id| ("driveId", id)));
        let path = "/drive/v3/changes/startPageToken";
        let answer: StartPageToken = self.json(Method::GET, path, &parameters, None).await?;
        Ok(answer.start_page_token)
    }

    pub(crate) async fn changes(&self, drive: Option<&str>, page: &str) -> Result<ChangeList> {
        let fields =
            format!("nextPageToken,newStartPageToken,changes(fileId,removed,file({FIELDS}))");
        let size = PAGE.to_string();
        let mut parameters = vec![
            ("pageToken", page),
            ("pageSize", &size),
            ("fields", &fields),
            ("includeItemsFromAllDrives", "true"),
            ("includeRemoved", "true"),
        ];
        parameters.extend(drive.map(|id| ("driveId", id)));
        self.json(Method::GET, "/drive/v3/changes", &parameters, None).await
    }

    // How.

    fn file(&self, id: &str) -> String {
        format!("/drive/v3/files/{id}")
    }

    fn target(&self, update: Option<&str>) -> (Method, String) {
        match update {
            Some(id) => (Method::PATCH, format!("/upload/drive/v3/files/{id}")),
            None => (Method::POST, "/upload/drive/v3/files".to_owned()),
        }
    }

    fn request(&self, http: &Http, method: Method, path: &str) -> RequestBuilder {
        // Without it, Drive knows nothing of shared drives.
        http.request(method, format!("{}{path}", self.endpoint))
            .query(&[("supportsAllDrives", "true")])
    }

    async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        parameters: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<T> {
        let answer = self
            .send(|http| {
                let request = self.request(http, method.clone(), path).query(parameters);
                match body {
                    Some(body) => request.json(body),
                    None => request,
                }
            })
            .await?;
        read(answer).await
    }

    /// The answer to a request, if it is a success.
    async fn send(&self, build: impl Fn(&Http) -> RequestBuilder) -> Result<Response> {
        let answer = self.send_raw(build).await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(self.refused(answer).await)
    }

    /// The answer to a request, whatever it is. A token that is not taken is replaced, once: that
    /// is no fault of the service's.
    async fn send_raw(&self, build: impl Fn(&Http) -> RequestBuilder) -> Result<Response> {
        let token = self.auth.token().await?;
        let answer = self.send_once(&build, &token).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let token = self.auth.fresh_token(&token).await?;
        self.send_once(&build, &token).await
    }

    async fn send_once(
        &self,
        build: impl Fn(&Http) -> RequestBuilder,
        token: &str,
    ) -> Result<Response> {
        self.host.permit(1).await?;
        build(&self.http).bearer_auth(token).send().await.map_err(broken)
    }

    async fn refused(&self, mut answer: Response) -> Error {
        let status = answer.status().as_u16();
        let after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let after = after.and_then(retry_after);
        let mut body = Vec::new();
        // An error whose body breaks off is still that error.
        while let Ok(Some(part)) = answer.chunk().await {
            body.extend_from_slice(&part);
            if body.len() > BODY {
                break;
            }
        }
        let said = Refusal::read(&body);
        tracing::debug!(status, reason = said.reason, "Drive refused a request");
        refusal(status, &said, after, self.account())
    }
}

/// A boundary for this content: made of it, so that it can't stand in it but by a collision that
/// nobody can look for.
fn boundary(content: &[Bytes]) -> String {
    let mut hash = std::hash::DefaultHasher::new();
    content.iter().for_each(|part| std::hash::Hash::hash(&part[..], &mut hash));
    format!("sitesync-{:016x}", std::hash::Hasher::finish(&hash))
}

async fn read<T: DeserializeOwned>(answer: Response) -> Result<T> {
    let body = answer.bytes().await.map_err(broken)?;
    serde_json::from_slice(&body).map_err(|_| garbled("it is not the JSON that was asked for"))
}

/// Seconds, or a date.
fn retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = OffsetDateTime::parse(text, &Rfc2822).ok()?.unix_timestamp();
    let wait = then - OffsetDateTime::now_utc().unix_timestamp();
    Some(Duration::from_secs(wait.try_into().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_retry_after_are_read() {
        assert_eq!(retry_after("7"), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Fri, 31 Dec 1999 23:59:59 GMT"), Some(Duration::ZERO));
        assert!(retry_after("Fri, 31 Dec 2199 23:59:59 GMT") > Some(Duration::from_secs(1)));
        assert_eq!(retry_after("soon"), None);
    }

    #[test]
    fn facts_say_only_what_is_known() {
        let facts = Facts { name: Some("it's"), parent: Some("p"), ..Facts::default() };
        assert_eq!(facts.json(), json!({"name": "it's", "parents": ["p"]}));
        assert_eq!(Facts::default().json(), json!({}));
    }
}
