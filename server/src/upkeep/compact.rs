//! Packs that are mostly dead are rewritten: what lives is appended elsewhere, noted there, and the old
//! pack is unlinked when nobody can be reading it any more.

use std::collections::HashMap;

use crate::chunks::{Lane, PackInfo};
use crate::db::ChunkRow;
use crate::error::Result;
use crate::model::{NewChunk, PackId};
use crate::upkeep::{Graces, Upkeep};

/// A sealed pack is rewritten when at most this part of it lives.
const LIVING_PERCENT_MAX: u64 = 50;
/// Bytes moved in one batch.
const BATCH_BYTES: u64 = 8 << 20;
const BATCH_CHUNKS: usize = 256;

impl Upkeep {
    /// Rewrites mostly dead packs; how many chunks were moved.
    pub(super) async fn compact(&self) -> Result<usize> {
        let living: HashMap<PackId, u64> =
            self.db.pack_uses().await?.into_iter().map(|pack| (pack.pack, pack.bytes)).collect();
        let mut moved = 0;
        for PackInfo { id, bytes, sealed } in self.chunks.packs().await? {
            let lives = living.get(&id).copied().unwrap_or(0);
            if !sealed || lives * 100 > bytes * LIVING_PERCENT_MAX {
                continue;
            }
            if lives > 0 {
                moved += self.empty(id).await?;
            }
            self.db.note_empty(id, self.clock.now()).await?;
        }
        Ok(moved)
    }

    async fn empty(&self, pack: PackId) -> Result<usize> {
        let (mut offset, mut moved) = (0, 0);
        loop {
            let mut rows = self.db.chunks_of(pack, offset, BATCH_CHUNKS).await?;
            let mut bytes = 0;
            rows.truncate(
                rows.iter()
                    .take_while(|row| {
                        bytes += u64::from(row.place.length);
                        bytes <= BATCH_BYTES || bytes == u64::from(row.place.length)
                    })
                    .count(),
            );
            let Some(last) = rows.last() else {
                return Ok(moved);
            };
            offset = last.place.offset + 1;
            moved += rows.len();
            self.relocate(rows).await?;
        }
    }

    async fn relocate(&self, rows: Vec<ChunkRow>) -> Result<()> {
        let mut chunks = Vec::with_capacity(rows.len());
        let mut from = Vec::with_capacity(rows.len());
        for row in rows {
            match self.chunks.read(row.hash, row.place).await {
                Ok(data) => {
                    let length = row.place.length;
                    chunks.push(NewChunk { hash: row.hash, data: vec![data], length });
                    from.push(row);
                }
                // A damaged chunk stays where it is, and its pack with it, for `verify` to show.
                Err(error) => tracing::error!(hash = %row.hash, %error, "not moved"),
            }
        }
        if chunks.is_empty() {
            return Ok(());
        }
        let places = self.chunks.append(Lane::Bulk, chunks).await?;
        let moved = from.into_iter().zip(places);
        self.db.relocate(moved.map(|(row, to)| (row.hash, row.place, to)).collect()).await
    }

    /// Unlinks packs that have been empty for long enough; how many.
    pub(super) async fn unlink_empty(&self, graces: Graces) -> Result<usize> {
        let before = self.clock.now() - graces.empty_pack_ms;
        let packs = self.db.empty_packs(before).await?;
        for pack in &packs {
            self.chunks.remove(*pack).await?;
            self.db.forget_pack(*pack).await?;
        }
        Ok(packs.len())
    }
}
