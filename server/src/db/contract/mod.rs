//! One suite for every store of metadata: stories over `Arc<dyn Db>`, each told to every adapter that is
//! named in `stories!`. After every story the store looks for problems in itself, so that sums which
//! drift, references which dangle and keys which are wrong fail the story that made them.

mod accounts;
mod changes;
mod commits;
mod conditions;
mod contents;
mod durability;
mod ears;
mod groups;
mod links;
mod listing;
mod looking;
mod mail;
mod merges;
mod past;
mod people;
mod quota;
mod reading;
mod removals;
mod requests;
mod sessions;
mod sharing;
mod staging;
mod trash;
mod tree;
mod upkeep;
mod watching;

use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use crate::db::contract::ears::Ears;
use crate::db::contract::people::Person;
use crate::db::{Committed, Db, NewAccount, Options, open, sqlite};
use crate::error::Result;
use crate::model::{AccountId, AccountName, PackId};

/// Makes a test of each story for each adapter.
macro_rules! stories {
    ($($story:ident)*) => {
        $crate::db::contract::on! { sqlite = $crate::db::contract::SQLITE; $($story)* }
    };
}
use stories;

/// Makes a test of each story for one adapter.
macro_rules! on {
    ($adapter:ident = $value:path; $($story:ident)*) => {
        mod $adapter {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() {
                $crate::db::contract::tell(&$value, super::$story).await;
            }
        )*}
    };
}
use on;

/// What stories need of an adapter.
struct Adapter {
    /// Opens the store in a directory; made when it is not there.
    open: fn(&Path, usize, Committed) -> Result<Arc<dyn Db>>,
    /// What its own tests saw it do that it should not.
    complaints: fn() -> Vec<String>,
}

const SQLITE: Adapter = Adapter {
    open: |dir, writer_queue_max, committed| {
        let path = dir.join("meta.sqlite3");
        let make_room = Arc::new(|| false);
        open(Options {
            path,
            writer_queue_max,
            readers: 2,
            cache_bytes: 4 << 20,
            versions_max: VERSIONS_MAX,
            committed,
            make_room,
        })
    },
    complaints: sqlite::complaints,
};

/// Tells a story, then asks the store whether it is still sound.
async fn tell(adapter: &'static Adapter, story: impl AsyncFnOnce(&World)) {
    let world = World::new(adapter);
    story(&world).await;
    world.finish().await;
}

/// Past versions of a file that are kept.
const VERSIONS_MAX: u32 = 100;

/// Jobs that may wait for the writer.
const WRITER_QUEUE_MAX: usize = 256;

/// A store in a directory of its own, a clock that stands still, and whoever was told of commits.
struct World {
    adapter: &'static Adapter,
    dir: TempDir,
    db: Mutex<Option<Arc<dyn Db>>>,
    clock: Arc<AtomicI64>,
    bytes: Arc<AtomicU64>,
    pack: PackId,
    ears: Arc<Ears>,
}

impl World {
    fn new(adapter: &'static Adapter) -> Self {
        let dir = TempDir::new().unwrap();
        let ears = Arc::<Ears>::default();
        let db = (adapter.open)(dir.path(), WRITER_QUEUE_MAX, ears.committed()).unwrap();
        Self {
            adapter,
            dir,
            db: Mutex::new(Some(db)),
            clock: Arc::new(AtomicI64::new(1_700_000_000_000)),
            bytes: Arc::default(),
            pack: PackId::new(),
            ears,
        }
    }

    /// The store as it is open now.
    fn db(&self) -> Arc<dyn Db> {
        Arc::clone(self.db.lock().unwrap().as_ref().expect("the store is open"))
    }

    /// Closes the store, which nobody else may hold, and opens it again.
    fn reopen(&self) {
        let mut db = self.db.lock().unwrap();
        let closed = db.take().expect("the store is open");
        assert_eq!(Arc::strong_count(&closed), 1, "somebody holds the store");
        drop(closed);
        *db = Some(self.open_in(self.dir.path()));
    }

    /// Opens what is in a directory.
    fn open_in(&self, dir: &Path) -> Arc<dyn Db> {
        (self.adapter.open)(dir, WRITER_QUEUE_MAX, self.ears.committed()).unwrap()
    }

    fn now(&self) -> i64 {
        self.clock.load(Ordering::Relaxed)
    }

    /// Lets time pass; backwards too.
    fn later(&self, milliseconds: i64) {
        self.clock.fetch_add(milliseconds, Ordering::Relaxed);
    }

    /// Whose watchers were woken since the last look.
    fn told(&self) -> Vec<AccountId> {
        self.ears.take()
    }

    /// Makes an account and gives a hold of it.
    async fn account(&self, name: &str) -> Person {
        self.make(new_account(name)).await
    }

    /// The same, with so many bytes to fill.
    async fn account_with(&self, name: &str, quota: u64) -> Person {
        self.make(NewAccount { quota: Some(quota), ..new_account(name) }).await
    }

    async fn make(&self, new: NewAccount) -> Person {
        let account = self.db().create_account(NewAccount { now: self.now(), ..new }).await;
        let account = account.unwrap();
        self.person(account.id, account.name)
    }

    /// A hold of an account that is there.
    fn person(&self, id: AccountId, name: AccountName) -> Person {
        let (clock, bytes) = (Arc::clone(&self.clock), Arc::clone(&self.bytes));
        Person::new(self.db(), (id, name), clock, (self.pack, bytes))
    }

    async fn finish(self) {
        assert_eq!(self.db().problems().await.unwrap(), Vec::<String>::new());
        assert_eq!((self.adapter.complaints)(), Vec::<String>::new());
    }
}

/// An account that is nothing special.
fn new_account(name: &str) -> NewAccount {
    NewAccount {
        name: named(name),
        password: "a hash".to_owned(),
        admin: false,
        quota: None,
        only_first_admin: false,
        now: 0,
    }
}

fn named(name: &str) -> AccountName {
    AccountName::parse(name).unwrap()
}
