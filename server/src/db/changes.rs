//! The order of changes of an account.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::model::{AccountId, EntryId, MessageId, Modseq, StoreId};

/// What changed, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeItem {
    /// An entry.
    Entry {
        /// Its id.
        id: EntryId,
        /// A file, a folder or a symlink.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// Where somebody is who catches up with an account's changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Everything up to this number was known when the catching up began. All parts of it are told as the
    /// difference to that, whatever changes meanwhile: else a folder that was moved, then touched before
    /// its move could be read, would be told as touched alone.
    pub since: Modseq,
    /// All up to this number have been read.
    pub after: Modseq,
    /// Removals up to this number are left out: who begins with nothing knows nothing of what is gone.
    pub silent: Modseq,
}

/// Some changes. An entry is told after the folders above it that are new to the reader or came to
/// another place: whoever applies them in order knows each path when it is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// In order.
    pub changes: Vec<Change>,
    /// All up to this number have been read.
    pub through: Modseq,
    /// Whether that is all there is: the reader has caught up, and knows everything up to `through`.
    pub complete: bool,
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

    /// What comes next, at most about `limit` rows of it.
    async fn changes(&self, account: AccountId, span: Span, limit: usize) -> Result<Page>;
}
