//! The trash: what lies in it, what comes back, and what is removed for good: trashed entries and past
//! versions, oldest first, and the tombstones that tell clients who were away.

use rusqlite::{Connection, Row};

use crate::db::sqlite::changes::entry_kind;
use crate::db::sqlite::contents::Provenance;
use crate::db::sqlite::merge::Merge;
use crate::db::sqlite::paths::{Upwards, by_id, fits_below, root, sibling, twin};
use crate::db::sqlite::rows::{all, one};
use crate::db::sqlite::writer::Tx;
use crate::db::sqlite::{journal, quota};
use crate::db::{Listed, Removed, Restoration};
use crate::error::{Error, Kind, Result};
use crate::model::{AccountId, Entry, EntryId, FileName, Modseq, TreePath, VersionId};

/// Rows purged by one job.
const PURGED_ROWS: usize = 500;

/// What an account has removed, the latest first.
pub(super) fn list(
    conn: &Connection,
    account: AccountId,
    before: Option<(i64, EntryId)>,
    limit: usize,
) -> Result<Vec<Removed>> {
    let sql = "SELECT id, parent, name, kind, size, removed_at FROM entry
               WHERE account = ?1 AND removed_at IS NOT NULL AND (removed_at, id) < (?2, ?3)
               ORDER BY removed_at DESC, id DESC LIMIT ?4";
    let (at, id) = match before {
        Some((at, id)) => (at, id.as_bytes().to_vec()),
        None => (i64::MAX, vec![0xff; 17]),
    };
    let rows = all(conn, sql, (account, at, id, limit), |row| {
        let removed = Removed {
            id: row.get("id")?,
            path: TreePath::default(),
            kind: entry_kind(row.get("kind")?),
            size: row.get("size")?,
            removed_at: row.get("removed_at")?,
        };
        Ok((removed, row.get::<_, Option<EntryId>>("parent")?, row.get::<_, String>("name")?))
    })?;
    let mut upwards = Upwards::new(conn, account)?;
    let mut found = Vec::new();
    for (removed, parent, name) in rows {
        if let Some(parent) = parent
            && let Some(path) = stood(&mut upwards, parent, &name)?
        {
            found.push(Removed { path, ..removed });
        }
    }
    Ok(found)
}

/// Where something stood, by the names that the folders above it have now, wherever they are.
fn stood(upwards: &mut Upwards<'_>, parent: EntryId, name: &str) -> Result<Option<TreePath>> {
    let Some(above) = upwards.folder(parent)? else {
        return Ok(None);
    };
    let path = format!("{}/{name}", above.path);
    TreePath::parse_relative(path.trim_start_matches('/'), "path").map(Some)
}

/// Something that was removed itself.
fn removed(conn: &Connection, account: AccountId, id: EntryId) -> Result<Entry> {
    let sql = "SELECT 1 FROM entry WHERE id = ?1 AND account = ?2 AND removed_at IS NOT NULL";
    let found = one(conn, sql, (id, account), |_| Ok(()))?;
    let entry = if found.is_some() { by_id(conn, id)? } else { None };
    entry.ok_or_else(|| Error::not_found(format_args!("{id} in the trash")))
}

/// To where something shall come back.
fn target(conn: &Connection, to: &Restoration, entry: &Entry) -> Result<TreePath> {
    if let Some(target) = &to.target {
        return Ok(target.clone());
    }
    let name = entry.name.as_ref().map_or("", FileName::as_str);
    let stood = match entry.parent {
        Some(parent) => stood(&mut Upwards::new(conn, to.account)?, parent, name)?,
        None => None,
    };
    stood.ok_or_else(|| Error::internal("trash.target", "something removed has no place"))
}

/// Whether all that comes back will have paths within their limits.
pub(super) fn fits(conn: &Connection, to: &Restoration) -> Result<bool> {
    if to.target.is_none() {
        return Ok(true);
    }
    match removed(conn, to.account, to.id) {
        Ok(entry) => fits_below(conn, entry.id, &target(conn, to, &entry)?),
        Err(error) if error.kind() == Kind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Brings something back, if nothing stands where it goes.
pub(super) fn restore(tx: &mut Tx<'_>, to: &Restoration, fits: bool) -> Result<Listed> {
    let entry = removed(tx.conn(), to.account, to.id)?;
    let path = target(tx.conn(), to, &entry)?;
    let Some((name, above)) = path.split_last() else {
        return Err(Error::field("target", "the root of a tree cannot be replaced"));
    };
    if !fits {
        let problem = "what is below it would be too deep there, or have too long paths";
        return Err(Error::field("target", problem));
    }
    let top = root(tx.conn(), to.account)?;
    let mut merge = Merge::below(top, (to.account, Provenance::Held), to.now);
    let parent = merge.folder(tx, above)?;
    bring_back(tx, entry, (parent, name, &path), to.now).map(|entry| Listed { path, entry })
}

/// Gives a removed entry a place again.
pub(super) fn bring_back(
    tx: &mut Tx<'_>,
    mut entry: Entry,
    (parent, name, path): (EntryId, &FileName, &TreePath),
    now: i64,
) -> Result<Entry> {
    match sibling(tx.conn(), parent, name)? {
        Some(stands) if stands.name.as_ref() != Some(name) => return Err(twin(name, &stands)),
        Some(_) => {
            let message =
                format!("{path} exists already; move it away, or restore to another name");
            return Err(Error::new(Kind::AlreadyExists, message));
        }
        None => {}
    }
    let number = journal::next(tx, entry.account)?;
    tx.execute(
        "UPDATE entry SET removed = 0, removed_at = NULL, parent = ?2, name = ?3, name_key = ?4,
                          placed = ?5, modseq = ?5, changed_at = ?6
         WHERE id = ?1",
        (entry.id, parent, name.as_str(), name.key(), number, now),
    )?;
    (entry.parent, entry.name) = (Some(parent), Some(name.clone()));
    (entry.placed, entry.modseq, entry.changed_at) = (number, number, now);
    Ok(entry)
}

/// Purges some rows of an account's trash, or of one thing in it.
pub(super) fn empty(
    tx: &mut Tx<'_>,
    account: AccountId,
    only: Option<EntryId>,
) -> Result<crate::db::Purge> {
    let top = match only {
        Some(id) => Some(removed(tx.conn(), account, id)?.id),
        None => oldest_removed(tx.conn(), account)?,
    };
    let Some(top) = top else {
        return Ok(crate::db::Purge::default());
    };
    tx.touch(account);
    let purged = purge(tx, account, top, PURGED_ROWS)?;
    Ok(crate::db::Purge { bytes: purged.freed, more: only.is_none() || !purged.whole })
}

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
        let (rows, bytes) = drop_row(tx, id)?;
        freed += bytes;
        left = left.saturating_sub(rows);
        Ok(rows)
    })?;
    quota::release(tx, account, freed)?;
    Ok(Purged { whole, freed, left })
}

/// Takes about `rows` rows from the leaves of a tree up, of which each says how many it was; whether the top
/// is gone.
pub(super) fn drop_leaves(
    tx: &Tx<'_>,
    top: EntryId,
    mut rows: usize,
    mut drop_leaf: impl FnMut(&Tx<'_>, EntryId) -> Result<usize>,
) -> Result<bool> {
    let mut path = vec![top];
    while rows > 0 {
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
        rows = rows.saturating_sub(drop_leaf(tx, leaf)?);
    }
    Ok(path.is_empty())
}

/// Deletes one entry that has no children, with its versions; rows, and bytes that this sets free.
pub(super) fn drop_row(tx: &Tx<'_>, id: EntryId) -> Result<(usize, u64)> {
    let size = |row: &Row<'_>| row.get::<_, Option<u64>>(0);
    let mut sizes =
        all(tx.conn(), "DELETE FROM version WHERE entry = ?1 RETURNING size", [id], size)?;
    sizes.extend(all(tx.conn(), "DELETE FROM entry WHERE id = ?1 RETURNING size", [id], size)?);
    Ok((sizes.len().max(1), sizes.into_iter().flatten().sum()))
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
