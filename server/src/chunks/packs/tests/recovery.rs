//! What a start makes of the packs that it finds.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

use super::{House, end_of};
use crate::chunks::contract::scan_all;
use crate::chunks::packs::record::{chunk_head, footer};
use crate::chunks::{Chunks, Found, Lane, Record};
use crate::error::Kind;
use crate::model::{ChunkHash, PackId};

/// A house with one unsealed pack of four records, of which the metadata knows two; its bytes.
async fn half_known() -> (House, Vec<Found>, Vec<u8>) {
    let mut house = House::new();
    let (packs, _) = house.open();
    let mut records = Vec::new();
    for length in [90, 50, 1, 70] {
        records.push(house.append(&packs, Lane::Small, length).await);
    }
    drop(packs);
    house.ledger.truncate(2);
    let bytes = fs::read(house.path(records[0].place.pack)).unwrap();
    assert_eq!(bytes.len() as u64, end_of(&records[3]));
    (house, records, bytes)
}

fn flip(path: &Path, at: u64, bit: u32) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ (1 << bit)], at).unwrap();
}

#[tokio::test]
async fn a_tail_torn_at_any_byte_is_cut_after_the_last_whole_record() {
    let (mut house, records, bytes) = half_known().await;
    let path = house.path(records[0].place.pack);
    for length in end_of(&records[1])..=end_of(&records[3]) {
        fs::write(&path, &bytes[..length as usize]).unwrap();
        let (packs, found) = house.open();
        let whole: Vec<_> =
            records[2..].iter().copied().filter(|record| end_of(record) <= length).collect();
        assert_eq!(found, whole, "torn after {length} bytes");
        let end = end_of(whole.last().unwrap_or(&records[1]));
        assert_eq!(fs::metadata(&path).unwrap().len(), end, "torn after {length} bytes");
        house.check(&packs).await;
        let next = house.append(&packs, Lane::Small, 33).await;
        assert_eq!((next.place.pack, next.place.offset), (records[0].place.pack, end));
        house.check(&packs).await;
        house.ledger.pop();
    }
}

#[tokio::test]
async fn garbage_at_the_end_is_cut() {
    let (house, records, bytes) = half_known().await;
    let path = house.path(records[0].place.pack);
    let copy = &bytes[end_of(&records[2]) as usize..];
    for garbage in [&[0; 5000][..], &[0xff; 64], b"DREC", copy, &bytes] {
        fs::write(&path, [&bytes, garbage].concat()).unwrap();
        let (packs, found) = house.open();
        assert_eq!(found, records[2..]);
        assert_eq!(fs::read(&path).unwrap(), bytes);
        drop(packs);
    }
}

#[tokio::test]
async fn a_flipped_bit_in_the_tail_ends_it_there() {
    let (house, records, bytes) = half_known().await;
    let path = house.path(records[0].place.pack);
    for at in end_of(&records[1])..end_of(&records[3]) {
        fs::write(&path, &bytes).unwrap();
        flip(&path, at, at as u32 % 8);
        let (_packs, found) = house.open();
        let whole = usize::from(at >= end_of(&records[2]));
        assert_eq!(found, records[2..2 + whole], "byte {at}");
        let end = end_of(&records[1 + whole]);
        assert_eq!(fs::metadata(&path).unwrap().len(), end, "byte {at}");
    }
}

#[tokio::test]
async fn a_flipped_bit_below_the_known_end_is_never_cut_nor_served() {
    let mut house = House::new();
    let (packs, _) = house.open();
    for length in [90, 50, 1, 70] {
        house.append(&packs, Lane::Small, length).await;
    }
    let (_, _, last) = house.ledger[3];
    drop(packs);
    let path = house.path(last.place.pack);
    let bytes = fs::read(&path).unwrap();
    for at in 0..end_of(&last) {
        flip(&path, at, at as u32 % 8);
        let (packs, found) = house.open();
        assert_eq!((found, fs::metadata(&path).unwrap().len()), (Vec::new(), bytes.len() as u64));
        let in_a_record = usize::from(at >= 64);
        assert_eq!(house.damaged(&packs).await, in_a_record, "byte {at}");
        let scanned = scan_all(&packs, last.place.pack, 9).await;
        let good = scanned.iter().filter(|record| matches!(record, Record::Good(_))).count();
        assert!(good < 4 || in_a_record == 0, "byte {at}: {scanned:?}");
        drop(packs);
        flip(&path, at, at as u32 % 8);
    }
}

#[tokio::test]
async fn a_scan_goes_on_after_damaged_bytes_and_ends_at_a_damaged_header() {
    let (mut house, records, _) = half_known().await;
    let path = house.path(records[0].place.pack);
    let (packs, found) = house.open();
    house.ledger.extend(found.into_iter().map(|found| (0, 0, found)));
    flip(&path, end_of(&records[0]) + 64, 0);
    flip(&path, end_of(&records[2]) + 12, 0);
    let scanned = scan_all(&packs, records[0].place.pack, 9).await;
    let unreadable = Record::Unreadable { offset: records[3].place.offset };
    let [first, second, third, _] = records[..] else { panic!("four records") };
    assert_eq!(
        scanned,
        [Record::Good(first), Record::Damaged(second), Record::Good(third), unreadable]
    );
}

#[tokio::test]
async fn a_new_start_goes_on_in_the_same_packs() {
    let mut house = House::new();
    let mut before = None;
    for _start in 0..4 {
        let (packs, found) = house.open();
        assert_eq!(found, []);
        house.append(&packs, Lane::Small, 1000).await;
        house.append(&packs, Lane::Bulk, 1000).await;
        house.check(&packs).await;
        let names = house.names();
        assert_eq!(names.len(), 2);
        assert_eq!(&names, before.get_or_insert(names.clone()));
    }
}

#[tokio::test]
async fn a_pack_that_no_lane_needs_is_sealed_and_stays_so() {
    let mut house = House::new();
    let mut extra = Vec::new();
    for _ in 0..3 {
        let mut other = House::new();
        let (packs, _) = other.open();
        let pack = other.append(&packs, Lane::Small, 900).await.place.pack;
        drop(packs);
        house.ledger.push(other.ledger.remove(0));
        extra.push((pack, fs::read(other.path(pack)).unwrap()));
    }
    drop(house.open());
    for (pack, bytes) in extra {
        fs::write(house.path(pack), bytes).unwrap();
    }
    for _start in 0..2 {
        let (packs, found) = house.open();
        assert_eq!(found, []);
        let sealed: Vec<_> = packs.packs().await.unwrap().iter().map(|pack| pack.sealed).collect();
        assert_eq!(
            sealed,
            [true, true, false],
            "none of them ends at a block, as bulk appends must"
        );
        for (_, _, old) in &house.ledger[..2] {
            let bytes = fs::read(house.path(old.place.pack)).unwrap();
            assert_eq!(bytes[end_of(old) as usize..], footer(old.place.pack, end_of(old)));
        }
        house.check(&packs).await;
    }
}

#[tokio::test]
async fn a_rolled_over_pack_is_sealed_for_the_next_start_too() {
    for (lane, block) in [(Lane::Small, 1), (Lane::Bulk, 4096)] {
        let mut house = House::new();
        let (packs, _) = house.open();
        let full = house.append(&packs, lane, 60 << 10).await;
        house.append(&packs, lane, 60 << 10).await;
        drop(packs);
        let (packs, _) = house.open();
        let listed = packs.packs().await.unwrap();
        assert_eq!((listed[0].id, listed[0].sealed), (full.place.pack, true));
        let end = end_of(&full).next_multiple_of(block);
        assert_eq!(listed[0].bytes, (end + 64).next_multiple_of(block));
        assert_eq!(scan_all(&packs, full.place.pack, 9).await, [Record::Good(full)]);
        drop(packs);

        // A footer that did not get there whole is a torn tail like any other; its lane has a newer one.
        let file = OpenOptions::new().write(true).open(house.path(full.place.pack)).unwrap();
        file.set_len(listed[0].bytes - 1).unwrap();
        let (packs, found) = house.open();
        assert_eq!(found, []);
        assert_eq!(packs.packs().await.unwrap()[0], listed[0], "it is sealed again");
        house.check(&packs).await;
    }
}

#[tokio::test]
async fn a_bulk_pack_torn_anywhere_keeps_its_whole_records_and_goes_on_at_a_block() {
    let mut house = House::new();
    let (packs, _) = house.open();
    let mut records = Vec::new();
    // What fills the block: about half of it, and a block more because the rest has no room for a head.
    for length in [90, 2000, 4096 - 64 - 30] {
        records.push(house.append(&packs, Lane::Bulk, length).await);
    }
    drop(packs);
    let starts: Vec<_> = records.iter().map(|record| record.place.offset).collect();
    assert_eq!(starts, [4096, 8192, 12288]);
    let path = house.path(records[0].place.pack);
    let bytes = fs::read(&path).unwrap();
    assert_eq!(bytes.len(), 5 * 4096);
    house.ledger.truncate(1);
    for length in (end_of(&records[0]) as usize..=bytes.len()).rev().step_by(13) {
        fs::write(&path, &bytes[..length]).unwrap();
        let (packs, found) = house.open();
        let is_whole = |record: &&Found| end_of(record) <= length as u64;
        let whole: Vec<_> = records[1..].iter().copied().take_while(|r| is_whole(&r)).collect();
        assert_eq!(found, whole, "torn after {length} bytes");
        let next = house.append(&packs, Lane::Bulk, 33).await;
        assert_eq!(next.place.offset % 4096, 0);
        house.check(&packs).await;
        house.ledger.pop();
        drop(packs);
        for name in house.names().iter().filter(|name| !path.ends_with(name)) {
            fs::remove_file(path.with_file_name(name)).unwrap();
        }
    }
}

#[tokio::test]
async fn a_pack_without_room_is_sealed_at_start() {
    let mut house = House::new();
    let (packs, _) = house.open();
    house.append(&packs, Lane::Small, 2000).await;
    drop(packs);
    house.pack_bytes_max = 1000;
    let (packs, _) = house.open();
    assert!(packs.packs().await.unwrap()[0].sealed);
}

#[tokio::test]
async fn a_known_pack_that_is_gone_or_too_short_stops_nobody() {
    let mut house = House::new();
    house.pack_bytes_max = 2000;
    let (packs, _) = house.open();
    let gone = house.append(&packs, Lane::Small, 1900).await;
    let short = house.append(&packs, Lane::Small, 900).await;
    drop(packs);
    fs::remove_file(house.path(gone.place.pack)).unwrap();
    let file = OpenOptions::new().write(true).open(house.path(short.place.pack)).unwrap();
    file.set_len(end_of(&short) - 1).unwrap();

    let (packs, found) = house.open();
    assert_eq!(found, []);
    assert_eq!(house.damaged(&packs).await, 2);
    let fine = house.append(&packs, Lane::Small, 10).await;
    assert_ne!(
        fine.place.pack, short.place.pack,
        "offsets that have a meaning are not given again"
    );
    assert_eq!(house.damaged(&packs).await, 2);
    assert_eq!(file.metadata().unwrap().len(), end_of(&short) - 1, "nor is anything cut");
}

#[tokio::test]
async fn leftovers_are_removed_and_strangers_left_alone() {
    let mut house = House::new();
    let (packs, _) = house.open();
    let kept = house.append(&packs, Lane::Small, 10).await.place.pack;
    let empty = house.append(&packs, Lane::Bulk, 10).await.place.pack;
    drop(packs);
    house.ledger.truncate(1);
    OpenOptions::new().write(true).open(house.path(empty)).unwrap().set_len(64 + 70).unwrap();
    let strangers = ["notes.txt", "x.pack", "x.pack.tmp", "0.tmp"];
    let directory = house.dir.path().join("packs");
    for name in strangers {
        fs::write(directory.join(name), "mine").unwrap();
    }
    fs::write(directory.join(format!("{}.pack.tmp", PackId::new())), "half").unwrap();
    let torn_header = format!("{}.pack", PackId::new());
    fs::write(directory.join(&torn_header), "DEPOTPAK").unwrap();

    let (packs, _) = house.open();
    let mut left: Vec<_> = strangers.iter().map(ToString::to_string).collect();
    left.extend([format!("{kept}.pack"), torn_header]);
    left.sort();
    assert_eq!(house.names(), left);
    house.check(&packs).await;
}

#[tokio::test]
async fn what_a_newer_server_wrote_is_refused_and_not_cut() {
    let (house, records, mut bytes) = half_known().await;
    let pack = records[0].place.pack;
    let path = house.path(pack);

    // A record with codec 1 and a right check, where a record may begin.
    let mut head = chunk_head(pack, end_of(&records[3]), ChunkHash::of(b"x"), 1);
    head[5] = 1;
    let covered = [&head[..56], pack.as_bytes(), &end_of(&records[3]).to_le_bytes()].concat();
    head[56..].copy_from_slice(&blake3::hash(&covered).as_bytes()[..8]);
    let newer_record = [&bytes[..], &head, b"x"].concat();

    bytes[8] = 2;
    let check = blake3::hash(&bytes[..56]);
    bytes[56..64].copy_from_slice(&check.as_bytes()[..8]);
    for (content, what) in [(newer_record, "codec 1"), (bytes, "pack format 2")] {
        fs::write(&path, &content).unwrap();
        let error = house.try_open().err().unwrap();
        assert_eq!(error.kind(), Kind::FailedPrecondition);
        assert!(error.message().contains(what), "{error}");
        assert_eq!(fs::read(&path).unwrap(), content);
    }
}

#[tokio::test]
async fn packs_are_their_owners_alone() {
    let mut house = House::new();
    let (packs, _) = house.open();
    let pack = house.append(&packs, Lane::Small, 10).await.place.pack;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&house.path(pack)), 0o600);
    assert_eq!(mode(&house.dir.path().join("packs")), 0o700);
}

#[tokio::test]
async fn a_symlink_in_the_place_of_a_pack_is_not_followed() {
    let (house, records, bytes) = half_known().await;
    let path = house.path(records[0].place.pack);
    let elsewhere = house.dir.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    assert!(house.try_open().is_err());
    assert_eq!(fs::read(&elsewhere).unwrap(), bytes);
}
