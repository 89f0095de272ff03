//! One Fill call: chunk bytes, one after the other, cut anywhere, become chunks. Complete ones are stored
//! in batches while the next bytes come in; a call that breaks keeps them.

use std::collections::VecDeque;
use std::mem;

use bytes::Bytes;
use tokio::task::JoinSet;

use crate::content::Contents;
use crate::content::buffers::Held;
use crate::content::keeping::Open;
use crate::content::persist::Batch;
use crate::db::Upload;
use crate::error::{Error, Kind, Result};
use crate::model::{AccountId, NewChunk, Piece, UploadId, chunker};

/// A batch is stored when it has this many bytes …
const BATCH_BYTES: u64 = 8 << 20;
/// … or chunks.
const BATCH_CHUNKS: usize = 2_048;
/// Batches being stored at once; the next one waits, and with it the sender.
const BATCHES: usize = 2;

/// Chunks that are announced and have not come yet.
const HEADS_MAX: usize = 65_536;

/// Chunks that are coming in.
pub struct Fill {
    contents: Contents,
    upload: Upload,
    heads: VecDeque<Piece>,
    announced: u64,
    current: Vec<Bytes>,
    current_bytes: u32,
    current_held: Option<Held>,
    batch: Batch,
    storing: JoinSet<Result<u64>>,
    /// Bytes of what is registered: counted to the upload already.
    stored: u64,
    taken: (u32, u64),
    /// Whoever asks what is missing waits for this call's end.
    open: Open,
}

impl Contents {
    /// Begins to take chunks for an upload that shall end in the tree of `charged`.
    pub fn fill(&self, account: AccountId, (upload, charged): (UploadId, AccountId)) -> Fill {
        Fill {
            contents: self.clone(),
            upload: self.upload(account, (upload, charged)),
            heads: VecDeque::new(),
            announced: 0,
            current: Vec::new(),
            current_bytes: 0,
            current_held: None,
            batch: Batch::default(),
            storing: JoinSet::new(),
            stored: 0,
            taken: (0, 0),
            open: self.keeping.begin(account, upload),
        }
    }
}

impl Fill {
    /// Announces chunks whose bytes follow. Refused before they flow when they do not fit.
    pub async fn announce(&mut self, heads: Vec<Piece>) -> Result<()> {
        let bytes: u64 = heads.iter().map(|head| u64::from(head.length)).sum();
        if let Some(head) =
            heads.iter().find(|head| !(1..=chunker::CHUNK_BYTES_MAX).contains(&head.length))
        {
            let problem = format!(
                "a chunk of {} bytes; chunks have 1 to {} bytes",
                head.length,
                chunker::CHUNK_BYTES_MAX
            );
            return Err(Error::field("heads.length", problem));
        }
        if self.heads.len() + heads.len() > HEADS_MAX {
            let message =
                format!("more than {HEADS_MAX} chunks announced at once; make several calls");
            return Err(Error::new(Kind::LimitExceeded, message));
        }
        self.announced += bytes;
        let max = self.contents.limits.fill_bytes_max;
        if self.announced > max {
            let message = format!("more than {max} bytes in one call; make several");
            return Err(Error::new(Kind::LimitExceeded, message));
        }
        self.open.announce(heads.iter().map(|head| head.hash));
        self.contents.check_disk()?;
        self.contents.db.reserve(self.upload, self.announced.saturating_sub(self.stored)).await?;
        self.heads.extend(heads);
        Ok(())
    }

    /// Takes the next bytes.
    pub async fn push(&mut self, mut data: Bytes) -> Result<()> {
        while !data.is_empty() {
            let Some(head) = self.heads.front().copied() else {
                return Err(Error::field("data", "more bytes than the heads announce"));
            };
            if self.current_held.is_none() {
                self.make_room(head.length as usize).await?;
            }
            let wanted = (head.length - self.current_bytes) as usize;
            let piece = data.split_to(wanted.min(data.len()));
            self.current_bytes += u32::try_from(piece.len()).unwrap_or(u32::MAX);
            self.current.push(piece);
            if self.current_bytes == head.length {
                self.complete(head).await?;
            }
        }
        Ok(())
    }

    /// Stores what came whole and ends: how many chunks were kept, and their bytes.
    pub async fn finish(mut self) -> Result<(u32, u64)> {
        self.keep().await?;
        if !self.heads.is_empty() {
            return Err(Error::new(
                Kind::Truncated,
                format!("{} of the announced chunks did not come; send them", self.heads.len()),
            ));
        }
        Ok(self.taken)
    }

    /// Stores what came whole so far, also of a call that broke.
    pub async fn keep(&mut self) -> Result<()> {
        self.flush().await?;
        while let Some(stored) = self.storing.join_next().await {
            self.stored += flat(stored)?;
        }
        Ok(())
    }

    /// Takes memory for one chunk; when there is none, gives back its own first.
    async fn make_room(&mut self, bytes: usize) -> Result<()> {
        self.current_held = match self.contents.buffers.try_take(self.upload.account, bytes) {
            Some(held) => Some(held),
            None => {
                self.keep().await?;
                Some(self.contents.buffers.take(self.upload.account, bytes).await?)
            }
        };
        Ok(())
    }

    async fn complete(&mut self, head: Piece) -> Result<()> {
        self.heads.pop_front();
        let chunk = NewChunk {
            hash: head.hash,
            data: mem::take(&mut self.current),
            length: mem::take(&mut self.current_bytes),
        };
        self.taken.0 += 1;
        self.taken.1 += u64::from(chunk.length);
        self.batch.push(chunk, self.current_held.take());
        if self.batch.bytes >= BATCH_BYTES || self.batch.chunks.len() >= BATCH_CHUNKS {
            self.flush().await?;
        }
        Ok(())
    }

    /// Begins to store what came whole so far.
    pub async fn flush(&mut self) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        while self.storing.len() >= BATCHES {
            if let Some(stored) = self.storing.join_next().await {
                self.stored += flat(stored)?;
            }
        }
        let (contents, batch) = (self.contents.clone(), mem::take(&mut self.batch));
        let upload = Upload { now: contents.clock.now(), ..self.upload };
        let bytes = batch.bytes;
        self.storing.spawn(async move { contents.persist(upload, batch).await.map(|()| bytes) });
        Ok(())
    }
}

fn flat(stored: Result<Result<u64>, tokio::task::JoinError>) -> Result<u64> {
    stored.map_err(|error| Error::internal("fill", error))?
}
