//! Brings contents here. Chunks come by several calls at once; each is verified before anybody sees it, and
//! all of them together, in order, against the content's digest. In a file each is written as soon as it is
//! verified, so that it is there when this is run again. What is in memory is bounded by one budget for all
//! contents that are on their way.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use depot_proto::files::{ByteRange, ReadChunksRequest};
use futures_util::stream::{self, Stream, StreamExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::block_in_place;
use tokio_util::task::AbortOnDropHandle;

use super::chunk::{ChunkRef, Digest};
use super::fill::joined;
use super::manifest::{self, Wanted};
use super::sparse::Zeros;
use super::whole::{Sink, Whole, kept};
use crate::connect::{Patience, Session};
use crate::error::{Error, Result};
use crate::output::Progress;

/// Bytes that have arrived, or are asked for, and are not hashed as a whole yet.
const BUDGET_BYTES: usize = 64 << 20;

/// Bytes that one call asks for.
const SEGMENT_BYTES: u64 = 4 << 20;

/// Calls that a content may be ahead of what is hashed of it.
const SEGMENTS_AHEAD: usize = 16;

/// A content up to this size comes by one call, without its list of chunks, and is verified as a whole.
pub(super) const SMALL_BYTES: u64 = 1 << 20;

/// Fetches contents within one budget of memory.
#[derive(Clone)]
pub(crate) struct Downloads {
    session: Session,
    /// In KiB.
    budget: Arc<Semaphore>,
}

/// A chunk and where it stands in its content.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) chunk: ChunkRef,
}

/// A chunk that is what its hash says.
struct Verified {
    offset: u64,
    length: u64,
    pieces: Vec<Bytes>,
}

/// The verified chunks of one call, and the room they take.
struct Segment {
    chunks: Vec<Verified>,
    _room: Room,
}

/// A part of the budget, until nobody needs what it is for.
pub(super) type Room = Arc<OwnedSemaphorePermit>;

impl Downloads {
    pub(crate) fn new(session: &Session) -> Self {
        let budget = Arc::new(Semaphore::new(BUDGET_BYTES / 1024));
        Self { session: session.clone(), budget }
    }

    /// Writes a content to a file that may hold parts of it from an earlier try; the bytes received.
    pub(crate) async fn to_file(
        &self,
        wanted: &Wanted,
        into: Target<'_>,
        progress: &Progress,
    ) -> Result<u64> {
        let failed = |error: io::Error| into.failed(&error);
        if wanted.size <= SMALL_BYTES {
            let content = self.small(wanted).await?;
            into.file.set_len(0).map_err(failed)?;
            into.file.write_all_at(&content, 0).map_err(failed)?;
            progress.add(wanted.size);
            return Ok(wanted.size);
        }
        let places = places(&manifest::read(&self.session, wanted).await?);
        let left = into.is_resumed.then_some(into.file);
        let (zeros, missing) = block_in_place(|| absent(&places, left));
        let received = length(&missing);
        progress.add(wanted.size - received);
        let mut whole = Whole::new(into, &zeros);
        let (sink, writing) = Sink::start(into).map_err(failed)?;
        let hashed = async {
            let mut segments = pin!(self.segments(wanted, missing, Some(sink)));
            while let Some(segment) = segments.next().await {
                let segment = segment?;
                let mut chunks = segment.chunks.iter();
                block_in_place(|| {
                    chunks.try_for_each(|chunk| whole.hash(chunk.offset, &chunk.pieces))
                })
                .map_err(failed)?;
                progress.add(segment.chunks.iter().map(|chunk| chunk.length).sum());
            }
            Ok(())
        };
        let hashed: Result<()> = hashed.await;
        // Where writing failed, that is why nothing more came.
        writing
            .await
            .map_err(|error| Error::io("go on", &io::Error::other(error)))?
            .map_err(failed)?;
        hashed?;
        let digest = block_in_place(|| whole.end(wanted.size)).map_err(failed)?;
        is_whole(wanted, digest)?;
        Ok(received)
    }

    /// The bytes that `to_file` would receive, where `left` is what an earlier try left.
    pub(crate) async fn received(&self, wanted: &Wanted, left: Option<&File>) -> Result<u64> {
        let places = places(&manifest::read(&self.session, wanted).await?);
        Ok(block_in_place(|| length(&absent(&places, left).1)))
    }

    /// Hands a content, or a part of it, to `each`, in order.
    pub(crate) async fn in_order(
        &self,
        wanted: &Wanted,
        part: Range<u64>,
        mut each: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        if wanted.size <= SMALL_BYTES {
            let content = self.small(wanted).await?;
            let part = part.start as usize..part.end as usize;
            return block_in_place(|| each(&content[part]));
        }
        let is_all = part == (0..wanted.size);
        let touched = |place: &Place| place.offset < part.end && place.end() > part.start;
        let places = places(&manifest::read(&self.session, wanted).await?);
        let places = places.into_iter().filter(touched).collect();
        let mut hasher = blake3::Hasher::new();
        let mut segments = pin!(self.segments(wanted, places, None));
        while let Some(segment) = segments.next().await {
            let segment = segment?;
            block_in_place(|| -> Result<()> {
                for chunk in &segment.chunks {
                    let mut at = chunk.offset;
                    for piece in &chunk.pieces {
                        if is_all {
                            hasher.update(piece);
                        }
                        let inner = overlap(at, piece.len(), &part);
                        each(&piece[inner])?;
                        at += piece.len() as u64;
                    }
                }
                Ok(())
            })?;
        }
        match is_all {
            true => is_whole(wanted, hasher.finalize().into()),
            false => Ok(()),
        }
    }

    /// All of a small content, verified.
    pub(crate) async fn small(&self, wanted: &Wanted) -> Result<Bytes> {
        if wanted.size == 0 {
            return Ok(Bytes::new());
        }
        let length = wanted.size as u32;
        let place = Place { offset: 0, chunk: ChunkRef { length, hash: wanted.digest } };
        let chunks = fetch(self.session.clone(), wanted.clone(), vec![place], None).await?;
        let mut pieces = chunks.into_iter().flat_map(|chunk| chunk.pieces);
        let first = pieces.next().unwrap_or_default();
        match pieces.next() {
            None => Ok(first),
            Some(second) => {
                let mut content = first.to_vec();
                content.extend_from_slice(&second);
                pieces.for_each(|piece| content.extend_from_slice(&piece));
                Ok(content.into())
            }
        }
    }

    /// The chunks at `places`, a segment at a time and in order, while the next ones are on their way.
    /// Room is taken in order too: the segment that is waited for always has its own.
    fn segments(
        &self,
        wanted: &Wanted,
        places: Vec<Place>,
        sink: Option<Sink>,
    ) -> impl Stream<Item = Result<Segment>> + use<> {
        let (session, wanted, budget) = (self.session.clone(), wanted.clone(), self.budget.clone());
        stream::iter(split(places, session.stride(SEGMENT_BYTES)))
            .then(move |places| {
                let budget = budget.clone();
                async move {
                    let bytes: usize = places.iter().map(|place| place.chunk.length as usize).sum();
                    let room = bytes.div_ceil(1024).min(BUDGET_BYTES / 1024) as u32;
                    (places, budget.acquire_many_owned(room).await)
                }
            })
            .map(move |(places, room)| {
                let (session, wanted, sink) = (session.clone(), wanted.clone(), sink.clone());
                let task = tokio::spawn(async move {
                    let closed = |_| Error::io("go on", &io::Error::other("the budget is gone"));
                    let room = Arc::new(room.map_err(closed)?);
                    let sink = sink.map(|sink| (sink, room.clone()));
                    let chunks = fetch(session, wanted, places, sink.as_ref()).await?;
                    Ok(Segment { chunks, _room: room })
                });
                let task = AbortOnDropHandle::new(task);
                async move { joined(task.await) }
            })
            .buffered(SEGMENTS_AHEAD)
    }
}

/// A file that a content is written to.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) file: &'a File,
    /// For messages.
    pub(crate) path: &'a Path,
    /// Whether it may hold bytes of an earlier try.
    pub(crate) is_resumed: bool,
}

impl Target<'_> {
    fn failed(&self, error: &io::Error) -> Error {
        let error = Error::file("write", self.path, error);
        let message = format!("{}; what has arrived is kept, run it again", error.message());
        error.with_message(message)
    }
}

impl Place {
    pub(super) fn end(&self) -> u64 {
        self.offset + u64::from(self.chunk.length)
    }
}

pub(super) fn places(chunks: &[ChunkRef]) -> Vec<Place> {
    let mut offset = 0;
    let place = |chunk: &ChunkRef| {
        let place = Place { offset, chunk: *chunk };
        offset = place.end();
        place
    };
    chunks.iter().map(place).collect()
}

/// What does not stand in a file yet: the places of zeros, and those of all other chunks.
fn absent(places: &[Place], left: Option<&File>) -> (Vec<Place>, Vec<Place>) {
    let zeros = zeros(places);
    let kept = left.map_or_else(|| vec![false; places.len()], |file| kept(file, places));
    let absent = places.iter().zip(&kept).filter(|(_, kept)| !**kept).map(|(place, _)| *place);
    absent.partition(|place| zeros.contains(&place.chunk.hash))
}

fn length(places: &[Place]) -> u64 {
    places.iter().map(|place| u64::from(place.chunk.length)).sum()
}

/// The chunks of these that are nothing but zeros. Two side by side are alike, or a single one is as long as
/// chunks get: of others it is not worth hashing as many zeros.
fn zeros(places: &[Place]) -> HashSet<Digest> {
    let mut zeros = Zeros::default();
    let longest = places.iter().map(|place| place.chunk.length).max();
    let is_worth_it = |at: usize| {
        let next = places.get(at + 1);
        let chunk = places[at].chunk;
        let is_alike = next.is_some_and(|next| next.chunk.hash == chunk.hash);
        is_alike || Some(chunk.length) == longest
    };
    let worth_it: HashSet<ChunkRef> =
        (0..places.len()).filter(|&at| is_worth_it(at)).map(|at| places[at].chunk).collect();
    let is_zero = |chunk: &ChunkRef| zeros.digest(chunk.length as usize) == chunk.hash;
    worth_it.into_iter().filter(is_zero).map(|chunk| chunk.hash).collect()
}

/// Groups chunks so that a call has enough to do.
fn split(places: Vec<Place>, bytes_max: u64) -> Vec<Vec<Place>> {
    let mut segments: Vec<Vec<Place>> = Vec::new();
    let mut bytes = 0;
    for place in places {
        let length = u64::from(place.chunk.length);
        match segments.last_mut() {
            Some(segment) if bytes + length <= bytes_max => segment.push(place),
            _ => {
                bytes = 0;
                segments.push(vec![place]);
            }
        }
        bytes += length;
    }
    segments
}

/// Gets all of `places`, going on after a cut with what is still missing.
async fn fetch(
    session: Session,
    wanted: Wanted,
    places: Vec<Place>,
    sink: Option<&(Sink, Room)>,
) -> Result<Vec<Verified>> {
    let mut patience = session.patience();
    let mut got = Vec::with_capacity(places.len());
    while got.len() < places.len() {
        let before = got.len();
        let done = attempt(&session, &wanted, &places[before..], (&mut got, sink)).await;
        if got.len() > before {
            patience.progressed();
        }
        recover(&session, done, &mut patience).await?;
    }
    Ok(got)
}

async fn recover(session: &Session, done: Result<()>, patience: &mut Patience) -> Result<()> {
    match done {
        Ok(()) => Ok(()),
        Err(error) => session.recover(error, patience).await,
    }
}

async fn attempt(
    session: &Session,
    wanted: &Wanted,
    places: &[Place],
    (got, sink): (&mut Vec<Verified>, Option<&(Sink, Room)>),
) -> Result<()> {
    let request = ReadChunksRequest { source: Some(wanted.source.clone()), ranges: ranges(places) };
    session.paced(length(places)).await;
    let mut answer = session.bulk().read_chunks(request).await?.into_inner();
    let mut places = places.iter();
    let mut current = places.next().map(Incoming::new);
    while let Some(part) = answer.message().await? {
        let mut data = part.data;
        while !data.is_empty() {
            let Some(incoming) = &mut current else {
                return Err(Error::bad_answer("the server sent more than it was asked for"));
            };
            let taken = data.split_to(data.len().min(incoming.missing));
            if let Some(verified) = incoming.add(taken)? {
                if let Some((sink, room)) = sink {
                    sink.take(verified.offset, verified.pieces.clone(), room.clone())?;
                }
                got.push(verified);
                current = places.next().map(Incoming::new);
            }
        }
    }
    match current {
        None => Ok(()),
        Some(_) => Err(Error::cut("the data has no end")),
    }
}

/// Chunks side by side are one range.
fn ranges(places: &[Place]) -> Vec<ByteRange> {
    let mut ranges: Vec<ByteRange> = Vec::new();
    for place in places {
        let length = u64::from(place.chunk.length);
        match ranges.last_mut() {
            Some(last) if last.offset + last.length == place.offset => last.length += length,
            _ => ranges.push(ByteRange { offset: place.offset, length }),
        }
    }
    ranges
}

/// A chunk that is arriving; hashed as it does, while its bytes are at hand.
struct Incoming {
    place: Place,
    missing: usize,
    hasher: blake3::Hasher,
    pieces: Vec<Bytes>,
}

impl Incoming {
    fn new(place: &Place) -> Self {
        let missing = place.chunk.length as usize;
        Self { place: *place, missing, hasher: blake3::Hasher::new(), pieces: Vec::new() }
    }

    fn add(&mut self, piece: Bytes) -> Result<Option<Verified>> {
        self.hasher.update(&piece);
        self.missing -= piece.len();
        self.pieces.push(piece);
        if self.missing > 0 {
            return Ok(None);
        }
        if Digest::from(self.hasher.finalize()) != self.place.chunk.hash {
            return Err(Error::data_loss(
                "the server sent bytes that are not what their hash says",
            ));
        }
        Ok(Some(Verified {
            offset: self.place.offset,
            length: u64::from(self.place.chunk.length),
            pieces: std::mem::take(&mut self.pieces),
        }))
    }
}

/// What of a piece at `at` is inside `part`.
fn overlap(at: u64, length: usize, part: &Range<u64>) -> Range<usize> {
    let length = length as u64;
    let start = part.start.saturating_sub(at).min(length);
    let end = part.end.saturating_sub(at).min(length);
    start as usize..end.max(start) as usize
}

fn is_whole(wanted: &Wanted, digest: Digest) -> Result<()> {
    match digest == wanted.digest {
        true => Ok(()),
        false => Err(Error::data_loss(format!(
            "the content is not the one that was stored: its BLAKE3 is {}, not {}",
            digest.to_hex(),
            wanted.digest.to_hex()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::{ChunkRef, Digest, Incoming, SEGMENT_BYTES, overlap, places, ranges, split, zeros};

    fn chunk(content: &[u8]) -> ChunkRef {
        ChunkRef { length: content.len() as u32, hash: Digest::from(blake3::hash(content)) }
    }

    fn sized(lengths: &[u64]) -> Vec<ChunkRef> {
        let hash = Digest::from(blake3::hash(b""));
        lengths.iter().map(|&length| ChunkRef { length: length as u32, hash }).collect()
    }

    #[test]
    fn calls_are_of_a_good_size_and_miss_nothing() {
        let half = SEGMENT_BYTES / 2;
        let segments = split(places(&sized(&[half, half, 1, half * 3, 5, half])), SEGMENT_BYTES);
        let lengths: Vec<usize> = segments.iter().map(Vec::len).collect();
        assert_eq!(lengths, [2, 1, 1, 2]);
        assert!(split(Vec::new(), SEGMENT_BYTES).is_empty());
    }

    #[test]
    fn neighbours_are_one_range() {
        let mut places = places(&sized(&[10, 20, 30, 40]));
        places.remove(2);
        let ranges: Vec<_> = ranges(&places).iter().map(|r| (r.offset, r.length)).collect();
        assert_eq!(ranges, [(0, 30), (60, 40)]);
    }

    #[test]
    fn a_chunk_is_believed_only_when_it_is_what_its_hash_says() {
        let place = &places(&[chunk(b"hello")])[0];
        let mut good = Incoming::new(place);
        assert!(good.add("hel".into()).unwrap().is_none());
        assert!(good.add("lo".into()).unwrap().is_some());
        assert!(Incoming::new(place).add("hullo".into()).is_err());
    }

    #[test]
    fn a_run_of_zeros_is_known_without_its_bytes() {
        let (none, data) = (chunk(&[0; 500]), chunk(&[7; 500]));
        let found = |chunks: &[ChunkRef]| zeros(&places(chunks)).len();
        assert_eq!(found(&[data, none, none, chunk(b"end")]), 1);
        assert_eq!(found(&[data, none, data]), 1, "it is as long as chunks get");
        assert_eq!(found(&[data, data, chunk(&[1; 501])]), 0);
        assert_eq!(found(&[]), 0);
    }

    #[test]
    fn a_part_is_cut_out_of_its_pieces() {
        assert_eq!(overlap(0, 10, &(3..7)), 3..7);
        assert_eq!(overlap(5, 10, &(3..7)), 0..2);
        assert_eq!(overlap(10, 10, &(3..7)), 0..0);
        assert_eq!(overlap(0, 2, &(3..7)), 2..2);
    }
}
