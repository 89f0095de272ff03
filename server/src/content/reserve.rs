//! The disk's reserve: a file that holds room which new files and messages may not take, so that
//! removals, acknowledgements and logins still work when the disk is full.
//!
//! When the database finds no room for a change, the file is given up and the change goes through. From
//! then on nothing new is taken in until the disk has room for the file again.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use crate::error::{Detail, Error, Kind, Result};
use crate::faults::{Protection, is_off};

/// Of the file system: 1 %, within these bounds.
const SHARE: u64 = 100;
const BYTES_MIN: u64 = 4 << 20;
const BYTES_MAX: u64 = 64 << 20;

/// How long after a failed try to take the room back the next one is made.
const TRIED_AGAIN: Duration = Duration::from_millis(500);

/// The reserve of one data directory.
pub struct Reserve {
    file: PathBuf,
    state: Mutex<State>,
}

enum State {
    Held,
    GivenUp { tried: Option<Instant> },
}

impl Reserve {
    /// Takes the room, if it is there.
    pub fn new(file: PathBuf) -> Self {
        let reserve = Self { file, state: Mutex::new(State::GivenUp { tried: None }) };
        if reserve.check().is_err() {
            tracing::warn!("the disk is full: what is there can be read and removed");
        }
        reserve
    }

    /// Gives the room up for a change that cannot wait; whether there was any.
    pub fn give_up(&self) -> bool {
        let mut state = self.lock();
        if !matches!(*state, State::Held) || is_off(Protection::Reserve) {
            return false;
        }
        *state = State::GivenUp { tried: Some(Instant::now()) };
        tracing::warn!("the disk is full: nothing new is taken in until there is room");
        fs::remove_file(&self.file).is_ok()
    }

    /// Refuses new bytes while the room is given up.
    pub(super) fn check(&self) -> Result<()> {
        let mut state = self.lock();
        let tried = match &*state {
            State::Held => return Ok(()),
            State::GivenUp { tried } => *tried,
        };
        if tried.is_none_or(|at| at.elapsed() >= TRIED_AGAIN) {
            match self.take() {
                Ok(()) => {
                    *state = State::Held;
                    return Ok(());
                }
                Err(error) => {
                    *state = State::GivenUp { tried: Some(Instant::now()) };
                    tracing::debug!(%error, "there is no room yet");
                }
            }
        }
        Err(Error::new(
            Kind::DiskFull,
            "the server's disk is full; what is there can be read and removed, and writing works \
             again when its operator has made room",
        )
        .with(Detail::Quota { subject: "disk".to_owned(), problem: "full".to_owned() }))
    }

    fn take(&self) -> std::io::Result<()> {
        if is_off(Protection::Reserve) {
            return Ok(());
        }
        let disk = statvfs(self.file.parent().unwrap_or(&self.file))?;
        let bytes =
            (disk.f_blocks.saturating_mul(disk.f_frsize) / SHARE).clamp(BYTES_MIN, BYTES_MAX);
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(&self.file)?;
        let taken = fallocate(&file, FallocateFlags::empty(), 0, bytes);
        if taken.is_err() {
            // What little it got would only be missing elsewhere.
            let _ = fs::remove_file(&self.file);
        }
        Ok(taken?)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::Reserve;
    use crate::error::Kind;

    #[test]
    fn what_is_given_up_is_taken_back_later() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("reserve");
        let reserve = Reserve::new(file.clone());
        assert!(reserve.check().is_ok());
        assert!(file.metadata().unwrap().len() >= super::BYTES_MIN);
        assert!(reserve.give_up());
        assert!(!reserve.give_up());
        assert!(!file.exists());
        assert_eq!(reserve.check().unwrap_err().kind(), Kind::DiskFull);
        std::thread::sleep(super::TRIED_AGAIN);
        assert!(reserve.check().is_ok());
        assert!(file.exists());
    }
}
