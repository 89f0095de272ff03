//! What keeps a store sound and small: forgetting what has run out, collecting what nothing refers to,
//! checking that everything is what its name says.

mod collect;
mod compact;
mod filter;
mod storage;
mod sweep;
#[cfg(test)]
mod tests;
mod verify;

use std::sync::Arc;

use crate::chunks::Chunks;
use crate::clock::Clock;
use crate::db::Db;

pub use crate::db::Held;
pub use collect::{Collected, Graces};
pub use storage::Storage;
pub use sweep::Swept;
pub use verify::{Finding, Report};

/// Rows of one background job.
const JOB_ROWS: usize = 500;

const DAY_MS: i64 = 24 * 3_600_000;

/// How long things are kept, and how fast they may be moved.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Days that removed entries are kept.
    pub trash_days: u64,
    /// Days that past versions of files are kept.
    pub version_days: u64,
    /// Days that clients who were away can still be told of what is gone.
    pub tombstone_days: u64,
    /// Bytes of chunks moved out of mostly dead packs in a second; 0: as fast as it goes.
    pub compact_bytes_per_second: u64,
}

/// The jobs over the two stores.
#[derive(Clone)]
pub struct Upkeep {
    db: Arc<dyn Db>,
    chunks: Arc<dyn Chunks>,
    clock: Arc<dyn Clock>,
    terms: Terms,
}

impl Upkeep {
    /// Over these stores.
    pub fn new(
        db: Arc<dyn Db>,
        chunks: Arc<dyn Chunks>,
        clock: Arc<dyn Clock>,
        terms: Terms,
    ) -> Self {
        Self { db, chunks, clock, terms }
    }
}
