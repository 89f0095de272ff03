//! Sends chunks that are missing, in several calls at once, each with many chunks. A chunk's bytes are
//! kept until the server has them on disk, so that a call that breaks is made again with what of it is
//! still missing.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use depot_proto::files::{ChunkHead, FillRequest};
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::mpsc::Receiver;
use tokio::task::{JoinError, JoinSet};

use super::hash::Chunk;
use super::upload::{UploadKey, missing};
use super::waiting::Waiting;
use crate::connect::Session;
use crate::error::{Error, Result};
use crate::output::Progress;

/// File bytes in one message: it then ends inside whole frames, and below the 4 MiB that is the default
/// limit of other clients and servers.
const DATA_BYTES_MAX: usize = 508 * 1024;

/// Pieces below this are gathered into one message, which costs a copy.
const GATHER_BELOW_BYTES: usize = 128 * 1024;

/// What a call carries: enough to make its round trip and its sync cheap, and little enough that several
/// calls fit into the memory that an upload has.
const LOAD_BYTES_MAX: usize = 8 << 20;
const LOAD_CHUNKS_MAX: usize = 4096;

/// While a call is under way, less than this is kept back for the next one.
const LOAD_BYTES_MIN: usize = 4 << 20;

/// Calls at once, for each connection.
const CALLS_A_CONNECTION: usize = 4;

/// Where the chunks go.
#[derive(Clone)]
pub(super) struct Filling {
    pub(super) session: Session,
    pub(super) key: UploadKey,
    /// What the server takes in one call.
    pub(super) bytes_max: usize,
    pub(super) progress: Arc<Progress>,
}

/// Sends all that comes, and returns when the server has it on disk.
pub(super) async fn run(filling: Filling, mut chunks: Receiver<Vec<Chunk>>) -> Result<()> {
    let calls_max = CALLS_A_CONNECTION * filling.session.connections();
    let stride = filling.session.stride(LOAD_BYTES_MAX as u64) as usize;
    let load_max = stride.min(filling.bytes_max);
    let mut calls = JoinSet::new();
    let mut waiting = Waiting::default();
    let mut is_open = true;
    while is_open || !waiting.is_empty() || !calls.is_empty() {
        let is_due = waiting.bytes() >= LOAD_BYTES_MIN || calls.is_empty() || !is_open;
        if is_due && !waiting.is_empty() && calls.len() < calls_max {
            calls.spawn(send(filling.clone(), waiting.take(load_max, LOAD_CHUNKS_MAX)));
            continue;
        }
        tokio::select! {
            Some(done) = calls.join_next(), if !calls.is_empty() => joined(done)?,
            more = chunks.recv(), if is_open => match more {
                Some(more) => waiting.add(more),
                None => is_open = false,
            },
        }
    }
    Ok(())
}

/// A task's own result.
pub(crate) fn joined<T>(done: Result<Result<T>, JoinError>) -> Result<T> {
    done.map_err(|error| Error::io("go on", &io::Error::other(error)))?
}

async fn send(filling: Filling, mut load: Vec<Chunk>) -> Result<()> {
    let Filling { session, key, progress, .. } = filling;
    let mut patience = session.patience();
    let mut count = load.len();
    while !load.is_empty() {
        count = count.min(load.len());
        let part: Arc<[Chunk]> = load[..count].into();
        let bytes_max = session.stride(DATA_BYTES_MAX as u64) as usize;
        let pacing = session.clone();
        let messages = stream::iter(Messages::new(key.clone(), part.clone(), bytes_max));
        let messages = messages.then(move |message| {
            let session = pacing.clone();
            async move {
                session.paced(message.data.len() as u64).await;
                message
            }
        });
        let error = match session.bulk().fill(messages).await {
            Ok(answer) if answer.get_ref().chunks as usize == part.len() => {
                patience.progressed();
                progress.add(bytes(&load[..count]));
                load.drain(..count);
                continue;
            }
            Ok(_) => Error::cut("not all chunks were kept"),
            Err(status) => Error::from(status),
        };
        session.recover(error, &mut patience).await?;
        let mut is_missing = missing(&session, &key, part.iter().map(|chunk| chunk.hash).collect())
            .await?
            .into_iter();
        let before = bytes(&load);
        load.retain(|_| is_missing.next().unwrap_or(true));
        let kept = before - bytes(&load);
        progress.add(kept);
        match kept > 0 {
            true => patience.progressed(),
            // A line that breaks before a whole call is through takes less at a time.
            false => count = (count / 2).max(1),
        }
    }
    Ok(())
}

fn bytes(chunks: &[Chunk]) -> u64 {
    chunks.iter().map(|chunk| chunk.length() as u64).sum()
}

/// The messages of one call.
struct Messages {
    key: UploadKey,
    load: Arc<[Chunk]>,
    next: usize,
    /// Bytes of the next chunk that are sent already.
    sent: usize,
    /// Of one message.
    bytes_max: usize,
    has_begun: bool,
}

impl Messages {
    fn new(key: UploadKey, load: Arc<[Chunk]>, bytes_max: usize) -> Self {
        Self { key, load, next: 0, sent: 0, bytes_max, has_begun: false }
    }

    /// The next bytes that stand side by side in one buffer: no copy, even of many small files.
    fn run(&mut self, bytes_max: usize) -> Option<Bytes> {
        let first = self.load.get(self.next)?;
        let start = first.range.start + self.sent;
        let mut end = start;
        while let Some(chunk) = self.load.get(self.next) {
            let is_same = chunk.buffer.as_ptr() == first.buffer.as_ptr();
            if !is_same || chunk.range.start + self.sent != end {
                break;
            }
            let taken = (chunk.range.end - end).min(bytes_max - (end - start));
            end += taken;
            if end < chunk.range.end {
                self.sent += taken;
                break;
            }
            (self.next, self.sent) = (self.next + 1, 0);
        }
        Some(first.buffer.slice(start..end))
    }

    fn data(&mut self) -> Option<Bytes> {
        let first = self.run(self.bytes_max)?;
        if first.len() >= GATHER_BELOW_BYTES.min(self.bytes_max) || self.next == self.load.len() {
            return Some(first);
        }
        let mut gathered = BytesMut::with_capacity(self.bytes_max);
        gathered.extend_from_slice(&first);
        while gathered.len() < self.bytes_max {
            match self.run(self.bytes_max - gathered.len()) {
                Some(more) => gathered.extend_from_slice(&more),
                None => break,
            }
        }
        Some(gathered.freeze())
    }
}

impl Iterator for Messages {
    type Item = FillRequest;

    fn next(&mut self) -> Option<FillRequest> {
        let data = self.data()?;
        if self.has_begun {
            return Some(FillRequest { data, ..FillRequest::default() });
        }
        self.has_begun = true;
        let heads = self.load.iter().map(|chunk| ChunkHead {
            hash: Bytes::copy_from_slice(chunk.hash.as_bytes()),
            length: chunk.length() as u32,
        });
        Some(FillRequest {
            upload_id: std::mem::take(&mut self.key.id),
            tree: std::mem::take(&mut self.key.tree),
            heads: heads.collect(),
            data,
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Chunk, DATA_BYTES_MAX, Messages, UploadKey};

    fn key() -> UploadKey {
        UploadKey { id: "u".into(), tree: "ann".into() }
    }

    fn chunks(buffer: &Bytes, ranges: &[std::ops::Range<usize>]) -> Vec<Chunk> {
        let chunk = |range: &std::ops::Range<usize>| Chunk {
            hash: blake3::hash(&buffer[range.clone()]).into(),
            buffer: buffer.clone(),
            range: range.clone(),
            slot: 0,
        };
        ranges.iter().map(chunk).collect()
    }

    #[test]
    fn the_messages_carry_every_byte_in_order() {
        let noise: Vec<u8> = (0..3_000_000_u32).map(|i| (i / 7) as u8).collect();
        let (one, two) = (Bytes::from(noise.clone()), Bytes::from(noise));
        let mut load = chunks(&one, &[0..1_000_000, 1_000_000..1_000_010, 1_000_020..1_000_030]);
        load.extend(chunks(&two, &[5..1_700_000, 1_700_000..1_700_001]));
        let expected: Vec<u8> =
            load.iter().flat_map(|chunk| chunk.buffer[chunk.range.clone()].to_vec()).collect();
        let messages: Vec<_> = Messages::new(key(), load.into(), DATA_BYTES_MAX).collect();
        assert_eq!((&*messages[0].upload_id, &*messages[0].tree), ("u", "ann"));
        assert_eq!(messages[0].heads.len(), 5);
        assert!(messages[1..].iter().all(|m| m.heads.is_empty() && m.upload_id.is_empty()));
        assert!(messages.iter().all(|m| !m.data.is_empty() && m.data.len() <= DATA_BYTES_MAX));
        assert!(messages.iter().flat_map(|m| m.data.to_vec()).eq(expected));
    }

    #[test]
    fn small_files_side_by_side_are_sent_without_a_copy() {
        let buffer = Bytes::from(vec![7; 1_000_000]);
        let ranges: Vec<_> = (0..200).map(|i| i * 4096..(i + 1) * 4096).collect();
        let messages: Vec<_> =
            Messages::new(key(), chunks(&buffer, &ranges).into(), DATA_BYTES_MAX).collect();
        assert_eq!(messages.len(), 2);
        assert_eq!(messages[0].data.as_ptr(), buffer.as_ptr());
    }
}
