//! What keeps a store sound and small: forgetting what has run out, collecting what nothing refers to,
//! checking that everything is what its name says.

mod collect;
mod compact;
mod filter;
mod sweep;
mod verify;

use std::sync::Arc;

use crate::chunks::Chunks;
use crate::clock::Clock;
use crate::db::Db;

pub use collect::{Collected, Graces};
pub use sweep::Swept;
pub use verify::{Finding, Report};

/// Rows of one background job.
const JOB_ROWS: usize = 500;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// The jobs over the two stores.
#[derive(Clone)]
pub struct Upkeep {
    db: Arc<dyn Db>,
    chunks: Arc<dyn Chunks>,
    clock: Arc<dyn Clock>,
    trash_days: u64,
}

impl Upkeep {
    /// Over these stores; what was removed is purged after `trash_days`.
    pub fn new(
        db: Arc<dyn Db>,
        chunks: Arc<dyn Chunks>,
        clock: Arc<dyn Clock>,
        trash_days: u64,
    ) -> Self {
        Self { db, chunks, clock, trash_days }
    }
}
