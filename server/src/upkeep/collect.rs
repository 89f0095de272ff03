//! The collector. Nothing is counted: what is referred to is looked up, twice.
//!
//! First pass: chunks that nothing refers to are condemned. From then on they are reported missing, so
//! nobody builds on them unasked; an upload that was under way may have been told otherwise, so they wait
//! until each of those has ended. Who refers to one again clears the mark in the same transaction. Second
//! pass, a day later: what is still condemned and still not referred to loses its row. A pack that is
//! mostly dead is rewritten, and an empty one unlinked a day after that.

use std::sync::{Arc, Mutex, PoisonError};

use crate::db::ChunkRow;
use crate::error::{Error, Result};
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
    /// Runs the collector once.
    pub async fn collect(&self, graces: Graces) -> Result<Collected> {
        let now = self.clock.now();
        let mut done =
            Collected { contents: self.sweep_contents(graces, now).await?, ..Collected::default() };
        let filter = self.referred().await?;
        self.chunks_pass(&filter, graces, now, &mut done).await?;
        done.moved = self.compact().await?;
        done.packs = self.unlink_empty(graces).await?;
        Ok(done)
    }

    async fn sweep_contents(&self, graces: Graces, now: i64) -> Result<usize> {
        let mut gone = 0;
        loop {
            let before = now - graces.unreferenced_ms;
            let some = self.db.sweep_contents(before, now, JOB_ROWS).await?;
            gone += some;
            if some < JOB_ROWS {
                return Ok(gone);
            }
        }
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
        now: i64,
        done: &mut Collected,
    ) -> Result<()> {
        // What an open upload has brought or was told of is left alone.
        let oldest_upload = self.db.oldest_lease().await?.unwrap_or(i64::MAX);
        let registered_before = oldest_upload.min(now.saturating_sub(graces.unreferenced_ms) + 1);
        let collected_before = now - graces.unreferenced_ms;
        let mut after = None;
        loop {
            let rows = self.db.chunks(after, LOOKED_AT).await?;
            after = rows.last().map(|row| row.hash);
            if after.is_none() {
                return Ok(());
            }
            let is_dead = |row: &&ChunkRow| !filter.may_have(&row.hash);
            let dead: Vec<&ChunkRow> = rows.iter().filter(is_dead).collect();
            let pardoned: Vec<ChunkHash> = rows
                .iter()
                .filter(|row| row.condemned_at.is_some() && filter.may_have(&row.hash))
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
                    let condemned = self.db.condemn(names(&new), registered_before, now).await?;
                    done.condemned += condemned;
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
