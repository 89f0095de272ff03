//! What a failing disk does to the store: what was acknowledged stays, what was not is told so.

use std::sync::Arc;

use rustix::io::Errno;

use super::faulty::Faulty;
use super::{House, end_of};
use crate::chunks::contract::{append, chunk, noise, scan_all};
use crate::chunks::packs::{Packs, open_on};
use crate::chunks::{Chunks, Found, Lane};
use crate::error::Kind;
use crate::model::ChunkPlace;

async fn try_append(
    packs: &Packs,
    lane: Lane,
    seed: u64,
    length: usize,
) -> Result<ChunkPlace, Kind> {
    let new = vec![chunk(&noise(seed, length))];
    packs.append(lane, new).await.map(|places| places[0]).map_err(|error| error.kind())
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_acknowledged_until_a_restart() {
    // Syncs 1 to 3 make the first pack and its first record durable; later ones are records, the seal
    // and the second pack.
    for failing in 1..=12 {
        let (mut house, disk) = (House::new(), Faulty::default());
        let (packs, _) = house.open_on(disk.clone());
        disk.set(|state| state.failing_sync = Some(failing));
        while !packs_failed(&mut house, &packs).await {
            assert!(disk.state().syncs < failing, "sync {failing} failed unnoticed");
        }
        let at_the_failure = disk.counts();
        assert!(
            at_the_failure.0 <= failing + 2,
            "only a pack that was being made may have gone on"
        );
        for lane in [Lane::Small, Lane::Bulk] {
            assert_eq!(try_append(&packs, lane, 98, 10).await, Err(Kind::ReadOnly));
        }
        assert_eq!(disk.counts(), at_the_failure, "nothing is tried again, or after it");
        house.check(&packs).await;
        drop(packs);

        let (packs, found) = house.open();
        // A record in the next pack, written while the sync of the seal failed, was synced just now.
        let failed = house.ledger.last().map(|(_, _, found)| found.place.pack);
        let others = |found: &Found| failed.is_some_and(|failed| found.place.pack != failed);
        assert!(found.iter().all(others), "sync {failing}: what was not synced is not believed");
        house.check(&packs).await;
        house.append(&packs, Lane::Small, 10).await;
        house.check(&packs).await;
    }
}

async fn packs_failed(house: &mut House, packs: &Packs) -> bool {
    let seed = house.ledger.len() as u64;
    match try_append(packs, Lane::Small, seed, 12 << 10).await {
        Ok(place) => {
            let hash = chunk(&noise(seed, 12 << 10)).hash;
            house.ledger.push((seed, 12 << 10, Found { hash, place }));
            false
        }
        Err(kind) => {
            assert_eq!(kind, Kind::ReadOnly);
            true
        }
    }
}

#[tokio::test]
async fn a_pack_is_durable_by_its_name_before_it_has_records() {
    let (mut house, disk) = (House::new(), Faulty::default());
    let (packs, _) = house.open_on(disk.clone());
    house.append(&packs, Lane::Small, 10).await;
    house.append(&packs, Lane::Small, 10).await;
    let calls = disk.state().calls.clone();
    assert_eq!(calls, ["write", "sync", "sync_directory", "write", "sync", "write", "sync"]);
}

#[tokio::test]
async fn a_start_that_cannot_sync_what_it_found_is_refused() {
    let mut house = House::new();
    let (packs, _) = house.open();
    house.append(&packs, Lane::Small, 1000).await;
    drop(packs);
    house.ledger.clear();
    let disk = Faulty::default();
    disk.set(|state| state.failing_sync = Some(1));
    let refused = open_on(Box::new(disk), &house.options(), &house.known()).err().unwrap();
    assert_eq!(refused.kind(), Kind::ReadOnly);
    assert_eq!(house.open().1.len(), 1);
}

#[tokio::test]
async fn what_was_written_behind_a_failed_sync_is_not_acknowledged_either() {
    let (mut house, disk) = (House::new(), Faulty::default());
    let (packs, _) = house.open_on(disk.clone());
    house.append(&packs, Lane::Small, 100).await;
    house.append(&packs, Lane::Bulk, 100).await;
    let (syncs, writes) = disk.counts();
    disk.set(|state| (state.held, state.failing_sync) = (true, Some(syncs + 1)));
    let packs = Arc::new(packs);
    let first = spawn_append(&packs, Lane::Small, 1);
    disk.until(|state| state.syncs == syncs + 1).await;
    let behind = [spawn_append(&packs, Lane::Small, 2), spawn_append(&packs, Lane::Small, 3)];
    disk.until(|state| state.writes >= writes + 2).await;
    disk.set(|state| state.held = false);
    assert_eq!(first.await.unwrap(), Err(Kind::ReadOnly));
    for append in behind {
        assert_eq!(append.await.unwrap(), Err(Kind::ReadOnly));
    }
    drop(packs);
    let (packs, found) = house.open();
    assert_eq!(found, []);
    house.check(&packs).await;
}

fn spawn_append(
    packs: &Arc<Packs>,
    lane: Lane,
    seed: u64,
) -> tokio::task::JoinHandle<Result<ChunkPlace, Kind>> {
    let packs = Arc::clone(packs);
    tokio::spawn(async move { try_append(&packs, lane, seed, 1000).await })
}

#[tokio::test]
async fn appends_that_wait_share_a_sync_and_are_written_during_the_one_before() {
    let (house, disk) = (House::new(), Faulty::default());
    let (packs, _) = house.open_on(disk.clone());
    let packs = Arc::new(packs);
    let pack = append(&*packs, Lane::Small, 0, 10).await.place.pack;
    let (syncs, writes) = disk.counts();
    disk.set(|state| state.held = true);
    let mut waiting = vec![spawn_append(&packs, Lane::Small, 1)];
    disk.until(|state| state.syncs == syncs + 1).await;
    waiting.push(spawn_append(&packs, Lane::Small, 2));
    disk.until(|state| state.writes == writes + 2).await;
    waiting.extend((3..30).map(|seed| spawn_append(&packs, Lane::Small, seed)));
    disk.until(|state| state.writes > writes + 2).await;
    assert!(waiting.iter().all(|append| !append.is_finished()), "nothing is durable yet");
    assert_eq!(scan_all(&*packs, pack, 99).await.len(), 1, "and a scan does not show it");
    disk.set(|state| state.held = false);
    for append in waiting {
        append.await.unwrap().unwrap();
    }
    assert!((2..=4).contains(&(disk.state().syncs - syncs)), "29 appends, few syncs");
}

#[tokio::test]
async fn a_small_append_does_not_wait_for_a_bulk_sync() {
    let (house, disk) = (House::new(), Faulty::default());
    let (packs, _) = house.open_on(disk.clone());
    let packs = Arc::new(packs);
    let bulk = append(&*packs, Lane::Bulk, 0, 10).await.place.pack;
    let small = append(&*packs, Lane::Small, 0, 10).await.place.pack;
    assert_ne!(bulk, small);
    let syncs = disk.state().syncs;
    disk.set(|state| state.held = true);
    let held = spawn_append(&packs, Lane::Bulk, 1);
    disk.until(|state| state.syncs == syncs + 1).await;
    let other = spawn_append(&packs, Lane::Small, 2);
    disk.until(|state| state.syncs == syncs + 2).await;
    disk.set(|state| state.held = false);
    assert!(held.await.unwrap().is_ok() && other.await.unwrap().is_ok());
}

#[tokio::test]
async fn the_queue_is_bounded() {
    let (house, disk) = (House::new(), Faulty::default());
    let mut options = house.options();
    (options.small_queued_max, options.small_batch_bytes_max) = (2, 1);
    let (packs, _) = open_on(Box::new(disk.clone()), &options, &house.known()).unwrap();
    let packs = Arc::new(packs);
    append(&*packs, Lane::Small, 0, 10).await;
    let (syncs, writes) = disk.counts();
    disk.set(|state| state.held = true);
    let waiting: Vec<_> = (1..40).map(|seed| spawn_append(&packs, Lane::Small, seed)).collect();
    // One to four in the sync, four ahead of it, one that the writer cannot hand over.
    disk.until(|state| state.writes >= writes + 6).await;
    disk.time_to_go_wrong().await;
    assert!(disk.state().writes <= writes + 9);
    disk.set(|state| state.held = false);
    for append in waiting {
        append.await.unwrap().unwrap();
    }
    assert!(disk.state().syncs - syncs < 39, "batches that wait share a sync");
}

#[tokio::test]
async fn an_append_without_a_place_in_the_queue_is_never_written_once_it_is_given_up() {
    let (house, disk) = (House::new(), Faulty::default());
    let mut options = house.options();
    (options.small_queued_max, options.small_batch_bytes_max) = (2, 1);
    let (packs, _) = open_on(Box::new(disk.clone()), &options, &house.known()).unwrap();
    let packs = Arc::new(packs);
    append(&*packs, Lane::Small, 0, 10).await;
    let (_, writes) = disk.counts();
    disk.set(|state| state.held = true);
    let waiting: Vec<_> = (1..40).map(|seed| spawn_append(&packs, Lane::Small, seed)).collect();
    disk.until(|state| state.writes >= writes + 6).await;
    disk.time_to_go_wrong().await;
    for append in waiting {
        append.abort();
        assert!(append.await.unwrap_err().is_cancelled());
    }
    disk.set(|state| state.held = false);
    drop(Arc::into_inner(packs).unwrap());
    assert!(disk.counts().1 <= writes + 12, "nine on their way, one in hand, two queued");
}

#[tokio::test]
async fn dropping_the_store_waits_until_all_is_done() {
    let (house, disk) = (House::new(), Faulty::default());
    let (packs, _) = house.open_on(disk.clone());
    let packs = Arc::new(packs);
    disk.set(|state| state.held = true);
    let abandoned = spawn_append(&packs, Lane::Small, 1);
    disk.until(|state| state.syncs == 1).await;
    abandoned.abort();
    assert!(abandoned.await.unwrap_err().is_cancelled());
    let packs = Arc::into_inner(packs).unwrap();
    let dropping = std::thread::spawn(move || drop(packs));
    disk.time_to_go_wrong().await;
    assert!(!dropping.is_finished());
    disk.set(|state| state.held = false);
    dropping.join().unwrap();
}

#[tokio::test]
async fn a_full_disk_leaves_no_trace_and_may_be_tried_again() {
    for room in [0, 1, 63, 64, 65, 500, 1063, 5000] {
        let (mut house, disk) = (House::new(), Faulty::default());
        let (packs, _) = house.open_on(disk.clone());
        let before = house.append(&packs, Lane::Small, 1000).await;
        let path = house.path(before.place.pack);
        disk.set(|state| state.room = Some(room));
        for lane in [Lane::Small, Lane::Small, Lane::Bulk] {
            assert_eq!(try_append(&packs, lane, 7, 6000).await, Err(Kind::DiskFull));
            disk.set(|state| state.room = Some(room));
        }
        assert_eq!(std::fs::metadata(&path).unwrap().len(), end_of(&before));
        house.check(&packs).await;

        disk.set(|state| state.room = None);
        let after = house.append(&packs, Lane::Small, 6000).await;
        assert_eq!((after.place.pack, after.place.offset), (before.place.pack, end_of(&before)));
        house.append(&packs, Lane::Bulk, 100).await;
        house.check(&packs).await;
        assert_eq!(scan_all(&packs, before.place.pack, 9).await.len(), 2);
        assert!(house.names().iter().all(|name| !name.ends_with(".tmp")));
        drop(packs);
        let (packs, found) = house.open();
        assert_eq!(found, []);
        house.check(&packs).await;
    }
}

#[tokio::test]
async fn a_disk_that_is_full_in_the_middle_of_a_bulk_append_is_cut_back() {
    const LENGTH: usize = 6 << 20;
    for room in [0, 4096, 100_000, 4 << 20, (5 << 20) + 1, LENGTH as u64] {
        let (mut house, disk) = (House::new(), Faulty::default());
        house.pack_bytes_max = 64 << 20;
        let (packs, _) = house.open_on(disk.clone());
        let before = house.append(&packs, Lane::Bulk, 1000).await;
        let path = house.path(before.place.pack);
        assert_eq!(disk.state().writes_in_blocks, 1);
        disk.set(|state| state.room = Some(room));
        assert_eq!(try_append(&packs, Lane::Bulk, 7, LENGTH).await, Err(Kind::DiskFull));
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 8192);

        disk.set(|state| (state.room, state.write_bytes_max) = (None, Some(1_000_000)));
        let after = house.append(&packs, Lane::Bulk, LENGTH).await;
        assert_eq!((after.place.pack, after.place.offset), (before.place.pack, 8192));
        assert!(disk.state().writes_in_blocks > 6, "it still goes past the page cache");
        house.check(&packs).await;
        drop(packs);
        let (packs, found) = house.open();
        assert_eq!(found, []);
        house.check(&packs).await;
    }
}

#[tokio::test]
async fn a_disk_that_is_full_at_the_rollover_only_costs_the_footer() {
    let (mut house, disk) = (House::new(), Faulty::default());
    let (packs, _) = house.open_on(disk.clone());
    let full = house.append(&packs, Lane::Small, 60 << 10).await;
    disk.set(|state| state.room = Some(10));
    assert_eq!(try_append(&packs, Lane::Small, 7, 60 << 10).await, Err(Kind::DiskFull));
    disk.set(|state| state.room = None);
    house.append(&packs, Lane::Small, 60 << 10).await;
    assert!(packs.packs().await.unwrap()[0].sealed);
    assert_eq!(std::fs::metadata(house.path(full.place.pack)).unwrap().len(), end_of(&full));
    house.check(&packs).await;
    packs.remove(full.place.pack).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_that_cannot_be_cut_back_stops_the_store() {
    let (mut house, disk) = (House::new(), Faulty::default());
    let (packs, _) = house.open_on(disk.clone());
    house.append(&packs, Lane::Small, 1000).await;
    disk.set(|state| (state.room, state.truncate_error) = (Some(100), Some(Errno::IO)));
    assert_eq!(try_append(&packs, Lane::Small, 7, 6000).await, Err(Kind::ReadOnly));
    disk.set(|state| (state.room, state.truncate_error) = (None, None));
    assert_eq!(try_append(&packs, Lane::Bulk, 7, 10).await, Err(Kind::ReadOnly));
    drop(packs);
    let (packs, found) = house.open();
    assert_eq!(found, []);
    house.check(&packs).await;
}

#[tokio::test]
async fn any_other_write_error_stops_the_store() {
    let (mut house, disk) = (House::new(), Faulty::default());
    let (packs, _) = house.open_on(disk.clone());
    house.append(&packs, Lane::Small, 1000).await;
    disk.set(|state| state.write_error = Some(Errno::IO));
    assert_eq!(try_append(&packs, Lane::Small, 7, 100).await, Err(Kind::ReadOnly));
    disk.set(|state| state.write_error = None);
    for lane in [Lane::Small, Lane::Bulk] {
        assert_eq!(try_append(&packs, lane, 7, 100).await, Err(Kind::ReadOnly));
    }
    house.check(&packs).await;
}

#[tokio::test]
async fn writes_that_stop_short_are_gone_on_with() {
    let (mut house, disk) = (House::new(), Faulty::default());
    disk.set(|state| state.write_bytes_max = Some(333));
    let (packs, _) = house.open_on(disk);
    for length in [1, 333, 1000, 20_000] {
        house.append(&packs, Lane::Bulk, length).await;
    }
    house.check(&packs).await;
}

#[tokio::test]
async fn a_disk_that_refuses_writes_past_the_page_cache_gets_ordinary_ones() {
    let (mut house, disk) = (House::new(), Faulty::default());
    disk.set(|state| state.refuses_blocks = true);
    let (packs, _) = house.open_on(disk.clone());
    for length in [1, 5000] {
        house.append(&packs, Lane::Bulk, length).await;
    }
    assert_eq!(disk.state().writes_in_blocks, 0);
    house.check(&packs).await;
}

#[tokio::test]
async fn a_removal_that_cannot_be_made_durable_stops_the_store() {
    let (mut house, disk) = (House::new(), Faulty::default());
    let (packs, _) = house.open_on(disk.clone());
    let full = house.append(&packs, Lane::Small, 60 << 10).await;
    house.append(&packs, Lane::Small, 60 << 10).await;
    disk.set(|state| state.failing_sync = Some(state.syncs + 1));
    for _again in 0..2 {
        let error = packs.remove(full.place.pack).await.unwrap_err();
        assert_eq!(error.kind(), Kind::ReadOnly);
    }
    assert_eq!(try_append(&packs, Lane::Bulk, 7, 10).await, Err(Kind::ReadOnly));
}

#[tokio::test]
async fn an_append_that_nobody_waits_for_is_found_at_the_next_start() {
    let (mut house, disk) = (House::new(), Faulty::default());
    let (packs, _) = house.open_on(disk.clone());
    house.append(&packs, Lane::Small, 10).await;
    let packs = Arc::new(packs);
    let syncs = disk.state().syncs;
    disk.set(|state| state.held = true);
    let abandoned = spawn_append(&packs, Lane::Small, 1);
    disk.until(|state| state.syncs == syncs + 1).await;
    abandoned.abort();
    assert!(abandoned.await.unwrap_err().is_cancelled());
    disk.set(|state| state.held = false);
    drop(Arc::into_inner(packs).unwrap());
    let (packs, found) = house.open();
    assert_eq!(found.len(), 1);
    let bytes = packs.read(found[0].hash, found[0].place).await.unwrap();
    assert!(bytes == noise(1, 1000));
}
