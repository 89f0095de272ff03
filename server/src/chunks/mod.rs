//! Where chunks' bytes are kept. A chunk goes in once, is durable when `append` answers, and comes out
//! verified or not at all. Which account may see it, and which rows name it, is not known here: this
//! room has no metadata, no tonic and no proto.

#[cfg(test)]
mod contract;
mod packs;

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::Result;
use crate::model::{ChunkHash, ChunkPlace, NewChunk, PackId};

pub use self::packs::{CHUNK_BYTES_MAX, PackOptions, RECORD_HEAD_BYTES, end_of, open};

/// Which queue an append takes, so that a small put does not wait behind a bulk fsync. Each lane has
/// an open pack of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Interactive puts: many small chunks share a batch and its fdatasync.
    Small,
    /// Uploads of many megabytes: each append takes whole blocks of the disk, past the page cache.
    Bulk,
}

impl Lane {
    /// Appends of at least this many bytes are bulk: what fills their last block is then at most 0.4 % of
    /// them.
    const BULK_BYTES: u64 = 1 << 20;

    /// The lane for an append of these chunks.
    pub fn of(chunks: &[NewChunk]) -> Self {
        let bytes: u64 = chunks.iter().map(|chunk| u64::from(chunk.length)).sum();
        if bytes >= Self::BULK_BYTES { Self::Bulk } else { Self::Small }
    }
}

/// A record that was found valid by `scan`, or after what the metadata knew of at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The chunk's name, checked against its bytes.
    pub hash: ChunkHash,
    /// Where it lies.
    pub place: ChunkPlace,
}

/// What `scan` met at one place of a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// A chunk whose bytes match its name.
    Good(Found),
    /// A record that can be told from its neighbours but does not hold what its name says.
    Damaged(Found),
    /// Bytes from this offset on that are no record; nothing after them in this pack was read.
    Unreadable {
        /// First byte that is no record.
        offset: u64,
    },
}

/// One pack as it lies there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackInfo {
    /// Its name.
    pub id: PackId,
    /// Bytes of the file.
    pub bytes: u64,
    /// Whether it will never be appended to again.
    pub sealed: bool,
}

/// A store of chunks.
#[async_trait]
pub trait Chunks: Send + Sync {
    /// Appends chunks in order; they are on stable storage when this answers, one place for each. The
    /// store does not hash them again. When the wait is given up they may be stored all the same. After
    /// a failed write or fdatasync the store accepts nothing more until it is opened again
    /// (`Kind::ReadOnly`); a full disk (`Kind::DiskFull`) is cut back cleanly and may be tried again.
    async fn append(&self, lane: Lane, chunks: Vec<NewChunk>) -> Result<Vec<ChunkPlace>>;

    /// A chunk's bytes, checked against its name: `Kind::DataLoss` when they do not match it, cannot be
    /// read, or their pack is gone.
    async fn read(&self, hash: ChunkHash, place: ChunkPlace) -> Result<Bytes>;

    /// All packs.
    async fn packs(&self) -> Result<Vec<PackInfo>>;

    /// Reads and checks a pack's records from `offset` (0: the first), at most `limit` of them and no
    /// more than about 32 MiB; the number is where to go on, `None` at the end.
    /// A pack that is still appended to is read up to its last durable record. `Kind::NotFound` for an
    /// unknown pack.
    async fn scan(
        &self,
        pack: PackId,
        offset: u64,
        limit: usize,
    ) -> Result<(Vec<Record>, Option<u64>)>;

    /// Unlinks a sealed pack and makes that durable. Unknown packs are no error: it may be asked twice.
    /// `Kind::FailedPrecondition` for one that is still appended to.
    async fn remove(&self, pack: PackId) -> Result<()>;
}
