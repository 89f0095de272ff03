//! README's session, typed as it stands there. What is typed is read from README, so that the two cannot
//! drift apart.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::{env, fs};

use depot_tests::process::run;
use depot_tests::server::Program;
use depot_tests::terminal::Terminal;
use depot_tests::wait::until_true;
use depot_tests::{binary, repository};

/// Stands in for cargo: the programs are built already. Whatever else is asked of it fails.
const CARGO: &str = r#"#!/bin/sh
case "$*" in
  "run --release --locked --bin depot-server") exec "$DEPOT_SERVER_PROGRAM" ;;
  "build --release --locked --bin depot") mkdir -p target/release && cp "$DEPOT_PROGRAM" target/release/depot ;;
  *) echo "cargo $*: not what this test knows"; exit 1 ;;
esac
"#;

const PROMPT: &str = "\nnext line: ";

#[test]
fn the_session_works_as_typed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let fences = fences();
    let server = fences.iter().find(|fence| fence.starts_with("cargo run")).expect("a server");
    let session = fences.iter().find(|fence| fence.contains("depot setup")).expect("a session");
    let mut terminals = Terminals::open(folder.path());

    terminals.server.types(server.trim());
    terminals.server.sees("depot setup --server localhost:");
    let port = terminals.server.sees(" ").trim().to_owned();
    terminals.server.sees("--code ");
    let code = terminals.server.sees("\n").trim().to_owned();
    terminals.server.sees("listening on https://");
    let pin = format!("sha256//{}", between(terminals.server.shown(), "sha256//", "\""));

    let person = &mut terminals.person;
    person.sees(PROMPT.trim_start());
    for line in session.lines() {
        // The port of the README may be somebody's; everything else is typed as it is.
        person.types(&line.replace("localhost:7420", &format!("localhost:{port}")));
        answer(person, line, (&code, &pin));
        // Typed before that, it would be echoed into the middle of what is printed.
        person.sees(PROMPT);
        // What is echoed is not what is printed: the quotes are not there.
        person.types("echo 'ended' $? 'as it should'");
        assert_eq!(person.sees(" as it should").split("ended ").last(), Some("0 as it should"));
        person.sees(PROMPT);
    }
    let shown = terminals.person.shown();
    assert!(shown.contains("\nreport.pdf\r\n"), "ls shows it: {shown}");
    assert!(shown.contains("see attached"), "fetch shows it: {shown}");
    let saved = fs::read(folder.path().join("saved/report.pdf")).expect("the attachment");
    assert_eq!(saved, b"Q3\n");
}

#[test]
fn the_server_ends_with_its_terminal() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut terminals = Terminals::open(folder.path());
    terminals.server.types("cargo run --release --locked --bin depot-server");
    terminals.server.sees("listening on https://");
    drop(terminals);
    let data = folder.path().join("depot-data");
    let list = || run(Program::command(&data).args(["account", "list"]));
    until_true("nobody holds the directory", || list().exit == 0);
}

/// What a person types when a command asks.
fn answer(person: &mut Terminal, line: &str, (code, pin): (&str, &str)) {
    if line.starts_with("depot setup") {
        person.sees(pin);
        person.sees("[y/N]");
        person.types("y");
        person.sees("The set-up code");
        person.types(code);
        for _ in 0..2 {
            person.sees("New password of ann");
            person.sees(": ");
            person.types("correct horse");
        }
    } else if line.starts_with("depot admin account add bob") {
        for _ in 0..2 {
            person.sees("Password of bob");
            person.sees(": ");
            person.types("battery staple");
        }
    } else if line.starts_with("depot login") {
        person.sees(pin);
        person.sees("[y/N]");
        person.types("y");
        person.sees("Password of bob");
        person.sees(": ");
        person.types("battery staple");
    }
}

struct Terminals {
    server: Terminal,
    person: Terminal,
}

impl Terminals {
    /// Two terminals in one folder, which is the home of both.
    fn open(folder: &Path) -> Self {
        let programs = folder.join("programs");
        fs::create_dir(&programs).expect("a folder");
        let cargo = programs.join("cargo");
        fs::write(&cargo, CARGO).expect("a script");
        fs::set_permissions(&cargo, PermissionsExt::from_mode(0o755)).expect("a program");
        let open = || {
            Terminal::open("sh -i", |command| {
                let path = env::var("PATH").expect("a path");
                command.env_clear().current_dir(folder).env("HOME", folder).env("TERM", "dumb");
                command.env("PATH", format!("{}:{path}", programs.display())).env("PS1", PROMPT);
                command.env("DEPOT_PROGRAM", binary("depot"));
                command.env("DEPOT_SERVER_PROGRAM", binary("depot-server"));
                command.env("DEPOTD_SERVER_LISTEN", "127.0.0.1:0");
            })
        };
        Self { server: open(), person: open() }
    }
}

/// The shell lines of README, a text for each block.
fn fences() -> Vec<String> {
    let readme = fs::read_to_string(repository().join("README.md")).expect("a README");
    let parts = readme.split("```sh\n").skip(1);
    parts.map(|part| part.split("```").next().unwrap_or_default().to_owned()).collect()
}

fn between(text: &str, before: &str, after: &str) -> String {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before} in {text}"));
    rest.split(after).next().unwrap_or_default().to_owned()
}
