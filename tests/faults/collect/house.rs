//! The two stores of a server with the rules above them, in this process, on a clock that the test moves;
//! and somebody who puts few contents to few places, so that all that one lets go of another wants.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use depot_server::chunks::{self, Chunks, Lane, PackInfo, PackOptions, Record};
use depot_server::clock::Clock;
use depot_server::content::{Contents, Reserve};
use depot_server::db::{self, Db, NewAccount, Options, Position};
use depot_server::error::Result;
use depot_server::faults::turn;
use depot_server::files::Files;
use depot_server::model::{
    AccountName, Caller, ChunkHash, ChunkPlace, Limits, Location, NewChunk, PackId, Reader,
    SessionId,
};
use depot_server::upkeep::{Terms, Upkeep};
use depot_tests::clock::ManualClock;
use tempfile::TempDir;

use super::tenant::{Tenant, read};
use crate::chance::Chance;

/// A pack is full after a few chunks, so that packs are emptied, rewritten and unlinked all the time.
const PACK_BYTES_MAX: u64 = 700 << 10;
/// In memory: this is about order, and not about disks.
const SHM: &str = "/dev/shm";

/// See above.
pub(crate) struct House {
    pub(crate) upkeep: Upkeep,
    pub(crate) tenant: Tenant,
    clock: Arc<ManualClock>,
    time: Time,
    _folder: TempDir,
}

/// Time passes between calls, and not within one: the server's promise is that what is not referred to
/// stays for a day, and that a call takes less than that.
#[derive(Clone, Default)]
pub(crate) struct Time(Arc<Calls>);

#[derive(Default)]
struct Calls {
    open: AtomicUsize,
    /// Whether time is to pass, and new calls wait for that.
    held_up: AtomicBool,
}

/// A call in which no time passes, until this is dropped.
pub(super) struct Call(Arc<Calls>);

impl Drop for Call {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Time {
    /// Begins a call.
    pub(super) async fn stands_still(&self) -> Call {
        loop {
            self.0.open.fetch_add(1, Ordering::SeqCst);
            let call = Call(Arc::clone(&self.0));
            if !self.0.held_up.load(Ordering::SeqCst) {
                return call;
            }
            drop(call);
            turn().await;
            tokio::task::yield_now().await;
        }
    }
}

impl House {
    /// With nothing in it.
    pub(crate) async fn new() -> Self {
        let shm = Path::new(SHM);
        let folder = if shm.is_dir() { TempDir::new_in(shm) } else { TempDir::new() };
        let folder = folder.expect("a temporary folder");
        let (clock, limits) = (Arc::<ManualClock>::default(), Arc::<Limits>::default());
        let db = open_db(folder.path());
        let packs = PackOptions {
            pack_bytes_max: PACK_BYTES_MAX,
            ..PackOptions::new(folder.path().join("packs"))
        };
        let (packs, _) = chunks::open(packs, &HashMap::new()).expect("packs");
        let packs: Arc<dyn Chunks> = Arc::new(Stepwise(packs));
        let terms = Terms {
            trash_days: 30,
            version_days: 365,
            tombstone_days: 90,
            compact_bytes_per_second: 0,
        };
        let as_clock = || Arc::clone(&clock) as Arc<dyn Clock>;
        let upkeep = Upkeep::new(Arc::clone(&db), Arc::clone(&packs), as_clock(), terms);
        let reserve = Arc::new(Reserve::new(folder.path().join("reserve")));
        let limits = || Arc::clone(&limits);
        let contents = Contents::new(Arc::clone(&db), packs, as_clock(), limits(), reserve);
        let files = Files::new(Arc::clone(&db), contents, as_clock(), limits());
        let time = Time::default();
        let tenant = Tenant::new(files, caller(&*db).await, time.clone());
        Self { upkeep, tenant, clock, time, _folder: folder }
    }

    /// Says that time is to pass.
    pub(crate) fn hold_up(&self) {
        self.time.0.held_up.store(true, Ordering::SeqCst);
    }

    /// Lets time pass, if it is to and no call is open; whether it did.
    pub(crate) fn may_pass(&self, time: Duration) -> bool {
        let Calls { open, held_up } = &*self.time.0;
        let may = held_up.load(Ordering::SeqCst) && open.load(Ordering::SeqCst) == 0;
        if may {
            self.clock.pass(time);
            held_up.store(false, Ordering::SeqCst);
        }
        may
    }

    /// What is wrong: a row, a sum, a chunk that is not there, bytes that are not what their names say.
    pub(crate) async fn problem(&self) -> Option<String> {
        let report = self.upkeep.verify().await.expect("a check");
        if let Some(finding) = report.findings.first() {
            return Some(format!("lost: {}: {:?}", finding.problem, finding.touches));
        }
        let Tenant { files, caller, .. } = &self.tenant;
        let (reader, root) = (Reader::Account(caller.clone()), location("/"));
        let all = files.list(&reader, &root, true, Position::Start, 1_000).await.expect("a list");
        for listed in all.entries {
            let problem = read(files, &reader, &Location { owner: None, path: listed.path }).await;
            if let Err(problem) = problem {
                return Some(problem);
            }
        }
        None
    }
}

/// A path in one's own tree.
pub(crate) fn location(path: &str) -> Location {
    Location::parse(path, "path").expect("a path")
}

fn open_db(folder: &Path) -> Arc<dyn Db> {
    db::open(Options {
        path: folder.join("meta.sqlite3"),
        writer_queue_max: 256,
        readers: 2,
        // What is put over is let go of at once but for the last.
        versions_max: 1,
        cache_bytes: 4 << 20,
        committed: Arc::new(|_| {}),
        make_room: Arc::new(|| false),
    })
    .expect("a store")
}

async fn caller(db: &dyn Db) -> Caller {
    let name = AccountName::parse("ann").expect("a name");
    let new = NewAccount {
        name: name.clone(),
        password: "a hash".to_owned(),
        admin: false,
        quota: None,
        only_first_admin: false,
        now: 1,
    };
    let account = db.create_account(new).await.expect("an account").id;
    Caller { account, name, admin: false, session: SessionId::new(), token_expires_at: i64::MAX }
}

/// Packs, each append to which and each removal of which is a step.
struct Stepwise(Arc<dyn Chunks>);

#[async_trait]
impl Chunks for Stepwise {
    async fn append(&self, lane: Lane, chunks: Vec<NewChunk>) -> Result<Vec<ChunkPlace>> {
        turn().await;
        self.0.append(lane, chunks).await
    }

    async fn read(&self, hash: ChunkHash, place: ChunkPlace) -> Result<Bytes> {
        turn().await;
        self.0.read(hash, place).await
    }

    async fn packs(&self) -> Result<Vec<PackInfo>> {
        turn().await;
        self.0.packs().await
    }

    async fn scan(
        &self,
        pack: PackId,
        offset: u64,
        limit: usize,
    ) -> Result<(Vec<Record>, Option<u64>)> {
        self.0.scan(pack, offset, limit).await
    }

    async fn remove(&self, pack: PackId) -> Result<()> {
        turn().await;
        self.0.remove(pack).await
    }
}

/// Minutes to days, mostly what the collector waits for.
pub(crate) fn some_time(chance: &mut Chance) -> Duration {
    let milliseconds = [1, 60_000, 86_400_000, 86_400_001, 2 * 86_400_000];
    Duration::from_millis(milliseconds[chance.place(milliseconds.len())])
}
