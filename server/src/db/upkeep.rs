//! What keeps a store sound and small: what the collector, the checker and the start ask of it. All
//! changes here are small and go behind everybody else's.

use std::collections::HashMap;

use async_trait::async_trait;

use crate::db::Usage;
use crate::error::Result;
use crate::model::{AccountId, ChunkHash, ChunkPlace, Digest, ManifestKey, PackId, StoreId};

/// Which store this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreInfo {
    /// From its first start on.
    pub id: StoreId,
    /// Rises when it is put back to an earlier state.
    pub epoch: u64,
    /// When the collector last ran to its end; when the store was made, before that.
    pub collected_at: i64,
}

/// How much of a pack is still used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackUse {
    /// Its name.
    pub pack: PackId,
    /// Chunks in it that have a row.
    pub chunks: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A chunk as the collector and the checker see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkRow {
    /// Its name.
    pub hash: ChunkHash,
    /// Where it lies.
    pub place: ChunkPlace,
    /// Since when nothing referred to it, as far as is known.
    pub condemned_at: Option<i64>,
}

/// A list of chunks as the checker sees it; `Contents::pieces` reads the chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Its key.
    pub key: ManifestKey,
    /// What it must hash to; `None` for one that is still coming in.
    pub id: Option<[u8; 32]>,
    /// Bytes.
    pub size: u64,
    /// BLAKE3 of them.
    pub digest: Digest,
}

/// What is kept although nobody sees it: the trash and what uploads have brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Bytes of the trash's files and of their past versions, counted as in quotas.
    pub trash_bytes: u64,
    /// When the first and when the last entry of the trash was removed.
    pub removed_at: Option<(i64, i64)>,
    /// Uploads under way.
    pub uploads: usize,
    /// Bytes they brought.
    pub upload_bytes: u64,
}

/// What an account's bytes consist of, as quotas count them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// In all, and how much may be.
    pub usage: Usage,
    /// Files as they are now.
    pub files: u64,
    /// Files in the trash.
    pub trash: u64,
    /// Past versions, of files in the trash too.
    pub versions: u64,
    /// Messages.
    pub mail: u64,
}

/// What the whole store holds, after its metadata.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    /// Accounts.
    pub accounts: u64,
    /// Entries of all trees, removed ones too.
    pub entries: u64,
    /// Messages.
    pub messages: u64,
    /// Bytes as quotas count them, of all accounts.
    pub logical_bytes: u64,
    /// Chunks.
    pub chunks: u64,
    /// Their bytes.
    pub chunk_bytes: u64,
    /// Chunks that nothing refers to and that are about to be deleted.
    pub condemned_chunks: u64,
    /// Their bytes.
    pub condemned_bytes: u64,
    /// Bytes of the metadata itself.
    pub metadata_bytes: u64,
}

/// Receives every chunk that something refers to.
pub type Visit = Box<dyn FnMut(ChunkHash) + Send>;

/// Transactions of upkeep.
#[async_trait]
pub trait Upkeep {
    /// Which store this is.
    async fn store(&self) -> Result<StoreInfo>;

    /// Notes where the store lies, in words that a copy of it lies elsewhere by. Where that is not where
    /// it lay before, it is a copy that was put in some other's place, and its epoch rises: past every
    /// other copy's, too, since it rises to the time. Whether it rose.
    async fn settle(&self, home: String, now: i64) -> Result<bool>;

    /// Notes when the collector ran to its end.
    async fn note_collected(&self, at: i64) -> Result<()>;

    /// For each pack, where its last registered record lies.
    async fn last_places(&self) -> Result<HashMap<PackId, ChunkPlace>>;

    /// Registers chunks that were found in a pack and belong to nobody yet.
    async fn adopt(&self, found: Vec<(ChunkHash, ChunkPlace)>, now: i64) -> Result<()>;

    /// Forgets answers to requests made before `before`, at most `limit`; how many.
    async fn forget_requests(&self, before: i64, limit: usize) -> Result<usize>;

    /// Ends leases not renewed since `before`, or opened before `opened_before`; how many.
    async fn end_leases(&self, before: i64, opened_before: i64) -> Result<usize>;

    /// Forgets logins that ended before `now`; how many.
    async fn end_sessions(&self, now: i64) -> Result<usize>;

    /// Purges the entry that was removed longest ago with all below it, some rows at a time, if that was
    /// before `before`; whether one was.
    async fn purge_trash(&self, before: i64) -> Result<bool>;

    /// Drops past versions that were replaced before `before`, and forgets commits that were made before
    /// `undone_before` and can no longer be undone then; at most `rows` of each at a time, how many.
    async fn expire_past(&self, before: i64, undone_before: i64, rows: usize) -> Result<usize>;

    /// Forgets, at most `rows` at a time, what was removed before `before` and purged since; how much.
    /// Whoever knew an account's changes only up to there is answered in full from now on.
    async fn prune_tombstones(&self, before: i64, rows: usize) -> Result<usize>;

    /// Visits every chunk that an entry, a version, a message, an attachment or a commit under way
    /// refers to, as of one moment.
    async fn references(&self, visit: Visit) -> Result<()>;

    /// What is kept although nobody sees it.
    async fn held(&self) -> Result<Held>;

    /// What an account's bytes consist of.
    async fn holdings(&self, account: AccountId) -> Result<Holdings>;

    /// What the whole store holds.
    async fn stock(&self) -> Result<Stock>;

    /// When the oldest open upload began.
    async fn oldest_lease(&self) -> Result<Option<i64>>;

    /// Chunks in the order of their names, those after `after`.
    async fn chunks(&self, after: Option<ChunkHash>, limit: usize) -> Result<Vec<ChunkRow>>;

    /// Marks chunks that nothing referred to and that were registered before `registered_before`; from
    /// now on they are reported missing. The mark is no older than any upload that is open: one that
    /// began before may have been told that they are there.
    async fn condemn(
        &self,
        chunks: Vec<ChunkHash>,
        registered_before: i64,
        now: i64,
    ) -> Result<usize>;

    /// Takes the mark from chunks that something refers to after all.
    async fn pardon(&self, chunks: Vec<ChunkHash>) -> Result<()>;

    /// Deletes the rows of chunks that were condemned up to `before` and by nobody since referred to, and
    /// about which no upload still under way can have been told otherwise; how many, and their bytes.
    async fn collect(&self, chunks: Vec<ChunkHash>, before: i64) -> Result<(usize, u64)>;

    /// Deletes contents that were marked up to `before` and by nothing since referred to, then marks those
    /// that nothing refers to; `rows` at a time. How many were deleted. What is marked while an upload is
    /// open, which may have recorded it to commit it later, waits for its end.
    async fn sweep_contents(&self, before: i64, now: i64, rows: usize) -> Result<usize>;

    /// How much of each pack is used.
    async fn pack_uses(&self) -> Result<Vec<PackUse>>;

    /// Chunks of a pack in their order there, from this offset on.
    async fn chunks_of(&self, pack: PackId, offset: u64, limit: usize) -> Result<Vec<ChunkRow>>;

    /// Notes that chunks lie elsewhere now, unless they were moved meanwhile.
    async fn relocate(&self, moved: Vec<(ChunkHash, ChunkPlace, ChunkPlace)>) -> Result<()>;

    /// Notes since when a pack has been empty; does nothing while chunks are in it. One that is not known
    /// yet is one whose chunks were all refused.
    async fn note_empty(&self, pack: PackId, now: i64) -> Result<()>;

    /// Packs that have been empty since `before`.
    async fn empty_packs(&self, before: i64) -> Result<Vec<PackId>>;

    /// Forgets an empty pack whose file is gone.
    async fn forget_pack(&self, pack: PackId) -> Result<()>;

    /// Lists of chunks in the order of their keys, those after `after`.
    async fn manifests(&self, after: ManifestKey, limit: usize) -> Result<Vec<Manifest>>;

    /// The paths and messages that use a chunk, at most `limit` of them, for people to read.
    async fn users_of(&self, chunk: ChunkHash, limit: usize) -> Result<Vec<String>>;

    /// The same for a list of chunks.
    async fn users_of_list(&self, list: ManifestKey, limit: usize) -> Result<Vec<String>>;

    /// What is wrong with the metadata itself: the file's structure, dangling references, sums that do
    /// not add up. A sentence each.
    async fn problems(&self) -> Result<Vec<String>>;
}
