//! The thin client of a Depot server. It knows the contract in `depot_proto` and nothing of the server.
//!
//! A map, from the outside in:
//!
//! - `cli`: the command line; `commands`: one file per verb.
//! - `app`: what a verb is given; `batch`: one thing done to several; `output`: the only place that prints; `password`, `settings`, `units`.
//! - `connect`: address, trust, TLS, tokens, and when a call is made again; `state`: what is remembered.
//! - `transfer`: bytes up (cut, ask, fill, commit) and down (manifest, chunks), always verified.
//! - `tree`: walks a local tree, and writes one beneath a target and nowhere else.
//! - `path`, `target`, `names`: what a path is, where a thing goes, which names are no good.
//! - `mail`: messages as text, as RFC 5322 files, and a Maildir to keep them in.
//! - `error`: the one error, with the exit code that scripts rely on.

mod app;
mod batch;
mod cli;
mod commands;
mod connect;
mod error;
mod link;
mod listing;
mod mail;
mod names;
mod output;
mod password;
mod path;
mod settings;
mod state;
mod target;
mod transfer;
mod tree;
mod units;

use std::ffi::OsString;

use clap::Parser as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use tokio::signal::unix::{SignalKind, signal};

use app::App;
use cli::{Cli, Command};
use error::{Error, Exit, Result};
use output::{Output, Style};

/// Does what the command line says; the exit code.
pub async fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return not_understood(&without_target(error), &arguments),
    };
    let app = match App::new(&cli.globals) {
        Ok(app) => app,
        Err(error) => {
            Output::new(Style { json: cli.globals.json, ..Style::default() }).error(&error);
            return error.exit() as u8;
        }
    };
    // It lives as long as the process, and its tasks may outlive this function.
    let app: &'static App = Box::leak(Box::new(app));
    let done = until_interrupted(cli.command, app).await;
    match done.and_then(|()| app.output.flush()) {
        Ok(()) => 0,
        Err(error) => {
            if error.exit() != Exit::Interrupted {
                app.output.flush_if_free();
            }
            app.output.end_progress();
            app.output.error(&error);
            error.exit() as u8
        }
    }
}

/// The command line, for completions and manual pages.
pub fn command_line() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// The command runs as a task of its own, so that Ctrl-C is heard even while it waits for a pipe.
async fn until_interrupted(command: Command, app: &'static App) -> Result<()> {
    let hint = command.after_interrupt();
    let failed = |error: std::io::Error| Error::io("wait for signals", &error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut running = tokio::spawn(command.run(app));
    loop {
        tokio::select! {
            done = &mut running => return done.unwrap_or_else(|error| {
                Err(Error::io("go on", &std::io::Error::other(error)))
            }),
            _ = interrupt.recv() => {
                if !app.ignores_interrupts() {
                    return Err(interrupted(app, hint));
                }
            }
            _ = terminate.recv() => return Err(interrupted(app, hint)),
        }
    }
}

fn interrupted(app: &App, hint: &str) -> Error {
    password::restore_terminal();
    Error::interrupted(app.after_interrupt().as_deref().unwrap_or(hint))
}

/// Of one operand clap takes the target, and says that the others are missing; a person has typed what
/// goes somewhere, and left out where.
fn without_target(error: clap::Error) -> clap::Error {
    let Some(ContextValue::Strings(missing)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    let Some(ContextValue::StyledStr(usage)) = error.get(ContextKind::Usage) else { return error };
    let usage = usage.to_string();
    for (verb, sources, target, what) in [
        ("get", "<REMOTE>...", "<LOCAL>", "the local target LOCAL is missing: . is here, - stdout"),
        (
            "put",
            "<LOCAL>...",
            "<REMOTE>",
            "the target REMOTE is missing: put LOCAL... REMOTE, such as /reports/",
        ),
        ("mv", "<PATH>...", "<TARGET>", "the target TARGET is missing, such as /archive/"),
        ("cp", "<PATH>...", "<TARGET>", "the target TARGET is missing, such as /archive/"),
    ] {
        let is_it = error.kind() == ErrorKind::MissingRequiredArgument
            && usage.contains(&format!("depot {verb} "))
            && *missing == [sources]
            && usage.contains(target);
        if is_it {
            let mut command = command_line();
            command.build();
            if let Some(command) = command.find_subcommand_mut(verb) {
                return command.error(ErrorKind::MissingRequiredArgument, what);
            }
        }
    }
    error
}

/// Prints clap's help or what is wrong with the command line.
fn not_understood(error: &clap::Error, arguments: &[OsString]) -> u8 {
    if error.use_stderr() && arguments.iter().any(|argument| argument == "--json") {
        let text = error.render().to_string();
        let lines: Vec<&str> = text.lines().map(str::trim).take_while(|l| !l.is_empty()).collect();
        let told = lines.join(" ");
        let message = told.strip_prefix("error: ").unwrap_or(&told);
        Output::new(Style { json: true, ..Style::default() }).error(&Error::usage(message));
        return Exit::Usage as u8;
    }
    // clap writes help to stdout and problems to stderr, in colors where there is a terminal.
    let _ = error.print();
    u8::try_from(error.exit_code()).unwrap_or(Exit::Usage as u8)
}
