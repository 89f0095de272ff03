//! The embedded store: SQLite in WAL mode with `synchronous=FULL`, one writing thread with group commit,
//! a few reading connections.
//!
//! Durable when answered: FULL syncs the log at each commit. (NORMAL lost 500 of 500 acknowledged
//! commits in a power cut; FULL lost none.)

mod accounts;
mod changes;
mod checks;
mod commits;
mod conditions;
mod contents;
mod drops;
mod entries;
mod error;
mod groups;
mod journal;
mod links;
mod mail;
mod measure;
mod merge;
mod past;
mod paths;
#[cfg(test)]
mod plans;
mod queue;
mod quota;
mod reach;
mod readers;
mod requests;
mod rows;
mod schema;
mod sessions;
mod sharing;
mod since;
mod staged;
mod trash;
mod tree;
mod undo;
mod upkeep;
mod versions;
mod walk;
mod writer;

use std::fs::OpenOptions;
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{FallocateFlags, fallocate};

use crate::db::{Db, Options};
use crate::error::{Error, Kind, Result};
use crate::faults::{Protection, is_off, turn};

#[cfg(test)]
pub(super) use plans::complaints;
use queue::Lane;
use readers::Readers;
use writer::{Tx, Writer};

/// The oldest SQLite that is trusted: it has the fix of the WAL-reset bug of 3.51.2 and before.
const SQLITE_VERSION_MIN: i32 = 3_051_003;

/// Bytes of the index of a log of 64 MiB, sixteen times as long as it grows by itself.
const INDEX_BYTES: u64 = 128 << 10;

/// How many prepared statements a connection keeps.
const STATEMENTS_KEPT: usize = 256;

/// The store.
pub(super) struct Sqlite {
    writer: Writer,
    readers: Readers,
}

impl Db for Sqlite {}

impl Sqlite {
    /// Opens or creates the database and starts the writer.
    pub(super) fn open(options: Options) -> Result<Self> {
        if rusqlite::version_number() < SQLITE_VERSION_MIN {
            let message = format!("SQLite {} is too old", rusqlite::version());
            return Err(Error::new(Kind::Internal, message));
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut conn = Connection::open_with_flags(&options.path, flags)?;
        let mode: String =
            conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        if mode != "wal" {
            let message = "this file system cannot hold the database; choose a local disk";
            return Err(Error::new(Kind::FailedPrecondition, message));
        }
        configure(&conn, options.cache_bytes)?;
        schema::bring_up_to_date(&mut conn)?;
        let readers = Readers::open(&options.path, options.readers, options.cache_bytes / 8)?;
        if let Err(error) = allocate_index(&options.path) {
            tracing::warn!(%error, "the index of the database's log has no room of its own");
        }
        let hooks = (options.committed, options.make_room);
        let limits = (options.writer_queue_max, options.versions_max);
        let writer = Writer::start(conn, limits, hooks)?;
        Ok(Self { writer, readers })
    }

    async fn read<T, F>(&self, op: &'static str, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        turn().await;
        self.readers.run(op, read).await
    }

    /// A reading that takes as long as there are rows: not all of the connections are lent to such.
    async fn read_long<T, F>(&self, op: &'static str, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        turn().await;
        self.readers.run_long(op, read).await
    }

    async fn write<T, F>(&self, op: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        turn().await;
        self.writer.run(Lane::Interactive, op, work).await
    }

    async fn write_behind<T, F>(&self, op: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        turn().await;
        self.writer.run(Lane::Background, op, work).await
    }
}

/// Takes the room that the index of the log will need. SQLite maps that file and touches one byte of each
/// 4 KiB to have its room; where blocks are smaller, a full disk would end the process by a signal.
fn allocate_index(database: &Path) -> std::io::Result<()> {
    let mut name = database.as_os_str().to_owned();
    name.push("-shm");
    let index = OpenOptions::new().write(true).open(name)?;
    Ok(fallocate(&index, FallocateFlags::empty(), 0, INDEX_BYTES)?)
}

/// What every connection has.
fn configure(conn: &Connection, cache_bytes: u64) -> Result<()> {
    conn.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    // Plans do not depend on what is bound. Otherwise SQLite plans a kept statement anew at each use, because
    // its parameters were cleared meanwhile.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    let synchronous = if is_off(Protection::Sync) { "OFF" } else { "FULL" };
    conn.pragma_update(None, "synchronous", synchronous)?;
    conn.pragma_update(None, "foreign_keys", true)?;
    // Mapped pages would count as resident and turn read errors into SIGBUS.
    conn.pragma_update(None, "mmap_size", 0)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    // Negative: KiB.
    let kib = i64::try_from(cache_bytes / 1024).unwrap_or(i64::MAX);
    conn.pragma_update(None, "cache_size", -kib)?;
    // Schemas of other people's files are not trusted to call functions.
    conn.pragma_update(None, "trusted_schema", false)?;
    conn.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(())
}
