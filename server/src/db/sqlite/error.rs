//! What SQLite says, as the server's error.

use rusqlite::ErrorCode;
use rusqlite::ffi::{SQLITE_IOERR_DIR_FSYNC, SQLITE_IOERR_FSYNC, SQLITE_IOERR_WRITE};

use crate::error::{Error, Kind};

/// Also what `verify` says, which cannot look further than that.
const DAMAGED: &str = "the server's database is damaged; stop the server, keep a copy of its data \
                       directory as it is, and put a backup in its place";

/// The error of a statement or of a commit.
pub(super) fn failed(op: &'static str, error: rusqlite::Error) -> Error {
    if matches!(error, rusqlite::Error::ToSqlConversionFailure(_)) {
        return Error::new(Kind::InvalidArgument, "a number is larger than 2^63 - 1").op(op);
    }
    let (kind, message) = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => (Kind::DiskFull, "the server's disk is full"),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => (Kind::DataLoss, DAMAGED),
        // What is stored was checked on its way in.
        _ if is_unreadable(&error) => (Kind::DataLoss, DAMAGED),
        _ if is_failed_write(&error) => (
            Kind::ReadOnly,
            "the server could not write to its disk and accepts no changes until it is restarted",
        ),
        _ => (Kind::Internal, "the server failed; its log has the reason"),
    };
    Error::new(kind, message).op(op).source(error)
}

fn is_unreadable(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..)
    )
}

/// Whether bytes may not be where SQLite believes them to be: nothing is written after that
/// (fsyncgate: a second fsync would report success for pages the kernel has dropped).
pub(super) fn is_failed_write(error: &rusqlite::Error) -> bool {
    let extended = error.sqlite_extended_error_code();
    matches!(extended, Some(SQLITE_IOERR_FSYNC | SQLITE_IOERR_DIR_FSYNC | SQLITE_IOERR_WRITE))
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        failed("db", error)
    }
}
