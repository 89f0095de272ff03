//! From verified chunks in memory to chunks that are stored and registered. What is stored already, by
//! whomever, is not stored again; no answer tells whoever sent it, though a fast one lets them guess.

use crate::chunks::Lane;
use crate::content::Contents;
use crate::content::buffers::Held;
use crate::db::{Arrived, ChunkState, Upload};
use crate::error::{Error, Kind, Result};
use crate::model::{ChunkHash, ChunkPlace, NewChunk};

/// Chunks on their way in, and the memory they take.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) chunks: Vec<NewChunk>,
    pub(super) held: Vec<Held>,
    pub(super) bytes: u64,
}

impl Batch {
    pub(super) fn push(&mut self, chunk: NewChunk, held: Option<Held>) {
        self.bytes += u64::from(chunk.length);
        self.chunks.push(chunk);
        self.held.extend(held);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }
}

impl Contents {
    /// Checks a batch against its names, stores and registers it. Chunks before one that is not what
    /// its name says are kept; that one and those after it are not.
    pub(super) async fn persist(&self, upload: Upload, batch: Batch) -> Result<()> {
        let (batch, wrong) = verified(batch).await?;
        if !batch.is_empty() {
            self.check_disk()?;
            self.store(upload, &batch).await?;
        }
        wrong.map_or(Ok(()), Err)
    }

    async fn store(&self, upload: Upload, batch: &Batch) -> Result<()> {
        let hashes = batch.chunks.iter().map(|chunk| chunk.hash).collect();
        let states = self.db.chunk_states(hashes).await?;
        let fresh = |state: &ChunkState| !matches!(state, ChunkState::Stored(_));
        let arrived = self.append(batch, states.iter().map(fresh)).await?;
        match self.db.register(upload, arrived).await {
            // One that was there has been collected since: send all of them to the disk.
            Err(error) if error.kind() == Kind::Aborted => {
                let arrived = self.append(batch, states.iter().map(|_| true)).await?;
                self.db.register(upload, arrived).await
            }
            answer => answer,
        }
    }

    async fn append(
        &self,
        batch: &Batch,
        fresh: impl Iterator<Item = bool> + Send,
    ) -> Result<Vec<Arrived>> {
        let marked: Vec<(bool, &NewChunk)> = fresh.zip(&batch.chunks).collect();
        let new: Vec<NewChunk> =
            marked.iter().filter(|(fresh, _)| *fresh).map(|(_, chunk)| (*chunk).clone()).collect();
        let mut places = match new.is_empty() {
            true => Vec::new(),
            false => self.chunks.append(Lane::of(&new), new).await?,
        }
        .into_iter();
        marked
            .into_iter()
            .map(|(fresh, chunk)| {
                let place = if fresh { Some(next(&mut places)?) } else { None };
                Ok(Arrived { hash: chunk.hash, length: chunk.length, place })
            })
            .collect()
    }
}

fn next(places: &mut impl Iterator<Item = ChunkPlace>) -> Result<ChunkPlace> {
    places.next().ok_or_else(|| Error::internal("persist", "fewer places than chunks"))
}

/// Hashes on a blocking thread; the batch up to the first chunk that is not what its name says, and
/// what to say of that one.
async fn verified(mut batch: Batch) -> Result<(Batch, Option<Error>)> {
    let check = move || {
        let good = batch.chunks.iter().take_while(|chunk| hash(chunk) == chunk.hash).count();
        let wrong = batch.chunks.get(good).map(|chunk| {
            let message =
                format!("these bytes are not those of chunk {}; send them again", chunk.hash);
            Error::new(Kind::DigestMismatch, message)
        });
        batch.chunks.truncate(good);
        batch.bytes = batch.chunks.iter().map(|chunk| u64::from(chunk.length)).sum();
        (batch, wrong)
    };
    tokio::task::spawn_blocking(check).await.map_err(|error| Error::internal("persist", error))
}

fn hash(chunk: &NewChunk) -> ChunkHash {
    let mut hasher = blake3::Hasher::new();
    for piece in &chunk.data {
        hasher.update(piece);
    }
    ChunkHash(hasher.finalize().into())
}
