//! What goes wrong, where and how often.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use schemars::JsonSchema;
use serde::Deserialize;

/// What goes wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// The call panics.
    Panic,
    /// It panics with a payload whose own `Drop` panics.
    EvilPayload,
    /// It panics in a thread of its own, and answers with what came of it.
    PanicInThread,
    /// It fails with an error whose source panics when it is shown.
    EvilError,
    /// Dropping panics: the provider, readers, writers and listers.
    PanicInDrop,
    /// Dropping blocks the thread.
    BlockInDrop,
    /// The call blocks its thread for `seconds`, whatever the host asks.
    Block,
    /// It blocks every thread of the plug-in for `seconds`.
    BlockAll,
    /// It never answers.
    Never,
    /// It fails with the `kind` that the settings name.
    Error,
    /// It asks to be left alone for centuries.
    Centuries,
    /// It fails with a long chain of errors.
    DeepError,
    /// It fails with megabytes of text, full of control characters.
    GiantError,
    /// It logs 100,000 events, and then megabytes in one.
    Flood,

    /// Sizes are one byte more than the truth.
    Size,
    /// Sizes are as large as a number can be.
    HugeSize,
    /// Modification times lie before the birth of time,
    Oldest,
    /// or after its end.
    Newest,
    /// There is no version.
    NoVersion,
    /// It has megabytes.
    GiantVersion,
    /// Checksums are not those of the content.
    Checksum,

    /// A listing holds names with `/`, with NUL, empty ones, `..`, and one of megabytes.
    BadNames,
    /// A listing goes on with a folder that was not asked for.
    StrangeFolder,
    /// It names each file twice, in one page,
    Twice,
    /// or in two.
    TwiceApart,
    /// It holds each folder twice.
    FolderTwice,
    /// It has no end: no pages at all,
    NoPages,
    /// empty pages,
    EmptyPages,
    /// ever new folders,
    EndlessFolders,
    /// folders in folders,
    EndlessDepth,
    /// or ever new names in one folder.
    EndlessNames,

    /// A reader gives more bytes than it was asked for,
    MoreBytes,
    /// never ends,
    EndlessRead,
    /// or ends early.
    ShortRead,

    /// A writer goes on from far beyond the end.
    Beyond,
    /// It writes other bytes than it was given.
    OtherBytes,
    /// It says that it has finished, and there is nothing.
    Lost,
    /// It goes on writing for `seconds`, whatever the host asks.
    WritesOn,
    /// It makes the file visible after `seconds`, whatever the host asks.
    LateRename,

    /// It deletes, and never answers.
    DeletesSilently,

    /// `server_copy` answers one copy less,
    FewerCopies,
    /// or one more.
    MoreCopies,

    /// A root has a label of megabytes.
    GiantRoot,
    /// It has modification times in steps of years.
    CoarseTimes,
    /// It says that it can do what answers `Unsupported`.
    Boast,
}

#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Parts connections that are otherwise equal.
    #[schemars(extend("x-scope" = "project"))]
    pub account: String,
    /// What goes wrong.
    #[schemars(extend("x-part" = "site"))]
    pub fault: Fault,
    /// In which call: `open_root`, `finish`. Without one in all of them, but for `connect`.
    #[schemars(extend("x-part" = "site"))]
    pub call: String,
    /// Only at paths that contain this.
    #[schemars(extend("x-part" = "site"))]
    pub only: String,
    /// How often; 0 for always.
    #[schemars(extend("x-part" = "site"))]
    pub times: u32,
    /// How long it takes; 0 for ever.
    #[schemars(extend("x-part" = "site"))]
    pub seconds: u64,
    /// The kind of an error.
    #[schemars(extend("x-part" = "site"))]
    pub kind: String,
    /// It keeps checksums.
    #[schemars(extend("x-part" = "site"))]
    pub checksums: bool,
    /// A file to which it adds a line for each file that it finished: the path, and after a tab
    /// the builds of the plug-in that wrote it, call by call.
    #[schemars(extend("x-part" = "site"))]
    pub journal: String,
    /// It lists trees, and copies within itself.
    #[schemars(extend("x-part" = "site"))]
    pub capable: bool,
}

/// Tests put another text of this length into the library: a build of its own.
static BUILD: &str = "build 00000000";

/// Which build this is.
pub fn build() -> &'static str {
    std::hint::black_box(BUILD)
}

impl Settings {
    /// True if this fault is to happen now, in this call at this path.
    pub fn hits(&self, fault: Fault, call: &str, path: &str) -> bool {
        /// How often each has happened, by what makes it one.
        static HAPPENED: Mutex<Option<HashMap<String, u32>>> = Mutex::new(None);
        let meant = self.fault == fault
            && (self.call == call || (self.call.is_empty() && call != "connect"))
            && path.contains(&self.only);
        if !meant || self.times == 0 {
            return meant;
        }
        let key = format!("{:?} {} {} {}", self.fault, self.call, self.only, self.account);
        let mut happened = HAPPENED.lock().unwrap_or_else(PoisonError::into_inner);
        let times = happened.get_or_insert_default().entry(key).or_default();
        *times += 1;
        *times <= self.times
    }
}
