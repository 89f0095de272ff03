//! Names chunks by their BLAKE3 and contents by that of all their bytes, on a thread of its own. A
//! content of one chunk is hashed once.

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use bytes::Bytes;
use tokio::sync::mpsc::Sender;

use super::chunk::{ChunkRef, Digest};
use super::cut::Cutter;
use super::index::Recorder;
use super::read::{Batch, Event, Whole};
use super::seen::Seen;
use super::sparse::{Zeros, is_zero};
use crate::error::Error;

/// A chunk and its bytes: a part of a buffer that it keeps from being used again.
#[derive(Clone)]
pub(super) struct Chunk {
    pub(super) hash: Digest,
    pub(super) buffer: Bytes,
    pub(super) range: Range<usize>,
    /// The slot of the file it was read for.
    pub(super) slot: usize,
}

impl Chunk {
    pub(super) fn length(&self) -> usize {
        self.range.len()
    }
}

/// What reading a file came to.
pub(crate) enum Outcome {
    Read(Content),
    Failed(Error),
}

/// A content as it was read.
pub(crate) struct Content {
    pub(crate) seen: Seen,
    pub(crate) digest: Digest,
    /// Its chunks in order, 36 bytes each.
    pub(crate) chunks: Vec<u8>,
}

/// The content that is being read.
#[derive(Default)]
struct Current {
    chunks: Vec<u8>,
    /// The first chunk, whose hash is the content's while it is the only one.
    first: Option<(Digest, Bytes)>,
    whole: Option<blake3::Hasher>,
}

/// Who keeps the contents that were read, and how they were cut.
pub(super) type Keeping = (Arc<Recorder>, Cutter);

/// Completes what became of each slot, until there are no more batches or nobody wants the chunks.
pub(super) fn run(
    batches: &Receiver<Batch>,
    chunks: &Sender<Chunk>,
    mut outcomes: Vec<Option<Outcome>>,
    keeping: Option<&Keeping>,
) -> Vec<Option<Outcome>> {
    let mut current = Current::default();
    let mut zeros = Zeros::default();
    for batch in batches {
        for (slot, event) in batch.events {
            match event {
                Event::Chunk(range) => {
                    let hash = current.add(&batch.buffer.slice(range.clone()), &mut zeros);
                    let chunk = Chunk { hash, buffer: batch.buffer.clone(), range, slot };
                    if chunks.blocking_send(chunk).is_err() {
                        return outcomes;
                    }
                }
                Event::End(Whole { seen, is_settled }) => {
                    let content = current.end(seen);
                    if let Some((recorder, cutter)) = keeping.filter(|_| is_settled) {
                        recorder.cut(&seen, (content.digest, &content.chunks), cutter);
                    }
                    outcomes[slot] = Some(Outcome::Read(content));
                }
                Event::Again => current = Current::default(),
                Event::Failed(error) => {
                    current = Current::default();
                    outcomes[slot] = Some(Outcome::Failed(error));
                }
            }
        }
    }
    outcomes
}

impl Current {
    fn add(&mut self, bytes: &Bytes, zeros: &mut Zeros) -> Digest {
        // Those of a hole are all alike.
        let hash = match is_zero(bytes) {
            true => zeros.digest(bytes.len()),
            false => Digest::from(blake3::hash(bytes)),
        };
        match (&self.first, &mut self.whole) {
            (None, _) => self.first = Some((hash, bytes.clone())),
            (Some(_), Some(whole)) => {
                whole.update(bytes);
            }
            (Some((first, first_bytes)), none) => {
                let whole = none.insert(blake3::Hasher::new());
                whole.update(first_bytes).update(bytes);
                self.first = Some((*first, Bytes::new()));
            }
        }
        ChunkRef { length: bytes.len() as u32, hash }.append_to(&mut self.chunks);
        hash
    }

    fn end(&mut self, seen: Seen) -> Content {
        let ended = std::mem::take(self);
        let digest = match (ended.whole, ended.first) {
            (Some(whole), _) => whole.finalize().into(),
            (None, Some((only, _))) => only,
            (None, None) => blake3::hash(b"").into(),
        };
        Content { seen, digest, chunks: ended.chunks }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;
    use std::thread;

    use depot_proto::auth::Chunker;
    use tempfile::TempDir;

    use super::{Chunk, Outcome, run};
    use crate::transfer::buffers::Pool;
    use crate::transfer::cut::Cutter;
    use crate::transfer::read::{Input, Job, Reader};

    fn read(jobs: Vec<Job>) -> (Vec<Outcome>, Vec<(usize, Vec<u8>)>) {
        let cutter = Cutter::of(Some(&Chunker {
            algorithm: "fastcdc2020".into(),
            chunk_bytes_min: 256,
            chunk_bytes_avg: 1024,
            chunk_bytes_max: 4096,
        }))
        .unwrap();
        let (batches, batches_in) = sync_channel(2);
        let (chunks, mut chunks_in) = tokio::sync::mpsc::channel::<Chunk>(4);
        let slots = jobs.len();
        let reader = Reader::new(Pool::new(3, 8192), cutter, batches);
        let reading = thread::spawn(move || reader.run(jobs.into_iter()));
        let hashing = thread::spawn(move || {
            run(&batches_in, &chunks, (0..slots).map(|_| None).collect(), None)
        });
        let mut seen = Vec::new();
        while let Some(chunk) = chunks_in.blocking_recv() {
            let bytes = &chunk.buffer[chunk.range.clone()];
            assert_eq!(chunk.hash.as_bytes(), blake3::hash(bytes).as_bytes());
            seen.push((chunk.slot, bytes.to_vec()));
        }
        reading.join().unwrap();
        let outcomes = hashing.join().unwrap();
        (outcomes.into_iter().map(Option::unwrap).collect(), seen)
    }

    #[test]
    fn files_of_every_size_come_out_as_they_went_in() {
        let dir = TempDir::new().unwrap();
        let sizes = [0, 1, 255, 256, 257, 4096, 8191, 8192, 8193, 100_000, 0, 3];
        let contents: Vec<Vec<u8>> = sizes
            .iter()
            .map(|&size: &usize| (0..size).map(|i| (i * i / 7) as u8).collect())
            .collect();
        let jobs = contents.iter().enumerate().map(|(slot, content)| {
            let path = dir.path().join(slot.to_string());
            std::fs::write(&path, content).unwrap();
            Job { slot, input: Input::File(path) }
        });
        let (outcomes, chunks) = read(jobs.collect());
        for (slot, content) in contents.iter().enumerate() {
            let Outcome::Read(read) = &outcomes[slot] else { panic!("slot {slot}") };
            assert_eq!(read.digest.as_bytes(), blake3::hash(content).as_bytes(), "slot {slot}");
            assert_eq!(read.seen.size, content.len() as u64);
            let whole: Vec<u8> = chunks
                .iter()
                .filter(|(of, _)| *of == slot)
                .flat_map(|(_, bytes)| bytes.clone())
                .collect();
            assert!(whole == *content, "slot {slot}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_and_the_rest_goes_on() {
        let dir = TempDir::new().unwrap();
        let (good, link) = (dir.path().join("good"), dir.path().join("link"));
        std::fs::write(&good, b"x").unwrap();
        std::os::unix::fs::symlink(&good, &link).unwrap();
        let jobs = vec![
            Job { slot: 0, input: Input::File(dir.path().join("absent")) },
            Job { slot: 1, input: Input::File(link.clone()) },
            Job { slot: 2, input: Input::File(dir.path().to_owned()) },
            Job { slot: 3, input: Input::Named(link) },
            Job { slot: 4, input: Input::Stream(Box::new(&b"piped"[..])) },
        ];
        let (outcomes, _) = read(jobs);
        let good: Vec<bool> =
            outcomes.iter().map(|outcome| matches!(outcome, Outcome::Read(_))).collect();
        assert_eq!(good, [false, false, false, true, true]);
    }
}
