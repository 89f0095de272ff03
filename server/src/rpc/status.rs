//! From the server's error to a gRPC status: the one mapping, and the one place where an error is logged.
//! Details follow AIP-193 and stay far below the 4 KiB that proxies and clients allow for them.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::error::{Detail, Error, Kind};
use crate::rpc::call::REQUEST_ID;

/// The domain of our reasons.
const DOMAIN: &str = "depot";

/// The longest text that is sent, in bytes; of it and of each detail.
const TEXT_BYTES_MAX: usize = 768;
/// Details that are sent.
const DETAILS_MAX: usize = 2;

/// The status of an error.
pub(super) fn status(error: Error) -> Status {
    log(&error);
    let mut metadata = HashMap::new();
    if let Ok(id) = REQUEST_ID.try_with(ToString::to_string) {
        metadata.insert("request_id".to_owned(), id);
    }
    let mut details = ErrorDetails::with_error_info(error.kind().reason(), DOMAIN, metadata);
    for detail in error.details().iter().take(DETAILS_MAX) {
        match detail {
            Detail::Field { name, problem } => {
                details.add_bad_request_violation(cut(name), cut(problem));
            }
            Detail::Precondition { subject, problem } => {
                details.add_precondition_failure_violation("STATE", cut(subject), cut(problem));
            }
            Detail::Quota { subject, problem } => {
                details.add_quota_failure_violation(cut(subject), cut(problem));
            }
            Detail::Retry(wait) => {
                details.set_retry_info(Some(*wait));
            }
        }
    }
    Status::with_error_details(code(error.kind()), cut(error.message()), details)
}

/// The code of a kind.
pub(super) fn code(kind: Kind) -> Code {
    match kind {
        Kind::InvalidArgument | Kind::Truncated | Kind::DigestMismatch | Kind::RequestIdReused => {
            Code::InvalidArgument
        }
        Kind::OutOfRange => Code::OutOfRange,
        Kind::NotFound | Kind::UnknownRecipient => Code::NotFound,
        Kind::PermissionDenied => Code::PermissionDenied,
        Kind::Unauthenticated | Kind::LinkPassword => Code::Unauthenticated,
        Kind::AlreadyExists | Kind::NameTwin => Code::AlreadyExists,
        Kind::GenerationMismatch | Kind::Aborted => Code::Aborted,
        Kind::FailedPrecondition | Kind::ChunksMissing | Kind::LinkExpired | Kind::LinkUsedUp => {
            Code::FailedPrecondition
        }
        Kind::QuotaExceeded | Kind::DiskFull | Kind::LimitExceeded => Code::ResourceExhausted,
        Kind::RateLimited | Kind::Unavailable | Kind::ReadOnly => Code::Unavailable,
        Kind::DeadlineExceeded => Code::DeadlineExceeded,
        Kind::DataLoss => Code::DataLoss,
        Kind::Internal => Code::Internal,
    }
}

fn log(error: &Error) {
    let (kind, op, cause) = (error.kind(), error.operation(), error.chain());
    match kind {
        Kind::Internal | Kind::DataLoss | Kind::ReadOnly => {
            tracing::error!(?kind, op, cause, "{error}");
        }
        Kind::DiskFull | Kind::Unavailable => tracing::warn!(?kind, op, cause, "{error}"),
        _ => tracing::debug!(?kind, op, cause, "{error}"),
    }
}

fn cut(text: &str) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(TEXT_BYTES_MAX);
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use tonic::Code;
    use tonic_types::StatusExt;

    use super::status;
    use crate::error::{Detail, Error, Kind};

    #[test]
    fn the_largest_status_stays_below_4_kib() {
        let long = "ä".repeat(10_000);
        let mut error = Error::new(Kind::QuotaExceeded, long.clone());
        for _ in 0..5 {
            error = error.with(Detail::Quota { subject: long.clone(), problem: long.clone() });
        }
        let status = status(error);
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(status.details().len() < 4096, "{}", status.details().len());
        assert!(status.message().len() < 1024);
        assert_eq!(status.get_details_error_info().unwrap().reason, "QUOTA_EXCEEDED");
    }
}
