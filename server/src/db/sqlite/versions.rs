//! Versions of files: the current one is in the entry's row, those before it are rows of their own.

use rusqlite::{Connection, Row};

use crate::db::sqlite::conditions::check;
use crate::db::sqlite::contents::Provenance;
use crate::db::sqlite::merge::Merge;
use crate::db::sqlite::quota;
use crate::db::sqlite::reach::Reach;
use crate::db::sqlite::rows::{all, all_once, content, one, xattrs};
use crate::db::sqlite::writer::Tx;
use crate::db::{NewNode, Reversion, StagedEntry, Version};
use crate::error::{Error, Kind, Result};
use crate::model::{
    AccountId, At, Condition, Content, Entry, EntryId, Modseq, Node, TreePath, VersionId,
};

const PAST: &str =
    "SELECT id, generation, size, digest, content, mode, modified_ns, xattrs, replaced_at
     FROM version WHERE entry = ?1 AND generation < ?2 ORDER BY generation DESC LIMIT ?3";

/// A file's versions, the newest first.
pub(super) fn list(
    conn: &Connection,
    by: AccountId,
    at: &At,
    before: Option<Modseq>,
    limit: usize,
) -> Result<Vec<Version>> {
    let entry = Reach::of(conn, by, at.account)?.required(at)?;
    let (content, id) = content_of(at, &entry)?;
    let before = before.unwrap_or(Modseq(i64::MAX));
    let mut versions = Vec::new();
    if entry.generation < before {
        let Entry { generation, mode, modified_ns, xattrs, .. } = entry;
        let replaced_at = None;
        versions.push(Version { id, generation, content, mode, modified_ns, xattrs, replaced_at });
    }
    let left = limit.saturating_sub(versions.len());
    versions.extend(all(conn, PAST, (entry.id, before, left), version)?);
    Ok(versions)
}

/// Puts the content of an earlier version in place of the current one, which is kept like any other.
pub(super) fn revert(tx: &mut Tx<'_>, reversion: &Reversion) -> Result<Entry> {
    let Reversion { by, at, now, .. } = reversion;
    let reach = Reach::of(tx.conn(), *by, at.account)?;
    let entry = reach.required(at)?;
    reach.require_write(at)?;
    let (_, current) = content_of(at, &entry)?;
    check(&at.path, Some(&entry), &reversion.condition)?;
    let wanted = match reversion.version {
        Some(id) if id == current => return Ok(entry),
        Some(id) => by_id(tx.conn(), entry.id, id)?,
        None => before(tx.conn(), entry.id, entry.generation)?,
    };
    let Some(Version { content, mode, modified_ns, xattrs, .. }) = wanted else {
        return Err(match reversion.version {
            Some(id) => Error::not_found(format_args!("version {id} of {at}")),
            None => Error::new(Kind::FailedPrecondition, format!("{at} has no earlier version")),
        });
    };
    let (node, path) = (NewNode::File(content), TreePath::default());
    let (xattrs, condition) = (Some(xattrs), Condition::default());
    let new = StagedEntry { path, node, mode, modified_ns, xattrs, condition };
    let mut merge = Merge::below(reach.top(), (at.account, Provenance::Held), *now);
    let put = merge.put(tx, &at.path, &new)?;
    merge.charge(tx)?;
    Ok(put.entry)
}

fn content_of(at: &At, entry: &Entry) -> Result<(Content, VersionId)> {
    match &entry.node {
        Node::File { content, version } => Ok((*content, *version)),
        _ => {
            let message = format!("{at} is no file; only files have versions");
            Err(Error::new(Kind::FailedPrecondition, message))
        }
    }
}

fn by_id(conn: &Connection, entry: EntryId, id: VersionId) -> Result<Option<Version>> {
    let sql = "SELECT id, generation, size, digest, content, mode, modified_ns, xattrs, replaced_at
               FROM version WHERE id = ?1 AND entry = ?2";
    one(conn, sql, (id, entry), version)
}

/// The version that a file had before it got to a generation.
pub(super) fn before(
    conn: &Connection,
    entry: EntryId,
    generation: Modseq,
) -> Result<Option<Version>> {
    one(conn, PAST, (entry, generation, 1), version)
}

fn version(row: &Row<'_>) -> rusqlite::Result<Version> {
    Ok(Version {
        id: row.get("id")?,
        generation: row.get("generation")?,
        content: content(row)?,
        mode: row.get("mode")?,
        modified_ns: row.get("modified_ns")?,
        xattrs: xattrs(row)?,
        replaced_at: row.get("replaced_at")?,
    })
}

/// Drops the oldest versions of a file that has more than are kept.
pub(super) fn keep_newest(tx: &Tx<'_>, account: AccountId, entry: EntryId) -> Result<()> {
    let sql = "DELETE FROM version WHERE id IN (
                 SELECT id FROM version WHERE entry = ?1
                 ORDER BY generation DESC LIMIT -1 OFFSET ?2)
               RETURNING size";
    let sizes = all(tx.conn(), sql, (entry, tx.versions_max), |row| row.get::<_, u64>(0))?;
    if sizes.is_empty() { Ok(()) } else { quota::release(tx, account, sizes.iter().sum()) }
}

/// Some versions that were replaced before a time.
pub(super) fn replaced_before(
    conn: &Connection,
    before: i64,
    limit: usize,
) -> Result<Vec<VersionId>> {
    let sql = "SELECT v.id FROM account AS a
               JOIN version AS v ON v.account = a.id AND v.replaced_at < ?1 LIMIT ?2";
    all_once(conn, sql, (before, limit), |row| row.get(0))
}

/// Drops these, as far as they are that old.
pub(super) fn expire(tx: &Tx<'_>, ids: &[VersionId], before: i64) -> Result<()> {
    for id in ids {
        let sql = "DELETE FROM version WHERE id = ?1 AND replaced_at < ?2 RETURNING account, size";
        let gone = one(tx.conn(), sql, (id, before), |row| {
            Ok((row.get::<_, AccountId>(0)?, row.get::<_, u64>(1)?))
        })?;
        if let Some((account, size)) = gone {
            quota::release(tx, account, size)?;
        }
    }
    Ok(())
}
