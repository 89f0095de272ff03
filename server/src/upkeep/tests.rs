//! Stories of upkeep over real stores: a `House` whose disk can be full and whose clock is held.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use tempfile::TempDir;

use crate::chunks::{self, Chunks, Lane, PackInfo, PackOptions, RECORD_HEAD_BYTES, Record};
use crate::clock::Clock;
use crate::db::{
    Arrived, CommitPlan, Db, FileWrite, NewAccount, NewContent, Options, Removal, Upload, open,
};
use crate::error::{Error, Kind, Result};
use crate::model::{
    AccountId, AccountName, At, ChunkHash, ChunkPlace, Condition, Content, Digest, ManifestHasher,
    NewChunk, PackId, Piece, TreePath, UploadId,
};
use crate::upkeep::{DAY_MS, Graces, Terms, Upkeep};

const NONE: Graces = Graces { unreferenced_ms: 0, empty_pack_ms: 0 };
const TERMS: Terms =
    Terms { trash_days: 30, version_days: 365, tombstone_days: 90, compact_bytes_per_second: 0 };

/// Packs on a disk that can be full.
struct Disk {
    packs: Arc<dyn Chunks>,
    full: AtomicBool,
}

#[async_trait]
impl Chunks for Disk {
    async fn append(&self, lane: Lane, chunks: Vec<NewChunk>) -> Result<Vec<ChunkPlace>> {
        if self.full.load(Ordering::SeqCst) {
            return Err(Error::new(Kind::DiskFull, "as a test"));
        }
        self.packs.append(lane, chunks).await
    }

    async fn read(&self, hash: ChunkHash, place: ChunkPlace) -> Result<Bytes> {
        self.packs.read(hash, place).await
    }

    async fn packs(&self) -> Result<Vec<PackInfo>> {
        self.packs.packs().await
    }

    async fn scan(
        &self,
        pack: PackId,
        offset: u64,
        limit: usize,
    ) -> Result<(Vec<Record>, Option<u64>)> {
        self.packs.scan(pack, offset, limit).await
    }

    async fn remove(&self, pack: PackId) -> Result<()> {
        self.packs.remove(pack).await
    }
}

/// A clock that stands still, or goes on by a step each time it is looked at.
struct Hand {
    at: AtomicI64,
    step: AtomicI64,
}

impl Clock for Hand {
    fn now(&self) -> i64 {
        self.at.fetch_add(self.step.load(Ordering::SeqCst), Ordering::SeqCst)
    }
}

struct House {
    _dir: TempDir,
    db: Arc<dyn Db>,
    disk: Arc<Disk>,
    clock: Arc<Hand>,
    upkeep: Upkeep,
    ann: AccountId,
}

impl House {
    async fn new() -> Self {
        Self::at(TERMS).await
    }

    /// Packs are full after 4 KiB.
    async fn at(terms: Terms) -> Self {
        let dir = TempDir::new().unwrap();
        let options = Options {
            path: dir.path().join("meta.sqlite3"),
            writer_queue_max: 64,
            readers: 1,
            versions_max: 100,
            cache_bytes: 1 << 20,
            committed: Arc::new(|_| {}),
            make_room: Arc::new(|| false),
        };
        let packs =
            PackOptions { pack_bytes_max: 4 << 10, ..PackOptions::new(dir.path().join("packs")) };
        let db = open(options).unwrap();
        let (packs, _) = chunks::open(
            packs,
            &db.last_places().await.unwrap().into_keys().map(|pack| (pack, 0)).collect(),
        )
        .unwrap();
        let disk = Arc::new(Disk { packs, full: AtomicBool::new(false) });
        let at = db.store().await.unwrap().collected_at.into();
        let clock = Arc::new(Hand { at, step: AtomicI64::new(0) });
        let upkeep =
            Upkeep::new(Arc::clone(&db), Arc::clone(&disk) as _, Arc::clone(&clock) as _, terms);
        let new = NewAccount {
            name: AccountName::parse("ann").unwrap(),
            password: "a hash".to_owned(),
            admin: false,
            quota: None,
            only_first_admin: false,
            now: clock.now(),
        };
        let ann = db.create_account(new).await.unwrap().id;
        Self { _dir: dir, db, disk, clock, upkeep, ann }
    }

    fn later(&self, milliseconds: i64) {
        self.clock.at.fetch_add(milliseconds, Ordering::SeqCst);
    }

    /// Stores a chunk of so many bytes, all of them this number.
    async fn store(&self, number: u8, length: usize) -> Piece {
        let bytes = vec![number; length];
        let hash = ChunkHash::of(&bytes);
        let length = u32::try_from(length).unwrap();
        let new = NewChunk { hash, data: vec![bytes.into()], length };
        let places = self.disk.packs.append(Lane::Small, vec![new]).await.unwrap();
        let id = UploadId::new();
        let upload = Upload {
            account: self.ann,
            charged: self.ann,
            id,
            leases_max: 16,
            now: self.clock.now(),
        };
        let arrived = Arrived { hash, length, place: Some(places[0]) };
        self.db.register(upload, vec![arrived]).await.unwrap();
        self.db.close_upload(self.ann, id).await.unwrap();
        Piece { length, hash }
    }

    /// Puts a file at `/NUMBER`.
    async fn write(&self, number: u8, content: Content) {
        let write = FileWrite {
            by: self.ann,
            request: None,
            upload: None,
            at: at(self.ann, number),
            content,
            mode: None,
            modified_ns: 5,
            condition: Condition::default(),
            now: self.clock.now(),
        };
        self.db.write_file(write).await.unwrap();
    }

    /// Stores a chunk and puts a file of it at `/NUMBER`.
    async fn put(&self, number: u8, length: usize) -> ChunkHash {
        let Piece { length, hash } = self.store(number, length).await;
        let content = Content { size: length.into(), digest: Digest(hash.0), manifest: None };
        self.write(number, content).await;
        hash
    }

    /// Puts a file of two chunks of 10 bytes at `/NUMBER`, whose digest is what somebody says.
    async fn put_long(&self, number: u8, digest: [u8; 32]) {
        let pieces = vec![self.store(number, 10).await, self.store(number + 1, 10).await];
        let digest = Digest(digest);
        let mut hasher = ManifestHasher::new(20, &digest);
        let mut encoded = Vec::new();
        pieces.iter().for_each(|piece| piece.encode_to(&mut encoded));
        hasher.update(&encoded);
        let new = NewContent { size: 20, digest, id: hasher.finish(), pieces };
        let keys = self.db.add_contents(self.ann, vec![new], self.clock.now()).await.unwrap();
        self.write(number, Content { size: 20, digest, manifest: Some(keys[0]) }).await;
    }

    /// What a check of everything finds: how many chunks are good, and what each problem touches.
    async fn verify(&self) -> (u64, Vec<Vec<String>>) {
        let report = self.upkeep.verify().await.unwrap();
        (report.chunks, report.findings.into_iter().map(|finding| finding.touches).collect())
    }

    /// Removes a file for good.
    async fn purge(&self, number: u8) {
        let removal = Removal {
            by: self.ann,
            request: None,
            at: at(self.ann, number),
            recursive: false,
            condition: Condition::default(),
            now: self.clock.now(),
        };
        self.db.remove(removal).await.unwrap();
        while self.db.purge_trash(i64::MAX).await.unwrap() {}
    }

    async fn packs(&self) -> usize {
        self.disk.packs().await.unwrap().len()
    }
}

fn at(account: AccountId, number: u8) -> At {
    let path = TreePath::parse_relative(&number.to_string(), "path").unwrap();
    At { account, owner: None, path }
}

#[tokio::test]
async fn a_full_disk_gets_its_dead_packs_back() {
    let house = House::new().await;
    // A pack that dies, one that is mostly dead, and one that lives.
    for (number, length) in [(1, 4_000), (2, 3_500), (3, 400), (4, 4_000), (5, 10)] {
        house.put(number, length).await;
    }
    assert_eq!(house.packs().await, 4);
    house.purge(1).await;
    house.purge(2).await;
    house.disk.full.store(true, Ordering::SeqCst);
    house.upkeep.collect(NONE).await.unwrap();
    house.later(1);
    let done = house.upkeep.collect(NONE).await.unwrap();
    assert_eq!((done.chunks, done.packs, done.moved), (2, 1, 0), "nothing can be moved");
    house.disk.full.store(false, Ordering::SeqCst);
    house.later(1);
    let done = house.upkeep.collect(NONE).await.unwrap();
    assert_eq!((done.packs, done.moved), (1, 1), "now there is room");
    assert_eq!(house.packs().await, 2);
}

#[tokio::test]
async fn a_full_disk_gets_an_empty_pack_back_a_day_later() {
    let house = House::new().await;
    for (number, length) in [(1, 4_000), (2, 3_500), (3, 400), (4, 10)] {
        house.put(number, length).await;
    }
    house.purge(1).await;
    house.purge(2).await;
    house.disk.full.store(true, Ordering::SeqCst);
    let mut unlinked = 0;
    for _ in 0..4 {
        unlinked += house.upkeep.collect(Graces::default()).await.unwrap().packs;
        house.later(DAY_MS);
    }
    assert_eq!((unlinked, house.packs().await), (1, 2));
}

#[tokio::test]
async fn uploads_that_nobody_will_go_on_with_hold_nothing_back() {
    let house = House::new().await;
    let hash = ChunkHash::of(&[1; 10]);
    let new = NewChunk { hash, data: vec![vec![1; 10].into()], length: 10 };
    let place = house.disk.packs.append(Lane::Small, vec![new]).await.unwrap()[0];
    let upload = Upload {
        account: house.ann,
        charged: house.ann,
        id: UploadId::new(),
        leases_max: 16,
        now: house.clock.now(),
    };
    let arrived = Arrived { hash, length: 10, place: Some(place) };
    house.db.register(upload, vec![arrived]).await.unwrap();
    let collected = async || {
        let mut gone = 0;
        for _ in 0..3 {
            house.later(1);
            gone += house.upkeep.collect(NONE).await.unwrap().chunks;
        }
        gone
    };
    assert_eq!(collected().await, 0, "it is under way");
    let held = house.upkeep.held().await.unwrap();
    assert_eq!((held.uploads, held.upload_bytes), (1, 10));
    house.later(1_000);
    assert_eq!(house.upkeep.end_uploads(2_000).await.unwrap(), 0);
    assert_eq!(house.upkeep.end_uploads(1_000).await.unwrap(), 1);
    assert_eq!(collected().await, 1);
    assert_eq!(house.upkeep.held().await.unwrap().uploads, 0);
}

#[tokio::test]
async fn with_no_grace_an_upload_ends_whatever_the_clock_says() {
    let house = House::new().await;
    let id = UploadId::new();
    let upload = Upload {
        account: house.ann,
        charged: house.ann,
        id,
        leases_max: 16,
        now: house.clock.now(),
    };
    house.db.missing(upload, vec![]).await.unwrap();
    house.later(-DAY_MS);
    assert_eq!(house.upkeep.end_uploads(1).await.unwrap(), 0);
    assert_eq!(house.upkeep.end_uploads(0).await.unwrap(), 1);
}

#[tokio::test]
async fn a_pack_of_small_chunks_that_all_live_is_not_rewritten() {
    let house = House::new().await;
    for number in 0..60 {
        house.put(number, 8).await;
    }
    assert!(house.packs().await > 1 && RECORD_HEAD_BYTES > 8);
    assert_eq!(house.upkeep.collect(NONE).await.unwrap().moved, 0);
}

#[tokio::test]
async fn what_is_moved_is_moved_no_faster_than_it_may_be() {
    let terms = Terms { compact_bytes_per_second: 1_000, ..TERMS };
    let house = House::at(terms).await;
    for (number, length) in [(1, 3_500), (2, 300), (3, 500)] {
        house.put(number, length).await;
    }
    house.purge(1).await;
    house.upkeep.collect(NONE).await.unwrap();
    house.later(1);
    let began = Instant::now();
    assert_eq!(house.upkeep.collect(NONE).await.unwrap().moved, 1);
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
}

#[tokio::test]
async fn collecting_is_due_by_the_time_of_the_last_run() {
    let house = House::new().await;
    let due = async || house.upkeep.collecting_is_due(DAY_MS).await.unwrap();
    assert!(!due().await, "the store is new");
    house.later(DAY_MS);
    assert!(due().await);
    house.upkeep.collect(Graces::default()).await.unwrap();
    assert!(!due().await);
    house.later(-1);
    assert!(due().await, "a clock that was put back keeps nobody waiting for years");
}

#[tokio::test]
async fn a_commit_begun_since_the_start_is_not_swept() {
    let house = House::new().await;
    let plan = |base| CommitPlan {
        by: house.ann,
        request: None,
        upload: None,
        base: at(house.ann, base),
        if_absent: false,
        if_etag: None,
        removals_as_of: None,
        merge_entries_max: 100,
        held: false,
        now: house.clock.now(),
    };
    house.db.stage_open(plan(1)).await.unwrap();
    house.later(1);
    let opened_at = house.clock.now();
    let (new, plan) = (house.db.stage_open(plan(2)).await.unwrap(), plan(2));
    house.later(1);
    let swept = house.upkeep.sweep(Some(opened_at)).await.unwrap();
    assert_eq!(swept.commits, 1, "the one that was left");
    house.db.publish(&new, plan).await.unwrap();
}

#[tokio::test]
async fn a_row_that_leads_to_another_record_is_found() {
    let house = House::new().await;
    house.put(1, 10).await;
    house.put(2, 10).await;
    assert_eq!(house.verify().await, (2, vec![]));
    let rows = house.db.chunks(None, 9).await.unwrap();
    house.db.relocate(vec![(rows[0].hash, rows[0].place, rows[1].place)]).await.unwrap();
    let (good, touched) = house.verify().await;
    let name = if rows[0].hash == ChunkHash::of(&[1; 10]) { "ann:/1" } else { "ann:/2" };
    assert_eq!(
        (good, touched),
        (2, vec![vec![name.to_owned()]]),
        "the record is sound, and another's"
    );
}

#[tokio::test]
async fn a_row_that_leads_to_a_lost_pack_is_found() {
    let house = House::new().await;
    let hash = house.put(1, 10).await;
    let row = house.db.chunks(None, 9).await.unwrap()[0];
    let lost = ChunkPlace { pack: PackId::new(), ..row.place };
    house.db.relocate(vec![(hash, row.place, lost)]).await.unwrap();
    assert_eq!(house.verify().await, (1, vec![vec!["ann:/1".to_owned()]]));
}

#[tokio::test]
async fn bytes_that_are_not_what_their_digest_says_are_found() {
    let house = House::new().await;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[1; 10]).update(&[2; 10]);
    house.put_long(1, hasher.finalize().into()).await;
    assert_eq!(house.verify().await, (2, vec![]));
    house.put_long(3, [7; 32]).await;
    assert_eq!(house.verify().await, (4, vec![vec!["ann:/3".to_owned()]]));
}

#[tokio::test]
async fn what_is_gone_is_told_for_ninety_days() {
    let house = House::new().await;
    house.put(1, 10).await;
    house.purge(1).await;
    let horizon = async || house.db.start(house.ann).await.unwrap().horizon.0;
    house.later(90 * DAY_MS);
    assert_eq!(house.upkeep.sweep(None).await.unwrap().tombstones, 0);
    assert_eq!(horizon().await, 0);
    house.later(1);
    assert_eq!(house.upkeep.sweep(None).await.unwrap().tombstones, 1);
    assert_eq!(horizon().await, house.db.start(house.ann).await.unwrap().modseq.0);
}

#[tokio::test]
async fn a_chunk_is_condemned_when_it_is_marked_not_when_the_run_began() {
    let house = House::new().await;
    let hash = house.put(1, 10).await;
    house.purge(1).await;
    let began = house.clock.now();
    house.clock.step.store(1, Ordering::SeqCst);
    house.upkeep.collect(NONE).await.unwrap();
    let row = house.db.chunks(None, 1).await.unwrap()[0];
    assert_eq!(row.hash, hash);
    assert!(row.condemned_at > Some(began), "time went on since then");
}
