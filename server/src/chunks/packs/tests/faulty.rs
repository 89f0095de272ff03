//! A disk that fails when it is told to, and that can be held to see what happens meanwhile.

use std::io::IoSlice;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::{Errno, Result};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::chunks::packs::disk::{Disk, Kernel};
use crate::chunks::packs::record::BLOCK_BYTES;

/// The test's handle; the clone that is given to the store is the disk.
#[derive(Clone, Default)]
pub(super) struct Faulty(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    /// For the store's threads, whose syncs are held.
    released: Condvar,
    /// For the test.
    changed: Notify,
}

/// Between two changes.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct State {
    /// Calls of sync and sync_directory so far.
    pub(super) syncs: usize,
    /// Calls of write that wrote something.
    pub(super) writes: usize,
    /// Those of them that went past the page cache.
    pub(super) writes_in_blocks: usize,
    /// Names of the calls so far.
    pub(super) calls: Vec<&'static str>,
    /// Which sync fails.
    pub(super) failing_sync: Option<usize>,
    /// Bytes that fit on the disk.
    pub(super) room: Option<u64>,
    /// What writing answers.
    pub(super) write_error: Option<Errno>,
    /// What cutting answers.
    pub(super) truncate_error: Option<Errno>,
    /// Syncs wait while this is set.
    pub(super) held: bool,
    /// Writes past the page cache are refused.
    pub(super) refuses_blocks: bool,
    /// The most bytes that one write takes.
    pub(super) write_bytes_max: Option<usize>,
}

impl Faulty {
    pub(super) fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.0.released.notify_all();
        self.0.changed.notify_waiters();
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    /// Syncs and writes so far.
    pub(super) fn counts(&self) -> (usize, usize) {
        let state = self.state();
        (state.syncs, state.writes)
    }

    /// Waits until it is so.
    pub(super) async fn until(&self, so: impl Fn(&State) -> bool) {
        loop {
            let changed = self.0.changed.notified();
            if so(&self.state()) {
                return;
            }
            if timeout(PATIENCE, changed).await.is_err() {
                self.set(|state| state.held = false);
                panic!("that never came about");
            }
        }
    }

    /// Long enough for what must not happen while syncs are held: a store that does it is seen most of
    /// the time, one that does not is never blamed.
    pub(super) async fn time_to_go_wrong(&self) {
        assert!(self.state().held);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    fn count_sync(&self, call: &'static str) -> Result<()> {
        let mut state = self.state();
        state.calls.push(call);
        state.syncs += 1;
        let failing = state.failing_sync == Some(state.syncs);
        self.0.changed.notify_waiters();
        drop(self.0.released.wait_while(state, |state| state.held).unwrap());
        if failing { Err(Errno::IO) } else { Ok(()) }
    }
}

/// As much of the pieces as fits, where they lie.
fn fitting<'a>(pieces: &'a [IoSlice<'_>], mut room: usize) -> Vec<IoSlice<'a>> {
    let mut fitting = Vec::new();
    for piece in pieces {
        let taken = &piece[..piece.len().min(room)];
        room -= taken.len();
        fitting.push(IoSlice::new(taken));
    }
    fitting
}

impl Disk for Faulty {
    fn write(&self, file: BorrowedFd<'_>, pieces: &[IoSlice<'_>], offset: u64) -> Result<usize> {
        let mut state = self.state();
        state.calls.push("write");
        if let Some(errno) = state.write_error {
            return Err(errno);
        }
        // Past the page cache a disk takes whole blocks, and has whole blocks of room.
        let in_blocks = fcntl_getfl(file)?.contains(OFlags::DIRECT);
        if in_blocks && state.refuses_blocks {
            return Err(Errno::INVAL);
        }
        let block = if in_blocks { BLOCK_BYTES } else { 1 };
        let room = usize::try_from(state.room.unwrap_or(u64::MAX)).unwrap() / block * block;
        if room == 0 {
            return Err(Errno::NOSPC);
        }
        let bytes_max = state.write_bytes_max.unwrap_or(usize::MAX / 2).next_multiple_of(block);
        let written = Kernel.write(file, &fitting(pieces, room.min(bytes_max)), offset)?;
        state.room = state.room.map(|room| room - written as u64);
        state.writes += 1;
        state.writes_in_blocks += usize::from(in_blocks);
        self.0.changed.notify_waiters();
        Ok(written)
    }

    fn sync(&self, file: BorrowedFd<'_>) -> Result<()> {
        self.count_sync("sync")?;
        Kernel.sync(file)
    }

    fn sync_directory(&self, directory: BorrowedFd<'_>) -> Result<()> {
        self.count_sync("sync_directory")?;
        Kernel.sync_directory(directory)
    }

    fn truncate(&self, file: BorrowedFd<'_>, length: u64) -> Result<()> {
        self.state().calls.push("truncate");
        let error = self.state().truncate_error;
        error.map_or_else(|| Kernel.truncate(file, length), Err)
    }
}
