//! Reading back: one record, or many in order. A chunk leaves here only if its header is the one for
//! this place and its bytes have the name that was asked for; anything else is `Kind::DataLoss`, logged
//! with the place. Read errors of the disk count as damage: the bytes cannot be had.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustix::buffer::spare_capacity;
use rustix::io::{Errno, ReadWriteFlags, pread, preadv2};

use super::Store;
use super::blocks;
use super::record::{CHUNK_BYTES_MAX, Entry, HEAD_BYTES, Head, parse_head};
use super::table::Files;
use super::walk::{Step, Walk};
use crate::chunks::Record;
use crate::error::{Error, Kind, Result};
use crate::model::{ChunkHash, ChunkPlace, PackId};

/// Up to this length a chunk that is in the page cache is read where the caller is: handing it to
/// another thread costs more than the read and the hash together. Measured on 2 cores, reads/s from one
/// task: 4 KiB 660,000 against 23,000; 64 KiB 72,000 (14 µs each) against 20,000.
const AT_ONCE_BYTES_MAX: u32 = 64 << 10;

/// From this length on, a chunk that nobody else reads does not go through the page cache.
const DIRECT_BYTES_MIN: u32 = 256 << 10;

/// About as many bytes of records are read by one `scan`.
const SCAN_BYTES_MAX: u64 = 32 << 20;

/// A small chunk, if that takes no waiting for the disk. `None` also when it does not look right: `read`
/// is the one to judge that.
pub(super) fn read_at_once(store: &Store, hash: ChunkHash, place: ChunkPlace) -> Option<Bytes> {
    if place.length > AT_ONCE_BYTES_MAX {
        return None;
    }
    let files = store.table.reader(place.pack)?;
    let mut record = vec![0; HEAD_BYTES + place.length as usize];
    let pieces = &mut [IoSliceMut::new(&mut record)];
    let read = preadv2(&files.cached, pieces, place.offset, ReadWriteFlags::NOWAIT).ok()?;
    (read == record.len()).then_some(())?;
    check(record.into(), hash, place).ok()
}

/// A chunk, checked.
pub(super) fn read(store: &Store, hash: ChunkHash, place: ChunkPlace) -> Result<Bytes> {
    if !(1..=CHUNK_BYTES_MAX).contains(&place.length) {
        return Err(damaged(place, &format!("{} bytes is no chunk's length", place.length)));
    }
    let Some(files) = files(store, place.pack)? else {
        return Err(damaged(place, "its pack is missing"));
    };
    match read_record(store, &files, hash, place) {
        Ok(record) => check(record, hash, place).map_err(|why| damaged(place, &why)),
        Err(errno) => Err(damaged(place, "it cannot be read").source(io::Error::from(errno))),
    }
}

/// See `Chunks::scan`.
pub(super) fn scan(
    store: &Store,
    pack: PackId,
    offset: u64,
    limit: usize,
) -> Result<(Vec<Record>, Option<u64>)> {
    let missing = || Error::not_found(format_args!("pack {pack}"));
    let end = store.table.pack(pack).ok_or_else(missing)?.bytes;
    let files = files(store, pack)?.ok_or_else(missing)?;
    let start = offset.max(HEAD_BYTES as u64);
    let mut walk = Walk::new(files.cached.as_fd(), pack, start, end);
    let mut records = Vec::new();
    while records.len() < limit.max(1) && walk.offset() - start < SCAN_BYTES_MAX {
        match walk.step() {
            Ok(Step::Chunk(record)) => records.push(record),
            Ok(Step::Padding) => {}
            Ok(Step::Footer | Step::End) => return Ok((records, None)),
            Ok(Step::Stuck(why)) => {
                tracing::error!(%pack, offset = walk.offset(), %why, "the rest of the pack is unreadable");
                records.push(Record::Unreadable { offset: walk.offset() });
                return Ok((records, None));
            }
            Err(errno) => {
                tracing::error!(%pack, offset = walk.offset(), %errno, "the pack cannot be read on");
                records.push(Record::Unreadable { offset: walk.offset() });
                return Ok((records, None));
            }
        }
    }
    Ok((records, (walk.offset() < end).then(|| walk.offset())))
}

/// A pack's descriptors, from those that are open if it is one of them.
fn files(store: &Store, pack: PackId) -> Result<Option<Arc<Files>>> {
    if let Some(files) = store.table.reader(pack) {
        return Ok(Some(files));
    }
    match store.directory.reader(pack) {
        Ok(cached) => {
            let direct = match store.directory.direct_reader(pack) {
                Err(errno @ (Errno::MFILE | Errno::NFILE)) => return Err(busy(errno)),
                direct => direct.ok(),
            };
            let files = Arc::new(Files { cached, direct });
            store.table.keep(pack, &files);
            Ok(Some(files))
        }
        Err(Errno::NOENT) => Ok(None),
        Err(errno @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM)) => Err(busy(errno)),
        Err(errno) => Err(Error::internal("chunks.read", io::Error::from(errno))),
    }
}

fn busy(errno: Errno) -> Error {
    let busy = Error::unavailable("the server is out of descriptors", Duration::from_secs(1));
    busy.op("chunks.read").source(io::Error::from(errno))
}

/// A record's bytes. A large one gets into the page cache when it is read again. (Whether it is there
/// is not asked before: a read that must not wait begins to bring it there.)
fn read_record(
    store: &Store,
    files: &Files,
    hash: ChunkHash,
    place: ChunkPlace,
) -> Result<Bytes, Errno> {
    if let Some(direct) = &files.direct
        && place.length >= DIRECT_BYTES_MIN
        && !store.recent.note(hash)
    {
        let length = HEAD_BYTES + place.length as usize;
        // What does not come this way is for the ordinary read to judge.
        if let Ok(record) = blocks::read(direct.as_fd(), place.offset, length)
            && record.len() == length
        {
            return Ok(record);
        }
    }
    read_through(files.cached.as_fd(), place)
}

fn read_through(file: BorrowedFd<'_>, place: ChunkPlace) -> Result<Bytes, Errno> {
    let wanted = HEAD_BYTES + place.length as usize;
    let mut record = Vec::with_capacity(wanted);
    while record.len() < wanted {
        let offset = place.offset + record.len() as u64;
        match pread(file, spare_capacity(&mut record), offset) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    record.truncate(wanted);
    Ok(record.into())
}

/// The chunk of this record, or what is wrong with it.
fn check(record: Bytes, hash: ChunkHash, place: ChunkPlace) -> Result<Bytes, String> {
    let Some((head, bytes)) = record.split_first_chunk::<HEAD_BYTES>() else {
        return Err("the pack is too short".to_owned());
    };
    let head: &Head = head;
    match parse_head(head, place.pack, place.offset).map_err(|bad| bad.to_string())? {
        Entry::Chunk { hash: named, length } if named == hash && length == place.length => {}
        _ => return Err("another record is there".to_owned()),
    }
    if bytes.len() != place.length as usize {
        return Err("the pack is too short".to_owned());
    }
    if ChunkHash::of(bytes) != hash {
        return Err("its bytes do not match its name".to_owned());
    }
    Ok(record.slice(HEAD_BYTES..))
}

fn damaged(place: ChunkPlace, why: &str) -> Error {
    let ChunkPlace { pack, offset, .. } = place;
    tracing::error!(%pack, offset, why, "a stored chunk is damaged");
    let message = format!("a stored chunk is damaged (pack {pack}, offset {offset}): {why}");
    Error::new(Kind::DataLoss, message).op("chunks.read")
}
