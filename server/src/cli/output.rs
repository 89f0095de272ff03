//! The one place of `depot-server` that prints.
//! What nobody listens to any more is lost: to a closed terminal or pipe, print's own macros panic.

use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

use depot_server::error::Error;

use crate::cli::exit_code;

/// A line of results.
pub(super) fn say(line: &str) {
    let _ = writeln!(stdout(), "{line}");
}

/// A line for the person at the terminal.
pub(super) fn tell(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}

/// Says what went wrong; the exit code of it.
pub(crate) fn complain(error: &Error) -> ExitCode {
    tell(&format!("depot-server: {error}"));
    let cause = error.chain();
    if !cause.is_empty() && !error.message().contains(&cause) {
        tell(&format!("  because: {cause}"));
    }
    ExitCode::from(exit_code(error.kind()))
}
