//! The trees of entries.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::db::Request;
use crate::error::Result;
use crate::model::{
    AccountId, At, By, Condition, Content, Entry, EntryId, Filter, Mode, Modseq, Right, TreePath,
    UploadId, VersionId,
};

/// An entry and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// From the root of its tree.
    pub path: TreePath,
    /// What is there.
    pub entry: Entry,
}

/// What was found on a page of a search.
#[derive(Clone, Debug, Default)]
pub struct Finding {
    /// In order: a folder before what is in it.
    pub entries: Vec<Listed>,
    /// The last entry that was looked at: there the search goes on. `None` at its end.
    pub reached: Option<TreePath>,
}

/// What is at and below an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measure {
    /// Files.
    pub files: u64,
    /// Folders.
    pub folders: u64,
    /// Symlinks.
    pub symlinks: u64,
    /// Bytes of the files, as they are now.
    pub bytes: u64,
    /// Bytes of their past versions.
    pub version_bytes: u64,
}

/// A version of a file that can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its bytes.
    pub content: Content,
    /// In whose tree the file is.
    pub owner: AccountId,
}

/// Where a listing goes on: after this entry of the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    /// At its beginning.
    Start,
    /// After this path.
    After(TreePath),
}

/// A page of a listing.
#[derive(Clone, Debug)]
pub struct Listing {
    /// In order: folded names in a folder, a folder before what is in it.
    pub entries: Vec<Listed>,
    /// Whether there may be more.
    pub more: bool,
    /// The tree owner's number when the page was read.
    pub modseq: Modseq,
}

/// One file to be written, of chunks that whoever writes it has sent.
#[derive(Clone, Debug)]
pub struct FileWrite {
    /// Who writes it.
    pub by: AccountId,
    /// Makes it happen once.
    pub request: Option<Request>,
    /// The upload that brought its chunks; it ends.
    pub upload: Option<UploadId>,
    /// Where; missing folders are made.
    pub at: At,
    /// What.
    pub content: Content,
    /// Permission bits; `None` keeps those of the file that stands there.
    pub mode: Option<Mode>,
    /// Nanoseconds since 1970.
    pub modified_ns: i64,
    /// Happens only if this is so of what stands there.
    pub condition: Condition,
    /// Milliseconds since 1970.
    pub now: i64,
}

/// An entry to be moved or copied.
#[derive(Clone, Debug)]
pub struct Relocation {
    /// Who does it.
    pub by: AccountId,
    /// Makes it happen once.
    pub request: Option<Request>,
    /// From where.
    pub source: At,
    /// The new path itself.
    pub target: At,
    /// Happens only if this is so of the source.
    pub condition: Condition,
    /// Happens only if nothing is at the target.
    pub if_absent: bool,
    /// Milliseconds since 1970.
    pub now: i64,
}

/// An entry to be removed.
#[derive(Clone, Debug)]
pub struct Removal {
    /// Who does it.
    pub by: AccountId,
    /// Makes it happen once.
    pub request: Option<Request>,
    /// What.
    pub at: At,
    /// Whether a folder may be removed, with all below it.
    pub recursive: bool,
    /// Happens only if this is so of it.
    pub condition: Condition,
    /// Milliseconds since 1970.
    pub now: i64,
}

/// Transactions on trees. A tree is its owner's; anybody else (`by`) may do what a grant on the entry or on a
/// folder above it allows, as of the same moment. What they may not see is `NotFound`, what they may see
/// and not change is `PermissionDenied`.
#[async_trait]
pub trait Tree {
    /// What stands at a path; `NotFound` otherwise.
    async fn entry(&self, by: By, at: &At) -> Result<Entry>;

    /// Refuses unless what is at a path, or will be, may be changed.
    async fn require_write(&self, by: AccountId, at: &At) -> Result<()>;

    /// The most that is allowed anywhere in the tree of `account`.
    async fn highest_right(&self, by: AccountId, account: AccountId) -> Result<Option<Right>>;

    /// A version, current or past, of an entry that can be seen.
    async fn version(&self, by: By, version: VersionId) -> Result<Seen>;

    /// Many versions, in order; `None` for what cannot be seen.
    async fn versions(&self, by: By, versions: Vec<VersionId>) -> Result<Vec<Option<Seen>>>;

    /// A folder's entries, or all below it, at most `limit` of them and no more than about 2 MiB of paths
    /// and targets; a file or symlink lists itself.
    async fn list(
        &self,
        by: By,
        at: &At,
        recursive: bool,
        from: Position,
        limit: usize,
    ) -> Result<Listing>;

    /// Looks for what a filter lets through, below a folder. At most `limit` of it, and at most so many entries
    /// are looked at that a page takes little time.
    async fn find(
        &self,
        by: By,
        at: &At,
        filter: Filter,
        from: Position,
        limit: usize,
    ) -> Result<Finding>;

    /// How much is at and below a path.
    async fn measure(&self, by: By, at: &At) -> Result<Measure>;

    /// Writes one file.
    async fn write_file(&self, write: FileWrite) -> Result<Entry>;

    /// Makes a folder; with `parents` also missing ones above it, and one that stands is success.
    async fn make_folder(
        &self,
        by: AccountId,
        at: &At,
        parents: bool,
        mode: Option<Mode>,
        now: i64,
    ) -> Result<Entry>;

    /// Moves an entry with all below it inside its tree. A file or symlink at the target is removed first.
    async fn move_entry(&self, relocation: Relocation) -> Result<Entry>;

    /// Copies a file or symlink, from one tree to another too. A file at a file's target gets a new
    /// version.
    async fn copy_entry(&self, relocation: Relocation) -> Result<Entry>;

    /// Removes an entry, softly; its id.
    async fn remove(&self, removal: Removal) -> Result<EntryId>;
}
