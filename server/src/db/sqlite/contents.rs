//! Chunks, possession, uploads' leases and manifests as rows.

use async_trait::async_trait;
use rusqlite::Connection;

use crate::db::sqlite::rows::{all, one};
use crate::db::sqlite::writer::Tx;
use crate::db::sqlite::{Sqlite, quota};
use crate::db::{Arrived, ChunkState, Contents, NewContent, Upload};
use crate::error::{Error, Kind, Result};
use crate::faults::{Protection, is_off};
use crate::model::{
    AccountId, ChunkHash, ChunkPlace, Content, Digest, ManifestKey, PackId, Piece, UploadId,
};

/// Chunks in one segment of a manifest: 36 KiB.
const SEGMENT_PIECES: usize = 1_024;

/// Chunks looked up by one job.
const JOB_PIECES: usize = 4 * SEGMENT_PIECES;

/// A lease that was renewed this recently is not renewed again.
const LEASE_RENEWED_MS: i64 = 60_000;

#[async_trait]
impl Contents for Sqlite {
    async fn missing(&self, upload: Upload, hashes: Vec<ChunkHash>) -> Result<Vec<bool>> {
        self.hold(upload).await?;
        self.read("contents.missing", move |conn| {
            hashes.iter().map(|hash| Ok(!possessed(conn, upload.account, *hash)?)).collect()
        })
        .await
    }

    async fn reserve(&self, upload: Upload, bytes: u64) -> Result<()> {
        let account = upload.charged;
        let fits = move |conn: &Connection| quota::fits(conn, account, bytes);
        if self.read("contents.fits", fits).await? {
            return Ok(());
        }
        let is_own = upload.account == upload.charged;
        self.write_in_quota("contents.reserve", is_own, move |tx| {
            renew_lease(tx, &upload)?;
            quota::require(tx, upload.charged, bytes, upload.now)
        })
        .await
    }

    async fn chunk_states(&self, hashes: Vec<ChunkHash>) -> Result<Vec<ChunkState>> {
        self.read("contents.chunk_states", move |conn| {
            hashes.iter().map(|hash| chunk_state(conn, *hash)).collect()
        })
        .await
    }

    async fn register(&self, upload: Upload, arrived: Vec<Arrived>) -> Result<()> {
        let is_own = upload.account == upload.charged;
        let work = move |tx: &mut Tx<'_>| register(tx, &upload, &arrived);
        self.write_in_quota("contents.register", is_own, work).await
    }

    async fn close_upload(&self, account: AccountId, upload: UploadId) -> Result<()> {
        self.write("contents.close_upload", move |tx| end_upload(tx, account, Some(upload))).await
    }

    async fn add_contents(
        &self,
        account: AccountId,
        contents: Vec<NewContent>,
        now: i64,
    ) -> Result<Vec<ManifestKey>> {
        let mut keys = Vec::with_capacity(contents.len());
        for some in jobs(contents) {
            match <[NewContent; 1]>::try_from(some) {
                Ok([long]) if long.pieces.len() > JOB_PIECES => {
                    let key = self.open_content(long.size, long.digest, now).await?;
                    self.append_pieces(account, key, 0, long.pieces).await?;
                    keys.push(self.close_content(key, long.id).await?);
                }
                some => {
                    let some = some.map_or_else(|some| some, Vec::from);
                    let add = move |tx: &mut Tx<'_>| {
                        some.iter().map(|new| add_content(tx, account, new, now)).collect()
                    };
                    let added: Vec<ManifestKey> = self.write("contents.add", add).await?;
                    keys.extend(added);
                }
            }
        }
        Ok(keys)
    }

    async fn open_content(&self, size: u64, digest: Digest, now: i64) -> Result<ManifestKey> {
        self.write("contents.open", move |tx| open_content(tx, size, digest, now)).await
    }

    async fn append_pieces(
        &self,
        account: AccountId,
        key: ManifestKey,
        mut offset: u64,
        pieces: Vec<Piece>,
    ) -> Result<()> {
        for some in pieces.chunks(JOB_PIECES) {
            let (at, some) = (offset, some.to_vec());
            offset += some.iter().map(|piece| u64::from(piece.length)).sum::<u64>();
            let append = move |tx: &mut Tx<'_>| append_pieces(tx, account, (key, at), &some);
            self.write("contents.append", append).await?;
        }
        Ok(())
    }

    async fn close_content(&self, key: ManifestKey, id: [u8; 32]) -> Result<ManifestKey> {
        self.write("contents.close", move |tx| close_content(tx, key, id)).await
    }

    async fn pieces(
        &self,
        content: Content,
        offset: u64,
        limit: usize,
    ) -> Result<(u64, Vec<Piece>)> {
        match (content.manifest, content.only_chunk()) {
            (None, Some(piece)) if offset < content.size => Ok((0, vec![piece])),
            (None, _) => Ok((content.size, Vec::new())),
            // Also: a number that SQLite cannot hold is past every end.
            (Some(_), _) if offset >= content.size => Ok((content.size, Vec::new())),
            (Some(key), _) => {
                self.read("contents.pieces", move |conn| pieces(conn, key, offset, limit)).await
            }
        }
    }
}

impl Sqlite {
    /// Sees to it that an upload has a fresh lease; mostly that takes a reading alone.
    async fn hold(&self, upload: Upload) -> Result<()> {
        let Upload { account, id, charged, now, .. } = upload;
        let fresh = self
            .read("contents.lease", move |conn| {
                let sql = "SELECT touched_at FROM lease
                           WHERE account = ?1 AND upload = ?2 AND charged = ?3";
                let touched: Option<i64> =
                    one(conn, sql, (account, id, charged), |row| row.get(0))?;
                Ok(touched.is_some_and(|at| (now - LEASE_RENEWED_MS..=now).contains(&at)))
            })
            .await?;
        if fresh {
            return Ok(());
        }
        self.write("contents.renew_lease", move |tx| renew_lease(tx, &upload)).await
    }
}

/// Opens or renews a lease; the longest idle one of too many makes room.
fn renew_lease(tx: &mut Tx<'_>, upload: &Upload) -> Result<()> {
    tx.upload = Some((upload.account, upload.id));
    let sql = "UPDATE lease SET touched_at = max(touched_at, ?3)
               WHERE account = ?1 AND upload = ?2 RETURNING charged";
    let key = (upload.account, upload.id, upload.now);
    match one(tx.conn(), sql, key, |row| row.get::<_, AccountId>(0))? {
        Some(charged) if charged == upload.charged => return Ok(()),
        Some(_) => {
            let problem = "this upload was begun for another account's tree; begin another one";
            return Err(Error::field("upload_id", problem));
        }
        None => {}
    }
    let sql = "SELECT count(*) FROM lease WHERE account = ?1";
    let open: u32 = one(tx.conn(), sql, [upload.account], |row| row.get(0))?.unwrap_or(0);
    for _too_many in upload.leases_max..=open {
        let sql = "DELETE FROM lease WHERE (account, upload) IN (
                     SELECT account, upload FROM lease WHERE account = ?1
                     ORDER BY touched_at, upload LIMIT 1)";
        tx.execute(sql, [upload.account])?;
    }
    tx.execute(
        "INSERT INTO lease (account, upload, charged, opened_at, touched_at)
         VALUES (?1, ?2, ?3, ?4, ?4)",
        (upload.account, upload.id, upload.charged, upload.now),
    )
    .map(drop)
}

/// Ends a lease, in the transaction that uses what it brought.
pub(super) fn end_upload(
    tx: &mut Tx<'_>,
    account: AccountId,
    upload: Option<UploadId>,
) -> Result<()> {
    let Some(upload) = upload else {
        return Ok(());
    };
    tx.upload = Some((account, upload));
    tx.execute("DELETE FROM lease WHERE account = ?1 AND upload = ?2", (account, upload)).map(drop)
}

fn possessed(conn: &Connection, account: AccountId, hash: ChunkHash) -> Result<bool> {
    let sql = "SELECT 1 FROM chunk AS c JOIN account_chunk AS p ON p.chunk = c.key
               WHERE p.account = ?1 AND c.hash = ?2 AND c.condemned_at IS NULL";
    Ok(one(conn, sql, (account, hash), |_| Ok(()))?.is_some())
}

/// Contents as they are recorded: together as long as their lists are short, or one that is long.
fn jobs(contents: Vec<NewContent>) -> Vec<Vec<NewContent>> {
    let mut jobs: Vec<Vec<NewContent>> = Vec::new();
    let mut room = 0;
    for new in contents {
        let pieces = new.pieces.len();
        match jobs.last_mut().filter(|_| pieces <= room) {
            Some(job) => {
                job.push(new);
                room -= pieces;
            }
            None => {
                jobs.push(vec![new]);
                room = JOB_PIECES.saturating_sub(pieces);
            }
        }
    }
    jobs
}

/// Why a content may be referred to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Provenance {
    /// Its chunks were sent by this account.
    SentBy(AccountId),
    /// It is that of something that may be read by whoever refers to it.
    Held,
}

/// Sees to it that a content may be referred to, in the transaction that does so: it is there, and a
/// collector who had marked any of it lets it live. `ChunksMissing` otherwise.
pub(super) fn take(tx: &Tx<'_>, content: &Content, provenance: Provenance) -> Result<()> {
    let there = match (content.manifest, content.only_chunk(), provenance) {
        // The chunks of a list were looked for when it was recorded.
        (Some(key), ..) => refer_to_list(tx, key, content.size)?,
        (None, Some(piece), Provenance::Held) => refer_held(tx, piece)?,
        (None, Some(piece), Provenance::SentBy(account)) => refer(tx, account, piece)?,
        (None, None, _) => true,
    };
    if there { Ok(()) } else { Err(chunks_missing(1)) }
}

/// Whether the account has sent this chunk and it is there; from now on it is referred to.
fn refer(tx: &Tx<'_>, account: AccountId, piece: Piece) -> Result<bool> {
    let sql = "SELECT c.condemned_at IS NOT NULL FROM chunk AS c
               JOIN account_chunk AS p ON p.chunk = c.key
               WHERE p.account = ?1 AND c.hash = ?2 AND c.length = ?3";
    let params = (account, piece.hash, piece.length);
    pardoned(tx, piece.hash, one(tx.conn(), sql, params, |row| row.get(0))?)
}

fn refer_held(tx: &Tx<'_>, piece: Piece) -> Result<bool> {
    let sql = "SELECT condemned_at IS NOT NULL FROM chunk WHERE hash = ?1 AND length = ?2";
    let params = (piece.hash, piece.length);
    pardoned(tx, piece.hash, one(tx.conn(), sql, params, |row| row.get(0))?)
}

fn pardoned(tx: &Tx<'_>, hash: ChunkHash, condemned: Option<bool>) -> Result<bool> {
    if condemned == Some(true) && !is_off(Protection::Pardon) {
        tx.execute("UPDATE chunk SET condemned_at = NULL WHERE hash = ?1", [hash])?;
    }
    Ok(condemned.is_some())
}

fn refer_to_list(tx: &Tx<'_>, key: ManifestKey, size: u64) -> Result<bool> {
    let sql = "SELECT unreferenced_at IS NOT NULL FROM content
               WHERE key = ?1 AND id IS NOT NULL AND size = ?2";
    let marked: Option<bool> = one(tx.conn(), sql, (key, size), |row| row.get(0))?;
    if marked == Some(true) {
        tx.execute("UPDATE content SET unreferenced_at = NULL WHERE key = ?1", [key])?;
    }
    Ok(marked.is_some())
}

/// The error of a content whose chunks are not all there.
fn chunks_missing(count: usize) -> Error {
    Error::new(
        Kind::ChunksMissing,
        format!("{count} chunks have not been sent by this account; ask Missing and Fill them"),
    )
}

fn chunk_state(conn: &Connection, hash: ChunkHash) -> Result<ChunkState> {
    let sql = "SELECT p.id, c.offset, c.length, c.condemned_at IS NOT NULL
               FROM chunk AS c JOIN pack AS p ON p.key = c.pack WHERE c.hash = ?1";
    let found = one(conn, sql, [hash], |row| {
        let place = ChunkPlace { pack: row.get(0)?, offset: row.get(1)?, length: row.get(2)? };
        Ok((place, row.get(3)?))
    })?;
    Ok(match found {
        None => ChunkState::Absent,
        Some((place, false)) => ChunkState::Stored(place),
        Some((place, true)) => ChunkState::Condemned(place),
    })
}

fn register(tx: &mut Tx<'_>, upload: &Upload, arrived: &[Arrived]) -> Result<()> {
    renew_lease(tx, upload)?;
    let mut brought = 0;
    let mut pack = LastPack::default();
    for chunk in arrived {
        let key = add_chunk(tx, chunk, &mut pack, upload.now)?;
        let sql = "INSERT OR IGNORE INTO account_chunk (chunk, account) VALUES (?1, ?2)";
        if tx.execute(sql, (key, upload.account))? > 0 {
            brought += u64::from(chunk.length);
        }
    }
    if brought == 0 {
        return Ok(());
    }
    quota::admit(tx, upload.charged, brought, upload.now)?;
    let sql = "UPDATE lease SET bytes = bytes + ?3 WHERE account = ?1 AND upload = ?2";
    tx.execute(sql, (upload.account, upload.id, brought)).map(drop)
}

/// The key of a chunk that an upload has brought.
fn add_chunk(tx: &Tx<'_>, chunk: &Arrived, pack: &mut LastPack, now: i64) -> Result<i64> {
    match chunk.place {
        Some(place) => {
            let pack = pack.key(tx, place.pack)?;
            insert_chunk(tx, chunk.hash, (pack, place), now)
        }
        None => {
            let sql = "UPDATE chunk SET registered_at = max(registered_at, ?2)
                       WHERE hash = ?1 AND condemned_at IS NULL RETURNING key";
            one(tx.conn(), sql, (chunk.hash, now), |row| row.get(0))?.ok_or_else(|| {
                Error::new(Kind::Aborted, "a chunk was collected meanwhile; send it again")
            })
        }
    }
}

/// Records where a chunk lies; one that is there already stays where it is, unless it was condemned:
/// the fresh copy is the one to trust then. Its key.
pub(super) fn insert_chunk(
    tx: &Tx<'_>,
    hash: ChunkHash,
    (pack, place): (i64, ChunkPlace),
    now: i64,
) -> Result<i64> {
    // Without RETURNING, which costs a table of its own each time.
    let sql = "INSERT INTO chunk (hash, pack, offset, length, registered_at)
               VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (hash) DO NOTHING";
    if tx.execute(sql, (hash, pack, place.offset, place.length, now))? > 0 {
        return Ok(tx.conn().last_insert_rowid());
    }
    let sql = "SELECT key, condemned_at IS NOT NULL FROM chunk WHERE hash = ?1";
    let (key, condemned) = one(tx.conn(), sql, [hash], |row| Ok((row.get(0)?, row.get(1)?)))?
        .ok_or_else(|| Error::internal("contents.insert_chunk", "a chunk that is there is not"))?;
    if condemned {
        let sql = "UPDATE chunk SET pack = ?2, offset = ?3, length = ?4, registered_at = ?5,
                                    condemned_at = NULL
                   WHERE key = ?1";
        tx.execute(sql, (key, pack, place.offset, place.length, now))?;
    }
    Ok(key)
}

/// The key of the pack that was asked for last: chunks come to one pack after the other.
#[derive(Default)]
pub(super) struct LastPack(Option<(PackId, i64)>);

impl LastPack {
    pub(super) fn key(&mut self, tx: &Tx<'_>, pack: PackId) -> Result<i64> {
        match self.0 {
            Some((last, key)) if last == pack => Ok(key),
            _ => {
                let key = pack_key(tx, pack)?;
                self.0 = Some((pack, key));
                Ok(key)
            }
        }
    }
}

/// The key of a pack that a chunk comes to, which from now on is not empty.
pub(super) fn pack_key(tx: &Tx<'_>, pack: PackId) -> Result<i64> {
    let sql = "SELECT key, emptied_at IS NOT NULL FROM pack WHERE id = ?1";
    let known = one(tx.conn(), sql, [pack], |row| Ok((row.get(0)?, row.get(1)?)))?;
    match known {
        Some((key, false)) => Ok(key),
        Some((key, true)) => {
            tx.execute("UPDATE pack SET emptied_at = NULL WHERE key = ?1", [key])?;
            Ok(key)
        }
        None => {
            tx.execute("INSERT INTO pack (id) VALUES (?1)", [pack])?;
            Ok(tx.conn().last_insert_rowid())
        }
    }
}

fn add_content(
    tx: &mut Tx<'_>,
    account: AccountId,
    new: &NewContent,
    now: i64,
) -> Result<ManifestKey> {
    refer_all(tx, account, &new.pieces)?;
    if let Some(key) = known_content(tx, new.id)? {
        return Ok(key);
    }
    let key = open_content(tx, new.size, new.digest, now)?;
    insert_segments(tx, (key, 0), &new.pieces)?;
    close_content(tx, key, new.id)
}

fn refer_all(tx: &Tx<'_>, account: AccountId, pieces: &[Piece]) -> Result<()> {
    let missing = pieces
        .iter()
        .map(|piece| refer(tx, account, *piece).map(|there| usize::from(!there)))
        .sum::<Result<usize>>()?;
    if missing > 0 { Err(chunks_missing(missing)) } else { Ok(()) }
}

fn open_content(tx: &Tx<'_>, size: u64, digest: Digest, now: i64) -> Result<ManifestKey> {
    let sql = "INSERT INTO content (size, digest, made_at) VALUES (?1, ?2, ?3)";
    tx.execute(sql, (size, digest, now))?;
    Ok(ManifestKey(tx.conn().last_insert_rowid()))
}

fn append_pieces(
    tx: &mut Tx<'_>,
    account: AccountId,
    place: (ManifestKey, u64),
    pieces: &[Piece],
) -> Result<()> {
    refer_all(tx, account, pieces)?;
    // A list that goes on is not one that was given up.
    let sql = "UPDATE content SET unreferenced_at = NULL WHERE key = ?1 AND id IS NULL";
    if tx.execute(sql, [place.0])? == 0 {
        return Err(list_gone());
    }
    insert_segments(tx, place, pieces)
}

fn insert_segments(
    tx: &Tx<'_>,
    (key, mut offset): (ManifestKey, u64),
    pieces: &[Piece],
) -> Result<()> {
    for segment in pieces.chunks(SEGMENT_PIECES) {
        let mut encoded = Vec::with_capacity(segment.len() * Piece::ENCODED_BYTES);
        segment.iter().for_each(|piece| piece.encode_to(&mut encoded));
        tx.execute(
            "INSERT INTO segment (content, offset, pieces) VALUES (?1, ?2, ?3)",
            (key, offset, encoded),
        )?;
        offset += segment.iter().map(|piece| u64::from(piece.length)).sum::<u64>();
    }
    Ok(())
}

fn close_content(tx: &Tx<'_>, key: ManifestKey, id: [u8; 32]) -> Result<ManifestKey> {
    match known_content(tx, id)? {
        Some(known) if known == key => Ok(key),
        Some(known) => {
            tx.execute("DELETE FROM content WHERE key = ?1 AND id IS NULL", [key])?;
            Ok(known)
        }
        None => {
            let sql = "UPDATE content SET id = ?2 WHERE key = ?1 AND id IS NULL";
            if tx.execute(sql, (key, id))? == 0 { Err(list_gone()) } else { Ok(key) }
        }
    }
}

fn list_gone() -> Error {
    let message = "this list of chunks has ended, or took too long and was dropped; send it again";
    Error::new(Kind::Aborted, message)
}

fn known_content(tx: &Tx<'_>, id: [u8; 32]) -> Result<Option<ManifestKey>> {
    let key = one(tx.conn(), "SELECT key FROM content WHERE id = ?1", [id], |row| row.get(0))?;
    if let Some(key) = key {
        let sql = "UPDATE content SET unreferenced_at = NULL
                   WHERE key = ?1 AND unreferenced_at IS NOT NULL";
        tx.execute(sql, [key])?;
    }
    Ok(key)
}

fn pieces(
    conn: &Connection,
    key: ManifestKey,
    offset: u64,
    limit: usize,
) -> Result<(u64, Vec<Piece>)> {
    let sql = "SELECT offset, pieces FROM segment WHERE content = ?1 AND offset >= coalesce(
                 (SELECT max(offset) FROM segment WHERE content = ?1 AND offset <= ?2), 0)
               ORDER BY offset LIMIT ?3";
    let segments = limit.div_ceil(SEGMENT_PIECES).max(1) + 1;
    let found = all(conn, sql, (key, offset, segments), |row| {
        Ok((row.get::<_, u64>(0)?, row.get::<_, Vec<u8>>(1)?))
    })?;
    let mut begins = found.first().map_or(0, |(begins, _)| *begins);
    let mut list = Vec::new();
    for (_, encoded) in found {
        list.extend(Piece::decode_all(&encoded).ok_or_else(damaged)?);
    }
    let mut before = 0;
    for piece in &list {
        if begins + u64::from(piece.length) > offset {
            break;
        }
        begins += u64::from(piece.length);
        before += 1;
    }
    list.drain(..before);
    list.truncate(limit);
    Ok((begins, list))
}

fn damaged() -> Error {
    Error::new(
        Kind::DataLoss,
        "a list of chunks is damaged; put what it belongs to again, or a backup in its place",
    )
}
