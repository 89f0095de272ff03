//! The disk's reserve: a file that holds room which new files and messages may not take, so that
//! removals, acknowledgements and logins still work when the disk is full.
//!
//! When the database finds no room for a change, a part of the file is given up and the change goes
//! through. From then on nothing new is taken in until the disk has room for the whole file again. It goes
//! in parts because what is given up is anybody's: a program that fills the disk would have all of it.

use std::fs::{self, OpenOptions};
use std::io;
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

/// It is given up in so many parts.
const PARTS: u64 = 8;
const BLOCK_BYTES: u64 = 4096;

/// Room that opening the stores may take: SQLite's index of its log, and the log's first pages.
const OPENING_BYTES: u64 = 256 << 10;

/// How long after a failed try to take the room back the next one is made.
const TRIED_AGAIN: Duration = Duration::from_millis(500);

/// The reserve of one data directory.
pub struct Reserve {
    file: PathBuf,
    state: Mutex<State>,
}

#[derive(Clone, Copy)]
enum State {
    Held,
    GivenUp { tried: Option<Instant> },
}

/// The file system that it is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Bytes of it.
    pub bytes: u64,
    /// Bytes that are free.
    pub free: u64,
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

    /// Sees to it that the stores can be opened: a file that SQLite maps and the disk has no room for
    /// would end the process without a word.
    pub fn make_room_to_open(&self) -> Result<()> {
        while self.disk().is_ok_and(|disk| disk.free < OPENING_BYTES) {
            if !self.give_up() {
                let message =
                    "the disk is full, and the reserve is used up; make room, then start again";
                return Err(Error::new(Kind::DiskFull, message));
            }
        }
        Ok(())
    }

    /// Gives a part of the room up for a change that cannot wait; whether there was any.
    pub fn give_up(&self) -> bool {
        let mut state = self.lock();
        if is_off(Protection::Reserve) {
            return false;
        }
        if matches!(*state, State::Held) {
            tracing::warn!("the disk is full: nothing new is taken in until there is room");
        }
        *state = State::GivenUp { tried: Some(Instant::now()) };
        self.shorten().unwrap_or_else(|error| {
            tracing::error!(%error, "the disk's reserve could not be given up");
            false
        })
    }

    /// Takes a part off the file; whether there was one.
    fn shorten(&self) -> io::Result<bool> {
        let held = self.held();
        let part = (self.bytes(&self.disk()?) / PARTS).min(held);
        if part == 0 {
            return Ok(false);
        }
        match held - part {
            0 => fs::remove_file(&self.file)?,
            rest => OpenOptions::new().write(true).open(&self.file)?.set_len(rest)?,
        }
        Ok(true)
    }

    /// Refuses new bytes while the room is given up.
    pub(super) fn check(&self) -> Result<()> {
        let mut state = self.lock();
        let tried = match *state {
            State::Held => return Ok(()),
            State::GivenUp { tried } => tried,
        };
        if tried.is_none_or(|at| at.elapsed() >= TRIED_AGAIN) {
            match self.take() {
                Ok(()) => {
                    *state = State::Held;
                    return Ok(());
                }
                Err(error) if is_full(&error) => {
                    *state = State::GivenUp { tried: Some(Instant::now()) };
                    tracing::debug!(%error, "there is no room yet");
                }
                Err(error) => {
                    // Not every file system can set room aside. Writes there fail when it is full.
                    tracing::warn!(%error, "no room can be kept for a full disk");
                    *state = State::Held;
                    return Ok(());
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

    fn take(&self) -> io::Result<()> {
        if is_off(Protection::Reserve) {
            return Ok(());
        }
        let disk = self.disk()?;
        let (bytes, held) = (self.bytes(&disk), self.held());
        // A try that must fail would take, for a moment, what a removal needs.
        if disk.free < bytes.saturating_sub(held) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(&self.file)?;
        let taken = fallocate(&file, FallocateFlags::empty(), 0, bytes);
        if taken.is_err() {
            // What little it got on top would only be missing elsewhere.
            match held {
                0 => fs::remove_file(&self.file)?,
                held => file.set_len(held)?,
            }
        }
        Ok(taken?)
    }

    /// Bytes that the file has now.
    fn held(&self) -> u64 {
        fs::metadata(&self.file).map_or(0, |file| file.len())
    }

    /// Bytes that it shall have: whole blocks in every part.
    fn bytes(&self, disk: &Disk) -> u64 {
        let bytes = (disk.bytes / SHARE).clamp(BYTES_MIN, BYTES_MAX);
        bytes - bytes % (PARTS * BLOCK_BYTES)
    }

    /// The file system that it is on.
    pub fn disk(&self) -> io::Result<Disk> {
        let disk = statvfs(self.file.parent().unwrap_or(&self.file))?;
        let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        Ok(Disk { bytes: bytes(disk.f_blocks), free: bytes(disk.f_bavail) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::Reserve;
    use crate::error::Kind;

    #[test]
    fn where_no_room_can_be_kept_writes_go_on() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::new(dir.path().join("no such folder").join("reserve"));
        assert!(reserve.check().is_ok());
    }

    #[test]
    fn what_is_given_up_is_taken_back_later() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("reserve");
        let reserve = Reserve::new(file.clone());
        let bytes = || file.metadata().map_or(0, |file| file.len());
        assert!(reserve.check().is_ok());
        let whole = bytes();
        assert!(whole >= super::BYTES_MIN);
        for part in 1..=super::PARTS {
            assert!(reserve.give_up());
            assert_eq!(bytes(), whole - whole / super::PARTS * part);
        }
        assert!(!reserve.give_up());
        assert!(!file.exists());
        assert_eq!(reserve.check().unwrap_err().kind(), Kind::DiskFull);
        std::thread::sleep(super::TRIED_AGAIN);
        assert!(reserve.check().is_ok());
        assert_eq!(bytes(), whole);
    }
}
