//! Reads files into buffers and cuts them into chunks, on a thread of its own. A file that changes while
//! it is read is read once more, and then given up: old and new bytes are never mixed.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;
use std::time::SystemTime;

use bytes::Bytes;
use rustix::fs::{Advice, OFlags, fadvise};

use super::buffers::{Buffer, Pool};
use super::cut::{Cutter, Scan};
use super::seen::Seen;
use super::sparse::Holey;
use crate::app::now;
use crate::error::{Error, Result};

/// A batch is passed on when this many things have happened in it, however few bytes they are.
const EVENTS_MAX: usize = 1024;

/// Something to read.
pub(crate) struct Job {
    /// Where its outcome goes.
    pub(crate) slot: usize,
    pub(crate) input: Input,
}

/// Where the bytes come from.
pub(crate) enum Input {
    /// A file of a tree: a symlink that stands there by now is not followed.
    File(PathBuf),
    /// A file that was named by a person, who may have named a symlink.
    Named(PathBuf),
    /// A pipe or a device, which can be read only once.
    Pipe(PathBuf),
    /// Stdin, or anything else that is open already.
    Stream(Box<dyn Read + Send>),
}

/// What happened to the file of a slot, in order.
pub(super) enum Event {
    /// These bytes of the buffer are its next chunk.
    Chunk(Range<usize>),
    /// It has been read as a whole.
    End(Whole),
    /// Its chunks so far do not count: it changed and is read again.
    Again,
    /// It is left out.
    Failed(Error),
}

/// A file as it was while it was read.
pub(super) struct Whole {
    pub(super) seen: Seen,
    /// Whether any later change will show in what is seen of it.
    pub(super) is_settled: bool,
}

/// A buffer and what is in it.
pub(super) struct Batch {
    pub(super) buffer: Bytes,
    pub(super) events: Vec<(usize, Event)>,
}

/// Nobody wants the rest.
struct Stopped;

enum Trouble {
    Changed,
    Io(io::Error),
}

/// Reads one job after the other.
pub(super) struct Reader {
    pool: Pool,
    cutter: Cutter,
    out: SyncSender<Batch>,
    buffer: Option<Buffer>,
    /// Bytes in the buffer, and where those begin that are not cut yet.
    filled: usize,
    start: usize,
    scan: Scan,
    events: Vec<(usize, Event)>,
}

impl Reader {
    pub(super) fn new(pool: Pool, cutter: Cutter, out: SyncSender<Batch>) -> Self {
        let (scan, events) = (Scan::default(), Vec::new());
        Self { pool, cutter, out, buffer: None, filled: 0, start: 0, scan, events }
    }

    /// Returns when all has been read, or nobody wants it any more.
    pub(super) fn run(mut self, jobs: impl Iterator<Item = Job>) {
        for job in jobs {
            let read = match job.input {
                Input::File(path) => self.file(job.slot, &path, false),
                Input::Named(path) => self.file(job.slot, &path, true),
                Input::Pipe(path) => match File::open(&path) {
                    Ok(pipe) => self.stream(job.slot, Box::new(pipe)),
                    Err(error) => {
                        self.push(job.slot, Event::Failed(Error::file("read", &path, &error)))
                    }
                },
                Input::Stream(stream) => self.stream(job.slot, stream),
            };
            if read.is_err() {
                return;
            }
        }
        let _ = self.pass_on();
    }

    fn file(&mut self, slot: usize, path: &Path, follows: bool) -> Result<(), Stopped> {
        for is_last_try in [false, true] {
            let event = match self.attempt(slot, path, follows)? {
                Ok(whole) => Event::End(whole),
                Err(Trouble::Changed) if !is_last_try => Event::Again,
                Err(Trouble::Changed) => {
                    let shown = path.display();
                    let message =
                        format!("{shown} changed twice while it was read; it is left out");
                    Event::Failed(Error::partial(message).at(shown.to_string()))
                }
                Err(Trouble::Io(error)) => Event::Failed(Error::file("read", path, &error)),
            };
            let is_again = matches!(event, Event::Again);
            self.push(slot, event)?;
            if !is_again {
                break;
            }
        }
        Ok(())
    }

    fn attempt(
        &mut self,
        slot: usize,
        path: &Path,
        follows: bool,
    ) -> Result<Result<Whole, Trouble>, Stopped> {
        let (file, metadata) = match open(path, follows) {
            Ok(opened) => opened,
            Err(error) => return Ok(Err(Trouble::Io(error))),
        };
        let seen = Seen::of(&metadata);
        let whole = Whole { seen, is_settled: seen.is_settled(SystemTime::now()) };
        let read = match self.content(slot, &mut Holey::new(&file, &metadata))? {
            Ok(read) => read,
            Err(error) => return Ok(Err(Trouble::Io(error))),
        };
        Ok(match file.metadata() {
            Ok(after) if Seen::of(&after) == whole.seen && read == whole.seen.size => Ok(whole),
            Ok(_) => Err(Trouble::Changed),
            Err(error) => Err(Trouble::Io(error)),
        })
    }

    fn stream(&mut self, slot: usize, mut stream: Box<dyn Read + Send>) -> Result<(), Stopped> {
        let event = match self.content(slot, &mut stream)? {
            Ok(size) => {
                let seen = Seen { size, modified: (now(), 0), mode: 0o644, ..Seen::default() };
                Event::End(Whole { seen, is_settled: false })
            }
            Err(error) => Event::Failed(Error::io("read the input", &error)),
        };
        self.push(slot, event)
    }

    /// Cuts all that `from` has; how many bytes that were.
    fn content(&mut self, slot: usize, from: &mut impl Read) -> Result<io::Result<u64>, Stopped> {
        (self.start, self.scan) = (self.filled, Scan::default());
        let mut total = 0;
        loop {
            let read = match self.fill(from)? {
                Ok(read) => read,
                Err(error) => {
                    self.start = self.filled;
                    return Ok(Err(error));
                }
            };
            total += read as u64;
            self.cut(slot, read == 0)?;
            if read == 0 {
                return Ok(Ok(total));
            }
        }
    }

    /// One read into the room that is left.
    fn fill(&mut self, from: &mut impl Read) -> Result<io::Result<usize>, Stopped> {
        if self.buffer.as_mut().is_some_and(|buffer| self.filled == buffer.as_mut().len()) {
            self.pass_on()?;
        }
        let buffer = match &mut self.buffer {
            Some(buffer) => buffer,
            none => none.insert(self.pool.take().ok_or(Stopped)?),
        };
        loop {
            match from.read(&mut buffer.as_mut()[self.filled..]) {
                Ok(read) => {
                    self.filled += read;
                    return Ok(Ok(read));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    fn cut(&mut self, slot: usize, is_end: bool) -> Result<(), Stopped> {
        while let Some(buffer) = &self.buffer {
            let window = &buffer.as_ref()[self.start..self.filled];
            let Some(length) = self.cutter.cut(&mut self.scan, window, is_end) else {
                break;
            };
            let range = self.start..self.start + length;
            self.start = range.end;
            self.push(slot, Event::Chunk(range))?;
        }
        Ok(())
    }

    fn push(&mut self, slot: usize, event: Event) -> Result<(), Stopped> {
        if matches!(event, Event::Failed(_) | Event::Again) {
            self.start = self.filled;
        }
        self.events.push((slot, event));
        match self.events.len() < EVENTS_MAX {
            true => Ok(()),
            false => self.pass_on(),
        }
    }

    /// Hands the buffer over. What is not cut yet goes to the head of the next one.
    fn pass_on(&mut self) -> Result<(), Stopped> {
        let events = std::mem::take(&mut self.events);
        let rest = self.start..self.filled;
        (self.start, self.filled) = (0, rest.len());
        let mut next = None;
        let buffer = match self.buffer.take() {
            Some(full) if !rest.is_empty() => {
                let mut fresh = self.pool.take().ok_or(Stopped)?;
                fresh.as_mut()[..rest.len()].copy_from_slice(&full.as_ref()[rest]);
                next = Some(fresh);
                full.freeze()
            }
            Some(full) => full.freeze(),
            None => Bytes::new(),
        };
        self.buffer = next;
        self.out.send(Batch { buffer, events }).map_err(|_| Stopped)
    }
}

/// Opens a regular file, and nothing that could make us wait: with how it is, before it is read.
pub(crate) fn open(path: &Path, follows_symlink: bool) -> io::Result<(File, Metadata)> {
    let nofollow = if follows_symlink { OFlags::empty() } else { OFlags::NOFOLLOW };
    let flags = nofollow | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no file any more"));
    }
    let _ = fadvise(&file, 0, None, Advice::Sequential);
    Ok((file, metadata))
}
