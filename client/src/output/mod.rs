//! The only place that prints. Data goes to stdout, all else to stderr; with `--json` both carry one
//! object a line. Whatever is printed has been escaped here, so that no text from elsewhere reaches a
//! terminal as it came.

pub(crate) mod escape;
pub(crate) mod json;
mod progress;

use std::io::{self, BufWriter, IsTerminal as _, Stdout, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::error::{Error, Result};
pub(crate) use progress::Progress;
use progress::Shown;

/// How to print, as the global flags have it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Style {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    pub(crate) verbose: bool,
    pub(crate) plain: bool,
}

/// Where everything is printed.
pub(crate) struct Output {
    style: Style,
    stdout: Mutex<BufWriter<Stdout>>,
    stdout_is_terminal: bool,
    /// The beginning of a character of a file whose rest comes with the next bytes.
    begun: Mutex<Vec<u8>>,
    stderr_is_terminal: bool,
    progress: Mutex<Option<Arc<Shown>>>,
}

impl Output {
    pub(crate) fn new(style: Style) -> Self {
        Self {
            style,
            stdout: Mutex::new(BufWriter::with_capacity(64 * 1024, io::stdout())),
            stdout_is_terminal: io::stdout().is_terminal(),
            begun: Mutex::default(),
            stderr_is_terminal: io::stderr().is_terminal(),
            progress: Mutex::new(None),
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.style.json
    }

    pub(crate) fn is_verbose(&self) -> bool {
        self.style.verbose
    }

    /// A line of data for people.
    pub(crate) fn line(&self, line: &str) -> Result<()> {
        self.to_stdout(escape::line(line).as_bytes(), b"\n")
    }

    /// Data of several lines for people, such as the body of a message.
    pub(crate) fn text(&self, text: &str) -> Result<()> {
        let end: &[u8] = if text.is_empty() || text.ends_with('\n') { b"" } else { b"\n" };
        self.to_stdout(escape::text(text).as_bytes(), end)
    }

    /// A line of data for programs.
    pub(crate) fn object(&self, object: &impl Serialize) -> Result<()> {
        let line = serde_json::to_string(object)
            .map_err(|error| Error::io("write JSON", &io::Error::other(error)))?;
        self.to_stdout(escape::json(line).as_bytes(), b"\n")
    }

    /// The content of a file: as it is, but shown safely where stdout is a terminal.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<()> {
        if !self.stdout_is_terminal {
            return self.to_stdout(bytes, b"");
        }
        let mut begun = lock(&self.begun);
        begun.extend_from_slice(bytes);
        let whole = begun.len() - escape::begun(&begun);
        let shown = escape::bytes(&begun[..whole]);
        begun.drain(..whole);
        self.to_stdout(shown.as_bytes(), b"")
    }

    /// Returns once all that was printed so far has been taken by whoever reads it.
    pub(crate) fn flush(&self) -> Result<()> {
        // A character that has no end is none.
        let begun = std::mem::take(&mut *lock(&self.begun));
        self.to_stdout(escape::bytes(&begun).as_bytes(), b"")?;
        self.stdout().flush().map_err(|error| stdout_error(&error))
    }

    /// What was printed before an error is worth having, but not worth waiting for: whoever reads it may
    /// have stopped.
    pub(crate) fn flush_if_free(&self) {
        if let Ok(mut stdout) = self.stdout.try_lock() {
            let _ = stdout.flush();
        }
    }

    /// What a person may want to know; `-q` and `--json` leave it out.
    pub(crate) fn note(&self, note: &str) {
        if !self.style.quiet && !self.style.json {
            self.to_stderr(&escape::line(note));
        }
    }

    /// What a person wants to know only with `-v`.
    pub(crate) fn detail(&self, detail: &str) {
        if self.style.verbose && !self.style.json {
            self.to_stderr(&escape::line(detail));
        }
    }

    /// What a person must see before a question is asked; it may have several lines.
    pub(crate) fn notice(&self, notice: &str) {
        self.to_stderr(&escape::text(notice));
    }

    /// An error, one part of a batch that failed, or a warning.
    pub(crate) fn error(&self, error: &Error) {
        if error.is_silent() {
            return;
        }
        if self.style.json {
            let object = json::ErrorLine::from(error);
            if let Ok(line) = serde_json::to_string(&object) {
                self.to_stderr(&escape::json(line));
            }
            return;
        }
        let shown = escape::line(error.message());
        match self.colors() {
            true => self.to_stderr(&format!("\x1b[1;31mdepot:\x1b[0m {shown}")),
            false => self.to_stderr(&format!("depot: {shown}")),
        }
    }

    /// Shows how far a transfer is, where stderr is a terminal.
    pub(crate) fn progress(&self, what: &str, total: Option<u64>) -> Progress {
        let shown = self.stderr_is_terminal && !self.style.quiet && !self.style.json;
        let progress = Progress::new(&escape::line(what), total, shown);
        *lock(&self.progress) = Some(progress.shown());
        progress
    }

    /// Nothing is shown any more of a transfer, which may still be running: the last message follows.
    pub(crate) fn end_progress(&self) {
        if let Some(shown) = lock(&self.progress).take() {
            shown.end();
        }
    }

    fn colors(&self) -> bool {
        self.stderr_is_terminal
            && !self.style.plain
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
    }

    fn stdout(&self) -> MutexGuard<'_, BufWriter<Stdout>> {
        lock(&self.stdout)
    }

    fn to_stdout(&self, data: &[u8], end: &[u8]) -> Result<()> {
        let mut stdout = self.stdout();
        stdout
            .write_all(data)
            .and_then(|()| stdout.write_all(end))
            .map_err(|error| stdout_error(&error))
    }

    /// `line` has been escaped. Nothing can be done about a stderr that is closed.
    fn to_stderr(&self, line: &str) {
        let write = || {
            let _ = writeln!(io::stderr().lock(), "{line}");
        };
        match &*lock(&self.progress) {
            Some(shown) => shown.aside(write),
            None => write(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn stdout_error(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Error::output_closed(),
        _ => Error::io("write to stdout", error),
    }
}
