//! Who acts in the stories: a person holds an account, and does in one word what a client does in a
//! few calls. Chunks are registered as if a chunk store had kept them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::db::{
    Account, Arrived, AttachmentSource, ChunkState, CommitOutcome, CommitPlan, Db, FileWrite,
    Grant, Listing, NewAttachment, NewContent, NewGrant, NewMessage, NewNode, Position, Relocation,
    Removal, Request, SendOutcome, StagedEntry, Upload,
};
use crate::error::{Kind, Result};
use crate::model::{
    AccountId, AccountName, At, Body, ChunkHash, ChunkPlace, Condition, Content, Digest, Entry,
    EntryId, FileName, Grantee, ManifestHasher, Message, MessageId, Mode, Node, PackId, Piece,
    RequestId, Right, TreePath, UploadId, VersionId,
};

/// Uploads that a person may have at once.
pub(super) const LEASES_MAX: u32 = 16;

/// Somebody with an account.
#[derive(Clone)]
pub(super) struct Person {
    pub(super) db: Arc<dyn Db>,
    pub(super) id: AccountId,
    pub(super) name: AccountName,
    clock: Arc<AtomicI64>,
    pack: PackId,
    bytes: Arc<AtomicU64>,
}

impl Person {
    pub(super) fn new(
        db: Arc<dyn Db>,
        (id, name): (AccountId, AccountName),
        clock: Arc<AtomicI64>,
        (pack, bytes): (PackId, Arc<AtomicU64>),
    ) -> Self {
        Self { db, id, name, clock, pack, bytes }
    }

    pub(super) fn now(&self) -> i64 {
        self.clock.load(Ordering::Relaxed)
    }

    pub(super) async fn account(&self) -> Account {
        self.db.account(&self.name).await.unwrap().unwrap()
    }

    pub(super) async fn used(&self) -> u64 {
        self.account().await.used
    }

    // Chunks and contents.

    pub(super) fn upload(&self, id: UploadId) -> Upload {
        Upload { account: self.id, id, charged: self.id, leases_max: LEASES_MAX, now: self.now() }
    }

    /// A place that no other chunk has.
    pub(super) fn place(&self, length: u32) -> ChunkPlace {
        let offset = self.bytes.fetch_add(u64::from(length) + 64, Ordering::Relaxed);
        ChunkPlace { pack: self.pack, offset, length }
    }

    pub(super) fn arrived(&self, bytes: &[u8]) -> Arrived {
        let Piece { length, hash } = piece(bytes);
        Arrived { hash, length, place: Some(self.place(length)) }
    }

    /// Sends chunks, as far as they are not stored.
    pub(super) async fn fill(&self, id: UploadId, chunks: &[&[u8]]) -> Result<Vec<Piece>> {
        let pieces: Vec<Piece> = chunks.iter().map(|bytes| piece(bytes)).collect();
        let hashes = pieces.iter().map(|piece| piece.hash).collect();
        let states = self.db.chunk_states(hashes).await?;
        let arrived = chunks.iter().zip(states).map(|(bytes, state)| match state {
            ChunkState::Stored(_) => Arrived { place: None, ..self.arrived(bytes) },
            _ => self.arrived(bytes),
        });
        self.db.register(self.upload(id), arrived.collect()).await?;
        Ok(pieces)
    }

    pub(super) async fn missing(&self, chunks: &[&[u8]]) -> Vec<bool> {
        let upload = self.upload(UploadId::new());
        let hashes = chunks.iter().map(|bytes| ChunkHash::of(bytes)).collect();
        let missing = self.db.missing(upload, hashes).await.unwrap();
        self.db.close_upload(self.id, upload.id).await.unwrap();
        missing
    }

    /// Sends a content of one chunk, whose upload ends.
    pub(super) async fn content(&self, bytes: &[u8]) -> Content {
        if !bytes.is_empty() {
            let upload = UploadId::new();
            self.fill(upload, &[bytes]).await.unwrap();
            self.db.close_upload(self.id, upload).await.unwrap();
        }
        content(bytes)
    }

    /// Sends a content of several chunks and records it; its upload ends.
    pub(super) async fn long(&self, chunks: &[&[u8]]) -> Content {
        let upload = UploadId::new();
        let pieces = self.fill(upload, chunks).await.unwrap();
        self.db.close_upload(self.id, upload).await.unwrap();
        let new = manifest(pieces);
        let (size, digest) = (new.size, new.digest);
        let keys = self.db.add_contents(self.id, vec![new], self.now()).await.unwrap();
        Content { size, digest, manifest: Some(keys[0]) }
    }

    // The tree.

    /// A place in their tree.
    pub(super) fn at(&self, text: &str) -> At {
        At { account: self.id, owner: None, path: path(text) }
    }

    /// The same person, going about in somebody else's tree.
    pub(super) fn visiting(&self, host: &Self) -> Visitor {
        Visitor { person: self.clone(), host: host.clone() }
    }

    pub(super) fn granting(&self, at: &str, grantee: &str, right: Right) -> NewGrant {
        NewGrant {
            owner: self.id,
            request: None,
            path: path(at),
            grantee: Grantee::parse(grantee).unwrap(),
            right,
            grants_max: 20,
            now: self.now(),
        }
    }

    pub(super) async fn share(&self, at: &str, grantee: &str, right: Right) -> Grant {
        self.db.grant(self.granting(at, grantee, right)).await.unwrap()
    }

    pub(super) async fn unshare(&self, at: &str, grantee: &str) -> Result<()> {
        self.db.revoke(self.id, &path(at), &Grantee::parse(grantee).unwrap()).await
    }

    pub(super) fn writing(&self, at: &str, content: Content) -> FileWrite {
        FileWrite {
            by: self.id,
            request: None,
            upload: None,
            at: self.at(at),
            content,
            mode: None,
            modified_ns: 5,
            condition: Condition::default(),
            now: self.now(),
        }
    }

    pub(super) async fn try_put(&self, at: &str, bytes: &[u8]) -> Result<Entry> {
        let content = self.content(bytes).await;
        self.db.write_file(self.writing(at, content)).await
    }

    pub(super) async fn put(&self, at: &str, bytes: &[u8]) -> Entry {
        self.try_put(at, bytes).await.unwrap()
    }

    pub(super) async fn mkdir(&self, at: &str) -> Entry {
        let made = self.db.make_folder(self.id, &self.at(at), true, None, self.now()).await;
        made.unwrap()
    }

    pub(super) async fn stat(&self, at: &str) -> Result<Entry> {
        self.db.entry(self.id.into(), &self.at(at)).await
    }

    pub(super) async fn stands(&self, at: &str) -> bool {
        match self.stat(at).await {
            Ok(_) => true,
            Err(error) if error.kind() == Kind::NotFound => false,
            Err(error) => panic!("{at}: {error}"),
        }
    }

    pub(super) fn relocation(&self, source: &str, target: &str) -> Relocation {
        Relocation {
            by: self.id,
            request: None,
            source: self.at(source),
            target: self.at(target),
            condition: Condition::default(),
            if_absent: false,
            now: self.now(),
        }
    }

    pub(super) async fn mv(&self, source: &str, target: &str) -> Result<Entry> {
        self.db.move_entry(self.relocation(source, target)).await
    }

    pub(super) async fn cp(&self, source: &str, target: &str) -> Result<Entry> {
        self.db.copy_entry(self.relocation(source, target)).await
    }

    pub(super) fn removal(&self, at: &str) -> Removal {
        Removal {
            by: self.id,
            request: None,
            at: self.at(at),
            recursive: true,
            condition: Condition::default(),
            now: self.now(),
        }
    }

    pub(super) async fn rm(&self, at: &str) -> EntryId {
        self.db.remove(self.removal(at)).await.unwrap()
    }

    /// Everything below a folder, by path.
    pub(super) async fn tree(&self, at: &str) -> Vec<String> {
        let page =
            self.db.list(self.id.into(), &self.at(at), true, Position::Start, usize::MAX).await;
        paths(&page.unwrap())
    }

    /// What is in a folder, by path.
    pub(super) async fn ls(&self, at: &str) -> Vec<String> {
        let page =
            self.db.list(self.id.into(), &self.at(at), false, Position::Start, usize::MAX).await;
        paths(&page.unwrap())
    }

    pub(super) fn plan(&self, base: &str) -> CommitPlan {
        CommitPlan {
            by: self.id,
            request: None,
            upload: None,
            base: self.at(base),
            if_absent: false,
            if_etag: None,
            removals_as_of: None,
            merge_entries_max: 100,
            held: false,
            now: self.now(),
        }
    }

    pub(super) async fn commit(
        &self,
        base: &str,
        entries: Vec<StagedEntry>,
    ) -> Result<CommitOutcome> {
        self.db.commit(self.plan(base), entries).await
    }

    /// Stages all entries in jobs of three and publishes them.
    pub(super) async fn stage(
        &self,
        plan: CommitPlan,
        entries: Vec<StagedEntry>,
    ) -> Result<CommitOutcome> {
        let staged = self.db.stage_open(plan.clone()).await?;
        for some in entries.chunks(3) {
            self.db.stage(&staged, &plan, some.to_vec()).await?;
        }
        self.db.publish(&staged, plan).await
    }

    // Mail.

    pub(super) fn message(&self, to: &[&Self], body: &str) -> NewMessage {
        NewMessage {
            sender: self.id,
            request: None,
            upload: None,
            to: to.iter().map(|person| person.name.clone()).collect(),
            subject: "a subject".to_owned(),
            body: Body::Inline(body.to_owned()),
            attachments: Vec::new(),
            in_reply_to: None,
            now: self.now(),
        }
    }

    pub(super) async fn send(&self, to: &[&Self], body: &str) -> SendOutcome {
        self.db.send(self.message(to, body)).await.unwrap()
    }

    pub(super) async fn unread(&self) -> Vec<Message> {
        let all = (0, u64::MAX);
        self.db.unread(self.id, all, 1_000, usize::MAX).await.unwrap()
    }

    pub(super) async fn ack(&self, ids: &[MessageId]) -> Result<u32> {
        self.db.ack(self.id, ids.to_vec(), false, self.now()).await
    }
}

/// Somebody in another's tree.
pub(super) struct Visitor {
    person: Person,
    host: Person,
}

impl Visitor {
    pub(super) fn at(&self, text: &str) -> At {
        At { owner: Some(self.host.name.clone()), ..self.host.at(text) }
    }

    fn db(&self) -> &Arc<dyn Db> {
        &self.person.db
    }

    pub(super) async fn stat(&self, at: &str) -> Result<Entry> {
        self.db().entry(self.person.id.into(), &self.at(at)).await
    }

    pub(super) async fn tree(&self, at: &str) -> Result<Vec<String>> {
        let all = (true, Position::Start, usize::MAX);
        let page = self.db().list(self.person.id.into(), &self.at(at), all.0, all.1, all.2).await;
        page.map(|page| paths(&page))
    }

    pub(super) async fn read(&self, version: VersionId) -> Result<Content> {
        let seen = self.db().version(self.person.id.into(), version).await?;
        assert_eq!(seen.owner, self.host.id);
        Ok(seen.content)
    }

    pub(super) async fn put(&self, at: &str, bytes: &[u8]) -> Result<Entry> {
        let content = self.person.content(bytes).await;
        let write = FileWrite { at: self.at(at), ..self.person.writing(at, content) };
        self.db().write_file(write).await
    }

    pub(super) async fn mkdir(&self, at: &str) -> Result<Entry> {
        let (at, now) = (self.at(at), self.person.now());
        self.db().make_folder(self.person.id, &at, true, None, now).await
    }

    pub(super) async fn mv(&self, source: &str, target: &str) -> Result<Entry> {
        let (source, target) = (self.at(source), self.at(target));
        let relocation = Relocation { source, target, ..self.person.relocation("/", "/") };
        self.db().move_entry(relocation).await
    }

    pub(super) async fn rm(&self, at: &str) -> Result<EntryId> {
        self.db().remove(Removal { at: self.at(at), ..self.person.removal("/") }).await
    }

    pub(super) fn plan(&self, base: &str) -> CommitPlan {
        CommitPlan { base: self.at(base), ..self.person.plan(base) }
    }
}

/// A path in a tree.
pub(super) fn path(text: &str) -> TreePath {
    relative(text.strip_prefix('/').expect("a path begins with a slash"))
}

/// A path below a commit's base.
pub(super) fn relative(text: &str) -> TreePath {
    TreePath::parse_relative(text, "path").unwrap()
}

pub(super) fn paths(page: &Listing) -> Vec<String> {
    page.entries.iter().map(|listed| listed.path.to_string()).collect()
}

pub(super) fn file_name(entry: &Entry) -> &str {
    entry.name.as_ref().map_or("", FileName::as_str)
}

/// The version that a file has now.
pub(super) fn version(entry: &Entry) -> VersionId {
    match entry.node {
        Node::File { version, .. } => version,
        _ => panic!("no file: {entry:?}"),
    }
}

/// A chunk of these bytes, as a list of chunks names it.
pub(super) fn piece(bytes: &[u8]) -> Piece {
    Piece { length: u32::try_from(bytes.len()).unwrap(), hash: ChunkHash::of(bytes) }
}

/// A content of at most one chunk.
pub(super) fn content(bytes: &[u8]) -> Content {
    let digest = Digest(blake3::hash(bytes).into());
    Content { size: bytes.len() as u64, digest, manifest: None }
}

/// A content of several chunks. Its digest is what the uploader says, whatever that is.
pub(super) fn manifest(pieces: Vec<Piece>) -> NewContent {
    let size = pieces.iter().map(|piece| u64::from(piece.length)).sum();
    let digest = Digest([7; 32]);
    let mut encoded = Vec::new();
    pieces.iter().for_each(|piece| piece.encode_to(&mut encoded));
    let mut hasher = ManifestHasher::new(size, &digest);
    hasher.update(&encoded);
    NewContent { size, digest, id: hasher.finish(), pieces }
}

/// An entry of a commit.
pub(super) fn new(at: &str, node: NewNode) -> StagedEntry {
    let mode = match node {
        NewNode::File(_) => Mode::FILE,
        NewNode::Folder => Mode::FOLDER,
        NewNode::Symlink(_) | NewNode::Nothing => Mode::SYMLINK,
    };
    StagedEntry {
        path: relative(at),
        node,
        mode,
        modified_ns: 5,
        xattrs: None,
        condition: Condition::default(),
    }
}

pub(super) fn file(at: &str, content: Content) -> StagedEntry {
    new(at, NewNode::File(content))
}

pub(super) fn folder(at: &str) -> StagedEntry {
    new(at, NewNode::Folder)
}

pub(super) fn symlink(at: &str, target: &str) -> StagedEntry {
    new(at, NewNode::Symlink(target.to_owned()))
}

pub(super) fn attached(name: &str, source: AttachmentSource) -> NewAttachment {
    NewAttachment { name: name.to_owned(), source }
}

/// A request that nobody made before, of this content.
pub(super) fn request(content: u8) -> Request {
    Request { id: RequestId::new(), digest: [content; 32] }
}

/// Why something was refused.
pub(super) fn refused<T: std::fmt::Debug>(answer: Result<T>) -> Kind {
    answer.expect_err("it should have been refused").kind()
}
