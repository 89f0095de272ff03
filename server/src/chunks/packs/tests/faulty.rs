//! A disk that fails when it is told to, and that can be held to see what happens meanwhile.

use std::io::IoSlice;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use rustix::io::{Errno, Result};

use crate::chunks::packs::disk::{Disk, Kernel};

/// The test's handle; the clone that is given to the store is the disk.
#[derive(Clone, Default)]
pub(super) struct Faulty(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
pub(super) struct State {
    /// Calls of sync and sync_directory so far.
    pub(super) syncs: usize,
    /// Calls of write that wrote something.
    pub(super) writes: usize,
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
    /// The most bytes that one write takes.
    pub(super) write_bytes_max: Option<usize>,
}

impl Faulty {
    pub(super) fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.0.1.notify_all();
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap()
    }

    /// Syncs and writes so far.
    pub(super) fn counts(&self) -> (usize, usize) {
        let state = self.state();
        (state.syncs, state.writes)
    }

    /// Waits until it is so.
    pub(super) async fn until(&self, so: impl Fn(&State) -> bool) {
        for _ in 0..2000 {
            if so(&self.state()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.set(|state| state.held = false);
        panic!("that never came about");
    }

    fn count_sync(&self, call: &'static str) -> Result<()> {
        let mut state = self.state();
        state.calls.push(call);
        state.syncs += 1;
        let failing = state.failing_sync == Some(state.syncs);
        self.0.1.notify_all();
        drop(self.0.1.wait_while(state, |state| state.held).unwrap());
        if failing { Err(Errno::IO) } else { Ok(()) }
    }
}

impl Disk for Faulty {
    fn write(&self, file: BorrowedFd<'_>, pieces: &[IoSlice<'_>], offset: u64) -> Result<usize> {
        let mut state = self.state();
        state.calls.push("write");
        if let Some(errno) = state.write_error {
            return Err(errno);
        }
        let room =
            state.room.unwrap_or(u64::MAX).min(state.write_bytes_max.unwrap_or(usize::MAX) as u64);
        if room == 0 {
            return Err(Errno::NOSPC);
        }
        let mut fitting: Vec<u8> = pieces.iter().flat_map(|piece| piece.iter().copied()).collect();
        fitting.truncate(usize::try_from(room).unwrap());
        let written = Kernel.write(file, &[IoSlice::new(&fitting)], offset)?;
        state.room = state.room.map(|room| room - written as u64);
        state.writes += 1;
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
