//! The one writer: a thread that takes jobs from two lanes and commits them in groups, so that a busy
//! server pays one fsync for many changes and a single change pays one of its own.
//!
//! A job is a whole transaction to its caller. It runs in a savepoint of the group's transaction, so
//! one that fails takes nothing with it; it may be run again when the disk was full and the reserve
//! made room, so it must not consume what it was made of. Answers go out after the commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::db::Committed;
use crate::db::sqlite::error::{failed, is_failed_write};
use crate::db::sqlite::queue::{Lane, Queue};
use crate::error::{Error, Kind, Result};
use crate::model::AccountId;

/// Jobs of one commit.
const GROUP_JOBS_MAX: usize = 256;
/// Rows of one commit, more or less: a job is never cut.
const GROUP_ROWS_MAX: u64 = 5_000;

/// What a job sees: the connection inside the group's transaction.
pub(super) struct Tx<'a> {
    conn: &'a Connection,
    touched: Vec<AccountId>,
}

impl<'a> Tx<'a> {
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
        Ok(self.conn.prepare_cached(sql)?.execute(params)?)
    }
}

/// A change waiting for its turn.
pub(super) trait Job: Send {
    /// Does it, inside a savepoint; whether it is to be kept.
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
        let outcome = (self.work)(tx);
        let keep = outcome.is_ok();
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
    pub(super) fn start(conn: Connection, jobs_max: usize, committed: Committed) -> Result<Self> {
        let queue = Arc::new(Queue::new(jobs_max));
        let broken = Arc::new(AtomicBool::new(false));
        let (jobs, flag) = (Arc::clone(&queue), Arc::clone(&broken));
        let thread = thread::Builder::new()
            .name("db-writer".to_owned())
            .spawn(move || Loop { conn, jobs, broken: flag, committed }.run())
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

struct Loop {
    conn: Connection,
    jobs: Arc<Queue>,
    broken: Arc<AtomicBool>,
    committed: Committed,
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

    /// Runs the first job and those that wait behind it in one transaction; whom to tell.
    fn group(&self, lane: Lane, group: &mut Vec<Box<dyn Job>>) -> Result<Vec<AccountId>> {
        if self.broken.load(Ordering::Acquire) {
            return Err(read_only("writer"));
        }
        self.statement("BEGIN IMMEDIATE")?;
        let rows_before = self.conn.total_changes();
        let mut tx = Tx { conn: &self.conn, touched: Vec::new() };
        let mut next = 0;
        loop {
            while next < group.len() {
                self.step(&mut tx, &mut group[next])?;
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
        Ok(touched)
    }

    fn step(&self, tx: &mut Tx<'_>, job: &mut Box<dyn Job>) -> Result<()> {
        self.statement("SAVEPOINT job")?;
        let touched = tx.touched.len();
        if job.run(tx) {
            return self.statement("RELEASE job");
        }
        tx.touched.truncate(touched);
        // SQLite has ended the transaction by itself when the disk was full or failed.
        if self.conn.is_autocommit() {
            return Err(unknown());
        }
        self.statement("ROLLBACK TO job")?;
        self.statement("RELEASE job")
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

    fn settle(&mut self, group: Vec<Box<dyn Job>>, outcome: Result<Vec<AccountId>>) {
        match outcome {
            Ok(touched) => {
                (self.committed)(&touched);
                group.into_iter().for_each(|job| job.settle(None));
            }
            Err(error) => {
                if !self.conn.is_autocommit()
                    && let Err(error) = self.conn.execute_batch("ROLLBACK")
                {
                    tracing::error!(%error, "a failed transaction could not be rolled back");
                    self.broken.store(true, Ordering::Release);
                }
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
