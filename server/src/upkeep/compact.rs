//! Packs that are mostly dead are rewritten: what lives is appended elsewhere, noted there, and the old
//! pack is unlinked when nobody can be reading it any more.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::chunks::{Lane, PackInfo, RECORD_HEAD_BYTES};
use crate::db::ChunkRow;
use crate::error::{Kind, Result};
use crate::model::{NewChunk, PackId};
use crate::upkeep::{Graces, Upkeep};

/// A sealed pack is rewritten when at most this part of it lives.
const LIVING_PERCENT_MAX: u64 = 50;
/// Bytes moved in one batch.
const BATCH_BYTES: u64 = 8 << 20;
const BATCH_CHUNKS: usize = 256;

impl Upkeep {
    /// Rewrites mostly dead packs; how many chunks were moved. A pack that cannot be rewritten now is
    /// left for another run: nothing is lost by that but time.
    pub(super) async fn compact(&self) -> Result<usize> {
        let mut moved = Moved::at(self.terms.compact_bytes_per_second);
        for (pack, living) in self.sealed_packs().await? {
            if !is_mostly_dead(&pack, living) {
                continue;
            }
            if let Err(error) = self.empty(pack.id, &mut moved).await {
                tracing::warn!(pack = %pack.id, %error, cause = error.chain(), "not rewritten");
                if matches!(error.kind(), Kind::DiskFull | Kind::ReadOnly) {
                    break;
                }
            }
        }
        Ok(moved.chunks)
    }

    /// The packs that are never appended to again, and bytes of the records in them that live.
    pub(super) async fn sealed_packs(&self) -> Result<Vec<(PackInfo, u64)>> {
        let uses = self.db.pack_uses().await?;
        let living: HashMap<PackId, u64> = uses
            .into_iter()
            .map(|pack| (pack.pack, pack.bytes + pack.chunks * RECORD_HEAD_BYTES))
            .collect();
        let packs = self.chunks.packs().await?.into_iter().filter(|pack| pack.sealed);
        Ok(packs.map(|pack| (pack, living.get(&pack.id).copied().unwrap_or(0))).collect())
    }

    async fn empty(&self, pack: PackId, moved: &mut Moved) -> Result<()> {
        let mut offset = 0;
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
                return self.db.note_empty(pack, self.clock.now()).await;
            };
            offset = last.place.offset + 1;
            moved.bytes += rows.iter().map(|row| u64::from(row.place.length)).sum::<u64>();
            moved.chunks += self.relocate(rows).await?;
            moved.keep_pace().await;
        }
    }

    async fn relocate(&self, rows: Vec<ChunkRow>) -> Result<usize> {
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
            return Ok(0);
        }
        let places = self.chunks.append(Lane::of(&chunks), chunks).await?;
        let moved = from.into_iter().zip(places);
        let moved: Vec<_> = moved.map(|(row, to)| (row.hash, row.place, to)).collect();
        let count = moved.len();
        self.db.relocate(moved).await?;
        Ok(count)
    }

    /// Notes which sealed packs are empty and unlinks those that have been for long enough; how many.
    pub(super) async fn unlink_empty(&self, graces: Graces) -> Result<usize> {
        for (pack, living) in self.sealed_packs().await? {
            if living == 0 {
                self.db.note_empty(pack.id, self.clock.now()).await?;
            }
        }
        let before = self.clock.now().saturating_sub(graces.empty_pack_ms);
        let packs = self.db.empty_packs(before).await?;
        for pack in &packs {
            self.chunks.remove(*pack).await?;
            self.db.forget_pack(*pack).await?;
        }
        Ok(packs.len())
    }
}

/// Whether a pack is worth rewriting; one in which nothing lives is unlinked as it is.
pub(super) fn is_mostly_dead(pack: &PackInfo, living: u64) -> bool {
    living > 0 && living * 100 <= pack.bytes * LIVING_PERCENT_MAX
}

/// What has been moved so far, and how fast that may go: people's reads want the same disk.
struct Moved {
    began: Instant,
    bytes_per_second: u64,
    bytes: u64,
    chunks: usize,
}

impl Moved {
    fn at(bytes_per_second: u64) -> Self {
        Self { began: Instant::now(), bytes_per_second, bytes: 0, chunks: 0 }
    }

    /// Waits until as much as was moved may have been.
    async fn keep_pace(&self) {
        let due = self.bytes.saturating_mul(1_000).checked_div(self.bytes_per_second);
        if let Some(milliseconds) = due {
            sleep_until(self.began + Duration::from_millis(milliseconds)).await;
        }
    }
}
