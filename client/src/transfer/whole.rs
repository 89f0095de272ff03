//! A file that a content is written to, and the digest of all of it as it stands there: what an earlier try
//! left is read again, and runs of zeros need not come.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::mpsc::{Sender, channel};

use bytes::Bytes;
use tokio::task::{JoinHandle, spawn_blocking};

use super::chunk::Digest;
use super::download::{Place, Room, Target};
use super::sparse::{for_each_zero, write_around_zeros};
use crate::error::{Error, Result};

/// Takes chunks in whatever order they come, to be written one after the other on a thread of their own.
#[derive(Clone)]
pub(super) struct Sink(Sender<(u64, Vec<Bytes>, Room)>);

impl Sink {
    /// What it takes is bounded by the room that comes with it. The handle ends when all senders have, or with
    /// the first write that fails.
    pub(super) fn start(into: Target<'_>) -> io::Result<(Self, JoinHandle<io::Result<()>>)> {
        let (file, is_fresh) = (into.file.try_clone()?, !into.is_resumed);
        let (sender, taken) = channel::<(u64, Vec<Bytes>, Room)>();
        let writing = spawn_blocking(move || {
            taken.into_iter().try_for_each(|(at, pieces, _)| write(&file, is_fresh, at, &pieces))
        });
        Ok((Self(sender), writing))
    }

    pub(super) fn take(&self, at: u64, pieces: Vec<Bytes>, room: Room) -> Result<()> {
        let stopped = |_| Error::io("go on", &io::Error::other("writing has stopped"));
        self.0.send((at, pieces, room)).map_err(stopped)
    }
}

fn write(file: &File, is_fresh: bool, mut at: u64, pieces: &[Bytes]) -> io::Result<()> {
    for piece in pieces {
        match is_fresh {
            true => write_around_zeros(file, piece, at)?,
            false => file.write_all_at(piece, at)?,
        }
        at += piece.len() as u64;
    }
    Ok(())
}

/// What of it is hashed, in order.
pub(super) struct Whole<'a> {
    file: &'a File,
    /// Whether nothing of an earlier try stands there: what is not written is a hole.
    is_fresh: bool,
    /// Where there are zeros that do not come.
    zeros: VecDeque<Range<u64>>,
    hasher: blake3::Hasher,
    /// Up to here.
    hashed: u64,
}

impl<'a> Whole<'a> {
    /// `zeros` are places in order; all others come, or stand there already.
    pub(super) fn new(into: Target<'a>, zeros: &[Place]) -> Self {
        Self {
            file: into.file,
            is_fresh: !into.is_resumed,
            zeros: zeros.iter().map(|place| place.offset..place.end()).collect(),
            hasher: blake3::Hasher::new(),
            hashed: 0,
        }
    }

    /// What came to a place after all that came before it, and is written.
    pub(super) fn hash(&mut self, offset: u64, pieces: &[Bytes]) -> io::Result<()> {
        self.catch_up(offset)?;
        for piece in pieces {
            self.hasher.update(piece);
            self.hashed += piece.len() as u64;
        }
        Ok(())
    }

    /// The digest of the file, which has `size` bytes.
    pub(super) fn end(mut self, size: u64) -> io::Result<Digest> {
        self.catch_up(size)?;
        self.file.set_len(size)?;
        Ok(self.hasher.finalize().into())
    }

    /// Hashes what does not come, up to `end`.
    fn catch_up(&mut self, end: u64) -> io::Result<()> {
        while self.hashed < end {
            match self.zeros.front() {
                Some(zeros) if zeros.start == self.hashed => {
                    let count = zeros.end - zeros.start;
                    self.zeros.pop_front();
                    self.zero(count)?;
                }
                next => {
                    let until = next.map_or(end, |zeros| zeros.start.min(end));
                    self.read_again(until)?;
                }
            }
        }
        Ok(())
    }

    fn zero(&mut self, count: u64) -> io::Result<()> {
        let Self { file, hasher, hashed, is_fresh, .. } = self;
        for_each_zero(count, |zeros| {
            if !*is_fresh {
                file.write_all_at(zeros, *hashed)?;
            }
            hasher.update(zeros);
            *hashed += zeros.len() as u64;
            Ok(())
        })
    }

    fn read_again(&mut self, end: u64) -> io::Result<()> {
        let mut buffer = vec![0; (end - self.hashed).min(1 << 20) as usize];
        while self.hashed < end {
            let length = (end - self.hashed).min(buffer.len() as u64) as usize;
            self.file.read_exact_at(&mut buffer[..length], self.hashed)?;
            self.hasher.update(&buffer[..length]);
            self.hashed += length as u64;
        }
        Ok(())
    }
}

/// Which chunks stand in the file already.
pub(super) fn kept(file: &File, places: &[Place]) -> Vec<bool> {
    let mut buffer = Vec::new();
    let mut is_kept = |place: &Place| {
        buffer.resize(place.chunk.length as usize, 0);
        let read = file.read_exact_at(&mut buffer, place.offset);
        read.is_ok() && Digest::from(blake3::hash(&buffer)) == place.chunk.hash
    };
    places.iter().map(&mut is_kept).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;
    use std::os::unix::fs::{FileExt as _, MetadataExt as _};
    use std::path::Path;

    use bytes::Bytes;

    use super::{Place, Target, Whole, kept, write};
    use crate::transfer::chunk::ChunkRef;
    use crate::transfer::download::places;

    fn chunk(content: &[u8]) -> ChunkRef {
        ChunkRef { length: content.len() as u32, hash: blake3::hash(content).into() }
    }

    fn target(file: &File, is_resumed: bool) -> Target<'_> {
        Target { file, path: Path::new(""), is_resumed }
    }

    #[test]
    fn what_an_earlier_try_left_is_used_as_far_as_it_is_right() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"aaXbbbcc").unwrap();
        let places = places(&[chunk(b"aaa"), chunk(b"bbb"), chunk(b"ccc")]);
        assert_eq!(kept(&file, &places), [false, true, false]);
    }

    #[test]
    fn zeros_that_do_not_come_are_there_and_take_no_room() {
        const PART: usize = 1 << 20;
        let parts: [&[u8]; 5] = [&[0; PART], &[7; PART], &[0; PART], &[0; PART], &[8; PART / 2]];
        let content = parts.concat();
        let places = places(&parts.map(chunk));
        let zeros: Vec<Place> = [0, 2, 3].map(|at| places[at]).to_vec();
        for is_resumed in [false, true] {
            let file = tempfile::tempfile().unwrap();
            if is_resumed {
                // The second part stands there, and something else everywhere else.
                file.write_all_at(&[9; 5 * PART], 0).unwrap();
                file.write_all_at(parts[1], PART as u64).unwrap();
            }
            let into = target(&file, is_resumed);
            let mut whole = Whole::new(into, &zeros);
            let mut comes = |at, pieces: &[Bytes]| {
                write(&file, !is_resumed, at, pieces).unwrap();
                whole.hash(at, pieces).unwrap();
            };
            if !is_resumed {
                let pieces =
                    [Bytes::from_static(&[7; 1000]), Bytes::from_static(&[7; PART - 1000])];
                comes(PART as u64, &pieces);
            }
            comes(4 * PART as u64, &[Bytes::from_static(&[8; PART / 2])]);
            let digest = whole.end(content.len() as u64).unwrap();
            assert_eq!(digest.as_bytes(), blake3::hash(&content).as_bytes());
            let mut written = vec![1; content.len()];
            file.read_exact_at(&mut written, 0).unwrap();
            assert!(written == content && file.metadata().unwrap().len() == content.len() as u64);
            let taken = file.metadata().unwrap().blocks() * 512;
            assert!(is_resumed || taken <= 2 * PART as u64, "{taken}");
        }
    }
}
