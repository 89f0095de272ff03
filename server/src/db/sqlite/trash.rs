//! What is removed for good: trashed entries and past versions, oldest first, and the tombstones that
//! tell clients who were away.

use rusqlite::{Connection, Row};

use crate::db::sqlite::paths::Upwards;
use crate::db::sqlite::quota;
use crate::db::sqlite::rows::{all, one};
use crate::db::sqlite::writer::Tx;
use crate::error::Result;
use crate::model::{AccountId, EntryId, Modseq, VersionId};

/// An account's entry that was removed longest ago.
pub(super) fn oldest_removed(conn: &Connection, account: AccountId) -> Result<Option<EntryId>> {
    let sql = "SELECT id FROM entry WHERE account = ?1 AND removed_at IS NOT NULL
               ORDER BY removed_at, id LIMIT 1";
    one(conn, sql, [account], |row| row.get(0))
}

/// Drops an account's past version that was replaced longest ago; bytes that this set free.
pub(super) fn drop_oldest_version(tx: &mut Tx<'_>, account: AccountId) -> Result<Option<u64>> {
    let sql = "SELECT id, size FROM version WHERE account = ?1 ORDER BY replaced_at, id LIMIT 1";
    let oldest =
        one(tx.conn(), sql, [account], |row| Ok((row.get::<_, VersionId>(0)?, row.get("size")?)))?;
    let Some((id, size)) = oldest else {
        return Ok(None);
    };
    tx.execute("DELETE FROM version WHERE id = ?1", [id])?;
    quota::release(tx, account, size)?;
    Ok(Some(size))
}

/// What one job purged.
pub(super) struct Purged {
    /// Whether that was all.
    pub(super) whole: bool,
    /// Bytes that were set free.
    pub(super) freed: u64,
    /// Rows that it might have purged besides.
    pub(super) left: usize,
}

/// Purges up to `rows` rows of a removed entry and all below it.
pub(super) fn purge(
    tx: &mut Tx<'_>,
    account: AccountId,
    top: EntryId,
    rows: usize,
) -> Result<Purged> {
    let mut upwards = Upwards::new(tx.conn(), account)?;
    let (mut freed, mut left) = (0, rows);
    let whole = drop_leaves(tx, top, rows, |tx, id| {
        leave_tombstone(tx, &mut upwards, id)?;
        freed += drop_row(tx, id)?;
        left -= 1;
        Ok(())
    })?;
    quota::release(tx, account, freed)?;
    Ok(Purged { whole, freed, left })
}

/// Takes up to `rows` rows from the leaves of a tree up; whether the top is gone.
pub(super) fn drop_leaves(
    tx: &Tx<'_>,
    top: EntryId,
    rows: usize,
    mut drop_leaf: impl FnMut(&Tx<'_>, EntryId) -> Result<()>,
) -> Result<bool> {
    let mut path = vec![top];
    for _ in 0..rows {
        while let Some(folder) = path.last() {
            let sql = "SELECT id FROM entry WHERE parent = ?1 LIMIT 1";
            match one(tx.conn(), sql, [folder], |row| row.get(0))? {
                Some(below) => path.push(below),
                None => break,
            }
        }
        let Some(leaf) = path.pop() else {
            return Ok(true);
        };
        drop_leaf(tx, leaf)?;
    }
    Ok(path.is_empty())
}

/// Deletes one entry that has no children, with its versions; bytes that this sets free.
pub(super) fn drop_row(tx: &Tx<'_>, id: EntryId) -> Result<u64> {
    let size = |row: &Row<'_>| row.get::<_, Option<u64>>(0);
    let mut sizes =
        all(tx.conn(), "DELETE FROM version WHERE entry = ?1 RETURNING size", [id], size)?;
    sizes.extend(all(tx.conn(), "DELETE FROM entry WHERE id = ?1 RETURNING size", [id], size)?);
    Ok(sizes.into_iter().flatten().sum())
}

/// Forgets the oldest tombstones; accounts remember up to where they have none. How many went.
pub(super) fn prune_tombstones(tx: &Tx<'_>, before: i64, rows: usize) -> Result<usize> {
    let sql = "SELECT account, modseq, id FROM tombstone WHERE at < ?1 ORDER BY at LIMIT ?2";
    let old = all(tx.conn(), sql, (before, rows), |row| {
        Ok((row.get::<_, AccountId>(0)?, row.get::<_, Modseq>(1)?, row.get::<_, EntryId>(2)?))
    })?;
    for (account, modseq, id) in &old {
        let sql = "DELETE FROM tombstone WHERE account = ?1 AND modseq = ?2 AND id = ?3";
        tx.execute(sql, (account, modseq, id))?;
        let sql = "UPDATE account SET horizon = ?2 WHERE id = ?1 AND horizon < ?2";
        tx.execute(sql, (account, modseq))?;
    }
    Ok(old.len())
}

struct Grave {
    parent: Option<EntryId>,
    name: String,
    kind: i64,
    modseq: Modseq,
    at: i64,
}

/// For what was removed itself, and for what had been elsewhere before it came below that: of the rest
/// whoever follows hears by the folder that is gone.
fn leave_tombstone(tx: &Tx<'_>, upwards: &mut Upwards<'_>, id: EntryId) -> Result<()> {
    let sql = "SELECT parent, name, kind, modseq, changed_at FROM entry
               WHERE id = ?1 AND (removed <> 0 OR placed > made)";
    let found = one(tx.conn(), sql, [id], |row| {
        Ok(Grave {
            parent: row.get(0)?,
            name: row.get(1)?,
            kind: row.get(2)?,
            modseq: row.get(3)?,
            at: row.get(4)?,
        })
    })?;
    let Some(Grave { parent: Some(parent), name, kind, modseq, at }) = found else {
        return Ok(());
    };
    let Some(above) = upwards.folder(parent)? else {
        return Ok(());
    };
    let path = format!("{}/{name}", above.path);
    tx.execute(
        "INSERT OR REPLACE INTO tombstone (account, modseq, id, kind, path, at)
         SELECT account, ?2, id, ?3, ?4, ?5 FROM entry WHERE id = ?1",
        (id, modseq, kind, path, at),
    )
    .map(drop)
}
