//! Depot from outside: a client in another language, made from the protos alone, and a mail reader that
//! knows nothing of Depot.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use depot_tests::process::{Run, run};
use depot_tests::world::World;
use depot_tests::{repository, skip};
use serde_json::Value;

#[test]
fn a_client_made_from_the_protos_alone_has_files_and_mail() {
    let Some(python) = python() else { return };
    let world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds("bob");
    ann.puts("/from/depot.txt", "put by depot");
    let mut client = script(&python, "outside_client.py");
    client.arg(world.server()).args([world.ca(), repository().join("proto")]);
    let ended = run(&mut client).succeeded();
    assert_eq!(ended.text(), "all is well\n");

    // What it did is what our own client finds.
    assert_eq!(ann.lists("/from"), ["depot.txt", "new.txt", "python.bin"]);
    bob.does(["save", "1", "--into", "saved"]);
    let saved = fs::read(bob.path("saved/python.bin")).expect("the attachment");
    assert_eq!(saved.len(), 3_200_000);
    assert_eq!(ann.cats("/from/python.bin"), saved);
    assert!(bob.unread().is_empty());
}

/// What a mail reader finds in a Maildir; nothing where there is none on this machine.
pub(crate) fn messages_in(maildir: &Path) -> Option<Vec<Value>> {
    let mut reader = script(&python()?, "maildir.py");
    let ended: Run = run(reader.arg(maildir)).succeeded();
    Some(ended.json())
}

fn script(python: &Path, name: &str) -> Command {
    let mut command = Command::new(python);
    command.arg(repository().join("tests/python").join(name));
    command
}

/// The Python that `tests/run --install` has made.
///
/// # Panics
///
/// With `CI=true`, where it is not an extra.
pub(crate) fn python() -> Option<PathBuf> {
    let named = env::var_os("DEPOT_TEST_PYTHON").map(PathBuf::from);
    let python = named.filter(|path| path.is_file());
    if python.is_none() {
        let why = "no Python with grpcio; tests/run --install makes one (DEPOT_TEST_PYTHON)";
        assert_ne!(env::var("CI").as_deref(), Ok("true"), "{why}");
        skip(why);
    }
    python
}
