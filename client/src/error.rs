//! The one error of the client: what a person reads, what a program reads (`reason`) and the exit code,
//! which is part of the contract with scripts.
//!
//! The message says what to do. It is escaped where it is printed, not here.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::path::Path;
use std::time::Duration;
use std::{fmt, io};

use rustix::io::Errno;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// What the client's fallible functions return.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// How `depot` ends; the numbers are what scripts rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Of a warning, which fails nothing.
    Fine = 0,
    Other = 1,
    Usage = 2,
    NotFound = 3,
    Permission = 4,
    Unauthenticated = 5,
    Conflict = 6,
    Exhausted = 7,
    Unavailable = 8,
    DataLoss = 9,
    Trust = 10,
    Partial = 11,
    NothingToFetch = 12,
    Interrupted = 130,
}

/// What is said after a cut, where nothing better is known.
const RUN_AGAIN: &str = "; run the command again";

/// What went wrong, for a person and for a program.
#[derive(Clone)]
pub(crate) struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    exit: Exit,
    reason: Cow<'static, str>,
    message: String,
    request_id: Option<String>,
    path: Option<String>,
    retry_after: Option<Duration>,
    /// How long it took to fail.
    spent: Duration,
    origin: Origin,
    silent: bool,
}

/// Where an error comes from, which decides whether the call can have had an effect.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The server's answer, or this machine.
    Answer,
    /// No connection could be made: nothing was sent.
    Dial,
    /// A connection broke: nobody knows what the server did.
    Cut,
}

impl Error {
    pub(crate) fn new(
        exit: Exit,
        reason: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self(Box::new(Inner {
            exit,
            reason: reason.into(),
            message: message.into(),
            request_id: None,
            path: None,
            retry_after: None,
            spent: Duration::ZERO,
            origin: Origin::Answer,
            silent: false,
        }))
    }

    /// The command line asks for something that cannot be.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "USAGE", message)
    }

    /// A failure of this machine's files, with the path it is about.
    pub(crate) fn file(what: &str, path: &Path, source: &io::Error) -> Self {
        let shown = path.to_string_lossy();
        Self::io(&format!("{what} {shown}"), source).at(shown)
    }

    /// A failure of this machine.
    pub(crate) fn io(what: &str, source: &io::Error) -> Self {
        let (exit, reason) = match source.kind() {
            io::ErrorKind::NotFound => (Exit::NotFound, "LOCAL_NOT_FOUND"),
            io::ErrorKind::PermissionDenied => (Exit::Permission, "LOCAL_PERMISSION_DENIED"),
            io::ErrorKind::AlreadyExists => (Exit::Conflict, "LOCAL_ALREADY_EXISTS"),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                (Exit::Exhausted, "LOCAL_DISK_FULL")
            }
            io::ErrorKind::IsADirectory
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::ResourceBusy => (Exit::Conflict, "LOCAL_IN_THE_WAY"),
            // A symlink where none is followed.
            _ if Errno::from_io_error(source) == Some(Errno::LOOP) => {
                (Exit::Conflict, "LOCAL_IN_THE_WAY")
            }
            _ => (Exit::Other, "LOCAL_IO"),
        };
        Self::new(exit, reason, format!("cannot {what}: {}", io_text(source)))
    }

    /// Nobody reads our output any more: end without a word.
    pub(crate) fn output_closed() -> Self {
        let mut error = Self::new(Exit::Other, "OUTPUT_CLOSED", "the output was closed");
        error.0.silent = true;
        error
    }

    /// The server is not there.
    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        let mut error = Self::new(Exit::Unavailable, "UNREACHABLE", message);
        error.0.origin = Origin::Dial;
        error
    }

    /// The connection broke, or a stream ended before all of it was there.
    pub(crate) fn cut(why: &str) -> Self {
        let message = format!("the connection to the server was cut ({why}){RUN_AGAIN}");
        let mut error = Self::new(Exit::Unavailable, "CONNECTION_CUT", message);
        error.0.origin = Origin::Cut;
        error
    }

    /// The server answered something that this client does not accept.
    pub(crate) fn bad_answer(message: impl Into<String>) -> Self {
        Self::new(Exit::Other, "BAD_ANSWER", message)
    }

    /// Bytes are not what their hash says.
    pub(crate) fn data_loss(message: impl Into<String>) -> Self {
        Self::new(Exit::DataLoss, "DATA_LOSS", message)
    }

    /// Ctrl-C, or SIGTERM.
    pub(crate) fn interrupted(hint: &str) -> Self {
        Self::new(Exit::Interrupted, "INTERRUPTED", format!("interrupted; {hint}"))
    }

    /// Some of what was asked for was done; the rest has been named.
    pub(crate) fn partial(message: impl Into<String>) -> Self {
        Self::new(Exit::Partial, "PARTIAL", message)
    }

    /// Names the local or remote path that it is about; the innermost stays.
    #[must_use]
    pub(crate) fn at(mut self, path: impl Into<String>) -> Self {
        self.0.path.get_or_insert_with(|| path.into());
        self
    }

    /// Says what it is about, where nothing in it does yet.
    #[must_use]
    pub(crate) fn about(self, path: &str) -> Self {
        match self.path() {
            Some(_) => self,
            None if self.message().starts_with(path) => self.at(path),
            None => {
                let message = format!("{path}: {}", self.message());
                self.with_message(message).at(path)
            }
        }
    }

    #[must_use]
    pub(crate) fn with_message(mut self, message: impl Into<String>) -> Self {
        self.0.message = message.into();
        self
    }

    /// It took so long to fail.
    #[must_use]
    pub(crate) fn after(mut self, spent: Duration) -> Self {
        self.0.spent = spent;
        self
    }

    pub(crate) fn exit(&self) -> Exit {
        self.0.exit
    }

    pub(crate) fn reason(&self) -> &str {
        &self.0.reason
    }

    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    pub(crate) fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    pub(crate) fn path(&self) -> Option<&str> {
        self.0.path.as_deref()
    }

    /// How long trying took, where that is known.
    pub(crate) fn spent(&self) -> Duration {
        self.0.spent
    }

    /// How long the server asks to wait before the next try.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether the same call may work a little later.
    pub(crate) fn is_temporary(&self) -> bool {
        self.exit() == Exit::Unavailable
    }

    /// Whether the server cannot have seen the call.
    pub(crate) fn is_unsent(&self) -> bool {
        self.0.origin == Origin::Dial
    }

    /// Whether there is no connection, or none any more.
    pub(crate) fn is_lost(&self) -> bool {
        self.0.origin != Origin::Answer
    }

    /// Says what running it again does, where a connection was lost in the middle.
    #[must_use]
    pub(crate) fn if_run_again(self, hint: &str) -> Self {
        if !self.is_lost() {
            return self;
        }
        let told = self.message();
        let told = told.strip_suffix(RUN_AGAIN).unwrap_or(told);
        let message = format!("{told}; {hint}");
        self.with_message(message)
    }

    /// Whether to end without printing anything.
    pub(crate) fn is_silent(&self) -> bool {
        self.0.silent
    }
}

/// `io::Error` without the `(os error 2)` that tells a person nothing.
pub(crate) fn io_text(source: &io::Error) -> String {
    if Errno::from_io_error(source) == Some(Errno::LOOP) {
        return "a symlink is in the way".to_owned();
    }
    let text = source.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        if let Some(local) = in_chain::<Self>(&status) {
            return local.clone();
        }
        // A status that the server sent has no source; one that tonic made of a broken connection does.
        if let Some(source) = status.source() {
            return Self::cut(&innermost(source));
        }
        from_server(&status)
    }
}

fn from_server(status: &Status) -> Error {
    let details = status.get_error_details();
    let info = details.error_info();
    let reason = match info {
        Some(info) if !info.reason.is_empty() => Cow::Owned(info.reason.clone()),
        _ => Cow::Borrowed(code_name(status.code())),
    };
    let exit = exit_of(status.code(), &reason);
    let mut error = Error::new(exit, reason, full_message(status, &details));
    let metadata = |key: &str| info.and_then(|info| info.metadata.get(key).cloned());
    error.0.request_id = metadata("request_id")
        .or_else(|| details.request_info().map(|info| info.request_id.clone()));
    error.0.path = metadata("path");
    error.0.retry_after = details.retry_info().and_then(|info| info.retry_delay);
    error
}

/// The server's message, and what its details say beyond it.
fn full_message(status: &Status, details: &ErrorDetails) -> String {
    let mut message = match status.message() {
        "" => format!("the server answered {}", code_name(status.code())),
        text => text.to_owned(),
    };
    let violations = details.bad_request().map_or(&[][..], |bad| &bad.field_violations);
    for violation in violations {
        let problem = &violation.description;
        // What begins with a path says what it is about; the name of a field tells a person nothing.
        if problem.starts_with('/') && message == format!("{}: {problem}", violation.field) {
            message.clone_from(problem);
        }
    }
    let fields = violations.iter().map(|field| (field.field.as_str(), field.description.as_str()));
    let preconditions = details.precondition_failure().into_iter().flat_map(|failure| {
        let violations = failure.violations.iter();
        violations.map(|one| (one.subject.as_str(), one.description.as_str()))
    });
    let quotas = details.quota_failure().into_iter().flat_map(|failure| {
        let violations = failure.violations.iter();
        violations.map(|one| (one.subject.as_str(), one.description.as_str()))
    });
    for (subject, problem) in fields.chain(preconditions).chain(quotas) {
        if !message.contains(problem) {
            message.push_str(&format!("; {subject}: {problem}"));
        }
    }
    message
}

fn exit_of(code: Code, reason: &str) -> Exit {
    match code {
        _ if reason == "RATE_LIMITED" => Exit::Unavailable,
        Code::InvalidArgument | Code::OutOfRange => Exit::Usage,
        Code::NotFound => Exit::NotFound,
        Code::PermissionDenied => Exit::Permission,
        Code::Unauthenticated => Exit::Unauthenticated,
        Code::Aborted | Code::AlreadyExists | Code::FailedPrecondition => Exit::Conflict,
        Code::ResourceExhausted => Exit::Exhausted,
        Code::Unavailable | Code::DeadlineExceeded => Exit::Unavailable,
        Code::DataLoss => Exit::DataLoss,
        Code::Ok | Code::Cancelled | Code::Unknown | Code::Internal | Code::Unimplemented => {
            Exit::Other
        }
    }
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

fn in_chain<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn innermost(error: &dyn StdError) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    let text = error.to_string();
    match text.contains("close_notify") {
        true => "it was closed in the middle".to_owned(),
        false => text,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?}): {}", self.0.reason, self.0.exit, self.0.message)
    }
}

impl StdError for Error {}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic::{Code, Status};
    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::{Error, Exit};

    fn exit(code: Code) -> u8 {
        Error::from(Status::new(code, "x")).exit() as u8
    }

    #[test]
    fn every_code_has_the_exit_that_scripts_rely_on() {
        for (code, wanted) in [
            (Code::InvalidArgument, 2),
            (Code::OutOfRange, 2),
            (Code::NotFound, 3),
            (Code::PermissionDenied, 4),
            (Code::Unauthenticated, 5),
            (Code::Aborted, 6),
            (Code::AlreadyExists, 6),
            (Code::FailedPrecondition, 6),
            (Code::ResourceExhausted, 7),
            (Code::Unavailable, 8),
            (Code::DeadlineExceeded, 8),
            (Code::DataLoss, 9),
            (Code::Internal, 1),
            (Code::Unknown, 1),
            (Code::Unimplemented, 1),
        ] {
            assert_eq!(exit(code), wanted, "{code:?}");
        }
    }

    #[test]
    fn the_server_names_the_reason_and_the_request() {
        let metadata = HashMap::from([("request_id".to_owned(), "r-1".to_owned())]);
        let details = ErrorDetails::with_error_info("RATE_LIMITED", "depot", metadata);
        let status = Status::with_error_details(Code::ResourceExhausted, "slow down", details);
        let error = Error::from(status);
        assert_eq!(error.reason(), "RATE_LIMITED");
        assert_eq!(error.exit(), Exit::Unavailable);
        assert_eq!(error.request_id(), Some("r-1"));
        assert!(!error.is_unsent());
    }

    #[test]
    fn a_broken_connection_is_unavailable_and_may_be_tried_again() {
        let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let error = Error::from(Status::from_error(Box::new(broken)));
        assert_eq!(error.exit(), Exit::Unavailable);
        assert!(error.is_temporary() && !error.is_unsent());
    }

    #[test]
    fn an_error_of_our_own_connector_comes_back_whole() {
        let error = Error::from(Status::from_error(Box::new(Error::new(
            Exit::Trust,
            "PIN_CHANGED",
            "another server",
        ))));
        assert_eq!((error.exit(), error.reason()), (Exit::Trust, "PIN_CHANGED"));
    }

    #[test]
    fn only_what_was_cut_goes_on_when_it_is_run_again() {
        let cut = Error::cut("reset").if_run_again("it goes on");
        assert_eq!(cut.message(), "the connection to the server was cut (reset); it goes on");
        let gone = Error::unreachable("cannot reach it").if_run_again("it goes on");
        assert_eq!(gone.message(), "cannot reach it; it goes on");
        assert_eq!(Error::usage("no").if_run_again("it goes on").message(), "no");
    }
}
