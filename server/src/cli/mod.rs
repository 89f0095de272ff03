//! The command line of `depot-server`: serving, and what an operator does while it does not run.

mod account;
mod output;
mod serve;
mod store;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use depot_server::config::Config;
use depot_server::error::{Error, Kind, Result};
use depot_server::faults::VERSION;

pub(crate) use output::complain;

/// One server that you own, for your people's files and mail.
///
/// Without a subcommand it serves. It prints one line on stdout when it is ready; logs and the set-up
/// code go to stderr. Exit codes: 2 usage or configuration, 3 an account that is not there,
/// 4 permissions, 6 the data directory is in use or newer, 7 disk, 8 address in use, 9 verify found damage.
#[derive(Debug, Parser)]
#[command(name = "depot-server", version = VERSION, max_term_width = 100)]
pub(crate) struct Args {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Args)]
struct Options {
    /// The data directory [default: depot-data]
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:7420]
    #[arg(long, global = true, value_name = "ADDR")]
    listen: Option<String>,
    /// Another name or address that clients reach this server by, for its certificate
    #[arg(long = "name", global = true, value_name = "HOST")]
    names: Vec<String>,
    /// A certificate of your own with its chain, PEM
    #[arg(long, global = true, value_name = "FILE")]
    cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, global = true, value_name = "FILE")]
    key: Option<PathBuf>,
    /// A configuration file, TOML
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve; this is also what no subcommand does
    Serve,
    /// Make and change accounts while the server does not run
    #[command(subcommand)]
    Account(account::Command),
    /// Check every row and every byte of the data directory
    ///
    /// Exits with 9 when something is damaged: first a line for each thing that is, then one for each
    /// file or message that it touches.
    Verify,
    /// Give back the space of what nothing refers to any more
    ///
    /// A running server does this by itself, once a day. What is found goes in the second run that is at
    /// least the grace after the first; with a grace of 0s it goes in this one. Unfinished uploads that
    /// nothing was heard of for longer than the grace are ended first: whoever goes on with one sends
    /// again what is gone. Removed files stay for as long as store.trash_days says.
    Gc(store::Gc),
}

/// Does what was asked for.
pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let config = args.options.config()?;
    match args.command {
        None | Some(Command::Serve) => serve::run(config).await,
        Some(Command::Account(command)) => command.run(config).await,
        Some(Command::Verify) => store::verify(config).await,
        Some(Command::Gc(gc)) => gc.run(config).await,
    }
}

impl Options {
    fn config(self) -> Result<Config> {
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let mut config = Config::load(self.config.as_deref(), environment)?;
        let server = &mut config.server;
        server.data = self.data.unwrap_or_else(|| server.data.clone());
        server.listen = self.listen.unwrap_or_else(|| server.listen.clone());
        server.names.extend(self.names);
        if self.cert.is_some() != self.key.is_some() {
            let missing = if self.cert.is_some() { "--key" } else { "--cert" };
            return Err(Error::field(missing, "--cert and --key go together"));
        }
        if self.cert.is_some() {
            (server.cert, server.key) = (self.cert, self.key);
        }
        Ok(config)
    }
}

/// The exit code of an error.
fn exit_code(kind: Kind) -> u8 {
    match kind {
        Kind::InvalidArgument | Kind::OutOfRange => 2,
        Kind::NotFound => 3,
        Kind::PermissionDenied => 4,
        Kind::FailedPrecondition | Kind::AlreadyExists | Kind::Aborted => 6,
        Kind::DiskFull | Kind::ReadOnly => 7,
        Kind::Unavailable => 8,
        Kind::DataLoss => 9,
        _ => 1,
    }
}
