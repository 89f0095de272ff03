//! What happens to the packs at start. A sealed pack is taken as it is. In an unsealed one the records
//! after those that the metadata knows are verified: the good ones are reported, the first that is not
//! good and all after it are cut off. Nothing that the metadata knows is ever cut, and neither is
//! anything that a newer server may have written; a pack that is damaged is left alone.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::fs::{Advice, fadvise};

use super::Store;
use super::record::{BadHead, Entry, HEAD_BYTES, parse_file_head, parse_head};
use super::tail::Tail;
use super::walk::{Step, Walk};
use crate::chunks::{Found, Record};
use crate::error::{Error, Kind, Result};
use crate::model::PackId;

/// What was there.
pub(super) struct Recovered {
    /// Valid records that the metadata did not know of.
    pub(super) found: Vec<Found>,
    /// Packs that can be appended to, the newest last.
    pub(super) tails: Vec<Tail>,
}

/// Why a pack is not appended to.
enum Unfit {
    Damaged(&'static str),
    Unreadable(io::Error),
    Newer(BadHead),
}

impl From<io::Error> for Unfit {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

/// Looks at every pack; `known` says where the records end that the metadata knows of.
pub(super) fn recover(store: &Store, known: &HashMap<PackId, u64>) -> Result<Recovered> {
    let packs = store.directory.packs().map_err(|errno| failed(errno.into()))?;
    for pack in known.keys().filter(|pack| packs.binary_search(pack).is_err()) {
        tracing::error!(%pack, "a pack is missing: reads of its chunks will fail");
    }
    let mut recovered = Recovered { found: Vec::new(), tails: Vec::new() };
    for pack in packs {
        let first = HEAD_BYTES as u64;
        let end = known.get(&pack).map_or(first, |end| first.max(*end));
        let found_before = recovered.found.len();
        if let Some(tail) = examine(store, pack, end, &mut recovered.found)? {
            if recovered.found.len() == found_before && !known.contains_key(&pack) {
                remove_empty(store, pack)?;
            } else {
                store.table.set(pack, tail.end, false);
                recovered.tails.push(tail);
            }
        }
    }
    Ok(recovered)
}

/// Seals a pack that no lane goes on with.
pub(super) fn seal(store: &Store, mut tail: Tail) -> Result<()> {
    tail.write_footer(store, None)?;
    let synced = store.disk.sync(tail.file.as_fd());
    synced.map_err(|errno| store.health.stop(tail.pack, errno))?;
    store.table.set(tail.pack, tail.end, true);
    Ok(())
}

/// A pack's tail, if it can be appended to, with nothing but valid records from `known_end` on.
fn examine(
    store: &Store,
    pack: PackId,
    known_end: u64,
    found: &mut Vec<Found>,
) -> Result<Option<Tail>> {
    let file = store.directory.reader(pack).map(File::from);
    let file = file.map_err(|errno| failed(errno.into()))?;
    let bytes = file.metadata().map_err(failed)?.len();
    match is_sealed(&file, pack, bytes, known_end) {
        Ok(false) => {}
        Ok(true) => {
            store.table.set(pack, bytes, true);
            return Ok(None);
        }
        Err(why) => return leave(store, pack, bytes, why),
    }
    let file = store.directory.writer(pack).map_err(|errno| failed(errno.into()))?;
    let mut tail = Tail { pack, file: Arc::new(file), end: known_end };
    settle(store, &tail)?;
    if let Err(why) = verify(&mut tail, bytes, found) {
        return leave(store, pack, bytes, why);
    }
    cut(store, &tail, bytes)?;
    Ok(Some(tail))
}

/// Judges a pack by its two ends.
fn is_sealed(file: &File, pack: PackId, bytes: u64, known_end: u64) -> Result<bool, Unfit> {
    let mut head = [0; HEAD_BYTES];
    let first = HEAD_BYTES as u64;
    if bytes < first {
        return Err(Unfit::Damaged("it has no header"));
    }
    file.read_exact_at(&mut head, 0)?;
    match parse_file_head(&head, pack) {
        Ok(()) => {}
        Err(BadHead::NotOne) => return Err(Unfit::Damaged("its header is damaged")),
        Err(newer) => return Err(Unfit::Newer(newer)),
    }
    let last = bytes - first;
    file.read_exact_at(&mut head, last)?;
    let sealed = parse_head(&head, pack, last) == Ok(Entry::Footer);
    if known_end > if sealed { last } else { bytes } {
        return Err(Unfit::Damaged("it ends before its last known record"));
    }
    Ok(sealed)
}

/// A pack that is not appended to still has chunks that can be read.
fn leave(store: &Store, pack: PackId, bytes: u64, why: Unfit) -> Result<Option<Tail>> {
    match why {
        Unfit::Newer(bad) => {
            let do_this = "start the server that wrote it, or a newer one";
            let message = format!("pack {pack} has {bad}: {do_this}");
            return Err(Error::new(Kind::FailedPrecondition, message).op("chunks.open"));
        }
        Unfit::Damaged(why) => tracing::error!(%pack, bytes, why, "a pack is left as it is"),
        Unfit::Unreadable(error) => {
            tracing::error!(%pack, bytes, %error, "a pack cannot be read and is left as it is");
        }
    }
    store.table.set(pack, bytes, true);
    Ok(None)
}

/// Makes the page cache and the disk agree: what a killed server had written is synced, and then dropped
/// from memory as far as the kernel likes, so that it is verified as the disk has it. (After a failed
/// fdatasync a page can look clean and never have got there.)
fn settle(store: &Store, tail: &Tail) -> Result<()> {
    let synced = store.disk.sync(tail.file.as_fd());
    synced.map_err(|errno| store.health.stop(tail.pack, errno))?;
    let page = tail.end & !0xfff;
    if let Err(errno) = fadvise(&*tail.file, page, None, Advice::DontNeed) {
        tracing::debug!(pack = %tail.pack, %errno, "the tail is verified as the page cache has it");
    }
    Ok(())
}

/// Moves the tail's end past every valid record.
fn verify(tail: &mut Tail, bytes: u64, found: &mut Vec<Found>) -> Result<(), Unfit> {
    let mut walk = Walk::new(tail.file.as_fd(), tail.pack, tail.end, bytes);
    loop {
        match walk.step().map_err(io::Error::from)? {
            Step::Chunk(Record::Good(record)) => found.push(record),
            Step::Padding => {}
            Step::Stuck(newer @ BadHead::Unknown { .. }) => return Err(Unfit::Newer(newer)),
            Step::Chunk(_) | Step::Footer | Step::Stuck(BadHead::NotOne) | Step::End => {
                return Ok(());
            }
        }
        tail.end = walk.offset();
    }
}

fn cut(store: &Store, tail: &Tail, bytes: u64) -> Result<()> {
    if tail.end == bytes {
        return Ok(());
    }
    tracing::warn!(pack = %tail.pack, offset = tail.end, bytes = bytes - tail.end, "cutting a torn tail");
    let file = tail.file.as_fd();
    let done = store.disk.truncate(file, tail.end).and_then(|()| store.disk.sync(file));
    done.map_err(|errno| store.health.stop(tail.pack, errno).into())
}

fn remove_empty(store: &Store, pack: PackId) -> Result<()> {
    let directory = &store.directory;
    let done = directory.unlink(pack).and_then(|()| store.disk.sync_directory(directory.as_fd()));
    done.map_err(|errno| store.health.stop(pack, errno).into())
}

fn failed(error: io::Error) -> Error {
    Error::internal("chunks.open", error)
}
