//! Metadata: accounts, trees, contents' chunk lists, mail, and the order of changes. Each method is one
//! whole transaction, so nothing outside ever holds one open; each answers when its effect is durable.
//!
//! What may be done is decided in the rules rooms; what must be true at the same moment as the change
//! (uniqueness, preconditions, quota, possession) is decided here. This room sees no chunk bytes, no
//! tonic and no proto. Adapters are private; `contract` is the one suite that all of them pass.

mod accounts;
mod changes;
mod commits;
mod contents;
mod groups;
mod links;
mod mail;
mod past;
mod sharing;
mod sqlite;
mod tree;
mod upkeep;

#[cfg(test)]
mod contract;

use std::path::PathBuf;
use std::sync::Arc;

pub use accounts::{Account, Accounts, NewAccount, NewSession, Refreshed, Session, Tokens, Usage};
pub use changes::{Change, ChangeItem, Changes, EntryKind, EntryOp, Page, Span, Start};
pub use commits::{CommitOutcome, CommitPlan, Commits, NewNode, Staged, StagedEntry};
pub use contents::{Arrived, ChunkState, Contents, NewContent, Upload};
pub use groups::{Group, GroupAsker, Groups, Member, MemberChange};
pub use links::{Dropped, Link, LinkUse, Links, NewLink, TICKET_IDLE_MS, Ticket};
pub use mail::{
    AttachmentSource, Mail, NewAttachment, NewMessage, PREVIEW_CHARS, SendOutcome, Which,
};
pub use past::{Past, Purge, Removed, Restoration, Reversion, Undo, Undone, Version};
pub use sharing::{Grant, GrantKey, Grants, NewGrant, Sharing};
pub use tree::{
    FileWrite, Finding, Listed, Listing, Measure, Position, Relocation, Removal, Seen, Tree,
};
pub use upkeep::{ChunkRow, Held, Holdings, Manifest, PackUse, Stock, StoreInfo, Upkeep, Visit};

use crate::error::{Error, Result};
use crate::model::{AccountId, At, Caller, Location, RequestId};

/// Everything a store of metadata does.
pub trait Db:
    Accounts
    + Groups
    + Contents
    + Tree
    + Commits
    + Past
    + Sharing
    + Links
    + Mail
    + Changes
    + Upkeep
    + Send
    + Sync
    + 'static
{
}

impl dyn Db {
    /// Where a path is; `NotFound` in the tree of nobody. Whether the caller may go there is judged by what is
    /// done there.
    pub async fn at(&self, caller: &Caller, location: &Location) -> Result<At> {
        let Location { owner, path } = location.clone();
        let account = match &owner {
            Some(name) if name.key() != caller.name.key() => {
                let found = self.account(name).await?;
                found.ok_or_else(|| Error::not_found(location))?.id
            }
            _ => caller.account,
        };
        Ok(At { account, owner, path })
    }
}

/// A request that must have one effect however often it is made: the first answer is kept for
/// [`REQUEST_KEPT_MS`] and given again.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Chosen by the client.
    pub id: RequestId,
    /// Of everything the request asks for; the same id with another digest is refused.
    pub digest: [u8; 32],
}

/// How long the answer to a request is kept: 7 days.
pub const REQUEST_KEPT_MS: i64 = 7 * 24 * 3600 * 1000;

/// Who is told that something was committed; called after the commit, never inside it.
pub type Committed = Arc<dyn Fn(&[AccountId]) + Send + Sync>;

/// Who gives up room when the disk is full, so that a change can go through; whether there was any left.
pub type MakeRoom = Arc<dyn Fn() -> bool + Send + Sync>;

/// Where and how to open the embedded store.
#[derive(Clone)]
pub struct Options {
    /// The database file; made when it is not there.
    pub path: PathBuf,
    /// Jobs that may wait for the writer; more are refused as overload.
    pub writer_queue_max: usize,
    /// Connections that read.
    pub readers: usize,
    /// Past versions of a file that are kept; the oldest ones of more go.
    pub versions_max: u32,
    /// Bytes of page cache of the writer; each reader has an eighth of it.
    pub cache_bytes: u64,
    /// Told after every commit.
    pub committed: Committed,
    /// Asked when the disk is full.
    pub make_room: MakeRoom,
}

/// Opens the embedded store and brings its schema up to date.
pub fn open(options: Options) -> Result<Arc<dyn Db>> {
    Ok(Arc::new(sqlite::Sqlite::open(options)?))
}
