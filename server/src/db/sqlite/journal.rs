//! The one rising number per account, for files and mail alike.

use crate::db::sqlite::rows::one;
use crate::db::sqlite::writer::Tx;
use crate::error::{Error, Result};
use crate::model::{AccountId, Modseq};

/// Takes the next number of an account and has its watchers told.
pub(super) fn next(tx: &mut Tx<'_>, account: AccountId) -> Result<Modseq> {
    tx.touch(account);
    quiet(tx, account)
}

/// Takes the next number for what nobody sees yet.
pub(super) fn quiet(tx: &Tx<'_>, account: AccountId) -> Result<Modseq> {
    let sql = "UPDATE account SET modseq = modseq + 1 WHERE id = ?1 RETURNING modseq";
    one(tx.conn(), sql, [account], |row| row.get(0))?
        .ok_or_else(|| Error::internal("journal.quiet", "no such account"))
}

/// The latest number of an account.
pub(super) fn current(conn: &rusqlite::Connection, account: AccountId) -> Result<Modseq> {
    one(conn, "SELECT modseq FROM account WHERE id = ?1", [account], |row| row.get(0))?
        .ok_or_else(|| Error::internal("journal.current", "no such account"))
}
