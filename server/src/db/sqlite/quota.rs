//! What an account holds and may hold: used + what its uploads have brought ≤ quota, at every commit.
//!
//! Before anything is refused, what nobody will miss goes: uploads that nobody is sending any more, then
//! the trash, then the oldest past versions, each the oldest first.

use rusqlite::Connection;

use crate::db::sqlite::rows::one;
use crate::db::sqlite::trash::{drop_oldest_version, purge_oldest_removed};
use crate::db::sqlite::writer::Tx;
use crate::error::{Detail, Error, Kind, Result};
use crate::model::AccountId;

/// An upload that nothing was heard of for this long may be evicted for room.
const LEASE_IDLE_MS: i64 = 120_000;

/// What one account holds.
pub(super) struct Balance {
    used: i64,
    staged: i64,
    quota: Option<i64>,
}

impl Balance {
    fn excess(&self, more: i64) -> i64 {
        let held = self.used.saturating_add(self.staged).saturating_add(more);
        self.quota.map_or(0, |quota| held.saturating_sub(quota))
    }
}

fn balance(conn: &Connection, account: AccountId) -> Result<Balance> {
    let sql = "SELECT used, quota, (SELECT coalesce(sum(bytes), 0) FROM lease WHERE account = ?1)
               FROM account WHERE id = ?1";
    one(conn, sql, [account], |row| {
        Ok(Balance { used: row.get(0)?, quota: row.get(1)?, staged: row.get(2)? })
    })?
    .ok_or_else(|| Error::internal("quota", "no such account"))
}

/// Whether `more` bytes fit without anything being evicted.
pub(super) fn fits(conn: &Connection, account: AccountId, more: u64) -> Result<bool> {
    Ok(balance(conn, account)?.excess(signed(more)?) <= 0)
}

/// Makes room for `more` bytes or refuses.
pub(super) fn make_room(tx: &mut Tx<'_>, account: AccountId, more: u64, now: i64) -> Result<()> {
    let more = signed(more)?;
    loop {
        let balance = balance(tx.conn(), account)?;
        if balance.excess(more) <= 0 {
            return Ok(());
        }
        let evicted = drop_idle_lease(tx, account, now.saturating_sub(LEASE_IDLE_MS))?
            || purge_oldest_removed(tx, account)?
            || drop_oldest_version(tx, account)?;
        if !evicted {
            return Err(exceeded(&balance, more));
        }
    }
}

/// Adds to what an account holds, after making room.
pub(super) fn charge(tx: &mut Tx<'_>, account: AccountId, bytes: u64, now: i64) -> Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    make_room(tx, account, bytes, now)?;
    add(tx, account, signed(bytes)?)
}

/// Adds to what an account holds, if that fits, without the account having asked for it: when it does
/// not, nothing was evicted in vain. Whether it fits.
pub(super) fn offer(tx: &mut Tx<'_>, account: AccountId, bytes: u64, now: i64) -> Result<bool> {
    if bytes == 0 || fits(tx.conn(), account, bytes)? {
        add(tx, account, signed(bytes)?)?;
        return Ok(true);
    }
    tx.execute("SAVEPOINT offer", [])?;
    let fits = match charge(tx, account, bytes, now) {
        Ok(()) => true,
        Err(error) if error.kind() == Kind::QuotaExceeded => {
            tx.execute("ROLLBACK TO offer", [])?;
            false
        }
        Err(error) => return Err(error),
    };
    tx.execute("RELEASE offer", [])?;
    Ok(fits)
}

/// Takes from what an account holds.
pub(super) fn release(tx: &Tx<'_>, account: AccountId, bytes: u64) -> Result<()> {
    add(tx, account, -signed(bytes)?)
}

fn add(tx: &Tx<'_>, account: AccountId, bytes: i64) -> Result<()> {
    tx.execute("UPDATE account SET used = used + ?2 WHERE id = ?1", (account, bytes)).map(drop)
}

/// Ends the upload that has been idle longest, if it was idle at `before`; its chunks are left to the
/// collector.
pub(super) fn drop_idle_lease(tx: &Tx<'_>, account: AccountId, before: i64) -> Result<bool> {
    let sql = "DELETE FROM lease WHERE (account, upload) IN (
                 SELECT account, upload FROM lease WHERE account = ?1 AND touched_at <= ?2
                 ORDER BY touched_at, upload LIMIT 1)";
    Ok(tx.execute(sql, (account, before))? > 0)
}

fn signed(bytes: u64) -> Result<i64> {
    i64::try_from(bytes).map_err(|_| Error::new(Kind::LimitExceeded, "a size past 2^63 bytes"))
}

fn exceeded(balance: &Balance, more: i64) -> Error {
    let quota = balance.quota.unwrap_or(0);
    let problem = format!(
        "{} of {quota} bytes are used, {} more by uploads under way, and {more} would be added",
        balance.used, balance.staged
    );
    Error::new(
        Kind::QuotaExceeded,
        format!("the quota is full: {problem}; remove something or ask for a larger quota"),
    )
    .with(Detail::Quota { subject: "account".to_owned(), problem })
}
