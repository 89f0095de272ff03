//! The one rising number per account, for files and mail alike. A job takes its numbers in memory and writes
//! the last of each account once, at its end: a large one takes thousands.

use rusqlite::Connection;

use crate::db::sqlite::rows::one;
use crate::db::sqlite::writer::Tx;
use crate::error::{Error, Result};
use crate::model::{AccountId, Modseq};

/// The last numbers that a job has taken and not written.
#[derive(Default)]
pub(super) struct Numbers(Vec<(AccountId, Modseq)>);

/// Takes the next number of an account and has its watchers told.
pub(super) fn next(tx: &mut Tx<'_>, account: AccountId) -> Result<Modseq> {
    tx.touch(account);
    quiet(tx, account)
}

/// Takes the next number for what nobody sees yet.
pub(super) fn quiet(tx: &mut Tx<'_>, account: AccountId) -> Result<Modseq> {
    if let Some((_, last)) = tx.numbers.0.iter_mut().find(|(of, _)| *of == account) {
        *last = Modseq(last.0 + 1);
        return Ok(*last);
    }
    let first = Modseq(current(tx.conn(), account)?.0 + 1);
    tx.numbers.0.push((account, first));
    Ok(first)
}

/// The latest number of an account, those that this job has taken included.
pub(super) fn latest(tx: &Tx<'_>, account: AccountId) -> Result<Modseq> {
    match tx.numbers.0.iter().find(|(of, _)| *of == account) {
        Some((_, last)) => Ok(*last),
        None => current(tx.conn(), account),
    }
}

/// The latest number of an account.
pub(super) fn current(conn: &Connection, account: AccountId) -> Result<Modseq> {
    one(conn, "SELECT modseq FROM account WHERE id = ?1", [account], |row| row.get(0))?
        .ok_or_else(|| Error::internal("journal.current", "no such account"))
}

/// Writes the numbers that were taken: at the end of each job, and before a statement that counts on.
pub(super) fn write(tx: &mut Tx<'_>) -> Result<()> {
    for (account, last) in std::mem::take(&mut tx.numbers.0) {
        tx.execute("UPDATE account SET modseq = ?2 WHERE id = ?1", (account, last))?;
    }
    Ok(())
}
