//! A server on a data directory of the test's choice, which is killed and started again, and the people
//! who use it past the client: their logins outlive the server.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use depot_proto::admin::CreateAccountRequest;
use depot_proto::auth::SetupRequest;
use depot_tests::caller::{Caller, bearer};
use depot_tests::process::{Run, run};
use depot_tests::server::Program;
use depot_tests::wire;
use tokio::runtime::Runtime;
use tonic::metadata::{Ascii, MetadataValue};

/// The real server on a data directory.
pub(crate) struct Site {
    data: PathBuf,
    environment: Vec<(&'static str, String)>,
    server: Option<Program>,
}

/// Somebody with a login.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) name: &'static str,
    token: MetadataValue<Ascii>,
}

impl Person {
    /// Their password.
    pub(crate) fn password(&self) -> String {
        password(self.name)
    }
}

impl Site {
    /// A server that does not run yet.
    pub(crate) fn new(data: impl Into<PathBuf>) -> Self {
        Self { data: data.into(), environment: Vec::new(), server: None }
    }

    /// From the next start on.
    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.environment.retain(|(set, _)| *set != name);
        self.environment.push((name, value.into()));
    }

    /// The data directory.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Starts the server; how long it took until it was ready.
    ///
    /// # Errors
    ///
    /// What it said, where it ended instead.
    pub(crate) fn try_start(&mut self) -> Result<Duration, Run> {
        assert!(self.server.is_none(), "the server runs");
        let mut command = Program::command(&self.data);
        command.args(["--listen", "127.0.0.1:0"]);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let begun = Instant::now();
        self.server = Some(Program::start(&mut command)?);
        Ok(begun.elapsed())
    }

    /// The same, where it must start.
    #[track_caller]
    pub(crate) fn start(&mut self) -> Duration {
        self.try_start().unwrap_or_else(|run| panic!("the server did not start: {run:?}"))
    }

    /// Kills the server without a warning; what it said.
    pub(crate) fn kill(&mut self) -> Run {
        self.server.take().expect("the server runs").kill()
    }

    /// Stops the server as an operator does.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        let server = self.server.take().expect("the server runs");
        server.terminate();
        server.ended().succeeded();
    }

    /// Checks every row and every byte while the server does not run.
    pub(crate) fn verify(&self) -> Run {
        assert!(self.server.is_none(), "the server runs");
        run(Program::command(&self.data).arg("verify"))
    }

    /// Where the server listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.server.as_ref().expect("the server runs").address()
    }

    /// The calls of somebody without a token, over a connection of their own.
    pub(crate) async fn stranger(&self) -> Caller {
        let authority = fs::read(self.data.join("tls/ca.pem")).expect("an authority");
        Caller::new(wire::connect(self.address(), &authority).await.expect("a connection"))
    }

    /// The calls of a person, over a connection of their own.
    pub(crate) async fn calls(&self, person: &Person) -> Caller {
        self.stranger().await.with(person.token.clone())
    }

    /// Makes accounts, the first of which is an administrator's, on a server that has none.
    pub(crate) fn people(&self, runtime: &Runtime, names: &[&'static str]) -> Vec<Person> {
        runtime.block_on(async {
            let stranger = self.stranger().await;
            let (first, others) = names.split_first().expect("an administrator");
            let admin = self.set_up(&stranger, first).await;
            let mut people = vec![admin.clone()];
            for name in others {
                let request = CreateAccountRequest {
                    name: (*name).to_owned(),
                    password: password(name),
                    ..CreateAccountRequest::default()
                };
                let calls = stranger.with(admin.token.clone());
                calls.admin().create_account(request).await.expect("an account");
                let login = stranger.login(name, &password(name)).await.expect("a login");
                people.push(Person { name, token: bearer(&login.token) });
            }
            people
        })
    }

    async fn set_up(&self, stranger: &Caller, name: &'static str) -> Person {
        let code = fs::read_to_string(self.data.join("setup-code")).expect("a code");
        let request = SetupRequest {
            code: code.trim().to_owned(),
            account: name.to_owned(),
            password: password(name),
            client: "a fault test".to_owned(),
        };
        let made = stranger.auth().setup(request).await.expect("a set-up").into_inner();
        Person { name, token: bearer(&made.credentials.expect("a login").token) }
    }
}

fn password(name: &str) -> String {
    format!("secret of {name}")
}
