//! Connections that only read. Each reading is one short transaction on a blocking thread: it sees a
//! whole commit or nothing of it, and it never waits for the writer.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::db::sqlite::configure;
use crate::error::{Error, Result};

/// A few connections, lent to one reading each.
#[derive(Clone)]
pub(super) struct Readers {
    idle: Arc<Mutex<Vec<Connection>>>,
    free: Arc<Semaphore>,
    /// Of those, how many may be lent for long.
    long: Arc<Semaphore>,
}

impl Readers {
    /// Opens `count` connections with `cache_bytes` of page cache each.
    pub(super) fn open(path: &Path, count: usize, cache_bytes: u64) -> Result<Self> {
        let connections = (0..count)
            .map(|_| {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                let conn = Connection::open_with_flags(path, flags)?;
                configure(&conn, cache_bytes)?;
                conn.pragma_update(None, "query_only", true)?;
                Ok(conn)
            })
            .collect::<Result<Vec<_>>>()?;
        let free = Arc::new(Semaphore::new(connections.len()));
        let long = Arc::new(Semaphore::new((count / 2).max(1)));
        Ok(Self { idle: Arc::new(Mutex::new(connections)), free, long })
    }

    /// Runs `read` in a transaction of its own.
    pub(super) async fn run<T, F>(&self, op: &'static str, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        self.lend(op, None, read).await
    }

    /// The same, where it may take seconds: whoever only logs in does not wait for it.
    pub(super) async fn run_long<T, F>(&self, op: &'static str, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let long = Arc::clone(&self.long).acquire_owned().await;
        let long = long.map_err(|error| Error::internal(op, error))?;
        self.lend(op, Some(long), read).await
    }

    async fn lend<T, F>(
        &self,
        op: &'static str,
        long: Option<OwnedSemaphorePermit>,
        read: F,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let free = Arc::clone(&self.free);
        let permit = free.acquire_owned().await.map_err(|error| Error::internal(op, error))?;
        let idle = Arc::clone(&self.idle);
        let task = tokio::task::spawn_blocking(move || {
            // Moved in: the connection stays ours until the reading ends, even if the caller leaves.
            let _permits = (permit, long);
            let conn = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(conn) = conn else {
                return Err(Error::internal(op, "more permits than connections"));
            };
            in_transaction(&Lent { conn: Some(conn), idle }, read)
        });
        task.await.map_err(|error| Error::internal(op, error))?.map_err(|error| error.op(op))
    }
}

/// A connection that goes back to the idle ones, even from a reading that panics.
struct Lent {
    conn: Option<Connection>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(conn) = self.conn.take() else {
            return;
        };
        if !conn.is_autocommit()
            && let Err(error) = conn.prepare_cached("ROLLBACK").and_then(|mut end| end.execute([]))
        {
            tracing::error!(%error, "a reading could not be ended");
        }
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
    }
}

fn in_transaction<T>(lent: &Lent, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    let Some(conn) = &lent.conn else {
        return Err(Error::internal("readers", "no connection"));
    };
    conn.prepare_cached("BEGIN")?.execute([])?;
    read(conn)
}
