//! The text of a message on its way out: from the command line, from a pipe, or from an editor on a
//! terminal. What was typed in an editor is kept in a file until the message has been sent, and whoever
//! fails to send it says where it is.

use std::fs;
use std::io::{self, IsTerminal as _, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use crate::app::App;
use crate::error::{Error, Exit, Result};
use crate::units::show_size;

/// A text, and the file it was typed into.
pub(super) struct Text {
    pub(super) body: String,
    draft: Option<PathBuf>,
}

/// Whether a person will be asked to type the text.
pub(super) fn is_typed(app: &App, given: Option<&str>) -> bool {
    given.is_none() && io::stdin().is_terminal() && app.is_interactive()
}

impl Text {
    /// Blocks until all of it is there; `bytes_max` is the most that the server takes.
    pub(super) fn read(app: &App, given: Option<&str>, bytes_max: u64) -> Result<Self> {
        match given {
            Some(body) => Ok(Self { body: body.to_owned(), draft: None }),
            None if !io::stdin().is_terminal() => {
                Ok(Self { body: piped(io::stdin().lock(), bytes_max)?, draft: None })
            }
            None if app.is_interactive() => edited(app, bytes_max),
            None => Err(Error::usage("there is no text; give -m BODY, or pipe it in")),
        }
    }

    /// What to type after an error or an interruption.
    pub(super) fn run_again(&self) -> String {
        match &self.draft {
            Some(draft) => format!("run the same command again with <{}", quoted(draft)),
            None => "run the same command again".to_owned(),
        }
    }

    /// Says where the text is, if it would be lost otherwise.
    pub(super) fn tell(&self, error: Error) -> Error {
        match &self.draft {
            Some(draft) => kept(draft, error),
            None => error,
        }
    }

    /// It has been sent: nothing of it is needed any more.
    pub(super) fn sent(self) {
        if let Some(draft) = self.draft {
            let _ = fs::remove_file(draft);
        }
    }
}

/// Never more in memory than the server takes.
fn piped(from: impl Read, bytes_max: u64) -> Result<String> {
    let mut body = String::new();
    from.take(bytes_max.saturating_add(1))
        .read_to_string(&mut body)
        .map_err(|error| Error::io("read the text from stdin", &error))?;
    short_enough(&body, bytes_max)?;
    Ok(body)
}

fn short_enough(body: &str, bytes_max: u64) -> Result<()> {
    match body.len() as u64 <= bytes_max {
        true => Ok(()),
        false => {
            let most = show_size(bytes_max);
            let message = format!("the text is longer than {most}; attach it as a file with -a");
            Err(Error::usage(message))
        }
    }
}

fn edited(app: &App, bytes_max: u64) -> Result<Text> {
    let draft = app.state.draft()?;
    app.say_after_interrupt(format!("nothing was sent; your text is in {}", draft.display()));
    // Ctrl-C is for the editor.
    let ended = app.without_interrupts(|| edit(&draft));
    let body = fs::read_to_string(&draft);
    let body = body.map_err(|error| Error::file("read", &draft, &error));
    let is_empty = body.as_ref().is_ok_and(|body| body.trim().is_empty());
    if is_empty {
        let _ = fs::remove_file(&draft);
    }
    ended
        .and(body)
        .and_then(|body| match is_empty {
            true => Err(Error::usage("the text is empty; nothing was sent")),
            false => short_enough(&body, bytes_max).map(|()| body),
        })
        .map_err(|error| if is_empty { error } else { kept(&draft, error) })
        .map(|body| Text { body, draft: Some(draft) })
}

fn edit(draft: &Path) -> Result<()> {
    let editor = ["VISUAL", "EDITOR"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|editor| !editor.trim().is_empty()));
    let editor = editor.unwrap_or_else(|| "vi".to_owned());
    match shell(&editor, draft) {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(Error::usage(format!("{editor} ended with an error; nothing was sent"))),
        Err(error) => Err(Error::io(&format!("start {editor}"), &error)),
    }
}

/// Through a shell, because an editor may have flags: `code --wait`. A Ctrl-C is not for the shell
/// either. It says its own name before what it complains about, so nothing from elsewhere may be that.
fn shell(editor: &str, draft: &Path) -> io::Result<ExitStatus> {
    let script = format!("trap : INT; {editor} \"$1\"");
    Command::new("sh").arg("-c").arg(script).arg("depot").arg(draft).status()
}

fn kept(draft: &Path, error: Error) -> Error {
    let message = format!(
        "{}; your text is in {}: send it with the same command and <{}",
        error.message(),
        draft.display(),
        quoted(draft)
    );
    error.with_message(message)
}

/// As a shell takes it.
fn quoted(path: &Path) -> String {
    let shown = path.to_string_lossy();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-".contains(c);
    match shown.chars().all(is_plain) {
        true => shown.into_owned(),
        false => format!("'{}'", shown.replace('\'', "'\\''")),
    }
}

/// Names that no account has, and no group: they are found before anybody types a text for them.
pub(super) fn check_recipients(names: &[String]) -> Result<()> {
    let unknown: Vec<&str> =
        names.iter().map(String::as_str).filter(|name| !is_recipient(name)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let hint = match unknown.iter().any(|name| name.contains([',', ';'])) {
        true => "; names are separated by spaces",
        false => "",
    };
    let unknown = unknown.join(", ");
    let message = format!("nobody can send to {unknown}; nothing was sent to anyone{hint}");
    Err(Error::new(Exit::NotFound, "UNKNOWN_RECIPIENT", message))
}

/// The rule of the server: 1 to 64 letters, digits, `.`, `_` and `-`, of which the last three do not
/// begin a name.
fn is_recipient(name: &str) -> bool {
    let name = name.strip_prefix('@').unwrap_or(name);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    begins && name.len() <= 64 && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{check_recipients, piped, quoted, shell};
    use crate::error::Exit;

    #[test]
    fn a_piped_text_is_never_longer_than_the_server_takes() {
        assert_eq!(piped(&b"12345"[..], 5).unwrap(), "12345");
        assert_eq!(piped(std::io::repeat(b'x'), 5).unwrap_err().exit(), Exit::Usage);
        assert_eq!(piped(&b""[..], u64::MAX).unwrap(), "");
    }

    #[test]
    fn names_that_nobody_can_have_are_found_at_once() {
        let check = |name: &str| check_recipients(&["ann".to_owned(), name.to_owned()]);
        for name in ["bob", "@sales", "a.b-c_d", "7", &"x".repeat(64)] {
            assert!(check(name).is_ok(), "{name}");
        }
        for name in ["", "@", "no body", "-rf", "a/b", "a@b", "ann:", "é", &"x".repeat(65)] {
            let refused = check(name).unwrap_err();
            assert_eq!((refused.exit(), refused.reason()), (Exit::NotFound, "UNKNOWN_RECIPIENT"));
        }
        assert!(check("bob,carol").unwrap_err().message().contains("separated by spaces"));
    }

    #[test]
    fn an_editor_with_flags_is_given_the_file_alone() {
        assert!(shell("test x = x -a -d", Path::new("/")).unwrap().success());
        assert!(shell("test depot = \"$0\" && test -d", Path::new("/")).unwrap().success());
    }

    #[test]
    fn a_path_is_quoted_where_a_shell_needs_it() {
        assert_eq!(quoted(Path::new("/a/b-c.txt")), "/a/b-c.txt");
        assert_eq!(quoted(Path::new("/it's here")), "'/it'\\''s here'");
    }
}
