//! The collector. Nothing is counted: what is referred to is looked up, twice.
//!
//! First pass: chunks that nothing refers to are condemned. From then on they are reported missing, so
//! nobody builds on them unasked; an upload that was under way may have been told otherwise, so they wait
//! until each of those has ended. Who refers to one again clears the mark in the same transaction. Second
//! pass, a day later: what is still condemned and still not referred to loses its row. A pack that is
//! mostly dead is rewritten, and an empty one unlinked a day after that.
//!
//! Unlinking goes before rewriting: on a full disk it is what makes the room that rewriting needs.

use std::sync::{Arc, Mutex, PoisonError};

use crate::db::ChunkRow;
use crate::error::{Error, Result};
use crate::faults::{Protection, is_off};
use crate::model::ChunkHash;
use crate::upkeep::filter::Filter;
use crate::upkeep::{DAY_MS, JOB_ROWS, Upkeep};

/// Chunks looked at in one reading.
const LOOKED_AT: usize = 5_000;

/// How long things are left before they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Graces {
    /// A content or chunk after its last reference, in milliseconds.
    pub unreferenced_ms: i64,
    /// A pack after its last chunk, in milliseconds.
    pub empty_pack_ms: i64,
}

impl Default for Graces {
    fn default() -> Self {
        Self { unreferenced_ms: DAY_MS, empty_pack_ms: DAY_MS }
    }
}

/// What one run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Lists of chunks that went.
    pub contents: usize,
    /// Chunks that nothing refers to, from now on reported missing.
    pub condemned: usize,
    /// Chunks whose rows went.
    pub chunks: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Chunks moved out of mostly dead packs.
    pub moved: usize,
    /// Packs that were unlinked.
    pub packs: usize,
}

impl Upkeep {
    /// Whether the collector has not run to its end for so long, by whichever process.
    pub async fn collecting_is_due(&self, every_ms: i64) -> Result<bool> {
        let (now, last) = (self.clock.now(), self.db.store().await?.collected_at);
        // A clock that was put back would have it wait for years.
        Ok(!(last..last.saturating_add(every_ms)).contains(&now))
    }

    /// Runs the collector once.
    pub async fn collect(&self, graces: Graces) -> Result<Collected> {
        let began = self.clock.now();
        let before = began.saturating_sub(graces.unreferenced_ms);
        let contents = self.db.sweep_contents(before, began, JOB_ROWS).await?;
        let mut done = Collected { contents, ..Collected::default() };
        let filter = self.referred().await?;
        self.chunks_pass(&filter, graces, began, &mut done).await?;
        done.packs = self.unlink_empty(graces).await?;
        done.moved = self.compact().await?;
        // With no grace what was rewritten goes at once.
        done.packs += self.unlink_empty(graces).await?;
        self.db.note_collected(began).await?;
        Ok(done)
    }

    /// Everything that is referred to, as of one moment.
    async fn referred(&self) -> Result<Filter> {
        let uses = self.db.pack_uses().await?;
        let mut salt = [0; 8];
        getrandom::fill(&mut salt).map_err(|error| Error::internal("collect", error))?;
        let names = uses.iter().map(|pack| pack.chunks).sum();
        let filter = Arc::new(Mutex::new(Filter::new(names, u64::from_le_bytes(salt))));
        let adding = Arc::clone(&filter);
        let visit = move |name: ChunkHash| {
            adding.lock().unwrap_or_else(PoisonError::into_inner).add(&name);
        };
        self.db.references(Box::new(visit)).await?;
        Arc::into_inner(filter)
            .map(|filter| filter.into_inner().unwrap_or_else(PoisonError::into_inner))
            .ok_or_else(|| Error::internal("collect", "the filter is still being added to"))
    }

    async fn chunks_pass(
        &self,
        filter: &Filter,
        graces: Graces,
        began: i64,
        done: &mut Collected,
    ) -> Result<()> {
        // What an open upload has brought or was told of is left alone.
        let oldest_upload = self.db.oldest_lease().await?.unwrap_or(i64::MAX);
        let collected_before = began.saturating_sub(graces.unreferenced_ms);
        let registered_before = oldest_upload.min(collected_before.saturating_add(1));
        let mut after = None;
        loop {
            let rows = self.db.chunks(after, LOOKED_AT).await?;
            after = rows.last().map(|row| row.hash);
            if after.is_none() {
                return Ok(());
            }
            let (living, dead): (Vec<&ChunkRow>, Vec<&ChunkRow>) =
                rows.iter().partition(|row| may_be_needed(row, filter));
            let pardoned: Vec<ChunkHash> = living
                .iter()
                .filter(|row| row.condemned_at.is_some())
                .map(|row| row.hash)
                .collect();
            if !pardoned.is_empty() {
                self.db.pardon(pardoned).await?;
            }
            for some in dead.chunks(JOB_ROWS) {
                let (old, new): (Vec<&ChunkRow>, Vec<&ChunkRow>) =
                    some.iter().partition(|row| row.condemned_at.is_some());
                let names = |rows: &[&ChunkRow]| rows.iter().map(|row| row.hash).collect();
                if !new.is_empty() {
                    // An upload that began in the middle of this run was told that they are there.
                    let now = self.clock.now();
                    done.condemned += self.db.condemn(names(&new), registered_before, now).await?;
                }
                if !old.is_empty() {
                    let (gone, bytes) = self.db.collect(names(&old), collected_before).await?;
                    done.chunks += gone;
                    done.bytes += bytes;
                }
            }
        }
    }
}

/// Whether anything may refer to a chunk, condemned or not.
fn may_be_needed(row: &ChunkRow, filter: &Filter) -> bool {
    let is_looked_at = row.condemned_at.is_none() || !is_off(Protection::SecondLook);
    is_looked_at && filter.may_have(&row.hash)
}
