//! Trees: the rules. Whose a path is, what a change needs, and how a commit of any size becomes visible
//! at once.
//!
//! What the caller may not see is not found: the tree of another account, as far as nothing in it was shared
//! with them, answers like one that is not there.

mod commit;
mod copy;
mod write;

use std::sync::Arc;

use futures_util::stream::Stream;

use crate::clock::Clock;
use crate::content::Contents;
use crate::db::{Db, Relocation, Removal};
use crate::error::{Error, Kind, Result};
use crate::model::{
    AccountId, AccountName, At, Caller, ChunkHash, Content, Entry, Limits, Location, MessageId,
    Mode, Node, Piece, TreePath, UploadId, VersionId,
};

pub use crate::content::{ByteRange, ByteStream, Fill};
pub use crate::db::{CommitOutcome, Listed, Listing, Position, Request};
pub use commit::{Commit, CommitStart, EntryContent, NewEntry};
pub use write::{Write, WriteHeader};

/// The rules of trees.
#[derive(Clone)]
pub struct Files {
    db: Arc<dyn Db>,
    contents: Contents,
    clock: Arc<dyn Clock>,
    limits: Arc<Limits>,
}

/// What to read the bytes of.
#[derive(Clone, Debug)]
pub enum Source {
    /// A version, by its id.
    Version(VersionId),
    /// A file's current version.
    Path(Location),
    /// A file that came with a message the caller sent or received.
    Attachment(MessageId, u32),
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
    pub async fn stat(&self, caller: &Caller, at: &Location) -> Result<Entry> {
        self.db.entry(caller.account, &self.at(caller, at).await?).await
    }

    /// A page of a folder's entries, or of all below it.
    pub async fn list(
        &self,
        caller: &Caller,
        at: &Location,
        recursive: bool,
        from: Position,
        limit: usize,
    ) -> Result<Listing> {
        let at = self.at(caller, at).await?;
        self.db.list(caller.account, &at, recursive, from, limit).await
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
        source: &Location,
        target: &Location,
        request: Option<Request>,
    ) -> Result<Entry> {
        self.db.move_entry(self.relocation(caller, source, target, request).await?).await
    }

    /// Removes an entry, softly.
    pub async fn remove(
        &self,
        caller: &Caller,
        at: &Location,
        recursive: bool,
        if_generation: Option<u64>,
        request: Option<Request>,
    ) -> Result<()> {
        let removal = Removal {
            by: caller.account,
            request,
            at: self.at(caller, at).await?,
            recursive,
            if_generation,
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
        if at.account != caller.account && !self.db.may_write(caller.account, at.account).await? {
            return Err(Error::not_found(root));
        }
        Ok(at.account)
    }

    /// Where that is; `NotFound` in the tree of nobody.
    pub async fn at(&self, caller: &Caller, location: &Location) -> Result<At> {
        self.db.at(caller, location).await
    }

    /// The content of what the caller may read, and the version it is of a file.
    pub async fn source(
        &self,
        caller: &Caller,
        source: &Source,
    ) -> Result<(Content, Option<VersionId>)> {
        match source {
            Source::Version(id) => Ok((self.db.version(caller.account, *id).await?, Some(*id))),
            Source::Attachment(message, index) => {
                Ok((self.db.attachment(caller.account, *message, *index).await?, None))
            }
            Source::Path(at) => match self.stat(caller, at).await?.node {
                Node::File { content, version } => Ok((content, Some(version))),
                _ => Err(Error::new(Kind::FailedPrecondition, format!("{at} is no file"))),
            },
        }
    }

    /// Bytes of ranges of a content that `source` gave.
    pub fn read(
        &self,
        caller: &Caller,
        content: Content,
        ranges: Vec<ByteRange>,
    ) -> Result<ByteStream> {
        self.contents.read(caller.account, content, ranges)
    }

    /// Chunks of a content that `source` gave, from byte `offset` on.
    pub async fn pieces(
        &self,
        content: Content,
        offset: u64,
        limit: usize,
    ) -> Result<(u64, Vec<Piece>)> {
        self.contents.pieces(content, offset, limit).await
    }

    /// The contents of many versions; `NotFound` when one of them cannot be seen.
    pub async fn versions(
        &self,
        caller: &Caller,
        versions: Vec<VersionId>,
    ) -> Result<Vec<Content>> {
        let found = self.db.versions(caller.account, versions.clone()).await?;
        found
            .into_iter()
            .zip(versions)
            .map(|(content, id)| {
                content.ok_or_else(|| Error::not_found(format_args!("version {id}")))
            })
            .collect()
    }

    /// All bytes of contents of at most one chunk each.
    pub fn read_whole(
        &self,
        caller: &Caller,
        contents: Vec<Content>,
    ) -> impl Stream<Item = Result<bytes::Bytes>> + Send + use<> {
        self.contents.read_whole(caller.account, contents)
    }

    async fn relocation(
        &self,
        caller: &Caller,
        source: &Location,
        target: &Location,
        request: Option<Request>,
    ) -> Result<Relocation> {
        let (source, target) = (self.at(caller, source).await?, self.at(caller, target).await?);
        Ok(Relocation { by: caller.account, request, source, target, now: self.clock.now() })
    }
}
