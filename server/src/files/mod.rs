//! Trees: the rules. Whose a path is, what a change needs, and how a commit of any size becomes visible
//! at once.
//!
//! What the caller may not see is not found: the tree of another account, as far as nothing in it was shared
//! with them, answers like one that is not there.

mod commit;
mod copy;
mod history;
mod look;
mod sharing;
mod source;
mod visit;
mod write;

use std::sync::Arc;

use crate::clock::Clock;
use crate::content::Contents;
use crate::db::{Db, Relocation, Removal};
use crate::error::{Error, Kind, Result};
use crate::model::{
    AccountId, AccountName, At, Caller, ChunkHash, Condition, Entry, Limits, Location, Mode,
    Reader, Right, TreePath, UploadId,
};

pub use crate::content::{ByteRange, ByteStream, Fill};
pub use crate::db::{
    CommitOutcome, EntryKind, Grant, GrantKey, Grants, Listed, Listing, Position, Removed, Request,
    Undone, Version,
};
pub use commit::{Attributes, Commit, CommitStart, EntryContent, NewEntry};
pub use source::{Readable, Source};
pub use write::{Write, WriteHeader};

/// The rules of trees.
#[derive(Clone)]
pub struct Files {
    db: Arc<dyn Db>,
    contents: Contents,
    clock: Arc<dyn Clock>,
    limits: Arc<Limits>,
}

/// An upload, and in whose tree it shall end.
#[derive(Clone, Debug)]
pub struct UploadFor {
    /// Chosen by the client.
    pub id: UploadId,
    /// `None` is the caller's own.
    pub tree: Option<AccountName>,
}

impl Files {
    /// The rules over the stores.
    pub fn new(
        db: Arc<dyn Db>,
        contents: Contents,
        clock: Arc<dyn Clock>,
        limits: Arc<Limits>,
    ) -> Self {
        Self { db, contents, clock, limits }
    }

    /// What stands at a path.
    pub async fn stat(&self, reader: &Reader, at: &Location) -> Result<Entry> {
        self.db.entry(reader.by(), &self.read_at(reader, at).await?).await
    }

    /// A page of a folder's entries, or of all below it.
    pub async fn list(
        &self,
        reader: &Reader,
        at: &Location,
        recursive: bool,
        from: Position,
        limit: usize,
    ) -> Result<Listing> {
        let at = self.read_at(reader, at).await?;
        self.db.list(reader.by(), &at, recursive, from, limit).await
    }

    /// Makes a folder.
    pub async fn make_folder(
        &self,
        caller: &Caller,
        at: &Location,
        parents: bool,
        mode: Option<Mode>,
    ) -> Result<Entry> {
        let (at, now) = (self.at(caller, at).await?, self.clock.now());
        self.db.make_folder(caller.account, &at, parents, mode, now).await
    }

    /// Gives an entry another path.
    pub async fn move_entry(
        &self,
        caller: &Caller,
        way: (&Location, &Location),
        (condition, if_absent): (Condition, bool),
        request: Option<Request>,
    ) -> Result<Entry> {
        let relocation = self.relocation(caller, way, request).await?;
        self.db.move_entry(Relocation { condition, if_absent, ..relocation }).await
    }

    /// Removes an entry, softly.
    pub async fn remove(
        &self,
        caller: &Caller,
        at: &Location,
        recursive: bool,
        condition: Condition,
        request: Option<Request>,
    ) -> Result<()> {
        let removal = Removal {
            by: caller.account,
            request,
            at: self.at(caller, at).await?,
            recursive,
            condition,
            now: self.clock.now(),
        };
        self.db.remove(removal).await.map(drop)
    }

    /// Which chunks of an upload must be sent.
    pub async fn missing(
        &self,
        caller: &Caller,
        upload: UploadFor,
        hashes: Vec<ChunkHash>,
    ) -> Result<Vec<bool>> {
        let charged = self.charged(caller, upload.tree).await?;
        self.contents.missing(caller.account, (upload.id, charged), hashes).await
    }

    /// Takes chunks of an upload.
    pub async fn fill(&self, caller: &Caller, upload: UploadFor) -> Result<Fill> {
        let charged = self.charged(caller, upload.tree).await?;
        Ok(self.contents.fill(caller.account, (upload.id, charged)))
    }

    /// Whose quota an upload has to fit into: that of the account in whose tree it shall end, if the caller
    /// may write anything there.
    async fn charged(&self, caller: &Caller, tree: Option<AccountName>) -> Result<AccountId> {
        let root = Location { owner: tree, path: TreePath::default() };
        let at = self.at(caller, &root).await?;
        if at.account == caller.account {
            return Ok(at.account);
        }
        match self.db.highest_right(caller.account, at.account).await? {
            Some(Right::Write) => Ok(at.account),
            Some(Right::Read) => {
                let message = format!("nothing in {root} is shared with you to be written");
                Err(Error::new(Kind::PermissionDenied, message))
            }
            None => Err(Error::not_found(root)),
        }
    }

    /// Where that is; `NotFound` in the tree of nobody.
    pub async fn at(&self, caller: &Caller, location: &Location) -> Result<At> {
        self.db.at(caller, location).await
    }

    /// Where that is to whoever reads it: what a link leads to is the root of all its paths.
    async fn read_at(&self, reader: &Reader, location: &Location) -> Result<At> {
        match (reader, &location.owner) {
            (Reader::Account(caller), _) => self.at(caller, location).await,
            (Reader::Visitor(_), Some(_)) => Err(Error::not_found(location)),
            (Reader::Visitor(visitor), None) => {
                Ok(At { account: visitor.owner, owner: None, path: location.path.clone() })
            }
        }
    }

    async fn relocation(
        &self,
        caller: &Caller,
        (source, target): (&Location, &Location),
        request: Option<Request>,
    ) -> Result<Relocation> {
        Ok(Relocation {
            by: caller.account,
            request,
            source: self.at(caller, source).await?,
            target: self.at(caller, target).await?,
            condition: Condition::default(),
            if_absent: false,
            now: self.clock.now(),
        })
    }
}
