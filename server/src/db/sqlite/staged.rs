//! A large commit as rows, from when it is opened until it is published or dropped: what it has counted so
//! far, and the entries that wait to be applied together.

use rusqlite::Row;
use rusqlite::types::ValueRef;

use crate::db::sqlite::rows::{FILE, FOLDER, SYMLINK, all, content, encoded, one, xattrs};
use crate::db::sqlite::trash::{drop_leaves, drop_row};
use crate::db::sqlite::writer::Tx;
use crate::db::{NewNode, StagedEntry};
use crate::error::{Error, Kind, Result};
use crate::model::{CommitId, Condition, EntryId, Etag, Modseq, TreePath};

/// The kind of what shall not be there.
const NOTHING: i64 = 0;

/// A staged entry, its path below the base and the folder that stood above it.
pub(super) type Waiting = (StagedEntry, String, Option<EntryId>);

/// Refuses when a commit is not open any more.
pub(super) fn require_open(tx: &Tx<'_>, id: CommitId) -> Result<()> {
    let sql = "SELECT 1 FROM staged_commit WHERE id = ?1 AND NOT abandoned";
    one(tx.conn(), sql, [id], |_| Ok(()))?.ok_or_else(swept)
}

/// Counts what was staged, and what needed no staging.
pub(super) fn count(
    tx: &Tx<'_>,
    id: CommitId,
    (staged, unchanged): (usize, usize),
    bytes: u64,
) -> Result<()> {
    let sql = "UPDATE staged_commit SET entries = entries + ?2, unchanged = unchanged + ?3,
               size = size + ?4 WHERE id = ?1";
    match tx.execute(sql, (id, staged, unchanged, bytes))? {
        0 => Err(swept()),
        _ => Ok(()),
    }
}

/// Lets an entry wait in its place.
pub(super) fn insert(
    tx: &Tx<'_>,
    (id, place, parent): (CommitId, u64, Option<EntryId>),
    new: &StagedEntry,
) -> Result<()> {
    let (kind, content, target) = match &new.node {
        NewNode::File(content) => (FILE, Some(*content), None),
        NewNode::Folder => (FOLDER, None, None),
        NewNode::Symlink(target) => (SYMLINK, None, Some(target)),
        NewNode::Nothing => (NOTHING, None, None),
    };
    let xattrs = match &new.xattrs {
        None => None,
        Some(xattrs) => Some(encoded(xattrs)?.unwrap_or_default()),
    };
    tx.execute(
        "INSERT INTO staged_entry (commit_id, place, path, parent, kind, mode, modified_ns, size,
                                   digest, content, target, xattrs, if_generation, if_etag)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        rusqlite::params![
            id,
            place,
            relative(&new.path),
            parent,
            kind,
            new.mode.bits(),
            new.modified_ns,
            content.map(|content| content.size),
            content.map(|content| content.digest),
            content.and_then(|content| content.manifest),
            target,
            xattrs,
            new.condition.generation,
            new.condition.etag.map(|etag| etag.0),
        ],
    )
    .map(drop)
}

fn relative(path: &TreePath) -> String {
    path.to_string()[1..].to_owned()
}

/// The entries that wait, in their order; they wait no longer.
pub(super) fn take_out(tx: &Tx<'_>, id: CommitId) -> Result<Vec<Waiting>> {
    let sql = "SELECT path, parent, kind, mode, modified_ns, size, digest, content, target,
                      xattrs, if_generation, if_etag
               FROM staged_entry WHERE commit_id = ?1 ORDER BY place";
    let rows = all(tx.conn(), sql, [id], waiting)?;
    tx.execute("DELETE FROM staged_entry WHERE commit_id = ?1", [id])?;
    Ok(rows)
}

fn waiting(row: &Row<'_>) -> rusqlite::Result<Waiting> {
    let node = match row.get("kind")? {
        FILE => NewNode::File(content(row)?),
        SYMLINK => NewNode::Symlink(row.get("target")?),
        NOTHING => NewNode::Nothing,
        _ => NewNode::Folder,
    };
    let entry = StagedEntry {
        path: TreePath::default(),
        node,
        mode: row.get("mode")?,
        modified_ns: row.get("modified_ns")?,
        xattrs: match row.get_ref("xattrs")? {
            ValueRef::Null => None,
            _ => Some(xattrs(row)?),
        },
        condition: Condition {
            generation: row.get("if_generation")?,
            etag: row.get::<_, Option<Modseq>>("if_etag")?.map(Etag),
        },
    };
    Ok((entry, row.get("path")?, row.get("parent")?))
}

/// Drops a commit, `rows` at a time; whether there is more to drop.
pub(super) fn abandon(tx: &mut Tx<'_>, id: CommitId, rows: usize) -> Result<bool> {
    // First of all: what has lost some of its rows must not be published.
    tx.execute("UPDATE staged_commit SET abandoned = 1 WHERE id = ?1", [id])?;
    let sql = "DELETE FROM staged_entry WHERE commit_id = ?1 AND place IN (
                 SELECT place FROM staged_entry WHERE commit_id = ?1 LIMIT ?2)";
    if tx.execute(sql, (id, rows))? >= rows {
        return Ok(true);
    }
    let sql = "SELECT top FROM staged_commit WHERE id = ?1";
    let top: Option<EntryId> = one(tx.conn(), sql, [id], |row| row.get(0))?.flatten();
    if let Some(top) = top
        && !drop_leaves(tx, top, rows, |tx, id| Ok(drop_row(tx, id)?.0))?
    {
        return Ok(true);
    }
    tx.execute("DELETE FROM staged_commit WHERE id = ?1", [id])?;
    Ok(false)
}

/// Of a commit that upkeep has dropped.
pub(super) fn swept() -> Error {
    Error::new(Kind::Aborted, "the commit took too long and was dropped; start it again")
}
