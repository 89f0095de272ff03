//! Migrations: forward only, each a script in one transaction, counted in `user_version`.

use rusqlite::Connection;

use crate::error::{Error, Kind, Result};
use crate::model::{FOLD_VERSION, StoreId};

/// The scripts in order; one that has been released never changes.
const SCRIPTS: [&str; 1] = [include_str!("0001.sql")];

/// Runs the scripts that this database has not seen.
pub(super) fn bring_up_to_date(conn: &mut Connection) -> Result<()> {
    let seen: usize = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if seen > SCRIPTS.len() {
        return Err(Error::new(
            Kind::FailedPrecondition,
            "the database was written by a newer depot-server; use that version or a newer one",
        ));
    }
    for (number, script) in SCRIPTS.iter().enumerate().skip(seen) {
        let tx = conn.transaction()?;
        tx.execute_batch(script)?;
        tx.pragma_update(None, "user_version", number + 1)?;
        if number == 0 {
            tx.execute(
                "INSERT INTO store (one, id, epoch, fold_version, created_at, collected_at)
                 VALUES (1, ?1, 1, ?2, unixepoch() * 1000, unixepoch() * 1000)",
                (StoreId::new().as_bytes(), FOLD_VERSION),
            )?;
        }
        tx.commit()?;
    }
    check_folding(conn)
}

/// Keys folded by another Unicode version could miss twins.
fn check_folding(conn: &Connection) -> Result<()> {
    let version: u64 = conn.query_row("SELECT fold_version FROM store", [], |row| row.get(0))?;
    if version > FOLD_VERSION {
        return Err(Error::new(
            Kind::FailedPrecondition,
            "the names in this database were folded by a newer depot-server; use that version",
        ));
    }
    Ok(())
}
