//! The stores of a data directory, opened together: the metadata first, then the packs as far as the
//! metadata knows them, and what was found past that is taken in.

use std::collections::HashMap;
use std::sync::Arc;

use crate::changes::Watchers;
use crate::chunks::{self, Chunks, Found, PackOptions, end_of};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::content::Reserve;
use crate::db::{self, Db, Options};
use crate::error::{Error, Result};
use crate::serve::{DataDir, Purpose};
use crate::upkeep::{Terms, Upkeep};

/// Chunks taken in with one change.
const ADOPTED: usize = 500;

/// Everything that is kept.
pub struct Stores {
    /// The metadata.
    pub db: Arc<dyn Db>,
    /// The bytes.
    pub chunks: Arc<dyn Chunks>,
    /// The disk's reserve.
    pub reserve: Arc<Reserve>,
    /// Who is woken by commits.
    pub watchers: Arc<Watchers>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// When they were opened: what was begun before that was begun by a process that has ended.
    pub opened_at: i64,
    /// Held for as long as the stores are open.
    pub dir: DataDir,
}

impl Stores {
    /// Opens or makes the data directory and what is in it.
    pub async fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<Self> {
        Self::open_for(Purpose::Serve, config, clock).await
    }

    /// Opens the data directory and what is in it; whether it is made where it is not there, its purpose
    /// says.
    pub async fn open_for(
        purpose: Purpose,
        config: &Config,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let dir = DataDir::open(&config.server.data, purpose)?;
        let opened_at = clock.now();
        let reserve = Arc::new(Reserve::new(dir.reserve()));
        reserve.make_room_to_open()?;
        let watchers = Arc::new(Watchers::default());
        let bell = Arc::clone(&watchers);
        let room = Arc::clone(&reserve);
        let options = Options {
            path: dir.database(),
            writer_queue_max: config.limits.writer_queue_max,
            readers: config.store.readers,
            cache_bytes: config.store.cache_bytes,
            versions_max: config.store.versions_max,
            committed: Arc::new(move |accounts| bell.wake(accounts)),
            make_room: Arc::new(move || room.give_up()),
        };
        let db = blocking(move || db::open(options)).await?;
        if db.settle(dir.home()?, opened_at).await? {
            tracing::info!("this is a copy: whoever follows changes begins anew");
        }
        let places = db.last_places().await?;
        let known: HashMap<_, _> =
            places.into_iter().map(|(pack, place)| (pack, end_of(&place))).collect();
        let packs = PackOptions {
            pack_bytes_max: config.store.pack_bytes_max,
            // No pack is spared because it could be appended to.
            seal_open_packs: purpose == Purpose::Collect,
            ..PackOptions::new(dir.packs())
        };
        let (chunks, found) = blocking(move || chunks::open(packs, &known)).await?;
        adopt(&*db, found, clock.now()).await?;
        Ok(Self { db, chunks, reserve, watchers, clock, opened_at, dir })
    }

    /// What keeps them sound and small.
    pub fn upkeep(&self, config: &config::Store) -> Upkeep {
        let (db, chunks) = (Arc::clone(&self.db), Arc::clone(&self.chunks));
        let config::Store { trash_days, version_days, tombstone_days, .. } = *config;
        let compact_bytes_per_second = config.compact_bytes_per_second;
        let terms = Terms { trash_days, version_days, tombstone_days, compact_bytes_per_second };
        Upkeep::new(db, chunks, Arc::clone(&self.clock), terms)
    }

    /// Closes them; dropping waits for what is queued.
    pub async fn close(self) {
        let closed = tokio::task::spawn_blocking(move || drop(self)).await;
        if let Err(error) = closed {
            tracing::error!(%error, "the stores were not closed cleanly");
        }
    }
}

async fn adopt(db: &dyn Db, found: Vec<Found>, now: i64) -> Result<()> {
    if !found.is_empty() {
        tracing::info!(chunks = found.len(), "chunks of the last moment before a crash were kept");
    }
    for some in found.chunks(ADOPTED) {
        db.adopt(some.iter().map(|found| (found.hash, found.place)).collect(), now).await?;
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::internal("stores", error))?
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::Arc;

    use super::Stores;
    use crate::clock::SystemClock;
    use crate::config::{Config, Server};

    async fn epoch(data: &Path) -> u64 {
        let server = Server { data: data.to_owned(), ..Server::default() };
        let config = Config { server, ..Config::default() };
        let stores = Stores::open(&config, Arc::new(SystemClock)).await.unwrap();
        let epoch = stores.db.store().await.unwrap().epoch;
        stores.close().await;
        epoch
    }

    #[tokio::test]
    async fn a_copy_has_an_epoch_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let (data, copy) = (dir.path().join("data"), dir.path().join("copy"));
        let first = epoch(&data).await;
        assert_eq!(epoch(&data).await, first, "it is started again");
        let copied = std::process::Command::new("cp").arg("-a").args([&data, &copy]).status();
        assert!(copied.unwrap().success());
        assert_eq!(epoch(&data).await, first, "it was copied");
        let restored = epoch(&copy).await;
        assert!(restored > first, "{restored}: this is the copy");
        assert_eq!(epoch(&copy).await, restored);
        fs::remove_dir_all(&data).unwrap();
        fs::rename(&copy, &data).unwrap();
        assert_eq!(epoch(&data).await, restored, "it was moved");
    }
}
