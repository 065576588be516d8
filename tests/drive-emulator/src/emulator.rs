//! The emulator as tests hold it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::auth;
use crate::bugs::Bug;
use crate::faults::Fault;
use crate::requests::Request;
use crate::server::{Conditions, Server};
use crate::state::{FOLDER, Item, Role, SHORTCUT, State};
use crate::tls;

/// The id of a file, a folder or a shared drive.
pub type Id = String;

/// A Drive on loopback, with threads of its own. It ends, and forgets all, when it is dropped.
pub struct Emulator {
    server: Arc<Server>,
    authority: Option<String>,
    runtime: Option<Runtime>,
}

/// How an [`Emulator`] is to be.
#[derive(Debug)]
pub struct Builder {
    conditions: Conditions,
    port: u16,
    clock_offset: i64,
    tls_proxy: bool,
    service_storage: bool,
    bugs: Vec<Bug>,
}

impl Builder {
    /// Lets each request wait so long.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Builder {
        self.conditions.latency = latency;
        self
    }

    /// Lets each user make `per_second` requests, and `burst` at once; those above are answered
    /// with 403 `userRateLimitExceeded` and counted ([`Emulator::rate_refusals`]).
    #[must_use]
    pub fn rate(mut self, per_second: f64, burst: u32) -> Builder {
        self.conditions.rate = Some((per_second, burst));
        self
    }

    /// Lets each connection carry so many bytes a second.
    #[must_use]
    pub fn bandwidth(mut self, bytes_per_second: u64) -> Builder {
        self.conditions.bandwidth = Some(bytes_per_second);
        self
    }

    /// Keeps of a chunk whose connection breaks a multiple of this many bytes; a multiple of
    /// 256 KiB, which is the default.
    #[must_use]
    pub fn persisted_unit(mut self, bytes: usize) -> Builder {
        assert!(bytes > 0 && bytes.is_multiple_of(256 << 10), "{bytes} is no multiple of 256 KiB");
        self.conditions.persisted = bytes;
        self
    }

    /// Lets the emulator's clock be off by so many seconds.
    #[must_use]
    pub fn clock_offset(mut self, seconds: i64) -> Builder {
        self.clock_offset = seconds;
        self
    }

    /// Makes it a proxy, too, that leads to itself whoever wants to go to `*.googleapis.com`;
    /// they have to trust [`Emulator::ca_pem`].
    #[must_use]
    pub fn tls_proxy(mut self, proxy: bool) -> Builder {
        self.tls_proxy = proxy;
        self
    }

    /// Lets service accounts own files in their own My Drive. Google's can't, which is the
    /// default: `storageQuotaExceeded`.
    #[must_use]
    pub fn service_storage(mut self, storage: bool) -> Builder {
        self.service_storage = storage;
        self
    }

    /// Listens on this port; by default on any that is free.
    #[must_use]
    pub fn port(mut self, port: u16) -> Builder {
        self.port = port;
        self
    }

    /// Makes a mistake: to show that clients notice.
    #[must_use]
    pub fn bug(mut self, bug: Bug) -> Builder {
        self.bugs.push(bug);
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// If it can't be started.
    #[must_use]
    pub fn start(self) -> Emulator {
        self.launch().unwrap_or_else(|error| panic!("cannot start the Drive emulator: {error:#}"))
    }

    /// Starts it; fails if the port is taken.
    pub fn launch(self) -> Result<Emulator> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("drive-emulator")
            .enable_all()
            .build()
            .context("cannot start threads")?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let listener = runtime
            .block_on(TcpListener::bind(address))
            .with_context(|| format!("cannot listen on {address}"))?;
        let address = listener.local_addr().context("cannot tell the port")?;
        let (tls, authority) = if self.tls_proxy { Some(tls::acceptor()?) } else { None }.unzip();
        let mut state = State::default();
        state.clock.offset = self.clock_offset;
        state.service_storage = self.service_storage;
        state.bugs = self.bugs;
        let server = Arc::new(Server {
            state: Mutex::new(state),
            conditions: Mutex::new(self.conditions),
            url: format!("http://{address}"),
            tls,
        });
        runtime.spawn(Arc::clone(&server).listen(listener));
        Ok(Emulator { server, authority, runtime: Some(runtime) })
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl std::fmt::Debug for Emulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Emulator").field("url", &self.server.url).finish_non_exhaustive()
    }
}

impl Emulator {
    /// Starts one without any oddities.
    #[must_use]
    pub fn start() -> Emulator {
        Emulator::builder().start()
    }

    /// Begins one.
    #[must_use]
    pub fn builder() -> Builder {
        let conditions = Conditions { persisted: 256 << 10, ..Conditions::default() };
        let (port, clock_offset, tls_proxy, service_storage) = (0, 0, false, false);
        Builder { conditions, port, clock_offset, tls_proxy, service_storage, bugs: Vec::new() }
    }

    /// Where it is: `http://127.0.0.1:PORT`. The API is at `/drive/v3` and `/upload/drive/v3`
    /// beneath, tokens are at `/token`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.server.url
    }

    /// The certificate that a client of the proxy must trust.
    ///
    /// # Panics
    /// Without [`Builder::tls_proxy`].
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        self.authority.as_deref().expect("the emulator is no proxy")
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.server.state())
    }

    fn adjust(&self, change: impl FnOnce(&mut Conditions)) {
        change(&mut self.server.conditions.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Who there is.
impl Emulator {
    /// Makes a service account, unless there is one of this address.
    pub fn service_account(&self, email: &str) -> ServiceAccount {
        let key_id = self.with(|state| {
            state.account(email, true);
            state.accounts[email].key.clone().expect("a service account has a key")
        });
        let token_uri = format!("{}/token", self.server.url);
        ServiceAccount { email: email.to_owned(), key_id, token_uri }
    }

    /// Makes a person with 15 GiB of storage, unless there is one of this address; returns the
    /// topmost folder of what they own.
    pub fn user(&self, email: &str) -> Id {
        self.with(|state| state.account(email, false))
    }

    /// Returns the topmost folder of what an account owns.
    pub fn my_drive(&self, email: &str) -> Id {
        self.with(|state| state.accounts.get(email).map(|account| account.root.clone()))
            .unwrap_or_else(|| panic!("there is no account {email}"))
    }

    /// Makes a shared drive with these content managers ([`Role::FileOrganizer`]); returns its id,
    /// which is also that of its topmost folder. [`Emulator::share`] gives other roles.
    pub fn shared_drive(&self, name: &str, members: &[&str]) -> Id {
        self.with(|state| {
            let id = state.shared_drive(name);
            for member in members {
                state.account(member, false);
                let drive = state.drives.get_mut(&id).expect("it was just made");
                drive.members.insert((*member).to_owned(), Role::FileOrganizer);
            }
            id
        })
    }

    /// Shares a file, a folder or a shared drive with someone.
    pub fn share(&self, id: &str, email: &str, role: Role) {
        self.with(|state| {
            state.account(email, false);
            if let Some(drive) = state.drives.get_mut(id) {
                drive.members.insert(email.to_owned(), role);
                return;
            }
            let now = state.clock.tick();
            state.change(known(state, id), |item| {
                item.shared_with.insert(email.to_owned(), role);
                item.shared_at.entry(email.to_owned()).or_insert(now);
            });
        });
    }

    /// Takes away what [`Emulator::share`] gave.
    pub fn unshare(&self, id: &str, email: &str) {
        self.with(|state| {
            if let Some(drive) = state.drives.get_mut(id) {
                drive.members.remove(email);
                return;
            }
            state.change(known(state, id), |item| {
                item.shared_with.remove(email);
                item.shared_at.remove(email);
            });
        });
    }

    /// Lets a service account act as a person ("domain-wide delegation").
    pub fn delegate(&self, service: &str, person: &str) {
        self.with(|state| {
            state.account(person, false);
            let person = state.accounts.get_mut(person).expect("it was just made");
            person.delegates.insert(service.to_owned());
        });
    }

    /// Revokes a service account's key: no new tokens, and the old ones are worth nothing.
    pub fn revoke(&self, email: &str) {
        self.with(|state| {
            let account = state.accounts.get_mut(email);
            account.unwrap_or_else(|| panic!("there is no account {email}")).revoked = true;
        });
    }

    /// Limits the bytes that an account may own, or that a shared drive (by its id) may hold.
    pub fn set_quota(&self, whose: &str, bytes: Option<u64>) {
        self.with(|state| {
            if let Some(drive) = state.drives.get_mut(whose) {
                drive.limit = bytes;
            } else if let Some(account) = state.accounts.get_mut(whose) {
                account.limit = bytes;
            } else {
                panic!("there is neither an account nor a shared drive {whose}");
            }
        });
    }

    /// Switches the API off for the project.
    pub fn disable_api(&self) {
        self.with(|state| state.disabled = true);
    }

    /// Ends all tokens.
    pub fn expire_tokens(&self) {
        self.with(|state| state.tokens.clear());
    }
}

/// What lies there. What these do is done by the owner of the place, and told in the feed.
impl Emulator {
    /// Makes a folder.
    pub fn folder(&self, parent: &str, name: &str) -> Id {
        self.make(parent, name, FOLDER, |_, _| ())
    }

    /// Makes a file.
    pub fn file(&self, parent: &str, name: &str, content: impl Into<Bytes>) -> Id {
        let content = content.into();
        self.make(parent, name, "application/octet-stream", |item, now| item.write(content, now))
    }

    /// Makes a document of Google's own, which has no content to download.
    pub fn docs(&self, parent: &str, name: &str) -> Id {
        self.make(parent, name, "application/vnd.google-apps.document", |_, _| ())
    }

    /// Makes a shortcut to something.
    pub fn shortcut(&self, parent: &str, name: &str, target: &str) -> Id {
        self.make(parent, name, SHORTCUT, |item, _| item.target = Some(target.to_owned()))
    }

    fn make(&self, parent: &str, name: &str, mime: &str, fill: impl FnOnce(&mut Item, i64)) -> Id {
        self.with(|state| {
            let owner = state.items[known(state, parent)].owner.clone();
            let (id, now) = (state.new_id(), state.clock.tick());
            let mut item = Item::new(id.clone(), name, mime, now);
            item.parent = Some(parent.to_owned());
            item.modified_by.clone_from(&owner);
            item.owner = owner;
            fill(&mut item, now);
            state.insert(item);
            id
        })
    }

    /// Gives a file new content.
    pub fn write(&self, id: &str, content: impl Into<Bytes>) {
        let content = content.into();
        self.with(|state| {
            let now = state.clock.tick();
            state.change(known(state, id), |item| {
                item.write(content, now);
                item.modified = now;
            });
        });
    }

    /// Puts something into the trash.
    pub fn trash(&self, id: &str) {
        self.set_trashed(id, true);
    }

    /// Takes something out of the trash.
    pub fn untrash(&self, id: &str) {
        self.set_trashed(id, false);
    }

    fn set_trashed(&self, id: &str, trashed: bool) {
        self.with(|state| {
            let now = state.clock.tick();
            state.change(known(state, id), |item| {
                item.trashed = trashed;
                item.trashed_at = trashed.then_some(now);
            });
        });
    }

    /// Deletes something for good, with all that lies in it.
    pub fn delete(&self, id: &str) {
        self.with(|state| state.remove(known(state, id)));
    }

    /// Moves something into another folder.
    pub fn move_to(&self, id: &str, parent: &str) {
        self.with(|state| {
            known(state, parent);
            state.relocate(known(state, id), parent);
        });
    }

    /// Gives something another name.
    pub fn rename(&self, id: &str, name: &str) {
        self.with(|state| state.change(known(state, id), |item| item.name = name.to_owned()));
    }

    /// Returns a file's content.
    ///
    /// # Panics
    /// If there is no file of this id.
    pub fn read(&self, id: &str) -> Vec<u8> {
        self.with(|state| {
            let item = &state.items[known(state, id)];
            let content = item.content().unwrap_or_else(|| panic!("{id} has no content"));
            content.bytes.to_vec()
        })
    }

    /// Returns how many contents a file has had.
    pub fn revisions(&self, id: &str) -> usize {
        self.with(|state| state.items[known(state, id)].revisions.len())
    }

    /// Returns the files beneath a folder that are not in the trash: path and content. Of several
    /// of one name the oldest is `name`, the next one `name#2`.
    pub fn tree(&self, folder: &str) -> BTreeMap<String, Vec<u8>> {
        let mut tree = BTreeMap::new();
        self.with(|state| {
            known(state, folder);
            let mut open = vec![(folder.to_owned(), String::new())];
            while let Some((folder, path)) = open.pop() {
                let mut names: BTreeMap<String, usize> = BTreeMap::new();
                for child in state.children(&folder).into_iter().filter(|child| !child.trashed) {
                    let twins = names.entry(child.name.clone()).or_default();
                    *twins += 1;
                    let twin = if *twins > 1 { format!("#{twins}") } else { String::new() };
                    let path = format!("{path}{}{twin}", child.name);
                    if let Some(content) = child.content() {
                        tree.insert(path, content.bytes.to_vec());
                    } else if child.is_folder() {
                        open.push((child.id.clone(), format!("{path}/")));
                    }
                }
            }
        });
        tree
    }

    /// Returns what lies at a path (`a/b`) beneath a folder and is not in the trash, of several
    /// the oldest.
    pub fn find(&self, folder: &str, path: &str) -> Option<Id> {
        self.with(|state| {
            path.split('/').try_fold(folder.to_owned(), |folder, name| {
                let children = state.children(&folder);
                let child = children.into_iter().find(|it| it.name == name && !it.trashed);
                child.map(|child| child.id.clone())
            })
        })
    }

    /// Returns how many resumable uploads were begun and neither completed nor ended.
    pub fn open_sessions(&self) -> usize {
        self.with(|state| state.open_sessions())
    }

    /// Lets all resumable uploads that are under way expire.
    pub fn expire_sessions(&self) {
        self.with(State::expire_sessions);
    }

    /// Lets all page tokens of the feed that were given out expire: they are answered with this
    /// status, 400 or 410.
    pub fn expire_changes(&self, status: u16) {
        self.with(|state| {
            // A token that is given out from now on is younger.
            state.skip_change();
            state.oldest_change = (state.changes.len(), status);
        });
    }
}

/// What goes wrong, and what was seen.
impl Emulator {
    /// Adds something that will go wrong.
    pub fn fault(&self, fault: Fault) {
        self.with(|state| state.faults.add(fault));
    }

    /// Takes back all faults that have not happened yet.
    pub fn clear_faults(&self) {
        self.with(|state| state.faults.clear());
    }

    /// Returns how many faults have not happened yet, or not as often as they should.
    pub fn pending_faults(&self) -> usize {
        self.with(|state| state.faults.pending())
    }

    /// Lets each request wait so long, from now on.
    pub fn set_latency(&self, latency: Duration) {
        self.adjust(|conditions| conditions.latency = latency);
    }

    /// Enforces a rate from now on: see [`Builder::rate`].
    pub fn set_rate(&self, rate: Option<(f64, u32)>) {
        self.adjust(|conditions| conditions.rate = rate);
        self.with(|state| state.buckets.clear());
    }

    /// Lets each connection carry so many bytes a second, from now on.
    pub fn set_bandwidth(&self, bytes_per_second: Option<u64>) {
        self.adjust(|conditions| conditions.bandwidth = bytes_per_second);
    }

    /// Returns how many requests were refused because a user made too many.
    pub fn rate_refusals(&self) -> u64 {
        self.with(|state| state.rate_refusals)
    }

    /// Returns the requests since the beginning, or since [`Emulator::forget_requests`], in the
    /// order in which they came.
    pub fn requests(&self) -> Vec<Request> {
        self.with(|state| state.log.all())
    }

    /// Empties the log of requests.
    pub fn forget_requests(&self) {
        self.with(|state| state.log.forget());
    }
}

fn known<'a>(state: &State, id: &'a str) -> &'a str {
    assert!(state.items.contains_key(id), "there is no file or folder {id}");
    id
}

/// A service account, with its key.
#[derive(Debug, Clone)]
pub struct ServiceAccount {
    /// Its address.
    pub email: String,
    key_id: String,
    token_uri: String,
}

impl ServiceAccount {
    /// Returns the file that the Cloud console gives for its key.
    pub fn credentials_json(&self) -> String {
        format!("{:#}\n", auth::credentials(&self.email, &self.key_id, &self.token_uri))
    }

    /// Writes the file into a folder; returns its path.
    ///
    /// # Panics
    /// If it can't be written.
    pub fn write_to(&self, folder: &Path) -> PathBuf {
        let path = folder.join(format!("{}.json", self.email));
        std::fs::write(&path, self.credentials_json())
            .unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        path
    }
}
