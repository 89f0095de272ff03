//! The one writer: a thread that takes jobs from two lanes and commits them in groups, so that a busy
//! server pays one fsync for many changes and a single change pays one of its own.
//!
//! A job is a whole transaction to its caller: one that fails takes nothing with it. Most that fail have
//! not written anything; after one that has, the group is rolled back and run again with a savepoint for
//! each. It is run again, too, when the disk was full and the reserve made room. So a job must not consume
//! what it was made of. Answers go out after the commit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::db::sqlite::error::{failed, is_failed_write};
use crate::db::sqlite::journal::{self, Numbers};
use crate::db::sqlite::queue::{Lane, Queue};
use crate::db::sqlite::quota::Lack;
use crate::db::sqlite::rows::prepared;
use crate::db::{Committed, MakeRoom};
use crate::error::{Error, Kind, Result};
use crate::model::{AccountId, UploadId};

/// Jobs of one commit.
const GROUP_JOBS_MAX: usize = 256;
/// Rows of one commit, more or less: a job is never cut.
const GROUP_ROWS_MAX: u64 = 5_000;

/// Groups that are run with savepoints at once after one that had to be run again: whoever is refused
/// half done over and over costs the others a savepoint each, and not a second run.
const GROUPS_APART: usize = 32;

/// What a job sees: the connection inside the group's transaction.
pub(super) struct Tx<'a> {
    conn: &'a Connection,
    touched: Vec<AccountId>,
    /// See `journal`.
    pub(super) numbers: Numbers,
    /// A job found no room on the disk.
    full: bool,
    /// A job's write failed.
    failed: bool,
    /// What a job lacks; see `quota`.
    pub(super) lacks: Vec<Lack>,
    /// The upload that a job is about.
    pub(super) upload: Option<(AccountId, UploadId)>,
    /// Past versions of a file that are kept.
    pub(super) versions_max: u32,
}

impl<'a> Tx<'a> {
    fn on(conn: &'a Connection, versions_max: u32) -> Self {
        Self {
            conn,
            touched: Vec::new(),
            numbers: Numbers::default(),
            full: false,
            failed: false,
            lacks: Vec::new(),
            upload: None,
            versions_max,
        }
    }

    /// The connection, for statements.
    pub(super) fn conn(&self) -> &'a Connection {
        self.conn
    }

    /// Notes an account whose watchers shall hear of the commit.
    pub(super) fn touch(&mut self, account: AccountId) {
        if !self.touched.contains(&account) {
            self.touched.push(account);
        }
    }

    /// Runs a statement that is kept prepared; how many rows it changed.
    pub(super) fn execute(&self, sql: &str, params: impl rusqlite::Params) -> Result<usize> {
        Ok(prepared(self.conn, sql)?.execute(params)?)
    }
}

/// A change waiting for its turn.
pub(super) trait Job: Send {
    /// Does it, perhaps not for the first time; whether it is to be kept.
    fn run(&mut self, tx: &mut Tx<'_>) -> bool;
    /// Answers the caller: with what `run` gave, or with why the commit did not happen.
    fn settle(self: Box<Self>, failure: Option<Error>);
}

struct Pending<T, F> {
    work: F,
    outcome: Option<Result<T>>,
    answer: oneshot::Sender<Result<T>>,
}

impl<T: Send, F: FnMut(&mut Tx<'_>) -> Result<T> + Send> Job for Pending<T, F> {
    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        // What a panic leaves half done is rolled back like what any refused job does.
        let work = || (self.work)(tx).and_then(|done| journal::write(tx).map(|()| done));
        let outcome = catch_unwind(AssertUnwindSafe(work))
            .unwrap_or_else(|_| Err(Error::internal("writer", "a job panicked")));
        let keep = outcome.is_ok();
        let kind = outcome.as_ref().err().map(Error::kind);
        tx.full |= kind == Some(Kind::DiskFull);
        tx.failed |= kind == Some(Kind::ReadOnly);
        self.outcome = Some(outcome);
        keep
    }

    fn settle(self: Box<Self>, failure: Option<Error>) {
        let answer = match (failure, self.outcome) {
            // A job that refused was not to be committed: its own answer stands.
            (_, Some(Err(error))) | (Some(error), _) => Err(error),
            (None, Some(outcome)) => outcome,
            (None, None) => Err(Error::internal("writer", "a job was not run")),
        };
        // The caller may have gone; the change stands all the same.
        let _ = self.answer.send(answer);
    }
}

/// The handle through which everybody writes.
pub(super) struct Writer {
    queue: Arc<Queue>,
    broken: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread that owns the writing connection.
    pub(super) fn start(
        conn: Connection,
        (jobs_max, versions_max): (usize, u32),
        (committed, make_room): (Committed, MakeRoom),
    ) -> Result<Self> {
        let queue = Arc::new(Queue::new(jobs_max));
        let broken = Arc::new(AtomicBool::new(false));
        let (jobs, flag) = (Arc::clone(&queue), Arc::clone(&broken));
        let thread = thread::Builder::new()
            .name("db-writer".to_owned())
            .spawn(move || {
                let _end = End { jobs: Arc::clone(&jobs), broken: Arc::clone(&flag) };
                let broken = flag;
                Loop { conn, jobs, broken, committed, make_room, versions_max, apart: 0 }.run();
            })
            .map_err(|error| Error::internal("writer.start", error))?;
        Ok(Self { queue, broken, thread: Some(thread) })
    }

    /// Does `work` as one transaction and answers when it is durable.
    pub(super) async fn run<T, F>(&self, lane: Lane, op: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        if self.broken.load(Ordering::Acquire) {
            return Err(read_only(op));
        }
        let (answer, result) = oneshot::channel();
        self.queue.push(lane, Box::new(Pending { work, outcome: None, answer })).map_err(|_| {
            Error::unavailable("the server is busy; try again", Duration::from_millis(500)).op(op)
        })?;
        result.await.unwrap_or_else(|_| Err(unknown())).map_err(|error| error.op(op))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            // A panic of the writer has been reported by its own thread.
            let _ = thread.join();
        }
    }
}

/// The end of the writing thread, even by a panic: whoever waits is answered, and nobody waits any more.
struct End {
    jobs: Arc<Queue>,
    broken: Arc<AtomicBool>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.broken.store(true, Ordering::Release);
        self.jobs.close();
        while self.jobs.next().is_some() {}
    }
}

struct Loop {
    conn: Connection,
    jobs: Arc<Queue>,
    broken: Arc<AtomicBool>,
    committed: Committed,
    make_room: MakeRoom,
    versions_max: u32,
    /// Groups still to be run with a savepoint for each job. Most jobs fail before they have written
    /// anything, if they fail at all, and it would cost each of them a tenth of its time.
    apart: usize,
}

impl Loop {
    fn run(mut self) {
        while let Some((lane, first)) = self.jobs.next() {
            let began = Instant::now();
            let mut group = vec![first];
            let outcome = self.group(lane, &mut group);
            let held = began.elapsed();
            self.jobs.spent(lane, held);
            tracing::trace!(jobs = group.len(), writer_hold_ms = held.as_millis(), "committed");
            self.settle(group, outcome);
        }
        if let Err(error) = self.conn.pragma_update(None, "wal_checkpoint", "TRUNCATE") {
            tracing::warn!(%error, "the write-ahead log could not be folded in at the end");
        }
    }

    /// Commits the first job and those that wait behind it; whom to tell. All of them are run again after
    /// one that failed half done, and while the disk is full and its reserve makes room: SQLite has rolled
    /// back a commit that found none.
    fn group(&mut self, lane: Lane, group: &mut Vec<Box<dyn Job>>) -> Result<Vec<AccountId>> {
        loop {
            match self.attempt(lane, group) {
                Ok(Some(touched)) => {
                    self.apart = self.apart.saturating_sub(1);
                    return Ok(touched);
                }
                Ok(None) => {
                    self.roll_back();
                    self.apart = GROUPS_APART;
                }
                Err(error) if error.kind() == Kind::DiskFull => {
                    self.roll_back();
                    if !(self.make_room)() {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Runs the first job and those that wait behind it in one transaction. `None` if one of them failed
    /// half done where that cannot be taken back by itself.
    fn attempt(&self, lane: Lane, group: &mut Vec<Box<dyn Job>>) -> Result<Option<Vec<AccountId>>> {
        if self.broken.load(Ordering::Acquire) {
            return Err(read_only("writer"));
        }
        self.statement("BEGIN IMMEDIATE")?;
        let rows_before = self.conn.total_changes();
        let mut tx = Tx::on(&self.conn, self.versions_max);
        let mut next = 0;
        loop {
            while next < group.len() {
                if !self.step(&mut tx, &mut group[next])? {
                    return Ok(None);
                }
                next += 1;
            }
            let rows = self.conn.total_changes() - rows_before;
            if group.len() >= GROUP_JOBS_MAX || rows >= GROUP_ROWS_MAX {
                break;
            }
            match self.jobs.try_next(lane) {
                Some(job) => group.push(job),
                None => break,
            }
        }
        let touched = tx.touched;
        self.statement("COMMIT")?;
        Ok(Some(touched))
    }

    /// Runs one job. If it fails it has done nothing, or the answer is false.
    fn step(&self, tx: &mut Tx<'_>, job: &mut Box<dyn Job>) -> Result<bool> {
        if self.apart > 0 {
            self.statement("SAVEPOINT job")?;
        }
        (tx.lacks, tx.upload) = (Vec::new(), None);
        let (touched, rows) = (tx.touched.len(), self.conn.total_changes());
        if job.run(tx) {
            // SQLite may have ended the transaction under a job that did not mind.
            if self.conn.is_autocommit() {
                return Err(unknown());
            }
            if self.apart > 0 {
                self.statement("RELEASE job")?;
            }
            return Ok(true);
        }
        tx.touched.truncate(touched);
        tx.numbers = Numbers::default();
        if tx.full {
            return Err(Error::new(Kind::DiskFull, "the server's disk is full"));
        }
        if tx.failed {
            self.broken.store(true, Ordering::Release);
            return Err(read_only("writer"));
        }
        // SQLite has ended the transaction by itself when the disk failed.
        if self.conn.is_autocommit() {
            return Err(unknown());
        }
        if self.apart == 0 {
            return Ok(self.conn.total_changes() == rows);
        }
        self.statement("ROLLBACK TO job")?;
        self.statement("RELEASE job")?;
        Ok(true)
    }

    fn statement(&self, sql: &'static str) -> Result<()> {
        let run = || self.conn.prepare_cached(sql)?.execute([]);
        run().map(drop).map_err(|error| {
            if is_failed_write(&error) {
                self.broken.store(true, Ordering::Release);
                tracing::error!(%error, "a write failed: read-only until the next start");
            }
            failed("writer", error)
        })
    }

    /// Ends a transaction that failed, where SQLite has not done it.
    fn roll_back(&self) {
        if !self.conn.is_autocommit()
            && let Err(error) = self.conn.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a failed transaction could not be rolled back");
            self.broken.store(true, Ordering::Release);
        }
    }

    fn settle(&mut self, group: Vec<Box<dyn Job>>, outcome: Result<Vec<AccountId>>) {
        match outcome {
            Ok(touched) => {
                (self.committed)(&touched);
                group.into_iter().for_each(|job| job.settle(None));
            }
            Err(error) => {
                self.roll_back();
                tracing::warn!(error = %error, cause = error.chain(), "a commit failed");
                group.into_iter().for_each(|job| job.settle(Some(not_committed(&error))));
            }
        }
    }
}

/// What each caller of a failed commit is told.
fn not_committed(error: &Error) -> Error {
    match error.kind() {
        kind @ (Kind::DiskFull | Kind::ReadOnly) => Error::new(kind, error.message()),
        _ => unknown(),
    }
}

fn unknown() -> Error {
    Error::unavailable(
        "the server could not tell whether this was done; ask again",
        Duration::from_millis(500),
    )
}

fn read_only(op: &'static str) -> Error {
    let message = "a write failed earlier, so the server accepts no changes until it is restarted";
    Error::new(Kind::ReadOnly, message).op(op)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use rusqlite::Connection;
    use tempfile::TempDir;

    use super::{Lane, Tx, Writer};
    use crate::error::{Kind, Result};

    /// Pages that the "disk" has: enough for some rows, and no more until room is made.
    const PAGES: u32 = 8;
    const PAGES_WITH_ROOM: u32 = 1_000;

    struct Disk {
        writer: Writer,
        room: Arc<AtomicBool>,
        asked: Arc<AtomicUsize>,
        _dir: TempDir,
    }

    fn disk(has_reserve: bool) -> Disk {
        let dir = tempfile::tempdir().unwrap();
        let conn = Connection::open(dir.path().join("db")).unwrap();
        conn.pragma_update(None, "journal_mode", "WAL").unwrap();
        conn.execute_batch("CREATE TABLE kept (bytes BLOB) STRICT").unwrap();
        let (room, asked) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (made, counted) = (Arc::clone(&room), Arc::clone(&asked));
        let make_room = move || {
            counted.fetch_add(1, Ordering::SeqCst);
            has_reserve && !made.swap(true, Ordering::SeqCst)
        };
        let hooks = (Arc::new(|_: &[_]| {}) as _, Arc::new(make_room) as _);
        Disk { writer: Writer::start(conn, (8, 100), hooks).unwrap(), room, asked, _dir: dir }
    }

    impl Disk {
        /// Inserts a row; how often it was tried.
        async fn insert(&self, bytes: usize) -> Result<usize> {
            let (room, mut tries) = (Arc::clone(&self.room), 0);
            let work = move |tx: &mut Tx<'_>| {
                tries += 1;
                let pages = if room.load(Ordering::SeqCst) { PAGES_WITH_ROOM } else { PAGES };
                tx.conn().pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
                tx.execute("INSERT INTO kept VALUES (zeroblob(?1))", [bytes])?;
                Ok(tries)
            };
            self.writer.run(Lane::Interactive, "insert", work).await
        }

        async fn rows(&self) -> Vec<usize> {
            let read = |tx: &mut Tx<'_>| {
                let mut rows =
                    tx.conn().prepare("SELECT length(bytes) FROM kept ORDER BY rowid")?;
                let lengths = rows.query_map([], |row| row.get(0))?;
                Ok(lengths.collect::<rusqlite::Result<Vec<usize>>>()?)
            };
            self.writer.run(Lane::Interactive, "rows", read).await.unwrap()
        }
    }

    #[tokio::test]
    async fn a_change_that_finds_the_disk_full_goes_through_when_room_is_made() {
        let disk = disk(true);
        assert_eq!(disk.insert(10).await.unwrap(), 1);
        assert_eq!(disk.insert(100_000).await.unwrap(), 2);
        assert_eq!(disk.asked.load(Ordering::SeqCst), 1);
        assert_eq!(disk.rows().await, [10, 100_000]);
    }

    #[tokio::test]
    async fn without_room_the_caller_is_told_and_the_next_change_is_done() {
        let disk = disk(false);
        assert_eq!(disk.insert(100_000).await.unwrap_err().kind(), Kind::DiskFull);
        assert_eq!(disk.insert(10).await.unwrap(), 1);
        assert_eq!(disk.rows().await, [10]);
    }

    #[tokio::test]
    async fn a_job_that_panics_takes_nobody_with_it() {
        let disk = disk(false);
        let panics = |tx: &mut Tx<'_>| -> Result<()> {
            tx.execute("INSERT INTO kept VALUES (zeroblob(1))", [])?;
            panic!("as a test")
        };
        let answer = disk.writer.run(Lane::Interactive, "panics", panics).await;
        assert_eq!(answer.unwrap_err().kind(), Kind::Internal);
        assert_eq!(disk.insert(10).await.unwrap(), 1);
        assert_eq!(disk.rows().await, [10], "nothing of it was kept");
    }

    #[tokio::test]
    async fn nothing_is_written_after_a_write_that_failed() {
        let disk = disk(false);
        let fails = |tx: &mut Tx<'_>| -> Result<()> {
            tx.execute("INSERT INTO kept VALUES (zeroblob(1))", [])?;
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC);
            Err(rusqlite::Error::SqliteFailure(code, None).into())
        };
        let answer = disk.writer.run(Lane::Interactive, "fails", fails).await;
        assert_eq!(answer.unwrap_err().kind(), Kind::ReadOnly);
        assert_eq!(disk.insert(10).await.unwrap_err().kind(), Kind::ReadOnly);
    }

    #[tokio::test]
    async fn whoever_waits_for_a_writer_that_died_is_answered() {
        let conn = Connection::open_in_memory().unwrap();
        let hooks =
            (Arc::new(|_: &[_]| -> () { panic!("as a test") }) as _, Arc::new(|| false) as _);
        let writer = Writer::start(conn, (8, 100), hooks).unwrap();
        let job = |name| writer.run(Lane::Interactive, name, |_| Ok(()));
        let (first, second) = tokio::join!(job("first"), job("second"));
        assert_eq!(first.unwrap_err().kind(), Kind::Unavailable);
        assert_ne!(second.unwrap_err().kind(), Kind::Internal);
        // The thread may still be on its way to its end.
        let ended = async {
            while job("third").await.unwrap_err().kind() != Kind::ReadOnly {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(5), ended).await.expect("it ends");
    }
}
