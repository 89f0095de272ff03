//! Trees: the rules. Whose a path is, what a change needs, and how a commit of any size becomes visible
//! at once.
//!
//! What the caller may not see is not found: the tree of another account answers like one that is not
//! there.

mod commit;

use std::sync::Arc;

use futures_util::stream::Stream;

use crate::clock::Clock;
use crate::content::{ContentWrite, Contents};
use crate::db::{
    Change, ChangeItem, Db, FileWrite, NewNode, Relocation, Removal, Span, StagedEntry,
};
use crate::error::{Error, Kind, Result};
use crate::model::{
    AccountId, Caller, ChunkHash, Content, Digest, Entry, Limits, Location, MessageId, Mode,
    Modseq, Node, Piece, TreePath, UploadId, VersionId,
};

pub use crate::content::{ByteRange, ByteStream, Fill};
pub use crate::db::{CommitOutcome, Listed, Listing, Position, Request};
pub use commit::{Commit, CommitStart, EntryContent, NewEntry};

/// Entries that a copy of a folder reads at once.
const COPIED_AT_ONCE: usize = 20_000;

/// Changes that are looked at at once to see whether one of them is in a tree that was copied.
const CHANGES_AT_ONCE: usize = 1_000;

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

/// What one Write shall do.
#[derive(Clone, Debug)]
pub struct WriteHeader {
    /// Where.
    pub path: Location,
    /// Total bytes, where known.
    pub size: Option<u64>,
    /// Happens only at this generation; 0: only if nothing is there.
    pub if_generation: Option<u64>,
    /// Permission bits; `None` keeps those that stand.
    pub mode: Option<Mode>,
    /// Nanoseconds since 1970; `None` is now.
    pub modified_ns: Option<i64>,
}

/// A file that is being written.
pub struct Write {
    files: Files,
    account: AccountId,
    path: TreePath,
    header: WriteHeader,
    content: ContentWrite,
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
        self.db.entry(own(caller, at)?, &at.path).await
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
        self.db.list(own(caller, at)?, &at.path, recursive, from, limit).await
    }

    /// Makes a folder.
    pub async fn make_folder(
        &self,
        caller: &Caller,
        at: &Location,
        parents: bool,
        mode: Option<Mode>,
    ) -> Result<Entry> {
        let now = self.clock.now();
        self.db.make_folder(own(caller, at)?, &at.path, parents, mode, now).await
    }

    /// Gives an entry another path.
    pub async fn move_entry(
        &self,
        caller: &Caller,
        source: &Location,
        target: &Location,
        request: Option<Request>,
    ) -> Result<Entry> {
        self.db.move_entry(self.relocation(caller, source, target, request)?).await
    }

    /// Makes a second entry of the same content, of a folder with all below it.
    pub async fn copy(
        &self,
        caller: &Caller,
        source: &Location,
        target: &Location,
        recursive: bool,
        request: Option<Request>,
    ) -> Result<Entry> {
        let relocation = self.relocation(caller, source, target, request)?;
        let top = self.db.entry(relocation.account, &source.path).await?;
        if !top.node.is_folder() {
            return self.db.copy_entry(relocation).await;
        }
        if !recursive {
            let problem = format!("{source} is a folder; say so to copy it with all below it");
            return Err(Error::field("recursive", problem));
        }
        if source.path.contains(&target.path) {
            return Err(Error::field("target", format!("{target} is inside {source} itself")));
        }
        self.copy_tree(caller, relocation, top).await
    }

    async fn copy_tree(
        &self,
        caller: &Caller,
        relocation: Relocation,
        top: Entry,
    ) -> Result<Entry> {
        let Relocation { account, source, target, request, .. } = relocation;
        let start = CommitStart {
            base: Location { owner: None, path: target.clone() },
            upload: None,
            if_absent: true,
            size: None,
        };
        let mut commit = self.held_commit(caller, start)?;
        commit.put(copied(TreePath::default(), top)).await?;
        let (mut from, mut first) = (Position::Start, None);
        loop {
            let page = self.db.list(account, &source, true, from, COPIED_AT_ONCE).await?;
            let since = *first.get_or_insert(page.modseq);
            let last = page.entries.last().map(|listed| listed.path.clone());
            for listed in page.entries {
                let below = listed.path.names()[source.names().len()..].to_vec();
                commit.put(copied(TreePath::from(below), listed.entry)).await?;
            }
            match last {
                Some(path) if page.more => from = Position::After(path),
                // Read at one number, it is one state of the tree.
                _ if page.modseq == since => break,
                _ => {
                    self.check_unchanged(account, &source, since).await?;
                    break;
                }
            }
        }
        commit.publish(request).await?;
        self.db.entry(account, &target).await
    }

    /// Refuses a copy that was read in pages while the tree changed.
    async fn check_unchanged(
        &self,
        account: AccountId,
        source: &TreePath,
        since: Modseq,
    ) -> Result<()> {
        let mut span = Span { since, after: since, silent: Modseq(0) };
        let (source, below) = (source.to_string(), format!("{source}/"));
        loop {
            let page = self.db.changes(account, span, CHANGES_AT_ONCE).await?;
            let is_here = |change: &Change| match &change.item {
                ChangeItem::Entry { path, .. } => *path == source || path.starts_with(&below),
                ChangeItem::Delivery { .. } => false,
            };
            if page.changes.iter().any(is_here) {
                let message = format!("{source} changed while it was copied; do it again");
                return Err(Error::new(Kind::Aborted, message));
            }
            if page.complete {
                return Ok(());
            }
            span.after = page.through;
        }
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
            account: own(caller, at)?,
            request,
            path: at.path.clone(),
            recursive,
            if_generation,
            now: self.clock.now(),
        };
        self.db.remove(removal).await.map(drop)
    }

    /// Begins to write one file. What cannot succeed is refused before bytes flow.
    pub async fn write(&self, caller: &Caller, header: WriteHeader) -> Result<Write> {
        let account = own(caller, &header.path)?;
        let path = header.path.path.clone();
        if path.is_root() {
            return Err(Error::field("path", "/ is a folder; name a file in it"));
        }
        match self.db.entry(account, &path).await {
            Ok(entry) if entry.node.is_folder() => {
                let message = format!("{path} is a folder; name a file in it");
                return Err(Error::new(Kind::FailedPrecondition, message));
            }
            Ok(_) => {}
            Err(error) if error.kind() == Kind::NotFound => {}
            Err(error) => return Err(error),
        }
        let content = self.contents.write(account, header.size).await?;
        Ok(Write { files: self.clone(), account, path, header, content })
    }

    /// Which chunks of an upload must be sent.
    pub async fn missing(
        &self,
        caller: &Caller,
        upload: UploadId,
        hashes: Vec<ChunkHash>,
    ) -> Result<Vec<bool>> {
        self.contents.missing(caller.account, upload, hashes).await
    }

    /// Takes chunks of an upload.
    pub fn fill(&self, caller: &Caller, upload: UploadId) -> Fill {
        self.contents.fill(caller.account, upload)
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

    fn relocation(
        &self,
        caller: &Caller,
        source: &Location,
        target: &Location,
        request: Option<Request>,
    ) -> Result<Relocation> {
        let account = own(caller, source)?;
        own(caller, target)?;
        let (source, target) = (source.path.clone(), target.path.clone());
        Ok(Relocation { account, request, source, target, now: self.clock.now() })
    }
}

impl Write {
    /// Takes the next bytes.
    pub async fn push(&mut self, data: bytes::Bytes) -> Result<()> {
        self.content.push(data).await
    }

    /// Makes the file visible; `request` is asked for when the content is known.
    pub async fn finish(
        self,
        size: u64,
        digest: Option<Digest>,
        request: impl FnOnce(&Content) -> Result<Option<Request>>,
    ) -> Result<Entry> {
        let Self { files, account, path, header, content } = self;
        let upload = content.upload();
        let content = content.finish(size, digest).await?;
        let request = request(&content)?;
        let now = files.clock.now();
        let write = FileWrite {
            account,
            request,
            upload: Some(upload),
            path,
            content,
            mode: header.mode,
            modified_ns: header.modified_ns.unwrap_or(now.saturating_mul(1_000_000)),
            if_generation: header.if_generation,
            now,
        };
        files.db.write_file(write).await
    }

    /// Gives up; nothing is visible.
    pub async fn abandon(self) {
        self.content.abandon().await;
    }
}

/// Whose tree it is, if the caller may use it. Only the owner may.
fn own(caller: &Caller, at: &Location) -> Result<AccountId> {
    match &at.owner {
        Some(owner) if owner.key() != caller.name.key() => Err(Error::not_found(at)),
        _ => Ok(caller.account),
    }
}

fn copied(path: TreePath, entry: Entry) -> StagedEntry {
    let node = match entry.node {
        Node::File { content, .. } => NewNode::File(content),
        Node::Folder => NewNode::Folder,
        Node::Symlink { target } => NewNode::Symlink(target),
    };
    let Entry { mode, modified_ns, .. } = entry;
    StagedEntry { path, node, mode, modified_ns, if_generation: None }
}
