//! How much there is: below an entry, in an account, in the whole store.

use rusqlite::{Connection, Row};

use crate::db::sqlite::quota;
use crate::db::sqlite::rows::{FILE, FOLDER, SYMLINK, all, all_once, one};
use crate::db::{Holdings, Measure, Stock};
use crate::error::{Error, Result};
use crate::model::{AccountId, Entry, EntryId, Node};

/// What is at and below an entry, without what was removed.
pub(super) fn below(conn: &Connection, top: &Entry) -> Result<Measure> {
    let mut measure = Measure::default();
    match &top.node {
        Node::Folder => measure.folders = 1,
        Node::Symlink { .. } => measure.symlinks = 1,
        Node::File { content, .. } => {
            (measure.files, measure.bytes) = (1, content.size);
            let sql = "SELECT coalesce(sum(size), 0) FROM version WHERE entry = ?1";
            measure.version_bytes = one(conn, sql, [top.id], first)?.unwrap_or(0);
        }
    }
    each_folder(conn, top, |folder| {
        let sql = "SELECT count(*) FILTER (WHERE kind = ?2), count(*) FILTER (WHERE kind = ?3),
                          count(*) FILTER (WHERE kind = ?4), coalesce(sum(size), 0)
                   FROM entry WHERE parent = ?1 AND removed = 0";
        let sums = one(conn, sql, (folder, FILE, FOLDER, SYMLINK), |row| {
            Ok((row.get::<_, u64>(0)?, row.get::<_, u64>(1)?, row.get::<_, u64>(2)?, row.get(3)?))
        })?;
        let (files, folders, symlinks, bytes): (_, _, _, u64) = sums.unwrap_or_default();
        measure.files += files;
        measure.folders += folders;
        measure.symlinks += symlinks;
        measure.bytes += bytes;
        let sql = "SELECT coalesce(sum(v.size), 0) FROM entry AS e
                   JOIN version AS v ON v.entry = e.id WHERE e.parent = ?1 AND e.removed = 0";
        measure.version_bytes += one(conn, sql, [folder], first)?.unwrap_or(0);
        Ok(())
    })?;
    Ok(measure)
}

/// Bytes of the files at and below an entry, without what was removed.
pub(super) fn bytes_below(conn: &Connection, top: &Entry) -> Result<u64> {
    let mut bytes = top.node.size();
    each_folder(conn, top, |folder| {
        let sql = "SELECT coalesce(sum(size), 0) FROM entry WHERE parent = ?1 AND removed = 0";
        bytes += one(conn, sql, [folder], first)?.unwrap_or(0);
        Ok(())
    })?;
    Ok(bytes)
}

fn each_folder(
    conn: &Connection,
    top: &Entry,
    mut visit: impl FnMut(EntryId) -> Result<()>,
) -> Result<()> {
    let mut folders = if top.node.is_folder() { vec![top.id] } else { Vec::new() };
    while let Some(folder) = folders.pop() {
        visit(folder)?;
        let sql = "SELECT id FROM entry WHERE parent = ?1 AND removed = 0 AND kind = ?2";
        folders.extend(all(conn, sql, (folder, FOLDER), |row| row.get::<_, EntryId>(0))?);
    }
    Ok(())
}

fn first(row: &Row<'_>) -> rusqlite::Result<u64> {
    row.get(0)
}

/// What an account's bytes consist of.
pub(super) fn holdings(conn: &Connection, account: AccountId) -> Result<Holdings> {
    let sum = |sql: &str| Ok::<_, Error>(one(conn, sql, [account], first)?.unwrap_or(0));
    let versions = sum("SELECT coalesce(sum(size), 0) FROM version WHERE account = ?1")?;
    let trash = trash(conn, account)?;
    let usage = quota::usage(conn, account)?;
    let mail = mail(conn, account)?;
    let files = usage.used.saturating_sub(versions + trash + mail);
    Ok(Holdings { usage, files, trash, versions, mail })
}

/// Files in the trash, without their past versions.
fn trash(conn: &Connection, account: AccountId) -> Result<u64> {
    let sql = "WITH RECURSIVE gone (id, size) AS (
                 SELECT id, size FROM entry WHERE account = ?1 AND removed_at IS NOT NULL
                 UNION
                 SELECT e.id, e.size FROM gone AS g JOIN entry AS e ON e.parent = g.id)
               SELECT coalesce(sum(size), 0) FROM gone";
    Ok(all_once(conn, sql, [account], |row| row.get(0))?.pop().unwrap_or(0))
}

/// Messages sent that somebody still has, and bodies received.
fn mail(conn: &Connection, account: AccountId) -> Result<u64> {
    let sql = "SELECT coalesce((SELECT sum(m.size) FROM message AS m WHERE m.sender = ?1
                 AND EXISTS (SELECT 1 FROM delivery AS d WHERE d.message = m.key)), 0)
               + coalesce((SELECT sum(m.body_size) FROM delivery AS d
                 JOIN message AS m ON m.key = d.message WHERE d.account = ?1), 0)";
    Ok(all_once(conn, sql, [account], |row| row.get(0))?.pop().unwrap_or(0))
}

/// What the whole store holds.
pub(super) fn stock(conn: &Connection) -> Result<Stock> {
    let row = |sql: &str| -> Result<(u64, u64)> {
        let found = all_once(conn, sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?.pop();
        found.ok_or_else(|| Error::internal("measure.stock", "a sum has a row"))
    };
    let (accounts, logical_bytes) = row("SELECT count(*), coalesce(sum(used), 0) FROM account")?;
    let (chunks, chunk_bytes) = row("SELECT count(*), coalesce(sum(length), 0) FROM chunk")?;
    let (condemned_chunks, condemned_bytes) =
        row("SELECT count(*), coalesce(sum(length), 0) FROM chunk WHERE condemned_at IS NOT NULL")?;
    let (entries, messages) =
        row("SELECT (SELECT count(*) FROM entry), (SELECT count(*) FROM message)")?;
    let (metadata_bytes, _) = row(
        "SELECT p.page_count * s.page_size, 0 FROM pragma_page_count AS p, pragma_page_size AS s",
    )?;
    Ok(Stock {
        accounts,
        entries,
        messages,
        logical_bytes,
        chunks,
        chunk_bytes,
        condemned_chunks,
        condemned_bytes,
        metadata_bytes,
    })
}
