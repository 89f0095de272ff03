//! Whether the store may still be written to, and what a failed system call means for that. The rule: a
//! full disk is an answer, descriptors that ran out are a pause, and after anything else, a failed
//! fdatasync above all, nobody knows what is on the disk: nothing more is accepted until it is read
//! again at the next start. (A write in blocks that the filesystem refuses as such, `blocks`, has not
//! failed yet: it is made once more as an ordinary one.)

use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::io::Errno;

use crate::error::{Error, Kind};
use crate::model::PackId;

/// Why an append or a removal was not done.
#[derive(Clone, Copy, Debug)]
pub(super) enum Failure {
    /// No room; what was written of it has been cut off again.
    Full(Errno),
    /// Nothing was begun, for want of a descriptor or of memory.
    Busy(Errno),
    /// The store has stopped.
    Stopped(Errno),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let (error, errno) = match failure {
            Failure::Full(errno) => (
                Self::new(Kind::DiskFull, "the server's disk is full: make room, then try again"),
                errno,
            ),
            Failure::Busy(errno) => (
                Self::unavailable("the server is out of descriptors", Duration::from_secs(1)),
                errno,
            ),
            Failure::Stopped(errno) => (
                Self::new(
                    Kind::ReadOnly,
                    "the store is read-only after a failed write: restart the server when its disk \
                     is sound",
                ),
                errno,
            ),
        };
        error.op("chunks.write").source(io::Error::from(errno))
    }
}

/// The first failure that stopped the store, if there was one.
#[derive(Default)]
pub(super) struct Health(OnceLock<Errno>);

impl Health {
    /// Fails once the store has stopped.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.0.get().map_or(Ok(()), |errno| Err(Failure::Stopped(*errno)))
    }

    /// What it means that something other than a sync failed.
    pub(super) fn after(&self, pack: PackId, errno: Errno) -> Failure {
        match errno {
            Errno::NOSPC | Errno::DQUOT => Failure::Full(errno),
            Errno::MFILE | Errno::NFILE | Errno::NOMEM => Failure::Busy(errno),
            other => self.stop(pack, other),
        }
    }

    /// Stops the store.
    pub(super) fn stop(&self, pack: PackId, errno: Errno) -> Failure {
        if self.0.set(errno).is_ok() {
            tracing::error!(%pack, %errno, "a write failed: the chunk store is read-only until a restart");
        }
        Failure::Stopped(errno)
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::Health;
    use crate::error::{Error, Kind};
    use crate::model::PackId;

    #[test]
    fn only_what_is_known_to_pass_leaves_the_store_open() {
        let health = Health::default();
        for (errno, kind) in [
            (Errno::NOSPC, Kind::DiskFull),
            (Errno::DQUOT, Kind::DiskFull),
            (Errno::MFILE, Kind::Unavailable),
            (Errno::NFILE, Kind::Unavailable),
            (Errno::NOMEM, Kind::Unavailable),
        ] {
            assert_eq!(Error::from(health.after(PackId::new(), errno)).kind(), kind);
            assert!(health.check().is_ok(), "{errno}");
        }
        for errno in [Errno::IO, Errno::ROFS, Errno::NXIO, Errno::ACCESS, Errno::FBIG] {
            let health = Health::default();
            let error = Error::from(health.after(PackId::new(), errno));
            assert_eq!(error.kind(), Kind::ReadOnly);
            assert!(health.check().is_err(), "{errno}");
        }
    }

    #[test]
    fn a_sync_that_finds_no_room_stops_the_store_all_the_same() {
        let health = Health::default();
        let error = Error::from(health.stop(PackId::new(), Errno::NOSPC));
        assert_eq!(error.kind(), Kind::ReadOnly);
        assert!(health.check().is_err());
    }
}
