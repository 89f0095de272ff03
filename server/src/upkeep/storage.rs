//! What the store holds and what that takes of the disk, for those who run it.

use crate::chunks::RECORD_HEAD_BYTES;
use crate::db::{Held, Stock};
use crate::error::Result;
use crate::upkeep::Upkeep;
use crate::upkeep::compact::is_mostly_dead;

/// How much there is, and what is to be given back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Storage {
    /// After the metadata.
    pub stock: Stock,
    /// What is kept although nobody sees it.
    pub held: Held,
    /// Packs.
    pub packs: u64,
    /// Bytes of their files.
    pub pack_bytes: u64,
    /// Bytes in them that belong to no chunk.
    pub dead_bytes: u64,
    /// Bytes that are to be moved out of packs that are mostly dead.
    pub compaction_bytes: u64,
    /// When the collector last ran to its end, in milliseconds since 1970.
    pub collected_at: i64,
}

impl Upkeep {
    /// What the store holds.
    pub async fn storage(&self) -> Result<Storage> {
        let (stock, held) = (self.db.stock().await?, self.db.held().await?);
        let packs = self.chunks.packs().await?;
        let pack_bytes: u64 = packs.iter().map(|pack| pack.bytes).sum();
        let living = stock.chunk_bytes + stock.chunks * RECORD_HEAD_BYTES;
        let sealed = self.sealed_packs().await?;
        let to_move = sealed.iter().filter(|(pack, living)| is_mostly_dead(pack, *living));
        Ok(Storage {
            stock,
            held,
            packs: packs.len() as u64,
            pack_bytes,
            dead_bytes: pack_bytes.saturating_sub(living),
            compaction_bytes: to_move.map(|(_, living)| living).sum(),
            collected_at: self.db.store().await?.collected_at,
        })
    }
}
