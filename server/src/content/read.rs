//! Bytes on their way out: the chunks of a content in order, read ahead, each checked against its name,
//! and of each the part that was asked for.

use std::collections::VecDeque;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt, TryStreamExt};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use crate::content::Contents;
use crate::content::buffers::{Held, holding};
use crate::db::ChunkState;
use crate::error::{Error, Kind, Result};
use crate::model::{AccountId, ChunkHash, ChunkPlace, Content, Piece};

/// Chunks being read at once for one call.
const READ_AHEAD: usize = 4;
/// Chunks whose places are looked up at once.
const LOOKED_UP: usize = 256;

/// Verified bytes.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// A part of a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
}

/// A chunk, where it lies, and the part of it that is wanted.
struct Wanted {
    hash: ChunkHash,
    place: ChunkPlace,
    from: usize,
    to: usize,
}

impl Contents {
    /// The bytes of ranges of a content, in order. `OutOfRange` when one is not inside it. They count
    /// to the memory of `account`.
    pub fn read(
        &self,
        account: AccountId,
        content: Content,
        ranges: Vec<ByteRange>,
    ) -> Result<ByteStream> {
        if let Some(range) = ranges.iter().find(|range| !inside(&content, range)) {
            let message = format!(
                "{} bytes from {} on are not inside a content of {} bytes",
                range.length, range.offset, content.size
            );
            return Err(Error::new(Kind::OutOfRange, message));
        }
        let walk = Walk { contents: self.clone(), content, ranges: ranges.into() };
        let ahead = Ahead { account, walk, found: VecDeque::new(), reads: VecDeque::new() };
        Ok(Box::pin(stream::try_unfold(ahead, |mut ahead| async move {
            Ok(ahead.next().await?.map(|bytes| (bytes, ahead)))
        })))
    }

    /// All bytes of many contents at once, in order; for small ones.
    pub fn read_whole(
        &self,
        account: AccountId,
        contents: Vec<Content>,
    ) -> impl Stream<Item = Result<Bytes>> + Send + use<> {
        let reader = self.clone();
        let lookup = self.clone();
        stream::iter(chunked(contents))
            .then(move |some| {
                let lookup = lookup.clone();
                async move { lookup.places(some).await }
            })
            .map_ok(|found| stream::iter(found.into_iter().map(Ok)))
            .try_flatten()
            .map(move |wanted: Result<Option<Wanted>>| {
                let reader = reader.clone();
                async move {
                    match wanted? {
                        Some(wanted) => {
                            let bytes = wanted.place.length as usize;
                            let held = reader.buffers.take(account, bytes).await?;
                            reader.read_one(wanted, held).await
                        }
                        None => Ok(Bytes::new()),
                    }
                }
            })
            .buffered(READ_AHEAD * 4)
    }

    /// The chunks of a content from the one with byte `offset` on, and where the first begins.
    pub async fn pieces(
        &self,
        content: Content,
        offset: u64,
        limit: usize,
    ) -> Result<(u64, Vec<Piece>)> {
        self.db.pieces(content, offset, limit).await
    }

    async fn places(&self, contents: Vec<Content>) -> Result<Vec<Option<Wanted>>> {
        let pieces: Vec<Option<Piece>> = contents.iter().map(Content::only_chunk).collect();
        let hashes = pieces.iter().flatten().map(|piece| piece.hash).collect();
        let mut states = self.db.chunk_states(hashes).await?.into_iter();
        pieces
            .into_iter()
            .map(|piece| {
                let Some(piece) = piece else {
                    return Ok(None);
                };
                let place = place(piece.hash, states.next())?;
                let to = piece.length as usize;
                Ok(Some(Wanted { hash: piece.hash, place, from: 0, to }))
            })
            .collect()
    }

    async fn read_one(&self, wanted: Wanted, held: Held) -> Result<Bytes> {
        let bytes = self.chunks.read(wanted.hash, wanted.place).await?;
        Ok(holding(bytes, held).slice(wanted.from..wanted.to))
    }
}

fn chunked(contents: Vec<Content>) -> Vec<Vec<Content>> {
    contents.chunks(LOOKED_UP).map(<[Content]>::to_vec).collect()
}

fn inside(content: &Content, range: &ByteRange) -> bool {
    range.offset.checked_add(range.length).is_some_and(|end| end <= content.size)
}

fn place(hash: ChunkHash, state: Option<ChunkState>) -> Result<ChunkPlace> {
    match state {
        Some(ChunkState::Stored(place) | ChunkState::Condemned(place)) => Ok(place),
        _ => {
            tracing::error!(%hash, "a chunk that is referred to is not stored");
            let message = "a part of this content is lost on the server; tell its operator";
            Err(Error::new(Kind::DataLoss, message))
        }
    }
}

/// Chunks that are being read before they are asked for.
struct Ahead {
    account: AccountId,
    walk: Walk,
    found: VecDeque<Wanted>,
    reads: VecDeque<AbortOnDropHandle<Result<Bytes>>>,
}

impl Ahead {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        while self.reads.len() < READ_AHEAD && self.begin_one().await? {}
        match self.reads.pop_front() {
            Some(read) => read.await.map_err(|error| Error::internal("read", error))?.map(Some),
            None => Ok(None),
        }
    }

    /// Begins to read one more. Only the first waits for memory: what slow lines keep waiting here is
    /// missing elsewhere.
    async fn begin_one(&mut self) -> Result<bool> {
        if self.found.is_empty() {
            self.found.extend(self.walk.next().await?.unwrap_or_default());
        }
        let Some(wanted) = self.found.front() else {
            return Ok(false);
        };
        let (contents, bytes) = (self.walk.contents.clone(), wanted.place.length as usize);
        let held = match contents.buffers.try_take(self.account, bytes) {
            Some(held) => held,
            None if self.reads.is_empty() => contents.buffers.take(self.account, bytes).await?,
            None => return Ok(false),
        };
        if let Some(wanted) = self.found.pop_front() {
            let read = async move { contents.read_one(wanted, held).await };
            self.reads.push_back(AbortOnDropHandle::new(tokio::spawn(read.in_current_span())));
        }
        Ok(true)
    }
}

/// The way along the ranges of one content.
struct Walk {
    contents: Contents,
    content: Content,
    ranges: VecDeque<ByteRange>,
}

impl Walk {
    /// The next chunks of the first range that has some left.
    async fn next(&mut self) -> Result<Option<Vec<Wanted>>> {
        while self.ranges.front().is_some_and(|range| range.length == 0) {
            self.ranges.pop_front();
        }
        let Some(range) = self.ranges.front_mut() else {
            return Ok(None);
        };
        let db = &self.contents.db;
        let (mut begins, mut pieces) = db.pieces(self.content, range.offset, LOOKED_UP).await?;
        let end = range.offset + range.length;
        pieces.truncate(covering(begins, end, &pieces));
        if pieces.is_empty() {
            return Err(Error::new(Kind::DataLoss, "a list of chunks is shorter than its content"));
        }
        let states = db.chunk_states(pieces.iter().map(|piece| piece.hash).collect()).await?;
        let mut found = Vec::with_capacity(pieces.len());
        for (piece, state) in pieces.into_iter().zip(states) {
            let next = begins + u64::from(piece.length);
            found.push(Wanted {
                hash: piece.hash,
                place: place(piece.hash, Some(state))?,
                from: within(range.offset.saturating_sub(begins)),
                to: within(end.min(next) - begins),
            });
            begins = next;
        }
        let reached = begins.min(end);
        *range = ByteRange { offset: reached, length: end - reached };
        Ok(Some(found))
    }
}

/// How many of these chunks begin before `end`.
fn covering(mut begins: u64, end: u64, pieces: &[Piece]) -> usize {
    pieces
        .iter()
        .take_while(|piece| {
            let before = begins < end;
            begins += u64::from(piece.length);
            before
        })
        .count()
}

/// A place inside one chunk, which is at most 4 MiB long.
fn within(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
