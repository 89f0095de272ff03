//! What an account holds and may hold: used + what its uploads have brought ≤ quota, at every commit.
//!
//! Before anything is refused, what nobody will miss goes: uploads that nobody is sending any more, then
//! the trash, then the oldest past versions, each the oldest first. That is not done by the job that
//! needs the room: it says what it lacks and is rolled back. Whether so much can be evicted is looked up
//! first, so that nothing goes in vain; then it goes in small jobs, and the first job is done again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, Row};

use crate::db::Usage;
use crate::db::sqlite::Sqlite;
use crate::db::sqlite::rows::{FOLDER, one, prepared};
use crate::db::sqlite::trash::{Purged, drop_oldest_version, oldest_removed, purge};
use crate::db::sqlite::writer::Tx;
use crate::error::{Detail, Error, Kind, Result};
use crate::faults::{Protection, is_off};
use crate::model::{AccountId, EntryId, UploadId};

/// An upload that nothing was heard of for this long may be evicted for room.
const LEASE_IDLE_MS: i64 = 120_000;
/// Rows evicted by one job.
const EVICTED_ROWS: usize = 500;
/// So often room is made for one job: others may have taken it meanwhile.
const ROUNDS: usize = 4;

/// What one account holds.
pub(super) struct Balance {
    used: i64,
    staged: i64,
    quota: Option<i64>,
}

impl Balance {
    fn excess(&self, more: i64) -> i64 {
        let held = self.used.saturating_add(self.staged).saturating_add(more);
        self.quota.map_or(0, |quota| held.saturating_sub(quota))
    }
}

/// Bytes that an account lacks for what a job would add to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lack {
    account: AccountId,
    bytes: i64,
    /// The upload that the job is about, which is not idle.
    spared: Option<(AccountId, UploadId)>,
    now: i64,
}

/// What one job of eviction did.
struct Evicted {
    bytes: i64,
    /// The removed entry in the middle of which it stopped.
    within: Option<EntryId>,
    /// Whether there may be more to evict.
    more: bool,
}

impl Sqlite {
    /// Does `work`; where it lacks room that can be made, that is made first. What is lacking is told only
    /// to whoever writes into their own tree.
    pub(super) async fn write_in_quota<T, F>(
        &self,
        op: &'static str,
        is_own: bool,
        work: F,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T> + Send + Sync + 'static,
    {
        let done = self.write_making_room(op, work).await;
        if is_own { done } else { done.map_err(Error::discreet) }
    }

    async fn write_making_room<T, F>(&self, op: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T> + Send + Sync + 'static,
    {
        let work = Arc::new(work);
        for _ in 0..ROUNDS {
            let noted = Arc::<Mutex<Noted>>::default();
            let (job, note) = (Arc::clone(&work), Arc::clone(&noted));
            let outcome = self.write(op, move |tx| lock(&note).watch(tx, &*job)).await;
            let Noted { lacks, undone } = std::mem::take(&mut *lock(&noted));
            let lacking = undone || refused(&outcome);
            if lacks.is_empty() || !lacking {
                return outcome;
            }
            if !self.make_room(lacks).await? {
                if refused(&outcome) {
                    return outcome;
                }
                break;
            }
        }
        // Whoever can do with less does.
        self.write(op, move |tx| work(tx)).await
    }

    /// Evicts what each account lacks, if it has so much to evict; whether any had.
    async fn make_room(&self, lacks: Vec<Lack>) -> Result<bool> {
        let mut made = false;
        for lack in lacks {
            if self.read("quota.can_evict", move |conn| can_evict(conn, &lack)).await? {
                self.evict(lack).await?;
                made = true;
            }
        }
        Ok(made)
    }

    /// A removed entry that was begun is purged whole: half of it would be of no use to anybody.
    async fn evict(&self, mut lack: Lack) -> Result<()> {
        let mut within = None;
        loop {
            let job = move |tx: &mut Tx<'_>| evict_some(tx, &lack, within);
            let evicted = self.write("quota.evict", job).await?;
            lack.bytes = lack.bytes.saturating_sub(evicted.bytes);
            within = evicted.within;
            if within.is_none() && (lack.bytes <= 0 || !evicted.more) {
                return Ok(());
            }
        }
    }
}

/// What was seen of a job that may lack room.
#[derive(Default)]
struct Noted {
    lacks: Vec<Lack>,
    /// It could do with less, and is undone to be done again with more.
    undone: bool,
}

impl Noted {
    fn watch<T>(
        &mut self,
        tx: &mut Tx<'_>,
        job: &(impl Fn(&mut Tx<'_>) -> Result<T> + ?Sized),
    ) -> Result<T> {
        let outcome = job(tx);
        self.lacks = std::mem::take(&mut tx.lacks);
        self.undone = outcome.is_ok() && !self.lacks.is_empty();
        match self.undone {
            true => Err(Error::internal("quota", "undone, for want of room")),
            false => outcome,
        }
    }
}

fn lock(noted: &Mutex<Noted>) -> MutexGuard<'_, Noted> {
    noted.lock().unwrap_or_else(PoisonError::into_inner)
}

fn refused<T>(outcome: &Result<T>) -> bool {
    outcome.as_ref().is_err_and(|error| error.kind() == Kind::QuotaExceeded)
}

fn balance(conn: &Connection, account: AccountId) -> Result<Balance> {
    let sql = "SELECT used, quota, (SELECT coalesce(sum(bytes), 0) FROM lease WHERE charged = ?1)
               FROM account WHERE id = ?1";
    one(conn, sql, [account], |row| {
        Ok(Balance { used: row.get(0)?, quota: row.get(1)?, staged: row.get(2)? })
    })?
    .ok_or_else(|| Error::internal("quota", "no such account"))
}

/// What an account holds and may hold.
pub(super) fn usage(conn: &Connection, account: AccountId) -> Result<Usage> {
    let Balance { used, staged, quota } = balance(conn, account)?;
    let unsigned = |bytes: i64| u64::try_from(bytes).unwrap_or(0);
    Ok(Usage { used: unsigned(used), staged: unsigned(staged), quota: quota.map(unsigned) })
}

/// Whether `more` bytes fit without anything being evicted.
pub(super) fn fits(conn: &Connection, account: AccountId, more: u64) -> Result<bool> {
    Ok(balance(conn, account)?.excess(signed(more)?) <= 0)
}

/// Refuses when `more` bytes do not fit, and notes how many are lacking.
pub(super) fn require(tx: &mut Tx<'_>, account: AccountId, more: u64, now: i64) -> Result<()> {
    let more = signed(more)?;
    let balance = balance(tx.conn(), account)?;
    let bytes = balance.excess(more);
    if bytes <= 0 {
        return Ok(());
    }
    tx.lacks.push(Lack { account, bytes, spared: tx.upload, now });
    let brought = match tx.upload {
        Some(upload) => brought_by(tx.conn(), upload)?,
        None => None,
    };
    Err(exceeded(&balance, brought, more))
}

/// The same for bytes that are added in this transaction: nobody can add any between this look and that.
pub(super) fn admit(tx: &mut Tx<'_>, account: AccountId, more: u64, now: i64) -> Result<()> {
    if is_off(Protection::Quota) { Ok(()) } else { require(tx, account, more, now) }
}

/// What an upload that is under way has brought so far.
fn brought_by(conn: &Connection, upload: (AccountId, UploadId)) -> Result<Option<i64>> {
    let sql = "SELECT bytes FROM lease WHERE account = ?1 AND upload = ?2";
    one(conn, sql, upload, |row| row.get(0))
}

/// Adds to what an account holds, if that fits.
pub(super) fn charge(tx: &mut Tx<'_>, account: AccountId, bytes: u64, now: i64) -> Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    admit(tx, account, bytes, now)?;
    add(tx, account, signed(bytes)?)
}

/// Adds to what an account holds, if that fits, without the account having asked for it. Whether it
/// fits.
pub(super) fn offer(tx: &mut Tx<'_>, account: AccountId, bytes: u64, now: i64) -> Result<bool> {
    match charge(tx, account, bytes, now) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == Kind::QuotaExceeded => Ok(false),
        Err(error) => Err(error),
    }
}

/// Takes from what an account holds.
pub(super) fn release(tx: &Tx<'_>, account: AccountId, bytes: u64) -> Result<()> {
    add(tx, account, -signed(bytes)?)
}

fn add(tx: &Tx<'_>, account: AccountId, bytes: i64) -> Result<()> {
    tx.execute("UPDATE account SET used = used + ?2 WHERE id = ?1", (account, bytes)).map(drop)
}

/// Whether so much can be evicted: idle uploads, past versions, and what lies in the trash.
fn can_evict(conn: &Connection, lack: &Lack) -> Result<bool> {
    let idle = "SELECT coalesce(sum(bytes), 0) FROM lease
                WHERE charged = ?1 AND touched_at <= ?2
                AND NOT (account IS ?3 AND upload IS ?4)";
    let versions = "SELECT coalesce(sum(size), 0) FROM version WHERE account = ?1";
    let idle_at = lack.now.saturating_sub(LEASE_IDLE_MS);
    let first = |row: &Row<'_>| row.get::<_, i64>(0);
    let (sender, spared) = lack.spared.unzip();
    let found = one(conn, idle, (lack.account, idle_at, sender, spared), first)?.unwrap_or(0)
        + one(conn, versions, [lack.account], first)?.unwrap_or(0);
    Ok(found >= lack.bytes || trash_holds(conn, lack.account, lack.bytes - found)?)
}

/// Looks no further than it must. What was removed before a folder above it was counts by itself.
fn trash_holds(conn: &Connection, account: AccountId, mut bytes: i64) -> Result<bool> {
    let tops = "SELECT id, kind, coalesce(size, 0) FROM entry
                WHERE account = ?1 AND removed_at IS NOT NULL ORDER BY removed_at, id";
    let below = "SELECT id, kind, coalesce(size, 0) FROM entry WHERE parent = ?1 AND removed = 0";
    let (mut tops, mut below) = (prepared(conn, tops)?, prepared(conn, below)?);
    let mut tops = tops.query([account])?;
    while let Some(top) = tops.next()? {
        let mut folders = Vec::new();
        let mut look = |row: &Row<'_>, folders: &mut Vec<EntryId>| -> Result<bool> {
            if row.get::<_, i64>(1)? == FOLDER {
                folders.push(row.get(0)?);
            }
            bytes -= row.get::<_, i64>(2)?;
            Ok(bytes <= 0)
        };
        if look(top, &mut folders)? {
            return Ok(true);
        }
        while let Some(folder) = folders.pop() {
            let mut rows = below.query([folder])?;
            while let Some(row) = rows.next()? {
                if look(row, &mut folders)? {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

/// Evicts up to `EVICTED_ROWS` rows, until as much as is lacking has gone.
fn evict_some(tx: &mut Tx<'_>, lack: &Lack, mut within: Option<EntryId>) -> Result<Evicted> {
    let (mut bytes, mut rows) = (0, EVICTED_ROWS);
    while rows > 0 && (bytes < lack.bytes || within.is_some()) {
        if within.is_none()
            && let Some(brought) = drop_idle_lease(tx, lack)?
        {
            bytes += brought;
            rows -= 1;
            continue;
        }
        let top = match within.take() {
            Some(top) => Some(top),
            None => oldest_removed(tx.conn(), lack.account)?,
        };
        if let Some(top) = top {
            let Purged { whole, freed, left } = purge(tx, lack.account, top, rows)?;
            bytes += signed(freed)?;
            rows = left;
            within = (!whole).then_some(top);
            continue;
        }
        let Some(size) = drop_oldest_version(tx, lack.account)? else {
            return Ok(Evicted { bytes, within: None, more: false });
        };
        bytes += signed(size)?;
        rows -= 1;
    }
    Ok(Evicted { bytes, within, more: true })
}

/// Ends the upload that has been idle longest; what it had brought. Its chunks are left to the collector.
/// One that brought nothing keeps what it was told of, and would make no room.
fn drop_idle_lease(tx: &Tx<'_>, lack: &Lack) -> Result<Option<i64>> {
    let sql = "DELETE FROM lease WHERE (account, upload) IN (
                 SELECT account, upload FROM lease
                 WHERE charged = ?1 AND touched_at <= ?2 AND bytes > 0
                 AND NOT (account IS ?3 AND upload IS ?4)
                 ORDER BY touched_at, upload LIMIT 1)
               RETURNING bytes";
    let (sender, spared) = lack.spared.unzip();
    let idle_at = lack.now.saturating_sub(LEASE_IDLE_MS);
    one(tx.conn(), sql, (lack.account, idle_at, sender, spared), |row| row.get(0))
}

fn signed(bytes: u64) -> Result<i64> {
    i64::try_from(bytes).map_err(|_| Error::new(Kind::LimitExceeded, "a size past 2^63 bytes"))
}

/// Of an upload all that is known of is named, not what was left of it when there was no room any more.
fn exceeded(balance: &Balance, brought: Option<i64>, more: i64) -> Error {
    let at_least = if brought.is_some() { "at least " } else { "" };
    let brought = brought.unwrap_or(0);
    let (quota, whole) = (balance.quota.unwrap_or(0), brought.saturating_add(more));
    let others = match balance.staged.saturating_sub(brought) {
        0 => String::new(),
        bytes => format!("other uploads under way have brought {bytes}, "),
    };
    let problem = format!(
        "{} of {quota} bytes are used, {others}and {at_least}{whole} would be added",
        balance.used
    );
    let advice = if balance.used.saturating_add(whole) <= quota {
        "try again when the other uploads have ended"
    } else if balance.used == 0 || whole > quota {
        "ask for a larger quota"
    } else {
        "remove something or ask for a larger quota"
    };
    Error::new(
        Kind::QuotaExceeded,
        format!("there is no room for it in the quota: {problem}; {advice}"),
    )
    .with(Detail::Quota { subject: "account".to_owned(), problem })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Lack, can_evict, evict_some};
    use crate::db::sqlite::Sqlite;
    use crate::db::{Accounts, NewAccount, Options, Upkeep};
    use crate::model::{AccountId, AccountName, EntryId, VersionId};

    /// Files of 10 bytes in a folder of the trash.
    const FILES: usize = 1_200;

    async fn with_trash(dir: &std::path::Path) -> (Sqlite, AccountId) {
        let db = Sqlite::open(Options {
            path: dir.join("meta.sqlite3"),
            writer_queue_max: 8,
            readers: 1,
            cache_bytes: 1 << 20,
            versions_max: 100,
            committed: Arc::new(|_| {}),
            make_room: Arc::new(|| false),
        })
        .unwrap();
        let new = NewAccount {
            name: AccountName::parse("ann").unwrap(),
            password: "a hash".to_owned(),
            admin: false,
            quota: Some(FILES as u64 * 10),
            only_first_admin: false,
            now: 1,
        };
        let ann = db.create_account(new).await.unwrap().id;
        let fill = move |tx: &mut super::Tx<'_>| {
            let folder = EntryId::new();
            let sql = "INSERT INTO entry (id, account, parent, name, name_key, kind, mode,
                         modified_ns, size, digest, version, made, generation, placed, modseq,
                         changed_at, removed, removed_at)
                       SELECT ?1, ?2, coalesce(?3, root), ?4, ?4, ?5, 0, 0, ?6, ?7, ?8, 1, 1, 1, 1,
                              1, ?9, ?10 FROM account WHERE id = ?2";
            let none = || None::<Vec<u8>>;
            let removed = Some(1);
            tx.execute(
                sql,
                (folder, ann, None::<EntryId>, "d", 2, None::<i64>, none(), none(), 1, removed),
            )?;
            for number in 0..FILES {
                let (id, name, digest) = (EntryId::new(), number.to_string(), vec![1_u8; 32]);
                let version = VersionId::new().as_bytes().to_vec();
                tx.execute(
                    sql,
                    (
                        id,
                        ann,
                        Some(folder),
                        name,
                        1,
                        Some(10),
                        Some(digest),
                        Some(version),
                        0,
                        None::<i64>,
                    ),
                )?;
            }
            tx.execute("UPDATE account SET used = quota WHERE id = ?1", [ann]).map(drop)
        };
        db.write("test", fill).await.unwrap();
        (db, ann)
    }

    #[tokio::test]
    async fn what_is_large_is_evicted_in_jobs_of_a_few_rows() {
        let dir = tempfile::tempdir().unwrap();
        let (db, account) = with_trash(dir.path()).await;
        let lack = Lack { account, bytes: 100, spared: None, now: 2 };
        let (mut within, mut jobs) = (None, 0);
        loop {
            let evicted = db.write("test", move |tx| evict_some(tx, &lack, within)).await.unwrap();
            assert!(evicted.bytes <= 5_000);
            jobs += 1;
            within = evicted.within;
            if within.is_none() {
                break;
            }
        }
        assert_eq!(jobs, 3, "of 500 rows");
        assert!(!db.purge_trash(i64::MAX).await.unwrap(), "the folder went whole");
    }

    #[tokio::test]
    async fn what_can_be_evicted_is_known_before_anything_is() {
        let dir = tempfile::tempdir().unwrap();
        let (db, account) = with_trash(dir.path()).await;
        let can = async |bytes| {
            let lack = Lack { account, bytes, spared: None, now: 2 };
            db.read("test", move |conn| can_evict(conn, &lack)).await.unwrap()
        };
        assert!(can(1).await && can(FILES as i64 * 10).await);
        assert!(!can(FILES as i64 * 10 + 1).await);
        db.write_in_quota("test", true, move |tx| super::charge(tx, account, 1, 2)).await.unwrap();
        assert!(!can(1).await, "all of the trash went for it");
    }
}
