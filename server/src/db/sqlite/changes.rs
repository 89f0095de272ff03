//! Changes as a merge of three index ranges, by number: entries, deliveries, tombstones. There is no
//! log: each row carries the number of its latest change.

use async_trait::async_trait;
use rusqlite::Connection;

use crate::db::sqlite::Sqlite;
use crate::db::sqlite::paths::Upwards;
use crate::db::sqlite::rows::{FILE, FOLDER, all, one};
use crate::db::{Change, ChangeItem, Changes, EntryKind, EntryOp, Page, Start};
use crate::error::{Error, Result};
use crate::model::{AccountId, EntryId, MessageId, Modseq};

#[async_trait]
impl Changes for Sqlite {
    async fn start(&self, account: AccountId) -> Result<Start> {
        self.read("changes.start", move |conn| {
            let sql = "SELECT s.id, s.epoch, a.modseq, a.horizon FROM store AS s, account AS a
                       WHERE a.id = ?1";
            one(conn, sql, [account], |row| {
                Ok(Start {
                    store: row.get(0)?,
                    epoch: row.get(1)?,
                    modseq: row.get(2)?,
                    horizon: row.get(3)?,
                })
            })?
            .ok_or_else(|| Error::internal("changes.start", "no such account"))
        })
        .await
    }

    async fn changes(
        &self,
        account: AccountId,
        range: (Modseq, Modseq),
        full: bool,
        limit: usize,
    ) -> Result<Page> {
        self.read("changes.changes", move |conn| page(conn, account, range, (full, limit))).await
    }
}

fn page(
    conn: &Connection,
    account: AccountId,
    (after, through): (Modseq, Modseq),
    (full, limit): (bool, usize),
) -> Result<Page> {
    let span = Span { account, after, through, limit };
    let rows = entries(conn, &span)?;
    let delivered = deliveries(conn, &span)?;
    let gone = if full { Vec::new() } else { tombstones(conn, &span)? };
    // A range that was cut at the limit is only known up to its last row.
    let known = [
        reach(&span, rows.len(), rows.last().map(|row| row.modseq)),
        reach(&span, delivered.len(), delivered.last().map(|change| change.modseq)),
        reach(&span, gone.len(), gone.last().map(|change| change.modseq)),
    ];
    let reached = known.into_iter().min().unwrap_or(through);
    let mut upwards = Upwards::new(conn, account)?;
    let mut changes = Vec::new();
    for row in rows {
        changes.extend(row.change(&mut upwards, after, full)?);
    }
    changes.extend(delivered);
    changes.extend(gone);
    changes.retain(|change| change.modseq <= reached);
    changes.sort_by_key(|change| change.modseq);
    Ok(Page { changes, through: reached })
}

struct Span {
    account: AccountId,
    after: Modseq,
    through: Modseq,
    limit: usize,
}

fn reach(span: &Span, rows: usize, last: Option<Modseq>) -> Modseq {
    match last {
        Some(last) if rows >= span.limit => last,
        _ => span.through,
    }
}

struct EntryRow {
    id: EntryId,
    parent: Option<EntryId>,
    name: String,
    kind: i64,
    generation: i64,
    placed: i64,
    modseq: Modseq,
    at: i64,
    removed: bool,
}

fn entries(conn: &Connection, span: &Span) -> Result<Vec<EntryRow>> {
    let sql = "SELECT id, parent, name, kind, generation, placed, modseq, changed_at, removed <> 0
               FROM entry WHERE account = ?1 AND modseq > ?2 AND modseq <= ?3
               ORDER BY modseq LIMIT ?4";
    let params = (span.account, span.after, span.through, span.limit);
    all(conn, sql, params, |row| {
        Ok(EntryRow {
            id: row.get(0)?,
            parent: row.get(1)?,
            name: row.get(2)?,
            kind: row.get(3)?,
            generation: row.get(4)?,
            placed: row.get(5)?,
            modseq: row.get(6)?,
            at: row.get(7)?,
            removed: row.get(8)?,
        })
    })
}

impl EntryRow {
    /// What a client at `after` must hear of it, if anything.
    fn change(
        &self,
        upwards: &mut Upwards<'_>,
        after: Modseq,
        full: bool,
    ) -> Result<Option<Change>> {
        if full && self.removed {
            return Ok(None);
        }
        // The root has no path to come or go by, and a tree that is being staged has none yet.
        let Some(parent) = self.parent else {
            return Ok(None);
        };
        let Some(above) = upwards.folder(parent)? else {
            return Ok(None);
        };
        // A folder that came to its place later says it for all below it.
        if above.placed > after.0.max(self.modseq.0) {
            return Ok(None);
        }
        let op = match self {
            _ if self.removed => EntryOp::Remove,
            _ if self.generation > after.0 => EntryOp::Put,
            _ if self.placed > after.0 => EntryOp::Move,
            _ => EntryOp::Put,
        };
        let kind = entry_kind(self.kind);
        let subtree = kind == EntryKind::Folder && (self.removed || self.placed > after.0);
        let path = format!("{}/{}", above.path, self.name);
        let item = ChangeItem::Entry { id: self.id, kind, path, op, subtree };
        Ok(Some(Change { modseq: self.modseq, at: self.at, item }))
    }
}

fn entry_kind(kind: i64) -> EntryKind {
    match kind {
        FILE => EntryKind::File,
        FOLDER => EntryKind::Folder,
        _ => EntryKind::Symlink,
    }
}

fn deliveries(conn: &Connection, span: &Span) -> Result<Vec<Change>> {
    let sql = "SELECT d.modseq, d.changed_at, m.id, d.acked_at IS NOT NULL
               FROM delivery AS d JOIN message AS m ON m.key = d.message
               WHERE d.account = ?1 AND d.modseq > ?2 AND d.modseq <= ?3
               ORDER BY d.modseq LIMIT ?4";
    let params = (span.account, span.after, span.through, span.limit);
    all(conn, sql, params, |row| {
        let message: MessageId = row.get(2)?;
        let item = ChangeItem::Delivery { message, acked: row.get(3)? };
        Ok(Change { modseq: row.get(0)?, at: row.get(1)?, item })
    })
}

fn tombstones(conn: &Connection, span: &Span) -> Result<Vec<Change>> {
    let sql = "SELECT modseq, at, id, kind, path FROM tombstone
               WHERE account = ?1 AND modseq > ?2 AND modseq <= ?3 ORDER BY modseq LIMIT ?4";
    let params = (span.account, span.after, span.through, span.limit);
    all(conn, sql, params, |row| {
        let kind = entry_kind(row.get(3)?);
        let item = ChangeItem::Entry {
            id: row.get(2)?,
            kind,
            path: row.get(4)?,
            op: EntryOp::Remove,
            subtree: kind == EntryKind::Folder,
        };
        Ok(Change { modseq: row.get(0)?, at: row.get(1)?, item })
    })
}
