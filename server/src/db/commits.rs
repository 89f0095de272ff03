//! Commits: many entries that appear at once. Small ones are one transaction; large ones are staged in
//! jobs, where nobody sees them, and published by one.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::db::{Listed, Request, Usage};
use crate::error::Result;
use crate::model::{
    AccountId, At, CommitId, Condition, Content, EntryId, Etag, Mode, Modseq, TreePath, UploadId,
    Xattrs,
};

/// What an entry of a commit shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewNode {
    /// A file of chunks that whoever commits it has sent.
    File(Content),
    /// A folder.
    Folder,
    /// A symlink to this target.
    Symlink(String),
    /// Nothing: what stands there is removed, softly, with all below it.
    Nothing,
}

/// One entry of a commit.
#[derive(Clone, Debug)]
pub struct StagedEntry {
    /// Below the commit's base; the base itself when empty.
    pub path: TreePath,
    /// What it shall be.
    pub node: NewNode,
    /// Permission bits.
    pub mode: Mode,
    /// Nanoseconds since 1970.
    pub modified_ns: i64,
    /// Extended attributes; `None` leaves those that are there.
    pub xattrs: Option<Xattrs>,
    /// The commit happens only if this is so.
    pub condition: Condition,
}

/// What all entries of a commit share.
#[derive(Clone, Debug)]
pub struct CommitPlan {
    /// Who does it.
    pub by: AccountId,
    /// Makes it happen once; its digest is known at the end only.
    pub request: Option<Request>,
    /// The upload that brought the chunks; it ends with the commit.
    pub upload: Option<UploadId>,
    /// The folder that the entries' paths start from.
    pub base: At,
    /// Refused when the base stands already.
    pub if_absent: bool,
    /// Refused unless the base has this tag.
    pub if_etag: Option<Etag>,
    /// The number of the list that removals of folders come from: refused when anything in one of them has
    /// changed since.
    pub removals_as_of: Option<Modseq>,
    /// Changed entries a merge may apply.
    pub merge_entries_max: u32,
    /// The files' contents may be used without having been sent, so that no chunk needs to be looked for.
    pub held: bool,
    /// Milliseconds since 1970.
    pub now: i64,
}

/// A commit that is being staged.
#[derive(Clone, Debug)]
pub struct Staged {
    /// Its key.
    pub id: CommitId,
    /// The unlinked top of a new tree (of any size); `None` for a merge.
    pub top: Option<EntryId>,
}

/// What a commit did.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CommitOutcome {
    /// Entries that were new or changed.
    pub changed: u64,
    /// Entries that stood as they were sent.
    pub unchanged: u64,
    /// The entries as they stand now, in the order of the plan, without those that were to be removed; only
    /// for a commit in one transaction, and none where their extended attributes are too much to be told.
    pub entries: Vec<Listed>,
    /// The account's number of it.
    pub modseq: Modseq,
    /// What the account holds and may hold after it, where it is its owner who did it.
    pub usage: Option<Usage>,
}

/// Transactions on commits.
#[async_trait]
pub trait Commits {
    /// Checks and applies all entries in one transaction.
    async fn commit(&self, plan: CommitPlan, entries: Vec<StagedEntry>) -> Result<CommitOutcome>;

    /// Begins to stage: a new tree where nothing stands at the base, otherwise a merge.
    async fn stage_open(&self, plan: CommitPlan) -> Result<Staged>;

    /// Stages some more entries, parents before children, depth first.
    async fn stage(
        &self,
        staged: &Staged,
        plan: &CommitPlan,
        entries: Vec<StagedEntry>,
    ) -> Result<()>;

    /// Makes all that was staged visible.
    async fn publish(&self, staged: &Staged, plan: CommitPlan) -> Result<CommitOutcome>;

    /// Drops what was staged, some rows at a time; whether there may be more to drop.
    async fn abandon(&self, id: CommitId, rows: usize) -> Result<bool>;

    /// Commits that were staged and never published, begun before `before`.
    async fn abandoned(&self, before: i64) -> Result<Vec<CommitId>>;
}
