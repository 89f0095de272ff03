//! What every adapter of `Chunks` must do, as stories over `dyn Chunks`. `contract!` makes a test of
//! each for an adapter that can give a fresh store whose packs are full after 64 KiB.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use super::{CHUNK_BYTES_MAX, Chunks, Found, Lane, Record};
use crate::error::Kind;
use crate::model::{ChunkHash, ChunkPlace, NewChunk, PackId};

/// Runs the suite: `$fresh` gives a store and whatever has to live as long as it does.
macro_rules! contract {
    ($fresh:path: $($story:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $story() {
            let (chunks, _guard) = $fresh();
            $crate::chunks::contract::$story(chunks).await;
        }
    )*};
    ($fresh:path) => {
        $crate::chunks::contract::contract! { $fresh:
            chunks_come_back_as_they_went_in
            appending_nothing_is_answered
            ill_formed_chunks_are_refused_and_nothing_else_suffers
            many_appends_at_once_get_places_of_their_own
            nothing_is_served_under_a_wrong_name_or_place
            a_scan_finds_all_in_order
            a_scan_can_be_taken_in_steps
            a_full_pack_is_sealed
            a_sealed_pack_can_be_removed_twice
            an_open_pack_is_not_removed
        }
    };
}
pub(super) use contract;

/// Bytes that look like nothing, the same for the same seed.
pub(super) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// A chunk in pieces of 1,000 bytes.
pub(super) fn chunk(bytes: &[u8]) -> NewChunk {
    NewChunk {
        hash: ChunkHash::of(bytes),
        data: bytes.chunks(1000).map(Bytes::copy_from_slice).collect(),
        length: bytes.len() as u32,
    }
}

/// Appends one chunk of noise.
pub(super) async fn append(chunks: &dyn Chunks, lane: Lane, seed: u64, length: usize) -> Found {
    let new = chunk(&noise(seed, length));
    let hash = new.hash;
    let places = chunks.append(lane, vec![new]).await.unwrap();
    Found { hash, place: places[0] }
}

/// All records of a pack.
pub(super) async fn scan_all(chunks: &dyn Chunks, pack: PackId, limit: usize) -> Vec<Record> {
    let (mut records, mut next) = (Vec::new(), Some(0));
    while let Some(offset) = next {
        let (more, then) = chunks.scan(pack, offset, limit).await.unwrap();
        assert!(more.len() <= limit && then.is_none_or(|then| then > offset));
        records.extend(more);
        next = then;
    }
    records
}

pub(super) async fn chunks_come_back_as_they_went_in(chunks: Arc<dyn Chunks>) {
    for lane in [Lane::Small, Lane::Bulk] {
        let contents: Vec<_> =
            [1, 63, 64, 4096, 64 << 10, (64 << 10) + 1, 2 << 20, CHUNK_BYTES_MAX as usize]
                .into_iter()
                .map(|length| noise(length as u64, length))
                .collect();
        let new = contents.iter().map(|bytes| chunk(bytes)).collect();
        let places = chunks.append(lane, new).await.unwrap();
        assert_eq!(places.len(), contents.len());
        for (bytes, place) in contents.iter().zip(places) {
            for _again in 0..2 {
                assert!(chunks.read(ChunkHash::of(bytes), place).await.unwrap() == bytes);
            }
        }
    }
}

pub(super) async fn appending_nothing_is_answered(chunks: Arc<dyn Chunks>) {
    assert_eq!(chunks.append(Lane::Small, Vec::new()).await.unwrap(), []);
    assert_eq!(chunks.packs().await.unwrap(), []);
}

pub(super) async fn ill_formed_chunks_are_refused_and_nothing_else_suffers(
    chunks: Arc<dyn Chunks>,
) {
    let good = chunk(b"good");
    let empty = NewChunk { data: Vec::new(), length: 0, ..good.clone() };
    let short = NewChunk { length: 5, ..good.clone() };
    let long = chunk(&vec![0; CHUNK_BYTES_MAX as usize + 1]);
    for bad in [empty, short, long] {
        let refused = chunks.append(Lane::Bulk, vec![good.clone(), bad]).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Internal);
    }
    let places = chunks.append(Lane::Bulk, vec![good.clone()]).await.unwrap();
    assert_eq!(chunks.read(good.hash, places[0]).await.unwrap(), "good");
    assert_eq!(scan_all(&*chunks, places[0].pack, 9).await.len(), 1);
}

pub(super) async fn many_appends_at_once_get_places_of_their_own(chunks: Arc<dyn Chunks>) {
    let tasks: Vec<_> = (0..64_u64)
        .map(|task| {
            let chunks = Arc::clone(&chunks);
            tokio::spawn(async move {
                let lane = if task % 2 == 0 { Lane::Small } else { Lane::Bulk };
                let mut mine = Vec::new();
                for round in 0..6 {
                    let seed = task * 100 + round;
                    mine.push((seed, append(&*chunks, lane, seed, 500 + seed as usize).await));
                }
                mine
            })
        })
        .collect();
    let mut taken = HashSet::new();
    for task in tasks {
        for (seed, Found { hash, place }) in task.await.unwrap() {
            assert!(taken.insert((place.pack, place.offset)), "two chunks at one place");
            let bytes = chunks.read(hash, place).await.unwrap();
            assert!(bytes == noise(seed, 500 + seed as usize));
        }
    }
    let mut scanned = 0;
    for pack in chunks.packs().await.unwrap() {
        scanned += scan_all(&*chunks, pack.id, 1000).await.len();
    }
    assert_eq!((taken.len(), scanned), (64 * 6, 64 * 6));
}

pub(super) async fn nothing_is_served_under_a_wrong_name_or_place(chunks: Arc<dyn Chunks>) {
    let first = append(&*chunks, Lane::Small, 1, 3000).await;
    let second = append(&*chunks, Lane::Small, 2, 3000).await;
    let place = first.place;
    let wrong = [
        (second.hash, place),
        (first.hash, second.place),
        (first.hash, ChunkPlace { offset: place.offset + 1, ..place }),
        (first.hash, ChunkPlace { offset: 1 << 40, ..place }),
        (first.hash, ChunkPlace { offset: u64::MAX, ..place }),
        (first.hash, ChunkPlace { length: 2999, ..place }),
        (first.hash, ChunkPlace { length: 0, ..place }),
        (first.hash, ChunkPlace { length: u32::MAX, ..place }),
        (first.hash, ChunkPlace { pack: PackId::new(), ..place }),
    ];
    for _again in 0..2 {
        for (hash, place) in wrong {
            let error = chunks.read(hash, place).await.unwrap_err();
            assert_eq!(error.kind(), Kind::DataLoss, "{place:?}");
            assert!(error.message().contains(&place.pack.to_string()), "{error}");
            assert!(error.message().contains(&place.offset.to_string()), "{error}");
        }
        assert!(chunks.read(first.hash, place).await.unwrap() == noise(1, 3000));
    }
}

pub(super) async fn a_scan_finds_all_in_order(chunks: Arc<dyn Chunks>) {
    let mut appended = Vec::new();
    for seed in 0..300 {
        appended.push(append(&*chunks, Lane::Bulk, seed, 1 + 7 * seed as usize).await);
    }
    let packs = chunks.packs().await.unwrap();
    assert!(packs.len() > 2, "sealed ones and an open one");
    let mut scanned = Vec::new();
    for pack in packs {
        scanned.extend(scan_all(&*chunks, pack.id, 1000).await);
    }
    assert_eq!(scanned, appended.into_iter().map(Record::Good).collect::<Vec<_>>());
}

pub(super) async fn a_scan_can_be_taken_in_steps(chunks: Arc<dyn Chunks>) {
    let new = (0..20).map(|seed| chunk(&noise(seed, 3000))).collect();
    let places = chunks.append(Lane::Small, new).await.unwrap();
    let pack = places[0].pack;
    let at_once = scan_all(&*chunks, pack, 1000).await;
    assert_eq!((at_once.len(), scan_all(&*chunks, pack, 3).await), (20, at_once.clone()));
    let (from_there, _) = chunks.scan(pack, places[7].offset, 1).await.unwrap();
    assert_eq!(from_there, at_once[7..8]);
    let (beside, next) = chunks.scan(pack, places[7].offset + 1, 9).await.unwrap();
    assert_eq!((beside, next), (vec![Record::Unreadable { offset: places[7].offset + 1 }], None));
    assert_eq!(chunks.scan(pack, 1 << 40, 9).await.unwrap(), (Vec::new(), None));
    let unknown = chunks.scan(PackId::new(), 0, 9).await.unwrap_err();
    assert_eq!(unknown.kind(), Kind::NotFound);
}

pub(super) async fn a_full_pack_is_sealed(chunks: Arc<dyn Chunks>) {
    let first = append(&*chunks, Lane::Small, 1, 40 << 10).await;
    let packs = chunks.packs().await.unwrap();
    assert!(!packs[0].sealed && packs[0].bytes >= 40 << 10);
    let second = append(&*chunks, Lane::Small, 2, 40 << 10).await;
    let packs = chunks.packs().await.unwrap();
    let ids: Vec<_> = packs.iter().map(|pack| pack.id).collect();
    assert_eq!(ids, [first.place.pack, second.place.pack]);
    assert_eq!([packs[0].sealed, packs[1].sealed], [true, false]);
    assert!(packs[0].bytes <= 80 << 10);
}

pub(super) async fn a_sealed_pack_can_be_removed_twice(chunks: Arc<dyn Chunks>) {
    let gone = append(&*chunks, Lane::Small, 1, 40 << 10).await;
    let stays = append(&*chunks, Lane::Small, 2, 40 << 10).await;
    assert!(chunks.read(gone.hash, gone.place).await.is_ok());
    for _again in 0..2 {
        chunks.remove(gone.place.pack).await.unwrap();
        let error = chunks.read(gone.hash, gone.place).await.unwrap_err();
        assert_eq!(error.kind(), Kind::DataLoss);
    }
    chunks.remove(PackId::new()).await.unwrap();
    let left: Vec<_> = chunks.packs().await.unwrap().iter().map(|pack| pack.id).collect();
    assert_eq!(left, [stays.place.pack]);
    assert!(chunks.read(stays.hash, stays.place).await.is_ok());
}

pub(super) async fn an_open_pack_is_not_removed(chunks: Arc<dyn Chunks>) {
    let stays = append(&*chunks, Lane::Bulk, 1, 1000).await;
    let refused = chunks.remove(stays.place.pack).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::FailedPrecondition);
    assert!(chunks.read(stays.hash, stays.place).await.is_ok());
}
