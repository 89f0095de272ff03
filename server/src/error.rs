//! The one error of the server: what went wrong (`Kind`), in which operation, and because of what.
//!
//! A kind is what a caller can act on; it has exactly one reason string and, in `rpc::status`, exactly
//! one gRPC code. The message is written for the person who made the request and says what to do; it
//! never repeats the source, which is for the log. Logged once, at the edge, with the request id.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// What the server's fallible functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn StdError + Send + Sync>;

/// What went wrong, as far as the caller is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request is not well-formed; the message names the field.
    InvalidArgument,
    /// A stream stopped before its end; nothing was kept that is visible.
    Truncated,
    /// The bytes are not those that their hash or digest names.
    DigestMismatch,
    /// A request id was used before, with another content.
    RequestIdReused,
    /// A range begins or ends outside the content.
    OutOfRange,
    /// Absent, or not for this caller to know about.
    NotFound,
    /// No such account, or one that nobody can send to.
    UnknownRecipient,
    /// The caller is known and may not do this.
    PermissionDenied,
    /// No token, a bad one, or one that is no longer good; or a wrong password.
    Unauthenticated,
    /// Something stands at that name.
    AlreadyExists,
    /// A name that folds to the same letters stands beside it.
    NameTwin,
    /// The file's generation is not the one that was asked for.
    GenerationMismatch,
    /// Something changed meanwhile; doing it again may work.
    Aborted,
    /// The state of things forbids it; the message says what to do first.
    FailedPrecondition,
    /// A link is past its time.
    LinkExpired,
    /// A link was used as often as it may be.
    LinkUsedUp,
    /// A link needs a password, and this is not it.
    LinkPassword,
    /// A commit names chunks that are not there, or are not this account's.
    ChunksMissing,
    /// It would not fit into the account's quota.
    QuotaExceeded,
    /// The server's disk is full, or has come to its reserve.
    DiskFull,
    /// One of the limits in the configuration.
    LimitExceeded,
    /// Too many tries; wait.
    RateLimited,
    /// Busy, stopping, or not sure whether it was done: asking again is safe.
    Unavailable,
    /// A write to the disk failed, so nothing more is accepted until a restart.
    ReadOnly,
    /// It took longer than it may.
    DeadlineExceeded,
    /// Bytes at rest are not what their name says.
    DataLoss,
    /// A bug, or a failure the caller can do nothing about.
    Internal,
}

impl Kind {
    /// The reason in `ErrorInfo` and in the client's JSON.
    pub fn reason(self) -> &'static str {
        match self {
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::Truncated => "TRUNCATED",
            Self::DigestMismatch => "DIGEST_MISMATCH",
            Self::RequestIdReused => "REQUEST_ID_REUSED",
            Self::OutOfRange => "OUT_OF_RANGE",
            Self::NotFound => "NOT_FOUND",
            Self::UnknownRecipient => "UNKNOWN_RECIPIENT",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::NameTwin => "NAME_TWIN",
            Self::GenerationMismatch => "GENERATION_MISMATCH",
            Self::Aborted => "ABORTED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::LinkExpired => "LINK_EXPIRED",
            Self::LinkUsedUp => "LINK_USED_UP",
            Self::LinkPassword => "LINK_PASSWORD",
            Self::ChunksMissing => "CHUNKS_MISSING",
            Self::QuotaExceeded => "QUOTA_EXCEEDED",
            Self::DiskFull => "DISK_FULL",
            Self::LimitExceeded => "LIMIT_EXCEEDED",
            Self::RateLimited => "RATE_LIMITED",
            Self::Unavailable => "UNAVAILABLE",
            Self::ReadOnly => "READ_ONLY",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::DataLoss => "DATA_LOSS",
            Self::Internal => "INTERNAL",
        }
    }
}

/// What goes with an error so that a program can act on it (AIP-193's standard details).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detail {
    /// A field of the request and what is wrong with it.
    Field {
        /// As in the proto, such as `entries[3].path`.
        name: String,
        /// What would be right.
        problem: String,
    },
    /// A condition that did not hold.
    Precondition {
        /// What it is about, such as a path.
        subject: String,
        /// What was wanted and what is.
        problem: String,
    },
    /// An allowance that is used up.
    Quota {
        /// Whose.
        subject: String,
        /// How much of how much.
        problem: String,
    },
    /// When to ask again.
    Retry(Duration),
}

/// An error of the server.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    message: String,
    op: Option<&'static str>,
    details: Vec<Detail>,
    source: Option<Source>,
}

impl Error {
    /// An error whose message says what to do.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            op: None,
            details: Vec::new(),
            source: None,
        }))
    }

    /// An ill-formed field of a request.
    pub fn field(name: impl Into<String>, problem: impl Into<String>) -> Self {
        let (name, problem) = (name.into(), problem.into());
        Self::new(Kind::InvalidArgument, format!("{name}: {problem}"))
            .with(Detail::Field { name, problem })
    }

    /// What is absent, or not for the caller to know about.
    pub fn not_found(what: impl fmt::Display) -> Self {
        Self::new(Kind::NotFound, format!("{what}: not found"))
    }

    /// A failure that is not the caller's doing.
    pub fn internal(op: &'static str, source: impl Into<Source>) -> Self {
        Self::new(Kind::Internal, "the server failed; its log has the reason").op(op).source(source)
    }

    /// Too busy, stopping or unsure: asking again after `wait` is safe.
    pub fn unavailable(message: impl Into<String>, wait: Duration) -> Self {
        Self::new(Kind::Unavailable, message).with(Detail::Retry(wait))
    }

    /// The same without the figures of a quota, for somebody whose quota it is not.
    #[must_use]
    pub fn discreet(self) -> Self {
        match self.kind() {
            Kind::QuotaExceeded => Self::new(
                Kind::QuotaExceeded,
                "there is no room for it in the quota of the account whose tree it is; ask its owner",
            ),
            _ => self,
        }
    }

    /// Names the operation it happened in; the innermost name stays.
    #[must_use]
    pub fn op(mut self, op: &'static str) -> Self {
        self.0.op.get_or_insert(op);
        self
    }

    /// Adds what it happened because of.
    #[must_use]
    pub fn source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Adds a detail for programs.
    #[must_use]
    pub fn with(mut self, detail: Detail) -> Self {
        self.0.details.push(detail);
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// What to tell the person who asked.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Where it happened.
    pub fn operation(&self) -> Option<&'static str> {
        self.0.op
    }

    /// What to tell their program.
    pub fn details(&self) -> &[Detail] {
        &self.0.details
    }

    /// The sources, outermost first, on one line.
    pub fn chain(&self) -> String {
        let mut line = String::new();
        let mut next = StdError::source(self);
        while let Some(error) = next {
            if !line.is_empty() {
                line.push_str(": ");
            }
            line.push_str(&error.to_string());
            next = error.source();
        }
        line
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::{Error, Kind};

    #[test]
    fn the_display_does_not_repeat_the_source() {
        let error = Error::internal("packs.append", std::io::Error::other("no luck"));
        assert_eq!(error.kind(), Kind::Internal);
        assert!(!error.to_string().contains("no luck"));
        assert_eq!(error.chain(), "no luck");
    }
}
