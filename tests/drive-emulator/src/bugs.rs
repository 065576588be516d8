//! Mistakes that the emulator makes when it is told to: they show that its validation by foreign
//! clients would catch them.

/// A deliberate mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bug {
    /// md5 sums are wrong.
    Md5,
    /// A range ends one byte early.
    RangeEnd,
    /// The second page of a list is the first one again.
    PageToken,
    /// Chunks need not be multiples of 256 KiB.
    AnyChunk,
    /// The last chunk of a resumable upload is lost.
    LastChunk,
    /// Backslashes in `q` escape nothing.
    Escape,
    /// What is created comes twice.
    Twice,
    /// A line end after the content of a multipart upload belongs to the content.
    LineEnd,
    /// `trashed = false` in `q` is ignored.
    TrashListed,
    /// `modifiedTime` is ignored.
    ModifiedTime,
    /// What was moved also stays where it was.
    Move,
    /// The changes feed forgets what was deleted.
    Removed,
}

impl Bug {
    /// All of them.
    pub const ALL: [Bug; 12] = [
        Bug::Md5,
        Bug::RangeEnd,
        Bug::PageToken,
        Bug::AnyChunk,
        Bug::LastChunk,
        Bug::Escape,
        Bug::Twice,
        Bug::LineEnd,
        Bug::TrashListed,
        Bug::ModifiedTime,
        Bug::Move,
        Bug::Removed,
    ];
}
