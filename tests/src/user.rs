//! Somebody with the real `depot`, a home and a state directory of their own.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::geteuid;
use serde_json::Value;

use crate::binary;
use crate::caller::{Caller, bearer};
use crate::process::{Run, Running};
use crate::wire;

/// A person of a story; their working directory is their home.
pub struct User {
    name: String,
    home: PathBuf,
    server: String,
    ca: PathBuf,
}

/// An error as `--json` tells it.
#[derive(Debug)]
pub struct Refusal {
    /// The exit code, of the process and of the object alike.
    pub exit: i32,
    /// For programs.
    pub reason: String,
    /// For people.
    pub message: String,
    /// What it is about.
    pub path: Option<String>,
    /// The call at the server.
    pub request_id: Option<String>,
    /// What was printed before it.
    pub stdout: String,
    /// Whether other errors came before it.
    pub others: Vec<Value>,
}

impl User {
    /// Somebody who has never logged in.
    pub(crate) fn new(name: &str, folder: &Path, server: &str, ca: &Path) -> Self {
        let home = folder.join("home").join(name);
        fs::create_dir_all(&home).expect("a home");
        let password = home.join("password");
        if !password.exists() {
            fs::write(password, format!("secret of {name}\n")).expect("a password file");
        }
        let (name, server) = (name.to_owned(), server.to_owned());
        Self { name, home, server, ca: ca.to_owned() }
    }

    /// Their account's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file with their password.
    pub fn password_file(&self) -> PathBuf {
        self.home.join("password")
    }

    /// Their password.
    ///
    /// # Panics
    ///
    /// When the file is gone.
    pub fn password(&self) -> String {
        fs::read_to_string(self.password_file()).expect("a password").trim_end().to_owned()
    }

    /// A path in their home.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.home.join(name)
    }

    /// A file in their home, made with the folders it is in.
    pub fn file(&self, name: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("below the home")).expect("folders");
        fs::write(&path, bytes).expect("a file");
        path
    }

    /// `depot`, with nothing of the caller's environment but the path.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(binary("depot"));
        self.at_home(&mut command);
        command.args(arguments);
        command
    }

    /// The same for somebody whom the permissions of files hold for: root gives up that they do not.
    pub fn as_mortal<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        if !geteuid().is_root() {
            return self.command(arguments);
        }
        let mut command = Command::new("setpriv");
        self.at_home(&mut command);
        command.args(["--bounding-set=-dac_override,-dac_read_search", "--"]);
        command.arg(binary("depot")).args(arguments);
        command
    }

    fn at_home(&self, command: &mut Command) {
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env_clear().env("PATH", path).env("HOME", &self.home).current_dir(&self.home);
        command.env("DEPOT_STATE_DIR", self.home.join("state"));
    }

    /// Starts `depot` and leaves it running.
    pub fn starts<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Running {
        Running::start(&mut self.command(arguments))
    }

    /// Runs `depot` to its end, whatever that is.
    pub fn runs<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Run {
        self.starts(arguments).ended()
    }

    /// Runs `depot` with something to read.
    pub fn pipes<S: AsRef<OsStr>>(
        &self,
        input: impl Into<Vec<u8>>,
        arguments: impl IntoIterator<Item = S>,
    ) -> Run {
        Running::reading(&mut self.command(arguments), input).ended()
    }

    /// Runs `depot`, which must succeed; what it printed.
    #[track_caller]
    pub fn does<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> String {
        self.runs(arguments).succeeded().text().to_owned()
    }

    /// Runs `depot --json`, which must succeed and say nothing; what it printed.
    #[track_caller]
    pub fn json<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Vec<Value> {
        let run = Running::start(self.command(arguments).arg("--json")).ended().succeeded();
        assert_eq!(run.stderr, "", "{run:?}");
        run.json()
    }

    /// The same, where it is one object.
    #[track_caller]
    pub fn one<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Value {
        let mut printed = self.json(arguments);
        assert_eq!(printed.len(), 1, "{printed:?}");
        printed.remove(0)
    }

    /// Runs `depot --json`, which must fail.
    #[track_caller]
    pub fn refused<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Refusal {
        Refusal::of(Running::start(self.command(arguments).arg("--json")).ended())
    }

    /// Logs in.
    #[track_caller]
    pub fn logs_in(&self) {
        self.runs(self.meets("login")).succeeded();
    }

    /// What a login or a set-up with the right password and authority is typed like.
    pub fn meets(&self, verb: &str) -> Vec<String> {
        let password = self.password_file().to_string_lossy().into_owned();
        let ca = self.ca.to_string_lossy().into_owned();
        let mut arguments = vec![verb, "--server", &self.server, "--account", &self.name];
        arguments.extend(["--password-file", &password, "--ca", &ca]);
        arguments.into_iter().map(str::to_owned).collect()
    }

    /// As administrator: makes an account for somebody, who then logs in.
    #[track_caller]
    pub fn adds(&self, name: &str) -> Self {
        self.adds_with(name, &[])
    }

    /// The same, with more flags, such as `--quota 1M`.
    #[track_caller]
    pub fn adds_with(&self, name: &str, flags: &[&str]) -> Self {
        let folder = self.home.ancestors().nth(2).expect("the world's folder");
        let added = Self::new(name, folder, &self.server, &self.ca);
        let password = added.password_file().to_string_lossy().into_owned();
        let arguments = ["admin", "account", "add", name, "--password-file", &password];
        self.does(arguments.iter().chain(flags));
        added.logs_in();
        added
    }

    /// Puts a file of these bytes at a path on the server; the object that says what became of it.
    #[track_caller]
    pub fn puts(&self, remote: &str, bytes: impl AsRef<[u8]>) -> Value {
        let local = self.file("to be put", bytes);
        self.one([OsStr::new("put"), local.as_ref(), remote.as_ref()])
    }

    /// The bytes of a file on the server.
    #[track_caller]
    pub fn cats(&self, remote: &str) -> Vec<u8> {
        self.runs(["cat", remote]).succeeded().stdout
    }

    /// What is in a folder on the server.
    #[track_caller]
    pub fn lists(&self, remote: &str) -> Vec<String> {
        self.does(["ls", remote]).lines().map(str::to_owned).collect()
    }

    /// The paths of all that is below a folder on the server.
    #[track_caller]
    pub fn tree(&self, remote: &str) -> Vec<String> {
        let entries = self.json(["ls", "-r", remote]);
        entries.iter().map(|entry| text(&entry["path"]).to_owned()).collect()
    }

    /// Sends a message without a subject; its id.
    #[track_caller]
    pub fn sends(&self, to: &str, body: &str) -> String {
        text(&self.one(["send", to, "-s", "", "-m", body])["id"]).to_owned()
    }

    /// Fetches what is unread; the messages.
    #[track_caller]
    pub fn fetches(&self) -> Vec<Value> {
        self.json(["fetch"])
    }

    /// The bodies of what is unread, which stays unread.
    #[track_caller]
    pub fn unread(&self) -> Vec<String> {
        bodies(&self.json(["fetch", "--peek"]))
    }

    /// Their calls past the client, with a login of their own.
    ///
    /// # Panics
    ///
    /// When they cannot log in.
    pub async fn calls(&self) -> Caller {
        let address = self.server.parse().expect("an address");
        let authority = fs::read(&self.ca).expect("an authority");
        let channel = wire::connect(address, &authority).await.expect("a connection");
        let caller = Caller::new(channel);
        let credentials = caller.login(&self.name, &self.password()).await.expect("a login");
        caller.with(bearer(&credentials.token))
    }
}

impl Refusal {
    /// Reads what a run with `--json` ended with.
    ///
    /// # Panics
    ///
    /// When it succeeded, or says something else than errors.
    #[track_caller]
    pub fn of(run: Run) -> Self {
        assert_ne!(run.exit, 0, "{run:?}");
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {run:?}"));
        let mut said: Vec<Value> = run.stderr.lines().map(parse).collect();
        let last = said.pop().unwrap_or_else(|| panic!("it says nothing: {run:?}"));
        let error = last["error"].as_object().unwrap_or_else(|| panic!("no error: {run:?}"));
        let keys: Vec<&str> = error.keys().map(String::as_str).collect();
        assert_eq!(keys, ["exit", "message", "path", "reason", "request_id"], "{run:?}");
        assert_eq!(error["exit"], run.exit, "{run:?}");
        let optional = |key: &str| error[key].as_str().map(str::to_owned);
        Self {
            exit: run.exit,
            reason: text(&error["reason"]).to_owned(),
            message: text(&error["message"]).to_owned(),
            path: optional("path"),
            request_id: optional("request_id"),
            stdout: run.text().to_owned(),
            others: said,
        }
    }

    /// The exit code and the reason, to compare.
    pub fn kind(&self) -> (i32, &str) {
        (self.exit, &self.reason)
    }
}

/// The text of a JSON string.
///
/// # Panics
///
/// When it is none.
#[track_caller]
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// The bodies of messages.
#[track_caller]
pub fn bodies(messages: &[Value]) -> Vec<String> {
    messages.iter().map(|message| text(&message["body"]).to_owned()).collect()
}

/// The keys of a JSON object, sorted.
///
/// # Panics
///
/// When it is none.
#[track_caller]
pub fn keys(value: &Value) -> Vec<&str> {
    let object = value.as_object().unwrap_or_else(|| panic!("no object: {value}"));
    object.keys().map(String::as_str).collect()
}
