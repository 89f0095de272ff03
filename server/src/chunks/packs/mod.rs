//! Chunks in pack files on local disk. `record` is the format; a `lane` is a `writer` and a `syncer`
//! thread around the `tail` of an open pack, and writes large batches in `blocks`; `reader` and `walk`
//! take chunks out again, and remember the `recent` ones; `recover` is what happens at start. All of them
//! share a `Store`: the `directory`, the `disk` (its failing calls), the `table` of packs and the store's
//! `health`.

mod blocks;
mod directory;
mod disk;
mod health;
mod lane;
mod reader;
mod recent;
mod record;
mod recover;
mod syncer;
mod table;
mod tail;
#[cfg(test)]
mod tests;
mod walk;
mod writer;

use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use self::directory::Directory;
use self::disk::{Disk, Kernel};
use self::health::Health;
use self::lane::{LaneThreads, Limits};
use self::recent::Recent;
pub use self::record::CHUNK_BYTES_MAX;
use self::recover::{Recovered, recover, seal};
use self::table::Table;
use self::tail::Tail;
use super::{Chunks, Found, Lane, PackInfo, Record};
use crate::error::{Error, Kind, Result};
use crate::model::{ChunkHash, ChunkPlace, NewChunk, PackId};

/// How a store of packs is kept.
#[derive(Clone, Debug)]
pub struct PackOptions {
    /// The directory of the packs. It is made, with mode 0700, if only its last part is absent.
    pub dir: PathBuf,
    /// Bytes of records and header after which a pack is sealed and the next one begun. Only a single
    /// append that is longer makes a longer pack.
    pub pack_bytes_max: u64,
    /// Bytes of small appends that one write and one fdatasync may gather; about the most that a small
    /// put waits for.
    pub small_batch_bytes_max: u64,
    /// The same for bulk appends.
    pub bulk_batch_bytes_max: u64,
    /// Small appends that may be queued; the next ones wait.
    pub small_queued_max: usize,
    /// Bulk appends that may be queued; the next ones wait.
    pub bulk_queued_max: usize,
    /// Packs that are kept open for reading, two descriptors each.
    pub open_packs_max: usize,
    /// Whether the packs that could be appended to are sealed first: those that are mostly dead can then
    /// be rewritten like all others.
    pub seal_open_packs: bool,
}

impl PackOptions {
    /// The defaults in this directory.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            pack_bytes_max: 512 << 20,
            small_batch_bytes_max: 4 << 20,
            bulk_batch_bytes_max: 8 << 20,
            small_queued_max: 1024,
            bulk_queued_max: 64,
            open_packs_max: 128,
            seal_open_packs: false,
        }
    }
}

/// Opens the packs of a directory and starts the threads that append to them. It blocks, as does
/// dropping the store, which finishes what is queued.
///
/// `known` has, for each pack that the metadata names, the first byte after its last registered record.
/// Valid records after that in an unsealed pack are returned; they are durable, and the caller registers
/// them. What is no valid record there is cut off. A sealed pack is not looked into, known or not: which
/// packs nobody names any more is the caller's to find out (`packs`) and to end (`remove`).
///
/// Only one store may have a directory open; that is the caller's to see to, too.
///
/// # Errors
/// `Kind::FailedPrecondition` if a newer server wrote there, `Kind::ReadOnly` if the disk fails a write
/// or sync. A missing or damaged pack is logged and is no error here.
pub fn open(
    options: PackOptions,
    known: &HashMap<PackId, u64>,
) -> Result<(Arc<dyn Chunks>, Vec<Found>)> {
    let (packs, found) = open_on(Box::new(Kernel), &options, known)?;
    Ok((Arc::new(packs), found))
}

/// Chunks that are remembered as read lately: when large, about as many bytes as a server has memory.
const RECENT_CHUNKS: usize = 16_384;

/// Bytes of a pack that a chunk takes besides its own.
pub const RECORD_HEAD_BYTES: u64 = record::HEAD_BYTES as u64;

/// The first byte after a chunk's record.
pub fn end_of(place: &ChunkPlace) -> u64 {
    place.offset + RECORD_HEAD_BYTES + u64::from(place.length)
}

fn open_on(
    disk: Box<dyn Disk>,
    options: &PackOptions,
    known: &HashMap<PackId, u64>,
) -> Result<(Packs, Vec<Found>)> {
    let failed = |error: io::Error| Error::internal("chunks.open", error);
    let store = Arc::new(Store {
        directory: Directory::open(&options.dir).map_err(|errno| failed(errno.into()))?,
        disk,
        health: Health::default(),
        table: Table::new(options.open_packs_max),
        recent: Recent::new(RECENT_CHUNKS),
        pack_bytes_max: options.pack_bytes_max,
    });
    let Recovered { found, mut tails } = recover(&store, known)?;
    let is_full = |tail: &mut Tail| options.seal_open_packs || store.room(tail) == 0;
    let full = tails.extract_if(.., is_full).collect::<Vec<_>>();
    let bulk = tails.iter().rposition(Tail::ends_with_a_block).map(|place| tails.remove(place));
    let small = tails.pop();
    full.into_iter().chain(tails).try_for_each(|tail| seal(&store, tail))?;
    let small_limits = Limits {
        name: "small",
        queued_max: options.small_queued_max,
        batch_bytes_max: options.small_batch_bytes_max,
        in_blocks: false,
    };
    let bulk_limits = Limits {
        name: "bulk",
        queued_max: options.bulk_queued_max,
        batch_bytes_max: options.bulk_batch_bytes_max,
        in_blocks: true,
    };
    let small = LaneThreads::start(&store, small_limits, small).map_err(failed)?;
    let bulk = LaneThreads::start(&store, bulk_limits, bulk).map_err(failed)?;
    Ok((Packs { small, bulk, store }, found))
}

/// What the parts of a store share.
struct Store {
    directory: Directory,
    disk: Box<dyn Disk>,
    health: Health,
    table: Table,
    recent: Recent,
    pack_bytes_max: u64,
}

impl Store {
    /// Bytes that still fit into a pack.
    fn room(&self, tail: &Tail) -> u64 {
        self.pack_bytes_max.saturating_sub(tail.end)
    }
}

/// The adapter.
struct Packs {
    small: LaneThreads,
    bulk: LaneThreads,
    store: Arc<Store>,
}

#[async_trait]
impl Chunks for Packs {
    async fn append(&self, lane: Lane, chunks: Vec<NewChunk>) -> Result<Vec<ChunkPlace>> {
        chunks.iter().try_for_each(well_formed)?;
        match lane {
            _ if chunks.is_empty() => Ok(Vec::new()),
            Lane::Small => self.small.append(chunks).await,
            Lane::Bulk => self.bulk.append(chunks).await,
        }
    }

    async fn read(&self, hash: ChunkHash, place: ChunkPlace) -> Result<Bytes> {
        if let Some(bytes) = reader::read_at_once(&self.store, hash, place) {
            return Ok(bytes);
        }
        self.blocking(move |store| reader::read(store, hash, place)).await
    }

    async fn packs(&self) -> Result<Vec<PackInfo>> {
        Ok(self.store.table.packs())
    }

    async fn scan(
        &self,
        pack: PackId,
        offset: u64,
        limit: usize,
    ) -> Result<(Vec<Record>, Option<u64>)> {
        self.blocking(move |store| reader::scan(store, pack, offset, limit)).await
    }

    async fn remove(&self, pack: PackId) -> Result<()> {
        self.blocking(move |store| remove(store, pack)).await
    }
}

impl Packs {
    async fn blocking<T: Send + 'static>(
        &self,
        task: impl FnOnce(&Store) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let store = Arc::clone(&self.store);
        let done = tokio::task::spawn_blocking(move || task(&store)).await;
        done.map_err(|error| Error::internal("chunks.read", error))?
    }
}

/// A record's head is written from `length`: were it wrong, every record after it would be lost.
fn well_formed(chunk: &NewChunk) -> Result<()> {
    let bytes: usize = chunk.data.iter().map(Bytes::len).sum();
    let right = (1..=CHUNK_BYTES_MAX).contains(&chunk.length) && bytes == chunk.length as usize;
    let wrong = || format!("a chunk of {bytes} bytes that says it has {}", chunk.length);
    if right { Ok(()) } else { Err(Error::internal("chunks.append", wrong())) }
}

fn remove(store: &Store, pack: PackId) -> Result<()> {
    let Some(info) = store.table.pack(pack) else {
        return Ok(());
    };
    if !info.sealed {
        let message = format!("pack {pack} is still appended to: remove it when it is sealed");
        return Err(Error::new(Kind::FailedPrecondition, message).op("chunks.remove"));
    }
    store.health.check()?;
    let io_failed = |errno: rustix::io::Errno| io::Error::from(errno);
    let unlinked = store.directory.unlink(pack).map_err(io_failed);
    unlinked.map_err(|error| Error::internal("chunks.remove", error))?;
    let synced = store.disk.sync_directory(store.directory.as_fd());
    synced.map_err(|errno| store.health.stop(pack, errno))?;
    store.table.remove(pack);
    Ok(())
}
