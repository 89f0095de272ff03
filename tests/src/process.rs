//! Programs that a story runs: what they print is collected while they run, they are waited for no longer
//! than is reasonable, and none outlives its story.

use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::{fmt, mem};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::wait::until;

/// Lines of a program that are shown when a story fails.
const LAST_LINES: usize = 20;

/// What a program that has ended did.
pub struct Run {
    /// Its exit code; 128 and the signal's number where a signal ended it, as a shell has it.
    pub exit: i32,
    /// All of its standard output.
    pub stdout: Vec<u8>,
    /// All of its standard error.
    pub stderr: String,
}

impl Run {
    /// Standard output as text.
    ///
    /// # Panics
    ///
    /// When it is none.
    pub fn text(&self) -> &str {
        str::from_utf8(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// Standard output as one JSON value a line.
    ///
    /// # Panics
    ///
    /// When it is something else.
    pub fn json(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e} in {self:?}"));
        self.text().lines().map(parse).collect()
    }

    /// Itself, when it succeeded.
    ///
    /// # Panics
    ///
    /// When it did not.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert_eq!(self.exit, 0, "{self:?}");
        self
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stdout = String::from_utf8_lossy(&self.stdout);
        write!(f, "exit {}\nstdout: {stdout}\nstderr: {}", self.exit, self.stderr)
    }
}

/// A program that runs, and is killed when this is dropped.
pub struct Running {
    child: Child,
    stdout: Printed,
    stderr: Printed,
}

impl Running {
    /// Starts a program that has nothing to read.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        Self::with(command.stdin(Stdio::null()))
    }

    /// Starts a program that reads this.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn reading(command: &mut Command, input: impl Into<Vec<u8>>) -> Self {
        let mut running = Self::with(command.stdin(Stdio::piped()));
        let (mut stdin, input) = (running.child.stdin.take().expect("a pipe"), input.into());
        // A program may end before it has read all of it.
        thread::spawn(move || stdin.write_all(&input));
        running
    }

    fn with(command: &mut Command) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = Printed::of(child.stdout.take().expect("a pipe"));
        let stderr = Printed::of(child.stderr.take().expect("a pipe"));
        Self { child, stdout, stderr }
    }

    /// What it has printed so far.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout.so_far()).into_owned()
    }

    /// What it has said so far.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.so_far()).into_owned()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.status().is_some()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let process = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // One that has just ended needs none.
        let _ = process.map(|process| kill_process(process, signal));
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// When it does not end in time.
    pub fn ended(mut self) -> Run {
        let status = until("the program's end", || self.status());
        let code = status.code();
        Run {
            exit: code.unwrap_or_else(|| 128 + signal_of(status)),
            stdout: self.stdout.all(),
            stderr: String::from_utf8_lossy(&self.stderr.all()).into_owned(),
        }
    }

    /// Kills it without a warning, and waits until it is gone.
    pub fn kill(mut self) -> Run {
        let _ = self.child.kill();
        self.ended()
    }

    fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Where a story fails while it runs, what it said last may be why.
        if thread::panicking() {
            let said = self.stderr();
            let lines: Vec<&str> = said.lines().collect();
            let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
            let id = self.child.id();
            let _ = writeln!(io::stderr(), "process {id} said last:\n{last}");
        }
    }
}

/// Runs a program that has nothing to read to its end.
///
/// # Panics
///
/// When it cannot be started, or does not end in time.
pub fn run(command: &mut Command) -> Run {
    Running::start(command).ended()
}

fn signal_of(status: ExitStatus) -> i32 {
    std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or_default()
}

/// What comes out of a pipe.
struct Printed {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Printed {
    fn of(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes: Arc<Mutex<Vec<u8>>> = Arc::default();
        let taken = Arc::clone(&bytes);
        let reader = thread::spawn(move || {
            let mut some = [0; 8192];
            while let Ok(count @ 1..) = pipe.read(&mut some) {
                lock(&taken).extend_from_slice(&some[..count]);
            }
        });
        Self { bytes, reader: Some(reader) }
    }

    fn so_far(&self) -> Vec<u8> {
        lock(&self.bytes).clone()
    }

    fn all(&mut self) -> Vec<u8> {
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        mem::take(&mut lock(&self.bytes))
    }
}

fn lock(bytes: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    bytes.lock().unwrap_or_else(PoisonError::into_inner)
}
