//! What was and can be again: earlier versions of files, what was removed, and the last commit of a tree.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::db::{EntryKind, Listed, Request};
use crate::error::Result;
use crate::model::{
    AccountId, At, Condition, Content, Entry, EntryId, Mode, Modseq, TreePath, VersionId, Xattrs,
};

/// One content that a file has, or has had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its name.
    pub id: VersionId,
    /// The owner's number when the file got it.
    pub generation: Modseq,
    /// Its bytes.
    pub content: Content,
    /// The file's permission bits then.
    pub mode: Mode,
    /// The file's time of modification then, in nanoseconds since 1970.
    pub modified_ns: i64,
    /// The file's extended attributes then.
    pub xattrs: Xattrs,
    /// When another one took its place, in milliseconds since 1970; `None` for the current one.
    pub replaced_at: Option<i64>,
}

/// A version to be made the current one again.
#[derive(Clone, Debug)]
pub struct Reversion {
    /// Who does it.
    pub by: AccountId,
    /// Makes it happen once.
    pub request: Option<Request>,
    /// Of which file.
    pub at: At,
    /// Which; `None` for the one before the current one.
    pub version: Option<VersionId>,
    /// Happens only if this is so of the file.
    pub condition: Condition,
    /// Milliseconds since 1970.
    pub now: i64,
}

/// Something in the trash: what was removed itself, with all that was below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Its name.
    pub id: EntryId,
    /// Where it stood, after what the folders above it are called now.
    pub path: TreePath,
    /// What it is.
    pub kind: EntryKind,
    /// Bytes, of a file.
    pub size: Option<u64>,
    /// Milliseconds since 1970.
    pub removed_at: i64,
}

/// Something in the trash to be brought back.
#[derive(Clone, Debug)]
pub struct Restoration {
    /// Whose trash.
    pub account: AccountId,
    /// Makes it happen once.
    pub request: Option<Request>,
    /// What.
    pub id: EntryId,
    /// To where; `None` for where it stood. Missing folders are made.
    pub target: Option<TreePath>,
    /// Milliseconds since 1970.
    pub now: i64,
}

/// The last commit of a tree, to be undone.
#[derive(Clone, Debug)]
pub struct Undo {
    /// Who does it.
    pub by: AccountId,
    /// Makes it happen once.
    pub request: Option<Request>,
    /// The tree: the newest commit into this folder or one below it.
    pub at: At,
    /// Milliseconds since 1970.
    pub now: i64,
}

/// What undoing a commit did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// The folder that it had gone into, as far as that still stands.
    pub base: TreePath,
    /// When it was made, in milliseconds since 1970.
    pub committed_at: i64,
    /// Entries that it had made and that are in the trash now, each with all below it.
    pub removed: u64,
    /// Files that have the content again that they had before, and entries that are back.
    pub restored: u64,
    /// Entries that have the permission bits and times again that they had before.
    pub adjusted: u64,
    /// The owner's number of it.
    pub modseq: Modseq,
}

/// How much of a trash was purged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purge {
    /// Bytes that were set free, as in quotas.
    pub bytes: u64,
    /// Whether there may be more.
    pub more: bool,
}

/// Transactions on what is past.
#[async_trait]
pub trait Past {
    /// A file's versions, the newest first: those with a lower generation than `before`.
    async fn file_versions(
        &self,
        by: AccountId,
        at: &At,
        before: Option<Modseq>,
        limit: usize,
    ) -> Result<Vec<Version>>;

    /// Makes an earlier version of a file its current one, as a new version with the same content.
    async fn revert(&self, reversion: Reversion) -> Result<Entry>;

    /// What an account has removed, the latest first: that before `before`.
    async fn trash(
        &self,
        account: AccountId,
        before: Option<(i64, EntryId)>,
        limit: usize,
    ) -> Result<Vec<Removed>>;

    /// Brings something back from the trash. `AlreadyExists` where something stands.
    async fn restore(&self, restoration: Restoration) -> Result<Listed>;

    /// Purges some rows of the trash, or of one thing in it; to be called until there is no more.
    async fn empty_trash(&self, account: AccountId, only: Option<EntryId>) -> Result<Purge>;

    /// Takes back what the newest commit of a tree did. `Aborted` when something of it has changed since.
    async fn undo(&self, undo: Undo) -> Result<Undone>;
}
