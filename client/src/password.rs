//! Where passwords come from: a file's first line, stdin's first line, or a prompt that does not echo.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use clap::Args;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::app::App;
use crate::error::{Error, Result};
use crate::output::escape;

/// Where a password may be given.
#[derive(Args, Debug, Default)]
pub(crate) struct PasswordArgs {
    /// The password is this file's first line
    #[arg(long, value_name = "FILE", conflicts_with = "password_stdin")]
    pub(crate) password_file: Option<PathBuf>,
    /// The password is the first line of stdin
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

impl PasswordArgs {
    /// A password that exists already.
    pub(crate) fn current(&self, app: &App, prompt: &str) -> Result<SecretString> {
        match self.given()? {
            Some(password) => Ok(password),
            None => ask(app, prompt, GIVEN),
        }
    }

    /// A password that is made now, and therefore typed twice.
    pub(crate) fn fresh(&self, app: &App, prompt: &str) -> Result<SecretString> {
        match self.given()? {
            Some(password) => Ok(password),
            None => ask_twice(app, prompt, GIVEN),
        }
    }

    /// Where neither flag is there, `DEPOT_PASSWORD_FILE` is.
    #[must_use]
    pub(crate) fn or_environment(self, app: &App) -> Self {
        match (&self.password_file, self.password_stdin) {
            (None, false) => Self { password_file: app.environment.password_file.clone(), ..self },
            _ => self,
        }
    }

    fn given(&self) -> Result<Option<SecretString>> {
        match &self.password_file {
            Some(path) => from_file(path).map(Some),
            None if self.password_stdin => from_stdin().map(Some),
            None => Ok(None),
        }
    }
}

/// The first line of a file.
pub(crate) fn from_file(path: &Path) -> Result<SecretString> {
    let failed = |error: io::Error| Error::file("read", path, &error);
    let file = File::open(path).map_err(failed)?;
    first_line(BufReader::new(file)).map_err(failed)
}

/// The next line of stdin.
pub(crate) fn from_stdin() -> Result<SecretString> {
    let line = first_line(io::stdin().lock());
    line.map_err(|error| Error::io("read the password from stdin", &error))
}

/// How a password is given where nobody can be asked.
const GIVEN: &str = "--password-file FILE or --password-stdin";

/// Typed once; `given` says how to do without.
pub(crate) fn ask(app: &App, prompt: &str, given: &str) -> Result<SecretString> {
    if !app.is_interactive() {
        return Err(Error::usage(format!("there is no password; give {given}")));
    }
    let _ = TERMINAL.set(terminal());
    // An account's name may be in it, as it was typed or remembered.
    let typed = rpassword::prompt_password(format!("{}: ", escape::line(prompt)));
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::Interrupted => Error::interrupted("nothing was done"),
        _ => Error::io("read the password", &error),
    };
    let typed = Zeroizing::new(typed.map_err(failed)?);
    Ok(SecretString::from(typed.as_str()))
}

/// The terminal as it was before it was told not to echo.
static TERMINAL: OnceLock<Option<Termios>> = OnceLock::new();

fn terminal() -> Option<Termios> {
    tcgetattr(File::open("/dev/tty").ok()?).ok()
}

/// After Ctrl-C at a prompt: what is typed next shall be seen again.
pub(crate) fn restore_terminal() {
    if let Some(Some(before)) = TERMINAL.get()
        && let Ok(terminal) = File::open("/dev/tty")
    {
        let _ = tcsetattr(terminal, OptionalActions::Now, before);
    }
}

/// Typed twice, the same; `given` says how to do without.
pub(crate) fn ask_twice(app: &App, prompt: &str, given: &str) -> Result<SecretString> {
    let first = ask(app, prompt, given)?;
    let second = ask(app, &format!("{prompt}, once more"), given)?;
    match first.expose_secret() == second.expose_secret() {
        true => Ok(first),
        false => Err(Error::usage("the two passwords differ; nothing was changed")),
    }
}

fn first_line(mut from: impl BufRead) -> io::Result<SecretString> {
    // Long enough for every password that is accepted: the buffer never moves, so no copy stays behind.
    let mut line = Zeroizing::new(Vec::with_capacity(4096));
    io::Read::take(&mut from, 4096).read_until(b'\n', &mut line)?;
    let text = line.strip_suffix(b"\n").unwrap_or(&line);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    let text = std::str::from_utf8(text)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a password is UTF-8 text"))?;
    Ok(SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::first_line;

    #[test]
    fn a_password_is_the_first_line_without_its_end() {
        for (text, password) in [
            ("secret", "secret"),
            ("secret\n", "secret"),
            ("secret\r\nmore\n", "secret"),
            (" with spaces \n", " with spaces "),
            ("", ""),
        ] {
            let read = first_line(text.as_bytes()).unwrap();
            assert_eq!(read.expose_secret(), password, "{text:?}");
        }
        assert!(first_line(&b"\xff\n"[..]).is_err());
    }
}
