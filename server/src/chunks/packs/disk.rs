//! The few system calls whose failure decides whether a store may go on. They stand behind a trait so
//! that tests can make the i-th of them fail; production pays one indirect call for a system call.
//! Nothing here knows what it writes, and no call that failed is tried again in the same way.

use std::io::IoSlice;
use std::os::fd::BorrowedFd;

use rustix::fs::{fdatasync, fsync, ftruncate};
use rustix::io::{Errno, Result, pwritev};

use crate::faults::{Protection, is_off};

/// The writing half of a disk.
pub(super) trait Disk: Send + Sync {
    /// Writes as much of the pieces as the kernel takes.
    fn write(&self, file: BorrowedFd<'_>, pieces: &[IoSlice<'_>], offset: u64) -> Result<usize>;

    /// Brings a file's bytes and its length to stable storage.
    fn sync(&self, file: BorrowedFd<'_>) -> Result<()>;

    /// Brings a directory's names to stable storage.
    fn sync_directory(&self, directory: BorrowedFd<'_>) -> Result<()>;

    /// Cuts a file.
    fn truncate(&self, file: BorrowedFd<'_>, length: u64) -> Result<()>;
}

/// The real one.
pub(super) struct Kernel;

impl Disk for Kernel {
    fn write(&self, file: BorrowedFd<'_>, pieces: &[IoSlice<'_>], offset: u64) -> Result<usize> {
        pwritev(file, pieces, offset)
    }

    fn sync(&self, file: BorrowedFd<'_>) -> Result<()> {
        if is_off(Protection::Sync) {
            return Ok(());
        }
        fdatasync(file)
    }

    fn sync_directory(&self, directory: BorrowedFd<'_>) -> Result<()> {
        fsync(directory)
    }

    fn truncate(&self, file: BorrowedFd<'_>, length: u64) -> Result<()> {
        ftruncate(file, length)
    }
}

/// Writes all the pieces, however many calls that takes. There may be empty ones among them.
pub(super) fn write_all(
    disk: &dyn Disk,
    file: BorrowedFd<'_>,
    mut pieces: &mut [IoSlice<'_>],
    mut offset: u64,
) -> Result<()> {
    IoSlice::advance_slices(&mut pieces, 0);
    while !pieces.is_empty() {
        match disk.write(file, pieces, offset) {
            Ok(0) => return Err(Errno::IO),
            Ok(written) => {
                offset += written as u64;
                IoSlice::advance_slices(&mut pieces, written);
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
