//! Reads a pack's records one after the other and checks every one of them, in memory that is bounded
//! by the longest chunk whatever the file says.

use std::os::fd::BorrowedFd;

use rustix::buffer::spare_capacity;
use rustix::io::{Errno, Result, pread};

use super::record::{BadHead, Entry, HEAD_BYTES, Head, parse_head};
use crate::chunks::{Found, Record};
use crate::model::{ChunkHash, ChunkPlace, PackId};

/// Bytes that are read at once where records are small.
const WINDOW_BYTES: usize = 256 << 10;

/// A place in a pack that moves from record to record.
pub(super) struct Walk<'a> {
    file: BorrowedFd<'a>,
    pack: PackId,
    offset: u64,
    end: u64,
    window: Vec<u8>,
    window_offset: u64,
}

/// What the walk came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A chunk, good or damaged; the walk is past it.
    Chunk(Record),
    /// Padding; the walk is past it.
    Padding,
    /// The footer; the walk stays before it.
    Footer,
    /// Something that cannot be stepped over; the walk stays before it.
    Stuck(BadHead),
    /// Nothing more.
    End,
}

impl<'a> Walk<'a> {
    /// A walk over the bytes from `offset` to `end`.
    pub(super) fn new(file: BorrowedFd<'a>, pack: PackId, offset: u64, end: u64) -> Self {
        Self { file, pack, offset, end, window: Vec::new(), window_offset: offset }
    }

    /// First byte of what comes next.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next record.
    pub(super) fn step(&mut self) -> Result<Step> {
        let (offset, pack) = (self.offset, self.pack);
        if offset >= self.end {
            return Ok(Step::End);
        }
        let Some(bytes) = self.fetch(HEAD_BYTES)? else {
            return Ok(Step::Stuck(BadHead::NotOne));
        };
        let mut head: Head = [0; HEAD_BYTES];
        head.copy_from_slice(bytes);
        let (hash, length) = match parse_head(&head, pack, offset) {
            Ok(Entry::Chunk { hash, length }) => (hash, length),
            Ok(Entry::Footer) => return Ok(Step::Footer),
            Ok(Entry::Padding { length }) => return self.skip(HEAD_BYTES + length as usize),
            Err(bad) => return Ok(Step::Stuck(bad)),
        };
        let record_bytes = HEAD_BYTES + length as usize;
        let Some(bytes) = self.fetch(record_bytes)? else {
            return Ok(Step::Stuck(BadHead::NotOne));
        };
        let good = ChunkHash::of(&bytes[HEAD_BYTES..]) == hash;
        let found = Found { hash, place: ChunkPlace { pack, offset, length } };
        self.offset += record_bytes as u64;
        Ok(Step::Chunk(if good { Record::Good(found) } else { Record::Damaged(found) }))
    }

    /// Moves past padding that is there to its end.
    fn skip(&mut self, bytes: usize) -> Result<Step> {
        if self.fetch(bytes)?.is_none() {
            return Ok(Step::Stuck(BadHead::NotOne));
        }
        self.offset += bytes as u64;
        Ok(Step::Padding)
    }

    /// So many bytes from here on; `None` if the pack ends before.
    fn fetch(&mut self, length: usize) -> Result<Option<&[u8]>> {
        if self.end - self.offset < length as u64 {
            return Ok(None);
        }
        let passed = (self.offset - self.window_offset) as usize;
        if self.window.len() < passed + length && !self.refill(passed, length)? {
            return Ok(None);
        }
        let start = (self.offset - self.window_offset) as usize;
        Ok(Some(&self.window[start..start + length]))
    }

    /// Moves the window up to here and reads on until it holds `length` bytes.
    fn refill(&mut self, passed: usize, length: usize) -> Result<bool> {
        self.window.drain(..passed.min(self.window.len()));
        self.window_offset = self.offset;
        let wanted = length.max(WINDOW_BYTES);
        self.window.reserve_exact(wanted - self.window.len());
        while self.window.len() < length {
            let offset = self.window_offset + self.window.len() as u64;
            match pread(self.file, spare_capacity(&mut self.window), offset) {
                Ok(0) => return Ok(false),
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(true)
    }
}
