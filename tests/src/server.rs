//! Servers for stories: the real program, or the same server in this process, where its clock and its
//! limits are the story's.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};

use depot_server::clock::Clock;
use depot_server::config::Config;
use depot_server::error::Result;
use depot_server::serve::{Server, bind};
use rustix::process::Signal;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::binary;
use crate::process::{Run, Running};
use crate::wait::until;

/// `depot-server` in a process of its own; killed when dropped.
pub struct Program {
    running: Running,
    address: SocketAddr,
}

impl Program {
    /// The command that serves `data`. Nothing of the caller's environment reaches it.
    pub fn command(data: &Path) -> Command {
        let mut command = Command::new(binary("depot-server"));
        command.env_clear().arg("--data").arg(data);
        command
    }

    /// Starts a server and waits until it is ready.
    ///
    /// # Errors
    ///
    /// What it said, where it ended instead.
    pub fn start(command: &mut Command) -> Result<Self, Run> {
        let mut running = Running::start(command);
        let ready = until("the server's ready line", || match ready_line(&running.stdout()) {
            Some(address) => Some(Some(address)),
            None if running.has_ended() => Some(None),
            None => None,
        });
        match ready {
            Some(address) => Ok(Self { running, address }),
            None => Err(running.ended()),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The pin in its log.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn pin(&self) -> String {
        until("the pin in the log", || {
            let log = self.running.stderr();
            let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.find_map(|line| line["pin"].as_str().map(str::to_owned))
        })
    }

    /// What it printed and said so far.
    pub fn printed(&self) -> (String, String) {
        (self.running.stdout(), self.running.stderr())
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.running.id()
    }

    /// Asks it to stop.
    pub fn terminate(&self) {
        self.running.signal(Signal::TERM);
    }

    /// Waits for its end.
    pub fn ended(self) -> Run {
        self.running.ended()
    }

    /// Kills it without a warning.
    pub fn kill(self) -> Run {
        self.running.kill()
    }
}

fn ready_line(stdout: &str) -> Option<SocketAddr> {
    let (line, _) = stdout.split_once('\n')?;
    line.strip_prefix("listening on https://")?.parse().ok()
}

/// The server in this process; stopped when dropped.
pub struct Here {
    address: SocketAddr,
    pin: String,
    stop: CancellationToken,
    serving: Option<JoinHandle<()>>,
}

impl Here {
    /// Starts a server and waits until it is ready.
    ///
    /// # Errors
    ///
    /// Why it cannot serve.
    pub fn start(config: Config, clock: Arc<dyn Clock>) -> Result<Self> {
        let stop = CancellationToken::new();
        let (tell, told) = channel();
        let stopped = stop.clone();
        let serving = thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_multi_thread();
            let runtime = runtime.worker_threads(2).enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let opened = match bind(&config).await {
                    Ok(listener) => Server::open(listener, config, clock).await,
                    Err(error) => Err(error),
                };
                let server = match opened {
                    Ok(server) => server,
                    Err(error) => return tell.send(Err(error)).expect("somebody waits"),
                };
                let ready = server.address().and_then(|address| Ok((address, server.pin()?)));
                tell.send(ready).expect("somebody waits");
                server.run(stopped).await;
            });
        });
        let (address, pin) = told.recv().expect("it says what became of it")?;
        Ok(Self { address, pin, stop, serving: Some(serving) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The pin of its authority.
    pub fn pin(&self) -> &str {
        &self.pin
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(serving) = self.serving.take() {
            let _ = serving.join();
        }
    }
}
