//! Upkeep as rows: what is referred to, what is not, and whether all of it adds up.

use std::collections::HashMap;

use async_trait::async_trait;
use rusqlite::{Connection, Row};

use crate::db::sqlite::contents::{LastPack, insert_chunk, pack_key};
use crate::db::sqlite::rows::{all, all_once, one};
use crate::db::sqlite::writer::Tx;
use crate::db::sqlite::{Sqlite, checks, measure, trash, undo, versions};
use crate::db::{ChunkRow, Held, Holdings, Manifest, PackUse, Stock, StoreInfo, Upkeep, Visit};
use crate::error::{Error, Kind, Result};
use crate::faults::{Protection, is_off};
use crate::model::{AccountId, ChunkHash, ChunkPlace, EntryId, ManifestKey, PackId, Piece};

/// Entries purged by one job.
const PURGED_ROWS: usize = 500;
/// Contents looked at in one reading.
const LOOKED_AT: usize = 5_000;

#[async_trait]
impl Upkeep for Sqlite {
    async fn store(&self) -> Result<StoreInfo> {
        self.read("upkeep.store", |conn| {
            one(conn, "SELECT id, epoch, collected_at FROM store", [], |row| {
                Ok(StoreInfo { id: row.get(0)?, epoch: row.get(1)?, collected_at: row.get(2)? })
            })?
            .ok_or_else(|| Error::new(Kind::DataLoss, "the database does not say which it is"))
        })
        .await
    }

    async fn settle(&self, home: String, now: i64) -> Result<bool> {
        let known = self.store_home().await?;
        if known.as_deref() == Some(home.as_str()) {
            return Ok(false);
        }
        self.write("upkeep.settle", move |tx| {
            let sql = "UPDATE store SET home = ?1,
                         epoch = CASE WHEN home IS NULL THEN epoch ELSE max(epoch + 1, ?2) END
                       WHERE one = 1";
            tx.execute(sql, (&home, now)).map(drop)
        })
        .await?;
        Ok(known.is_some())
    }

    async fn note_collected(&self, at: i64) -> Result<()> {
        self.write_behind("upkeep.note_collected", move |tx| {
            tx.execute("UPDATE store SET collected_at = ?1 WHERE one = 1", [at]).map(drop)
        })
        .await
    }

    async fn last_places(&self) -> Result<HashMap<PackId, ChunkPlace>> {
        self.read("upkeep.last_places", last_places).await
    }

    async fn adopt(&self, found: Vec<(ChunkHash, ChunkPlace)>, now: i64) -> Result<()> {
        self.write_behind("upkeep.adopt", move |tx| {
            let mut pack = LastPack::default();
            found.iter().try_for_each(|(hash, place)| {
                let at = (pack.key(tx, place.pack)?, *place);
                insert_chunk(tx, *hash, at, now).map(drop)
            })
        })
        .await
    }

    async fn forget_requests(&self, before: i64, limit: usize) -> Result<usize> {
        self.write_behind("upkeep.forget_requests", move |tx| {
            let sql = "DELETE FROM request WHERE (account, id) IN (
                         SELECT account, id FROM request WHERE made_at < ?1 LIMIT ?2)";
            tx.execute(sql, (before, limit))
        })
        .await
    }

    async fn end_leases(&self, before: i64, opened_before: i64) -> Result<usize> {
        self.write_behind("upkeep.end_leases", move |tx| {
            let sql = "DELETE FROM lease WHERE touched_at < ?1 OR opened_at < ?2";
            tx.execute(sql, (before, opened_before))
        })
        .await
    }

    async fn end_sessions(&self, now: i64) -> Result<usize> {
        self.write_behind("upkeep.end_sessions", move |tx| {
            tx.execute("DELETE FROM session WHERE expires_at < ?1", [now])
        })
        .await
    }

    async fn purge_trash(&self, before: i64) -> Result<bool> {
        loop {
            let purge = move |tx: &mut Tx<'_>| purge_some(tx, before);
            match self.write_behind("upkeep.purge_trash", purge).await? {
                None => return Ok(false),
                Some(true) => return Ok(true),
                Some(false) => {}
            }
        }
    }

    async fn expire_past(&self, before: i64, undone_before: i64, rows: usize) -> Result<usize> {
        let look = move |conn: &Connection| versions::replaced_before(conn, before, rows);
        let old = self.read("upkeep.replaced_before", look).await?;
        self.write_behind("upkeep.expire_past", move |tx| {
            versions::expire(tx, &old, before)?;
            Ok(old.len() + undo::forget(tx, undone_before, rows)?)
        })
        .await
    }

    async fn prune_tombstones(&self, before: i64, rows: usize) -> Result<usize> {
        self.write_behind("upkeep.prune_tombstones", move |tx| {
            trash::prune_tombstones(tx, before, rows)
        })
        .await
    }

    async fn references(&self, visit: Visit) -> Result<()> {
        let mut visit = visit;
        self.read_long("upkeep.references", move |conn| references(conn, &mut visit)).await
    }

    async fn held(&self) -> Result<Held> {
        self.read_long("upkeep.held", held).await
    }

    async fn holdings(&self, account: AccountId) -> Result<Holdings> {
        self.read_long("upkeep.holdings", move |conn| measure::holdings(conn, account)).await
    }

    async fn stock(&self) -> Result<Stock> {
        self.read_long("upkeep.stock", measure::stock).await
    }

    async fn oldest_lease(&self) -> Result<Option<i64>> {
        self.read("upkeep.oldest_lease", |conn| {
            Ok(one(conn, "SELECT min(opened_at) FROM lease", [], |row| row.get(0))?.flatten())
        })
        .await
    }

    async fn chunks(&self, after: Option<ChunkHash>, limit: usize) -> Result<Vec<ChunkRow>> {
        self.read("upkeep.chunks", move |conn| {
            let sql = format!("{CHUNK} WHERE c.hash > ?1 ORDER BY c.hash LIMIT ?2");
            let after = after.map_or_else(Vec::new, |hash| hash.0.to_vec());
            all(conn, &sql, (after, limit), chunk)
        })
        .await
    }

    async fn condemn(
        &self,
        chunks: Vec<ChunkHash>,
        registered_before: i64,
        now: i64,
    ) -> Result<usize> {
        self.write_behind("upkeep.condemn", move |tx| {
            let at = marked_at(tx, now)?;
            let sql = "UPDATE chunk SET condemned_at = ?3
                       WHERE hash = ?1 AND registered_at < ?2 AND condemned_at IS NULL";
            chunks.iter().map(|hash| tx.execute(sql, (hash, registered_before, at))).sum()
        })
        .await
    }

    async fn pardon(&self, chunks: Vec<ChunkHash>) -> Result<()> {
        self.write_behind("upkeep.pardon", move |tx| {
            let sql = "UPDATE chunk SET condemned_at = NULL WHERE hash = ?1";
            chunks.iter().try_for_each(|hash| tx.execute(sql, [hash]).map(drop))
        })
        .await
    }

    async fn collect(&self, chunks: Vec<ChunkHash>, before: i64) -> Result<(usize, u64)> {
        self.write_behind("upkeep.collect", move |tx| collect(tx, &chunks, before)).await
    }

    async fn sweep_contents(&self, before: i64, now: i64, rows: usize) -> Result<usize> {
        let mut deleted = 0;
        loop {
            let delete = move |tx: &mut Tx<'_>| delete_contents(tx, before, rows);
            let some = self.write_behind("upkeep.delete_contents", delete).await?;
            deleted += some;
            if some == 0 {
                break;
            }
        }
        let mut after = Some(ManifestKey(0));
        while let Some(from) = after {
            let look = move |conn: &Connection| unreferred(conn, from);
            let (keys, reached) = self.read("upkeep.unreferred", look).await?;
            for keys in keys.chunks(rows.max(1)) {
                let keys = keys.to_vec();
                let mark = move |tx: &mut Tx<'_>| mark_contents(tx, &keys, now);
                self.write_behind("upkeep.mark_contents", mark).await?;
            }
            after = reached;
        }
        Ok(deleted)
    }

    async fn pack_uses(&self) -> Result<Vec<PackUse>> {
        self.read("upkeep.pack_uses", |conn| {
            let sql = "SELECT p.id AS id, count(c.key) AS chunks,
                              coalesce(sum(c.length), 0) AS bytes
                       FROM pack AS p LEFT JOIN chunk AS c ON c.pack = p.key GROUP BY p.key";
            all_once(conn, sql, [], |row| {
                Ok(PackUse {
                    pack: row.get("id")?,
                    chunks: row.get("chunks")?,
                    bytes: row.get("bytes")?,
                })
            })
        })
        .await
    }

    async fn chunks_of(&self, pack: PackId, offset: u64, limit: usize) -> Result<Vec<ChunkRow>> {
        self.read("upkeep.chunks_of", move |conn| {
            let sql = format!(
                "{CHUNK} WHERE c.pack = (SELECT key FROM pack WHERE id = ?1) AND c.offset >= ?2
                 ORDER BY c.offset LIMIT ?3"
            );
            all(conn, &sql, (pack, offset, limit), chunk)
        })
        .await
    }

    async fn relocate(&self, moved: Vec<(ChunkHash, ChunkPlace, ChunkPlace)>) -> Result<()> {
        self.write_behind("upkeep.relocate", move |tx| {
            moved.iter().try_for_each(|(hash, from, to)| relocate(tx, *hash, (*from, *to)))
        })
        .await
    }

    async fn note_empty(&self, pack: PackId, now: i64) -> Result<()> {
        self.write_behind("upkeep.note_empty", move |tx| {
            // One whose chunks were never registered has no row yet.
            let sql = "INSERT INTO pack (id, emptied_at) VALUES (?1, ?2)
                       ON CONFLICT (id) DO UPDATE SET emptied_at = ?2 WHERE emptied_at IS NULL
                       AND NOT EXISTS (SELECT 1 FROM chunk WHERE chunk.pack = pack.key)";
            tx.execute(sql, (pack, now)).map(drop)
        })
        .await
    }

    async fn empty_packs(&self, before: i64) -> Result<Vec<PackId>> {
        self.read("upkeep.empty_packs", move |conn| {
            let sql = "SELECT id FROM pack WHERE emptied_at <= ?1
                       AND NOT EXISTS (SELECT 1 FROM chunk WHERE chunk.pack = pack.key)";
            all_once(conn, sql, [before], |row| row.get(0))
        })
        .await
    }

    async fn forget_pack(&self, pack: PackId) -> Result<()> {
        self.write_behind("upkeep.forget_pack", move |tx| {
            tx.execute("DELETE FROM pack WHERE id = ?1", [pack]).map(drop)
        })
        .await
    }

    async fn manifests(&self, after: ManifestKey, limit: usize) -> Result<Vec<Manifest>> {
        self.read("upkeep.manifests", move |conn| manifests(conn, after, limit)).await
    }

    async fn users_of(&self, chunk: ChunkHash, limit: usize) -> Result<Vec<String>> {
        self.read("upkeep.users_of", move |conn| checks::users_of(conn, chunk, limit)).await
    }

    async fn users_of_list(&self, list: ManifestKey, limit: usize) -> Result<Vec<String>> {
        self.read("upkeep.users_of_list", move |conn| checks::users_of_list(conn, list, limit))
            .await
    }

    async fn problems(&self) -> Result<Vec<String>> {
        self.read("upkeep.problems", checks::problems).await
    }
}

impl Sqlite {
    async fn store_home(&self) -> Result<Option<String>> {
        self.read("upkeep.store_home", |conn| {
            Ok(one(conn, "SELECT home FROM store", [], |row| row.get(0))?.flatten())
        })
        .await
    }
}

const CHUNK: &str = "SELECT c.hash AS hash, p.id AS pack, c.offset AS offset, c.length AS length,
     c.condemned_at AS condemned_at FROM chunk AS c JOIN pack AS p ON p.key = c.pack";

fn chunk(row: &Row<'_>) -> rusqlite::Result<ChunkRow> {
    let place = ChunkPlace {
        pack: row.get("pack")?,
        offset: row.get("offset")?,
        length: row.get("length")?,
    };
    Ok(ChunkRow { hash: row.get("hash")?, place, condemned_at: row.get("condemned_at")? })
}

fn last_places(conn: &Connection) -> Result<HashMap<PackId, ChunkPlace>> {
    let packs: Vec<PackId> = all_once(conn, "SELECT id FROM pack", [], |row| row.get(0))?;
    let mut places = HashMap::new();
    for pack in packs {
        let sql = format!(
            "{CHUNK} WHERE c.pack = (SELECT key FROM pack WHERE id = ?1)
             ORDER BY c.offset DESC LIMIT 1"
        );
        if let Some(last) = one(conn, &sql, [pack], chunk)? {
            places.insert(pack, last.place);
        }
    }
    Ok(places)
}

/// Purges some rows of the entry that was removed longest ago: `None` when there is none, otherwise
/// whether that was all of it.
fn purge_some(tx: &mut Tx<'_>, before: i64) -> Result<Option<bool>> {
    let sql = "SELECT account, id FROM entry WHERE removed_at < ?1 ORDER BY removed_at, id LIMIT 1";
    let found = one(tx.conn(), sql, [before], |row| {
        Ok((row.get::<_, AccountId>(0)?, row.get::<_, EntryId>(1)?))
    })?;
    let Some((account, id)) = found else {
        return Ok(None);
    };
    Ok(Some(trash::purge(tx, account, id, PURGED_ROWS)?.whole))
}

/// One-chunk contents are named by their digest; the others' chunks are in segments. Segments of
/// contents that nothing refers to count until their content is deleted.
fn references(conn: &Connection, visit: &mut Visit) -> Result<()> {
    for (table, digest, content, size) in [
        ("entry", "digest", "content", "size"),
        ("version", "digest", "content", "size"),
        ("attachment", "digest", "content", "size"),
        ("staged_entry", "digest", "content", "size"),
        ("message", "body_digest", "body_content", "body_size"),
    ] {
        let sql = format!(
            "SELECT {digest} FROM {table}
             WHERE {content} IS NULL AND {digest} IS NOT NULL AND {size} > 0"
        );
        let mut statement = conn.prepare(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            visit(row.get(0)?);
        }
    }
    let mut statement = conn.prepare("SELECT pieces FROM segment")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let encoded: Vec<u8> = row.get(0)?;
        let pieces = Piece::decode_all(&encoded)
            .ok_or_else(|| Error::new(Kind::DataLoss, "a list of chunks is damaged"))?;
        pieces.into_iter().for_each(|piece| visit(piece.hash));
    }
    Ok(())
}

fn held(conn: &Connection) -> Result<Held> {
    // What was removed before a folder above it was counts once.
    let trash = "WITH RECURSIVE gone (id, size) AS (
                   SELECT id, size FROM entry WHERE removed_at IS NOT NULL
                   UNION
                   SELECT e.id, e.size FROM entry AS e JOIN gone AS g ON e.parent = g.id)
                 SELECT coalesce(sum(size), 0) + (SELECT coalesce(sum(v.size), 0)
                   FROM version AS v WHERE v.entry IN (SELECT id FROM gone)) FROM gone";
    let ends = "SELECT min(removed_at), max(removed_at) FROM entry WHERE removed_at IS NOT NULL";
    let uploads = "SELECT count(*), coalesce(sum(bytes), 0) FROM lease";
    let (first, last): (Option<i64>, Option<i64>) =
        only_row(conn, ends, |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (uploads, upload_bytes) = only_row(conn, uploads, |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Held {
        trash_bytes: only_row(conn, trash, |row| row.get(0))?,
        removed_at: first.zip(last),
        uploads,
        upload_bytes,
    })
}

/// The one row of sums.
fn only_row<T>(
    conn: &Connection,
    sql: &str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<T> {
    let row = all_once(conn, sql, [], read)?.pop();
    row.ok_or_else(|| Error::internal("upkeep.held", "a sum has a row"))
}

/// The time of a mark: no earlier than any open upload began, which may have been told that what is
/// marked is there, or have recorded it.
fn marked_at(tx: &Tx<'_>, now: i64) -> Result<i64> {
    let newest = one(tx.conn(), "SELECT max(opened_at) FROM lease", [], |row| row.get(0))?;
    Ok(newest.flatten().map_or(now, |opened_at: i64| now.max(opened_at)))
}

/// Up to when marks count: those that were set while an upload was open that still is do not yet.
fn marked_before(tx: &Tx<'_>, before: i64) -> Result<i64> {
    let oldest = one(tx.conn(), "SELECT min(opened_at) FROM lease", [], |row| row.get(0))?;
    let oldest = oldest.flatten().filter(|_| !is_off(Protection::Lease));
    Ok(oldest.map_or(before, |opened_at: i64| before.min(opened_at.saturating_sub(1))))
}

fn collect(tx: &Tx<'_>, chunks: &[ChunkHash], before: i64) -> Result<(usize, u64)> {
    let before = marked_before(tx, before)?;
    let (mut gone, mut bytes) = (0, 0);
    for hash in chunks {
        let sql = "SELECT key, length FROM chunk WHERE hash = ?1 AND condemned_at <= ?2";
        let dead = one(tx.conn(), sql, (hash, before), |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, u64>(1)?))
        })?;
        if let Some((key, length)) = dead {
            // Whoever sends it again possesses it again.
            tx.execute("DELETE FROM account_chunk WHERE chunk = ?1", [key])?;
            tx.execute("DELETE FROM chunk WHERE key = ?1", [key])?;
            gone += 1;
            bytes += length;
        }
    }
    Ok((gone, bytes))
}

const REFERRED: &str = "(EXISTS (SELECT 1 FROM entry WHERE entry.content = content.key)
     OR EXISTS (SELECT 1 FROM version WHERE version.content = content.key)
     OR EXISTS (SELECT 1 FROM attachment WHERE attachment.content = content.key)
     OR EXISTS (SELECT 1 FROM staged_entry WHERE staged_entry.content = content.key)
     OR EXISTS (SELECT 1 FROM message WHERE message.body_content = content.key))";

fn delete_contents(tx: &Tx<'_>, before: i64, rows: usize) -> Result<usize> {
    let before = marked_before(tx, before)?;
    let sql = format!(
        "SELECT key, (SELECT count(*) FROM segment WHERE segment.content = content.key)
         FROM content WHERE unreferenced_at <= ?1 AND NOT {REFERRED} LIMIT ?2"
    );
    let dead = all(tx.conn(), &sql, (before, rows), |row| {
        Ok((row.get::<_, ManifestKey>(0)?, row.get::<_, usize>(1)?))
    })?;
    let (mut gone, mut left) = (0, rows);
    for (key, segments) in dead {
        if left == 0 {
            break;
        }
        // Its segments go with it.
        gone += tx.execute("DELETE FROM content WHERE key = ?1", [key])?;
        left = left.saturating_sub(1 + segments);
    }
    Ok(gone)
}

/// Contents that nothing refers to and that are not marked yet, among some after `after`; where to go on.
fn unreferred(
    conn: &Connection,
    after: ManifestKey,
) -> Result<(Vec<ManifestKey>, Option<ManifestKey>)> {
    let sql = format!(
        "SELECT key, unreferenced_at IS NULL AND NOT {REFERRED} FROM content
         WHERE key > ?1 ORDER BY key LIMIT ?2"
    );
    let rows = all(conn, &sql, (after, LOOKED_AT), |row| {
        Ok((row.get::<_, ManifestKey>(0)?, row.get::<_, bool>(1)?))
    })?;
    let reached = rows.last().map(|(key, _)| *key);
    Ok((rows.into_iter().filter(|(_, dead)| *dead).map(|(key, _)| key).collect(), reached))
}

fn mark_contents(tx: &Tx<'_>, keys: &[ManifestKey], now: i64) -> Result<()> {
    let at = marked_at(tx, now)?;
    let sql = format!(
        "UPDATE content SET unreferenced_at = ?2
         WHERE key = ?1 AND unreferenced_at IS NULL AND NOT {REFERRED}"
    );
    keys.iter().try_for_each(|key| tx.execute(&sql, (key, at)).map(drop))
}

fn relocate(tx: &Tx<'_>, hash: ChunkHash, (from, to): (ChunkPlace, ChunkPlace)) -> Result<()> {
    let pack = pack_key(tx, to.pack)?;
    tx.execute(
        "UPDATE chunk SET pack = ?4, offset = ?5
         WHERE hash = ?1 AND pack = (SELECT key FROM pack WHERE id = ?2) AND offset = ?3",
        (hash, from.pack, from.offset, pack, to.offset),
    )
    .map(drop)
}

fn manifests(conn: &Connection, after: ManifestKey, limit: usize) -> Result<Vec<Manifest>> {
    let sql = "SELECT key, id, size, digest FROM content WHERE key > ?1 ORDER BY key LIMIT ?2";
    all(conn, sql, (after, limit), |row| {
        Ok(Manifest {
            key: row.get(0)?,
            id: row.get(1)?,
            size: row.get("size")?,
            digest: row.get(3)?,
        })
    })
}
