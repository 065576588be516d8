//! The durable truth: which files there are, where they are, and what is still to be done.
//!
//! Three ideas carry it:
//! - A **generation** numbers the contents that a file has had. A site that reports new content
//!   raises it; a site is up to date when the generation that it *has* is the file's newest.
//! - A **have** is what one site itself reported of one file: its fingerprint and the generation
//!   that stands for. Fingerprints of two sites are never compared.
//! - A **job** is work for one file at one destination: what to bring there, what is expected to
//!   be found, and how often it was tried. No job and an old or no have: `not_available`.
//!
//! Public file states are derived from these and from pauses ([`FileState`]); none is stored.
//!
//! Invariants: no SQL outside this folder. The catalog has no clock: every time is handed in.
//! It never touches storage and does not know what a provider is.

mod apart;
mod claim;
mod error;
mod examine;
mod grouping;
mod mend;
mod pause;
mod pool;
mod reader;
mod representation;
mod rows;
mod schema;
mod sqlite;
mod tally;
mod unit;
mod work;
mod writer;

#[cfg(test)]
mod tests;

use std::fmt;

use crate::publish::{Naming, NamingPattern};

pub use apart::Apart;
pub use error::{Error, Result};
pub use examine::Tallied;
pub use mend::{copy, recount, set_aside};
pub use pause::{Hold, HoldKind, Pause, Scope};
pub use representation::{Representation, RepresentationFilter, RepresentationRow, StateAt};
pub use sqlite::Sqlite;

/// Milliseconds of host time (see `engine::clock`): never goes back, survives restarts.
pub type Millis = i64;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);
    };
}
id!(/// A site, by name, once per catalog.
    SiteId);
id!(/// A project, by name.
    ProjectId);
id!(/// A named root of a project.
    RootId);
id!(/// A folder beneath a root.
    FolderId);
id!(/// A file in a folder.
    FileId);
id!(/// Files that were published together, or found in one folder.
    RepresentationId);

/// Numbers the contents of a file: 1 for the first that was seen. Four more say what a site has
/// that is none of these: [`UNKNOWN`], [`STALE`], [`GONE`] and [`DOUBTFUL`].
pub type Generation = i64;

/// Something that nobody has compared yet: never overwritten, only met.
pub const UNKNOWN: Generation = 0;

/// Ours, and outdated or torn: may be overwritten.
pub const STALE: Generation = -1;

/// It was there, and was deleted. The fingerprint of such a have is [`Have::gone`]'s.
pub const GONE: Generation = -2;

/// As `UNKNOWN`, and not known to be durable: even if it is equal it is written anew.
pub const DOUBTFUL: Generation = -3;

/// What one site reported of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Have {
    /// The site that reported it.
    pub site: SiteId,
    /// Which content of the file that was.
    pub generation: Generation,
    /// The site's own fingerprint.
    pub version: String,
    /// Bytes.
    pub size: u64,
    /// As the site reported it, ns since the epoch.
    pub mtime_ns: Option<i64>,
}

impl Have {
    /// A site had this generation of a file and deleted it. What appears there again follows that
    /// generation, as long as it is the newest: it is no stranger to it.
    #[must_use]
    pub fn gone(site: SiteId, generation: Generation) -> Self {
        let version = format!("gone:{generation}");
        Have { site, generation: GONE, version, size: 0, mtime_ns: None }
    }

    /// True if it follows a deletion of this generation.
    #[must_use]
    pub fn is_gone_from(&self, generation: Generation) -> bool {
        self.generation == GONE && self.version == format!("gone:{generation}")
    }
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobState {
    /// May be claimed.
    Ready,
    /// May be claimed once its time has come (settling, or backing off).
    Waiting,
    /// Claimed: a transfer may be writing.
    InProgress,
    /// Given up until reset.
    Failed,
    /// Both ends changed, or two different files met: left alone until resolved.
    Conflict,
    /// Would be ready, and is kept back by a pause of its representation or by a guard.
    Held,
}

/// Why a job's last try failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobError {
    /// The kind's stable name, as in the provider contract (`StorageFull`).
    pub kind: String,
    /// A sentence for a person.
    pub message: String,
}

impl Have {
    /// What a destination is given when this is sent to it.
    #[must_use]
    pub fn sent(&self) -> Sent {
        Sent { size: self.size, mtime_ns: self.mtime_ns }
    }
}

/// What was last sent to a destination: recognises our own unrecorded write after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Bytes.
    pub size: u64,
    /// The source's mtime, which the destination was given too.
    pub mtime_ns: Option<i64>,
}

/// Work for one file at one destination. Where it comes from there, it is to be removed there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Where it must arrive.
    pub to: SiteId,
    /// Where it comes from.
    pub from: SiteId,
    /// Where it stands.
    pub state: JobState,
    /// 1 to 1001, higher first.
    pub priority: i64,
    /// When it was first queued.
    pub queued_at: Millis,
    /// Not before this, while `Waiting`.
    pub not_before: Millis,
    /// Failed tries so far.
    pub tries: u32,
    /// What the last started try sent, if one was started.
    pub sent: Option<Sent>,
    /// Resumes an upload.
    pub token: Option<Vec<u8>>,
    /// Of the last failed try.
    pub error: Option<JobError>,
}

impl Job {
    /// Whether its file is to be deleted there: it comes from where it goes.
    #[must_use]
    pub fn removes(&self) -> bool {
        self.from == self.to
    }

    /// The same work from another site. What was given up gets another chance: it may have been the
    /// fault of where it came from.
    #[must_use]
    pub fn coming_from(&self, from: SiteId) -> Job {
        match self.state {
            JobState::Failed => {
                Job { from, state: JobState::Ready, tries: 0, error: None, ..self.clone() }
            }
            _ => Job { from, state: self.let_go(), ..self.clone() },
        }
    }

    /// The same work with another priority.
    #[must_use]
    pub fn with_priority(&self, priority: i64) -> Job {
        Job { priority, state: self.let_go(), ..self.clone() }
    }

    /// Its state if nothing held it back. What does holds it again when it is put; put as held, it
    /// would be a guard's.
    #[must_use]
    fn let_go(&self) -> JobState {
        match self.state {
            JobState::Held if self.not_before > 0 => JobState::Waiting,
            JobState::Held => JobState::Ready,
            state => state,
        }
    }
}

/// A file of a folder, with all that is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRow {
    /// Its key.
    pub id: FileId,
    /// Its root.
    pub root: RootId,
    /// Its name in the folder.
    pub name: String,
    /// The newest content seen anywhere.
    pub generation: Generation,
    /// Bytes of that content.
    pub size: u64,
    /// What it belongs to.
    pub representation: RepresentationId,
    /// What each site that reported it has.
    pub haves: Vec<Have>,
    /// Its unfinished work.
    pub jobs: Vec<Job>,
    /// Sites at which it is wanted, or is not: as was asked for it, else for its representation.
    pub wants: Vec<(SiteId, bool)>,
}

impl FileRow {
    /// What a site has of it, if it is there.
    #[must_use]
    pub fn at(&self, site: SiteId) -> Option<&Have> {
        self.haves.iter().find(|have| have.site == site && have.generation != GONE)
    }

    /// What a site has of it, if that is the newest content.
    #[must_use]
    pub fn newest_at(&self, site: SiteId) -> Option<&Have> {
        self.at(site).filter(|have| have.generation == self.generation)
    }

    /// What is to be done for it at a site.
    #[must_use]
    pub fn job_to(&self, site: SiteId) -> Option<&Job> {
        self.jobs.iter().find(|job| job.to == site)
    }
}

/// A folder with its files, in no particular order. `id` is `None` while the folder is unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FolderRows {
    /// Its key.
    pub id: Option<FolderId>,
    /// Its files.
    pub files: Vec<FileRow>,
}

/// A job handed out, with all that a transfer needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The file.
    pub file: FileId,
    /// Its root.
    pub root: RootId,
    /// What it belongs to.
    pub representation: RepresentationId,
    /// Its folder's path beneath the root, `/`-separated; empty for the root itself.
    pub folder: String,
    /// Its name.
    pub name: String,
    /// The newest content, which is what travels.
    pub generation: Generation,
    /// What the source has (its fingerprint is what must be read).
    pub source: Have,
    /// What the destination is known to have: the expectation of the write.
    pub destination: Option<Have>,
    /// What is at the destination is known, or that nothing was: what is met there came later.
    pub surveyed: bool,
    /// The work itself, as it stood *before* this claim: `sent` is the earlier try's.
    pub job: Job,
}

impl Claimed {
    /// What the destination is given, if it can be recognised there; else what it was given before. What
    /// may have been there already may be what the source is a copy of, with the same time.
    #[must_use]
    pub fn sent(&self) -> Option<Sent> {
        if self.surveyed { Some(self.source.sent()) } else { self.job.sent }
    }
}

/// Which jobs to hand out.
#[derive(Debug, Clone)]
pub struct ClaimFilter {
    /// Of this project.
    pub project: ProjectId,
    /// To this site.
    pub to: SiteId,
    /// From this one; from `to` itself, what is to be removed there.
    pub from: SiteId,
    /// At most so many files.
    pub files: usize,
    /// Stop after the file with which this many bytes are reached (at least one file is given).
    pub bytes: u64,
    /// Leave out files larger than this.
    pub largest: Option<u64>,
    /// Oldest first, whatever the priority.
    pub oldest_first: bool,
}

/// The public state of a file at a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileState {
    /// Not there, and no work to bring it.
    NotAvailable,
    /// Will be brought there.
    Queued,
    /// Is being brought there.
    InProgress,
    /// Its newest content is there.
    Synced,
    /// Could not be brought there, or is in conflict.
    Failed,
    /// Held by a person.
    Paused,
}

impl FileState {
    /// All, in the order in which they are shown.
    pub const ALL: [FileState; 6] = [
        FileState::Synced,
        FileState::InProgress,
        FileState::Queued,
        FileState::Failed,
        FileState::Paused,
        FileState::NotAvailable,
    ];

    /// The stable name: `in_progress`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            FileState::NotAvailable => "not_available",
            FileState::Queued => "queued",
            FileState::InProgress => "in_progress",
            FileState::Synced => "synced",
            FileState::Failed => "failed",
            FileState::Paused => "paused",
        }
    }
}

impl fmt::Display for FileState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Files and bytes of a project at a site in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// The site.
    pub site: SiteId,
    /// The state; `NotAvailable` is not counted.
    pub state: FileState,
    /// How many of the failed files are conflicts; 0 for other states.
    pub conflicts: u64,
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
}

/// One line of the Sync Queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueRow {
    /// The file.
    pub file: FileId,
    /// The root's name.
    pub root: String,
    /// The file's path beneath the root.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// The state in which it is shown: what a wide pause reaches is `Held`, where the job is not.
    pub shown: JobState,
    /// The work.
    pub job: Job,
}

/// Which part of the Sync Queue to show.
#[derive(Debug, Clone, Default)]
pub struct QueueFilter {
    /// Only jobs that are shown in these states; empty for all.
    pub states: Vec<JobState>,
    /// At most so many rows.
    pub limit: usize,
    /// Rows to leave out at the front.
    pub offset: usize,
}

/// Reads of one consistent moment. Implementations may hold no lock for longer than a call.
pub trait View {
    /// A project's key, if it is known.
    fn project(&self, name: &str) -> Result<Option<ProjectId>>;
    /// A site's key, if it is known.
    fn site(&self, name: &str) -> Result<Option<SiteId>>;
    /// Names of all known sites.
    fn site_names(&self) -> Result<Vec<(SiteId, String)>>;
    /// A root's key, if it is known.
    fn root(&self, project: ProjectId, name: &str) -> Result<Option<RootId>>;
    /// The identity that a site's root last had.
    fn root_identity(&self, root: RootId, site: SiteId) -> Result<Option<String>>;
    /// Where the change feed of a site's root goes on, if its scan has been brought to an end.
    fn cursor(&self, root: RootId, site: SiteId) -> Result<Option<String>>;
    /// Whether all that a site's root had was listed and planned, once at least: what is found there since
    /// came since.
    fn is_scanned(&self, root: RootId, site: SiteId) -> Result<bool>;
    /// A folder with all its files.
    fn folder(&self, root: RootId, path: &str) -> Result<FolderRows>;
    /// One file of a folder.
    fn file(&self, root: RootId, folder: &str, name: &str) -> Result<Option<FileRow>>;
    /// Folders of a root in key order, from after `after`, at most `limit`: for finding those
    /// that a listing no longer mentions. The path is beneath the root.
    fn folders(
        &self,
        root: RootId,
        after: FolderId,
        limit: usize,
    ) -> Result<Vec<(FolderId, String)>>;
    /// Paths of a root's folders at and beneath a path.
    fn folders_beneath(&self, root: RootId, path: &str) -> Result<Vec<String>>;
    /// A file's newest generation, if there is such a file.
    fn generation(&self, file: FileId) -> Result<Option<Generation>>;
    /// How many jobs from one site to another are marked `InProgress`.
    fn in_progress(&self, project: ProjectId, to: SiteId, from: SiteId) -> Result<u64>;
    /// The tokens of all unfinished work to this site, wherever it comes from.
    fn tokens(&self, project: ProjectId, to: SiteId) -> Result<Vec<Vec<u8>>>;
    /// Whether a job from one site to another could be claimed now.
    fn ready(&self, project: ProjectId, to: SiteId, from: SiteId) -> Result<bool>;
    /// How many ready jobs would be claimed before this one of `file`, counted up to `limit`.
    fn ready_before(&self, project: ProjectId, file: FileId, job: &Job, limit: u64) -> Result<u64>;
    /// When the next waiting job from one site to another becomes ready, if any waits.
    fn next_waiting(&self, project: ProjectId, to: SiteId, from: SiteId) -> Result<Option<Millis>>;
    /// Files and bytes by site and state, from kept counters; only where a pause of the site from which
    /// work comes reaches it, that is counted.
    fn counts(&self, project: ProjectId) -> Result<Vec<Count>> {
        self.counts_apart(project, &self.apart(project)?)
    }
    /// Likewise, as if this was paused, and nothing else but representations.
    fn counts_apart(&self, project: ProjectId, apart: &Apart) -> Result<Vec<Count>>;
    /// The Sync Queue of a project: in progress, then by priority, then oldest first.
    fn queue(&self, project: ProjectId, filter: &QueueFilter) -> Result<Vec<QueueRow>>;
    /// The latest host time that was stored.
    fn last_time(&self) -> Result<Millis>;
    /// A representation, if there is such a one.
    fn representation(&self, id: RepresentationId) -> Result<Option<Representation>>;
    /// The key of a representation, if there is one of that name.
    fn find_representation(
        &self,
        project: ProjectId,
        naming: &Naming,
    ) -> Result<Option<RepresentationId>>;
    /// Representations of a project in key order, from after `after`, at most `limit`.
    fn representations(
        &self,
        project: ProjectId,
        after: RepresentationId,
        limit: usize,
    ) -> Result<Vec<Representation>>;
    /// Representations of a project that a pattern means, in the order of their names, at most
    /// `limit`.
    fn representations_like(
        &self,
        project: ProjectId,
        pattern: &NamingPattern,
        limit: usize,
    ) -> Result<Vec<Representation>>;
    /// Files of a representation with their root and their folder's path beneath it, in key order,
    /// from after `after`, at most `limit`.
    fn files_of(
        &self,
        representation: RepresentationId,
        after: FileId,
        limit: usize,
    ) -> Result<Vec<(RootId, String, FileRow)>>;
    /// What a representation is at each site at which it is anything, from kept counters.
    fn state_of(&self, representation: RepresentationId) -> Result<Vec<StateAt>>;
    /// The Sync Queue by representation: by priority, then oldest first. Within a unit of work it
    /// looks at all of a project's.
    fn representation_queue(
        &self,
        project: ProjectId,
        filter: &RepresentationFilter,
    ) -> Result<Vec<RepresentationRow>>;
    /// Files that are in one state at a site, like [`files_of`](Self::files_of). To read all pages
    /// costs a walk over all unfinished work of the catalog, or for `Synced` and `NotAvailable`
    /// over all files.
    fn files_in_state(
        &self,
        project: ProjectId,
        site: SiteId,
        state: FileState,
        after: FileId,
        limit: usize,
    ) -> Result<Vec<(RootId, String, FileRow)>>;
    /// Between which sites a project's work is paused, by a pause of the host, of it or of a site.
    fn apart(&self, project: ProjectId) -> Result<Apart>;
    /// All pauses.
    fn pauses(&self) -> Result<Vec<Pause>>;
    /// What guards of a project saw that they stopped.
    fn holds(&self, project: ProjectId) -> Result<Vec<Hold>>;
    /// What guards hold back now of a project's jobs, by kind and site; `since` is 0.
    fn guarded(&self, project: ProjectId) -> Result<Vec<Hold>>;
    /// Files, at most `limit`, that a guard holds back at a site.
    fn guarded_files(
        &self,
        project: ProjectId,
        guard: (HoldKind, SiteId),
        limit: usize,
    ) -> Result<Vec<FileId>>;
    /// A file by its key, if there is such a file.
    fn file_by_id(&self, file: FileId) -> Result<Option<FileRow>>;
}

/// One unit of work: all of it is committed, or none.
pub trait Unit: View {
    /// A project's key; makes it.
    fn put_project(&mut self, name: &str) -> Result<ProjectId>;
    /// A site's key; makes it.
    fn put_site(&mut self, name: &str) -> Result<SiteId>;
    /// Gives a site another name; false, and nothing is done, if no site has the one or another
    /// site has the other.
    fn rename_site(&mut self, from: &str, to: &str) -> Result<bool>;
    /// A root's key; makes it.
    fn put_root(&mut self, project: ProjectId, name: &str) -> Result<RootId>;
    /// Remembers the identity of a site's root. Another root was never scanned, and has no cursor.
    fn put_root_identity(&mut self, root: RootId, site: SiteId, identity: &str) -> Result<()>;
    /// Sets where the change feed of a site's root goes on, or that it begins with a scan. Does
    /// nothing for a root without identity.
    fn put_cursor(&mut self, root: RootId, site: SiteId, cursor: Option<&str>) -> Result<()>;
    /// All of a site's root was listed and planned. Does nothing for a root without identity.
    fn put_scanned(&mut self, root: RootId, site: SiteId) -> Result<()>;
    /// A folder's key; makes it.
    fn put_folder(&mut self, root: RootId, path: &str) -> Result<FolderId>;
    /// A representation's key; makes it. One that is there keeps what was said of it, unless it is
    /// published (again): then that is what is said now, but for `made_by` if nobody says who.
    /// `made_at` is ms since the epoch, and `priority` 0 for the project's.
    fn put_representation(
        &mut self,
        project: ProjectId,
        naming: &Naming,
        priority: i64,
        made_at: i64,
        made_by: &str,
        published: bool,
    ) -> Result<RepresentationId>;
    /// Makes a file of generation 1 with this size. It must not exist. Its representation is of the
    /// same project.
    fn add_file(
        &mut self,
        folder: FolderId,
        name: &str,
        size: u64,
        representation: RepresentationId,
    ) -> Result<FileId>;
    /// Moves a file, with what is wanted of it, to another representation. One that loses its last
    /// file is removed, with its wants and pauses.
    fn set_representation(&mut self, file: FileId, representation: RepresentationId) -> Result<()>;
    /// New content: sets a file's generation and its size.
    fn set_generation(&mut self, file: FileId, generation: Generation, size: u64) -> Result<()>;
    /// Sets what a site has of a file.
    fn put_have(&mut self, file: FileId, have: &Have) -> Result<()>;
    /// A site no longer has a file.
    fn drop_have(&mut self, file: FileId, site: SiteId) -> Result<()>;
    /// Sets a file's job at `job.to`, whatever was there. One that would be ready becomes `Held`
    /// while its representation is paused there; one that a guard holds stays so. One that is put as
    /// `Held` is a guard's.
    fn put_job(&mut self, file: FileId, job: &Job) -> Result<()>;
    /// Removes a file's job at a site, if there is one.
    fn drop_job(&mut self, file: FileId, to: SiteId) -> Result<()>;
    /// Removes a file that no site has and that has no job; otherwise does nothing. A
    /// representation that loses its last file so is removed, with its wants and pauses.
    fn forget_file(&mut self, file: FileId) -> Result<()>;
    /// Waiting jobs from one site to another whose time has come become ready, at most `limit`, the
    /// longest due first; returns how many did.
    fn wake(
        &mut self,
        project: ProjectId,
        to: SiteId,
        from: SiteId,
        now: Millis,
        limit: usize,
    ) -> Result<usize>;
    /// Hands out ready jobs whose source has the newest generation, or what is to be removed: marks
    /// them `InProgress`, and sets their `sent` to the size and mtime of the source as known here.
    /// Others are skipped.
    fn claim(&mut self, filter: &ClaimFilter) -> Result<Vec<Claimed>>;
    /// Work in progress remembers what it gives its destination. Nothing, if it ended meanwhile.
    fn put_sent(&mut self, file: FileId, to: SiteId, sent: Sent) -> Result<()>;
    /// Jobs from one site to another that are in progress become ready again, but for files that a
    /// transfer still holds. Returns how many.
    fn release(
        &mut self,
        project: ProjectId,
        to: SiteId,
        from: SiteId,
        held: &[FileId],
    ) -> Result<usize>;
    /// Failed jobs of a project become ready again with no tries; conflicts stay.
    fn reset_failed(&mut self, project: ProjectId) -> Result<usize>;
    /// Sets whether a representation, or one file of it, is wanted at a site; `None`: nobody says.
    fn put_want(
        &mut self,
        representation: RepresentationId,
        file: Option<FileId>,
        site: SiteId,
        wanted: Option<bool>,
    ) -> Result<()>;
    /// Stores a pause. Of a representation, its jobs that are or will be ready become `Held`; work
    /// in progress is left to who does it. Wider ones change no job.
    fn put_pause(&mut self, pause: &Pause) -> Result<()>;
    /// Removes the pause of exactly this scope; false if there is none. What no other pause holds
    /// is as before.
    fn drop_pause(&mut self, scope: &Scope) -> Result<bool>;
    /// Stores that a guard stopped a pass, and what it saw; replaces what it saw there before.
    fn put_hold(&mut self, project: ProjectId, hold: &Hold) -> Result<()>;
    /// Jobs of these files to these sites that are not begun become `Held` until
    /// [`release_held`](Self::release_held). Returns how many.
    fn guard_jobs(&mut self, jobs: &[(FileId, SiteId)]) -> Result<usize>;
    /// Forgets what guards of a project saw, all of them or one at one site, and frees what they held
    /// there. Returns how many jobs.
    fn release_held(
        &mut self,
        project: ProjectId,
        guard: Option<(HoldKind, SiteId)>,
    ) -> Result<usize>;
    /// Frees what a guard holds of one file at a site, by whatever kind of guard or by this one. What
    /// the guard saw stays. True if there was anything.
    fn release_file(&mut self, file: FileId, at: SiteId, kind: Option<HoldKind>) -> Result<bool>;
    /// Sets a representation's priority, and with it that of its jobs, unless it is 0: then later
    /// jobs get the project's. Returns how many jobs.
    fn set_priority(&mut self, representation: RepresentationId, priority: i64) -> Result<usize>;
    /// Failed jobs of a representation, or of one file of it, become ready again with no tries, at
    /// one site or all; conflicts stay. Returns how many.
    fn reset(
        &mut self,
        representation: RepresentationId,
        file: Option<FileId>,
        to: Option<SiteId>,
    ) -> Result<usize>;
    /// Stores the latest host time.
    fn put_time(&mut self, now: Millis) -> Result<()>;
}
