//! Changes as a merge of three index ranges, by number: entries, deliveries, tombstones. There is no
//! log: each row carries the number of its latest change.

use async_trait::async_trait;
use rusqlite::Connection;

use crate::db::sqlite::paths::{Above, Upwards};
use crate::db::sqlite::rows::{FILE, FOLDER, all, one};
use crate::db::sqlite::{Sqlite, journal};
use crate::db::{Change, ChangeItem, Changes, EntryKind, EntryOp, Page, Span, Start};
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

    async fn changes(&self, account: AccountId, span: Span, limit: usize) -> Result<Page> {
        self.read("changes.changes", move |conn| page(conn, account, span, limit.max(1))).await
    }
}

fn page(conn: &Connection, account: AccountId, span: Span, limit: usize) -> Result<Page> {
    let Span { since, after, silent } = span;
    let latest = journal::current(conn, account)?;
    let range = Range { account, after, through: latest.max(after), limit };
    let rows = entries(conn, &range)?;
    let delivered = deliveries(conn, &range)?;
    let gone = tombstones(conn, &Range { after: after.max(silent), ..range })?;
    // A range that was cut at the limit is only known up to its last row.
    let known = [
        reach(&range, rows.len(), rows.last().map(|row| row.modseq)),
        reach(&range, delivered.len(), delivered.last().map(|change| change.modseq)),
        reach(&range, gone.len(), gone.last().map(|change| change.modseq)),
    ];
    let reached = known.into_iter().min().unwrap_or(range.through);
    let mut upwards = Upwards::since(conn, account, since)?;
    let mut changes = Vec::new();
    for row in rows.into_iter().filter(|row| row.modseq <= reached) {
        changes.extend(row.change(&mut upwards, since, silent)?);
    }
    changes.extend(delivered);
    changes.extend(gone);
    changes.retain(|change| change.modseq <= reached);
    changes.sort_by_key(|change| change.modseq);
    Ok(Page { changes, through: reached, complete: reached >= latest })
}

#[derive(Clone, Copy)]
struct Range {
    account: AccountId,
    after: Modseq,
    through: Modseq,
    limit: usize,
}

fn reach(range: &Range, rows: usize, last: Option<Modseq>) -> Modseq {
    match last {
        Some(last) if rows >= range.limit => last,
        _ => range.through,
    }
}

struct EntryRow {
    id: EntryId,
    parent: Option<EntryId>,
    name: String,
    kind: i64,
    made: Modseq,
    generation: Modseq,
    placed: Modseq,
    modseq: Modseq,
    at: i64,
    removed: bool,
}

fn entries(conn: &Connection, range: &Range) -> Result<Vec<EntryRow>> {
    let sql = "SELECT id, parent, name, kind, made, generation, placed, modseq, changed_at,
                      removed <> 0
               FROM entry WHERE account = ?1 AND modseq > ?2 AND modseq <= ?3
               ORDER BY modseq LIMIT ?4";
    let params = (range.account, range.after, range.through, range.limit);
    all(conn, sql, params, |row| {
        Ok(EntryRow {
            id: row.get(0)?,
            parent: row.get(1)?,
            name: row.get(2)?,
            kind: row.get(3)?,
            made: row.get(4)?,
            generation: row.get(5)?,
            placed: row.get(6)?,
            modseq: row.get(7)?,
            at: row.get(8)?,
            removed: row.get(9)?,
        })
    })
}

impl EntryRow {
    /// What somebody must hear of it who knew everything up to `since`, if anything.
    fn change(
        &self,
        upwards: &mut Upwards<'_>,
        since: Modseq,
        silent: Modseq,
    ) -> Result<Option<Change>> {
        // The root has no path to come or go by, and a tree that is being staged has none yet.
        let Some(parent) = self.parent else {
            return Ok(None);
        };
        let Some(above) = upwards.folder(parent)? else {
            return Ok(None);
        };
        let gone = self.removed || above.gone;
        if (gone && self.modseq <= silent) || self.is_told_by(&above, since) {
            return Ok(None);
        }
        let op = match self {
            _ if gone => EntryOp::Remove,
            _ if self.generation > since => EntryOp::Put,
            _ if self.placed > since => EntryOp::Move,
            _ => EntryOp::Put,
        };
        let kind = entry_kind(self.kind);
        let subtree = kind == EntryKind::Folder && (gone || self.placed > since);
        let path = format!("{}/{}", above.path, self.name);
        let item = ChangeItem::Entry { id: self.id, kind, path, op, subtree };
        Ok(Some(Change { modseq: self.modseq, at: self.at, item }))
    }

    /// Whether a folder above says it for all that is below: that it is gone, or later than this, that it
    /// is new or has come to another place.
    fn is_told_by(&self, above: &Above, since: Modseq) -> bool {
        if self.removed {
            // No folder says that: a listing does not show what was removed.
            return false;
        }
        if above.gone {
            // Not of what moved there: the reader knows it elsewhere.
            return self.placed == self.made || self.placed <= since;
        }
        above.told_at > self.modseq
    }
}

/// A kind as it is stored.
pub(super) fn entry_kind(kind: i64) -> EntryKind {
    match kind {
        FILE => EntryKind::File,
        FOLDER => EntryKind::Folder,
        _ => EntryKind::Symlink,
    }
}

fn deliveries(conn: &Connection, range: &Range) -> Result<Vec<Change>> {
    let sql = "SELECT d.modseq, d.changed_at, m.id, d.acked_at IS NOT NULL
               FROM delivery AS d JOIN message AS m ON m.key = d.message
               WHERE d.account = ?1 AND d.modseq > ?2 AND d.modseq <= ?3
               ORDER BY d.modseq LIMIT ?4";
    let params = (range.account, range.after, range.through, range.limit);
    all(conn, sql, params, |row| {
        let message: MessageId = row.get(2)?;
        let item = ChangeItem::Delivery { message, acked: row.get(3)? };
        Ok(Change { modseq: row.get(0)?, at: row.get(1)?, item })
    })
}

fn tombstones(conn: &Connection, range: &Range) -> Result<Vec<Change>> {
    let sql = "SELECT modseq, at, id, kind, path FROM tombstone
               WHERE account = ?1 AND modseq > ?2 AND modseq <= ?3 ORDER BY modseq LIMIT ?4";
    let params = (range.account, range.after, range.through, range.limit);
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
