//! A world for one story: a server of its own in a temporary folder, and the people who use it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use depot_server::config::Config;
use depot_server::model::Limits;
use tempfile::TempDir;

use crate::binary;
use crate::caller::Caller;
use crate::clock::ManualClock;
use crate::disk::with_small_disk;
use crate::process::Run;
use crate::server::{Here, Program};
use crate::user::User;
use crate::wire;

/// A server and a folder for all that belongs to the story.
pub struct World {
    // Before the folder: a server that is gone writes nothing more.
    serving: Option<Serving>,
    address: SocketAddr,
    clock: Arc<ManualClock>,
    arguments: Vec<String>,
    data: PathBuf,
    folder: TempDir,
}

enum Serving {
    Program(Program),
    Here(Here),
}

impl World {
    /// The real server, as it is without any configuration.
    pub fn start() -> Self {
        Self::started_with(&[])
    }

    /// The real server with more arguments.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub fn started_with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        let started = start(&folder.path().join("data"), "127.0.0.1:0", &arguments);
        let program = started.unwrap_or_else(|run| panic!("the server did not start: {run:?}"));
        Self {
            address: program.address(),
            serving: Some(Serving::Program(program)),
            clock: Arc::default(),
            arguments,
            data: folder.path().join("data"),
            folder,
        }
    }

    /// The server in this process, with a clock that the story moves, and limits of its own.
    pub fn limited(change: impl FnOnce(&mut Limits)) -> Self {
        Self::configured(|config| change(&mut config.limits))
    }

    /// The server in this process, with a clock that the story moves, and a configuration of its own.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub fn configured(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let clock: Arc<ManualClock> = Arc::default();
        let mut config = Config::default();
        config.server.listen = "127.0.0.1:0".to_owned();
        config.server.data = folder.path().join("data");
        change(&mut config);
        let here = Here::start(config, Arc::clone(&clock) as _).expect("the server starts");
        Self {
            address: here.address(),
            serving: Some(Serving::Here(here)),
            clock,
            arguments: Vec::new(),
            data: folder.path().join("data"),
            folder,
        }
    }

    /// The real server, with its data on a disk of this size, such as `64m`.
    ///
    /// # Panics
    ///
    /// When it does not start; see [`crate::disk::is_possible`].
    pub fn on_a_disk_of(size: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = folder.path().join("data");
        fs::create_dir(&data).expect("a folder");
        let serve = "exec \"$1\" --data \"$2\" --listen 127.0.0.1:0";
        let mut command = with_small_disk(&data, size, serve);
        let started = Program::start(command.arg(binary("depot-server")).arg(&data));
        let program = started.unwrap_or_else(|run| panic!("the server did not start: {run:?}"));
        // Only the server sees its disk; the others look through its eyes.
        let root = PathBuf::from(format!("/proc/{}/root", program.id()));
        Self {
            address: program.address(),
            serving: Some(Serving::Program(program)),
            clock: Arc::default(),
            arguments: Vec::new(),
            data: root.join(data.strip_prefix("/").expect("an absolute path")),
            folder,
        }
    }

    /// The first administrator, made with the set-up code.
    pub fn admin(&self, name: &str) -> User {
        let admin = self.stranger(name);
        let code = self.data().join("setup-code").to_string_lossy().into_owned();
        admin
            .runs(admin.meets("setup").into_iter().chain(["--code-file".to_owned(), code]))
            .succeeded();
        admin
    }

    /// Somebody with a state directory of their own, whom the server does not know.
    pub fn stranger(&self, name: &str) -> User {
        User::new(name, self.folder.path(), &self.server(), &self.ca())
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same, as it is given to `--server`.
    pub fn server(&self) -> String {
        self.address.to_string()
    }

    /// What clients trust.
    pub fn ca(&self) -> PathBuf {
        self.data().join("tls/ca.pem")
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.data.clone()
    }

    /// A folder of the story's own.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The pin that the server told at its start.
    pub fn pin(&self) -> String {
        match &self.serving {
            Some(Serving::Here(here)) => here.pin().to_owned(),
            Some(Serving::Program(program)) => program.pin(),
            None => panic!("no server runs"),
        }
    }

    /// Lets so much time pass for a server in this process.
    pub fn pass(&self, time: Duration) {
        self.clock.pass(time);
    }

    /// The real server's process.
    pub fn program(&self) -> &Program {
        match &self.serving {
            Some(Serving::Program(program)) => program,
            _ => panic!("no server runs in a process of its own"),
        }
    }

    /// Takes the real server out, to wait for its end.
    pub fn take_program(&mut self) -> Program {
        match self.serving.take() {
            Some(Serving::Program(program)) => program,
            _ => panic!("no server runs in a process of its own"),
        }
    }

    /// Kills the real server without a warning.
    pub fn kill(&mut self) -> Run {
        self.take_program().kill()
    }

    /// Starts the real server again, at the same address, on the same data.
    pub fn start_again(&mut self) {
        assert!(self.serving.is_none(), "the server runs");
        let started = start(&self.data(), &self.server(), &self.arguments);
        let program = started.unwrap_or_else(|run| panic!("the server did not start: {run:?}"));
        self.serving = Some(Serving::Program(program));
    }

    /// Ends the server and whatever of its data the story wants to look at is left alone.
    pub fn stop(&mut self) {
        match self.serving.take() {
            Some(Serving::Program(program)) => {
                program.terminate();
                program.ended().succeeded();
            }
            here => drop(here),
        }
    }

    /// The calls of somebody without a token.
    pub async fn caller(&self) -> Caller {
        let authority = fs::read(self.ca()).expect("an authority");
        let channel = wire::connect(self.address, &authority).await.expect("a connection");
        Caller::new(channel)
    }
}

fn start(data: &Path, listen: &str, arguments: &[String]) -> Result<Program, Run> {
    // A --listen among the arguments comes before this.
    Program::start(Program::command(data).env("DEPOTD_SERVER_LISTEN", listen).args(arguments))
}
