//! Links: a secret that lets whoever holds it read an entry, or put files into a folder. Tickets are what a
//! link gives when it is opened: calls are made with them, and downloads are counted by them.

use async_trait::async_trait;

use crate::db::EntryKind;
use crate::error::Result;
use crate::model::{
    AccountId, AccountName, Content, Entry, EntryId, FileName, LinkId, Mode, TreePath, UploadId,
};

/// What a link lets its holder do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkUse {
    /// Read the entry, and all below it.
    Read,
    /// Put files into the folder, and see nothing of it.
    Drop,
}

/// A link as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub id: LinkId,
    /// Whose.
    pub owner: AccountName,
    /// The owner's key.
    pub account: AccountId,
    /// What it leads to.
    pub entry: EntryId,
    /// Where that is now.
    pub path: TreePath,
    /// What that is.
    pub kind: EntryKind,
    /// What it lets its holder do.
    pub purpose: LinkUse,
    /// The hash of its password, in PHC form.
    pub password: Option<String>,
    /// Milliseconds since 1970.
    pub expires_at: Option<i64>,
    /// How often it may be used: downloads, or files that are put.
    pub uses_max: Option<u32>,
    /// How often it was.
    pub uses: u32,
    /// Milliseconds since 1970.
    pub made_at: i64,
}

/// A link to be made.
#[derive(Clone, Debug)]
pub struct NewLink {
    /// Whose tree.
    pub owner: AccountId,
    /// SHA-256 of its secret.
    pub secret: [u8; 32],
    /// What it leads to.
    pub path: TreePath,
    /// What it lets its holder do.
    pub purpose: LinkUse,
    /// The hash of its password, in PHC form.
    pub password: Option<String>,
    /// Milliseconds since 1970.
    pub expires_at: Option<i64>,
    /// How often it may be used.
    pub uses_max: Option<u32>,
    /// Links that an owner may have.
    pub links_max: u32,
    /// Milliseconds since 1970.
    pub now: i64,
}

/// What a ticket says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The link that it is of.
    pub link: LinkId,
    /// Whose tree that leads into.
    pub owner: AccountId,
    /// What it lets its holder do.
    pub purpose: LinkUse,
    /// When it ends, in milliseconds since 1970; with its link at the latest.
    pub expires_at: i64,
    /// The bytes that its link led to when the first of them left; `None` before.
    pub size: Option<u64>,
}

/// A file that the holder of a link puts.
#[derive(Clone, Debug)]
pub struct Dropped {
    /// SHA-256 of the ticket.
    pub ticket: [u8; 32],
    /// The upload that brought its chunks, under the owner's account; it ends.
    pub upload: UploadId,
    /// As it is called there; it gets another name where that is taken.
    pub name: FileName,
    /// Its bytes.
    pub content: Content,
    /// Permission bits.
    pub mode: Mode,
    /// Nanoseconds since 1970.
    pub modified_ns: i64,
    /// Milliseconds since 1970.
    pub now: i64,
}

/// A ticket that nothing was heard of for this long has ended its download: 60 s.
pub const TICKET_IDLE_MS: i64 = 60_000;

/// Transactions on links.
#[async_trait]
pub trait Links {
    /// Makes a link. `NotFound` for a path where nothing stands.
    async fn make_link(&self, new: NewLink) -> Result<Link>;

    /// An owner's links in the order in which they were made, those after `after`, without those to what is
    /// in the trash; where to go on.
    async fn links(
        &self,
        owner: AccountId,
        after: Option<LinkId>,
        limit: usize,
        now: i64,
    ) -> Result<(Vec<Link>, Option<LinkId>)>;

    /// Takes a link back, with its tickets.
    async fn revoke_link(&self, owner: AccountId, id: LinkId) -> Result<()>;

    /// The link with this secret. `None` too when what it leads to is in the trash, or its owner may not
    /// log in any more.
    async fn link(&self, secret: [u8; 32], now: i64) -> Result<Option<Link>>;

    /// Records a ticket. `LinkUsedUp` when all uses are taken.
    async fn open_link(&self, link: LinkId, ticket: [u8; 32], ends: i64, now: i64) -> Result<()>;

    /// What a ticket says; `None` when it has ended, or its link has, or may not be used.
    async fn ticket(&self, ticket: [u8; 32], now: i64) -> Result<Option<Ticket>>;

    /// Begins a download of `size` bytes, once for a ticket: takes one of the link's uses. `LinkUsedUp` when
    /// there is none.
    async fn begin_download(&self, ticket: [u8; 32], size: u64, now: i64) -> Result<()>;

    /// Counts bytes that were served under a ticket, and notes that it is in use.
    async fn note_served(&self, ticket: [u8; 32], bytes: u64, now: i64) -> Result<()>;

    /// Ends tickets that nothing was heard of for `TICKET_IDLE_MS`, at most `rows`: one under which less
    /// than half was served gives its use back. How many.
    async fn end_tickets(&self, now: i64, rows: usize) -> Result<usize>;

    /// Puts a file into the folder that a link leads to, and charges its owner.
    async fn drop_file(&self, dropped: Dropped) -> Result<Entry>;

    /// Bytes of all files that are at or below an entry.
    async fn size_below(&self, entry: EntryId) -> Result<u64>;
}
