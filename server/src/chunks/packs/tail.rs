//! A pack that is being appended to: where it ends, and how records get there. It is created by the
//! whole-file rule; a batch goes in as one gathered write, or in blocks past the page cache, and one
//! that does not fit on the disk leaves no trace. Syncing it is not done here.

use std::io::IoSlice;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use super::Store;
use super::blocks::Blocks;
use super::disk::write_all;
use super::health::Failure;
use super::record::{self, BLOCK_BYTES, HEAD_BYTES, Head};
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
    /// A new pack, durable and named; for writes in blocks its records begin at one.
    pub(super) fn create(store: &Store, in_blocks: bool) -> Result<Self, Failure> {
        let pack = PackId::new();
        let file = store.directory.create(pack).map_err(|errno| store.health.after(pack, errno))?;
        let mut head = record::file_head(pack).to_vec();
        if in_blocks {
            head.extend(record::padding(pack, HEAD_BYTES as u64, 0));
        }
        let tail = Self { pack, file: Arc::new(file), end: head.len() as u64 };
        tail.publish(store, &head).inspect_err(|_| store.directory.discard(pack))?;
        if in_blocks {
            Blocks::take(tail.file.as_fd());
        }
        // Outside the part that is taken back: the pack has its name, a failure only leaves it empty.
        store
            .disk
            .sync_directory(store.directory.as_fd())
            .map_err(|errno| store.health.stop(pack, errno))?;
        store.table.set(pack, tail.end, false);
        Ok(tail)
    }

    fn publish(&self, store: &Store, head: &[u8]) -> Result<(), Failure> {
        let failed = |errno| store.health.after(self.pack, errno);
        write_all(&*store.disk, self.file.as_fd(), &mut [IoSlice::new(head)], 0).map_err(failed)?;
        let synced = store.disk.sync(self.file.as_fd());
        synced.map_err(|errno| store.health.stop(self.pack, errno))?;
        store.directory.publish(self.pack).map_err(failed)
    }

    /// Whether it ends at a block, and can be written to in blocks.
    pub(super) fn ends_with_a_block(&self) -> bool {
        self.end.is_multiple_of(BLOCK_BYTES as u64)
    }

    /// Appends the chunks of some appends; the places are in the same order. All of them are written or
    /// none.
    pub(super) fn write(
        &mut self,
        store: &Store,
        appends: &[&[NewChunk]],
        blocks: Option<&mut Blocks>,
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
        let padding = self.padding(blocks.is_some(), end, 0);
        pieces.push(IoSlice::new(&padding));
        self.write_at_end(store, &mut pieces, end + padding.len() as u64, blocks)?;
        Ok(places)
    }

    fn place(&self, chunk: &NewChunk, end: &mut u64, heads: &mut Vec<Head>) -> ChunkPlace {
        let place = ChunkPlace { pack: self.pack, offset: *end, length: chunk.length };
        heads.push(record::chunk_head(self.pack, place.offset, chunk.hash, chunk.length));
        *end += HEAD_BYTES as u64 + u64::from(chunk.length);
        place
    }

    /// Says in the pack that it is complete. A full disk does not matter: the footer is only a hint.
    pub(super) fn write_footer(
        &mut self,
        store: &Store,
        blocks: Option<&mut Blocks>,
    ) -> Result<(), Failure> {
        let padding = self.padding(blocks.is_some(), self.end, HEAD_BYTES);
        let at = self.end + padding.len() as u64;
        let footer = record::footer(self.pack, at);
        let pieces = &mut [IoSlice::new(&padding), IoSlice::new(&footer)];
        match self.write_at_end(store, pieces, at + HEAD_BYTES as u64, blocks) {
            Err(Failure::Full(_)) => Ok(()),
            other => other,
        }
    }

    /// What fills up to a block, or up to so many bytes before one.
    fn padding(&self, in_blocks: bool, at: u64, before_block: usize) -> Vec<u8> {
        if in_blocks { record::padding(self.pack, at, before_block) } else { Vec::new() }
    }

    fn write_at_end(
        &mut self,
        store: &Store,
        pieces: &mut [IoSlice<'_>],
        end: u64,
        blocks: Option<&mut Blocks>,
    ) -> Result<(), Failure> {
        let (disk, file) = (&*store.disk, self.file.as_fd());
        let written = match blocks {
            Some(blocks) => blocks.write_all(disk, file, pieces, self.end),
            None => write_all(disk, file, pieces, self.end),
        };
        let Err(errno) = written else {
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
