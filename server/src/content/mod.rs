//! Contents: from bytes to chunks that are stored, possessed and listed, and back to bytes that match
//! their names.
//!
//! On the way in: chunk records are synced, then registered, then answered for. On the way out every
//! chunk is checked against its name. What is held in memory meanwhile is taken from one allowance.

mod buffers;
mod fill;
mod keeping;
mod manifest;
mod persist;
mod read;
mod reserve;
mod write;

use std::sync::Arc;

use crate::chunks::Chunks;
use crate::clock::Clock;
use crate::db::{Db, Upload};
use crate::error::{Error, Result};
use crate::model::{AccountId, ChunkHash, Limits, UploadId};

use buffers::Buffers;
pub use fill::Fill;
use keeping::Keeping;
pub use manifest::{Complete, ManifestBuilder};
pub use read::{ByteRange, ByteStream};
pub use reserve::{Disk, Reserve};
pub use write::ContentWrite;

/// The rules of contents over the two stores.
#[derive(Clone)]
pub struct Contents {
    db: Arc<dyn Db>,
    chunks: Arc<dyn Chunks>,
    clock: Arc<dyn Clock>,
    limits: Arc<Limits>,
    buffers: Buffers,
    reserve: Arc<Reserve>,
    keeping: Keeping,
}

impl Contents {
    /// Puts the two stores together.
    pub fn new(
        db: Arc<dyn Db>,
        chunks: Arc<dyn Chunks>,
        clock: Arc<dyn Clock>,
        limits: Arc<Limits>,
        reserve: Arc<Reserve>,
    ) -> Self {
        let buffers = Buffers::new(limits.buffered_bytes_max);
        Self { db, chunks, clock, limits, buffers, reserve, keeping: Keeping::default() }
    }

    /// For each chunk whether the account must send it: it has not, or it is no longer there. The upload
    /// shall end in the tree of `charged`.
    pub async fn missing(
        &self,
        account: AccountId,
        (upload, charged): (UploadId, AccountId),
        hashes: Vec<ChunkHash>,
    ) -> Result<Vec<bool>> {
        let max = self.limits.missing_hashes_max as usize;
        if hashes.len() > max {
            let problem = format!("{} hashes in one call, at most {max} are taken", hashes.len());
            return Err(Error::field("hashes", problem));
        }
        self.keeping.ended(account, upload, &hashes).await;
        self.db.missing(self.upload(account, (upload, charged)), hashes).await
    }

    /// Refuses when new bytes would eat into the disk's reserve.
    pub fn check_disk(&self) -> Result<()> {
        self.reserve.check()
    }

    /// The file system that the chunks are on.
    pub fn disk(&self) -> Result<Disk> {
        self.reserve.disk().map_err(|error| Error::internal("contents.disk", error))
    }

    fn upload(&self, account: AccountId, (id, charged): (UploadId, AccountId)) -> Upload {
        let (leases_max, now) = (self.limits.leases_max, self.clock.now());
        Upload { account, id, charged, leases_max, now }
    }
}
