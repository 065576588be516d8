//! The provider of this very process: a host's way to the sites of a world.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use sitesync_provider::{
    About, At, Bytes, Change, ChangePage, Changes, Copied, Copy, Cursor, DeleteOptions, End, Entry,
    Error, ErrorKind, Host, ListStream, Metadata, Op, Page, Provider, ReadOptions, ReadStream,
    Result, RootInfo, SweepOptions, Swept, WriteOptions, WriteStream,
};

use super::steps::{Call, Machine, Site};
use super::world::{Answer, Sent, State, Twist, World, described};

/// Whose connection it is.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Account {
    /// The number of a world.
    world: u64,
    /// A machine of it.
    machine: String,
}

/// One life of a machine, connected.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    world: Arc<World>,
    machine: Machine,
    life: u64,
}

impl Link {
    async fn call<T>(
        &self,
        at: (Site, Call),
        path: &str,
        effect: impl FnOnce(&mut State, Twist) -> Result<T>,
    ) -> Result<T> {
        match self.world.call((self.machine, self.life), at, path, effect) {
            Answer::Now(result) => result,
            Answer::Never => std::future::pending().await,
        }
    }
}

fn site(root: &str) -> Result<Site> {
    let found = Site::ALL.into_iter().find(|site| site.name() == root);
    found.ok_or_else(|| Error::new(ErrorKind::RootUnavailable, "there is no such root"))
}

pub(crate) struct Reader {
    link: Link,
    site: Site,
    path: String,
    metadata: Metadata,
    /// What was there when it was opened; else it reads what is there now.
    snapshot: Option<Bytes>,
    from: usize,
    ended: bool,
}

impl ReadStream for Reader {
    fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    async fn read(&mut self, max: usize) -> Result<Bytes> {
        if self.ended {
            return Ok(Bytes::new());
        }
        let (site, from) = (self.site, self.from);
        let snapshot = self.snapshot.clone();
        let (bytes, ended) = self
            .link
            .call((site, Call::Read), &self.path, |state, twist| {
                let store = &state.stores[site as usize];
                if !store.mounted {
                    return Err(Error::new(ErrorKind::Interrupted, "it was unmounted"));
                }
                let now = || store.files.get(&self.path).map(|file| file.content.clone());
                let content = snapshot.or_else(now).unwrap_or_default();
                // In two pieces, but for a marker.
                let ours = self.path.starts_with(sitesync_provider::OURS);
                let piece = if ours { content.len() } else { content.len() / 2 + 1 };
                let end = (from + piece).min(from + max).min(content.len());
                let bytes = content.slice(from.min(end)..end);
                if twist == Twist::Truncate {
                    return Ok((bytes.slice(..bytes.len() / 2), true));
                }
                Ok((bytes, false))
            })
            .await?;
        self.from += bytes.len();
        self.ended = ended;
        Ok(bytes)
    }
}

pub(crate) struct Writer {
    link: Link,
    site: Site,
    path: String,
    how: WriteOptions,
    content: Vec<u8>,
}

impl WriteStream for Writer {
    fn offset(&self) -> u64 {
        0
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        let site = self.site;
        let room = |state: &mut State, _| state.stores[site as usize].room();
        self.link.call((site, Call::Write), &self.path, room).await?;
        self.content.extend_from_slice(&chunk);
        Ok(())
    }

    async fn finish(self) -> Result<Metadata> {
        let Writer { link, site, path, how, content } = self;
        let ground = &link.world.ground;
        link.call((site, Call::Finish), &path, |state, _| {
            how.op.check()?;
            if content.len() as u64 != how.size {
                return Err(Error::new(ErrorKind::Corrupt, "other bytes came than were promised"));
            }
            let (content, mtime_ns) = (content.into(), how.mtime_ns);
            let sent = Sent { content, mtime_ns, expect: &how.expect, keep: how.keep_replaced };
            state.publish(link.machine, site, &path, sent)?;
            state.metadata(ground, site, &path, Twist::None)
        })
        .await
    }

    async fn discard(self) -> Result<()> {
        self.link.call((self.site, Call::Discard), &self.path, |_, _| Ok(())).await
    }
}

pub(crate) struct Lister {
    link: Link,
    site: Site,
    folder: String,
    recursive: bool,
    ended: bool,
}

impl ListStream for Lister {
    async fn next(&mut self) -> Result<Option<Vec<Page>>> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(None);
        }
        let (site, ground) = (self.site, &self.link.world.ground);
        let (top, recursive) = (&self.folder, self.recursive);
        self.link
            .call((site, Call::List), top, |state, mut twist| {
                let store = &state.stores[site as usize];
                let mut folders: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
                folders.insert(top.clone(), Vec::new());
                for (path, file) in store.files.iter().filter(|_| store.mounted) {
                    let inside = if top.is_empty() {
                        Some(path.as_str())
                    } else {
                        path.strip_prefix(top.as_str()).and_then(|rest| rest.strip_prefix('/'))
                    };
                    let Some(inside) = inside else { continue };
                    let mut folder = top.clone();
                    let mut parts = inside.split('/').peekable();
                    while let Some(part) = parts.next() {
                        let entries = folders.entry(folder.clone()).or_default();
                        let known = entries.iter().any(|entry| entry.name == part);
                        if parts.peek().is_none() {
                            let twist = std::mem::replace(&mut twist, Twist::None);
                            let metadata = described(ground, site, file, twist);
                            entries.push(Entry::new(part, metadata));
                        } else if !known {
                            entries.push(Entry::new(part, Metadata::folder()));
                        }
                        folder = sitesync_provider::join(&folder, part);
                        if !recursive {
                            break;
                        }
                    }
                }
                if !top.is_empty() && folders.values().all(Vec::is_empty) {
                    return Err(Error::new(ErrorKind::NotFound, "there is no such folder"));
                }
                let page = |(folder, entries)| Page::new(folder, entries, End::Complete);
                Ok(Some(folders.into_iter().map(page).collect()))
            })
            .await
    }
}

impl Provider for Link {
    type Settings = Account;
    type Reader = Reader;
    type Writer = Writer;
    type Lister = Lister;

    const ABOUT: About = About::new("world", "World (test fixture)").slots(3);

    async fn connect(settings: Account, _: Host) -> Result<Self> {
        let gone = || Error::new(ErrorKind::RootUnavailable, "this world has ended");
        let world = World::of(settings.world).ok_or_else(gone)?;
        let machine = if settings.machine == "A" { Machine::A } else { Machine::B };
        let life = world.lock().life(machine);
        Ok(Link { world, machine, life })
    }

    async fn open_root(&self, root: &str, _: Account) -> Result<RootInfo> {
        let site = site(root)?;
        let ground = &self.world.ground;
        self.call((site, Call::OpenRoot), "", |state, _| {
            let store = &state.stores[site as usize];
            if ground.lasting[site as usize] && !store.mounted {
                return Err(Error::new(ErrorKind::RootUnavailable, "there is no such folder"));
            }
            let mut info = RootInfo::default();
            info.storage_id = root.to_owned();
            info.root_id = if store.mounted { root.to_owned() } else { format!("below {root}") };
            info.lasting_id = ground.lasting[site as usize];
            info.can.ranges = true;
            info.can.atomic_replace = true;
            info.can.recursive_list = ground.recursive;
            info.can.server_copy = ground.server_copy;
            info.can.flush = store.flush;
            info.can.trash = ground.keeps;
            info.can.keeps_replaced = ground.keeps;
            if site == Site::Cloud && ground.feed {
                info.can.changes = Changes::Complete;
            }
            if ground.md5[site as usize] {
                info.can.checksums = vec!["md5".to_owned()];
            }
            info.mtime_step_ns = u64::from(ground.keeps_mtime[site as usize]);
            Ok(info)
        })
        .await
    }

    async fn stat(&self, at: At<'_>) -> Result<Metadata> {
        let (site, ground) = (site(at.root)?, &self.world.ground);
        self.call((site, Call::Stat), at.path, |state, twist| {
            state.metadata(ground, site, at.path, twist)
        })
        .await
    }

    async fn list(&self, dir: At<'_>, recursive: bool) -> Result<Lister> {
        let folder = dir.path.to_owned();
        Ok(Lister { link: self.clone(), site: site(dir.root)?, folder, recursive, ended: false })
    }

    async fn open_read(&self, at: At<'_>, how: ReadOptions) -> Result<Reader> {
        let (site, ground) = (site(at.root)?, &self.world.ground);
        let (metadata, content) = self
            .call((site, Call::OpenRead), at.path, |state, _| {
                let file = state.stores[site as usize].find(at.path)?;
                if how.if_version.as_ref().is_some_and(|version| *version != file.version) {
                    return Err(Error::new(ErrorKind::Precondition, "it is another version"));
                }
                Ok((described(ground, site, file, Twist::None), file.content.clone()))
            })
            .await?;
        let snapshot = (!ground.mixed_reads[site as usize]).then_some(content);
        let from = usize::try_from(how.from).unwrap_or(usize::MAX);
        let path = at.path.to_owned();
        Ok(Reader { link: self.clone(), site, path, metadata, snapshot, from, ended: false })
    }

    async fn open_write(&self, at: At<'_>, how: WriteOptions) -> Result<Writer> {
        let site = site(at.root)?;
        let room = |state: &mut State, _| state.stores[site as usize].room();
        self.call((site, Call::OpenWrite), at.path, room).await?;
        let path = at.path.to_owned();
        Ok(Writer { link: self.clone(), site, path, how, content: Vec::new() })
    }

    async fn create_folder(&self, _: At<'_>) -> Result<()> {
        Ok(())
    }

    async fn remove_folder(&self, _: At<'_>) -> Result<()> {
        Ok(())
    }

    async fn delete(&self, at: At<'_>, how: DeleteOptions) -> Result<()> {
        let site = site(at.root)?;
        let delete = |state: &mut State, _| state.delete(self.machine, site, at.path, &how);
        self.call((site, Call::Delete), at.path, delete).await
    }

    async fn rename(&self, from: At<'_>, to: At<'_>) -> Result<Metadata> {
        let (site, ground) = (site(from.root)?, &self.world.ground);
        self.call((site, Call::Rename), from.path, |state, _| {
            state.rename(self.machine, site, from.path, to.path)?;
            state.metadata(ground, site, to.path, Twist::None)
        })
        .await
    }

    async fn sweep(&self, root: &str, _: SweepOptions) -> Result<Swept> {
        self.call((site(root)?, Call::Sweep), "", |_, _| Ok(Swept::new(0, 0))).await
    }

    async fn server_copy(&self, batch: &[Copy<'_>], op: &Op) -> Vec<Result<Copied>> {
        let mut copied = Vec::new();
        let ground = &self.world.ground;
        for one in batch {
            copied.push(
                async {
                    let (from, to) = (site(one.from.root)?, site(one.to.root)?);
                    self.call((to, Call::ServerCopy), one.to.path, |state, _| {
                        op.check()?;
                        let source = state.stores[from as usize].find(one.from.path)?;
                        let wanted = one.from.known.and_then(|known| known.version.as_ref());
                        if wanted.is_some_and(|version| *version != source.version) {
                            return Err(Error::new(ErrorKind::Precondition, "another version"));
                        }
                        let said = described(ground, from, source, Twist::None);
                        let sent = Sent {
                            content: source.content.clone(),
                            mtime_ns: Some(source.mtime_ns),
                            expect: &one.expect,
                            keep: one.keep_replaced,
                        };
                        state.publish(self.machine, to, one.to.path, sent)?;
                        let made = state.metadata(ground, to, one.to.path, Twist::None)?;
                        Ok(Copied::new(said, made))
                    })
                    .await
                }
                .await,
            );
        }
        copied
    }

    async fn flush(&self, roots: &[&str]) -> Result<()> {
        for root in roots {
            let site = site(root)?;
            self.call((site, Call::Flush), "", |state, _| {
                state.stores[site as usize].flushed();
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    async fn changes(
        &self,
        roots: &[&str],
        since: Option<Cursor>,
        _: Duration,
    ) -> Result<ChangePage> {
        let root = roots.first().copied().unwrap_or_default();
        let (site, ground) = (site(root)?, &self.world.ground);
        self.call((site, Call::Changes), "", |state, _| {
            let store = &state.stores[site as usize];
            store.room().or_else(|error| match error.kind() {
                ErrorKind::StorageFull => Ok(()),
                _ => Err(error),
            })?;
            let now = store.changes.len();
            let next = Cursor(now.to_string());
            let Some(since) = since else { return Ok(ChangePage::new(Vec::new(), next, false)) };
            let unknown = || Error::new(ErrorKind::CursorExpired, "no such place");
            let since = since.0.parse().ok().filter(|at: &usize| *at <= now).ok_or_else(unknown)?;
            let changed = store.changes[since..].iter().map(|path| {
                if ground.vague_feed {
                    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                    return Change::new(root, folder);
                }
                let change = Change::new(root, path);
                match store.files.get(path) {
                    Some(file) => change.with_version(&file.version),
                    None => change,
                }
            });
            Ok(ChangePage::new(changed.collect(), next, false))
        })
        .await
    }
}
