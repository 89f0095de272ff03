//! The order of changes of an account.

use async_trait::async_trait;

use crate::error::Result;
use crate::model::{AccountId, EntryId, MessageId, Modseq, StoreId};

/// What changed, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeItem {
    /// An entry.
    Entry {
        /// Its id.
        id: EntryId,
        /// What it is: 1 file, 2 folder, 3 symlink, as in the store.
        kind: EntryKind,
        /// Where it is, or was when it was removed.
        path: String,
        /// What happened to it.
        op: EntryOp,
        /// Whether the change is to all below it too.
        subtree: bool,
    },
    /// A delivery.
    Delivery {
        /// Its message.
        message: MessageId,
        /// Acknowledged, or arrived.
        acked: bool,
    },
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A symlink.
    Symlink,
}

/// What happened to an entry since a cursor, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryOp {
    /// New, or new content or metadata.
    Put,
    /// Another place.
    Move,
    /// Gone.
    Remove,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The account's number of it.
    pub modseq: Modseq,
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// What.
    pub item: ChangeItem,
}

/// Some changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// In order.
    pub changes: Vec<Change>,
    /// All up to this number have been looked at.
    pub through: Modseq,
}

/// What a cursor is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// This store.
    pub store: StoreId,
    /// Rises when the store is put back to an earlier state.
    pub epoch: u64,
    /// The account's latest number.
    pub modseq: Modseq,
    /// Removals with numbers up to this one are no longer known.
    pub horizon: Modseq,
}

/// Transactions on changes.
#[async_trait]
pub trait Changes {
    /// Where an account stands.
    async fn start(&self, account: AccountId) -> Result<Start>;

    /// What changed after `after`, up to `through`, at most about `limit` rows. With `full` removals are
    /// left out.
    async fn changes(
        &self,
        account: AccountId,
        (after, through): (Modseq, Modseq),
        full: bool,
        limit: usize,
    ) -> Result<Page>;
}
