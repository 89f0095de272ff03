//! A terminal with a shell in it, for what only happens to a person: questions, and passwords that are
//! typed. `script` of util-linux makes the terminal; no code of ours has to.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::wait::PATIENCE;

/// A shell that is typed into; killed when dropped.
pub struct Terminal {
    child: Child,
    keys: ChildStdin,
    screen: Receiver<Vec<u8>>,
    /// All that was shown.
    shown: String,
    /// How much of it a story has looked at.
    seen: usize,
}

impl Terminal {
    /// Opens a terminal. `shell` is what `sh -c` starts; its environment and directory are those of
    /// `command`, which is otherwise of no interest.
    ///
    /// # Panics
    ///
    /// When there is no `script`.
    pub fn open(shell: &str, prepare: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new("env");
        // What is run with nohup ignores that its terminal goes; a person's shell does not.
        command.args(["--default-signal=HUP", "script"]);
        // Without the log of a session, and with the shell's own exit code.
        command.args(["--quiet", "--return", "--flush", "--command", shell, "/dev/null"]);
        prepare(&mut command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("script of util-linux makes terminals");
        let keys = child.stdin.take().expect("a pipe");
        let mut stdout = child.stdout.take().expect("a pipe");
        let (out, screen) = channel();
        thread::spawn(move || {
            let mut some = [0; 4096];
            while let Ok(count @ 1..) = stdout.read(&mut some) {
                if out.send(some[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keys, screen, shown: String::new(), seen: 0 }
    }

    /// Types a line.
    ///
    /// # Panics
    ///
    /// When the shell has ended.
    #[track_caller]
    pub fn types(&mut self, line: &str) {
        let typed = writeln!(self.keys, "{line}").and_then(|()| self.keys.flush());
        typed.unwrap_or_else(|error| panic!("{error}; shown was {}", self.shown));
    }

    /// Waits until this is shown, after what was seen before; what was shown until its end.
    ///
    /// # Panics
    ///
    /// When it is not shown in time.
    #[track_caller]
    pub fn sees(&mut self, words: &str) -> String {
        let begun = Instant::now();
        loop {
            if let Some(at) = self.shown[self.seen..].find(words) {
                let end = self.seen + at + words.len();
                let shown = self.shown[self.seen..end].to_owned();
                self.seen = end;
                return shown;
            }
            let left = PATIENCE.saturating_sub(begun.elapsed());
            match self.screen.recv_timeout(left.max(Duration::from_millis(1))) {
                Ok(bytes) => self.shown.push_str(&String::from_utf8_lossy(&bytes)),
                Err(error) => panic!("{words:?} is not shown ({error}); shown was\n{}", self.shown),
            }
        }
    }

    /// All that was shown so far.
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
