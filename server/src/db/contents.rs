//! Chunks as rows, who has sent them, uploads' leases, and the chunk lists of contents.

use async_trait::async_trait;

use crate::error::Result;
use crate::model::{
    AccountId, ChunkHash, ChunkPlace, Content, Digest, ManifestKey, Piece, UploadId,
};

/// An upload under way: its lease keeps chunks from being collected, and counts what it brought.
#[derive(Clone, Copy, Debug)]
pub struct Upload {
    /// Who sends it.
    pub account: AccountId,
    /// Chosen by the client.
    pub id: UploadId,
    /// In whose tree it shall end: what it brings counts against their quota.
    pub charged: AccountId,
    /// Leases an account may have; the longest idle one makes room for the next.
    pub leases_max: u32,
    /// Milliseconds since 1970.
    pub now: i64,
}

/// What is known of a chunk before its bytes are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkState {
    /// Not stored.
    Absent,
    /// Stored, by whomever.
    Stored(ChunkPlace),
    /// Still there for those who refer to it, but about to be collected: to be sent again.
    Condemned(ChunkPlace),
}

/// A chunk that an upload has brought, durable before it is registered.
#[derive(Clone, Copy, Debug)]
pub struct Arrived {
    /// Its name.
    pub hash: ChunkHash,
    /// Its bytes.
    pub length: u32,
    /// Where it was written; `None` when it was stored already, so that only possession is recorded.
    pub place: Option<ChunkPlace>,
}

/// A content of several chunks.
#[derive(Clone, Debug)]
pub struct NewContent {
    /// Bytes.
    pub size: u64,
    /// BLAKE3 of them, as the uploader says.
    pub digest: Digest,
    /// Its identity.
    pub id: [u8; 32],
    /// Its chunks.
    pub pieces: Vec<Piece>,
}

/// Transactions on contents.
#[async_trait]
pub trait Contents {
    /// Opens or renews an upload's lease, then says of each chunk whether the account has sent it and
    /// it is still there.
    async fn missing(&self, upload: Upload, hashes: Vec<ChunkHash>) -> Result<Vec<bool>>;

    /// Whether `bytes` more would fit into the quota, after what may be evicted is (leases idle for two
    /// minutes, then trash, then past versions). `QuotaExceeded` when not.
    async fn reserve(&self, upload: Upload, bytes: u64) -> Result<()>;

    /// What is stored of these chunks.
    async fn chunk_states(&self, hashes: Vec<ChunkHash>) -> Result<Vec<ChunkState>>;

    /// Registers chunks and the account's possession of them, and counts them to the upload.
    /// `QuotaExceeded` past the quota; `Aborted` when a chunk without place has been collected.
    async fn register(&self, upload: Upload, arrived: Vec<Arrived>) -> Result<()>;

    /// Ends an upload: what it brought and no commit used is left to the collector.
    async fn close_upload(&self, account: AccountId, upload: UploadId) -> Result<()>;

    /// Records contents whose chunks the account has all sent (`ChunksMissing` otherwise). Many chunks are
    /// looked up in several transactions: contents that nothing refers to are harmless.
    async fn add_contents(
        &self,
        account: AccountId,
        contents: Vec<NewContent>,
        now: i64,
    ) -> Result<Vec<ManifestKey>>;

    /// Begins a content whose list is too long to come at once.
    async fn open_content(&self, size: u64, digest: Digest, now: i64) -> Result<ManifestKey>;

    /// Adds chunks to it, in several transactions where they are many: the first of them begins at byte
    /// `offset`.
    async fn append_pieces(
        &self,
        account: AccountId,
        key: ManifestKey,
        offset: u64,
        pieces: Vec<Piece>,
    ) -> Result<()>;

    /// Ends it; the key may be that of the same content recorded before.
    async fn close_content(&self, key: ManifestKey, id: [u8; 32]) -> Result<ManifestKey>;

    /// The chunks of a content from the one that holds byte `offset` on, at most about `limit`, and the
    /// offset of the first one. Empty past the end.
    async fn pieces(
        &self,
        content: Content,
        offset: u64,
        limit: usize,
    ) -> Result<(u64, Vec<Piece>)>;
}
