//! What is removed for good: trashed entries and past versions, oldest first, and the tombstones that
//! tell clients who were away.

use crate::db::sqlite::paths::{Upwards, by_id};
use crate::db::sqlite::quota;
use crate::db::sqlite::rows::{all, kind, one};
use crate::db::sqlite::writer::Tx;
use crate::error::Result;
use crate::model::{AccountId, EntryId, VersionId};

/// Purges an account's longest removed entry with all below it; whether there was one.
pub(super) fn purge_oldest_removed(tx: &mut Tx<'_>, account: AccountId) -> Result<bool> {
    let sql = "SELECT id FROM entry WHERE account = ?1 AND removed_at IS NOT NULL
               ORDER BY removed_at, id LIMIT 1";
    let Some(id) = one(tx.conn(), sql, [account], |row| row.get(0))? else {
        return Ok(false);
    };
    purge(tx, account, id)?;
    Ok(true)
}

/// Drops an account's past version that was replaced longest ago; whether there was one.
pub(super) fn drop_oldest_version(tx: &mut Tx<'_>, account: AccountId) -> Result<bool> {
    let sql = "SELECT id, size FROM version WHERE account = ?1 ORDER BY replaced_at, id LIMIT 1";
    let oldest =
        one(tx.conn(), sql, [account], |row| Ok((row.get::<_, VersionId>(0)?, row.get("size")?)))?;
    let Some((id, size)) = oldest else {
        return Ok(false);
    };
    tx.execute("DELETE FROM version WHERE id = ?1", [id])?;
    quota::release(tx, account, size)?;
    Ok(true)
}

/// Purges a removed entry and all below it.
pub(super) fn purge(tx: &mut Tx<'_>, account: AccountId, top: EntryId) -> Result<()> {
    leave_tombstone(tx, account, top)?;
    let freed = purge_below(tx, top)?;
    quota::release(tx, account, freed)
}

/// Deletes rows from the leaves up; bytes that this sets free.
pub(super) fn purge_below(tx: &Tx<'_>, top: EntryId) -> Result<u64> {
    let mut freed = 0;
    let mut order = vec![top];
    let mut next = 0;
    while let Some(&folder) = order.get(next) {
        let sql = "SELECT id FROM entry WHERE parent = ?1";
        order.extend(all(tx.conn(), sql, [folder], |row| row.get::<_, EntryId>(0))?);
        next += 1;
    }
    for id in order.into_iter().rev() {
        freed += purge_row(tx, id)?;
    }
    Ok(freed)
}

/// Deletes one entry that has no children, with its versions.
pub(super) fn purge_row(tx: &Tx<'_>, id: EntryId) -> Result<u64> {
    let sql = "SELECT coalesce(sum(size), 0) AS size FROM (
                 SELECT size FROM version WHERE entry = ?1
                 UNION ALL SELECT size FROM entry WHERE id = ?1)";
    let freed = one(tx.conn(), sql, [id], |row| row.get("size"))?.unwrap_or(0);
    tx.execute("DELETE FROM version WHERE entry = ?1", [id])?;
    tx.execute("DELETE FROM entry WHERE id = ?1", [id])?;
    Ok(freed)
}

fn leave_tombstone(tx: &Tx<'_>, account: AccountId, id: EntryId) -> Result<()> {
    let Some(entry) = by_id(tx.conn(), id)? else {
        return Ok(());
    };
    let above = match entry.parent {
        Some(parent) => Upwards::new(tx.conn(), account)?.folder(parent)?,
        None => None,
    };
    // Below a folder that is gone itself: whoever follows hears of that one.
    let (Some(above), Some(name)) = (above, &entry.name) else {
        return Ok(());
    };
    tx.execute(
        "INSERT OR REPLACE INTO tombstone (account, modseq, id, kind, path, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        (
            account,
            entry.modseq,
            id,
            kind(&entry.node),
            format!("{}/{name}", above.path),
            entry.changed_at,
        ),
    )
    .map(drop)
}
