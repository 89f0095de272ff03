//! The disk's reserve: room that new files and messages may not take, so that removals, acknowledgements
//! and logins still work when the disk is full.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::fs::statvfs;

use crate::error::{Detail, Error, Kind, Result};

const BYTES_MIN: u64 = 4 << 20;
const BYTES_MAX: u64 = 64 << 20;

/// How long a look at the disk is good for.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Watches how much room is left.
pub struct Reserve {
    dir: PathBuf,
    seen: Mutex<Option<(Instant, bool)>>,
}

impl Reserve {
    /// Of the file system that holds `dir`: 1 % of it, at least 4 and at most 64 MiB.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir, seen: Mutex::new(None) }
    }

    /// Refuses when the room that is left is the reserve.
    pub(super) fn check(&self) -> Result<()> {
        if self.has_room() {
            return Ok(());
        }
        Err(Error::new(
            Kind::DiskFull,
            "the server's disk is full; what is there can be read and removed, and writing works \
             again when the operator has made room",
        )
        .with(Detail::Quota { subject: "disk".to_owned(), problem: "full".to_owned() }))
    }

    fn has_room(&self) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((at, room)) = *seen
            && at.elapsed() < LOOK_AGAIN
        {
            return room;
        }
        let room = match statvfs(&self.dir) {
            Ok(disk) => {
                let total = disk.f_blocks.saturating_mul(disk.f_frsize);
                let free = disk.f_bavail.saturating_mul(disk.f_frsize);
                free > (total / 100).clamp(BYTES_MIN, BYTES_MAX) && disk.f_favail > 16
            }
            Err(error) => {
                tracing::warn!(%error, "the room on the disk could not be seen");
                true
            }
        };
        *seen = Some((Instant::now(), room));
        room
    }
}
