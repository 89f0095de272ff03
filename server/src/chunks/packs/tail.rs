//! A pack that is being appended to: where it ends, and how records get there. It is created by the
//! whole-file rule; a batch goes in as one gathered write, without its pieces being copied together,
//! and one that does not fit on the disk leaves no trace. Syncing it is not done here.

use std::io::IoSlice;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use super::Store;
use super::disk::write_all;
use super::health::Failure;
use super::record::{self, HEAD_BYTES, Head};
use crate::model::{ChunkPlace, NewChunk, PackId};

/// The end of an unsealed pack.
pub(super) struct Tail {
    /// The pack.
    pub(super) pack: PackId,
    /// Its file.
    pub(super) file: Arc<OwnedFd>,
    /// First byte after its last record.
    pub(super) end: u64,
}

/// Bytes that chunks take in a pack.
pub(super) fn record_bytes(chunks: &[NewChunk]) -> u64 {
    chunks.iter().map(|chunk| HEAD_BYTES as u64 + u64::from(chunk.length)).sum()
}

impl Tail {
    /// A new pack, durable and named.
    pub(super) fn create(store: &Store) -> Result<Self, Failure> {
        let pack = PackId::new();
        let file = store.directory.create(pack).map_err(|errno| store.health.after(pack, errno))?;
        let tail = Self { pack, file: Arc::new(file), end: HEAD_BYTES as u64 };
        tail.publish(store).inspect_err(|_| store.directory.discard(pack))?;
        // Outside the part that is taken back: the pack has its name, a failure only leaves it empty.
        store
            .disk
            .sync_directory(store.directory.as_fd())
            .map_err(|errno| store.health.stop(pack, errno))?;
        store.table.set(pack, tail.end, false);
        Ok(tail)
    }

    fn publish(&self, store: &Store) -> Result<(), Failure> {
        let failed = |errno| store.health.after(self.pack, errno);
        let head = record::file_head(self.pack);
        write_all(&*store.disk, self.file.as_fd(), &mut [IoSlice::new(&head)], 0)
            .map_err(failed)?;
        let synced = store.disk.sync(self.file.as_fd());
        synced.map_err(|errno| store.health.stop(self.pack, errno))?;
        store.directory.publish(self.pack).map_err(failed)
    }

    /// Appends the chunks of some appends; the places are in the same order. All of them are written or
    /// none.
    pub(super) fn write(
        &mut self,
        store: &Store,
        appends: &[&[NewChunk]],
    ) -> Result<Vec<Vec<ChunkPlace>>, Failure> {
        let mut heads = Vec::new();
        let mut end = self.end;
        let places = appends
            .iter()
            .map(|chunks| {
                let placed = chunks.iter().map(|chunk| self.place(chunk, &mut end, &mut heads));
                placed.collect()
            })
            .collect();
        let mut pieces = Vec::with_capacity(2 * heads.len());
        for (chunk, head) in appends.iter().copied().flatten().zip(&heads) {
            pieces.push(IoSlice::new(head));
            pieces.extend(chunk.data.iter().map(|piece| IoSlice::new(piece)));
        }
        self.write_at_end(store, &mut pieces, end)?;
        Ok(places)
    }

    fn place(&self, chunk: &NewChunk, end: &mut u64, heads: &mut Vec<Head>) -> ChunkPlace {
        let place = ChunkPlace { pack: self.pack, offset: *end, length: chunk.length };
        heads.push(record::chunk_head(self.pack, place.offset, chunk.hash, chunk.length));
        *end += HEAD_BYTES as u64 + u64::from(chunk.length);
        place
    }

    /// Says in the pack that it is complete. A full disk does not matter: the footer is only a hint.
    pub(super) fn write_footer(&mut self, store: &Store) -> Result<(), Failure> {
        let footer = record::footer(self.pack, self.end);
        let end = self.end + HEAD_BYTES as u64;
        match self.write_at_end(store, &mut [IoSlice::new(&footer)], end) {
            Err(Failure::Full(_)) => Ok(()),
            other => other,
        }
    }

    fn write_at_end(
        &mut self,
        store: &Store,
        pieces: &mut [IoSlice<'_>],
        end: u64,
    ) -> Result<(), Failure> {
        let Err(errno) = write_all(&*store.disk, self.file.as_fd(), pieces, self.end) else {
            self.end = end;
            return Ok(());
        };
        // Also after an error that stops the store, so that less is left for the next start to judge.
        let cut = store.disk.truncate(self.file.as_fd(), self.end);
        let failure = store.health.after(self.pack, errno);
        match cut {
            Ok(()) => Err(failure),
            Err(errno) => Err(store.health.stop(self.pack, errno)),
        }
    }
}
